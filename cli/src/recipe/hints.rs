//! Hints to fields that stand elsewhere, or that nobody has to set.
use crate::{
    messages,
    recipe::sections,
    registry::{module::Kind, schema::Type},
};

/// The path of the field of [train], [run] or [sample] that is meant by a name, ours or another library's: `train.lr`
/// by `learning_rate`. Fields of `first` come first.
pub(crate) fn field_elsewhere(name: &str, first: &str) -> Option<String> {
    let mut all = sections::all();
    all.sort_by_key(|section| section.name != first);
    let found = |by: &dyn Fn(&[&str]) -> Option<String>| {
        all.iter().find_map(|section| {
            let Type::Table(fields) = &section.type_ else { return None };
            let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
            by(&names).map(|field| format!("{}.{field}", section.name))
        })
    };
    let own = name.replace('-', "_");
    let exact = found(&|names| names.contains(&&*own).then(|| own.clone()));
    exact.or_else(|| found(&|names| messages::synonym(name, names).map(str::to_owned)))
}

/// Why a field of a net need not be set, if it is a dimension that the data or the noise decide.
pub(crate) fn decided(kind: Option<Kind>, key: &str) -> Option<String> {
    const DECIDED: [&str; 13] = [
        "in_channels",
        "out_channels",
        "outputs",
        "features",
        "classes",
        "num_classes",
        "num_class_embeds",
        "vocabulary",
        "vocab_size",
        "length",
        "sample_size",
        "image_size",
        "learn_sigma",
    ];
    let is_decided = kind == Some(Kind::Net) && DECIDED.contains(&key);
    is_decided.then(|| format!("`{key}` follows from the data and the noise: leave it out"))
}

/// How the weight of a loss is written that other libraries have as a setting of training or of another loss.
pub(crate) fn weighted(kind: Option<Kind>, key: &str) -> Option<String> {
    // Their name, the loss and its settings.
    const THEIRS: [(&str, &str, &str); 16] = [
        ("snr-gamma", "squared", "weighting = { name = \"min-snr\", gamma = 5.0 }"),
        ("min-snr-gamma", "squared", "weighting = { name = \"min-snr\", gamma = 5.0 }"),
        ("min-snr", "squared", "weighting = { name = \"min-snr\", gamma = 5.0 }"),
        ("min-snr-loss-weight", "squared", "weighting = { name = \"min-snr\", gamma = 5.0 }"),
        ("soft-min-snr", "squared", "weighting = { name = \"soft-min-snr\", gamma = 4.0 }"),
        ("p2-gamma", "squared", "weighting = { name = \"p2\", gamma = 1.0 }"),
        ("p2-k", "squared", "weighting = { name = \"p2\", k = 1.0 }"),
        ("p2-loss-weight-gamma", "squared", "weighting = { name = \"p2\", gamma = 1.0 }"),
        ("debiased-estimation-loss", "squared", "weighting = \"debiased\""),
        ("weighting-scheme", "squared", "weighting = \"min-snr\", or another of `tweedie list weight`"),
        ("loss-weighting", "squared", "weighting = \"min-snr\", or another of `tweedie list weight`"),
        ("weighting", "squared", "weighting = \"min-snr\", or another of `tweedie list weight`"),
        ("space", "squared", "space = \"x0\""),
        ("huber-c", "pseudo-huber", "c = 0.1"),
        ("huber-schedule", "pseudo-huber", "constant = \"snr\""),
        ("huber-delta", "huber", "delta = 1.0"),
    ];
    if !matches!(kind, None | Some(Kind::Loss)) {
        return None;
    }
    let word = key.to_lowercase().replace('_', "-");
    let (_, loss, settings) = THEIRS.into_iter().find(|(theirs, ..)| *theirs == word)?;
    Some(format!("`{key}` is a setting of losses: write `[[loss]]` with name = \"{loss}\" and {settings}."))
}

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

//! Files of earlier versions, in which parameters had other names.
use crate::common::{device, floats, tokens};
use burn::tensor::Tensor;
use safetensors::tensor::{SafeTensors, TensorView};
use std::{fs, path::Path};
use tweedie::{
    Rng,
    data::{Data, Samples},
    loss::{CrossEntropy, Objective, Simple},
    model::Model,
    net::{Conditions, MlpConfig, Net, Positions, TransformerConfig, UNetConfig},
    noise::{Discrete, Gaussian},
    schedule::Cosine,
    train::{Checkpoint, Parameters, Train, Trainer},
};

/// The present names and those of the earlier version, longest first.
const EARLIER: [(&str, &str); 5] = [
    ("cond.embedding", "context.told"),
    ("cond.classes", "context.classes"),
    ("cond", "told"),
    ("linear", "own"),
    ("positions", "places"),
];

/// Writes the file with the earlier names, and returns how many names differ.
fn write_earlier(path: &Path, transformer: bool) -> usize {
    let earlier = |name: &str| {
        let pairs = if transformer { &EARLIER[..] } else { &EARLIER[2..] };
        let mut dotted = format!(".{name}.");
        for (now, then) in pairs {
            dotted = dotted.replace(&format!(".{now}."), &format!(".{then}."));
        }
        dotted.trim_matches('.').to_owned()
    };
    let bytes = fs::read(path).expect("a file");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("metadata");
    let mut facts = header.metadata().clone().unwrap_or_default();
    if let Some(names) = facts.get_mut("parameters") {
        *names = names.lines().map(earlier).collect::<Vec<_>>().join("\n");
    }
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let mut changed = 0;
    let views: Vec<(String, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, view)| {
            changed += usize::from(earlier(name) != name);
            (earlier(name), view)
        })
        .collect();
    fs::write(path, safetensors::serialize(views, Some(facts)).expect("written")).expect("written");
    changed
}

fn values(x: &Parameters) -> Vec<(String, Vec<u32>)> {
    let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect();
    x.to_host().into_iter().map(|(name, _, x)| (name.to_owned(), bits(x))).collect()
}

/// Trains 2 steps, writes checkpoint and weights under the earlier names, reads both and trains 2 more.
fn resume<const D: usize, N: Net<D, Condition = Conditions>>(
    name: &str,
    model: &dyn Fn() -> Model<D, N>,
    data: &dyn Data<Tensor<D>, Conditions>,
    objective: Objective<D>,
) {
    let settings = Train { steps: 4, batch: 4, ema_decay: 0.9, ..Train::default() };
    let trainer = || Trainer::new(model(), data, objective.clone(), settings.clone()).expect("it fits");
    let load = |path: &Path| {
        let weights = Checkpoint::load_weights(path, &Parameters::of(&model()), &device());
        values(&weights.expect("of the same net"))
    };
    let mut whole = trainer();
    whole.by_ref().take(2).for_each(|step| assert!(step.is_ok()));
    let checkpoint = whole.checkpoint();
    let averages = values(checkpoint.average.as_ref().expect("averages"));
    let path = std::env::temp_dir().join(format!("tweedie-earlier-{name}-{}.safetensors", std::process::id()));
    checkpoint.save(&path, &[]).expect("written");
    let changed = write_earlier(&path, name == "transformer");
    // Weights, averages and both moments.
    assert!(changed >= 8, "{name}: {changed} names differ");
    let (read, _) = Checkpoint::load(&path, &device()).expect("read");
    assert_eq!(load(&path), averages);
    checkpoint.save_weights(&path, &[]).expect("written");
    assert!(write_earlier(&path, name == "transformer") > 0);
    assert_eq!(load(&path), averages);
    fs::remove_file(&path).expect("removed");

    let mut second = trainer().restore(read).expect("the same net");
    whole.by_ref().chain(second.by_ref()).for_each(|step| assert!(step.is_ok()));
    let (a, b) = (whole.checkpoint(), second.checkpoint());
    assert_eq!((a.step, b.step), (4, 4));
    assert_eq!(values(&a.weights), values(&b.weights), "{name}");
    assert_eq!(a.average.as_ref().map(values), b.average.as_ref().map(values), "{name}");
    assert_eq!(values(&a.moments.first), values(&b.moments.first), "{name}");
    assert_eq!(values(&a.moments.second), values(&b.moments.second), "{name}");
}

#[test]
fn checkpoints_of_earlier_names_load_and_resume_to_the_bit() {
    let rng = Rng::new(1);
    let numbers = |n: usize| rng.stream("data").normals(n, 1).into_iter().map(|x| x as f32).collect::<Vec<_>>();
    let gaussian = || Gaussian::new(Cosine::new(10));
    let labels = (0..8).map(|i| i % 3).collect::<Vec<u32>>();

    let points = Samples::new(numbers(16), [8, 2]).with_labels(labels.clone());
    let net = || MlpConfig::new(2).with_hidden([8, 8]).with_num_classes(3).init(&rng, &device()).unwrap();
    resume("mlp", &|| Model::new(gaussian(), net()).unwrap(), &points, Simple {}.into());

    let images = Samples::new(numbers(8 * 16), [8, 1, 4, 4]).with_labels(labels.clone());
    let net = || UNetConfig::new(1, [4, 4]).with_num_classes(3).init(&rng, &device()).unwrap();
    resume("unet", &|| Model::new(gaussian(), net()).unwrap(), &images, Simple {}.into());

    let text = Samples::new(floats(tokens(8, 5)), [8, 5, 1]).with_labels(labels);
    let config = TransformerConfig::new(11, 5).with_width(8).with_heads(2).with_depth(1).with_num_classes(3);
    for (i, time) in [true, false].into_iter().enumerate() {
        let config = config.clone().with_positions(Positions::Learned).with_time(time);
        let net = || config.init(&rng.at_step(i as u64), &device()).unwrap();
        let noise = || Discrete::absorbing(Cosine::new(10), 11, 10);
        resume("transformer", &|| Model::new(noise(), net()).unwrap(), &text, CrossEntropy {}.into());
    }
}

//! Conditions of every kind: what nets make of them, what is refused, what training drops.
use crate::common::*;
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tweedie::{
    Rng,
    condition::{Condition, ConditionKind, ConditionSpec, Conditions, Values},
    data::Samples,
    laws,
    loss::{Batch, Loss, Simple, per_sample},
    model::Model,
    net::{DitConfig, MlpConfig, Net, Task, TransformerConfig, UNetConfig},
    noise::Gaussian,
    sample::Ddim,
    schedule::Cosine,
    train::Train,
};

fn spec(name: &str, kind: ConditionKind) -> ConditionSpec {
    ConditionSpec::new(name, kind)
}
fn class() -> ConditionSpec {
    spec("class", ConditionKind::Class { num_classes: 3 })
}
fn hair() -> ConditionSpec {
    spec("hair", ConditionKind::Class { num_classes: 2 })
}
fn pose() -> ConditionSpec {
    spec("pose", ConditionKind::vector([10.0, -3.0], [5.0, 0.5]))
}
fn caption() -> ConditionSpec {
    spec("caption", ConditionKind::Tokens { vocabulary: 11, length: 6 })
}
fn small() -> ConditionSpec {
    spec("small", ConditionKind::Image { shape: vec![2, 4, 4] })
}
fn map() -> ConditionSpec {
    spec("map", ConditionKind::LabelMap { shape: vec![8, 8], num_labels: 4 })
}
fn all() -> Vec<ConditionSpec> {
    vec![class(), hair(), pose(), caption(), small(), map()]
}

fn unet() -> UNetConfig {
    UNetConfig::new(1, [8, 16]).with_blocks(1).with_time_features(8).with_cross_attention([1])
}
fn dit() -> DitConfig {
    DitConfig::new(1).with_width(16).with_depth(2).with_heads(2).with_patch(4).with_time_features(8)
}
fn words() -> TransformerConfig {
    TransformerConfig::new(7, 5).with_width(16).with_depth(2).with_heads(2).with_time_features(8)
}

#[test]
fn nets_obey_the_laws_with_conditions_of_every_kind() {
    let device = Device::flex();
    let images = normal("z", [3, 1, 8, 8]);
    let holds = |checks: Vec<laws::Check>| {
        assert!(checks.iter().any(|check| check.law == "a gradient reaches the embedding of each part"));
        all_hold("conditions", checks);
    };
    let specs = all();
    let net = unet().with_conditions(specs.clone()).init(&Rng::new(0), &device).unwrap();
    holds(laws::net(&net, &images, &random_conditions(&specs, 3), [3, 1, 8, 8]));
    let net = dit().with_conditions(specs.clone()).init(&Rng::new(0), &device).unwrap();
    holds(laws::net(&net, &images, &random_conditions(&specs, 3), [3, 1, 8, 8]));
    let specs = [hair(), pose(), caption()];
    for time in [true, false] {
        let net = words().with_time(time).with_conditions(specs.clone()).init(&Rng::new(0), &device).unwrap();
        let tokens = Tensor::from_floats(
            [[[0.], [3.], [6.], [2.]], [[1.], [1.], [5.], [4.]], [[2.], [0.], [6.], [6.]]],
            &device,
        );
        let mut checks = laws::net(&net, &tokens, &random_conditions(&specs, 3), [3, 4, 7]);
        checks.retain(|check| time || check.law != laws::DEPENDS_ON_T);
        holds(checks);
    }
    let specs = [class(), hair(), pose()];
    let net =
        MlpConfig::new(2).with_hidden([16, 16]).with_conditions(specs.clone()).init(&Rng::new(0), &device).unwrap();
    holds(laws::net(&net, &normal("z", [3, 2]), &random_conditions(&specs, 3), [3, 2]));
}

/// A net that ignores one of its conditions.
#[derive(Module, Debug)]
struct Deaf<N: Module> {
    net: N,
    #[module(skip)]
    to: String,
}
impl<const D: usize, N: Net<D, Condition = Conditions>> Net<D> for Deaf<N> {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<D>, t: Tensor<1>, y: &Conditions) -> Tensor<D> {
        let rows = z.dims()[0];
        self.net.forward(z, t, &y.without_named(&self.to, &vec![true; rows]))
    }
}

#[test]
fn a_condition_that_is_ignored_is_named() {
    let specs = all();
    for name in specs.iter().map(|spec| spec.name.clone()) {
        let net = dit().with_conditions(specs.clone()).init(&Rng::new(0), &Device::flex()).unwrap();
        let deaf = Deaf { net, to: name.clone() };
        let checks = laws::net(&deaf, &normal("z", [3, 1, 8, 8]), &random_conditions(&specs, 3), [3, 1, 8, 8]);
        let named = |law: &str| {
            checks.iter().any(|check| check.law == law && !check.holds() && check.to_string().contains(&name))
        };
        assert!(named("each part of the condition changes the output"), "{name}");
        assert!(named("a gradient reaches the embedding of each part"), "{name}");
    }
}

#[test]
fn vectors_are_read_in_their_own_units() {
    // A vector at the mean is the vector of zeros of a net whose statistics are 0 and 1.
    let net =
        |kind| MlpConfig::new(2).with_conditions([spec("pose", kind)]).init(&Rng::new(3), &Device::flex()).unwrap();
    let own = moved(net(ConditionKind::vector([10.0, -3.0], [5.0, 0.5])));
    let standard = moved(net(ConditionKind::vector([0.0, 0.0], [1.0, 1.0])));
    let z = normal("z", [2, 2]);
    let run = |net: &tweedie::net::Mlp, rows: [[f32; 2]; 2]| {
        floats(net.forward(z.clone(), times(2), &Conditions::none().with_vector("pose", rows)))
    };
    assert_eq!(run(&own, [[10.0, -3.0], [15.0, -2.0]]), run(&standard, [[0.0, 0.0], [1.0, 2.0]]));
    assert_ne!(run(&own, [[10.0, -3.0], [15.0, -2.0]]), run(&own, [[10.0, -3.0], [15.0, -3.0]]));
}

#[test]
fn images_of_another_size_are_brought_to_that_of_x_by_nearest_neighbors() {
    let device = Device::flex();
    let net = |size: usize| {
        let specs = [spec("small", ConditionKind::Image { shape: vec![1, size, size] })];
        let net = UNetConfig::new(1, [4]).with_blocks(1).with_time_features(4).with_conditions(specs);
        net.init(&Rng::new(1), &device).unwrap()
    };
    let read = |size: usize, values: Vec<f32>| {
        let y = Conditions::none().with_image("small", &values, &[1, size, size]).unwrap();
        floats(moved(net(size)).forward(normal("z", [1, 1, 4, 4]), times(1), &y))
    };
    let whole = vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0];
    assert_eq!(read(2, vec![1.0, 2.0, 3.0, 4.0]), read(4, whole.clone()));
    assert_ne!(read(2, vec![1.0, 3.0, 2.0, 4.0]), read(4, whole));
}

#[test]
fn what_does_not_fit_is_refused_with_its_name() {
    let specs = [hair(), pose(), caption(), small(), map()];
    let good = random_conditions(&specs, 2);
    assert!(good.check(2, &specs).is_ok() && Conditions::none().check(9, &specs).is_ok());
    assert!(good.without(&[true, true]).check(2, &specs).is_ok());
    let image = |values: usize, shape: &[usize]| {
        Conditions::none().with_image("small", &vec![0.0; values], shape).unwrap().get("small").unwrap().clone()
    };
    let nan = Values::Image { shape: vec![2, 4, 4], rows: vec![None, Some(vec![f32::INFINITY; 32].into())] };
    let labels = Values::LabelMap { shape: vec![8, 8], rows: vec![Some(vec![4; 64].into()), None] };
    let tokens = |rows: [Vec<u32>; 2]| Values::Tokens(rows.into_iter().map(|row| Some(row.into())).collect());
    let vectors = |rows: [Vec<f32>; 2]| Values::Vector(rows.into_iter().map(|row| Some(row.into())).collect());
    for (name, values, message) in [
        ("hair", Values::Class(vec![Some(2), None]), "`hair` has 2 classes, 0 to 1, got 2"),
        ("hair", Values::Class(vec![Some(1)]), "`hair` has 1 rows for a batch of 2"),
        ("hair", vectors([vec![0.0], vec![0.0]]), "`hair` is one of 2 classes, got the kind `vector`"),
        ("pose", vectors([vec![1.0, 2.0], vec![1.0]]), "`pose` is a vector of 2 values, and row 1 has 1"),
        ("pose", vectors([vec![1.0, f32::NAN], vec![1.0, 1.0]]), "`pose` of row 0 holds NaN"),
        ("caption", tokens([vec![1], vec![11]]), "`caption` has tokens 0 to 10, and row 1 holds 11"),
        ("caption", tokens([vec![1; 7], vec![]]), "`caption` is a sequence of up to 6 tokens, and row 0 has 7"),
        ("small", image(2 * 32 * 2, &[2, 8, 4]), "`small` must have the shape [2, 4, 4], got [2, 8, 4]"),
        ("small", nan, "`small` of row 1 holds inf"),
        ("map", labels, "`map` has labels 0 to 3, and row 0 holds 4"),
        ("eyes", Values::Class(vec![None, None]), "`eyes` is unknown: the network takes `hair`, `pose`, `caption`"),
    ] {
        let error = good.clone().with(name, values).check(2, &specs).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(error.contains("; "), "a remedy: {error}");
    }
    let missing = random_conditions(&specs[..2], 2).check(2, &specs).unwrap_err().to_string();
    assert!(missing.contains("`caption` (a sequence of up to 6 tokens out of 11) is missing"), "{missing}");
}

#[test]
fn nets_refuse_conditions_that_they_cannot_read() {
    let refused = |error: tweedie::Error, message: &str| assert!(error.to_string().contains(message), "{error}");
    refused(
        MlpConfig::new(2).with_conditions([caption()]).check().unwrap_err(),
        "`mlp` takes no condition of the kind `tokens`",
    );
    refused(
        MlpConfig::new(2).with_conditions([small()]).check().unwrap_err(),
        "`mlp` takes no condition of the kind `image`",
    );
    refused(words().with_conditions([map()]).check().unwrap_err(), "takes no condition of the kind `label-map`");
    let signal = spec("signal", ConditionKind::Image { shape: vec![1, 8] });
    refused(dit().with_conditions([signal]).check().unwrap_err(), "`signal` has 1 spatial axes, and the data have 2");
    refused(dit().with_conditions([hair(), hair()]).check().unwrap_err(), "two conditions are named `hair`");
    refused(unet().with_conditions([hair()]).check().unwrap_err(), "there is none of the kind `tokens`");
    let constant = spec("pose", ConditionKind::vector([0.0], [0.0]));
    refused(dit().with_conditions([constant]).check().unwrap_err(), "positive standard deviations");
}

/// Records which conditions of each row are there.
#[derive(Clone, Debug, Default)]
struct Watch(Arc<Mutex<Vec<[bool; 3]>>>);
impl<const D: usize> Loss<D> for Watch {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let y = batch.condition::<Conditions>().unwrap();
        let there = |name: &str, row| !y.get(name).unwrap().is_dropped(row);
        for row in 0..batch.t.len() {
            self.0.lock().unwrap().push(["class", "pose", "hair"].map(|name| there(name, row)));
        }
        per_sample((batch.prediction() - batch.target()).square())
    }
}

#[test]
fn conditions_are_dropped_each_with_its_probability_and_all_together() {
    let specs = [class(), pose(), hair()];
    let rows = 64;
    let data = Samples::new(vec![0.5; rows * 2], [rows, 2]).with_conditions(random_conditions(&specs, rows));
    let net = MlpConfig::new(2).with_hidden([8]).with_conditions(specs).init(&Rng::new(0), &Device::flex()).unwrap();
    let model = || Model::new(Gaussian::new(Cosine::new(100)), net.clone()).unwrap();
    let settings = |cond_dropout, each: &[(&str, f64)]| Train {
        steps: 60,
        batch: rows,
        cond_dropout,
        cond_dropouts: each.iter().map(|(name, p)| ((*name).to_owned(), *p)).collect::<BTreeMap<_, _>>(),
        ..Train::default()
    };
    let watch = Watch::default();
    let seen = watch.0.clone();
    let mut trainer = model().train(&data, watch, settings(0.2, &[("pose", 0.5), ("hair", 0.1)])).unwrap();
    seen.lock().unwrap().clear();
    while trainer.next().transpose().unwrap().is_some() {}
    let seen = seen.lock().unwrap();
    let share =
        |keep: &dyn Fn(&[bool; 3]) -> bool| seen.iter().filter(|row| keep(row)).count() as f64 / seen.len() as f64;
    let near = |what: &str, found: f64, expected: f64| {
        let error = 5.0 * (expected * (1.0 - expected) / seen.len() as f64).sqrt();
        assert!((found - expected).abs() < error, "{what}: {found:.3} and {expected:.3} ± {error:.3}");
    };
    near("class", share(&|row| row[0]), 0.8);
    near("pose", share(&|row| row[1]), 0.8 * 0.5);
    near("hair", share(&|row| row[2]), 0.8 * 0.9);
    near("all dropped", share(&|row| *row == [false; 3]), 0.2);
    near("pose and hair are independent", share(&|row| row[1] && row[2]), 0.8 * 0.5 * 0.9);

    let error = model().train(&data, Simple {}, settings(0.1, &[("age", 0.5)])).err().unwrap().to_string();
    assert!(error.contains("names the condition `age`, and the data have [\"class\", \"pose\", \"hair\"]"), "{error}");
}

#[test]
fn wrong_conditions_are_refused_before_the_first_step_of_training_and_sampling() {
    let specs = [pose()];
    let net = MlpConfig::new(2).with_conditions(specs).init(&Rng::new(0), &Device::flex()).unwrap();
    let model = || Model::new(Gaussian::new(Cosine::new(100)), net.clone()).unwrap();
    // The last row of many, which no step would have reached.
    let rows = 5000;
    let mut poses = vec![[0.0_f32, 1.0]; rows];
    poses[rows - 1][1] = f32::NAN;
    let data =
        Samples::new(vec![0.5; rows * 2], [rows, 2]).with_conditions(Conditions::none().with_vector("pose", poses));
    let error = model().train(&data, Simple {}, Train::default()).err().unwrap().to_string();
    assert!(error.contains("`pose` of row 4999 holds NaN"), "{error}");
    let y = Conditions::none().with_vector("pose", [[1.0]]);
    let error = model().sample(&Ddim::default(), 2, [1, 2], &y, &Rng::new(0)).err().unwrap().to_string();
    assert!(error.contains("`pose` is a vector of 2 values, and row 0 has 1"), "{error}");
}

#[test]
fn the_parameters_of_conditions_are_counted() {
    let (specs, device) = (all(), Device::flex());
    let task =
        Task { shape: &[1, 8, 8], num_classes: 3, conditions: &specs[1..], outputs: 1, categories: None, image: None };
    let net = unet().fit(&task).init(&Rng::new(0), &device).unwrap();
    assert_eq!(unet().footprint(&task).parameters, net.num_params() as f64);
    let net = dit().fit(&task).init(&Rng::new(0), &device).unwrap();
    assert_eq!(dit().footprint(&task).parameters, net.num_params() as f64);
    let text = Task { shape: &[5, 1], conditions: &specs[1..4], categories: Some(7), ..task };
    for words in [words(), words().with_time(false)] {
        let net = words.clone().fit(&text).init(&Rng::new(0), &device).unwrap();
        assert_eq!(words.footprint(&text).parameters, net.num_params() as f64);
    }
    let points = Task { shape: &[2], conditions: &specs[1..3], ..task };
    let net = MlpConfig::new(2).fit(&points).init(&Rng::new(0), &device).unwrap();
    assert_eq!(MlpConfig::new(2).footprint(&points).parameters, net.num_params() as f64);
}

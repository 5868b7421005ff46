//! What has no gradient keeps its bits: weights, moments and average.
use crate::common::{device, normal};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use tweedie::{
    Rng,
    data::Samples,
    loss::Simple,
    model::Model,
    net::{Conditions, Net, TransformerConfig},
    noise::Gaussian,
    schedule::Cosine,
    train::{AdamW, Checkpoint, Moments, Parameters, Train},
    transform::{Decoding, EmbeddingConfig},
};

fn settings(steps: u64) -> Train {
    let adam = AdamW { weight_decay: 0.3, ..AdamW::default() };
    Train { steps, batch: 4, warmup: 0, lr: 0.01, adam, clip: 0.0, cond_dropout: 0.0, ..Train::default() }
}
fn values(of: &Parameters, name: &str) -> Vec<f32> {
    let entries = of.to_host();
    entries.into_iter().find(|(own, ..)| *own == name).unwrap_or_else(|| panic!("no {name}")).2
}
fn bits(of: &Parameters, name: &str) -> Vec<u32> {
    values(of, name).into_iter().map(f32::to_bits).collect()
}
/// Fails unless the parameter is as it was at the start, with an equal average and no moments.
#[track_caller]
fn kept(before: &Checkpoint, after: &Checkpoint, name: &str) {
    assert_eq!(bits(&before.weights, name), bits(&after.weights, name), "{name}");
    assert_eq!(bits(&after.weights, name), bits(after.average.as_ref().unwrap(), name), "average of {name}");
    for moments in [&after.moments.first, &after.moments.second] {
        assert!(values(moments, name).iter().all(|x| *x == 0.0), "moments of {name}");
    }
}
#[track_caller]
fn moved(before: &Checkpoint, after: &Checkpoint, name: &str) {
    assert_ne!(bits(&before.weights, name), bits(&after.weights, name), "{name}");
}

#[test]
fn weight_decay_leaves_a_frozen_transform_as_it_is() {
    let rng = Rng::new(1);
    let tokens = Samples::new((0..60).map(|i| (i % 5) as f32).collect(), [10, 6, 1]);
    let config = EmbeddingConfig::new(5, 4).with_normalized(false).with_decoding(Decoding::Nearest);
    let trained = |frozen: bool| {
        let embedding = config.init(&rng, &device()).unwrap();
        let embedding = if frozen { embedding.no_grad() } else { embedding };
        let net = TransformerConfig::continuous(4, 6).with_width(8).with_depth(1).with_heads(1);
        let net = net.init(&rng, &device()).unwrap();
        let model = Model::new(Gaussian::new(Cosine::new(50)), net).unwrap().with_transform(embedding);
        let mut trainer = model.train(&tokens, Simple {}, settings(4)).unwrap();
        let before = trainer.checkpoint();
        trainer.by_ref().for_each(|step| assert!(step.is_ok()));
        (before, trainer.checkpoint())
    };
    let (before, after) = trained(true);
    kept(&before, &after, "transform.table");
    kept(&before, &after, "transform.bias");
    moved(&before, &after, "net.last.weight");
    // Trained, the table moves; its bias has no part in this objective.
    let (before, after) = trained(false);
    moved(&before, &after, "transform.table");
    kept(&before, &after, "transform.bias");
}

/// A net with parameters that are used always, for class 1 alone, with a factor of zero, and never.
#[derive(Module, Debug)]
struct Parts {
    always: Param<Tensor<2>>,
    class: Param<Tensor<1>>,
    nothing: Param<Tensor<1>>,
    never: Param<Tensor<1>>,
}
impl Parts {
    fn new() -> Self {
        let vector = |name| Param::from_tensor(normal(name, [2]));
        Self {
            always: Param::from_tensor(normal("always", [2, 2])),
            class: vector("class"),
            nothing: vector("nothing"),
            never: vector("never"),
        }
    }
}
impl Net<2> for Parts {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, _: Tensor<1>, y: &Conditions) -> Tensor<2> {
        let x = z.matmul(self.always.val()) + self.nothing.val().unsqueeze() * 0.0;
        let ones: Vec<f32> = y.to_classes().0.iter().map(|class| f32::from(u8::from(*class == Some(1)))).collect();
        if ones.iter().all(|one| *one == 0.0) {
            return x;
        }
        let ones = Tensor::<1>::from_data(ones.as_slice(), &x.device()).unsqueeze_dim::<2>(1);
        x + ones * self.class.val().unsqueeze()
    }
}

fn points(labels: impl Fn(usize) -> u32) -> Samples<2> {
    let values = Rng::new(2).normals(8, 2).into_iter().map(|x| x as f32).collect();
    Samples::new(values, [8, 2]).with_labels((0..8).map(labels).collect())
}
fn train(data: &Samples<2>, settings: Train) -> (Checkpoint, Checkpoint) {
    let model = Model::new(Gaussian::new(Cosine::new(50)), Parts::new()).unwrap();
    let mut trainer = model.train(data, Simple {}, settings).unwrap();
    let before = trainer.checkpoint();
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    (before, trainer.checkpoint())
}

#[test]
fn only_parameters_with_a_gradient_are_updated() {
    let (before, after) = train(&points(|_| 0), settings(5));
    moved(&before, &after, "net.always");
    kept(&before, &after, "net.never");
    kept(&before, &after, "net.class");
    // A gradient that is zero is one: the parameter decays.
    let factor = (1.0 - 0.01 * 0.3f64).powi(5);
    for (a, b) in values(&before.weights, "net.nothing").iter().zip(values(&after.weights, "net.nothing")) {
        assert!((f64::from(*a) * factor - f64::from(b)).abs() < 1e-6 * f64::from(a.abs()), "{a} → {b}");
    }
    assert_eq!(after.moments.skipped, [0, 5, 0, 5]);
}

#[test]
fn a_parameter_that_only_some_shards_use_is_updated_as_in_one_shard() {
    let data = points(|row| u32::from(row % 4 == 0));
    let of = |accumulate, shards| train(&data, Train { accumulate, shards, batch: 8, ..settings(3) });
    let (before, one) = of(1, 1);
    moved(&before, &one, "net.class");
    for (accumulate, shards) in [(1, 8), (4, 2), (8, 1)] {
        let (_, many) = of(accumulate, shards);
        kept(&before, &many, "net.never");
        for name in ["net.always", "net.class", "net.nothing"] {
            let gaps =
                values(&one.weights, name).into_iter().zip(values(&many.weights, name)).map(|(a, b)| (a - b).abs());
            assert!(gaps.fold(0.0, f32::max) < 1e-4, "{name} in {accumulate} parts of {shards} shards");
        }
    }
}

/// AdamW of one number in double precision, with the gradients of the steps in which there is one.
fn adamw(mut w: f64, gradients: &[f64], (lr, decay): (f64, f64)) -> f64 {
    let (mut m, mut v) = (0.0, 0.0);
    for (k, g) in (1..).zip(gradients) {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        let (m, v) = (m / (1.0 - 0.9f64.powi(k)), v / (1.0 - 0.999f64.powi(k)));
        w -= lr * (m / (v.sqrt() + 1e-8) + decay * w);
    }
    w
}

#[test]
fn each_parameter_counts_its_own_updates() {
    #[derive(Module, Debug)]
    struct Two {
        a: Param<Tensor<1>>,
        b: Param<Tensor<1>>,
    }
    let auto = device().autodiff();
    let one = |value: f32, device: &Device| Param::from_tensor(Tensor::<1>::from_data([value], device).require_grad());
    let mut module = Two { a: one(1.0, &auto), b: one(-2.0, &auto) };
    let (mut moments, mut average) = (Moments::new(&Parameters::of(&module)), Parameters::of(&module));
    let (adam, lr, d) = (AdamW { weight_decay: 0.1, ..AdamW::default() }, 0.01, 0.7);
    let (mut of_a, mut of_b, mut expected) = (vec![], vec![], -2.0);
    for step in 0..60 {
        let used = step >= 50 && step % 2 == 0;
        let (ga, gb) = (1.0 + 0.1 * f64::from(step), 3.0 - 0.2 * f64::from(step));
        of_a.push(ga);
        let mut loss = module.a.val() * ga;
        if used {
            of_b.push(gb);
            loss = loss + module.b.val() * gb;
        }
        let gradient = Parameters::gradients(&module, &mut loss.backward());
        let (weights, averaged) =
            moments.step(&adam, lr, Parameters::of(&module), gradient, 1.0, Some((average.clone(), d)));
        average = averaged.unwrap();
        expected = d * expected + (1.0 - d) * f64::from(values(&weights, "b")[0]);
        module = weights.into_module(module);
    }
    let weights = Parameters::of(&module);
    for (name, expected) in [("a", adamw(1.0, &of_a, (lr, 0.1))), ("b", adamw(-2.0, &of_b, (lr, 0.1)))] {
        let found = f64::from(values(&weights, name)[0]);
        assert!((found - expected).abs() < 1e-5, "{name}: {found} and not {expected}");
    }
    // The average follows the weights also in steps without a gradient.
    assert!((f64::from(values(&average, "b")[0]) - expected).abs() < 1e-5);
    assert_eq!(moments.skipped, [0, 55]);
}

#[test]
fn a_run_with_unused_parameters_resumes_bit_by_bit() {
    let data = points(|row| u32::from(row == 0));
    let trainer = || {
        let model = Model::new(Gaussian::new(Cosine::new(50)), Parts::new()).unwrap();
        model.train(&data, Simple {}, settings(9)).unwrap()
    };
    let mut whole = trainer();
    whole.by_ref().for_each(|step| assert!(step.is_ok()));
    let mut first = trainer();
    first.by_ref().take(5).for_each(|step| assert!(step.is_ok()));
    let folder = std::env::temp_dir().join(format!("tweedie-frozen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("checkpoint.safetensors");
    first.checkpoint().save(&path, &[]).unwrap();
    let (checkpoint, _) = Checkpoint::load(&path, &device()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(checkpoint.moments.skipped, first.checkpoint().moments.skipped);
    assert!(checkpoint.moments.skipped[1] > 0 && checkpoint.moments.skipped[1] < 5, "{:?}", checkpoint.moments.skipped);
    let mut second = trainer().restore(checkpoint).unwrap();
    second.by_ref().for_each(|step| assert!(step.is_ok()));
    let (whole, second) = (whole.checkpoint(), second.checkpoint());
    for name in ["net.always", "net.class", "net.nothing", "net.never"] {
        for (a, b) in [
            (&whole.weights, &second.weights),
            (whole.average.as_ref().unwrap(), second.average.as_ref().unwrap()),
            (&whole.moments.first, &second.moments.first),
            (&whole.moments.second, &second.moments.second),
        ] {
            assert_eq!(bits(a, name), bits(b, name), "{name}");
        }
    }
    assert_eq!(whole.moments.skipped, second.moments.skipped);
}

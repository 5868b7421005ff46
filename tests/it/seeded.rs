//! Nets made of burn's own layers, which draw from the device's generator: weights and dropout follow from the seed.
use crate::common::device;
use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Distribution, Tensor},
};
use std::sync::Barrier;
use tweedie::{
    Rng,
    data::Samples,
    loss::Simple,
    model::Model,
    net::{self, Conditions, Net},
    noise::Gaussian,
    schedule::Cosine,
    train::{Checkpoint, Parameters, Train},
};

#[derive(Module, Debug)]
struct Own {
    first: Linear,
    dropout: Dropout,
    last: Linear,
    /// Standard deviation of noise that the forward pass adds.
    noise: f64,
}
impl Own {
    fn new(dropout: f64, noise: f64, device: &Device) -> Self {
        Self {
            first: LinearConfig::new(2, 16).init(device),
            dropout: DropoutConfig::new(dropout).init(),
            last: LinearConfig::new(16, 2).init(device),
            noise,
        }
    }
}
impl Net<2> for Own {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, _: Tensor<1>, _: &Conditions) -> Tensor<2> {
        let h = self.dropout.forward(burn::tensor::activation::tanh(self.first.forward(z)));
        if self.noise == 0.0 {
            return self.last.forward(h);
        }
        let noise = h.random_like(Distribution::Normal(0.0, self.noise));
        self.last.forward(h + noise)
    }
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    parameters.to_host().into_iter().flat_map(|(.., values)| values).map(f32::to_bits).collect()
}
fn points() -> Samples<2> {
    Samples::new(Rng::new(2).normals(20, 2).into_iter().map(|x| x as f32).collect(), [20, 2])
}
fn settings(seed: u64) -> Train {
    Train { steps: 7, batch: 10, accumulate: 2, shards: 3, warmup: 0, seed, ..Train::default() }
}
/// Draws some numbers from the generator that the whole process shares.
fn disturb() {
    let _ = Tensor::<1>::random([7], Distribution::Default, &device());
}

#[test]
fn weights_of_burns_layers_follow_from_the_stream() {
    let build = |seed| {
        let rng = Rng::new(seed).stream("weights");
        bits(&Parameters::of(&net::seeded(&rng, &device(), |device| Own::new(0.0, 0.0, device))))
    };
    let one = build(1);
    disturb();
    assert_eq!(one, build(1));
    assert_ne!(one, build(2));
    // At once on several threads.
    let (start, expected) = (Barrier::new(4), [build(0), one, build(2), build(3)]);
    std::thread::scope(|scope| {
        let (start, build) = (&start, &build);
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                scope.spawn(move || {
                    start.wait();
                    (0..50).map(|_| build(seed)).collect::<Vec<_>>()
                })
            })
            .collect();
        for (thread, expected) in threads.into_iter().zip(expected) {
            assert!(thread.join().unwrap().into_iter().all(|found| found == expected));
        }
    });
}

#[test]
fn a_seeded_module_may_contain_another_and_an_error_releases_the_generator() {
    let rng = Rng::new(5);
    let nested = || {
        net::seeded(&rng, &device(), |device| {
            let own = Own::new(0.0, 0.0, device);
            let inside = net::seeded(&rng.stream("inside"), device, |device| LinearConfig::new(16, 2).init(device));
            Own { last: inside, ..own }
        })
    };
    assert_eq!(bits(&Parameters::of(&nested())), bits(&Parameters::of(&nested())));
    let failed = net::try_seeded(&rng, &device(), |_| Err::<Own, _>(tweedie::Error::invalid("no")));
    assert!(failed.is_err());
    assert!(std::panic::catch_unwind(|| net::seeded(&rng, &device(), |_| -> Own { panic!("inside") })).is_err());
    let _ = nested();
}

/// A run of a net that was made without a word about seeds.
fn run(seed: u64, dropout: f64, noise: f64, until: Option<u64>) -> (Vec<u32>, Checkpoint) {
    let model = |device: &Device| Model::new(Gaussian::new(Cosine::new(50)), Own::new(dropout, noise, device)).unwrap();
    let data = points();
    let mut trainer = model(&device()).train(&data, Simple {}, settings(seed)).unwrap();
    let initial = bits(&trainer.checkpoint().weights);
    if let Some(steps) = until {
        trainer.by_ref().take(steps as usize).for_each(|step| assert!(step.is_ok()));
        let checkpoint = trainer.checkpoint();
        disturb();
        trainer = model(&device()).train(&data, Simple {}, settings(seed)).unwrap().restore(checkpoint).unwrap();
    }
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    (initial, trainer.checkpoint())
}

#[test]
fn a_trainer_initializes_what_has_not_been_used_from_its_seed() {
    let (one, end) = run(1, 0.0, 0.0, None);
    disturb();
    let (again, end_again) = run(1, 0.0, 0.0, None);
    assert_eq!(one, again);
    assert_eq!(bits(&end.weights), bits(&end_again.weights));
    assert_ne!(one, run(2, 0.0, 0.0, None).0);
    let threads = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run(1, 0.0, 0.0, None).0)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(threads.into_iter().all(|found| found == one));
}

/// Dropout of burn, and a forward pass that draws by itself: the same bits again, on any number of threads, beside another run, and
/// resumed.
#[test]
fn layers_that_draw_in_training_follow_from_the_seed() {
    for (dropout, noise) in [(0.3, 0.0), (0.0, 0.2)] {
        let whole = bits(&run(1, dropout, noise, None).1.weights);
        assert_ne!(whole, bits(&run(1, 0.0, 0.0, None).1.weights), "the layer has an effect");
        disturb();
        assert_eq!(whole, bits(&run(1, dropout, noise, None).1.weights), "again");
        assert_eq!(whole, bits(&run(1, dropout, noise, Some(3)).1.weights), "resumed");
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(whole, pool.install(|| bits(&run(1, dropout, noise, None).1.weights)), "{threads} threads");
        }
        let beside = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..3).map(|_| scope.spawn(|| bits(&run(1, dropout, noise, None).1.weights))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(beside.into_iter().all(|found| found == whole), "beside another run");
        assert_ne!(whole, bits(&run(2, dropout, noise, None).1.weights), "another seed");
    }
}

//! A weight over noise levels that is learned with the net.
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};
use tweedie::{
    Rng,
    data::Samples,
    loss::{Regression, Simple, Uncertain, weight::Snr},
    model::Model,
    net::{Mlp, MlpConfig, Net},
    noise::{Discrete, Gaussian, Prediction},
    schedule::{FlowMatching, Linear, Schedule, VariancePreserving},
    train::{Checkpoint, Parameters, Train},
};

fn device() -> Device {
    Device::flex().autodiff()
}
/// A net that predicts 0, and has a parameter.
#[derive(Module, Debug)]
struct Zero {
    unused: Param<Tensor<1>>,
}
impl Net<2> for Zero {
    type Condition = ();
    fn forward(&self, z: Tensor<2>, _: Tensor<1>, _: &()) -> Tensor<2> {
        z.clone() * 0.0 + self.unused.val().reshape([1, 1]) * 0.0
    }
}
fn data(n: usize) -> Samples<2> {
    let points: Tensor<2> = Rng::new(1).normal_tensor([n, 4], &Device::flex(), DType::F32);
    Samples::new(points.try_into_vec_as().unwrap(), [n, 4]).with_labels(vec![0; n])
}
fn settings(steps: u64) -> Train {
    Train { steps, batch: 64, shards: 2, cond_dropout: 0.0, warmup: 0, clip: 0.0, ..Train::default() }
}
fn mlp() -> Model<2, Mlp> {
    let net = MlpConfig::new(4).with_num_classes(1).init(&Rng::new(0), &device()).unwrap();
    Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap()
}

#[test]
fn the_uncertainty_becomes_the_logarithm_of_the_loss_at_each_noise_level() {
    let schedule = VariancePreserving::default();
    let zero = Zero { unused: Param::from_tensor(Tensor::zeros([1], &device())) };
    let model = Model::new(Gaussian::new(schedule).with_prediction(Prediction::X0), zero).unwrap().with_uncertainty();
    // x̂ = 0 of data of unit variance: the loss is the SNR, and its logarithm λ.
    let loss = Uncertain(Regression::squared().with_weight(Snr {}));
    let settings = Train { lr: 0.02, ema_decay: 0.9, ..settings(1500) };
    let data = data(4096);
    let mut trainer = model.train(&data, loss, settings).unwrap();
    trainer.by_ref().try_for_each(|step| step.map(|_| ())).unwrap();
    let model = trainer.model();
    let times = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9];
    let u: Vec<f64> = model.uncertainty.as_ref().unwrap().forward(&schedule, &times).try_into_vec_as().unwrap();
    for (u, t) in u.iter().zip(times) {
        let lambda = schedule.at(t).log_snr();
        assert!((u - lambda).abs() < 0.5, "t = {t}: {u} for {lambda}");
    }
}

#[test]
fn an_uncertainty_that_has_learned_nothing_changes_nothing() {
    let data = data(256);
    let first = |model: Model<2, Mlp>, uncertain: bool| {
        let trainer = match uncertain {
            true => model.with_uncertainty().train(&data, Uncertain(Simple {}), settings(3)),
            false => model.train(&data, Simple {}, settings(3)),
        };
        trainer.unwrap().map(|step| step.unwrap().loss).collect::<Vec<_>>()
    };
    let (with, without) = (first(mlp(), true), first(mlp(), false));
    assert_eq!(with[0], without[0]);
    assert_ne!(with[2], without[2]);
}

#[test]
fn a_run_with_an_uncertainty_resumes_to_the_same_bits_and_stores_it() {
    let data = data(256);
    let trainer = || mlp().with_uncertainty().train(&data, Uncertain(Simple {}), settings(6)).unwrap();
    let mut whole = trainer();
    let steps: Vec<_> = whole.by_ref().map(Result::unwrap).collect();
    let folder = std::env::temp_dir().join(format!("tweedie-uncertainty-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("checkpoint.safetensors");
    let mut first = trainer();
    let mut found: Vec<_> = first.by_ref().take(3).map(Result::unwrap).collect();
    first.checkpoint().save(&path, &[]).unwrap();
    let (checkpoint, _) = Checkpoint::load(&path, &Device::flex()).unwrap();
    let mut second = trainer().restore(checkpoint).unwrap();
    found.extend(second.by_ref().map(Result::unwrap));
    assert_eq!(found, steps);
    let (whole, second) = (whole.checkpoint(), second.checkpoint());
    assert_eq!(whole.weights.to_host(), second.weights.to_host());
    assert_eq!(whole.moments.second.to_host(), second.moments.second.to_host());
    let (name, shape, values) = whole.weights.to_host().pop().unwrap();
    assert_eq!((name, shape), ("uncertainty.weight", &[129][..]));
    assert!(values.iter().all(|value| *value != 0.0));

    // It is for training: weights are read with it and without it.
    let weights = |model: &Model<2, Mlp>| Checkpoint::load_weights(&path, &Parameters::of(model), &Device::flex());
    assert_eq!(weights(&mlp()).unwrap().count() + 129, weights(&mlp().with_uncertainty()).unwrap().count());
    let plain = mlp().train(&data, Simple {}, settings(1)).unwrap();
    assert!(plain.checkpoint().weights.to_host().iter().all(|(name, ..)| !name.contains("uncertainty")));
    plain.checkpoint().save(&path, &[]).unwrap();
    let (_, _, values) = weights(&mlp().with_uncertainty()).unwrap().to_host().pop().unwrap();
    assert!(values.iter().all(|value| *value == 0.0));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_loss_with_an_uncertainty_is_refused_where_there_is_none_to_learn() {
    let data = data(64);
    let error = mlp().train(&data, Uncertain(Simple {}), settings(1)).err().unwrap().to_string();
    assert!(error.contains("the model has none to learn") && error.contains("with_uncertainty"), "{error}");
    let categories = Discrete::uniform(Linear::new(10), 3);
    let error = tweedie::loss::Loss::<2>::check(&Uncertain(Simple {}), &categories).unwrap_err().to_string();
    assert!(error.contains("learned over the noise levels"), "{error}");
}

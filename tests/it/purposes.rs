//! What a training step computes, held to its formulas; and that its random numbers are independent, purpose by purpose.
use crate::common::{device, near, normal};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use std::sync::{Arc, Mutex};
use tweedie::{
    Rng,
    data::{Data, Samples},
    loss::{Batch, Loss, Objective, Simple, per_sample},
    model::Model,
    net::{Conditions, MlpConfig, Net},
    noise::{Gaussian, Prediction},
    sample::{Ddim, trajectory},
    schedule::{Cosine, FlowMatching},
    spacing::Uniform,
    train::{Parameters, Train},
};

fn values(of: &Parameters) -> Vec<f64> {
    of.to_host().into_iter().flat_map(|(.., values)| values).map(f64::from).collect()
}
fn points(n: usize) -> Samples<2> {
    let values = Rng::new(2).normals(n, 2).into_iter().map(|x| x as f32).collect();
    Samples::new(values, [n, 2]).with_labels((0..n).map(|i| (i % 2) as u32).collect())
}
fn model() -> Model<2, impl Net<2, Condition = Conditions>> {
    let net = MlpConfig::new(2).with_hidden([8]).with_num_classes(2).init(&Rng::new(1), &device()).unwrap();
    Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap()
}

/// average ← d average + (1 − d) weights after step k = 1, 2, …, with d = min(ema_decay, k/(9 + k)).
#[test]
fn the_average_of_weights_is_that_of_its_formula() {
    let data = points(30);
    for ema_decay in [0.25, 0.9999] {
        let settings = Train { steps: 12, batch: 10, lr: 0.05, warmup: 0, ema_decay, ..Train::default() };
        let mut trainer = model().train(&data, Simple {}, settings).unwrap();
        let mut average = values(&trainer.checkpoint().weights);
        for k in 1..=12 {
            assert!(trainer.next().unwrap().is_ok());
            let checkpoint = trainer.checkpoint();
            let decay = ema_decay.min(f64::from(k) / (9.0 + f64::from(k)));
            for (average, weight) in average.iter_mut().zip(values(&checkpoint.weights)) {
                *average = decay * *average + (1.0 - decay) * weight;
            }
            let found = values(checkpoint.average.as_ref().unwrap());
            assert!(near(&found, &average, 2e-6), "step {k}, ema_decay = {ema_decay}");
            assert!(!near(&found, &values(&checkpoint.weights), 1e-4), "the average lags behind");
        }
    }
}

/// The gradient that the optimizer sees is g · min(1, clip/‖g‖): the first moment of one step is a tenth of it.
#[test]
fn gradients_are_clipped_by_the_norm_of_them_all() {
    let data = points(30);
    let first = |clip: f64| {
        let settings = Train { steps: 1, batch: 10, warmup: 0, clip, ..Train::default() };
        let mut trainer = model().train(&data, Simple {}, settings).unwrap();
        let step = trainer.next().unwrap().unwrap();
        (step.grad_norm, values(&trainer.checkpoint().moments.first))
    };
    let (norm, whole) = first(0.0);
    let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((length(&whole) - 0.1 * norm).abs() < 1e-6 * norm, "{} and {norm}", length(&whole));
    for factor in [0.3, 0.9, 1.1] {
        let (before, clipped) = first(factor * norm);
        assert_eq!(before, norm, "the norm is that before clipping");
        let expected: Vec<f64> = whole.iter().map(|g| g * f64::min(1.0, factor)).collect();
        assert!(near(&clipped, &expected, 1e-6 * norm), "clip = {factor} ‖g‖");
    }
}

/// What a step draws, row by row: for each purpose numbers that are 0 to 1 or have mean 0.
type Drawn = Arc<Mutex<Vec<Vec<f64>>>>;

/// Data that record the numbers of their stream.
struct Recorded(Samples<2>, Drawn);
impl Data<Tensor<2>, Conditions> for Recorded {
    fn len(&self) -> usize {
        Data::<Tensor<2>, Conditions>::len(&self.0)
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<2>, Conditions) {
        let drawn = rng.clone().uniforms(rows.len(), 2);
        self.1.lock().unwrap().extend(drawn.chunks(2).map(<[f64]>::to_vec));
        self.0.batch(rows, rng, device)
    }
}
/// A net that records the numbers of its stream, and of the one that the built-in nets take for dropout.
#[derive(Module, Debug)]
struct Recording {
    weight: Param<Tensor<2>>,
    #[module(skip)]
    drawn: Drawn,
}
impl Net<2> for Recording {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, _: Tensor<1>, _: &Conditions) -> Tensor<2> {
        z.matmul(self.weight.val())
    }
    fn forward_train(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<2> {
        let rows = z.dims()[0];
        let (own, dropout) = (rng.clone().uniforms(rows, 2), rng.stream("dropout").uniforms(rows, 2));
        let rows = own.chunks(2).zip(dropout.chunks(2)).map(|(own, dropout)| [own, dropout].concat());
        self.drawn.lock().unwrap().extend(rows);
        self.forward(z, t, y)
    }
}
/// A loss that records noise, times and dropped conditions.
#[derive(Debug)]
struct Record(Drawn);
impl Loss<2> for Record {
    fn compute(&self, batch: &Batch<2>) -> Tensor<1> {
        let eps: Vec<f64> = batch.eps.clone().unwrap().inner().try_into_vec_as().unwrap();
        let (n, y) = (batch.t.len() as f64, batch.condition::<Conditions>().unwrap().to_classes());
        self.0.lock().unwrap().extend(eps.chunks(2).enumerate().map(|(i, eps)| {
            // The words that Box and Muller's formula makes two normal numbers of, as a radius and an angle.
            let (radius, angle) = (eps[0].hypot(eps[1]), eps[1].atan2(eps[0]) / std::f64::consts::TAU);
            let uniform = (-0.5 * radius * radius).exp();
            // A time is a stratum and a shift that all rows share.
            vec![
                uniform,
                angle.rem_euclid(1.0),
                f64::from(u8::from(y.0[i].is_none())),
                batch.t[i],
                (batch.t[i] * n).fract(),
            ]
        }));
        per_sample((batch.prediction() - batch.target()).square())
    }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn no_two_purposes_of_a_step_share_random_numbers() {
    const BATCH: usize = 8;
    const STEPS: usize = 600;
    const NAMES: [&str; 11] = [
        "noise, radius",
        "noise, angle",
        "dropped conditions",
        "times",
        "shift of the times",
        "net, first",
        "net, second",
        "dropout, first",
        "dropout, second",
        "data, first",
        "data, second",
    ];
    let [by_data, by_net, by_loss]: [Drawn; 3] = Default::default();
    let data = Recorded(points(40), by_data.clone());
    let net = Recording { weight: Param::from_tensor(normal("w", [2, 2])), drawn: by_net.clone() };
    let model = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap();
    let settings =
        Train { steps: STEPS as u64, batch: BATCH, shards: 1, cond_dropout: 0.4, lr: 1e-4, ..Train::default() };
    let trainer = model.train(&data, Record(by_loss.clone()), settings).unwrap();
    let trainer = trainer.with_times(Arc::new(Uniform::default()));
    // What the first look at the data drew is not of a step.
    [&by_data, &by_net, &by_loss].iter().for_each(|drawn| drawn.lock().unwrap().clear());
    trainer.for_each(|step| assert!(step.is_ok()));
    let rows: Vec<Vec<f64>> = [by_loss, by_net, by_data]
        .map(|drawn| std::mem::take(&mut *drawn.lock().unwrap()))
        .into_iter()
        .reduce(|a, b| {
            assert_eq!(a.len(), b.len());
            a.into_iter().zip(b).map(|(a, b)| [a, b].concat()).collect()
        })
        .unwrap();
    assert_eq!((rows.len(), rows[0].len()), (BATCH * STEPS, NAMES.len()));
    let column = |i: usize, every: usize| -> Vec<f64> { rows.iter().step_by(every).map(|row| row[i]).collect() };
    for i in 0..NAMES.len() {
        for j in 0..i {
            if [i, j] == [4, 3] {
                continue; // A time and its own shift.
            }
            // Of all rows, and of the first row of each step: what all rows share may come from the words of one.
            for every in [1, BATCH] {
                let (found, n) = (correlation(&column(i, every), &column(j, every)), rows.len() / every);
                let allowed = 5.0 / (n as f64).sqrt();
                assert!(found.abs() < allowed, "{} and {}: a correlation of {found:.3}", NAMES[i], NAMES[j]);
            }
        }
    }
    // Conditions are dropped row by row: the number of them in a batch has a binomial variance.
    let dropped: Vec<f64> = column(2, 1).chunks(BATCH).map(|batch| batch.iter().sum()).collect();
    let mean = dropped.iter().sum::<f64>() / STEPS as f64;
    let variance = dropped.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / STEPS as f64;
    let binomial = BATCH as f64 * 0.4 * 0.6;
    assert!((mean - 3.2).abs() < 0.3 && (variance / binomial - 1.0).abs() < 0.3, "{mean}, {variance}");
}

/// x_t and dropped-out units of a row are the same in any batch.
#[test]
fn the_noise_of_a_row_does_not_depend_on_its_batch() {
    let net = MlpConfig::new(3).with_hidden([16]).with_dropout(0.4).init(&Rng::new(1), &device()).unwrap();
    let model = Model::new(Gaussian::new(Cosine::new(100)), crate::common::moved(net)).unwrap();
    let (objective, rng, x) = (Objective::from(Simple {}), Rng::new(7), normal("x", [6, 3]));
    let t = [0.1, 0.9, 0.4, 0.4, 0.7, 0.2];
    let of = |first: usize, rows: usize| {
        let rng = rng.from_row(first as u64);
        let x = x.clone().narrow(0, first, rows);
        let losses = model.losses(x, &t[first..first + rows], &Conditions::none(), &objective, &rng, true);
        [losses.z, losses.output].map(crate::common::bits)
    };
    let [z, output] = of(0, 6);
    for (first, rows) in [(0, 1), (1, 2), (3, 3), (5, 1)] {
        assert_eq!(of(first, rows), [&z, &output].map(|all| all[3 * first..3 * (first + rows)].to_vec()));
    }
}

/// A net whose output is t.
#[derive(Module, Debug)]
struct Clock {
    zero: Param<Tensor<1>>,
}
impl Net<2> for Clock {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, _: &Conditions) -> Tensor<2> {
        z.zeros_like() + t.unsqueeze_dim(1) + self.zero.val().unsqueeze()
    }
}

#[test]
fn a_net_sees_the_same_times_in_training_evaluation_and_sampling() {
    #[derive(Debug)]
    struct Seen(Arc<Mutex<Vec<[f64; 2]>>>);
    impl Loss<2> for Seen {
        fn compute(&self, batch: &Batch<2>) -> Tensor<1> {
            let output = batch.output.clone();
            let output = if output.device().is_autodiff() { output.inner() } else { output };
            let first: Vec<f64> = output.narrow(1, 0, 1).try_into_vec_as().unwrap();
            self.0.lock().unwrap().extend(first.into_iter().zip(batch.t).map(|(seen, t)| [seen, *t]));
            per_sample(batch.prediction())
        }
    }
    let seen = Arc::new(Mutex::new(vec![]));
    let data = points(20);
    let net = Clock { zero: Param::from_tensor(Tensor::zeros([2], &device())) };
    let model = Model::new(Gaussian::new(Cosine::new(100)), net).unwrap();
    let settings = Train { steps: 4, batch: 10, lr: 1e-9, ..Train::default() };
    let mut trainer = model.train(&data, Seen(seen.clone()), settings).unwrap();
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    let steps = seen.lock().unwrap().len();
    trainer.evaluate(&data, 20);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(steps >= 40 && seen.len() == steps + 20);
    for [seen, t] in seen {
        assert!((seen - t).abs() < 1e-6, "the net was given {seen} at t = {t}");
    }
    let model = trainer.model();
    let y = Conditions::none();
    for t in [0.01, 0.5, 1.0] {
        for denoiser in [model.conditioned(&y), model.guided(&y, 2.0)] {
            let output = denoiser.denoise(Tensor::zeros([3, 2], &device()), &[t]).output.expect("of one network");
            assert!(crate::common::numbers(output).into_iter().all(|seen| (seen - t).abs() < 1e-6), "at t = {t}");
        }
    }
    let denoiser = model.conditioned(&y);
    let steps = trajectory(&*denoiser, &Ddim { eta: 0.0 }, model.grid(4), [1, 2], &Rng::new(0), &device()).unwrap();
    assert_eq!(steps.map(|(t, _)| t).collect::<Vec<_>>(), [1.0, 0.75, 0.5, 0.25, 0.0]);
}

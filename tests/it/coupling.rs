//! Noise of training that is paired with data, offset or perturbed.
use burn::{
    module::Module,
    tensor::{DType, Device, Tensor},
};
use std::sync::{Arc, Mutex};
use tweedie::{
    Rng,
    data::Samples,
    loss::{Batch, Loss, Simple, per_sample},
    model::Model,
    net::{Conditions, Mlp, MlpConfig, Net},
    noise::{Discrete, Gaussian, Noise, Prediction},
    schedule::{FlowMatching, Linear, Schedule, VariancePreserving},
    train::{Coupling, Train, optimal_pairs},
};

fn normals<const D: usize>(purpose: &str, shape: [usize; D]) -> Tensor<D> {
    Rng::new(8).stream(purpose).normal_tensor(shape, &Device::flex(), DType::F32)
}
fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.try_into_vec_as().unwrap()
}
fn cost(x: &[f64], eps: &[f64], pairs: &[usize], width: usize) -> f64 {
    let distance = |i: usize, j: usize| -> f64 {
        let rows = x[i * width..(i + 1) * width].iter().zip(&eps[j * width..(j + 1) * width]);
        rows.map(|(x, eps)| (x - eps) * (x - eps)).sum()
    };
    pairs.iter().enumerate().map(|(i, j)| distance(i, *j)).sum()
}
/// Every order of `0..n`.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let shorter = orders(n - 1);
    let with = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..n).map(move |at| with(order, at))).collect()
}

#[test]
fn the_pairing_is_the_best_of_all_permutations() {
    for (n, width) in [(1, 3), (2, 1), (5, 2), (7, 3), (7, 40)] {
        let (x, eps) = (normals("x", [n, width]), normals("eps", [n, width]));
        let pairs = optimal_pairs(x.clone(), eps.clone());
        let (x, eps) = (host(x), host(eps));
        let best = orders(n).iter().map(|order| cost(&x, &eps, order, width)).fold(f64::INFINITY, f64::min);
        assert!((cost(&x, &eps, &pairs, width) / best - 1.0).abs() < 1e-9, "{n} × {width}: {pairs:?}");
    }
    // Equal rows, and no distance at all.
    let equal = normals("x", [1, 3]).repeat_dim(0, 4);
    let mut pairs = optimal_pairs(equal, normals("eps", [4, 3]));
    pairs.sort_unstable();
    assert_eq!(pairs, [0, 1, 2, 3]);
    let zero = Tensor::<2>::zeros([3, 2], &Device::flex());
    assert_eq!(optimal_pairs(zero.clone(), zero).len(), 3);
}

#[test]
fn the_pairing_of_a_batch_is_far_shorter_than_chance() {
    let (x, eps) = (normals("x", [128, 2]), normals("eps", [128, 2]));
    let pairs = optimal_pairs(x.clone(), eps.clone());
    let mut sorted = pairs.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..128));
    let own: Vec<usize> = (0..128).collect();
    let (x, eps) = (host(x), host(eps));
    assert!(cost(&x, &eps, &pairs, 2) < 0.1 * cost(&x, &eps, &own, 2));
}

/// What a batch held: x, x_t, ε, the network output, and the classes and times.
type Seen = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>, (Vec<Option<u32>>, Vec<f64>));
/// The squared error, and what it was computed from.
#[derive(Clone, Debug, Default)]
struct Spy(Arc<Mutex<Vec<Seen>>>);
impl<const D: usize> Loss<D> for Spy {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let read = |x: &Tensor<D>| host(x.clone());
        let classes = batch.condition::<Conditions>().map_or(vec![], |y| y.to_classes().0.to_vec());
        let eps = batch.eps.as_ref().map_or(vec![], read);
        self.0.lock().unwrap().push((
            read(&batch.x),
            read(&batch.z),
            eps,
            read(&batch.output),
            (classes, batch.t.to_vec()),
        ));
        per_sample((batch.prediction() - batch.target()).square())
    }
}
impl Spy {
    /// The batches that were seen in training, without the two passes before the first step.
    fn batches(&self) -> Vec<Seen> {
        self.0.lock().unwrap().split_off(2)
    }
}

/// A net that returns what it reads, plus a parameter.
#[derive(Module, Debug)]
struct Echo {
    net: Mlp,
}
impl<const D: usize> Net<D> for Echo {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<D>, t: Tensor<1>, y: &Conditions) -> Tensor<D> {
        let rows = z.dims()[0];
        let point = Tensor::<2>::zeros([rows, 1], &z.device());
        let mut shape = [1; D];
        shape[0] = rows;
        z + self.net.forward(point, t, y).reshape(shape) * 0.0
    }
}
fn echo<const D: usize>(schedule: impl Schedule + 'static) -> Model<D, Echo> {
    let net = MlpConfig::new(1).with_num_classes(64).init(&Rng::new(0), &Device::flex().autodiff()).unwrap();
    let noise = Gaussian::new(schedule).with_prediction(Prediction::Velocity);
    Model::new(noise, Echo { net }).unwrap()
}
fn settings(batch: usize) -> Train {
    Train { steps: 3, batch, shards: 1, cond_dropout: 0.0, ema_decay: 0.0, seed: 4, ..Train::default() }
}
/// Points whose class is their row.
fn points(n: usize) -> Samples<2> {
    let values = host(normals("points", [n, 2])).into_iter().map(|x| x as f32).collect();
    Samples::new(values, [n, 2]).with_labels((0..n as u32).collect())
}

#[test]
fn conditions_stay_with_their_data_and_the_noise_of_the_step_is_paired_with_them() {
    let n = 32;
    let data = points(n);
    let all = host(normals("points", [n, 2]));
    for coupling in [Coupling::Independent, Coupling::OptimalTransport] {
        let spy = Spy::default();
        let trainer = echo(FlowMatching {}).train(&data, spy.clone(), Train { coupling, ..settings(16) }).unwrap();
        assert_eq!(trainer.map(Result::unwrap).count(), 3);
        let batches = spy.batches();
        assert_eq!(batches.len(), 3);
        for (x, _, eps, _, (classes, _)) in batches {
            for (i, class) in classes.iter().enumerate() {
                let class = class.unwrap() as usize;
                assert_eq!(x[2 * i..2 * i + 2], all[2 * class..2 * class + 2]);
            }
            let tensor = |values: &[f64]| {
                let data = burn::tensor::TensorData::new(values.to_vec(), [16, 2]);
                Tensor::<2>::from_data(data, (&Device::flex(), DType::F64))
            };
            let own: Vec<usize> = (0..16).collect();
            let best = optimal_pairs(tensor(&x), tensor(&eps));
            let excess = cost(&x, &eps, &own, 2) - cost(&x, &eps, &best, 2);
            match coupling {
                Coupling::OptimalTransport => assert!(excess.abs() < 1e-6, "{excess}"),
                Coupling::Independent => assert!(excess > 1.0, "{excess}"),
            }
        }
    }
}

#[test]
fn a_batch_is_paired_as_a_whole_whatever_its_shards_and_parts() {
    let data = points(64);
    let losses = |shards, accumulate, coupling| -> Vec<f64> {
        let settings = Train { shards, accumulate, coupling, ..settings(32) };
        let net = MlpConfig::new(2).with_num_classes(64).init(&Rng::new(0), &Device::flex().autodiff()).unwrap();
        let noise = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity);
        let trainer = Model::new(noise, net).unwrap().train(&data, Simple {}, settings).unwrap();
        trainer.map(|step| step.unwrap().loss).collect()
    };
    let one = losses(1, 1, Coupling::OptimalTransport);
    for (shards, accumulate) in [(1, 1), (2, 1), (4, 1), (1, 4), (3, 2)] {
        let other = losses(shards, accumulate, Coupling::OptimalTransport);
        for (a, b) in one.iter().zip(&other) {
            assert!((a - b).abs() < 1e-5 * a, "{shards} shards, {accumulate} parts: {one:?} {other:?}");
        }
    }
    assert_eq!(one, losses(1, 1, Coupling::OptimalTransport));
    // A batch of one has nothing to pair.
    assert!((one[0] - losses(1, 1, Coupling::Independent)[0]).abs() > 1e-3 * one[0]);
}

#[test]
fn a_run_with_paired_offset_and_perturbed_noise_resumes_to_the_same_bits() {
    let (n, shape) = (24, [24, 2, 3, 1]);
    let values = host(normals("images", shape)).into_iter().map(|x| x as f32).collect();
    let data = Samples::<4>::new(values, shape).with_labels((0..n).collect());
    let settings = Train {
        coupling: Coupling::OptimalTransport,
        noise_offset: 0.1,
        input_perturbation: 0.1,
        shards: 2,
        accumulate: 2,
        steps: 4,
        ema_decay: 0.9,
        ..settings(8)
    };
    let trainer = || echo::<4>(FlowMatching {}).train(&data, Simple {}, settings.clone()).unwrap();
    let mut whole = trainer();
    let steps: Vec<_> = whole.by_ref().map(Result::unwrap).collect();
    let mut first = trainer();
    let mut found: Vec<_> = first.by_ref().take(2).map(Result::unwrap).collect();
    let mut second = trainer().restore(first.checkpoint()).unwrap();
    found.extend(second.by_ref().map(Result::unwrap));
    assert_eq!(found, steps);
    assert_eq!(whole.checkpoint().weights.to_host(), second.checkpoint().weights.to_host());
    assert_eq!(whole.evaluate(&data, 20), second.evaluate(&data, 20));
}

/// What one training of a net that returns its input saw, on images of 2 × 8 × 8. The input is x_t, which has unit variance.
fn seen(settings: Train) -> Vec<Seen> {
    let (n, shape) = (16, [16, 2, 8, 8]);
    let values = host(normals("images", shape)).into_iter().map(|x| x as f32).collect();
    let data = Samples::<4>::new(values, shape).with_labels((0..n).collect());
    let spy = Spy::default();
    let model = echo::<4>(VariancePreserving::default());
    let trainer = model.train(&data, spy.clone(), Train { steps: 20, ..settings }).unwrap();
    assert_eq!(trainer.map(Result::unwrap).count(), 20);
    spy.batches()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn offset_noise_adds_one_number_to_each_channel_of_epsilon() {
    let (plain, offset) = (seen(settings(16)), seen(Train { noise_offset: 0.3, ..settings(16) }));
    let mut squares = vec![];
    for ((x, _, eps, _, _), (y, z, more, output, _)) in plain.iter().zip(&offset) {
        assert!(x == y);
        // The network reads the same x_t that the loss sees.
        assert!(close(z, output));
        for (eps, more) in eps.chunks(64).zip(more.chunks(64)) {
            let added = more[0] - eps[0];
            assert!(eps.iter().zip(more).all(|(eps, more)| (more - eps - added).abs() < 1e-5));
            squares.push(added * added);
        }
    }
    // 640 channels: the variance has a standard error of √(2/640) of itself.
    let variance = squares.iter().sum::<f64>() / squares.len() as f64;
    assert!((variance / 0.09 - 1.0).abs() < 4.0 * (2.0 / squares.len() as f64).sqrt(), "{variance}");
}

#[test]
fn a_perturbed_input_differs_from_what_the_loss_sees_by_noise_of_gamma_sigma() {
    let (plain, perturbed) = (seen(settings(16)), seen(Train { input_perturbation: 0.2, ..settings(16) }));
    let (mut squares, mut count) = (0.0, 0.0);
    let schedule = VariancePreserving::default();
    for ((x, z, eps, read, _), (other, same, noise, output, (_, t))) in plain.iter().zip(&perturbed) {
        // The target is that of ε.
        assert!(x == other && eps == noise && close(z, same) && close(z, read));
        for row in 0..16 {
            let (z, output) = (&same[row * 128..(row + 1) * 128], &output[row * 128..(row + 1) * 128]);
            let sigma = schedule.at(t[row]).sigma;
            if sigma > 0.05 {
                squares += z.iter().zip(output).map(|(z, read)| ((read - z) / (0.2 * sigma)).powi(2)).sum::<f64>();
                count += 128.0;
            }
        }
    }
    assert!(
        count > 20_000.0 && (squares / count - 1.0_f64).abs() < 4.0 * f64::sqrt(2.0 / count),
        "{}",
        squares / count
    );
}

#[test]
fn what_is_defined_for_gaussian_noise_alone_is_refused_for_categories() {
    let categories = Discrete::uniform(Linear::new(10), 3);
    let gaussian = Gaussian::new(Linear::new(10));
    let refused = |settings: Train, noise: &dyn Noise<2>| {
        let error = settings.check().and_then(|()| settings.check_noise(noise)).unwrap_err();
        (error.field().unwrap_or_default().to_owned(), error.to_string())
    };
    let plain = Train::default();
    for (settings, field) in [
        (Train { coupling: Coupling::OptimalTransport, ..plain.clone() }, "coupling"),
        (Train { noise_offset: 0.1, ..plain.clone() }, "noise_offset"),
        (Train { input_perturbation: 0.1, ..plain.clone() }, "input_perturbation"),
    ] {
        let (found, text) = refused(settings, &categories);
        assert_eq!(found, field);
        assert!(text.contains("and categories have no ε"), "{text}");
    }
    let (field, text) = refused(Train { noise_offset: 0.1, ..plain.clone() }, &gaussian);
    assert!(field == "noise_offset" && text.contains("data of one axis have none"), "{text}");
    for settings in
        [Train { noise_offset: -0.1, ..plain.clone() }, Train { input_perturbation: f64::NAN, ..plain.clone() }]
    {
        let (_, text) = refused(settings, &gaussian);
        assert!(text.contains("must be a finite number of 0 or more"), "{text}");
    }
    // Before the first step.
    let net = MlpConfig::new(2).with_num_classes(8).init(&Rng::new(0), &Device::flex().autodiff()).unwrap();
    let model = Model::new(gaussian.with_prediction(Prediction::X0), net).unwrap();
    let error = model.train(&points(8), Simple {}, Train { noise_offset: 0.1, ..settings(4) }).err().unwrap();
    assert_eq!(error.field(), Some("noise_offset"));
}

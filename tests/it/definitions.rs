//! Functions against their definitions, written out once more: what obeys every law with a factor or a sign changed.
use crate::common::{all_hold, device, gap, near, numbers};
use burn::tensor::{DType, Tensor, TensorData};
use tweedie::{
    Dual, Rng,
    distribution::Normal,
    laws,
    loss::{Batch, Loss, Vlb},
    net::{Conditions, DitConfig, MlpConfig, Net, Positions, layers::time_features},
    noise::{Discrete, DiscreteMatrix, Estimate, Gaussian, Noise, Prediction, Variance},
    schedule::{Edm, FlowMatching, Linear, VariancePreserving},
    train::Parameters,
};

/// Every function of dual numbers has the derivative of its value.
#[test]
fn slopes_of_dual_numbers_are_derivatives() {
    type Function = fn(Dual) -> Dual;
    let functions: [(&str, Function, &[f64]); 22] = [
        ("exp", Dual::exp, &[-1.3, 0.4]),
        ("exp_m1", Dual::exp_m1, &[-1.3, 0.4]),
        ("ln", Dual::ln, &[0.3, 2.0]),
        ("ln_1p", Dual::ln_1p, &[-0.6, 2.0]),
        ("sqrt", Dual::sqrt, &[0.3, 2.0]),
        ("powf", |x| x.powf(1.7), &[0.3, 2.0]),
        ("powf to 0", |x| x.powf(0.0), &[0.3, 2.0]),
        ("powi", |x| x.powi(3), &[-0.7, 2.0]),
        ("powi below 0", |x| x.powi(-2), &[-0.7, 2.0]),
        ("powi to 0", |x| x.powi(0), &[-0.7, 0.0]),
        ("recip", Dual::recip, &[-0.7, 2.0]),
        ("sin", Dual::sin, &[0.3, 2.0]),
        ("cos", Dual::cos, &[0.3, 2.0]),
        ("tan", Dual::tan, &[0.3, 1.2]),
        ("atan", Dual::atan, &[-0.3, 2.0]),
        ("asin", Dual::asin, &[-0.3, 0.8]),
        ("acos", Dual::acos, &[-0.3, 0.8]),
        ("sinh", Dual::sinh, &[-0.3, 1.8]),
        ("cosh", Dual::cosh, &[-0.3, 1.8]),
        ("tanh", Dual::tanh, &[-0.3, 1.8]),
        ("abs", Dual::abs, &[-0.3, 1.8]),
        ("min and max", |x| x.min(0.5) + x.max(0.5) * 2.0, &[-0.3, 1.8]),
    ];
    for (name, f, places) in functions {
        for &at in places {
            let (h, own) = (1e-5, f(Dual { value: at, slope: -2.0 }));
            let slope = (f(Dual::time(at + h)).value - f(Dual::time(at - h)).value) / (2.0 * h);
            let absolute = if name == "abs" { at.abs() } else { own.value };
            assert_eq!(own.value, absolute, "{name} at {at}");
            assert!((own.slope + 2.0 * slope).abs() < 1e-7 * (1.0 + slope.abs()), "{name} at {at}: {own:?}, {slope}");
        }
    }
}

/// `sin(1000 t ωᵢ)` and `cos(1000 t ωᵢ)`, ωᵢ = 10000^(−2i/features).
#[test]
fn features_of_the_time_are_those_of_the_formula() {
    let t = [0.0, 0.013, 0.5, 1.0];
    let own = numbers(time_features(Tensor::from_floats(t.map(|t| t as f32), &device()), 8));
    let angle = |t: f64, i: i32| 1000.0 * t * 1e4f64.powf(-f64::from(i) / 4.0);
    let row = |t: f64| (0..4).map(move |i| angle(t, i).sin()).chain((0..4).map(move |i| angle(t, i).cos()));
    let wanted: Vec<f64> = t.into_iter().flat_map(row).collect();
    assert!(near(&own, &wanted, 1e-4), "{own:?} for {wanted:?}");
}

/// `h ← h + silu(W h + V e)`, with e the embedding of the time: the net with every parameter perturbed.
#[test]
fn a_perceptron_is_its_formula() {
    let net = MlpConfig::new(2).with_hidden([6, 6]).with_time_features(4).init(&Rng::new(2), &device()).unwrap();
    let entries: Vec<(String, Vec<usize>, Vec<f32>)> = Parameters::of(&net)
        .to_host()
        .into_iter()
        .enumerate()
        .map(|(i, (name, shape, values))| {
            let n = values.len();
            let values = Rng::new(5).at_step(i as u64).normals(1, n).into_iter().map(|x| 0.5 * x as f32).collect();
            (name.to_owned(), shape.to_vec(), values)
        })
        .collect();
    let net = Parameters::from_host(entries.clone(), &device()).into_module(net);
    let of =
        |name: &str| &entries.iter().find(|entry| entry.0 == name).unwrap_or_else(|| panic!("{name}: {entries:?}")).2;
    let linear = |name: &str, x: &[f64]| -> Vec<f64> {
        let (weight, bias) = (of(&format!("{name}.weight")), of(&format!("{name}.bias")));
        let n = bias.len();
        let sum = |j: usize| x.iter().enumerate().map(|(i, x)| x * f64::from(weight[i * n + j])).sum::<f64>();
        (0..n).map(|j| f64::from(bias[j]) + sum(j)).collect()
    };
    let silu = |x: Vec<f64>| -> Vec<f64> { x.into_iter().map(|x| x / (1.0 + (-x).exp())).collect() };
    let add = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.into_iter().zip(b).map(|(a, b)| a + b).collect() };
    let (z, t) = ([0.7, -0.4], 0.37);
    let features = numbers(time_features(Tensor::from_floats([t as f32], &device()), 4));
    let told = silu(linear("cond.second", &silu(linear("cond.first", &features))));
    let hidden = |i: usize, h: &[f64]| {
        let own = linear(&format!("hidden.{i}.linear"), h);
        silu(add(own, linear(&format!("hidden.{i}.cond"), &told)))
    };
    let first = hidden(0, &z);
    let second = add(first.clone(), hidden(1, &first));
    let wanted = linear("last", &second);
    let z = Tensor::<2>::from_floats([z.map(|z| z as f32)], &device());
    let own = numbers(net.forward(z, Tensor::from_floats([t as f32], &device()), &Conditions::none()));
    assert!(near(&own, &wanted, 1e-4), "{own:?} for {wanted:?}");
}

/// Without positions attention does not know where a patch is: exchanging two patches exchanges their outputs.
#[test]
fn patches_know_their_places() {
    for positions in [Positions::Sinusoidal, Positions::Rotary] {
        let config =
            DitConfig::new(1).with_patch(2).with_width(16).with_heads(2).with_depth(1).with_positions(positions);
        let net = config.init(&Rng::new(0), &device()).unwrap();
        let stirred = Parameters::of(&net)
            .to_host()
            .into_iter()
            .enumerate()
            .map(|(i, (name, shape, values))| {
                let noise = Rng::new(1).at_step(i as u64).normals(1, values.len());
                let values = values.iter().zip(noise).map(|(value, noise)| value + 0.3 * noise as f32).collect();
                (name.to_owned(), shape.to_vec(), values)
            })
            .collect();
        let net = Parameters::from_host(stirred, &device()).into_module(net);
        let z: Tensor<4> = Rng::new(3).normal_tensor([1, 1, 4, 4], &device(), DType::F32);
        let run = |z: Tensor<4>| net.forward(z, Tensor::from_floats([0.4], &device()), &Conditions::none());
        // The left half and the right half, each of two patches.
        let swap = |z: Tensor<4>| Tensor::cat(vec![z.clone().narrow(3, 2, 2), z.narrow(3, 0, 2)], 3);
        let apart = gap(swap(run(swap(z.clone()))), run(z));
        // Rotations of queries and keys know distances alone, and the two distances differ in sign.
        assert!(apart > 1e-3, "{positions:?}: {apart:.1e}");
    }
}

/// EDM's preconditioning: of data of standard deviation d the network's input and its target have unit variance, and the target is
/// uncorrelated with x_t.
#[test]
fn input_and_target_of_edm_have_unit_variance() {
    let (d, t) = (0.3, 0.37);
    for noise in
        [Gaussian::new(Edm::default()), Gaussian::new(FlowMatching {}), Gaussian::new(VariancePreserving::default())]
    {
        let noise = noise.with_prediction(Prediction::Edm).with_data_std(d);
        let c = noise.schedule().at(t);
        // Linear in x = d u and ε: the coefficients of independent u and ε.
        let of = |x: f64, eps: f64| {
            let tensor = |x: f64| Tensor::<2>::from_data(TensorData::new(vec![x], [1, 1]), (&device(), DType::F64));
            let (x, z) = (tensor(d * x), tensor(c.alpha * d * x + c.sigma * eps));
            [numbers(noise.input(z.clone(), &[t]))[0], numbers(noise.target(x, z, &[t]))[0]]
        };
        let ([input_x, target_x], [input_eps, target_eps]) = (of(1.0, 0.0), of(0.0, 1.0));
        let products = [
            input_x * input_x + input_eps * input_eps,
            target_x * target_x + target_eps * target_eps,
            input_x * target_x + input_eps * target_eps,
        ];
        assert!(near(&products, &[1.0, 1.0, 0.0], 1e-9), "{noise:?}: {products:?}");
    }
}

/// A network output of −1 is the small variance and of 1 the large one, in steps and in the decoder.
#[test]
fn a_learned_variance_goes_from_the_small_to_the_large_one() {
    let noise = |variance| Gaussian::new(Linear::new(100)).with_variance(variance);
    let (small, large, learned) = (noise(Variance::Small), noise(Variance::Large), noise(Variance::Learned));
    let z: Tensor<2> = Rng::new(0).normal_tensor([4, 2], &device(), DType::F64);
    let estimate = |share: f64| {
        let output = Tensor::cat(vec![z.clone() * 0.5, z.zeros_like() + share], 1);
        learned.estimate(output, z.clone(), &[0.5])
    };
    let plain = || Estimate::from(z.clone() * 0.5);
    let stds = |noise: &Gaussian, estimate: &dyn Fn() -> Estimate<2>| {
        let step = noise.approximate(estimate(), z.clone(), &[0.3], &[0.5]).std();
        [step, noise.decoder(estimate(), z.clone(), &[0.02]).std()].map(|std| numbers(std.expand([4, 2])))
    };
    let [low, high] = [&small, &large].map(|noise| stds(noise, &plain));
    let middle: [Vec<f64>; 2] =
        std::array::from_fn(|i| low[i].iter().zip(&high[i]).map(|(low, high)| (low * high).sqrt()).collect());
    for (share, wanted) in [(-1.0, &low), (0.0, &middle), (1.0, &high)] {
        let own = stds(&learned, &|| estimate(share));
        for (own, wanted) in own.iter().zip(wanted) {
            assert!(near(own, wanted, 1e-9), "{share}: {own:?} for {wanted:?}");
        }
    }
}

/// The first term of the bound of images of L levels is −ln of a probability over these levels.
#[test]
fn the_decoder_of_levels_is_a_distribution_over_them() {
    let noise = Gaussian::new(Linear::new(10));
    let t = vec![0.1];
    for levels in [2, 5, 16] {
        let loss = Vlb::new(10).with_levels(levels);
        let z = Tensor::<2>::from_data(TensorData::new(vec![0.31], [1, 1]), (&device(), DType::F64));
        let nats = |level: usize| {
            let x = z.zeros_like() + (2.0 * level as f64 / (levels - 1) as f64 - 1.0);
            let eps = z.zeros_like();
            let batch = Batch::new(&noise, x, z.clone(), Some(eps), &t, z.clone() * 0.4, &(), &());
            numbers(Loss::<2>::compute(&loss, &batch))[0] / 10.0
        };
        let total: f64 = (0..levels).map(|level| (-nats(level)).exp()).sum();
        assert!((total - 1.0).abs() < 1e-9, "{levels} levels: {total}");
    }
}

/// The mass of a narrow bin in single precision is that in double precision, where differences of erf are exact, and that is the
/// density times the width, to second order.
#[test]
fn narrow_bins_have_the_mass_of_their_density() {
    for center in [0.0, 0.4, 1.1, 1.9, 2.3, 2.45, 2.7, 3.3, 4.2, -0.7, -2.3, -3.1] {
        for half in [1e-4, 2e-4, 1e-3, 4e-3, 1.5e-2] {
            // A mean of 0 would make x an end of the range where |x| ≥ 1.
            let nll = |dtype| {
                let tensor = |x: f64| Tensor::<1>::from_data(TensorData::new(vec![x], [1]), (&device(), dtype));
                let scale = 0.1;
                numbers(
                    Normal::trusted(tensor(0.0), tensor(scale)).discretized_nll(tensor(center * scale), half * scale),
                )[0]
            };
            let (single, double) = (nll(DType::F32), nll(DType::F64));
            let density = 0.5 * center * center + 0.5 * std::f64::consts::TAU.ln();
            let curved = (4.0 * half * half * (center * center - 1.0) / 24.0_f64).ln_1p();
            let wanted = density - (2.0 * half).ln() - curved;
            assert!((double - wanted).abs() < 1e-5, "{center} ± {half}: {double} for {wanted}");
            // The ends of the bin are rounded to single precision.
            let rounding = 3e-6 + 2e-7 * (1.0 + center.abs()) / half;
            assert!(
                (single - double).abs() < rounding * (1.0 + double.abs()),
                "{center} ± {half}: {single} for {double}"
            );
        }
    }
}

/// Rates of ½ per nearest neighbor and direction, divided among the neighbors: a symmetric matrix.
#[test]
fn more_than_one_nearest_neighbour_shares_the_rate() {
    let points: Vec<Vec<f64>> = [0.0, 1.0, 2.2, 5.0].iter().map(|p| vec![*p]).collect();
    let chain = DiscreteMatrix::nearest(FlowMatching {}, &points, 2).unwrap();
    let x = Tensor::<3>::from_data(TensorData::new(vec![0.0, 1.0, 2.0, 3.0], [1, 4, 1]), (&device(), DType::F64));
    // For small times 1 − ᾱ = t: q(y | x) = t R.
    let t = 1e-6;
    let own: Vec<f64> = numbers(Noise::<3>::prior(&chain, x, &[t]).mean()).into_iter().map(|q| q / t).collect();
    let near_two = [[1, 2], [0, 2], [1, 0], [2, 1]];
    let mut rates = [[0.0; 4]; 4];
    for (x, others) in near_two.iter().enumerate() {
        for &y in others {
            rates[x][y] += 0.25;
            rates[y][x] += 0.25;
        }
    }
    for x in 0..4 {
        for y in (0..4).filter(|y| *y != x) {
            assert!((own[4 * x + y] - rates[x][y]).abs() < 1e-4, "{x} to {y}: {} for {}", own[4 * x + y], rates[x][y]);
        }
    }
}

/// Chains of matrices keep the form of x_t, category indices or one-hot vectors.
#[test]
fn chains_obey_their_laws_on_indices() {
    let points: Vec<Vec<f64>> = [0.0, 1.0, 2.2].iter().map(|p| vec![*p]).collect();
    let chain = DiscreteMatrix::nearest(FlowMatching {}, &points, 1).unwrap();
    let indices = Tensor::<3>::from_data(TensorData::new(vec![0.0, 2.0, 1.0, 1.0], [2, 2, 1]), (&device(), DType::F64));
    let hot = tweedie::distribution::one_hot(indices.clone(), 3);
    for x in [indices, hot] {
        all_hold("nearest", laws::noise::<3>(&chain, &x));
        all_hold("uniform", laws::noise::<3>(&Discrete::uniform(FlowMatching {}, 3), &x));
    }
}

//! Variational bounds, term by term, against other programs and closed forms.
use crate::common::numbers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::f64::consts::{LN_2, SQRT_2};
use tweedie::{
    Rng,
    denoise::{Clamped, Denoiser, Thresholded, Truncated, Truncation},
    distribution::{Distribution, Normal},
    exact::{ComponentCovariance, Joint, Mixture},
    likelihood,
    loss::{MaskedNelbo, Vlb, prior_term},
    noise::{Discrete, Estimate, Gaussian, Noise, Variance, lift},
    schedule::{FlowMatching, Linear, Table},
};

/// improved-diffusion's `calc_bpd_loop` on its linear schedule of 100 steps with the small variance, for two images of which the
/// k-th sample of noise is √2 cos(1.7 j + k) and a model with ε̂ = 0.5 x_t t/100: bits per dimension of every term, the first at
/// t = 99.
#[test]
fn bits_per_dimension_are_those_of_improved_diffusion() {
    let tensor = |f: &dyn Fn(usize) -> f64| -> Tensor<4> {
        let data: Vec<f64> = (0..32).map(f).collect();
        Tensor::from_data(TensorData::new(data, [2, 1, 4, 4]), (&Device::flex(), DType::F64))
    };
    let noise = Gaussian::new(Linear::between(100, 1e-3, 0.2)).with_variance(Variance::Small);
    let x = tensor(&|j| (j * 8 % 256) as f64 / 127.5 - 1.0);
    let bits = |nats: Tensor<4>| {
        numbers(nats.reshape([2, 16]).mean_dim(1)).into_iter().map(|nats| nats / LN_2).collect::<Vec<_>>()
    };
    let mut terms = [vec![], vec![]];
    let mut squares = 0.0;
    for (i, k) in (0..100).rev().zip(1..) {
        let (s, t) = (f64::from(i) / 100.0, f64::from(i + 1) / 100.0);
        let eps = tensor(&|j| SQRT_2 * (1.7 * j as f64 + f64::from(k)).cos());
        let prior = Noise::<4>::prior(&noise, x.clone(), &[t]);
        let z = prior.mean() + prior.std() * eps.clone();
        let mean = noise.estimate(z.clone() * (0.005 * f64::from(i)), z.clone(), &[t]).mean.clamp(-1.0, 1.0);
        let eps_hat = (z.clone() - mean.clone() * noise.schedule().at(t).alpha) / noise.schedule().at(t).sigma;
        squares += numbers((eps_hat - eps).square().mean())[0] / 100.0;
        let estimate = || Estimate::from(mean.clone());
        let term = if i == 0 {
            let law = noise.decoder(estimate(), z, &[t]);
            bits(Normal::new(law.mean(), law.std()).unwrap().discretized_nll(x.clone(), 1.0 / 255.0))
        } else {
            let law = noise.approximate(estimate(), z.clone(), &[s], &[t]);
            bits(noise.posterior(x.clone(), z, &[s], &[t]).kl(&*law))
        };
        (0..2).for_each(|row| terms[row].push(term[row]));
    }
    let prior: Vec<f64> = numbers(prior_term(&noise as &dyn Noise<4>, x)).into_iter().map(|nats| nats / LN_2).collect();
    let near = |own: f64, theirs: f64, allowed: f64, what: &str| {
        assert!((own / theirs - 1.0).abs() < allowed, "{what}: {own}, not {theirs}");
    };
    // Their tables are in single precision.
    near(prior[0], 5.352909283828922e-06, 1e-4, "the prior");
    near(prior[1], 4.542225724435411e-06, 1e-4, "the prior");
    near(squares, 0.2816302908843113, 1e-5, "the squared error");
    let first = [
        5.272040711700446e-06,
        5.992122425215404e-06,
        6.142684236834607e-06,
        8.72016982255602e-06,
        1.2818811023364133e-05,
    ];
    let last = [0.34923584775956407, 0.5335612403533904, 0.8306192242653695, 2.0685969309383387, 4.050175517043089];
    for (own, theirs) in terms[0].iter().zip(first).chain(terms[0][95..99].iter().zip(last)) {
        // They add numbers near 1 in single precision.
        near(*own, theirs, 1e-4 + 2e-7 / theirs, "a term");
    }
    // They approximate the normal distribution function by a hyperbolic tangent.
    near(terms[0][99], last[4], 1e-3, "the decoder");
    for (row, total) in [10.761876326447926, 11.004215432185466].into_iter().enumerate() {
        near(terms[row].iter().sum::<f64>() + prior[row], total, 1e-3, "the sum");
    }
}

/// Bounds on −ln p of N(0.5, 0.49), whose entropy is 1.0622635892659402 nats, under DDPM's linear table with β scaled by 1000/T and
/// at most 0.999: with the variance of p that is best, with β, and with β̃ and a decoder of variance β₁. Closed forms in double
/// precision.
#[test]
fn bounds_of_gaussian_data_are_those_of_closed_forms() {
    let cases = [
        (10, [1.0622635892659409, 1.095033321004107, 8.887582214027157]),
        (50, [1.0622645573655523, 1.0677948817646803, 3.180915007176285]),
        (100, [1.0622661380541922, 1.0649922751110696, 2.3664187781120685]),
        (1000, [1.0622686341588379, 1.0625380884632913, 1.5233811699055573]),
    ];
    let (m, v) = (0.5, 0.49);
    for (steps, wanted) in cases {
        let scale = 1000.0 / steps as f64;
        let beta = |i: usize| (scale * (1e-4 + (0.02 - 1e-4) * i as f64 / (steps - 1) as f64)).min(0.999);
        let noise = Gaussian::new(Table::new((0..steps).map(beta)).unwrap());
        let end = noise.schedule().at(1.0);
        let prior = 0.5 * (end.alpha.powi(2) * (v + m * m) + end.sigma.powi(2) - 1.0) - end.sigma.ln();
        let mut sums = [prior; 3];
        for i in 1..=steps {
            let (s, t) = ((i - 1) as f64 / steps as f64, i as f64 / steps as f64);
            let (a, c) = (noise.schedule().at(s), noise.schedule().at(t));
            let (beta, small) = (beta(i - 1), {
                let one = Tensor::<2>::ones([1, 1], (&Device::flex(), DType::F64));
                numbers(noise.posterior(one.clone(), one, &[s], &[t]).std())[0].powi(2)
            });
            // The gap of the means is linear in x and ε: quadrature of three nodes each is exact.
            let nodes = [(-(3f64.sqrt()), 1.0 / 6.0), (0.0, 2.0 / 3.0), (3f64.sqrt(), 1.0 / 6.0)];
            let (x, z): (Vec<f64>, Vec<f64>) = (0..9)
                .map(|k| {
                    let x = m + v.sqrt() * nodes[k / 3].0;
                    (x, c.alpha * x + c.sigma * nodes[k % 3].0)
                })
                .unzip();
            let gain = c.alpha * v / (c.alpha.powi(2) * v + c.sigma.powi(2));
            let x_hat: Vec<f64> = z.iter().map(|z| m + gain * (z - c.alpha * m)).collect();
            let column = |values: &[f64]| -> Tensor<2> {
                Tensor::from_data(TensorData::new(values.to_vec(), [9, 1]), (&Device::flex(), DType::F64))
            };
            let target = noise.posterior(column(&x), column(&z), &[s], &[t]);
            let mean = noise.approximate(column(&x_hat).into(), column(&z), &[s], &[t]).mean();
            let gaps = numbers((mean.clone() - target.mean()).square());
            let gap: f64 = (0..9).map(|k| nodes[k / 3].1 * nodes[k % 3].1 * gaps[k]).sum();
            for (sum, variance) in sums.iter_mut().zip([small + gap, beta, if i == 1 { beta } else { small }]) {
                let law = Normal::new(mean.clone(), mean.full_like(variance.sqrt())).unwrap();
                // At the first step the posterior is the point x.
                let nats = if a.sigma == 0.0 { law.nll(column(&x)) } else { target.kl(&law) };
                let nats = numbers(nats);
                *sum += (0..9).map(|k| nodes[k / 3].1 * nodes[k % 3].1 * nats[k]).sum::<f64>();
            }
        }
        for (own, wanted) in sums.into_iter().zip(wanted) {
            assert!((own - wanted).abs() < 1e-9, "{steps} steps: {own}, not {wanted}");
        }
    }
}

/// The bound of a denoiser that carries no output, of a learned variance too, is that of its estimate.
#[test]
fn a_clipped_denoiser_has_the_bound_of_its_estimate() {
    /// x̂ = α z, by a network output.
    struct Network(Gaussian);
    impl Denoiser<2> for Network {
        fn noise(&self) -> &dyn Noise<2> {
            &self.0
        }
        fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
            let [alpha] = lift(&z, t, |_, t| [self.0.schedule().at(t).alpha]);
            let prediction = Noise::<2>::target(&self.0, z.clone() * alpha, z.clone(), t);
            let output = match Noise::<2>::outputs(&self.0) {
                2 => Tensor::cat(vec![prediction.clone(), prediction.full_like(0.3)], 1),
                _ => prediction,
            };
            self.0.estimate(output, z, t)
        }
    }
    let x = Rng::new(3).normal_tensor([16, 2], &Device::flex(), DType::F64);
    for variance in [Variance::Small, Variance::Learned] {
        let noise = Gaussian::new(Linear::new(20)).with_variance(variance);
        let bound = |model: &dyn Denoiser<2>| {
            likelihood::bound(model, &Vlb::default(), x.clone(), 20, &Rng::new(5)).unwrap().rows
        };
        let network = Network(noise);
        let plain = bound(&network);
        // A range that changes nothing; the output is dropped.
        let clipped = bound(&Clamped { model: &network, low: -1e6, high: 1e6 });
        for (a, b) in plain.iter().zip(&clipped) {
            assert!((a - b).abs() < 1e-9 * a.abs(), "{a} and {b}");
        }
        let narrow = bound(&Clamped { model: &network, low: -0.1, high: 0.1 });
        assert!(narrow.iter().sum::<f64>() > 1.5 * plain.iter().sum::<f64>(), "clipping has its effect");
    }
}

/// The bound is of the denoiser as it is given: of one that is clipped or thresholded, what quadrature over x_t says of DDPM's terms with
/// the clipped x̂. The data are the point 0.8, the denoiser that of N(0.5, 0.49), whose x̂ leaves [−1, 1].
#[test]
fn the_bound_of_a_clipped_denoiser_is_that_of_quadrature() {
    let (x, mean, v, steps, rows) = (0.8, 0.5, 0.49, 20, 20_000);
    let betas: Vec<f64> = (0..steps).map(|i| 0.01 + 0.3 * f64::from(i) / f64::from(steps - 1)).collect();
    let noise = Gaussian::new(Table::new(betas.clone()).unwrap());
    let model = Mixture::gaussian(noise, vec![mean], ComponentCovariance::Isotropic(v)).unwrap();
    let bar: Vec<f64> = std::iter::once(1.0)
        .chain(betas.iter().scan(1.0, |bar, beta| {
            *bar *= 1.0 - beta;
            Some(*bar)
        }))
        .collect();
    let small = |i: usize| betas[i - 1] * (1.0 - bar[i - 1]) / (1.0 - bar[i]);
    let exact = |clip: f64| {
        let last = bar[steps as usize];
        let mut sum = 0.5 * (last * x * x + (1.0 - last) - 1.0 - (1.0 - last).ln());
        for i in 1..=steps as usize {
            let term = |eps: f64| {
                let z = bar[i].sqrt() * x + (1.0 - bar[i]).sqrt() * eps;
                let gain = bar[i].sqrt() * v / (bar[i] * v + 1.0 - bar[i]);
                let guess = (mean + gain * (z - bar[i].sqrt() * mean)).clamp(-clip, clip);
                if i == 1 {
                    // The decoder has the variance of the second posterior.
                    return 0.5 * ((x - guess).powi(2) / small(2) + (std::f64::consts::TAU * small(2)).ln());
                }
                let weight = bar[i - 1].sqrt() * betas[i - 1] / (1.0 - bar[i]);
                0.5 * (weight * (x - guess)).powi(2) / small(i)
            };
            let (n, width) = (4000, 16.0);
            sum += (0..=n)
                .map(|k| -8.0 + width * f64::from(k) / f64::from(n))
                .map(|eps| term(eps) * (-0.5 * eps * eps).exp() / std::f64::consts::TAU.sqrt())
                .sum::<f64>()
                * width
                / f64::from(n);
        }
        sum
    };
    let data = Tensor::<2>::full([rows, 1], x, (&Device::flex(), DType::F64));
    let of = |model: &dyn Denoiser<2>| {
        let bound = likelihood::bound(model, &Vlb::default(), data.clone(), steps as usize, &Rng::new(5)).unwrap();
        (bound.nats(), bound.standard_error())
    };
    let clipped = Clamped { model: &model, low: -1.0, high: 1.0 };
    let thresholded = Thresholded { model: &model, quantile: 1.0, max: 10.0 };
    let ((plain, error), (less, less_error)) = (of(&model), of(&clipped));
    assert!((plain - exact(f64::INFINITY)).abs() < 4.5 * error, "{plain} ± {error} for {}", exact(f64::INFINITY));
    assert!((less - exact(1.0)).abs() < 4.5 * less_error, "{less} ± {less_error} for {}", exact(1.0));
    assert!(exact(f64::INFINITY) - exact(1.0) > 0.3 && plain - less > 5.0 * (error + less_error), "{plain} and {less}");
    // Of one value, dynamic thresholding is clipping.
    assert!((of(&thresholded).0 - less).abs() < 1e-12);
}

/// The bound of a truncated denoiser of masks, as the mean of ln q − ln p over all paths x → z₁ → z₂ → z₃ of two tokens, and +∞ where the
/// truncation excludes the data.
#[test]
fn the_bound_of_a_truncated_denoiser_is_that_of_all_paths() {
    let (k, mask) = (3, 3);
    let betas = [0.2, 0.5, 1.0];
    let noise = || Discrete::absorbing(Table::new(betas).unwrap(), k + 1, mask);
    let data = vec![(vec![0, 0], 0.4), (vec![1, 1], 0.3), (vec![0, 2], 0.2), (vec![2, 1], 0.1)];
    let model = Joint::new(noise(), data.clone()).unwrap();
    let survival: Vec<f64> = std::iter::once(1.0)
        .chain(betas.iter().scan(1.0, |bar, beta| {
            *bar *= 1.0 - beta;
            Some(*bar)
        }))
        .collect();
    let tensor = |x: &[usize], rows: usize| {
        let row: Vec<f64> = x.iter().map(|x| *x as f64).collect();
        Tensor::<3>::from_data(TensorData::new(row, [1, 2, 1]), (&Device::flex(), DType::F64)).expand([rows, 2, 1])
    };
    let exact = |model: &dyn Denoiser<3>, x: &[usize; 2]| {
        let states: Vec<[usize; 2]> = (0..=k).flat_map(|a| (0..=k).map(move |b| [a, b])).collect();
        let probs: Vec<Vec<f64>> = (1..=3)
            .map(|i| {
                let rows: Vec<f64> = states.iter().flatten().map(|z| *z as f64).collect();
                let z =
                    Tensor::<3>::from_data(TensorData::new(rows, [states.len(), 2, 1]), (&Device::flex(), DType::F64));
                numbers(model.denoise(z, &[f64::from(i) / 3.0]).mean)
            })
            .collect();
        // q(z_i | z_{i−1}) and p(z_{i−1} | z_i), token by token.
        let onward = |i: usize, from: usize, to: usize| match (from == mask, to == from) {
            (true, same) => f64::from(same),
            (false, true) => 1.0 - betas[i - 1],
            (false, false) => betas[i - 1] * f64::from(to == mask),
        };
        let back = |i: usize, state: usize, l: usize, to: usize| {
            let from = states[state][l];
            if from != mask {
                return f64::from(to == from);
            }
            let stay = (1.0 - survival[i - 1]) / (1.0 - survival[i]);
            if to == mask { stay } else { (1.0 - stay) * probs[i - 1][(state * 2 + l) * (k + 1) + to] }
        };
        let mut sum = 0.0;
        let n = states.len();
        for path in 0..n.pow(3) {
            let z = [path % n, path / n % n, path / n / n];
            let (mut q, mut p): (f64, f64) = (1.0, 1.0);
            for l in 0..2 {
                let at = |i: usize| if i == 0 { x[l] } else { states[z[i - 1]][l] };
                (1..=3).for_each(|i| q *= onward(i, at(i - 1), at(i)));
                p *= f64::from(at(3) == mask);
                (1..=3).for_each(|i| p *= back(i, z[i - 1], l, at(i - 1)));
            }
            if q > 0.0 {
                sum += q * (q / p).ln();
            }
        }
        sum
    };
    let truncations = [
        Truncation::default(),
        Truncation { temperature: 0.5, ..Truncation::default() },
        Truncation { temperature: 3.0, top_k: Some(2), ..Truncation::default() },
        Truncation { top_p: 0.75, ..Truncation::default() },
    ];
    let (mut infinite, mut finite) = (0, 0);
    for truncation in truncations {
        let denoiser = Truncated { model: &model, truncation };
        for (x, _) in &data {
            let x: [usize; 2] = x[..].try_into().unwrap();
            let own = likelihood::bound(&denoiser, &Vlb::default(), tensor(&x, 4000), 3, &Rng::new(2)).unwrap();
            let wanted = exact(&denoiser, &x);
            if wanted.is_infinite() {
                assert_eq!(own.nats(), f64::INFINITY, "{truncation:?}, {x:?}");
                infinite += 1;
                continue;
            }
            finite += 1;
            let error = own.standard_error() * 2.0;
            assert!(
                (own.nats() - wanted).abs() < 4.5 * error + 1e-9,
                "{truncation:?}, {x:?}: {} ± {error} for {wanted}",
                own.nats()
            );
        }
    }
    assert!(infinite > 1 && finite > 8, "{infinite} and {finite}");
    // In continuous time, too, and by the ratios.
    let model = Joint::new(Discrete::absorbing(FlowMatching {}, k + 1, mask), data).unwrap();
    let first = Truncated { model: &model, truncation: Truncation { top_k: Some(1), ..Truncation::default() } };
    for loss in [&MaskedNelbo {} as &dyn tweedie::loss::Loss<3>, &tweedie::loss::ScoreEntropy {}] {
        let of = |model: &dyn Denoiser<3>, x| {
            likelihood::bound(model, loss, tensor(x, 500), 8, &Rng::new(2)).unwrap().nats()
        };
        assert_eq!(of(&first, &[2, 1]), f64::INFINITY, "{loss:?}");
        assert!((of(&model, &[1, 1]) + 0.3f64.ln()).abs() < 0.1, "{loss:?}: {}", of(&model, &[1, 1]));
    }
}

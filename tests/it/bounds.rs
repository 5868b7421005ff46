//! Variational bounds, term by term, against other programs and closed forms.
use crate::common::numbers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::f64::consts::{LN_2, SQRT_2};
use tweedie::{
    Rng,
    denoise::{Clamped, Denoiser},
    distribution::{Distribution, Normal},
    likelihood,
    loss::{Vlb, prior_term},
    noise::{Estimate, Gaussian, Noise, Variance, lift},
    schedule::{Linear, Table},
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

//! Bounds as sums over paths, term by term.
use super::{Check, Checks, kinds::NODES};
use crate::{
    denoise::Denoiser,
    distribution::{host, one_hot},
    exact::Joint,
    loss::{Batch, BoundTimes, Loss},
    noise::{Estimate, Noise},
};
use burn::tensor::{DType, Device, Tensor, TensorData};

const LAW: &str = "a bound is the sum of its terms over all paths";

/// The number of states of sequences that are enumerated.
const MOST: usize = 256;

/// On every state of a short sequence, without sampling: the mean of the loss over x_t given x is that of the terms of
/// the bound,
///
/// ```text
/// KL(q(x_s | x_t, x) ‖ p(x_s | x_t))             s = t − 1/T > 0
/// −ln p(x | x_t)                                 s = 0
/// Σ_j [λ̂_j − λ_j ln λ̂_j + λ_j (ln λ_j − 1)]      continuous time, λ and λ̂ the rates of the reverse chain for x and for x̂
/// ```
///
/// from the transitions, marginals and rates of the noise and sums of logarithms.
pub(super) fn paths(loss: &dyn Loss<3>, noise: &dyn Noise<3>, model: &Joint, checks: &mut Checks) {
    let (Some(times), Some(chain), Some(categories)) = (loss.bound_times(noise), noise.chain(), noise.categories())
    else {
        return;
    };
    let (k, length) = (categories.k, model.sequences()[0].0.len());
    if k.pow(length as u32) > MOST || times == BoundTimes::Continuous && !chain.continuous() {
        return;
    }
    let states = k.pow(length as u32);
    let tensor =
        |values: Vec<f64>, dims| Tensor::<3>::from_data(TensorData::new(values, dims), (&Device::flex(), DType::F64));
    let digits: Vec<f64> =
        (0..states).flat_map(|i| (0..length).map(move |l| (i / k.pow(l as u32) % k) as f64)).collect();
    let z = tensor(digits.clone(), [states, length, 1]);
    for (sequence, _) in model.sequences() {
        let x = tensor(sequence.iter().map(|x| *x as f64).collect(), [1, length, 1]).expand([states, length, 1]);
        let hot = one_hot(x.clone(), k);
        // q(x_t | x) of every state.
        let reached = |t: f64| -> Vec<f64> {
            let likelihood = host((one_hot(z.clone(), k) * noise.prior(hot.clone(), &[t]).mean()).sum_dim(2));
            likelihood.chunks(length).map(|row| row.iter().product()).collect()
        };
        let mean = |values: Vec<f64>, t: f64| -> f64 {
            reached(t).iter().zip(values).filter(|(q, _)| **q > 0.0).map(|(q, value)| q * value).sum()
        };
        let of_loss = |t: f64| {
            let times = vec![t; states];
            let estimate = model.denoise(z.clone(), &times);
            let batch = Batch::of_estimate(noise, x.clone(), z.clone(), None, &times, estimate);
            mean(host(loss.compute(&batch)), t) * length as f64
        };
        let sum = |terms: Tensor<3>| host(terms.sum_dim(2).sum_dim(1));
        let (own, other, place) = match times {
            BoundTimes::Steps(steps) => {
                let term = |i: usize| {
                    let (s, t) = ((i as f64 - 1.0) / steps as f64, i as f64 / steps as f64);
                    let estimate = model.denoise(z.clone(), &[t]);
                    if i == 1 {
                        let p = noise.decoder(estimate, z.clone(), &[t]).mean();
                        return mean(sum((p * hot.clone()).sum_dim(2).log().neg()), t);
                    }
                    let joint = chain.onward(z.clone(), &[s], &[t]) * noise.prior(hot.clone(), &[s]).mean();
                    let q = joint.clone() / joint.clone().sum_dim(2);
                    let p = noise.approximate(estimate, z.clone(), &[s], &[t]).mean();
                    let never = joint.equal_elem(0.0);
                    mean(sum((q.clone() * (q.log() - p.log())).mask_fill(never, 0.0)), t)
                };
                let all = 1..=steps;
                let own: f64 = all.clone().map(|i| of_loss(i as f64 / steps as f64) / steps as f64).sum();
                (own, all.map(term).sum::<f64>(), format!("x = {sequence:?}, {steps} steps"))
            }
            BoundTimes::Continuous => {
                let rates = |x: Tensor<3>, t: f64| chain.reverse_rates(x, z.clone(), &[t]);
                let term = |t: f64| {
                    let (truth, guess) = (rates(hot.clone(), t), rates(model.denoise(z.clone(), &[t]).mean, t));
                    let never = truth.clone().equal_elem(0.0);
                    let logs = truth.clone() * (truth.log() - guess.clone().log() - 1.0);
                    mean(sum(guess + logs.mask_fill(never, 0.0)), t)
                };
                let nodes = (0..16).map(|i| (f64::from(i) + 0.5) / 16.0);
                let own: f64 = nodes.clone().map(|t| of_loss(t) / 16.0).sum();
                (own, nodes.map(|t| term(t) / 16.0).sum::<f64>(), format!("x = {sequence:?}, 16 times"))
            }
        };
        checks.note(LAW, format!("{place}: {own:.4} for {other:.4}"), (own - other).abs() / (1.0 + other.abs()), 1e-6);
    }
}

/// Checks a bound on the likelihood of continuous data under a noise with a [`path`](Noise::path): at each of its T
/// times, the mean of the loss over x_t given x is that of the bound's terms,
///
/// ```text
/// E[ln q(x_s | x_t, x) − ln p(x_s | x_t)]     over x_s of the posterior, s = t − 1/T > 0
/// −ln p(x | x_t)                              s = 0, the decoder
/// ```
///
/// by quadrature that is exact for normals. A bound of densities is meant: one with a decoder of discretized data
/// differs in its first term.
///
/// ```
/// use tweedie::{laws, loss::Vlb, noise::{Gaussian, Variance}, schedule::Linear};
/// let noise = Gaussian::new(Linear::new(20)).with_variance(Variance::Large);
/// for check in laws::bound_of_density(&Vlb::default(), &noise) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn bound_of_density(loss: &dyn Loss<2>, noise: &dyn Noise<2>) -> Vec<Check> {
    let mut checks = Checks::default();
    let (Some(path), Some(BoundTimes::Steps(steps))) = (noise.path(), loss.bound_times(noise)) else {
        return checks.done();
    };
    let column = |values: Vec<f64>| {
        let rows = values.len();
        Tensor::<2>::from_data(TensorData::new(values, [rows, 1]), (&Device::flex(), DType::F64))
    };
    let data = [-1.3, 0.2, 0.9];
    for i in 1..=steps {
        let (s, t) = ((i as f64 - 1.0) / steps as f64, i as f64 / steps as f64);
        let c = path.at(t);
        let rows = data.iter().flat_map(|x| NODES.map(|(node, weight)| (*x, node, weight)));
        let (x, eps): (Vec<f64>, Vec<f64>) = rows.clone().map(|(x, eps, _)| (x, eps)).unzip();
        let noisy: Vec<f64> = x.iter().zip(&eps).map(|(x, eps)| c.alpha * x + c.sigma * eps).collect();
        let (x, z, eps) = (column(x), column(noisy), column(eps));
        // Of no data in particular; a variance between its bounds if it is learned.
        let mean = z.clone() * (0.8 * c.alpha / (c.alpha * c.alpha + c.sigma * c.sigma)) + 0.1;
        let estimate = || Estimate {
            variance: (noise.outputs() == 2).then(|| mean.full_like(0.3)),
            ..Estimate::from(mean.clone())
        };
        let times = vec![t; 9];
        let batch = Batch::of_estimate(noise, x.clone(), z.clone(), Some(eps), &times, estimate());
        let own = host(loss.compute(&batch));
        let terms = if i == 1 {
            host(noise.decoder(estimate(), z, &[t]).nll(x))
        } else {
            let (q, p) = (noise.posterior(x, z.clone(), &[s], &[t]), noise.approximate(estimate(), z, &[s], &[t]));
            let at = |(node, weight): (f64, f64)| {
                let between = q.mean() + q.std() * node;
                (p.nll(between.clone()) - q.nll(between)) * weight
            };
            host(NODES.into_iter().map(at).reduce(|a, b| a + b).expect("there are nodes"))
        };
        let weigh =
            |values: &[f64]| rows.clone().zip(values).map(|((.., weight), value)| weight * value / 3.0).sum::<f64>();
        let (own, other) = (weigh(&own) / steps as f64, weigh(&terms));
        let place = format!("t = {i}/{steps}: {own:.4} for {other:.4}");
        checks.note(LAW, place, (own - other).abs() / (1.0 + other.abs()), 1e-7);
    }
    checks.done()
}

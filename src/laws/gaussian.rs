//! Laws of noises on continuous data.
use super::Checks;
use crate::{
    distribution::{Distribution, Normal, host},
    noise::{Estimate, Noise},
    rng::Rng,
    schedule::Schedule,
};
use burn::tensor::{DType, Tensor};

/// Largest absolute value of a tensor; NaN if one is NaN.
fn worst<const D: usize>(x: Tensor<D>) -> f64 {
    host(x).into_iter().map(f64::abs).fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most })
}

/// Allowed rounding error in sums of values of size 1.
fn rounding<const D: usize>(x: &Tensor<D>) -> f64 {
    if x.dtype() == DType::F64 { 1e-9 } else { 2e-5 }
}

/// One step: the moments of the posterior averaged over x_t, those of the reverse transition for x̂ = x, and Bayes' rule.
pub(super) fn step<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    moments(noise, x, s, t, checks);
    certain(noise, x, s, t, checks);
    if let Some(path) = noise.path() {
        bayes(noise, path, x, s, t, checks);
    }
}

/// Mean and variance of the average, by the law of total variance: the posterior's mean is linear in x_t.
fn moments<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    let prior = noise.prior(x.clone(), &[t]);
    let (mean, std) = (prior.mean(), prior.std());
    let center = noise.posterior(x.clone(), mean.clone(), &[s], &[t]);
    let ahead = noise.posterior(x.clone(), mean + std, &[s], &[t]).mean() - center.mean();
    let goal = noise.prior(x.clone(), &[s]);
    let place = format!("s = {s}, t = {t}");
    let size = 1.0 + worst(goal.std());
    let gap = worst(center.mean() - goal.mean()) / size;
    checks.note("posterior averaged over x_t has the forward marginal's mean at s", &place, gap, rounding(x));
    let var = ahead.square() + center.std().square();
    let gap = worst(var.sqrt() - goal.std()) / size;
    checks.note("posterior averaged over x_t has the forward marginal's std at s", &place, gap, rounding(x));
}

/// For x̂ = x the reverse transition has the posterior mean, and a variance from that of the posterior to that of the forward step.
fn certain<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    let z = noise.prior(x.clone(), &[t]).sample(&mut Rng::new(4)).value;
    let variance = (noise.outputs() == 2).then(|| x.ones_like() * 0.5);
    let own = noise.approximate(Estimate { mean: x.clone(), variance, output: None }, z.clone(), &[s], &[t]);
    let posterior = noise.posterior(x.clone(), z, &[s], &[t]);
    let place = format!("s = {s}, t = {t}");
    let size = 1.0 + worst(noise.prior(x.clone(), &[s]).std());
    let gap = worst(own.mean() - posterior.mean()) / size;
    checks.note("x̂ = x reproduces the posterior mean", &place, gap, rounding(x));
    let Some(path) = noise.path() else { return };
    // Var q(x_t | x_s) is that of q(x_s | x_t, x) times (σ_t/σ_s)².
    let ratio = path.at(t).sigma / path.at(s).sigma;
    let (back, onward) = (posterior.std(), posterior.std() * ratio);
    let (low, high) = (back.clone().min_pair(onward.clone()), back.max_pair(onward));
    let off = worst((low - own.std()).clamp_min(0.0)).max(worst((own.std() - high).clamp_min(0.0))) / size;
    checks.note("the reverse std is between those of posterior and forward step", &place, off, rounding(x));
}

/// −ln of both sides of q(x_s | x_t, x) q(x_t | x) = q(x_t | x_s) q(x_s | x), at samples of x_s and x_t. The moments of an average
/// do not determine the posterior's variance (DDIM's η); this does.
fn bayes<const D: usize>(
    noise: &dyn Noise<D>,
    path: &dyn Schedule,
    x: &Tensor<D>,
    s: f64,
    t: f64,
    checks: &mut Checks,
) {
    let (from, to) = (path.at(s), path.at(t));
    let r = to.alpha / from.alpha;
    let std = ((to.sigma - r * from.sigma) * (to.sigma + r * from.sigma)).sqrt();
    let (before, after) = (noise.prior(x.clone(), &[s]), noise.prior(x.clone(), &[t]));
    let below = before.sample(&mut Rng::new(5)).value;
    let mean = below.clone() * r;
    let onward: Box<dyn Distribution<D>> = Box::new(Normal::trusted(mean.clone(), mean.ones_like() * std));
    let z = onward.sample(&mut Rng::new(6)).value;
    let left = noise.posterior(x.clone(), z.clone(), &[s], &[t]).nll(below.clone()) + after.nll(z.clone());
    let right = onward.nll(z) + before.nll(below);
    let size = 1.0 + worst(right.clone());
    // −ln p of a narrow normal squares a difference divided by its standard deviation.
    let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 1e-3 };
    let place = format!("s = {s}, t = {t}");
    checks.note("Bayes' rule holds for one step", place, worst(left - right) / size, allowed);
}

/// The stationary distribution is the forward marginal at t = 1 but for the signal.
pub(super) fn ends<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, checks: &mut Checks) {
    let start = noise.stationary(x.dims(), &x.device());
    let std = noise.prior(x.clone(), &[1.0]).std();
    let size = worst(std.clone()).max(f64::MIN_POSITIVE);
    // The stationary distribution does not have the precision of the data.
    let gap = worst(start.std().cast(x.dtype()) - std) / size;
    checks.note("the stationary std is that of the forward marginal at t = 1", "t = 1", gap, 1e-6);
    checks.note("the stationary mean is 0", "t = 1", worst(start.mean()) / size, 1e-6);
}

/// Rows at `times` of their own: the forward marginal is N(α x, σ²), and the network input determines x_t.
pub(super) fn rows<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, times: &[f64], checks: &mut Checks) {
    let rows = times.len();
    let (mean, std) = {
        let prior = noise.prior(x.clone(), times);
        (prior.mean(), prior.std())
    };
    if let Some(path) = noise.path() {
        for (i, &t) in times.iter().enumerate() {
            let c = path.at(t);
            let row = |x: &Tensor<D>| x.clone().narrow(0, i, 1);
            let place = format!("t = {t:.3}");
            let size = 1.0 + c.sigma;
            let off = worst(row(&mean) - row(x) * c.alpha) / size;
            checks.note("the forward marginal's mean is α x", &place, off, rounding(x));
            let off = worst(row(&std.clone().expand(x.dims())) - c.sigma) / size;
            checks.note("the forward marginal's std is σ", &place, off, rounding(x));
        }
    }
    let read = |z: Tensor<D>, times: &[f64]| host(noise.input(z, times));
    for (name, times) in [("t of each row", times.to_vec()), ("t = 0", vec![0.0; rows]), ("t = 1", vec![1.0; rows])] {
        let z = noise.prior(x.clone(), &times).sample(&mut Rng::new(7)).value;
        let base = read(z.clone(), &times);
        let odd = base.iter().filter(|x| !x.is_finite()).count();
        checks.note("the network input is finite", name, odd as f64, 0.0);
        let size = base.iter().fold(0.0_f64, |most, x| most.max(x.abs())).max(f64::MIN_POSITIVE);
        let moved = read(z.clone() + z.abs() * 0.1 + 0.1, &times);
        // The input may hold more than x_t: then a row differs if any part of it does.
        let width = base.len() / if base.len() == host(x.clone()).len() { base.len() } else { rows };
        let equal = base.chunks(width).zip(moved.chunks(width));
        let equal = equal.filter(|(a, b)| a.iter().zip(*b).all(|(a, b)| (a - b).abs() <= 1e-6 * size)).count();
        checks.note("the network input determines x_t", name, equal as f64, 0.0);
    }
}

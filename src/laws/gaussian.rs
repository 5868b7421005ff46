//! Laws of noises on numbers that are near and far.
use super::Checks;
use crate::{
    distribution::{Distribution, Normal, host},
    noise::{Estimate, Noise},
    rng::Rng,
    schedule::Schedule,
};
use burn::tensor::{DType, Tensor};

/// The largest number of a tensor, by size; none where one is none.
fn worst<const D: usize>(x: Tensor<D>) -> f64 {
    host(x).into_iter().map(f64::abs).fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most })
}

/// What rounding may come to in sums of numbers of size 1.
fn rounding<const D: usize>(x: &Tensor<D>) -> f64 {
    if x.dtype() == DType::F64 { 1e-9 } else { 2e-5 }
}

/// One step: the moments of the posterior averaged over x_t, those of a guess that is certain, and Bayes' rule.
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
    let centre = noise.posterior(x.clone(), mean.clone(), &[s], &[t]);
    let ahead = noise.posterior(x.clone(), mean + std, &[s], &[t]).mean() - centre.mean();
    let goal = noise.prior(x.clone(), &[s]);
    let place = format!("s = {s}, t = {t}");
    let size = 1.0 + worst(goal.std());
    let gap = worst(centre.mean() - goal.mean()) / size;
    checks.note("posterior averaged over x_t has the prior's mean at s", &place, gap, rounding(x));
    let var = ahead.square() + centre.std().square();
    let gap = worst(var.sqrt() - goal.std()) / size;
    checks.note("posterior averaged over x_t has the prior's spread at s", &place, gap, rounding(x));
}

/// With x as a guess, p(x_s | x_t) is the posterior but for its variance, which is that of either direction or between them.
fn certain<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    let z = noise.prior(x.clone(), &[t]).sample(&mut Rng::new(4)).value;
    let variance = (noise.outputs() == 2).then(|| x.ones_like() * 0.5);
    let own = noise.approximate(Estimate { mean: x.clone(), variance, output: None }, z.clone(), &[s], &[t]);
    let posterior = noise.posterior(x.clone(), z, &[s], &[t]);
    let place = format!("s = {s}, t = {t}");
    let size = 1.0 + worst(noise.prior(x.clone(), &[s]).std());
    let gap = worst(own.mean() - posterior.mean()) / size;
    checks.note("a certain guess has the posterior's mean", &place, gap, rounding(x));
    let Some(path) = noise.path() else { return };
    // Var q(x_t | x_s) is that of q(x_s | x_t, x) times (σ_t/σ_s)².
    let ratio = path.at(t).sigma / path.at(s).sigma;
    let (back, onward) = (posterior.std(), posterior.std() * ratio);
    let (low, high) = (back.clone().min_pair(onward.clone()), back.max_pair(onward));
    let off = worst((low - own.std()).clamp_min(0.0)).max(worst((own.std() - high).clamp_min(0.0))) / size;
    checks.note("its spread lies between those of the step back and the step onward", &place, off, rounding(x));
}

/// −ln of both sides of q(x_s | x_t, x) q(x_t | x) = q(x_t | x_s) q(x_s | x), at draws of x_s and x_t. The moments of an average
/// leave the posterior's variance free (DDIM's η); this does not.
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
    // −ln p of a narrow normal squares a difference that is divided by its spread.
    let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 1e-3 };
    let place = format!("s = {s}, t = {t}");
    checks.note("Bayes' rule turns a step round", place, worst(left - right) / size, allowed);
}

/// Sampling starts where the prior ends.
pub(super) fn ends<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, checks: &mut Checks) {
    let start = noise.stationary(x.dims(), &x.device());
    let std = noise.prior(x.clone(), &[1.0]).std();
    let size = worst(std.clone()).max(f64::MIN_POSITIVE);
    // The stationary law knows nothing of the precision of the data.
    let gap = worst(start.std().cast(x.dtype()) - std) / size;
    checks.note("sampling starts as wide as the noise is at t = 1", "t = 1", gap, 1e-6);
    checks.note("sampling starts about 0", "t = 1", worst(start.mean()) / size, 1e-6);
}

/// Rows at `times` of their own: the prior is that of the path, and the net reads all of x_t.
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
            checks.note("the prior's mean is α x of its path", &place, off, rounding(x));
            let off = worst(row(&std.clone().expand(x.dims())) - c.sigma) / size;
            checks.note("the prior's spread is σ of its path", &place, off, rounding(x));
        }
    }
    let read = |z: Tensor<D>, times: &[f64]| host(noise.input(z, times));
    for (name, times) in [("t of each row", times.to_vec()), ("t = 0", vec![0.0; rows]), ("t = 1", vec![1.0; rows])] {
        let z = noise.prior(x.clone(), &times).sample(&mut Rng::new(7)).value;
        let base = read(z.clone(), &times);
        let odd = base.iter().filter(|x| !x.is_finite()).count();
        checks.note("what the net reads is finite", name, odd as f64, 0.0);
        let size = base.iter().fold(0.0_f64, |most, x| most.max(x.abs())).max(f64::MIN_POSITIVE);
        let moved = read(z.clone() + z.abs() * 0.1 + 0.1, &times);
        // A net may read more than x_t: then a row is another one if anything of it is.
        let width = base.len() / if base.len() == host(x.clone()).len() { base.len() } else { rows };
        let lost = base.chunks(width).zip(moved.chunks(width));
        let lost = lost.filter(|(a, b)| a.iter().zip(*b).all(|(a, b)| (a - b).abs() <= 1e-6 * size)).count();
        checks.note("what the net reads tells x_t from another", name, lost as f64, 0.0);
    }
}

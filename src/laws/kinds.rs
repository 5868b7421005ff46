//! Laws of the distributions that a noise hands out, and of what its network predicts.
use super::{Check, Checks, distribution};
use crate::{
    distribution::{Distribution, host, one_hot},
    noise::{Noise, Prediction},
    rng::Rng,
};
use burn::tensor::{DType, Tensor};

/// Nodes and weights of Gauss and Hermite for N(0, 1): exact for polynomials of degree five.
pub(super) const NODES: [(f64, f64); 3] =
    [(-1.732_050_807_568_877_2, 1.0 / 6.0), (0.0, 2.0 / 3.0), (1.732_050_807_568_877_2, 1.0 / 6.0)];

/// KL(p ‖ q) of forward marginals at two times is the mean of ln p − ln q under p: by quadrature of normals, as a sum
/// over categories.
///
/// The two differ in mean and standard deviation, so that KL(q ‖ p) is another number.
pub(super) fn divergence<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    let (p, q) = (noise.prior(x.clone(), &[s]), noise.prior(x.clone(), &[t]));
    for (from, to, place) in
        [(&p, &q, format!("from s = {s} to t = {t}")), (&q, &p, format!("from t = {t} to s = {s}"))]
    {
        let (own, other) = (host(from.kl(&**to)), mean_difference(noise, &**from, &**to));
        let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 1e-3 };
        for (i, (own, other)) in own.iter().zip(&other).enumerate() {
            // Absorbing noise never returns: the divergence is infinite both ways it is computed.
            let gap = if own == other { 0.0 } else { (own - other).abs() / (1.0 + other.abs()) };
            let place = format!("{place}, entry {i}: {own:.4} for {other:.4}");
            checks.note("KL(p ‖ q) is the mean of ln p − ln q under p", place, gap, allowed);
        }
    }
}

/// The mean of ln p − ln q under p, from their `mean`, `std` and `nll` alone.
fn mean_difference<const D: usize>(noise: &dyn Noise<D>, p: &dyn Distribution<D>, q: &dyn Distribution<D>) -> Vec<f64> {
    let mean = p.mean();
    match noise.categories() {
        None => {
            let at = |(node, weight): (f64, f64)| {
                let x = mean.clone() + p.std() * node;
                (q.nll(x.clone()) - p.nll(x)) * weight
            };
            host(NODES.into_iter().map(at).reduce(|a, b| a + b).expect("there are nodes"))
        }
        Some(categories) => {
            let mut dims = mean.dims();
            dims[D - 1] = 1;
            let mut sums = vec![0.0; dims.iter().product()];
            for j in 0..categories.k {
                let all = one_hot(Tensor::<D>::full(dims, j as f64, (&mean.device(), mean.dtype())), categories.k);
                let masses = host(mean.clone().narrow(D - 1, j, 1));
                let (p, q) = (host(p.nll(all.clone())), host(q.nll(all)));
                for (i, sum) in sums.iter_mut().enumerate().filter(|(i, _)| masses[*i] > 0.0) {
                    *sum += masses[i] * (q[i] - p[i]);
                }
            }
            sums
        }
    }
}

/// Forward marginals and posteriors of categories are not negative and sum to one along the last axis.
pub(super) fn sums<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    let z = noise.prior(x.clone(), &[t]).sample(&mut crate::rng::Rng::new(9)).value;
    let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 2e-5 };
    for (name, probs) in [
        ("forward marginal", noise.prior(x.clone(), &[t]).mean()),
        ("posterior", noise.posterior(x.clone(), z, &[s], &[t]).mean()),
    ] {
        let place = format!("{name}, s = {s}, t = {t}");
        let off = host((probs.clone().sum_dim(D - 1) - 1.0).abs().max())[0];
        let below = host(probs.min().neg())[0].max(0.0);
        checks.note("probabilities sum to one", place, off.max(below), allowed);
    }
}

/// The training target of a [named prediction type](Noise::prediction_type) is what the field means by the name.
pub(super) fn target<const D: usize>(
    noise: &dyn Noise<D>,
    x: &Tensor<D>,
    z: &Tensor<D>,
    times: &[f64],
    checks: &mut Checks,
) {
    let (Some(kind), Some(path)) = (noise.prediction_type(), noise.path()) else { return };
    let width = x.dims()[1..].iter().product::<usize>();
    let (targets, values, noisy) = (host(noise.target(x.clone(), z.clone(), times)), host(x.clone()), host(z.clone()));
    let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 1e-3 };
    for (i, own) in targets.iter().enumerate() {
        let t = times[i / width];
        let c = path.at(t);
        let eps = (noisy[i] - c.alpha * values[i]) / c.sigma;
        let meant = match kind {
            Prediction::X0 => values[i],
            Prediction::Epsilon => eps,
            Prediction::V => c.alpha * eps - c.sigma * values[i],
            Prediction::Velocity => c.alpha_dot * values[i] + c.sigma_dot * eps,
            Prediction::Score => -eps / c.sigma,
            // EDM's F depends on the standard deviation of the data as well; estimate ∘ target = identity holds it.
            Prediction::Edm => return,
        };
        let law = "the target is that of its prediction type";
        checks.note(law, format!("{kind}, t = {t:.3}"), (own - meant).abs() / (1.0 + meant.abs()), allowed);
    }
}

/// The distributions that a noise hands out obey the laws of distributions: the forward marginal, the posterior and the stationary
/// distribution. Of rows enough to know one from another; data of more values per row than can be told apart by that many are left out.
pub(super) fn distributions<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, checks: &mut Checks) {
    const ROWS: usize = 512;
    const WIDEST: usize = 64;
    // Of categories each has a value, also where data are given by their indices.
    let mut shape = noise.prior(x.clone(), &[0.5]).mean().dims();
    if shape[1..].iter().product::<usize>() > WIDEST {
        return;
    }
    let mut repeats = [1; D];
    repeats[0] = ROWS.div_ceil(shape[0]);
    let x = x.clone().repeat(&repeats);
    shape[0] = x.dims()[0];
    let z = noise.prior(x.clone(), &[0.7]).sample(&mut Rng::new(9)).value;
    for (name, p) in [
        ("the forward marginal at t = 0.5", noise.prior(x.clone(), &[0.5])),
        ("the posterior at s = 0.3 of t = 0.7", noise.posterior(x.clone(), z, &[0.3], &[0.7])),
        ("the stationary distribution", noise.stationary(shape, &x.device())),
    ] {
        for check in distribution(&*p) {
            checks.add(Check { place: format!("{name}, {}", check.place), ..check });
        }
    }
}

//! Mixtures where a density is 0, infinite, or too small for a double: without noise, and far from every component.
use super::{
    closed_form::ClosedForm,
    component::{Component, dot},
};
use crate::schedule::Scales;

/// Noise below this counts as none beside a component without density: its square would underflow.
pub(super) const NO_NOISE: f64 = 1e-150;

/// Below this log-density relative weights are computed from differences, not from logarithms that have lost their
/// digits.
pub(super) const FAR: f64 = -1e6;

/// The relative weights p(k | z) of components at a point far from all of them, unnormalized, the largest 1.
///
/// Of two components of one covariance, `ln p_j − ln p_k = ½ (a_k − a_j)·(a_k + a_j)` for the standardized distances a;
/// the first factor does not depend on z, so nothing is lost however far z is. Distances are in units of the largest,
/// so that nothing overflows.
pub(super) fn far_weights(components: &[&Component], z: &[f64], c: Scales) -> Vec<f64> {
    let gaps: Vec<Vec<f64>> = components.iter().map(|component| component.gap(z, c.alpha)).collect();
    let largest = gaps.iter().flatten().fold(f64::MIN_POSITIVE, |most, gap| most.max(gap.abs()));
    let total = |v: f64| c.alpha * c.alpha * v + c.sigma * c.sigma;
    let least = components.iter().flat_map(|k| k.variances()).map(total).fold(f64::INFINITY, f64::min);
    let unit = |gap: &[f64]| gap.iter().map(|gap| gap / largest).collect::<Vec<f64>>();
    let form = |k: &Component, a: &[f64], b: &[f64]| k.bilinear(a, b, |v| least / total(v));
    let units: Vec<Vec<f64>> = gaps.iter().map(|gap| unit(gap)).collect();
    let squares: Vec<f64> = components.iter().zip(&units).map(|(k, u)| form(k, u, u)).collect();
    let near = (0..squares.len()).fold(0, |near, k| if squares[k] < squares[near] { k } else { near });
    let log = |k: &Component| k.log_weight - 0.5 * k.variances().map(|v| total(v).ln()).sum::<f64>();
    let half = 0.5 * (2.0 * largest.ln() - least.ln()).exp();
    let logs: Vec<f64> = (0..components.len())
        .map(|k| {
            let (own, other) = (components[k], components[near]);
            let more = if own.same_covariance(other) {
                let apart: Vec<f64> = other.mean.iter().zip(&own.mean).map(|(a, b)| c.alpha * (a - b)).collect();
                let sum: Vec<f64> = gaps[k].iter().zip(&gaps[near]).map(|(a, b)| 0.5 * a + 0.5 * b).collect();
                Some(own.bilinear(&apart, &sum, |v| total(v).recip())).filter(|more| !more.is_nan())
            } else {
                None
            };
            let scaled = squares[k] - squares[near];
            let moved = more.unwrap_or(if scaled == 0.0 { 0.0 } else { half * scaled });
            log(own) - log(other) - moved
        })
        .collect();
    let most = logs.iter().fold(f64::NEG_INFINITY, |most, log| most.max(*log));
    logs.iter().map(|log| if *log == most { 1.0 } else { (log - most).exp() }).collect()
}

/// `Σ p(k | z) |x̂_k − x̂|²/σ²` of components of one covariance, from their means alone: `x̂_k − x̂ = σ² C⁻¹ (m_k −
/// m̄)`, in which nothing of the size of z cancels. `None` if their covariances differ.
pub(super) fn spread(components: &[Component], weights: &[f64], c: Scales) -> Option<f64> {
    let total: f64 = weights.iter().sum();
    let some = || components.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
    let (first, _) = some().next()?;
    if !some().all(|(component, _)| component.same_covariance(first)) {
        return None;
    }
    let mut mean = vec![0.0; first.mean.len()];
    for (component, weight) in some() {
        mean.iter_mut().zip(&component.mean).for_each(|(mean, m)| *mean += weight / total * m);
    }
    let term = |(component, weight): (&Component, &f64)| {
        let apart: Vec<f64> = component.mean.iter().zip(&mean).map(|(m, mean)| m - mean).collect();
        // One component has all the weight, and 1/σ² may be infinite.
        if apart.iter().all(|d| *d == 0.0) {
            return 0.0;
        }
        let share = |v: f64| c.sigma / (c.alpha * c.alpha * v + c.sigma * c.sigma);
        weight / total * component.bilinear(&apart, &apart, |v| share(v) * share(v))
    };
    Some(some().map(term).sum())
}

/// A component as σ → 0.
struct AtZero {
    /// The distance from the support, by coordinates; exactly 0 where it is rounding.
    residual: Vec<f64>,
    /// The number of directions without variance: the density on the support grows like `σ^−codimension`.
    codimension: usize,
    /// ln of the weight and of the density along the support.
    log: f64,
    whitened: Vec<f64>,
    shift: Vec<f64>,
    trace: f64,
}

/// The closed form as σ → 0 of a mixture in which a component has no density.
///
/// On the support of such a component ln p is infinite, and the components of fewest dimensions there share all of the
/// weight. Off every support ln p is −∞, and the nearest component has all of it, with a score of ±∞ towards it. A
/// point is on a support if its distance is rounding.
pub(super) fn without_noise(components: &[Component], z: &[f64], c: Scales) -> ClosedForm {
    let c = Scales { sigma: 0.0, ..c };
    let dim = z.len();
    let at: Vec<AtZero> = components.iter().map(|component| at_zero(component, z, c)).collect();
    let on: Vec<usize> = (0..at.len()).filter(|&k| at[k].residual.iter().all(|r| *r == 0.0)).collect();
    let chosen = if on.is_empty() { nearest(components, &at, z, c.alpha) } else { on.clone() };
    let most = chosen.iter().map(|&k| at[k].codimension).max().unwrap_or(0);
    let chosen: Vec<usize> = chosen.into_iter().filter(|&k| at[k].codimension == most).collect();
    let top = chosen.iter().fold(f64::NEG_INFINITY, |top, &k| top.max(at[k].log));
    let weights: Vec<f64> = if top > FAR || chosen.len() == 1 || most > 0 {
        chosen.iter().map(|&k| if at[k].log == top { 1.0 } else { (at[k].log - top).exp() }).collect()
    } else {
        far_weights(&chosen.iter().map(|&k| &components[k]).collect::<Vec<_>>(), z, c)
    };
    let total: f64 = weights.iter().sum();
    let mut form = ClosedForm {
        log_density: match (on.is_empty(), most) {
            (true, _) => f64::NEG_INFINITY,
            (false, 0) => top + total.ln(),
            (false, _) => f64::INFINITY,
        },
        x: vec![0.0; dim],
        eps: vec![0.0; dim],
        score: vec![0.0; dim],
        divergence: 0.0,
    };
    let mut residual = vec![0.0; dim];
    for (&k, weight) in chosen.iter().zip(&weights) {
        let (point, weight) = (&at[k], weight / total);
        for d in 0..dim {
            form.x[d] += weight * (components[k].mean[d] + c.alpha * point.shift[d]);
            form.score[d] -= weight * point.whitened[d];
            residual[d] += weight * point.residual[d];
        }
        form.divergence += c.alpha * weight * point.trace;
    }
    for d in 0..dim {
        // Distances to two nearest components may cancel.
        let size = chosen.iter().fold(0.0_f64, |size, &k| size.max(at[k].residual[d].abs()));
        if residual[d].abs() > 8.0 * f64::EPSILON * size {
            form.eps[d] = residual[d].signum() * f64::INFINITY;
            form.score[d] = -form.eps[d];
        }
    }
    form
}

/// The components nearest to a point that is on no support.
fn nearest(components: &[Component], at: &[AtZero], z: &[f64], alpha: f64) -> Vec<usize> {
    let size = at.iter().flat_map(|k| &k.residual).fold(0.0_f64, |most, r| most.max(r.abs()));
    let unit = |k: usize| at[k].residual.iter().map(|r| r / size).collect::<Vec<f64>>();
    let squares: Vec<f64> = (0..at.len()).map(|k| dot(&unit(k), &unit(k))).collect();
    let first = (0..at.len()).fold(0, |first, k| if squares[k] < squares[first] { k } else { first });
    // Of two points |z − a|² − |z − b|² = (b − a)·(2z − a − b), which has the right sign however far z is.
    let more: Vec<f64> = (0..at.len())
        .map(|k| {
            let (own, other) = (&components[k], &components[first]);
            if !(own.is_point() && other.is_point()) {
                return (squares[k] - squares[first]) * size;
            }
            let term = |d: usize| {
                // Divided by the size once: twice would underflow.
                alpha
                    * (other.mean[d] - own.mean[d])
                    * ((z[d] - alpha * own.mean[d]) / size + (z[d] - alpha * other.mean[d]) / size)
            };
            (0..z.len()).map(term).sum()
        })
        .collect();
    let least = more.iter().fold(f64::INFINITY, |least, more| least.min(*more));
    (0..at.len()).filter(|&k| more[k] <= least).collect()
}

fn at_zero(component: &Component, z: &[f64], c: Scales) -> AtZero {
    let dim = z.len();
    if !component.singular() {
        let own = component.at(z, c);
        let residual = vec![0.0; dim];
        let (log, whitened, shift, trace) = (own.log, own.whitened, own.shift, own.trace);
        return AtZero { residual, codimension: 0, log, whitened, shift, trace };
    }
    let gap = component.gap(z, c.alpha);
    let size = |d: usize| z[d].abs() + (c.alpha * component.mean[d]).abs();
    let (mut residual, mut whitened, mut shift) = (gap.clone(), vec![0.0; dim], vec![0.0; dim]);
    let (mut log, mut trace, mut regular) = (component.log_weight, 0.0, 0);
    let mut along = |at: f64, v: f64, direction: &dyn Fn(usize) -> f64| {
        let whole = c.alpha * c.alpha * v;
        for d in 0..dim {
            residual[d] -= direction(d) * at;
            whitened[d] += direction(d) * at / whole;
            shift[d] += direction(d) * at * (v / whole);
        }
        log -= 0.5 * (at * (at / whole) + (std::f64::consts::TAU * whole).ln());
        trace += v / whole;
        regular += 1;
    };
    let axes = component.basis.is_none();
    if axes {
        for (i, &v) in component.values.iter().enumerate().filter(|(_, v)| **v > 0.0) {
            along(gap[i], v, &|d| f64::from(i == d));
        }
    } else {
        for (u, &v) in component.basis.iter().flatten().zip(&component.values).filter(|(_, v)| **v > 0.0) {
            along(dot(u, &gap), v, &|d| u[d]);
        }
    }
    let whole = (0..dim).map(size).fold(0.0_f64, f64::max);
    for d in 0..dim {
        // Along the axes a coordinate's rounding is its own; other directions mix them.
        let rounding = 8.0 * f64::EPSILON * if axes { size(d) } else { dim as f64 * whole };
        if residual[d].abs() <= rounding {
            residual[d] = 0.0;
        }
    }
    AtZero { residual, codimension: dim - regular, log, whitened, shift, trace }
}

//! Exact moments of samplers with noise of their own.
//!
//! On Gaussian data x̂ is linear in z, so a walk is linear in its start and in every normal that it draws:
//! `z₀ = b + a₀ ξ₀ + Σ aᵢ ξᵢ`. The normals of a keyed stream can be drawn again, so b and a are found by least squares over
//! some rows, without residue, and b and Σ a² are the walk's mean and variance, without chance.
use super::Checks;
use crate::{
    denoise::Denoiser,
    distribution::host,
    exact::{Covariance, Mixture},
    noise::{Gaussian, Prediction},
    rng::Rng,
    sample::{Past, Sampler},
    schedule::{Edm, FlowMatching, Schedule, VariancePreserving},
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use nalgebra::{DMatrix, DVector};
use std::sync::Arc;

/// The mean and the variance at the end of a walk of `steps` even steps in t that begins with the law of x_t at `from`, on data
/// from one round Gaussian in the plane with both means alike; none of a sampler whose walk is not linear in normals shaped like z.
pub fn moments_of(
    sampler: &dyn Sampler<2>,
    model: &dyn Denoiser<2>,
    data: &Mixture,
    [from, to]: [f64; 2],
    steps: usize,
) -> Option<[f64; 2]> {
    let time = |i: usize| from + (to - from) * i as f64 / steps as f64;
    let rng = Rng::new(21);
    let (mean, covariance) = data.moments(from);
    let std = covariance[0][0].sqrt();
    // How many normals each step draws, and the end.
    let walk = |start: &[f64]| {
        let start: Vec<f64> = start.iter().map(|xi| mean[0] + std * xi).collect();
        let rows = start.len() / 2;
        let mut z = Tensor::<2>::from_data(TensorData::new(start, [rows, 2]), (&Device::flex(), DType::F64));
        let mut past = Past::of(steps);
        let mut draws = vec![];
        for i in 0..steps {
            let (mut own, mut again) = (rng.at(i as u64), rng.at(i as u64));
            z = sampler.step(model, z, time(i), time(i + 1), &mut past, &mut own);
            past.advance();
            // A stream knows how often it was drawn from.
            draws.push((0..64).find(|_| again == own || again.normals(1, 2).is_empty())?);
        }
        Some((draws, host(z)))
    };
    let (draws, _) = walk(&[0.0, 0.0])?;
    let unknowns = 2 + draws.iter().sum::<usize>();
    // Each row tells of two numbers, and there are more than twice as many as are asked for.
    let rows = unknowns + 8;
    let start = rng.stream("start").normals(rows, 2);
    let (draws, end) = walk(&start)?;
    if end.iter().any(|z| !z.is_finite()) {
        return Some([f64::NAN; 2]);
    }
    let mut columns = vec![1.0; 2 * rows];
    columns.extend(start);
    for (i, count) in draws.into_iter().enumerate() {
        let mut again = rng.at(i as u64);
        (0..count).for_each(|_| columns.extend(again.normals(rows, 2)));
    }
    let columns = DMatrix::from_vec(2 * rows, unknowns, columns);
    let end = DVector::from_vec(end);
    let found = columns.tr_mul(&columns).cholesky()?.solve(&columns.tr_mul(&end));
    let residue = (&columns * &found - &end).amax();
    (residue < 1e-6 * (1.0 + end.amax())).then(|| [found[0], found.iter().skip(1).map(|a| a * a).sum()])
}

/// Of a sampler with noise of its own mean and variance converge, with the weak order that is declared, to those of x_t.
///
/// The order is that at which errors fall from 40 to 80 to 160 steps, extrapolated; none is asked of a sampler with a bias, whose
/// errors do not vanish, nor of errors that are rounding. What a walk down to little noise leaves in the limit, by Richardson's
/// extrapolation, may be the bias and half a percent. Nothing is noted of a sampler that is not linear.
pub(super) fn declared(
    sampler: &dyn Sampler<2>,
    wrap: &impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>,
    checks: &mut Checks,
) {
    if sampler.order().is_some() {
        return;
    }
    let problems: [(&str, Arc<dyn Schedule>, [f64; 2]); 3] = [
        ("variance-preserving", Arc::new(VariancePreserving { beta_min: 0.1, beta_max: 8.0 }), [0.8, 0.2]),
        ("edm", Arc::new(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 }), [0.6, 0.2]),
        ("flow-matching", Arc::new(FlowMatching {}), [0.8, 0.04]),
    ];
    let declared = sampler.weak_order() as f64;
    for (name, schedule, span) in problems {
        let noise = Gaussian::new(schedule).with_prediction(Prediction::V);
        let data = Mixture::gaussian(noise, vec![0.7; 2], Covariance::Isotropic(0.25)).expect("a Gaussian");
        let (mean, covariance) = data.moments(span[1]);
        let model = wrap(&data);
        // Of the mean in standard deviations, of the variance relatively.
        let off = |steps: usize| {
            let [m, v] = moments_of(sampler, &*model, &data, span, steps)?;
            Some([(m - mean[0]) / covariance[0][0].sqrt(), v / covariance[0][0] - 1.0])
        };
        let (Some(few), Some(more), Some(most)) = (off(40), off(80), off(160)) else { return };
        let size = |off: [f64; 2]| off[0].hypot(off[1]);
        // Steps that are long where there is little noise do not show an order yet.
        if name != "flow-matching" && sampler.bias() == 0.0 && size(most) > 1e-6 {
            let order = 2.0 * (size(more) / size(most)).log2() - (size(few) / size(more)).log2();
            let place = format!("{name}: {order:.2} for {declared}");
            checks.note("moments converge with the declared order", place, declared - order, 0.2);
        }
        let rest = (declared.exp2() - 1.0).recip();
        let limit = size([0, 1].map(|k| most[k] + (most[k] - more[k]) * rest));
        let place = format!("{name}, after {:.1e} with 160 steps", size(most));
        checks.note("in the limit moments are those of x_t", place, limit, 0.005 + sampler.bias());
    }
}

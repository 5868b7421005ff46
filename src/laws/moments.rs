//! Exact moments of samplers that add noise.
//!
//! On Gaussian data x̂ is linear in z, so a trajectory is linear in its start and in every normal ξ that it adds: `z₀ =
//! b + a₀ ξ₀ + Σ aᵢ ξᵢ`. The normals of a keyed stream can be computed again, so b and a are found by least squares
//! over some rows, without residue, and b and Σ a² are the mean and variance of the end, without sampling error.
use super::{Check, Checks, Compared};
use crate::{
    denoise::Denoiser,
    distribution::host,
    exact::{ComponentCovariance, Mixture},
    noise::{Gaussian, Prediction},
    rng::Rng,
    sample::{Sampler, TimeStep},
    schedule::{Edm, FlowMatching, Schedule, VariancePreserving},
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use nalgebra::{DMatrix, DVector};
use std::sync::Arc;

/// The mean and the variance at the end of a trajectory of `steps` uniform steps in t that starts with the distribution of
/// x_t at `from`, on data from one isotropic Gaussian in the plane with both means equal. `None` if the trajectory is
/// not linear in normals of the shape of z, or the sampler refuses the noise.
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
    // How many tensors of normals each step uses, and the end.
    let run = |start: &[f64]| {
        let start: Vec<f64> = start.iter().map(|xi| mean[0] + std * xi).collect();
        let rows = start.len() / 2;
        let mut z = Tensor::<2>::from_data(TensorData::new(start, [rows, 2]), (&Device::flex(), DType::F64));
        let mut state = sampler.start(model.noise()).ok()?;
        let mut counts = vec![];
        for i in 0..steps {
            let (mut own, mut again) = (rng.at_step(i as u64), rng.at_step(i as u64));
            z = state.step(model, z, TimeStep { t: time(i), s: time(i + 1), index: i, count: steps }, &mut own);
            // A stream knows its position.
            counts.push((0..64).find(|_| again == own || again.normals(1, 2).is_empty())?);
        }
        Some((counts, host(z)))
    };
    let (counts, _) = run(&[0.0, 0.0])?;
    let unknowns = 2 + counts.iter().sum::<usize>();
    // Each row gives two equations, so there are more than twice as many as unknowns.
    let rows = unknowns + 8;
    let start = rng.stream("start").normals(rows, 2);
    let (counts, end) = run(&start)?;
    if end.iter().any(|z| !z.is_finite()) {
        return Some([f64::NAN; 2]);
    }
    let mut columns = vec![1.0; 2 * rows];
    columns.extend(start);
    for (i, count) in counts.into_iter().enumerate() {
        let mut again = rng.at_step(i as u64);
        (0..count).for_each(|_| columns.extend(again.normals(rows, 2)));
    }
    let columns = DMatrix::from_vec(2 * rows, unknowns, columns);
    let end = DVector::from_vec(end);
    let found = columns.tr_mul(&columns).cholesky()?.solve(&columns.tr_mul(&end));
    let residue = (&columns * &found - &end).amax();
    (residue < 1e-6 * (1.0 + end.amax())).then(|| [found[0], found.iter().skip(1).map(|a| a * a).sum()])
}

/// Compares the mean and variance of a sampler that adds noise with those of x_t: they converge to them with the
/// declared weak order.
///
/// The order is that at which errors fall from 40 to 80 to 160 steps, extrapolated; it is not measured for a sampler
/// with a bias, whose errors do not vanish, nor from errors that are rounding. The error of trajectories down to little
/// noise may in the limit, by Richardson's extrapolation, be the bias and half a percent. A sampler that is not linear
/// is not measured.
pub(super) fn declared(
    sampler: &dyn Sampler<2>,
    wrap: &impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>,
    checks: &mut Checks,
) {
    let properties = sampler.properties();
    if properties.order.is_some() {
        return;
    }
    let problems: [(&str, Arc<dyn Schedule>, [f64; 2]); 3] = [
        ("variance-preserving", Arc::new(VariancePreserving { beta_min: 0.1, beta_max: 8.0 }), [0.8, 0.2]),
        ("edm", Arc::new(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 }), [0.6, 0.2]),
        ("flow-matching", Arc::new(FlowMatching {}), [0.8, 0.04]),
    ];
    let declared = properties.weak_order as f64;
    for (name, schedule, span) in problems {
        let noise = Gaussian::new(schedule).with_prediction(Prediction::V);
        let data = Mixture::gaussian(noise, vec![0.7; 2], ComponentCovariance::Isotropic(0.25)).expect("a Gaussian");
        let (mean, covariance) = data.moments(span[1]);
        let model = wrap(&data);
        // The error of the mean in standard deviations, and the relative error of the variance.
        let off = |steps: usize| {
            let [m, v] = moments_of(sampler, &*model, &data, span, steps)?;
            Some([(m - mean[0]) / covariance[0][0].sqrt(), v / covariance[0][0] - 1.0])
        };
        let (Some(few), Some(more), Some(most)) = (off(40), off(80), off(160)) else { return };
        let size = |off: [f64; 2]| off[0].hypot(off[1]);
        // Steps that are long where there is little noise do not show an order yet.
        if name != "flow-matching" && properties.bias == 0.0 && size(most) > 1e-6 {
            let order = 2.0 * (size(more) / size(most)).log2() - (size(few) / size(more)).log2();
            let compared = Compared { declared, found: order };
            let law = "mean and variance converge with the declared weak order";
            checks.add(Check { compared: Some(compared), ..Check::new(law, name, declared - order, 0.2) });
        }
        let rest = (declared.exp2() - 1.0).recip();
        let limit = size([0, 1].map(|k| most[k] + (most[k] - more[k]) * rest));
        let place = format!("{name}, after {:.1e} with 160 steps", size(most));
        checks.note("mean and variance converge to those of x_t", place, limit, 0.005 + properties.bias);
    }
}

//! Laws of samplers, on exact problems.
use super::{
    Check, Checks, moments,
    order::{self, latents, model_noise, problem},
    robustness,
};
use crate::{
    denoise::Denoiser,
    distance::energy,
    distribution::host,
    exact::{ComponentCovariance, FlowEnd, Mixture},
    noise::{Gaussian, Prediction},
    rng::Rng,
    sample::{Sampler, TimeStep, trajectory_from},
    schedule::{Edm, FlowMatching, OrnsteinUhlenbeck, Schedule, VariancePreserving},
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;

/// Samplers of Gaussian noise: the measured order of convergence on three exact problems is the declared one, samples
/// of one to three steps are finite on schedules with every kind of end, no noise is left at t = 0, samples have the
/// data's moments and distribution, a row does not depend on its batch if the sampler [declares
/// so](crate::sample::Properties::rowwise), the same seed gives the same sample, and a deterministic sampler is
/// [robust](super::robustness) at few steps on every built-in schedule. If a sampler adds noise, its
/// [exact moments](super::moments_of) converge to those of x_t with the declared weak order.
///
/// The measured order may differ from the declared one by 0.1; above 5 it must be 5 at least, since rounding errors set
/// in before the slopes have converged. The mean and the standard deviation of samples of 60 steps may differ from the
/// data's by the error of the steps, up to 6 % and 8 % of the standard deviation, and by sampling error.
///
/// ```
/// use tweedie::{laws, sample::Euler};
/// assert!(laws::sampler(&Euler::default()).iter().all(laws::Check::holds));
/// ```
pub fn sampler(sampler: &dyn Sampler<2>) -> Vec<Check> {
    measure(sampler, |model| Box::new(model.clone()))
}

/// [`sampler`] for samplers of consistency models: the model is the exact end of the probability flow. No order is
/// measured.
pub fn consistency(sampler: &dyn Sampler<2>) -> Vec<Check> {
    measure(sampler, |model| Box::new(FlowEnd(model)))
}

fn measure(sampler: &dyn Sampler<2>, wrap: impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>) -> Vec<Check> {
    let mut checks = Checks::default();
    converges(sampler, &wrap, &mut checks);
    let ends: [(&str, Mixture); 3] = [
        ("flow-matching", problem(FlowMatching {})),
        ("variance-preserving", problem(VariancePreserving::default())),
        ("edm", problem(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 })),
    ];
    for (name, model) in &ends {
        let wrapped = wrap(model);
        for steps in [1, 2, 3] {
            let times: Vec<f64> = (0..=steps).rev().map(|i| i as f64 / steps as f64).collect();
            let last = end_of(&*wrapped, sampler, times, latents(3, 5), model);
            let wrong = last.iter().filter(|x| x.is_nan() || x.abs() >= 1e3).count();
            checks.note("samples of few steps are finite", format!("{name}, {steps} steps"), wrong as f64, 0.0);
        }
    }
    let model = problem(OrnsteinUhlenbeck {});
    let wrapped = wrap(&model);
    let times: Vec<f64> = (0..=60).rev().map(|i| (f64::from(i) / 60.0 * std::f64::consts::FRAC_PI_2).sin()).collect();
    let rows = 1000_u32;
    let samples = |rows: usize| {
        let steps = trajectory_from(&*wrapped, sampler, times.clone(), latents(rows, 5), &Rng::new(6));
        match steps {
            Ok(steps) => host(steps.last().expect("a trajectory has points").1),
            Err(_) => vec![f64::NAN; 2 * rows],
        }
    };
    let x = samples(rows as usize);
    let (mean, covariance) = (model.mean(), model.covariance());
    for j in 0..2 {
        let (own, width) = of_axis(&x, j);
        let std = covariance[j][j].sqrt();
        // 4 standard errors of the mean, and of the standard deviation of a normal.
        let chance = 4.0 / f64::from(rows).sqrt();
        checks.note("samples have the data's mean", format!("axis {j}"), (own - mean[j]).abs() / std, 0.06 + chance);
        let off = (width / std - 1.0).abs();
        checks.note(
            "samples have the data's standard deviation",
            format!("axis {j}"),
            off,
            0.08 + chance / 2f64.sqrt(),
        );
    }
    let truth = model.sample(rows as usize, &mut Rng::new(12)).concat();
    let apart = energy(&x, &truth, 2);
    // Between two sets of 1000 samples of the data it exceeds 0.023 once in a thousand times; the steps' error adds a
    // little.
    checks.note("samples have the data's distribution", "energy distance of 1000 samples", apart, 0.03);
    no_noise_left(sampler, &wrap, &mut checks);
    if sampler.properties().rowwise {
        checks.note("a row does not depend on the rest of the batch", "row 3 of 5", alone(sampler, &*wrapped), 1e-7);
    }
    let again = samples(5);
    let differ = again.iter().zip(&samples(5)).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    checks.note("the same seed gives the same sample", "5 rows", differ as f64, 0.0);
    robustness(sampler).into_iter().for_each(|check| checks.add(check));
    checks.done()
}

/// The convergence that a sampler of Gaussian noise declares, which is part of [`sampler`]: the measured order, or the
/// weak order of the [exact moments](super::moments_of) and their limit; and the standard deviation of the noise of a
/// step, if [`Properties::eta`](crate::sample::Properties::eta) declares it.
///
/// ```
/// use tweedie::{laws, sample::Ddim};
/// assert!(laws::convergence(&Ddim { eta: 0.5 }).iter().all(laws::Check::holds));
/// ```
pub fn convergence(sampler: &dyn Sampler<2>) -> Vec<Check> {
    let mut checks = Checks::default();
    converges(sampler, &|model: &Mixture| Box::new(model.clone()), &mut checks);
    checks.done()
}

fn converges(
    sampler: &dyn Sampler<2>,
    wrap: &impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>,
    checks: &mut Checks,
) {
    order::declared(sampler, checks);
    moments::declared(sampler, wrap, checks);
    if let Some(eta) = sampler.properties().eta {
        added_noise(sampler, eta, checks);
    }
}

/// The standard deviation of a step from one point, on data at one point, so that x̂ is the same in every row.
fn added_noise(sampler: &dyn Sampler<2>, eta: f64, checks: &mut Checks) {
    let rows = 4000_u32;
    let (s, t) = (0.4, 0.6);
    for (name, schedule) in [
        ("variance-preserving", Arc::new(VariancePreserving::default()) as Arc<dyn Schedule>),
        ("flow-matching", Arc::new(FlowMatching {})),
    ] {
        let noise = Gaussian::new(schedule).with_prediction(Prediction::V);
        let point = Mixture::gaussian(noise, vec![0.4, -0.3], ComponentCovariance::Isotropic(0.0)).expect("a Gaussian");
        let z = plane(&vec![[0.7, 0.2]; rows as usize]);
        let posterior = model_noise(&point).posterior(z.clone(), z.clone(), &[s], &[t]).std();
        let goal = eta * host(posterior)[0];
        let ahead = host(sampler.step(&point, z, TimeStep::new(t, s), &mut Rng::new(6)));
        // Four standard errors of a standard deviation of 4000 normals are 4.5 %.
        let place = format!("{name}, from t = {t} to {s}");
        let law = "a step adds noise of η times the posterior's standard deviation";
        for j in 0..2 {
            let (_, std) = of_axis(&ahead, j);
            let off = (std - goal).abs() / goal.max(1e-3);
            checks.note(law, format!("{place}: {std:.4} for {goal:.4}"), off, 0.05);
        }
    }
}

/// Mean and standard deviation along axis j of points in the plane.
pub(super) fn of_axis(points: &[f64], j: usize) -> (f64, f64) {
    let n = (points.len() / 2) as f64;
    let column = || points.iter().skip(j).step_by(2);
    let mean = column().sum::<f64>() / n;
    (mean, (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// On data at one point all that a trajectory ends with besides is noise.
fn no_noise_left(
    sampler: &dyn Sampler<2>,
    wrap: &impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>,
    checks: &mut Checks,
) {
    // σ² is linear in t here, so that Euler's step in t removes it too.
    let noise = Gaussian::new(VariancePreserving { beta_min: 8.0, beta_max: 8.0 }).with_prediction(Prediction::V);
    let at = [0.4, -0.3];
    let point = Mixture::gaussian(noise, at.to_vec(), ComponentCovariance::Isotropic(0.0)).expect("a Gaussian");
    let times = vec![0.04, 0.03, 0.02, 0.01, 0.0];
    let path = model_noise(&point).path().expect("Gaussian");
    let (first, last) = (path.at(times[0]), path.at(times[3]));
    let start = plane(&[at.map(|x| x * first.alpha)]) + latents(50, 5) * first.sigma;
    let left = match trajectory_from(&*wrap(&point), sampler, times, start, &Rng::new(6)) {
        Ok(steps) => host((steps.last().expect("a trajectory has points").1 - plane(&[at])).square().mean().sqrt())[0],
        Err(_) => f64::NAN,
    };
    let place = "data at a point, last step from t = 0.01";
    checks.note("no noise is left at t = 0", place, left / last.sigma, 0.3);
}

fn end_of(
    model: &dyn Denoiser<2>,
    sampler: &dyn Sampler<2>,
    times: Vec<f64>,
    noise: Tensor<2>,
    exact: &Mixture,
) -> Vec<f64> {
    let sigma = model_noise(exact).path().expect("Gaussian").at(1.0).sigma;
    match trajectory_from(model, sampler, times, noise * sigma, &Rng::new(1)) {
        Ok(steps) => host(steps.last().expect("a trajectory has points").1),
        Err(_) => vec![f64::NAN],
    }
}

/// The largest difference of a row sampled alone from the same row in a batch.
pub fn row_alone(sampler: &dyn Sampler<2>) -> f64 {
    alone(sampler, &problem(OrnsteinUhlenbeck {}))
}

fn alone(sampler: &dyn Sampler<2>, model: &dyn Denoiser<2>) -> f64 {
    let times: Vec<f64> = (0..=8).rev().map(|i| f64::from(i) / 8.0).collect();
    let (start, rng) = (latents(5, 3), Rng::new(3));
    let last = |start: Tensor<2>, rng: &Rng| {
        let steps = trajectory_from(model, sampler, times.clone(), start, rng).ok()?;
        Some(host(steps.last().expect("a trajectory has points").1))
    };
    let (all, one) = (last(start.clone(), &rng), last(start.narrow(0, 3, 1), &rng.from_row(3)));
    let (Some(all), Some(one)) = (all, one) else { return f64::NAN };
    let gaps = one.iter().zip(&all[6..8]).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, |most, gap| if gap > most || gap.is_nan() { gap } else { most })
}

/// Points in the plane as a tensor of double precision.
pub fn plane(rows: &[[f64; 2]]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), (&Device::flex(), DType::F64))
}

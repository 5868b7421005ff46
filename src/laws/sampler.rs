//! Laws of samplers, on exact problems.
use super::{
    Check, Checks, moments,
    order::{self, latents, model_noise, problem},
};
use crate::{
    denoise::Denoiser,
    distance::energy,
    distribution::host,
    exact::{Covariance, FlowEnd, Mixture},
    noise::{Gaussian, Prediction},
    rng::Rng,
    sample::{Sampler, trajectory_from},
    schedule::{Edm, FlowMatching, OrnsteinUhlenbeck, VariancePreserving},
};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Samplers of Gaussian noise: the declared order is measured on three exact problems, walks of one and two steps end in finite
/// numbers at every kind of end, no noise is left at t = 0, many samples have the data's moments and distribution, a row does
/// not depend on its batch unless [the sampler says so](Sampler::rowwise), and the same stream gives the same walk. Where a
/// sampler has noise of its own, [exact moments](super::moments_of) converge to those of x_t as is declared.
///
/// The order measured may differ from the declared one by 0.1; of orders above 5 it is asked that it be 5 at least, for
/// rounding begins before their slopes have settled. The mean and the spread of samples of 60 steps may differ from the
/// data's by the steps' own error, up to 6 % and 8 % of the spread, and by chance.
pub fn sampler(sampler: &dyn Sampler<2>) -> Vec<Check> {
    walks(sampler, |model| Box::new(model.clone()))
}

/// [`sampler`] for samplers of consistency models: the model says where the flow ends. No order is asked for.
pub fn consistency(sampler: &dyn Sampler<2>) -> Vec<Check> {
    walks(sampler, |model| Box::new(FlowEnd(model)))
}

fn walks(sampler: &dyn Sampler<2>, wrap: impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>) -> Vec<Check> {
    let mut checks = Checks::default();
    order::declared(sampler, &mut checks);
    moments::declared(sampler, &wrap, &mut checks);
    let ends: [(&str, Mixture); 3] = [
        ("flow-matching", problem(FlowMatching {})),
        ("variance-preserving", problem(VariancePreserving::default())),
        ("edm", problem(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 })),
    ];
    for (name, model) in &ends {
        let wrapped = wrap(model);
        for steps in [1, 2, 3] {
            let times: Vec<f64> = (0..=steps).rev().map(|i| i as f64 / steps as f64).collect();
            let last = walk(&*wrapped, sampler, times, latents(3, 5), model);
            let wrong = last.iter().filter(|x| x.is_nan() || x.abs() >= 1e3).count();
            checks.note("short walks end in finite numbers", format!("{name}, {steps} steps"), wrong as f64, 0.0);
        }
    }
    let model = problem(OrnsteinUhlenbeck {});
    let wrapped = wrap(&model);
    let times: Vec<f64> = (0..=60).rev().map(|i| (f64::from(i) / 60.0 * std::f64::consts::FRAC_PI_2).sin()).collect();
    let rows = 1000_u32;
    let draw = |rows: usize| {
        let walk = trajectory_from(&*wrapped, sampler, times.clone(), latents(rows, 5), &Rng::new(6));
        match walk {
            Ok(walk) => host(walk.last().expect("a walk has points").1),
            Err(_) => vec![f64::NAN; 2 * rows],
        }
    };
    let x = draw(rows as usize);
    let (mean, covariance) = (model.mean(), model.covariance());
    for j in 0..2 {
        let (own, width) = of_axis(&x, j);
        let std = covariance[j][j].sqrt();
        // 4 standard errors of the mean, and of the spread of a normal.
        let chance = 4.0 / f64::from(rows).sqrt();
        checks.note("samples have the data's mean", format!("axis {j}"), (own - mean[j]).abs() / std, 0.06 + chance);
        let spread = (width / std - 1.0).abs();
        checks.note("samples have the data's spread", format!("axis {j}"), spread, 0.08 + chance / 2f64.sqrt());
    }
    let truth = model.sample(rows as usize, &mut Rng::new(12)).concat();
    let apart = energy(&x, &truth, 2);
    // Of two sets of 1000 draws of the data it exceeds 0.023 once in a thousand times; the steps' error adds a little.
    checks.note("samples are distributed as the data", "energy distance of 1000 draws", apart, 0.03);
    no_noise_left(sampler, &wrap, &mut checks);
    if sampler.rowwise() {
        checks.note("a row is the same alone as in a batch", "row 3 of 5", alone(sampler, &*wrapped), 1e-7);
    }
    let again = draw(5);
    let differ = again.iter().zip(&draw(5)).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    checks.note("the same stream gives the same walk", "5 rows", differ as f64, 0.0);
    checks.done()
}

/// Mean and standard deviation along axis j of points in the plane.
pub(super) fn of_axis(points: &[f64], j: usize) -> (f64, f64) {
    let n = (points.len() / 2) as f64;
    let column = || points.iter().skip(j).step_by(2);
    let mean = column().sum::<f64>() / n;
    (mean, (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// On data at a point all that a walk leaves besides is noise.
fn no_noise_left(
    sampler: &dyn Sampler<2>,
    wrap: &impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>,
    checks: &mut Checks,
) {
    // Where σ² rises evenly with t, so that Euler's step in t takes it away too.
    let noise = Gaussian::new(VariancePreserving { beta_min: 8.0, beta_max: 8.0 }).with_prediction(Prediction::V);
    let at = [0.4, -0.3];
    let point = Mixture::gaussian(noise, at.to_vec(), Covariance::Isotropic(0.0)).expect("a Gaussian");
    let times = vec![0.04, 0.03, 0.02, 0.01, 0.0];
    let path = model_noise(&point).path().expect("Gaussian");
    let (first, last) = (path.at(times[0]), path.at(times[3]));
    let start = plane(&[at.map(|x| x * first.alpha)]) + latents(50, 5) * first.sigma;
    let left = match trajectory_from(&*wrap(&point), sampler, times, start, &Rng::new(6)) {
        Ok(walk) => host((walk.last().expect("a walk has points").1 - plane(&[at])).square().mean().sqrt())[0],
        Err(_) => f64::NAN,
    };
    let place = "data at a point, last step from t = 0.01";
    checks.note("no noise is left at t = 0", place, left / last.sigma, 0.3);
}

fn walk(
    model: &dyn Denoiser<2>,
    sampler: &dyn Sampler<2>,
    times: Vec<f64>,
    noise: Tensor<2>,
    exact: &Mixture,
) -> Vec<f64> {
    let sigma = model_noise(exact).path().expect("Gaussian").at(1.0).sigma;
    match trajectory_from(model, sampler, times, noise * sigma, &Rng::new(1)) {
        Ok(walk) => host(walk.last().expect("a walk has points").1),
        Err(_) => vec![f64::NAN],
    }
}

/// Whether row i of a walk is the same alone as in a batch: the largest difference.
pub fn row_alone(sampler: &dyn Sampler<2>) -> f64 {
    alone(sampler, &problem(OrnsteinUhlenbeck {}))
}

fn alone(sampler: &dyn Sampler<2>, model: &dyn Denoiser<2>) -> f64 {
    let times: Vec<f64> = (0..=8).rev().map(|i| f64::from(i) / 8.0).collect();
    let (start, rng) = (latents(5, 3), Rng::new(3));
    let last = |start: Tensor<2>, rng: &Rng| {
        let walk = trajectory_from(model, sampler, times.clone(), start, rng).ok()?;
        Some(host(walk.last().expect("a walk has points").1))
    };
    let (all, one) = (last(start.clone(), &rng), last(start.narrow(0, 3, 1), &rng.from_row(3)));
    let (Some(all), Some(one)) = (all, one) else { return f64::NAN };
    let gaps = one.iter().zip(&all[6..8]).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, |most, gap| if gap > most || gap.is_nan() { gap } else { most })
}

/// A tensor of double precision from rows in the plane.
pub fn plane(rows: &[[f64; 2]]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), (&Device::flex(), DType::F64))
}

//! Laws of samplers, on exact problems.
use super::{Check, Checks};
use crate::{
    denoise::Denoiser,
    distribution::host,
    exact::{Covariance, FlowEnd, Mixture},
    noise::{Gaussian, Prediction},
    rng::Rng,
    sample::{Past, Sampler, reverse, reverse_from},
    schedule::{Edm, FlowMatching, OrnsteinUhlenbeck, Schedule, VariancePreserving},
};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A problem whose every answer is known: a mixture of three Gaussians in the plane, under a schedule.
pub fn problem(schedule: impl Schedule + 'static) -> Mixture {
    let full = |[a, b, c]: [f64; 3]| Covariance::Full(vec![vec![a, b], vec![b, c]]);
    let parts = vec![
        (0.5, vec![-2.0, 0.0], full([0.3, 0.1, 0.2])),
        (0.3, vec![1.5, 1.0], full([0.2, 0.0, 0.5])),
        (0.2, vec![0.5, -2.0], full([0.1, -0.05, 0.15])),
    ];
    Mixture::new(Gaussian::new(schedule).predicting(Prediction::V), parts).expect("the components are Gaussians")
}

/// n rows of standard noise in the plane, in double precision.
pub(crate) fn latents(n: usize, seed: u64) -> Tensor<2> {
    Rng::new(seed).normal_tensor([n, 2], &Device::flex(), DType::F64)
}

/// The measured order of convergence of a sampler on a model: how the error at `to` of a walk from `from` falls with the
/// number of even steps.
///
/// The first few words of a multistep method, whose first steps would be of lower order, are those of the exact flow. Of the
/// slopes between n and 2n steps the last two are extrapolated to n → ∞; errors below 1e-14 a step, which are rounding, are
/// left out.
pub fn order_of(sampler: &dyn Sampler<2>, model: &Mixture, [from, to]: [f64; 2]) -> f64 {
    let sigma = crate::noise::Noise::<2>::path(model_noise(model)).expect("Gaussian").at(from).sigma;
    let start = latents(16, 11) * sigma;
    let end = model.flow(start.clone(), from, to);
    let warm = sampler.order().unwrap_or(1);
    let mut errors = vec![];
    for n in [20, 40, 80, 160, 320, 640, 1280] {
        let time = |i: usize| from + (to - from) * i as f64 / n as f64;
        let (mut past, mut rng) = (Past::of(n), Rng::new(0));
        let (mut z, mut exact) = (start.clone(), start.clone());
        for i in 0..n {
            if i < warm && i > 0 {
                exact = model.flow(exact, time(i - 1), time(i));
                z = exact.clone();
                past.settle();
            }
            z = sampler.step(model, z, time(i), time(i + 1), &mut past, &mut rng);
            past.advance();
        }
        let error = host((z - end.clone()).square().mean().sqrt())[0];
        // Rounding adds up over the steps.
        if error < 1e-14 * n as f64 {
            break;
        }
        errors.push(error.ln());
    }
    let slopes: Vec<f64> = errors.windows(2).map(|e| (e[0] - e[1]) / std::f64::consts::LN_2).collect();
    match slopes[..] {
        [] => f64::NAN,
        [only] => only,
        [.., before, last] => 2.0 * last - before,
    }
}

fn model_noise(model: &Mixture) -> &dyn crate::noise::Noise<2> {
    Denoiser::<2>::noise(model)
}

/// Samplers of Gaussian noise: the declared order is measured on two exact problems, the moments of many samples are those
/// of the data, walks of one and two steps end in finite numbers at every kind of end, and the same stream gives the same
/// walk.
///
/// The order measured may differ from the declared one by 0.1, and be larger; of orders above 5 it is asked that it be 5 at least,
/// for rounding begins before their slopes have settled. The mean and the spread of samples
/// of 60 steps may differ from the data's by the steps' own error, up to 6 % and 8 % of the spread, and by chance.
pub fn sampler(sampler: &dyn Sampler<2>) -> Vec<Check> {
    walks(sampler, |model| Box::new(model.clone()))
}

/// [`sampler`] for samplers of consistency models: the model says where the flow ends. No order is asked for.
pub fn consistency(sampler: &dyn Sampler<2>) -> Vec<Check> {
    walks(sampler, |model| Box::new(FlowEnd(model)))
}

/// The highest order that double precision can tell from its neighbours on these problems.
const PROVABLE: usize = 5;

fn walks(sampler: &dyn Sampler<2>, wrap: impl for<'a> Fn(&'a Mixture) -> Box<dyn Denoiser<2> + 'a>) -> Vec<Check> {
    let mut checks = Checks::default();
    let smooth = [
        ("variance-preserving", problem(VariancePreserving { min: 0.1, max: 8.0 }), [0.8, 0.2]),
        ("ornstein-uhlenbeck", problem(OrnsteinUhlenbeck {}), [0.8, 0.4]),
    ];
    if let Some(declared) = sampler.order() {
        for (name, model, span) in &smooth {
            let measured = order_of(sampler, model, *span);
            let place = format!("{name}: {measured:.2} for {declared}");
            let held = declared.min(PROVABLE) as f64;
            checks.note("the order of convergence is the declared one", place, held - measured, 0.1);
        }
    }
    let ends: [(&str, Mixture); 3] = [
        ("flow-matching", problem(FlowMatching {})),
        ("variance-preserving", problem(VariancePreserving::default())),
        ("edm", problem(Edm { min: 0.02, max: 20.0, rho: 7.0 })),
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
        let walk = reverse_from(&*wrapped, sampler, times.clone(), latents(rows, 5), &Rng::new(6));
        match walk {
            Ok(walk) => host(walk.last().expect("a walk has points").1),
            Err(_) => vec![f64::NAN; 2 * rows],
        }
    };
    let x = draw(rows as usize);
    let (mean, covariance) = (model.mean(), model.covariance());
    for j in 0..2 {
        let column: Vec<f64> = x.iter().skip(j).step_by(2).copied().collect();
        let n = column.len() as f64;
        let own = column.iter().sum::<f64>() / n;
        let var = column.iter().map(|x| (x - own).powi(2)).sum::<f64>() / n;
        let std = covariance[j][j].sqrt();
        // 4 standard errors of the mean, and of the spread of a normal.
        let chance = 4.0 / f64::from(rows).sqrt();
        checks.note("samples have the data's mean", format!("axis {j}"), (own - mean[j]).abs() / std, 0.06 + chance);
        let spread = (var.sqrt() / std - 1.0).abs();
        checks.note("samples have the data's spread", format!("axis {j}"), spread, 0.08 + chance / 2f64.sqrt());
    }
    let again = draw(5);
    let differ = again.iter().zip(&draw(5)).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    checks.note("the same stream gives the same walk", "5 rows", differ as f64, 0.0);
    checks.done()
}

fn walk(
    model: &dyn Denoiser<2>,
    sampler: &dyn Sampler<2>,
    times: Vec<f64>,
    noise: Tensor<2>,
    exact: &Mixture,
) -> Vec<f64> {
    let sigma = model_noise(exact).path().expect("Gaussian").at(1.0).sigma;
    match reverse_from(model, sampler, times, noise * sigma, &Rng::new(1)) {
        Ok(walk) => host(walk.last().expect("a walk has points").1),
        Err(_) => vec![f64::NAN],
    }
}

/// Whether row i of a walk is the same alone as in a batch: the largest difference.
pub fn row_alone(sampler: &dyn Sampler<2>) -> f64 {
    let model = problem(OrnsteinUhlenbeck {});
    let times: Vec<f64> = (0..=8).rev().map(|i| f64::from(i) / 8.0).collect();
    let last = |walk: crate::sample::Reverse<'_, 2, Mixture>| host(walk.last().expect("a walk has points").1);
    let rng = Rng::new(3);
    let device = Device::flex();
    let Ok(all) = reverse(&model, sampler, times.clone(), [5, 2], &rng, &device) else { return f64::NAN };
    let Ok(one) = reverse(&model, sampler, times, [1, 2], &rng.from_row(3), &device) else { return f64::NAN };
    let (all, one) = (last(all), last(one));
    one.iter().zip(&all[6..8]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A tensor of double precision from rows in the plane.
pub fn plane(rows: &[[f64; 2]]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), (&Device::flex(), DType::F64))
}

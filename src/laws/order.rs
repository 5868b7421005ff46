//! Orders of convergence of samplers, measured on problems with exact solutions.
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
use burn::tensor::{DType, Device, Tensor};

/// An exact problem: a mixture of three Gaussians in the plane, under a schedule.
pub fn problem(schedule: impl Schedule + 'static) -> Mixture {
    let full = |[a, b, c]: [f64; 3]| ComponentCovariance::Full(vec![vec![a, b], vec![b, c]]);
    let parts = vec![
        (0.5, vec![-2.0, 0.0], full([0.3, 0.1, 0.2])),
        (0.3, vec![1.5, 1.0], full([0.2, 0.0, 0.5])),
        (0.2, vec![0.5, -2.0], full([0.1, -0.05, 0.15])),
    ];
    Mixture::new(Gaussian::new(schedule).with_prediction(Prediction::V), parts).expect("the components are Gaussians")
}

/// n rows of standard normal noise in the plane, in double precision.
pub(crate) fn latents(n: usize, seed: u64) -> Tensor<2> {
    Rng::new(seed).normal_tensor([n, 2], &Device::flex(), DType::F64)
}

/// The measured order of convergence of a sampler on a model: the slope of ln error against −ln n, for the error at
/// `to` of trajectories of n even steps from `from`.
///
/// The first few points of a multistep method, whose first steps would be of lower order, are those of the exact flow.
/// Of the slopes between n and 2n steps, n = 20, 40, …, 1280, the last two are extrapolated to n → ∞; errors below
/// 1e-14 per step, which are rounding, are left out. NaN if the sampler refuses the model's noise.
///
/// ```
/// use tweedie::{laws, sample::Heun, schedule::VariancePreserving};
/// let problem = laws::problem(VariancePreserving::default());
/// let order = laws::order_of(&Heun::default(), &problem, [0.8, 0.2]);
/// assert!((order - 2.0).abs() < 0.1);
/// ```
pub fn order_of(sampler: &dyn Sampler<2>, model: &Mixture, [from, to]: [f64; 2]) -> f64 {
    let sigma = crate::noise::Noise::<2>::path(model_noise(model)).expect("Gaussian").at(from).sigma;
    let start = latents(16, 11) * sigma;
    let end = model.flow(start.clone(), from, to);
    let warm = sampler.properties().order.unwrap_or(1);
    let mut errors = vec![];
    for n in [20, 40, 80, 160, 320, 640, 1280] {
        let time = |i: usize| from + (to - from) * i as f64 / n as f64;
        let Ok(mut state) = sampler.start(model_noise(model)) else { return f64::NAN };
        let mut rng = Rng::new(0);
        let (mut z, mut exact) = (start.clone(), start.clone());
        for i in 0..n {
            if i < warm && i > 0 {
                exact = model.flow(exact, time(i - 1), time(i));
                z = exact.clone();
                state.z_replaced();
            }
            z = state.step(model, z, TimeStep { t: time(i), s: time(i + 1), index: i, count: n }, &mut rng);
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

pub(super) fn model_noise(model: &Mixture) -> &dyn crate::noise::Noise<2> {
    Denoiser::<2>::noise(model)
}

/// The highest order that double precision can tell from its neighbors on these problems.
const PROVABLE: usize = 5;

/// Compares the declared order with the measured one, on schedules that preserve the variance and on others.
pub(super) fn declared(sampler: &dyn Sampler<2>, checks: &mut Checks) {
    let Some(declared) = sampler.properties().order else { return };
    for (name, model, span) in [
        ("variance-preserving", problem(VariancePreserving { beta_min: 0.1, beta_max: 8.0 }), [0.8, 0.2]),
        ("flow-matching", problem(FlowMatching {}), [0.7, 0.4]),
        ("edm", problem(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 }), [0.6, 0.4]),
    ] {
        let measured = order_of(sampler, &model, span);
        let held = declared.min(PROVABLE) as f64;
        let off = if declared > PROVABLE { held - measured } else { (held - measured).abs() };
        let compared = Compared { declared: declared as f64, found: measured };
        let law = "the order of convergence is the declared one";
        checks.add(Check { compared: Some(compared), ..Check::new(law, name, off, 0.1) });
    }
}

//! Laws of the intermediate points of a trajectory.
use super::{
    Check, Checks,
    order::{latents, problem},
    sampler::of_axis,
};
use crate::{
    denoise::Denoiser,
    distribution::host,
    noise::{Estimate, Noise},
    rng::Rng,
    sample::{Sampler, trajectory_from},
    schedule::OrnsteinUhlenbeck,
};
use burn::tensor::Tensor;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A model that counts its evaluations.
struct Counted<'a> {
    model: &'a dyn Denoiser<2>,
    evaluations: AtomicUsize,
}
impl Denoiser<2> for Counted<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        self.model.denoise(z, t)
    }
}

/// Network evaluations per step: the least of the steps that are neither the first nor the last, which may differ.
fn measured_nfe(model: &dyn Denoiser<2>, sampler: &dyn Sampler<2>) -> f64 {
    let counted = Counted { model, evaluations: AtomicUsize::new(0) };
    let times = (0..=40).rev().map(|i| f64::from(i) / 40.0).collect();
    let Ok(steps) = trajectory_from(&counted, sampler, times, latents(3, 5), &Rng::new(7)) else { return f64::NAN };
    // The first point is the noise.
    let counts: Vec<usize> = steps.map(|_| counted.evaluations.swap(0, Ordering::Relaxed)).collect();
    counts[2..40].iter().min().map_or(f64::NAN, |least| *least as f64)
}

/// Trajectories of a sampler of Gaussian noise: the measured NFE per step is the declared one, and half-way the moments
/// are those of x_t, unless the sampler is [unfit](Sampler::unfit) for the schedule.
///
/// At t = ½, after 40 steps, the mean and the standard deviation may be off by 2 % and 3 % of the standard deviation,
/// and by three standard errors of 2500 rows, 6 % and 4 %.
///
/// ```
/// use tweedie::{laws, sample::Heun};
/// assert!(laws::trajectory(&Heun::default()).iter().all(laws::Check::holds));
/// ```
pub fn trajectory(sampler: &dyn Sampler<2>) -> Vec<Check> {
    let mut checks = Checks::default();
    let model = problem(OrnsteinUhlenbeck {});
    // One evaluation too many or too few of four is more than a fifth; an adaptive pair has one more at the start of a
    // step.
    let (declared, measured) = (sampler.properties().nfe_per_step as f64, measured_nfe(&model, sampler));
    let place = format!("{measured} for {declared}");
    checks.note("the measured NFE per step is the declared one", place, (measured / declared - 1.0).abs(), 0.2);

    let times: Vec<f64> = (20..=60).rev().map(|i| (f64::from(i) / 60.0 * std::f64::consts::FRAC_PI_2).sin()).collect();
    if sampler.unfit(Denoiser::<2>::noise(&model), &times).is_some() {
        return checks.done();
    }
    let rows = 2500_u32;
    let half = match trajectory_from(&model, sampler, times, latents(rows as usize, 5), &Rng::new(6)) {
        Ok(steps) => host(steps.last().expect("a trajectory has points").1),
        Err(_) => vec![f64::NAN; 2 * rows as usize],
    };
    let (mean, covariance) = model.moments(0.5);
    let chance = 3.0 / f64::from(rows).sqrt();
    for j in 0..2 {
        let std = covariance[j][j].sqrt();
        let (own, width) = of_axis(&half, j);
        let (off, wide) = ((own - mean[j]).abs() / std, (width / std - 1.0).abs());
        checks.note("half-way the mean is that of x_t", format!("axis {j}"), off, 0.02 + chance);
        let allowed = 0.03 + chance / 2f64.sqrt();
        checks.note("half-way the standard deviation is that of x_t", format!("axis {j}"), wide, allowed);
    }
    checks.done()
}

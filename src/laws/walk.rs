//! Laws of the way of a walk.
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

/// A model that counts how often it is asked.
struct Counted<'a> {
    model: &'a dyn Denoiser<2>,
    asked: AtomicUsize,
}
impl Denoiser<2> for Counted<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.model.denoise(z, t)
    }
}

/// How often the steps of a walk ask the model: the least of those that are neither the first nor the last, which may differ.
fn asked(model: &dyn Denoiser<2>, sampler: &dyn Sampler<2>) -> f64 {
    let counted = Counted { model, asked: AtomicUsize::new(0) };
    let times = (0..=40).rev().map(|i| f64::from(i) / 40.0).collect();
    let Ok(walk) = trajectory_from(&counted, sampler, times, latents(3, 5), &Rng::new(7)) else { return f64::NAN };
    // Before the first step is the noise.
    let counts: Vec<usize> = walk.map(|_| counted.asked.swap(0, Ordering::Relaxed)).collect();
    counts[2..40].iter().min().map_or(f64::NAN, |least| *least as f64)
}

/// The way of a walk of a sampler of Gaussian noise: a step asks the model as often as is said, and half-way the moments are those
/// of x_t.
///
/// At t = ½, after 40 steps, the mean and the spread may be off by 2 % and 3 % of the spread, and by three standard errors of 2500
/// rows, 6 % and 4 %.
pub fn walk(sampler: &dyn Sampler<2>) -> Vec<Check> {
    let mut checks = Checks::default();
    let model = problem(OrnsteinUhlenbeck {});
    // One step too many or too few of four is more than a fifth; a pair with a tolerance asks for its first guess besides.
    let (said, least) = (sampler.calls() as f64, asked(&model, sampler));
    let place = format!("{least} for {said}");
    checks.note("a step asks the model as often as is said", place, (least / said - 1.0).abs(), 0.2);

    let times = (20..=60).rev().map(|i| (f64::from(i) / 60.0 * std::f64::consts::FRAC_PI_2).sin()).collect();
    let rows = 2500_u32;
    let half = match trajectory_from(&model, sampler, times, latents(rows as usize, 5), &Rng::new(6)) {
        Ok(walk) => host(walk.last().expect("a walk has points").1),
        Err(_) => vec![f64::NAN; 2 * rows as usize],
    };
    let (mean, covariance) = model.moments(0.5);
    let chance = 3.0 / f64::from(rows).sqrt();
    for j in 0..2 {
        let std = covariance[j][j].sqrt();
        let (own, width) = of_axis(&half, j);
        let (off, spread) = ((own - mean[j]).abs() / std, (width / std - 1.0).abs());
        checks.note("half-way a walk has the mean of x_t", format!("axis {j}"), off, 0.02 + chance);
        let allowed = 0.03 + chance / 2f64.sqrt();
        checks.note("half-way a walk has the spread of x_t", format!("axis {j}"), spread, allowed);
    }
    checks.done()
}

//! A solver that chooses its own steps.
use super::{
    Properties, Sampler, SamplerState, TimeStep, first_step, gaussian_schedule, require_gaussian, sampler::require,
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    sample::Evaluation,
    schedule::{Scales, Schedule},
};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use tweedie_kernels::{
    combine,
    ops::{Terms, max_error_ratio},
};

mod embedded_pair;
pub(crate) use embedded_pair::integrate;
use embedded_pair::{NODES, STAGES, adapt, error_weights};

/// Dormand and Prince's embedded pair of orders 5 and 4 with adaptive step size: within each step of the trajectory it
/// takes as many steps of its own as the tolerances require, of six network evaluations each.
///
/// It solves `dw/dφ = (cos φ w − x̂)/sin φ` for `w = z/√(α² + σ²)`, `φ = arctan(σ/α)`, in which nothing is infinite at
/// either end of any schedule. In single precision, in which smaller errors cannot be distinguished, tolerances below 1e-6
/// are taken as 1e-6. A trajectory to σ = 0 ends with a step of first order from `σ/α = √absolute`. The steps are those
/// of the worst row, so a row depends on its batch, within the tolerances. If no step is short enough, because x̂ is
/// not finite or not smooth, x_s is NaN.
///
/// ```
/// use tweedie::sample::{DormandPrince, Sampler};
/// let properties = Sampler::<4>::properties(&DormandPrince::default());
/// assert!(properties.adaptive && properties.is_deterministic() && !properties.rowwise);
/// ```
///
/// Dormand and Prince, "A family of embedded Runge–Kutta formulae" (1980), <https://doi.org/10.1016/0771-050X(80)90013-3>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "RK45")]
#[doc(alias = "dopri5")]
#[doc(alias = "sample_dpm_adaptive")]
pub struct DormandPrince {
    /// The absolute tolerance of a step. Default: 1e-4.
    #[doc(alias = "atol")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub absolute: f64,
    /// The relative tolerance of a step. Default: 1e-4.
    #[doc(alias = "rtol")]
    #[schemars(range(min = 0.0))]
    pub relative: f64,
}
impl Default for DormandPrince {
    fn default() -> Self {
        Self { absolute: 1e-4, relative: 1e-4 }
    }
}
impl<const D: usize> Sampler<D> for DormandPrince {
    fn properties(&self) -> Properties {
        Properties { nfe_per_step: 6, rowwise: false, adaptive: true, ..Properties::default() }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        let Self { absolute, relative } = *self;
        let absolute_problem = || format!("must be a positive number, got {absolute}");
        require(absolute > 0.0 && absolute.is_finite(), "absolute", absolute_problem)?;
        let relative_problem = || format!("must be a finite number of 0 or more, got {relative}");
        require(relative >= 0.0 && relative.is_finite(), "relative", relative_problem)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(Adaptive { tolerances: *self, last_step: None }))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`DormandPrince`].
#[derive(Clone, Debug)]
struct Adaptive {
    tolerances: DormandPrince,
    /// The last step tried in φ, with which the next one starts.
    last_step: Option<f64>,
}

/// The weights of z and of the denoised estimates so far in a stage.
type Form = [f64; 8];

/// `(cos φ w − x̂)/sin φ`, x̂ the k-th tensor.
fn slope(w: Form, phi: f64, k: usize) -> Form {
    let (sin, cos) = phi.sin_cos();
    let mut slope = w.map(|weight| weight * cos / sin);
    slope[k] -= sin.recip();
    slope
}

/// `w + h Σ cᵢ slopeᵢ`.
fn mix(w: Form, h: f64, slopes: &[Form], weights: &[f64]) -> Form {
    slopes.iter().zip(weights).fold(w, |w, (slope, c)| std::array::from_fn(|k| w[k] + h * c * slope[k]))
}

/// √(α² + σ²).
fn norm_of(c: Scales) -> f64 {
    c.alpha.hypot(c.sigma)
}

/// √(α² + σ²) and arctan(σ/α).
pub(crate) fn polar(c: Scales) -> (f64, f64) {
    (norm_of(c), c.sigma.atan2(c.alpha))
}

/// The time at φ, and the scales there.
pub(crate) fn angle(schedule: &dyn Schedule, phi: f64) -> (f64, Scales) {
    let t = if phi >= FRAC_PI_2 { 1.0 } else { schedule.time_at_log_snr(-2.0 * phi.tan().ln()) };
    (t, schedule.at(t))
}

impl<const D: usize> SamplerState<D> for Adaptive {
    fn step(
        &mut self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        TimeStep { t, s, .. }: TimeStep,
        _: &mut Rng,
    ) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let least = if z.dtype() == DType::F64 { 0.0 } else { 1e-6 };
        let (absolute, relative) = (self.tolerances.absolute.max(least), self.tolerances.relative.max(least));
        let (start, end) = (schedule.at(t), schedule.at(s));
        let ((norm, from), (_, to)) = (polar(start), polar(end));
        // Without noise the slope is 0/0: a way down ends, and a way up begins, a little above.
        let floor = absolute.sqrt().atan();
        let (begin, stop) = if to > from { (from.max(floor), to) } else { (from, to.max(floor).min(from)) };
        let place = |phi: f64| match phi {
            _ if phi == from => (t, start),
            _ if phi == to => (s, end),
            _ => angle(schedule, phi),
        };
        let (mut z, mut here) = (z, (t, start));
        // Down to the end, or up from σ > 0: an inversion.
        if stop < from || to > from {
            here = place(begin);
            let mut n = norm_of(here.1);
            z = combine!([(n / norm, z)]);
            let mut x = model.denoise(z.clone(), &[here.0]).mean;
            let last_step = adapt(begin, stop, self.last_step, |step| {
                // w and its slope are sums of z and of the estimates so far at every stage: one sum of tensors each, of
                // scalars otherwise.
                let mut terms = Terms::default();
                terms.push(z.clone());
                terms.push(x.clone());
                let first: Form = std::array::from_fn(|k| if k == 0 { n.recip() } else { 0.0 });
                let mut slopes = Vec::with_capacity(7);
                slopes.push(slope(first, step.at(0.0), 1));
                let mut ahead = None;
                let (mut there, mut scale) = (here, n);
                for i in 1..7 {
                    let w = mix(first, step.length, &slopes, STAGES[i]);
                    let phi = step.at(NODES[i]);
                    if NODES[i] != NODES[i - 1] {
                        there = place(phi);
                        scale = norm_of(there.1);
                    }
                    let stage = terms.sum(w.map(|weight| scale * weight));
                    ahead = (i == 6).then(|| stage.clone());
                    terms.push(model.denoise(stage, &[there.0]).mean);
                    slopes.push(slope(w, phi, i + 1));
                }
                let ahead = ahead.expect("the last stage is the end of the step");
                let off = terms.sum(mix([0.0; 8], step.length, &slopes, &error_weights()));
                let error = max_error_ratio(off, ahead.clone(), absolute, relative / scale);
                if error <= 1.0 {
                    (z, here, n) = (ahead, there, scale);
                    x = terms.pop().expect("every stage evaluates the model");
                }
                error
            });
            self.last_step = last_step.ok();
            if last_step.is_err() {
                return z * f64::NAN;
            }
        }
        if stop == to {
            return z;
        }
        let x = model.denoise(z.clone(), &[here.0]).mean;
        Evaluation { z, x, scales: here.1 }.euler(end)
    }
}

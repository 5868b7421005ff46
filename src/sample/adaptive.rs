//! A solver that chooses its own steps.
use super::{
    Properties, Sampler, SamplerState, TimePoint, TimeStep, first_step, gaussian_schedule, require_gaussian,
    sampler::require,
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    sample::Evaluation,
    schedule::{Scales, Schedule},
};
use burn::tensor::{DType, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use tweedie_kernels::{
    combine,
    ops::{Terms, max_error_ratios},
};

mod embedded_pair;
pub(crate) use embedded_pair::integrate;
use embedded_pair::{Control, NODES, STAGES, Trial, error_weights};

/// Dormand and Prince's embedded pair of orders 5 and 4 with adaptive step size: within each step of the trajectory it
/// takes as many steps of its own as the tolerances require, of six network evaluations each.
///
/// It solves `dw/dφ = (cos φ w − x̂)/sin φ` for `w = z/√(α² + σ²)`, `φ = arctan(σ/α)`, in which nothing is infinite at
/// either end of any schedule. In single precision, in which smaller errors cannot be distinguished, tolerances below 1e-6
/// are taken as 1e-6. A trajectory to σ = 0 ends with a step of first order from `σ/α = √absolute`. Each row has steps of
/// its own and does not depend on its batch; the network evaluations are those of the row that needs most, and rows at
/// the end of the step wait. A row for which no step is short enough, because x̂ is not finite or not smooth, or which
/// needs more than `max_steps`, is NaN from there on, and [`SamplerState::failure`] says why.
///
/// ```
/// use tweedie::sample::{DormandPrince, Sampler};
/// let properties = Sampler::<4>::properties(&DormandPrince::default());
/// assert!(properties.adaptive && properties.is_deterministic() && properties.rowwise);
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
    /// The most inner steps that a row takes or tries in a whole trajectory. Default: 1000.
    #[schemars(range(min = 1))]
    pub max_steps: usize,
}
impl Default for DormandPrince {
    fn default() -> Self {
        Self { absolute: 1e-4, relative: 1e-4, max_steps: 1000 }
    }
}
impl<const D: usize> Sampler<D> for DormandPrince {
    fn properties(&self) -> Properties {
        Properties { nfe_per_step: 6, adaptive: true, ..Properties::default() }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        let Self { absolute, relative, max_steps } = *self;
        require(max_steps > 0, "max_steps", || "must be 1 or more, got 0".into())?;
        let absolute_problem = || format!("must be a positive number, got {absolute}");
        require(absolute > 0.0 && absolute.is_finite(), "absolute", absolute_problem)?;
        let relative_problem = || format!("must be a finite number of 0 or more, got {relative}");
        require(relative >= 0.0 && relative.is_finite(), "relative", relative_problem)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(Adaptive { settings: *self, last_steps: vec![], tried: vec![], failed: vec![] }))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`DormandPrince`].
#[derive(Clone, Debug)]
struct Adaptive {
    settings: DormandPrince,
    /// The last step tried in φ by each row, with which the next one starts.
    last_steps: Vec<f64>,
    /// The inner steps that each row has tried.
    tried: Vec<usize>,
    /// The rows that were given up, and where.
    failed: Vec<Option<Failure>>,
}

/// Why a row was given up, at a time.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// No step was short enough.
    Stuck(f64),
    /// There were too many steps.
    TooMany(f64),
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
    let point = TimePoint::at_angle(schedule, phi);
    (point.t, point.scales)
}

/// A row on its way through one step of the trajectory.
struct Row {
    control: Control,
    trial: Trial,
    /// The time and the scales where the row is, and their √(α² + σ²).
    here: (f64, Scales),
    norm: f64,
    /// The same at the last stage of the trial.
    there: (f64, Scales),
    scale: f64,
    /// w and its slopes at the stages so far, as sums of z and the estimates.
    first: Form,
    slopes: Vec<Form>,
    /// Whether the row is to be moved further.
    active: bool,
}

/// The rows of `new` where `taken`, of `old` elsewhere.
fn choose<const D: usize>(old: Tensor<D>, new: Tensor<D>, taken: &[bool]) -> Tensor<D> {
    if taken.iter().all(|taken| *taken) {
        return new;
    }
    if taken.iter().all(|taken| !taken) {
        return old;
    }
    let mut shape = [1; D];
    shape[0] = taken.len();
    let flags: Vec<f32> = taken.iter().map(|taken| f32::from(u8::from(*taken))).collect();
    let flags = Tensor::<D>::from_data(TensorData::new(flags, shape), (&old.device(), old.dtype()));
    old.clone().mask_where(flags.equal_elem(1.0).expand(old.dims()), new)
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
        let (absolute, relative) = (self.settings.absolute.max(least), self.settings.relative.max(least));
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
        let count = z.dims()[0];
        if self.failed.len() != count {
            (self.failed, self.last_steps, self.tried) = (vec![None; count], vec![], vec![0; count]);
        }
        let (mut z, mut here) = (z, (t, start));
        // Down to the end, or up from σ > 0: an inversion.
        if stop < from || to > from {
            here = place(begin);
            let n = norm_of(here.1);
            z = combine!([(n / norm, z)]);
            z = self.inner_steps(model, z, (begin, stop), here, &place, (absolute, relative));
            here = place(stop);
        }
        if stop == to || self.failed.iter().all(Option::is_some) {
            return z;
        }
        let x = model.denoise(z.clone(), &[here.0]).mean;
        Evaluation { z, x, scales: here.1 }.euler(end)
    }
    fn failure(&self) -> Option<String> {
        let count = self.failed.iter().flatten().count();
        let first = self.failed.iter().flatten().next()?;
        let (t, why) = match first {
            Failure::Stuck(t) => (t, "found no step short enough".into()),
            Failure::TooMany(t) => (t, format!("needed more than max_steps = {} inner steps", self.settings.max_steps)),
        };
        let rows = if count == 1 { "a sample".into() } else { format!("{count} samples") };
        Some(format!(
            "the adaptive solver gave up {rows} at t = {t:.3}, where it {why}: the model output is not smooth there (a \
             large guidance scale, or weights that are not finite); use less guidance, larger tolerances, or a sampler of \
             fixed steps"
        ))
    }
}

impl Adaptive {
    /// Moves every row that has not failed from φ = `begin` to `stop`, and sets those that fail to NaN.
    fn inner_steps<const D: usize>(
        &mut self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        (begin, stop): (f64, f64),
        here: (f64, Scales),
        place: &dyn Fn(f64) -> (f64, Scales),
        (absolute, relative): (f64, f64),
    ) -> Tensor<D> {
        let mut z = z;
        let norm = norm_of(here.1);
        let form = |norm: f64| -> Form { std::array::from_fn(|k| if k == 0 { norm.recip() } else { 0.0 }) };
        let row = |i: usize| {
            let mut control = Control::new(begin, stop, self.last_steps.get(i).copied());
            control.tried = self.tried[i];
            let (trial, active) = (control.trial(), self.failed[i].is_none());
            Row { control, trial, here, norm, there: here, scale: norm, first: form(norm), slopes: vec![], active }
        };
        let mut rows: Vec<Row> = (0..self.failed.len()).map(row).collect();
        if rows.iter().all(|row| !row.active) {
            return z;
        }
        let mut x = model.denoise(z.clone(), &[here.0]).mean;
        while rows.iter().any(|row| row.active) {
            // w and its slope are sums of z and of the estimates so far at every stage: one sum of tensors each, of
            // scalars otherwise.
            let mut terms = Terms::default();
            terms.push(z.clone());
            terms.push(x.clone());
            for row in &mut rows {
                row.trial = row.control.trial();
                (row.there, row.scale, row.first) = (row.here, row.norm, form(row.norm));
                row.slopes.clear();
                if row.active {
                    row.slopes.push(slope(row.first, row.trial.at(0.0), 1));
                }
            }
            let mut ahead = None;
            for i in 1..7 {
                // A row that waits stays where it is.
                let weights: Vec<Form> = rows
                    .iter_mut()
                    .map(|row| {
                        if !row.active {
                            return std::array::from_fn(|k| if k == 0 { 1.0 } else { 0.0 });
                        }
                        let w = mix(row.first, row.trial.length, &row.slopes, STAGES[i]);
                        let phi = row.trial.at(NODES[i]);
                        if NODES[i] != NODES[i - 1] {
                            row.there = place(phi);
                            row.scale = norm_of(row.there.1);
                        }
                        row.slopes.push(slope(w, phi, i + 1));
                        w.map(|weight| row.scale * weight)
                    })
                    .collect();
                let stage = terms.sum_rows(&weights);
                ahead = (i == 6).then(|| stage.clone());
                let times: Vec<f64> = rows.iter().map(|row| row.there.0).collect();
                terms.push(model.denoise(stage, &times).mean);
            }
            let ahead = ahead.expect("the last stage is the end of the step");
            let error = error_weights();
            let off = |row: &Row| match row.active {
                true => mix([0.0; 8], row.trial.length, &row.slopes, &error),
                false => [0.0; 8],
            };
            let off = terms.sum_rows(&rows.iter().map(off).collect::<Vec<_>>());
            let allowed: Vec<f64> = rows.iter().map(|row| relative / row.scale).collect();
            let errors = max_error_ratios(off, ahead.clone(), absolute, &allowed);
            let mut taken = vec![false; rows.len()];
            for (i, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.active) {
                taken[i] = row.control.settle(errors[i]);
                if taken[i] {
                    (row.here, row.norm) = (row.there, row.scale);
                }
                if row.control.done() {
                    row.active = false;
                } else if row.control.stuck() || row.control.tried >= self.settings.max_steps {
                    let t = row.here.0;
                    self.failed[i] = Some(if row.control.stuck() { Failure::Stuck(t) } else { Failure::TooMany(t) });
                    row.active = false;
                }
            }
            z = choose(z, ahead, &taken);
            x = choose(x, terms.pop().expect("every stage evaluates the model"), &taken);
        }
        self.last_steps = rows.iter().map(|row| row.control.step).collect();
        self.tried = rows.iter().map(|row| row.control.tried).collect();
        let failed: Vec<bool> = self.failed.iter().map(Option::is_some).collect();
        if failed.contains(&true) {
            let nan = z.full_like(f64::NAN);
            z = choose(z, nan, &failed);
        }
        z
    }
}

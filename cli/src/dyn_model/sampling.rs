//! Generation of samples from a model, batch by batch.
use super::model::DynModel;
use crate::{dyn_model::Known, messages};
use burn::tensor::{Device, Tensor, TensorData};
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};
use tweedie::{
    Error, Result, Rng,
    denoise::{Denoiser, Restricted, Thresholded, Truncated, Truncation},
    net::{Condition as _, Conditions},
    noise::{Estimate, Noise},
    sample::{Diagnosis, Infill, Sampler, trajectory},
    spacing::Spacing,
};

/// The settings of sampling.
pub(crate) struct SampleRequest<'a, const D: usize> {
    pub sampler: &'a Arc<dyn Sampler<D>>,
    pub steps: usize,
    /// Timestep spacing. Default: that of the noise.
    pub times: Option<&'a dyn Spacing>,
    /// Scale of classifier-free guidance.
    pub guidance: f64,
    /// Temperature, top-k and top-p of predicted distributions of categories.
    pub truncation: Truncation,
    /// Quantile of dynamic thresholding; `None` disables it.
    pub threshold: Option<f64>,
    /// What is given of every sample.
    pub known: Option<&'a Known>,
    /// The class of each sample.
    pub conditions: &'a Conditions,
    /// Number of samples.
    pub n: usize,
    pub batch: usize,
    pub seed: u64,
    /// Indices of the timesteps at which the trajectory is recorded, increasing; the last is `steps`.
    pub recorded: &'a [usize],
    /// The range of the values of x, if it has one.
    pub range: Option<[f64; 2]>,
    pub device: &'a Device,
}

/// Generated data, `[n, …]` at each recorded timestep; the last are the samples.
pub(crate) struct Samples {
    pub times: Vec<f64>,
    pub frames: Vec<Vec<f32>>,
    /// What the trajectories show of the samples.
    pub diagnosis: Diagnosis,
}
impl Samples {
    /// The samples themselves: the last frame.
    pub fn last(&self) -> &[f32] {
        self.frames.last().expect("the last timestep is recorded")
    }
}

/// The model with dynamic thresholding at a quantile, if one is given.
pub(crate) fn thresholded<'a, const D: usize>(
    model: Box<dyn Denoiser<D> + 'a>,
    threshold: Option<f64>,
) -> Box<dyn Denoiser<D> + 'a> {
    match threshold {
        Some(quantile) => Box::new(Thresholded { model, quantile, max: f64::INFINITY }),
        None => model,
    }
}

/// The timesteps of `steps` sampling steps: the grid of the spacing, with 1 as its first.
///
/// Sampling starts from pure noise. A grid that starts below t = 1 (`leading`, or noise levels below those of the
/// schedule) would expect signal in it.
pub(crate) fn timesteps(times: &dyn Spacing, steps: usize) -> Result<Vec<f64>> {
    let mut grid = times.grid(steps);
    if let Some(first) = grid.first_mut() {
        *first = 1.0;
    }
    let decreasing = grid.windows(2).all(|pair| pair[0] > pair[1]);
    if grid.len() == steps + 1 && decreasing && grid[steps] == 0.0 {
        return Ok(grid);
    }
    grid.dedup();
    Err(Error::invalid(format!(
        "sampling in {steps} steps needs {} decreasing timesteps from 1 to 0, and this spacing gives {}: use {}, or \
         another spacing",
        steps + 1,
        grid.len(),
        messages::count(grid.len().saturating_sub(1), "step")
    )))
}

/// A denoiser that tells at which time it is evaluated.
struct Watched<'a, const D: usize> {
    model: Box<dyn Denoiser<D> + 'a>,
    evaluated: &'a dyn Fn(f64),
}
impl<const D: usize> Denoiser<D> for Watched<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let estimate = self.model.denoise(z, t);
        // Of rows at times of their own the one that is furthest behind.
        (self.evaluated)(t.iter().copied().fold(0.0, f64::max));
        estimate
    }
}

/// The completed fraction of sampling, by steps, and within a step by the time of the evaluations: an adaptive sampler
/// may need many.
struct Fraction<'a> {
    /// Called with the fraction and the number of evaluations in the current step.
    progress: RefCell<&'a mut dyn FnMut(f64, usize)>,
    times: &'a [f64],
    /// Samples of earlier batches, of this batch, and of all.
    before: Cell<usize>,
    rows: Cell<usize>,
    total: usize,
    /// The points of the trajectory that there are.
    points: Cell<usize>,
    /// The part of the next step that is done, and its evaluations so far.
    part: Cell<f64>,
    evaluations: Cell<usize>,
}
impl Fraction<'_> {
    fn begin(&self, before: usize, rows: usize) {
        self.before.set(before);
        self.rows.set(rows);
        self.points.set(0);
    }
    fn point(&self) {
        self.points.set(self.points.get() + 1);
        self.part.set(0.0);
        self.evaluations.set(0);
        self.show();
    }
    fn evaluated(&self, t: f64) {
        let next = self.points.get();
        let (Some(from), Some(to)) = (self.times.get(next.wrapping_sub(1)), self.times.get(next)) else { return };
        self.part.set(((from - t) / (from - to)).clamp(self.part.get(), 1.0));
        self.evaluations.set(self.evaluations.get() + 1);
        self.show();
    }
    fn show(&self) {
        let steps = self.times.len() as f64;
        let done =
            self.before.get() as f64 * steps + self.rows.get() as f64 * (self.points.get() as f64 + self.part.get());
        (self.progress.borrow_mut())(done / (self.total as f64 * steps), self.evaluations.get());
    }
}

/// Generates samples; `progress` is called after each network evaluation with the completed fraction and the number of
/// evaluations in the current step.
///
/// Sample i depends on `(seed, i)` and its class only, not on the batch size.
pub(crate) fn generate<const D: usize>(
    model: &dyn DynModel<D>,
    shape: &[usize],
    request: &SampleRequest<'_, D>,
    progress: &mut dyn FnMut(f64, usize),
) -> Result<Samples> {
    let times = match request.times {
        Some(times) => timesteps(times, request.steps)?,
        None => model.grid(request.steps),
    };
    let rng = Rng::new(request.seed).stream("sample");
    let mut frames = vec![vec![]; request.recorded.len()];
    let fraction = Fraction {
        progress: RefCell::new(progress),
        times: &times,
        before: Cell::new(0),
        rows: Cell::new(0),
        total: request.n,
        points: Cell::new(0),
        part: Cell::new(0.0),
        evaluations: Cell::new(0),
    };
    let evaluated = |t: f64| fraction.evaluated(t);
    let mut diagnosis = Diagnosis::default();
    let infill = request.known.map(|known| {
        let tensor = |values: Vec<f32>, last: usize| {
            let mut shape = [1; D];
            (shape[1], shape[D - 1]) = (known.tokens.len(), last);
            Tensor::<D>::from_data(TensorData::new(values, shape), request.device)
        };
        let k = model.guided(&Conditions::none(), 1.0).noise().categories().map_or(1, |categories| categories.k);
        Infill {
            sampler: Box::new(request.sampler.clone()),
            known: tensor(known.tokens.clone(), 1),
            allowed: known.allowed(k).map(|allowed| tensor(allowed, k)),
        }
    });
    let allowed = infill.as_ref().and_then(|infill| infill.allowed.clone());
    let sampler: &dyn Sampler<D> = match &infill {
        Some(infill) => infill,
        None => &**request.sampler,
    };
    for first in (0..request.n).step_by(request.batch) {
        let rows = request.batch.min(request.n - first);
        let conditions = request.conditions.select(&(first..first + rows).collect::<Vec<_>>());
        let mut denoiser = thresholded(model.guided(&conditions, request.guidance), request.threshold);
        // Truncation is among the allowed categories.
        if let Some(allowed) = &allowed {
            denoiser = Box::new(Restricted::new(denoiser, allowed.clone()));
        }
        if request.truncation != Truncation::default() {
            denoiser = Box::new(Truncated { model: denoiser, truncation: request.truncation });
        }
        let denoiser = Watched { model: denoiser, evaluated: &evaluated };
        fraction.begin(first, rows);
        let mut full = [rows; D];
        full[1..].copy_from_slice(shape);
        let rng = rng.from_row(first as u64);
        let mut next = 0;
        let mut steps = trajectory(&denoiser, sampler, times.clone(), full, &rng, request.device)?;
        if let Some([low, high]) = request.range {
            steps = steps.within(low, high);
        }
        for (i, (_, x)) in steps.by_ref().enumerate() {
            if request.recorded.get(next) == Some(&i) {
                let values: Vec<f32> = model.decode(x).try_into_vec_as().expect("a tensor can be read back");
                frames[next].extend(values);
                next += 1;
            }
            fraction.point();
        }
        diagnosis = if first == 0 { steps.diagnosis() } else { diagnosis.and(steps.diagnosis()) };
    }
    Ok(Samples { times: request.recorded.iter().map(|&i| times[i]).collect(), frames, diagnosis })
}

//! The sampling trajectory from noise to data.
use super::{Diagnosis, Sampler, SamplerState, TimePoint, TimeStep, signal_left};
use crate::{
    denoise::Denoiser,
    error::{Error, Result},
    rng::Rng,
};
use burn::tensor::{Device, Tensor};

/// A sampling trajectory from x₁ to x₀: an iterator over (time, x_t) that starts with the noise and holds one x_t at a
/// time.
///
/// If the schedule leaves noise at t = 0 (σ(0) > 0: variance exploding, EDM), the last point is x̂ there, by one more
/// network evaluation, except for samplers of [consistency models](super::Properties::consistency).
#[derive(Debug)]
#[doc(alias = "sampling loop")]
pub struct Trajectory<'a, const D: usize, M: ?Sized> {
    model: &'a M,
    pub(super) times: Vec<f64>,
    next: usize,
    z: Option<Tensor<D>>,
    state: Box<dyn SamplerState<D> + 'a>,
    /// Whether x̂ at t = 0 is the last point.
    final_estimate: bool,
    rng: Rng,
    /// The data range, if x_t is to be compared with it.
    range: Option<[f64; 2]>,
    diagnosis: Diagnosis,
}

/// Starts a trajectory over decreasing `times` from a sample of the stationary distribution; if they start below t = 1,
/// from noise of the standard deviation there.
///
/// Row i of the trajectory depends on row i of `rng` alone. If the schedule leaves signal at the first of the times, pure
/// noise is not x_t of any data, and [`Trajectory::diagnosis`] says so.
///
/// ```
/// use burn::tensor::Device;
/// use tweedie::{
///     Rng, laws,
///     sample::{DpmSolverPp, trajectory},
///     schedule::VariancePreserving,
///     spacing::{Spacing, Uniform},
/// };
/// let model = laws::problem(VariancePreserving::default());
/// let times = Uniform::default().grid(20);
/// let (sampler, rng) = (DpmSolverPp::default(), Rng::new(0));
/// let steps = trajectory(&model, &sampler, times, [64, 2], &rng, &Device::flex())?;
/// let (t, x) = steps.last().unwrap();
/// assert_eq!((t, x.dims()), (0.0, [64, 2]));
/// # Ok::<(), tweedie::Error>(())
/// ```
///
/// # Errors
///
/// If the sampler refuses the model's noise, the model [refuses](Denoiser::check) the shape or its condition, or the times do not decrease within [0, 1].
#[doc(alias = "sample")]
pub fn trajectory<'a, const D: usize, M: Denoiser<D> + ?Sized>(
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    shape: [usize; D],
    rng: &Rng,
    device: &Device,
) -> Result<Trajectory<'a, D, M>> {
    model.check(sampler.reads(shape))?;
    let mut z = model.noise().stationary(shape, device).sample(&mut rng.stream("start")).value;
    if let (Some(path), Some(&first)) = (model.noise().path(), times.first().filter(|&&t| t < 1.0)) {
        z = z * (path.at(first).sigma / path.at(1.0).sigma);
    }
    let signal_left = times.first().and_then(|&first| signal_left(model.noise().path()?, first));
    let mut trajectory = trajectory_from(model, sampler, times, z, rng)?;
    trajectory.diagnosis.signal_left = signal_left;
    Ok(trajectory)
}

/// [`trajectory`] from a given x_t at the first of `times`.
///
/// # Errors
///
/// As [`trajectory`].
pub fn trajectory_from<'a, const D: usize, M: Denoiser<D> + ?Sized>(
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    z: Tensor<D>,
    rng: &Rng,
) -> Result<Trajectory<'a, D, M>> {
    model.check(sampler.reads(z.dims()))?;
    let state = sampler.start(model.noise())?;
    if times.len() < 2 || !times.windows(2).all(|w| w[0] > w[1]) || !(times[0] <= 1.0 && times[times.len() - 1] >= 0.0)
    {
        return Err(Error::invalid(format!(
            "a trajectory needs two or more times that decrease within [0, 1], got {}",
            few(&times)
        )));
    }
    let noise_left = model.noise().path().is_some_and(|path| path.at(0.0).sigma > 0.0);
    let final_estimate = noise_left && !sampler.properties().consistency;
    let diagnosis = Diagnosis { unfit: sampler.unfit(model.noise(), &times), ..Diagnosis::default() };
    let rng = rng.stream("steps");
    Ok(Trajectory { model, times, next: 0, z: Some(z), state, final_estimate, rng, range: None, diagnosis })
}

impl<const D: usize, M: ?Sized> Trajectory<'_, D, M> {
    /// Compares x_t with data within [low, high] in every step, for [`diagnosis`](Self::diagnosis): one pass over x_t
    /// and one number read from the device per step. Of Gaussian noise; otherwise it changes nothing.
    #[must_use]
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { range: Some([low, high]), ..self }
    }

    /// What the steps so far show: whether x_t stayed where diffused data can be, and the samples in the data range.
    ///
    /// Without a range from [`within`](Self::within), only what needs none: rows that the sampler gave up, a start from
    /// pure noise where signal is left, and a sampler that does not fit the schedule.
    #[doc(alias = "diverged")]
    pub fn diagnosis(&self) -> Diagnosis {
        Diagnosis { failure: self.state.failure(), ..self.diagnosis.clone() }
    }
}

impl<const D: usize, M: ?Sized> Clone for Trajectory<'_, D, M> {
    fn clone(&self) -> Self {
        let (times, z, state, rng) = (self.times.clone(), self.z.clone(), self.state.clone(), self.rng.clone());
        let diagnosis = self.diagnosis.clone();
        Self { times, z, state, rng, diagnosis, ..*self }
    }
}

impl<const D: usize, M: Denoiser<D> + ?Sized> Iterator for Trajectory<'_, D, M> {
    type Item = (f64, Tensor<D>);
    fn next(&mut self) -> Option<Self::Item> {
        let i = self.next;
        let s = *self.times.get(i)?;
        self.next += 1;
        let mut z = self.z.take()?;
        if i > 0 {
            let ends_at_zero = self.times[self.times.len() - 1] == 0.0;
            let count = self.times.len() - 1 + usize::from(ends_at_zero && self.final_estimate);
            let at = TimeStep { t: self.times[i - 1], s, index: i - 1, count };
            z = self.state.step(&self.model, z, at, &mut self.rng.at_step(i as u64));
            if s == 0.0 && self.final_estimate {
                z = self.model.denoise(z, &[s]).mean;
            }
        }
        if let (Some(range), Some(path)) = (self.range, self.model.noise().path()) {
            self.diagnosis.watch(&z, TimePoint::new(path, s), range);
            if self.next == self.times.len() {
                self.diagnosis.end(&z, range);
            }
        }
        self.z = Some(z.clone());
        Some((s, z))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.times.len() - self.next;
        (left, Some(left))
    }
}
impl<const D: usize, M: Denoiser<D> + ?Sized> ExactSizeIterator for Trajectory<'_, D, M> {}

/// Numbers for a message; of many the first few, and how many there are.
pub(super) fn few(numbers: &[f64]) -> String {
    const MOST: usize = 4;
    match numbers.get(..MOST) {
        Some(first) if numbers.len() > MOST => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("[{}, …] of {}", first.join(", "), numbers.len())
        }
        _ => format!("{numbers:?}"),
    }
}

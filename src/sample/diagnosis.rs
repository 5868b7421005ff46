//! Whether a trajectory stayed where diffused data can be.
use super::TimePoint;
use crate::{distribution::host, schedule::Schedule};
use burn::tensor::Tensor;

/// α/σ at the first timestep above which pure noise is not a start.
const SIGNAL: f64 = 0.1;
/// How far out a value of a sample must be to count as outside, in half-widths of the range from its middle.
const FAR: f64 = 1.5;
/// The share of the values of samples that may be outside.
const SHARE: f64 = 0.01;
/// How far the root mean square of x_t may be above the largest of q(x_t), besides chance.
const GROWN: f64 = 1.2;

/// What a [`Trajectory`](super::Trajectory) shows of its samples: whether they can be data, and x_t on the way noisy
/// data.
///
/// Of x_t = α x + σ ε with |x| ≤ b, the mean square is at most `α² b² + σ²`, up to chance. A solver that amplifies errors
/// exceeds it in some step, even if clipping of x̂ brings the final samples back into the range.
///
/// ```
/// use burn::tensor::Device;
/// use tweedie::{
///     Rng, laws,
///     sample::{Heun, Variable, trajectory},
///     schedule::Cosine,
///     spacing::{Spacing, Uniform},
/// };
/// let model = laws::problem(Cosine::new(1000));
/// let heun = Heun { variable: Variable::Ratio };
/// let (times, rng) = (Uniform::default().grid(10), Rng::new(0));
/// let mut steps = trajectory(&model, &heun, times, [64, 2], &rng, &Device::flex())?.within(-3.5, 3.5);
/// let (_, x) = steps.by_ref().last().unwrap();
/// assert!(steps.diagnosis().growth > 2.0);
/// assert!(steps.diagnosis().problems()[0].contains("`variable = \"angle\"`"));
/// # let _ = x;
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The number of values of the final samples; 0 if the trajectory has not ended, or has no
    /// [range](super::Trajectory::within).
    pub values: usize,
    /// How many of them are outside the range by more than a quarter of its width.
    pub outside: usize,
    /// How many of them are NaN or infinite.
    pub not_finite: usize,
    /// The largest root mean square of x_t over that of diffused data at an end of the range; 0 without a range.
    pub growth: f64,
    /// The time of this x_t.
    pub growth_time: f64,
    /// How large `growth` may be.
    pub allowed: f64,
    /// α at the first timestep, if α/σ is above 0.1 there: pure noise is not a start.
    pub signal_left: Option<f64>,
    /// Why the sampler gave rows up ([`SamplerState::failure`](super::SamplerState::failure)).
    pub failure: Option<String>,
    /// Why the sampler does not fit the noise ([`Sampler::unfit`](super::Sampler::unfit)).
    pub unfit: Option<String>,
}
impl Diagnosis {
    /// Whether the final samples cannot be data: values that are not finite, or more than 1 % outside the range.
    pub fn diverged(&self) -> bool {
        self.not_finite > 0 || self.failure.is_some() || self.outside as f64 > SHARE * self.values as f64
    }

    /// One sentence for each thing that is wrong, with what to do.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        let remedy = match &self.unfit {
            Some(unfit) => format!(": {unfit}"),
            None => ": take more steps, `unipc`, `deis`, or less guidance".into(),
        };
        if let Some(failure) = &self.failure {
            problems.push(failure.clone());
        } else if self.not_finite > 0 {
            problems.push(format!("{} of the samples are NaN or infinite{remedy}", count(self.not_finite, "value")));
        } else if self.diverged() {
            let share = 100.0 * self.outside as f64 / self.values as f64;
            problems.push(format!("{share:.0} % of the values of the samples lie far outside the data range{remedy}"));
        }
        if self.growth > self.allowed {
            problems.push(format!(
                "at t = {:.3} x_t was {:.1} times as large as diffused data can be, so the sampler amplified errors{remedy}",
                self.growth_time, self.growth
            ));
        }
        if let (Some(unfit), true) = (&self.unfit, problems.is_empty()) {
            problems.push(format!("the sampler does not fit the schedule: {unfit}"));
        }
        problems.extend(self.signal_left.map(start_problem));
        problems
    }

    /// The diagnosis of two batches together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (worse, better) = match other.growth * self.allowed > self.growth * other.allowed {
            true => (other, self),
            false => (self, other),
        };
        Self {
            values: worse.values + better.values,
            outside: worse.outside + better.outside,
            not_finite: worse.not_finite + better.not_finite,
            failure: worse.failure.or(better.failure),
            ..worse
        }
    }

    /// Takes the size of x_t at a time into account.
    pub(super) fn watch<const D: usize>(&mut self, z: &Tensor<D>, at: TimePoint, [low, high]: [f64; 2]) {
        let most = low.abs().max(high.abs());
        let largest = (at.scales.alpha * most).hypot(at.scales.sigma);
        let growth = (host(z.clone().square().mean())[0].sqrt()) / largest;
        let values = z.dims().iter().product::<usize>() as f64;
        // Six standard deviations of the mean of squares of normals.
        self.allowed = GROWN * (1.0 + 6.0 * (2.0 / values).sqrt()).sqrt();
        if growth > self.growth || growth.is_nan() {
            (self.growth, self.growth_time) = (growth, at.t);
        }
    }

    /// Takes final samples into account.
    pub(super) fn end<const D: usize>(&mut self, x: &Tensor<D>, [low, high]: [f64; 2]) {
        let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
        let x = host(x.clone());
        self.values = x.len();
        self.not_finite = x.iter().filter(|x| !x.is_finite()).count();
        self.outside = x.iter().filter(|x| (*x - middle).abs() > FAR * half).count();
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn start_problem(alpha: f64) -> String {
    format!(
        "sampling starts from pure noise, but at the first timestep {:.0} % of the signal is left (α = {alpha:.2}), so \
         samples are not those of the model: take a schedule that ends without signal (`zero-terminal`, a larger β, more \
         steps of the table)",
        100.0 * alpha
    )
}

/// α at t, if α/σ is so large there that pure noise is not x_t of any data: above 0.1.
///
/// DDPM's linear table of 1000 steps ends with α = 0.006; of 100 steps, with 0.60.
///
/// ```
/// use tweedie::{sample::signal_left, schedule::Linear};
/// assert_eq!(signal_left(&Linear::new(1000), 1.0), None);
/// assert!(signal_left(&Linear::new(100), 1.0).is_some_and(|alpha| (alpha - 0.603).abs() < 1e-3));
/// ```
pub fn signal_left(schedule: &dyn Schedule, t: f64) -> Option<f64> {
    let c = schedule.at(t);
    (c.alpha > SIGNAL * c.sigma).then_some(c.alpha)
}

//! Discrete-time schedules β₁ … β_T, which are continuous as well.
use super::{Scales, Schedule};
use crate::{dual::Dual, error::Error};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, f64::consts::FRAC_PI_2, path::PathBuf, sync::OnceLock};

/// How many steps a table has at most.
const MOST: usize = 10_000_000;

/// A table β₁ … β_T as the variance-preserving process whose rate is constant between grid points.
///
/// `ᾱ_i = ∏_{j ≤ i} (1 − β_j)`, `α(i/T) = √ᾱ_i` to rounding, and ln α is piecewise linear in between, but for a last step of
/// β_T = 1, in which α itself goes to 0 along a line; `σ = √(1 − α²)`.
/// So a net trained on the T steps can be sampled at any times by any solver.
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    log: Vec<f64>, // ln ᾱ at 0, 1/T, …, 1
}

impl Table {
    /// The table of `betas`.
    ///
    /// # Errors
    ///
    /// If there are none, or one is not in (0, 1). The last may be 1, which leaves no signal at t = 1.
    pub fn new(betas: impl IntoIterator<Item = f64>) -> Result<Self, Error> {
        let mut log = vec![0.0];
        for (i, beta) in betas.into_iter().enumerate() {
            if i == MOST {
                return Err(Error::invalid(format!(
                    "a table has at most {MOST} steps; a schedule without steps has no end"
                )));
            }
            let erased = log[i] == f64::NEG_INFINITY;
            if erased || !(beta > 0.0 && beta <= 1.0) {
                let (step, beta) = if erased { (i, 1.0) } else { (i + 1, beta) };
                return Err(Error::invalid(format!(
                    "β must lie in (0, 1), or be 1 at the last step, but step {step} of the table has β = {beta}"
                )));
            }
            log.push(log[i] + (-beta).ln_1p());
        }
        if log.len() == 1 {
            return Err(Error::invalid("a table needs one step at least, but there is no β"));
        }
        Ok(Self { log })
    }

    /// The table of `β_i = 1 − ᾱ(i/T) / ᾱ((i−1)/T)`, each at most `clip`.
    ///
    /// # Errors
    ///
    /// As [`new`](Table::new).
    pub fn from_signal(steps: usize, clip: f64, bar: impl Fn(f64) -> f64) -> Result<Self, Error> {
        let at = |i: usize| bar(i as f64 / steps as f64);
        // Not `min`, to which what is not a number is the larger.
        let clipped = |beta: f64| if beta > clip { clip } else { beta };
        Self::new((0..steps).map(|i| clipped(1.0 - at(i + 1) / at(i))))
    }

    /// T, the number of steps.
    pub fn len(&self) -> usize {
        self.log.len() - 1
    }
    /// Never: a table has one step at least.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// ᾱ_i for i in 0..=T, with ᾱ₀ = 1.
    pub fn alpha_bar(&self, i: usize) -> f64 {
        self.log[i].exp()
    }
    /// β_i for i in 1..=T.
    pub fn beta(&self, i: usize) -> f64 {
        -(self.log[i] - self.log[i - 1]).exp_m1()
    }
}

impl Schedule for Table {
    fn alpha(&self, t: Dual) -> Dual {
        match self.part(t) {
            Part::Rate(log) => (0.5 * log).exp(),
            Part::Erased(alpha) => alpha,
        }
    }
    fn sigma(&self, t: Dual) -> Dual {
        match self.part(t) {
            // 1 − ᾱ without cancellation near t = 0.
            Part::Rate(log) => (-log.exp_m1()).sqrt(),
            Part::Erased(alpha) => ((1.0 - alpha) * (1.0 + alpha)).sqrt(),
        }
    }
    fn keep(&self, t: Dual) -> Dual {
        match self.part(t) {
            Part::Rate(log) => log.exp(),
            Part::Erased(alpha) => alpha * alpha,
        }
    }
    fn steps(&self) -> Option<usize> {
        Some(self.len())
    }
    fn at(&self, t: f64) -> Scales {
        // The same with half the exponentials.
        let (alpha, alpha_dot, sigma) = match self.part(Dual::time(t)) {
            Part::Rate(log) => {
                let alpha = (0.5 * log.value).exp();
                (alpha, 0.5 * alpha * log.slope, (-log.value.exp_m1()).sqrt())
            }
            Part::Erased(alpha) => (alpha.value, alpha.slope, ((1.0 - alpha.value) * (1.0 + alpha.value)).sqrt()),
        };
        let half = -alpha * alpha_dot;
        Scales { alpha, sigma, alpha_dot, sigma_dot: half / sigma, variance_dot: 2.0 * half }
    }
    fn time(&self, log_snr: f64) -> f64 {
        // ln ᾱ = −ln(1 + e^(−λ)) falls from point to point, linearly.
        let log = -(-log_snr).exp().ln_1p();
        let i = self.log.partition_point(|&point| point > log).clamp(1, self.len());
        let (above, below) = (self.log[i - 1], self.log[i]);
        let share =
            if below == f64::NEG_INFINITY { -(0.5 * (log - above)).exp_m1() } else { (above - log) / (above - below) };
        ((i as f64 - 1.0 + share) / self.len() as f64).clamp(0.0, 1.0)
    }
}

/// What is linear in one step of a table.
enum Part {
    /// ln ᾱ.
    Rate(Dual),
    /// α, in a step that ends without signal.
    Erased(Dual),
}
impl Table {
    fn part(&self, t: Dual) -> Part {
        let place = t * self.len() as f64;
        let i = (place.value.max(0.0) as usize).min(self.len() - 1);
        let (above, below) = (self.log[i], self.log[i + 1]);
        if below == f64::NEG_INFINITY {
            return Part::Erased((1.0 - (place - i as f64)) * (0.5 * above).exp());
        }
        Part::Rate((place - i as f64) * (below - above) + above)
    }
}

/// A table made from a few numbers when it is first used.
#[derive(Clone, Debug, Default)]
struct Made(OnceLock<Table>);

macro_rules! tabled {
    ($($name:ident),*) => {$(
        impl $name {
            /// The table of βs.
            pub fn table(&self) -> &Table {
                self.made.0.get_or_init(|| self.make().unwrap_or_else(|error| panic!("{error}")))
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.table() == other.table()
            }
        }
        impl Schedule for $name {
            fn alpha(&self, t: Dual) -> Dual {
                self.table().alpha(t)
            }
            fn sigma(&self, t: Dual) -> Dual {
                self.table().sigma(t)
            }
            fn keep(&self, t: Dual) -> Dual {
                self.table().keep(t)
            }
            fn steps(&self) -> Option<usize> {
                Some(self.table().len())
            }
            fn at(&self, t: f64) -> Scales {
                self.table().at(t)
            }
            fn time(&self, log_snr: f64) -> f64 {
                self.table().time(log_snr)
            }
            fn check(&self) -> Result<(), Error> {
                self.make().map(|_| ())
            }
        }
    )*};
}
tabled!(Linear, ScaledLinear, Cosine, Sqrt, Constant, Sigmoid, SigmoidSignal, Laplace, Polynomial, Jsd, Listed);

/// β rising linearly from `first` to `last` over `steps` steps: the schedule of DDPM.
///
/// `β_i = first + (last − first) (i − 1)/(T − 1)`; T = 1000, 1e-4 and 0.02 unless said otherwise.
///
/// Ho, Jain and Abbeel (2020), section 4, <https://arxiv.org/abs/2006.11239>.
///
/// ```
/// use tweedie::schedule::{Linear, Schedule};
/// let schedule = Linear::new(1000);
/// assert!((schedule.at(1.0).alpha.powi(2) - 4.036e-5).abs() < 1e-8);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    steps: usize,
    first: f64,
    last: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Linear {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Linear {
    /// From 1e-4 to 0.02 over `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self::between(steps, 1e-4, 0.02)
    }
    /// From `first` to `last` over `steps` steps.
    pub fn between(steps: usize, first: f64, last: f64) -> Self {
        Self { steps, first, last, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        let rise = (self.last - self.first) / (self.steps.max(2) - 1) as f64;
        Table::new((0..self.steps).map(|i| self.first + rise * i as f64))
    }
}

/// A signal that falls as a power of a cosine.
///
/// `ᾱ(t) = (cos(π/2 · (t + offset)/(1 + offset)) / cos(π/2 · offset/(1 + offset)))^exponent`, each `β_i` at most `clip`;
/// offset 0.008, exponent 2 and clip 0.999 unless said otherwise.
///
/// Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), eq. 17,
/// <https://arxiv.org/abs/2102.09672>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    steps: usize,
    offset: f64,
    exponent: f64,
    clip: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Cosine {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Cosine {
    /// Over `steps` steps, with the published constants.
    pub fn new(steps: usize) -> Self {
        Self { steps, offset: 0.008, exponent: 2.0, clip: 0.999, made: Made::default() }
    }
    /// With another offset: how little noise the first step has.
    pub fn offset(self, offset: f64) -> Self {
        Self { offset, made: Made::default(), ..self }
    }
    /// With another power of the cosine.
    pub fn exponent(self, exponent: f64) -> Self {
        Self { exponent, made: Made::default(), ..self }
    }
    /// With another bound on β.
    pub fn clip(self, clip: f64) -> Self {
        Self { clip, made: Made::default(), ..self }
    }
    fn make(&self) -> Result<Table, Error> {
        if self.offset.is_nan() || self.offset < 0.0 {
            return Err(Error::invalid(format!("the offset of a cosine schedule is 0 or more, not {}", self.offset)));
        }
        let angle = |t: f64| FRAC_PI_2 * (t + self.offset) / (1.0 + self.offset);
        Table::from_signal(self.steps, self.clip, |t| angle(t).cos().max(0.0).powf(self.exponent))
    }
}

/// A noise that rises fast and then slowly, made for embedded text.
///
/// `ᾱ(t) = 1 − √(t + offset)`, each `β_i` at most `clip`; offset 1e-4 and clip 0.999 unless said otherwise.
///
/// Li et al., "Diffusion-LM Improves Controllable Text Generation" (2022), appendix A,
/// <https://arxiv.org/abs/2205.14217>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sqrt {
    steps: usize,
    offset: f64,
    clip: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Sqrt {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Sqrt {
    /// Over `steps` steps, with the published constants.
    pub fn new(steps: usize) -> Self {
        Self { steps, offset: 1e-4, clip: 0.999, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        if !(0.0..1.0).contains(&self.offset) {
            return Err(Error::invalid(format!(
                "the offset of a sqrt schedule lies in [0, 1), not at {}",
                self.offset
            )));
        }
        Table::from_signal(self.steps, self.clip, |t| (1.0 - (t + self.offset).sqrt()).max(0.0))
    }
}

/// The same β at each step: `ᾱ_i = (1 − β)ⁱ`; 0.01 over 1000 steps unless said otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    steps: usize,
    beta: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Constant {
    fn default() -> Self {
        Self::new(1000, 0.01)
    }
}
impl Constant {
    /// `beta` at each of `steps` steps.
    pub fn new(steps: usize, beta: f64) -> Self {
        Self { steps, beta, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        Table::new(std::iter::repeat_n(self.beta, self.steps))
    }
}

/// β whose square root rises linearly: the schedule of latent diffusion.
///
/// `√β_i = √first + (√last − √first)(i − 1)/(T − 1)`; T = 1000, 0.00085 and 0.012 unless said otherwise.
///
/// Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), <https://arxiv.org/abs/2112.10752>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScaledLinear {
    steps: usize,
    first: f64,
    last: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for ScaledLinear {
    fn default() -> Self {
        Self::between(1000, 0.00085, 0.012)
    }
}
impl ScaledLinear {
    /// From `first` to `last` over `steps` steps.
    pub fn between(steps: usize, first: f64, last: f64) -> Self {
        Self { steps, first, last, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        let (low, high) = (self.first.sqrt(), self.last.sqrt());
        let rise = (high - low) / (self.steps.max(2) - 1) as f64;
        Table::new((0..self.steps).map(|i| (low + rise * i as f64).powi(2)))
    }
}

/// β rising as a sigmoid from `first` to `last`: made for molecules.
///
/// `β_i = first + (last − first)/(1 + e^(−x))`, x even from −6 to 6; T = 1000, 1e-4 and 0.02 unless said otherwise.
///
/// Xu et al., "GeoDiff: A Geometric Diffusion Model for Molecular Conformation Generation" (2022),
/// <https://arxiv.org/abs/2203.02923>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sigmoid {
    steps: usize,
    first: f64,
    last: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Sigmoid {
    fn default() -> Self {
        Self::between(1000, 1e-4, 0.02)
    }
}
impl Sigmoid {
    /// From `first` to `last` over `steps` steps.
    pub fn between(steps: usize, first: f64, last: f64) -> Self {
        Self { steps, first, last, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        let x = |i: usize| -6.0 + 12.0 * i as f64 / (self.steps.max(2) - 1) as f64;
        Table::new((0..self.steps).map(|i| self.first + (self.last - self.first) / (1.0 + (-x(i)).exp())))
    }
}

/// A signal that falls as a sigmoid: for large images.
///
/// `ᾱ(t) = (s(end/τ) − s((start + t (end − start))/τ))/(s(end/τ) − s(start/τ))`, `s(x) = 1/(1 + e^(−x))`, each `β_i` at most `clip`;
/// start −3, end 3, τ 1 and clip 0.999 unless said otherwise.
///
/// Jabri, Fleet and Chen, "Scalable Adaptive Computation for Iterative Generation" (2023), <https://arxiv.org/abs/2212.11972>;
/// Chen, "On the Importance of Noise Scheduling for Diffusion Models" (2023), <https://arxiv.org/abs/2301.10972>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidSignal {
    steps: usize,
    start: f64,
    end: f64,
    tau: f64,
    clip: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for SigmoidSignal {
    fn default() -> Self {
        Self::new(1000, -3.0, 3.0, 1.0)
    }
}
impl SigmoidSignal {
    /// Over `steps` steps, the stretch of the sigmoid from `start` to `end` at temperature `tau`.
    pub fn new(steps: usize, start: f64, end: f64, tau: f64) -> Self {
        Self { steps, start, end, tau, clip: 0.999, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        if !(self.start < self.end && self.end - self.start < f64::INFINITY && self.tau > 0.0) {
            return Err(Error::invalid(format!(
                "a sigmoid-signal schedule goes from start to a larger end at a positive tau, but start = {}, end = {} and tau = {}",
                self.start, self.end, self.tau
            )));
        }
        let sigmoid = |x: f64| (1.0 + (-x / self.tau).exp()).recip();
        let (low, high) = (sigmoid(self.start), sigmoid(self.end));
        Table::from_signal(self.steps, self.clip, |t| {
            (high - sigmoid(self.start + t * (self.end - self.start))) / (high - low)
        })
    }
}

/// A log-SNR with the quantiles of a Laplace distribution: most steps in the middle.
///
/// `ln ᾱ/(1 − ᾱ) = mean − scale · sgn(½ − t) ln(1 − 2|½ − t|)`, each `β_i` at most `clip`; mean 0, scale 0.5 and clip 0.999
/// unless said otherwise.
///
/// Hang et al., "Improved Noise Schedule for Diffusion Training" (2024), table 1, <https://arxiv.org/abs/2407.03297>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Laplace {
    steps: usize,
    mean: f64,
    scale: f64,
    clip: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Laplace {
    fn default() -> Self {
        Self::new(1000, 0.0, 0.5)
    }
}
impl Laplace {
    /// Over `steps` steps, around the log-SNR `mean`.
    pub fn new(steps: usize, mean: f64, scale: f64) -> Self {
        Self { steps, mean, scale, clip: 0.999, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        if !(self.scale > 0.0 && self.scale.is_finite() && self.mean.is_finite()) {
            return Err(Error::invalid(format!(
                "a laplace schedule has a mean and a positive scale, but mean = {} and scale = {}",
                self.mean, self.scale
            )));
        }
        Table::from_signal(self.steps, self.clip, |t| {
            let from_centre = 0.5 - t;
            let log_snr = self.mean - self.scale * from_centre.signum() * (1.0 - 2.0 * from_centre.abs()).ln();
            (1.0 + (-log_snr).exp()).recip()
        })
    }
}

/// A signal that falls as a polynomial: made for molecules.
///
/// `ᾱ(t) ∝ (1 − 2 offset)(1 − t^power)² + offset`, each `β_i` at most `clip`; power 2, offset 1e-4 and clip 0.999 unless said
/// otherwise.
///
/// Hoogeboom et al., "Equivariant Diffusion for Molecule Generation in 3D" (2022), appendix B,
/// <https://arxiv.org/abs/2203.17003>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Polynomial {
    steps: usize,
    power: f64,
    offset: f64,
    clip: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Polynomial {
    fn default() -> Self {
        Self::new(1000, 2.0)
    }
}
impl Polynomial {
    /// Over `steps` steps.
    pub fn new(steps: usize, power: f64) -> Self {
        Self { steps, power, offset: 1e-4, clip: 0.999, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        if !(self.power > 0.0 && (0.0..0.5).contains(&self.offset)) {
            return Err(Error::invalid(format!(
                "the power of a polynomial schedule is positive and its offset in [0, ½), but power = {} and offset = {}",
                self.power, self.offset
            )));
        }
        Table::from_signal(self.steps, self.clip, |t| {
            (1.0 - 2.0 * self.offset) * (1.0 - t.powf(self.power)).powi(2) + self.offset
        })
    }
}

/// β that keeps the same loss of signal at each step: `β_i = 1/(T − i + 1)`, at most `clip` (0.999), so `ᾱ_i = 1 − i/T`.
///
/// Sohl-Dickstein et al., "Deep Unsupervised Learning using Nonequilibrium Thermodynamics" (2015), section 2.4.1,
/// <https://arxiv.org/abs/1503.03585>; `jsd` in the code of Ho, Jain and Abbeel.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jsd {
    steps: usize,
    clip: f64,
    #[serde(skip)]
    made: Made,
}
impl Default for Jsd {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Jsd {
    /// Over `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self { steps, clip: 0.999, made: Made::default() }
    }
    fn make(&self) -> Result<Table, Error> {
        Table::new((0..self.steps).map(|i| ((self.steps - i) as f64).recip().min(self.clip)))
    }
}

/// What the numbers of a [`Listed`] schedule are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// β₁ … β_T.
    #[default]
    Betas,
    /// ᾱ₁ … ᾱ_T, falling.
    AlphaBars,
    /// σ/α at 1/T … 1, rising: the levels of unscaled data, `ᾱ = 1/(1 + σ²)`.
    Sigmas,
}

/// A table of one's own, from a list or from a file of numbers apart by white space or commas.
///
/// Written down, it is the list: what is read back does not ask for the file.
///
/// ```
/// use tweedie::schedule::{Listed, Quantity, Schedule};
/// let schedule = Listed::new(Quantity::AlphaBars, vec![0.9, 0.5, 0.01]);
/// assert!((schedule.at(1.0).alpha - 0.1).abs() < 1e-15);
/// // Of a table that ends without signal the last ᾱ is 0.
/// assert_eq!(Listed::new(Quantity::AlphaBars, vec![0.9, 0.5, 0.0]).at(1.0).alpha, 0.0);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, into = "Written")]
#[schemars(!into)]
pub struct Listed {
    quantity: Quantity,
    values: Vec<f64>,
    file: Option<PathBuf>,
    #[serde(skip)]
    made: Made,
}
/// [`Listed`] as it is written.
#[derive(Serialize)]
struct Written {
    quantity: Quantity,
    values: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}
impl From<Listed> for Written {
    fn from(listed: Listed) -> Self {
        // A file that cannot be read is what `check` tells of.
        match listed.numbers() {
            Ok(values) => Self { quantity: listed.quantity, values, file: None },
            Err(_) => Self { quantity: listed.quantity, values: listed.values, file: listed.file },
        }
    }
}
impl Default for Listed {
    /// Four levels of noise, as an example.
    fn default() -> Self {
        Self::new(Quantity::Sigmas, EXAMPLE.to_vec())
    }
}
const EXAMPLE: [f64; 4] = [0.05, 0.5, 3.0, 20.0];
impl Listed {
    /// The table of these numbers.
    pub fn new(quantity: Quantity, values: Vec<f64>) -> Self {
        Self { quantity, values, file: None, made: Made::default() }
    }
    /// The table of the numbers in a file.
    pub fn from_file(quantity: Quantity, file: impl Into<PathBuf>) -> Self {
        Self { quantity, values: vec![], file: Some(file.into()), made: Made::default() }
    }
    fn numbers(&self) -> Result<Vec<f64>, Error> {
        let Some(file) = &self.file else { return Ok(self.values.clone()) };
        if !(self.values.is_empty() || self.values == EXAMPLE) {
            return Err(Error::invalid(format!(
                "`values` and `file = {}` both give the table: leave one of them out",
                file.display()
            )));
        }
        let text = std::fs::read_to_string(file).map_err(Error::io(file, "read"))?;
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let number = |word: &str| {
            word.parse().map_err(|_| Error::format(file, format!("a table holds numbers, but there is `{word}`")))
        };
        words.map(number).collect()
    }
    fn make(&self) -> Result<Table, Error> {
        let values = self.numbers()?;
        if self.quantity == Quantity::Sigmas
            && let Some(pair) = values.windows(2).find(|pair| pair[0].partial_cmp(&pair[1]) != Some(Ordering::Less))
        {
            return Err(Error::invalid(format!(
                "the noise levels of a table rise from step to step, but {} is followed by {}: list them from the least to the \
                 largest, without the 0 of the data",
                pair[0], pair[1]
            )));
        }
        let bars = match self.quantity {
            Quantity::Betas => return Table::new(values),
            Quantity::AlphaBars => values,
            Quantity::Sigmas => values.iter().map(|sigma| (1.0 + sigma * sigma).recip()).collect(),
        };
        let before = std::iter::once(1.0).chain(bars.iter().copied());
        let betas: Vec<f64> = before.zip(&bars).map(|(before, bar)| 1.0 - bar / before).collect();
        let last = betas.len().wrapping_sub(1);
        if let Some(i) =
            (0..betas.len()).find(|&i| !(betas[i] > 0.0 && (betas[i] < 1.0 || i == last && betas[i] == 1.0)))
        {
            return Err(Error::invalid(format!(
                "the signal of a table falls at each step and is 0 at the last alone, but at step {} it goes to ᾱ = {}",
                i + 1,
                bars[i]
            )));
        }
        Table::new(betas)
    }
}

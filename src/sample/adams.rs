//! The multistep methods that integrate the polynomial through the last model outputs exactly.
use super::{Multistep, SolverPrediction, StepIntegral, TimePoint, Variable, sampler::require};
use crate::{error::Result, schedule::Schedule};
use serde::{Deserialize, Serialize};

/// Exponential Adams–Bashforth on x̂ in λ, the exponential-time-differencing or RES form: order p from p outputs.
///
/// `z_s = (σ_s/σ_t) z_t + α_s ∫ e^(λ − λ_s) x̂(λ) dλ`, x̂(λ) the polynomial through the last p outputs. One network
/// evaluation per step.
///
/// ```
/// use tweedie::sample::{Etd, Sampler};
/// let properties = Sampler::<4>::properties(&Etd { order: 3 });
/// assert_eq!((properties.order, properties.nfe_per_step), (Some(3), 1));
/// ```
///
/// Zhang et al., "Improved Order Analysis and Design of Exponential Integrator for Diffusion Models Sampling" (2023),
/// <https://arxiv.org/abs/2308.02157>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "RES")]
#[doc(alias = "exponential integrator")]
pub struct Etd {
    /// The order p, 1 to 6. Default: 2.
    #[schemars(range(min = 1, max = 6))]
    pub order: usize,
}
impl Default for Etd {
    fn default() -> Self {
        Self { order: 2 }
    }
}
impl Multistep for Etd {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(SolverPrediction::X0, Variable::LogSnr)
    }
    fn history_len(&self) -> usize {
        self.order
    }
}

/// Adams–Bashforth of order 1 to 6 on either model output, interpolated in any [`Variable`]; with `corrector`,
/// Adams–Moulton takes each step again with the output at its end, for one order more, up to 6, at the same NFE: one
/// network evaluation per step.
///
/// `{ prediction = "epsilon", variable = "ratio" }` is the linear multistep method on `dy/dr = ε̂` ([`Lms`]), `variable
/// = "time"` [`Deis`], and `variable = "log-snr"` DPM-Solver's multistep form. `prediction = "velocity"`, in `time` or
/// `angle`, is Adams and Bashforth's method on the velocity α′ x̂ + σ′ ε̂ or on the v-prediction itself. In the angle, and
/// on x̂ in t and in r, the step to σ = 0 is of full order too.
///
/// ```
/// use tweedie::sample::{AdamsBashforth, Sampler};
/// let adams = AdamsBashforth { order: 3, ..AdamsBashforth::default() };
/// let adams_moulton = AdamsBashforth { corrector: true, ..adams };
/// assert_eq!(Sampler::<4>::properties(&adams_moulton).order, Some(4));
/// ```
///
/// Hairer, Nørsett and Wanner, "Solving Ordinary Differential Equations I" (1993), chapter III.1 and III.5 (uneven steps).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "Adams-Moulton")]
pub struct AdamsBashforth {
    /// How many outputs a prediction uses, 1 to 6, or to 5 with a corrector: the order of the predictor. Default: 2.
    #[schemars(range(min = 1, max = 6))]
    pub order: usize,
    /// The model output that is interpolated. Default: epsilon.
    pub prediction: SolverPrediction,
    /// The variable in which it is interpolated. Default: log-snr.
    pub variable: Variable,
    /// Whether steps are corrected. Default: false.
    pub corrector: bool,
}
impl Default for AdamsBashforth {
    fn default() -> Self {
        Self { order: 2, prediction: SolverPrediction::Epsilon, variable: Variable::LogSnr, corrector: false }
    }
}
impl Multistep for AdamsBashforth {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(self.prediction, self.variable)
    }
    fn history_len(&self) -> usize {
        self.order
    }
    fn order(&self) -> usize {
        self.order + usize::from(self.corrector)
    }
    fn corrects(&self) -> bool {
        self.corrector
    }
    fn correct(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Option<Vec<f64>> {
        let from = *points.first().filter(|_| self.corrector)?;
        let points: Vec<TimePoint> = std::iter::once(to).chain(points.iter().copied()).collect();
        Some(self.integral().weights(schedule, &points, from, to))
    }
}

/// The linear multistep method in σ/α: `z_s/α_s = z_t/α_t + ∫ ε̂ dr`, ε̂(r) the polynomial through the last p outputs.
///
/// Order p, one network evaluation per step. The LMS sampler of k-diffusion; DEIS calls it ρAB.
///
/// ```
/// use tweedie::sample::{Lms, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Lms::default()).order, Some(4));
/// ```
///
/// Zhang and Chen, "Fast Sampling of Diffusion Models with Exponential Integrator" (2023), section 3.4,
/// <https://arxiv.org/abs/2204.13902>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "LMSDiscreteScheduler")]
#[doc(alias = "sample_lms")]
pub struct Lms {
    /// The order p, 1 to 6 (1 to 4 in the original). Default: 4.
    #[schemars(range(min = 1, max = 6))]
    pub order: usize,
}
impl Default for Lms {
    fn default() -> Self {
        Self { order: 4 }
    }
}
impl Multistep for Lms {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(SolverPrediction::Epsilon, Variable::Ratio)
    }
    fn history_len(&self) -> usize {
        self.order
    }
}

/// The diffusion exponential integrator sampler, tAB-DEIS: `z_s/α_s = z_t/α_t + ∫ ε̂ d(σ/α)`, ε̂(t) the polynomial in t
/// through the last p outputs.
///
/// Order p, one network evaluation per step. Its relatives in other variables are [`Lms`] (ρAB) and
/// [`DpmSolver`](super::DpmSolver)'s multistep form, `AdamsBashforth { variable: LogSnr }` (log-ρ AB).
///
/// ```
/// use tweedie::sample::{Deis, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Deis::default()).order, Some(3));
/// ```
///
/// Zhang and Chen (2023), eq. 15, <https://arxiv.org/abs/2204.13902>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "DEISMultistepScheduler")]
pub struct Deis {
    /// The order p, 1 to 6 (1 to 3 in the original). Default: 3.
    #[schemars(range(min = 1, max = 6))]
    pub order: usize,
}
impl Default for Deis {
    fn default() -> Self {
        Self { order: 3 }
    }
}
impl Multistep for Deis {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(SolverPrediction::Epsilon, Variable::Time)
    }
    fn history_len(&self) -> usize {
        self.order
    }
}

/// Stochastic Adams: exponential Adams–Bashforth and Adams–Moulton on x̂ with noise of strength τ.
///
/// ```text
/// z_s = (σ_s/σ_t) e^(−τ² h) z_t + (1 + τ²) α_s ∫ e^((1 + τ²)(λ − λ_s)) x̂(λ) dλ
///       + σ_s √(1 − e^(−2 τ² h)) ξ
/// ```
///
/// The corrector takes the step again, with the same ξ, once x̂ at its end is known. τ = 1 is the reverse SDE, 0 the
/// probability flow. Order min(predictor, corrector) + 1 at τ = 0 (predictor without corrector), weak order 2; one
/// network evaluation per step.
///
/// The noise is new to a polynomial through past outputs, so many outputs need many steps: at τ = 1 and 60 steps the
/// laws of samplers hold with three outputs, and four in both make the standard deviation wrong by a fifth.
///
/// ```
/// use tweedie::sample::{SaSolver, Sampler};
/// let flow = SaSolver { tau: 0.0, ..SaSolver::default() };
/// assert_eq!(Sampler::<4>::properties(&flow).order, Some(4));
/// ```
///
/// Xue et al., "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models" (2023),
/// <https://arxiv.org/abs/2309.05019>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "SASolverScheduler")]
pub struct SaSolver {
    /// How many outputs a prediction uses, 1 to 4. Default: 3.
    #[doc(alias = "predictor_order")]
    #[schemars(range(min = 1, max = 4))]
    pub predictor: usize,
    /// How many outputs a correction uses besides the new one, up to 4; 0 for no correction. Default: 3.
    #[doc(alias = "corrector_order")]
    #[schemars(range(min = 0, max = 4))]
    pub corrector: usize,
    /// τ ≥ 0. Default: 1.
    #[schemars(range(min = 0.0))]
    pub tau: f64,
}
impl Default for SaSolver {
    fn default() -> Self {
        Self { predictor: 3, corrector: 3, tau: 1.0 }
    }
}
impl Multistep for SaSolver {
    fn integral(&self) -> StepIntegral {
        StepIntegral { prediction: SolverPrediction::X0, variable: Variable::LogSnr, tau: self.tau }
    }
    fn history_len(&self) -> usize {
        self.predictor.max(self.corrector)
    }
    fn order(&self) -> usize {
        if self.corrector == 0 { self.predictor } else { self.predictor.min(self.corrector) + 1 }
    }
    fn weights(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        let used = &points[..points.len().min(self.predictor)];
        let mut weights = self.integral().weights(schedule, used, points[0], to);
        weights.resize(points.len(), 0.0);
        weights
    }
    fn corrects(&self) -> bool {
        self.corrector > 0
    }
    fn correct(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Option<Vec<f64>> {
        if self.corrector == 0 {
            return None;
        }
        let from = *points.first()?;
        let used: Vec<TimePoint> = std::iter::once(to).chain(points.iter().copied().take(self.corrector)).collect();
        let mut weights = self.integral().weights(schedule, &used, from, to);
        weights.resize(points.len() + 1, 0.0);
        Some(weights)
    }
    fn check(&self) -> Result<()> {
        let Self { predictor, corrector, tau } = *self;
        require((1..=4).contains(&predictor), "predictor", || format!("must be 1 to 4 outputs, got {predictor}"))?;
        require(corrector <= 4, "corrector", || format!("must be 0 to 4 outputs, got {corrector}"))?;
        require(tau >= 0.0 && tau.is_finite(), "tau", || format!("must be a finite number of 0 or more, got {tau}"))
    }
}

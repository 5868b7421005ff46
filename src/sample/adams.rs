//! The multistep methods that integrate the polynomial through the last words exactly.
use super::{Clock, Multistep, Node, SolverPrediction, exact_weights};
use crate::{error::Error, schedule::Schedule};
use serde::{Deserialize, Serialize};

/// Exponential Adams–Bashforth on x̂ in λ, the exponential-time-differencing or RES form: order p from p words.
///
/// `z_s = (σ_s/σ_t) z_t + α_s ∫ e^(λ − λ_s) x̂(λ) dλ`, x̂ the polynomial through the last p words.
///
/// Zhang et al., "Improved Order Analysis and Design of Exponential Integrator for Diffusion Models Sampling" (2023),
/// <https://arxiv.org/abs/2308.02157>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Etd {
    /// p, from 1 to 6.
    pub order: usize,
}
impl Default for Etd {
    fn default() -> Self {
        Self { order: 2 }
    }
}
impl Multistep for Etd {
    fn word(&self) -> SolverPrediction {
        SolverPrediction::X0
    }
    fn keeps(&self) -> usize {
        self.order
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        exact_weights(path, SolverPrediction::X0, Clock::LogSnr, 0.0, nodes, nodes[0], to)
    }
}

/// Adams–Bashforth of order 1 to 6, in any clock, on either word; with `corrector`, Adams–Moulton takes each step again with
/// the word at its end, for one order more, up to 6, at no further call.
///
/// `{ word = "noise", clock = "ratio" }` is the linear multistep method on the equation `dy/dr = ε̂`, and `clock = "time"`
/// DEIS. In the angle, and on the data in t and in r, the step to σ = 0 is of full order too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamsBashforth {
    /// The words, from 1 to 6, or to 5 with a corrector: the order of a prediction.
    pub order: usize,
    /// Which word is a polynomial.
    pub word: SolverPrediction,
    /// In which variable.
    pub clock: Clock,
    /// Whether steps are corrected.
    pub corrector: bool,
}
impl Default for AdamsBashforth {
    fn default() -> Self {
        Self { order: 2, word: SolverPrediction::Epsilon, clock: Clock::LogSnr, corrector: false }
    }
}
impl Multistep for AdamsBashforth {
    fn word(&self) -> SolverPrediction {
        self.word
    }
    fn clock(&self) -> Clock {
        self.clock
    }
    fn keeps(&self) -> usize {
        self.order
    }
    fn order(&self) -> Option<usize> {
        Some(self.order + usize::from(self.corrector))
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        exact_weights(path, self.word, self.clock, 0.0, nodes, nodes[0], to)
    }
    fn corrects(&self) -> bool {
        self.corrector
    }
    fn correct(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Option<Vec<f64>> {
        let from = *nodes.first().filter(|_| self.corrector)?;
        let places: Vec<Node> = std::iter::once(to).chain(nodes.iter().copied()).collect();
        Some(exact_weights(path, self.word, self.clock, 0.0, &places, from, to))
    }
}

/// The linear multistep method in σ/α: ε̂ is a polynomial in r, `y_s = y_t + ∫ ε̂ dr`.
///
/// The LMS sampler of k-diffusion; DEIS calls it ρAB. Zhang and Chen, "Fast Sampling of Diffusion Models with Exponential
/// Integrator" (2023), section 3.4, <https://arxiv.org/abs/2204.13902>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lms {
    /// The order, from 1 to 6; to 4 in the original.
    pub order: usize,
}
impl Default for Lms {
    fn default() -> Self {
        Self { order: 4 }
    }
}
impl Multistep for Lms {
    fn word(&self) -> SolverPrediction {
        SolverPrediction::Epsilon
    }
    fn clock(&self) -> Clock {
        Clock::Ratio
    }
    fn keeps(&self) -> usize {
        self.order
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        exact_weights(path, SolverPrediction::Epsilon, Clock::Ratio, 0.0, nodes, nodes[0], to)
    }
}

/// The diffusion exponential integrator sampler, tAB: ε̂ is a polynomial in t.
///
/// Its relatives in other clocks are [`Lms`] (ρAB) and [`DpmSolver`](super::DpmSolver)'s multistep form,
/// `AdamsBashforth { clock: LogSnr }` (log-ρ AB).
///
/// Zhang and Chen (2023), eq. 15, <https://arxiv.org/abs/2204.13902>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deis {
    /// The order, from 1 to 6; to 3 in the original.
    pub order: usize,
}
impl Default for Deis {
    fn default() -> Self {
        Self { order: 3 }
    }
}
impl Multistep for Deis {
    fn word(&self) -> SolverPrediction {
        SolverPrediction::Epsilon
    }
    fn clock(&self) -> Clock {
        Clock::Time
    }
    fn keeps(&self) -> usize {
        self.order
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        exact_weights(path, SolverPrediction::Epsilon, Clock::Time, 0.0, nodes, nodes[0], to)
    }
}

/// Stochastic Adams: exponential Adams–Bashforth and Adams–Moulton on x̂ with noise of strength τ.
///
/// `z_s = (σ_s/σ_t) e^(−τ² h) z_t + (1 + τ²) α_s ∫ e^((1 + τ²)(λ − λ_s)) x̂(λ) dλ + σ_s √(1 − e^(−2 τ² h)) ξ`; the corrector
/// takes the step again, with the same ξ, once x̂ at its end is known. τ = 1 is the reverse process, 0 the flow.
///
/// The noise is news to a polynomial through old words, so many words ask for many steps: at τ = 1 and 60 steps the law of
/// samplers holds with three words, and four in both make the spread wrong by a fifth.
///
/// Xue et al., "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models" (2023),
/// <https://arxiv.org/abs/2309.05019>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SaSolver {
    /// The words a prediction uses, 1 to 4.
    pub predictor: usize,
    /// The words a correction uses besides the new one, up to 4; 0 for no correction.
    pub corrector: usize,
    /// τ ≥ 0.
    pub tau: f64,
}
impl Default for SaSolver {
    fn default() -> Self {
        Self { predictor: 3, corrector: 3, tau: 1.0 }
    }
}
impl Multistep for SaSolver {
    fn word(&self) -> SolverPrediction {
        SolverPrediction::X0
    }
    fn keeps(&self) -> usize {
        self.predictor.max(self.corrector)
    }
    fn order(&self) -> Option<usize> {
        Some(if self.corrector == 0 { self.predictor } else { self.predictor.min(self.corrector) + 1 })
    }
    fn tau(&self) -> f64 {
        self.tau
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        let used = &nodes[..nodes.len().min(self.predictor)];
        let mut weights = exact_weights(path, SolverPrediction::X0, Clock::LogSnr, self.tau, used, nodes[0], to);
        weights.resize(nodes.len(), 0.0);
        weights
    }
    fn corrects(&self) -> bool {
        self.corrector > 0
    }
    fn correct(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Option<Vec<f64>> {
        if self.corrector == 0 {
            return None;
        }
        let from = *nodes.first()?;
        let places: Vec<Node> = std::iter::once(to).chain(nodes.iter().copied().take(self.corrector)).collect();
        let mut weights = exact_weights(path, SolverPrediction::X0, Clock::LogSnr, self.tau, &places, from, to);
        weights.resize(nodes.len() + 1, 0.0);
        Some(weights)
    }
    fn check(&self) -> Result<(), Error> {
        if (1..=4).contains(&self.predictor) && self.corrector <= 4 && self.tau >= 0.0 && self.tau.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "sa-solver needs a predictor of 1 to 4 words, a corrector of 0 to 4 and a finite tau of 0 or more, but predictor = {}, \
             corrector = {} and tau = {}",
            self.predictor, self.corrector, self.tau
        )))
    }
}

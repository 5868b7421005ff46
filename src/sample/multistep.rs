//! One engine for every linear multistep method: charts and weights are the data.
//!
//! Two exact forms of the probability flow, with `λ = ln(α/σ)` and `h = λ_s − λ_t`:
//!
//! ```text
//! z_s = (α_s/α_t) z_t + α_s ∫ ε̂ d(σ/α)      on the noise
//! z_s = (σ_s/σ_t) z_t + σ_s ∫ x̂ d(α/σ)      on the data
//! ```
//!
//! A method replaces the word (ε̂ or x̂) by a polynomial through its last few values in some clock and integrates it:
//! `z_s = (m_s/m_t) z_t + Σ wⱼ wordⱼ`. With `H = −h` on the data, `H = h` on the noise and `c = α_s` or `σ_s`, both forms
//! have the same moments in λ, `∫ θᵏ = −c H k! φ_{k+1}(H)`, `θ = (λ − λ_t)/h`. A stochastic method on the data has
//! `H = −(1 + τ²) h`, keeps `σ_s/σ_t · e^(−τ² h)` of z and adds `σ_s √(1 − e^(−2 τ² h)) ξ`.
use super::{Past, Sampler, fresh, gaussian, noise_of, path, straight, sum};
use crate::{
    denoise::Denoiser,
    error::Error,
    noise::Noise,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Which of the model's words is taken for a polynomial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SolverPrediction {
    /// x̂.
    #[default]
    #[serde(alias = "data")]
    X0,
    /// ε̂.
    #[serde(alias = "noise")]
    Epsilon,
}

/// The variable in which the word is a polynomial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// λ = ln(α/σ).
    #[default]
    LogSnr,
    /// r = σ/α, the noise level of unscaled data.
    Ratio,
    /// t.
    Time,
    /// arctan(σ/α), which is finite at both ends of every schedule.
    Angle,
}

/// A time and its scales.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// t.
    pub t: f64,
    /// α, σ and their slopes there.
    pub scales: Scales,
    lambda: f64,
}
impl Node {
    /// The node of a schedule at `t`.
    pub fn new(path: &dyn Schedule, t: f64) -> Self {
        let scales = path.at(t);
        Self { t, scales, lambda: (scales.alpha / scales.sigma).ln() }
    }
    /// λ = ln(α/σ): infinite where α or σ vanishes.
    pub fn lambda(self) -> f64 {
        self.lambda
    }
    /// r = σ/α.
    pub fn ratio(self) -> f64 {
        self.scales.sigma / self.scales.alpha
    }
    /// The value of a clock.
    pub fn clock(self, clock: Clock) -> f64 {
        match clock {
            Clock::LogSnr => self.lambda(),
            Clock::Ratio => self.ratio(),
            Clock::Time => self.t,
            Clock::Angle => self.scales.sigma.atan2(self.scales.alpha),
        }
    }
}

/// The highest order accepted: the highest that is stable in 60 steps from noise to data, on both words in every clock.
const HIGHEST: usize = 6;

/// A linear multistep method: which word it looks at, and with which weights. Everything else is the engine's. Orders, the one
/// that a corrector adds included, go up to 6.
///
/// Where the clock or the chart is infinite at one end of the step (λ at σ = 0 and at α = 0, r at α = 0) the engine takes
/// the step of first order, which holds there, and it leaves out remembered words from such an end.
pub trait Multistep: Debug + Send + Sync {
    /// Which word.
    fn word(&self) -> SolverPrediction;

    /// In which clock.
    fn clock(&self) -> Clock {
        Clock::LogSnr
    }

    /// How many words a step uses.
    fn keeps(&self) -> usize;

    /// The order of convergence where all steps are of full order.
    fn order(&self) -> Option<usize> {
        Some(self.keeps())
    }

    /// The weights of the words at `nodes`, latest first and one each, in the step from `nodes[0]` to `to`. There are
    /// [`keeps`](Multistep::keeps) nodes, or fewer at the ends of a walk.
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64>;

    /// The weights with which the same step is taken again once its end is a node too: that of `to`, and then those of `nodes`.
    fn correct(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Option<Vec<f64>> {
        let _ = (path, nodes, to);
        None
    }

    /// Whether [`correct`](Multistep::correct) ever answers.
    fn corrects(&self) -> bool {
        false
    }

    /// τ: how much noise of its own a step adds, in units of the reverse process's. Methods on the data only.
    fn tau(&self) -> f64 {
        0.0
    }

    /// Whether the last step is of first order and, with three words, the one before of second, and so on: with k steps left
    /// a step looks at k words at most. The whole walk is then of second order at most.
    fn lower_final(&self) -> bool {
        false
    }

    /// Whether the parameters make a method.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<const D: usize, M: Multistep> Sampler<D> for M {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let path = path(model);
        let (from, to) = (past.node(path, t), past.node(path, s));
        let guess = model.denoise(z.clone(), &[t]).mean;
        let word = match self.word() {
            SolverPrediction::X0 => guess.clone(),
            SolverPrediction::Epsilon => noise_of(z.clone(), guess.clone(), from.scales),
        };
        // Where the clock and σ/α (or α/σ) are numbers.
        let timed = |node: &Node| node.clock(self.clock()).is_finite();
        let finite = |node: &Node| {
            let charted = match self.word() {
                SolverPrediction::X0 => node.scales.sigma > 0.0,
                SolverPrediction::Epsilon => node.scales.alpha > 0.0,
            };
            charted && timed(node)
        };
        // Nodes with a finite clock that the last step was taken from, latest first.
        let remembered = 0..past.words.len().min(self.keeps());
        let mut nodes: Vec<Node> = remembered.map(|k| past.node(path, past.words[k].0)).take_while(finite).collect();
        let base = past.base.take();
        let correction = base.and_then(|base| Some((base, self.correct(path, &nodes, from)?)));
        if let Some((_, weights)) = &correction {
            one_each("correct", weights, nodes.len() + 1);
        }
        // A corrector looks back one word further than the predictor before it.
        past.push(t, word, self.keeps() + 1);
        let add = |parts: &mut Vec<_>, weights: Vec<f64>, past: &Past<D>| {
            parts.extend(weights.into_iter().zip(past.words.iter().map(|(_, word)| word.clone())));
        };
        // z, as what it is the sum of.
        let mut parts = Vec::with_capacity(self.keeps() + 3);
        match correction {
            Some((base, weights)) => {
                parts.push((1.0, base));
                add(&mut parts, weights, past);
            }
            None => parts.push((1.0, z)),
        }
        // Of z_s = σ_s (z_t/σ_t + ∫ x̂ d(α/σ)) the limit σ_s → 0 is a number.
        let reached = finite(&to) || self.word() == SolverPrediction::X0 && timed(&to);
        if !(finite(&from) && reached) {
            return straight(sum(parts), guess, from.scales, to.scales);
        }
        nodes.insert(0, from);
        let reach = if self.lower_final() { self.keeps().min(past.left().max(1)) } else { self.keeps() };
        nodes.truncate(reach);
        let (kept, noise) = decay(self.word(), self.tau(), from, to);
        for (weight, _) in &mut parts {
            *weight *= kept;
        }
        if noise > 0.0 {
            let fresh = fresh(rng, &parts[0].1);
            parts.push((noise, fresh));
        }
        let weights = self.weights(path, &nodes, to);
        one_each("weights", &weights, nodes.len());
        if self.corrects() {
            let base = sum(parts.drain(..));
            past.base = Some(base.clone());
            parts.push((1.0, base));
        }
        add(&mut parts, weights, past);
        sum(parts)
    }
    fn order(&self) -> Option<usize> {
        // A last step of first order is wrong by O(h²), and so is the walk.
        let most = if self.lower_final() { 2 } else { usize::MAX };
        Multistep::order(self).filter(|_| self.tau() == 0.0).map(|order| order.min(most))
    }
    fn weak_order(&self) -> usize {
        Multistep::order(self).unwrap_or(1).min(2)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        gaussian(self, noise)?;
        Multistep::check(self)?;
        let order = self.keeps().max(Multistep::order(self).unwrap_or(0));
        let name = super::called(self);
        if self.keeps() == 0 {
            return Err(Error::invalid(format!(
                "{name} was given order 0, but a multistep method looks at one word of the model or more: its order is 1 to {HIGHEST}"
            )));
        }
        if order > HIGHEST {
            return Err(Error::invalid(format!(
                "{name} was given order {order}, but a multistep method is of order 1 to {HIGHEST}, the one that a corrector adds \
                 included: above, the weights grow, and what they gain at small steps is lost to instability at large ones; \
                 ask for fewer words"
            )));
        }
        Ok(())
    }
}

/// # Panics
///
/// If a method does not weigh each word: what is missing or left over would be lost without a sound.
fn one_each(method: &str, weights: &[f64], words: usize) {
    assert_eq!(
        weights.len(),
        words,
        "`Multistep::{method}` gives one weight to each of {words} words, not {}",
        weights.len()
    );
}

/// What a step keeps of z, and how much fresh noise it adds.
fn decay(word: SolverPrediction, tau: f64, from: Node, to: Node) -> (f64, f64) {
    let (a, b) = (from.scales, to.scales);
    match word {
        SolverPrediction::Epsilon => (b.alpha / a.alpha, 0.0),
        SolverPrediction::X0 if tau == 0.0 => (b.sigma / a.sigma, 0.0),
        SolverPrediction::X0 => {
            let h = tau * tau * (to.lambda() - from.lambda());
            (b.sigma / a.sigma * (-h).exp(), b.sigma * (-(-2.0 * h).exp_m1()).sqrt())
        }
    }
}

/// H and c of the moments `−c H k! φ_{k+1}(H)`.
pub(super) fn stretch(word: SolverPrediction, tau: f64, from: Node, to: Node) -> (f64, f64) {
    let h = to.lambda() - from.lambda();
    match word {
        SolverPrediction::X0 => (-(1.0 + tau * tau) * h, to.scales.alpha),
        SolverPrediction::Epsilon => (h, to.scales.sigma),
    }
}

/// φ₁ … φ_n at x, where φ_k(x) = (φ_{k−1}(x) − 1/(k−1)!)/x and φ₀ = eˣ: `∫₀¹ e^((1−u)x) u^(k−1)/(k−1)! du`.
pub(super) fn phi(n: usize, x: f64) -> Vec<f64> {
    let mut factorial: f64 = (1..=n).map(|k| k as f64).product();
    let mut values = vec![0.0; n];
    if x.abs() < 1.0 + n as f64 * 0.5 {
        // The last by Σ xⁱ/(i + n)!, where the recursion upwards would cancel, and downwards from it.
        let (mut term, mut value) = (factorial.recip(), 0.0_f64);
        for i in 0..60 {
            value += term;
            term *= x / (i + n + 1) as f64;
            if term.abs() < 1e-18 * value.abs() {
                break;
            }
        }
        for k in (1..=n).rev() {
            values[k - 1] = value;
            factorial /= k as f64;
            value = x * value + factorial.recip();
        }
        return values;
    }
    let mut value = x.exp();
    factorial = 1.0;
    for k in 1..=n {
        value = (value - factorial.recip()) / x;
        factorial *= k as f64;
        values[k - 1] = value;
    }
    values
}

/// Solves `Σⱼ wⱼ θⱼᵏ = momentₖ` for the weights w (Björck and Pereyra's algorithm on the dual Vandermonde system).
pub(super) fn vandermonde(theta: &[f64], mut moments: Vec<f64>) -> Vec<f64> {
    let n = theta.len();
    for k in 0..n.saturating_sub(1) {
        for i in (k + 1..n).rev() {
            moments[i] -= theta[k] * moments[i - 1];
        }
    }
    for k in (0..n.saturating_sub(1)).rev() {
        for i in k + 1..n {
            moments[i] /= theta[i] - theta[i - k - 1];
        }
        for i in k..n - 1 {
            moments[i] -= moments[i + 1];
        }
    }
    moments
}

/// The weights of words at `places` in the exact integral, from `from` to `to`, of the polynomial through them in `clock`.
///
/// Adams–Bashforth for places at and before `from`, Adams–Moulton where `to` is among them; exponential where the clock
/// is λ. In the clock t the integral is Gauss and Legendre's of eight points, exact in its zeroth moment.
pub fn exact_weights(
    path: &dyn Schedule,
    word: SolverPrediction,
    clock: Clock,
    tau: f64,
    places: &[Node],
    from: Node,
    to: Node,
) -> Vec<f64> {
    let (start, length) = (from.clock(clock), to.clock(clock) - from.clock(clock));
    let theta: Vec<f64> = places.iter().map(|node| (node.clock(clock) - start) / length).collect();
    vandermonde(&theta, moments(path, word, clock, tau, places.len(), from, to))
}

fn moments(
    path: &dyn Schedule,
    word: SolverPrediction,
    clock: Clock,
    tau: f64,
    n: usize,
    from: Node,
    to: Node,
) -> Vec<f64> {
    let (a, b) = (from.scales, to.scales);
    // m_s (q_s − q_t).
    let whole = match word {
        SolverPrediction::X0 => b.alpha - a.alpha * b.sigma / a.sigma,
        SolverPrediction::Epsilon => b.sigma - a.sigma * b.alpha / a.alpha,
    };
    match (word, clock) {
        (_, Clock::LogSnr) => {
            let (stretch, scale) = stretch(word, tau, from, to);
            let mut factorial = 1.0;
            let higher = phi(n, stretch).into_iter().enumerate().skip(1).map(|(k, phi)| {
                factorial *= k as f64;
                -scale * stretch * factorial * phi
            });
            std::iter::once(-scale * stretch.exp_m1()).chain(higher).collect()
        }
        (SolverPrediction::Epsilon, Clock::Ratio) => (0..n).map(|k| whole / (k + 1) as f64).collect(),
        (SolverPrediction::X0, Clock::Ratio) | (_, Clock::Time | Clock::Angle) => {
            // ∫ θᵏ dq with q = σ/α (or α/σ) = whole·[1 − k ∫ θ^(k−1) share dθ], where share = (q − q_t)/(q_s − q_t): by
            // parts, so that no slope of q is asked for.
            let (start, length) = (from.clock(clock), to.clock(clock) - from.clock(clock));
            let share = |theta: f64| {
                let place = start + theta * length;
                let (alpha, sigma) = match clock {
                    Clock::Time => {
                        let c = path.at(place);
                        (c.alpha, c.sigma)
                    }
                    Clock::Angle => (place.cos(), place.sin()),
                    _ => (1.0, place),
                };
                match word {
                    SolverPrediction::Epsilon => b.alpha * (sigma / alpha - a.sigma / a.alpha) / whole,
                    SolverPrediction::X0 => b.sigma * (alpha / sigma - a.alpha / a.sigma) / whole,
                }
            };
            // In the angle the share rises late in a step towards σ = 0: halves and eighths of the way have rules of their own.
            let panels: &[(f64, f64)] = match clock {
                Clock::Angle => &[(0.0, 0.5), (0.5, 0.25), (0.75, 0.125), (0.875, 0.125)],
                _ => &[(0.0, 1.0)],
            };
            let points = panels
                .iter()
                .flat_map(|(start, length)| GAUSS.map(|(node, weight)| (start + length * node, length * weight)));
            let mut parts = vec![0.0; n];
            for (place, weight) in points {
                let mut term = weight * share(place);
                for part in &mut parts[1..] {
                    *part += term;
                    term *= place;
                }
            }
            parts.iter().enumerate().map(|(k, part)| whole * (1.0 - k as f64 * part)).collect()
        }
    }
}

/// Nodes and weights of Gauss and Legendre's rule of eight points on [0, 1].
const GAUSS: [(f64, f64); 8] = [
    (0.019_855_071_751_231_9, 0.050_614_268_145_188_1),
    (0.101_666_761_293_186_6, 0.111_190_517_226_687_2),
    (0.237_233_795_041_835_5, 0.156_853_322_938_943_6),
    (0.408_282_678_752_175_1, 0.181_341_891_689_181),
    (0.591_717_321_247_825, 0.181_341_891_689_181),
    (0.762_766_204_958_164_5, 0.156_853_322_938_943_6),
    (0.898_333_238_706_813_4, 0.111_190_517_226_687_2),
    (0.980_144_928_248_768_1, 0.050_614_268_145_188_1),
];

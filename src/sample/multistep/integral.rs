//! The integral over a step, and the weights of Adams methods that follow from it.
use crate::{
    error::{Error, Result},
    sample::{TimePoint, Variable},
    schedule::Schedule,
};
use serde::{Deserialize, Serialize};

/// The model output that a solver interpolates: DPM-Solver++'s x̂, DPM-Solver's ε̂, or the velocity.
///
/// ```
/// use tweedie::sample::SolverPrediction;
/// assert_eq!(SolverPrediction::default(), SolverPrediction::X0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "algorithm_type")]
#[doc(alias = "predict_x0")]
pub enum SolverPrediction {
    /// The denoised estimate x̂.
    #[default]
    X0,
    /// The noise estimate ε̂.
    Epsilon,
    /// The slope dy/du of the probability flow in the [`Variable`]: in t the velocity α′ x̂ + σ′ ε̂, in the angle the
    /// v-prediction (α ε̂ − σ x̂)/√(α² + σ²). In these two variables only.
    #[doc(alias = "v_prediction")]
    Velocity,
}

/// The integral over one step that a multistep method approximates: of which model output, interpolated in which
/// variable, with how much noise.
///
/// ```text
/// z_s = (α_s/α_t) z_t + α_s ∫ ε̂ d(σ/α)      on ε̂
/// z_s = (σ_s/σ_t) z_t + σ_s ∫ x̂ d(α/σ)      on x̂
/// z_s = z_t + ∫ (α′ x̂ + σ′ ε̂) dt             on the velocity, in t
/// w_s = w_t + ∫ (α ε̂ − σ x̂)/n dφ             on the velocity, in the angle; n = √(α² + σ²), w = z/n
/// ```
///
/// and on x̂ with noise of strength τ, `h = λ_s − λ_t`:
///
/// ```text
/// z_s = (σ_s/σ_t) e^(−τ² h) z_t + (1 + τ²) α_s ∫ e^((1 + τ²)(λ − λ_s)) x̂ dλ
///       + σ_s √(1 − e^(−2 τ² h)) ξ
/// ```
///
/// ```
/// use tweedie::{sample::{StepIntegral, TimePoint}, schedule::FlowMatching};
/// // Order 1 on x̂ is Euler's step: σ_s/σ_t of z and α_s − α_t σ_s/σ_t of x̂.
/// let [from, to] = [0.5, 0.4].map(|t| TimePoint::new(&FlowMatching {}, t));
/// let integral = StepIntegral::default();
/// assert_eq!(integral.decay(from, to), (0.8, 0.0));
/// let [w] = integral.weights(&FlowMatching {}, &[from], from, to)[..] else { panic!() };
/// assert!((w - (0.6 - 0.5 * 0.8)).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepIntegral {
    /// The model output.
    pub prediction: SolverPrediction,
    /// The variable in which it is interpolated.
    pub variable: Variable,
    /// τ ≥ 0, for methods on x̂ only: 0 is the probability flow, 1 the reverse SDE.
    pub tau: f64,
}
impl StepIntegral {
    /// An integral along the probability flow.
    pub fn new(prediction: SolverPrediction, variable: Variable) -> Self {
        Self { prediction, variable, tau: 0.0 }
    }

    /// Checks that the variable fits the output, and the noise.
    ///
    /// # Errors
    ///
    /// For the velocity in λ or σ/α, where the slope is ε̂ or x̂, and for noise on anything but x̂.
    pub fn check(self) -> Result<()> {
        let slope = matches!(self.variable, Variable::Time | Variable::Angle);
        if self.prediction == SolverPrediction::Velocity && !slope {
            return Err(Error::invalid("`prediction = \"velocity\"` needs `variable = \"time\"` or `\"angle\"`")
                .with_remedy("in σ/α the slope of the flow is ε̂, and in λ methods interpolate x̂ or ε̂"));
        }
        if self.tau > 0.0 && self.prediction != SolverPrediction::X0 {
            return Err(Error::invalid("a multistep method with noise (τ > 0) must be on x̂"));
        }
        Ok(())
    }

    /// How many outputs a polynomial goes through without being worse than DDIM by more than a factor of three at ten
    /// steps on some built-in schedule, as measured.
    pub(super) fn most_outputs(self, corrects: bool) -> usize {
        use {SolverPrediction as P, Variable as V};
        match (self.prediction, self.variable) {
            (P::Epsilon, V::Angle) if corrects => 0,
            (P::X0, V::Angle) => 1,
            (P::X0, V::Ratio) => 2,
            (P::X0, V::LogSnr | V::Time) | (P::Epsilon | P::Velocity, V::Angle) => 3,
            (P::Epsilon, V::Ratio) => 4,
            (P::Epsilon, V::LogSnr) => 5,
            (P::Epsilon | P::Velocity, _) => 6,
        }
    }

    /// The factor of z and the standard deviation of the step's noise.
    pub fn decay(self, from: TimePoint, to: TimePoint) -> (f64, f64) {
        let (a, b, tau) = (from.scales, to.scales, self.tau);
        match self.prediction {
            SolverPrediction::Epsilon => (b.alpha / a.alpha, 0.0),
            SolverPrediction::Velocity if self.variable == Variable::Angle => (to.norm() / from.norm(), 0.0),
            SolverPrediction::Velocity => (1.0, 0.0),
            SolverPrediction::X0 if tau == 0.0 => (b.sigma / a.sigma, 0.0),
            SolverPrediction::X0 => {
                let h = tau * tau * (to.lambda() - from.lambda());
                (b.sigma / a.sigma * (-h).exp(), b.sigma * (-(-2.0 * h).exp_m1()).sqrt())
            }
        }
    }

    /// The weights of the model outputs at `points` in the exact integral, from `from` to `to`, of the polynomial
    /// through them.
    ///
    /// Adams–Bashforth for points at and before `from`, Adams–Moulton if `to` is among them; exponential in λ. In t the
    /// integral is by Gauss and Legendre's rule of eight points, exact in its zeroth moment.
    #[doc(alias = "linear_multistep_coeff")]
    pub fn weights(self, schedule: &dyn Schedule, points: &[TimePoint], from: TimePoint, to: TimePoint) -> Vec<f64> {
        let (start, length) = (from.value(self.variable), to.value(self.variable) - from.value(self.variable));
        let theta: Vec<f64> = points.iter().map(|point| (point.value(self.variable) - start) / length).collect();
        vandermonde(&theta, self.moments(schedule, points.len(), from, to))
    }

    /// H and c of the moments in λ, `∫ θᵏ = −c H k! φ_{k+1}(H)`: H = −(1 + τ²) h and c = α_s on x̂, H = h and c = σ_s
    /// on ε̂, `h = λ_s − λ_t`.
    pub fn exponent(self, from: TimePoint, to: TimePoint) -> (f64, f64) {
        let h = to.lambda() - from.lambda();
        match self.prediction {
            SolverPrediction::X0 => (-(1.0 + self.tau * self.tau) * h, to.scales.alpha),
            SolverPrediction::Epsilon | SolverPrediction::Velocity => (h, to.scales.sigma),
        }
    }

    /// The integrals of θᵏ, k < n, where θ is the variable scaled to run from 0 to 1 over the step.
    fn moments(self, schedule: &dyn Schedule, n: usize, from: TimePoint, to: TimePoint) -> Vec<f64> {
        match (self.prediction, self.variable) {
            (SolverPrediction::Velocity, variable) => {
                let norm = if variable == Variable::Angle { to.norm() } else { 1.0 };
                let whole = norm * (to.value(variable) - from.value(variable));
                (0..n).map(|k| whole / (k + 1) as f64).collect()
            }
            (_, Variable::LogSnr) => {
                let (exponent, scale) = self.exponent(from, to);
                let mut factorial = 1.0;
                let higher = phi(n, exponent).into_iter().enumerate().skip(1).map(|(k, phi)| {
                    factorial *= k as f64;
                    -scale * exponent * factorial * phi
                });
                std::iter::once(-scale * exponent.exp_m1()).chain(higher).collect()
            }
            (SolverPrediction::Epsilon, Variable::Ratio) => {
                let whole = self.zeroth_moment(from, to);
                (0..n).map(|k| whole / (k + 1) as f64).collect()
            }
            _ => self.moments_by_quadrature(schedule, n, from, to),
        }
    }

    /// m_s (q_s − q_t), q = σ/α and m = α on ε̂, q = α/σ and m = σ on x̂.
    fn zeroth_moment(self, from: TimePoint, to: TimePoint) -> f64 {
        let (a, b) = (from.scales, to.scales);
        match self.prediction {
            SolverPrediction::X0 => b.alpha - a.alpha * b.sigma / a.sigma,
            SolverPrediction::Epsilon | SolverPrediction::Velocity => b.sigma - a.sigma * b.alpha / a.alpha,
        }
    }

    /// `∫ θᵏ dq = whole·[1 − k ∫ θ^(k−1) share dθ]` with `share = (q − q_t)/(q_s − q_t)`: by parts, so that no slope of
    /// q is needed.
    fn moments_by_quadrature(self, schedule: &dyn Schedule, n: usize, from: TimePoint, to: TimePoint) -> Vec<f64> {
        let (a, b) = (from.scales, to.scales);
        let whole = self.zeroth_moment(from, to);
        let (start, length) = (from.value(self.variable), to.value(self.variable) - from.value(self.variable));
        let share = |theta: f64| {
            let place = start + theta * length;
            let (alpha, sigma) = match self.variable {
                Variable::Time => {
                    let c = schedule.at(place);
                    (c.alpha, c.sigma)
                }
                Variable::Angle => (place.cos(), place.sin()),
                _ => (1.0, place),
            };
            match self.prediction {
                SolverPrediction::Epsilon | SolverPrediction::Velocity => {
                    b.alpha * (sigma / alpha - a.sigma / a.alpha) / whole
                }
                SolverPrediction::X0 => b.sigma * (alpha / sigma - a.alpha / a.sigma) / whole,
            }
        };
        // In the angle the share rises late in a step towards σ = 0: halves and eighths of the way have rules of their
        // own.
        let panels: &[(f64, f64)] = match self.variable {
            Variable::Angle => &[(0.0, 0.5), (0.5, 0.25), (0.75, 0.125), (0.875, 0.125)],
            _ => &[(0.0, 1.0)],
        };
        let nodes = panels
            .iter()
            .flat_map(|(start, length)| GAUSS.map(|(node, weight)| (start + length * node, length * weight)));
        let mut parts = vec![0.0; n];
        for (place, weight) in nodes {
            let mut term = weight * share(place);
            for part in &mut parts[1..] {
                *part += term;
                term *= place;
            }
        }
        parts.iter().enumerate().map(|(k, part)| whole * (1.0 - k as f64 * part)).collect()
    }
}

/// φ₁ … φ_n at x, where φ_k(x) = (φ_{k−1}(x) − 1/(k−1)!)/x and φ₀ = eˣ: `∫₀¹ e^((1−u)x) u^(k−1)/(k−1)! du`.
fn phi(n: usize, x: f64) -> Vec<f64> {
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
fn vandermonde(theta: &[f64], mut moments: Vec<f64>) -> Vec<f64> {
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

//! UniPC: a predictor of order p, and a corrector that costs no network evaluation.
use super::{Multistep, SolverPrediction, StepIntegral, TimePoint, Variable, sampler::require};
use crate::{error::Result, schedule::Schedule};
use serde::{Deserialize, Serialize};

/// B(h) of UniPC, which matters in the formulas with one difference only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "solver_type")]
pub enum UniPcVariant {
    /// B(h) = h: better at very few steps.
    Bh1,
    /// B(h) = eʰ − 1.
    #[default]
    Bh2,
}

/// UniPC of order p: predicts from p model outputs, and corrects the last step with the output at its end.
///
/// On x̂, with `h = λ_s − λ_t` and `D = (x̂_u − x̂_t)/r` for the time u before, `r = (λ_u − λ_t)/h`, p = 2 is
///
/// ```text
/// z_s = (σ_s/σ_t) z_t − α_s (e^(−h) − 1) x̂_t − ½ α_s B(−h) D
/// ```
///
/// Order p + 1, p without a corrector; one network evaluation per step. The weights of the differences solve a
/// Vandermonde system, so from p = 3 (corrector: 2) on they are those of the exact integral of the polynomial; the
/// formulas with one difference take ½ B(h).
///
/// ```
/// use tweedie::sample::{Sampler, UniPc};
/// assert_eq!(Sampler::<4>::properties(&UniPc::default()).order, Some(3));
/// ```
///
/// Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models" (2023),
/// algorithms 1 to 8, <https://arxiv.org/abs/2302.04867>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "UniPCMultistepScheduler")]
#[doc(alias = "uni_pc")]
pub struct UniPc {
    /// The order p of the predictor: 1, 2 or 3. Default: 2.
    #[schemars(range(min = 1, max = 3))]
    pub order: usize,
    /// B(h). Default: bh2.
    pub variant: UniPcVariant,
    /// The model output that is interpolated. Default: x0.
    pub prediction: SolverPrediction,
    /// Whether the corrector is used. Default: true.
    pub corrector: bool,
    /// Whether the last prediction, which nothing corrects, is of first order and, if p = 3, the one before of second:
    /// this helps at few steps, and the trajectory is then of second order at most. p = 1 stays as it is. Default:
    /// false.
    #[doc(alias = "lower_order_final")]
    pub lower_final: bool,
}
impl Default for UniPc {
    fn default() -> Self {
        Self {
            order: 2,
            variant: UniPcVariant::Bh2,
            prediction: SolverPrediction::X0,
            corrector: true,
            lower_final: false,
        }
    }
}
impl UniPc {
    /// The weights of [m₀, m₁] for the term `½ B(H) (m₁ − m₀)/r`.
    fn one_difference(&self, r: f64, from: TimePoint, to: TimePoint) -> [f64; 2] {
        let (h, scale) = self.integral().exponent(from, to);
        let b = match self.variant {
            UniPcVariant::Bh1 => h,
            UniPcVariant::Bh2 => h.exp_m1(),
        };
        let difference = -scale * b * 0.5 / r;
        [-scale * h.exp_m1() - difference, difference]
    }
}
impl Multistep for UniPc {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(self.prediction, Variable::LogSnr)
    }
    fn history_len(&self) -> usize {
        self.order
    }
    fn order(&self) -> usize {
        self.order + usize::from(self.corrector)
    }
    fn lower_final(&self) -> bool {
        self.lower_final
    }
    fn weights(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        if let [from, before] = *points {
            let r = (before.lambda() - from.lambda()) / (to.lambda() - from.lambda());
            return self.one_difference(r, from, to).to_vec();
        }
        self.integral().weights(schedule, points, points[0], to)
    }
    fn corrects(&self) -> bool {
        self.corrector
    }
    fn correct(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Option<Vec<f64>> {
        let from = *points.first().filter(|_| self.corrector)?;
        if points.len() == 1 {
            let [old, new] = self.one_difference(1.0, from, to);
            return Some(vec![new, old]);
        }
        let points: Vec<TimePoint> = std::iter::once(to).chain(points.iter().copied()).collect();
        Some(self.integral().weights(schedule, &points, from, to))
    }
    fn unfit(&self, schedule: &dyn Schedule, times: &[f64]) -> Option<String> {
        if self.prediction == SolverPrediction::Epsilon && self.corrector {
            return Variable::Ratio.unfit(schedule, times).map(|_| {
                "its corrector is on ε̂, and σ/α falls by orders of magnitude in the first step of this schedule: use \
                 `prediction = \"x0\"`"
                    .into()
            });
        }
        // ½ h in the place of ½ (eʰ − 1), in the formulas with one difference.
        let lambdas: Vec<f64> = times.iter().skip(1).map(|&t| TimePoint::new(schedule, t).lambda()).collect();
        let long = lambdas.windows(2).any(|pair| pair[1].is_finite() && pair[1] - pair[0] > 2.0);
        let h = self.variant == UniPcVariant::Bh1 && self.order == 2;
        (h && long).then(|| "B(h) = h is for short steps in λ, and here some exceed 2: use `variant = \"bh2\"`".into())
    }
    fn check(&self) -> Result<()> {
        require((1..=3).contains(&self.order), "order", || format!("of UniPc must be 1, 2 or 3, got {}", self.order))
    }
}

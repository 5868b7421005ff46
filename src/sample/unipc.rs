//! UniPC: a predictor of order p, and a corrector that costs no call.
use super::{Clock, Multistep, Node, SolverPrediction, exact_weights, multistep::stretch};
use crate::{error::Error, schedule::Schedule};
use serde::{Deserialize, Serialize};

/// B(h) of UniPC, which matters where a formula has one difference only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// B(h) = h: better at very few steps.
    Bh1,
    /// B(h) = eʰ − 1.
    #[default]
    Bh2,
}

/// UniPC of order p: predicts with p words, and corrects the last step with the word at its end, for order p + 1.
///
/// The weights of the differences solve a Vandermonde system, so from p = 3 (corrector: 2) on they are those of the exact
/// integral of the polynomial; the formulas with one difference take it half, times B(h).
///
/// Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models" (2023),
/// algorithms 1 to 8, <https://arxiv.org/abs/2302.04867>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UniPc {
    /// p: 1, 2 or 3.
    pub order: usize,
    /// B(h).
    pub variant: Variant,
    /// x̂, as is usual, or ε̂.
    pub word: SolverPrediction,
    /// Whether the corrector is used.
    pub corrector: bool,
    /// Whether the last prediction, which nothing corrects, is of first order and, with p = 3, the one before of second: this
    /// helps at few steps, and the walk is of second order at most. p = 1 stays as it is.
    pub lower_final: bool,
}
impl Default for UniPc {
    fn default() -> Self {
        Self { order: 2, variant: Variant::Bh2, word: SolverPrediction::X0, corrector: true, lower_final: false }
    }
}
impl UniPc {
    /// The weights of [m₀, m₁] for half a difference (m₁ − m₀)/r.
    fn half(&self, r: f64, from: Node, to: Node) -> [f64; 2] {
        let (stretch, scale) = stretch(self.word, 0.0, from, to);
        let b = match self.variant {
            Variant::Bh1 => stretch,
            Variant::Bh2 => stretch.exp_m1(),
        };
        let turn = -scale * b * 0.5 / r;
        [-scale * stretch.exp_m1() - turn, turn]
    }
}
impl Multistep for UniPc {
    fn word(&self) -> SolverPrediction {
        self.word
    }
    fn keeps(&self) -> usize {
        self.order
    }
    fn order(&self) -> Option<usize> {
        Some(self.order + usize::from(self.corrector))
    }
    fn lower_final(&self) -> bool {
        self.lower_final
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        if let [from, before] = *nodes {
            let r = (before.lambda() - from.lambda()) / (to.lambda() - from.lambda());
            return self.half(r, from, to).to_vec();
        }
        exact_weights(path, self.word, Clock::LogSnr, 0.0, nodes, nodes[0], to)
    }
    fn corrects(&self) -> bool {
        self.corrector
    }
    fn correct(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Option<Vec<f64>> {
        let from = *nodes.first().filter(|_| self.corrector)?;
        if nodes.len() == 1 {
            let [old, new] = self.half(1.0, from, to);
            return Some(vec![new, old]);
        }
        let places: Vec<Node> = std::iter::once(to).chain(nodes.iter().copied()).collect();
        Some(exact_weights(path, self.word, Clock::LogSnr, 0.0, &places, from, to))
    }
    fn check(&self) -> Result<(), Error> {
        if (1..=3).contains(&self.order) {
            return Ok(());
        }
        Err(Error::invalid(format!("the order of unipc is 1, 2 or 3, not {}", self.order)))
    }
}

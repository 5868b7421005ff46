//! What a sampler declares about itself.

/// The declared properties of a [`Sampler`](super::Sampler): order of convergence, network evaluations and the like.
///
/// One value, so that a wrapper passes all of it on. The laws of samplers ([`laws::sampler`](crate::laws::sampler))
/// measure what is declared.
///
/// ```
/// use tweedie::sample::Properties;
/// let heun = Properties { order: Some(2), nfe_per_step: 2, ..Properties::default() };
/// assert!(heun.is_deterministic() && heun == Properties::ode(2, 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Properties {
    /// The order of convergence p of the final point, error = O(hᵖ), of a solver of the probability-flow ODE; `None`
    /// for samplers that add noise and for adaptive ones. Default: `None`.
    ///
    /// A multistep method starts with fewer past outputs than it uses. Its first step is of first order, wrong by O(h²)
    /// where σ/α is smooth, and a whole trajectory started that way is of order 2 at most. The order meant here is that
    /// of a trajectory whose first points are exact, as [`order_of`](crate::laws::order_of) measures it. A last step of
    /// first order (`lower_final`) does count.
    pub order: Option<usize>,
    /// The weak order: mean and variance of the final point converge as O(hᵖ) on Gaussian data. Of samplers that add
    /// noise; their points have no limit each. Default: 1.
    pub weak_order: usize,
    /// The relative error of the variance that stays however small the steps are, for samplers whose corrections have a
    /// size of their own. Default: 0.
    pub bias: f64,
    /// The standard deviation of the noise that a step adds over that of the posterior q(x_s ∣ x_t, x), at most 1: η of
    /// DDIM and of the ancestral samplers; `None` if it is not of this kind. Default: `None`.
    pub eta: Option<f64>,
    /// Whether row i of a batch depends on row i alone. Default: true.
    pub rowwise: bool,
    /// Network evaluations (NFE) of a step. Default: 1.
    pub nfe_per_step: usize,
    /// Whether the sampler takes steps of its own within each step, as many as its tolerances require; `nfe_per_step`
    /// is then that of one of its own steps. Default: false.
    pub adaptive: bool,
    /// Whether the sampler is for consistency models, whose output is the end of the probability flow instead of E[x ∣
    /// x_t]: its step to t = 0 is that end, and no final evaluation follows if the schedule leaves noise at t = 0.
    /// Default: false.
    pub consistency: bool,
}
impl Default for Properties {
    fn default() -> Self {
        Self {
            order: None,
            weak_order: 1,
            bias: 0.0,
            eta: None,
            rowwise: true,
            nfe_per_step: 1,
            adaptive: false,
            consistency: false,
        }
    }
}
impl Properties {
    /// A solver of the probability-flow ODE.
    pub fn ode(order: usize, nfe_per_step: usize) -> Self {
        Self { order: Some(order), nfe_per_step, ..Self::default() }
    }
    /// A sampler that adds noise in its steps.
    pub fn sde(weak_order: usize, nfe_per_step: usize) -> Self {
        Self { weak_order, nfe_per_step, ..Self::default() }
    }
    /// Whether the sampler solves the probability-flow ODE, in fixed or adaptive steps, and so adds no noise.
    pub fn is_deterministic(self) -> bool {
        self.order.is_some() || self.adaptive
    }
}

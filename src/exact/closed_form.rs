//! What a mixture says at one noisy point.

/// The closed forms of a mixture at one noisy point.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedForm {
    /// ln p(x_t).
    pub log_density: f64,
    /// x̂ = E[x | x_t].
    pub x: Vec<f64>,
    /// ε̂ = E[ε | x_t].
    pub eps: Vec<f64>,
    /// ∇ ln p(x_t).
    pub score: Vec<f64>,
    /// tr ∂x̂/∂x_t.
    pub divergence: f64,
}

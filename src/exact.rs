//! Exact models: data whose denoiser, score, density and probability flow have closed forms, in double precision.
//!
//! For `x ~ Σ wₖ N(mₖ, Σₖ)` and `x_t = α x + σ ε`, with `Cₖ = α² Σₖ + σ² I`:
//!
//! ```text
//! p(x_t)          = Σ wₖ N(x_t; α mₖ, Cₖ)
//! p(k | x_t)      ∝ wₖ N(x_t; α mₖ, Cₖ)
//! E[x | x_t, k]   = mₖ + α Σₖ Cₖ⁻¹ (x_t − α mₖ)
//! ∇ ln p(x_t)     = −Σ p(k | x_t) Cₖ⁻¹ (x_t − α mₖ) = −ε̂/σ
//! tr ∂x̂/∂x_t      = α Σ p(k | x_t) [tr Σₖ Cₖ⁻¹ + |x̂ₖ − x̂|²/σ²]
//! ```
//!
//! A [`Mixture`] is a [`Denoiser`](crate::denoise::Denoiser), so every sampler and every law runs on it; a Gaussian is a mixture
//! of one component, a data set a mixture of points. [`FlowEnd`] is the exact consistency model of a mixture. A [`Joint`] is the
//! counterpart for discrete data: a few sequences, with every conditional probability by enumeration.
mod closed_form;
mod component;
mod eigen;
mod flow_end;
mod joint;
mod limit;
mod mixture;
mod semidefinite;
pub use closed_form::ClosedForm;
pub use component::ComponentCovariance;
pub use flow_end::FlowEnd;
pub use joint::Joint;
pub use mixture::{Mixture, Terminal};

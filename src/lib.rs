//! Diffusion models, composed like bricks.
//!
//! # The mathematics, on a page
//!
//! Data x are lost in noise bit by bit and found again by a net that learned to guess them. Time t runs from 0 (data) to 1
//! (noise). Four laws carry everything, for 0 ≤ s < t ≤ 1:
//!
//! ```text
//! q(x₁)            stationary     where sampling starts
//! q(x_t | x)       prior          what training sees
//! q(x_s | x_t, x)  posterior      what a step back would be, if x were known
//! p(x_s | x_t)     approximate    the same with the guess x̂ = E[x | x_t] in the place of x
//! ```
//!
//! **Gaussian noise** along a schedule of signal α(t) and noise σ(t):
//!
//! ```text
//! x_t = α x + σ ε,  ε ~ N(0, I)
//! q(x_s | x_t, x) = N(r k x_t + α_s (1 − r² k) x,  σ_s² (1 − r² k)),   r = α_t/α_s,  k = (σ_s/σ_t)²
//! ```
//!
//! What a net says of x_t is always some `a·x + b·ε`, and one 2×2 solve reads every language
//! ([`Prediction`](noise::Prediction)): ε, x itself, v, the velocity of the flow, the score, EDM's F. They are one guess,
//! tied by **Tweedie's formula**:
//!
//! ```text
//! E[x | x_t] = (x_t + σ² ∇ log p(x_t)) / α
//! ```
//!
//! **Categorical noise** on one-hot x keeps a category with probability α and redraws it from π otherwise:
//! `q(x_t | x) = Cat(α x + (1 − α) π)`. There E[x | x_t] *is* p(x | x_t), so the guess means the same for both.
//!
//! Everything else is a reading of these laws: DDPM and D3PM draw from `approximate` on a grid, DDIM is its noiseless
//! form, ODE samplers are its limit s → t, the variational bound is KL(posterior ‖ approximate), guidance changes x̂.
//! Discrete time is a choice of which times are visited, never a second theory: a table β₁ … β_T is the process whose rate
//! is constant between its grid points.
//!
//! # The traits
//!
//! | trait | says | members |
//! |---|---|---|
//! | [`Schedule`](schedule::Schedule) | α(t), σ(t) | `Linear`, `Cosine`, `Sqrt`, `Constant`, `FlowMatching`, `OrnsteinUhlenbeck`, `VarianceExploding`, `VariancePreserving`, `Edm`, … |
//! | [`Spacing`](spacing::Spacing) | which times are visited | `Uniform`, `Steps`, … |
//! | [`Distribution`](distribution::Distribution) | sample, −ln p, KL | `Normal`, `Categorical` |
//! | [`Noise`](noise::Noise) | the four laws | `Gaussian`, `Discrete`, `DiscreteMatrix` |
//! | [`Net`](net::Net) | a word on x_t | `UNet`, `Dit`, `Transformer`, `Pixels`, `Mlp` |
//! | [`Transform`](transform::Transform) | data to x and back | `Identity`, `OneHot`, `Embedding`, `Patches` |
//! | [`Loss`](loss::Loss) | one number a sample | `Simple`, `Vlb`, `CrossEntropy`, `MaskedNelbo`, `ScoreEntropy`; they add and scale |
//! | [`Denoiser`](denoise::Denoiser) | x̂ | a net that was told something, `Guided`, `Clamped`, `Truncated` |
//! | [`Sampler`](sample::Sampler) | one step back | `Ancestral`, `Ddim`, `Euler`, `Heun`, `Analytic`, `Ordered`, … |
//! | [`Data`](data::Data) | rows to train on | `Samples` |
//!
//! What has weights ([`Net`](net::Net), [`Transform`](transform::Transform)) is a burn `Module` and a type parameter; the rest
//! are trait objects. A module of your own implements one of these, mostly one method of it: see [`tutorial`].
//!
//! # Fifteen lines
//!
//! ```no_run
#![doc = include_str!("../examples/digits.rs")]
//! ```
//!
//! # What can be relied on
//!
//! * **The same bits.** Sample i depends on the seed and i, never on the batch it is drawn in or the number of threads; a run that
//!   was stopped goes on to the last bit. There is no global random state: randomness is an argument ([`Rng`]).
//! * **Laws.** Every module is tested by what it must obey ([`laws`]), through functions that a module of your own can be handed to.
//! * **Errors.** What does not fit is refused before the first step, in a sentence that says why ([`Error`]).

pub mod data;
pub mod denoise;
pub mod distance;
pub mod distribution;
pub mod dual;
pub mod error;
pub mod exact;
pub mod laws;
pub mod likelihood;
pub mod loss;
pub mod model;
pub mod net;
pub mod noise;
pub mod process;
pub mod rng;
pub mod sample;
pub mod schedule;
pub mod spacing;
pub mod train;
pub mod transform;
pub mod tutorial;

/// The tensor framework, so that a program can name its types without choosing a version.
pub use burn;
pub use dual::Dual;
pub use error::{Error, Result};
pub use rng::Rng;

/// What a program mostly needs.
pub mod prelude {
    pub use crate::{
        Dual, Error, Rng,
        data::{Data, Samples},
        denoise::Denoiser,
        distribution::{Categorical, Normal},
        loss::{CrossEntropy, Loss, MaskedNelbo, Objective, Simple, Vlb},
        model::Model,
        net::{Classes, DitConfig, MlpConfig, Net, PixelsConfig, TransformerConfig, UNetConfig},
        noise::{Discrete, DiscreteMatrix, Gaussian, Noise, Prediction, Variance},
        sample::{Ancestral, Ddim, Euler, Heun, Sampler, trajectory},
        schedule::{Cosine, Edm, FlowMatching, Linear, Schedule},
        spacing::{Spacing, Steps},
        train::{Train, Trainer},
        transform::{EmbeddingConfig, Transform},
    };
    pub use burn::tensor::{Device, Tensor};
}

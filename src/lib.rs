//! Diffusion models out of interchangeable parts: build, train, sample, evaluate.
//!
//! # The mathematics, on a page
//!
//! A forward process corrupts data x until nothing but noise is left; a network learns to invert it. Time t runs from 0 (data) to
//! 1 (noise). Four distributions carry everything, for 0 ≤ s < t ≤ 1 ([`Noise`](noise::Noise)):
//!
//! ```text
//! q(x₁)            stationary distribution   where sampling starts
//! q(x_t | x)       forward marginal          what training sees          Noise::prior
//! q(x_s | x_t, x)  posterior                 a step back if x is known   Noise::posterior
//! p(x_s | x_t)     reverse transition        x̂ = E[x | x_t] for x        Noise::approximate
//! ```
//!
//! **Gaussian noise** along a schedule of signal α(t) and noise σ(t):
//!
//! ```text
//! x_t = α x + σ ε,  ε ~ N(0, I)
//! q(x_s | x_t, x) = N(r k x_t + α_s (1 − r² k) x,  σ_s² (1 − r² k)),   r = α_t/α_s,  k = (σ_s/σ_t)²
//! ```
//!
//! The model output is an `a·x + b·ε` whose row (a, b) is the prediction type ([`Prediction`](noise::Prediction)): x0 (1, 0), epsilon
//! (0, 1), v (−σ, α), velocity (α′, σ′), score (0, −1/σ), EDM's F. One 2×2 solve reads the denoised estimate x̂ from any of them, and
//! **Tweedie's formula** ties it to the score:
//!
//! ```text
//! x̂ = E[x | x_t] = (x_t + σ² ∇ log p(x_t)) / α
//! ```
//!
//! **Categorical noise** on one-hot x keeps a category with the survival probability ᾱ(t) and resamples it from the stationary
//! distribution π otherwise:
//!
//! ```text
//! q(x_t | x) = Cat(ᾱ x + (1 − ᾱ) π)
//! ```
//!
//! There E[x | x_t] *is* p(x | x_t), so the denoised estimate means the same for both kinds of data. A schedule of a β-table has
//! ᾱ = Π (1 − β_i), which is α² of Gaussian noise.
//!
//! DDPM and D3PM sample the reverse transition on a grid; DDIM is its deterministic form; ODE and SDE samplers are its limit s → t; the
//! variational bound is KL(posterior ‖ reverse transition); guidance changes x̂. Discrete time is a choice of timesteps, not a
//! second theory: a table β₁ … β_T is the process whose rate is constant between its grid points.
//!
//! # The traits
//!
//! | trait | defines | members |
//! |---|---|---|
//! | [`Schedule`](schedule::Schedule) | α(t), σ(t) | `Linear`, `Cosine`, `Sqrt`, `Constant`, `FlowMatching`, `OrnsteinUhlenbeck`, `VarianceExploding`, `VariancePreserving`, `Edm`, … |
//! | [`Spacing`](spacing::Spacing) | timesteps of training and sampling | `Uniform`, `Steps`, `Karras`, … |
//! | [`Distribution`](distribution::Distribution) | sample, −ln p, KL | `Normal`, `Categorical` |
//! | [`Noise`](noise::Noise) | the four distributions; target ↔ denoised estimate | `Gaussian`, `Discrete`, `DiscreteMatrix` |
//! | [`Net`](net::Net) | model output from x_t, t and a condition | `UNet`, `Dit`, `Edm2`, `Transformer`, `Pixels`, `Mlp` |
//! | [`Transform`](transform::Transform) | raw data to x and back | `Identity`, `OneHot`, `Embedding`, `Patches` |
//! | [`Loss`](loss::Loss) | one number per sample; losses add and scale | `Simple`, `Vlb`, `CrossEntropy`, `MaskedNelbo`, `ScoreEntropy` |
//! | [`Denoiser`](denoise::Denoiser) | x̂ from x_t | a conditioned model, `Guided`, `Clamped`, `Truncated`, exact solutions |
//! | [`Sampler`](sample::Sampler) | steps of a sampling trajectory | `Ancestral`, `Ddim`, `Heun`, `DpmSolverPp`, `Deis`, `Analytic`, `Ordered`, … |
//! | [`Data`](data::Data) | training samples by row number | `Samples` |
//!
//! What has weights ([`Net`](net::Net), [`Transform`](transform::Transform)) is a burn `Module` and a type parameter; the rest
//! are trait objects. A [`Model`](model::Model) holds noise, network and transform; a [`Trainer`](train::Trainer) is an iterator over
//! optimizer steps, a [`Trajectory`](sample::Trajectory) one over sampling steps. A module of your own implements one of these traits,
//! mostly with one method: see [`tutorial::extension_points`]. [`process`] offers a continuous process and a β-table by their textbook names.
//!
//! # Fifteen lines
//!
//! ```no_run
#![doc = include_str!("../examples/digits.rs")]
//! ```
//!
//! # Guarantees
//!
//! * **The same bits.** Sample i depends on the seed and i, not on the batch size or the number of threads; a resumed run equals an
//!   uninterrupted one bit by bit. There is no global random state: randomness is an argument ([`Rng`]).
//! * **Laws.** Schedules, noises, networks, losses, denoisers, spacings and samplers are tested by the mathematical laws they must
//!   obey ([`laws`]), through functions that check those of your own as well.
//! * **Errors.** What does not fit is refused before the first step, with the field, the problem and a remedy ([`Error`]).

pub mod condition;
pub mod data;
pub mod denoise;
pub mod device;
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
mod precision;
pub mod process;
pub mod rng;
pub mod sample;
pub mod schedule;
pub mod spacing;
mod special;
pub mod train;
pub mod transform;
pub mod tutorial;

/// The tensor framework, so that a program can name its types without choosing a version.
pub use burn;
pub use dual::Dual;
pub use error::{Error, Result};
pub use precision::Precision;
pub use rng::Rng;

/// What a program and most custom modules need.
pub mod prelude {
    pub use crate::{
        Dual, Error, Precision, Result, Rng,
        condition::{Classes, Condition, ConditionKind, ConditionSpec, Conditions},
        data::{Data, Samples},
        denoise::{Clamped, Denoiser, Guided, Thresholded, Truncated, Truncation},
        distribution::{Categorical, Distribution, Normal, Sample},
        loss::{
            Batch, BoundTimes, CrossEntropy, Loss, MaskedNelbo, Objective, ScoreEntropy, Simple, Vlb, per_sample,
            weighted,
        },
        model::Model,
        net::{DitConfig, MlpConfig, Net, PixelsConfig, TransformerConfig, UNetConfig},
        noise::{Discrete, DiscreteMatrix, DynDistribution, Estimate, Gaussian, Noise, Prediction, Variance},
        sample::{Ancestral, Ddim, Deis, DpmSolverPp, Euler, Heun, Sampler, Trajectory, trajectory, trajectory_from},
        schedule::{Cosine, Edm, FlowMatching, Linear, Schedule},
        spacing::{Karras, Spacing, Steps, Uniform},
        train::{LrSchedule, Step, Train, Trainer},
        transform::{EmbeddingConfig, Transform},
    };
    pub use burn::tensor::{Device, Tensor};
}

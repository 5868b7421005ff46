//! Weights of losses over noise levels.
//!
//! For a given x_t, the errors of all prediction types are one error times a factor: with x̂ the denoised estimate, the error of ε is
//! α/σ times ‖x̂ − x‖, that of v is (α² + σ²)/σ times it, and so on
//! ([`Prediction::error_factor`](crate::noise::Prediction::error_factor)). So every weight is given in one way, as the factor w of
//! `w ‖x̂ − x‖²`, and means the same whatever the network predicts and wherever the error is measured.
//!
//! With SNR = α²/σ² and λ = ln SNR, for a variance-preserving schedule where "v" says so:
//!
//! | weight | w on ‖x̂ − x‖² | on ‖ε̂ − ε‖² | on ‖v̂ − v‖² |
//! |---|---|---|---|
//! | [`Constant`] in x0 | 1 | 1/SNR | 1/(SNR + 1) |
//! | [`Constant`] in ε; [`Snr`] | SNR | 1 | SNR/(SNR + 1) |
//! | [`Constant`] in v; [`InverseVariance`] | SNR + 1 | (SNR + 1)/SNR | 1 |
//! | [`TruncatedSnr`] | max(SNR, 1) | max(SNR, 1)/SNR | max(SNR, 1)/(SNR + 1) |
//! | [`MinSnr`] | min(SNR, γ) | min(SNR, γ)/SNR | min(SNR, γ)/(SNR + 1) |
//! | [`SoftMinSnr`] | γ SNR/(SNR + γ) | γ/(SNR + γ) | γ SNR/((SNR + γ)(SNR + 1)) |
//! | [`P2`] | SNR/(k + SNR)^γ | 1/(k + SNR)^γ | SNR/((k + SNR)^γ (SNR + 1)) |
//! | [`Sigmoid`] | SNR · sigmoid(b − λ) | sigmoid(b − λ) | sigmoid(b − λ) SNR/(SNR + 1) |
//! | [`Edm`] | SNR + 1/d² | 1 + 1/(d² SNR) | (SNR + 1/d²)/(SNR + 1) |
//! | [`Debiased`] | √SNR | 1/√SNR | √SNR/(SNR + 1) |
//!
//! A weight of your own is a struct with one method:
//!
//! ```
//! use tweedie::{loss::{Objective, Regression, weight::Weight}, schedule::Scales};
//! /// A bump of weight around one noise level: exp(−(λ − at)²/2).
//! #[derive(Debug)]
//! struct Bump {
//!     at: f64,
//! }
//! impl Weight for Bump {
//!     fn weight(&self, c: Scales) -> f64 {
//!         (-0.5 * (c.log_snr() - self.at).powi(2)).exp()
//!     }
//! }
//! let objective: Objective<4> = Regression::squared().with_weight(Bump { at: 0.0 }).into();
//! # let _ = objective;
//! ```
use crate::{
    error::{Error, Result},
    noise::Prediction,
    schedule::Scales,
};
use auto_impl::auto_impl;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A weight over noise levels: the factor w of `w ‖x̂ − x‖²`; see the [module](self) for one of your own.
#[doc(alias("loss_weighting", "compute_snr", "weighting_scheme"))]
#[auto_impl(&, Box, Arc)]
pub trait Weight: Debug + Send + Sync {
    /// The weight w ≥ 0 on the squared error of x̂ at scales `c`, finite for 0 < t < 1; at the ends, where α or σ may vanish, it may be
    /// +∞.
    fn weight(&self, c: Scales) -> f64;

    /// Checks the settings; called before the first step.
    ///
    /// # Errors
    ///
    /// If a setting is out of range, with its field.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

pub(super) fn positive(value: f64, field: &str) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::invalid(format!("must be a positive number, got {value}")).with_field(field))
}

macro_rules! weights {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)? }
        |$own:ident, $c:ident| $weight:expr; $($positive:ident),*;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type),*
        }
        #[allow(clippy::derivable_impls)]
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
        impl Weight for $name {
            fn weight(&self, $c: Scales) -> f64 {
                let $own = self;
                let _ = $own;
                $weight
            }
            fn check(&self) -> Result<()> {
                $(positive(self.$positive, stringify!($positive))?;)*
                Ok(())
            }
        }
    )*};
}
weights! {
    /// Weight 1 in the space of a prediction type: `k²`, with k the [factor](Prediction::error_factor) of its error.
    ///
    /// In ε that is SNR, in x0 1, in v `(α² + σ²)²/σ²`, in the velocity `(α′ − σ′ α/σ)²`, in the score `α²/σ⁴`.
    Constant {
        /// The prediction type whose error has weight 1; `edm` for data of standard deviation 1. Default: epsilon.
        space: Prediction = Prediction::Epsilon,
    } |own, c| own.space.error_factor(c, 1.0).powi(2); ;

    /// The signal-to-noise ratio, SNR = α²/σ²: that of DDPM's loss of ε.
    ///
    /// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), eq. 14, <https://arxiv.org/abs/2006.11239>.
    Snr {} |own, c| c.snr(); ;

    /// Truncated SNR: max(SNR, min).
    ///
    /// Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022), section 4,
    /// <https://arxiv.org/abs/2202.00512>.
    #[doc(alias = "max_snr")]
    TruncatedSnr {
        /// Least weight. Default: 1.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        min: f64 = 1.0,
    } |own, c| c.snr().max(own.min); min;

    /// Min-SNR-γ: min(SNR, γ). On the error of ε that is min(SNR, γ)/SNR, on that of v min(SNR, γ)/(SNR + 1).
    ///
    /// Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy" (2023), section 3.4,
    /// <https://arxiv.org/abs/2303.09556>.
    #[doc(alias("snr_gamma", "min_snr_gamma"))]
    MinSnr {
        /// Largest weight γ. Default: 5.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        gamma: f64 = 5.0,
    } |own, c| c.snr().min(own.gamma); gamma;

    /// Soft min-SNR: γ SNR/(SNR + γ), which is 1/(σ²/α² + 1/γ).
    ///
    /// Crowson et al., "Scalable High-Resolution Pixel-Space Image Synthesis with Hourglass Diffusion Transformers" (2024), section
    /// 4.3, <https://arxiv.org/abs/2401.11605>, with γ = 4.
    #[doc(alias = "soft_min_snr")]
    SoftMinSnr {
        /// Limit γ of the weight without noise. Default: 4.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        gamma: f64 = 4.0,
    } |own, c| (c.snr().recip() + own.gamma.recip()).recip(); gamma;

    /// P2: SNR/(k + SNR)^γ, which takes weight from low noise, where only imperceptible detail is left to learn.
    ///
    /// Choi et al., "Perception Prioritized Training of Diffusion Models" (2022), eq. 8, <https://arxiv.org/abs/2204.00227>.
    #[doc(alias("p2_gamma", "p2_k"))]
    P2 {
        /// Offset k of the signal-to-noise ratio. Default: 1.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        k: f64 = 1.0,
        /// Exponent γ; 0 is the weight `snr`. Default: 1.
        #[schemars(range(min = 0.0))]
        gamma: f64 = 1.0,
    } |own, c| c.snr() * (own.k + c.snr()).powf(-own.gamma); k;

    /// Sigmoid: SNR · sigmoid(b − λ), which is e^b sigmoid(λ − b): that of ε up to λ = b, that of x0 above.
    ///
    /// A larger bias b weights lower noise: Kingma and Gao take b = 2 for images of 64 × 64 pixels, SiD2 smaller and negative ones for
    /// larger images. Both integrate over λ: use [`PerLogSnr`] for a weight that does not depend on how fast the schedule passes λ.
    ///
    /// Hoogeboom et al., "Simpler Diffusion (SiD2)" (2024), <https://arxiv.org/abs/2410.19324>; Kingma and Gao, "Understanding
    /// Diffusion Objectives as the ELBO with Simple Data Augmentation" (2023), <https://arxiv.org/abs/2303.00848>.
    #[doc(alias = "SiD2")]
    Sigmoid {
        /// Log-SNR b at which the weight turns from that of ε to that of x0. Default: 2.
        bias: f64 = 2.0,
    } |own, c| ((-own.bias).exp() + c.snr().recip()).recip(); ;

    /// EDM's λ(σ) for data of standard deviation d: (σ² + d²)/(σ d)² with σ of x + σ ε, which is SNR + 1/d². It is the weight 1 of EDM's
    /// F.
    ///
    /// Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), table 1,
    /// <https://arxiv.org/abs/2206.00364>.
    #[doc(alias("sigma_data", "EDMLoss"))]
    Edm {
        /// Standard deviation d of the data. Default: 0.5.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        data_std: f64 = 0.5,
    } |own, c| c.snr() + own.data_std.powi(-2); data_std;

    /// 1/σ²: the weight 1 of v if the schedule is variance preserving, and of the velocity in flow matching, where σ = t.
    #[doc(alias("sigma_sqrt"))]
    InverseVariance {} |own, c| c.sigma.powi(-2); ;

    /// Debiased: √SNR, which is 1/√SNR on the error of ε.
    ///
    /// Yu et al., "Unmasking Bias in Diffusion Model Training" (2024; first "Debias the Training of Diffusion Models", 2023),
    /// <https://arxiv.org/abs/2310.08442>.
    #[doc(alias("debiased_estimation_loss"))]
    Debiased {} |own, c| c.alpha / c.sigma; ;
}

/// Another weight times −dλ/dt, so that with t uniform in (0, 1) the objective is ∫ w(λ) ‖x̂ − x‖² dλ, whichever way the schedule
/// takes through λ.
///
/// The weights of Kingma and Gao are of this kind: their `½ ∫ w(λ) ‖ε̂ − ε‖² dλ` is half that of `PerLogSnr(W)` with `W = w(λ) SNR` on x̂,
/// and the variational bound has w = 1: half of `PerLogSnr(Snr {})`.
///
/// Kingma and Gao (2023), eq. 5, <https://arxiv.org/abs/2303.00848>.
#[doc(alias("ELBO", "importance_weight"))]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerLogSnr<W>(pub W);
impl<W: Weight> Weight for PerLogSnr<W> {
    fn weight(&self, c: Scales) -> f64 {
        let speed = 2.0 * (c.sigma_dot / c.sigma - c.alpha_dot / c.alpha);
        speed * self.0.weight(c)
    }
    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

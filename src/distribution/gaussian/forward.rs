//! The forward process on vectors of numbers: repeated scaling and convolution with a Gaussian.
//!
//! ```text
//! xₜ = √(1 − βₜ) xₜ₋₁ + √βₜ ε        one step: scale, then add noise
//! xₜ = √ᾱₜ x₀ + √(1 − ᾱₜ) ε          closed form, ᾱₜ = ∏ₛ≤ₜ (1 − βₛ)
//! ```
//!
//! Scaling is an affine map and adding noise a convolution, so xₜ given x₀ is Gaussian, and N(0, 1) is stationary:
//! `(1 − β) · 1 + β = 1`.
//!
//! Ho, Jain and Abbeel, "Denoising diffusion probabilistic models" (2020), eq. 2 and 4,
//! <https://arxiv.org/abs/2006.11239>.
use super::{GaussianError, UnivariateNormal, fraction};
use crate::rng::Rng;

/// Applies one step of the forward process in place, `xₜ = √(1 − β) xₜ₋₁ + √β ε`.
///
/// # Errors
///
/// If β is not in [0, 1]; x is then unchanged.
pub fn step(x: &mut [f64], beta: f64, rng: &mut Rng) -> super::Result<()> {
    let beta = fraction("β", beta)?;
    noise(x, (1.0 - beta).sqrt(), beta.sqrt(), rng);
    Ok(())
}

/// Applies any number of [`step`]s at once in place, `xₜ = √ᾱ x₀ + √(1 − ᾱ) ε`.
///
/// ```
/// use tweedie::Rng;
/// use tweedie::distribution::gaussian::{UnivariateNormal, forward};
/// let betas = [0.1, 0.2, 0.3];
/// let (mut steps, mut jump) = (vec![2.0; 50_000], vec![2.0; 50_000]);
/// for (i, &beta) in betas.iter().enumerate() {
///     forward::step(&mut steps, beta, &mut Rng::new(0).at_step(i as u64))?;
/// }
/// forward::jump(&mut jump, forward::alpha_bar(&betas), &mut Rng::new(1))?;
/// // Other numbers of the same distribution.
/// let (a, b) = (UnivariateNormal::fit(&steps)?, UnivariateNormal::fit(&jump)?);
/// let exact = forward::marginal(2.0, &betas)?;
/// assert!(a.wasserstein2(&exact) < 0.02 && b.wasserstein2(&exact) < 0.02);
/// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
/// ```
///
/// # Errors
///
/// If ᾱ is not in [0, 1]; x is then unchanged.
pub fn jump(x: &mut [f64], alpha_bar: f64, rng: &mut Rng) -> super::Result<()> {
    let alpha_bar = fraction("ᾱ", alpha_bar)?;
    noise(x, alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt(), rng);
    Ok(())
}

/// `ᾱ = ∏ (1 − β)`, the fraction of the variance of the data that xₜ has.
#[doc(alias = "alphas_cumprod")]
pub fn alpha_bar(betas: &[f64]) -> f64 {
    betas.iter().map(|beta| 1.0 - beta).product()
}

/// The forward marginal q(xₜ ∣ x₀) = `N(√ᾱ x₀, 1 − ᾱ)`, computed step by step from [`affine`](UnivariateNormal::affine) images and
/// [`sum`](UnivariateNormal::sum)s.
///
/// # Errors
///
/// If a β is not in [0, 1], or all are 0, where xₜ is still a point.
pub fn marginal(x: f64, betas: &[f64]) -> super::Result<UnivariateNormal> {
    let mut normal: Option<UnivariateNormal> = None;
    for &beta in betas {
        let beta = fraction("β", beta)?;
        if beta == 0.0 {
            continue;
        }
        let noise = UnivariateNormal::with_variance(0.0, beta)?;
        normal = Some(match normal {
            // β = 1 erases what was before.
            _ if beta == 1.0 => noise,
            Some(before) => before.affine((1.0 - beta).sqrt(), 0.0)?.sum(&noise),
            None => UnivariateNormal::with_variance((1.0 - beta).sqrt() * x, beta)?,
        });
    }
    normal.ok_or(GaussianError::NotPositive { what: "variance of the noise", index: vec![], found: 0.0 })
}

/// `x ← α x + σ ε`.
fn noise(x: &mut [f64], alpha: f64, sigma: f64, rng: &mut Rng) {
    let eps = rng.normals(1, x.len());
    x.iter_mut().zip(eps).for_each(|(x, eps)| *x = alpha * *x + sigma * eps);
}

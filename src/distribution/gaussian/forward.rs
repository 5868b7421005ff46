//! The forward process on plain numbers: repeated convolution with a Gaussian.
//!
//! ```text
//! xₜ = √(1 − βₜ) xₜ₋₁ + √βₜ ε        one step: shrink, then add noise
//! xₜ = √ᾱₜ x₀ + √(1 − ᾱₜ) ε          all of them at once, ᾱₜ = ∏ₛ≤ₜ (1 − βₛ)
//! ```
//!
//! Shrinking is an affine image and adding noise a convolution, so from a point x₀ every xₜ is Gaussian, and variance
//! one is where it stands still: `(1 − β) · 1 + β = 1`.
//!
//! Ho, Jain and Abbeel, "Denoising diffusion probabilistic models" (2020), eq. 2 and 4,
//! <https://arxiv.org/abs/2006.11239>.
use super::UnivariateNormal;
use crate::rng::Rng;

/// `xₜ = √(1 − β) xₜ₋₁ + √β ε`, in place.
///
/// # Panics
/// When β is not in [0, 1].
pub fn step(x: &mut [f64], beta: f64, rng: &mut Rng) {
    assert!((0.0..=1.0).contains(&beta), "β is in [0, 1], and {beta} is not");
    noise(x, (1.0 - beta).sqrt(), beta.sqrt(), rng);
}

/// `xₜ = √ᾱ x₀ + √(1 − ᾱ) ε`, in place: as many [`step`]s as you like at once.
///
/// ```
/// use tweedie::Rng;
/// use tweedie::distribution::gaussian::{UnivariateNormal, forward};
/// let betas = [0.1, 0.2, 0.3];
/// let (mut steps, mut jump) = (vec![2.0; 50_000], vec![2.0; 50_000]);
/// for (i, &beta) in betas.iter().enumerate() {
///     forward::step(&mut steps, beta, &mut Rng::new(0).at_step(i as u64));
/// }
/// forward::jump(&mut jump, forward::kept(&betas), &mut Rng::new(1));
/// // Not the same numbers: the same distribution.
/// let (a, b) = (UnivariateNormal::fit(&steps)?, UnivariateNormal::fit(&jump)?);
/// let exact = forward::law(2.0, &betas)?;
/// assert!(a.wasserstein2(&exact) < 0.02 && b.wasserstein2(&exact) < 0.02);
/// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
/// ```
///
/// # Panics
/// When ᾱ is not in [0, 1].
pub fn jump(x: &mut [f64], kept: f64, rng: &mut Rng) {
    assert!((0.0..=1.0).contains(&kept), "ᾱ is in [0, 1], and {kept} is not");
    noise(x, kept.sqrt(), (1.0 - kept).sqrt(), rng);
}

/// `ᾱ = ∏ (1 − β)`: the part of the variance of the data that is kept.
pub fn kept(betas: &[f64]) -> f64 {
    betas.iter().map(|beta| 1.0 - beta).product()
}

/// The distribution of xₜ given x₀, built step by step from [`affine`](UnivariateNormal::affine) images and
/// [`sum`](UnivariateNormal::sum)s: it is `N(√ᾱ x₀, 1 − ᾱ)`.
///
/// # Errors
/// When the first β is zero, where x₁ is still a point, or one is 1 or more.
pub fn law(x: f64, betas: &[f64]) -> super::Result<UnivariateNormal> {
    let (first, rest) = betas.split_first().unwrap_or((&0.0, &[]));
    let mut law = UnivariateNormal::with_variance((1.0 - first).sqrt() * x, *first)?;
    for &beta in rest {
        law = law.affine((1.0 - beta).sqrt(), 0.0)?.sum(&UnivariateNormal::with_variance(0.0, beta)?);
    }
    Ok(law)
}

/// `x ← α x + σ ε`.
fn noise(x: &mut [f64], alpha: f64, sigma: f64, rng: &mut Rng) {
    let eps = rng.normals(1, x.len());
    x.iter_mut().zip(eps).for_each(|(x, eps)| *x = alpha * *x + sigma * eps);
}

//! Solvers of the reverse SDE `dz = [f z + g² ε̂/σ] dt + g dw`, from 1 to 0.
use super::{Properties, Sampler, TimeStep, gaussian_schedule, noise_like};
use crate::{denoise::Denoiser, rng::Rng, schedule::Scales};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// The weights of z and of x̂ in f z + g² ε̂/σ, and g; `None` if the drift is infinite (α = 0).
fn drift(c: Scales) -> Option<([f64; 2], f64)> {
    let (f, g2) = (c.drift(), c.diffusion());
    // ε̂ = (z − α x̂)/σ.
    let pull = g2 / c.sigma.powi(2);
    (f.is_finite() && g2.is_finite()).then(|| ([f + pull, -pull * c.alpha], g2.max(0.0).sqrt()))
}

/// A sample of the reverse transition p(x_s ∣ x_t), in which nothing is infinite; its mean at s = 0.
fn reverse_transition<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
    let estimate = model.denoise(z.clone(), &[at.t]);
    let reverse = model.noise().approximate(estimate, z, &[at.s], &[at.t]);
    if at.s == 0.0 { reverse.mean() } else { reverse.draw(rng) }
}

/// Euler and Maruyama's method in t for the reverse SDE.
///
/// `z_s = z − (t − s)(f z + g² ε̂/σ) + g √(t − s) ξ`, without ξ in the last step. Weak order 1, one network evaluation
/// per step. A step from α = 0, where the drift is infinite, is a sample of p(x_s ∣ x_t).
///
/// ```
/// use tweedie::sample::{EulerMaruyama, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&EulerMaruyama {}), Properties::sde(1, 1));
/// ```
///
/// Song et al. (2021), section 4, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "ScoreSdeVpScheduler")]
pub struct EulerMaruyama {}
impl<const D: usize> Sampler<D> for EulerMaruyama {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let TimeStep { t, s, .. } = at;
        let Some(([own, pull], g)) = drift(gaussian_schedule(model).at(t)) else {
            return reverse_transition(model, z, at, rng);
        };
        let x = model.denoise(z.clone(), &[t]).mean;
        let (own, pull) = (1.0 + (s - t) * own, (s - t) * pull);
        if s == 0.0 {
            return combine!([(own, z), (pull, x)]);
        }
        let xi = noise_like(rng, &z);
        combine!([(own, z), (pull, x), (g * (t - s).sqrt(), xi)])
    }
}

/// Heun's method in t for the reverse SDE, whose noise does not depend on z.
///
/// With the drift `a = f z + g² ε̂/σ`:
///
/// ```text
/// z̃   = z − (t − s) a_t + √(t − s) g_t ξ
/// z_s = z − (t − s) ½ (a_t + ã_s) + √(t − s) √(½ (g_t² + g_s²)) ξ
/// ```
///
/// Weak order 2, two network evaluations per step. The last step, and one from or to a time at which the drift is
/// infinite, is [`EulerMaruyama`]'s.
///
/// ```
/// use tweedie::sample::{Properties, Sampler, SdeHeun};
/// assert_eq!(Sampler::<4>::properties(&SdeHeun {}), Properties::sde(2, 2));
/// ```
///
/// Kloeden and Platen, "Numerical Solution of Stochastic Differential Equations" (1992), section 15.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SdeHeun {}
impl<const D: usize> Sampler<D> for SdeHeun {
    fn properties(&self) -> Properties {
        Properties::sde(2, 2)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let TimeStep { t, s, .. } = at;
        let (from, to) = at.ends(gaussian_schedule(model));
        if s == 0.0 || to.scales.sigma == 0.0 {
            return EulerMaruyama {}.step(model, z, at, rng);
        }
        let (Some(([own, pull], g)), Some(([own_s, pull_s], g_s))) = (drift(from.scales), drift(to.scales)) else {
            return reverse_transition(model, z, at, rng);
        };
        let (h, root) = (s - t, (t - s).sqrt());
        let x = model.denoise(z.clone(), &[t]).mean;
        let xi = noise_like(rng, &z);
        let ahead = combine!([(1.0 + h * own, z.clone()), (h * pull, x.clone()), (g * root, xi.clone())]);
        let next = model.denoise(ahead.clone(), &[s]).mean;
        let (half, both) = (0.5 * h, (0.5 * (g * g + g_s * g_s)).sqrt());
        combine!([
            (1.0 + half * own, z),
            (half * pull, x),
            (half * own_s, ahead),
            (half * pull_s, next),
            (both * root, xi),
        ])
    }
}

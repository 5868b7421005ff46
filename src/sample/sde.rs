//! Solvers of the reverse process `dz = [f z + g² ε̂/σ] dt + g dw`, from 1 to 0.
use super::{Past, Sampler, fresh, path};
use crate::{denoise::Denoiser, rng::Rng, schedule::Scales};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// The weights of z and of x̂ in f z + g² ε̂/σ, and g; none where the drift has no bound (α = 0).
fn drift(c: Scales) -> Option<([f64; 2], f64)> {
    let (f, g2) = (c.drift(), c.diffusion());
    // ε̂ = (z − α x̂)/σ.
    let pull = g2 / c.sigma.powi(2);
    (f.is_finite() && g2.is_finite()).then(|| ([f + pull, -pull * c.alpha], g2.max(0.0).sqrt()))
}

/// The step by the law p(x_s | x_t), in which nothing is infinite.
fn posterior<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, rng: &mut Rng) -> Tensor<D> {
    let guess = model.denoise(z.clone(), &[t]);
    let law = model.noise().approximate(guess, z, &[s], &[t]);
    if s == 0.0 { law.mean() } else { law.draw(rng) }
}

/// Euler and Maruyama's method in t for the reverse process: weak order 1, one call.
///
/// `z_s = z − (t − s)(f z + g² ε̂/σ) + g √(t − s) ξ`, without ξ in the last step. A step from α = 0, where the drift has no
/// bound, is drawn from p(x_s | x_t).
///
/// Song et al. (2021), section 4, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EulerMaruyama {}
impl<const D: usize> Sampler<D> for EulerMaruyama {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let Some(([own, pull], g)) = drift(path(model).at(t)) else {
            return posterior(model, z, t, s, rng);
        };
        let x = model.denoise(z.clone(), &[t]).mean;
        let (own, pull) = (1.0 + (s - t) * own, (s - t) * pull);
        if s == 0.0 {
            return combine!([(own, z), (pull, x)]);
        }
        let noise = fresh(rng, &z);
        combine!([(own, z), (pull, x), (g * (t - s).sqrt(), noise)])
    }
    fn order(&self) -> Option<usize> {
        None
    }
}

/// Heun's method in t for the reverse process, whose noise does not depend on z: weak order 2, two calls.
///
/// `z̃ = z − (t − s) a_t + √(t − s) g_t ξ`, `z_s = z − (t − s) ½ (a_t + ã_s) + √(t − s) √(½ (g_t² + g_s²)) ξ`. The last step, and
/// one from or to a time at which the drift has no bound, is [`EulerMaruyama`]'s.
///
/// Kloeden and Platen, "Numerical Solution of Stochastic Differential Equations" (1992), section 15.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SdeHeun {}
impl<const D: usize> Sampler<D> for SdeHeun {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let (from, to) = (path(model).at(t), path(model).at(s));
        if s == 0.0 || to.sigma == 0.0 {
            return EulerMaruyama {}.step(model, z, t, s, past, rng);
        }
        let (Some(([own, pull], g)), Some(([own_s, pull_s], g_s))) = (drift(from), drift(to)) else {
            return posterior(model, z, t, s, rng);
        };
        let (h, root) = (s - t, (t - s).sqrt());
        let x = model.denoise(z.clone(), &[t]).mean;
        let noise = fresh(rng, &z);
        let ahead = combine!([(1.0 + h * own, z.clone()), (h * pull, x.clone()), (g * root, noise.clone())]);
        let next = model.denoise(ahead.clone(), &[s]).mean;
        let (half, both) = (0.5 * h, (0.5 * (g * g + g_s * g_s)).sqrt());
        combine!([
            (1.0 + half * own, z),
            (half * pull, x),
            (half * own_s, ahead),
            (half * pull_s, next),
            (both * root, noise),
        ])
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn calls(&self) -> usize {
        2
    }
    fn weak_order(&self) -> usize {
        2
    }
}

//! Solvers of the reverse process `dz = [f z + g² ε̂/σ] dt + g dw`, from 1 to 0.
use super::{Past, Sampler, fresh, path};
use crate::{denoise::Denoiser, rng::Rng, schedule::Scales};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// f z + g² ε̂/σ and g at a time; none where the drift has no bound (α = 0).
fn drift<const D: usize>(model: &dyn Denoiser<D>, c: Scales, z: Tensor<D>, t: f64) -> Option<(Tensor<D>, f64)> {
    let (f, g2) = (c.drift(), c.diffusion());
    if !(f.is_finite() && g2.is_finite()) {
        return None;
    }
    let x = model.denoise(z.clone(), &[t]).mean;
    // ε̂ = (z − α x̂)/σ.
    let pull = g2 / c.sigma.powi(2);
    Some((super::combine([(f + pull, z), (-pull * c.alpha, x)]), g2.max(0.0).sqrt()))
}

/// The step by the law p(x_s | x_t), in which nothing is infinite.
fn posterior<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, rng: &mut Rng) -> Tensor<D> {
    let guess = model.denoise(z.clone(), &[t]);
    let law = model.noise().approximate(guess, z, &[s], &[t]);
    if s == 0.0 { law.mean() } else { law.sample(rng).value }
}

/// Euler and Maruyama's method in t for the reverse process: weak order 1, one call.
///
/// `z_s = z − (t − s)(f z + g² ε̂/σ) + g √(t − s) ξ`, without ξ in the last step. A step from α = 0, where the drift has no
/// bound, is drawn from p(x_s | x_t).
///
/// Song et al. (2021), section 4, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EulerMaruyama {}
impl<const D: usize> Sampler<D> for EulerMaruyama {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let from = path(model).at(t);
        let Some((slope, g)) = drift(model, from, z.clone(), t) else {
            return posterior(model, z, t, s, rng);
        };
        if s == 0.0 {
            return super::combine([(1.0, z), (s - t, slope)]);
        }
        let noise = fresh(rng, &z);
        super::combine([(1.0, z), (s - t, slope), (g * (t - s).sqrt(), noise)])
    }
    fn order(&self) -> Option<usize> {
        None
    }
}

/// Heun's method in t for the reverse process, whose noise does not depend on z: weak order 2, two calls.
///
/// `z̃ = z − (t − s) a_t + √(t − s) g_t ξ`, `z_s = z − (t − s) ½ (a_t + ã_s) + √(t − s) √(½ (g_t² + g_s²)) ξ`. The last step, and
/// one from α = 0, is [`EulerMaruyama`]'s.
///
/// Kloeden and Platen, "Numerical Solution of Stochastic Differential Equations" (1992), section 15.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
        let Some((slope, g)) = drift(model, from, z.clone(), t) else {
            return posterior(model, z, t, s, rng);
        };
        let (noise, root) = (fresh(rng, &z), (t - s).sqrt());
        let ahead = super::combine([(1.0, z.clone()), (s - t, slope.clone()), (g * root, noise.clone())]);
        let (next, end) = drift(model, to, ahead, s).expect("α rises on the way down");
        let both = (0.5 * (g * g + end * end)).sqrt();
        super::combine([(1.0, z), (0.5 * (s - t), slope), (0.5 * (s - t), next), (both * root, noise)])
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn calls(&self) -> usize {
        2
    }
}

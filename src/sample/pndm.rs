//! Pseudo linear multistep methods: the weights of even steps, whatever the steps are.
use super::{Clock, Multistep, Node, Past, Sampler, SolverPrediction, noise_of, path, straight, sum};
use crate::{
    denoise::Denoiser,
    error::Error,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Adams and Bashforth's weights for even steps.
const EVEN: [&[f64]; 4] = [
    &[1.0],
    &[1.5, -0.5],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// The improved pseudo numerical method: ε̂ is averaged by Adams–Bashforth weights and then carried as by DDIM.
///
/// `z_s = (α_s/α_t) z + (σ_s − σ_t α_s/α_t) Σ cⱼ ε̂ⱼ`, c = (55, −59, 37, −9)/24 with four words. The weights are those of
/// even steps in σ/α, which the steps are not: from two words on the method is of second order.
///
/// Zhang and Chen (2023), appendix H.2, <https://arxiv.org/abs/2204.13902>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ipndm {
    /// The words used: 1 to 4.
    pub words: usize,
}
impl Default for Ipndm {
    fn default() -> Self {
        Self { words: 4 }
    }
}
impl Multistep for Ipndm {
    fn word(&self) -> SolverPrediction {
        SolverPrediction::Epsilon
    }
    fn clock(&self) -> Clock {
        Clock::Time
    }
    fn keeps(&self) -> usize {
        self.words
    }
    fn order(&self) -> Option<usize> {
        Some(self.words.min(2))
    }
    fn weights(&self, _: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        let (a, b) = (nodes[0].scales, to.scales);
        let whole = b.sigma - a.sigma * b.alpha / a.alpha;
        EVEN[nodes.len() - 1].iter().map(|weight| weight * whole).collect()
    }
    fn check(&self) -> Result<(), Error> {
        if (1..=4).contains(&self.words) {
            return Ok(());
        }
        Err(Error::invalid(format!("ipndm uses 1 to 4 words, not {}", self.words)))
    }
}

/// The pseudo linear multistep sampler: [`Ipndm`] with four words whose first step is Heun's, at one call more.
///
/// Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), <https://arxiv.org/abs/2202.09778>, as
/// Rombach et al. start it; [`Pndm`] starts as the paper does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plms {}
impl<const D: usize> Sampler<D> for Plms {
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
        if !past.is_empty() || from.alpha == 0.0 || to.sigma == 0.0 {
            return Ipndm { words: 4 }.step(model, z, t, s, past, rng);
        }
        let x = model.denoise(z.clone(), &[t]).mean;
        let eps = noise_of(z.clone(), x.clone(), from);
        let ahead = straight(z.clone(), x, from, to);
        let next = noise_of(ahead.clone(), model.denoise(ahead, &[s]).mean, to);
        past.push(t, eps.clone(), 4);
        let kept = to.alpha / from.alpha;
        let half = 0.5 * (to.sigma - from.sigma * kept);
        sum([(kept, z), (half, eps), (half, next)])
    }
    fn order(&self) -> Option<usize> {
        Some(2)
    }
}

/// Pseudo numerical methods as they were first written: three pseudo Runge–Kutta steps, then [`Ipndm`] with four words.
///
/// With `φ(z, ε̂, t, s) = (α_s/α_t) z + (σ_s − σ_t α_s/α_t) ε̂`, DDIM's transfer, and `m = (t + s)/2`, a first step is
///
/// ```text
/// ε̂₁ = ε̂(z, t)
/// ε̂₂ = ε̂(φ(z, ε̂₁, t, m), m)
/// ε̂₃ = ε̂(φ(z, ε̂₂, t, m), m)
/// ε̂₄ = ε̂(φ(z, ε̂₃, t, s), s)      z_s = φ(z, (ε̂₁ + 2 ε̂₂ + 2 ε̂₃ + ε̂₄)/6, t, s)
/// ```
///
/// of four calls, so nine more in a walk; ε̂₁ is what the later steps remember. Fourth-order weights, but of even steps in σ/α,
/// which the steps are not: the method is of second order. A step from α = 0, where φ ends, is DDIM's and is not remembered;
/// a step to σ = 0, where ε̂₄ ends, is the multistep method's with what words there are.
///
/// Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), eq. 12 and 13,
/// <https://arxiv.org/abs/2202.09778>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pndm {}
impl<const D: usize> Sampler<D> for Pndm {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let path = path(model);
        let (from, to) = (path.at(t), path.at(s));
        if from.alpha == 0.0 {
            let x = model.denoise(z.clone(), &[t]).mean;
            return straight(z, x, from, to);
        }
        if past.len() >= 3 || to.sigma == 0.0 {
            return Ipndm { words: 4 }.step(model, z, t, s, past, rng);
        }
        let m = 0.5 * (t + s);
        let middle = path.at(m);
        let ask = |z: Tensor<D>, t: f64, c: Scales| noise_of(z.clone(), model.denoise(z, &[t]).mean, c);
        let transfer = |words: &[(f64, &Tensor<D>)], to: Scales| {
            let kept = to.alpha / from.alpha;
            let whole = to.sigma - from.sigma * kept;
            let words = words.iter().map(|(weight, word)| (weight * whole, (*word).clone()));
            sum(std::iter::once((kept, z.clone())).chain(words))
        };
        let first = ask(z.clone(), t, from);
        let second = ask(transfer(&[(1.0, &first)], middle), m, middle);
        let third = ask(transfer(&[(1.0, &second)], middle), m, middle);
        let fourth = ask(transfer(&[(1.0, &third)], to), s, to);
        let end = transfer(&[(1.0 / 6.0, &first), (1.0 / 3.0, &second), (1.0 / 3.0, &third), (1.0 / 6.0, &fourth)], to);
        past.push(t, first, 4);
        end
    }
    fn order(&self) -> Option<usize> {
        Some(2)
    }
}

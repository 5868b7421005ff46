//! EDM's stochastic sampler.
use super::{Past, Sampler, ancestral::Draw, fresh, ode::heun, path};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// EDM's algorithm 2: before each of [`Heun`](super::Heun)'s steps the noise is raised by the factor 1 + γ.
///
/// `γ = min(churn/N, √2 − 1)` where `min ≤ σ/α ≤ max`, else 0; the fresh noise is `noise`·√(σ̂² − σ²) strong. The noise is
/// never raised above that of t = 1, and where α = 0 there is none to raise it to, whatever `max`.
///
/// Karras et al. (2022), algorithm 2; the constants are its CIFAR-10 ones, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Churn {
    /// S_churn ≥ 0, spread over the steps.
    pub churn: f64,
    /// S_min.
    pub min: f64,
    /// S_max.
    pub max: f64,
    /// S_noise.
    pub noise: f64,
}
impl Default for Churn {
    fn default() -> Self {
        Self { churn: 30.0, min: 0.01, max: 1.0, noise: 1.007 }
    }
}
impl Churn {
    /// [`Sampler::step`] with noise of one's own, of a walk of `steps` steps.
    pub fn step_with<const D: usize>(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        steps: usize,
        draw: &mut Draw<'_, D>,
    ) -> Tensor<D> {
        let path = path(model);
        let from = path.at(t);
        let r = from.sigma / from.alpha;
        let gamma = (self.churn / steps as f64).min(std::f64::consts::SQRT_2 - 1.0);
        if gamma == 0.0 || !(self.min..=self.max).contains(&r) || r.is_infinite() {
            return heun(model, z, (t, from), (s, path.at(s)));
        }
        let raised = path.time_at_log_snr(-2.0 * (r * (1.0 + gamma)).ln());
        let above = path.at(raised);
        let kept = above.alpha / from.alpha;
        let added = (above.sigma.powi(2) - (kept * from.sigma).powi(2)).max(0.0).sqrt();
        let noise = draw(&z);
        let z = combine!([(kept, z), (added * self.noise, noise)]);
        heun(model, z, (raised, above), (s, path.at(s)))
    }
}
impl<const D: usize> Sampler<D> for Churn {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        self.step_with(model, z, t, s, past.steps(), &mut |z: &Tensor<D>| fresh(rng, z))
    }
    fn order(&self) -> Option<usize> {
        (self.churn == 0.0).then_some(2)
    }
    fn calls(&self) -> usize {
        2
    }
    fn weak_order(&self) -> usize {
        2
    }
    /// Of the variance of x_t, the raised part is `noise`² too large.
    fn bias(&self) -> f64 {
        if self.churn == 0.0 { 0.0 } else { (self.noise * self.noise - 1.0).abs() }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if self.churn >= 0.0 && self.noise >= 0.0 && self.noise.is_finite() && self.min <= self.max {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the churn and noise of `churn` are 0 or more, the noise finite, and min ≤ max, but churn = {}, noise = {}, min = {}, max = {}",
            self.churn, self.noise, self.min, self.max
        )))
    }
}

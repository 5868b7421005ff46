//! Network evaluations saved.
use super::require_categories;
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::Result,
    noise::{Estimate, Noise},
    rng::Rng,
    sample::{Ancestral, Properties, Sampler, SamplerState, TimeStep},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Another sampler, which gets the last denoised estimate again as long as nothing in the batch has changed.
///
/// For models whose output does not depend on t, as that of a model of absorbing noise need not: the trajectories are
/// the same to the last bit, with as many network evaluations as there are steps that unmask something, however fine
/// the grid. The estimate of a model whose output depends on t is that of the last change. Properties are the inner
/// sampler's; its NFE is then the most.
///
/// ```
/// use tweedie::sample::{Analytic, Cached, Sampler};
/// let cached = Cached { sampler: Analytic {} };
/// assert_eq!(Sampler::<3>::properties(&cached), Sampler::<3>::properties(&Analytic {}));
/// ```
///
/// Sahoo et al., "Simple and Effective Masked Diffusion Language Models" (2024), section 4.2,
/// <https://arxiv.org/abs/2406.07524>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(bound = "S: Default + Serialize + schemars::JsonSchema")]
#[doc(alias = "ddpm_cache")]
pub struct Cached<S = Ancestral> {
    /// The inner sampler. Default: ancestral.
    pub sampler: S,
}
impl<const D: usize, S: Sampler<D>> Sampler<D> for Cached<S> {
    fn properties(&self) -> Properties {
        self.sampler.properties()
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_categories(self, noise)?;
        self.sampler.check(noise)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.sampler.unfit(noise, times)
    }
    fn reads(&self, shape: [usize; D]) -> [usize; D] {
        self.sampler.reads(shape)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(CachedState { inner: self.sampler.start(noise)?, last: None }))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.sampler.step(model, z, at, rng)
    }
}

/// z at the last network evaluation, its place in longer samples, and the estimate.
type Last<const D: usize> = (Tensor<D>, usize, Estimate<D>);

/// The trajectory of [`Cached`].
#[derive(Clone, Debug)]
struct CachedState<'a, const D: usize> {
    inner: Box<dyn SamplerState<D> + 'a>,
    last: Option<Last<D>>,
}
impl<const D: usize> SamplerState<D> for CachedState<'_, D> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let model = Remembered { model, last: RefCell::new(self.last.take()) };
        let z = self.inner.step(&model, z, at, rng);
        self.last = model.last.into_inner();
        z
    }
    fn z_replaced(&mut self) {
        self.inner.z_replaced();
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}

/// A denoiser that remembers its last estimate.
struct Remembered<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    last: RefCell<Option<Last<D>>>,
}
impl<const D: usize> Denoiser<D> for Remembered<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.denoise_window(z, t, 0)
    }
    fn denoise_window(&self, z: Tensor<D>, t: &[f64], first: usize) -> Estimate<D> {
        let mut last = self.last.borrow_mut();
        if let Some((old, place, estimate)) = &*last
            && *place == first
            && old.dims() == z.dims()
            && host(old.clone().not_equal(z.clone()).float().sum())[0] == 0.0
        {
            return estimate.clone();
        }
        let estimate = self.model.denoise_window(z.clone(), t, first);
        *last = Some((z, first, estimate.clone()));
        estimate
    }
}

//! Sampling given known entries.
use super::{Early, read_categories, require_categories, write_categories};
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::{Error, Result},
    noise::Noise,
    rng::Rng,
    sample::{Properties, Sampler, SamplerState, TimeStep, first_step},
};
use burn::tensor::Tensor;

/// Another sampler, with known entries that hold their category from the first step to the last: infilling, inpainting,
/// prompts.
///
/// With absorbing noise the rest is sampled from the model's own conditional distribution given the known entries, as
/// exactly as the inner sampler does. Without a mask that marks what is corrupted, the model takes known entries for
/// noisy ones, and trusts them the more the less noise is left. Properties are the inner sampler's.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{
///     Rng,
///     exact::Joint,
///     noise::Discrete,
///     sample::{Analytic, Infill, trajectory},
///     schedule::FlowMatching,
/// };
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let model = Joint::new(noise, vec![(vec![0, 0], 0.5), (vec![1, 1], 0.5)])?;
/// let known = Tensor::from_floats([[[-1.0], [1.0]]], &Device::flex());
/// let infill = Infill { sampler: Box::new(Analytic {}), known };
/// let (times, rng) = (vec![1.0, 0.5, 0.0], Rng::new(0));
/// let steps = trajectory(&model, &infill, times, [1, 2, 1], &rng, &Device::flex())?;
/// let (_, x) = steps.last().unwrap();
/// assert_eq!(x.into_data().to_vec::<f32>().unwrap(), [1.0, 1.0]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "inpaint")]
#[doc(alias = "RePaint")]
pub struct Infill<const D: usize> {
    /// The inner sampler.
    pub sampler: Box<dyn Sampler<D>>,
    /// The category index if it is known, −1 if not: `[batch, …, 1]`, or `[1, …, 1]` for all rows.
    pub known: Tensor<D>,
}
impl<const D: usize> Infill<D> {
    /// `z` with the known entries in their places, for the start of a trajectory
    /// ([`trajectory_from`](crate::sample::trajectory_from)).
    ///
    /// # Panics
    ///
    /// If `z` does not have as many entries per row.
    pub fn put(&self, z: Tensor<D>) -> Tensor<D> {
        let known = host(self.known.clone());
        let mut entries = read_categories(&z);
        assert!(
            entries.len() == known.len() || entries.len() == known.len() * z.dims()[0],
            "a row of `known` must have as many entries as one of the batch: {:?} and {:?}",
            self.known.dims(),
            z.dims()
        );
        for (i, entry) in entries.iter_mut().enumerate() {
            let known = known[i % known.len()];
            if known >= 0.0 {
                *entry = known as usize;
            }
        }
        write_categories(&entries, &z)
    }
}
impl<const D: usize> Sampler<D> for Infill<D> {
    fn properties(&self) -> Properties {
        self.sampler.properties()
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        let k = require_categories(&"infill", noise)?.k;
        let known = host(self.known.clone());
        let last = self.known.dims()[D - 1];
        if last != 1 {
            let problem =
                format!("must hold category indices, −1 if unknown, along a last axis of 1, got one of {last}");
            return Err(Error::invalid(problem).with_field("known"));
        }
        if let Some((i, n)) = known.iter().enumerate().find(|(_, n)| n.fract() != 0.0 || **n < -1.0 || **n >= k as f64)
        {
            let problem = format!("must hold indices from 0 to {} or −1 if unknown, got {n} in entry {i}", k - 1);
            return Err(Error::invalid(problem).with_field("known"));
        }
        self.sampler.check(noise)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.sampler.unfit(noise, times)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(InfillState { infill: self, inner: self.sampler.start(noise)? }))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`Infill`].
#[derive(Clone, Debug)]
struct InfillState<'a, const D: usize> {
    infill: &'a Infill<D>,
    inner: Box<dyn SamplerState<D> + 'a>,
}
impl<const D: usize> SamplerState<D> for InfillState<'_, D> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.inner.z_replaced();
        let z = self.inner.step(&Early::new(model), self.infill.put(z), at, rng);
        self.infill.put(z)
    }
    fn z_replaced(&mut self) {
        self.inner.z_replaced();
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}

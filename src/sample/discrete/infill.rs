//! What is known stays.
use super::{Early, Past, Sampler, categories, read, write};
use crate::{denoise::Denoiser, distribution::host, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;

/// Another sampler, around entries that are known: they hold their category from the first step to the last.
///
/// With absorbing noise the rest is drawn from the model's own conditional law given the known ones, as exactly as the sampler
/// draws. Where no mask tells what is lost from what is not, the model takes known entries for noisy ones, and believes them
/// the more the less noise is left.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, exact::Joint, noise::Discrete, sample::{Analytic, Infill, trajectory}, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let model = Joint::new(noise, vec![(vec![0, 0], 0.5), (vec![1, 1], 0.5)])?;
/// let known = Tensor::from_floats([[[-1.0], [1.0]]], &Device::flex());
/// let infill = Infill { sampler: Box::new(Analytic {}), known };
/// let walk = trajectory(&model, &infill, vec![1.0, 0.5, 0.0], [1, 2, 1], &Rng::new(0), &Device::flex())?;
/// let (_, x) = walk.last().unwrap();
/// assert_eq!(x.into_data().to_vec::<f32>().unwrap(), [1.0, 1.0]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Debug)]
pub struct Infill<const D: usize> {
    /// The sampler.
    pub sampler: Box<dyn Sampler<D>>,
    /// The number of the category where it is known, −1 where it is not: `[batch, …, 1]`, or `[1, …, 1]` for all rows.
    pub known: Tensor<D>,
}
impl<const D: usize> Infill<D> {
    /// `z` with the known entries in their places, for a walk's start
    /// ([`trajectory_from`](crate::sample::trajectory_from)) or of one's own.
    ///
    /// # Panics
    ///
    /// If `z` does not have as many entries a row.
    pub fn put(&self, z: Tensor<D>) -> Tensor<D> {
        let known = host(self.known.clone());
        let mut page = read(&z);
        assert!(
            page.len() == known.len() || page.len() == known.len() * z.dims()[0],
            "a row of `known` has as many entries as one of the batch: {:?} and {:?}",
            self.known.dims(),
            z.dims()
        );
        for (i, entry) in page.iter_mut().enumerate() {
            let known = known[i % known.len()];
            if known >= 0.0 {
                *entry = known as usize;
            }
        }
        write(&page, &z)
    }
}
impl<const D: usize> Sampler<D> for Infill<D> {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        self.put(self.sampler.step(&Early::new(model), self.put(z), t, s, past, rng))
    }
    fn order(&self) -> Option<usize> {
        self.sampler.order()
    }
    fn calls(&self) -> usize {
        self.sampler.calls()
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        let k = categories(&"infill", noise)?.k;
        let known = host(self.known.clone());
        if self.known.dims()[D - 1] != 1 {
            return Err(Error::invalid(format!(
                "known entries are told by the number of their category, −1 where unknown, along a last axis of 1, not {}",
                self.known.dims()[D - 1]
            )));
        }
        if let Some((i, n)) = known.iter().enumerate().find(|(_, n)| n.fract() != 0.0 || **n < -1.0 || **n >= k as f64)
        {
            return Err(Error::invalid(format!(
                "entry {i} of what is known is {n}, but the {k} categories are numbered from 0, and −1 stands for unknown"
            )));
        }
        self.sampler.check(noise)
    }
}

//! Sampling given known entries.
use super::{Early, clean_probabilities, read_categories, require_categories, sample_categories, write_categories};
use crate::{
    denoise::{Denoiser, Restricted},
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
/// Of a blank that must be filled some categories are no answer, such as the end of the text at a blank with known
/// letters after it: `allowed` rules them out, in the model ([`Restricted`]) and in every sample.
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
/// let infill = Infill { sampler: Box::new(Analytic {}), known, allowed: None };
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
    /// 1 for each category that an unknown entry can have in a sample, 0 for the others: `[batch or 1, …, K]`, K with
    /// the mask. Default: all.
    #[doc(alias = "suppress_tokens")]
    pub allowed: Option<Tensor<D>>,
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

    /// `z` at the end of a trajectory, with entries of categories that are not allowed sampled again.
    ///
    /// Noise that may remain at t = 0 can leave such an entry, although its x̂ has no probability there.
    fn corrected(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let Some(allowed) = &self.allowed else { return z };
        let (allowed, k) = (host(allowed.clone()), allowed.dims()[D - 1]);
        let mut entries = read_categories(&z);
        let places = allowed.len() / k;
        let wrong = |i: usize, entry: usize| allowed[(i % places) * k + entry] == 0.0;
        if !entries.iter().enumerate().any(|(i, &entry)| wrong(i, entry)) {
            return z;
        }
        let mask = model.noise().categories().and_then(|categories| categories.mask);
        let sampled = sample_categories(clean_probabilities(model, &z, &[at.t], mask), &mut rng.stream("allowed"));
        for (i, entry) in entries.iter_mut().enumerate() {
            if wrong(i, *entry) {
                // A category of next to no probability is not sampled again.
                let row = &allowed[(i % places) * k..][..k];
                let first = || (0..k).find(|n| row[*n] > 0.0 && Some(*n) != mask).unwrap_or(*entry);
                *entry = if wrong(i, sampled[i]) { first() } else { sampled[i] };
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
        if let Some(allowed) = &self.allowed {
            let (given, mut expected) = (allowed.dims(), self.known.dims());
            expected[D - 1] = k;
            if given[1..] != expected[1..] {
                let problem = format!(
                    "must say of each of the {k} categories whether an entry can have it, {expected:?}, got {given:?}"
                );
                return Err(Error::invalid(problem).with_field("allowed"));
            }
            if host(allowed.clone().sum_dim(D - 1)).contains(&0.0) {
                let problem = "must leave every entry a category, got an entry with none";
                return Err(Error::invalid(problem).with_field("allowed"));
            }
        }
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
    fn reads(&self, shape: [usize; D]) -> [usize; D] {
        self.sampler.reads(shape)
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
        let (infill, z) = (self.infill, self.infill.put(z));
        let early = Early::new(model);
        let z = match &infill.allowed {
            None => self.inner.step(&early, z, at, rng),
            Some(allowed) => {
                let restricted = Restricted::new(&early, allowed.clone());
                let z = self.inner.step(&restricted, z, at, rng);
                if at.s == 0.0 { infill.corrected(&restricted, z, at, rng) } else { z }
            }
        };
        infill.put(z)
    }
    fn z_replaced(&mut self) {
        self.inner.z_replaced();
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}

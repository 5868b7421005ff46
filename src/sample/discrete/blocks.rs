//! Semi-autoregressive sampling, block by block.
use super::{Early, require_absorbing};
use crate::{
    denoise::Denoiser,
    error::{Error, Result},
    noise::{Estimate, Noise},
    rng::Rng,
    sample::{Properties, Sampler, SamplerState, TimeStep, first_step, sampler::require},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Another sampler, block by block from left to right: semi-autoregressive sampling, of any length.
///
/// The entries lie along the second axis. Each block of `block` of them (the last may be shorter) is sampled given all
/// blocks before it; the model reads `window` entries that hold the block: those before it, and for the first blocks
/// also masks behind it. So a sequence can be longer than the model's context.
///
/// The trajectory from 1 to 0 is cut into as many equal parts as there are blocks, each of which takes its block from 1
/// to 0: of n even steps each block has its share, and a step over a border ends one block and begins the next. The
/// inner sampler starts anew with each block. Properties are the inner sampler's.
///
/// ```
/// use tweedie::sample::{Analytic, Blocks, Sampler};
/// let blocks = Blocks { sampler: Analytic {}, block: 16, window: Some(64) };
/// assert_eq!(Sampler::<3>::properties(&blocks), Sampler::<3>::properties(&Analytic {}));
/// ```
///
/// Sahoo et al. (2024), section 4.3, <https://arxiv.org/abs/2406.07524>; Arriola et al., "Block Diffusion" (2025),
/// <https://arxiv.org/abs/2503.09573>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(bound = "S: Default + Serialize + schemars::JsonSchema")]
#[doc(alias = "semi-autoregressive")]
pub struct Blocks<S = super::Analytic> {
    /// The sampler within a block. Default: analytic.
    pub sampler: S,
    /// Entries per block. Default: 32.
    #[schemars(range(min = 1))]
    pub block: usize,
    /// How many entries the model reads. Default: the whole sequence.
    pub window: Option<usize>,
}
impl<S: Default> Default for Blocks<S> {
    fn default() -> Self {
        Self { sampler: S::default(), block: 32, window: None }
    }
}
impl<const D: usize, S: Sampler<D>> Sampler<D> for Blocks<S> {
    fn properties(&self) -> Properties {
        self.sampler.properties()
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_absorbing(self, noise)?;
        if D < 3 {
            return Err(Error::invalid(format!(
                "blocks lie along the second axis of sequences [batch, length, 1], but the data have {D} axes"
            )));
        }
        require(self.block > 0, "block", || "must be 1 or more, got 0".into())?;
        let (block, window) = (self.block, self.window.unwrap_or(self.block));
        require(window >= block, "window", || format!("must be at least block = {block}, got {window}"))?;
        self.sampler.check(noise)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.sampler.unfit(noise, times)
    }
    fn reads(&self, shape: [usize; D]) -> [usize; D] {
        let mut read = shape;
        if let (Some(length), Some(window)) = (read.get_mut(1), self.window) {
            *length = window.min(*length);
        }
        self.sampler.reads(read)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(BlocksState { blocks: self, inner: self.sampler.start(noise)? }))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`Blocks`].
#[derive(Debug)]
struct BlocksState<'a, S, const D: usize> {
    blocks: &'a Blocks<S>,
    /// The trajectory of the present block.
    inner: Box<dyn SamplerState<D> + 'a>,
}
impl<S, const D: usize> Clone for BlocksState<'_, S, D> {
    fn clone(&self) -> Self {
        Self { blocks: self.blocks, inner: self.inner.clone() }
    }
}
impl<const D: usize, S: Sampler<D>> SamplerState<D> for BlocksState<'_, S, D> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let Blocks { sampler, block, window } = self.blocks;
        let length = z.dims()[1];
        let blocks = length.div_ceil(*block);
        let window = window.unwrap_or(length).min(length);
        let model = &Early::new(model);
        let (mut z, n) = (z, blocks as f64);
        // Block b has the times from 1 − b/n to 1 − (b + 1)/n, of which some may lie within this step.
        for b in 0..blocks {
            let last = n - 1.0 - b as f64;
            let local = |t: f64| {
                let local = t * n - last;
                // An end of the block's part is t = 1 or t = 0 exactly.
                if (local - local.round()).abs() < 1e-9 { local.round() } else { local }.clamp(0.0, 1.0)
            };
            let (t, s) = (local(at.t), local(at.s));
            if t <= s {
                continue;
            }
            if t == 1.0 {
                self.inner =
                    sampler.start(model.noise()).expect("the noise was checked at the start of the trajectory");
            }
            let (begin, end) = (b * block, ((b + 1) * block).min(length));
            let low = end.saturating_sub(window).min(length - window);
            let frame = Frame {
                model,
                first: low,
                before: (begin > low).then(|| z.clone().narrow(1, low, begin - low)),
                after: (end < low + window).then(|| z.clone().narrow(1, end, low + window - end)),
            };
            let part = z.clone().narrow(1, begin, end - begin);
            let part =
                self.inner.step(&frame, part, TimeStep { t, s, ..at }, &mut rng.stream("block").at_step(b as u64));
            let ends = [(0, begin), (end, length - end)].map(|(at, n)| (n > 0).then(|| z.clone().narrow(1, at, n)));
            let [left, right] = ends;
            z = Tensor::cat(left.into_iter().chain([part]).chain(right).collect(), 1);
        }
        z
    }
    fn z_replaced(&mut self) {
        self.inner.z_replaced();
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}

/// A model of one block: it reads the entries around it too, and returns the estimate of the block alone.
struct Frame<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    /// The place of the window's first entry in the sequence.
    first: usize,
    before: Option<Tensor<D>>,
    after: Option<Tensor<D>>,
}
impl<const D: usize> Frame<'_, D> {
    fn around<T>(&self, z: Tensor<D>, evaluate: impl FnOnce(Tensor<D>) -> T, part: impl Fn(T, usize, usize) -> T) -> T {
        let length = z.dims()[1];
        let before = self.before.as_ref().map_or(0, |x| x.dims()[1]);
        let all = self.before.iter().cloned().chain([z]).chain(self.after.clone()).collect();
        part(evaluate(Tensor::cat(all, 1)), before, length)
    }
}
impl<const D: usize> Denoiser<D> for Frame<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let window = |z| self.model.denoise_window(z, t, self.first);
        self.around(z, window, |estimate, at, n| estimate.mean.narrow(1, at, n).into())
    }
}

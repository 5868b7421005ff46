//! Left to right, block by block.
use super::{Early, Past, Sampler, absorbing};
use crate::{
    denoise::Denoiser,
    error::Error,
    noise::{Estimate, Noise},
    rng::Rng,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Another sampler, block by block from left to right: semi-autoregressive drawing, of any length.
///
/// The entries lie along the second axis. Each block of `block` of them (the last may be shorter) is drawn given all that was
/// drawn before it; the model reads `window` entries that hold the block: those before it, and where it is among the first
/// also masks behind it. So a sequence can be longer than what the model reads.
///
/// The walk from 1 to 0 is cut into as many equal parts as there are blocks, each of which takes its block from 1 to 0: of n
/// even steps each has its share, and a step over a border ends one block and begins the next.
///
/// Sahoo et al. (2024), section 4.3, <https://arxiv.org/abs/2406.07524>; Arriola et al., "Block Diffusion" (2025),
/// <https://arxiv.org/abs/2503.09573>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(bound = "S: Default + Serialize + schemars::JsonSchema")]
pub struct Blocks<S = super::Analytic> {
    /// The sampler within a block.
    pub sampler: S,
    /// How many entries are drawn at a time.
    pub block: usize,
    /// How many entries the model reads; the whole sequence unless said.
    pub window: Option<usize>,
}
impl<S: Default> Default for Blocks<S> {
    fn default() -> Self {
        Self { sampler: S::default(), block: 32, window: None }
    }
}
impl<const D: usize, S: Sampler<D>> Sampler<D> for Blocks<S> {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let length = z.dims()[1];
        let blocks = length.div_ceil(self.block);
        let window = self.window.unwrap_or(length).min(length);
        let model = &Early::new(model);
        let (mut z, n) = (z, blocks as f64);
        // Block b has the times from 1 − b/n to 1 − (b + 1)/n, of which some may lie within this step.
        for b in 0..blocks {
            let last = n - 1.0 - b as f64;
            let local = |t: f64| {
                let local = t * n - last;
                // An end of the walk's part is an end of the block's own.
                if (local - local.round()).abs() < 1e-9 { local.round() } else { local }.clamp(0.0, 1.0)
            };
            let (t, s) = (local(t), local(s));
            if t <= s {
                continue;
            }
            if t == 1.0 {
                (past.guess, past.hidden) = (None, None);
                past.words.clear();
            }
            let (begin, end) = (b * self.block, ((b + 1) * self.block).min(length));
            let low = end.saturating_sub(window).min(length - window);
            let frame = Frame {
                model,
                before: (begin > low).then(|| z.clone().narrow(1, low, begin - low)),
                after: (end < low + window).then(|| z.clone().narrow(1, end, low + window - end)),
            };
            let part = z.clone().narrow(1, begin, end - begin);
            let part = self.sampler.step(&frame, part, t, s, past, &mut rng.stream("block").at(b as u64));
            let ends = [(0, begin), (end, length - end)].map(|(at, n)| (n > 0).then(|| z.clone().narrow(1, at, n)));
            let [left, right] = ends;
            z = Tensor::cat(left.into_iter().chain([part]).chain(right).collect(), 1);
        }
        z
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn calls(&self) -> usize {
        self.sampler.calls()
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        absorbing(self, noise)?;
        if D < 3 {
            return Err(Error::invalid(format!(
                "blocks lie along the second axis of sequences [batch, length, 1], but the data have {D} axes"
            )));
        }
        if self.block == 0 || self.window.is_some_and(|window| window < self.block) {
            return Err(Error::invalid(format!(
                "blocks have one entry or more and fit into the window the model reads, but block = {} and window = {:?}",
                self.block, self.window
            )));
        }
        self.sampler.check(noise)
    }
}

/// A model that reads what lies around, and speaks of the middle alone.
struct Frame<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    before: Option<Tensor<D>>,
    after: Option<Tensor<D>>,
}
impl<const D: usize> Frame<'_, D> {
    fn around<T>(&self, z: Tensor<D>, ask: impl FnOnce(Tensor<D>) -> T, part: impl Fn(T, usize, usize) -> T) -> T {
        let length = z.dims()[1];
        let before = self.before.as_ref().map_or(0, |x| x.dims()[1]);
        let all = self.before.iter().cloned().chain([z]).chain(self.after.clone()).collect();
        part(ask(Tensor::cat(all, 1)), before, length)
    }
}
impl<const D: usize> Denoiser<D> for Frame<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.around(z, |z| self.model.denoise(z, t), |guess, at, n| guess.mean.narrow(1, at, n).into())
    }
}

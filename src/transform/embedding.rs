//! Embedding of tokens in vectors that are trained with the model.
use super::Transform;
use crate::{
    denoise::Denoiser,
    error::{Error, Result},
    noise::{Estimate, Noise, lift},
    rng::Rng,
};
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Int, Tensor},
};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// Decoding of vectors to tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decoding {
    /// The token with the nearest vector.
    #[default]
    Nearest,
    /// The token with the largest logit, which the loss [`Rounding`](crate::loss::Rounding) trains.
    Logits,
}

/// Configuration of an [`Embedding`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Number of categories of a token.
    pub vocabulary: usize,
    /// Values of a vector.
    pub width: usize,
    /// Whether vectors are normalized to a mean square of 1, as a noise expects of data. Otherwise the loss
    /// [`Prior`](crate::loss::Prior) keeps them from growing.
    pub normalized: bool,
    /// Decoding of vectors to tokens.
    pub decoding: Decoding,
}
impl Default for EmbeddingConfig {
    fn default() -> Self {
        Self { vocabulary: 0, width: 32, normalized: true, decoding: Decoding::Nearest }
    }
}

impl EmbeddingConfig {
    /// Vectors of `width` values for `vocabulary` categories.
    pub fn new(vocabulary: usize, width: usize) -> Self {
        Self { vocabulary, width, ..Self::default() }
    }
    /// Sets [`normalized`](Self::normalized).
    pub fn with_normalized(self, normalized: bool) -> Self {
        Self { normalized, ..self }
    }
    /// Sets [`decoding`](Self::decoding).
    pub fn with_decoding(self, decoding: Decoding) -> Self {
        Self { decoding, ..self }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// With the field that is not allowed.
    pub fn check(&self) -> Result<()> {
        if self.vocabulary < 2 {
            let problem = format!("must be at least 2 categories, got {}", self.vocabulary);
            return Err(Error::invalid(problem).with_field("vocabulary"));
        }
        if self.width == 0 {
            return Err(Error::invalid("must be at least 1, got 0").with_field("width"));
        }
        Ok(())
    }

    /// Initializes the table from a seed with standard normal values.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<Embedding> {
        self.check()?;
        let table = rng.stream("embedding").normal_tensor([self.vocabulary, self.width], device, DType::F32);
        Ok(Embedding {
            table: Param::from_tensor(table),
            bias: Param::from_tensor(Tensor::zeros([self.vocabulary], (device, DType::F32))),
            config: self.clone(),
        })
    }
}

/// Embedding of tokens: a vector per token, trained together with the net, for continuous diffusion of text.
///
/// `x = e(w)`, with e(w) row w of a table, or that row divided by the root of its mean square. The gradient of every loss that
/// depends on x or x_t reaches the table; [`Rounding`](crate::loss::Rounding), −ln p(w | x₀) with
/// `p(w | x) = softmax_w(⟨e(w), x⟩ + b_w)`, keeps the rows apart. With [`Simple`](crate::loss::Simple) and prediction x0, the
/// objective of Diffusion-LM is `Simple + Rounding + Prior`: [`Simple`](crate::loss::Simple) at the first timestep of the
/// table is their term ‖e(w) − x̂(x₁)‖² of t = 0.
///
/// Li et al., "Diffusion-LM Improves Controllable Text Generation" (2022), <https://arxiv.org/abs/2205.14217>; rows on a
/// sphere as in Dieleman et al., "Continuous diffusion for categorical data" (2022), <https://arxiv.org/abs/2211.15089>.
///
/// # Shapes
///
/// Token ids `[batch, tokens, 1]` ↔ `[batch, tokens, width]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, transform::{EmbeddingConfig, Transform}};
/// let device = Device::flex();
/// let embedding = EmbeddingConfig::new(27, 16).init(&Rng::new(7), &device)?;
/// let tokens = Tensor::<3>::from_floats([[[3.0], [0.0], [26.0]]], &device);
/// let x = embedding.encode(tokens.clone());
/// assert_eq!(x.dims(), [1, 3, 16]);
/// assert_eq!(embedding.decode(x * 0.9).into_data(), tokens.into_data());
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocabulary, width]`, before normalization.
    pub table: Param<Tensor<2>>,
    /// Biases b of the logits, `[vocabulary]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    config: EmbeddingConfig,
}

impl Embedding {
    /// Returns the configuration.
    pub fn config(&self) -> &EmbeddingConfig {
        &self.config
    }

    /// Returns the vectors of all tokens: `[vocabulary, width]`.
    pub fn vectors(&self) -> Tensor<2> {
        self.scaled(self.table.val())
    }

    fn scaled(&self, rows: Tensor<2>) -> Tensor<2> {
        if !self.config.normalized {
            return rows;
        }
        let (width, place) = (self.config.width, (&rows.device(), rows.dtype()));
        ops::rms_norm(rows, Tensor::ones([1, width], place), Tensor::zeros([1, width], place), 1e-12)
    }

    /// Computes the logits ⟨e(w), x⟩ + b_w of all tokens w: `[batch, tokens, width]` → `[batch, tokens, vocabulary]`.
    pub fn logits(&self, x: Tensor<3>) -> Tensor<3> {
        ops::linear(x, self.vectors().swap_dims(0, 1), Some(self.bias.val()))
    }

    /// Returns the ids of the tokens with the nearest vectors: `[batch, tokens, width]` → `[batch, tokens, 1]`.
    pub fn nearest(&self, x: Tensor<3>) -> Tensor<3> {
        // argmin ‖x − e‖² = argmax ⟨e, x⟩ − ½ ‖e‖².
        let vectors = self.vectors();
        let half: Tensor<1> = vectors.clone().square().sum_dim(1).squeeze_dim(1) * -0.5;
        best(ops::linear(x, vectors.swap_dims(0, 1), Some(half)))
    }

    /// Looks up the vectors of token ids: `[batch, tokens, 1]` → `[batch, tokens, width]`.
    pub fn look_up(&self, ids: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, form] = ids.dims();
        assert_eq!(form, 1, "an embedding looks up token ids, [batch, tokens, 1], not {form} values per token");
        let ids: Tensor<1, Int> = ids.reshape([batch * tokens]).int();
        self.scaled(self.table.val().select(0, ids)).reshape([batch, tokens, self.config.width])
    }
}

/// Index of the largest value along the last axis.
fn best(scores: Tensor<3>) -> Tensor<3> {
    let dtype = scores.dtype();
    scores.argmax(2).float().cast(dtype)
}

impl Transform<3> for Embedding {
    type Raw = Tensor<3>;
    fn encode(&self, raw: Tensor<3>) -> Tensor<3> {
        self.look_up(raw)
    }
    fn decode(&self, x: Tensor<3>) -> Tensor<3> {
        match self.config.decoding {
            Decoding::Nearest => self.nearest(x),
            Decoding::Logits => best(self.logits(x)),
        }
    }
}

/// A denoiser whose denoised estimate is rounded to the nearest vectors of an [`Embedding`] at each step.
///
/// Li et al., "Diffusion-LM" (2022), section 4.2, "the clamping trick", <https://arxiv.org/abs/2205.14217>.
#[derive(Clone, Debug)]
pub struct Rounded<'a, M> {
    /// The denoiser.
    pub model: M,
    /// The embedding.
    pub embedding: &'a Embedding,
    /// Largest time at which estimates are rounded; 1 rounds them all.
    pub until: f64,
}
impl<M: Denoiser<3>> Denoiser<3> for Rounded<'_, M> {
    fn noise(&self) -> &dyn Noise<3> {
        self.model.noise()
    }
    fn check(&self, shape: [usize; 3]) -> Result<()> {
        self.model.check(shape)
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let Estimate { mean, variance, .. } = self.model.denoise(z, t);
        let early = t.iter().filter(|t| **t <= self.until).count();
        let rounded = || self.embedding.look_up(self.embedding.nearest(mean.clone()));
        let mean = match early {
            0 => mean,
            all if all == t.len() => rounded(),
            _ => {
                let [early] = lift(&mean, t, |_, t| [f64::from(u8::from(t <= self.until))]);
                let early = early.greater_elem(0.5).expand(mean.dims());
                mean.clone().mask_where(early, rounded())
            }
        };
        Estimate { mean, variance, output: None }
    }
}

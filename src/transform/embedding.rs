//! Tokens as vectors that are trained with the model.
use super::Transform;
use crate::{
    denoise::Denoiser,
    noise::{Estimate, Noise, lift},
    rng::Rng,
};
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Int, Tensor},
};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// How vectors become tokens again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decoding {
    /// The token whose vector is nearest.
    #[default]
    Nearest,
    /// The token of the largest logit, which the loss [`Rounding`](crate::loss::Rounding) trains.
    Logits,
}

/// What an [`Embedding`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Categories of a token.
    pub vocabulary: usize,
    /// Numbers of a vector.
    pub width: usize,
    /// Whether a vector's mean square is held at 1, as a noise expects of data. Otherwise it is free, and the loss
    /// [`Prior`](crate::loss::Prior) keeps it from growing.
    pub normalised: bool,
    /// How vectors become tokens again.
    pub decoding: Decoding,
}
impl Default for EmbeddingConfig {
    fn default() -> Self {
        Self { vocabulary: 0, width: 32, normalised: true, decoding: Decoding::Nearest }
    }
}

impl EmbeddingConfig {
    /// Vectors of `width` numbers for `vocabulary` categories.
    pub fn new(vocabulary: usize, width: usize) -> Self {
        Self { vocabulary, width, ..Self::default() }
    }
    /// Whether a vector's mean square is held at 1.
    pub fn normalised(self, normalised: bool) -> Self {
        Self { normalised, ..self }
    }
    /// How vectors become tokens again.
    pub fn decoding(self, decoding: Decoding) -> Self {
        Self { decoding, ..self }
    }

    /// Whether there is such a table.
    ///
    /// # Errors
    ///
    /// What is wrong and what would be right, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.vocabulary < 2 {
            return Err(format!(
                "vocabulary = {}, but an embedding tells categories apart: it is at least 2",
                self.vocabulary
            ));
        }
        if self.width == 0 {
            return Err("width = 0, but a vector has at least one number".into());
        }
        Ok(())
    }

    /// The table a seed begins with: standard normals.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) refuses.
    pub fn init(&self, rng: &Rng, device: &Device) -> Embedding {
        if let Err(reason) = self.check() {
            panic!("{reason}");
        }
        let table = rng.stream("embedding").normal_tensor([self.vocabulary, self.width], device, DType::F32);
        Embedding {
            table: Param::from_tensor(table),
            bias: Param::from_tensor(Tensor::zeros([self.vocabulary], (device, DType::F32))),
            config: self.clone(),
        }
    }
}

/// A vector for each token, trained together with the net that finds vectors again: diffusion of text in a space of
/// numbers.
///
/// `x = e(w)`, with e(w) row w of a table, or that row over the root of its mean square. The gradient of every loss that sees
/// x or x_t reaches the table; what keeps the rows apart is [`Rounding`](crate::loss::Rounding), −ln p(w | x₀) with
/// `p(w | x) = softmax_w(⟨e(w), x⟩ + b_w)`. With [`Simple`](crate::loss::Simple) on a net that says x̂, the objective of
/// Diffusion-LM is `Simple + Rounding + Prior`: what [`Simple`](crate::loss::Simple) is at the first time of the table is
/// their term ‖e(w) − x̂(x₁)‖² of t = 0.
///
/// Li et al., "Diffusion-LM Improves Controllable Text Generation" (2022), <https://arxiv.org/abs/2205.14217>; rows on a
/// sphere as in Dieleman et al., "Continuous diffusion for categorical data" (2022), <https://arxiv.org/abs/2211.15089>.
///
/// # Shapes
///
/// Numbers `[batch, tokens, 1]` ↔ `[batch, tokens, width]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, transform::{EmbeddingConfig, Transform}};
/// let device = Device::flex();
/// let embedding = EmbeddingConfig::new(27, 16).init(&Rng::new(7), &device);
/// let word = Tensor::<3>::from_floats([[[3.0], [0.0], [26.0]]], &device);
/// let x = embedding.encode(word.clone());
/// assert_eq!(x.dims(), [1, 3, 16]);
/// assert_eq!(embedding.decode(x * 0.9).into_data(), word.into_data());
/// ```
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocabulary, width]`, before it is normalised.
    pub table: Param<Tensor<2>>,
    /// b, `[vocabulary]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    config: EmbeddingConfig,
}

impl Embedding {
    /// What it is made of.
    pub fn config(&self) -> &EmbeddingConfig {
        &self.config
    }

    /// The vectors of all tokens: `[vocabulary, width]`.
    pub fn vectors(&self) -> Tensor<2> {
        self.scaled(self.table.val())
    }

    fn scaled(&self, rows: Tensor<2>) -> Tensor<2> {
        if !self.config.normalised {
            return rows;
        }
        let (width, place) = (self.config.width, (&rows.device(), rows.dtype()));
        ops::rms_norm(rows, Tensor::ones([1, width], place), Tensor::zeros([1, width], place), 1e-12)
    }

    /// ⟨e(w), x⟩ + b_w of every token w: `[batch, tokens, width]` → `[batch, tokens, vocabulary]`.
    pub fn logits(&self, x: Tensor<3>) -> Tensor<3> {
        ops::linear(x, self.vectors().swap_dims(0, 1), Some(self.bias.val()))
    }

    /// The numbers of the tokens whose vectors are nearest: `[batch, tokens, width]` → `[batch, tokens, 1]`.
    pub fn nearest(&self, x: Tensor<3>) -> Tensor<3> {
        // argmin ‖x − e‖² = argmax ⟨e, x⟩ − ½ ‖e‖².
        let vectors = self.vectors();
        let half: Tensor<1> = vectors.clone().square().sum_dim(1).squeeze_dim(1) * -0.5;
        best(ops::linear(x, vectors.swap_dims(0, 1), Some(half)))
    }

    /// The vectors of tokens given by numbers: `[batch, tokens, 1]` → `[batch, tokens, width]`.
    pub fn look_up(&self, numbers: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, form] = numbers.dims();
        assert_eq!(form, 1, "an embedding looks tokens up by their numbers, [batch, tokens, 1], not {form} of each");
        let numbers: Tensor<1, Int> = numbers.reshape([batch * tokens]).int();
        self.scaled(self.table.val().select(0, numbers)).reshape([batch, tokens, self.config.width])
    }
}

/// The place of the largest along the last axis, as a number.
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

/// A denoiser whose guess is moved to the nearest vectors of an [`Embedding`], so that each step commits itself to words.
///
/// Li et al., "Diffusion-LM" (2022), section 4.2, "the clamping trick", <https://arxiv.org/abs/2205.14217>.
#[derive(Clone, Debug)]
pub struct Rounded<'a, M> {
    /// The denoiser.
    pub model: M,
    /// The vectors.
    pub embedding: &'a Embedding,
    /// Guesses of later times are left as they are; 1 moves them all.
    pub until: f64,
}
impl<M: Denoiser<3>> Denoiser<3> for Rounded<'_, M> {
    fn noise(&self) -> &dyn Noise<3> {
        self.model.noise()
    }
    fn predict(&self, z: Tensor<3>, t: &[f64]) -> Tensor<3> {
        self.model.predict(z, t)
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let Estimate { mean, variance } = self.model.denoise(z, t);
        let early = t.iter().filter(|t| **t <= self.until).count();
        let word = || self.embedding.look_up(self.embedding.nearest(mean.clone()));
        let mean = match early {
            0 => mean,
            all if all == t.len() => word(),
            _ => {
                let [early] = lift(&mean, t, |_, t| [f64::from(u8::from(t <= self.until))]);
                let words = early.greater_elem(0.5).expand(mean.dims());
                mean.clone().mask_where(words, word())
            }
        };
        Estimate { mean, variance }
    }
}

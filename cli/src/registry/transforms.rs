//! Transforms as recipes name them.
use crate::{data::Facts, registry::settings::TransformConfig};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{
    Error, Result, Rng,
    denoise::Denoiser,
    transform::{Decoding, Embedding, EmbeddingConfig, Rounded},
};

/// Token embedding learned with the network: Gaussian diffusion of text.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokenEmbedding {
    /// Length of a token's vector.
    #[schemars(range(min = 1))]
    width: usize,
    /// Whether the vectors are normalized to mean square 1.
    normalized: bool,
    /// How vectors are decoded to tokens.
    decoding: Decoding,
    /// Time t up to which sampling rounds the denoised estimate to the nearest vectors; 0 never rounds.
    #[schemars(range(min = 0.0, max = 1.0))]
    clamp: f64,
}
impl Default for TokenEmbedding {
    fn default() -> Self {
        let EmbeddingConfig { width, normalized, decoding, .. } = EmbeddingConfig::default();
        Self { width, normalized, decoding, clamp: 0.0 }
    }
}
impl TransformConfig<3> for TokenEmbedding {
    type Transform = Embedding;
    const CATEGORICAL: bool = true;
    fn facts(&self, data: &Facts) -> Result<Facts> {
        if data.categories.is_none() {
            return Err(Error::invalid(format!(
                "the transform `embedding` is for categorical data, and the data are {}: leave out `[transform]`",
                data.describe()
            )));
        }
        if !(0.0..=1.0).contains(&self.clamp) {
            return Err(Error::invalid(format!("must be a time from 0 to 1, got {}", self.clamp)).with_field("clamp"));
        }
        Ok(Facts { shape: vec![data.shape[0], self.width], categories: None, ..data.clone() })
    }
    fn init(&self, data: &Facts, rng: &Rng, device: &Device) -> Result<Embedding> {
        let count = data.categories.as_ref().map_or(0, |categories| categories.count);
        let config =
            EmbeddingConfig::new(count, self.width).with_normalized(self.normalized).with_decoding(self.decoding);
        config.init(rng, device)
    }
    fn denoiser<'a>(&self, embedding: &'a Embedding, model: Box<dyn Denoiser<3> + 'a>) -> Box<dyn Denoiser<3> + 'a> {
        if self.clamp > 0.0 { Box::new(Rounded { model, embedding, until: self.clamp }) } else { model }
    }
}

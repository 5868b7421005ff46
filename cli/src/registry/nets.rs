//! Transformers as recipes name them: without what the data and the noise settle.
use crate::dyn_model::{NetConfig, Task};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use tweedie::{
    Error, Result, Rng,
    net::{Dit, DitConfig, Positions, Transformer, TransformerConfig},
};

/// `[net] name = "transformer"`: [`TransformerConfig`] for sequences of categories or of numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SequenceNet {
    width: usize,
    depth: usize,
    heads: usize,
    expansion: usize,
    positions: Positions,
    causal: bool,
    tied: bool,
    time: bool,
    told: usize,
    dropout: f64,
    time_features: usize,
}
impl Default for SequenceNet {
    fn default() -> Self {
        let net = TransformerConfig::default();
        Self {
            width: net.width,
            depth: net.depth,
            heads: net.heads,
            expansion: net.expansion,
            positions: net.positions,
            causal: net.causal,
            tied: net.tied,
            time: net.time,
            told: net.told,
            dropout: net.dropout,
            time_features: net.time_features,
        }
    }
}
impl NetConfig<3> for SequenceNet {
    type Net = Transformer;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Transformer> {
        let (length, channels) = (task.shape[0], task.shape[1]);
        let net = TransformerConfig {
            vocabulary: task.categories.unwrap_or(0),
            channels: if task.categories.is_some() { 0 } else { channels },
            length,
            width: self.width,
            depth: self.depth,
            heads: self.heads,
            expansion: self.expansion,
            positions: self.positions,
            causal: self.causal,
            pad: None,
            tied: self.tied,
            time: self.time,
            classes: task.classes,
            told: self.told,
            dropout: self.dropout,
            time_features: self.time_features,
            outputs: task.outputs,
        };
        net.check().map_err(Error::invalid)?;
        Ok(net.init(rng, device))
    }
}

/// `[net] name = "dit"`: [`DitConfig`] for images.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImageNet {
    patch: usize,
    width: usize,
    depth: usize,
    heads: usize,
    expansion: usize,
    positions: Positions,
    told: usize,
    dropout: f64,
    time_features: usize,
}
impl Default for ImageNet {
    fn default() -> Self {
        let net = DitConfig::default();
        Self {
            patch: net.patch,
            width: net.width,
            depth: net.depth,
            heads: net.heads,
            expansion: net.expansion,
            positions: net.positions,
            told: net.told,
            dropout: net.dropout,
            time_features: net.time_features,
        }
    }
}
impl NetConfig<4> for ImageNet {
    type Net = Dit;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Dit> {
        let net = DitConfig {
            channels: task.shape[0],
            patch: self.patch,
            width: self.width,
            depth: self.depth,
            heads: self.heads,
            expansion: self.expansion,
            positions: self.positions,
            classes: task.classes,
            told: self.told,
            dropout: self.dropout,
            time_features: self.time_features,
            outputs: task.outputs,
        };
        net.check().map_err(Error::invalid)?;
        Ok(net.init(rng, device))
    }
}

//! Nets as recipes name them: without what the data and the noise settle.
use crate::registry::settings::{NetConfig, Task};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{
    Error, Result, Rng,
    net::{
        Dit, DitConfig, Mlp, MlpConfig, Pixels, PixelsConfig, Positions, Transformer, TransformerConfig, UNet, UNetConfig,
    },
};

/// `[net] name = "unet"`: [`UNetConfig`] without what the data and the noise settle.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UnetConfig {
    channels: Vec<usize>,
    blocks: usize,
    attention: Vec<usize>,
    head_channels: usize,
    groups: usize,
    dropout: f64,
    time_features: usize,
}
impl Default for UnetConfig {
    fn default() -> Self {
        let net = UNetConfig::default();
        Self {
            channels: net.channels[1..].to_vec(),
            blocks: net.blocks,
            attention: net.attention,
            head_channels: net.head_channels,
            groups: net.groups,
            dropout: net.dropout,
            time_features: net.time_features,
        }
    }
}
impl UnetConfig {
    /// The net for images of so many channels.
    fn of(&self, channels: usize, classes: usize, outputs: usize) -> Result<UNetConfig> {
        if self.channels.is_empty() || self.channels.contains(&0) {
            return Err(Error::invalid(format!(
                "`channels = {:?}` gives the width of each level, from the full size of the image down: there is one at \
                 least, and none is 0, as in [32, 64]",
                self.channels
            )));
        }
        Ok(UNetConfig {
            channels: [channels].iter().chain(&self.channels).copied().collect(),
            blocks: self.blocks,
            attention: self.attention.clone(),
            head_channels: self.head_channels,
            groups: self.groups,
            classes,
            dropout: self.dropout,
            time_features: self.time_features,
            outputs,
        })
    }
}
impl NetConfig<4> for UnetConfig {
    type Net = UNet;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<UNet> {
        let net = self.of(task.shape[0], task.classes, task.outputs)?;
        net.check().map_err(Error::invalid)?;
        Ok(net.init(rng, device))
    }
}
/// The same for images whose levels are categories.
impl NetConfig<3> for UnetConfig {
    type Net = Pixels<UNet>;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Pixels<UNet>> {
        let (Some(image), Some(categories)) = (task.image, task.categories) else {
            return Err(Error::invalid("the net `unet` is for images, and these data are none: take `transformer`"));
        };
        let net = PixelsConfig::new(image, categories, self.of(image[0], task.classes, 1)?);
        net.check().map_err(Error::invalid)?;
        Ok(net.init(rng, device))
    }
}

/// `[net] name = "mlp"`: [`MlpConfig`] without what the data and the noise settle.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PointNet {
    hidden: Vec<usize>,
    residual: bool,
    dropout: f64,
    time_features: usize,
}
impl Default for PointNet {
    fn default() -> Self {
        let net = MlpConfig::default();
        Self { hidden: net.hidden, residual: net.residual, dropout: net.dropout, time_features: net.time_features }
    }
}
impl NetConfig<2> for PointNet {
    type Net = Mlp;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Mlp> {
        let net = MlpConfig {
            features: task.shape[0],
            hidden: self.hidden.clone(),
            residual: self.residual,
            classes: task.classes,
            dropout: self.dropout,
            time_features: self.time_features,
            outputs: task.outputs,
        };
        net.check().map_err(Error::invalid)?;
        Ok(net.init(rng, device))
    }
}

/// `[net] name = "transformer"`: [`TransformerConfig`] for sequences of categories or of numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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

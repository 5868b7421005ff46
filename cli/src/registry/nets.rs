//! The built-in nets: their configurations, completed by what the data and the noise determine.
use crate::registry::settings::NetConfig;
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{
    Result, Rng,
    net::{
        Dit, DitConfig, Edm2, Edm2Config, Footprint, Mlp, MlpConfig, Pixels, PixelsConfig, Task, Transformer,
        TransformerConfig, UNet, UNetConfig,
    },
};

/// Conditions that are embedded with the time.
const GLOBAL: &[&str] = &["class", "vector"];
/// Those, and tokens.
const SEQUENCE: &[&str] = &["class", "vector", "tokens"];
/// Conditions of every kind.
const ALL: &[&str] = &["class", "vector", "tokens", "image", "label-map"];

impl NetConfig<2> for MlpConfig {
    type Net = Mlp;
    fn condition_kinds(&self) -> &'static [&'static str] {
        GLOBAL
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Mlp> {
        self.clone().fit(task).init(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.footprint(task))
    }
}

impl NetConfig<4> for UNetConfig {
    type Net = UNet;
    fn condition_kinds(&self) -> &'static [&'static str] {
        ALL
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<UNet> {
        self.clone().fit(task).init(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.footprint(task))
    }
    fn remarks(&self, task: &Task<'_>) -> Vec<String> {
        remarks(self, task)
    }
}

impl NetConfig<5> for UNetConfig {
    type Net = UNet<5>;
    fn condition_kinds(&self) -> &'static [&'static str] {
        SEQUENCE
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<UNet<5>> {
        self.clone().fit(task).init_rank(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.footprint(task))
    }
    fn remarks(&self, task: &Task<'_>) -> Vec<String> {
        remarks(self, task)
    }
}

/// The same for signals, whose rank is that of sequences.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct SignalUNet(UNetConfig);
impl NetConfig<3> for SignalUNet {
    type Net = UNet<3>;
    fn condition_kinds(&self) -> &'static [&'static str] {
        SEQUENCE
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<UNet<3>> {
        self.0.clone().fit(task).init_rank(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.0.footprint(task))
    }
    fn remarks(&self, task: &Task<'_>) -> Vec<String> {
        remarks(&self.0, task)
    }
}

/// The same for images whose gray levels are categories.
impl NetConfig<3> for UNetConfig {
    type Net = Pixels<UNet>;
    fn condition_kinds(&self) -> &'static [&'static str] {
        ALL
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Pixels<UNet>> {
        PixelsConfig { unet: self.clone(), ..PixelsConfig::default() }.fit(task)?.init(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(PixelsConfig { unet: self.clone(), ..PixelsConfig::default() }.footprint(task))
    }
    fn remarks(&self, task: &Task<'_>) -> Vec<String> {
        remarks(self, task)
    }
}

impl NetConfig<4> for DitConfig {
    type Net = Dit;
    fn condition_kinds(&self) -> &'static [&'static str] {
        ALL
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Dit> {
        self.clone().fit(task).init(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.footprint(task))
    }
}

impl NetConfig<4> for Edm2Config {
    type Net = Edm2;
    fn condition_kinds(&self) -> &'static [&'static str] {
        GLOBAL
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Edm2> {
        self.clone().fit(task).init(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.footprint(task))
    }
}

impl NetConfig<3> for TransformerConfig {
    type Net = Transformer;
    fn condition_kinds(&self) -> &'static [&'static str] {
        SEQUENCE
    }
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Transformer> {
        self.clone().fit(task).init(rng, device)
    }
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        Some(self.footprint(task))
    }
}

/// What may not be meant: groups of channels that do not divide them, and levels of a single pixel.
fn remarks(net: &UNetConfig, task: &Task<'_>) -> Vec<String> {
    let mut remarks = vec![];
    if let Some(channels) = net.channels.iter().find(|channels| !channels.is_multiple_of(net.groups)) {
        let used = (1..=net.groups.min(*channels)).rev().find(|n| channels.is_multiple_of(*n)).unwrap_or(1);
        remarks.push(format!(
            "`groups = {}` does not divide {channels} of the `channels` of the net, which are normalized in {used} group{}",
            net.groups,
            if used == 1 { "" } else { "s" }
        ));
    }
    let sizes = task.image.as_ref().map_or(task.shape, |image| &image[..]);
    let Some(side) = sizes.get(1..).and_then(|sizes| sizes.iter().max()) else { return remarks };
    let (cells, cell) = match sizes.len() {
        2 => ("values", "value"),
        3 => ("pixels", "pixel"),
        _ => ("voxels", "voxel"),
    };
    // Level l has a side of ⌈side / 2^l⌉.
    let useful = 1 + (0..).take_while(|level| side.div_ceil(1 << level.min(&40)) > 1).count();
    if net.channels.len() > useful {
        remarks.push(format!(
            "the {} levels of `channels` halve {side} {cells} to 1 at level {}: further levels see one {cell} as well",
            net.channels.len(),
            useful - 1
        ));
    }
    remarks
}

//! The built-in nets: their configurations, completed by what the data and the noise determine.
use crate::registry::settings::NetConfig;
use burn::tensor::Device;
use tweedie::{
    Result, Rng,
    net::{
        Dit, DitConfig, Mlp, MlpConfig, Pixels, PixelsConfig, Task, Transformer, TransformerConfig, UNet, UNetConfig,
    },
};

impl NetConfig<2> for MlpConfig {
    type Net = Mlp;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Mlp> {
        self.clone().fit(task).init(rng, device)
    }
}

impl NetConfig<4> for UNetConfig {
    type Net = UNet;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<UNet> {
        self.clone().fit(task).init(rng, device)
    }
}

/// The same for images whose grey levels are categories.
impl NetConfig<3> for UNetConfig {
    type Net = Pixels<UNet>;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Pixels<UNet>> {
        PixelsConfig { unet: self.clone(), ..PixelsConfig::default() }.fit(task)?.init(rng, device)
    }
}

impl NetConfig<4> for DitConfig {
    type Net = Dit;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Dit> {
        self.clone().fit(task).init(rng, device)
    }
}

impl NetConfig<3> for TransformerConfig {
    type Net = Transformer;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Transformer> {
        self.clone().fit(task).init(rng, device)
    }
}

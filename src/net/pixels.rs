//! Nets of images whose gray levels are categories.
use super::{Conditions, Net, Task, UNet, UNetConfig, config::check_fits};
use crate::{
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Device, Int, Tensor},
};
use serde::{Deserialize, Serialize};

/// Configuration of [`Pixels`] around a [`UNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelsConfig {
    /// Channels, height and width of an image.
    #[serde(skip)]
    pub size: [usize; 3],
    /// Number of categories of a pixel: its gray levels.
    #[serde(skip)]
    pub categories: usize,
    /// The net inside; its number of outputs follows from the categories.
    pub unet: UNetConfig,
}
impl Default for PixelsConfig {
    fn default() -> Self {
        Self { size: [1, 28, 28], categories: 8, unet: UNetConfig::default() }
    }
}

impl PixelsConfig {
    /// A net for images of `size` (channels, height, width) with `categories` gray levels.
    pub fn new(size: [usize; 3], categories: usize, unet: UNetConfig) -> Self {
        Self { size, categories, unet }
    }

    /// Takes `size`, `categories` and the dimensions of the net inside from the task.
    ///
    /// # Errors
    ///
    /// If the data are not images whose gray levels are categories.
    pub fn fit(self, task: &Task<'_>) -> Result<Self> {
        let (Some(size), Some(categories)) = (task.image, task.categories) else {
            return Err(Error::invalid("the net `unet` needs images, and these data are not images")
                .with_remedy("use `transformer` for sequences"));
        };
        let unet = self.unet.fit(&Task { shape: &size, outputs: 1, ..*task });
        Ok(Self { size, categories, unet })
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// With the field that is not allowed.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, problem: String| Err(Error::invalid(problem).with_field(field));
        if self.size.contains(&0) {
            let problem = format!("must give channels, height and width, none of them 0, got {:?}", self.size);
            return wrong("size", problem);
        }
        if self.categories < 2 {
            return wrong("categories", format!("must be at least 2 gray levels, got {}", self.categories));
        }
        self.unet.check()?;
        if self.unet.in_channels != self.size[0] {
            let (given, channels) = (self.unet.in_channels, self.size[0]);
            return wrong("in_channels", format!("must be {channels}, the channels of `size`, got {given}"));
        }
        if self.unet.outputs != 1 {
            let problem = format!("must be 1, as there is one output per category, got {}", self.unet.outputs);
            return wrong("outputs", problem);
        }
        Ok(())
    }

    /// Initializes the net from a seed; all categories have equal probability before training.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<Pixels<UNet>> {
        self.check()?;
        let net = self.unet.clone().with_outputs(self.categories).build(rng, device);
        Ok(Pixels { net, size: self.size, categories: self.categories })
    }
}

/// A net for images of K categories per pixel that feeds gray levels to a net of images and gives logits.
///
/// Category k enters the net inside as 2 k/(K − 1) − 1; a pixel given by probabilities enters as their mean.
///
/// # Shapes
///
/// `z: [batch, c · h · w, 1]` (category indices) or `[batch, c · h · w, K]` (one-hot, probabilities), in the order in which
/// images are stored → `[batch, c · h · w, K]`. The net inside maps `[batch, c, h, w]` to `[batch, c · K, h, w]`.
///
/// # Panics
///
/// If the shapes differ from these.
#[derive(Module, Debug)]
pub struct Pixels<N: Module + ModuleDisplay> {
    net: N,
    #[module(skip)]
    size: [usize; 3],
    categories: usize,
}

impl<N: Net<4>> Pixels<N> {
    /// Wraps a net with `categories` outputs per channel of the image.
    pub fn new(net: N, size: [usize; 3], categories: usize) -> Self {
        Self { net, size, categories }
    }

    fn run(&self, z: Tensor<3>, inside: impl FnOnce(&N, Tensor<4>) -> Tensor<4>) -> Tensor<3> {
        let ([batch, pixels, form], [c, h, w], k) = (z.dims(), self.size, self.categories);
        assert!(
            pixels == c * h * w && (form == 1 || form == k),
            "{:?} is not a batch of {c}×{h}×{w} images of {k} categories: give [batch, {}, 1 or {k}]",
            z.dims(),
            c * h * w
        );
        let level = if form == 1 {
            z
        } else {
            let levels = Tensor::<1, Int>::arange(0..k as i64, &z.device()).float().cast(z.dtype());
            (z * levels.unsqueeze()).sum_dim(2)
        };
        let image = (level * (2.0 / (k - 1) as f64) - 1.0).reshape([batch, c, h, w]);
        let logits = inside(&self.net, image);
        assert_eq!(
            logits.dims(),
            [batch, c * k, h, w],
            "the net inside must give {k} outputs per channel of the image"
        );
        logits.reshape([batch, c, k, h, w]).permute([0, 1, 3, 4, 2]).reshape([batch, pixels, k])
    }
}

impl<N: Net<4, Condition = Conditions>> Net<3> for Pixels<N> {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<3>, t: Tensor<1>, y: &Conditions) -> Tensor<3> {
        self.run(z, |net, z| net.forward(z, t, y))
    }
    fn forward_train(&self, z: Tensor<3>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<3> {
        self.run(z, |net, z| net.forward_train(z, t, y, rng))
    }
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        Ok(Self { net: self.net.with_checkpointing(on)?, ..self })
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.net.check_condition(y, rows)
    }
    fn output_shape(&self, [rows, pixels, form]: [usize; 3], y: &Conditions) -> Result<[usize; 3]> {
        let ([c, h, w], k) = (self.size, self.categories);
        if pixels != c * h * w {
            let problem = format!("must have a product of {pixels}, the pixels of the data, got {:?}", self.size);
            return Err(Error::invalid(problem).with_field("size").with_remedy("make the net for images of this size"));
        }
        if form != 1 {
            check_fits("categories", k, form, "probabilities per pixel")?;
        }
        let inside = self.net.output_shape([rows, c, h, w], y)?;
        if inside != [rows, c * k, h, w] {
            let problem = format!(
                "the net inside must give {k} outputs per channel of the image, {:?}, got {:?}",
                [c * k, h, w],
                &inside[1..]
            );
            return Err(Error::invalid(problem).with_remedy("make it with as many outputs"));
        }
        Ok([rows, pixels, k])
    }
}

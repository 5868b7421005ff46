//! Nets of images on images of categories.
use super::{Classes, Net, UNet, UNetConfig};
use crate::rng::Rng;
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Device, Int, Tensor},
};
use serde::{Deserialize, Serialize};

/// What a [`Pixels`] around a [`UNet`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelsConfig {
    /// Channels, height and width of an image.
    pub size: [usize; 3],
    /// Categories of a pixel: grey levels.
    pub categories: usize,
    /// The net inside; how many outputs it has follows from the categories.
    pub unet: UNetConfig,
}
impl Default for PixelsConfig {
    fn default() -> Self {
        Self { size: [1, 28, 28], categories: 8, unet: UNetConfig::default() }
    }
}

impl PixelsConfig {
    /// For images of `size` (channels, height, width) with `categories` levels.
    pub fn new(size: [usize; 3], categories: usize, unet: UNetConfig) -> Self {
        Self { size, categories, unet }
    }

    /// Whether there is such a net.
    ///
    /// # Errors
    ///
    /// What is wrong and what would be right, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.size.contains(&0) {
            return Err(format!(
                "size = {:?} holds a zero: give channels, height and width, as [1, 28, 28]",
                self.size
            ));
        }
        if self.categories < 2 {
            return Err(format!("categories = {}, but a pixel has at least 2 levels", self.categories));
        }
        self.unet.check()?;
        if self.unet.channels[0] != self.size[0] {
            return Err(format!(
                "channels = {:?} begin with those of the data, but size = {:?} has {} of them",
                self.unet.channels, self.size, self.size[0]
            ));
        }
        if self.unet.outputs != 1 {
            return Err(format!(
                "outputs = {} of the net inside, but it says one number a category: leave it out",
                self.unet.outputs
            ));
        }
        Ok(())
    }

    /// The net a seed begins with: all categories alike.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) refuses.
    pub fn init(&self, rng: &Rng, device: &Device) -> Pixels<UNet> {
        if let Err(reason) = self.check() {
            panic!("{reason}");
        }
        let net = self.unet.clone().outputs(self.categories).build(rng, device);
        Pixels { net, size: self.size, categories: self.categories }
    }
}

/// A net of images that reads pixels of K categories as grey levels and says logits.
///
/// Category k is shown to the net as the number 2 k/(K − 1) − 1. A pixel given by probabilities is shown as their mean.
///
/// # Shapes
///
/// `z: [batch, c · h · w, 1]` (numbers of categories) or `[batch, c · h · w, K]` (one-hot, probabilities), in the order in which
/// images are stored → `[batch, c · h · w, K]`. The net inside maps `[batch, c, h, w]` to `[batch, c · K, h, w]`.
///
/// # Panics
///
/// If the shapes are others.
#[derive(Module, Debug)]
pub struct Pixels<N: Module + ModuleDisplay> {
    net: N,
    #[module(skip)]
    size: [usize; 3],
    categories: usize,
}

impl<N: Net<4>> Pixels<N> {
    /// Around a net of one's own, which gives `categories` numbers for each of the data's.
    pub fn new(net: N, size: [usize; 3], categories: usize) -> Self {
        Self { net, size, categories }
    }

    fn run(&self, z: Tensor<3>, inside: impl FnOnce(&N, Tensor<4>) -> Tensor<4>) -> Tensor<3> {
        let ([batch, pixels, form], [c, h, w], k) = (z.dims(), self.size, self.categories);
        assert!(
            pixels == c * h * w && (form == 1 || form == k),
            "{:?} is no batch of {c}×{h}×{w} images of {k} categories: give [batch, {}, 1 or {k}]",
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
        assert_eq!(logits.dims(), [batch, c * k, h, w], "the net inside gives {k} channels for each of the data's");
        logits.reshape([batch, c, k, h, w]).permute([0, 1, 3, 4, 2]).reshape([batch, pixels, k])
    }
}

impl<N: Net<4, Condition = Classes>> Net<3> for Pixels<N> {
    type Condition = Classes;
    fn forward(&self, z: Tensor<3>, t: Tensor<1>, y: &Classes) -> Tensor<3> {
        self.run(z, |net, z| net.forward(z, t, y))
    }
    fn forward_train(&self, z: Tensor<3>, t: Tensor<1>, y: &Classes, rng: &Rng) -> Tensor<3> {
        self.run(z, |net, z| net.forward_train(z, t, y, rng))
    }
}

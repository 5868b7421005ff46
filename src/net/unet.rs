//! The convolutional net of image diffusion.
use super::{
    Conditions, Net, Task,
    config::{check_common, check_fits, check_positive, setters, takes_conditions},
    embed::{Embedders, check_conditions, extra_channels, has_tokens},
    layers::{Conv, GroupNorm, TimeClassEmbedding, silu, upsample},
};
use crate::{
    condition::ConditionSpec,
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
pub(super) use parts::Resize;
use parts::{Build, Middle, Shared, Stage};
use serde::{Deserialize, Serialize};

mod parts;
mod published;

/// How the resolution changes between the levels of a [`UNet`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// A convolution of stride 2 on the way down; nearest neighbors and a convolution on the way up.
    #[default]
    #[doc(alias("Downsample2D", "Upsample2D", "DownBlock2D"))]
    Convolution,
    /// A residual block, in which means of two by two pixels halve both branches and nearest neighbors double them.
    ///
    /// Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), appendix H, of BigGAN.
    #[doc(alias("resblock_updown", "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"))]
    Residual,
}

/// Configuration of a [`UNet`].
///
/// ```
/// use burn::{module::Module, tensor::Device};
/// use tweedie::{Rng, net::UNetConfig};
/// let config = UNetConfig::new(1, [16, 32]).with_num_classes(10).with_attention([1]);
/// let net = config.init(&Rng::new(7), &Device::flex())?;
/// println!("{} parameters", net.num_params());
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the data.
    #[serde(skip)]
    pub in_channels: usize,
    /// Channels of each resolution level. Level 0 has the resolution of the data, each further level half the resolution of
    /// the one before, rounded up.
    #[doc(alias = "block_out_channels")]
    pub channels: Vec<usize>,
    /// Residual blocks per level on the way down; on the way up there is one more.
    #[doc(alias = "layers_per_block")]
    pub blocks: usize,
    /// Levels whose blocks are followed by self-attention. The middle, at the resolution of the last level, always has it.
    pub attention: Vec<usize>,
    /// Levels whose blocks are followed by cross-attention to the tokens of conditions. The middle always has it, if there are such
    /// conditions.
    pub cross_attention: Vec<usize>,
    /// Channels of an attention head; heads are wider on levels whose channels it does not divide.
    #[doc(alias = "attention_head_dim")]
    pub head_channels: usize,
    /// Groups of a group norm; the largest smaller number that divides the channels if it does not divide them.
    #[doc(alias = "norm_num_groups")]
    pub groups: usize,
    /// Whether time and condition scale and shift the second group norm of a residual block; otherwise they are added before it.
    #[doc(alias("use_scale_shift_norm", "resnet_time_scale_shift"))]
    pub scale_shift: bool,
    /// How the resolution changes between levels: `convolution` or `residual`.
    #[doc(alias("resblock_updown", "downsample_type"))]
    pub resampling: Resampling,
    /// Number of classes, not counting "none"; 0 for an unconditional net.
    #[doc(alias = "num_class_embeds")]
    #[serde(skip)]
    pub num_classes: usize,
    /// Conditions besides the class.
    #[serde(skip)]
    pub conditions: Vec<ConditionSpec>,
    /// Dropout probability inside the residual blocks in training.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// Sines and cosines of the time, together; an even number.
    #[schemars(range(min = 2))]
    pub time_features: usize,
    /// Output channels per channel of the data: 1, or 2 if the variance is learned.
    #[doc(alias = "out_channels")]
    #[serde(skip)]
    pub outputs: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            in_channels: 1,
            channels: vec![32, 64],
            blocks: 2,
            attention: vec![],
            cross_attention: vec![],
            head_channels: 32,
            groups: 8,
            scale_shift: true,
            resampling: Resampling::Convolution,
            num_classes: 0,
            conditions: vec![],
            dropout: 0.0,
            time_features: 64,
            outputs: 1,
        }
    }
}

setters!(UNetConfig:
    with_blocks blocks usize,
    with_attention attention impl Into<Vec<usize>>,
    with_cross_attention cross_attention impl Into<Vec<usize>>,
    with_head_channels head_channels usize,
    with_groups groups usize,
    with_scale_shift scale_shift bool,
    with_resampling resampling Resampling,
    with_num_classes num_classes usize,
    with_dropout dropout f64,
    with_time_features time_features usize,
    with_outputs outputs usize,
);
takes_conditions!(UNetConfig);

impl UNetConfig {
    /// A net for data of `in_channels` channels with a resolution level for each entry of `channels`.
    pub fn new(in_channels: usize, channels: impl Into<Vec<usize>>) -> Self {
        Self { in_channels, channels: channels.into(), ..Self::default() }
    }

    /// Takes `in_channels`, `num_classes`, `conditions` and `outputs` from the task.
    pub fn fit(self, task: &Task<'_>) -> Self {
        Self {
            in_channels: task.size(0),
            num_classes: task.num_classes,
            conditions: task.conditions.to_vec(),
            outputs: task.outputs,
            ..self
        }
    }

    /// Checks the configuration of a net for images.
    ///
    /// # Errors
    ///
    /// With the field that is not allowed.
    pub fn check(&self) -> Result<()> {
        self.check_axes(2)
    }

    /// [`check`](Self::check) for data with other numbers of spatial axes.
    fn check_axes(&self, axes: usize) -> Result<()> {
        if !(1..=3).contains(&axes) {
            let problem = format!("data of rank {} have {axes} spatial axes", axes + 2);
            return Err(Error::invalid(problem).with_remedy("use data of rank 3, 4 or 5: one to three spatial axes"));
        }
        let wrong = |field: &str, problem: String| Err(Error::invalid(problem).with_field(field));
        let levels = self.channels.len();
        check_positive(&[("in_channels", self.in_channels)])?;
        if self.channels.is_empty() || self.channels.contains(&0) {
            let problem = format!(
                "must give the channels of at least one resolution level, from full resolution down, and no 0, got {:?}",
                self.channels
            );
            return Err(Error::invalid(problem).with_field("channels").with_remedy("for example [32, 64]"));
        }
        for (field, listed) in [("attention", &self.attention), ("cross_attention", &self.cross_attention)] {
            if let Some(level) = listed.iter().find(|level| **level >= levels) {
                let last = levels - 1;
                let problem =
                    format!("must hold levels 0 (full resolution) to {last} of `channels`, got level {level}");
                return wrong(field, problem);
            }
        }
        check_conditions("unet", &self.conditions, Some(axes), true)?;
        if !self.cross_attention.is_empty() && !has_tokens(&self.conditions) {
            let problem = "is attention to the tokens of a condition, and there is none of the kind `tokens`";
            return Err(Error::invalid(problem).with_field("cross_attention").with_remedy("leave it out"));
        }
        check_positive(&[("blocks", self.blocks), ("groups", self.groups), ("head_channels", self.head_channels)])?;
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// Initializes the net for images from a seed; its output is exactly zero before training.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<UNet> {
        self.init_rank(rng, device)
    }

    /// Initializes the net for data of rank D from a seed: signals `[batch, channels, length]` (3), images (4), or volumes and
    /// videos `[batch, channels, depth, h, w]` (5).
    ///
    /// ```
    /// use burn::tensor::{DType, Device, Tensor};
    /// use tweedie::{Rng, net::{Conditions, Net, UNet, UNetConfig}};
    /// let (rng, device) = (Rng::new(7), Device::flex());
    /// let net: UNet<3> = UNetConfig::new(2, [8, 16]).init_rank(&rng, &device)?;
    /// let z = rng.stream("z").normal_tensor([1, 2, 25], &device, DType::F32);
    /// assert_eq!(net.forward(z, Tensor::ones([1], &device), &Conditions::none()).dims(), [1, 2, 25]);
    /// # Ok::<(), tweedie::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the configuration is not allowed, with the field, or D is another rank.
    #[doc(alias("UNet1DModel", "UNet3DConditionModel"))]
    pub fn init_rank<const D: usize>(&self, rng: &Rng, device: &Device) -> Result<UNet<D>> {
        self.check_axes(D.saturating_sub(2))?;
        Ok(self.build(rng, device))
    }

    /// [`init_rank`](Self::init_rank) without the check, for any number of outputs.
    pub(super) fn build<const D: usize>(&self, rng: &Rng, device: &Device) -> UNet<D> {
        let (data, widths) = (self.in_channels, &self.channels[..]);
        let build = Build { config: self, cond_width: 4 * widths[0], tokens: has_tokens(&self.conditions), device };
        let extra = extra_channels(&self.conditions);
        let last = widths.len() - 1;
        // The channels of the skip connections, in the order of the way down.
        let mut skips = vec![widths[0]];
        let mut width = widths[0];
        let mut down = Vec::new();
        for (level, &to) in widths.iter().enumerate() {
            let inputs: Vec<_> = (0..self.blocks).map(|block| if block == 0 { width } else { to }).collect();
            skips.extend(vec![to; self.blocks]);
            width = to;
            skips.extend((level < last).then_some(to));
            down.push(build.stage(
                level,
                &inputs,
                to,
                (level < last).then_some(2),
                &rng.stream(&format!("down.{level}")),
            ));
        }
        let middle = build.middle(width, &rng.stream("middle"));
        let mut up = Vec::new();
        for (level, &to) in widths.iter().enumerate().rev() {
            let inputs: Vec<_> = (0..=self.blocks)
                .map(|block| (if block == 0 { width } else { to }) + skips.pop().expect("a skip connection per block"))
                .collect();
            width = to;
            up.push(build.stage(level, &inputs, to, (level > 0).then_some(1), &rng.stream(&format!("up.{level}"))));
        }
        let (features, classes, cond_width) = (self.time_features, self.num_classes, build.cond_width);
        let rest = rng.stream("conditions");
        UNet {
            conditions: Embedders::new(classes, &self.conditions, cond_width, cond_width, &rest, device),
            cond: TimeClassEmbedding::new(features, classes, cond_width, &rng.stream("told"), device),
            first: Conv::new([data + extra, widths[0]], 3, &rng.stream("first"), device),
            down,
            middle,
            up,
            norm: GroupNorm::new(width, self.groups, device),
            last: Conv::zero([width, self.outputs * data], 3, device),
            dropout: self.dropout,
            in_channels: data,
            checkpointing: false,
        }
    }
}

/// U-Net: residual blocks down and up the resolution levels, with skip connections between the two ways; for signals, images (the
/// default) and volumes.
///
/// A residual block is group norm, SiLU, 3×3 convolution, group norm scaled and shifted by time and class, SiLU,
/// dropout, 3×3 convolution; the last convolution is initially zero. Downsampling is a convolution of stride 2, upsampling
/// nearest neighbors and a convolution. [`UNetConfig`] has the variants, and [`UNetConfig::ddpm_cifar10`] and [`UNetConfig::adm`] the
/// published nets.
///
/// Classes and vectors are embedded with the time; images and label maps are concatenated to z along the channels; tokens are read by
/// cross-attention in the middle and after the blocks of the levels `cross_attention`.
///
/// Data may have any size: a level has half the size of the one before, rounded up (28, 14, 7, 4, 2, 1), and the way up
/// upsamples to exactly the size of that level on the way down, so nothing is padded or cropped.
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>; scale
/// and shift as in Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021),
/// <https://arxiv.org/abs/2105.05233>.
///
/// # Shapes
///
/// `z: [batch, in_channels, sizes…]` → `[batch, outputs · in_channels, sizes…]`, with D − 2 sizes: one, two or three.
#[doc(alias("UNet2DModel", "UNet2DConditionModel", "UNet1DModel", "UNet3DConditionModel"))]
#[derive(Module, Debug)]
pub struct UNet<const D: usize = 4> {
    conditions: Embedders,
    cond: TimeClassEmbedding,
    first: Conv<D>,
    down: Vec<Stage<D>>,
    middle: Middle<D>,
    up: Vec<Stage<D>>,
    norm: GroupNorm,
    last: Conv<D>,
    dropout: f64,
    in_channels: usize,
    #[module(skip)]
    checkpointing: bool,
}

impl<const D: usize> UNet<D> {
    fn run(&self, z: Tensor<D>, t: Tensor<1>, y: &Conditions, mut rng: Option<Rng>) -> Tensor<D> {
        let batch = z.dims()[0];
        let shared = &mut Shared {
            cond: silu(self.conditions.with_time(&self.cond, t, y)),
            sequence: self.conditions.sequence(y, batch, &z.device()),
            dropout: self.dropout,
            checkpointing: self.checkpointing,
            rng: rng.take(),
        };
        let mut x = self.first.forward(self.conditions.concatenate(z, y));
        let mut skips = vec![x.clone()];
        for stage in &self.down {
            for index in 0..stage.blocks.len() {
                x = stage.apply(index, x, shared);
                skips.push(x.clone());
            }
            if let Some(downsample) = &stage.resize {
                x = downsample.forward(x);
                skips.push(x.clone());
            }
            if let Some(block) = &stage.resample {
                x = block.forward(x, Resize::Down, shared);
                skips.push(x.clone());
            }
        }
        x = self.middle.forward(x, shared);
        for stage in &self.up {
            for index in 0..stage.blocks.len() {
                let skip = skips.pop().expect("a skip connection per block");
                x = stage.apply(index, Tensor::cat(vec![x, skip], 1), shared);
            }
            let size = skips.last().map(|skip| skip.dims()[2..].to_vec()).unwrap_or_default();
            if let Some(conv) = &stage.resize {
                x = conv.forward(upsample(x, &size));
            }
            if let Some(block) = &stage.resample {
                x = block.forward(x, Resize::Up(size), shared);
            }
        }
        self.last.forward(self.norm.activated(x))
    }
}

impl<const D: usize> Net<D> for UNet<D> {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<D>, t: Tensor<1>, y: &Conditions) -> Tensor<D> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<D>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<D> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        Ok(Self { checkpointing: on, ..self })
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.conditions.check(y, rows)
    }
    fn output_shape(&self, mut z: [usize; D], _: &Conditions) -> Result<[usize; D]> {
        check_fits("in_channels", self.in_channels, z[1], "channels")?;
        z[1] = self.last.weight.dims()[0];
        Ok(z)
    }
}

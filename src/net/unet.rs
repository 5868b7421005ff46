//! The convolutional net of image diffusion.
use super::{
    Conditions, Net, Task,
    config::{check_common, check_fits, check_positive, setters},
    cross::{CrossAttention, Sequence},
    embed::{Embedders, check_conditions, extra_channels, has_tokens, split_class},
    layers::{Attention, Conv, GroupNorm, Linear, TimeClassEmbedding, divisor, dropout, silu, upsample},
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
use serde::{Deserialize, Serialize};

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
    /// Channels of an image.
    #[serde(skip)]
    pub in_channels: usize,
    /// Channels of each resolution level. Level 0 has the resolution of the image, each further level half the resolution of
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
    /// Output channels per channel of the image: 1, or 2 if the variance is learned.
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
    with_num_classes num_classes usize,
    with_dropout dropout f64,
    with_time_features time_features usize,
    with_outputs outputs usize,
);

impl UNetConfig {
    /// A net for images of `in_channels` channels with a resolution level for each entry of `channels`.
    pub fn new(in_channels: usize, channels: impl Into<Vec<usize>>) -> Self {
        Self { in_channels, channels: channels.into(), ..Self::default() }
    }

    /// Sets the conditions that the net takes; the class named `class` becomes [`num_classes`](Self::num_classes).
    pub fn with_conditions(self, conditions: impl IntoIterator<Item = ConditionSpec>) -> Self {
        let (num_classes, conditions) = split_class(conditions);
        Self { num_classes, conditions, ..self }
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

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// With the field that is not allowed.
    pub fn check(&self) -> Result<()> {
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
        check_conditions("unet", &self.conditions, Some(2), true)?;
        if !self.cross_attention.is_empty() && !has_tokens(&self.conditions) {
            let problem = "is attention to the tokens of a condition, and there is none of the kind `tokens`";
            return Err(Error::invalid(problem).with_field("cross_attention").with_remedy("leave it out"));
        }
        check_positive(&[("blocks", self.blocks), ("groups", self.groups), ("head_channels", self.head_channels)])?;
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// Initializes the net from a seed; its output is exactly zero before training.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<UNet> {
        self.check()?;
        Ok(self.build(rng, device))
    }

    /// [`init`](Self::init) without the check, for any number of outputs.
    pub(super) fn build(&self, rng: &Rng, device: &Device) -> UNet {
        let (data, widths) = (self.in_channels, &self.channels[..]);
        let build = Build { config: self, cond_width: 4 * widths[0], tokens: has_tokens(&self.conditions), device };
        let extra = extra_channels(&self.conditions);
        let last = widths.len() - 1;
        // The channels of the skip connections, in the order of the way down.
        let mut skips = vec![widths[0]];
        let mut width = widths[0];
        let mut down = Vec::new();
        for (level, &to) in widths.iter().enumerate() {
            let rng = rng.stream(&format!("down.{level}"));
            let inputs: Vec<_> = (0..self.blocks).map(|block| if block == 0 { width } else { to }).collect();
            skips.extend(vec![to; self.blocks]);
            width = to;
            let resize = (level < last).then(|| Conv::new([to, to], 3, &rng.stream("resize"), device).downsampling());
            skips.extend(resize.as_ref().map(|_| to));
            down.push(build.stage(level, &inputs, to, resize, &rng));
        }
        let middle = rng.stream("middle");
        let middle = Middle {
            before: build.block(width, width, &middle.stream("before")),
            attention: build.attend(width, &middle.stream("attention")),
            cross: build.tokens.then(|| build.cross(width, &middle.stream("cross"))),
            after: build.block(width, width, &middle.stream("after")),
        };
        let mut up = Vec::new();
        for (level, &to) in widths.iter().enumerate().rev() {
            let rng = rng.stream(&format!("up.{level}"));
            let inputs: Vec<_> = (0..=self.blocks)
                .map(|block| (if block == 0 { width } else { to }) + skips.pop().expect("a skip connection per block"))
                .collect();
            width = to;
            let resize = (level > 0).then(|| Conv::new([to, to], 3, &rng.stream("resize"), device));
            up.push(build.stage(level, &inputs, to, resize, &rng));
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
        }
    }
}

struct Build<'a> {
    config: &'a UNetConfig,
    cond_width: usize,
    /// Whether there are conditions of tokens.
    tokens: bool,
    device: &'a Device,
}

impl Build<'_> {
    fn stage(&self, level: usize, inputs: &[usize], to: usize, resize: Option<Conv>, rng: &Rng) -> Stage {
        let attends = self.config.attention.contains(&level);
        let stream = |what: &str, index: usize| rng.stream(&format!("{what}.{index}"));
        let blocks = inputs.iter().enumerate().map(|(i, &from)| self.block(from, to, &stream("block", i))).collect();
        let attention =
            (0..inputs.len()).filter(|_| attends).map(|i| self.attend(to, &stream("attention", i))).collect();
        let crosses = self.tokens && self.config.cross_attention.contains(&level);
        let cross = (0..inputs.len()).filter(|_| crosses).map(|i| self.cross(to, &stream("cross", i))).collect();
        Stage { blocks, attention, cross, resize }
    }

    fn block(&self, from: usize, to: usize, rng: &Rng) -> Block {
        let (groups, device) = (self.config.groups, self.device);
        Block {
            norm1: GroupNorm::new(from, groups, device),
            conv1: Conv::new([from, to], 3, &rng.stream("conv1"), device),
            cond: Linear::new(self.cond_width, 2 * to, &rng.stream("told"), device),
            norm2: GroupNorm::new(to, groups, device),
            conv2: Conv::zero([to, to], 3, device),
            skip: (from != to).then(|| Conv::new([from, to], 1, &rng.stream("skip"), device)),
        }
    }

    fn cross(&self, channels: usize, rng: &Rng) -> Cross {
        let heads = divisor(channels, channels / self.config.head_channels.clamp(1, channels));
        Cross {
            norm: GroupNorm::new(channels, self.config.groups, self.device),
            attention: CrossAttention::new(channels, self.cond_width, heads, rng, self.device),
        }
    }

    fn attend(&self, channels: usize, rng: &Rng) -> Attention {
        Attention::new(channels, self.config.head_channels, self.config.groups, rng, self.device)
    }
}

/// U-Net: residual blocks down and up the resolution levels, with skip connections between the two ways.
///
/// A residual block is group norm, SiLU, 3×3 convolution, group norm scaled and shifted by time and class, SiLU,
/// dropout, 3×3 convolution; the last convolution is initially zero. Downsampling is a convolution of stride 2, upsampling
/// nearest neighbors and a convolution.
///
/// Classes and vectors are embedded with the time; images and label maps are concatenated to z along the channels; tokens are read by
/// cross-attention in the middle and after the blocks of the levels `cross_attention`.
///
/// Images may have any size: a level has half the size of the one before, rounded up (28, 14, 7, 4, 2, 1), and the way up
/// upsamples to exactly the size of that level on the way down, so nothing is padded or cropped.
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>; scale
/// and shift as in Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021),
/// <https://arxiv.org/abs/2105.05233>.
///
/// # Shapes
///
/// `z: [batch, in_channels, h, w]` → `[batch, outputs · in_channels, h, w]`.
#[doc(alias = "UNet2DModel")]
#[derive(Module, Debug)]
pub struct UNet {
    conditions: Embedders,
    cond: TimeClassEmbedding,
    first: Conv,
    down: Vec<Stage>,
    middle: Middle,
    up: Vec<Stage>,
    norm: GroupNorm,
    last: Conv,
    dropout: f64,
    in_channels: usize,
}

impl UNet {
    fn run(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions, mut rng: Option<Rng>) -> Tensor<4> {
        let [batch, ..] = z.dims();
        let shared = &mut Shared {
            cond: silu(self.conditions.with_time(&self.cond, t, y)),
            sequence: self.conditions.sequence(y, batch, &z.device()),
            dropout: self.dropout,
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
        }
        x = self.middle.before.forward(x, shared);
        x = self.middle.attention.forward(x);
        if let Some(cross) = &self.middle.cross {
            x = cross.forward(x, shared);
        }
        x = self.middle.after.forward(x, shared);
        for stage in &self.up {
            for index in 0..stage.blocks.len() {
                let skip = skips.pop().expect("a skip connection per block");
                x = stage.apply(index, Tensor::cat(vec![x, skip], 1), shared);
            }
            if let Some(conv) = &stage.resize {
                let [_, _, h, w] = skips.last().expect("a level above").dims();
                x = conv.forward(upsample(x, [h, w]));
            }
        }
        self.last.forward(self.norm.activated(x))
    }
}

impl Net<4> for UNet {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions) -> Tensor<4> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<4> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.conditions.check(y, rows)
    }
    fn output_shape(&self, [rows, channels, h, w]: [usize; 4], _: &Conditions) -> Result<[usize; 4]> {
        check_fits("in_channels", self.in_channels, channels, "channels")?;
        Ok([rows, self.last.weight.dims()[0], h, w])
    }
}

/// Inputs that all blocks of a forward pass share.
struct Shared {
    /// Embedding of the condition after the activation, `[batch, cond_width]`.
    cond: Tensor<2>,
    /// Embedded tokens of conditions.
    sequence: Option<Sequence>,
    dropout: f64,
    rng: Option<Rng>,
}

/// A resolution level on the way down or up.
#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Block>,
    /// One per block, or none.
    attention: Vec<Attention>,
    /// One per block, or none.
    cross: Vec<Cross>,
    resize: Option<Conv>,
}

impl Stage {
    fn apply(&self, index: usize, x: Tensor<4>, shared: &mut Shared) -> Tensor<4> {
        let x = self.blocks[index].forward(x, shared);
        let x = match self.attention.get(index) {
            Some(attention) => attention.forward(x),
            None => x,
        };
        match self.cross.get(index) {
            Some(cross) => cross.forward(x, shared),
            None => x,
        }
    }
}

#[derive(Module, Debug)]
struct Middle {
    before: Block,
    attention: Attention,
    cross: Option<Cross>,
    after: Block,
}

/// Cross-attention of pixels to the tokens of conditions, after a group norm: `x + attention(norm(x), tokens)`.
#[derive(Module, Debug)]
struct Cross {
    norm: GroupNorm,
    attention: CrossAttention,
}

impl Cross {
    fn forward(&self, x: Tensor<4>, shared: &mut Shared) -> Tensor<4> {
        let Shared { sequence: Some(sequence), dropout, rng, .. } = shared else { return x };
        let [batch, channels, h, w] = x.dims();
        let pixels = self.norm.forward(x.clone()).reshape([batch, channels, h * w]).swap_dims(1, 2);
        let y = self.attention.forward(pixels, sequence, *dropout, rng);
        x + y.swap_dims(1, 2).reshape([batch, channels, h, w])
    }
}

#[derive(Module, Debug)]
struct Block {
    norm1: GroupNorm,
    conv1: Conv,
    cond: Linear,
    norm2: GroupNorm,
    conv2: Conv,
    skip: Option<Conv>,
}

impl Block {
    fn forward(&self, x: Tensor<4>, shared: &mut Shared) -> Tensor<4> {
        let h = self.conv1.forward(self.norm1.activated(x.clone()));
        let [scale, shift] = self.cond.forward(shared.cond.clone()).chunk(2, 1).try_into().expect("two halves");
        let h = dropout(self.norm2.modulated(h, scale, shift), shared.dropout, &mut shared.rng);
        let x = match &self.skip {
            Some(skip) => skip.forward(x),
            None => x,
        };
        x + self.conv2.forward(h)
    }
}

//! The diffusion transformer (DiT) for images.
use super::{
    Conditions, Net, Positions, Task,
    blocks::{Block, Conditioning, Modulation, Rotation, Shared, linear, modulate, sinusoids},
    config::{check_common, check_fits, check_positive, setters, takes_conditions},
    embed::{Embedders, check_conditions, extra_channels, has_tokens},
    layers::Linear,
    transformer::check_blocks,
};
use crate::{
    condition::ConditionSpec,
    error::{Error, Result},
    rng::Rng,
    transform::patches,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor, ops::PadMode},
};
use serde::{Deserialize, Serialize};

/// Configuration of a [`Dit`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, net::{Conditions, DitConfig, Net}};
/// let device = Device::flex();
/// let config = DitConfig::new(1).with_patch(4).with_width(64).with_depth(2);
/// let net = config.init(&Rng::new(7), &device)?;
/// let z = Tensor::ones([1, 1, 28, 28], &device);
/// let y = net.forward(z, Tensor::ones([1], &device), &Conditions::none());
/// assert_eq!(y.dims(), [1, 1, 28, 28]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DitConfig {
    /// Channels of an image.
    #[serde(skip)]
    pub in_channels: usize,
    /// Side of a patch in pixels; each patch is a token.
    #[doc(alias = "patch_size")]
    pub patch: usize,
    /// Hidden width: values of a token inside the net.
    #[doc(alias = "hidden_size")]
    pub width: usize,
    /// Number of blocks.
    #[doc(alias = "num_layers")]
    pub depth: usize,
    /// Attention heads; the width must be a multiple of their number.
    #[doc(alias = "num_attention_heads")]
    pub heads: usize,
    /// Width of the hidden layer of a block's MLP, as a multiple of `width`.
    #[doc(alias = "mlp_ratio")]
    pub expansion: usize,
    /// Whether blocks of the second half read the output of their counterpart in the first half too, by a linear layer of both: long
    /// skip connections, as those of a U-Net.
    ///
    /// Bao et al., "All are Worth Words: A ViT Backbone for Diffusion Models" (2022), <https://arxiv.org/abs/2209.12152>.
    #[doc(alias("UViT", "U-ViT", "skip"))]
    pub long_skips: bool,
    /// Position encoding on both axes: `sinusoidal` or `rotary`.
    pub positions: Positions,
    /// Number of classes, not counting "none"; 0 for an unconditional net.
    #[doc(alias = "num_embeds_ada_norm")]
    #[serde(skip)]
    pub num_classes: usize,
    /// Conditions besides the class.
    #[serde(skip)]
    pub conditions: Vec<ConditionSpec>,
    /// Width of the embedding of time and class; 0 for `width`.
    pub cond_width: usize,
    /// Dropout probability after attention and MLP in training.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// Sines and cosines of the time, together; an even number.
    #[schemars(range(min = 2))]
    pub time_features: usize,
    /// Output channels per channel of the image: 1, or 2 if the variance is learned.
    #[serde(skip)]
    pub outputs: usize,
}

impl Default for DitConfig {
    fn default() -> Self {
        Self {
            in_channels: 1,
            patch: 4,
            width: 256,
            depth: 6,
            heads: 4,
            expansion: 4,
            long_skips: false,
            positions: Positions::Sinusoidal,
            num_classes: 0,
            conditions: vec![],
            cond_width: 0,
            dropout: 0.0,
            time_features: 256,
            outputs: 1,
        }
    }
}

setters!(DitConfig:
    with_patch patch usize,
    with_width width usize,
    with_depth depth usize,
    with_heads heads usize,
    with_expansion expansion usize,
    with_long_skips long_skips bool,
    with_positions positions Positions,
    with_num_classes num_classes usize,
    with_cond_width cond_width usize,
    with_dropout dropout f64,
    with_time_features time_features usize,
    with_outputs outputs usize,
);
takes_conditions!(DitConfig);

impl DitConfig {
    /// A net for images of `in_channels` channels.
    pub fn new(in_channels: usize) -> Self {
        Self { in_channels, ..Self::default() }
    }

    /// The nets of the paper, from `DiT-S/2` to `DiT-XL/8`: sizes S, B, L and XL, patches of a side of 2, 4 or 8, for latents of four
    /// channels, 1000 classes and a learned variance.
    ///
    /// | | width | depth | heads | parameters at patch 2 |
    /// |---|---|---|---|---|
    /// | S | 384 | 12 | 6 | 33 million |
    /// | B | 768 | 12 | 12 | 130 million |
    /// | L | 1024 | 24 | 16 | 458 million |
    /// | XL | 1152 | 28 | 16 | 675 million |
    ///
    /// The published code counts its table of sines and cosines of positions, `tokens · width` numbers, as parameters; here they are
    /// computed.
    ///
    /// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), table 1, <https://arxiv.org/abs/2212.09748>.
    ///
    /// ```
    /// use tweedie::net::DitConfig;
    /// let config = DitConfig::named("DiT-XL/2")?;
    /// assert_eq!((config.width, config.depth, config.heads, config.patch), (1152, 28, 16, 2));
    /// # Ok::<(), tweedie::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no net of this name.
    #[doc(alias("DiT_XL_2", "DiT_models"))]
    pub fn named(name: &str) -> Result<Self> {
        let unknown = || {
            Error::invalid(format!("there is no net `{name}`"))
                .with_remedy("give a size of S, B, L and XL and a patch of 2, 4 and 8, for example `DiT-B/4`")
        };
        let (size, patch) = name.strip_prefix("DiT-").and_then(|rest| rest.split_once('/')).ok_or_else(unknown)?;
        let (width, depth, heads) = match size {
            "S" => (384, 12, 6),
            "B" => (768, 12, 12),
            "L" => (1024, 24, 16),
            "XL" => (1152, 28, 16),
            _ => return Err(unknown()),
        };
        let patch = patch.parse().ok().filter(|patch| [2, 4, 8].contains(patch)).ok_or_else(unknown)?;
        Ok(Self { patch, width, depth, heads, num_classes: 1000, outputs: 2, ..Self::new(4) })
    }

    /// The pairs of blocks that a long skip connection joins.
    pub(super) fn pairs(&self) -> usize {
        if self.long_skips { self.depth.saturating_sub(1) / 2 } else { 0 }
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
        check_positive(&[("in_channels", self.in_channels), ("patch", self.patch)])?;
        if self.positions == Positions::Learned {
            let problem =
                "must be \"sinusoidal\" or \"rotary\", got \"learned\", which would fix the size of the images";
            return Err(Error::invalid(problem).with_field("positions"));
        }
        check_blocks(self.width, self.depth, self.heads, self.expansion, self.positions, 2)?;
        check_conditions("dit", &self.conditions, Some(2), true)?;
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// Initializes the net from a seed; its output is exactly zero before training.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<Dit> {
        self.check()?;
        let cond_width = if self.cond_width == 0 { self.width } else { self.cond_width };
        let values = self.in_channels * self.patch * self.patch;
        let read = (self.in_channels + extra_channels(&self.conditions)) * self.patch * self.patch;
        let tokens = has_tokens(&self.conditions);
        let block = |i| {
            let rng = rng.stream(&format!("block.{i}"));
            let block = Block::new(self.width, self.heads, self.expansion, cond_width, &rng, device);
            if tokens { block.with_cross_attention(self.width, &rng, device) } else { block }
        };
        let rest = rng.stream("conditions");
        Ok(Dit {
            conditions: Embedders::new(self.num_classes, &self.conditions, cond_width, self.width, &rest, device),
            cond: Conditioning::new(self.time_features, self.num_classes, cond_width, &rng.stream("told"), device),
            first: Linear::new(read, self.width, &rng.stream("first"), device),
            blocks: (0..self.depth).map(block).collect(),
            skips: (0..self.pairs())
                .map(|i| Linear::new(2 * self.width, self.width, &rng.stream(&format!("skip.{i}")), device))
                .collect(),
            modulation: Modulation::new(cond_width, 2 * self.width, device),
            last: Linear::zero(self.width, self.outputs * values, device),
            config: self.clone(),
            checkpointing: false,
        })
    }
}

/// Diffusion transformer: self-attention over the patches of an image.
///
/// Classes and vectors are embedded with the time; images and label maps are concatenated to z along the channels; tokens are read by
/// cross-attention in each block.
///
/// The blocks are those of the [`Transformer`](super::Transformer). Images may have any size: they are padded with zeros to
/// whole patches at the right and lower edge, and the output is cropped back.
///
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), <https://arxiv.org/abs/2212.09748>.
///
/// # Shapes
///
/// `z: [batch, in_channels, h, w]` → `[batch, outputs · in_channels, h, w]`.
#[doc(alias = "DiTTransformer2DModel")]
#[derive(Module, Debug)]
pub struct Dit {
    conditions: Embedders,
    cond: Conditioning,
    first: Linear,
    blocks: Vec<Block>,
    /// Of the last blocks, in their order.
    skips: Vec<Linear>,
    modulation: Modulation,
    last: Linear,
    #[module(skip)]
    config: DitConfig,
    #[module(skip)]
    checkpointing: bool,
}

impl Dit {
    /// Returns the configuration.
    pub fn config(&self) -> &DitConfig {
        &self.config
    }

    fn run(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions, rng: Option<Rng>) -> Tensor<4> {
        let DitConfig { in_channels, patch, width, heads, outputs, .. } = self.config;
        let ([batch, given, h, w], device) = (z.dims(), z.device());
        assert_eq!(given, in_channels, "an image of {given} channels was given to a net for {in_channels}");
        let z = self.conditions.concatenate(z, y);
        let [rows, columns] = [h.div_ceil(patch), w.div_ceil(patch)];
        let z = match [columns * patch - w, rows * patch - h] {
            [0, 0] => z,
            [right, lower] => z.pad((0, right, 0, lower), PadMode::Constant(0.0)),
        };
        let positions: Vec<_> = (0..rows * columns).map(|i| vec![(i / columns) as f64, (i % columns) as f64]).collect();
        let mut x = linear(patches::cut(z, patch), &self.first);
        if self.config.positions == Positions::Sinusoidal {
            x = x + sinusoids(&positions, width, &device).unsqueeze();
        }
        let rotary = self.config.positions == Positions::Rotary;
        let mut shared = Shared {
            cond: self.cond.forward(t, y, &self.conditions),
            sequence: self.conditions.sequence(y, batch, &device),
            rotation: rotary.then(|| Rotation::new(&positions, heads, width, &device)),
            mask: None,
            dropout: self.config.dropout,
            checkpointing: self.checkpointing,
            rng,
        };
        let (mut firsts, pairs) = (vec![], self.skips.len());
        for (i, block) in self.blocks.iter().enumerate() {
            if let Some(skip) = (i + pairs).checked_sub(self.blocks.len()).map(|i| &self.skips[i]) {
                let before = firsts.pop().expect("a block of the first half");
                x = linear(Tensor::cat(vec![x, before], 2), skip);
            }
            x = block.forward(x, &mut shared);
            if i < pairs {
                firsts.push(x.clone());
            }
        }
        let [shift, scale] = self.modulation.forward(shared.cond.as_ref());
        let x = linear(modulate(x, scale, shift), &self.last);
        let image = patches::join(x, patch, [rows, columns], outputs * in_channels);
        if [rows * patch, columns * patch] == [h, w] { image } else { image.narrow(2, 0, h).narrow(3, 0, w) }
    }
}

impl Net<4> for Dit {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions) -> Tensor<4> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<4> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        Ok(Self { checkpointing: on, ..self })
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.conditions.check(y, rows)
    }
    fn output_shape(&self, [rows, channels, h, w]: [usize; 4], _: &Conditions) -> Result<[usize; 4]> {
        check_fits("in_channels", self.config.in_channels, channels, "channels")?;
        Ok([rows, self.config.outputs * channels, h, w])
    }
}

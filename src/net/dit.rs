//! The transformer of images.
use super::{
    Classes, Net,
    blocks::{Block, Context, Modulation, Pass, Positions, Rotation, linear, modulate, sinusoids},
    layers::Linear,
    transformer::check_blocks,
    unet::check_common,
};
use crate::{rng::Rng, transform::patches};
use burn::{
    module::Module,
    tensor::{Device, Tensor, ops::PadMode},
};
use serde::{Deserialize, Serialize};

/// What a [`Dit`] is made of.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, net::{Classes, DitConfig, Net}};
/// let device = Device::flex();
/// let net = DitConfig::new(1).patch(4).width(64).depth(2).init(&Rng::new(7), &device);
/// let y = net.forward(Tensor::ones([1, 1, 28, 28], &device), Tensor::ones([1], &device), &Classes::none());
/// assert_eq!(y.dims(), [1, 1, 28, 28]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DitConfig {
    /// Channels of an image.
    pub channels: usize,
    /// Pixels on a side of a patch, of which each is a token.
    pub patch: usize,
    /// Numbers of a token inside the net.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of an attention, which share the width evenly.
    pub heads: usize,
    /// How many times wider than a token the hidden layer of a block's perceptron is.
    pub expansion: usize,
    /// How a patch knows its place: `sinusoidal` or `rotary`, on both axes.
    pub positions: Positions,
    /// Classes that the net may be told, beside "none"; 0 for a net without classes.
    pub classes: usize,
    /// Numbers that time and class are told in; 0 for as many as the width.
    pub told: usize,
    /// Probability that a number which attention or perceptron adds is dropped in training.
    pub dropout: f64,
    /// Sines and cosines that describe the time: an even number.
    pub time_features: usize,
    /// Channels given for each channel of the data: 1, or 2 where the variance is learned.
    pub outputs: usize,
}

impl Default for DitConfig {
    fn default() -> Self {
        Self {
            channels: 1,
            patch: 4,
            width: 256,
            depth: 6,
            heads: 4,
            expansion: 4,
            positions: Positions::Sinusoidal,
            classes: 0,
            told: 0,
            dropout: 0.0,
            time_features: 256,
            outputs: 1,
        }
    }
}

impl DitConfig {
    /// A net for images of `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self { channels, ..Self::default() }
    }
    /// Pixels on a side of a patch.
    pub fn patch(self, patch: usize) -> Self {
        Self { patch, ..self }
    }
    /// Numbers of a token inside the net.
    pub fn width(self, width: usize) -> Self {
        Self { width, ..self }
    }
    /// Blocks.
    pub fn depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }
    /// Heads of an attention.
    pub fn heads(self, heads: usize) -> Self {
        Self { heads, ..self }
    }
    /// How much wider the hidden layer of a block is.
    pub fn expansion(self, expansion: usize) -> Self {
        Self { expansion, ..self }
    }
    /// How a patch knows its place.
    pub fn positions(self, positions: Positions) -> Self {
        Self { positions, ..self }
    }
    /// Classes that the net may be told.
    pub fn classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }
    /// Numbers that time and class are told in.
    pub fn told(self, told: usize) -> Self {
        Self { told, ..self }
    }
    /// Probability of dropping a number in training.
    pub fn dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }
    /// Sines and cosines that describe the time.
    pub fn time_features(self, time_features: usize) -> Self {
        Self { time_features, ..self }
    }
    /// Channels given for each channel of the data.
    pub fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    /// Whether there is such a net.
    ///
    /// # Errors
    ///
    /// What is wrong and what would be right, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("channels", self.channels), ("patch", self.patch)] {
            if value == 0 {
                return Err(format!("{name} = 0, but it is at least 1"));
            }
        }
        if self.positions == Positions::Learned {
            return Err("positions = \"learned\" would bind the net to one size of image: give \"sinusoidal\" or \
                        \"rotary\", which do for any"
                .into());
        }
        check_blocks(self.width, self.depth, self.heads, self.expansion, self.positions, 2)?;
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// The net a seed begins with: its output is exactly zero until it is trained.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) refuses.
    pub fn init(&self, rng: &Rng, device: &Device) -> Dit {
        if let Err(reason) = self.check() {
            panic!("{reason}");
        }
        let told = if self.told == 0 { self.width } else { self.told };
        let numbers = self.channels * self.patch * self.patch;
        let block = |i| {
            let rng = rng.stream(&format!("block.{i}"));
            Block::new(self.width, self.heads, self.expansion, told, &rng, device)
        };
        Dit {
            context: Context::new(self.time_features, self.classes, told, &rng.stream("told"), device),
            first: Linear::new(numbers, self.width, &rng.stream("first"), device),
            blocks: (0..self.depth).map(block).collect(),
            modulation: Modulation::new(told, 2 * self.width, device),
            last: Linear::zero(self.width, self.outputs * numbers, device),
            config: self.clone(),
        }
    }
}

/// Patches of an image that look at one another.
///
/// The blocks are those of the [`Transformer`](super::Transformer). Any size of image will do: it is filled up with zeros to
/// whole patches at its right and lower edge, and cut back.
///
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), <https://arxiv.org/abs/2212.09748>.
///
/// # Shapes
///
/// `z: [batch, channels, h, w]` → `[batch, outputs · channels, h, w]`.
#[derive(Module, Debug)]
pub struct Dit {
    context: Context,
    first: Linear,
    blocks: Vec<Block>,
    modulation: Modulation,
    last: Linear,
    #[module(skip)]
    config: DitConfig,
}

impl Dit {
    /// What it is made of.
    pub fn config(&self) -> &DitConfig {
        &self.config
    }

    fn run(&self, z: Tensor<4>, t: Tensor<1>, y: &Classes, rng: Option<Rng>) -> Tensor<4> {
        let DitConfig { channels, patch, width, heads, outputs, .. } = self.config;
        let ([_, given, h, w], device) = (z.dims(), z.device());
        assert_eq!(given, channels, "an image of {given} channels was given to a net for {channels}");
        let [rows, columns] = [h.div_ceil(patch), w.div_ceil(patch)];
        let z = match [columns * patch - w, rows * patch - h] {
            [0, 0] => z,
            [right, lower] => z.pad((0, right, 0, lower), PadMode::Constant(0.0)),
        };
        let places: Vec<_> = (0..rows * columns).map(|i| vec![(i / columns) as f64, (i % columns) as f64]).collect();
        let mut x = linear(patches::cut(z, patch), &self.first);
        if self.config.positions == Positions::Sinusoidal {
            x = x + sinusoids(&places, width, &device).unsqueeze();
        }
        let rotary = self.config.positions == Positions::Rotary;
        let mut pass = Pass {
            told: self.context.forward(t, y),
            rotation: rotary.then(|| Rotation::new(&places, heads, width, &device)),
            hidden: None,
            dropout: self.config.dropout,
            rng,
        };
        for block in &self.blocks {
            x = block.forward(x, &mut pass);
        }
        let [shift, scale] = self.modulation.forward(pass.told.as_ref());
        let x = linear(modulate(x, scale, shift), &self.last);
        let image = patches::join(x, patch, [rows, columns], outputs * channels);
        if [rows * patch, columns * patch] == [h, w] { image } else { image.narrow(2, 0, h).narrow(3, 0, w) }
    }
}

impl Net<4> for Dit {
    type Condition = Classes;
    fn forward(&self, z: Tensor<4>, t: Tensor<1>, y: &Classes) -> Tensor<4> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<4>, t: Tensor<1>, y: &Classes, rng: &Rng) -> Tensor<4> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
}

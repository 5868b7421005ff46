//! The convolutional net of image diffusion.
use super::{
    Classes, Net,
    layers::{Attention, Conv, GroupNorm, Linear, Told, dropout, enlarge, silu},
};
use crate::rng::Rng;
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

/// What a [`UNet`] is made of.
///
/// ```
/// use burn::{module::Module, tensor::Device};
/// use tweedie::{Rng, net::UNetConfig};
/// let net = UNetConfig::new([1, 16, 32]).classes(10).attention([1]).init(&Rng::new(7), &Device::flex());
/// println!("{} parameters", net.num_params());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the data, then of each level. Level 0 works at the size of the image, each further level at half
    /// the size of the one before, rounded up.
    pub channels: Vec<usize>,
    /// Residual blocks of a level on the way down; on the way up there is one more.
    pub blocks: usize,
    /// Levels whose blocks are followed by attention. The middle, at the size of the last level, always has it.
    pub attention: Vec<usize>,
    /// Channels of an attention head. Where it does not divide the channels of a level, heads are wider there.
    pub head_channels: usize,
    /// Groups of a group norm; where it does not divide the channels, the largest number below that does.
    pub groups: usize,
    /// Classes that the net may be told, beside "none"; 0 for a net without classes.
    pub classes: usize,
    /// Probability that a number inside a residual block is dropped in training.
    pub dropout: f64,
    /// Sines and cosines that describe the time: an even number.
    pub time_features: usize,
    /// Channels given for each channel of the data: 1, or 2 where the variance is learned.
    pub outputs: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            channels: vec![1, 32, 64],
            blocks: 2,
            attention: vec![],
            head_channels: 32,
            groups: 8,
            classes: 0,
            dropout: 0.0,
            time_features: 64,
            outputs: 1,
        }
    }
}

impl UNetConfig {
    /// A net for data of `channels[0]` channels with one level for each further number.
    pub fn new(channels: impl Into<Vec<usize>>) -> Self {
        Self { channels: channels.into(), ..Self::default() }
    }
    /// Residual blocks of a level on the way down.
    pub fn blocks(self, blocks: usize) -> Self {
        Self { blocks, ..self }
    }
    /// Levels with attention, beside the middle.
    pub fn attention(self, levels: impl Into<Vec<usize>>) -> Self {
        Self { attention: levels.into(), ..self }
    }
    /// Channels of an attention head.
    pub fn head_channels(self, head_channels: usize) -> Self {
        Self { head_channels, ..self }
    }
    /// Groups of a group norm, at most.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }
    /// Classes that the net may be told.
    pub fn classes(self, classes: usize) -> Self {
        Self { classes, ..self }
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
        let levels = self.channels.len().saturating_sub(1);
        if levels == 0 {
            return Err(format!(
                "channels = {:?} names no level: give the channels of the data, then those of each level, as in [1, 32, 64]",
                self.channels
            ));
        }
        if self.channels.contains(&0) {
            return Err(format!("channels = {:?} holds a zero: a level has at least one channel", self.channels));
        }
        if let Some(level) = self.attention.iter().find(|level| **level >= levels) {
            return Err(format!(
                "attention = {:?} names level {level}, but the net has levels 0 to {}: level 0 is the full size",
                self.attention,
                levels - 1
            ));
        }
        for (name, value) in [("blocks", self.blocks), ("groups", self.groups), ("head_channels", self.head_channels)] {
            if value == 0 {
                return Err(format!("{name} = 0, but it is at least 1"));
            }
        }
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// The net a seed begins with: its output is exactly zero until it is trained.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) refuses.
    pub fn init(&self, rng: &Rng, device: &Device) -> UNet {
        if let Err(reason) = self.check() {
            panic!("{reason}");
        }
        self.build(rng, device)
    }

    /// [`init`](Self::init) with any number of outputs.
    pub(super) fn build(&self, rng: &Rng, device: &Device) -> UNet {
        let (data, widths) = (self.channels[0], &self.channels[1..]);
        let build = Build { config: self, told: 4 * widths[0], device };
        let last = widths.len() - 1;
        // The channels of what is kept on the way down, in that order.
        let mut kept = vec![widths[0]];
        let mut width = widths[0];
        let mut down = Vec::new();
        for (level, &to) in widths.iter().enumerate() {
            let rng = rng.stream(&format!("down.{level}"));
            let inputs: Vec<_> = (0..self.blocks).map(|block| if block == 0 { width } else { to }).collect();
            kept.extend(vec![to; self.blocks]);
            width = to;
            let halve = (level < last).then(|| Conv::new([to, to], 3, &rng.stream("resize"), device).halving());
            kept.extend(halve.as_ref().map(|_| to));
            down.push(build.stage(level, &inputs, to, halve, &rng));
        }
        let middle = rng.stream("middle");
        let middle = Middle {
            before: build.block(width, width, &middle.stream("before")),
            attention: build.attend(width, &middle.stream("attention")),
            after: build.block(width, width, &middle.stream("after")),
        };
        let mut up = Vec::new();
        for (level, &to) in widths.iter().enumerate().rev() {
            let rng = rng.stream(&format!("up.{level}"));
            let inputs: Vec<_> = (0..=self.blocks)
                .map(|block| (if block == 0 { width } else { to }) + kept.pop().expect("one was kept for each block"))
                .collect();
            width = to;
            let double = (level > 0).then(|| Conv::new([to, to], 3, &rng.stream("resize"), device));
            up.push(build.stage(level, &inputs, to, double, &rng));
        }
        UNet {
            told: Told::new(self.time_features, self.classes, build.told, &rng.stream("told"), device),
            first: Conv::new([data, widths[0]], 3, &rng.stream("first"), device),
            down,
            middle,
            up,
            norm: GroupNorm::new(width, self.groups, device),
            last: Conv::zero([width, self.outputs * data], 3, device),
            dropout: self.dropout,
        }
    }
}

/// What configurations of several nets have in common.
pub(super) fn check_common(time_features: usize, dropout: f64, outputs: usize) -> Result<(), String> {
    if time_features == 0 || !time_features.is_multiple_of(2) {
        return Err(format!(
            "time_features = {time_features}, but sines and cosines come in pairs: give an even number, as 64"
        ));
    }
    if !(0.0..1.0).contains(&dropout) {
        return Err(format!("dropout = {dropout}, but it is a probability in [0, 1)"));
    }
    if !(1..=2).contains(&outputs) {
        return Err(format!("outputs = {outputs}, but it is 1, or 2 where the variance is learned"));
    }
    Ok(())
}

struct Build<'a> {
    config: &'a UNetConfig,
    told: usize,
    device: &'a Device,
}

impl Build<'_> {
    fn stage(&self, level: usize, inputs: &[usize], to: usize, resize: Option<Conv>, rng: &Rng) -> Stage {
        let attends = self.config.attention.contains(&level);
        let named = |what: &str, index: usize| rng.stream(&format!("{what}.{index}"));
        let blocks = inputs.iter().enumerate().map(|(i, &from)| self.block(from, to, &named("block", i))).collect();
        let attention =
            (0..inputs.len()).filter(|_| attends).map(|i| self.attend(to, &named("attention", i))).collect();
        Stage { blocks, attention, resize }
    }

    fn block(&self, from: usize, to: usize, rng: &Rng) -> Block {
        let (groups, device) = (self.config.groups, self.device);
        Block {
            norm1: GroupNorm::new(from, groups, device),
            conv1: Conv::new([from, to], 3, &rng.stream("conv1"), device),
            told: Linear::new(self.told, 2 * to, &rng.stream("told"), device),
            norm2: GroupNorm::new(to, groups, device),
            conv2: Conv::zero([to, to], 3, device),
            skip: (from != to).then(|| Conv::new([from, to], 1, &rng.stream("skip"), device)),
        }
    }

    fn attend(&self, channels: usize, rng: &Rng) -> Attention {
        Attention::new(channels, self.config.head_channels, self.config.groups, rng, self.device)
    }
}

/// Residual blocks down and up a ladder of sizes, each level up seeing what was kept on the way down.
///
/// A residual block is group norm, SiLU, 3×3 convolution, group norm scaled and shifted by time and class, SiLU,
/// dropout, 3×3 convolution; the last convolution begins at zero. Down a level by a convolution of stride 2, up by
/// nearest neighbours and a convolution.
///
/// Any size of image will do: a level has half the size of the one before, rounded up (28, 14, 7, 4, 2, 1), and on the
/// way up the image is enlarged to exactly the size that was left, so that nothing is padded or cut outside.
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>; scale
/// and shift as in Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021),
/// <https://arxiv.org/abs/2105.05233>.
#[derive(Module, Debug)]
pub struct UNet {
    told: Told,
    first: Conv,
    down: Vec<Stage>,
    middle: Middle,
    up: Vec<Stage>,
    norm: GroupNorm,
    last: Conv,
    dropout: f64,
}

impl UNet {
    fn run(&self, z: Tensor<4>, t: Tensor<1>, y: &Classes, mut rng: Option<Rng>) -> Tensor<4> {
        let call = &mut Call { told: silu(self.told.forward(t, y)), dropout: self.dropout, rng: rng.take() };
        let mut x = self.first.forward(z);
        let mut kept = vec![x.clone()];
        for stage in &self.down {
            for index in 0..stage.blocks.len() {
                x = stage.apply(index, x, call);
                kept.push(x.clone());
            }
            if let Some(halve) = &stage.resize {
                x = halve.forward(x);
                kept.push(x.clone());
            }
        }
        x = self.middle.before.forward(x, call);
        x = self.middle.attention.forward(x);
        x = self.middle.after.forward(x, call);
        for stage in &self.up {
            for index in 0..stage.blocks.len() {
                let seen = kept.pop().expect("one was kept for each block");
                x = stage.apply(index, Tensor::cat(vec![x, seen], 1), call);
            }
            if let Some(double) = &stage.resize {
                let [_, _, h, w] = kept.last().expect("a level above").dims();
                x = double.forward(enlarge(x, [h, w]));
            }
        }
        self.last.forward(self.norm.activated(x))
    }
}

impl Net<4> for UNet {
    type Condition = Classes;
    fn forward(&self, z: Tensor<4>, t: Tensor<1>, y: &Classes) -> Tensor<4> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<4>, t: Tensor<1>, y: &Classes, rng: &Rng) -> Tensor<4> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
}

/// What all blocks of one pass share.
struct Call {
    told: Tensor<2>,
    dropout: f64,
    rng: Option<Rng>,
}

/// One level, one way.
#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Block>,
    /// One a block, or none.
    attention: Vec<Attention>,
    resize: Option<Conv>,
}

impl Stage {
    fn apply(&self, index: usize, x: Tensor<4>, call: &mut Call) -> Tensor<4> {
        let x = self.blocks[index].forward(x, call);
        match self.attention.get(index) {
            Some(attention) => attention.forward(x),
            None => x,
        }
    }
}

#[derive(Module, Debug)]
struct Middle {
    before: Block,
    attention: Attention,
    after: Block,
}

#[derive(Module, Debug)]
struct Block {
    norm1: GroupNorm,
    conv1: Conv,
    told: Linear,
    norm2: GroupNorm,
    conv2: Conv,
    skip: Option<Conv>,
}

impl Block {
    fn forward(&self, x: Tensor<4>, call: &mut Call) -> Tensor<4> {
        let h = self.conv1.forward(self.norm1.activated(x.clone()));
        let [scale, shift] = self.told.forward(call.told.clone()).chunk(2, 1).try_into().expect("two halves");
        let h = dropout(self.norm2.modulated(h, scale, shift), call.dropout, &mut call.rng);
        let x = match &self.skip {
            Some(skip) => skip.forward(x),
            None => x,
        };
        x + self.conv2.forward(h)
    }
}

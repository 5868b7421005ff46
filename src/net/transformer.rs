//! The net of sequences.
use super::{
    Classes, Net,
    blocks::{Block, Context, Modulation, Pass, Positions, Rotation, linear, modulate, sinusoids},
    layers::Linear,
    unet::check_common,
};
use crate::{distribution::is, rng::Rng};
use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Device, Int, Tensor},
};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// What a [`Transformer`] is made of.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, net::{Classes, Net, TransformerConfig}};
/// let device = Device::flex();
/// let net = TransformerConfig::new(27, 16).width(64).depth(2).init(&Rng::new(7), &device);
/// let letters = Tensor::<3>::from_floats([[[3.0], [0.0], [26.0]]], &device);
/// let logits = net.forward(letters, Tensor::ones([1], &device), &Classes::none());
/// assert_eq!(logits.dims(), [1, 3, 27]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerConfig {
    /// Categories of a token, a mask included; 0 for continuous data.
    pub vocabulary: usize,
    /// Numbers of a token of continuous data; 0 for categories.
    pub channels: usize,
    /// Tokens of the longest sequence.
    pub length: usize,
    /// Numbers of a token inside the net.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of an attention, which share the width evenly.
    pub heads: usize,
    /// How many times wider than a token the hidden layer of a block's perceptron is.
    pub expansion: usize,
    /// How a token knows its place.
    pub positions: Positions,
    /// Whether a token sees those before it alone, and itself.
    pub causal: bool,
    /// A category that no other token looks at: text that was filled up to a length.
    ///
    /// The net reads it off z. Where the noise leaves a category as it was or hides it (absorbing), a filling seen is a
    /// filling in truth, and what is hidden is looked at; under a noise that may turn any token into a filling
    /// (uniform, marginal) it would blind the net to tokens at random, so leave this out there. Leave it out as well where
    /// fillings are to tell how long a text is.
    pub pad: Option<usize>,
    /// Whether logits are products with the table that tokens are looked up in.
    pub tied: bool,
    /// Whether the net is told the time.
    pub time: bool,
    /// Classes that the net may be told, beside "none"; 0 for a net without classes.
    pub classes: usize,
    /// Numbers that time and class are told in; 0 for as many as the width.
    pub told: usize,
    /// Probability that a number which attention or perceptron adds is dropped in training.
    pub dropout: f64,
    /// Sines and cosines that describe the time: an even number.
    pub time_features: usize,
    /// Numbers given for each number of continuous data: 1, or 2 where the variance is learned.
    pub outputs: usize,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            vocabulary: 0,
            channels: 0,
            length: 128,
            width: 128,
            depth: 4,
            heads: 4,
            expansion: 4,
            positions: Positions::Rotary,
            causal: false,
            pad: None,
            tied: false,
            time: true,
            classes: 0,
            told: 128,
            dropout: 0.0,
            time_features: 64,
            outputs: 1,
        }
    }
}

impl TransformerConfig {
    /// A net for sequences of up to `length` tokens of `vocabulary` categories.
    pub fn new(vocabulary: usize, length: usize) -> Self {
        Self { vocabulary, length, ..Self::default() }
    }
    /// A net for sequences of up to `length` tokens of `channels` numbers.
    pub fn continuous(channels: usize, length: usize) -> Self {
        Self { channels, length, ..Self::default() }
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
    /// How a token knows its place.
    pub fn positions(self, positions: Positions) -> Self {
        Self { positions, ..self }
    }
    /// Whether a token sees those before it alone, and itself.
    pub fn causal(self, causal: bool) -> Self {
        Self { causal, ..self }
    }
    /// The category that no other token looks at.
    pub fn pad(self, pad: impl Into<Option<usize>>) -> Self {
        Self { pad: pad.into(), ..self }
    }
    /// Whether logits are products with the table that tokens are looked up in.
    pub fn tied(self, tied: bool) -> Self {
        Self { tied, ..self }
    }
    /// Whether the net is told the time.
    pub fn time(self, time: bool) -> Self {
        Self { time, ..self }
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
    /// Numbers given for each number of the data.
    pub fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    /// Whether there is such a net.
    ///
    /// # Errors
    ///
    /// What is wrong and what would be right, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        match (self.vocabulary, self.channels) {
            (0, 0) => {
                return Err("a transformer reads tokens of a vocabulary or of channels: give vocabulary = 27 for \
                            categories, or channels = 64 for continuous data"
                    .into());
            }
            (1, 0) => return Err("vocabulary = 1, but one category alone says nothing: it is at least 2".into()),
            (vocabulary, channels) if vocabulary > 0 && channels > 0 => {
                return Err(format!(
                    "vocabulary = {vocabulary} and channels = {channels} are both given, but tokens are either categories \
                     or continuous: leave one out"
                ));
            }
            _ => (),
        }
        if self.length == 0 {
            return Err("length = 0, but a sequence has at least one token".into());
        }
        check_blocks(self.width, self.depth, self.heads, self.expansion, self.positions, 1)?;
        if self.vocabulary == 0 && (self.tied || self.pad.is_some()) {
            return Err(
                "`tied` and `pad` are about the table of a vocabulary, and continuous data have none: leave them \
                        out"
                .into(),
            );
        }
        if let Some(pad) = self.pad.filter(|pad| *pad >= self.vocabulary) {
            return Err(format!("pad = {pad}, but categories are numbered 0 to {}", self.vocabulary - 1));
        }
        if self.vocabulary > 0 && self.outputs != 1 {
            return Err(format!("outputs = {}, but logits have no variance to be learned: it is 1", self.outputs));
        }
        check_common(if self.time { self.time_features } else { 2 }, self.dropout, self.outputs)
    }

    /// The net a seed begins with: its output is exactly zero until it is trained, all categories alike.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) refuses.
    pub fn init(&self, rng: &Rng, device: &Device) -> Transformer {
        if let Err(reason) = self.check() {
            panic!("{reason}");
        }
        let Self { vocabulary, channels, width, .. } = *self;
        let told = if self.told == 0 { width } else { self.told };
        let features = if self.time { self.time_features } else { 0 };
        let context = Context::new(features, self.classes, told, &rng.stream("told"), device);
        let told = if context.speaks() { told } else { 0 };
        let block = |i| {
            let rng = rng.stream(&format!("block.{i}"));
            Block::new(width, self.heads, self.expansion, told, &rng, device)
        };
        // Times √width, the numbers of a token have variance 1.
        let rows = |name: &str, rows| {
            let normal = rng.stream(name).normal_tensor([rows, width], device, DType::F32);
            Param::from_tensor(normal / (width as f64).sqrt())
        };
        let zeros = || Param::from_tensor(Tensor::zeros([vocabulary], (device, DType::F32)));
        let outputs = if vocabulary > 0 { vocabulary } else { self.outputs * channels };
        Transformer {
            context,
            table: (vocabulary > 0).then(|| rows("table", vocabulary)),
            first: (channels > 0).then(|| Linear::new(channels, width, &rng.stream("first"), device)),
            places: (self.positions == Positions::Learned).then(|| rows("places", self.length)),
            blocks: (0..self.depth).map(block).collect(),
            modulation: Modulation::new(told, 2 * width, device),
            last: Linear::zero(width, if self.tied { width } else { outputs }, device),
            bias: self.tied.then(zeros),
            config: self.clone(),
        }
    }
}

/// What configurations of transformers have in common.
pub(super) fn check_blocks(
    width: usize,
    depth: usize,
    heads: usize,
    expansion: usize,
    positions: Positions,
    axes: usize,
) -> Result<(), String> {
    for (name, value) in [("width", width), ("depth", depth), ("heads", heads), ("expansion", expansion)] {
        if value == 0 {
            return Err(format!("{name} = 0, but it is at least 1"));
        }
    }
    if !width.is_multiple_of(heads) {
        return Err(format!("width = {width} is not shared evenly by heads = {heads}: give a multiple of {heads}"));
    }
    let pairs = 2 * axes;
    match positions {
        Positions::Rotary if !(width / heads).is_multiple_of(pairs) => Err(format!(
            "positions = \"rotary\" turns pairs of numbers{}, but a head has width / heads = {}: make that a multiple of \
             {pairs}",
            if axes > 1 { " for each axis" } else { "" },
            width / heads
        )),
        Positions::Sinusoidal if !width.is_multiple_of(pairs) => Err(format!(
            "positions = \"sinusoidal\" adds pairs of sines and cosines, but width = {width}: make it a multiple of {pairs}"
        )),
        _ => Ok(()),
    }
}

/// Tokens that look at one another, `depth` times over.
///
/// A token of category i enters as row i of a table, or as the mean of rows under given probabilities; a token of
/// continuous numbers by a linear map. Each block is attention and a perceptron on adaptive layer norms, gated, where
/// time and class tell shift, scale and gate (adaLN-zero). At the end logits of each category, or as many numbers as
/// came in. With `tied` the logits are `table · W h + b`, W a square matrix.
///
/// The numbers of a sequence do not depend on the batch it is in.
///
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), <https://arxiv.org/abs/2212.09748>; for masked
/// text as in Sahoo et al., "Simple and Effective Masked Diffusion Language Models" (2024),
/// <https://arxiv.org/abs/2406.07524>.
///
/// # Shapes
///
/// `z: [batch, tokens, 1]` (numbers of categories) or `[batch, tokens, vocabulary]` (one-hot, probabilities) →
/// `[batch, tokens, vocabulary]`; continuous `[batch, tokens, channels]` → the same, twice as many tokens where the variance
/// is learned.
///
/// # Panics
///
/// If a sequence is longer than `length`, or a token is of another size.
#[derive(Module, Debug)]
pub struct Transformer {
    context: Context,
    /// `[vocabulary, width]`.
    table: Option<Param<Tensor<2>>>,
    first: Option<Linear>,
    /// `[length, width]`.
    places: Option<Param<Tensor<2>>>,
    blocks: Vec<Block>,
    modulation: Modulation,
    last: Linear,
    /// `[vocabulary]`, where the table gives the logits.
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: TransformerConfig,
}

impl Transformer {
    /// What it is made of.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// z as tokens of the net's width, of variance about 1.
    fn read(&self, z: &Tensor<3>) -> Tensor<3> {
        let [batch, tokens, wide] = z.dims();
        let TransformerConfig { length, vocabulary, channels, width, .. } = self.config;
        assert!(
            tokens <= length,
            "a sequence of {tokens} tokens was given to a transformer of length = {length}: shorten the text, or train a \
             net of greater length"
        );
        let scale = (width as f64).sqrt();
        let x = match (&self.table, &self.first) {
            (Some(table), _) if wide == 1 => {
                let numbers: Tensor<1, Int> = z.clone().reshape([batch * tokens]).int();
                table.val().select(0, numbers).reshape([batch, tokens, width]) * scale
            }
            (Some(table), _) if wide == vocabulary => ops::linear(z.clone(), table.val(), None) * scale,
            (None, Some(first)) if wide == channels => linear(z.clone(), first),
            (Some(_), _) => panic!(
                "tokens of {wide} numbers were given to a transformer of {vocabulary} categories: it reads a category's \
                 number (1) or its probabilities ({vocabulary})"
            ),
            _ => panic!("tokens of {wide} numbers were given to a transformer of {channels} channels"),
        };
        match self.config.positions {
            Positions::Rotary => x,
            Positions::Sinusoidal => x + sinusoids(&line(tokens), width, &z.device()).unsqueeze(),
            Positions::Learned => {
                let places = self.places.as_ref().expect("made with the net").val();
                x + (places.narrow(0, 0, tokens) * scale).unsqueeze()
            }
        }
    }

    /// Which token (third axis) does not see which (last axis).
    fn hidden(&self, z: &Tensor<3>) -> Option<Tensor<4, Bool>> {
        let [batch, n, _] = z.dims();
        let device = z.device();
        let places = || Tensor::<1, Int>::arange(0..n as i64, &device);
        let (seeing, seen) = (places().reshape([1, 1, n, 1]), places().reshape([1, 1, 1, n]));
        let grid = |x: Tensor<4, Int>| x.expand([1, 1, n, n]);
        let later = self.config.causal.then(|| grid(seen.clone()).greater(grid(seeing.clone())));
        let padding = self.config.pad.map(|pad| {
            let pads = is(z, pad);
            let others = grid(seen).not_equal(grid(seeing));
            pads.reshape([batch, 1, 1, n]).expand([batch, 1, n, n]).bool_and(others.expand([batch, 1, n, n]))
        });
        match (later, padding) {
            (Some(later), Some(padding)) => Some(padding.clone().bool_or(later.expand(padding.dims()))),
            (later, padding) => later.or(padding),
        }
    }

    fn run(&self, z: Tensor<3>, t: Tensor<1>, y: &Classes, rng: Option<Rng>) -> Tensor<3> {
        let [batch, tokens, _] = z.dims();
        let TransformerConfig { width, heads, channels, outputs, .. } = self.config;
        let mut x = self.read(&z);
        let rotary = self.config.positions == Positions::Rotary;
        let mut pass = Pass {
            told: self.context.forward(t, y),
            rotation: rotary.then(|| Rotation::new(&line(tokens), heads, width, &z.device())),
            hidden: self.hidden(&z),
            dropout: self.config.dropout,
            rng,
        };
        for block in &self.blocks {
            x = block.forward(x, &mut pass);
        }
        let [shift, scale] = self.modulation.forward(pass.told.as_ref());
        let x = linear(modulate(x, scale, shift), &self.last);
        match (&self.table, &self.bias) {
            (Some(table), Some(bias)) => ops::linear(x, table.val().swap_dims(0, 1), Some(bias.val())),
            (None, _) if outputs > 1 => {
                // The variance is told on the second axis.
                let x = x.reshape([batch, tokens, outputs, channels]).swap_dims(1, 2);
                x.reshape([batch, outputs * tokens, channels])
            }
            _ => x,
        }
    }
}

/// The places of tokens in a row.
fn line(tokens: usize) -> Vec<Vec<f64>> {
    (0..tokens).map(|i| vec![i as f64]).collect()
}

impl Net<3> for Transformer {
    type Condition = Classes;
    fn forward(&self, z: Tensor<3>, t: Tensor<1>, y: &Classes) -> Tensor<3> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<3>, t: Tensor<1>, y: &Classes, rng: &Rng) -> Tensor<3> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
}

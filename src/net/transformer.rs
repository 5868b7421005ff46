//! The transformer for sequences.
use super::{
    Conditions, Net, Positions, Task,
    blocks::{Block, Conditioning, Modulation, Rotation, Shared, linear, modulate, sinusoids},
    config::{check_common, check_fits, check_positive, setters, takes_conditions},
    embed::{Embedders, check_conditions, has_global, has_tokens},
    layers::Linear,
};
use crate::{
    condition::ConditionSpec,
    distribution::is,
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Device, Int, Tensor},
};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// Configuration of a [`Transformer`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, net::{Conditions, Net, TransformerConfig}};
/// let device = Device::flex();
/// let config = TransformerConfig::new(27, 16).with_width(64).with_depth(2);
/// let net = config.init(&Rng::new(7), &device)?;
/// let tokens = Tensor::<3>::from_floats([[[3.0], [0.0], [26.0]]], &device);
/// let logits = net.forward(tokens, Tensor::ones([1], &device), &Conditions::none());
/// assert_eq!(logits.dims(), [1, 3, 27]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerConfig {
    /// Number of categories of a token, the mask included; 0 for continuous data.
    #[doc(alias = "vocab_size")]
    #[serde(skip)]
    pub vocabulary: usize,
    /// Values of a token of continuous data; 0 for discrete data.
    #[serde(skip)]
    pub in_channels: usize,
    /// Largest length of a sequence, in tokens.
    #[doc(alias = "max_position_embeddings")]
    #[serde(skip)]
    pub length: usize,
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
    /// Position encoding of the tokens: `rotary`, `sinusoidal` or `learned`.
    pub positions: Positions,
    /// Whether a token attends only to itself and the tokens before it.
    pub causal: bool,
    /// Padding category, to which no other token attends: text filled up to a length.
    ///
    /// The net reads it off z. If the noise leaves a category as it is or masks it (absorbing), a padding token seen is padding
    /// in the data, and masked tokens are attended to. Noise that may turn any token into padding (uniform, marginal) would
    /// hide tokens at random: leave this out there, and also if padding is to carry the length of a text.
    #[doc(alias = "pad_token_id")]
    #[serde(skip)]
    pub pad: Option<usize>,
    /// Whether the output layer shares its weights with the token embedding.
    #[doc(alias = "tie_word_embeddings")]
    pub tied: bool,
    /// Whether the net reads the time.
    pub time: bool,
    /// Number of classes, not counting "none"; 0 for an unconditional net.
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
    /// Outputs per value of continuous data: 1, or 2 if the variance is learned.
    #[serde(skip)]
    pub outputs: usize,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            vocabulary: 0,
            in_channels: 0,
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
            num_classes: 0,
            conditions: vec![],
            cond_width: 128,
            dropout: 0.0,
            time_features: 64,
            outputs: 1,
        }
    }
}

setters!(TransformerConfig:
    with_width width usize,
    with_depth depth usize,
    with_heads heads usize,
    with_expansion expansion usize,
    with_positions positions Positions,
    with_causal causal bool,
    with_pad pad impl Into<Option<usize>>,
    with_tied tied bool,
    with_time time bool,
    with_num_classes num_classes usize,
    with_cond_width cond_width usize,
    with_dropout dropout f64,
    with_time_features time_features usize,
    with_outputs outputs usize,
);
takes_conditions!(TransformerConfig);

impl TransformerConfig {
    /// A net for sequences of up to `length` tokens of `vocabulary` categories.
    pub fn new(vocabulary: usize, length: usize) -> Self {
        Self { vocabulary, length, ..Self::default() }
    }
    /// A net for sequences of up to `length` tokens of `in_channels` continuous values.
    pub fn continuous(in_channels: usize, length: usize) -> Self {
        Self { in_channels, length, ..Self::default() }
    }

    /// Takes `vocabulary` or `in_channels`, `length`, `num_classes`, `conditions` and `outputs` from the task.
    pub fn fit(self, task: &Task<'_>) -> Self {
        Self {
            vocabulary: task.categories.unwrap_or(0),
            in_channels: if task.categories.is_some() { 0 } else { task.size(1) },
            length: task.size(0),
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
        match (self.vocabulary, self.in_channels) {
            (0, 0) => {
                return Err(Error::invalid(
                    "a transformer needs the vocabulary of discrete data or the channels of continuous data",
                )
                .with_remedy("give `vocabulary`, for example 27, or `in_channels`, for example 64"));
            }
            (1, 0) => return wrong("vocabulary", "must be at least 2, got 1".into()),
            (vocabulary, channels) if vocabulary > 0 && channels > 0 => {
                return Err(Error::invalid(format!(
                    "vocabulary = {vocabulary} and in_channels = {channels} are both given, but tokens are either discrete or \
                     continuous"
                ))
                .with_remedy("leave one out"));
            }
            _ => (),
        }
        check_positive(&[("length", self.length)])?;
        check_blocks(self.width, self.depth, self.heads, self.expansion, self.positions, 1)?;
        for (field, given) in [("tied", self.tied), ("pad", self.pad.is_some())] {
            if self.vocabulary == 0 && given {
                return Err(Error::invalid("needs a vocabulary, which continuous data do not have")
                    .with_field(field)
                    .with_remedy("leave it out"));
            }
        }
        if let Some(pad) = self.pad.filter(|pad| *pad >= self.vocabulary) {
            return wrong("pad", format!("must be a category, 0 to {}, got {pad}", self.vocabulary - 1));
        }
        if self.vocabulary > 0 && self.outputs != 1 {
            return wrong("outputs", format!("must be 1 for logits, which have no variance, got {}", self.outputs));
        }
        check_conditions("transformer", &self.conditions, None, true)?;
        check_common(if self.time { self.time_features } else { 2 }, self.dropout, self.outputs)
    }

    /// Initializes the net from a seed; its output is exactly zero before training, so all categories have equal probability.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<Transformer> {
        self.check()?;
        let Self { vocabulary, in_channels, width, .. } = *self;
        let cond_width = if self.cond_width == 0 { width } else { self.cond_width };
        let features = if self.time { self.time_features } else { 0 };
        let cond = Conditioning::new(features, self.num_classes, cond_width, &rng.stream("told"), device);
        let rest = &rng.stream("conditions");
        let conditions = Embedders::new(self.num_classes, &self.conditions, cond_width, width, rest, device);
        let cond_width = if cond.is_empty() && !has_global(&self.conditions) { 0 } else { cond_width };
        let tokens = has_tokens(&self.conditions);
        let block = |i| {
            let rng = rng.stream(&format!("block.{i}"));
            let block = Block::new(width, self.heads, self.expansion, cond_width, &rng, device);
            if tokens { block.with_cross_attention(width, &rng, device) } else { block }
        };
        // Times √width, the values of a token have variance 1.
        let rows = |name: &str, rows| {
            let normal = rng.stream(name).normal_tensor([rows, width], device, DType::F32);
            Param::from_tensor(normal / (width as f64).sqrt())
        };
        let zeros = || Param::from_tensor(Tensor::zeros([vocabulary], (device, DType::F32)));
        let outputs = if vocabulary > 0 { vocabulary } else { self.outputs * in_channels };
        Ok(Transformer {
            conditions,
            cond,
            table: (vocabulary > 0).then(|| rows("table", vocabulary)),
            first: (in_channels > 0).then(|| Linear::new(in_channels, width, &rng.stream("first"), device)),
            positions: (self.positions == Positions::Learned).then(|| rows("places", self.length)),
            blocks: (0..self.depth).map(block).collect(),
            modulation: Modulation::new(cond_width, 2 * width, device),
            last: Linear::zero(width, if self.tied { width } else { outputs }, device),
            bias: self.tied.then(zeros),
            config: self.clone(),
            checkpointing: false,
        })
    }
}

/// Checks the fields that configurations of transformers share; a position has `axes` coordinates.
pub(super) fn check_blocks(
    width: usize,
    depth: usize,
    heads: usize,
    expansion: usize,
    positions: Positions,
    axes: usize,
) -> Result<()> {
    check_positive(&[("width", width), ("depth", depth), ("heads", heads), ("expansion", expansion)])?;
    let wrong = |field: &str, problem: String| Err(Error::invalid(problem).with_field(field));
    if !width.is_multiple_of(heads) {
        return wrong("width", format!("must be a multiple of heads = {heads}, got {width}"));
    }
    let pairs = 2 * axes;
    match positions {
        Positions::Rotary if !(width / heads).is_multiple_of(pairs) => {
            let (each, head) = (if axes > 1 { " for each axis" } else { "" }, width / heads);
            wrong(
                "positions",
                format!(
                    "\"rotary\" rotates pairs of values{each}: width / heads must be a multiple of {pairs}, got {head}"
                ),
            )
        }
        Positions::Sinusoidal if !width.is_multiple_of(pairs) => {
            wrong("width", format!("must be a multiple of {pairs} for positions = \"sinusoidal\", got {width}"))
        }
        _ => Ok(()),
    }
}

/// Transformer: `depth` blocks of self-attention over the tokens of a sequence.
///
/// A token of category i enters as row i of an embedding table, or as the mean of rows under given probabilities; a token of
/// continuous values by a linear map. Each block is self-attention and an MLP, each after an adaptive layer norm and through a
/// gate; shift, scale and gate are linear in the embedding of time and class (adaLN-zero), or, with neither, learned vectors,
/// the gates from 1 on. The output is a logit per
/// category, or as many values as came in. With `tied` the logits are `table · W h + b`, W a square matrix.
///
/// The output of a sequence does not depend on the rest of the batch.
///
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), <https://arxiv.org/abs/2212.09748>; for masked
/// text as in Sahoo et al., "Simple and Effective Masked Diffusion Language Models" (2024),
/// <https://arxiv.org/abs/2406.07524>.
///
/// # Shapes
///
/// `z: [batch, tokens, 1]` (category indices) or `[batch, tokens, vocabulary]` (one-hot, probabilities) →
/// `[batch, tokens, vocabulary]`; continuous `[batch, tokens, in_channels]` → the same, with twice as many tokens if the
/// variance is learned.
///
/// # Panics
///
/// If a sequence is longer than `length`, or a token has another number of values.
#[derive(Module, Debug)]
pub struct Transformer {
    conditions: Embedders,
    cond: Conditioning,
    /// Token embedding `[vocabulary, width]`.
    table: Option<Param<Tensor<2>>>,
    first: Option<Linear>,
    /// Position embedding `[length, width]`, if learned.
    positions: Option<Param<Tensor<2>>>,
    blocks: Vec<Block>,
    modulation: Modulation,
    last: Linear,
    /// `[vocabulary]`, if the token embedding gives the logits.
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: TransformerConfig,
    #[module(skip)]
    checkpointing: bool,
}

impl Transformer {
    /// Returns the configuration.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// Embeds z and adds the position encoding: `[batch, tokens, width]`, of variance about 1.
    fn embed(&self, z: &Tensor<3>) -> Tensor<3> {
        let [batch, tokens, wide] = z.dims();
        let TransformerConfig { length, vocabulary, in_channels, width, .. } = self.config;
        assert!(
            tokens <= length,
            "a sequence of {tokens} tokens was given to a transformer of length = {length}: shorten it, or train a net \
             of larger length"
        );
        let scale = (width as f64).sqrt();
        let x = match (&self.table, &self.first) {
            (Some(table), _) if wide == 1 => {
                let indices: Tensor<1, Int> = z.clone().reshape([batch * tokens]).int();
                table.val().select(0, indices).reshape([batch, tokens, width]) * scale
            }
            (Some(table), _) if wide == vocabulary => ops::linear(z.clone(), table.val(), None) * scale,
            (None, Some(first)) if wide == in_channels => linear(z.clone(), first),
            (Some(_), _) => panic!(
                "tokens of {wide} values were given to a transformer of {vocabulary} categories: it reads category indices \
                 (1 value) or probabilities ({vocabulary} values)"
            ),
            _ => panic!("tokens of {wide} values were given to a transformer of in_channels = {in_channels}"),
        };
        match self.config.positions {
            Positions::Rotary => x,
            Positions::Sinusoidal => x + sinusoids(&line(tokens), width, &z.device()).unsqueeze(),
            Positions::Learned => {
                let table = self.positions.as_ref().expect("initialized with the net").val();
                x + (table.narrow(0, 0, tokens) * scale).unsqueeze()
            }
        }
    }

    /// The attention mask: true if a query (third axis) must not attend to a key (last axis).
    fn mask(&self, z: &Tensor<3>) -> Option<Tensor<4, Bool>> {
        let [batch, n, _] = z.dims();
        let device = z.device();
        let indices = || Tensor::<1, Int>::arange(0..n as i64, &device);
        let (query, key) = (indices().reshape([1, 1, n, 1]), indices().reshape([1, 1, 1, n]));
        let grid = |x: Tensor<4, Int>| x.expand([1, 1, n, n]);
        let later = self.config.causal.then(|| grid(key.clone()).greater(grid(query.clone())));
        let padding = self.config.pad.map(|pad| {
            let pads = is(z, pad);
            let others = grid(key).not_equal(grid(query));
            pads.reshape([batch, 1, 1, n]).expand([batch, 1, n, n]).bool_and(others.expand([batch, 1, n, n]))
        });
        match (later, padding) {
            (Some(later), Some(padding)) => Some(padding.clone().bool_or(later.expand(padding.dims()))),
            (later, padding) => later.or(padding),
        }
    }

    fn run(&self, z: Tensor<3>, t: Tensor<1>, y: &Conditions, rng: Option<Rng>) -> Tensor<3> {
        let ([batch, tokens, _], device) = (z.dims(), z.device());
        let TransformerConfig { width, heads, in_channels, outputs, .. } = self.config;
        let mut x = self.embed(&z);
        let rotary = self.config.positions == Positions::Rotary;
        let mut shared = Shared {
            cond: self.cond.forward(t, y, &self.conditions),
            sequence: self.conditions.sequence(y, batch, &device),
            rotation: rotary.then(|| Rotation::new(&line(tokens), heads, width, &device)),
            mask: self.mask(&z),
            dropout: self.config.dropout,
            checkpointing: self.checkpointing,
            rng,
        };
        for block in &self.blocks {
            x = block.forward(x, &mut shared);
        }
        let [shift, scale] = self.modulation.forward(shared.cond.as_ref());
        let x = linear(modulate(x, scale, shift), &self.last);
        match (&self.table, &self.bias) {
            (Some(table), Some(bias)) => ops::linear(x, table.val().swap_dims(0, 1), Some(bias.val())),
            (None, _) if outputs > 1 => {
                // The variance lies on the second axis.
                let x = x.reshape([batch, tokens, outputs, in_channels]).swap_dims(1, 2);
                x.reshape([batch, outputs * tokens, in_channels])
            }
            _ => x,
        }
    }
}

/// Positions 0, 1, 2, … of tokens.
fn line(tokens: usize) -> Vec<Vec<f64>> {
    (0..tokens).map(|i| vec![i as f64]).collect()
}

impl Net<3> for Transformer {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<3>, t: Tensor<1>, y: &Conditions) -> Tensor<3> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<3>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<3> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        Ok(Self { checkpointing: on, ..self })
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.conditions.check(y, rows)
    }
    fn output_shape(&self, [rows, tokens, values]: [usize; 3], _: &Conditions) -> Result<[usize; 3]> {
        let TransformerConfig { vocabulary, in_channels, length, outputs, .. } = self.config;
        if tokens > length {
            let problem = format!("must be at least {tokens}, the tokens of a sequence of the data, got {length}");
            return Err(Error::invalid(problem)
                .with_field("length")
                .with_remedy("make the net of that length, or shorten the sequences"));
        }
        if vocabulary > 0 {
            if values != 1 {
                check_fits("vocabulary", vocabulary, values, "probabilities per token")?;
            }
            return Ok([rows, tokens, vocabulary]);
        }
        check_fits("in_channels", in_channels, values, "values per token")?;
        Ok([rows, outputs * tokens, in_channels])
    }
}

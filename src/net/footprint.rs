//! What networks need of memory, counted from their configurations before any of it is taken.
use super::{
    DitConfig, LABEL_CHANNELS, MlpConfig, Positions, Task, TransformerConfig,
    embed::{extra_channels, has_global},
};
use crate::condition::{ConditionKind, ConditionSpec};

mod unets;

/// Numbers that a network holds in memory, of single precision: 4 bytes each.
///
/// The numbers per row are counted from the sizes of the layers' outputs. They are floating-point numbers because a
/// configuration may describe a network that no machine could hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Footprint {
    /// Parameters.
    #[doc(alias = "num_parameters")]
    pub parameters: f64,
    /// Per row, the outputs of layers that the gradient is computed from: the activations of training.
    #[doc(alias = "activations")]
    pub training: f64,
    /// The same with gradient checkpointing ([`Net::with_checkpointing`](super::Net::with_checkpointing)); `training` if the net has
    /// none.
    pub checkpointed: f64,
    /// Per row, the outputs of layers that exist at the same time without a gradient, at most.
    pub inference: f64,
}

/// The parameters and activations of layers, added up.
#[derive(Default)]
struct Count {
    parameters: f64,
    training: f64,
    /// The largest single step, and what is kept beside it.
    step: f64,
    kept: f64,
    /// Of `training`, what gradient checkpointing computes again less what it keeps for that, and the largest part.
    saved: f64,
    largest: f64,
}
impl Count {
    /// A part that gradient checkpointing computes again from `kept` numbers.
    fn part(&mut self, kept: f64, count: impl FnOnce(&mut Self)) {
        let before = self.training;
        count(self);
        let own = self.training - before;
        self.saved += own - kept;
        self.largest = self.largest.max(own);
    }
    fn linear(&mut self, from: f64, to: f64) {
        self.parameters += from * to + to;
    }
    /// A convolution with a kernel of `taps` numbers per pair of channels.
    fn conv(&mut self, from: f64, to: f64, taps: f64) {
        self.parameters += taps * from * to + to;
    }
    /// Outputs that a gradient needs, `step` of which exist at once without one.
    fn outputs(&mut self, all: f64, step: f64) {
        self.training += all;
        self.step = self.step.max(step);
    }
    fn time_and_class(&mut self, features: usize, num_classes: usize, width: f64) {
        self.linear(features as f64, width);
        self.linear(width, width);
        if num_classes > 0 {
            self.parameters += (num_classes + 1) as f64 * width;
        }
        self.outputs(features as f64 + 4.0 * width, 0.0);
    }
    /// Embedders of conditions, in `width` values and tokens in `token_width`.
    fn conditions(&mut self, conditions: &[ConditionSpec], width: f64, token_width: f64) {
        for ConditionSpec { kind, .. } in conditions {
            match kind {
                ConditionKind::Class { num_classes } => {
                    self.parameters += (num_classes + 1) as f64 * width;
                    self.outputs(width, 0.0);
                }
                ConditionKind::Vector { mean, .. } => {
                    self.linear((mean.len() + 1) as f64, width);
                    self.linear(width, width);
                    self.outputs(mean.len() as f64 + 3.0 * width, 0.0);
                }
                ConditionKind::Tokens { vocabulary, length } => {
                    let length = (length + 1) as f64;
                    self.parameters += ((vocabulary + 2) as f64 + length) * token_width;
                    self.outputs(3.0 * length * token_width, length * token_width);
                }
                ConditionKind::LabelMap { num_labels, .. } => {
                    self.parameters += ((num_labels + 1) * LABEL_CHANNELS) as f64;
                }
                ConditionKind::Image { .. } => (),
            }
        }
    }
    /// Cross-attention of `places` places of `width` values to `tokens` tokens of `token_width` values.
    fn cross(&mut self, width: f64, token_width: f64, heads: f64, places: f64, tokens: f64) {
        self.linear(width, width);
        self.linear(token_width, 2.0 * width);
        self.linear(width, width);
        let own = places * 4.0 * width + tokens * 4.0 * width + 3.0 * heads * places * tokens;
        self.outputs(own, own);
    }
    fn done(self) -> Footprint {
        let Self { parameters, training, step, kept, saved, largest } = self;
        let checkpointed = if largest > 0.0 { training - saved + largest } else { training };
        Footprint { parameters, training, checkpointed, inference: step + kept }
    }
}

/// The tokens of all conditions, as cross-attention reads them.
fn condition_tokens(conditions: &[ConditionSpec]) -> f64 {
    let tokens = |spec: &ConditionSpec| match spec.kind {
        ConditionKind::Tokens { length, .. } => length + 1,
        _ => 0,
    };
    conditions.iter().map(tokens).sum::<usize>() as f64
}

/// Attention without the fused kernel keeps a score for each pair of tokens, several times.
fn scores(masked: bool, heads: f64, tokens: f64) -> f64 {
    if masked || std::env::var_os("TWEEDIE_KERNELS").is_some_and(|value| value == "off") {
        3.0 * heads * tokens * tokens
    } else {
        2.0 * heads * tokens
    }
}

/// Blocks of a transformer for `tokens` tokens of `width` values.
struct Blocks {
    depth: usize,
    width: usize,
    heads: usize,
    expansion: usize,
    tokens: f64,
    rotary: bool,
    masked: bool,
    dropout: bool,
    /// Width of the condition; 0 if there is none.
    cond_width: f64,
    /// Tokens of conditions that each block attends to.
    condition_tokens: f64,
}
impl Blocks {
    fn count(self, all: &mut Count) {
        if self.condition_tokens > 0.0 {
            let [width, heads] = [self.width as f64, self.heads as f64];
            for _ in 0..self.depth.min(100_000) {
                all.part(2.0 * width * self.condition_tokens, |all| {
                    all.outputs(width * self.tokens, 0.0);
                    all.cross(width, width, heads, self.tokens, self.condition_tokens);
                });
            }
        }
        let Self { depth, tokens, cond_width, .. } = self;
        let [depth, width, heads, expansion] = [depth, self.width, self.heads, self.expansion].map(|n| n as f64);
        let modulation = |parts: f64| if cond_width > 0.0 { cond_width * parts * width } else { 0.0 } + parts * width;
        let linear = |from: f64, to: f64| from * to + to;
        let layers = linear(width, 3.0 * width)
            + linear(width, width)
            + linear(width, expansion * width)
            + linear(expansion * width, width);
        all.parameters += depth * (modulation(6.0) + layers) + modulation(2.0);
        let (rotated, dropped) = (if self.rotary { 2.0 } else { 0.0 }, if self.dropout { 4.0 } else { 0.0 });
        let block = (12.0 + 2.0 * expansion + rotated + dropped) * width * tokens + scores(self.masked, heads, tokens);
        all.training += depth * (block + 6.0 * width);
        all.saved += depth * (block - width * tokens);
        all.largest = all.largest.max(block);
        let step = (3.0 + 2.0 * expansion.max(3.0)) * width * tokens + scores(self.masked, heads, tokens);
        all.outputs(width * tokens, step);
    }
}

impl DitConfig {
    /// Counts the numbers that the net holds in memory, for data of this task.
    pub fn footprint(&self, task: &Task<'_>) -> Footprint {
        let config = self.clone().fit(task);
        let &[_, height, image_width] = task.shape else { return Footprint::default() };
        let patch = config.patch.max(1);
        let tokens = height.div_ceil(patch) as f64 * image_width.div_ceil(patch) as f64;
        let [values, width] = [config.in_channels as f64 * (patch * patch) as f64, config.width as f64];
        let cond_width = if config.cond_width == 0 { width } else { config.cond_width as f64 };
        let mut all = Count::default();
        all.time_and_class(config.time_features, config.num_classes, cond_width);
        all.conditions(&config.conditions, cond_width, width);
        let read = (config.in_channels + extra_channels(&config.conditions)) as f64 * (patch * patch) as f64;
        all.linear(read, width);
        Blocks {
            depth: config.depth,
            width: config.width,
            heads: config.heads,
            expansion: config.expansion,
            tokens,
            rotary: config.positions == Positions::Rotary,
            masked: false,
            dropout: config.dropout > 0.0,
            cond_width,
            condition_tokens: condition_tokens(&config.conditions),
        }
        .count(&mut all);
        for _ in 0..config.pairs().min(100_000) {
            all.linear(2.0 * width, width);
            all.outputs(3.0 * width * tokens, 0.0);
            all.kept += width * tokens;
        }
        let outputs = config.outputs as f64 * values;
        all.linear(width, outputs);
        all.outputs(tokens * (read + 2.0 * width + 2.0 * outputs), 0.0);
        all.done()
    }
}

impl TransformerConfig {
    /// Counts the numbers that the net holds in memory, for data of this task.
    pub fn footprint(&self, task: &Task<'_>) -> Footprint {
        let config = self.clone().fit(task);
        let (tokens, width) = (config.length as f64, config.width as f64);
        let [vocabulary, channels] = [config.vocabulary as f64, config.in_channels as f64];
        let own = if config.cond_width == 0 { width } else { config.cond_width as f64 };
        let reads = config.time || config.num_classes > 0 || has_global(&config.conditions);
        let cond_width = if reads { own } else { 0.0 };
        let mut all = Count::default();
        if config.time {
            all.time_and_class(config.time_features, config.num_classes, cond_width);
        } else if config.num_classes > 0 {
            all.parameters += (config.num_classes + 1) as f64 * cond_width;
        }
        all.conditions(&config.conditions, own, width);
        all.parameters += vocabulary * width;
        if channels > 0.0 {
            all.linear(channels, width);
        }
        if config.positions == Positions::Learned {
            all.parameters += tokens * width;
        }
        Blocks {
            depth: config.depth,
            width: config.width,
            heads: config.heads,
            expansion: config.expansion,
            tokens,
            rotary: config.positions == Positions::Rotary,
            masked: config.causal || config.pad.is_some(),
            dropout: config.dropout > 0.0,
            cond_width,
            condition_tokens: condition_tokens(&config.conditions),
        }
        .count(&mut all);
        let outputs = if vocabulary > 0.0 { vocabulary } else { config.outputs as f64 * channels };
        all.linear(width, if config.tied { width } else { outputs });
        all.parameters += if config.tied { vocabulary } else { 0.0 };
        all.outputs(tokens * (3.0 * width + outputs), tokens * (2.0 * width + 2.0 * outputs));
        all.done()
    }
}

impl MlpConfig {
    /// Counts the numbers that the net holds in memory, for data of this task.
    pub fn footprint(&self, task: &Task<'_>) -> Footprint {
        let config = self.clone().fit(task);
        let Some(cond_width) = config.hidden.first().map(|n| *n as f64) else { return Footprint::default() };
        let mut all = Count::default();
        all.time_and_class(config.time_features, config.num_classes, cond_width);
        all.conditions(&config.conditions, cond_width, 0.0);
        let mut from = config.features as f64;
        let dropped = if config.dropout > 0.0 { 2.0 } else { 0.0 };
        for to in config.hidden.iter().map(|n| *n as f64) {
            all.linear(from, to);
            all.linear(cond_width, to);
            all.outputs((3.0 + dropped) * to, from + 4.0 * to);
            from = to;
        }
        let outputs = (config.outputs * config.features) as f64;
        all.linear(from, outputs);
        all.outputs(2.0 * outputs, 2.0 * outputs);
        all.done()
    }
}

//! The magnitude-preserving U-Net of EDM2.
use super::{
    Conditions, Net, Task,
    config::{check_common, check_fits, check_positive, setters, takes_conditions},
    embed::{Embedders, check_conditions},
    recompute::part,
    unet::Resize,
};
use crate::{
    condition::ConditionSpec,
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use layers::{Block, MpConv, MpLinear, Style, mp_cat, mp_silu, mp_sum, normalized};
use serde::{Deserialize, Serialize};

mod layers;

/// Configuration of an [`Edm2`].
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, net::{Conditions, Edm2Config, Net}};
/// let (rng, device) = (Rng::new(7), Device::flex());
/// let net = Edm2Config::new(1, [16, 32]).with_blocks(1).init(&rng, &device)?;
/// let z = rng.stream("z").normal_tensor([2, 1, 14, 14], &device, DType::F32);
/// let t = rng.stream("t").uniform_tensor([2], &device, DType::F32);
/// assert_eq!(net.forward(z, t, &Conditions::none()).dims(), [2, 1, 14, 14]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Edm2Config {
    /// Channels of an image.
    #[serde(skip)]
    pub in_channels: usize,
    /// Channels of each resolution level, from full resolution down.
    #[doc(alias("block_out_channels", "model_channels", "channel_mult"))]
    pub channels: Vec<usize>,
    /// Residual blocks per level on the way down; on the way up there is one more.
    #[doc(alias("layers_per_block", "num_blocks"))]
    pub blocks: usize,
    /// Levels whose blocks end in self-attention. The middle always has it.
    #[doc(alias = "attn_resolutions")]
    pub attention: Vec<usize>,
    /// Channels of an attention head; heads are wider on levels whose channels it does not divide.
    #[doc(alias = "channels_per_head")]
    pub head_channels: usize,
    /// Number of classes, not counting "none"; 0 for an unconditional net.
    #[doc(alias = "label_dim")]
    #[serde(skip)]
    pub num_classes: usize,
    /// Conditions besides the class: classes and vectors.
    #[serde(skip)]
    pub conditions: Vec<ConditionSpec>,
    /// Dropout probability inside the residual blocks in training.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// Output channels per channel of the image: 1, or 2 if the variance is learned.
    #[serde(skip)]
    pub outputs: usize,
}

impl Default for Edm2Config {
    fn default() -> Self {
        Self {
            in_channels: 1,
            channels: vec![32, 64],
            blocks: 2,
            attention: vec![],
            head_channels: 64,
            num_classes: 0,
            conditions: vec![],
            dropout: 0.0,
            outputs: 1,
        }
    }
}

setters!(Edm2Config:
    with_blocks blocks usize,
    with_attention attention impl Into<Vec<usize>>,
    with_head_channels head_channels usize,
    with_num_classes num_classes usize,
    with_dropout dropout f64,
    with_outputs outputs usize,
);
takes_conditions!(Edm2Config);

impl Edm2Config {
    /// A net for images of `in_channels` channels with a resolution level for each entry of `channels`.
    pub fn new(in_channels: usize, channels: impl Into<Vec<usize>>) -> Self {
        Self { in_channels, channels: channels.into(), ..Self::default() }
    }

    /// The nets of the paper for latents of four channels and a side of 64, with 1000 classes: `EDM2-XS`, `-S`, `-M`, `-L`, `-XL`
    /// and `-XXL`.
    ///
    /// 128, 192, 256, 320, 384 or 448 channels times 1, 2, 3, 4, three blocks a level, attention at 16×16 and 8×8: 125, 280, 498,
    /// 777, 1119 and 1523 million parameters.
    ///
    /// # Errors
    ///
    /// If there is no net of this name.
    pub fn named(name: &str) -> Result<Self> {
        let width = match name.strip_prefix("EDM2-") {
            Some("XS") => 128,
            Some("S") => 192,
            Some("M") => 256,
            Some("L") => 320,
            Some("XL") => 384,
            Some("XXL") => 448,
            _ => {
                return Err(Error::invalid(format!("there is no net `{name}`"))
                    .with_remedy("give EDM2-XS, EDM2-S, EDM2-M, EDM2-L, EDM2-XL or EDM2-XXL"));
            }
        };
        let channels = [1, 2, 3, 4].map(|n| n * width);
        Ok(Self { blocks: 3, attention: vec![2, 3], num_classes: 1000, ..Self::new(4, channels) })
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

    /// Width of the embedding of time and condition.
    pub(super) fn cond_width(&self) -> usize {
        self.channels.iter().copied().max().unwrap_or(0)
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// With the field that is not allowed.
    pub fn check(&self) -> Result<()> {
        let levels = self.channels.len();
        check_positive(&[("in_channels", self.in_channels)])?;
        if self.channels.is_empty() || self.channels.contains(&0) {
            let problem = format!(
                "must give the channels of at least one resolution level, from full resolution down, and no 0, got {:?}",
                self.channels
            );
            return Err(Error::invalid(problem).with_field("channels").with_remedy("for example [32, 64]"));
        }
        if let Some(level) = self.attention.iter().find(|level| **level >= levels) {
            let last = levels - 1;
            let problem = format!("must hold levels 0 (full resolution) to {last} of `channels`, got level {level}");
            return Err(Error::invalid(problem).with_field("attention"));
        }
        check_conditions("edm2", &self.conditions, None, false)?;
        check_positive(&[("blocks", self.blocks), ("head_channels", self.head_channels)])?;
        check_common(2, self.dropout, self.outputs)
    }

    /// Initializes the net from a seed; its output is exactly zero before training.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<Edm2> {
        self.check()?;
        let (widths, last, cond_width) = (&self.channels[..], self.channels.len() - 1, self.cond_width());
        let style = Style { cond_width, head_channels: self.head_channels };
        let block =
            |from, to, encodes, attends, rng: Rng| Block::new([from, to], encodes, attends, &style, &rng, device);
        let mut skips = vec![widths[0]];
        let (mut width, mut encoder, mut decoder) = (widths[0], vec![], vec![]);
        for (level, &to) in widths.iter().enumerate() {
            let (rng, attends) = (rng.stream(&format!("encoder.{level}")), self.attention.contains(&level));
            let resample = (level > 0).then(|| block(width, width, true, false, rng.stream("resample")));
            skips.extend(resample.as_ref().map(|_| width));
            let mut blocks = vec![];
            for i in 0..self.blocks {
                blocks.push(block(width, to, true, attends, rng.stream(&format!("block.{i}"))));
                width = to;
                skips.push(to);
            }
            encoder.push(Stage { resample, blocks });
        }
        let middle = [("before", true), ("after", false)]
            .map(|(name, attends)| block(width, width, false, attends, rng.stream("middle").stream(name)));
        for (level, &to) in widths.iter().enumerate().rev() {
            let (rng, attends) = (rng.stream(&format!("decoder.{level}")), self.attention.contains(&level));
            let resample = (level < last).then(|| block(width, width, false, false, rng.stream("resample")));
            let mut blocks = vec![];
            for i in 0..=self.blocks {
                let from = width + skips.pop().expect("a skip connection per block");
                blocks.push(block(from, to, false, attends, rng.stream(&format!("block.{i}"))));
                width = to;
            }
            decoder.push(Stage { resample, blocks });
        }
        // One channel more, which is one everywhere, in the place of biases.
        let read = self.in_channels + 1;
        let rest = rng.stream("conditions");
        Ok(Edm2 {
            conditions: Embedders::new(self.num_classes, &self.conditions, cond_width, 0, &rest, device),
            time: MpLinear::new(widths[0], cond_width, &rng.stream("time"), device),
            classes: (self.num_classes > 0)
                .then(|| MpLinear::new(self.num_classes, cond_width, &rng.stream("classes"), device)),
            first: MpConv::new([read, widths[0]], 3, &rng.stream("first"), device),
            encoder,
            middle: middle.into(),
            decoder,
            last: MpConv::new([width, self.outputs * self.in_channels], 3, &rng.stream("last"), device),
            gain: Param::from_tensor(Tensor::zeros([1], (device, DType::F32))),
            config: self.clone(),
            checkpointing: false,
        })
    }
}

/// The magnitude-preserving U-Net of EDM2: no biases and no group norms; every weight is normalized, and sums, concatenations and
/// activations are scaled, so that the activations of a new net have a root mean square near 1 everywhere.
///
/// Weights are normalized where they are used (weight normalization). The paper's code writes the normalized weights back before each
/// step too, so that their learning rate does not depend on how far they have grown; here they grow, and the rate falls with them.
/// Embeddings of vectors and of further classes are normalized and added like those of the class. Images may have any size, as those of
/// a [`UNet`](super::UNet).
///
/// The time enters by cosines of 4 t, whose range is about that of the paper's `ln(σ)/4`, with fixed random frequencies.
///
/// Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models" (2024), configuration G and appendix B,
/// <https://arxiv.org/abs/2312.02696>.
///
/// # Shapes
///
/// `z: [batch, in_channels, h, w]` → `[batch, outputs · in_channels, h, w]`.
#[doc(alias("MPConv", "magnitude_preserving"))]
#[derive(Module, Debug)]
pub struct Edm2 {
    conditions: Embedders,
    time: MpLinear,
    /// Of classes, one row each; that of "none" is zero.
    classes: Option<MpLinear>,
    first: MpConv,
    encoder: Vec<Stage>,
    middle: Vec<Block>,
    decoder: Vec<Stage>,
    last: MpConv,
    /// Gain of the output, initially 0.
    gain: Param<Tensor<1>>,
    #[module(skip)]
    config: Edm2Config,
    #[module(skip)]
    checkpointing: bool,
}

/// A resolution level on the way down or up.
#[derive(Module, Debug)]
struct Stage {
    /// Changes the resolution before the blocks.
    resample: Option<Block>,
    blocks: Vec<Block>,
}

/// Features of the time, `√2 cos(2π f 4 t + φ)`, with fixed normal frequencies f and uniform phases φ.
fn time_features(t: Tensor<1>, features: usize) -> Tensor<2> {
    let rng = Rng::new(0).stream("time features");
    let (frequencies, phases) =
        (rng.stream("frequencies").normals(1, features), rng.stream("phases").uniforms(1, features));
    let row = |values: Vec<f64>, scale: f64| {
        let values: Vec<f32> = values.into_iter().map(|x| (std::f64::consts::TAU * scale * x) as f32).collect();
        Tensor::<2>::from_data(TensorData::new(values, [1, features]), (&t.device(), t.dtype()))
    };
    let angles = t.clone().unsqueeze_dim(1) * row(frequencies, 4.0) + row(phases, 1.0);
    angles.cos() * std::f64::consts::SQRT_2
}

impl Edm2 {
    /// The embedding of time and conditions, of magnitude 1 before the activation: `[batch, cond_width]`.
    fn embed(&self, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        let ([batch], device) = (t.dims(), t.device());
        let mut embedding = self.time.forward(time_features(t, self.config.channels[0]));
        if let Some(classes) = &self.classes {
            let none = Tensor::zeros([1, embedding.dims()[1]], (&device, embedding.dtype()));
            let table = Tensor::cat(vec![classes.normalized(), none], 0);
            let indices = y.to_classes().indices(batch, self.config.num_classes, &device);
            embedding = mp_sum(embedding, table.select(0, indices), 0.5);
        }
        if let Some(others) = self.conditions.global(y, batch, &device) {
            embedding = mp_sum(embedding, normalized(others, 1), 0.5);
        }
        mp_silu(embedding)
    }

    /// Computes the output, and shows `watch` what each block gives.
    fn run(
        &self,
        z: Tensor<4>,
        t: Tensor<1>,
        y: &Conditions,
        mut rng: Option<Rng>,
        mut watch: impl FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        let [batch, _, h, w] = z.dims();
        let (cond, rate) = (self.embed(t, y), self.config.dropout);
        let mut apply = |name: String, block: &Block, x: Tensor<4>, resize: Resize| {
            let vectors = vec![block.scales(&cond)];
            let x = part(self.checkpointing, block, x, vectors, &mut rng, move |block, x, mut scales, rng| {
                block.forward(x, scales.remove(0), &resize, rate, rng)
            });
            watch(&name, &x);
            x
        };
        let ones = Tensor::ones([batch, 1, h, w], (&z.device(), z.dtype()));
        let mut x = self.first.forward(Tensor::cat(vec![z, ones], 1), None);
        let mut skips = vec![x.clone()];
        for (level, stage) in self.encoder.iter().enumerate() {
            if let Some(block) = &stage.resample {
                x = apply(format!("encoder.{level}.resample"), block, x, Resize::Down);
                skips.push(x.clone());
            }
            for (i, block) in stage.blocks.iter().enumerate() {
                x = apply(format!("encoder.{level}.{i}"), block, x, Resize::Keep);
                skips.push(x.clone());
            }
        }
        for (i, block) in self.middle.iter().enumerate() {
            x = apply(format!("middle.{i}"), block, x, Resize::Keep);
        }
        for (stage, level) in self.decoder.iter().zip((0..self.decoder.len()).rev()) {
            if let Some(block) = &stage.resample {
                let size = skips.last().expect("a level above").dims()[2..].to_vec();
                x = apply(format!("decoder.{level}.resample"), block, x, Resize::Up(size));
            }
            for (i, block) in stage.blocks.iter().enumerate() {
                let skip = skips.pop().expect("a skip connection per block");
                x = apply(format!("decoder.{level}.{i}"), block, mp_cat(x, skip), Resize::Keep);
            }
        }
        self.last.forward(x, Some(self.gain.val()))
    }

    /// Returns the root mean square of what each block gives, with its name: near 1 in a new net for data and noise of variance 1.
    pub fn magnitudes(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions) -> Vec<(String, f64)> {
        let mut all = vec![];
        self.run(z, t, y, None, |name, x| {
            let square = (x.clone() * x.clone()).mean().into_scalar::<f32>();
            all.push((name.to_owned(), f64::from(square).sqrt()));
        });
        all
    }
}

impl Net<4> for Edm2 {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions) -> Tensor<4> {
        self.run(z, t, y, None, |_, _| ())
    }
    fn forward_train(&self, z: Tensor<4>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<4> {
        self.run(z, t, y, Some(rng.stream("dropout")), |_, _| ())
    }
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        Ok(Self { checkpointing: on, ..self })
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.conditions.check(y, rows)
    }
    fn output_shape(&self, [rows, channels, h, w]: [usize; 4], _: &Conditions) -> Result<[usize; 4]> {
        check_fits("in_channels", self.config.in_channels, channels, "channels")?;
        Ok([rows, self.last.outputs(), h, w])
    }
}

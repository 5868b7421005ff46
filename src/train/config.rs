//! The settings of a training run.
use super::{AdamW, Coupling};
use crate::{
    Precision,
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of a training run: `[train]` of a recipe.
#[doc(alias("TrainingArguments", "TrainingConfig"))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Number of optimizer steps. Default: 1000.
    #[doc(alias = "max_steps")]
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Samples per step, over all accumulated parts. Default: 64.
    #[doc(alias = "batch_size")]
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Parts that a batch is computed in, to save memory; the gradient is that of the whole batch. Default: 1.
    #[doc(alias("gradient_accumulation_steps", "accumulate_grad_batches"))]
    #[schemars(range(min = 1))]
    pub accumulate: usize,
    /// Shards that a part is cut into, each computed on a thread of its own. Not taken from the machine, because the
    /// gradient is rounded shard by shard: the same number of shards gives the same bits on any machine. A GPU computes a part
    /// as a whole. Default: 2.
    #[schemars(range(min = 1, max = 4096))]
    pub shards: usize,
    /// Gradient checkpointing: keeps the inputs of the network's blocks alone and computes each block again for the gradient. The
    /// bits are the same; each block is computed twice. A step of a U-Net of two levels of four blocks at 32×32 took
    /// 163 MB without and 82 MB with it, that of a DiT with 12 blocks 248 and 59 MB. Default: false.
    #[doc(alias("gradient_checkpointing", "use_checkpoint", "enable_gradient_checkpointing"))]
    pub checkpointing: bool,
    /// Precision of the network's matrix products, convolutions and attention: f32, or bf16 or f16 on a device that has it. Weights,
    /// their averages, the optimizer, norms, softmax and losses are in f32 always; in f16 the loss is scaled so that small
    /// gradients do not vanish. Default: f32.
    #[doc(alias("mixed_precision", "amp", "fp16", "bf16"))]
    pub precision: Precision,
    /// Learning rate after the warm-up. Default: 1e-3.
    #[doc(alias = "learning_rate")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Steps over which the learning rate rises linearly from 0. Default: 100.
    #[doc(alias = "lr_warmup_steps")]
    pub warmup: u64,
    /// Learning-rate schedule after the warm-up. Default: constant.
    #[doc(alias = "lr_scheduler")]
    pub lr_schedule: LrSchedule,
    /// Constants of the optimizer.
    pub adam: AdamW,
    /// Largest norm of the gradient over all parameters: a longer one is scaled down to it; 0 does not clip. Default: 1.
    #[doc(alias("max_grad_norm", "gradient_clip_val"))]
    #[schemars(range(min = 0.0))]
    pub clip: f64,
    /// Decay of the exponential moving average (EMA) of the weights, which sampling uses; 0 keeps no average. Default: 0.999.
    #[doc(alias("EMAModel", "ema_rate"))]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub ema_decay: f64,
    /// Probability p_uncond that a sample's condition is dropped, for classifier-free guidance. Default: 0.1.
    #[doc(alias("p_uncond", "cond_drop_prob"))]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub cond_dropout: f64,
    /// Probability that a part of a sample's condition is dropped, by the name of the part: beside `cond_dropout`, which drops all of
    /// them together. In a recipe, `dropout` of `[condition.NAME]`.
    #[serde(skip)]
    pub cond_dropouts: BTreeMap<String, f64>,
    /// How the noise of a batch is paired with its data: independently, or by optimal transport. Default: independent.
    #[doc(alias("minibatch_ot", "ot_cfm"))]
    pub coupling: Coupling,
    /// Standard deviation of offset noise, one number per sample and channel that is added to all of its pixels of ε, so that the mean
    /// brightness of images is learned too; 0.05 to 0.1 are usual. Sampling starts without it. Default: 0.
    ///
    /// Guttenberg, "Diffusion with Offset Noise" (2023), <https://www.crosslabs.org/blog/diffusion-with-offset-noise>.
    #[doc(alias("offset_noise"))]
    #[schemars(range(min = 0.0))]
    pub noise_offset: f64,
    /// Input perturbation γ: in training the network reads α x + σ (ε + γ ζ), ζ ~ N(0, I), and the target is that of ε, so that it
    /// gets used to its own errors; 0.1 is usual. Default: 0.
    ///
    /// Ning et al., "Input Perturbation Reduces Exposure Bias in Diffusion Models" (2023), <https://arxiv.org/abs/2301.11706>.
    #[doc(alias("input_perturbation_gamma"))]
    #[schemars(range(min = 0.0))]
    pub input_perturbation: f64,
    /// Seed of all randomness. Default: 0.
    pub seed: u64,
}
impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 64,
            accumulate: 1,
            shards: 2,
            checkpointing: false,
            precision: Precision::F32,
            lr: 1e-3,
            warmup: 100,
            lr_schedule: LrSchedule::Constant,
            adam: AdamW::default(),
            clip: 1.0,
            ema_decay: 0.999,
            cond_dropout: 0.1,
            cond_dropouts: BTreeMap::new(),
            coupling: Coupling::Independent,
            noise_offset: 0.0,
            input_perturbation: 0.0,
            seed: 0,
        }
    }
}

/// The learning-rate schedule after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LrSchedule {
    /// Constant.
    #[default]
    Constant,
    /// Falls to 0 along half a cosine.
    Cosine,
    /// Falls to 0 linearly.
    Linear,
}

impl Train {
    /// Returns the learning rate of step `step` (from 0).
    pub fn lr_at(&self, step: u64) -> f64 {
        let warm = if self.warmup == 0 { 1.0 } else { ((step + 1) as f64 / self.warmup as f64).min(1.0) };
        let left = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let progress = (step.saturating_sub(self.warmup) as f64 / left).min(1.0);
        self.lr
            * warm
            * match self.lr_schedule {
                LrSchedule::Constant => 1.0,
                LrSchedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
                LrSchedule::Linear => 1.0 - progress,
            }
    }

    /// Returns the decay of the moving average at step `step` (from 0): `min(ema_decay, (1 + step)/(10 + step))`, so that an
    /// average of few steps forgets the initial weights.
    pub fn ema_decay_at(&self, step: u64) -> f64 {
        self.ema_decay.min((1.0 + step as f64) / (10.0 + step as f64))
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// If a setting is out of range, with its field.
    pub fn check(&self) -> Result<()> {
        let rule = |holds: bool, field: &str, problem: String| {
            if holds { Ok(()) } else { Err(Error::invalid(problem).with_field(field)) }
        };
        let Self { steps, batch, accumulate, shards, lr, clip, ema_decay, cond_dropout, .. } = self.clone();
        rule(steps > 0, "steps", "must be 1 or more, got 0".into())?;
        rule(batch > 0, "batch", "must be 1 or more, got 0".into())?;
        rule(
            accumulate > 0 && batch.is_multiple_of(accumulate),
            "accumulate",
            format!("must divide the batch of {batch} samples into equal parts, got {accumulate}"),
        )?;
        rule(shards > 0, "shards", "must be 1 or more, got 0".into())?;
        rule(shards <= 4096, "shards", format!("must be at most 4096, got {shards}"))?;
        rule(lr > 0.0 && lr.is_finite(), "lr", format!("must be a positive number, got {lr}"))?;
        rule((0.0..1.0).contains(&ema_decay), "ema_decay", format!("must be in [0, 1), got {ema_decay}"))?;
        rule((0.0..=1.0).contains(&cond_dropout), "cond_dropout", format!("must be in [0, 1], got {cond_dropout}"))?;
        for (value, field) in [(self.noise_offset, "noise_offset"), (self.input_perturbation, "input_perturbation")] {
            let problem = format!("must be a finite number of 0 or more, got {value}");
            rule(value >= 0.0 && value.is_finite(), field, problem)?;
        }
        if let Some((name, p)) = self.cond_dropouts.iter().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
            return rule(false, "cond_dropouts", format!("must be in [0, 1], got {p} for the condition `{name}`"));
        }
        rule(clip >= 0.0, "clip", format!("must be 0 or more, got {clip}"))?;
        self.adam.check().map_err(|error| error.with_field("adam"))
    }
}

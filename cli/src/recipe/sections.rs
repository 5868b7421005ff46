//! The sections of a recipe that are not modules, and all of them together.
use crate::registry::{
    module::Description,
    schema::{self, Field, Type},
    settings::Part,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::LazyLock};
use tweedie::{Precision, denoise::Truncation, train::Train};

/// Checkpoints and evaluations of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunSettings {
    /// Steps between checkpoints; 0 writes one at the end only.
    pub checkpoint_every: u64,
    /// Number of checkpoints that are kept, besides the best.
    #[schemars(range(min = 1))]
    pub keep: usize,
    /// Steps between evaluations on held-out data; 0 never evaluates.
    pub evaluate_every: u64,
    /// Number of held-out samples per evaluation.
    pub evaluate_rows: usize,
}
impl Default for RunSettings {
    fn default() -> Self {
        Self { checkpoint_every: 500, keep: 2, evaluate_every: 250, evaluate_rows: 512 }
    }
}

/// The most steps of sampling, and the most timesteps of an evaluation.
pub(crate) const MAX_STEPS: usize = 1_000_000;

/// Defaults of sampling, which the flags of `tweedie sample` override.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SampleSettings {
    /// Number of samples.
    #[schemars(range(min = 1))]
    pub n: usize,
    /// Number of sampling steps. Default: 50, or all steps of a schedule that is a shorter table.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub steps: usize,
    /// Scale of classifier-free guidance towards the class; 1 disables guidance.
    pub guidance: f64,
    /// Batch size of sampling; does not change the samples.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Precision of the network's matrix products, convolutions and attention in `tweedie sample` and `evaluate`: f32, or bf16 or
    /// f16 on a device that has it.
    pub precision: Precision,
    /// Temperature of categorical predictions: below 1 sharpens them, 0 takes the most likely category.
    #[schemars(range(min = 0.0))]
    pub temperature: f64,
    /// Top-k truncation: number of most likely categories that can be sampled. Default: all.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Nucleus (top-p) truncation: probability mass of the most likely categories that can be sampled.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub top_p: f64,
    /// Quantile of |x̂| to which dynamic thresholding clips each sample. Default: x̂ is clipped to the data range.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Timestep spacing. Default: the steps of the schedule's table, or uniform in time.
    #[schemars(extend("x-module" = "spacing"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Part>,
    /// Sampler. Default: `ddim` for Gaussian noise, `ancestral` for categorical noise.
    #[schemars(extend("x-module" = "sampler"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Part>,
}
impl Default for SampleSettings {
    fn default() -> Self {
        Self {
            n: 100,
            steps: 50,
            guidance: 1.0,
            batch: 100,
            precision: Precision::F32,
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            threshold: None,
            times: None,
            sampler: None,
        }
    }
}
impl SampleSettings {
    /// How categorical predictions are truncated.
    pub fn truncation(&self) -> Truncation {
        Truncation { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p }
    }
}

/// A recipe of tweedie: a diffusion model, its data, and how it is trained and sampled.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Sections {
    /// Data set.
    #[schemars(extend("x-module" = "data"))]
    data: Part,
    /// Conditions of the samples besides their classes, each by a name of its own: `[condition.NAME]`. Default: none.
    #[schemars(extend("additionalProperties" = { "type": "object", "x-module": "condition" }))]
    condition: Option<BTreeMap<String, Part>>,
    /// Transform from data to x. Default: none.
    #[schemars(extend("x-module" = "transform"))]
    transform: Option<Part>,
    /// Noise schedule.
    #[schemars(extend("x-module" = "schedule"))]
    schedule: Part,
    /// Forward process and prediction type.
    #[schemars(extend("x-module" = "noise"))]
    noise: Part,
    /// Network.
    #[schemars(extend("x-module" = "net"))]
    net: Part,
    /// Losses, which are added. Default: `simple` for Gaussian noise, `vlb` for categorical noise.
    #[schemars(length(min = 1), extend("items" = { "type": "object", "x-module": "loss" }))]
    loss: Option<Vec<Part>>,
    /// Training times. Default: the steps of the schedule's table, or uniform in time.
    #[schemars(extend("x-module" = "spacing"))]
    times: Option<Part>,
    /// Optimization: steps, batch, learning rate, moving average of the weights.
    #[schemars(default)]
    train: Train,
    /// Checkpoints and evaluations of the run.
    #[schemars(default)]
    run: RunSettings,
    /// Defaults of sampling, which flags of `tweedie sample` override.
    #[schemars(default)]
    sample: SampleSettings,
}

/// The names of the sections, in the order of a recipe.
const ORDER: [&str; 11] =
    ["data", "condition", "transform", "schedule", "noise", "net", "loss", "times", "train", "run", "sample"];

/// The sections of a recipe as fields, in the order of a recipe.
pub(crate) fn all() -> Vec<Field> {
    static ALL: LazyLock<Vec<Field>> = LazyLock::new(described);
    ALL.clone()
}
fn described() -> Vec<Field> {
    let Type::Table(mut fields) = Type::read(&schema::of::<Sections>()) else {
        unreachable!("a recipe is a table");
    };
    for section in &mut fields {
        // In the order of the structs.
        section.type_ = match &*section.name {
            "train" => Type::Table(Description::of::<Train>("train").fields),
            "run" => Type::Table(Description::of::<RunSettings>("run").fields),
            "sample" => Type::Table(Description::of::<SampleSettings>("sample").fields),
            _ => continue,
        };
    }
    fields.sort_by_key(|field| ORDER.iter().position(|name| *name == field.name));
    fields
}

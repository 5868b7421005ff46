//! What a module must provide to be named by recipes: its settings, and how they become a module.
use crate::{data::Facts, registry::any_schedule::AnySchedule};
use burn::tensor::{Device, Tensor};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{borrow::Cow, fmt::Debug, sync::Arc};
use toml::{Table, Value};
use tweedie::{
    Result, Rng,
    denoise::Denoiser,
    loss::{Loss, Weight},
    net::{Conditions, Footprint, Net, Task},
    noise::Noise,
    spacing::Spacing,
    transform::Transform,
};

/// The fields of a module: what a recipe can set, what `tweedie list` explains and what the schema of recipes holds.
///
/// Derive `Serialize`, `Deserialize` and `JsonSchema` with `#[serde(default, deny_unknown_fields)]`, and implement `Default`. The
/// doc comment of the struct becomes the module's description, those of the fields become theirs. Ranges are given by
/// `#[schemars(range(min = 1))]`, open ones by `#[schemars(extend("exclusiveMinimum" = 0.0))]`; a unit by
/// `#[schemars(extend("x-unit" = "nats"))]`.
pub trait Settings: Serialize + DeserializeOwned + JsonSchema + Default + 'static {}
impl<T: Serialize + DeserializeOwned + JsonSchema + Default + 'static> Settings for T {}

/// A field that names a module: `{ name = "linear", steps = 100 }`.
///
/// In a [`ScheduleOf`] it names a schedule, in a [`SpacingOf`] a spacing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Part(pub Table);
impl Part {
    /// The module of that name with its default settings.
    pub fn named(name: &str) -> Self {
        Self(Table::from_iter([("name".to_owned(), Value::String(name.into()))]))
    }
}
impl JsonSchema for Part {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Part".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-module": "" })
    }
}

/// Settings of a schedule made of other schedules: `[schedule]`.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tweedie::schedule::Shifted;
/// # use tweedie_cli::{AnySchedule, Modules, Part, ScheduleOf};
/// /// A schedule for images twice as wide.
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Twice {
///     of: Part,
/// }
/// impl Default for Twice {
///     fn default() -> Self {
///         Self { of: Part::named("cosine") }
///     }
/// }
/// impl ScheduleOf for Twice {
///     const PARTS: &'static [&'static str] = &["of"];
///     fn schedule(&self, mut parts: Vec<AnySchedule>) -> AnySchedule {
///         // For continuous and for categorical data.
///         let shifted = |schedule| Shifted { schedule, factor: 2.0 };
///         parts.remove(0).map(shifted, |schedule| Shifted { schedule, factor: 2.0 })
///     }
/// }
/// // [schedule]
/// // name = "twice"
/// // of = { name = "linear", steps = 100 }
/// # let _ = Modules::default().schedule_of::<Twice>("twice");
/// ```
pub trait ScheduleOf: Settings {
    /// The fields, of type [`Part`], that name the other schedules.
    const PARTS: &'static [&'static str];
    /// The schedule made of those that the fields name, in the order of [`PARTS`](Self::PARTS).
    fn schedule(&self, parts: Vec<AnySchedule>) -> AnySchedule;
}

/// Settings of a spacing made of other spacings or of the recipe's schedule: `[times]`, and `times` in `[sample]`.
pub trait SpacingOf: Settings {
    /// The fields, of type [`Part`], that name the other spacings.
    const PARTS: &'static [&'static str] = &[];
    /// The spacing made of those that the fields name, in the order of [`PARTS`](Self::PARTS), and of the schedule.
    ///
    /// # Errors
    ///
    /// If the settings do not describe a spacing.
    fn spacing(&self, parts: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>>;
}

/// Settings of a loss that is weighted over noise levels: `[[loss]]`.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use std::sync::Arc;
/// # use tweedie::{Result, loss::{Regression, Space, weight::{Snr, Weight}}};
/// # use tweedie_cli::{LossOf, Modules, Part};
/// /// Squared error of x̂ with another weight.
/// #[derive(Default, Serialize, Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct OfX {
///     /// Weight over noise levels. Default: SNR.
///     #[schemars(extend("x-module" = "weight"))]
///     #[serde(skip_serializing_if = "Option::is_none")]
///     weighting: Option<Part>,
/// }
/// impl LossOf for OfX {
///     const WEIGHTS: &'static [&'static str] = &["weighting"];
///     type Loss = Regression;
///     fn loss(&self, mut weights: Vec<Option<Arc<dyn Weight>>>) -> Result<Regression> {
///         let weight = weights.remove(0).unwrap_or(Arc::new(Snr {}));
///         Ok(Regression::squared().in_space(Space::X0).with_weight(weight))
///     }
/// }
/// // [[loss]]
/// // name = "of-x"
/// // weighting = { name = "min-snr", gamma = 5.0 }
/// # let _ = Modules::default().loss_of::<OfX>("of-x");
/// ```
pub trait LossOf: Settings {
    /// The fields that name weights: of type `Option<Part>` with `#[schemars(extend("x-module" = "weight"))]`, or of such a type that
    /// is not optional.
    const WEIGHTS: &'static [&'static str];
    /// The loss.
    type Loss: Loss<2> + Loss<3> + Loss<4> + Loss<5> + 'static;
    /// The loss of the weights that the fields name, in the order of [`WEIGHTS`](Self::WEIGHTS); `None` for a field that is not set.
    ///
    /// # Errors
    ///
    /// If the settings do not describe a loss.
    fn loss(&self, weights: Vec<Option<Arc<dyn Weight>>>) -> Result<Self::Loss>;
}

/// Settings of a weight over noise levels made of other weights: `weighting` of a loss.
pub trait WeightOf: Settings {
    /// The fields, of type [`Part`], that name the other weights.
    const PARTS: &'static [&'static str];
    /// The weight made of those that the fields name, in the order of [`PARTS`](Self::PARTS).
    ///
    /// # Errors
    ///
    /// If the settings do not describe a weight.
    fn weight(&self, parts: Vec<Arc<dyn Weight>>) -> Result<Arc<dyn Weight>>;
}

/// Settings of a noise for data of any rank: `[noise]`.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tweedie::noise::{Gaussian, Prediction};
/// /// Gaussian noise whose network predicts x0.
/// #[derive(Default, Serialize, Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct PredictingX0 {}
/// impl tweedie_cli::NoiseConfig for PredictingX0 {
///     type Noise = Gaussian;
///     fn noise(&self, schedule: &tweedie_cli::AnySchedule, _: &tweedie_cli::Facts) -> tweedie::Result<Gaussian> {
///         Ok(Gaussian::new(schedule.schedule()?).with_prediction(Prediction::X0))
///     }
/// }
/// # let _ = tweedie_cli::Modules::default().noise::<PredictingX0>("predicting-x0");
/// ```
pub trait NoiseConfig: Settings {
    /// The noise.
    type Noise: Noise<2> + Noise<3> + Noise<4> + Noise<5> + 'static;
    /// Whether it is for categorical data: if so, the levels of images are read as categories.
    const CATEGORICAL: bool = false;
    /// The noise of a schedule, for data of which these facts are known: of [`schedule`](AnySchedule::schedule) for continuous
    /// data, of [`survival`](AnySchedule::survival) for categorical data.
    ///
    /// # Errors
    ///
    /// If the settings do not describe a noise for these data, or the schedule is for the other kind of data.
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Self::Noise>;
}

/// Settings of a network for data of rank `D`, the batch axis included: `[net]`.
pub trait NetConfig<const D: usize>: Settings {
    /// The network.
    type Net: Net<D, Condition = Conditions>;
    /// The network with the initial weights of a random stream.
    ///
    /// The device's own generator, which the layers of `burn::nn` draw from, is seeded from the stream as well.
    ///
    /// # Errors
    ///
    /// If the settings do not describe a network for this task.
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Self::Net>;
    /// The kinds of conditions that the network takes besides the class of a sample: `class`, `vector`, `tokens`, `image`,
    /// `label-map`. Data with others are refused. Default: none.
    fn condition_kinds(&self) -> &'static [&'static str] {
        &[]
    }
    /// The memory that the network needs for this task, from which a run that does not fit into memory is refused before
    /// it starts. Default: not known, and only the data are counted.
    fn footprint(&self, task: &Task<'_>) -> Option<Footprint> {
        let _ = task;
        None
    }
    /// Remarks on settings that are allowed and may not be meant, one sentence each, for this task. Default: none.
    fn remarks(&self, task: &Task<'_>) -> Vec<String> {
        let _ = task;
        vec![]
    }
}

/// Settings of a transform from data to x, of the same rank `D`: `[transform]`.
///
/// ```
/// use burn::{module::Module, tensor::{Device, Tensor}};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use tweedie::{Result, Rng, transform::Transform};
/// use tweedie_cli::{Facts, Modules, TransformConfig};
///
/// /// Points divided by a factor.
/// #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Scale {
///     /// The factor.
///     #[schemars(extend("exclusiveMinimum" = 0.0))]
///     factor: f64,
/// }
/// impl Default for Scale {
///     fn default() -> Self {
///         Self { factor: 2.0 }
///     }
/// }
/// #[derive(Module, Debug)]
/// struct Scaled {
///     factor: f64,
/// }
/// impl Transform<2> for Scaled {
///     type Raw = Tensor<2>;
///     fn encode(&self, raw: Tensor<2>) -> Tensor<2> {
///         raw / self.factor
///     }
///     fn decode(&self, x: Tensor<2>) -> Tensor<2> {
///         x * self.factor
///     }
/// }
/// impl TransformConfig<2> for Scale {
///     type Transform = Scaled;
///     fn facts(&self, data: &Facts) -> Result<Facts> {
///         Ok(data.clone())
///     }
///     fn init(&self, _: &Facts, _: &Rng, _: &Device) -> Result<Scaled> {
///         Ok(Scaled { factor: self.factor })
///     }
/// }
/// let modules = Modules::default().transform::<2, Scale>("scale");
/// # let _ = modules;
/// // [transform]
/// // name = "scale"
/// // factor = 3.0
/// ```
pub trait TransformConfig<const D: usize>: Settings + Clone + Debug + Send {
    /// The transform.
    type Transform: Transform<D, Raw = Tensor<D>>;
    /// Whether it is for categorical data: if so, the levels of images are read as categories.
    const CATEGORICAL: bool = false;
    /// What is known of x, given what is known of the data.
    ///
    /// # Errors
    ///
    /// If the transform is not for such data.
    fn facts(&self, data: &Facts) -> Result<Facts>;
    /// The transform with the initial weights of a random stream.
    ///
    /// # Errors
    ///
    /// If the settings do not describe a transform of these data.
    fn init(&self, data: &Facts, rng: &Rng, device: &Device) -> Result<Self::Transform>;
    /// The denoiser to sample with. Default: the model's own.
    fn denoiser<'a>(
        &self,
        transform: &'a Self::Transform,
        model: Box<dyn Denoiser<D> + 'a>,
    ) -> Box<dyn Denoiser<D> + 'a> {
        let _ = transform;
        model
    }
}

//! Modules by name: one table that built-in modules and a user's own enter by the same calls.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tweedie::{Dual, schedule::Schedule};
//! use tweedie_cli::Modules;
//!
//! /// Flow matching along a power of time: α = 1 − t^exponent.
//! #[derive(Debug, Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Power {
//!     /// The exponent.
//!     #[schemars(extend("exclusiveMinimum" = 0.0))]
//!     exponent: f64,
//! }
//! impl Default for Power {
//!     fn default() -> Self {
//!         Self { exponent: 2.0 }
//!     }
//! }
//! impl Schedule for Power {
//!     fn alpha(&self, t: Dual) -> Dual {
//!         1.0 - t.powf(self.exponent)
//!     }
//! }
//! let modules = Modules::default().schedule::<Power>("power");
//! # let _ = modules;
//! // tweedie_cli::run(modules) is then a command line that knows `[schedule] name = "power"`:
//! // recipes, errors, `tweedie list`, `tweedie schema`, `tweedie verify` and `tweedie compare` have it.
//! ```
mod any_schedule;
mod builtin;
mod conditions;
pub(crate) mod module;
mod nets;
mod noises;
pub(crate) mod prose;
mod ranked;
mod schedules;
pub(crate) mod schema;
pub(crate) mod settings;
mod spacings;
mod transforms;
mod weights;

pub use any_schedule::AnySchedule;
pub use ranked::Rank;
pub(crate) use ranked::Ranked;

use crate::{
    data::{DataKind, Facts, Source, conditions::ConditionBuilder},
    dyn_model::NetBuilder,
    dyn_transform::TransformBuilder,
    registry::{
        module::{Description, Kind, Registry, named},
        schema::{Field, Range, Type},
        settings::{LossOf, NetConfig, NoiseConfig, ScheduleOf, Settings, SpacingOf, TransformConfig, WeightOf},
    },
};
use std::{fmt, sync::Arc};
use toml::{Table, Value};
use tweedie::{
    Error, Result,
    loss::{Loss, Weight},
    noise::Noise,
    sample::Sampler,
    schedule::{Schedule, Survival},
    spacing::{Levels, Spacing},
};

/// What makes a spacing of a schedule.
pub(crate) type SpacingOn = Box<dyn Fn(&AnySchedule) -> Result<Arc<dyn Spacing>>>;

/// What makes a noise of a schedule, for data of which something is known.
pub(crate) type NoiseOn<const D: usize> = Box<dyn Fn(&AnySchedule, &Facts) -> Result<Arc<dyn Noise<D>>>>;

/// What makes a loss of the weights that it names, with their settings.
pub(crate) type LossOn<const D: usize> = Box<dyn Fn(&Registry<WeightMade>) -> Result<(Arc<dyn Loss<D>>, Table)>>;

/// A weight over noise levels, if its settings describe one.
pub(crate) type WeightMade = Result<Arc<dyn Weight>>;

/// Every module that a recipe can name. [`Modules::default`] holds the built-in ones; each method adds one of yours,
/// or replaces the one of that name.
pub struct Modules {
    pub(crate) schedules: Registry<AnySchedule>,
    pub(crate) spacings: Registry<SpacingOn>,
    pub(crate) weights: Registry<WeightMade>,
    pub(crate) data: Registry<Box<dyn Source>>,
    pub(crate) conditions: Registry<Box<dyn ConditionBuilder>>,
    points: Ranked<2>,
    sequences: Ranked<3>,
    signals: Ranked<3>,
    images: Ranked<4>,
    volumes: Ranked<5>,
    /// The noises and transforms for categorical data.
    categorical: Vec<(Kind, String)>,
    last: Option<(Kind, String)>,
}

impl Modules {
    /// No module at all.
    pub fn none() -> Self {
        Self {
            schedules: Registry::default(),
            spacings: Registry::default(),
            weights: Registry::default(),
            data: Registry::default(),
            conditions: Registry::default(),
            points: Ranked::of(DataKind::Points),
            sequences: Ranked::of(DataKind::Sequences),
            signals: Ranked::of(DataKind::Signals),
            images: Ranked::of(DataKind::Images),
            volumes: Ranked::of(DataKind::Volumes),
            categorical: vec![],
            last: None,
        }
    }
    fn registered(mut self, kind: Kind, name: &str) -> Self {
        self.last = Some((kind, name.to_owned()));
        self
    }
    /// Describes the module added last in one line. Default: the first sentence of its doc comment.
    pub fn about(mut self, summary: &str) -> Self {
        if let Some((kind, name)) = self.last.clone() {
            let all = [
                self.schedules.description_mut(&name).filter(|_| kind == Kind::Schedule),
                self.spacings.description_mut(&name).filter(|_| kind == Kind::Spacing),
                self.weights.description_mut(&name).filter(|_| kind == Kind::Weight),
                self.data.description_mut(&name).filter(|_| kind == Kind::Data),
                self.conditions.description_mut(&name).filter(|_| kind == Kind::Condition),
                self.points.description_mut(kind, &name),
                self.sequences.description_mut(kind, &name),
                self.signals.description_mut(kind, &name),
                self.images.description_mut(kind, &name),
                self.volumes.description_mut(kind, &name),
            ];
            all.into_iter().flatten().for_each(|description| description.summary = summary.to_owned());
        }
        self
    }

    /// Adds a source of data: `[data]`.
    pub fn data<S: Source + Settings>(mut self, name: &str) -> Self {
        self.data.register(name, |source: S| Box::new(source) as Box<dyn Source>);
        self.registered(Kind::Data, name)
    }
    /// Adds a kind of condition: `[condition.NAME]`.
    pub(crate) fn condition<C: ConditionBuilder + Settings>(mut self, name: &str) -> Self {
        self.conditions.register(name, |config: C| Box::new(config) as Box<dyn ConditionBuilder>);
        self.registered(Kind::Condition, name)
    }
    /// Adds a transform of data of rank `D`, the batch axis included: `[transform]`.
    pub fn transform<const D: usize, C: TransformConfig<D>>(mut self, name: &str) -> Self
    where
        Self: Rank<D>,
    {
        // Categories are never signals.
        let kinds = if C::CATEGORICAL { 1 } else { usize::MAX };
        for ranked in Rank::<D>::all_ranked_mut(&mut self).into_iter().take(kinds) {
            ranked.transforms.register(name, |config: C| Box::new(config) as Box<dyn TransformBuilder<D>>);
        }
        self.mark(Kind::Transform, name, C::CATEGORICAL).registered(Kind::Transform, name)
    }
    /// Adds a schedule of α and σ, for continuous data: `[schedule]`.
    pub fn schedule<S: Schedule + Settings>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.register(name, move |schedule: S| AnySchedule::continuous(&own, schedule));
        self.registered(Kind::Schedule, name)
    }
    /// Adds a schedule of survival probabilities, for categorical data: `[schedule]`.
    pub fn survival<S: Survival + Settings>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.register(name, move |schedule: S| AnySchedule::categorical(&own, schedule));
        self.registered(Kind::Schedule, name)
    }
    /// Adds a schedule of both, for either kind of data: `[schedule]`.
    pub fn schedule_and_survival<S: Schedule + Survival + Settings>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.register(name, move |schedule: S| AnySchedule::both(&own, schedule));
        self.registered(Kind::Schedule, name)
    }
    /// Adds a schedule made of others, which are named in tables of their own.
    pub fn schedule_of<C: ScheduleOf>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.register_of(name, C::PARTS, move |config: C, parts| config.schedule(parts).named(&own));
        self.registered(Kind::Schedule, name)
    }
    /// Adds a noise: `[noise]`.
    pub fn noise<C: NoiseConfig>(mut self, name: &str) -> Self {
        fn on<const D: usize, C: NoiseConfig>(config: C) -> NoiseOn<D>
        where
            C::Noise: Noise<D>,
        {
            Box::new(move |schedule, data| Ok(Arc::new(config.noise(schedule, data)?) as Arc<dyn Noise<D>>))
        }
        self.points.noises.register(name, on::<2, C>);
        self.sequences.noises.register(name, on::<3, C>);
        self.signals.noises.register(name, on::<3, C>);
        self.images.noises.register(name, on::<4, C>);
        self.volumes.noises.register(name, on::<5, C>);
        self.mark(Kind::Noise, name, C::CATEGORICAL).registered(Kind::Noise, name)
    }
    /// Adds a net for data of rank `D`, the batch axis included (2 points, 3 sequences, 4 images, 5 volumes): `[net]`.
    pub fn net<const D: usize, C: NetConfig<D>>(mut self, name: &str) -> Self
    where
        Self: Rank<D>,
    {
        let first = Rank::<D>::all_ranked_mut(&mut self).remove(0);
        first.nets.register(name, |config: C| Box::new(config) as Box<dyn NetBuilder<D>>);
        self.registered(Kind::Net, name)
    }
    /// Adds a net for signals `[batch, channels, length]`, whose rank is that of sequences `[batch, length, channels]`: `[net]`.
    pub fn signal_net<C: NetConfig<3>>(mut self, name: &str) -> Self {
        self.signals.nets.register(name, |config: C| Box::new(config) as Box<dyn NetBuilder<3>>);
        self.registered(Kind::Net, name)
    }
    /// Adds a loss: `[[loss]]`.
    pub fn loss<L: Loss<2> + Loss<3> + Loss<4> + Loss<5> + Settings>(self, name: &str) -> Self {
        self.loss_for::<2, L>(name).loss_for::<3, L>(name).loss_for::<4, L>(name).loss_for::<5, L>(name)
    }
    /// Adds a loss for data of rank `D` alone, the batch axis included: `[[loss]]`.
    pub fn loss_for<const D: usize, L: Loss<D> + Settings>(mut self, name: &str) -> Self
    where
        Self: Rank<D>,
    {
        for ranked in Rank::<D>::all_ranked_mut(&mut self) {
            let description = ranked.losses.register(name, |loss: L| {
                let loss: Arc<dyn Loss<D>> = Arc::new(loss);
                Box::new(move |_: &Registry<WeightMade>| Ok((loss.clone(), Table::new()))) as LossOn<D>
            });
            description.fields.push(weight());
        }
        self.registered(Kind::Loss, name)
    }
    /// Adds a loss that is weighted over noise levels by weights which are named in fields of its own: `[[loss]]`.
    pub fn loss_of<C: LossOf>(mut self, name: &str) -> Self {
        fn on<const D: usize, C: LossOf>(config: C) -> LossOn<D>
        where
            C::Loss: Loss<D>,
        {
            Box::new(move |weights| {
                let settings = module::written(&config, "the loss");
                let (mut made, mut resolved) = (vec![], Table::new());
                for field in C::WEIGHTS {
                    let Some(value) = settings.get(*field) else {
                        made.push(None);
                        continue;
                    };
                    let of_field = |error: Error| error.with_field(*field);
                    let (name, settings) = module::named_table(value.clone()).ok_or_else(|| {
                        let problem = "must be a table with the name of a weight, as in { name = \"min-snr\" }";
                        of_field(Error::invalid(problem))
                    })?;
                    let (weight, settings) = weights.build(&name, settings).map_err(of_field)?;
                    let weight = weight.and_then(|weight| weight.check().map(|()| weight)).map_err(of_field)?;
                    made.push(Some(weight));
                    resolved.insert((*field).into(), Value::Table(named(&name, settings)));
                }
                Ok((Arc::new(config.loss(made)?) as Arc<dyn Loss<D>>, resolved))
            })
        }
        self.points.losses.register(name, on::<2, C>).fields.push(weight());
        self.sequences.losses.register(name, on::<3, C>).fields.push(weight());
        self.signals.losses.register(name, on::<3, C>).fields.push(weight());
        self.images.losses.register(name, on::<4, C>).fields.push(weight());
        self.volumes.losses.register(name, on::<5, C>).fields.push(weight());
        self.registered(Kind::Loss, name)
    }
    /// Adds a weight over noise levels: `weighting` of a loss.
    pub fn weight<W: Weight + Settings>(mut self, name: &str) -> Self {
        self.weights.register(name, |weight: W| Ok(Arc::new(weight) as Arc<dyn Weight>));
        self.registered(Kind::Weight, name)
    }
    /// Adds a weight over noise levels made of others, which are named in tables of their own.
    pub fn weight_of<C: WeightOf>(mut self, name: &str) -> Self {
        self.weights.register_of(name, C::PARTS, |config: C, parts: Vec<WeightMade>| {
            config.weight(parts.into_iter().collect::<Result<_>>()?)
        });
        self.registered(Kind::Weight, name)
    }
    /// Adds a spacing: `[times]` of training, `times` in `[sample]`.
    pub fn spacing<S: Spacing + Settings>(mut self, name: &str) -> Self {
        self.spacings.register(name, |spacing: S| {
            let spacing: Arc<dyn Spacing> = Arc::new(spacing);
            Box::new(move |_: &AnySchedule| Ok(spacing.clone())) as SpacingOn
        });
        self.registered(Kind::Spacing, name)
    }
    /// Adds a spacing made of others or of the recipe's schedule.
    pub fn spacing_of<C: SpacingOf>(mut self, name: &str) -> Self {
        self.spacings.register_of(name, C::PARTS, |config: C, parts: Vec<SpacingOn>| {
            Box::new(move |schedule: &AnySchedule| {
                config.spacing(parts.iter().map(|part| part(schedule)).collect::<Result<_>>()?, schedule)
            }) as SpacingOn
        });
        self.registered(Kind::Spacing, name)
    }
    /// Adds a spacing by noise levels, which are those of the recipe's schedule.
    pub fn levels<L: Levels + Settings + Clone>(mut self, name: &str) -> Self {
        self.spacings.register(name, |levels: L| {
            Box::new(move |schedule: &AnySchedule| {
                levels.check()?;
                Ok(Arc::new(levels.clone().on(schedule.schedule()?)) as Arc<dyn Spacing>)
            }) as SpacingOn
        });
        self.registered(Kind::Spacing, name)
    }
    /// Adds a sampler: `sampler` in `[sample]`.
    pub fn sampler<S>(mut self, name: &str) -> Self
    where
        S: Sampler<2> + Sampler<3> + Sampler<4> + Sampler<5> + Settings,
    {
        self.points.samplers.register(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<2>>);
        self.sequences.samplers.register(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<3>>);
        self.signals.samplers.register(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<3>>);
        self.images.samplers.register(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<4>>);
        self.volumes.samplers.register(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<5>>);
        self.registered(Kind::Sampler, name)
    }

    fn mark(mut self, kind: Kind, name: &str, categorical: bool) -> Self {
        self.categorical.retain(|(k, known)| (*k, &**known) != (kind, name));
        if categorical {
            self.categorical.push((kind, name.to_owned()));
        }
        self
    }
    /// Whether a noise or a transform is for categorical data.
    pub(crate) fn is_categorical(&self, kind: Kind, name: &str) -> bool {
        self.categorical.iter().any(|(k, known)| (*k, &**known) == (kind, name))
    }

    /// The descriptions of the modules of a kind: of those that differ by rank, each.
    pub(crate) fn all_of_kind(&self, kind: Kind) -> Vec<&Description> {
        let mut all = match kind {
            Kind::Data => self.data.descriptions().collect(),
            Kind::Condition => self.conditions.descriptions().collect(),
            Kind::Schedule => self.schedules.descriptions().collect(),
            Kind::Weight => self.weights.descriptions().collect(),
            Kind::Spacing => self.spacings.descriptions().collect(),
            _ => vec![],
        };
        let by_data = [
            self.images.of_kind(kind),
            self.sequences.of_kind(kind),
            self.points.of_kind(kind),
            self.signals.of_kind(kind),
            self.volumes.of_kind(kind),
        ];
        for description in by_data.into_iter().flatten() {
            if !all.contains(&description) {
                all.push(description);
            }
        }
        all
    }
    /// The descriptions of the modules of a kind, one per name.
    pub(crate) fn of_kind(&self, kind: Kind) -> Vec<&Description> {
        let mut one_per_name: Vec<&Description> = vec![];
        for description in self.all_of_kind(kind) {
            if !one_per_name.iter().any(|known| known.name == description.name) {
                one_per_name.push(description);
            }
        }
        one_per_name
    }
    /// The names of the modules of a kind.
    pub(crate) fn names(&self, kind: Kind) -> Vec<&str> {
        self.of_kind(kind).into_iter().map(|description| &*description.name).collect()
    }
    /// The kinds of data for which there is a module of that kind and name.
    pub(crate) fn data_kinds(&self, kind: Kind, name: &str) -> Vec<DataKind> {
        let known = |data: DataKind| match data {
            DataKind::Points => self.points.of_kind(kind),
            DataKind::Sequences => self.sequences.of_kind(kind),
            DataKind::Signals => self.signals.of_kind(kind),
            DataKind::Images => self.images.of_kind(kind),
            DataKind::Volumes => self.volumes.of_kind(kind),
        };
        let has = |data: &DataKind| known(*data).iter().any(|description| description.name == name);
        DataKind::ALL.into_iter().filter(has).collect()
    }
}

/// The weight of a loss in the sum of losses, which every loss has.
fn weight() -> Field {
    Field {
        name: "weight".into(),
        doc: "Weight of the loss in the sum of losses.".into(),
        type_: Type::Number(Range { minimum: Some(0.0), ..Range::default() }),
        default: Some(1.0.into()),
        unit: None,
        required: false,
    }
}

impl fmt::Debug for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Kind::ALL.map(|kind| (kind, self.names(kind)))).finish()
    }
}

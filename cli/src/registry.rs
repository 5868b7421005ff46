//! Named modules: one table that built-in modules and a user's own enter by the same call.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tweedie::{Dual, schedule::Schedule};
//! use tweedie_cli::Modules;
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Power {
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
//! let modules = Modules::default().schedule::<Power>("power").about("α = 1 − t^exponent");
//! # let _ = modules;
//! // tweedie_cli::run(modules) is then a command line that knows `[schedule] name = "power"`.
//! ```
mod any_schedule;
pub(crate) mod builtin;
pub(crate) mod nets;
pub(crate) mod spacings;

pub use any_schedule::AnySchedule;

use crate::{
    data::{Facts, Source},
    dyn_model::{Embedded, Learned, Maker, NetConfig},
    output::messages,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, fmt, sync::Arc};
use toml::{Table, Value};
use tweedie::{
    Result,
    loss::Loss,
    noise::Noise,
    sample::Sampler,
    schedule::{Schedule, Survival},
    spacing::{Levels, Spacing},
    transform::{Embedding, Identity},
};

/// What a recipe can say of a module: fields that have defaults and go to TOML and back.
///
/// Derive `Serialize` and `Deserialize` with `#[serde(default, deny_unknown_fields)]`, and have a `Default`.
pub trait Settings: Serialize + DeserializeOwned + Default + 'static {}
impl<T: Serialize + DeserializeOwned + Default + 'static> Settings for T {}

/// Settings that make a noise of any rank, once they know the schedule and what the data are.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tweedie::noise::{Gaussian, Prediction};
/// #[derive(Default, Serialize, Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct SayingX0 {}
/// impl tweedie_cli::NoiseConfig for SayingX0 {
///     type Noise = Gaussian;
///     fn noise(&self, schedule: &tweedie_cli::AnySchedule, _: &tweedie_cli::Facts) -> tweedie::Result<Gaussian> {
///         Ok(Gaussian::new(schedule.schedule()?).with_prediction(Prediction::X0))
///     }
/// }
/// # let _ = tweedie_cli::Modules::default().noise::<SayingX0>("saying-x0");
/// ```
pub trait NoiseConfig: Settings {
    /// The noise.
    type Noise: Noise<2> + Noise<3> + Noise<4> + 'static;
    /// Whether it is for categories: then the levels of images are such.
    const CATEGORICAL: bool = false;
    /// The noise of a schedule, for data of which these facts are known: of [`schedule`](AnySchedule::schedule) for continuous
    /// data, of [`survival`](AnySchedule::survival) for categorical data.
    ///
    /// # Errors
    ///
    /// If the settings make none, or the schedule is for the other kind of data.
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Self::Noise>;
}

/// How the settings of one module are read: its name, its defaults, and whether a table will do.
pub(crate) struct Face {
    pub name: String,
    pub defaults: Table,
    check: Box<dyn Fn(Table) -> Result<(), toml::de::Error>>,
}
impl Face {
    pub fn of<S: Settings>(name: &str) -> Self {
        let check = |table: Table| table.try_into::<S>().map(|_| ());
        Self { name: name.into(), defaults: written(&S::default(), name), check: Box::new(check) }
    }
    pub fn check(&self, table: Table) -> Result<(), toml::de::Error> {
        (self.check)(table)
    }
    /// All fields, also those without a default.
    pub fn fields(&self) -> Vec<String> {
        let mut fields: Vec<String> = self.defaults.keys().cloned().collect();
        let impossible = Table::from_iter([("\u{1}".to_owned(), Value::Boolean(true))]);
        if let Err(error) = self.check(impossible)
            && error.message().starts_with("unknown field")
        {
            for field in messages::quoted(error.message().split_once("expected").map_or("", |(_, rest)| rest)) {
                if !fields.contains(&field) {
                    fields.push(field);
                }
            }
        }
        fields
    }
    /// What a field may be, where it is one of a few words.
    pub fn choices(&self, field: &str) -> Vec<String> {
        let mut table = self.defaults.clone();
        table.insert(field.into(), Value::String("\u{1}".into()));
        match self.check(table) {
            Err(error) if error.message().contains("unknown variant") => {
                messages::quoted(error.message().split_once("expected").map_or("", |(_, rest)| rest))
            }
            _ => vec![],
        }
    }
}

pub(crate) fn written<S: Serialize>(settings: &S, name: &str) -> Table {
    Table::try_from(settings).unwrap_or_else(|error| panic!("the settings of `{name}` are no TOML table: {error}"))
}

/// A module of its settings and of the modules that it is made of.
type Build<T> = Box<dyn Fn(Table, Vec<T>) -> Result<(T, Table), toml::de::Error>>;

/// Modules of one kind by name; `T` is what a table of settings becomes.
pub(crate) struct Shelf<T>(Vec<(Face, &'static [&'static str], Build<T>)>);
impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(vec![])
    }
}
impl<T: 'static> Shelf<T> {
    fn enter<S: Settings>(&mut self, name: &str, make: impl Fn(S) -> T + 'static) {
        self.enter_made::<S>(name, &[], move |settings, _| make(settings));
    }
    /// Enters a module whose fields `parts` are tables that name modules of the same kind.
    fn enter_made<S: Settings>(
        &mut self,
        name: &str,
        parts: &'static [&'static str],
        make: impl Fn(S, Vec<T>) -> T + 'static,
    ) {
        self.0.retain(|(face, ..)| face.name != name);
        let of = name.to_owned();
        let build = move |table: Table, made: Vec<T>| {
            let settings: S = table.try_into()?;
            let resolved = written(&settings, &of);
            Ok((make(settings, made), resolved))
        };
        self.0.push((Face::of::<S>(name), parts, Box::new(build)));
    }
    pub fn faces(&self) -> impl Iterator<Item = &Face> {
        self.0.iter().map(|(face, ..)| face)
    }
    pub fn face(&self, name: &str) -> Option<&Face> {
        self.faces().find(|face| face.name == name)
    }
    /// The fields of a module that name the modules it is made of.
    pub fn parts(&self, name: &str) -> &'static [&'static str] {
        self.0.iter().find(|(face, ..)| face.name == name).map_or(&[], |(_, parts, _)| parts)
    }
    /// A module and its settings with all defaults filled in; the modules it is made of are built first.
    pub fn build(&self, name: &str, mut table: Table) -> Option<Result<(T, Table), toml::de::Error>> {
        let mut made = vec![];
        for part in self.parts(name) {
            let own = table.remove(*part).or_else(|| self.face(name)?.defaults.get(*part).cloned());
            let mut own = own.and_then(|own| own.try_into::<Table>().ok())?;
            let Some(Value::String(inner)) = own.remove("name") else { return None };
            match self.build(&inner, own)? {
                Ok((module, resolved)) => made.push((module, named(&inner, resolved))),
                Err(error) => return Some(Err(error)),
            }
        }
        self.assemble(name, table, made)
    }
    /// [`build`](Self::build) of modules that were built before, each with its settings, name included.
    pub fn assemble(
        &self,
        name: &str,
        table: Table,
        made: Vec<(T, Table)>,
    ) -> Option<Result<(T, Table), toml::de::Error>> {
        let (_, parts, build) = self.0.iter().find(|(face, ..)| face.name == name)?;
        let (modules, tables): (Vec<T>, Vec<Table>) = made.into_iter().unzip();
        Some(build(table, modules).map(|(module, mut resolved)| {
            resolved.extend(parts.iter().zip(tables).map(|(part, own)| ((*part).to_owned(), Value::Table(own))));
            (module, resolved)
        }))
    }
}

/// Settings with the name of what they are of.
pub(crate) fn named(name: &str, settings: Table) -> Table {
    let mut table = Table::from_iter([("name".to_owned(), Value::String(name.into()))]);
    table.extend(settings);
    table
}

/// Settings that make a schedule of other schedules.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tweedie::schedule::Shifted;
/// # use tweedie_cli::{AnySchedule, Modules, ScheduleOf, Table};
/// /// A schedule for images twice as wide.
/// #[derive(Serialize, Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Twice {
///     of: Table,
/// }
/// impl Default for Twice {
///     fn default() -> Self {
///         Self { of: tweedie_cli::part("cosine") }
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
    /// The fields, of type [`Table`](crate::Table), that name the other schedules.
    const PARTS: &'static [&'static str];
    /// The schedule made of those that the fields name, in their order.
    fn schedule(&self, parts: Vec<AnySchedule>) -> AnySchedule;
}

/// Settings that make a spacing of other spacings, or of the recipe's schedule.
pub trait SpacingOf: Settings {
    /// The fields, of type [`Table`](crate::Table), that name the other spacings.
    const PARTS: &'static [&'static str] = &[];
    /// The spacing made of those that the fields name, in their order, and of the schedule.
    ///
    /// # Errors
    ///
    /// If the settings make none.
    fn spacing(&self, parts: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>>;
}

/// A field of [`ScheduleOf`] or [`SpacingOf`] that names a module of default settings.
pub fn part(name: &str) -> Table {
    named(name, Table::new())
}

/// What makes a spacing of a schedule.
pub(crate) type SpacingOn = Box<dyn Fn(&AnySchedule) -> Result<Arc<dyn Spacing>>>;

/// What makes a noise of a schedule.
pub(crate) type NoiseOf<const D: usize> = Box<dyn Fn(&AnySchedule, &Facts) -> Result<Arc<dyn Noise<D>>>>;

/// The modules that have a rank.
pub(crate) struct Ranked<const D: usize> {
    pub noises: Shelf<NoiseOf<D>>,
    pub losses: Shelf<Arc<dyn Loss<D>>>,
    pub samplers: Shelf<Box<dyn Sampler<D>>>,
    pub nets: Shelf<Box<dyn Maker<D>>>,
    pub transforms: Shelf<Embedded>,
}
impl<const D: usize> Default for Ranked<D> {
    fn default() -> Self {
        Self {
            noises: Shelf::default(),
            losses: Shelf::default(),
            samplers: Shelf::default(),
            nets: Shelf::default(),
            transforms: Shelf::default(),
        }
    }
}

/// Access to the modules of one rank.
pub trait Rank<const D: usize>: sealed::Sealed {
    /// The transform with weights that data of this rank may have.
    #[doc(hidden)]
    type Learned: Learned<D>;
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn ranked(&self) -> &Ranked<D>;
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn ranked_mut(&mut self) -> &mut Ranked<D>;
}
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Modules {}
}
macro_rules! ranks {
    ($($rank:literal $field:ident $learned:ty),*) => {$(
        #[allow(private_interfaces)]
        impl Rank<$rank> for Modules {
            type Learned = $learned;
            fn ranked(&self) -> &Ranked<$rank> {
                &self.$field
            }
            fn ranked_mut(&mut self) -> &mut Ranked<$rank> {
                &mut self.$field
            }
        }
    )*};
}
ranks!(2 two Identity, 3 three Embedding, 4 four Identity);

/// Every module that a recipe can name. [`Modules::default`] holds the built-in ones; each method adds one of yours,
/// or replaces the one of that name.
pub struct Modules {
    pub(crate) schedules: Shelf<AnySchedule>,
    pub(crate) spacings: Shelf<SpacingOn>,
    pub(crate) data: Shelf<Box<dyn Source>>,
    two: Ranked<2>,
    three: Ranked<3>,
    four: Ranked<4>,
    /// The noises for categories.
    pub(crate) categorical: Vec<String>,
    abouts: HashMap<(&'static str, String), String>,
    last: (&'static str, String),
}

impl Default for Modules {
    fn default() -> Self {
        builtin::all(Self::none())
    }
}

impl Modules {
    /// The kinds of modules, in the order of a recipe.
    pub const KINDS: [&'static str; 8] =
        ["data", "transform", "schedule", "noise", "net", "loss", "spacing", "sampler"];

    /// No module at all.
    pub fn none() -> Self {
        Self {
            schedules: Shelf::default(),
            spacings: Shelf::default(),
            data: Shelf::default(),
            two: Ranked::default(),
            three: Ranked::default(),
            four: Ranked::default(),
            categorical: vec![],
            abouts: HashMap::new(),
            last: ("", String::new()),
        }
    }
    fn entered(mut self, kind: &'static str, name: &str) -> Self {
        self.last = (kind, name.to_owned());
        self
    }
    /// Says in a line what the module entered last is.
    pub fn about(mut self, text: &str) -> Self {
        self.abouts.insert(self.last.clone(), text.to_owned());
        self
    }

    /// Adds a schedule of α and σ, for continuous data: `[schedule]`.
    pub fn schedule<S: Schedule + Settings>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.enter(name, move |schedule: S| AnySchedule::continuous(&own, schedule));
        self.entered("schedule", name)
    }
    /// Adds a schedule of survival probabilities, for categorical data: `[schedule]`.
    pub fn survival<S: Survival + Settings>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.enter(name, move |schedule: S| AnySchedule::categorical(&own, schedule));
        self.entered("schedule", name)
    }
    /// Adds a schedule of both, for either kind of data: `[schedule]`.
    pub fn schedule_and_survival<S: Schedule + Survival + Settings>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.enter(name, move |schedule: S| AnySchedule::both(&own, schedule));
        self.entered("schedule", name)
    }
    /// Adds a schedule made of others, which are named in tables of their own.
    pub fn schedule_of<C: ScheduleOf>(mut self, name: &str) -> Self {
        let own = name.to_owned();
        self.schedules.enter_made(name, C::PARTS, move |config: C, parts| config.schedule(parts).named(&own));
        self.entered("schedule", name)
    }
    /// Adds a spacing: `[times]` of training, `times` in `[sample]`.
    pub fn spacing<S: Spacing + Settings>(mut self, name: &str) -> Self {
        self.spacings.enter(name, |spacing: S| {
            let spacing: Arc<dyn Spacing> = Arc::new(spacing);
            Box::new(move |_: &AnySchedule| Ok(spacing.clone())) as SpacingOn
        });
        self.entered("spacing", name)
    }
    /// Adds a spacing made of others or of the recipe's schedule.
    pub fn spacing_of<C: SpacingOf>(mut self, name: &str) -> Self {
        self.spacings.enter_made(name, C::PARTS, |config: C, parts: Vec<SpacingOn>| {
            Box::new(move |schedule: &AnySchedule| {
                config.spacing(parts.iter().map(|part| part(schedule)).collect::<Result<_>>()?, schedule)
            }) as SpacingOn
        });
        self.entered("spacing", name)
    }
    /// Adds a spacing by noise levels, which are those of the recipe's schedule.
    pub fn levels<L: Levels + Settings + Clone>(mut self, name: &str) -> Self {
        self.spacings.enter(name, |levels: L| {
            Box::new(move |schedule: &AnySchedule| {
                levels.check()?;
                Ok(Arc::new(levels.clone().on(schedule.schedule()?)) as Arc<dyn Spacing>)
            }) as SpacingOn
        });
        self.entered("spacing", name)
    }
    /// Adds a source of data: `[data]`.
    pub fn data<S: Source + Settings>(mut self, name: &str) -> Self {
        self.data.enter(name, |source: S| Box::new(source) as Box<dyn Source>);
        self.entered("data", name)
    }
    /// Adds a noise: `[noise]`.
    pub fn noise<C: NoiseConfig>(mut self, name: &str) -> Self {
        fn of<const D: usize, C: NoiseConfig>(config: C) -> NoiseOf<D>
        where
            C::Noise: Noise<D>,
        {
            Box::new(move |schedule, data| Ok(Arc::new(config.noise(schedule, data)?) as Arc<dyn Noise<D>>))
        }
        self.two.noises.enter(name, of::<2, C>);
        self.three.noises.enter(name, of::<3, C>);
        self.four.noises.enter(name, of::<4, C>);
        self.categorical.retain(|known| known != name);
        if C::CATEGORICAL {
            self.categorical.push(name.to_owned());
        }
        self.entered("noise", name)
    }
    /// Adds a loss: `[[loss]]`.
    pub fn loss<L: Loss<2> + Loss<3> + Loss<4> + Settings>(mut self, name: &str) -> Self {
        self.two.losses.enter(name, |loss: L| Arc::new(loss) as Arc<dyn Loss<2>>);
        self.three.losses.enter(name, |loss: L| Arc::new(loss) as Arc<dyn Loss<3>>);
        self.four.losses.enter(name, |loss: L| Arc::new(loss) as Arc<dyn Loss<4>>);
        self.entered("loss", name)
    }
    /// Adds a loss that has a meaning for data of rank `D` alone.
    pub fn loss_for<const D: usize, L: Loss<D> + Settings>(mut self, name: &str) -> Self
    where
        Self: Rank<D>,
    {
        Rank::<D>::ranked_mut(&mut self).losses.enter(name, |loss: L| Arc::new(loss) as Arc<dyn Loss<D>>);
        self.entered("loss", name)
    }
    /// Adds the embedding of tokens: `[transform]`.
    pub(crate) fn embedding(mut self, name: &str) -> Self {
        self.three.transforms.enter(name, |settings: Embedded| settings);
        self.entered("transform", name)
    }
    /// Adds a sampler: `sampler` in `[sample]`.
    pub fn sampler<S: Sampler<2> + Sampler<3> + Sampler<4> + Settings>(mut self, name: &str) -> Self {
        self.two.samplers.enter(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<2>>);
        self.three.samplers.enter(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<3>>);
        self.four.samplers.enter(name, |sampler: S| Box::new(sampler) as Box<dyn Sampler<4>>);
        self.entered("sampler", name)
    }
    /// Adds a net for data of rank `D`, the batch included (2 points, 3 sequences, 4 images): `[net]`.
    pub fn net<const D: usize, C: NetConfig<D>>(mut self, name: &str) -> Self
    where
        Self: Rank<D>,
    {
        Rank::<D>::ranked_mut(&mut self).nets.enter(name, |config: C| Box::new(config) as Box<dyn Maker<D>>);
        self.entered("net", name)
    }

    /// The modules of a kind, each with its line of description.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<(&Face, &str)> {
        let mut faces: Vec<&Face> = match kind {
            "schedule" => self.schedules.faces().collect(),
            "spacing" => self.spacings.faces().collect(),
            "data" => self.data.faces().collect(),
            "noise" => self.four.noises.faces().collect(),
            "sampler" => self.four.samplers.faces().collect(),
            "transform" => self.three.transforms.faces().collect(),
            _ => vec![],
        };
        let ranked: Vec<&Face> = match kind {
            "net" => self.four.nets.faces().chain(self.three.nets.faces()).chain(self.two.nets.faces()).collect(),
            "loss" => {
                self.four.losses.faces().chain(self.three.losses.faces()).chain(self.two.losses.faces()).collect()
            }
            _ => vec![],
        };
        for face in ranked {
            if !faces.iter().any(|known| known.name == face.name) {
                faces.push(face);
            }
        }
        let about = |face: &Face| -> Option<&str> {
            self.abouts.iter().find(|((k, name), _)| *k == kind && *name == face.name).map(|(_, text)| &**text)
        };
        faces.into_iter().map(|face| (face, about(face).unwrap_or(""))).collect()
    }
    /// The ranks for which there is a net of that name.
    pub(crate) fn ranks_of_net(&self, name: &str) -> Vec<usize> {
        let has = [
            (2, self.two.nets.face(name).is_some()),
            (3, self.three.nets.face(name).is_some()),
            (4, self.four.nets.face(name).is_some()),
        ];
        has.into_iter().filter(|(_, has)| *has).map(|(rank, _)| rank).collect()
    }
}

impl fmt::Debug for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for kind in Self::KINDS {
            let names: Vec<&str> = self.of_kind(kind).into_iter().map(|(face, _)| &*face.name).collect();
            map.entry(&kind, &names);
        }
        map.finish()
    }
}

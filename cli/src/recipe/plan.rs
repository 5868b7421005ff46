//! From a recipe to objects: everything that a run needs, in the order of a recipe.
use crate::{
    data::{
        ConditionFacts, Facts, Loaded, Source, Split,
        conditions::{ConditionBuilder, Conditioned, learn},
        levels::Levels,
    },
    dyn_model::{ModelParts, NetBuilder},
    dyn_transform::TransformBuilder,
    messages,
    output::progress::Progress,
    recipe::{
        build::{module, section, spacing},
        check,
        file::{Part, Recipe},
        memory,
        objective::objective,
        sampling::Sampling,
        sections::{RunSettings, SampleSettings},
    },
    registry::{
        AnySchedule, Modules, Rank, Ranked,
        module::{Kind, written},
    },
};
use burn::tensor::Device;
use std::{cell::OnceCell, sync::Arc};
use toml::{Table, Value};
use tweedie::{Error, Result, loss::Objective, noise::Noise, sample::Sampler, spacing::Spacing, train::Train};

/// The data of a recipe, all of which has been checked.
pub(crate) struct DataSpec {
    source: Box<dyn Source>,
    table: Table,
    /// The conditions by name, and their settings with all defaults filled in.
    conditions: Vec<(String, Box<dyn ConditionBuilder>)>,
    condition_tables: Table,
    /// What is known of them: from the training data, or from the checkpoint of a run.
    known: OnceCell<Vec<ConditionFacts>>,
    /// Those of a run whose weights are trained on: what is of the same name and kind is read in the same way.
    adopted: Vec<ConditionFacts>,
    /// Whether the levels of images are categories.
    categorical: bool,
    /// Whether nothing is shown while data are read.
    quiet: bool,
}
impl DataSpec {
    pub fn new(recipe: &Recipe, modules: &Modules) -> Result<Self> {
        check::recipe(recipe, modules)?;
        let (mut source, table) = module(recipe, modules, Kind::Data, "data", &modules.data)?;
        let (mut conditions, mut condition_tables, mut columns) = (vec![], Table::new(), vec![]);
        for name in recipe.get("condition").and_then(Value::as_table).into_iter().flat_map(Table::keys) {
            let path = format!("condition.{name}");
            let (builder, mut table) = module(recipe, modules, Kind::Condition, &path, &modules.conditions)?;
            for column in builder.columns(name) {
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
            let kind = table.remove("name").expect("a module is named");
            let own = Table::from_iter([("kind".to_owned(), kind)]).into_iter().chain(table).collect();
            condition_tables.insert(name.clone(), Value::Table(own));
            conditions.push((name.clone(), builder));
        }
        source.with_columns(&columns).map_err(|error| recipe.at_field("condition", error))?;
        let is_categorical =
            |kind: Kind| recipe.module_name(kind.name()).is_some_and(|name| modules.is_categorical(kind, name));
        let categorical = is_categorical(Kind::Noise) || is_categorical(Kind::Transform);
        let known = OnceCell::new();
        Ok(Self { source, table, conditions, condition_tables, known, adopted: vec![], categorical, quiet: false })
    }
    /// Whether nothing is shown while data are read.
    pub fn quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
    }
    /// What a checkpoint knows of the conditions, which is not learned from the data again.
    pub fn knowing(self, facts: &Facts) -> Self {
        Self { known: OnceCell::from(facts.conditions.clone()), ..self }
    }
    /// Conditions of the same name and kind are read as in another run: with its names, statistics and vocabulary.
    pub fn adopting(self, facts: &Facts) -> Self {
        Self { adopted: facts.conditions.clone(), ..self }
    }
    /// Reads one part of the data, with its conditions.
    pub fn load(&self, recipe: &Recipe, split: Split) -> Result<Option<Loaded>> {
        let needed = self.source.memory(split).map_err(|error| recipe.at_field("data", error))?;
        if let (Some(needed), Some(free)) = (needed, memory::available()?)
            && needed as f64 > free
        {
            return Err(self.too_large(recipe, needed as f64, free));
        }
        let sign = Progress::working(self.quiet, "reading the data");
        let loaded = self.source.load(split);
        sign.clear();
        let loaded = loaded.map_err(|error| recipe.at_field("data", error))?;
        let loaded = match loaded {
            Some(loaded) if !self.conditions.is_empty() => Some(self.conditioned(recipe, loaded, split)?),
            other => other,
        };
        Ok(match loaded {
            Some(Loaded::Four(images)) if self.categorical => {
                let levels = Levels::new(images).map_err(|error| recipe.at_field("noise", error))?;
                Some(Loaded::Three(Box::new(levels)))
            }
            other => other,
        })
    }

    /// A part of the data with its conditions, which are learned from the training part.
    fn conditioned(&self, recipe: &Recipe, loaded: Loaded, split: Split) -> Result<Loaded> {
        let failed = |error: Error| {
            let path = match error.field() {
                Some(field) if recipe.get(&format!("condition.{field}")).is_some() => format!("condition.{field}"),
                _ => "condition".into(),
            };
            recipe.at_field(&path, error)
        };
        if self.known.get().is_none() {
            let learned = match split {
                Split::Train => learned(&self.conditions, &loaded, &self.adopted),
                Split::Test => {
                    let train = self.source.load(Split::Train).map_err(|error| recipe.at_field("data", error))?;
                    train.map_or(Ok(vec![]), |train| learned(&self.conditions, &train, &self.adopted))
                }
            };
            let _ = self.known.set(learned.map_err(failed)?);
        }
        let known = self.known.get().expect("it was just set");
        let made = match loaded {
            Loaded::Two(set) => Conditioned::new(set, known).map(|set| Loaded::Two(Box::new(set))),
            Loaded::Three(set) => Conditioned::new(set, known).map(|set| Loaded::Three(Box::new(set))),
            Loaded::Four(set) => Conditioned::new(set, known).map(|set| Loaded::Four(Box::new(set))),
            Loaded::Five(set) => Conditioned::new(set, known).map(|set| Loaded::Five(Box::new(set))),
        };
        made.map_err(failed)
    }

    /// The error for data that do not fit into memory, at the field that decides how much they need.
    fn too_large(&self, recipe: &Recipe, needed: f64, free: f64) -> Error {
        let field = ["size", "n", "path"].into_iter().find(|field| recipe.get(&format!("data.{field}")).is_some());
        let path = field.map_or("data".into(), |field| format!("data.{field}"));
        let remedy = match field {
            Some("size") => "set a smaller `size`, or fewer channels, or give fewer images",
            Some("n") => "set a smaller `n`",
            _ => "give fewer or smaller files",
        };
        let message = format!(
            "these data need about {} of memory, and {} are free: {remedy}",
            memory::bytes(needed),
            memory::bytes(free)
        );
        recipe.fail(&path, Part::Value, &message)
    }
}

fn learned(
    builders: &[(String, Box<dyn ConditionBuilder>)],
    loaded: &Loaded,
    adopted: &[ConditionFacts],
) -> Result<Vec<ConditionFacts>> {
    match loaded {
        Loaded::Two(set) => learn(builders, &**set, adopted),
        Loaded::Three(set) => learn(builders, &**set, adopted),
        Loaded::Four(set) => learn(builders, &**set, adopted),
        Loaded::Five(set) => learn(builders, &**set, adopted),
    }
}

/// Everything that a recipe specifies except the data, for data of one rank.
pub(crate) struct Plan<const D: usize> {
    pub transform: Option<Box<dyn TransformBuilder<D>>>,
    /// What is known of the data, and of x.
    pub facts: Facts,
    pub x: Facts,
    pub schedule: AnySchedule,
    pub noise: Arc<dyn Noise<D>>,
    pub objective: Objective<D>,
    pub times: Option<Arc<dyn Spacing>>,
    pub net: Box<dyn NetBuilder<D>>,
    pub train: Train,
    pub run: RunSettings,
    pub sample: SampleSettings,
    pub sampler: Arc<dyn Sampler<D>>,
    /// The timesteps of sampling, if the recipe names them.
    pub sample_times: Option<Arc<dyn Spacing>>,
    /// The recipe with every default filled in.
    pub resolved: Table,
}

impl<const D: usize> Plan<D> {
    /// Builds the sections of a recipe one after the other; each may depend on those before it.
    pub fn new(recipe: &Recipe, modules: &Modules, data: &DataSpec, facts: &Facts) -> Result<Self>
    where
        Modules: Rank<D>,
    {
        let ranked: &Ranked<D> = modules.for_data(facts.kind()?);
        let mut resolved = Resolved(Table::new());
        resolved.push("data", Value::Table(data.table.clone()));
        if !data.condition_tables.is_empty() {
            resolved.push("condition", Value::Table(data.condition_tables.clone()));
        }

        let mut transform: Option<Box<dyn TransformBuilder<D>>> = None;
        let mut x = facts.clone();
        if recipe.get("transform").is_some() {
            let (made, table) = module(recipe, modules, Kind::Transform, "transform", &ranked.transforms)?;
            x = made.facts(facts).map_err(|error| recipe.at_field("transform", error))?;
            transform = Some(made);
            resolved.push("transform", Value::Table(table));
        }

        let (schedule, table) = module(recipe, modules, Kind::Schedule, "schedule", &modules.schedules)?;
        schedule.check().map_err(|error| recipe.at_field("schedule", error))?;
        resolved.push("schedule", Value::Table(table));

        let (noise, table) = module(recipe, modules, Kind::Noise, "noise", &ranked.noises)?;
        let noise = noise(&schedule, &x).map_err(|error| recipe.at_field("noise", error))?;
        noise.check().map_err(|error| recipe.at_field("noise", error))?;
        resolved.push("noise", Value::Table(table));

        let (net, table) = module(recipe, modules, Kind::Net, "net", &ranked.nets)?;
        let taken = net.condition_kinds();
        if let Some(spec) = x.specs().iter().find(|spec| !taken.contains(&spec.kind.name())) {
            let message = format!(
                "the net `{}` takes {}, and `{}` is of the kind `{}`: take another net, or leave the condition out",
                recipe.module_name("net").unwrap_or("…"),
                match taken {
                    [] => "no conditions besides the class".into(),
                    taken => format!("conditions of the kinds {}", messages::list(taken)),
                },
                spec.name,
                spec.kind.name()
            );
            return Err(recipe.fail("net.name", Part::Value, &message));
        }
        resolved.push("net", Value::Table(table));

        let (objective, losses) = objective(recipe, modules, ranked, &*noise)?;
        resolved.push("loss", Value::Array(losses));

        let mut times = None;
        if recipe.get("times").is_some() {
            let (made, table) = spacing(recipe, modules, "times", &schedule)?;
            times = Some(made);
            resolved.push("times", Value::Table(table));
        }

        let mut train: Train = section(recipe, modules, "train")?;
        let dropouts = facts.conditions.iter().filter(|condition| condition.dropout > 0.0);
        train.cond_dropouts = dropouts.map(|condition| (condition.spec.name.clone(), condition.dropout)).collect();
        train.check().map_err(|error| recipe.at_field("train", error))?;
        train.check_noise(&*noise).map_err(|error| recipe.at_field("train", error))?;
        resolved.push("train", Value::Table(written(&train, "train")));

        let run: RunSettings = section(recipe, modules, "run")?;
        resolved.push("run", Value::Table(written(&run, "run")));

        let Sampling { settings: sample, sampler, times: sample_times, table } =
            Sampling::new(recipe, modules, ranked, &schedule, &*noise, facts, &train)?;
        resolved.push("sample", Value::Table(table));

        // Dynamic thresholding takes the place of the range of the data.
        let x = Facts { bounded: x.bounded && sample.threshold.is_none(), ..x };
        let resolved = resolved.0;
        let facts = facts.clone();
        Ok(Self {
            transform,
            facts,
            x,
            schedule,
            noise,
            objective,
            times,
            net,
            train,
            run,
            sample,
            sampler,
            sample_times,
            resolved,
        })
    }

    /// Checks that a device has the precision of sampling and, if the model is `trained`, of training.
    pub fn check_precision(&self, recipe: &Recipe, device: &Device, trained: bool) -> Result<()> {
        let sections = [("train", self.train.precision), ("sample", self.sample.precision)];
        let asked = sections.into_iter().filter(|(section, _)| trained || *section == "sample");
        asked.into_iter().try_for_each(|(section, precision)| {
            precision.check(device).map_err(|error| recipe.at_field(section, error))
        })
    }
    /// What a model is made of beside its net.
    pub fn model_parts(&self) -> ModelParts<'_, D> {
        ModelParts {
            data: &self.facts,
            x: &self.x,
            transform: self.transform.as_deref(),
            noise: self.noise.clone(),
            uncertainty: self.objective.learns_uncertainty(),
            precision: self.sample.precision,
        }
    }
    /// The resolved recipe as a file.
    pub fn text(&self) -> String {
        let body = toml::to_string(&self.resolved).expect("what was read from TOML can be written as TOML");
        format!("# The recipe of this run with every default filled in; it runs as it is.\n\n{body}")
    }
}

/// The sections of a resolved recipe, in the order in which they are built.
struct Resolved(Table);
impl Resolved {
    fn push(&mut self, section: &str, value: Value) {
        self.0.insert(section.into(), value);
    }
}

//! From a recipe to objects: what was written becomes what was meant.
use crate::{
    data::categories::Levels,
    data::{Facts, Loaded, Source, Split},
    dyn_model::{Embedded, Made, Maker},
    output::messages,
    recipe::{Part, Recipe},
    registry::{AnySchedule, Modules, Rank, Ranked, written},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toml::{Table, Value};
use tweedie::{
    Error, Result, denoise::Truncation, loss::Objective, noise::Noise, sample::Sampler, spacing::Spacing, train::Train,
};

/// The sections of a recipe.
const SECTIONS: [&str; 10] =
    ["data", "transform", "schedule", "noise", "net", "loss", "times", "train", "run", "sample"];

/// `[run]`: what is kept of a run, and when it is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunSettings {
    /// Steps between checkpoints; 0 keeps one at the end alone.
    pub checkpoint_every: u64,
    /// How many checkpoints are kept, beside the best.
    pub keep: usize,
    /// Steps between looks at the data held out; 0 never looks.
    pub evaluate_every: u64,
    /// How many samples held out are looked at.
    pub evaluate_rows: usize,
}
impl Default for RunSettings {
    fn default() -> Self {
        Self { checkpoint_every: 500, keep: 2, evaluate_every: 250, evaluate_rows: 512 }
    }
}

/// `[sample]`: how to draw unless flags say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SampleSettings {
    /// How many.
    pub n: usize,
    /// Steps of the sampler.
    pub steps: usize,
    /// Guidance towards the class: 1 is none.
    pub guidance: f64,
    /// How many are drawn at a time.
    pub batch: usize,
    /// Below 1, likelier categories become likelier yet.
    pub temperature: f64,
    /// How many of the likeliest categories may be drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// How much of the mass of a guess may be drawn, the likeliest first.
    pub top_p: f64,
    /// Dynamic thresholding: the quantile of |x̂| that each sample's range follows, in place of the range of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// `{ name, … }`: a spacing; those of the schedule's table, or even ones, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Table>,
    /// `{ name, … }`; `ddim` for Gaussian noise and `ancestral` for others unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Table>,
}
impl Default for SampleSettings {
    fn default() -> Self {
        Self {
            n: 100,
            steps: 50,
            guidance: 1.0,
            batch: 100,
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
    /// How much surer guesses of categories are made.
    pub fn truncation(&self) -> Truncation {
        Truncation { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p }
    }
}

/// The data of a recipe.
pub(crate) struct DataSpec {
    pub source: Box<dyn Source>,
    table: Table,
    /// Whether the levels of images are categories.
    categorical: bool,
}
impl DataSpec {
    pub fn new(recipe: &Recipe, modules: &Modules) -> Result<Self> {
        for section in recipe.sections() {
            if !SECTIONS.contains(&section) {
                let message = format!(
                    "there is no section `{section}`{} A recipe has the sections {}.",
                    messages::meant(section, &SECTIONS),
                    messages::list(&SECTIONS)
                );
                return Err(recipe.fail(section, Part::Key, &message));
            }
        }
        let (source, table) = recipe.module("data", "data", &modules.data, &[])?;
        let noise = recipe.get("noise.name").and_then(Value::as_str);
        let categorical = noise.is_some_and(|noise| modules.categorical.iter().any(|known| known == noise))
            || recipe.get("transform").is_some();
        Ok(Self { source, table, categorical })
    }
    /// Reads one part of the data.
    pub fn load(&self, recipe: &Recipe, split: Split) -> Result<Option<Loaded>> {
        let loaded = self.source.load(split).map_err(|error| recipe.blame("data", error))?;
        Ok(match loaded {
            Some(Loaded::Four(images)) if self.categorical => {
                let levels = Levels::new(images).map_err(|error| recipe.blame("noise", error))?;
                Some(Loaded::Three(Box::new(levels)))
            }
            other => other,
        })
    }
}

/// Everything a recipe says beside the data, for data of one rank.
pub(crate) struct Plan<const D: usize> {
    pub transform: Option<Embedded>,
    /// What is known of the data, and of x.
    pub facts: Facts,
    pub x: Facts,
    pub schedule: AnySchedule,
    pub noise: Arc<dyn Noise<D>>,
    pub objective: Objective<D>,
    pub times: Option<Arc<dyn Spacing>>,
    pub net: Box<dyn Maker<D>>,
    pub train: Train,
    pub run: RunSettings,
    pub sample: SampleSettings,
    pub sampler: Arc<dyn Sampler<D>>,
    /// The times of sampling, where the recipe names some.
    pub walk: Option<Arc<dyn Spacing>>,
    /// The recipe with every default filled in.
    pub resolved: Table,
}

impl<const D: usize> Plan<D> {
    pub fn new(recipe: &Recipe, modules: &Modules, data: &DataSpec, facts: &Facts) -> Result<Self>
    where
        Modules: Rank<D>,
    {
        let ranked: &Ranked<D> = modules.ranked();
        let (transform, transform_table) = match recipe.get("transform") {
            None => (None, None),
            Some(_) if D != 3 => {
                let message = format!("there is no transform for {}: leave out `[transform]`.", facts.describe());
                return Err(recipe.fail("transform", Part::Key, &message));
            }
            Some(_) => {
                let (transform, table) = recipe.module("transform", "transform", &ranked.transforms, &[])?;
                (Some(transform), Some(table))
            }
        };
        let x = match &transform {
            None => facts.clone(),
            Some(transform) => transform.facts(facts).map_err(|error| recipe.blame("transform", error))?,
        };
        let (schedule, schedule_table) = recipe.module("schedule", "schedule", &modules.schedules, &[])?;
        schedule.check().map_err(|error| recipe.blame("schedule", error))?;
        let (noise, noise_table) = recipe.module("noise", "noise", &ranked.noises, &[])?;
        let noise = noise(&schedule, &x).map_err(|error| match error.field() {
            // A schedule for the other kind of data.
            Some(field @ "schedule.name") => recipe.fail(field, Part::Value, &error.to_string()),
            _ => recipe.blame("noise", error),
        })?;
        noise.check().map_err(|error| recipe.blame("noise", error))?;
        rank_of_net(recipe, modules, D)?;
        let (net, net_table) = recipe.module("net", "net", &ranked.nets, &[])?;
        let (objective, losses) = objective(recipe, ranked, &*noise)?;
        let (times, times_table) = match recipe.get("times") {
            None => (None, None),
            Some(_) => {
                let (times, table) = spacing(recipe, modules, "times", &schedule)?;
                (Some(times), Some(table))
            }
        };
        let train: Train = recipe.plain("train")?;
        train.check().map_err(|error| recipe.blame("train", error))?;
        let run: RunSettings = recipe.plain("run")?;
        if run.keep == 0 {
            let message = "`keep` is the number of checkpoints kept, 1 or more, or there were none to go on from.";
            return Err(recipe.fail("run.keep", Part::Value, message));
        }
        let (sample, sampler, mut sample_table) = Self::sampling(recipe, ranked, &*noise, facts, &train)?;
        let mut walk = None;
        if sample.times.is_some() {
            let (times, table) = spacing(recipe, modules, "sample.times", &schedule)?;
            from_noise(&*times, sample.steps).map_err(|error| recipe.blame("sample.times", error))?;
            sample_table.insert("times".into(), Value::Table(table));
            walk = Some(times);
        }

        let mut resolved = Table::new();
        resolved.insert("data".into(), Value::Table(data.table.clone()));
        resolved.extend(transform_table.map(|table| ("transform".to_owned(), Value::Table(table))));
        resolved.insert("schedule".into(), Value::Table(schedule_table));
        resolved.insert("noise".into(), Value::Table(noise_table));
        resolved.insert("net".into(), Value::Table(net_table));
        resolved.insert("loss".into(), Value::Array(losses));
        resolved.extend(times_table.map(|table| ("times".to_owned(), Value::Table(table))));
        resolved.insert("train".into(), Value::Table(written(&train, "train")));
        resolved.insert("run".into(), Value::Table(written(&run, "run")));
        resolved.insert("sample".into(), Value::Table(sample_table));
        let x = Facts { bounded: x.bounded && sample.threshold.is_none(), ..x };
        Ok(Self {
            transform,
            facts: facts.clone(),
            x,
            schedule,
            noise,
            objective,
            times,
            net,
            train,
            run,
            sample,
            sampler: sampler.into(),
            walk,
            resolved,
        })
    }

    fn sampling(
        recipe: &Recipe,
        ranked: &Ranked<D>,
        noise: &dyn Noise<D>,
        facts: &Facts,
        train: &Train,
    ) -> Result<(SampleSettings, Box<dyn Sampler<D>>, Table)> {
        let sample: SampleSettings = recipe.plain("sample")?;
        let refuse = |field: &str, message: String| Err(recipe.fail(&format!("sample.{field}"), Part::Value, &message));
        for (field, value) in [("n", sample.n), ("steps", sample.steps), ("batch", sample.batch)] {
            if value == 0 {
                return refuse(field, format!("`{field}` is a number of 1 or more, not 0."));
            }
        }
        if let Some(table) = noise.steps().filter(|table| sample.steps > *table) {
            return refuse("steps", format!("{}.", beyond(table, sample.steps)));
        }
        if sample.guidance != 1.0 {
            if facts.classes.is_empty() {
                let message = "guidance goes towards a class, and these data have no classes: leave it at 1.";
                return refuse("guidance", message.into());
            }
            if train.cond_dropout == 0.0 {
                let message = "guidance compares with a net that was told no class, and `cond_dropout = 0` in `[train]` never \
                               trains it so: say `cond_dropout = 0.1`, or leave guidance at 1.";
                return refuse("guidance", message.into());
            }
            if !sample.guidance.is_finite() {
                return refuse("guidance", format!("guidance is a number, not {}.", sample.guidance));
            }
        }
        if !(sample.temperature >= 0.0 && sample.temperature.is_finite()) {
            return refuse("temperature", format!("a temperature is 0 or more, not {}.", sample.temperature));
        }
        if sample.top_k == Some(0) {
            return refuse("top_k", "`top_k` is how many of the likeliest categories may be drawn, 1 or more.".into());
        }
        if !(sample.top_p > 0.0 && sample.top_p <= 1.0) {
            return refuse(
                "top_p",
                format!("`top_p` is a share of the mass, above 0 and up to 1, not {}.", sample.top_p),
            );
        }
        if !noise.categorical() {
            let set = [
                ("temperature", sample.temperature != 1.0),
                ("top_k", sample.top_k.is_some()),
                ("top_p", sample.top_p != 1.0),
            ];
            if let Some((field, _)) = set.into_iter().find(|(_, set)| *set) {
                let message =
                    format!("`{field}` is about guesses of categories, and the noise is for numbers: leave it out.");
                return refuse(field, message);
            }
        }
        if let Some(quantile) = sample.threshold {
            if noise.categorical() || !facts.bounded {
                let message =
                    "`threshold` keeps guesses within −1 and 1, and these data are not kept there: leave it out.";
                return refuse("threshold", message.into());
            }
            if !(quantile > 0.0 && quantile <= 1.0) {
                return refuse(
                    "threshold",
                    format!("`threshold` is a quantile of |x̂|, above 0 and up to 1 (0.995 is usual), not {quantile}."),
                );
            }
        }
        let (sampler, table) = match &sample.sampler {
            Some(_) => recipe.module("sampler", "sample.sampler", &ranked.samplers, &[])?,
            None => {
                let name = if noise.path().is_some() { "ddim" } else { "ancestral" };
                let built = ranked.samplers.build(name, Table::new());
                let Some(Ok((sampler, settings))) = built else {
                    return Err(Error::invalid(format!("{} names no sampler in `[sample]`: add one.", recipe.name())));
                };
                let mut table = Table::from_iter([("name".to_owned(), Value::String(name.into()))]);
                table.extend(settings);
                (sampler, table)
            }
        };
        sampler.check(noise).map_err(|error| recipe.blame("sample.sampler", error))?;
        let mut resolved = written(&sample, "sample");
        resolved.insert("sampler".into(), Value::Table(table));
        Ok((sample, sampler, resolved))
    }

    /// What a model is made of beside its net.
    pub fn made(&self) -> Made<'_, D> {
        Made { data: &self.facts, x: &self.x, transform: self.transform.as_ref(), noise: self.noise.clone() }
    }
    /// The time until which guesses are moved to data while drawing.
    pub fn clamp(&self) -> f64 {
        self.transform.as_ref().map_or(0.0, |transform| transform.clamp)
    }

    /// The resolved recipe as a file.
    pub fn text(&self) -> String {
        let body = toml::to_string(&self.resolved).expect("what was read from TOML can be written as TOML");
        format!("# The recipe of this run with every default filled in; it runs as it is.\n\n{body}")
    }
}

/// The spacing that the table at `path` names, for a schedule.
pub(crate) fn spacing(
    recipe: &Recipe,
    modules: &Modules,
    path: &str,
    schedule: &AnySchedule,
) -> Result<(Arc<dyn Spacing>, Table)> {
    let (times, table) = recipe.module("spacing", path, &modules.spacings, &[])?;
    let times = times(schedule).map_err(|error| recipe.blame(path, error))?;
    times.check().map_err(|error| recipe.blame(path, error))?;
    Ok((times, table))
}

/// Why so many steps cannot be taken of a table of fewer.
pub(crate) fn beyond(table: usize, steps: usize) -> String {
    format!("the schedule is a table of {table} steps, so sampling cannot take {steps} of them")
}

/// The times of a walk of `steps` steps: those of the spacing's grid, but the first is 1, where the noise is
/// drawn: a grid that begins below (`leading`, levels smaller than the schedule's) would begin with signal that no draw has.
pub(crate) fn from_noise(times: &dyn Spacing, steps: usize) -> Result<Vec<f64>> {
    let mut grid = times.grid(steps);
    if let Some(first) = grid.first_mut() {
        *first = 1.0;
    }
    let falls = grid.windows(2).all(|pair| pair[0] > pair[1]);
    if grid.len() == steps + 1 && falls && grid[steps] == 0.0 {
        return Ok(grid);
    }
    grid.dedup();
    Err(Error::invalid(format!(
        "sampling in {steps} steps goes through {} falling times from 1 to 0, and these `times` give {}: take {}, or \
         other times",
        steps + 1,
        grid.len(),
        messages::count(grid.len().saturating_sub(1), "step")
    )))
}

/// A net for data of another rank is told apart from one that does not exist.
fn rank_of_net(recipe: &Recipe, modules: &Modules, rank: usize) -> Result<()> {
    let Some(name) = recipe.get("net.name").and_then(Value::as_str) else { return Ok(()) };
    let ranks = modules.ranks_of_net(name);
    if ranks.is_empty() || ranks.contains(&rank) {
        return Ok(());
    }
    let kind = |rank| match rank {
        2 => "points",
        3 => "sequences",
        _ => "images",
    };
    let others: Vec<&str> = modules
        .of_kind("net")
        .into_iter()
        .map(|(face, _)| &*face.name)
        .filter(|name| modules.ranks_of_net(name).contains(&rank))
        .collect();
    let data = recipe.get("data.name").and_then(Value::as_str).unwrap_or("");
    let message = format!(
        "the net `{name}` is for {}, and the data `{data}` are {}, for which there {} {}.",
        kind(ranks[0]),
        kind(rank),
        if others.len() == 1 { "is" } else { "are" },
        messages::list(&others)
    );
    Err(recipe.fail("net.name", Part::Value, &message))
}

/// The sum of `[[loss]]`, each with its weight; the simple loss where there is none.
fn objective<const D: usize>(
    recipe: &Recipe,
    ranked: &Ranked<D>,
    noise: &dyn Noise<D>,
) -> Result<(Objective<D>, Vec<Value>)> {
    let count = match recipe.get("loss") {
        None => 0,
        Some(Value::Array(losses)) if !losses.is_empty() => losses.len(),
        Some(_) => {
            let message = "losses are a list, for they add up: write `[[loss]]` with double brackets.";
            return Err(recipe.fail("loss", Part::Key, message));
        }
    };
    if count == 0 {
        let mut default = Recipe::parse("the default loss", "[[loss]]\nname = \"simple\"".into())?;
        if noise.categorical() {
            default.put("loss.0.name", Value::String("vlb".into()), "default".into())?;
        }
        return objective(&default, ranked, noise);
    }
    let (mut sum, mut tables): (Option<Objective<D>>, Vec<Value>) = (None, vec![]);
    for i in 0..count {
        let path = format!("loss.{i}");
        let (loss, mut table) = recipe.module("loss", &path, &ranked.losses, &["weight"])?;
        let weight = match recipe.get(&format!("{path}.weight")) {
            None => 1.0,
            Some(Value::Float(weight)) => *weight,
            Some(Value::Integer(weight)) => *weight as f64,
            Some(other) => {
                let message = format!("the weight of a loss is a number, not {other}.");
                return Err(recipe.fail(&format!("{path}.weight"), Part::Value, &message));
            }
        };
        if !(weight.is_finite() && weight >= 0.0) {
            let message = format!("the weight of a loss is 0 or more, not {weight}.");
            return Err(recipe.fail(&format!("{path}.weight"), Part::Value, &message));
        }
        loss.check(noise).map_err(|error| recipe.blame(&path, error))?;
        table.insert("weight".into(), Value::Float(weight));
        tables.push(Value::Table(table));
        let term = Objective::term(weight, loss);
        sum = Some(match sum {
            Some(sum) => sum + term,
            None => term,
        });
    }
    Ok((sum.expect("there is one loss at least"), tables))
}

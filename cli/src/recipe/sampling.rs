//! Sampling: `[sample]` of a recipe, its sampler and its timesteps.
use crate::{
    data::Facts,
    dyn_model::timesteps,
    recipe::{
        build::{module, section, spacing},
        file::{Part, Recipe},
        sections::SampleSettings,
    },
    registry::{
        AnySchedule, Modules, Ranked,
        module::{Kind, named, written},
    },
};
use std::sync::Arc;
use toml::{Table, Value};
use tweedie::{Result, noise::Noise, sample::Sampler, spacing::Spacing, train::Train};

pub(crate) struct Sampling<const D: usize> {
    pub settings: SampleSettings,
    pub sampler: Arc<dyn Sampler<D>>,
    /// The timesteps, if the recipe names them.
    pub times: Option<Arc<dyn Spacing>>,
    /// The section with every default filled in.
    pub table: Table,
}

impl<const D: usize> Sampling<D> {
    pub fn new(
        recipe: &Recipe,
        modules: &Modules,
        ranked: &Ranked<D>,
        schedule: &AnySchedule,
        noise: &dyn Noise<D>,
        facts: &Facts,
        train: &Train,
    ) -> Result<Self> {
        let mut settings: SampleSettings = section(recipe, modules, "sample")?;
        if recipe.get("sample.steps").is_none() {
            settings.steps = noise.steps().map_or(settings.steps, |table| settings.steps.min(table));
        }
        if let Some((field, problem)) = misfit(&settings, noise, facts, train) {
            return Err(recipe.fail(&format!("sample.{field}"), Part::Value, &problem));
        }
        let mut table = written(&settings, "sample");

        const SAMPLER: &str = "sample.sampler";
        let (sampler, own) = match settings.sampler {
            Some(_) => module(recipe, modules, Kind::Sampler, SAMPLER, &ranked.samplers)?,
            None => {
                let name = if noise.path().is_some() { "ddim" } else { "ancestral" };
                let built = ranked.samplers.build(name, Table::new());
                let (sampler, settings) = built.map_err(|error| recipe.at_field(SAMPLER, error))?;
                (sampler, named(name, settings))
            }
        };
        sampler.check(noise).map_err(|error| recipe.at_field(SAMPLER, error))?;
        table.insert("sampler".into(), Value::Table(own));

        const TIMES: &str = "sample.times";
        let mut times = None;
        if settings.times.is_some() {
            let (made, own) = spacing(recipe, modules, TIMES, schedule)?;
            timesteps(&*made, settings.steps).map_err(|error| recipe.at_field(TIMES, error))?;
            table.insert("times".into(), Value::Table(own));
            times = Some(made);
        }
        Ok(Self { settings, sampler: sampler.into(), times, table })
    }
}

/// The first field that does not fit the noise, the data or the training, and why.
fn misfit<const D: usize>(
    sample: &SampleSettings,
    noise: &dyn Noise<D>,
    facts: &Facts,
    train: &Train,
) -> Option<(&'static str, String)> {
    let steps = noise.steps().filter(|table| sample.steps > *table).map(|table| ("steps", beyond(table, sample.steps)));
    steps
        .or_else(|| guidance(sample, facts, train))
        .or_else(|| categorical_only(sample, noise))
        .or_else(|| threshold(sample, noise, facts))
}

/// Guidance, where there is nothing that it could compare.
fn guidance(sample: &SampleSettings, facts: &Facts, train: &Train) -> Option<(&'static str, String)> {
    let problem = if sample.guidance == 1.0 {
        return None;
    } else if facts.classes.is_empty() && facts.conditions.is_empty() {
        "`guidance` must be 1: these data have no classes or conditions to be guided towards".into()
    } else if train.cond_dropout == 0.0 {
        "`guidance` compares with a network that was also trained without conditions, and `cond_dropout = 0` in [train] never trains it \
         so: set `cond_dropout = 0.1`, or leave `guidance` at 1"
            .into()
    } else if train.cond_dropout == 1.0 {
        "`guidance` compares with a network that was trained with conditions, and `cond_dropout = 1` in [train] never trains it so: set \
         `cond_dropout = 0.1`, or leave `guidance` at 1"
            .into()
    } else if !sample.guidance.is_finite() {
        format!("`guidance` must be a finite number, got {}", sample.guidance)
    } else {
        return None;
    };
    Some(("guidance", problem))
}

/// Truncation of categorical predictions, where there are none.
fn categorical_only<const D: usize>(sample: &SampleSettings, noise: &dyn Noise<D>) -> Option<(&'static str, String)> {
    let set =
        [("temperature", sample.temperature != 1.0), ("top_k", sample.top_k.is_some()), ("top_p", sample.top_p != 1.0)];
    let (field, _) = set.into_iter().find(|(_, set)| *set).filter(|_| !noise.categorical())?;
    Some((
        field,
        format!("`{field}` is for categorical predictions, and the noise is for continuous data: leave it out"),
    ))
}

/// Dynamic thresholding, where it has no meaning.
fn threshold<const D: usize>(
    sample: &SampleSettings,
    noise: &dyn Noise<D>,
    facts: &Facts,
) -> Option<(&'static str, String)> {
    sample.threshold.filter(|_| noise.categorical() || !facts.bounded)?;
    let problem = "`threshold` clips x̂ to a range around [−1, 1], and these data have no such range: leave it out";
    Some(("threshold", problem.into()))
}

/// Why there cannot be so many steps on a table of fewer.
pub(crate) fn beyond(table: usize, steps: usize) -> String {
    format!("the schedule is a table of {table} steps, so sampling cannot take {steps} steps: take {table} at most")
}

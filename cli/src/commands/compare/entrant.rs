//! The combinations that `tweedie compare` measures: each sampler on each timestep spacing, once.
use crate::{
    args,
    commands::sample,
    dyn_model::timesteps,
    recipe::Recipe,
    recipe::build,
    registry::{AnySchedule, Modules, Rank, module::Kind},
};
use std::sync::Arc;
use toml::{Table, Value};
use tweedie::{Error, Result, noise::Noise, sample::Sampler, schedule::Schedule, spacing::Spacing};

/// Samplers that are also run on the arcsine spacing by default: those that gain most from it.
const DENSE: [&str; 3] = ["deis", "unipc", "dpm-solver++"];

/// A sampler with a timestep spacing.
pub(super) struct Entrant<const D: usize> {
    pub label: String,
    /// As `--sampler` and `--times` take them.
    pub text: String,
    pub times_text: Option<String>,
    pub sampler: Box<dyn Sampler<D>>,
    /// `None` for the default spacing of the noise.
    pub times: Option<Arc<dyn Spacing>>,
}

/// The timesteps of `steps` steps; by default those of the noise.
pub(super) fn grid<const D: usize>(
    times: Option<&Arc<dyn Spacing>>,
    noise: &dyn Noise<D>,
    steps: usize,
) -> Result<Vec<f64>> {
    match times {
        None => Ok(tweedie::spacing::sampling_grid(noise, steps)),
        Some(times) => timesteps(&**times, steps),
    }
}

/// Each sampler on each spacing, without duplicates.
pub(super) fn entrants<const D: usize>(
    args: &args::Compare,
    modules: &Modules,
    noise: &dyn Noise<D>,
    schedule: &Arc<dyn Schedule>,
) -> Result<Vec<Entrant<D>>>
where
    Modules: Rank<D>,
{
    let shelf = &Rank::<D>::ranked(modules).samplers;
    let named = AnySchedule::continuous("the schedule", schedule.clone());
    let all = args.sampler.is_empty();
    let texts = match all {
        true => shelf.names().into_iter().map(str::to_owned).collect(),
        false => args.sampler.clone(),
    };
    let (mut entrants, mut known) = (vec![], vec![]);
    for text in &texts {
        let mut recipe = Recipe::parse("the sampler", String::new())?;
        recipe.put("sample.sampler", Value::Table(sample::module_of(text)?), format!("--sampler {text}"))?;
        let (own, settings) = build::module(&recipe, modules, Kind::Sampler, "sample.sampler", shelf)?;
        let fits = own.check(noise);
        if all {
            // Stochastic samplers are measured by their samples alone.
            if fits.is_err() || own.properties().order.is_none() && args.samples.is_none() {
                continue;
            }
        } else {
            fits.map_err(|error| recipe.at_field("sample.sampler", error))?;
            if args.tune.is_some() && own.properties().order.is_none() {
                let why = "`--tune` needs a deterministic sampler, and this one is stochastic";
                return Err(recipe.at_field("sample.sampler", Error::invalid(why)));
            }
        }
        let mut on: Vec<Option<String>> = args.times.iter().cloned().map(Some).collect();
        if on.is_empty() {
            on.push(None);
            let name = settings.get("name").and_then(Value::as_str).unwrap_or_default();
            if DENSE.contains(&name) && modules.spacings.description("arcsine").is_some() {
                on.push(Some("arcsine".into()));
            }
        }
        for times_text in on {
            let (mut times, mut on_times) = (None, Table::new());
            if let Some(text) = times_text.as_ref().filter(|text| *text != "even") {
                recipe.put("sample.times", Value::Table(sample::module_of(text)?), format!("--times {text}"))?;
                let (spacing, table) = build::spacing(&recipe, modules, "sample.times", &named)?;
                // Checked before any sampling.
                for &steps in &args.steps {
                    timesteps(&*spacing, steps).map_err(|error| recipe.at_field("sample.times", error))?;
                }
                (times, on_times) = (Some(spacing), sorted(table));
            }
            let own = (settings.clone(), on_times);
            if known.contains(&own) {
                continue;
            }
            known.push(own);
            let label = match &times {
                None => short(text)?,
                Some(_) => format!("{} on {}", short(text)?, short(times_text.as_deref().unwrap_or_default())?),
            };
            // A boxed sampler cannot be cloned, so it is built again for each spacing.
            let (sampler, _) = build::module(&recipe, modules, Kind::Sampler, "sample.sampler", shelf)?;
            entrants.push(Entrant { label, text: text.clone(), times_text, sampler, times });
        }
    }
    Ok(entrants)
}

/// The settings of a spacing with sorted lists of timesteps and noise levels, for comparison.
fn sorted(mut table: Table) -> Table {
    for key in ["times", "levels"] {
        if let Some(Value::Array(list)) = table.get_mut(key) {
            list.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
    }
    table
}
fn number(value: &Value) -> f64 {
    value.as_float().or(value.as_integer().map(|whole| whole as f64)).unwrap_or(f64::NAN)
}

/// A short label of a module given as a flag: its name and the given fields.
pub(crate) fn short(text: &str) -> Result<String> {
    let table = sorted(sample::module_of(text)?);
    let name = table.get("name").and_then(Value::as_str).unwrap_or(text);
    let fields = table.iter().filter(|(key, _)| *key != "name").map(|(key, value)| format!(" {key}={}", few(value)));
    Ok(fields.fold(name.to_owned(), |all, field| all + &field))
}

/// A value; a long list is abbreviated to its ends and its length.
fn few(value: &Value) -> String {
    match value.as_array().map(Vec::as_slice) {
        Some([first, second, .., last]) if value.to_string().len() > 24 => {
            format!("[{first}, {second}, …, {last}] ({})", value.as_array().map_or(0, Vec::len))
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_in_order() {
        assert_eq!(short("deis").unwrap(), "deis");
        assert_eq!(short("{ name = \"deis\", order = 2 }").unwrap(), "deis order=2");
        assert_eq!(short("{ name = \"listed\", times = [1.0, 0.25, 0.5] }").unwrap(), "listed times=[0.25, 0.5, 1.0]");
        let many = "{ name = \"listed\", times = [0.9, 0.1, 0.2, 0.3, 0.4, 1.0] }";
        assert_eq!(short(many).unwrap(), "listed times=[0.1, 0.2, …, 1.0] (6)");
    }
}

//! The laws of the modules of a recipe, with its settings and for its data.
use super::{Module, sampler, say_unfit};
use crate::{
    commands::{for_rank, of_rank},
    data::{Loaded, Set, Split},
    dyn_model::timesteps,
    output::console::note,
    recipe::{
        Recipe,
        plan::{DataSpec, Plan},
    },
    registry::{Modules, Rank},
};
use burn::tensor::{DType, Device};
use tweedie::{Error, Result, Rng, laws, noise::Gaussian};

/// The laws of the modules that a recipe names, with its settings and for its data.
pub(super) fn of_recipe(recipe: &Recipe, modules: &Modules) -> Result<Vec<Module>> {
    let data = DataSpec::new(recipe, modules)?;
    let loaded = data
        .load(recipe, Split::Train)?
        .ok_or_else(|| Error::invalid("the data set of the recipe has no training part"))?;
    let held_out = data.load(recipe, Split::Test)?;
    for_rank!(loaded, set => of_plan(recipe, modules, &data, &*set, held_out))
}

fn of_plan<const D: usize>(
    recipe: &Recipe,
    modules: &Modules,
    data: &DataSpec,
    set: &dyn Set<D>,
    held_out: Option<Loaded>,
) -> Result<Vec<Module>>
where
    Modules: Rank<D>,
{
    let facts = set.facts();
    let plan = Plan::<D>::new(recipe, modules, data, &facts)?;
    let name = |path: &[&str]| name_at(&plan.resolved, path);
    let rows: Vec<usize> = (0..set.len().min(8)).collect();
    let (x, _) = set.batch(&rows, &Rng::new(0).stream("data"), &Device::flex());
    // The vectors of a learned embedding are replaced by random ones.
    let x = if plan.transform.is_none() {
        x.cast(DType::F64)
    } else {
        let mut shape = [rows.len(); D];
        shape[1..].copy_from_slice(&plan.x.shape);
        Rng::new(0).normal_tensor(shape, &Device::flex(), DType::F64)
    };
    let schedule = match plan.noise.categorical() {
        true => laws::survival(&plan.schedule.survival()?),
        false => laws::schedule(&plan.schedule.schedule()?),
    };
    let split = held_out.and_then(of_rank::<D>).map_or(vec![], |held_out| laws::held_out(set, &*held_out));
    let mut verified: Vec<Module> = vec![
        ("data", name(&["data"]), split),
        ("schedule", name(&["schedule"]), schedule),
        ("noise", name(&["noise"]), [laws::noise(&*plan.noise, &x), laws::estimates(&*plan.noise, &x)].concat()),
        ("net", name(&["net"]), plan.net.laws(&plan.x, &*plan.noise, None)?),
    ];
    for (i, (_, loss)) in plan.objective.terms().iter().enumerate() {
        let i = i.to_string();
        if loss.check_transform(&()).is_err() {
            continue;
        }
        let x = x.clone().cast(DType::F32);
        verified.push(("loss", name(&["loss", &i]), laws::loss(&**loss, &*plan.noise, &x)));
    }
    for loss in plan.resolved.get("loss").and_then(toml::Value::as_array).into_iter().flatten() {
        let Some(toml::Value::Table(mut settings)) = loss.get("weighting").cloned() else { continue };
        if let (Some(toml::Value::String(name)), Ok(schedule)) = (settings.remove("name"), plan.schedule.schedule()) {
            let (weight, _) = modules.weights.build(&name, settings)?;
            verified.push(("weight", name, laws::weight(weight?, schedule)));
        }
    }
    for (times, path) in [(&plan.times, &["times"][..]), (&plan.sample_times, &["sample", "times"])] {
        if let Some(times) = times {
            verified.push(("spacing", name(path), laws::spacing(&**times)));
        }
    }
    // Samplers are checked on exact problems, independent of the data.
    let mut settings = match plan.resolved["sample"].get("sampler") {
        Some(toml::Value::Table(settings)) => settings.clone(),
        _ => toml::Table::new(),
    };
    settings.remove("name");
    let own = name(&["sample", "sampler"]);
    let plane = Rank::<2>::ranked(modules).samplers.build(&own, settings.clone());
    let sequences = Rank::<3>::ranked(modules).samplers.build(&own, settings);
    if let (Ok((plane, _)), Ok((sequences, _))) = (plane, sequences) {
        let mut checks = sampler(&*plane, &*sequences);
        say_unfit(&own, &*plane);
        // On the recipe's own schedule too.
        if let Ok(schedule) = plan.schedule.schedule()
            && !plan.noise.categorical()
        {
            let noise = Gaussian::new(schedule.clone());
            let times = sample_times(&plan);
            if let Some(unfit) = times.and_then(|times| plane.unfit(&noise, &times)) {
                note(&format!("sampler {own} is unfit for the schedule {}: {unfit}", name(&["schedule"])));
            }
            checks.extend(laws::robustness_on(&*plane, &name(&["schedule"]), schedule));
        }
        verified.push(("sampler", own, checks));
    }
    Ok(verified)
}

/// The timesteps of sampling.
fn sample_times<const D: usize>(plan: &Plan<D>) -> Option<Vec<f64>> {
    match &plan.sample_times {
        Some(times) => timesteps(&**times, plan.sample.steps).ok(),
        None => Some(tweedie::spacing::sampling_grid(&*plan.noise, plan.sample.steps)),
    }
}

/// The name of the module at a path of a resolved recipe.
fn name_at(resolved: &toml::Table, path: &[&str]) -> String {
    let step = |value: Option<&toml::Value>, key: &str| match (value, key.parse::<usize>()) {
        (Some(list), Ok(i)) => list.get(i).cloned(),
        (value, _) => value.and_then(|value| value.get(key)).cloned(),
    };
    let at = path[1..].iter().fold(resolved.get(path[0]).cloned(), |value, key| step(value.as_ref(), key));
    at.and_then(|module| Some(module.get("name")?.as_str()?.to_owned())).unwrap_or_default()
}

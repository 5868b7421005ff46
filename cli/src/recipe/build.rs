//! From the tables of a recipe to the modules that they name.
use crate::{
    data::DataKind,
    recipe::{
        check,
        file::{Part, Recipe},
    },
    registry::{
        AnySchedule, Modules,
        module::{self, Kind, Registry, named},
        settings::Settings,
    },
};
use std::sync::Arc;
use toml::{Table, Value};
use tweedie::{Error, Result, spacing::Spacing};

/// The module that a recipe names at `path`, and its settings with the name and all defaults filled in.
pub(crate) fn module<T: 'static>(
    recipe: &Recipe,
    modules: &Modules,
    kind: Kind,
    path: &str,
    registry: &Registry<T>,
) -> Result<(T, Table)> {
    let mut table = check::module(recipe, modules, kind, path)?;
    let name = match table.remove("name") {
        Some(Value::String(name)) => name,
        _ => unreachable!("a module is read with its name"),
    };
    if registry.description(&name).is_none() {
        return Err(of_other_rank(recipe, modules, kind, &name, path, registry));
    }
    // The weight of a loss is read by the sum of losses.
    if kind == Kind::Loss {
        table.remove("weight");
    }
    let (module, settings) = registry.build(&name, table).map_err(|error| recipe.at_field(path, error))?;
    Ok((module, named(&name, settings)))
}

/// A module for data of another rank is not one that does not exist.
fn of_other_rank<T: 'static>(
    recipe: &Recipe,
    modules: &Modules,
    kind: Kind,
    name: &str,
    path: &str,
    registry: &Registry<T>,
) -> Error {
    let mut is_for = modules.data_kinds(kind, name);
    // Images whose levels are categories are sequences of them.
    if is_for.contains(&DataKind::Images) {
        is_for.retain(|data| *data != DataKind::Sequences);
    }
    let is_for: Vec<String> = is_for.iter().map(DataKind::to_string).collect();
    let is_for = match is_for.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        all => all.concat(),
    };
    let known = registry.names();
    let message = match (known.as_slice(), registry.data_kind()) {
        ([], _) | (_, None) => {
            format!("the {kind} `{name}` is for {is_for}, and there is no {kind} for other data.")
        }
        (known, Some(data)) => format!(
            "the {kind} `{name}` is for {is_for}, and these data are {}, for which there {} {}.",
            data,
            if known.len() == 1 { "is" } else { "are" },
            crate::messages::list(known)
        ),
    };
    let written = if recipe.get(path).is_some_and(Value::is_str) { path.to_owned() } else { format!("{path}.name") };
    recipe.fail(&written, Part::Value, &message)
}

/// The settings of a section that is not a module, defaults filled in.
pub(crate) fn section<S: Settings>(recipe: &Recipe, modules: &Modules, section: &str) -> Result<S> {
    module::read(check::section(recipe, modules, section)?).map_err(|error| recipe.at_field(section, error))
}

/// The spacing that a recipe names at `path`, for a schedule.
pub(crate) fn spacing(
    recipe: &Recipe,
    modules: &Modules,
    path: &str,
    schedule: &AnySchedule,
) -> Result<(Arc<dyn Spacing>, Table)> {
    let (times, table) = module(recipe, modules, Kind::Spacing, path, &modules.spacings)?;
    let times = times(schedule).map_err(|error| recipe.at_field(path, error))?;
    times.check().map_err(|error| recipe.at_field(path, error))?;
    Ok((times, table))
}

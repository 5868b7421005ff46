//! The objective of training: the weighted sum of the losses of a recipe.
use crate::{
    recipe::{build::module, file::Recipe},
    registry::{
        Modules, Ranked,
        module::{Kind, named},
    },
};
use toml::{Table, Value};
use tweedie::{Result, loss::Objective, noise::Noise};

/// The weighted sum of `[[loss]]`, and the settings of each; one loss for the noise if there are none.
pub(crate) fn objective<const D: usize>(
    recipe: &Recipe,
    modules: &Modules,
    ranked: &Ranked<D>,
    noise: &dyn Noise<D>,
) -> Result<(Objective<D>, Vec<Value>)> {
    let mut losses = vec![];
    for i in 0..recipe.get("loss").and_then(Value::as_array).map_or(0, Vec::len) {
        let path = format!("loss.{i}");
        let (loss, mut table) = module(recipe, modules, Kind::Loss, &path, &ranked.losses)?;
        let (loss, weights) = loss(&modules.weights).map_err(|error| recipe.at_field(&path, error))?;
        table.extend(weights);
        let weight = match recipe.get(&format!("{path}.weight")) {
            Some(Value::Float(weight)) => *weight,
            Some(Value::Integer(weight)) => *weight as f64,
            _ => 1.0,
        };
        losses.push((path, loss, weight, table));
    }
    if losses.is_empty() {
        let name = if noise.categorical() { "vlb" } else { "simple" };
        let (loss, settings) = ranked.losses.build(name, Table::new())?;
        let (loss, _) = loss(&modules.weights)?;
        losses.push(("loss".into(), loss, 1.0, named(name, settings)));
    }
    let (mut sum, mut tables): (Option<Objective<D>>, Vec<Value>) = (None, vec![]);
    for (path, loss, weight, mut table) in losses {
        loss.check(noise).map_err(|error| recipe.at_field(&path, error))?;
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

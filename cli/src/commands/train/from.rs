//! Fine-tuning: a new run that begins with the weights of another.
use crate::{
    commands::sample::Opened,
    data::Facts,
    dyn_model::DynTrainer,
    messages,
    output::console::note,
    recipe::difference::{self, Difference, MODEL},
    recipe::plan::{DataSpec, Plan},
    registry::{Modules, Rank},
    run_dir::step_of,
};
use burn::tensor::Device;
use tweedie::{Error, Result, train::Checkpoint};

/// Gives a trainer the weights to sample with of another run, as its own and as their average; step, optimizer, data and split
/// are new. Returns what the checkpoints of the new run note of it.
///
/// # Errors
///
/// If the weights do not fit: another network, another vocabulary or another number of classes.
pub(super) fn begin<const D: usize>(
    trainer: &mut dyn DynTrainer<D>,
    from: &Opened,
    plan: &Plan<D>,
    modules: &Modules,
    device: &Device,
    quiet: bool,
) -> Result<String>
where
    Modules: Rank<D>,
{
    let (old, new) = (&from.facts, &plan.facts);
    let place = from.weights.display();
    if old.categories.is_some() || new.categories.is_some() {
        old.fit(new)?;
    }
    if old.classes.len() != new.classes.len() {
        let problem = format!(
            "the weights of {place} are for {}, and the data have {}; the class embedding has one row per class",
            messages::classes(old.classes.len()),
            messages::classes(new.classes.len())
        );
        return Err(Error::invalid(problem).with_remedy("use data with as many classes, or train from the start"));
    }
    let named = |facts: &Facts| -> Vec<String> {
        facts.specs().iter().map(|spec| format!("`{}` ({})", spec.name, spec.kind.describe())).collect()
    };
    if named(old) != named(new) {
        let list = |names: Vec<String>| if names.is_empty() { "none".into() } else { names.join(", ") };
        let problem = format!(
            "the weights of {place} are for the conditions {}, and the data have {}",
            list(named(old)),
            list(named(new))
        );
        return Err(Error::invalid(problem).with_remedy("give the data the same conditions, or train from the start"));
    }
    let mut state = trainer.checkpoint();
    let weights = Checkpoint::load_weights(&from.weights, &state.weights, device)?;
    state.average = state.average.map(|_| weights.clone());
    state.weights = weights;
    trainer.restore(state)?;
    if !quiet {
        changes(from, plan, modules).iter().for_each(|change| note(change));
    }
    let step = step_of(&from.weights).map_or(String::new(), |step| format!(", step {step}"));
    Ok(format!("{place}{step}"))
}

/// What the weights were trained for otherwise, a sentence each.
fn changes<const D: usize>(from: &Opened, plan: &Plan<D>, modules: &Modules) -> Vec<String>
where
    Modules: Rank<D>,
{
    let mut told = vec![];
    let data = DataSpec::new(&from.recipe, modules);
    let before = data.and_then(|data| Plan::<D>::new(&from.recipe, modules, &data, &from.facts));
    let fields = match before {
        Ok(before) => difference::between(&before.resolved, &plan.resolved, MODEL),
        Err(_) => difference::between(from.recipe.table(), &plan.resolved, MODEL),
    };
    if !fields.is_empty() {
        let fields: Vec<String> = fields.iter().map(Difference::sentence).collect();
        told.push(format!("warning: the weights were trained with other settings: {}", fields.join(", ")));
    }
    if from.facts.classes != plan.facts.classes {
        let pair = from.facts.classes.iter().zip(&plan.facts.classes).find(|(old, new)| old != new);
        let (old, new) = pair.expect("as many classes, and not the same");
        told.push(format!(
            "warning: the classes have other names, and keep their places in the class embedding: `{new}` begins with the \
             embedding of `{old}`"
        ));
    }
    told
}

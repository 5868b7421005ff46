//! The conditions that samples are generated for.
use super::classes;
use crate::{
    data::{ConditionFacts, Facts, Set},
    messages,
};
use burn::tensor::Device;
use tweedie::{
    Error, Result, Rng,
    condition::{CLASS, Condition as _, Conditions, Values},
    train::Train,
};

/// The most rows of the data whose conditions are taken.
const ROWS: usize = 1000;

/// Whether there are conditions besides the class.
pub(crate) fn has_named(facts: &Facts) -> bool {
    facts.named().next().is_some()
}

/// The conditions of rows that are evenly spaced in the data, up to `n`.
pub(crate) fn of_data<const D: usize>(set: &dyn Set<D>, n: usize) -> Conditions {
    let n = n.min(set.len()).clamp(1, ROWS);
    let rows: Vec<usize> = (0..n).map(|i| i * set.len() / n).collect();
    set.batch(&rows, &Rng::new(0).stream("examples"), &Device::flex()).1
}

/// The conditions of `n` samples if none are chosen: all classes in turn, or, if there are other conditions, those of `examples` in
/// turn; none if the model was never trained with any.
pub(crate) fn default(facts: &Facts, train: &Train, examples: &Conditions, n: usize) -> Conditions {
    match examples.rows() {
        Some(rows) if has_named(facts) && train.cond_dropout < 1.0 => {
            examples.select(&(0..n).map(|i| i % rows).collect::<Vec<_>>())
        }
        _ => classes::cycled(facts, train, n),
    }
}

/// The conditions that `--class` and `--condition` choose, each in turn; what is not chosen is dropped if others are, and otherwise that
/// of `examples`.
pub(crate) fn chosen(
    facts: &Facts,
    train: &Train,
    class: &[String],
    given: &[String],
    n: usize,
    examples: impl FnOnce() -> Result<Conditions>,
) -> Result<Conditions> {
    let mut class = class.to_vec();
    let mut values: Vec<(&ConditionFacts, Vec<Values>)> = facts.named().map(|known| (known, vec![])).collect();
    for given in given {
        let refused = |problem: String| Error::invalid(format!("`--condition {given}`: {problem}"));
        let Some((name, value)) = given.split_once('=') else {
            return Err(refused("write NAME=VALUE, as in `--condition age=30`".into()));
        };
        let name = name.trim();
        if name == CLASS && !facts.classes.is_empty() {
            class.push(value.to_owned());
            continue;
        }
        let names: Vec<&str> = values.iter().map(|(known, _)| &*known.spec.name).collect();
        let all: Vec<&str> = names.iter().copied().chain((!facts.classes.is_empty()).then_some(CLASS)).collect();
        let Some(at) = names.iter().position(|known| *known == name) else {
            return Err(refused(match all.as_slice() {
                [] => "the model was trained without conditions: leave it out".into(),
                all => format!(
                    "unknown condition `{name}`{} The conditions are {}",
                    messages::meant(name, all),
                    messages::list(all)
                ),
            }));
        };
        let (known, own) = &mut values[at];
        own.push(known.reader.parse(&known.spec, value).map_err(|error| refused(error.to_string()))?);
    }
    if train.cond_dropout == 1.0 && !given.is_empty() {
        return Err(Error::invalid(
            "`--condition` needs a network that was trained with conditions, and this one never was, because `cond_dropout = 1` in \
             [train]: leave it out, or train with `cond_dropout = 0.1`",
        ));
    }
    if values.iter().all(|(_, own)| own.is_empty()) {
        // Without classes `--class none` alone makes the samples unconditional, and other classes are refused.
        if !has_named(facts) || facts.classes.is_empty() && class.iter().any(|class| class == "none") {
            return classes::chosen(facts, train, &class, n);
        }
        let all = default(facts, train, &examples()?, n);
        return Ok(match class.is_empty() {
            true => all,
            false => with_classes(all, classes::chosen(facts, train, &class, n)?),
        });
    }
    let mut all = match (facts.classes.is_empty(), class.is_empty()) {
        (true, _) => Conditions::none(),
        // Which classes belong to these conditions is not known.
        (false, true) if may_be_dropped(train, CLASS) => dropped_class(n),
        (false, _) => classes::chosen(facts, train, &class, n)?,
    };
    for (known, own) in values {
        let name = &known.spec.name;
        let one = match own.is_empty() {
            true if may_be_dropped(train, name) => known.reader.parse(&known.spec, "none")?,
            true => return Err(missing(known)),
            false => joined(&own),
        };
        if one_is_dropped(&one) && !may_be_dropped(train, name) && train.cond_dropout == 0.0 {
            return Err(missing(known));
        }
        let rows = one.rows();
        all = all.with(name, one.select(&(0..n).map(|i| i % rows).collect::<Vec<_>>()));
    }
    Ok(all)
}

/// Whether the model was trained with a condition dropped by itself.
fn may_be_dropped(train: &Train, name: &str) -> bool {
    train.cond_dropouts.get(name).is_some_and(|p| *p > 0.0)
}

fn missing(known: &ConditionFacts) -> Error {
    let name = &known.spec.name;
    Error::invalid(format!(
        "the condition `{name}` ({}) is missing, and the model was never trained without it alone: give it by `--condition {name}=…`, or \
         train with `dropout = 0.1` in [condition.{name}]",
        known.spec.kind.describe()
    ))
}

fn dropped_class(n: usize) -> Conditions {
    Conditions::none().with(CLASS, Values::Class(vec![None; n]))
}

fn with_classes(all: Conditions, classes: Conditions) -> Conditions {
    match classes.get(CLASS) {
        Some(values) => all.with(CLASS, values.clone()),
        None => all,
    }
}

fn one_is_dropped(values: &Values) -> bool {
    (0..values.rows()).any(|row| values.is_dropped(row))
}

/// The rows of all, one after the other.
fn joined(all: &[Values]) -> Values {
    let mut all = all.iter().cloned();
    let first = all.next().expect("one at least");
    all.fold(first, |a, b| a.concat(b))
}

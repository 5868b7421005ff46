//! `tweedie verify`: runs the laws over the modules that a recipe can name.
use crate::{
    args,
    categories::Categories,
    data::Facts,
    list::pretty,
    named::{Modules, Rank},
    say, words,
};
use burn::tensor::{DType, Device};
use serde_json::json;
use std::sync::Arc;
use tweedie::{
    Error, Result, Rng,
    laws::{self, Check},
    schedule::{Linear, Schedule, VariancePreserving},
};

/// The kinds that have laws of their own.
const KINDS: [&str; 4] = ["schedule", "noise", "spacing", "sampler"];

pub(crate) fn run(args: &args::Verify, modules: &Modules) -> Result<()> {
    let kinds: Vec<&str> = match &args.kind {
        None => KINDS.to_vec(),
        Some(kind) => match KINDS.iter().find(|known| *known == kind || format!("{known}s") == *kind) {
            Some(kind) => vec![kind],
            None => {
                return Err(Error::Unfit(format!(
                    "there are no laws of `{kind}`{} There are some of {}.",
                    words::meant(kind, &KINDS),
                    words::list(&KINDS)
                )));
            }
        },
    };
    let mut verified = vec![];
    for kind in kinds {
        let names: Vec<String> = modules.of_kind(kind).into_iter().map(|(face, _)| face.name.clone()).collect();
        if let Some(name) = &args.name
            && !names.contains(name)
        {
            return Err(Error::Unfit(format!(
                "there is no {kind} `{name}`{} There are {}.",
                words::meant(name, &names),
                words::list(&names)
            )));
        }
        for name in names.iter().filter(|name| args.name.as_ref().is_none_or(|wanted| wanted == *name)) {
            verified.push((kind, name.clone(), checks(kind, name, modules)?));
        }
    }
    if args.json {
        say(&pretty(&entries(&verified)));
    } else {
        table(&verified);
    }
    verdict(&verified)
}

/// The laws of one module with its default settings.
fn checks(kind: &str, name: &str, modules: &Modules) -> Result<Vec<Check>> {
    let wrong = |error: toml::de::Error| Error::Unfit(format!("the defaults of {kind} `{name}` make none: {error}"));
    let settings = toml::Table::new();
    let two = Rank::<2>::ranked(modules);
    let missing = "a listed module can be built";
    Ok(match kind {
        "schedule" => {
            let schedule = modules.schedules.build(name, settings).expect(missing).map_err(wrong)?.0;
            schedule.check()?;
            laws::schedule(&schedule)
        }
        "spacing" => laws::spacing(&*modules.spacings.build(name, settings).expect(missing).map_err(wrong)?.0),
        "sampler" => laws::sampler(&*two.samplers.build(name, settings).expect(missing).map_err(wrong)?.0),
        _ => {
            let make = two.noises.build(name, settings).expect(missing).map_err(wrong)?.0;
            let schedule: Arc<dyn Schedule> = Arc::new(VariancePreserving::default());
            let facts = facts(modules.categorical.iter().any(|known| known == name));
            // Some noises are made of the steps of a table.
            let table = || Arc::new(Linear::between(100, 1e-4, 0.5)) as Arc<dyn Schedule>;
            let noise = make(schedule, &facts).or_else(|_| make(table(), &facts))?;
            noise.check()?;
            let x = Rng::new(0).normal_tensor([64, 3], &Device::flex(), DType::F64);
            let x = match noise.categories() {
                // Data are never the mask, which is the last.
                Some(categories) => one_hot(&x).pad([(0, 0), (0, categories.k - 3)], 0.0),
                None => x,
            };
            laws::noise(&*noise, &x)
        }
    })
}

/// Three numbers, or three categories.
fn facts(categorical: bool) -> Facts {
    let categories =
        Categories { count: 3, frequencies: vec![0.5, 0.2, 0.3], shown: crate::categories::Shown::Numbers };
    Facts { shape: vec![3], categories: categorical.then_some(categories), ..Facts::default() }
}

/// The largest entry of each row.
fn one_hot(x: &burn::tensor::Tensor<2>) -> burn::tensor::Tensor<2> {
    let most = x.clone().max_dim(1).expand(x.dims());
    x.clone().equal(most).float().cast(x.dtype())
}

/// Modules, by kind and name, and what was measured of each.
type Verified<'a> = [(&'a str, String, Vec<Check>)];

/// Every law of every module.
fn laws_of<'a>(verified: &'a Verified) -> impl Iterator<Item = (&'a str, &'a str, &'a Check)> {
    verified.iter().flat_map(|(kind, name, checks)| checks.iter().map(move |check| (*kind, &**name, check)))
}

fn entries(verified: &Verified) -> serde_json::Value {
    laws_of(verified)
        .map(|(kind, name, check)| {
            json!({
                "kind": kind, "name": name, "law": check.law, "place": check.place, "measured": check.measured,
                "allowed": check.allowed, "holds": check.holds(),
            })
        })
        .collect()
}

fn table(verified: &Verified) {
    let all = || laws_of(verified);
    let module = |kind: &str, name: &str| format!("{kind} {name}");
    let width = all().map(|(kind, name, _)| module(kind, name).chars().count()).max().unwrap_or(0);
    let law = all().map(|(.., check)| check.law.chars().count()).max().unwrap_or(0);
    say(&format!("{:width$}  {:law$}  measured   allowed", "module", "law"));
    for (kind, name, check) in all() {
        let verdict = if check.holds() { "" } else { "  BROKEN" };
        say(&format!(
            "{:width$}  {:law$}  {:>8.1e}  {:>8.1e}{verdict}",
            module(kind, name),
            check.law,
            check.measured,
            check.allowed
        ));
    }
    let broken = all().filter(|(.., check)| !check.holds()).count();
    say(&format!("{} laws of {} modules, {broken} broken", all().count(), verified.len()));
}

/// The first law that is broken, as an error.
fn verdict(verified: &Verified) -> Result<()> {
    let broken: Vec<_> = laws_of(verified).filter(|(.., check)| !check.holds()).collect();
    match broken.first() {
        None => Ok(()),
        Some((kind, name, check)) => Err(Error::Unfit(format!(
            "{} of {} laws do not hold; the first is of {kind} `{name}`: {check}",
            broken.len(),
            laws_of(verified).count()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_law_is_an_error_that_names_it() {
        let check = |measured| Check { law: "α does not rise", place: "t = 0.5".into(), measured, allowed: 0.1 };
        assert!(verdict(&[("schedule", "mine".into(), vec![check(0.0), check(0.1)])]).is_ok());
        for wrong in [0.2, f64::NAN] {
            let error =
                verdict(&[("schedule", "mine".into(), vec![check(0.0), check(wrong)])]).unwrap_err().to_string();
            assert!(
                error.starts_with("1 of 2 laws do not hold; the first is of schedule `mine`: α does not rise"),
                "{error}"
            );
        }
    }
}

//! `tweedie verify`: runs the laws over the modules that a recipe can name.
mod of_recipe;
mod output;

use crate::{
    args,
    commands::list::{pretty, unfit, unfit_sentence},
    data::categories::Categories,
    data::{ConditionFacts, ConditionReader, DataKind, Facts},
    device,
    dyn_model::Against,
    messages,
    output::{
        console::{note, say},
        progress::Progress,
    },
    recipe::Recipe,
    registry::{
        AnySchedule, Modules, NoiseOn, Rank,
        module::{Kind, Registry},
        schema::{Field, Range, Type},
    },
    run_dir::RunDir,
};
use burn::tensor::{DType, Device};
use of_recipe::of_recipe;
use output::{Module, brief, entries, table, verdict};
use std::{path::Path, sync::Arc};
use tweedie::{
    Error, Precision, Result, Rng,
    condition::{ConditionKind, ConditionSpec},
    laws::{self, Check},
    loss::Loss,
    noise::{Discrete, Gaussian, Noise, Variance},
    sample::Sampler,
    schedule::{FlowMatching, Linear, VariancePreserving},
};
use tweedie_data::Vocabulary;

/// The kinds of modules that have laws.
const KINDS: [&str; 7] = ["schedule", "noise", "net", "loss", "weight", "spacing", "sampler"];

pub(crate) fn run(args: &args::Verify, modules: &Modules) -> Result<()> {
    let device = device::named(&args.device)?;
    let against = match args.precision.as_deref().map(precision).transpose()? {
        Some(precision) => {
            precision.check(&device)?;
            Some(Against::Single(precision, &device))
        }
        None => (args.device != "cpu").then(|| Against::Processor(&device, tolerance(&args.device))),
    };
    if let Some(what) = args.what.as_ref().filter(|_| against.is_some())
        && !COMPARED.contains(&&**what)
    {
        let problem = format!("`{what}` is not verified on another device or in another precision");
        return Err(
            Error::invalid(problem).with_remedy(format!("choose {}, or none for all", messages::list(&COMPARED)))
        );
    }
    let kind = |what: &String| KINDS.iter().find(|known| *known == what || format!("{known}s") == *what);
    let verified = match &args.what {
        None if against.is_some() => by_name(&COMPARED, args, modules, against)?,
        None => by_name(&KINDS, args, modules, None)?,
        Some(_) if against.is_some() => {
            let wanted: Vec<&'static str> =
                COMPARED.into_iter().filter(|known| Some(*known) == args.what.as_deref()).collect();
            by_name(&wanted, args, modules, against)?
        }
        Some(what) => match kind(what) {
            Some(kind) => by_name(&[kind], args, modules, None)?,
            // The folder of a run contains its recipe.
            None if Path::new(what).is_dir() => {
                let folder = RunDir::open(Path::new(what), "give the folder of a run, or the TOML file of a recipe")?;
                of_recipe(&Recipe::of_run(&folder.recipe())?, modules)?
            }
            None if Path::new(what).extension().is_some_and(|ending| ending == "toml") || Path::new(what).is_file() => {
                of_recipe(&Recipe::read(Path::new(what))?, modules)?
            }
            // A module by its name alone, of each kind that has one of that name.
            None if args.name.is_none() && !kinds_of(what, modules).is_empty() => {
                let named = args::Verify { what: None, name: Some(what.clone()), ..args.clone() };
                by_name(&kinds_of(what, modules), &named, modules, None)?
            }
            None => {
                return Err(Error::invalid(format!(
                    "`{what}` is not a kind of module with laws{} The kinds are {}; `tweedie verify FILE.toml` and \
                     `tweedie verify RUN` check the modules of a recipe or a run.",
                    messages::meant(what, &known(modules)),
                    messages::list(&KINDS)
                )));
            }
        },
    };
    if args.json {
        say(&pretty(&entries(&verified)));
    } else if args.brief {
        brief(&verified);
    } else {
        table(&verified);
    }
    verdict(&verified)
}

/// The kinds that have laws and a module of that name.
fn kinds_of(name: &str, modules: &Modules) -> Vec<&'static str> {
    let has = |kind: &str| Kind::named(kind).is_some_and(|kind| modules.names(kind).contains(&name));
    KINDS.into_iter().filter(|kind| has(kind)).collect()
}

/// The kinds that have laws, and the modules of these kinds.
fn known(modules: &Modules) -> Vec<&str> {
    let names = KINDS.into_iter().filter_map(Kind::named).flat_map(|kind| modules.names(kind));
    KINDS.into_iter().chain(names).collect()
}

/// The laws of all modules of some kinds, with default settings.
fn by_name(
    kinds: &[&'static str],
    args: &args::Verify,
    modules: &Modules,
    against: Option<Against<'_>>,
) -> Result<Vec<Module>> {
    let (mut verified, mut wanted) = (vec![], vec![]);
    for kind in kinds {
        let names: Vec<String> =
            Kind::named(kind).map_or(vec![], |kind| modules.names(kind)).into_iter().map(str::to_owned).collect();
        if let Some(name) = &args.name
            && !names.contains(name)
        {
            return Err(Error::invalid(format!(
                "there is no {kind} `{name}`{} There are {}; `tweedie list {kind}` describes them.",
                messages::meant(name, &names),
                messages::some(&names)
            )));
        }
        wanted.extend(
            names
                .into_iter()
                .filter(|name| args.name.as_ref().is_none_or(|wanted| wanted == name))
                .map(|name| (*kind, name)),
        );
    }
    let bar = Progress::new(false, "");
    let count = wanted.len() as f64;
    for (i, (kind, name)) in wanted.into_iter().enumerate() {
        bar.doing(format!("{kind} {name}"));
        let checks = match against {
            None => checks(kind, &name, modules)?,
            Some(against) => checks_against(kind, &name, modules, against)?,
        };
        verified.push((kind, name, checks));
        bar.at((i + 1) as f64 / count);
    }
    bar.clear();
    if let Some(against) = against.filter(|_| args.what.is_none()) {
        let checks = match against {
            Against::Processor(device, tolerance) => laws::training_on_device(device, tolerance)?,
            Against::Single(precision, device) => laws::training_in_precision(precision, device)?,
        };
        verified.push(("training", "adamw".into(), checks));
    }
    Ok(verified)
}

/// The precision with a name.
fn precision(name: &str) -> Result<Precision> {
    Precision::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
        let names = Precision::ALL.map(Precision::name);
        let choices = messages::list(&names);
        Error::invalid(format!("there is no precision `{name}`{} There are {choices}.", messages::meant(name, &names)))
    })
}

/// The kinds that have laws against another device or precision.
const COMPARED: [&str; 2] = ["net", "sampler"];

/// The deviation from the processor that is allowed on a device: where CUDA and ROCm multiply matrices of single precision on tensor
/// cores, they keep 10 bits after the point.
fn tolerance(device: &str) -> f64 {
    if device.starts_with("cuda") || device.starts_with("rocm") { 1e-2 } else { 1e-3 }
}

/// The laws of one module against another device or precision.
fn checks_against(kind: &str, name: &str, modules: &Modules, against: Against<'_>) -> Result<Vec<Check>> {
    const STEPS: usize = 6;
    if kind == "net" {
        return net_of_any_kind(name, modules, Some(against));
    }
    let sampler = default_of(kind, name, &Rank::<2>::ranked(modules).samplers)?;
    if sampler.check(&Gaussian::new(VariancePreserving::default())).is_err() || sampler.properties().consistency {
        return Ok(vec![]);
    }
    match against {
        Against::Processor(device, tolerance) => laws::sampler_on_device(&*sampler, device, STEPS, tolerance),
        Against::Single(precision, device) => laws::sampler_in_precision(&*sampler, precision, device, STEPS),
    }
}

/// The laws of a net, for data of each kind that it takes; of sequences not if it is for images, whose levels are categories then.
fn net_of_any_kind(name: &str, modules: &Modules, against: Option<Against<'_>>) -> Result<Vec<Check>> {
    let kinds = modules.data_kinds(Kind::Net, name);
    let mut all = vec![];
    for data in &kinds {
        let checks = match *data {
            DataKind::Points => net::<2>(name, modules, *data, &[2], against)?,
            DataKind::Sequences if kinds.contains(&DataKind::Images) => continue,
            DataKind::Sequences => net::<3>(name, modules, *data, &[6, 4], against)?,
            DataKind::Signals => net::<3>(name, modules, *data, &[1, 12], against)?,
            DataKind::Images => net::<4>(name, modules, *data, &[1, 8, 8], against)?,
            DataKind::Volumes => net::<5>(name, modules, *data, &[1, 4, 5, 6], against)?,
        };
        all.push((if kinds.len() == 1 { String::new() } else { data.to_string() }, checks));
    }
    Ok(worst(all))
}

/// A module with its default settings.
fn default_of<T: 'static>(kind: &str, name: &str, registry: &Registry<T>) -> Result<T> {
    match registry.build(name, toml::Table::new()) {
        Ok((module, _)) => Ok(module),
        Err(error) => Err(Error::invalid(format!("the defaults of the {kind} `{name}` do not describe one: {error}"))),
    }
}

/// The laws of one module with its default settings.
fn checks(kind: &str, name: &str, modules: &Modules) -> Result<Vec<Check>> {
    let two = Rank::<2>::ranked(modules);
    let preserving = AnySchedule::both("variance-preserving", VariancePreserving::default());
    Ok(match kind {
        "schedule" => {
            let schedule = default_of(kind, name, &modules.schedules)?;
            schedule.check()?;
            let continuous = schedule.schedule().map_or(vec![], |schedule| laws::schedule(&schedule));
            let categorical = schedule.survival().map_or(vec![], |schedule| laws::survival(&schedule));
            [continuous, categorical].concat()
        }
        "spacing" => {
            let spacing = default_of(kind, name, &modules.spacings)?(&preserving)?;
            spacing.check()?;
            laws::spacing(&*spacing)
        }
        "sampler" => {
            let three = &Rank::<3>::ranked(modules).samplers;
            let plane = default_of(kind, name, &two.samplers)?;
            say_unfit(name, &*plane);
            let mut checks = sampler(&*plane, &*default_of(kind, name, three)?);
            checks.extend(settings(name, modules));
            checks
        }
        "loss" => {
            // A loss for sequences only depends on a learned embedding.
            if two.losses.description(name).is_none() {
                return Ok(vec![]);
            }
            let (loss, _) = default_of(kind, name, &two.losses)?(&modules.weights)?;
            // In single precision, as in training.
            let x = Rng::new(0).normal_tensor([8, 3], &Device::flex(), DType::F32);
            let table = || Linear::new(100);
            let (uniform, absorbing) = (Discrete::uniform(table(), 3), Discrete::absorbing(table(), 4, 3));
            let mut checks = if loss.check(&Gaussian::new(table())).is_ok() {
                let bounds = [Variance::Small, Variance::Large, Variance::Learned].map(|variance| {
                    let noise = Gaussian::new(table()).with_variance(variance);
                    (format!("variance {variance:?}").to_lowercase(), laws::bound_of_density(&*loss, &noise))
                });
                [laws::loss(&*loss, &Gaussian::new(table()), &x), worst(bounds)].concat()
            } else if loss.check(&uniform).is_ok() {
                laws::loss(&*loss, &uniform, &one_hot(&x))
            } else {
                loss.check(&absorbing)?;
                laws::loss(&*loss, &absorbing, &one_hot(&x).pad([(0, 0), (0, 1)], 0.0))
            };
            let (sequences, _) = default_of(kind, name, &Rank::<3>::ranked(modules).losses)?(&modules.weights)?;
            checks.extend(bounds(&*sequences));
            checks
        }
        "weight" => {
            let weight = default_of(kind, name, &modules.weights)??;
            weight.check()?;
            let of = |(name, schedule)| (format!("schedule {name}"), laws::weight(weight.clone(), schedule));
            worst(laws::schedules().into_iter().map(of))
        }
        "net" => net_of_any_kind(name, modules, None)?,
        _ => {
            let facts = facts(3, modules.is_categorical(Kind::Noise, name));
            // Some noises need a schedule that is a table of steps.
            let table = AnySchedule::both("linear", Linear::between(100, 1e-4, 0.5));
            let made = |make: &NoiseOn<2>| {
                let noise = make(&preserving, &facts).or_else(|_| make(&table, &facts))?;
                noise.check()?;
                Ok::<_, Error>(noise)
            };
            let x = Rng::new(0).normal_tensor([64, 3], &Device::flex(), DType::F64);
            let of = |noise: Arc<dyn Noise<2>>| {
                let x = match noise.categories() {
                    // Data are never the mask, which is the last category.
                    Some(categories) => one_hot(&x).pad([(0, 0), (0, categories.k - 3)], 0.0),
                    None => x.clone(),
                };
                [laws::noise(&*noise, &x), laws::estimates(&*noise, &x)].concat()
            };
            let mut all = vec![(String::new(), of(made(&default_of(kind, name, &two.noises)?)?))];
            // Its other prediction types and variances, if it has any.
            for (field, value) in OPTIONS {
                let settings = toml::Table::from_iter([(field.to_owned(), toml::Value::from(value))]);
                if let Ok((make, _)) = two.noises.build(name, settings)
                    && let Ok(noise) = made(&make)
                {
                    all.push((format!("{field} {value}"), of(noise)));
                }
            }
            worst(all)
        }
    })
}

/// Settings of noises whose laws are checked beside the defaults.
const OPTIONS: [(&str, &str); 11] = [
    ("prediction", "x0"),
    ("prediction", "epsilon"),
    ("prediction", "v"),
    ("prediction", "velocity"),
    ("prediction", "score"),
    ("prediction", "edm"),
    ("prediction", "logits"),
    ("variance", "large"),
    ("variance", "learned"),
    ("reverse", "plug-in"),
    ("reverse", "mixture"),
];

/// Each law at the settings where it was broken, or else where the deviation was largest.
fn worst(all: impl IntoIterator<Item = (String, Vec<Check>)>) -> Vec<Check> {
    let mut worst: Vec<Check> = vec![];
    for (settings, checks) in all {
        for mut check in checks {
            if !settings.is_empty() {
                check.place = format!("{}, {settings}", check.place);
            }
            match worst.iter_mut().find(|known| known.law == check.law) {
                None => worst.push(check),
                Some(known) if known.holds() && (!check.holds() || check.measured > known.measured) => *known = check,
                Some(_) => {}
            }
        }
    }
    worst
}

/// The laws of a sampler on exact problems: points in the plane and sequences of categories, if it supports their
/// noise. A sampler of consistency models is checked on the exact consistency model.
fn sampler(plane: &dyn Sampler<2>, sequences: &dyn Sampler<3>) -> Vec<Check> {
    let mut checks = laws::discrete_sampler(sequences);
    if plane.check(&Gaussian::new(VariancePreserving::default())).is_ok() {
        checks.extend(if plane.properties().consistency {
            laws::consistency(plane)
        } else {
            [laws::sampler(plane), laws::trajectory(plane)].concat()
        });
    }
    checks
}

/// The laws of convergence that fail for a sampler with a setting other than the default: each choice and each order of
/// its fields, and η = ½.
fn settings(name: &str, modules: &Modules) -> Vec<Check> {
    let samplers = &Rank::<2>::ranked(modules).samplers;
    let all = modules.of_kind(Kind::Sampler);
    let fields = all.iter().find(|module| module.name == name).map_or(&[][..], |module| &module.fields[..]);
    let values = |field: &Field| -> Vec<toml::Value> {
        match &field.type_ {
            Type::Choice(choices) => choices.iter().map(|choice| choice.value.clone().into()).collect(),
            Type::Boolean => vec![true.into(), false.into()],
            Type::Integer(Range { minimum: Some(least), maximum: Some(most), .. }) if most - least < 10.0 => {
                (*least as i64..=*most as i64).map(Into::into).collect()
            }
            Type::Number(_) if field.name == "eta" => vec![0.5.into()],
            _ => vec![],
        }
    };
    let mut failed = vec![];
    for field in fields {
        for value in values(field) {
            let setting = format!("{} = {value}", field.name);
            let Ok((sampler, _)) = samplers.build(name, [(field.name.clone(), value)].into_iter().collect()) else {
                continue;
            };
            let noise = Gaussian::new(VariancePreserving::default());
            if sampler.check(&noise).is_err() || sampler.properties().consistency {
                continue;
            }
            let wrong = laws::convergence(&*sampler).into_iter().filter(|check| !check.holds());
            failed.extend(wrong.map(|check| Check { place: format!("{setting}, {}", check.place), ..check }));
        }
    }
    failed
}

/// Names the built-in schedules for which a sampler declares itself unfit.
fn say_unfit(name: &str, sampler: &dyn Sampler<2>) {
    if let Some(text) = unfit_sentence(&unfit(sampler)) {
        note(&format!("sampler {name}: {text}"));
    }
}

/// The laws of a network with its default settings, for data of a shape with three classes and a condition of each kind that it takes.
fn net<const D: usize>(
    name: &str,
    modules: &Modules,
    data: DataKind,
    shape: &[usize],
    against: Option<Against<'_>>,
) -> Result<Vec<Check>>
where
    Modules: Rank<D>,
{
    let builder = default_of("net", name, &Rank::<D>::for_data(modules, data).nets)?;
    let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
    let kinds = [
        (
            "attribute",
            ConditionKind::Class { num_classes: 2 },
            ConditionReader::Class { column: "attribute".into(), names: vec![] },
        ),
        ("vector", ConditionKind::vector([0.5, -2.0], [3.0, 0.1]), ConditionReader::Vector { columns: vec![] }),
        (
            "tokens",
            ConditionKind::Tokens { vocabulary: 7, length: 5 },
            ConditionReader::Tokens { column: "tokens".into(), vocabulary: Vocabulary::characters("abcdefg") },
        ),
        ("image", ConditionKind::Image { shape: vec![1, 4, 4] }, ConditionReader::Image { column: "image".into() }),
        (
            "map",
            ConditionKind::LabelMap { shape: vec![8, 8], num_labels: 3 },
            ConditionReader::LabelMap { column: "map".into() },
        ),
    ];
    let taken = builder.condition_kinds();
    let conditions = kinds.into_iter().filter(|(_, kind, _)| taken.contains(&kind.name()));
    let conditions = conditions.map(|(name, kind, reader)| {
        let spec = ConditionSpec::new(name, kind);
        ConditionFacts { spec, reader, dropout: 0.0 }
    });
    let signal = data == DataKind::Signals;
    let conditions = conditions.collect();
    let facts = Facts { shape: shape.to_vec(), signal, classes, conditions, ..Facts::default() };
    builder.laws(&facts, &Gaussian::new(VariancePreserving::default()), against)
}

/// The laws of a loss that bounds the likelihood of categorical data, in continuous time if possible.
fn bounds(loss: &dyn Loss<3>) -> Vec<Check> {
    let continuous: Arc<dyn Noise<3>> = Arc::new(Discrete::absorbing(FlowMatching {}, 4, 3));
    let steps: Arc<dyn Noise<3>> = Arc::new(Discrete::absorbing(Linear::new(100), 4, 3));
    let bounded = |noise: &Arc<dyn Noise<3>>| loss.check(noise).is_ok() && loss.bound_times(noise).is_some();
    [continuous, steps].into_iter().find(bounded).map_or(vec![], |noise| laws::bound(loss, noise))
}

/// The properties of data with `width` values per sample, or with three categories.
fn facts(width: usize, categorical: bool) -> Facts {
    let shown = crate::data::categories::Shown::Numbers;
    let categories = Categories { count: 3, frequencies: vec![0.5, 0.2, 0.3], shown };
    Facts { shape: vec![width], categories: categorical.then_some(categories), ..Facts::default() }
}

/// The largest entry of each row.
fn one_hot(x: &burn::tensor::Tensor<2>) -> burn::tensor::Tensor<2> {
    let most = x.clone().max_dim(1).expand(x.dims());
    x.clone().equal(most).float().cast(x.dtype())
}

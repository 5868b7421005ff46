//! `tweedie list`: the modules that a recipe can name.
use crate::{
    args,
    output::messages,
    registry::{Face, Modules, Rank},
    say,
};
use serde_json::json;
use tweedie::{
    Error, Result,
    noise::{Discrete, Gaussian, Noise},
    sample::Properties,
    schedule::{Linear, VariancePreserving},
};

pub(crate) fn run(args: &args::List, modules: &Modules) -> Result<()> {
    let kinds: Vec<&str> = match &args.kind {
        None => Modules::KINDS.to_vec(),
        Some(kind) => match Modules::KINDS.iter().find(|known| *known == kind || format!("{known}s") == *kind) {
            Some(kind) => vec![kind],
            None => {
                return Err(Error::invalid(format!(
                    "there is no kind `{kind}`{} The kinds are {}.",
                    messages::meant(kind, &Modules::KINDS),
                    messages::list(&Modules::KINDS)
                )));
            }
        },
    };
    if let (Some(name), [kind]) = (&args.name, kinds.as_slice()) {
        let all = modules.of_kind(kind);
        let Some((face, about)) = all.iter().find(|(face, _)| face.name == *name) else {
            let known: Vec<&str> = all.iter().map(|(face, _)| &*face.name).collect();
            return Err(Error::invalid(format!(
                "there is no {kind} `{name}`{} There are {}; `tweedie list {kind}` describes them.",
                messages::meant(name, &known),
                messages::some(&known)
            )));
        };
        if args.json {
            say(&pretty(&entry(modules, kind, face, about)));
        } else {
            one(kind, face, about);
            if let Some(own) = Use::of(modules, &face.name).filter(|own| *kind == "sampler" && own.numbers) {
                say(&format!("By default {}", own.figures()));
            }
        }
        return Ok(());
    }
    if args.json {
        let all: Vec<_> = kinds
            .iter()
            .flat_map(|kind| {
                modules.of_kind(kind).into_iter().map(move |(face, about)| entry(modules, kind, face, about))
            })
            .collect();
        say(&pretty(&json!(all)));
        return Ok(());
    }
    for (i, kind) in kinds.iter().enumerate() {
        if i > 0 {
            say("");
        }
        say(kind);
        let all = modules.of_kind(kind);
        if *kind == "sampler" {
            samplers(modules, &all);
        } else {
            several(&all.iter().map(|(face, about)| (*face, (*about).to_owned())).collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// Modules with their parameters, two lines each.
fn several(all: &[(&Face, String)]) {
    let width = all.iter().map(|(face, _)| face.name.chars().count()).max().unwrap_or(0);
    for (face, about) in all {
        say(format!("  {:width$}  {about}", face.name).trim_end());
        let words = |key: &str| match face.choices(key) {
            choices if choices.is_empty() => String::new(),
            choices => {
                let own = face.defaults.get(key).and_then(toml::Value::as_str);
                let others: Vec<&str> = choices.iter().map(String::as_str).filter(|word| Some(*word) != own).collect();
                format!(" (or {})", others.join(", "))
            }
        };
        let parameters: Vec<String> =
            parameters(face).into_iter().map(|(key, value)| format!("{key} = {value}{}", words(&key))).collect();
        if !parameters.is_empty() {
            say(&format!("  {:width$}  {}", "", parameters.join(", ")));
        }
    }
}

/// What a sampler is for, and what it declares.
struct Use {
    numbers: bool,
    categories: bool,
    properties: Properties,
}
impl Use {
    fn of(modules: &Modules, name: &str) -> Option<Self> {
        let sampler = Rank::<3>::ranked(modules).samplers.build(name, toml::Table::new())?.ok()?.0;
        let categories: [&dyn Noise<3>; 2] =
            [&Discrete::absorbing(Linear::new(100), 4, 3), &Discrete::uniform(Linear::new(100), 3)];
        Some(Self {
            numbers: sampler.check(&Gaussian::new(VariancePreserving::default())).is_ok(),
            categories: categories.into_iter().any(|noise| sampler.check(noise).is_ok()),
            properties: sampler.properties(),
        })
    }
    /// Order, and calls a step.
    fn figures(&self) -> String {
        let order = self.properties.order.map_or(String::new(), |order| format!("order {order}, "));
        format!("{order}{} a step", messages::count(self.properties.nfe_per_step, "call"))
    }
}

/// Samplers by what they are for.
fn samplers(modules: &Modules, all: &[(&Face, &str)]) {
    let known: Vec<(&Face, &str, Option<Use>)> =
        all.iter().map(|(face, about)| (*face, *about, Use::of(modules, &face.name))).collect();
    let flows = |own: &Use| own.numbers && own.properties.is_deterministic();
    const CATEGORIES: &str = "categories";
    type Belongs<'a> = &'a dyn Fn(&Use) -> bool;
    let groups: [(&str, Belongs<'_>); 3] = [
        ("numbers, without noise of their own", &flows),
        ("numbers, with noise", &|own| own.numbers && !flows(own)),
        (CATEGORIES, &|own| own.categories),
    ];
    for (title, belongs) in groups {
        let members = known.iter().filter_map(|(face, about, own)| Some((face, about, own.as_ref()?)));
        let members = members.filter(|(_, _, own)| belongs(own));
        let lines: Vec<(&Face, String)> = members
            .map(|(face, about, own)| match title {
                CATEGORIES => (*face, (*about).to_owned()),
                _ => (*face, format!("{about}; {}", own.figures())),
            })
            .collect();
        if !lines.is_empty() {
            say(&format!(" for {title}"));
            several(&lines);
        }
    }
}

/// The fields and what they are unless given.
fn parameters(face: &Face) -> Vec<(String, String)> {
    let value = |field: &String| face.defaults.get(field).map_or("(not given)".into(), ToString::to_string);
    face.fields().iter().map(|field| (field.clone(), value(field))).collect()
}

fn one(kind: &str, face: &Face, about: &str) {
    say(format!("{kind} {}: {about}", face.name).trim_end_matches([':', ' ']));
    let parameters = parameters(face);
    let width = parameters.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in &parameters {
        let choices = face.choices(key);
        let choices = if choices.is_empty() { String::new() } else { format!("  # one of {}", choices.join(", ")) };
        say(&format!("  {key:width$} = {value}{choices}"));
    }
    if parameters.is_empty() {
        say("  no parameters");
    }
    let section = match kind {
        "loss" => "[[loss]]".into(),
        "spacing" => "[times]".into(),
        "sampler" => "sampler in [sample]".into(),
        kind => format!("[{kind}]"),
    };
    let table = match kind {
        "sampler" => format!("sampler = {{ name = \"{}\" }}", face.name),
        _ => format!("name = \"{}\"", face.name),
    };
    say(&format!("In a recipe, under {section}: {table}"));
}

fn entry(modules: &Modules, kind: &str, face: &Face, about: &str) -> serde_json::Value {
    let parameters: serde_json::Map<String, serde_json::Value> = face
        .fields()
        .into_iter()
        .map(|field| {
            let default = face.defaults.get(&field).map_or(serde_json::Value::Null, |value| json!(value));
            let choices = face.choices(&field);
            let mut parameter = serde_json::Map::from_iter([("default".to_owned(), default)]);
            if !choices.is_empty() {
                parameter.insert("choices".into(), json!(choices));
            }
            (field, parameter.into())
        })
        .collect();
    let mut entry = json!({ "kind": kind, "name": face.name, "about": about, "parameters": parameters });
    if let Some(own) = Use::of(modules, &face.name).filter(|_| kind == "sampler") {
        entry["numbers"] = json!(own.numbers);
        entry["categories"] = json!(own.categories);
        entry["order"] = json!(own.properties.order);
        entry["calls"] = json!(own.properties.nfe_per_step);
    }
    entry
}

pub(crate) fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is JSON")
}

//! `tweedie list`: the modules that a recipe can name.
use crate::{
    args,
    named::{Face, Modules},
    say, words,
};
use serde_json::json;
use tweedie::{Error, Result};

pub(crate) fn run(args: &args::List, modules: &Modules) -> Result<()> {
    let kinds: Vec<&str> = match &args.kind {
        None => Modules::KINDS.to_vec(),
        Some(kind) => match Modules::KINDS.iter().find(|known| *known == kind || format!("{known}s") == *kind) {
            Some(kind) => vec![kind],
            None => {
                return Err(Error::Unfit(format!(
                    "there is no kind `{kind}`{} The kinds are {}.",
                    words::meant(kind, &Modules::KINDS),
                    words::list(&Modules::KINDS)
                )));
            }
        },
    };
    if let (Some(name), [kind]) = (&args.name, kinds.as_slice()) {
        let all = modules.of_kind(kind);
        let Some((face, about)) = all.iter().find(|(face, _)| face.name == *name) else {
            let known: Vec<&str> = all.iter().map(|(face, _)| &*face.name).collect();
            return Err(Error::Unfit(format!(
                "there is no {kind} `{name}`{} There are {}.",
                words::meant(name, &known),
                words::list(&known)
            )));
        };
        if args.json {
            say(&pretty(&entry(kind, face, about)));
        } else {
            one(kind, face, about);
        }
        return Ok(());
    }
    if args.json {
        let all: Vec<_> = kinds
            .iter()
            .flat_map(|kind| modules.of_kind(kind).into_iter().map(move |(face, about)| entry(kind, face, about)))
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
        let width = all.iter().map(|(face, _)| face.name.chars().count()).max().unwrap_or(0);
        for (face, about) in all {
            say(format!("  {:width$}  {about}", face.name).trim_end());
            let parameters: Vec<String> =
                parameters(face).into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
            if !parameters.is_empty() {
                say(&format!("  {:width$}  {}", "", parameters.join(", ")));
            }
        }
    }
    Ok(())
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

fn entry(kind: &str, face: &Face, about: &str) -> serde_json::Value {
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
    json!({ "kind": kind, "name": face.name, "about": about, "parameters": parameters })
}

pub(crate) fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is JSON")
}

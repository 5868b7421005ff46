//! A recipe as written: TOML, with the place of every field, so that a mistake can be shown where it stands.
pub(crate) mod plan;

use crate::{
    output::messages,
    registry::{Face, Settings, Shelf, named},
};
use std::{collections::HashMap, fs, ops::Range, path::Path};
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};
use tweedie::{Error, Result, error::ErrorKind};

/// Where a field was written.
#[derive(Clone, Debug)]
enum Origin {
    Text { key: Range<usize>, value: Range<usize> },
    Flag(String),
}

/// A recipe as written, flags included.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    name: String,
    text: String,
    table: Table,
    /// By dotted path, list entries by their number: `train.adam.beta1`, `loss.0.weight`.
    origins: HashMap<String, Origin>,
}

/// Which part of a field a message is about.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Key,
    Value,
}

impl Recipe {
    /// Reads a recipe.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::invalid(format!(
                "{} is a folder, and a recipe is a TOML file: give the file, or use `--resume --out {0}` if it is a run to go on with",
                path.display()
            )));
        }
        let no_text = || Error::invalid(format!("{} is no text, and a recipe is a TOML file", path.display()));
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::invalid(format!(
                "there is no recipe {}: give the path of a TOML file as in `recipes/`, or none at all for the built-in one",
                path.display()
            )),
            std::io::ErrorKind::InvalidData => no_text(),
            _ => Error::io(path, "read the recipe")(error),
        })?;
        if text.contains('\0') {
            return Err(no_text());
        }
        Self::parse(&path.display().to_string(), text)
    }

    /// A recipe from its text; `name` is what messages call it.
    pub fn parse(name: &str, text: String) -> Result<Self> {
        let mut recipe = Self { name: name.into(), text, table: Table::new(), origins: HashMap::new() };
        let spans = match DeTable::parse(&recipe.text) {
            Ok(spans) => spans,
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let message = format!("this is no TOML: {}.", error.message().trim().replace('\n', "; "));
                return Err(Error::invalid(recipe.shown(span, &message)));
            }
        };
        let mut origins = HashMap::new();
        record(spans.get_ref(), "", &mut origins);
        recipe.table = recipe.text.parse().map_err(|error: toml::de::Error| Error::invalid(error.to_string()))?;
        recipe.origins = origins;
        Ok(recipe)
    }

    /// Sets one field, as `--set section.key=value` does. The value is TOML, or a text where it is none.
    pub fn set(&mut self, setting: &str) -> Result<()> {
        let flag = format!("--set {setting}");
        let Some((path, value)) = setting.split_once('=') else {
            return Err(Error::invalid(format!(
                "`{flag}` has no `=`: write `--set section.key=value`, as in `--set train.rate=0.001`"
            )));
        };
        let value = match format!("x = {value}").parse::<Table>() {
            Ok(mut table) if table.len() == 1 => table.remove("x").expect("it was parsed"),
            _ => Value::String(value.trim().into()),
        };
        self.put(path.trim(), value, flag)
    }

    /// Sets one field on behalf of a flag.
    pub fn put(&mut self, path: &str, value: Value, flag: String) -> Result<()> {
        let path = path.replace('[', ".").replace(']', "");
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() == 1 && !value.is_table() && !value.is_array() || steps.iter().any(|step| step.is_empty()) {
            return Err(Error::invalid(format!(
                "`{flag}` names no field of a section: write `--set section.key=value`, as in `--set train.rate=0.001`"
            )));
        }
        let mut root = Value::Table(std::mem::take(&mut self.table));
        put_in(&mut root, &steps, value).map_err(|message| Error::invalid(format!("`{flag}`: {message}")))?;
        if let Value::Table(table) = root {
            self.table = table;
        }
        self.origins.retain(|known, _| *known != path && !known.starts_with(&format!("{path}.")));
        self.origins.insert(path, Origin::Flag(flag));
        Ok(())
    }

    /// The value at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut value: Option<&Value> = None;
        for step in path.split('.') {
            value = match value {
                None => self.table.get(step),
                Some(Value::Table(table)) => table.get(step),
                Some(Value::Array(list)) => step.parse::<usize>().ok().and_then(|i| list.get(i)),
                Some(_) => None,
            };
            value?;
        }
        value
    }
    /// The names of the sections.
    pub fn sections(&self) -> Vec<&str> {
        self.table.keys().map(String::as_str).collect()
    }
    /// Where the recipe comes from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An error at a field, shown where it was written, or where the nearest part around it was.
    pub fn fail(&self, path: &str, part: Part, message: &str) -> Error {
        let message = &messages::sentence(message);
        let mut at = path;
        loop {
            match self.origins.get(at) {
                Some(Origin::Flag(flag)) => return Error::invalid(format!("`{flag}`: {message}")),
                Some(Origin::Text { key, value }) => {
                    // A part around the field is shown by its name.
                    let span = if at == path && matches!(part, Part::Value) { value } else { key };
                    return Error::invalid(self.shown(span.clone(), message));
                }
                None => match at.rsplit_once('.') {
                    Some((around, _)) => at = around,
                    None => return Error::invalid(format!("{}: {message}", self.name)),
                },
            }
        }
    }

    /// An error that a module raised about its settings at `path`, shown at the field it speaks of.
    pub fn blame(&self, path: &str, error: Error) -> Error {
        if error.kind() != ErrorKind::Invalid {
            return error;
        }
        let message = error.to_string();
        if let Some(field) = error.field().map(|field| format!("{path}.{field}"))
            && self.get(&field).is_some()
        {
            return self.fail(&field, Part::Value, &message);
        }
        match self.get(path) {
            Some(Value::Table(table)) => match spoken_of(&message, table) {
                Some(field) => self.fail(&format!("{path}.{field}"), Part::Value, &message),
                None => self.fail(path, Part::Key, &message),
            },
            _ => self.fail(path, Part::Key, &message),
        }
    }

    /// A message with the line it is about.
    fn shown(&self, span: Range<usize>, message: &str) -> String {
        let start = span.start.min(self.text.len());
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let content = self.text[begin..].lines().next().unwrap_or("");
        let column = self.text[begin..start].chars().count();
        let width = self.text[start..span.end.clamp(start, (begin + content.len()).max(start))].chars().count().max(1);
        let number = line.to_string();
        let pad = " ".repeat(number.len());
        format!(
            "{}, line {line}: {message}\n\n  {number} | {content}\n  {pad} | {}{}",
            self.name,
            " ".repeat(column),
            "^".repeat(width)
        )
    }

    /// The settings of a section that is no named module, defaults filled in.
    pub fn plain<S: Settings>(&self, section: &str) -> Result<S> {
        let table = match self.get(section) {
            None => Table::new(),
            Some(Value::Table(table)) => table.clone(),
            Some(_) => {
                return Err(self.fail(
                    section,
                    Part::Key,
                    &format!("`{section}` is a section, written `[{section}]`."),
                ));
            }
        };
        let face = Face::of::<S>(section);
        table
            .clone()
            .try_into::<S>()
            .map_err(|error| self.explain(&face, &format!("[{section}]"), section, &table, &error))
    }

    /// The module that the table at `path` names, and its settings with the name and all defaults filled in.
    pub fn module<T: 'static>(&self, kind: &str, path: &str, shelf: &Shelf<T>, extra: &[&str]) -> Result<(T, Table)> {
        let known: Vec<&str> = shelf.faces().map(|face| &*face.name).collect();
        let Some(value) = self.get(path) else {
            return Err(Error::invalid(format!(
                "{} has no section `[{path}]`: add it with a name, one of {}; `tweedie list {kind}` describes them.",
                self.name,
                messages::some(&known)
            )));
        };
        let Value::Table(table) = value else {
            let message =
                format!("a {kind} is a table with a name, as in {{ name = \"{}\" }}.", known.first().unwrap_or(&""));
            return Err(self.fail(path, Part::Value, &message));
        };
        let mut table = table.clone();
        let name = match table.remove("name") {
            Some(Value::String(name)) => name,
            Some(other) => {
                let message = format!("the name of a {kind} is a text in quotation marks, not {other}.");
                return Err(self.fail(&format!("{path}.name"), Part::Value, &message));
            }
            None => {
                let message = format!(
                    "this names no {kind}: add `name = \"{}\"`{}; `tweedie list {kind}` describes {}.",
                    known.first().unwrap_or(&"…"),
                    if known.len() > 1 { format!(", or another of {}", messages::some(&known)) } else { String::new() },
                    if known.len() > 1 { "them" } else { "it" },
                );
                return Err(self.fail(path, Part::Key, &message));
            }
        };
        for field in extra {
            table.remove(*field);
        }
        if shelf.face(&name).is_none() {
            let message = format!(
                "there is no {kind} `{name}`{} There {} {}; `tweedie list {kind}` describes {}.",
                messages::meant(&name, &known),
                if known.len() == 1 { "is" } else { "are" },
                messages::some(&known),
                if known.len() == 1 { "it" } else { "them" },
            );
            return Err(self.fail(&format!("{path}.name"), Part::Value, &message));
        }
        let face = shelf.face(&name).expect("it was just found");
        let mut made = vec![];
        for part in shelf.parts(&name) {
            made.push(match (table.remove(*part), face.defaults.get(*part)) {
                (None, Some(Value::Table(default))) => {
                    let mut own = default.clone();
                    let inner =
                        own.remove("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
                    match shelf.build(&inner, own) {
                        Some(Ok((module, resolved))) => (module, named(&inner, resolved)),
                        _ => panic!("the default `{part}` of the {kind} `{name}` makes none"),
                    }
                }
                _ => self.module(kind, &format!("{path}.{part}"), shelf, &[])?,
            });
        }
        let built = shelf.assemble(&name, table.clone(), made).expect("it was just found");
        let (module, settings) =
            built.map_err(|error| self.explain(face, &format!("the {kind} `{name}`"), path, &table, &error))?;
        Ok((module, named(&name, settings)))
    }

    /// Finds the field that a table was refused for.
    fn explain(&self, face: &Face, who: &str, path: &str, table: &Table, error: &toml::de::Error) -> Error {
        let check = |table: Table| face.check(table);
        let (at, message) = culprit(&check, &face.defaults, table).unwrap_or((vec![], error.message().to_owned()));
        let full = at.iter().fold(path.to_owned(), |path, step| format!("{path}.{step}"));
        let field = at.join(".");
        if message.starts_with("unknown field") {
            let last = at.last().cloned().unwrap_or_default();
            let mut fields = match at.as_slice() {
                [_] => face.fields(),
                _ => messages::quoted(message.split_once("expected").map_or("", |(_, rest)| rest)),
            };
            fields.retain(|field| *field != last);
            let there = match fields.as_slice() {
                [] => "It has no fields.".into(),
                [one] => format!("It has the field `{one}`."),
                _ => format!("It has the fields {}.", messages::list(&fields)),
            };
            let inner = if at.len() > 1 { format!("`{}` of ", at[..at.len() - 1].join(".")) } else { String::new() };
            let message = format!("{inner}{who} has no field `{last}`{} {there}", messages::meant(&last, &fields));
            return self.fail(&full, Part::Key, &message);
        }
        let mut text = format!("`{field}` of {who}: {}", messages::plain(&message));
        if field.is_empty() {
            text = format!("{who}: {}", messages::plain(&message));
        }
        if let (true, [.., last]) = (message.starts_with("unknown variant"), at.as_slice())
            && let Some(Value::String(found)) = self.get(&full)
        {
            let choices = face.choices(last);
            if let Some(close) = messages::closest(found, &choices) {
                text.push_str(&format!("; did you mean `{close}`?"));
                return self.fail(&full, Part::Value, &text);
            }
        }
        text.push('.');
        self.fail(&full, Part::Value, &text)
    }
}

/// The field that a message speaks of: in the table itself, or in one of the tables within it.
fn spoken_of(message: &str, table: &Table) -> Option<String> {
    let spoken = messages::quoted(message);
    let says = |word: &str| message.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|w| w == word);
    // What a field is known by in a message, the surest first.
    let clues: [&dyn Fn(&str, &Value) -> bool; 4] = [
        &|key, value| spoken.iter().any(|word| word == key || value.as_str() == Some(word)),
        &|key, _| {
            let set = format!("{key} = ");
            spoken.iter().any(|word| word.starts_with(&set))
                || message.starts_with(&set)
                || message.contains(&format!(" {set}"))
                || message.starts_with(&format!("the {key} of "))
        },
        &|_, value| value.as_str().is_some_and(|text| spoken.iter().any(|word| Path::new(word).ends_with(text))),
        &|key, value| key != "name" && value.as_str().is_some_and(says),
    ];
    let own = clues.iter().find_map(|clue| table.iter().find(|(key, value)| clue(key, value)));
    own.map(|(key, _)| key.clone()).or_else(|| {
        table.iter().find_map(|(key, value)| Some(format!("{key}.{}", spoken_of(message, value.as_table()?)?)))
    })
}

/// Puts a value at a path of keys and, in lists, numbers.
fn put_in(place: &mut Value, steps: &[&str], value: Value) -> Result<(), String> {
    let Some((first, rest)) = steps.split_first() else {
        *place = value;
        return Ok(());
    };
    match place {
        Value::Table(table) => {
            if !table.contains_key(*first) && rest.first().is_some_and(|next| next.parse::<usize>().is_ok()) {
                return Err(format!(
                    "the recipe has no list `{first}` of which an entry could be set: write `[[{first}]]` in it."
                ));
            }
            let inner = table.entry((*first).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(_) | Value::Array(_) => put_in(inner, rest, value),
                _ if rest.is_empty() => put_in(inner, rest, value),
                _ => Err(format!("`{first}` is a single value and has no fields.")),
            }
        }
        Value::Array(list) => {
            let count = list.len();
            match first.parse::<usize>().ok().and_then(|number| list.get_mut(number)) {
                Some(inner) => put_in(inner, rest, value),
                None => Err(format!(
                    "what is set here is a list of {count}: write the number of the entry, counted from 0, as in \
                     `--set loss.0.weight=2`."
                )),
            }
        }
        _ => Err("a single value has no fields.".into()),
    }
}

/// The spans of all keys and values.
fn record(table: &DeTable<'_>, path: &str, origins: &mut HashMap<String, Origin>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        record_value(key.span(), value, &path, origins);
    }
}
fn record_value(key: Range<usize>, value: &Spanned<DeValue<'_>>, path: &str, origins: &mut HashMap<String, Origin>) {
    origins.insert(path.to_owned(), Origin::Text { key: key.clone(), value: value.span() });
    match value.get_ref() {
        DeValue::Table(table) => record(table, path, origins),
        DeValue::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                // An entry of `[[list]]` is shown by its header, one of `[1, 2]` by itself.
                record_value(value.span(), value, &format!("{path}.{i}"), origins);
            }
        }
        _ => {}
    }
}

/// The path of the first field that makes `check` refuse the table, with the reason: each is tried alone among
/// defaults.
fn culprit(
    check: &dyn Fn(Table) -> Result<(), toml::de::Error>,
    defaults: &Table,
    table: &Table,
) -> Option<(Vec<String>, String)> {
    for (key, value) in table {
        let with = |value: Value| {
            let mut table = defaults.clone();
            table.insert(key.clone(), value);
            table
        };
        let Err(error) = check(with(value.clone())) else { continue };
        let message = error.message().to_owned();
        let own = messages::quoted(&message).first() == Some(key) && message.starts_with("unknown field");
        if let (false, Value::Table(inner)) = (own, value) {
            let nothing = Table::new();
            let inner_defaults = defaults.get(key).and_then(Value::as_table).unwrap_or(&nothing);
            let inner_check = |inner: Table| check(with(Value::Table(inner)));
            if let Some((path, message)) = culprit(&inner_check, inner_defaults, inner) {
                return Some(([key.clone()].into_iter().chain(path).collect(), message));
            }
        }
        return Some((vec![key.clone()], message));
    }
    None
}

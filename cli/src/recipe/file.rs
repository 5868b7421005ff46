//! A recipe as written: TOML, with the place of every field, so that a mistake can be shown where it stands.
use crate::{
    messages,
    output::console::note,
    recipe::{
        hints,
        legacy::{self, Both, Renamed},
    },
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

/// A recipe as written, flags included; keys of older versions have the name of today.
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

/// Sections that are one module, or a list of them: `--set schedule=linear` takes its name.
const MODULES: [&str; 7] = ["data", "transform", "schedule", "noise", "net", "loss", "times"];

impl Recipe {
    /// Reads a recipe; a line on standard error for each key of an older version.
    pub fn read(path: &Path) -> Result<Self> {
        let (recipe, renamed) = Self::open(path)?;
        renamed.iter().for_each(|renamed| note(&format!("{}: {}", recipe.name, renamed.note())));
        Ok(recipe)
    }
    /// Reads the recipe of a run, of whatever version.
    pub fn of_run(path: &Path) -> Result<Self> {
        Ok(Self::open(path)?.0)
    }
    /// A recipe from its text, of whatever version; `name` is what messages call it.
    pub fn parse(name: &str, text: String) -> Result<Self> {
        Ok(Self::renamed(name, text)?.0)
    }

    fn open(path: &Path) -> Result<(Self, Vec<Renamed>)> {
        if path.is_dir() {
            return Err(Error::invalid(format!(
                "{} is a folder, and a recipe is a TOML file: give the file, or use `--resume --out {0}` to resume a run",
                path.display()
            )));
        }
        let not_text = || Error::invalid(format!("{} is not text, and a recipe is a TOML file", path.display()));
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::invalid(format!(
                "there is no recipe {}: give the path of a TOML file as in `recipes/`, or none at all for the built-in one",
                path.display()
            )),
            std::io::ErrorKind::InvalidData => not_text(),
            _ => Error::io(path, "read the recipe")(error),
        })?;
        if text.contains('\0') {
            return Err(not_text());
        }
        Self::renamed(&path.display().to_string(), text)
    }

    fn renamed(name: &str, text: String) -> Result<(Self, Vec<Renamed>)> {
        let mut recipe = Self { name: name.into(), text, table: Table::new(), origins: HashMap::new() };
        let spans = match DeTable::parse(&recipe.text) {
            Ok(spans) => spans,
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let mut message = format!("this is not TOML: {}.", error.message().trim().replace('\n', "; "));
                if error.message().contains("escape") {
                    message += ESCAPES;
                }
                return Err(Error::invalid(recipe.shown(span, &message)));
            }
        };
        let mut origins = HashMap::new();
        record(spans.get_ref(), "", &mut origins);
        recipe.table = recipe.text.parse().map_err(|error: toml::de::Error| Error::invalid(error.to_string()))?;
        recipe.origins = origins;
        if let Some(loss @ Value::String(_)) = recipe.table.get_mut("loss") {
            *loss = Value::Array(vec![loss.clone()]);
        }
        let renamed = recipe.modernize()?;
        Ok((recipe, renamed))
    }
    /// Gives every key the name that it has now.
    fn modernize(&mut self) -> Result<Vec<Renamed>> {
        let renamed = legacy::modernize(&mut self.table).map_err(|Both(both)| {
            let [old, new] = [&both.old, &both.new].map(|path| path.rsplit('.').next().unwrap_or(path));
            let message = format!("`{old}` is the old name of `{new}`, and both are given: leave out `{old}`.");
            self.fail(&both.old, Part::Key, &message)
        })?;
        for Renamed { old, new, .. } in renamed.iter().filter(|renamed| renamed.old != renamed.new) {
            let within = format!("{old}.");
            let moved = self.origins.extract_if(|path, _| path == old || path.starts_with(&within)).collect::<Vec<_>>();
            self.origins.extend(moved.into_iter().map(|(path, origin)| (path.replacen(old, new, 1), origin)));
        }
        Ok(renamed)
    }

    /// Sets one field, as `--set section.key=value` does. The value is TOML, or a text where it is none.
    pub fn set(&mut self, setting: &str) -> Result<()> {
        let flag = format!("--set {setting}");
        let Some((path, value)) = setting.split_once('=') else {
            return Err(Error::invalid(format!(
                "`{flag}` has no `=`: write `--set section.key=value`, as in `--set train.lr=0.001`"
            )));
        };
        let value = match format!("x = {value}").parse::<Table>() {
            Ok(mut table) if table.len() == 1 => table.remove("x").expect("it was parsed"),
            Err(error) if value.trim_start().starts_with(['"', '\'', '[', '{']) => {
                let escape = if error.message().contains("escape") { ESCAPES } else { "" };
                let why = error.message().trim().replace('\n', "; ");
                return Err(Error::invalid(format!("`{flag}`: the value is not TOML: {why}.{escape}")));
            }
            _ => Value::String(value.trim().into()),
        };
        self.put(path.trim(), value, flag)
    }

    /// Sets one field on behalf of a flag; a line on standard error for each key of an older version.
    pub fn put(&mut self, path: &str, value: Value, flag: String) -> Result<()> {
        let typed = path.replace('[', ".").replace(']', "");
        let path = legacy::modern_path(&self.table, &typed);
        let steps: Vec<&str> = path.split('.').collect();
        let whole = value.is_table() || value.is_array() || value.is_str() && MODULES.contains(&steps[0]);
        if steps.len() == 1 && !whole || steps.iter().any(|step| step.is_empty()) {
            let (write, example) = match hints::field_elsewhere(&path, "train") {
                Some(meant) => (format!("; did you mean `{meant}`? Write"), format!("{meant}={}", shown(&value))),
                None => (": write".into(), "train.lr=0.001".into()),
            };
            return Err(Error::invalid(format!(
                "`{flag}` names no field of a section{write} `--set section.key=value`, as in `--set {example}`"
            )));
        }
        // A list of losses may be one, by its name.
        let value = match value {
            Value::String(name) if path == "loss" => Value::Array(vec![Value::String(name)]),
            other => other,
        };
        let mut root = Value::Table(std::mem::take(&mut self.table));
        put_in(&mut root, &steps, value).map_err(|message| Error::invalid(format!("`{flag}`: {message}")))?;
        if let Value::Table(table) = root {
            self.table = table;
        }
        self.origins.retain(|known, _| *known != path && !known.starts_with(&format!("{path}.")));
        self.origins.insert(path.clone(), Origin::Flag(flag.clone()));
        let key = (typed != path).then_some(Renamed { old: typed, new: path, value: None });
        let within = self.modernize()?;
        key.iter().chain(&within).for_each(|renamed| note(&format!("`{flag}`: {}", renamed.note())));
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
    /// The name of the module at a dotted path.
    pub fn module_name(&self, path: &str) -> Option<&str> {
        self.get(path).and_then(|value| value.as_str().or_else(|| value.get("name")?.as_str()))
    }
    /// All of it.
    pub fn table(&self) -> &Table {
        &self.table
    }
    /// Where the recipe comes from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a field was set by a flag.
    pub fn by_flag(&self, path: &str) -> bool {
        matches!(self.origins.get(path), Some(Origin::Flag(_)))
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
                    return Error::invalid(self.changed(self.shown(span.clone(), message)));
                }
                None => match at.rsplit_once('.') {
                    Some((around, _)) => at = around,
                    None => return Error::invalid(format!("{}: {message}", self.name)),
                },
            }
        }
    }

    /// An error that a module raised about its settings at `path`, shown at its field, or else at the module's name.
    pub fn at_field(&self, path: &str, error: Error) -> Error {
        // An error that has a place already keeps it.
        if error.kind() != ErrorKind::Invalid || error.text().is_some() {
            return error;
        }
        let field = error.field().and_then(|field| self.place_of(path, field).or_else(|| self.elsewhere(field)));
        let names = ["name", "kind"].map(|key| format!("{path}.{key}"));
        let place = field.unwrap_or_else(|| {
            names.into_iter().find(|name| self.get(name).is_some_and(Value::is_str)).unwrap_or(path.to_owned())
        });
        let part = if self.get(&place).is_some_and(Value::is_table) { Part::Key } else { Part::Value };
        let shown = self.fail(&place, part, &error.to_string()).to_string();
        error.with_text(shown)
    }
    /// The path of a field of the table at `path` or of a nested table, because a module reports errors of its parts too.
    fn place_of(&self, path: &str, field: &str) -> Option<String> {
        let full = format!("{path}.{field}");
        if self.get(&full).is_some() {
            return Some(full);
        }
        let inner = self.get(path)?.as_table()?.iter().filter(|(_, value)| value.is_table());
        inner.into_iter().find_map(|(key, _)| self.place_of(&format!("{path}.{key}"), field))
    }

    /// The path of a field of another section, which is named from the root.
    fn elsewhere(&self, field: &str) -> Option<String> {
        let module = field.strip_suffix(".name");
        let path = std::iter::once(field).chain(module).find(|path| self.get(path).is_some())?;
        Some(path.to_owned())
    }

    /// The message with the flags `--set` that the recipe was read with, for one of the file's own lines may be right by
    /// itself.
    fn changed(&self, message: String) -> String {
        let mut flags: Vec<&String> = vec![];
        for origin in self.origins.values() {
            if let Origin::Flag(flag) = origin
                && flag.starts_with("--set ")
                && !flags.contains(&flag)
            {
                flags.push(flag);
            }
        }
        flags.sort();
        match flags.as_slice() {
            [] => message,
            flags => format!("{message}\n\n  with {}", messages::list(flags)),
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
}

/// What is to be known of backslashes, after a sentence about one.
const ESCAPES: &str =
    " A backslash in double quotes begins an escape: write paths in single quotes, as in 'C:\\new\\data', or with `/`.";

/// A value as a flag gives it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Puts a value at a path of keys and, in lists, numbers. A module that is named by a text alone becomes a table.
fn put_in(place: &mut Value, steps: &[&str], value: Value) -> Result<(), String> {
    let Some((first, rest)) = steps.split_first() else {
        *place = value;
        return Ok(());
    };
    if let Value::String(name) = place {
        *place = Value::Table(Table::from_iter([("name".to_owned(), Value::String(name.clone()))]));
    }
    match place {
        Value::Table(table) => {
            if !table.contains_key(*first) && rest.first().is_some_and(|next| next.parse::<usize>().is_ok()) {
                return Err(format!(
                    "the recipe has no list `{first}` of which an entry could be set: write `[[{first}]]` in it."
                ));
            }
            put_in(table.entry((*first).to_owned()).or_insert_with(|| Value::Table(Table::new())), rest, value)
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
        _ => Err(format!("a single value has no field `{first}`.")),
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

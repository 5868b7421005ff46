//! Recipes of older versions: keys and values that have another name now.
use toml::{Table, Value};

/// A field that was renamed: kind of the module or section, name of the module (empty in a section, `*` for every module), the old
/// key and the new one.
const FIELDS: &[(&str, &str, &str, &str)] = &[
    ("train", "", "rate", "lr"),
    ("train", "", "decay", "lr_schedule"),
    ("train", "", "drop", "cond_dropout"),
    ("train", "", "ema", "ema_decay"),
    ("train", "", "adam.decay", "adam.weight_decay"),
    ("train", "", "adam.epsilon", "adam.eps"),
    ("schedule", "linear", "first", "beta_start"),
    ("schedule", "linear", "last", "beta_end"),
    ("schedule", "scaled-linear", "first", "beta_start"),
    ("schedule", "scaled-linear", "last", "beta_end"),
    ("schedule", "sigmoid", "first", "beta_start"),
    ("schedule", "sigmoid", "last", "beta_end"),
    ("schedule", "variance-preserving", "min", "beta_min"),
    ("schedule", "variance-preserving", "max", "beta_max"),
    ("schedule", "sub-variance-preserving", "min", "beta_min"),
    ("schedule", "sub-variance-preserving", "max", "beta_max"),
    ("schedule", "variance-exploding", "min", "sigma_min"),
    ("schedule", "variance-exploding", "max", "sigma_max"),
    ("schedule", "edm", "min", "sigma_min"),
    ("schedule", "edm", "max", "sigma_max"),
    ("sampler", "churn", "churn", "s_churn"),
    ("sampler", "churn", "min", "s_tmin"),
    ("sampler", "churn", "max", "s_tmax"),
    ("sampler", "churn", "noise", "s_noise"),
    ("sampler", "adams-bashforth", "word", "prediction"),
    ("net", "dit", "told", "cond_width"),
    ("net", "transformer", "told", "cond_width"),
    ("transform", "embedding", "normalised", "normalized"),
];

/// A value that was renamed: kind, module, key, the old value and the new one. Keys are those of today.
const VALUES: &[(&str, &str, &str, &str, &str)] = &[
    ("sampler", "adams-bashforth", "prediction", "data", "x0"),
    ("sampler", "adams-bashforth", "prediction", "noise", "epsilon"),
];

/// A key or a value that was read as what it is called now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Renamed {
    /// The path of the key as written, and as it is now.
    pub old: String,
    pub new: String,
    /// The old value and the new one, if that is what was renamed.
    pub value: Option<(String, String)>,
}
impl Renamed {
    /// A line about it.
    pub fn note(&self) -> String {
        match &self.value {
            Some((old, new)) => format!("`{} = \"{old}\"` is called \"{new}\" now; read as such", self.old),
            None => format!("`{}` is called `{}` now; read as such", self.old, self.new),
        }
    }
}

/// The old and the new name of a field are both given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Both(pub Renamed);

/// Gives every key and value of a recipe the name that it has now.
pub(crate) fn modernize(recipe: &mut Table) -> Result<Vec<Renamed>, Both> {
    let mut renamed = vec![];
    for (path, kind) in places(recipe) {
        let Some(place) = value_at(recipe, &path) else { continue };
        match place {
            // `sampler = "ddim"` names a module as `sampler = { name = "ddim" }` does.
            Value::String(name) => {
                if let Some((_, _, _, old, new)) = VALUES.iter().find(|row| row.0 == kind && row.2 == "name" && row.3 == name) {
                    *name = (*new).to_owned();
                    let value = Some(((*old).to_owned(), (*new).to_owned()));
                    renamed.push(Renamed { old: path.clone(), new: path, value });
                }
            }
            Value::Table(table) => rename(kind, &path, table, &mut renamed)?,
            _ => {}
        }
    }
    Ok(renamed)
}

/// The path of a field as it is called now; `recipe` names the modules.
pub(crate) fn modern_path(recipe: &Table, path: &str) -> String {
    let mut recipe = recipe.clone();
    for (place, kind) in places(&recipe) {
        let Some(field) = path.strip_prefix(&format!("{place}.")) else { continue };
        let module = value_at(&mut recipe, &place).and_then(|value| module_of(value)).unwrap_or_default();
        if let Some((.., new)) = fields(kind, &module).find(|(_, _, old, _)| *old == field) {
            return format!("{place}.{new}");
        }
    }
    path.to_owned()
}

fn module_of(value: &Value) -> Option<String> {
    let name = value.as_str().or_else(|| value.get("name")?.as_str());
    name.map(str::to_owned)
}

fn fields(kind: &str, module: &str) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, &'static str)> {
    FIELDS.iter().filter(move |(k, m, ..)| *k == kind && (*m == module || *m == "*"))
}

/// Renames the keys and values of one table.
fn rename(kind: &str, path: &str, table: &mut Table, renamed: &mut Vec<Renamed>) -> Result<(), Both> {
    let module = table.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
    for (_, _, old, new) in fields(kind, &module) {
        let Some(value) = take(table, old) else { continue };
        let change = Renamed { old: format!("{path}.{old}"), new: format!("{path}.{new}"), value: None };
        let (inner, key) = new.rsplit_once('.').map_or((Some(&mut *table), *new), |(around, key)| {
            (table.get_mut(around).and_then(Value::as_table_mut), key)
        });
        let Some(inner) = inner else { continue };
        if inner.contains_key(key) {
            return Err(Both(change));
        }
        inner.insert(key.into(), value);
        renamed.push(change);
    }
    for (_, _, key, old, new) in VALUES.iter().filter(|row| row.0 == kind && (row.1 == module || row.1 == "*")) {
        if let Some(Value::String(value)) = table.get_mut(*key)
            && value == old
        {
            *value = (*new).to_owned();
            let at = format!("{path}.{key}");
            let value = Some(((*old).to_owned(), (*new).to_owned()));
            renamed.push(Renamed { old: at.clone(), new: at, value });
        }
    }
    Ok(())
}

/// Removes the value at a dotted key.
fn take(table: &mut Table, key: &str) -> Option<Value> {
    match key.split_once('.') {
        Some((around, key)) => take(table.get_mut(around)?.as_table_mut()?, key),
        None => table.remove(key),
    }
}

/// The places of a recipe at which there are fields, each with its kind; tables within that name a module are of the same kind.
fn places(recipe: &Table) -> Vec<(String, &'static str)> {
    let mut all = vec![];
    for kind in ["data", "transform", "schedule", "noise", "net", "train", "run", "sample"] {
        recipe.get(kind).into_iter().for_each(|value| within(kind, kind, value, &mut all));
    }
    recipe.get("times").into_iter().for_each(|value| within("times", "spacing", value, &mut all));
    for (i, loss) in recipe.get("loss").and_then(Value::as_array).into_iter().flatten().enumerate() {
        within(&format!("loss.{i}"), "loss", loss, &mut all);
    }
    if let Some(sample) = recipe.get("sample") {
        sample.get("times").into_iter().for_each(|value| within("sample.times", "spacing", value, &mut all));
        sample.get("sampler").into_iter().for_each(|value| within("sample.sampler", "sampler", value, &mut all));
    }
    all
}
fn within(path: &str, kind: &'static str, value: &Value, all: &mut Vec<(String, &'static str)>) {
    all.push((path.to_owned(), kind));
    if kind == "sample" {
        return;
    }
    for (key, inner) in value.as_table().into_iter().flatten() {
        if inner.get("name").is_some() {
            within(&format!("{path}.{key}"), kind, inner, all);
        }
    }
}
fn value_at<'a>(recipe: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    let mut steps = path.split('.');
    let mut value = recipe.get_mut(steps.next()?)?;
    for step in steps {
        value = match value {
            Value::Table(table) => table.get_mut(step)?,
            Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

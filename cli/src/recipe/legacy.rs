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
    ("loss", "vlb", "whole", "train_mean"),
    ("loss", "rounding", "guess", "estimate"),
    ("data", "text", "longer", "too_long"),
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
    ("schedule", "geometric", "min", "sigma_min"),
    ("schedule", "geometric", "max", "sigma_max"),
    ("schedule", "log-linear", "rest", "survival_min"),
    ("schedule", "decaying", "min", "alpha_min"),
    ("sampler", "adams-bashforth", "word", "prediction"),
    ("sampler", "adams-bashforth", "clock", "variable"),
    ("sampler", "unipc", "word", "prediction"),
    ("sampler", "ipndm", "words", "order"),
    ("sampler", "churn", "churn", "s_churn"),
    ("sampler", "churn", "min", "s_tmin"),
    ("sampler", "churn", "max", "s_tmax"),
    ("sampler", "churn", "noise", "s_noise"),
    ("noise", "nearest-neighbor", "neighbours", "neighbors"),
    ("net", "dit", "told", "cond_width"),
    ("net", "transformer", "told", "cond_width"),
    ("transform", "embedding", "normalised", "normalized"),
];

/// A value that was renamed: kind, module (`*` for every module), key, the old value and the new one. Keys are those of
/// today; a module was renamed under the key `name`.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);
const VALUES: &[Row] = &[
    ("noise", "*", "name", "discretised-gaussian", "discretized-gaussian"),
    ("noise", "*", "name", "nearest-neighbour", "nearest-neighbor"),
    ("data", "text", "too_long", "refuse", "error"),
    ("data", "text", "too_long", "cut", "truncate"),
    ("data", "text", "too_long", "drop", "skip"),
    ("sampler", "adams-bashforth", "prediction", "data", "x0"),
    ("sampler", "adams-bashforth", "prediction", "noise", "epsilon"),
    ("sampler", "unipc", "prediction", "data", "x0"),
    ("sampler", "unipc", "prediction", "noise", "epsilon"),
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
                if let Some((_, _, _, old, new)) =
                    VALUES.iter().find(|row| row.0 == kind && row.2 == "name" && row.3 == name.as_str())
                {
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

fn fields(
    kind: &str,
    module: &str,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, &'static str)> {
    FIELDS.iter().filter(move |(k, m, ..)| *k == kind && (*m == module || *m == "*"))
}

/// Renames the keys and values of one table.
fn rename(kind: &str, path: &str, table: &mut Table, renamed: &mut Vec<Renamed>) -> Result<(), Both> {
    // The name first, because the fields are those of the module of today.
    let of_name = |row: &&Row| row.0 == kind && row.2 == "name";
    VALUES.iter().filter(of_name).for_each(|row| rename_value(row, path, table, renamed));
    let module = table.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
    for (_, _, old, new) in fields(kind, &module) {
        let Some(value) = take(table, old) else { continue };
        let change = Renamed { old: format!("{path}.{old}"), new: format!("{path}.{new}"), value: None };
        let (inner, key) = match new.rsplit_once('.') {
            None => (Some(&mut *table), *new),
            Some((around, key)) => (table.get_mut(around).and_then(Value::as_table_mut), key),
        };
        let Some(inner) = inner else { continue };
        if inner.contains_key(key) {
            return Err(Both(change));
        }
        inner.insert(key.into(), value);
        renamed.push(change);
    }
    let of_module = |row: &&Row| row.0 == kind && (row.1 == module || row.1 == "*");
    VALUES.iter().filter(of_module).for_each(|row| rename_value(row, path, table, renamed));
    Ok(())
}

/// Renames one value of a table, if it is there.
fn rename_value((_, _, key, old, new): &Row, path: &str, table: &mut Table, renamed: &mut Vec<Renamed>) {
    if let Some(Value::String(value)) = table.get_mut(*key)
        && value.as_str() == *old
    {
        *value = (*new).to_owned();
        let at = format!("{path}.{key}");
        let value = Some(((*old).to_owned(), (*new).to_owned()));
        renamed.push(Renamed { old: at.clone(), new: at, value });
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recipe::sections,
        registry::{
            Modules,
            module::Kind,
            schema::{Field, Type},
        },
    };

    /// Whether there is a field of that name today.
    fn known(fields: &[Field], name: &str) -> bool {
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        fields.iter().find(|field| field.name == first).is_some_and(|field| match (&field.type_, rest) {
            (_, None) => true,
            (Type::Table(fields), Some(rest)) => known(fields, rest),
            _ => false,
        })
    }
    fn fields_of(modules: &Modules, kind: &str, module: &str) -> Vec<Field> {
        match Kind::named(kind) {
            Some(kind) => {
                let of_kind = modules.of_kind(kind);
                let description = of_kind.iter().find(|description| description.name == module);
                description.unwrap_or_else(|| panic!("there is no {kind} `{module}`")).fields.clone()
            }
            None => match sections::all().into_iter().find(|section| section.name == kind).map(|section| section.type_)
            {
                Some(Type::Table(fields)) => fields,
                _ => panic!("there is no section {kind}"),
            },
        }
    }

    #[test]
    fn every_old_name_is_gone_and_every_new_one_is_there() {
        let modules = Modules::default();
        for (kind, module, old, new) in FIELDS {
            let fields = fields_of(&modules, kind, module);
            assert!(known(&fields, new), "{kind} {module} has no `{new}`");
            assert!(!known(&fields, old), "{kind} {module} still has `{old}`");
        }
        for (kind, module, field, old, new) in VALUES {
            if *field == "name" {
                let names = modules.names(Kind::named(kind).unwrap());
                assert!(names.contains(new) && !names.contains(old), "{kind} {old} → {new}");
                continue;
            }
            let fields = fields_of(&modules, kind, module);
            let choices = fields.iter().find(|known| known.name == *field).map(|field| &field.type_);
            let Some(Type::Choice(choices)) = choices else { panic!("{kind} {module} has no choices of `{field}`") };
            assert!(choices.iter().any(|choice| choice.value == *new), "{kind} {module}: {field} = {new}");
            assert!(!choices.iter().any(|choice| choice.value == *old), "{kind} {module}: {field} = {old}");
        }
    }

    /// A recipe with one module of each kind, in which every old key stands that its modules have.
    fn old_recipe(kind: &str, module: &str) -> (Table, Vec<String>) {
        let (mut recipe, mut old_keys) = (Table::new(), vec![]);
        let mut place = Table::new();
        if !module.is_empty() {
            place.insert("name".into(), module.into());
        }
        for (_, _, old, _) in fields(kind, module) {
            match old.split_once('.') {
                None => drop(place.insert((*old).into(), Value::Integer(1))),
                Some((around, key)) => {
                    let inner = place.entry(around).or_insert_with(|| Value::Table(Table::new()));
                    inner.as_table_mut().unwrap().insert(key.into(), Value::Integer(1));
                }
            }
            old_keys.push((*old).to_owned());
        }
        match kind {
            "sampler" => {
                let mut sample = Table::new();
                sample.insert("sampler".into(), place.into());
                recipe.insert("sample".into(), sample.into());
            }
            "spacing" => drop(recipe.insert("times".into(), place.into())),
            "loss" => drop(recipe.insert("loss".into(), Value::Array(vec![place.into()]))),
            _ => drop(recipe.insert(kind.into(), place.into())),
        }
        (recipe, old_keys)
    }

    #[test]
    fn every_old_key_is_read_as_the_new_one() {
        for (kind, module, ..) in FIELDS {
            let (mut recipe, old_keys) = old_recipe(kind, module);
            let renamed = modernize(&mut recipe).unwrap();
            assert_eq!(renamed.len(), old_keys.len(), "{kind} {module}: {recipe}");
            for (_, _, _, new) in fields(kind, module) {
                let place = &renamed.iter().find(|renamed| renamed.new.ends_with(&format!(".{new}"))).unwrap().new;
                assert_eq!(value_at(&mut recipe, place), Some(&mut Value::Integer(1)), "{place}");
            }
            assert_eq!(modernize(&mut recipe).unwrap(), [], "{recipe}");
        }
    }

    #[test]
    fn an_old_key_beside_the_new_one_is_refused() {
        let (mut recipe, _) = old_recipe("transform", "embedding");
        recipe["transform"].as_table_mut().unwrap().insert("normalized".into(), true.into());
        let Err(Both(both)) = modernize(&mut recipe) else { panic!("{recipe}") };
        assert_eq!((&*both.old, &*both.new), ("transform.normalised", "transform.normalized"));
    }

    #[test]
    fn a_module_of_an_old_name_is_read_with_its_old_fields() {
        for text in ["[noise]\nname = \"nearest-neighbour\"\nneighbours = 4", "noise = \"nearest-neighbour\""] {
            let mut recipe: Table = text.parse().unwrap();
            let renamed = modernize(&mut recipe).unwrap();
            assert!(renamed[0].note().contains("is called \"nearest-neighbor\" now"), "{}", renamed[0].note());
            assert_eq!(module_of(&recipe["noise"]).as_deref(), Some("nearest-neighbor"));
            let field = recipe["noise"].get("neighbors").and_then(Value::as_integer);
            assert_eq!((field, renamed.len()), if text.contains('4') { (Some(4), 2) } else { (None, 1) });
        }
    }

    #[test]
    fn modules_within_modules_are_renamed_too() {
        let text = "[net]\nname = \"other\"\ninner = { name = \"transformer\", told = 8 }";
        let mut recipe: Table = text.parse().unwrap();
        assert_eq!(modern_path(&recipe, "net.inner.told"), "net.inner.cond_width");
        assert_eq!(
            modernize(&mut recipe).unwrap()[0].note(),
            "`net.inner.told` is called `net.inner.cond_width` now; read as such"
        );
        assert_eq!(recipe["net"]["inner"]["cond_width"].as_integer(), Some(8));
    }
}

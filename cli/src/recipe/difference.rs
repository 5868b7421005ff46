//! What differs between two recipes.
use toml::{Table, Value};

/// The sections that a model is made of, which a run keeps from its first step to its last: weights trained with other settings of
/// them mean something else, and losses are not comparable.
pub(crate) const MODEL: [&str; 6] = ["transform", "schedule", "noise", "net", "loss", "times"];

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// Its dotted path.
    pub path: String,
    pub old: Option<Value>,
    pub new: Option<Value>,
}
impl Difference {
    /// `` `net.blocks` was 2 and is 3 ``.
    pub fn sentence(&self) -> String {
        let Self { path, old, new } = self;
        format!("`{path}` was {} and is {}", shown(old.as_ref()), shown(new.as_ref()))
    }
}

/// The fields below `places`, dotted paths, that differ between two recipes, in the order of `places`. Of a module with another
/// name, the name alone.
pub(crate) fn between<'a>(old: &Table, new: &Table, places: impl IntoIterator<Item = &'a str>) -> Vec<Difference> {
    let mut found = vec![];
    for path in places {
        add(path, at(old, path), at(new, path), &mut found);
    }
    found
}

fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let first = table.get(keys.next()?);
    keys.fold(first, |value, key| value?.get(key))
}

fn add(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    let is = |old: Option<&Value>, new: Option<&Value>, path: String| Difference {
        path,
        old: old.cloned(),
        new: new.cloned(),
    };
    match (old, new) {
        (Some(Value::Table(before)), Some(Value::Table(after))) => {
            let names = (before.get("name"), after.get("name"));
            if names.0 != names.1 {
                found.push(is(names.0, names.1, format!("{path}.name")));
                return;
            }
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                add(&format!("{path}.{key}"), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if before.len() == after.len() && before.iter().all(Value::is_table) =>
        {
            for (i, (before, after)) in before.iter().zip(after).enumerate() {
                add(&format!("{path}.{i}"), Some(before), Some(after), found);
            }
        }
        _ if old == new => {}
        _ => found.push(is(old, new, path.to_owned())),
    }
}

/// A value as a sentence shows it; a module by its name.
fn shown(value: Option<&Value>) -> String {
    const LONG: usize = 60;
    match value {
        None => "not set".into(),
        Some(Value::Table(table)) => table.get("name").map_or("a table".into(), Value::to_string),
        Some(Value::Array(list)) if list.iter().all(Value::is_table) && !list.is_empty() => {
            format!("[{}]", list.iter().map(|entry| shown(Some(entry))).collect::<Vec<_>>().join(", "))
        }
        Some(value) => {
            let text = value.to_string();
            if text.chars().count() > LONG {
                format!("{}…", text.chars().take(LONG).collect::<String>())
            } else {
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_field_by_field_and_modules_by_name() {
        let old: Table =
            "[net]\nname = 'unet'\nchannels = [8, 16]\nblocks = 1\n[schedule]\nname = 'linear'\nsteps = 9\n\
                          [[loss]]\nname = 'simple'\nweight = 1.0\n[train]\nseed = 0\nlr = 0.1"
                .parse()
                .unwrap();
        let new: Table = "[net]\nname = 'unet'\nchannels = [8, 32]\nheads = 2\n[schedule]\nname = 'cosine'\nt = 9\n\
                          [[loss]]\nname = 'simple'\nweight = 2.0\n[train]\nseed = 0\nlr = 0.2\n[transform]\nname = 'patches'"
            .parse()
            .unwrap();
        let sentences = |places: &[&str]| {
            between(&old, &new, places.iter().copied()).iter().map(Difference::sentence).collect::<Vec<_>>()
        };
        assert_eq!(
            sentences(&MODEL),
            [
                "`transform` was not set and is \"patches\"",
                "`schedule.name` was \"linear\" and is \"cosine\"",
                "`net.channels` was [8, 16] and is [8, 32]",
                "`net.blocks` was 1 and is not set",
                "`net.heads` was not set and is 2",
                "`loss.0.weight` was 1.0 and is 2.0",
            ]
        );
        assert_eq!(sentences(&["train.seed"]), [""; 0]);
        assert_eq!(sentences(&["train.lr", "train.missing"]), ["`train.lr` was 0.1 and is 0.2"]);
        assert!(between(&old, &old, MODEL).is_empty());
    }
}

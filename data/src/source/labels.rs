//! Labels and class names as files give them.
use crate::{Error, error::list};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

/// More classes than this without a list of names are not labels, but integers of another meaning.
const MAX_CLASSES: usize = 1 << 16;

/// Labels as read, checked against the names of the classes. Without names, classes are named by their indices.
pub(super) fn labels(file: &Path, found: &[i64], names: Vec<String>) -> Result<(Vec<u32>, Vec<String>), Error> {
    let (limit, remedy) = match names.len() {
        0 => (MAX_CLASSES, "choose a column of class labels, which start at 0"),
        n => (
            n,
            "name every class, in the order of the labels, in `classes` (or in the set's own list), or correct the \
             labels",
        ),
    };
    let mut labels = Vec::with_capacity(found.len());
    for (item, &label) in found.iter().enumerate() {
        match usize::try_from(label) {
            Ok(index) if index < limit => labels.push(index as u32),
            _ => {
                let problem = format!("has label {label} at item {item}, but labels must be from 0 to {}", limit - 1);
                return Err(Error::format(file, problem).with_remedy(remedy));
            }
        }
    }
    let classes = match names.is_empty() {
        true => (0..=labels.iter().copied().max().unwrap_or(0)).map(|class| class.to_string()).collect(),
        false => names,
    };
    Ok((labels, classes))
}

/// Labels that are texts, and the names of the classes: those given, or the different texts in the order of their bytes.
/// `all` are the labels of both parts of the set, so that both have the same classes.
pub(super) fn texts<'a>(
    file: &Path,
    found: &[String],
    all: impl Iterator<Item = &'a String>,
    names: Vec<String>,
) -> Result<(Vec<u32>, Vec<String>), Error> {
    let names = match names.is_empty() {
        true => all.cloned().collect::<BTreeSet<_>>().into_iter().take(MAX_CLASSES + 1).collect(),
        false => names,
    };
    if names.len() > MAX_CLASSES {
        let problem = format!("has more than {MAX_CLASSES} different labels, which are texts and not classes");
        return Err(Error::format(file, problem)
            .with_remedy("choose a column of class labels, or set `label = \"\"` for a set without classes"));
    }
    let places: HashMap<&str, u32> = names.iter().enumerate().rev().map(|(i, name)| (&**name, i as u32)).collect();
    let labels = found.iter().enumerate().map(|(item, label)| {
        places.get(&**label).copied().ok_or_else(|| {
            let problem = format!("has label `{label}` at item {item}, but the classes are {}", list(&names));
            Error::format(file, problem).with_remedy("name every class in `classes`, or correct the label")
        })
    });
    Ok((labels.collect::<Result<_, _>>()?, names))
}

/// Names written one per line, without empty lines at the end.
pub(super) fn lines(file: &Path) -> Result<Vec<String>, Error> {
    let text = crate::text::file::text(file)?;
    Ok(text.trim_end().lines().map(|line| line.trim().to_string()).collect())
}

//! Tables beside pictures: `metadata.csv` or `metadata.jsonl`, as in Hugging Face's image folders.
use crate::{Cell, Columns, Error, text::table};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// The names that such a table has.
pub(super) const NAMES: [&str; 2] = ["metadata.csv", "metadata.jsonl"];

/// The column of the picture's path, relative to the folder of the table.
const FILE: &str = "file_name";

/// The cells of columns for each picture, from the table in its own folder or in one above it, up to `root`.
pub(super) fn columns(root: &Path, files: &[PathBuf], wanted: &[String]) -> Result<Columns, Error> {
    if wanted.is_empty() {
        return Ok(Columns::default());
    }
    let mut tables: HashMap<PathBuf, Option<Table>> = HashMap::new();
    let mut rows = Vec::with_capacity(files.len());
    for file in files {
        let mut folder = file.parent();
        let row = loop {
            let Some(place) = folder.filter(|folder| folder.starts_with(root)) else {
                return Err(Error::format(
                    root,
                    format!("has no {} beside or above `{}`", NAMES.join(" or "), file.display()),
                )
                .with_remedy(format!("write one with the columns `{FILE}` and {}", crate::error::list(wanted))));
            };
            if !tables.contains_key(place) {
                tables.insert(place.to_owned(), Table::of(place, wanted)?);
            }
            if let Some(table) = &tables[place] {
                let name = file.strip_prefix(place).expect("it is below").to_string_lossy().replace('\\', "/");
                match table.rows.get(&name) {
                    Some(row) => break row,
                    None => {
                        let problem = format!("has no row for the picture `{name}`");
                        return Err(Error::format(&table.path, problem).with_remedy(format!(
                            "add it, with its path in the column `{FILE}`, or remove the picture"
                        )));
                    }
                }
            }
            folder = place.parent();
        };
        rows.push(row.clone());
    }
    Ok(Columns::of_rows(wanted, &rows).in_folder(root))
}

/// A table of one folder.
struct Table {
    path: PathBuf,
    /// By the path of the picture.
    rows: HashMap<String, Vec<Cell>>,
}
impl Table {
    fn of(folder: &Path, wanted: &[String]) -> Result<Option<Self>, Error> {
        let found: Vec<PathBuf> = NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
        let path = match &found[..] {
            [] => return Ok(None),
            [path] => path.clone(),
            _ => {
                return Err(
                    Error::format(folder, format!("has both {}", NAMES.join(" and "))).with_remedy("remove one")
                );
            }
        };
        let names: Vec<&str> = std::iter::once(FILE).chain(wanted.iter().map(String::as_str)).collect();
        let mut rows = HashMap::new();
        for (line, mut cells) in table::read(&path, &names)? {
            let Some(name) = cells.remove(0).text() else {
                return Err(
                    Error::format(&path, format!("has no `{FILE}` in line {line}")).with_remedy("write it there")
                );
            };
            let name = name.replace('\\', "/").trim_start_matches("./").to_owned();
            if rows.insert(name.clone(), cells).is_some() {
                let problem = format!("has a second row for the picture `{name}`, in line {line}");
                return Err(Error::format(&path, problem).with_remedy("remove one of them"));
            }
        }
        Ok(Some(Self { path, rows }))
    }
}

//! Tables of text: CSV with one of four delimiters, and JSON Lines.
use super::file::Piece;
use crate::{Cell, Error, error::list};
use serde_json::{Map, Value};
use std::path::Path;

/// What separates the cells of a row, the usual first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The table that a file holds, by its name or its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// CSV.
    Csv,
    /// One JSON object per line.
    Json,
}

/// The table that a file is, if it is known to be one; with a column, every other file is read as CSV.
pub(super) fn of(path: &Path, whole: &str) -> Option<Table> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz");
    if name.ends_with(".csv") {
        return Some(Table::Csv);
    }
    let object = |line: &str| serde_json::from_str::<Map<String, Value>>(line).is_ok_and(|keys| !keys.is_empty());
    let mut first = whole.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).peekable();
    let by_name = name.ends_with(".jsonl") || name.ends_with(".ndjson");
    (by_name || first.peek().is_some() && first.all(object)).then_some(Table::Json)
}

/// The error for a table if `column` is not set.
pub(super) fn column_needed(path: &Path, whole: &str, table: Table) -> Error {
    let (names, what) = match table {
        Table::Csv => (header(whole, delimiter(whole, None)), "a table with the columns"),
        Table::Json => (keys(whole), "a file of JSON objects with the keys"),
    };
    let likely = names.iter().find(|name| *name == "text").or(names.last()).cloned().unwrap_or_default();
    Error::format(path, format!("is {what} {}, and `column` is not set", list(&names)))
        .with_field("column")
        .with_remedy(format!("set `column = {likely:?}`, or another of them"))
}

/// The nonempty cells of a column, with the cells of other columns in the same rows.
pub(super) fn column(
    path: &Path,
    whole: &str,
    wanted: &str,
    others: &[String],
    table: Option<Table>,
) -> Result<Vec<Piece>, Error> {
    let names: Vec<&str> = std::iter::once(wanted).chain(others.iter().map(String::as_str)).collect();
    let rows = rows(path, whole, &names, table)?.into_iter();
    let piece = |(line, mut cells): (usize, Vec<Cell>)| match cells.remove(0) {
        Cell::Missing => None,
        Cell::Text(text) => Some(Ok(Piece { line, text, cells })),
        _ => {
            let problem =
                format!("is not a file of JSON objects with texts: line {line} has a `{wanted}` that is not a text");
            Some(Err(Error::format(path, problem).with_remedy("correct that line, or write one object per line")))
        }
    };
    rows.filter_map(piece).collect()
}

/// The cells of columns, row by row, with the line in which each row starts. Cells of the first column are as they are; in
/// the others, those of spaces alone are missing.
pub(crate) fn rows(
    path: &Path,
    whole: &str,
    wanted: &[&str],
    table: Option<Table>,
) -> Result<Vec<(usize, Vec<Cell>)>, Error> {
    match table {
        Some(Table::Json) => json(path, whole, wanted),
        _ => csv(path, whole, wanted),
    }
}

/// The table of a file of this name and these contents, and its rows: [`rows`].
pub(crate) fn read(path: &Path, wanted: &[&str]) -> Result<Vec<(usize, Vec<Cell>)>, Error> {
    let whole = super::file::text(path)?;
    rows(path, &whole, wanted, of(path, &whole))
}

fn missing(path: &Path, wanted: &str, names: &[String]) -> Error {
    Error::format(path, format!("does not have a column `{wanted}`, only {}", list(names)))
        .with_field("column")
        .with_remedy("set `column` to one of these")
}

/// The names of the columns.
fn header(whole: &str, delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(whole.as_bytes());
    reader.headers().map(|names| names.iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// The delimiter by which the header has the wanted column, or else most columns.
fn delimiter(whole: &str, wanted: Option<&str>) -> u8 {
    let headers = DELIMITERS.map(|delimiter| header(whole, delimiter));
    let has = |names: &Vec<String>| wanted.is_some_and(|wanted| names.iter().any(|name| name == wanted));
    let most = || {
        let most = headers.iter().map(Vec::len).max();
        headers.iter().position(|names| Some(names.len()) == most)
    };
    DELIMITERS[headers.iter().position(has).or_else(most).unwrap_or(0)]
}

fn csv(path: &Path, whole: &str, wanted: &[&str]) -> Result<Vec<(usize, Vec<Cell>)>, Error> {
    let delimiter = delimiter(whole, wanted.first().copied());
    quotes(path, whole, delimiter)?;
    let wrong = |problem: String| {
        Error::format(path, problem)
            .with_remedy("correct that line, or write the file again with one cell per column in every row")
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(whole.as_bytes());
    let unreadable = |error: csv::Error| wrong(format!("is not a valid CSV table: {error}"));
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let mut places = vec![];
    for wanted in wanted {
        let found: Vec<usize> = (0..names.len()).filter(|&place| names[place] == *wanted).collect();
        match found[..] {
            [] => return Err(missing(path, wanted, &names)),
            [place] => places.push(place),
            [first, second, ..] => {
                let problem = format!(
                    "has {} columns with the name `{wanted}`, number {} and number {} of them",
                    found.len(),
                    first + 1,
                    second + 1
                );
                return Err(Error::format(path, problem)
                    .with_field("column")
                    .with_remedy("give every column a name of its own"));
            }
        }
    }
    let mut rows = vec![];
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, |at| at.line() as usize);
        if record.len() != names.len() {
            let plural = if record.len() == 1 { "" } else { "s" };
            return Err(wrong(format!(
                "is not a valid CSV table: line {line} has {} cell{plural}, and the header has {}",
                record.len(),
                names.len()
            )));
        }
        let cell = |(i, place): (usize, &usize)| match &record[*place] {
            "" => Cell::Missing,
            text if i == 0 => Cell::Text(text.to_owned()),
            text => Cell::of_text(text),
        };
        rows.push((line, places.iter().enumerate().map(cell).collect()));
    }
    Ok(rows)
}

/// Checks that every quoted cell ends, and that a delimiter or a line end comes after it: a quote that is not closed would
/// make one cell of many rows.
fn quotes(path: &Path, whole: &str, delimiter: u8) -> Result<(), Error> {
    let bytes = whole.as_bytes();
    let (mut line, mut at, mut starts) = (1, 0, true);
    while at < bytes.len() {
        if !(starts && bytes[at] == b'"') {
            starts = bytes[at] == delimiter || matches!(bytes[at], b'\n' | b'\r');
            line += usize::from(bytes[at] == b'\n');
            at += 1;
            continue;
        }
        let opened = line;
        at += 1;
        loop {
            match bytes.get(at) {
                None => {
                    let problem = format!(
                        "is not a valid CSV table: the quoted cell that starts in line {opened} does not end, and \
                         would hold the rest of the file"
                    );
                    return Err(Error::format(path, problem)
                        .with_remedy("close the quote; a quote inside a quoted cell is written twice"));
                }
                Some(b'"') if bytes.get(at + 1) == Some(&b'"') => at += 2,
                Some(b'"') => break,
                Some(byte) => {
                    line += usize::from(*byte == b'\n');
                    at += 1;
                }
            }
        }
        at += 1;
        match bytes.get(at) {
            None | Some(b'\n' | b'\r') => {}
            Some(&byte) if byte == delimiter => {}
            Some(_) => {
                let problem = format!(
                    "is not a valid CSV table: the quoted cell that starts in line {opened} is followed by more text \
                     in line {line}"
                );
                return Err(Error::format(path, problem).with_remedy(
                    "close the quote where the cell ends; a quote inside a quoted cell is written twice",
                ));
            }
        }
        starts = false;
    }
    Ok(())
}

/// The keys of the first object.
fn keys(whole: &str) -> Vec<String> {
    let first = whole.lines().map(str::trim).find(|line| !line.is_empty());
    let first = first.and_then(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
    first.map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

fn json(path: &Path, whole: &str, wanted: &[&str]) -> Result<Vec<(usize, Vec<Cell>)>, Error> {
    let wrong = |line: usize, problem: String| {
        Error::format(path, format!("is not a file of JSON objects with texts: line {line} {problem}"))
            .with_remedy("correct that line, or write one object per line")
    };
    let mut rows = vec![];
    for (i, text) in whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line = i + 1;
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| wrong(line, format!("cannot be read ({error})")))?;
        let mut cells = vec![];
        for wanted in wanted {
            cells.push(match object.get(*wanted) {
                Some(Value::String(text)) if text.is_empty() => Cell::Missing,
                Some(Value::String(text)) => Cell::Text(text.clone()),
                Some(Value::Null) => Cell::Missing,
                Some(Value::Number(number)) => number.as_f64().map_or(Cell::Missing, Cell::Number),
                Some(Value::Bool(truth)) if !cells.is_empty() => Cell::Text(truth.to_string()),
                Some(_) => return Err(wrong(line, format!("has a `{wanted}` that is not a text"))),
                None if rows.is_empty() => return Err(missing(path, wanted, &keys(whole)).with_field("column")),
                None => return Err(wrong(line, format!("does not have the key `{wanted}`"))),
            });
        }
        rows.push((line, cells));
    }
    Ok(rows)
}

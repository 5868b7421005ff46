//! Columns beside the samples of a set: attributes, measurements, captions, second pictures.
use std::path::{Path, PathBuf};

/// What a column holds for one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Missing,
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// The bytes of a file, as of a picture.
    Bytes(Vec<u8>),
}

impl Cell {
    /// A cell of a table of text: missing if it is empty.
    pub fn of_text(text: &str) -> Self {
        if text.trim().is_empty() { Self::Missing } else { Self::Text(text.to_owned()) }
    }

    /// Whether there is nothing.
    pub fn is_missing(&self) -> bool {
        *self == Self::Missing
    }

    /// The number, or what a text says as a number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The text, or a number as text.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// Columns beside the samples of a set, a cell per sample.
///
/// ```
/// use tweedie_data::{Cell, Columns};
/// let columns = Columns::default().with("age", vec![Cell::Number(30.0), Cell::Missing]);
/// assert_eq!(columns.get("age").unwrap()[0].number(), Some(30.0));
/// assert!(columns.select(&[1]).get("age").unwrap()[0].is_missing());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    columns: Vec<(String, Vec<Cell>)>,
    folder: Option<PathBuf>,
}

impl Columns {
    /// Adds a column.
    ///
    /// # Panics
    /// If it has another number of cells than those before it.
    pub fn with(mut self, name: impl Into<String>, cells: Vec<Cell>) -> Self {
        let name = name.into();
        if let Some((first, others)) = self.columns.first() {
            assert_eq!(cells.len(), others.len(), "the columns {first:?} and {name:?} have a cell per sample");
        }
        self.columns.push((name, cells));
        self
    }

    /// Columns from rows of cells.
    ///
    /// # Panics
    /// If a row has not one cell per name.
    pub fn of_rows(names: &[String], rows: &[Vec<Cell>]) -> Self {
        let column = |at: usize| rows.iter().map(|row| row[at].clone()).collect();
        let columns = names.iter().enumerate().map(|(at, name)| (name.clone(), column(at))).collect();
        Self { columns, folder: None }
    }

    /// Sets the folder that paths in the cells are relative to; without columns there are no such.
    pub fn in_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: (!self.is_empty()).then(|| folder.into()), ..self }
    }

    /// The folder that paths in the cells are relative to.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The cells of a column.
    pub fn get(&self, name: &str) -> Option<&[Cell]> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, cells)| &cells[..])
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| &name[..]).collect()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The cells of these samples, in this order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Self {
        let pick =
            |(name, cells): &(String, Vec<Cell>)| (name.clone(), indices.iter().map(|&i| cells[i].clone()).collect());
        Self { columns: self.columns.iter().map(pick).collect(), folder: self.folder.clone() }
    }

    /// Appends the samples of columns of the same names.
    ///
    /// # Panics
    /// If the names differ.
    pub fn append(&mut self, more: Self) {
        if self.columns.is_empty() {
            *self = more;
            return;
        }
        assert_eq!(self.names(), more.names(), "the same columns");
        self.columns.iter_mut().zip(more.columns).for_each(|((_, all), (_, more))| all.extend(more));
    }
}

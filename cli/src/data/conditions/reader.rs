//! How the values of a condition are read from columns, files and the command line.
use super::{Computed, computed};
use crate::{data::data_error, messages};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, path::Path, sync::Arc};
use tweedie::{
    Error, Result,
    condition::{ConditionKind, ConditionSpec, Values},
};
use tweedie_data::{Cell, Columns, Vocabulary, picture};

/// How the values of a condition are read, as a checkpoint stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum ConditionReader {
    /// A category by its name, from a column.
    Class {
        /// The column.
        column: String,
        /// The names, in the order of their indices.
        names: Vec<String>,
    },
    /// Numbers, from columns.
    Vector {
        /// A column per component.
        columns: Vec<String>,
    },
    /// A text as tokens, from a column.
    Tokens {
        /// The column.
        column: String,
        /// The vocabulary.
        vocabulary: Vocabulary,
    },
    /// Pictures in [−1, 1], from a column of paths or of files.
    Image {
        /// The column.
        column: String,
    },
    /// Pictures whose gray levels are labels, from a column of paths or of files.
    LabelMap {
        /// The column.
        column: String,
    },
    /// An image that is computed from the sample.
    Computed {
        /// What is computed.
        of: Computed,
        /// Of `downscaled`, the side of a block.
        factor: usize,
    },
}

/// The picture of a cell as bytes `[channels, height, width]`, of 1 or 3 channels.
pub(crate) fn picture_of(cell: &Cell, folder: Option<&Path>, channels: usize) -> Result<Option<(Vec<u8>, [usize; 3])>> {
    let image = match cell {
        Cell::Missing => return Ok(None),
        Cell::Text(path) => picture::load(folder.unwrap_or(Path::new("")).join(path)).map_err(data_error)?,
        Cell::Bytes(bytes) => picture::decode(bytes).map_err(data_error)?,
        Cell::Number(number) => return Err(Error::invalid(format!("{number} is not the path of a picture"))),
    };
    Ok(Some(planes(image, channels)))
}

fn planes(image: tweedie_data::RgbImage, channels: usize) -> (Vec<u8>, [usize; 3]) {
    let (height, width) = (image.height() as usize, image.width() as usize);
    let bytes = picture::channels(image, channels);
    (bytes, [channels, height, width])
}

impl ConditionReader {
    /// The columns that values are read from.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Vector { columns } => columns.iter().map(String::as_str).collect(),
            Self::Class { column, .. }
            | Self::Tokens { column, .. }
            | Self::Image { column }
            | Self::LabelMap { column } => vec![column],
            Self::Computed { .. } => vec![],
        }
    }

    /// The values of all rows of a set, and how many of them were not known in training. `None` if they are computed.
    pub(crate) fn read(&self, spec: &ConditionSpec, columns: &Columns) -> Result<Option<(Values, usize)>> {
        let name = &spec.name;
        let column = |column: &String| {
            columns.get(column).ok_or_else(|| Error::invalid(format!("the data have no column `{column}`")))
        };
        let of_row =
            |row: usize, problem: String| Error::invalid(format!("the condition `{name}` of sample {row}: {problem}"));
        let mut unknown = 0;
        let values = match self {
            Self::Class { column: own, names } => {
                let places: HashMap<&str, u32> = names.iter().zip(0..).map(|(name, i)| (&**name, i)).collect();
                let mut class = |cell: &Cell| {
                    let found = cell.text().map(|text| places.get(text.trim()).copied());
                    unknown += usize::from(found == Some(None));
                    found.flatten()
                };
                Values::Class(column(own)?.iter().map(&mut class).collect())
            }
            Self::Vector { columns: own } => {
                let parts: Vec<&[Cell]> = own.iter().map(column).collect::<Result<_>>()?;
                let rows = parts.first().map_or(0, |cells| cells.len());
                let vector = |row: usize| {
                    let mut vector = vec![];
                    for (cells, column) in parts.iter().zip(own) {
                        match &cells[row] {
                            Cell::Missing => return Ok(None),
                            cell => match cell.number().filter(|x| x.is_finite()) {
                                Some(number) => vector.push(number as f32),
                                None => {
                                    let found = cell.text().unwrap_or_default();
                                    return Err(of_row(
                                        row,
                                        format!("`{found}` in the column `{column}` is not a number"),
                                    ));
                                }
                            },
                        }
                    }
                    Ok(Some(vector.into()))
                };
                Values::Vector((0..rows).map(vector).collect::<Result<_>>()?)
            }
            Self::Tokens { column: own, vocabulary } => {
                let mut tokens = |cell: &Cell| {
                    let found = vocabulary.encode(&cell.text()?);
                    unknown += usize::from(found.is_err());
                    found.ok().map(|tokens| shortened(tokens, spec))
                };
                Values::Tokens(column(own)?.iter().map(&mut tokens).collect())
            }
            Self::Image { column: own } => {
                let ConditionKind::Image { shape } = &spec.kind else { return Err(other_kind(name)) };
                let image = |(row, cell): (usize, &Cell)| {
                    let found =
                        picture_of(cell, columns.folder(), shape[0]).map_err(|error| of_row(row, error.to_string()))?;
                    let Some((bytes, size)) = found else { return Ok(None) };
                    sized(&size[1..], &shape[1..]).map_err(|problem| of_row(row, problem))?;
                    Ok(Some(unit(&bytes)))
                };
                let rows = column(own)?.iter().enumerate().map(image).collect::<Result<_>>()?;
                Values::Image { shape: shape.clone(), rows }
            }
            Self::LabelMap { column: own } => {
                let ConditionKind::LabelMap { shape, num_labels } = &spec.kind else { return Err(other_kind(name)) };
                let map = |(row, cell): (usize, &Cell)| {
                    let found =
                        picture_of(cell, columns.folder(), 1).map_err(|error| of_row(row, error.to_string()))?;
                    let Some((bytes, size)) = found else { return Ok(None) };
                    sized(&size[1..], shape).map_err(|problem| of_row(row, problem))?;
                    labels(&bytes, *num_labels).map(Some).map_err(|problem| of_row(row, problem))
                };
                let rows = column(own)?.iter().enumerate().map(map).collect::<Result<_>>()?;
                Values::LabelMap { shape: shape.clone(), rows }
            }
            Self::Computed { .. } => return Ok(None),
        };
        Ok(Some((values, unknown)))
    }

    /// The value that a text of the command line stands for, as the values of one row. `none` is dropped.
    pub(crate) fn parse(&self, spec: &ConditionSpec, text: &str) -> Result<Values> {
        let none = text == "none";
        Ok(match (self, &spec.kind) {
            (Self::Class { names, .. }, _) => {
                let found = names.iter().position(|name| name == text || name == text.trim());
                match found {
                    Some(index) => Values::Class(vec![Some(index as u32)]),
                    None if none => Values::Class(vec![None]),
                    None => {
                        return Err(Error::invalid(format!(
                            "unknown value `{text}`{} The values are {}, and none",
                            // Of a single letter or digit, every other one is as near.
                            if text.chars().count() > 1 { messages::meant(text, names) } else { ".".into() },
                            messages::some(&names.iter().map(String::as_str).collect::<Vec<_>>())
                        )));
                    }
                }
            }
            (Self::Vector { columns }, _) if !none => {
                let parts: Vec<&str> = text.split(',').map(str::trim).collect();
                if parts.len() != columns.len() {
                    return Err(Error::invalid(format!(
                        "{} {} needed, {}, separated by commas, got {}",
                        messages::count(columns.len(), "number"),
                        if columns.len() == 1 { "is" } else { "are" },
                        messages::list(&columns.iter().map(String::as_str).collect::<Vec<_>>()),
                        parts.len()
                    )));
                }
                let number = |part: &&str| part.parse::<f32>().ok().filter(|x| x.is_finite());
                match parts.iter().map(number).collect::<Option<Vec<f32>>>() {
                    Some(vector) => Values::Vector(vec![Some(vector.into())]),
                    None => return Err(Error::invalid(format!("`{text}` does not hold finite numbers alone"))),
                }
            }
            (Self::Vector { .. }, _) => Values::Vector(vec![None]),
            (Self::Tokens { .. }, _) if none => Values::Tokens(vec![None]),
            (Self::Tokens { vocabulary, .. }, kind) => {
                let tokens = vocabulary.encode(text).map_err(data_error)?;
                if let ConditionKind::Tokens { length, .. } = kind
                    && tokens.len() > *length
                {
                    return Err(Error::invalid(format!(
                        "the text has {} tokens, and the model reads {length}: shorten it",
                        tokens.len()
                    )));
                }
                Values::Tokens(vec![Some(tokens.into())])
            }
            (_, ConditionKind::Image { shape }) if none => Values::Image { shape: shape.clone(), rows: vec![None] },
            (_, ConditionKind::LabelMap { shape, .. }) if none => {
                Values::LabelMap { shape: shape.clone(), rows: vec![None] }
            }
            (Self::LabelMap { .. }, ConditionKind::LabelMap { shape, num_labels }) => {
                let (bytes, size) = file(text, 1)?;
                sized(&size[1..], shape).map_err(Error::invalid)?;
                let labels = labels(&bytes, *num_labels).map_err(Error::invalid)?;
                Values::LabelMap { shape: shape.clone(), rows: vec![Some(labels)] }
            }
            (Self::Computed { of, factor }, ConditionKind::Image { shape }) => {
                let rows = vec![Some(of_picture(text, *of, *factor, shape)?)];
                Values::Image { shape: shape.clone(), rows }
            }
            (_, ConditionKind::Image { shape }) => {
                let (bytes, size) = file(text, shape[0])?;
                sized(&size[1..], &shape[1..]).map_err(Error::invalid)?;
                Values::Image { shape: shape.clone(), rows: vec![Some(unit(&bytes))] }
            }
            _ => return Err(other_kind(&spec.name)),
        })
    }

    /// The value of a row in a few words; `None` if it is an image.
    pub(crate) fn describe(&self, values: &Values, row: usize) -> Option<String> {
        const MOST: usize = 40;
        let text = self.whole(values, row)?;
        Some(match text.chars().count() > MOST {
            true => text.chars().take(MOST - 1).chain(['…']).collect(),
            false => text,
        })
    }

    /// The value of a row; `None` if it is an image.
    pub(crate) fn whole(&self, values: &Values, row: usize) -> Option<String> {
        Some(match (self, values) {
            (Self::Class { names, .. }, Values::Class(rows)) => {
                rows[row].map_or("none".into(), |class| names.get(class as usize).cloned().unwrap_or_default())
            }
            (_, Values::Vector(rows)) => match &rows[row] {
                Some(vector) => vector.iter().map(|x| number(*x)).collect::<Vec<_>>().join(","),
                None => "none".into(),
            },
            (Self::Tokens { vocabulary, .. }, Values::Tokens(rows)) => match &rows[row] {
                Some(tokens) => vocabulary.decode(tokens),
                None => "none".into(),
            },
            _ => return None,
        })
    }
}

/// A number of up to four significant digits.
fn number(x: f32) -> String {
    let text = format!("{x:.4}");
    let digits = text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if x.abs() >= 1e4 || x != 0.0 && x.abs() < 1e-3 { format!("{x:.3e}") } else { digits }
}

fn other_kind(name: &str) -> Error {
    Error::invalid(format!(
        "the condition `{name}` is stored with another kind than it is read by: the checkpoint is damaged"
    ))
}

/// Tokens up to the length of the condition.
fn shortened(mut tokens: Vec<u32>, spec: &ConditionSpec) -> Arc<[u32]> {
    if let ConditionKind::Tokens { length, .. } = spec.kind {
        tokens.truncate(length);
    }
    tokens.into()
}

/// Bytes as values in [−1, 1].
fn unit(bytes: &[u8]) -> Arc<[f32]> {
    bytes.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect()
}

fn labels(bytes: &[u8], num_labels: usize) -> std::result::Result<Arc<[u32]>, String> {
    match bytes.iter().find(|byte| usize::from(**byte) >= num_labels) {
        Some(byte) => {
            Err(format!("the picture has the gray level {byte}, and there are the labels 0 to {}", num_labels - 1))
        }
        None => Ok(bytes.iter().map(|byte| u32::from(*byte)).collect()),
    }
}

fn sized(found: &[usize], own: &[usize]) -> std::result::Result<(), String> {
    match (found == own, found, own) {
        (true, ..) => Ok(()),
        (_, [h, w], [own_h, own_w]) => {
            Err(format!("the picture is {w} × {h} pixels, and {own_w} × {own_h} are needed: scale it to that size"))
        }
        _ => Err(format!("the picture has the sizes {found:?}, and {own:?} are needed")),
    }
}

/// A picture file of the command line.
fn file(path: &str, channels: usize) -> Result<(Vec<u8>, [usize; 3])> {
    let image = picture::load(path).map_err(data_error)?;
    Ok(planes(image, channels))
}

/// A computed condition from a picture: the condition itself, or the image that it is computed from.
fn of_picture(path: &str, of: Computed, factor: usize, shape: &[usize]) -> Result<Arc<[f32]>> {
    if of == Computed::Masked {
        // Transparent pixels are those that are to be filled in.
        return masked(path, shape);
    }
    let (bytes, size) = file(path, shape[0])?;
    let own = [shape[1], shape[2]];
    if size[1..] == own {
        return Ok(unit(&bytes));
    }
    let whole = if of == Computed::Downscaled { own.map(|side| side * factor) } else { own };
    if size[1..] != whole {
        let [[h, w], [own_h, own_w], [whole_h, whole_w]] = [[size[1], size[2]], own, whole];
        return Err(Error::invalid(format!(
            "the picture is {w} × {h} pixels, and {own_w} × {own_h} are needed, or {whole_w} × {whole_h}, of which that is computed"
        )));
    }
    Ok(of.compute(factor, &unit(&bytes), [1, size[0], size[1], size[2]], &tweedie::Rng::new(0)).into())
}

/// The known part of a picture and the mask, from a picture whose transparent pixels are unknown.
fn masked(path: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
    let (rgba, [height, width]) = picture::with_alpha(path).map_err(data_error)?;
    sized(&[height, width], &shape[1..]).map_err(Error::invalid)?;
    let (size, channels) = (height * width, shape[0] - 1);
    let unknown = |i: usize| rgba[4 * i + 3] < 128;
    if (0..size).all(|i| !unknown(i)) {
        return Err(Error::invalid(
            "the picture has no transparent pixels: make those transparent that are to be filled in",
        ));
    }
    let color = |i: usize, c: usize| -> f32 {
        let rgb = [0, 1, 2].map(|k| f32::from(rgba[4 * i + k]));
        let byte = if channels == 1 { computed::luma(rgb) } else { rgb[c] };
        byte / 127.5 - 1.0
    };
    let mut out = Vec::with_capacity(shape[0] * size);
    (0..channels).for_each(|c| out.extend((0..size).map(|i| if unknown(i) { 0.0 } else { color(i, c) })));
    out.extend((0..size).map(|i| if unknown(i) { 1.0 } else { 0.0 }));
    Ok(out.into())
}

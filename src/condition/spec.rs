//! What a network takes.
use super::{Classes, Values};
use crate::{
    error::{Error, Result},
    rng::Rng,
};
use serde::{Deserialize, Serialize};

/// A condition that a network takes: its name and its kind.
///
/// ```
/// use tweedie::condition::{ConditionKind, ConditionSpec, Conditions};
/// let pose = ConditionSpec::new("pose", ConditionKind::vector([0.0, 10.0], [1.0, 5.0]));
/// let y = Conditions::none().with_vector("pose", [[0.5, f32::NAN]]);
/// let error = y.check(1, &[pose]).unwrap_err();
/// assert!(error.to_string().contains("row 0 holds NaN"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionSpec {
    /// The name by which samples are given it.
    pub name: String,
    /// Its kind.
    #[serde(flatten)]
    pub kind: ConditionKind,
}

/// The kind of a condition and its dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ConditionKind {
    /// A category, embedded in a table whose last row is the null embedding.
    Class {
        /// Number of categories, not counting "none".
        num_classes: usize,
    },
    /// A vector v, standardized as (v − mean)/std before it is embedded.
    Vector {
        /// Mean of each component over the training data.
        mean: Vec<f32>,
        /// Standard deviation of each component over the training data; 1 for a component that is constant.
        std: Vec<f32>,
    },
    /// Token ids, read by cross-attention.
    Tokens {
        /// Number of different tokens.
        vocabulary: usize,
        /// Largest length of a sequence.
        length: usize,
    },
    /// An image, concatenated to x_t along the channels. Another size than that of x is brought to it by nearest neighbors.
    Image {
        /// Channels, then the sizes.
        shape: Vec<usize>,
    },
    /// A label for each place, embedded in a few channels that are concatenated to x_t.
    LabelMap {
        /// The sizes.
        shape: Vec<usize>,
        /// Number of labels.
        num_labels: usize,
    },
}

impl ConditionKind {
    /// A vector of such means and standard deviations, one of each per component.
    pub fn vector(mean: impl Into<Vec<f32>>, std: impl Into<Vec<f32>>) -> Self {
        Self::Vector { mean: mean.into(), std: std.into() }
    }

    /// In a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Class { num_classes } => format!("one of {num_classes} classes"),
            Self::Vector { mean, .. } => format!("a vector of {}", count(mean.len(), "value")),
            Self::Tokens { vocabulary, length } => {
                format!("a sequence of up to {} out of {vocabulary}", count(*length, "token"))
            }
            Self::Image { shape } => format!("an image of shape {shape:?}"),
            Self::LabelMap { shape, num_labels } => format!("a map of {num_labels} labels of shape {shape:?}"),
        }
    }

    /// The kind, as recipes and messages call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Class { .. } => "class",
            Self::Vector { .. } => "vector",
            Self::Tokens { .. } => "tokens",
            Self::Image { .. } => "image",
            Self::LabelMap { .. } => "label-map",
        }
    }

    /// Whether it is embedded in the same vector as the time, which every network can take.
    pub fn is_global(&self) -> bool {
        matches!(self, Self::Class { .. } | Self::Vector { .. })
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl ConditionSpec {
    /// A condition of this name and kind.
    pub fn new(name: impl Into<String>, kind: ConditionKind) -> Self {
        Self { name: name.into(), kind }
    }

    /// Checks that the dimensions describe a condition.
    ///
    /// # Errors
    ///
    /// With what is wrong.
    pub fn check_dimensions(&self) -> Result<()> {
        let problem = match &self.kind {
            ConditionKind::Class { num_classes: 0 } => "must have a class at least, got 0".into(),
            ConditionKind::Vector { mean, std } if mean.is_empty() || mean.len() != std.len() => format!(
                "must have as many means as standard deviations and one at least, got {} and {}",
                mean.len(),
                std.len()
            ),
            ConditionKind::Vector { mean, std }
                if mean.iter().any(|mean| !mean.is_finite())
                    || std.iter().any(|std| !(*std > 0.0 && std.is_finite())) =>
            {
                "must have finite means and positive standard deviations".into()
            }
            ConditionKind::Tokens { vocabulary, length } if *vocabulary == 0 || *length == 0 => {
                format!("must have a vocabulary and a length of 1 or more, got {vocabulary} and {length}")
            }
            ConditionKind::Image { shape } | ConditionKind::LabelMap { shape, .. } if shape.contains(&0) => {
                format!("must have a shape without zeros, got {shape:?}")
            }
            ConditionKind::Image { shape } if shape.len() < 2 => {
                format!("must have a shape of channels and sizes, got {shape:?}")
            }
            ConditionKind::LabelMap { num_labels: 0, .. } => "must have a label at least, got 0".into(),
            _ => return Ok(()),
        };
        Err(Error::invalid(format!("the condition `{}` {problem}", self.name)))
    }

    /// Returns random values of this kind for `rows` rows, by which a network can be tried: vectors are normal, sequences are half as long
    /// as they may be at least, images are normal.
    pub fn random(&self, rows: usize, rng: &Rng) -> Values {
        let size = |shape: &[usize]| shape.iter().product::<usize>();
        let ids = |count: usize, limit: usize| -> Vec<Vec<u32>> {
            let uniforms = rng.clone().uniforms(rows, count.max(1));
            uniforms.chunks(count.max(1)).map(|row| row.iter().map(|u| (u * limit as f64) as u32).collect()).collect()
        };
        match &self.kind {
            ConditionKind::Class { num_classes } => {
                // All of them in turn.
                Values::Class((0..rows).map(|row| Some((row % num_classes) as u32)).collect())
            }
            ConditionKind::Vector { mean, std } => {
                let normals = rng.clone().normals(rows, mean.len());
                let row = |z: &[f64]| {
                    let values = z.iter().zip(mean.iter().zip(std)).map(|(z, (mean, std))| mean + std * *z as f32);
                    Some(values.collect())
                };
                Values::Vector(normals.chunks(mean.len()).map(row).collect())
            }
            ConditionKind::Tokens { vocabulary, length } => {
                let all = ids(*length, *vocabulary);
                let cut = |(row, tokens): (usize, Vec<u32>)| {
                    let keep = length - row % (length / 2 + 1);
                    Some(tokens[..keep].into())
                };
                Values::Tokens(all.into_iter().enumerate().map(cut).collect())
            }
            ConditionKind::Image { shape } => {
                let normals: Vec<f32> = rng.clone().normals(rows, size(shape)).into_iter().map(|x| x as f32).collect();
                let images = normals.chunks(size(shape)).map(|image| Some(image.into())).collect();
                Values::Image { shape: shape.clone(), rows: images }
            }
            ConditionKind::LabelMap { shape, num_labels } => {
                let maps = ids(size(shape), *num_labels).into_iter().map(|labels| Some(labels.into())).collect();
                Values::LabelMap { shape: shape.clone(), rows: maps }
            }
        }
    }

    /// Checks the values of a batch of `rows` rows.
    ///
    /// # Errors
    ///
    /// With what does not fit: the kind, the number of rows, the width or the shape, a value that is not a number, a category, token or
    /// label that does not exist.
    pub fn check(&self, values: &Values, rows: usize) -> Result<()> {
        let name = &self.name;
        let wrong = |problem: String, remedy: &str| {
            Err(Error::invalid(format!("the condition `{name}` {problem}")).with_remedy(remedy))
        };
        if let (ConditionKind::Class { num_classes }, Values::Class(classes), super::CLASS) =
            (&self.kind, values, &**name)
        {
            return Classes::check_all(classes, rows, *num_classes);
        }
        if values.rows() != rows {
            let problem = format!("has {} rows for a batch of {rows}", values.rows());
            return wrong(problem, "give one entry per row, `None` where it is dropped");
        }
        match (&self.kind, values) {
            (ConditionKind::Class { num_classes }, Values::Class(classes)) => {
                match classes.iter().flatten().find(|class| **class as usize >= *num_classes) {
                    None => Ok(()),
                    Some(class) => wrong(
                        format!("has {num_classes} classes, 0 to {}, got {class}", num_classes - 1),
                        "give one of them",
                    ),
                }
            }
            (ConditionKind::Vector { mean, .. }, Values::Vector(vectors)) => {
                for (row, vector) in present(vectors) {
                    if vector.len() != mean.len() {
                        let wanted = count(mean.len(), "value");
                        return wrong(
                            format!("is a vector of {wanted}, and row {row} has {}", vector.len()),
                            "give as many",
                        );
                    }
                    if let Some(x) = vector.iter().find(|x| !x.is_finite()) {
                        return wrong(format!("of row {row} holds {x}"), "give finite numbers, or drop the row");
                    }
                }
                Ok(())
            }
            (ConditionKind::Tokens { vocabulary, length }, Values::Tokens(sequences)) => {
                for (row, tokens) in present(sequences) {
                    if tokens.len() > *length {
                        return wrong(
                            format!(
                                "is a sequence of up to {}, and row {row} has {}",
                                count(*length, "token"),
                                tokens.len()
                            ),
                            "shorten it, or train with a larger length",
                        );
                    }
                    if let Some(token) = tokens.iter().find(|token| **token as usize >= *vocabulary) {
                        return wrong(
                            format!("has tokens 0 to {}, and row {row} holds {token}", vocabulary - 1),
                            "encode it with the vocabulary of the training data",
                        );
                    }
                }
                Ok(())
            }
            (ConditionKind::Image { shape: own }, Values::Image { shape, rows }) => {
                same_shape(name, own, shape)?;
                for (row, image) in present(rows) {
                    if let Some(x) = image.iter().find(|x| !x.is_finite()) {
                        return wrong(format!("of row {row} holds {x}"), "give finite numbers, or drop the row");
                    }
                    sized(name, row, image.len(), shape)?;
                }
                Ok(())
            }
            (ConditionKind::LabelMap { shape: own, num_labels }, Values::LabelMap { shape, rows }) => {
                same_shape(name, own, shape)?;
                for (row, labels) in present(rows) {
                    if let Some(label) = labels.iter().find(|label| **label as usize >= *num_labels) {
                        return wrong(
                            format!("has labels 0 to {}, and row {row} holds {label}", num_labels - 1),
                            "give labels of the training data",
                        );
                    }
                    sized(name, row, labels.len(), shape)?;
                }
                Ok(())
            }
            _ => wrong(
                format!("is {}, got the kind `{}`", self.kind.describe(), values.kind()),
                "give values of its kind",
            ),
        }
    }
}

/// The rows that are not dropped.
fn present<V: ?Sized>(rows: &[Option<std::sync::Arc<V>>]) -> impl Iterator<Item = (usize, &V)> {
    rows.iter().enumerate().filter_map(|(row, value)| Some((row, &**value.as_ref()?)))
}

fn same_shape(name: &str, own: &[usize], found: &[usize]) -> Result<()> {
    if own == found {
        return Ok(());
    }
    Err(Error::invalid(format!("the condition `{name}` must have the shape {own:?}, got {found:?}"))
        .with_remedy("bring it to that size and number of channels"))
}

fn sized(name: &str, row: usize, len: usize, shape: &[usize]) -> Result<()> {
    let size: usize = shape.iter().product();
    if len == size {
        return Ok(());
    }
    Err(Error::invalid(format!("the condition `{name}` of row {row} has {len} values for the shape {shape:?}"))
        .with_remedy(format!("give {size}")))
}

//! The values of one condition.
use std::sync::Arc;

/// The values of one condition, an entry per row of a batch; `None` where it is dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// A category.
    Class(Vec<Option<u32>>),
    /// A vector, in its own units.
    Vector(Vec<Option<Arc<[f32]>>>),
    /// A sequence of token ids, each of its own length.
    Tokens(Vec<Option<Arc<[u32]>>>),
    /// An image, a signal or a volume.
    Image {
        /// Channels, then the sizes.
        shape: Vec<usize>,
        /// The values of each row.
        rows: Vec<Option<Arc<[f32]>>>,
    },
    /// A label for each place.
    LabelMap {
        /// The sizes.
        shape: Vec<usize>,
        /// The labels of each row.
        rows: Vec<Option<Arc<[u32]>>>,
    },
}

/// Applies `f` to the entries, whatever they are.
macro_rules! map {
    ($values:expr, $f:expr) => {
        match $values {
            Values::Class(rows) => Values::Class($f(rows)),
            Values::Vector(rows) => Values::Vector($f(rows)),
            Values::Tokens(rows) => Values::Tokens($f(rows)),
            Values::Image { shape, rows } => Values::Image { shape: shape.clone(), rows: $f(rows) },
            Values::LabelMap { shape, rows } => Values::LabelMap { shape: shape.clone(), rows: $f(rows) },
        }
    };
}

fn pick<V: Clone>(rows: &[usize]) -> impl Fn(&Vec<Option<V>>) -> Vec<Option<V>> {
    move |all| rows.iter().map(|&row| all[row].clone()).collect()
}
fn dropped<V: Clone>(drop: &[bool]) -> impl Fn(&Vec<Option<V>>) -> Vec<Option<V>> {
    move |all| all.iter().zip(drop).map(|(value, drop)| value.clone().filter(|_| !drop)).collect()
}

impl Values {
    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Class(rows) => rows.len(),
            Self::Vector(rows) | Self::Image { rows, .. } => rows.len(),
            Self::Tokens(rows) | Self::LabelMap { rows, .. } => rows.len(),
        }
    }

    /// Whether the entry of a row is dropped.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn is_dropped(&self, row: usize) -> bool {
        match self {
            Self::Class(rows) => rows[row].is_none(),
            Self::Vector(rows) | Self::Image { rows, .. } => rows[row].is_none(),
            Self::Tokens(rows) | Self::LabelMap { rows, .. } => rows[row].is_none(),
        }
    }

    /// Returns the rows of `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        map!(self, |all| pick(rows)(all))
    }

    /// Returns the same values with the entry of row i dropped wherever `drop[i]`.
    pub fn without(&self, drop: &[bool]) -> Self {
        map!(self, |all| dropped(drop)(all))
    }

    /// Returns the rows of these values and those of `more`, one after the other.
    ///
    /// # Panics
    ///
    /// If they are of different kinds or shapes.
    pub fn concat(self, more: Self) -> Self {
        let chain = |a: Vec<_>, b: Vec<_>| a.into_iter().chain(b).collect();
        match (self, more) {
            (Self::Class(a), Self::Class(b)) => Self::Class(a.into_iter().chain(b).collect()),
            (Self::Vector(a), Self::Vector(b)) => Self::Vector(chain(a, b)),
            (Self::Tokens(a), Self::Tokens(b)) => Self::Tokens(a.into_iter().chain(b).collect()),
            (Self::Image { shape, rows: a }, Self::Image { shape: other, rows: b }) if shape == other => {
                Self::Image { shape, rows: chain(a, b) }
            }
            (Self::LabelMap { shape, rows: a }, Self::LabelMap { shape: other, rows: b }) if shape == other => {
                Self::LabelMap { shape, rows: a.into_iter().chain(b).collect() }
            }
            (a, b) => {
                panic!("values of the kinds {} and {} or of different shapes cannot be joined", a.kind(), b.kind())
            }
        }
    }

    /// The kind, as recipes and messages call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Class(_) => "class",
            Self::Vector(_) => "vector",
            Self::Tokens(_) => "tokens",
            Self::Image { .. } => "image",
            Self::LabelMap { .. } => "label-map",
        }
    }
}

//! Conditions: what a sample is conditioned on.
//!
//! [`Conditions`] holds named conditions of a batch, each of one kind ([`Values`]): a class, a vector, a sequence of tokens, an
//! image, a map of labels. Each row of each condition may be dropped; a network then takes the null embedding of that condition in its
//! place, so that one network is trained with and without each.
//!
//! A network declares what it takes by [`ConditionSpec`]s, and what does not fit is refused before the first step
//! ([`Net::check_condition`](crate::net::Net::check_condition)). [`Classes`] is the condition of one class per row; a [`Condition`] of
//! your own goes with a network of your own.
use crate::error::{Error, Result};
use std::{fmt::Debug, sync::Arc};

mod classes;
mod spec;
mod values;
pub use classes::Classes;
pub use spec::{ConditionKind, ConditionSpec};
pub use values::Values;

/// The condition of a batch: classes, captions, nothing (`()`).
#[doc(alias = "conditioning")]
pub trait Condition: Clone + Debug + Send + Sync + 'static {
    /// Returns the rows of `rows`, in that order.
    fn select(&self, rows: &[usize]) -> Self;

    /// Returns the same batch with row i unconditional wherever `drop[i]`, as classifier-free guidance trains and
    /// compares.
    fn without(&self, drop: &[bool]) -> Self;

    /// Returns the names of its parts, which can be dropped one by one. Default: none.
    fn names(&self) -> Vec<&str> {
        vec![]
    }

    /// Returns the same batch with the part `name` of row i dropped wherever `drop[i]`. Default: unchanged, for a condition without
    /// parts.
    fn without_named(&self, name: &str, drop: &[bool]) -> Self {
        let _ = (name, drop);
        self.clone()
    }
}

impl Condition for () {
    fn select(&self, _: &[usize]) -> Self {}
    fn without(&self, _: &[bool]) -> Self {}
}

/// Named conditions of a batch.
///
/// Empty, it makes every row unconditional; otherwise a network wants each condition that it declares, with an entry per row, which may
/// be dropped.
///
/// ```
/// use tweedie::condition::{Condition, Conditions};
/// let y = Conditions::none()
///     .with_class("digit", [3, 1])
///     .with_vector("pose", [[0.5, -1.0], [0.0, 2.0]])
///     .with_tokens("caption", [vec![4, 8, 15], vec![16]]);
/// assert_eq!(y.rows(), Some(2));
/// let dropped = y.without_named("pose", &[true, false]);
/// assert!(dropped.get("pose").unwrap().is_dropped(0));
/// assert!(!dropped.get("digit").unwrap().is_dropped(0));
/// ```
#[doc(alias("cond", "encoder_hidden_states", "added_cond_kwargs", "class_labels"))]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    entries: Vec<(String, Values)>,
}

/// The name of the condition that [`Classes`] become.
pub const CLASS: &str = "class";

impl Conditions {
    /// Returns the unconditional batch.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns one class per row, by the name `class`.
    pub fn classes(classes: impl IntoIterator<Item = u32>) -> Self {
        Self::none().with_class(CLASS, classes)
    }

    /// Adds a condition, or takes its place if there is one of that name.
    pub fn with(mut self, name: impl Into<String>, values: Values) -> Self {
        let name = name.into();
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = values,
            None => self.entries.push((name, values)),
        }
        self
    }

    /// Adds a category per row: a class, or one of several attributes.
    pub fn with_class(self, name: impl Into<String>, classes: impl IntoIterator<Item = u32>) -> Self {
        self.with(name, Values::Class(classes.into_iter().map(Some).collect()))
    }

    /// Adds a vector per row, in its own units.
    pub fn with_vector<V: Into<Vec<f32>>>(self, name: impl Into<String>, rows: impl IntoIterator<Item = V>) -> Self {
        self.with(name, Values::Vector(rows.into_iter().map(|row| Some(row.into().into())).collect()))
    }

    /// Adds a sequence of token ids per row, each of its own length.
    pub fn with_tokens<V: Into<Vec<u32>>>(self, name: impl Into<String>, rows: impl IntoIterator<Item = V>) -> Self {
        self.with(name, Values::Tokens(rows.into_iter().map(|row| Some(row.into().into())).collect()))
    }

    /// Adds an image, a signal or a volume per row, concatenated to x_t along the channels.
    ///
    /// # Shapes
    ///
    /// `shape: [channels, …]` of one row; the values are those of all rows, one after the other.
    ///
    /// # Errors
    ///
    /// If the number of values is no multiple of the product of the shape.
    pub fn with_image(self, name: impl Into<String>, values: &[f32], shape: &[usize]) -> Result<Self> {
        let rows = cut(values, shape)?;
        Ok(self.with(name, Values::Image { shape: shape.to_vec(), rows }))
    }

    /// Adds a map of labels per row, one for each place of x.
    ///
    /// # Shapes
    ///
    /// `shape` of one row, as [height, width]; the labels are those of all rows, one after the other.
    ///
    /// # Errors
    ///
    /// If the number of labels is no multiple of the product of the shape.
    pub fn with_label_map(self, name: impl Into<String>, labels: &[u32], shape: &[usize]) -> Result<Self> {
        let rows = cut(labels, shape)?;
        Ok(self.with(name, Values::LabelMap { shape: shape.to_vec(), rows }))
    }

    /// Returns the condition of a name.
    pub fn get(&self, name: &str) -> Option<&Values> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, values)| values)
    }

    /// Returns the conditions with their names, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.entries.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// Returns the condition named `class`; [`Classes::none`] if there is none.
    pub fn to_classes(&self) -> Classes {
        match self.get(CLASS) {
            Some(Values::Class(classes)) => Classes(classes.clone()),
            _ => Classes::none(),
        }
    }

    /// Whether there are no conditions: every row is unconditional.
    pub fn is_none(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of rows, if there are conditions.
    pub fn rows(&self) -> Option<usize> {
        self.entries.first().map(|(_, values)| values.rows())
    }

    /// Checks a batch of `rows` rows against what a network takes.
    ///
    /// # Errors
    ///
    /// With the condition that is unknown, missing, of another kind, number of rows or shape, or whose value is not allowed.
    pub fn check(&self, rows: usize, specs: &[ConditionSpec]) -> Result<()> {
        if self.is_none() {
            return Ok(());
        }
        for (name, values) in self.iter() {
            let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
                // One class for each row is what the number of classes of a network is about.
                if let Values::Class(classes) = values
                    && name == CLASS
                {
                    return Classes::check_all(classes, rows, 0);
                }
                return Err(unknown(name, specs));
            };
            spec.check(values, rows)?;
        }
        match specs.iter().find(|spec| self.get(&spec.name).is_none()) {
            None => Ok(()),
            Some(spec) => {
                Err(Error::invalid(format!("the condition `{}` ({}) is missing", spec.name, spec.kind.describe()))
                    .with_remedy("give it for each row, or `Conditions::none()` for an unconditional batch"))
            }
        }
    }
}

fn unknown(name: &str, specs: &[ConditionSpec]) -> Error {
    let taken = match specs {
        [] => "the network takes no conditions".into(),
        specs => {
            let names: Vec<String> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
            format!("the network takes {}", names.join(", "))
        }
    };
    Error::invalid(format!("the condition `{name}` is unknown: {taken}"))
        .with_remedy("leave it out, or make the network with it")
}

/// Cuts values into rows of a shape.
fn cut<V: Clone>(values: &[V], shape: &[usize]) -> Result<Vec<Option<Arc<[V]>>>> {
    let size: usize = shape.iter().product();
    if size == 0 || !values.len().is_multiple_of(size) {
        let problem = format!("{} values cannot be cut into rows of shape {shape:?}", values.len());
        return Err(Error::invalid(problem).with_remedy("give the shape of one row, without the batch axis"));
    }
    Ok(values.chunks(size).map(|row| Some(row.into())).collect())
}

impl Condition for Conditions {
    fn select(&self, rows: &[usize]) -> Self {
        Self { entries: self.entries.iter().map(|(name, values)| (name.clone(), values.select(rows))).collect() }
    }
    fn without(&self, drop: &[bool]) -> Self {
        Self { entries: self.entries.iter().map(|(name, values)| (name.clone(), values.without(drop))).collect() }
    }
    fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|(name, _)| name.as_str()).collect()
    }
    fn without_named(&self, name: &str, drop: &[bool]) -> Self {
        let drop_one = |(known, values): &(String, Values)| {
            (known.clone(), if known == name { values.without(drop) } else { values.clone() })
        };
        Self { entries: self.entries.iter().map(drop_one).collect() }
    }
}

impl From<Classes> for Conditions {
    /// One class per row, by the name `class`; none if the list is empty.
    fn from(Classes(classes): Classes) -> Self {
        match classes.is_empty() {
            true => Self::none(),
            false => Self::none().with(CLASS, Values::Class(classes)),
        }
    }
}
impl From<Vec<u32>> for Conditions {
    fn from(classes: Vec<u32>) -> Self {
        Self::classes(classes)
    }
}
impl<const N: usize> From<[u32; N]> for Conditions {
    fn from(classes: [u32; N]) -> Self {
        Self::classes(classes)
    }
}

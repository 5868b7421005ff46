//! What the configurations of nets share.
use crate::{
    condition::ConditionSpec,
    error::{Error, Result},
};

/// The dimensions of a net that the data and the noise determine.
///
/// Configurations take theirs from here by `fit`, so a recipe holds only what is a choice.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Shape of one sample of x, without the batch axis.
    pub shape: &'a [usize],
    /// Number of classes, not counting "none"; 0 for unconditional data.
    pub num_classes: usize,
    /// Conditions besides the class.
    pub conditions: &'a [ConditionSpec],
    /// Outputs per value of x: 1, or 2 if the variance is learned.
    pub outputs: usize,
    /// Number of categories, the mask included, if x is discrete: the net then reads category indices and gives a logit
    /// for each category.
    pub categories: Option<usize>,
    /// Channels, height and width, if the categories are the gray levels of an image.
    pub image: Option<[usize; 3]>,
}

impl Task<'_> {
    /// The size of an axis of a sample; 0 if it has fewer axes, which the check of a configuration refuses.
    pub(super) fn size(&self, axis: usize) -> usize {
        self.shape.get(axis).copied().unwrap_or(0)
    }
}

/// Defines setters `with_FIELD` of a configuration.
macro_rules! setters {
    ($config:ident: $($with:ident $field:ident $type:ty),* $(,)?) => {
        impl $config {$(
            #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
            pub fn $with(self, $field: $type) -> Self {
                Self { $field: $field.into(), ..self }
            }
        )*}
    };
}
pub(super) use setters;

/// Defines `with_conditions` of a configuration.
macro_rules! takes_conditions {
    ($config:ident) => {
        impl $config {
            /// Sets the conditions that the net takes; the class named `class` becomes [`num_classes`](Self::num_classes).
            pub fn with_conditions(self, conditions: impl IntoIterator<Item = ConditionSpec>) -> Self {
                let (num_classes, conditions) = $crate::net::embed::split_class(conditions);
                Self { num_classes, conditions, ..self }
            }
        }
    };
}
pub(super) use takes_conditions;

/// Refuses fields that are 0.
pub(super) fn check_positive(fields: &[(&str, usize)]) -> Result<()> {
    match fields.iter().find(|(_, value)| *value == 0) {
        Some((field, _)) => Err(Error::invalid("must be at least 1, got 0").with_field(*field)),
        None => Ok(()),
    }
}

/// Checks that a dimension of a net is that of the data.
pub(super) fn check_fits(field: &str, own: usize, found: usize, what: &str) -> Result<()> {
    if own == found {
        return Ok(());
    }
    let problem = format!("must be {found}, the {what} of the data, got {own}");
    Err(Error::invalid(problem).with_field(field).with_remedy("make the net for these data"))
}

/// Checks the fields that all configurations have.
pub(super) fn check_common(time_features: usize, dropout: f64, outputs: usize) -> Result<()> {
    let wrong = |field: &str, problem: String| Err(Error::invalid(problem).with_field(field));
    if time_features == 0 || !time_features.is_multiple_of(2) {
        let problem =
            format!("must be an even number of at least 2, pairs of a sine and a cosine, got {time_features}");
        return wrong("time_features", problem);
    }
    if !(0.0..1.0).contains(&dropout) {
        return wrong("dropout", format!("must be a probability in [0, 1), got {dropout}"));
    }
    if !(1..=2).contains(&outputs) {
        return wrong("outputs", format!("must be 1, or 2 for a learned variance, got {outputs}"));
    }
    Ok(())
}

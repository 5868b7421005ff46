//! One class per row.
use super::Condition;
use crate::error::{Error, Result};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The class of each row of a batch, `None` for an unconditional row; an empty list makes every row unconditional.
///
/// ```
/// use tweedie::condition::{Classes, Condition};
/// let y = Classes::from([3, 1]);
/// assert_eq!(y.without(&[true, false]), Classes(vec![None, Some(1)]));
/// ```
#[doc(alias = "class_labels")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(pub Vec<Option<u32>>);

impl Classes {
    /// Returns the unconditional batch.
    pub fn none() -> Self {
        Self::default()
    }

    /// Checks that there is one entry per row of a batch, or none at all, and that every class is below `num_classes`.
    ///
    /// # Errors
    ///
    /// With the class or the number of entries that is wrong.
    pub fn check(&self, batch: usize, num_classes: usize) -> Result<()> {
        Self::check_all(&self.0, batch, num_classes)
    }

    /// [`check`](Self::check) of a list.
    pub(super) fn check_all(classes: &[Option<u32>], batch: usize, num_classes: usize) -> Result<()> {
        if !classes.is_empty() && classes.len() != batch {
            let count = classes.len();
            return Err(Error::invalid(format!(
                "{count} classes were given for a batch of {batch}: give one per row, or none at all"
            )));
        }
        let Some(class) = classes.iter().flatten().find(|class| **class as usize >= num_classes) else { return Ok(()) };
        let net = match num_classes {
            0 => "an unconditional net (num_classes = 0)".into(),
            _ => format!("a net of {num_classes} classes (0 to {})", num_classes - 1),
        };
        let problem = format!("must be at least {}: class {class} was given to {net}", u64::from(*class) + 1);
        Err(Error::invalid(problem)
            .with_field("num_classes")
            .with_remedy("make the net with as many classes, or leave the classes out"))
    }

    /// Returns the row of an embedding table of `num_classes + 1` rows for each row of the batch; the last row stands for
    /// "none".
    ///
    /// # Shapes
    ///
    /// → `[batch]`.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) fails: a programmer's mistake, to be ruled out before a net is called.
    pub fn indices(&self, batch: usize, num_classes: usize, device: &Device) -> Tensor<1, Int> {
        if let Err(error) = self.check(batch, num_classes) {
            panic!("{error}");
        }
        let row = |i: usize| self.0.get(i).copied().flatten().map_or(num_classes as i64, i64::from);
        Tensor::from_data(TensorData::new((0..batch).map(row).collect::<Vec<_>>(), [batch]), device)
    }
}
impl From<Vec<u32>> for Classes {
    fn from(classes: Vec<u32>) -> Self {
        Self(classes.into_iter().map(Some).collect())
    }
}
impl<const N: usize> From<[u32; N]> for Classes {
    fn from(classes: [u32; N]) -> Self {
        classes.to_vec().into()
    }
}
impl Condition for Classes {
    fn select(&self, rows: &[usize]) -> Self {
        if self.0.is_empty() { Self::none() } else { Self(rows.iter().map(|&row| self.0[row]).collect()) }
    }
    fn without(&self, drop: &[bool]) -> Self {
        Self(self.0.iter().zip(drop).map(|(class, drop)| class.filter(|_| !drop)).collect())
    }
}

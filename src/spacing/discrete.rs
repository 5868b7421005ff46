//! Times of a table of T steps, and lists of times.
use super::Spacing;
use crate::{error::Error, schedule::Schedule};
use serde::{Deserialize, Serialize};

/// A list of times, each as likely as another.
///
/// ```
/// use tweedie::spacing::{Listed, Spacing};
/// let four = Listed::new(vec![0.1, 0.4, 0.7, 1.0])?;
/// assert_eq!(four.grid(4), [1.0, 0.7, 0.4, 0.1, 0.0]);
/// assert_eq!(four.grid(2), [1.0, 0.4, 0.0]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Listed(Vec<f64>);
impl Listed {
    /// The times, in any order; 0 is where a grid ends in any case.
    ///
    /// # Errors
    ///
    /// If there is none in (0, 1], or one lies outside of [0, 1].
    pub fn new(mut times: Vec<f64>) -> Result<Self, Error> {
        if let Some(t) = times.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            return Err(Error::invalid(format!("times lie in [0, 1], but the list has {t}")));
        }
        times.retain(|&t| t > 0.0);
        times.sort_by(f64::total_cmp);
        times.dedup();
        if times.is_empty() {
            return Err(Error::invalid("a list of times needs one above 0"));
        }
        Ok(Self(times))
    }

    /// The times at which a schedule has the noise levels `σ/α`; levels beyond the schedule's own are at its ends.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if a level is below 0 or not finite.
    pub fn levels(levels: &[f64], schedule: &dyn Schedule) -> Result<Self, Error> {
        if let Some(level) = levels.iter().find(|level| !(**level >= 0.0 && level.is_finite())) {
            return Err(Error::invalid(format!("noise levels are σ/α, 0 or more, but the list has {level}")));
        }
        Self::new(levels.iter().map(|level| schedule.time_at_log_snr(-2.0 * level.ln()).clamp(0.0, 1.0)).collect())
    }

    /// The `counts[i]` steps that OpenAI's respacing takes of the i-th of as many equal sections of T steps: a net trained
    /// on T visits step numbers it knows.
    ///
    /// Within a section of n steps the numbers are `⌊i (n − 1)/(count − 1)⌉`.
    ///
    /// Nichol and Dhariwal (2021), section 4, <https://arxiv.org/abs/2102.09672>.
    ///
    /// # Errors
    ///
    /// If a section has fewer steps than are asked of it.
    pub fn sections(steps: usize, counts: &[usize]) -> Result<Self, Error> {
        Self::new(sections(steps, counts)?.into_iter().map(|i| (i as f64 + 1.0) / steps as f64).collect())
    }
}

fn sections(steps: usize, counts: &[usize]) -> Result<Vec<usize>, Error> {
    let (size, extra) = (steps / counts.len().max(1), steps % counts.len().max(1));
    let (mut all, mut start) = (vec![], 0);
    for (i, &count) in counts.iter().enumerate() {
        let size = size + usize::from(i < extra);
        if size < count {
            return Err(Error::invalid(format!("section {i} has {size} steps, and {count} are asked of it")));
        }
        let stride = if count > 1 { (size - 1) as f64 / (count - 1) as f64 } else { 1.0 };
        // Strides are added up, as there: the rounding of the sum decides the ties.
        let places = std::iter::successors(Some(0.0), |place| Some(place + stride)).take(count);
        all.extend(places.map(|place: f64| start + place.round_ties_even() as usize));
        start += size;
    }
    Ok(all)
}
impl Spacing for Listed {
    fn at(&self, u: f64) -> f64 {
        let i = (u * self.0.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        self.0[i.min(self.0.len()) - 1]
    }
}

/// How few steps are taken of a table's T, where the first and the last matter.
///
/// | | times of n steps |
/// |---|---|
/// | [`Steps`](super::Steps) | trailing: 1, 1 − 1/n, …, each at the nearest step |
/// | [`Leading`] | the step numbers 0, T/n, 2T/n, … and `offset`: times `(i ⌊T/n⌋ + offset + 1)/T`, below 1 but for large offsets |
/// | [`Linspace`] | step numbers even from 0 to T − 1, rounded |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Leading {
    /// T.
    pub steps: usize,
    /// Added to each step number: 1 for the models of Stable Diffusion.
    pub offset: usize,
}
impl Default for Leading {
    fn default() -> Self {
        Self { steps: 1000, offset: 0 }
    }
}
impl Spacing for Leading {
    fn at(&self, u: f64) -> f64 {
        super::Steps(self.steps).at(u)
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        let stride = (self.steps / n).max(1);
        let n = n.min(self.steps);
        let number = |i: usize| (i * stride + self.offset + 1).min(self.steps);
        (0..n).rev().map(|i| number(i) as f64 / self.steps as f64).chain([0.0]).collect()
    }
    fn check(&self) -> Result<(), Error> {
        super::Steps(self.steps).check()
    }
}

/// Step numbers of a table even from 0 to T − 1, rounded; see [`Leading`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linspace {
    /// T.
    pub steps: usize,
}
impl Default for Linspace {
    fn default() -> Self {
        Self { steps: 1000 }
    }
}
impl Spacing for Linspace {
    fn at(&self, u: f64) -> f64 {
        super::Steps(self.steps).at(u)
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        let stride = if n > 1 { (self.steps - 1) as f64 / (n - 1) as f64 } else { 0.0 };
        // One step alone starts from the noise.
        let number = |i: usize| if n == 1 { self.steps as f64 } else { (i as f64 * stride).round_ties_even() + 1.0 };
        (0..n).rev().map(|i| number(i) / self.steps as f64).chain([0.0]).collect()
    }
    fn check(&self) -> Result<(), Error> {
        super::Steps(self.steps).check()
    }
}

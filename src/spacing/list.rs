//! Lists of timesteps.
use super::Spacing;
use crate::{error::Error, schedule::Schedule};

/// A list of timesteps of equal probability.
///
/// ```
/// use tweedie::spacing::{TimestepList, Spacing};
/// let four = TimestepList::new(vec![0.1, 0.4, 0.7, 1.0])?;
/// assert_eq!(four.grid(4), [1.0, 0.7, 0.4, 0.1, 0.0]);
/// assert_eq!(four.grid(2), [1.0, 0.4, 0.0]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TimestepList(Vec<f64>);
impl TimestepList {
    /// The list of these times, in any order. A grid ends at 0 in any case.
    ///
    /// # Errors
    ///
    /// If no time is in (0, 1], or one lies outside of [0, 1].
    pub fn new(mut times: Vec<f64>) -> Result<Self, Error> {
        if let Some(t) = times.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            return Err(Error::invalid(format!("must be in [0, 1], got {t}")).with_field("times"));
        }
        times.retain(|&t| t > 0.0);
        times.sort_by(f64::total_cmp);
        times.dedup();
        if times.is_empty() {
            return Err(Error::invalid("must have at least one time above 0").with_field("times"));
        }
        Ok(Self(times))
    }

    /// The times at which a schedule has the noise levels `σ/α`; levels outside the schedule's range are clamped to its ends.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if a level is below 0 or not finite.
    pub fn levels(levels: &[f64], schedule: &dyn Schedule) -> Result<Self, Error> {
        if let Some(level) = levels.iter().find(|level| !(**level >= 0.0 && level.is_finite())) {
            return Err(Error::invalid(format!("must be finite noise levels σ/α of at least 0, got {level}"))
                .with_field("levels"));
        }
        Self::new(levels.iter().map(|level| schedule.time_at_log_snr(-2.0 * level.ln()).clamp(0.0, 1.0)).collect())
    }

    /// OpenAI's timestep respacing: `counts[i]` steps of the i-th of as many equal sections of a table of T steps, so that all
    /// timesteps are among those that the network was trained on.
    ///
    /// Within a section of n steps the numbers are `⌊i (n − 1)/(count − 1)⌉`.
    ///
    /// Nichol and Dhariwal (2021), section 4, <https://arxiv.org/abs/2102.09672>.
    ///
    /// # Errors
    ///
    /// If a section has fewer steps than its count.
    #[doc(alias = "space_timesteps")]
    pub fn sections(steps: usize, counts: &[usize]) -> Result<Self, Error> {
        Self::new(sections(steps, counts)?.into_iter().map(|i| (i as f64 + 1.0) / steps as f64).collect())
    }
}

/// The step numbers of [`TimestepList::sections`], from 0.
fn sections(steps: usize, counts: &[usize]) -> Result<Vec<usize>, Error> {
    let (size, extra) = (steps / counts.len().max(1), steps % counts.len().max(1));
    let (mut all, mut start) = (vec![], 0);
    for (i, &count) in counts.iter().enumerate() {
        let size = size + usize::from(i < extra);
        if size < count {
            return Err(Error::invalid(format!(
                "must not ask for more steps than a section has, got {count} for section {i} of {size} steps"
            ))
            .with_field("counts"));
        }
        let stride = if count > 1 { (size - 1) as f64 / (count - 1) as f64 } else { 1.0 };
        // Strides are summed up as in the source: the rounding of the sum decides the ties.
        let places = std::iter::successors(Some(0.0), |place| Some(place + stride)).take(count);
        all.extend(places.map(|place: f64| start + place.round_ties_even() as usize));
        start += size;
    }
    Ok(all)
}

impl Spacing for TimestepList {
    fn quantile(&self, u: f64) -> f64 {
        let i = (u * self.0.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        self.0[i.min(self.0.len()) - 1]
    }
}

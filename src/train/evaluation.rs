//! The objective on held-out data.
use super::Trainer;
use crate::{
    data::Data,
    net::{Condition, Net},
    noise::Corruption,
    rng::Rng,
    transform::Transform,
};

/// The objective of a model on held-out data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOutLoss {
    /// The mean objective.
    pub loss: f64,
    /// The mean within equal ranges of time, from little noise to much; `None` if no timestep lies in the range.
    pub by_time: [Option<f64>; Self::RANGES],
}
impl HeldOutLoss {
    /// The number of ranges of time.
    pub const RANGES: usize = 4;
}

impl<const D: usize, N: Net<D>, T: Transform<D>> Trainer<'_, D, N, T> {
    /// Evaluates the mean objective of the [model to sample from](Trainer::model) on the first `rows` rows of other data, with the
    /// same timesteps and the same noise on every call. Without conditions if the model was never trained with them
    /// (`cond_dropout = 1`). Noise is offset and paired with data as in training, in batches of as many rows; the input is not
    /// perturbed. The precision is that of training.
    ///
    /// # Panics
    ///
    /// If the data are of another shape than those that the model is trained on, or have a class that the net does not have.
    #[doc(alias("validation_step", "validate"))]
    pub fn evaluate(&self, data: &dyn Data<T::Raw, N::Condition>, rows: usize) -> HeldOutLoss {
        let (model, device) = (self.model().with_precision(self.settings.precision), self.device.clone().inner());
        let rng = Rng::new(self.settings.seed).stream("evaluate");
        let rows: Vec<usize> = (0..rows.min(data.len())).collect();
        let part = (self.settings.batch / self.settings.accumulate).max(1);
        let mut sums = [(0.0, 0); HeldOutLoss::RANGES];
        for (i, rows) in rows.chunks(part).enumerate() {
            let rng = rng.at_step(i as u64);
            let (raw, y) = data.batch(rows, &rng.stream("data"), &device);
            let y = if self.settings.cond_dropout == 1.0 { y.without(&vec![true; rows.len()]) } else { y };
            let t = self.times.sample(rows.len(), &mut rng.stream("times"));
            let settings = &self.settings;
            let pairs = settings
                .corrupts()
                .then(|| settings.pairs::<D, N, T>(&self.model.transform, data, rows, &rng, &device));
            let corruption = pairs.as_ref().map(|pairs| Corruption {
                rng: &rng,
                rows: pairs,
                noise_offset: settings.noise_offset,
                input_perturbation: 0.0,
            });
            let losses = model.losses_of(raw, &t, &y, &self.objective, &rng, false, corruption.as_ref());
            let losses = losses.total().try_into_vec_as::<f64>().expect("a tensor can be read back");
            for (t, loss) in t.iter().zip(losses) {
                let (sum, count) = &mut sums[((t * HeldOutLoss::RANGES as f64) as usize).min(HeldOutLoss::RANGES - 1)];
                (*sum, *count) = (*sum + loss, *count + 1);
            }
        }
        HeldOutLoss {
            loss: sums.iter().map(|(sum, _)| sum).sum::<f64>() / rows.len().max(1) as f64,
            by_time: sums.map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))),
        }
    }
}

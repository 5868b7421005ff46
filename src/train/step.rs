//! One optimizer step.
use super::{Parameters, Train, Trainer, parameters::finite};
use crate::{
    Precision,
    data::Data,
    error::{Error, ErrorKind, Result},
    loss::Objective,
    model::{Losses, Model},
    net::{self, Condition, Net},
    noise::Corruption,
    rng::Rng,
    spacing::WeightedTimes,
    transform::Transform,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use tweedie_kernels::ops;

/// The measurements of one optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Number of steps done, this one included.
    #[doc(alias = "global_step")]
    pub step: u64,
    /// Number of passes over the data, as a fraction.
    pub epoch: f64,
    /// The mean objective of the batch.
    pub loss: f64,
    /// Its weighted terms.
    pub terms: Vec<f64>,
    /// The norm of the gradient before clipping.
    #[serde(alias = "gradient")]
    pub grad_norm: f64,
    /// The learning rate.
    #[doc(alias = "learning_rate")]
    #[serde(alias = "rate")]
    pub lr: f64,
}

/// All that the loss of a step is computed from except the model, which threads cannot share.
struct StepBatch<'a, const D: usize, R, Y> {
    step: u64,
    data: &'a dyn Data<R, Y>,
    objective: Objective<D>,
    device: Device,
    rng: Rng,
    rows: Vec<usize>,
    times: WeightedTimes,
    dropped: Vec<bool>,
    /// Of the parts of the condition that are dropped one by one, those of the batch.
    dropped_parts: Vec<(String, Vec<bool>)>,
    /// Offset and perturbation of the noise, and the number of the noise that each row receives; `None` if it is independent and
    /// standard normal.
    corrupted: Option<(f64, f64, Vec<usize>)>,
    /// The factor of the loss, in f16.
    loss_scale: Option<f64>,
}

/// A share of the batch: its terms, its gradient and, if the timesteps are importance-sampled, the loss of each row.
struct Share<const D: usize> {
    terms: Vec<f64>,
    gradient: Parameters,
    losses: Vec<f64>,
    /// On a device whose numbers are read once a step: what terms and losses are read from, per part of the batch.
    unread: Vec<Unread<D>>,
}
impl<const D: usize> Share<D> {
    fn add(mut self, other: Self) -> Self {
        self.terms.iter_mut().zip(other.terms).for_each(|(sum, term)| *sum += term);
        self.losses.extend(other.losses);
        self.unread.extend(other.unread);
        Self { gradient: self.gradient.add(other.gradient), ..self }
    }
}

/// Terms and losses of a part of the batch that are still on the device, and what they come from.
struct Unread<const D: usize> {
    /// The sum of each term.
    terms: Vec<Tensor<1>>,
    /// The loss of each row.
    losses: Option<Tensor<1>>,
    sources: Losses<D>,
}

impl<const D: usize, N: Net<D>, T: Transform<D>> Iterator for Trainer<'_, D, N, T> {
    type Item = Result<Step>;
    fn next(&mut self) -> Option<Self::Item> {
        let step = (self.done < self.settings.steps).then(|| self.step())?;
        Some(step.map_err(|error| match (self.settings.precision, error.kind()) {
            (Precision::F16, ErrorKind::NotFinite) => {
                error.with_remedy("numbers above 65504 are infinite in f16: train in bf16")
            }
            _ => error,
        }))
    }
}

impl<'a, const D: usize, N: Net<D>, T: Transform<D>> Trainer<'a, D, N, T> {
    /// One optimizer step:
    ///
    /// ```text
    /// rows, t, dropped conditions ~ (seed, step),   noise paired with rows
    /// g ← Σ ∇ loss of each share of the batch
    /// g ← g · min(1, clip/‖g‖)
    /// weights ← AdamW(weights, g, lr),   average ← ema_decay · average + (1 − ema_decay) · weights
    /// ```
    fn step(&mut self) -> Result<Step> {
        let (batch, share) = loop {
            let batch = self.draw_batch();
            let share = self.accumulate(&batch)?;
            if let Some(share) = self.unscaled(share) {
                break (batch, share);
            }
        };
        let lr = self.settings.lr_at(self.done);
        let (terms, losses, grad_norm) = match self.packed.take() {
            None => (share.terms, share.losses, self.update(share.gradient, lr)?),
            Some(weights) => self.update_on_device(weights, share, batch.rows.len() as f64, lr)?,
        };
        self.history.record(&batch.times.strata, &losses);
        self.done += 1;
        let epoch = (self.done * self.settings.batch as u64) as f64 / self.data.len() as f64;
        Ok(Step { step: self.done, epoch, loss: terms.iter().sum(), terms, grad_norm, lr })
    }

    fn draw_batch(&mut self) -> StepBatch<'a, D, T::Raw, N::Condition> {
        let rng = Rng::new(self.settings.seed).stream("train").at_step(self.done);
        let rows = self.rows(self.done);
        let times = self.times.sample_weighted(rows.len(), &mut rng.stream("times"), &self.history);
        let uniforms = rng.stream("drop").uniforms(rows.len(), 1);
        let dropped = uniforms.into_iter().map(|u| u < self.settings.cond_dropout).collect();
        let part = |(name, p): (&String, &f64)| {
            let uniforms = rng.stream("drop").stream(name).uniforms(rows.len(), 1);
            (name.clone(), uniforms.into_iter().map(|u| u < *p).collect())
        };
        let dropped_parts = self.settings.cond_dropouts.iter().map(part).collect();
        let (objective, device) = (self.objective.clone(), self.device.clone());
        let corrupted = self.settings.corrupts().then(|| {
            let settings = &self.settings;
            let pairs = settings.pairs::<D, N, T>(&self.model.transform, self.data, &rows, &rng, &self.device);
            (settings.noise_offset, settings.input_perturbation, pairs)
        });
        StepBatch {
            step: self.done,
            data: self.data,
            objective,
            device,
            rng,
            rows,
            times,
            dropped,
            dropped_parts,
            corrupted,
            loss_scale: self.loss_scale.map(|scale| scale.factor),
        }
    }

    /// A share without the [factor of the loss](super::LossScale); `None` if its gradient was too large, and the step is to be
    /// computed again.
    fn unscaled(&mut self, share: Share<D>) -> Option<Share<D>> {
        let Some(scale) = &mut self.loss_scale else { return Some(share) };
        let (factor, finite) = (scale.factor, share.gradient.norm().is_finite());
        if !finite && scale.halve() {
            return None;
        }
        if finite {
            scale.grow();
        }
        Some(Share { gradient: share.gradient.map(|g| g / factor), ..share })
    }

    /// The rows of the data of a step: a new permutation of the data for each epoch, without gaps.
    fn rows(&mut self, step: u64) -> Vec<usize> {
        let (n, batch) = (self.data.len() as u64, self.settings.batch as u64);
        let rng = Rng::new(self.settings.seed).stream("order");
        (step * batch..(step + 1) * batch)
            .map(|place| {
                let (epoch, row) = (place / n, (place % n) as usize);
                if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
                    self.order = Some((epoch, rng.at_step(epoch).permutation(n as usize)));
                }
                self.order.as_ref().expect("just made").1[row]
            })
            .collect()
    }

    /// Sums the shares of the batch: part after part, the shards of a part on threads of their own, in their order whichever was
    /// ready first.
    fn accumulate(&self, batch: &StepBatch<D, T::Raw, N::Condition>) -> Result<Share<D>> {
        // Other devices compute a part as a whole: they are not faster with threads that share them.
        let (n, shards) = (batch.rows.len(), if self.packed.is_none() { self.settings.shards } else { 1 });
        let count = self.settings.accumulate * shards;
        let mut total: Option<Share<D>> = None;
        for part in 0..self.settings.accumulate {
            let shards: Vec<_> = (part * shards..(part + 1) * shards)
                .map(|shard| shard * n / count..(shard + 1) * n / count)
                .filter(|rows| !rows.is_empty())
                // Parameters of its own for each: backward passes through the same ones would wait for each other.
                .map(|rows| (rows, Module::train(self.model.valid())))
                .collect();
            let shards: Vec<_> = match self.draws {
                false => shards.into_par_iter().map(|(rows, model)| batch.loss_and_gradient(rows, &model)).collect(),
                true => shards.into_iter().map(|(rows, model)| batch.seeded(rows, &model)).collect(),
            };
            for share in shards {
                let share = share?;
                total = Some(match total {
                    Some(total) => total.add(share),
                    None => share,
                });
            }
        }
        Ok(total.expect("a batch has a row"))
    }

    /// Clips the gradient, then updates weights and average; returns the gradient's norm before clipping.
    fn update(&mut self, gradient: Parameters, lr: f64) -> Result<f64> {
        let (grad_norm, clip) = (gradient.norm(), self.settings.clip);
        if !grad_norm.is_finite() {
            let name = gradient.first_not_finite().unwrap_or("all parameters together");
            return Err(Error::not_finite(self.done + 1, format!("the gradient of {name}")));
        }
        let scale = if clip > 0.0 && grad_norm > clip { clip / grad_norm } else { 1.0 };
        let weights = Parameters::take(&mut self.model);
        let average = self.average.take().map(|average| (average, self.settings.ema_decay_at(self.done)));
        let (weights, average) = self.moments.step(&self.settings.adam, lr, weights, gradient, scale, average);
        self.average = average;
        self.model = weights.into_module(self.model.clone());
        Ok(grad_norm)
    }

    /// [`update`](Self::update) on a device: the update is queued before anything is read, then terms, losses and the gradient's norm
    /// are read at once. A step that is not finite changes neither weights nor moments nor average.
    fn update_on_device(
        &mut self,
        weights: Parameters,
        share: Share<D>,
        n: f64,
        lr: f64,
    ) -> Result<(Vec<f64>, Vec<f64>, f64)> {
        let average = self.average.take().map(|average| (average, self.settings.ema_decay_at(self.done)));
        let Train { adam, clip, .. } = &self.settings;
        let gradient = share.gradient.clone();
        let sums = share.unread.iter().flat_map(|part| part.terms.iter().cloned()).reduce(|a, b| a + b);
        let sum = sums.expect("a batch has a loss");
        let (weights, average, norm) = self.moments.clipped_step(adam, lr, weights, gradient, *clip, sum, average);
        (self.average, self.packed) = (average, Some(weights.clone()));
        self.model = weights.into_module(self.model.clone());
        let parts = share.unread.iter().flat_map(|part| part.terms.iter().chain(&part.losses));
        let mut numbers = read(Tensor::cat([&norm].into_iter().chain(parts).cloned().collect(), 0)).into_iter();
        let grad_norm = numbers.next().expect("the norm was read");
        let (mut terms, mut losses) = (vec![], vec![]);
        for part in &share.unread {
            let sums: Vec<f64> = numbers.by_ref().take(part.terms.len()).map(|sum| sum / n).collect();
            if !sums.iter().all(|term| term.is_finite()) {
                let name = first_not_finite(&self.model, &part.sources, &self.objective);
                return Err(Error::not_finite(self.done + 1, name));
            }
            losses.extend(numbers.by_ref().take(part.losses.as_ref().map_or(0, |losses| losses.dims()[0])));
            terms.resize(sums.len(), 0.0);
            terms.iter_mut().zip(sums).for_each(|(total, sum): (&mut f64, f64)| *total += sum);
        }
        if !grad_norm.is_finite() {
            let name = share.gradient.first_not_finite().unwrap_or("all parameters together");
            return Err(Error::not_finite(self.done + 1, format!("the gradient of {name}")));
        }
        Ok((terms, losses, grad_norm))
    }
}

impl<const D: usize, R: Clone + 'static, Y: Condition> StepBatch<'_, D, R, Y> {
    /// [`loss_and_gradient`](Self::loss_and_gradient) with the device's own generator seeded for this share.
    fn seeded<N, T>(&self, rows: Range<usize>, model: &Model<D, N, T>) -> Result<Share<D>>
    where
        N: Net<D, Condition = Y>,
        T: Transform<D, Raw = R>,
    {
        let rng = self.rng.stream("layers").at_step(rows.start as u64);
        net::with_generator(&rng, &self.device, || self.loss_and_gradient(rows, model))
    }

    /// The loss of some rows, as a share of the batch's mean, and its gradient.
    fn loss_and_gradient<N, T>(&self, rows: Range<usize>, model: &Model<D, N, T>) -> Result<Share<D>>
    where
        N: Net<D, Condition = Y>,
        T: Transform<D, Raw = R>,
    {
        let (n, rng) = (self.rows.len() as f64, self.rng.from_row(rows.start as u64));
        let (raw, y) = self.data.batch(&self.rows[rows.clone()], &rng.stream("data"), &self.device);
        model.net.check_condition(&y, rows.len())?;
        let y = self.dropped_parts.iter().fold(y, |y, (name, drop)| y.without_named(name, &drop[rows.clone()]));
        let y = y.without(&self.dropped[rows.clone()]);
        let t = &self.times.times[rows.clone()];
        let corruption = self.corrupted.as_ref().map(|(noise_offset, input_perturbation, pairs)| Corruption {
            rng: &self.rng,
            rows: &pairs[rows.clone()],
            noise_offset: *noise_offset,
            input_perturbation: *input_perturbation,
        });
        let mut losses = model.losses_of(raw, t, &y, &self.objective, &rng, true, corruption.as_ref());
        let unweighted = (!self.times.strata.is_empty()).then(|| losses.total());
        if let Some(weights) = &self.times.weights {
            let weights = TensorData::new(weights[rows.clone()].to_vec(), [rows.len()]);
            let weights = Tensor::<1>::from_data(weights, (&self.device, losses.terms[0].dtype()));
            losses.terms.iter_mut().for_each(|term| *term = term.clone() * weights.clone());
        }
        let sum = |term: &Tensor<1>| term.clone().inner().sum();
        let (mut terms, mut read_losses, mut unread) = (vec![], vec![], vec![]);
        if ops::is_host(&self.device) {
            read_losses = unweighted.map_or(vec![], |losses| read(losses.inner()));
            terms = losses.terms.iter().map(|term| f64::from(sum(term).into_scalar::<f32>()) / n).collect();
            if !terms.iter().all(|term: &f64| term.is_finite()) {
                return Err(Error::not_finite(self.step + 1, first_not_finite(model, &losses, &self.objective)));
            }
        } else {
            let unweighted = unweighted.map(Tensor::inner);
            unread.push(Unread {
                terms: losses.terms.iter().map(sum).collect(),
                losses: unweighted,
                sources: losses.untracked(),
            });
        }
        let mean = losses.total().sum() / n;
        let scaled = match self.loss_scale {
            Some(factor) => mean * factor,
            None => mean,
        };
        let mut gradients = scaled.backward();
        Ok(Share { terms, gradient: Parameters::gradients(model, &mut gradients), losses: read_losses, unread })
    }
}

fn read(x: Tensor<1>) -> Vec<f64> {
    x.try_into_vec_as().expect("a tensor can be read back")
}

/// Names the tensor in which a value that is not finite arose first.
fn first_not_finite<const D: usize, N: Net<D>, T: Transform<D>>(
    model: &Model<D, N, T>,
    losses: &Losses<D>,
    objective: &Objective<D>,
) -> String {
    if let Some(name) = Parameters::of(model).first_not_finite() {
        return format!("the parameter {name}");
    }
    let losses = losses.untracked();
    for (tensor, name) in
        [(losses.x, "the data x"), (losses.z, "the noisy data x_t"), (losses.output, "the output of the network")]
    {
        if !finite(tensor) {
            return name.into();
        }
    }
    for (term, (_, loss)) in losses.terms.into_iter().zip(objective.terms()) {
        if !finite(term) {
            return format!("the loss {loss:?}");
        }
    }
    "the mean of the losses".into()
}

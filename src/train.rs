//! Training: an iterator over steps that can be looked into, sampled from, stopped and resumed to the last bit.
//!
//! All randomness of step k comes from `(seed, purpose, k)`, so the state of a run is its weights, their averages, the
//! optimiser's moments, the number k and, where the times are drawn by them, the last losses.
use crate::{
    data::Data,
    error::Error,
    loss::Objective,
    model::{Losses, Model, times},
    net::{Condition, Net},
    rng::Rng,
    spacing::{Memory, Spacing},
    transform::{Identity, Transform},
};
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod checkpoint;
mod names;
mod optimizer;
mod parameters;
pub use checkpoint::{Checkpoint, write_atomically};
pub use optimizer::{AdamW, Moments};
pub use parameters::Parameters;

/// How to train: `[train]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Steps of the optimiser in all.
    pub steps: u64,
    /// Samples a step, over all accumulated parts.
    pub batch: usize,
    /// Parts a batch is computed in, to save memory: the gradient is that of the whole batch.
    pub accumulate: usize,
    /// Pieces that a part is cut into, each computed on a thread of its own. Not taken from the machine, because the
    /// gradient is rounded piece by piece: the same number of pieces gives the same bits on any machine.
    pub shards: usize,
    /// Learning rate after the warm-up.
    pub rate: f64,
    /// Steps over which the rate rises from 0.
    pub warmup: u64,
    /// How the rate falls after the warm-up.
    pub decay: Decay,
    /// The optimiser's constants.
    pub adam: AdamW,
    /// The norm that a gradient over all parameters is scaled down to; 0 leaves it.
    pub clip: f64,
    /// Decay of the exponential moving average of the weights, which sampling uses; 0 keeps none.
    pub ema: f64,
    /// Probability with which a sample's condition is left out, for classifier-free guidance.
    pub drop: f64,
    /// Seed of everything random.
    pub seed: u64,
}
impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 64,
            accumulate: 1,
            shards: 2,
            rate: 1e-3,
            warmup: 100,
            decay: Decay::Constant,
            adam: AdamW::default(),
            clip: 1.0,
            ema: 0.999,
            drop: 0.1,
            seed: 0,
        }
    }
}

/// The course of the learning rate after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// It stays.
    #[default]
    Constant,
    /// It falls to 0 along half a cosine.
    Cosine,
    /// It falls to 0 along a line.
    Linear,
}

impl Train {
    /// The learning rate of step `step` (from 0).
    pub fn rate_at(&self, step: u64) -> f64 {
        let warm = if self.warmup == 0 { 1.0 } else { ((step + 1) as f64 / self.warmup as f64).min(1.0) };
        let left = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = (step.saturating_sub(self.warmup) as f64 / left).min(1.0);
        self.rate
            * warm
            * match self.decay {
                Decay::Constant => 1.0,
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                Decay::Linear => 1.0 - done,
            }
    }

    /// The decay of the moving average at step `step` (from 0): `min(ema, (1 + step)/(10 + step))`, so that an average
    /// of few steps forgets the start.
    pub fn ema_at(&self, step: u64) -> f64 {
        self.ema.min((1.0 + step as f64) / (10.0 + step as f64))
    }

    /// Whether the settings can be used.
    ///
    /// # Errors
    ///
    /// The first that cannot, and what it may be.
    pub fn check(&self) -> Result<(), Error> {
        let rule = |holds: bool, what: String| if holds { Ok(()) } else { Err(Error::invalid(what)) };
        rule(self.batch > 0, "`batch` is the number of samples a step and must be 1 or more".into())?;
        rule(
            self.accumulate > 0 && self.batch.is_multiple_of(self.accumulate),
            format!(
                "`accumulate` cuts a batch into equal parts, but {} does not divide {}",
                self.accumulate, self.batch
            ),
        )?;
        rule(self.shards > 0, "`shards` is a number of pieces computed at the same time and must be 1 or more".into())?;
        rule(
            self.rate > 0.0 && self.rate.is_finite(),
            format!("`rate` is a positive learning rate, not {}", self.rate),
        )?;
        rule((0.0..1.0).contains(&self.ema), format!("`ema` is a decay in [0, 1), not {}", self.ema))?;
        rule((0.0..=1.0).contains(&self.drop), format!("`drop` is a probability, not {}", self.drop))?;
        rule(self.clip >= 0.0, format!("`clip` is a norm, 0 or more, not {}", self.clip))?;
        self.adam.check()
    }
}

/// What happened in a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How many steps have been done, this one included.
    pub step: u64,
    /// How many times the data have been seen.
    pub epoch: f64,
    /// The mean objective of the batch.
    pub loss: f64,
    /// Its weighted terms.
    pub terms: Vec<f64>,
    /// The norm of the gradient before clipping.
    pub gradient: f64,
    /// The learning rate.
    pub rate: f64,
}

/// How well a model does on data that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The mean objective.
    pub loss: f64,
    /// The mean within even ranges of time, from little noise to much; none where no time fell.
    pub by_time: [Option<f64>; Self::RANGES],
}
impl Evaluation {
    /// The number of ranges of time.
    pub const RANGES: usize = 4;
}

/// A run of training: an iterator that takes a step for each item.
///
/// ```no_run
/// # use tweedie::{data::Samples, loss::Simple, model::Model, net::Net, noise::*, schedule::*, train::Train};
/// # fn example<N: Net<4, Condition = tweedie::net::Classes>>(net: N, digits: Samples<4>) -> tweedie::Result<()> {
/// let model = Model::new(Gaussian::new(Cosine::new(1000)), net);
/// let mut trainer = model.train(&digits, Simple, Train::default())?;
/// while let Some(step) = trainer.next() {
///     let step = step?;
///     if step.step % 100 == 0 {
///         println!("{} {:.4}", step.step, step.loss); // trainer.model() can be sampled from here
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a, const D: usize, N: Net<D>, T: Transform<D> = Identity> {
    model: Model<D, N, T>,
    data: &'a dyn Data<T::Raw, N::Condition>,
    objective: Objective<D>,
    times: Arc<dyn Spacing>,
    seen: Memory,
    settings: Train,
    device: Device,
    moments: Moments,
    average: Option<Parameters>,
    done: u64,
    order: Option<(u64, Vec<usize>)>,
}

impl<'a, const D: usize, N: Net<D>, T: Transform<D>> Trainer<'a, D, N, T> {
    /// A run at its start.
    ///
    /// # Errors
    ///
    /// If the parts do not fit.
    pub fn new(
        model: Model<D, N, T>,
        data: &'a dyn Data<T::Raw, N::Condition>,
        objective: Objective<D>,
        settings: Train,
    ) -> Result<Self, Error> {
        settings.check()?;
        model.noise().check()?;
        objective.check(&**model.noise())?;
        objective.check_transform(model.transform.as_any())?;
        if data.is_empty() {
            return Err(Error::invalid("there are no data to train on"));
        }
        let times = times(&**model.noise());
        let model = Module::train(model);
        let device = model.devices().first().cloned().unwrap_or_default();
        let parameters = Parameters::of(&model);
        let moments = Moments::new(&parameters);
        let average = (settings.ema > 0.0).then_some(parameters);
        let seen = times.memory();
        Ok(Self { model, data, objective, times, seen, settings, device, moments, average, done: 0, order: None })
    }

    /// With other training times than those the noise suggests (its table's steps, or even times from 1e-3).
    pub fn with_times(self, times: Arc<dyn Spacing>) -> Self {
        Self { seen: times.memory(), times, ..self }
    }

    /// How many steps have been done.
    pub fn done(&self) -> u64 {
        self.done
    }
    /// The settings.
    pub fn settings(&self) -> &Train {
        &self.settings
    }

    /// The model to sample from: with averaged weights where there are any.
    pub fn model(&self) -> Model<D, N, T> {
        let model = self.model.valid();
        match &self.average {
            Some(average) => average.clone().into_module(model),
            None => model,
        }
    }

    /// The model as it is trained.
    pub fn raw_model(&self) -> Model<D, N, T> {
        self.model.valid()
    }

    /// The mean objective of the model to sample from on the first `rows` rows of other data, at even times and with the
    /// same noise whenever it is asked.
    pub fn evaluate(&self, data: &dyn Data<T::Raw, N::Condition>, rows: usize) -> Evaluation {
        let (model, device) = (self.model(), self.device.clone().inner());
        let rng = Rng::new(self.settings.seed).stream("evaluate");
        let rows: Vec<usize> = (0..rows.min(data.len())).collect();
        let part = (self.settings.batch / self.settings.accumulate).max(1);
        let mut sums = [(0.0, 0); Evaluation::RANGES];
        for (i, rows) in rows.chunks(part).enumerate() {
            let rng = rng.at(i as u64);
            let (raw, y) = data.batch(rows, &rng.stream("data"), &device);
            let t = self.times.draw(rows.len(), &mut rng.stream("times"));
            let losses = model.losses(raw, &t, &y, &self.objective, &rng, false);
            let losses = losses.total().try_into_vec_as::<f64>().expect("a tensor can be read back");
            for (t, loss) in t.iter().zip(losses) {
                let (sum, count) = &mut sums[((t * Evaluation::RANGES as f64) as usize).min(Evaluation::RANGES - 1)];
                (*sum, *count) = (*sum + loss, *count + 1);
            }
        }
        Evaluation {
            loss: sums.iter().map(|(sum, _)| sum).sum::<f64>() / rows.len().max(1) as f64,
            by_time: sums.map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))),
        }
    }

    /// How far the averaged weights lag behind those that are trained: `‖average − weights‖ / ‖weights‖`; none without an
    /// average.
    pub fn lag(&self) -> Option<f64> {
        let weights = Parameters::of(&self.model);
        let gap = self.average.clone()?.add(weights.clone().map(Tensor::neg));
        Some(gap.norm() / weights.norm().max(f64::MIN_POSITIVE))
    }

    /// All that is needed to go on from here.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            step: self.done,
            seed: self.settings.seed,
            weights: Parameters::of(&self.model),
            average: self.average.clone(),
            moments: self.moments.clone(),
            losses: self.seen.numbers().to_vec(),
        }
    }

    /// Goes on from a checkpoint: N steps, [`checkpoint`](Self::checkpoint), `restore`, M steps give the same bits as
    /// N + M steps.
    ///
    /// # Errors
    ///
    /// If it is of another net, seed or kind of average, with the first parameter that differs.
    pub fn restore(mut self, checkpoint: Checkpoint) -> Result<Self, Error> {
        let own = Parameters::of(&self.model);
        let checkpoint = checkpoint.renamed_as(&own);
        own.same_as(&checkpoint.weights)?;
        if checkpoint.seed != self.settings.seed {
            return Err(Error::invalid(format!(
                "the checkpoint belongs to a run of seed {}, and this one has seed {}: resume with the seed it began with",
                checkpoint.seed, self.settings.seed
            )));
        }
        if checkpoint.average.is_some() != self.average.is_some() {
            return Err(Error::invalid(
                "the checkpoint and the settings disagree on whether the weights are averaged (`ema`): resume with the \
                 setting it began with",
            ));
        }
        self.seen = self.seen.with_numbers(checkpoint.losses)?;
        let inner = self.device.clone().inner();
        self.model = checkpoint.weights.to_device(&inner).into_module(self.model);
        self.average = checkpoint.average.map(|average| average.to_device(&inner));
        self.moments = checkpoint.moments.to_device(&inner);
        self.done = checkpoint.step;
        Ok(self)
    }

    /// The rows of the data that step `step` sees: the data in an order drawn anew for each epoch, without gaps.
    fn rows(&mut self, step: u64) -> Vec<usize> {
        let (n, batch) = (self.data.len() as u64, self.settings.batch as u64);
        let rng = Rng::new(self.settings.seed).stream("order");
        (step * batch..(step + 1) * batch)
            .map(|place| {
                let (epoch, row) = (place / n, (place % n) as usize);
                if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
                    self.order = Some((epoch, rng.at(epoch).permutation(n as usize)));
                }
                self.order.as_ref().expect("just made").1[row]
            })
            .collect()
    }

    fn step(&mut self) -> Result<Step, Error> {
        let step = self.done;
        let rng = Rng::new(self.settings.seed).stream("train").at(step);
        let rows = self.rows(step);
        let drawn = self.times.draw_weighted(rows.len(), &mut rng.stream("times"), &self.seen);
        let drops = rng.stream("drop").uniforms(rows.len(), 1);
        let Self { data, objective, device, settings, model, .. } = &*self;
        let (parts, n) = (settings.accumulate * settings.shards, rows.len());

        // The terms, the gradient and, where they are remembered, the losses of one piece. Its model has parameters of its own: backward passes through the same
        // ones would wait for each other.
        let compute = |part: usize, model: Model<D, N, T>| -> Result<(Vec<f64>, Parameters, Vec<f64>), Error> {
            let range = part * n / parts..(part + 1) * n / parts;
            let rng = rng.from_row(range.start as u64);
            let (raw, y) = data.batch(&rows[range.clone()], &rng.stream("data"), device);
            let drop: Vec<bool> = drops[range.clone()].iter().map(|u| *u < settings.drop).collect();
            let y = y.without(&drop);
            let mut losses = model.losses(raw, &drawn.times[range.clone()], &y, objective, &rng, true);
            let mut seen = vec![];
            if !drawn.strata.is_empty() {
                seen = losses.total().inner().try_into_vec_as::<f64>().expect("a tensor can be read back");
            }
            if let Some(weights) = &drawn.weights {
                let weights = TensorData::new(weights[range.clone()].to_vec(), [range.len()]);
                let weights = Tensor::<1>::from_data(weights, (device, losses.terms[0].dtype()));
                losses.terms.iter_mut().for_each(|term| *term = term.clone() * weights.clone());
            }
            let mean = |term: &Tensor<1>| f64::from(term.clone().inner().sum().into_scalar::<f32>()) / n as f64;
            let terms: Vec<f64> = losses.terms.iter().map(mean).collect();
            if !terms.iter().all(|term| term.is_finite()) {
                let place = first_not_finite(&model, &losses, objective);
                return Err(Error::not_finite(step + 1, place));
            }
            let mut gradients: Gradients = (losses.total().sum() / n as f64).backward();
            Ok((terms, Parameters::gradients(&model, &mut gradients), seen))
        };

        let mut gradient: Option<Parameters> = None;
        let mut terms = vec![0.0; objective.terms().len()];
        let mut seen = vec![];
        for part in 0..settings.accumulate {
            let shards: Vec<_> = (part * settings.shards..(part + 1) * settings.shards)
                .filter(|shard| shard * n / parts < (shard + 1) * n / parts)
                .map(|shard| (shard, Module::train(model.valid())))
                .collect();
            let shards: Vec<_> = shards.into_par_iter().map(|(shard, model)| compute(shard, model)).collect();
            // In their order, whichever was ready first.
            for shard in shards {
                let (new_terms, new, new_seen) = shard?;
                seen.extend(new_seen);
                terms.iter_mut().zip(new_terms).for_each(|(sum, term)| *sum += term);
                gradient = Some(match gradient {
                    Some(sum) => sum.add(new),
                    None => new,
                });
            }
        }
        let gradient = gradient.expect("there is one part at least");
        let norm = gradient.norm();
        if !norm.is_finite() {
            let name = gradient.first_not_finite().unwrap_or("all parameters together");
            return Err(Error::not_finite(step + 1, format!("the gradient of {name}")));
        }
        let clip = self.settings.clip;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let rate = self.settings.rate_at(step);
        let weights = Parameters::take(&mut self.model);
        let average = self.average.take().map(|average| (average, self.settings.ema_at(step)));
        let (weights, average) = self.moments.step(&self.settings.adam, rate, weights, gradient, scale, average);
        self.average = average;
        self.model = weights.into_module(self.model.clone());
        self.seen.note(&drawn.strata, &seen);
        self.done += 1;
        Ok(Step {
            step: self.done,
            epoch: (self.done * self.settings.batch as u64) as f64 / self.data.len() as f64,
            loss: terms.iter().sum(),
            terms,
            gradient: norm,
            rate,
        })
    }
}

/// Where a number that is not finite arose first.
fn first_not_finite<const D: usize, N: Net<D>, T: Transform<D>>(
    model: &Model<D, N, T>,
    losses: &Losses<D>,
    objective: &Objective<D>,
) -> String {
    let bad = |x: &Tensor<D>| !finite(x.clone().inner());
    if let Some(name) = Parameters::of(model).first_not_finite() {
        return format!("the parameter {name}");
    }
    for (tensor, name) in
        [(&losses.x, "the data x"), (&losses.z, "the noisy data x_t"), (&losses.output, "the output of the net")]
    {
        if bad(tensor) {
            return name.into();
        }
    }
    for (term, (_, loss)) in losses.terms.iter().zip(objective.terms()) {
        if !finite(term.clone().inner()) {
            return format!("the loss {loss:?}");
        }
    }
    "the mean of the losses".into()
}

/// Whether every number is finite.
fn finite<const D: usize>(x: Tensor<D>) -> bool {
    x.is_finite().all().into_scalar::<bool>()
}

impl<const D: usize, N: Net<D>, T: Transform<D>> Iterator for Trainer<'_, D, N, T> {
    type Item = Result<Step, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        (self.done < self.settings.steps).then(|| self.step())
    }
}

impl<const D: usize, N: Net<D> + ModuleDisplay, T: Transform<D>> std::fmt::Debug for Trainer<'_, D, N, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("model", &self.model)
            .field("done", &self.done)
            .field("settings", &self.settings)
            .finish()
    }
}

//! The state of a training run.
use super::{Checkpoint, LossScale, Moments, Parameters, Train, probe::probe};
use crate::{
    Precision,
    data::Data,
    error::{Error, Result},
    loss::Objective,
    model::Model,
    net::{self, Net},
    rng::Rng,
    spacing::{LossHistory, Spacing, training_times},
    transform::{Identity, Transform},
};
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Device, Tensor},
};
use std::sync::Arc;
use tweedie_kernels::ops;

/// A training run: an iterator that takes one optimizer step per item.
///
/// ```no_run
/// # use tweedie::{data::Samples, loss::Simple, model::Model, net::Net, noise::*, schedule::*, train::Train};
/// # fn example<N: Net<4, Condition = tweedie::condition::Conditions>>(net: N, digits: Samples<4>) -> tweedie::Result<()> {
/// let model = Model::new(Gaussian::new(Cosine::new(1000)), net)?;
/// let mut trainer = model.train(&digits, Simple {}, Train::default())?;
/// while let Some(step) = trainer.next().transpose()? {
///     if step.step % 100 == 0 {
///         println!("{} {:.4}", step.step, step.loss); // trainer.model() can be sampled from here
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a, const D: usize, N: Net<D>, T: Transform<D> = Identity> {
    pub(super) model: Model<D, N, T>,
    pub(super) data: &'a dyn Data<T::Raw, N::Condition>,
    pub(super) objective: Objective<D>,
    pub(super) times: Arc<dyn Spacing>,
    pub(super) history: LossHistory,
    pub(super) settings: Train,
    /// That of the model outside of training.
    pub(super) precision: Precision,
    pub(super) device: Device,
    /// The weights in one buffer, of which the model's are views; `None` on the processor.
    pub(super) packed: Option<Parameters>,
    /// The factor of the loss, in f16.
    pub(super) loss_scale: Option<LossScale>,
    pub(super) moments: Moments,
    pub(super) average: Option<Parameters>,
    pub(super) done: u64,
    /// Whether the network draws from the device's own generator in training, as dropout of `burn::nn` does: then that generator is
    /// seeded for each share of the batch, and the shares are computed one after the other.
    pub(super) draws: bool,
    /// The permutation of an epoch.
    pub(super) order: Option<(u64, Vec<usize>)>,
}

impl<const D: usize, N: Net<D>, T: Transform<D>> Model<D, N, T> {
    /// Starts training: an iterator over optimizer steps, [`Trainer::new`].
    ///
    /// # Errors
    ///
    /// If the parts do not fit, as those of [`Trainer::new`].
    #[doc(alias = "fit")]
    pub fn train<'a, Q: Data<T::Raw, N::Condition>>(
        self,
        data: &'a Q,
        objective: impl Into<Objective<D>>,
        settings: Train,
    ) -> Result<Trainer<'a, D, N, T>> {
        Trainer::new(self, data, objective.into(), settings)
    }
}

impl<'a, const D: usize, N: Net<D>, T: Transform<D>> Trainer<'a, D, N, T> {
    /// A run before its first step.
    ///
    /// The first rows of the data are passed through the model once, as in training, so that parts which do not fit are refused here;
    /// this takes no random number of the run. Parameters that have not been used yet are initialized from the seed
    /// ([`seeded`](net::seeded)).
    ///
    /// # Errors
    ///
    /// If the parts do not fit: a loss that is not defined for the noise, settings out of range, a precision that the device does not
    /// have, no data, data of another shape than the net's, a class without an embedding, an output of another shape than the noise
    /// reads, or no parameter to train.
    pub fn new(
        model: Model<D, N, T>,
        data: &'a dyn Data<T::Raw, N::Condition>,
        objective: Objective<D>,
        settings: Train,
    ) -> Result<Self> {
        settings.check()?;
        settings.check_noise(&**model.noise())?;
        objective.check(&**model.noise())?;
        objective.check_transform(model.transform.as_any())?;
        if objective.learns_uncertainty() && model.uncertainty.is_none() {
            let problem = "the loss is weighted by a learned uncertainty, and the model has none to learn";
            return Err(Error::invalid(problem).with_remedy("give it one by `Model::with_uncertainty`"));
        }
        if data.is_empty() {
            return Err(Error::invalid("there are no data to train on"));
        }
        let times = training_times(&**model.noise());
        let device = model.devices().first().cloned().unwrap_or_default();
        if !ops::is_host(&device) {
            let wrong = |problem| Error::invalid(format!("the device cannot be trained on: {problem}"));
            crate::device::probe(&device).map_err(wrong)?;
        }
        let model = match net::is_lazy(&model) {
            true => net::seeded(&Rng::new(settings.seed).stream("weights"), &device, |_| model),
            false => model,
        };
        settings.precision.check(&device)?;
        let precision = model.precision();
        let mut model = Module::train(model.with_precision(settings.precision));
        model.net = model.net.with_checkpointing(settings.checkpointing)?;
        let device = model.devices().first().cloned().unwrap_or_default();
        if !Parameters::is_trained(&model) {
            return Err(Error::invalid(
                "the model has no parameter to train: all of them are frozen, or there are none",
            )
            .with_remedy("train a part of it, without `no_grad` or `freeze`"));
        }
        let pass = || probe(&model, data, &objective, &settings.cond_dropouts, &device);
        let draws = match net::has_training_layers(&model) {
            true => net::with_generator(&Rng::new(settings.seed).stream("probe"), &device, pass).map(|_| true)?,
            false => pass()?,
        };
        let parameters = Parameters::of(&model).packed();
        let packed = (!ops::is_host(&device)).then(|| parameters.clone());
        let model = match &packed {
            Some(packed) => packed.clone().into_module(model),
            None => model,
        };
        let moments = Moments::new(&parameters);
        let average = (settings.ema_decay > 0.0).then_some(parameters);
        let history = times.loss_history();
        let loss_scale = (settings.precision == Precision::F16).then(LossScale::default);
        Ok(Self {
            model,
            data,
            objective,
            times,
            history,
            settings,
            precision,
            device,
            packed,
            loss_scale,
            moments,
            average,
            done: 0,
            draws,
            order: None,
        })
    }

    /// Sets the spacing of the training timesteps. Default: [`training_times`] of the noise.
    pub fn with_times(self, times: Arc<dyn Spacing>) -> Self {
        Self { history: times.loss_history(), times, ..self }
    }

    /// The number of steps done.
    #[doc(alias = "global_step")]
    pub fn done(&self) -> u64 {
        self.done
    }
    /// The settings.
    pub fn settings(&self) -> &Train {
        &self.settings
    }

    /// The model to sample from: with averaged weights if there are any, in the precision that the model was given.
    #[doc(alias("ema_model", "EMAModel"))]
    pub fn model(&self) -> Model<D, N, T> {
        let model = self.raw_model();
        match &self.average {
            Some(average) => average.clone().into_module(model),
            None => model,
        }
    }

    /// The model with the weights as they are trained.
    pub fn raw_model(&self) -> Model<D, N, T> {
        self.model.valid().with_precision(self.precision)
    }

    /// The relative distance of the averaged weights from those that are trained, `‖average − weights‖ / ‖weights‖`; `None` without
    /// an average.
    pub fn ema_distance(&self) -> Option<f64> {
        let weights = self.weights();
        let gap = self.average.clone()?.add(weights.clone().map(Tensor::neg));
        Some(gap.norm() / weights.norm().max(f64::MIN_POSITIVE))
    }

    /// The weights as they are trained.
    pub(super) fn weights(&self) -> Parameters {
        self.packed.clone().unwrap_or_else(|| Parameters::of(&self.model))
    }

    /// The state of the run, to resume from.
    #[doc(alias("state_dict", "save_state"))]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            step: self.done,
            seed: self.settings.seed,
            weights: self.weights(),
            average: self.average.clone(),
            moments: self.moments.clone(),
            losses: self.history.losses().to_vec(),
            loss_scale: self.loss_scale,
        }
    }

    /// Resumes from a checkpoint: N steps, [`checkpoint`](Self::checkpoint), `restore`, M steps give the same bits as
    /// N + M steps.
    ///
    /// # Errors
    ///
    /// If it is of another network, seed or kind of average, with the first parameter that differs.
    #[doc(alias("load_state_dict", "resume_from_checkpoint"))]
    pub fn restore(mut self, checkpoint: Checkpoint) -> Result<Self> {
        let own = Parameters::of(&self.model);
        let checkpoint = checkpoint.renamed_as(&own);
        own.same_as(&checkpoint.weights)?;
        let Moments { first, second, .. } = &checkpoint.moments;
        [first, second].into_iter().chain(&checkpoint.average).try_for_each(|other| own.same_as(other))?;
        if checkpoint.seed != self.settings.seed {
            let problem =
                format!("must be {}, that of the checkpoint's run, got {}", checkpoint.seed, self.settings.seed);
            return Err(Error::invalid(problem).with_field("seed").with_remedy("resume with the seed it began with"));
        }
        if checkpoint.average.is_some() != self.average.is_some() {
            let [has, needs] = match checkpoint.average {
                Some(_) => ["holds averaged weights", "above 0"],
                None => ["holds no averaged weights", "0"],
            };
            let problem = format!("must be {needs}, because the checkpoint {has}, got {}", self.settings.ema_decay);
            return Err(Error::invalid(problem)
                .with_field("ema_decay")
                .with_remedy("resume with the setting it began with"));
        }
        self.history = self.history.with_losses(checkpoint.losses)?;
        let inner = self.device.clone().inner();
        let weights = checkpoint.weights.to_device(&inner).packed();
        self.packed = self.packed.map(|_| weights.clone());
        self.model = weights.into_module(self.model);
        self.average = checkpoint.average.map(|average| average.to_device(&inner).packed());
        self.moments = checkpoint.moments.to_device(&inner);
        self.loss_scale = self.loss_scale.map(|scale| checkpoint.loss_scale.unwrap_or(scale));
        self.done = checkpoint.step;
        Ok(self)
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

//! Training as a trait object.
use super::model::{self, DynModel, ModelParts};
use crate::{dyn_transform::DynTransform, registry::settings::NetConfig};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use std::sync::Arc;
use tweedie::{
    Result, Rng,
    data::Data,
    loss::Objective,
    net::{Conditions, Net},
    spacing::Spacing,
    train::{Checkpoint, HeldOutLoss, Step, Train, Trainer},
};

/// Everything that training needs except the network.
pub(crate) struct TrainingParts<'a, const D: usize> {
    pub data: &'a dyn Data<Tensor<D>, Conditions>,
    pub held_out: Option<&'a dyn Data<Tensor<D>, Conditions>>,
    pub model: ModelParts<'a, D>,
    pub objective: Objective<D>,
    /// Distribution of training times. Default: that of the noise.
    pub times: Option<Arc<dyn Spacing>>,
    pub train: Train,
    pub device: Device,
}

/// The training of a model for data of rank `D`.
pub(crate) trait DynTrainer<const D: usize> {
    /// Takes a training step; `None` after the last.
    fn step(&mut self) -> Option<Result<Step>>;
    /// The number of steps taken.
    fn done(&self) -> u64;
    /// The state of training, from which it can be resumed.
    fn checkpoint(&self) -> Checkpoint;
    /// Continues from a checkpoint.
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()>;
    /// The loss on at most `rows` rows of held-out data; `None` if there are none.
    fn evaluate(&self, rows: usize) -> Option<HeldOutLoss>;
    /// The relative distance of the EMA weights from the trained ones; `None` without EMA.
    fn ema_distance(&self) -> Option<f64>;
    /// The number of parameters.
    fn num_params(&self) -> usize;
    /// The model with EMA weights.
    fn model(&self) -> Box<dyn DynModel<D> + '_>;
}

/// A trainer from the settings of a network.
pub(super) fn build<'a, const D: usize, C: NetConfig<D>>(
    config: &C,
    parts: TrainingParts<'a, D>,
) -> Result<Box<dyn DynTrainer<D> + 'a>> {
    let device = parts.device.autodiff();
    let rng = Rng::new(parts.train.seed).stream("weights");
    let model = model::build(config, parts.model, &rng, &device)?;
    let mut trainer = Trainer::new(model, parts.data, parts.objective, parts.train)?;
    if let Some(times) = parts.times {
        trainer = trainer.with_times(times);
    }
    Ok(Box::new(Training { trainer: Some(trainer), held_out: parts.held_out }))
}

struct Training<'a, const D: usize, N: Net<D>> {
    /// `None` only while a checkpoint is restored.
    trainer: Option<Trainer<'a, D, N, DynTransform<D>>>,
    held_out: Option<&'a dyn Data<Tensor<D>, Conditions>>,
}
impl<'a, const D: usize, N: Net<D, Condition = Conditions>> Training<'a, D, N> {
    fn trainer(&self) -> &Trainer<'a, D, N, DynTransform<D>> {
        self.trainer.as_ref().expect("a trainer is not used after it could not be restored")
    }
}
impl<const D: usize, N: Net<D, Condition = Conditions>> DynTrainer<D> for Training<'_, D, N> {
    fn step(&mut self) -> Option<Result<Step>> {
        self.trainer.as_mut().and_then(Iterator::next)
    }
    fn done(&self) -> u64 {
        self.trainer().done()
    }
    fn checkpoint(&self) -> Checkpoint {
        self.trainer().checkpoint()
    }
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let trainer = self.trainer.take().expect("a trainer is not used after it could not be restored");
        self.trainer = Some(trainer.restore(checkpoint)?);
        Ok(())
    }
    fn evaluate(&self, rows: usize) -> Option<HeldOutLoss> {
        self.held_out.map(|data| self.trainer().evaluate(data, rows))
    }
    fn ema_distance(&self) -> Option<f64> {
        self.trainer().ema_distance()
    }
    fn num_params(&self) -> usize {
        self.trainer().raw_model().num_params()
    }
    fn model(&self) -> Box<dyn DynModel<D> + '_> {
        Box::new(self.trainer().model())
    }
}

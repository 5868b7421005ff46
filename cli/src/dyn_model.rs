//! Models, training and sampling as trait objects: their types depend on the rank of the data, not on the network.
mod evaluation;
mod known;
mod model;
mod net_builder;
mod sampling;
mod trainer;

pub(crate) use evaluation::EvaluationSet;
pub(crate) use known::Known;
pub(crate) use model::{DynModel, ModelParts};
pub(crate) use net_builder::{Against, NetBuilder};
pub(crate) use sampling::{SampleRequest, Samples, generate, thresholded, timesteps};
pub(crate) use trainer::{DynTrainer, TrainingParts};

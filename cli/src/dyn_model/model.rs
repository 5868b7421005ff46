//! Models as trait objects.
use super::evaluation::EvaluationSet;
use crate::{
    data::{Facts, categories::Categories},
    dyn_transform::{DynTransform, TransformBuilder, Untransformed},
    registry::settings::NetConfig,
};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use tweedie::{
    Precision, Result, Rng,
    condition::{ConditionSpec, Conditions},
    denoise::{Denoiser, Truncated, Truncation},
    likelihood,
    loss::{Loss, MaskedNelbo, Objective, ScoreEntropy, Vlb},
    model::Model,
    net::{self, Net, Task},
    noise::Noise,
    spacing::Spacing,
    transform::Transform,
};
use tweedie_data::Mean;

/// The parts of a model except its network.
#[derive(Clone)]
pub(crate) struct ModelParts<'a, const D: usize> {
    /// The properties of the data.
    pub data: &'a Facts,
    /// The properties of x, the transformed data.
    pub x: &'a Facts,
    pub transform: Option<&'a dyn TransformBuilder<D>>,
    pub noise: Arc<dyn Noise<D>>,
    /// Whether a loss learns an uncertainty.
    pub uncertainty: bool,
    /// The precision of sampling.
    pub precision: Precision,
}

/// The task of a network: the shapes of its input, condition and output.
pub(super) fn task<'a, const D: usize>(facts: &'a Facts, specs: &'a [ConditionSpec], noise: &dyn Noise<D>) -> Task<'a> {
    Task {
        shape: &facts.shape,
        num_classes: facts.classes.len(),
        conditions: specs,
        outputs: noise.outputs(),
        categories: noise.categories().map(|categories| categories.k),
        image: facts.categories.as_ref().and_then(Categories::image),
    }
}

/// A model with initial weights.
pub(super) fn build<const D: usize, C: NetConfig<D>>(
    config: &C,
    parts: ModelParts<'_, D>,
    rng: &Rng,
    device: &Device,
) -> Result<Model<D, C::Net, DynTransform<D>>> {
    let ModelParts { data, x, transform, noise, uncertainty, precision } = parts;
    // Layers of `burn::nn` would draw their weights from the device's own generator.
    let specs = x.specs();
    let net = net::try_seeded(rng, device, |device| config.init(&task(x, &specs, &*noise), rng, device))?;
    noise.check()?;
    let transform = transform.unwrap_or(&Untransformed {});
    let own = rng.stream("transform");
    let transform = net::try_seeded(&own, device, |device| transform.init(data, &own, device))?;
    let model = Model::new(noise, net)?.with_transform(transform).with_precision(precision);
    let model = if x.bounded { model.with_range(-1.0, 1.0) } else { model };
    Ok(if uncertainty { model.with_uncertainty() } else { model })
}

/// A model for data of rank `D`, for sampling and evaluation.
pub(crate) trait DynModel<const D: usize> {
    /// The default timesteps of `steps` sampling steps.
    fn grid(&self, steps: usize) -> Vec<f64>;
    /// The denoiser conditioned on `y`, with classifier-free guidance.
    fn guided<'a>(&'a self, y: &Conditions, scale: f64) -> Box<dyn Denoiser<D> + 'a>;
    /// Decodes x to data.
    fn decode(&self, x: Tensor<D>) -> Tensor<D>;
    /// The mean loss. Default of `times`: the training times of the noise.
    fn mean_loss(&self, set: &EvaluationSet<'_, D>, objective: &Objective<D>, times: Option<&dyn Spacing>) -> Mean;
    /// The variational bound on −log₂ p(x) of each row of categorical data, estimated from `num_times` timesteps per
    /// row: of the model with this guidance and truncation. +∞ where truncation excludes a category of the row.
    fn bound_bits(
        &self,
        set: &EvaluationSet<'_, D>,
        num_times: usize,
        guidance: f64,
        truncation: Truncation,
    ) -> Result<Vec<f64>>;
}
impl<const D: usize, N: Net<D, Condition = Conditions>> DynModel<D> for Model<D, N, DynTransform<D>> {
    fn grid(&self, steps: usize) -> Vec<f64> {
        Model::grid(self, steps)
    }
    fn guided<'a>(&'a self, y: &Conditions, scale: f64) -> Box<dyn Denoiser<D> + 'a> {
        self.transform.denoiser(Model::guided(self, y, scale))
    }
    fn decode(&self, x: Tensor<D>) -> Tensor<D> {
        self.transform.decode(x)
    }
    fn mean_loss(&self, set: &EvaluationSet<'_, D>, objective: &Objective<D>, times: Option<&dyn Spacing>) -> Mean {
        let default = tweedie::spacing::training_times(&**self.noise());
        let times = times.unwrap_or(&*default);
        let mut losses = vec![];
        for (raw, y, rng) in set.batches() {
            let t = times.sample(raw.dims()[0], &mut rng.stream("times"));
            let batch = self.losses(raw, &t, &y, objective, &rng, false);
            losses.extend(batch.total().try_into_vec_as::<f64>().expect("a tensor can be read back"));
        }
        Mean::ratio(&losses, &vec![1.0; losses.len()])
    }
    fn bound_bits(
        &self,
        set: &EvaluationSet<'_, D>,
        num_times: usize,
        guidance: f64,
        truncation: Truncation,
    ) -> Result<Vec<f64>> {
        let noise = self.noise();
        // The tightest bound that the noise has: in continuous time if the process is continuous.
        let loss: Box<dyn Loss<D>> = match (noise.categories().and_then(|known| known.mask), noise.steps()) {
            (Some(_), _) => Box::new(MaskedNelbo {}),
            (None, Some(_)) => Box::new(Vlb::new(0)),
            (None, None) => Box::new(ScoreEntropy {}),
        };
        let mut bits = vec![];
        for (raw, y, rng) in set.batches() {
            let mut denoiser = Model::guided(self, &y, guidance);
            if truncation != Truncation::default() {
                denoiser = Box::new(Truncated { model: denoiser, truncation });
            }
            let bound = likelihood::bound(&*denoiser, &*loss, self.transform.encode(raw), num_times, &rng)?;
            bits.extend(bound.rows.into_iter().map(|nats| nats / std::f64::consts::LN_2));
        }
        Ok(bits)
    }
}

//! The settings of a network as a trait object.
use super::{
    model::{self, DynModel, ModelParts},
    trainer::{self, DynTrainer, TrainingParts},
};
use crate::{data::Facts, registry::settings::NetConfig};
use burn::{
    module::Module,
    tensor::{DType, Device},
};
use tweedie::{
    Precision, Result, Rng,
    condition::{ConditionSpec, Conditions},
    laws,
    laws::Check,
    net::{self, Footprint},
    noise::Noise,
    train::Parameters,
};

/// What the laws of a module compare.
#[derive(Clone, Copy)]
pub(crate) enum Against<'a> {
    /// A device with the processor, with this tolerance.
    Processor(&'a Device, f64),
    /// A precision with single precision, on a device.
    Single(Precision, &'a Device),
}

/// The settings of a network of any type: builds trainers and models around it.
pub(crate) trait NetBuilder<const D: usize> {
    /// A trainer with initial weights.
    fn trainer<'a>(&self, parts: TrainingParts<'a, D>) -> Result<Box<dyn DynTrainer<D> + 'a>>;
    /// A model with the weights that `weights` reads, given parameters of the right names and shapes.
    fn model(
        &self,
        parts: ModelParts<'_, D>,
        device: &Device,
        weights: &dyn Fn(&Parameters) -> Result<Parameters>,
    ) -> Result<Box<dyn DynModel<D>>>;
    /// The kinds of conditions that the network takes.
    fn condition_kinds(&self) -> &'static [&'static str];
    /// The memory that the network needs, if that is known.
    fn footprint(&self, facts: &Facts, noise: &dyn Noise<D>) -> Option<Footprint>;
    /// Remarks on settings that may not be meant.
    fn remarks(&self, facts: &Facts, noise: &dyn Noise<D>) -> Vec<String>;
    /// Runs the laws of networks on one with initial weights: those on the processor, or those against another device or precision.
    fn laws(&self, facts: &Facts, noise: &dyn Noise<D>, against: Option<Against<'_>>) -> Result<Vec<Check>>;
}

impl<const D: usize, C: NetConfig<D>> NetBuilder<D> for C {
    fn trainer<'a>(&self, parts: TrainingParts<'a, D>) -> Result<Box<dyn DynTrainer<D> + 'a>> {
        trainer::build(self, parts)
    }
    fn model(
        &self,
        parts: ModelParts<'_, D>,
        device: &Device,
        weights: &dyn Fn(&Parameters) -> Result<Parameters>,
    ) -> Result<Box<dyn DynModel<D>>> {
        let model = model::build(self, parts, &Rng::new(0), device)?;
        let weights = weights(&Parameters::of(&model))?;
        Ok(Box::new(weights.into_module(model)))
    }
    fn condition_kinds(&self) -> &'static [&'static str] {
        NetConfig::condition_kinds(self)
    }
    fn footprint(&self, facts: &Facts, noise: &dyn Noise<D>) -> Option<Footprint> {
        let specs = facts.specs();
        NetConfig::footprint(self, &model::task(facts, &specs, noise))
    }
    fn remarks(&self, facts: &Facts, noise: &dyn Noise<D>) -> Vec<String> {
        let specs = facts.specs();
        NetConfig::remarks(self, &model::task(facts, &specs, noise))
    }
    fn laws(&self, facts: &Facts, noise: &dyn Noise<D>, against: Option<Against<'_>>) -> Result<Vec<Check>> {
        const ROWS: usize = 3;
        let device = Device::flex();
        let rng = Rng::new(0);
        let specs = facts.specs();
        let task = model::task(facts, &specs, noise);
        let weights = rng.stream("weights");
        let net = net::try_seeded(&weights, &device, |device| self.init(&task, &weights, device))?;
        let mut shape = [ROWS; D];
        shape[1..].copy_from_slice(&facts.shape);
        let mut expected = shape;
        let z = match noise.categories() {
            None => {
                expected[1] *= noise.outputs();
                rng.stream("z").normal_tensor(shape, &device, DType::F32)
            }
            Some(categories) => {
                expected[D - 1] = categories.k;
                let uniforms = rng.stream("z").uniform_tensor(shape, &device, DType::F32);
                (uniforms * categories.k as f64).floor()
            }
        };
        let class = match facts.classes.len() as u32 {
            0 => Conditions::none(),
            n => Conditions::classes((0..ROWS as u32).map(|i| i % n)),
        };
        let given = |y: Conditions, spec: &ConditionSpec| {
            let values = spec.random(ROWS, &rng.stream("conditions").stream(&spec.name));
            y.with(&spec.name, values)
        };
        let y = specs.iter().fold(class, given);
        match against {
            Some(Against::Processor(other, tolerance)) => {
                return Ok(laws::net_on_device(&net, &z, &y, other, tolerance));
            }
            Some(Against::Single(precision, device)) => {
                let (net, z) = (net.to_device(device), z.to_device(device));
                return Ok(laws::precision(&net, &z, &y, precision));
            }
            None => {}
        }
        let mut checks = laws::net(&net, &z, &y, expected);
        if noise.categories().is_some_and(|known| known.mask.is_some()) {
            // The number of masks determines the noise level, so the network need not depend on t.
            checks.retain(|check| check.law != laws::DEPENDS_ON_T);
        }
        Ok(checks)
    }
}

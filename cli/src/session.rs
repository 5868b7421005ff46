//! Training and drawing behind traits that know the rank and not the net.
use crate::{data::Facts, named::Settings};
use burn::{module::Module, tensor::Device};
use std::sync::Arc;
use tweedie::{
    Result, Rng,
    data::Data,
    denoise::Denoiser,
    loss::Objective,
    model::Model,
    net::{Classes, Net},
    noise::Noise,
    sample::{Sampler, reverse},
    spacing::Spacing,
    train::{Checkpoint, Evaluation, Parameters, Step, Train, Trainer},
};

/// What a net is made for: it takes its widths at both ends from here, so that a recipe need not repeat them.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Sizes of one sample.
    pub shape: &'a [usize],
    /// How many classes the net may be told; 0 for none.
    pub classes: usize,
    /// How many numbers it says for each of the data's.
    pub outputs: usize,
    /// How many categories there are, a mask included, where x is their numbers and the net says a logit for each.
    pub categories: Option<usize>,
}

/// Settings that make a net for data of rank `D`: `[net]` in a recipe.
pub trait NetConfig<const D: usize>: Settings {
    /// The net.
    type Net: Net<D, Condition = Classes>;
    /// The net a stream begins with.
    ///
    /// # Errors
    ///
    /// If the settings make none for this task.
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Self::Net>;
}

/// All that training needs beside the net.
pub(crate) struct Parts<'a, const D: usize> {
    pub data: &'a dyn Data<burn::tensor::Tensor<D>, Classes>,
    pub held_out: Option<&'a dyn Data<burn::tensor::Tensor<D>, Classes>>,
    pub facts: &'a Facts,
    pub noise: Arc<dyn Noise<D>>,
    pub objective: Objective<D>,
    pub times: Option<Arc<dyn Spacing>>,
    pub train: Train,
    pub device: Device,
}

/// A net configuration whose net's type is forgotten.
pub(crate) trait Maker<const D: usize> {
    fn session<'a>(&self, parts: Parts<'a, D>) -> Result<Box<dyn Session<D> + 'a>>;
    /// The model of a run, with weights read by `weights` for the shapes of its net.
    fn artist(
        &self,
        facts: &Facts,
        noise: Arc<dyn Noise<D>>,
        device: &Device,
        weights: &dyn Fn(&Parameters) -> Result<Parameters>,
    ) -> Result<Box<dyn Artist<D>>>;
}

impl<const D: usize, C: NetConfig<D>> Maker<D> for C {
    fn session<'a>(&self, parts: Parts<'a, D>) -> Result<Box<dyn Session<D> + 'a>> {
        let device = parts.device.autodiff();
        let rng = Rng::new(parts.train.seed).stream("weights");
        let model = model(self, parts.facts, parts.noise, &rng, &device)?;
        let mut trainer = Trainer::new(model, parts.data, parts.objective, parts.train)?;
        if let Some(times) = parts.times {
            trainer = trainer.with_times(times);
        }
        Ok(Box::new(Training { trainer: Some(trainer), held_out: parts.held_out }))
    }
    fn artist(
        &self,
        facts: &Facts,
        noise: Arc<dyn Noise<D>>,
        device: &Device,
        weights: &dyn Fn(&Parameters) -> Result<Parameters>,
    ) -> Result<Box<dyn Artist<D>>> {
        let model = model(self, facts, noise, &Rng::new(0), device)?;
        let weights = weights(&Parameters::of(&model))?;
        Ok(Box::new(weights.into_module(model)))
    }
}

fn model<const D: usize, C: NetConfig<D>>(
    config: &C,
    facts: &Facts,
    noise: Arc<dyn Noise<D>>,
    rng: &Rng,
    device: &Device,
) -> Result<Model<D, C::Net>> {
    let categories = noise.categories().map(|categories| categories.k);
    let task = Task { shape: &facts.shape, classes: facts.classes.len(), outputs: noise.outputs(), categories };
    let net = config.init(&task, rng, device)?;
    noise.check()?;
    let model = Model::new(noise, net);
    Ok(if facts.bounded { model.within(-1.0, 1.0) } else { model })
}

/// A run of training.
pub(crate) trait Session<const D: usize> {
    fn step(&mut self) -> Option<Result<Step>>;
    fn done(&self) -> u64;
    fn checkpoint(&self) -> Checkpoint;
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()>;
    /// The objective on data held out, where there are any.
    fn held_out(&self, rows: usize) -> Option<Evaluation>;
    /// How far averaged weights lag behind.
    fn lag(&self) -> Option<f64>;
    fn parameters(&self) -> usize;
    /// The model as it is sampled from.
    fn artist(&self) -> Box<dyn Artist<D> + '_>;
}

struct Training<'a, const D: usize, N: Net<D>> {
    /// Taken out only while it is restored.
    trainer: Option<Trainer<'a, D, N>>,
    held_out: Option<&'a dyn Data<burn::tensor::Tensor<D>, Classes>>,
}
impl<'a, const D: usize, N: Net<D, Condition = Classes>> Training<'a, D, N> {
    fn trainer(&self) -> &Trainer<'a, D, N> {
        self.trainer.as_ref().expect("a trainer that failed to be restored is not used again")
    }
}
impl<const D: usize, N: Net<D, Condition = Classes>> Session<D> for Training<'_, D, N> {
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
        let trainer = self.trainer.take().expect("a trainer that failed to be restored is not used again");
        self.trainer = Some(trainer.restore(checkpoint)?);
        Ok(())
    }
    fn held_out(&self, rows: usize) -> Option<Evaluation> {
        self.held_out.map(|data| self.trainer().evaluate(data, rows))
    }
    fn lag(&self) -> Option<f64> {
        self.trainer().lag()
    }
    fn parameters(&self) -> usize {
        self.trainer().raw_model().num_params()
    }
    fn artist(&self) -> Box<dyn Artist<D> + '_> {
        Box::new(self.trainer().model())
    }
}

/// A model that is drawn from.
pub(crate) trait Artist<const D: usize> {
    fn grid(&self, steps: usize) -> Vec<f64>;
    fn guided<'a>(&'a self, y: &Classes, rows: usize, scale: f64) -> Box<dyn Denoiser<D> + 'a>;
}
impl<const D: usize, N: Net<D, Condition = Classes>> Artist<D> for Model<D, N> {
    fn grid(&self, steps: usize) -> Vec<f64> {
        Model::grid(self, steps)
    }
    fn guided<'a>(&'a self, y: &Classes, rows: usize, scale: f64) -> Box<dyn Denoiser<D> + 'a> {
        Model::guided(self, y, rows, scale)
    }
}

/// What is to be drawn.
pub(crate) struct Order<'a, const D: usize> {
    pub sampler: &'a dyn Sampler<D>,
    pub steps: usize,
    pub guidance: f64,
    /// The class of each sample, or none for all.
    pub classes: &'a Classes,
    pub n: usize,
    pub batch: usize,
    pub seed: u64,
    /// Points of the walk that are kept, rising; the last is always `steps`.
    pub keep: &'a [usize],
    pub device: &'a Device,
}

/// What was drawn: numbers in x, `[n, …]` for each point of the walk that was kept, the last being the samples.
pub(crate) struct Drawn {
    pub times: Vec<f64>,
    pub frames: Vec<Vec<f32>>,
}

/// Draws; `watch` is told after each step how much of the whole is done, and stops it by `false`.
///
/// Sample i depends on `(seed, i)` and its class alone, whatever the batch.
pub(crate) fn draw<const D: usize>(
    artist: &dyn Artist<D>,
    shape: &[usize],
    order: &Order<'_, D>,
    watch: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Drawn>> {
    use tweedie::net::Condition as _;
    let times = artist.grid(order.steps);
    let rng = Rng::new(order.seed).stream("sample");
    let mut frames = vec![vec![]; order.keep.len()];
    let total = (order.n * (order.steps + 1)) as f64;
    let mut first = 0;
    while first < order.n {
        let rows = order.batch.min(order.n - first);
        let numbers: Vec<usize> = (first..first + rows).collect();
        let classes = order.classes.select(&numbers);
        let model = artist.guided(&classes, rows, order.guidance);
        let mut full = [rows; D];
        full[1..].copy_from_slice(shape);
        let walk = reverse(&*model, order.sampler, times.clone(), full, &rng.from_row(first as u64), order.device)?;
        let mut next = 0;
        for (i, (_, x)) in walk.enumerate() {
            if order.keep.get(next) == Some(&i) {
                let values: Vec<f32> = x.try_into_vec_as().expect("a tensor can be read back");
                frames[next].extend(values);
                next += 1;
            }
            if !watch((first * (order.steps + 1) + rows * (i + 1)) as f64 / total) {
                return Ok(None);
            }
        }
        first += rows;
    }
    Ok(Some(Drawn { times: order.keep.iter().map(|&i| times[i]).collect(), frames }))
}

//! Training and drawing behind traits that know the rank and not the net.
use crate::{
    data::{Facts, categories::Categories},
    dyn_transform::{DynTransform, TransformMaker, Untransformed},
    output::messages,
    registry::settings::NetConfig,
};
use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use std::sync::Arc;
use tweedie::{
    Error, Result, Rng,
    data::Data,
    denoise::{Denoiser, Thresholded, Truncated, Truncation},
    laws::Check,
    likelihood,
    loss::{Loss, MaskedNelbo, Objective, ScoreEntropy, Vlb},
    model::Model,
    net::{Classes, Net, Task},
    noise::Noise,
    sample::{Infill, Sampler, trajectory},
    spacing::Spacing,
    train::{Checkpoint, HeldOutLoss, Parameters, Step, Train, Trainer},
    transform::Transform,
};
use tweedie_data::Mean;

/// What a model is made of beside its net.
#[derive(Clone)]
pub(crate) struct Made<'a, const D: usize> {
    /// What is known of the data, and of x.
    pub data: &'a Facts,
    pub x: &'a Facts,
    pub transform: Option<&'a dyn TransformMaker<D>>,
    pub noise: Arc<dyn Noise<D>>,
}

/// All that training needs beside the net.
pub(crate) struct Parts<'a, const D: usize> {
    pub data: &'a dyn Data<Tensor<D>, Classes>,
    pub held_out: Option<&'a dyn Data<Tensor<D>, Classes>>,
    pub made: Made<'a, D>,
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
        made: Made<'_, D>,
        device: &Device,
        weights: &dyn Fn(&Parameters) -> Result<Parameters>,
    ) -> Result<Box<dyn Artist<D>>>;
    /// The laws of a net of these settings.
    fn laws(&self, facts: &Facts, noise: &dyn Noise<D>) -> Result<Vec<Check>>;
}

impl<const D: usize, C: NetConfig<D>> Maker<D> for C {
    fn session<'a>(&self, parts: Parts<'a, D>) -> Result<Box<dyn Session<D> + 'a>> {
        let device = parts.device.autodiff();
        let rng = Rng::new(parts.train.seed).stream("weights");
        let model = model(self, parts.made, &rng, &device)?;
        let mut trainer = Trainer::new(model, parts.data, parts.objective, parts.train)?;
        if let Some(times) = parts.times {
            trainer = trainer.with_times(times);
        }
        Ok(Box::new(Training { trainer: Some(trainer), held_out: parts.held_out }))
    }
    fn artist(
        &self,
        made: Made<'_, D>,
        device: &Device,
        weights: &dyn Fn(&Parameters) -> Result<Parameters>,
    ) -> Result<Box<dyn Artist<D>>> {
        let model = model(self, made, &Rng::new(0), device)?;
        let weights = weights(&Parameters::of(&model))?;
        Ok(Box::new(weights.into_module(model)))
    }
    fn laws(&self, facts: &Facts, noise: &dyn Noise<D>) -> Result<Vec<Check>> {
        const ROWS: usize = 3;
        let device = Device::flex();
        let rng = Rng::new(0);
        let net = self.init(&task(facts, noise), &rng.stream("weights"), &device)?;
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
                let all = rng.stream("z").uniform_tensor(shape, &device, DType::F32);
                (all * categories.k as f64).floor()
            }
        };
        let classes = match facts.classes.len() as u32 {
            0 => Classes::none(),
            n => (0..ROWS as u32).map(|i| i % n).collect::<Vec<_>>().into(),
        };
        let mut checks = tweedie::laws::net(&net, &z, &classes, expected);
        if noise.categories().is_some_and(|known| known.mask.is_some()) {
            // Masks tell how late it is, so a net of them may do without the time.
            checks.retain(|check| check.law != tweedie::laws::DEPENDS_ON_T);
        }
        Ok(checks)
    }
}

/// What a net is made for, with such data and noise.
fn task<'a, const D: usize>(facts: &'a Facts, noise: &dyn Noise<D>) -> Task<'a> {
    Task {
        shape: &facts.shape,
        num_classes: facts.classes.len(),
        outputs: noise.outputs(),
        categories: noise.categories().map(|categories| categories.k),
        image: facts.categories.as_ref().and_then(Categories::image),
    }
}

fn model<const D: usize, C: NetConfig<D>>(
    config: &C,
    made: Made<'_, D>,
    rng: &Rng,
    device: &Device,
) -> Result<Model<D, C::Net, DynTransform<D>>> {
    let Made { data, x, transform, noise } = made;
    let net = config.init(&task(x, &*noise), rng, device)?;
    noise.check()?;
    let transform = transform.unwrap_or(&Untransformed {}).init(data, &rng.stream("transform"), device)?;
    let model = Model::new(noise, net)?.with_transform(transform);
    Ok(if x.bounded { model.with_range(-1.0, 1.0) } else { model })
}

/// A run of training.
pub(crate) trait Session<const D: usize> {
    fn step(&mut self) -> Option<Result<Step>>;
    fn done(&self) -> u64;
    fn checkpoint(&self) -> Checkpoint;
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()>;
    /// The objective on data held out, where there are any.
    fn held_out(&self, rows: usize) -> Option<HeldOutLoss>;
    /// How far averaged weights lag behind.
    fn lag(&self) -> Option<f64>;
    fn parameters(&self) -> usize;
    /// The model as it is sampled from.
    fn artist(&self) -> Box<dyn Artist<D> + '_>;
}

struct Training<'a, const D: usize, N: Net<D>> {
    /// Taken out only while it is restored.
    trainer: Option<Trainer<'a, D, N, DynTransform<D>>>,
    held_out: Option<&'a dyn Data<Tensor<D>, Classes>>,
}
impl<'a, const D: usize, N: Net<D, Condition = Classes>> Training<'a, D, N> {
    fn trainer(&self) -> &Trainer<'a, D, N, DynTransform<D>> {
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
    fn held_out(&self, rows: usize) -> Option<HeldOutLoss> {
        self.held_out.map(|data| self.trainer().evaluate(data, rows))
    }
    fn lag(&self) -> Option<f64> {
        self.trainer().ema_distance()
    }
    fn parameters(&self) -> usize {
        self.trainer().raw_model().num_params()
    }
    fn artist(&self) -> Box<dyn Artist<D> + '_> {
        Box::new(self.trainer().model())
    }
}

/// A model that is drawn from, or put to the test.
pub(crate) trait Artist<const D: usize> {
    fn grid(&self, steps: usize) -> Vec<f64>;
    /// The model guided towards a class.
    fn guided<'a>(&'a self, y: &Classes, scale: f64) -> Box<dyn Denoiser<D> + 'a>;
    /// x as data.
    fn decode(&self, x: Tensor<D>) -> Tensor<D>;
    /// The mean objective.
    fn objective(&self, trial: &Trial<'_, D>, objective: &Objective<D>, times: Option<&dyn Spacing>) -> Mean;
    /// A bound on −log₂ p(x) of each row of categories, looked at so many times.
    fn bits(&self, trial: &Trial<'_, D>, looks: usize) -> Result<Vec<f64>>;
}
impl<const D: usize, N: Net<D, Condition = Classes>> Artist<D> for Model<D, N, DynTransform<D>> {
    fn grid(&self, steps: usize) -> Vec<f64> {
        Model::grid(self, steps)
    }
    fn guided<'a>(&'a self, y: &Classes, scale: f64) -> Box<dyn Denoiser<D> + 'a> {
        self.transform.denoiser(Model::guided(self, y, scale))
    }
    fn decode(&self, x: Tensor<D>) -> Tensor<D> {
        self.transform.decode(x)
    }
    fn objective(&self, trial: &Trial<'_, D>, objective: &Objective<D>, times: Option<&dyn Spacing>) -> Mean {
        let own = tweedie::spacing::training_times(&**self.noise());
        let times = times.unwrap_or(&*own);
        let mut losses = vec![];
        for (raw, y, rng) in trial.batches() {
            let t = times.sample(raw.dims()[0], &mut rng.stream("times"));
            let batch = self.losses(raw, &t, &y, objective, &rng, false);
            losses.extend(batch.total().try_into_vec_as::<f64>().expect("a tensor can be read back"));
        }
        Mean::ratio(&losses, &vec![1.0; losses.len()])
    }
    fn bits(&self, trial: &Trial<'_, D>, looks: usize) -> Result<Vec<f64>> {
        let noise = self.noise();
        // The tightest that the noise has: in continuous time where the chain is one.
        let loss: Box<dyn Loss<D>> = match (noise.categories().and_then(|known| known.mask), noise.steps()) {
            (Some(_), _) => Box::new(MaskedNelbo {}),
            (None, Some(_)) => Box::new(Vlb::new(0)),
            (None, None) => Box::new(ScoreEntropy {}),
        };
        let mut bits = vec![];
        for (raw, y, rng) in trial.batches() {
            let bound = likelihood::bound(&*self.conditioned(&y), &*loss, self.transform.encode(raw), looks, &rng)?;
            bits.extend(bound.rows.into_iter().map(|nats| nats / std::f64::consts::LN_2));
        }
        Ok(bits)
    }
}

/// Data that a model is put to the test with.
pub(crate) struct Trial<'a, const D: usize> {
    pub data: &'a dyn Data<Tensor<D>, Classes>,
    pub rows: &'a [usize],
    pub batch: usize,
    pub seed: u64,
    pub device: &'a Device,
}
impl<const D: usize> Trial<'_, D> {
    /// Batch after batch, each with a stream of its own.
    fn batches(&self) -> impl Iterator<Item = (Tensor<D>, Classes, Rng)> {
        let rng = Rng::new(self.seed).stream("evaluate");
        self.rows.chunks(self.batch).enumerate().map(move |(i, rows)| {
            let rng = rng.at_step(i as u64);
            let (raw, y) = self.data.batch(rows, &rng.stream("data"), self.device);
            (raw, y, rng)
        })
    }
}

/// The times of a walk of `steps` steps: those of the spacing's grid, but the first is 1, where the noise is
/// drawn: a grid that begins below (`leading`, levels smaller than the schedule's) would begin with signal that no draw has.
pub(crate) fn from_noise(times: &dyn Spacing, steps: usize) -> Result<Vec<f64>> {
    let mut grid = times.grid(steps);
    if let Some(first) = grid.first_mut() {
        *first = 1.0;
    }
    let falls = grid.windows(2).all(|pair| pair[0] > pair[1]);
    if grid.len() == steps + 1 && falls && grid[steps] == 0.0 {
        return Ok(grid);
    }
    grid.dedup();
    Err(Error::invalid(format!(
        "sampling in {steps} steps goes through {} falling times from 1 to 0, and these `times` give {}: take {}, or \
         other times",
        steps + 1,
        grid.len(),
        messages::count(grid.len().saturating_sub(1), "step")
    )))
}

/// What is to be drawn.
pub(crate) struct Order<'a, const D: usize> {
    pub sampler: &'a Arc<dyn Sampler<D>>,
    pub steps: usize,
    /// The times of the steps; those of the noise unless given.
    pub times: Option<&'a dyn Spacing>,
    pub guidance: f64,
    /// How much surer guesses of categories are made.
    pub truncation: Truncation,
    /// The quantile of dynamic thresholding.
    pub threshold: Option<f64>,
    /// The categories of a sample that are known, −1 where they are not.
    pub known: Option<&'a [f32]>,
    /// The class of each sample, or none for all.
    pub classes: &'a Classes,
    pub n: usize,
    pub batch: usize,
    pub seed: u64,
    /// Points of the walk that are kept, rising; the last is always `steps`.
    pub keep: &'a [usize],
    pub device: &'a Device,
}

/// The model with dynamic thresholding, where a quantile is given.
pub(crate) fn thresholded<'a, const D: usize>(
    model: Box<dyn Denoiser<D> + 'a>,
    threshold: Option<f64>,
) -> Box<dyn Denoiser<D> + 'a> {
    match threshold {
        Some(quantile) => Box::new(Thresholded { model, quantile, max: f64::INFINITY }),
        None => model,
    }
}

/// What was drawn: data, `[n, …]` for each point of the walk that was kept, the last being the samples.
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
    let times = match order.times {
        Some(times) => from_noise(times, order.steps)?,
        None => artist.grid(order.steps),
    };
    let rng = Rng::new(order.seed).stream("sample");
    let mut frames = vec![vec![]; order.keep.len()];
    let total = (order.n * (order.steps + 1)) as f64;
    let infill = order.known.map(|known| {
        let mut shape = [1; D];
        shape[1] = known.len();
        Infill {
            sampler: Box::new(order.sampler.clone()),
            known: Tensor::<D>::from_data(TensorData::new(known.to_vec(), shape), order.device),
        }
    });
    let sampler: &dyn Sampler<D> = match &infill {
        Some(infill) => infill,
        None => &**order.sampler,
    };
    let mut first = 0;
    while first < order.n {
        let rows = order.batch.min(order.n - first);
        let numbers: Vec<usize> = (first..first + rows).collect();
        let classes = order.classes.select(&numbers);
        let model = artist.guided(&classes, order.guidance);
        let mut model = thresholded(model, order.threshold);
        if order.truncation != Truncation::default() {
            model = Box::new(Truncated { model, truncation: order.truncation });
        }
        let mut full = [rows; D];
        full[1..].copy_from_slice(shape);
        let walk = trajectory(&*model, sampler, times.clone(), full, &rng.from_row(first as u64), order.device)?;
        let mut next = 0;
        for (i, (_, x)) in walk.enumerate() {
            if order.keep.get(next) == Some(&i) {
                let values: Vec<f32> = artist.decode(x).try_into_vec_as().expect("a tensor can be read back");
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

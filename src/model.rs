//! The model: a noise, a net and a data transform.
use crate::{
    data::Data,
    denoise::{Clamped, Denoiser, Guided},
    error::Error,
    loss::{Batch, Objective},
    net::{Condition, Net},
    noise::Noise,
    rng::Rng,
    sample::{Sampler, Trajectory, trajectory},
    spacing::{Spacing, Steps, Uniform},
    train::{Train, Trainer},
    transform::{Identity, Transform},
};
use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use std::sync::Arc;

/// A diffusion model: what is done to the data, and the net that undoes it.
#[derive(Module, Debug)]
pub struct Model<
    const D: usize,
    N: Module + burn::module::ModuleDisplay,
    T: Module + burn::module::ModuleDisplay = Identity,
> {
    /// The denoising network.
    pub net: N,
    /// From raw data to x and back.
    pub transform: T,
    #[module(skip)]
    noise: Arc<dyn Noise<D>>,
    #[module(skip)]
    range: Option<[f64; 2]>,
}

impl<const D: usize, N: Net<D>> Model<D, N> {
    /// A model of data that are noised as they are.
    ///
    /// # Panics
    ///
    /// If the noise's parts do not fit each other ([`Noise::check`]); ask it first where they are a user's.
    pub fn new(noise: impl Noise<D> + 'static, net: N) -> Self {
        if let Err(error) = noise.check() {
            panic!("{error}");
        }
        Self { net, transform: Identity {}, noise: Arc::new(noise), range: None }
    }
    /// The same with a data transform.
    pub fn with_transform<T: Transform<D>>(self, transform: T) -> Model<D, N, T> {
        Model { net: self.net, transform, noise: self.noise, range: self.range }
    }
}

impl<const D: usize, N: Net<D>, T: Transform<D>> Model<D, N, T> {
    /// Says that x lies within [low, high], in which sampling then keeps its guesses.
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { range: Some([low, high]), ..self }
    }
    /// The noise.
    pub fn noise(&self) -> &Arc<dyn Noise<D>> {
        &self.noise
    }
    /// The times of `n` sampling steps: on the grid of the noise's table where it has one, even otherwise.
    pub fn grid(&self, n: usize) -> Vec<f64> {
        grid(&*self.noise, n)
    }

    fn predict(&self, z: Tensor<D>, t: &[f64], y: &N::Condition, rng: Option<&Rng>) -> Tensor<D> {
        let batch = z.dims()[0];
        let times: Vec<f32> = (0..batch).map(|i| t[i % t.len()] as f32).collect();
        let times = Tensor::from_data(TensorData::new(times, [batch]), &z.device());
        let input = self.noise.input(z, t);
        match rng {
            Some(rng) => self.net.forward_train(input, times, y, rng),
            None => self.net.forward(input, times, y),
        }
    }

    /// The terms of `objective` at times `t`, `[batch]` each; `rng` gives the noise, and what the net drops out where
    /// `training`.
    pub fn losses(
        &self,
        raw: T::Raw,
        t: &[f64],
        y: &N::Condition,
        objective: &Objective<D>,
        rng: &Rng,
        training: bool,
    ) -> Losses<D> {
        let x = self.transform.encode(raw.clone());
        let draw = self.noise.prior(x.clone(), t).sample(&mut rng.stream("noise"));
        let dropout = rng.stream("dropout");
        let output = self.predict(draw.value.clone(), t, y, training.then_some(&dropout));
        let batch = Batch::new(&*self.noise, x.clone(), draw.value.clone(), draw.eps, t, output.clone(), &raw, y)
            .with_transform(self.transform.as_any());
        let terms = objective.compute(&batch);
        Losses { x, z: draw.value, output, terms }
    }

    /// The model as a denoiser that is told `y`; guesses stay within the range of the data.
    pub fn given(&self, y: &N::Condition) -> Box<dyn Denoiser<D> + '_> {
        self.clamped(Given { model: self, y: y.clone() })
    }

    /// The model guided towards `y`, away from being told nothing; see [`Guided`]. A scale of 1 is [`given`](Self::given).
    pub fn guided(&self, y: &N::Condition, rows: usize, scale: f64) -> Box<dyn Denoiser<D> + '_> {
        let strong = Given { model: self, y: y.clone() };
        let weak = Given { model: self, y: y.without(&vec![true; rows]) };
        self.clamped(Guided { strong, weak, scale })
    }

    fn clamped<'a>(&self, model: impl Denoiser<D> + 'a) -> Box<dyn Denoiser<D> + 'a> {
        match self.range {
            Some([low, high]) => Box::new(Clamped { model, low, high }),
            None => Box::new(model),
        }
    }

    /// Draws a batch: `steps` steps of `sampler` from noise to data.
    ///
    /// Sample i depends on row i of `rng` and of `y` alone. For guidance, trajectories or times of one's own, walk
    /// [`trajectory`] over [`given`](Self::given) or [`guided`](Self::guided).
    ///
    /// # Errors
    ///
    /// If the sampler cannot undo the noise.
    pub fn sample(
        &self,
        sampler: &dyn Sampler<D>,
        steps: usize,
        shape: [usize; D],
        y: &N::Condition,
        rng: &Rng,
    ) -> Result<T::Raw, Error> {
        let device = self.devices().first().cloned().unwrap_or_default().inner();
        let model = self.valid();
        let given = model.given(y);
        let walk: Trajectory<D, dyn Denoiser<D>> = trajectory(&*given, sampler, self.grid(steps), shape, rng, &device)?;
        let (_, x) = walk.last().expect("a walk has two points at least");
        Ok(model.transform.decode(x))
    }

    /// Starts training: an iterator over steps.
    ///
    /// # Errors
    ///
    /// If the parts do not fit: a loss without a meaning for the noise, settings out of range, no data.
    pub fn train<'a, Q: Data<T::Raw, N::Condition>>(
        self,
        data: &'a Q,
        objective: impl Into<Objective<D>>,
        settings: Train,
    ) -> Result<Trainer<'a, D, N, T>, Error> {
        Trainer::new(self, data, objective.into(), settings)
    }
}

/// The times at which a noise is trained and undone unless told otherwise: its table's steps where it has one, even times
/// otherwise.
pub fn times<const D: usize>(noise: &dyn Noise<D>) -> Arc<dyn Spacing> {
    match noise.steps() {
        Some(steps) => Arc::new(Steps(steps)),
        None => Arc::new(Uniform::default()),
    }
}

/// The times of `n` sampling steps of a noise: on the grid of its table where it has one, even otherwise.
pub fn grid<const D: usize>(noise: &dyn Noise<D>, n: usize) -> Vec<f64> {
    times(noise).grid(n)
}

/// The terms of an objective on a batch, and the tensors they were made from.
#[derive(Debug)]
pub struct Losses<const D: usize> {
    /// The transformed data.
    pub x: Tensor<D>,
    /// The noisy data.
    pub z: Tensor<D>,
    /// What the net said.
    pub output: Tensor<D>,
    /// Each term, weighted: `[batch]`.
    pub terms: Vec<Tensor<1>>,
}
impl<const D: usize> Losses<D> {
    /// The sum of the terms: `[batch]`.
    pub fn total(&self) -> Tensor<1> {
        self.terms.iter().cloned().reduce(|a, b| a + b).expect("an objective has a term")
    }
}

/// A model and what it is told.
struct Given<'a, const D: usize, N: Net<D>, T: Transform<D>> {
    model: &'a Model<D, N, T>,
    y: N::Condition,
}
impl<const D: usize, N: Net<D>, T: Transform<D>> Denoiser<D> for Given<'_, D, N, T> {
    fn noise(&self) -> &dyn Noise<D> {
        &*self.model.noise
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.model.predict(z, t, &self.y, None)
    }
}

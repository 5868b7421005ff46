//! The model: a noise process, a network and a data transform.
use crate::{
    Precision,
    denoise::{Clamped, Denoiser, Guided},
    error::{Error, Result},
    loss::{Batch, Objective, Uncertainty},
    net::{Condition, Net},
    noise::{Corruption, Estimate, Noise},
    rng::Rng,
    sample::{Diagnosis, Sampler, Trajectory, trajectory},
    spacing,
    transform::{Identity, Transform},
};
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Tensor, TensorData},
};
use std::sync::Arc;

/// A diffusion model: the noise process q, the network that inverts it, and the transform from raw data to x.
///
/// [`conditioned`](Self::conditioned) and [`guided`](Self::guided) make a [`Denoiser`] of it, [`sample`](Self::sample) generates
/// samples, [`train`](Self::train) trains it.
#[doc(alias("DiffusionPipeline", "DiffusionModel"))]
#[derive(Module, Debug)]
pub struct Model<const D: usize, N: Module + ModuleDisplay, T: Module + ModuleDisplay = Identity> {
    /// The denoising network.
    pub net: N,
    /// From raw data to x and back.
    pub transform: T,
    /// The learned uncertainty of the loss, if it is [`Uncertain`](crate::loss::Uncertain).
    pub uncertainty: Option<Uncertainty>,
    #[module(skip)]
    noise: Arc<dyn Noise<D>>,
    #[module(skip)]
    range: Option<[f64; 2]>,
    #[module(skip)]
    precision: Precision,
}

impl<const D: usize, N: Net<D>> Model<D, N> {
    /// A model whose x is the raw data.
    ///
    /// # Errors
    ///
    /// If the parts of the noise do not fit each other ([`Noise::check`]), or the net gives probabilities of categories and the noise
    /// reads logits.
    pub fn new(noise: impl Noise<D> + 'static, net: N) -> Result<Self> {
        noise.check()?;
        if noise.categorical() && net.gives_probabilities() && !noise.takes_probabilities() {
            return Err(softmax_twice());
        }
        let (transform, noise) = (Identity {}, Arc::new(noise));
        Ok(Self { net, transform, uncertainty: None, noise, range: None, precision: Precision::F32 })
    }
    /// Sets the data transform.
    pub fn with_transform<T: Transform<D>>(self, transform: T) -> Model<D, N, T> {
        let Self { net, uncertainty, noise, range, precision, .. } = self;
        Model { net, transform, uncertainty, noise, range, precision }
    }
}

impl<const D: usize, N: Net<D>, T: Transform<D>> Model<D, N, T> {
    /// Sets the data range [low, high], to which sampling clips x̂. Default: no clipping.
    #[doc(alias("clip_sample", "clip_denoised"))]
    pub fn with_range(self, low: f64, high: f64) -> Self {
        Self { range: Some([low, high]), ..self }
    }
    /// Gives the model a learned uncertainty, which a loss that is [`Uncertain`](crate::loss::Uncertain) trains. Sampling does not
    /// depend on it.
    pub fn with_uncertainty(self) -> Self {
        let device = self.devices().first().cloned().unwrap_or_default();
        Self { uncertainty: Some(Uncertainty::new(&device)), ..self }
    }
    /// Sets the precision of the network's matrix products. Training sets its own ([`Train::precision`](crate::train::Train)).
    /// Default: single precision.
    #[doc(alias("autocast", "half", "to_dtype"))]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }
    /// The precision of the network's matrix products.
    pub fn precision(&self) -> Precision {
        self.precision
    }
    /// The noise process.
    pub fn noise(&self) -> &Arc<dyn Noise<D>> {
        &self.noise
    }
    /// The timesteps of `n` sampling steps, [`spacing::sampling_grid`].
    #[doc(alias = "set_timesteps")]
    pub fn grid(&self, n: usize) -> Vec<f64> {
        spacing::sampling_grid(&*self.noise, n)
    }

    /// Checks that the net can compute what the noise needs for x of this shape with the condition `y`. Training and sampling ask
    /// before the first step.
    ///
    /// # Errors
    ///
    /// If it cannot: the data have another width or number of channels than the net, a class has no embedding, the output has
    /// another shape than the noise reads, such as one without the learned variance, or the device does not have the
    /// [precision](Self::with_precision).
    pub fn check(&self, x: [usize; D], y: &N::Condition) -> Result<()> {
        if self.precision != Precision::F32 {
            self.precision.check(&self.devices().first().cloned().unwrap_or_default())?;
        }
        let mut expected = x;
        match self.noise.categories() {
            None => expected[1.min(D - 1)] *= self.noise.outputs(),
            Some(categories) => {
                let (k, found) = (categories.k, x[D - 1]);
                if found != 1 && found != k {
                    let problem = format!(
                        "data of {found} values along the last axis were given to a noise of {k} categories, which reads category \
                         indices (1 value) or one-hot vectors ({k} values)"
                    );
                    return Err(Error::invalid(problem).with_remedy(format!("make the noise of {found} categories")));
                }
                expected[D - 1] = k;
            }
        }
        if x[0] == 0 {
            return Ok(());
        }
        self.net.check_condition(y, x[0])?;
        let output = self.net.output_shape(x, y)?;
        if output == expected {
            return Ok(());
        }
        let (found, needed) = (&output[1..], &expected[1..]);
        if self.noise.outputs() > 1 && output == x {
            let outputs = self.noise.outputs();
            let problem = format!(
                "must be {outputs}, because the noise has a learned variance, got 1: the output has shape {found:?}"
            );
            return Err(Error::invalid(problem)
                .with_field("outputs")
                .with_remedy(format!("make the net with {outputs} outputs per value, or take a fixed variance")));
        }
        let problem = format!(
            "the network gives an output of shape {found:?} for data of shape {:?}, and the noise reads {needed:?}",
            &x[1..]
        );
        Err(Error::invalid(problem).with_remedy("make the net with as many outputs as the noise reads"))
    }

    /// The network output; `dropout` is `Some` while training.
    fn output(&self, z: Tensor<D>, t: &[f64], y: &N::Condition, dropout: Option<&Rng>) -> Tensor<D> {
        let batch = z.dims()[0];
        let times: Vec<f32> = (0..batch).map(|i| t[i % t.len()] as f32).collect();
        let times = Tensor::from_data(TensorData::new(times, [batch]), &z.device());
        let input = self.noise.input(z, t);
        self.precision.scope(|| match dropout {
            Some(rng) => self.net.forward_train(input, times, y, rng),
            None => self.net.forward(input, times, y),
        })
    }

    /// The terms of `objective` at times `t`: x_t is sampled from q(x_t | x) with `rng`, and the network drops out units if
    /// `training`.
    ///
    /// # Shapes
    ///
    /// `t` holds one time per row; each term is `[batch]`.
    #[doc(alias("compute_loss", "training_losses", "p_losses"))]
    pub fn losses(
        &self,
        raw: T::Raw,
        t: &[f64],
        y: &N::Condition,
        objective: &Objective<D>,
        rng: &Rng,
        training: bool,
    ) -> Losses<D> {
        self.losses_of(raw, t, y, objective, rng, training, None)
    }

    /// [`losses`](Self::losses) of rows that are [corrupted](Corruption) otherwise than each by ε ~ N(0, I) of its own, if they are.
    #[allow(clippy::too_many_arguments)]
    pub fn losses_of(
        &self,
        raw: T::Raw,
        t: &[f64],
        y: &N::Condition,
        objective: &Objective<D>,
        rng: &Rng,
        training: bool,
        corruption: Option<&Corruption<'_>>,
    ) -> Losses<D> {
        let x = self.transform.encode(raw.clone());
        let (noisy, read) = match corruption {
            None => (self.noise.prior(x.clone(), t).sample(&mut rng.stream("noise")), None),
            Some(corruption) => corruption.apply(&*self.noise, x.clone(), t),
        };
        let dropout = rng.stream("dropout");
        let read = read.unwrap_or_else(|| noisy.value.clone());
        let output = self.output(read, t, y, training.then_some(&dropout));
        let batch = Batch::new(&*self.noise, x.clone(), noisy.value.clone(), noisy.eps, t, output.clone(), &raw, y)
            .with_transform(self.transform.as_any())
            .with_uncertainty(match (&self.uncertainty, self.noise.path()) {
                (Some(uncertainty), Some(path)) => Some(uncertainty.forward(path, t)),
                _ => None,
            });
        let terms = objective.compute(&batch);
        Losses { x, z: noisy.value, output, terms }
    }

    /// The model as a denoiser of samples with condition `y`; x̂ is clipped to the [data range](Self::with_range).
    ///
    /// It is the model that is sampled, and so the one whose [bound](crate::likelihood::bound) describes the samples.
    pub fn conditioned(&self, y: &N::Condition) -> Box<dyn Denoiser<D> + '_> {
        self.clipped(self.unclipped(y))
    }

    /// [`conditioned`](Self::conditioned) without clipping: the network's own predictions, as training sees them.
    pub fn unclipped(&self, y: &N::Condition) -> Box<dyn Denoiser<D> + '_> {
        Box::new(Conditioned { model: self, y: y.clone(), unconditional: false })
    }

    /// The model with classifier-free guidance towards `y`, away from the unconditional model; see [`Guided`]. A scale of 1 is
    /// [`conditioned`](Self::conditioned).
    #[doc(alias("guidance_scale", "classifier_free_guidance"))]
    pub fn guided(&self, y: &N::Condition, scale: f64) -> Box<dyn Denoiser<D> + '_> {
        let model = |unconditional| Conditioned { model: self, y: y.clone(), unconditional };
        self.clipped(Guided { strong: model(false), weak: model(true), scale })
    }

    fn clipped<'a>(&self, model: impl Denoiser<D> + 'a) -> Box<dyn Denoiser<D> + 'a> {
        match self.range {
            Some([low, high]) => Box::new(Clamped { model, low, high }),
            None => Box::new(model),
        }
    }

    /// Generates samples of a shape: `steps` steps of `sampler` from noise to data.
    ///
    /// Sample i depends on row i of `rng` and of `y` alone. For guidance, intermediate states or timesteps of your own, iterate
    /// [`trajectory`] over [`conditioned`](Self::conditioned) or [`guided`](Self::guided).
    ///
    /// # Errors
    ///
    /// If the sampler does not fit the noise, or the net the shape or the condition ([`check`](Self::check)); or if the
    /// samples cannot be data: some are not finite, the sampler gave rows up, or the model has a [data
    /// range](Self::with_range) and they lie far outside ([`Diagnosis::diverged`]).
    /// [`sample_with_diagnosis`](Self::sample_with_diagnosis) returns them nevertheless.
    #[doc(alias("p_sample_loop", "generate"))]
    pub fn sample(
        &self,
        sampler: &dyn Sampler<D>,
        steps: usize,
        shape: [usize; D],
        y: &N::Condition,
        rng: &Rng,
    ) -> Result<T::Raw> {
        let (x, diagnosis) = self.sample_with_diagnosis(sampler, steps, shape, y, rng)?;
        if diagnosis.diverged() {
            return Err(Error::invalid(format!("the sampler diverged: {}", diagnosis.problems().join("; "))));
        }
        Ok(x)
    }

    /// [`sample`](Self::sample) with what the trajectory shows of the samples: whether x_t stayed where diffused data of
    /// the [range](Self::with_range) can be, and whether the samples can be data.
    ///
    /// # Errors
    ///
    /// If the sampler does not fit the noise, or the net the shape or the condition ([`check`](Self::check)).
    pub fn sample_with_diagnosis(
        &self,
        sampler: &dyn Sampler<D>,
        steps: usize,
        shape: [usize; D],
        y: &N::Condition,
        rng: &Rng,
    ) -> Result<(T::Raw, Diagnosis)> {
        let device = self.devices().first().cloned().unwrap_or_default().inner();
        let model = self.valid();
        let denoiser = model.conditioned(y);
        let mut states: Trajectory<D, dyn Denoiser<D>> =
            trajectory(&*denoiser, sampler, self.grid(steps), shape, rng, &device)?;
        if let Some([low, high]) = self.range {
            states = states.within(low, high);
        }
        let (_, x) = states.by_ref().last().expect("a trajectory has two states at least");
        Ok((model.transform.decode(x), states.diagnosis()))
    }
}

/// The terms of an objective on a batch, and the tensors they were computed from.
#[derive(Debug)]
pub struct Losses<const D: usize> {
    /// The transformed data x.
    pub x: Tensor<D>,
    /// The noisy data x_t.
    pub z: Tensor<D>,
    /// The network output.
    pub output: Tensor<D>,
    /// Each weighted term: `[batch]`.
    pub terms: Vec<Tensor<1>>,
}
impl<const D: usize> Losses<D> {
    /// The same numbers, detached from the gradient.
    pub(crate) fn untracked(&self) -> Self {
        fn inner<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
            if x.device().is_autodiff() { x.clone().inner() } else { x.clone() }
        }
        let [x, z, output] = [&self.x, &self.z, &self.output].map(inner);
        Self { x, z, output, terms: self.terms.iter().map(inner).collect() }
    }
    /// The sum of the terms: `[batch]`.
    pub fn total(&self) -> Tensor<1> {
        self.terms.iter().cloned().reduce(|a, b| a + b).expect("an objective has a term")
    }
}

/// The error of a net that ends in a softmax for a noise that takes it.
pub(crate) fn softmax_twice() -> Error {
    Error::invalid(
        "must be \"probabilities\" for a network whose output is probabilities of categories: the other prediction types take the \
         softmax of its output again",
    )
    .with_field("prediction")
    .with_remedy("set `DiscretePrediction::Probabilities`, or leave out the softmax at the end of the network")
}

/// A model with a condition, or with the null condition in its place.
struct Conditioned<'a, const D: usize, N: Net<D>, T: Transform<D>> {
    model: &'a Model<D, N, T>,
    y: N::Condition,
    unconditional: bool,
}
impl<const D: usize, N: Net<D>, T: Transform<D>> Denoiser<D> for Conditioned<'_, D, N, T> {
    fn noise(&self) -> &dyn Noise<D> {
        &*self.model.noise
    }
    fn check(&self, shape: [usize; D]) -> Result<()> {
        self.model.check(shape, &self.y)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let output = match self.unconditional {
            false => self.model.output(z.clone(), t, &self.y, None),
            true => self.model.output(z.clone(), t, &self.y.without(&vec![true; z.dims()[0]]), None),
        };
        self.noise().estimate(output, z, t)
    }
}

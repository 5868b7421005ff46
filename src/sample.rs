//! Samplers: one step from x_t to x_s, and the walk from noise to data.
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng, schedule::Scales};
use burn::tensor::{Device, Tensor};
use std::{collections::VecDeque, fmt::Debug};

mod ddim;
mod ode;
pub use ddim::{Ancestral, Ddim};
pub use ode::{Euler, Heun};

/// A rule for one step back in time.
pub trait Sampler<const D: usize>: Debug + Send + Sync {
    /// x_s from x_t = `z`, for 0 ≤ s < t ≤ 1.
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D>;

    /// The order of convergence of the final point, for samplers without noise of their own.
    fn order(&self) -> Option<usize>;

    /// How often a step asks the model.
    fn calls(&self) -> usize {
        1
    }

    /// Whether the sampler can undo this noise; asked before the first step.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        gaussian(self, noise).map(|_| ())
    }
}

/// A sampler's demand for x_t = α x + σ ε.
pub(crate) fn gaussian<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<&'a dyn crate::schedule::Schedule, Error> {
    noise.path().ok_or_else(|| {
        Error::Unfit(format!(
            "the sampler {sampler:?} follows x_t = α x + σ ε, and the model's noise is categorical: use `ancestral`"
        ))
    })
}

/// What a multistep sampler remembers: the guesses at the last few times, latest first.
#[derive(Clone, Debug)]
pub struct Past<const D: usize>(VecDeque<(f64, Tensor<D>)>);
impl<const D: usize> Default for Past<D> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}
impl<const D: usize> Past<D> {
    /// Remembers `value` at time `t` and forgets all but the last `keep`.
    pub fn push(&mut self, t: f64, value: Tensor<D>, keep: usize) {
        self.0.push_front((t, value));
        self.0.truncate(keep);
    }
    /// The k-th last time and value; 0 is the latest.
    pub fn get(&self, k: usize) -> Option<&(f64, Tensor<D>)> {
        self.0.get(k)
    }
    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// ε̂ = (z − α x̂)/σ.
pub(crate) fn noise_of<const D: usize>(z: Tensor<D>, x: Tensor<D>, c: Scales) -> Tensor<D> {
    (z - x * c.alpha) * c.sigma.recip()
}

/// The walk from x₁ to x₀: an iterator over (time, x_t) that starts with the noise and holds one x_t at a time.
///
/// Where a schedule leaves noise at t = 0 (σ(0) > 0: variance exploding, EDM), the last point is x̂ there.
#[derive(Debug)]
pub struct Reverse<'a, const D: usize, M: ?Sized> {
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    next: usize,
    z: Option<Tensor<D>>,
    past: Past<D>,
    rng: Rng,
}

/// Starts a walk over falling `times` from a draw of the stationary law.
///
/// Row i of the walk depends on row i of `rng` alone.
///
/// # Errors
///
/// If the sampler cannot undo the model's noise, or the times do not fall within [0, 1].
pub fn reverse<'a, const D: usize, M: Denoiser<D> + ?Sized>(
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    shape: [usize; D],
    rng: &Rng,
    device: &Device,
) -> Result<Reverse<'a, D, M>, Error> {
    let z = model.noise().stationary(shape, device).sample(&mut rng.stream("start")).value;
    reverse_from(model, sampler, times, z, rng)
}

/// [`reverse`] from a given x at the first of `times`.
///
/// # Errors
///
/// As [`reverse`].
pub fn reverse_from<'a, const D: usize, M: Denoiser<D> + ?Sized>(
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    z: Tensor<D>,
    rng: &Rng,
) -> Result<Reverse<'a, D, M>, Error> {
    sampler.check(model.noise())?;
    if times.len() < 2 || !times.windows(2).all(|w| w[0] > w[1]) || !(times[0] <= 1.0 && times[times.len() - 1] >= 0.0)
    {
        return Err(Error::Unfit(format!(
            "sampling goes through two or more times that fall within [0, 1], not {times:?}"
        )));
    }
    Ok(Reverse { model, sampler, times, next: 0, z: Some(z), past: Past::default(), rng: rng.stream("steps") })
}

impl<const D: usize, M: Denoiser<D> + ?Sized> Iterator for Reverse<'_, D, M> {
    type Item = (f64, Tensor<D>);
    fn next(&mut self) -> Option<Self::Item> {
        let i = self.next;
        let s = *self.times.get(i)?;
        self.next += 1;
        let mut z = self.z.take()?;
        if i > 0 {
            let model = Dyn(self.model);
            z = self.sampler.step(&model, z, self.times[i - 1], s, &mut self.past, &mut self.rng.at(i as u64));
            let left = self.model.noise().path().is_some_and(|path| path.at(s).sigma > 0.0);
            if s == 0.0 && left {
                z = self.model.denoise(z, &[s]).mean;
            }
        }
        self.z = Some(z.clone());
        Some((s, z))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.times.len() - self.next;
        (left, Some(left))
    }
}
impl<const D: usize, M: Denoiser<D> + ?Sized> ExactSizeIterator for Reverse<'_, D, M> {}

/// A denoiser of any size as one that can be made into a trait object.
struct Dyn<'a, M: ?Sized>(&'a M);
impl<const D: usize, M: Denoiser<D> + ?Sized> Denoiser<D> for Dyn<'_, M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.0.noise()
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.0.predict(z, t)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> crate::noise::Estimate<D> {
        self.0.denoise(z, t)
    }
}

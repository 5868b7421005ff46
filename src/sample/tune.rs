//! Timesteps optimized for a sampler and a model.
use super::{Sampler, Trajectory, trajectory_from};
use crate::{denoise::Denoiser, distribution::host, error::Result, rng::Rng};
use burn::tensor::Tensor;

/// The timesteps that [`tune`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The decreasing times.
    pub times: Vec<f64>,
    /// The error on these times: the mean over rows of the root mean square distance from the exact ends.
    pub error: f64,
    /// The error on the times that the search started with.
    pub before: f64,
}

/// Optimizes the times of a trajectory, except the first and the last, so that trajectories from `start` end as close
/// to `end` as possible.
///
/// Coordinate search: each time in turn is moved towards both its neighbors and stays where the error, the mean over
/// rows of the root mean square distance, is least; the moves get smaller from round to round. A round costs up to two
/// trajectories of n steps, half of each on the average, for every time. With `end` a solution of high accuracy, the
/// times are those at which this sampler follows the probability flow of this model best in so many steps; whether they
/// do so from other starts is to be measured on others, and 64 rows are usually enough that they do.
///
/// The idea is that of Tong et al., "Learning to Discretize Denoising Diffusion ODEs" (2024),
/// <https://arxiv.org/abs/2405.15506>; here no gradient is needed.
///
/// ```
/// use tweedie::{
///     Rng, laws,
///     sample::{Deis, DormandPrince, trajectory_from, tune},
///     schedule::VariancePreserving,
///     spacing::{Spacing, Uniform},
/// };
/// use burn::tensor::{DType, Device};
/// let model = laws::problem(VariancePreserving::default());
/// let z = Rng::new(0).normal_tensor([32, 2], &Device::flex(), DType::F64);
/// let exact = DormandPrince { absolute: 1e-8, relative: 1e-8, ..DormandPrince::default() };
/// let steps = trajectory_from(&model, &exact, vec![1.0, 0.0], z.clone(), &Rng::new(0))?;
/// let end = steps.last().unwrap().1;
/// let even = Uniform::default().grid(6);
/// let tuned = tune(&model, &Deis::default(), even, z, &end, 3, &Rng::new(0))?;
/// assert!(tuned.error < 0.8 * tuned.before);
/// # Ok::<(), tweedie::Error>(())
/// ```
///
/// # Errors
///
/// As [`trajectory_from`].
pub fn tune<const D: usize, M: Denoiser<D> + ?Sized>(
    model: &M,
    sampler: &dyn Sampler<D>,
    times: Vec<f64>,
    start: Tensor<D>,
    end: &Tensor<D>,
    rounds: usize,
    rng: &Rng,
) -> Result<Tuned> {
    let off = |trajectory: Trajectory<'_, D, M>| {
        let last = trajectory.last().expect("a trajectory has points").1;
        let rows = last.dims()[0];
        let squares = (last - end.clone()).square().reshape([rows as i32, -1]).mean_dim(1);
        let error = host(squares.sqrt().mean())[0];
        if error.is_nan() { f64::INFINITY } else { error }
    };
    let mut tuned = trajectory_from(model, sampler, times, start, rng)?;
    let before = off(tuned.clone());
    let (mut best, mut share) = (before, 0.4);
    for _ in 0..rounds {
        let begun = best;
        // The trajectory as it is before step i; earlier steps need not be taken again.
        let mut here = tuned.clone();
        here.next();
        for i in 1..tuned.times.len() - 1 {
            let [above, t, below] = [i - 1, i, i + 1].map(|i| tuned.times[i]);
            for other in [t + share * (above - t), t + share * (below - t)] {
                let mut trial = here.clone();
                trial.times[i] = other;
                let error = off(trial);
                if error < best {
                    (best, tuned.times[i], here.times[i]) = (error, other, other);
                    break;
                }
            }
            here.next();
        }
        if best > 0.97 * begun {
            share *= 0.5;
        }
    }
    Ok(Tuned { times: tuned.times, error: best, before })
}

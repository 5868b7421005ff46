//! Times found by trying.
use super::{Sampler, Trajectory, trajectory_from};
use crate::{denoise::Denoiser, distribution::host, error::Error, rng::Rng};
use burn::tensor::Tensor;

/// What [`tune`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The falling times.
    pub times: Vec<f64>,
    /// The mean over the rows of the root mean square distance from the ends they should have, on these times.
    pub error: f64,
    /// The same on the times that were begun with.
    pub before: f64,
}

/// Moves the times of a walk, but for the first and the last, so that walks from `start` end as near to `end` as may be.
///
/// Each time in turn is tried nearer to both its neighbours and stays where the error, the mean over rows of the root mean
/// square distance, is least; the moves get smaller from round to round. A round costs up to two walks of n steps, half of
/// each on the average, for every time. With `end` a solution of high accuracy, the times are those at which this sampler
/// follows the flow of this model best in so many steps; whether they do so from other starts is to be measured on others,
/// and 64 rows are usually enough that they do.
///
/// The idea is that of Tong et al., "Learning to Discretize Denoising Diffusion ODEs" (2024),
/// <https://arxiv.org/abs/2405.15506>; here no gradient is asked for.
///
/// ```
/// use tweedie::{laws, Rng, sample::{Deis, DormandPrince, trajectory_from, tune}, schedule::VariancePreserving, spacing::{Spacing, Uniform}};
/// use burn::tensor::{DType, Device};
/// let model = laws::problem(VariancePreserving::default());
/// let z = Rng::new(0).normal_tensor([32, 2], &Device::flex(), DType::F64);
/// let exact = DormandPrince { absolute: 1e-8, relative: 1e-8 };
/// let end = trajectory_from(&model, &exact, vec![1.0, 0.0], z.clone(), &Rng::new(0))?.last().unwrap().1;
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
) -> Result<Tuned, Error> {
    let off = |walk: Trajectory<'_, D, M>| {
        let last = walk.last().expect("a walk has points").1;
        let rows = last.dims()[0];
        let squares = (last - end.clone()).square().reshape([rows as i32, -1]).mean_dim(1);
        let error = host(squares.sqrt().mean())[0];
        if error.is_nan() { f64::INFINITY } else { error }
    };
    let mut walk = trajectory_from(model, sampler, times, start, rng)?;
    let before = off(walk.clone());
    let (mut best, mut share) = (before, 0.4);
    for _ in 0..rounds {
        let begun = best;
        // The walk as it is before step i; what comes earlier need not be walked again.
        let mut here = walk.clone();
        here.next();
        for i in 1..walk.times.len() - 1 {
            let [above, t, below] = [i - 1, i, i + 1].map(|i| walk.times[i]);
            for other in [t + share * (above - t), t + share * (below - t)] {
                let mut trial = here.clone();
                trial.times[i] = other;
                let error = off(trial);
                if error < best {
                    (best, walk.times[i], here.times[i]) = (error, other, other);
                    break;
                }
            }
            here.next();
        }
        if best > 0.97 * begun {
            share *= 0.5;
        }
    }
    Ok(Tuned { times: walk.times, error: best, before })
}

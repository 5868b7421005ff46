//! Laws of samplers of categories, on exact models.
use super::{Check, Checks};
use crate::{
    distribution::{host, one_hot},
    exact::Joint,
    noise::Discrete,
    rng::Rng,
    sample::{Sampler, trajectory, trajectory_from},
    schedule::{FlowMatching, Linear},
};
use burn::tensor::{Device, Tensor};
use std::collections::{BTreeMap, HashMap};

/// Counts the sequences among `rows` samples, by `steps` even steps of a sampler from t = 1; empty if the sampler
/// refuses the noise.
pub fn sequence_counts(
    model: &Joint,
    sampler: &dyn Sampler<3>,
    steps: usize,
    rows: usize,
    rng: &Rng,
) -> HashMap<Vec<usize>, usize> {
    let length = model.sequences()[0].0.len();
    let mut counts = HashMap::new();
    for x in end_of(model, sampler, steps, rows, rng).unwrap_or_default().chunks(length) {
        *counts.entry(x.to_vec()).or_default() += 1;
    }
    counts
}

/// The total variation distance of samples from the distribution of a model, and the sampling error allowed: half the
/// sum of five standard deviations per sequence.
pub fn total_variation(model: &Joint, counts: &HashMap<Vec<usize>, usize>) -> (f64, f64) {
    let all = counts.values().sum::<usize>() as f64;
    if all == 0.0 {
        return (f64::NAN, 0.0);
    }
    // In order, so that the rounding of the sums is the same in every run.
    let mut known: BTreeMap<&[usize], f64> = BTreeMap::new();
    for (x, p) in model.sequences() {
        *known.entry(x).or_default() += p;
    }
    let inside = known.iter().map(|(x, p)| (counts.get(*x).copied().unwrap_or(0) as f64 / all - p).abs()).sum::<f64>();
    let outside =
        counts.iter().filter(|(x, _)| !known.contains_key(&x[..])).map(|(_, n)| *n).sum::<usize>() as f64 / all;
    let chance = known.values().map(|p| 5.0 * (p * (1.0 - p) / all).sqrt()).sum::<f64>();
    (0.5 * (inside + outside), 0.5 * chance)
}

/// The category indices at the end of a trajectory.
fn end_of(model: &Joint, sampler: &dyn Sampler<3>, steps: usize, rows: usize, rng: &Rng) -> Option<Vec<usize>> {
    let times: Vec<f64> = (0..=steps).rev().map(|i| i as f64 / steps as f64).collect();
    let shape = [rows, model.sequences()[0].0.len(), 1];
    let last = trajectory(model, sampler, times, shape, rng, &Device::flex()).ok()?.last()?.1;
    (last.dims() == shape).then(|| host(last).into_iter().map(|n| n as usize).collect())
}

/// Samplers of categories, on the noises that they do not refuse: samples have no mask, single entries have the data's
/// distribution, rare sequences are sampled rarely, and a row depends on its own stream alone.
///
/// Joint distributions are not compared, since some samplers prefer likely data on purpose: compare those of another by
/// [`total_variation`]. A sampler that refuses both absorbing and uniform noise has no laws here.
///
/// ```
/// use tweedie::{laws, sample::Analytic};
/// assert!(laws::discrete_sampler(&Analytic {}).iter().all(laws::Check::holds));
/// ```
pub fn discrete_sampler(sampler: &dyn Sampler<3>) -> Vec<Check> {
    let noises = [
        ("absorbing", Discrete::absorbing(FlowMatching {}, 5, 4)),
        ("absorbing by a table", Discrete::absorbing(Linear::new(1000), 5, 4)),
        ("uniform", Discrete::uniform(FlowMatching {}, 4)),
    ];
    let mut checks = Checks::default();
    for (name, noise) in noises {
        if sampler.check(&noise).is_err() {
            continue;
        }
        let joint = |sequences| Joint::new(noise.clone(), sequences).expect("few and of one length");
        let letter = joint(vec![(vec![0], 0.5), (vec![1], 0.3), (vec![2], 0.2)]);
        // Four sequences, and all others so rarely that a coarse step may sample them and has to continue from there.
        let sequences = [(vec![0, 1, 2], 0.4), (vec![1, 0, 2], 0.3), (vec![2, 2, 0], 0.2), (vec![0, 0, 0], 0.1)];
        let others = (0..27).map(|i| (vec![i / 9, i / 3 % 3, i % 3], 1e-4));
        let data = joint(sequences.into_iter().chain(others).collect());
        let rng = Rng::new(11);
        for steps in [1, 2, 3] {
            let place = format!("{name}, {steps} steps");
            let last = end_of(&data, sampler, steps, 50, &rng);
            let wrong = last.map_or(f64::NAN, |x| x.iter().filter(|n| **n > 3).count() as f64);
            checks.note("samples of few steps have no mask", place, wrong, 0.0);
        }
        let (far, chance) = total_variation(&letter, &sequence_counts(&letter, sampler, 64, 4000, &rng));
        checks.note("single entries have the data's distribution", format!("{name}, 64 steps"), far, chance + 0.03);
        let counts = sequence_counts(&data, sampler, 64, 4000, &rng);
        let strange = counts.iter().filter(|(x, _)| data.probability(x) < 0.01).map(|(_, n)| *n);
        let strange = if counts.is_empty() { f64::NAN } else { strange.sum::<usize>() as f64 / 4000.0 };
        checks.note("rare sequences are sampled rarely", format!("{name}, 64 steps"), strange, 0.1);

        let all = end_of(&data, sampler, 6, 5, &rng);
        let again = end_of(&data, sampler, 6, 5, &rng);
        let one = end_of(&data, sampler, 6, 1, &rng.from_row(3));
        let differ = |same: bool| f64::from(u8::from(!same));
        checks.note("the same seed gives the same sample", name, differ(all.is_some() && all == again), 0.0);
        let same = all.zip(one).is_some_and(|(all, one)| all[9..12] == one);
        checks.note("a row does not depend on the rest of the batch", name, differ(same), 0.0);
        checks.note("one-hot vectors stay one-hot vectors", name, differ(stays_one_hot(&data, sampler, &rng)), 0.0);
    }
    checks.done()
}

/// Whether a trajectory from one-hot vectors ends in one-hot vectors.
fn stays_one_hot(model: &Joint, sampler: &dyn Sampler<3>, rng: &Rng) -> bool {
    let noise = crate::denoise::Denoiser::noise(model);
    let k = noise.categories().expect("a joint has categories").k;
    let z = noise.stationary([4, 3, 1], &Device::flex()).sample(&mut rng.stream("start")).value;
    let z: Tensor<3> = one_hot(z, k);
    let last = trajectory_from(model, sampler, vec![1.0, 0.6, 0.0], z, rng).ok().and_then(|steps| steps.last());
    last.is_some_and(|(_, x)| {
        let dims = x.dims();
        let values = host(x);
        let hot = |row: &[f64]| row.iter().all(|v| *v == 0.0 || *v == 1.0) && row.iter().sum::<f64>() == 1.0;
        dims == [4, 3, k] && values.chunks(k).all(hot)
    })
}

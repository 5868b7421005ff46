//! The trajectories of `tweedie compare` and their measurement.
use super::{
    entrant::{self, Entrant},
    measurement::{Comparison, Curve, Floor, Gap, Own, Point, error_of},
};
use crate::{
    args,
    output::progress::Progress,
    recipe::sampling,
    registry::{Modules, Rank},
};
use burn::tensor::{DType, Device, Tensor};
use std::{cell::Cell, collections::HashMap, sync::Arc, time::Instant};
use tweedie::{
    Error, Result, Rng,
    denoise::Denoiser,
    distance,
    net::{Condition as _, Conditions},
    noise::{Estimate, Noise},
    sample::{Ddim, DormandPrince, Sampler, trajectory_from, tune},
    schedule::Schedule,
};

/// Number of passes of `--tune` over the timesteps.
const ROUNDS: usize = 8;

/// Batch size of sampling.
const BATCH: usize = 100;

/// Number of directions of the sliced Wasserstein distance; resolves differences of a few percent.
const DIRECTIONS: usize = 200;

/// Number of random splits of the data for the standard deviation of their distance, and the largest size of a part.
const SPLITS: usize = 8;
const SPLIT_ROWS: usize = 1000;

/// A denoiser that counts its evaluations.
struct Counting<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    nfe: Cell<usize>,
    /// Called with the count after each evaluation.
    progress: &'a dyn Fn(usize),
}
impl<const D: usize> Counting<'_, D> {
    fn count(&self) {
        self.nfe.set(self.nfe.get() + 1);
        (self.progress)(self.nfe.get());
    }
}
impl<const D: usize> Denoiser<D> for Counting<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.count();
        self.model.denoise(z, t)
    }
}

/// A model and the references that its samplers are measured against.
pub(super) struct Case<'a, const D: usize> {
    pub model_of: &'a dyn Fn(&Conditions) -> Box<dyn Denoiser<D> + 'a>,
    /// The condition of a number of rows.
    pub classes: &'a dyn Fn(usize) -> Conditions,
    /// How x̂ is clipped.
    pub estimate: &'a str,
    pub schedule: Arc<dyn Schedule>,
    pub dtype: DType,
    pub tolerance: f64,
    /// Data to compare the samples with, and other data of the same distribution.
    pub data: Option<[Tensor<D>; 2]>,
    /// The classes of the data, on which the samples are conditioned.
    pub conditions: Conditions,
    pub shape: [usize; D],
    pub title: &'a str,
    /// The run, if `tweedie sample` can repeat what was compared.
    pub own: Option<Own>,
    pub args: &'a args::Compare,
    pub modules: &'a Modules,
}

/// Initial noise and the end point of the probability-flow ODE from it.
struct Start<const D: usize> {
    z: Tensor<D>,
    end: Tensor<D>,
    rng: Rng,
}

/// The end point of a sampling trajectory.
fn end_of<const D: usize>(
    model: &dyn Denoiser<D>,
    sampler: &dyn Sampler<D>,
    times: Vec<f64>,
    z: Tensor<D>,
    rng: &Rng,
) -> Result<Tensor<D>> {
    Ok(trajectory_from(model, sampler, times, z, rng)?.last().expect("a trajectory has at least two points").1)
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.clone().try_into_vec_as().expect("a tensor can be read back")
}

/// The mean squared difference of each row.
fn squares<const D: usize>(x: Tensor<D>, y: &Tensor<D>) -> Vec<f64> {
    let width = x.dims()[1..].iter().product();
    let mean = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64;
    values(&(x - y.clone())).chunks(width).map(mean).collect()
}

fn distances<const D: usize>(x: &Tensor<D>, y: &Tensor<D>) -> [f64; 2] {
    let width = x.dims()[1..].iter().product();
    distance_of(&values(x), &values(y), width)
}
fn distance_of(x: &[f64], y: &[f64], width: usize) -> [f64; 2] {
    let sliced = distance::sliced_wasserstein(x, y, width, DIRECTIONS, &mut Rng::new(0).stream("directions"));
    [sliced, distance::energy(x, y, width)]
}

/// The distance of two sets of data, and its standard deviation over random splits of their union.
fn floor<const D: usize>([own, other]: &[Tensor<D>; 2], requested: usize) -> Floor {
    let width: usize = own.dims()[1..].iter().product();
    let rows: Vec<Vec<f64>> = [own, other]
        .iter()
        .flat_map(|set| values(set).chunks(width).map(<[f64]>::to_vec).collect::<Vec<_>>())
        .collect();
    let used = own.dims()[0];
    let split_rows = used.min(SPLIT_ROWS);
    let split = |i: usize| {
        let order = Rng::new(i as u64).stream("deal").permutation(rows.len());
        let part = |of: &[usize]| of.iter().flat_map(|&row| rows[row].clone()).collect::<Vec<f64>>();
        distance_of(&part(&order[..split_rows]), &part(&order[used..rows.len().min(used + SPLIT_ROWS)]), width)
    };
    let splits: Vec<[f64; 2]> = (0..SPLITS).map(split).collect();
    // The standard deviation of a distance between samples of one distribution falls as 1/√n, that of its square (the
    // energy distance is one) as 1/n.
    let fewer = split_rows as f64 / used as f64;
    let std = [(0, fewer.sqrt()), (1, fewer)].map(|(k, scale)| {
        let mean = splits.iter().map(|split| split[k]).sum::<f64>() / SPLITS as f64;
        scale * (splits.iter().map(|split| (split[k] - mean).powi(2)).sum::<f64>() / (SPLITS - 1) as f64).sqrt()
    });
    Floor { distances: distances(other, own), std, used, requested }
}

impl<const D: usize> Case<'_, D>
where
    Modules: Rank<D>,
{
    pub(super) fn compare(&self) -> Result<()> {
        let args = self.args;
        let bar = Progress::new(args.quiet, "");
        let progress = |nfe: usize| {
            if nfe.is_multiple_of(20) {
                bar.doing(format!("reference, NFE {nfe}"));
            }
        };
        let quiet = |_: usize| {};
        let model_for = |rows: usize| (self.model_of)(&(self.classes)(rows));
        let model = model_for(self.shape[0]);
        let noise = model.noise();
        if let Some((table, steps)) = noise.steps().and_then(|n| Some((n, args.steps.iter().find(|&&s| s > n)?))) {
            return Err(Error::invalid(format!("`--steps {steps}`: {}", sampling::beyond(table, *steps))));
        }
        let entrants = entrant::entrants(args, self.modules, noise, &self.schedule)?;
        if let Some(out) = &args.out {
            super::output::make(out)?;
        }
        let reference = DormandPrince { absolute: self.tolerance, relative: self.tolerance, max_steps: 20_000 };
        let (mut starts, mut reference_nfe) = (vec![], vec![]);
        for seed in 0..args.seeds as u64 {
            let rng = Rng::new(args.seed.wrapping_add(seed));
            let z = self.start(&rng, self.shape[0], "start");
            let counting = Counting { model: &*model, nfe: Cell::new(0), progress: &progress };
            let end = end_of(&counting, &reference, vec![1.0, 0.0], z.clone(), &rng)?;
            reference_nfe.push(counting.nfe.get());
            starts.push(Start { z, end, rng });
        }
        let counting = Counting { model: &*model, nfe: Cell::new(0), progress: &quiet };
        // Other initial noise for tuning, and the end points from it.
        let practice = match args.tune {
            None => None,
            Some(n) => {
                let (model, rng) = (model_for(n), &starts[0].rng);
                let z = self.start(rng, n, "tune");
                let end = end_of(&*model, &reference, vec![1.0, 0.0], z.clone(), rng)?;
                Some((model, z, end))
            }
        };

        // Errors of DDIM on the first spacing by NFE, from each start: the baseline of the ratios.
        let even = entrants.first().and_then(|first| first.times.clone());
        let final_evaluation = usize::from(self.schedule.at(0.0).sigma > 0.0);
        let mut ddim: HashMap<usize, Option<Vec<f64>>> = HashMap::new();
        let mut baseline = |nfe: usize| -> Result<Option<Vec<f64>>> {
            if let Some(known) = ddim.get(&nfe) {
                return Ok(known.clone());
            }
            let steps = nfe.saturating_sub(final_evaluation);
            let fits = steps > 0 && noise.steps().is_none_or(|table| steps <= table);
            let times = if fits { entrant::grid(even.as_ref(), noise, steps).ok() } else { None };
            let mut errors = None;
            if let Some(times) = times {
                let error = |start: &Start<D>| {
                    let end = end_of(&*model, &Ddim { eta: 0.0 }, times.clone(), start.z.clone(), &start.rng)?;
                    Ok::<_, Error>(error_of(&squares(end, &start.end)))
                };
                errors = Some(starts.iter().map(error).collect::<Result<Vec<f64>>>()?);
            }
            ddim.insert(nfe, errors.clone());
            Ok(errors)
        };

        let cost = |entrant: &Entrant<D>, steps: usize| (entrant.sampler.properties().nfe_per_step * steps) as f64;
        let all: f64 = entrants.iter().flat_map(|entrant| args.steps.iter().map(|&s| cost(entrant, s))).sum();
        let mut done = 0.0;
        let mut curves = vec![];
        bar.begin();
        for entrant in entrants {
            let mut points = vec![];
            for &steps in &args.steps {
                bar.doing(format!("{}, {steps} steps", entrant.label));
                let mut times = entrant::grid(entrant.times.as_ref(), noise, steps)?;
                let practice = practice.as_ref().filter(|_| entrant.sampler.properties().order.is_some() && steps > 1);
                if let Some((model, z, end)) = practice {
                    bar.doing(format!("{}, {steps} steps, timesteps", entrant.label));
                    let rng = &starts[0].rng;
                    times = tune(&**model, &*entrant.sampler, times, z.clone(), end, ROUNDS, rng)?.times;
                }
                counting.nfe.set(0);
                let (mut seconds, mut missed) = (0.0, vec![]);
                for start in &starts {
                    let begun = Instant::now();
                    let end = end_of(&counting, &*entrant.sampler, times.clone(), start.z.clone(), &start.rng)?;
                    seconds += begun.elapsed().as_secs_f64() / starts.len() as f64;
                    missed.push(squares(end, &start.end));
                }
                let nfe = counting.nfe.get() / starts.len();
                let gap = match entrant.sampler.properties().order {
                    None => None,
                    Some(_) => Some(Gap::new(&missed, baseline(nfe)?.as_deref())),
                };
                if let Some([data, _]) = &self.data {
                    let n = crate::messages::count(data.dims()[0], "sample");
                    bar.doing(format!("{}, {steps} steps, {n} and their distances", entrant.label));
                }
                let distances = match &self.data {
                    None => None,
                    Some([data, _]) => Some(distances(&self.samples(&entrant, times.clone(), data.dims()[0])?, data)),
                };
                points.push(Point { steps, nfe, gap, seconds, distances, tuned: practice.map(|_| times) });
                done += cost(&entrant, steps);
                bar.at(done / all);
            }
            let Entrant { label, text, times_text, .. } = entrant;
            curves.push(Curve { label, text, times: times_text, points });
        }
        let least = args.steps.iter().min().copied().unwrap_or(1);
        let largest = baseline(least + final_evaluation)?.map(|errors| errors.into_iter().fold(0.0, f64::max));
        // The distance that a perfect model would have, up to sampling error.
        bar.doing("distances between data".into());
        let floor = self.data.as_ref().map(|data| floor(data, args.samples.unwrap_or(0)));
        bar.clear();
        let Self { args, title, estimate, tolerance, .. } = *self;
        let own = self.own.as_ref();
        let reference_nfe = *reference_nfe.iter().max().expect("there is a seed at least");
        Comparison { args, title, estimate, own, reference_nfe, tolerance, largest, floor, curves }.show()
    }

    /// Noise with the standard deviation σ(1).
    fn start(&self, rng: &Rng, rows: usize, purpose: &str) -> Tensor<D> {
        let mut shape = self.shape;
        shape[0] = rows;
        rng.stream(purpose).normal_tensor(shape, &Device::flex(), self.dtype) * self.schedule.at(1.0).sigma
    }

    /// As many samples as there are data, conditioned on the same classes.
    fn samples(&self, entrant: &Entrant<D>, times: Vec<f64>, n: usize) -> Result<Tensor<D>> {
        let own = Rng::new(self.args.seed);
        let z = self.start(&own, n, "samples");
        let mut samples = vec![];
        for first in (0..n).step_by(BATCH) {
            let rows = BATCH.min(n - first);
            let classes = self.conditions.select(&(first..first + rows).collect::<Vec<_>>());
            let model = (self.model_of)(&classes);
            let rng = own.stream("samples").from_row(first as u64);
            let z = z.clone().narrow(0, first, rows);
            samples.push(end_of(&*model, &*entrant.sampler, times.clone(), z, &rng)?);
        }
        Ok(Tensor::cat(samples, 0))
    }
}

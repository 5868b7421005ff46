//! `tweedie compare`: samplers on one model, against a solution of high accuracy and against the data.
mod told;

use crate::{
    args,
    data::{Facts, Loaded, Set, Split},
    device,
    named::{Modules, Rank},
    recipe::Recipe,
    sample, session,
    spec::{self, DataSpec, Plan},
    words,
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::{cell::Cell, path::Path, sync::Arc, time::Instant};
use told::{Row, Told};
use tweedie::{
    Error, Result, Rng,
    denoise::Denoiser,
    distance, laws,
    net::Classes,
    noise::{Estimate, Noise},
    sample::{DormandPrince, Sampler, reverse_from, tune},
    schedule::{Edm, OrnsteinUhlenbeck, Schedule, VariancePreserving},
    spacing::Spacing,
    train::Parameters,
};

/// Exact problems by name: a mixture of three Gaussians in the plane under a schedule.
const EXACT: [&str; 3] = ["variance-preserving", "ornstein-uhlenbeck", "edm"];

/// How often `--tune` goes through the times.
const ROUNDS: usize = 8;

/// How many samples are drawn at a time.
const BATCH: usize = 100;

pub(crate) fn run(args: &args::Compare, modules: &Modules) -> Result<()> {
    if args.steps.is_empty() || args.steps.contains(&0) || args.n == 0 {
        return Err(Error::Unfit("`--steps` lists numbers of 1 or more, and `--n` is 1 or more".into()));
    }
    if args.samples.is_some_and(|n| n < 2) {
        return Err(Error::Unfit("`--samples` is 2 or more: a distance between sets needs sets".into()));
    }
    if args.tune == Some(0) {
        return Err(Error::Unfit("`--tune` is 1 or more, and 64 walks are usually enough".into()));
    }
    if let Some(problem) = args.model.to_str().filter(|name| EXACT.contains(name)) {
        if args.unclamped {
            return Err(Error::Unfit(
                "`--unclamped` is about the nets of runs: an exact x̂ is as it is in any case".into(),
            ));
        }
        return exact(problem, args, modules);
    }
    if !args.model.exists() {
        let known = EXACT.map(str::to_owned);
        return Err(Error::Unfit(format!(
            "{} is neither the folder of a run nor an exact problem{} The exact problems are {}.",
            args.model.display(),
            words::meant(&args.model.display().to_string(), &known),
            words::list(&known)
        )));
    }
    let device = device::named("cpu")?;
    let sample::Opened { weights, facts, recipe, .. } = sample::open(&args.model)?;
    let data = DataSpec::new(&recipe, modules)?;
    let from = Of { args, modules, recipe: &recipe, data: &data, facts: &facts, device: &device, weights: &weights };
    match facts.shape.len() {
        1 => from.compare::<2>(|loaded| match loaded {
            Loaded::Two(set) => Some(set),
            _ => None,
        }),
        2 => from.compare::<3>(|loaded| match loaded {
            Loaded::Three(set) => Some(set),
            _ => None,
        }),
        3 => from.compare::<4>(|loaded| match loaded {
            Loaded::Four(set) => Some(set),
            _ => None,
        }),
        _ => Err(Error::Unfit(format!("samples of shape {:?} cannot be drawn by this build", facts.shape))),
    }
}

fn exact(problem: &str, args: &args::Compare, modules: &Modules) -> Result<()> {
    let schedule: Arc<dyn Schedule> = match problem {
        "edm" => Arc::new(Edm { min: 0.02, max: 20.0, rho: 7.0 }),
        "ornstein-uhlenbeck" => Arc::new(OrnsteinUhlenbeck {}),
        _ => Arc::new(VariancePreserving::default()),
    };
    let model = laws::problem(schedule.clone());
    let plane = |rows: Vec<Vec<f64>>| -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), (&Device::flex(), DType::F64))
    };
    let draw = |n: usize, purpose: &str| plane(model.sample(n, &mut Rng::new(args.seed).stream(purpose)));
    let case = Case::<2> {
        model_of: &|_, _| Box::new(&model),
        classes: &|_| Classes::none(),
        guess: "x̂ as the model says it",
        schedule,
        dtype: DType::F64,
        tolerance: 1e-10,
        data: args.samples.map(|n| [draw(n, "data"), draw(n, "other data")]),
        told: Classes::none(),
        shape: [args.n, 2],
        title: problem,
        args,
        modules,
    };
    case.compare()
}

struct Of<'a> {
    args: &'a args::Compare,
    modules: &'a Modules,
    recipe: &'a Recipe,
    data: &'a DataSpec,
    facts: &'a Facts,
    device: &'a Device,
    weights: &'a Path,
}
impl Of<'_> {
    fn compare<const D: usize>(&self, of_rank: fn(Loaded) -> Option<Box<dyn Set<D>>>) -> Result<()>
    where
        Modules: Rank<D>,
    {
        let facts = self.facts.clone();
        let mut plan = Plan::<D>::new(self.recipe, self.modules, self.data, &facts)?;
        if self.args.unclamped {
            (plan.x.bounded, plan.sample.threshold) = (false, None);
        }
        let guess = match (plan.x.bounded, plan.sample.threshold) {
            (_, Some(_)) => "x̂ kept within each sample's own range",
            (true, None) => "x̂ kept within the range of the data",
            (false, None) => "x̂ as the model says it",
        };
        if plan.noise.path().is_none() {
            return Err(Error::Unfit(format!(
                "{} is a model of categories, whose samplers draw at random: there is no flow to compare them on; \
                 `tweedie evaluate` measures it",
                self.args.model.display()
            )));
        }
        let read = |like: &Parameters| tweedie::train::Checkpoint::load_weights(self.weights, like, self.device);
        let artist = plan.net.artist(plan.made(), self.device, &read)?;
        let mut shape = [self.args.n; D];
        shape[1..].copy_from_slice(&plan.x.shape);
        if plan.transform.is_some() && self.args.samples.is_some() {
            return Err(Error::Unfit(format!(
                "`--samples` measures distances of samples to data, and those of {} are words: `tweedie evaluate` measures it",
                self.args.model.display()
            )));
        }
        let (mut data, mut told) = (None, Classes::none());
        if let Some(n) = self.args.samples {
            let load = |split| Ok::<_, Error>(self.data.load(self.recipe, split)?.and_then(of_rank));
            let take = |set: &dyn Set<D>| {
                let mut rows = Rng::new(self.args.seed).stream("rows").permutation(set.len());
                rows.truncate(n);
                set.batch(&rows, &Rng::new(self.args.seed).stream("data"), self.device)
            };
            let learnt = load(Split::Train)?.ok_or_else(|| Error::Unfit("the run's data are gone".into()))?;
            let (other, _) = take(&*learnt);
            // Held out, where there are any: what was learned by heart is no nearer to them.
            let (own, classes) = match load(Split::Test)? {
                Some(set) if set.len() > 1 => take(&*set),
                _ => take(&*learnt),
            };
            told = classes;
            data = Some([own, other]);
        }
        let case = Case::<D> {
            model_of: &|classes, rows| {
                let model = artist.guided(classes, rows, plan.sample.guidance, plan.clamp());
                session::thresholded(model, plan.sample.threshold)
            },
            classes: &|rows| sample::in_turn(&facts, rows),
            guess,
            schedule: plan.schedule.clone(),
            dtype: DType::F32,
            tolerance: 1e-5,
            data,
            told,
            shape,
            title: &self.args.model.display().to_string(),
            args: self.args,
            modules: self.modules,
        };
        case.compare()
    }
}

/// A denoiser that counts how often it is asked.
struct Counting<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    calls: Cell<usize>,
}
impl<const D: usize> Denoiser<D> for Counting<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.calls.set(self.calls.get() + 1);
        self.model.predict(z, t)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.calls.set(self.calls.get() + 1);
        self.model.denoise(z, t)
    }
}

/// A model, and what its samplers are measured against.
struct Case<'a, const D: usize> {
    model_of: &'a dyn Fn(&Classes, usize) -> Box<dyn Denoiser<D> + 'a>,
    /// What so many rows of walks are told.
    classes: &'a dyn Fn(usize) -> Classes,
    /// What is done to x̂.
    guess: &'a str,
    schedule: Arc<dyn Schedule>,
    dtype: DType,
    tolerance: f64,
    /// Data to measure the samples by, and others.
    data: Option<[Tensor<D>; 2]>,
    /// What the samples are told: the classes of the data.
    told: Classes,
    shape: [usize; D],
    title: &'a str,
    args: &'a args::Compare,
    modules: &'a Modules,
}

/// A sampler on some times.
struct Entrant<const D: usize> {
    name: String,
    sampler: Box<dyn Sampler<D>>,
    /// None for those of the noise.
    times: Option<(String, Arc<dyn Spacing>)>,
}
/// What a flag says of a module, in a few words: its name, and the fields that were given.
fn short(text: &str) -> String {
    let table = sample::module_of(text);
    let name = table.get("name").and_then(|name| name.as_str()).unwrap_or(text);
    let fields = table.iter().filter(|(key, _)| *key != "name").map(|(key, value)| format!(" {key}={value}"));
    fields.fold(name.to_owned(), |all, field| all + &field)
}

impl<const D: usize> Entrant<D> {
    fn label(&self) -> String {
        match &self.times {
            None => short(&self.name),
            Some((times, _)) => format!("{} on {}", short(&self.name), short(times)),
        }
    }
    fn times(&self, noise: &dyn Noise<D>, steps: usize) -> Result<Vec<f64>> {
        match &self.times {
            None => Ok(tweedie::model::grid(noise, steps)),
            Some((_, times)) => spec::from_noise(&**times, steps),
        }
    }
}

/// As many directions as tell distances of samples apart by a few per cent.
const DIRECTIONS: usize = 200;

fn distances<const D: usize>(x: &Tensor<D>, y: &Tensor<D>) -> [f64; 2] {
    let numbers = |x: &Tensor<D>| x.clone().try_into_vec_as::<f64>().expect("a tensor can be read back");
    let width = x.dims()[1..].iter().product();
    let (x, y) = (numbers(x), numbers(y));
    let sliced = distance::sliced_wasserstein(&x, &y, width, DIRECTIONS, &mut Rng::new(0).stream("directions"));
    [sliced, distance::energy(&x, &y, width)]
}

impl<const D: usize> Case<'_, D>
where
    Modules: Rank<D>,
{
    /// Each sampler on each list of times.
    fn entrants(&self, noise: &dyn Noise<D>) -> Result<Vec<Entrant<D>>> {
        let shelf = &Rank::<D>::ranked(self.modules).samplers;
        let mut asked: Vec<String> = self.args.sampler.clone();
        let all = asked.is_empty();
        if all {
            asked = shelf.faces().map(|face| face.name.clone()).collect();
        }
        let times: Vec<Option<&String>> = match self.args.times.as_slice() {
            [] => vec![None],
            times => times.iter().map(Some).collect(),
        };
        let mut entrants = vec![];
        for name in &asked {
            for text in &times {
                let mut recipe = Recipe::parse("the sampler", String::new())?;
                let table = toml::Value::Table(sample::module_of(name));
                recipe.put("sample.sampler", table, format!("--sampler {name}"))?;
                let (sampler, _) = recipe.module("sampler", "sample.sampler", shelf, &[])?;
                let fits = sampler.check(noise);
                if all {
                    // Samplers with noise of their own are measured by their samples alone.
                    if fits.is_err() || sampler.order().is_none() && self.data.is_none() {
                        continue;
                    }
                } else {
                    fits.map_err(|error| recipe.blame("sample.sampler", error))?;
                    if self.args.tune.is_some() && sampler.order().is_none() {
                        let why = "`--tune` moves times towards the end of the flow, and this sampler follows none: it has noise of its own";
                        return Err(recipe.blame("sample.sampler", Error::Unfit(why.into())));
                    }
                }
                let times = match text.filter(|text| *text != "even") {
                    None => None,
                    Some(text) => {
                        let table = toml::Value::Table(sample::module_of(text));
                        recipe.put("sample.times", table, format!("--times {text}"))?;
                        let (times, _) = spec::spacing(&recipe, self.modules, "sample.times", &self.schedule)?;
                        Some((text.clone(), times))
                    }
                };
                entrants.push(Entrant { name: name.clone(), sampler, times });
            }
        }
        Ok(entrants)
    }

    fn compare(&self) -> Result<()> {
        let args = self.args;
        let model_for = |rows: usize| (self.model_of)(&(self.classes)(rows), rows);
        let model = model_for(self.shape[0]);
        let sigma = self.schedule.at(1.0).sigma;
        let start = |rows: usize, purpose: &str| {
            let mut shape = self.shape;
            shape[0] = rows;
            Rng::new(args.seed).stream(purpose).normal_tensor(shape, &Device::flex(), self.dtype) * sigma
        };
        let z = start(self.shape[0], "start");
        let counting = Counting { model: &*model, calls: Cell::new(0) };
        let walk = |model: &dyn Denoiser<D>, sampler: &dyn Sampler<D>, times: Vec<f64>, z: Tensor<D>, rng: &Rng| {
            let walk = reverse_from(model, sampler, times, z, rng)?;
            Ok::<_, Error>(walk.last().expect("a walk has points").1)
        };
        let rng = Rng::new(args.seed);
        let reference = DormandPrince { absolute: self.tolerance, relative: self.tolerance };
        let truth = walk(&counting, &reference, vec![1.0, 0.0], z.clone(), &rng)?;
        let reference_calls = counting.calls.get();

        // Other walks, and where they should end.
        let practice = match args.tune {
            None => None,
            Some(n) => {
                let (model, z) = (model_for(n), start(n, "tune"));
                let end = walk(&*model, &reference, vec![1.0, 0.0], z.clone(), &rng)?;
                Some((model, z, end))
            }
        };

        let mut rows = vec![];
        let entrants = self.entrants(model.noise())?;
        let (mut bar, all) = (sample::Progress::new(args.json, "walking"), entrants.len() * args.steps.len());
        for entrant in entrants {
            for &steps in &args.steps {
                bar.at(rows.len() as f64 / all as f64);
                let mut times = entrant.times(model.noise(), steps)?;
                let practice = practice.as_ref().filter(|_| entrant.sampler.order().is_some() && steps > 1);
                if let Some((model, z, end)) = practice {
                    times = tune(&**model, &*entrant.sampler, times, z.clone(), end, ROUNDS, &rng)?.times;
                }
                counting.calls.set(0);
                let begun = Instant::now();
                let end = walk(&counting, &*entrant.sampler, times.clone(), z.clone(), &rng)?;
                let seconds = begun.elapsed().as_secs_f64();
                let calls = counting.calls.get();
                let root = (end - truth.clone()).square().mean().sqrt();
                let error = root.try_into_vec_as::<f64>().expect("a tensor can be read back")[0];
                let error = entrant.sampler.order().map(|_| error);
                let distances = match &self.data {
                    None => None,
                    Some([data, _]) => {
                        Some(distances(&self.draw(&entrant, times.clone(), data.dims()[0], &start)?, data))
                    }
                };
                let tuned = practice.map(|_| times);
                rows.push(Row { sampler: entrant.label(), steps, calls, error, seconds, distances, tuned });
            }
        }
        bar.clear();
        // What no model can be nearer than, up to chance.
        let floor = self.data.as_ref().map(|[data, other]| distances(other, data));
        let Self { args, title, guess, tolerance, .. } = *self;
        Told { args, title, guess, reference_calls, tolerance, floor, rows }.tell()
    }

    /// As many samples as there are data, of the same classes.
    fn draw(
        &self,
        entrant: &Entrant<D>,
        times: Vec<f64>,
        n: usize,
        start: &dyn Fn(usize, &str) -> Tensor<D>,
    ) -> Result<Tensor<D>> {
        use tweedie::net::Condition as _;
        let z = start(n, "samples");
        let mut drawn = vec![];
        for first in (0..n).step_by(BATCH) {
            let rows = BATCH.min(n - first);
            let classes = self.told.select(&(first..first + rows).collect::<Vec<_>>());
            let model = (self.model_of)(&classes, rows);
            let rng = Rng::new(self.args.seed).stream("samples").from_row(first as u64);
            let z = z.clone().narrow(0, first, rows);
            let walk = reverse_from(&*model, &*entrant.sampler, times.clone(), z, &rng)?;
            drawn.push(walk.last().expect("a walk has points").1);
        }
        Ok(Tensor::cat(drawn, 0))
    }
}

//! `tweedie compare`: samplers on one model, measured against a high-accuracy reference solution and against data.
mod case;
mod entrant;
mod measurement;
pub(crate) mod output;
mod picture;

pub(crate) use entrant::short;

use crate::{
    args,
    commands::{of_rank, sample},
    data::{DataKind, Facts, Set, Split},
    device,
    dyn_model::{self, ModelParts},
    messages,
    needs::Needs,
    recipe::Recipe,
    recipe::memory,
    recipe::plan::{DataSpec, Plan},
    recipe::sections::MAX_STEPS,
    registry::{Modules, Rank},
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use case::Case;
use measurement::Own;
use std::{path::Path, sync::Arc};
use tweedie::{
    Error, Precision, Result, Rng,
    condition::Conditions,
    laws,
    schedule::{Edm, OrnsteinUhlenbeck, Schedule, VariancePreserving},
    train::Parameters,
};

/// The default of `--steps`.
const DEFAULT_STEPS: [usize; 4] = [5, 10, 20, 40];

/// The most seeds that are compared.
const MAX_SEEDS: usize = 10_000;

/// Exact problems by name: a mixture of three Gaussians in the plane under a schedule.
const EXACT: [&str; 3] = ["variance-preserving", "ornstein-uhlenbeck", "edm"];

pub(crate) fn run(args: &args::Compare, modules: &Modules) -> Result<()> {
    let mut args = args.clone();
    args.steps.sort_unstable();
    args.steps.dedup();
    let args = &args;
    if args.steps.contains(&0) {
        return Err(Error::invalid("`--steps` must list step counts of 1 or more, got 0"));
    }
    if let Some(steps) = args.steps.iter().find(|steps| **steps > MAX_STEPS) {
        return Err(Error::invalid(format!("`--steps` must be at most {}, got {steps}", messages::grouped(MAX_STEPS))));
    }
    if args.seeds > MAX_SEEDS {
        return Err(Error::invalid(format!(
            "`--seeds` must be at most {}, got {}",
            messages::grouped(MAX_SEEDS),
            args.seeds
        )));
    }
    if args.n == 0 {
        return Err(Error::invalid("`--n` must be 1 or more"));
    }
    if args.seeds == 0 {
        return Err(Error::invalid("`--seeds` must be 1 or more"));
    }
    if args.samples.is_some_and(|n| n < 2) {
        return Err(Error::invalid("`--samples` must be 2 or more"));
    }
    if args.tune == Some(0) {
        return Err(Error::invalid("`--tune` must be 1 or more; 64 trajectories are usually enough"));
    }
    if let Some(problem) = args.model.to_str().filter(|name| EXACT.contains(name)) {
        if args.no_clip {
            return Err(Error::invalid(
                "`--no-clip` applies to the networks of runs: an exact denoiser is never clipped",
            ));
        }
        return exact(problem, args, modules);
    }
    if !args.model.exists() {
        let known = EXACT.map(str::to_owned);
        return Err(Error::invalid(format!(
            "{} is neither the folder of a run nor an exact problem{} Exact problems: {}",
            args.model.display(),
            messages::meant(&args.model.display().to_string(), &known),
            messages::list(&known)
        )));
    }
    let device = device::named("cpu")?;
    let sample::Opened { weights, facts, recipe, .. } = sample::open(&args.model)?;
    let data = DataSpec::new(&recipe, modules)?.knowing(&facts).quiet(args.quiet);
    let from = Of { args, modules, recipe: &recipe, data: &data, facts: &facts, device: &device, weights: &weights };
    match facts.kind()? {
        DataKind::Points => from.compare::<2>(),
        DataKind::Sequences | DataKind::Signals => from.compare::<3>(),
        DataKind::Images => from.compare::<4>(),
        DataKind::Volumes => from.compare::<5>(),
    }
}

fn exact(problem: &str, args: &args::Compare, modules: &Modules) -> Result<()> {
    let schedule: Arc<dyn Schedule> = match problem {
        "edm" => Arc::new(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 }),
        "ornstein-uhlenbeck" => Arc::new(OrnsteinUhlenbeck {}),
        _ => Arc::new(VariancePreserving::default()),
    };
    let model = laws::problem(schedule.clone());
    let plane = |rows: Vec<Vec<f64>>| -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), (&Device::flex(), DType::F64))
    };
    memory_of(args, &Needs::default())?;
    let draw = |n: usize, purpose: &str| plane(model.sample(n, &mut Rng::new(args.seed).stream(purpose)));
    let case = Case::<2> {
        model_of: &|_| Box::new(&model),
        classes: &|_| Conditions::none(),
        estimate: "x̂ not clipped",
        schedule,
        dtype: DType::F64,
        tolerance: 1e-10,
        data: args.samples.map(|n| [draw(n, "data"), draw(n, "other data")]),
        conditions: Conditions::none(),
        shape: [args.n, 2],
        title: problem,
        own: None,
        args,
        modules,
    };
    case.compare()
}

/// Checks that the samples that are held at once fit into the memory that is free.
fn memory_of(args: &args::Compare, needs: &Needs) -> Result<()> {
    // A solver keeps the states of its stages, an adaptive one of the rows together; a start and its end for each seed.
    let starts = args.seeds as f64;
    memory::check_flag("--n", args.n, &|n| needs.solving(n) + needs.keeping(n) * 2.0 * starts)?;
    memory::check_flag("--tune", args.tune.unwrap_or(1), &|n| needs.solving(n))?;
    memory::check_flag("--samples", args.samples.unwrap_or(2), &|n| needs.keeping(n) * 8.0)
}

/// An opened run.
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
    /// The run's folder and the modules that its recipe names, for the suggested command.
    fn own(&self) -> Own {
        let name = |path: &str| self.recipe.module_name(path).map(str::to_owned);
        Own { run: self.args.model.display().to_string(), sampler: name("sample.sampler"), times: name("sample.times") }
    }

    fn compare<const D: usize>(&self) -> Result<()>
    where
        Modules: Rank<D>,
    {
        let facts = self.facts.clone();
        let mut plan = Plan::<D>::new(self.recipe, self.modules, self.data, &facts)?;
        if self.args.no_clip {
            (plan.x.bounded, plan.sample.threshold) = (false, None);
        }
        let estimate = match (plan.x.bounded, plan.sample.threshold) {
            (_, Some(_)) => "x̂ dynamically thresholded",
            (true, None) => "x̂ clipped to the data range",
            (false, None) => "x̂ not clipped",
        };
        if plan.noise.path().is_none() && !plan.noise.categorical() {
            return Err(Error::invalid(format!(
                "the noise of {} has no schedule of α and σ (its `Noise::path` is `None`), and so no probability-flow ODE to \
                 compare samplers on; use `tweedie evaluate`",
                self.args.model.display()
            )));
        }
        if plan.noise.path().is_none() {
            return Err(Error::invalid(format!(
                "{} is a model of categorical data, which has no probability-flow ODE to compare samplers on; \
                 use `tweedie evaluate`",
                self.args.model.display()
            )));
        }
        // The default counts as far as a table has them.
        let mut args = self.args.clone();
        if let Some(table) = plan.noise.steps().filter(|_| args.steps == DEFAULT_STEPS) {
            args.steps.retain(|steps| *steps <= table);
            if args.steps.is_empty() {
                args.steps = vec![table];
            }
        }
        let args = &args;
        memory_of(args, &Needs::of(&plan))?;
        let read = |like: &Parameters| tweedie::train::Checkpoint::load_weights(self.weights, like, self.device);
        // Rounding would be measured as an error of the samplers.
        let parts = ModelParts { precision: Precision::F32, ..plan.model_parts() };
        let model = plan.net.model(parts, self.device, &read)?;
        let mut shape = [self.args.n; D];
        shape[1..].copy_from_slice(&plan.x.shape);
        if plan.transform.is_some() && self.args.samples.is_some() {
            return Err(Error::invalid(format!(
                "`--samples` measures distances in data space, and the data of {} are text: use `tweedie evaluate`",
                self.args.model.display()
            )));
        }
        let (mut data, mut conditions) = (None, Conditions::none());
        if self.args.samples.is_none() && sample::conditions::has_named(&facts) {
            let set = match self.data.load(self.recipe, Split::Test)? {
                Some(set) => Some(set),
                None => self.data.load(self.recipe, Split::Train)?,
            };
            let set = set.and_then(of_rank::<D>);
            conditions = set.map_or(Conditions::none(), |set| sample::conditions::of_data(&*set, self.args.n));
        }
        if let Some(n) = self.args.samples {
            let load = |split| Ok::<_, Error>(self.data.load(self.recipe, split)?.and_then(of_rank::<D>));
            let take = |set: &dyn Set<D>| {
                let mut rows = Rng::new(self.args.seed).stream("rows").permutation(set.len());
                rows.truncate(n);
                set.batch(&rows, &Rng::new(self.args.seed).stream("data"), self.device)
            };
            let train_set =
                load(Split::Train)?.ok_or_else(|| Error::invalid("the training data of the run are missing"))?;
            if train_set.len() < 2 {
                return Err(Error::invalid(format!(
                    "`--samples` measures distances between two sets of 2 or more, and the training data of {} are 1 \
                     sample: leave out `--samples`",
                    self.args.model.display()
                )));
            }
            let (other, _) = take(&*train_set);
            // Held-out data if there are any, so that memorization is not rewarded.
            let (own, classes) = match load(Split::Test)? {
                Some(set) if set.len() > 1 => take(&*set),
                _ => take(&*train_set),
            };
            conditions = if plan.train.cond_dropout == 1.0 { Conditions::none() } else { classes };
            data = Some([own, other]);
        }
        let examples = conditions.clone();
        let case = Case::<D> {
            model_of: &|classes| {
                let denoiser = model.guided(classes, plan.sample.guidance);
                dyn_model::thresholded(denoiser, plan.sample.threshold)
            },
            classes: &|rows| sample::conditions::default(&facts, &plan.train, &examples, rows),
            estimate,
            schedule: plan.schedule.schedule()?,
            dtype: DType::F32,
            tolerance: 1e-5,
            data,
            conditions,
            shape,
            title: &self.args.model.display().to_string(),
            own: (!self.args.no_clip).then(|| self.own()),
            args,
            modules: self.modules,
        };
        case.compare()
    }
}

//! `tweedie sample`: generates samples from a trained run.
mod classes;
pub(crate) mod conditions;

use crate::{
    args,
    commands::of_rank,
    data::{DataKind, Facts, Split, data_error},
    device,
    dyn_model::{Known, SampleRequest, generate},
    messages,
    needs::{self, Needs},
    output::console::{note, say},
    output::progress::Progress,
    output::sample_files,
    output::text,
    recipe::Recipe,
    recipe::plan::{DataSpec, Plan},
    registry::{Modules, Rank, settings::Part},
    run_dir::{RunDir, facts_from, read_metadata, step_of},
};
use burn::tensor::Device;
use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};
use tweedie::{
    Error, Result,
    condition::Conditions,
    sample::Diagnosis,
    train::{Checkpoint, Parameters},
};
use tweedie_data::npy;

/// Number of timesteps in a picture of trajectories.
pub(crate) const FRAMES: usize = 11;

/// Runs the command.
pub(crate) fn run(args: &args::Sample, modules: &Modules) -> Result<()> {
    let device = device::named(&args.device)?;
    let Opened { weights, base, name, facts, mut recipe } = open(&args.run)?;
    flags(&mut recipe, args)?;
    let data = DataSpec::new(&recipe, modules)?.knowing(&facts).quiet(args.quiet);
    let case =
        Case { args, modules, recipe: &recipe, data: &data, facts: &facts, device: &device, weights, base, name };
    match facts.kind()? {
        DataKind::Points => case.sample::<2>(),
        DataKind::Sequences | DataKind::Signals => case.sample::<3>(),
        DataKind::Images => case.sample::<4>(),
        DataKind::Volumes => case.sample::<5>(),
    }
}

/// A run without its weights.
pub(crate) struct Opened {
    pub weights: PathBuf,
    /// The folder in which samples are written, into the first free of `NAME`, `NAME-2`, ….
    pub base: PathBuf,
    pub name: String,
    pub facts: Facts,
    pub recipe: Recipe,
}

/// Opens a run, or one of its checkpoints.
pub(crate) fn open(run: &Path) -> Result<Opened> {
    let (weights, base, name) = weights(run)?;
    let notes = read_metadata(&weights)?;
    let facts = facts_from(&notes, &weights)?;
    let text = notes.get("recipe").cloned().unwrap_or_default();
    let recipe = Recipe::parse(&format!("the recipe of {}", run.display()), text)?;
    Ok(Opened { weights, base, name, facts, recipe })
}

/// The file of weights that a path stands for, and where its samples are written: a folder, and a name in it.
fn weights(run: &Path) -> Result<(PathBuf, PathBuf, String)> {
    let usual = "samples".to_owned();
    if run.is_file() {
        if run.extension().is_none_or(|ending| ending != "safetensors") {
            return Err(Error::invalid(format!(
                "{} is not a checkpoint: give the folder of a run, as runs/digits, or one of its .safetensors files",
                run.display()
            )));
        }
        let beside = |depth| run.ancestors().nth(depth).map(|folder| RunDir(folder.to_path_buf()));
        let stem = run.file_stem().unwrap_or_default().to_string_lossy();
        return Ok(match [beside(1), beside(2)] {
            [Some(folder), _] if folder.is_run() => (run.to_path_buf(), folder.0, usual),
            // A checkpoint of a run.
            [_, Some(folder)] if folder.is_run() => (run.to_path_buf(), folder.0, format!("samples-{stem}")),
            _ => (run.to_path_buf(), run.with_extension(""), usual),
        });
    }
    let folder = RunDir::open(run, "give the folder of a run, as runs/digits; `tweedie train` makes one")?;
    let device = Device::flex();
    let mut warn = |text: String| note(&format!("warning: {text}"));
    let finished = step_of(&folder.model());
    // A resumed run has checkpoints that are newer than the final weights of the run before.
    let newest = folder.newest_step();
    if let Some(finished) = finished
        && newest.is_none_or(|newest| newest <= finished)
    {
        return Ok((folder.model(), folder.0, usual));
    }
    match folder.latest(&device, &|_| Ok(()), &mut warn) {
        Ok(Some(read)) if finished.is_none_or(|finished| read.checkpoint.step > finished) => {
            Ok((read.path, folder.0, usual))
        }
        _ if finished.is_some() => Ok((folder.model(), folder.0, usual)),
        Err(error) => Err(error),
        Ok(_) => Err(Error::invalid(format!(
            "{} has no checkpoint to sample from: continue its training with `tweedie train --resume --out {}`",
            folder.0.display(),
            folder.typed()
        ))),
    }
}

/// Creates the first of `base/name`, `base/name-2`, … that does not exist.
fn free_folder(base: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(base).map_err(Error::io(base, "create the folder"))?;
    for n in 1.. {
        let out = base.join(if n == 1 { name.to_owned() } else { format!("{name}-{n}") });
        match fs::create_dir(&out) {
            Ok(()) => return Ok(out),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(&out, "create the folder")(error)),
        }
    }
    unreachable!("one of infinitely many folders is free")
}

/// Writes the command line's values into the recipe.
fn flags(recipe: &mut Recipe, args: &args::Sample) -> Result<()> {
    for (flag, value) in [("n", args.n), ("steps", args.steps), ("batch", args.batch), ("top-k", args.top_k)] {
        if let Some(value) = value {
            let number =
                i64::try_from(value).map_err(|_| Error::invalid(format!("`--{flag} {value}` is too large")))?;
            recipe.put(
                &format!("sample.{}", flag.replace('-', "_")),
                Value::Integer(number),
                format!("--{flag} {value}"),
            )?;
        }
    }
    for (flag, value) in [
        ("guidance", args.guidance),
        ("temperature", args.temperature),
        ("top-p", args.top_p),
        ("threshold", args.threshold),
    ] {
        if let Some(value) = value {
            recipe.put(
                &format!("sample.{}", flag.replace('-', "_")),
                Value::Float(value),
                format!("--{flag} {value}"),
            )?;
        }
    }
    if let Some(name) = &args.precision {
        recipe.put("sample.precision", Value::String(name.clone()), format!("--precision {name}"))?;
    }
    for (field, value) in [("sampler", &args.sampler), ("times", &args.times)] {
        let Some(value) = value else { continue };
        let path = format!("sample.{field}");
        // If the recipe names the same module, its settings stay.
        if recipe.module_name(&path) != Some(value) {
            recipe.put(&path, Value::Table(module_of(value)?), format!("--{field} {value}"))?;
        }
    }
    Ok(())
}

/// Parses a module given as a flag: its name, or an inline table with `name`.
pub(crate) fn module_of(text: &str) -> Result<Table> {
    match format!("x = {text}").parse::<Table>() {
        Ok(mut table) => match table.remove("x") {
            Some(Value::Table(own)) if table.is_empty() => Ok(own),
            _ => Ok(Part::named(text).0),
        },
        Err(error) if text.trim_start().starts_with('{') => {
            let why = match text.matches('{').count() > text.matches('}').count() {
                true => "the closing `}` is missing".into(),
                false => error.message().trim().replace('\n', "; "),
            };
            Err(Error::invalid(format!("`{text}` is not a table as in '{{ name = \"ddim\", eta = 1 }}': {why}")))
        }
        Err(_) => Ok(Part::named(text).0),
    }
}

struct Case<'a> {
    args: &'a args::Sample,
    modules: &'a Modules,
    recipe: &'a Recipe,
    data: &'a DataSpec,
    facts: &'a Facts,
    device: &'a Device,
    weights: PathBuf,
    base: PathBuf,
    name: String,
}

impl Case<'_> {
    /// The shape of a sample of x, and what is given of each.
    fn shape_and_known<const D: usize>(&self, plan: &Plan<D>) -> Result<(Vec<usize>, Option<Known>)> {
        let args = self.args;
        let mut shape = plan.x.shape.clone();
        let codec = self.facts.categories.as_ref().and_then(|categories| categories.codec());
        if let Some(length) = args.length {
            if plan.x.categories.is_none() || codec.is_none() {
                return Err(Error::invalid("`--length` needs a model of text with categorical noise"));
            }
            let read = plan.resolved.get("sample").and_then(|table| table.get("sampler")).and_then(Value::as_table);
            let window = read.filter(|sampler| sampler.get("name").and_then(Value::as_str) == Some("blocks"));
            let window = window.and_then(|sampler| sampler.get("window")?.as_integer()).unwrap_or(i64::MAX);
            if length == 0 || length > shape[0] && window > shape[0] as i64 {
                return Err(Error::invalid(format!(
                    "`--length {length}`: the model generates 1 to {most} tokens at once; sample longer text block by \
                     block with --sampler '{{ name = \"blocks\", block = {half}, window = {most} }}'",
                    most = shape[0],
                    half = shape[0].div_ceil(2),
                )));
            }
            shape[0] = length;
        }
        let (flag, text, blank) = match (&args.prompt, &args.infill) {
            (None, None) => return Ok((shape, None)),
            (Some(text), _) => ("--prompt", text, None),
            (None, Some(text)) => ("--infill", text, Some(args.blank)),
        };
        let Some(codec) = codec.filter(|_| plan.x.categories.is_some()) else {
            return Err(Error::invalid(format!(
                "`{flag}` fixes tokens, which needs a model of text with categorical noise: leave it out"
            )));
        };
        let known = text::known(codec, &text::unescaped(text), blank, shape[0])
            .map_err(|error| Error::invalid(format!("`{flag}`: {error}")))?;
        Ok((shape, Some(known)))
    }

    /// The conditions of held-out data, or of the training data if none are held out.
    fn examples<const D: usize>(&self, n: usize) -> Result<Conditions>
    where
        Modules: Rank<D>,
    {
        let unread = |error: Error| {
            Error::invalid(format!(
                "no condition is given, and the data that they would be taken from cannot be read: {error}; give them by \
                 `--condition NAME=VALUE`"
            ))
        };
        for split in [Split::Test, Split::Train] {
            if let Some(set) = self.data.load(self.recipe, split).map_err(unread)?.and_then(of_rank::<D>) {
                return Ok(conditions::of_data(&*set, n));
            }
        }
        Err(unread(Error::invalid("they are empty")))
    }

    fn sample<const D: usize>(&self) -> Result<()>
    where
        Modules: Rank<D>,
    {
        let (args, facts) = (self.args, self.facts);
        let plan = Plan::<D>::new(self.recipe, self.modules, self.data, facts)?;
        let examples = || self.examples::<D>(plan.sample.n);
        let conditions = conditions::chosen(facts, &plan.train, &args.class, &args.condition, plan.sample.n, examples)?;
        let (shape, known) = self.shape_and_known(&plan)?;
        let facts = &Facts { shape: shape.clone(), ..facts.clone() };
        let recorded = match args.trajectory {
            None => vec![plan.sample.steps],
            Some(0 | 1) => {
                return Err(Error::invalid("`--trajectory` must be 2 or more: the noise and the sample"));
            }
            Some(times) => evenly_spaced(plan.sample.steps, times),
        };
        if args.device == "cpu" {
            // The samples may be longer than those that the model was trained on.
            let needs = Needs::of(&plan).with_shape(&shape);
            needs::check_sampling(self.recipe, &plan, &needs, plan.sample.n, recorded.len())?;
        }
        let read = |like: &Parameters| Checkpoint::load_weights(&self.weights, like, self.device);
        plan.check_precision(self.recipe, self.device, false)?;
        let model = plan.net.model(plan.model_parts(), self.device, &read)?;
        let request = SampleRequest {
            known: known.as_ref(),
            seed: args.seed,
            ..request(&plan, &conditions, &recorded, self.device)
        };
        let bar = Progress::new(args.quiet, "sampling");
        let samples = generate(&*model, &shape, &request, &mut |part, nfe| bar.sampling(part, nfe))?;
        bar.clear();
        let not_finite = samples.frames.iter().flatten().filter(|x| !x.is_finite()).count();
        if not_finite > 0 {
            let why = match &samples.diagnosis.failure {
                Some(failure) => failure.clone(),
                None => {
                    "the sampler diverged or the run's weights are damaged; if `--sampler ddim` fails too, it is the \
                         weights"
                        .into()
                }
            };
            return Err(Error::invalid(format!(
                "{} of the samples are NaN or infinite, so nothing was written: {why}",
                messages::count(not_finite, "value")
            )));
        }
        if !args.quiet {
            warn(&plan, &samples.diagnosis);
        }
        let out = match &args.out {
            Some(out) => fs::create_dir_all(out).map(|()| out.clone()).map_err(Error::io(out, "create the folder"))?,
            None => free_folder(&self.base, &self.name)?,
        };
        let shown = sample_files::write(&out, facts, &samples, &conditions, plan.sample.n).inspect_err(|_| {
            // A new folder in which nothing could be written; others are not empty.
            let _ = args.out.is_none().then(|| fs::remove_dir(&out));
        })?;
        if args.trajectory.is_some() {
            sample_files::values(
                &out.join("trajectory.npy"),
                facts,
                &[samples.frames.len(), plan.sample.n],
                &samples.frames.concat(),
            )?;
            npy::save(out.join("times.npy"), &[samples.times.len()], &samples.times).map_err(data_error)?;
            sample_files::write_trajectory(&out, facts, &samples, &conditions.to_classes(), "Sampling trajectories")?;
        }
        if !args.quiet {
            let files = shown.map_or("samples.npy".into(), |shown| format!("{shown} and samples.npy"));
            say(&format!("{}: {files}, {} samples", out.display(), plan.sample.n));
        }
        Ok(())
    }
}

/// The request that the recipe describes, with seed 0.
pub(crate) fn request<'a, const D: usize>(
    plan: &'a Plan<D>,
    conditions: &'a Conditions,
    recorded: &'a [usize],
    device: &'a Device,
) -> SampleRequest<'a, D> {
    SampleRequest {
        sampler: &plan.sampler,
        steps: plan.sample.steps,
        times: plan.sample_times.as_deref(),
        guidance: plan.sample.guidance,
        truncation: plan.sample.truncation(),
        threshold: plan.sample.threshold,
        known: None,
        conditions,
        n: plan.sample.n,
        batch: plan.sample.batch,
        seed: 0,
        recorded,
        range: (plan.x.bounded || plan.sample.threshold.is_some()).then_some([-1.0, 1.0]),
        device,
    }
}

/// Warnings of what the trajectories show: samples that cannot be data, errors that a step amplified, a sampler that does
/// not fit the schedule, a start from pure noise where signal is left.
pub(crate) fn warn<const D: usize>(plan: &Plan<D>, diagnosis: &Diagnosis) {
    let steps = messages::count(plan.sample.steps, "step");
    for problem in diagnosis.problems() {
        note(&format!("warning: `{}` in {steps}: {problem}", name(plan)));
    }
}

/// The sampler's name.
fn name<const D: usize>(plan: &Plan<D>) -> &str {
    let name = plan.resolved.get("sample").and_then(|sample| sample.get("sampler")?.get("name")?.as_str());
    name.unwrap_or("the sampler")
}

/// `times` indices of a trajectory of `steps` steps, including both ends.
pub(crate) fn evenly_spaced(steps: usize, times: usize) -> Vec<usize> {
    let times = times.min(steps + 1);
    (0..times).map(|i| (i * steps + (times - 1) / 2) / (times - 1)).collect()
}

//! `tweedie train`: trains a model from a recipe, with checkpoints, evaluations, samples and a report.
mod cautions;
mod from;
mod interrupt;
mod labels;
mod resume;
mod space;

use crate::{
    args,
    commands::{for_rank, of_rank, sample},
    data::{DataPart, Facts, Fingerprint, Set, Split, data_error},
    device,
    dyn_model::{DynTrainer, SampleRequest, TrainingParts, generate},
    messages, needs,
    output::conditioned,
    output::console::{note, say},
    output::progress::{Progress, TrainingProgress},
    output::report,
    output::sample_files,
    output::text,
    recipe::plan::{DataSpec, Plan},
    recipe::{Part, Recipe},
    registry::{Modules, Rank},
    run_dir::{Line, Lock, Metrics, RunDir},
};
use burn::tensor::{Device, Tensor};
use labels::Labels;
use std::{path::Path, time::Instant};
use toml::Value;
use tweedie::{
    Error, Result,
    condition::Conditions,
    data::Data,
    error::ErrorKind,
    sample::{Diagnosis, signal_left},
    train::{Checkpoint, write_atomically},
};

/// The built-in recipe of `tweedie train` without arguments.
const DEFAULT: &str = include_str!("../../../recipes/digits.toml");
const DEFAULT_NAME: &str = "digits";

/// What a training begins with.
enum Origin {
    /// Initial weights.
    New,
    /// The weights of another run.
    From(Box<sample::Opened>),
    /// The latest checkpoint of a run, which is locked.
    Run(RunDir, Lock),
}

/// Trains; `false` if it was interrupted.
pub(crate) fn run(args: &args::Train, modules: &Modules) -> Result<bool> {
    let device = device::named(&args.device)?;
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut name = args.recipe.as_deref().map_or(DEFAULT_NAME.to_owned(), stem);
    let (mut recipe, origin) = if args.resume {
        let folder = RunDir::latest_run(args.out.as_deref(), &name)?;
        // Before its recipe is read: another training may be about to write it.
        let lock = folder.lock()?;
        (Recipe::of_run(&folder.recipe())?, Origin::Run(folder, lock))
    } else {
        let from = args.from.as_deref().map(sample::open).transpose()?;
        let recipe = match (&args.recipe, &from) {
            (Some(path), _) => Recipe::read(path)?,
            (None, Some(from)) => {
                let base = from.base.canonicalize().unwrap_or_else(|_| from.base.clone());
                name = base.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned());
                from.recipe.clone()
            }
            (None, None) => Recipe::parse("recipes/digits.toml (built in)", DEFAULT.into())?,
        };
        (recipe, from.map_or(Origin::New, |from| Origin::From(Box::new(from))))
    };
    flags(&mut recipe, args)?;
    let mut data = DataSpec::new(&recipe, modules)?.quiet(args.quiet);
    if recipe.get("condition").is_some() {
        data = match &origin {
            // What the run was begun with, which may be of another run.
            Origin::Run(folder, _) => match sample::open(&folder.0) {
                Ok(run) => data.knowing(&run.facts),
                Err(_) => data,
            },
            Origin::From(run) => data.adopting(&run.facts),
            Origin::New => data,
        };
    }
    let set = data.load(&recipe, Split::Train)?;
    let Some(set) = set else {
        return Err(Error::invalid(format!("{}: the data set has no training part", recipe.name())));
    };
    let setting = Setting { args, modules, recipe: &recipe, name: &name, data: &data, device: &device, origin };
    for_rank!(set, set => setting.train(&*set))
}

/// Writes the command line's values into the recipe.
fn flags(recipe: &mut Recipe, args: &args::Train) -> Result<()> {
    for setting in &args.set {
        recipe.set(setting)?;
    }
    let whole = |flag: &str, value: u64| {
        i64::try_from(value).map(Value::Integer).map_err(|_| Error::invalid(format!("`--{flag} {value}` is too large")))
    };
    for (flag, path, value) in [
        ("steps", "train.steps", args.steps),
        ("seed", "train.seed", args.seed),
        ("checkpoint-every", "run.checkpoint_every", args.checkpoint_every),
    ] {
        if let Some(value) = value {
            recipe.put(path, whole(flag, value)?, format!("--{flag} {value}"))?;
        }
    }
    if let Some(path) = &args.data {
        recipe.put("data.path", Value::String(path.clone()), format!("--data {path}"))?;
    }
    Ok(())
}

/// Everything that a run is started from.
struct Setting<'a> {
    args: &'a args::Train,
    modules: &'a Modules,
    recipe: &'a Recipe,
    name: &'a str,
    data: &'a DataSpec,
    device: &'a Device,
    origin: Origin,
}

impl Setting<'_> {
    fn train<const D: usize>(self, set: &dyn Set<D>) -> Result<bool>
    where
        Modules: Rank<D>,
    {
        let Self { args, modules, recipe, name, data, device, origin } = self;
        let facts = set.facts();
        let plan = Plan::<D>::new(recipe, modules, data, &facts)?;
        if plan.run.evaluate_every > 0 && plan.run.evaluate_rows == 0 {
            let message = "must be 1 or more, got 0; `evaluate_every = 0` never evaluates";
            return Err(recipe.fail("run.evaluate_rows", Part::Value, message));
        }
        if args.device == "cpu" {
            needs::check_training(recipe, &plan, sample::FRAMES)?;
        }
        if !args.quiet {
            let remarks = plan.net.remarks(&plan.x, &*plan.noise);
            remarks.iter().for_each(|remark| note(&format!("note: {}", messages::sentence(remark))));
        }
        let held_out =
            if plan.run.evaluate_every > 0 { data.load(recipe, Split::Test)?.and_then(of_rank::<D>) } else { None };
        let part = |set: &dyn Set<D>| DataPart { samples: set.len(), digest: set.digest().hex() };
        let fingerprint = Fingerprint { training: part(set), held_out: held_out.as_deref().map(part) };
        let parts = TrainingParts {
            data: set as &dyn Data<Tensor<D>, Conditions>,
            held_out: held_out.as_deref().map(|set| set as &dyn Data<Tensor<D>, Conditions>),
            model: plan.model_parts(),
            objective: plan.objective.clone(),
            times: plan.times.clone(),
            train: plan.train.clone(),
            device: device.clone(),
        };
        plan.check_precision(recipe, device, true)?;
        let mut trainer = plan.net.trainer(parts).map_err(|error| recipe.at_field("net", error))?;
        let mut labels = Labels::new(&plan, &fingerprint, None);
        let (folder, _lock) = match origin {
            Origin::Run(folder, lock) => {
                let resume =
                    resume::Resume { args, modules, folder: &folder, recipe, plan: &plan, fingerprint: &fingerprint };
                let resumed = resume.restore(&mut *trainer, device)?;
                if resumed.complete {
                    say_unless(
                        args.quiet,
                        &format!(
                            "done    {}: already at step {} of {1}, so there is nothing to do; train on with a larger \
                         `--steps`, or: tweedie sample {}",
                            folder.0.display(),
                            trainer.done(),
                            folder.typed()
                        ),
                    );
                    return Ok(true);
                }
                labels.from = resumed.from;
                space::check(&plan, trainer.num_params(), trainer.done(), &folder)?;
                (folder, lock)
            }
            Origin::New => {
                space::check(&plan, trainer.num_params(), 0, &RunDir::intended(args.out.as_deref()))?;
                RunDir::create(args.out.as_deref(), name, &labels.recipe, &|_| Ok(()))?
            }
            Origin::From(other) => {
                labels.from = Some(from::begin(&mut *trainer, &other, &plan, modules, device, args.quiet)?);
                space::check(&plan, trainer.num_params(), 0, &RunDir::intended(args.out.as_deref()))?;
                let first = |folder: &RunDir| {
                    folder.save(&trainer.checkpoint(), &labels.notes(None), plan.run.keep).map(|_| ())
                };
                RunDir::create(args.out.as_deref(), name, &labels.recipe, &first)?
            }
        };
        if !args.quiet {
            say(&format!("data    {}", facts.describe()));
            if let Some(notes) = set.notes() {
                say(&format!("        {notes}"));
            }
            say(&format!("net     {} parameters", messages::grouped(trainer.num_params())));
            say(&format!("memory  {}", needs::peak(&plan, sample::FRAMES)));
            let begun = match (trainer.done(), &labels.from) {
                (0, None) => String::new(),
                (0, Some(from)) => format!(", beginning with the weights of {from}"),
                (step, _) => format!(", resuming from step {step}"),
            };
            say(&format!("run     {}{begun}", folder.0.display()));
            // Before the training, since another schedule is another model.
            let mut start = Diagnosis::default();
            start.signal_left = plan.noise.path().and_then(|path| signal_left(path, 1.0));
            start.problems().iter().for_each(|problem| note(&format!("warning: {problem}")));
            let cautions = cautions::of(&plan.train, &plan.run, set.len());
            cautions.iter().for_each(|caution| note(&format!("warning: {caution}")));
        }
        let examples = match (sample::conditions::has_named(&facts), held_out.as_deref()) {
            (false, _) => Conditions::none(),
            (true, Some(held_out)) => sample::conditions::of_data(held_out, plan.sample.n),
            (true, None) => sample::conditions::of_data(set, plan.sample.n),
        };
        Run { args, plan: &plan, facts: &facts, examples, folder: &folder, device, labels: &labels }.go(&mut *trainer)
    }
}

fn say_unless(quiet: bool, line: &str) {
    if !quiet {
        say(line);
    }
}

struct Run<'a, const D: usize> {
    args: &'a args::Train,
    plan: &'a Plan<D>,
    facts: &'a Facts,
    /// The conditions of samples, if there are others than classes.
    examples: Conditions,
    folder: &'a RunDir,
    device: &'a Device,
    labels: &'a Labels,
}

impl<const D: usize> Run<'_, D> {
    fn go(&self, trainer: &mut dyn DynTrainer<D>) -> Result<bool> {
        let (mut metrics, mut lines) = self.folder.metrics_from(trainer.done())?;
        let mut saved = trainer.done();
        let mut bar =
            TrainingProgress::new(self.plan.train.steps, trainer.done(), self.plan.train.batch, self.args.quiet);
        interrupt::listen();
        let ended = self.steps(trainer, &mut metrics, &mut lines, &mut bar, &mut saved);
        bar.clear();
        let ended = ended.map_err(|error| self.stopped(error, saved))?;
        interrupt::stop_listening();
        if ended {
            self.finish(trainer, &lines).map_err(|error| self.stopped(error, saved))?;
        } else {
            note(&format!(
                "stopped after step {saved} of {}; resume with: tweedie train --resume --out {}",
                self.plan.train.steps,
                self.folder.typed()
            ));
        }
        Ok(ended)
    }

    /// Takes the steps that are left; `false` if it was interrupted. `saved` is the step of the last checkpoint.
    fn steps(
        &self,
        trainer: &mut dyn DynTrainer<D>,
        metrics: &mut Metrics,
        lines: &mut Vec<Line>,
        bar: &mut TrainingProgress,
        saved: &mut u64,
    ) -> Result<bool> {
        let settings = &self.plan.run;
        let mut best = self.folder.best_so_far();
        let mut first = true;
        loop {
            let begun = Instant::now();
            let step = match trainer.step() {
                None => return Ok(true),
                Some(step) => step?,
            };
            if std::mem::take(&mut first) {
                self.keep_recipe()?;
            }
            let line = Line::of(&step, begun.elapsed().as_secs_f64());
            metrics.push(&line)?;
            lines.push(line);
            bar.step(step.step, step.loss);
            let last = step.step >= self.plan.train.steps;
            if settings.evaluate_every > 0 && (step.step.is_multiple_of(settings.evaluate_every) || last) {
                self.evaluate(trainer, step.step, metrics, lines, &mut best)?;
            }
            let stop = interrupt::requested();
            if stop || last || settings.checkpoint_every > 0 && step.step.is_multiple_of(settings.checkpoint_every) {
                metrics.sync()?;
                self.folder.save(&trainer.checkpoint(), &self.labels.notes(None), settings.keep)?;
                *saved = step.step;
            }
            if stop && !last {
                return Ok(false);
            }
        }
    }

    /// Writes the recipe into the run if it changed, which it may once a step was taken with it.
    fn keep_recipe(&self) -> Result<()> {
        let path = self.folder.recipe();
        match std::fs::read_to_string(&path) {
            Ok(old) if old == self.labels.recipe => Ok(()),
            _ => write_atomically(&path, self.labels.recipe.as_bytes()),
        }
    }

    fn evaluate(
        &self,
        trainer: &dyn DynTrainer<D>,
        step: u64,
        metrics: &mut Metrics,
        lines: &mut Vec<Line>,
        best: &mut Option<f64>,
    ) -> Result<()> {
        let Some(held_out) = trainer.evaluate(self.plan.run.evaluate_rows) else { return Ok(()) };
        if !held_out.loss.is_finite() {
            return Err(Error::not_finite(step, "the loss on held-out data"));
        }
        let line = Line::evaluated(step, &held_out, trainer.ema_distance());
        metrics.push(&line)?;
        lines.push(line);
        self.picture(trainer, step)?;
        let held_out = held_out.loss;
        if best.is_none_or(|best| held_out < best) {
            *best = Some(held_out);
            metrics.sync()?;
            self.folder.save_best(&trainer.checkpoint(), &self.labels.notes(Some(held_out)))?;
        }
        Ok(())
    }

    /// Writes a few samples of the current model: `progress/step-N.png`, or `.txt`.
    fn picture(&self, trainer: &dyn DynTrainer<D>, step: u64) -> Result<()> {
        let sample = &self.plan.sample;
        let (n, steps) = (self.facts.classes.len().clamp(8, 16).min(sample.n), sample.steps.min(20));
        let conditions = sample::conditions::default(self.facts, &self.plan.train, &self.examples, n);
        let recorded = [steps];
        let request =
            SampleRequest { steps, times: None, n, ..sample::request(self.plan, &conditions, &recorded, self.device) };
        let samples = generate(&*trainer.model(), &self.plan.x.shape, &request, &mut |_, _| ())?;
        let last = samples.last();
        let folder = self.folder.file("progress");
        let file = |ending: &str| -> Result<std::path::PathBuf> {
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
            Ok(folder.join(format!("step-{step:08}.{ending}")))
        };
        if let Some(text) = text::lines(self.facts, last) {
            write_atomically(&file("txt")?, text.as_bytes())?;
        } else if let Some(picture) = conditioned::picture(self.facts, last, &conditions)? {
            tweedie_data::picture::save(&picture, file("png")?).map_err(data_error)?;
        }
        Ok(())
    }

    /// Adds to an error how to resume.
    fn stopped(&self, error: Error, saved: u64) -> Error {
        let resume = format!("tweedie train --resume --out {}", self.folder.typed());
        let from = match saved {
            0 => "the run has no checkpoint; start again from step 1 with".to_owned(),
            step => format!("the last checkpoint is that of step {step}; resume from it with"),
        };
        let remedy = match error.kind() {
            ErrorKind::NotFinite => {
                format!("{from}, for example: `{resume} --set train.lr={}`", self.plan.train.lr * 0.5)
            }
            _ => format!("{from}: `{resume}`"),
        };
        let remedy = error.remedy().map_or(remedy.clone(), |own| format!("{own}; {remedy}"));
        error.with_remedy(remedy)
    }

    /// Writes samples, the report and, last, the weights: a run that has the weights of its last step is complete.
    fn finish(&self, trainer: &dyn DynTrainer<D>, lines: &[Line]) -> Result<()> {
        let folder = self.folder;
        let sample = &self.plan.sample;
        let conditions = sample::conditions::default(self.facts, &self.plan.train, &self.examples, sample.n);
        let recorded = sample::evenly_spaced(sample.steps, sample::FRAMES);
        let request = sample::request(self.plan, &conditions, &recorded, self.device);
        let bar = Progress::new(self.args.quiet, "sampling");
        let model = trainer.model();
        let samples = generate(&*model, &self.plan.x.shape, &request, &mut |part, nfe| bar.sampling(part, nfe))?;
        bar.clear();
        if !self.args.quiet {
            let mut diagnosis = samples.diagnosis.clone();
            diagnosis.signal_left = None;
            sample::warn(self.plan, &diagnosis);
        }
        let title = folder.0.file_name().unwrap_or_default().to_string_lossy();
        let shown = sample_files::write(&folder.0, self.facts, &samples, &conditions, sample.n)?;
        let trajectory =
            sample_files::write_trajectory(&folder.0, self.facts, &samples, &conditions.to_classes(), &title)?;
        report::write(&report::Report {
            folder,
            title: &title,
            facts: self.facts,
            recipe: &self.labels.recipe,
            lines,
            batch: self.plan.train.batch,
            parameters: trainer.num_params(),
        })?;
        let checkpoint: Checkpoint = trainer.checkpoint();
        let mut notes = self.labels.notes(None);
        notes.push(("step", checkpoint.step.to_string()));
        checkpoint.save_weights(&folder.model(), &notes)?;
        if !self.args.quiet {
            let pictures: String = [shown.filter(|_| trajectory.is_some()), trajectory]
                .into_iter()
                .flatten()
                .map(|name| format!("{name}, "))
                .collect();
            let pictures = match pictures.strip_suffix(", ") {
                Some(pictures) => format!("{pictures} and "),
                None => pictures,
            };
            say(&format!(
                "done    {}: {pictures}report.html; next: tweedie sample {}",
                folder.0.display(),
                folder.typed()
            ));
        }
        Ok(())
    }
}

//! `tweedie train`: trains a model from a recipe, with checkpoints, evaluations, samples and a report.
mod interrupt;

use crate::{
    args,
    commands::{for_rank, of_rank, sample},
    data::{Facts, Set, Split, data_error},
    device,
    dyn_model::{DynTrainer, SampleRequest, TrainingParts, generate},
    messages, needs,
    output::console::{note, say},
    output::picture,
    output::progress::{Progress, TrainingProgress},
    output::report,
    output::sample_files,
    output::text,
    recipe::plan::{DataSpec, Plan},
    recipe::{Part, Recipe},
    registry::{Modules, Rank},
    run_dir::{Line, Metrics, RunDir, facts_from, read_metadata},
};
use burn::tensor::{Device, Tensor};
use std::time::Instant;
use toml::Value;
use tweedie::{
    Error, Result,
    data::Data,
    error::ErrorKind,
    net::Classes,
    sample::{Diagnosis, signal_left},
    train::{Checkpoint, write_atomically},
};

/// The built-in recipe of `tweedie train` without arguments.
const DEFAULT: &str = include_str!("../../../recipes/digits.toml");
const DEFAULT_NAME: &str = "digits";

/// Trains; `false` if it was interrupted.
pub(crate) fn run(args: &args::Train, modules: &Modules) -> Result<bool> {
    let device = device::named(&args.device)?;
    let name = match &args.recipe {
        Some(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        None => DEFAULT_NAME.to_owned(),
    };
    let (mut recipe, folder) = if args.resume {
        let folder = RunDir::latest_run(args.out.as_deref(), &name)?;
        (Recipe::of_run(&folder.recipe())?, Some(folder))
    } else {
        let recipe = match &args.recipe {
            Some(path) => Recipe::read(path)?,
            None => Recipe::parse("recipes/digits.toml (built in)", DEFAULT.into())?,
        };
        (recipe, None)
    };
    flags(&mut recipe, args)?;
    let data = DataSpec::new(&recipe, modules)?.quiet(args.quiet);
    let set = data.load(&recipe, Split::Train)?;
    let Some(set) = set else {
        return Err(Error::invalid(format!("{}: the data set has no training part", recipe.name())));
    };
    let setting = Setting { args, modules, recipe: &recipe, name: &name, data: &data, device: &device, folder };
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
    folder: Option<RunDir>,
}

impl Setting<'_> {
    fn train<const D: usize>(self, set: &dyn Set<D>) -> Result<bool>
    where
        Modules: Rank<D>,
    {
        let Self { args, modules, recipe, name, data, device, folder } = self;
        let facts = set.facts();
        let plan = Plan::<D>::new(recipe, modules, data, &facts)?;
        if args.device == "cpu" {
            needs::check_training(recipe, &plan, sample::FRAMES)?;
        }
        if !args.quiet {
            let remarks = plan.net.remarks(&plan.x, &*plan.noise);
            remarks.iter().for_each(|remark| note(&format!("note: {}", messages::sentence(remark))));
        }
        let held_out =
            if plan.run.evaluate_every > 0 { data.load(recipe, Split::Test)?.and_then(of_rank::<D>) } else { None };
        let parts = TrainingParts {
            data: set as &dyn Data<Tensor<D>, Classes>,
            held_out: held_out.as_deref().map(|set| set as &dyn Data<Tensor<D>, Classes>),
            model: plan.model_parts(),
            objective: plan.objective.clone(),
            times: plan.times.clone(),
            train: plan.train.clone(),
            device: device.clone(),
        };
        let mut trainer = plan.net.trainer(parts).map_err(|error| recipe.at_field("net", error))?;
        let text = plan.text();
        let folder = match folder {
            None => RunDir::create(args.out.as_deref(), name, &text)?,
            Some(folder) => {
                resume(&folder, &mut *trainer, device, recipe, &plan, args)?;
                folder
            }
        };
        if !args.quiet {
            say(&format!("data    {}", facts.describe()));
            if let Some(notes) = set.notes() {
                say(&format!("        {notes}"));
            }
            say(&format!("net     {} parameters", messages::grouped(trainer.num_params())));
            say(&format!("memory  {}", needs::peak(&plan, sample::FRAMES)));
            let begun =
                if trainer.done() > 0 { format!(", resuming from step {}", trainer.done()) } else { String::new() };
            say(&format!("run     {}{begun}", folder.0.display()));
            // Before the training, since another schedule is another model.
            let mut start = Diagnosis::default();
            start.signal_left = plan.noise.path().and_then(|path| signal_left(path, 1.0));
            start.problems().iter().for_each(|problem| note(&format!("warning: {problem}")));
        }
        Run { args, plan: &plan, facts: &facts, folder: &folder, device, text: &text }.go(&mut *trainer)
    }
}

/// Restores a trainer from the latest checkpoint and writes the recipe back if flags changed it.
fn resume<const D: usize>(
    folder: &RunDir,
    trainer: &mut dyn DynTrainer<D>,
    device: &Device,
    recipe: &Recipe,
    plan: &Plan<D>,
    args: &args::Train,
) -> Result<()> {
    folder.tidy();
    let mut warn = |text: String| note(&format!("warning: {text}"));
    match folder.latest(device, &mut warn) {
        Some(read) => {
            let place = read.path.display().to_string();
            let known = facts_from(&read_metadata(&read.path)?, &read.path)?;
            known.fit(&plan.facts).map_err(|error| recipe.at_field("data", error))?;
            let step = read.checkpoint.step;
            let steps = plan.train.steps;
            if step > steps {
                let message = format!(
                    "{place} is already at step {step}, beyond the {steps} steps of the run: raise the total with \
                     `--steps`."
                );
                return Err(recipe.fail("train.steps", Part::Value, &message));
            }
            trainer.restore(read.checkpoint).map_err(|error| match error {
                _ if error.kind() == ErrorKind::Invalid => {
                    Error::invalid(format!("{place} does not fit the recipe: {error}"))
                }
                other => other,
            })?;
        }
        None if !args.quiet => note("there is no checkpoint yet; starting from step 1"),
        None => {}
    }
    let old = std::fs::read_to_string(folder.recipe()).unwrap_or_default();
    let text = plan.text();
    if old != text {
        write_atomically(&folder.recipe(), text.as_bytes())?;
    }
    if let Some(path) = &args.recipe
        && !args.quiet
    {
        note(&format!("resuming with {}; {} is not read", folder.recipe().display(), path.display()));
    }
    Ok(())
}

struct Run<'a, const D: usize> {
    args: &'a args::Train,
    plan: &'a Plan<D>,
    facts: &'a Facts,
    folder: &'a RunDir,
    device: &'a Device,
    text: &'a str,
}

impl<const D: usize> Run<'_, D> {
    fn go(&self, trainer: &mut dyn DynTrainer<D>) -> Result<bool> {
        let (mut metrics, mut lines) = self.folder.metrics_from(trainer.done())?;
        let settings = &self.plan.run;
        let mut best = self.folder.best_so_far();
        let mut saved = trainer.done();
        let mut bar =
            TrainingProgress::new(self.plan.train.steps, trainer.done(), self.plan.train.batch, self.args.quiet);
        interrupt::listen();
        loop {
            let begun = Instant::now();
            let step = match trainer.step() {
                None => break,
                Some(Ok(step)) => step,
                Some(Err(error)) => {
                    bar.clear();
                    return Err(self.stopped(error, saved));
                }
            };
            let line = Line::of(&step, begun.elapsed().as_secs_f64());
            metrics.push(&line)?;
            lines.push(line);
            bar.step(step.step, step.loss);
            let last = step.step >= self.plan.train.steps;
            if settings.evaluate_every > 0 && (step.step.is_multiple_of(settings.evaluate_every) || last) {
                self.evaluate(trainer, step.step, &mut metrics, &mut lines, &mut best)?;
            }
            let stop = interrupt::requested();
            if stop || last || settings.checkpoint_every > 0 && step.step.is_multiple_of(settings.checkpoint_every) {
                metrics.sync()?;
                self.folder.save(&trainer.checkpoint(), &self.notes(None), settings.keep)?;
                saved = step.step;
            }
            if stop && !last {
                bar.clear();
                note(&format!(
                    "stopped after step {saved} of {}; resume with: tweedie train --resume --out {}",
                    self.plan.train.steps,
                    self.folder.typed()
                ));
                return Ok(false);
            }
        }
        interrupt::stop_listening();
        bar.clear();
        self.finish(trainer, &lines)?;
        Ok(true)
    }

    /// The metadata of a checkpoint, which make it usable on its own.
    fn notes(&self, held_out: Option<f64>) -> Vec<(&'static str, String)> {
        let mut notes = vec![
            ("recipe", self.text.to_owned()),
            ("data", serde_json::to_string(self.facts).expect("facts are JSON")),
        ];
        notes.extend(held_out.map(|loss| ("held_out", loss.to_string())));
        notes
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
            self.folder.save_best(&trainer.checkpoint(), &self.notes(Some(held_out)))?;
        }
        Ok(())
    }

    /// Writes a few samples of the current model: `progress/step-N.png`, or `.txt`.
    fn picture(&self, trainer: &dyn DynTrainer<D>, step: u64) -> Result<()> {
        let sample = &self.plan.sample;
        let (n, steps) = (self.facts.classes.len().clamp(8, 16).min(sample.n), sample.steps.min(20));
        let classes = sample::cycled(self.facts, &self.plan.train, n);
        let recorded = [steps];
        let request =
            SampleRequest { steps, times: None, n, ..sample::request(self.plan, &classes, &recorded, self.device) };
        let samples = generate(&*trainer.model(), &self.plan.x.shape, &request, &mut |_, _| ())?;
        let last = samples.last();
        let folder = self.folder.file("progress");
        let file = |ending: &str| -> Result<std::path::PathBuf> {
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
            Ok(folder.join(format!("step-{step:08}.{ending}")))
        };
        if let Some(text) = text::lines(self.facts, last) {
            write_atomically(&file("txt")?, text.as_bytes())?;
        } else if let Some(picture) = picture::samples(self.facts, last, &classes)? {
            tweedie_data::picture::save(&picture, file("png")?).map_err(data_error)?;
        }
        Ok(())
    }

    /// Adds to the error of a step how to resume.
    fn stopped(&self, error: Error, saved: u64) -> Error {
        let typed = self.folder.typed();
        match error.kind() {
            ErrorKind::NotFinite if saved > 0 => Error::invalid(format!(
                "{error}. The last checkpoint is that of step {saved}; resume from it with, for example: tweedie train \
                 --resume --out {typed} --set train.lr={}",
                self.plan.train.lr * 0.5
            )),
            ErrorKind::NotFinite => Error::invalid(format!(
                "{error}. There is no checkpoint yet; start again from step 1 with, for example: tweedie train \
                 --resume --out {typed} --set train.lr={}",
                self.plan.train.lr * 0.5
            )),
            _ => error,
        }
    }

    /// Writes weights, samples and the report.
    fn finish(&self, trainer: &dyn DynTrainer<D>, lines: &[Line]) -> Result<()> {
        let folder = self.folder;
        let checkpoint: Checkpoint = trainer.checkpoint();
        let mut notes = self.notes(None);
        notes.push(("step", checkpoint.step.to_string()));
        checkpoint.save_weights(&folder.model(), &notes)?;

        let sample = &self.plan.sample;
        let classes = sample::cycled(self.facts, &self.plan.train, sample.n);
        let recorded = sample::evenly_spaced(sample.steps, sample::FRAMES);
        let request = sample::request(self.plan, &classes, &recorded, self.device);
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
        let shown = sample_files::write(&folder.0, self.facts, &samples, &classes, sample.n)?;
        let trajectory = sample_files::write_trajectory(&folder.0, self.facts, &samples, &classes, &title)?;
        report::write(&report::Report {
            folder,
            title: &title,
            facts: self.facts,
            recipe: self.text,
            lines,
            batch: self.plan.train.batch,
            parameters: trainer.num_params(),
        })?;
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

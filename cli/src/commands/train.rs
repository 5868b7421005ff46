//! `tweedie train`: trains a model from a recipe, with checkpoints, evaluations, samples and a report.
use crate::{
    args,
    commands::sample,
    data::{Facts, Loaded, Set, Split, told},
    device,
    dyn_model::{Order, Parts, Session, draw},
    output::console::{note, say},
    output::messages,
    output::picture,
    output::report,
    output::text,
    recipe::plan::{DataSpec, Plan},
    recipe::{Part, Recipe},
    registry::{Modules, Rank},
    run_dir::{Line, Metrics, RunDir, data_of, facts_of},
};
use burn::tensor::{Device, Tensor};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    time::{Duration, Instant},
};
use toml::Value;
use tweedie::{
    Error, Result,
    data::Data,
    error::ErrorKind,
    net::Classes,
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
    let data = DataSpec::new(&recipe, modules)?;
    let set = data.load(&recipe, Split::Train)?;
    let Some(set) = set else {
        return Err(Error::invalid(format!("{}: the data set has no training part", recipe.name())));
    };
    let setting = Setting { args, modules, recipe: &recipe, name: &name, data: &data, device: &device, folder };
    match set {
        Loaded::Two(set) => setting.train::<2>(&*set, |loaded| match loaded {
            Loaded::Two(set) => Some(set),
            _ => None,
        }),
        Loaded::Three(set) => setting.train::<3>(&*set, |loaded| match loaded {
            Loaded::Three(set) => Some(set),
            _ => None,
        }),
        Loaded::Four(set) => setting.train::<4>(&*set, |loaded| match loaded {
            Loaded::Four(set) => Some(set),
            _ => None,
        }),
    }
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
    fn train<const D: usize>(self, set: &dyn Set<D>, of_rank: fn(Loaded) -> Option<Box<dyn Set<D>>>) -> Result<bool>
    where
        Modules: Rank<D>,
    {
        let Self { args, modules, recipe, name, data, device, folder } = self;
        let facts = set.facts();
        let plan = Plan::<D>::new(recipe, modules, data, &facts)?;
        let held_out =
            if plan.run.evaluate_every > 0 { data.load(recipe, Split::Test)?.and_then(of_rank) } else { None };
        let parts = Parts {
            data: set as &dyn Data<Tensor<D>, Classes>,
            held_out: held_out.as_deref().map(|set| set as &dyn Data<Tensor<D>, Classes>),
            made: plan.made(),
            objective: plan.objective.clone(),
            times: plan.times.clone(),
            train: plan.train.clone(),
            device: device.clone(),
        };
        let mut session = plan.net.session(parts).map_err(|error| recipe.at_field("net", error))?;
        let text = plan.text();
        let folder = match folder {
            None => RunDir::create(args.out.as_deref(), name, &text)?,
            Some(folder) => {
                resume(&folder, &mut *session, device, recipe, &plan, args)?;
                folder
            }
        };
        if !args.quiet {
            say(&format!("data    {}", facts.describe()));
            say(&format!("net     {} parameters", messages::grouped(session.parameters())));
            let begun =
                if session.done() > 0 { format!(", resuming from step {}", session.done()) } else { String::new() };
            say(&format!("run     {}{begun}", folder.0.display()));
        }
        Run { args, plan: &plan, facts: &facts, folder: &folder, device, text: &text }.go(&mut *session)
    }
}

/// Restores a session from the latest checkpoint and writes the recipe back if flags changed it.
fn resume<const D: usize>(
    folder: &RunDir,
    session: &mut dyn Session<D>,
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
            let known = data_of(&facts_of(&read.path)?, &read.path)?;
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
            session.restore(read.checkpoint).map_err(|error| match error {
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

/// 1 once Ctrl-C has asked training to stop.
static STOP: AtomicU8 = AtomicU8::new(0);
/// Whether training handles Ctrl-C; otherwise it ends the process at once.
static LISTENING: AtomicBool = AtomicBool::new(false);

fn listen() {
    STOP.store(0, Ordering::SeqCst);
    LISTENING.store(true, Ordering::SeqCst);
    // A second call finds the handler installed.
    let _ = ctrlc::set_handler(|| {
        if !LISTENING.load(Ordering::SeqCst) || STOP.swap(1, Ordering::SeqCst) > 0 {
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
    });
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
    fn go(&self, session: &mut dyn Session<D>) -> Result<bool> {
        let (mut metrics, mut lines) = self.folder.metrics_from(session.done())?;
        let settings = &self.plan.run;
        let mut best = self.folder.best_so_far();
        let mut saved = session.done();
        let mut bar = Progress::new(self.plan.train.steps, session.done(), self.plan.train.batch, self.args.quiet);
        listen();
        loop {
            let begun = Instant::now();
            let step = match session.step() {
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
                self.evaluate(session, step.step, &mut metrics, &mut lines, &mut best)?;
            }
            let stop = STOP.load(Ordering::SeqCst) > 0;
            if stop || last || settings.checkpoint_every > 0 && step.step.is_multiple_of(settings.checkpoint_every) {
                metrics.sync()?;
                self.folder.save(&session.checkpoint(), &self.notes(None), settings.keep)?;
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
        LISTENING.store(false, Ordering::SeqCst);
        bar.clear();
        self.finish(session, &lines)?;
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
        session: &dyn Session<D>,
        step: u64,
        metrics: &mut Metrics,
        lines: &mut Vec<Line>,
        best: &mut Option<f64>,
    ) -> Result<()> {
        let Some(held_out) = session.held_out(self.plan.run.evaluate_rows) else { return Ok(()) };
        if !held_out.loss.is_finite() {
            let place = "the loss on held-out data";
            return Err(Error::not_finite(step, place));
        }
        let line = Line::evaluated(step, &held_out, session.lag());
        metrics.push(&line)?;
        lines.push(line);
        self.picture(session, step)?;
        let held_out = held_out.loss;
        if best.is_none_or(|best| held_out < best) {
            *best = Some(held_out);
            self.folder.save_best(&session.checkpoint(), &self.notes(Some(held_out)))?;
        }
        Ok(())
    }

    /// Writes a few samples of the current model: `progress/step-N.png`, or `.txt`.
    fn picture(&self, session: &dyn Session<D>, step: u64) -> Result<()> {
        let sample = &self.plan.sample;
        let (n, steps) = (self.facts.classes.len().clamp(8, 16).min(sample.n), sample.steps.min(20));
        let classes = sample::in_turn(self.facts, n);
        let order = Order {
            sampler: &self.plan.sampler,
            steps,
            times: None,
            guidance: sample.guidance,
            truncation: sample.truncation(),
            threshold: sample.threshold,
            known: None,
            classes: &classes,
            n,
            batch: sample.batch,
            seed: 0,
            keep: &[steps],
            device: self.device,
        };
        let drawn = draw(&*session.artist(), &self.plan.x.shape, &order, &mut |_| true)?
            .expect("sampling without interruption");
        let last = drawn.frames.last().expect("the last timestep is recorded");
        let folder = self.folder.file("progress");
        let file = |ending: &str| -> Result<std::path::PathBuf> {
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
            Ok(folder.join(format!("step-{step:08}.{ending}")))
        };
        if let Some(text) = text::lines(self.facts, last) {
            write_atomically(&file("txt")?, text.as_bytes())?;
        } else if let Some(picture) = picture::samples(self.facts, last, &classes)? {
            tweedie_data::picture::save(&picture, file("png")?).map_err(told)?;
        }
        Ok(())
    }

    /// Adds to the error of a step how to resume.
    fn stopped(&self, error: Error, saved: u64) -> Error {
        let typed = self.folder.typed();
        match error.kind() {
            ErrorKind::NotFinite if saved > 0 => Error::invalid(format!(
                "{error}. The last checkpoint is that of step {saved}; resume from it with, for example: tweedie train \
                 --resume --out {typed} --set train.rate={}",
                self.plan.train.lr * 0.5
            )),
            ErrorKind::NotFinite => Error::invalid(format!(
                "{error}. There is no checkpoint yet; start again from step 1 with, for example: tweedie train \
                 --resume --out {typed} --set train.rate={}",
                self.plan.train.lr * 0.5
            )),
            _ => error,
        }
    }

    /// Writes weights, samples and the report.
    fn finish(&self, session: &dyn Session<D>, lines: &[Line]) -> Result<()> {
        let folder = self.folder;
        let checkpoint: Checkpoint = session.checkpoint();
        let mut notes = self.notes(None);
        notes.push(("step", checkpoint.step.to_string()));
        checkpoint.save_weights(&folder.model(), &notes)?;

        let sample = &self.plan.sample;
        let classes = sample::in_turn(self.facts, sample.n);
        let keep = sample::spread(sample.steps, sample::FRAMES);
        let order = Order {
            sampler: &self.plan.sampler,
            steps: sample.steps,
            times: self.plan.walk.as_deref(),
            guidance: sample.guidance,
            truncation: sample.truncation(),
            threshold: sample.threshold,
            known: None,
            classes: &classes,
            n: sample.n,
            batch: sample.batch,
            seed: 0,
            keep: &keep,
            device: self.device,
        };
        let artist = session.artist();
        let bar = crate::output::progress::Progress::new(self.args.quiet, "sampling");
        let drawn = draw(&*artist, &self.plan.x.shape, &order, &mut |share| bar.at(share))?;
        bar.clear();
        let drawn = drawn.expect("sampling without interruption");
        let title = folder.0.file_name().unwrap_or_default().to_string_lossy();
        let shown = sample::write(&folder.0, self.facts, &drawn, &classes, sample.n)?;
        let walk = sample::write_trajectory(&folder.0, self.facts, &drawn, &classes, &title)?;
        report::write(&report::Report {
            folder,
            title: &title,
            facts: self.facts,
            recipe: self.text,
            lines,
            batch: self.plan.train.batch,
            parameters: session.parameters(),
        })?;
        if !self.args.quiet {
            let pictures: String = [shown.filter(|_| walk.is_some()), walk]
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

/// Progress of training on standard error: a bar on a terminal, occasional lines elsewhere, nothing with `--quiet`.
struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    total: u64,
    batch: usize,
    begun: Instant,
    last: Instant,
    /// End times of recent steps, for the current speed.
    recent: std::collections::VecDeque<Instant>,
    loss: Option<f64>,
}
impl Progress {
    fn new(total: u64, done: u64, batch: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("step {pos}/{len} {bar:28} {msg}").expect("the template is right");
            bar.set_style(style.progress_chars("━╸ "));
            bar.set_position(done);
            bar
        });
        let now = Instant::now();
        let lines = !terminal && !quiet;
        Self { bar, lines, total, batch, begun: now, last: now, recent: [now].into(), loss: None }
    }
    fn step(&mut self, step: u64, loss: f64) {
        let now = Instant::now();
        let first = self.loss.is_none();
        self.loss = Some(self.loss.map_or(loss, |old| old + 0.05 * (loss - old)));
        self.recent.push_back(now);
        if self.recent.len() > 50 {
            self.recent.pop_front();
        }
        let rate = (self.recent.len() - 1) as f64 / (now - self.recent[0]).as_secs_f64().max(1e-9);
        let left = messages::duration((self.total - step) as f64 / rate);
        let loss = self.loss.unwrap_or(loss);
        let speed = rate * self.batch as f64;
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(format!("loss {loss:.4}  {speed:.0} samples/s  {left} left"));
        }
        // Every 10 seconds in the first minute, then every 30.
        let pause = Duration::from_secs(if self.begun.elapsed().as_secs() < 60 { 10 } else { 30 });
        if self.lines && (first || now - self.last > pause || step == self.total) {
            note(&format!("step {step}/{}  loss {loss:.4}  {speed:.0} samples/s  {left} left", self.total));
            self.last = now;
        }
    }
    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

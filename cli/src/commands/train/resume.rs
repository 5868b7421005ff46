//! Resuming a run: from which checkpoint, and whether data and recipe are those that it was trained with.
use super::labels::Labels;
use crate::{
    args,
    data::Fingerprint,
    dyn_model::DynTrainer,
    output::console::note,
    recipe::{
        Part, Recipe,
        difference::{self, Difference, MODEL},
        plan::{DataSpec, Plan},
    },
    registry::{Modules, Rank},
    run_dir::{Read, RunDir, facts_from, step_of},
};
use burn::tensor::Device;
use toml::{Table, Value};
use tweedie::{Error, Result, error::ErrorKind, train::LrSchedule};

/// What a run is resumed with.
pub(super) struct Resume<'a, const D: usize> {
    pub args: &'a args::Train,
    pub modules: &'a Modules,
    pub folder: &'a RunDir,
    pub recipe: &'a Recipe,
    pub plan: &'a Plan<D>,
    pub fingerprint: &'a Fingerprint,
}

/// What was found of the run.
#[derive(Default)]
pub(super) struct Resumed {
    /// The run whose weights it began with.
    pub from: Option<String>,
    /// Whether it has taken all its steps and has all its files.
    pub complete: bool,
}

impl<const D: usize> Resume<'_, D>
where
    Modules: Rank<D>,
{
    /// Restores a trainer from the latest checkpoint that is whole.
    pub fn restore(&self, trainer: &mut dyn DynTrainer<D>, device: &Device) -> Result<Resumed> {
        let Self { args, folder, recipe, plan, .. } = *self;
        folder.tidy();
        if let Some(path) = &args.recipe {
            self.tell(&format!("resuming with {}; {} is not read", folder.recipe().display(), path.display()));
        }
        let mut warn = |text: String| note(&format!("warning: {text}"));
        let Some(read) = folder.latest(device, &|read| self.same_data(read), &mut warn)? else {
            return self.start_over();
        };
        let (step, steps) = (read.checkpoint.step, plan.train.steps);
        if step > steps {
            let message = format!(
                "{} is already at step {step}, beyond the {steps} steps of the run: raise the total with `--steps`.",
                read.path.display()
            );
            return Err(recipe.fail("train.steps", Part::Value, &message));
        }
        let before = self.earlier(&read);
        self.same_model(&read, before.as_ref())?;
        let (path, from) = (read.path.clone(), read.notes.get("from").cloned());
        let told = self.changes(&read, before.as_ref());
        trainer.restore(read.checkpoint).map_err(|error| match error.kind() {
            ErrorKind::Invalid => error.with_path(&path),
            _ => error,
        })?;
        told.iter().for_each(|told| self.tell(told));
        if path == folder.best() {
            let labels = Labels::new(plan, self.fingerprint, from.clone());
            folder.save(&trainer.checkpoint(), &labels.notes(None), plan.run.keep)?;
        }
        Ok(Resumed { from, complete: step == steps && step_of(&folder.model()) == Some(steps) })
    }

    fn tell(&self, text: &str) {
        if !self.args.quiet {
            note(text);
        }
    }

    /// A run without checkpoints starts over, unless it was trained already.
    fn start_over(&self) -> Result<Resumed> {
        let folder = self.folder;
        if let Some(step) = step_of(&folder.model()) {
            let problem = format!(
                "{} was trained to step {step}, but none of its checkpoints is left, so it cannot be resumed",
                folder.0.display()
            );
            return Err(Error::invalid(problem).with_remedy(format!(
                "restore a checkpoint from a copy, or train a new run from its weights: `tweedie train --from {}`",
                folder.typed()
            )));
        }
        self.tell("the run has no checkpoint; training starts from step 1");
        Ok(Resumed::default())
    }

    /// The plan of the recipe in a checkpoint, with the defaults of this version; `None` if it cannot be built any more.
    fn earlier(&self, read: &Read) -> Option<Plan<D>> {
        let recipe = read.recipe().ok()?;
        let data = DataSpec::new(&recipe, self.modules).ok()?;
        let facts = facts_from(&read.notes, &read.path).ok()?;
        Plan::new(&recipe, self.modules, &data, &facts).ok()
    }

    /// The differences of the recipe from that of a checkpoint.
    fn differences(&self, read: &Read, before: Option<&Plan<D>>, places: &[&str]) -> Vec<Difference> {
        let places = || places.iter().copied();
        match before {
            Some(before) => difference::between(&before.resolved, &self.plan.resolved, places()),
            None => {
                let known = read.recipe().map_or(Table::new(), |recipe| recipe.table().clone());
                let mut all = difference::between(&known, &self.plan.resolved, places());
                // Fields that only one version writes are no difference.
                all.retain(|found| found.old.is_some() && found.new.is_some());
                all
            }
        }
    }

    /// Whether the training data are those of a checkpoint.
    fn same_data(&self, read: &Read) -> Result<()> {
        let (recipe, facts) = (self.recipe, &self.plan.facts);
        let known = facts_from(&read.notes, &read.path)?;
        known.fit(facts).map_err(|error| recipe.at_field("data", error))?;
        let before = self.earlier(read);
        let mut fields = self.differences(read, before.as_ref(), &["data"]);
        fields.retain(|field| field.path != "data.path");
        let change = match fingerprint(read) {
            Some(before) => self.fingerprint.training.change(&before.training),
            // A checkpoint of an earlier version knows the number of samples, the classes and the recipe.
            None if known.samples != facts.samples => Some(format!("{} samples, now {}", known.samples, facts.samples)),
            None if known.classes != facts.classes => Some("other classes".into()),
            None => fields.first().map(|_| "other settings".into()),
        };
        let Some(change) = change else { return Ok(()) };
        let named: String = fields.iter().map(|field| format!("; {}", field.sentence())).collect();
        let message = format!(
            "the training data are not those that {} was trained on ({change}{named}), so samples that it has learned \
             would count as held out: resume with the same data, or train on these in a new run that begins with its \
             weights: `tweedie train {} --from {}`.",
            read.path.display(),
            self.recipe_argument(),
            self.folder.typed()
        );
        let place = fields.first().map_or("data", |field| &field.path);
        Err(recipe.fail(place, Part::Value, &message))
    }

    /// Whether the model is that of a checkpoint.
    fn same_model(&self, read: &Read, before: Option<&Plan<D>>) -> Result<()> {
        let Some(changed) = self.differences(read, before, &MODEL).into_iter().next() else { return Ok(()) };
        let message = format!(
            "{}, and a run keeps the model it began with: leave the change out, or make it in a new run that begins with \
             these weights: `tweedie train {} --from {}`.",
            changed.sentence(),
            self.recipe_argument(),
            self.folder.typed()
        );
        Err(self.recipe.fail(&changed.path, Part::Value, &message))
    }
    fn recipe_argument(&self) -> String {
        self.folder.recipe().display().to_string()
    }

    /// What goes on otherwise than before, a sentence each.
    fn changes(&self, read: &Read, before: Option<&Plan<D>>) -> Vec<String> {
        let step = read.checkpoint.step;
        let mut told = vec![];
        let mut fields = self.differences(read, before, &["train", "run.evaluate_rows"]);
        fields.retain(|field| field.path != "train.steps" && field.path != "train.seed");
        if !fields.is_empty() {
            let fields: Vec<String> = fields.iter().map(Difference::sentence).collect();
            told.push(format!("settings changed at step {step}: {}", fields.join(", ")));
        }
        let held_out = fingerprint(read).and_then(|before| before.held_out).zip(self.fingerprint.held_out.as_ref());
        if let Some(change) = held_out.and_then(|(before, now)| now.change(&before)) {
            told.push(format!(
                "warning: the held-out data changed ({change}), so losses on them before and after step {step} are not \
                 comparable"
            ));
        }
        told.extend(before.and_then(|before| self.jump(step, before)));
        told
    }

    /// Whether the learning rate goes on otherwise than it would have.
    fn jump(&self, step: u64, before: &Plan<D>) -> Option<String> {
        let (old, new) = (&before.train, &self.plan.train);
        let (expected, next) = (old.lr_at(step), new.lr_at(step));
        if step == 0 || step >= new.steps || (next - expected).abs() <= 1e-9 * expected.abs().max(next.abs()) {
            return None;
        }
        let decays = new.lr_schedule != LrSchedule::Constant && old.steps != new.steps;
        let because = match self.plan.resolved.get("train").and_then(|train| train.get("lr_schedule")) {
            Some(Value::String(name)) if decays => format!(
                ", because the {name} schedule decays over all steps, of which there were {} and are {}",
                old.steps, new.steps
            ),
            _ => String::new(),
        };
        Some(format!(
            "warning: the learning rate jumps from {:.1e} at step {step} to {next:.1e} at step {}{because}",
            old.lr_at(step - 1),
            step + 1
        ))
    }
}

fn fingerprint(read: &Read) -> Option<Fingerprint> {
    serde_json::from_str(read.notes.get("fingerprint")?).ok()
}

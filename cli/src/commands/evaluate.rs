//! `tweedie evaluate`: a trained run on held-out data.
//!
//! The loss is the training objective, of the network's predictions as they are: x̂ is not clipped, since it is not in
//! training. For categorical data the bits are an upper bound on −log₂ p(x) (NELBO), in continuous time if the noise has
//! such a bound, of the model as the recipe samples it, or of the network's predictions with `--no-clip`. The bits of a line of text include its end token, and bits per character divide them by its characters plus
//! one; the n-gram baselines are measured in the same way.
mod law;

use crate::{
    args,
    commands::list::pretty,
    commands::{compare, for_rank, sample},
    data::{Facts, Loaded, Set, Split},
    device,
    dyn_model::EvaluationSet,
    messages,
    needs::Needs,
    output::{console::say, progress::Progress},
    recipe::Recipe,
    recipe::memory::{self, Field},
    recipe::plan::{DataSpec, Plan},
    recipe::sections::MAX_STEPS,
    registry::{Modules, Rank},
};
use burn::tensor::Device;
use serde_json::{Value, json};
use std::path::PathBuf;
use tweedie::{
    Error, Result,
    denoise::Truncation,
    train::{Checkpoint, Parameters},
};
use tweedie_data::{Baseline, Mean, Texts, baselines};

pub(crate) fn run(args: &args::Evaluate, modules: &Modules) -> Result<()> {
    if args.rows == Some(0) || args.times == 0 {
        return Err(Error::invalid("`--rows` and `--times` must be 1 or more"));
    }
    if args.times > MAX_STEPS {
        return Err(Error::invalid(format!(
            "`--times` must be at most {}, got {}",
            messages::grouped(MAX_STEPS),
            args.times
        )));
    }
    if args.samples == Some(0) {
        return Err(Error::invalid("`--samples` must be 1 or more"));
    }
    if let Some(out) = &args.out {
        if args.samples.is_none() {
            return Err(Error::invalid(
                "`--out` is the folder of the figure that `--samples` makes: add `--samples 512`",
            ));
        }
        compare::output::make(out)?;
    }
    let device = device::named(&args.device)?;
    let sample::Opened { weights, facts, mut recipe, .. } = sample::open(&args.run)?;
    if let Some(path) = &args.data {
        recipe.put("data.path", toml::Value::String(path.clone()), format!("--data {path}"))?;
    }
    let data = DataSpec::new(&recipe, modules)?.knowing(&facts);
    let Some(held_out) = data.load(&recipe, Split::Test)? else {
        return Err(Error::invalid(format!(
            "{} was trained without held-out data, so there is nothing to evaluate it on: train with `held_out = 10` \
             (one sample of ten) in `[data]`",
            args.run.display()
        )));
    };
    let case = Case { args, modules, recipe: &recipe, data: &data, facts: &facts, device: &device, weights };
    for_rank!(held_out, set => case.evaluate(&*set))
}

struct Case<'a> {
    args: &'a args::Evaluate,
    modules: &'a Modules,
    recipe: &'a Recipe,
    data: &'a DataSpec,
    facts: &'a Facts,
    device: &'a Device,
    weights: PathBuf,
}

impl Case<'_> {
    fn evaluate<const D: usize>(&self, held_out: &dyn Set<D>) -> Result<()>
    where
        Modules: Rank<D>,
    {
        let (args, facts) = (self.args, self.facts);
        facts.fit(&held_out.facts())?;
        let plan = Plan::<D>::new(self.recipe, self.modules, self.data, facts)?;
        let measured = args.samples.map(|n| law::of(held_out, facts).map(|law| (n, law))).transpose()?;
        // Evenly over the held-out data, whatever their order.
        let n = args.rows.unwrap_or(plan.run.evaluate_rows).min(held_out.len());
        if n == 0 {
            let problem = "evaluate on no samples: `evaluate_rows` is 0 in [run] of its recipe, so give `--rows 512`";
            return Err(Error::invalid(format!("{} would {problem}", args.run.display())));
        }
        let rows: Vec<usize> = (0..n).map(|i| i * held_out.len() / n).collect();
        let batch = (plan.train.batch / plan.train.accumulate).clamp(1, n);
        if args.device == "cpu" {
            let needs = Needs::of(&plan);
            let bytes = |batch| needs.sampling(batch, batch, 1);
            let remedy = "; the batch of an evaluation is a part of the training batch";
            Field { path: "train.batch", value: batch, bytes: &bytes, remedy }
                .check(self.recipe, memory::available()?)?;
        }
        let read = |like: &Parameters| Checkpoint::load_weights(&self.weights, like, self.device);
        plan.check_precision(self.recipe, self.device, false)?;
        let model = plan.net.model(plan.model_parts(), self.device, &read)?;
        let bar = Progress::new(args.json, "evaluating");
        let set = EvaluationSet {
            data: held_out,
            rows: &rows,
            batch,
            unconditional: plan.train.cond_dropout == 1.0,
            seed: args.seed,
            progress: &|fraction| bar.at(fraction),
            device: self.device,
        };
        let loss = model.mean_loss(&set, &plan.objective, plan.times.as_deref());
        let mut results = Results { rows: n, of: held_out.len(), loss, bits: None, law: None };
        if plan.noise.categorical() {
            let (guidance, truncation) = match args.no_clip {
                true => (1.0, Truncation::default()),
                false => (plan.sample.guidance, plan.sample.truncation()),
            };
            bar.doing("evaluating the bound".into());
            let bits = model.bound_bits(&set, args.times, guidance, truncation)?;
            let tokens: Vec<f64> = rows
                .iter()
                .map(|row| held_out.texts().map_or(facts.shape[0], |texts| texts.num_tokens(*row)) as f64)
                .collect();
            let mut measured = Bits {
                of: bits_of(args.no_clip, guidance, truncation),
                excluded: bits.iter().filter(|bits| bits.is_infinite()).count(),
                per_token: Mean::ratio(&bits, &tokens),
                per_char: None,
                baselines: vec![],
            };
            if let Some(texts) = held_out.texts() {
                let characters: Vec<f64> = rows.iter().map(|row| texts.num_characters(*row) as f64).collect();
                measured.per_char = Some(Mean::ratio(&bits, &characters));
                measured.baselines = self.baselines(texts, &rows)?;
            }
            results.bits = Some(measured);
        }
        bar.clear();
        if let Some((n, law)) = measured {
            let (model, quiet, device) = (&*model, args.json, self.device);
            let request = law::Request { plan: &plan, model, held_out, n, seed: args.seed, quiet, device };
            let law = request.measure(law)?;
            if let Some(out) = &args.out {
                law.write(out, &args.run.display().to_string())?;
            }
            results.law = Some(law);
        }
        results.show(args.json, &held_out.facts());
        if let (Some(out), false) = (&args.out, args.json) {
            say(&format!("{}: evaluate.html, evaluate.png and evaluate.svg", out.display()));
        }
        Ok(())
    }

    /// n-gram models of the training data.
    fn baselines(&self, texts: &Texts, rows: &[usize]) -> Result<Vec<Baseline>> {
        match self.data.load(self.recipe, Split::Train)? {
            Some(Loaded::Three(train)) => Ok(train.texts().map_or(vec![], |train| baselines(train, texts, rows))),
            _ => Ok(vec![]),
        }
    }
}

/// The results of an evaluation.
struct Results {
    rows: usize,
    of: usize,
    loss: Mean,
    bits: Option<Bits>,
    law: Option<law::LawOf>,
}
struct Bits {
    /// The model that they are of.
    of: String,
    /// The number of samples that it cannot generate.
    excluded: usize,
    per_token: Mean,
    per_char: Option<Mean>,
    baselines: Vec<Baseline>,
}

/// The model that the bits are of.
fn bits_of(network: bool, guidance: f64, truncation: Truncation) -> String {
    let Truncation { temperature, top_k, top_p } = truncation;
    let settings = [
        (guidance != 1.0).then(|| format!("guidance {guidance}")),
        (temperature != 1.0).then(|| format!("temperature {temperature}")),
        top_k.map(|k| format!("top_k {k}")),
        (top_p != 1.0).then(|| format!("top_p {top_p}")),
    ];
    let settings: Vec<String> = settings.into_iter().flatten().collect();
    match (network, settings.is_empty()) {
        (true, _) => "the network's predictions".into(),
        (false, true) => "the model as it is sampled: the network's predictions".into(),
        (false, false) => format!("the model as it is sampled: {}", settings.join(", ")),
    }
}

impl Results {
    fn show(&self, as_json: bool, facts: &Facts) {
        if as_json {
            say(&pretty(&self.json()));
            return;
        }
        say(&format!("held out    {}", facts.describe()));
        say(&format!("evaluated   {} of {} samples", messages::grouped(self.rows), messages::grouped(self.of)));
        let mean = |mean: &Mean| match mean.value.is_finite() {
            true => format!("{:.4} ± {:.4}", mean.value, mean.error),
            false => "∞".into(),
        };
        let not_clipped = if facts.bounded { ", of x̂ as it is predicted, not clipped" } else { "" };
        say(&format!("loss        {}{not_clipped}", mean(&self.loss)));
        self.law.iter().flat_map(law::LawOf::lines).for_each(|line| say(&line));
        let Some(bits) = &self.bits else { return };
        say(&format!("bits of     {}", bits.of));
        if bits.excluded > 0 {
            say(&format!(
                "            {} of {} samples cannot be generated so; `--no-clip` measures the network's predictions",
                messages::grouped(bits.excluded),
                messages::grouped(self.rows)
            ));
        }
        let Some(per_char) = &bits.per_char else {
            say(&format!("bits per dimension {}", mean(&bits.per_token)));
            return;
        };
        say("");
        say(&format!("{:10}  {:>18}  {:>17}", "", "bits per character", "bits per token"));
        let line = |name: &str, per_char: &Mean, per_token: &Mean| {
            say(&format!("{name:10}  {:>18}  {:>17}", mean(per_char), mean(per_token)));
        };
        line("the model", per_char, &bits.per_token);
        for Baseline { name, bits_per_token, bits_per_char } in &bits.baselines {
            line(name, bits_per_char, bits_per_token);
        }
    }

    fn json(&self) -> Value {
        let mut all = json!({
            "rows": self.rows,
            "loss": self.loss.value,
            "loss_error": self.loss.error,
        });
        if let Some(law) = &self.law {
            all["law"] = law.json();
        }
        let Some(bits) = &self.bits else { return all };
        all["bits_of"] = json!(bits.of);
        all["rows_excluded"] = json!(bits.excluded);
        all["bits_per_token"] = json!(bits.per_token.value);
        all["bits_per_token_error"] = json!(bits.per_token.error);
        if let Some(per_char) = &bits.per_char {
            all["bits_per_char"] = json!(per_char.value);
            all["bits_per_char_error"] = json!(per_char.error);
        }
        if !bits.baselines.is_empty() {
            let entry = |Baseline { name, bits_per_token, bits_per_char }: &Baseline| {
                let value = json!({
                    "bits_per_token": bits_per_token.value, "bits_per_token_error": bits_per_token.error,
                    "bits_per_char": bits_per_char.value, "bits_per_char_error": bits_per_char.error,
                });
                ((*name).to_owned(), value)
            };
            all["baselines"] = Value::Object(bits.baselines.iter().map(entry).collect());
        }
        all
    }
}

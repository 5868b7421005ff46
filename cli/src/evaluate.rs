//! `tweedie evaluate`: a run on the data it did not learn from.
//!
//! For categories the bits are those of a bound on −log₂ p(x), in continuous time where the noise allows it. A line of text is
//! described whole, the ends after it included, and its bits are shared by its characters and one end: what n-grams are asked too.
use crate::{
    args,
    data::{Facts, Loaded, Set, Split},
    device,
    list::pretty,
    named::{Modules, Rank},
    recipe::Recipe,
    sample, say,
    session::Trial,
    spec::{DataSpec, Plan},
    words,
};
use burn::tensor::Device;
use serde_json::{Value, json};
use std::path::PathBuf;
use tweedie::{
    Error, Result,
    train::{Checkpoint, Parameters},
};
use tweedie_data::{Baseline, Mean, Texts, baselines};

pub(crate) fn run(args: &args::Evaluate, modules: &Modules) -> Result<()> {
    if args.rows == Some(0) || args.times == 0 {
        return Err(Error::Unfit("`--rows` and `--times` are numbers of 1 or more".into()));
    }
    let device = device::named(&args.device)?;
    let sample::Opened { weights, facts, mut recipe, .. } = sample::open(&args.run)?;
    if let Some(path) = &args.data {
        recipe.put("data.path", toml::Value::String(path.clone()), format!("--data {path}"))?;
    }
    let data = DataSpec::new(&recipe, modules)?;
    let Some(held_out) = data.load(&recipe, Split::Test)? else {
        return Err(Error::Unfit(format!(
            "{} holds nothing out of its data, so there is nothing to evaluate it on: train with `held_out = 10` in `[data]`, \
             or another number",
            args.run.display()
        )));
    };
    let case = Case { args, modules, recipe: &recipe, data: &data, facts: &facts, device: &device, weights };
    match held_out {
        Loaded::Two(set) => case.evaluate::<2>(&*set),
        Loaded::Three(set) => case.evaluate::<3>(&*set),
        Loaded::Four(set) => case.evaluate::<4>(&*set),
    }
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
        let read = |like: &Parameters| Checkpoint::load_weights(&self.weights, like, self.device);
        let artist = plan.net.artist(plan.made(), self.device, &read)?;
        // Evenly spread over the part, whatever its order.
        let n = args.rows.unwrap_or(plan.run.evaluate_rows).min(held_out.len());
        let rows: Vec<usize> = (0..n).map(|i| i * held_out.len() / n).collect();
        let trial = Trial {
            data: held_out,
            rows: &rows,
            batch: (plan.train.batch / plan.train.accumulate).clamp(1, n),
            seed: args.seed,
            device: self.device,
        };
        let objective = artist.objective(&trial, &plan.objective, plan.times.as_deref());
        let mut results = Results { rows: n, of: held_out.len(), objective, bits: None };
        if plan.noise.categorical() {
            let bits = artist.bits(&trial, args.times)?;
            let tokens: Vec<f64> = rows
                .iter()
                .map(|row| held_out.texts().map_or(facts.shape[0], |texts| texts.num_tokens(*row)) as f64)
                .collect();
            let mut measured = Bits { per_token: Mean::ratio(&bits, &tokens), per_char: None, baselines: vec![] };
            if let Some(texts) = held_out.texts() {
                let characters: Vec<f64> = rows.iter().map(|row| texts.num_characters(*row) as f64).collect();
                measured.per_char = Some(Mean::ratio(&bits, &characters));
                measured.baselines = self.baselines(texts, &rows)?;
            }
            results.bits = Some(measured);
        }
        results.show(args.json, facts);
        Ok(())
    }

    /// Models of a few tokens, which learn from what the run learned from.
    fn baselines(&self, texts: &Texts, rows: &[usize]) -> Result<Vec<Baseline>> {
        match self.data.load(self.recipe, Split::Train)? {
            Some(Loaded::Three(train)) => Ok(train.texts().map_or(vec![], |train| baselines(train, texts, rows))),
            _ => Ok(vec![]),
        }
    }
}

/// What an evaluation came to.
struct Results {
    rows: usize,
    of: usize,
    objective: Mean,
    bits: Option<Bits>,
}
struct Bits {
    per_token: Mean,
    per_char: Option<Mean>,
    baselines: Vec<Baseline>,
}

impl Results {
    fn show(&self, as_json: bool, facts: &Facts) {
        if as_json {
            say(&pretty(&self.json()));
            return;
        }
        say(&format!("data        {}", facts.describe()));
        say(&format!("held out    {} of {} samples", words::grouped(self.rows), words::grouped(self.of)));
        let mean = |mean: &Mean| format!("{:.4} ± {:.4}", mean.value, mean.error);
        say(&format!("objective   {}", mean(&self.objective)));
        let Some(bits) = &self.bits else { return };
        let Some(per_char) = &bits.per_char else {
            say(&format!("bits a dimension   {}", mean(&bits.per_token)));
            return;
        };
        say("");
        say(&format!("{:10}  {:>17}  {:>17}", "", "bits a character", "bits a token"));
        let line = |name: &str, per_char: &Mean, per_token: &Mean| {
            say(&format!("{name:10}  {:>17}  {:>17}", mean(per_char), mean(per_token)));
        };
        line("the model", per_char, &bits.per_token);
        for Baseline { name, bits_per_token, bits_per_char } in &bits.baselines {
            line(name, bits_per_char, bits_per_token);
        }
    }

    fn json(&self) -> Value {
        let mut all = json!({
            "rows": self.rows,
            "objective": self.objective.value,
            "objective_error": self.objective.error,
        });
        let Some(bits) = &self.bits else { return all };
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

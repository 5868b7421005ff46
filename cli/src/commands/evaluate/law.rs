//! `--samples`: a statistic of generated samples beside that of held-out data and beside its expectation, if that is known.
use crate::{
    data::{Facts, Set},
    dyn_model::{DynModel, generate},
    messages,
    needs::Needs,
    output::{conditioned, picture, progress::Progress},
    recipe::{memory, plan::Plan},
};
use burn::tensor::{Device, Tensor};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use tweedie::{
    Error, Result, Rng,
    condition::{Condition as _, Conditions},
    train::write_atomically,
};
use tweedie_data::{Law, Measured, distance};
use tweedie_plot::{Axis, Color, Figure, Mark, Page, Panel, Theme};

/// A statistic of samples and of held-out data.
pub(super) struct LawOf {
    law: Arc<Law>,
    n: usize,
    samples: Measured,
    held_out: Measured,
    panels: [Option<Panel>; 2],
}

/// The statistic that is measured on data of these properties.
///
/// # Errors
///
/// If there is none.
pub(super) fn of<const D: usize>(set: &dyn Set<D>, facts: &Facts) -> Result<Arc<Law>> {
    if let Some(law) = set.law() {
        return Ok(law);
    }
    match *facts.shape.as_slice() {
        [channels, length] if facts.signal => Ok(Arc::new(Law::spectrum(channels, length))),
        [_, _, _, _] => Ok(Arc::new(Law::means(20))),
        _ => Err(Error::invalid(format!(
            "`--samples` measures signals, volumes and data whose law is known, and these data are {}: `tweedie compare \
             --samples` measures distances between samples and data of every kind",
            facts.describe()
        ))),
    }
}

/// What samples are generated and measured with.
pub(super) struct Request<'a, const D: usize> {
    pub plan: &'a Plan<D>,
    pub model: &'a dyn DynModel<D>,
    pub held_out: &'a dyn Set<D>,
    pub n: usize,
    pub seed: u64,
    pub quiet: bool,
    pub device: &'a Device,
}

impl<const D: usize> Request<'_, D> {
    /// Generates samples with the conditions of held-out data, and measures them and as many of the data.
    pub fn measure(&self, law: Arc<Law>) -> Result<LawOf> {
        let Self { plan, model, held_out, n, .. } = *self;
        let facts = &plan.facts;
        let needs = Needs::of(plan);
        memory::check_flag("--samples", n, &|n| needs.sampling(n, plan.sample.batch.min(n), 1))?;
        let known = n.min(held_out.len());
        let rows: Vec<usize> = (0..known).map(|i| i * held_out.len() / known).collect();
        let (x, given) = held_out.batch(&rows, &Rng::new(self.seed).stream("evaluate").stream("data"), self.device);
        let conditions = match plan.train.cond_dropout == 1.0 || given.is_none() {
            true => Conditions::none(),
            false => given.select(&(0..n).map(|i| i % known).collect::<Vec<_>>()),
        };
        let recorded = [plan.sample.steps];
        let own = crate::commands::sample::request(plan, &conditions, &recorded, self.device);
        let request = crate::dyn_model::SampleRequest { n, seed: self.seed, ..own };
        let bar = Progress::new(self.quiet, "sampling");
        let samples = generate(model, &plan.x.shape, &request, &mut |part, nfe| bar.sampling(part, nfe))?;
        bar.clear();
        let samples = samples.last();
        if let Some(wrong) = samples.iter().find(|x| !x.is_finite()) {
            return Err(Error::invalid(format!(
                "a value of the samples is {wrong}: the sampler diverged, or the weights of the run are damaged"
            )));
        }
        let data = host(x);
        let each: usize = facts.shape.iter().product();
        let panel = |values: &[f32], conditions: &Conditions, title: &str| {
            let label = |i: usize| conditioned::describe(facts, conditions, i);
            picture::panel(facts, values, title, label)
        };
        Ok(LawOf {
            n,
            samples: law.mean(samples.chunks_exact(each)),
            held_out: law.mean(data.chunks_exact(each)),
            panels: [panel(samples, &conditions, "samples")?, panel(&data, &given, "held-out data")?],
            law,
        })
    }
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.try_into_vec_as().expect("a tensor can be read back")
}

impl LawOf {
    /// The lines of the report.
    pub fn lines(&self) -> Vec<String> {
        let Self { law, samples, held_out, .. } = self;
        let mut lines = vec![format!("{} of {} samples", law.name, messages::grouped(self.n))];
        match (law.gap(&samples.mean), law.gap(&held_out.mean)) {
            (Some(own), Some(data)) => lines.push(format!(
                "            distance {own:.4} from the exact one; of held-out data {data:.4} (Σ |a − b| / Σ b)"
            )),
            _ => lines.push(format!(
                "            distance {:.4} from that of held-out data (Σ |a − b| / Σ b)",
                distance(&samples.mean, &held_out.mean)
            )),
        }
        lines
    }

    /// The same and all numbers, as JSON.
    pub fn json(&self) -> Value {
        let Self { law, samples, held_out, .. } = self;
        json!({
            "name": law.name, "samples": self.n,
            "distance": law.gap(&samples.mean), "held_out_distance": law.gap(&held_out.mean),
            "distance_from_held_out": distance(&samples.mean, &held_out.mean),
            "at": law.at, "mean": samples.mean, "error": samples.error,
            "held_out": held_out.mean, "held_out_error": held_out.error, "expected": law.expected,
        })
    }

    /// Writes `evaluate.html`, `evaluate.png` and `evaluate.svg`.
    pub fn write(&self, out: &Path, title: &str) -> Result<()> {
        let figure = self.figure();
        let page = Page {
            slug: "evaluate".into(),
            title: title.to_owned(),
            text: self.lines().join(": ").replace("            ", ""),
            figures: vec![figure],
            ..Page::default()
        };
        write_atomically(&out.join("evaluate.html"), page.html(&[]).as_bytes())?;
        write_atomically(&out.join("evaluate.png"), &page.figures[0].png(Theme::Light))?;
        write_atomically(&out.join("evaluate.svg"), page.figures[0].svg(Theme::Light).as_bytes())
    }

    fn figure(&self) -> Figure {
        let Self { law, samples, held_out, .. } = self;
        let positive = |values: &[f64]| values.iter().all(|value| *value > 0.0);
        let values: Vec<&[f64]> = [Some(&samples.mean[..]), Some(&held_out.mean[..]), law.expected.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let y = Axis::new(&*law.axes[1]);
        // Powers over several orders of magnitude.
        let y = if values.iter().all(|values| positive(values)) { y.log() } else { y };
        let mut panel = Panel::plane(&*law.name, Axis::new(&*law.axes[0]), y);
        let points = |mean: &Measured, name: &str, series: usize| {
            Mark::points(law.at.clone(), mean.mean.clone()).name(name).series(series).width(6.0).opacity(0.9)
        };
        if let Some(expected) = &law.expected {
            panel = panel.mark(Mark::line(law.at.clone(), expected.clone()).name("exact").color(Color::Ink).width(1.6));
        }
        panel = panel.mark(points(held_out, "held-out data", 1)).mark(points(samples, "samples", 0));
        let pictures = self.panels.iter().flatten().cloned();
        pictures.fold(Figure::new("", 1).wide().panel(panel.aspect(0.45)), Figure::panel)
    }
}

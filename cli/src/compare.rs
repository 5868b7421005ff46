//! `tweedie compare`: every deterministic sampler on one model, against a solution of high accuracy.
use crate::{
    args,
    data::Facts,
    device,
    folder::{data_of, facts_of},
    list::pretty,
    named::{Modules, Rank},
    recipe::Recipe,
    sample, say,
    spec::{DataSpec, Plan},
    words,
};
use burn::tensor::{DType, Device, Tensor};
use serde_json::json;
use std::{cell::Cell, fs, path::Path, time::Instant};
use toml::Table;
use tweedie::{
    Error, Result, Rng,
    denoise::Denoiser,
    laws,
    noise::{Estimate, Noise},
    sample::{DormandPrince, Sampler, reverse_from},
    schedule::{Edm, OrnsteinUhlenbeck, VariancePreserving},
    train::{Parameters, write_atomically},
};
use tweedie_plot::{Axis, Figure, Mark, Page, Panel, Theme};

/// Exact problems by name: a mixture of three Gaussians in the plane under a schedule.
const EXACT: [&str; 3] = ["variance-preserving", "ornstein-uhlenbeck", "edm"];

pub(crate) fn run(args: &args::Compare, modules: &Modules) -> Result<()> {
    if args.steps.is_empty() || args.steps.contains(&0) || args.n == 0 {
        return Err(Error::Unfit("`--steps` lists numbers of 1 or more, and `--n` is 1 or more".into()));
    }
    if let Some(problem) = args.model.to_str().filter(|name| EXACT.contains(name)) {
        let model = match problem {
            "edm" => laws::problem(Edm { min: 0.02, max: 20.0, rho: 7.0 }),
            "ornstein-uhlenbeck" => laws::problem(OrnsteinUhlenbeck {}),
            _ => laws::problem(VariancePreserving::default()),
        };
        let noise = Denoiser::<2>::noise(&model);
        let sigma = noise.path().expect("the noise is Gaussian").at(1.0).sigma;
        let z = Rng::new(args.seed).normal_tensor([args.n, 2], &Device::flex(), DType::F64) * sigma;
        return compare::<2>(&model, modules, z, 1e-10, args, problem);
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
    let (weights, _) = sample::weights(&args.model)?;
    let notes = facts_of(&weights)?;
    let facts = data_of(&notes, &weights)?;
    let text = notes.get("recipe").cloned().unwrap_or_default();
    let recipe = Recipe::parse(&format!("the recipe of {}", args.model.display()), text)?;
    let data = DataSpec::new(&recipe, modules)?;
    let from = Of { args, modules, recipe: &recipe, data: &data, facts: &facts, device: &device, weights: &weights };
    match facts.shape.len() {
        1 => from.compare::<2>(),
        2 => from.compare::<3>(),
        3 => from.compare::<4>(),
        _ => Err(Error::Unfit(format!("samples of shape {:?} cannot be drawn by this build", facts.shape))),
    }
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
    fn compare<const D: usize>(&self) -> Result<()>
    where
        Modules: Rank<D>,
    {
        let plan = Plan::<D>::new(self.recipe, self.modules, self.data, self.facts)?;
        let read = |like: &Parameters| tweedie::train::Checkpoint::load_weights(self.weights, like, self.device);
        let artist = plan.net.artist(plan.made(), self.device, &read)?;
        let classes = sample::in_turn(self.facts, self.args.n);
        let model = artist.guided(&classes, self.args.n, plan.sample.guidance, plan.clamp());
        let mut shape = [self.args.n; D];
        shape[1..].copy_from_slice(&self.facts.shape);
        let z =
            model.noise().stationary(shape, self.device).sample(&mut Rng::new(self.args.seed).stream("start")).value;
        compare::<D>(&*model, self.modules, z, 1e-5, self.args, &self.args.model.display().to_string())
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

/// One walk.
struct Row {
    sampler: String,
    steps: usize,
    calls: usize,
    error: f64,
    seconds: f64,
}

fn compare<const D: usize>(
    model: &dyn Denoiser<D>,
    modules: &Modules,
    z: Tensor<D>,
    tolerance: f64,
    args: &args::Compare,
    title: &str,
) -> Result<()>
where
    Modules: Rank<D>,
{
    let counting = Counting { model, calls: Cell::new(0) };
    let walk = |sampler: &dyn Sampler<D>, steps: usize| -> Result<Tensor<D>> {
        let times = tweedie::model::grid(model.noise(), steps);
        let walk = reverse_from(&counting, sampler, times, z.clone(), &Rng::new(args.seed))?;
        Ok(walk.last().expect("a walk has points").1)
    };
    let reference = DormandPrince { absolute: tolerance, relative: tolerance };
    let truth = walk(&reference, 1)?;
    let reference_calls = counting.calls.get();
    let mut rows = vec![];
    let shelf = &Rank::<D>::ranked(modules).samplers;
    let names: Vec<String> = shelf.faces().map(|face| face.name.clone()).collect();
    for name in names {
        let wrong = |error| Error::Unfit(format!("the defaults of sampler `{name}` make none: {error}"));
        let (sampler, _) = shelf.build(&name, Table::new()).expect("it is listed").map_err(wrong)?;
        if sampler.order().is_none() || sampler.check(model.noise()).is_err() {
            continue;
        }
        for &steps in &args.steps {
            counting.calls.set(0);
            let start = Instant::now();
            let end = walk(&*sampler, steps)?;
            let seconds = start.elapsed().as_secs_f64();
            let square = (end - truth.clone()).square().mean().sqrt();
            let error = square.try_into_vec_as::<f64>().expect("a tensor can be read back")[0];
            rows.push(Row { sampler: name.clone(), steps, calls: counting.calls.get(), error, seconds });
        }
    }
    if args.json {
        say(&pretty(&json!({
            "model": title, "samples": args.n, "reference": { "calls": reference_calls, "tolerance": tolerance },
            "rows": rows.iter().map(Row::entry).collect::<Vec<_>>(),
        })));
    } else {
        say(&format!("{title}: {} samples, reference of {reference_calls} calls to {tolerance:.0e}", args.n));
        table(&rows);
    }
    if let Some(out) = &args.out {
        fs::create_dir_all(out).map_err(Error::io(out, "make the folder"))?;
        let page = page(&rows, title);
        write_atomically(&out.join("compare.html"), page.html(&[]).as_bytes())?;
        write_atomically(&out.join("compare.png"), &page.figures[0].png(Theme::Light))?;
        if !args.json {
            say(&format!("{}: compare.html and compare.png", out.display()));
        }
    }
    Ok(())
}

impl Row {
    fn entry(&self) -> serde_json::Value {
        json!({
            "sampler": self.sampler, "steps": self.steps, "calls": self.calls, "error": self.error,
            "ms": self.seconds * 1e3,
        })
    }
}

fn table(rows: &[Row]) {
    let width = rows.iter().map(|row| row.sampler.len()).max().unwrap_or(0).max(7);
    say(&format!("{:width$}  steps  calls     error        ms", "sampler"));
    for row in rows {
        say(&format!(
            "{:width$}  {:>5}  {:>5}  {:>8.2e}  {:>8.2}",
            row.sampler,
            row.steps,
            row.calls,
            row.error,
            row.seconds * 1e3
        ));
    }
}

/// Error over calls, both logarithmic.
fn page(rows: &[Row], title: &str) -> Page {
    let mut names: Vec<&str> = rows.iter().map(|row| &*row.sampler).collect();
    names.dedup();
    let mut panel = Panel::plane("", Axis::new("calls of the model").log(), Axis::new("root mean square error").log());
    for (i, name) in names.iter().enumerate() {
        let own = || rows.iter().filter(|row| row.sampler == *name && row.error > 0.0 && row.error.is_finite());
        let x: Vec<f64> = own().map(|row| row.calls as f64).collect();
        let y: Vec<f64> = own().map(|row| row.error).collect();
        panel = panel.mark(Mark::line(x, y).name(*name).series(i));
    }
    Page {
        slug: "compare".into(),
        title: format!("Samplers on {title}"),
        text: "The distance from the solution of the probability flow, from the same starting noise.".into(),
        figures: vec![Figure::new("", 1).panel(panel)],
        ..Page::default()
    }
}

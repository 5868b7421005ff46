//! Weights of losses over log-SNR.
use super::code;
use crate::{
    commands::{for_rank, sample::module_of},
    data::{Set, Split},
    output::console::note,
    recipe::{
        Recipe, build,
        plan::{DataSpec, Plan},
    },
    registry::{Modules, Rank, module},
    run_dir::RunDir,
};
use burn::tensor::{DType, Device, Tensor};
use std::{path::Path, sync::Arc};
use toml::Value;
use tweedie::{
    Error, Result, Rng,
    loss::{Batch, Loss, Weight},
    noise::{Gaussian, Noise, lift},
    schedule::Schedule,
    spacing::{Spacing, training_times},
};
use tweedie_plot::Page;
use tweedie_plot::gallery::{self, Weighting};

/// Number of values of λ.
const POINTS: usize = 240;
/// The distance of the shown times from the ends of continuous time.
const EDGE: f64 = 1e-4;
/// The largest |λ| that is shown.
const REACH: f64 = 12.0;

/// The values of λ that a schedule passes, increasing, and their times. Those of a table are of its steps, because its slopes jump
/// there.
fn grid(schedule: &dyn Schedule) -> (Vec<f64>, Vec<f64>) {
    let at = |t: f64| schedule.at(t).log_snr();
    let times: Vec<f64> = match schedule.steps().filter(|steps| *steps > 1) {
        Some(steps) => (1..=steps).rev().step_by(steps.div_ceil(1000)).map(|i| i as f64 / steps as f64).collect(),
        None => gallery::grid(at(1.0 - EDGE).max(-REACH), at(EDGE).min(REACH), POINTS)
            .into_iter()
            .map(|lambda| schedule.time_at_log_snr(lambda))
            .collect(),
    };
    times.into_iter().map(|t| (at(t), t)).filter(|(lambda, _)| lambda.abs() <= REACH + 1e-6).unzip()
}

/// The density of training times over λ, from their quantiles.
fn density(times: &dyn Spacing, schedule: &dyn Schedule, lambdas: &[f64]) -> Vec<f64> {
    const QUANTILES: usize = 20_000;
    let quantile = |i: usize| (i as f64 + 0.5) / QUANTILES as f64;
    // λ, and the first and the last quantile there: a table has many at one time.
    let mut known: Vec<(f64, [f64; 2])> = vec![];
    for u in (0..QUANTILES).map(quantile) {
        let lambda = schedule.at(times.quantile(u)).log_snr();
        match known.last_mut() {
            Some((last, [_, end])) if *last == lambda => *end = u,
            _ if lambda.is_finite() => known.push((lambda, [u, u])),
            _ => {}
        }
    }
    // λ decreases with t.
    let known: Vec<(f64, f64)> =
        known.into_iter().rev().map(|(lambda, [u, v])| (lambda, 1.0 - 0.5 * (u + v))).collect();
    let below = |lambda: f64| {
        let i = known.partition_point(|(known, _)| *known < lambda);
        match (i.checked_sub(1).and_then(|i| known.get(i)), known.get(i)) {
            (Some((l, f)), Some((m, g))) => f + (g - f) * (lambda - l) / (m - l),
            (Some((_, end)), None) | (None, Some((_, end))) => *end,
            (None, None) => 0.0,
        }
    };
    let last = lambdas.len().saturating_sub(1);
    let slope = |i: usize| {
        let [low, high] = [lambdas[i.saturating_sub(1)], lambdas[(i + 1).min(last)]];
        (below(high) - below(low)) / (high - low)
    };
    (0..lambdas.len()).map(slope).collect()
}

/// The curve of a weight on a schedule with uniform times.
fn of_weight(label: &str, weight: &dyn Weight, name: &str, schedule: &Arc<dyn Schedule>) -> Weighting {
    // show weights
    let (log_snr, t) = grid(schedule);
    let weight = t.iter().map(|t| weight.weight(schedule.at(*t))).collect();
    let times = training_times::<2>(&Gaussian::new(schedule.clone()));
    let density = density(&*times, schedule, &log_snr);
    // show
    Weighting { label: label.into(), log_snr, weight, times: format!("t of {name}"), density }
}

/// The weight on ‖x̂ − x‖² that a loss has at small errors, one per time: half its second derivative there; `None` if it is not
/// quadratic at small errors.
fn of_loss<const D: usize>(loss: &dyn Loss<D>, noise: &dyn Noise<D>, shape: &[usize], t: &[f64]) -> Option<Vec<f64>> {
    let mut dims = [t.len(); D];
    dims[1..].copy_from_slice(shape);
    let normals =
        |purpose: &str| -> Tensor<D> { Rng::new(0).stream(purpose).normal_tensor(dims, &Device::flex(), DType::F64) };
    let (x, eps, error) = (normals("data"), normals("noise"), normals("error"));
    let path = noise.path()?;
    let [alpha, sigma] = lift(&x, t, |_, t| [path.at(t).alpha, path.at(t).sigma]);
    let z = x.clone() * alpha + eps.clone() * sigma;
    let read = |losses: Tensor<1>| losses.try_into_vec_as::<f64>().expect("a tensor can be read back");
    let at = |size: f64| {
        let output = noise.target(x.clone() + error.clone() * size, z.clone(), t);
        let output = match noise.outputs() {
            2 => Tensor::cat(vec![output.clone(), output.zeros_like()], 1),
            _ => output,
        };
        read(loss.compute(&Batch::new(noise, x.clone(), z.clone(), Some(eps.clone()), t, output, &(), &())))
    };
    let (least, squares) = (at(0.0), read(tweedie::loss::per_sample(error.clone().square())));
    let curvature = |size: f64| -> Vec<f64> {
        let (over, under) = (at(size), at(-size));
        let row = |i: usize| (over[i] + under[i] - 2.0 * least[i]) / (2.0 * size * size * squares[i]);
        (0..t.len()).map(row).collect()
    };
    let (found, half) = (curvature(1e-3), curvature(5e-4));
    let quadratic = found.iter().zip(&half).filter(|(a, b)| (*a - *b).abs() <= 0.05 * b.abs()).count();
    (2 * quadratic > t.len()).then_some(found)
}

/// The curve of a recipe: the sum of its losses, and the density of its training times.
fn of_recipe<const D: usize>(
    label: &str,
    recipe: &Recipe,
    modules: &Modules,
    data: &DataSpec,
    set: &dyn Set<D>,
) -> Result<Weighting>
where
    Modules: Rank<D>,
{
    let plan = Plan::<D>::new(recipe, modules, data, &set.facts())?;
    if plan.noise.categorical() {
        let problem = format!("the recipe {label} is of categories, whose losses are not errors of x̂");
        return Err(Error::invalid(problem).with_remedy("give a recipe of Gaussian noise"));
    }
    let schedule = plan.schedule.schedule()?;
    let (log_snr, t) = grid(&schedule);
    let mut weight = vec![0.0; t.len()];
    for (factor, loss) in plan.objective.terms() {
        if loss.learns_uncertainty() {
            note(&format!("{label}: the weight of a loss is shown without its learned uncertainty"));
        }
        let own = match loss.check_transform(&()) {
            Ok(()) => of_loss(&**loss, &*plan.noise, &plan.x.shape, &t),
            Err(_) => None,
        };
        match own {
            Some(own) => weight.iter_mut().zip(own).for_each(|(sum, own)| *sum += factor * own),
            None => note(&format!("{label}: the loss {loss:?} is not the square of a small error of x̂, and left out")),
        }
    }
    let times = plan.times.clone().unwrap_or_else(|| training_times(&*plan.noise));
    let density = density(&*times, &schedule, &log_snr);
    Ok(Weighting { label: label.into(), log_snr, weight, times: format!("t of {label}"), density })
}

/// The page of recipes, runs and weights.
pub fn page(of: &[String], name: &str, schedule: Arc<dyn Schedule>, modules: &Modules) -> Result<Page> {
    let every: Vec<String> = modules.names(module::Kind::Weight).into_iter().map(str::to_owned).collect();
    let mut all = vec![];
    for text in if of.is_empty() { &every[..] } else { of } {
        let path = Path::new(text);
        let recipe = if path.is_dir() {
            let folder = RunDir::open(path, "give the folder of a run, or the TOML file of a recipe")?;
            Some(Recipe::of_run(&folder.recipe())?)
        } else if path.is_file() || path.extension().is_some_and(|ending| ending == "toml") {
            Some(Recipe::read(path)?)
        } else {
            None
        };
        all.push(match recipe {
            Some(recipe) => {
                let label = path.file_stem().map_or(text.clone(), |stem| stem.to_string_lossy().into_owned());
                let data = DataSpec::new(&recipe, modules)?;
                let loaded = data
                    .load(&recipe, Split::Train)?
                    .ok_or_else(|| Error::invalid("the data set of the recipe has no training part"))?;
                for_rank!(loaded, set => of_recipe(&label, &recipe, modules, &data, &*set))?
            }
            None => {
                let mut recipe = Recipe::parse("the weight", String::new())?;
                recipe.put("weight", Value::Table(module_of(text)?), text.clone())?;
                let (weight, _) = build::module(&recipe, modules, module::Kind::Weight, "weight", &modules.weights)?;
                let weight = weight?;
                weight.check()?;
                of_weight(&super::compare::short(text)?, &*weight, name, &schedule)
            }
        });
    }
    Ok(Page {
        slug: "weights".into(),
        title: "Weights of losses".into(),
        text: "The errors of ε, v, the velocity and x̂ at one xₜ are one error times a factor, so every loss of them is a \
               weight on ‖x̂ − x‖². What an objective emphasizes is this weight times the density of its training times: \
               relative to the variational bound, which weights ‖ε̂ − ε‖² alike at every λ, it is w p(λ)/SNR; and of data of \
               distribution N(0, I), whose exact denoiser has the error 1/(1 + SNR), each λ contributes w p(λ)/(1 + SNR) to \
               the loss."
            .into(),
        formula: "w ‖x̂ − x‖² = (w/SNR) ‖ε̂ − ε‖²,   SNR = α²/σ²,   λ = ln SNR,   p(λ) = −dt/dλ for t uniform".into(),
        figures: vec![gallery::weights(&all)],
        code: code(include_str!("weights.rs"), "weights") + "\nlet figure = gallery::weights(&[Weighting { label, log_snr, weight, times, density }]);",
    })
}

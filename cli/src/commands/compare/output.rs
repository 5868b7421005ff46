//! The output of `tweedie compare`: a table, the best sampler as a command, JSON, and a plot of error over NFE.
use super::{entrant, picture};
use crate::{args, commands::list::pretty, output::console::say};
use serde_json::json;
use std::{fs, path::Path};
use tweedie::{Error, Result, train::write_atomically};
use tweedie_plot::Theme;

/// The error of end points with respect to the reference.
pub(super) struct Gap {
    /// Root mean square error.
    pub error: f64,
    /// Median of the errors of single samples; a few samples that end in another mode dominate the mean.
    pub median: f64,
    /// Error of DDIM at equal NFE divided by this error, per seed; empty if DDIM cannot take as many steps.
    pub ratios: Vec<f64>,
}
impl Gap {
    /// From the mean squares of the samples of each seed, and DDIM's errors.
    pub fn new(squares: &[Vec<f64>], ddim: Option<&[f64]>) -> Self {
        let all = squares.concat();
        let mut own: Vec<f64> = all.iter().map(|square| square.sqrt()).collect();
        own.sort_by(f64::total_cmp);
        let median = (own[(own.len() - 1) / 2] + own[own.len() / 2]) / 2.0;
        let ratios = ddim.map_or(vec![], |ddim| ddim.iter().zip(squares).map(|(d, own)| d / error_of(own)).collect());
        Self { error: error_of(&all), median, ratios }
    }
    /// Mean of the ratios and, with several seeds, their standard deviation.
    pub fn ratio(&self) -> Option<(f64, Option<f64>)> {
        let n = self.ratios.len() as f64;
        let mean = self.ratios.iter().sum::<f64>() / n;
        let spread = (self.ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        (n > 0.0).then_some((mean, (n > 1.0).then_some(spread)))
    }
}

/// Root of the mean of mean squares.
pub(super) fn error_of(squares: &[f64]) -> f64 {
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// The measurements at one step count.
pub(super) struct Point {
    pub steps: usize,
    pub nfe: usize,
    /// For deterministic samplers.
    pub gap: Option<Gap>,
    pub seconds: f64,
    /// Sliced Wasserstein and energy distance of samples to data.
    pub distances: Option<[f64; 2]>,
    /// The optimized timesteps.
    pub tuned: Option<Vec<f64>>,
}
impl Point {
    pub fn error(&self) -> Option<f64> {
        self.gap.as_ref().map(|gap| gap.error).filter(|error| *error > 0.0 && error.is_finite())
    }
}

/// A sampler with a spacing, at every step count.
pub(super) struct Curve {
    pub label: String,
    /// As `--sampler` and `--times` take them.
    pub text: String,
    pub times: Option<String>,
    pub points: Vec<Point>,
}
impl Curve {
    /// The error at `nfe`, by linear interpolation of the logarithms; constant beyond the ends.
    pub fn at(&self, nfe: usize) -> Option<f64> {
        let known: Vec<(f64, f64)> =
            self.points.iter().filter_map(|p| Some(((p.nfe as f64).ln(), p.error()?.ln()))).collect();
        let x = (nfe as f64).ln();
        let after = known.iter().position(|(own, _)| *own >= x).unwrap_or(known.len().checked_sub(1)?);
        let ((x0, y0), (x1, y1)) = (known[after.saturating_sub(1)], known[after]);
        let part = if x1 > x0 { ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) } else { 1.0 };
        Some((y0 + part * (y1 - y0)).exp())
    }
}

/// Distances between two sets of data: the value of a perfect model, up to sampling error.
pub(super) struct Floor {
    pub distances: [f64; 2],
    pub spread: [f64; 2],
    /// Number of samples used, and number requested.
    pub used: usize,
    pub asked: usize,
}

/// A run that `tweedie sample` can sample: its folder as typed, and the modules that its recipe names.
pub(super) struct Own {
    pub run: String,
    pub sampler: Option<String>,
    pub times: Option<String>,
}

/// All measurements.
pub(super) struct Comparison<'a> {
    pub args: &'a args::Compare,
    pub title: &'a str,
    /// How x̂ is clipped.
    pub estimate: &'a str,
    pub own: Option<&'a Own>,
    pub reference_nfe: usize,
    pub tolerance: f64,
    /// DDIM's error at the smallest step count.
    pub largest: Option<f64>,
    pub floor: Option<Floor>,
    pub curves: Vec<Curve>,
}
impl Comparison<'_> {
    /// The smallest NFE of each step count: that of samplers with one evaluation per step.
    pub fn counts(&self) -> Vec<usize> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let least = |steps: usize| points().filter(|point| point.steps == steps).map(|point| point.nfe).min();
        self.args.steps.iter().filter_map(|&steps| least(steps)).collect()
    }
    /// The NFE by which rows are sorted and the suggestion is made: 10, or the closest available.
    pub fn about(&self) -> usize {
        let far = |nfe: usize| ((nfe as f64).ln() - 10f64.ln()).abs();
        self.counts().into_iter().min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap_or(10)
    }

    pub(super) fn show(mut self) -> Result<()> {
        let (args, about) = (self.args, self.about());
        // JSON keeps the order of the arguments; the table lists the best first.
        if args.json {
            say(&pretty(&self.entry()));
        }
        let last = |error: Option<f64>| error.unwrap_or(f64::INFINITY);
        self.curves.sort_by(|a, b| last(a.at(about)).total_cmp(&last(b.at(about))));
        if !args.json {
            self.table();
        }
        if let Some(out) = &args.out {
            let page = picture::page(&self);
            write_atomically(&out.join("compare.html"), page.html(&[]).as_bytes())?;
            write_atomically(&out.join("compare.png"), &page.figures[0].png(Theme::Light))?;
            write_atomically(&out.join("compare.svg"), page.figures[0].svg(Theme::Light).as_bytes())?;
            if !args.json {
                say(&format!("{}: compare.html, compare.png and compare.svg", out.display()));
            }
        }
        Ok(())
    }

    fn entry(&self) -> serde_json::Value {
        let rows = self.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.entry(&curve.label)));
        let floor = self.floor.as_ref().map(|Floor { distances: [sliced, energy], spread, used, asked }| {
            json!({
                "wasserstein": sliced, "energy": energy, "wasserstein_std": spread[0], "energy_std": spread[1],
                "samples": used, "asked": asked,
            })
        });
        let best = self.best().map(|(curve, point)| {
            json!({ "sampler": curve.label, "steps": point.steps, "nfe": point.nfe, "command": self.command(curve, point) })
        });
        json!({
            "model": self.title, "samples": self.args.n, "seed": self.args.seed, "seeds": self.args.seeds,
            "estimate": self.estimate, "reference": { "nfe": self.reference_nfe, "tolerance": self.tolerance },
            "data": floor, "best": best, "rows": rows.collect::<Vec<_>>(),
        })
    }

    fn table(&self) {
        let Self { args, floor, curves, .. } = self;
        let seeds = if args.seeds > 1 { format!(" of each of {} seeds", args.seeds) } else { String::new() };
        say(&format!(
            "{}: {} samples{seeds}, {}; reference: NFE {}, tolerance {:.0e}",
            self.title, args.n, self.estimate, self.reference_nfe, self.tolerance
        ));
        let width = curves.iter().map(|curve| curve.label.chars().count()).max().unwrap_or(0).max(14);
        let ratio = if args.seeds > 1 { 13 } else { 7 };
        let far = if floor.is_some() { "  wasserstein    energy" } else { "" };
        say(&format!("{:width$}  steps    NFE     error    median  {:>ratio$}        ms{far}", "sampler", "vs ddim"));
        let front = self.front();
        for curve in curves {
            for point in &curve.points {
                let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2e}"));
                let gap = point.gap.as_ref();
                let apart = point
                    .distances
                    .map_or(String::new(), |[sliced, energy]| format!("  {sliced:>11.4}  {energy:>8.4}"));
                let mark = point.error().is_some_and(|error| front.contains(&(point.nfe, error)));
                say(&format!(
                    "{:width$}  {:>5}  {:>5}  {:>8}  {:>8}  {:>ratio$}  {:>8.2}{apart}{}",
                    curve.label,
                    point.steps,
                    point.nfe,
                    number(gap.map(|gap| gap.error)),
                    number(gap.map(|gap| gap.median)),
                    gap.and_then(Gap::ratio).map_or("–".into(), ratio_text),
                    point.seconds * 1e3,
                    if mark { " *" } else { "" },
                ));
            }
        }
        if let Some(Floor { distances: [sliced, energy], spread, .. }) = floor {
            let blank = 2 + 5 + 2 + 5 + 2 + 8 + 2 + 8 + 2 + ratio + 2 + 8;
            say(&format!("{:width$}{:blank$}  {sliced:>11.4}  {energy:>8.4}", "data vs data", ""));
            say(&format!("{:width$}{:blank$}  {:>11.4}  {:>8.4}", "± std", "", spread[0], spread[1]));
        }
        self.legend();
        for (curve, point) in curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point))) {
            if let Some(times) = point.listed() {
                say(&format!("{} in {} steps: times = {times}", curve.label, point.steps));
            }
        }
        self.advise();
    }

    /// Explains the columns.
    fn legend(&self) {
        if self.curves.iter().any(|curve| curve.points.iter().any(|point| point.error().is_some())) {
            let on = self.args.times.first().map_or("uniform".into(), |text| entrant::short(text).unwrap_or_default());
            say(&format!(
                "Sorted by error at NFE {}. vs ddim: error of ddim with {on} timesteps at equal NFE, divided by the error. *: Pareto \
                 optimal, no lower error at this NFE or less.",
                self.about()
            ));
        }
        if let Some(Floor { used, asked, .. }) = self.floor {
            if used < asked {
                say(&format!("Distances use {used} samples and {used} data, all there are of the {asked} requested."));
            }
            if self.args.seeds > 1 {
                say(&format!("Distances use samples of seed {} only.", self.args.seed));
            }
            say(
                "The energy distance is an unbiased estimate and may be slightly negative. ± std: standard deviation over random splits \
                 of the data into halves.",
            );
        }
    }

    /// The Pareto front: points with no lower error at equal or smaller NFE.
    fn front(&self) -> Vec<(usize, f64)> {
        let all = || self.curves.iter().flat_map(|curve| &curve.points).filter_map(|p| Some((p.nfe, p.error()?)));
        all().filter(|(nfe, error)| all().all(|(n, e)| n > *nfe || e >= *error)).collect()
    }

    /// The point with the lowest error at an NFE of at most [`about`](Self::about).
    fn best(&self) -> Option<(&Curve, &Point)> {
        let all = self.curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point)));
        let about = self.about();
        all.filter(|(_, point)| point.nfe <= about && point.error().is_some())
            .min_by(|(_, a), (_, b)| a.error().unwrap_or(f64::NAN).total_cmp(&b.error().unwrap_or(f64::NAN)))
    }

    fn advise(&self) {
        let Some((curve, point)) = self.best() else { return };
        let over = |spread| if spread { format!(" (± over {} seeds)", self.args.seeds) } else { String::new() };
        let ratio = point.gap.as_ref().and_then(Gap::ratio).filter(|(mean, _)| *mean > 1.0);
        let ratio = ratio
            .map(|ratio| format!(": {} times lower than that of ddim{}", ratio_text(ratio), over(ratio.1.is_some())));
        let use_it = self.command(curve, point).map(|command| format!("; use: {command}"));
        say(&format!(
            "At NFE {} {} has the lowest error{}{}",
            point.nfe,
            curve.label,
            ratio.unwrap_or_default(),
            use_it.unwrap_or_default()
        ));
    }

    /// The command that samples with the sampler, spacing and step count.
    fn command(&self, curve: &Curve, point: &Point) -> Option<String> {
        let own = self.own?;
        // A bare name would keep the settings of the module of that name in the recipe, which were not compared.
        let table = |text: &str, known: &Option<String>| match known.as_deref() == Some(text) {
            true => quoted(&format!("{{ name = \"{text}\" }}")),
            false => quoted(text),
        };
        let times = match (point.listed(), &curve.times) {
            (Some(listed), _) => format!(" --times {}", quoted(&listed)),
            (None, Some(times)) => format!(" --times {}", table(times, &own.times)),
            (None, None) if own.times.is_some() => " --times even".into(),
            (None, None) => String::new(),
        };
        let sampler = table(&curve.text, &own.sampler);
        Some(format!("tweedie sample {} --sampler {sampler}{times} --steps {}", quoted(&own.run), point.steps))
    }
}

impl Point {
    fn entry(&self, sampler: &str) -> serde_json::Value {
        let gap = self.gap.as_ref();
        let ratio = gap.and_then(Gap::ratio);
        let mut entry = json!({
            "sampler": sampler, "steps": self.steps, "nfe": self.nfe, "error": gap.map(|gap| gap.error),
            "median": gap.map(|gap| gap.median), "ratio_to_ddim": ratio.map(|ratio| ratio.0),
            "ms": self.seconds * 1e3,
        });
        if let Some((_, Some(spread))) = ratio {
            entry["ratio_to_ddim_std"] = json!(spread);
        }
        if let Some([sliced, energy]) = self.distances {
            entry["wasserstein"] = json!(sliced);
            entry["energy"] = json!(energy);
        }
        if let Some(times) = &self.tuned {
            entry["times"] = json!(times);
        }
        entry
    }
    /// The optimized timesteps, as recipes and `--times` take them.
    fn listed(&self) -> Option<String> {
        let times = self.tuned.as_ref()?.iter().rev().skip(1).map(|&t| digits(t));
        Some(format!("{{ name = \"listed\", times = [{}] }}", times.collect::<Vec<_>>().join(", ")))
    }
}

/// A timestep with five significant digits.
fn digits(t: f64) -> String {
    if t < 0.01 { format!("{t:.4e}") } else { format!("{t:.5}") }
}

/// A ratio and its standard deviation.
fn ratio_text((mean, spread): (f64, Option<f64>)) -> String {
    let number = |value: f64| match value {
        tiny if tiny > 0.0 && tiny < 0.01 => format!("{tiny:.0e}"),
        small if small > 0.0 && small < 0.1 => format!("{small:.2}"),
        usual => format!("{usual:.1}"),
    };
    match spread {
        None => number(mean),
        Some(spread) => format!("{} ± {}", number(mean), number(spread)),
    }
}

/// An argument quoted for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Makes the folder of the pictures, before there is anything to lose.
pub(super) fn make(out: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::invalid(format!("`--out {}`: {why}", out.display())));
    if ["recipe.toml", "metrics.jsonl", "model.safetensors"].iter().any(|name| out.join(name).is_file()) {
        return refuse(&format!(
            "this is the folder of a run, and pictures go to one of their own, as in --out {}",
            out.join("compare").display()
        ));
    }
    if out.exists() && !out.is_dir() {
        return refuse("this is a file, and pictures go to a folder: give one that is new, or one of older pictures");
    }
    let probe = out.join(".compare");
    let made = fs::create_dir_all(out).and_then(|()| fs::write(&probe, "")).and_then(|()| fs::remove_file(&probe));
    made.or_else(|error| {
        refuse(&format!("pictures cannot be written there ({error}): give a folder that can be written to"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(usize, f64)]) -> Curve {
        let point = |&(nfe, error): &(usize, f64)| {
            let gap = Some(Gap { error, median: error, ratios: vec![] });
            Point { steps: nfe, nfe, gap, seconds: 0.0, distances: None, tuned: None }
        };
        Curve { label: "mine".into(), text: "mine".into(), times: None, points: points.iter().map(point).collect() }
    }

    #[test]
    fn errors_are_interpolated_linearly_in_logarithms() {
        let second = curve(&[(5, 0.4), (20, 0.025)]);
        assert!((second.at(10).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!((second.at(2).unwrap(), second.at(80).unwrap()), (second.at(5).unwrap(), second.at(20).unwrap()));
        assert!(curve(&[(5, f64::NAN)]).at(5).is_none());
    }

    #[test]
    fn an_outlier_moves_the_mean_and_not_the_median() {
        let gap = Gap::new(&[vec![0.01, 0.01, 0.01, 4.0], vec![0.01; 4]], Some(&[2.0, 0.2]));
        assert!((gap.median - 0.1).abs() < 1e-12 && gap.error > 0.5);
        let (mean, spread) = gap.ratio().unwrap();
        assert!((mean - (2.0 / 1.0037f64 + 2.0) / 2.0).abs() < 1e-2 && spread.unwrap() < 0.1, "{mean} {spread:?}");
    }

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        assert_eq!(quoted("dpm-solver++"), "dpm-solver++");
        assert_eq!(quoted("{ name = \"deis\" }"), "'{ name = \"deis\" }'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}

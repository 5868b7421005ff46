//! What `tweedie compare` says: a table, the best of it as a command, JSON, and a picture of error over calls.
use super::{entrant, picture};
use crate::{args, commands::list::pretty, output::console::say};
use serde_json::json;
use std::{fs, path::Path};
use tweedie::{Error, Result, train::write_atomically};
use tweedie_plot::Theme;

/// How far walks end from the flow's ends.
pub(super) struct Gap {
    /// The root mean square.
    pub error: f64,
    /// The median of the samples' own: a few that fall to another digit rule the mean.
    pub median: f64,
    /// How many times nearer than DDIM in as many calls, for each seed; none where DDIM cannot take so many.
    pub nearer: Vec<f64>,
}
impl Gap {
    /// From the mean squares of the samples of each seed, and DDIM's errors.
    pub fn new(squares: &[Vec<f64>], ddim: Option<&[f64]>) -> Self {
        let all = squares.concat();
        let mut own: Vec<f64> = all.iter().map(|square| square.sqrt()).collect();
        own.sort_by(f64::total_cmp);
        let median = (own[(own.len() - 1) / 2] + own[own.len() / 2]) / 2.0;
        let nearer = ddim.map_or(vec![], |ddim| ddim.iter().zip(squares).map(|(d, own)| d / error_of(own)).collect());
        Self { error: error_of(&all), median, nearer }
    }
    /// The mean of the ratios, and their standard deviation over the seeds where there are some.
    pub fn ratio(&self) -> Option<(f64, Option<f64>)> {
        let n = self.nearer.len() as f64;
        let mean = self.nearer.iter().sum::<f64>() / n;
        let spread = (self.nearer.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        (n > 0.0).then_some((mean, (n > 1.0).then_some(spread)))
    }
}

/// The root of the mean of mean squares.
pub(super) fn error_of(squares: &[f64]) -> f64 {
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// What came of one number of steps.
pub(super) struct Point {
    pub steps: usize,
    pub calls: usize,
    /// Of samplers without noise of their own.
    pub gap: Option<Gap>,
    pub seconds: f64,
    /// Sliced Wasserstein and energy distance of samples to data.
    pub distances: Option<[f64; 2]>,
    /// The times that were found for it.
    pub tuned: Option<Vec<f64>>,
}
impl Point {
    pub fn error(&self) -> Option<f64> {
        self.gap.as_ref().map(|gap| gap.error).filter(|error| *error > 0.0 && error.is_finite())
    }
}

/// A sampler on some times, at every number of steps.
pub(super) struct Curve {
    pub label: String,
    /// As `--sampler` and `--times` take them.
    pub text: String,
    pub times: Option<String>,
    pub points: Vec<Point>,
}
impl Curve {
    /// The error at so many calls, along straight lines of the picture; beyond its ends that of the end.
    pub fn at(&self, calls: usize) -> Option<f64> {
        let known: Vec<(f64, f64)> =
            self.points.iter().filter_map(|p| Some(((p.calls as f64).ln(), p.error()?.ln()))).collect();
        let x = (calls as f64).ln();
        let after = known.iter().position(|(own, _)| *own >= x).unwrap_or(known.len().checked_sub(1)?);
        let ((x0, y0), (x1, y1)) = (known[after.saturating_sub(1)], known[after]);
        let part = if x1 > x0 { ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) } else { 1.0 };
        Some((y0 + part * (y1 - y0)).exp())
    }
}

/// The distances of data to data, which no model can be below but by chance.
pub(super) struct Floor {
    pub distances: [f64; 2],
    pub spread: [f64; 2],
    /// How many data there were, of those asked for.
    pub used: usize,
    pub asked: usize,
}

/// A run that `tweedie sample` draws from: its folder as typed, and what its recipe names.
pub(super) struct Own {
    pub run: String,
    pub sampler: Option<String>,
    pub times: Option<String>,
}

/// All walks, and what they were measured by.
pub(super) struct Told<'a> {
    pub args: &'a args::Compare,
    pub title: &'a str,
    /// What is done to x̂.
    pub guess: &'a str,
    pub own: Option<&'a Own>,
    pub reference_calls: usize,
    pub tolerance: f64,
    /// DDIM's error in the fewest steps.
    pub furthest: Option<f64>,
    pub floor: Option<Floor>,
    pub curves: Vec<Curve>,
}
impl Told<'_> {
    /// The least calls of each number of steps: those of samplers of one call a step.
    pub fn counts(&self) -> Vec<usize> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let least = |steps: usize| points().filter(|point| point.steps == steps).map(|point| point.calls).min();
        self.args.steps.iter().filter_map(|&steps| least(steps)).collect()
    }
    /// The number of calls that the order of the rows and the advice are about: 10, or the nearest to it.
    pub fn about(&self) -> usize {
        let far = |calls: usize| ((calls as f64).ln() - 10f64.ln()).abs();
        self.counts().into_iter().min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap_or(10)
    }

    pub(super) fn tell(mut self) -> Result<()> {
        let (args, about) = (self.args, self.about());
        // Programs read the rows as they were asked for, people read the best first.
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
                "wasserstein": sliced, "energy": energy, "wasserstein_spread": spread[0], "energy_spread": spread[1],
                "samples": used, "asked": asked,
            })
        });
        let nearest = self.nearest().map(|(curve, point)| {
            json!({ "sampler": curve.label, "steps": point.steps, "calls": point.calls, "command": self.command(curve, point) })
        });
        json!({
            "model": self.title, "samples": self.args.n, "seed": self.args.seed, "seeds": self.args.seeds,
            "guess": self.guess, "reference": { "calls": self.reference_calls, "tolerance": self.tolerance },
            "data": floor, "nearest": nearest, "rows": rows.collect::<Vec<_>>(),
        })
    }

    fn table(&self) {
        let Self { args, floor, curves, .. } = self;
        let seeds = if args.seeds > 1 { format!(" of each of {} seeds", args.seeds) } else { String::new() };
        say(&format!(
            "{}: {} samples{seeds}, {}; reference of {} calls to {:.0e}",
            self.title, args.n, self.guess, self.reference_calls, self.tolerance
        ));
        let width = curves.iter().map(|curve| curve.label.chars().count()).max().unwrap_or(0).max(14);
        let ratio = if args.seeds > 1 { 13 } else { 7 };
        let far = if floor.is_some() { "  wasserstein    energy" } else { "" };
        say(&format!("{:width$}  steps  calls     error    median  {:>ratio$}        ms{far}", "sampler", "÷ ddim"));
        let best = self.front();
        for curve in curves {
            for point in &curve.points {
                let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2e}"));
                let gap = point.gap.as_ref();
                let apart = point
                    .distances
                    .map_or(String::new(), |[sliced, energy]| format!("  {sliced:>11.4}  {energy:>8.4}"));
                let mark = point.error().is_some_and(|error| best.contains(&(point.calls, error)));
                say(&format!(
                    "{:width$}  {:>5}  {:>5}  {:>8}  {:>8}  {:>ratio$}  {:>8.2}{apart}{}",
                    curve.label,
                    point.steps,
                    point.calls,
                    number(gap.map(|gap| gap.error)),
                    number(gap.map(|gap| gap.median)),
                    gap.and_then(Gap::ratio).map_or("–".into(), said),
                    point.seconds * 1e3,
                    if mark { " *" } else { "" },
                ));
            }
        }
        if let Some(Floor { distances: [sliced, energy], spread, .. }) = floor {
            let blank = 2 + 5 + 2 + 5 + 2 + 8 + 2 + 8 + 2 + ratio + 2 + 8;
            say(&format!("{:width$}{:blank$}  {sliced:>11.4}  {energy:>8.4}", "data and data", ""));
            say(&format!("{:width$}{:blank$}  {:>11.4}  {:>8.4}", "± by chance", "", spread[0], spread[1]));
        }
        self.legend();
        for (curve, point) in curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point))) {
            if let Some(times) = point.listed() {
                say(&format!("{} in {} steps: times = {times}", curve.label, point.steps));
            }
        }
        self.advise();
    }

    /// What the columns mean, where they do not say it themselves.
    fn legend(&self) {
        if self.curves.iter().any(|curve| curve.points.iter().any(|point| point.error().is_some())) {
            let on = self.args.times.first().map_or("even".into(), |text| entrant::short(text).unwrap_or_default());
            say(&format!(
                "In order of the error at {} calls; ÷ ddim: how many times nearer than ddim on {on} times in as many calls; *: none is \
                 nearer in as many calls or fewer.",
                self.about()
            ));
        }
        if let Some(Floor { used, asked, .. }) = self.floor {
            if used < asked {
                say(&format!(
                    "Distances are those of {used} samples and {used} data: there are no more of the {asked} asked for."
                ));
            }
            if self.args.seeds > 1 {
                say(&format!("Samples are drawn from seed {} alone.", self.args.seed));
            }
            say(
                "The energy distance is estimated without bias, so where there is none it may be slightly negative; ± by chance: the \
                 spread of two halves of the same data, dealt out anew.",
            );
        }
    }

    /// The points that nothing is nearer than in as many calls or fewer.
    fn front(&self) -> Vec<(usize, f64)> {
        let all = || self.curves.iter().flat_map(|curve| &curve.points).filter_map(|p| Some((p.calls, p.error()?)));
        all().filter(|(calls, error)| all().all(|(c, e)| c > *calls || e >= *error)).collect()
    }

    /// The nearest point in as many calls as this is about, or fewer.
    fn nearest(&self) -> Option<(&Curve, &Point)> {
        let all = self.curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point)));
        let about = self.about();
        all.filter(|(_, point)| point.calls <= about && point.error().is_some())
            .min_by(|(_, a), (_, b)| a.error().unwrap_or(f64::NAN).total_cmp(&b.error().unwrap_or(f64::NAN)))
    }

    fn advise(&self) {
        let Some((curve, point)) = self.nearest() else { return };
        let calls = if point.calls == 1 { "At 1 call".into() } else { format!("At {} calls", point.calls) };
        let over = |spread| if spread { format!(" (± over {} seeds)", self.args.seeds) } else { String::new() };
        let ratio = point.gap.as_ref().and_then(Gap::ratio).filter(|(mean, _)| *mean > 1.0);
        let ratio = ratio.map(|ratio| format!(": {} × nearer than ddim{}", said(ratio), over(ratio.1.is_some())));
        let use_it = self.command(curve, point).map(|command| format!("; use it: {command}"));
        say(&format!("{calls} {} is nearest{}{}", curve.label, ratio.unwrap_or_default(), use_it.unwrap_or_default()));
    }

    /// What draws with the sampler, on its times, in as many steps.
    fn command(&self, curve: &Curve, point: &Point) -> Option<String> {
        let own = self.own?;
        // A name alone keeps the settings of the recipe's own module of that name, which were not compared.
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
            "sampler": sampler, "steps": self.steps, "calls": self.calls, "error": gap.map(|gap| gap.error),
            "median": gap.map(|gap| gap.median), "nearer_than_ddim": ratio.map(|ratio| ratio.0),
            "ms": self.seconds * 1e3,
        });
        if let Some((_, Some(spread))) = ratio {
            entry["nearer_than_ddim_spread"] = json!(spread);
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
    /// The times that were found, as a recipe and `--times` take them.
    fn listed(&self) -> Option<String> {
        let times = self.tuned.as_ref()?.iter().rev().skip(1).map(|&t| digits(t));
        Some(format!("{{ name = \"listed\", times = [{}] }}", times.collect::<Vec<_>>().join(", ")))
    }
}

/// A time with five digits, however small.
fn digits(t: f64) -> String {
    if t < 0.01 { format!("{t:.4e}") } else { format!("{t:.5}") }
}

/// A ratio, and its spread.
fn said((mean, spread): (f64, Option<f64>)) -> String {
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

/// A word of a command line.
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
        let point = |&(calls, error): &(usize, f64)| {
            let gap = Some(Gap { error, median: error, nearer: vec![] });
            Point { steps: calls, calls, gap, seconds: 0.0, distances: None, tuned: None }
        };
        Curve { label: "mine".into(), text: "mine".into(), times: None, points: points.iter().map(point).collect() }
    }

    #[test]
    fn errors_between_counts_lie_on_straight_lines_of_the_picture() {
        let second = curve(&[(5, 0.4), (20, 0.025)]);
        assert!((second.at(10).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!((second.at(2).unwrap(), second.at(80).unwrap()), (second.at(5).unwrap(), second.at(20).unwrap()));
        assert!(curve(&[(5, f64::NAN)]).at(5).is_none());
    }

    #[test]
    fn one_sample_that_strays_moves_the_mean_and_not_the_median() {
        let gap = Gap::new(&[vec![0.01, 0.01, 0.01, 4.0], vec![0.01; 4]], Some(&[2.0, 0.2]));
        assert!((gap.median - 0.1).abs() < 1e-12 && gap.error > 0.5);
        let (mean, spread) = gap.ratio().unwrap();
        assert!((mean - (2.0 / 1.0037f64 + 2.0) / 2.0).abs() < 1e-2 && spread.unwrap() < 0.1, "{mean} {spread:?}");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_part_them() {
        assert_eq!(quoted("dpm-solver++"), "dpm-solver++");
        assert_eq!(quoted("{ name = \"deis\" }"), "'{ name = \"deis\" }'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}

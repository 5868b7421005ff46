//! The output of `tweedie compare`: a table, the best sampler as a command, JSON, and a plot of error over NFE.
use super::{
    entrant,
    measurement::{Comparison, Curve, Floor, Gap, Point},
    picture,
};
use crate::{commands::list::pretty, output::console::say};
use serde_json::json;
use std::{fs, path::Path};
use tweedie::{Error, Result, train::write_atomically};
use tweedie_plot::Theme;

impl Comparison<'_> {
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
        let floor = self.floor.as_ref().map(|Floor { distances: [sliced, energy], std, used, requested }| {
            json!({
                "wasserstein": sliced, "energy": energy, "wasserstein_std": std[0], "energy_std": std[1],
                "samples": used, "requested": requested,
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
        if let Some(Floor { distances: [sliced, energy], std, .. }) = floor {
            let blank = 2 + 5 + 2 + 5 + 2 + 8 + 2 + 8 + 2 + ratio + 2 + 8;
            say(&format!("{:width$}{:blank$}  {sliced:>11.4}  {energy:>8.4}", "data vs data", ""));
            say(&format!("{:width$}{:blank$}  {:>11.4}  {:>8.4}", "± std", "", std[0], std[1]));
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
                "Sorted by error at NFE {}. vs ddim: error of ddim with {on} timesteps at equal NFE, divided by the \
                 error. *: Pareto optimal, no lower error at this NFE or less.",
                self.about()
            ));
        }
        if let Some(Floor { used, requested, .. }) = self.floor {
            if used < requested {
                say(&format!(
                    "Distances use {used} samples and {used} data: there are fewer than the {requested} requested."
                ));
            }
            if self.args.seeds > 1 {
                say(&format!("Distances use samples of seed {} only.", self.args.seed));
            }
            say("The energy distance is an unbiased estimate and may be slightly negative. ± std: standard deviation \
                 over random splits of the data into halves.");
        }
    }

    fn advise(&self) {
        let Some((curve, point)) = self.best() else { return };
        let over = |std| if std { format!(" (± over {} seeds)", self.args.seeds) } else { String::new() };
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
        if let Some((_, Some(std))) = ratio {
            entry["ratio_to_ddim_std"] = json!(std);
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
fn ratio_text((mean, std): (f64, Option<f64>)) -> String {
    let number = |value: f64| match value {
        tiny if tiny > 0.0 && tiny < 0.01 => format!("{tiny:.0e}"),
        small if small > 0.0 && small < 0.1 => format!("{small:.2}"),
        usual => format!("{usual:.1}"),
    };
    match std {
        None => number(mean),
        Some(std) => format!("{} ± {}", number(mean), number(std)),
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

/// Creates the folder of the plots before any sampling.
pub(crate) fn make(out: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::invalid(format!("`--out {}`: {why}", out.display())));
    if ["recipe.toml", "metrics.jsonl", "model.safetensors"].iter().any(|name| out.join(name).is_file()) {
        return refuse(&format!(
            "this is the folder of a run; choose another folder for the plots, as in --out {}",
            out.join("compare").display()
        ));
    }
    if out.exists() && !out.is_dir() {
        return refuse("this is a file; choose a new folder, or one with older plots");
    }
    let probe = out.join(".compare");
    let made = fs::create_dir_all(out).and_then(|()| fs::write(&probe, "")).and_then(|()| fs::remove_file(&probe));
    made.or_else(|error| {
        refuse(&format!("files cannot be written there ({error}); choose a folder with write permission"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        assert_eq!(quoted("dpm-solver++"), "dpm-solver++");
        assert_eq!(quoted("{ name = \"deis\" }"), "'{ name = \"deis\" }'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}

//! What `tweedie compare` says: a table, JSON, and a picture of error over calls.
use crate::{args, list::pretty, say};
use serde_json::json;
use std::fs;
use tweedie::{Error, Result, train::write_atomically};
use tweedie_plot::{Axis, Figure, Mark, Page, Panel, Theme};

/// One walk.
pub(super) struct Row {
    pub sampler: String,
    pub steps: usize,
    pub calls: usize,
    /// The distance from the flow's end, of samplers without noise of their own.
    pub error: Option<f64>,
    pub seconds: f64,
    /// Sliced Wasserstein and energy distance of samples to data.
    pub distances: Option<[f64; 2]>,
    /// The times that were found for it.
    pub tuned: Option<Vec<f64>>,
}

/// All walks, and what they were measured by.
pub(super) struct Told<'a> {
    pub args: &'a args::Compare,
    pub title: &'a str,
    /// What is done to x̂.
    pub guess: &'a str,
    pub reference_calls: usize,
    pub tolerance: f64,
    /// The distances of data to data, which no model can be below but by chance.
    pub floor: Option<[f64; 2]>,
    pub rows: Vec<Row>,
}
impl Told<'_> {
    pub(super) fn tell(&self) -> Result<()> {
        let Self { args, rows, reference_calls, floor, .. } = self;
        if args.json {
            say(&pretty(&json!({
                "model": self.title, "samples": args.n, "guess": self.guess,
                "reference": { "calls": reference_calls, "tolerance": self.tolerance },
                "data": floor.map(|[sliced, energy]| json!({ "wasserstein": sliced, "energy": energy })),
                "rows": rows.iter().map(Row::entry).collect::<Vec<_>>(),
            })));
        } else {
            say(&format!(
                "{}: {} samples, {}; reference of {reference_calls} calls to {:.0e}",
                self.title, args.n, self.guess, self.tolerance
            ));
            table(rows, *floor);
            for row in rows {
                if let Some(times) = row.listed() {
                    say(&format!("{} in {} steps: times = {times}", row.sampler, row.steps));
                }
            }
        }
        if let Some(out) = &args.out {
            fs::create_dir_all(out).map_err(Error::io(out, "make the folder"))?;
            let page = page(rows, self.title, self.guess);
            write_atomically(&out.join("compare.html"), page.html(&[]).as_bytes())?;
            write_atomically(&out.join("compare.png"), &page.figures[0].png(Theme::Light))?;
            write_atomically(&out.join("compare.svg"), page.figures[0].svg(Theme::Light).as_bytes())?;
            if !args.json {
                say(&format!("{}: compare.html, compare.png and compare.svg", out.display()));
            }
        }
        Ok(())
    }
}

impl Row {
    fn entry(&self) -> serde_json::Value {
        let mut entry = json!({
            "sampler": self.sampler, "steps": self.steps, "calls": self.calls, "error": self.error,
            "ms": self.seconds * 1e3,
        });
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

fn table(rows: &[Row], floor: Option<[f64; 2]>) {
    let width = rows.iter().map(|row| row.sampler.chars().count()).max().unwrap_or(0).max(14);
    let far = if floor.is_some() { "  wasserstein    energy" } else { "" };
    let apart = |distances: Option<[f64; 2]>| match distances {
        None => String::new(),
        Some([sliced, energy]) => format!("  {sliced:>11.4}  {energy:>8.4}"),
    };
    say(&format!("{:width$}  steps  calls     error        ms{far}", "sampler"));
    for row in rows {
        say(&format!(
            "{:width$}  {:>5}  {:>5}  {:>8}  {:>8.2}{}",
            row.sampler,
            row.steps,
            row.calls,
            row.error.map_or("–".into(), |error| format!("{error:.2e}")),
            row.seconds * 1e3,
            apart(row.distances)
        ));
    }
    if floor.is_some() {
        say(&format!("{:width$}  {:>5}  {:>5}  {:>8}  {:>8}{}", "data and data", "", "", "", "", apart(floor)));
    }
}

/// Colours that a theme has for series.
const COLOURS: usize = 7;

/// Error over calls, both logarithmic.
fn page(rows: &[Row], title: &str, guess: &str) -> Page {
    let mut names: Vec<&str> = rows.iter().filter(|row| row.error.is_some()).map(|row| &*row.sampler).collect();
    names.dedup();
    let mut panel = Panel::plane("", Axis::new("calls of the model").log(), Axis::new("root mean square error").log());
    for (i, name) in names.iter().enumerate() {
        let own = rows.iter().filter(|row| row.sampler == *name);
        let points = own.filter_map(|row| Some((row.calls as f64, row.error.filter(|e| *e > 0.0 && e.is_finite())?)));
        let (x, y): (Vec<f64>, Vec<f64>) = points.unzip();
        let line = Mark::line(x, y).name(*name).series(i);
        // The colours come round again: in dashes, and then thin.
        let line = if i / COLOURS % 2 == 1 { line.dashed() } else { line };
        panel = panel.mark(line.width(if i < 2 * COLOURS { 2.0 } else { 1.0 }));
    }
    Page {
        slug: "compare".into(),
        title: format!("Samplers on {title}"),
        text: format!("The distance from the solution of the probability flow, from the same starting noise; {guess}."),
        figures: vec![Figure::new("", 1).panel(panel)],
        ..Page::default()
    }
}

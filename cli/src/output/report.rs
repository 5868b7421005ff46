//! `report.html`: the results of a run in one self-contained file.
use crate::{
    data::Facts,
    messages,
    run_dir::{Line, RunDir},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt::Write, fs};
use tweedie::{Result, train::write_atomically};
use tweedie_plot::{Axis, Figure, Mark, Panel, Theme};

/// The contents of a report.
pub(crate) struct Report<'a> {
    pub folder: &'a RunDir,
    pub title: &'a str,
    pub facts: &'a Facts,
    pub recipe: &'a str,
    pub lines: &'a [Line],
    pub batch: usize,
    pub parameters: usize,
}

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --soft: #666c75; --rule: #d8dbe0; --card: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --ink: #e6e8eb; --soft: #9aa1ab; --rule: #333841;
  --card: #1d2026; } }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.soft { color: var(--soft); margin: 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1.2rem 0 0; }
.figures div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
.figures b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: .85rem; }
img { max-width: 100%; height: auto; border-radius: .3rem; }
.wide { overflow-x: auto; } .wide img { max-width: none; }
svg { width: 100%; height: auto; display: block; border-radius: .3rem; } .dark { display: none; }
@media (prefers-color-scheme: dark) { .light { display: none; } .dark { display: block; } }
pre { white-space: pre-wrap; background: var(--card); border-radius: .5rem; padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; }
";

/// Number of text samples shown.
const LINES: usize = 50;

/// Writes the report of a run, including the images in its folder.
pub(crate) fn write(report: &Report<'_>) -> Result<()> {
    write_atomically(&report.folder.file("report.html"), page(report).as_bytes())
}

fn page(report: &Report<'_>) -> String {
    let title = escaped(report.title);
    let train: Vec<(f64, f64)> =
        report.lines.iter().filter_map(|line| Some((line.step as f64, line.train.as_ref()?.loss))).collect();
    let held: Vec<(f64, f64)> =
        report.lines.iter().filter_map(|line| Some((line.step as f64, line.held_out?))).collect();
    let seconds: f64 = report.lines.iter().filter_map(|line| Some(line.train.as_ref()?.seconds)).sum();
    let smooth = smoothed(&train);

    let mut figures = vec![
        (messages::grouped(train.len()), "steps".to_owned()),
        (messages::grouped(report.parameters), "parameters".into()),
    ];
    if let Some((_, loss)) = smooth.last() {
        figures.push((format!("{loss:.4}"), "final training loss, smoothed".into()));
    }
    if let Some((step, loss)) = held.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)) {
        figures
            .push((format!("{loss:.4}"), format!("best held-out loss, at step {}", messages::grouped(step as usize))));
    }
    if seconds > 0.0 {
        figures.push((messages::duration(seconds), "training time".into()));
        let speed = (train.len() * report.batch) as f64 / seconds;
        let speed = if speed < 10.0 { format!("{speed:.1}") } else { messages::grouped(speed.round() as usize) };
        figures.push((speed, "samples per second".into()));
    }
    let figures: String =
        figures.iter().map(|(value, what)| format!("<div><b>{value}</b><span>{what}</span></div>")).collect();

    let mut body = format!(
        "<h1>{title}</h1>\n<p class=\"soft\">{}</p>\n<div class=\"figures\">{figures}</div>\n",
        escaped(&report.facts.describe())
    );
    if let Some(image) = image(report.folder, "samples.png", "generated samples") {
        let _ = writeln!(body, "<h2>Samples</h2>\n{image}");
    }
    if let Ok(text) = fs::read_to_string(report.folder.file("samples.txt")) {
        let link = if report.folder.file("trajectory.html").exists() {
            "<p class=\"soft\"><a href=\"trajectory.html\">Sampling trajectory</a></p>\n"
        } else {
            ""
        };
        let some: Vec<&str> = text.lines().take(LINES).collect();
        let _ = writeln!(body, "<h2>Samples</h2>\n{link}<pre>{}</pre>", escaped(&some.join("\n")));
    }
    if let Some(image) = image(report.folder, "trajectory.png", "sampling trajectories") {
        let _ = writeln!(
            body,
            "<h2>Sampling trajectory, from noise (t = 1) to data (t = 0)</h2>\n<div class=\"wide\">{image}</div>"
        );
    }
    if train.len() > 1 {
        let _ = writeln!(body, "<h2>Loss</h2>\n{}", chart(&train, &smooth, &held));
    }
    let _ = writeln!(body, "<h2>Recipe</h2>\n<pre>{}</pre>", escaped(report.recipe.trim()));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn image(folder: &RunDir, name: &str, alt: &str) -> Option<String> {
    let bytes = fs::read(folder.file(name)).ok()?;
    Some(format!("<img alt=\"{alt}\" src=\"data:image/png;base64,{}\">", STANDARD.encode(bytes)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Exponential moving average over about a hundredth of the run, with bias correction.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let decay = 1.0 - 1.0 / (points.len() as f64 / 100.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    points
        .iter()
        .map(|&(step, loss)| {
            sum = decay * sum + (1.0 - decay) * loss;
            weight = decay * weight + (1.0 - decay);
            (step, sum / weight)
        })
        .collect()
}

/// At most `most` points, each the mean of a block of neighbors.
fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(most).max(1);
    let mean = |part: &[(f64, f64)], f: fn(&(f64, f64)) -> f64| part.iter().map(f).sum::<f64>() / part.len() as f64;
    points.chunks(size).map(|part| (mean(part, |p| p.0), mean(part, |p| p.1))).collect()
}

/// The loss over training steps as SVG in both themes, of which the style shows one.
fn chart(train: &[(f64, f64)], smooth: &[(f64, f64)], held: &[(f64, f64)]) -> String {
    let figure = Figure::new("", 1).panel(losses(train, smooth, held)).wide();
    let svg = |theme, class| {
        let svg = figure.svg(theme);
        format!("<div class=\"{class}\" role=\"img\" aria-label=\"loss per training step\">{svg}</div>\n")
    };
    svg(Theme::Light, "light") + &svg(Theme::Dark, "dark")
}

/// The panel of the losses, with a logarithmic axis if they span more than a factor of eight.
fn losses(train: &[(f64, f64)], smooth: &[(f64, f64)], held: &[(f64, f64)]) -> Panel {
    let raw = thinned(train, 1000);
    let values = raw.iter().chain(held).map(|p| p.1).filter(|loss| loss.is_finite());
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(y), b.max(y)));
    let mut loss = Axis::new("loss");
    loss.log = low > 0.0 && high / low > 8.0;
    let line = |points: &[(f64, f64)], name: &str, series: usize| {
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        Mark::line(x, y).name(name).series(series)
    };
    let last = train.last().map_or(1.0, |p| p.0);
    let mut panel = Panel::plane("", Axis::new("training step").range(0.0, last.max(1.0) * 1.01), loss)
        .aspect(0.4)
        .mark(line(&raw, "per step", 0).opacity(0.35).width(1.0))
        .mark(line(&thinned(smooth, 400), "smoothed", 0).width(2.0));
    if !held.is_empty() {
        let (x, y): (Vec<f64>, Vec<f64>) = held.iter().copied().unzip();
        let dots = Mark::points(x, y).name("held-out data").unlisted().series(1).width(6.0).opacity(1.0);
        panel = panel.mark(line(held, "held-out data", 1).width(1.5)).mark(dots);
    }
    panel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_any_size_have_readable_axes() {
        for scale in [1e-12, 1.0, 1e9] {
            let train: Vec<(f64, f64)> = (1..=1500).map(|i| (f64::from(i), scale / f64::from(i))).collect();
            let held = [(500.0, scale), (1500.0, f64::NAN)];
            let html = chart(&train, &smoothed(&train), &held);
            assert!(html.contains(">loss<") && !html.contains("NaN"), "{html}");
            assert_eq!(html.matches(">held-out data<").count(), 2, "once in each theme");
        }
        let nothing = [(1.0, f64::NAN), (2.0, f64::NAN)];
        assert!(!chart(&nothing, &smoothed(&nothing), &[]).contains("NaN"));
    }

    #[test]
    fn the_moving_average_of_a_constant_is_that_constant() {
        let points: Vec<(f64, f64)> = (1..200).map(|i| (f64::from(i), 3.0)).collect();
        assert!(smoothed(&points).iter().all(|p| (p.1 - 3.0).abs() < 1e-12));
    }
}

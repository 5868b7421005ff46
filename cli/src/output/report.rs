//! `report.html`: the results of a run in one self-contained file.
use crate::{
    data::Facts,
    messages,
    run_dir::{Line, RunDir},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt::Write, fs};
use tweedie::{Result, train::write_atomically};

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
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --soft: #666c75; --rule: #d8dbe0; --card: #f5f6f8;
  --raw: #a9c6e8; --line: #1f5fae; --held: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --ink: #e6e8eb; --soft: #9aa1ab; --rule: #333841;
  --card: #1d2026; --raw: #34557d; --line: #7db3f2; --held: #fb923c; } }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.soft { color: var(--soft); margin: 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1.2rem 0 0; }
.figures div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
.figures b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: .85rem; }
img { max-width: 100%; height: auto; border-radius: .3rem; image-rendering: pixelated; }
.wide { overflow-x: auto; } .wide img { max-width: none; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
pre { white-space: pre-wrap; background: var(--card); border-radius: .5rem; padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; }
.key { display: inline-block; width: 1.4em; height: .25em; margin: 0 .4em 0 1.2em; vertical-align: middle; }
.key:first-child { margin-left: 0; }
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
        let _ = writeln!(body, "<h2>Samples</h2>\n<div class=\"wide\">{image}</div>");
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
        let held_key =
            if held.is_empty() { "" } else { "<i class=\"key\" style=\"background:var(--held)\"></i>held-out data" };
        let _ = writeln!(
            body,
            "<h2>Loss</h2>\n<p class=\"soft\"><i class=\"key\" style=\"background:var(--raw)\"></i>per step\
             <i class=\"key\" style=\"background:var(--line)\"></i>smoothed{held_key}</p>\n{}",
            chart(&train, &smooth, &held)
        );
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

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

/// The loss over training steps as SVG, with a logarithmic axis if it spans more than a factor of eight.
fn chart(train: &[(f64, f64)], smooth: &[(f64, f64)], held: &[(f64, f64)]) -> String {
    let raw = thinned(train, 1000);
    let (low, high) = raw
        .iter()
        .chain(held)
        .map(|p| p.1)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let log = low > 0.0 && high / low > 8.0;
    let ticks = if log { log_ticks(low, high) } else { even_ticks(low.min(0.0), high, 6) };
    let scale = |y: f64| if log { y.ln() } else { y };
    let (bottom, top) =
        if log { (scale(low.min(ticks[0])), scale(high)) } else { (ticks[0], high.max(ticks[ticks.len() - 1])) };
    let (first, last) = (0.0, train[train.len() - 1].0);
    let x = |step: f64| LEFT + (step - first) / (last - first).max(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |loss: f64| TOP + (top - scale(loss)) / (top - bottom).max(1e-12) * (HEIGHT - TOP - BOTTOM);
    let path = |points: &[(f64, f64)]| {
        points.iter().map(|&(step, loss)| format!("{:.1},{:.1}", x(step), y(loss))).collect::<Vec<_>>().join(" ")
    };

    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"loss per training step\">");
    for tick in ticks.iter().filter(|tick| **tick <= high * 1.001 || !log) {
        let at = y(*tick);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--rule)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            short(*tick)
        );
    }
    for tick in even_ticks(0.0, last, 8).into_iter().filter(|tick| *tick <= last) {
        let anchor = if x(tick) > WIDTH - 40.0 { "end" } else { "middle" };
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x(tick),
            HEIGHT - BOTTOM + 18.0,
            messages::grouped(tick as usize)
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">training step</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 4.0
    );
    let line = |points: &[(f64, f64)], color: &str, width: f64| {
        format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"var(--{color})\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"/>",
            path(points)
        )
    };
    svg.push_str(&line(&raw, "raw", 1.0));
    svg.push_str(&line(&thinned(smooth, 400), "line", 2.0));
    if !held.is_empty() {
        svg.push_str(&line(held, "held", 1.5));
        for &(step, loss) in held {
            let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"var(--held)\"/>", x(step), y(loss));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Ticks at 1, 2 and 5 times powers of ten.
fn even_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let rough = ((high - low) / most as f64).max(1e-12);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(10.0 * power);
    let first = (low / step).floor() as i64;
    let last = (high / step).ceil() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks: Vec<f64> = powers
        .flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)))
        .filter(|tick| *tick >= low * 0.7 && *tick <= high)
        .collect();
    if ticks.is_empty() { vec![low, high] } else { ticks }
}

/// 0.05, 1, 200.
fn short(x: f64) -> String {
    let text = format!("{x:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_cover_the_range() {
        assert_eq!(even_ticks(0.0, 1500.0, 8), [0., 200., 400., 600., 800., 1000., 1200., 1400., 1600.]);
        assert_eq!(
            log_ticks(0.05, 1.0).iter().map(|t| short(*t)).collect::<Vec<_>>(),
            ["0.05", "0.1", "0.2", "0.5", "1"]
        );
    }

    #[test]
    fn the_moving_average_of_a_constant_is_that_constant() {
        let points: Vec<(f64, f64)> = (1..200).map(|i| (f64::from(i), 3.0)).collect();
        assert!(smoothed(&points).iter().all(|p| (p.1 - 3.0).abs() < 1e-12));
    }
}

//! The training curves and samples of a run.
use crate::run_dir::RunDir;
use serde_json::Value;
use std::path::Path;
use tweedie::{Error, Result};
use tweedie_data::image;
use tweedie_plot::gallery::{self, Run, Series};
use tweedie_plot::{Page, Pixels};

/// Reads the metrics and pictures of a run.
fn read(folder: &Path) -> Result<Run> {
    let path = RunDir::open(folder, "give the folder of a run, as runs/digits; `tweedie train` makes one")?.metrics();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::io(&path, "read")(error).with_remedy("it has the metrics of each step, and a run writes it as it trains")
    })?;
    let mut run = Run { title: folder.display().to_string(), ..Run::default() };
    let mut lines = text.lines().enumerate().peekable();
    while let Some((i, line)) = lines.next() {
        let line: Value = match serde_json::from_str(line) {
            Ok(line) => line,
            // The last line may be incomplete if the run is in progress or was interrupted.
            Err(_) if lines.peek().is_none() => break,
            Err(error) => return Err(Error::format(&path, format!("line {}: {error}", i + 1))),
        };
        let Some(step) = line["step"].as_f64() else {
            return Err(Error::format(&path, format!("line {}: there is no `step`", i + 1)));
        };
        let add = |into: &mut Vec<Series>, label: &str, value: &Value| {
            let Some(value) = value.as_f64() else { return };
            let at = into.iter().position(|s| s.label == label).unwrap_or_else(|| {
                into.push(Series { label: label.into(), ..Series::default() });
                into.len() - 1
            });
            into[at].step.push(step);
            into[at].value.push(value);
        };
        add(&mut run.loss, "training", &line["loss"]);
        add(&mut run.loss, "held-out", &line["held_out"]);
        // Runs of earlier versions have the second name.
        let either = |name: &str, old: &str| line.get(name).unwrap_or(&line[old]).clone();
        add(&mut run.grad_norm, "gradient norm", &either("grad_norm", "gradient"));
        add(&mut run.lr, "learning rate", &either("lr", "rate"));
        add(&mut run.ema_distance, "EMA distance", &either("ema_distance", "ema_lag"));
        for (range, value) in line["loss_by_noise"].as_object().into_iter().flatten() {
            add(&mut run.loss_by_noise, range, value);
        }
    }
    if run.loss.is_empty() {
        return Err(Error::format(&path, "there is no line with a `loss`: the run has not trained a step yet"));
    }
    for path in pictures(folder) {
        let bytes = std::fs::read(&path).map_err(Error::io(&path, "read"))?;
        let decoded =
            image::load_from_memory(&bytes).map_err(|error| Error::format(&path, error.to_string()))?.into_rgb8();
        let label = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let label = label.rsplit('-').next().map_or(label.clone(), |step| step.trim_start_matches('0').to_owned());
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        let pixels = Pixels::rgb(width, height, decoded.into_raw()).shrunk(512);
        // All pictures of a slider have the same size.
        if run.samples.first().is_none_or(|(_, first)| (first.width, first.height) == (pixels.width, pixels.height)) {
            run.samples.push((label, pixels));
        }
    }
    Ok(run)
}

/// The pictures of samples during training, `progress/step-N.png`, or else `samples.png`.
fn pictures(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("progress")).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &std::path::PathBuf| {
        path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("step-") && n.ends_with(".png"))
    };
    let mut over_time: Vec<_> = entries.filter(named).collect();
    over_time.sort();
    let last = folder.join("samples.png");
    if over_time.is_empty() && last.is_file() { vec![last] } else { over_time }
}

/// The page of a run.
pub fn page(folder: &Path) -> Result<Page> {
    RunDir::open(folder, "give the folder of a run, as runs/digits; `tweedie train` makes one")?;
    let run = read(folder)?;
    let mut figures = vec![gallery::run(&run)];
    figures.extend(gallery::run_samples(&run));
    Ok(Page {
        slug: "run".into(),
        title: format!("Run: {}", run.title),
        text: "Training curves. The loss of a single step is noisy, because every step uses a different batch and \
               different noise levels; the smoothed curve is an exponential moving average over about a fiftieth of \
               the run."
            .into(),
        formula: "θ ← θ − lr · AdamW(∇ loss),   EMA ← ema_decay · EMA + (1 − ema_decay) · θ".into(),
        figures,
        code: format!("tweedie plot run {}", folder.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_up_to_an_incomplete_last_line() {
        let folder = std::env::temp_dir().join(format!("tweedie-plot-run-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(read(&folder).unwrap_err().to_string().contains("is not the folder of a run"));
        std::fs::write(folder.join("recipe.toml"), "").unwrap();
        let metrics = "{\"step\":1,\"loss\":2.0,\"gradient\":0.5,\"rate\":0.001}\n\
                       {\"step\":2,\"loss\":1.0,\"gradient\":0.4,\"rate\":0.001,\"held_out\":1.5}\n{\"step\":3,\"lo";
        std::fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
        let run = read(&folder).unwrap();
        assert_eq!(run.loss[0].value, [2.0, 1.0]);
        assert_eq!((run.loss[1].label.as_str(), &run.loss[1].step[..]), ("held-out", &[2.0][..]));
        assert!(run.ema_distance.is_empty() && run.samples.is_empty());
        std::fs::write(folder.join("recipe.toml"), "").unwrap();
        assert_eq!(page(&folder).unwrap().figures[0].titles(), ["Loss", "Gradient norm", "Learning rate"]);
        std::fs::write(folder.join("metrics.jsonl"), "{\"loss\":1}\n{\"step\":2}\n").unwrap();
        assert!(read(&folder).unwrap_err().to_string().contains("line 1: there is no `step`"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(read(&folder).unwrap_err().to_string().contains("is not a folder"));
    }
}

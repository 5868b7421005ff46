//! `metrics.jsonl`: what training measured.
use super::RunDir;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
};
use tweedie::{
    Error, Result,
    train::{HeldOutLoss, Step, write_atomically},
};

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The number of training steps taken.
    pub step: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
    /// The mean loss on held-out data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// The same for each of several equal ranges of t.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loss_by_noise: BTreeMap<String, f64>,
    /// Relative distance of the EMA weights from the trained ones.
    #[serde(default, alias = "ema_lag", skip_serializing_if = "Option::is_none")]
    pub ema_distance: Option<f64>,
}
/// The metrics of one training step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Train {
    pub epoch: f64,
    pub loss: f64,
    pub terms: Vec<f64>,
    #[serde(alias = "gradient")]
    pub grad_norm: f64,
    #[serde(alias = "rate")]
    pub lr: f64,
    /// Duration of the step in seconds.
    pub seconds: f64,
}
impl Line {
    /// The line of an evaluation after `step` steps.
    pub fn evaluated(step: u64, evaluation: &HeldOutLoss, ema_distance: Option<f64>) -> Self {
        let ranges = evaluation.by_time.len() as f64;
        let range = |i: usize| format!("t {} to {}", i as f64 / ranges, (i + 1) as f64 / ranges);
        let by_noise = evaluation.by_time.iter().enumerate().filter_map(|(i, loss)| Some((range(i), (*loss)?)));
        Self { step, train: None, held_out: Some(evaluation.loss), loss_by_noise: by_noise.collect(), ema_distance }
    }
    /// The line of a training step.
    pub fn of(step: &Step, seconds: f64) -> Self {
        let Step { step, epoch, loss, ref terms, grad_norm, lr } = *step;
        let train = Train { epoch, loss, terms: terms.clone(), grad_norm, lr, seconds };
        Self { step, train: Some(train), held_out: None, loss_by_noise: BTreeMap::new(), ema_distance: None }
    }
}

impl RunDir {
    /// Truncates the metrics to a step and opens them for appending. Reading stops at a truncated line.
    pub fn metrics_from(&self, step: u64) -> Result<(Metrics, Vec<Line>)> {
        let path = self.metrics();
        let (mut lines, mut text) = (vec![], String::new());
        let written = File::open(&path).ok().map(|file| BufReader::new(file).lines().map_while(Result::ok));
        let read = |line: String| Some((serde_json::from_str::<Line>(&line).ok()?, line));
        for (line, written) in written.into_iter().flatten().map_while(read).filter(|(line, _)| line.step <= step) {
            // As it was written, because a number that is read and written again may differ in its last digit.
            match OLD_KEYS.iter().any(|key| written.contains(key)) {
                true => text.push_str(&serde_json::to_string(&line).expect("metrics can be written as JSON")),
                false => text.push_str(&written),
            }
            text.push('\n');
            lines.push(line);
        }
        write_atomically(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path, "open"))?;
        Ok((Metrics { path, file }, lines))
    }
}

/// Keys of lines of earlier versions.
const OLD_KEYS: [&str; 3] = ["\"gradient\":", "\"rate\":", "\"ema_lag\":"];

/// The open file of metrics.
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
}
impl Metrics {
    /// Appends a line immediately, so that the metrics of a step are on disk before its checkpoint.
    pub fn push(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("metrics can be written as JSON");
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(Error::io(&self.path, "write"))
    }
    /// Flushes the lines to the disk.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_kept_are_kept_to_the_last_digit() {
        let folder = RunDir(std::env::temp_dir().join(format!("tweedie-metrics-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).unwrap();
        let new = r#"{"step":1,"epoch":0.5,"loss":2.0,"terms":[2.0],"grad_norm":0.9344587426181501,"lr":0.001,"seconds":0.1}"#;
        let old = r#"{"step":2,"epoch":0.5,"loss":2.0,"terms":[2.0],"gradient":0.25,"rate":0.001,"seconds":0.1}"#;
        std::fs::write(folder.metrics(), format!("{new}\n{old}\n{new}\n{{\"step\":1,")).unwrap();
        let (_, lines) = folder.metrics_from(2).unwrap();
        assert_eq!(lines.len(), 3);
        let text = std::fs::read_to_string(folder.metrics()).unwrap();
        assert_eq!(text, format!("{new}\n{}\n{new}\n", old.replace("gradient", "grad_norm").replace("rate", "lr")));
        std::fs::remove_dir_all(&folder.0).unwrap();
    }

    #[test]
    fn metrics_of_older_versions_are_read_and_written_with_new_keys() {
        let old = r#"{"step":3,"epoch":0.5,"loss":2.0,"terms":[2.0],"gradient":0.25,"rate":0.001,"seconds":0.1}"#;
        let line: Line = serde_json::from_str(old).unwrap();
        let train = line.train.as_ref().unwrap();
        assert_eq!((train.grad_norm, train.lr), (0.25, 0.001));
        let new = serde_json::to_string(&line).unwrap();
        assert!(new.contains(r#""grad_norm":0.25,"lr":0.001"#), "{new}");
        let evaluated: Line = serde_json::from_str(r#"{"step":3,"held_out":1.5,"ema_lag":0.125}"#).unwrap();
        assert_eq!((evaluated.held_out, evaluated.ema_distance), (Some(1.5), Some(0.125)));
        assert!(serde_json::to_string(&evaluated).unwrap().contains(r#""ema_distance":0.125"#));
    }
}

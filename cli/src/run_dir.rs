//! The folder of a run.
//!
//! | file | what |
//! |---|---|
//! | `recipe.toml` | the recipe, every default filled in |
//! | `metrics.jsonl` | one line per step and one per evaluation |
//! | `progress/step-00000250.png`, `.txt` | a few samples at each evaluation |
//! | `checkpoints/step-00001000.safetensors`, `best.safetensors` | weights, EMA weights, optimizer state, counters |
//! | `model.safetensors` | the weights to sample with |
//! | `samples.png` or `.txt`, `samples.npy`, `classes.npy` and `.json`, `trajectory.png` or `.html`, `report.html` | the results |
//!
//! Every file is written atomically, and a checkpoint is removed only after newer ones have been written.
use crate::data::Facts;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};
use tweedie::{
    Error, Result,
    train::{Checkpoint, HeldOutLoss, Step, write_atomically},
};

/// The folder of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir(pub PathBuf);

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

/// A checkpoint that was read.
pub(crate) struct Read {
    pub path: PathBuf,
    pub checkpoint: Checkpoint,
}

impl RunDir {
    pub fn recipe(&self) -> PathBuf {
        self.0.join("recipe.toml")
    }
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }
    pub fn model(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }
    fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    pub fn is_run(&self) -> bool {
        self.recipe().is_file()
    }
    /// The path as an argument of a shell command.
    pub fn typed(&self) -> String {
        let text = self.0.display().to_string();
        if text.contains(char::is_whitespace) { format!("'{text}'") } else { text }
    }

    /// Creates a run in `out`, which must be empty or missing, or in the first of `runs/NAME`, `runs/NAME-2`, … that is
    /// free.
    ///
    /// The folder appears with its recipe in it, so that the run can be resumed whenever it is interrupted.
    pub fn create(out: Option<&Path>, name: &str, recipe: &str) -> Result<Self> {
        let choices: Box<dyn Iterator<Item = PathBuf>> = match out {
            Some(out) => Box::new([out.to_path_buf()].into_iter()),
            None => {
                let name = name.to_owned();
                let numbered =
                    move |n: u32| PathBuf::from("runs").join(if n == 1 { name.clone() } else { format!("{name}-{n}") });
                Box::new((1..).map(numbered))
            }
        };
        for path in choices {
            let folder = Self(path);
            let occupied =
                fs::read_dir(&folder.0).is_ok_and(|mut entries| entries.next().is_some()) || folder.0.is_file();
            if !occupied {
                folder.write_new(recipe)?;
                return Ok(folder);
            }
            if out.is_some() {
                return Err(Error::invalid(if folder.is_run() {
                    format!(
                        "{} already holds a run, and runs are never overwritten: resume it with `tweedie train \
                         --resume --out {}`, or choose another folder with `--out`",
                        folder.0.display(),
                        folder.typed()
                    )
                } else {
                    format!("{} exists and is not empty: choose a new or empty folder with `--out`", folder.0.display())
                }));
            }
        }
        unreachable!("one of infinitely many folders is free")
    }

    fn write_new(&self, recipe: &str) -> Result<()> {
        let parent = self.0.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent, "create the folder"))?;
        let mut name = std::ffi::OsString::from(".");
        name.push(self.0.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let part = parent.join(name);
        let made = fs::create_dir_all(part.join("checkpoints")).map_err(Error::io(&self.0, "create the folder"));
        made.map_err(|error| error.with_remedy("choose another folder with `--out`"))?;
        write_atomically(&part.join("recipe.toml"), recipe.as_bytes())?;
        // Not every system can rename a folder onto an empty one.
        let _ = fs::remove_dir(&self.0);
        fs::rename(&part, &self.0).map_err(|error| {
            let _ = fs::remove_dir_all(&part);
            Error::io(&self.0, "create the folder")(error)
        })
    }

    /// The run to resume: `out`, or the latest of `runs/NAME`, `runs/NAME-2`, ….
    pub fn latest_run(out: Option<&Path>, name: &str) -> Result<Self> {
        let Some(out) = out else {
            let numbered =
                |n: u32| Self(PathBuf::from("runs").join(if n == 1 { name.to_owned() } else { format!("{name}-{n}") }));
            let last = (1..).map(numbered).take_while(|folder| folder.0.exists()).filter(Self::is_run).last();
            return last.ok_or_else(|| {
                Error::invalid(format!(
                    "there is no run to resume: runs/{name} does not exist; leave out `--resume` to start one, or name \
                     its folder with `--out`"
                ))
            });
        };
        Self::open(out, "leave out `--resume` to start one, or name its folder with `--out`")
    }

    /// Opens a folder that holds a run.
    pub fn open(path: &Path, remedy: &str) -> Result<Self> {
        let folder = Self(path.to_path_buf());
        if folder.is_run() {
            return Ok(folder);
        }
        let what = if path.is_dir() { "is not the folder of a run (it has no recipe.toml)" } else { "is not a folder" };
        let mut runs: Vec<String> = fs::read_dir("runs")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| Self(path.clone()).is_run())
            .map(|path| format!("`{}`", path.display()))
            .collect();
        runs.sort();
        let existing = if runs.is_empty() { String::new() } else { format!("; existing runs: {}", runs.join(", ")) };
        Err(Error::invalid(format!("{} {what}{existing}: {remedy}", path.display())))
    }

    /// Removes the partial files of interrupted writes.
    pub fn tidy(&self) {
        for folder in [self.0.clone(), self.checkpoints()] {
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.extension().is_some_and(|ending| ending == "part") && path.is_file() {
                    let _ = fs::remove_file(path);
                }
            }
        }
    }

    /// The checkpoints with their steps, latest first.
    fn steps(&self) -> Vec<(u64, PathBuf)> {
        let mut found: Vec<(u64, PathBuf)> = fs::read_dir(self.checkpoints())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
                Some((step, entry.path()))
            })
            .collect();
        found.sort();
        found.reverse();
        found
    }

    /// The step of the latest checkpoint, which may be damaged.
    pub fn newest_step(&self) -> Option<u64> {
        self.steps().first().map(|(step, _)| *step)
    }

    /// The latest checkpoint that can be read; `warn` receives the errors of those that cannot.
    pub fn latest(&self, device: &Device, warn: &mut dyn FnMut(String)) -> Option<Read> {
        self.steps().into_iter().find_map(|(_, path)| match Checkpoint::load(&path, device) {
            Ok((checkpoint, _)) => Some(Read { path, checkpoint }),
            Err(error) => {
                warn(format!("{error}; using an earlier one"));
                None
            }
        })
    }

    /// Saves a checkpoint, then deletes all but the last `keep`.
    pub fn save(&self, checkpoint: &Checkpoint, notes: &[(&str, String)], keep: usize) -> Result<PathBuf> {
        let folder = self.checkpoints();
        fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
        let path = folder.join(format!("step-{:08}.safetensors", checkpoint.step));
        checkpoint.save(&path, notes)?;
        for (_, old) in self.steps().into_iter().filter(|(step, _)| *step < checkpoint.step).skip(keep - 1) {
            let _ = fs::remove_file(old);
        }
        Ok(path)
    }

    /// Saves the best checkpoint so far.
    pub fn save_best(&self, checkpoint: &Checkpoint, notes: &[(&str, String)]) -> Result<()> {
        let folder = self.checkpoints();
        fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
        checkpoint.save(&self.best(), notes)
    }

    /// The mean loss of the best checkpoint on held-out data.
    pub fn best_so_far(&self) -> Option<f64> {
        read_metadata(&self.best()).ok()?.get("held_out")?.parse().ok()
    }

    /// The metrics up to a step; reading stops at a truncated line.
    pub fn read_metrics(&self, until: u64) -> Vec<Line> {
        let Ok(file) = File::open(self.metrics()) else { return vec![] };
        BufReader::new(file)
            .lines()
            .map_while(Result::ok)
            .map_while(|line| serde_json::from_str::<Line>(&line).ok())
            .filter(|line| line.step <= until)
            .collect()
    }

    /// Truncates the metrics to a step and opens them for appending.
    pub fn metrics_from(&self, step: u64) -> Result<(Metrics, Vec<Line>)> {
        let lines = self.read_metrics(step);
        let mut text = String::new();
        for line in &lines {
            text.push_str(&serde_json::to_string(line).expect("metrics can be written as JSON"));
            text.push('\n');
        }
        let path = self.metrics();
        write_atomically(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path, "open"))?;
        Ok((Metrics { path, file }, lines))
    }
}

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

/// Reads the metadata of a safetensors file.
pub(crate) fn read_metadata(path: &Path) -> Result<HashMap<String, String>> {
    // The file starts with the length of the header in eight bytes, and the header as JSON.
    let read = || -> std::io::Result<Vec<u8>> {
        use std::io::Read;
        let mut file = File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let mut header = vec![];
        file.take(u64::from_le_bytes(length).min(1 << 26)).read_to_end(&mut header)?;
        Ok(header)
    };
    let header = read().map_err(Error::io(path, "read"))?;
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        notes: HashMap<String, String>,
    }
    let header: Header = serde_json::from_slice(&header)
        .map_err(|_| Error::format(path, "it is not a safetensors file, or it is truncated"))?;
    Ok(header.notes)
}

/// The description of the training data in the metadata of a checkpoint.
pub(crate) fn facts_from(notes: &HashMap<String, String>, path: &Path) -> Result<Facts> {
    notes.get("data").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| {
        Error::format(path, "its metadata do not describe the training data, so it is not a checkpoint of this tool")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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

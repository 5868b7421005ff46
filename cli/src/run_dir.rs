//! The folder of a run.
//!
//! | file | what |
//! |---|---|
//! | `recipe.toml` | the recipe, every default filled in |
//! | `metrics.jsonl` | a line a step, and a line an evaluation |
//! | `progress/step-00000250.png`, `.txt` | a few samples as they were at an evaluation |
//! | `checkpoints/step-00001000.safetensors`, `best.safetensors` | weights, averages, optimiser, counters |
//! | `model.safetensors` | the weights to sample with |
//! | `samples.png` or `.txt`, `samples.npy`, `classes.npy`, `trajectory.png` or `.html`, `report.html` | what it came to |
//!
//! Every file is there whole or not at all, and a checkpoint goes only when newer ones are there.
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
    train::{Checkpoint, Evaluation, Step, write_atomically},
};

/// The folder of a run.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub PathBuf);

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Steps done.
    pub step: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
    /// The objective on the data held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// The same within ranges of time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loss_by_noise: BTreeMap<String, f64>,
    /// How far averaged weights lag behind, as a share of the weights.
    #[serde(default, alias = "ema_lag", skip_serializing_if = "Option::is_none")]
    pub ema_distance: Option<f64>,
}
/// What a step of training says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Train {
    pub epoch: f64,
    pub loss: f64,
    pub terms: Vec<f64>,
    #[serde(alias = "gradient")]
    pub grad_norm: f64,
    #[serde(alias = "rate")]
    pub lr: f64,
    /// Seconds the step took.
    pub seconds: f64,
}
impl Line {
    /// What an evaluation after `step` steps says.
    pub fn evaluated(step: u64, evaluation: &Evaluation, ema_distance: Option<f64>) -> Self {
        let ranges = evaluation.by_time.len() as f64;
        let range = |i: usize| format!("t {} to {}", i as f64 / ranges, (i + 1) as f64 / ranges);
        let by_noise = evaluation.by_time.iter().enumerate().filter_map(|(i, loss)| Some((range(i), (*loss)?)));
        Self { step, train: None, held_out: Some(evaluation.loss), loss_by_noise: by_noise.collect(), ema_distance }
    }
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

impl Folder {
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
    /// The folder as typed in a command.
    pub fn typed(&self) -> String {
        let text = self.0.display().to_string();
        if text.contains(char::is_whitespace) { format!("'{text}'") } else { text }
    }

    /// A new run in `out`, which must not hold anything, or in the first of `runs/NAME`, `runs/NAME-2`, … that is free.
    ///
    /// The folder appears with its recipe in it, so there is no moment at which it could not be gone on with.
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
            let taken = fs::read_dir(&folder.0).is_ok_and(|mut entries| entries.next().is_some()) || folder.0.is_file();
            if !taken {
                folder.found(recipe)?;
                return Ok(folder);
            }
            if out.is_some() {
                return Err(Error::invalid(if folder.is_run() {
                    format!(
                        "{} already holds a run, and nothing is written over: go on with it by `tweedie train --resume \
                         --out {}`, or give another folder with `--out`",
                        folder.0.display(),
                        folder.typed()
                    )
                } else {
                    format!(
                        "{} is there already and is not empty: give a folder that is new or empty with `--out`",
                        folder.0.display()
                    )
                }));
            }
        }
        unreachable!("one of endlessly many folders is free")
    }

    fn found(&self, recipe: &str) -> Result<()> {
        let parent = self.0.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent, "make the folder"))?;
        let mut name = std::ffi::OsString::from(".");
        name.push(self.0.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let part = parent.join(name);
        fs::create_dir_all(part.join("checkpoints")).map_err(Error::io(&part, "make the folder"))?;
        write_atomically(&part.join("recipe.toml"), recipe.as_bytes())?;
        // A folder cannot take the place of an empty one everywhere.
        let _ = fs::remove_dir(&self.0);
        fs::rename(&part, &self.0).map_err(|error| {
            let _ = fs::remove_dir_all(&part);
            Error::io(&self.0, "make the folder")(error)
        })
    }

    /// The run to go on with: `out`, or the latest of `runs/NAME`, `runs/NAME-2`, ….
    pub fn latest_run(out: Option<&Path>, name: &str) -> Result<Self> {
        let Some(out) = out else {
            let numbered =
                |n: u32| Self(PathBuf::from("runs").join(if n == 1 { name.to_owned() } else { format!("{name}-{n}") }));
            let last = (1..).map(numbered).take_while(|folder| folder.0.exists()).filter(Self::is_run).last();
            return last.ok_or_else(|| {
                Error::invalid(format!(
                    "there is no run to go on with: runs/{name} is not there; leave out `--resume` to begin one, or name \
                     its folder with `--out`"
                ))
            });
        };
        Self::open(out, "leave out `--resume` to begin one, or name its folder with `--out`")
    }

    /// A folder that holds a run.
    pub fn open(path: &Path, remedy: &str) -> Result<Self> {
        let folder = Self(path.to_path_buf());
        if folder.is_run() {
            return Ok(folder);
        }
        let what = if path.is_dir() { "holds no run (it has no recipe.toml)" } else { "is no folder" };
        let mut runs: Vec<String> = fs::read_dir("runs")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| Self(path.clone()).is_run())
            .map(|path| format!("`{}`", path.display()))
            .collect();
        runs.sort();
        let there = if runs.is_empty() { String::new() } else { format!("; there are the runs {}", runs.join(", ")) };
        Err(Error::invalid(format!("{} {what}{there}: {remedy}", path.display())))
    }

    /// Removes what an interrupted write left.
    pub fn tidy(&self) {
        for folder in [self.0.clone(), self.checkpoints()] {
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.extension().is_some_and(|ending| ending == "part") && path.is_file() {
                    let _ = fs::remove_file(path);
                }
            }
        }
    }

    /// The checkpoints by their steps, latest first.
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

    /// The step of the latest checkpoint, whole or not.
    pub fn newest_step(&self) -> Option<u64> {
        self.steps().first().map(|(step, _)| *step)
    }

    /// The latest checkpoint that is whole; `warn` is told of those that are not.
    pub fn latest(&self, device: &Device, warn: &mut dyn FnMut(String)) -> Option<Read> {
        self.steps().into_iter().find_map(|(_, path)| match Checkpoint::load(&path, device) {
            Ok((checkpoint, _)) => Some(Read { path, checkpoint }),
            Err(error) => {
                warn(format!("{error}; an earlier one is taken"));
                None
            }
        })
    }

    /// Saves a checkpoint, then lets go of all but the last `keep`.
    pub fn save(&self, checkpoint: &Checkpoint, notes: &[(&str, String)], keep: usize) -> Result<PathBuf> {
        let folder = self.checkpoints();
        fs::create_dir_all(&folder).map_err(Error::io(&folder, "make the folder"))?;
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
        fs::create_dir_all(&folder).map_err(Error::io(&folder, "make the folder"))?;
        checkpoint.save(&self.best(), notes)
    }

    /// The objective of the best checkpoint on the data held out.
    pub fn best_so_far(&self) -> Option<f64> {
        let facts = facts_of(&self.best()).ok()?;
        facts.get("held_out")?.parse().ok()
    }

    /// The metrics up to a step; a line that was cut short ends them.
    pub fn read_metrics(&self, until: u64) -> Vec<Line> {
        let Ok(file) = File::open(self.metrics()) else { return vec![] };
        BufReader::new(file)
            .lines()
            .map_while(Result::ok)
            .map_while(|line| serde_json::from_str::<Line>(&line).ok())
            .filter(|line| line.step <= until)
            .collect()
    }

    /// The metrics cut back to a step, to be gone on with.
    pub fn metrics_from(&self, step: u64) -> Result<(Metrics, Vec<Line>)> {
        let lines = self.read_metrics(step);
        let mut text = String::new();
        for line in &lines {
            text.push_str(&serde_json::to_string(line).expect("numbers are JSON"));
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
    /// Adds a line at once: what a checkpoint follows is there before it.
    pub fn push(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("numbers are JSON");
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(Error::io(&self.path, "write"))
    }
    /// Flushes the lines to the disk.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "write"))
    }
}

/// The notes of a safetensors file.
pub(crate) fn facts_of(path: &Path) -> Result<HashMap<String, String>> {
    // A header is eight bytes of length and as much JSON.
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
        .map_err(|_| Error::format(path, "this is no safetensors file, or it was cut short"))?;
    Ok(header.notes)
}

/// The facts of the data that the notes of a checkpoint hold.
pub(crate) fn data_of(notes: &HashMap<String, String>, path: &Path) -> Result<Facts> {
    notes.get("data").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| {
        Error::format(path, "its notes do not say what data it was trained on, so it is not a checkpoint of this tool")
    })
}

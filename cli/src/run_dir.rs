//! The folder of a run.
//!
//! | file | what |
//! |---|---|
//! | `recipe.toml` | the recipe, every default filled in |
//! | `metrics.jsonl` | one line per step and one per evaluation |
//! | `progress/step-00000250.png`, `.txt` | a few samples at each evaluation |
//! | `checkpoints/step-00001000.safetensors`, `best.safetensors` | weights, EMA weights, optimizer state, counters |
//! | `samples.png` or `.txt`, `samples.npy`, `classes.npy` and `.json`, `trajectory.png` or `.html`, `report.html` | the results |
//! | `model.safetensors` | the weights to sample with; written last, so that a run that has it at its last step is complete |
//! | `.lock` | locked while a training writes here |
//!
//! Every file is written atomically, and a checkpoint is removed only after newer ones have been written. Equal runs are
//! equal files, byte for byte, except what tells the time: `seconds` in `metrics.jsonl`, and training time and speed in
//! `report.html`, whose title is the folder's name.
mod checkpoints;
mod lock;
mod metrics;

pub(crate) use checkpoints::{Read, facts_from, read_metadata, step_of};
pub(crate) use lock::Lock;
pub(crate) use metrics::{Line, Metrics};

use std::{
    fs,
    path::{Path, PathBuf},
};
use tweedie::{Error, Result, train::write_atomically};

/// The folder of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir(pub PathBuf);

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

    /// The folder whose disk a new run will be on.
    pub fn intended(out: Option<&Path>) -> Self {
        Self(out.unwrap_or(Path::new("runs")).to_path_buf())
    }

    /// Creates a run in `out`, which must be empty or missing, or in the first of `runs/NAME`, `runs/NAME-2`, … that is
    /// free, and locks it. The folder becomes a run by its recipe, which is written after `first`: whenever it is
    /// interrupted, it can be resumed or started again.
    ///
    /// # Errors
    ///
    /// If `out` is taken or cannot be written to, or of `first`; nothing is left behind.
    pub fn create(
        out: Option<&Path>,
        name: &str,
        recipe: &str,
        first: &dyn Fn(&Self) -> Result<()>,
    ) -> Result<(Self, Lock)> {
        let choices: Box<dyn Iterator<Item = PathBuf>> = match out {
            Some(out) => Box::new([out.to_path_buf()].into_iter()),
            None => {
                let name = name.to_owned();
                let numbered =
                    move |n: u32| PathBuf::from("runs").join(if n == 1 { name.clone() } else { format!("{name}-{n}") });
                Box::new((1..).map(numbered))
            }
        };
        if out.is_some_and(|out| out.as_os_str().is_empty()) {
            return Err(Error::invalid("`--out` is empty: name a folder, or leave it out"));
        }
        for path in choices {
            let folder = Self(path);
            let known = folder.0.exists();
            if let Some(lock) = folder.claim(out.is_some())? {
                let written = first(&folder).and_then(|()| write_atomically(&folder.recipe(), recipe.as_bytes()));
                return match written {
                    Ok(()) => Ok((folder, lock)),
                    Err(error) => {
                        folder.abandon(known);
                        Err(error)
                    }
                };
            }
            if out.is_some() {
                return Err(folder.taken());
            }
        }
        unreachable!("one of infinitely many folders is free")
    }

    /// Locks the folder if it is free; `None` if it is taken. Where `named`, a lock that another training holds is an error.
    fn claim(&self, named: bool) -> Result<Option<Lock>> {
        if self.is_taken() {
            return Ok(None);
        }
        fs::create_dir_all(self.checkpoints()).map_err(|error| {
            Error::io(&self.0, "create the folder")(error).with_remedy("choose another folder with `--out`")
        })?;
        let lock = if named {
            self.lock()?
        } else {
            match self.try_lock()? {
                Ok(lock) => lock,
                Err(_) => return Ok(None),
            }
        };
        // Another training may have begun and ended in the meantime.
        if self.is_taken() {
            return Ok(None);
        }
        let _ = fs::remove_file(self.first_checkpoint());
        self.tidy();
        Ok(Some(lock))
    }

    /// Whether there is anything in the folder but what a training leaves that was interrupted before its folder was a run.
    fn is_taken(&self) -> bool {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let found = names(&self.0);
        let begun = found.iter().any(|name| name == lock::LOCK) || found == ["checkpoints"];
        let leftover = |name: &String| match &**name {
            lock::LOCK | "recipe.toml.part" => true,
            "checkpoints" => {
                names(&self.checkpoints()).iter().all(|name| name.starts_with("step-00000000.safetensors"))
            }
            _ => false,
        };
        let free = found.is_empty() || begun && found.iter().all(leftover);
        self.0.exists() && !self.0.is_dir() || !free
    }

    /// Removes what a training has written that could not begin.
    fn abandon(&self, known: bool) {
        for file in [self.first_checkpoint(), self.0.join(lock::LOCK)] {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir(self.checkpoints());
        if !known {
            let _ = fs::remove_dir(&self.0);
        }
    }

    fn taken(&self) -> Error {
        let folder = self.0.display();
        Error::invalid(if self.is_run() {
            format!(
                "{folder} already holds a run, and runs are never overwritten: resume it with `tweedie train --resume \
                 --out {}`, or choose another folder with `--out`",
                self.typed()
            )
        } else if self.0.is_dir() {
            format!("{folder} exists and is not empty: choose a new or empty folder with `--out`")
        } else {
            format!("{folder} is a file, and a run is a folder: choose a new or empty folder with `--out`")
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
        for folder in [self.0.clone(), self.checkpoints(), self.file("progress")] {
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let partial = name.ends_with(".part") || name.starts_with('.') && name.ends_with(".tmp");
                if partial && path.is_file() {
                    let _ = fs::remove_file(&path);
                }
            }
        }
    }
}

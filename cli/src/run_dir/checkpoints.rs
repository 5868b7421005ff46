//! The checkpoints of a run: which one to resume from, and which to keep.
use super::RunDir;
use crate::{
    data::Facts,
    recipe::{Recipe, difference},
};
use burn::tensor::Device;
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
};
use tweedie::{Error, Result, error::ErrorKind, train::Checkpoint};

/// The metadata of a safetensors file.
pub(crate) type Notes = HashMap<String, String>;

/// A checkpoint that was read.
pub(crate) struct Read {
    pub path: PathBuf,
    pub checkpoint: Checkpoint,
    pub notes: Notes,
}
impl Read {
    /// The recipe that it was trained with, of whatever version.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::parse(
            &format!("the recipe of {}", self.path.display()),
            self.notes.get("recipe").cloned().unwrap_or_default(),
        )
    }
}

impl RunDir {
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }
    fn of_step(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step:08}.safetensors"))
    }

    /// The checkpoint before the first step, of a run that began with the weights of another.
    pub(super) fn first_checkpoint(&self) -> PathBuf {
        self.of_step(0)
    }

    /// The files named as checkpoints of a step, with that step, latest first.
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

    /// The step of the latest file named as a checkpoint.
    pub fn newest_step(&self) -> Option<u64> {
        self.steps().first().map(|(step, _)| *step)
    }

    /// All that training could be resumed from, latest first; the best checkpoint is one of them.
    fn candidates(&self) -> Vec<(u64, PathBuf)> {
        let mut all = self.steps();
        if let Some(best) = step_of(&self.best()) {
            let place = all.partition_point(|(step, _)| *step >= best);
            all.insert(place, (best, self.best()));
        } else if self.best().exists() {
            all.push((0, self.best()));
        }
        all
    }

    /// The latest checkpoint that is whole, of this run, and accepted by `fits`; `None` if there is none at all. `warn` receives a
    /// sentence for each that is passed over.
    ///
    /// # Errors
    ///
    /// If there are checkpoints, and none can be used: why the latest whole one does not fit, or why the latest is not whole.
    pub fn latest(
        &self,
        device: &Device,
        fits: &dyn Fn(&Read) -> Result<()>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Read>> {
        let own = Recipe::of_run(&self.recipe()).ok();
        let (mut damaged, mut foreign, mut unfit) = (vec![], vec![], vec![]);
        for (step, path) in self.candidates() {
            let read = match Checkpoint::load(&path, device) {
                Ok((checkpoint, notes)) => Read { path, checkpoint, notes },
                Err(error) => {
                    damaged.push(error);
                    continue;
                }
            };
            match read.belongs(step, own.as_ref()) {
                Err(error) => foreign.push(error),
                Ok(()) => match fits(&read) {
                    Err(error) => unfit.push(error),
                    Ok(()) => {
                        let passed_over = damaged.iter().chain(&foreign).chain(&unfit);
                        let used = read.path.display();
                        passed_over.for_each(|error| warn(format!("{}; using an earlier one, {used}", found(error))));
                        return Ok(Some(read));
                    }
                },
            }
        }
        let whole = unfit.into_iter().chain(foreign);
        match whole.chain(damaged.iter().map(|error| self.none_whole(error))).next() {
            None => Ok(None),
            Some(error) => Err(error),
        }
    }
    fn none_whole(&self, first: &Error) -> Error {
        let problem = "no other checkpoint of the run is whole, so it cannot be resumed";
        let remedy = "restore a checkpoint from a copy, or start a new run with its recipe";
        Error::invalid(format!("{}, and {problem}", found(first)))
            .with_remedy(format!("{remedy}: `tweedie train {}`", self.recipe().display()))
    }

    /// Saves a checkpoint, then deletes all but the last `keep` of this run.
    pub fn save(&self, checkpoint: &Checkpoint, notes: &[(&str, String)], keep: usize) -> Result<PathBuf> {
        let path = self.of_step(checkpoint.step);
        self.write(checkpoint, &path, notes)?;
        let own = |(step, path): &(u64, PathBuf)| *step < checkpoint.step && step_of(path) == Some(*step);
        for (_, old) in self.steps().into_iter().filter(own).skip(keep.saturating_sub(1)) {
            let _ = fs::remove_file(old);
        }
        Ok(path)
    }

    /// Saves the best checkpoint so far.
    pub fn save_best(&self, checkpoint: &Checkpoint, notes: &[(&str, String)]) -> Result<()> {
        self.write(checkpoint, &self.best(), notes)
    }
    fn write(&self, checkpoint: &Checkpoint, path: &Path, notes: &[(&str, String)]) -> Result<()> {
        let folder = self.checkpoints();
        fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
        checkpoint.save(path, notes)
    }

    /// The mean loss of the best checkpoint on held-out data.
    pub fn best_so_far(&self) -> Option<f64> {
        read_metadata(&self.best()).ok()?.get("held_out")?.parse().ok()
    }

    /// The bytes of all files that training replaces or deletes.
    pub fn replaceable_bytes(&self) -> u64 {
        let checkpoints = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten().map(|entry| entry.path());
        let all = checkpoints.chain([self.model()]);
        all.filter_map(|path| path.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    }
}

impl Read {
    /// Whether it is the checkpoint of step `step` of the run whose recipe is `own`: the same model and the same seed.
    fn belongs(&self, step: u64, own: Option<&Recipe>) -> Result<()> {
        if self.checkpoint.step != step {
            let problem = format!("it is the checkpoint of step {}, not of step {step}", self.checkpoint.step);
            return Err(Error::format(&self.path, problem).with_remedy("rename it, or move it out of the run"));
        }
        let (Some(own), Ok(other)) = (own, self.recipe()) else { return Ok(()) };
        // Fields that one version writes and another does not are no difference.
        let both = |found: &difference::Difference| found.old.is_some() && found.new.is_some();
        let fields = difference::MODEL.into_iter().chain(["train.seed"]);
        match difference::between(other.table(), own.table(), fields).into_iter().find(both) {
            None => Ok(()),
            Some(found) => {
                let problem = format!("it is of another run than recipe.toml: {}", found.sentence());
                Err(Error::format(&self.path, problem).with_remedy(
                    "move it out of the run, or give recipe.toml the settings that the run was trained with",
                ))
            }
        }
    }
}

/// What an error found, without its remedy.
fn found(error: &Error) -> String {
    match (error.kind(), error.path()) {
        (ErrorKind::Io, _) => error.to_string(),
        (_, Some(path)) => format!("{}: {}", path.display(), error.problem()),
        (_, None) => error.problem().to_owned(),
    }
}

/// The step in the metadata of a file.
pub(crate) fn step_of(path: &Path) -> Option<u64> {
    read_metadata(path).ok()?.get("step")?.parse().ok()
}

/// Reads the metadata of a safetensors file.
pub(crate) fn read_metadata(path: &Path) -> Result<Notes> {
    // The file starts with the length of the header in eight bytes, and the header as JSON.
    let read = || -> std::io::Result<Vec<u8>> {
        use std::io::Read;
        // Opening a pipe would wait for somebody to write into it.
        if !fs::metadata(path)?.is_file() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
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
        notes: Notes,
    }
    let header: Header = serde_json::from_slice(&header)
        .map_err(|_| Error::format(path, "it is not a safetensors file, or it is truncated"))?;
    Ok(header.notes)
}

/// The description of the training data in the metadata of a checkpoint.
pub(crate) fn facts_from(notes: &Notes, path: &Path) -> Result<Facts> {
    let facts: Facts = notes.get("data").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| {
        Error::format(path, "its metadata do not describe the training data, so it is not a checkpoint of this tool")
    })?;
    facts.check().map_err(|problem| {
        Error::format(path, format!("its description of the training data is damaged: {problem}"))
            .with_remedy("use another checkpoint of the run")
    })?;
    Ok(facts)
}

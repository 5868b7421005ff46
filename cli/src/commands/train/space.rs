//! Whether the disk has room for what a run will write.
use super::Plan;
use crate::{messages, run_dir::RunDir};
use std::{
    fs,
    path::{Path, PathBuf},
};
use sysinfo::Disks;
use tweedie::{Error, Result};

/// The bytes that a run will need at most, about.
struct Need {
    /// Bytes of one checkpoint.
    checkpoint: u64,
    /// Number of checkpoints that exist at once: those that are kept, the best, and one that is being written.
    checkpoints: u64,
    /// Everything else: the final weights, samples, metrics.
    rest: u64,
}
impl Need {
    fn total(&self) -> u64 {
        self.checkpoint.saturating_mul(self.checkpoints).saturating_add(self.rest)
    }
}

/// Refuses a run whose files do not fit on the disk, before its first step.
///
/// # Errors
///
/// If the disk has less free space than they need; not if the free space is unknown.
pub(super) fn check<const D: usize>(plan: &Plan<D>, parameters: usize, done: u64, folder: &RunDir) -> Result<()> {
    let need = need(plan, parameters as u64, done);
    match free(&folder.0) {
        Some(free) if need.total() > free.saturating_add(folder.replaceable_bytes()) => {
            Err(too_little(&need, free, folder))
        }
        _ => Ok(()),
    }
}

fn need<const D: usize>(plan: &Plan<D>, parameters: u64, done: u64) -> Need {
    /// Bytes of a line of metrics, of a number, and of the metadata beside the recipe.
    const LINE: u64 = 200;
    const NUMBER: u64 = size_of::<f32>() as u64;
    const METADATA: u64 = 1 << 14;
    let steps = plan.train.steps.saturating_sub(done);
    let weights = parameters.saturating_mul(NUMBER);
    // Weights, two moments and the average.
    let copies = if plan.train.ema_decay > 0.0 { 4 } else { 3 };
    let written = if plan.run.checkpoint_every == 0 { 1 } else { steps.div_ceil(plan.run.checkpoint_every).max(1) };
    let best = u64::from(plan.run.evaluate_every > 0);
    let samples = plan.facts.shape.iter().product::<usize>() as u64 * plan.sample.n as u64 * NUMBER;
    Need {
        checkpoint: weights.saturating_mul(copies).saturating_add(METADATA),
        checkpoints: written.min(plan.run.keep as u64).saturating_add(best + 1),
        rest: weights.saturating_add(samples).saturating_add(steps.saturating_mul(LINE)),
    }
}

fn too_little(need: &Need, free: u64, folder: &RunDir) -> Error {
    Error::invalid(format!(
        "the run needs about {} on the disk of {}, for {} checkpoints of {} and its results, and {} are free",
        messages::bytes(need.total()),
        folder.0.display(),
        messages::grouped(usize::try_from(need.checkpoints).unwrap_or(usize::MAX)),
        messages::bytes(need.checkpoint),
        messages::bytes(free)
    ))
    .with_remedy("free space, choose another disk with `--out`, or keep fewer checkpoints with `run.keep`")
}

/// The free bytes of the disk of a folder that exists or is to be created; `None` if they are unknown.
fn free(folder: &Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    let folder = folder.ancestors().find_map(|folder| folder.canonicalize().ok())?;
    let mounted = |place: &Path| folder.starts_with(place).then(|| place.components().count());
    let disks = Disks::new_with_refreshed_list();
    let disk = disks.iter().max_by_key(|disk| mounted(disk.mount_point()))?;
    let depth = mounted(disk.mount_point())?;
    // Not every file system is listed as a disk.
    if mount_points().iter().filter_map(|place| mounted(place)).any(|other| other > depth) {
        return None;
    }
    Some(disk.available_space())
}

/// The places of all file systems, where the system says them.
fn mount_points() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    places.map(|place| PathBuf::from(place.replace("\\040", " "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_both_numbers() {
        let need = Need { checkpoint: 400_000_000, checkpoints: 4, rest: 100_000_000 };
        assert_eq!(need.total(), 1_700_000_000);
        assert_eq!(
            too_little(&need, 900_000_000, &RunDir("runs/a".into())).to_string(),
            "the run needs about 1.7 GB on the disk of runs/a, for 4 checkpoints of 400 MB and its results, and 900 MB \
             are free; free space, choose another disk with `--out`, or keep fewer checkpoints with `run.keep`"
        );
    }
}

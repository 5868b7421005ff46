//! The lock of a run's folder: one training at a time writes into it.
use super::RunDir;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Write},
};
use tweedie::{Error, Result};

/// The file that is locked; it holds the process id of the training that has the lock. The system releases the lock when that
/// process ends, however it ends, so the file stays and a stale one is no obstacle.
pub(super) const LOCK: &str = ".lock";

/// The right to write into a run, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl RunDir {
    /// Locks the run.
    ///
    /// # Errors
    ///
    /// If another process is training it, or its folder cannot be written to.
    pub fn lock(&self) -> Result<Lock> {
        self.try_lock()?.map_err(|process| {
            let (by, stop) = match process {
                Some(id) => {
                    (format!("process {id}"), format!(", stop it with `kill {id}` (it saves a checkpoint first)"))
                }
                None => ("another process".into(), String::new()),
            };
            Error::invalid(format!(
                "{} is being trained by {by}, and one training at a time writes into a run",
                self.0.display()
            ))
            .with_path(&self.0)
            .with_remedy(format!("wait until it ends{stop}, or choose another folder with `--out`"))
        })
    }

    /// Locks the run, or returns the id of the process that has the lock, if it is known.
    pub(super) fn try_lock(&self) -> Result<Result<Lock, Option<u32>>> {
        let path = self.0.join(LOCK);
        let failed = |error| {
            Error::io(&self.0, "write into the folder of the run")(error)
                .with_remedy("training writes there: choose a folder that can be written to with `--out`")
        };
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut id = String::new();
                // Where locks are mandatory the file cannot be read.
                let _ = file.read_to_string(&mut id);
                return Ok(Err(id.trim().parse().ok()));
            }
            // A file system without locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // On a full disk the process stays unknown.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Ok(Lock { _file: file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_locked_once_and_a_stale_file_is_no_obstacle() {
        let folder = RunDir(std::env::temp_dir().join(format!("tweedie-lock-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).unwrap();
        std::fs::write(folder.0.join(LOCK), "1\n").unwrap();
        let lock = folder.lock().unwrap();
        let error = folder.lock().unwrap_err().to_string();
        assert!(error.contains(&format!("is being trained by process {}", std::process::id())), "{error}");
        drop(lock);
        drop(folder.lock().unwrap());
        std::fs::remove_dir_all(&folder.0).unwrap();
    }
}

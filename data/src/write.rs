//! Files written completely or not at all.
use crate::Error;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

/// Writes a file atomically: a temporary file in the same folder is written, flushed to the disk and renamed, so that
/// at any moment there is either the complete old file or the complete new one. Missing parent folders are created.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io); the old file is then unchanged.
pub fn atomic(path: impl AsRef<Path>, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let path = path.as_ref();
    let fail = || Error::io(path, "write");
    let Some(name) = path.file_name() else {
        return Err(fail()(io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file")));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let done = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, path)
    });
    done.map_err(|error| {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
        fail()(error)
    })
}

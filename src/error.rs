//! What can go wrong that is not a programmer's mistake.
use std::{fmt, path::PathBuf};

/// A user's mistake or the world's: one readable paragraph that says what was found, where, and how to mend it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// A verb: read, write.
        doing: &'static str,
        /// The system's word on it.
        source: std::io::Error,
    },
    /// A file was read and does not hold what it should.
    Format {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, and the remedy.
        message: String,
    },
    /// Parts that do not fit each other, refused before the first step.
    Unfit(String),
    /// A number that is not finite, at the step and in the tensor where it arose.
    NotFinite {
        /// The step of training, from 1.
        step: u64,
        /// The tensor: data, output of the net, a loss, a gradient or a parameter by name.
        place: String,
    },
}

/// `std::result::Result` with tweedie's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, doing, source }
    }
    /// An [`Error::Format`].
    pub fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Format { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, source } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Self::Format { path, message } => write!(f, "{}: {message}", path.display()),
            Self::Unfit(message) => f.write_str(message),
            Self::NotFinite { step, place } => write!(
                f,
                "step {step}: {place} is not finite, so training stopped there and the last checkpoint is intact; \
                 lower the learning rate, clip the gradients (`clip`), or look at the data of that step"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A small number as a message says it.
pub(crate) fn small(x: f64) -> String {
    if x == 0.0 { "0".into() } else { format!("{x:.1e}") }
}

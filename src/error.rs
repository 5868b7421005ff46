//! Errors of users and of the system; programming errors panic.
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// A user's mistake or a failure of the system: what was found, where, and the remedy.
///
/// The parts are stored separately and put into one sentence by [`Display`](fmt::Display) alone:
///
/// ```
/// use tweedie::{Error, error::ErrorKind};
/// let error = Error::invalid("must be a positive number, got -0.1").with_field("lr").with_remedy("try 1e-3");
/// assert_eq!(error.to_string(), "`lr` must be a positive number, got -0.1; try 1e-3");
/// assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("lr")));
/// ```
#[derive(Debug)]
pub struct Error(Box<Parts>);

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written.
    Io,
    /// A file was read and does not hold what it should.
    Format,
    /// A value that is not allowed, or parts that do not fit each other; found before the first step.
    Invalid,
    /// A value that is NaN or infinite, at the training step and in the tensor where it arose.
    NotFinite,
}

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    path: Option<PathBuf>,
    field: Option<String>,
    problem: String,
    remedy: Option<String>,
    step: Option<u64>,
    source: Option<io::Error>,
    text: Option<String>,
}

/// `std::result::Result` with tweedie's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: ErrorKind, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        let (path, field, remedy, step, source, text) = Default::default();
        Self(Box::new(Parts { kind, path, field, problem, remedy, step, source, text }))
    }

    /// Makes an error of kind [`Io`](ErrorKind::Io) from the system's, for `map_err`; `doing` is a verb: read, write.
    pub fn io(path: impl Into<PathBuf>, doing: &str) -> impl FnOnce(io::Error) -> Self {
        let (path, problem) = (path.into(), doing.to_owned());
        move |source| {
            let mut error = Self::new(ErrorKind::Io, problem);
            (error.0.path, error.0.source) = (Some(path), Some(source));
            error
        }
    }

    /// An error of kind [`Format`](ErrorKind::Format): what the file holds and what it should hold.
    pub fn format(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::Format, problem);
        error.0.path = Some(path.into());
        error
    }

    /// An error of kind [`Invalid`](ErrorKind::Invalid).
    ///
    /// With a [field](Self::with_field) the problem continues the sentence that the field's name begins: "must be a positive
    /// number, got -0.1". Without one it is a sentence of its own.
    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, problem)
    }

    /// An error of kind [`NotFinite`](ErrorKind::NotFinite) at training step `step` (from 1); `place` names the tensor: the data,
    /// the output of the network, a loss, a gradient or a parameter.
    pub fn not_finite(step: u64, place: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::NotFinite, place);
        error.0.step = Some(step);
        error
    }

    /// Names the configuration field at fault; a field named before becomes a part of this one, `adam` of `beta1` is
    /// `adam.beta1`.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        let outer = field.into();
        self.0.field = Some(match self.0.field.take() {
            Some(inner) => format!("{outer}.{inner}"),
            None => outer,
        });
        self
    }

    /// Adds a remedy.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Names the file or folder that the error is about.
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// Sets the text that the error is shown as, for example with the line of a recipe that it is about; its parts stay.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.0.text = Some(text.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    /// The configuration field at fault, its parts separated by dots.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }
    /// The file or folder.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }
    /// What is wrong, without field and remedy; of kind [`NotFinite`](ErrorKind::NotFinite), the tensor.
    pub fn problem(&self) -> &str {
        &self.0.problem
    }
    /// The remedy.
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
    /// The text that the error is shown as, if [one was set](Self::with_text).
    pub fn text(&self) -> Option<&str> {
        self.0.text.as_deref()
    }
    /// The training step, from 1, of kind [`NotFinite`](ErrorKind::NotFinite).
    pub fn step(&self) -> Option<u64> {
        self.0.step
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, path, field, problem, remedy, step, source, text } = &*self.0;
        if let Some(text) = text {
            return f.write_str(text);
        }
        match (kind, path, source) {
            (ErrorKind::Io, Some(path), Some(source)) => {
                write!(f, "cannot {problem} {}: {}", path.display(), reason(source))?;
                if let (None, Some(remedy)) = (remedy, remedy_of(source)) {
                    write!(f, "; {remedy}")?;
                }
            }
            (ErrorKind::NotFinite, ..) => write!(
                f,
                "step {}: {problem} is not finite, so training stopped there and the last checkpoint is intact; lower the \
                 learning rate, clip the gradients (`clip`), or look at the data of that step",
                step.unwrap_or_default()
            )?,
            (_, path, _) => {
                if let Some(path) = path {
                    write!(f, "{}: ", path.display())?;
                }
                if let Some(field) = field {
                    write!(f, "`{field}` ")?;
                }
                f.write_str(problem)?;
            }
        }
        remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// What the system says, without its number and capital letter.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::AlreadyExists => "a file of that name exists".into(),
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder".into(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".into(),
        io::ErrorKind::StorageFull => "no space is left on the disk".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".into(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().trim_end_matches('.');
            let mut rest = text.chars();
            rest.next().map_or(String::new(), |first| first.to_lowercase().chain(rest).collect())
        }
    }
}

/// What can be done about an error of the system.
fn remedy_of(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "choose another path, or change its permissions",
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            "choose another path"
        }
        io::ErrorKind::StorageFull => "free some, or choose another disk",
        io::ErrorKind::ReadOnlyFilesystem => "choose another disk",
        _ => return None,
    })
}

/// Formats a small number for a message.
pub(crate) fn small(x: f64) -> String {
    if x == 0.0 { "0".into() } else { format!("{x:.1e}") }
}

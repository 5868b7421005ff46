//! What can be wrong with a file, a setting or a set of data.
use std::{
    borrow::Cow,
    fmt, io,
    path::{Path, PathBuf},
};

/// What can be wrong with a file, a setting or a set of data: what was found, what is allowed, what to do.
///
/// The parts are stored apart; only [`Display`](fmt::Display) puts them into one sentence, whose subject is the
/// [path](Error::path), or else the [field](Error::field), if there is one:
///
/// ```
/// use tweedie_data::{Digits, ErrorKind, Folder, Source, Split};
/// let error = Digits { levels: Some(1), ..Digits::default() }.load(Split::Train).unwrap_err();
/// assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("levels")));
/// assert_eq!(error.to_string(), format!("`levels` {}; {}.", error.problem(), error.remedy().unwrap()));
/// let error = Folder { path: "no-such-folder".into(), ..Folder::default() }.load(Split::Train).unwrap_err();
/// assert_eq!((error.kind(), error.field()), (ErrorKind::NotFound, Some("path")));
/// assert!(error.to_string().starts_with("`no-such-folder` was not found"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    problem: String,
    remedy: Option<Cow<'static, str>>,
    path: Option<PathBuf>,
    field: Option<&'static str>,
    source: Option<io::Error>,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or folder does not exist.
    NotFound,
    /// The operating system could not read or write a file or folder.
    Io,
    /// The contents of a file or folder are not what they must be.
    Format,
    /// A setting has a value that is not allowed, or does not agree with another.
    Invalid,
    /// There is no image where at least one is needed.
    Empty,
}

impl Error {
    fn new(kind: ErrorKind, problem: impl Into<String>) -> Self {
        Self { kind, problem: problem.into(), remedy: None, path: None, field: None, source: None }
    }

    /// An error of kind [`Invalid`](ErrorKind::Invalid).
    ///
    /// With a [field](Self::with_field) the problem continues the sentence that the field starts: "must be 1 or more,
    /// got 0". Without one it is a clause of its own.
    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, problem)
    }

    /// An error of kind [`Format`](ErrorKind::Format); the problem continues the sentence that the path starts: "is not
    /// UTF-8".
    pub fn format(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format, problem).with_path(path)
    }

    /// A function for `map_err` that makes errors of kind [`Io`](ErrorKind::Io); `doing` is a verb, as "read".
    pub fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { source: Some(source), ..Self::new(ErrorKind::Io, doing).with_path(path) }
    }

    /// An error of kind [`Empty`](ErrorKind::Empty).
    pub(crate) fn empty(problem: impl Into<String>) -> Self {
        Self::new(ErrorKind::Empty, problem)
    }

    /// No file or folder `path` in any of the places `tried`; `data_folder` is whether `TWEEDIE_DATA` is set.
    pub(crate) fn not_found(path: &Path, tried: &[PathBuf], data_folder: bool) -> Self {
        let tried: Vec<_> = tried.iter().map(|place| format!("`{}`", place.display())).collect();
        let problem = format!("was not found, tried {}", tried.join(" and "));
        let remedy = match (path.is_absolute(), data_folder) {
            (true, _) => "check the path",
            (false, true) => "check the path, or set the environment variable TWEEDIE_DATA to the folder that holds it",
            (false, false) => {
                "write the full path, or set the environment variable TWEEDIE_DATA, under which relative paths are \
                 looked up too: `TWEEDIE_DATA=/folder/of/data tweedie …`"
            }
        };
        Self::new(ErrorKind::NotFound, problem).with_path(path).with_remedy(remedy)
    }

    /// A picture, or a row of a table (from 0), that the decoder refused.
    pub(crate) fn unreadable(path: &Path, row: Option<usize>, reason: impl fmt::Display) -> Self {
        let row = row.map_or_else(String::new, |row| format!(" in row {row}"));
        Self::format(path, format!("could not be read{row}: {reason}"))
            .with_remedy("download or copy it again, or remove it from the set")
    }

    /// What to do about one picture of a set that cannot be read.
    pub(crate) const SKIP: &'static str =
        "download or copy it again, remove it, or set `unreadable = \"skip\"` to leave out what cannot be read";

    /// A file that ends before the `expected` bytes that its header announces; `unpacked` if both count decompressed
    /// bytes.
    pub(crate) fn truncated(path: &Path, expected: u64, found: u64, unpacked: bool) -> Self {
        let after = if unpacked { " after decompression" } else { "" };
        Self::format(path, format!("is truncated: expected {expected} bytes{after}, found {found}"))
            .with_remedy("download or copy it again")
    }

    /// A file with more than the `expected` bytes that its header announces.
    pub(crate) fn trailing(path: &Path, expected: u64) -> Self {
        Self::format(path, format!("has extra bytes at its end: its header announces {expected} bytes in all"))
            .with_remedy("write it again: the header is wrong, or the file is several files in one")
    }

    /// The first bytes, or the header, of a file are `found` and not `expected`.
    pub(crate) fn unexpected(path: &Path, found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self::format(path, format!("starts with {found}, expected {expected}"))
    }

    /// Names the setting that is wrong, by its key in a recipe.
    pub fn with_field(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// Names the setting that refers to the file that is wrong, unless a setting is named already.
    pub(crate) fn at_field(self, field: &'static str) -> Self {
        Self { field: self.field.or(self.path.as_ref().map(|_| field)), ..self }
    }

    /// Says what to do about it: a clause without a capital letter and a full stop.
    pub fn with_remedy(self, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Names the file or folder that is wrong.
    pub(crate) fn with_path(self, path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file or folder that is wrong.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The setting that is wrong, or that refers to the file that is, by its key in a recipe.
    pub fn field(&self) -> Option<&str> {
        self.field
    }

    /// What is wrong, without path, field and remedy; of kind [`Io`](ErrorKind::Io), the verb for what could not be done.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, remedy, path, field, source, .. } = self;
        match (path, field, source) {
            (Some(path), _, Some(source)) => {
                write!(f, "could not {problem} `{}`: {}", path.display(), reason(source))?;
                if let (None, Some(remedy)) = (remedy, remedy_of(source)) {
                    write!(f, "; {remedy}")?;
                }
            }
            (Some(path), ..) => write!(f, "`{}` {problem}", path.display())?,
            (None, Some(field), _) => write!(f, "`{field}` {problem}")?,
            (None, None, _) => f.write_str(problem)?,
        }
        remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))?;
        f.write_str(".")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// Why the system could not do it, as the end of a sentence.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::AlreadyExists => "a file of that name exists".into(),
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder".into(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".into(),
        io::ErrorKind::StorageFull => "no space is left on the disk".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".into(),
        io::ErrorKind::UnexpectedEof => "it ends too early".into(),
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
        io::ErrorKind::UnexpectedEof => "download or copy it again",
        _ => return None,
    })
}

/// Names in a row: `` `a`, `b` ``, the first eight of them and the number of the others.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_plain_sentences_whatever_their_number() {
        for number in 1..200 {
            let text = Error::io("a", "read")(io::Error::from_raw_os_error(number)).to_string();
            assert!(text.starts_with("could not read `a`: ") && text.ends_with('.') && !text.ends_with(".."), "{text}");
            assert!(!text.contains("os error"), "{text}");
            let reason = text["could not read `a`: ".len()..].chars().next().unwrap();
            assert!(!reason.is_uppercase(), "{text}");
        }
        let full = Error::io("a", "write")(io::ErrorKind::StorageFull.into());
        assert_eq!(
            full.to_string(),
            "could not write `a`: no space is left on the disk; free some, or choose another disk."
        );
        let own = Error::io("a", "read")(io::ErrorKind::NotFound.into()).with_remedy("write it first");
        assert_eq!(own.to_string(), "could not read `a`: it does not exist; write it first.");
    }
}

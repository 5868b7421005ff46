//! What can be wrong with files, settings and data.
use std::{fmt, io, path::PathBuf};

/// What can be wrong with a file, a setting or a set of data.
///
/// Each prints as one paragraph: the file, what was found, what was expected and how to mend it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No file or folder of that name in any of the places looked at.
    NotFound {
        /// The path as written.
        path: PathBuf,
        /// The places tried, in order.
        tried: Vec<PathBuf>,
        /// Whether the variable that names the folder of data sets was set.
        variable: bool,
    },
    /// The operating system refused.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as in "could not …".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A folder has no file of the kind sought.
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What was sought.
        wanted: String,
        /// Names of files that are there and could be meant.
        there: Vec<String>,
        /// How to mend it.
        remedy: String,
    },
    /// A folder without images.
    NoImages {
        /// The folder.
        folder: PathBuf,
        /// Number of files of other kinds in it.
        others: usize,
    },
    /// A sub-folder, which stands for a class, without images.
    EmptyClass {
        /// The sub-folder.
        folder: PathBuf,
    },
    /// Images both in a folder and in its sub-folders: classes are not clear.
    Mixed {
        /// The folder.
        folder: PathBuf,
        /// An image directly in it.
        image: String,
        /// A sub-folder of it.
        class: String,
    },
    /// The first bytes are not those of the format.
    Magic {
        /// The file.
        file: PathBuf,
        /// What the file begins with.
        found: String,
        /// What it should begin with.
        expected: &'static str,
        /// How to mend it.
        remedy: &'static str,
    },
    /// A file ends too early.
    Truncated {
        /// The file.
        file: PathBuf,
        /// Bytes that its header announces, after unpacking.
        expected: u64,
        /// Bytes that are there, after unpacking.
        found: u64,
        /// Whether the file is compressed.
        packed: bool,
    },
    /// A file goes on after its end.
    Trailing {
        /// The file.
        file: PathBuf,
        /// Bytes that its header announces, after unpacking.
        expected: u64,
    },
    /// Images and labels differ in number.
    Count {
        /// The file of the images.
        images: PathBuf,
        /// Number of images.
        image_count: usize,
        /// The file of the labels.
        labels: PathBuf,
        /// Number of labels.
        label_count: usize,
    },
    /// A label that is not the index of a class.
    Label {
        /// The file.
        file: PathBuf,
        /// Number of the item, from 0.
        item: usize,
        /// The label.
        label: i64,
        /// Number of classes.
        classes: usize,
        /// How to mend it.
        remedy: &'static str,
    },
    /// A picture or table that cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Number of the row, from 0, where the file is a table.
        row: Option<usize>,
        /// What the reader said.
        reason: String,
    },
    /// Images of different sizes and no size to bring them to.
    Sizes {
        /// The first image.
        first: String,
        /// Its height and width.
        size: [usize; 2],
        /// Another image.
        other: String,
        /// Its height and width.
        other_size: [usize; 2],
    },
    /// A number of channels that is not handled.
    Channels {
        /// The file or setting.
        place: String,
        /// The number found.
        found: usize,
        /// What is handled.
        expected: &'static str,
    },
    /// A table without the column, or with a column of another type.
    Column {
        /// The file.
        file: PathBuf,
        /// The column sought, with its type.
        wanted: String,
        /// The columns that are there, with their types.
        found: Vec<String>,
        /// How to mend it.
        remedy: String,
    },
    /// Settings that do not fit together.
    Setting {
        /// What was found and why it does not fit.
        problem: String,
        /// How to mend it.
        remedy: String,
    },
    /// A file of text that cannot be used as it is.
    Text {
        /// The file.
        file: PathBuf,
        /// What is the matter, as in "`file` …".
        problem: String,
        /// How to mend it.
        remedy: String,
    },
    /// A set without images where some are needed.
    Empty {
        /// Where they should have come from.
        place: String,
        /// How to mend it.
        remedy: &'static str,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, doing, source }
    }

    pub(crate) fn text(file: impl Into<PathBuf>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Text { file: file.into(), problem: problem.into(), remedy: remedy.into() }
    }

    pub(crate) fn setting(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Setting { problem: problem.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path, tried, variable } => {
                let tried: Vec<_> = tried.iter().map(|p| format!("`{}`", p.display())).collect();
                write!(f, "`{}` was not found: looked at {}. ", path.display(), tried.join(" and at "))?;
                match (path.is_absolute(), variable) {
                    (true, _) => write!(f, "Check the path."),
                    (false, true) => {
                        write!(
                            f,
                            "Check the path, or set the environment variable TWEEDIE_DATA to the folder that holds it."
                        )
                    }
                    (false, false) => write!(
                        f,
                        "A relative path is also looked up under the folder that the environment variable TWEEDIE_DATA \
                         names, which is not set: `TWEEDIE_DATA=/folder/of/data tweedie …`, or write the full path."
                    ),
                }
            }
            Self::Io { path, doing, source } => write!(f, "could not {doing} `{}`: {source}.", path.display()),
            Self::Missing { folder, wanted, there, remedy } => {
                write!(f, "`{}` has no {wanted}", folder.display())?;
                match there.as_slice() {
                    [] => write!(f, ". ")?,
                    names => write!(f, "; it holds {}. ", list(names))?,
                }
                write!(f, "{remedy}")
            }
            Self::NoImages { folder, others } => {
                write!(f, "`{}` holds no PNG or JPEG image", folder.display())?;
                match others {
                    0 => write!(f, ": it is empty. ")?,
                    1 => write!(f, ", only one file of another kind. ")?,
                    n => write!(f, ", only {n} files of other kinds. ")?,
                }
                write!(
                    f,
                    "Images are files whose names end in .png, .jpg or .jpeg, in the folder or one sub-folder a class."
                )
            }
            Self::EmptyClass { folder } => write!(
                f,
                "the sub-folder `{}` stands for a class, but holds no PNG or JPEG image. Put images there or remove it.",
                folder.display()
            ),
            Self::Mixed { folder, image, class } => write!(
                f,
                "`{}` holds images (`{image}`) beside sub-folders with images (`{class}`), so it is not clear what the \
                 classes are. Move the images into sub-folders, one a class, or all of them into one folder.",
                folder.display()
            ),
            Self::Magic { file, found, expected, remedy } => {
                write!(f, "`{}` begins with {found}, where {expected} was expected. {remedy}", file.display())
            }
            Self::Truncated { file, expected, found, packed } => {
                let after = if *packed { " after unpacking" } else { "" };
                write!(
                    f,
                    "`{}` is cut short: {expected} bytes were expected{after}, {found} were found. Download or copy it again.",
                    file.display()
                )
            }
            Self::Trailing { file, expected } => write!(
                f,
                "`{}` goes on after its end: its header announces {expected} bytes, and more follow. Either the header is \
                 wrong or the file is several files in one; write it again.",
                file.display()
            ),
            Self::Count { images, image_count, labels, label_count } => write!(
                f,
                "`{}` holds {image_count} images, but `{}` holds {label_count} labels. There must be one label an image: \
                 check that the two files belong together.",
                images.display(),
                labels.display()
            ),
            Self::Label { file, item, label, classes, remedy } => write!(
                f,
                "label {label} of item {item} in `{}` is out of range: there are {classes} classes, 0 to {}. {remedy}",
                file.display(),
                classes.saturating_sub(1)
            ),
            Self::Unreadable { file, row, reason } => {
                match row {
                    Some(row) => write!(f, "row {row} of `{}` could not be read: {reason}. ", file.display())?,
                    None => write!(f, "`{}` could not be read: {reason}. ", file.display())?,
                }
                write!(f, "Download or copy it again, or remove it from the set.")
            }
            Self::Sizes { first, size: [h, w], other, other_size: [oh, ow] } => write!(
                f,
                "the images differ in size: `{first}` is {w} × {h} pixels, `{other}` is {ow} × {oh}. Say `size = {}` (or \
                 another side) to bring all of them to one square size.",
                h.min(w).min(oh).min(ow)
            ),
            Self::Channels { place, found, expected } => {
                write!(f, "{place}: {found} channels, where {expected} was expected.")
            }
            Self::Column { file, wanted, found, remedy } => {
                write!(f, "`{}` has no column {wanted}; it has {}. {remedy}", file.display(), list(found))
            }
            Self::Setting { problem, remedy } => write!(f, "{problem}. {remedy}"),
            Self::Text { file, problem, remedy } => write!(f, "`{}` {problem}. {remedy}", file.display()),
            Self::Empty { place, remedy } => write!(f, "{place} holds no images. {remedy}"),
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

/// Names in a row, the first eight of them.
fn list(names: &[String]) -> String {
    let mut text: Vec<_> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    if names.len() > 8 {
        text.push(format!("{} more", names.len() - 8));
    }
    text.join(", ")
}

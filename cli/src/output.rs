//! What the tool shows: lines, messages, progress, pictures, text and the HTML report.
pub(crate) mod conditioned;
pub(crate) mod console;
pub(crate) mod picture;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod sample_files;
mod signals;
pub(crate) mod text;

//! What the tool shows: messages, progress, pictures, text and the HTML report.
pub(crate) mod messages;
pub(crate) mod picture;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod text;

//! Lines on the terminal: what is printed, how wide, and what is bold.
use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
    sync::Mutex,
};
use tweedie::Error;

/// The width of the terminal in columns; 80 if standard output is not one.
const USUAL: usize = 80;

/// Why a line could not be written to standard output: the first reason.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

thread_local! {
    /// Whether this thread prints nothing.
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread prints nothing.
pub(crate) fn silence() {
    SILENT.set(true);
}

/// A line on standard output; nothing if nobody reads it any more. Another failure is reported at the end, by [`written`], because
/// it must not stop a training.
pub(crate) fn say(line: &str) {
    if SILENT.get() {
        return;
    }
    failed(writeln!(io::stdout(), "{line}"));
}
fn failed(outcome: io::Result<()>) {
    if let Err(error) = outcome
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

/// Whether everything was written to standard output, `outcome` of the last write included.
///
/// # Errors
///
/// If it was not, for a reason other than a closed pipe.
pub(crate) fn written(outcome: io::Result<()>) -> tweedie::Result<()> {
    failed(outcome.and_then(|()| io::stdout().flush()));
    match FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
        None => Ok(()),
        Some(error) => {
            Err(Error::io("standard output", "write to")(error).with_remedy("what was printed is not complete"))
        }
    }
}

/// A line on standard error.
pub(crate) fn note(line: &str) {
    if SILENT.get() {
        return;
    }
    let _ = writeln!(io::stderr(), "{line}");
}

/// A paragraph on standard output, wrapped to the terminal; the first line begins with `first`, the others with `rest`.
pub(crate) fn paragraph(first: &str, rest: &str, text: &str) {
    let options = textwrap::Options::new(width()).initial_indent(first).subsequent_indent(rest).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    for line in textwrap::wrap(text, options) {
        say(line.replace(JOINED, " ").trim_end());
    }
}

/// A space at which no line of a [`paragraph`] ends.
const JOINED: char = '\u{a0}';

/// A text that stays on one line of a [`paragraph`], if it is short enough.
pub(crate) fn together(text: &str) -> String {
    const SHORT: usize = 40;
    if text.chars().count() <= SHORT { text.replace(' ', &JOINED.to_string()) } else { text.to_owned() }
}

/// The text in bold, if standard output is a terminal and the environment variable NO_COLOR is not set.
pub(crate) fn bold(text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !plain { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

fn width() -> usize {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((terminal_size::Width(columns), _)) => usize::from(columns).max(40),
        None => USUAL,
    }
}

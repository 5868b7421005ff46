//! Lines on the terminal: what is printed, how wide, and what is bold.
use std::io::{self, IsTerminal, Write};

/// The width of the terminal in columns; 80 if standard output is not one.
const USUAL: usize = 80;

/// A line on standard output; nothing if nobody reads it any more.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on standard error.
pub(crate) fn note(line: &str) {
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

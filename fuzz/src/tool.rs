//! What the tool reads that people write, on any text: no panic, no abort, bounded memory, and what is read is consistent.
//!
//! This file is compiled twice: into the fuzz targets, and into the tests of the tool, which run the kept corpus.
use tweedie_cli::fuzzing;

#[path = "run.rs"]
pub mod run;

/// A target: its name, which is that of its folder of the corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of the tool.
pub const TARGETS: [Target; 4] = [("recipe", recipe), ("set", set), ("infill", infill), ("run", run::run)];

/// The recipe whose fields are set.
const DIGITS: &str = include_str!("../../recipes/digits.toml");

/// An error is a sentence, perhaps with the line that it is about.
fn sentence(error: &impl std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.trim().is_empty() && text.len() < 1 << 20, "{text}");
}

/// A recipe; one that is accepted is written as one that is accepted and written in the same way.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check(text, &[]);
}

/// A value of `--set` per line, for the recipe of the digits.
pub fn set(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let settings: Vec<&str> = text.lines().take(8).collect();
    check(DIGITS, &settings);
    for line in settings {
        let _ = fuzzing::flag(line).map_err(|error| sentence(&error));
    }
}

fn check(text: &str, settings: &[&str]) {
    fuzzing::confine(1e9, false);
    match fuzzing::recipe(text, settings) {
        Err(error) => sentence(&error),
        Ok(resolved) => match fuzzing::recipe(&resolved, &[]) {
            Ok(again) => assert_eq!(resolved, again, "a resolved recipe is resolved"),
            Err(error) => panic!("a resolved recipe is refused: {error}\n{resolved}"),
        },
    }
}

/// A vocabulary on the first line, on the second the length of a sample and the character of a blank, then a pattern.
pub fn infill(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\n');
    let [vocabulary, settings, pattern] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let blank = settings.chars().next_back().unwrap_or('_');
    let length = settings.trim_end_matches(blank).trim().parse::<u8>().unwrap_or(12);
    let _ = fuzzing::infill(vocabulary, pattern, blank, usize::from(length)).map_err(|error| sentence(&error));
}

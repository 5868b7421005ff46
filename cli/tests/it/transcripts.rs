//! The exact output of the tool: the transcripts in `tests/cmd`.
//!
//! `NAME.md` is run in a copy of the folder `NAME`. The lines after `$ tweedie …` are the expected output, standard
//! output before standard error, preceded by `? 1` if the exit status is 1 and not 0. `[..]` matches anything within a
//! line. With `UPDATE=1` in the environment the transcripts are rewritten, to be read before they are committed.
use super::{text, tweedie};
use std::{fs, path::Path};
use tempfile::tempdir;

#[test]
fn errors_are_readable_sentences() {
    assert!(transcript("wrong") >= 20);
}

#[test]
fn a_run_is_trained_resumed_and_sampled() {
    transcript("flow");
}

#[test]
fn text_is_sampled_and_evaluated() {
    transcript("text");
}

#[test]
fn modules_are_listed_with_their_fields() {
    transcript("list");
}

/// Runs a transcript and returns the number of its commands.
fn transcript(name: &str) -> usize {
    let cases = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd"));
    let file = cases.join(format!("{name}.md"));
    let folder = tempdir().unwrap();
    let at = folder.path().canonicalize().unwrap();
    copy(&cases.join(name), &at);
    let (mut commands, mut differences, mut updated) = (0, String::new(), String::new());
    let content = fs::read_to_string(&file).unwrap();
    let mut lines = content.lines().peekable();
    while let Some(line) = lines.next() {
        updated.push_str(&format!("{line}\n"));
        let Some(command) = line.strip_prefix("$ tweedie ") else { continue };
        let mut expected = vec![];
        while let Some(line) = lines.next_if(|line| *line != "```" && !line.starts_with("$ ")) {
            expected.push(line);
        }
        while expected.last().is_some_and(|line| line.is_empty()) {
            expected.pop();
        }
        let found = run(&at, command);
        commands += 1;
        if found.lines().count() != expected.len() || !found.lines().zip(&expected).all(|(l, e)| matches(l, e)) {
            differences.push_str(&format!("$ tweedie {command}\n{found}\nexpected:\n{}\n\n", expected.join("\n")));
        }
        updated.push_str(&found);
        if lines.peek().is_some_and(|line| line.starts_with("$ ")) {
            updated.push('\n');
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, updated).unwrap();
    } else {
        assert!(differences.is_empty(), "{}\n\n{differences}", file.display());
    }
    commands
}

fn run(at: &Path, command: &str) -> String {
    let output = tweedie(at).args(arguments(command)).output().unwrap();
    let mut found = match output.status.code() {
        Some(0) => String::new(),
        code => format!("? {}\n", code.unwrap()),
    };
    let printed = (text(&output.stdout) + &text(&output.stderr)).replace(at.to_str().unwrap(), "[CWD]");
    for line in printed.lines() {
        // Loss and speed differ from machine to machine.
        match line.split_once("  loss ") {
            Some((step, _)) if line.contains("samples/s") => found.push_str(&format!("{step}  loss [..]\n")),
            _ => found.push_str(&format!("{}\n", line.trim_end())),
        }
    }
    found
}

/// The arguments of a command, with single quotes as in a shell.
fn arguments(command: &str) -> Vec<String> {
    let pieces = command.split('\'').enumerate();
    pieces
        .flat_map(|(i, piece)| match i % 2 {
            0 => piece.split_whitespace().map(str::to_owned).collect(),
            _ => vec![piece.to_owned()],
        })
        .collect()
}

fn matches(line: &str, expected: &str) -> bool {
    let line = line.trim_end();
    match expected.split_once("[..]") {
        Some((start, end)) => line.len() + 4 >= expected.len() && line.starts_with(start) && line.ends_with(end),
        None => line == expected,
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

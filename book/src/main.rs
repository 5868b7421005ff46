//! mdBook preprocessor: makes chapters that are written for rustdoc readable as a book.
//!
//! The chapters in `src/tutorial` are documentation of the crate `tweedie`, so their links to items are Rust paths:
//! ``[`Ddim`](crate::sample::Ddim)``, or a definition ``[`Ddim`]: crate::sample::Ddim``. mdBook knows no Rust paths. This program replaces each by the page that `cargo doc`
//! made of the item, and refuses a path that has none; links to another chapter become links to its file.
//! A comment `<!-- book: TEXT -->` becomes TEXT: it is for the book alone (rustdoc shows no comments).
//!
//! mdBook runs it by `book.toml`: the book as JSON on standard input, the changed book on standard output.
mod links;

use serde_json::Value;
use std::{io, path::Path, process::ExitCode};

fn main() -> ExitCode {
    // `supports RENDERER`: links suit every renderer.
    if std::env::args().nth(1).is_some_and(|word| word == "supports") {
        return ExitCode::SUCCESS;
    }
    match book() {
        Ok(book) => {
            println!("{book}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Reads `[context, book]` from standard input and returns the book with its links replaced.
fn book() -> Result<Value, String> {
    let mut input: Value = serde_json::from_reader(io::stdin()).map_err(|e| format!("mdBook's input: {e}"))?;
    let root = input[0]["root"].as_str().ok_or("mdBook's input has no `root`")?;
    let built = input[0]["config"]["build"]["build-dir"].as_str().unwrap_or("../target/doc/book");
    // The book's folder lies beside those of the crates.
    let folder = Path::new(root).join(built);
    let reference = links::Reference::new(folder.parent().ok_or("`build-dir` has no parent")?.to_path_buf());
    let mut book = input[1].take();
    chapters(&mut book, &reference)?;
    Ok(book)
}

/// Rewrites every chapter below `value`: an object with a `path` and a `content`.
fn chapters(value: &mut Value, reference: &links::Reference) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| chapters(item, reference)),
        Value::Object(fields) => {
            if let (Some(Value::String(path)), Some(Value::String(text))) = (fields.get("path"), fields.get("content"))
            {
                let text = reference.rewrite(text).map_err(|problem| format!("{path}: {problem}"))?;
                fields.insert("content".into(), text.into());
            }
            fields.values_mut().try_for_each(|field| chapters(field, reference))
        }
        _ => Ok(()),
    }
}

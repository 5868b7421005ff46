//! Tests of the command line from outside.
#[path = "../../../plot/tests/it/chromium.rs"]
mod chromium;
mod conditions;
mod corpus;
mod data;
mod devices;
mod faults;
mod files;
mod images;
mod interrupted;
mod measures;
mod memory;
mod older;
mod own;
mod pictures;
mod precision;
mod readme;
mod recipes;
mod resumed;
mod runs;
mod signals;
mod text;
mod transcripts;
mod tuned;
mod weighted;

use std::{
    path::Path,
    process::{Command, Output},
};

/// The tool in a folder, without the data sets of this machine.
fn tweedie(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tweedie"));
    command.current_dir(folder).env_remove("TWEEDIE_DATA");
    command
}

/// Runs a command that must succeed.
fn done(folder: &Path, line: &str) -> Output {
    let output = tweedie(folder).args(line.split_whitespace()).output().expect("the tool runs");
    assert!(output.status.success(), "tweedie {line}\n{}", text(&output.stderr));
    output
}

/// Runs a command that must fail with exit status 1 and returns its message.
fn refused(folder: &Path, line: &str) -> String {
    let output = tweedie(folder).args(line.split_whitespace()).output().expect("the tool runs");
    assert_eq!(output.status.code(), Some(1), "tweedie {line}\n{}", text(&output.stderr));
    text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The tensors of a safetensors file: names, shapes and bytes.
fn tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a complete file");
    let mut all: Vec<_> =
        file.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec())).collect();
    all.sort();
    all
}

/// A recipe with milliseconds per step: a small UNet on the built-in digits.
const DIGITS: &str = r#"
[data]
name = "digits"
[schedule]
name = "cosine"
[noise]
name = "gaussian"
prediction = "v"
[net]
name = "unet"
channels = [8]
blocks = 1
groups = 4
dropout = 0.1
[train]
steps = 6
batch = 4
warmup = 2
[run]
checkpoint_every = 2
evaluate_every = 2
evaluate_rows = 4
[sample]
n = 12
steps = 3
batch = 12
"#;

/// The same for an MLP on points.
const MOONS: &str = r#"
[data]
name = "points"
n = 500
[schedule]
name = "flow-matching"
[noise]
name = "gaussian"
prediction = "velocity"
[net]
name = "mlp"
hidden = [16, 16]
dropout = 0.1
[train]
steps = 6
batch = 8
accumulate = 2
warmup = 2
[run]
checkpoint_every = 2
evaluate_every = 2
[sample]
n = 20
steps = 3
sampler = { name = "heun" }
"#;

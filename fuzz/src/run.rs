//! A run of which one file is damaged: it is read or refused, without a panic and within a bound of memory.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tweedie_cli::fuzzing;
use tweedie_data::npy;

/// The bytes that a command may take by its own estimate.
const MEMORY: f64 = 64e6;

/// Points in the plane.
const POINTS: &str = r#"
[data]
name = "points"
n = 40
[schedule]
name = "flow-matching"
[noise]
name = "gaussian"
prediction = "velocity"
[net]
name = "mlp"
hidden = [4]
[times]
name = "importance"
strata = 2
keep = 1
"#;

/// Text as categories; the words are given by a flag.
const TEXT: &str = r#"
[data]
name = "text"
path = "words"
held_out = 2
[schedule]
name = "flow-matching"
[noise]
name = "absorbing"
[net]
name = "transformer"
width = 4
depth = 1
heads = 1
time = false
[[loss]]
name = "masked-nelbo"
"#;
const WORDS: &str = "abba\nbaba\nab\nb\n";

/// Images with classes, their levels as categories.
const LEVELS: &str = r#"
[data]
name = "digits"
[schedule]
name = "linear"
steps = 4
beta_start = 0.5
beta_end = 0.9
[noise]
name = "marginal"
[net]
name = "unet"
channels = [2]
blocks = 1
groups = 1
attention = []
"#;

/// What all of them have in common.
const COMMON: &str = r#"
[train]
steps = 2
batch = 4
warmup = 1
[run]
checkpoint_every = 1
evaluate_every = 1
evaluate_rows = 2
[sample]
n = 2
steps = 2
batch = 2
"#;

const RECIPES: [&str; 3] = [POINTS, TEXT, LEVELS];
const MODEL: &str = "model.safetensors";
const NEWEST: &str = "checkpoints/step-00000002.safetensors";

/// The files of a run, by their paths in its folder.
type Files = BTreeMap<String, Vec<u8>>;

/// The folder of this process and thread; in memory where the system offers that.
fn folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("tweedie-fuzz-run-{}-{:?}", std::process::id(), std::thread::current().id()))
}

/// Removes that folder.
pub fn clean() {
    let _ = fs::remove_dir_all(folder());
}

/// The whole run of a kind, which is trained once.
pub fn whole(kind: usize) -> &'static Files {
    static RUNS: [OnceLock<Files>; RECIPES.len()] = [const { OnceLock::new() }; RECIPES.len()];
    RUNS[kind].get_or_init(|| {
        fuzzing::confine(MEMORY, false);
        let at = folder().join(format!("whole-{kind}"));
        let _ = fs::remove_dir_all(&at);
        fs::create_dir_all(&at).expect("a folder");
        let [recipe, run] = ["recipe.toml", "run"].map(|name| at.join(name));
        fs::write(&recipe, format!("{}{COMMON}", RECIPES[kind])).expect("a file");
        let mut line = vec!["train", text(&recipe), "--out", text(&run)];
        let words = words();
        if kind == 1 {
            line.extend(["--data", text(&words)]);
        }
        command(&line).expect("the recipe can be trained");
        let mut files = Files::new();
        read(&run, "", &mut files);
        files.retain(|name, _| name.ends_with(".safetensors") || name.ends_with(".toml") || name.ends_with(".jsonl"));
        assert_eq!(files.len(), 6, "{:?}", files.keys());
        files
    })
}

/// The words of the texts.
fn words() -> PathBuf {
    let path = folder().join("words");
    fs::create_dir_all(folder()).expect("a folder");
    fs::write(&path, WORDS).expect("a file");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

/// Runs a command of the tool.
fn command(line: &[&str]) -> Result<(), String> {
    let line: Vec<&str> = ["tweedie"].into_iter().chain(line.iter().copied()).collect();
    fuzzing::run(&line).map_err(|error| {
        let text = error.to_string();
        assert!(!text.trim().is_empty() && text.len() < 1 << 20, "{text}");
        text
    })
}

/// Reads the files of a folder and of those in it.
fn read(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), files);
        } else if let Ok(bytes) = fs::read(entry.path()) {
            files.insert(name, bytes);
        }
    }
}

/// The header of a safetensors file and what follows it.
fn parts(file: &[u8]) -> (&[u8], &[u8]) {
    let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
    file[8..].split_at(length)
}
fn joined(header: &[u8], tensors: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, tensors].concat()
}

/// A file of weights that is damaged: all of it, its header, an entry of its metadata, or the numbers of its tensors.
fn damaged(file: &[u8], how: u8, bytes: &[u8]) -> Vec<u8> {
    let (header, tensors) = parts(file);
    match how {
        0 => bytes.to_vec(),
        1 => joined(bytes, tensors),
        2 => {
            // The first line is the key, the rest its value.
            let entry = String::from_utf8_lossy(bytes);
            let (key, value) = entry.split_once('\n').unwrap_or((&entry, ""));
            let mut whole: serde_json::Value = serde_json::from_slice(header).expect("a header is JSON");
            whole["__metadata__"][key] = value.into();
            joined(whole.to_string().as_bytes(), tensors)
        }
        _ => {
            let mut tensors = tensors.to_vec();
            let length = bytes.len().min(tensors.len());
            tensors[..length].copy_from_slice(&bytes[..length]);
            joined(header, &tensors)
        }
    }
}

/// The digit of a choice, in order from `0`.
fn choice(byte: u8, of: u8) -> u8 {
    byte.wrapping_sub(b'0') % of
}

/// The first byte chooses what is damaged, the second the run and whether it has no other weights; the rest is the damage.
///
/// | first byte | what the rest is |
/// |---|---|
/// | `0` to `3` | `model.safetensors`: the file, its header, an entry of the metadata (key, line break, value), its numbers |
/// | `4` to `7` | the same of the newest checkpoint |
/// | `8`, `9` | `recipe.toml`, `metrics.jsonl` |
///
/// The second byte: `0` to `2` is a run of points, text or levels, `3` to `5` the same without the other weights.
pub fn run(bytes: &[u8]) {
    let [what, which, bytes @ ..] = bytes else { return };
    let (what, which) = (choice(*what, 10), choice(*which, 6));
    let (kind, alone) = (usize::from(which % 3), which > 2);
    let mut files = whole(kind).clone();
    // In one of 16 cases, since pictures take longer than all the rest.
    fuzzing::confine(MEMORY, bytes.last().is_none_or(|last| last % 16 == 0));
    let name = match what {
        0..4 => MODEL,
        4..8 => NEWEST,
        8 => "recipe.toml",
        _ => "metrics.jsonl",
    };
    if alone {
        files.retain(|file, _| file == name || !file.ends_with(".safetensors"));
    }
    let damage = if what < 8 { damaged(&files[name], what % 4, bytes) } else { bytes.to_vec() };
    // Folders of data are not to be searched, nor any file but that of the words.
    let data = damage.windows(4).any(|part| part == b"path").then(words);
    files.insert(name.into(), damage);

    let at = folder().join("run");
    let _ = fs::remove_dir_all(&at);
    fs::create_dir_all(at.join("checkpoints")).expect("a folder");
    for (name, bytes) in &files {
        fs::write(at.join(name), bytes).expect("a file");
    }
    let given = data.as_ref().map_or(vec![], |words| vec!["--data", text(words)]);
    if what < 8 {
        let path = if alone { at.clone() } else { at.join(name) };
        sample(&path);
        let _ = command(&[&["evaluate", text(&path), "--rows", "2", "--times", "1", "--json"], &given[..]].concat());
    }
    if what < 4 {
        fine_tune(&at, &given);
    } else {
        resume(&at, &given, &files);
    }
}

/// Samples have the shape of the data, and are finite.
fn sample(run: &Path) {
    let out = folder().join("samples");
    let _ = fs::remove_dir_all(&out);
    let few = ["--n", "2", "--steps", "2", "--batch", "2", "--sampler", "ancestral", "--out", text(&out), "-q"];
    if command(&[&["sample", text(run)], &few[..]].concat()).is_err() {
        assert!(!out.exists(), "nothing is written of what is refused");
        return;
    }
    let path = out.join("samples.npy");
    let shape = match npy::load::<f32>(&path) {
        Ok(array) => {
            assert!(array.data.iter().all(|x| x.is_finite()), "samples are finite");
            array.shape
        }
        // Tokens.
        Err(_) => npy::load::<i64>(&path).expect("samples are an array").shape,
    };
    assert!(shape[0] == 2 && (2..=4).contains(&shape.len()), "{shape:?}");
}

/// What every training is told, so that it takes moments.
const SHORT: [&str; 12] = [
    "--set",
    "train.batch=4",
    "--set",
    "run.evaluate_rows=2",
    "--set",
    "sample.n=2",
    "--set",
    "sample.steps=2",
    "--set",
    "sample.batch=2",
    "--set",
    "sample.sampler={ name = \"ancestral\" }",
];

/// A new run begins with the weights, or is refused and leaves nothing.
fn fine_tune(run: &Path, data: &[&str]) {
    let out = folder().join("tuned");
    let _ = fs::remove_dir_all(&out);
    let line = ["train", "--from", text(run), "--out", text(&out), "--steps", "1", "-q"];
    let done = command(&[&line[..], &SHORT, data].concat());
    assert!(done.is_err() || out.join(MODEL).is_file());
}

/// The run is resumed to its third step, or refused, and then its files are as they were.
fn resume(run: &Path, data: &[&str], before: &Files) {
    let line = ["train", "--resume", "--out", text(run), "--steps", "3", "-q"];
    let done = command(&[&line[..], &SHORT, data].concat());
    match done {
        Ok(()) => assert!(run.join("checkpoints/step-00000003.safetensors").is_file(), "the third step was taken"),
        Err(error) => {
            for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".safetensors")) {
                let now = fs::read(run.join(name)).ok();
                assert!(now.as_ref() == Some(bytes), "{name} is lost, though the run was refused: {error}");
            }
        }
    }
}

//! The commands of the README, in its order, with fewer steps and samples where they would take long.
use super::{text, tweedie};
use std::{collections::BTreeSet, fs, path::Path};
use tempfile::tempdir;

const README: &str = include_str!("../../../README.md");

/// The commands of a Markdown text: the lines of its `sh` blocks without comments, and what is in single backquotes and
/// begins with the tool's name.
fn commands(text: &str) -> Vec<String> {
    let (mut all, mut block) = (Vec::new(), None);
    for line in text.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(_), Some(_)) => block = None,
            (Some(language), None) => block = Some(language == "sh"),
            (None, Some(true)) => all.push(line.split(" #").next().unwrap_or_default().trim().to_owned()),
            (None, Some(false)) => {}
            (None, None) => all.extend(
                line.split('`').skip(1).step_by(2).filter(|code| code.starts_with("tweedie ")).map(str::to_owned),
            ),
        }
    }
    let mut known = BTreeSet::new();
    all.retain(|command| !command.is_empty() && known.insert(command.clone()));
    all
}

/// The arguments of a command as a shell would pass them: single quotes keep words together.
fn arguments(command: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for (i, part) in command.split('\'').enumerate() {
        let mut words =
            if i % 2 == 1 { vec![part].into_iter() } else { part.split(' ').collect::<Vec<_>>().into_iter() };
        all.last_mut().expect("it has one").push_str(words.next().unwrap_or_default());
        all.extend(words.map(str::to_owned));
    }
    all.retain(|word| !word.is_empty());
    all
}

/// Arguments that make a command short; those that the README gives are kept.
fn shortened(mut arguments: Vec<String>) -> Vec<String> {
    let add: &[&str] = match arguments[0].as_str() {
        "train" => &[
            "--steps",
            "2",
            "--set",
            "sample.n=4",
            "--set",
            "sample.steps=2",
            "--set",
            "train.batch=4",
            "--set",
            "run.evaluate_rows=4",
        ],
        "sample" => &["--n", "4", "--steps", "2"],
        "evaluate" => &["--rows", "4", "--times", "2"],
        "compare" => &["--n", "1", "--steps", "2,3"],
        _ => &[],
    };
    let given: BTreeSet<String> = arguments.iter().cloned().collect();
    for pair in add.chunks(2).filter(|pair| pair[0] == "--set" || !given.contains(pair[0])) {
        arguments.extend(pair.iter().map(|&word| word.to_owned()));
    }
    arguments
}

#[test]
fn the_commands_of_the_readme_run() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    fs::create_dir(at.join("recipes")).unwrap();
    for recipe in fs::read_dir(root.join("recipes")).unwrap() {
        let recipe = recipe.unwrap().path();
        fs::copy(&recipe, at.join("recipes").join(recipe.file_name().unwrap())).unwrap();
    }
    let data = std::env::var_os("TWEEDIE_DATA");
    // Runs that were left out because their data are missing here.
    let mut missing = BTreeSet::new();
    let (mut run, all) = (0, commands(README));
    assert!(all.len() >= 12, "{all:?}");
    for command in all {
        let command = match command.strip_prefix("cargo run --release -- ") {
            Some(arguments) => format!("tweedie {arguments}"),
            None => command,
        };
        // The tests themselves.
        if command == "cargo test --release" {
            continue;
        }
        let line =
            command.strip_prefix("tweedie ").unwrap_or_else(|| panic!("unknown command in the README: {command}"));
        let (line, output) = line.split_once(" > ").map_or((line, None), |(line, output)| (line, Some(output)));
        let recipe = line.split(' ').find_map(|word| word.strip_prefix("recipes/")?.strip_suffix(".toml"));
        let needs_data = recipe.is_some_and(|name| {
            let recipe = fs::read_to_string(at.join(format!("recipes/{name}.toml")));
            recipe.unwrap_or_else(|_| panic!("{command}: there is no such recipe")).contains("\npath = ")
        });
        let of_run = line.split(' ').find_map(|word| word.strip_prefix("runs/"));
        if needs_data && data.is_none() {
            missing.extend(recipe.map(str::to_owned));
        }
        if of_run.or(recipe).is_some_and(|name| missing.contains(name)) {
            eprintln!("skipped: {command}: its data are looked up under TWEEDIE_DATA, which is not set");
            continue;
        }
        let own = data.as_ref().map(|data| Path::new(data).join("mnist").display().to_string());
        let words = shortened(arguments(line)).into_iter().map(|word| match word.as_str() {
            "DIR" => own.clone().expect("the folder of MNIST"),
            _ => word,
        });
        let mut tool = tweedie(at);
        tool.args(words).envs(data.as_ref().map(|data| ("TWEEDIE_DATA", data)));
        let done = tool.output().unwrap();
        assert!(done.status.success(), "{command}\n{}{}", text(&done.stdout), text(&done.stderr));
        assert!(!done.stdout.is_empty() || !done.stderr.is_empty(), "{command} says nothing");
        if let Some(output) = output {
            fs::write(at.join(output), &done.stdout).unwrap();
        }
        // A trained run has a report.
        if line.starts_with("train") {
            let name = recipe.unwrap_or("digits");
            assert!(at.join(format!("runs/{name}/report.html")).exists(), "{command}");
        }
        run += 1;
    }
    assert!(run >= 6, "only {run} commands were run");
    let page = fs::read_to_string(at.join("gallery/index.html")).unwrap();
    assert!(page.contains("bivariate-1.png"), "the gallery of the README");
    if data.is_some() {
        assert!(at.join("plots/compare.png").exists() && at.join("runs/mnist/samples/samples.png").exists());
    }
    let schema = fs::read_to_string(at.join("recipe.schema.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&schema).is_ok());
}

#[test]
fn commands_are_found_in_blocks_and_in_sentences() {
    let text = "```sh\ntweedie list    # all\n\ncargo test --release\n```\n```rust\ntweedie::x\n```\nRun `tweedie plot \
                gallery` and `--set`, `tweedie list`.\n";
    assert_eq!(commands(text), ["tweedie list", "cargo test --release", "tweedie plot gallery"]);
    assert_eq!(arguments("sample runs/x --infill 'a b'  --n 2"), ["sample", "runs/x", "--infill", "a b", "--n", "2"]);
    assert_eq!(shortened(arguments("sample x --steps 9")), ["sample", "x", "--steps", "9", "--n", "4"]);
}

/// `cargo run` needs to be told which of the binaries of the workspace it runs, or refuses to choose.
#[test]
fn cargo_run_runs_the_tool() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", text(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let members = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let chosen: Vec<_> = packages
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .filter_map(|package| package["default_run"].as_str())
        .collect();
    assert_eq!(chosen, ["tweedie"]);
}

//! The schema that `tweedie schema` prints, in a validator, beside the tool itself.
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
/// The tool, built before by `cargo build --release` or `cargo test --release`.
fn tweedie() -> Command {
    let built = root().join("target/release/tweedie");
    assert!(built.exists(), "{} is not built", built.display());
    Command::new(built)
}
fn schema() -> Value {
    let output = tweedie().arg("schema").output().unwrap();
    serde_json::from_slice(&output.stdout).expect("the schema is JSON")
}
fn recipe(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::to_value(text.parse::<toml::Table>().expect("the recipe is TOML")).unwrap()
}
/// The lines of a file of cases.
fn cases(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("cli/tests/schema").join(name)).unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}
/// The recipe for digits with one field set, as `--set` does it.
fn changed(case: &str) -> Value {
    let (path, value) = case.split_once('=').unwrap();
    let mut value = format!("x = {value}").parse::<toml::Table>().unwrap();
    let mut recipe = recipe(&root().join("recipes/digits.toml"));
    let mut place = &mut recipe;
    for step in path.split('.') {
        let table = place.as_object_mut().expect("a field of a table");
        place = table.entry(step).or_insert_with(|| serde_json::json!({}));
    }
    *place = serde_json::to_value(value.remove("x").unwrap()).unwrap();
    recipe
}

#[test]
fn the_schema_is_one_of_its_draft() {
    jsonschema::draft7::meta::validate(&schema()).expect("the schema fits the schema of schemas");
}

#[test]
fn recipes_fit_the_schema() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let mut all: Vec<_> = fs::read_dir(root().join("recipes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    assert!(all.len() >= 6);
    for path in all {
        let errors: Vec<String> = validator.iter_errors(&recipe(&path)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn resolved_recipes_of_runs_fit_the_schema() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    for (name, more) in [("digits", "net.channels=[8]"), ("moons", "net.hidden=[8]")] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tweedie();
        let path = root().join("recipes").join(name).with_extension("toml");
        command.current_dir(folder.path()).arg("train").arg(fs::canonicalize(path).unwrap());
        command.args(["--out", "run", "-q", "--steps", "1", "--set", "sample.n=2", "--set", "sample.steps=2"]);
        let output = command.args(["--set", "train.batch=2", "--set", more]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let resolved = recipe(&folder.path().join("run/recipe.toml"));
        let errors: Vec<String> = validator.iter_errors(&resolved).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn the_validator_agrees_with_the_tool() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    for case in cases("good.txt") {
        let errors: Vec<String> = validator.iter_errors(&changed(&case)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{case}: {errors:?}");
    }
    // That the tool refuses them too is tested beside its check of recipes.
    for case in cases("bad.txt") {
        assert!(!validator.is_valid(&changed(&case)), "{case} is accepted");
    }
}

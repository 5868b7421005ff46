//! Recipes and runs of older versions.
use super::{done, refused, text};
use std::fs;
use tempfile::tempdir;

/// A recipe as it was written before its keys were renamed.
const OLD: &str = r#"
[data]
name = "points"
n = 50
[schedule]
name = "linear"
steps = 100
first = 0.0001
last = 0.1
[noise]
name = "gaussian"
[net]
name = "mlp"
hidden = [8]
[train]
steps = 2
batch = 4
[run]
evaluate_every = 0
[sample]
n = 4
steps = 2
sampler = { name = "ddim" }
"#;

#[test]
fn an_old_recipe_is_read_with_a_line_for_each_old_key() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), OLD).unwrap();
    let output = done(folder.path(), "train r.toml --out run -q");
    assert_eq!(
        text(&output.stderr),
        "r.toml: `schedule.first` is called `schedule.beta_start` now; read as such\n\
         r.toml: `schedule.last` is called `schedule.beta_end` now; read as such\n"
    );
    let resolved = fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(resolved.contains("beta_start = 0.0001\nbeta_end = 0.1\n"), "{resolved}");
    // Its run, with the recipe as it was written then, is resumed and sampled without a note.
    fs::write(folder.path().join("run/recipe.toml"), OLD).unwrap();
    let output = done(folder.path(), "train --resume --out run --steps 3 -q");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&done(folder.path(), "sample run -q").stderr), "");
}

#[test]
fn flags_know_old_keys_and_override_new_ones() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), OLD).unwrap();
    let output = done(folder.path(), "train r.toml --out run -q --set schedule.last=0.05");
    assert!(
        text(&output.stderr).contains("`--set schedule.last=0.05`: `schedule.last` is called `schedule.beta_end` now")
    );
    let resolved = fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(resolved.contains("beta_end = 0.05\n"), "{resolved}");
}

#[test]
fn an_old_key_beside_its_new_name_is_refused() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), OLD.replace("first = ", "beta_start = 0.1\nfirst = ")).unwrap();
    let error = refused(folder.path(), "train r.toml --out run -q");
    assert!(
        error.contains("`first` is the old name of `beta_start`, and both are given: leave out `first`"),
        "{error}"
    );
    assert!(error.contains("first = 0.0001\n"), "{error}");
}

#[test]
fn a_module_is_named_by_a_text_alone_too() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), OLD).unwrap();
    done(folder.path(), "train r.toml --out run -q --set sample.sampler=heun --set sample.times=karras");
    let resolved = fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(resolved.contains("[sample.sampler]\nname = \"heun\"\n"), "{resolved}");
    assert!(resolved.contains("[sample.times]\nname = \"karras\"\n"), "{resolved}");
}

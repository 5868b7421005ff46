//! The recipes in `recipes/`.
use super::{done, tweedie};
use std::{fs, path::Path};
use tempfile::tempdir;

#[test]
fn every_recipe_takes_its_first_steps() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes"));
    let data = std::env::var_os("TWEEDIE_DATA");
    let mut recipes: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    recipes.sort();
    assert!(recipes.len() >= 6);
    for recipe in recipes {
        let name = recipe.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&recipe).unwrap();
        if text.contains("\npath = ") && data.is_none() {
            println!("{name}.toml is skipped: its data are looked up under TWEEDIE_DATA, which is not set");
            continue;
        }
        let folder = tempdir().unwrap();
        let mut command = tweedie(folder.path());
        command.envs(data.as_ref().map(|data| ("TWEEDIE_DATA", data)));
        command.arg("train").arg(&recipe).args(["--out", "run", "-q", "--steps", "1", "--set", "sample.n=2"]);
        command.args(["--set", "sample.steps=2", "--set", "train.batch=2", "--set", "run.evaluate_rows=2"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", super::text(&output.stderr));
        assert!(folder.path().join("run/report.html").exists());
    }
}

#[test]
fn the_default_recipe_is_the_one_for_digits() {
    let folder = tempdir().unwrap();
    done(
        folder.path(),
        "train --steps 1 --set sample.n=2 --set sample.steps=2 --set train.batch=2 --set run.evaluate_every=0 -q",
    );
    assert!(folder.path().join("runs/digits/samples.png").exists());
}

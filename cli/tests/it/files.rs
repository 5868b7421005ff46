//! Files and standard output: nothing half written, nothing lost, and no failure in silence.
use super::{MOONS, done, refused, text, tweedie};
use std::{fs, process::Stdio};
use tempfile::tempdir;

#[cfg(target_os = "linux")]
#[test]
fn every_command_reports_that_its_output_could_not_be_written() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run --steps 2 -q");
    for line in [
        "train r.toml --out other --steps 2",
        "sample run --n 2",
        "evaluate run --rows 4",
        "evaluate run --rows 4 --json",
        "list",
        "list net --json",
        "list net mlp",
        "schema",
        "verify schedule cosine",
        "verify schedule cosine --json",
        "compare edm --steps 2 --n 2 --sampler euler",
        "compare edm --steps 2 --n 2 --sampler euler --json",
        "plot univariate",
        "plot run run",
        "--help",
        "--version",
        "train --help",
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = tweedie(at).args(line.split_whitespace()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {error}");
        assert!(
            error.contains("error: cannot write to standard output: no space is left on the disk"),
            "{line}: {error}"
        );
        // A closed pipe ends quietly.
        let mut child =
            tweedie(at).args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        // A new folder is needed for the training that is repeated.
        let taken = text(&output.stderr).contains("already holds a run");
        assert!(output.status.success() || taken, "{line}: {}", text(&output.stderr));
    }
    // The training itself was not stopped.
    assert!(at.join("other/model.safetensors").exists());
}

#[test]
fn samples_of_a_checkpoint_are_written_beside_those_of_its_run() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run -q");
    let checkpoints = || {
        let entries = fs::read_dir(at.join("run/checkpoints")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let before = checkpoints();
    for (weights, folder) in [
        ("run/checkpoints/step-00000004.safetensors", "run/samples-step-00000004"),
        ("run/checkpoints/step-00000004.safetensors", "run/samples-step-00000004-2"),
        ("run/checkpoints/best.safetensors", "run/samples-best"),
        ("run/model.safetensors", "run/samples"),
        ("run", "run/samples-2"),
    ] {
        let printed = text(&done(at, &format!("sample {weights} --n 2")).stdout);
        assert!(printed.starts_with(&format!("{folder}: ")), "{printed}");
        assert!(at.join(folder).join("samples.npy").exists());
    }
    assert_eq!(checkpoints(), before);
    // Weights that are no part of a run.
    fs::create_dir(at.join("apart")).unwrap();
    fs::copy(at.join("run/model.safetensors"), at.join("apart/mine.safetensors")).unwrap();
    let printed = text(&done(at, "sample apart/mine.safetensors --n 2").stdout);
    assert!(printed.starts_with("apart/mine/samples: "), "{printed}");
}

#[test]
fn a_run_that_will_not_fit_on_the_disk_is_refused_before_its_first_step() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let many = "--steps 1000000000000 --checkpoint-every 1 --set run.keep=1000000000000";
    let error = refused(at, &format!("train r.toml --out run {many}"));
    assert!(error.contains("the run needs about ") && error.contains(" are free"), "{error}");
    assert!(error.contains("or keep fewer checkpoints with `run.keep`"), "{error}");
    assert!(!at.join("run").exists());
    done(at, "train r.toml --out run -q");
    let error = refused(at, &format!("train --resume --out run {many}"));
    assert!(error.contains("the run needs about "), "{error}");
    assert!(!fs::read_to_string(at.join("run/recipe.toml")).unwrap().contains("1000000000000"));
}

#[test]
fn unusual_settings_are_told_before_the_first_step() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let settings = "--set train.warmup=7 --set train.batch=504 --set train.accumulate=1 --set train.shards=505 \
                    --checkpoint-every 0";
    let told = text(&done(at, &format!("train r.toml --out run {settings}")).stderr);
    for sentence in [
        "warning: `train.warmup` is 7 steps and the run has 6: the learning rate rises to 8.6e-4 and never reaches \
         `train.lr` = 0.001",
        "warning: `train.batch` is 504 and there are 500 training samples",
        "warning: `train.shards` is 505 and a part of the batch has 504 samples: 1 shard is left empty",
        "warning: `run.checkpoint_every` is 0",
    ] {
        assert!(told.contains(sentence), "{sentence}\n{told}");
    }
    assert!(!text(&done(at, "train r.toml --out usual").stderr).contains("warning"));
}

#[test]
fn an_output_folder_that_cannot_be_made_is_named_with_a_remedy() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let error = refused(at, "train r.toml --out r.toml/inside -q");
    assert!(error.starts_with("error: cannot create the folder r.toml/inside: "), "{error}");
    assert!(error.contains("choose another folder with `--out`") && !error.contains(".part"), "{error}");
    assert!(refused(at, "train r.toml --out r.toml -q").contains("r.toml is a file, and a run is a folder"));
    // A file in place of the folder of a run.
    assert!(refused(at, "plot run r.toml").contains("give the folder of a run, as runs/digits"));
}

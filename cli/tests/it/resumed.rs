//! What a run keeps from its first step to its last, and what happens to a resumed run otherwise.
use super::{DIGITS, MOONS, done, refused, tensors, text, tweedie};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::tempdir;

/// Every file of a folder with its content.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => {
                all.extend(content(&entry.path()).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)))
            }
            false => drop(all.insert(name, fs::read(entry.path()).unwrap())),
        }
    }
    // It names the last process that wrote.
    all.remove(".lock");
    all
}

/// Rewrites the metadata of a safetensors file.
fn edit_metadata(path: &Path, edit: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
    let bytes = fs::read(path).unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    edit(header["__metadata__"].as_object_mut().unwrap());
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let edited = [&(header.len() as u64).to_le_bytes(), &*header, &bytes[end..]].concat();
    fs::write(path, edited).unwrap();
}

/// Makes the checkpoints of a run those of a version that noted no fingerprint.
fn without_fingerprints(run: &Path) {
    for entry in fs::read_dir(run.join("checkpoints")).unwrap() {
        edit_metadata(&entry.unwrap().path(), |notes| assert!(notes.remove("fingerprint").is_some()));
    }
}

#[test]
fn equal_runs_are_equal_files() {
    for recipe in [DIGITS, MOONS] {
        let folder = tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("r.toml"), recipe).unwrap();
        let files = |run: &str| {
            done(at, &format!("train r.toml --out {run}/same -q"));
            let mut files = content(&at.join(run).join("same"));
            assert!(files.len() >= 10);
            let timed = |line: &str| {
                let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
                line.as_object_mut().unwrap().remove("seconds");
                line.to_string()
            };
            let metrics = files.remove("metrics.jsonl").unwrap();
            let metrics: Vec<String> = text(&metrics).lines().map(timed).collect();
            // Times are in the boxes of figures alone.
            let report = text(&files.remove("report.html").unwrap());
            let report: Vec<String> =
                report.lines().filter(|line| !line.contains("figures\"><div>")).map(str::to_owned).collect();
            (files, metrics, report)
        };
        let (one, two) = (files("one"), files("two"));
        for (name, bytes) in &one.0 {
            assert!(*bytes == two.0[name], "{name} differs");
        }
        assert!(one == two);
    }
}

#[test]
fn a_run_keeps_its_data_and_its_model() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out whole --steps 8 -q");
    done(at, "train r.toml --out run --steps 4 -q");
    let before = content(&at.join("run"));
    for (setting, field) in [
        ("data.n=501", "500 samples, now 501; `data.n` was 500 and is 501"),
        ("data.seed=1", "500 samples, now 500 others; `data.seed` was 0 and is 1"),
        ("data.shape=\"rings\"", "`data.shape` was \"moons\" and is \"rings\""),
        ("data.noise=0.2", "`data.noise` was not set and is 0.2"),
        ("schedule.name=\"cosine\"", "`schedule.name` was \"flow-matching\" and is \"cosine\""),
        ("noise.prediction=\"v\"", "`noise.prediction` was \"velocity\" and is \"v\""),
        ("net.dropout=0.2", "`net.dropout` was 0.1 and is 0.2"),
        ("net.hidden=[16,17]", "`net.hidden` was [16, 16] and is [16, 17]"),
        ("loss=[{name=\"simple\",weight=2}]", "`loss.0.weight` was 1.0 and is 2.0"),
        ("times=\"antithetic\"", "`times` was not set and is \"antithetic\""),
    ] {
        let error = refused(at, &format!("train --resume --out run --steps 8 --set {setting} -q"));
        assert!(error.contains(field) && error.contains("--from run"), "{error}");
        assert!(content(&at.join("run")) == before, "{setting} was refused and changed the run");
        // The same for checkpoints of versions that noted no fingerprint.
        without_fingerprints(&at.join("run"));
        let error = refused(at, &format!("train --resume --out run --steps 8 --set {setting} -q"));
        assert!(error.contains(field.rsplit("; ").next().unwrap()), "{error}");
        for (file, bytes) in &before {
            fs::write(at.join("run").join(file), bytes).unwrap();
        }
    }
    // Edited by hand in the recipe of the run.
    let recipe = fs::read_to_string(at.join("run/recipe.toml")).unwrap();
    fs::write(at.join("run/recipe.toml"), recipe.replace("dropout = 0.1", "dropout = 0.3")).unwrap();
    let error = refused(at, "train --resume --out run --steps 8 -q");
    assert!(error.contains("is of another run than recipe.toml: `net.dropout` was 0.1 and is 0.3"), "{error}");
    fs::write(at.join("run/recipe.toml"), recipe).unwrap();
    // Without a change it is resumed, with fingerprints or without, to the same bits.
    without_fingerprints(&at.join("run"));
    let output = done(at, "train --resume --out run --steps 8");
    assert!(!text(&output.stderr).contains("warning"), "{}", text(&output.stderr));
    assert!(tensors(&at.join("whole/model.safetensors")) == tensors(&at.join("run/model.safetensors")));
}

#[test]
fn a_file_of_data_may_move_but_not_change() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let names: Vec<String> = (0..40).map(|i| "abcdefgh"[..i % 7 + 1].to_owned()).collect();
    fs::write(at.join("names.txt"), names.join("\n")).unwrap();
    fs::write(
        at.join("r.toml"),
        "[data]\nname = 'text'\npath = 'names.txt'\nheld_out = 10\n[schedule]\nname = 'flow-matching'\n[noise]\n\
         name = 'absorbing'\n[net]\nname = 'transformer'\nwidth = 16\ndepth = 1\nheads = 2\n[[loss]]\nname = 'masked-nelbo'\n[train]\nsteps = 2\nbatch = 4\nwarmup = 1\n\
         [run]\nevaluate_every = 2\n[sample]\nn = 2\nsteps = 2",
    )
    .unwrap();
    done(at, "train r.toml --out run -q");
    // A line more moves lines from the training part to the held-out part, and the other way round.
    fs::write(at.join("more.txt"), format!("abc\n{}", names.join("\n"))).unwrap();
    let error = refused(at, "train --resume --out run --steps 3 --data more.txt -q");
    assert!(
        error.contains("the training data are not those that run/checkpoints/step-00000002.safetensors"),
        "{error}"
    );
    let error = refused(at, "train --resume --out run --steps 3 --set data.held_out=5 -q");
    assert!(error.contains("`data.held_out` was 10 and is 5"), "{error}");
    // The same content under another name.
    fs::copy(at.join("names.txt"), at.join("moved.txt")).unwrap();
    done(at, "train --resume --out run --steps 3 --data moved.txt -q");
    assert!(fs::read_to_string(at.join("run/recipe.toml")).unwrap().contains("path = \"moved.txt\""));
}

#[test]
fn changed_settings_and_a_jump_of_the_learning_rate_are_told() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run --steps 20 --set train.lr_schedule=cosine -q");
    let output = done(at, "train --resume --out run --steps 40");
    let told = text(&output.stderr);
    let sentence = "warning: the learning rate jumps from 7.6e-6 at step 20 to 5.4e-4 at step 21, because the cosine \
                    schedule decays over all steps, of which there were 20 and are 40";
    assert!(told.contains(sentence), "{told}");
    let output = done(at, "train --resume --out run --steps 42 --set train.lr=0.5 --set train.clip=0");
    let told = text(&output.stderr);
    assert!(
        told.contains("settings changed at step 40: `train.lr` was 0.001 and is 0.5, `train.clip` was 1.0 and is 0.0")
    );
    // What goes on as before is not told, a longer run at a constant learning rate included.
    done(at, "train r.toml --out constant --steps 4 -q");
    let told = text(&done(at, "train --resume --out constant --steps 6").stderr);
    assert!(told.lines().all(|line| line.starts_with("step ")), "{told}");
}

#[test]
fn a_run_that_is_complete_is_left_as_it_is() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run -q");
    let before = content(&at.join("run"));
    let output = done(at, "train --resume --out run --set train.lr=0.5");
    assert!(text(&output.stdout).contains("done    run: already at step 6 of 6, so there is nothing to do"));
    assert!(content(&at.join("run")) == before);
    // Interrupted between its last checkpoint and its last file, it is completed.
    fs::remove_file(at.join("run/model.safetensors")).unwrap();
    fs::remove_file(at.join("run/samples.npy")).unwrap();
    done(at, "train --resume --out run -q");
    let after = content(&at.join("run"));
    // The time of training is the same too: no step was taken.
    for (file, bytes) in &before {
        assert!(after.get(file) == Some(bytes), "{file} differs");
    }
    assert_eq!(after.len(), before.len());
}

#[test]
fn a_run_without_steps_is_refused() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let error = refused(at, "train r.toml --out run --steps 0");
    assert!(error.contains("`steps` of [train] must be a whole number of 1 or more, got 0"), "{error}");
    assert!(!at.join("run").exists());
}

/// A training that does not end by itself, after its first checkpoint.
fn endless(at: &Path, arguments: &str) -> Child {
    let child = tweedie(at)
        .args(arguments.split_whitespace())
        .args(["--steps", "300000", "-q"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let patience = Instant::now();
    while !at.join("run/checkpoints/step-00000010.safetensors").exists() && patience.elapsed().as_secs() < 60 {
        sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn one_training_at_a_time_writes_into_a_run() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let mut first = endless(at, "train r.toml --out run --set run.keep=1000000");
    let recipe = fs::read(at.join("run/recipe.toml")).unwrap();
    for line in ["train --resume --out run --steps 2000000 --set train.lr=0.5 -q", "train r.toml --resume --out run -q"]
    {
        let error = refused(at, line);
        let by =
            format!("run is being trained by process {}, and one training at a time writes into a run", first.id());
        assert!(error.contains(&by) && error.contains(&format!("`kill {}`", first.id())), "{error}");
    }
    assert!(refused(at, "train r.toml --out run -q").contains("run already holds a run"));
    assert_eq!(fs::read(at.join("run/recipe.toml")).unwrap(), recipe);
    // Reading needs no lock.
    done(at, "sample run --n 2 -q");
    done(at, "evaluate run --rows 2");
    assert_eq!(first.try_wait().unwrap(), None);
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock of a dead process is no obstacle.
    assert!(at.join("run/.lock").exists());
    let mut second = endless(at, "train --resume --out run");
    assert_eq!(second.try_wait().unwrap(), None);
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn two_new_trainings_do_not_share_a_folder() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let start = |line: &str| {
        tweedie(at).args(line.split_whitespace()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let named: Vec<Child> = (0..4).map(|_| start("train r.toml --out run -q")).collect();
    let numbered: Vec<Child> = (0..4).map(|_| start("train r.toml -q")).collect();
    let succeeded = |children: Vec<Child>| {
        let codes = children.into_iter().map(|child| child.wait_with_output().unwrap().status.code());
        codes.filter(|code| *code == Some(0)).count()
    };
    assert_eq!(succeeded(named), 1);
    assert_eq!(succeeded(numbered), 4);
    for run in ["runs/r", "runs/r-2", "runs/r-3", "runs/r-4"] {
        assert_eq!(tensors(&at.join(run).join("model.safetensors")), tensors(&at.join("run/model.safetensors")));
    }
}

#[test]
fn the_newest_whole_checkpoint_is_resumed_from_the_best_included() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out whole --steps 8 -q");
    done(at, "train r.toml --out run --steps 6 --set run.keep=1 -q");
    let whole = fs::read(at.join("run/checkpoints/step-00000006.safetensors")).unwrap();
    for broken in [0, 5, whole.len() / 2] {
        let run = format!("broken-{broken}");
        fs::create_dir_all(at.join(&run).join("checkpoints")).unwrap();
        for (file, bytes) in content(&at.join("run")).iter().filter(|(file, _)| !file.starts_with("progress")) {
            fs::write(at.join(&run).join(file), bytes).unwrap();
        }
        fs::write(at.join(&run).join("checkpoints/step-00000006.safetensors"), &whole[..broken]).unwrap();
        let output = done(at, &format!("train --resume --out {run} --steps 8 --set run.keep=2"));
        let told = text(&output.stderr);
        assert!(told.contains("step-00000006.safetensors: not a complete checkpoint"), "{told}");
        assert!(told.contains(&format!("using an earlier one, {run}/checkpoints/best.safetensors")), "{told}");
        assert!(!told.contains("step 1/"), "{told}");
        assert!(tensors(&at.join("whole/model.safetensors")) == tensors(&at.join(run).join("model.safetensors")));
    }
}

#[test]
fn a_run_of_which_no_checkpoint_is_whole_is_refused_and_not_started_over() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run -q");
    for entry in fs::read_dir(at.join("run/checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), "").unwrap();
    }
    let before = content(&at.join("run"));
    let error = refused(at, "train --resume --out run --steps 9 -q");
    assert!(error.contains("no other checkpoint of the run is whole, so it cannot be resumed"), "{error}");
    assert!(content(&at.join("run")) == before);
    // The final weights are used without them.
    done(at, "sample run --n 2 -q");
    fs::remove_dir_all(at.join("run/checkpoints")).unwrap();
    let error = refused(at, "train --resume --out run --steps 9 -q");
    assert!(error.contains("run was trained to step 6, but none of its checkpoints is left"), "{error}");
}

#[test]
fn foreign_files_among_the_checkpoints_are_passed_over_and_kept() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out whole --steps 8 -q");
    done(at, "train r.toml --out run --steps 6 -q");
    done(at, "train r.toml --out net --steps 60 --set net.residual=false --set run.checkpoint_every=30 -q");
    done(at, "train r.toml --out seed --steps 50 --seed 1 -q");
    done(at, "train r.toml --out data --steps 40 --set data.seed=1 -q");
    let checkpoints = at.join("run/checkpoints");
    let copy = |from: &str, to: &str| {
        fs::copy(at.join(from), checkpoints.join(format!("{to}.safetensors"))).unwrap();
    };
    copy("net/checkpoints/step-00000060.safetensors", "step-99999999");
    copy("net/checkpoints/step-00000060.safetensors", "step-00000060");
    copy("net/checkpoints/step-00000030.safetensors", "step-00000001");
    copy("seed/checkpoints/step-00000050.safetensors", "step-00000050");
    copy("data/checkpoints/step-00000040.safetensors", "step-00000040");
    fs::create_dir(checkpoints.join("step-00000070.safetensors")).unwrap();
    fs::write(checkpoints.join("step-00000080.safetensors"), "").unwrap();
    let foreign: Vec<_> =
        ["step-99999999", "step-00000060", "step-00000001", "step-00000050", "step-00000040"].to_vec();
    let told = text(&done(at, "sample run --n 2").stderr);
    for (file, why) in [
        ("step-99999999", "it is the checkpoint of step 60, not of step 99999999"),
        ("step-00000060", "it is of another run than recipe.toml: `net.residual` was false and is true"),
        ("step-00000050", "it is of another run than recipe.toml: `train.seed` was 1 and is 0"),
        ("step-00000080", "not a complete checkpoint"),
    ] {
        assert!(told.contains(&format!("{file}.safetensors: {why}")), "{why}\n{told}");
    }
    let told = text(&done(at, "train --resume --out run --steps 8").stderr);
    assert!(told.contains("step-00000040.safetensors was trained on"), "{told}");
    assert!(tensors(&at.join("whole/model.safetensors")) == tensors(&at.join("run/model.safetensors")));
    for file in foreign {
        assert!(checkpoints.join(format!("{file}.safetensors")).exists(), "{file} was deleted");
    }
}

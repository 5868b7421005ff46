//! Runs: their files, exact resuming, and samples that do not depend on the batch size.
use super::{DIGITS, MOONS, done, refused, tensors, text, tweedie};
use std::fs;
use tempfile::tempdir;
use tweedie_data::npy;

#[test]
fn a_resumed_run_is_bit_identical_to_an_uninterrupted_one() {
    for recipe in [DIGITS, MOONS] {
        let folder = tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("r.toml"), recipe).unwrap();
        done(at, "train r.toml --out whole --steps 6 -q");
        // Stops at a step at which the whole run evaluates too, because a run evaluates at its end.
        done(at, "train r.toml --out parts --steps 2 -q");
        done(at, "train --resume --out parts --steps 4 -q");
        done(at, "train --resume --out parts --steps 6 -q");
        for file in ["checkpoints/step-00000006.safetensors", "checkpoints/best.safetensors", "model.safetensors"] {
            let (whole, parts) = (tensors(&at.join("whole").join(file)), tensors(&at.join("parts").join(file)));
            assert!(whole.len() > 5);
            assert!(whole == parts, "{file} differs");
        }
        let samples = |run: &str| fs::read(at.join(run).join("samples.npy")).unwrap();
        assert_eq!(samples("whole"), samples("parts"));
        let steps = |run: &str| fs::read_to_string(at.join(run).join("metrics.jsonl")).unwrap().lines().count();
        assert_eq!(steps("whole"), steps("parts"));
        // Another seed is another run: the comparison above can fail.
        done(at, "train r.toml --out other --steps 6 --seed 1 -q");
        assert!(tensors(&at.join("whole/model.safetensors")) != tensors(&at.join("other/model.safetensors")));
    }
}

#[test]
fn a_run_has_all_its_files_and_its_recipe_can_be_trained_again() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    let output = done(at, "train r.toml");
    let printed = text(&output.stdout);
    assert!(printed.contains("parameters") && printed.contains("1,621 images of 8 × 8 pixels"), "{printed}");
    assert!(printed.lines().last().unwrap().contains("next: tweedie sample runs/r"), "{printed}");
    let run = at.join("runs/r");
    for file in ["recipe.toml", "metrics.jsonl", "model.safetensors", "samples.png", "trajectory.png", "report.html"] {
        assert!(run.join(file).metadata().is_ok_and(|file| file.len() > 100), "{file}");
    }
    let samples = npy::load::<f32>(run.join("samples.npy")).unwrap();
    assert_eq!(samples.shape, [12, 1, 8, 8]);
    assert!(samples.data.iter().all(|level| (-0.01..=16.01).contains(level)), "the scale of the data is 0 to 16");
    let classes = npy::load::<i64>(run.join("classes.npy")).unwrap();
    assert_eq!(classes.data, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    // The last two checkpoints and the best remain.
    let mut remaining: Vec<String> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    remaining.sort();
    assert_eq!(remaining, ["best.safetensors", "step-00000004.safetensors", "step-00000006.safetensors"]);

    done(at, "train runs/r/recipe.toml --out again -q");
    let text = |run: &str| fs::read_to_string(at.join(run).join("recipe.toml")).unwrap();
    assert_eq!(text("runs/r"), text("again"));
    assert_eq!(tensors(&run.join("model.safetensors")), tensors(&at.join("again/model.safetensors")));
    // A second run of the same name gets its own folder; --resume continues the latest.
    done(at, "train r.toml --steps 2 -q");
    assert!(at.join("runs/r-2/report.html").exists());
    done(at, "train r.toml --resume --steps 4 -q");
    assert!(at.join("runs/r-2/checkpoints/step-00000004.safetensors").exists());
}

#[test]
fn samples_are_bit_identical_at_any_batch_size() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    done(at, "train r.toml --out run -q");
    let sample = |name: &str, flags: &str| {
        done(at, &format!("sample run --out {name} -q {flags}"));
        fs::read(at.join(name).join("samples.npy")).unwrap()
    };
    for flags in
        ["--n 12 --seed 5", "--n 12 --seed 5 --guidance 2 --sampler ancestral", "--n 12 --class 3,none --sampler heun"]
    {
        let all = sample("all", &format!("{flags} --batch 64"));
        assert_eq!(all, sample("one", &format!("{flags} --batch 1")));
        assert_eq!(all, sample("three", &format!("{flags} --batch 3")));
    }
    assert_ne!(sample("a", "--seed 5"), sample("b", "--seed 6"));
    // `sample` generates the samples that training ends with.
    assert_eq!(sample("same", ""), fs::read(at.join("run/samples.npy")).unwrap());
    // A larger set begins with the same samples.
    let (few, many) = (npy(at, sample("few", "--n 5"), "few"), npy(at, sample("many", "--n 9"), "many"));
    assert_eq!(few[..], many[..few.len()]);
}

fn npy(at: &std::path::Path, _: Vec<u8>, name: &str) -> Vec<f32> {
    npy::load(at.join(name).join("samples.npy")).unwrap().data
}

/// A network is not sampled in a way in which it was never trained.
#[test]
fn conditions_that_were_never_trained_are_refused() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    done(at, "train r.toml --out always --set train.cond_dropout=0 --steps 2 -q");
    let none = refused(at, "sample always --class 3,none --n 2");
    assert!(none.contains("`--class none` needs a network that was also trained without classes"), "{none}");
    assert!(none.contains("`cond_dropout = 0.1`"), "{none}");
    assert!(refused(at, "sample always --guidance 2").contains("never trains it so"));
    done(at, "sample always --class 3 --n 2 -q --out s");

    done(at, "train r.toml --out never --set train.cond_dropout=1 --steps 2 -q");
    let class = refused(at, "sample never --class 3 --n 2");
    assert!(class.contains("`--class` needs a network that was trained with classes"), "{class}");
    let guided = refused(at, "sample never --guidance 2");
    assert!(guided.contains("`guidance` compares with a network that was trained with conditions"), "{guided}");
    let early = refused(at, "train r.toml --out other --set train.cond_dropout=1 --set sample.guidance=2");
    assert!(early.contains("never trains it so"), "{early}");
    // Samples, evaluation and comparison are unconditional.
    assert!(!at.join("never/classes.npy").exists());
    done(at, "sample never --class none --n 12 -q --out none");
    let samples = |run: &str| fs::read(at.join(run).join("samples.npy")).unwrap();
    assert_eq!(samples("none"), samples("never"));
    done(at, "evaluate never --rows 4");
    done(at, "compare never --steps 3 --n 2 --sampler ddim -q --samples 4");
}

#[test]
fn a_trajectory_goes_from_noise_to_the_samples() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run -q");
    done(at, "sample run --n 6 --steps 8 --trajectory 5 --out s -q");
    let trajectory = npy::load::<f32>(at.join("s/trajectory.npy")).unwrap();
    let times = npy::load::<f64>(at.join("s/times.npy")).unwrap();
    assert_eq!(
        (trajectory.shape.as_slice(), times.data.as_slice()),
        (&[5, 6, 2][..], &[1.0, 0.75, 0.5, 0.25, 0.0][..])
    );
    let samples = npy::load::<f32>(at.join("s/samples.npy")).unwrap();
    assert_eq!(trajectory.data[trajectory.data.len() - 12..], samples.data);
    assert!(at.join("s/trajectory.png").exists());
    // Without --out, samples go to the first free folder in the run.
    done(at, "sample run --n 2 -q");
    done(at, "sample run --n 2 -q");
    assert!(at.join("run/samples/samples.png").exists() && at.join("run/samples-2/samples.png").exists());
    // A single checkpoint can be sampled too.
    done(at, "sample run/checkpoints/best.safetensors --n 2 --out best -q");
}

#[test]
fn dynamic_thresholding_is_set_by_recipe_and_flag() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    done(at, "train r.toml --out run --steps 4 --set sample.threshold=0.9 -q");
    let sample = |flags: &str| {
        done(at, &format!("sample run --n 4 --steps 4 --out s {flags} -q"));
        npy::load::<f32>(at.join("s/samples.npy")).unwrap().data
    };
    let (own, lower, whole) = (sample(""), sample("--threshold 0.5"), sample("--threshold 0.9"));
    assert!(own == whole && own != lower, "the recipe has 0.9");
    // Gray levels of the digits are 0 to 16.
    assert!(lower.iter().all(|x| (0.0..=16.0).contains(x)));
    assert!(refused(at, "sample run --n 4 --threshold 1.5").contains("above 0 and up to 1"));
    fs::write(at.join("m.toml"), MOONS).unwrap();
    assert!(
        refused(at, "train m.toml --out moons --set sample.threshold=0.9 -q")
            .contains("these data have no such range: leave it out")
    );
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_leaves_the_checkpoint() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    done(at, "train r.toml --out run --steps 4 -q");
    let good = fs::read(at.join("run/checkpoints/step-00000004.safetensors")).unwrap();
    let error = refused(at, "train --resume --out run --steps 20 --set train.lr=1e30 --set run.evaluate_every=0 -q");
    assert!(error.starts_with("error: step ") && error.contains("is not finite"), "{error}");
    assert!(
        error.contains("the last checkpoint is that of step") || error.contains("The last checkpoint is that of step"),
        "{error}"
    );
    assert_eq!(fs::read(at.join("run/checkpoints/step-00000004.safetensors")).unwrap(), good);
    // The suggested remedy works.
    done(at, "train --resume --out run --steps 8 --set train.lr=1e-3 -q");
}

#[test]
fn a_damaged_checkpoint_is_skipped() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    done(at, "train r.toml --out whole -q");
    done(at, "train r.toml --out run --steps 4 -q");
    let last = at.join("run/checkpoints/step-00000004.safetensors");
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    let output = done(at, "train --resume --out run --steps 6");
    let warned = text(&output.stderr);
    assert!(warned.contains("warning: ") && warned.contains("step-00000004") && warned.contains("earlier"), "{warned}");
    // The best checkpoint is that of step 4 too, and whole.
    assert!(warned.contains("run/checkpoints/best.safetensors"), "{warned}");
    assert!(text(&output.stdout).contains("resuming from step 4"));
    assert_eq!(tensors(&at.join("whole/model.safetensors")), tensors(&at.join("run/model.safetensors")));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    use std::{io::Read, process::Stdio};
    let folder = tempdir().unwrap();
    let mut child =
        tweedie(folder.path()).args(["list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut one = [0];
    child.stdout.take().unwrap().read_exact(&mut one).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

/// Weights that are NaN would give samples that are NaN.
#[test]
fn weights_that_are_not_finite_are_refused_before_anything_is_written() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run --steps 1 -q");
    let path = at.join("run/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start..].chunks_exact_mut(4).for_each(|number| number.copy_from_slice(&f32::NAN.to_le_bytes()));
    fs::write(&path, bytes).unwrap();
    let error = refused(at, "sample run/model.safetensors --n 4 --steps 3 --out broken -q");
    assert!(error.contains("the weights are damaged: net.cond.first.weight has the value NaN"), "{error}");
    assert!(!at.join("broken").exists());
}

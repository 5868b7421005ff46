//! Fine-tuning: runs that begin with the weights of another.
use super::{DIGITS, MOONS, done, refused, tensors, text};
use std::{fs, path::Path};
use tempfile::tempdir;

/// The tensors of a file whose names begin with `prefix`, without it.
fn group(path: &Path, prefix: &str) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let own = tensors(path).into_iter();
    own.filter_map(|(name, shape, bytes)| Some((name.strip_prefix(prefix)?.to_owned(), shape, bytes))).collect()
}

#[test]
fn a_run_begins_with_the_weights_of_another() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out first --steps 6 -q");
    // Other data, another seed, two steps; the checkpoint before the first step is kept.
    let output =
        done(at, "train r.toml --from first --out tuned --steps 2 --seed 5 --set data.shape=rings --set run.keep=9");
    let printed = text(&output.stdout);
    assert!(
        printed.contains("run     tuned, beginning with the weights of first/model.safetensors, step 6"),
        "{printed}"
    );
    let begin = at.join("tuned/checkpoints/step-00000000.safetensors");
    let source = tensors(&at.join("first/model.safetensors"));
    assert!(source.len() > 5);
    assert_eq!(group(&begin, "ema."), source);
    let own: Vec<_> =
        tensors(&begin).into_iter().filter(|(name, ..)| source.iter().any(|(known, ..)| known == name)).collect();
    assert_eq!(own, source);
    assert!(
        group(&begin, "adam.").iter().all(|(.., bytes)| bytes.iter().all(|byte| *byte == 0)),
        "the optimizer is new"
    );
    let steps = fs::read_to_string(at.join("tuned/metrics.jsonl")).unwrap();
    assert!(steps.starts_with("{\"step\":1,"), "{steps}");
    assert!(tensors(&at.join("tuned/model.safetensors")) != source);
    // Interrupted before its first checkpoint of its own, it begins with the same weights.
    let whole = tensors(&at.join("tuned/model.safetensors"));
    for file in ["checkpoints/step-00000002.safetensors", "checkpoints/best.safetensors", "model.safetensors"] {
        fs::remove_file(at.join("tuned").join(file)).unwrap();
    }
    done(at, "train --resume --out tuned -q");
    assert!(tensors(&at.join("tuned/model.safetensors")) == whole);
    // Without a recipe that of the run is used; a single checkpoint can be named.
    done(at, "train --from first/checkpoints/best.safetensors --steps 1 -q");
    assert!(at.join("runs/first/model.safetensors").exists());
    let recipe = fs::read_to_string(at.join("runs/first/recipe.toml")).unwrap();
    assert!(recipe.contains("hidden = [16, 16]"), "{recipe}");
    // An existing run is not written into.
    assert!(refused(at, "train r.toml --from first --out first -q").contains("first already holds a run"));
}

#[test]
fn weights_that_do_not_fit_are_refused_with_the_reason() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    fs::write(at.join("digits.toml"), DIGITS).unwrap();
    done(at, "train r.toml --out first --steps 2 -q");
    let tune = |more: &str| format!("train r.toml --from first --out new -q {more}");
    for (more, why) in [
        ("--set net.hidden=[16,17]", "17], and the file has not"),
        // All parameters of a smaller network are in the file.
        ("--set net.hidden=[16]", "the file has net.hidden.1."),
        ("--set data.shape=gaussians", "are for 2 classes, and the data have 8 classes"),
        ("--resume", "cannot be used with"),
    ] {
        let output = super::tweedie(at).args(tune(more).split_whitespace()).output().unwrap();
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains(why), "{more}: {error}");
        assert!(!at.join("new").exists());
    }
    assert!(
        refused(at, "train digits.toml --from first --out new -q").contains("2 classes, and the data have 10 classes")
    );
    assert!(refused(at, "train r.toml --from nowhere --out new -q").contains("nowhere is not a folder"));
    // What the weights were trained for otherwise is told.
    let output =
        done(at, "train r.toml --from first --out new --steps 1 --set schedule.name=cosine --set noise.prediction=v");
    let told = text(&output.stderr);
    assert!(
        told.contains("`schedule.name` was \"flow-matching\" and is \"cosine\", `noise.prediction` was \"velocity\""),
        "{told}"
    );
}

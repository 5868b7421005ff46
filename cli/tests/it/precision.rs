//! Training and sampling in half precision.
use super::{MOONS, done, refused, tensors, text};
use std::fs;
use tempfile::tempdir;

#[test]
fn a_run_is_trained_resumed_and_sampled_in_bf16() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let train = |run: &str, more: &str| done(at, &format!("train r.toml --out {run} {more}"));
    train("single", "");
    train("half", "--set train.precision=bf16");
    assert!(fs::read_to_string(at.join("half/recipe.toml")).unwrap().contains("precision = \"bf16\""));
    let weights = |run: &str| tensors(&at.join(run).join("checkpoints/step-00000006.safetensors"));
    assert_ne!(weights("half"), weights("single"));

    // Resumed to the same bits; with another precision, which is said.
    train("resumed", "--set train.precision=bf16 --steps 2");
    train("other", "--set train.precision=bf16 --steps 2");
    done(at, "train r.toml --out resumed --resume --steps 6 --set train.precision=bf16");
    assert_eq!(weights("resumed"), weights("half"));
    let told = text(&done(at, "train r.toml --out other --resume --steps 6 --set train.precision=f32").stderr);
    assert!(told.contains("`train.precision` was \"bf16\" and is \"f32\""), "{told}");
    assert_ne!(weights("other"), weights("half"));

    // Samples of a run in bf16 are in single precision unless asked for.
    let samples = |out: &str, more: &str| {
        done(at, &format!("sample half -q --out {out} {more}"));
        fs::read(at.join(out).join("samples.npy")).unwrap()
    };
    let single = samples("a", "");
    assert_eq!(samples("b", "--precision f32"), single);
    let half = samples("c", "--precision bf16");
    assert!(half != single && samples("d", "--precision bf16 --batch 3") == half);
    assert_ne!(samples("e", "--precision f16"), half);
    done(at, "evaluate half");
}

#[test]
fn unknown_precisions_are_refused_with_what_is_meant() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    done(at, "train r.toml --out run -q --steps 1");
    for (line, expected) in [
        ("sample run --precision fp16", "did you mean `f16`?"),
        ("train r.toml --set train.precision=bfloat16", "did you mean `bf16`?"),
        ("train r.toml --set train.mixed_precision=bf16", "did you mean `precision`?"),
        ("train r.toml --set train.precision=f64", "`f32`, `bf16` and `f16`"),
        ("train r.toml --set train.precision=f16", "must be \"f32\" or \"bf16\" in training"),
    ] {
        let message = refused(at, line);
        assert!(message.contains(expected) && message.lines().count() <= 4, "{line}: {message}");
    }
    assert!(!at.join("runs").exists());
}

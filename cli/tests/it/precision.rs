//! Training and sampling in half precision.
use super::{MOONS, done, refused, tensors, text, tweedie};
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
    let notes = text(&done(at, "train r.toml --out other --resume --steps 6 --set train.precision=f32").stderr);
    assert!(notes.contains("`train.precision` was \"bf16\" and is \"f32\""), "{notes}");
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
fn a_run_in_f16_resumes_with_its_loss_scale() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS.replace("[train]", "[train]\nprecision = \"f16\"")).unwrap();
    done(at, "train r.toml --out whole -q");
    done(at, "train r.toml --out part -q --steps 2");
    let scale = |run: &str, step: u64| {
        let bytes = fs::read(at.join(run).join(format!("checkpoints/step-{step:08}.safetensors"))).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        header.metadata().as_ref().unwrap()["loss_scale"].clone()
    };
    assert_eq!([scale("whole", 6), scale("part", 2)], ["65536 6", "65536 2"]);
    done(at, "train r.toml --out part -q --resume --steps 6");
    let [whole, part] =
        ["whole", "part"].map(|run| tensors(&at.join(run).join("checkpoints/step-00000006.safetensors")));
    assert_eq!((whole, scale("whole", 6)), (part, scale("part", 6)));
}

#[test]
fn losses_of_the_built_in_recipe_stay_near_those_in_single_precision() {
    let folder = tempdir().unwrap();
    let losses = |precision: &str| -> Vec<f64> {
        let rest = "--set run.evaluate_every=0 --set sample.n=1 --set sample.steps=1";
        done(folder.path(), &format!("train -q --steps 40 --out {precision} --set train.precision={precision} {rest}"));
        let metrics = fs::read_to_string(folder.path().join(precision).join("metrics.jsonl")).unwrap();
        let loss = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64();
        metrics.lines().filter_map(loss).collect()
    };
    let single = losses("f32");
    for (precision, mean, most) in [("bf16", 0.004, 0.02), ("f16", 0.001, 0.005)] {
        let half = losses(precision);
        let apart: Vec<f64> = single.iter().zip(&half).map(|(a, b)| (a - b).abs() / a).collect();
        assert!(half.len() == 40 && half != single && apart.iter().all(|apart| *apart < most), "{apart:?}");
        assert!(apart.iter().sum::<f64>() / 40.0 < mean, "{apart:?}");
    }
}

/// Without the kernels the processor takes the way of other devices: parameters in one buffer, burn's own operations, and one
/// reading of numbers a step.
#[test]
fn half_precision_on_the_way_of_other_devices() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS.replace("dropout = 0.1", "")).unwrap();
    let run = |name: &str, more: &str, kernels: &str| {
        let line = format!("train r.toml -q --out {name} {more}");
        let output = tweedie(at).args(line.split_whitespace()).env("TWEEDIE_KERNELS", kernels).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    };
    let losses = |name: &str| -> Vec<f64> {
        let metrics = fs::read_to_string(at.join(name).join("metrics.jsonl")).unwrap();
        let loss = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64();
        metrics.lines().filter_map(loss).collect()
    };
    run("single", "", "on");
    for precision in ["bf16", "f16"] {
        let set = format!("--set train.precision={precision}");
        run(precision, &set, "off");
        for (single, half) in losses("single").iter().zip(losses(precision)) {
            assert!((single - half).abs() < 0.02 * single && half != *single, "{single} and {half} in {precision}");
        }
        let part = format!("part-{precision}");
        run(&part, &format!("{set} --steps 2"), "off");
        run(&part, &format!("{set} --steps 6 --resume"), "off");
        let [whole, part] =
            [precision, &part].map(|run| tensors(&at.join(run).join("checkpoints/step-00000006.safetensors")));
        assert!(whole == part, "{precision}");
    }
}

#[test]
fn modules_are_verified_in_half_precision() {
    let folder = tempdir().unwrap();
    for precision in ["bf16", "f16"] {
        let verified = text(&done(folder.path(), &format!("verify --precision {precision} --brief")).stdout);
        for module in ["net unet", "net transformer", "sampler ddim", "sampler dormand-prince", "training adamw"] {
            let words: Vec<&str> = module.split(' ').collect();
            assert!(verified.lines().any(|line| words.iter().all(|word| line.contains(word))), "{module}: {verified}");
        }
    }
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
        ("verify --precision half", "did you mean `f16`?"),
        ("verify schedule --precision bf16", "`schedule` is not verified on another device or in another precision"),
    ] {
        let message = refused(at, line);
        assert!(message.contains(expected) && message.lines().count() <= 4, "{line}: {message}");
    }
    assert!(!at.join("runs").exists());
}

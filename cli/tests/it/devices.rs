//! Devices: what is said of those that are not here, and the way of computing that devices take, on the processor.
use super::{DIGITS, MOONS, done, refused, text, tweedie};
use std::{fs, path::Path};
use tempfile::tempdir;

#[test]
fn devices_are_listed_and_those_that_are_not_here_are_refused() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), MOONS).unwrap();
    let listed = text(&done(at, "devices").stdout);
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with("cpu ") && line.ends_with("right")), "{listed}");
    for (name, says) in [
        ("gpu", "there is no device `gpu`"),
        ("cpu:1", "there is no device `cpu:1` on this machine; choose `cpu`"),
        ("cpu:x", "must be an index, as in `cpu:0`"),
        (
            "cuda:99",
            if cfg!(feature = "cuda") { "`cuda" } else { "build with `cargo build --release --features cuda`" },
        ),
        ("", "there is no device ``"),
    ] {
        let message = match name {
            "" => {
                let output = tweedie(at).args(["train", "r.toml", "--device", ""]).output().unwrap();
                assert_eq!(output.status.code(), Some(1));
                text(&output.stderr)
            }
            name => refused(at, &format!("train r.toml --device {name}")),
        };
        assert!(message.contains(says) && !message.contains("panicked"), "{name}: {message}");
        assert!(!at.join("runs").exists(), "{name}");
    }
}

/// Losses and norms of gradients of a training.
fn metrics(run: &Path) -> Vec<[f64; 2]> {
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let number = |line: &serde_json::Value, name: &str| line[name].as_f64();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines.filter_map(|line| Some([number(&line, "loss")?, number(&line, "grad_norm")?])).collect()
}

/// Parameters in one buffer, numbers read once a step, burn's own operations: what a GPU computes, here on the processor.
#[test]
fn a_training_as_on_a_device_is_that_of_the_processor() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let as_on_a_device = |line: &str| {
        let output = tweedie(at).args(line.split_whitespace()).env("TWEEDIE_KERNELS", "off").output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    };
    for (name, recipe) in [("digits", DIGITS), ("moons", MOONS)] {
        // Importance-sampled times read the loss of each row too.
        let recipe = format!("{recipe}\n[times]\nname = \"importance\"\nstrata = 2\nkeep = 2\n");
        fs::write(at.join(format!("{name}.toml")), recipe).unwrap();
        done(at, &format!("train {name}.toml --out {name}-cpu -q --set train.clip=0.1"));
        as_on_a_device(&format!("train {name}.toml --out {name}-whole -q --set train.clip=0.1"));
        as_on_a_device(&format!("train {name}.toml --out {name}-parts -q --steps 3 --set train.clip=0.1"));
        as_on_a_device(&format!("train --resume --out {name}-parts -q --steps 6"));
        let (expected, found) = (metrics(&at.join(format!("{name}-cpu"))), metrics(&at.join(format!("{name}-whole"))));
        assert!(expected.len() == 6 && found.len() == 6);
        for (step, (a, b)) in expected.iter().zip(&found).enumerate() {
            assert!((0..2).all(|i| (a[i] - b[i]).abs() < 2e-4 * a[i].abs()), "{name} step {step}: {a:?} {b:?}");
        }
        let parts = metrics(&at.join(format!("{name}-parts")));
        assert!(parts.iter().zip(&found).all(|(a, b)| (a[0] - b[0]).abs() < 1e-6 * a[0].abs()), "{parts:?} {found:?}");
    }
}

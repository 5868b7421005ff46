//! Runs that are interrupted at any moment end with the same weights.
use super::{DIGITS, done, tensors, text, tweedie};
use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use tempfile::tempdir;

const ENDLESS: &str = "1000000";

fn start(at: &Path) -> Child {
    let mut command = tweedie(at);
    match at.join("run").exists() {
        false => command.args(["train", "r.toml", "--out", "run"]),
        true => command.args(["train", "--resume", "--out", "run"]),
    };
    command.args(["--steps", ENDLESS, "-q"]).stderr(Stdio::piped()).spawn().unwrap()
}

fn latest(at: &Path) -> u64 {
    let steps = fs::read_dir(at.join("run/checkpoints")).into_iter().flatten().flatten();
    let step = |name: String| name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok();
    steps.filter_map(|entry| step(entry.file_name().into_string().ok()?)).max().unwrap_or(0)
}

#[test]
fn twenty_kills_at_random_moments_change_nothing() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS).unwrap();
    let mut seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    println!("seed of the moments: {seed}");
    for kill in 0..20 {
        let mut child = start(at);
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        sleep(Duration::from_millis(u64::from(seed >> 16) % 600));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), None, "kill {kill}: it ended by itself: {}", text(&output.stderr));
    }
    // Training must have advanced between the kills.
    let mut child = start(at);
    let patience = Instant::now();
    while latest(at) < 10 && patience.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let end = latest(at) + 3;
    assert!(end > 10);
    done(at, &format!("train --resume --out run --steps {end} -q"));
    done(at, &format!("train r.toml --out whole --steps {end} -q"));
    let file = format!("checkpoints/step-{end:08}.safetensors");
    assert!(tensors(&at.join("run").join(&file)) == tensors(&at.join("whole").join(&file)));
    // Each step is in the metrics once.
    let lines = |run: &str| {
        let text = fs::read_to_string(at.join(run).join("metrics.jsonl")).unwrap();
        let without_duration = |line: &str| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds");
            line.to_string()
        };
        text.lines().map(without_duration).collect::<Vec<_>>()
    };
    assert_eq!(lines("run"), lines("whole"));
    let left: Vec<_> =
        fs::read_dir(at.join("run/checkpoints")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_a_checkpoint_and_prints_how_to_resume() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.toml"), DIGITS.replace("checkpoint_every = 2", "checkpoint_every = 0")).unwrap();
    let child = start(at);
    let patience = Instant::now();
    let steps = || fs::read_to_string(at.join("run/metrics.jsonl")).map_or(0, |text| text.lines().count());
    while steps() < 3 && patience.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(10));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{printed}");
    assert!(printed.contains("resume with: tweedie train --resume --out run"), "{printed}");
    let step = latest(at);
    assert!(step > 0);
    done(at, &format!("train --resume --out run --steps {} -q", step + 1));
}

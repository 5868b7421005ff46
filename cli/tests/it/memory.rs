//! The memory that a command needs: refused before it is taken where there is not as much, and estimated within bounds.
use super::{DIGITS, MOONS, done, text, tweedie};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::tempdir;

/// The tool, which is told that 2 GB are free.
fn limited(folder: &Path) -> Command {
    let mut command = tweedie(folder);
    command.env("TWEEDIE_MEMORY", "2GB");
    command
}

/// Runs a command that must be refused for want of memory, at once.
fn refused(folder: &Path, line: &str) -> String {
    let output = limited(folder).args(line.split_whitespace()).output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "tweedie {line}\n{message}");
    assert!(message.contains(" of memory, and 2.0 GB are free: "), "tweedie {line}\n{message}");
    message
}

#[test]
fn what_does_not_fit_is_refused_with_the_field_and_the_largest_value() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("d.toml"), DIGITS).unwrap();
    fs::write(at.join("m.toml"), MOONS).unwrap();
    let train = |set: &str| refused(at, &format!("train d.toml --out run {set}"));

    let batch = train("--set train.batch=100000000");
    assert!(batch.starts_with("error: `--set train.batch=100000000`: `batch = 100,000,000` needs about "), "{batch}");
    assert!(batch.contains(" fits; `accumulate` divides the batch"), "{batch}");
    let most: usize = {
        let from = batch.split_once("at most ").unwrap().1;
        from.split_once(" fits").unwrap().0.replace(',', "").parse().unwrap()
    };
    assert!((1000..1_000_000).contains(&most), "{batch}");
    // The parts of a batch fit, but not what there is one of per row.
    assert!(
        train("--set train.batch=1000000000 --set train.accumulate=1000000000").contains("`batch = 1,000,000,000`")
    );
    let n = train("--set sample.n=1000000000");
    assert!(n.contains("`n = 1,000,000,000`") && n.contains("different seeds"), "{n}");
    let net = train("--set net.channels=[100000,100000]");
    assert!(net.contains("a net of ") && net.contains("make it narrower or shallower"), "{net}");
    assert!(train("--set net.blocks=1000000000000").contains("a net of "));
    assert!(train("--set net={name=\"dit\",width=400000}").contains("a net of "));
    let points = refused(at, "train m.toml --out run --set data.n=10000000000");
    assert!(points.contains("`--set data.n=10000000000`: these data need about 640 GB"), "{points}");
    assert!(!at.join("run").exists());

    // Lines of thousands of letters, to the longest of which all samples are padded.
    let lines = ("a".repeat(4000) + "\n").repeat(20) + &"ab".repeat(2500) + "\n";
    fs::write(at.join("names.txt"), lines).unwrap();
    let recipe = "[data]\nname = \"text\"\npath = \"names.txt\"\n[schedule]\nname = \"flow-matching\"\n[noise]\nname = \
                  \"absorbing\"\n[net]\nname = \"transformer\"\n[[loss]]\nname = \"masked-nelbo\"\n[train]\nbatch = 128\n";
    fs::write(at.join("t.toml"), recipe).unwrap();
    let line = refused(at, "train t.toml --out run");
    assert!(line.contains("the longest line has 5,000 tokens, to which all samples are padded"), "{line}");
    assert!(line.contains("t.toml, line ") && line.contains("batch = 128"), "{line}");

    done(at, "train d.toml --out run -q");
    let n = refused(at, "sample run --n 1e9");
    assert!(n.starts_with("error: `--n 1000000000`: ") && n.contains("at most "), "{n}");
    let batch = refused(at, "sample run --n 200_000 --batch 200000");
    assert!(batch.contains("`--batch 200000`") && batch.contains("the batch does not change the samples"), "{batch}");
    assert!(refused(at, "sample run --n 100000 --steps 1000 --trajectory 1000").contains("`--n 100000`"));
    for flag in ["--n", "--samples", "--tune"] {
        let error = refused(at, &format!("compare run {flag} 1000000000"));
        assert!(error.contains(&format!("`{flag} 1,000,000,000` needs about ")), "{error}");
        assert!(refused(at, &format!("compare edm {flag} 10000000000")).contains("at most "));
    }
    // What is too many whatever the memory.
    let refused = |line: &str| super::refused(at, line);
    assert!(refused("sample run --steps 1e9").contains("must be a whole number from 1 to 1000000"));
    assert!(refused("compare run --steps 1e9").contains("`--steps` must be at most 1,000,000"));
    assert!(refused("compare run --seeds 1e9").contains("`--seeds` must be at most 10,000"));
    assert!(refused("evaluate run --times 1e9").contains("`--times` must be at most 1,000,000"));
    assert!(refused("train d.toml --out other --set train.shards=1e9").contains("`shards` of [train] must be"));
    // The limit is a size.
    let output = tweedie(at).args(["sample", "run"]).env("TWEEDIE_MEMORY", "much").output().unwrap();
    assert!(text(&output.stderr).contains("TWEEDIE_MEMORY must be a size, as in 8GB or 500MB, got much"));
}

/// The peak of a command that the system counts, in MB.
fn peak(folder: &Path, line: &str) -> Option<f64> {
    watched(folder, line).1
}

/// The estimate that training prints and the peak that the system counts, in MB; `None` if the system does not count.
fn measured(folder: &Path, line: &str) -> Option<(f64, f64)> {
    let (printed, peak) = watched(folder, line);
    let about = printed.lines().find_map(|line| line.strip_prefix("memory  about ")).expect("an estimate");
    let (number, unit) = about.split_once(' ').unwrap();
    let scale = if unit == "GB" { 1000.0 } else { 1.0 };
    Some((number.parse::<f64>().unwrap() * scale, peak?))
}

/// What a command prints, and the peak that the system counts, in MB.
fn watched(folder: &Path, line: &str) -> (String, Option<f64>) {
    let mut command = tweedie(folder);
    command.envs(std::env::var_os("TWEEDIE_DATA").map(|data| ("TWEEDIE_DATA", data)));
    let mut child =
        command.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        peak = most.or(peak);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{line}\n{}", text(&output.stderr));
    (text(&output.stdout), peak.map(|peak| peak * 1024.0 / 1e6))
}

/// Networks of every kind, at batches at which activations or parameters decide.
#[test]
fn the_estimate_is_within_a_factor_of_two_of_the_peak() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("d.toml"), DIGITS).unwrap();
    fs::write(at.join("m.toml"), MOONS).unwrap();
    let text = "[data]\nname = \"text\"\npath = \"names.txt\"\n[schedule]\nname = \"flow-matching\"\n[noise]\nname = \
                \"absorbing\"\n[net]\nname = \"transformer\"\n[[loss]]\nname = \"masked-nelbo\"\n";
    fs::write(at.join("t.toml"), text).unwrap();
    for (name, data) in [("w", "waves"), ("s", "spheres")] {
        fs::write(at.join(format!("{name}.toml")), MOONS.replace("\"points\"", &format!("{data:?}"))).unwrap();
    }
    fs::write(at.join("names.txt"), "abcdefghijklmnopqrstuvwxyzabcd\n".repeat(50)).unwrap();
    let short = "--out run --steps 2 --set run.evaluate_every=0 --set sample.steps=2 --set train.accumulate=1";
    let mut wrong = String::new();
    for (recipe, net, batch) in [
        ("d", "{name=\"unet\",channels=[32,64],blocks=1}", 16),
        ("d", "{name=\"unet\",channels=[32,64],blocks=1}", 512),
        ("d", "{name=\"unet\",channels=[16,32,32],attention=[0,1],dropout=0.1}", 256),
        ("d", "{name=\"dit\",width=128,depth=4,patch=2}", 256),
        ("d", "{name=\"dit\",width=256,depth=6}", 8),
        ("t", "{name=\"transformer\"}", 128),
        ("t", "{name=\"transformer\",causal=true,positions=\"learned\",dropout=0.1}", 128),
        ("m", "{name=\"mlp\"}", 8192),
        ("w", "{name=\"unet\",channels=[16,32],blocks=1}", 512),
        ("s", "{name=\"unet\",channels=[8,16],blocks=1}", 64),
    ] {
        let _ = fs::remove_dir_all(at.join("run"));
        let line = format!("train {recipe}.toml {short} --set net={net} --set train.batch={batch}");
        let Some((estimate, peak)) = measured(at, &line) else {
            println!("skipped: this system does not count the peak of a process in /proc");
            return;
        };
        println!("{net} batch {batch}: about {estimate:.0} MB, {peak:.0} MB at the peak");
        if !(0.5..=2.0).contains(&(estimate / peak)) {
            wrong += &format!("{net} at batch {batch}: about {estimate:.0} MB, but {peak:.0} MB at the peak\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Samples that were refused for the memory of another machine need about as much as was said.
#[test]
fn samples_need_about_what_is_said() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("d.toml"), DIGITS).unwrap();
    done(at, "train d.toml --out run -q --steps 1 --set run.evaluate_every=0");
    for flags in ["--n 20000 --batch 100", "--n 8000 --batch 50 --trajectory 3"] {
        let Some(peak) = peak(at, &format!("sample run --steps 2 --out s -q {flags}")) else {
            println!("skipped: this system does not count the peak of a process in /proc");
            return;
        };
        // What is said to be needed is said if nothing is free.
        let line = format!("sample run --steps 2 --out t -q {flags}");
        let output = tweedie(at).args(line.split_whitespace()).env("TWEEDIE_MEMORY", "1").output().unwrap();
        let message = text(&output.stderr);
        let said = message.split_once("needs about ").expect(&message).1;
        let said = said.split_once(" MB of memory").expect(&message).0.parse::<f64>().unwrap();
        println!("{flags}: about {said:.0} MB, {peak:.0} MB at the peak");
        assert!((0.4..=2.5).contains(&(said / peak)), "{flags}: about {said:.0} MB, but {peak:.0} MB at the peak");
    }
}

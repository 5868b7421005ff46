//! Faults at random moments: a training that is killed, signalled, or finds its disk full or read-only goes on to the same bits, or
//! stops with one sentence and loses nothing.
//!
//! A few rounds in the ordinary tests; `make faults ROUNDS=1000` repeats them. Disks of a few megabytes are mounted if the tests may
//! mount them; a test that cannot says so.
use super::{done, refused, text, tweedie};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use tempfile::{TempDir, tempdir};

/// Some 60 steps of a millisecond, a checkpoint every third.
const TINY: &str = r#"
[data]
name = "points"
n = 100
[schedule]
name = "cosine"
[noise]
name = "gaussian"
[net]
name = "mlp"
hidden = [8]
[train]
steps = 60
batch = 4
shards = 1
warmup = 2
[run]
checkpoint_every = 3
evaluate_every = 10
evaluate_rows = 4
[sample]
n = 4
steps = 2
"#;
const LAST: &str = "checkpoints/step-00000060.safetensors";

/// The number of rounds: that of the environment, or `usual`.
fn rounds(usual: usize) -> usize {
    std::env::var("TWEEDIE_FAULT_ROUNDS").map_or(usual, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Random numbers from the clock; the seed is printed.
struct Chance(u64);
impl Chance {
    fn new() -> Self {
        let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        println!("seed of the moments: {seed}");
        Self(seed)
    }
    fn below(&mut self, n: u64) -> u64 {
        // Knuth's linear congruential generator (MMIX).
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
}

/// A folder with the recipe, a run that was not interrupted, and its duration.
struct Scene {
    folder: TempDir,
    whole: Vec<(String, Vec<u8>)>,
    duration: Duration,
}
impl Scene {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("r.toml"), TINY).unwrap();
        let begun = Instant::now();
        done(folder.path(), "train r.toml --out whole -q");
        let duration = begun.elapsed();
        let whole = result(&folder.path().join("whole"));
        Self { folder, whole, duration }
    }
    fn at(&self) -> &Path {
        self.folder.path()
    }
    /// Starts the run, or resumes it.
    fn start(&self, run: &Path) -> Child {
        let mut command = tweedie(self.at());
        match run.join("recipe.toml").exists() {
            false => command.args(["train", "r.toml", "-q", "--out"]),
            true => command.args(["train", "--resume", "-q", "--out"]),
        };
        command.arg(run).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }
    /// A moment of a training, beginning and end included.
    fn moment(&self, chance: &mut Chance) -> Duration {
        Duration::from_micros(chance.below(self.duration.as_micros() as u64 * 11 / 10))
    }
    fn complete(&self, run: &Path) {
        assert!(result(run) == self.whole, "{} ended with other bits", run.display());
        assert_eq!(partial(run), Vec::<PathBuf>::new());
    }
}

/// The files of a finished run that must be equal, the metrics without durations.
fn result(run: &Path) -> Vec<(String, Vec<u8>)> {
    let files =
        [LAST, "checkpoints/best.safetensors", "model.safetensors", "samples.npy", "samples.png", "recipe.toml"];
    let read =
        |name: &str| (name.to_owned(), fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")));
    let mut all: Vec<_> = files.into_iter().map(read).collect();
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    all.extend(metrics.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds");
        ("metrics.jsonl".to_owned(), line.to_string().into_bytes())
    }));
    all
}

/// The files of interrupted writes below a folder.
fn partial(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries
        .flat_map(|path| match path.is_dir() {
            true => partial(&path),
            false if name(&path).ends_with(".part") || name(&path).ends_with(".tmp") => vec![path],
            false => vec![],
        })
        .collect()
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn faults_kills_and_signals_at_random_moments() {
    let (scene, mut chance) = (Scene::new(), Chance::new());
    let run = scene.at().join("run");
    let (mut faults, mut completed, mut stopped) = ([0; 3], 0, 0);
    while faults.iter().sum::<usize>() < rounds(12) {
        let mut child = scene.start(&run);
        sleep(scene.moment(&mut chance));
        let ended = child.try_wait().unwrap().is_some();
        let kind = [0, 0, 0, 1, 2][chance.below(5) as usize];
        if !ended {
            signal(&child, ["-KILL", "-TERM", "-INT"][kind]);
            faults[kind] += 1;
        }
        let output = child.wait_with_output().unwrap();
        let error = text(&output.stderr);
        match output.status.code() {
            Some(0) => {
                scene.complete(&run);
                completed += 1;
                fs::remove_dir_all(&run).unwrap();
            }
            // A signal during the last writes ends the process at once.
            Some(130) if kind > 0 && !ended => {
                assert!(error.is_empty() || error.contains("resume with: tweedie train --resume --out"), "{error}");
                stopped += 1;
            }
            None if !ended => {}
            code => panic!("exit status {code:?}: {error}"),
        }
    }
    // Without a further fault it ends.
    assert!(scene.start(&run).wait().unwrap().success());
    scene.complete(&run);
    println!(
        "{} kills, {} SIGTERM, {} SIGINT ({stopped} of them after a checkpoint); {} runs ended, each with the same bits",
        faults[0],
        faults[1],
        faults[2],
        completed + 1
    );
}

/// A small file system in memory, if it can be mounted.
struct Disk(PathBuf);
impl Disk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).stderr(Stdio::null()).status();
        let mounted = mounted.is_ok_and(|status| status.success());
        if !mounted {
            println!("a small disk cannot be mounted here, so this was not tested");
        }
        mounted.then(|| Self(at.to_path_buf()))
    }
    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
    /// Fills the disk but for some bytes.
    fn fill(&self, left: u64) {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        let block = [1; 4096];
        while file.write_all(&block).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(left)).unwrap();
    }
    fn clear(&self) {
        let _ = fs::remove_file(self.0.join("filler"));
    }
}
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Whether an error, of the library or of the data, is that the disk is full.
fn is_full(error: &str) -> bool {
    error.contains("no space is left on the disk")
}

/// The one line of an error.
fn one_error(error: &str) -> &str {
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{error}");
    lines[0]
}

#[cfg(target_os = "linux")]
#[test]
fn faults_a_disk_that_fills_up_at_random_moments() {
    let (scene, mut chance) = (Scene::new(), Chance::new());
    let Some(disk) = Disk::mount(&scene.at().join("disk"), "size=2m") else { return };
    let run = disk.0.join("run");
    let (mut full, mut completed) = (0, 0);
    for _ in 0..rounds(8) {
        let mut child = scene.start(&run);
        sleep(scene.moment(&mut chance));
        let left = chance.below(60_000);
        disk.fill(left);
        let status = child.wait().unwrap();
        let mut error = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut error).unwrap();
        disk.clear();
        assert_eq!(partial(&disk.0), Vec::<PathBuf>::new(), "{error}");
        match status.code() {
            Some(0) => {
                scene.complete(&run);
                completed += 1;
                fs::remove_dir_all(&run).unwrap();
            }
            Some(1) => {
                let error = one_error(&error);
                assert!(is_full(error) || error.contains("the run needs about"), "{error}");
                full += 1;
            }
            code => panic!("exit status {code:?}: {error}"),
        }
    }
    assert!(scene.start(&run).wait().unwrap().success());
    scene.complete(&run);
    println!("{full} trainings stopped by a full disk; {} runs ended, each with the same bits", completed + 1);
}

#[cfg(target_os = "linux")]
#[test]
fn faults_every_size_of_a_disk() {
    let (scene, _) = (Scene::new(), ());
    let Some(disk) = Disk::mount(&scene.at().join("disk"), "size=4m") else { return };
    let (mut full, most) = (0, rounds(6) as u64);
    for i in 0..most {
        let run = disk.0.join(format!("run-{i}"));
        // A run has some 100 kB; blocks have 4.
        disk.fill(140_000 * i / most);
        let mut child = scene.start(&run);
        let status = child.wait().unwrap();
        let mut error = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut error).unwrap();
        disk.clear();
        assert_eq!(partial(&disk.0), Vec::<PathBuf>::new(), "{error}");
        if !status.success() {
            assert!(is_full(one_error(&error)), "{error}");
            full += 1;
            assert!(scene.start(&run).wait().unwrap().success());
        }
        scene.complete(&run);
        fs::remove_dir_all(&run).unwrap();
    }
    assert!(full > 0);
    println!("{full} of {most} disks were full before the end; each run ended with the same bits");
}

#[cfg(target_os = "linux")]
#[test]
fn faults_a_disk_that_is_read_only() {
    let scene = Scene::new();
    let Some(disk) = Disk::mount(&scene.at().join("disk"), "size=4m") else { return };
    let at = scene.at();
    done(at, "train r.toml --out disk/run --steps 30 -q");
    disk.remount("ro");
    for line in ["train --resume --out disk/run --steps 60 -q", "train r.toml --out disk/new -q", "sample disk/run -q"]
    {
        let error = refused(at, line);
        assert!(one_error(&error).contains("the disk is read-only"), "{line}: {error}");
    }
    done(at, "sample disk/run --out samples -q");
    done(at, "evaluate disk/run");
    done(at, "plot run disk/run --out plots");
    done(at, "train --from disk/run --out tuned --steps 2 -q");
    disk.remount("rw");
    done(at, "train --resume --out disk/run --steps 60 -q");
    scene.complete(&disk.0.join("run"));
}

#[cfg(target_os = "linux")]
#[test]
fn faults_folders_without_permission() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    const NOBODY: u32 = 65534;
    let scene = Scene::new();
    let at = scene.at();
    done(at, "train r.toml --out run --steps 30 -q");
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(at, 0o755);
    mode(&at.join("run"), 0o555);
    mode(&at.join("run/.lock"), 0o444);
    // The superuser may write anywhere.
    let superuser = fs::write(at.join("run/probe"), "").is_ok();
    let _ = fs::remove_file(at.join("run/probe"));
    for line in ["train --resume --out run --steps 60 -q", "train r.toml --out run/new -q", "sample run -q"] {
        let mut command = tweedie(at);
        if superuser {
            command.uid(NOBODY);
        }
        let Ok(output) = command.args(line.split_whitespace()).output() else {
            println!("the tool cannot be run by another user here, so this was not tested");
            return;
        };
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {error}");
        assert!(one_error(&error).contains("permission denied"), "{line}: {error}");
    }
    mode(&at.join("run"), 0o755);
    mode(&at.join("run/.lock"), 0o644);
    done(at, "train --resume --out run --steps 60 -q");
    scene.complete(&at.join("run"));
}

/// The library by which the program `faketime` changes what a process sees of the clock.
#[cfg(target_os = "linux")]
fn fake_clock() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    folders.iter().map(|folder| Path::new(folder).join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

#[cfg(target_os = "linux")]
#[test]
fn faults_a_clock_that_jumps() {
    let Some(library) = fake_clock() else {
        println!("libfaketime is not installed, so this was not tested");
        return;
    };
    let scene = Scene::new();
    let at = scene.at();
    let control = at.join("clock");
    // Days forward and back, while a training runs.
    fs::write(&control, "+0").unwrap();
    let mut child = tweedie(at)
        .args(["train", "r.toml", "--out", "run"])
        .env("LD_PRELOAD", &library)
        .env("FAKETIME_TIMESTAMP_FILE", &control)
        .env("FAKETIME_NO_CACHE", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for jump in ["+3d", "-3d", "+1h", "-400d", "+9000d", "+0"].iter().cycle() {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        fs::write(&control, jump).unwrap();
        sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    scene.complete(&at.join("run"));
}

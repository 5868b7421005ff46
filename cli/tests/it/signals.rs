//! Signals and volumes, from data to pictures.
use super::{done, refused, text};
use burn::tensor::{Device, Tensor};
use std::{fs, path::Path};
use tempfile::tempdir;
use tweedie::{
    Rng,
    exact::{ComponentCovariance, Mixture},
    noise::Gaussian,
    sample::{Heun, Sampler, trajectory},
    schedule::FlowMatching,
};
use tweedie_data::{Law, Spheres, Waves, npy};

const WAVES: &str = r#"
[data]
name = "waves"
length = 16
harmonics = 1
min_frequency = 1
max_frequency = 3
n = 60
[condition.frequency]
kind = "vector"
[schedule]
name = "flow-matching"
[noise]
name = "gaussian"
prediction = "velocity"
[net]
name = "unet"
channels = [8, 8]
blocks = 1
groups = 4
dropout = 0.1
[train]
steps = 6
batch = 8
accumulate = 2
warmup = 2
[run]
checkpoint_every = 2
evaluate_every = 2
evaluate_rows = 4
[sample]
n = 5
steps = 3
batch = 3
"#;

fn spheres() -> String {
    let data = "name = \"spheres\"\nside = 6\nmin_radius = 1\nmax_radius = 2\n";
    let (start, end) = (WAVES.find("name").unwrap(), WAVES.find("n = 60").unwrap());
    format!("{}{data}{}", &WAVES[..start], &WAVES[end..]).replace("frequency", "radius")
}

fn is_picture(path: &Path) {
    let picture = tweedie_data::picture::load(path).unwrap();
    let first = picture.get_pixel(0, 0);
    assert!(picture.pixels().any(|pixel| pixel != first), "{} is blank", path.display());
}

#[test]
fn signals_and_volumes_go_from_data_to_pictures() {
    for (recipe, name, shape, condition) in [
        (WAVES.to_owned(), "waves", &[1, 16][..], "frequency=2.5"),
        (spheres(), "spheres", &[1, 6, 6, 6], "radius=1.5"),
    ] {
        let folder = tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("r.toml"), recipe).unwrap();
        let printed = text(&done(at, "train r.toml --out run").stdout);
        let expected = match name {
            "waves" => "60 signals of 16 values, 1 channel, no classes, condition `frequency` (vector)",
            _ => "60 volumes of 6 × 6 × 6 voxels, 1 channel, no classes, condition `radius` (vector)",
        };
        assert!(printed.contains(expected), "{printed}");
        for picture in ["samples.png", "trajectory.png", "progress/step-00000006.png"] {
            is_picture(&at.join("run").join(picture));
        }
        let samples = npy::load::<f32>(at.join("run/samples.npy")).unwrap();
        assert_eq!(samples.shape, [&[5], shape].concat());

        // The condition is read, and changes samples; the batch size does not.
        for (out, flags) in
            [("a", String::new()), ("b", " --batch 1".into()), ("c", format!(" --condition {condition}"))]
        {
            done(at, &format!("sample run --n 3 --seed 4 --out {out}{flags} --trajectory 3 -q"));
        }
        let [a, b, c] = ["a", "b", "c"].map(|out| npy::load::<f32>(at.join(out).join("samples.npy")).unwrap().data);
        assert!(a == b && a != c);
        let described = fs::read_to_string(at.join("c/conditions.json")).unwrap();
        assert!(described.contains(condition.split_once('=').unwrap().1), "{described}");
        is_picture(&at.join("c/samples.png"));
        let trajectory = npy::load::<f32>(at.join("a/trajectory.npy")).unwrap();
        assert_eq!(trajectory.shape, [&[3, 3], shape].concat());
        if name == "spheres" {
            assert!(samples.data.iter().all(|x| (-1.0..=1.0).contains(x)));
        }

        // A run that was interrupted ends with the same bits.
        done(at, "train r.toml --out halves -q --steps 4");
        done(at, "train --resume --out halves --steps 6 -q");
        let of = |run: &str| super::tensors(&at.join(run).join("model.safetensors"));
        assert_eq!(of("run"), of("halves"));

        let report = text(&done(at, "evaluate run --samples 7 --out plots").stdout);
        assert!(report.contains("loss  ") && report.contains(" of 7 samples"), "{report}");
        assert!(report.contains("distance ") && report.contains("from the exact one; of held-out data"), "{report}");
        is_picture(&at.join("plots/evaluate.png"));
        assert!(fs::read_to_string(at.join("plots/evaluate.html")).unwrap().contains("held-out data"));
        let report: serde_json::Value =
            serde_json::from_slice(&done(at, "evaluate run --samples 7 --json").stdout).unwrap();
        let law = &report["law"];
        let points = law["at"].as_array().unwrap().len();
        assert_eq!(law["samples"], 7);
        for field in ["mean", "error", "held_out", "expected"] {
            assert_eq!(law[field].as_array().unwrap().len(), points, "{field}");
        }
        assert!(law["distance"].as_f64().unwrap() > law["held_out_distance"].as_f64().unwrap());

        let message = refused(at, "evaluate run --samples 1000000000000");
        assert!(message.contains("`--samples 1,000,000,000,000` needs about "), "{message}");
        let table = text(&done(at, "verify run --brief").stdout);
        assert!(table.contains("net unet") && !table.contains("FAILED"), "{table}");
        let compared = text(&done(at, "compare run --n 1 --steps 2 --sampler ddim").stdout);
        assert!(compared.contains("ddim"), "{compared}");
    }
}

#[test]
fn what_does_not_fit_signals_and_volumes_is_refused_before_the_first_step() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("w.toml"), WAVES).unwrap();
    fs::write(at.join("s.toml"), spheres()).unwrap();
    for (setting, expected) in [
        (
            "w.toml --set net={name='transformer'}",
            "the net `transformer` is for sequences, and these data are signals, for which there is `unet`",
        ),
        (
            "w.toml --set net={name='mlp'}",
            "the net `mlp` is for points, and these data are signals, for which there is `unet`",
        ),
        (
            "s.toml --set net={name='dit'}",
            "the net `dit` is for images, and these data are volumes, for which there is `unet`",
        ),
        ("w.toml --set net.attention=[2]", "must hold levels 0"),
        ("w.toml --set noise={name='absorbing'}", "categor"),
        ("s.toml --set noise={name='absorbing'}", "categor"),
        ("w.toml --set transform={name='embedding'}", "the transform `embedding` is for sequences"),
        ("w.toml --set data.n=0", "`n` of the data `waves` must be a whole number of 1 or more, got 0"),
        ("s.toml --set data.n=0", "`n` of the data `spheres` must be a whole number of 1 or more, got 0"),
        ("w.toml --set data.max_frequency=9", "`max_frequency` times `harmonics` must be at most half the `length`"),
        ("s.toml --set data.max_radius=2.9", "`max_radius` must be at most 2.5, so that the ball and its edge fit"),
        ("w.toml --set data.noise=1.5", "noise"),
        (
            "w.toml --set condition.pitch={kind='vector'}",
            "names the column `pitch`, and waves have the column `frequency`",
        ),
        (
            "s.toml --set condition.size={kind='vector'}",
            "names the column `size`, and spheres have the column `radius`",
        ),
        ("w.toml --set condition.other={kind='image',of='gray'}", "not images"),
        ("w.toml --set data.n=1000000000000", "set a smaller `n`"),
        ("s.toml --set data.n=1000000000000", "set a smaller `n`"),
        ("w.toml --set train.batch=100000000000", "`batch = 100,000,000,000` needs about"),
    ] {
        let message = refused(at, &format!("train {setting} --out run"));
        assert!(message.contains(expected), "{setting}: {message}");
        assert!(message.lines().filter(|line| line.starts_with("error: ")).count() == 1, "{message}");
        assert!(!at.join("run").exists(), "{setting}");
    }
    fs::write(at.join("digits.toml"), super::DIGITS).unwrap();
    done(at, "train digits.toml --out digits -q --steps 1");
    let message = refused(at, "evaluate digits --samples 4");
    assert!(message.contains("`--samples` measures signals, volumes and data whose law is known"), "{message}");
    assert!(refused(at, "evaluate digits --samples 0").contains("`--samples` must be 1 or more"));
    assert!(refused(at, "evaluate digits --out plots").contains("add `--samples 512`"));
    assert!(refused(at, "evaluate digits --samples 4 --out digits").contains("this is the folder of a run"));
}

#[test]
fn synthetic_data_depend_on_their_seed_alone_and_held_out_parts_differ() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (name, recipe) in [("w", WAVES.to_owned()), ("s", spheres())] {
        fs::write(at.join(format!("{name}.toml")), recipe).unwrap();
        for (run, more) in [("a", ""), ("b", ""), ("c", " --set data.seed=1"), ("d", " --set data.n=61")] {
            done(at, &format!("train {name}.toml --steps 1 --out {name}{run} -q{more}"));
        }
        let weights = |run: &str| super::tensors(&at.join(format!("{name}{run}/model.safetensors")));
        assert_eq!(weights("a"), weights("b"));
        assert_ne!(weights("a"), weights("c"));
        let table = text(&done(at, &format!("verify {name}.toml --brief")).stdout);
        assert!(table.contains("data ") && !table.contains("FAILED"), "{table}");
    }
}

#[test]
fn arrays_of_a_users_own_are_trained_on_and_sampled_in_their_own_units() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    // Two channels of very different units.
    let numbers: Vec<f64> = (0..40 * 2 * 12)
        .map(|i| {
            let (row, channel, n) = (i / 24, i / 12 % 2, i % 12);
            let wave = (row as f64 + 0.5 * n as f64).sin();
            if channel == 0 { 1000.0 + 5.0 * wave } else { 1e-3 * wave }
        })
        .collect();
    npy::save(at.join("own.npy"), &[40, 2, 12], &numbers).unwrap();
    let table: String = (0..40).map(|row| format!("{},{}\n", row % 7, ["low", "high"][row % 2])).collect();
    fs::write(at.join("own.csv"), format!("pitch,kind\n{table}")).unwrap();
    let (start, end) = (WAVES.find("name").unwrap(), WAVES.find("[schedule]").unwrap());
    let data = "name = \"npy\"\npath = \"own.npy\"\n";
    let conditions =
        "metadata = \"own.csv\"\n[condition.pitch]\nkind = \"vector\"\n[condition.kind]\nkind = \"class\"\n";
    for (name, conditions) in [("plain", ""), ("conditioned", conditions)] {
        let recipe = format!("{}{data}{conditions}{}", &WAVES[..start], &WAVES[end..]);
        fs::write(at.join("r.toml"), &recipe).unwrap();
        let printed = text(&done(at, &format!("train r.toml --out {name}")).stdout);
        assert!(printed.contains("36 signals of 12 values, 2 channels, no classes"), "{printed}");
        let samples = npy::load::<f32>(at.join(name).join("samples.npy")).unwrap();
        assert_eq!(samples.shape, [5, 2, 12]);
        // Far from trained, and yet in the units of each channel.
        for (i, x) in samples.data.iter().enumerate() {
            let wanted = if i / 12 % 2 == 0 { 900.0..1100.0 } else { -0.1..0.1 };
            assert!(wanted.contains(x), "{x}");
        }
        let report = text(&done(at, &format!("evaluate {name} --samples 6")).stdout);
        assert!(
            report.contains("power spectrum of 6 samples") && report.contains("from that of held-out data"),
            "{report}"
        );
        let table = text(&done(at, &format!("verify {name} --brief")).stdout);
        assert!(!table.contains("FAILED"), "{table}");
    }
    done(at, "sample conditioned --condition pitch=3 --condition kind=high --n 2 --out s -q");
    is_picture(&at.join("s/samples.png"));
    let message = refused(at, "sample conditioned --condition kind=loud --n 2 --out t");
    assert!(message.contains("loud") && message.contains("high"), "{message}");
    let message = refused(at, "train r.toml --out run --set data.path=missing.npy");
    assert!(message.contains("was not found"), "{message}");

    // Other data have another mean, which the run would read wrongly; a range is shared.
    npy::save(at.join("other.npy"), &[40, 2, 12], &numbers.iter().map(|x| 2.0 * x).collect::<Vec<_>>()).unwrap();
    let message = refused(at, "evaluate plain --data other.npy");
    assert!(
        message.contains("another mean and standard deviation") && message.contains("a `range` of values"),
        "{message}"
    );
    done(at, "train r.toml --out ranged -q --steps 1 --set data.range=[-3000,3000]");
    done(at, "evaluate ranged --data other.npy");
    let samples = npy::load::<f32>(at.join("ranged/samples.npy")).unwrap();
    assert!(samples.data.iter().all(|x| (-3000.0..=3000.0).contains(x)));

    // Volumes, and what is no such array.
    npy::save(at.join("own.npy"), &[40, 3, 4, 2], &numbers).unwrap();
    let printed = text(&done(at, "train r.toml --out volumes --steps 1").stdout);
    assert!(printed.contains("36 volumes of 2 × 4 × 3 voxels, 1 channel"), "{printed}");
    npy::save(at.join("own.npy"), &[960], &numbers).unwrap();
    let message = refused(at, "train r.toml --out run");
    assert!(message.contains("must have 2 or 3 axes for signals") && !at.join("run").exists(), "{message}");
    let text = fs::read_to_string(at.join("r.toml")).unwrap().replace("metadata = \"own.csv\"\n", "");
    fs::write(at.join("r.toml"), text).unwrap();
    let message = refused(at, "train r.toml --out run");
    assert!(message.contains("a condition names the column `pitch`, and no table is named in `metadata`"), "{message}");
}

/// Samples of the exact denoiser of a mixture of points with normal noise, by Heun's method.
fn samples(points: Vec<Vec<f64>>, std: f64, n: usize, steps: usize) -> Vec<f32> {
    let (size, device) = (points[0].len(), Device::flex());
    let covariance = || ComponentCovariance::Isotropic(std * std);
    let components = points.into_iter().map(|point| (1.0, point, covariance())).collect();
    let mixture = Mixture::new(Gaussian::new(FlowMatching {}), components).unwrap();
    let times: Vec<f64> = (0..=steps).map(|i| 1.0 - i as f64 / steps as f64).collect();
    let sampler: &dyn Sampler<2> = &Heun::default();
    let run = trajectory(&mixture, sampler, times, [n, size], &Rng::new(3), &device).unwrap();
    let (_, end): (f64, Tensor<2>) = run.last().unwrap();
    end.try_into_vec_as().unwrap()
}

#[test]
fn samples_of_the_exact_denoiser_have_the_spectrum_of_waves() {
    let waves = Waves { length: 24, harmonics: 2, min_frequency: 3.3, max_frequency: 3.3, noise: 0.2 };
    let phase = |i: usize| std::f64::consts::TAU * i as f64 / 12.0;
    let points: Vec<Vec<f64>> = (0..144).map(|i| waves.wave(3.3, &[phase(i / 12), phase(i % 12)])).collect();
    let samples = |steps: usize| samples(points.clone(), waves.noise, 1000, steps);
    let gap = |samples: &[f32], law: &Law| law.gap(&law.mean(samples.chunks(waves.length)).mean).unwrap();
    let (law, many) = (waves.law(), samples(40));
    assert!(gap(&many, &law) < 0.03, "{}", gap(&many, &law));
    // Too few steps, and waves of another frequency, are far from it.
    assert!(gap(&samples(1), &law) > 0.2);
    let other = Waves { min_frequency: 3.6, max_frequency: 3.6, ..waves }.law();
    assert!(gap(&many, &other) > 0.2, "{}", gap(&many, &other));
}

#[test]
fn samples_of_the_exact_denoiser_have_the_radii_of_spheres() {
    let spheres = Spheres { side: 8, min_radius: 1.5, max_radius: 3.0 };
    let u = |i: usize, step: f64| (0.5 + i as f64 * step).fract();
    let points: Vec<Vec<f64>> = (0..200)
        .map(|i| spheres.volume([(i as f64 + 0.5) / 200.0, u(i, 0.618), u(i, 0.414), u(i, 0.732)]))
        .map(|volume| volume.into_iter().map(f64::from).collect())
        .collect();
    let law = spheres.law();
    let samples = samples(points, 0.01, 1000, 30);
    let measured = law.mean(samples.chunks(512));
    // With 1000 samples in ten bins Σ |m − e| is 0.075 in the mean.
    assert!(law.gap(&measured.mean).unwrap() < 0.15, "{measured:?}");
    let other = Spheres { max_radius: 2.5, ..spheres }.law();
    assert!(other.gap(&other.mean(samples.chunks(512)).mean).unwrap() > 0.4);
}

//! Text and other categorical data: every noise through training, resuming, sampling and evaluating.
use super::{done, refused, tensors, text};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::tempdir;
use tweedie_data::npy;

const NAMES: &str = include_str!("../cmd/text/names.txt");

/// A recipe with milliseconds per step, for any `noise`, `schedule` and `loss`.
fn recipe(schedule: &str, noise: &str, loss: &str, more: &str) -> String {
    format!(
        r#"
[data]
name = "text"
path = "names.txt"
held_out = 5
[schedule]
{schedule}
[noise]
{noise}
[net]
name = "transformer"
width = 16
depth = 1
heads = 2
[[loss]]
name = "{loss}"
[train]
steps = 4
batch = 8
[run]
checkpoint_every = 2
evaluate_every = 2
[sample]
n = 5
steps = 3
{more}
"#
    )
}

/// A schedule for the other kind of data is refused with its field and the remedy.
#[test]
fn a_schedule_for_the_other_kind_of_data_is_refused() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("names.txt"), NAMES).unwrap();
    fs::write(at.join("r.toml"), recipe("name = \"edm\"", "name = \"absorbing\"", "cross-entropy", "")).unwrap();
    let error = refused(at, "train r.toml --out run");
    assert!(error.contains("r.toml, line 7: `schedule.name` = \"edm\" gives α and σ"), "{error}");
    assert!(error.contains("such as `log-linear`") && error.contains("^^^^^"), "{error}");
    let points = "[data]\nname = \"points\"\n[schedule]\nname = \"shifted\"\nschedule = { name = \"log-linear\" }\n\
                  [noise]\nname = \"gaussian\"\n[net]\nname = \"mlp\"\n";
    fs::write(at.join("r.toml"), points).unwrap();
    let error = refused(at, "train r.toml --out run");
    assert!(error.contains("`schedule.name` = \"shifted\" gives survival probabilities"), "{error}");
    assert!(error.contains("such as `cosine`"), "{error}");
}

/// Trains, stops, resumes, samples and evaluates; returns the evaluation.
fn round_trip(at: &Path, recipe: &str) -> Value {
    fs::write(at.join("names.txt"), NAMES).unwrap();
    fs::write(at.join("r.toml"), recipe).unwrap();
    let _ = fs::remove_dir_all(at.join("whole"));
    let _ = fs::remove_dir_all(at.join("parts"));
    done(at, "train r.toml --out whole -q");
    done(at, "train r.toml --out parts --steps 2 -q");
    done(at, "train --resume --out parts --steps 4 -q");
    let model = |run: &str| tensors(&at.join(run).join("model.safetensors"));
    assert!(model("whole") == model("parts"), "a resumed run equals an uninterrupted one:\n{recipe}");
    let samples = |run: &str| fs::read(at.join(run).join("samples.npy")).unwrap();
    assert_eq!(samples("whole"), samples("parts"));
    done(at, "sample parts --out again --batch 2 -q");
    assert_eq!(samples("again"), samples("whole"), "samples do not depend on the batch size:\n{recipe}");
    let output = done(at, "evaluate parts --json --times 4");
    serde_json::from_str(&text(&output.stdout)).unwrap()
}

#[test]
fn every_categorical_noise_completes_a_run_with_bits_and_n_gram_baselines() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let table = "name = \"cosine\"\nsteps = 20";
    for (schedule, noise, loss) in [
        ("name = \"flow-matching\"", "name = \"absorbing\"", "masked-nelbo"),
        ("name = \"jsd\"\nsteps = 10", "name = \"absorbing\"\nprediction = \"logits\"", "vlb"),
        ("name = \"geometric\"\nsigma_max = 5", "name = \"uniform\"\nprediction = \"score\"", "score-entropy"),
        (table, "name = \"uniform\"\nreverse = \"plug-in\"", "vlb"),
        (table, "name = \"marginal\"", "cross-entropy"),
    ] {
        let results = round_trip(at, &recipe(schedule, noise, loss, ""));
        let bits = |key: &str| results[key].as_f64().unwrap();
        assert_eq!(bits("rows"), 5.0);
        assert!(bits("bits_per_char").is_finite() && bits("bits_per_char") == bits("bits_per_token"), "{results}");
        assert!(bits("bits_per_char") > 1.0 && bits("bits_per_char_error") > 0.0, "{results}");
        let known = &results["baselines"];
        let baseline = |name: &str| known[name]["bits_per_char"].as_f64().unwrap();
        // Twenty names have few pairs of letters, but enough letters for their frequencies.
        assert!(baseline("unigram") < 20f64.log2() && baseline("bigram") > 1.0 && baseline("5-gram") > 1.0, "{known}");
        // One line per sample, with characters of the data.
        let lines = fs::read_to_string(at.join("whole/samples.txt")).unwrap();
        assert_eq!(lines.lines().count(), 5);
        assert!(lines.chars().all(|c| c == '\n' || NAMES.contains(c)), "{lines}");
        assert_eq!(npy::load::<i64>(at.join("whole/samples.npy")).unwrap().shape, [5, 9]);
        for file in ["trajectory.html", "report.html", "progress/step-00000004.txt"] {
            assert!(at.join("whole").join(file).exists(), "{file}");
        }
    }
}

#[test]
fn an_untrained_network_has_the_bits_of_the_uniform_distribution() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("names.txt"), NAMES).unwrap();
    for schedule in ["name = \"flow-matching\"", "name = \"cosine-mask\"", "name = \"jsd\"\nsteps = 100"] {
        let recipe =
            recipe(schedule, "name = \"absorbing\"", "cross-entropy", "").replace("batch = 8", "batch = 8\nlr = 1e-12");
        fs::write(at.join("r.toml"), recipe).unwrap();
        let _ = fs::remove_dir_all(at.join("run"));
        done(at, "train r.toml --out run -q");
        let results: Value = serde_json::from_str(&text(&done(at, "evaluate run --json --times 1000").stdout)).unwrap();
        // Nine tokens of twenty categories per row; sophia, abigail, sofia, chloe and hannah have 34 tokens with their
        // ends.
        let (bits, even) = (results["bits_per_char"].as_f64().unwrap(), 5.0 * 9.0 * 20f64.log2() / 34.0);
        assert!((bits / even - 1.0).abs() < 0.06, "{schedule}: {bits}, not {even}");
    }
}

/// The bits are those of the model as the recipe samples it, and say so; `--no-clip` measures the network.
#[test]
fn bits_are_of_the_model_as_it_is_sampled() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("names.txt"), NAMES).unwrap();
    let of = |more: &str, flags: &str| -> Value {
        let recipe = recipe("name = \"flow-matching\"", "name = \"absorbing\"", "masked-nelbo", more);
        fs::write(at.join("r.toml"), recipe).unwrap();
        let _ = fs::remove_dir_all(at.join("run"));
        // Trained until the network's predictions differ from those of no letter.
        done(at, "train r.toml --out run -q --set train.steps=40 --set train.warmup=0 --set train.lr=1e-2");
        serde_json::from_str(&text(&done(at, &format!("evaluate run --json --times 8{flags}")).stdout)).unwrap()
    };
    let bits = |results: &Value| results["bits_per_char"].as_f64();
    let (plain, sharp) = (of("", ""), of("temperature = 0.2", ""));
    assert_eq!(plain["bits_of"], "the model as it is sampled: the network's predictions");
    assert_eq!(sharp["bits_of"], "the model as it is sampled: temperature 0.2");
    assert!(bits(&sharp).unwrap() > bits(&plain).unwrap() + 0.1, "{sharp} and {plain}");
    let network = of("temperature = 0.2", " --no-clip");
    assert_eq!((bits(&network), &network["bits_of"]), (bits(&plain), &Value::from("the network's predictions")));
    // What is never sampled has no finite bound.
    let first = of("top_k = 1", "");
    assert_eq!((bits(&first), first["rows_excluded"].as_u64()), (None, Some(5)));
    let shown = text(&done(at, "evaluate run --times 8").stdout);
    assert!(
        shown.contains("top_k 1") && shown.contains("5 of 5 samples cannot be generated so") && shown.contains('∞')
    );
}

#[test]
fn known_tokens_stay_and_a_line_of_samples_can_be_a_prompt() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("names.txt"), "a\\b\n".repeat(3) + &NAMES.replace('\n', "\u{b}\n")).unwrap();
    fs::write(at.join("r.toml"), recipe("name = \"flow-matching\"", "name = \"absorbing\"", "masked-nelbo", ""))
        .unwrap();
    done(at, "train r.toml --out run -q");
    let lines = |flags: &str| -> Vec<String> {
        done(at, &format!("sample run --n 6 --out s -q {flags}"));
        fs::read_to_string(at.join("s/samples.txt")).unwrap().lines().map(str::to_owned).collect()
    };
    for sampler in ["ancestral", "analytic", "first-hitting", "ordered", "remasking", "cached"] {
        for line in lines(&format!("--prompt em --sampler {sampler} --trajectory 3")) {
            assert!(line.starts_with("em"), "{sampler}: {line}");
        }
        for line in lines(&format!("--infill em.a --blank . --sampler {sampler}")) {
            assert!(line.starts_with("em") && line.chars().nth(3).is_none_or(|c| c == 'a'), "{sampler}: {line}");
        }
    }
    assert!(lines(r"--prompt a\\b").iter().all(|line| line.starts_with(r"a\\b")));
    // At temperature 0 only the order of unmasking could be random, and here it is that of confidence.
    let certain = lines("--temperature 0 --sampler ordered --seed 3");
    assert!(certain.iter().all(|line| *line == certain[0]), "{certain:?}");
    assert_ne!(lines("--seed 3"), lines("--seed 4"));
    let page = fs::read_to_string(at.join("run/trajectory.html")).unwrap();
    assert!(page.contains("<script>") && !page.contains("http"), "the page is self-contained");
}

/// Of a text with blanks every letter is in every sample, by each sampler, although the model of one training step believes in the
/// end of the line as much as in any letter.
#[test]
fn what_is_given_is_in_every_sample() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("names.txt"), NAMES.replace('a', "é")).unwrap();
    let samplers = |noise: &str| -> Vec<&str> {
        match noise {
            "absorbing" => vec![
                "ancestral",
                "analytic",
                "first-hitting",
                "tau-leaping",
                "ordered",
                "{name=\"ordered\",by=\"random\"}",
                "remasking",
                "cached",
                "{name=\"blocks\",block=3}",
                "{name=\"blocks\",block=2,window=4}",
            ],
            _ => vec!["ancestral", "analytic", "tau-leaping", "cached"],
        }
    };
    let mut lines = 0;
    for (noise, schedule) in [("absorbing", "flow-matching"), ("uniform", "geometric"), ("marginal", "log-linear")] {
        let loss = if noise == "absorbing" { "masked-nelbo" } else { "cross-entropy" };
        let recipe = recipe(&format!("name = \"{schedule}\""), &format!("name = \"{noise}\""), loss, "");
        fs::write(at.join("r.toml"), recipe).unwrap();
        let _ = fs::remove_dir_all(at.join("run"));
        done(at, "train r.toml --out run -q --steps 1 --set run.evaluate_every=0");
        for sampler in samplers(noise) {
            // Blanks side by side, at the start, at the end, and none.
            for (flags, pattern) in [
                ("--infill éb..é --blank .", "éb..é"),
                ("--infill ..m --blank .", "..m"),
                ("--infill m... --blank .", "m..."),
                ("--infill ........m --blank .", "........m"),
                ("--infill __é__m --temperature 0.5", "..é..m"),
                ("--infill l_é --top-k 1", "l.é"),
                ("--prompt em", "em"),
            ] {
                let line = format!("sample run --n 40 --steps 4 --out s -q {flags} --sampler {sampler}");
                done(at, &line);
                let text = fs::read_to_string(at.join("s/samples.txt")).unwrap();
                assert_eq!(text.lines().count(), 40);
                for sample in text.lines() {
                    let mut letters = sample.chars();
                    for given in pattern.chars() {
                        let letter = letters.next();
                        let right = letter.is_some() && (given == '.' || letter == Some(given));
                        assert!(right, "{noise} {sampler} {flags}: {sample}");
                    }
                    lines += 1;
                }
            }
        }
    }
    assert_eq!(lines, 40 * 7 * 18);
    let refused = |flags: &str| refused(at, &format!("sample run --n 2 --out s -q {flags}"));
    let long = refused("--infill é_________m");
    assert!(
        long.contains("this text has 11 tokens, and the model generates 9 tokens per sample: shorten it"),
        "{long}"
    );
    let foreign = refused("--infill ex_");
    assert!(foreign.contains("`x` (U+0078), character 2 of") && foreign.contains("not in the vocabulary"), "{foreign}");
}

#[test]
fn embedded_text_completes_a_run() {
    let folder = tempdir().unwrap();
    let noise = "name = \"gaussian\"\nprediction = \"x0\"\n[transform]\nname = \"embedding\"\nwidth = 8\nclamp = 0.5";
    let losses = recipe("name = \"sqrt\"\nsteps = 50", noise, "simple", "")
        .replace("[train]", "[[loss]]\nname = \"rounding\"\n[train]");
    let results = round_trip(folder.path(), &losses);
    assert!(results["loss"].as_f64().unwrap().is_finite() && results.get("bits_per_char").is_none(), "{results}");
    let table = tensors(&folder.path().join("whole/model.safetensors"));
    assert!(
        table.iter().any(|(name, shape, _)| name.contains("transform.table") && *shape == [20, 8]),
        "the table is saved"
    );
    let lines = fs::read_to_string(folder.path().join("whole/samples.txt")).unwrap();
    assert!(lines.chars().all(|c| c == '\n' || NAMES.contains(c)), "{lines}");
}

#[test]
fn levels_of_images_are_categories() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (noise, schedule) in [
        ("discretized-gaussian", "name = \"linear\"\nsteps = 20\nbeta_start = 0.05\nbeta_end = 0.9"),
        ("nearest-neighbor", "name = \"constant\"\nsteps = 20\nbeta = 0.9"),
        ("absorbing", "name = \"cosine\"\nsteps = 20"),
    ] {
        let recipe = recipe(schedule, &format!("name = \"{noise}\""), "vlb", "")
            .replace("name = \"text\"\npath = \"names.txt\"\nheld_out = 5", "name = \"digits\"\nlevels = 4")
            .replace(
                "name = \"transformer\"\nwidth = 16\ndepth = 1\nheads = 2",
                "name = \"unet\"\nchannels = [8]\nblocks = 1\ngroups = 4",
            );
        let results = round_trip(at, &recipe);
        let bits = results["bits_per_token"].as_f64().unwrap();
        assert!(bits > 0.1 && bits.is_finite() && results.get("bits_per_char").is_none(), "{noise}: {results}");
        let samples = npy::load::<f32>(at.join("whole/samples.npy")).unwrap();
        assert_eq!(samples.shape, [5, 1, 8, 8]);
        assert!(samples.data.iter().all(|level| [0.0, 1.0, 2.0, 3.0].contains(level)), "{noise}");
        assert!(at.join("whole/samples.png").exists() && at.join("whole/trajectory.png").exists());
    }
}

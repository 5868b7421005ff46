//! `tweedie verify` and `tweedie compare`: tables and JSON.
use super::{done, refused, text};
use serde_json::Value;
use tempfile::tempdir;

#[test]
fn verify_prints_the_same_laws_as_a_table_and_as_json() {
    let folder = tempdir().unwrap();
    let laws: Vec<Value> =
        serde_json::from_slice(&done(folder.path(), "verify schedule cosine --json").stdout).unwrap();
    assert!(laws.len() > 5 && laws.iter().all(|law| law["holds"] == true && law["name"] == "cosine"), "{laws:?}");
    let table = text(&done(folder.path(), "verify schedule cosine").stdout);
    for law in &laws {
        assert!(table.contains(law["law"].as_str().unwrap()), "{law}\n{table}");
    }
    assert!(table.ends_with(&format!("{} laws of 1 module, 0 failed\n", laws.len())), "{table}");
    assert!(!table.contains("inf") && table.contains("passed"), "{table}");
    let brief = text(&done(folder.path(), "verify schedule cosine --brief").stdout);
    assert!(brief.starts_with(&format!("schedule cosine  {} laws passed\n", laws.len())), "{brief}");
    let order = text(&done(folder.path(), "verify sampler ddim").stdout);
    let order = order.lines().find(|line| line.contains("order of convergence")).unwrap();
    assert!(order.contains("declared one, 1 ") && order.contains("≥ 0.9"), "{order}");
    assert!(refused(folder.path(), "verify schedule cosin").contains("did you mean `cosine`?"));
    // By its name alone, of every kind that has it.
    assert!(text(&done(folder.path(), "verify dit --brief").stdout).starts_with("net dit  "));
    let uniform = text(&done(folder.path(), "verify uniform --brief").stdout);
    assert!(uniform.contains("noise uniform") && uniform.contains("spacing uniform"), "{uniform}");
    assert!(refused(folder.path(), "verify unett").contains("did you mean `unet`?"));
    // Every built-in module except samplers, which the tests of the library cover.
    for kind in ["schedule", "noise", "net", "loss", "weight", "spacing"] {
        let table = text(&done(folder.path(), &format!("verify {kind}")).stdout);
        assert!(table.ends_with(" 0 failed\n"), "{table}");
    }
}

#[test]
fn compare_measures_errors_that_decrease_with_the_steps() {
    let folder = tempdir().unwrap();
    let output = done(folder.path(), "compare ornstein-uhlenbeck --steps 10,40 --n 4 --json --out pictures");
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |sampler: &str, steps: u64| {
        let rows = results["rows"].as_array().unwrap();
        rows.iter()
            .find(|row| row["sampler"] == sampler && row["steps"] == steps)
            .unwrap_or_else(|| panic!("{results}"))
            .clone()
    };
    for sampler in ["ddim", "dpm-solver++", "unipc"] {
        let (few, many) = (row(sampler, 10), row(sampler, 40));
        assert_eq!((few["nfe"].as_u64(), many["nfe"].as_u64()), (Some(10), Some(40)), "{sampler}");
        assert!(many["error"].as_f64().unwrap() < 0.5 * few["error"].as_f64().unwrap(), "{sampler}: {few} {many}");
    }
    assert!(row("dpm-solver++", 40)["error"].as_f64() < row("ddim", 40)["error"].as_f64());
    for name in ["compare.html", "compare.png"] {
        assert!(folder.path().join("pictures").join(name).metadata().unwrap().len() > 1000, "{name}");
    }
    let table = text(&done(folder.path(), "compare ornstein-uhlenbeck --steps 10 --n 4").stdout);
    assert!(table.contains("sampler") && table.contains("ddim"), "{table}");
    assert!(refused(folder.path(), "compare edn").contains("did you mean `edm`?"));
    assert!(refused(folder.path(), "compare vp").contains("did you mean `variance-preserving`?"));
}

#[test]
fn compare_prints_ratios_to_ddim_with_their_deviation_over_seeds() {
    let folder = tempdir().unwrap();
    let line =
        "compare ornstein-uhlenbeck --steps 8,16 --n 8 --sampler ddim --sampler deis --sampler heun --seeds 3 --json";
    let results: Value = serde_json::from_slice(&done(folder.path(), line).stdout).unwrap();
    let row = |sampler: &str, steps: u64| {
        let rows = results["rows"].as_array().unwrap();
        rows.iter().find(|row| row["sampler"] == sampler && row["steps"] == steps).unwrap().clone()
    };
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
    // The ratio of DDIM to itself is 1 for every seed.
    let ddim = row("ddim", 16);
    assert_eq!((number(&ddim, "ratio_to_ddim"), number(&ddim, "ratio_to_ddim_std")), (1.0, 0.0));
    let dense = row("deis on arcsine", 16);
    let ratio = number(&ddim, "error") / number(&dense, "error");
    let spread = number(&dense, "ratio_to_ddim_std");
    assert!(spread > 0.0 && (number(&dense, "ratio_to_ddim") - ratio).abs() < 3.0 * spread, "{dense} {ratio}");
    // A sampler with two evaluations per step is compared with DDIM at equal NFE, which has more steps.
    let heun = row("heun", 8);
    assert!(number(&heun, "nfe") > 8.0, "{heun}");
    let even = number(&row("ddim", 8), "error") / number(&heun, "error");
    assert!(number(&heun, "ratio_to_ddim") < 0.8 * even, "{heun} {even}");
    assert!(number(&heun, "median") > 0.0 && results["best"]["command"].is_null(), "{results}");

    let table =
        text(&done(folder.path(), &line.replace(" --json", " --sampler deis --times even --times even")).stdout);
    assert_eq!(table.matches("deis  ").count(), 2, "duplicates are measured once\n{table}");
    assert!(table.contains("vs ddim") && table.contains(" ± ") && table.contains(" *"), "{table}");
}

#[test]
fn the_command_that_compare_suggests_runs() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("r.toml"), super::DIGITS).unwrap();
    done(folder.path(), "train r.toml --out run -q");
    // A module that the recipe has settings for is suggested as a table.
    for (times, expected) in [("arcsine", " --times arcsine "), ("even", "")] {
        let line = format!("compare run --steps 3,5 --n 2 --sampler ddim --times {times} --out pictures");
        let table = text(&done(folder.path(), &line).stdout);
        let advice = table.lines().find(|line| line.contains(" has the lowest error")).unwrap();
        let command = advice.split_once("use: tweedie ").unwrap().1;
        assert!(command.contains(expected) && command.ends_with(" --steps 5"), "{command}");
        let shell = format!("'{}' {command}", env!("CARGO_BIN_EXE_tweedie"));
        let output = std::process::Command::new("sh").current_dir(folder.path()).args(["-c", &shell]).output().unwrap();
        assert!(text(&output.stdout).contains("12 samples"), "{shell}\n{}", text(&output.stderr));
    }
    // The folder is checked before any sampling.
    let run = refused(folder.path(), "compare run --steps 3 --n 2 --out run");
    assert!(run.contains("folder of a run") && run.contains("--out run/compare"), "{run}");
    assert!(refused(folder.path(), "compare run --steps 3 --n 2 --out r.toml").contains("this is a file"));
    let many = refused(folder.path(), "compare run --steps 3,2000 --n 2");
    assert!(
        many.ends_with("`--steps 2000`: the schedule is a table of 1000 steps, so sampling cannot take 2000 steps: take 1000 at most.\n"),
        "{many}"
    );
    let counted = text(&done(folder.path(), "compare run --steps 2 --n 2 --samples 5000 --sampler ddim").stdout);
    assert!(counted.contains("176 samples and 176 data") && counted.contains("± std"), "{counted}");
    // A run is verified by naming its folder.
    let laws = text(&done(folder.path(), "verify run --brief").stdout);
    assert!(laws.contains("sampler ddim") && laws.ends_with(", 0 failed\n") && laws.lines().count() < 9, "{laws}");
}

/// Distances need two samples in each set.
#[test]
fn compare_refuses_distances_from_a_single_datum() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("r.toml"), super::MOONS).unwrap();
    done(at, "train r.toml --out one --set data.n=1 --steps 1 -q");
    let error = refused(at, "compare one --steps 2 --n 2 --samples 4 --sampler ddim");
    assert!(error.contains("`--samples` measures distances between two sets of 2 or more"), "{error}");
    assert!(error.contains("1 sample: leave out `--samples`"), "{error}");
    done(at, "train r.toml --out two --set data.n=2 --steps 1 -q");
    let table = text(&done(at, "compare two --steps 2 --n 2 --samples 4 --sampler ddim").stdout);
    assert!(table.contains("ddim"), "{table}");
    // A table of few steps is compared at these.
    std::fs::write(at.join("d.toml"), super::DIGITS.replace("steps = 3\n", "")).unwrap();
    done(at, "train d.toml --out short --set schedule.steps=2 --steps 1 -q");
    let table = text(&done(at, "compare short --n 2 --sampler ddim").stdout);
    assert!(table.contains("ddim"), "{table}");
    let resolved = std::fs::read_to_string(at.join("short/recipe.toml")).unwrap();
    assert!(resolved.contains("[sample]\nn = 12\nsteps = 2\n"), "{resolved}");
    done(at, "verify short --brief");
}

#[test]
fn diverged_samples_give_a_warning() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("r.toml"), super::DIGITS).unwrap();
    done(folder.path(), "train r.toml --out run -q");
    let warned =
        |sampler: &str| text(&done(folder.path(), &format!("sample run --steps 10 --sampler {sampler}")).stderr);
    assert_eq!([warned("ddim"), warned("deis")], ["", ""]);
    assert_eq!([warned("heun"), warned("pndm"), warned("dpm2")], ["", "", ""]);
    // Any sampler, also if only x_t on the way was too large.
    for name in ["heun", "pndm", "plms"] {
        let far = warned(&format!("{{name=\"{name}\",variable=\"ratio\"}}"));
        assert!(far.starts_with(&format!("warning: `{name}` in 10 steps: ")), "{far}");
        assert!(far.contains("from 20,291 to 6") && far.contains("use `variable = \"angle\"`"), "{far}");
    }
    let unfit = text(&done(folder.path(), "sample run --steps 10 --sampler {name=\"etd\",order=5}").stderr);
    assert!(unfit.contains("a polynomial through 5 outputs needs 100 steps or more"), "{unfit}");
    let list = |json: &str| text(&done(folder.path(), &format!("list sampler heun{json}")).stdout);
    assert!(list("").contains("variable") && list(" --json").contains("\"unfit\": []"), "{}", list(" --json"));
}

#[test]
fn a_schedule_that_ends_with_signal_left_gives_a_warning() {
    let folder = tempdir().unwrap();
    let recipe = super::DIGITS.replace("\"cosine\"", "\"linear\"\nsteps = 100");
    std::fs::write(folder.path().join("r.toml"), recipe).unwrap();
    let trained = text(&done(folder.path(), "train r.toml --out run").stderr);
    assert_eq!(trained.matches("60 % of the signal is left").count(), 1, "{trained}");
    let sampled = text(&done(folder.path(), "sample run").stderr);
    assert!(sampled.contains("60 % of the signal is left (α = 0.60)") && sampled.contains("`zero-terminal`"));
}

/// A sample of an adaptive solver does not depend on its batch, and one that cannot be solved for ends with a reason.
#[test]
fn an_adaptive_solver_is_independent_of_the_batch_and_ends() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("r.toml"), super::DIGITS).unwrap();
    done(folder.path(), "train r.toml --out run -q");
    let samples = |batch: usize| {
        let out = format!("batch-{batch}");
        done(folder.path(), &format!("sample run --sampler dormand-prince --n 5 --batch {batch} --out {out} -q"));
        std::fs::read(folder.path().join(out).join("samples.npy")).unwrap()
    };
    assert!(samples(5) == samples(2));
    let line = "sample run --sampler {name=\"dormand-prince\",max_steps=20} --guidance 1e6 --n 2 --out rough";
    let message = refused(folder.path(), line);
    assert!(message.contains("the adaptive solver gave up") && message.contains("max_steps = 20"), "{message}");
    assert!(message.contains("use less guidance") && !folder.path().join("rough").exists(), "{message}");
}

#[test]
fn the_modules_of_a_recipe_are_verified() {
    let folder = tempdir().unwrap();
    let recipe = r#"
        [data]
        name = "points"
        n = 64

        [schedule]
        name = "shifted"
        factor = 1.5
        schedule = { name = "cosine", steps = 100 }

        [noise]
        name = "gaussian"
        prediction = "v"

        [net]
        name = "mlp"
        hidden = [16]

        [[loss]]
        name = "simple"

        [times]
        name = "importance"
        times = { name = "karras" }

        [sample]
        sampler = { name = "deis", order = 2 }
        times = { name = "beta", a = 0.5, b = 0.5 }
    "#;
    std::fs::write(folder.path().join("r.toml"), recipe).unwrap();
    let laws: Vec<Value> = serde_json::from_slice(&done(folder.path(), "verify r.toml --json").stdout).unwrap();
    assert!(laws.iter().all(|law| law["holds"] == true), "{laws:?}");
    let mut modules: Vec<String> = laws.iter().map(|law| format!("{} {}", law["kind"], law["name"])).collect();
    modules.dedup();
    let expected = [
        ("data", "points"),
        ("schedule", "shifted"),
        ("noise", "gaussian"),
        ("net", "mlp"),
        ("loss", "simple"),
        ("spacing", "importance"),
        ("spacing", "beta"),
        ("sampler", "deis"),
    ];
    assert_eq!(modules, expected.map(|(kind, name)| format!("{kind:?} {name:?}")));
    // Training and sampling accept them too.
    done(folder.path(), "train r.toml --out run --steps 12 --set train.batch=8 --set run.evaluate_every=0 -q");
    let printed = text(&done(folder.path(), "sample run --n 4 --steps 6 --times karras").stdout);
    assert!(printed.contains("4 samples"), "{printed}");
    let wrong = refused(folder.path(), "sample run --n 4 --steps 6 --times {name=\"listed\",times=[1.0]}");
    assert!(wrong.contains("6 steps") && wrong.contains("use 1 step,"), "{wrong}");
}

#[test]
fn compare_measures_samples_against_data() {
    let folder = tempdir().unwrap();
    let line = "compare ornstein-uhlenbeck --steps 1,40 --n 4 --samples 400 --sampler ancestral --sampler deis --json";
    let results: Value = serde_json::from_slice(&done(folder.path(), line).stdout).unwrap();
    let floor = results["data"]["energy"].as_f64().unwrap();
    assert!(floor.abs() < 0.02, "{results}");
    for rows in results["rows"].as_array().unwrap().chunks(2) {
        let far = |row: &Value, distance: &str| row[distance].as_f64().unwrap();
        // With one step all samples are the mean; with forty they follow the distribution of the data.
        assert!(far(&rows[0], "energy") > 0.5 && far(&rows[1], "energy") < 0.05, "{rows:?}");
        assert!(far(&rows[0], "wasserstein") > 0.8 && far(&rows[1], "wasserstein") < 0.3, "{rows:?}");
    }
    // A stochastic sampler has no error with respect to the ODE.
    assert!(results["rows"][0]["error"].is_null() && results["rows"][2]["error"].is_number(), "{results}");
    // A schedule with noise at t = 0 needs one more evaluation, and DDIM is compared at the same NFE.
    let table = text(&done(folder.path(), "compare edm --steps 5 --n 4 --sampler deis --times karras").stdout);
    assert!(table.contains("At NFE 6 deis on karras has the lowest error"), "{table}");
    assert!(table.contains("deis on karras") && table.contains("x̂ not clipped"), "{table}");
}

#[test]
fn tuned_timesteps_generalize_and_can_be_reused() {
    let folder = tempdir().unwrap();
    let line = "compare ornstein-uhlenbeck --steps 6 --n 64 --sampler deis --json";
    let error = |json: &[u8]| {
        let results: Value = serde_json::from_slice(json).unwrap();
        results["rows"][0]["error"].as_f64().unwrap()
    };
    let even = error(&done(folder.path(), line).stdout);
    let tuned = error(&done(folder.path(), &format!("{line} --tune 48")).stdout);
    assert!(tuned < 0.5 * even, "{tuned} with tuned timesteps, {even} with uniform ones");
    let table = text(&done(folder.path(), &line.replace("--json", "--tune 48")).stdout);
    let times = table.lines().find_map(|line| line.strip_prefix("deis in 6 steps: times = ")).unwrap();
    let mut again: Vec<&str> = line.split_whitespace().collect();
    again.extend(["--times", times]);
    let output = super::tweedie(folder.path()).args(again).output().unwrap();
    let reused = error(&output.stdout);
    assert!((reused / tuned - 1.0).abs() < 1e-2, "{reused} with {times}, {tuned} when they were tuned");
    assert!(refused(folder.path(), "compare edm --tune 0").contains("1 or more"));
}

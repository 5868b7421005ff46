//! Losses weighted over noise levels, and noise that is paired with data, in recipes.
use super::{DIGITS, MOONS, done, refused, text};
use std::{fs, process::ExitCode};
use tempfile::tempdir;
use tweedie::{loss::Weight, schedule::Scales};

fn resolved(folder: &std::path::Path, run: &str) -> String {
    fs::read_to_string(folder.join(run).join("recipe.toml")).unwrap()
}

#[test]
fn every_weight_and_every_penalty_trains_and_is_written_with_its_defaults() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), MOONS).unwrap();
    let names = text(&done(folder.path(), "list weight --json").stdout);
    let names: Vec<serde_json::Value> = serde_json::from_str(&names).unwrap();
    assert!(names.len() >= 11);
    for weight in names {
        let name = weight["name"].as_str().unwrap();
        let loss = format!("loss=[{{name='squared',weighting='{name}'}}]");
        done(folder.path(), &format!("train r.toml --steps 1 --out {name} -q --set {loss}"));
        let recipe = resolved(folder.path(), name);
        for field in weight["parameters"].as_object().unwrap().keys() {
            let written = recipe.contains(&format!("{field} = ")) || recipe.contains(&format!("weighting.{field}]"));
            assert!(written, "{name}: {recipe}");
        }
    }
    for (i, loss) in [
        "{name='huber',delta=0.5,space='x0'}",
        "{name='pseudo-huber',c=0.03,constant='snr',weighting='edm'}",
        "{name='pseudo-huber',of='sample'}",
        "{name='absolute',space='epsilon',weight=0.5}",
        "{name='squared',weighting={name='per-log-snr',of={name='sigmoid',bias=-1}}}",
    ]
    .into_iter()
    .enumerate()
    {
        done(folder.path(), &format!("train r.toml --steps 1 --out penalty-{i} -q --set loss=[{loss}]"));
    }
    let recipe = resolved(folder.path(), "penalty-4");
    assert!(recipe.contains("bias = -1.0") && recipe.contains("space = \"prediction\""), "{recipe}");
    // What a run wrote runs as it is, and is verified with its settings.
    done(folder.path(), "train penalty-4/recipe.toml --out again -q");
    let table = text(&done(folder.path(), "verify penalty-4 --brief").stdout);
    assert!(table.contains("weight per-log-snr") && table.contains("loss squared"), "{table}");
    let error = refused(folder.path(), "train r.toml --out x -q --set loss=[{name='squared',weighting='minsnr'}]");
    assert!(error.contains("there is no weight `minsnr`; did you mean `min-snr`?"), "{error}");
    let error = refused(
        folder.path(),
        "train r.toml --out x -q --set loss=[{name='squared',weighting={name='per-log-snr',of={name='p2',k=0}}}]",
    );
    assert!(error.contains("`k` of the weight `p2` must be a positive number"), "{error}");
}

#[test]
fn weights_are_plotted_for_recipes_runs_and_names() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), DIGITS).unwrap();
    done(folder.path(), "train r.toml --steps 1 --out run -q --set loss=['simple',{name='vlb',weight=0.001}]");
    let output = done(folder.path(), "plot weights r.toml run min-snr --schedule flow-matching --out plots");
    assert!(text(&output.stdout).contains("weights.png"));
    let page = fs::read_to_string(folder.path().join("plots/weights.html")).unwrap();
    for name in ["min-snr", "t of flow-matching", "t of r"] {
        assert!(page.contains(name), "{name}");
    }
    assert!(refused(folder.path(), "plot weights min_snrr").contains("there is no weight `min_snrr`"));
    assert!(refused(folder.path(), "plot weights none.toml").contains("none.toml"));
}

#[test]
fn noise_is_paired_offset_and_perturbed_by_options_of_training_and_resumes() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), DIGITS).unwrap();
    let options = "--set train.coupling=optimal-transport --set train.noise_offset=0.1 --set train.input_perturbation=0.1 \
                   --set loss=[{name='squared',weighting='edm',uncertainty=true}]";
    done(folder.path(), &format!("train r.toml --out whole -q {options}"));
    done(folder.path(), &format!("train r.toml --out half -q --steps 2 {options}"));
    done(folder.path(), "train --resume --out half -q --steps 6");
    let weights = |run: &str| super::tensors(&folder.path().join(run).join("model.safetensors"));
    assert_eq!(weights("whole"), weights("half"));
    assert!(weights("whole").iter().any(|(name, ..)| name == "uncertainty.weight"));
    done(folder.path(), "sample whole --n 2 -q");
    done(folder.path(), "evaluate whole");
    done(folder.path(), "train r.toml --out plain -q");
    assert_ne!(weights("plain"), weights("whole"));
    let recipe = resolved(folder.path(), "plain");
    for default in ["coupling = \"independent\"", "noise_offset = 0.0", "input_perturbation = 0.0"] {
        assert!(recipe.contains(default), "{recipe}");
    }
    let categories = "--set noise=uniform --set loss=vlb";
    for option in ["coupling=optimal-transport", "noise_offset=0.1", "input_perturbation=0.1"] {
        let error = refused(folder.path(), &format!("train r.toml --out x -q {categories} --set train.{option}"));
        assert!(error.contains("categories have no ε"), "{error}");
    }
}

/// The weight of `at`, of a custom tool.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Bump {
    /// Log-SNR of the bump.
    at: f64,
    /// Height of the bump.
    height: f64,
}
impl Default for Bump {
    fn default() -> Self {
        Self { at: 0.0, height: 1.0 }
    }
}
impl Weight for Bump {
    fn weight(&self, c: Scales) -> f64 {
        self.height * (-0.5 * (c.log_snr() - self.at).powi(2)).exp()
    }
}
/// A weight that is negative where there is much noise.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Negative {}
impl Weight for Negative {
    fn weight(&self, c: Scales) -> f64 {
        c.log_snr()
    }
}

#[test]
fn a_custom_weight_is_trained_with_listed_verified_and_plotted() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("r.toml"), MOONS).unwrap();
    let run = |line: String| {
        let modules = tweedie_cli::Modules::default().weight::<Bump>("bump").weight::<Negative>("negative");
        let arguments = ["tool".to_owned()].into_iter().chain(line.split_whitespace().map(str::to_owned));
        format!("{:?}", tweedie_cli::run_from(modules, arguments)) == format!("{:?}", ExitCode::SUCCESS)
    };
    let loss = "--set loss=[{name='squared',weighting={name='bump',at=2}}]";
    assert!(run(format!("train {} --out {} -q --steps 1 {loss}", at("r.toml"), at("run"))));
    assert!(fs::read_to_string(at("run/recipe.toml")).unwrap().contains("height = 1.0"));
    assert!(run("list weight bump".into()) && run("schema".into()));
    assert!(run("verify weight bump".into()) && !run("verify weight negative".into()));
    assert!(run(format!("plot weights bump {} --out {}", at("run"), at("plots"))));
    let negative = "--set loss=[{name='squared',weighting='negative'}]";
    assert!(!run(format!("train {} --out {} -q --steps 1 {negative}", at("r.toml"), at("other"))));
}

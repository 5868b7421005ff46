//! Custom modules, which are registered in the same way as the built-in ones.
use std::process::ExitCode;
use tempfile::tempdir;

#[allow(dead_code)]
#[path = "../../examples/own_tool.rs"]
mod own_tool;

fn run(line: &str) -> bool {
    let arguments = ["tool"].into_iter().chain(line.split_whitespace());
    format!("{:?}", tweedie_cli::run_from(own_tool::modules(), arguments)) == format!("{:?}", ExitCode::SUCCESS)
}

#[test]
fn a_custom_tool_trains_and_samples_with_its_modules() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let out = out.to_str().unwrap();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/own_tool.toml");
    assert!(run(&format!("train {recipe} --out {out} --steps 20 --set train.batch=8 -q")));
    assert!(run(&format!("sample {out} --n 3 -q")));
    let resolved = std::fs::read_to_string(format!("{out}/recipe.toml")).unwrap();
    for part in [
        "name = \"power\"",
        "exponent = 1.5",
        "name = \"rotation\"",
        "angle = 0.5",
        "name = \"huber\"",
        "name = \"tiny\"",
        "hidden = 128",
    ] {
        assert!(resolved.contains(part), "{resolved}");
    }
    for line in ["list schedule power", "list transform rotation", "list loss huber --json", "list net tiny", "schema"]
    {
        assert!(run(line), "{line}");
    }
    // The laws of custom modules are verified as well.
    for module in ["schedule power", "loss huber", "net tiny", recipe] {
        assert!(run(&format!("verify {module}")), "{module}");
    }
    // Invalid and unknown fields are refused.
    assert!(!run(&format!("train {recipe} --out {out}-2 --set schedule.exponent=-1 -q")));
    assert!(!run(&format!("train {recipe} --out {out}-2 --set schedule.power=1 -q")));
    assert!(!run(&format!("train {recipe} --out {out}-2 --set net.name=none -q")));
}

/// A schedule whose signal scale α increases again towards t = 1.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Returning {}
impl tweedie::schedule::Schedule for Returning {
    fn alpha(&self, t: tweedie::Dual) -> tweedie::Dual {
        1.0 - t * (1.0 - t) * 3.9
    }
}

#[test]
fn a_module_that_breaks_a_law_fails_the_tool() {
    let modules = || tweedie_cli::Modules::default().schedule::<Returning>("returning");
    let exit = |line: &str| {
        let arguments = ["tool"].into_iter().chain(line.split_whitespace());
        format!("{:?}", tweedie_cli::run_from(modules(), arguments))
    };
    assert_eq!(exit("verify schedule returning"), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(exit("verify schedule cosine"), format!("{:?}", ExitCode::SUCCESS));
}

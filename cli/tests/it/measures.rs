//! `tweedie verify` and `tweedie compare`: tables, and the same as JSON.
use super::{done, refused, text};
use serde_json::Value;
use tempfile::tempdir;

#[test]
fn verify_tells_the_same_as_a_table_and_as_json() {
    let folder = tempdir().unwrap();
    let laws: Vec<Value> =
        serde_json::from_slice(&done(folder.path(), "verify schedule cosine --json").stdout).unwrap();
    assert!(laws.len() > 5 && laws.iter().all(|law| law["holds"] == true && law["name"] == "cosine"), "{laws:?}");
    let table = text(&done(folder.path(), "verify schedule cosine").stdout);
    for law in &laws {
        assert!(table.contains(law["law"].as_str().unwrap()), "{law}\n{table}");
    }
    assert!(table.ends_with(&format!("{} laws of 1 modules, 0 broken\n", laws.len())), "{table}");
    assert!(refused(folder.path(), "verify schedule cosin").contains("did you mean `cosine`?"));
}

#[test]
fn compare_measures_what_it_says() {
    let folder = tempdir().unwrap();
    let output = done(folder.path(), "compare ornstein-uhlenbeck --steps 10,40 --n 4 --json --out pictures");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |sampler: &str, steps: u64| {
        let rows = told["rows"].as_array().unwrap();
        rows.iter()
            .find(|row| row["sampler"] == sampler && row["steps"] == steps)
            .unwrap_or_else(|| panic!("{told}"))
            .clone()
    };
    for sampler in ["ddim", "dpm-solver++", "unipc"] {
        let (few, many) = (row(sampler, 10), row(sampler, 40));
        assert_eq!((few["calls"].as_u64(), many["calls"].as_u64()), (Some(10), Some(40)), "{sampler}");
        assert!(many["error"].as_f64().unwrap() < 0.5 * few["error"].as_f64().unwrap(), "{sampler}: {few} {many}");
    }
    assert!(row("dpm-solver++", 40)["error"].as_f64() < row("ddim", 40)["error"].as_f64());
    for name in ["compare.html", "compare.png"] {
        assert!(folder.path().join("pictures").join(name).metadata().unwrap().len() > 1000, "{name}");
    }
    let table = text(&done(folder.path(), "compare ornstein-uhlenbeck --steps 10 --n 4").stdout);
    assert!(table.contains("sampler") && table.contains("ddim"), "{table}");
    assert!(refused(folder.path(), "compare edn").contains("did you mean `edm`?"));
}

//! The kept corpus of the fuzz targets, through the functions of the targets.
use std::{fs, path::Path};

#[path = "../../../fuzz/src/data.rs"]
mod data;

#[test]
fn the_kept_corpus_of_the_fuzz_targets_runs_without_a_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in data::TARGETS {
        let folder = corpus.join(name);
        let list = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut cases: Vec<_> = list.map(|entry| entry.unwrap().path()).collect();
        cases.sort();
        assert!(cases.len() >= 5, "{name} has {} cases", cases.len());
        for case in cases {
            let bytes = fs::read(&case).unwrap();
            let ran = std::panic::catch_unwind(|| target(&bytes));
            assert!(ran.is_ok(), "the target `{name}` panics on {}", case.display());
        }
    }
    data::clean();
}

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

/// What a page announces is checked before memory is taken for it.
#[test]
fn parquet_pages_that_announce_more_than_they_can_hold_are_refused() {
    use tweedie_data::{Parquet, Source, Split};
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/parquet");
    let load = |name: &str| {
        let settings = Parquet { path: corpus.join(name), held_out: 0, ..Parquet::default() };
        settings.load(Split::Train).map_or_else(|error| error.to_string(), |_| "read".into())
    };
    let huge = load("page-of-gigabytes");
    assert!(huge.contains("a page of 76 bytes announces 2147483647 after decompression"), "{huge}");
    let many = load("dictionary-of-many");
    assert!(many.contains("a dictionary announces") && many.contains("bytes"), "{many}");
    for whole in ["snappy", "zstd", "lz4", "brotli", "gzip", "none", "v2"] {
        assert_eq!(load(whole), "read", "{whole}");
    }
}

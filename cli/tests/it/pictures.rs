//! `tweedie plot gallery`, with every page opened in headless Chromium if it is installed.
use super::chromium::{READER, browser, visit};
use std::{fs, path::PathBuf, process::Command};

#[test]
fn the_pages_of_the_gallery_are_small_and_interactive() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("gallery");
    let done =
        Command::new(env!("CARGO_BIN_EXE_tweedie")).args(["plot", "gallery", "--out"]).arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let files: Vec<PathBuf> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    let pages: Vec<&PathBuf> = files.iter().filter(|path| path.extension().is_some_and(|e| e == "html")).collect();
    assert_eq!(pages.len(), 13, "twelve pages and an index");
    assert!(files.len() > pages.len() + 12, "at least one picture per page");
    for page in &pages {
        let size = page.metadata().unwrap().len();
        assert!(size < 5_000_000, "{} has {size} bytes", page.display());
    }
    let Some(browser) = browser() else { return };
    for page in pages.into_iter().filter(|page| !page.ends_with("index.html")) {
        let report = visit(&browser, &fs::read_to_string(page).unwrap(), READER);
        let place = page.display();
        assert_eq!(report["wrong"], serde_json::json!([]), "{place}");
        let panels = report["panels"].as_array().unwrap();
        assert!(!panels.is_empty(), "{place}");
        for panel in panels {
            assert!(
                panel["hover"]["tip"].as_str().is_some_and(|tip| tip.contains(" = ")),
                "{place}: {:?}",
                panel["hover"]
            );
            assert_eq!(panel["restored"], true, "{place}");
            assert_eq!(panel["labels"], serde_json::json!([]), "{place}");
        }
        for slider in report["sliders"].as_array().unwrap() {
            assert_eq!(slider["moved"], true, "{place}");
        }
    }
}

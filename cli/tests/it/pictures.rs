//! `tweedie plot gallery`, with every page opened in headless Chromium if it is installed.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Records errors from the first line of the page on.
const BEFORE: &str = "<head><script>window.wrong = [];
addEventListener('error', (e) => wrong.push(String(e.message)));
addEventListener('unhandledrejection', (e) => wrong.push(String(e.reason)));
console.error = console.warn = (...words) => wrong.push(words.join(' '));
</script>";
/// Hovers, zooms and moves sliders, and reports the results.
const READER: &str = include_str!("../../../plot/tests/it/reader.js");

fn browser() -> Option<PathBuf> {
    let names = std::env::var("CHROMIUM").map_or_else(
        |_| ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from).to_vec(),
        |path| vec![PathBuf::from(path)],
    );
    names.into_iter().find(|name| Command::new(name).args(["--version", "--no-sandbox"]).output().is_ok())
}

/// The report of a page.
fn read(browser: &Path, page: &Path, folder: &Path) -> serde_json::Value {
    let html = fs::read_to_string(page).unwrap().replacen("<head>", BEFORE, 1);
    let html = html.replace("</body>", &format!("<script>{READER}</script></body>"));
    let path = folder.join("read.html");
    fs::write(&path, html).unwrap();
    let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                 --disable-component-update --disable-sync --enable-logging=stderr --window-size=1280,900 \
                 --virtual-time-budget=20000 --dump-dom";
    // On a loaded machine the browser sometimes ends without a report: a page fails if that happens three times in a row.
    let attempt = || {
        let output = Command::new(browser)
            .args(flags.split_whitespace())
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("file://{}", path.display()))
            .output()
            .unwrap();
        let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{}: messages on the console: {console:?}", page.display());
        let report = dom.split("<pre id=\"report\">").nth(1).and_then(|rest| rest.split("</pre>").next());
        report.map(str::to_owned).ok_or_else(|| log.into_owned())
    };
    let report = attempt().or_else(|_| attempt()).or_else(|_| attempt());
    let report = report.unwrap_or_else(|log| panic!("{} did not finish:\n{log}", page.display()));
    serde_json::from_str(&report.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap()
}

#[test]
fn the_pages_of_the_gallery_are_small_and_interactive() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("gallery");
    let done =
        Command::new(env!("CARGO_BIN_EXE_tweedie")).args(["plot", "gallery", "--out"]).arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let files: Vec<PathBuf> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    let pages: Vec<&PathBuf> = files.iter().filter(|path| path.extension().is_some_and(|e| e == "html")).collect();
    assert_eq!(pages.len(), 12, "eleven pages and an index");
    assert!(files.len() > pages.len() + 11, "at least one picture per page");
    for page in &pages {
        let size = page.metadata().unwrap().len();
        assert!(size < 5_000_000, "{} has {size} bytes", page.display());
    }
    let Some(browser) = browser() else {
        eprintln!("skipped: no chromium, chromium-browser or google-chrome here, and CHROMIUM names none");
        return;
    };
    for page in pages.into_iter().filter(|page| !page.ends_with("index.html")) {
        let report = read(&browser, page, folder.path());
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
        }
        for slider in report["sliders"].as_array().unwrap() {
            assert_eq!(slider["moved"], true, "{place}");
        }
    }
}

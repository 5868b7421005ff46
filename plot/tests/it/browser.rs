//! Pages in headless Chromium: no errors, the same points as in the still picture, tooltips, zoom, rotation, sliders.
use crate::figures::all;
use crate::still::drawn;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tweedie_plot::scene::{Map, Scene};
use tweedie_plot::{Page, Shape, Theme};

/// Collects errors and warnings from the first line of the page on.
const BEFORE: &str = "<script>window.wrong = [];
addEventListener('error', (e) => wrong.push(String(e.message)));
addEventListener('unhandledrejection', (e) => wrong.push(String(e.reason)));
console.error = console.warn = (...words) => wrong.push(words.join(' '));
</script>";

/// Operates the page as a reader would, and writes a report into it.
const AFTER: &str = include_str!("reader.js");

/// A browser that is installed, if there is one.
fn browser() -> Option<PathBuf> {
    let names = std::env::var("CHROMIUM").map_or_else(
        |_| ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from).to_vec(),
        |path| vec![PathBuf::from(path)],
    );
    names.into_iter().find(|name| Command::new(name).args(["--version", "--no-sandbox"]).output().is_ok())
}

/// The report of a page that was opened in the browser; messages in the console are failures.
fn visit(browser: &PathBuf, html: &str) -> Value {
    let folder = std::env::temp_dir().join(format!("tweedie-plot-browser-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("page.html");
    let html = html.replace("<head>", &format!("<head>{BEFORE}"));
    std::fs::write(&page, html.replace("</body>", &format!("<script>{AFTER}</script></body>"))).unwrap();
    let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                 --disable-component-update --disable-sync --enable-logging=stderr --window-size=1280,900 \
                 --virtual-time-budget=20000 --dump-dom";
    // On a loaded machine the browser sometimes ends without a report: a page fails if that happens three times in a row.
    let attempt = || {
        let output = Command::new(browser)
            .args(flags.split_whitespace())
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "messages in the console: {console:?}");
        let report = dom.split("<pre id=\"report\">").nth(1).and_then(|rest| rest.split("</pre>").next());
        report.map(str::to_owned).ok_or_else(|| log.into_owned())
    };
    let report = attempt().or_else(|_| attempt()).or_else(|_| attempt());
    std::fs::remove_dir_all(&folder).unwrap();
    let report = report.unwrap_or_else(|log| panic!("the page has no report:\n{log}"));
    let report = report.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&report).unwrap()
}

fn pair(value: &Value) -> [f64; 2] {
    [value[0].as_f64().unwrap_or(f64::NAN), value[1].as_f64().unwrap_or(f64::NAN)]
}

#[test]
fn pages_work_in_a_browser_and_match_still_pictures() {
    let Some(browser) = browser() else {
        eprintln!("skipped: chromium, chromium-browser or google-chrome is not installed, and CHROMIUM is not set");
        return;
    };
    let (names, figures): (Vec<_>, Vec<_>) = all().into_iter().unzip();
    let page = Page { title: "All".into(), figures: figures.clone(), ..Page::default() };
    let report = visit(&browser, &page.html(&[]));
    assert_eq!(report["wrong"].as_array().unwrap(), &Vec::<Value>::new());
    let panels = report["panels"].as_array().unwrap();
    assert_eq!(panels.len(), figures.iter().map(|f| f.panels.len()).sum::<usize>());
    let mut at = panels.iter();
    let (mut compared, mut hovered) = (0, 0);
    for (name, figure) in names.iter().zip(&figures) {
        let scene = Scene::new(figure, Theme::Light, figure.start());
        for (p, panel) in figure.resolved().panels.iter().enumerate() {
            let seen = at.next().unwrap();
            let place = format!("{name}, panel {p}");
            // The same points as in the still picture.
            for (m, mark) in panel.marks.iter().enumerate().filter(|(_, m)| m.seen(figure.start())) {
                if matches!(mark.shape, Shape::Text { .. }) {
                    continue;
                }
                let still = drawn(&scene, p, m);
                let live: Vec<[f64; 2]> = seen["drawn"][m.to_string()].as_array().unwrap().iter().map(pair).collect();
                assert_eq!(live.len(), still.len(), "{place}, mark {m}: points drawn");
                compared += still.len();
                agree(&still, &live, mark, &scene.maps[p], &format!("{place}, mark {m}"));
            }
            // The tooltip at a point of a mark shows its values.
            if let Some(hover) = seen["hover"].as_object() {
                let (target, tip) = (hover["target"].as_f64().unwrap(), hover["tip"].as_str().unwrap());
                assert!(tip.contains(" = "), "{place}: the tooltip at x = {target} is {tip:?}");
                if let Some(first) = hover["value"].as_f64().filter(|_| panel.z.is_none() && !panel.bare) {
                    let range = panel.x.range.unwrap();
                    let far = if panel.x.log {
                        (first / target).log10().abs() / (range[1] / range[0]).log10()
                    } else {
                        (first - target).abs() / (range[1] - range[0])
                    };
                    assert!(far < 0.1, "{place}: the tooltip at x = {target} is {tip:?}");
                }
                hovered += 1;
            }
            if panel.z.is_some() {
                assert!(seen["turned"].as_bool().unwrap(), "{place}: dragging does not rotate the surface");
            } else if !panel.bare {
                assert!(seen["zoomed"].as_bool().unwrap(), "{place}: dragging does not zoom");
            }
            assert!(seen["restored"].as_bool().unwrap(), "{place}: a double click does not reset the view");
        }
    }
    assert!(compared > 20_000 && hovered > 25, "{compared} points compared, {hovered} tooltips");
    let sliders = report["sliders"].as_array().unwrap();
    assert_eq!(sliders.len(), figures.iter().filter(|f| f.slider.is_some()).count());
    for slider in sliders {
        assert!(slider["moved"].as_bool().unwrap(), "the slider {} does not change a panel", slider["label"]);
        assert_ne!(slider["before"], slider["after"], "the slider shows its value");
    }
    assert!(report["dark"].as_bool().unwrap(), "the button switches the theme");
    assert!(report["legend"].as_bool().unwrap(), "a click on a legend entry hides its mark");
}

/// Compares points in the plane one by one; in three dimensions, where the order of equally distant elements may
/// differ, by their moments.
fn agree(still: &[[f64; 2]], live: &[[f64; 2]], mark: &tweedie_plot::Mark, map: &Map, place: &str) {
    match map {
        Map::Plane { x, y, log, .. } => {
            let long = |r: &[f64; 2], log: bool| if log { (r[1] / r[0]).log10() } else { r[1] - r[0] };
            let slack = [1e-4 * long(x, log[0]), 1e-4 * long(y, log[1])];
            for (i, (a, b)) in still.iter().zip(live).enumerate() {
                // The barbs of arrows have a fixed length in pixels; only the shafts are data.
                if matches!(mark.shape, Shape::Arrows { .. }) && i % 5 > 1 {
                    continue;
                }
                // The ends of a line through the whole panel depend on the panel.
                let across = matches!(mark.shape, Shape::Vertical { .. }) && i % 2 < 2;
                let along = matches!(mark.shape, Shape::Horizontal { .. });
                let near = |axis: usize| (a[axis] - b[axis]).abs() < slack[axis];
                assert!((near(0) || along) && (near(1) || across), "{place}, point {i}: {a:?} and {b:?}");
            }
        }
        Map::Space(_) => {
            let moments = |points: &[[f64; 2]]| {
                let n = points.len() as f64;
                let mean = |f: &dyn Fn(&[f64; 2]) -> f64| points.iter().map(f).sum::<f64>() / n;
                [
                    mean(&|p| p[0]),
                    mean(&|p| p[1]),
                    mean(&|p| p[0] * p[0]),
                    mean(&|p| p[1] * p[1]),
                    mean(&|p| p[0] * p[1]),
                ]
            };
            for (a, b) in moments(still).into_iter().zip(moments(live)) {
                assert!((a - b).abs() < 1e-5, "{place}: moments {a} and {b}");
            }
        }
    }
}

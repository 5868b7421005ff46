//! Pages in headless Chromium: no errors, the same drawing as the still picture, hovering, zooming, turning, sliding.
use crate::figures::all;
use crate::still::drawn;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tweedie_plot::scene::{Map, Scene};
use tweedie_plot::{Page, Shape, Theme};

/// Collects what goes wrong, from the first line of the page on.
const BEFORE: &str = "<script>window.wrong = [];
addEventListener('error', (e) => wrong.push(String(e.message)));
addEventListener('unhandledrejection', (e) => wrong.push(String(e.reason)));
console.error = console.warn = (...words) => wrong.push(words.join(' '));
</script>";

/// Does what a reader would do, and writes down what happens.
const AFTER: &str = include_str!("reader.js");

/// A browser that can be started, if there is one.
fn browser() -> Option<PathBuf> {
    let names = std::env::var("CHROMIUM").map_or_else(
        |_| ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from).to_vec(),
        |path| vec![PathBuf::from(path)],
    );
    names.into_iter().find(|name| Command::new(name).args(["--version", "--no-sandbox"]).output().is_ok())
}

/// What the page says of itself after a visit, and what the browser says of the page.
fn visit(browser: &PathBuf, html: &str) -> Value {
    let folder = std::env::temp_dir().join(format!("tweedie-plot-browser-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("page.html");
    let html = html.replace("<head>", &format!("<head>{BEFORE}"));
    std::fs::write(&page, html.replace("</body>", &format!("<script>{AFTER}</script></body>"))).unwrap();
    let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                 --disable-component-update --disable-sync --enable-logging=stderr --window-size=1280,900 \
                 --virtual-time-budget=20000 --dump-dom";
    let output = Command::new(browser)
        .args(flags.split_whitespace())
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "the console says: {console:?}");
    let report = dom.split("<pre id=\"report\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let report = report.unwrap_or_else(|| panic!("the page did not get to its end:\n{log}"));
    let report = report.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&report).unwrap()
}

fn pair(value: &Value) -> [f64; 2] {
    [value[0].as_f64().unwrap_or(f64::NAN), value[1].as_f64().unwrap_or(f64::NAN)]
}

#[test]
fn pages_work_in_a_browser() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no chromium, chromium-browser or google-chrome here, and CHROMIUM names none");
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
            // Pointing at a point of a mark shows the values there.
            if let Some(hover) = seen["hover"].as_object() {
                let (target, said) = (hover["target"].as_f64().unwrap(), hover["tip"].as_str().unwrap());
                assert!(said.contains(" = "), "{place}: pointing at x = {target} says {said:?}");
                if let Some(first) = hover["value"].as_f64().filter(|_| panel.z.is_none() && !panel.bare) {
                    let range = panel.x.range.unwrap();
                    let far = if panel.x.log {
                        (first / target).log10().abs() / (range[1] / range[0]).log10()
                    } else {
                        (first - target).abs() / (range[1] - range[0])
                    };
                    assert!(far < 0.1, "{place}: pointing at x = {target} says {said:?}");
                }
                hovered += 1;
            }
            if panel.z.is_some() {
                assert!(seen["turned"].as_bool().unwrap(), "{place}: dragging does not turn the surface");
            } else if !panel.bare {
                assert!(seen["zoomed"].as_bool().unwrap(), "{place}: dragging does not zoom");
            }
            assert!(seen["restored"].as_bool().unwrap(), "{place}: a double click does not bring the start back");
        }
    }
    assert!(compared > 20_000 && hovered > 25, "{compared} points compared, {hovered} panels pointed at");
    let sliders = report["sliders"].as_array().unwrap();
    assert_eq!(sliders.len(), figures.iter().filter(|f| f.slider.is_some()).count());
    for slider in sliders {
        assert!(slider["moved"].as_bool().unwrap(), "the slider {} moves nothing", slider["label"]);
        assert_ne!(slider["before"], slider["after"], "the slider says where it is");
    }
    assert!(report["dark"].as_bool().unwrap(), "the button changes light to dark");
    assert!(report["legend"].as_bool().unwrap(), "an entry of the legend hides its mark");
}

/// In the plane point for point; in space, where what is equally far may be drawn in any order, by their moments.
fn agree(still: &[[f64; 2]], live: &[[f64; 2]], mark: &tweedie_plot::Mark, map: &Map, place: &str) {
    match map {
        Map::Plane { x, y, log, .. } => {
            let long = |r: &[f64; 2], log: bool| if log { (r[1] / r[0]).log10() } else { r[1] - r[0] };
            let slack = [1e-4 * long(x, log[0]), 1e-4 * long(y, log[1])];
            for (i, (a, b)) in still.iter().zip(live).enumerate() {
                // The barbs of arrows are as long on any page: only their shafts are data.
                if matches!(mark.shape, Shape::Arrows { .. }) && i % 5 > 1 {
                    continue;
                }
                // A line through the whole panel ends where the panel ends.
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

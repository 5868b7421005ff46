//! Pages in headless Chromium: no errors, the same points as in the still picture, tooltips, zoom, rotation, sliders.
use crate::chromium::{READER, browser, visit};
use crate::figures::{all, extreme};
use crate::still::drawn;
use serde_json::Value;
use tweedie_plot::scene::{Map, Scene};
use tweedie_plot::{Page, Shape, Theme};

fn pair(value: &Value) -> [f64; 2] {
    [value[0].as_f64().unwrap_or(f64::NAN), value[1].as_f64().unwrap_or(f64::NAN)]
}

#[test]
fn pages_work_in_a_browser_and_match_still_pictures() {
    let Some(browser) = browser() else { return };
    let (names, figures): (Vec<_>, Vec<_>) = all().into_iter().unzip();
    let page = Page { title: "All".into(), figures: figures.clone(), ..Page::default() };
    let report = visit(&browser, &page.html(&[]), READER);
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
            assert_eq!(seen["labels"].as_array().unwrap(), &Vec::<Value>::new(), "{place}");
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

/// Checks the labels alone, at widths of the window from that of a telephone on.
const LABELS: &str = "plots.ready.then(() => {
  const panels = [];
  for (const width of [360, 700, 1280]) {
    document.body.style.width = `${width}px`;
    for (const panel of plots.panels) panels.push({ width, labels: (panel.draw(), panel.misplaced()) });
  }
  done({ wrong, panels, sideways: document.documentElement.scrollWidth - window.innerWidth });
});";

#[test]
fn labels_in_pages_are_whole_at_every_width() {
    let Some(browser) = browser() else { return };
    let (names, figures): (Vec<_>, Vec<_>) = extreme().into_iter().unzip();
    let page = Page { title: "A long title ".repeat(30), figures: figures.clone(), ..Page::default() };
    let report = visit(&browser, &page.html(&[]), LABELS);
    assert_eq!(report["wrong"].as_array().unwrap(), &Vec::<Value>::new());
    let places: Vec<String> = names
        .iter()
        .zip(&figures)
        .flat_map(|(n, f)| (0..f.panels.len()).map(move |p| format!("{n}, panel {p}")))
        .collect();
    let panels = report["panels"].as_array().unwrap();
    assert_eq!(panels.len(), 3 * places.len());
    for (panel, place) in panels.iter().zip(places.iter().cycle()) {
        assert_eq!(panel["labels"].as_array().unwrap(), &Vec::<Value>::new(), "{place} at {}", panel["width"]);
    }
    assert!(report["sideways"].as_f64().unwrap() <= 0.0, "the page is wider than the window: {}", report["sideways"]);
}

#[test]
fn texts_of_svg_files_are_whole_in_a_browser() {
    let Some(browser) = browser() else { return };
    let figures: Vec<_> = all().into_iter().map(|(name, figure)| (name.to_owned(), figure)).chain(extreme()).collect();
    let svgs: Vec<String> = figures.iter().map(|(_, figure)| figure.svg(Theme::Light)).collect();
    let html = format!("<!doctype html><html><head></head><body>{}</body></html>", svgs.join("\n"));
    let script = "done({ cut: [...document.querySelectorAll('svg')].map((svg) => [...svg.querySelectorAll('text')]
      .filter((text) => {
        const [b, out] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
        return b.left < out.left - 1 || b.right > out.right + 1 || b.top < out.top - 1 || b.bottom > out.bottom + 1;
      }).map((text) => text.textContent)), wrong });";
    let report = visit(&browser, &html, script);
    for ((name, _), cut) in figures.iter().zip(report["cut"].as_array().unwrap()) {
        assert_eq!(cut.as_array().unwrap(), &Vec::<Value>::new(), "{name}");
    }
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

//! Still pictures, pages as text, and what both renderers must agree on.
use crate::figures::all;
use tweedie_plot::scene::{Draw, Map, Scene};
use tweedie_plot::{Figure, Page, Pixels, Shape, Theme};

/// The points that a still picture draws of a mark, mapped back from pixels: to data coordinates for a plane, to
/// coordinates of the projection for a box.
pub fn drawn(scene: &Scene, panel: usize, mark: usize) -> Vec<[f64; 2]> {
    let items = scene.items.iter().filter(|item| item.mark == Some((panel, mark)));
    let points = items.flat_map(|item| match &item.draw {
        Draw::Path { pieces, .. } => pieces.concat(),
        Draw::Dot { at, .. } => vec![*at],
        Draw::Image { over: [x, y, w, h], .. } => vec![[*x, *y], [x + w, y + h]],
        Draw::Text { .. } => Vec::new(),
    });
    points.map(|p| unmapped(&scene.maps[panel], p)).collect()
}

fn unmapped(map: &Map, [px, py]: [f64; 2]) -> [f64; 2] {
    match map {
        Map::Space(p) => [(px - p.center[0]) / p.scale, (p.center[1] - py) / p.scale],
        Map::Plane { over: [left, top, width, height], x, y, log } => {
            let along = |[low, high]: [f64; 2], log: bool, w: f64| {
                if log { low.log10() + w * (high / low).log10() } else { low + w * (high - low) }
            };
            [along(*x, log[0], (px - left) / width), along(*y, log[1], 1.0 - (py - top) / height)]
        }
    }
}

#[test]
fn a_still_picture_draws_the_numbers_of_the_figure() {
    let mut compared = 0;
    for (name, figure) in all() {
        let scene = Scene::new(&figure, Theme::Light, figure.start());
        for (p, panel) in figure.resolved().panels.iter().enumerate() {
            for (m, mark) in panel.marks.iter().enumerate().filter(|(_, m)| m.seen(figure.start())) {
                let (x, y) = match &mark.shape {
                    Shape::Line { x, y } | Shape::Points { x, y, .. } => (x, y),
                    _ => continue,
                };
                let log = |on: bool, v: f64| if on { v.log10() } else { v };
                let held = x.iter().zip(y.iter()).map(|(&x, &y)| [log(panel.x.log, x), log(panel.y.log, y)]);
                let ranges = [&panel.x, &panel.y].map(|axis| axis.range.unwrap().map(|end| log(axis.log, end)));
                let dots = matches!(mark.shape, Shape::Points { .. });
                // Dots outside of the axes are left out.
                let shown = |p: &[f64; 2]| {
                    let slack = |i: usize| 2e-3 * (ranges[i][1] - ranges[i][0]);
                    let inside = |i: usize| p[i] > ranges[i][0] - slack(i) && p[i] < ranges[i][1] + slack(i);
                    p[0].is_finite() && p[1].is_finite() && (!dots || panel.equal || (inside(0) && inside(1)))
                };
                let held: Vec<_> = held.filter(shown).collect();
                let seen = drawn(&scene, p, m);
                assert!(seen.len() == held.len(), "{name} {p} {m}: {} {}", seen.len(), held.len());
                for (a, b) in seen.iter().zip(&held) {
                    let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * (1.0 + b.abs());
                    assert!(near(a[0], b[0]) && near(a[1], b[1]), "{name} {p} {m}: {a:?} {b:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 5000, "only {compared} points were compared");
}

#[test]
fn every_figure_is_drawn_in_both_themes_with_glyphs_that_exist() {
    for (name, figure) in all() {
        assert_eq!(figure.missing_glyphs(), Vec::<char>::new(), "{name}");
        let (light, dark) = (figure.png(Theme::Light), figure.png(Theme::Dark));
        let size = |bytes: &[u8]| {
            let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            (reader.info().width, reader.info().height)
        };
        assert_eq!(size(&light), size(&dark), "{name}");
        assert!(size(&light).0 >= 1400 && light.len() > 2_000 && light != dark, "{name}");
        let svg = figure.svg(Theme::Dark);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && !svg.contains("NaN"), "{name}");
        assert!(!svg.contains("<b>"), "{name}: text is escaped");
    }
}

#[test]
fn a_page_is_small_and_loads_nothing_from_outside() {
    for (name, figure) in all() {
        let page = Page { slug: name.into(), title: name.into(), figures: vec![figure], ..Page::default() };
        let html = page.html(&[("index.html", "Gallery")]);
        assert!(html.len() < 700_000, "{name}: {} bytes", html.len());
        for outside in ["src=\"http", "href=\"http", "url(http", "@import", "fetch("] {
            assert!(!html.contains(outside), "{name}: {outside}");
        }
    }
}

#[test]
fn text_cannot_end_the_script_early() {
    let figure = Figure::new("</script><script>alert(1)</script>", 1);
    let page = Page { title: "a < b".into(), text: "</p>".into(), figures: vec![figure], ..Page::default() };
    let html = page.html(&[]);
    assert_eq!(html.matches("</script>").count(), 2, "the figures and the script, and none from text");
    assert!(html.contains("<h1>a &lt; b</h1>"));
}

#[test]
fn pixels_survive_a_png_file_and_shrinking_keeps_the_mean() {
    let values: Vec<f64> = (0..5 * 4 * 3).map(|i| f64::from(i) / 59.0).collect();
    let pixels = Pixels::from_values(5, 4, &values, [0.0, 1.0]);
    let bytes = pixels.png();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
    let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut decoded).unwrap();
    assert_eq!(decoded, pixels.rgb);
    // Shrinking keeps constant grays and the mean.
    let gray = Pixels::from_values(64, 32, &[0.5; 64 * 32], [0.0, 1.0]).shrunk(10);
    assert_eq!((gray.width, gray.height), (10, 5));
    assert!(gray.rgb.iter().all(|&v| v == 128));
    let mean = |p: &Pixels| p.rgb.iter().map(|&v| f64::from(v)).sum::<f64>() / p.rgb.len() as f64;
    let ramp: Vec<f64> = (0..60 * 60).map(|i| f64::from(i % 60) / 59.0).collect();
    let ramp = Pixels::from_values(60, 60, &ramp, [0.0, 1.0]);
    assert!((mean(&ramp.shrunk(7)) - mean(&ramp)).abs() < 1.0);
    assert_eq!(ramp.shrunk(100), ramp);
}

#[test]
fn a_site_has_an_index_with_a_link_to_every_page() {
    let folder = std::env::temp_dir().join(format!("tweedie-plot-site-{}", std::process::id()));
    let pages = all().into_iter().take(3).map(|(name, figure)| Page {
        slug: name.into(),
        title: format!("{name}: a page"),
        text: "One sentence. Another.".into(),
        figures: vec![figure],
        ..Page::default()
    });
    let site = tweedie_plot::gallery::Site { title: "Gallery".into(), text: "All.".into(), pages: pages.collect() };
    let stills = tweedie_plot::gallery::Stills { theme: Theme::Light, svg: true };
    let written = site.write(&folder, stills).unwrap();
    assert_eq!(written.len(), 10, "page, PNG and SVG of three pages, and the index");
    assert!(written.iter().all(|path| path.is_file()));
    let index = std::fs::read_to_string(folder.join("index.html")).unwrap();
    for name in ["univariate", "families", "surface"] {
        assert!(index.contains(&format!("href=\"{name}.html\"")) && index.contains(&format!("src=\"{name}.png\"")));
        let page = std::fs::read_to_string(folder.join(format!("{name}.html"))).unwrap();
        assert!(page.contains("index.html") && page.contains("surface.html") == (name != "surface"));
    }
    assert!(!index.contains("Another."), "a card has one sentence");
    std::fs::remove_dir_all(folder).unwrap();
}

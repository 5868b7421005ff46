//! Labels: whole, apart from one another, and numbers as they are written in print.
use crate::figures::{all, extreme};
use tweedie_plot::scene::{Draw, Scene};
use tweedie_plot::{Figure, Page, Theme};

fn figures() -> impl Iterator<Item = (String, Figure)> {
    all().into_iter().map(|(name, figure)| (name.to_owned(), figure)).chain(extreme())
}

/// The texts of a scene with the rectangles that they cover.
fn texts(scene: &Scene) -> Vec<(&str, [f64; 4])> {
    let text = |draw: &'_ Draw| draw.text_box();
    let named = scene.items.iter().filter_map(|item| Some((&item.draw, text(&item.draw)?)));
    named
        .filter_map(|(draw, over)| match draw {
            Draw::Text { text, .. } if !text.is_empty() => Some((text.as_str(), over)),
            _ => None,
        })
        .collect()
}

#[test]
fn labels_are_within_the_picture_and_do_not_overlap() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, figure) in figures() {
        let frames = figure.slider.as_ref().map_or(1, |slider| slider.values.len());
        for frame in [0, frames - 1] {
            let scene = Scene::new(&figure, Theme::Light, frame);
            let all = texts(&scene);
            count += all.len();
            for (i, (text, [x, y, w, h])) in all.iter().enumerate() {
                if *x < 0.0 || *y < 0.0 || x + w > scene.width || y + h > scene.height {
                    wrong.push(format!("{name}: cut: {text}: {x:.0} {y:.0} {w:.0} {h:.0}"));
                }
                for (other, [a, b, c, d]) in &all[..i] {
                    if x + 1.0 < a + c && a + 1.0 < x + w && y + 1.0 < b + d && b + 1.0 < y + h {
                        wrong.push(format!("{name}: {text} covers {other}"));
                    }
                }
            }
        }
    }
    assert!(count > 5000, "{count}");
    assert!(wrong.is_empty(), "{} misplaced:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// Whether a text has a zero with a sign, such as −0 or -0.00.
fn signed_zero(text: &str) -> bool {
    text.split(['-', '−']).skip(1).any(|rest| {
        let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        number.starts_with('0') && !number.contains(|c: char| ('1'..='9').contains(&c))
    })
}

/// A text without the images in it, whose letters are arbitrary.
fn without_images(text: &str) -> String {
    let parts = text.split("base64,").enumerate();
    parts.map(|(i, part)| if i == 0 { part } else { part.split_once('"').map_or("", |(_, rest)| rest) }).collect()
}

#[test]
fn no_number_is_minus_zero_or_not_a_number() {
    assert!(signed_zero("from −0 on") && signed_zero("-0.00") && !signed_zero("−0.05") && !signed_zero("10⁻⁰"));
    for (name, figure) in figures() {
        let scene = Scene::new(&figure, Theme::Light, figure.start());
        for (text, _) in texts(&scene) {
            assert!(!signed_zero(text) && !text.contains("NaN") && !text.contains("inf"), "{name}: {text}");
        }
        let svg = without_images(&figure.svg(Theme::Light));
        for wrong in ["NaN", "inf", "-0.00 ", "\"-0\"", "\"-0.0\""] {
            assert!(!svg.contains(wrong), "{name}: {wrong} in the SVG file");
        }
        // In a page, what is not finite is null.
        let page = Page { title: name.clone(), figures: vec![figure], ..Page::default() }.html(&[]);
        let page = without_images(&page);
        let data = page.split("id=\"figures\">").nth(1).unwrap().split("</script>").next().unwrap();
        for wrong in ["NaN", "Infinity", ":-0.0,", ":-0.0}", ",-0.0,", ",-0.0]", "[-0.0,", "[-0.0]"] {
            assert!(!data.contains(wrong), "{name}: {wrong} in the page");
        }
    }
}

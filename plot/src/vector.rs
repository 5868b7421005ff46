//! Scenes as SVG.
use crate::html::escape;
use crate::scene::{Draw, Item, Scene};
use crate::text::{self, Anchor};
use crate::theme::Rgba;
use std::fmt::Write;

/// The scene as the text of an SVG file.
pub fn svg(scene: &Scene) -> String {
    let (w, h) = (scene.width, scene.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         font-family=\"'DejaVu Sans Condensed','DejaVu Sans',Verdana,sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
        scene.paper.hex()
    );
    let mut clips: Vec<[f64; 4]> = Vec::new();
    for item in &scene.items {
        let clip = item.clip.map(|over| {
            clips.iter().position(|c| *c == over).unwrap_or_else(|| {
                let [x, y, w, h] = over;
                let id = clips.len();
                let _ = writeln!(
                    out,
                    "<clipPath id=\"c{id}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" \
                     height=\"{h:.1}\"/></clipPath>"
                );
                clips.push(over);
                id
            })
        });
        let clip = clip.map(|id| format!(" clip-path=\"url(#c{id})\"")).unwrap_or_default();
        draw(item, &clip, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(item: &Item, clip: &str, out: &mut String) {
    // Writing to a string does not fail.
    let _ = match &item.draw {
        Draw::Path { pieces, closed, fill, stroke } => {
            let mut d = String::new();
            for piece in pieces {
                for (i, [x, y]) in piece.iter().enumerate() {
                    let _ = write!(d, "{}{} {}", if i == 0 { "M" } else { "L" }, px(*x), px(*y));
                }
                if *closed {
                    d.push('Z');
                }
            }
            let paint = |name: &str, color: Option<Rgba>| match color {
                None => format!(" {name}=\"none\""),
                Some(c) if c.3 >= 1.0 => format!(" {name}=\"{}\"", c.hex()),
                Some(c) => format!(" {name}=\"{}\" {name}-opacity=\"{:.3}\"", c.hex(), c.3),
            };
            let mut line = paint("stroke", stroke.map(|s| s.color));
            if let Some(s) = stroke {
                let _ = write!(line, " stroke-width=\"{}\" stroke-linejoin=\"round\"", s.width);
                if s.dashed {
                    line.push_str(" stroke-dasharray=\"6 4\"");
                }
            }
            writeln!(out, "<path d=\"{d}\"{}{line}{clip}/>", paint("fill", *fill))
        }
        Draw::Dot { at: [x, y], radius, fill } => writeln!(
            out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" fill=\"{}\" fill-opacity=\"{:.3}\"{clip}/>",
            px(*x),
            px(*y),
            fill.hex(),
            fill.3
        ),
        Draw::Text { at: [x, y], text, size, bold, anchor, color, up } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let turn = if *up { format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"") } else { String::new() };
            let weight = if *bold { " font-weight=\"bold\"" } else { "" };
            // Another font is spaced to the width that the layout counts on.
            let long = match text.chars().nth(1).is_some() && text::is_outlined(text) {
                true => format!(" textLength=\"{:.1}\"", text::width(text, *size, *bold)),
                false => String::new(),
            };
            writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
                 fill=\"{}\"{weight}{long}{turn}>{}</text>",
                color.hex(),
                escape(text)
            )
        }
        Draw::Image { over: [x, y, w, h], pixels, smooth } => {
            let serde_json::Value::String(uri) = serde_json::json!(pixels) else {
                unreachable!("pixels serialize as a URI")
            };
            let look = if *smooth { "" } else { " style=\"image-rendering:pixelated\"" };
            writeln!(
                out,
                "<image x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" preserveAspectRatio=\"none\" \
                 href=\"{uri}\"{look}{clip}/>"
            )
        }
    };
}

/// A coordinate with two decimals; zero has no sign.
fn px(v: f64) -> String {
    let text = format!("{v:.2}");
    if text == "-0.00" { "0.00".into() } else { text }
}

//! Figures as a page that carries all it needs: opened from disk, without a network.
use crate::{Figure, Theme};

const SCRIPT: &str = include_str!("../page/page.js");
const STYLE: &str = include_str!("../page/page.css");

/// A page: what is to be learned, the formula, the figures, and the lines that made them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The file name, without ending.
    pub slug: String,
    /// Above everything.
    pub title: String,
    /// What the figures show, in a sentence or two.
    pub text: String,
    /// The formula that they illustrate, in Unicode.
    pub formula: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The Rust lines that make them.
    pub code: String,
}

/// A link in the head of a page: where to, and its words.
pub type Link<'a> = (&'a str, &'a str);

impl Page {
    /// The page as an HTML file, with links to its neighbours; a link to itself is not one.
    pub fn html(&self, links: &[Link<'_>]) -> String {
        let own = format!("{}.html", self.slug);
        let mut body = format!("<h1>{}</h1>\n", escape(&self.title));
        if !self.text.is_empty() {
            body.push_str(&format!("<p>{}</p>\n", escape(&self.text)));
        }
        if !self.formula.is_empty() {
            body.push_str(&format!("<div class=\"formula\">{}</div>\n", escape(&self.formula)));
        }
        for i in 0..self.figures.len() {
            body.push_str(&format!("<section data-figure=\"{i}\"></section>\n"));
        }
        if !self.code.is_empty() {
            body.push_str(&format!("<h2>In Rust</h2>\n<pre><code>{}</code></pre>\n", escape(&self.code)));
        }
        document(&self.title, &body, &self.figures, links, &own)
    }
}

/// A page of cards that lead to other pages: address, title, text, and a picture as a PNG file.
pub fn index(title: &str, text: &str, cards: &[(String, String, String, String)]) -> String {
    let mut body = format!("<h1>{}</h1>\n<p>{}</p>\n<div class=\"cards\">\n", escape(title), escape(text));
    for (address, title, text, picture) in cards {
        body.push_str(&format!(
            "<a class=\"card\" href=\"{}\"><img src=\"{}\" alt=\"\"><div><h2>{}</h2><p>{}</p></div></a>\n",
            escape(address),
            escape(picture),
            escape(title),
            escape(text)
        ));
    }
    body.push_str("</div>\n");
    document(title, &body, &[], &[], "")
}

fn document(title: &str, body: &str, figures: &[Figure], links: &[Link<'_>], own: &str) -> String {
    let resolved: Vec<Figure> = figures.iter().map(Figure::resolved).collect();
    let themes = serde_json::json!({ "light": Theme::Light.palette(), "dark": Theme::Dark.palette() });
    // A figure is plain data; only "<" could end the script element early.
    let figures = serde_json::to_string(&resolved).expect("figures are plain data").replace('<', "\\u003c");
    let links: String = links
        .iter()
        .map(|(to, words)| match *to == own {
            true => format!("<span class=\"here\">{}</span>", escape(words)),
            false => format!("<a href=\"{}\">{}</a>", escape(to), escape(words)),
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><nav style=\"display:contents\">{links}</nav>\
         <button id=\"theme\" aria-label=\"light or dark\">◐</button></header>\n<main>\n{body}</main>\n\
         <script type=\"application/json\" id=\"figures\">{{\"figures\":{figures},\"themes\":{themes}}}</script>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Text, safe within elements and attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! Figures as self-contained HTML pages, which need no network.
use crate::{figure::Figure, theme::Theme};

const SCRIPT: &str = include_str!("../page/page.js");
const STYLE: &str = include_str!("../page/page.css");

/// A page: a text, a formula, figures, and the code that makes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// File name without extension.
    pub slug: String,
    /// Title.
    pub title: String,
    /// Description of the figures, in a few sentences.
    pub text: String,
    /// Formula that they illustrate, in Unicode.
    pub formula: String,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Rust code that makes them.
    pub code: String,
}

/// A link in the header of a page: its address and its text.
pub type Link<'a> = (&'a str, &'a str);

impl Page {
    /// The page as an HTML file, with links to other pages in its header; a link to itself is shown as plain text.
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

/// An index page, with a card per page: its address, title, text, and the address of a picture.
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
    // Only "<" could end the script element early.
    let figures = serde_json::to_string(&resolved).expect("figures can be serialized").replace('<', "\\u003c");
    let links: String = links
        .iter()
        .map(|(to, text)| match *to == own {
            true => format!("<span class=\"here\">{}</span>", escape(text)),
            false => format!("<a href=\"{}\">{}</a>", escape(to), escape(text)),
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><nav style=\"display:contents\">{links}</nav>\
         <button id=\"theme\" aria-label=\"switch between light and dark\">◐</button></header>\n<main>\n{body}</main>\n\
         <script type=\"application/json\" id=\"figures\">{{\"figures\":{figures},\"themes\":{themes}}}</script>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Text with the characters escaped that HTML elements and attributes do not allow.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

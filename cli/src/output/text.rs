//! Generated text: one line per sample, and an HTML page of sampling trajectories.
use crate::{
    data::{Facts, data_error},
    dyn_model::Known,
};
use std::fmt::Write;
use tweedie::{Error, Result};
use tweedie_data::Codec;

/// Number of samples on the page.
const SHOWN: usize = 24;

/// The token ids of samples and their codec; `None` if the samples are not text.
pub(crate) fn rows<'a>(facts: &'a Facts, values: &[f32]) -> Option<(&'a Codec, Vec<Vec<u32>>)> {
    let codec = facts.categories.as_ref()?.codec()?;
    let length = facts.shape[0].max(1);
    Some((codec, values.chunks(length).map(|row| row.iter().map(|x| x.round() as u32).collect()).collect()))
}

/// Samples as text, one line each, with `\n` for a line break and `\\` for a backslash.
pub(crate) fn lines(facts: &Facts, values: &[f32]) -> Option<String> {
    let (codec, rows) = rows(facts, values)?;
    Some(rows.iter().map(|row| escaped(&codec.decode(row)) + "\n").collect())
}

/// Text with line breaks and backslashes escaped.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

/// The inverse of [`escaped`]; other backslashes stay.
pub(crate) fn unescaped(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line.chars().peekable());
    while let Some(c) = rest.next() {
        let stands = match (c, rest.peek()) {
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('\\')) => Some('\\'),
            _ => None,
        };
        if stands.is_some() {
            rest.next();
        }
        text.push(stands.unwrap_or(c));
    }
    text
}

/// What a text with blanks gives of a sample of `length` tokens: its tokens, and one token for each `blank`; what follows
/// the text is free.
pub(crate) fn known(codec: &Codec, text: &str, blank: Option<char>, length: usize) -> Result<Known> {
    let (mut tokens, mut blanks) = (vec![], vec![]);
    for (i, piece) in text.split(|c| Some(c) == blank).enumerate() {
        if i > 0 {
            blanks.push(tokens.len());
            tokens.push(-1.0);
        }
        let own = codec.vocabulary.encode(piece).map_err(data_error)?;
        tokens.extend(own.into_iter().map(|token| token as f32));
    }
    if tokens.len() > length {
        return Err(Error::invalid(format!(
            "this text has {} tokens, and the model generates {length} tokens per sample: shorten it",
            tokens.len()
        )));
    }
    tokens.resize(length, -1.0);
    Ok(Known { tokens, blanks, end: codec.end() })
}

/// Sampling trajectories of text as a self-contained HTML page.
pub(crate) fn page(facts: &Facts, frames: &[Vec<f32>], times: &[f64], title: &str) -> Option<String> {
    let frames: Vec<(&Codec, Vec<Vec<u32>>)> = frames.iter().map(|frame| rows(facts, frame)).collect::<Option<_>>()?;
    let codec = frames.first()?.0;
    let shown = |category: u32| -> String {
        match codec.end() {
            Some(end) if category == end => "·".into(),
            _ => codec.vocabulary.decode(&[category]).replace('\n', "↵"),
        }
    };
    // Each token once, and the samples as ids.
    let most = frames.iter().flat_map(|(_, rows)| rows.iter().flatten()).copied().max().unwrap_or(0);
    let tokens: Vec<String> = (0..=most).map(shown).collect();
    let samples: Vec<Vec<&Vec<u32>>> = frames.iter().map(|(_, rows)| rows.iter().take(SHOWN).collect()).collect();
    let json = |value: serde_json::Value| value.to_string().replace('<', "\\u003c");
    let mut page = String::from(HEAD);
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(
        page,
        "<title>{title}</title>\n<h1>{title}</h1>\n<p class=\"soft\">From noise (t = 1) to text (t = 0). Tokens that \
         changed are marked; ░ is a mask, ↵ a line break, · the end of a sample.</p>\n <p><button \
         id=\"play\">play</button> <input id=\"at\" type=\"range\" min=\"0\" max=\"{}\" value=\"{}\" \
         aria-label=\"time\"> <output id=\"t\"></output></p>\n<div id=\"text\"></div>\n <script>\nconst tokens = {}, \
         samples = {}, times = {};\n{SCRIPT}</script>\n</html>\n",
        samples.len() - 1,
        samples.len() - 1,
        json(tokens.into()),
        json(serde_json::json!(samples)),
        json(serde_json::json!(times)),
    );
    Some(page)
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --soft: #666c75; --card: #f5f6f8; --new: #bcd8f7; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14161a; --ink: #e6e8eb; --soft: #9aa1ab; --card: #1d2026; --new: #2b4f7a; } }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } .soft { color: var(--soft); margin: 0; }
#at { width: 24rem; max-width: 60%; vertical-align: middle; } button { font: inherit; min-width: 5rem; }
#text p { background: var(--card); border-radius: .5rem; padding: .4rem .8rem; margin: .5rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; font-family: ui-monospace, monospace; }
#text .new { background: var(--new); border-radius: .15rem; } #text .none { color: var(--soft); opacity: .6; }
</style>
"#;

const SCRIPT: &str = r#"const [play, at, t, text] = ["play", "at", "t", "text"].map(id => document.getElementById(id));
const lines = samples[0].map(() => text.appendChild(document.createElement("p")));
function show() {
  const i = Number(at.value);
  t.textContent = "t = " + times[i].toFixed(3);
  lines.forEach((line, row) => {
    line.replaceChildren(...samples[i][row].map((token, position) => {
      const span = document.createElement("span");
      span.textContent = tokens[token];
      if (i > 0 && samples[i - 1][row][position] !== token) span.className = "new";
      if (tokens[token] === "\u2591" || tokens[token] === "\u00b7") span.className += " none";
      return span;
    }));
  });
}
let timer = 0;
play.onclick = () => {
  if (timer) { clearInterval(timer); timer = 0; play.textContent = "play"; return; }
  if (Number(at.value) === samples.length - 1) at.value = 0;
  play.textContent = "pause";
  timer = setInterval(() => {
    at.value = Number(at.value) + 1;
    show();
    if (Number(at.value) >= samples.length - 1) play.click();
  }, 350);
  show();
};
at.oninput = show;
show();
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::categories::{Categories, Shown};
    use tweedie_data::Vocabulary;

    fn facts() -> Facts {
        let codec = Codec { vocabulary: Vocabulary::characters("ab\n<"), ends: true, length: 4 };
        let categories = Categories { count: 5, frequencies: vec![0.2; 5], shown: Shown::Text(codec) };
        Facts { shape: vec![4, 1], categories: Some(categories), ..Facts::default() }
    }

    #[test]
    fn each_sample_is_one_line_whatever_it_contains() {
        // The order of the letters is \n < a b, 4 the end and 5 a mask.
        let values = [2., 0., 3., 4., 4., 2., 2., 2., 1., 5., 2., 3.];
        assert_eq!(lines(&facts(), &values).unwrap(), "a\\nb\n\n<░ab\n");
        assert_eq!(lines(&Facts::default(), &values), None);
        assert_eq!(escaped("a\\n\n"), "a\\\\n\\n");
    }

    #[test]
    fn known_text_becomes_token_ids_and_blanks_become_minus_one() {
        let facts = facts();
        let codec = facts.categories.as_ref().unwrap().codec().unwrap();
        let of = |text: &str, blank, length| known(codec, text, blank, length).unwrap();
        let pattern = of("b_a_", Some('_'), 5);
        assert_eq!((&pattern.tokens[..], &pattern.blanks[..]), (&[3., -1., 2., -1., -1.][..], &[1, 3][..]));
        // Category 4 is the end, 5 the mask; only a blank is never the end.
        let allowed = pattern.allowed(6).unwrap();
        assert_eq!((0..30).filter(|i| allowed[*i] == 0.0).collect::<Vec<_>>(), [10, 22]);
        assert!(of("ba", Some('_'), 5).allowed(6).is_none());
        assert_eq!(of("__a", Some('_'), 4).blanks, [0, 1]);
        assert_eq!(of(&unescaped("a\\n"), None, 2).tokens, [2., 0.]);
        let error = |text, length| known(codec, text, None, length).err().unwrap().to_string();
        assert!(error("ab", 1).starts_with("this text has 2 tokens, and the model generates 1 token"));
        assert!(error("ax", 4).starts_with("`x` (U+0078), character 2 of \"ax\", is not in the vocabulary"));
        for text in ["a\\nb", "\n\r\\\\", "\\x"] {
            assert_eq!(unescaped(&escaped(text)), text);
        }
    }

    #[test]
    fn the_page_contains_every_timestep_and_escapes_html() {
        let page = page(&facts(), &[vec![5.; 4], vec![1., 0., 2., 4.]], &[1.0, 0.0], "a < b").unwrap();
        assert!(page.contains("samples = [[[5,5,5,5]],[[1,0,2,4]]], times = [1.0,0.0]"), "{page}");
        assert!(page.contains(r#"tokens = ["↵","\u003c","a","b","·","░"]"#), "{page}");
        assert!(page.contains("<title>a &lt; b</title>"));
    }
}

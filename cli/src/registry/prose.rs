//! Doc comments as plain text.

/// A doc comment without code, headings and links, a paragraph per line.
pub(crate) fn plain(doc: &str) -> String {
    let mut paragraphs: Vec<String> = vec![String::new()];
    let mut code = false;
    for line in doc.lines().map(str::trim) {
        if line.starts_with("```") {
            code = !code;
        } else if line.starts_with("# ") {
            break;
        } else if code {
        } else if line.is_empty() {
            paragraphs.push(String::new());
        } else {
            let paragraph = paragraphs.last_mut().expect("there is one at least");
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.iter().map(|paragraph| unlinked(paragraph)).collect::<Vec<_>>().join("\n")
}

/// The text without the targets of its links: `[a](b)` and `[a][b]` are a, and `[a]` is a if it is code.
fn unlinked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = closing(from) else { break };
        let (label, after) = (&from[1..end], &from[end + 1..]);
        let target = match after.chars().next() {
            Some('(') => after.find(')').map(|end| end + 1),
            Some('[') => after.find(']').map(|end| end + 1),
            _ => None,
        };
        match target {
            Some(length) => (out, rest) = (out + label, &after[length..]),
            None if label.starts_with('`') && label.ends_with('`') => (out, rest) = (out + label, after),
            None => (out, rest) = (out + "[" + label + "]", after),
        }
    }
    out + rest
}

/// The place of the bracket that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(i, c)| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(i)
    })
}

/// The first sentence of a text, without its full stop.
pub(crate) fn first_sentence(text: &str) -> &str {
    const SHORT: [&str; 7] = ["al", "eq", "e.g", "i.e", "cf", "vs", "no"];
    let line = text.lines().next().unwrap_or("");
    let ends = line.match_indices(". ").map(|(i, _)| i);
    let end = ends.into_iter().find(|&end| {
        let last = line[..end].rsplit([' ', '(']).next().unwrap_or("");
        let next = line[end + 2..].chars().next();
        !SHORT.contains(&last) && next.is_none_or(|next| !next.is_lowercase() && !next.is_ascii_digit())
    });
    line[..end.unwrap_or(line.len())].trim_end_matches(['.', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_code_and_headings_go() {
        let doc = "A [`Foo`](crate::Foo) of [two words](https://example.org), in\n[−1, 1] and [`Bar`].\n\nMore.\n\n```\nlet x;\n```\n\
                   \n# Errors\n\nNone.";
        assert_eq!(plain(doc), "A `Foo` of two words, in [−1, 1] and `Bar`.\nMore.");
    }

    #[test]
    fn a_first_sentence_ends_where_another_begins() {
        assert_eq!(first_sentence("Ho et al. (2020). Then more."), "Ho et al. (2020)");
        assert_eq!(first_sentence("β rises, e.g. Linear does. Yes."), "β rises, e.g. Linear does");
        assert_eq!(first_sentence("A table. √β rises."), "A table");
        assert_eq!(first_sentence("One.\nTwo."), "One");
    }
}

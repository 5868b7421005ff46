//! Rust paths in links, replaced by pages of the API reference.
use std::{fs, path::PathBuf};

/// Kinds of items, as rustdoc names their pages: `struct.Ddim.html`.
const ITEMS: [&str; 9] = ["struct", "enum", "trait", "fn", "type", "macro", "constant", "static", "derive"];
/// Kinds of members, as rustdoc names their anchors: `#method.step`.
const MEMBERS: [&str; 6] = ["tymethod", "method", "variant", "structfield", "associatedconstant", "associatedtype"];

/// The pages that `cargo doc` wrote.
pub struct Reference {
    folder: PathBuf,
}

impl Reference {
    /// Pages below `folder`, one folder for each crate.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns `text` with Rust paths in its links replaced and `<!-- book: … -->` opened; code blocks stay as they are.
    ///
    /// # Errors
    ///
    /// If a path has no page.
    pub fn rewrite(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut code = false;
        for line in text.split_inclusive('\n') {
            let fence = line.trim_start().starts_with("```");
            code ^= fence;
            if code || fence {
                out += line;
            } else {
                self.rewrite_line(line, &mut out)?;
            }
        }
        Ok(out)
    }

    fn rewrite_line(&self, line: &str, out: &mut String) -> Result<(), String> {
        if let Some(text) = line.trim().strip_prefix("<!-- book: ").and_then(|rest| rest.strip_suffix(" -->")) {
            *out += &format!("{text}\n");
            return Ok(());
        }
        // A definition: "[`Ddim`]: crate::sample::Ddim".
        if let Some((name, target)) = line.trim_end().split_once("]: ")
            && name.starts_with('[')
            && target.contains("::")
        {
            *out += &format!("{name}]: {}\n", self.page(target)?);
            return Ok(());
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("](") {
            let (target, tail) = after.split_once(')').ok_or_else(|| format!("a link without its `)`: {line}"))?;
            *out += &format!("{before}]({})", if target.contains("::") { self.page(target)? } else { target.into() });
            rest = tail;
        }
        *out += rest;
        Ok(())
    }

    /// Page of a Rust path relative to the book, such as `../tweedie/sample/struct.Ddim.html`.
    fn page(&self, path: &str) -> Result<String, String> {
        let path = path.strip_prefix("crate::").map_or(path.to_string(), |rest| format!("tweedie::{rest}"));
        if let Some(chapter) = path.strip_prefix("tweedie::tutorial::") {
            return Ok(format!("{chapter}.md"));
        }
        let parts: Vec<&str> = path.split("::").collect();
        let found = self.item(&parts).or_else(|| {
            // Not an item itself: a method, variant or field of one, which is an anchor of its page.
            let (member, item) = parts.split_last()?;
            let page = self.item(item)?;
            let text = fs::read_to_string(self.folder.join(&page)).ok()?;
            let anchors = MEMBERS.map(|kind| format!("{kind}.{member}"));
            let anchor = anchors.into_iter().find(|anchor| text.contains(&format!("id=\"{anchor}\"")))?;
            Some(format!("{page}#{anchor}"))
        });
        found.map(|page| format!("../{page}")).ok_or_else(|| {
            format!(
                "`{path}` has no page below {}: run `cargo doc` first, or link to the path where the item is defined",
                self.folder.display()
            )
        })
    }

    /// Page of a module or item relative to the folder of the pages.
    fn item(&self, parts: &[&str]) -> Option<String> {
        let (name, modules) = parts.split_last()?;
        let place: String = modules.iter().map(|module| format!("{module}/")).collect();
        let module = format!("{place}{name}/index.html");
        let items = ITEMS.map(|kind| format!("{place}{kind}.{name}.html"));
        let own = std::iter::once(module).chain(items).find(|page| self.folder.join(page).is_file());
        own.or_else(|| {
            // Exported from another module: the module's page links to the item's.
            let index = fs::read_to_string(self.folder.join(&place).join("index.html")).ok()?;
            let (_, export) = index.split_once(&format!("id=\"reexport.{name}\""))?;
            let mut links = export.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            Some(format!("{place}{}", links.find(|link| link.ends_with(&format!(".{name}.html")))?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pages: a module that exports a struct of another, a struct and a trait with a method.
    fn reference(name: &str) -> Reference {
        let folder = std::env::temp_dir().join(format!("tweedie-book-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("tweedie/sample")).unwrap();
        let exported = "<dt id=\"reexport.Dit\"><a class=\"struct\" href=\"dit/struct.Dit.html\">Dit</a></dt>";
        fs::write(folder.join("tweedie/sample/index.html"), exported).unwrap();
        fs::write(folder.join("tweedie/sample/struct.Ddim.html"), "").unwrap();
        fs::write(folder.join("tweedie/sample/trait.Sampler.html"), "<section id=\"method.order\">").unwrap();
        Reference::new(folder)
    }

    #[test]
    fn paths_become_pages_anchors_and_chapters() {
        let reference = reference("pages");
        let text = "[`Ddim`](crate::sample::Ddim) of [samplers](crate::sample), [order](crate::sample::Sampler::order)\n\
                    [text](crate::tutorial::text), [web](https://example.org), `a[i](j)`, [`Ddim`]\n\
                    \n[`Ddim`]: crate::sample::Ddim\n[`Dit`]: crate::sample::Dit\n";
        let expected = "[`Ddim`](../tweedie/sample/struct.Ddim.html) of [samplers](../tweedie/sample/index.html), \
                        [order](../tweedie/sample/trait.Sampler.html#method.order)\n\
                        [text](text.md), [web](https://example.org), `a[i](j)`, [`Ddim`]\n\
                        \n[`Ddim`]: ../tweedie/sample/struct.Ddim.html\n\
                        [`Dit`]: ../tweedie/sample/dit/struct.Dit.html\n";
        assert_eq!(reference.rewrite(text).unwrap(), expected);
        fs::remove_dir_all(reference.folder).unwrap();
    }

    #[test]
    fn a_path_without_a_page_is_an_error_that_names_it() {
        let reference = reference("missing");
        for path in ["crate::sample::Heun", "crate::sample::Sampler::weak", "elsewhere::Thing"] {
            let problem = reference.rewrite(&format!("[x]({path})")).unwrap_err();
            assert!(problem.contains(path.trim_start_matches("crate::")), "{problem}");
        }
        fs::remove_dir_all(reference.folder).unwrap();
    }

    #[test]
    fn code_stays_and_comments_for_the_book_are_opened() {
        let reference = Reference::new(PathBuf::new());
        let text = "```rust\nlet x = a[0](crate::b::c);\n```\n<!-- book: {{#include a.svg}} -->\n<!-- other -->\n";
        let expected = "```rust\nlet x = a[0](crate::b::c);\n```\n{{#include a.svg}}\n<!-- other -->\n";
        assert_eq!(reference.rewrite(text).unwrap(), expected);
    }
}

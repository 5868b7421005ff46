//! The guide's chapters: complete, and without a dead link between them. The book's own build checks the rendered pages too.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CHAPTERS: &str = "src/tutorial";

fn text(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names of the chapters' files, without the table of contents.
fn chapters() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(CHAPTERS);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

/// The chapter's lines outside code blocks, and those inside with the language of their block.
fn prose_and_code(chapter: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut prose, mut code, mut language) = (vec![], vec![], None);
    for line in text(PathBuf::from(CHAPTERS).join(chapter)).lines() {
        match (line.strip_prefix("```"), &language) {
            (Some(name), None) => language = Some(name.to_string()),
            (Some(_), Some(_)) => language = None,
            (None, None) => prose.push(line.to_string()),
            (None, Some(name)) => code.push((name.clone(), line.to_string())),
        }
    }
    assert!(language.is_none(), "{chapter}: a code block is not closed");
    (prose, code)
}

/// Targets of the links in `text`: `[name](target)` and `[name]: target`.
fn targets(prose: &[String]) -> Vec<String> {
    let inline = prose.iter().flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    let defined = prose.iter().filter(|line| line.starts_with('[')).filter_map(|line| Some(line.split_once("]: ")?.1));
    inline.chain(defined).map(str::to_string).collect()
}

/// Identifier of a heading, as rustdoc and mdBook form it.
fn anchor(heading: &str) -> String {
    let name = heading.trim_start_matches('#').trim().to_lowercase();
    name.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_chapter_is_in_the_table_of_contents_once_and_documented() {
    let listed: Vec<String> = targets(&text("src/tutorial/SUMMARY.md").lines().map(String::from).collect::<Vec<_>>());
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a chapter is listed twice: {listed:?}");
    assert_eq!(unique, chapters());

    let source = text("src/tutorial.rs");
    for chapter in chapters() {
        let included = source.contains(&format!("include_str!(\"tutorial/{chapter}\")"));
        let elsewhere = text(format!("{CHAPTERS}/{chapter}")).starts_with("<!-- book: {{#include ");
        assert!(included || elsewhere, "{chapter} is not shown by `cargo doc`: include it in src/tutorial.rs");
    }
}

#[test]
fn links_between_chapters_lead_somewhere() {
    for chapter in chapters() {
        let (prose, _) = prose_and_code(&chapter);
        for target in targets(&prose) {
            if let Some(name) = target.strip_prefix("crate::tutorial::") {
                assert!(chapters().contains(&format!("{name}.md")), "{chapter}: there is no chapter `{name}`");
            } else if let Some(wanted) = target.strip_prefix('#') {
                let found = prose.iter().any(|line| line.starts_with('#') && anchor(line) == wanted);
                assert!(found, "{chapter}: no heading has the anchor #{wanted}");
            } else if target.starts_with("../../docs/images/") {
                // For readers of the file itself: `cargo doc` and the book take the definitions of docs/images.md before it.
                let source = text("src/tutorial.rs");
                assert!(source.contains("include_str!(\"../docs/images.md\")"), "{chapter}: {target}");
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&target[6..]).exists(), "{chapter}: no {target}");
            } else {
                // Rust paths are checked by rustdoc. Relative files would be lost in one of the two outputs.
                assert!(
                    target.contains("::") || target.starts_with("https://"),
                    "{chapter}: `{target}` is neither a Rust path, a chapter (crate::tutorial::NAME) nor an https address"
                );
            }
        }
        // Markdown takes names for equal that differ in case alone, and the first definition.
        let names = prose.iter().filter(|line| line.starts_with('[')).filter_map(|line| line.split_once("]: "));
        let mut names: Vec<String> = names.map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "{chapter}: two definitions of {twice:?}");
        for line in &prose {
            let Some(file) = line.strip_prefix("<!-- book: {{#include ").and_then(|rest| rest.split("}}").next())
            else {
                continue;
            };
            // What is included is not rewritten: a Rust path in it would lead nowhere in the book.
            let included = text(format!("{CHAPTERS}/{file}"));
            assert!(!included.contains("](crate::"), "{file}: a link by a Rust path, which the book cannot follow");
        }
    }
}

#[test]
fn links_and_pictures_of_the_readme_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let prose: Vec<String> = text("README.md").lines().map(String::from).collect();
    let local: Vec<String> = targets(&prose).into_iter().filter(|target| !target.starts_with("https://")).collect();
    assert!(local.iter().any(|target| target.ends_with(".png")) && local.len() > 8, "{local:?}");
    for target in local {
        assert!(root.join(&target).exists(), "README.md: there is no {target}");
    }
}

#[test]
fn code_blocks_name_their_language_and_fit_the_page() {
    for chapter in chapters() {
        for (language, line) in prose_and_code(&chapter).1 {
            // mdBook would show the hidden lines (`# …`) of a block without a language.
            assert!(!language.is_empty(), "{chapter}: a code block without a language, at: {line}");
            let width = line.chars().count();
            assert!(language == "text" || width <= 90, "{chapter}: {width} columns, at most 90 fit: {line}");
        }
    }
}

/// The recipe that the guide explains is the built-in one.
#[test]
fn the_recipe_explained_line_by_line_is_the_built_in_one() {
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect()
    };
    let (_, code) = prose_and_code("getting_started_tool.md");
    let toml: Vec<String> = code.into_iter().filter(|(language, _)| language == "toml").map(|(_, line)| line).collect();
    let mut explained = settings(&toml.join("\n"));
    // One default is written out.
    explained.retain(|line| line != "cond_dropout = 0.1");
    let recipe = settings(&text("recipes/digits.toml"));
    assert!(explained.windows(recipe.len()).any(|lines| lines == recipe), "{explained:?}");
}

//! What the tool makes of text that anybody may have written, and of the files of a run: for fuzz targets.
use crate::{
    args,
    data::{
        Facts,
        categories::{Categories, Shown},
    },
    output::{console, picture, text},
    recipe::{
        Recipe, memory,
        plan::{DataSpec, Plan},
    },
    registry::{Modules, module::Kind},
};
use clap::Parser;
use tweedie::{Error, Result};
use tweedie_data::{Codec, Vocabulary};

thread_local! {
    /// The built-in modules, whose descriptions take longer than a case.
    static MODULES: Modules = Modules::default();
}

/// From now on the commands of this thread print nothing, refuse what takes more than so many bytes of memory by their
/// estimates, and draw nothing unless `pictures`.
pub fn confine(bytes: f64, pictures: bool) {
    console::silence();
    memory::bound(bytes);
    picture::draw(pictures);
}

/// Runs a command line, the first word of which is the name of the tool.
///
/// # Errors
///
/// What is wrong with the command line, the recipe, the data or the files.
pub fn run(arguments: &[&str]) -> Result<()> {
    let cli = args::Cli::try_parse_from(arguments).map_err(|error| Error::invalid(error.to_string()))?;
    MODULES.with(|modules| crate::command(&cli.command, modules)).map(drop)
}

/// Reads a recipe and its `--set` flags, checks it and builds what it describes for made-up data of the kind that it
/// names; returns the resolved recipe.
///
/// # Errors
///
/// What is wrong with it.
pub fn recipe(text: &str, settings: &[&str]) -> Result<String> {
    MODULES.with(|modules| resolved(text, settings, modules))
}
fn resolved(text: &str, settings: &[&str], modules: &Modules) -> Result<String> {
    let mut recipe = Recipe::parse("recipe.toml", text.to_owned())?;
    settings.iter().try_for_each(|setting| recipe.set(setting))?;
    let data = DataSpec::new(&recipe, modules)?;
    let names = |kind: Kind| recipe.module_name(kind.name()).is_some_and(|name| modules.is_categorical(kind, name));
    let categorical = names(Kind::Noise) || names(Kind::Transform);
    let classes = vec!["a".to_owned(), "b".to_owned()];
    let facts = Facts { classes, scale: [0.0, 255.0], bounded: true, samples: 100, ..Facts::default() };
    Ok(match recipe.module_name("data") {
        Some("points") => {
            let facts = Facts { shape: vec![2], bounded: false, ..facts };
            Plan::<2>::new(&recipe, modules, &data, &facts)?.text()
        }
        Some("waves") => {
            let facts = Facts { shape: vec![1, 16], signal: true, classes: vec![], bounded: false, ..facts };
            Plan::<3>::new(&recipe, modules, &data, &facts)?.text()
        }
        Some("spheres") => {
            let facts = Facts { shape: vec![1, 4, 4, 4], classes: vec![], ..facts };
            Plan::<5>::new(&recipe, modules, &data, &facts)?.text()
        }
        Some("text") => {
            let codec = Codec { vocabulary: Vocabulary::characters("abc"), ends: true, length: 12 };
            let categories = Categories { count: 4, frequencies: vec![0.25; 4], shown: Shown::Text(codec) };
            let facts = Facts { shape: vec![12, 1], classes: vec![], bounded: false, ..facts };
            Plan::<3>::new(&recipe, modules, &data, &Facts { categories: Some(categories), ..facts })?.text()
        }
        _ if categorical => {
            let categories = Categories { count: 4, frequencies: vec![0.25; 4], shown: Shown::Image([1, 8, 8]) };
            let facts = Facts { shape: vec![64, 1], bounded: false, ..facts };
            Plan::<3>::new(&recipe, modules, &data, &Facts { categories: Some(categories), ..facts })?.text()
        }
        _ => {
            let facts = Facts { shape: vec![1, 8, 8], ..facts };
            Plan::<4>::new(&recipe, modules, &data, &facts)?.text()
        }
    })
}

/// Reads a text with blanks for a model of the characters in `vocabulary` and samples of `length` tokens.
///
/// Whatever is read has a token or a blank in each place, and allows each place a token.
///
/// # Errors
///
/// If the text is too long, or has a character that is not in the vocabulary.
///
/// # Panics
///
/// If what is read is not what is promised.
pub fn infill(vocabulary: &str, text: &str, blank: char, length: usize) -> Result<()> {
    let codec = Codec { vocabulary: Vocabulary::characters(vocabulary), ends: true, length };
    let k = codec.categories() + 1;
    let known = text::known(&codec, &text::unescaped(text), Some(blank), length)?;
    assert_eq!(known.tokens.len(), length, "each place has a token or a blank");
    assert!(known.tokens.iter().all(|token| *token >= -1.0 && (*token as i64) < codec.categories() as i64));
    assert!(known.blanks.iter().all(|place| known.tokens[*place] == -1.0), "a blank is not known");
    if let Some(allowed) = known.allowed(k) {
        assert!(allowed.chunks(k).all(|row| row.iter().any(|allowed| *allowed > 0.0)), "each place has a token");
    }
    let given: String = text::unescaped(text).chars().filter(|c| *c != blank).collect();
    let tokens: Vec<u32> = known.tokens.iter().filter(|token| **token >= 0.0).map(|token| *token as u32).collect();
    assert_eq!(codec.vocabulary.decode(&tokens), given, "what is given is what was written");
    Ok(())
}

/// Reads a module as the flags `--sampler` and `--times` do.
///
/// # Errors
///
/// If it is not TOML.
pub fn flag(text: &str) -> Result<()> {
    crate::commands::sample::module_of(text).map(drop)
}

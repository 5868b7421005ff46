//! The guide's chapter on images: its recipe and its commands on a folder of pictures, and its pictures.
use super::{
    readme::{arguments, commands, shortened},
    text, tweedie,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::tempdir;
use tweedie_data::image::{RgbImage, codecs::jpeg::JpegEncoder};

const CHAPTER: &str = include_str!("../../../src/tutorial/images.md");

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).to_path_buf()
}

/// The lines of the chapter's code blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let (mut all, mut open) = (Vec::new(), None);
    for line in CHAPTER.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(_), Some(_)) => open = None,
            (Some(name), None) => {
                open = Some(name == language);
                if name == language {
                    all.push(String::new());
                }
            }
            (None, Some(true)) => all.last_mut().expect("one is open").extend([line, "\n"]),
            _ => {}
        }
    }
    all
}

/// Pictures of two classes as PNG and JPEG, of different sizes, with a table of an attribute.
fn pictures(folder: &Path) {
    let mut table = "file_name,tone\n".to_owned();
    for class in ["People", "Flags"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..12u32 {
            let (width, height) = (32 + i, 40 - i);
            let image = RgbImage::from_fn(width, height, |x, y| [(9 * x) as u8, (7 * y) as u8, (20 * i) as u8].into());
            let name = format!("{class}/{i}.{}", if i % 2 == 0 { "png" } else { "jpg" });
            if i % 2 == 0 {
                image.save(folder.join(&name)).unwrap();
            } else {
                let file = fs::File::create(folder.join(&name)).unwrap();
                JpegEncoder::new(file).encode_image(&image).unwrap();
            }
            table += &format!("{name},{}\n", if i % 3 == 0 { "yes" } else { "no" });
        }
    }
    fs::write(folder.join("metadata.csv"), table).unwrap();
}

#[test]
fn the_recipe_and_the_commands_of_the_chapter_on_images_run() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    pictures(&at.join("pictures"));
    let recipes = blocks("toml");
    fs::write(at.join("pictures.toml"), &recipes[0]).unwrap();
    // The further conditions of the chapter, in place of its first one.
    for (i, table) in recipes[1..].iter().enumerate() {
        let (before, after) = recipes[0].split_once("[condition.tone]").expect("the recipe has this condition");
        let after = &after[after.find("\n[").expect("sections after it")..];
        fs::write(at.join(format!("other-{i}.toml")), format!("{before}{table}{after}")).unwrap();
    }
    fs::create_dir(at.join("recipes")).unwrap();
    for recipe in fs::read_dir(root().join("recipes")).unwrap() {
        let recipe = recipe.unwrap().path();
        fs::copy(&recipe, at.join("recipes").join(recipe.file_name().unwrap())).unwrap();
    }
    let data = std::env::var_os("TWEEDIE_DATA");
    let run = |line: &str| {
        let mut tool = tweedie(at);
        tool.args(shortened(arguments(line))).envs(data.as_ref().map(|data| ("TWEEDIE_DATA", data)));
        let done = tool.output().unwrap();
        assert!(done.status.success(), "tweedie {line}\n{}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    };
    let all = commands(CHAPTER);
    let of_pictures: Vec<_> = all.iter().filter(|line| line.contains("pictures")).collect();
    assert!(of_pictures.len() >= 4 && all.len() >= 12, "{all:?}");
    for line in &all {
        let Some(line) = line.strip_prefix("tweedie ") else {
            assert!(line.starts_with("cargo run --release --example read_digits -- "), "unknown command: {line}");
            continue;
        };
        // Other recipes read data that may be missing here.
        if line.contains("pictures") || data.is_some() {
            let out = run(line);
            assert!(!out.contains("left out"), "the table is read, and so are all pictures\n{out}");
        }
    }
    for i in 0..recipes.len() - 1 {
        let out = run(&format!("train other-{i}.toml --out runs/other-{i}"));
        assert!(out.contains("done"), "{out}");
    }
    let described = fs::read_to_string(at.join("runs/pictures/samples/conditions.json")).unwrap();
    assert!(described.contains("\"tone\": \"yes\"") && described.contains("\"class\": \"People\""), "{described}");
    // Values that do not exist are answered with those that do.
    let mut tool = tweedie(at);
    let refused = tool.args(["sample", "runs/pictures", "--condition", "tone=green"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("yes"), "{}", text(&refused.stderr));
}

/// The chapter names pictures in `docs/images`; `docs/images.md` holds the same as data, for `cargo doc` and the book, whose pages
/// lie elsewhere. `UPDATE=1` writes it.
#[test]
fn the_pictures_of_the_chapter_on_images_are_in_the_documentation() {
    let mut definitions = String::new();
    for line in CHAPTER.lines() {
        let Some((name, path)) = line.strip_prefix('[').and_then(|line| line.split_once("]: ../../docs/images/"))
        else {
            continue;
        };
        assert!(CHAPTER.contains(&format!("][{name}]")), "`{name}` is not shown");
        let bytes = fs::read(root().join("docs/images").join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(bytes.len() < 100_000, "{path} has {} bytes", bytes.len());
        definitions += &format!("[{name}]: data:image/png;base64,{}\n", STANDARD.encode(bytes));
    }
    assert!(definitions.lines().count() >= 1, "the chapter has pictures");
    for picture in fs::read_dir(root().join("docs/images")).unwrap() {
        let name = picture.unwrap().file_name().into_string().unwrap();
        assert!(CHAPTER.contains(&format!("../../docs/images/{name}\n")), "{name} is not in the chapter");
    }
    let file = root().join("docs/images.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &definitions).unwrap();
    }
    assert!(
        fs::read_to_string(file).unwrap() == definitions,
        "docs/images.md is not of these pictures: run with UPDATE=1"
    );
}

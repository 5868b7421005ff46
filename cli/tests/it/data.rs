//! Data as users have them: what is left out is told, what cannot be read is refused, classes go by name.
use super::{DIGITS, done, refused, text};
use std::fs;
use tempfile::tempdir;
use tweedie_data::{RgbImage, image::Rgb, npy};

#[test]
fn a_folder_tells_what_it_leaves_out_and_its_classes_are_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for class in 1..=12u8 {
        let name = at.join(format!("pictures/{class}"));
        fs::create_dir_all(&name).unwrap();
        for (i, ending) in ["png", "webp"].into_iter().enumerate() {
            RgbImage::from_pixel(8, 8, Rgb([20 * class, 99, i as u8])).save(name.join(format!("x.{ending}"))).unwrap();
        }
        fs::write(name.join("x.txt"), "a caption").unwrap();
    }
    let recipe = DIGITS.replace("name = \"digits\"", "name = \"folder\"\npath = \"pictures\"\nheld_out = 0");
    fs::write(at.join("r.toml"), recipe.replace("evaluate_every = 2", "")).unwrap();
    let printed = text(&done(at, "train r.toml --out run").stdout);
    let line = printed.lines().find(|line| line.contains("left out: ")).unwrap_or_else(|| panic!("{printed}"));
    assert_eq!(line, "        left out: 12 .txt", "{printed}");
    assert!(printed.contains("24 images of 8 × 8 pixels, 3 channels (color), 12 classes"), "{printed}");

    // The classes in the order of the bytes of their names: 1, 10, 11, 12, 2.
    for class in ["2", "02"] {
        done(at, &format!("sample run --class {class} --n 2 --out of-{class} -q"));
        let out = at.join(format!("of-{class}"));
        assert_eq!(npy::load::<i64>(out.join("classes.npy")).unwrap().data, [4, 4]);
        let names: Vec<String> = serde_json::from_slice(&fs::read(out.join("classes.json")).unwrap()).unwrap();
        assert_eq!((names.len(), &*names[4]), (12, "2"));
    }
    assert!(refused(at, "sample run --class 0 --n 2").contains("the model has no class of that name"));

    fs::write(at.join("pictures/3/broken.jpg"), "").unwrap();
    fs::write(at.join("pictures/7/page.gif"), "<!DOCTYPE html><html></html>").unwrap();
    let message = refused(at, "train r.toml --out other");
    assert!(message.contains("2 pictures or folders that could not be read"), "{message}");
    assert!(
        message.contains("broken.jpg` (it is empty)") && message.contains("page.gif` (it is a web page"),
        "{message}"
    );
    let printed = text(&done(at, "train r.toml --out other --set data.unreadable=skip").stdout);
    assert!(printed.contains("left out: 12 .txt, 2 unreadable ("), "{printed}");
    let message = refused(at, "train r.toml --out big --set data.size=100000");
    assert!(message.contains("`size` must be at most 8192, got 100000"), "{message}");
}

#[test]
fn what_is_no_text_is_refused_before_a_run_is_made() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let recipe = DIGITS.replace("name = \"digits\"", "name = \"text\"\npath = \"data.txt\"");
    fs::write(at.join("r.toml"), recipe).unwrap();
    for (bytes, expected) in [
        (&b"version https://git-lfs.github.com/spec/v1\nsize 9\n"[..], "is a Git LFS pointer"),
        (b"PK\x03\x04abc", "is a zip archive, and not text"),
        (b"a\0n\0n\0a\0\n\0", "is text in UTF-16LE without a byte order mark"),
    ] {
        fs::write(at.join("data.txt"), bytes).unwrap();
        let message = refused(at, "train r.toml --out run");
        assert!(message.contains(expected) && message.contains("data.txt"), "{message}");
        assert!(!at.join("run").exists());
    }
}

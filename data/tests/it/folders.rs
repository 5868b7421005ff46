//! Folders as they are found: other files, service folders, links, pipes, unreadable pictures, odd names.
use crate::files::png;
use std::{fs, path::Path};
use tempfile::{TempDir, tempdir};
use tweedie_data::image::{GrayImage, Luma};
use tweedie_data::*;

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn shade(level: u8) -> Vec<u8> {
    png(GrayImage::from_pixel(2, 2, Luma([level])))
}

fn source(folder: &TempDir) -> Folder {
    Folder { path: folder.path().into(), channels: 1, held_out: 0, ..Folder::default() }
}

/// The levels of the pictures, their classes and the line that is shown.
fn read(folder: &TempDir) -> (Vec<u8>, Vec<String>, String) {
    let set = source(folder).load(Split::Train).unwrap();
    let notes = set.notes.to_string().replace(&folder.path().display().to_string(), "DIR");
    ((0..set.len()).map(|i| set.get(i)[0]).collect(), set.classes.clone(), notes)
}

#[test]
fn what_is_left_out_is_counted_by_its_ending_in_one_line() {
    let folder = tempdir().unwrap();
    put(folder.path(), "1.png", &shade(1));
    assert!(source(&folder).load(Split::Train).unwrap().notes.is_empty());
    (0..97).for_each(|i| put(folder.path(), &format!("{i}.txt"), b"caption"));
    for name in ["a.svg", "b.SVG", "LICENSE", "deep/c.json"] {
        put(folder.path(), name, b"");
    }
    for name in [".DS_Store", "._1.png", "Thumbs.db", "desktop.ini", "@eaDir/1.png", "__MACOSX/._1.png", ".git/x.png"] {
        put(folder.path(), name, b"no picture");
    }
    assert_eq!(read(&folder), (vec![1], vec![], "left out: 97 .txt, 2 .svg, 1 without an ending, 1 .json".into()));
    // In class folders too, and both parts of a set with its own parts.
    let classes = tempdir().unwrap();
    for name in ["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"] {
        put(classes.path(), name, &shade(3));
    }
    for name in ["train/a/@eaDir/1.png", "train/__MACOSX/x.png", "train/a/1.xml", "README.md", "extra/5.png"] {
        put(classes.path(), name, b"");
    }
    assert_eq!(read(&classes).1, ["a", "b"]);
    assert_eq!(read(&classes).2, "left out: 1 .md, 1 .xml, 1 folders beside the training and the held-out part");
}

#[test]
fn all_unreadable_pictures_are_listed_at_once_or_skipped() {
    let folder = tempdir().unwrap();
    (0..40u8).for_each(|i| {
        put(folder.path(), &format!("{}/{i:02}.png", if i % 2 == 0 { "even" } else { "odd" }), &shade(i))
    });
    let message = |source: &Folder| {
        let text = source.load(Split::Train).unwrap_err().to_string();
        text.replace(&folder.path().display().to_string(), "DIR")
    };
    put(folder.path(), "odd/05.png", b"<html>");
    assert_eq!(
        message(&source(&folder)),
        "`DIR/odd/05.png` could not be read: it is a web page (HTML); download or copy it again, remove it, or set \
         `unreadable = \"skip\"` to leave out what cannot be read."
    );
    put(folder.path(), "even/04.png", b"");
    assert_eq!(
        message(&source(&folder)),
        "`DIR` has 2 pictures or folders that could not be read: `DIR/even/04.png` (it is empty), `DIR/odd/05.png` (it \
         is a web page (HTML)); download or copy them again, remove them, or set `unreadable = \"skip\"` to leave them out."
    );
    (10..38u8)
        .for_each(|i| put(folder.path(), &format!("{}/{i:02}.png", if i % 2 == 0 { "even" } else { "odd" }), b"x"));
    let text = message(&source(&folder));
    assert!(text.starts_with("`DIR` has 30 pictures or folders that could not be read: "), "{text}");
    assert!(text.matches(".png`").count() == 20 && text.contains(", and 10 more; "), "the first twenty: {text}");
    let skip = Folder { unreadable: Unreadable::Skip, ..source(&folder) };
    let set = skip.load(Split::Train).unwrap();
    assert_eq!((0..set.len()).map(|i| set.get(i)[0]).collect::<Vec<_>>(), [0, 2, 6, 8, 38, 1, 3, 7, 9, 39]);
    assert_eq!((set.counts(), set.notes.unreadable.len()), (vec![5, 5], 30));
    let told = set.notes.to_string();
    assert!(told.starts_with("left out: 30 unreadable (`") && told.ends_with("; and 27 more)"), "{told}");
    // The same by the settings of a recipe.
    let read: Folder = serde_json::from_str(r#"{"unreadable": "skip"}"#).unwrap();
    assert_eq!(read.unreadable, Unreadable::Skip);
    // A class does not vanish.
    (0..40u8).step_by(2).for_each(|i| put(folder.path(), &format!("even/{i:02}.png"), b""));
    assert!(message(&skip).starts_with("`DIR` has a class `even` without a picture that can be read;"));
    (1..40u8).step_by(2).for_each(|i| put(folder.path(), &format!("odd/{i:02}.png"), b""));
    assert!(message(&skip).starts_with("`DIR` has no picture that can be read, as `DIR/even/00.png`: it is empty;"));
}

#[test]
fn unreadable_rows_of_a_table_are_listed_or_skipped() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("set.parquet");
    let rows: Vec<_> = (0..6i64).map(|i| (Some(if i % 3 == 1 { b"x".to_vec() } else { shade(i as u8) }), i)).collect();
    crate::files::table(&file, &rows, None);
    let source = Parquet { path: file, channels: 1, held_out: 0, ..Parquet::default() };
    let text = source.load(Split::Train).unwrap_err().to_string();
    assert!(
        text.contains("has 2 pictures or folders that could not be read: `row 1 of ") && text.contains("`row 4 of "),
        "{text}"
    );
    let set = Parquet { unreadable: Unreadable::Skip, ..source }.load(Split::Train).unwrap();
    assert_eq!(set.labels.as_deref(), Some(&[0, 2, 3, 5][..]));
    assert_eq!((0..4).map(|i| set.get(i)[0]).collect::<Vec<_>>(), [0, 2, 3, 5]);
    assert_eq!(set.notes.unreadable.len(), 2);
}

#[test]
fn names_that_are_almost_equal_are_told() {
    let folder = tempdir().unwrap();
    for name in ["Cat/1.png", "cat/1.png", "café/1.png", "cafe\u{301}/1.png", "a b/1.png", "a b /1.png", "dog/1.png"] {
        put(folder.path(), name, &shade(1));
    }
    let (_, classes, notes) = read(&folder);
    assert_eq!(classes.len(), 7);
    let pairs: Vec<&str> = notes.split("; ").collect();
    assert_eq!(pairs.len(), 3, "{notes}");
    assert!(pairs.contains(&"the classes `Cat` and `cat` have almost the same name"), "{notes}");
}

#[test]
fn classes_are_in_the_order_of_the_bytes_of_their_names() {
    let folder = tempdir().unwrap();
    (1..=12u8).for_each(|i| put(folder.path(), &format!("{i}/x.png"), &shade(i)));
    let (levels, classes, _) = read(&folder);
    assert_eq!(classes, ["1", "10", "11", "12", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(levels, [1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink, net::UnixListener},
        process::Command,
    };

    fn pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn links_pipes_and_sockets_neither_hang_nor_multiply_classes() {
        let folder = tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        put(folder.path(), "cat/1.png", &shade(1));
        put(folder.path(), "dog/2.png", &shade(2));
        let plain = read(&folder);
        // Loops, to the folder itself, to the one above and to another class; names before and after the real ones.
        symlink(folder.path(), at("loop")).unwrap();
        symlink("..", at("cat/up")).unwrap();
        symlink("../..", at("dog/further")).unwrap();
        symlink("cat", at("a cat")).unwrap();
        symlink("cat", at("zebra")).unwrap();
        symlink("/", at("everything")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("nowhere.png", at("cat/dangling.png")).unwrap();
        symlink("itself.png", at("dog/itself.png")).unwrap();
        pipe(&at("cat/3.png"));
        pipe(&at("pipe"));
        let _socket = UnixListener::bind(at("dog/socket.png")).unwrap();
        symlink("/dev/zero", at("dog/zero.png")).unwrap();
        let (levels, classes, notes) = read(&folder);
        assert_eq!((levels, classes), (plain.0, plain.1));
        assert_eq!(
            notes,
            "left out: 1 devices, 1 links that cannot be followed, 2 links that lead nowhere, 6 links to folders that \
             are read already or hold this one, 2 pipes, 1 sockets"
        );
        // A link to a picture, and to a folder elsewhere, is followed, once.
        let elsewhere = tempdir().unwrap();
        put(elsewhere.path(), "3.png", &shade(3));
        symlink(elsewhere.path(), at("fox")).unwrap();
        symlink(elsewhere.path(), at("wolf")).unwrap();
        symlink(elsewhere.path().join("3.png"), at("dog/4.png")).unwrap();
        let (levels, classes, _) = read(&folder);
        assert_eq!((levels, classes), (vec![1, 2, 3, 3], ["cat", "dog", "fox"].map(String::from).to_vec()));
    }

    #[test]
    fn settings_that_name_a_pipe_a_device_or_a_folder_do_not_hang() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("pipe");
        pipe(&path);
        let refused = |path: &Path, what: &str| {
            let text = Text { path: path.into(), ..Text::default() }.load(Split::Train).unwrap_err().to_string();
            assert!(text.contains(&format!("is {what}, but must be a")), "{text}");
            let idx = Idx { images: Some(path.into()), ..Idx::default() };
            assert!(idx.load(Split::Train).unwrap_err().to_string().contains(&format!("is {what}, but")));
            assert!(npy::load::<f32>(path).unwrap_err().to_string().contains(&format!("is {what}, but")));
        };
        refused(&path, "a pipe");
        refused(Path::new("/dev/zero"), "a device");
        refused(folder.path(), "a folder");
        let table = folder.path().join("set.parquet");
        pipe(&table);
        for path in [table, "/dev/zero".into()] {
            let source = Parquet { path, ..Parquet::default() };
            assert!(source.load(Split::Train).unwrap_err().to_string().contains("must be a regular file"));
        }
        let source = Parquet { path: folder.path().into(), ..Parquet::default() };
        assert!(source.load(Split::Train).unwrap_err().to_string().contains("does not hold any Parquet files"));
        let source = Folder { path, ..Folder::default() };
        assert!(source.load(Split::Train).unwrap_err().to_string().contains("must be a folder"));
    }

    #[test]
    fn names_that_are_not_utf_8_are_read_or_refused() {
        let folder = tempdir().unwrap();
        let odd = |bytes: &[u8]| folder.path().join(OsStr::from_bytes(bytes));
        if fs::create_dir(odd(b"caf\xe9")).is_err() {
            eprintln!("skipped: this file system has no names other than UTF-8");
            return;
        }
        fs::write(odd(b"caf\xe9/\xff\xfe.png"), shade(7)).unwrap();
        put(folder.path(), "tea/1.png", &shade(9));
        assert_eq!(read(&folder).1, ["caf\u{fffd}", "tea"]);
        fs::create_dir(odd(b"caf\xe8")).unwrap();
        fs::write(odd(b"caf\xe8/1.png"), shade(8)).unwrap();
        let text = source(&folder).load(Split::Train).unwrap_err().to_string();
        assert!(text.contains("has two subfolders whose names are shown as `caf\u{fffd}`"), "{text}");
    }

    #[test]
    fn folders_that_cannot_be_listed_are_reported_with_the_pictures() {
        let folder = tempdir().unwrap();
        put(folder.path(), "cat/1.png", &shade(1));
        put(folder.path(), "dog/2.png", &shade(2));
        put(folder.path(), "dog/deep/3.png", &shade(3));
        let closed = folder.path().join("dog/deep");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read_dir(&closed).is_ok() {
            eprintln!("skipped: this user may read every folder");
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
            return;
        }
        let result = source(&folder).load(Split::Train);
        let skipped = Folder { unreadable: Unreadable::Skip, ..source(&folder) }.load(Split::Train);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(result.unwrap_err().to_string().contains("dog/deep` (could not list"));
        assert_eq!((skipped.as_ref().unwrap().len(), skipped.unwrap().notes.unreadable.len()), (2, 1));
    }
}

//! Errors of files and settings: what was found, what is allowed, what to do.
use crate::files::{gzip, idx, png, table};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::{TempDir, tempdir};
use tweedie_data::image::{GrayImage, RgbImage};
use tweedie_data::*;

/// The message, with the temporary folder's name taken out.
pub fn message<T>(result: Result<T, Error>, folder: &TempDir) -> String {
    let Err(error) = result else { panic!("this must be an error") };
    let text = error.to_string();
    assert!(!text.contains('\n') && text.ends_with('.'), "one paragraph: {text}");
    text.replace(&folder.path().display().to_string(), "DIR")
}

fn load(source: impl Source, folder: &TempDir) -> String {
    message(source.load(Split::Train), folder)
}

/// An IDX source of a file of images and one of labels.
fn files(folder: &TempDir, images: &[u8], labels: Option<&[u8]>) -> Idx {
    fs::write(folder.path().join("images"), images).unwrap();
    if let Some(labels) = labels {
        fs::write(folder.path().join("labels"), labels).unwrap();
    }
    let path = Some(folder.path().into());
    Idx { path, images: Some("images".into()), labels: labels.map(|_| "labels".into()), held_out: 0, ..Idx::default() }
}

fn pictures(folder: &TempDir) -> Folder {
    Folder { path: folder.path().into(), held_out: 0, ..Folder::default() }
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn dot(side: u32) -> Vec<u8> {
    png(GrayImage::new(side, side))
}

#[test]
fn a_path_that_does_not_exist_lists_the_places_tried() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    assert_eq!(
        message(find_in("mnist", here, None), &folder),
        "`mnist` was not found, tried `DIR/mnist`; write the full path, or set the environment variable TWEEDIE_DATA, \
         under which relative paths are looked up too: `TWEEDIE_DATA=/folder/of/data tweedie …`."
    );
    assert_eq!(
        message(find_in("mnist", here, Some(&here.join("data"))), &folder),
        "`mnist` was not found, tried `DIR/mnist` and `DIR/data/mnist`; check the path, or set the environment \
         variable TWEEDIE_DATA to the folder that holds it."
    );
    assert_eq!(
        message(find_in(here.join("mnist"), Path::new("/"), Some(here)), &folder),
        "`DIR/mnist` was not found, tried `DIR/mnist`; check the path."
    );
    let source = Folder { path: here.join("pictures"), ..Folder::default() };
    assert!(load(source, &folder).starts_with("`DIR/pictures` was not found"));
}

#[test]
fn idx_folders_and_settings() {
    let folder = tempdir().unwrap();
    put(&folder, "other-images-idx3-ubyte.gz", b"");
    put(&folder, "readme.txt", b"");
    assert_eq!(
        load(Idx { path: Some(folder.path().into()), ..Idx::default() }, &folder),
        "`DIR` does not hold a file `train-images-idx3-ubyte` or `train-images-idx3-ubyte.gz`, only \
         `other-images-idx3-ubyte.gz`; copy it there, or name other files by `images` and `labels`."
    );
    assert_eq!(
        load(Idx::default(), &folder),
        "`path` is not set, and neither is `images`; set `path = \"mnist\"`, a folder with the four files of MNIST, or \
         `images = \"file\"`."
    );
    let file = put(&folder, "images", &idx(&[1, 1, 1], &[0]));
    assert_eq!(
        load(Idx { path: Some(file), ..Idx::default() }, &folder),
        "`DIR/images` is a file, but `path` must be a folder; set `images` to the file, and `labels` to that of its \
         labels."
    );
    assert_eq!(
        load(Idx { channels: Some(2), ..files(&folder, &idx(&[1, 1, 1], &[0]), None) }, &folder),
        "`channels` must be 1 (gray), 3 (RGB) or 4 (RGBA), got 2."
    );
    assert_eq!(
        load(Idx { pad: Some(2), ..files(&folder, &idx(&[1, 2, 3], &[0; 6]), None) }, &folder),
        "`pad` must be at least the size of the images, 3 × 2 pixels, got 2; set 3 or more, or leave it out."
    );
    assert_eq!(
        load(Idx { classes: vec!["a".into()], ..files(&folder, &idx(&[1, 1, 1], &[0]), None) }, &folder),
        "`classes` is set, but `labels` is not; set `labels` to the file of labels."
    );
    let source = Idx { held_out: 0, ..files(&folder, &idx(&[1, 1, 1], &[0]), None) };
    assert_eq!(
        message(source.load(Split::Test), &folder),
        "`held_out` is 0, so no images are held out; set 10, for example, to hold out every tenth image of a class."
    );
}

#[test]
fn idx_files_that_are_not_idx_files() {
    let folder = tempdir().unwrap();
    assert_eq!(
        load(files(&folder, b"PK\x03\x04....", None), &folder),
        "`DIR/images` is a zip archive, and not an IDX file; unpack it, for example with `unzip`, and give what is inside."
    );
    assert_eq!(
        load(files(&folder, b"PL\x03\x04....", None), &folder),
        "`DIR/images` starts with the bytes [50, 4c, 03, 04], expected the magic number of an IDX file, two zero \
         bytes, a type and a number of dimensions; give an IDX file, plain or gzipped."
    );
    let text = load(files(&folder, b"", None), &folder);
    assert!(text.starts_with("`DIR/images` starts with the end of the file (it is empty), expected"), "{text}");
    assert_eq!(
        load(files(&folder, &[0, 0, 0x0d, 3, 0, 0, 0, 1], None), &folder),
        "`DIR/images` starts with an IDX header for 32-bit floats (0x0d), expected one for unsigned bytes (0x08); \
         convert the file to unsigned bytes."
    );
    assert_eq!(
        load(files(&folder, &idx(&[3], &[0; 3]), None), &folder),
        "`DIR/images` holds an array of 1 dimensions, expected 3 (images × height × width) or 4 (… × channels); give \
         the file of images, not that of labels."
    );
    assert_eq!(
        load(files(&folder, &idx(&[1, 1, 1], &[0]), Some(&idx(&[1, 1, 1], &[0]))), &folder),
        "`DIR/labels` holds an array of 3 dimensions, expected 1 (one label per image); give the file of labels, not \
         that of images."
    );
    assert_eq!(
        load(files(&folder, &idx(&[5, 2, 2, 2], &[0; 40]), None), &folder),
        "`DIR/images` is an array of 5 × 2 × 2 × 2, with 2 channels, but 1 (gray), 3 (RGB) or 4 (RGBA) are allowed."
    );
    assert_eq!(
        load(files(&folder, &idx(&[0, 28, 28], &[]), None), &folder),
        "`DIR/images` is an array of [0, 28, 28], which has no images; give a file with at least one image."
    );
}

#[test]
fn idx_files_that_are_truncated_damaged_or_too_long() {
    let folder = tempdir().unwrap();
    let whole = idx(&[10, 28, 28], &[7; 7840]);
    assert_eq!(
        load(files(&folder, &whole[..5000], None), &folder),
        "`DIR/images` is truncated: expected 7856 bytes, found 5000; download or copy it again."
    );
    assert_eq!(
        load(files(&folder, &whole[..9], None), &folder),
        "`DIR/images` is truncated: expected 16 bytes, found 9; download or copy it again."
    );
    let noise: Vec<u8> = (0..7840u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let packed = gzip(&idx(&[10, 28, 28], &noise));
    let text = load(files(&folder, &packed[..packed.len() / 2], None), &folder);
    assert!(text.starts_with("`DIR/images` is truncated: expected 7856 bytes after decompression, "), "{text}");
    assert_eq!(
        load(files(&folder, &packed[..packed.len() - 4], None), &folder),
        "`DIR/images` could not be read: its gzip stream ends before its checksum; download or copy it again, or \
         remove it from the set."
    );
    let mut damaged = packed.clone();
    let end = damaged.len() - 8;
    damaged[end] ^= 1; // the checksum
    let text = load(files(&folder, &damaged, None), &folder);
    assert!(text.starts_with("`DIR/images` could not be read: its gzip stream is damaged after "), "{text}");
    let mut long = whole;
    long.push(0);
    assert_eq!(
        load(files(&folder, &long, None), &folder),
        "`DIR/images` has extra bytes at its end: its header announces 7856 bytes in all; write it again: the header \
         is wrong, or the file is several files in one."
    );
    let text = load(files(&folder, &idx(&[u32::MAX; 4], &[0]), None), &folder);
    assert!(text.contains("which does not fit into memory"), "{text}");
    // A wrong header may announce gigabytes: no memory is reserved for them.
    let text = load(files(&folder, &idx(&[1 << 6, 1 << 14, 1 << 14], &[0; 5]), None), &folder);
    assert!(text.contains("bytes, found 21;"), "{text}");
}

#[test]
fn labels_that_do_not_belong_to_the_images() {
    let folder = tempdir().unwrap();
    let images = idx(&[3, 1, 1], &[0; 3]);
    assert_eq!(
        load(files(&folder, &images, Some(&idx(&[2], &[0, 1]))), &folder),
        "`DIR/labels` has 2 labels, but `DIR/images` has 3 images; check that the two files belong together, with one \
         label per image."
    );
    let source =
        Idx { classes: vec!["cat".into(), "dog".into()], ..files(&folder, &images, Some(&idx(&[3], &[0, 1, 7]))) };
    assert_eq!(
        load(source, &folder),
        "`DIR/labels` has label 7 at item 2, but labels must be from 0 to 1; name every class, in the order of the \
         labels, in `classes` (or in the set's own list), or correct the labels."
    );
    let source = Idx { labels: Some("labels".into()), ..Idx::default() };
    assert_eq!(
        load(source, &folder),
        "`labels` is set, but `images` is not; set `images` to the file of images that the labels belong to."
    );
}

#[test]
fn folders_without_clear_classes_or_images() {
    let folder = tempdir().unwrap();
    let found = "`DIR` does not hold any images";
    let remedy = "put images there whose names end in .png, .apng, .jpg, .jpeg, .jfif, .webp, .gif, .bmp, .dib, .tif or \
                  .tiff, directly or in one subfolder per class.";
    assert_eq!(load(pictures(&folder), &folder), format!("{found} (it is empty); {remedy}"));
    put(&folder, "notes.txt", b"");
    put(&folder, "deep/notes.txt", b"");
    assert_eq!(load(pictures(&folder), &folder), format!("{found} (left out: 2 .txt); {remedy}"));
    put(&folder, "cats/1.png", &dot(4));
    assert_eq!(
        load(pictures(&folder), &folder),
        "`DIR/deep` is the subfolder of a class, but does not hold any images; put images there or remove it."
    );
    put(&folder, "loose.png", &dot(4));
    assert_eq!(
        load(pictures(&folder), &folder),
        "`DIR` holds images both directly (`loose.png`) and in subfolders (`cats`), so the classes are unclear; move \
         the images into subfolders, one per class, or all of them into one folder."
    );
    let source = Folder { path: folder.path().join("loose.png"), ..Folder::default() };
    assert_eq!(
        load(source, &folder),
        "`DIR/loose.png` is a file, but `path` must be a folder; give the folder that holds it, or use the source \
         `parquet` for a Parquet file."
    );
    assert_eq!(
        load(Folder::default(), &folder),
        "`path` is not set; set `path = \"folder\"`, the folder of the pictures."
    );
    let parts = tempdir().unwrap();
    for name in ["train/cat/1.png", "train/dog/2.png", "val/dog/3.png"] {
        put(&parts, name, &dot(4));
    }
    assert_eq!(
        load(pictures(&parts), &parts),
        "`DIR` must have the same classes in both parts, but `DIR/train` has `cat`, `dog`, and `DIR/val` has `dog`; \
         give both the same subfolders, or set `path` to one of them."
    );
}

#[test]
fn pictures_that_cannot_be_used() {
    let folder = tempdir().unwrap();
    put(&folder, "1.png", &dot(4));
    put(&folder, "2.png", &png(RgbImage::new(6, 5)));
    assert_eq!(
        load(pictures(&folder), &folder),
        "`DIR` has images of different sizes: `DIR/1.png` is 4 × 4 pixels, `DIR/2.png` is 6 × 5; set `size = 4`, or \
         another side, to scale all of them to one size."
    );
    put(&folder, "2.png", b"GIF89a\x01\0\x01\0, by its header");
    let text = load(pictures(&folder), &folder);
    assert!(text.starts_with("`DIR/2.png` could not be read: "), "{text}");
    let remedy =
        "; download or copy it again, remove it, or set `unreadable = \"skip\"` to leave out what cannot be read.";
    assert!(text.ends_with(remedy), "{text}");
    let noisy = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y) as u8, (x ^ y) as u8, (3 * x + y * y) as u8]));
    let whole = png(noisy);
    put(&folder, "2.png", &whole[..whole.len() / 2]);
    let text = load(Folder { size: Some(4), ..pictures(&folder) }, &folder);
    assert!(text.starts_with("`DIR/2.png` could not be read: "), "a truncated PNG: {text}");
    put(&folder, "2.png", b"");
    let text = load(pictures(&folder), &folder);
    assert!(text.starts_with("`DIR/2.png` could not be read: "), "an empty file: {text}");
}

#[test]
fn settings_that_are_not_allowed() {
    let folder = tempdir().unwrap();
    put(&folder, "1.png", &dot(4));
    assert_eq!(
        load(Folder { channels: 2, ..pictures(&folder) }, &folder),
        "`channels` must be 1 (gray), 3 (RGB) or 4 (RGBA), got 2."
    );
    assert_eq!(
        load(Folder { crop: Crop::Random, ..pictures(&folder) }, &folder),
        "`crop` is \"random\", but `size` is not set; set `size = 32`, for example."
    );
    assert_eq!(
        load(Folder { size: Some(4), margin: Some(1), ..pictures(&folder) }, &folder),
        "`margin` is only used with `crop = \"random\"`; leave it out, or set `crop = \"random\"`."
    );
    assert_eq!(
        load(Folder { size: Some(0), ..pictures(&folder) }, &folder),
        "`size` must be 1 or more pixels, got 0; set 32, for example, or leave it out to keep the size of the files."
    );
    for noise in [1.0, -0.1, f64::NAN] {
        let text = message(Points { noise: Some(noise), ..Points::default() }.check(), &folder);
        assert!(text.starts_with("`noise` must be at least 0 and less than 1"), "{text}");
        assert!(text.contains(&format!(", got {noise}; set 0.05")), "{text}");
    }
    let refused = |text: &str| serde_json::from_str::<Folder>(text).unwrap_err().to_string();
    assert!(refused(r#"{"siize": 3}"#).starts_with("unknown field `siize`, expected one of `path`, `size`"));
    let text = refused(r#"{"background": "blue"}"#);
    assert!(text.starts_with("`blue` is not a background; it must be \"white\", \"black\" or \"#rrggbb\""), "{text}");
    assert!(refused(r#"{"crop": "middle"}"#).starts_with("unknown variant `middle`, expected one of `center`"));
    assert!(refused(r##"{"background": "#12345"}"##).starts_with("`#12345` is not a background"));
}

#[test]
fn tables_that_cannot_be_used() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("set.parquet");
    let source = || Parquet { path: file.clone(), held_out: 0, ..Parquet::default() };
    let picture = || Some(dot(4));
    let note = r#"{"info": {"features": {"label": {"names": ["cat", "dog"]}}}}"#;

    fs::write(&file, "a table, by its name").unwrap();
    let text = load(source(), &folder);
    assert!(text.starts_with("`DIR/set.parquet` could not be read: it is not a Parquet file (it is text"), "{text}");
    table(&file, &[(picture(), 0), (picture(), 1), (picture(), 1)], Some(note));
    assert_eq!(source().load(Split::Train).unwrap().len(), 3);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let text = load(source(), &folder);
    assert!(
        text.starts_with("`DIR/set.parquet` could not be read: it is not a complete Parquet file ("),
        "truncated: {text}"
    );
    fs::write(&file, [&whole[..4], &[0xff; 60][..], &whole[64..]].concat()).unwrap();
    let text = load(source(), &folder);
    assert!(text.starts_with("`DIR/set.parquet` could not be read: a page is damaged ("), "damaged: {text}");
    fs::write(&file, &whole).unwrap();
    assert_eq!(
        load(Parquet { image: "img".into(), ..source() }, &folder),
        "`DIR/set.parquet` does not have a column `img.bytes` of bytes; it has `image.bytes (BYTE_ARRAY)`, `image.path \
         (BYTE_ARRAY)`, `label (INT64)`, `text (BYTE_ARRAY)`; set `image` to the name of the column of the pictures \
         (tables of paths without bytes cannot be read)."
    );
    assert_eq!(
        load(Parquet { label: "text".into(), ..source() }, &folder),
        "`DIR/set.parquet` does not have a label in row 0 (it is null); remove the row, or set `label = \"\"` for a set \
         without classes."
    );
    assert_eq!(
        load(Parquet { label: "class".into(), ..source() }, &folder),
        "`DIR/set.parquet` does not have a column `class` of integers or texts; it has `image.bytes (BYTE_ARRAY)`, `image.path \
         (BYTE_ARRAY)`, `label (INT64)`, `text (BYTE_ARRAY)`; set `label` to the name of the column of the labels, or \
         to \"\" for a set without classes."
    );
    table(&file, &[(picture(), 0), (picture(), 1), (None, 1)], Some(note));
    assert_eq!(
        load(source(), &folder),
        "`DIR/set.parquet` does not have a picture in row 2 (it is null, or only a path); give a table that holds the \
         files."
    );
    table(&file, &[(picture(), 0), (picture(), 1), (Some(b"GIF89a".to_vec()), 1)], Some(note));
    let text = load(source(), &folder);
    assert!(text.starts_with("`DIR/set.parquet` could not be read in row 2: "), "{text}");
    table(&file, &[(picture(), 0), (picture(), 2)], Some(note));
    assert_eq!(
        load(source(), &folder),
        "`DIR/set.parquet` has label 2 at item 1, but labels must be from 0 to 1; name every class, in the order of \
         the labels, in `classes` (or in the set's own list), or correct the labels."
    );
    table(&file, &[(picture(), -1)], None);
    assert_eq!(
        load(source(), &folder),
        "`DIR/set.parquet` has label -1 at item 0, but labels must be from 0 to 65535; choose a column of class \
         labels, which start at 0."
    );
    table(&file, &[(picture(), 0), (Some(dot(5)), 0)], None);
    assert_eq!(
        load(source(), &folder),
        "`DIR/set.parquet` has images of different sizes: `row 0 of DIR/set.parquet` is 4 × 4 pixels, `row 1 of \
         DIR/set.parquet` is 5 × 5; set `size = 4`, or another side, to scale all of them to one size."
    );
    table(&file, &[], None);
    assert_eq!(load(source(), &folder), "`DIR/set.parquet` has no rows; give a table with at least one row.");
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(
        load(Parquet { path: folder.path().join("empty"), ..Parquet::default() }, &folder),
        "`DIR/empty` does not hold any Parquet files, whose names end in `.parquet`; copy some there, or set `path` to \
         a file."
    );
}

#[test]
fn arrays_that_cannot_be_read() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("x.npy");
    npy::save(&file, &[2, 2], &[1.0f32; 4]).unwrap();
    let whole = fs::read(&file).unwrap();
    assert_eq!(
        message(npy::load::<u8>(&file), &folder),
        "`DIR/x.npy` starts with the header of an array of `<f4` in C order, expected `|u1` in C order; convert it \
         with numpy.ascontiguousarray(array, dtype)."
    );
    fs::write(&file, &whole[..140]).unwrap();
    assert_eq!(
        message(npy::load::<f32>(&file), &folder),
        "`DIR/x.npy` is truncated: expected 144 bytes, found 140; download or copy it again."
    );
    fs::write(&file, [&whole[..], &[0]].concat()).unwrap();
    assert!(message(npy::load::<f32>(&file), &folder).starts_with("`DIR/x.npy` has extra bytes at its end"));
    for length in [0, 5, 7, 9, 30] {
        fs::write(&file, &whole[..length]).unwrap();
        message(npy::load::<f32>(&file), &folder);
    }
}

#[test]
fn pictures_that_cannot_be_drawn() {
    let folder = tempdir().unwrap();
    let layout = picture::Layout::default();
    assert_eq!(
        message(picture::grid(&[0.0; 8], [1, 2, 2, 2], &layout), &folder),
        "a picture must have 1 (gray), 3 (RGB) or 4 (RGBA) channels, got 2."
    );
    assert_eq!(
        message(picture::grid(&[], [0, 1, 2, 2], &layout), &folder),
        "a picture must have at least one image, got none."
    );
    // A file has the name of the folder.
    put(&folder, "runs", b"");
    let image = picture::grid(&[0.0; 4], [1, 1, 2, 2], &layout).unwrap();
    let text = message(picture::save(&image, folder.path().join("runs/a.png")), &folder);
    assert!(text.starts_with("could not create the folder `DIR/runs`: "), "{text}");
    // A folder is not overwritten by a file, and no temporary file is left.
    fs::create_dir(folder.path().join("taken")).unwrap();
    put(&folder, "taken/inside", b"");
    let text = message(picture::save(&image, folder.path().join("taken")), &folder);
    assert!(text.starts_with("could not write `DIR/taken`: "), "{text}");
    assert!(
        fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().contains("tmp"))
    );
}

#[test]
fn errors_carry_kind_path_field_and_remedy_apart_from_their_sentence() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let check = |error: Error, kind: ErrorKind, path: Option<PathBuf>, field: Option<&str>, remedy: Option<&str>| {
        let text = error.to_string();
        assert_eq!((error.kind(), error.path(), error.field()), (kind, path.as_deref(), field), "{text}");
        assert!(error.remedy().unwrap_or_default().starts_with(remedy.unwrap_or_default()), "{text}");
        assert_eq!(error.remedy().is_some(), remedy.is_some(), "{text}");
        let subject = match (error.path(), error.field()) {
            (Some(path), _) => format!("`{}`", path.display()),
            (None, field) => format!("`{}`", field.unwrap()),
        };
        let sentence = match kind {
            ErrorKind::Io => format!("could not {} {subject}: ", error.problem()),
            _ => format!("{subject} {}", error.problem()),
        };
        let end = remedy.map_or(String::new(), |_| format!("; {}.", error.remedy().unwrap()));
        assert!(text.starts_with(&sentence) && text.ends_with(&end), "{text}");
    };
    let refused = |source: &dyn Source, split| source.load(split).unwrap_err();

    let missing = Folder { path: at("missing"), ..Folder::default() };
    check(
        refused(&missing, Split::Train),
        ErrorKind::NotFound,
        Some(at("missing")),
        Some("path"),
        Some("check the path"),
    );
    let missing = Idx { images: Some(at("images")), labels: Some(at("missing")), ..Idx::default() };
    put(&folder, "images", &idx(&[1, 1, 1], &[0]));
    check(
        refused(&missing, Split::Train),
        ErrorKind::NotFound,
        Some(at("missing")),
        Some("labels"),
        Some("check the path"),
    );
    let short = Idx { labels: Some(put(&folder, "labels", &idx(&[1], &[]))), ..missing };
    check(refused(&short, Split::Train), ErrorKind::Format, Some(at("labels")), Some("labels"), Some("download"));
    put(&folder, "labels", &idx(&[1], &[3]));
    let named = Idx { classes: vec!["cat".into()], ..short.clone() };
    check(
        refused(&named, Split::Train),
        ErrorKind::Format,
        Some(at("labels")),
        Some("classes"),
        Some("name every class"),
    );
    let whole = Idx { held_out: 0, ..short };
    check(refused(&whole, Split::Test), ErrorKind::Empty, None, Some("held_out"), Some("set 10, for example"));
    let levels = Digits { levels: Some(1), ..Digits::default() };
    check(refused(&levels, Split::Train), ErrorKind::Invalid, None, Some("levels"), Some("set 8"));
    let table = Parquet { path: put(&folder, "set.parquet", b"no table"), ..Parquet::default() };
    check(refused(&table, Split::Train), ErrorKind::Format, Some(at("set.parquet")), Some("path"), Some("download"));
    let text = Text { path: put(&folder, "t.csv", b"a,b\n1,2\n"), ..Text::default() };
    let error = text.load(Split::Train).unwrap_err();
    check(error, ErrorKind::Format, Some(at("t.csv")), Some("column"), Some("set `column = \"b\"`"));
    let error = npy::load::<u8>(at("missing")).unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "the cause is kept");
    check(error, ErrorKind::Io, Some(at("missing")), None, None);

    // Sets of one's own are checked as those of files are.
    let wrong = |set: Result<Images, Error>| assert_eq!(set.unwrap_err().kind(), ErrorKind::Invalid);
    wrong(Images::new(vec![0; 5], [1, 2, 2]));
    wrong(Images::new(vec![], [1, 0, 2]));
    let set = || Images::new(vec![0; 8], [1, 2, 2]).unwrap();
    wrong(set().with_labels(vec![0], vec!["cat".into()]));
    wrong(set().with_labels(vec![0, 1], vec!["cat".into()]));
    assert_eq!(set().with_labels(vec![0, 0], vec!["cat".into()]).unwrap().counts(), [2]);
}

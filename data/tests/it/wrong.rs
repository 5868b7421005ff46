//! Files and settings that are wrong, each with what is said of it.
use crate::files::{gzip, idx, png, table};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::{TempDir, tempdir};
use tweedie_data::image::{GrayImage, RgbImage};
use tweedie_data::*;

/// The message, with the temporary folder's name taken out.
fn message<T>(result: Result<T, Error>, folder: &TempDir) -> String {
    let Err(error) = result else { panic!("this is wrong, and was taken") };
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
fn a_path_that_is_not_there_lists_where_it_was_sought() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    assert_eq!(
        message(find_in("mnist", here, None), &folder),
        "`mnist` was not found: looked at `DIR/mnist`. A relative path is also looked up under the folder that the \
         environment variable TWEEDIE_DATA names, which is not set: `TWEEDIE_DATA=/folder/of/data tweedie …`, or write the \
         full path."
    );
    assert_eq!(
        message(find_in("mnist", here, Some(&here.join("data"))), &folder),
        "`mnist` was not found: looked at `DIR/mnist` and at `DIR/data/mnist`. Check the path, or set the environment \
         variable TWEEDIE_DATA to the folder that holds it."
    );
    assert_eq!(
        message(find_in(here.join("mnist"), Path::new("/"), Some(here)), &folder),
        "`DIR/mnist` was not found: looked at `DIR/mnist`. Check the path."
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
        "`DIR` has no file `train-images-idx3-ubyte` (nor `train-images-idx3-ubyte.gz`); it holds \
         `other-images-idx3-ubyte.gz`. Copy it there, or name other files by `images` and `labels`."
    );
    assert_eq!(
        load(Idx::default(), &folder),
        "there is neither a `path` nor `images`. Say `path = \"mnist\"` for a folder with the four files of MNIST, or \
         `images = \"file\"`."
    );
    let file = put(&folder, "images", &idx(&[1, 1, 1], &[0]));
    assert_eq!(
        load(Idx { path: Some(file), ..Idx::default() }, &folder),
        "`DIR/images` is a file, and `path` names a folder. Name the file by `images`, and its labels by `labels`."
    );
    assert_eq!(
        load(Idx { channels: Some(2), ..files(&folder, &idx(&[1, 1, 1], &[0]), None) }, &folder),
        "`channels = 2`: 2 channels, where 1 (grey), 3 (RGB) or 4 (RGBA) was expected."
    );
    assert_eq!(
        load(Idx { pad: Some(2), ..files(&folder, &idx(&[1, 2, 3], &[0; 6]), None) }, &folder),
        "`pad = 2` is smaller than the images, which are 3 × 2 pixels. Padding only adds: say 3 or more, or leave it out."
    );
    assert_eq!(
        load(Idx { classes: vec!["a".into()], ..files(&folder, &idx(&[1, 1, 1], &[0]), None) }, &folder),
        "`classes` are named, but there are no `labels`. Name the file of labels."
    );
    let source = Idx { held_out: 0, ..files(&folder, &idx(&[1, 1, 1], &[0]), None) };
    assert_eq!(
        message(source.load(Split::Test), &folder),
        "the held-out part of `DIR/images` holds no images. `held_out = 0` holds nothing out: say 10 to hold out every \
         tenth image."
    );
}

#[test]
fn idx_files_that_are_no_idx_files() {
    let folder = tempdir().unwrap();
    assert_eq!(
        load(files(&folder, b"PK\x03\x04....", None), &folder),
        "`DIR/images` begins with the bytes [50, 4b, 03, 04], where the mark of an IDX file, two bytes of zero, a type and \
         a number of dimensions, was expected. Give an IDX file, plain or gzipped; a zip archive must be unpacked first."
    );
    assert!(
        load(files(&folder, b"", None), &folder).starts_with("`DIR/images` begins with nothing (it is empty), where")
    );
    assert_eq!(
        load(files(&folder, &[0, 0, 0x0d, 3, 0, 0, 0, 1], None), &folder),
        "`DIR/images` begins with an IDX header for 32-bit floats (0x0d), where one for unsigned bytes (0x08) was expected. \
         Convert the file to unsigned bytes."
    );
    assert_eq!(
        load(files(&folder, &idx(&[3], &[0; 3]), None), &folder),
        "`DIR/images` begins with an array of 1 dimensions, where one of 3 (images × height × width) or 4 (… × channels) \
         was expected. Give the file of images, not that of labels."
    );
    assert_eq!(
        load(files(&folder, &idx(&[1, 1, 1], &[0]), Some(&idx(&[1, 1, 1], &[0]))), &folder),
        "`DIR/labels` begins with an array of 3 dimensions, where one of 1, a label an image was expected. Give the file of \
         labels, not that of images."
    );
    assert_eq!(
        load(files(&folder, &idx(&[5, 2, 2, 2], &[0; 40]), None), &folder),
        "`DIR/images` is an array of 5 × 2 × 2 × 2: 2 channels, where a last dimension of 1 (grey), 3 (RGB) or 4 (RGBA) \
         was expected."
    );
    assert_eq!(
        load(files(&folder, &idx(&[0, 28, 28], &[]), None), &folder),
        "`DIR/images`, an array of [0, 28, 28], holds no images. Give a file that has some."
    );
}

#[test]
fn idx_files_cut_short_damaged_or_too_long() {
    let folder = tempdir().unwrap();
    let whole = idx(&[10, 28, 28], &[7; 7840]);
    assert_eq!(
        load(files(&folder, &whole[..5000], None), &folder),
        "`DIR/images` is cut short: 7856 bytes were expected, 5000 were found. Download or copy it again."
    );
    assert_eq!(
        load(files(&folder, &whole[..9], None), &folder),
        "`DIR/images` is cut short: 16 bytes were expected, 9 were found. Download or copy it again."
    );
    let noise: Vec<u8> = (0..7840u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let packed = gzip(&idx(&[10, 28, 28], &noise));
    let text = load(files(&folder, &packed[..packed.len() / 2], None), &folder);
    assert!(text.starts_with("`DIR/images` is cut short: 7856 bytes were expected after unpacking, "), "{text}");
    assert_eq!(
        load(files(&folder, &packed[..packed.len() - 4], None), &folder),
        "`DIR/images` could not be read: its gzip stream lacks the end, with the sum that tells it is whole. Download or \
         copy it again, or remove it from the set."
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
        "`DIR/images` goes on after its end: its header announces 7856 bytes, and more follow. Either the header is wrong \
         or the file is several files in one; write it again."
    );
    let text = load(files(&folder, &idx(&[u32::MAX; 4], &[0]), None), &folder);
    assert!(text.contains("which no memory holds"), "{text}");
    // A header may lie about gigabytes: nothing is reserved for them.
    let text = load(files(&folder, &idx(&[u32::MAX, 1 << 14, 1 << 14], &[0; 5]), None), &folder);
    assert!(text.contains("bytes were expected, 21 were found"), "{text}");
}

#[test]
fn labels_that_do_not_fit() {
    let folder = tempdir().unwrap();
    let images = idx(&[3, 1, 1], &[0; 3]);
    assert_eq!(
        load(files(&folder, &images, Some(&idx(&[2], &[0, 1]))), &folder),
        "`DIR/images` holds 3 images, but `DIR/labels` holds 2 labels. There must be one label an image: check that the two \
         files belong together."
    );
    let source =
        Idx { classes: vec!["cat".into(), "dog".into()], ..files(&folder, &images, Some(&idx(&[3], &[0, 1, 7]))) };
    assert_eq!(
        load(source, &folder),
        "label 7 of item 2 in `DIR/labels` is out of range: there are 2 classes, 0 to 1. Name every class, in the order \
         of the labels, in `classes` (or the set's own list), or correct the labels."
    );
    let source = Idx { labels: Some("labels".into()), ..Idx::default() };
    assert_eq!(
        load(source, &folder),
        "`labels` is given without `images`. Name the file of images that they belong to."
    );
}

#[test]
fn folders_without_clear_classes_or_images() {
    let folder = tempdir().unwrap();
    let remedy = "Images are files whose names end in .png, .jpg or .jpeg, in the folder or one sub-folder a class.";
    assert_eq!(load(pictures(&folder), &folder), format!("`DIR` holds no PNG or JPEG image: it is empty. {remedy}"));
    put(&folder, "notes.txt", b"");
    put(&folder, "deep/notes.txt", b"");
    let expected = format!("`DIR` holds no PNG or JPEG image, only 2 files of other kinds. {remedy}");
    assert_eq!(load(pictures(&folder), &folder), expected);
    put(&folder, "cats/1.png", &dot(4));
    assert_eq!(
        load(pictures(&folder), &folder),
        "the sub-folder `DIR/deep` stands for a class, but holds no PNG or JPEG image. Put images there or remove it."
    );
    put(&folder, "loose.png", &dot(4));
    assert_eq!(
        load(pictures(&folder), &folder),
        "`DIR` holds images (`loose.png`) beside sub-folders with images (`cats`), so it is not clear what the classes are. \
         Move the images into sub-folders, one a class, or all of them into one folder."
    );
    let source = Folder { path: folder.path().join("loose.png"), ..Folder::default() };
    assert_eq!(
        load(source, &folder),
        "`DIR/loose.png` is a file, and `path` names a folder. Give the folder it is in; a Parquet file is read by the \
         source `parquet`."
    );
    assert_eq!(
        load(Folder::default(), &folder),
        "there is no `path`. Say `path = \"folder\"`, the folder of the pictures."
    );
    let parts = tempdir().unwrap();
    for name in ["train/cat/1.png", "train/dog/2.png", "val/dog/3.png"] {
        put(&parts, name, &dot(4));
    }
    assert_eq!(
        load(pictures(&parts), &parts),
        "the classes differ between the parts: `DIR/train` has `cat`, `dog`, `DIR/val` has `dog`. Give both the same \
         sub-folders, or give the path of one part."
    );
}

#[test]
fn pictures_that_cannot_be_used() {
    let folder = tempdir().unwrap();
    put(&folder, "1.png", &dot(4));
    put(&folder, "2.png", &png(RgbImage::new(6, 5)));
    assert_eq!(
        load(pictures(&folder), &folder),
        "the images differ in size: `DIR/1.png` is 4 × 4 pixels, `DIR/2.png` is 6 × 5. Say `size = 4` (or another side) to \
         bring all of them to one square size."
    );
    put(&folder, "2.png", b"GIF89a, they say");
    let text = load(pictures(&folder), &folder);
    assert!(text.starts_with("`DIR/2.png` could not be read: "), "{text}");
    assert!(text.ends_with("Download or copy it again, or remove it from the set."), "{text}");
    let noisy = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y) as u8, (x ^ y) as u8, (3 * x + y * y) as u8]));
    let whole = png(noisy);
    put(&folder, "2.png", &whole[..whole.len() / 2]);
    let text = load(Folder { size: Some(4), ..pictures(&folder) }, &folder);
    assert!(text.starts_with("`DIR/2.png` could not be read: "), "a PNG cut short: {text}");
    put(&folder, "2.png", b"");
    let text = load(pictures(&folder), &folder);
    assert!(text.starts_with("`DIR/2.png` could not be read: "), "an empty file: {text}");
}

#[test]
fn settings_that_do_not_fit() {
    let folder = tempdir().unwrap();
    put(&folder, "1.png", &dot(4));
    assert_eq!(
        load(Folder { channels: 2, ..pictures(&folder) }, &folder),
        "`channels = 2`: 2 channels, where 1 (grey), 3 (RGB) or 4 (RGBA) was expected."
    );
    assert_eq!(
        load(Folder { crop: Crop::Random, ..pictures(&folder) }, &folder),
        "`crop = \"random\"` needs to know how large the windows are, and there is no `size`. Say `size = 32`, or another \
         side."
    );
    assert_eq!(
        load(Folder { size: Some(4), margin: Some(1), ..pictures(&folder) }, &folder),
        "`margin` is by how much images are larger than the random windows, and the crop is not random. Leave it out, or \
         say `crop = \"random\"`."
    );
    assert_eq!(
        load(Folder { size: Some(0), ..pictures(&folder) }, &folder),
        "`size = 0` leaves no pixels. Say the side of the images in pixels."
    );
    for noise in [1.0, -0.1, f64::NAN] {
        let text = message(Points { noise: Some(noise), ..Points::default() }.check(), &folder);
        assert!(text.starts_with(&format!("`noise = {noise}` is not in [0, 1)")), "{text}");
    }
    let refused = |text: &str| serde_json::from_str::<Folder>(text).unwrap_err().to_string();
    assert!(refused(r#"{"siize": 3}"#).starts_with("unknown field `siize`, expected one of `path`, `size`"));
    let text = refused(r#"{"background": "blue"}"#);
    assert!(text.starts_with("`blue` is not a background: \"white\", \"black\" or \"#rrggbb\" was expected"), "{text}");
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

    fs::write(&file, "a table, they say").unwrap();
    let text = load(source(), &folder);
    assert!(text.starts_with("`DIR/set.parquet` could not be read: it is no whole Parquet file ("), "{text}");
    table(&file, &[(picture(), 0), (picture(), 1), (picture(), 1)], Some(note));
    assert_eq!(source().load(Split::Train).unwrap().len(), 3);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let text = load(source(), &folder);
    assert!(
        text.starts_with("`DIR/set.parquet` could not be read: it is no whole Parquet file ("),
        "cut short: {text}"
    );
    fs::write(&file, [&whole[..4], &[0xff; 60][..], &whole[64..]].concat()).unwrap();
    let text = load(source(), &folder);
    assert!(text.starts_with("`DIR/set.parquet` could not be read: a page of it is damaged ("), "damaged: {text}");
    fs::write(&file, &whole).unwrap();
    assert_eq!(
        load(Parquet { image: "img".into(), ..source() }, &folder),
        "`DIR/set.parquet` has no column `img.bytes` of bytes; it has `image.bytes (BYTE_ARRAY)`, `image.path (BYTE_ARRAY)`, \
         `label (INT64)`, `text (BYTE_ARRAY)`. Name the column of the pictures: `image = \"…\"`; a table of paths without \
         bytes is not read."
    );
    assert_eq!(
        load(Parquet { label: "text".into(), ..source() }, &folder),
        "`DIR/set.parquet` has no column `text` of integers; it has `image.bytes (BYTE_ARRAY)`, `image.path (BYTE_ARRAY)`, \
         `label (INT64)`, `text (BYTE_ARRAY)`. Name the column of the labels: `label = \"…\"`, or say `label = \"\"` for a \
         set without classes."
    );
    table(&file, &[(picture(), 0), (picture(), 1), (None, 1)], Some(note));
    assert_eq!(
        load(source(), &folder),
        "row 2 of `DIR/set.parquet` has no picture (it is null, or only a path). Give a table that holds the files."
    );
    table(&file, &[(picture(), 0), (picture(), 1), (Some(b"GIF89a".to_vec()), 1)], Some(note));
    let text = load(source(), &folder);
    assert!(text.starts_with("row 2 of `DIR/set.parquet` could not be read: "), "{text}");
    table(&file, &[(picture(), 0), (picture(), 2)], Some(note));
    assert_eq!(
        load(source(), &folder),
        "label 2 of item 1 in `DIR/set.parquet` is out of range: there are 2 classes, 0 to 1. Name every class, in \
         the order of the labels, in `classes` (or the set's own list), or correct the labels."
    );
    table(&file, &[(picture(), -1)], None);
    assert_eq!(
        load(source(), &folder),
        "label -1 of item 0 in `DIR/set.parquet` is out of range: there are 65536 classes, 0 to 65535. Classes are counted \
         from 0; a column of other numbers is not one of labels."
    );
    table(&file, &[(picture(), 0), (Some(dot(5)), 0)], None);
    assert_eq!(
        load(source(), &folder),
        "the images differ in size: `row 0 of DIR/set.parquet` is 4 × 4 pixels, `row 1 of DIR/set.parquet` is 5 × 5. Say \
         `size = 4` (or another side) to bring all of them to one square size."
    );
    table(&file, &[], None);
    assert_eq!(load(source(), &folder), "`DIR/set.parquet` holds no images. Give a table that has rows.");
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(
        load(Parquet { path: folder.path().join("empty"), ..Parquet::default() }, &folder),
        "`DIR/empty` has no Parquet file (a name that ends in `.parquet`). Copy some there, or give the path of one."
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
        "`DIR/x.npy` begins with the description of an array of `<f4` in C order, where one of `|u1` in C order was \
         expected. Convert it: numpy.ascontiguousarray(array, dtype)."
    );
    fs::write(&file, &whole[..140]).unwrap();
    assert_eq!(
        message(npy::load::<f32>(&file), &folder),
        "`DIR/x.npy` is cut short: 144 bytes were expected, 140 were found. Download or copy it again."
    );
    fs::write(&file, [&whole[..], &[0]].concat()).unwrap();
    assert!(message(npy::load::<f32>(&file), &folder).starts_with("`DIR/x.npy` goes on after its end"));
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
        "a picture cannot be drawn: 2 channels, where 1 (grey), 3 (RGB) or 4 (RGBA) was expected."
    );
    assert_eq!(
        message(picture::grid(&[], [0, 1, 2, 2], &layout), &folder),
        "what is to be drawn holds no images. Draw at least one."
    );
    // The folder's place is taken by a file.
    put(&folder, "runs", b"");
    let image = picture::grid(&[0.0; 4], [1, 1, 2, 2], &layout).unwrap();
    let text = message(picture::save(&image, folder.path().join("runs/a.png")), &folder);
    assert!(text.starts_with("could not make the folder `DIR/runs`: "), "{text}");
    // A folder's place is not taken by a file, and nothing is left behind.
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

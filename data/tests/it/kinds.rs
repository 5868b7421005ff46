//! Files that are not what a setting needs: each is read right, or refused for what it is.
use crate::files::{encoded, gzip, idx, png};
use std::fs;
use tempfile::{TempDir, tempdir};
use tweedie_data::image::{GrayImage, ImageFormat, RgbImage};
use tweedie_data::*;

const LFS: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea423c2713d436b5ee50593a9640e0018c1550b5a0002f74190d6caea8\nsize 1234567\n";
const PAGE: &[u8] = b"\n<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n";
const REFUSED: &[u8] = b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>\n";

/// Files that are no text, image, table or array: their bytes, and what messages call them.
fn foreign() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut tar = vec![b'a'; 600];
    tar[257..263].copy_from_slice(b"ustar\0");
    vec![
        (LFS.to_vec(), "a Git LFS pointer, which stands for a file of 1234567 bytes", "git lfs pull"),
        (PAGE.to_vec(), "a web page (HTML)", "download the file itself"),
        (b"<p>line 0 of the page that was not found</p>\n".to_vec(), "a web page (HTML)", "download the file itself"),
        (b"<!-- made by x -->\n<html lang=en>".to_vec(), "a web page (HTML)", "download the file itself"),
        (REFUSED.to_vec(), "an error message of a server (XML)", "download the file itself"),
        (b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), "a zip archive", "unzip"),
        (b"BZh91AY&SY\0\0\0\0".to_vec(), "a bzip2 file", "bunzip2"),
        (b"\xfd7zXZ\0\0\x04".to_vec(), "an xz file", "xz -d"),
        (b"\x28\xb5\x2f\xfd\x04\0".to_vec(), "a Zstandard file", "zstd -d"),
        (b"\x04\x22\x4d\x18\x64".to_vec(), "an LZ4 file", "lz4 -d"),
        (b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), "a 7z archive", "7z x"),
        (tar, "a tar archive", "tar -xf"),
        (b"ARROW1\0\0".to_vec(), "an Arrow file", "CSV"),
        (b"\x89HDF\r\n\x1a\n\0".to_vec(), "an HDF5 file", "CSV"),
        (b"\x93NUMPY\x01\0v\0{".to_vec(), "a NumPy array", "IDX"),
        (b"SQLite format 3\0".to_vec(), "an SQLite database", "CSV"),
        (b"%PDF-1.7\n".to_vec(), "a PDF document", "plain text"),
        (b"\x80\x04\x95\x10\0".to_vec(), "a Python pickle", "Python"),
    ]
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>, folder: &TempDir) -> String {
    let text = result.unwrap_err().to_string();
    assert!(!text.contains('\n') && text.ends_with('.'), "one paragraph: {text}");
    text.replace(&folder.path().display().to_string(), "DIR")
}

fn text(folder: &TempDir, name: &str, bytes: &[u8]) -> Text {
    Text { path: put(folder, name, bytes), held_out: 0, ..Text::default() }
}

fn rows(source: &Text) -> Vec<String> {
    let set = source.load(Split::Train).unwrap().unwrap();
    (0..set.len()).map(|row| set.text(row)).collect()
}

#[test]
fn every_source_says_what_a_foreign_file_is_and_what_to_do() {
    let folder = tempdir().unwrap();
    for (bytes, name, remedy) in foreign() {
        let contains = |found: String| {
            assert!(found.contains(name) && found.contains(remedy), "{name}, {remedy}: {found}");
        };
        for (bytes, packed) in [(bytes.clone(), ""), (gzip(&bytes), ", gzipped")] {
            let windows = Text { sample: Sample::Window, ..text(&folder, "data.txt.gz", &bytes) };
            contains(message(windows.load(Split::Train), &folder));
            let lines = message(text(&folder, "data.txt.gz", &bytes).load(Split::Train), &folder);
            assert!(lines.contains(name) && lines.contains(packed), "{lines}");
            let table = Text { column: Some("text".into()), ..text(&folder, "data.csv", &bytes) };
            contains(message(table.load(Split::Train), &folder));
            let images = Idx { images: Some(put(&folder, "images.gz", &bytes)), held_out: 0, ..Idx::default() };
            contains(message(images.load(Split::Train), &folder));
        }
        let table = Parquet { path: put(&folder, "set.parquet", &bytes), held_out: 0, ..Parquet::default() };
        contains(message(table.load(Split::Train), &folder));
        let pictures = tempdir().unwrap();
        put(&pictures, "1.png", &bytes);
        let source = Folder { path: pictures.path().into(), held_out: 0, ..Folder::default() };
        let found = message(source.load(Split::Train), &pictures);
        assert!(found.contains(name), "{name}: {found}");
    }
}

#[test]
fn images_and_tables_are_not_text_and_text_is_not_an_image() {
    let folder = tempdir().unwrap();
    for (format, name) in [
        (ImageFormat::Png, "a PNG image"),
        (ImageFormat::Jpeg, "a JPEG image"),
        (ImageFormat::Gif, "a GIF image"),
        (ImageFormat::WebP, "a WebP image"),
        (ImageFormat::Bmp, "a BMP image"),
        (ImageFormat::Tiff, "a TIFF image"),
    ] {
        let bytes = encoded(RgbImage::new(4, 4), format);
        let found = message(text(&folder, "a.txt", &bytes).load(Split::Train), &folder);
        assert!(found.starts_with(&format!("`DIR/a.txt` is {name}, and not text; use the data source")), "{found}");
        let found =
            message(Idx { images: Some(folder.path().join("a.txt")), ..Idx::default() }.load(Split::Train), &folder);
        assert!(found.starts_with(&format!("`DIR/a.txt` is {name}, and not an IDX file")), "{found}");
    }
    let table = folder.path().join("set.parquet");
    crate::files::table(&table, &[(Some(png(GrayImage::new(2, 2))), 0)], None);
    let found = message(Text { path: table, held_out: 0, ..Text::default() }.load(Split::Train), &folder);
    assert!(found.starts_with("`DIR/set.parquet` is a Parquet table, and not text; "), "{found}");
    let twice = gzip(&gzip(b"one\ntwo\n"));
    assert_eq!(
        message(text(&folder, "a.gz", &twice).load(Split::Train), &folder),
        "`DIR/a.gz` holds a gzip file, gzipped, and not text; unpack it once with `gunzip`."
    );
    let pictures = tempdir().unwrap();
    let said = |bytes: &[u8], expected: &str| {
        put(&pictures, "1.png", bytes);
        let source = Folder { path: pictures.path().into(), held_out: 0, ..Folder::default() };
        let found = message(source.load(Split::Train), &pictures);
        assert!(found.contains(expected), "{found}");
    };
    said(b"hello\nworld", "could not be read: it is text, which starts with \"hello\"");
    said(b"", "could not be read: it is empty");
    said(&[0; 500], "could not be read: it starts with zeros only");
    said(&[0x9f, 3, 0x1c, 0xff, 0x80, 2, 1, 9], "could not be read: it starts with the bytes [9f, 03, 1c");
    said(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "could not be read: it is an SVG image");
    said(&idx(&[1, 2, 2], &[0; 4]), "could not be read: it starts with the bytes [00, 00, 08");
}

/// The bytes of a text in an encoding of two or four bytes.
fn units(text: &str, size: usize, big: bool, mark: bool) -> Vec<u8> {
    let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    let bytes = |code: u32| -> Vec<u8> {
        match big {
            true => code.to_be_bytes()[4 - size..].to_vec(),
            false => code.to_le_bytes()[..size].to_vec(),
        }
    };
    match size {
        2 => text.encode_utf16().flat_map(|unit| bytes(u32::from(unit))).collect(),
        _ => text.chars().flat_map(|c| bytes(u32::from(c))).collect(),
    }
}

#[test]
fn utf_16_and_utf_32_are_read_with_a_mark_and_named_without_one() {
    let folder = tempdir().unwrap();
    let lines = ["anna", "bjørn", "猫 🙂"];
    for (size, big, name) in
        [(2, false, "UTF-16LE"), (2, true, "UTF-16BE"), (4, false, "UTF-32LE"), (4, true, "UTF-32BE")]
    {
        for end in ["\n", "\r\n", "\r"] {
            let whole = lines.join(end) + end;
            let marked = units(&whole, size, big, true);
            assert_eq!(rows(&text(&folder, "a.txt", &marked)), lines, "{name}");
            assert_eq!(rows(&text(&folder, "a.txt.gz", &gzip(&marked))), lines, "{name}");
            let bare = units(&format!("anna berta carla{end}dora{end}"), size, big, false);
            let found = message(text(&folder, "a.txt", &bare).load(Split::Train), &folder);
            let place = format!("`DIR/a.txt` is text in {name} without a byte order mark: byte ");
            let remedy = format!("; save it as UTF-8, for example with `iconv -f {name} -t UTF-8`.");
            assert!(found.starts_with(&place) && found.ends_with(&remedy), "{found}");
        }
        let table = units("id,ref\r\n1,\"a, b\"\r\n", size, big, true);
        let source = Text { column: Some("ref".into()), ..text(&folder, "a.csv", &table) };
        assert_eq!(rows(&source), ["a, b"], "{name}");
        let mut half = units("anna", size, big, true);
        half.pop();
        let found = message(text(&folder, "a.txt", &half).load(Split::Train), &folder);
        let at = 4 * size;
        assert!(found.contains("is damaged") && found.contains(&format!("at byte {at}")), "{name}: {found}");
    }
    let lone = [0xff, 0xfe, b'a', 0, 0x00, 0xd8, b'b', 0];
    let found = message(text(&folder, "a.txt", &lone).load(Split::Train), &folder);
    assert!(found.contains("half of a surrogate pair, at byte 4"), "{found}");
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_place() {
    let folder = tempdir().unwrap();
    assert_eq!(
        message(text(&folder, "a.txt", b"one\ntwo\0three\n").load(Split::Train), &folder),
        "`DIR/a.txt` is not text: byte 7 is zero (line 2); give a file of text in UTF-8; if this is text in UTF-16, convert \
         it with `iconv -f UTF-16 -t UTF-8`."
    );
    // Beyond the first bytes that are looked at too.
    let mut long = "line\n".repeat(2000).into_bytes();
    long.push(0);
    let found = message(text(&folder, "a.txt", &long).load(Split::Train), &folder);
    assert!(found.contains("byte 10000 is zero (line 2001)"), "{found}");
    let chinese: Vec<u8> = [0xc4u8, 0xe3, 0xba, 0xc3].repeat(50);
    let found = message(text(&folder, "a.txt", &chinese).load(Split::Train), &folder);
    assert!(
        found.contains("byte 0 (0xc4, line 1)") && found.contains("`iconv -f GB18030 -t UTF-8`, SHIFT_JIS"),
        "{found}"
    );
    let noise: Vec<u8> = (1..=255u8).cycle().take(2000).collect();
    let found = message(text(&folder, "a.txt", &noise).load(Split::Train), &folder);
    assert!(found.contains("is not text: byte 127 (0x80"), "{found}");
    for nothing in [&b""[..], b"\n\n", b"\r\r", b"\xef\xbb\xbf", b"  \n \n", b"\xff\xfe"] {
        let found = message(text(&folder, "a.txt", nothing).load(Split::Train), &folder);
        assert!(found.starts_with("`DIR/a.txt` does not hold any text;"), "{nothing:?}: {found}");
    }
}

#[test]
fn byte_order_marks_in_the_middle_are_removed_and_lone_carriage_returns_end_lines() {
    let folder = tempdir().unwrap();
    let joined = "\u{feff}anna\n\u{feff}bo\nca\u{feff}rl\n";
    assert_eq!(rows(&text(&folder, "a.txt", joined.as_bytes())), ["anna", "bo", "carl"]);
    assert_eq!(rows(&text(&folder, "a.txt", b"anna\rbo\r\rcarl")), ["anna", "bo", "carl"]);
    assert_eq!(rows(&text(&folder, "a.txt", b"anna\r\nbo\ncarl\rdora")), ["anna", "bo", "carl", "dora"]);
    let whole = Text { sample: Sample::Window, length: Some(7), ..text(&folder, "a.txt", b"ab\rcd\re") };
    assert_eq!(rows(&whole), ["ab\ncd\ne"]);
    let table = Text { column: Some("ref".into()), ..text(&folder, "a.csv", b"id,ref\r1,anna\r2,bo\r") };
    assert_eq!(rows(&table), ["anna", "bo"]);
    let ragged = Text { column: Some("ref".into()), ..text(&folder, "a.csv", b"id,ref\r1,anna\r2\r") };
    let found = message(ragged.load(Split::Train), &folder);
    assert!(found.contains("line 3 has 1 cell, and the header has 2"), "{found}");
}

#[test]
fn tables_are_read_by_their_delimiter_and_their_quotes_must_close() {
    let folder = tempdir().unwrap();
    let column = |name: &str, bytes: &[u8]| Text { column: Some("text".into()), ..text(&folder, name, bytes) };
    for delimiter in [",", ";", "\t", "|"] {
        let table = ["id", "text", "note"].join(delimiter)
            + "\n"
            + &["1", &format!("\"a{delimiter} b\"\" c\""), ""].join(delimiter)
            + "\n"
            + &["2", "plain 5\" pipe", "x"].join(delimiter);
        let expected = [format!("a{delimiter} b\" c"), "plain 5\" pipe".to_owned()];
        assert_eq!(rows(&column("a.csv", table.as_bytes())), expected, "{delimiter:?}");
        let unset = Text { column: None, ..column("a.csv", table.as_bytes()) };
        let found = message(unset.load(Split::Train), &folder);
        assert!(
            found.contains("a table with the columns `id`, `text`, `note`") && found.contains("\"text\""),
            "{found}"
        );
    }
    let mut open = "id,text\n1,fine\n2,\"open\n".to_owned();
    (3..40).for_each(|i| open += &format!("{i},row {i}\n"));
    let found = message(column("a.csv", open.as_bytes()).load(Split::Train), &folder);
    assert!(found.contains("the quoted cell that starts in line 3 does not end"), "{found}");
    // Another quote further down closes it by accident.
    let found = message(column("a.csv", (open + "41,\"x\"\n").as_bytes()).load(Split::Train), &folder);
    assert!(found.contains("the quoted cell that starts in line 3 is followed by more text in line 41"), "{found}");
    let found = message(column("a.csv", b"text,id,text\na,b,c\n").load(Split::Train), &folder);
    assert!(found.contains("has 2 columns with the name `text`, number 1 and number 3"), "{found}");
    let found = message(column("a.csv", b"id,text\n1,a,b\n").load(Split::Train), &folder);
    assert!(found.contains("line 2 has 3 cells, and the header has 2"), "{found}");
}

#[test]
fn json_lines_are_read_by_key_and_not_learned_with_their_braces() {
    let folder = tempdir().unwrap();
    let lines =
        "{\"id\": 1, \"text\": \"a \\\"b\\\"\\u00e9\"}\n\n{\"text\": null}\n{\"id\": 2, \"text\": \"two\\nlines\"}\n";
    for name in ["a.jsonl", "a.ndjson", "a.txt", "a.jsonl.gz"] {
        let source = Text { column: Some("text".into()), ..text(&folder, name, lines.as_bytes()) };
        assert_eq!(rows(&source), ["a \"b\"é", "two\nlines"]);
        for sample in [Sample::Line, Sample::Window] {
            let found = message(Text { column: None, sample, ..source.clone() }.load(Split::Train), &folder);
            assert!(found.contains("a file of JSON objects with the keys `id`, `text`"), "{found}");
            assert!(found.ends_with("set `column = \"text\"`, or another of them."), "{found}");
        }
        let found = message(Text { column: Some("txt".into()), ..source }.load(Split::Train), &folder);
        assert!(found.contains("does not have a column `txt`, only `id`, `text`"), "{found}");
    }
    let wrong = |lines: &str, expected: &str| {
        let source = Text { column: Some("text".into()), ..text(&folder, "a.jsonl", lines.as_bytes()) };
        let found = message(source.load(Split::Train), &folder);
        assert!(found.contains(expected), "{found}");
    };
    wrong("{\"text\": \"a\"}\n{\"text\": \"b\"\n", "line 2 cannot be read");
    wrong("{\"text\": \"a\"}\n{\"text\": 3}\n", "line 2 has a `text` that is not a text");
    wrong("{\"text\": \"a\"}\n{\"txt\": \"b\"}\n", "line 2 does not have the key `text`");
    // Text about braces is text, and so are lines that start with a mark of another kind.
    for start in
        ["ORCHESTRA", "ID3 learns trees", "The ftyp box", "GIF89a is old", "PAR1S", "8BPS", "BM", "II*", "LZIP"]
    {
        assert_eq!(rows(&text(&folder, "b.txt", format!("{start}\nanna\n").as_bytes())), [start, "anna"]);
    }
    assert_eq!(rows(&text(&folder, "b.txt", b"<s> anna\n<unk> bo\n")), ["<s> anna", "<unk> bo"]);
    assert_eq!(rows(&text(&folder, "a.txt", b"{a} and {b}\n{}\n")), ["{a} and {b}", "{}"]);
}

#[test]
fn one_line_much_longer_than_the_others_is_refused_with_its_number() {
    let folder = tempdir().unwrap();
    let mut names: Vec<String> = (0..40).map(|i| format!("name {i}")).collect();
    names[16] = "x".repeat(5000);
    let source = text(&folder, "names", names.join("\n").as_bytes());
    assert_eq!(
        message(source.load(Split::Train), &folder),
        "`DIR/names` has a sample of 5000 tokens (line 17), and half of the samples have 7 or fewer: without `length` all \
         of them would be padded to 5001 tokens; set `length = 8` and `too_long = \"skip\"` or \"truncate\" (1 of 40 \
         samples are longer), or `length = 5001` to train on that many."
    );
    let skip = Text { length: Some(8), too_long: TooLong::Skip, ..source.clone() };
    assert_eq!(rows(&skip).len(), 39);
    assert_eq!(rows(&Text { length: Some(5001), ..source.clone() }).len(), 40);
    // In the held-out part too.
    let found = message(Text { held_out: 17, ..source }.load(Split::Train), &folder);
    assert!(found.contains("has a sample of 5000 tokens (line 17)"), "{found}");
    // Lines that are long alike are no mistake.
    let long: Vec<String> = (0..4).map(|i| format!("{i}").repeat(1000 + i)).collect();
    assert_eq!(rows(&text(&folder, "long", long.join("\n").as_bytes())).len(), 4);
}

#[test]
fn a_text_of_one_line_is_told_of_windows() {
    let folder = tempdir().unwrap();
    let one = Text { held_out: 10, ..text(&folder, "one", b"once upon a time") };
    assert_eq!(
        message(one.load(Split::Train), &folder),
        "`DIR/one` has 1 sample, too few to hold out every 10th; set `sample = \"window\"` if it is running text, or \
         `held_out = 0` to hold out none."
    );
    // The remedy for a few is one that works.
    for n in 2..10 {
        let lines = vec!["abc"; n].join("\n");
        let few = Text { held_out: 10, ..text(&folder, "few", lines.as_bytes()) };
        let found = message(few.load(Split::Train), &folder);
        let advised = found.split("`held_out = ").nth(1).unwrap().split('`').next().unwrap().parse().unwrap();
        assert!(Text { held_out: advised, ..few }.parts().unwrap().1.is_some(), "{found}");
    }
}

#[test]
fn labels_and_names_of_classes_are_read_as_text_is() {
    let folder = tempdir().unwrap();
    put(&folder, "labels.txt", b"\xef\xbb\xbfcat\r\ndog\r\n");
    put(&folder, "images", &idx(&[2, 1, 1], &[3, 4]));
    put(&folder, "labels", &idx(&[2], &[0, 1]));
    let source = Idx {
        path: Some(folder.path().into()),
        images: Some("images".into()),
        labels: Some("labels".into()),
        held_out: 0,
        ..Idx::default()
    };
    assert_eq!(source.load(Split::Train).unwrap().classes, ["cat", "dog"]);
    put(&folder, "labels.txt", LFS);
    let found = message(source.load(Split::Train), &folder);
    assert!(found.starts_with("`DIR/labels.txt` is a Git LFS pointer"), "{found}");
}

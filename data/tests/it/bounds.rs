//! Held-out parts, tables and their codecs, and sizes that headers announce.
use crate::files::{gzip, idx, png};
use ::parquet::{
    basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{fs, path::Path, sync::Arc};
use tempfile::tempdir;
use tweedie_data::image::{GrayImage, Luma};
use tweedie_data::*;

fn shade(level: u8) -> Vec<u8> {
    png(GrayImage::from_pixel(3, 2, Luma([level])))
}

/// A table of pictures in a column `image` and texts in a column `label`.
fn texts(path: &Path, rows: &[(u8, &str)], compression: Compression) {
    let schema = "message set { required binary image; required binary label (STRING); required boolean dark; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let pictures: Vec<ByteArray> = rows.iter().map(|(level, _)| shade(*level).into()).collect();
    let labels: Vec<ByteArray> = rows.iter().map(|(_, label)| label.as_bytes().to_vec().into()).collect();
    for values in [pictures, labels] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    let dark: Vec<bool> = rows.iter().map(|(level, _)| *level < 100).collect();
    column.typed::<BoolType>().write_batch(&dark, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

const ROWS: [(u8, &str); 5] = [(10, "2"), (200, "10"), (30, "dog, small"), (140, "2"), (50, "none")];

#[test]
fn tables_are_read_in_every_compression_and_their_labels_may_be_texts() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("set.parquet");
    let source = Parquet { path: path.clone(), channels: 1, held_out: 0, ..Parquet::default() };
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        texts(&path, &ROWS, compression);
        let set = source.load(Split::Train).unwrap_or_else(|error| panic!("{compression:?}: {error}"));
        assert_eq!((0..5).map(|i| set.get(i)[0]).collect::<Vec<_>>(), [10, 200, 30, 140, 50], "{compression:?}");
        assert_eq!(set.classes, ["10", "2", "dog, small", "none"]);
        assert_eq!(set.labels.as_deref(), Some(&[1, 0, 2, 1, 3][..]));
    }
    let dark = Parquet { label: "dark".into(), ..source.clone() }.load(Split::Train).unwrap();
    assert_eq!((dark.classes, dark.labels), (vec!["false".into(), "true".into()], Some(vec![1, 0, 1, 0, 1])));
    // In the order that the settings give, in which every label must be.
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let ordered = Parquet { classes: names(&["none", "2", "10", "dog, small"]), ..source.clone() };
    assert_eq!(ordered.load(Split::Train).unwrap().labels, Some(vec![1, 2, 3, 1, 0]));
    let few = Parquet { classes: names(&["none", "2"]), ..source };
    let text = few.load(Split::Train).unwrap_err().to_string();
    assert!(
        text.contains("has label `10` at item 1, but the classes are `none`, `2`; name every class in `classes`"),
        "{text}"
    );
    // Both parts have the classes of both.
    let data = folder.path().join("hub");
    fs::create_dir(&data).unwrap();
    texts(&data.join("train-0.parquet"), &ROWS[..3], Compression::SNAPPY);
    texts(&data.join("test-0.parquet"), &ROWS[3..], Compression::SNAPPY);
    let parts = Parquet { path: data, channels: 1, ..Parquet::default() };
    let (train, test) = (parts.load(Split::Train).unwrap(), parts.load(Split::Test).unwrap());
    assert_eq!((&train.classes, &test.classes), (&names(&["10", "2", "dog, small", "none"]), &train.classes));
    assert_eq!((train.labels.unwrap(), test.labels.unwrap()), (vec![1, 0, 2], vec![1, 3]));
}

/// The training part and the held-out part of a source whose pictures have the levels 0, 1, 2, …
fn disjoint(source: &dyn Source, n: usize, every: usize, classes: usize) {
    let (train, held) = (source.load(Split::Train).unwrap(), source.load(Split::Test).unwrap());
    let levels = |set: &Images| (0..set.len()).map(|i| set.get(i)[0]).collect::<Vec<_>>();
    let mut all = [levels(&train), levels(&held)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..n as u8).collect::<Vec<_>>(), "{source:?}: every picture is in one part, and in one alone");
    assert_eq!(held.len(), n / classes / every * classes, "{source:?}");
}

#[test]
fn training_rows_and_held_out_rows_are_disjoint_and_complete_in_every_source() {
    let folder = tempdir().unwrap();
    for (n, every) in [(40, 2), (40, 5), (60, 10), (44, 3)] {
        let pictures = folder.path().join(format!("{n}-{every}"));
        for i in 0..n {
            let class = pictures.join(if i % 2 == 0 { "even" } else { "odd" });
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join(format!("{i:03}.png")), shade(i as u8)).unwrap();
        }
        let source = Folder { path: pictures.clone(), channels: 1, held_out: every, ..Folder::default() };
        disjoint(&source, n, every, 2);
        let table = folder.path().join("set.parquet");
        let rows: Vec<_> = (0..n).map(|i| (Some(shade(i as u8)), (i % 2) as i64)).collect();
        crate::files::table(&table, &rows, None);
        disjoint(&Parquet { path: table.clone(), channels: 1, held_out: every, ..Parquet::default() }, n, every, 2);
        let rows: Vec<_> = (0..n).map(|i| (i as u8, if i % 2 == 0 { "even" } else { "odd" })).collect();
        texts(&table, &rows, Compression::SNAPPY);
        disjoint(&Parquet { path: table.clone(), channels: 1, held_out: every, ..Parquet::default() }, n, every, 2);
        let bare = Parquet { path: table, channels: 1, held_out: every, label: String::new(), ..Parquet::default() };
        disjoint(&bare, n, every, 1);
        let file = folder.path().join("images");
        fs::write(&file, idx(&[n as u32, 1, 1], &(0..n as u8).collect::<Vec<_>>())).unwrap();
        disjoint(&Idx { images: Some(file), held_out: every, ..Idx::default() }, n, every, 1);

        // Lines, cells and windows: every line in one part; the end of a text follows its start without a gap.
        let lines: Vec<String> = (0..n).map(|i| format!("line {i:03}")).collect();
        for last in [false, true] {
            let path = folder.path().join("lines");
            fs::write(&path, lines.join("\n")).unwrap();
            let source = Text { path, held_out: every, last, ..Text::default() };
            let (train, held) = source.parts().unwrap();
            let held = held.unwrap();
            let texts = |set: &Texts| (0..set.len()).map(|row| set.text(row)).collect::<Vec<_>>();
            let mut all = [texts(&train), texts(&held)].concat();
            all.sort_unstable();
            assert_eq!((all, held.len()), (lines.clone(), n / every), "held_out = {every}, last = {last}");
            // Both parts by themselves are those of both.
            assert_eq!(source.load(Split::Train).unwrap().unwrap(), train);
            assert_eq!(source.load(Split::Test).unwrap().unwrap(), held);
        }
        let text: String = (0..n).map(|i| char::from_u32(0x4e00 + i as u32).unwrap()).collect();
        let path = folder.path().join("text");
        fs::write(&path, &text).unwrap();
        let source = Text { path, sample: Sample::Window, length: Some(1), held_out: every, ..Text::default() };
        let (train, held) = source.parts().unwrap();
        let joined = |set: &Texts| (0..set.len()).map(|row| set.text(row)).collect::<String>();
        assert_eq!(joined(&train) + &joined(&held.unwrap()), text, "windows of {n} characters, one {every}th held out");
    }
    // The built-in digits: no picture is in both parts but those that occur twice, which none does.
    let source = Digits::default();
    let (train, held) = (source.load(Split::Train).unwrap(), source.load(Split::Test).unwrap());
    let whole = Digits { held_out: 0, levels: None }.load(Split::Train).unwrap();
    let rows = |set: &Images| (0..set.len()).map(|i| (set.get(i).to_vec(), set.label(i))).collect::<Vec<_>>();
    let mut all = [rows(&train), rows(&held)].concat();
    let mut expected = rows(&whole);
    all.sort_unstable();
    expected.sort_unstable();
    assert_eq!(all, expected);
    assert!(expected.windows(2).all(|pair| pair[0] != pair[1]), "no picture twice");
}

#[test]
fn arrays_that_announce_more_than_the_file_can_hold_are_refused_before_they_are_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("images");
    let source = Idx { images: Some(path.clone()), held_out: 0, ..Idx::default() };
    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let text = source.load(Split::Train).unwrap_err().to_string();
        assert!(source.memory(Split::Train).is_err(), "{text}");
        text
    };
    let text = message(&idx(&[u32::MAX, 1, 1], &[0; 5]));
    assert!(text.contains("is truncated: expected 4294967311 bytes, found 21;"), "{text}");
    let text = message(&idx(&[u32::MAX, 28, 28], &[0; 5]));
    assert!(text.contains("does not fit into memory (at most 68719476736 bytes)"), "{text}");
    let text = message(&gzip(&idx(&[u32::MAX, 4, 4], &[0; 5])));
    assert!(text.contains("announces an array of [4294967295, 4, 4], more than gzip can hold in the"), "{text}");
    let text = message(&[&[0, 0, 8, 255][..], &[0xff; 1020]].concat());
    assert!(text.contains("does not fit into memory"), "{text}");
}

#[test]
fn tables_that_announce_rows_without_end_are_refused_by_their_metadata() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("set.parquet");
    let rows: Vec<_> = (0..100).map(|i| (i as u8, "a")).collect();
    texts(&path, &rows, Compression::SNAPPY);
    let bytes = fs::read(&path).unwrap();
    // The metadata stand at the end, before their length and the magic bytes. A number n of 64 bits is the byte 0x16 and
    // 2 n, or −2 n − 1 where it is negative, in groups of seven bits.
    let (rest, end) = bytes.split_at(bytes.len() - 8);
    let (pages, metadata) = rest.split_at(rest.len() - u32::from_le_bytes(end[..4].try_into().unwrap()) as usize);
    let number = |mut twice: u64| {
        let mut bytes = vec![0x16];
        while twice > 127 {
            bytes.push(twice as u8 | 128);
            twice >>= 7;
        }
        bytes.push(twice as u8);
        bytes
    };
    let announce = |twice: u64| {
        let (from, to) = (number(200), number(twice));
        let (mut changed, mut at) = (Vec::new(), 0);
        while at < metadata.len() {
            let found = metadata[at..].starts_with(&from);
            changed.extend_from_slice(if found { &to } else { &metadata[at..=at] });
            at += if found { from.len() } else { 1 };
        }
        let length = (changed.len() as u32).to_le_bytes();
        fs::write(&path, [pages, &changed, &length, b"PAR1"].concat()).unwrap();
    };
    let source = Parquet { path: path.clone(), held_out: 0, ..Parquet::default() };
    announce(200);
    assert_eq!(source.load(Split::Train).unwrap().len(), 100);
    announce(1 << 41);
    for text in [source.load(Split::Train).map(drop), source.memory(Split::Train).map(drop)] {
        let text = text.unwrap_err().to_string();
        assert!(text.contains("announces 1099511627776 rows, more than the 16777216 that are read"), "{text}");
    }
    // Within the bound, but more than there are.
    announce(1 << 21);
    let text = source.load(Split::Train).unwrap_err().to_string();
    assert!(text.contains("could not be read: ") && text.len() < 400, "{text}");
    announce(u64::MAX);
    let text = source.load(Split::Train).unwrap_err().to_string();
    assert!(text.contains("could not be read: "), "{text}");
}

#[test]
fn texts_beyond_the_limit_are_refused_before_they_are_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("text");
    // A file with a hole, which takes no room.
    fs::File::create(&path).unwrap().set_len(limits::MAX_TEXT + 1).unwrap();
    let source = Text { path: path.clone(), ..Text::default() };
    let text = source.load(Split::Train).unwrap_err().to_string();
    assert!(text.contains("has more than 1073741824 bytes, the most that is read into memory; divide it"), "{text}");
    // Zeros that gzip shrinks a thousandfold are no text, which is seen at the first of them.
    fs::write(&path, gzip(&vec![0; 1 << 24])).unwrap();
    let text = source.load(Split::Train).unwrap_err().to_string();
    assert!(text.contains("is not text: byte 0 after decompression is zero"), "{text}");
}

#[test]
fn the_memory_that_a_source_needs_is_known_before_it_is_loaded() {
    let folder = tempdir().unwrap();
    for i in 0..20 {
        fs::write(folder.path().join(format!("{i}.png")), shade(i)).unwrap();
    }
    let source = Folder { path: folder.path().into(), ..Folder::default() };
    assert_eq!(source.memory(Split::Train).unwrap(), Some(2 * 20 * 3 * 6));
    let scaled = Folder { size: Some(64), channels: 4, ..source.clone() };
    assert_eq!(scaled.memory(Split::Train).unwrap(), Some(2 * 20 * 4 * 64 * 64));
    let huge = Folder { size: Some(8192), ..source };
    assert_eq!(huge.memory(Split::Train).unwrap(), Some((2 * 20 * 3) << 26));
    let file = folder.path().join("images");
    fs::write(&file, gzip(&idx(&[10, 2, 3], &[0; 60]))).unwrap();
    let source = Idx { images: Some(file), ..Idx::default() };
    assert_eq!(source.memory(Split::Train).unwrap(), Some(60 + 2 * 60));
    assert_eq!(Idx { pad: Some(8), ..source }.memory(Split::Train).unwrap(), Some(60 + 2 * 640));
    let table = folder.path().join("set.parquet");
    texts(&table, &ROWS, Compression::SNAPPY);
    let source = Parquet { path: table, channels: 1, ..Parquet::default() };
    let pixels = 2 * 5 * 6;
    let found = source.memory(Split::Train).unwrap().unwrap();
    assert!(found > pixels + 300 && found < pixels + 3000, "{found}");
    let text = folder.path().join("text.gz");
    fs::write(&text, gzip(&b"abc ".repeat(5000))).unwrap();
    assert_eq!(Text { path: text, ..Text::default() }.memory().unwrap(), 8 * 20_000);
    assert!(Digits::default().memory(Split::Train).unwrap().unwrap() > 1797 * 64);
}

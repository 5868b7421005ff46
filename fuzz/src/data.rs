//! Readers of the data crate on any bytes: no panic, no abort, bounded memory, and what is read is consistent.
//!
//! This file is compiled twice: into the fuzz targets, and into the tests of the data crate, which run the kept corpus.
use std::{fs, path::PathBuf};
use tweedie_data::{
    Arrays, Codec, Error, Folder, Idx, Images, Parquet, Sample, Source, Split, Text, Tokens, TooLong, Vocabulary,
    image, npy, picture,
};

/// A target: its name, which is that of its folder of the corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of the data crate.
pub const TARGETS: [Target; 7] = [
    ("idx", idx),
    ("parquet", parquet),
    ("image", image),
    ("text", text),
    ("csv", csv),
    ("vocabulary", vocabulary),
    ("npy", npy),
];

/// A file with these bytes, of a name that this process and thread alone use; in memory where the system offers that.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = folder.join(format!("tweedie-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::create_dir_all(&folder).expect("a folder for the files of a target");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file for a target");
    path
}

/// Removes the folder that [`file`] has made.
pub fn clean() {
    if let Some(folder) = file("last", &[]).parent() {
        let _ = fs::remove_dir_all(folder);
    }
}

/// An error is a sentence with an end; its parts can be read.
fn sentence(error: &Error) {
    let text = error.to_string();
    assert!(text.ends_with('.') && text.len() < 1 << 16, "{text}");
    assert!(!error.problem().is_empty());
}

/// Whether a case is one of those of which more is computed: one of `n`, by a byte in its middle, which no format fixes.
fn chosen(bytes: &[u8], n: u8) -> bool {
    bytes.get(bytes.len() / 2).is_none_or(|byte| byte % n == 0)
}

/// A set is consistent, and so, where `both`, are the two parts of it together.
fn set(source: &dyn Source, both: bool) {
    let _ = source.memory(Split::Train).map_err(|error| sentence(&error));
    let train = source.load(Split::Train);
    let consistent = |set: &Images| {
        assert_eq!(set.pixels.len(), set.len() * set.channels * set.height * set.width);
        assert!(set.labels.iter().flatten().all(|&label| (label as usize) < set.classes.len()));
        let first: Vec<usize> = (0..set.len().min(3)).collect();
        assert!(set.to_unit(&first, None).iter().all(|x| (-1.0..=1.0).contains(x)));
    };
    match &train {
        Ok(set) => consistent(set),
        Err(error) => return sentence(error),
    }
    if both {
        let held = source.load(Split::Test);
        match &held {
            Ok(set) => consistent(set),
            Err(error) => sentence(error),
        }
        if let (Ok(train), Ok(held)) = (train, held) {
            assert_eq!((train.shape(), train.classes), (held.shape(), held.classes));
        }
    }
}

/// An IDX file as one of images, and of labels of two images.
pub fn idx(bytes: &[u8]) {
    let path = file("images", bytes);
    // Of one axis or packed.
    if bytes.get(3) == Some(&1) || bytes.starts_with(&[0x1f, 0x8b]) {
        let two = file("two", &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9]);
        set(&Idx { images: Some(two), labels: Some(path.clone()), held_out: 2, pad: Some(2), ..Idx::default() }, true);
    }
    set(&Idx { images: Some(path), held_out: 2, ..Idx::default() }, chosen(bytes, 2));
}

/// A Parquet file with numbers or texts as labels, and without.
pub fn parquet(bytes: &[u8]) {
    let path = file("set.parquet", bytes);
    let source = Parquet { path, size: Some(2), held_out: 2, ..Parquet::default() };
    match chosen(bytes, 4) {
        true => set(&Parquet { label: String::new(), ..source }, true),
        false => set(&source, chosen(bytes, 2)),
    }
}

/// A picture of any format.
pub fn image(bytes: &[u8]) {
    let header = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let size = header.ok().and_then(|reader| reader.into_dimensions().ok());
    // Pictures of many pixels within the bound are decoded, which takes time and shows nothing.
    if size.is_some_and(|(w, h)| (1 << 13..=tweedie_data::limits::MAX_PIXELS).contains(&(u64::from(w) * u64::from(h))))
    {
        return;
    }
    let path = file("picture.png", bytes);
    match picture::load(&path) {
        Ok(read) => assert!(read.width() > 0 && read.height() > 0),
        Err(error) => sentence(&error),
    }
    // Scaled, with its alpha: in one of 16 cases, since folders take longer.
    if chosen(bytes, 16) {
        let path = path.parent().expect("a file has a folder").join("pictures");
        fs::create_dir_all(&path).expect("a folder of pictures");
        fs::write(path.join("1.png"), bytes).expect("a picture");
        set(&Folder { path, size: Some(3), channels: 4, held_out: 0, ..Folder::default() }, true);
    }
}

/// A text: the first byte chooses the settings.
pub fn text(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let path = file("text", bytes);
    let settings = Text {
        path,
        sample: if choice & 1 > 0 { Sample::Window } else { Sample::Line },
        length: (choice & 2 > 0).then_some(3),
        too_long: [TooLong::Error, TooLong::Truncate, TooLong::Skip, TooLong::Skip][usize::from(choice >> 2 & 3)],
        // Pairs are counted in short texts, since that takes longer than all the rest.
        tokens: if choice & 16 > 0 && bytes.len() < 256 { Tokens::Bpe } else { Tokens::Characters },
        vocabulary: 257,
        held_out: usize::from(choice >> 5),
        ..Text::default()
    };
    parts(&settings);
}

/// A table, or lines of JSON if it begins as such. Of a table, its first line up to a delimiter is the column.
pub fn csv(bytes: &[u8]) {
    if bytes.starts_with(b"{") {
        let path = file("table.jsonl", bytes);
        return parts(&Text { path, column: Some("text".into()), held_out: 0, ..Text::default() });
    }
    let start = bytes.split(|byte| b",;\t|\n\r".contains(byte)).next().unwrap_or_default();
    let column = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_matches('"').to_owned();
    let path = file("table.csv", bytes);
    parts(&Text { path, column: Some(column), held_out: 0, ..Text::default() });
}

fn parts(settings: &Text) {
    let _ = settings.memory().map_err(|error| sentence(&error));
    let (train, held) = match settings.parts() {
        Ok(parts) => parts,
        Err(error) => return sentence(&error),
    };
    for set in std::iter::once(&train).chain(&held) {
        assert!(!set.is_empty() && set.codec.length > 0);
        for row in 0..set.len().min(4) {
            let batch = set.batch(&[row]);
            assert_eq!(batch.len(), set.codec.length);
            assert!(batch.iter().all(|&id| (id as usize) < set.codec.categories()));
            // Where every token is a character, a sample is what its text encodes to.
            if matches!(set.codec.vocabulary, Vocabulary::Characters(_)) {
                assert_eq!(set.codec.decode(&batch), set.text(row));
                assert_eq!(set.codec.encode(&set.text(row)).ok(), Some(batch));
            }
        }
    }
}

/// A vocabulary, or a whole encoding, as a checkpoint stores it; and any text in it.
pub fn vocabulary(bytes: &[u8]) {
    let check = |vocabulary: &Vocabulary| {
        let text = String::from_utf8_lossy(bytes);
        match vocabulary.encode(&text) {
            Ok(ids) => {
                assert!(ids.iter().all(|&id| (id as usize) < vocabulary.len()));
                assert_eq!(vocabulary.decode(&ids), text);
            }
            Err(error) => sentence(&error),
        }
        let ids: Vec<u32> = bytes.iter().map(|&byte| u32::from(byte)).collect();
        let _ = vocabulary.decode(&ids);
        let _ = vocabulary.decode(&[u32::MAX]);
        let written = serde_json::to_string(vocabulary).expect("a vocabulary is text");
        assert_eq!(&serde_json::from_str::<Vocabulary>(&written).expect("what was written is read"), vocabulary);
    };
    if let Ok(vocabulary) = serde_json::from_slice::<Vocabulary>(bytes) {
        check(&vocabulary);
    }
    if let Ok(codec) = serde_json::from_slice::<Codec>(bytes) {
        check(&codec.vocabulary);
        let _ = codec.decode(&[0, 1, u32::MAX]);
        let _ = codec.num_characters(&[0, 1, u32::MAX]);
        if codec.length < 1 << 16 {
            let _ = codec.encode("a text").map_err(|error| sentence(&error));
        }
    }
    let merges = String::from_utf8_lossy(bytes);
    if let Ok(vocabulary) = serde_json::from_value::<Vocabulary>(serde_json::json!({ "bpe": merges })) {
        check(&vocabulary);
    }
}

/// A NumPy array.
pub fn npy(bytes: &[u8]) {
    let path = file("array.npy", bytes);
    fn check<T>(read: Result<npy::Array<T>, Error>) {
        match read {
            Ok(array) => assert_eq!(array.shape.iter().product::<usize>(), array.data.len()),
            Err(error) => sentence(&error),
        }
    }
    check(npy::load::<f32>(&path));
    check(npy::load::<u8>(&path));
    check(npy::load::<i64>(&path));
    for (range, split) in
        [None, Some([-1e3, 1e3])].into_iter().flat_map(|range| [Split::Train, Split::Test].map(|split| (range, split)))
    {
        let source = Arrays { path: path.clone(), held_out: 2, range, ..Arrays::default() };
        if let Ok(Some(set)) = source.load(split) {
            assert_eq!(set.values.len(), set.n * set.shape.iter().product::<usize>(), "a value for each place");
            assert!(set.values.iter().all(|x| x.is_finite()), "values are finite");
            assert!(source.memory().is_ok_and(|bytes| bytes >= set.values.len() as u64 * 4), "memory is estimated");
        }
    }
}

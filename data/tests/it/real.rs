//! Real data sets, looked up under the environment variable `TWEEDIE_DATA`; a test prints that it is skipped if its set
//! is not there.
//!
//! Counts, sums and pixels were computed from the files by another program.
use crate::files::png;
use std::fs;
use tweedie_data::image::RgbaImage;
use tweedie_data::*;

/// Whether a data set is available.
fn available(name: &str) -> bool {
    let there = find(name).is_ok();
    if !there {
        eprintln!("skipped: set TWEEDIE_DATA to the folder that holds `{name}`");
    }
    there
}

fn sum(images: &Images) -> u64 {
    images.pixels.iter().map(|&v| u64::from(v)).sum()
}

fn idx(folder: &str, images: &str, labels: &str) -> Idx {
    let [images, labels] = [images, labels].map(|name| Some(name.into()));
    Idx { path: Some(folder.into()), images, labels, held_out: 0, ..Idx::default() }
}

#[test]
fn mnist_is_read_and_padded() {
    if !available("mnist") {
        return;
    }
    let source = Idx { path: Some("mnist".into()), ..Idx::default() };
    let (train, test) = (source.load(Split::Train).unwrap(), source.load(Split::Test).unwrap());
    assert_eq!((train.len(), test.len(), train.shape()), (60_000, 10_000, [1, 28, 28]));
    assert_eq!(train.labels.as_ref().unwrap()[..12], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5]);
    assert_eq!(train.counts(), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(test.counts(), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!((sum(&train), sum(&test)), (1_567_298_545, 264_923_200));
    assert_eq!(
        train.get(0)[5 * 28 + 10..6 * 28],
        [0, 0, 3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127, 0, 0, 0, 0]
    );
    let padded = Idx { pad: Some(32), ..source }.load(Split::Test).unwrap();
    assert_eq!((padded.shape(), sum(&padded)), ([1, 32, 32], sum(&test)));
    assert_eq!(padded.get(9)[2 * 32 + 2..2 * 32 + 30], test.get(9)[..28]);
}

#[test]
fn fashion_mnist_is_read_with_class_names() {
    if !available("fashion_mnist") {
        return;
    }
    let names = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"];
    let classes = names.map(String::from).to_vec();
    let source = Idx { path: Some("fashion_mnist".into()), classes, flip: true, ..Idx::default() };
    let (train, test) = (source.load(Split::Train).unwrap(), source.load(Split::Test).unwrap());
    assert_eq!((train.counts(), test.counts()), (vec![6000; 10], vec![1000; 10]));
    assert_eq!((sum(&train), sum(&test)), (3_431_114_169, 573_469_082));
    assert_eq!(train.classes[train.label(0).unwrap() as usize], "boot");
    assert!(train.flip);
}

#[test]
fn the_built_in_digits_equal_those_of_the_files() {
    if !available("digits") {
        return;
    }
    let files = idx("digits", "digits8x8-images-idx3-ubyte.gz", "digits8x8-labels-idx1-ubyte.gz");
    let files = files.load(Split::Train).unwrap();
    let built_in = Digits { held_out: 0, levels: None }.load(Split::Train).unwrap();
    assert_eq!((files.pixels, files.labels), (built_in.pixels, built_in.labels));
}

#[test]
fn tiles_are_equal_in_idx_and_parquet_and_after_compositing() {
    if !available("dcss_tiles") {
        return;
    }
    let rgba = idx("dcss_tiles", "tiles32-rgba-idx4-ubyte.gz", "tiles32-labels-idx1-ubyte.gz");
    let rgba = rgba.load(Split::Train).unwrap();
    assert_eq!((rgba.len(), rgba.shape(), sum(&rgba)), (3929, [4, 32, 32], 852_297_589));
    assert_eq!(rgba.counts(), [1105, 195, 274, 623, 220, 695, 817]);
    assert_eq!(rgba.classes, ["dngn", "effect", "gui", "item", "misc", "mon", "player"]);
    let table = Parquet { path: "dcss_tiles".into(), channels: 4, held_out: 0, ..Parquet::default() };
    // What lies beside the table is told, which no array has.
    let bare = |set: Images| Images { notes: Notes::default(), ..set };
    assert_eq!(bare(table.load(Split::Train).unwrap()), rgba);

    let black = idx("dcss_tiles", "tiles32-rgb-black-idx4-ubyte.gz", "tiles32-labels-idx1-ubyte.gz");
    let black = black.load(Split::Train).unwrap();
    assert_eq!(sum(&black), 350_774_690);
    let table = Parquet { channels: 3, background: Background::BLACK, ..table };
    assert_eq!(bare(table.load(Split::Train).unwrap()), black);
    let mixed = idx("dcss_tiles", "tiles32-rgba-idx4-ubyte.gz", "tiles32-labels-idx1-ubyte.gz");
    assert_eq!(Idx { channels: Some(3), ..mixed }.load(Split::Train).unwrap(), black);

    let (train, held) = (Parquet { held_out: 10, ..table.clone() }, Parquet { held_out: 10, ..table });
    let (train, held) = (train.load(Split::Train).unwrap(), held.load(Split::Test).unwrap());
    assert_eq!((train.len() + held.len(), held.counts()), (3929, vec![110, 19, 27, 62, 22, 69, 81]));

    // The same pictures in a folder of PNG files.
    let folder = tempfile::tempdir().unwrap();
    let interleaved = |image: &[u8]| (0..1024).flat_map(|i| (0..4).map(move |c| image[1024 * c + i])).collect();
    for i in (0..rgba.len()).step_by(40) {
        let class = folder.path().join(&rgba.classes[rgba.label(i).unwrap() as usize]);
        fs::create_dir_all(&class).unwrap();
        let picture = RgbaImage::from_raw(32, 32, interleaved(rgba.get(i))).unwrap();
        fs::write(class.join(format!("{i:04}.png")), png(picture)).unwrap();
    }
    let set = Folder { path: folder.path().into(), channels: 4, held_out: 0, ..Folder::default() };
    let mut chosen: Vec<usize> = (0..rgba.len()).step_by(40).collect();
    chosen.sort_by_key(|&i| (rgba.label(i), i));
    assert_eq!(set.load(Split::Train).unwrap(), rgba.select(&chosen));
}

#[test]
fn emoji_over_white_are_equal_in_idx_and_parquet() {
    if !available("noto_emoji") {
        return;
    }
    let white = idx("noto_emoji", "emoji32-rgb-white-idx4-ubyte.gz", "emoji32-labels-idx1-ubyte.gz");
    let white = white.load(Split::Train).unwrap();
    assert_eq!((white.len(), sum(&white)), (3583, 2_129_318_815));
    assert_eq!(white.counts(), [478, 1940, 220, 131, 119, 111, 266, 260, 8, 50]);
    let table = Parquet { path: "noto_emoji/emoji32.parquet".into(), held_out: 0, ..Parquet::default() };
    let table = table.load(Split::Train).unwrap();
    assert_eq!((&table.labels, &table.classes), (&white.labels, &white.classes));
    let most = table.pixels.iter().zip(&white.pixels).map(|(&a, &b)| a.abs_diff(b)).max();
    assert_eq!(most, Some(0));
}

#[test]
fn names_plays_and_restaurants_are_read_as_text() {
    if !available("text") {
        return;
    }
    let names = Text { path: "text/names.txt.gz".into(), ..Text::default() };
    let (train, test) = names.parts().unwrap();
    let test = test.unwrap();
    assert_eq!((train.len(), test.len(), train.codec.length, train.codec.categories()), (28_830, 3203, 16, 27));
    assert_eq!((train.text(0), test.text(0)), ("emma".into(), "evelyn".into()));
    let plays = Text { path: "text/tinyshakespeare.txt.gz".into(), sample: Sample::Window, ..Text::default() };
    let (train, test) = plays.parts().unwrap();
    let test = test.unwrap();
    assert_eq!((train.codec.categories(), train.len(), test.len()), (65, 1_115_394 - 111_539 - 127, 111_539 / 128));
    assert!(train.text(0).starts_with("First Citizen:\nBefore we proceed"));
    let restaurants = Text {
        path: "text/e2e_devset.csv.gz".into(),
        column: Some("ref".into()),
        tokens: Tokens::Bpe,
        vocabulary: 1024,
        ..Text::default()
    };
    let (train, test) = restaurants.parts().unwrap();
    let test = test.unwrap();
    assert_eq!((train.len(), test.len(), train.codec.categories()), (4205, 467, 1025));
    for set in [&train, &test] {
        assert!((0..set.len()).all(|row| set.codec.encode(&set.text(row)).unwrap() == set.batch(&[row])));
    }
}

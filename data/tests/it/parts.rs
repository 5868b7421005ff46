//! The part to learn from and the part held out: every sample is in one of them, and in one alone.
use crate::files::{idx, png, table};
use std::fs;
use tempfile::tempdir;
use tweedie_data::{
    image::{GrayImage, Luma},
    *,
};

/// Checks that two parts of samples, all different, are all `n` of them, and that neither is empty.
fn parted<T: Ord + std::fmt::Debug>(name: &str, n: usize, learned: Vec<T>, held: Vec<T>) {
    let shared: Vec<&T> = held.iter().filter(|sample| learned.contains(sample)).collect();
    assert!(shared.is_empty(), "{name}: {shared:?} are learned and held out");
    assert!(!learned.is_empty() && !held.is_empty(), "{name}: {} and {}", learned.len(), held.len());
    assert_eq!(learned.len() + held.len(), n, "{name}: {learned:?} and {held:?}");
    let mut all: Vec<T> = learned.into_iter().chain(held).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), n, "{name}: a sample is there twice");
}

/// The samples of a set of images.
fn images(set: &Images) -> Vec<Vec<u8>> {
    (0..set.len()).map(|i| set.get(i).to_vec()).collect()
}

#[test]
fn no_sample_is_learned_and_held_out() {
    const N: usize = 47;
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let shade = |i: usize| png(GrayImage::from_pixel(1, 1, Luma([i as u8])));
    for i in 0..N {
        let class = at("pictures").join(["a", "b", "c"][i % 3]);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{i}.png")), shade(i)).unwrap();
    }
    table(&at("set.parquet"), &(0..N).map(|i| (Some(shade(i)), i as i64 % 3)).collect::<Vec<_>>(), None);
    fs::write(at("images"), idx(&[N as u32, 1, 1], &(0..N as u8).collect::<Vec<_>>())).unwrap();
    fs::write(at("lines"), (0..N).map(|i| format!("line {i}\n")).collect::<String>()).unwrap();
    for held_out in [2, 3, 5, 10] {
        let sources: [(&str, Box<dyn Source>); 3] = [
            ("folder", Box::new(Folder { path: at("pictures"), channels: 1, held_out, ..Folder::default() })),
            ("parquet", Box::new(Parquet { path: at("set.parquet"), channels: 1, held_out, ..Parquet::default() })),
            ("idx", Box::new(Idx { images: Some(at("images")), held_out, ..Idx::default() })),
        ];
        for (name, source) in sources {
            let part = |split| images(&source.load(split).unwrap());
            parted(&format!("{name}, {held_out}"), N, part(Split::Train), part(Split::Test));
        }
        for last in [false, true] {
            let source = Text { path: at("lines"), held_out, last, ..Text::default() };
            let texts = |set: &Texts| (0..set.len()).map(|row| set.text(row)).collect::<Vec<_>>();
            let part = |split| texts(&source.load(split).unwrap().unwrap());
            parted(&format!("lines, {held_out}, last = {last}"), N, part(Split::Train), part(Split::Test));
        }
        // Of running text, every character: 600 different ones, in windows of one.
        let text: String = (0..600).map(|i| char::from_u32(0x4e00 + i).unwrap()).collect();
        fs::write(at("text"), text).unwrap();
        let source =
            Text { path: at("text"), held_out, sample: Sample::Window, length: Some(1), stride: 1, ..Text::default() };
        let (learned, held) = source.parts().unwrap();
        let texts = |set: &Texts| (0..set.len()).map(|row| set.text(row)).collect::<Vec<_>>();
        parted(&format!("windows, {held_out}"), 600, texts(&learned), texts(&held.unwrap()));
    }
}

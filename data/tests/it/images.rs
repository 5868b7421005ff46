//! Properties of image sets, sources and points, on small files written by the tests.
use crate::files::{encoded, gzip, idx, png, table};
use std::{fs, path::Path};
use tweedie_data::image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tweedie_data::*;

/// `n` images whose pixel values are 0, 1, 2, … in the order of storage.
fn counting(n: usize, shape: [usize; 3]) -> Images {
    let each: usize = shape.iter().product();
    Images::new((0..n * each).map(|v| v as u8).collect(), shape).unwrap()
}

#[test]
fn values_of_levels_are_evenly_spaced_and_invertible() {
    for levels in [2u16, 17, 256] {
        let set = Images { levels, ..Images::new((0..=255).collect(), [1, 16, 16]).unwrap() };
        let values: Vec<f32> = (0..levels).map(|v| set.value(v as u8)).collect();
        assert_eq!((values[0], values[values.len() - 1]), (-1.0, 1.0));
        for v in 0..levels {
            let expected = 2.0 * f64::from(v) / f64::from(levels - 1) - 1.0;
            assert!((f64::from(values[usize::from(v)]) - expected).abs() < 1e-7, "level {v} of {levels}");
            assert_eq!(u16::from(set.level(values[usize::from(v)])), v);
        }
        let unit = set.to_unit(&[0], None);
        assert_eq!(unit[..usize::from(levels)], values[..]);
    }
    for v in 0..=255u8 {
        assert_eq!(byte(f32::from(v) / 127.5 - 1.0), v);
    }
    assert_eq!([f32::NEG_INFINITY, -3.0, 3.0, f32::INFINITY, f32::NAN].map(byte), [0, 0, 255, 255, 0]);
}

#[test]
fn batches_have_the_order_of_the_indices_and_flips_mirror() {
    let set = counting(3, [2, 2, 3]);
    let bytes = |unit: &[f32]| unit.iter().map(|&x| byte(x)).collect::<Vec<u8>>();
    assert_eq!(bytes(&set.to_unit(&[2, 0], None)), [set.get(2), set.get(0)].concat());
    let mirrored = [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9];
    assert_eq!(bytes(&set.to_unit(&[0, 1], Some(&[true, false]))), [&mirrored, set.get(1)].concat());
    // The same by uniform variates: a first one below 1/2 mirrors, if the set has flips.
    let set = Images { flip: true, ..set };
    assert_eq!(bytes(&set.augmented(&[0, 1], &[0.1, 0.9, 0.9, 0.6, 0.0, 0.0])), [&mirrored, set.get(1)].concat());
    let set = Images { flip: false, ..set };
    assert_eq!(bytes(&set.augmented(&[0], &[0.1, 0.5, 0.5])), set.get(0));
}

#[test]
fn windows_are_cut_at_the_given_offset_or_in_the_middle() {
    let set = Images { window: [2, 2], ..counting(1, [1, 4, 5]) };
    assert_eq!((set.shape(), set.offsets()), ([1, 2, 2], [3, 4]));
    let cut = |at: Option<&[[usize; 2]]>| set.to_unit_at(&[0], None, at).iter().map(|&x| byte(x)).collect::<Vec<u8>>();
    assert_eq!(cut(None), [6, 7, 11, 12]);
    assert_eq!(cut(Some(&[[2, 3]])), [13, 14, 18, 19]);
    // Of two middle places the upper and the left.
    let tall = Images { window: [1, 4], ..set.clone() };
    assert_eq!(tall.to_unit(&[0], None).iter().map(|&x| byte(x)).collect::<Vec<u8>>(), [5, 6, 7, 8]);
    let cropped = |u, v| set.augmented(&[0], &[0.9, u, v]).iter().map(|&x| byte(x)).collect::<Vec<u8>>();
    assert_eq!(cropped(0.0, 0.0), [0, 1, 5, 6]);
    assert_eq!(cropped(0.999_999, 0.999_999), [13, 14, 18, 19]);
}

#[test]
fn hold_out_splits_every_class_alike_and_keeps_every_image() {
    let labels: Vec<u32> = (0..40).map(|i| i % 2).collect();
    let set = counting(40, [1, 1, 1]).with_labels(labels, vec!["even".into(), "odd".into()]).unwrap();
    let (train, held) = set.hold_out(5);
    assert_eq!((train.counts(), held.counts()), (vec![16, 16], vec![4, 4]));
    assert_eq!(held.pixels, [8, 9, 18, 19, 28, 29, 38, 39]);
    let mut all = [train.pixels, held.pixels].concat();
    all.sort_unstable();
    assert_eq!(all, set.pixels);
    assert_eq!(set.hold_out(0).0, set);
}

#[test]
fn fewer_levels_are_equal_bins() {
    let ramp = Images::new((0..=255).collect(), [1, 1, 1]).unwrap().with_levels(Some(8)).unwrap();
    assert!((0..256).all(|v| ramp.pixels[v] == (v / 32) as u8), "{:?}", ramp.pixels);
    assert_eq!((ramp.levels, ramp.to_unit(&[0, 255], None)), (8, vec![-1.0, 1.0]));
    let digits = Digits { levels: Some(4), ..Digits::default() }.load(Split::Train).unwrap();
    assert_eq!((digits.levels, digits.pixels.iter().max()), (4, Some(&3)));
    for wrong in [0, 1, 18] {
        let error = Digits { levels: Some(wrong), ..Digits::default() }.load(Split::Train).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "`levels` must be from 2 to 17, the number of levels of the images, got {wrong};"
            )),
            "{error}"
        );
    }
}

#[test]
fn padding_centers() {
    let padded = counting(2, [1, 1, 2]).padded(4, [9; 3]).unwrap();
    assert_eq!(padded.get(1), [9, 9, 9, 9, 9, 2, 3, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    let color = counting(1, [4, 1, 1]).padded(2, [7, 8, 9]).unwrap();
    assert_eq!(color.pixels, [0, 7, 7, 7, 1, 8, 8, 8, 2, 9, 9, 9, 3, 255, 255, 255]);
}

#[test]
fn the_built_in_digits_need_no_file() {
    let digits = Digits { held_out: 0, levels: None }.load(Split::Train).unwrap();
    assert_eq!((digits.len(), digits.shape(), digits.levels), (1797, [1, 8, 8], 17));
    // Counts, first image and sum as in the original table (0 is the first digit).
    assert_eq!(digits.counts(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(digits.labels.as_ref().unwrap()[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    assert_eq!(digits.get(0)[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
    assert_eq!(digits.pixels.iter().max(), Some(&16));
    assert_eq!(digits.pixels.iter().map(|&v| u64::from(v)).sum::<u64>(), 561_718);
    let (train, held) = (Digits::default().load(Split::Train).unwrap(), Digits::default().load(Split::Test).unwrap());
    assert_eq!(train.len() + held.len(), 1797);
    assert!(held.counts().iter().all(|&count| count == 17 || count == 18), "{:?}", held.counts());
}

#[test]
fn idx_files_are_read_plain_and_gzipped_gray_and_color() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("train-images-idx3-ubyte"), idx(&[3, 1, 2], &[1, 2, 3, 4, 5, 6])).unwrap();
    fs::write(at("train-labels-idx1-ubyte.gz"), gzip(&idx(&[3], &[1, 0, 2]))).unwrap();
    fs::write(at("t10k-images.idx3-ubyte.gz"), gzip(&idx(&[1, 1, 2], &[7, 8]))).unwrap();
    fs::write(at("t10k-labels.idx1-ubyte"), idx(&[1], &[2])).unwrap();
    let source = Idx { path: Some(folder.path().into()), ..Idx::default() };
    let train = source.load(Split::Train).unwrap();
    assert_eq!((train.len(), train.shape()), (3, [1, 1, 2]));
    assert_eq!(train.labels.as_deref(), Some(&[1, 0, 2][..]));
    assert_eq!(train.classes, ["0", "1", "2"]);
    assert_eq!(source.load(Split::Test).unwrap().pixels, [7, 8]);
    fs::write(at("labels.txt"), "a\nb\nc\n").unwrap();
    assert_eq!(source.load(Split::Train).unwrap().classes, ["a", "b", "c"]);

    fs::write(at("color"), idx(&[1, 1, 2, 4], &[10, 20, 30, 255, 40, 50, 60, 0])).unwrap();
    let source = Idx { path: Some(folder.path().into()), images: Some("color".into()), held_out: 0, ..Idx::default() };
    assert_eq!(source.load(Split::Train).unwrap().pixels, [10, 40, 20, 50, 30, 60, 255, 0]);
    let source = Idx { channels: Some(3), background: Background([1, 2, 3]), ..source };
    assert_eq!(source.load(Split::Train).unwrap().pixels, [10, 1, 20, 2, 30, 3]);
    let source = Idx { channels: Some(1), pad: Some(2), background: Background::WHITE, ..source };
    let luma = |[r, g, b]: [u32; 3]| ((2126 * r + 7152 * g + 722 * b + 5000) / 10_000) as u8;
    assert_eq!(source.load(Split::Train).unwrap().pixels, [luma([10, 20, 30]), 255, 255, 255]);
}

/// A folder of two classes, PNG and JPEG, one of them with alpha, of different sizes.
fn zoo(folder: &Path) {
    for class in ["b cats", "a dogs"] {
        fs::create_dir_all(folder.join(class)).unwrap();
    }
    let red = RgbaImage::from_pixel(20, 10, Rgba([255, 0, 0, 128]));
    fs::write(folder.join("a dogs/1.png"), png(red)).unwrap();
    let ramp = GrayImage::from_fn(10, 20, |_, y| Luma([(12 * y) as u8]));
    fs::write(folder.join("b cats/2.PNG"), png(ramp)).unwrap();
    let green = RgbImage::from_pixel(16, 16, Rgb([0, 200, 0]));
    fs::write(folder.join("b cats/1.jpg"), encoded(green, ImageFormat::Jpeg)).unwrap();
    fs::write(folder.join("b cats/notes.txt"), "not an image").unwrap();
    fs::write(folder.join(".hidden.png"), "not an image").unwrap();
}

#[test]
fn subfolders_are_classes_and_images_are_scaled_and_composited_over_the_background() {
    let folder = tempfile::tempdir().unwrap();
    zoo(folder.path());
    let source = Folder { path: folder.path().into(), size: Some(8), held_out: 0, ..Folder::default() };
    let set = source.load(Split::Train).unwrap();
    assert_eq!((set.len(), set.shape(), set.window), (3, [3, 8, 8], [8, 8]));
    assert_eq!(set.classes, ["a dogs", "b cats"]);
    assert_eq!(set.labels.as_deref(), Some(&[0, 1, 1][..]));
    // Half transparent red over white: red stays 255, green and blue are 127.
    assert_eq!([set.get(0)[0], set.get(0)[64], set.get(0)[128]], [255, 127, 127]);
    assert!(set.get(1)[64..128].iter().all(|&v| v.abs_diff(200) < 4) && set.get(1)[0] < 4, "the JPEG is green");
    // The middle of the ramp of 20 rows scaled by 0.8: rows 5 to 14, so 12 · 9.5 on average.
    let mean = set.get(2)[..64].iter().map(|&v| f64::from(v)).sum::<f64>() / 64.0;
    assert!((mean - 114.0).abs() < 1.5, "{mean}");
    let black = Folder { background: Background::BLACK, channels: 1, ..source.clone() }.load(Split::Train).unwrap();
    assert_eq!(black.get(0)[0], ((2126 * 128 + 5000) / 10_000) as u8);
    // Stretched, no row is cut off: the top is that of the whole ramp.
    let whole = Folder { crop: Crop::None, ..source.clone() }.load(Split::Train).unwrap();
    let top = f64::from(whole.get(2)[0]);
    assert!(top < 20.0 && f64::from(set.get(2)[0]) > 50.0, "{top}");
    let random = Folder { crop: Crop::Random, flip: true, ..source }.load(Split::Train).unwrap();
    assert_eq!(
        (random.height, random.width, random.shape(), random.offsets(), random.flip),
        (9, 9, [3, 8, 8], [2, 2], true)
    );
}

#[test]
fn folders_with_train_and_test_have_two_parts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shade) in
        [("train/cat/1.png", 10), ("train/dog/1.png", 20), ("test/cat/1.png", 30), ("test/dog/1.png", 40)]
    {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png(GrayImage::from_pixel(1, 1, Luma([shade])))).unwrap();
    }
    let source = Folder { path: folder.path().into(), channels: 1, ..Folder::default() };
    let (train, test) = (source.load(Split::Train).unwrap(), source.load(Split::Test).unwrap());
    assert_eq!((&train.pixels[..], &test.pixels[..]), (&[10, 20][..], &[30, 40][..]));
    assert_eq!((&train.classes, &test.classes), (&vec!["cat".to_string(), "dog".to_string()], &train.classes));
}

#[test]
fn transparent_pixels_do_not_bleed_when_scaled() {
    let folder = tempfile::tempdir().unwrap();
    // Left half opaque gray, right half transparent green.
    let half = |x| if x < 8 { Rgba([100, 100, 100, 255]) } else { Rgba([0, 255, 0, 0]) };
    fs::write(folder.path().join("1.png"), png(RgbaImage::from_fn(16, 16, |x, _| half(x)))).unwrap();
    let source = Folder { path: folder.path().into(), size: Some(5), channels: 4, held_out: 0, ..Folder::default() };
    let set = source.load(Split::Train).unwrap();
    assert!(set.labels.is_none() && set.classes.is_empty());
    let [red, green, blue, alpha] = [0, 1, 2, 3].map(|channel| &set.get(0)[25 * channel..25 * (channel + 1)]);
    for i in (0..25).filter(|&i| alpha[i] > 8) {
        assert_eq!([red[i], green[i], blue[i]], [100; 3], "pixel {i} of opacity {}", alpha[i]);
    }
    assert!(alpha[2] > 60 && alpha[2] < 200, "the edge is half transparent: {}", alpha[2]);
}

#[test]
fn compositing_is_exact_for_alpha_0_and_255_and_rounded_between() {
    let background = Background([10, 200, 77]);
    for color in [0u8, 3, 128, 255] {
        for alpha in 0..=255u8 {
            let mixed = background.under([color, color, color, alpha]);
            for (mixed, under) in mixed.into_iter().zip(background.0) {
                let a = f64::from(alpha) / 255.0;
                let exact = a * f64::from(color) + (1.0 - a) * f64::from(under);
                assert!((f64::from(mixed) - exact).abs() <= 0.5 + 1e-9, "{color} of {alpha} on {under}: {mixed}");
            }
        }
    }
}

#[test]
fn parquet_tables_hold_the_same_pictures_and_have_classes_and_parts() {
    let folder = tempfile::tempdir().unwrap();
    let shade = |v: u8| Some(png(GrayImage::from_pixel(4, 4, Luma([v]))));
    let rows: Vec<_> = (0..5).map(|i| (shade(10 * i), i64::from(i % 2))).collect();
    let note = r#"{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;
    let file = folder.path().join("some.parquet");
    table(&file, &rows, Some(note));
    let source = Parquet { path: file, channels: 1, held_out: 0, ..Parquet::default() };
    let set = source.load(Split::Train).unwrap();
    assert_eq!((set.len(), set.shape()), (5, [1, 4, 4]));
    assert_eq!((0..5).map(|i| set.get(i)[0]).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
    assert_eq!(set.labels.as_deref(), Some(&[0, 1, 0, 1, 0][..]));
    assert_eq!(set.classes, ["cat", "dog"]);
    let older = note.replace(r#"["cat", "dog"]"#, r#"{"0": "cat", "1": "dog"}"#);
    table(&source.path, &rows, Some(&older));
    assert_eq!(source.load(Split::Train).unwrap().classes, ["cat", "dog"]);
    table(&source.path, &rows, None);
    assert_eq!(source.load(Split::Train).unwrap().classes, ["0", "1"]);
    assert!(Parquet { label: String::new(), ..source.clone() }.load(Split::Train).unwrap().labels.is_none());
    // A folder of shards: `data/train-*` in order, and `data/test-*`.
    let data = folder.path().join("hub/data");
    fs::create_dir_all(&data).unwrap();
    table(&data.join("train-00001-of-00002.parquet"), &rows[3..], Some(note));
    table(&data.join("train-00000-of-00002.parquet"), &rows[..3], Some(note));
    table(&data.join("test-00000-of-00001.parquet"), &rows[2..3], Some(note));
    let source = Parquet { path: folder.path().join("hub"), channels: 1, ..Parquet::default() };
    assert_eq!(source.load(Split::Train).unwrap().pixels, set.pixels);
    assert_eq!(source.load(Split::Test).unwrap().pixels, set.get(2));
}

#[test]
fn settings_are_deserialized_with_defaults_and_serialized_back() {
    let source: Folder = serde_json::from_str(r##"{"path": "x", "crop": "random", "background": "#01ff80"}"##).unwrap();
    assert_eq!(
        source,
        Folder { path: "x".into(), crop: Crop::Random, background: Background([1, 255, 128]), ..Folder::default() }
    );
    let written = serde_json::to_string(&source).unwrap();
    assert!(written.contains(r##""background":"#01ff80""##), "{written}");
    assert_eq!(serde_json::from_str::<Folder>(&written).unwrap(), source);
    let points: Points = serde_json::from_str(r#"{"shape": "swissroll"}"#).unwrap();
    assert_eq!(points, Points::new(Shape::Swissroll));
}

#[test]
fn paths_are_looked_up_in_the_working_directory_then_in_the_folder_of_data() {
    let folder = tempfile::tempdir().unwrap();
    let (here, data) = (folder.path().join("here"), folder.path().join("data"));
    for path in [here.join("both"), data.join("both"), data.join("there")] {
        fs::create_dir_all(path).unwrap();
    }
    assert_eq!(find_in("both", &here, Some(&data)).unwrap(), here.join("both"));
    assert_eq!(find_in("there", &here, Some(&data)).unwrap(), data.join("there"));
    assert_eq!(find_in(data.join("there"), &here, None).unwrap(), data.join("there"));
    assert!(find_in("there", &here, None).is_err());
}

#[test]
fn points_are_centered_of_unit_variance_and_on_their_shapes() {
    for shape in [Shape::Moons, Shape::Rings, Shape::Spirals, Shape::Gaussians, Shape::Checkerboard, Shape::Swissroll] {
        for noise in [None, Some(0.0), Some(0.5)] {
            // A lattice in the four variates: much closer to the integral than as many random points.
            let n = 400_000u64;
            let steps =
                [0.618_033_988_749_894_9, 0.754_877_666_246_692_8, 0.819_172_513_396_164_4, 0.856_674_883_854_502_9];
            let uniforms: Vec<f64> = (0..n).flat_map(|i| steps.map(|step| (i as f64 * step).fract())).collect();
            let (points, labels) = Points { shape, noise }.rows(&uniforms);
            let mean = |f: &dyn Fn(&[f32]) -> f64| points.chunks_exact(2).map(f).sum::<f64>() / n as f64;
            for axis in 0..2 {
                let center = mean(&|p| f64::from(p[axis]));
                assert!(center.abs() < 2e-3, "{shape:?} {noise:?}: mean {center} of axis {axis}");
            }
            let square = mean(&|p| p.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()) / 2.0;
            assert!((square - 1.0).abs() < 4e-3, "{shape:?} {noise:?}: {square}");
            let mut counts = vec![0u64; shape.classes()];
            labels.iter().for_each(|&label| counts[label as usize] += 1);
            let share = n / counts.len() as u64;
            assert!(counts.iter().all(|&count| count.abs_diff(share) < share / 100), "{shape:?}: {counts:?}");
        }
    }
    // Without noise the rings have two radii, one twice the other, and the board's squares touch at corners only.
    let bare = |shape, u, v| Points { shape, noise: Some(0.0) }.at([u, v, 0.3, 0.3]);
    let radius = |[x, y]: [f64; 2]| x.hypot(y);
    for v in [0.0, 0.2, 0.7] {
        let (inner, outer) = (bare(Shape::Rings, 0.2, v).0, bare(Shape::Rings, 0.9, v).0);
        assert!((radius(outer) - 2.0 * radius(inner)).abs() < 1e-12);
    }
    let cell = (4.0f64 / 3.0).sqrt().recip();
    for i in 0..1000 {
        let ([x, y], _) = bare(Shape::Checkerboard, f64::from(i) / 1000.0 + 3e-4, (f64::from(i) * 0.618).fract());
        assert!(((x / cell).floor() + (y / cell).floor()).rem_euclid(2.0) < 0.5, "{x}, {y} lies on the wrong color");
    }
}

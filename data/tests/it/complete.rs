//! Pictures are decoded whole or refused; what they hold is laid out right; sizes are bounded.
use crate::files::{encoded, png};
use std::fs;
use tempfile::{TempDir, tempdir};
use tweedie_data::image::{
    DynamicImage, ExtendedColorType, Frame, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder},
};
use tweedie_data::*;

const PROGRESSIVE: &[u8] = include_bytes!("../fixtures/progressive.jpg");
const RESTARTS: &[u8] = include_bytes!("../fixtures/restarts.jpg");
const GRAY: &[u8] = include_bytes!("../fixtures/gray.jpg");
const LOSSY: &[u8] = include_bytes!("../fixtures/lossy.webp");

/// A picture without a constant region.
fn noisy(width: u32, height: u32) -> RgbImage {
    let level = |x: u32, y: u32, c: u32| (37 * x + 91 * y + 53 * c + x * y * (c + 1)) as u8;
    RgbImage::from_fn(width, height, |x, y| Rgb([level(x, y, 0), level(x, y, 1), level(x, y, 2)]))
}

fn one(folder: &TempDir, bytes: &[u8]) -> Result<Images, Error> {
    fs::write(folder.path().join("1.png"), bytes).unwrap();
    Folder { path: folder.path().into(), held_out: 0, ..Folder::default() }.load(Split::Train)
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let picture = noisy(12, 8);
    let mut baseline = Vec::new();
    JpegEncoder::new_with_quality(&mut baseline, 60).write_image(&picture, 12, 8, ExtendedColorType::Rgb8).unwrap();
    vec![
        ("baseline JPEG", baseline),
        ("progressive JPEG", PROGRESSIVE.to_vec()),
        ("JPEG with restart markers", RESTARTS.to_vec()),
        ("gray JPEG", GRAY.to_vec()),
        ("PNG", png(picture.clone())),
        ("GIF", encoded(picture.clone(), ImageFormat::Gif)),
        ("lossless WebP", encoded(picture.clone(), ImageFormat::WebP)),
        ("lossy WebP", LOSSY.to_vec()),
        ("BMP", encoded(picture.clone(), ImageFormat::Bmp)),
        ("TIFF", encoded(picture, ImageFormat::Tiff)),
    ]
}

#[test]
fn a_picture_that_is_cut_off_anywhere_is_refused_or_whole() {
    let folder = tempdir().unwrap();
    for (name, bytes) in files() {
        let whole = one(&folder, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (mut refused, mut tried) = (0, 0);
        // Every byte of the end, and some of what is before it.
        for end in (0..bytes.len()).filter(|end| end % 7 == 0 || end + 60 > bytes.len()) {
            // With the end mark of a JPEG, as a program that mends the file would write.
            for tail in [&[][..], &[0xff, 0xd9]].into_iter().take(1 + usize::from(name.contains("JPEG"))) {
                let cut = [&bytes[..end], tail].concat();
                tried += 1;
                match one(&folder, &cut) {
                    Ok(set) => assert_eq!(set.pixels, whole.pixels, "{name} cut to {end} of {} bytes", bytes.len()),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused * 10 > tried * 9, "{name}: {refused} of {tried}");
    }
}

#[test]
fn a_jpeg_without_an_end_mark_is_read_and_one_without_its_last_scan_is_refused() {
    let folder = tempdir().unwrap();
    for bytes in [PROGRESSIVE, RESTARTS, GRAY] {
        assert_eq!(bytes[bytes.len() - 2..], [0xff, 0xd9]);
        let whole = one(&folder, bytes).unwrap();
        assert_eq!(one(&folder, &bytes[..bytes.len() - 2]).unwrap(), whole);
        // Bytes after the end are no part of the image.
        assert_eq!(one(&folder, &[bytes, &[0; 9]].concat()).unwrap(), whole);
    }
    let scans: Vec<usize> = (0..PROGRESSIVE.len()).filter(|&at| PROGRESSIVE[at..].starts_with(&[0xff, 0xda])).collect();
    assert!(scans.len() > 3, "{scans:?}");
    for (scan, &from) in scans.iter().enumerate() {
        let text = one(&folder, &[&PROGRESSIVE[..from], &[0xff, 0xd9]].concat()).unwrap_err().to_string();
        let expected = if scan == 0 { "Premature End".to_owned() } else { format!("it is cut off after scan {scan}") };
        assert!(text.contains(&expected), "{text}");
    }
    let half = [&RESTARTS[..RESTARTS.len() - 60], &[0xff, 0xd9]].concat();
    let text = one(&folder, &half).unwrap_err().to_string();
    assert!(text.contains("its image data are cut off in scan 1, after ") && text.contains("at byte"), "{text}");
    assert!(text.ends_with(
        "download or copy it again, remove it, or set `unreadable = \"skip\"` to leave out what cannot be read."
    ));
}

/// The layout `[channels, height, width]` of a picture.
fn planes(picture: &RgbImage) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let at = |i: u32| picture.get_pixel(i % width, i / width).0;
    (0..3).flat_map(|c| (0..width * height).map(move |i| at(i)[c])).collect()
}

#[test]
fn pictures_that_are_not_square_keep_height_width_and_channels_in_every_format_and_source() {
    let folder = tempdir().unwrap();
    let picture = noisy(5, 3);
    let expected = planes(&picture);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let set = one(&folder, &encoded(picture.clone(), format)).unwrap();
        assert_eq!((set.shape(), &set.pixels), ([3, 3, 5], &expected), "{format:?}");
    }
    // Formats with loss: one color per side, red at the left and blue at the right.
    let sides = RgbImage::from_fn(32, 16, |x, _| if x < 16 { Rgb([250, 10, 20]) } else { Rgb([10, 20, 250]) });
    for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
        let set = one(&folder, &encoded(sides.clone(), format)).unwrap();
        assert_eq!(set.shape(), [3, 16, 32], "{format:?}");
        let at = |c: usize, x: usize| i32::from(set.pixels[c * 512 + 8 * 32 + x]);
        for (c, [left, right]) in [[250, 10], [10, 20], [20, 250]].into_iter().enumerate() {
            assert!((at(c, 4) - left).abs() < 12 && (at(c, 28) - right).abs() < 12, "{format:?}, channel {c}");
        }
    }
    let table = folder.path().join("set.parquet");
    crate::files::table(&table, &[(Some(png(picture.clone())), 0)], None);
    let set = Parquet { path: table, held_out: 0, ..Parquet::default() }.load(Split::Train).unwrap();
    assert_eq!((set.shape(), &set.pixels), ([3, 3, 5], &expected));
    let file = folder.path().join("images");
    fs::write(&file, crate::files::idx(&[1, 3, 5, 3], picture.as_raw())).unwrap();
    let set = Idx { images: Some(file), held_out: 0, ..Idx::default() }.load(Split::Train).unwrap();
    assert_eq!((set.shape(), &set.pixels), ([3, 3, 5], &expected));
    // As served: row after row, each of the width.
    let unit: Vec<u8> = set.to_unit(&[0], None).into_iter().map(byte).collect();
    assert_eq!(unit, expected);
    // And stretched, whose scale differs along the axes: the gradient stays along the width.
    let ramp = RgbImage::from_fn(40, 10, |x, _| Rgb([6 * x as u8, 0, 255]));
    fs::write(folder.path().join("1.png"), png(ramp)).unwrap();
    let source =
        Folder { path: folder.path().into(), size: Some(4), crop: Crop::None, held_out: 0, ..Folder::default() };
    let set = source.load(Split::Train).unwrap();
    let row = &set.pixels[..4];
    assert!(row.windows(2).all(|pair| pair[0] + 40 < pair[1]) && set.pixels[4..8] == *row, "{:?}", set.pixels);
    assert_eq!((&set.pixels[16..32], &set.pixels[32..]), (&[0; 16][..], &[255; 16][..]));
}

/// A TIFF of RGBA with the tag ExtraSamples, which says whether colors are multiplied by alpha (1) or not (2).
fn rgba_tiff(picture: &RgbaImage, extra: u16) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let data = picture.as_raw();
    // Tags of 16 bits, their type (3: 16 bits), their count, and their value or its place.
    let tags: [[u32; 4]; 11] = [
        [256, 3, 1, width],
        [257, 3, 1, height],
        [258, 3, 4, 8],
        [259, 3, 1, 1],
        [262, 3, 1, 2],
        [273, 4, 1, 16],
        [277, 3, 1, 4],
        [278, 3, 1, height],
        [279, 4, 1, data.len() as u32],
        [284, 3, 1, 1],
        [338, 3, 1, u32::from(extra)],
    ];
    let mut bytes = b"II*\0".to_vec();
    bytes.extend((16 + data.len() as u32).to_le_bytes());
    bytes.extend([8, 0, 8, 0, 8, 0, 8, 0]);
    bytes.extend(data);
    bytes.extend((tags.len() as u16).to_le_bytes());
    for [tag, kind, count, value] in tags {
        bytes.extend((tag as u16).to_le_bytes());
        bytes.extend((kind as u16).to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn colors_multiplied_by_alpha_are_divided_by_it_and_others_are_not() {
    let folder = tempdir().unwrap();
    // Half transparent: 200 as stored straight is 100 as stored multiplied.
    let straight = RgbaImage::from_fn(5, 3, |x, _| Rgba([200, 100, 20 * x as u8, 128]));
    let half = |v: u8| ((u32::from(v) * 128 + 127) / 255) as u8;
    let multiplied = RgbaImage::from_fn(5, 3, |x, y| {
        let [r, g, b, a] = straight.get_pixel(x, y).0;
        Rgba([half(r), half(g), half(b), a])
    });
    let load = |bytes: &[u8], channels| {
        fs::write(folder.path().join("1.png"), bytes).unwrap();
        let source = Folder { path: folder.path().into(), channels, held_out: 0, ..Folder::default() };
        source.load(Split::Train).unwrap().pixels
    };
    for channels in [3, 4] {
        let expected = load(&png(straight.clone()), channels);
        assert_eq!(load(&rgba_tiff(&straight, 2), channels), expected);
        let found = load(&rgba_tiff(&multiplied, 1), channels);
        let most = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most <= 1, "{channels} channels: {expected:?} {found:?}");
    }
    // Composited over white, 200 at half opacity is 227; taken for multiplied, it would be 255.
    assert!(load(&png(straight), 3)[0].abs_diff(227) <= 1);
}

#[test]
fn the_first_frame_of_an_animation_is_read_and_counted() {
    let folder = tempdir().unwrap();
    let color = |rgb: [u8; 3]| RgbaImage::from_pixel(4, 3, Rgba([rgb[0], rgb[1], rgb[2], 255]));
    let gif = |colors: &[[u8; 3]]| {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        colors.iter().for_each(|rgb| encoder.encode_frame(Frame::new(color(*rgb))).unwrap());
        drop(encoder);
        bytes
    };
    let still = one(&folder, &gif(&[[255, 0, 0]])).unwrap();
    assert!(still.notes.is_empty(), "{}", still.notes);
    let moving = one(&folder, &gif(&[[255, 0, 0], [0, 255, 0], [0, 0, 255]])).unwrap();
    assert_eq!((&moving.pixels, moving.notes.first_frames), (&still.pixels, 1));
    assert_eq!(moving.notes.to_string(), "of 1 animation or file of several pages, the first was read");
}

/// A PNG of `width × height` pixels of 16-bit RGBA without image data.
fn announced(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([16, 6, 0, 0, 0]);
    let checksum = header.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 > 0 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(header);
    bytes.extend((!checksum).to_be_bytes());
    bytes.extend(b"\0\0\0\x0aIDAT");
    bytes
}

#[test]
fn headers_that_announce_more_than_is_allowed_are_refused_before_memory_is_taken() {
    let folder = tempdir().unwrap();
    let mut jpeg = PROGRESSIVE.to_vec();
    let frame = (0..jpeg.len()).find(|&at| jpeg[at..].starts_with(&[0xff, 0xc2])).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut gif = encoded(RgbImage::new(2, 2), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    let mut bmp = encoded(RgbImage::new(2, 2), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0, 0, 0, 0x10, 0, 0, 0, 0x10]);
    let mut tiff = encoded(RgbImage::new(2, 2), ImageFormat::Tiff);
    let from = u32::from_le_bytes([tiff[4], tiff[5], tiff[6], tiff[7]]) as usize;
    for entry in [from + 2, from + 14] {
        tiff[entry + 8..entry + 12].fill(0x7f);
    }
    // A lossless WebP has 14 bits for each side.
    let mut webp = encoded(RgbImage::new(2, 2), ImageFormat::WebP);
    webp[21..25].copy_from_slice(&(15_999u32 | 15_999 << 14).to_le_bytes());
    for (name, bytes) in [
        ("PNG", announced(8_000_000, u32::MAX)),
        ("PNG", announced(16_384, 4097)),
        ("JPEG", jpeg),
        ("GIF", gif),
        ("BMP", bmp),
        ("TIFF", tiff),
        ("WebP", webp),
    ] {
        let begun = std::time::Instant::now();
        let text = one(&folder, &bytes).unwrap_err().to_string();
        assert!(text.contains("could not be read: "), "{name}: {text}");
        assert!(begun.elapsed().as_secs() < 5, "{name} took {:?}", begun.elapsed());
        if !matches!(name, "TIFF" | "BMP") {
            assert!(text.contains("pixels, more than the 67108864 that are decoded"), "{name}: {text}");
        }
    }
}

#[test]
fn sides_that_no_machine_can_hold_are_refused() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("1.png"), png(noisy(1, 300))).unwrap();
    let source = Folder { path: folder.path().into(), held_out: 0, ..Folder::default() };
    let refused = |source: Folder, expected: &str| {
        let text = source.load(Split::Train).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert_eq!(source.memory(Split::Train).is_err(), source.size != Some(8000), "before decoding");
    };
    refused(Folder { size: Some(100_000), ..source.clone() }, "`size` must be at most 8192, got 100000; set 32");
    refused(Folder { size: Some(usize::MAX), ..source.clone() }, "`size` must be at most 8192");
    let random = Folder { size: Some(8), crop: Crop::Random, ..source.clone() };
    refused(
        Folder { margin: Some(usize::MAX), ..random.clone() },
        "`margin` must be at most 8192 together with `size`",
    );
    refused(Folder { margin: Some(u32::MAX as usize), ..random }, "`margin` must be at most 8192 together with");
    // A picture that is long and thin would be enlarged beyond all bounds.
    refused(Folder { size: Some(8000), ..source }, "it is 1 × 300 pixels, and scaled until its shorter side is 8000");
    let set = Images::new(vec![0; 4], [1, 2, 2]).unwrap();
    let text = set.padded(100_000, [0; 3]).unwrap_err().to_string();
    assert!(text.contains("`pad` must be at most 8192 pixels, got 100000"), "{text}");
}

#[test]
fn pictures_of_floats_are_refused_and_of_16_bits_are_read() {
    let folder = tempdir().unwrap();
    let floats = image::Rgb32FImage::from_pixel(2, 2, Rgb([100.0, 0.0, 255.0]));
    let bytes = encoded(DynamicImage::ImageRgb32F(floats), ImageFormat::Tiff);
    let text = one(&folder, &bytes).unwrap_err().to_string();
    assert!(text.contains("its pixels are 32-bit floats, whose range is unknown"), "{text}");
    let deep = image::ImageBuffer::<Rgb<u16>, _>::from_pixel(2, 2, Rgb([0u16, 0x8080, 0xffff]));
    let set = one(&folder, &encoded(DynamicImage::ImageRgb16(deep), ImageFormat::Tiff)).unwrap();
    assert_eq!(set.pixels, [0, 0, 0, 0, 128, 128, 128, 128, 255, 255, 255, 255]);
}

//! From the bytes of a picture file to its pixels, within bounds.
use super::jpeg;
use crate::{contained::contained, kind, limits::MAX_PIXELS};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbaImage};
use std::io::Cursor;

/// The most bytes that a decoder takes beside the picture.
const MAX_ALLOCATED: u64 = 1 << 30;

/// A picture as its file holds it.
pub(super) struct Decoded {
    /// The picture, rotated as its EXIF orientation says.
    pub image: DynamicImage,
    /// Whether the file holds further frames or pages, which are not read.
    pub more: bool,
}

/// Decodes a picture; the error is why that is not possible, a clause.
pub(super) fn decoded(bytes: &[u8]) -> Result<Decoded, String> {
    contained(|| decoded_file(bytes)).and_then(|decoded| decoded)
}

fn decoded_file(bytes: &[u8]) -> Result<Decoded, String> {
    let (mut decoder, format) = opened(bytes)?;
    if matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(
            "its pixels are 32-bit floats, whose range is unknown: convert it to 8 or 16 bits per channel".into()
        );
    }
    if format == ImageFormat::Jpeg {
        jpeg::complete(bytes)?;
    }
    let orientation = decoder.orientation().map_err(|error| reason(bytes, &error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| reason(bytes, &error))?;
    image.apply_orientation(orientation);
    let (more, premultiplied) = match format {
        ImageFormat::Gif => (gif_frames(bytes), false),
        ImageFormat::WebP => {
            (bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 > 0), false)
        }
        ImageFormat::Png => (png_frames(bytes), false),
        ImageFormat::Tiff => tiff(bytes).unwrap_or((false, false)),
        _ => (false, false),
    };
    if premultiplied && image.color().has_alpha() {
        image = straight(image.into_rgba8()).into();
    }
    Ok(Decoded { image, more })
}

/// Width and height of a picture, from its header alone, before EXIF orientation.
pub(crate) fn dimensions(bytes: &[u8]) -> Result<(u32, u32), String> {
    contained(|| opened(bytes).map(|(decoder, _)| decoder.dimensions())).and_then(|size| size)
}

/// A decoder that has read the header and found the size within bounds.
fn opened(bytes: &[u8]) -> Result<(impl ImageDecoder, ImageFormat), String> {
    if kind::of(bytes).is_some_and(|kind| !kind.image) {
        return Err(kind::described(bytes));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else { return Err(kind::described(bytes)) };
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOCATED);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| reason(bytes, &error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(format!("it announces {width} × {height} pixels, more than the {MAX_PIXELS} that are decoded"));
    }
    if pixels == 0 {
        return Err(format!("it announces {width} × {height} pixels"));
    }
    Ok((decoder, format))
}

/// What a decoder says, in one line.
fn reason(bytes: &[u8], error: &image::ImageError) -> String {
    match bytes.len() {
        0 => "it is empty".into(),
        _ => error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Colors that were multiplied by their alpha, divided by it again.
fn straight(mut image: RgbaImage) -> RgbaImage {
    for pixel in image.pixels_mut() {
        let [.., alpha] = pixel.0;
        if alpha > 0 {
            for color in &mut pixel.0[..3] {
                *color = ((u32::from(*color) * 255 + u32::from(alpha) / 2) / u32::from(alpha)).min(255) as u8;
            }
        }
    }
    image
}

/// Whether a GIF has more than one frame.
fn gif_frames(bytes: &[u8]) -> bool {
    fn second(bytes: &[u8]) -> Option<()> {
        let palette = |flags: u8| if flags & 0x80 > 0 { 3 << ((flags & 7) + 1) } else { 0 };
        let mut at = 13 + palette(*bytes.get(10)?);
        let mut frames = 0;
        loop {
            match bytes.get(at)? {
                0x21 => at += 2,
                0x2c if frames == 1 => return Some(()),
                0x2c => {
                    frames += 1;
                    at += 11 + palette(*bytes.get(at + 9)?);
                }
                _ => return None,
            }
            // Blocks of up to 255 bytes, each after its length; the last is empty.
            loop {
                let length = usize::from(*bytes.get(at)?);
                at += 1 + length;
                if length == 0 {
                    break;
                }
            }
        }
    }
    second(bytes).is_some()
}

/// Whether a PNG is an animation.
fn png_frames(bytes: &[u8]) -> bool {
    let mut at = 8usize;
    while let (Some(length), Some(name)) = (bytes.get(at..at + 4), bytes.get(at + 4..at + 8)) {
        match name {
            b"acTL" => return true,
            b"IDAT" => return false,
            _ => {}
        }
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        at = match at.checked_add(12 + length as usize) {
            Some(at) => at,
            None => return false,
        };
    }
    false
}

/// Whether a TIFF has further pages, and whether its colors are multiplied by alpha (tag ExtraSamples, value 1).
fn tiff(bytes: &[u8]) -> Option<(bool, bool)> {
    let big_endian = bytes.starts_with(b"MM");
    let number = |at: usize, size: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let value = if big_endian { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) };
        usize::try_from(value).ok()
    };
    // In BigTIFF counts, offsets and entries are longer.
    let (offset, count, entry) = if number(2, 2)? == 43 { (8, 8, 20) } else { (4, 2, 12) };
    let mut at = number(if offset == 8 { 8 } else { 4 }, offset)?;
    let entries = number(at, count)?;
    at = at.checked_add(count)?;
    let mut premultiplied = false;
    for i in 0..entries.min(1 << 12) {
        let entry = at.checked_add(i * entry)?;
        if number(entry, 2)? == 338 {
            premultiplied = number(entry + 4 + offset, 2)? == 1;
        }
    }
    let next = number(at.checked_add(entries.checked_mul(entry)?)?, offset).unwrap_or(0);
    Some((next > 0, premultiplied))
}

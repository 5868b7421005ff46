//! Decoding of picture files: color, size and background.
mod decode;
mod jpeg;

pub(crate) use decode::dimensions;

use crate::{
    Error,
    limits::{MAX_PIXELS, MAX_SIDE},
};
use image::{DynamicImage, GrayImage, ImageBuffer, Rgb, RgbImage, Rgba, RgbaImage, imageops};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// The color behind transparent pixels: `"white"`, `"black"` or `"#rrggbb"`.
///
/// Alpha compositing, `a · color + (1 − a) · background`, is done on the stored 8-bit values, as browsers do, and not
/// in linear light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Background(pub [u8; 3]);

impl Background {
    /// White.
    pub const WHITE: Self = Self([255; 3]);
    /// Black.
    pub const BLACK: Self = Self([0; 3]);

    /// The color `[r, g, b, alpha]` composited over this one.
    pub fn under(self, [r, g, b, alpha]: [u8; 4]) -> [u8; 3] {
        let mix = |over: u8, under: u8| {
            let (c, g, a) = (u32::from(over), u32::from(under), u32::from(alpha));
            ((c * a + g * (255 - a) + 127) / 255) as u8
        };
        [mix(r, self.0[0]), mix(g, self.0[1]), mix(b, self.0[2])]
    }
}

impl FromStr for Background {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "white" => return Ok(Self::WHITE),
            "black" => return Ok(Self::BLACK),
            _ => {}
        }
        let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match hex.map(|hex| u32::from_str_radix(hex, 16)) {
            Some(Ok(rgb)) => Ok(Self([(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8])),
            _ => Err(format!("`{text}` is not a background; it must be \"white\", \"black\" or \"#rrggbb\"")),
        }
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::WHITE => write!(f, "white"),
            Self::BLACK => write!(f, "black"),
            Self([r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
        }
    }
}

impl Serialize for Background {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl schemars::JsonSchema for Background {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Background".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(white|black|#[0-9a-fA-F]{6})$" })
    }
}

impl<'de> Deserialize<'de> for Background {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// How an image that is not square becomes square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Scaled until the shorter side is `size`, then the middle of the longer side.
    #[default]
    Center,
    /// Scaled to `size + margin`, then, in every training batch anew, a random window of `size` pixels.
    Random,
    /// Stretched to a square; nothing is cut off.
    None,
}

/// How images are resampled, on the stored 8-bit values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Lanczos, a windowed sinc of three lobes: sharp, without aliasing when scaling down.
    #[default]
    Lanczos,
    /// Cubic (Catmull and Rom): a little softer, with less ringing.
    Cubic,
    /// Bilinear.
    Linear,
    /// Nearest neighbor: for pixel art scaled by whole numbers.
    Nearest,
}

impl Filter {
    fn kind(self) -> imageops::FilterType {
        match self {
            Self::Lanczos => imageops::FilterType::Lanczos3,
            Self::Cubic => imageops::FilterType::CatmullRom,
            Self::Linear => imageops::FilterType::Triangle,
            Self::Nearest => imageops::FilterType::Nearest,
        }
    }
}

/// The settings by which every picture of a set is decoded.
pub(crate) struct Prepare {
    pub size: Option<usize>,
    pub crop: Crop,
    pub margin: Option<usize>,
    pub filter: Filter,
    pub channels: usize,
    pub background: Background,
}

/// A decoded picture: bytes `[channels, height, width]`.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub pixels: Vec<u8>,
    pub size: [usize; 2],
    /// Whether the file holds further frames or pages, which were not read.
    pub more: bool,
}

impl Prepare {
    /// Checks the settings, before any file is read.
    pub fn check(&self) -> Result<(), Error> {
        if !matches!(self.channels, 1 | 3 | 4) {
            return Err(wrong_channels(self.channels));
        }
        match (self.size, self.crop) {
            (Some(0), _) => Err(Error::invalid("must be 1 or more pixels, got 0")
                .with_field("size")
                .with_remedy("set 32, for example, or leave it out to keep the size of the files")),
            (None, Crop::Random) => Err(Error::invalid("is \"random\", but `size` is not set")
                .with_field("crop")
                .with_remedy("set `size = 32`, for example")),
            _ if self.margin.is_some() && self.crop != Crop::Random => {
                Err(Error::invalid("is only used with `crop = \"random\"`")
                    .with_field("margin")
                    .with_remedy("leave it out, or set `crop = \"random\"`"))
            }
            (Some(size), _) if size > MAX_SIDE => {
                Err(Error::invalid(format!("must be at most {MAX_SIDE}, got {size}"))
                    .with_field("size")
                    .with_remedy("set 32 or 64, for example"))
            }
            _ if self.side().is_some_and(|side| side > MAX_SIDE) => {
                let problem =
                    format!("must be at most {MAX_SIDE} together with `size`, got {}", self.margin.unwrap_or(0));
                Err(Error::invalid(problem)
                    .with_field("margin")
                    .with_remedy("set a smaller one, or leave it out for an eighth of `size`"))
            }
            _ => Ok(()),
        }
    }

    /// Side of the images as stored, if they are scaled: `size`, and for random crops `size + margin`, where the margin
    /// is by default an eighth of `size`, rounded up.
    pub fn side(&self) -> Option<usize> {
        let margin = |size: usize| match self.crop {
            Crop::Random => self.margin.unwrap_or(size.div_ceil(8)),
            _ => 0,
        };
        self.size.map(|size| size.saturating_add(margin(size)))
    }

    /// Decodes one picture; the error is why that is not possible, a clause.
    pub fn picture(&self, bytes: &[u8]) -> Result<Prepared, String> {
        let decode::Decoded { image, more } = decode::decoded(bytes)?;
        let image = match self.channels {
            4 => DynamicImage::ImageRgba8(image.into_rgba8()),
            1 => DynamicImage::ImageLuma8(on_background(image, self.background).into_luma8()),
            _ => DynamicImage::ImageRgb8(on_background(image, self.background).into_rgb8()),
        };
        let image = self.resized(image)?;
        let size = [image.height() as usize, image.width() as usize];
        let (bytes, channels) = (image.as_bytes(), usize::from(image.color().channel_count()));
        Ok(Prepared { pixels: to_planes(bytes, channels), size, more })
    }

    fn resized(&self, image: DynamicImage) -> Result<DynamicImage, String> {
        let Some(side) = self.side().map(|side| side as u32) else { return Ok(image) };
        let (width, height) = (image.width(), image.height());
        if self.crop == Crop::None {
            return Ok(resize(image, side, side, self.filter));
        }
        let longer =
            |long: u32, short: u32| ((f64::from(long) * f64::from(side) / f64::from(short)).round() as u32).max(side);
        let (wide, high) = match width < height {
            true => (side, longer(height, width)),
            false => (longer(width, height), side),
        };
        if u64::from(wide) * u64::from(high) > MAX_PIXELS {
            return Err(format!(
                "it is {width} × {height} pixels, and scaled until its shorter side is {side} it would have more than \
                 the {MAX_PIXELS} pixels that are allowed"
            ));
        }
        Ok(resize(image, wide, high, self.filter).crop_imm((wide - side) / 2, (high - side) / 2, side, side))
    }

    /// The size as served of images stored at `size`.
    pub fn window(&self, size: [usize; 2]) -> [usize; 2] {
        self.size.map_or(size, |size| [size, size])
    }
}

/// A picture as RGB, over a white background.
pub(crate) fn rgb(bytes: &[u8]) -> Result<RgbImage, String> {
    Ok(on_background(decode::decoded(bytes)?.image, Background::WHITE).into_rgb8())
}

/// A picture as RGBA.
pub(crate) fn rgba(bytes: &[u8]) -> Result<RgbaImage, String> {
    Ok(decode::decoded(bytes)?.image.into_rgba8())
}

fn on_background(image: DynamicImage, background: Background) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let rgba = image.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| Rgb(background.under(rgba.get_pixel(x, y).0))).into()
}

/// The image scaled to a size. Colors are weighted by their alpha, so that transparent pixels do not bleed.
fn resize(image: DynamicImage, width: u32, height: u32, filter: Filter) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    let DynamicImage::ImageRgba8(rgba) = &image else { return image.resize_exact(width, height, filter.kind()) };
    // Halved because `image` clips floats to [0, 1] and the filters overshoot: alpha and color must overshoot alike.
    let weighted: ImageBuffer<Rgba<f32>, Vec<f32>> = ImageBuffer::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(|v| f32::from(v) / 255.0);
        Rgba([r * a, g * a, b * a, a].map(|v| v / 2.0))
    });
    let scaled = imageops::resize(&weighted, width, height, filter.kind());
    RgbaImage::from_fn(width, height, |x, y| {
        let [r, g, b, a] = scaled.get_pixel(x, y).0;
        let color = |v: f32| if a > 0.0 { v / a } else { 0.0 };
        Rgba([color(r), color(g), color(b), 2.0 * a].map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8))
    })
    .into()
}

/// The error for a setting `channels` other than 1, 3 or 4.
pub(crate) fn wrong_channels(found: usize) -> Error {
    Error::invalid(format!("must be 1 (gray), 3 (RGB) or 4 (RGBA), got {found}")).with_field("channels")
}

/// `[pixels, channels]` to `[channels, pixels]`.
pub(crate) fn to_planes(bytes: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|channel| bytes.iter().skip(channel).step_by(channels).copied()).collect()
}

/// A color in 1, 3 or 4 channels: gray is the luma of Rec. 709 (as in the crate `image`), alpha is opaque.
pub(crate) fn in_channels(color: [u8; 3], channels: usize) -> Vec<u8> {
    match channels {
        1 => to_gray(color.to_vec(), 1),
        3 => color.to_vec(),
        _ => color.into_iter().chain([255]).collect(),
    }
}

/// Interleaved RGB as gray.
pub(crate) fn to_gray(rgb: Vec<u8>, pixels: usize) -> Vec<u8> {
    let image = RgbImage::from_raw(pixels as u32, 1, rgb).expect("three bytes per pixel");
    let gray: GrayImage = DynamicImage::ImageRgb8(image).into_luma8();
    gray.into_raw()
}

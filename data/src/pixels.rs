//! From a picture file's bytes to levels of a size, on a background.
use crate::Error;
use image::{
    DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageReader, Rgb, RgbImage, Rgba, RgbaImage, imageops,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, io::Cursor, str::FromStr};

/// The colour that transparent pixels are laid on: `"white"`, `"black"` or `"#rrggbb"`.
///
/// The mixture `c = a · colour + (1 − a) · background` is taken between the stored 8-bit values, as browsers do, not
/// between amounts of light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Background(pub [u8; 3]);

impl Background {
    /// White.
    pub const WHITE: Self = Self([255; 3]);
    /// Black.
    pub const BLACK: Self = Self([0; 3]);

    /// A colour of opacity `alpha` laid on this one.
    pub fn under(self, [r, g, b, alpha]: [u8; 4]) -> [u8; 3] {
        let mix = |colour: u8, ground: u8| {
            let (c, g, a) = (u32::from(colour), u32::from(ground), u32::from(alpha));
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
            _ => Err(format!("`{text}` is not a background: \"white\", \"black\" or \"#rrggbb\" was expected")),
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

/// How an image of another shape becomes a square one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Scaled until the shorter side fits, then the middle of the longer one.
    #[default]
    Center,
    /// Scaled a little larger; the trainer draws a window each time it looks.
    Random,
    /// Nothing is cut off: stretched to fit.
    None,
}

/// How pixels are made when an image is scaled; always in the stored 8-bit values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Lanczos's windowed sinc of three lobes: sharp, and free of aliasing when scaling down.
    #[default]
    Lanczos,
    /// Catmull and Rom's cubic: a little softer, with less ringing.
    Cubic,
    /// Linear between neighbours.
    Linear,
    /// The nearest pixel: for pixel art scaled by whole numbers.
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

/// What is done to every picture of a set.
pub(crate) struct Prepare {
    pub size: Option<usize>,
    pub crop: Crop,
    pub margin: Option<usize>,
    pub filter: Filter,
    pub channels: usize,
    pub background: Background,
}

/// A picture prepared: bytes `[channels, height, width]`.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub pixels: Vec<u8>,
    pub size: [usize; 2],
}

impl Prepare {
    /// Refuses settings that do not fit, before any file is read.
    pub fn check(&self) -> Result<(), Error> {
        if !matches!(self.channels, 1 | 3 | 4) {
            let place = format!("`channels = {}`", self.channels);
            return Err(Error::Channels { place, found: self.channels, expected: "1 (grey), 3 (RGB) or 4 (RGBA)" });
        }
        match (self.size, self.crop) {
            (Some(0), _) => Err(Error::setting("`size = 0` leaves no pixels", "Say the side of the images in pixels.")),
            (None, Crop::Random) => Err(Error::setting(
                "`crop = \"random\"` needs to know how large the windows are, and there is no `size`",
                "Say `size = 32`, or another side.",
            )),
            _ if self.margin.is_some() && self.crop != Crop::Random => Err(Error::setting(
                "`margin` is by how much images are larger than the random windows, and the crop is not random",
                "Leave it out, or say `crop = \"random\"`.",
            )),
            _ => Ok(()),
        }
    }

    /// Side of the images as stored, where they are brought to a size: more than the size under random crops, by the
    /// margin, an eighth of the size (rounded up) where that is not given.
    fn side(&self) -> Option<usize> {
        let margin = |size: usize| match self.crop {
            Crop::Random => self.margin.unwrap_or(size.div_ceil(8)),
            _ => 0,
        };
        self.size.map(|size| size + margin(size))
    }

    /// Decodes and prepares one picture; the error is what the decoder said.
    pub fn picture(&self, bytes: &[u8]) -> Result<Prepared, String> {
        let image = decode(bytes).map_err(|error| error.to_string())?;
        let image = match self.channels {
            4 => DynamicImage::ImageRgba8(image.into_rgba8()),
            1 => DynamicImage::ImageLuma8(on_background(image, self.background).into_luma8()),
            _ => DynamicImage::ImageRgb8(on_background(image, self.background).into_rgb8()),
        };
        Ok(planar(&self.resized(image)))
    }

    fn resized(&self, image: DynamicImage) -> DynamicImage {
        let Some(side) = self.side().map(|side| side as u32) else { return image };
        let (width, height) = (image.width(), image.height());
        if self.crop == Crop::None {
            return resize(image, side, side, self.filter);
        }
        let longer =
            |long: u32, short: u32| ((f64::from(long) * f64::from(side) / f64::from(short)).round() as u32).max(side);
        let (width, height) = match width < height {
            true => (side, longer(height, width)),
            false => (longer(width, height), side),
        };
        resize(image, width, height, self.filter).crop_imm((width - side) / 2, (height - side) / 2, side, side)
    }

    /// The served size of a set stored at `size`.
    pub fn window(&self, size: [usize; 2]) -> [usize; 2] {
        self.size.map_or(size, |size| [size, size])
    }
}

/// The picture, turned as its file says (EXIF).
fn decode(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn on_background(image: DynamicImage, background: Background) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let rgba = image.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| Rgb(background.under(rgba.get_pixel(x, y).0))).into()
}

/// Scaled to a size. Colours are weighted by their opacity, or the invisible colour of clear pixels would bleed.
fn resize(image: DynamicImage, width: u32, height: u32, filter: Filter) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    let DynamicImage::ImageRgba8(rgba) = &image else { return image.resize_exact(width, height, filter.kind()) };
    // Half as bright, for `image` clips floats to [0, 1] and the filters overshoot: opacity and colour must do so alike.
    let weighted: ImageBuffer<Rgba<f32>, Vec<f32>> = ImageBuffer::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(|v| f32::from(v) / 255.0);
        Rgba([r * a, g * a, b * a, a].map(|v| v / 2.0))
    });
    let scaled = imageops::resize(&weighted, width, height, filter.kind());
    RgbaImage::from_fn(width, height, |x, y| {
        let [r, g, b, a] = scaled.get_pixel(x, y).0;
        let colour = |v: f32| if a > 0.0 { v / a } else { 0.0 };
        Rgba([colour(r), colour(g), colour(b), 2.0 * a].map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8))
    })
    .into()
}

/// Interleaved pixels to planes.
fn planar(image: &DynamicImage) -> Prepared {
    let size = [image.height() as usize, image.width() as usize];
    let (bytes, channels) = (image.as_bytes(), usize::from(image.color().channel_count()));
    Prepared { pixels: to_planes(bytes, channels), size }
}

/// `[pixels, channels]` to `[channels, pixels]`.
pub(crate) fn to_planes(bytes: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|channel| bytes.iter().skip(channel).step_by(channels).copied()).collect()
}

/// A colour in 1, 3 or 4 channels; grey by the luma that `image` uses (Rec. 709 weights), alpha opaque.
pub(crate) fn in_channels(colour: [u8; 3], channels: usize) -> Vec<u8> {
    match channels {
        1 => to_grey(colour.to_vec(), 1),
        3 => colour.to_vec(),
        _ => colour.into_iter().chain([255]).collect(),
    }
}

/// Interleaved RGB to grey.
pub(crate) fn to_grey(rgb: Vec<u8>, pixels: usize) -> Vec<u8> {
    let image = RgbImage::from_raw(pixels as u32, 1, rgb).expect("three bytes a pixel");
    let grey: GrayImage = DynamicImage::ImageRgb8(image).into_luma8();
    grey.into_raw()
}

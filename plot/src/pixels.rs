//! Images of pixels, and the PNG format.
use serde::{Serialize, Serializer};

/// An image: rows of red, green and blue, each 0 to 255. It serializes as a data URI of a PNG file.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Pixels per row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

impl Pixels {
    /// An image of color pixels, `[height, width, 3]`.
    ///
    /// # Panics
    /// If the number of bytes is not width × height × 3.
    pub fn rgb(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width * height * 3, "{width} × {height} pixels of three bytes");
        Self { width, height, rgb }
    }

    /// An image of values as grays or colors: `low` is black, `high` is white, and values outside are clipped.
    ///
    /// # Shapes
    /// `values: [height, width, channels]` with one or three channels.
    ///
    /// # Panics
    /// If the number of values is not width × height, or three times that.
    pub fn from_values(width: usize, height: usize, values: &[f64], [low, high]: [f64; 2]) -> Self {
        let channels = values.len() / (width * height).max(1);
        assert!(matches!(channels, 1 | 3) && values.len() == width * height * channels, "one or three channels");
        let byte = |v: f64| ((v - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) as u8;
        let rgb = match channels {
            1 => values.iter().flat_map(|&v| [byte(v); 3]).collect(),
            _ => values.iter().map(|&v| byte(v)).collect(),
        };
        Self { width, height, rgb }
    }

    /// The image downsampled to sides of at most `side` pixels, each the mean over the area that it covers.
    pub fn shrunk(&self, side: usize) -> Self {
        let by = (self.width.max(self.height) as f64 / side as f64).max(1.0);
        let size = |v: usize| ((v as f64 / by).round() as usize).max(1);
        let (width, height) = (size(self.width), size(self.height));
        // The old pixels that new pixel i covers, as pairs of index and weight.
        let cover = |new: usize, old: usize, i: usize| -> Vec<(usize, f64)> {
            let (from, to) = (i as f64 * old as f64 / new as f64, (i + 1) as f64 * old as f64 / new as f64);
            let part = |k: usize| (to.min(k as f64 + 1.0) - from.max(k as f64)).max(0.0) / (to - from);
            (from as usize..old.min(to.ceil() as usize)).map(|k| (k, part(k))).collect()
        };
        let mut rgb = Vec::with_capacity(width * height * 3);
        for j in 0..height {
            let rows = cover(height, self.height, j);
            for i in 0..width {
                let columns = cover(width, self.width, i);
                for channel in 0..3 {
                    let sum: f64 = rows
                        .iter()
                        .flat_map(|(y, a)| columns.iter().map(move |(x, b)| (y * self.width + x, a * b)))
                        .map(|(at, weight)| weight * f64::from(self.rgb[3 * at + channel]))
                        .sum();
                    rgb.push(sum.round() as u8);
                }
            }
        }
        Self { width, height, rgb }
    }

    /// The values of the pixels, −1 for black and 1 for white, `[height, width, 3]`.
    pub fn values(&self) -> Vec<f64> {
        self.rgb.iter().map(|&v| f64::from(v) / 127.5 - 1.0).collect()
    }

    /// The image as a PNG file.
    pub fn png(&self) -> Vec<u8> {
        encode(self.width as u32, self.height as u32, &self.rgb)
    }
}

impl Serialize for Pixels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("data:image/png;base64,{}", base64(&self.png())))
    }
}

/// Bytes of red, green and blue, `[height, width, 3]`, as a PNG file.
fn encode(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().expect("written to memory");
    writer.write_image_data(rgb).expect("three bytes per pixel");
    writer.finish().expect("written to memory");
    out
}

/// Base64 encoding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { digit as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_test_vectors_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}

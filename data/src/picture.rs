//! Pictures of samples: a grid, and a strip over time.
//!
//! Values in [−1, 1] become bytes by [`byte`], each pixel becomes `zoom × zoom` pixels, and images are separated by a
//! gap of a neutral background. Images of 4 channels are composited over that background.
mod label;

use crate::{Background, Error, byte, limits, pixels, write};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, codecs::png::PngEncoder};
use label::{Align, COLUMN, LINE, Label};
use std::{
    io::{self, Read},
    path::Path,
};

/// Layout of a grid or strip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of columns of a grid; 0 makes it as square as possible. A strip has one column per time.
    pub columns: usize,
    /// Enlargement: a pixel becomes `zoom × zoom` pixels; 0 takes the least for which the shorter side is 48 or more.
    pub zoom: usize,
    /// Gap between images, in pixels.
    pub gap: usize,
    /// Background color; text is black or white, whichever has more contrast.
    pub background: [u8; 3],
    /// Labels of the rows, written at the left in up to three lines; may be empty.
    pub row_labels: Vec<String>,
}

impl Default for Layout {
    fn default() -> Self {
        Self { columns: 0, zoom: 0, gap: 2, background: [228; 3], row_labels: Vec::new() }
    }
}

/// Reads a picture file of any format that [`Folder`](crate::Folder) reads, rotated by its EXIF orientation and composited
/// over white.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io); [`ErrorKind::Format`](crate::ErrorKind::Format) if it is not such a file, is
/// incomplete, or has more than [`MAX_PIXELS`](crate::limits::MAX_PIXELS) pixels.
pub fn load(path: impl AsRef<Path>) -> Result<RgbImage, Error> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    let file = limits::open(path)?.0;
    file.take(limits::MAX_PICTURE).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    pixels::rgb(&bytes).map_err(|reason| {
        Error::format(path, format!("could not be read: {reason}")).with_remedy("give another picture")
    })
}

/// Decodes a picture file from memory, as [`load`] does.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is not such a file, is incomplete, or has too many pixels.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, Error> {
    pixels::rgb(bytes).map_err(|reason| {
        Error::invalid(format!("could not be read as a picture: {reason}")).with_remedy("give another picture")
    })
}

/// A picture as bytes `[channels, height, width]` of 1 channel (gray, the luma of Rec. 709) or 3 (RGB).
///
/// # Panics
/// For other numbers of channels.
pub fn channels(image: RgbImage, channels: usize) -> Vec<u8> {
    let size = image.width() as usize * image.height() as usize;
    match channels {
        1 => pixels::to_gray(image.into_raw(), size),
        3 => pixels::to_planes(&image.into_raw(), 3),
        _ => panic!("a picture has 1 channel (gray) or 3 (RGB), not {channels}"),
    }
}

/// Reads a picture file with its transparency: bytes `[height, width, 4]`, and height and width.
///
/// # Errors
/// As those of [`load`].
pub fn with_alpha(path: impl AsRef<Path>) -> Result<(Vec<u8>, [usize; 2]), Error> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    let file = limits::open(path)?.0;
    file.take(limits::MAX_PICTURE).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    pixels::rgba(&bytes)
        .map(|image| {
            let size = [image.height() as usize, image.width() as usize];
            (image.into_raw(), size)
        })
        .map_err(|reason| {
            Error::format(path, format!("could not be read: {reason}")).with_remedy("give another picture")
        })
}

/// A grid of images, from left to right and from top to bottom.
///
/// # Shapes
/// `images [n, channels, height, width]` in [−1, 1], of 1 (gray), 3 (RGB) or 4 (RGBA) channels.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for other numbers of channels, [`ErrorKind::Empty`](crate::ErrorKind::Empty) if there are no pixels.
///
/// # Panics
/// If the product of the sizes is not the number of values.
///
/// ```
/// use tweedie_data::picture::{Layout, grid};
/// let image = grid(&[-1.0, 1.0, 1.0, -1.0], [1, 1, 2, 2], &Layout { zoom: 8, ..Layout::default() })?;
/// assert_eq!(image.dimensions(), (16 + 4, 16 + 4));
/// # Ok::<(), tweedie_data::Error>(())
/// ```
pub fn grid(images: &[f32], shape: [usize; 4], layout: &Layout) -> Result<RgbImage, Error> {
    let [count, channels, height, width] = shape;
    let columns = match layout.columns {
        0 => (1..).find(|side| side * side >= count).unwrap_or(1),
        columns => columns.min(count.max(1)),
    };
    let sheet = Sheet { images, count, shape: [channels, height, width], layout, headings: Vec::new() };
    sheet.draw(columns, count.div_ceil(columns), |row, column| row * columns + column)
}

/// A strip of samples over time: one row per sample, one column per time, with the time above it.
///
/// # Shapes
/// `frames [times, n, channels, height, width]` in [−1, 1], of 1 (gray), 3 (RGB) or 4 (RGBA) channels.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for other numbers of channels, [`ErrorKind::Empty`](crate::ErrorKind::Empty) if there are no pixels.
///
/// # Panics
/// If the product of the sizes is not the number of values, or there is not one time per frame.
pub fn strip(frames: &[f32], shape: [usize; 5], times: &[f64], layout: &Layout) -> Result<RgbImage, Error> {
    let [columns, samples, channels, height, width] = shape;
    assert_eq!(times.len(), columns, "one time per frame");
    let headings = times.iter().map(|time| format!("{time:.2}")).collect();
    let sheet = Sheet { images: frames, count: columns * samples, shape: [channels, height, width], layout, headings };
    sheet.draw(columns, samples, |row, column| column * samples + row)
}

/// Writes a picture as PNG, completely or not at all.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io).
pub fn save(picture: &RgbImage, path: impl AsRef<Path>) -> Result<(), Error> {
    // In memory first: the encoder would hide why a file cannot be written.
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    let encoded = PngEncoder::new(&mut bytes).write_image(picture, width, height, ExtendedColorType::Rgb8);
    write::atomic(path, |file| encoded.map_err(io::Error::other).and_then(|()| file.write_all(&bytes)))
}

/// Images and the labels around them.
struct Sheet<'a> {
    images: &'a [f32],
    count: usize,
    shape: [usize; 3],
    layout: &'a Layout,
    headings: Vec<String>,
}

impl Sheet<'_> {
    fn draw(&self, columns: usize, rows: usize, index: impl Fn(usize, usize) -> usize) -> Result<RgbImage, Error> {
        let [channels, height, width] = self.shape;
        let each = channels * height * width;
        assert_eq!(self.images.len(), self.count * each, "{} images of {:?}", self.count, self.shape);
        if !matches!(channels, 1 | 3 | 4) {
            return Err(Error::invalid(format!(
                "a picture must have 1 (gray), 3 (RGB) or 4 (RGBA) channels, got {channels}"
            )));
        }
        if self.images.is_empty() {
            return Err(Error::empty("a picture must have at least one image, got none"));
        }
        let (gap, background) = (self.layout.gap, self.layout.background);
        let zoom = match self.layout.zoom {
            0 => 48usize.div_ceil(height.min(width)),
            zoom => zoom,
        };
        let lines = (height * zoom / LINE).clamp(1, 3);
        let labels: Vec<Label> = self.layout.row_labels.iter().take(rows).map(|text| Label::new(text, lines)).collect();
        let headings: Vec<Label> = self.headings.iter().map(|text| Label::new(text, 1)).collect();
        let axis = Label::new(if headings.is_empty() { "" } else { "t =" }, 1);
        let room = |labels: &[Label]| labels.iter().map(Label::columns).max().unwrap_or(0) * COLUMN;
        let left = match room(&labels).max(axis.columns() * COLUMN) {
            0 => gap,
            room => room + 6,
        };
        let top = if headings.is_empty() { gap } else { LINE + 4 };
        let tallest = labels.iter().map(Label::height).max().unwrap_or(0);
        let cell = [(height * zoom).max(tallest), (width * zoom).max(room(&headings))];
        let total = [top + rows * (cell[0] + gap), left + columns * (cell[1] + gap)];
        let mut canvas = RgbImage::from_pixel(total[1] as u32, total[0] as u32, Rgb(background));

        for row in 0..rows {
            let y = top + row * (cell[0] + gap);
            if let Some(label) = labels.get(row) {
                label.draw(&mut canvas, background, [left - 4, y + (cell[0] - label.height()) / 2], Align::Right);
            }
            for column in 0..columns {
                let number = index(row, column);
                if number >= self.count {
                    continue;
                }
                let (x, y) =
                    (left + column * (cell[1] + gap) + (cell[1] - width * zoom) / 2, y + (cell[0] - height * zoom) / 2);
                let image = &self.images[number * each..(number + 1) * each];
                for (i, j) in (0..height * zoom).flat_map(|i| (0..width * zoom).map(move |j| (i, j))) {
                    let at = |channel: usize| byte(image[(channel * height + i / zoom) * width + j / zoom]);
                    let color = match channels {
                        1 => [at(0); 3],
                        3 => [at(0), at(1), at(2)],
                        _ => Background(background).under([at(0), at(1), at(2), at(3)]),
                    };
                    canvas.put_pixel((x + j) as u32, (y + i) as u32, Rgb(color));
                }
            }
        }
        axis.draw(&mut canvas, background, [left.saturating_sub(4), 2], Align::Right);
        for (column, heading) in headings.iter().enumerate() {
            let middle = left + column * (cell[1] + gap) + cell[1] / 2;
            heading.draw(&mut canvas, background, [middle, 2], Align::Center);
        }
        Ok(canvas)
    }
}

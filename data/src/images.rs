//! A set of images in memory.
use crate::Error;

/// A set of images of one size, decoded, in host memory.
///
/// Pixels are bytes in the order image, channel, row, column (NCHW). Of `levels` levels, level v means
/// `x = 2 v / (levels − 1) − 1 ∈ [−1, 1]`: with the 256 levels of ordinary pictures `x = v / 127.5 − 1`, with the 17
/// levels of [`Digits`](crate::Digits) `x = v / 8 − 1`. The number of levels belongs to the set; [`level`](Images::level)
/// is the inverse.
///
/// Images may be stored larger than they are served: then a window of `window` pixels is cut from each, in the middle
/// unless the caller says where ([`shape`](Images::shape), [`offsets`](Images::offsets)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Levels, `[images, channels, height, width]`.
    pub pixels: Vec<u8>,
    /// 1 grey, 3 RGB, 4 RGBA.
    pub channels: usize,
    /// Height as stored.
    pub height: usize,
    /// Width as stored.
    pub width: usize,
    /// Height and width as served.
    pub window: [usize; 2],
    /// Number of levels a pixel can have.
    pub levels: u16,
    /// One index into `classes` an image, where there are classes.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Whether mirrored images belong to the set: then a trainer mirrors half of what it draws.
    pub flip: bool,
}

impl Images {
    /// A set of bytes, `[images, channels, height, width]`, of 256 levels and without labels.
    ///
    /// # Panics
    /// If the number of pixels is not a multiple of the size of an image, or that is zero.
    pub fn new(pixels: Vec<u8>, [channels, height, width]: [usize; 3]) -> Self {
        let each = channels * height * width;
        assert!(each > 0, "an image needs pixels: {channels} × {height} × {width}");
        assert!(pixels.len().is_multiple_of(each), "{} bytes are no whole number of images of {each}", pixels.len());
        let window = [height, width];
        Self { pixels, channels, height, width, window, levels: 256, labels: None, classes: Vec::new(), flip: false }
    }

    /// The set with labels.
    ///
    /// # Panics
    /// If there is not one label an image, or a label is not an index into `classes`.
    pub fn labelled(self, labels: Vec<u32>, classes: Vec<String>) -> Self {
        assert_eq!(labels.len(), self.len(), "one label an image");
        assert!(labels.iter().all(|&label| (label as usize) < classes.len()), "a label is an index into the classes");
        Self { labels: Some(labels), classes, ..self }
    }

    /// The set brought down to fewer levels, in equal bins: level v of n becomes ⌊v · levels / n⌋.
    ///
    /// # Errors
    /// If there are fewer than 2 levels, or more than the set has.
    pub fn of_levels(mut self, levels: Option<u16>) -> Result<Self, Error> {
        let Some(levels) = levels else { return Ok(self) };
        if !(2..=self.levels).contains(&levels) {
            return Err(Error::setting(
                format!("`levels = {levels}` is not within 2 and the {} levels that the images have", self.levels),
                "Say 8, or another number within them.",
            ));
        }
        let binned = |v: u8| (u32::from(v) * u32::from(levels) / u32::from(self.levels)) as u8;
        self.pixels.iter_mut().for_each(|v| *v = binned(*v));
        self.levels = levels;
        Ok(self)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.channels * self.height * self.width)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Channels, height and width of an image as served.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.window[0], self.window[1]]
    }

    /// How many places the window has, down and across: `[1, 1]` unless random crops were asked for.
    pub fn offsets(&self) -> [usize; 2] {
        [self.height - self.window[0] + 1, self.width - self.window[1] + 1]
    }

    /// The bytes of image `i` as stored, `[channels, height, width]`.
    ///
    /// # Panics
    /// If there is no image `i`.
    pub fn get(&self, i: usize) -> &[u8] {
        let each = self.channels * self.height * self.width;
        &self.pixels[i * each..(i + 1) * each]
    }

    /// The label of image `i`, where there are classes.
    pub fn label(&self, i: usize) -> Option<u32> {
        self.labels.as_ref().map(|labels| labels[i])
    }

    /// Number of images of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in self.labels.iter().flatten() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// Images as numbers in [−1, 1], in the order asked, from the middle window; those with `flips` true mirrored left
    /// to right.
    ///
    /// # Shapes
    /// `indices [n]`, `flips [n]` → `[n, channels, window height, window width]`.
    ///
    /// # Panics
    /// If an index is out of range or there is not one flip an index.
    pub fn to_unit(&self, indices: &[usize], flips: Option<&[bool]>) -> Vec<f32> {
        self.to_unit_at(indices, flips, None)
    }

    /// [`to_unit`](Images::to_unit) with the window's place, down and across, below [`offsets`](Images::offsets).
    ///
    /// # Panics
    /// As `to_unit`, and if an offset is out of range.
    pub fn to_unit_at(&self, indices: &[usize], flips: Option<&[bool]>, at: Option<&[[usize; 2]]>) -> Vec<f32> {
        assert!(flips.is_none_or(|flips| flips.len() == indices.len()), "one flip an image");
        assert!(at.is_none_or(|at| at.len() == indices.len()), "one offset an image");
        let [down, across] = self.offsets();
        let [height, width] = self.window;
        let table: Vec<f32> = (0..=255u8).map(|level| self.value(level)).collect();
        let mut out = Vec::with_capacity(indices.len() * self.channels * height * width);
        for (n, &index) in indices.iter().enumerate() {
            let image = self.get(index);
            let [top, left] = at.map_or([(down - 1) / 2, (across - 1) / 2], |at| at[n]);
            assert!(top < down && left < across, "offset {top}, {left} is not below {down}, {across}");
            let flip = flips.is_some_and(|flips| flips[n]);
            for channel in image.chunks_exact(self.height * self.width) {
                for row in channel.chunks_exact(self.width).skip(top).take(height) {
                    let row = row[left..left + width].iter().map(|&level| table[usize::from(level)]);
                    if flip { out.extend(row.rev()) } else { out.extend(row) }
                }
            }
        }
        out
    }

    /// Images as a trainer sees them: of three numbers uniform on [0, 1) an image, the first decides whether it is
    /// mirrored (where the set says [`flip`](Images::flip)), the others where its window lies.
    ///
    /// # Shapes
    /// `indices [n]`, `uniforms [n, 3]` → `[n, channels, window height, window width]`.
    ///
    /// # Panics
    /// If an index is out of range or there are not three numbers an index.
    pub fn augmented(&self, indices: &[usize], uniforms: &[f64]) -> Vec<f32> {
        assert_eq!(uniforms.len(), 3 * indices.len(), "three numbers an image");
        let [down, across] = self.offsets();
        let place = |u: f64, n: usize| ((u * n as f64) as usize).min(n - 1);
        let flips: Vec<bool> = uniforms.chunks_exact(3).map(|u| self.flip && u[0] < 0.5).collect();
        let at: Vec<[usize; 2]> = uniforms.chunks_exact(3).map(|u| [place(u[1], down), place(u[2], across)]).collect();
        self.to_unit_at(indices, Some(&flips), Some(&at))
    }

    /// The number in [−1, 1] that a level means. Levels above the highest are taken for the highest.
    pub fn value(&self, level: u8) -> f32 {
        let top = self.levels - 1;
        (2.0 * f64::from(u16::from(level).min(top)) / f64::from(top) - 1.0) as f32
    }

    /// The nearest level to a number; numbers outside [−1, 1] are clipped.
    pub fn level(&self, x: f32) -> u8 {
        level(x, self.levels)
    }

    /// Some of the images, in the order asked.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * self.channels * self.height * self.width);
        indices.iter().for_each(|&i| pixels.extend_from_slice(self.get(i)));
        let labels = self.labels.as_ref().map(|labels| indices.iter().map(|&i| labels[i]).collect());
        Self { pixels, labels, classes: self.classes.clone(), ..*self }
    }

    /// The set in two: every `every`-th image of its class (or of the whole, without classes) is held out, counted
    /// so that the first to go is number `every`; the rest is for training. The order is kept, and so is every class's
    /// share. `0` holds nothing out.
    pub fn hold_out(&self, every: usize) -> (Self, Self) {
        let mut seen = vec![0usize; self.classes.len().max(1)];
        let (mut train, mut held) = (Vec::new(), Vec::new());
        for i in 0..self.len() {
            let seen = &mut seen[self.label(i).unwrap_or(0) as usize];
            *seen += 1;
            if every > 0 && seen.is_multiple_of(every) { held.push(i) } else { train.push(i) }
        }
        (self.select(&train), self.select(&held))
    }

    /// The images in the middle of larger ones of side × side pixels, the rest filled with a colour, an odd pixel more
    /// at the bottom and right. Alpha of the margin is opaque.
    ///
    /// # Errors
    /// [`Error::Setting`] if the images are larger than that.
    pub fn padded(&self, side: usize, colour: [u8; 3]) -> Result<Self, Error> {
        let (height, width) = (self.height, self.width);
        if side < height || side < width {
            return Err(Error::setting(
                format!("`pad = {side}` is smaller than the images, which are {width} × {height} pixels"),
                format!("Padding only adds: say {} or more, or leave it out.", height.max(width)),
            ));
        }
        let fill = crate::pixels::in_channels(colour, self.channels);
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let mut pixels = Vec::with_capacity(self.len() * self.channels * side * side);
        for channel in 0..self.len() * self.channels {
            let start = pixels.len();
            pixels.resize(start + side * side, fill[channel % self.channels]);
            for (y, row) in
                self.pixels[channel * height * width..(channel + 1) * height * width].chunks_exact(width).enumerate()
            {
                let at = start + (top + y) * side + left;
                pixels[at..at + width].copy_from_slice(row);
            }
        }
        let (labels, classes) = (self.labels.clone(), self.classes.clone());
        Ok(Self { pixels, height: side, width: side, window: [side, side], labels, classes, ..*self })
    }
}

/// The byte of an 8-bit picture for a number in [−1, 1]: `(x + 1) · 127.5`, to nearest, clipped; 0 for NaN.
///
/// ```
/// assert_eq!([-1.0, 0.0, 1.0, 7.0].map(tweedie_data::byte), [0, 128, 255, 255]);
/// ```
pub fn byte(x: f32) -> u8 {
    level(x, 256)
}

fn level(x: f32, levels: u16) -> u8 {
    let top = f32::from(levels - 1);
    ((x + 1.0) * 0.5 * top).round().clamp(0.0, top) as u8
}

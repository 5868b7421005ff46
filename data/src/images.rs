//! Sets of images in memory.
use crate::{Columns, Error, Notes, limits::MAX_SIDE};

/// A decoded set of images of one size, in host memory.
///
/// Pixels are bytes in the order image, channel, row, column (NCHW). With K = `levels` levels, level v ∈ {0, …, K − 1}
/// stands for `x = 2 v / (K − 1) − 1 ∈ [−1, 1]`: `x = v / 127.5 − 1` for the 256 levels of ordinary pictures,
/// `x = v / 8 − 1` for the 17 levels of [`Digits`](crate::Digits). [`level`](Images::level) is the inverse.
///
/// Images can be stored larger than they are served, for random crops: a window of `window` pixels is cut from each, by
/// default from the middle ([`shape`](Images::shape), [`offsets`](Images::offsets)).
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Levels of the pixels, `[images, channels, height, width]`.
    pub pixels: Vec<u8>,
    /// Number of channels: 1 (gray), 3 (RGB) or 4 (RGBA).
    pub channels: usize,
    /// Height as stored, in pixels.
    pub height: usize,
    /// Width as stored, in pixels.
    pub width: usize,
    /// Height and width as served, in pixels.
    pub window: [usize; 2],
    /// Number of levels of a pixel, 2 to 256.
    pub levels: u16,
    /// One index into `classes` per image; `None` if the set has no classes.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Whether training mirrors half of the images left to right (horizontal flips).
    pub flip: bool,
    /// Columns beside the images.
    pub columns: Columns,
    /// What was left out of the set, or read in part.
    pub notes: Notes,
}

impl Images {
    /// A set of bytes, `[images, channels, height, width]`, of 256 levels and without labels.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if an image has no pixels, or the number of bytes is not a
    /// multiple of its size.
    pub fn new(pixels: Vec<u8>, [channels, height, width]: [usize; 3]) -> Result<Self, Error> {
        let each = channels * height * width;
        if each == 0 || !pixels.len().is_multiple_of(each) {
            return Err(Error::invalid(format!(
                "{} bytes are not a whole number of images of {channels} × {height} × {width} bytes",
                pixels.len()
            ))
            .with_remedy("give channels, height and width of one image, each 1 or more"));
        }
        let window = [height, width];
        let (labels, classes, columns, notes) = (None, Vec::new(), Columns::default(), Notes::default());
        Ok(Self { pixels, channels, height, width, window, levels: 256, labels, classes, flip: false, columns, notes })
    }

    /// The set with one label per image, each an index into `classes`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the number of labels is not the number of images, or a
    /// label is not an index into `classes`.
    pub fn with_labels(self, labels: Vec<u32>, classes: Vec<String>) -> Result<Self, Error> {
        if labels.len() != self.len() {
            let problem = format!("there are {} labels and {} images", labels.len(), self.len());
            return Err(Error::invalid(problem).with_remedy("give one label per image"));
        }
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes.len()) {
            let problem = format!("label {label} is not an index into the {} classes", classes.len());
            return Err(Error::invalid(problem).with_remedy("name every class; labels start at 0"));
        }
        Ok(Self { labels: Some(labels), classes, ..self })
    }

    /// The set quantized to fewer levels in equal bins: level v of n becomes ⌊v · levels / n⌋. `None` changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if there are fewer than 2 levels, or more than the set has.
    pub fn with_levels(mut self, levels: Option<u16>) -> Result<Self, Error> {
        let Some(levels) = levels else { return Ok(self) };
        if !(2..=self.levels).contains(&levels) {
            let problem =
                format!("must be from 2 to {}, the number of levels of the images, got {levels}", self.levels);
            return Err(Error::invalid(problem).with_field("levels").with_remedy("set 8, for example"));
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

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Channels, height and width of an image as served.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.window[0], self.window[1]]
    }

    /// Number of positions of the window, vertically and horizontally: `[1, 1]` if there are no random crops.
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

    /// The label of image `i`; `None` if the set has no classes.
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

    /// Images with values in [−1, 1], in the order of `indices`, from the middle window, mirrored left to right where
    /// `flips` is true.
    ///
    /// # Shapes
    /// `indices [n]`, `flips [n]` → `[n, channels, window height, window width]`.
    ///
    /// # Panics
    /// If an index is out of range or there is not one flip per index.
    pub fn to_unit(&self, indices: &[usize], flips: Option<&[bool]>) -> Vec<f32> {
        self.to_unit_at(indices, flips, None)
    }

    /// [`to_unit`](Images::to_unit) with the window's offset from the top and the left, below
    /// [`offsets`](Images::offsets).
    ///
    /// # Panics
    /// As `to_unit`, and if an offset is out of range.
    pub fn to_unit_at(&self, indices: &[usize], flips: Option<&[bool]>, at: Option<&[[usize; 2]]>) -> Vec<f32> {
        assert!(flips.is_none_or(|flips| flips.len() == indices.len()), "one flip per image");
        assert!(at.is_none_or(|at| at.len() == indices.len()), "one offset per image");
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

    /// Images with random flips and crops, from three uniform variates u ∈ [0, 1) per image: the image is mirrored if
    /// u₁ < 1/2 and the set has [`flip`](Images::flip); u₂ and u₃ place its window.
    ///
    /// # Shapes
    /// `indices [n]`, `uniforms [n, 3]` → `[n, channels, window height, window width]`.
    ///
    /// # Panics
    /// If an index is out of range or there are not three variates per index.
    pub fn augmented(&self, indices: &[usize], uniforms: &[f64]) -> Vec<f32> {
        assert_eq!(uniforms.len(), 3 * indices.len(), "three uniform variates per image");
        let [down, across] = self.offsets();
        let place = |u: f64, n: usize| ((u * n as f64) as usize).min(n - 1);
        let flips: Vec<bool> = uniforms.chunks_exact(3).map(|u| self.flip && u[0] < 0.5).collect();
        let at: Vec<[usize; 2]> = uniforms.chunks_exact(3).map(|u| [place(u[1], down), place(u[2], across)]).collect();
        self.to_unit_at(indices, Some(&flips), Some(&at))
    }

    /// The value in [−1, 1] of a level; levels above the highest count as the highest.
    pub fn value(&self, level: u8) -> f32 {
        let top = self.levels - 1;
        (2.0 * f64::from(u16::from(level).min(top)) / f64::from(top) - 1.0) as f32
    }

    /// The level nearest to a value; values outside [−1, 1] are clipped.
    pub fn level(&self, x: f32) -> u8 {
        level(x, self.levels)
    }

    /// The images of these indices, in this order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * self.channels * self.height * self.width);
        indices.iter().for_each(|&i| pixels.extend_from_slice(self.get(i)));
        let labels = self.labels.as_ref().map(|labels| indices.iter().map(|&i| labels[i]).collect());
        let columns = self.columns.select(indices);
        Self { pixels, labels, classes: self.classes.clone(), columns, notes: self.notes.clone(), ..*self }
    }

    /// The training part and the held-out part. Of each class (or of the whole set, if it has no classes) the images
    /// number `every`, 2 `every`, …, counted from 1, are held out; 0 holds out none. The order is kept.
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

    /// The images centered in images of side × side pixels of an opaque color; an odd pixel of the margin is at the
    /// bottom or right.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the images are larger than that.
    pub fn padded(&self, side: usize, color: [u8; 3]) -> Result<Self, Error> {
        let (height, width) = (self.height, self.width);
        if side > MAX_SIDE {
            let problem = format!("must be at most {MAX_SIDE} pixels, got {side}");
            return Err(Error::invalid(problem).with_field("pad").with_remedy("set 32 or 64, for example"));
        }
        if side < height || side < width {
            let problem = format!("must be at least the size of the images, {width} × {height} pixels, got {side}");
            let remedy = format!("set {} or more, or leave it out", height.max(width));
            return Err(Error::invalid(problem).with_field("pad").with_remedy(remedy));
        }
        let fill = crate::pixels::in_channels(color, self.channels);
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
        let (labels, classes, notes) = (self.labels.clone(), self.classes.clone(), self.notes.clone());
        let columns = self.columns.clone();
        Ok(Self { pixels, height: side, width: side, window: [side, side], labels, classes, columns, notes, ..*self })
    }
}

/// The byte of an 8-bit picture for a value in [−1, 1]: `(x + 1) · 127.5`, rounded and clipped; 0 for NaN.
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

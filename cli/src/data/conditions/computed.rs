//! Conditions that are computed from a sample itself: a smaller image, its gray, a part of it.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{Error, Result, Rng};

/// An image that is computed from the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Computed {
    /// The mean of blocks of `factor` × `factor` pixels: for super-resolution.
    Downscaled,
    /// The luma of a color image: for colorization.
    Gray,
    /// The image outside of a random rectangle, zeros inside, and a channel of ones inside: for in-painting.
    Masked,
}

/// The luma of Rec. 709, by which gray images are read too.
pub(super) fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

impl Computed {
    /// The shape of the condition of images of a shape.
    pub(crate) fn shape(self, factor: usize, shape: &[usize]) -> Result<Vec<usize>> {
        let &[channels, height, width] = shape else {
            return Err(
                Error::invalid("computes a condition from images, and these data are not images").with_field("of")
            );
        };
        match self {
            Self::Downscaled if factor < 2 => {
                Err(Error::invalid(format!("must be 2 or more, got {factor}")).with_field("factor"))
            }
            Self::Downscaled if height % factor > 0 || width % factor > 0 => {
                let problem = format!("must divide the images' size of {width} × {height} pixels, got {factor}");
                Err(Error::invalid(problem).with_field("factor"))
            }
            Self::Downscaled => Ok(vec![channels, height / factor, width / factor]),
            Self::Gray if channels != 3 => {
                let problem = format!("takes the luma of images of 3 channels, and these have {channels}");
                Err(Error::invalid(problem).with_field("of"))
            }
            Self::Gray => Ok(vec![1, height, width]),
            Self::Masked => Ok(vec![channels + 1, height, width]),
        }
    }

    /// The conditions of images `[rows, channels, height, width]`; the rectangle of row i depends on row i of `rng`.
    pub(crate) fn compute(self, factor: usize, images: &[f32], shape: [usize; 4], rng: &Rng) -> Vec<f32> {
        let [rows, channels, height, width] = shape;
        match self {
            Self::Downscaled => {
                let (h, w) = (height / factor, width / factor);
                let mut out = vec![0.0; rows * channels * h * w];
                for (image, out) in images.chunks(height * width).zip(out.chunks_mut(h * w)) {
                    for (y, row) in image.chunks(width).enumerate() {
                        for (x, value) in row.iter().enumerate() {
                            out[y / factor * w + x / factor] += value / (factor * factor) as f32;
                        }
                    }
                }
                out
            }
            Self::Gray => {
                let size = height * width;
                let pixel = |image: &[f32], i: usize| luma([0, 1, 2].map(|c| image[c * size + i]));
                images.chunks(3 * size).flat_map(|image| (0..size).map(move |i| pixel(image, i))).collect()
            }
            Self::Masked => {
                let uniforms = rng.stream("rectangle").uniforms(rows, 4);
                let size = height * width;
                let mut out = Vec::with_capacity(rows * (channels + 1) * size);
                for (image, u) in images.chunks(channels * size).zip(uniforms.chunks(4)) {
                    // Sides of a quarter to three quarters of the image's.
                    let side = |u: f64, side: usize| ((0.25 + 0.5 * u) * side as f64).round().max(1.0) as usize;
                    let (h, w) = (side(u[0], height), side(u[1], width));
                    let at = |u: f64, free: usize| ((u * (free + 1) as f64) as usize).min(free);
                    let (top, left) = (at(u[2], height - h), at(u[3], width - w));
                    let inside = |i: usize| {
                        let (y, x) = (i / width, i % width);
                        (top..top + h).contains(&y) && (left..left + w).contains(&x)
                    };
                    for channel in image.chunks(size) {
                        out.extend(channel.iter().enumerate().map(|(i, x)| if inside(i) { 0.0 } else { *x }));
                    }
                    out.extend((0..size).map(|i| if inside(i) { 1.0 } else { 0.0 }));
                }
                out
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_image_holds_the_means_of_blocks() {
        let image: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let small = Computed::Downscaled.compute(2, &image, [1, 1, 2, 4], &Rng::new(0));
        assert_eq!(small, [2.5, 4.5]);
        assert_eq!(Computed::Downscaled.shape(2, &[3, 28, 14]).unwrap(), [3, 14, 7]);
        assert!(Computed::Downscaled.shape(4, &[1, 28, 30]).unwrap_err().to_string().contains("30 × 28 pixels, got 4"));
    }

    #[test]
    fn gray_is_the_luma() {
        let image = [1.0, -1.0, 0.0, 0.0, 0.0, 1.0];
        let gray = Computed::Gray.compute(0, &image, [1, 3, 1, 2], &Rng::new(0));
        assert!((gray[0] - 0.2126).abs() < 1e-6 && (gray[1] + 0.2126 - 0.0722).abs() < 1e-6, "{gray:?}");
        assert!(Computed::Gray.shape(0, &[1, 2, 2]).is_err());
    }

    #[test]
    fn a_rectangle_is_left_out_and_marked_whatever_the_batch() {
        let image = vec![0.5; 2 * 64];
        let rng = Rng::new(3);
        let both = Computed::Masked.compute(0, &image, [2, 1, 8, 8], &rng);
        let second = Computed::Masked.compute(0, &image[64..], [1, 1, 8, 8], &rng.from_row(1));
        assert_eq!(both[128..], second[..]);
        assert_ne!(both[..128], both[128..]);
        for one in both.chunks(128) {
            let (part, mask) = one.split_at(64);
            let masked = mask.iter().filter(|x| **x == 1.0).count();
            assert!((4..=36).contains(&masked), "{masked}");
            assert!(part.iter().zip(mask).all(|(x, m)| *x == if *m == 1.0 { 0.0 } else { 0.5 }));
        }
    }
}

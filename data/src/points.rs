//! Points in the plane: toy distributions with known densities.
use crate::Error;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// A toy distribution of points in the plane.
///
/// Every shape is centered and scaled so that the mean of the variances of the two coordinates, noise included, is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Points {
    /// Shape that the points form. Default: "moons".
    pub shape: Shape,
    /// Standard deviation of the Gaussian noise around the shape, in [0, 1). Default: 0 for the checkerboard, 0.05 for
    /// the other shapes.
    pub noise: Option<f64>,
}

/// The shape that points form. Labels start at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Two interleaving half circles, which are the two classes.
    #[default]
    Moons,
    /// Two concentric circles of radii r and 2 r, which are the two classes.
    Rings,
    /// Two spiral arms of one and a half turns, which are the two classes.
    Spirals,
    /// Eight Gaussians on a circle, which are the eight classes, counterclockwise from the right.
    Gaussians,
    /// Eight squares of a 4 × 4 board, which are the eight classes, column by column.
    Checkerboard,
    /// A Swiss roll seen from the side, one spiral arm of one and a half turns; one class.
    Swissroll,
}

impl Shape {
    /// Number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Moons | Self::Rings | Self::Spirals => 2,
            Self::Gaussians | Self::Checkerboard => 8,
            Self::Swissroll => 1,
        }
    }

    /// The point of the shape without noise that two uniform variates on [0, 1) select, its label, and the center and
    /// the scale (square root of the mean variance) of the shape.
    fn at(self, u: f64, v: f64) -> ([f64; 2], u32, [f64; 2], f64) {
        // One variate gives the class and, by its remainder, a second variate.
        let pick = |n: u32| {
            let class = ((u * f64::from(n)) as u32).min(n - 1);
            (class, u * f64::from(n) - f64::from(class))
        };
        let polar = |radius: f64, angle: f64| [radius * angle.cos(), radius * angle.sin()];
        match self {
            Self::Moons => {
                let (class, _) = pick(2);
                let [x, y] = polar(1.0, PI * v);
                let point = if class == 0 { [x, y] } else { [1.0 - x, 0.5 - y] };
                let across = 0.5 + 0.25;
                let up = 0.5 - 4.0 / (PI * PI) + (2.0 / PI - 0.25).powi(2);
                (point, class, [0.5, 0.25], ((across + up) / 2.0).sqrt())
            }
            Self::Rings => {
                let (class, _) = pick(2);
                (polar(f64::from(class + 1), TAU * v), class, [0.0; 2], 1.25f64.sqrt())
            }
            Self::Spirals => {
                let (class, _) = pick(2);
                let angle = 3.0 * PI * v.sqrt();
                let [x, y] = polar(angle, angle);
                let sign = 1.0 - 2.0 * f64::from(class);
                ([sign * x, sign * y], class, [0.0; 2], 1.5 * PI)
            }
            Self::Gaussians => {
                let (class, _) = pick(8);
                (polar(1.0, TAU * f64::from(class) / 8.0), class, [0.0; 2], 0.5f64.sqrt())
            }
            Self::Checkerboard => {
                let (class, left) = pick(8);
                let (column, half) = (class / 2, class % 2);
                let point = [f64::from(column) + left - 2.0, f64::from(2 * half + column % 2) + v - 2.0];
                (point, class, [0.0; 2], (4.0f64 / 3.0).sqrt())
            }
            Self::Swissroll => {
                let angle = 1.5 * PI * (1.0 + 2.0 * v);
                let center = [2.0, 2.0 / (3.0 * PI)];
                let square = 9.75 * PI * PI - center[0] * center[0] - center[1] * center[1];
                (polar(angle, angle), 0, center, (square / 2.0).sqrt())
            }
        }
    }
}

impl Default for Points {
    fn default() -> Self {
        Self::new(Shape::default())
    }
}

impl Points {
    /// Number of uniform variates per point.
    pub const UNIFORMS: usize = 4;

    /// A shape with its default noise.
    pub fn new(shape: Shape) -> Self {
        Self { shape, noise: None }
    }

    /// Checks the noise.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if `noise` is not in [0, 1).
    pub fn check(&self) -> Result<(), Error> {
        match self.noise {
            Some(noise) if !(0.0..1.0).contains(&noise) => Err(Error::invalid(format!(
                "must be at least 0 and less than 1 (the standard deviation of the points as a whole is 1), \
                 got {noise}"
            ))
            .with_field("noise")
            .with_remedy("set 0.05, for example, or leave it out")),
            _ => Ok(()),
        }
    }

    /// The point, and its label, that four independent uniform variates on [0, 1) select.
    ///
    /// # Panics
    /// If `noise` is not in [0, 1), which [`check`](Points::check) reports as an error.
    ///
    /// ```
    /// use tweedie_data::{Points, Shape};
    /// let ([x, y], label) = Points::new(Shape::Gaussians).at([0.0, 0.5, 0.5, 0.5]);
    /// assert!(x > 1.0 && y.abs() < 0.2 && label == 0);
    /// ```
    pub fn at(&self, [u, v, a, b]: [f64; 4]) -> ([f64; 2], u32) {
        let noise = self.noise.unwrap_or(if self.shape == Shape::Checkerboard { 0.0 } else { 0.05 });
        assert!((0.0..1.0).contains(&noise), "`noise` must be in [0, 1), got {noise}");
        let (point, label, center, std) = self.shape.at(u, v);
        // Box–Muller transform; 1 − a is never 0.
        let radius = noise * (-2.0 * (1.0 - a).ln()).sqrt();
        let error = [radius * (TAU * b).cos(), radius * (TAU * b).sin()];
        let scale = (1.0 - noise * noise).sqrt() / std;
        ([0, 1].map(|i| (point[i] - center[i]) * scale + error[i]), label)
    }

    /// The point without noise, as seen from the center of the shape, that two of the variates of [`at`](Points::at) select:
    /// the cosine and the sine of its direction, and its distance.
    pub fn direction(&self, [u, v]: [f64; 2]) -> [f64; 3] {
        let noise = self.noise.unwrap_or(if self.shape == Shape::Checkerboard { 0.0 } else { 0.05 });
        let (point, _, center, std) = self.shape.at(u, v);
        let scale = (1.0 - noise * noise).sqrt() / std;
        let [x, y] = [0, 1].map(|i| (point[i] - center[i]) * scale);
        let radius = x.hypot(y);
        let unit = |x: f64| if radius > 0.0 { x / radius } else { 0.0 };
        [unit(x), unit(y), radius]
    }

    /// Points and labels, one per four uniform variates.
    ///
    /// # Shapes
    /// `uniforms [n, 4]` → points `[n, 2]`, labels `[n]`.
    ///
    /// # Panics
    /// If the number of variates is not a multiple of four, or `noise` is not in [0, 1).
    pub fn rows(&self, uniforms: &[f64]) -> (Vec<f32>, Vec<u32>) {
        assert!(uniforms.len().is_multiple_of(Self::UNIFORMS), "a point takes four uniform variates");
        let points = uniforms.chunks_exact(4).map(|u| self.at([u[0], u[1], u[2], u[3]]));
        let (mut rows, mut labels) = (Vec::with_capacity(uniforms.len() / 2), Vec::with_capacity(uniforms.len() / 4));
        for ([x, y], label) in points {
            rows.extend([x as f32, y as f32]);
            labels.push(label);
        }
        (rows, labels)
    }
}

//! Points in the plane: small sets whose distributions are known.
use crate::Error;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// A distribution of points in the plane.
///
/// Every shape is centred and scaled so that the mean of the two coordinates' variances is 1, the noise included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Points {
    /// What the points form.
    pub shape: Shape,
    /// Standard deviation of the Gaussian noise around it, in [0, 1); the shape's own if not given: 0 for the
    /// checkerboard, 0.05 for the others.
    pub noise: Option<f64>,
}

/// What points form. Labels count from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Two half circles that reach into each other; the label says which.
    #[default]
    Moons,
    /// Two circles, one of twice the other's radius; the label says which.
    Rings,
    /// Two arms that wind one and a half turns around the middle; the label says which.
    Spirals,
    /// Eight Gaussians on a circle, the label counting them from the right.
    Gaussians,
    /// Eight squares of a four by four board, the label counting them by columns.
    Checkerboard,
    /// One arm of one and a half turns, seen as a roll from the side; a single class.
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

    /// A point of the bare shape for two numbers uniform on [0, 1), its label, and by what the shape is centred (two
    /// coordinates) and scaled (the root of the mean variance).
    fn at(self, u: f64, v: f64) -> ([f64; 2], u32, [f64; 2], f64) {
        // One number gives the class and, by what is left of it, a second uniform.
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
                let centre = [2.0, 2.0 / (3.0 * PI)];
                let square = 9.75 * PI * PI - centre[0] * centre[0] - centre[1] * centre[1];
                (polar(angle, angle), 0, centre, (square / 2.0).sqrt())
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
    /// How many uniform numbers a point takes.
    pub const NUMBERS: usize = 4;

    /// A shape with its own noise.
    pub fn new(shape: Shape) -> Self {
        Self { shape, noise: None }
    }

    /// Refuses a noise that leaves no room for the shape.
    ///
    /// # Errors
    /// [`Error::Setting`] if `noise` is not in [0, 1).
    pub fn check(&self) -> Result<(), Error> {
        match self.noise {
            Some(noise) if !(0.0..1.0).contains(&noise) => Err(Error::setting(
                format!("`noise = {noise}` is not in [0, 1), and the points as a whole have variance 1"),
                "Say 0.05, or leave it out.",
            )),
            _ => Ok(()),
        }
    }

    /// The point, and its label, that four independent numbers uniform on [0, 1) stand for.
    ///
    /// # Panics
    /// If `noise` is not in [0, 1).
    ///
    /// ```
    /// use tweedie_data::{Points, Shape};
    /// let ([x, y], label) = Points::new(Shape::Gaussians).at([0.0, 0.5, 0.5, 0.5]);
    /// assert!(x > 1.0 && y.abs() < 0.2 && label == 0);
    /// ```
    pub fn at(&self, [u, v, a, b]: [f64; 4]) -> ([f64; 2], u32) {
        let noise = self.noise.unwrap_or(if self.shape == Shape::Checkerboard { 0.0 } else { 0.05 });
        assert!((0.0..1.0).contains(&noise), "the noise of points is in [0, 1), not {noise}");
        let (point, label, centre, spread) = self.shape.at(u, v);
        // Box and Muller; 1 − a is never 0.
        let radius = noise * (-2.0 * (1.0 - a).ln()).sqrt();
        let error = [radius * (TAU * b).cos(), radius * (TAU * b).sin()];
        let scale = (1.0 - noise * noise).sqrt() / spread;
        ([0, 1].map(|i| (point[i] - centre[i]) * scale + error[i]), label)
    }

    /// Points and labels, one for every four of the numbers.
    ///
    /// # Shapes
    /// `uniforms [n, 4]` → points `[n, 2]`, labels `[n]`.
    ///
    /// # Panics
    /// If the count of numbers is not a multiple of four or `noise` is not in [0, 1).
    pub fn rows(&self, uniforms: &[f64]) -> (Vec<f32>, Vec<u32>) {
        assert!(uniforms.len().is_multiple_of(Self::NUMBERS), "a point takes four numbers");
        let points = uniforms.chunks_exact(4).map(|u| self.at([u[0], u[1], u[2], u[3]]));
        let (mut rows, mut labels) = (Vec::with_capacity(uniforms.len() / 2), Vec::with_capacity(uniforms.len() / 4));
        for ([x, y], label) in points {
            rows.extend([x as f32, y as f32]);
            labels.push(label);
        }
        (rows, labels)
    }
}

//! Volumes of a known law: a ball of random radius at a random place.
use crate::{Error, Law};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A ball in a cube of voxels, of radius uniform on [`min_radius`, `max_radius`] and a center uniform where the ball fits.
///
/// Values are −1 outside and 1 inside, with a linear edge of one voxel: at distance d from the center
/// `2 clamp(r − d + ½, 0, 1) − 1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spheres {
    /// Voxels on each side of the cube. Default: 8.
    pub side: usize,
    /// Smallest radius, in voxels. Default: 1.5.
    pub min_radius: f64,
    /// Largest radius, in voxels; with the edge it must fit into the cube. Default: 3.
    pub max_radius: f64,
}
impl Default for Spheres {
    fn default() -> Self {
        Self { side: 8, min_radius: 1.5, max_radius: 3.0 }
    }
}

/// Most voxels on a side.
const WIDEST: usize = 256;
/// Bins of the histogram of radii, from the smallest to the largest radius; there is one more on each side.
const BINS: usize = 10;

impl Spheres {
    /// Number of uniform variates per volume: the radius and the center.
    pub const UNIFORMS: usize = 4;

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the setting that is not allowed.
    pub fn check(&self) -> Result<(), Error> {
        let Self { side, min_radius, max_radius } = *self;
        let wrong = |field: &'static str, problem: String, remedy: &'static str| {
            Err(Error::invalid(problem).with_field(field).with_remedy(remedy))
        };
        if !(4..=WIDEST).contains(&side) {
            return wrong("side", format!("must be 4 to {WIDEST} voxels, got {side}"), "set 8 or 12, for example");
        }
        if !(min_radius >= 0.5 && min_radius <= max_radius) {
            let problem = format!("must be a number from 0.5 to `max_radius`, which is {max_radius}, got {min_radius}");
            return wrong("min_radius", problem, "set 2, for example");
        }
        let most = 0.5 * side as f64 - 0.5;
        if max_radius > most {
            let problem = format!(
                "must be at most {most}, so that the ball and its edge fit into {side} voxels, got {max_radius}"
            );
            return wrong("max_radius", problem, "set a smaller one, or a larger `side`");
        }
        Ok(())
    }

    /// The radius that the first uniform variate of a volume selects, in voxels.
    pub fn radius(&self, uniforms: &[f64]) -> f64 {
        self.min_radius + (self.max_radius - self.min_radius) * uniforms[0]
    }

    /// The volume `[side, side, side]` that four independent uniform variates on [0, 1) select.
    ///
    /// ```
    /// use tweedie_data::Spheres;
    /// let volume = Spheres::default().volume([0.0, 0.5, 0.5, 0.5]);
    /// assert_eq!((volume.len(), volume[0]), (8 * 8 * 8, -1.0));
    /// ```
    pub fn volume(&self, uniforms: [f64; Self::UNIFORMS]) -> Vec<f32> {
        let (radius, side) = (self.radius(&uniforms), self.side as f64);
        let low = radius + 0.5;
        let center = [1, 2, 3].map(|i| low + (side - 2.0 * low) * uniforms[i]);
        let square = |i: usize, axis: usize| (i as f64 + 0.5 - center[axis]).powi(2);
        let mut values = Vec::with_capacity(self.side.pow(3));
        for z in 0..self.side {
            for y in 0..self.side {
                for x in 0..self.side {
                    let distance = (square(z, 0) + square(y, 1) + square(x, 2)).sqrt();
                    values.push((2.0 * (radius - distance + 0.5).clamp(0.0, 1.0) - 1.0) as f32);
                }
            }
        }
        values
    }

    /// The radius of the ball of the same content: of `V = Σ (x + 1)/2 = (π/3) (4 r³ + r)`, the integral over the ball and its edge.
    pub fn measured_radius(volume: &[f32]) -> f64 {
        let content: f64 = volume.iter().map(|x| 0.5 * (f64::from(*x) + 1.0)).sum::<f64>().max(0.0);
        // Newton's method from above, where the cubic is convex.
        let mut r = (0.75 * content / PI).cbrt();
        for _ in 0..50 {
            r -= (PI / 3.0 * (4.0 * r.powi(3) + r) - content) / (PI / 3.0 * (12.0 * r * r + 1.0));
        }
        r
    }

    /// The histogram of measured radii, with the probability of each bin.
    pub fn law(&self) -> Law {
        let (low, high) = (self.min_radius, self.max_radius);
        // A radius that is always the same is alone in the middle bin.
        let width = ((high - low) / BINS as f64).max(0.02 / BINS as f64);
        let first = 0.5 * (low + high) - 0.5 * BINS as f64 * width;
        let centers: Vec<f64> = (0..BINS + 2).map(|bin| first + (bin as f64 - 0.5) * width).collect();
        let mut expected = vec![1.0 / BINS as f64; BINS + 2];
        (expected[0], expected[BINS + 1]) = (0.0, 0.0);
        let measure = move |volume: &[f32]| {
            let bin = ((Self::measured_radius(volume) - first) / width + 1.0).floor();
            let mut bins = vec![0.0; BINS + 2];
            bins[bin.clamp(0.0, (BINS + 1) as f64) as usize] = 1.0;
            bins
        };
        Law::new("radii", ["radius in voxels", "share"], centers, measure).expecting(expected)
    }
}

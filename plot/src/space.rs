//! Looking at a box: parallel projection of three dimensions.

/// Where the eye is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Turn about the vertical, in radians.
    pub azimuth: f64,
    /// Above the horizon, in radians.
    pub elevation: f64,
}

impl View {
    /// What a picture is first seen from; the walls at low x and high y are then at the back.
    pub const START: Self = Self { azimuth: 0.62, elevation: 0.42 };
}

/// How high the box is, where width and depth are 1.
const TALL: f64 = 0.7;

/// From data to the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// The eye.
    pub view: View,
    /// Ranges of x, y and z.
    pub ranges: [[f64; 2]; 3],
    /// Where the middle of the box is drawn.
    pub centre: [f64; 2],
    /// Pixels to the unit.
    pub scale: f64,
}

impl Projection {
    /// A box that fits into a rectangle `[x, y, width, height]` with room for its labels, however it is turned.
    pub fn fit(ranges: [[f64; 2]; 3], view: View, [x, y, width, height]: [f64; 4]) -> Self {
        let tall = TALL * view.elevation.cos() + std::f64::consts::SQRT_2 * view.elevation.sin().abs();
        let scale = (width / 1.72).min(height / (tall + 0.22));
        Self { view, ranges, centre: [x + width / 2.0, y + height * 0.475], scale }
    }

    /// The point on the page and how far away it is.
    pub fn at(&self, point: [f64; 3]) -> ([f64; 2], f64) {
        let unit = |i: usize| (point[i] - self.ranges[i][0]) / (self.ranges[i][1] - self.ranges[i][0]) - 0.5;
        let (page, depth) = self.turn([unit(0), unit(1), unit(2) * TALL]);
        ([self.centre[0] + page[0] * self.scale, self.centre[1] - page[1] * self.scale], depth)
    }

    /// Right and up on the page, and away from the eye.
    fn turn(&self, [u, v, w]: [f64; 3]) -> ([f64; 2], f64) {
        let ((sin, cos), (up, flat)) = (self.view.azimuth.sin_cos(), self.view.elevation.sin_cos());
        let (right, away) = (u * cos + v * sin, v * cos - u * sin);
        ([right, w * flat + away * up], away * flat - w * up)
    }

    /// The ends of the ranges that are at the back: of x, of y and of z.
    pub fn back(&self) -> [f64; 3] {
        let (sin, cos) = self.view.azimuth.sin_cos();
        let pick = |i: usize, far_is_high: bool| self.ranges[i][usize::from(far_is_high)];
        [pick(0, -sin > 0.0), pick(1, cos > 0.0), pick(2, self.view.elevation < 0.0)]
    }

    /// The end of a range that is not this one.
    pub fn other(&self, axis: usize, end: f64) -> f64 {
        let [low, high] = self.ranges[axis];
        if end == low { high } else { low }
    }

    /// How bright a facet is: most where it faces the light, which comes from above and left of the eye.
    pub fn light(&self, corners: [[f64; 3]; 3]) -> f64 {
        let unit = |p: [f64; 3]| -> [f64; 3] {
            let scaled = |i: usize| (p[i] - self.ranges[i][0]) / (self.ranges[i][1] - self.ranges[i][0]);
            [scaled(0), scaled(1), scaled(2) * TALL]
        };
        let [a, b, c] = corners.map(unit);
        let edge = |p: [f64; 3]| [p[0] - a[0], p[1] - a[1], p[2] - a[2]];
        let (p, q) = (edge(b), edge(c));
        let normal = [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
        let long = normal.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-300);
        let up = if normal[2] < 0.0 { -1.0 } else { 1.0 };
        let toward = (-0.45 * normal[0] - 0.35 * normal[1] + 0.82 * normal[2]) * up / long;
        0.72 + 0.36 * toward.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_is_nearer_and_higher_is_higher() {
        let ranges = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]];
        for (azimuth, elevation) in [(0.62, 0.42), (2.0, 0.1), (-1.2, 1.4), (4.0, 0.8)] {
            let p = Projection::fit(ranges, View { azimuth, elevation }, [0.0, 0.0, 400.0, 300.0]);
            let back = p.back();
            for axis in 0..2 {
                let mut near = back;
                near[axis] = p.other(axis, back[axis]);
                assert!(p.at(near).1 < p.at(back).1, "the back wall is farther");
            }
            assert!(p.at([0.3, 0.4, 1.0]).0[1] < p.at([0.3, 0.4, 0.0]).0[1], "up is up");
            assert!(p.at([0.5, 0.5, 1.0]).1 < p.at([0.5, 0.5, 0.0]).1, "seen from above");
            for corner in 0..8 {
                let point = [corner & 1, corner >> 1 & 1, corner >> 2].map(f64::from);
                let [x, y] = p.at(point).0;
                assert!((0.0..=400.0).contains(&x) && (0.0..=300.0).contains(&y), "inside: {x} {y}");
            }
        }
    }
}

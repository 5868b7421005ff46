//! Parallel projection of a box in three dimensions.

/// The direction of view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Rotation about the vertical axis, in radians.
    pub azimuth: f64,
    /// Elevation above the horizontal plane, in radians.
    pub elevation: f64,
}

impl View {
    /// The initial view, in which the walls at low x and high y are at the back.
    pub const START: Self = Self { azimuth: 0.62, elevation: 0.42 };
}

/// The height of the box; its width and depth are 1.
const TALL: f64 = 0.7;

/// The map from data to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// Direction of view.
    pub view: View,
    /// Ranges of x, y and z.
    pub ranges: [[f64; 2]; 3],
    /// Pixel of the middle of the box.
    pub center: [f64; 2],
    /// Pixels per unit.
    pub scale: f64,
}

impl Projection {
    /// A box that fits, however it is rotated, into the rectangle `[x, y, width, height]`, with `side` pixels for the
    /// labels at its left and at its right, and room for those below it.
    pub fn fit(ranges: [[f64; 2]; 3], view: View, [x, y, width, height]: [f64; 4], side: f64) -> Self {
        let tall = TALL * view.elevation.cos() + std::f64::consts::SQRT_2 * view.elevation.sin().abs();
        let (above, below) = (10.0, 46.0);
        // The floor is √2 wide seen along its diagonal.
        let scale = ((width - 2.0 * side) / 1.45).min((height - above - below) / tall).max(1.0);
        let middle = y + above + (height - above - below) / 2.0;
        Self { view, ranges, center: [x + width / 2.0, middle], scale }
    }

    /// The pixel of a point and its depth, which grows away from the viewer.
    pub fn at(&self, point: [f64; 3]) -> ([f64; 2], f64) {
        let unit = |i: usize| (point[i] - self.ranges[i][0]) / (self.ranges[i][1] - self.ranges[i][0]) - 0.5;
        let (page, depth) = self.rotate([unit(0), unit(1), unit(2) * TALL]);
        ([self.center[0] + page[0] * self.scale, self.center[1] - page[1] * self.scale], depth)
    }

    /// Coordinates to the right, upward, and away from the viewer.
    fn rotate(&self, [u, v, w]: [f64; 3]) -> ([f64; 2], f64) {
        let ((sin, cos), (up, flat)) = (self.view.azimuth.sin_cos(), self.view.elevation.sin_cos());
        let (right, away) = (u * cos + v * sin, v * cos - u * sin);
        ([right, w * flat + away * up], away * flat - w * up)
    }

    /// The ends of the ranges of x, y and z at which the back walls stand.
    pub fn back(&self) -> [f64; 3] {
        let (sin, cos) = self.view.azimuth.sin_cos();
        let pick = |i: usize, far_is_high: bool| self.ranges[i][usize::from(far_is_high)];
        [pick(0, -sin > 0.0), pick(1, cos > 0.0), pick(2, self.view.elevation < 0.0)]
    }

    /// The other end of the range of an axis.
    pub fn other(&self, axis: usize, end: f64) -> f64 {
        let [low, high] = self.ranges[axis];
        if end == low { high } else { low }
    }

    /// The brightness of a facet, ambient plus Lambertian, for light from above and to the left of the viewer.
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
    fn depth_and_height_are_in_the_right_order_and_the_box_fits() {
        let ranges = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]];
        for (azimuth, elevation) in [(0.62, 0.42), (2.0, 0.1), (-1.2, 1.4), (4.0, 0.8)] {
            let p = Projection::fit(ranges, View { azimuth, elevation }, [0.0, 0.0, 400.0, 300.0], 40.0);
            let back = p.back();
            for axis in 0..2 {
                let mut near = back;
                near[axis] = p.other(axis, back[axis]);
                assert!(p.at(near).1 < p.at(back).1, "the back wall is behind");
            }
            assert!(p.at([0.3, 0.4, 1.0]).0[1] < p.at([0.3, 0.4, 0.0]).0[1], "z points upward");
            assert!(p.at([0.5, 0.5, 1.0]).1 < p.at([0.5, 0.5, 0.0]).1, "the view is from above");
            for corner in 0..8 {
                let point = [corner & 1, corner >> 1 & 1, corner >> 2].map(f64::from);
                let [x, y] = p.at(point).0;
                assert!((40.0..=360.0).contains(&x) && (10.0..=254.0).contains(&y), "outside: {x} {y}");
            }
        }
    }
}

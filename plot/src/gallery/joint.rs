//! Joint densities of two variables.
use super::numeric::{Function, grid};
use crate::{Axis, Color, Figure, Mark, Panel};

/// A joint density of two variables.
pub struct Joint<'a> {
    /// Name.
    pub label: String,
    /// Mean.
    pub mean: [f64; 2],
    /// Standard deviation of each coordinate, which determines the range drawn.
    pub std: [f64; 2],
    /// Density.
    pub density: &'a dyn Fn(f64, f64) -> f64,
    /// Marginal densities of x₁ and x₂.
    pub marginals: [Function<'a>; 2],
    /// Samples, `[n, 2]`.
    pub sample: &'a [f64],
}

impl Joint<'_> {
    /// The range of a coordinate that is drawn.
    pub(super) fn range(&self, axis: usize) -> [f64; 2] {
        [self.mean[axis] - 3.2 * self.std[axis], self.mean[axis] + 3.2 * self.std[axis]]
    }

    /// The density on a grid of n × n points: x₁, x₂ and the values `[x₂, x₁]`.
    pub(super) fn over(&self, n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let [x, y] = [0, 1].map(|axis| grid(self.range(axis)[0], self.range(axis)[1], n));
        let z = y.iter().flat_map(|&y| x.iter().map(move |&x| (x, y))).map(|(x, y)| (self.density)(x, y)).collect();
        (x, y, z)
    }

    fn axis(&self, axis: usize) -> Axis {
        let [low, high] = self.range(axis);
        Axis::new(["x₁", "x₂"][axis]).range(low, high)
    }

    /// The number of grid points for a crest as thin as that of this density: `n`, or more if the density at the mean is
    /// much higher than that of independent coordinates.
    fn fine(&self, n: usize) -> usize {
        let [a, b] = self.mean;
        let thin = (self.density)(a, b) / ((self.marginals[0])(a) * (self.marginals[1])(b));
        let more = if thin.is_finite() { (thin / 2.5).sqrt().clamp(1.0, 2.5) } else { 1.0 };
        ((n as f64 * more) as usize).min(161)
    }

    /// The density as a surface; with `walls`, the marginal densities, scaled to its height, are on the back walls.
    fn surface(&self, title: &str, n: usize, walls: bool) -> Panel {
        let n = self.fine(n);
        let (x, y, z) = self.over(n);
        let top = z.iter().copied().fold(0.0, f64::max);
        let mut panel = Panel::space(title, self.axis(0), self.axis(1), Axis::new("p(x₁, x₂)").range(0.0, 1.1 * top));
        if walls {
            let [first, second] = [&x, &y].map(Vec::clone);
            let scaled = |axis: usize, at: &[f64]| -> Vec<f64> {
                let p: Vec<f64> = at.iter().map(|&v| (self.marginals[axis])(v)).collect();
                let most = p.iter().copied().fold(0.0, f64::max);
                p.iter().map(|p| p / most * top).collect()
            };
            let (on_first, on_second) = (scaled(0, &first), scaled(1, &second));
            let (far, near) = (vec![self.range(1)[1]; n], vec![self.range(0)[0]; n]);
            panel = panel
                .mark(Mark::curve(first, far, on_first).floor(0.0).name("p(x₁), scaled").series(1).width(2.5))
                .mark(Mark::curve(near, second, on_second).floor(0.0).name("p(x₂), scaled").series(3).width(2.5));
        }
        panel.mark(Mark::surface(x, y, z).unlisted().name("density"))
    }

    /// The samples as dots, with lines through the mean.
    fn scatter(&self, title: &str) -> Panel {
        let (x, y): (Vec<f64>, Vec<f64>) = self.sample.chunks_exact(2).map(|p| (p[0], p[1])).unzip();
        // All samples are within the axes.
        let axis = |axis: usize, own: &[f64]| {
            let [low, high] = self.range(axis);
            let margin = 0.03 * (high - low);
            let fold = |f: fn(f64, f64) -> f64, end: f64, by: f64| own.iter().map(|v| v + by).fold(end, f);
            self.axis(axis).range(fold(f64::min, low, -margin), fold(f64::max, high, margin))
        };
        Panel::plane(title, axis(0, &x), axis(1, &y))
            .equal()
            .mark(Mark::points(x, y).name("samples").unlisted().opacity(0.4).width(3.5))
            .mark(Mark::vertical(self.mean[0]).name("mean").color(Color::Ink))
            .mark(Mark::horizontal(self.mean[1]).name("mean").color(Color::Ink))
    }
}

/// The density as a surface that can be rotated, with the marginal densities on the walls.
///
/// The marginals are scaled to the height of the surface, because their unit is another.
pub fn joint_surface(joint: &Joint<'_>) -> Figure {
    let panel = joint.surface("", 81, true).aspect(0.66);
    Figure::new(format!("{} and its marginals", joint.label), 1).panel(panel)
}

/// Densities side by side, as surfaces above and as samples below.
pub fn covariances(joints: &[Joint<'_>]) -> Figure {
    let figure = Figure::new("Negative, zero and positive covariance", joints.len());
    let figure = joints.iter().map(|j| j.surface(&j.label, 65, false).aspect(0.78)).fold(figure, Figure::panel);
    joints.iter().map(|j| j.scatter("")).fold(figure, Figure::panel)
}

/// One density as samples and as a surface.
pub fn isotropic(joint: &Joint<'_>) -> Figure {
    let title = format!("{}: the same in all directions", joint.label);
    Figure::new(title, 2).panel(joint.scatter("Samples")).panel(joint.surface("Density", 65, false).aspect(1.0))
}

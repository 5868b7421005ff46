//! Convolutions of two densities.
use super::numeric::{Function, grid};
use crate::{Axis, Color, Figure, Mark, Panel};

/// A density and the range in which it is not negligible.
pub struct Term<'a> {
    /// Name in the legend.
    pub label: String,
    /// Range drawn.
    pub range: [f64; 2],
    /// Density.
    pub density: Function<'a>,
}

/// Two densities, the exact density of the sum, its convolution computed on a grid, and the difference of the last two;
/// `report` is the title of the difference.
pub fn convolution(terms: [&Term<'_>; 2], sum: &Term<'_>, points: &[f64], numeric: &[f64], report: &str) -> Figure {
    let ends = |f: fn(f64, f64) -> f64, i: usize| f(f(terms[0].range[i], terms[1].range[i]), sum.range[i]);
    let [low, high] = [ends(f64::min, 0), ends(f64::max, 1)];
    let x = grid(low, high, 501);
    let of = |term: &Term<'_>| x.iter().map(|&x| (term.density)(x)).collect::<Vec<_>>();
    let mut panel = Panel::plane("", Axis::new("x").range(low, high), "density").aspect(0.42);
    for (i, term) in terms.into_iter().enumerate() {
        let y = of(term);
        panel = panel
            .mark(Mark::area(x.clone(), vec![0.0; x.len()], y.clone()).series(i).opacity(0.18))
            .mark(Mark::line(x.clone(), y).series(i).name(&term.label));
    }
    panel = panel.mark(Mark::line(x.clone(), of(sum)).name(&sum.label).series(2).width(5.0).opacity(0.45));
    // Sparse dots, between which the line is visible.
    let inside = |x: &f64| *x >= low && *x <= high;
    let shown: Vec<usize> = (0..points.len()).filter(|&i| inside(&points[i])).collect();
    let stride = (shown.len() / 60).max(1);
    let (px, py): (Vec<f64>, Vec<f64>) = shown.iter().step_by(stride).map(|&i| (points[i], numeric[i])).unzip();
    panel = panel.mark(Mark::points(px, py).name("convolution on the grid").color(Color::Ink).width(4.0).opacity(1.0));
    let floor = f64::EPSILON / 64.0;
    let (ex, ey): (Vec<f64>, Vec<f64>) =
        shown.iter().map(|&i| (points[i], (numeric[i] - (sum.density)(points[i])).abs().max(floor))).unzip();
    let error = Panel::plane(report, Axis::new("x").range(low, high), Axis::new("|error|").log())
        .aspect(0.2)
        .mark(Mark::line(ex, ey).series(1).width(1.2).name("|error|").unlisted());
    Figure::new("The density of a sum is the convolution of the densities", 1).panel(panel).panel(error)
}

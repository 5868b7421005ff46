use super::{Function, grid};
use crate::{Axis, Colour, Figure, Mark, Panel};

/// A density and the range where it is not nearly zero.
pub struct Term<'a> {
    /// In the legend.
    pub label: String,
    /// Where it is drawn.
    pub range: [f64; 2],
    /// The density.
    pub density: Function<'a>,
}

/// Two densities, the density of the sum, the convolution computed on a grid on top of it, and how far they differ,
/// under the words of a report.
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
    // Dots, sparse enough to see the line beneath.
    let inside = |x: &f64| *x >= low && *x <= high;
    let shown: Vec<usize> = (0..points.len()).filter(|&i| inside(&points[i])).collect();
    let stride = (shown.len() / 60).max(1);
    let (px, py): (Vec<f64>, Vec<f64>) = shown.iter().step_by(stride).map(|&i| (points[i], numeric[i])).unzip();
    panel =
        panel.mark(Mark::points(px, py).name("convolution on the grid").colour(Colour::Ink).width(4.0).opacity(1.0));
    let floor = f64::EPSILON / 64.0;
    let (ex, ey): (Vec<f64>, Vec<f64>) =
        shown.iter().map(|&i| (points[i], (numeric[i] - (sum.density)(points[i])).abs().max(floor))).unzip();
    let error = Panel::plane(report, Axis::new("x").range(low, high), Axis::new("|error|").log())
        .aspect(0.2)
        .mark(Mark::line(ex, ey).series(1).width(1.2).name("|error|").unlisted());
    Figure::new("The density of a sum is the convolution of the densities", 1).panel(panel).panel(error)
}

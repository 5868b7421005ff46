//! Densities of one variable.
use super::numeric::{Function, grid, round};
use crate::{Color, Figure, Mark, Panel};

/// A density of one variable.
pub struct Curve<'a> {
    /// Name in the legend.
    pub label: String,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, which determines the range drawn.
    pub std: f64,
    /// Density.
    pub density: Function<'a>,
}

/// A density with its mean, and the area from `low` to `high` shaded and labeled with its probability.
pub fn univariate(curve: &Curve<'_>, [low, high]: [f64; 2], probability: f64) -> Figure {
    let x = grid(curve.mean - 4.0 * curve.std, curve.mean + 4.0 * curve.std, 321);
    let y: Vec<f64> = x.iter().map(|&x| (curve.density)(x)).collect();
    let inside = grid(low, high, 161);
    let top: Vec<f64> = inside.iter().map(|&x| (curve.density)(x)).collect();
    let shaded = format!("P({} ≤ x ≤ {}) = {probability:.4}", round(low, curve.std), round(high, curve.std));
    let panel = Panel::plane("", "x", "p(x)")
        .aspect(0.5)
        .mark(Mark::area(inside, vec![0.0; 161], top).name(shaded).series(1).opacity(0.35))
        .mark(Mark::line(x, y).name(&curve.label).width(2.5))
        .mark(Mark::vertical(curve.mean).name(format!("mean {}", round(curve.mean, curve.std))).color(Color::Ink));
    Figure::new("Density, mean and probability of an interval", 1).panel(panel)
}

/// Families of densities: one panel per family, its curves over a common axis.
pub fn families(families: &[(&str, Vec<Curve<'_>>)]) -> Figure {
    let panel = |(title, curves): &(&str, Vec<Curve<'_>>)| {
        let low = curves.iter().map(|c| c.mean - 3.5 * c.std).fold(f64::INFINITY, f64::min);
        let high = curves.iter().map(|c| c.mean + 3.5 * c.std).fold(f64::NEG_INFINITY, f64::max);
        let x = grid(low, high, 401);
        let mut panel = Panel::plane(*title, "x", "p(x)");
        for (i, curve) in curves.iter().enumerate() {
            let y: Vec<f64> = x.iter().map(|&x| (curve.density)(x)).collect();
            panel = panel
                .mark(Mark::area(x.clone(), vec![0.0; x.len()], y.clone()).series(i).opacity(0.12))
                .mark(Mark::line(x.clone(), y).name(&curve.label).series(i));
        }
        panel
    };
    let figure = Figure::new("Families of densities", families.len());
    families.iter().map(panel).fold(figure, Figure::panel)
}

use super::{Function, grid};
use crate::{Figure, Mark, Panel};

/// A density of one number and what it is called.
pub struct Curve<'a> {
    /// In the legend.
    pub label: String,
    /// Where its dashed line stands.
    pub mean: f64,
    /// How far around the mean it is drawn.
    pub std: f64,
    /// The density.
    pub density: Function<'a>,
}

/// One density with its mean, and the area from `low` to `high` shaded and named by its probability.
pub fn univariate(curve: &Curve<'_>, [low, high]: [f64; 2], probability: f64) -> Figure {
    let x = grid(curve.mean - 4.0 * curve.std, curve.mean + 4.0 * curve.std, 321);
    let y: Vec<f64> = x.iter().map(|&x| (curve.density)(x)).collect();
    let inside = grid(low, high, 161);
    let top: Vec<f64> = inside.iter().map(|&x| (curve.density)(x)).collect();
    let shaded = format!("P({} ≤ x ≤ {}) = {probability:.4}", round(low), round(high));
    let panel = Panel::plane("", "x", "p(x)")
        .aspect(0.5)
        .mark(Mark::area(inside, vec![0.0; 161], top).name(shaded).series(1).opacity(0.35))
        .mark(Mark::line(x, y).name(&curve.label).width(2.5))
        .mark(Mark::vertical(curve.mean).name(format!("mean {}", round(curve.mean))).colour(crate::Colour::Ink));
    Figure::new("One density: mean and probability", 1).panel(panel)
}

/// Families side by side: one panel for each, its curves over a common axis.
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
    let figure = Figure::new("Families", families.len());
    families.iter().map(panel).fold(figure, Figure::panel)
}

/// A number as it is read in a legend.
pub(super) fn round(v: f64) -> String {
    let text = format!("{v:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

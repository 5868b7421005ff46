//! Conditional densities of two variables.
use super::joint::Joint;
use super::numeric::{Function, grid, round};
use crate::{Anchor, Axis, Color, Figure, Mark, Panel};

/// The conditional distribution of x₁ given x₂ = a.
pub struct Conditional<'a> {
    /// The value a of x₂.
    pub a: f64,
    /// Conditional mean, by formula.
    pub mean: f64,
    /// Conditional variance, by formula.
    pub variance: f64,
    /// Conditional density.
    pub density: Function<'a>,
}

/// Contours of a joint density with the line x₂ = a, the conditional density given x₂ = a, and its mean and variance by
/// formula and by integration of the joint density along the line, with a slider over a.
pub fn conditional(joint: &Joint<'_>, given: &[Conditional<'_>]) -> Figure {
    let (x, y, z) = joint.over(81);
    let [low, high] = joint.range(0);
    let axis = |axis: usize, name: &str| Axis::new(name).range(joint.range(axis)[0], joint.range(axis)[1]);
    let mut plane = Panel::plane("Joint density and the line x₂ = a", axis(0, "x₁"), axis(1, "x₂"))
        .aspect(0.9)
        .mark(Mark::contours(x.clone(), y, z, 8).color(Color::Scale(0.5)).name("joint density").unlisted());
    let along = grid(low, high, 241);
    let alone: Vec<f64> = along.iter().map(|&x| (joint.marginals[0])(x)).collect();
    let mut slice = Panel::plane("Density of x₁ given x₂ = a", axis(0, "x₁"), "density")
        .aspect(0.9)
        .mark(Mark::line(along.clone(), alone).name("p(x₁)").color(Color::Muted).dashed());
    let peak = given.iter().map(|g| (g.density)(g.mean)).fold(0.0, f64::max);
    slice.y = slice.y.range(0.0, 1.3 * peak);
    let a: Vec<f64> = given.iter().map(|g| g.a).collect();
    let means: Vec<f64> = given.iter().map(|g| g.mean).collect();
    let bound = |side: f64| given.iter().map(|g| g.mean + side * g.variance.sqrt()).collect::<Vec<_>>();
    let mut moments =
        Panel::plane("Mean and standard deviation of x₁ given x₂ = a", "a", Axis::new("x₁").range(low, high))
            .aspect(0.9)
            .mark(Mark::area(a.clone(), bound(-1.0), bound(1.0)).name("mean ± std by formula").series(0))
            .mark(Mark::line(a.clone(), means).name("mean by formula").series(0));
    for (frame, given) in given.iter().enumerate() {
        let curve: Vec<f64> = along.iter().map(|&x| (given.density)(x)).collect();
        let (mean, variance) = by_integration(joint, given.a);
        let unit = joint.std[0];
        let name = "p(x₁ | x₂ = a)";
        plane = plane
            .mark(Mark::horizontal(given.a).solid().series(1).name("x₂ = a").width(2.0).frame(frame))
            .mark(Mark::points([given.mean], [given.a]).series(1).width(9.0).opacity(1.0).name("mean").frame(frame));
        slice = slice
            .mark(Mark::area(along.clone(), vec![0.0; along.len()], curve.clone()).series(1).frame(frame))
            .mark(Mark::line(along.clone(), curve).series(1).name(name).width(2.5).frame(frame))
            .mark(
                Mark::line([given.mean; 2], [0.0, (given.density)(given.mean)])
                    .series(1)
                    .dashed()
                    .width(1.5)
                    .frame(frame),
            );
        let lines = [
            format!("mean {} by formula, {} by integration", round(given.mean, unit), round(mean, unit)),
            format!(
                "variance {} by formula, {} by integration",
                round(given.variance, unit * unit),
                round(variance, unit * unit)
            ),
        ];
        for (line, text) in lines.into_iter().enumerate() {
            let height = (1.24 - 0.075 * line as f64) * peak;
            slice = slice.mark(Mark::text(low + 0.02 * (high - low), height, text, Anchor::Start).frame(frame));
        }
        let std = variance.sqrt();
        let bar = Mark::line([given.a; 2], [mean - std, mean + std]).series(1).width(2.5).frame(frame);
        moments = moments.mark(bar).mark(
            Mark::points([given.a], [mean]).series(1).width(9.0).opacity(1.0).name("by integration").frame(frame),
        );
    }
    let values = given.iter().map(|g| round(g.a, joint.std[1])).collect();
    let start = given.len() * 3 / 4;
    let figure = Figure::new("Conditioning: a slice through the joint density", 3);
    figure.panel(plane).panel(slice).panel(moments).slider("a =", values, start)
}

/// Mean and variance of x₁ given x₂ = a, by integration of the joint density.
fn by_integration(joint: &Joint<'_>, a: f64) -> (f64, f64) {
    let reach = 9.0 * joint.std[0];
    let x = grid(joint.mean[0] - reach, joint.mean[0] + reach, 4001);
    let p: Vec<f64> = x.iter().map(|&x| (joint.density)(x, a)).collect();
    let mass: f64 = p.iter().sum();
    let mean = x.iter().zip(&p).map(|(x, p)| x * p).sum::<f64>() / mass;
    let variance = x.iter().zip(&p).map(|(x, p)| (x - mean).powi(2) * p).sum::<f64>() / mass;
    (mean, variance)
}

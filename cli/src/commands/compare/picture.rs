//! The plot of `tweedie compare`: error over NFE, both logarithmic.
use super::measurement::{Comparison, Curve};
use tweedie_plot::{Anchor, Axis, Color, Figure, Mark, Page, Panel, gallery::plain, text_width};

/// Number of series colors of a theme; further series repeat them with dashes.
const COLORS: usize = 7;

/// Number of colored curves; the others are gray. Every curve has its name at its end.
const BRIGHT: usize = 2 * COLORS;

/// Height over width, if there are not so many names that they need more height.
const ASPECT: f64 = 0.58;

/// Width of the panel in a still picture, in pixels, and the height of a line of text.
const WIDTH: f64 = 938.0;
const LINE: f64 = 16.0;

/// A plotted curve, of one sampler or of several that coincide.
struct Series {
    names: Vec<String>,
    nfe: Vec<f64>,
    /// NaN where it is off the scale.
    errors: Vec<f64>,
    /// The NFE at which it is.
    off: Vec<usize>,
}
impl Series {
    fn name(&self) -> String {
        self.names.join(" = ")
    }
    /// The last point within the scale.
    fn end(&self) -> Option<(f64, f64)> {
        self.nfe.iter().copied().zip(self.errors.iter().copied()).rfind(|(_, error)| error.is_finite())
    }
    fn same(&self, other: &Self) -> bool {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-3 * b.abs() || !(a.is_finite() || b.is_finite());
        self.nfe == other.nfe && self.errors.iter().zip(&other.errors).all(near)
    }
}

/// The curves in order, coinciding ones merged.
fn merged(curves: &[Curve], cap: f64) -> Vec<Series> {
    let mut all: Vec<Series> = vec![];
    for curve in curves {
        let points: Vec<(usize, f64)> =
            curve.points.iter().filter_map(|p| Some((p.nfe, p.gap.as_ref()?.error))).filter(|p| p.1 != 0.0).collect();
        let on = |error: f64| if error <= cap { error } else { f64::NAN };
        let own = Series {
            names: vec![curve.label.clone()],
            nfe: points.iter().map(|p| p.0 as f64).collect(),
            errors: points.iter().map(|p| on(p.1)).collect(),
            off: points.iter().filter(|p| on(p.1).is_nan()).map(|p| p.0).collect(),
        };
        match all.iter_mut().find(|known| known.same(&own) && own.end().is_some()) {
            Some(known) => known.names.extend(own.names),
            None if points.is_empty() => {}
            None => all.push(own),
        }
    }
    all
}

/// Ten times DDIM's largest error, so that diverging samplers do not compress the scale.
fn cap(comparison: &Comparison<'_>) -> f64 {
    let mut all: Vec<f64> =
        comparison.curves.iter().flat_map(|curve| &curve.points).filter_map(super::measurement::Point::error).collect();
    all.sort_by(f64::total_cmp);
    let usual = comparison.largest.filter(|error| *error > 0.0 && error.is_finite());
    10.0 * usual.or(all.get(all.len() / 2).copied()).unwrap_or(1.0)
}

/// The curves that leave the scale, as text.
fn beyond(all: &[Series], cap: f64) -> Option<String> {
    let off: Vec<String> = all
        .iter()
        .filter(|own| !own.off.is_empty())
        .map(|own| match own.end() {
            None => own.name(),
            Some(_) => {
                let nfe: Vec<String> = own.off.iter().map(usize::to_string).collect();
                let (last, first) = nfe.split_last().expect("it is off somewhere");
                let first = if first.is_empty() { String::new() } else { format!("{} and ", first.join(", ")) };
                format!("{} at NFE {first}{last}", own.name())
            }
        })
        .collect();
    (!off.is_empty()).then(|| {
        let cap: f64 = format!("{cap:.1e}").parse().unwrap_or(cap);
        format!("Not drawn because the error is above {}: {}.", plain(cap), off.join(", "))
    })
}

/// Heights of non-overlapping labels for lines that end at the given heights, as fractions of the panel, of which a line
/// of text takes `line`.
fn apart(mut ends: Vec<(usize, f64)>, line: f64) -> Vec<(usize, f64)> {
    ends.sort_by(|a, b| b.1.total_cmp(&a.1));
    for i in 1..ends.len() {
        ends[i].1 = ends[i].1.min(ends[i - 1].1 - line);
    }
    let mut floor = line / 2.0;
    for end in ends.iter_mut().rev() {
        end.1 = end.1.max(floor);
        floor = end.1 + line;
    }
    ends
}

pub(super) fn page(comparison: &Comparison<'_>) -> Page {
    let cap = cap(comparison);
    let all = merged(&comparison.curves, cap);
    let points = || all.iter().flat_map(|own| own.nfe.iter().zip(&own.errors)).filter(|(_, e)| e.is_finite());
    let fold = |most: fn(f64, f64) -> f64, of: &mut dyn Iterator<Item = f64>| of.reduce(most).unwrap_or(1.0);
    let (left, right) = (fold(f64::min, &mut points().map(|p| *p.0)), fold(f64::max, &mut points().map(|p| *p.0)));
    let (low, high) = (fold(f64::min, &mut points().map(|p| *p.1)), fold(f64::max, &mut points().map(|p| *p.1)));
    let (low, high) = (low / 1.5, high * 1.3);
    let is_ddim = |own: &Series| own.names.iter().any(|name| name == "ddim");
    let bright = |i: usize| i < BRIGHT || is_ddim(&all[i]);
    // Labels stand to the right of the ends of the curves.
    let named: Vec<&Series> = all.iter().filter(|own| own.end().is_some()).collect();
    let longest = named.iter().map(|own| text_width(&own.name(), 13.0, false)).fold(0.0, f64::max);
    let aspect = ASPECT.max((named.len() as f64 + 1.0) * LINE / WIDTH);
    let line = LINE / (WIDTH * aspect);
    let wide = (right / left).max(4.0).ln();
    let label = (longest / WIDTH).min(0.5);
    let range = [left * (-0.03 * wide).exp(), right * ((1.1 / (1.0 - label) - 1.03) * wide).exp()];
    let mut marks: Vec<f64> = comparison.counts().into_iter().map(|nfe| nfe as f64).collect();
    let most = marks.last().map_or(right, |&nfe| nfe.min(right));
    while marks.last().is_some_and(|last| 2.0 * last <= 1.05 * right) {
        marks.push(2.0 * marks[marks.len() - 1]);
    }
    let nfe = Axis::new("network evaluations (NFE)").log().range(range[0], range[1]).ticks(marks);
    let mut panel = Panel::plane("", nfe, Axis::new("root mean square error").log().range(low, high)).aspect(aspect);
    panel = panel.marks(guides([left, most], (3.0 * comparison.largest.unwrap_or(high)).min(0.8 * high), low));

    let height = |error: f64| (error / low).ln() / (high / low).ln();
    let error = |height: f64| low * (high / low).powf(height);
    // The names at the ends of the curves take the place of a legend.
    let color = |i: usize| if bright(i) { Color::Series(i) } else { Color::Muted };
    for (i, own) in all.iter().enumerate().rev().filter(|(_, own)| own.end().is_some()) {
        let name = own.name();
        let line = Mark::line(own.nfe.clone(), own.errors.clone()).name(&name).unlisted().color(color(i));
        let line = if bright(i) { line } else { line.width(1.2).opacity(0.7) };
        let line = if bright(i) && i / COLORS % 2 == 1 { line.dashed() } else { line };
        let dots = Mark::points(own.nfe.clone(), own.errors.clone()).name(&name).unlisted().color(color(i));
        panel = panel.mark(line).mark(dots.width(if bright(i) { 7.0 } else { 4.0 }).opacity(1.0));
    }
    let ends = all.iter().enumerate().filter_map(|(i, own)| Some((i, height(own.end()?.1)))).collect();
    let label_x = right * (0.06 * wide).exp();
    for (i, at) in apart(ends, line) {
        let (name, (x, y)) = (all[i].name(), all[i].end().expect("it ends on the scale"));
        let lead = Mark::line([x, label_x], [y, error(at)]).name(&name).unlisted().silent().color(color(i));
        let text = Mark::text(label_x * (0.008 * wide).exp(), error(at - 0.25 * line), &name, Anchor::Start);
        panel = panel.mark(lead.width(0.8).opacity(0.5)).mark(text.name(&name).unlisted().silent());
    }
    panel.note = beyond(&all, cap).unwrap_or_default();
    Page {
        slug: "compare".into(),
        title: format!("Samplers on {}", comparison.title),
        text: format!(
            "Distance from the solution of the probability-flow ODE with the same initial noise; {}. Sorted by error \
             at NFE {}.",
            comparison.estimate,
            comparison.about()
        ),
        figures: vec![Figure::new("", 1).panel(panel).wide()],
        ..Page::default()
    }
}

/// Reference lines of convergence orders 1, 2 and 3.
fn guides([left, right]: [f64; 2], from: f64, low: f64) -> Vec<Mark> {
    let guide = |order: f64| {
        let end = right.min(left * (from / low).powf(1.0 / order));
        let at = |x: f64| from * (left / x).powf(order);
        let line = Mark::line([left, end], [at(left), at(end)]).color(Color::Muted).width(0.9).opacity(0.45).dashed();
        let near = left * (end / left).powf(0.97);
        let text = Mark::text(near, at(near), format!(" slope −{order}"), Anchor::Start).color(Color::Muted);
        [line.silent(), text.silent()]
    };
    [1.0, 2.0, 3.0].into_iter().flat_map(guide).collect()
}

#[cfg(test)]
mod tests {
    use super::super::measurement::{Gap, Point};
    use super::*;

    fn curve(label: &str, errors: [f64; 2]) -> Curve {
        let point = |(nfe, error)| {
            let gap = Some(Gap { error, median: error, ratios: vec![] });
            Point { steps: nfe, nfe, gap, seconds: 0.0, distances: None, tuned: None }
        };
        let points = [5, 10].into_iter().zip(errors).map(point).collect();
        Curve { label: label.into(), text: label.into(), times: None, points }
    }

    #[test]
    fn coinciding_curves_are_merged_and_diverging_ones_are_named() {
        let curves = [
            curve("ddim", [0.2, 0.1]),
            curve("euler", [0.2, 0.1 + 1e-9]),
            curve("plms", [50.0, 0.3]),
            curve("pndm", [f64::INFINITY, 1e5]),
        ];
        let all = merged(&curves, 2.0);
        assert_eq!(all.iter().map(Series::name).collect::<Vec<_>>(), ["ddim = euler", "plms", "pndm"]);
        let note = beyond(&all, 2.0).unwrap();
        assert_eq!(note, "Not drawn because the error is above 2: plms at NFE 5, pndm.");
        assert_eq!((all[1].end(), all[2].end()), (Some((10.0, 0.3)), None));
    }

    #[test]
    fn labels_do_not_overlap() {
        let line = 0.03;
        let placed = apart(vec![(0, 0.5), (1, 0.5), (2, 0.505), (3, 0.0)], line);
        assert_eq!(placed.iter().map(|p| p.0).collect::<Vec<_>>(), [2, 0, 1, 3]);
        assert!(placed.windows(2).all(|w| w[0].1 - w[1].1 > 0.99 * line) && placed[3].1 > 0.0, "{placed:?}");
    }
}

//! Pictures of signals: lines in a grid.
use tweedie_plot::{Anchor, Axis, Color, Mark, Panel};

/// Most points of a line; of a longer signal the lowest and the highest value of each part are drawn.
const POINTS: usize = 600;

/// Signals in cells, row after row: each the values `[channels, length]` and what stands above it.
pub(super) struct Cells<'a> {
    pub shape: [usize; 2],
    pub columns: usize,
    pub cells: Vec<(&'a [f32], String)>,
}

impl Cells<'_> {
    /// The cells on one scale, in a panel without axes.
    pub fn panel(&self, title: &str) -> Panel {
        let [channels, length] = self.shape;
        let labeled = self.cells.iter().any(|(_, label)| !label.is_empty());
        let (rows, columns) = (self.cells.len().div_ceil(self.columns).max(1) as f64, self.columns as f64);
        let [low, high] = range(self.cells.iter().flat_map(|(values, _)| values.iter()));
        // Of the height of a cell, what the line has, below the label.
        let room = if labeled { 0.66 } else { 0.84 };
        let axis = |end: f64| Axis::default().range(0.0, end);
        let mut panel = Panel::plane(title, axis(columns), axis(rows)).aspect((rows * 0.42 / columns).clamp(0.05, 4.0));
        panel.bare = true;
        for (i, (values, label)) in self.cells.iter().enumerate() {
            let (left, bottom) = ((i % self.columns) as f64, rows - 1.0 - (i / self.columns) as f64);
            let y = |v: f64| bottom + 0.08 + room * ((v - low) / (high - low)).clamp(0.0, 1.0);
            let x = |n: f64| left + 0.04 + 0.92 * n / (length.max(2) - 1) as f64;
            let zero = y(0.0f64.clamp(low, high));
            let axis = Mark::line([x(0.0), x((length.max(2) - 1) as f64)], [zero; 2]).color(Color::Muted);
            panel = panel.mark(axis.width(0.6).opacity(0.5));
            for (channel, values) in values.chunks_exact(length).take(channels).enumerate() {
                let (at, values) = thinned(values);
                let (at, values): (Vec<f64>, Vec<f64>) = at.into_iter().map(x).zip(values.into_iter().map(y)).unzip();
                panel = panel.mark(Mark::line(at, values).series(channel).width(1.4));
            }
            if !label.is_empty() {
                panel = panel.mark(Mark::text(left + 0.04, bottom + 0.82, label.clone(), Anchor::Start));
            }
        }
        panel
    }
}

/// The range of the finite values, without the few that are far from the others.
pub(super) fn range<'a>(values: impl Iterator<Item = &'a f32>) -> [f64; 2] {
    let mut all: Vec<f64> = values.map(|x| f64::from(*x)).filter(|x| x.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let Some(last) = all.len().checked_sub(1) else { return [-1.0, 1.0] };
    let [low, high] = [0.002, 0.998].map(|part| all[(part * last as f64).round() as usize]);
    let far = (0.5 * (high - low)).max(1e-6 * high.abs().max(low.abs())).max(1e-9);
    let [low, high] = [all[0].max(low - far), all[last].min(high + far)];
    if low < high { [low, high] } else { [low - far, high + far] }
}

/// Positions and values of at most [`POINTS`] points of a signal.
fn thinned(values: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let step = values.len().div_ceil(POINTS / 2).max(1);
    if values.len() <= POINTS {
        return (0..values.len()).map(|n| (n as f64, f64::from(values[n]))).unzip();
    }
    let part = |(i, part): (usize, &[f32])| {
        let ends = part.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[a, b], x| [a.min(*x), b.max(*x)]);
        [(i * step) as f64, (i * step) as f64 + 0.5 * part.len() as f64].into_iter().zip(ends.map(f64::from))
    };
    values.chunks(step).enumerate().flat_map(part).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_share_a_scale_and_stay_in_their_cells() {
        let [wide, flat] = [[-2.0f32, 2.0, f32::NAN, 0.0], [0.5; 4]];
        let cells = vec![(&wide[..], "a".to_owned()), (&flat[..], String::new())];
        let panel = Cells { shape: [2, 2], columns: 2, cells }.panel("");
        let lines: Vec<(&[f64], &[f64])> = panel
            .marks
            .iter()
            .filter_map(|mark| match &mark.shape {
                tweedie_plot::Shape::Line { x, y } => Some((&x[..], &y[..])),
                _ => None,
            })
            .collect();
        // An axis and two channels each.
        assert_eq!(lines.len(), 6);
        for (i, (x, y)) in lines.iter().enumerate() {
            let cell = (i / 3) as f64;
            assert!(x.iter().all(|x| (cell..=cell + 1.0).contains(x)), "{x:?}");
            assert!(y.iter().all(|y| y.is_nan() || (0.0..=1.0).contains(y)), "{y:?}");
        }
        assert!(lines[1].1[1] - lines[1].1[0] > 0.5);
    }

    #[test]
    fn long_signals_keep_their_peaks() {
        let mut values = vec![0.0f32; 10_000];
        values[7777] = 5.0;
        let (at, drawn) = thinned(&values);
        assert!(at.len() == drawn.len() && at.len() <= POINTS);
        assert_eq!(drawn.iter().copied().fold(0.0, f64::max), 5.0);
        assert_eq!(thinned(&values[..7]).1, [0.0; 7]);
        assert_eq!(range([f32::NAN].iter()), [-1.0, 1.0]);
        let [low, high] = range([3.0f32; 5].iter());
        assert!(low < 3.0 && high > 3.0);
    }
}

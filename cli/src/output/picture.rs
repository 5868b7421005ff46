//! Pictures of samples: images in a grid, points as a scatter plot, signals as lines, volumes as rows of slices, and sampling
//! trajectories of all.
use super::signals::Cells;
use crate::{
    data::pictured,
    data::{Facts, data_error},
};
use std::cell::Cell;
use tweedie::{Result, net::Classes};
use tweedie_data::{
    RgbImage,
    picture::{Layout, grid, strip},
};
use tweedie_plot::{Axis, Figure, Mark, Panel, Pixels, Theme, gallery};

/// Number of samples in a picture of trajectories of images.
const STRIP: usize = 10;
/// Most classes of points with a color and an entry in the legend each.
const NAMED: usize = 14;
/// Pixels of a file per pixel of a scatter plot.
const DENSITY: f64 = 1.5;

thread_local! {
    /// Whether this thread draws.
    static DRAWN: Cell<bool> = const { Cell::new(true) };
}

/// Whether this thread draws pictures from now on; without, data have none.
pub(crate) fn draw(pictures: bool) {
    DRAWN.set(pictures);
}

/// Signals in a picture, and in a row of it.
const SIGNALS: [usize; 2] = [32, 4];
/// Volumes in a picture, and slices of each.
const VOLUMES: [usize; 2] = [12, 12];

enum Kind {
    Images([usize; 3]),
    Cloud,
    Signals([usize; 2]),
    Volumes([usize; 4]),
}
fn kind(facts: &Facts) -> Option<Kind> {
    match *facts.shape.as_slice() {
        _ if facts.categories.is_some() || !DRAWN.get() => None,
        [channels @ (1 | 3 | 4), height, width] => Some(Kind::Images([channels, height, width])),
        [2] => Some(Kind::Cloud),
        [channels, length] if facts.signal => Some(Kind::Signals([channels, length])),
        [channels, depth, height, width] => Some(Kind::Volumes([channels, depth, height, width])),
        _ => None,
    }
}

/// Samples with what describes each, of signals and of volumes; `None` for other data.
pub(super) fn labeled(facts: &Facts, values: &[f32], label: impl Fn(usize) -> String) -> Result<Option<RgbImage>> {
    match kind(facts) {
        Some(Kind::Signals(_)) => {
            Ok(signals(facts, values, label).map(|panel| drawn(&Figure::new("", 1).panel(panel))))
        }
        Some(Kind::Volumes(shape)) => volumes(facts, shape, values, label).map(Some),
        _ => Ok(None),
    }
}

/// Half as many signals or volumes as in a picture of their own, as a panel of a figure; `None` for other data.
pub(crate) fn panel(
    facts: &Facts,
    values: &[f32],
    title: &str,
    label: impl Fn(usize) -> String,
) -> Result<Option<Panel>> {
    let some = |most: usize| &values[..values.len().min(most / 2 * facts.shape.iter().product::<usize>())];
    Ok(match kind(facts) {
        Some(Kind::Signals(_)) => {
            signals(facts, some(SIGNALS[0]), label).map(|panel| Panel { title: title.to_owned(), ..panel })
        }
        Some(Kind::Volumes(shape)) => {
            let picture = volumes(facts, shape, some(VOLUMES[0]), label)?;
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            Some(Panel::image(title, Pixels::rgb(width, height, picture.into_raw())))
        }
        _ => None,
    })
}

/// Signals in a grid, a panel of a figure; `None` for other data.
fn signals(facts: &Facts, values: &[f32], label: impl Fn(usize) -> String) -> Option<Panel> {
    let Some(Kind::Signals(shape)) = kind(facts) else { return None };
    let cells = values.chunks_exact(shape[0] * shape[1]).take(SIGNALS[0]).enumerate();
    let cells = cells.map(|(i, values)| (values, label(i))).collect();
    Some(Cells { shape, columns: SIGNALS[1], cells }.panel(""))
}

/// Slices of volumes, a row each, evenly along their depth.
fn volumes(facts: &Facts, shape: [usize; 4], values: &[f32], label: impl Fn(usize) -> String) -> Result<RgbImage> {
    let [channels, depth, height, width] = shape;
    let n = (values.len() / shape.iter().product::<usize>()).min(VOLUMES[0]);
    let slices = depth.min(VOLUMES[1]);
    let places: Vec<usize> = (0..slices).map(|i| (2 * i + 1) * depth / (2 * slices)).collect();
    let values = gray(facts, values);
    let cells = (0..n).flat_map(|i| places.iter().flat_map(move |z| [i, *z]).collect::<Vec<_>>());
    let cells: Vec<usize> = cells.collect();
    let cells: Vec<f32> = cells.chunks_exact(2).flat_map(|at| slice(shape, &values, at[0], at[1])).collect();
    let labels: Vec<String> = (0..n).map(label).collect();
    let row_labels = if labels.iter().all(String::is_empty) { vec![] } else { labels };
    let layout = Layout { columns: slices, row_labels, ..Layout::default() };
    grid(&cells, [n * slices, colors(channels), height, width], &layout).map_err(data_error)
}

/// The channels of a slice of a volume that are shown: all if they are colors, else the first.
fn colors(channels: usize) -> usize {
    if matches!(channels, 3 | 4) { channels } else { 1 }
}

/// Slice `z` of volume `i`, `[channels, height, width]`.
fn slice([channels, depth, height, width]: [usize; 4], values: &[f32], i: usize, z: usize) -> Vec<f32> {
    let of = |channel: usize| {
        let first = ((i * channels + channel) * depth + z) * height * width;
        values[first..first + height * width].iter().copied()
    };
    (0..colors(channels)).flat_map(of).collect()
}

/// Values as grays: within [−1, 1] as they are, and others from the least to the greatest, but for a few.
fn gray(facts: &Facts, values: &[f32]) -> Vec<f32> {
    if facts.bounded {
        return values.to_vec();
    }
    let [low, high] = super::signals::range(values.iter()).map(|end| end as f32);
    values.iter().map(|x| 2.0 * (x - low) / (high - low) - 1.0).collect()
}

/// All samples, one row per class if there are classes; `None` if the data have no picture.
pub fn samples(facts: &Facts, values: &[f32], classes: &Classes) -> Result<Option<RgbImage>> {
    if let Some((facts, values)) = pictured(facts, values) {
        return samples(&facts, &values, classes);
    }
    match kind(facts) {
        Some(Kind::Images(shape)) => images(facts, shape, values, classes).map(Some),
        Some(Kind::Cloud) => {
            let points = own(facts, values);
            let (axes, note) = axes(&points);
            Ok(Some(drawn(&Figure::new("", 1).panel(cloud(facts, &points, classes, axes).note(note)))))
        }
        Some(Kind::Signals(_) | Kind::Volumes(_)) => labeled(facts, values, |i| class_of(facts, classes, i)),
        None => Ok(None),
    }
}

fn images(facts: &Facts, shape: [usize; 3], values: &[f32], classes: &Classes) -> Result<RgbImage> {
    let [channels, height, width] = shape;
    let each = channels * height * width;
    let n = values.len() / each;
    let mut present: Vec<u32> = classes.0.iter().flatten().copied().collect();
    present.sort_unstable();
    present.dedup();
    let rows: Vec<Vec<usize>> =
        present.iter().map(|class| (0..n).filter(|&i| classes.0[i] == Some(*class)).collect()).collect();
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let by_class = rows.iter().map(Vec::len).sum::<usize>() == n && rows.len() > 1 && most > 1;
    if !by_class {
        return grid(values, [n, channels, height, width], &Layout::default()).map_err(data_error);
    }
    let names: Vec<String> = present.iter().map(|class| facts.classes[*class as usize].clone()).collect();
    in_rows(values, shape, &rows, &names)
}

/// Images in rows of their own for each group, with its name beside the first.
pub(super) fn in_rows(values: &[f32], shape: [usize; 3], groups: &[Vec<usize>], names: &[String]) -> Result<RgbImage> {
    let [channels, height, width] = shape;
    let each = channels * height * width;
    let layout = Layout::default();
    let counts: Vec<usize> = groups.iter().map(Vec::len).collect();
    let columns = square(&counts, width as f64 / height as f64);
    // Cells without a sample have the background color, or are transparent.
    let blank = if channels == 4 { -1.0 } else { f32::from(layout.background[0]) / 127.5 - 1.0 };
    let (mut cells, mut labels) = (vec![], vec![]);
    for (members, name) in groups.iter().zip(names) {
        // A group of more samples than columns has several rows.
        for (i, row) in members.chunks(columns).enumerate() {
            labels.push(if i == 0 { name.clone() } else { String::new() });
            row.iter().for_each(|&i| cells.extend_from_slice(&values[i * each..(i + 1) * each]));
            cells.resize(labels.len() * columns * each, blank);
        }
    }
    let shape = [labels.len() * columns, channels, height, width];
    grid(&cells, shape, &Layout { columns, row_labels: labels, ..layout }).map_err(data_error)
}

/// The number of columns at which classes of these numbers of samples, each in rows of its own, make the picture most
/// nearly square, for images of this ratio of width to height.
fn square(counts: &[usize], ratio: f64) -> usize {
    let oblong = |columns: usize| {
        let rows: usize = counts.iter().map(|count| count.div_ceil(columns)).sum();
        (columns as f64 * ratio / rows as f64).ln().abs()
    };
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    (1..=most).min_by(|a, b| oblong(*a).total_cmp(&oblong(*b))).unwrap_or(1)
}

/// The trajectories of the first samples: one row per sample, one column per timestep.
pub fn trajectory(facts: &Facts, frames: &[Vec<f32>], times: &[f64], classes: &Classes) -> Result<Option<RgbImage>> {
    if let Some((shown, _)) = pictured(facts, &[]) {
        let frames: Vec<Vec<f32>> =
            frames.iter().map(|frame| pictured(facts, frame).expect("as the first").1).collect();
        return trajectory(&shown, &frames, times, classes);
    }
    match kind(facts) {
        Some(Kind::Images([channels, height, width])) => {
            let each = channels * height * width;
            let n = (frames[0].len() / each).min(STRIP);
            let values: Vec<f32> = frames.iter().flat_map(|frame| &frame[..n * each]).copied().collect();
            let rows = (0..n).map(|i| class_of(facts, classes, i)).collect::<Vec<_>>();
            let rows = if rows.iter().all(String::is_empty) { vec![] } else { rows };
            let layout = Layout { row_labels: rows, ..Layout::default() };
            strip(&values, [frames.len(), n, channels, height, width], times, &layout).map(Some).map_err(data_error)
        }
        Some(Kind::Cloud) => {
            let points: Vec<Vec<f64>> = frames.iter().map(|frame| own(facts, frame)).collect();
            let (axes, _) = axes(&points.concat());
            let panels = points.iter().zip(times).map(|(points, t)| {
                let panel = cloud(facts, points, classes, axes.clone());
                Panel { title: format!("t = {}", gallery::fixed(*t, 2)), ..panel }
            });
            Ok(Some(drawn(&panels.fold(Figure::new("", 4), Figure::panel))))
        }
        Some(Kind::Signals(shape)) => {
            let each = shape[0] * shape[1];
            let n = (frames[0].len() / each).min(STRIP);
            let cell = |i: usize, (frame, t): (usize, &f64)| {
                let label = if i == 0 { format!("t = {}", gallery::fixed(*t, 2)) } else { String::new() };
                (&frames[frame][i * each..(i + 1) * each], label)
            };
            let cells = (0..n).flat_map(|i| times.iter().enumerate().map(move |at| cell(i, at))).collect();
            let panel = Cells { shape, columns: times.len(), cells }.panel("");
            Ok(Some(drawn(&Figure::new("", 1).panel(panel))))
        }
        Some(Kind::Volumes(shape)) => {
            let n = (frames[0].len() / shape.iter().product::<usize>()).min(STRIP);
            let [channels, depth, height, width] = shape;
            let values = frames.iter().flat_map(|frame| {
                let frame = gray(facts, frame);
                (0..n).flat_map(move |i| slice(shape, &frame, i, depth / 2)).collect::<Vec<_>>()
            });
            let values: Vec<f32> = values.collect();
            let shape = [frames.len(), n, colors(channels), height, width];
            strip(&values, shape, times, &Layout::default()).map(Some).map_err(data_error)
        }
        None => Ok(None),
    }
}

/// The name of the class of a sample; empty if it has none.
fn class_of(facts: &Facts, classes: &Classes, i: usize) -> String {
    let class = classes.0.get(i).copied().flatten();
    class.map_or(String::new(), |class| facts.classes[class as usize].clone())
}

/// Points in the scale of the data.
fn own(facts: &Facts, values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(facts.own(*x))).collect()
}

/// The axes of a scatter plot, and a sentence on the points that are outside of them.
///
/// The axes include all points, unless a few are so far away that the others would be a dot.
fn axes(points: &[f64]) -> ([Axis; 2], String) {
    let finite: Vec<&[f64]> = points.chunks_exact(2).filter(|p| p.iter().all(|v| v.is_finite())).collect();
    let ranges = [0, 1].map(|axis| {
        let mut values: Vec<f64> = finite.iter().map(|p| p[axis]).collect();
        values.sort_by(f64::total_cmp);
        let Some(last) = values.len().checked_sub(1) else { return [-1.0, 1.0] };
        let middle = [0.005, 0.995].map(|part| values[(part * last as f64).round() as usize]);
        let [low, high] = match values[last] - values[0] > 4.0 * (middle[1] - middle[0]).max(1e-9) && last > 200 {
            true => middle,
            false => [values[0], values[last]],
        };
        let margin = 0.05 * (high - low).max(1e-6 * high.abs().max(low.abs())).max(1e-9);
        [low - margin, high + margin]
    });
    let inside = |p: &&&[f64]| (0..2).all(|axis| (ranges[axis][0]..=ranges[axis][1]).contains(&p[axis]));
    let (all, shown) = (points.len() / 2, finite.iter().filter(inside).count());
    let note = match all - shown {
        0 => String::new(),
        1 => format!("1 of {all} points is outside these axes."),
        outside => format!("{outside} of {all} points are outside these axes."),
    };
    let axis = |name: &str, [low, high]: [f64; 2]| Axis::new(name).range(low, high);
    ([axis("x₁", ranges[0]), axis("x₂", ranges[1])], note)
}

/// A scatter plot of points, colored by class.
fn cloud(facts: &Facts, points: &[f64], classes: &Classes, [x, y]: [Axis; 2]) -> Panel {
    let length = |axis: &Axis| axis.range.map_or(1.0, |[low, high]| high - low);
    let aspect = (length(&y) / length(&x)).clamp(0.5, 1.2);
    let panel = Panel::plane("", x, y).equal().aspect(aspect);
    let class = |i: usize| classes.0.get(i).copied().flatten();
    let mut present: Vec<Option<u32>> = (0..points.len() / 2).map(class).collect();
    let all = present.clone();
    present.sort_unstable();
    present.dedup();
    let coordinates = |chosen: &dyn Fn(Option<u32>) -> bool| -> (Vec<f64>, Vec<f64>) {
        points.chunks_exact(2).zip(&all).filter(|(_, class)| chosen(**class)).map(|(p, _)| (p[0], p[1])).unzip()
    };
    // Dense clouds of smaller and fainter dots.
    let (width, opacity) = if points.len() > 4000 { (3.0, 0.4) } else { (4.0, 0.6) };
    if present.len() > NAMED {
        let (x, y) = coordinates(&|_| true);
        let value: Vec<f64> = all.iter().map(|class| class.map_or(-1.0, f64::from)).collect();
        let range = [value.iter().copied().fold(0.0, f64::min), facts.classes.len().saturating_sub(1).max(1) as f64];
        return panel.scale("class", range).mark(Mark::colored(x, y, value).width(width).opacity(opacity));
    }
    let mark = |(i, class): (usize, &Option<u32>)| {
        let (x, y) = coordinates(&|own| own == *class);
        let name = class.and_then(|class| facts.classes.get(class as usize).cloned());
        let series = class.map_or(i, |class| class as usize);
        Mark::points(x, y).name(name.unwrap_or_default()).series(series).width(width).opacity(opacity)
    };
    panel.marks(present.iter().enumerate().map(mark))
}

/// A figure as pixels.
pub(super) fn drawn(figure: &Figure) -> RgbImage {
    let pixels = figure.pixels(Theme::Light, DENSITY);
    RgbImage::from_raw(pixels.width as u32, pixels.height as u32, pixels.rgb).expect("three bytes per pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(classes: &[&str], shape: &[usize]) -> Facts {
        let classes = classes.iter().map(|name| (*name).to_owned()).collect();
        Facts { shape: shape.to_vec(), classes, scale: [1.0, 0.0], ..Facts::default() }
    }

    #[test]
    fn classes_are_wrapped_into_a_picture_that_is_nearly_square() {
        assert_eq!(square(&[10; 10], 1.0), 10);
        assert_eq!(square(&[34, 33, 33], 1.0), 11);
        assert_eq!(square(&[100; 3], 1.0), 18);
        assert_eq!(square(&[1, 1, 1], 1.0), 1);
        assert_eq!(square(&[40; 10], 1.0), 20);
        let classes = Classes((0..100).map(|i| Some(i % 3)).collect());
        let picture = samples(&facts(&["a", "名前", "c"], &[1, 8, 8]), &[0.0; 6400], &classes).unwrap().unwrap();
        let ratio = f64::from(picture.width()) / f64::from(picture.height());
        assert!((0.7..1.6).contains(&ratio), "{:?}", picture.dimensions());
    }

    #[test]
    fn points_have_axes_and_dots_at_the_edge_are_whole() {
        let points: Vec<f64> = vec![-7.0, 2.0, 9.0, 2.5, 1.0, 3.0];
        let ([x, y], note) = axes(&points);
        let (x, y) = (x.range.unwrap(), y.range.unwrap());
        assert!(x[0] < -7.5 && x[1] > 9.5 && y[0] < 2.0 && y[1] > 3.0 && note.is_empty());
        // One point far away does not hide the others, and is counted.
        let mut many: Vec<f64> = (0..1000).flat_map(|i| [f64::from(i) / 1000.0, 0.5]).collect();
        many.extend([1e6, f64::NAN, 1e6, 0.5]);
        let ([x, _], note) = axes(&many);
        assert!(x.range.unwrap()[1] < 1.2);
        assert_eq!(note, "2 of 1002 points are outside these axes.");
        for values in [vec![], vec![0.5, 0.5], vec![2.0; 8], vec![f32::NAN; 4]] {
            let picture = samples(&facts(&[], &[2]), &values, &Classes::default()).unwrap().unwrap();
            assert!(picture.pixels().any(|p| p.0 != [255; 3]), "it has axes");
        }
    }

    #[test]
    fn many_classes_of_points_have_a_color_scale() {
        let names: Vec<String> = (0..200).map(|i| format!("class {i}")).collect();
        let facts = facts(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[2]);
        let points: Vec<f64> = (0..400).map(f64::from).collect();
        let panel = |classes: &Classes| cloud(&facts, &points, classes, axes(&points).0);
        assert!(panel(&Classes((0..200).map(Some).collect())).scale.is_some());
        let few = panel(&Classes((0..200).map(|i| Some(i % 3)).collect()));
        assert!(few.scale.is_none());
        assert_eq!(few.marks.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["class 0", "class 1", "class 2"]);
    }
}

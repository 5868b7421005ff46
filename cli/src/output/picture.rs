//! Pictures of samples: images in a grid, points as a scatter plot, and sampling trajectories of both.
use crate::{
    data::pictured,
    data::{Facts, data_error},
};
use tweedie::{Result, net::Classes};
use tweedie_data::{
    RgbImage,
    picture::{Layout, grid, strip},
};

/// Number of samples in a picture of trajectories.
const STRIP: usize = 10;
/// Side lengths of scatter plots, in pixels.
const CLOUD: usize = 420;
const SMALL_CLOUD: usize = 160;
/// The axes of scatter plots span ±SPAN.
const SPAN: f32 = 3.0;
/// Class colors: the palette of Okabe and Ito, distinguishable with color blindness.
const COLORS: [[u8; 3]; 8] = [
    [0, 114, 178],
    [230, 159, 0],
    [0, 158, 115],
    [213, 94, 0],
    [204, 121, 167],
    [86, 180, 233],
    [120, 120, 120],
    [178, 160, 30],
];

enum Kind {
    Images([usize; 3]),
    Cloud,
}
fn kind(facts: &Facts) -> Option<Kind> {
    match *facts.shape.as_slice() {
        _ if facts.categories.is_some() => None,
        [channels @ (1 | 3 | 4), height, width] => Some(Kind::Images([channels, height, width])),
        [2] => Some(Kind::Cloud),
        _ => None,
    }
}

/// All samples, one row per class if there are classes; `None` if the data have no picture.
pub fn samples(facts: &Facts, values: &[f32], classes: &Classes) -> Result<Option<RgbImage>> {
    if let Some((facts, values)) = pictured(facts, values) {
        return samples(&facts, &values, classes);
    }
    match kind(facts) {
        Some(Kind::Images(shape)) => images(facts, shape, values, classes).map(Some),
        Some(Kind::Cloud) => {
            let cloud = cloud(values, classes, CLOUD);
            grid(&cloud, [1, 3, CLOUD, CLOUD], &Layout { zoom: 1, ..Layout::default() }).map(Some).map_err(data_error)
        }
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
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let by_class = rows.iter().map(Vec::len).sum::<usize>() == n && rows.len() > 1 && columns > 1;
    if !by_class {
        return grid(values, [n, channels, height, width], &Layout::default()).map_err(data_error);
    }
    let layout = Layout::default();
    // Cells without a sample have the background color, or are transparent.
    let blank = if channels == 4 { -1.0 } else { f32::from(layout.background[0]) / 127.5 - 1.0 };
    let mut cells = vec![blank; rows.len() * columns * each];
    for (row, members) in rows.iter().enumerate() {
        for (column, &i) in members.iter().enumerate() {
            let at = (row * columns + column) * each;
            cells[at..at + each].copy_from_slice(&values[i * each..(i + 1) * each]);
        }
    }
    let names = present.iter().map(|class| facts.classes[*class as usize].clone()).collect();
    grid(&cells, [rows.len() * columns, channels, height, width], &Layout { columns, row_labels: names, ..layout })
        .map_err(data_error)
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
            let name =
                |i: usize| classes.0.get(i).copied().flatten().map(|class| facts.classes[class as usize].clone());
            let rows = (0..n).map(|i| name(i).unwrap_or_default()).collect::<Vec<_>>();
            let rows = if rows.iter().all(String::is_empty) { vec![] } else { rows };
            let layout = Layout { row_labels: rows, ..Layout::default() };
            strip(&values, [frames.len(), n, channels, height, width], times, &layout).map(Some).map_err(data_error)
        }
        Some(Kind::Cloud) => {
            let panels: Vec<f32> = frames.iter().flat_map(|frame| cloud(frame, classes, SMALL_CLOUD)).collect();
            let shape = [frames.len(), 1, 3, SMALL_CLOUD, SMALL_CLOUD];
            strip(&panels, shape, times, &Layout { zoom: 1, ..Layout::default() }).map(Some).map_err(data_error)
        }
        None => Ok(None),
    }
}

/// Points as an image of `side × side` pixels, three channels in [−1, 1].
fn cloud(points: &[f32], classes: &Classes, side: usize) -> Vec<f32> {
    let mut image = vec![1.0; 3 * side * side];
    let radius = (side / 200).max(1) as isize;
    let place = |x: f32| ((x / SPAN + 1.0) * 0.5 * (side - 1) as f32).round();
    for (i, point) in points.chunks_exact(2).enumerate() {
        let (x, y) = (place(point[0]), place(-point[1]));
        let inside = |v: f32| v >= 0.0 && v < side as f32;
        if !(inside(x) && inside(y)) {
            continue;
        }
        let class = classes.0.get(i).copied().flatten().unwrap_or(0) as usize;
        for (dy, dx) in (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dy, dx))) {
            let (row, column) = (y as isize + dy, x as isize + dx);
            if dy * dy + dx * dx > radius * radius || row.min(column) < 0 || row.max(column) >= side as isize {
                continue;
            }
            for (channel, level) in COLORS[class % COLORS.len()].into_iter().enumerate() {
                let pixel = &mut image[(channel * side + row as usize) * side + column as usize];
                // Each point has an opacity of 60 %, so that dense regions are darker.
                *pixel = *pixel * 0.4 + (f32::from(level) / 127.5 - 1.0) * 0.6;
            }
        }
    }
    image
}

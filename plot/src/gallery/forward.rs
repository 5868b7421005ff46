use super::{Function, grid, histogram};
use crate::{Axis, Colour, Figure, Mark, Panel, Pixels};

/// An image at one time of the forward process.
pub struct Noised {
    /// The time and what it stands for.
    pub label: String,
    /// `[height, width, channels]`, one channel or three.
    pub values: Vec<f64>,
    /// The values shown black and white.
    pub shown: [f64; 2],
}

/// The image at some times, side by side.
pub fn forward_strip(title: &str, [width, height]: [usize; 2], strip: &[Noised]) -> Figure {
    let image = |n: &Noised| Panel::image(&n.label, Pixels::from_values(width, height, &n.values, n.shown));
    strip.iter().map(image).fold(Figure::new(title, strip.len()), Figure::panel)
}

/// The image beside the histogram of its values, with a slider over time and the density that they tend to.
pub fn forward_slider(
    [width, height]: [usize; 2],
    counted: [f64; 2],
    frames: &[Noised],
    limit: Option<(&str, Function<'_>)>,
) -> Figure {
    let mut image = Panel::image("The image", Pixels::from_values(width, height, &frames[0].values, frames[0].shown));
    image.marks.clear();
    let mut bars = Panel::plane("Its values", Axis::new("value").range(counted[0], counted[1]), "density");
    let mut highest: f64 = 0.0;
    for (frame, noised) in frames.iter().enumerate() {
        let pixels = Pixels::from_values(width, height, &noised.values, noised.shown);
        image = image.mark(Mark::image(pixels).name("image").unlisted().frame(frame));
        let (edges, heights) = histogram(&noised.values, counted, 64);
        // The first frames may be spikes that would flatten all others.
        if frame >= frames.len() / 4 {
            highest = heights.iter().copied().fold(highest, f64::max);
        }
        bars = bars.mark(Mark::bars(edges, heights).name("pixel values").frame(frame));
    }
    if let Some((label, density)) = limit {
        let x = grid(counted[0], counted[1], 201);
        let y: Vec<f64> = x.iter().map(|&x| density(x)).collect();
        highest = y.iter().copied().fold(highest, f64::max);
        bars = bars.mark(Mark::line(x, y).name(label).colour(Colour::Ink).width(2.0));
    }
    bars.y = bars.y.range(0.0, 1.1 * highest);
    bars.aspect = image.aspect.clamp(0.6, 1.0);
    let labels = frames.iter().map(|n| n.label.clone()).collect();
    Figure::new("From the image to noise", 2).panel(image).panel(bars).slider("", labels, frames.len() / 4)
}

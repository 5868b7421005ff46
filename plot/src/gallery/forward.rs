//! Images under a forward process.
use super::numeric::{Function, grid, histogram};
use crate::{Axis, Color, Figure, Mark, Panel, Pixels};

/// An image at one time of the forward process.
pub struct NoisyImage {
    /// Time, or another label.
    pub label: String,
    /// Pixel values, `[height, width, channels]`, with one or three channels.
    pub values: Vec<f64>,
    /// Values shown as black and as white.
    pub range: [f64; 2],
}

/// The image at several times, side by side.
pub fn forward_strip(title: &str, [width, height]: [usize; 2], strip: &[NoisyImage]) -> Figure {
    let image = |n: &NoisyImage| Panel::image(&n.label, Pixels::from_values(width, height, &n.values, n.range));
    strip.iter().map(image).fold(Figure::new(title, strip.len()), Figure::panel)
}

/// The image and the histogram of its values, with a slider over time; `limit` is the density of the values at t = 1.
pub fn forward_slider(
    [width, height]: [usize; 2],
    counted: [f64; 2],
    frames: &[NoisyImage],
    limit: Option<(&str, Function<'_>)>,
) -> Figure {
    let mut image = Panel::image("Noisy image", Pixels::from_values(width, height, &frames[0].values, frames[0].range));
    image.marks.clear();
    let mut bars = Panel::plane("Histogram of its values", Axis::new("value").range(counted[0], counted[1]), "density");
    let mut highest: f64 = 0.0;
    for (frame, noisy) in frames.iter().enumerate() {
        let pixels = Pixels::from_values(width, height, &noisy.values, noisy.range);
        image = image.mark(Mark::image(pixels).name("image").unlisted().frame(frame));
        let (edges, heights) = histogram(&noisy.values, counted, 64);
        // The first frames may have spikes, which would make all other bars small.
        if frame >= frames.len() / 4 {
            highest = heights.iter().copied().fold(highest, f64::max);
        }
        bars = bars.mark(Mark::bars(edges, heights).name("pixel values").frame(frame));
    }
    if let Some((label, density)) = limit {
        let x = grid(counted[0], counted[1], 201);
        let y: Vec<f64> = x.iter().map(|&x| density(x)).collect();
        highest = y.iter().copied().fold(highest, f64::max);
        bars = bars.mark(Mark::line(x, y).name(label).color(Color::Ink).width(2.0));
    }
    bars.y = bars.y.range(0.0, 1.1 * highest);
    bars.aspect = image.aspect.clamp(0.6, 1.0);
    let labels = frames.iter().map(|n| n.label.clone()).collect();
    Figure::new("Forward process, from image to noise", 2).panel(image).panel(bars).slider("", labels, frames.len() / 4)
}

/// The image at the steps of a chain beside independent samples of the marginals at the same times, with a slider.
pub fn forward_chain([width, height]: [usize; 2], chain: &[NoisyImage], marginal: &[NoisyImage]) -> Figure {
    let panel = |title: &str, note: &str, images: &[NoisyImage]| {
        let pixels = |n: &NoisyImage| Pixels::from_values(width, height, &n.values, n.range);
        let mut panel = Panel::image(title, pixels(&images[0])).note(note);
        panel.marks.clear();
        let mark = |(i, n): (usize, &NoisyImage)| Mark::image(pixels(n)).name("image").unlisted().frame(i);
        panel.marks(images.iter().enumerate().map(mark))
    };
    let labels = chain.iter().map(|n| n.label.clone()).collect();
    Figure::new("The chain and its marginals", 2)
        .panel(panel("Chain q(xₜ | xₜ₋₁)", "Each image is the one before it with a little more noise.", chain))
        .panel(panel("Marginal q(xₜ | x)", "Each image is made from x at once: the same distribution.", marginal))
        .slider("", labels, chain.len() / 4)
}

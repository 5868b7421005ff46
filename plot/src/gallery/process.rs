use crate::{Axis, Colour, Figure, Mark, Panel};

/// Points at the times of a process, there and back.
pub struct Flow {
    /// The time at every frame, as it is read.
    pub labels: Vec<String>,
    /// The points at every frame, `[n, 2]` in rows; the same point in the same row.
    pub points: Vec<Vec<f64>>,
    /// The number of points whose way is drawn.
    pub traced: usize,
    /// Where arrows stand, `[m, 2]` in rows.
    pub at: Vec<f64>,
    /// The arrows at every frame, `[m, 2]` in rows: score, velocity.
    pub arrows: Vec<Vec<f64>>,
    /// What the arrows are.
    pub meaning: String,
    /// The half width of the square that is drawn.
    pub reach: f64,
}

/// Points moving: the cloud with its ways so far, beside the field that moves it, with a slider over time.
pub fn process(title: &str, flow: &Flow) -> Figure {
    let axis = |name: &str| Axis::new(name).range(-flow.reach, flow.reach);
    let mut cloud = Panel::plane("Points, and the ways of some", axis("x₁"), axis("x₂")).equal();
    let mut field = Panel::plane(&flow.meaning, axis("x₁"), axis("x₂")).equal();
    let (ax, ay): (Vec<f64>, Vec<f64>) = flow.at.chunks_exact(2).map(|p| (p[0], p[1])).unzip();
    // The longest arrow of a frame is as long as this.
    let room = 1.6 * flow.reach / (ax.len() as f64).sqrt().max(1.0);
    for (frame, points) in flow.points.iter().enumerate() {
        let (mut wx, mut wy) = (Vec::new(), Vec::new());
        for i in 0..flow.traced {
            // From the last turning point on, so that the way back is seen on its own.
            let from = if frame > flow.points.len() / 2 { flow.points.len() / 2 } else { 0 };
            for past in &flow.points[from..=frame] {
                wx.push(past[2 * i]);
                wy.push(past[2 * i + 1]);
            }
            wx.push(f64::NAN);
            wy.push(f64::NAN);
        }
        let (x, y): (Vec<f64>, Vec<f64>) = points.chunks_exact(2).map(|p| (p[0], p[1])).unzip();
        let way = Mark::line(wx, wy).series(1).width(1.2).opacity(0.8).name("ways").frame(frame);
        cloud = cloud
            .mark(Mark::points(x.clone(), y.clone()).name("points").width(3.4).opacity(0.55).frame(frame))
            .mark(way);
        let arrows = &flow.arrows[frame];
        let longest = arrows.chunks_exact(2).map(|v| v[0].hypot(v[1])).fold(1e-12, f64::max);
        let (u, v): (Vec<f64>, Vec<f64>) = arrows
            .chunks_exact(2)
            .map(|v| {
                // Lengths by their square root: a field of very different lengths stays readable.
                let long = v[0].hypot(v[1]).max(1e-12);
                let scale = room * (long / longest).sqrt() / long;
                (v[0] * scale, v[1] * scale)
            })
            .unzip();
        field = field
            .mark(Mark::points(x, y).name("points").unlisted().width(2.4).opacity(0.25).frame(frame))
            .mark(Mark::arrows(ax.clone(), ay.clone(), u, v).colour(Colour::Ink).width(1.3).unlisted().frame(frame));
    }
    // Well on the way back, where both the data and the ways are seen.
    let start = flow.points.len() * 15 / 16;
    Figure::new(title, 2).panel(cloud).panel(field).slider("", flow.labels.clone(), start)
}

//! Points under a forward and a reverse process.
use crate::{Axis, Color, Figure, Mark, Panel};

/// Points in the plane at the times of a forward process and of the reverse process after it.
pub struct Process {
    /// Label of every frame, as its time.
    pub labels: Vec<String>,
    /// Points at every frame, `[n, 2]`; a point keeps its row.
    pub points: Vec<Vec<f64>>,
    /// Number of points whose trajectories are drawn.
    pub trajectories: usize,
    /// Positions of the arrows, `[m, 2]`.
    pub positions: Vec<f64>,
    /// Arrows at every frame, `[m, 2]`: a score or velocity.
    pub arrows: Vec<Vec<f64>>,
    /// Title of the panel of the arrows.
    pub field: String,
    /// Half the side of the square that is drawn.
    pub half_width: f64,
}

/// The points with their trajectories up to a time, and the vector field that moves them, with a slider over time.
pub fn process(title: &str, process: &Process) -> Figure {
    let axis = |name: &str| Axis::new(name).range(-process.half_width, process.half_width);
    let mut cloud = Panel::plane("Points and trajectories", axis("x₁"), axis("x₂")).equal();
    let mut field = Panel::plane(&process.field, axis("x₁"), axis("x₂")).equal();
    let (ax, ay): (Vec<f64>, Vec<f64>) = process.positions.chunks_exact(2).map(|p| (p[0], p[1])).unzip();
    // The length of the longest arrow of a frame.
    let longest_drawn = 1.6 * process.half_width / (ax.len() as f64).sqrt().max(1.0);
    for (frame, points) in process.points.iter().enumerate() {
        let (mut wx, mut wy) = (Vec::new(), Vec::new());
        for i in 0..process.trajectories {
            // In the second half only from the middle on, so that the reverse trajectory is visible by itself.
            let from = if frame > process.points.len() / 2 { process.points.len() / 2 } else { 0 };
            for past in &process.points[from..=frame] {
                wx.push(past[2 * i]);
                wy.push(past[2 * i + 1]);
            }
            wx.push(f64::NAN);
            wy.push(f64::NAN);
        }
        let (x, y): (Vec<f64>, Vec<f64>) = points.chunks_exact(2).map(|p| (p[0], p[1])).unzip();
        let lines = Mark::line(wx, wy).series(1).width(1.2).opacity(0.8).name("trajectories").frame(frame);
        cloud = cloud
            .mark(Mark::points(x.clone(), y.clone()).name("points").width(3.4).opacity(0.55).frame(frame))
            .mark(lines);
        let arrows = &process.arrows[frame];
        let longest = arrows.chunks_exact(2).map(|v| v[0].hypot(v[1])).fold(1e-12, f64::max);
        let (u, v): (Vec<f64>, Vec<f64>) = arrows
            .chunks_exact(2)
            .map(|v| {
                // Lengths are proportional to the square root of the norm, so that small arrows are visible too.
                let norm = v[0].hypot(v[1]).max(1e-12);
                let scale = longest_drawn * (norm / longest).sqrt() / norm;
                (v[0] * scale, v[1] * scale)
            })
            .unzip();
        field = field
            .mark(Mark::points(x, y).name("points").unlisted().width(2.4).opacity(0.25).frame(frame))
            .mark(Mark::arrows(ax.clone(), ay.clone(), u, v).color(Color::Ink).width(1.3).unlisted().frame(frame));
    }
    // Late in the reverse process, where both the data and the trajectories are visible.
    let start = process.points.len() * 15 / 16;
    Figure::new(title, 2).panel(cloud).panel(field).slider("", process.labels.clone(), start)
}

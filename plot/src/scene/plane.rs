//! Panels in the plane: axes and marks.
use super::{
    drawing::{BODY, Draw, Item, Map, SMALL, Scene, Stroke, along, rectangle, rgb},
    layout::{BAR, widest, x_ticks, y_ticks},
};
use crate::{
    figure::{Color, Level, Mark, Panel, Scale, Shape},
    pixels::Pixels,
    text::{self, Anchor},
    theme::{Rgba, Theme, scale},
    ticks::ticks,
};

impl Scene {
    /// Adds axes and marks of a plane over `[x, y, width, height]`.
    pub(super) fn plane(
        &mut self,
        panel: &Panel,
        index: usize,
        theme: Theme,
        over: [f64; 4],
        [x, y]: [[f64; 2]; 2],
        frame: usize,
    ) {
        let map = Map::Plane { over, x, y, log: [panel.x.log, panel.y.log] };
        self.maps.push(map);
        if !panel.bare {
            self.axes(panel, &map, theme);
        }
        for (m, mark) in panel.marks.iter().enumerate().filter(|(_, m)| m.seen(frame)) {
            for draw in flat(mark, &map, panel, theme) {
                // Dots are whole: those whose middle is outside are not drawn.
                let clip = if matches!(draw, Draw::Dot { .. }) { None } else { Some(over) };
                self.items.push(Item { mark: Some((index, m)), clip, draw });
            }
        }
    }

    /// Adds background, grid, ticks and labels of a plane.
    fn axes(&mut self, panel: &Panel, map: &Map, theme: Theme) {
        let Map::Plane { over: [left, top, width, height], x, y, log } = *map else { return };
        let pieces = vec![rectangle([left, top, width, height])];
        self.push(Draw::Path { pieces, closed: true, fill: Some(theme.ground()), stroke: None });
        // A label that would touch its neighbor is left out.
        let mut free = f64::NEG_INFINITY;
        for (at, label) in x_ticks(panel, x, width) {
            let px = left + width * along(x, log[0], at);
            self.line([px, top], [px, top + height], theme.grid(), 1.0);
            let half = text::width(&label, SMALL, false) / 2.0;
            if px - half > free {
                self.text([px, top + height + 16.0], &label, SMALL, false, Anchor::Middle, theme.muted());
                free = px + half + 5.0;
            }
        }
        let marks = y_ticks(panel, y, height);
        let mut free = f64::INFINITY;
        for (at, label) in &marks {
            let py = top + height * (1.0 - along(y, log[1], *at));
            self.line([left, py], [left + width, py], theme.grid(), 1.0);
            if py + SMALL / 2.0 < free {
                self.text([left - 6.0, py + 4.0], label, SMALL, false, Anchor::End, theme.muted());
                free = py - SMALL / 2.0 - 1.0;
            }
        }
        let widest = widest(&marks);
        let stroke = Some(Stroke { color: theme.muted(), width: 1.0, dashed: false });
        let pieces = vec![vec![[left, top], [left, top + height], [left + width, top + height]]];
        self.push(Draw::Path { pieces, closed: false, fill: None, stroke });
        let middle = [left + width / 2.0, top + height + 34.0];
        let (label, size) = text::fitted(&panel.x.label, BODY, false, width + 12.0);
        self.text(middle, &label, size, false, Anchor::Middle, theme.ink());
        let (label, size) = text::fitted(&panel.y.label, BODY, false, height + 20.0);
        // Not above the panel, where its title is.
        let half = text::width(&label, size, false) / 2.0;
        self.text_upward([left - 14.0 - widest, top + (height / 2.0).max(half)], &label, size, theme.ink());
    }

    /// Adds the bar of a color scale over `[x, y, width, height]`, which is `after` pixels from the end of the panel.
    pub(super) fn scale_bar(&mut self, bar: &Scale, theme: Theme, [left, top, width, height]: [f64; 4], after: f64) {
        let column: Vec<u8> = (0..64).rev().flat_map(|i| rgb(scale(f64::from(i) / 63.0))).collect();
        let pixels = Pixels::rgb(1, 64, column);
        self.push(Draw::Image { over: [left, top, width, height], pixels, smooth: false });
        for (at, label) in ticks(bar.range, false, (height / 48.0) as usize) {
            let py = top + height * (1.0 - along(bar.range, false, at));
            self.line([left + width, py], [left + width + 4.0, py], theme.muted(), 1.0);
            self.text([left + width + BAR[2], py + 4.0], &label, SMALL, false, Anchor::Start, theme.muted());
        }
        let (label, size) = text::fitted(&bar.label, SMALL, false, 2.0 * after);
        let middle = left + width.min(after - text::width(&label, size, false) / 2.0);
        self.text([middle, top - 9.0], &label, size, false, Anchor::Middle, theme.ink());
    }
}

/// Values `[y, x]` as an image in colors of the color scale.
fn heat_pixels(width: usize, height: usize, values: &[f64], range: [f64; 2]) -> Pixels {
    let row = |j: usize| &values[j * width..(j + 1) * width];
    let colors = (0..height).rev().flat_map(row).flat_map(|&v| rgb(scale(along(range, false, v))));
    Pixels::rgb(width, height, colors.collect())
}

/// The range of the color scale of a panel, or else of the values.
fn value_range(panel: &Panel, values: &[f64]) -> [f64; 2] {
    let fold = |a: [f64; 2], &v: &f64| if v.is_finite() { [a[0].min(v), a[1].max(v)] } else { a };
    panel.scale.as_ref().map_or_else(|| values.iter().fold([f64::INFINITY, f64::NEG_INFINITY], fold), |s| s.range)
}

/// The elements of a mark of the plane.
fn flat(mark: &Mark, map: &Map, panel: &Panel, theme: Theme) -> Vec<Draw> {
    let Map::Plane { over: [left, top, width, height], .. } = *map else { return Vec::new() };
    let color = theme.color(mark.color).fade(mark.opacity);
    let stroke_of = |color: Rgba| Some(Stroke { color, width: mark.width, dashed: mark.dashed });
    let open = |pieces, color| Draw::Path { pieces, closed: false, fill: None, stroke: stroke_of(color) };
    let finite = |p: &[f64; 2]| p[0].is_finite() && p[1].is_finite();
    let split = |x: &[f64], y: &[f64]| -> Vec<Vec<[f64; 2]>> {
        let points: Vec<[f64; 2]> = x.iter().zip(y).map(|(&x, &y)| map.at(x, y)).collect();
        points.split(|p| !finite(p)).filter(|piece| piece.len() > 1).map(<[_]>::to_vec).collect()
    };
    match &mark.shape {
        Shape::Line { x, y } => vec![open(split(x, y), color)],
        Shape::Area { x, low, high } => {
            let there = (0..x.len()).map(|i| map.at(x[i], high[i]));
            let back = (0..x.len()).rev().map(|i| map.at(x[i], low[i]));
            vec![Draw::Path {
                pieces: vec![there.chain(back).filter(finite).collect()],
                closed: true,
                fill: Some(color),
                stroke: None,
            }]
        }
        Shape::Points { x, y, value } => {
            let range = value_range(panel, value);
            let dot = |i: usize| {
                let own = value.get(i).map(|&v| scale(along(range, false, v)).fade(mark.opacity));
                Draw::Dot { at: map.at(x[i], y[i]), radius: mark.width / 2.0, fill: own.unwrap_or(color) }
            };
            let inside = |[px, py]: [f64; 2]| {
                (left - 0.5..=left + width + 0.5).contains(&px) && (top - 0.5..=top + height + 0.5).contains(&py)
            };
            (0..x.len()).filter(|&i| inside(map.at(x[i], y[i]))).map(dot).collect()
        }
        Shape::Bars { edges, heights } => {
            let bar = |(i, &h): (usize, &f64)| {
                let ([x0, y0], [x1, y1]) = (map.at(edges[i], 0.0), map.at(edges[i + 1], h));
                rectangle([x0, y1, x1 - x0, y0 - y1])
            };
            let pieces = heights.iter().enumerate().map(bar).filter(|piece| piece.iter().all(finite)).collect();
            let edge = Some(Stroke { color: theme.ground(), width: 0.6, dashed: false });
            vec![Draw::Path { pieces, closed: true, fill: Some(color), stroke: edge }]
        }
        Shape::Arrows { x, y, u, v } => {
            let arrow = |i: usize| {
                let (from, to) = (map.at(x[i], y[i]), map.at(x[i] + u[i], y[i] + v[i]));
                let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
                let long = dx.hypot(dy);
                let head = (0.35 * long).min(6.0);
                let barb = |side: f64| {
                    let (ex, ey) = (dx / long.max(1e-9), dy / long.max(1e-9));
                    [to[0] - head * (ex - 0.5 * side * ey), to[1] - head * (ey + 0.5 * side * ex)]
                };
                [vec![from, to], vec![barb(1.0), to, barb(-1.0)]]
            };
            let pieces = (0..x.len()).flat_map(arrow).filter(|piece| piece.iter().all(finite)).collect();
            vec![open(pieces, color)]
        }
        Shape::Vertical { at } => {
            let px = map.at(*at, 1.0)[0];
            vec![open(vec![vec![[px, top], [px, top + height]]], color)]
        }
        Shape::Horizontal { at } => {
            let py = map.at(1.0, *at)[1];
            vec![open(vec![vec![[left, py], [left + width, py]]], color)]
        }
        Shape::Text { x, y, text, anchor } => {
            let [px, py] = map.at(*x, *y);
            // The text stays within the panel: smaller if it is too long, and moved if it is near its end.
            let (text, size) = text::fitted(text, BODY, false, width - 4.0);
            let wide = text::width(&text, size, false);
            let before = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => wide / 2.0,
                Anchor::End => wide,
            };
            let start = (px - before).min(left + width - 2.0 - wide).max(left + 2.0);
            let at = [start + before, py];
            if !finite(&at) {
                return Vec::new();
            }
            vec![Draw::Text { at, text, size, bold: false, anchor: *anchor, color, up: false }]
        }
        Shape::Heat { x, y, values } => {
            let pixels = heat_pixels(x.len(), y.len(), values, value_range(panel, values));
            let half = |v: &[f64]| if v.len() > 1 { (v[1] - v[0]) / 2.0 } else { 0.5 };
            let ends = |v: &[f64]| [v[0] - half(v), v[v.len() - 1] + half(v)];
            let ([x0, x1], [y0, y1]) = (ends(x), ends(y));
            let (a, b) = (map.at(x0, y1), map.at(x1, y0));
            vec![Draw::Image { over: [a[0], a[1], b[0] - a[0], b[1] - a[1]], pixels, smooth: true }]
        }
        Shape::Contours { values, levels, .. } => {
            let range = value_range(panel, values);
            let line = |level: &Level| {
                let color = match mark.color {
                    Color::Scale(_) => scale(along(range, false, level.value)).fade(mark.opacity),
                    _ => color,
                };
                open(split(&level.x, &level.y), color)
            };
            levels.iter().map(line).collect()
        }
        Shape::Image { x, y, pixels } => {
            let (a, b) = (map.at(x[0], y[1]), map.at(x[1], y[0]));
            vec![Draw::Image { over: [a[0], a[1], b[0] - a[0], b[1] - a[1]], pixels: pixels.clone(), smooth: false }]
        }
        Shape::Surface { .. } | Shape::Curve { .. } | Shape::Cloud { .. } => Vec::new(),
    }
}

//! A still picture as a list of things to draw: figure in, SVG or PNG out.
use crate::figure::{Anchor, Axis, Colour, Figure, Mark, Panel, Pixels, Shape};
use crate::space::{Projection, View};
use crate::text;
use crate::theme::{Rgba, Theme, scale};
use crate::ticks::{of_axis, ticks};

/// What a still picture consists of, in the order drawn.
#[derive(Clone, Debug)]
pub struct Scene {
    /// In pixels.
    pub width: f64,
    /// In pixels.
    pub height: f64,
    /// Behind everything.
    pub paper: Rgba,
    /// Drawn one over the other.
    pub items: Vec<Item>,
    /// How each panel maps data to the page.
    pub maps: Vec<Map>,
}

/// One thing drawn.
#[derive(Clone, Debug)]
pub struct Item {
    /// The panel and the mark that it shows; none for axes and words.
    pub mark: Option<(usize, usize)>,
    /// Seen within this rectangle only.
    pub clip: Option<[f64; 4]>,
    /// What is drawn.
    pub draw: Draw,
}

/// The forms that SVG and PNG know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are what the variant says")]
pub enum Draw {
    /// Lines and areas.
    Path { pieces: Vec<Vec<[f64; 2]>>, closed: bool, fill: Option<Rgba>, stroke: Option<Stroke> },
    /// A dot.
    Dot { at: [f64; 2], radius: f64, fill: Rgba },
    /// Words; `up` is a quarter turn, from below to above.
    Text { at: [f64; 2], text: String, size: f64, bold: bool, anchor: Anchor, colour: Rgba, up: bool },
    /// Pixels over `[x, y, width, height]`.
    Image { over: [f64; 4], pixels: Pixels, smooth: bool },
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    /// Its colour.
    pub colour: Rgba,
    /// In pixels.
    pub width: f64,
    /// In dashes.
    pub dashed: bool,
}

/// From data to the page.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are what the variant says")]
pub enum Map {
    /// Two axes over `[x, y, width, height]`.
    Plane { over: [f64; 4], x: [f64; 2], y: [f64; 2], log: [bool; 2] },
    /// A box seen from somewhere.
    Space(Projection),
}

/// What an axis measures with.
fn along([low, high]: [f64; 2], log: bool, v: f64) -> f64 {
    if log { (v.log10() - low.log10()) / (high.log10() - low.log10()) } else { (v - low) / (high - low) }
}

impl Map {
    /// The point of the plane on the page.
    fn at(&self, px: f64, py: f64) -> [f64; 2] {
        match self {
            Self::Plane { over: [left, top, width, height], x, y, log } => {
                [left + width * along(*x, log[0], px), top + height * (1.0 - along(*y, log[1], py))]
            }
            Self::Space(_) => unreachable!("flat marks are drawn in flat panels"),
        }
    }
}

const GAP: f64 = 14.0;
const SMALL: f64 = 12.0;
const BODY: f64 = 13.0;

impl Scene {
    /// The figure on one page, at one frame.
    pub fn new(figure: &Figure, theme: Theme, frame: usize) -> Self {
        let figure = figure.resolved();
        let columns = figure.columns.min(figure.panels.len()).max(1);
        let width = [760.0, 1040.0, 1280.0, 1400.0][(columns + usize::from(figure.wide)).min(4) - 1];
        let cell = (width - GAP * (columns as f64 + 1.0)) / columns as f64;
        let paper = theme.paper();
        let mut scene = Self { width, height: 0.0, paper, items: Vec::new(), maps: Vec::new() };
        let mut top = GAP;
        if !figure.title.is_empty() {
            scene.words([width / 2.0, top + 15.0], &figure.title, 17.0, true, Anchor::Middle, theme.ink());
            top += 30.0;
        }
        if let Some(slider) = &figure.slider {
            let label = format!("{} {}", slider.label, slider.values[frame]);
            scene.words([width / 2.0, top + 11.0], &label, BODY, false, Anchor::Middle, theme.muted());
            top += 22.0;
        }
        for (row, panels) in figure.panels.chunks(columns).enumerate() {
            let heads: Vec<Head> = panels.iter().map(|p| Head::new(p, cell, frame)).collect();
            let head = heads.iter().map(|h| h.height).fold(0.0, f64::max);
            let body = panels.iter().map(|p| Margins::of(p).height(p, cell)).fold(0.0, f64::max);
            for (column, panel) in panels.iter().enumerate() {
                let left = GAP + column as f64 * (cell + GAP);
                heads[column].draw(&mut scene, panel, theme, left, top);
                let index = row * columns + column;
                scene.panel(panel, index, theme, [left, top + head, cell], frame);
            }
            top += head + body + GAP;
        }
        scene.height = top.ceil();
        scene
    }

    fn push(&mut self, draw: Draw) {
        self.items.push(Item { mark: None, clip: None, draw });
    }

    fn words(&mut self, at: [f64; 2], text: &str, size: f64, bold: bool, anchor: Anchor, colour: Rgba) {
        self.push(Draw::Text { at, text: text.to_owned(), size, bold, anchor, colour, up: false });
    }

    /// Words from below to above.
    fn upward(&mut self, at: [f64; 2], text: &str, colour: Rgba) {
        let (text, anchor) = (text.to_owned(), Anchor::Middle);
        self.push(Draw::Text { at, text, size: BODY, bold: false, anchor, colour, up: true });
    }

    fn rule(&mut self, from: [f64; 2], to: [f64; 2], colour: Rgba, width: f64) {
        let stroke = Some(Stroke { colour, width, dashed: false });
        self.push(Draw::Path { pieces: vec![vec![from, to]], closed: false, fill: None, stroke });
    }

    fn panel(&mut self, panel: &Panel, index: usize, theme: Theme, [left, top, width]: [f64; 3], frame: usize) {
        let margins = Margins::of(panel);
        let over = [
            left + margins.left,
            top + margins.top,
            width - margins.left - margins.right,
            (width - margins.left - margins.right) * panel.aspect,
        ];
        let range = |axis: &Axis| axis.range.expect("resolved");
        if let Some(scale) = &panel.scale {
            self.scale_bar(scale, theme, [left + width - margins.right + 14.0, over[1], 12.0, over[3]]);
        }
        if let Some(z) = &panel.z {
            let ranges = [range(&panel.x), range(&panel.y), range(z)];
            let projection = Projection::fit(ranges, View::START, over);
            self.maps.push(Map::Space(projection));
            self.walls(panel, &projection, theme);
            self.solids(panel, index, &projection, theme, frame);
            return;
        }
        let (mut x, mut y) = (range(&panel.x), range(&panel.y));
        if panel.equal {
            let (sx, sy) = (over[2] / (x[1] - x[0]), over[3] / (y[1] - y[0]));
            let least = sx.min(sy);
            let widen = |r: [f64; 2], long: f64| {
                let more = (long / least - (r[1] - r[0])) / 2.0;
                [r[0] - more, r[1] + more]
            };
            (x, y) = (widen(x, over[2]), widen(y, over[3]));
        }
        let map = Map::Plane { over, x, y, log: [panel.x.log, panel.y.log] };
        self.maps.push(map);
        if !panel.bare {
            self.axes(panel, &map, theme);
        }
        for (m, mark) in panel.marks.iter().enumerate().filter(|(_, m)| m.seen(frame)) {
            for draw in flat(mark, &map, panel, theme) {
                self.items.push(Item { mark: Some((index, m)), clip: Some(over), draw });
            }
        }
    }

    /// Ground, grid, ticks and labels of a plane.
    fn axes(&mut self, panel: &Panel, map: &Map, theme: Theme) {
        let Map::Plane { over: [left, top, width, height], x, y, log } = *map else { return };
        let pieces = vec![rectangle([left, top, width, height])];
        self.push(Draw::Path { pieces, closed: true, fill: Some(theme.ground()), stroke: None });
        for (at, label) in of_axis(&panel.x, x, (width / 75.0) as usize) {
            let px = left + width * along(x, log[0], at);
            self.rule([px, top], [px, top + height], theme.grid(), 1.0);
            self.words([px, top + height + 16.0], &label, SMALL, false, Anchor::Middle, theme.muted());
        }
        let mut widest: f64 = 0.0;
        for (at, label) in of_axis(&panel.y, y, (height / 48.0) as usize) {
            let py = top + height * (1.0 - along(y, log[1], at));
            self.rule([left, py], [left + width, py], theme.grid(), 1.0);
            self.words([left - 6.0, py + 4.0], &label, SMALL, false, Anchor::End, theme.muted());
            widest = widest.max(text::width(&label, SMALL, false));
        }
        let stroke = Some(Stroke { colour: theme.muted(), width: 1.0, dashed: false });
        let pieces = vec![vec![[left, top], [left, top + height], [left + width, top + height]]];
        self.push(Draw::Path { pieces, closed: false, fill: None, stroke });
        let middle = [left + width / 2.0, top + height + 34.0];
        self.words(middle, &panel.x.label, BODY, false, Anchor::Middle, theme.ink());
        self.upward([left - 14.0 - widest, top + height / 2.0], &panel.y.label, theme.ink());
    }

    fn scale_bar(&mut self, bar: &crate::figure::Scale, theme: Theme, [left, top, width, height]: [f64; 4]) {
        let column: Vec<u8> = (0..64).rev().flat_map(|i| rgb(scale(f64::from(i) / 63.0))).collect();
        let pixels = Pixels::rgb(1, 64, column);
        self.push(Draw::Image { over: [left, top, width, height], pixels, smooth: false });
        for (at, label) in ticks(bar.range, false, (height / 48.0) as usize) {
            let py = top + height * (1.0 - along(bar.range, false, at));
            self.rule([left + width, py], [left + width + 4.0, py], theme.muted(), 1.0);
            self.words([left + width + 7.0, py + 4.0], &label, SMALL, false, Anchor::Start, theme.muted());
        }
        self.words([left + width, top - 9.0], &bar.label, SMALL, false, Anchor::Middle, theme.ink());
    }

    /// The three walls at the back of a box, with grid, ticks and labels.
    fn walls(&mut self, panel: &Panel, map: &Projection, theme: Theme) {
        let back = map.back();
        let axes = [&panel.x, &panel.y, panel.z.as_ref().expect("a box has three axes")];
        for wall in 0..3 {
            let (p, q) = ((wall + 1) % 3, (wall + 2) % 3);
            let corner = |a: usize, b: usize| {
                let mut point = back;
                (point[p], point[q]) = (map.ranges[p][a], map.ranges[q][b]);
                map.at(point).0
            };
            let pieces = vec![vec![corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)]];
            let stroke = Some(Stroke { colour: theme.grid().shade(0.9), width: 1.0, dashed: false });
            self.push(Draw::Path { pieces, closed: true, fill: Some(theme.ground()), stroke });
            for (along, across) in [(p, q), (q, p)] {
                for (at, _) in ticks(map.ranges[along], false, 5) {
                    let end = |b: usize| {
                        let mut point = back;
                        (point[along], point[across]) = (at, map.ranges[across][b]);
                        map.at(point).0
                    };
                    self.rule(end(0), end(1), theme.grid(), 1.0);
                }
            }
        }
        for (axis, label) in axes.iter().map(|a| &a.label).enumerate() {
            // The edge that carries the ticks: the nearest on the floor, and the leftmost upright one.
            let mut edge = [map.ranges[0][0], map.ranges[1][0], map.ranges[2][0]];
            if axis < 2 {
                edge[1 - axis] = map.other(1 - axis, back[1 - axis]);
            } else {
                let corners = [0, 1, 2, 3].map(|c| [map.ranges[0][c & 1], map.ranges[1][c >> 1], edge[2]]);
                let leftmost = |a: &[f64; 3], b: &[f64; 3]| map.at(*a).0[0].total_cmp(&map.at(*b).0[0]);
                edge = corners.into_iter().min_by(leftmost).expect("four corners");
            }
            let range = map.ranges[axis];
            let outward = |point: [f64; 2], by: f64| {
                if axis == 2 {
                    return [point[0] - by, point[1] + 4.0];
                }
                let mut inside = edge;
                inside[axis] = (range[0] + range[1]) / 2.0;
                let from = map.at(inside).0;
                inside[1 - axis] = back[1 - axis];
                let to = map.at(inside).0;
                let (dx, dy) = (from[0] - to[0], from[1] - to[1]);
                let long = dx.hypot(dy).max(1e-9);
                [point[0] + dx / long * by, point[1] + dy / long * by * 0.9 + 5.0]
            };
            let anchor = if axis == 2 { Anchor::End } else { Anchor::Middle };
            for (at, word) in ticks(range, false, 5) {
                let mut point = edge;
                point[axis] = at;
                let at = outward(map.at(point).0, if axis == 2 { 6.0 } else { 13.0 });
                self.words(at, &word, SMALL, false, anchor, theme.muted());
            }
            let mut middle = edge;
            middle[axis] = (range[0] + range[1]) / 2.0;
            if axis == 2 {
                let [x, y] = map.at(middle).0;
                let widest = ticks(range, false, 5).iter().map(|t| text::width(&t.1, SMALL, false)).fold(0.0, f64::max);
                self.upward([x - widest - 15.0, y], label, theme.ink());
            } else {
                let at = outward(map.at(middle).0, 36.0);
                self.words(at, label, BODY, false, Anchor::Middle, theme.ink());
            }
        }
    }

    /// Surfaces, curves and clouds, the far before the near.
    fn solids(&mut self, panel: &Panel, index: usize, map: &Projection, theme: Theme, frame: usize) {
        let mut things: Vec<(f64, Item)> = Vec::new();
        let range = panel.scale.as_ref().map_or(map.ranges[2], |s| s.range);
        for (m, mark) in panel.marks.iter().enumerate().filter(|(_, m)| m.seen(frame)) {
            let colour = theme.colour(mark.colour).fade(mark.opacity);
            let mut add =
                |depth: f64, draw: Draw| things.push((depth, Item { mark: Some((index, m)), clip: None, draw }));
            match &mark.shape {
                Shape::Surface { x, y, z } => {
                    let n = x.len();
                    for j in 0..y.len().saturating_sub(1) {
                        for i in 0..n.saturating_sub(1) {
                            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                                .map(|(i, j)| [x[i], y[j], z[j * n + i]]);
                            let high = corners.iter().map(|c| c[2]).sum::<f64>() / 4.0;
                            let seen = corners.map(|c| map.at(c));
                            let depth = seen.iter().map(|s| s.1).sum::<f64>() / 4.0;
                            let light = map.light([corners[0], corners[1], corners[3]]);
                            let fill = scale(along(range, false, high)).shade(light).fade(mark.opacity);
                            let stroke = Some(Stroke { colour: fill.shade(0.86), width: 0.7, dashed: false });
                            let pieces = vec![seen.map(|s| s.0).to_vec()];
                            add(depth, Draw::Path { pieces, closed: true, fill: Some(fill), stroke });
                        }
                    }
                }
                Shape::Curve { x, y, z, floor } => {
                    let seen: Vec<_> = (0..x.len()).map(|i| map.at([x[i], y[i], z[i]])).collect();
                    if let Some(floor) = floor {
                        let down = (0..x.len()).rev().map(|i| map.at([x[i], y[i], *floor]));
                        let all: Vec<_> = seen.iter().copied().chain(down).collect();
                        let depth = all.iter().map(|s| s.1).sum::<f64>() / all.len().max(1) as f64;
                        let pieces = vec![all.iter().map(|s| s.0).collect()];
                        add(depth, Draw::Path { pieces, closed: true, fill: Some(colour.fade(0.22)), stroke: None });
                    }
                    let stroke = Some(Stroke { colour, width: mark.width, dashed: mark.dashed });
                    for pair in seen.windows(2).filter(|p| p.iter().all(|s| s.1.is_finite())) {
                        let pieces = vec![vec![pair[0].0, pair[1].0]];
                        let depth = (pair[0].1 + pair[1].1) / 2.0;
                        add(depth, Draw::Path { pieces, closed: false, fill: None, stroke });
                    }
                }
                Shape::Cloud { x, y, z } => {
                    for i in 0..x.len() {
                        let (at, depth) = map.at([x[i], y[i], z[i]]);
                        add(depth, Draw::Dot { at, radius: mark.width / 2.0, fill: colour });
                    }
                }
                _ => {}
            }
        }
        things.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.items.extend(things.into_iter().map(|t| t.1));
    }
}

fn rectangle([x, y, w, h]: [f64; 4]) -> Vec<[f64; 2]> {
    vec![[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
}

fn rgb(c: Rgba) -> [u8; 3] {
    [c.0, c.1, c.2]
}

/// A grid of values as pixels of the colour scale.
fn heat_pixels(width: usize, height: usize, values: &[f64], range: [f64; 2]) -> Pixels {
    let row = |j: usize| &values[j * width..(j + 1) * width];
    let colours = (0..height).rev().flat_map(row).flat_map(|&v| rgb(scale(along(range, false, v))));
    Pixels::rgb(width, height, colours.collect())
}

/// The colours of a panel, or of the values themselves.
fn value_range(panel: &Panel, values: &[f64]) -> [f64; 2] {
    let fold = |a: [f64; 2], &v: &f64| if v.is_finite() { [a[0].min(v), a[1].max(v)] } else { a };
    panel.scale.as_ref().map_or_else(|| values.iter().fold([f64::INFINITY, f64::NEG_INFINITY], fold), |s| s.range)
}

/// What a mark of the plane looks like.
fn flat(mark: &Mark, map: &Map, panel: &Panel, theme: Theme) -> Vec<Draw> {
    let Map::Plane { over: [left, top, width, height], .. } = *map else { return Vec::new() };
    let colour = theme.colour(mark.colour).fade(mark.opacity);
    let stroke_of = |colour: Rgba| Some(Stroke { colour, width: mark.width, dashed: mark.dashed });
    let open = |pieces, colour| Draw::Path { pieces, closed: false, fill: None, stroke: stroke_of(colour) };
    let split = |x: &[f64], y: &[f64]| -> Vec<Vec<[f64; 2]>> {
        let points: Vec<[f64; 2]> = x.iter().zip(y).map(|(&x, &y)| map.at(x, y)).collect();
        let finite = |p: &[f64; 2]| p[0].is_finite() && p[1].is_finite();
        points.split(|p| !finite(p)).filter(|piece| piece.len() > 1).map(<[_]>::to_vec).collect()
    };
    match &mark.shape {
        Shape::Line { x, y } => vec![open(split(x, y), colour)],
        Shape::Area { x, low, high } => {
            let there = (0..x.len()).map(|i| map.at(x[i], high[i]));
            let back = (0..x.len()).rev().map(|i| map.at(x[i], low[i]));
            vec![Draw::Path {
                pieces: vec![there.chain(back).collect()],
                closed: true,
                fill: Some(colour),
                stroke: None,
            }]
        }
        Shape::Points { x, y, value } => {
            let range = value_range(panel, value);
            let dot = |i: usize| {
                let own = value.get(i).map(|&v| scale(along(range, false, v)).fade(mark.opacity));
                Draw::Dot { at: map.at(x[i], y[i]), radius: mark.width / 2.0, fill: own.unwrap_or(colour) }
            };
            (0..x.len()).map(dot).collect()
        }
        Shape::Bars { edges, heights } => {
            let bar = |(i, &h): (usize, &f64)| {
                let ([x0, y0], [x1, y1]) = (map.at(edges[i], 0.0), map.at(edges[i + 1], h));
                rectangle([x0, y1, x1 - x0, y0 - y1])
            };
            let pieces = heights.iter().enumerate().map(bar).collect();
            let edge = Some(Stroke { colour: theme.ground(), width: 0.6, dashed: false });
            vec![Draw::Path { pieces, closed: true, fill: Some(colour), stroke: edge }]
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
            vec![open((0..x.len()).flat_map(arrow).collect(), colour)]
        }
        Shape::Vertical { at } => {
            let px = map.at(*at, 1.0)[0];
            vec![open(vec![vec![[px, top], [px, top + height]]], colour)]
        }
        Shape::Horizontal { at } => {
            let py = map.at(1.0, *at)[1];
            vec![open(vec![vec![[left, py], [left + width, py]]], colour)]
        }
        Shape::Text { x, y, text, anchor } => vec![Draw::Text {
            at: map.at(*x, *y),
            text: text.clone(),
            size: BODY,
            bold: false,
            anchor: *anchor,
            colour,
            up: false,
        }],
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
            let line = |level: &crate::figure::Level| {
                let colour = match mark.colour {
                    Colour::Scale(_) => scale(along(range, false, level.value)).fade(mark.opacity),
                    _ => colour,
                };
                open(split(&level.x, &level.y), colour)
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

/// The room around the plot itself.
struct Margins {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Margins {
    fn of(panel: &Panel) -> Self {
        let bar = if panel.scale.is_some() { 68.0 } else { 0.0 };
        let bar_top = if panel.scale.is_some() { 18.0 } else { 4.0 };
        if panel.bare {
            Self { left: 4.0, right: 4.0 + bar, top: bar_top, bottom: 4.0 }
        } else if panel.z.is_some() {
            Self { left: 6.0, right: 6.0 + bar, top: bar_top, bottom: 6.0 }
        } else {
            Self { left: 62.0, right: 12.0 + bar, top: bar_top, bottom: 44.0 }
        }
    }

    fn height(&self, panel: &Panel, cell: f64) -> f64 {
        self.top + (cell - self.left - self.right) * panel.aspect + self.bottom
    }
}

/// Title and legend above a panel.
struct Head {
    title: Vec<String>,
    /// The mark, and where its entry stands.
    entries: Vec<(usize, f64, f64)>,
    height: f64,
}

const LINE: f64 = 19.0;

impl Head {
    fn new(panel: &Panel, cell: f64, frame: usize) -> Self {
        let title = wrap(&panel.title, cell - 8.0);
        let mut height = title.len() as f64 * LINE + if title.is_empty() { 0.0 } else { 3.0 };
        let mut entries: Vec<(usize, f64, f64)> = Vec::new();
        let mut x = 0.0;
        for (i, mark) in panel.marks.iter().enumerate() {
            let known = |e: &(usize, f64, f64)| panel.marks[e.0].name == mark.name;
            if mark.name.is_empty() || !mark.legend || !mark.seen(frame) || entries.iter().any(known) {
                continue;
            }
            let wide = 24.0 + text::width(&mark.name, SMALL, false) + 14.0;
            if entries.is_empty() {
                height += LINE;
            } else if x + wide > cell {
                height += LINE;
                x = 0.0;
            }
            entries.push((i, x, height - LINE));
            x += wide;
        }
        Self { title, entries, height: height + 2.0 }
    }

    fn draw(&self, scene: &mut Scene, panel: &Panel, theme: Theme, left: f64, top: f64) {
        for (i, line) in self.title.iter().enumerate() {
            let at = [left + 4.0, top + 13.0 + i as f64 * LINE];
            scene.words(at, line, 14.0, true, Anchor::Start, theme.ink());
        }
        for &(i, x, y) in &self.entries {
            let mark = &panel.marks[i];
            let (x, y) = (left + 4.0 + x, top + y + 9.0);
            let colour = theme.colour(mark.colour).fade(mark.opacity.max(0.4));
            match mark.shape {
                Shape::Points { .. } | Shape::Cloud { .. } => {
                    scene.push(Draw::Dot { at: [x + 9.0, y], radius: 4.0, fill: colour });
                }
                Shape::Area { .. } | Shape::Bars { .. } => {
                    let pieces = vec![rectangle([x, y - 5.0, 18.0, 10.0])];
                    scene.push(Draw::Path { pieces, closed: true, fill: Some(colour), stroke: None });
                }
                _ => {
                    let stroke = Some(Stroke { colour, width: mark.width.max(1.5), dashed: mark.dashed });
                    let pieces = vec![vec![[x, y], [x + 18.0, y]]];
                    scene.push(Draw::Path { pieces, closed: false, fill: None, stroke });
                }
            }
            scene.words([x + 24.0, y + 4.0], &mark.name, SMALL, false, Anchor::Start, theme.ink());
        }
    }
}

/// The words in lines of this width.
fn wrap(words: &str, wide: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text::width(&format!("{line} {word}"), 14.0, true) <= wide => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

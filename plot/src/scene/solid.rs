//! Panels in three dimensions: a box, and surfaces, curves and dots in it.
use super::drawing::{BODY, Draw, Item, Map, SMALL, Scene, Stroke, along};
use crate::{
    figure::{Panel, Shape},
    space::{Projection, View},
    text::{self, Anchor},
    theme::{Theme, scale},
    ticks::ticks,
};

impl Scene {
    /// Adds box and marks of a panel in three dimensions over `[x, y, width, height]`.
    pub(super) fn space(
        &mut self,
        panel: &Panel,
        index: usize,
        theme: Theme,
        over: [f64; 4],
        ranges: [[f64; 2]; 3],
        frame: usize,
    ) {
        let projection = Projection::fit(ranges, View::START, over);
        self.maps.push(Map::Space(projection));
        self.walls(panel, &projection, theme);
        self.solids(panel, index, &projection, theme, frame);
    }

    /// Adds the three walls at the back of a box, with grid, ticks and labels.
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
            let stroke = Some(Stroke { color: theme.grid().shade(0.9), width: 1.0, dashed: false });
            self.push(Draw::Path { pieces, closed: true, fill: Some(theme.ground()), stroke });
            for (along, across) in [(p, q), (q, p)] {
                for (at, _) in ticks(map.ranges[along], false, 5) {
                    let end = |b: usize| {
                        let mut point = back;
                        (point[along], point[across]) = (at, map.ranges[across][b]);
                        map.at(point).0
                    };
                    self.line(end(0), end(1), theme.grid(), 1.0);
                }
            }
        }
        for (axis, label) in axes.iter().map(|a| &a.label).enumerate() {
            // The edge with the ticks: the nearest on the floor, and the leftmost vertical one.
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
            for (at, tick) in ticks(range, false, 5) {
                let mut point = edge;
                point[axis] = at;
                let at = outward(map.at(point).0, if axis == 2 { 6.0 } else { 13.0 });
                self.text(at, &tick, SMALL, false, anchor, theme.muted());
            }
            let mut middle = edge;
            middle[axis] = (range[0] + range[1]) / 2.0;
            if axis == 2 {
                let [x, y] = map.at(middle).0;
                let widest = ticks(range, false, 5).iter().map(|t| text::width(&t.1, SMALL, false)).fold(0.0, f64::max);
                self.text_upward([x - widest - 15.0, y], label, theme.ink());
            } else {
                let at = outward(map.at(middle).0, 36.0);
                self.text(at, label, BODY, false, Anchor::Middle, theme.ink());
            }
        }
    }

    /// Adds surfaces, curves and dots, from back to front (painter's algorithm).
    fn solids(&mut self, panel: &Panel, index: usize, map: &Projection, theme: Theme, frame: usize) {
        let mut things: Vec<(f64, Item)> = Vec::new();
        let range = panel.scale.as_ref().map_or(map.ranges[2], |s| s.range);
        for (m, mark) in panel.marks.iter().enumerate().filter(|(_, m)| m.seen(frame)) {
            let color = theme.color(mark.color).fade(mark.opacity);
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
                            let stroke = Some(Stroke { color: fill.shade(0.86), width: 0.7, dashed: false });
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
                        add(depth, Draw::Path { pieces, closed: true, fill: Some(color.fade(0.22)), stroke: None });
                    }
                    let stroke = Some(Stroke { color, width: mark.width, dashed: mark.dashed });
                    for pair in seen.windows(2).filter(|p| p.iter().all(|s| s.1.is_finite())) {
                        let pieces = vec![vec![pair[0].0, pair[1].0]];
                        let depth = (pair[0].1 + pair[1].1) / 2.0;
                        add(depth, Draw::Path { pieces, closed: false, fill: None, stroke });
                    }
                }
                Shape::Cloud { x, y, z } => {
                    for i in 0..x.len() {
                        let (at, depth) = map.at([x[i], y[i], z[i]]);
                        add(depth, Draw::Dot { at, radius: mark.width / 2.0, fill: color });
                    }
                }
                _ => {}
            }
        }
        things.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.items.extend(things.into_iter().map(|t| t.1));
    }
}

//! Panels in three dimensions: a box, and surfaces, curves and dots in it.
use super::{
    drawing::{BODY, Draw, Item, Map, SMALL, Scene, Stroke, along},
    layout::widest,
};
use crate::{
    figure::{Panel, Shape},
    space::{Projection, View},
    text::{self, Anchor},
    theme::{Rgba, Theme, scale},
    ticks::ticks,
};

/// The part of a surface between four grid points, or a triangle of it.
struct Facet {
    corners: Vec<[f64; 3]>,
    /// The sides of a triangle that are lines of the grid; `None` for all four of a quadrilateral.
    edges: Option<[[f64; 3]; 3]>,
}

/// How far four corners may be from one plane, as a part of the range of heights, before they become two triangles.
const BENT: f64 = 0.001;

/// The facets between four corners in order around a cell.
///
/// Over a bent cell the common side of the two triangles is the higher diagonal: a crest that runs diagonally to the
/// grid is then a line, where the outline of quadrilaterals would be a saw.
fn facets(corners: [[f64; 3]; 4], range: [f64; 2]) -> Vec<Facet> {
    if !corners.iter().flatten().all(|v| v.is_finite()) {
        return Vec::new();
    }
    let bend = corners[0][2] + corners[2][2] - corners[1][2] - corners[3][2];
    if bend.abs() <= BENT * (range[1] - range[0]) {
        return vec![Facet { corners: corners.to_vec(), edges: None }];
    }
    let first = usize::from(bend < 0.0);
    let triangle = |from: usize| {
        let three = [0, 1, 2].map(|i| corners[(from + i) % 4]);
        Facet { corners: three.to_vec(), edges: Some(three) }
    };
    vec![triangle(first), triangle(first + 2)]
}

/// The pixels that the labels of the vertical axis need beside the box.
fn side(panel: &Panel) -> f64 {
    let range = panel.z.as_ref().and_then(|axis| axis.range).unwrap_or([0.0, 1.0]);
    widest(&ticks(range, false, 5)) + 28.0
}

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
        let projection = Projection::fit(ranges, View::START, over, side(panel));
        self.maps.push(Map::Space(projection));
        self.walls(panel, &projection, theme, over);
        self.solids(panel, index, &projection, theme, frame);
    }

    /// Adds the three walls at the back of a box, with grid, ticks and labels.
    fn walls(&mut self, panel: &Panel, map: &Projection, theme: Theme, over: [f64; 4]) {
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
        let mut taken: Vec<[f64; 4]> = Vec::new();
        let mut names = Vec::new();
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
            let outward = move |point: [f64; 2], by: f64| {
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
                self.label(at, &tick, SMALL, anchor, theme.muted(), &mut taken);
            }
            let at = |value: f64| {
                let mut point = edge;
                point[axis] = value;
                map.at(point).0
            };
            let ([x0, y0], [x1, y1]) = (at(range[0]), at(range[1]));
            names.push((label, at((range[0] + range[1]) / 2.0), (x1 - x0).hypot(y1 - y0), outward));
        }
        let [left, top, width, height] = over;
        for (axis, (label, at, long, outward)) in names.into_iter().enumerate() {
            if axis == 2 {
                let (label, size) = text::fitted(label, BODY, false, height.min(1.2 * long));
                let half = text::width(&label, size, false) / 2.0;
                let y = at[1].max(top + half).min(top + height - half);
                self.text_upward([at[0] - self::side(panel) + 13.0, y], &label, size, theme.ink());
            } else {
                let (label, size) = text::fitted(label, BODY, false, width / 2.0);
                let half = text::width(&label, size, false) / 2.0;
                // Farther out if ticks are in the way.
                for by in [36.0, 42.0, 48.0] {
                    let [x, y] = outward(at, by);
                    let x = x.max(left + half).min(left + width - half);
                    if self.label([x, y], &label, size, Anchor::Middle, theme.ink(), &mut taken) {
                        break;
                    }
                }
            }
        }
    }

    /// Adds a text if it does not cover another; whether it did.
    fn label(
        &mut self,
        at: [f64; 2],
        text: &str,
        size: f64,
        anchor: Anchor,
        color: Rgba,
        taken: &mut Vec<[f64; 4]>,
    ) -> bool {
        let draw = Draw::Text { at, text: text.to_owned(), size, bold: false, anchor, color, up: false };
        let Some(own) = draw.text_box() else { return false };
        let apart =
            |other: &[f64; 4]| (0..2).any(|i| own[i] + own[i + 2] < other[i] || other[i] + other[i + 2] < own[i]);
        let free = taken.iter().all(apart);
        if free && !text.is_empty() {
            taken.push(own);
            self.push(draw);
        }
        free
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
                    // As in a page, so that both split the same cells.
                    let (n, z) = (x.len(), z.rounded());
                    for j in 0..y.len().saturating_sub(1) {
                        for i in 0..n.saturating_sub(1) {
                            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                                .map(|(i, j)| [x[i], y[j], z[j * n + i]]);
                            for Facet { corners, edges } in facets(corners, range) {
                                let seen: Vec<_> = corners.iter().map(|c| map.at(*c)).collect();
                                let count = corners.len() as f64;
                                let high = corners.iter().map(|c| c[2]).sum::<f64>() / count;
                                let depth = seen.iter().map(|s| s.1).sum::<f64>() / count;
                                let light = map.light([corners[0], corners[1], corners[corners.len() - 1]]);
                                let fill = scale(along(range, false, high)).shade(light).fade(mark.opacity);
                                let line = |color| Some(Stroke { color, width: 0.7, dashed: false });
                                let dark = fill.shade(0.86);
                                let inner = line(if edges.is_some() { fill } else { dark });
                                let pieces = vec![seen.iter().map(|s| s.0).collect()];
                                add(depth, Draw::Path { pieces, closed: true, fill: Some(fill), stroke: inner });
                                if let Some(edges) = edges {
                                    let pieces = vec![edges.map(|c| map.at(c).0).to_vec()];
                                    add(depth, Draw::Path { pieces, closed: false, fill: None, stroke: line(dark) });
                                }
                            }
                        }
                    }
                }
                Shape::Curve { x, y, z, floor } => {
                    let seen: Vec<_> = (0..x.len()).map(|i| map.at([x[i], y[i], z[i]])).collect();
                    if let Some(floor) = floor {
                        let down = (0..x.len()).rev().map(|i| map.at([x[i], y[i], *floor]));
                        let all: Vec<_> = seen.iter().copied().chain(down).collect();
                        let depth = all.iter().map(|s| s.1).sum::<f64>() / all.len().max(1) as f64;
                        let pieces = vec![all.iter().filter(|s| s.1.is_finite()).map(|s| s.0).collect()];
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
                        if !depth.is_finite() {
                            continue;
                        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagonal_crest_is_a_side_of_triangles() {
        let cell = |heights: [f64; 4]| {
            let at = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
            [0, 1, 2, 3].map(|i| [at[i][0], at[i][1], heights[i]])
        };
        // Flat cells are one facet.
        assert_eq!(facets(cell([0.0, 1.0, 2.0, 1.0]), [0.0, 2.0]).len(), 1);
        for (heights, crest) in [([1.0, 0.2, 1.0, 0.2], 1.0), ([0.2, 1.0, 0.2, 1.0], 1.0)] {
            let two = facets(cell(heights), [0.0, 1.0]);
            assert_eq!(two.len(), 2);
            for facet in two {
                assert_eq!(facet.corners.iter().filter(|c| c[2] == crest).count(), 2, "both have the crest as a side");
                // The lines of the grid end on the crest, and the crest itself is not one of them.
                let edges = facet.edges.unwrap();
                assert!(edges[0][2] == crest && edges[2][2] == crest && edges[1][2] != crest);
            }
        }
        assert!(facets(cell([f64::NAN, 0.0, 0.0, 0.0]), [0.0, 1.0]).is_empty());
    }
}

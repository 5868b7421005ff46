//! Contour lines by marching squares.

/// The contour lines of `values[y, x]` at `level`, as x and y coordinates with NaN between the lines.
///
/// Each cell has at most two segments, between the points of its sides where linear interpolation gives `level`; the
/// ambiguity of a saddle is resolved by the mean of its corners. Segments that share an end are joined.
pub fn lines(x: &[f64], y: &[f64], values: &[f64], level: f64) -> (Vec<f64>, Vec<f64>) {
    use std::collections::BTreeMap;
    let n = x.len();
    let at = |i: usize, j: usize| values[j * n + i] - level;
    // The index of a side: 2 (j n + i) for the lower side of cell (i, j), and one more for its left side.
    let side = |i: usize, j: usize, upright: usize| 2 * (j * n + i) + upright;
    let point = |side: usize| {
        let (i, j, upright) = (side / 2 % n, side / 2 / n, side % 2);
        let (a, b) = (at(i, j), if upright == 1 { at(i, j + 1) } else { at(i + 1, j) });
        let w = a / (a - b);
        if upright == 1 { (x[i], y[j] + w * (y[j + 1] - y[j])) } else { (x[i] + w * (x[i + 1] - x[i]), y[j]) }
    };
    let mut pieces: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for j in 0..y.len().saturating_sub(1) {
        for i in 0..n.saturating_sub(1) {
            let [a, b, c, d] = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)];
            let [south, east, north, west] = [side(i, j, 0), side(i + 1, j, 1), side(i, j + 1, 0), side(i, j, 1)];
            let crossed = |p: f64, q: f64| (p > 0.0) != (q > 0.0);
            let mut join = |p: usize, q: usize| {
                pieces.entry(p).or_default().push(q);
                pieces.entry(q).or_default().push(p);
            };
            let sides = [(south, a, b), (east, b, c), (north, c, d), (west, d, a)];
            let hit: Vec<usize> = sides.iter().filter(|(_, p, q)| crossed(*p, *q)).map(|(s, ..)| *s).collect();
            match hit[..] {
                [p, q] => join(p, q),
                [..] if hit.len() == 4 => {
                    let high_middle = a + b + c + d > 0.0;
                    // The two corners that differ from the middle are cut off.
                    if (a > 0.0) == high_middle {
                        join(south, east);
                        join(north, west);
                    } else {
                        join(west, south);
                        join(east, north);
                    }
                }
                _ => {}
            }
        }
    }
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    let mut trace = |start: usize, pieces: &mut BTreeMap<usize, Vec<usize>>| {
        let mut here = start;
        loop {
            let (px, py) = point(here);
            xs.push(px);
            ys.push(py);
            let Some(next) = pieces.get_mut(&here).and_then(Vec::pop) else { break };
            let back = pieces.get_mut(&next).expect("every segment is stored at both ends");
            back.swap_remove(back.iter().position(|&p| p == here).expect("every segment is stored at both ends"));
            here = next;
        }
        xs.push(f64::NAN);
        ys.push(f64::NAN);
    };
    // First the lines that end at the border, from their ends, then closed lines.
    let all: Vec<usize> = pieces.keys().copied().collect();
    for length in [1, 2] {
        for &start in &all {
            if pieces[&start].len() == length {
                trace(start, &mut pieces);
            }
        }
    }
    (xs, ys)
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_contour_of_a_cone_is_a_circle() {
        let x: Vec<f64> = (0..81).map(|i| -2.0 + 0.05 * f64::from(i)).collect();
        let values: Vec<f64> = x.iter().flat_map(|y| x.iter().map(move |x| x.hypot(*y))).collect();
        let (lx, ly) = lines(&x, &x, &values, 1.3);
        let breaks = lx.iter().filter(|v| v.is_nan()).count();
        assert_eq!(breaks, 1, "one closed line");
        assert!(lx.iter().zip(&ly).filter(|p| !p.0.is_nan()).all(|(x, y)| (x.hypot(*y) - 1.3).abs() < 2e-3));
        assert!((lx[0], ly[0]) == (lx[lx.len() - 2], ly[ly.len() - 2]), "closed");
        // The length is the circumference.
        let length: f64 = (1..lx.len() - 1).map(|i| (lx[i] - lx[i - 1]).hypot(ly[i] - ly[i - 1])).sum();
        assert!((length - 2.6 * std::f64::consts::PI).abs() < 0.01);
    }

    #[test]
    fn contours_of_a_plane_are_straight_and_a_saddle_has_two() {
        let x = [-1.0, 0.0, 1.0];
        let plane: Vec<f64> = x.iter().flat_map(|y| x.map(|x| x + y)).collect();
        let (lx, ly) = lines(&x, &x, &plane, 0.5);
        assert!(lx.iter().zip(&ly).filter(|p| !p.0.is_nan()).all(|(x, y)| (x + y - 0.5).abs() < 1e-12));
        let corners = [-1.0, 1.0];
        let (lx, _) = lines(&corners, &corners, &[1.0, -1.0, -1.0, 1.0], 0.1);
        assert_eq!(lx.iter().filter(|v| v.is_nan()).count(), 2, "two lines");
        assert!(lines(&corners, &corners, &[0.0; 4], 1.0).0.is_empty());
    }
}

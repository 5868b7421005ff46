//! Eigenvectors of symmetric matrices.

/// Computes the orthonormal eigenvectors and the eigenvalues of a symmetric matrix by Jacobi rotations.
///
/// Small eigenvalues are accurate to the last digits too, and the order of the vectors, in which samples are computed, is that of
/// the axes they rotate from, not that of the values.
pub(super) fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(i == j)).collect()).collect();
    for sweep in 0..100 {
        let off: f64 = (0..n).map(|i| (0..i).map(|j| a[i][j].abs()).sum::<f64>()).sum();
        let scale: f64 = (0..n).map(|i| a[i][i].abs()).sum();
        // Between axes of very different scales an entry is small compared with theirs, not with the largest.
        let small = |i: usize, j: usize| a[i][j].abs() <= 1e-16 * a[i][i].abs().sqrt() * a[j][j].abs().sqrt();
        if off <= 1e-17 * scale && (sweep > 30 || (0..n).all(|i| (0..i).all(|j| small(i, j)))) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cos = tan.hypot(1.0).recip();
                let sin = tan * cos;
                for row in a.iter_mut() {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
                let (head, tail) = a.split_at_mut(q);
                let (top, bottom) = (&mut head[p], &mut tail[0]);
                for (x, y) in top.iter_mut().zip(bottom.iter_mut()) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
                let (head, tail) = vectors.split_at_mut(q);
                for (x, y) in head[p].iter_mut().zip(tail[0].iter_mut()) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
        }
    }
    (vectors, (0..n).map(|i| a[i][i]).collect())
}

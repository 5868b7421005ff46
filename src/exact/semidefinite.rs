//! Which matrices are covariances, decided without regard to the units of the axes.
use super::eigen::eigen;

/// Checks that a square matrix is symmetric and positive semidefinite, and counts the directions in which it vanishes.
///
/// Both are decided on the correlation matrix, `Σᵢⱼ/√(Σᵢᵢ Σⱼⱼ)`, to a few units in the last place: variances of very
/// different sizes are not zero beside one another.
pub(super) fn null_directions(rows: &[Vec<f64>]) -> Result<usize, String> {
    let dim = rows.len();
    if let Some(v) = rows.iter().flatten().find(|v| !v.is_finite()) {
        return Err(format!("the covariance must be finite, got {v}"));
    }
    if let Some(i) = (0..dim).find(|&i| rows[i][i] < 0.0) {
        return Err(format!("variances must not be negative, but the covariance has {} in row {i}", rows[i][i]));
    }
    let scale: Vec<f64> = (0..dim).map(|i| rows[i][i].sqrt()).collect();
    for i in 0..dim {
        for j in 0..i {
            let (a, b, size) = (rows[i][j], rows[j][i], scale[i] * scale[j]);
            if (a - b).abs() > 1e-9 * size {
                return Err(format!(
                    "the covariance must be symmetric, but entry ({i}, {j}) is {a} and entry ({j}, {i}) is {b}"
                ));
            }
            if a.abs() > (1.0 + 1e-12) * size {
                return Err(format!(
                    "the covariance must be positive semidefinite, but entry ({i}, {j}) is {a}, larger than √(Σᵢᵢ Σⱼⱼ) = {size}"
                ));
            }
        }
    }
    let share = |i: usize, j: usize| match (i == j, scale[i] * scale[j] > 0.0) {
        (true, positive) => f64::from(positive),
        (false, true) => 0.5 * (rows[i][j] / scale[i] / scale[j] + rows[j][i] / scale[i] / scale[j]),
        (false, false) => 0.0,
    };
    let (_, values) = eigen((0..dim).map(|i| (0..dim).map(|j| share(i, j)).collect()).collect());
    let rounding = 4.0 * dim as f64 * f64::EPSILON;
    match values.iter().find(|v| **v < -1e-12_f64.max(rounding)) {
        Some(v) => Err(format!(
            "variances must not be negative, but the covariance has {v:.3e} in some direction, in standard deviations of the axes"
        )),
        None => Ok(values.iter().filter(|v| **v <= rounding).count()),
    }
}

/// Sets the `null` smallest values to exactly 0, and those that rounding made negative.
pub(super) fn vanish(values: &mut [f64], null: usize) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
    order[..null.min(values.len())].iter().for_each(|i| values[*i] = 0.0);
    values.iter_mut().for_each(|v| *v = v.max(0.0));
}

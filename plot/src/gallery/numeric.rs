//! Grids, histograms and the formatting of numbers.

/// A function of one number.
pub type Function<'a> = &'a dyn Fn(f64) -> f64;

/// `n` evenly spaced numbers from low to high, both included.
#[doc(alias = "linspace")]
pub fn grid(low: f64, high: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| low + (high - low) * i as f64 / (n as f64 - 1.0)).collect()
}

/// The histogram of values in `bins` intervals from low to high: the edges, and the heights as a density.
pub fn histogram(values: &[f64], [low, high]: [f64; 2], bins: usize) -> (Vec<f64>, Vec<f64>) {
    let wide = (high - low) / bins as f64;
    let mut counts = vec![0.0; bins];
    for &v in values.iter().filter(|&&v| v >= low && v <= high) {
        counts[(((v - low) / wide) as usize).min(bins - 1)] += 1.0;
    }
    let total = values.len().max(1) as f64 * wide;
    (grid(low, high, bins + 1), counts.into_iter().map(|c| c / total).collect())
}

/// A number with at most two decimals in scientific notation, `4.7×10⁻⁴`.
pub fn scientific(v: f64) -> String {
    crate::ticks::scientific(v, 2)
}

/// A number with this many decimals and a minus sign; zero has no sign.
pub fn fixed(v: f64, decimals: usize) -> String {
    crate::ticks::fixed(v, decimals)
}

/// The shortest text that is exactly this number, large and small ones in scientific notation; zero has no sign.
pub fn plain(v: f64) -> String {
    crate::ticks::plain(v)
}

/// A number with at most three decimals, for legends, or in scientific notation if `unit`, the size that such numbers
/// have, is far from one.
pub(super) fn round(v: f64, unit: f64) -> String {
    if v.abs() < 5e-4 * unit {
        return "0".into();
    }
    if !(0.01..1e5).contains(&unit) {
        return crate::ticks::scientific(v, 3);
    }
    let text = fixed(v, 3);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

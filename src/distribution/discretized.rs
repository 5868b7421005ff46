//! The mass of a bin under a normal, in logarithms.
use burn::tensor::{Bool, DType, Tensor};
use std::f64::consts::{SQRT_2, TAU};

/// The mass below which logarithms are exact and a difference of two erf is not, and where the tails begin: erf has an
/// absolute error of 6e-8 in single precision, and of 1e-16 in double.
fn limits(dtype: DType) -> (f64, f64) {
    if dtype == DType::F64 { (1e-8, 4.0) } else { (1e-3, 2.5) }
}

/// The largest distance whose square is finite in single precision, in standard deviations.
const MOST: f64 = 1e18;

/// −ln of the mass of N(0, 1) between `low` and `high`, in units of √2; bins of `first` begin at −∞, those of `last`
/// end at ∞.
pub(super) fn mass_nll<const D: usize>(
    low: Tensor<D>,
    high: Tensor<D>,
    first: Tensor<D, Bool>,
    last: Tensor<D, Bool>,
) -> Tensor<D> {
    let in_logs = tail_nll(low.clone() * SQRT_2, high.clone() * SQRT_2, first.clone(), last.clone());
    let cdf = |z: Tensor<D>| (z.erf() + 1.0) * 0.5;
    let upper = cdf(high.clone()).mask_fill(last.clone(), 1.0);
    let lower = cdf(low.clone()).mask_fill(first, 0.0);
    // In the upper tail cdf(−low) − cdf(−high) keeps the digits that cdf(high) − cdf(low) loses.
    let tail = cdf(-low).sub(cdf(-high).mask_fill(last, 0.0));
    let center = upper.clone().greater_elem(0.5).bool_and(lower.clone().greater_elem(0.5));
    let mass = (upper - lower).mask_where(center, tail);
    let (least, _) = limits(mass.dtype());
    let small = mass.clone().lower_elem(least);
    mass.clamp_min(least).log().neg().mask_where(small, in_logs)
}

/// −ln of the mass of a bin in one of the tails: of `Q(a) − Q(b)` with `Q(z) = φ(z)/m(z)`, in logarithms, so that it
/// neither underflows nor loses its slope.
///
/// `m(z) = z + 1/(z + 2/(z + 3/(z + …)))`, and `ln Q(b) − ln Q(a) = −(b − a)(b + a)/2 + ln m(a) − ln m(b)`.
fn tail_nll<const D: usize>(
    low: Tensor<D>,
    high: Tensor<D>,
    first: Tensor<D, Bool>,
    last: Tensor<D, Bool>,
) -> Tensor<D> {
    // The bin as seen from the mean: from its nearer bound a to its farther one b, which for the outer bins is ∞.
    let above =
        low.clone().add(high.clone()).greater_elem(0.0).bool_or(last.clone()).bool_and(first.clone().bool_not());
    let open = first.bool_or(last);
    let near = (-high.clone()).mask_where(above.clone(), low.clone());
    let far = (-low).mask_where(above, high);
    let width = far - near.clone();
    let width = width.clone().mask_fill(width.is_nan(), 1.0).clamp_min(f64::from(f32::MIN_POSITIVE));
    // Nearer to the mean a mass this small is that of a narrow bin: the density times its width.
    let (_, least) = limits(near.dtype());
    let inner = near.clone().lower_elem(least);
    let middle = (near.clone() + width.clone() * 0.5).clamp(-least - 1.0, least + 1.0).square();
    // ∫ φ over a bin of width w is φ w (1 + w² (m² − 1)/24 + …).
    let curved = width.clone().clamp_max(0.1).square() * (middle.clone() - 1.0) / 24.0;
    let narrow = middle * 0.5 + 0.5 * TAU.ln() - width.clone().log() - (curved + 1.0).log();

    let a = near.clone().clamp(least, MOST);
    let b = a.clone() + width.clone();
    let fraction = |z: &Tensor<D>| (1..=30).rev().fold(z.clone(), |rest, k| z.clone() + rest.recip() * f64::from(k));
    let (m_a, m_b) = (fraction(&a), fraction(&b));
    let log_q = a.clone().square() * -0.5 - m_a.clone().log() - 0.5 * TAU.ln();
    let less = (width * (a + b) * 0.5 + (m_b / m_a).log()).clamp_min(f64::from(f32::MIN_POSITIVE));
    // ln(1 − e^(−less)) = ln less − less/2 + less²/24 − … of a bin that ends.
    let series = less.clone().log() - less.clone() * 0.5 + less.clone().square() / 24.0;
    let share = (less.clone().neg().exp().neg() + 1.0).clamp_min(1e-3).log();
    let share = share.mask_where(less.lower_elem(1e-2), series).mask_fill(open, 0.0);
    let tail = (log_q + share).neg().mask_fill(near.is_inf(), f64::INFINITY);
    tail.mask_where(inner, narrow)
}

//! Special functions: ln Γ, the regularized incomplete beta function, and the normal distribution function and its inverse.
//!
//! The normal distribution function and its inverse stand here twice. [`normal_series_cdf`] and [`normal_series_quantile`] define
//! the timesteps of [`LogitNormal`](crate::spacing::LogitNormal) and [`LogNormal`](crate::spacing::LogNormal): a seed means the
//! same run only as long as they give the same bits. [`normal_cdf`] and [`normal_quantile`] keep their relative precision in both
//! tails; the two agree to rounding. For the same reason [`ln_gamma`] is not libm's, whose last bits differ.
use std::f64::consts::{PI, SQRT_2, TAU};

/// ln |Γ(x)|, by Lanczos's approximation with nine terms, to about 1e-14; by reflection for x < ½.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum = C.iter().enumerate().skip(1).fold(C[0], |sum, (i, c)| sum + c / (x + i as f64));
    let t = x + 7.5;
    0.5 * TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularized incomplete beta function, the distribution function of a beta distribution.
///
/// `I_x(a, b) = ∫₀ˣ t^(a−1) (1 − t)^(b−1) dt / ∫₀¹ t^(a−1) (1 − t)^(b−1) dt`, by the continued fraction on the side of the mean
/// where it converges, evaluated with Lentz's method.
pub(crate) fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return f64::from(x >= 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (a * x.ln() + b * (-x).ln_1p() - (ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b))).exp() / a;
    let tiny = 1e-300;
    let (mut f, mut c, mut d) = (1.0, 1.0, 0.0);
    for i in 0..300 {
        let m = f64::from(i / 2);
        let term = match i {
            0 => 1.0,
            i if i % 2 == 0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        };
        d = 1.0 + term * d;
        d = if d.abs() < tiny { tiny } else { d }.recip();
        c = 1.0 + term / c;
        c = if c.abs() < tiny { tiny } else { c };
        f *= c * d;
        if (1.0 - c * d).abs() < 1e-15 {
            break;
        }
    }
    front * (f - 1.0)
}

/// Φ(x), by its power series for |x| < 3 and by a continued fraction beyond.
pub(crate) fn normal_series_cdf(x: f64) -> f64 {
    let y = x.abs();
    let density = (-0.5 * y * y).exp() / TAU.sqrt();
    let tail = if y < 3.0 {
        // ½ − φ Σ x^(2k+1)/(1·3·…·(2k+1)).
        let (mut term, mut sum) = (y, y);
        for k in 1..200 {
            term *= y * y / (2.0 * f64::from(k) + 1.0);
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        0.5 - density * sum
    } else {
        // φ/(x + 1/(x + 2/(x + …))).
        density / (1..=120).rev().fold(y, |rest, k| y + f64::from(k) / rest)
    };
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Φ⁻¹(u), by bisection on [`normal_series_cdf`]; −∞ and ∞ at 0 and 1.
pub(crate) fn normal_series_quantile(u: f64) -> f64 {
    if u <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if u >= 1.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (-40.0_f64, 40.0_f64);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_series_cdf(middle) < u { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Φ(z) = ½ erfc(−z/√2), exact to rounding in both tails.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// Φ⁻¹(p), by Newton's method on ln Φ; −∞ and ∞ at 0 and 1.
///
/// ln Φ is concave and rising, so from a start left of the root Newton rises to it without overshooting, and
/// `Φ(z) ≤ ½ exp(−z²/2)` for z ≤ 0 gives such a start: −√(−2 ln 2p).
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    // Φ(z) underflows to 0 below −38.4.
    let mut z = (-(-2.0 * (2.0 * p).ln()).max(0.0).sqrt()).max(-38.4);
    for _ in 0..60 {
        let tail = normal_cdf(z).max(f64::MIN_POSITIVE);
        let slope = (-0.5 * z * z).exp().max(f64::MIN_POSITIVE) / (2.0 * PI).sqrt() / tail;
        let step = (p / tail).ln() / slope;
        z += step;
        if step.abs() <= 1e-15 * z.abs().max(1e-3) {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_is_that_of_libm() {
        for x in (1..10_000).map(|i| f64::from(i) * 1e-3) {
            let (own, other) = (ln_gamma(x), libm::lgamma(x));
            assert!((own - other).abs() < 1e-13 * (1.0 + other.abs()), "{x}: {own} and {other}");
        }
    }

    #[test]
    fn both_normal_distribution_functions_agree_and_are_inverted() {
        for z in (-800..=800).map(|i| f64::from(i) * 0.01) {
            let (series, erfc) = (normal_series_cdf(z), normal_cdf(z));
            assert!((series - erfc).abs() < 1e-15 + 1e-12 * erfc, "{z}: {series} and {erfc}");
            assert!(z > 4.0 || (normal_quantile(erfc) - z).abs() < 1e-9, "{z}: {}", normal_quantile(erfc));
            assert!(z.abs() > 4.0 || (normal_series_quantile(series) - z).abs() < 1e-9, "{z}");
        }
        assert_eq!([normal_quantile(0.0), normal_series_quantile(1.0)], [f64::NEG_INFINITY, f64::INFINITY]);
    }

    #[test]
    fn incomplete_beta_has_its_closed_forms() {
        for x in (0..=100).map(|i| f64::from(i) * 0.01) {
            // I_x(a, 1) = xᵃ, I_x(½, ½) = 2/π arcsin √x, and I_x(a, b) = 1 − I_{1−x}(b, a).
            assert!((incomplete_beta(2.5, 1.0, x) - x.powf(2.5)).abs() < 1e-13);
            assert!((incomplete_beta(0.5, 0.5, x) - 2.0 / PI * x.sqrt().asin()).abs() < 1e-13);
            assert!((incomplete_beta(0.3, 7.0, x) + incomplete_beta(7.0, 0.3, 1.0 - x) - 1.0).abs() < 1e-13);
        }
    }
}

//! Ticks of axes and their labels.
use crate::figure::Axis;

/// Values and labels of about `count` ticks of an axis over `range`: its own ticks, if at least two of them are in
/// range.
pub fn of_axis(axis: &Axis, range: [f64; 2], count: usize) -> Vec<(f64, String)> {
    let seen = |v: &&f64| range[0] <= **v && **v <= range[1];
    let own: Vec<(f64, String)> = axis.ticks.iter().filter(seen).map(|&v| (v, plain(v))).collect();
    if own.len() > 1 { own } else { ticks(range, axis.log, count) }
}

/// Values and labels of about `count` ticks over a range.
pub fn ticks([low, high]: [f64; 2], log: bool, count: usize) -> Vec<(f64, String)> {
    if log { logarithmic(low, high, count) } else { linear(low, high, count) }
}

/// Ticks at the multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough * 0.999).unwrap_or(10.0);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| (i as f64 * step, label(i as f64 * step, step))).collect()
}

/// Ticks at powers of ten: at every second, third, … if there are many, and at 2 and 5 times them if there are few.
fn logarithmic(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    if high > 8.0 * low && 3 * (last - first + 1).max(1) as usize <= count {
        let inside = |at: f64| at >= low * (1.0 - 1e-9) && at <= high * (1.0 + 1e-9);
        let all = (first - 1..=last).flat_map(|i| [1.0, 2.0, 5.0].map(|m| (m * 10f64.powi(i), scaled(m, i))));
        return all.filter(|(at, _)| inside(*at)).collect();
    }
    if last - first < 1 {
        return linear(low, high, count).into_iter().filter(|t| t.0 > 0.0).collect();
    }
    let stride = ((last - first) as usize).div_ceil(count.max(1)).max(1) as i32;
    (first..=last).filter(|i| i.rem_euclid(stride) == 0).map(|i| (10f64.powi(i), ten_to(i))).collect()
}

/// The label of 10ⁱ.
fn ten_to(i: i32) -> String {
    match i {
        -3..=3 => format!("{}", 10f64.powi(i)),
        _ => format!("10{}", superscript(i)),
    }
}

/// The label of m·10ⁱ.
fn scaled(m: f64, i: i32) -> String {
    match i {
        -3..=3 => format!("{:.*}", (-i).max(0) as usize, m * 10f64.powi(i)),
        _ if m == 1.0 => ten_to(i),
        _ => format!("{m}×10{}", superscript(i)),
    }
}

fn superscript(i: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    i.to_string().chars().map(digit).collect()
}

/// The label of a value on an axis with ticks `step` apart.
fn label(value: f64, step: f64) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    if value == 0.0 && step < 1e-4 {
        return "0".into();
    }
    let digit = |v: f64| (v.abs().log10() + 1e-9).floor();
    if value != 0.0 && (value.abs() >= 1e5 || step < 1e-4) {
        // As many digits as the ticks need to differ from one another.
        return scientific(value, (digit(value) - digit(step)).clamp(0.0, 15.0) as usize);
    }
    fixed(value, (-digit(step)).max(0.0) as usize)
}

/// A number with at most this many decimals in scientific notation, `4.7×10⁻⁴`.
pub fn scientific(value: f64, decimals: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return plain(value);
    }
    power_of_ten(&format!("{value:.decimals$e}"))
}

/// A number with this many decimals; zero has no sign.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return plain(value);
    }
    let text = format!("{value:.decimals$}");
    let zero = !text.contains(|c: char| ('1'..='9').contains(&c));
    text.replace('-', if zero { "" } else { "−" })
}

/// The shortest text that is exactly this number, large and small ones in scientific notation; zero has no sign.
pub fn plain(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "–".into(),
        size if size.is_infinite() => if value > 0.0 { "∞" } else { "−∞" }.into(),
        0.0 => "0".into(),
        1e-4..1e7 => value.to_string().replace('-', "−"),
        _ => power_of_ten(&format!("{value:e}")),
    }
}

/// A number as Rust writes it with an exponent, `4.70e-4`, in the notation of mathematics, `4.7×10⁻⁴`.
fn power_of_ten(text: &str) -> String {
    let (front, power) = text.split_once('e').expect("it has an exponent");
    let front = if front.contains('.') { front.trim_end_matches('0').trim_end_matches('.') } else { front };
    format!("{}×10{}", front.replace('-', "−"), superscript(power.parse().expect("an exponent is a whole number")))
}

#[cfg(test)]
mod tests {
    use super::{fixed, of_axis, plain, scientific, ticks};
    use crate::Axis;

    #[test]
    fn an_axis_has_its_own_ticks_if_two_are_in_range() {
        let axis = Axis::new("NFE").log().ticks([5.0, 10.0, 40.0]);
        let labels = |range| of_axis(&axis, range, 4).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels([4.0, 50.0]), ["5", "10", "40"]);
        // A range with none of them has round numbers.
        assert!(labels([11.0, 19.0]).len() > 2);
    }

    #[test]
    fn zero_has_no_sign_and_a_minus_is_not_a_hyphen() {
        assert_eq!([fixed(-0.0, 2), fixed(-0.004, 2), fixed(-0.006, 2)], ["0.00", "0.00", "−0.01"]);
        assert_eq!([plain(-0.0), plain(-1.5), plain(1e-12), plain(-2.5e9)], ["0", "−1.5", "1×10⁻¹²", "−2.5×10⁹"]);
        assert_eq!([scientific(-0.0, 2), scientific(9.999e5, 2), scientific(-4.7e-4, 2)], ["0", "1×10⁶", "−4.7×10⁻⁴"]);
        assert_eq!([f64::NAN, f64::NEG_INFINITY].map(plain), ["–", "−∞"]);
    }

    #[test]
    fn ticks_far_from_zero_differ_from_one_another() {
        for range in [[1e9, 1e9 + 1.0], [-1e-12, 3e-12], [123_456.0, 123_457.0], [-1e9, 1e9], [1e-300, 2e-300]] {
            let mut labels: Vec<String> = ticks(range, false, 5).into_iter().map(|t| t.1).collect();
            assert!(labels.len() > 2, "{range:?}: {labels:?}");
            let all = labels.len();
            labels.dedup();
            assert_eq!(labels.len(), all, "{range:?}: {labels:?}");
        }
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        let labels = |range, log, count| ticks(range, log, count).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels([0.0, 1.0], false, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels([-3.1, 3.1], false, 6), ["−2", "0", "2"]);
        assert_eq!(labels([0.0, 2e6], false, 2), ["0", "1×10⁶", "2×10⁶"]);
        assert_eq!(labels([0.01, 2000.0], true, 6), ["0.01", "0.1", "1", "10", "100", "1000"]);
        assert_eq!(labels([1e-9, 1.0], true, 4), ["10⁻⁹", "10⁻⁶", "0.001", "1"]);
        assert_eq!(labels([0.004, 0.3], true, 9), ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2"]);
        assert!(labels([1.0, 1.0], false, 5).is_empty());
        for count in 2..9 {
            for high in [0.3, 7.0, 123.0, 9.9e7] {
                let ticks = ticks([-0.7 * high, high], false, count);
                assert!((1..=count + 1).contains(&ticks.len()), "{} ticks for {count}", ticks.len());
                assert!(ticks.iter().all(|t| t.0 >= -0.7 * high - 1e-9 && t.0 <= high * 1.000_001));
            }
        }
    }
}

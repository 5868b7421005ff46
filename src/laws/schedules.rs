//! Laws of schedules and spacings beyond monotony and slopes.
use super::Checks;
use crate::{Dual, schedule::Schedule};

/// α² is the formula that the schedule declares, on the grid of a table or at a thousand times.
pub(super) fn formula(schedule: &dyn Schedule, checks: &mut Checks) {
    let steps = schedule.steps().unwrap_or(1000);
    // No more than about two hundred of them: a formula may be a product over all steps before.
    let stride = steps.div_ceil(200).max(1);
    for i in (0..=steps).step_by(stride).chain([1, steps]) {
        let t = i as f64 / steps as f64;
        if let Some(bar) = schedule.alpha_bar_formula(t) {
            let off = (schedule.at(t).alpha.powi(2) - bar).abs();
            checks.note("α² is that of the declared formula", format!("t = {i}/{steps}"), off, 1e-9);
        }
    }
}

/// No more than nine tenths of what is lost from t = 0 to 1 is lost in one of two hundred equal steps.
pub(super) fn spread(law: &'static str, share: impl Fn(f64) -> f64, checks: &mut Checks) {
    const N: usize = 200;
    let all: Vec<f64> = (0..=N).map(|i| share(i as f64 / N as f64)).collect();
    let (most, at) = all
        .windows(2)
        .enumerate()
        .map(|(i, pair)| (pair[0] - pair[1], i))
        .fold((0.0, 0), |most, own| if own.0 > most.0 || own.0.is_nan() { own } else { most });
    let whole = all[0] - all[N];
    let place = format!("t = {} to {}", at as f64 / N as f64, (at + 1) as f64 / N as f64);
    checks.note(law, place, if whole > 0.0 { most / whole } else { f64::NAN }, 0.9);
}

/// Times have the digits of a double. Multiples of 2⁻²⁰, such as those of a table of 1024 steps, are the same in single
/// precision, and are not counted.
pub(super) fn precision(times: &[f64], checks: &mut Checks) {
    let coarse = |t: f64| (t * f64::from(1 << 20)).fract() == 0.0;
    let single = |t: f64| f64::from(t as f32) == t;
    let fine = times.iter().filter(|t| !coarse(**t)).count();
    let rounded = times.iter().filter(|t| !coarse(**t) && single(**t)).count();
    // By chance one double in 2²⁹ is also a single.
    let share = if fine == 0 { 0.0 } else { rounded as f64 / fine as f64 };
    checks.note("timesteps have double precision", format!("{fine} timesteps"), share, 0.5);
}

/// A log-SNR beyond those of the schedule's ends is that of the nearer end.
pub(super) fn beyond(schedule: &dyn Schedule, checks: &mut Checks) {
    let (first, last) = (schedule.at(0.0).log_snr(), schedule.at(1.0).log_snr());
    for (log_snr, end) in [(first + 1.0, 0.0), (f64::INFINITY, 0.0), (last - 1.0, 1.0), (f64::NEG_INFINITY, 1.0)] {
        let off = (schedule.time_at_log_snr(log_snr) - end).abs();
        checks.note("a log-SNR that is not reached has the time of an end", format!("ln SNR = {log_snr}"), off, 1e-9);
    }
}

/// The scales at a time are those of α and σ, computed by themselves.
pub(super) fn scales(schedule: &dyn Schedule, checks: &mut Checks) {
    for t in (1..100).map(|i| (f64::from(i) + 0.371) / 100.0) {
        let (alpha, sigma, c) = (schedule.alpha(Dual::time(t)), schedule.sigma(Dual::time(t)), schedule.at(t));
        for (own, wanted, name) in [
            (c.alpha, alpha.value, "α"),
            (c.sigma, sigma.value, "σ"),
            (c.alpha_dot, alpha.slope, "α′"),
            (c.sigma_dot, sigma.slope, "σ′"),
            (c.variance_dot, 2.0 * sigma.value * sigma.slope, "(σ²)′"),
        ] {
            let off = (own - wanted).abs() / (1.0 + wanted.abs());
            checks.note("the scales at a time are α, σ and their slopes", format!("{name} at t = {t:.4}"), off, 1e-6);
        }
    }
}

//! Noise schedules.
use crate::{Axis, Figure, Mark, Panel};

/// The x and y of a line.
type Line = (Vec<f64>, Vec<f64>);

/// A noise schedule at the times `t`.
pub struct Curves {
    /// Name.
    pub label: String,
    /// Times, increasing.
    pub t: Vec<f64>,
    /// Signal scale α.
    pub alpha: Vec<f64>,
    /// Noise scale σ.
    pub sigma: Vec<f64>,
    /// Log-SNR, `λ = ln α²/σ²`.
    pub log_snr: Vec<f64>,
    /// Noise rate, `β(t) = −2 d ln α / dt`.
    pub beta: Vec<f64>,
}

/// α, σ, log-SNR, β, the weight of the error of x̂ in the ε loss, and the training density over log-SNR, of any number
/// of schedules.
pub fn schedules(all: &[Curves]) -> Figure {
    let panel = |title: &str, axis: Axis, of: &dyn Fn(&Curves) -> Line| {
        let mark = |(i, curves): (usize, &Curves)| {
            let (x, y) = of(curves);
            // Earlier curves are wider, so that curves that coincide are all visible.
            Mark::line(x, y).name(&curves.label).series(i).width(2.0 + 0.5 * (all.len() - 1 - i) as f64)
        };
        Panel::plane(title, Axis::new("t").range(0.0, 1.0), axis).marks(all.iter().enumerate().map(mark))
    };
    let over = |of: fn(&Curves) -> &Vec<f64>| move |c: &Curves| (c.t.clone(), of(c).clone());
    let density = |c: &Curves| {
        // p(λ) = −dt/dλ for t uniform on [0, 1].
        let slope = |i: usize| -(c.t[i + 1] - c.t[i]) / (c.log_snr[i + 1] - c.log_snr[i]);
        let middle = |i: usize| 0.5 * (c.log_snr[i] + c.log_snr[i + 1]);
        let finite = (0..c.t.len().saturating_sub(1)).filter(|&i| middle(i).abs() < 20.0 && slope(i).is_finite());
        finite.map(|i| (middle(i), slope(i))).unzip()
    };
    let snr = |c: &Curves| (c.t.clone(), c.log_snr.iter().map(|l| l.exp()).collect());
    // Variance-exploding schedules span several powers of ten.
    let large = all.iter().flat_map(|c| &c.sigma).any(|s| *s > 5.0);
    let sigma = if large { Axis::new("σ").log() } else { Axis::new("σ") };
    let rate = over(|c| &c.beta);
    let most = |c: &Curves| c.beta.iter().copied().filter(|b| b.is_finite()).fold(0.0, f64::max);
    let top = all.iter().map(most).fold(0.0, f64::max).min(40.0);
    let mut lambda = panel("Training density over log-SNR", "p(λ)".into(), &density);
    lambda.x = "λ = ln α²/σ²".into();
    Figure::new("Schedules", 3)
        .panel(panel("Signal scale α", "α".into(), &over(|c| &c.alpha)))
        .panel(panel("Noise scale σ", sigma, &over(|c| &c.sigma)))
        .panel(panel("Log signal-to-noise ratio", Axis::new("λ = ln α²/σ²").range(-20.0, 20.0), &over(|c| &c.log_snr)))
        .panel(panel("Noise rate β", Axis::new("β(t) = −2 α′/α").range(0.0, top.max(1e-9)), &rate))
        .panel(panel("Weight of the x̂ error in the ε loss", Axis::new("SNR = α²/σ²").range(1e-5, 1e5).log(), &snr))
        .panel(lambda)
}

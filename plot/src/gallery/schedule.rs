use crate::{Axis, Figure, Mark, Panel};

/// x and y.
type Line = (Vec<f64>, Vec<f64>);

/// What a schedule is at the times `t`.
pub struct Curves {
    /// Its name.
    pub label: String,
    /// Times, rising.
    pub t: Vec<f64>,
    /// Signal scale α.
    pub alpha: Vec<f64>,
    /// Noise scale σ.
    pub sigma: Vec<f64>,
    /// `ln α²/σ²`.
    pub log_snr: Vec<f64>,
    /// `β(t) = −2 d ln α / dt`: the rate at which the signal fades.
    pub beta: Vec<f64>,
}

/// α, σ, log-SNR, β, the weight that noise prediction puts on errors of x̂, and the density of log-SNR, of any number of
/// schedules.
pub fn schedules(all: &[Curves]) -> Figure {
    let panel = |title: &str, axis: Axis, of: &dyn Fn(&Curves) -> Line| {
        let mark = |(i, curves): (usize, &Curves)| {
            let (x, y) = of(curves);
            // The first is the widest: curves that coincide are all seen.
            Mark::line(x, y).name(&curves.label).series(i).width(2.0 + 0.5 * (all.len() - 1 - i) as f64)
        };
        Panel::plane(title, Axis::new("t").range(0.0, 1.0), axis).marks(all.iter().enumerate().map(mark))
    };
    let over = |of: fn(&Curves) -> &Vec<f64>| move |c: &Curves| (c.t.clone(), of(c).clone());
    let density = |c: &Curves| {
        // p(λ) = −dt/dλ for t uniform on [0, 1].
        let slope = |i: usize| -(c.t[i + 1] - c.t[i]) / (c.log_snr[i + 1] - c.log_snr[i]);
        let middle = |i: usize| 0.5 * (c.log_snr[i] + c.log_snr[i + 1]);
        let kept = (0..c.t.len().saturating_sub(1)).filter(|&i| middle(i).abs() < 20.0 && slope(i).is_finite());
        kept.map(|i| (middle(i), slope(i))).unzip()
    };
    let snr = |c: &Curves| (c.t.clone(), c.log_snr.iter().map(|l| l.exp()).collect());
    // Noise over unscaled data reaches tens, and starts at thousandths.
    let large = all.iter().flat_map(|c| &c.sigma).any(|s| *s > 5.0);
    let sigma = if large { Axis::new("σ").log() } else { Axis::new("σ") };
    let rate = over(|c| &c.beta);
    let most = |c: &Curves| c.beta.iter().copied().filter(|b| b.is_finite()).fold(0.0, f64::max);
    let top = all.iter().map(most).fold(0.0, f64::max).min(40.0);
    let mut lambda = panel("Where training looks: density of log-SNR", "p(λ)".into(), &density);
    lambda.x = "λ = ln α²/σ²".into();
    Figure::new("Schedules", 3)
        .panel(panel("Signal", "α".into(), &over(|c| &c.alpha)))
        .panel(panel("Noise", sigma, &over(|c| &c.sigma)))
        .panel(panel("Signal to noise", Axis::new("ln α²/σ²").range(-20.0, 20.0), &over(|c| &c.log_snr)))
        .panel(panel("Rate of fading", Axis::new("β(t) = −2 α′/α").range(0.0, top.max(1e-9)), &rate))
        .panel(panel("Weight of x̂-errors in the ε-loss", Axis::new("SNR = α²/σ²").range(1e-5, 1e5).log(), &snr))
        .panel(lambda)
}

//! Weights of losses over log-SNR.
use crate::figure::{Axis, Color, Figure, Mark, Panel};

/// The weight of a loss over λ, and the density of its training times.
#[derive(Clone, Debug, Default)]
pub struct Weighting {
    /// Name of the weight or of the recipe.
    pub label: String,
    /// Log-SNR, `λ = ln α²/σ²`, increasing.
    pub log_snr: Vec<f64>,
    /// Weight w of `w ‖x̂ − x‖²`.
    pub weight: Vec<f64>,
    /// Name of the training times.
    pub times: String,
    /// Density p(λ) of the training times.
    pub density: Vec<f64>,
}

impl Weighting {
    /// w p(λ)/SNR, the largest value 1.
    fn over_bound(&self) -> Vec<f64> {
        let values = self.each(|w, p, l| w * p * (-l).exp());
        let top = values.iter().copied().filter(|w| w.is_finite()).fold(0.0, f64::max);
        values.into_iter().map(|w| w / top).collect()
    }
    /// w p(λ)/(1 + SNR) over its integral.
    fn share(&self) -> Vec<f64> {
        let values = self.each(|w, p, l| w * p / (1.0 + l.exp()));
        let parts = self.log_snr.windows(2).zip(values.windows(2)).map(|(l, w)| 0.5 * (l[1] - l[0]) * (w[0] + w[1]));
        let area: f64 = parts.filter(|part| part.is_finite()).sum();
        values.into_iter().map(|w| w / area).collect()
    }
    fn each(&self, f: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        self.weight.iter().zip(&self.density).zip(&self.log_snr).map(|((w, p), l)| f(*w, *p, *l)).collect()
    }
}

/// The weights on ‖x̂ − x‖², the density of the training times, and two views of their product: relative to the variational bound, and
/// as the shares of the loss of an exact denoiser of data of distribution N(0, I).
pub fn weights(all: &[Weighting]) -> Figure {
    let lambda = || Axis::new("λ = ln α²/σ²");
    let lines = |of: &dyn Fn(&Weighting) -> Vec<f64>| -> Vec<Mark> {
        let line = |(i, own): (usize, &Weighting)| {
            let (x, y): (Vec<f64>, Vec<f64>) =
                own.log_snr.iter().zip(of(own)).filter(|(_, y)| y.is_finite() && *y > 0.0).unzip();
            let mark = Mark::line(x, y).name(&own.label).series(i).width(2.0 + 0.3 * (all.len() - 1 - i).min(6) as f64);
            // Colors repeat.
            if i >= 7 { mark.dashed() } else { mark }
        };
        all.iter().enumerate().map(line).collect()
    };
    let most =
        |of: &dyn Fn(&Weighting) -> Vec<f64>| all.iter().flat_map(of).filter(|w| w.is_finite()).fold(0.0, f64::max);
    let mut times: Vec<(usize, &Weighting)> = vec![];
    for (i, own) in all.iter().enumerate() {
        if !times.iter().any(|(_, known)| known.density == own.density && known.log_snr == own.log_snr) {
            times.push((i, own));
        }
    }
    let shared = times.len() == 1 && all.len() > 1;
    let densities = times.iter().map(|(i, own)| {
        let mark = Mark::line(own.log_snr.clone(), own.density.clone()).name(&own.times);
        if shared { mark.color(Color::Ink) } else { mark.series(*i) }
    });
    let top = most(&|own| own.density.clone()).max(1e-9);
    Figure::new("Weights of losses", 2)
        .panel(
            Panel::plane("Weight w of w ‖x̂ − x‖²", lambda(), Axis::new("w").range(1e-3, 1e3).log())
                .marks(lines(&|own| own.weight.clone())),
        )
        .panel(
            Panel::plane("Density of the training times over λ", lambda(), Axis::new("p(λ)").range(0.0, 1.05 * top))
                .marks(densities),
        )
        .panel(
            Panel::plane(
                "Relative to the variational bound: w p(λ)/SNR, largest 1",
                lambda(),
                Axis::new("w p/SNR").range(1e-3, 1.5).log(),
            )
            .marks(lines(&Weighting::over_bound)),
        )
        .panel(
            Panel::plane(
                "Share of the loss of data N(0, I): w p(λ)/(1 + SNR), area 1",
                lambda(),
                Axis::new("share").range(0.0, 1.05 * most(&Weighting::share).max(1e-9)),
            )
            .marks(lines(&Weighting::share)),
        )
}

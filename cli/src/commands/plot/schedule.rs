//! Noise schedules.
use super::code;
use std::sync::Arc;
use tweedie::Result;
use tweedie::schedule::Schedule;
use tweedie_plot::Page;
use tweedie_plot::gallery::{self, Curves};

/// The curves of a schedule over t.
fn curves(label: &str, schedule: &dyn Schedule) -> Curves {
    // A table of few steps has kinks between them, of which differences would be a saw.
    let own = schedule.steps().filter(|steps| (2..500).contains(steps));
    let t: Vec<f64> = match own {
        Some(steps) => (1..=steps).map(|i| i as f64 / steps as f64).collect(),
        None => gallery::grid(0.001, 0.999, 500),
    };
    // show schedule
    let at: Vec<_> = t.iter().map(|&t| schedule.at(t)).collect();
    let curves = Curves {
        label: label.into(),
        alpha: at.iter().map(|c| c.alpha).collect(),
        sigma: at.iter().map(|c| c.sigma).collect(),
        log_snr: at.iter().map(|c| c.log_snr()).collect(),
        beta: at.iter().map(|c| -2.0 * c.drift()).collect(),
        t,
    };
    // show
    curves
}

/// The page of several schedules.
pub fn page(all: &[(String, Arc<dyn Schedule>)]) -> Result<Page> {
    let all: Vec<Curves> = all.iter().map(|(name, schedule)| curves(name, &**schedule)).collect();
    Ok(Page {
        slug: "schedule".into(),
        title: "Noise schedules".into(),
        text: "A noise schedule gives the signal scale α(t) and the noise scale σ(t). Up to scaling, two schedules \
               with the same range of signal-to-noise ratios differ only in their time variable. With t uniform, \
               training is concentrated on noise levels at which the log-SNR decreases slowly."
            .into(),
        formula: "xₜ = α(t) x + σ(t) ε,   SNR = α²/σ²,   β(t) = −2 α′/α,   p(λ) = −dt/dλ for λ = ln SNR".into(),
        figures: vec![gallery::schedules(&all)],
        code: code(include_str!("schedule.rs"), "schedule") + "\nlet figure = gallery::schedules(&[curves]);",
    })
}

//! Schedules on one page.
use super::{Made, code};
use std::sync::Arc;
use tweedie::schedule::Schedule;
use tweedie_plot::Page;
use tweedie_plot::gallery::{self, Curves};

/// What a schedule is over time.
fn curves(label: &str, schedule: &dyn Schedule) -> Curves {
    // show schedule
    let t = gallery::grid(0.001, 0.999, 500);
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

/// Any number of schedules.
pub fn page(all: &[(String, Arc<dyn Schedule>)]) -> Made {
    let all: Vec<Curves> = all.iter().map(|(name, schedule)| curves(name, &**schedule)).collect();
    Ok(Page {
        slug: "schedule".into(),
        title: "Schedules: how fast data fade".into(),
        text: "A schedule says how much signal and how much noise there is at every time, and two schedules with the same \
               signal-to-noise ratios differ by no more than a change of clock. Where its log-SNR falls slowly, training \
               spends its time."
            .into(),
        formula: "xₜ = α(t) x + σ(t) ε,   SNR = α²/σ²,   β(t) = −2 α′/α,   p(λ) = −dt/dλ for λ = ln SNR".into(),
        figures: vec![gallery::schedules(&all)],
        code: code(include_str!("schedule.rs"), "schedule") + "\nlet figure = gallery::schedules(&[curves]);",
    })
}

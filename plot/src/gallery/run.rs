//! Curves and samples of training runs.
use crate::{Axis, Figure, Mark, Panel, Pixels};

/// A quantity recorded during training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub label: String,
    /// Steps.
    pub step: Vec<f64>,
    /// Values.
    pub value: Vec<f64>,
}

/// The records of a training run; empty ones are not drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Name of the run.
    pub title: String,
    /// Training loss and held-out loss.
    pub loss: Vec<Series>,
    /// Loss by range of the noise level.
    pub loss_by_noise: Vec<Series>,
    /// Gradient norm.
    pub grad_norm: Vec<Series>,
    /// Learning rate.
    pub lr: Vec<Series>,
    /// Distance of the EMA weights from the raw weights, ‖EMA − θ‖ / ‖θ‖.
    pub ema_distance: Vec<Series>,
    /// Pairs of a step and a picture of samples.
    pub samples: Vec<(String, Pixels)>,
}

/// The training curves of a run: loss, loss by noise level, gradient norm, learning rate and distance of the EMA
/// weights.
pub fn run(run: &Run) -> Figure {
    let all = [
        ("Loss", "loss", &run.loss, true),
        ("Loss by noise level", "loss", &run.loss_by_noise, true),
        ("Gradient norm", "‖∇‖", &run.grad_norm, true),
        ("Learning rate", "learning rate", &run.lr, false),
        ("Distance of EMA weights from raw weights", "‖EMA − θ‖ / ‖θ‖", &run.ema_distance, false),
    ];
    // Noisy quantities are smoothed if there are many values, and may have a logarithmic axis.
    let panel = |(title, label, series, noisy): (&str, &str, &Vec<Series>, bool)| {
        // Logarithmic if all values are positive and span more than a factor of three.
        let values = series.iter().flat_map(|s| &s.value).copied().filter(|v| v.is_finite());
        let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
        let axis = if noisy && low > 0.0 && high > 3.0 * low { Axis::new(label).log() } else { Axis::new(label) };
        let mut panel = Panel::plane(title, "step", axis);
        for (i, s) in series.iter().enumerate() {
            let many = s.value.len() > 200;
            let raw = Mark::line(s.step.clone(), s.value.clone()).series(i);
            if many && noisy {
                let name = format!("{}, smoothed", s.label);
                panel = panel
                    .mark(raw.name(&s.label).unlisted().opacity(0.25).width(1.0))
                    .mark(Mark::line(s.step.clone(), smooth(&s.value)).series(i).name(name));
            } else {
                panel = panel.mark(raw.name(&s.label));
                // Dots too, because a line of one point is invisible.
                if !many {
                    let dots = Mark::points(s.step.clone(), s.value.clone()).series(i).opacity(1.0);
                    panel = panel.mark(dots.name(&s.label).unlisted());
                }
            }
        }
        panel
    };
    let drawn = all.into_iter().filter(|(_, _, series, _)| series.iter().any(|s| !s.value.is_empty()));
    drawn.map(panel).fold(Figure::new(&run.title, 2), Figure::panel)
}

/// The samples of a run with a slider over steps; `None` if there are no samples.
pub fn run_samples(run: &Run) -> Option<Figure> {
    let (_, first) = run.samples.first()?;
    let mut panel = Panel::image("", first.clone());
    panel.marks.clear();
    for (frame, (_, pixels)) in run.samples.iter().enumerate() {
        panel = panel.mark(Mark::image(pixels.clone()).name("samples").unlisted().frame(frame));
    }
    let labels: Vec<String> = run.samples.iter().map(|s| s.0.clone()).collect();
    let figure = Figure::new("Samples", 1).panel(panel);
    // A single picture has no slider.
    Some(if labels.len() < 2 { figure } else { figure.slider("step", labels, run.samples.len() - 1) })
}

/// Exponential moving average over about a fiftieth of the series, corrected for the bias of its start.
fn smooth(values: &[f64]) -> Vec<f64> {
    let decay = 1.0 - 1.0 / (values.len() as f64 / 50.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    values
        .iter()
        .map(|&v| {
            if v.is_finite() {
                (sum, weight) = (decay * sum + v, decay * weight + 1.0);
            }
            sum / weight
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_preserves_constants_and_means() {
        assert!(smooth(&[3.0; 500]).iter().all(|v| (v - 3.0).abs() < 1e-12));
        let wobble: Vec<f64> = (0..1000).map(|i| 1.0 + f64::from(i % 2)).collect();
        assert!((smooth(&wobble)[999] - 1.5).abs() < 0.05);
    }

    #[test]
    fn losses_are_smoothed_and_learning_rates_are_not() {
        let steps: Vec<f64> = (0..300).map(f64::from).collect();
        let series = Series { label: "s".into(), step: steps.clone(), value: steps };
        let figure = run(&Run { loss: vec![series.clone()], lr: vec![series], ..Run::default() });
        let names = |panel: usize| figure.panels[panel].marks.iter().map(|m| m.name.as_str()).collect::<Vec<_>>();
        assert_eq!((names(0), names(1)), (vec!["s", "s, smoothed"], vec!["s"]));
    }

    #[test]
    fn empty_records_are_not_drawn() {
        let series = Series { label: "train".into(), step: vec![0.0, 1.0], value: vec![1.0, 0.01] };
        let figure = run(&Run { loss: vec![series], ..Run::default() });
        assert_eq!(figure.titles(), ["Loss"]);
        assert!(figure.panels[0].y.log);
        assert!(run_samples(&Run::default()).is_none());
    }
}

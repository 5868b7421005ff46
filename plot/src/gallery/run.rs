use crate::{Axis, Figure, Mark, Panel, Pixels};

/// Numbers recorded while training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// In the legend.
    pub label: String,
    /// Steps.
    pub step: Vec<f64>,
    /// Values.
    pub value: Vec<f64>,
}

/// What a training run recorded; what it did not is left empty and not drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Its name.
    pub title: String,
    /// Training loss, and validation loss.
    pub loss: Vec<Series>,
    /// Loss within ranges of noise level.
    pub loss_by_noise: Vec<Series>,
    /// Norm of the gradient.
    pub gradient: Vec<Series>,
    /// Learning rate.
    pub rate: Vec<Series>,
    /// Distance of averaged and raw weights.
    pub lag: Vec<Series>,
    /// Step and samples.
    pub samples: Vec<(String, Pixels)>,
}

/// The curves of a run: loss, loss by noise level, gradient norm, learning rate, EMA lag.
pub fn run(run: &Run) -> Figure {
    let all = [
        ("Loss", "loss", &run.loss, true),
        ("Loss by noise level", "loss", &run.loss_by_noise, true),
        ("Gradient norm", "‖∇‖", &run.gradient, true),
        ("Learning rate", "rate", &run.rate, false),
        ("Averaged weights behind raw ones", "‖EMA − θ‖ / ‖θ‖", &run.lag, false),
    ];
    let panel = |(title, label, series, log): (&str, &str, &Vec<Series>, bool)| {
        // A logarithm needs values above zero, and pays where they span more than a factor of three.
        let values = series.iter().flat_map(|s| &s.value).copied().filter(|v| v.is_finite());
        let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
        let axis = if log && low > 0.0 && high > 3.0 * low { Axis::new(label).log() } else { Axis::new(label) };
        let mut panel = Panel::plane(title, "step", axis);
        for (i, s) in series.iter().enumerate() {
            let many = s.value.len() > 200;
            let raw = Mark::line(s.step.clone(), s.value.clone()).series(i);
            if many {
                let name = format!("{}, smoothed", s.label);
                panel = panel
                    .mark(raw.name(&s.label).unlisted().opacity(0.25).width(1.0))
                    .mark(Mark::line(s.step.clone(), smooth(&s.value)).series(i).name(name));
            } else {
                // A line of one point would not be seen.
                let dots = Mark::points(s.step.clone(), s.value.clone()).series(i).opacity(1.0);
                panel = panel.mark(raw.name(&s.label)).mark(dots.name(&s.label).unlisted());
            }
        }
        panel
    };
    let drawn = all.into_iter().filter(|(_, _, series, _)| series.iter().any(|s| !s.value.is_empty()));
    drawn.map(panel).fold(Figure::new(&run.title, 2), Figure::panel)
}

/// The samples of a run with a slider over steps; none where there are no samples.
pub fn run_samples(run: &Run) -> Option<Figure> {
    let (_, first) = run.samples.first()?;
    let mut panel = Panel::image("", first.clone());
    panel.marks.clear();
    for (frame, (_, pixels)) in run.samples.iter().enumerate() {
        panel = panel.mark(Mark::image(pixels.clone()).name("samples").unlisted().frame(frame));
    }
    let labels: Vec<String> = run.samples.iter().map(|s| s.0.clone()).collect();
    let figure = Figure::new("Samples", 1).panel(panel);
    // One picture needs no slider.
    Some(if labels.len() < 2 { figure } else { figure.slider("step", labels, run.samples.len() - 1) })
}

/// An exponential mean that remembers a fiftieth of the series, without the bias of its start.
fn smooth(values: &[f64]) -> Vec<f64> {
    let keep = 1.0 - 1.0 / (values.len() as f64 / 50.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    values
        .iter()
        .map(|&v| {
            if v.is_finite() {
                (sum, weight) = (keep * sum + v, keep * weight + 1.0);
            }
            sum / weight
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_constants_and_means() {
        assert!(smooth(&[3.0; 500]).iter().all(|v| (v - 3.0).abs() < 1e-12));
        let wobble: Vec<f64> = (0..1000).map(|i| 1.0 + f64::from(i % 2)).collect();
        assert!((smooth(&wobble)[999] - 1.5).abs() < 0.05);
    }

    #[test]
    fn what_was_not_recorded_is_not_drawn() {
        let series = Series { label: "train".into(), step: vec![0.0, 1.0], value: vec![1.0, 0.01] };
        let figure = run(&Run { loss: vec![series], ..Run::default() });
        assert_eq!(figure.titles(), ["Loss"]);
        assert!(figure.panels[0].y.log);
        assert!(run_samples(&Run::default()).is_none());
    }
}

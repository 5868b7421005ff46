//! Progress on standard error.
use crate::{messages, output::console::note};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::VecDeque,
    io::IsTerminal,
    time::{Duration, Instant},
};

/// A progress bar, if standard error is a terminal and `--quiet` was not given.
pub(crate) struct Progress(Option<ProgressBar>);
impl Progress {
    pub fn new(quiet: bool, doing: &str) -> Self {
        Self((!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{bar:28} {percent} %  {eta} left  {msg}");
            bar.set_style(style.expect("the template is valid").progress_chars("━╸ "));
            bar.set_message(doing.to_owned());
            bar
        }))
    }
    /// A sign of work whose end is not known, if standard error is a terminal and `--quiet` was not given.
    pub fn working(quiet: bool, doing: &str) -> Self {
        Self((!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is valid"));
            bar.set_message(doing.to_owned());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        }))
    }
    /// Sets the message after the bar.
    pub fn doing(&self, what: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
        }
    }
    /// Restarts the estimate of the remaining time.
    pub fn begin(&self) {
        if let Some(bar) = &self.0 {
            bar.reset_eta();
        }
    }
    /// Sets the completed fraction of sampling, and with many network evaluations in one step their number.
    pub fn sampling(&self, fraction: f64, evaluations: usize) {
        if evaluations >= 100 && evaluations.is_multiple_of(20) {
            self.doing(format!("sampling, NFE {evaluations} in this step"));
        } else if evaluations == 0 {
            self.doing("sampling".into());
        }
        self.at(fraction);
    }
    /// Sets the completed fraction.
    pub fn at(&self, fraction: f64) {
        if let Some(bar) = &self.0 {
            bar.set_position((fraction * 1000.0) as u64);
        }
    }
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// The progress of training: a bar if standard error is a terminal, otherwise occasional lines; nothing with `--quiet`.
pub(crate) struct TrainingProgress {
    bar: Option<ProgressBar>,
    lines: bool,
    total: u64,
    batch: usize,
    begun: Instant,
    last: Instant,
    /// End times of recent steps, for the current speed.
    recent: VecDeque<Instant>,
    loss: Option<f64>,
}
impl TrainingProgress {
    /// Progress from step `done` on.
    pub fn new(total: u64, done: u64, batch: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("step {pos}/{len} {bar:28} {msg}").expect("the template is valid");
            bar.set_style(style.progress_chars("━╸ "));
            bar.set_position(done);
            bar
        });
        let now = Instant::now();
        let lines = !terminal && !quiet;
        Self { bar, lines, total, batch, begun: now, last: now, recent: [now].into(), loss: None }
    }
    /// Shows a step and its loss, smoothed over about 20 steps.
    pub fn step(&mut self, step: u64, loss: f64) {
        let now = Instant::now();
        let first = self.loss.is_none();
        self.loss = Some(self.loss.map_or(loss, |old| old + 0.05 * (loss - old)));
        self.recent.push_back(now);
        if self.recent.len() > 50 {
            self.recent.pop_front();
        }
        let rate = (self.recent.len() - 1) as f64 / (now - self.recent[0]).as_secs_f64().max(1e-9);
        let left = messages::duration((self.total - step) as f64 / rate);
        let loss = self.loss.unwrap_or(loss);
        let speed = rate * self.batch as f64;
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(format!("loss {loss:.4}  {speed:.0} samples/s  {left} left"));
        }
        // Every 10 seconds in the first minute, then every 30.
        let pause = Duration::from_secs(if self.begun.elapsed().as_secs() < 60 { 10 } else { 30 });
        if self.lines && (first || now - self.last > pause || step == self.total) {
            note(&format!("step {step}/{}  loss {loss:.4}  {speed:.0} samples/s  {left} left", self.total));
            self.last = now;
        }
    }
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

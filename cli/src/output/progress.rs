//! The progress bar on a terminal.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// A progress bar on standard error, if that is a terminal and `--quiet` was not given.
pub(crate) struct Progress(Option<ProgressBar>);
impl Progress {
    pub fn new(quiet: bool, doing: &str) -> Self {
        Self((!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{bar:28} {percent} %  {eta} left  {msg}");
            bar.set_style(style.expect("the template is right").progress_chars("━╸ "));
            bar.set_message(doing.to_owned());
            bar
        }))
    }
    /// Sets the message beside the bar.
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
    /// Sets the completed fraction; always true, to be used as a callback that continues.
    pub fn at(&self, share: f64) -> bool {
        if let Some(bar) = &self.0 {
            bar.set_position((share * 1000.0) as u64);
        }
        true
    }
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

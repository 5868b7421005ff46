//! How long it takes, on a terminal.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// A bar on standard error, where that is a terminal and nobody asked for quiet.
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
    /// What is being done now.
    pub fn doing(&self, what: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
        }
    }
    /// What was done until now says nothing of how long the rest takes.
    pub fn begin(&self) {
        if let Some(bar) = &self.0 {
            bar.reset_eta();
        }
    }
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

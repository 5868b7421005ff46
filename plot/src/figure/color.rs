//! Colors by their role in a theme.
use serde::Serialize;

/// A color of the theme.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// One of the seven colors of series, which color-blind readers can tell apart; they repeat from index 7 on.
    Series(usize),
    /// The color of text.
    Ink,
    /// A gray between text and background.
    Muted,
    /// A color of the color scale (viridis), from 0 (dark) to 1 (bright).
    Scale(f64),
}

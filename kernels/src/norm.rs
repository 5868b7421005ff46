//! Normalization: group normalization, layer normalization and RMS normalization.
//!
//! Gain and offset are `[width]` for all samples or `[samples, width]` with one row per sample. The second form absorbs
//! a modulation by the conditioning, `(1 + scale) y + shift`: gain `γ (1 + scale)` and offset `β (1 + scale) + shift`.
mod group;
mod layer;

pub use group::GroupNorm;
pub use layer::LayerNorm;

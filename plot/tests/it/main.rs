//! Both renderers draw the same figures, and pages are interactive.
mod browser;
mod figures;
mod still;

//! Both renderers draw the same figures, and pages are interactive.
mod browser;
mod chromium;
mod figures;
mod labels;
mod still;

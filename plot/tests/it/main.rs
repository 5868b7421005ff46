//! Both renderers draw the same figures, and a page answers the pointer.
mod browser;
mod figures;
mod still;

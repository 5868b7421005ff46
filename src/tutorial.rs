//! The guide: chapters whose code is tested.
//!
//! * [`custom`]: a module of your own of every kind, on a page.

#[doc = include_str!("tutorial/custom.md")]
pub mod custom {}

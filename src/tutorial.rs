//! The guide: chapters whose code is tested.
//!
//! * [`gaussian`]: the mathematics that diffusion is made of, every formula computed.
//! * [`custom`]: a module of your own of every kind, on a page.
//! * [`choosing_a_sampler`]: orders, ends, and which to take.
//! * [`text`]: diffusion over categories: noises, bounds, samplers, and text from a recipe.
//! * [`kernels`]: how the fast operations on the CPU work, how fast they are, and how to add one.

#[doc = include_str!("tutorial/gaussian.md")]
pub mod gaussian {}

#[doc = include_str!("tutorial/custom.md")]
pub mod custom {}

#[doc = include_str!("tutorial/choosing_a_sampler.md")]
#[doc = concat!("<div>\n", include_str!("../docs/samplers.svg"), "\n</div>\n")]
pub mod choosing_a_sampler {}

#[doc = include_str!("tutorial/text.md")]
pub mod text {}

#[doc = include_str!("tutorial/kernels.md")]
pub mod kernels {}

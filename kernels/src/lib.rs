//! Fused CPU kernels for diffusion nets.
//!
//! Every kernel works on slices of single-precision floats, uses the fastest instruction set of the processor
//! ([`Level`]), runs on the threads of rayon, and has two properties, which are tested:
//!
//! 1. **Results are bit-identical on any number of threads.** Work is split by the shape of the problem alone.
//! 2. **A sample does not depend on its batch.** The arithmetic of row `i` depends on the row and on its shape, never
//!    on the number of rows.
//!
//! The module [`ops`] has the kernels as operations on burn's tensors, with gradients (feature `burn`, enabled by
//! default).
//!
//! # Environment variables
//!
//! The crate reads two environment variables, both for comparisons, each once per process.
//!
//! * `TWEEDIE_SIMD` = `portable`, `neon`, `avx2` or `avx512`: uses this instruction set if the processor supports it.
//!   Default: the fastest one that it supports.
//! * `TWEEDIE_KERNELS` = `off`: runs burn's own operations in place of the kernels in [`ops`]. Default: the kernels are
//!   used.
//!
//! # Safety
//!
//! This crate has the only `unsafe` code of the project: vector intrinsics, slices that several threads write disjoint
//! parts of, and matrix products on raw pointers. Every block says why it is sound.
mod activation;
mod attention;
mod conv;
mod cross_entropy;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "burn")]
mod half;
mod math;
mod memory;
mod norm;
mod normals;
#[cfg(feature = "burn")]
pub mod ops;
mod optimizer;
mod parallel;
mod product;
mod simd;
mod softmax;
#[cfg(test)]
mod testing;

pub use activation::Activation;
pub use attention::{Attention, AttentionGradients, Strides};
pub use conv::{Conv2d, Conv3d, ConvMethod};
pub use cross_entropy::{cross_entropy, cross_entropy_gradient};
pub use memory::{keep_memory, unwritten};
pub use norm::{GroupNorm, LayerNorm};
pub use normals::fill_normals;
pub use optimizer::{AdamW, sum_of_squares};
pub use product::{Matrix, column_sums, matmul};
pub use simd::Level;
pub use softmax::{log_softmax, log_softmax_gradient, softmax, softmax_gradient};

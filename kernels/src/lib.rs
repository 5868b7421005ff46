//! Fused CPU kernels for diffusion nets.
//!
//! Every kernel works on plain slices of single-precision numbers, picks the fastest instruction set the processor has
//! at run time ([`Level`]), shares its work among rayon's threads, and obeys two laws, which the tests hold it to:
//!
//! 1. **Any number of threads gives the same bits.** Work is cut by the shape of the problem alone.
//! 2. **A sample does not know its batch.** The arithmetic of row `i` depends on the row and on its shape, never on how
//!    many rows there are.
//!
//! The only unsafe code of the project is here, in small pieces that say why they are sound.
mod activation;
mod attention;
mod conv;
mod cross_entropy;
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
pub use conv::{Conv2d, ConvMethod};
pub use cross_entropy::{cross_entropy, cross_entropy_gradient};
pub use memory::{keep_memory, unwritten};
pub use norm::{GroupNorm, LayerNorm};
pub use normals::fill_normals;
pub use optimizer::{AdamW, sum_of_squares};
pub use product::{Matrix, column_sums, matmul};
pub use simd::Level;
pub use softmax::{log_softmax, log_softmax_gradient, softmax, softmax_gradient};

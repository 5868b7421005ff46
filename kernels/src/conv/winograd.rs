//! Winograd's minimal filtering F(M×M, 3×3) with M = 2 or 4.
//!
//! A tile of N×N = (M+2)×(M+2) inputs yields M×M outputs. Input, kernel and output are transformed to and from the
//! values of polynomials at N points per dimension, where a convolution is an element-wise product. For each of the N²
//! points this is one matrix product, tiles × input channels × output channels.
//!
//! Points: 0, ±1, ∞ for M = 2; 0, ±5/8, ±3/2, ∞ for M = 4, with errors three to five times smaller than those of the
//! usual 0, ±1, ±2, ∞. Channels are the lanes of the vectors in all transforms.
//!
//! Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015), <https://arxiv.org/abs/1509.09308>.
mod correlate;
mod tiles;
mod transform;
mod weight_gradient;

pub(super) use correlate::correlate;
pub(super) use transform::{F2, F4};
pub(super) use weight_gradient::weight_gradient;

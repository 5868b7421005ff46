//! Kernels for GPUs, which run on every back end of CubeCL: CUDA, ROCm, Metal, Vulkan, WebGPU.
//!
//! A kernel is queued like burn's own operations and runs when the results are needed ([`queue`]); [`apply`] gives an operation a
//! backward pass.
mod conv;
mod graph;
mod norm;
mod queue;

pub(crate) use conv::{Convolution, convolve};
pub(crate) use graph::is_gpu;
pub(crate) use norm::{group_norm, layer_norm};

//! Kernels for GPUs, which run on every back end of CubeCL: CUDA, ROCm, Metal, Vulkan, WebGPU.
//!
//! A kernel is queued like burn's own operations and runs when the results are needed ([`queue`]); [`apply`] gives an operation a
//! backward pass.
mod conv;
mod graph;
mod norm;
mod queue;
mod softmax;

pub(crate) use conv::{Convolution, convolve};
pub(crate) use graph::is_gpu;
pub(crate) use norm::{group_norm, layer_norm};
pub(crate) use softmax::{softmax, sum_of_squares};

/// Leaves to burn the fusion of operations on each element alone. Its fused sums and products are chosen by timing; where they are not
/// (without the feature `autotune`), a fused sum runs on one thread per row, and of rows it reads as vectors it sums a part.
pub(crate) fn prepare() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(|| {
        if cfg!(not(feature = "autotune")) {
            for name in burn_cubecl::fusion::BUILTIN_NAMES.into_iter().skip(1) {
                // An error means that a device is in use already: its probe tells whether it computes right.
                let _ = burn_cubecl::fusion::remove(name);
            }
        }
    });
}

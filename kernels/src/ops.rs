//! The kernels as operations on burn's tensors, with their backward passes.
//!
//! On the `flex` back end in single precision, with or without autodiff, these functions run the kernels of this crate;
//! on every other back end and precision they run burn's own operations. So a net is written once.
//!
//! With the kernels, row, sample or image i of a result depends neither on the others nor on their number. burn's own
//! operations do not guarantee this.
mod activation;
mod affine;
mod attention;
mod autocast;
mod combine;
mod conv;
mod cross;
mod error_ratio;
mod flex;
mod graph;
mod linear;
mod norm;
mod optimizer;
mod recompute;
mod rotary;
mod softmax;

pub use activation::{gelu, gelu_tanh, silu};
pub use attention::{attention, attention_fused, attention_pixels};
pub use autocast::{autocast, autocast_dtype, matmul};
pub use combine::{Sum, Terms, combine};
pub use conv::{conv2d, conv2d_modulated, conv3d};
pub use cross::cross_attention;
pub use error_ratio::{max_error_ratio, max_error_ratios};
pub use flex::{from_vec, is_host, prepare_gpus};
pub use linear::linear;
pub use norm::{group_norm, group_norm_silu, layer_norm, rms_norm};
pub use optimizer::{adamw, global_norm, sum_of_squares};
pub use recompute::recompute;
pub use rotary::rotary;
pub use softmax::{cross_entropy, log_softmax, softmax};

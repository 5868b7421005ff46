#![forbid(unsafe_code)]
pub mod data;
pub mod denoise;
pub mod distribution;
pub mod dual;
pub mod error;
pub mod loss;
pub mod model;
pub mod net;
pub mod noise;
pub mod rng;
pub mod sample;
pub mod schedule;
pub mod spacing;
pub mod train;
pub mod transform;
pub use dual::Dual;
pub use error::{Error, Result};
pub use rng::Rng;

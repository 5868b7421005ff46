#![forbid(unsafe_code)]
pub mod net;
pub mod rng;
pub use rng::Rng;

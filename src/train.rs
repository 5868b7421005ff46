//! Training: an iterator over optimizer steps that can be inspected, sampled from, stopped and resumed bit by bit.
//!
//! All randomness of step k comes from `(seed, purpose, k)`, so the state of a run is its weights, their averages, the
//! optimizer's moments, the number k and, if the timesteps are importance-sampled, the last losses.
mod checkpoint;
mod config;
mod coupling;
mod evaluation;
mod loss_scale;
mod names;
mod optimizer;
mod packed;
mod parameters;
mod probe;
mod step;
mod trainer;
pub use checkpoint::{Checkpoint, write_atomically};
pub use config::{LrSchedule, Train};
pub use coupling::{Coupling, optimal_pairs};
pub use evaluation::HeldOutLoss;
pub use loss_scale::LossScale;
pub use optimizer::{AdamW, Moments};
pub use parameters::Parameters;
pub use step::Step;
pub use trainer::Trainer;

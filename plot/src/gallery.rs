//! Figures that explain Gaussians, the forward process, schedules and training runs.
//!
//! The figures take densities, samples and coefficients as numbers and functions, and return a
//! [`Figure`](crate::Figure). A [`Site`] is a folder of pages with an index.
mod conditional;
mod convolution;
mod forward;
mod joint;
mod numeric;
mod process;
mod run;
mod schedule;
mod site;
mod univariate;
mod weights;

pub use conditional::{Conditional, conditional};
pub use convolution::{Term, convolution};
pub use forward::{NoisyImage, forward_chain, forward_slider, forward_strip};
pub use joint::{Joint, covariances, isotropic, joint_surface};
pub use numeric::{Function, fixed, grid, histogram, plain, scientific};
pub use process::{Process, process};
pub use run::{Run, Series, run, run_samples};
pub use schedule::{Curves, schedules};
pub use site::{Site, Stills};
pub use univariate::{Curve, families, univariate};
pub use weights::{Weighting, weights};

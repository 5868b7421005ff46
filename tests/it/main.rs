//! The one test binary: laws, exact solutions, training.
mod nets;
mod spine;
mod training;

//! Samplers: solvers of the reverse process, step by step from noise to data.
//!
//! In `y = z/α` and `r = σ/α` the probability flow is `dy/dr = ε̂`; in `z/σ` and `1/r` it is `d(z/σ)/d(1/r) = x̂`; in t
//! and in the angle `arctan(σ/α)` its slopes are the velocity and the v-prediction ([`Variable`]). With `λ = ln(α/σ)` the
//! deterministic samplers of continuous data are these:
//!
//! | sampler | method | order | NFE per step |
//! |---|---|---|---|
//! | [`Ddim`], [`Euler`] | Euler in r; in any [`Variable`] | 1 | 1 |
//! | [`Heun`], [`Dpm2`] | Heun and midpoint in any [`Variable`]; default: the angle | 2 | 2 |
//! | [`DpmSolver`] | exponential Runge–Kutta in λ, on ε̂ | 1, 2, 3 | 1, 2, 3 |
//! | [`DpmSolverPp2S`] | the same on x̂; with η > 0 its SDE form | 2 | 2 |
//! | [`DpmSolverPp`] | multistep in λ on x̂; with η > 0 its SDE form | 1, 2, 3 | 1 |
//! | [`UniPc`] | the same with a corrector that costs no network evaluation | p + 1 | 1 |
//! | [`Etd`] | exponential Adams–Bashforth on x̂ | 1 to 6 | 1 |
//! | [`Deis`], [`Lms`], [`AdamsBashforth`] | ε̂ (or x̂, or the velocity) a polynomial in t, in r, in any [`Variable`]; with a corrector one order more | 1 to 6 | 1 |
//! | [`Ipndm`], [`Plms`], [`Pndm`] | Adams–Bashforth weights of even steps on uneven ones, in r, t or the angle | 2 | 1 |
//! | [`DormandPrince`] | embedded Runge–Kutta pair with tolerances | adaptive | 6 per inner step |
//!
//! and the stochastic ones: [`Ancestral`], [`Ddim`] with η > 0, [`EulerAncestral`], [`Dpm2Ancestral`],
//! [`DpmSolverPp2SAncestral`], [`Churn`], [`EulerMaruyama`], [`SdeHeun`], [`SaSolver`], [`PredictorCorrector`],
//! [`Restart`] and [`Consistency`].
//!
//! Of the samplers of categories [`Ancestral`], [`Analytic`] and [`TauLeaping`] reverse every categorical noise, and
//! the others unmask absorbing noise. "Exact" states when samples have the data's joint distribution, given exact
//! conditionals:
//!
//! | sampler | a step | exact |
//! |---|---|---|
//! | [`Ancestral`] | samples p(x_s \| x_t) of the noise | one entry per step |
//! | [`Analytic`] | samples each entry from q(x_s \| x_t) itself | one entry per step |
//! | [`FirstHitting`] | jumps from one unmasking to the next, at times of its own | always |
//! | [`TauLeaping`] | holds the reverse rates constant over the step | in the limit, first order |
//! | [`Ordered`] | unmasks in order of confidence, as many as the schedule implies | one entry per step, unless the order depends on the sampled categories |
//! | [`Remasking`] | unmasks more, and masks some again | in the limit |
//!
//! and around them: [`Cached`] saves network evaluations while nothing changes, [`Blocks`] goes left to right through
//! any length, [`Infill`] keeps known entries.
//!
//! [`trajectory`] runs any of them. A sampler of your own implements [`Sampler`], or [`Multistep`] if it is a linear
//! multistep method; both pages have an example.
mod adams;
mod adaptive;
mod ancestral;
mod churn;
mod consistency;
mod ddim;
mod diagnosis;
mod discrete;
mod dpm;
mod evaluation;
mod history;
mod langevin;
mod multistep;
mod ode;
mod pndm;
mod properties;
mod restart;
mod sampler;
mod sde;
mod time_step;
mod trajectory;
mod tune;
mod unipc;
mod variable;
pub use adams::{AdamsBashforth, Deis, Etd, Lms, SaSolver};
pub use adaptive::DormandPrince;
pub(crate) use adaptive::{angle, integrate, polar};
pub use ancestral::{Dpm2Ancestral, DpmSolverPp2SAncestral, EulerAncestral, NoiseSource};
pub use churn::Churn;
pub use consistency::Consistency;
pub use ddim::{Ancestral, Ddim, invert};
pub use diagnosis::{Diagnosis, signal_left};
pub use discrete::{
    Analytic, Blocks, Cached, FirstHitting, Infill, Ordered, Remask, Remasking, TauLeaping, UnmaskingOrder,
    clean_probabilities, corrupted, read_categories, require_absorbing, require_categories, sample_categories,
    time_of_survival, write_categories,
};
pub use dpm::{Dpm2, DpmSolver, DpmSolverPp, DpmSolverPp2S};
pub use evaluation::{Combination, Evaluation, combine, gaussian_schedule, noise_like};
pub use history::History;
pub use langevin::PredictorCorrector;
pub use multistep::{Multistep, MultistepState, SolverPrediction, StepIntegral};
pub use ode::{Euler, Heun};
pub use pndm::{Ipndm, Plms, Pndm};
pub use properties::Properties;
pub use restart::Restart;
pub use sampler::{CloneState, Sampler, SamplerState, first_step, require_gaussian};
pub use sde::{EulerMaruyama, SdeHeun};
pub use time_step::TimeStep;
pub use trajectory::{Trajectory, trajectory, trajectory_from};
pub use tune::{Tuned, tune};
pub use unipc::{UniPc, UniPcVariant};
pub use variable::{TimePoint, Variable};

//! Ancestral forms of the solvers: each step goes down too far, and noise brings it back up.
use super::{Past, Sampler, dpm, fresh, path, straight};
use crate::{
    denoise::Denoiser,
    error::Error,
    noise::Noise,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// A step to `to` split into a flow down to smaller noise and fresh noise on top: the scales below, and the std of the
/// noise. With `r = σ/α`: `r_up = min(r_s, η √(r_s² (r_t² − r_s²)/r_t²))`, `r_down = √(r_s² − r_up²)`.
fn split(eta: f64, from: Scales, to: Scales) -> (Scales, f64) {
    // r_s/r_t, which is 0 where α_t is.
    let share = to.sigma * from.alpha / (to.alpha * from.sigma);
    let up = (eta * (1.0 - share * share).max(0.0).sqrt()).min(1.0);
    let down = Scales { sigma: to.sigma * ((1.0 - up) * (1.0 + up)).sqrt(), ..to };
    (down, to.sigma * up)
}

/// Standard noise shaped like its argument: a stream's, or a test's own.
pub type Draw<'a, const D: usize> = dyn FnMut(&Tensor<D>) -> Tensor<D> + 'a;

/// How a step flows down.
type Flow<const D: usize> = fn(&dyn Denoiser<D>, &dyn Schedule, Tensor<D>, f64, Scales) -> Tensor<D>;

fn ancestral<const D: usize>(
    flow: Flow<D>,
    eta: f64,
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    t: f64,
    s: f64,
    draw: &mut Draw<'_, D>,
) -> Tensor<D> {
    let path = path(model);
    let (down, up) = split(eta, path.at(t), path.at(s));
    let z = flow(model, path, z, t, down);
    if up == 0.0 {
        return z;
    }
    let noise = draw(&z);
    combine!([(1.0, z), (up, noise)])
}

fn euler<const D: usize>(model: &dyn Denoiser<D>, path: &dyn Schedule, z: Tensor<D>, t: f64, to: Scales) -> Tensor<D> {
    let x = model.denoise(z.clone(), &[t]).mean;
    straight(z, x, path.at(t), to)
}

macro_rules! ancestral {
    ($(#[$doc:meta])* $name:ident, $flow:path, $calls:expr, $called:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// η: 0 is the flow, 1 the posterior's noise.
            pub eta: f64,
        }
        impl Default for $name {
            fn default() -> Self {
                Self { eta: 1.0 }
            }
        }
        impl $name {
            /// [`Sampler::step`] with noise of one's own.
            pub fn step_with<const D: usize>(
                &self,
                model: &dyn Denoiser<D>,
                z: Tensor<D>,
                t: f64,
                s: f64,
                draw: &mut Draw<'_, D>,
            ) -> Tensor<D> {
                ancestral($flow, self.eta, model, z, t, s, draw)
            }
        }
        impl<const D: usize> Sampler<D> for $name {
            fn step(
                &self,
                model: &dyn Denoiser<D>,
                z: Tensor<D>,
                t: f64,
                s: f64,
                _: &mut Past<D>,
                rng: &mut Rng,
            ) -> Tensor<D> {
                self.step_with(model, z, t, s, &mut |z: &Tensor<D>| fresh(rng, z))
            }
            fn order(&self) -> Option<usize> {
                (self.eta == 0.0).then_some($calls)
            }
            fn weak_order(&self) -> usize {
                $calls
            }
            fn calls(&self) -> usize {
                $calls
            }
            fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
                super::gaussian(self, noise)?;
                if self.eta >= 0.0 && self.eta.is_finite() {
                    return Ok(());
                }
                Err(Error::invalid(format!(concat!("the eta of ", $called, " is 0 or more, not {}"), self.eta)))
            }
        }
    };
}

ancestral! {
    /// Euler's step down, noise up: [`Ddim`](super::Ddim) with the same η, as k-diffusion writes it.
    ///
    /// `x_s = α_s x̂ + σ_down ε̂ + σ_up ξ`, with `σ_up = η σ_s √(1 − (r_s/r_t)²)`, `σ_down² = σ_s² − σ_up²`, `r = σ/α`.
    EulerAncestral, euler, 1, "euler-ancestral"
}
ancestral! {
    /// [`Dpm2`](super::Dpm2)'s step down, noise up.
    Dpm2Ancestral, dpm::midpoint_noise, 2, "dpm2-ancestral"
}
ancestral! {
    /// [`DpmSolverPp2S`](super::DpmSolverPp2S)'s step down, noise up.
    DpmSolverPp2SAncestral, dpm::midpoint_data, 2, "dpm-solver++2s-ancestral"
}

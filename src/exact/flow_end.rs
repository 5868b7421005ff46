//! Exact consistency models.
use super::mixture::Mixture;
use crate::{
    denoise::Denoiser,
    noise::{Estimate, Noise},
    rng::Rng,
    sample::{DormandPrince, Sampler, TimeStep},
};
use burn::tensor::Tensor;

/// Exact consistency model of a mixture: `f(x_t, t)`, the end at t = 0 of the probability flow through `x_t`.
#[doc(alias = "consistency")]
#[derive(Clone, Debug)]
pub struct FlowEnd<'a>(pub &'a Mixture);
impl<const D: usize> Denoiser<D> for FlowEnd<'_> {
    fn noise(&self) -> &dyn Noise<D> {
        self.0.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        assert_eq!(t.len(), 1, "a consistency model takes one time for the whole batch");
        let tolerances = DormandPrince { absolute: 1e-8, relative: 1e-8, max_steps: 1_000_000 };
        tolerances.step(self.0, z, TimeStep::new(t[0], 0.0), &mut Rng::new(0)).into()
    }
}

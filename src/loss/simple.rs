//! The squared error of the prediction.
use super::{Batch, Loss, per_sample};
use crate::{
    error::{Error, Result},
    noise::Noise,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Mean squared error, ‖prediction − target‖² over the number of entries of a sample.
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), eq. 14, <https://arxiv.org/abs/2006.11239>.
#[doc(alias("mse_loss", "L_simple"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simple {}
impl<const D: usize> Loss<D> for Simple {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        per_sample((batch.prediction() - batch.target()).square())
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        if noise.categorical() {
            let problem = "the loss `simple` is a squared error, which is not defined for categories";
            return Err(Error::invalid(problem).with_remedy("use `vlb` with a categorical noise"));
        }
        Ok(())
    }
}
crate::loss_arithmetic!(Simple);

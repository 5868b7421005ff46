//! Which noise of a batch is added to which of its data.
use super::Train;
use crate::{
    data::Data,
    error::{Error, Result},
    net::Net,
    noise::{Corruption, Noise},
    rng::Rng,
    transform::Transform,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How the noise ε of a batch is paired with its data x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Coupling {
    /// Independently.
    #[default]
    Independent,
    /// By minibatch optimal transport: the one-to-one pairing within each batch whose sum of squared distances ‖x − ε‖² is least, so
    /// that the paths of flow matching cross less and are straighter. Conditions stay with their data. Takes O(n³) for n samples per
    /// step: at most a few hundred.
    ///
    /// Pooladian et al., "Multisample Flow Matching: Straightening Flows with Minibatch Couplings" (2023),
    /// <https://arxiv.org/abs/2304.14772>; Tong et al., "Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal
    /// Transport" (2023), <https://arxiv.org/abs/2302.00482>.
    #[doc(alias("minibatch_ot", "OTPlanSampler", "OT-CFM", "immiscible_diffusion"))]
    OptimalTransport,
}

/// The one-to-one pairing of rows with the least sum of squared distances Σ ‖x_i − ε_π(i)‖²: π, by the Hungarian algorithm.
///
/// The scalar products that decide are computed in double precision and rounded to 2⁻⁴⁰ of the largest, and the pairing is exact for
/// these. The same numbers give the same pairing on any machine and any number of threads.
///
/// # Shapes
///
/// x and eps: `[n, …]`, alike; n numbers.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<2>::from_floats([[0.0], [1.0], [2.0]], &Device::flex());
/// let eps = Tensor::<2>::from_floats([[1.1], [1.9], [-0.3]], &Device::flex());
/// assert_eq!(tweedie::train::optimal_pairs(x, eps), [2, 0, 1]);
/// ```
///
/// # Panics
///
/// If the shapes differ, or a number is not finite.
#[doc(alias("linear_sum_assignment", "hungarian"))]
pub fn optimal_pairs<const D: usize>(x: Tensor<D>, eps: Tensor<D>) -> Vec<usize> {
    assert_eq!(x.dims(), eps.dims(), "data and noise must have one shape to be paired");
    let n = x.dims()[0];
    if n < 2 {
        return (0..n).collect();
    }
    let (x, eps) = (crate::distribution::host(x), crate::distribution::host(eps));
    let width = x.len() / n;
    // ‖x_i‖² + ‖ε_j‖² is in every pairing: what differs is Σ x_i · ε_π(i), which is to be largest.
    let products: Vec<f64> = (0..n * n)
        .into_par_iter()
        .with_min_len(n)
        .map(|place| {
            let (i, j) = (place / n, place % n);
            let rows = x[i * width..(i + 1) * width].iter().zip(&eps[j * width..(j + 1) * width]);
            rows.fold(0.0, |sum, (x, eps)| sum + x * eps)
        })
        .collect();
    let largest = products.iter().fold(0.0_f64, |most, product| most.max(product.abs()));
    assert!(largest.is_finite(), "data and noise must be finite to be paired");
    let scale = 2f64.powi(40) / largest.max(f64::MIN_POSITIVE);
    let whole = products.into_iter().map(|product| (product * scale).round() as i64).collect();
    let weights = Matrix::from_vec(n, n, whole).expect("n² products");
    kuhn_munkres(&weights).1
}

impl Train {
    /// The settings by which the noise of a batch is not independent and standard normal: whether each is in use, and its field.
    fn corruptions(&self) -> [(bool, &'static str); 3] {
        [
            (self.coupling != Coupling::Independent, "coupling"),
            (self.noise_offset != 0.0, "noise_offset"),
            (self.input_perturbation != 0.0, "input_perturbation"),
        ]
    }

    /// Whether the noise of a batch is anything but independent and standard normal.
    pub(super) fn corrupts(&self) -> bool {
        self.corruptions().into_iter().any(|(set, _)| set)
    }

    /// Checks that the settings are for this noise, on data of rank `D`.
    ///
    /// # Errors
    ///
    /// If they are not: a coupling, an offset or a perturbation of categories, or an offset of data without axes to be constant over;
    /// with the field.
    pub fn check_noise<const D: usize>(&self, noise: &dyn Noise<D>) -> Result<()> {
        if let Some((_, field)) = self.corruptions().into_iter().find(|(set, _)| *set && noise.path().is_none()) {
            let what = if noise.categorical() { "categories" } else { "this noise" };
            let problem = format!("is defined for Gaussian noise x_t = α x + σ ε, and {what} have no ε");
            return Err(Error::invalid(problem).with_field(field).with_remedy("leave it out"));
        }
        if self.noise_offset != 0.0 && D < 3 {
            let problem = "is constant over the pixels of a channel, and data of one axis have none";
            return Err(Error::invalid(problem).with_field("noise_offset").with_remedy("leave it out"));
        }
        Ok(())
    }

    /// The number of the noise that each of some rows of the data receives.
    pub(super) fn pairs<const D: usize, N: Net<D>, T: Transform<D>>(
        &self,
        transform: &T,
        data: &dyn Data<T::Raw, N::Condition>,
        rows: &[usize],
        rng: &Rng,
        device: &Device,
    ) -> Vec<usize> {
        let own: Vec<usize> = (0..rows.len()).collect();
        if self.coupling == Coupling::Independent {
            return own;
        }
        let device = device.clone().inner();
        let (raw, _) = data.batch(rows, &rng.stream("data"), &device);
        let x = Module::valid(transform).encode(raw);
        let corruption = Corruption { rng, rows: &own, noise_offset: self.noise_offset, input_perturbation: 0.0 };
        let eps = corruption.eps(&x);
        optimal_pairs(x, eps)
    }
}

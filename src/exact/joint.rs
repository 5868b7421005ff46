//! Distributions on sequences of categories with all conditionals by enumeration.
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::{Error, Result},
    noise::{Estimate, Noise},
    rng::Rng,
};
use burn::tensor::{Tensor, TensorData};

/// Data from a finite set of sequences of categories under categorical noise, with the exact denoiser.
///
/// ```text
/// p(x_i = a | z) ∝ Σ_{x: x_i = a} p(x) Π_l q(z_l | x_l)
/// ```
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{denoise::Denoiser, exact::Joint, noise::Discrete, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let model = Joint::new(noise, vec![(vec![0, 0], 0.5), (vec![1, 1], 0.5)])?;
/// // The second token is known, the first is masked.
/// let z = Tensor::<3>::from_floats([[[2.0], [1.0]]], &Device::flex());
/// let probs = model.denoise(z, &[0.5]).mean.into_data().to_vec::<f32>().unwrap();
/// assert_eq!(probs[..3], [0.0, 1.0, 0.0]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Debug)]
pub struct Joint {
    noise: Box<dyn Noise<3>>,
    length: usize,
    k: usize,
    sequences: Vec<(Vec<usize>, f64)>,
}

impl Joint {
    /// Builds the distribution on sequences of one length with weights, which are normalized, under categorical noise.
    ///
    /// # Errors
    ///
    /// If the noise is not categorical, or a sequence has another length than the first, a category that does not exist or a
    /// weight that is not positive.
    pub fn new(noise: impl Noise<3> + 'static, mut sequences: Vec<(Vec<usize>, f64)>) -> Result<Self> {
        let wrong = |what: String| Err(Error::invalid(what));
        let Some(k) = noise.categories().map(|c| c.k).filter(|_| noise.chain().is_some()) else {
            return wrong("`Joint` needs categorical noise".into());
        };
        let length = sequences.first().map_or(0, |(x, _)| x.len());
        if length == 0 {
            return wrong("`Joint` needs at least one sequence of at least one category".into());
        }
        for (i, (x, weight)) in sequences.iter().enumerate() {
            if x.len() != length || x.iter().any(|x| *x >= k) || !(*weight > 0.0 && weight.is_finite()) {
                return wrong(format!(
                    "sequence {i} must have {length} categories below {k} and a positive weight, got {x:?} with {weight}"
                ));
            }
        }
        let total: f64 = sequences.iter().map(|(_, weight)| weight).sum();
        sequences.iter_mut().for_each(|(_, weight)| *weight /= total);
        Ok(Self { noise: Box::new(noise), length, k, sequences })
    }

    /// Returns the sequences and their probabilities.
    pub fn sequences(&self) -> &[(Vec<usize>, f64)] {
        &self.sequences
    }
    /// Returns the probability of a sequence.
    pub fn probability(&self, x: &[usize]) -> f64 {
        self.sequences.iter().filter(|(y, _)| y == x).map(|(_, p)| p).sum()
    }
    /// Samples x n times as category indices; row i depends on row i of the stream alone.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<&[usize]> {
        let draw = |u: f64| {
            let mut left = u;
            let reached = self.sequences.iter().find(|(_, p)| {
                left -= p;
                left < 0.0
            });
            &reached.unwrap_or(&self.sequences[self.sequences.len() - 1]).0[..]
        };
        rng.uniforms(n, 1).into_iter().map(draw).collect()
    }
    /// Computes p(z) at time t of each row.
    pub fn marginal(&self, z: Tensor<3>, t: &[f64]) -> Vec<f64> {
        self.rows(z, t).into_iter().map(|(total, _)| total).collect()
    }

    /// Computes p(z) and p(x_i = a | z) of each row.
    fn rows(&self, z: Tensor<3>, t: &[f64]) -> Vec<(f64, Vec<f64>)> {
        let (length, k) = (self.length, self.k);
        assert_eq!(z.dims()[1], length, "the sequences have {length} tokens");
        let chain = self.noise.chain().expect("checked by new");
        let likelihood = host(chain.likelihood(z.cast(burn::tensor::DType::F64), t));
        let posterior = |likelihood: &[f64]| {
            let (mut total, mut probs) = (0.0, vec![0.0; length * k]);
            for (x, p) in &self.sequences {
                let p = x.iter().enumerate().fold(*p, |p, (l, x)| p * likelihood[l * k + x]);
                total += p;
                x.iter().enumerate().for_each(|(l, x)| probs[l * k + x] += p);
            }
            probs.iter_mut().for_each(|p| *p /= if total > 0.0 { total } else { 1.0 });
            (total, probs)
        };
        likelihood.chunks(length * k).map(posterior).collect()
    }
}

impl Denoiser<3> for Joint {
    fn noise(&self) -> &dyn Noise<3> {
        &*self.noise
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let (batch, device, dtype) = (z.dims()[0], z.device(), z.dtype());
        let probs: Vec<f64> = self.rows(z, t).into_iter().flat_map(|(_, probs)| probs).collect();
        Tensor::<3>::from_data(TensorData::new(probs, [batch, self.length, self.k]), (&device, dtype)).into()
    }
}

//! Sequences of categories whose every conditional is known by enumeration.
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::Error,
    noise::{Estimate, Noise},
    rng::Rng,
};
use burn::tensor::{Tensor, TensorData};

/// Data that are one of a few sequences of categories, under categorical noise, as the denoiser a perfect net would be.
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
/// // The second letter is known, the first is masked.
/// let z = Tensor::<3>::from_floats([[[2.0], [1.0]]], &Device::flex());
/// let guess = model.denoise(z, &[0.5]).mean.into_data().to_vec::<f32>().unwrap();
/// assert_eq!(guess[..3], [0.0, 1.0, 0.0]);
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
    /// Sequences of one length with their weights, which need not sum to one, under a noise of categories.
    ///
    /// # Errors
    ///
    /// If the noise has no categories, or a sequence another length than the first, a category that does not exist or a weight
    /// that is not positive.
    pub fn new(noise: impl Noise<3> + 'static, mut sequences: Vec<(Vec<usize>, f64)>) -> Result<Self, Error> {
        let wrong = |what: String| Err(Error::invalid(what));
        let Some(k) = noise.categories().map(|c| c.k).filter(|_| noise.chain().is_some()) else {
            return wrong("a joint of categories needs a noise of categories".into());
        };
        let length = sequences.first().map_or(0, |(x, _)| x.len());
        if length == 0 {
            return wrong("a joint needs one sequence of one category at least".into());
        }
        for (i, (x, weight)) in sequences.iter().enumerate() {
            if x.len() != length || x.iter().any(|x| *x >= k) || !(*weight > 0.0 && weight.is_finite()) {
                return wrong(format!(
                    "sequence {i} of the joint has {length} categories below {k} and a positive weight, but it is {x:?} with {weight}"
                ));
            }
        }
        let total: f64 = sequences.iter().map(|(_, weight)| weight).sum();
        sequences.iter_mut().for_each(|(_, weight)| *weight /= total);
        Ok(Self { noise: Box::new(noise), length, k, sequences })
    }

    /// The sequences and their probabilities.
    pub fn sequences(&self) -> &[(Vec<usize>, f64)] {
        &self.sequences
    }
    /// The probability of a sequence.
    pub fn probability(&self, x: &[usize]) -> f64 {
        self.sequences.iter().filter(|(y, _)| y == x).map(|(_, p)| p).sum()
    }
    /// n draws of x as category numbers: row i depends on row i of the stream alone.
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
    /// p(z) at time t of each row.
    pub fn marginal(&self, z: Tensor<3>, t: &[f64]) -> Vec<f64> {
        self.rows(z, t).into_iter().map(|(total, _)| total).collect()
    }

    /// p(z), and p(x_i = a | z) row by row.
    fn rows(&self, z: Tensor<3>, t: &[f64]) -> Vec<(f64, Vec<f64>)> {
        let (length, k) = (self.length, self.k);
        assert_eq!(z.dims()[1], length, "the sequences have {length} categories");
        let chain = self.noise.chain().expect("asked for by new");
        let likelihood = host(chain.likelihood(z.cast(burn::tensor::DType::F64), t));
        let look = |likelihood: &[f64]| {
            let (mut total, mut guess) = (0.0, vec![0.0; length * k]);
            for (x, p) in &self.sequences {
                let p = x.iter().enumerate().fold(*p, |p, (l, x)| p * likelihood[l * k + x]);
                total += p;
                x.iter().enumerate().for_each(|(l, x)| guess[l * k + x] += p);
            }
            guess.iter_mut().for_each(|p| *p /= if total > 0.0 { total } else { 1.0 });
            (total, guess)
        };
        likelihood.chunks(length * k).map(look).collect()
    }
}

impl Denoiser<3> for Joint {
    fn noise(&self) -> &dyn Noise<3> {
        &*self.noise
    }
    fn predict(&self, z: Tensor<3>, t: &[f64]) -> Tensor<3> {
        let guess = self.denoise(z.clone(), t).mean;
        self.noise.target(guess, z, t)
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let (batch, device, dtype) = (z.dims()[0], z.device(), z.dtype());
        let guess: Vec<f64> = self.rows(z, t).into_iter().flat_map(|(_, guess)| guess).collect();
        Tensor::<3>::from_data(TensorData::new(guess, [batch, self.length, self.k]), (&device, dtype)).into()
    }
}

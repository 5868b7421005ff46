//! Noise of a training batch that is not independent and standard normal.
use super::Noise;
use crate::{distribution::Sample, rng::Rng};
use burn::tensor::Tensor;

/// How the rows of a training batch are corrupted, if not each by ε ~ N(0, I) of its own row: offset noise, input perturbation, and
/// noise paired with data.
///
/// ```text
/// ε   = n_j + offset · ξ_j          of row j = rows[i], ξ_j constant over all axes but batch and channel
/// x_t = α x + σ ε                   what the loss sees
/// α x + σ (ε + γ ζ)                 what the network reads, ζ ~ N(0, I)
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Corruption<'a> {
    /// The stream of the batch at its first row; row j of it makes ε of number j.
    pub rng: &'a Rng,
    /// The number j of the noise that each row receives: its own row, or the one it is paired with.
    pub rows: &'a [usize],
    /// Standard deviation of offset noise; 0 adds none.
    pub noise_offset: f64,
    /// Input perturbation γ; 0 perturbs nothing.
    pub input_perturbation: f64,
}

impl Corruption<'_> {
    /// ε of each row, `like` x in shape, device and precision.
    pub fn eps<const D: usize>(&self, like: &Tensor<D>) -> Tensor<D> {
        let eps = self.normals("noise", like, like.dims());
        if self.noise_offset == 0.0 {
            return eps;
        }
        let mut one = [1; D];
        one[..2.min(D)].copy_from_slice(&like.dims()[..2.min(D)]);
        eps + self.normals("offset", like, one) * self.noise_offset
    }

    /// x_t with its ε, and the network's x_t if it is another.
    ///
    /// # Panics
    ///
    /// If the noise is not Gaussian along a [`path`](Noise::path).
    pub fn apply<const D: usize>(
        &self,
        noise: &dyn Noise<D>,
        x: Tensor<D>,
        t: &[f64],
    ) -> (Sample<D>, Option<Tensor<D>>) {
        assert!(noise.path().is_some(), "noise of categories is not changed by an offset, a perturbation or pairs");
        let eps = self.eps(&x);
        let marginal = noise.prior(x.clone(), t);
        let (mean, std) = (marginal.mean(), marginal.std());
        let value = mean + std.clone() * eps.clone();
        let read = (self.input_perturbation != 0.0).then(|| {
            let more = self.normals("perturbation", &x, x.dims());
            value.clone() + std * more * self.input_perturbation
        });
        (Sample { value, eps: Some(eps) }, read)
    }

    /// Standard normals of a purpose, row by row: rows that follow each other are sampled together.
    fn normals<const D: usize>(&self, purpose: &str, like: &Tensor<D>, mut shape: [usize; D]) -> Tensor<D> {
        let mut runs: Vec<(usize, usize)> = vec![];
        for &row in self.rows {
            match runs.last_mut() {
                Some((first, count)) if *first + *count == row => *count += 1,
                _ => runs.push((row, 1)),
            }
        }
        let mut sample = |(first, count): (usize, usize)| {
            shape[0] = count;
            self.rng.from_row(first as u64).stream(purpose).normal_tensor(shape, &like.device(), like.dtype())
        };
        match runs.as_slice() {
            [one] => sample(*one),
            _ => Tensor::cat(runs.into_iter().map(sample).collect(), 0),
        }
    }
}

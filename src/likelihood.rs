//! Likelihoods: variational bounds on −ln p(x) of held-out data, with a standard error.
//!
//! A bound is the mean over t of a loss that is one ([`Loss::bound_times`]), plus the [prior term](prior_term), which no network can
//! change. The mean over t is estimated for each row i by n stratified Monte Carlo samples,
//!
//! ```text
//! t_ij = (j + u_i)/n,   j = 0 … n − 1,   u_i ~ U(0, 1)
//! ```
//!
//! so that a row's mean is unbiased, its error falls faster than that of independent samples of t, and rows are independent: the
//! standard deviation of the rows' bounds gives the standard error of their mean, of data, times and noise together.
mod ode;
pub use ode::log_likelihood;
pub(crate) use ode::transport;

use crate::{
    Dual,
    denoise::Denoiser,
    distribution::host,
    error::Error,
    loss::{Batch, BoundTimes, CrossEntropy, Loss, prior_term},
    rng::Rng,
};
use burn::tensor::Tensor;

/// Upper bounds on −ln p(x) of rows, in nats.
///
/// ```
/// use tweedie::likelihood::Bound;
/// let mut all = Bound::default();
/// all.extend(Bound { rows: vec![2.0, 4.0], tokens: vec![2, 2] });
/// all.extend(Bound { rows: vec![6.0], tokens: vec![4] });
/// assert_eq!((all.nats(), all.per_token()), (4.0, 1.5));
/// assert!((all.bits_per_token() - 1.5 / 2f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias("nelbo", "elbo", "bits_per_dim", "perplexity"))]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// The bound of each row, in nats.
    pub rows: Vec<f64>,
    /// The number of dimensions (tokens, pixels, …) of each row.
    pub tokens: Vec<usize>,
}

impl Bound {
    /// Appends the rows of another batch.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.tokens.extend(other.tokens);
    }
    /// The mean over rows, in nats.
    pub fn nats(&self) -> f64 {
        self.rows.iter().sum::<f64>() / self.rows.len() as f64
    }
    /// All nats over all tokens.
    pub fn per_token(&self) -> f64 {
        self.rows.iter().sum::<f64>() / self.tokens.iter().sum::<usize>() as f64
    }
    /// The standard error of [`per_token`](Bound::per_token): that of a ratio of means over independent rows; NaN for
    /// one row.
    pub fn standard_error(&self) -> f64 {
        let (n, mean) = (self.rows.len() as f64, self.per_token());
        let squares: f64 = self.rows.iter().zip(&self.tokens).map(|(row, m)| (row - mean * *m as f64).powi(2)).sum();
        let tokens = self.tokens.iter().sum::<usize>() as f64 / n;
        (squares / (n - 1.0) / n).sqrt() / tokens
    }
    /// [`per_token`](Bound::per_token) in bits: bits per dimension, per character, per token.
    #[doc(alias("bpd", "bits_per_dim"))]
    pub fn bits_per_token(&self) -> f64 {
        self.per_token() / std::f64::consts::LN_2
    }
    /// [`standard_error`](Bound::standard_error) in bits.
    pub fn bits_error(&self) -> f64 {
        self.standard_error() / std::f64::consts::LN_2
    }
}

/// An upper bound on −ln p(x) of each row of x, from `samples` Monte Carlo samples of t per row.
///
/// p is the model that ancestral sampling with `model` samples: the denoiser as it is given, with clipping, thresholding, truncation and
/// guidance if it has them. A [conditioned](crate::model::Model::conditioned) model is clipped to its data range, as it is when it is
/// sampled; [`unclipped`](crate::model::Model::unclipped) has the bound of the network's own predictions. A truncated denoiser that gives x
/// no probability has the bound +∞.
///
/// `loss` is one that is a bound: [`Vlb`](crate::loss::Vlb) over T steps (T samples evaluate every term once),
/// [`MaskedNelbo`](crate::loss::MaskedNelbo) or [`ScoreEntropy`](crate::loss::ScoreEntropy) in continuous time. If ᾱ(0) < 1, the
/// cross-entropy of x given x_0 is added; if absorbing noise has ᾱ(1) > 0, ᾱ(1) times the cross-entropy of x given masks alone takes
/// the place of the prior term, which would be infinite.
///
/// Row i depends on row i of `rng` alone.
///
/// # Shapes
///
/// x as the noise takes it: text is `[rows, length, 1]` token ids.
///
/// # Errors
///
/// If the loss is not a bound or is not defined for the noise, the model refuses the shape of x, or `samples` is 0.
pub fn bound<const D: usize>(
    model: &dyn Denoiser<D>,
    loss: &dyn Loss<D>,
    x: Tensor<D>,
    samples: usize,
    rng: &Rng,
) -> Result<Bound, Error> {
    let noise = model.noise();
    loss.check(noise)?;
    model.check(x.dims())?;
    let Some(times) = loss.bound_times(noise) else {
        return Err(Error::invalid(format!("the loss {loss:?} is not a bound on the likelihood"))
            .with_remedy("use `vlb`, `masked-nelbo` or `score-entropy`"));
    };
    if samples == 0 {
        return Err(Error::invalid("must be 1 or more, got 0").with_field("samples"));
    }
    let rows = x.dims()[0];
    let tokens: usize = match noise.categories() {
        Some(_) => x.dims()[1..D - 1].iter().product(),
        None => x.dims()[1..].iter().product(),
    };
    let shift = rng.stream("times").uniforms(rows, 1);
    let mut sums = vec![0.0; rows];
    for j in 0..samples {
        let stratum = |u: &f64| (j as f64 + u) / samples as f64;
        let t: Vec<f64> = match times {
            BoundTimes::Continuous => shift.iter().map(stratum).collect(),
            BoundTimes::Steps(n) => shift.iter().map(|u| ((stratum(u) * n as f64).floor() + 1.0) / n as f64).collect(),
        };
        let noisy = noise.prior(x.clone(), &t).sample(&mut rng.stream("noise").at_step(j as u64));
        let terms = terms(model, loss, &x, noisy.value, noisy.eps, &t);
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term / samples as f64);
    }
    for end in ends(model, &x, times, rng) {
        sums.iter_mut().zip(end).for_each(|(sum, term)| *sum += term);
    }
    let rows: Vec<f64> = sums.into_iter().map(|sum| sum * tokens as f64).collect();
    Ok(Bound { tokens: vec![tokens; rows.len()], rows })
}

/// The loss of each row under a denoiser.
fn terms<const D: usize>(
    model: &dyn Denoiser<D>,
    loss: &dyn Loss<D>,
    x: &Tensor<D>,
    z: Tensor<D>,
    eps: Option<Tensor<D>>,
    t: &[f64],
) -> Vec<f64> {
    let estimate = model.denoise(z.clone(), t);
    host(loss.compute(&Batch::of_estimate(model.noise(), x.clone(), z, eps, t, estimate)))
}

/// The terms of the bound at t = 0 and t = 1, in nats per dimension.
fn ends<const D: usize>(model: &dyn Denoiser<D>, x: &Tensor<D>, times: BoundTimes, rng: &Rng) -> Vec<Vec<f64>> {
    let noise = model.noise();
    let Some(categories) = noise.categories() else {
        return vec![host(prior_term(noise, x.clone()))];
    };
    let survival = |t: f64| categories.schedule.survival(Dual::time(t)).value;
    let rows = x.dims()[0];
    let cross_entropy = |z: Tensor<D>, t: f64| terms(model, &CrossEntropy {}, x, z, None, &vec![t; rows]);
    let mut all = vec![];
    if times == BoundTimes::Continuous && survival(0.0) < 1.0 {
        let z = noise.prior(x.clone(), &vec![0.0; rows]).sample(&mut rng.stream("first")).value;
        all.push(cross_entropy(z, 0.0));
    }
    match categories.mask {
        Some(_) if survival(1.0) <= 0.0 => {}
        Some(_) => {
            let mut shape = x.dims();
            shape[D - 1] = if shape[D - 1] == 1 { 1 } else { categories.k };
            let masks = noise.stationary(shape, &x.device()).sample(&mut rng.stream("masks")).value.cast(x.dtype());
            all.push(cross_entropy(masks, 1.0).into_iter().map(|nll| survival(1.0) * nll).collect());
        }
        None => all.push(host(prior_term(noise, x.clone()))),
    }
    all
}

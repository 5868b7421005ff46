//! Likelihoods: bounds on −ln p(x) of data that a model was not trained on, with a standard error.
//!
//! A bound is a mean over times of a loss that says so ([`Loss::times`]), plus the [prior term](prior_term), which no net can
//! change. Each row is looked at several times, one in each of as many equal parts of [0, 1], at a place in its part that is
//! the row's own:
//!
//! ```text
//! t_ij = (j + u_i)/n,   j = 0 … n − 1,   u_i even in (0, 1)
//! ```
//!
//! so that the mean of a row is unbiased, its error falls faster than that of times drawn anywhere, and rows are independent:
//! the spread of the rows' bounds is the error of their mean, of data, times and noise together.
mod ode;
pub use ode::log_likelihood;
pub(crate) use ode::transport;

use crate::{
    denoise::Denoiser,
    distribution::host,
    error::Error,
    loss::{Batch, Loss, Times, prior_term},
    rng::Rng,
};
use burn::tensor::Tensor;

/// Bounds on −ln p(x) of rows, in nats.
///
/// ```
/// use tweedie::likelihood::Bound;
/// let mut all = Bound::default();
/// all.extend(Bound { rows: vec![2.0, 4.0], tokens: vec![2, 2] });
/// all.extend(Bound { rows: vec![6.0], tokens: vec![4] });
/// assert_eq!((all.nats(), all.per_token()), (4.0, 1.5));
/// assert!((all.bits_per_token() - 1.5 / 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// The bound of each row, in nats.
    pub rows: Vec<f64>,
    /// How many categories (or numbers) each row is made of.
    pub tokens: Vec<usize>,
}

impl Bound {
    /// The rows of another batch as well.
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
    /// The standard error of [`per_token`](Bound::per_token): that of a ratio of means over independent rows; not a number for
    /// one row.
    pub fn standard_error(&self) -> f64 {
        let (n, mean) = (self.rows.len() as f64, self.per_token());
        let squares: f64 = self.rows.iter().zip(&self.tokens).map(|(row, m)| (row - mean * *m as f64).powi(2)).sum();
        let tokens = self.tokens.iter().sum::<usize>() as f64 / n;
        (squares / (n - 1.0) / n).sqrt() / tokens
    }
    /// [`per_token`](Bound::per_token) in bits.
    pub fn bits_per_token(&self) -> f64 {
        self.per_token() / std::f64::consts::LN_2
    }
    /// [`standard_error`](Bound::standard_error) in bits.
    pub fn bits_error(&self) -> f64 {
        self.standard_error() / std::f64::consts::LN_2
    }
}

/// A bound on −ln p(x) of each row of x, by `looks` looks at each.
///
/// `loss` is one that is a bound: [`Vlb`](crate::loss::Vlb) over T steps (T looks see every term once),
/// [`MaskedNelbo`](crate::loss::MaskedNelbo) or [`ScoreEntropy`](crate::loss::ScoreEntropy) in continuous time. Where the
/// schedule is not quite clean at t = 0, what it costs to guess x there is added; where absorbing noise leaves something unmasked
/// at t = 1, what it costs to guess that from nothing but masks is added in the place of the prior term, which would be infinite.
///
/// Row i depends on row i of `rng` alone.
///
/// # Shapes
/// x as the noise takes it: text is `[rows, length, 1]` numbers.
///
/// # Errors
///
/// If the loss is no bound or has no meaning for the noise, or there is no look.
pub fn bound<const D: usize>(
    model: &dyn Denoiser<D>,
    loss: &dyn Loss<D>,
    x: Tensor<D>,
    looks: usize,
    rng: &Rng,
) -> Result<Bound, Error> {
    let noise = model.noise();
    loss.check(noise)?;
    let Some(times) = loss.times(noise) else {
        return Err(Error::invalid(format!(
            "the loss {loss:?} is no bound on the likelihood: `vlb`, `masked-nelbo` and `score-entropy` are"
        )));
    };
    if looks == 0 {
        return Err(Error::invalid("a likelihood needs one look at each row at least"));
    }
    let rows = x.dims()[0];
    let tokens: usize = match noise.categories() {
        Some(_) => x.dims()[1..D - 1].iter().product(),
        None => x.dims()[1..].iter().product(),
    };
    let shift = rng.stream("times").uniforms(rows, 1);
    let mut sums = vec![0.0; rows];
    for look in 0..looks {
        let place = |u: &f64| (look as f64 + u) / looks as f64;
        let t: Vec<f64> = match times {
            Times::Continuous => shift.iter().map(place).collect(),
            Times::Steps(n) => shift.iter().map(|u| ((place(u) * n as f64).floor() + 1.0) / n as f64).collect(),
        };
        let draw = noise.prior(x.clone(), &t).sample(&mut rng.stream("noise").at(look as u64));
        let terms = terms(model, loss, &x, draw.value, draw.eps, &t);
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term / looks as f64);
    }
    for more in ends(model, &x, times, rng) {
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    let rows: Vec<f64> = sums.into_iter().map(|sum| sum * tokens as f64).collect();
    Ok(Bound { tokens: vec![tokens; rows.len()], rows })
}

fn terms<const D: usize>(
    model: &dyn Denoiser<D>,
    loss: &dyn Loss<D>,
    x: &Tensor<D>,
    z: Tensor<D>,
    eps: Option<Tensor<D>>,
    t: &[f64],
) -> Vec<f64> {
    let output = model.predict(z.clone(), t);
    host(loss.compute(&Batch::new(model.noise(), x.clone(), z, eps, t, output, &(), &())))
}

/// What is beyond the times of the loss, in nats a dimension: where the noise begins, and where it ends.
fn ends<const D: usize>(model: &dyn Denoiser<D>, x: &Tensor<D>, times: Times, rng: &Rng) -> Vec<Vec<f64>> {
    use crate::{Dual, loss::CrossEntropy};
    let noise = model.noise();
    let Some(categories) = noise.categories() else {
        return vec![host(prior_term(noise, x.clone()))];
    };
    let keep = |t: f64| categories.schedule.survival(Dual::time(t)).value;
    let rows = x.dims()[0];
    let guess = |z: Tensor<D>, t: f64| terms(model, &CrossEntropy {}, x, z, None, &vec![t; rows]);
    let mut all = vec![];
    if times == Times::Continuous && keep(0.0) < 1.0 {
        let z = noise.prior(x.clone(), &vec![0.0; rows]).sample(&mut rng.stream("first")).value;
        all.push(guess(z, 0.0));
    }
    match categories.mask {
        Some(_) if keep(1.0) <= 0.0 => {}
        Some(_) => {
            let mut shape = x.dims();
            shape[D - 1] = if shape[D - 1] == 1 { 1 } else { categories.k };
            let masks = noise.stationary(shape, &x.device()).sample(&mut rng.stream("masks")).value.cast(x.dtype());
            all.push(guess(masks, 1.0).into_iter().map(|nll| keep(1.0) * nll).collect());
        }
        None => all.push(host(prior_term(noise, x.clone()))),
    }
    all
}

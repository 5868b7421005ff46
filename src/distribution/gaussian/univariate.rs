use super::{GaussianError, Result, finite, fraction, positive};
use crate::{
    rng::Rng,
    special::{normal_cdf, normal_quantile},
};
use std::f64::consts::PI;

/// The normal distribution of a scalar, `N(x; μ, σ²) = exp(−(x − μ)² / 2σ²) / √(2πσ²)`.
///
/// `μ ∈ ℝ` is the mean and `σ > 0` the standard deviation.
///
/// ```
/// use tweedie::distribution::gaussian::UnivariateNormal;
/// let height = UnivariateNormal::new(170.0, 8.0)?;
/// assert!((height.cdf(178.0) - 0.841_344_746).abs() < 1e-9); // one σ above the mean
/// assert!((height.quantile(0.975)? - (170.0 + 1.959_963_985 * 8.0)).abs() < 1e-7);
/// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnivariateNormal {
    mean: f64,
    std: f64,
}

impl UnivariateNormal {
    /// The standard normal, μ = 0 and σ = 1.
    pub const STANDARD: Self = Self { mean: 0.0, std: 1.0 };

    /// The normal with this mean and standard deviation.
    ///
    /// # Errors
    ///
    /// If either is not finite, or `std ≤ 0`: a point mass has no density.
    pub fn new(mean: f64, std: f64) -> Result<Self> {
        Ok(Self { mean: finite("mean", &[], mean)?, std: positive("standard deviation", &[], std)? })
    }

    /// The normal with this mean and variance σ².
    ///
    /// # Errors
    ///
    /// If either is not finite, or `variance ≤ 0`.
    pub fn with_variance(mean: f64, variance: f64) -> Result<Self> {
        Self::new(mean, positive("variance", &[], variance)?.sqrt())
    }

    /// The normal with mean and variance of the data, `σ̂² = 1/(n − 1) Σ (xᵢ − μ̂)²`.
    ///
    /// # Errors
    ///
    /// If there are fewer than two numbers or all are equal.
    pub fn fit(data: &[f64]) -> Result<Self> {
        if data.len() < 2 {
            return Err(GaussianError::Length { what: "data", found: data.len(), expected: 2 });
        }
        let mean = super::mean_of(data, 1)?[0];
        let squares: f64 = data.iter().map(|x| (x - mean).powi(2)).sum();
        Self::with_variance(mean, squares / (data.len() as f64 - 1.0))
    }

    /// The mean μ.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation σ.
    pub fn std(&self) -> f64 {
        self.std
    }

    /// The variance σ².
    pub fn variance(&self) -> f64 {
        self.std * self.std
    }

    /// The central moment `E[(x − μ)ᵏ]`: 0 for odd k, `(k − 1)!! σᵏ` for even k.
    pub fn central_moment(&self, k: u32) -> f64 {
        if k % 2 == 1 { 0.0 } else { (1..k).step_by(2).map(f64::from).product::<f64>() * self.std.powi(k as i32) }
    }

    /// The moment `E[xᵏ]`, by `E[xᵏ] = μ E[xᵏ⁻¹] + (k − 1) σ² E[xᵏ⁻²]`.
    pub fn moment(&self, k: u32) -> f64 {
        let (mut before, mut now) = (0.0, 1.0);
        for k in 1..=k {
            (before, now) = (now, self.mean * now + f64::from(k - 1) * self.variance() * before);
        }
        now
    }

    /// Differential entropy in nats, `½ ln(2πe σ²)`.
    pub fn entropy(&self) -> f64 {
        0.5 * (2.0 * PI).ln() + 0.5 + self.std.ln()
    }

    /// The density `N(x; μ, σ²)`.
    pub fn density(&self, x: f64) -> f64 {
        self.log_density(x).exp()
    }

    /// The log-density `ln N(x; μ, σ²) = −½ ((x − μ)/σ)² − ln σ − ½ ln 2π`.
    pub fn log_density(&self, x: f64) -> f64 {
        -0.5 * ((x - self.mean) / self.std).powi(2) - self.std.ln() - 0.5 * (2.0 * PI).ln()
    }

    /// The score, `d/dx ln N(x; μ, σ²) = (μ − x)/σ²`.
    pub fn score(&self, x: f64) -> f64 {
        // Divided twice: σ² may underflow where σ does not.
        (self.mean - x) / self.std / self.std
    }

    /// The distribution function `P(X ≤ x) = ½ erfc((μ − x)/(σ√2))`, exact to rounding in both tails.
    pub fn cdf(&self, x: f64) -> f64 {
        normal_cdf((x - self.mean) / self.std)
    }

    /// The quantile function: the x with `P(X ≤ x) = p`; −∞ and ∞ at 0 and 1.
    ///
    /// # Errors
    ///
    /// If p is not in [0, 1].
    pub fn quantile(&self, p: f64) -> Result<f64> {
        Ok(self.mean + self.std * normal_quantile(fraction("a probability", p)?))
    }

    /// Returns `n` independent samples.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        rng.normals(n, 1).into_iter().map(|z| self.mean + self.std * z).collect()
    }

    /// The distribution of `a x + b`: `N(aμ + b, a²σ²)`.
    ///
    /// # Errors
    ///
    /// If `a` is zero: the image is a point mass.
    pub fn affine(&self, a: f64, b: f64) -> Result<Self> {
        Self::new(a * self.mean + b, a.abs() * self.std)
    }

    /// The distribution of `x + y` for independent x and y, the convolution of the densities: `N(μ₁ + μ₂, σ₁² + σ₂²)`.
    pub fn sum(&self, other: &Self) -> Self {
        Self { mean: self.mean + other.mean, std: self.std.hypot(other.std) }
    }

    /// The product of the two densities: a normal, and the factor Z that it is multiplied by.
    ///
    /// `N(x; μ₁, σ₁²) N(x; μ₂, σ₂²) = Z N(x; μ, σ²)` with `1/σ² = 1/σ₁² + 1/σ₂²`, `μ = σ² (μ₁/σ₁² + μ₂/σ₂²)` and
    /// `Z = N(μ₁; μ₂, σ₁² + σ₂²)`. This is Bayes' rule for a normal prior and a normal likelihood.
    ///
    /// ```
    /// use tweedie::distribution::gaussian::UnivariateNormal;
    /// let (prior, likelihood) = (UnivariateNormal::new(0.0, 2.0)?, UnivariateNormal::new(3.0, 1.0)?);
    /// let (posterior, evidence) = prior.product(&likelihood);
    /// let by_hand = prior.density(1.5) * likelihood.density(1.5);
    /// assert!((evidence * posterior.density(1.5) - by_hand).abs() < 1e-15);
    /// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
    /// ```
    pub fn product(&self, other: &Self) -> (Self, f64) {
        let sum = self.std.hypot(other.std);
        // w = σ₂²/(σ₁² + σ₂²): no reciprocal of a variance is formed.
        let w = (other.std / sum).powi(2);
        let mean = w * self.mean + (1.0 - w) * other.mean;
        let apart = Self { mean: other.mean, std: sum };
        (Self { mean, std: self.std * (other.std / sum) }, apart.density(self.mean))
    }

    /// `KL(p ‖ q) = ln(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²)/(2σ_q²) − ½` in nats.
    pub fn kl(&self, q: &Self) -> f64 {
        let ratio = self.std / q.std;
        let excess = (ratio - 1.0) * (ratio + 1.0);
        // 2 ln r, by ln1p where r is near one, so that the difference keeps its digits.
        // The ratio itself may overflow or underflow; the difference of logarithms does not.
        let twice_ln = if excess.abs() < 0.5 { excess.ln_1p() } else { 2.0 * (self.std.ln() - q.std.ln()) };
        0.5 * (excess - twice_ln + ((self.mean - q.mean) / q.std).powi(2)).max(0.0)
    }

    /// The 2-Wasserstein distance, `W₂² = (μ₁ − μ₂)² + (σ₁ − σ₂)²`.
    pub fn wasserstein2(&self, other: &Self) -> f64 {
        (self.mean - other.mean).hypot(self.std - other.std)
    }
}

//! Densities on a uniform grid, and the density of a sum.
use super::{GaussianError, Result, finite, positive};
use realfft::RealFftPlanner;

/// A density on a uniform grid, `p(start + i · step)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    start: f64,
    step: f64,
    values: Vec<f64>,
}

/// The error of a density on a grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvolutionError {
    /// `max |p̂ − p|` over the points of the grid.
    pub largest: f64,
    /// `∫ |p̂ − p| dx` over the grid, by the trapezium rule: twice the total variation distance.
    pub total: f64,
    /// `1 − ∫ p̂ dx`: the mass outside of the grid.
    pub missing_mass: f64,
}

impl Density {
    /// The density with these values.
    ///
    /// # Errors
    ///
    /// If a number is not finite, the step is not positive, or there are fewer than two values.
    pub fn new(start: f64, step: f64, values: Vec<f64>) -> Result<Self> {
        finite("start of the grid", &[], start)?;
        positive("step of the grid", &[], step)?;
        if values.len() < 2 {
            return Err(GaussianError::Length { what: "grid", found: values.len(), expected: 2 });
        }
        for (i, &value) in values.iter().enumerate() {
            finite("density", &[i], value)?;
        }
        Ok(Self { start, step, values })
    }

    /// The density evaluated at `n` points from `low` to `high`, both included.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of(density: impl Fn(f64) -> f64, low: f64, high: f64, n: usize) -> Result<Self> {
        if n < 2 {
            return Err(GaussianError::Length { what: "grid", found: n, expected: 2 });
        }
        let step = (high - low) / (n as f64 - 1.0);
        Self::new(low, step, (0..n).map(|i| density(low + i as f64 * step)).collect())
    }

    /// The distance of neighboring points.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The densities.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The points.
    pub fn points(&self) -> Vec<f64> {
        (0..self.values.len()).map(|i| self.start + i as f64 * self.step).collect()
    }

    /// `∫ p dx` by the trapezium rule.
    pub fn mass(&self) -> f64 {
        self.integral(|_, p| p)
    }

    /// `∫ x p dx / ∫ p dx`.
    pub fn mean(&self) -> f64 {
        self.integral(|x, p| x * p) / self.mass()
    }

    /// `∫ (x − mean)² p dx / ∫ p dx`.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        self.integral(|x, p| (x - mean).powi(2) * p) / self.mass()
    }

    /// The error with respect to the exact density.
    pub fn error(&self, exact: impl Fn(f64) -> f64) -> ConvolutionError {
        let wrong = |x: f64, p: f64| (p - exact(x)).abs();
        let largest = self.points().into_iter().zip(&self.values).map(|(x, &p)| wrong(x, p)).fold(0.0, f64::max);
        ConvolutionError { largest, total: self.integral(wrong), missing_mass: 1.0 - self.mass() }
    }

    /// `∫ f(x, p(x)) dx` by the trapezium rule.
    fn integral(&self, f: impl Fn(f64, f64) -> f64) -> f64 {
        let last = self.values.len() - 1;
        let weigh = |i: usize| if i == 0 || i == last { 0.5 } else { 1.0 };
        let at = |i: usize| self.start + i as f64 * self.step;
        self.values.iter().enumerate().map(|(i, &p)| weigh(i) * f(at(i), p)).sum::<f64>() * self.step
    }
}

/// The density of `x + y` for independent x and y: `(p ∗ q)(z) = ∫ p(x) q(z − x) dx`.
///
/// The integral is a sum over the grid, and all these sums are one product of Fourier transforms, padded against
/// wrap-around: O(n log n). For smooth densities that are nearly zero at the edges of their grids the error
/// falls faster than any power of the step; for densities with jumps as the step itself. Rounding leaves values of
/// either sign of the order of 10⁻¹⁶ of the largest where the true density is less than that.
///
/// ```
/// use tweedie::distribution::gaussian::{Density, UnivariateNormal, convolve};
/// let (p, q) = (UnivariateNormal::new(-1.0, 0.5)?, UnivariateNormal::new(2.0, 1.2)?);
/// let on_grid = |n: &UnivariateNormal| Density::of(|x| n.density(x), -12.0, 12.0, 1001);
/// let numeric = convolve(&on_grid(&p)?, &on_grid(&q)?)?;
/// let error = numeric.error(|z| p.sum(&q).density(z));
/// assert!(error.largest < 1e-14 && error.missing_mass.abs() < 1e-13);
/// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
/// ```
///
/// # Errors
///
/// If the steps of the two grids differ.
pub fn convolve(p: &Density, q: &Density) -> Result<Density> {
    if (p.step - q.step).abs() > 1e-9 * p.step {
        return Err(GaussianError::Step { left: p.step, right: q.step });
    }
    let len = p.values.len() + q.values.len() - 1;
    let padded = (len + 1).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(padded);
    let spectrum = |values: &[f64]| {
        let mut input = values.to_vec();
        input.resize(padded, 0.0);
        let mut output = forward.make_output_vec();
        forward.process(&mut input, &mut output).expect("lengths come from the plan");
        output
    };
    let mut product = spectrum(&p.values);
    product.iter_mut().zip(spectrum(&q.values)).for_each(|(a, b)| *a *= b);
    let backward = planner.plan_fft_inverse(padded);
    let mut values = backward.make_output_vec();
    // The inverse transform requires exactly real numbers at both ends, which rounding may have changed.
    let last = product.len() - 1;
    (product[0].im, product[last].im) = (0.0, 0.0);
    backward.process(&mut product, &mut values).expect("lengths come from the plan");
    values.truncate(len);
    let scale = p.step / padded as f64;
    values.iter_mut().for_each(|v| *v *= scale);
    Density::new(p.start + q.start, p.step, values)
}

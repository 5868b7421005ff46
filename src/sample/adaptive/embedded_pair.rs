//! Dormand and Prince's embedded Runge–Kutta pair with step size control.
use crate::sample::combine;
use burn::tensor::Tensor;
use tweedie_kernels::ops::max_error_ratio;

/// A solution of [`integrate`]: linear combinations, and a size of errors.
pub(crate) trait OdeState: Clone {
    /// Σ cᵢ xᵢ.
    fn sum(terms: impl IntoIterator<Item = (f64, Self)>) -> Self;
    /// The largest |error|/(absolute + relative·|value|) over all the numbers; NaN if one is not finite.
    fn size(error: Self, value: &Self, absolute: f64, relative: f64) -> f64;
}
impl<const D: usize> OdeState for Tensor<D> {
    fn sum(terms: impl IntoIterator<Item = (f64, Self)>) -> Self {
        combine(terms)
    }
    fn size(error: Self, value: &Self, absolute: f64, relative: f64) -> f64 {
        max_error_ratio(error, value.clone(), absolute, relative)
    }
}
impl<const D: usize, const E: usize> OdeState for (Tensor<D>, Tensor<E>) {
    fn sum(terms: impl IntoIterator<Item = (f64, Self)>) -> Self {
        let (first, second): (Vec<_>, Vec<_>) = terms.into_iter().map(|(c, (a, b))| ((c, a), (c, b))).unzip();
        (combine(first), combine(second))
    }
    fn size(error: Self, value: &Self, absolute: f64, relative: f64) -> f64 {
        let first = OdeState::size(error.0, &value.0, absolute, relative);
        let second = OdeState::size(error.1, &value.1, absolute, relative);
        if first.is_nan() { first } else { first.max(second) }
    }
}

/// Dormand and Prince's coefficients: six stages, the seventh is the first of the next step.
pub(super) const NODES: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
pub(super) const STAGES: [&[f64]; 7] = [
    &[],
    &[0.2],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
const FOURTH: [f64; 7] =
    [5179.0 / 57600.0, 0.0, 7571.0 / 16695.0, 393.0 / 640.0, -92097.0 / 339_200.0, 187.0 / 2100.0, 1.0 / 40.0];

/// The weights of the slopes in the error estimate, the difference of the two orders.
pub(super) fn error_weights() -> [f64; 7] {
    std::array::from_fn(|i| STAGES[6].get(i).unwrap_or(&0.0) - FOURTH[i])
}

/// The most steps that [`integrate`] tries.
const MOST: usize = 1_000_000;

/// Solves `dy/du = f(u, y)` from `from` to `to` by Dormand and Prince's pair of orders 5 and 4.
///
/// The estimated error of a step is at most `absolute + relative·|y|` in every number. The last step tried is returned
/// with the solution: `first_step` of a call that continues from there.
///
/// Dormand and Prince, "A family of embedded Runge–Kutta formulae" (1980),
/// <https://doi.org/10.1016/0771-050X(80)90013-3>.
///
/// # Panics
///
/// If the step falls below rounding, or a million are not enough: f is not finite or not smooth there.
pub(crate) fn integrate<Y: OdeState>(
    mut f: impl FnMut(f64, Y) -> Y,
    y: Y,
    from: f64,
    to: f64,
    (absolute, relative): (f64, f64),
    first_step: Option<f64>,
) -> (Y, f64) {
    let mut y = y;
    let mut slopes = Vec::with_capacity(7);
    slopes.push(f(from, y.clone()));
    let last_step = adapt(from, to, first_step, |step| {
        let mix = |slopes: &[Y], weights: &[f64], y: Option<&Y>| {
            let terms = slopes.iter().zip(weights).filter(|(_, w)| **w != 0.0);
            let terms = terms.map(|(slope, w)| (step.length * w, slope.clone()));
            Y::sum(y.map(|y| (1.0, y.clone())).into_iter().chain(terms))
        };
        slopes.truncate(1);
        for i in 1..6 {
            let stage = mix(&slopes, STAGES[i], Some(&y));
            slopes.push(f(step.at(NODES[i]), stage));
        }
        let next = mix(&slopes, STAGES[6], Some(&y));
        slopes.push(f(step.at(1.0), next.clone()));
        let error = Y::size(mix(&slopes, &error_weights(), None), &next, absolute, relative);
        if error <= 1.0 {
            y = next;
            slopes.swap(0, 6);
        }
        error
    });
    let last_step = last_step.unwrap_or_else(|at| panic!("an adaptive solver found no step short enough at {at}"));
    (y, last_step)
}

/// A step to try.
pub(super) struct Trial {
    from: f64,
    /// Below zero on the way down.
    pub length: f64,
    /// The end of the last step.
    end: Option<f64>,
}
impl Trial {
    /// The place of a stage at a fraction of the step.
    pub fn at(&self, node: f64) -> f64 {
        match self.end {
            Some(end) if node == 1.0 => end,
            _ => self.from + node * self.length,
        }
    }
}

/// The steps from one place to another: which to try next, and what its error makes of it.
#[derive(Clone, Debug)]
pub(super) struct Control {
    from: f64,
    to: f64,
    length: f64,
    sign: f64,
    /// How far the solution is.
    u: f64,
    /// The step to try next.
    pub step: f64,
    /// How many steps were tried.
    pub tried: usize,
}
impl Control {
    pub fn new(from: f64, to: f64, first_step: Option<f64>) -> Self {
        let length = (to - from).abs();
        let step = first_step.unwrap_or(0.05 * length).min(length);
        Self { from, to, length, sign: (to - from).signum(), u: 0.0, step, tried: 0 }
    }
    /// Whether the solution is at the end.
    pub fn done(&self) -> bool {
        self.u >= self.length
    }
    /// Whether the step has become too short to be taken.
    pub fn stuck(&self) -> bool {
        self.step <= 1e-14 * self.length
    }
    /// Where the solution is.
    pub fn at(&self) -> f64 {
        if self.done() { self.to } else { self.from + self.sign * self.u }
    }
    fn next(&self) -> (bool, f64) {
        let last = self.u + self.step >= self.length * (1.0 - 1e-14);
        (last, if last { self.length - self.u } else { self.step })
    }
    /// The step to try.
    pub fn trial(&self) -> Trial {
        let (last, h) = self.next();
        Trial { from: self.from + self.sign * self.u, length: self.sign * h, end: last.then_some(self.to) }
    }
    /// Takes the step that was tried if its error over its tolerance is 1 or less, and chooses the next; whether it was
    /// taken.
    pub fn settle(&mut self, error: f64) -> bool {
        let (last, h) = self.next();
        let taken = error <= 1.0;
        let factor = if error.is_nan() { 0.1 } else { (0.9 * error.powf(-0.2)).clamp(0.2, 5.0) };
        if taken {
            self.u = if last { self.length } else { self.u + h };
        }
        // The last step is cut to fit: it does not show how long the next may be, unless it failed.
        if !last || !taken {
            self.step = h * factor;
        }
        self.tried += 1;
        taken
    }
}

/// Goes from `from` to `to` by steps that are tried by `attempt`, which returns the error over its tolerance and
/// accepts the step if it is 1 or less. Returns the last step tried, or the place at which none was short enough or
/// there were too many.
fn adapt(from: f64, to: f64, first_step: Option<f64>, mut attempt: impl FnMut(Trial) -> f64) -> Result<f64, f64> {
    let mut control = Control::new(from, to, first_step);
    while !control.done() {
        let error = attempt(control.trial());
        control.settle(error);
        if control.stuck() || control.tried >= MOST {
            return Err(control.at());
        }
    }
    Ok(control.step)
}

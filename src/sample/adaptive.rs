//! An embedded Runge–Kutta pair that chooses its own steps.
use super::{Past, Sampler, path, straight, sum};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng, schedule::Scales};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use tweedie_kernels::{
    combine,
    ops::{Terms, max_error_ratio},
};

/// What [`integrate`] moves: something with linear combinations and a size of errors.
pub trait State: Clone {
    /// Σ cᵢ xᵢ.
    fn sum(terms: impl IntoIterator<Item = (f64, Self)>) -> Self;
    /// The largest |error|/(absolute + relative·|value|) over all the numbers; not a number where one is not finite.
    fn size(error: Self, value: &Self, absolute: f64, relative: f64) -> f64;
}
impl<const D: usize> State for Tensor<D> {
    fn sum(terms: impl IntoIterator<Item = (f64, Self)>) -> Self {
        sum(terms)
    }
    fn size(error: Self, value: &Self, absolute: f64, relative: f64) -> f64 {
        max_error_ratio(error, value.clone(), absolute, relative)
    }
}
impl<const D: usize, const E: usize> State for (Tensor<D>, Tensor<E>) {
    fn sum(terms: impl IntoIterator<Item = (f64, Self)>) -> Self {
        let (first, second): (Vec<_>, Vec<_>) = terms.into_iter().map(|(c, (a, b))| ((c, a), (c, b))).unzip();
        (sum(first), sum(second))
    }
    fn size(error: Self, value: &Self, absolute: f64, relative: f64) -> f64 {
        let first = State::size(error.0, &value.0, absolute, relative);
        let second = State::size(error.1, &value.1, absolute, relative);
        if first.is_nan() { first } else { first.max(second) }
    }
}

/// Dormand and Prince's coefficients: six stages, the seventh is the first of the next step.
const NODES: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
const STAGES: [&[f64]; 7] = [
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

/// The weights of the slopes in the difference of the two orders.
fn gap() -> [f64; 7] {
    std::array::from_fn(|i| STAGES[6].get(i).unwrap_or(&0.0) - FOURTH[i])
}

/// Solves `dy/du = f(u, y)` from `from` to `to` by Dormand and Prince's pair of orders 5 and 4.
///
/// Each step's estimated error is within `absolute + relative·|y|` in every number. `pace` is the first step tried; the last
/// step tried is returned with the solution, for a call that goes on from there.
///
/// Dormand and Prince, "A family of embedded Runge–Kutta formulae" (1980), <https://doi.org/10.1016/0771-050X(80)90013-3>.
///
/// # Panics
///
/// If the step falls below rounding: f is not finite or not smooth there.
pub fn integrate<Y: State>(
    mut f: impl FnMut(f64, Y) -> Y,
    y: Y,
    from: f64,
    to: f64,
    (absolute, relative): (f64, f64),
    pace: Option<f64>,
) -> (Y, f64) {
    let mut y = y;
    let mut slopes = Vec::with_capacity(7);
    slopes.push(f(from, y.clone()));
    let pace = adapt(from, to, pace, |step| {
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
        let error = Y::size(mix(&slopes, &gap(), None), &next, absolute, relative);
        if error <= 1.0 {
            y = next;
            slopes.swap(0, 6);
        }
        error
    });
    let pace = pace.unwrap_or_else(|at| panic!("the step of an adaptive solver fell below rounding at {at}"));
    (y, pace)
}

/// A step to try.
struct Stride {
    from: f64,
    /// Below zero on the way down.
    length: f64,
    /// Where the last one ends.
    end: Option<f64>,
}
impl Stride {
    /// The place of a stage.
    fn at(&self, node: f64) -> f64 {
        match self.end {
            Some(end) if node == 1.0 => end,
            _ => self.from + node * self.length,
        }
    }
}

/// Goes from `from` to `to` by steps that are tried by `attempt`, which says how large the error is and has gone on if it is 1
/// or less; the last step tried is returned, or where none was short enough.
fn adapt(from: f64, to: f64, pace: Option<f64>, mut attempt: impl FnMut(Stride) -> f64) -> Result<f64, f64> {
    let length = (to - from).abs();
    let sign = (to - from).signum();
    let mut u = 0.0;
    let mut step = pace.unwrap_or(0.05 * length).min(length);
    while u < length {
        let last = u + step >= length * (1.0 - 1e-14);
        let h = if last { length - u } else { step };
        let error = attempt(Stride { from: from + sign * u, length: sign * h, end: last.then_some(to) });
        let factor = if error.is_nan() { 0.1 } else { (0.9 * error.powf(-0.2)).clamp(0.2, 5.0) };
        if error <= 1.0 {
            u = if last { length } else { u + h };
        }
        // The last step is cut to fit: it says nothing of how long the next may be, unless it failed.
        if !last || error > 1.0 || error.is_nan() {
            step = h * factor;
        }
        if step <= 1e-14 * length {
            return Err(from + sign * u);
        }
    }
    Ok(step)
}

/// Dormand and Prince's embedded pair of orders 5 and 4, with tolerances: within each step of the walk it takes as many
/// steps of its own as the tolerances ask for.
///
/// It solves `dw/dφ = (cos φ w − x̂)/sin φ` for `w = z/√(α² + σ²)`, `φ = arctan(σ/α)`, in which nothing is infinite at any end of
/// any schedule. In single precision, where a step's error cannot be told to be smaller, tolerances below 1e-6 are taken for 1e-6.
/// A walk to σ = 0 ends with a step of first order from `σ/α = √absolute`. The steps are those of the worst
/// row, so a row depends on its batch, within the tolerances. Where no step is short enough, the model's word being not a number
/// or not smooth, neither is x_s a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DormandPrince {
    /// The absolute tolerance of a step.
    pub absolute: f64,
    /// The relative tolerance of a step.
    pub relative: f64,
}
impl Default for DormandPrince {
    fn default() -> Self {
        Self { absolute: 1e-4, relative: 1e-4 }
    }
}

/// Weights of z and of the guesses since.
type Form = [f64; 8];

/// `(cos φ w − x̂)/sin φ`, where x̂ is word k.
fn slope(w: Form, phi: f64, k: usize) -> Form {
    let (sin, cos) = phi.sin_cos();
    let mut slope = w.map(|weight| weight * cos / sin);
    slope[k] -= sin.recip();
    slope
}

/// `w + h Σ cᵢ slopeᵢ`.
fn mix(w: Form, h: f64, slopes: &[Form], weights: &[f64]) -> Form {
    slopes.iter().zip(weights).fold(w, |w, (slope, c)| std::array::from_fn(|k| w[k] + h * c * slope[k]))
}

/// √(α² + σ²).
fn norm_of(c: Scales) -> f64 {
    c.alpha.hypot(c.sigma)
}

/// √(α² + σ²) and arctan(σ/α).
pub(crate) fn polar(c: Scales) -> (f64, f64) {
    (norm_of(c), c.sigma.atan2(c.alpha))
}

/// The time of an angle, and the scales there.
pub(crate) fn angle(path: &dyn crate::schedule::Schedule, phi: f64) -> (f64, Scales) {
    let t = if phi >= FRAC_PI_2 { 1.0 } else { path.time_at_log_snr(-2.0 * phi.tan().ln()) };
    (t, path.at(t))
}

impl<const D: usize> Sampler<D> for DormandPrince {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        _: &mut Rng,
    ) -> Tensor<D> {
        let path = path(model);
        let least = if z.dtype() == DType::F64 { 0.0 } else { 1e-6 };
        let (absolute, relative) = (self.absolute.max(least), self.relative.max(least));
        let (start, end) = (path.at(t), path.at(s));
        let ((norm, from), (_, to)) = (polar(start), polar(end));
        // Where there is no noise the slope is 0/0: a way down ends, and a way up begins, a little above.
        let floor = absolute.sqrt().atan();
        let (begin, stop) = if to > from { (from.max(floor), to) } else { (from, to.max(floor).min(from)) };
        let place = |phi: f64| match phi {
            _ if phi == from => (t, start),
            _ if phi == to => (s, end),
            _ => angle(path, phi),
        };
        let (mut z, mut here) = (z, (t, start));
        // Down to where the walk stops, or up from σ > 0: an inversion.
        if stop < from || to > from {
            here = place(begin);
            let mut n = norm_of(here.1);
            z = combine!([(n / norm, z)]);
            let mut guess = model.denoise(z.clone(), &[here.0]).mean;
            let pace = adapt(begin, stop, past.pace, |step| {
                // w and its slope are sums of z and of the guesses so far at every stage: one sum of tensors each, of numbers
                // otherwise.
                let mut words = Terms::default();
                words.push(z.clone());
                words.push(guess.clone());
                let first: Form = std::array::from_fn(|k| if k == 0 { n.recip() } else { 0.0 });
                let mut slopes = Vec::with_capacity(7);
                slopes.push(slope(first, step.at(0.0), 1));
                let mut ahead = None;
                let (mut there, mut scale) = (here, n);
                for i in 1..7 {
                    let w = mix(first, step.length, &slopes, STAGES[i]);
                    let phi = step.at(NODES[i]);
                    if NODES[i] != NODES[i - 1] {
                        there = place(phi);
                        scale = norm_of(there.1);
                    }
                    let stage = words.sum(w.map(|weight| scale * weight));
                    ahead = (i == 6).then(|| stage.clone());
                    words.push(model.denoise(stage, &[there.0]).mean);
                    slopes.push(slope(w, phi, i + 1));
                }
                let ahead = ahead.expect("the last stage is the end of the step");
                let off = words.sum(mix([0.0; 8], step.length, &slopes, &gap()));
                let error = max_error_ratio(off, ahead.clone(), absolute, relative / scale);
                if error <= 1.0 {
                    (z, here, n) = (ahead, there, scale);
                    guess = words.pop().expect("every stage asks");
                }
                error
            });
            past.pace = pace.ok();
            if pace.is_err() {
                return z * f64::NAN;
            }
        }
        if stop == to {
            return z;
        }
        let x = model.denoise(z.clone(), &[here.0]).mean;
        straight(z, x, here.1, end)
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn calls(&self) -> usize {
        6
    }
    /// The steps are those of the worst row.
    fn rowwise(&self) -> bool {
        false
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if self.absolute > 0.0 && self.relative >= 0.0 && self.absolute.is_finite() && self.relative.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the tolerances of dormand-prince are positive, but absolute = {} and relative = {}",
            self.absolute, self.relative
        )))
    }
}

//! One pass over the parameters for an optimiser's step and the moving average.
use crate::parallel::{CHUNK, Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

/// AdamW with decoupled weight decay, and an exponential moving average of the parameters in the same pass.
///
/// With gradient g scaled by `gradient_scale`: `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
/// `θ ← θ (1 − η λ) − η m̂ / (√v̂ + ε)`, `m̂ = m / (1 − β₁ᵗ)`, `v̂ = v / (1 − β₂ᵗ)`, `average ← d average + (1 − d) θ`.
///
/// Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), <https://arxiv.org/abs/1711.05101>.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate η.
    pub rate: f64,
    /// Decay β₁ of the first moment.
    pub beta1: f64,
    /// Decay β₂ of the second moment.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay λ.
    pub decay: f64,
    /// Factor on the gradient: less than 1 where its norm is clipped.
    pub gradient_scale: f64,
}

/// The numbers of a step, ready for vectors.
#[derive(Clone, Copy)]
struct Step {
    keep: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    size: f32,
    root: f32,
    epsilon: f32,
    gradient_scale: f32,
    average_decay: f32,
    average_gain: f32,
}

impl AdamW {
    /// Step number `step` (from 1) on the parameters `theta` with moments `m` and `v`; with `average`, also the moving
    /// average and its decay d.
    ///
    /// # Panics
    /// If the slices differ in length or `step` is 0.
    pub fn step(
        &self,
        step: u64,
        theta: &mut [f32],
        gradient: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        average: Option<(&mut [f32], f64)>,
    ) {
        let n = theta.len();
        assert!(gradient.len() == n && m.len() == n && v.len() == n, "parameters, gradient and moments of one shape");
        assert!(step > 0, "steps are counted from 1");
        let power = |beta: f64| 1.0 - beta.powf(step as f64);
        let (average, d) = average.map_or((None, 0.0), |(a, d)| (Some(a), d));
        let numbers = Step {
            keep: (1.0 - self.rate * self.decay) as f32,
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            size: (self.rate / power(self.beta1)) as f32,
            root: (1.0 / power(self.beta2).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            gradient_scale: self.gradient_scale as f32,
            average_decay: d as f32,
            average_gain: (1.0 - d) as f32,
        };
        let level = Level::get();
        let (theta, m, v) = (Shared::new(theta), Shared::new(m), Shared::new(v));
        let average = average.map(|a| {
            assert_eq!(a.len(), n, "the moving average has the parameters' shape");
            Shared::new(a)
        });
        for_each(n.div_ceil(CHUNK), |piece| {
            let range = piece * CHUNK..n.min((piece + 1) * CHUNK);
            // SAFETY: every task has its own piece of each.
            let (theta, m, v) = unsafe { (theta.part(range.clone()), m.part(range.clone()), v.part(range.clone())) };
            // SAFETY: as above.
            let average = average.map(|a| unsafe { a.part(range.clone()) });
            adamw_at(level, numbers, theta, &gradient[range.clone()], m, v, average.unwrap_or_default());
        });
    }
}

#[inline(always)]
fn adamw<S: Simd>(s: S, n: Step, theta: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], average: &mut [f32]) {
    let mut i = 0;
    while i < theta.len() {
        let g = s.load_at(g, i, 0.0) * s.splat(n.gradient_scale);
        let first = s.load_at(m, i, 0.0).mul_add(s.splat(n.beta1), g * s.splat(n.one_minus_beta1));
        let second = s.load_at(v, i, 0.0).mul_add(s.splat(n.beta2), g * g * s.splat(n.one_minus_beta2));
        s.store_at(m, i, first);
        s.store_at(v, i, second);
        let ratio = first / second.sqrt().mul_add(s.splat(n.root), s.splat(n.epsilon));
        let new = ratio.mul_add(s.splat(-n.size), s.load_at(theta, i, 0.0) * s.splat(n.keep));
        s.store_at(theta, i, new);
        if !average.is_empty() {
            let old = s.load_at(average, i, 0.0) * s.splat(n.average_decay);
            s.store_at(average, i, new.mul_add(s.splat(n.average_gain), old));
        }
        i += S::LANES;
    }
}
dispatch! { fn adamw_at(n: Step, theta: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], average: &mut [f32]) = adamw; }

/// `Σ x²` in double precision, in fixed pieces: its root over all parameters is the gradient's norm.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let level = Level::get();
    let pieces = x.len().div_ceil(1024);
    // Sixteen-bit pieces' sums as pairs of singles would lose digits: each task keeps its own double.
    let mut sums = Scratch::new(2 * pieces);
    {
        let sums = Shared::new(&mut sums);
        for_each(pieces.div_ceil(CHUNK / 1024), |task| {
            let step = CHUNK / 1024;
            for piece in task * step..pieces.min((task + 1) * step) {
                let sum = squares_at(level, &x[piece * 1024..x.len().min((piece + 1) * 1024)]);
                // SAFETY: every piece has its own pair.
                let pair = unsafe { sums.part(2 * piece..2 * piece + 2) };
                pair[0] = sum as f32;
                pair[1] = (sum - f64::from(pair[0])) as f32;
            }
        });
    }
    sums.iter().map(|&x| f64::from(x)).sum()
}

#[inline(always)]
fn squares<S: Simd>(s: S, x: &[f32]) -> f64 {
    crate::softmax::dot(s, x, x)
}
dispatch! { fn squares_at(x: &[f32]) -> f64 = squares; }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn steps_are_those_of_the_formula() {
        for n in [1, 15, 16, 17, CHUNK + 5] {
            let rule = AdamW { rate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, gradient_scale: 0.5 };
            let start = random_values(n, 1, 1.0);
            let (mut theta, mut m, mut v, mut average) = (start.clone(), vec![0.0; n], vec![0.0; n], start.clone());
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let (mut theta64, mut m64, mut v64, mut average64) =
                (wide(&start), vec![0.0; n], vec![0.0; n], wide(&start));
            for step in 1..=5 {
                let g = random_values(n, 10 + step, 1.0);
                rule.step(step, &mut theta, &g, &mut m, &mut v, Some((&mut average, 0.8)));
                for i in 0..n {
                    let g = f64::from(g[i]) * 0.5;
                    m64[i] = 0.9 * m64[i] + 0.1 * g;
                    v64[i] = 0.99 * v64[i] + 0.01 * g * g;
                    let (mh, vh) =
                        (m64[i] / (1.0 - 0.9f64.powi(step as i32)), v64[i] / (1.0 - 0.99f64.powi(step as i32)));
                    theta64[i] = theta64[i] * (1.0 - 1e-3) - 1e-2 * mh / (vh.sqrt() + 1e-8);
                    average64[i] = 0.8 * average64[i] + 0.2 * theta64[i];
                }
            }
            for (got, expected) in [(&theta, &theta64), (&m, &m64), (&v, &v64), (&average, &average64)] {
                assert!(error(got, expected) < 1e-6);
            }
        }
    }

    #[test]
    fn squares_are_summed_exactly_enough() {
        for n in [0, 1, 1023, 1025, 3 * CHUNK + 7] {
            let x = random_values(n, 4, 1.0);
            let expected: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((sum_of_squares(&x) - expected).abs() <= 1e-6 * expected);
        }
    }
}

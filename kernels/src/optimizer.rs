//! Optimizer steps, with the moving average of the parameters in the same pass.
use crate::parallel::{CHUNK, Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

/// AdamW: Adam with decoupled weight decay, and an exponential moving average (EMA) of the parameters in the same pass.
///
/// For step t, learning rate η, weight decay λ, EMA decay d, and the gradient g times `gradient_scale`:
///
/// ```text
/// m ← β₁ m + (1 − β₁) g        m̂ = m / (1 − β₁ᵗ)
/// v ← β₂ v + (1 − β₂) g²       v̂ = v / (1 − β₂ᵗ)
/// θ ← (1 − η λ) θ − η m̂ / (√v̂ + ε)
/// average ← d average + (1 − d) θ
/// ```
///
/// Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), <https://arxiv.org/abs/1711.05101>.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate η.
    pub lr: f64,
    /// Decay β₁ of the first moment.
    pub beta1: f64,
    /// Decay β₂ of the second moment.
    pub beta2: f64,
    /// ε, added to √v̂.
    pub epsilon: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Factor of the gradient, less than 1 if its norm is clipped.
    pub gradient_scale: f64,
}

/// Coefficients of one step in single precision.
#[derive(Clone, Copy)]
struct Step {
    shrink: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    step_size: f32,
    root_scale: f32,
    epsilon: f32,
    gradient_scale: f32,
    average_decay: f32,
    average_gain: f32,
}

impl AdamW {
    /// Computes step number `step`, counted from 1, on the parameters `theta` with the moments `m` and `v`; with
    /// `average`, also updates the moving average, given with its decay d.
    ///
    /// ```
    /// use tweedie_kernels::AdamW;
    /// let adam = AdamW { lr: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, gradient_scale: 1.0 };
    /// let (mut theta, mut m, mut v) = ([1.0], [0.0], [0.0]);
    /// adam.step(1, &mut theta, &[5.0], &mut m, &mut v, None);
    /// assert!((theta[0] - 0.9).abs() < 1e-6);
    /// ```
    ///
    /// # Panics
    /// If the lengths of the slices differ, or `step` is 0.
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
        assert!(
            gradient.len() == n && m.len() == n && v.len() == n,
            "parameters, gradient and moments must have the same length"
        );
        assert!(step > 0, "steps are counted from 1, got 0");
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        let (average, d) = average.map_or((None, 0.0), |(a, d)| (Some(a), d));
        let coefficients = Step {
            shrink: (1.0 - self.lr * self.weight_decay) as f32,
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            step_size: (self.lr / correction(self.beta1)) as f32,
            root_scale: (1.0 / correction(self.beta2).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            gradient_scale: self.gradient_scale as f32,
            average_decay: d as f32,
            average_gain: (1.0 - d) as f32,
        };
        let level = Level::get();
        let (theta, m, v) = (Shared::new(theta), Shared::new(m), Shared::new(v));
        let average = average.map(|a| {
            assert_eq!(a.len(), n, "the moving average must have the length of the parameters");
            Shared::new(a)
        });
        for_each(n.div_ceil(CHUNK), |chunk| {
            let range = chunk * CHUNK..n.min((chunk + 1) * CHUNK);
            // SAFETY: every task updates its own chunk of each slice.
            let (theta, m, v) = unsafe { (theta.part(range.clone()), m.part(range.clone()), v.part(range.clone())) };
            // SAFETY: as above.
            let average = average.map(|a| unsafe { a.part(range.clone()) });
            adamw_at(level, coefficients, theta, &gradient[range.clone()], m, v, average.unwrap_or_default());
        });
    }
}

/// Updates one chunk; `average` is empty if there is none.
#[inline(always)]
fn adamw<S: Simd>(s: S, n: Step, theta: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], average: &mut [f32]) {
    let mut i = 0;
    while i < theta.len() {
        let g = s.load_at(g, i, 0.0) * s.splat(n.gradient_scale);
        let first = s.load_at(m, i, 0.0).mul_add(s.splat(n.beta1), g * s.splat(n.one_minus_beta1));
        let second = s.load_at(v, i, 0.0).mul_add(s.splat(n.beta2), g * g * s.splat(n.one_minus_beta2));
        s.store_at(m, i, first);
        s.store_at(v, i, second);
        let ratio = first / second.sqrt().mul_add(s.splat(n.root_scale), s.splat(n.epsilon));
        let new = ratio.mul_add(s.splat(-n.step_size), s.load_at(theta, i, 0.0) * s.splat(n.shrink));
        s.store_at(theta, i, new);
        if !average.is_empty() {
            let old = s.load_at(average, i, 0.0) * s.splat(n.average_decay);
            s.store_at(average, i, new.mul_add(s.splat(n.average_gain), old));
        }
        i += S::LANES;
    }
}
dispatch! {
    fn adamw_at(
        n: Step, theta: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], average: &mut [f32],
    ) = adamw;
}

/// Computes `Σ x²` in double precision, in fixed blocks of 1024 elements.
///
/// ```
/// assert_eq!(tweedie_kernels::sum_of_squares(&[3.0, 4.0]), 25.0);
/// ```
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let level = Level::get();
    let blocks = x.len().div_ceil(1024);
    // The sum of a block is stored as a pair of floats, which together hold it in nearly double precision.
    let mut sums = Scratch::new(2 * blocks);
    {
        let sums = Shared::new(&mut sums);
        for_each(blocks.div_ceil(CHUNK / 1024), |task| {
            let step = CHUNK / 1024;
            for block in task * step..blocks.min((task + 1) * step) {
                let sum = squares_at(level, &x[block * 1024..x.len().min((block + 1) * 1024)]);
                // SAFETY: every task writes the pairs of its own blocks.
                let pair = unsafe { sums.part(2 * block..2 * block + 2) };
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
    fn steps_match_the_formula() {
        for n in [1, 15, 16, 17, CHUNK + 5] {
            let rule =
                AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1, gradient_scale: 0.5 };
            let start = random_values(n, 1, 1.0);
            let (mut theta, mut m, mut v, mut average) = (start.clone(), vec![0.0; n], vec![0.0; n], start.clone());
            let (mut theta64, mut m64, mut v64, mut average64) =
                (to_f64(&start), vec![0.0; n], vec![0.0; n], to_f64(&start));
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
    fn the_sum_of_squares_is_accurate() {
        for n in [0, 1, 1023, 1025, 3 * CHUNK + 7] {
            let x = random_values(n, 4, 1.0);
            let expected: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((sum_of_squares(&x) - expected).abs() <= 1e-6 * expected);
        }
    }
}

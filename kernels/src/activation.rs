//! Element-wise activations, each forward and backward in one pass.
use crate::math;
use crate::parallel::{CHUNK, for_chunks};
use crate::simd::{Level, Simd, dispatch};

/// Element-wise activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// SiLU, also called swish: `x σ(x)`.
    Silu,
    /// GELU: `x Φ(x) = ½ x (1 + erf(x/√2))`.
    Gelu,
    /// Tanh approximation of GELU: `½ x (1 + tanh u) = x σ(2u)`, `u = √(2/π) (x + 0.044715 x³)`.
    GeluTanh,
    /// Logistic function: `σ(x) = 1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function: `erf x = 2/√π ∫₀ˣ exp(−t²) dt`.
    Erf,
    /// Exponential function: `eˣ`.
    Exp,
}

impl Activation {
    /// Computes `y = f(x)` element by element.
    ///
    /// ```
    /// use tweedie_kernels::Activation;
    /// let mut y = [0.0; 3];
    /// Activation::Silu.forward(&[-1.0, 0.0, 1.0], &mut y);
    /// assert!((y[2] - 0.731_058_6).abs() < 1e-6);
    /// ```
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn forward(self, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "the output must have the length of the input");
        let level = Level::get();
        for_chunks(CHUNK, [x], y, |[x], y| match self {
            Self::Silu => map_at(level, Silu, x, y),
            Self::Gelu => map_at(level, Gelu, x, y),
            Self::GeluTanh => map_at(level, GeluTanh, x, y),
            Self::Sigmoid => map_at(level, Sigmoid, x, y),
            Self::Tanh => map_at(level, Tanh, x, y),
            Self::Erf => map_at(level, Erf, x, y),
            Self::Exp => map_at(level, Exp, x, y),
        });
    }

    /// Computes `dx = f′(x) dy` element by element.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn backward(self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        assert!(x.len() == dy.len() && x.len() == dx.len(), "a gradient must have the length of its variable");
        let level = Level::get();
        for_chunks(CHUNK, [x, dy], dx, |[x, dy], dx| match self {
            Self::Silu => slope_at(level, Silu, x, dy, dx),
            Self::Gelu => slope_at(level, Gelu, x, dy, dx),
            Self::GeluTanh => slope_at(level, GeluTanh, x, dy, dx),
            Self::Sigmoid => slope_at(level, Sigmoid, x, dy, dx),
            Self::Tanh => slope_at(level, Tanh, x, dy, dx),
            Self::Erf => slope_at(level, Erf, x, dy, dx),
            Self::Exp => slope_at(level, Exp, x, dy, dx),
        });
    }
}

/// Element-wise function of vectors.
pub(crate) trait Unary: Copy {
    /// Computes f(x).
    fn value<S: Simd>(self, s: S, x: S::F) -> S::F;
    /// Computes the derivative f′(x).
    fn slope<S: Simd>(self, s: S, x: S::F) -> S::F;
}

/// Defines a [`Unary`] function by its value and its derivative.
macro_rules! unary {
    ($($name:ident: $value:expr, |$s:ident, $x:ident| $slope:expr;)*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Unary for $name {
            #[inline(always)]
            fn value<S: Simd>(self, s: S, x: S::F) -> S::F {
                $value(s, x)
            }
            #[inline(always)]
            fn slope<S: Simd>(self, $s: S, $x: S::F) -> S::F {
                $slope
            }
        }
    )*};
}
unary! {
    Silu: math::silu, |s, x| math::silu_slope(s, x);
    Gelu: math::gelu, |s, x| math::gelu_slope(s, x);
    GeluTanh: math::gelu_tanh, |s, x| math::gelu_tanh_slope(s, x);
    Sigmoid: math::sigmoid, |s, x| { let g = math::sigmoid(s, x); g * (s.splat(1.0) - g) };
    Tanh: math::tanh, |s, x| { let t = math::tanh(s, x); s.splat(1.0) - t * t };
    Erf: math::erf, |s, x| math::exp(s, -(x * x)) * s.splat(std::f32::consts::FRAC_2_SQRT_PI);
    Exp: math::exp, |s, x| math::exp(s, x);
}

/// Identity function.
#[derive(Clone, Copy)]
pub(crate) struct Identity;
impl Unary for Identity {
    #[inline(always)]
    fn value<S: Simd>(self, _: S, x: S::F) -> S::F {
        x
    }
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, _: S::F) -> S::F {
        s.splat(1.0)
    }
}

/// Computes `y = f(x)`.
#[inline(always)]
fn map<S: Simd, U: Unary>(s: S, f: U, x: &[f32], y: &mut [f32]) {
    let two = 2 * S::LANES;
    let (mut xs, mut ys) = (x.chunks_exact(two), y.chunks_exact_mut(two));
    for (x, y) in (&mut xs).zip(&mut ys) {
        let (a, b) = (f.value(s, s.load(x)), f.value(s, s.load(&x[S::LANES..])));
        s.store(y, a);
        s.store(&mut y[S::LANES..], b);
    }
    for (x, y) in xs.remainder().chunks(S::LANES).zip(ys.into_remainder().chunks_mut(S::LANES)) {
        s.store_partial(y, f.value(s, s.load_partial(x, 0.0)));
    }
}
dispatch! { fn map_at<U: Unary>(f: U, x: &[f32], y: &mut [f32]) = map; }

/// Computes `dx = f′(x) dy`.
#[inline(always)]
fn slope<S: Simd, U: Unary>(s: S, f: U, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let l = S::LANES;
    let (mut xs, mut ds, mut outs) = (x.chunks_exact(2 * l), dy.chunks_exact(2 * l), dx.chunks_exact_mut(2 * l));
    for ((x, d), out) in (&mut xs).zip(&mut ds).zip(&mut outs) {
        let (a, b) = (f.slope(s, s.load(x)), f.slope(s, s.load(&x[l..])));
        s.store(out, a * s.load(d));
        s.store(&mut out[l..], b * s.load(&d[l..]));
    }
    let rest = xs.remainder().chunks(l).zip(ds.remainder().chunks(l));
    for ((x, d), out) in rest.zip(outs.into_remainder().chunks_mut(l)) {
        s.store_partial(out, f.slope(s, s.load_partial(x, 0.0)) * s.load_partial(d, 0.0));
    }
}
dispatch! { fn slope_at<U: Unary>(f: U, x: &[f32], dy: &[f32], dx: &mut [f32]) = slope; }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn exact_erf(x: f64) -> f64 {
        // Maclaurin series, and the continued fraction of erfc where it converges fast.
        if x.abs() < 3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / n as f64;
                sum += term / (2 * n + 1) as f64;
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let t = x.abs();
            let mut fraction = 0.0;
            for n in (1..60).rev() {
                fraction = n as f64 / 2.0 / (t + fraction);
            }
            (1.0 - (-t * t).exp() / (std::f64::consts::PI.sqrt() * (t + fraction))).copysign(x)
        }
    }

    fn exact(a: Activation, x: f64) -> f64 {
        let phi = |x: f64| 0.5 * (1.0 + exact_erf(x / 2f64.sqrt()));
        match a {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Gelu => x * phi(x),
            Activation::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
            }
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::Tanh => x.tanh(),
            Activation::Erf => exact_erf(x),
            Activation::Exp => x.exp(),
        }
    }

    const ALL: [Activation; 7] = [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Erf,
        Activation::Exp,
    ];

    fn at(level: Level, a: Activation, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        match a {
            Activation::Silu => map_at(level, Silu, x, &mut y),
            Activation::Gelu => map_at(level, Gelu, x, &mut y),
            Activation::GeluTanh => map_at(level, GeluTanh, x, &mut y),
            Activation::Sigmoid => map_at(level, Sigmoid, x, &mut y),
            Activation::Tanh => map_at(level, Tanh, x, &mut y),
            Activation::Erf => map_at(level, Erf, x, &mut y),
            Activation::Exp => map_at(level, Exp, x, &mut y),
        }
        y
    }

    #[test]
    fn values_are_accurate_to_a_few_units_in_the_last_place() {
        let x: Vec<f32> = (-80_000..80_000).map(|i| i as f32 * 1.1e-3 + 1e-5).collect();
        for level in Level::available() {
            for (a, tolerance) in [
                (Activation::Exp, 1.5),
                (Activation::Sigmoid, 3.0),
                (Activation::Tanh, 3.0),
                (Activation::Erf, 2.0),
                (Activation::Silu, 3.5),
            ] {
                let worst =
                    x.iter().zip(at(level, a, &x)).map(|(&x, y)| ulps(y, exact(a, f64::from(x)))).fold(0.0, f64::max);
                assert!(worst <= tolerance, "{a:?} at {level:?} is off by {worst} units in the last place");
            }
            // 1 + erf cancels for large negative x, so the absolute error is tested.
            for a in [Activation::Gelu, Activation::GeluTanh] {
                let worst = x
                    .iter()
                    .zip(at(level, a, &x))
                    .map(|(&x, y)| (f64::from(y) - exact(a, f64::from(x))).abs() / f64::from(x.abs().max(1.0)));
                let worst = worst.fold(0.0, f64::max);
                assert!(worst < 2e-7, "{a:?} at {level:?} is off by {worst}");
            }
        }
    }

    #[test]
    fn values_at_the_ends_of_the_range_are_correct() {
        for level in Level::available() {
            let y =
                at(level, Activation::Exp, &[f32::NEG_INFINITY, -150.0, -100.0, 88.7, 89.0, f32::INFINITY, f32::NAN]);
            assert_eq!((y[0], y[1]), (0.0, 0.0));
            assert!((y[2] / 3.78e-44 - 1.0).abs() < 0.05, "exp must underflow gradually, got {}", y[2]);
            assert!(ulps(y[3], f64::from(88.7f32).exp()) < 2.0);
            assert_eq!((y[4], y[5]), (f32::INFINITY, f32::INFINITY));
            assert!(y[6].is_nan());
            assert_eq!(at(level, Activation::Silu, &[-1e4, 1e4]), [0.0, 1e4]);
            assert_eq!(at(level, Activation::Erf, &[-9.0, 9.0]), [-1.0, 1.0]);
            assert_eq!(at(level, Activation::Tanh, &[-90.0, 90.0]), [-1.0, 1.0]);
            for a in ALL {
                assert!(at(level, a, &[f32::NAN])[0].is_nan(), "{a:?} of NaN must be NaN");
            }
        }
    }

    #[test]
    fn slopes_are_the_derivatives_of_the_values_at_any_length() {
        for len in [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, CHUNK - 1, CHUNK + 3] {
            let (x, dy) = (random_values(len, 1, 3.0), random_values(len, 2, 1.0));
            for a in ALL {
                let mut dx = vec![f32::NAN; len];
                a.backward(&x, &dy, &mut dx);
                let mut y = vec![f32::NAN; len];
                a.forward(&x, &mut y);
                for i in (0..len).step_by(1 + len / 97) {
                    let at = f64::from(x[i]);
                    let slope = (exact(a, at + 1e-5) - exact(a, at - 1e-5)) / 2e-5;
                    let expected = slope * f64::from(dy[i]);
                    assert!(
                        (f64::from(dx[i]) - expected).abs() < 2e-6 * (1.0 + expected.abs()),
                        "{a:?}′({at}): {} for {expected}",
                        dx[i]
                    );
                    assert!((f64::from(y[i]) - exact(a, at)).abs() < 1e-6 * (1.0 + exact(a, at).abs()));
                }
            }
        }
    }
}

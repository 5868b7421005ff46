//! Dual numbers: forward-mode automatic differentiation in one variable.
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A dual number, a value and its derivative with respect to time: `value + slope·ε` with `ε² = 0`.
///
/// The derivatives α′ and σ′ of a schedule that is written over `Dual` follow by the chain rule:
///
/// ```
/// use tweedie::Dual;
/// let angle = Dual::time(0.5) * std::f64::consts::FRAC_PI_2;
/// let sigma = angle.sin();
/// assert!((sigma.slope - std::f64::consts::FRAC_PI_2 * angle.value.cos()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual {
    /// The value.
    pub value: f64,
    /// Its derivative.
    pub slope: f64,
}

impl Dual {
    /// The time t as a variable, with derivative 1.
    pub fn time(value: f64) -> Self {
        Self { value, slope: 1.0 }
    }
    fn chain(self, value: f64, derivative: f64) -> Self {
        // 0 · ∞ = 0: the derivative of a constant is 0 even where the outer derivative is infinite (√ at 0).
        let slope = if self.slope == 0.0 { 0.0 } else { derivative * self.slope };
        Self { value, slope }
    }
    /// eˣ.
    pub fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    /// eˣ − 1, exact near zero.
    pub fn exp_m1(self) -> Self {
        self.chain(self.value.exp_m1(), self.value.exp())
    }
    /// ln x.
    pub fn ln(self) -> Self {
        self.chain(self.value.ln(), self.value.recip())
    }
    /// ln(1 + x), exact near zero.
    pub fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), (1.0 + self.value).recip())
    }
    /// √x; the derivative at 0 is infinite.
    pub fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, 0.5 / root)
    }
    /// xᵖ.
    pub fn powf(self, p: f64) -> Self {
        self.chain(self.value.powf(p), if p == 0.0 { 0.0 } else { p * self.value.powf(p - 1.0) })
    }
    /// xⁿ.
    pub fn powi(self, n: i32) -> Self {
        self.chain(self.value.powi(n), if n == 0 { 0.0 } else { f64::from(n) * self.value.powi(n - 1) })
    }
    /// 1/x.
    pub fn recip(self) -> Self {
        let inverse = self.value.recip();
        self.chain(inverse, -inverse * inverse)
    }
    /// sin x.
    pub fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    /// cos x.
    pub fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    /// tan x.
    pub fn tan(self) -> Self {
        let tan = self.value.tan();
        self.chain(tan, 1.0 + tan * tan)
    }
    /// arctan x.
    pub fn atan(self) -> Self {
        self.chain(self.value.atan(), (1.0 + self.value * self.value).recip())
    }
    /// arcsin x.
    pub fn asin(self) -> Self {
        self.chain(self.value.asin(), ((1.0 - self.value) * (1.0 + self.value)).sqrt().recip())
    }
    /// arccos x.
    pub fn acos(self) -> Self {
        self.chain(self.value.acos(), -((1.0 - self.value) * (1.0 + self.value)).sqrt().recip())
    }
    /// sinh x.
    pub fn sinh(self) -> Self {
        self.chain(self.value.sinh(), self.value.cosh())
    }
    /// cosh x.
    pub fn cosh(self) -> Self {
        self.chain(self.value.cosh(), self.value.sinh())
    }
    /// |x|; the derivative at 0 is that from the right.
    pub fn abs(self) -> Self {
        if self.value < 0.0 { -self } else { self }
    }
    /// tanh x.
    pub fn tanh(self) -> Self {
        let tanh = self.value.tanh();
        self.chain(tanh, 1.0 - tanh * tanh)
    }
    /// The smaller of the two, with its derivative.
    pub fn min(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        if self.value <= other.value { self } else { other }
    }
    /// The larger of the two, with its derivative.
    pub fn max(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        if self.value >= other.value { self } else { other }
    }
}

impl From<f64> for Dual {
    fn from(value: f64) -> Self {
        Self { value, slope: 0.0 }
    }
}
impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, slope: -self.slope }
    }
}
macro_rules! operator {
    ($trait:ident, $f:ident, |$a:ident, $b:ident| $value:expr, $slope:expr) => {
        impl<R: Into<Dual>> $trait<R> for Dual {
            type Output = Dual;
            fn $f(self, other: R) -> Dual {
                let ($a, $b) = (self, other.into());
                Dual { value: $value, slope: $slope }
            }
        }
        impl $trait<Dual> for f64 {
            type Output = Dual;
            fn $f(self, other: Dual) -> Dual {
                Dual::from(self).$f(other)
            }
        }
    };
}
operator!(Add, add, |a, b| a.value + b.value, a.slope + b.slope);
operator!(Sub, sub, |a, b| a.value - b.value, a.slope - b.slope);
operator!(Mul, mul, |a, b| a.value * b.value, a.slope * b.value + a.value * b.slope);
operator!(Div, div, |a, b| a.value / b.value, (a.slope * b.value - a.value * b.slope) / (b.value * b.value));

//! Numbers with a short serialized form.
use serde::{Serialize, Serializer};

/// Numbers that are serialized with six significant digits, which is more than can be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers(pub Vec<f64>);

impl std::ops::Deref for Numbers {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        &self.0
    }
}

impl<T: Into<Vec<f64>>> From<T> for Numbers {
    fn from(numbers: T) -> Self {
        Self(numbers.into())
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|&v| six_digits(v)))
    }
}

impl Numbers {
    /// The numbers as a page has them.
    pub(crate) fn rounded(&self) -> Vec<f64> {
        self.0.iter().map(|&v| six_digits(v).unwrap_or(f64::NAN)).collect()
    }
}

/// The number rounded to six significant digits; `None` if it is not finite.
fn six_digits(v: f64) -> Option<f64> {
    if v == 0.0 || !v.is_finite() {
        return v.is_finite().then_some(0.0);
    }
    format!("{v:.5e}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_serialized_with_six_digits() {
        let numbers = Numbers(vec![-0.0, 1.0 / 3.0, -12345678.9, 1e-30, f64::NAN]);
        assert_eq!(serde_json::to_string(&numbers).unwrap(), "[0.0,0.333333,-12345700.0,1e-30,null]");
    }
}

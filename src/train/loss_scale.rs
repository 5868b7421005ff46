//! The factor of the loss in training in f16.

/// The factor that the loss has while gradients are computed in f16, so that small ones do not vanish: it begins at 2¹⁶, is halved
/// as often as a gradient is too large for the format, and doubled after 2000 steps in which none was.
///
/// A step whose gradient is too large is computed again, with the same random numbers, so that none is lost. The factor is a power
/// of two, between 1 and 2²⁴, and the gradient is divided by it before anything else is computed from it.
///
/// Micikevicius et al., "Mixed Precision Training" (2018), <https://arxiv.org/abs/1710.03740>.
#[doc(alias("GradScaler", "loss_scaling"))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    /// The factor.
    pub factor: f64,
    /// The number of steps since it was changed.
    pub good: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: 65536.0, good: 0 }
    }
}

impl LossScale {
    const MAX: f64 = 16_777_216.0;
    /// Good steps after which the factor is doubled.
    const PERIOD: u64 = 2000;

    /// Notes a step whose gradient was finite.
    pub(super) fn grow(&mut self) {
        self.good += 1;
        if self.good == Self::PERIOD {
            *self = Self { factor: (2.0 * self.factor).min(Self::MAX), good: 0 };
        }
    }

    /// Halves the factor, unless it is 1: whether it did.
    pub(super) fn halve(&mut self) -> bool {
        let can = self.factor > 1.0;
        if can {
            *self = Self { factor: 0.5 * self.factor, good: 0 };
        }
        can
    }

    /// As in a file.
    pub(super) fn text(self) -> String {
        format!("{} {}", self.factor, self.good)
    }

    /// Reads [`text`](Self::text); `None` if no training has such a factor.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (factor, good) = text.split_once(' ')?;
        let scale = Self { factor: factor.parse().ok()?, good: good.parse().ok()? };
        let power = (1.0..=Self::MAX).contains(&scale.factor) && scale.factor.log2().fract() == 0.0;
        (power && scale.good < Self::PERIOD).then_some(scale)
    }
}

#[cfg(test)]
mod tests {
    use super::LossScale;

    #[test]
    fn the_factor_is_halved_doubled_and_read_back() {
        let mut scale = LossScale::default();
        assert!(scale.halve() && scale == LossScale { factor: 32768.0, good: 0 });
        (0..1999).for_each(|_| scale.grow());
        assert_eq!(scale, LossScale { factor: 32768.0, good: 1999 });
        assert_eq!(LossScale::read(&scale.text()), Some(scale));
        scale.grow();
        assert_eq!(scale, LossScale { factor: 65536.0, good: 0 });
        while scale.halve() {}
        assert_eq!(scale.factor, 1.0);
        (0..2000 * 30).for_each(|_| scale.grow());
        assert_eq!(scale.factor, LossScale::MAX);
        for text in ["", "2", "3 0", "0.5 0", "inf 0", "NaN 0", "4 2000", "4 -1", "33554432 0", "4 0 0"] {
            assert_eq!(LossScale::read(text), None, "{text}");
        }
    }
}

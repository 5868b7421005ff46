//! Rounding to half precision, as values in single precision.
use crate::memory::unwritten;
use crate::parallel::{CHUNK, for_chunks};

/// A format of 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// bfloat16: the exponent of single precision, 8 significant bits.
    Bf16,
    /// IEEE 754 binary16: 11 significant bits, normal from 2⁻¹⁴, at most 65504.
    F16,
}

impl Half {
    /// Rounds every value to the nearest one of the format, to the even one of two. What is too large becomes infinite.
    pub(crate) fn round(self, x: &[f32]) -> Vec<f32> {
        let mut out = unwritten(x.len());
        for_chunks(CHUNK, [x], &mut out, |[x], out| match self {
            Self::Bf16 => x.iter().zip(out).for_each(|(x, out)| *out = bf16(*x)),
            Self::F16 => x.iter().zip(out).for_each(|(x, out)| *out = f16(*x)),
        });
        out
    }
}

/// Drops `bits` bits of the significand.
#[inline(always)]
fn shorten(x: u32, bits: u32) -> u32 {
    let half = (1 << (bits - 1)) - 1;
    x.wrapping_add(half + (x >> bits & 1)) & !((1 << bits) - 1)
}

#[inline(always)]
fn bf16(x: f32) -> f32 {
    let rounded = f32::from_bits(shorten(x.to_bits(), 16));
    if x.is_nan() { x } else { rounded }
}

#[inline(always)]
fn f16(x: f32) -> f32 {
    let size = x.abs();
    let normal = f32::from_bits(shorten(size.to_bits(), 13));
    // Neighbors in single precision are 2⁻²⁴ apart from one half on, as subnormals of binary16 are.
    let subnormal = (size + 0.5) - 0.5;
    let rounded = if size < f32::from_bits(0x3880_0000) { subnormal } else { normal };
    let rounded = if size < 65520.0 { rounded } else { f32::INFINITY };
    if x.is_nan() { x } else { rounded.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor as burn;

    #[test]
    fn values_are_those_of_the_formats() {
        // Every exponent and sign, and significands at, beside and between the values of both formats.
        let ends = [0, 1, 2, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x7fff, 0x8000, 0x8001, 0xffff];
        let highs = (0..=u16::MAX).map(|high| u32::from(high) << 16);
        let x: Vec<f32> =
            highs.flat_map(|high| ends.map(|low| f32::from_bits(high | low))).filter(|x| !x.is_nan()).collect();
        let expected = |round: &dyn Fn(f32) -> f32| x.iter().map(|x| round(*x).to_bits()).collect::<Vec<_>>();
        let found = |half: Half| half.round(&x).into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert!(found(Half::Bf16) == expected(&|x| burn::bf16::from_f32(x).to_f32()));
        assert!(found(Half::F16) == expected(&|x| burn::f16::from_f32(x).to_f32()));
        for half in [Half::Bf16, Half::F16] {
            let special = half.round(&[f32::NAN, f32::NEG_INFINITY, 1e9, -0.0]);
            assert!(special[0].is_nan() && special[1] == f32::NEG_INFINITY && special[3].is_sign_negative());
            assert_eq!(special[2].is_finite(), half == Half::Bf16);
        }
    }
}

//! Randomness as an argument: keyed streams instead of a global generator.
//!
//! An [`Rng`] is a key and two counters. Random word `w` of row `i` of draw `d` is Philox4x32-10 of
//! `(key; w / 4, d, i)`: it does not depend on anything else. So row `i` of a batch is the same at any batch size, on any
//! number of threads and in any shard, and a generator that is restored from its serialized state continues with the same bits.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011),
//! <https://doi.org/10.1145/2063384.2063405>.
use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use tweedie_kernels::{fill_normals, ops, unwritten};

/// A stream of random numbers, identified by a seed and the purposes that it was split by.
///
/// A draw of any size advances the stream by one. [`stream`](Rng::stream) and [`at_step`](Rng::at_step)
/// split it without advancing it.
///
/// ```
/// use tweedie::Rng;
/// let rng = Rng::new(7).stream("noise");
/// let (mut eight, mut two) = (rng.clone(), rng.from_row(5));
/// let all = eight.normals(8, 3); // eight rows of three
/// let some = two.normals(2, 3); //  rows 5 and 6 of the same draw
/// assert_eq!(all[15..21], some[..]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rng {
    key: u64,
    draw: u32,
    row: u64,
}

impl Rng {
    /// The root stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { key: mix(seed ^ 0x7477_6565_6469_6500), draw: 0, row: 0 }
    }

    /// Returns the stream of a purpose, with its own key, at its first draw. Different purposes have different keys.
    pub fn stream(&self, purpose: &str) -> Self {
        // FNV-1a over the name, then mixed with the key of the parent.
        let name = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { key: mix(self.key ^ mix(name)), draw: 0, row: self.row }
    }

    /// Returns the stream of one step of this purpose, which depends on the number of the step but not on the steps before it.
    pub fn at_step(&self, step: u64) -> Self {
        Self { key: mix(self.key.wrapping_add(mix(step.wrapping_add(0x9e37_79b9_7f4a_7c15)))), draw: 0, row: self.row }
    }

    /// Returns the same stream for rows `first..`: a shard of a larger batch.
    pub fn from_row(&self, first: u64) -> Self {
        Self { row: self.row + first, ..self.clone() }
    }

    /// Returns key, number and first row of the next draw.
    fn advance(&mut self) -> ([u32; 2], u32, u64) {
        let draw = self.draw;
        self.draw = draw.checked_add(1).expect("a stream has 2³² draws: split it by `at_step(step)`");
        ([self.key as u32, (self.key >> 32) as u32], draw, self.row)
    }

    /// Fills `rows` rows of `len` numbers made from blocks of four words; advances by one draw.
    fn fill<T: Send + Copy + Default>(
        &mut self,
        rows: usize,
        len: usize,
        make: impl Fn([u32; 4]) -> [T; 4] + Sync,
    ) -> Vec<T> {
        let (key, draw, first) = self.advance();
        let mut out = vec![T::default(); rows * len];
        if len == 0 {
            return out;
        }
        // Whole rows in one job; a long row is cut at block boundaries, which changes nothing of its content.
        const PIECE: usize = 1 << 14;
        out.par_chunks_mut(len).enumerate().with_min_len((PIECE / len).max(1)).for_each(|(row, out)| {
            let row = first.wrapping_add(row as u64);
            let work = |(piece, out): (usize, &mut [T])| {
                for (block, out) in out.chunks_mut(4).enumerate() {
                    let block = (piece * PIECE / 4 + block) as u32;
                    let four = make(philox([block, draw, row as u32, (row >> 32) as u32], key));
                    out.copy_from_slice(&four[..out.len()]);
                }
            };
            if len > PIECE {
                out.par_chunks_mut(PIECE).enumerate().for_each(work);
            } else {
                work((0, out));
            }
        });
        out
    }

    /// `rows × len` words of 32 random bits.
    pub fn words(&mut self, rows: usize, len: usize) -> Vec<u32> {
        self.fill(rows, len, |w| w)
    }

    /// `rows × len` numbers uniform on the open interval (0, 1): odd multiples of 2⁻³³.
    pub fn uniforms(&mut self, rows: usize, len: usize) -> Vec<f64> {
        self.fill(rows, len, |w| w.map(unit))
    }

    /// `rows × len` standard normals, by Box–Muller in double precision from 32-bit uniforms (|z| < 6.8).
    pub fn normals(&mut self, rows: usize, len: usize) -> Vec<f64> {
        self.fill(rows, len, |[a, b, c, d]| {
            let (p, q) = polar(a, b);
            let (r, s) = polar(c, d);
            [p, q, r, s]
        })
    }

    /// One uniform number on (0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.uniforms(1, 1)[0]
    }

    /// A tensor of standard normals, `[rows, …]`, in the precision of `dtype`.
    ///
    /// In double precision those of [`normals`](Self::normals). In single precision the same random words by the same formula,
    /// computed in single precision ([`fill_normals`]): within 8 units in the last place, absolutely 1e-7, of the former, and
    /// the same bits on every processor.
    pub fn normal_tensor<const D: usize>(&mut self, shape: [usize; D], device: &Device, dtype: DType) -> Tensor<D> {
        let rows = shape[0];
        let len = shape[1..].iter().product();
        match dtype {
            DType::F64 => tensor(self.normals(rows, len), shape, device, dtype),
            _ => {
                let (key, draw, first) = self.advance();
                let mut single = unwritten(rows * len);
                fill_normals(key, draw, first, rows, len, &mut single);
                let normals = ops::from_vec(single, shape, device);
                if dtype == DType::F32 { normals } else { normals.cast(dtype) }
            }
        }
    }

    /// A tensor of numbers uniform on (0, 1), `[rows, …]`.
    pub fn uniform_tensor<const D: usize>(&mut self, shape: [usize; D], device: &Device, dtype: DType) -> Tensor<D> {
        let rows = shape[0];
        let len = shape[1..].iter().product();
        match dtype {
            DType::F64 => tensor(self.uniforms(rows, len), shape, device, dtype),
            // 24 bits: the nearest single-precision number of `unit` could be 1.
            _ => {
                let single = self.fill(rows, len, |w| w.map(|w| ((w >> 9) as f32 + 0.5) * (1.0 / (1u32 << 23) as f32)));
                tensor(single, shape, device, dtype)
            }
        }
    }

    /// A random order of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let words = self.words(1, 2 * n);
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let word = u64::from(words[2 * i]) << 32 | u64::from(words[2 * i + 1]);
            // Lemire's multiply-shift; the bias is below n / 2⁶⁴.
            order.swap(i, ((u128::from(word) * (i as u128 + 1)) >> 64) as usize);
        }
        order
    }
}

fn tensor<T: burn::tensor::Element, const D: usize>(
    data: Vec<T>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data, shape), (device, dtype))
}

/// A word as a number in the open interval (0, 1).
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

/// Two independent standard normals from two words.
fn polar(a: u32, b: u32) -> (f64, f64) {
    let radius = (-2.0 * unit(a).ln()).sqrt();
    let (sin, cos) = (TAU * unit(b)).sin_cos();
    (radius * cos, radius * sin)
}

/// SplitMix64's finaliser: a bijection of 64-bit words that scatters.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Philox4x32-10.
fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p = u64::from(c[0]) * 0xD251_1F53;
        let q = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(q >> 32) as u32 ^ c[1] ^ k[0], q as u32, (p >> 32) as u32 ^ c[3] ^ k[1], p as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123 1.14 (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
    #[test]
    fn single_precision_is_double_precision_rounded_and_knows_only_its_row() {
        let device = Device::flex();
        let read = |x: Tensor<2>| x.try_into_vec_as::<f32>().unwrap();
        for len in [1, 3, 4, 15, 16, 64, 67, 40_001] {
            let rng = Rng::new(5).stream("x").from_row(u64::from(u32::MAX) - 1);
            let (mut double, mut single, mut third) = (rng.clone(), rng.clone(), rng.from_row(2));
            let (exact, close) = (double.normals(5, len), read(single.normal_tensor([5, len], &device, DType::F32)));
            for (z, got) in exact.iter().zip(&close) {
                assert!((f64::from(*got) - z).abs() < 1e-7 + 1e-6 * z.abs(), "{got} for {z}");
            }
            assert_eq!(double, single);
            assert_eq!(read(third.normal_tensor([1, len], &device, DType::F32)), close[2 * len..3 * len]);
        }
    }
}

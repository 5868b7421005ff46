//! What the tests of several kernels share.

/// Scattered numbers of about the given size, the same on every machine.
pub(crate) fn numbers(len: usize, seed: u64, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    (0..len)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..4 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                sum += (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
            }
            sum * 1.732 * size
        })
        .collect()
}

/// Small whole numbers, the same on every machine: shapes to test.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }
}

/// The distance from the exact value in units in the last place.
pub(crate) fn ulps(value: f32, exact: f64) -> f64 {
    let exponent = exact.abs().log2().floor().max(-126.0);
    (f64::from(value) - exact).abs() / (exponent - 23.0).exp2()
}

/// Largest difference in terms of the largest exact value.
pub(crate) fn error(value: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(value.len(), exact.len());
    let largest = exact.iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
    value
        .iter()
        .zip(exact)
        .map(|(&v, &e)| if v.is_nan() { f64::INFINITY } else { (f64::from(v) - e).abs() })
        .fold(0.0, f64::max)
        / largest
}

/// Runs `work` on one, two and three threads and demands the same bits.
pub(crate) fn same_on_any_number_of_threads(work: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let on = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads").install(&work);
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let (one, two, three) = (on(1), on(2), on(3));
    assert!(bits(&one) == bits(&two) && bits(&one) == bits(&three), "the number of threads changes the result");
    one
}

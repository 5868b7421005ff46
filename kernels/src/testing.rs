//! Helpers that the tests of several kernels share.

/// Pseudorandom values with a standard deviation of about `size`, the same on every machine.
pub(crate) fn random_values(len: usize, seed: u64, size: f32) -> Vec<f32> {
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

/// Generator of small integers for random shapes, the same on every machine.
pub(crate) struct TestRng(u64);

impl TestRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a pseudorandom integer below n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }
}

/// Returns the distance from the exact value in units in the last place.
pub(crate) fn ulps(value: f32, exact: f64) -> f64 {
    let exponent = exact.abs().log2().floor().max(-126.0);
    (f64::from(value) - exact).abs() / (exponent - 23.0).exp2()
}

/// Returns the largest difference, relative to the largest exact value.
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

/// Runs `work` on one, two and three threads, asserts that the bits are the same, and returns the result.
pub(crate) fn same_on_any_number_of_threads(work: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let on = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads").install(&work);
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let (one, two, three) = (on(1), on(2), on(3));
    assert!(bits(&one) == bits(&two) && bits(&one) == bits(&three), "the result depends on the number of threads");
    one
}

/// Converts to double precision.
pub(crate) fn to_f64(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Returns some components of the gradient of `Σ dy f(v)` with respect to v, with their indices, by central
/// differences.
pub(crate) fn central_differences(v: &[f32], dy: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<(usize, f64)> {
    let dot = |v: &[f64]| f(v).iter().zip(dy).map(|(y, &d)| y * f64::from(d)).sum::<f64>();
    let mut v = to_f64(v);
    (0..v.len())
        .step_by(1 + v.len() / 23)
        .map(|i| {
            let (old, h) = (v[i], 1e-5);
            v[i] = old + h;
            let up = dot(&v);
            v[i] = old - h;
            let down = dot(&v);
            v[i] = old;
            (i, (up - down) / (2.0 * h))
        })
        .collect()
}

/// Asserts that some components, given with their indices, have a relative error below `tolerance`.
pub(crate) fn assert_close(name: &str, got: &[f32], expected: &[(usize, f64)], tolerance: f64) {
    let size = expected.iter().fold(1e-3, |m: f64, (_, e)| m.max(e.abs()));
    for &(i, e) in expected {
        assert!((f64::from(got[i]) - e).abs() / size < tolerance, "{name}[{i}] must be {e}, got {}", got[i]);
    }
}

/// Normalizes runs of `run` elements in double precision; the mean is subtracted if `centered`.
pub(crate) fn normalize(x: &[f64], run: usize, epsilon: f64, centered: bool) -> Vec<f64> {
    x.chunks(run)
        .flat_map(|x| {
            let n = x.len() as f64;
            let mean = if centered { x.iter().sum::<f64>() / n } else { 0.0 };
            let scale = 1.0 / (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n + epsilon).sqrt();
            x.iter().map(move |x| (x - mean) * scale).collect::<Vec<_>>()
        })
        .collect()
}

//! Laws of distributions.
use super::{Check, Checks};
use crate::{
    distribution::{Distribution, host, one_hot},
    rng::Rng,
};
use burn::tensor::{DType, Tensor};

/// Checks a distribution over `n` rows: samples have its mean and variance, KL to itself is zero, the same stream gives the same
/// rows, p sums (integrates) to one, samples are distributed as p, and their mean −ln p is p's entropy.
///
/// `n` rows are sampled; with 10⁴ the allowed statistical errors (five standard errors) are a few per cent. Densities are integrated
/// over eight standard deviations on either side of the mean; entries of standard deviation zero do not have one and are left out.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{distribution::Normal, laws};
/// let ones = Tensor::<2>::ones([500, 2], &Device::flex());
/// for check in laws::distribution(&Normal::new(ones.clone(), ones).unwrap()) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn distribution<const D: usize>(p: &dyn Distribution<D>) -> Vec<Check> {
    let mut checks = Checks::default();
    let mean = p.mean();
    let dims = mean.dims();
    let (rows, width) = (dims[0], dims[1..].iter().product::<usize>());
    let sampled = p.sample(&mut Rng::new(1)).value;
    let nlls = p.nll(sampled.clone());
    // For categories the last axis is one sample, as a one-hot vector or an index.
    let categorical = nlls.dims()[D - 1] != dims[D - 1];
    let hot = |x: Tensor<D>| host(if categorical { one_hot(x, dims[D - 1]) } else { x });
    let (draw, again) = (hot(sampled.clone()), hot(p.sample(&mut Rng::new(1)).value));
    let differ = draw.iter().zip(&again).filter(|(a, b)| a != b).count();
    checks.note("the same stream gives the same sample", "all rows", differ as f64, 0.0);

    let (means, stds) = (host(mean.clone()), host(p.std().expand(dims)));
    for j in 0..width {
        // Standardised by row, so that rows may differ.
        let sum: f64 = (0..rows).map(|i| draw[i * width + j] - means[i * width + j]).sum();
        let variance: f64 = (0..rows).map(|i| stds[i * width + j].powi(2)).sum();
        checks.note("samples have the mean", format!("entry {j}"), sum.abs(), 5.0 * variance.sqrt() + 1e-6);
        let squares: f64 = (0..rows).map(|i| (draw[i * width + j] - means[i * width + j]).powi(2)).sum();
        // Fourth moments of a normal are 3σ⁴; of a Bernoulli at most σ².
        let allowed = 5.0
            * (0..rows)
                .map(|i| 2.0 * stds[i * width + j].powi(4) + 0.25 * stds[i * width + j].powi(2))
                .sum::<f64>()
                .sqrt();
        checks.note("samples have the variance", format!("entry {j}"), (squares - variance).abs(), allowed + 1e-6);
    }
    if categorical {
        let masses = categories(p, &draw, &sampled, &mut checks);
        entropy(&masses, &host(nlls), &mut checks);
    } else {
        let masses = entries(p, &draw, &means, &stds);
        let allowed = if sampled.dtype() == DType::F64 { 1e-9 } else { 1e-4 };
        for (i, mass) in masses.iter().enumerate().filter(|(i, _)| stds[*i] > 0.0) {
            checks.note(
                "p sums to one",
                format!("entry {} of row {}", i % width, i / width),
                (mass.total - 1.0).abs(),
                allowed,
            );
        }
        for j in 0..width {
            let mut reached: Vec<f64> =
                (j..draw.len()).step_by(width).filter(|i| stds[*i] > 0.0).map(|i| masses[i].below).collect();
            reached.sort_by(f64::total_cmp);
            let n = reached.len() as f64;
            let gap = |(i, u): (usize, &f64)| (u - i as f64 / n).abs().max((u - (i as f64 + 1.0) / n).abs());
            // Kolmogorov and Smirnov's distance exceeds 2.5/√n seven times in a million samples.
            let most = reached.iter().enumerate().map(gap).fold(0.0, f64::max);
            checks.note(AS_P, format!("entry {j}"), most, 2.5 / n.max(1.0).sqrt());
        }
        let with_density =
            |x: Vec<f64>| x.into_iter().zip(&stds).filter(|(_, std)| **std > 0.0).map(|(x, _)| x).collect();
        let solid: Vec<Mass> = masses.iter().zip(&stds).filter(|(_, std)| **std > 0.0).map(|(mass, _)| *mass).collect();
        let nlls: Vec<f64> = with_density(host(nlls));
        entropy(&solid, &nlls, &mut checks);
    }
    for (i, kl) in host(p.kl(p)).into_iter().enumerate() {
        checks.note("KL to itself is zero", format!("entry {i}"), kl.abs(), 1e-5);
    }
    checks.done()
}

const AS_P: &str = "samples are distributed as p";

/// Integrals of the density of one entry, or of one categorical.
#[derive(Clone, Copy, Default)]
struct Mass {
    /// ∫ p.
    total: f64,
    /// ∫ −p ln p.
    entropy: f64,
    /// ∫ p ln² p.
    square: f64,
    /// ∫ p up to the sample.
    below: f64,
}
impl Mass {
    /// Adds one point of a sum, of mass p.
    fn add(&mut self, p: f64, nll: f64) {
        self.total += p;
        // Points of probability 0 do not contribute, however large −ln p is.
        if p > 0.0 {
            self.entropy += p * nll;
            self.square += p * nll * nll;
        }
    }
}

/// Computes the integrals of each entry's density, on a grid of sixteenths of a standard deviation.
fn entries<const D: usize>(p: &dyn Distribution<D>, draw: &[f64], means: &[f64], stds: &[f64]) -> Vec<Mass> {
    const POINTS: i32 = 128;
    let step = 1.0 / 16.0;
    let mean = p.mean();
    let std = p.std().expand(mean.dims());
    let mut masses = vec![Mass::default(); draw.len()];
    let mut last = vec![0.0; draw.len()];
    for k in -POINTS..=POINTS {
        let u = f64::from(k) * step;
        let nll = host(p.nll(mean.clone() + std.clone() * u));
        for (i, mass) in masses.iter_mut().enumerate() {
            let p = (-nll[i]).exp() * stds[i];
            mass.add(p * step, nll[i]);
            // Linear between two points, up to the sample.
            let share = (((draw[i] - means[i]) / stds[i] - u) / step + 1.0).clamp(0.0, 1.0);
            mass.below += step * share * (last[i] + 0.5 * share * (p - last[i]));
            last[i] = p;
        }
    }
    masses
}

/// Computes the sums over categories, and checks that the fraction of samples up to each category is that of p.
fn categories<const D: usize>(
    p: &dyn Distribution<D>,
    draw: &[f64],
    sampled: &Tensor<D>,
    checks: &mut Checks,
) -> Vec<Mass> {
    let mut dims = p.mean().dims();
    let k = dims[D - 1];
    dims[D - 1] = 1;
    let rows = dims[0];
    let places: usize = dims[1..].iter().product();
    let mut masses = vec![Mass::default(); rows * places];
    let mut passed = vec![0.0; rows * places];
    for j in 0..k {
        let all = Tensor::<D>::full(dims, j as f64, (&sampled.device(), sampled.dtype()));
        let nll = host(p.nll(one_hot(all, k)));
        for (i, mass) in masses.iter_mut().enumerate() {
            mass.add((-nll[i]).exp(), nll[i]);
            passed[i] += draw[i * k + j];
        }
        for place in 0..places {
            let gap: f64 = (place..passed.len()).step_by(places).map(|i| passed[i] - masses[i].total).sum();
            let where_to = format!("category {j} of place {place}");
            checks.note(AS_P, where_to, gap.abs() / rows as f64, 2.5 / (rows as f64).sqrt());
        }
    }
    let allowed = if sampled.dtype() == DType::F64 { 1e-9 } else { 1e-4 };
    for (i, mass) in masses.iter().enumerate() {
        let place = format!("place {} of row {}", i % places, i / places);
        checks.note("p sums to one", place, (mass.total - 1.0).abs(), allowed);
    }
    masses
}

/// Compares the mean −ln p of samples with p's entropy; its variance is that of −ln p.
fn entropy(masses: &[Mass], nlls: &[f64], checks: &mut Checks) {
    if nlls.is_empty() {
        return;
    }
    let n = nlls.len() as f64;
    let own = nlls.iter().sum::<f64>() / n;
    let entropy = masses.iter().map(|mass| mass.entropy).sum::<f64>() / n;
    let var: f64 = masses.iter().map(|mass| (mass.square - mass.entropy.powi(2)).max(0.0)).sum();
    let name = "the entropy of samples is their mean −ln p";
    checks.note(name, format!("{own:.4} for {entropy:.4}"), (own - entropy).abs(), 5.0 * var.sqrt() / n + 1e-5);
}

/// Checks that KL(p ‖ q) of two distributions is not negative and is the mean of ln p − ln q over samples of p.
pub fn divergence<const D: usize>(p: &dyn Distribution<D>, q: &dyn Distribution<D>) -> Vec<Check> {
    let mut checks = Checks::default();
    let kl = host(p.kl(q));
    for (i, kl) in kl.iter().enumerate() {
        checks.note("KL is not negative", format!("entry {i}"), -kl, 1e-6);
    }
    let x = p.sample(&mut Rng::new(2)).value;
    let gaps: Vec<f64> = host(q.nll(x.clone())).into_iter().zip(host(p.nll(x))).map(|(q, p)| q - p).collect();
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let var = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
    let expected = kl.iter().sum::<f64>() / kl.len() as f64;
    checks.note(
        "KL is the mean of ln p − ln q",
        "samples of p",
        (mean - expected).abs(),
        5.0 * (var / n).sqrt() + 1e-6,
    );
    checks.done()
}

//! Mathematical laws that implementations of a trait must obey, measured by functions that take any implementation.
//!
//! Each function returns what it measured, law by law, at the worst place found:
//!
//! ```
//! use tweedie::{laws, schedule::Cosine};
//! for check in laws::schedule(&Cosine::new(1000)) {
//!     assert!(check.holds(), "{check}");
//! }
//! ```
use crate::{
    Dual,
    distribution::host,
    noise::{Estimate, Noise},
    rng::Rng,
    schedule::{Schedule, Survival},
    spacing::Spacing,
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::fmt;

mod bound;
mod categories;
mod conditioning;
mod conditions;
mod denoiser;
mod discrete_sampler;
mod distribution;
mod estimates;
mod gaussian;
mod held_out;
mod kinds;
mod loss;
mod moments;
mod net;
mod on_device;
mod order;
mod precision;
mod robustness;
mod sampler;
mod schedules;
mod trajectory;
mod weight;
pub use bound::bound_of_density;
pub use categories::bound;
pub use denoiser::{denoiser, guidance};
pub use discrete_sampler::{discrete_sampler, sequence_counts, total_variation};
pub use distribution::{distribution, divergence};
pub use estimates::estimates;
pub use held_out::held_out;
pub use loss::{loss, zero_if_perfect};
pub use moments::moments_of;
pub use net::{DEPENDS_ON_T, net};
pub use on_device::{net_on_device, sampler_on_device, training_on_device};
pub use order::{order_of, problem};
pub use precision::{precision, sampler_in_precision, training_in_precision};
pub use robustness::{robustness, robustness_on, schedules};
pub use sampler::{consistency, convergence, plane, row_alone, sampler};
pub use trajectory::trajectory;
pub use weight::weight;

/// Measurement of one law.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The law, a sentence.
    pub law: &'static str,
    /// Where the deviation was largest.
    pub place: String,
    /// The deviation from the law there.
    pub measured: f64,
    /// The allowed deviation: rounding, or the error of an estimate.
    pub allowed: f64,
    /// The two values compared, if the law is that a property has the value that the module declares.
    pub compared: Option<Compared>,
}

/// A declared value and its measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The value that the module declares, such as a sampler's order of convergence.
    pub declared: f64,
    /// The measured value.
    pub found: f64,
}

impl Check {
    /// A measurement of a law at a place; it has passed if `measured` ≤ `allowed`.
    pub fn new(law: &'static str, place: impl fmt::Display, measured: f64, allowed: f64) -> Self {
        Self { law, place: place.to_string(), measured, allowed, compared: None }
    }
    /// Whether the law holds; false if the deviation is NaN.
    pub fn holds(&self) -> bool {
        self.measured <= self.allowed
    }
}
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "passed" } else { "FAILED" };
        let Self { law, place, measured, allowed, compared } = self;
        write!(f, "{law}: {verdict}, {measured:.2e} measured at {place}, {allowed:.2e} allowed")?;
        match compared {
            None => Ok(()),
            Some(Compared { declared, found }) => write!(f, " (declared {declared}, found {found:.2})"),
        }
    }
}

/// Collects the largest deviation from each law.
#[derive(Default)]
pub(crate) struct Checks(Vec<Check>);
impl Checks {
    pub(crate) fn note(&mut self, law: &'static str, place: impl fmt::Display, measured: f64, allowed: f64) {
        self.add(Check::new(law, place, measured, allowed));
    }
    pub(crate) fn add(&mut self, new: Check) {
        match self.0.iter_mut().find(|check| check.law == new.law) {
            None => self.0.push(new),
            // A failure is worse than anything that holds; NaN is a failure.
            Some(old) if old.holds() && (!new.holds() || new.measured * old.allowed > old.measured * new.allowed) => {
                *old = new
            }
            Some(_) => {}
        }
    }
    pub(crate) fn done(self) -> Vec<Check> {
        self.0
    }
}

/// Checks a schedule: α does not increase and is that of the [formula](Schedule::alpha_bar_formula) the schedule declares, the log-SNR
/// decreases, not all of it in one step, and can be inverted (by 0 or 1 where it is not reached), α′ and σ′ are the derivatives of α and σ, g² ≥ 0, and σ/α is small at
/// t = 0 and above 1 at t = 1.
pub fn schedule(schedule: &dyn Schedule) -> Vec<Check> {
    let mut checks = Checks::default();
    const N: usize = 200;
    let mut last = (f64::INFINITY, f64::INFINITY);
    for i in 1..N {
        // Off any grid a table may have.
        let t = (i as f64 + 0.371) / N as f64;
        let place = format!("t = {t:.4}");
        let c = schedule.at(t);
        checks.note("α does not increase", &place, c.alpha - last.0, 0.0);
        let rise = if c.log_snr() < last.1 { 0.0 } else { c.log_snr() - last.1 + f64::MIN_POSITIVE };
        checks.note("the log-SNR decreases", &place, rise, 0.0);
        last = (c.alpha, c.log_snr());

        let slope = |f: fn(crate::schedule::Scales) -> f64| derivative(|t| f(schedule.at(t)), t);
        for (name, own, other) in [
            ("α′ is the derivative of α", c.alpha_dot, slope(|c| c.alpha)),
            ("σ′ is the derivative of σ", c.sigma_dot, slope(|c| c.sigma)),
        ] {
            // Differences of values of size α or σ leave 1e-16/h of rounding.
            let size = 1.0 + own.abs() + c.sigma;
            checks.note(name, &place, (own - other).abs() / size, 1e-6);
        }
        let back = schedule.time_at_log_snr(c.log_snr());
        // The ratio may be flat: compare ratios as well as times.
        let miss = (back - t).abs().min((schedule.at(back).log_snr() - c.log_snr()).abs());
        checks.note("time_at_log_snr inverts the log-SNR", &place, miss, 1e-9);
        checks.note("g² is not negative", &place, -c.diffusion() / (1.0 + c.diffusion().abs()), 1e-12);
    }
    schedules::formula(schedule, &mut checks);
    schedules::beyond(schedule, &mut checks);
    schedules::scales(schedule, &mut checks);
    let share = |t: f64| {
        let c = schedule.at(t);
        (c.alpha / c.alpha.hypot(c.sigma)).powi(2)
    };
    schedules::spread("the signal is not lost in one step", share, &mut checks);
    let (start, end) = (schedule.at(0.0), schedule.at(1.0));
    checks.note("data at t = 0: σ/α is small", "t = 0", start.sigma / start.alpha, 0.05);
    checks.note("noise at t = 1: α/σ is less than 1", "t = 1", end.alpha / end.sigma, 1.0);
    checks.done()
}

/// Checks a survival probability: ᾱ is in [0, 1] and does not increase, ᾱ′ ≤ 0 is its derivative, nearly every category survives
/// at t = 0, fewer than half do at t = 1, and they are not corrupted in one step.
pub fn survival(schedule: &dyn Survival) -> Vec<Check> {
    let mut checks = Checks::default();
    const N: usize = 200;
    let value = |t: f64| schedule.survival(Dual::time(t)).value;
    let mut last = f64::INFINITY;
    for i in 1..N {
        // Off any grid a table may have.
        let t = (i as f64 + 0.371) / N as f64;
        let place = format!("t = {t:.4}");
        let own = schedule.survival(Dual::time(t));
        checks.note("ᾱ is a probability", &place, (-own.value).max(own.value - 1.0), 0.0);
        checks.note("ᾱ does not increase", &place, own.value - last, 0.0);
        last = own.value;
        checks.note("the rate of corruption −ᾱ′/ᾱ is not negative", &place, own.slope, 0.0);
        let off = (own.slope - derivative(value, t)).abs() / (1.0 + own.slope.abs());
        checks.note("ᾱ′ is the derivative of ᾱ", &place, off, 1e-6);
    }
    for t in [0.0, 1.0] {
        checks.note("ᾱ is a probability", format!("t = {t}"), (-value(t)).max(value(t) - 1.0), 0.0);
    }
    schedules::spread("categories are not corrupted in one step", value, &mut checks);
    checks.note("data at t = 0: 1 − ᾱ is small", "t = 0", 1.0 - value(0.0), 0.05);
    checks.note("noise at t = 1: ᾱ is less than ½", "t = 1", value(1.0), 0.5);
    checks.done()
}

/// Derivative by central differences of third order, with error h⁴ f⁗′/30.
fn derivative(f: impl Fn(f64) -> f64, t: f64) -> f64 {
    let h = 1e-5;
    let at = |k: f64| f(t + k * h);
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h)
}

/// Checks a spacing: a non-decreasing map of quantiles into [0, 1], grids that decrease to 0, training timesteps with its
/// quantiles, and all of them in double precision.
pub fn spacing(spacing: &dyn Spacing) -> Vec<Check> {
    let mut checks = Checks::default();
    let mut last = f64::NEG_INFINITY;
    let mut different = 0;
    let mut quantiles = vec![];
    for i in 1..=1000 {
        let u = f64::from(i) / 1000.0;
        let t = spacing.quantile(u);
        quantiles.push(t);
        different += usize::from(t > last);
        checks.note("timesteps do not decrease with the quantile", format!("u = {u}"), last - t, 0.0);
        checks.note("timesteps are in [0, 1]", format!("u = {u}"), (-t).max(t - 1.0), 0.0);
        last = t;
    }
    schedules::precision(&quantiles, &mut checks);
    // A list of few timesteps has no grid of many steps.
    for n in [1, 2, 7, 50].into_iter().filter(|n| *n <= different) {
        let grid = spacing.grid(n);
        schedules::precision(&grid, &mut checks);
        checks.note(
            "a grid of n steps has n + 1 timesteps",
            format!("n = {n}"),
            grid.len().abs_diff(n + 1) as f64,
            0.0,
        );
        checks.note("a grid ends at 0", format!("n = {n}"), grid.last().copied().unwrap_or(f64::NAN).abs(), 0.0);
        for (i, pair) in grid.windows(2).enumerate() {
            checks.note(
                "a grid decreases",
                format!("n = {n}, step {i}"),
                if pair[0] > pair[1] { 0.0 } else { pair[1] - pair[0] + 1e-300 },
                0.0,
            );
        }
    }
    // Kolmogorov–Smirnov distance to the map: independent timesteps exceed 2/√n once in a thousand samples; stratified ones stay
    // below 1/n.
    let n = 4096_u16;
    let chance = 2.0 / f64::from(n).sqrt();
    let mut times = spacing.sample(usize::from(n), &mut Rng::new(0));
    times.sort_by(f64::total_cmp);
    for (i, t) in times.iter().enumerate() {
        let rank = i as f64 / f64::from(n);
        let (low, high) = (
            spacing.quantile((rank - chance).max(1e-12)),
            spacing.quantile((rank + f64::from(n).recip() + chance).min(1.0)),
        );
        checks.note(
            "sampled timesteps have the spacing's quantiles",
            format!("rank {i} of {n}"),
            (low - t).max(t - high),
            1e-12,
        );
    }
    checks.done()
}

/// Checks a noise on data `x` of shape `[batch, …]` (one-hot for categories): for 0 < s < t the posterior averaged over x_t is the
/// forward marginal at s, and the forward marginal at t = 1 is near the stationary distribution; KL(p ‖ q) of two forward marginals is the
/// mean of ln p − ln q under p, which KL(q ‖ p) is not; forward marginals, posteriors and the stationary distribution obey the [laws of
/// distributions](distribution()).
///
/// For continuous data also: estimate ∘ target = identity; the target is that of the [named prediction
/// type](Noise::prediction_type), if it has a name; the stationary standard deviation is that of the forward marginal at
/// t = 1; x̂ = x reproduces the posterior mean, with a standard deviation between those of q(x_s | x_t, x) and q(x_t | x_s); the
/// network input determines x_t. If the noise has a [`path`](Noise::path), the forward marginal is N(α x, σ²) and
/// `q(x_s | x_t, x) q(x_t | x) = q(x_t | x_s) q(x_s | x)` with `q(x_t | x_s) = N(r x_s, σ_t² − r² σ_s²)`, r = α_t/α_s.
pub fn noise<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>) -> Vec<Check> {
    let mut checks = Checks::default();
    let batch = x.dims()[0];
    let times: Vec<f64> = (0..batch).map(|i| 0.03 + 0.94 * (i as f64 + 0.5) / batch as f64).collect();
    let z = noise.prior(x.clone(), &times).sample(&mut Rng::new(3)).value;
    if !noise.categorical() {
        let output = noise.target(x.clone(), z.clone(), &times);
        let output =
            if noise.outputs() == 2 { Tensor::cat(vec![output.clone(), output.zeros_like()], 1) } else { output };
        let back = host(noise.estimate(output, z.clone(), &times).mean);
        let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 1e-3 };
        let width = back.len() / batch;
        kinds::target(noise, x, &z, &times, &mut checks);
        for (i, (a, b)) in back.iter().zip(host(x.clone())).enumerate() {
            checks.note("estimate ∘ target = identity", format!("t = {:.3}", times[i / width]), (a - b).abs(), allowed);
        }
    }
    for (s, t) in [(0.2, 0.5), (0.5, 0.55), (0.01, 0.97), (0.9, 0.95)] {
        kinds::divergence(noise, x, s, t, &mut checks);
        if noise.categorical() {
            kinds::sums(noise, x, s, t, &mut checks);
            categories(noise, x, s, t, &mut checks);
        } else {
            gaussian::step(noise, x, s, t, &mut checks);
        }
    }
    if !noise.categorical() {
        gaussian::ends(noise, x, &mut checks);
        gaussian::rows(noise, x, &times, &mut checks);
    }
    if let Some(chain) = noise.chain() {
        categories::chain(noise, chain, x, &mut checks);
    }
    kinds::distributions(noise, x, &mut checks);
    checks.done()
}

/// Σ over x_t of q(x_s | x_t, x) q(x_t | x) = q(x_s | x), exactly; and, if the noise has a chain, each term obeys Bayes' rule:
/// q(x_s | x_t, x) q(x_t | x) = q(x_t | x_s) q(x_s | x).
fn categories<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, s: f64, t: f64, checks: &mut Checks) {
    let k = noise.categories().expect("called for categorical noise only").k;
    let mut dims = x.dims();
    dims[D - 1] = k;
    let (before, prior) = (noise.prior(x.clone(), &[s]).mean(), noise.prior(x.clone(), &[t]).mean());
    let mut sum = prior.zeros_like();
    for j in 0..k {
        let mut shape = [1; D];
        shape[D - 1] = k;
        let hot: Vec<f64> = (0..k).map(|i| if i == j { 1.0 } else { 0.0 }).collect();
        let z: Tensor<D> = Tensor::from_data(TensorData::new(hot, shape), (&x.device(), x.dtype()));
        let z = z.expand(dims);
        let both = noise.posterior(x.clone(), z.clone(), &[s], &[t]).mean() * prior.clone().narrow(D - 1, j, 1);
        if let Some(chain) = noise.chain() {
            let gap = host((chain.onward(z, &[s], &[t]) * before.clone() - both.clone()).abs().max())[0];
            checks.note("Bayes' rule holds for one step", format!("x_t = {j}, s = {s}, t = {t}"), gap, 2e-5);
        }
        sum = sum + both;
    }
    let gap = host((sum - before.clone()).abs().max())[0];
    checks.note("posterior averaged over x_t is the forward marginal at s", format!("s = {s}, t = {t}"), gap, 2e-5);
    let z = noise.prior(x.clone(), &[t]).sample(&mut Rng::new(5)).value;
    let certain = || Estimate::from(before.clone());
    for (name, p) in [
        ("stationary", noise.stationary(x.dims(), &x.device())),
        ("prior", noise.prior(x.clone(), &[t])),
        ("posterior", noise.posterior(x.clone(), z.clone(), &[s], &[t])),
        ("approximate", noise.approximate(certain(), z.clone(), &[s], &[t])),
        ("decoder", noise.decoder(certain(), z, &[t])),
    ] {
        let sampled = p.sample(&mut Rng::new(5)).value;
        let differ = if sampled.dims() == x.dims() { 0.0 } else { 1.0 };
        checks.note("x_t has the shape of x", format!("{name}: {:?}", sampled.dims()), differ, 0.0);
    }
    let at_end = host(
        (noise.prior(x.clone(), &[1.0]).mean() - noise.stationary(dims, &x.device()).mean().cast(x.dtype()))
            .abs()
            .max(),
    )[0];
    checks.note("the forward marginal at t = 1 is near the stationary distribution", "t = 1", at_end, 0.1);
}

/// Checks random streams: row i is the same in any batch and any shard, and independent of how much other purposes sample.
pub fn rng(seed: u64) -> Vec<Check> {
    let mut checks = Checks::default();
    let root = Rng::new(seed);
    let (rows, len) = (64, 37);
    let all = root.stream("law").words(rows, len);
    for (first, count) in [(0, 1), (0, 64), (1, 3), (17, 30), (63, 1)] {
        let part = root.stream("law").from_row(first as u64).words(count, len);
        let differ = part.iter().zip(&all[first * len..]).filter(|(a, b)| a != b).count();
        checks.note("a row is the same in any shard", format!("rows {first}..{}", first + count), differ as f64, 0.0);
    }
    let streams = [
        root.stream("a"),
        root.stream("b"),
        root.at_step(0),
        root.at_step(1),
        root.stream("a").at_step(0),
        root.stream("a").stream("b"),
        Rng::new(seed + 1),
    ];
    let sampled: Vec<Vec<u32>> = streams.iter().map(|stream| stream.clone().words(16, 64)).collect();
    for (i, a) in sampled.iter().enumerate() {
        for (j, b) in sampled.iter().enumerate().skip(i + 1) {
            // 1024 words of 32 bits agree by chance with probability 2⁻²².
            let shared = a.iter().filter(|word| b.contains(word)).count();
            checks.note("streams of two purposes share no words", format!("streams {i} and {j}"), shared as f64, 2.0);
        }
    }
    let device = Device::flex();
    let z = host(root.stream("normal").normal_tensor([400, 500], &device, DType::F32));
    let n = z.len() as f64;
    for (k, expected, var) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let moment = z.iter().map(|z| z.powi(k)).sum::<f64>() / n;
        checks.note(
            "normal samples have the moments of N(0, 1)",
            format!("moment {k}"),
            (moment - expected).abs(),
            5.0 * f64::sqrt(var / n),
        );
    }
    checks.done()
}

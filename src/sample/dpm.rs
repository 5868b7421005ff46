//! Lu's solvers: exponential integrators in `λ = ln(α/σ)`, in one step and in several.
use super::{
    Clock, Multistep, Node, Past, Sampler, SolverPrediction, exact_weights, fresh, noise_terms, path, straight, sum,
};
use crate::{
    denoise::Denoiser,
    error::Error,
    noise::Noise,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// λ = ln(α/σ).
fn lambda(c: Scales) -> f64 {
    (c.alpha / c.sigma).ln()
}

/// The node at the fraction `part` of the way in λ; none where λ is infinite at an end.
fn between(path: &dyn Schedule, from: Scales, to: Scales, part: f64) -> Option<Node> {
    let (a, b) = (lambda(from), lambda(to));
    (a.is_finite() && b.is_finite()).then(|| Node::new(path, path.time_at_log_snr(2.0 * (a + part * (b - a)))))
}

/// DPM-Solver in one step: exponential Runge–Kutta on ε̂, of order 1, 2 or 3 with as many calls.
///
/// With `h = λ_s − λ_t` and φ's of h, order 2 asks at the middle λ and order 3 at a third and two thirds:
///
/// ```text
/// z_s = (α_s/α_t) z − σ_s (eʰ − 1) ε̂_t − σ_s/r ((eʰ − 1)/h − 1) (ε̂_r − ε̂_t)      order 3, r = 2/3
/// ```
///
/// Where λ is infinite at an end of the step, it is of first order. Lu et al., "DPM-Solver" (2022), algorithms 1 and 2,
/// <https://arxiv.org/abs/2206.00927>. Its multistep form is `AdamsBashforth { word: Noise, clock: LogSnr }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolver {
    /// 1, 2 or 3.
    pub order: usize,
}
impl Default for DpmSolver {
    fn default() -> Self {
        Self { order: 2 }
    }
}
impl<const D: usize> Sampler<D> for DpmSolver {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, _: &mut Rng) -> Tensor<D> {
        let path = path(model);
        let (from, to) = (path.at(t), path.at(s));
        let x = model.denoise(z.clone(), &[t]).mean;
        let third = if self.order == 3 { 1.0 / 3.0 } else { 0.5 };
        let Some(first) = (self.order > 1).then(|| between(path, from, to, third)).flatten() else {
            return straight(z, x, from, to);
        };
        // (α_s/α_t) z + (σ_s − σ_t α_s/α_t) ε̂_t + bend (ε̂ − ε̂_t), with ε̂ that of a later point and its guess.
        let turned = |to: Scales, bend: f64, ahead: Tensor<D>, guess: Tensor<D>, node: Node| {
            let kept = to.alpha / from.alpha;
            let [(old, z), x] = noise_terms(to.sigma - from.sigma * kept - bend, z.clone(), x.clone(), from);
            sum([(kept + old, z), x].into_iter().chain(noise_terms(bend, ahead, guess, node.scales)))
        };
        let ask = |z: &Tensor<D>, node: Node| model.denoise(z.clone(), &[node.t]).mean;
        let h = lambda(to) - lambda(from);
        let ahead = straight(z.clone(), x.clone(), from, first.scales);
        let guess = ask(&ahead, first);
        if self.order == 2 {
            return turned(to, -to.sigma * h.exp_m1(), ahead, guess, first);
        }
        let second = between(path, from, to, 2.0 / 3.0).expect("the ends are finite");
        let part = 2.0 / 3.0 * h;
        // r₂/r₁ = 2.
        let bend = -2.0 * second.scales.sigma * (part.exp_m1() / part - 1.0);
        let ahead = turned(second.scales, bend, ahead, guess, first);
        let guess = ask(&ahead, second);
        turned(to, -to.sigma * 1.5 * (h.exp_m1() / h - 1.0), ahead, guess, second)
    }
    fn order(&self) -> Option<usize> {
        Some(self.order)
    }
    fn calls(&self) -> usize {
        self.order
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if (1..=3).contains(&self.order) {
            return Ok(());
        }
        Err(Error::invalid(format!("the order of dpm-solver is 1, 2 or 3, not {}", self.order)))
    }
}

/// The midpoint method in σ/α, asked at the geometric middle: second order, two calls.
///
/// `x_s = α_s (x_t/α_t + (r_s − r_t) ε̂_m)`, ε̂_m at Euler's point at `r_m = √(r_t r_s)`. A step to σ = 0 is Euler's.
///
/// Karras et al. (2022), inspired by DPM-Solver-2; DPM2 of k-diffusion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dpm2 {}
impl<const D: usize> Sampler<D> for Dpm2 {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, _: &mut Rng) -> Tensor<D> {
        let path = path(model);
        midpoint_noise(model, path, z, t, path.at(s))
    }
    fn order(&self) -> Option<usize> {
        Some(2)
    }
    fn calls(&self) -> usize {
        2
    }
}

/// [`Dpm2`]'s step to any scales.
pub(super) fn midpoint_noise<const D: usize>(
    model: &dyn Denoiser<D>,
    path: &dyn Schedule,
    z: Tensor<D>,
    t: f64,
    to: Scales,
) -> Tensor<D> {
    let from = path.at(t);
    let x = model.denoise(z.clone(), &[t]).mean;
    let Some(middle) = between(path, from, to, 0.5) else {
        return straight(z, x, from, to);
    };
    let ahead = straight(z.clone(), x, from, middle.scales);
    let x = model.denoise(ahead.clone(), &[middle.t]).mean;
    let kept = to.alpha / from.alpha;
    let [(turn, ahead), (pull, x)] = noise_terms(to.sigma - from.sigma * kept, ahead, x, middle.scales);
    combine!([(kept, z), (turn, ahead), (pull, x)])
}

/// DPM-Solver++ (2S): the midpoint method in λ on x̂, second order, two calls.
///
/// `x_s = (σ_s/σ_t) x_t − α_s (e^(−h) − 1) x̂_m`, x̂_m half-way in λ. A step to σ = 0 is of first order.
///
/// With η > 0, of the process whose noise is η (as in [`DpmSolverPp`]), with `k = h/2` and two fresh noises:
///
/// ```text
/// n_m = σ_m √(1 − e^(−2ηk)) ξ₁      n_s = (σ_s/σ_m) e^(−ηk) n_m + σ_s √(1 − e^(−2ηk)) ξ₂
/// z_m = (σ_m/σ_t) e^(−ηk) z_t + α_m (1 − e^(−(1+η)k)) x̂_t + n_m
/// z_s = (σ_s/σ_t) e^(−ηh) z_t + α_s (1 − e^(−(1+η)h)) x̂_m + n_s
/// ```
///
/// The noise of the step is that of its first half carried on, so both points are of one path, exactly where x̂ stands still.
/// `dpmpp_sde` of k-diffusion is a relative, whose noise is the ancestral samplers' and correlated by a Brownian tree.
///
/// Lu et al., "DPM-Solver++" (2022), algorithm 1 with r = ½, <https://arxiv.org/abs/2211.01095>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolverPp2S {
    /// η ≥ 0: 0 is the flow, 1 the reverse process.
    pub eta: f64,
}
impl<const D: usize> Sampler<D> for DpmSolverPp2S {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let path = path(model);
        let (from, to) = (path.at(t), path.at(s));
        let Some(middle) = between(path, from, to, 0.5).filter(|_| self.eta > 0.0) else {
            return midpoint_data(model, path, z, t, to);
        };
        let whole = lambda(to) - lambda(from);
        // The part of a stretch h of the way that is z's, times σ; x̂'s, times α; and the fresh noise's, times σ.
        let kept = |h: f64| (-self.eta * h).exp();
        let pull = |h: f64| -(-(1.0 + self.eta) * h).exp_m1();
        let added = |h: f64| (-(-2.0 * self.eta * h).exp_m1()).sqrt();
        let first = lambda(middle.scales) - lambda(from);
        let (second, m) = (whole - first, middle.scales);
        let x = model.denoise(z.clone(), &[t]).mean;
        let noise = fresh(rng, &z);
        let half = m.sigma * added(first);
        let ahead = combine!([
            (m.sigma / from.sigma * kept(first), z.clone()),
            (m.alpha * pull(first), x),
            (half, noise.clone())
        ]);
        let x = model.denoise(ahead, &[middle.t]).mean;
        let newer = fresh(rng, &z);
        combine!([
            (to.sigma / from.sigma * kept(whole), z),
            (to.alpha * pull(whole), x),
            (to.sigma / m.sigma * kept(second) * half, noise),
            (to.sigma * added(second), newer)
        ])
    }
    fn order(&self) -> Option<usize> {
        (self.eta == 0.0).then_some(2)
    }
    fn weak_order(&self) -> usize {
        2
    }
    fn calls(&self) -> usize {
        2
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if self.eta >= 0.0 && self.eta.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the eta of dpm-solver++2s is a finite number of 0 or more: 0 is the flow, 1 the reverse process; it is {}",
            self.eta
        )))
    }
}

/// [`DpmSolverPp2S`]'s step to any scales, without noise.
pub(super) fn midpoint_data<const D: usize>(
    model: &dyn Denoiser<D>,
    path: &dyn Schedule,
    z: Tensor<D>,
    t: f64,
    to: Scales,
) -> Tensor<D> {
    let from = path.at(t);
    let x = model.denoise(z.clone(), &[t]).mean;
    let Some(middle) = between(path, from, to, 0.5) else {
        return straight(z, x, from, to);
    };
    let ahead = straight(z.clone(), x, from, middle.scales);
    let x = model.denoise(ahead, &[middle.t]).mean;
    straight(z, x, from, to)
}

/// DPM-Solver++ in several steps on x̂: 1S, 2M and 3M, and with η > 0 their stochastic forms.
///
/// With `h = λ_s − λ_t`, `r = (λ_t − λ_u)/h` for the time u before, and `τ² = η`, order 2 is
///
/// ```text
/// z_s = (σ_s/σ_t) e^(−ηh) z_t + α_s (1 − e^(−(1+η)h)) [(1 + 1/(2r)) x̂_t − 1/(2r) x̂_u] + σ_s √(1 − e^(−2ηh)) ξ.
/// ```
///
/// Order 3 integrates the parabola through three words exactly. The formula that is usually printed for it halves the
/// second difference, and so converges with order 2 only.
///
/// Lu et al. (2022), algorithm 2, <https://arxiv.org/abs/2211.01095>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolverPp {
    /// 1, 2 or 3.
    pub order: usize,
    /// η ≥ 0: 0 is the flow, 1 the reverse process.
    pub eta: f64,
    /// Whether the last step is of first order and, with order 3, the one before of second: this helps at few steps, and
    /// order 3 converges with second. Order 1 stays as it is.
    pub lower_final: bool,
}
impl Default for DpmSolverPp {
    fn default() -> Self {
        Self { order: 2, eta: 0.0, lower_final: false }
    }
}
impl Multistep for DpmSolverPp {
    fn word(&self) -> SolverPrediction {
        SolverPrediction::X0
    }
    fn keeps(&self) -> usize {
        self.order
    }
    fn tau(&self) -> f64 {
        self.eta.sqrt()
    }
    fn lower_final(&self) -> bool {
        self.lower_final
    }
    fn weights(&self, path: &dyn Schedule, nodes: &[Node], to: Node) -> Vec<f64> {
        if nodes.len() != 2 {
            return exact_weights(path, SolverPrediction::X0, Clock::LogSnr, self.tau(), nodes, nodes[0], to);
        }
        let h = to.lambda() - nodes[0].lambda();
        let half = 0.5 * h / (nodes[0].lambda() - nodes[1].lambda());
        let whole = -to.scales.alpha * (-(1.0 + self.eta) * h).exp_m1();
        vec![whole * (1.0 + half), -whole * half]
    }
    fn check(&self) -> Result<(), Error> {
        if (1..=3).contains(&self.order) && self.eta >= 0.0 && self.eta.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the order of dpm-solver++ is 1, 2 or 3 and its eta a finite number of 0 or more, but order = {} and eta = {}",
            self.order, self.eta
        )))
    }
}

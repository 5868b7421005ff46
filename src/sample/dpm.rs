//! DPM-Solver and DPM-Solver++: exponential integrators in `λ = ln(α/σ)`, one-step and multistep.
use super::{
    Combination, Evaluation, Multistep, Properties, Sampler, SolverPrediction, StepIntegral, TimePoint, TimeStep,
    Variable, gaussian_schedule, noise_like, require_gaussian, sampler::require,
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// The point a `part` of the way in λ; `None` if λ is infinite at an end.
fn between(schedule: &dyn Schedule, from: TimePoint, to: TimePoint, part: f64) -> Option<TimePoint> {
    let (a, b) = (from.lambda(), to.lambda());
    (a.is_finite() && b.is_finite()).then(|| TimePoint::at_lambda(schedule, a + part * (b - a)))
}

/// DPM-Solver in one step: exponential Runge–Kutta on ε̂, of order 1, 2 or 3 with as many network evaluations per step.
///
/// With `h = λ_s − λ_t` and m the point half-way in λ (order 2), or p and q those a third and two thirds of the way
/// (order 3):
///
/// ```text
/// z_s = (α_s/α_t) z − σ_s (eʰ − 1) ε̂_t − σ_s (eʰ − 1) (ε̂_m − ε̂_t)           order 2
/// z_q = (α_q/α_t) z − σ_q (eᵏ − 1) ε̂_t − 2 σ_q ((eᵏ − 1)/k − 1) (ε̂_p − ε̂_t)
/// z_s = (α_s/α_t) z − σ_s (eʰ − 1) ε̂_t − 3/2 σ_s ((eʰ − 1)/h − 1) (ε̂_q − ε̂_t)   order 3
/// ```
///
/// with k = 2h/3, and z_m and z_p by the step of order 1. If λ is infinite at an end of the step, it is of first order. The multistep
/// form is [`AdamsBashforth`](super::AdamsBashforth) on ε̂ in log-SNR.
///
/// ```
/// use tweedie::sample::{DpmSolver, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&DpmSolver { order: 3 }), Properties::ode(3, 3));
/// ```
///
/// Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps" (2022),
/// algorithms 1 and 2, <https://arxiv.org/abs/2206.00927>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "DPMSolverSinglestepScheduler")]
#[doc(alias = "sample_dpm_fast")]
pub struct DpmSolver {
    /// The order: 1, 2 or 3. Default: 2.
    #[doc(alias = "solver_order")]
    #[schemars(range(min = 1, max = 3))]
    pub order: usize,
}
impl Default for DpmSolver {
    fn default() -> Self {
        Self { order: 2 }
    }
}
impl<const D: usize> Sampler<D> for DpmSolver {
    fn properties(&self) -> Properties {
        Properties::ode(self.order, self.order)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        require((1..=3).contains(&self.order), "order", || {
            format!("of DpmSolver must be 1, 2 or 3, got {}", self.order)
        })
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, _: &mut Rng) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (from, to) = at.ends(schedule);
        let here = Evaluation::new(model, z, from);
        let third = if self.order == 3 { 1.0 / 3.0 } else { 0.5 };
        let Some(first) = (self.order > 1).then(|| between(schedule, from, to, third)).flatten() else {
            return here.euler(to.scales);
        };
        // (α/α_t) z + (σ − σ_t α/α_t) ε̂_t + bend (ε̂ − ε̂_t); in σ and λ the second weight is −σ (eʰ − 1).
        let bent = |to: Scales, bend: f64, there: Evaluation<D>| {
            let alpha_ratio = to.alpha / from.scales.alpha;
            let whole = to.sigma - from.scales.sigma * alpha_ratio;
            Combination::new().z_and_epsilon(alpha_ratio, whole - bend, here.clone()).epsilon(bend, there).total()
        };
        let h = to.lambda() - from.lambda();
        let at_first = Evaluation::new(model, here.clone().euler(first.scales), first);
        if self.order == 2 {
            return bent(to.scales, -to.scales.sigma * h.exp_m1(), at_first);
        }
        let second = between(schedule, from, to, 2.0 / 3.0).expect("the ends are finite");
        let part = 2.0 / 3.0 * h;
        let z = bent(second.scales, -2.0 * second.scales.sigma * (part.exp_m1() / part - 1.0), at_first);
        let at_second = Evaluation::new(model, z, second);
        bent(to.scales, -to.scales.sigma * 1.5 * (h.exp_m1() / h - 1.0), at_second)
    }
}

/// The midpoint method in any [`Variable`].
///
/// ```text
/// y_m = y_t + (u_m − u_t) m_t      Euler's step to the middle; m = dy/du
/// y_s = y_t + (u_s − u_t) m_m
/// ```
///
/// Order 2, two network evaluations per step. u_m is half-way in the angle, the default, and in t; in σ/α, `variable =
/// "ratio"`, it is the geometric middle √(r_t r_s), as in k-diffusion; in λ the method is [`DpmSolverPp2S`]. A step to σ
/// = 0, or from where m or u is infinite, is [`Ddim`](super::Ddim)'s.
///
/// ```
/// use tweedie::sample::{Dpm2, Properties, Sampler, Variable};
/// let k_diffusion = Dpm2 { variable: Variable::Ratio };
/// assert_eq!(Sampler::<4>::properties(&k_diffusion), Properties::ode(2, 2));
/// assert_eq!(Dpm2::default().variable, Variable::Angle);
/// ```
///
/// Karras et al. (2022), inspired by DPM-Solver-2, <https://arxiv.org/abs/2206.00364>; DPM2 of k-diffusion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "KDPM2DiscreteScheduler")]
#[doc(alias = "sample_dpm_2")]
#[doc(alias = "midpoint")]
pub struct Dpm2 {
    /// The integration variable. Default: angle.
    pub variable: Variable,
}
impl Default for Dpm2 {
    fn default() -> Self {
        Self { variable: Variable::Angle }
    }
}
impl<const D: usize> Sampler<D> for Dpm2 {
    fn properties(&self) -> Properties {
        Properties::ode(2, 2)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        // At the geometric middle the method in σ/α is stable.
        (self.variable == Variable::Time).then(|| self.variable.unfit(noise.path()?, times)).flatten()
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, _: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        midpoint(self.variable, model, z, from, to)
    }
}

/// [`Dpm2`]'s step to any scales.
pub(super) fn midpoint<const D: usize>(
    variable: Variable,
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    from: TimePoint,
    to: TimePoint,
) -> Tensor<D> {
    let schedule = gaussian_schedule(model);
    match variable {
        Variable::Ratio => return midpoint_epsilon(model, z, from, to),
        Variable::LogSnr => return midpoint_x0(model, z, from, to),
        _ if to.scales.sigma == 0.0 => return Evaluation::new(model, z, from).euler(to.scales),
        Variable::Time | Variable::Angle => {}
    }
    let middle = from.middle(to, schedule, variable);
    let slopes = from.slope(variable).zip(middle.slope(variable));
    let steps = from.transfer(middle, variable).zip(from.transfer(to, variable));
    let Some((([a, b], [a_m, b_m]), ([k_m, h_m], [k, h]))) = slopes.zip(steps) else {
        return Evaluation::new(model, z, from).euler(to.scales);
    };
    let x = model.denoise(z.clone(), &[from.t]).mean;
    let ahead = combine!([(k_m + h_m * a, z.clone()), (h_m * b, x)]);
    let next = model.denoise(ahead.clone(), &[middle.t]).mean;
    combine!([(k, z), (h * a_m, ahead), (h * b_m, next)])
}

/// [`Dpm2`]'s step in σ/α to any scales.
fn midpoint_epsilon<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    from: TimePoint,
    to: TimePoint,
) -> Tensor<D> {
    let here = Evaluation::new(model, z.clone(), from);
    let Some(middle) = between(gaussian_schedule(model), from, to, 0.5) else {
        return here.euler(to.scales);
    };
    let there = Evaluation::new(model, here.euler(middle.scales), middle);
    let alpha_ratio = to.scales.alpha / from.scales.alpha;
    Combination::new().term(alpha_ratio, z).epsilon(to.scales.sigma - from.scales.sigma * alpha_ratio, there).total()
}

/// DPM-Solver++ (2S): the midpoint method in λ on x̂.
///
/// `x_s = (σ_s/σ_t) x_t − α_s (e^(−h) − 1) x̂_m`, x̂_m half-way in λ, `h = λ_s − λ_t`. Order 2, two network evaluations
/// per step. A step to σ = 0 is of first order.
///
/// With η > 0, of the SDE whose noise is η (as in [`DpmSolverPp`]), with `k = h/2` and two fresh noises, weak order 2:
///
/// ```text
/// n_m = σ_m √(1 − e^(−2ηk)) ξ₁      n_s = (σ_s/σ_m) e^(−ηk) n_m + σ_s √(1 − e^(−2ηk)) ξ₂
/// z_m = (σ_m/σ_t) e^(−ηk) z_t + α_m (1 − e^(−(1+η)k)) x̂_t + n_m
/// z_s = (σ_s/σ_t) e^(−ηh) z_t + α_s (1 − e^(−(1+η)h)) x̂_m + n_s
/// ```
///
/// The noise of the step is that of its first half carried on, so both points are of one path, exactly if x̂ is
/// constant. `dpmpp_sde` of k-diffusion is a relative, whose noise is the ancestral samplers' and correlated by a
/// Brownian tree.
///
/// ```
/// use tweedie::sample::{DpmSolverPp2S, Sampler};
/// let properties = |eta| Sampler::<4>::properties(&DpmSolverPp2S { eta });
/// assert_eq!((properties(0.0).order, properties(1.0).order), (Some(2), None));
/// assert_eq!((properties(1.0).weak_order, properties(1.0).nfe_per_step), (2, 2));
/// ```
///
/// Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models" (2022), algorithm 1 with r = ½,
/// <https://arxiv.org/abs/2211.01095>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "DPMSolverSDEScheduler")]
#[doc(alias = "DPMSolverSinglestepScheduler")]
#[doc(alias = "sample_dpmpp_sde")]
pub struct DpmSolverPp2S {
    /// η ≥ 0: 0 is the probability flow, 1 the reverse SDE. Default: 0.
    #[schemars(range(min = 0.0))]
    pub eta: f64,
}
impl<const D: usize> Sampler<D> for DpmSolverPp2S {
    fn properties(&self) -> Properties {
        Properties { order: (self.eta == 0.0).then_some(2), ..Properties::sde(2, 2) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        require_eta(self.eta)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (from, to) = at.ends(schedule);
        let Some(middle) = between(schedule, from, to, 0.5).filter(|_| self.eta > 0.0) else {
            return midpoint_x0(model, z, from, to);
        };
        let (t, m, s) = (from.scales, middle.scales, to.scales);
        let h = to.lambda() - from.lambda();
        let k1 = middle.lambda() - from.lambda();
        let k2 = h - k1;
        // e^(−ηh), 1 − e^(−(1+η)h) and √(1 − e^(−2ηh)).
        let decay = |h: f64| (-self.eta * h).exp();
        let pull = |h: f64| -(-(1.0 + self.eta) * h).exp_m1();
        let added = |h: f64| (-(-2.0 * self.eta * h).exp_m1()).sqrt();
        let x = model.denoise(z.clone(), &[from.t]).mean;
        let xi = noise_like(rng, &z);
        let n_m = m.sigma * added(k1);
        let z_m = combine!([(m.sigma / t.sigma * decay(k1), z.clone()), (m.alpha * pull(k1), x), (n_m, xi.clone())]);
        let x = model.denoise(z_m, &[middle.t]).mean;
        let xi2 = noise_like(rng, &z);
        combine!([
            (s.sigma / t.sigma * decay(h), z),
            (s.alpha * pull(h), x),
            (s.sigma / m.sigma * decay(k2) * n_m, xi),
            (s.sigma * added(k2), xi2)
        ])
    }
}

/// η ≥ 0 and finite.
fn require_eta(eta: f64) -> Result<()> {
    let problem = || format!("must be a finite number of 0 or more, got {eta}");
    require(eta >= 0.0 && eta.is_finite(), "eta", problem)
        .map_err(|error| error.with_remedy("0 is the probability flow, 1 the reverse SDE"))
}

/// [`DpmSolverPp2S`]'s step to any scales, without noise.
pub(super) fn midpoint_x0<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    from: TimePoint,
    to: TimePoint,
) -> Tensor<D> {
    let here = Evaluation::new(model, z.clone(), from);
    let Some(middle) = between(gaussian_schedule(model), from, to, 0.5) else {
        return here.euler(to.scales);
    };
    let x = model.denoise(here.euler(middle.scales), &[middle.t]).mean;
    Evaluation { z, x, scales: from.scales }.euler(to.scales)
}

/// DPM-Solver++ multistep on x̂: 1S, 2M and 3M, and with η > 0 their SDE forms.
///
/// With `h = λ_s − λ_t`, `r = (λ_t − λ_u)/h` for the time u before, and `τ² = η`, order 2 is
///
/// ```text
/// z_s = (σ_s/σ_t) e^(−ηh) z_t + α_s (1 − e^(−(1+η)h)) [(1 + 1/(2r)) x̂_t − 1/(2r) x̂_u]
///       + σ_s √(1 − e^(−2ηh)) ξ
/// ```
///
/// Order 3 integrates the parabola through three outputs exactly. The formula that is usually printed for it halves the
/// second difference, and so converges with order 2 only. One network evaluation per step; with η > 0 of weak order 2.
///
/// ```
/// use tweedie::sample::{DpmSolverPp, Sampler};
/// let dpmpp_3m = DpmSolverPp { order: 3, ..DpmSolverPp::default() };
/// let dpmpp_3m_sde = DpmSolverPp { eta: 1.0, ..dpmpp_3m };
/// assert_eq!(Sampler::<4>::properties(&dpmpp_3m).order, Some(3));
/// assert_eq!(Sampler::<4>::properties(&dpmpp_3m_sde).weak_order, 2);
/// ```
///
/// Lu et al. (2022), algorithm 2, <https://arxiv.org/abs/2211.01095>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "DPMSolverMultistepScheduler")]
#[doc(alias = "sample_dpmpp_2m")]
#[doc(alias = "sample_dpmpp_2m_sde")]
#[doc(alias = "sample_dpmpp_3m_sde")]
#[doc(alias = "CosineDPMSolverMultistepScheduler")]
#[doc(alias = "EDMDPMSolverMultistepScheduler")]
pub struct DpmSolverPp {
    /// The order: 1, 2 or 3. Default: 2.
    #[doc(alias = "solver_order")]
    #[schemars(range(min = 1, max = 3))]
    pub order: usize,
    /// η ≥ 0: 0 is the probability flow, 1 the reverse SDE. Default: 0.
    #[schemars(range(min = 0.0))]
    pub eta: f64,
    /// Whether the last step is of first order and, if the order is 3, the one before of second: this helps at few
    /// steps, and order 3 converges with second. Order 1 stays as it is. Default: false.
    #[doc(alias = "lower_order_final")]
    pub lower_final: bool,
}
impl Default for DpmSolverPp {
    fn default() -> Self {
        Self { order: 2, eta: 0.0, lower_final: false }
    }
}
impl Multistep for DpmSolverPp {
    fn integral(&self) -> StepIntegral {
        StepIntegral { prediction: SolverPrediction::X0, variable: Variable::LogSnr, tau: self.eta.sqrt() }
    }
    fn history_len(&self) -> usize {
        self.order
    }
    fn lower_final(&self) -> bool {
        self.lower_final
    }
    fn weights(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        let [t, u] = *points else { return self.integral().weights(schedule, points, points[0], to) };
        let h = to.lambda() - t.lambda();
        let half_over_r = 0.5 * h / (t.lambda() - u.lambda());
        let pull = -to.scales.alpha * (-(1.0 + self.eta) * h).exp_m1();
        vec![pull * (1.0 + half_over_r), -pull * half_over_r]
    }
    fn check(&self) -> Result<()> {
        let order = self.order;
        require((1..=3).contains(&order), "order", || format!("of DpmSolverPp must be 1, 2 or 3, got {order}"))?;
        require_eta(self.eta)
    }
}

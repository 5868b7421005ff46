//! Steps of samplers against their formulas, written a second time by hand and with the same noise: details that laws of whole
//! trajectories do not determine.
use crate::common::{final_point, gap, latents, mixture};
use burn::tensor::{DType, Device, Tensor};
use std::cell::RefCell;
use tweedie::{
    Dual, Rng,
    denoise::Denoiser,
    exact::Mixture,
    noise::{Estimate, Gaussian, Noise},
    sample::*,
    schedule::{Edm, FlowMatching, Linear, OrnsteinUhlenbeck, Scales, Schedule, VariancePreserving},
};

/// Data under a schedule, and what the formulas speak of.
struct Hand<S> {
    path: S,
    model: Mixture,
}
impl<S: Schedule + Clone + 'static> Hand<S> {
    fn new(path: S) -> Self {
        Self { model: mixture(Gaussian::new(path.clone())), path }
    }
    fn at(&self, t: f64) -> Scales {
        self.path.at(t)
    }
    fn ratio(&self, t: f64) -> f64 {
        self.at(t).sigma / self.at(t).alpha
    }
    fn lambda(&self, t: f64) -> f64 {
        -self.ratio(t).ln()
    }
    /// The time of σ/α.
    fn time(&self, ratio: f64) -> f64 {
        self.path.time_at_log_snr(-2.0 * ratio.ln())
    }
    fn x(&self, z: &Tensor<2>, t: f64) -> Tensor<2> {
        self.model.denoise(z.clone(), &[t]).mean
    }
    fn eps(&self, z: &Tensor<2>, t: f64) -> Tensor<2> {
        (z.clone() - self.x(z, t) * self.at(t).alpha) / self.at(t).sigma
    }
    /// Euler's step in σ/α, on ε̂.
    fn euler(&self, z: &Tensor<2>, eps: Tensor<2>, t: f64, s: f64) -> Tensor<2> {
        (z.clone() / self.at(t).alpha + eps * (self.ratio(s) - self.ratio(t))) * self.at(s).alpha
    }
    /// Heun's step in σ/α.
    fn heun(&self, z: &Tensor<2>, t: f64, s: f64) -> Tensor<2> {
        let first = self.eps(z, t);
        let second = self.eps(&self.euler(z, first.clone(), t, s), s);
        self.euler(z, (first + second) / 2.0, t, s)
    }
    /// A step of a sampler, and how far it is from another's.
    fn off(&self, sampler: &dyn Sampler<2>, t: f64, s: f64, other: Tensor<2>) -> f64 {
        gap(sampler.step(&self.model, latents(), TimeStep::new(t, s), &mut Rng::new(4)), other)
    }
}

/// The k-th normal of the stream of [`Hand::off`].
fn xi(k: usize) -> Tensor<2> {
    let mut rng = Rng::new(4);
    let mut next = || rng.normal_tensor(latents().dims(), &Device::flex(), DType::F64);
    (0..k).for_each(|_| drop(next()));
    next()
}

const NEAR: f64 = 1e-12;

/// x_s = α_s x̂ + √(σ_s² − c²) ε̂ + c ξ, c = η √(posterior's variance).
#[test]
fn eta_scales_the_posteriors_standard_deviation() {
    let hand = Hand::new(Linear::new(100));
    let (t, s, eta) = (0.7, 0.4, 0.5);
    let (from, to) = (hand.at(t), hand.at(s));
    let posterior = hand.model.noise().posterior(latents(), latents(), &[s], &[t]).std();
    let c = eta * posterior.into_scalar::<f64>();
    let kept = (to.sigma * to.sigma - c * c).sqrt();
    let end = hand.x(&latents(), t) * to.alpha + hand.eps(&latents(), t) * kept + xi(0) * c;
    assert!(hand.off(&Ddim { eta }, t, s, end.clone()) < NEAR);
    // k-diffusion's `get_ancestral_step`, of noise that is not scaled.
    let (r, q) = (hand.ratio(t), hand.ratio(s));
    let up = q.min(eta * (q * q * (r * r - q * q) / (r * r)).sqrt());
    let down = (q * q - up * up).sqrt();
    let other = (latents() / from.alpha + hand.eps(&latents(), t) * (down - r) + xi(0) * up) * to.alpha;
    assert!(hand.off(&EulerAncestral { eta }, t, s, other.clone()) < NEAR && gap(end, other) < NEAR);
}

#[test]
fn dpm_solver_pp_2m_sde_is_its_formula() {
    let hand = Hand::new(VariancePreserving::default());
    let (u, t, s, eta) = (0.8, 0.65, 0.45, 0.5);
    let (from, to) = (hand.at(t), hand.at(s));
    let sampler = DpmSolverPp { order: 2, eta, lower_final: false };
    let (mut state, mut rng) = (Sampler::start(&sampler, hand.model.noise()).unwrap(), Rng::new(4));
    let before = latents();
    let [first, second] = [0, 1].map(|i| TimeStep { t: [u, t][i], s: [t, s][i], index: i, count: 2 });
    let z = state.step(&hand.model, before.clone(), first, &mut rng);
    let ours = state.step(&hand.model, z.clone(), second, &mut rng);
    let h = hand.lambda(s) - hand.lambda(t);
    let r = (hand.lambda(t) - hand.lambda(u)) / h;
    let output = hand.x(&z, t) * (1.0 + 0.5 / r) - hand.x(&before, u) * (0.5 / r);
    let end = z * (to.sigma / from.sigma * (-eta * h).exp())
        + output * (to.alpha * (1.0 - (-(1.0 + eta) * h).exp()))
        + xi(1) * (to.sigma * (1.0 - (-2.0 * eta * h).exp()).sqrt());
    assert!(gap(ours, end) < NEAR);
    // And its first step, of one output.
    let (from, to, h) = (hand.at(u), hand.at(t), hand.lambda(t) - hand.lambda(u));
    let end = before.clone() * (to.sigma / from.sigma * (-eta * h).exp())
        + hand.x(&before, u) * (to.alpha * (1.0 - (-(1.0 + eta) * h).exp()))
        + xi(0) * (to.sigma * (1.0 - (-2.0 * eta * h).exp()).sqrt());
    assert!(hand.off(&sampler, u, t, end) < NEAR);
}

/// UniP-2 and UniC-1 on x̂: x_s = (σ_s/σ_t) x_t − α_s (e^(−h) − 1) x̂_t − α_s B(−h) D, D = ½ (x̂_u − x̂_t)/r.
#[test]
fn unipc_is_its_formula_with_either_b() {
    let hand = Hand::new(VariancePreserving::default());
    let (u, t, s) = (0.8, 0.65, 0.45);
    for (variant, b) in [(UniPcVariant::Bh1, (|h| h) as fn(f64) -> f64), (UniPcVariant::Bh2, |h: f64| h.exp() - 1.0)] {
        for corrector in [false, true] {
            let sampler = UniPc { order: 2, variant, corrector, ..UniPc::default() };
            let (mut state, mut rng) = (Sampler::start(&sampler, hand.model.noise()).unwrap(), Rng::new(0));
            let ahead = state.step(&hand.model, latents(), TimeStep::new(u, t), &mut rng);
            let ours = state.step(&hand.model, ahead, TimeStep::new(t, s), &mut rng);
            let step = |z: Tensor<2>, t: f64, s: f64, output: Tensor<2>, difference: Tensor<2>| {
                let h = hand.lambda(s) - hand.lambda(t);
                z * (hand.at(s).sigma / hand.at(t).sigma)
                    - output * (hand.at(s).alpha * ((-h).exp() - 1.0))
                    - difference * (hand.at(s).alpha * b(-h) * 0.5)
            };
            let first = hand.x(&latents(), u);
            let ahead = step(latents(), u, t, first.clone(), first.zeros_like());
            let output = hand.x(&ahead, t);
            // The corrector uses x̂ at the predicted point; there is no evaluation at the corrected one.
            let z =
                if corrector { step(latents(), u, t, first.clone(), output.clone() - first.clone()) } else { ahead };
            let r = (hand.lambda(u) - hand.lambda(t)) / (hand.lambda(s) - hand.lambda(t));
            let end = step(z, t, s, output.clone(), (first - output) / r);
            let error = gap(ours, end);
            assert!(error < NEAR, "{variant:?}, {corrector}: {error:.2e}");
        }
    }
}

/// Algorithm 1 of Xu et al. in noise levels: x ← x + √(high² − low²) ξ, K times, and down again.
#[test]
fn restart_is_algorithm_1() {
    let sampler = Restart { low: 0.4, high: 1.5, repeats: 2, steps: 2, variable: Variable::Ratio };
    let hand = Hand::new(VariancePreserving::default());
    let (t, s) = (hand.time(0.7), hand.time(0.2));
    let (low, high, middle) = (hand.time(0.4), hand.time(1.5), hand.time((0.4_f64 * 1.5).sqrt()));
    let mut z = hand.heun(&latents(), t, low);
    for k in 0..2 {
        let raised = z / hand.at(low).alpha + xi(k) * (1.5_f64.powi(2) - 0.4_f64.powi(2)).sqrt();
        z = hand.heun(&(raised * hand.at(high).alpha), high, middle);
        z = hand.heun(&z, middle, low);
    }
    z = hand.heun(&z, low, s);
    assert!(hand.off(&sampler, t, s, z) < NEAR);
    // Above and below it is Heun's.
    let other = hand.heun(&latents(), high, t);
    assert!(hand.off(&sampler, high, t, other) < NEAR);
    // The network evaluations are as documented.
    let counted = Counted { model: &hand.model, evaluated: RefCell::new(vec![]) };
    sampler.step(&counted, latents(), TimeStep::new(t, s), &mut Rng::new(4));
    let nfe = Sampler::<2>::properties(&sampler).nfe_per_step;
    assert_eq!(counted.evaluated.into_inner().len(), nfe + 2 * 2 * 2 + 2);
}

/// Where the schedule ends below `high`, its end is as high as it goes.
#[test]
fn restart_is_raised_to_the_end_of_the_schedule_at_most() {
    let edm = Edm { sigma_min: 0.02, sigma_max: 3.0, rho: 7.0 };
    let hand = Hand::new(edm);
    let with = |high| Restart { low: 0.4, high, repeats: 1, steps: 3, variable: Variable::Ratio };
    let (t, s) = (hand.time(0.7), hand.time(0.2));
    let (end, above) = (with(3.0), with(1e9));
    let step = |sampler: Restart| sampler.step(&hand.model, latents(), TimeStep::new(t, s), &mut Rng::new(4));
    assert!(gap(step(end), step(above)) < NEAR);
    // One that ends below `low` never restarts.
    let heun = hand.heun(&latents(), t, s);
    assert!(hand.off(&Restart { low: 5.0, ..with(9.0) }, t, s, heun) < NEAR);
}

/// A model that records the times of its evaluations.
struct Counted<'a> {
    model: &'a Mixture,
    evaluated: RefCell<Vec<f64>>,
}
impl Denoiser<2> for Counted<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        Denoiser::<2>::noise(self.model)
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.evaluated.borrow_mut().push(t[0]);
        self.model.denoise(z, t)
    }
}

/// Adams and Bashforth's rows for even steps; PLMS begins with Heun's step and remembers the ε̂ of its start.
#[test]
fn pseudo_multistep_methods_average_as_adams_and_bashforth_do() {
    let hand = Hand::new(OrnsteinUhlenbeck {});
    let times = [0.9, 0.8, 0.65, 0.5, 0.35];
    let rows: [&[f64]; 4] = [
        &[1.0],
        &[3.0 / 2.0, -1.0 / 2.0],
        &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
        &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
    ];
    let by_hand = |most: usize, warm: bool| {
        let (mut z, mut outputs) = (latents(), vec![]);
        for (i, pair) in times.windows(2).enumerate() {
            outputs.insert(0, hand.eps(&z, pair[0]));
            if warm && i == 0 {
                z = hand.heun(&z, pair[0], pair[1]);
                continue;
            }
            let row = rows[(i + 1).min(most) - 1];
            let mean = row.iter().zip(&outputs).map(|(w, output)| output.clone() * *w).reduce(|a, b| a + b).unwrap();
            z = hand.euler(&z, mean, pair[0], pair[1]);
        }
        z
    };
    for order in 1..=4 {
        let error = gap(
            final_point(&Ipndm { order, ..Ipndm::default() }, &hand.model, &times, latents()),
            by_hand(order, false),
        );
        assert!(error < NEAR, "{order}: {error:.2e}");
    }
    let error = gap(final_point(&Plms { variable: Variable::Ratio }, &hand.model, &times, latents()), by_hand(4, true));
    assert!(error < NEAR, "PLMS: {error:.2e}");
}

/// dz = [f z + g² ε̂/σ] dt + g dw, on schedules that preserve variance and that do not.
#[test]
fn sde_steps_are_euler_maruyamas_and_heuns() {
    fn check(hand: &Hand<impl Schedule + Clone + 'static>) {
        let (t, s) = (0.7, 0.6);
        let drift = |z: &Tensor<2>, t: f64| {
            let c = hand.at(t);
            // f = α′/α and g² = (σ²)′ − 2 f σ².
            let f = c.alpha_dot / c.alpha;
            let g2 = 2.0 * c.sigma * c.sigma_dot - 2.0 * f * c.sigma.powi(2);
            (z.clone() * f + hand.eps(z, t) * (g2 / c.sigma), g2)
        };
        let (first, g2) = drift(&latents(), t);
        let root = (t - s).sqrt();
        let ahead = latents() - first.clone() * (t - s) + xi(0) * (g2.sqrt() * root);
        assert!(hand.off(&EulerMaruyama {}, t, s, ahead.clone()) < NEAR, "{:?}", hand.path);
        let (second, other) = drift(&ahead, s);
        let end = latents() - (first + second) * (0.5 * (t - s)) + xi(0) * ((0.5 * (g2 + other)).sqrt() * root);
        assert!(hand.off(&SdeHeun {}, t, s, end) < NEAR, "{:?}", hand.path);
    }
    check(&Hand::new(VariancePreserving::default()));
    check(&Hand::new(FlowMatching {}));
    check(&Hand::new(Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 }));
}

/// z ← z + δ ∇ln q + √(2δ) ξ with ∇ln q = −ε̂/σ and δ = 2 (snr σ)², `corrections` times.
#[test]
fn corrections_are_langevin_steps() {
    let hand = Hand::new(FlowMatching {});
    let (t, s, snr) = (0.7, 0.5, 0.16);
    let sigma = hand.at(s).sigma;
    let delta = 2.0 * (snr * sigma).powi(2);
    let mut z = Ancestral {}.step(&hand.model, latents(), TimeStep::new(t, s), &mut Rng::new(4));
    for k in 1..=2 {
        z = z.clone() - hand.eps(&z, s) * (delta / sigma) + xi(k) * (2.0 * delta).sqrt();
    }
    assert!(hand.off(&PredictorCorrector { snr, corrections: 2 }, t, s, z) < NEAR);
}

/// γ is S_churn over the number of steps, however many are left; fresh noise is √(σ̂² − σ²) strong in noise levels.
#[test]
fn s_churn_is_divided_by_the_number_of_steps() {
    let hand = Hand::new(VariancePreserving::default());
    let churn = Churn { s_churn: 2.0, s_tmin: 0.0, s_tmax: f64::INFINITY, s_noise: 1.1, variable: Variable::Ratio };
    let (t, s) = (0.6, 0.5);
    let seventh = TimeStep { t, s, index: 6, count: 10 };
    let ours = churn.step(&hand.model, latents(), seventh, &mut Rng::new(4));
    let (level, raised) = (hand.ratio(t), hand.ratio(t) * (1.0 + 2.0 / 10.0));
    let above = hand.time(raised);
    let z = latents() / hand.at(t).alpha + xi(0) * (1.1 * (raised * raised - level * level).sqrt());
    let end = hand.heun(&(z * hand.at(above).alpha), above, s);
    assert!(gap(ours, end) < 1e-11);
}

/// α and σ so many times larger: the same process in other units.
#[derive(Clone, Debug)]
struct Units<S>(S, f64);
impl<S: Schedule> Schedule for Units<S> {
    fn alpha(&self, t: Dual) -> Dual {
        self.0.alpha(t) * self.1
    }
    fn sigma(&self, t: Dual) -> Dual {
        self.0.sigma(t) * self.1
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        self.0.time_at_log_snr(log_snr)
    }
}

/// A relative tolerance is one of z, in whatever units: the steps are the same and so are the errors.
#[test]
fn a_relative_tolerance_is_relative_to_z() {
    let sampler = DormandPrince { absolute: 1e-12, relative: 1e-5, ..DormandPrince::default() };
    let run = |units: f64| {
        let model = mixture(Gaussian::new(Units(VariancePreserving::default(), units)));
        let counted = Counted { model: &model, evaluated: RefCell::new(vec![]) };
        let start = latents() * units;
        let end = sampler.step(&counted, start.clone(), TimeStep::new(0.9, 0.2), &mut Rng::new(0));
        let exact = model.flow(start, 0.9, 0.2);
        (counted.evaluated.into_inner(), gap(end / units, exact / units))
    };
    let ((one, error), (large, same)) = (run(1.0), run(100.0));
    assert_eq!(one.len(), large.len());
    assert!(error < 1e-4 && (error - same).abs() < 1e-9, "{error:.1e} {same:.1e}");
}

/// NaN from a network makes x_s NaN, without a panic.
#[test]
fn an_adaptive_step_of_nan_is_nan() {
    let hand = Hand::new(VariancePreserving::default());
    let start = latents() * f64::NAN;
    let end = DormandPrince::default().step(&hand.model, start, TimeStep::new(0.9, 0.2), &mut Rng::new(0));
    assert!(crate::common::numbers(end).iter().all(|x| x.is_nan()));
}

/// Where α′ is infinite the drift is, and a step from there or to there is a sample of p(x_s | x_t).
#[test]
fn a_step_to_infinite_drift_samples_the_reverse_transition() {
    /// Its slope is infinite at ½.
    #[derive(Clone, Debug)]
    struct Steep;
    impl Schedule for Steep {
        fn alpha(&self, t: Dual) -> Dual {
            let root = (if t.value > 0.5 { 2.0 * t - 1.0 } else { 1.0 - 2.0 * t }).sqrt();
            if t.value > 0.5 { 0.5 - 0.4 * root } else { 0.5 + 0.4 * root }
        }
    }
    let hand = Hand::new(Steep);
    for (t, s) in [(0.8, 0.5), (0.5, 0.3)] {
        let own = Ancestral {}.step(&hand.model, latents(), TimeStep::new(t, s), &mut Rng::new(4));
        assert_eq!(hand.off(&SdeHeun {}, t, s, own.clone()), 0.0);
        assert!(crate::common::numbers(own).iter().all(|x| x.is_finite()));
    }
}

/// Data without noise have no ε̂: an inversion begins from that of α x, so x_t = α x + σ ε̂(α x).
#[test]
fn inversion_from_data_starts_with_the_noise_estimate_of_alpha_x() {
    let hand = Hand::new(FlowMatching {});
    let (x, t) = (latents(), 0.05);
    let start = x.clone() * hand.at(t).alpha;
    let end = start.clone() + hand.eps(&start, t) * hand.at(t).sigma;
    assert!(gap(invert(&hand.model, &[0.0, t], x, 1).unwrap(), end) < NEAR);
}

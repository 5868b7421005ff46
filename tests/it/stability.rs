//! Samplers where they are at their worst: few steps, schedules that end without signal, outputs that are not smooth.
use crate::common::{device, gap, numbers};
use burn::tensor::{DType, Tensor};
use std::cell::Cell;
use tweedie::{
    Rng,
    denoise::{Clamped, Denoiser},
    laws,
    model::Model,
    net::{Conditions, MlpConfig},
    noise::{Estimate, Gaussian, Noise, Prediction},
    sample::*,
    schedule::{Cosine, FlowMatching, Linear, OrnsteinUhlenbeck, Schedule, VariancePreserving},
    spacing::{Karras, Levels, Spacing, Uniform},
};

const LAW: &str = "at 10 steps or more the error is at most three times DDIM's at equal NFE";

/// A sampler under another name, which declares nothing.
#[derive(Debug)]
struct Silent<S>(S);
impl<S: Sampler<2>> Sampler<2> for Silent<S> {
    fn properties(&self) -> Properties {
        self.0.properties()
    }
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        self.0.step(model, z, at, rng)
    }
}

/// A multistep method that declares nothing.
#[derive(Debug)]
struct Undeclared(AdamsBashforth);
impl Sampler<2> for Undeclared {
    fn properties(&self) -> Properties {
        Sampler::<2>::properties(&self.0)
    }
    fn start(&self, noise: &dyn Noise<2>) -> tweedie::Result<Box<dyn SamplerState<2> + '_>> {
        self.0.start(noise)
    }
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        self.0.step(model, z, at, rng)
    }
}

#[test]
fn a_sampler_that_explodes_is_unfit_or_fails_the_law() {
    let named = |sampler: &dyn Sampler<2>| {
        let checks = laws::robustness(sampler);
        // What is unfit everywhere is not measured.
        let check = checks.into_iter().find(|check| check.law == LAW);
        check.filter(|check| !check.holds()).map_or_else(String::new, |check| check.place)
    };
    for sampler in [&Heun { variable: Variable::Ratio } as &dyn Sampler<2>, &Plms { variable: Variable::Ratio }] {
        assert_eq!(named(sampler), "", "{sampler:?}");
    }
    let heun = named(&Silent(Heun { variable: Variable::Ratio }));
    assert!(heun.starts_with("cosine, "), "{heun}");
    let time = named(&Silent(Heun { variable: Variable::Time }));
    // Wherever the rate of change grows without bound towards t = 1.
    assert!(["ornstein-uhlenbeck, ", "variance-exploding, "].iter().any(|name| time.starts_with(name)), "{time}");
    // What is unfit says where and why.
    let cosine = Gaussian::new(Cosine::new(1000));
    let unfit = |sampler: &dyn Sampler<2>| sampler.unfit(&cosine, &even(20));
    let why = unfit(&Heun { variable: Variable::Ratio }).unwrap();
    assert!(why.contains("from 20,291 to 13") && why.contains("`variable = \"angle\"`"), "{why}");
    assert_eq!(unfit(&Heun::default()), None);
    // On noise levels made for it, it fits.
    let karras = Karras { min: 0.01, max: 20_000.0, rho: 7.0 }.on(Cosine::new(1000)).grid(20);
    assert_eq!(Sampler::<2>::unfit(&Heun { variable: Variable::Ratio }, &cosine, &karras), None);
    // A corrector on ε̂ fails there too, if it does not say so, and polynomials through many outputs do.
    let adams = |order, corrector| AdamsBashforth { order, corrector, ..AdamsBashforth::default() };
    for sampler in [adams(2, true), adams(6, false)] {
        assert_eq!(named(&sampler), "", "{sampler:?}");
        assert_ne!(named(&Undeclared(sampler)), "", "{sampler:?}");
    }
    let long = Multistep::unfit(&Etd { order: 5 }, &Cosine::new(1000), &even(20)).unwrap();
    assert!(long.contains("a polynomial through 5 outputs needs 100 steps or more: use 3 or fewer"), "{long}");
    assert_eq!(Multistep::unfit(&Etd { order: 5 }, &Cosine::new(1000), &even(100)), None);
}

/// The declaration is not an excuse: every built-in sampler with default settings is fit for every built-in schedule.
#[test]
fn default_samplers_are_fit_for_every_schedule() {
    let samplers: [&dyn Sampler<2>; 8] = [
        &Euler::default(),
        &Heun::default(),
        &Dpm2::default(),
        &Plms::default(),
        &Pndm::default(),
        &Ipndm::default(),
        &Churn::default(),
        &Restart::default(),
    ];
    for sampler in samplers {
        for (name, schedule) in laws::schedules() {
            assert_eq!(sampler.unfit(&Gaussian::new(schedule), &even(10)), None, "{sampler:?}, {name}");
        }
    }
}

fn even(steps: usize) -> Vec<f64> {
    Uniform::default().grid(steps)
}

fn diagnosed(sampler: &dyn Sampler<2>, model: &dyn Denoiser<2>, steps: usize) -> Diagnosis {
    let rng = Rng::new(1);
    let mut steps = trajectory(model, sampler, even(steps), [64, 2], &rng, &device()).unwrap().within(-3.5, 3.5);
    steps.by_ref().last().unwrap();
    steps.diagnosis()
}

#[test]
fn a_trajectory_knows_that_it_left_the_range_of_diffused_data() {
    let model = laws::problem(Cosine::new(1000));
    let clipped = Clamped { model: laws::problem(Cosine::new(1000)), low: -3.5, high: 3.5 };
    for model in [&model as &dyn Denoiser<2>, &clipped] {
        let bad = diagnosed(&Heun { variable: Variable::Ratio }, model, 10);
        assert!(bad.growth > 1.5 * bad.allowed && bad.growth_time < 1.0, "{bad:?}");
        let problems = bad.problems().join("; ");
        assert!(problems.contains("times as large as diffused data can be"), "{problems}");
        assert!(problems.contains("use `variable = \"angle\"`"), "{problems}");
        for sampler in [&Heun::default() as &dyn Sampler<2>, &Ddim::default(), &Deis::default(), &Ancestral {}] {
            let good = diagnosed(sampler, model, 10);
            assert!(good.problems().is_empty() && good.values == 128 && !good.diverged(), "{sampler:?}: {good:?}");
        }
    }
}

#[test]
fn diagnoses_of_batches_add_up() {
    let one = |outside: usize, growth: f64| {
        let mut one = Diagnosis::default();
        (one.values, one.outside, one.growth, one.allowed) = (100, outside, growth, 1.3);
        one
    };
    let both = one(3, 0.9).and(one(0, 2.0));
    assert_eq!((both.values, both.outside, both.growth), (200, 3, 2.0));
    assert!(both.diverged() && both.problems().len() == 2, "{:?}", both.problems());
    assert!(one(1, 1.0).problems().is_empty());
}

/// A sampler that returns five times DDIM's step.
#[derive(Debug)]
struct TooFar;
impl Sampler<2> for TooFar {
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        Ddim::default().step(model, z, at, rng) * 5.0
    }
}

#[test]
fn a_model_refuses_samples_that_cannot_be_data() {
    let noise = Gaussian::new(Cosine::new(100)).with_prediction(Prediction::V);
    let net = MlpConfig::new(2).init(&Rng::new(0), &device()).unwrap();
    let model = Model::new(noise, net).unwrap().with_range(-1.0, 1.0);
    let sample = |sampler: &dyn Sampler<2>| model.sample(sampler, 10, [8, 2], &Conditions::none(), &Rng::new(0));
    assert!(sample(&Ddim::default()).is_ok() && sample(&Heun::default()).is_ok());
    let error = sample(&TooFar).unwrap_err().to_string();
    assert!(error.contains("the sampler diverged: ") && error.contains("outside the data range"), "{error}");
    // They can be had nevertheless.
    let (x, diagnosis) = model.sample_with_diagnosis(&TooFar, 10, [8, 2], &Conditions::none(), &Rng::new(0)).unwrap();
    assert!(diagnosis.outside > 0 && x.dims() == [8, 2]);
}

#[test]
fn a_start_from_noise_where_signal_is_left_is_told() {
    let told = |schedule: Linear, first: f64| {
        let model = laws::problem(schedule);
        let steps = trajectory(&model, &Ddim { eta: 0.0 }, vec![first, 0.0], [4, 2], &Rng::new(0), &device());
        steps.unwrap().diagnosis().problems().join("; ")
    };
    assert_eq!(told(Linear::new(1000), 1.0), "");
    let told_of_100 = told(Linear::new(100), 1.0);
    assert!(told_of_100.contains("60 % of the signal is left") && told_of_100.contains("`zero-terminal`"));
    assert!(told(Linear::new(1000), 0.3).contains("signal is left"));
    // A given x_t is not noise.
    let model = laws::problem(Linear::new(100));
    let z = laws::plane(&[[0.1, 0.2]]);
    let ddim = Ddim::default();
    let given = trajectory_from(&model, &ddim, vec![1.0, 0.0], z, &Rng::new(0)).unwrap();
    assert!(given.diagnosis().problems().is_empty());
}

/// `z ← z + (s − t) ½ (u_t + u_s)`, u = ε̂ − x̂, as flow-matching codes write it.
#[test]
fn heun_in_time_is_heuns_method_on_the_velocity() {
    let model = laws::problem(FlowMatching {});
    let velocity = |z: &Tensor<2>, t: f64| {
        let x = model.denoise(z.clone(), &[t]).mean;
        (z.clone() - x) / t
    };
    let z = laws::plane(&[[0.3, -1.0], [1.2, 0.4]]);
    let (t, s) = (0.7, 0.45);
    let first = velocity(&z, t);
    let second = velocity(&(z.clone() + first.clone() * (s - t)), s);
    let goal = z.clone() + (first.clone() + second) * (0.5 * (s - t));
    let ours = Heun { variable: Variable::Time }.step(&model, z.clone(), TimeStep::new(t, s), &mut Rng::new(0));
    assert!(gap(ours, goal) < 1e-12);
    let middle = 0.5 * (t + s);
    let goal = z.clone() + velocity(&(z.clone() + first * (middle - t)), middle) * (s - t);
    let ours = Dpm2 { variable: Variable::Time }.step(&model, z, TimeStep::new(t, s), &mut Rng::new(0));
    assert!(gap(ours, goal) < 1e-12);
}

/// w = z/√(α² + σ²) and v̂ = (α ε̂ − σ x̂)/√(α² + σ²): `w ← w + (φ_s − φ_t) ½ (v̂_t + v̂_s)`.
#[test]
fn heun_in_the_angle_is_heuns_method_on_v() {
    let path = FlowMatching {};
    let model = laws::problem(path);
    let v = |w: &Tensor<2>, t: f64| {
        let c = path.at(t);
        let n = c.alpha.hypot(c.sigma);
        let z = w.clone() * n;
        let x = model.denoise(z.clone(), &[t]).mean;
        let eps = (z - x.clone() * c.alpha) / c.sigma;
        (eps * c.alpha - x * c.sigma) / n
    };
    let (t, s) = (1.0, 0.45);
    let [(n, from), (m, to)] = [t, s].map(|t| {
        let c = path.at(t);
        (c.alpha.hypot(c.sigma), c.sigma.atan2(c.alpha))
    });
    let w = laws::plane(&[[0.3, -1.0], [1.2, 0.4]]);
    let first = v(&w, t);
    let second = v(&(w.clone() + first.clone() * (to - from)), s);
    let goal = (w.clone() + (first + second) * (0.5 * (to - from))) * m;
    let ours = Heun::default().step(&model, w * n, TimeStep::new(t, s), &mut Rng::new(0));
    assert!(gap(ours, goal) < 1e-12);
}

/// A row on its own has the bits of the row in a batch, in single precision, on times of their own.
#[test]
fn rows_of_an_adaptive_solver_have_the_same_bits_in_any_batch() {
    for model in [laws::problem(VariancePreserving::default()), laws::problem(FlowMatching {})] {
        let start: Tensor<2> = Rng::new(3).normal_tensor([6, 2], &device(), DType::F32);
        let sampler = DormandPrince::default();
        let run = |z: Tensor<2>| {
            let steps = trajectory_from(&model, &sampler, vec![1.0, 0.6, 0.3, 0.0], z, &Rng::new(0)).unwrap();
            numbers(steps.last().unwrap().1)
        };
        let all = run(start.clone());
        for rows in [0..1, 3..4, 2..5] {
            let some = run(start.clone().narrow(0, rows.start, rows.len()));
            assert_eq!(some, all[2 * rows.start..2 * rows.end], "{rows:?}");
        }
    }
}

/// A model whose x̂ oscillates too fast to be followed in some rows.
struct Rough<'a> {
    model: &'a dyn Denoiser<2>,
    evaluations: Cell<usize>,
}
impl Denoiser<2> for Rough<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.evaluations.set(self.evaluations.get() + 1);
        let x = self.model.denoise(z.clone(), t).mean;
        // In all rows but the first.
        let rough = (z * 1e6).sin() * 3.0;
        Tensor::cat(vec![x.clone().narrow(0, 0, 1), rough.narrow(0, 1, x.dims()[0] - 1)], 0).into()
    }
}

#[test]
fn an_adaptive_solver_gives_rough_rows_up_and_says_so() {
    let model = laws::problem(OrnsteinUhlenbeck {});
    let rough = Rough { model: &model, evaluations: Cell::new(0) };
    let sampler = DormandPrince { max_steps: 300, ..DormandPrince::default() };
    let start: Tensor<2> = Rng::new(3).normal_tensor([3, 2], &device(), DType::F64);
    let mut steps = trajectory_from(&rough, &sampler, even(20), start.clone(), &Rng::new(0)).unwrap();
    let x = numbers(steps.by_ref().last().unwrap().1);
    assert!(x[..2].iter().all(|x| x.is_finite()) && x[2..].iter().any(|x| x.is_nan()), "{x:?}");
    assert!(rough.evaluations.get() < 2 * 300 * 6, "{}", rough.evaluations.get());
    let diagnosis = steps.diagnosis();
    let failure = diagnosis.failure.clone().expect("rows were given up");
    assert!(failure.contains("the adaptive solver gave up") && failure.contains("max_steps = 300"), "{failure}");
    assert!(diagnosis.diverged() && diagnosis.problems().contains(&failure));
    // The first row is what it is without the others.
    let alone = trajectory_from(&model, &sampler, even(20), start.narrow(0, 0, 1), &Rng::new(0)).unwrap();
    assert_eq!(numbers(alone.last().unwrap().1), x[..2]);
}

/// Multistep methods whose weights a hurried engineer wrote.
#[derive(Debug)]
enum Slip {
    /// The difference of second order halved.
    Half,
    /// An exponential Adams–Bashforth method of three outputs that uses one.
    First,
    /// The weights of three outputs from the second on shifted by half.
    Third,
}
impl Multistep for Slip {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(SolverPrediction::X0, Variable::LogSnr)
    }
    fn history_len(&self) -> usize {
        if matches!(self, Self::Half) { 2 } else { 3 }
    }
    fn weights(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        let mut weights = self.integral().weights(schedule, points, points[0], to);
        let all: f64 = weights.iter().sum();
        let last = weights.len() - 1;
        match self {
            Self::First => weights.iter_mut().enumerate().for_each(|(i, w)| *w = if i == 0 { all } else { 0.0 }),
            _ if last == 0 => {}
            Self::Half | Self::Third => {
                let half = 0.5 * weights[last];
                weights[last] -= half;
                weights[0] += half;
            }
        }
        weights
    }
}

#[test]
fn slips_in_multistep_weights_fail_the_law_of_order() {
    for (slip, found) in [(Slip::Half, 1.0), (Slip::First, 1.0), (Slip::Third, 1.0)] {
        let checks = laws::convergence(&slip);
        let order = checks.iter().find(|check| check.compared.is_some()).expect("an order is declared");
        let measured = order.compared.unwrap().found;
        assert!(!order.holds() && (measured - found).abs() < 0.2, "{slip:?}: {order}");
    }
}

/// DDIM whose noise has the standard deviation of η² of the posterior's, and whose ε̂ fits it or does not.
#[derive(Debug)]
struct WrongEta {
    consistent: bool,
}
impl Sampler<2> for WrongEta {
    fn properties(&self) -> Properties {
        Properties { eta: Some(0.5), ..Properties::sde(1, 1) }
    }
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        if self.consistent {
            return Ddim { eta: 0.25 }.step(model, z, at, rng);
        }
        // The noise of η = ½ on the ε̂ of η = 0.
        let (from, to) = at.ends(gaussian_schedule(model));
        let rest = 1.0 - (from.scales.alpha * to.scales.sigma / (to.scales.alpha * from.scales.sigma)).powi(2);
        let xi = noise_like(rng, &z);
        Evaluation::new(model, z, from).euler(to.scales) + xi * (0.5 * to.scales.sigma * rest.sqrt())
    }
}

#[test]
fn a_wrong_standard_deviation_of_ddims_noise_fails_a_law() {
    let failed = |sampler: &dyn Sampler<2>| -> Vec<&str> {
        laws::convergence(sampler).iter().filter(|check| !check.holds()).map(|check| check.law).collect()
    };
    assert_eq!(failed(&Ddim { eta: 0.5 }), [""; 0]);
    let law = "a step adds noise of η times the posterior's standard deviation";
    assert_eq!(failed(&WrongEta { consistent: true }), [law]);
    assert!(failed(&WrongEta { consistent: false }).contains(&"mean and variance converge to those of x_t"));
}

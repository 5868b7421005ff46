//! Errors of deterministic samplers at few steps, on every built-in schedule.
use super::{
    Check, Checks,
    order::{latents, model_noise, problem},
};
use crate::{
    denoise::Denoiser,
    distribution::host,
    exact::Mixture,
    noise::{Estimate, Noise},
    rng::Rng,
    sample::{Ddim, DormandPrince, Sampler, trajectory_from},
    schedule::{
        Constant, Cosine, CosineAngle, Decaying, Edm, FlowMatching, Jsd, Laplace, Linear, OrnsteinUhlenbeck,
        Polynomial, ScaledLinear, Schedule, Sigmoid, SigmoidSignal, Sqrt, SubVariancePreserving, VarianceExploding,
        VariancePreserving, ZeroTerminal,
    },
};
use burn::tensor::Tensor;
use std::{
    cell::Cell,
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The built-in schedules of continuous data with their default settings, by their names in recipes.
///
/// ```
/// use tweedie::laws;
/// assert!(laws::schedules().iter().any(|(name, _)| *name == "flow-matching"));
/// ```
pub fn schedules() -> Vec<(&'static str, Arc<dyn Schedule>)> {
    vec![
        ("linear", Arc::new(Linear::default())),
        ("cosine", Arc::new(Cosine::default())),
        ("sqrt", Arc::new(Sqrt::default())),
        ("constant", Arc::new(Constant::default())),
        ("scaled-linear", Arc::new(ScaledLinear::default())),
        ("sigmoid", Arc::new(Sigmoid::default())),
        ("sigmoid-signal", Arc::new(SigmoidSignal::default())),
        ("laplace", Arc::new(Laplace::default())),
        ("polynomial", Arc::new(Polynomial::default())),
        ("jsd", Arc::new(Jsd::default())),
        ("flow-matching", Arc::new(FlowMatching {})),
        ("variance-preserving", Arc::new(VariancePreserving::default())),
        ("sub-variance-preserving", Arc::new(SubVariancePreserving::default())),
        ("variance-exploding", Arc::new(VarianceExploding::default())),
        ("edm", Arc::new(Edm::default())),
        ("ornstein-uhlenbeck", Arc::new(OrnsteinUhlenbeck {})),
        ("cosine-angle", Arc::new(CosineAngle {})),
        ("decaying", Arc::new(Decaying::default())),
        ("zero-terminal", Arc::new(ZeroTerminal(Linear::default()))),
    ]
}

/// Numbers of steps at which errors are compared.
const STEPS: [usize; 3] = [10, 20, 50];
/// How many times DDIM's error is allowed.
const ALLOWED: f64 = 3.0;

/// An exact problem with starts, the ends of the flow from them, and DDIM's errors by network evaluations.
struct Case {
    model: Mixture,
    start: Tensor<2>,
    end: Tensor<2>,
    ddim: Mutex<HashMap<usize, f64>>,
}
impl Case {
    fn new(schedule: Arc<dyn Schedule>) -> Self {
        let sigma = schedule.at(1.0).sigma;
        let (model, start) = (problem(schedule), latents(16, 23) * sigma);
        let exact = DormandPrince { absolute: 1e-8, relative: 1e-8, max_steps: 100_000 };
        let end = last(&model, &exact, 1, &start).0;
        Self { model, start, end, ddim: Mutex::default() }
    }
    /// The root mean square distance from the flow, and the network evaluations, of a trajectory of uniform steps.
    fn error(&self, sampler: &dyn Sampler<2>, steps: usize) -> (f64, usize) {
        let (end, nfe) = last(&self.model, sampler, steps, &self.start);
        (host((end - self.end.clone()).square().mean().sqrt())[0], nfe)
    }
    /// DDIM's error by as many network evaluations.
    fn ddim(&self, nfe: usize) -> f64 {
        let mut known = self.ddim.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(nfe).or_insert_with(|| {
            // The last evaluation may be that of x̂ at t = 0.
            let spare = model_noise(&self.model).path().is_some_and(|path| path.at(0.0).sigma > 0.0);
            self.error(&Ddim { eta: 0.0 }, (nfe - usize::from(spare)).max(1)).0
        })
    }
}

/// The end of a trajectory of uniform steps, and how many evaluations of the model it took.
fn last(model: &Mixture, sampler: &dyn Sampler<2>, steps: usize, start: &Tensor<2>) -> (Tensor<2>, usize) {
    let times = uniform(steps);
    let counted = Counted { model, evaluations: Cell::new(0) };
    let end = match trajectory_from(&counted, sampler, times, start.clone(), &Rng::new(0)) {
        Ok(trajectory) => trajectory.last().expect("a trajectory has points").1,
        Err(_) => start.clone() * f64::NAN,
    };
    (end, counted.evaluations.get())
}

/// Uniform timesteps.
fn uniform(steps: usize) -> Vec<f64> {
    (0..=steps).rev().map(|i| i as f64 / steps as f64).collect()
}

/// A model that counts its evaluations.
struct Counted<'a> {
    model: &'a Mixture,
    evaluations: Cell<usize>,
}
impl Denoiser<2> for Counted<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        model_noise(self.model)
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.evaluations.set(self.evaluations.get() + 1);
        self.model.denoise(z, t)
    }
}

/// Deterministic samplers at few steps: with 10, 20 and 50 uniform steps on each of the built-in [`schedules`] the error
/// is at most three times that of DDIM by as many network evaluations, unless the sampler [declares
/// itself unfit](Sampler::unfit) for the schedule and the timesteps.
///
/// The error is the root mean square distance of the final point from the solution of the probability-flow ODE, on the
/// exact model [`problem`](super::problem). Samplers that add noise are not measured.
///
/// ```
/// use tweedie::{laws, sample::{Heun, Variable}};
/// assert!(laws::robustness(&Heun::default()).iter().all(laws::Check::holds));
/// ```
pub fn robustness(sampler: &dyn Sampler<2>) -> Vec<Check> {
    static CASES: OnceLock<Vec<(&str, OnceLock<Case>)>> = OnceLock::new();
    let cases = CASES.get_or_init(|| schedules().into_iter().map(|(name, _)| (name, OnceLock::new())).collect());
    let mut checks = Checks::default();
    for ((name, case), (_, schedule)) in cases.iter().zip(schedules()) {
        compare(sampler, name, case.get_or_init(|| Case::new(schedule)), &mut checks);
    }
    checks.done()
}

/// [`robustness`] on one schedule.
pub fn robustness_on(sampler: &dyn Sampler<2>, name: &str, schedule: Arc<dyn Schedule>) -> Vec<Check> {
    let mut checks = Checks::default();
    compare(sampler, name, &Case::new(schedule), &mut checks);
    checks.done()
}

fn compare(sampler: &dyn Sampler<2>, name: &str, case: &Case, checks: &mut Checks) {
    let properties = sampler.properties();
    if !properties.is_deterministic() || properties.consistency {
        return;
    }
    let noise = model_noise(&case.model);
    if sampler.check(noise).is_err() {
        return;
    }
    for steps in STEPS {
        if sampler.unfit(noise, &uniform(steps)).is_some() {
            continue;
        }
        let (error, nfe) = case.error(sampler, steps);
        let law = "at 10 steps or more the error is at most three times DDIM's at equal NFE";
        let place = format!("{name}, {steps} steps, {nfe} NFE");
        checks.note(law, place, error / case.ddim(nfe), ALLOWED);
    }
}

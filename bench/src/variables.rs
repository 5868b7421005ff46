//! Measures the errors of samplers in each integration variable at few steps: `variables [FILTER]` measures those whose
//! name contains FILTER.
//!
//! On every built-in schedule, with 5, 10, 20 and 50 uniform steps, on exact mixtures of three Gaussians (`smooth`) and of
//! eight narrow ones (`sharp`) within [−1, 1], without and with x̂ clipped to a smaller range: the error, a root mean
//! square distance from the solution of the probability-flow ODE, over that of DDIM at equal network evaluations. Printed
//! are the geometric mean over the schedules, and the largest with its schedule.
use burn::tensor::{DType, Device, Tensor};
use std::{cell::Cell, collections::HashMap};
use tweedie::{
    Rng,
    denoise::{Clamped, Denoiser},
    exact::{ComponentCovariance, Mixture},
    laws,
    noise::{Estimate, Gaussian, Noise},
    sample::*,
};

const STEPS: [usize; 4] = [5, 10, 20, 50];

/// A model that counts its evaluations.
struct Counted<'a> {
    model: &'a dyn Denoiser<2>,
    evaluations: Cell<usize>,
}
impl Denoiser<2> for Counted<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.evaluations.set(self.evaluations.get() + 1);
        self.model.denoise(z, t)
    }
}

fn samplers() -> Vec<(String, Box<dyn Sampler<2>>)> {
    let mut all: Vec<(String, Box<dyn Sampler<2>>)> = vec![];
    for (name, variable) in [
        ("ratio", Variable::Ratio),
        ("log-snr", Variable::LogSnr),
        ("time", Variable::Time),
        ("angle", Variable::Angle),
    ] {
        all.push((format!("heun, {name}"), Box::new(Heun { variable })));
        all.push((format!("dpm2, {name}"), Box::new(Dpm2 { variable })));
        if variable != Variable::LogSnr {
            all.push((format!("ipndm, {name}"), Box::new(Ipndm { variable, ..Ipndm::default() })));
            all.push((format!("plms, {name}"), Box::new(Plms { variable })));
            all.push((format!("pndm, {name}"), Box::new(Pndm { variable })));
        }
        if matches!(variable, Variable::Time | Variable::Angle) {
            all.push((format!("euler, {name}"), Box::new(Euler { variable })));
            for order in [2, 3] {
                let prediction = SolverPrediction::Velocity;
                let adams = AdamsBashforth { order, prediction, variable, corrector: false };
                all.push((format!("adams {order} on the velocity, {name}"), Box::new(adams)));
            }
        }
    }
    all.push(("deis 3".into(), Box::new(Deis::default())));
    all.push(("dpm-solver++ 2M".into(), Box::new(DpmSolverPp::default())));
    all.push(("unipc 2".into(), Box::new(UniPc::default())));
    all.sort_by(|a, b| a.0.split(',').next().cmp(&b.0.split(',').next()));
    all
}

/// The components of the two data sets.
fn components(sharp: bool) -> Vec<(f64, Vec<f64>, ComponentCovariance)> {
    let round = |std: f64| ComponentCovariance::Isotropic(std * std);
    if sharp {
        let place = |i: usize| std::f64::consts::TAU * i as f64 / 8.0;
        return (0..8).map(|i| (0.125, vec![0.9 * place(i).cos(), 0.9 * place(i).sin()], round(0.05))).collect();
    }
    vec![(0.5, vec![-0.6, 0.0], round(0.2)), (0.3, vec![0.45, 0.3], round(0.18)), (0.2, vec![0.15, -0.6], round(0.1))]
}

fn end(model: &dyn Denoiser<2>, sampler: &dyn Sampler<2>, steps: usize, z: &Tensor<2>) -> (Tensor<2>, usize) {
    let times = (0..=steps).rev().map(|i| i as f64 / steps as f64).collect();
    let counted = Counted { model, evaluations: Cell::new(0) };
    let x = trajectory_from(&counted, sampler, times, z.clone(), &Rng::new(0)).expect("it fits").last();
    (x.expect("a trajectory has points").1, counted.evaluations.get())
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let samplers: Vec<_> = samplers().into_iter().filter(|(name, _)| name.contains(&only)).collect();
    for (sharp, clip) in [(false, None), (false, Some(0.7)), (true, None), (true, Some(0.6))] {
        // ratios[sampler][steps][schedule]
        let mut ratios = vec![vec![vec![]; STEPS.len()]; samplers.len()];
        for (name, schedule) in laws::schedules() {
            let z = Rng::new(5).normal_tensor([128, 2], &Device::flex(), DType::F64) * schedule.at(1.0).sigma;
            let mixture = Mixture::new(Gaussian::new(schedule), components(sharp)).expect("Gaussians");
            let model: Box<dyn Denoiser<2>> = match clip {
                Some(most) => Box::new(Clamped { model: mixture, low: -most, high: most }),
                None => Box::new(mixture),
            };
            let exact = DormandPrince { absolute: 1e-6, relative: 1e-6, max_steps: 100_000 };
            let truth = end(&*model, &exact, 1, &z).0;
            let mut known: HashMap<usize, f64> = HashMap::new();
            let mut error = |sampler: &dyn Sampler<2>, steps: usize| {
                let (x, nfe) = end(&*model, sampler, steps, &z);
                let own = (x - truth.clone()).square().mean().sqrt().into_scalar::<f64>();
                // The last evaluation may be that of x̂ at t = 0.
                let ddim = nfe - usize::from(model.noise().path().is_some_and(|path| path.at(0.0).sigma > 0.0));
                let base = *known.entry(ddim).or_insert_with(|| {
                    let (x, _) = end(&*model, &Ddim { eta: 0.0 }, ddim, &z);
                    (x - truth.clone()).square().mean().sqrt().into_scalar::<f64>()
                });
                own / base
            };
            for ((_, sampler), ratios) in samplers.iter().zip(&mut ratios) {
                for (steps, ratios) in STEPS.into_iter().zip(ratios) {
                    ratios.push((error(&**sampler, steps), name));
                }
            }
        }
        let data = if sharp { "sharp" } else { "smooth" };
        let clipped = clip.map_or("not clipped".into(), |most| format!("clipped to ±{most}"));
        println!("{data}, {clipped}: mean over the schedules, and the largest, with {STEPS:?} steps");
        for ((name, _), ratios) in samplers.iter().zip(&ratios) {
            let cells: String = ratios
                .iter()
                .map(|all| {
                    let mean = (all.iter().map(|(ratio, _)| ratio.ln()).sum::<f64>() / all.len() as f64).exp();
                    let worst = all.iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are schedules");
                    format!("  {mean:6.3} {:9.2} {:10.10}", worst.0, worst.1)
                })
                .collect();
            println!("{name:32}{cells}");
        }
        println!();
    }
}

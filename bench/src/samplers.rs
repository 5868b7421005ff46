//! What a step of each sampler costs without the net: microseconds for 768 single-precision numbers.
//!
//! The net's word is a tensor made beforehand; reading x̂ from it is in the figure, and so is the noise of a stochastic step,
//! which a row of its own shows at the end. A step of Restart and of the adaptive pair is one of those they take within a
//! step of the walk. The first figure is on DDPM's linear table, the second on a schedule without an inverse of its own, which
//! samplers that ask for a time between two others feel. An argument picks the rows whose name contains it.
use burn::tensor::{DType, Device, Tensor};
use std::{cell::Cell, hint::black_box, sync::Arc, time::Instant};
use tweedie::{
    Rng,
    denoise::Denoiser,
    noise::{Gaussian, Noise, Prediction},
    sample::*,
    schedule::{Between, CosineAngle, FlowMatching, Linear, Schedule},
};

/// A model that always says the same, and counts how often.
struct Fixed {
    noise: Gaussian,
    word: Tensor<4>,
    calls: Cell<usize>,
}
impl Denoiser<4> for Fixed {
    fn noise(&self) -> &dyn Noise<4> {
        &self.noise
    }
    fn predict(&self, _: Tensor<4>, _: &[f64]) -> Tensor<4> {
        self.calls.set(self.calls.get() + 1);
        self.word.clone()
    }
}

fn samplers() -> Vec<(&'static str, Box<dyn Sampler<4>>)> {
    let unipc = |order| UniPc { order, ..UniPc::default() };
    let adams = |order, prediction, variable, corrector| AdamsBashforth { order, prediction, variable, corrector };
    vec![
        ("ddim", Box::new(Ddim { eta: 0.0 })),
        ("euler", Box::new(Euler {})),
        ("heun", Box::new(Heun {})),
        ("dpm2", Box::new(Dpm2 {})),
        ("dpm-solver 1", Box::new(DpmSolver { order: 1 })),
        ("dpm-solver 2", Box::new(DpmSolver { order: 2 })),
        ("dpm-solver 3", Box::new(DpmSolver { order: 3 })),
        ("dpm-solver++ 1S", Box::new(DpmSolverPp { order: 1, ..DpmSolverPp::default() })),
        ("dpm-solver++ 2S", Box::new(DpmSolverPp2S::default())),
        ("dpm-solver++ 2M", Box::new(DpmSolverPp::default())),
        ("dpm-solver++ 3M", Box::new(DpmSolverPp { order: 3, ..DpmSolverPp::default() })),
        ("unipc 1", Box::new(unipc(1))),
        ("unipc 2", Box::new(unipc(2))),
        ("unipc 2, bh1", Box::new(UniPc { variant: UniPcVariant::Bh1, ..unipc(2) })),
        ("unipc 3", Box::new(unipc(3))),
        ("deis 1", Box::new(Deis { order: 1 })),
        ("deis 2", Box::new(Deis { order: 2 })),
        ("deis 3", Box::new(Deis { order: 3 })),
        ("etd 2", Box::new(Etd { order: 2 })),
        ("etd 3", Box::new(Etd { order: 3 })),
        ("lms 4", Box::new(Lms { order: 4 })),
        ("adams-bashforth 4, λ", Box::new(adams(4, SolverPrediction::Epsilon, Variable::LogSnr, false))),
        ("adams-bashforth 4, angle", Box::new(adams(4, SolverPrediction::X0, Variable::Angle, false))),
        ("adams-bashforth 6, λ", Box::new(adams(6, SolverPrediction::Epsilon, Variable::LogSnr, false))),
        ("adams-moulton 4, t", Box::new(adams(3, SolverPrediction::Epsilon, Variable::Time, true))),
        ("ipndm 4", Box::new(Ipndm { order: 4 })),
        ("plms", Box::new(Plms {})),
        ("pndm", Box::new(Pndm {})),
        ("dormand-prince", Box::new(DormandPrince::default())),
        ("ancestral", Box::new(Ancestral {})),
        ("ddim, eta 1", Box::new(Ddim { eta: 1.0 })),
        ("euler-ancestral", Box::new(EulerAncestral::default())),
        ("dpm2-ancestral", Box::new(Dpm2Ancestral::default())),
        ("dpm-solver++ 2S-ancestral", Box::new(DpmSolverPp2SAncestral::default())),
        ("dpm-solver++ 2S, eta 1", Box::new(DpmSolverPp2S { eta: 1.0 })),
        ("dpm-solver++ 2M, eta 1", Box::new(DpmSolverPp { eta: 1.0, ..DpmSolverPp::default() })),
        ("dpm-solver++ 3M, eta 1", Box::new(DpmSolverPp { order: 3, eta: 1.0, lower_final: false })),
        ("churn", Box::new(Churn { s_tmin: 0.0, s_tmax: f64::INFINITY, ..Churn::default() })),
        ("euler-maruyama", Box::new(EulerMaruyama {})),
        ("sde-heun", Box::new(SdeHeun {})),
        ("sa-solver", Box::new(SaSolver::default())),
        ("predictor-corrector", Box::new(PredictorCorrector::default())),
        ("restart", Box::new(Restart { low: 0.5, high: 2.0, repeats: 10, steps: 10 })),
        ("consistency", Box::new(Consistency {})),
    ]
}

fn main() {
    let device = Device::flex();
    let shape = [4, 3, 8, 8];
    let word = Rng::new(0).normal_tensor(shape, &device, DType::F32);
    let start = Rng::new(1).normal_tensor(shape, &device, DType::F32);
    let schedules: [Arc<dyn Schedule>; 2] = [
        Arc::new(Linear::new(1000)),
        Arc::new(Between { first: CosineAngle {}, second: FlowMatching {}, share: [0.5, 0.5] }),
    ];
    let models = schedules.map(|path| Fixed {
        noise: Gaussian::new(path).predicting(Prediction::V),
        word: word.clone(),
        calls: Cell::new(0),
    });
    let only = std::env::args().nth(1).unwrap_or_default();
    let samplers: Vec<_> = samplers().into_iter().filter(|(name, _)| name.contains(&only)).collect();
    let steps = 200;
    let time = |i: usize| 1.0 - i as f64 * 0.9 / steps as f64;
    let mut rows = vec![([f64::INFINITY; 2], 0.0); samplers.len()];
    // In turn, so that a slow moment of the machine is everybody's.
    for _ in 0..60 {
        for ((_, sampler), (best, each)) in samplers.iter().zip(&mut rows) {
            for (model, best) in models.iter().zip(best) {
                let mut state = sampler.start(model.noise()).expect("Gaussian noise");
                let mut rng = Rng::new(2);
                let mut z = start.clone();
                model.calls.set(0);
                let clock = Instant::now();
                for i in 0..steps {
                    let at = TimeStep { t: time(i), s: time(i + 1), index: i, count: steps };
                    z = state.step(model, z, at, &mut rng);
                }
                black_box(z);
                let calls = model.calls.get() as f64;
                let taken = calls / sampler.properties().nfe_per_step as f64;
                *best = best.min(clock.elapsed().as_secs_f64() / taken);
                *each = calls / taken;
            }
        }
    }
    println!(
        "{:26} {:>10} {:>12} {:>10} {:>16}",
        "sampler", "µs a step", "calls a step", "µs a call", "without inverse"
    );
    for ((name, _), ([table, other], calls)) in samplers.iter().zip(rows) {
        let [table, other] = [table, other].map(|seconds| seconds * 1e6);
        println!("{name:26} {table:>10.2} {calls:>12} {:>10.2} {other:>16.2}", table / calls);
    }
    let mut rng = Rng::new(3);
    let mut best = f64::INFINITY;
    for _ in 0..2000 {
        let clock = Instant::now();
        black_box(rng.normal_tensor(shape, &device, DType::F32));
        best = best.min(clock.elapsed().as_secs_f64());
    }
    println!("{:26} {:>10.2}", "the noise alone", best * 1e6);
}

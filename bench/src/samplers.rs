//! Times one step of each sampler without the net, in microseconds, for 768 single-precision elements:
//! `samplers [FILTER]` times the samplers whose name contains FILTER.
//!
//! The model output is a constant tensor. The time includes the conversion of the model output to x̂ and the noise of a
//! stochastic step, which is also timed alone in the last row. For Restart and the adaptive solver a step is one of the
//! steps that they take within one interval. The first time is for DDPM's linear table, the second for a schedule
//! without a closed-form inverse, which matters for samplers that need a time between two others.
use burn::tensor::{DType, Device, Tensor};
use std::{cell::Cell, hint::black_box, sync::Arc, time::Instant};
use tweedie::{
    Rng,
    denoise::Denoiser,
    noise::{Estimate, Gaussian, Noise, Prediction},
    sample::*,
    schedule::{Between, CosineAngle, FlowMatching, Linear, Schedule},
};

/// Model with a constant output, which counts its evaluations.
struct Fixed {
    noise: Gaussian,
    output: Tensor<4>,
    evaluations: Cell<usize>,
}
impl Denoiser<4> for Fixed {
    fn noise(&self) -> &dyn Noise<4> {
        &self.noise
    }
    fn denoise(&self, z: Tensor<4>, t: &[f64]) -> Estimate<4> {
        self.evaluations.set(self.evaluations.get() + 1);
        self.noise.estimate(self.output.clone(), z, t)
    }
}

fn samplers() -> Vec<(&'static str, Box<dyn Sampler<4>>)> {
    let unipc = |order| UniPc { order, ..UniPc::default() };
    let adams = |order, prediction, variable, corrector| AdamsBashforth { order, prediction, variable, corrector };
    vec![
        ("ddim", Box::new(Ddim { eta: 0.0 })),
        ("euler", Box::new(Euler::default())),
        ("heun", Box::new(Heun::default())),
        ("heun, σ/α", Box::new(Heun { variable: Variable::Ratio })),
        ("dpm2", Box::new(Dpm2::default())),
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
        ("ipndm 4", Box::new(Ipndm::default())),
        ("plms", Box::new(Plms::default())),
        ("pndm", Box::new(Pndm::default())),
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
        ("restart", Box::new(Restart { low: 0.5, high: 2.0, repeats: 10, steps: 10, ..Restart::default() })),
        ("consistency", Box::new(Consistency {})),
    ]
}

fn main() {
    let device = Device::flex();
    let shape = [4, 3, 8, 8];
    let output = Rng::new(0).normal_tensor(shape, &device, DType::F32);
    let start = Rng::new(1).normal_tensor(shape, &device, DType::F32);
    let schedules: [Arc<dyn Schedule>; 2] = [
        Arc::new(Linear::new(1000)),
        Arc::new(Between { first: CosineAngle {}, second: FlowMatching {}, share: [0.5, 0.5] }),
    ];
    let models = schedules.map(|path| Fixed {
        noise: Gaussian::new(path).with_prediction(Prediction::V),
        output: output.clone(),
        evaluations: Cell::new(0),
    });
    let only = std::env::args().nth(1).unwrap_or_default();
    let samplers: Vec<_> = samplers().into_iter().filter(|(name, _)| name.contains(&only)).collect();
    let steps = 200;
    let time = |i: usize| 1.0 - i as f64 * 0.9 / steps as f64;
    let mut rows = vec![([f64::INFINITY; 2], 0.0); samplers.len()];
    // Interleaved, so that variations in the speed of the machine affect all samplers alike.
    for _ in 0..60 {
        for ((_, sampler), (best, nfe_per_step)) in samplers.iter().zip(&mut rows) {
            for (model, best) in models.iter().zip(best) {
                let mut state = sampler.start(model.noise()).expect("Gaussian noise");
                let mut rng = Rng::new(2);
                let mut z = start.clone();
                model.evaluations.set(0);
                let start_time = Instant::now();
                for i in 0..steps {
                    let at = TimeStep { t: time(i), s: time(i + 1), index: i, count: steps };
                    z = state.step(model, z, at, &mut rng);
                }
                black_box(z);
                let nfe = model.evaluations.get() as f64;
                let taken = nfe / sampler.properties().nfe_per_step as f64;
                *best = best.min(start_time.elapsed().as_secs_f64() / taken);
                *nfe_per_step = nfe / taken;
            }
        }
    }
    println!(
        "{:26} {:>10} {:>12} {:>10} {:>16}",
        "sampler", "µs per step", "NFE per step", "µs per NFE", "without inverse"
    );
    for ((name, _), ([table, other], nfe)) in samplers.iter().zip(rows) {
        let [table, other] = [table, other].map(|seconds| seconds * 1e6);
        println!("{name:26} {table:>10.2} {nfe:>12} {:>10.2} {other:>16.2}", table / nfe);
    }
    let mut rng = Rng::new(3);
    let mut best = f64::INFINITY;
    for _ in 0..2000 {
        let start_time = Instant::now();
        black_box(rng.normal_tensor(shape, &device, DType::F32));
        best = best.min(start_time.elapsed().as_secs_f64());
    }
    println!("{:26} {:>10.2}", "noise alone", best * 1e6);
}

//! What a step of each sampler costs without the model: microseconds for 768 single-precision numbers.
//!
//! The model's guess is a tensor made beforehand. The noise of a stochastic step is in its figure; a row of it alone stands
//! at the end.
use burn::tensor::{DType, Device, Tensor};
use std::{hint::black_box, time::Instant};
use tweedie::{
    Rng,
    denoise::Denoiser,
    noise::{Estimate, Gaussian, Noise},
    sample::*,
    schedule::Linear,
};

/// A model that always guesses the same.
struct Fixed {
    noise: Gaussian,
    guess: Tensor<4>,
}
impl Denoiser<4> for Fixed {
    fn noise(&self) -> &dyn Noise<4> {
        &self.noise
    }
    fn predict(&self, _: Tensor<4>, _: &[f64]) -> Tensor<4> {
        self.guess.clone()
    }
    fn denoise(&self, _: Tensor<4>, _: &[f64]) -> Estimate<4> {
        self.guess.clone().into()
    }
}

fn main() {
    let device = Device::flex();
    let shape = [4, 3, 8, 8];
    let guess = Rng::new(0).normal_tensor(shape, &device, DType::F32);
    let start = Rng::new(1).normal_tensor(shape, &device, DType::F32);
    let model = Fixed { noise: Gaussian::new(Linear::new(1000)), guess };
    let unipc = |order| UniPc { order, ..UniPc::default() };
    let samplers: Vec<(&str, Box<dyn Sampler<4>>)> = vec![
        ("ddim", Box::new(Ddim { eta: 0.0 })),
        ("euler", Box::new(Euler {})),
        ("heun", Box::new(Heun {})),
        ("dpm2", Box::new(Dpm2 {})),
        ("dpm-solver 2", Box::new(DpmSolver { order: 2 })),
        ("dpm-solver 3", Box::new(DpmSolver { order: 3 })),
        ("dpm-solver++ 2S", Box::new(DpmSolverPp2S {})),
        ("dpm-solver++ 2M", Box::new(DpmSolverPp::default())),
        ("dpm-solver++ 3M", Box::new(DpmSolverPp { order: 3, ..DpmSolverPp::default() })),
        ("unipc 2", Box::new(unipc(2))),
        ("unipc 3", Box::new(unipc(3))),
        ("deis 3", Box::new(Deis { order: 3 })),
        ("etd 3", Box::new(Etd { order: 3 })),
        ("lms 4", Box::new(Lms { order: 4 })),
        ("ipndm 4", Box::new(Ipndm { words: 4 })),
        ("plms", Box::new(Plms {})),
        ("ancestral", Box::new(Ancestral {})),
        ("ddim, eta 1", Box::new(Ddim { eta: 1.0 })),
        ("euler-ancestral", Box::new(EulerAncestral::default())),
        ("dpm2-ancestral", Box::new(Dpm2Ancestral::default())),
        ("dpm-solver++ 2M, eta 1", Box::new(DpmSolverPp { eta: 1.0, ..DpmSolverPp::default() })),
        ("churn", Box::new(Churn::default())),
        ("euler-maruyama", Box::new(EulerMaruyama {})),
        ("sde-heun", Box::new(SdeHeun {})),
        ("sa-solver", Box::new(SaSolver::default())),
        ("predictor-corrector", Box::new(PredictorCorrector::default())),
    ];
    println!("{:24} {:>10}", "sampler", "µs a step");
    let steps = 200;
    let time = |i: usize| 1.0 - i as f64 * 0.9 / steps as f64;
    for (name, sampler) in &samplers {
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let (mut past, mut rng) = (Past::of(steps), Rng::new(2));
            let mut z = start.clone();
            let clock = Instant::now();
            for i in 0..steps {
                z = sampler.step(&model, z, time(i), time(i + 1), &mut past, &mut rng);
                past.advance();
            }
            black_box(z);
            best = best.min(clock.elapsed().as_secs_f64() / steps as f64);
        }
        println!("{name:24} {:>10.2}", best * 1e6);
    }
    let mut rng = Rng::new(3);
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let clock = Instant::now();
        black_box(rng.normal_tensor(shape, &device, DType::F32));
        best = best.min(clock.elapsed().as_secs_f64());
    }
    println!("{:24} {:>10.2}", "the noise alone", best * 1e6);
}

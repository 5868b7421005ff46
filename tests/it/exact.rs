//! Exact models against closed forms, and samplers against other systems, in double precision.
use crate::common::{even, final_point, gap, latents, mixture, numbers, points};
use burn::tensor::Tensor;
use serde::Deserialize;
use std::{collections::HashMap, sync::LazyLock};
use tweedie::{
    Rng,
    denoise::Denoiser,
    exact::{Mixture, Terminal},
    noise::Gaussian,
    sample::{
        Churn, Dpm2, Dpm2Ancestral, DpmSolver, DpmSolverPp, DpmSolverPp2S, DpmSolverPp2SAncestral, Euler,
        EulerAncestral, Heun, Sampler, TimeStep, Variable,
    },
    schedule::{Edm, FlowMatching, OrnsteinUhlenbeck, Schedule, VarianceExploding},
};

/// The reference numbers of `tests/data/mixture.json`; `tests/data/mixture.py` says where they come from.
#[derive(Deserialize)]
struct Reference {
    points: Vec<[f64; 2]>,
    closed_forms: Vec<Closed>,
    flow: Vec<[f64; 2]>,
    log_likelihood: HashMap<String, Vec<f64>>,
    k_diffusion: HashMap<String, Vec<[f64; 2]>>,
    k_diffusion_to_zero: HashMap<String, Vec<[f64; 2]>>,
    edm: HashMap<String, Vec<[f64; 2]>>,
    convergence: HashMap<String, Vec<f64>>,
}
/// x̂, score, ε̂ and ln p at the points for the scales of a schedule at t.
#[derive(Deserialize)]
struct Closed {
    schedule: String,
    #[serde(default)]
    sigma_min: f64,
    #[serde(default)]
    sigma_max: f64,
    t: f64,
    alpha: f64,
    sigma: f64,
    x: Vec<[f64; 2]>,
    score: Vec<[f64; 2]>,
    eps: Vec<[f64; 2]>,
    log_density: Vec<f64>,
}
static REFERENCE: LazyLock<Reference> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/mixture.json")).expect("the reference numbers"));

#[test]
fn closed_forms_agree_with_the_reference() {
    assert_eq!(REFERENCE.closed_forms.len(), 6);
    for case in &REFERENCE.closed_forms {
        let schedule: Box<dyn Schedule> = match &*case.schedule {
            "variance-exploding" => {
                Box::new(VarianceExploding { sigma_min: case.sigma_min, sigma_max: case.sigma_max })
            }
            "flow-matching" => Box::new(FlowMatching {}),
            "ornstein-uhlenbeck" => Box::new(OrnsteinUhlenbeck {}),
            other => panic!("a schedule {other}"),
        };
        let c = schedule.at(case.t);
        assert!((c.alpha - case.alpha).abs() < 1e-14 && (c.sigma - case.sigma).abs() < 1e-14, "{c:?}");
        let z = points(&REFERENCE.points);
        let model = mixture(Gaussian::new(schedule));
        let x = model.denoise(z.clone(), &[case.t]).mean;
        let eps = model.predict(z.clone(), &[case.t]);
        assert!(gap(x, points(&case.x)) < 1e-12, "x̂ at {c:?}");
        assert!(gap(eps, points(&case.eps)) < 1e-12, "ε̂ at {c:?}");
        assert!(gap(model.score(z.clone(), case.t), points(&case.score)) < 1e-12, "score at {c:?}");
        for (log, other) in model.log_density(z, case.t).iter().zip(&case.log_density) {
            assert!((log - other).abs() < 1e-12, "ln p at {c:?}: {log} and {other}");
        }
    }
}

/// EDM's ρ = 7 levels from 0.02 to 20 as a schedule: its levels are uniform in time.
fn levels() -> Edm {
    Edm { sigma_min: 0.02, sigma_max: 20.0, rho: 7.0 }
}

#[test]
fn the_flow_ends_at_the_reference_solution() {
    let model = mixture(Gaussian::new(levels()));
    let end = model.flow(latents() * 20.0, 1.0, 0.0);
    let error = gap(end, points(&REFERENCE.flow));
    assert!(error < 1e-9, "{error:.2e}");
}

#[test]
fn the_flow_gives_the_likelihood() {
    let model = mixture(Gaussian::new(levels()));
    for (terminal, others) in [(Terminal::Exact, "exact"), (Terminal::Noise, "noise")] {
        let ours = model.log_likelihood(points(&REFERENCE.points), 0.0, 1.0, terminal).unwrap();
        for (log, other) in ours.iter().zip(&REFERENCE.log_likelihood[others]) {
            assert!((log - other).abs() < 1e-9, "{terminal:?}: {log} and {other}");
        }
    }
}

/// The k-th noise of the reference runs: √2 sin(2.1 i + 1.1 j + 0.9 k + 0.4).
fn noise(k: usize) -> Tensor<2> {
    let at = |i: usize, j: usize| 2f64.sqrt() * (2.1 * i as f64 + 1.1 * j as f64 + 0.9 * k as f64 + 0.4).sin();
    points(std::array::from_fn::<_, 8, _>(|i| [at(i, 0), at(i, 1)]))
}

/// k-diffusion's samplers on the exact denoiser: ten levels by ρ = 7 from 20 to 0.02, and then to 0.
#[test]
fn one_step_and_multistep_samplers_end_where_those_of_k_diffusion_do() {
    let model = mixture(Gaussian::new(levels()));
    let samplers: [(&str, &dyn Sampler<2>); 5] = [
        ("euler", &Euler::default()),
        ("heun", &Heun { variable: Variable::Ratio }),
        ("dpm_2", &Dpm2 { variable: Variable::Ratio }),
        ("dpmpp_2s", &DpmSolverPp2S::default()),
        ("dpmpp_2m", &DpmSolverPp::default()),
    ];
    for (name, sampler) in samplers {
        let end = final_point(sampler, &model, &even(9), latents() * 20.0);
        let error = gap(end.clone(), points(&REFERENCE.k_diffusion[name]));
        assert!(error < 1e-9, "{name}: {error:.2e}");
        let zero = model.denoise(end, &[0.0]).mean;
        let error = gap(zero, points(&REFERENCE.k_diffusion_to_zero[name]));
        assert!(error < 1e-9, "{name} to zero: {error:.2e}");
    }
}

/// dpm_fast with 20 network evaluations: six steps of order 3 and one of order 2, uniform in λ.
#[test]
fn dpm_solver_ends_where_dpm_fast_does() {
    let model = mixture(Gaussian::new(VarianceExploding { sigma_min: 0.02, sigma_max: 20.0 }));
    let (three, two) = (DpmSolver { order: 3 }, DpmSolver { order: 2 });
    let z = final_point(&three, &model, &even(7)[..7], latents() * 20.0);
    let z = final_point(&two, &model, &[1.0 / 7.0, 0.0], z);
    let error = gap(z, points(&REFERENCE.k_diffusion["dpm_fast"]));
    assert!(error < 1e-9, "{error:.2e}");
}

/// The ancestral samplers with the reference runs' noises.
#[test]
fn ancestral_samplers_end_where_those_of_k_diffusion_do() {
    let model = mixture(Gaussian::new(levels()));
    let times = even(9);
    type Step<'a> = &'a dyn Fn(Tensor<2>, f64, f64, &mut dyn FnMut(&Tensor<2>) -> Tensor<2>) -> Tensor<2>;
    let samplers: [(&str, Step); 3] = [
        ("euler_ancestral", &|z, t, s, draw| EulerAncestral::default().step_with(&model, z, TimeStep::new(t, s), draw)),
        ("dpm_2_ancestral", &|z, t, s, draw| {
            Dpm2Ancestral { eta: 1.0, variable: Variable::Ratio }.step_with(&model, z, TimeStep::new(t, s), draw)
        }),
        ("dpmpp_2s_ancestral", &|z, t, s, draw| {
            DpmSolverPp2SAncestral::default().step_with(&model, z, TimeStep::new(t, s), draw)
        }),
    ];
    for (name, step) in samplers {
        let mut z = latents() * 20.0;
        for (k, pair) in times.windows(2).enumerate() {
            z = step(z, pair[0], pair[1], &mut |_: &Tensor<2>| noise(k));
        }
        let error = gap(model.denoise(z, &[0.0]).mean, points(&REFERENCE.k_diffusion_to_zero[name]));
        assert!(error < 1e-9, "{name}: {error:.2e}");
    }
}

/// EDM's sampler: 18 levels by ρ = 7 from 20 to 0.02 and then 0, without and with churn, a noise drawn every step.
#[test]
fn churn_ends_where_edms_sampler_does() {
    let model = mixture(Gaussian::new(levels()));
    let end = final_point(&Heun { variable: Variable::Ratio }, &model, &even(17), latents() * 20.0);
    let error = gap(model.denoise(end, &[0.0]).mean, points(&REFERENCE.edm["deterministic"]));
    assert!(error < 1e-9, "{error:.2e}");

    // Room above 20, to which the first step raises the noise.
    let wide = Edm { sigma_min: 0.02, sigma_max: 80.0, rho: 7.0 };
    let model = mixture(Gaussian::new(wide));
    let mut times: Vec<f64> = even(17).iter().map(|&t| wide.time_at_log_snr(levels().at(t).log_snr())).collect();
    times[17] = 0.0;
    let churn = Churn { s_churn: 40.0, s_tmin: 0.05, s_tmax: 50.0, s_noise: 1.003, variable: Variable::Ratio };
    let mut z = latents() * 20.0;
    for (k, pair) in times.windows(2).enumerate() {
        let at = TimeStep { t: pair[0], s: pair[1], index: k, count: 18 };
        z = churn.step_with(&model, z, at, &mut |_: &Tensor<2>| noise(k));
    }
    let error = gap(model.denoise(z, &[0.0]).mean, points(&REFERENCE.edm["churn"]));
    assert!(error < 1e-9, "{error:.2e}");
}

/// The errors of k-diffusion's samplers on the exact denoiser, 10, 20, … 320 steps by ρ = 7 from 20 to 0.02: the largest difference
/// of a coordinate from the flow.
#[test]
fn errors_fall_as_k_diffusions_do() {
    let model = mixture(Gaussian::new(levels()));
    let cases: [(&str, &dyn Sampler<2>); 5] = [
        ("euler", &Euler::default()),
        ("heun", &Heun { variable: Variable::Ratio }),
        ("dpm_2", &Dpm2 { variable: Variable::Ratio }),
        ("dpmpp_2s", &DpmSolverPp2S::default()),
        ("dpmpp_2m", &DpmSolverPp::default()),
    ];
    for (name, sampler) in cases {
        assert_eq!(REFERENCE.convergence[name].len(), 6);
        for (i, theirs) in REFERENCE.convergence[name].iter().enumerate() {
            let steps = 10 << i;
            let ours = gap(final_point(sampler, &model, &even(steps), latents() * 20.0), points(&REFERENCE.flow));
            assert!((ours / theirs - 1.0).abs() < 1e-6, "{name}, {steps} steps: {ours} for {theirs}");
        }
    }
}

/// Three data points: x̂ is their mean with weights softmax(−|z − α xᵢ|²/2(α² s² + σ²)), the density a mean of kernels.
#[test]
fn the_denoiser_of_a_data_set_is_a_softmax_over_it() {
    let data = [[-1.0, 0.5], [2.0, 0.0], [0.3, -1.4]];
    let z = [[0.2, -0.1], [-1.0, 0.6], [1.5, 1.5]];
    for spread in [0.0, 0.25] {
        let noise = Gaussian::new(OrnsteinUhlenbeck {});
        let model = Mixture::empirical(noise.clone(), data.map(|x| x.to_vec()).to_vec(), spread).unwrap();
        for t in [0.1, 0.5, 0.93] {
            let c = noise.schedule().at(t);
            let var = (c.alpha * spread).powi(2) + c.sigma * c.sigma;
            let own = model.denoise(points(z), &[t]).mean;
            let (own, log) = (numbers(own), model.log_density(points(z), t));
            for (row, z) in z.iter().enumerate() {
                let square = |x: [f64; 2]| (z[0] - c.alpha * x[0]).powi(2) + (z[1] - c.alpha * x[1]).powi(2);
                let weights = data.map(|x| (-0.5 * square(x) / var).exp());
                let total: f64 = weights.iter().sum();
                let kernels = total / 3.0 / (std::f64::consts::TAU * var);
                assert!(
                    (log[row] - kernels.ln()).abs() < 1e-10,
                    "s = {spread}, t = {t}: {} for {}",
                    log[row],
                    kernels.ln()
                );
                for d in 0..2 {
                    // Each point itself, moved towards z by the share of its kernel.
                    let guess = |x: [f64; 2]| x[d] + c.alpha * spread * spread / var * (z[d] - c.alpha * x[d]);
                    let mean: f64 = data.iter().zip(weights).map(|(x, w)| w * guess(*x)).sum::<f64>() / total;
                    let own = own[2 * row + d];
                    assert!((own - mean).abs() < 1e-10, "s = {spread}, t = {t}: {own} for {mean}");
                }
            }
        }
    }
}

/// Samples of a data set are its points with equal frequency; with a standard deviation, points around them.
#[test]
fn samples_of_a_data_set_are_its_points() {
    let data = vec![vec![-1.0, 0.5], vec![2.0, 0.0], vec![0.3, -1.4]];
    let draw = |std| {
        let noise = Gaussian::new(OrnsteinUhlenbeck {});
        Mixture::empirical(noise, data.clone(), std).unwrap().sample(6000, &mut Rng::new(3))
    };
    let points = draw(0.0);
    for x in &data {
        // Five standard errors of a third of 6000.
        let count = points.iter().filter(|draw| *draw == x).count();
        assert!(count.abs_diff(2000) < 183, "{count} of 6000 draws are {x:?}");
    }
    assert!(points.iter().all(|draw| data.contains(draw)));
    // Far nearer to their own point than to another.
    let near = |draw: &[f64], x: &[f64]| (draw[0] - x[0]).powi(2) + (draw[1] - x[1]).powi(2);
    let spread: f64 =
        draw(0.1).iter().map(|draw| data.iter().map(|x| near(draw, x)).fold(f64::INFINITY, f64::min)).sum::<f64>()
            / 12_000.0;
    assert!((spread / 0.01 - 1.0).abs() < 5.0 * (2.0 / 12_000_f64).sqrt(), "{spread}");
}

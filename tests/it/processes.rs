//! Processes, schedules and spacings: laws, other programs' tables, and the same thing by two names.
use crate::common::{gap, numbers, points, reference};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use tweedie::{
    Rng,
    denoise::{Denoiser, Thresholded},
    exact::{ComponentCovariance, Mixture},
    laws,
    noise::{Gaussian, Noise, Prediction},
    process::{DenoiseDiffusion, DiffusionProcess},
    schedule::*,
    spacing::{
        AlignYourSteps, Antithetic, Beta, CosineInterpolated, Exponential, Karras, Leading, Levels, Linspace,
        LogNormal, LogitNormal, Quadratic, Spacing,
    },
};

fn schedules() -> Vec<(&'static str, Arc<dyn Schedule>)> {
    vec![
        ("scaled linear", Arc::new(ScaledLinear::default())),
        ("sigmoid", Arc::new(Sigmoid::default())),
        ("laplace", Arc::new(Laplace::default())),
        ("polynomial", Arc::new(Polynomial::default())),
        ("jsd", Arc::new(Jsd::default())),
        ("listed", Arc::new(Listed::new(Quantity::Betas, (0..50).map(|i| 0.001 + 0.004 * f64::from(i)).collect()))),
        ("flow matching", Arc::new(FlowMatching {})),
        ("ornstein-uhlenbeck", Arc::new(OrnsteinUhlenbeck {})),
        ("variance exploding", Arc::new(VarianceExploding::default())),
        ("variance preserving", Arc::new(VariancePreserving::default())),
        ("sub-vp", Arc::new(SubVariancePreserving::default())),
        ("edm", Arc::new(Edm::default())),
        ("cosine angle", Arc::new(CosineAngle {})),
        ("decaying", Arc::new(Decaying::default())),
        ("exploding", Arc::new(exploding(|t| t.sqrt() * 25.0))),
        ("process", Arc::new(process(|t: tweedie::Dual| 1.0 - t * t, |t: tweedie::Dual| t * (2.0 - t * t).sqrt()))),
        ("zero terminal", Arc::new(ZeroTerminal(CosineAngle {}))),
        ("shifted", Arc::new(Shifted { schedule: CosineAngle {}, factor: 2.0 })),
        ("between", Arc::new(Between { first: CosineAngle {}, second: FlowMatching {}, share: [0.3, 0.3] })),
    ]
}

#[test]
fn every_schedule_obeys_its_laws() {
    let mut broken = vec![];
    for (name, schedule) in schedules() {
        for check in laws::schedule(&schedule) {
            if !check.holds() {
                broken.push(format!("{name}: {check}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_closed_inverse_is_the_bisected_one() {
    /// The schedule without its own inverse.
    #[derive(Debug)]
    struct Plain(Arc<dyn Schedule>);
    impl Schedule for Plain {
        fn alpha(&self, t: tweedie::Dual) -> tweedie::Dual {
            self.0.alpha(t)
        }
        fn sigma(&self, t: tweedie::Dual) -> tweedie::Dual {
            self.0.sigma(t)
        }
    }
    for (name, schedule) in schedules() {
        for i in 1..40 {
            let log_snr = schedule.at(f64::from(i) / 40.0).log_snr();
            let (own, bisected) = (schedule.time_at_log_snr(log_snr), Plain(schedule.clone()).time_at_log_snr(log_snr));
            assert!((own - bisected).abs() < 1e-9, "{name} at {i}/40: {own} and {bisected}");
        }
    }
}

/// Improved-diffusion's schedules in its double precision: β, ᾱ and the variance of x_{t−1} given x_t and x, and the sums of all
/// β and of all ᾱ.
#[test]
fn tables_are_those_of_improved_diffusion() {
    let cases: [(&str, Arc<dyn Schedule>); 4] = [
        ("linear 1000", Arc::new(Linear::new(1000))),
        ("linear 4000", Arc::new(Linear::between(4000, 2.5e-5, 0.005))),
        ("cosine 1000", Arc::new(Cosine::new(1000))),
        ("cosine 4000", Arc::new(Cosine::new(4000))),
    ];
    let near = |ours: f64, theirs: f64| (ours - theirs).abs() <= 1e-9 * theirs;
    let reference = reference(include_str!("../data/improved_diffusion.txt"));
    for (name, schedule) in cases {
        let own = |row: &&Vec<&str>| row[0] == name;
        let number = |text: &&str| text.parse::<f64>().unwrap();
        let (sums, rows): (Vec<_>, Vec<_>) = reference.iter().filter(own).partition(|row| row[1] == "sums");
        let sums: Vec<f64> = sums[0][2..].iter().map(number).collect();
        assert_eq!((rows.len(), sums.len()), (7, 2), "{name}");
        let steps = schedule.steps().unwrap();
        let time = |i: usize| i as f64 / steps as f64;
        let bar = |i: usize| schedule.at(time(i)).alpha.powi(2);
        let beta = |i: usize| 1.0 - bar(i) / bar(i - 1);
        let noise = Gaussian::new(schedule.clone());
        let x = points([[0.3, -0.4]]);
        for row in rows {
            let (i, [one, signal, var]) = (row[1].parse::<usize>().unwrap(), [2, 3, 4].map(|k| number(&row[k])));
            assert!((beta(i + 1) - one).abs() < 1e-9 * one + 1e-15, "β {i} of {steps}: {} for {one}", beta(i + 1));
            assert!(near(bar(i + 1), signal), "ᾱ {i} of {steps}: {} for {signal}", bar(i + 1));
            let std = numbers(noise.posterior(x.clone(), x.clone(), &[time(i)], &[time(i + 1)]).std())[0];
            assert!(near(std * std, var), "posterior variance {i} of {steps}: {} for {var}", std * std);
        }
        let total = |f: &dyn Fn(usize) -> f64| (1..=steps).map(f).sum::<f64>();
        assert!(near(total(&beta), sums[0]), "Σ β of {steps}: {} for {}", total(&beta), sums[0]);
        assert!(near(total(&bar), sums[1]), "Σ ᾱ of {steps}: {} for {}", total(&bar), sums[1]);
    }
}

#[test]
fn tables_from_files_and_lists() {
    let file = std::env::temp_dir().join(format!("tweedie-betas-{}.txt", std::process::id()));
    std::fs::write(&file, "0.1, 0.2\n0.3").unwrap();
    let read = Listed::from_file(Quantity::Betas, &file);
    assert!((read.at(1.0).alpha.powi(2) - 0.9 * 0.8 * 0.7).abs() < 1e-15);
    std::fs::write(&file, "0.1 two").unwrap();
    let error = Listed::from_file(Quantity::Betas, &file).check().unwrap_err().to_string();
    assert!(error.contains("`two`") && error.contains("tweedie-betas"), "{error}");
    std::fs::remove_file(&file).unwrap();
    let sigmas = Listed::new(Quantity::Sigmas, vec![0.5, 2.0]);
    let c = sigmas.at(1.0);
    assert!((c.sigma / c.alpha - 2.0).abs() < 1e-12);
    let rising = Listed::new(Quantity::AlphaBars, vec![0.5, 0.7]).check().unwrap_err().to_string();
    assert!(rising.contains("step 2") && rising.contains("0.7"), "{rising}");
    // Exactly no signal at the end, and the first step as it was: Lin et al.'s algorithm 1.
    let (before, after) = (ScaledLinear::default(), ZeroTerminal(ScaledLinear::default()));
    assert_eq!(after.at(1.0).alpha, 0.0);
    assert!((after.at(0.001).alpha - before.at(0.001).alpha).abs() < 1e-15);
    assert!(Noise::<2>::check(&Gaussian::new(after)).unwrap_err().to_string().contains("zero terminal SNR"));
}

/// Respaced step numbers of improved-diffusion.
#[test]
fn sections_are_those_of_improved_diffusion() {
    let numbers = |steps: usize, counts: &[usize], n| -> Vec<usize> {
        let grid = tweedie::spacing::TimestepList::sections(steps, counts).unwrap().grid(n);
        grid.iter().rev().skip(1).map(|t| (t * steps as f64).round() as usize - 1).collect()
    };
    assert_eq!(numbers(1000, &[10], 10), [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]);
    assert_eq!(
        numbers(1000, &[25], 25),
        [
            0, 42, 83, 125, 166, 208, 250, 291, 333, 375, 416, 458, 500, 541, 583, 624, 666, 708, 749, 791, 832, 874,
            916, 957, 999
        ]
    );
    let three = numbers(300, &[10, 15, 20], 45);
    assert_eq!(
        three,
        [
            0, 11, 22, 33, 44, 55, 66, 77, 88, 99, 100, 107, 114, 121, 128, 135, 142, 149, 157, 164, 171, 178, 185,
            192, 199, 200, 205, 210, 216, 221, 226, 231, 236, 242, 247, 252, 257, 263, 268, 273, 278, 283, 289, 294,
            299
        ]
    );
    assert!(tweedie::spacing::TimestepList::sections(10, &[11]).is_err());
    assert_eq!(
        Leading { steps: 1000, offset: 0 }.grid(10).iter().map(|t| (t * 1000.0).round() as i64 - 1).collect::<Vec<_>>(),
        [900, 800, 700, 600, 500, 400, 300, 200, 100, 0, -1]
    );
    assert_eq!(Linspace { steps: 1000 }.grid(10)[0], 1.0);
}

#[test]
fn every_spacing_obeys_its_laws() {
    let on = FlowMatching {};
    let spacings: Vec<Box<dyn Spacing>> = vec![
        Box::new(Leading::default()),
        Box::new(Linspace::default()),
        Box::new(tweedie::spacing::TimestepList::new((1..=60).map(|i| f64::from(i) / 60.0).collect()).unwrap()),
        Box::new(Quadratic {}),
        Box::new(LogitNormal::default()),
        Box::new(Beta::default()),
        Box::new(tweedie::spacing::ShiftedSpacing { spacing: Quadratic {}, factor: 3.0 }),
        Box::new(Karras::default().on(on)),
        Box::new(Exponential::default().on(on)),
        Box::new(LogNormal::default().on(on)),
        Box::new(CosineInterpolated::default().on(on)),
        Box::new(AlignYourSteps::StableDiffusionXl.on(on)),
    ];
    let mut broken = vec![];
    for spacing in &spacings {
        for check in laws::spacing(&**spacing) {
            if !check.holds() {
                broken.push(format!("{spacing:?}: {check}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn quantiles_are_those_of_the_tables() {
    // Φ⁻¹(0.975) = 1.959963984540054; Beta(½, ½) is the arcsine law, Beta(2, 1) has t².
    let t = LogitNormal::default().quantile(0.975);
    assert!(((t / (1.0 - t)).ln() - 1.959963984540054).abs() < 1e-12);
    for u in [0.03, 0.4, 0.9] {
        let arcsine = (std::f64::consts::FRAC_PI_2 * u).sin().powi(2);
        assert!((Beta { a: 0.5, b: 0.5 }.quantile(u) - arcsine).abs() < 1e-12, "{u}");
        assert!((Beta { a: 2.0, b: 1.0 }.quantile(u) - f64::sqrt(u)).abs() < 1e-12, "{u}");
    }
    let pairs = Antithetic(Quadratic {}).sample(7, &mut Rng::new(0));
    assert!((pairs[0].sqrt() + pairs[1].sqrt() - 1.0).abs() < 1e-12 && pairs.len() == 7);
}

#[test]
fn a_process_of_tensors_is_its_schedule() {
    let device = Device::flex();
    let t = Tensor::<1>::from_floats([0.2, 0.7], &device);
    let process = DiffusionProcess::ornstein_uhlenbeck();
    for (i, time) in [0.2_f64, 0.7].into_iter().enumerate() {
        let c = OrnsteinUhlenbeck {}.at(f64::from(time as f32));
        let at = |x: Tensor<1>| numbers(x)[i];
        assert!((at(process.alpha(t.clone())) - c.alpha).abs() < 1e-6);
        assert!((at(process.sigma(t.clone())) - c.sigma).abs() < 1e-6);
        assert!((at(process.alpha_prime(t.clone())) - c.alpha_dot).abs() < 1e-6);
        assert!((at(process.sigma_prime(t.clone())) - c.sigma_dot).abs() < 1e-6);
    }
    let x = points([[1.0, 2.0], [3.0, 4.0]]);
    let z = DiffusionProcess::variance_exploding(|t| t * 2.0).forward(x.clone(), t, x.ones_like());
    let [a, b] = [0.2_f32, 0.7_f32].map(|t| f64::from(t) * 2.0);
    assert!(gap(z, points([[1.0 + a, 2.0 + a], [3.0 + b, 4.0 + b]])) < 1e-12);
}

/// Times of any rank: a row, an entry of a row, or all; and not those of other rows.
#[test]
fn times_of_a_process_broadcast() {
    let device = Device::flex();
    let process = DiffusionProcess::flow_matching();
    let (x, eps) = (Tensor::<3>::ones([2, 3, 2], &device), Tensor::<3>::ones([2, 3, 2], &device) * 5.0);
    // 1 − t + 5 t
    let at = |t: f64| 1.0 + 4.0 * t;
    let rows = [0.25, 0.75];
    let want: Vec<f64> = (0..12).map(|i| at(rows[i / 6])).collect();
    let t = Tensor::<1>::from_floats([0.25, 0.75], &device);
    assert_eq!(numbers(process.forward(x.clone(), t.clone(), eps.clone())), want);
    assert_eq!(numbers(process.forward(x.clone(), t.clone().reshape([2, 1]), eps.clone())), want);
    assert_eq!(numbers(process.forward(x.clone(), t.clone().reshape([2, 1, 1]), eps.clone())), want);
    for t in [0.25, 1.0] {
        let all = Tensor::<1>::from_floats([t], &device);
        let said = [
            process.forward(x.clone(), all.clone(), eps.clone()),
            process.forward(x.clone(), all.reshape([1, 1, 1]), eps.clone()),
        ];
        assert!(said.into_iter().all(|z| numbers(z) == [at(t); 12]));
    }
    // A time for each entry along the second axis, and for each along the first and the last.
    let along = Tensor::<3>::from_floats([[[0.0], [0.5], [1.0]]], &device);
    let want: Vec<f64> = (0..12).map(|i| at((i / 2 % 3) as f64 / 2.0)).collect();
    assert_eq!(numbers(process.forward(x.clone(), along.clone(), eps.clone())), want);
    let corners = Tensor::<3>::from_floats([[[0.0, 0.25]], [[0.5, 1.0]]], &device);
    let want: Vec<f64> = (0..12).map(|i| at([[0.0, 0.25], [0.5, 1.0]][i / 6][i % 2])).collect();
    assert_eq!(numbers(process.forward(x.clone(), corners, eps.clone())), want);
    assert_eq!(process.alpha(along.clone()).dims(), [1, 3, 1]);
    assert_eq!(numbers(process.sigma_prime(along)), [1.0; 3]);

    let message = |wrong: &(dyn Fn() + std::panic::RefUnwindSafe)| {
        *std::panic::catch_unwind(wrong).unwrap_err().downcast::<String>().expect("a message")
    };
    let three = message(&|| {
        let (x, t) = (Tensor::<2>::ones([2, 3], &Device::flex()), Tensor::<1>::ones([3], &Device::flex()));
        DiffusionProcess::flow_matching().forward(x.clone(), t, x);
    });
    assert!(three.contains("[3]") && three.contains("[2, 3]"), "{three}");
    let rank = message(&|| {
        let (x, t) = (Tensor::<2>::ones([2, 3], &Device::flex()), Tensor::<3>::ones([2, 1, 1], &Device::flex()));
        DiffusionProcess::flow_matching().forward(x.clone(), t, x);
    });
    assert!(rank.contains("[2, 1, 1]"), "{rank}");
}

/// DDPM by its own formulas, and by the spine.
#[test]
fn denoise_diffusion_is_the_same_as_the_spine() {
    let model = DenoiseDiffusion::new(|x: Tensor<2>, _| x * 0.3, 50).unwrap();
    let x = points([[1.0, -2.0], [0.5, 0.1]]);
    let eps = points([[0.3, 0.7], [-1.1, 0.4]]);
    let (beta, alpha, bar, sigma2) = (model.beta(), model.alpha(), model.alpha_bar(), model.sigma2());
    assert!((beta[0] - 1e-4).abs() < 1e-15 && (beta[49] - 0.02).abs() < 1e-15 && sigma2 == beta);
    let z = model.q_sample(x.clone(), &[30], eps.clone());
    assert!(gap(z.clone(), x.clone() * bar[30].sqrt() + eps * (1.0 - bar[30]).sqrt()) < 1e-12);
    let mut rng = Rng::new(4);
    let noise = rng.clone().normal_tensor([2, 2], &Device::flex(), x.dtype());
    let own = (z.clone() - z.clone() * 0.3 * (beta[30] / (1.0 - bar[30]).sqrt())) * alpha[30].sqrt().recip();
    let step = model.p_sample(z.clone(), 30, &mut rng);
    assert!(gap(step, own + noise * sigma2[30].sqrt()) < 1e-12);
    let last = model.p_sample(z.clone(), 0, &mut rng);
    let own = (z.clone() - z * 0.3 * (beta[0] / (1.0 - bar[0]).sqrt())) * alpha[0].sqrt().recip();
    assert!(gap(last, own) < 1e-12);
    let silent = DenoiseDiffusion::new(|x: Tensor<2>, _| x.zeros_like(), 50).unwrap();
    let loss = silent.loss(x.clone(), Some(x.ones_like() * 2.0), &mut rng);
    assert!((numbers(loss)[0] - 4.0).abs() < 1e-12);
    let right = DenoiseDiffusion::new(|x: Tensor<2>, _| x.ones_like() * 2.0, 50).unwrap();
    let loss = right.loss(x.clone(), Some(x.ones_like() * 2.0), &mut rng);
    assert_eq!(numbers(loss)[0], 0.0);
}

/// Any prediction is any other, at any schedule: a perfect model's x̂ is the same read from each.
#[test]
fn every_prediction_says_the_same() {
    let z = points([[0.3, -0.4], [1.2, 0.8]]);
    for (name, schedule) in schedules() {
        let noise = |prediction| Gaussian::new(schedule.clone()).with_prediction(prediction).with_data_std(0.7);
        let part = (1.0, vec![0.2, -0.1], ComponentCovariance::Diagonal(vec![0.5, 1.5]));
        let other = (2.0, vec![-1.0, 1.0], ComponentCovariance::LowRank { factors: vec![vec![0.6, 0.8]], rest: 0.1 });
        for prediction in Prediction::ALL {
            let model = Mixture::new(noise(prediction), vec![part.clone(), other.clone()]).unwrap();
            let said = model.predict(z.clone(), &[0.4]);
            let read = Noise::<2>::estimate(&noise(prediction), said, z.clone(), &[0.4]).mean;
            assert!(gap(read, model.denoise(z.clone(), &[0.4]).mean) < 1e-9, "{name}, {prediction}");
        }
    }
}

#[test]
fn covariances_of_every_kind_agree() {
    let noise = || Gaussian::new(OrnsteinUhlenbeck {});
    let full = vec![vec![0.46, 0.48], vec![0.48, 0.74]];
    let kinds = [
        ComponentCovariance::Full(full.clone()),
        ComponentCovariance::LowRank { factors: vec![vec![0.6, 0.8]], rest: 0.1 },
    ];
    let z = points([[0.3, -0.4], [1.2, 0.8]]);
    let models = kinds.map(|kind| Mixture::gaussian(noise(), vec![1.0, -1.0], kind).unwrap());
    let [a, b] = &models;
    assert!(gap(a.denoise(z.clone(), &[0.3]).mean, b.denoise(z.clone(), &[0.3]).mean) < 1e-12);
    assert!((a.log_density(z.clone(), 0.3)[0] - b.log_density(z.clone(), 0.3)[0]).abs() < 1e-12);
    let (one, two) = (
        a.closed_form(&[0.3, -0.4], noise().schedule().at(0.3)),
        b.closed_form(&[0.3, -0.4], noise().schedule().at(0.3)),
    );
    assert!((one.divergence - two.divergence).abs() < 1e-12);
    for model in &models {
        let x = model.sample(20_000, &mut Rng::new(1));
        for i in 0..2 {
            for j in 0..2 {
                let mean = |k: usize| x.iter().map(|x| x[k]).sum::<f64>() / x.len() as f64;
                let cov = x.iter().map(|x| (x[i] - mean(i)) * (x[j] - mean(j))).sum::<f64>() / x.len() as f64;
                assert!((cov - full[i][j]).abs() < 0.04, "{i} {j}: {cov}");
                assert!((model.covariance()[i][j] - full[i][j]).abs() < 1e-12);
            }
        }
    }
    // The divergence is the trace of differences.
    let c = noise().schedule().at(0.3);
    let mixture = crate::common::mixture(noise());
    let h = 1e-5;
    let trace: f64 = (0..2)
        .map(|d| {
            let at = |s: f64| {
                let mut z = [0.2, -0.5];
                z[d] += s * h;
                mixture.closed_form(&z, c).x[d]
            };
            (at(1.0) - at(-1.0)) / (2.0 * h)
        })
        .sum();
    assert!((mixture.closed_form(&[0.2, -0.5], c).divergence - trace).abs() < 1e-7);
    assert!(Mixture::gaussian(noise(), vec![0.0], ComponentCovariance::Isotropic(-1.0)).is_err());
}

#[test]
fn a_hutchinson_likelihood_is_near_the_exact_one() {
    let model = crate::common::mixture(Gaussian::new(VariancePreserving::default()).with_prediction(Prediction::V));
    let x = points([[-2.0, 0.0], [1.4, 1.0], [0.5, -1.5]]);
    let exact = model.log_density(x.clone(), 0.02);
    let probes = (64, 1e-4);
    let ours = tweedie::likelihood::log_likelihood(&model, x, 0.02, (1e-7, 1e-7), probes, &mut Rng::new(0)).unwrap();
    for (ours, exact) in ours.iter().zip(exact) {
        assert!((ours - exact).abs() < 0.15, "{ours} for {exact}");
    }
}

/// Where x̂'s slopes are a diagonal, a probe of signs gives their trace: Hutchinson's estimate is exact.
#[test]
fn a_hutchinson_likelihood_without_chance_is_exact() {
    let schedule = VariancePreserving { beta_min: 0.1, beta_max: 60.0 };
    let noise = Gaussian::new(schedule).with_prediction(Prediction::V);
    let model = Mixture::gaussian(noise, vec![0.4, -0.2], ComponentCovariance::Diagonal(vec![0.3, 2.0])).unwrap();
    let x = points([[0.1, 0.9], [-1.0, -2.0]]);
    let exact = model.log_density(x.clone(), 0.05);
    let ours =
        tweedie::likelihood::log_likelihood(&model, x, 0.05, (1e-10, 1e-10), (1, 1e-3), &mut Rng::new(0)).unwrap();
    for (ours, exact) in ours.iter().zip(exact) {
        assert!((ours - exact).abs() < 1e-6, "{ours} for {exact}");
    }
}

#[test]
fn dynamic_thresholds_follow_the_row() {
    let noise = Gaussian::new(FlowMatching {}).with_prediction(Prediction::X0);
    let model = Mixture::gaussian(noise, vec![4.0, -0.5, 0.1, 2.0, 0.0], ComponentCovariance::Isotropic(0.0)).unwrap();
    let z = Tensor::<2>::zeros([1, 5], &Device::flex());
    let full = Thresholded { model: model.clone(), quantile: 0.75, max: 10.0 };
    // |x̂| sorted: 0, 0.1, 0.5, 2, 4; the quantile ¾ is 2.
    let x = numbers(full.denoise(z.clone(), &[0.5]).mean);
    assert!([1.0, -0.25, 0.05, 1.0, 0.0].iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?}");
    let capped = Thresholded { model, quantile: 1.0, max: 1.0 };
    let x = numbers(capped.denoise(z, &[0.5]).mean);
    assert!([1.0, -0.5, 0.1, 1.0, 0.0].iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?}");
}

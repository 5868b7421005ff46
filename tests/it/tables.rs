//! Tables of β against their formulas computed by another program, and the ends of schedules.
use crate::common::{numbers, points, reference};
use burn::tensor::Tensor;
use std::sync::Arc;
use tweedie::{
    Rng,
    denoise::Denoiser,
    exact::{ComponentCovariance, Mixture},
    laws,
    noise::{Gaussian, Noise, Prediction, Variance},
    schedule::*,
    spacing::{
        self, Antithetic, CosineInterpolated, Importance, Independent, Karras, Leading, Levels, Spacing, Steps, Uniform,
    },
};

fn near(ours: f64, theirs: f64, allowed: f64) -> bool {
    (ours - theirs).abs() <= allowed * theirs.abs().max(1e-300)
}

/// ᾱ_i of tables of 1,000 steps, by the formulas of their papers.
#[test]
fn tables_are_those_of_their_papers() {
    let cases: [(&str, Arc<dyn Schedule>); 10] = [
        ("scaled-linear", Arc::new(ScaledLinear::default())),
        ("sigmoid", Arc::new(Sigmoid::default())),
        ("sigmoid-signal", Arc::new(SigmoidSignal::default())),
        ("sigmoid-signal 0 3 0.7", Arc::new(SigmoidSignal::new(1000, 0.0, 3.0, 0.7))),
        ("laplace", Arc::new(Laplace::default())),
        ("polynomial", Arc::new(Polynomial::default())),
        ("jsd", Arc::new(Jsd::default())),
        ("constant", Arc::new(Constant::default())),
        ("sqrt", Arc::new(Sqrt::default())),
        ("cosine 0.05 3 0.9", Arc::new(Cosine::new(1000).with_offset(0.05).with_exponent(3.0).with_clip(0.9))),
    ];
    let rows = reference(include_str!("../data/schedules.txt"));
    for (name, schedule) in cases {
        let own: Vec<_> = rows.iter().filter(|row| row[0] == name).collect();
        assert_eq!(own.len(), 5, "{name}");
        for row in own {
            let (i, bar): (usize, f64) = (row[1].parse().unwrap(), row[2].parse().unwrap());
            let own = schedule.at(i as f64 / 1000.0).alpha.powi(2);
            assert!(near(own, bar, 1e-10), "{schedule:?}: ᾱ {i} is {own} and not {bar}");
        }
    }
}

/// Lists that end without signal are the published ones; others say what is wrong in the words of the list.
#[test]
fn a_table_may_end_without_signal() {
    let half = Listed::new(Quantity::AlphaBars, vec![0.81, 0.36, 0.0]);
    half.check().unwrap();
    let c = half.at(1.0);
    assert_eq!((c.alpha, c.sigma), (0.0, 1.0));
    // α goes along a line from 0.6 to 0 in the last third.
    let c = half.at(5.0 / 6.0);
    assert!(near(c.alpha, 0.3, 1e-12) && near(c.alpha_dot, -1.8, 1e-12) && near(c.sigma, 0.91f64.sqrt(), 1e-12));
    assert!(near(half.time_at_log_snr(c.log_snr()), 5.0 / 6.0, 1e-12));
    for check in laws::schedule(&half).into_iter().filter(|check| !check.law.contains("small")) {
        assert!(check.holds(), "{check}");
    }
    let jsd: Vec<f64> = (0..10).map(|i| 1.0 / f64::from(10 - i)).collect();
    assert!(near(Listed::new(Quantity::Betas, jsd).at(0.5).alpha.powi(2), 0.5, 1e-12));
    let why = |quantity, values: &[f64]| Listed::new(quantity, values.to_vec()).check().unwrap_err().to_string();
    assert!(why(Quantity::Betas, &[0.5, 1.0, 0.5]).contains("step 2 of the table has β = 1"));
    assert!(why(Quantity::AlphaBars, &[0.5, 0.0, 0.0]).contains("step 2"));
    assert!(why(Quantity::Sigmas, &[80.0, 2.0, 0.1]).contains("80 is followed by 2; list them from the smallest"));
    assert!(Linear::new(usize::MAX).check().unwrap_err().to_string().contains("at most"));
    assert!(
        Laplace::new(10, f64::NAN, 0.5)
            .check()
            .unwrap_err()
            .to_string()
            .contains("`mean` must be a finite number, got NaN")
    );
}

/// Parameters that define no table are refused by `check`; until then every value is NaN, and nothing panics.
#[test]
fn a_table_of_bad_parameters_is_refused_and_does_not_panic() {
    let bad = Linear::new(3).with_beta_start(0.25).with_beta_end(1.5);
    assert!(bad.check().unwrap_err().to_string().contains("step 3 of the table has β = 1.5"));
    assert!(bad.table().is_err() && bad != bad.clone());
    assert!(bad.at(0.5).alpha.is_nan() && bad.survival(0.5.into()).value.is_nan() && bad.time_at_log_snr(0.0).is_nan());
    assert_eq!(Schedule::steps(&bad), None);
    assert!(Noise::<2>::check(&Gaussian::new(bad.clone())).is_err());
    // A setter computes the table anew.
    let good = bad.with_beta_start(0.25).with_beta_end(0.75);
    assert!(near(good.at(1.0).alpha.powi(2), Linear::between(3, 0.25, 0.75).at(1.0).alpha.powi(2), 1e-15));
}

/// An estimate without a variance takes the posterior's if the noise learns its variance.
#[test]
fn a_learned_variance_that_is_missing_is_the_small_one() {
    let x = points([[0.3, -0.4]]);
    let noise = |variance| Gaussian::new(Cosine::new(10)).with_variance(variance);
    let (learned, small) = (noise(Variance::Learned), noise(Variance::Small));
    let std = |noise: &Gaussian| numbers(noise.approximate(x.clone().into(), x.clone(), &[0.2], &[0.5]).std());
    assert_eq!(std(&learned), std(&small));
    let std = |noise: &Gaussian| numbers(noise.decoder(x.clone().into(), x.clone(), &[0.1]).std());
    assert_eq!(std(&learned), std(&small));
}

/// g² is a number at the ends where α is: 0 · ∞ stands for its limit.
#[test]
fn diffusion_at_the_ends() {
    // β(0) = 0.1 and β(1) = 20; a table's first rate.
    let preserving = VariancePreserving::default();
    assert!(near(preserving.at(0.0).diffusion(), 0.1, 1e-5), "{}", preserving.at(0.0).diffusion());
    assert!(near(preserving.at(1.0).diffusion(), 20.0, 1e-9));
    let table = Linear::new(1000);
    assert!(near(table.at(0.0).diffusion(), -1000.0 * (-1e-4f64).ln_1p(), 1e-9));
    assert!(near(exploding(|t| t.sqrt() * 25.0).at(0.0).diffusion(), 625.0, 1e-6));
    for log_snr in [f64::NEG_INFINITY, -1e4] {
        assert_eq!(preserving.time_at_log_snr(log_snr), 1.0);
    }
    assert_eq!(VariancePreserving { beta_min: 0.0, beta_max: 20.0 }.time_at_log_snr(f64::INFINITY), 0.0);
}

/// Trailing steps as diffusers rounds them, leading ones with its offset.
#[test]
fn steps_of_a_table_are_those_of_diffusers() {
    let numbers = |grid: Vec<f64>| -> Vec<i64> {
        grid.iter().rev().skip(1).rev().map(|t| (t * 1000.0).round() as i64 - 1).collect()
    };
    assert_eq!(numbers(Steps(1000).grid(7)), [999, 856, 713, 570, 428, 285, 142]);
    assert_eq!(
        numbers(Steps(1000).grid(30)),
        [
            999, 966, 932, 899, 866, 832, 799, 766, 732, 699, 666, 632, 599, 566, 532, 499, 466, 432, 399, 366, 332,
            299, 266, 232, 199, 166, 132, 99, 66, 32
        ]
    );
    assert_eq!(numbers(Leading { steps: 1000, offset: 1 }.grid(5)), [801, 601, 401, 201, 1]);
}

/// k-diffusion's interpolated cosine levels, by its formula.
#[test]
fn interpolated_levels_are_those_of_k_diffusion() {
    let plain = CosineInterpolated::default();
    let large = CosineInterpolated { size: 256.0, high: 128.0, data_std: 0.5, ..plain };
    for (levels, wanted) in [
        (plain, [0.1706312789547408, std::f64::consts::SQRT_2, 11.721180385282645]),
        (large, [0.18287807666231864, 1.9999999999999996, 21.872495998445636]),
    ] {
        for (u, level) in [0.1, 0.5, 0.9].into_iter().zip(wanted) {
            assert!(near(levels.level(u), level, 1e-12), "{} and not {level}", levels.level(u));
        }
    }
}

/// A spacing that draws in a way of its own is not given to another; one that only moves times carries it on.
#[test]
fn spacings_within_spacings_are_not_forgotten() {
    let learning = Importance::of(Uniform::default());
    let moved = spacing::ShiftedSpacing { spacing: learning, factor: 2.0 };
    moved.check().unwrap();
    let mut history = moved.loss_history();
    assert!(!history.is_empty());
    let strata: Vec<usize> = (0..1000).map(|i| i % 100).collect();
    let losses: Vec<f64> = strata.iter().map(|k| if *k < 50 { 1.0 } else { 3.0 }).collect();
    history.record(&strata, &losses);
    let (one, other) = (
        moved.sample_weighted(64, &mut Rng::new(3), &history),
        learning.sample_weighted(64, &mut Rng::new(3), &history),
    );
    assert_eq!((&one.weights, &one.strata), (&other.weights, &other.strata));
    assert!(one.times.iter().zip(&other.times).all(|(a, b)| near(*a, 2.0 * b / (1.0 + b), 1e-12)));
    let why = |spacing: &dyn Spacing| spacing.check().unwrap_err().to_string();
    assert!(why(&Antithetic(learning)).contains("only one of them"));
    assert!(why(&Independent(moved)).contains("only one of them"));
    assert!(why(&Importance::of(Antithetic(Uniform::default()))).contains("only one of them"));
    assert!(Antithetic(spacing::ShiftedSpacing { spacing: Uniform::default(), factor: 2.0 }).check().is_ok());
}

/// Levels begin where training does: a table's first step, a schedule's σ(0), and EDM's constants where an end is none.
#[test]
fn levels_end_where_the_schedule_does() {
    let level = |schedule: &dyn Schedule, t: f64| schedule.at(t).sigma / schedule.at(t).alpha;
    let table = Linear::new(100);
    assert_eq!(spacing::level_range(&table), [level(&table, 0.01), level(&table, 1.0)]);
    assert_eq!(spacing::level_range(&FlowMatching {}), [0.002, 80.0]);
    assert_eq!(spacing::level_range(&Cosine::new(1000))[1], 80.0);
    let edm = Edm { sigma_min: 0.01, sigma_max: 20.0, rho: 7.0 };
    let [min, max] = spacing::level_range(&edm);
    assert!(near(min, 0.01, 1e-12) && near(max, 20.0, 1e-12));
    let grid = Karras { min, max, rho: 7.0 }.on(edm).grid(5);
    assert!(grid.iter().take(5).enumerate().all(|(i, t)| (t - (1.0 - i as f64 / 5.0)).abs() < 1e-6), "{grid:?}");
}

/// What no net can say is refused; what is said without noise is read.
#[test]
fn words_at_the_ends() {
    let steep = Gaussian::new(OrnsteinUhlenbeck {}).with_prediction(Prediction::Velocity);
    let why = Noise::<2>::check(&steep).unwrap_err().to_string();
    assert!(why.contains("needs a schedule with finite slopes at t = 1"), "{why}");
    let extreme: [Arc<dyn Schedule>; 3] = [
        Arc::new(Edm { rho: 1e-6, ..Edm::default() }),
        Arc::new(VarianceExploding { sigma_min: 1e-320, sigma_max: 50.0 }),
        Arc::new(Shifted { schedule: CosineAngle {}, factor: 1e200 }),
    ];
    for schedule in extreme {
        let why = Noise::<2>::check(&Gaussian::new(schedule)).unwrap_err().to_string();
        assert!(why.contains("its parameters are too extreme"), "{why}");
    }
    let x = points([[0.3, -0.4]]);
    for prediction in Prediction::ALL {
        for schedule in [Arc::new(FlowMatching {}) as Arc<dyn Schedule>, Arc::new(Linear::new(10))] {
            let noise = Gaussian::new(schedule).with_prediction(prediction);
            let read = Noise::<2>::estimate(&noise, x.ones_like(), x.clone(), &[0.0]).mean;
            assert_eq!(numbers(read), [0.3, -0.4], "{prediction}: z is x without noise");
        }
    }
    let said = Gaussian::new(FlowMatching {}).with_prediction(Prediction::X0);
    assert_eq!(numbers(Noise::<2>::target(&said, x.clone(), x.clone(), &[0.0])), [0.3, -0.4]);
}

/// Any word becomes any other, also where one of α and σ is gone.
#[test]
fn words_are_translated() {
    let (x, eps) = (points([[0.3, -0.4], [1.2, 0.7]]), points([[0.5, 1.5], [-0.8, 0.1]]));
    let schedules: [Arc<dyn Schedule>; 3] = [
        Arc::new(VariancePreserving::default()),
        Arc::new(FlowMatching {}),
        Arc::new(Edm { sigma_min: 0.1, sigma_max: 5.0, rho: 3.0 }),
    ];
    for schedule in schedules {
        for t in [[0.1, 0.9], [0.4, 0.6]] {
            for (from, to) in Prediction::ALL.into_iter().flat_map(|a| Prediction::ALL.map(|b| (a, b))) {
                let noise = Gaussian::new(schedule.clone()).with_prediction(from).with_data_std(0.5);
                let law = Noise::<2>::prior(&noise, x.clone(), &t);
                let z = law.mean() + law.std() * eps.clone();
                let word = Noise::<2>::target(&noise, x.clone(), z.clone(), &t);
                let (said, want) = (
                    noise.convert(word, z.clone(), &t, to),
                    Noise::<2>::target(&noise.clone().with_prediction(to), x.clone(), z, &t),
                );
                for (a, b) in numbers(said).into_iter().zip(numbers(want)) {
                    assert!(
                        (a - b).abs() < 1e-9 * (1.0 + b.abs()),
                        "{from} to {to} on {schedule:?} at {t:?}: {a} and not {b}"
                    );
                }
            }
        }
    }
    // At t = 1 of straight paths x̂ = z − velocity, and ε = z.
    let flow = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity);
    let said = |to| numbers(flow.convert(points([[0.2, 0.1]]), points([[1.0, -1.0]]), &[1.0], to));
    assert_eq!((said(Prediction::X0), said(Prediction::Epsilon)), (vec![0.8, -1.1], vec![1.0, -1.0]));
}

fn mixture(noise: Gaussian) -> Mixture {
    let full = ComponentCovariance::Full(vec![vec![0.5, 0.2], vec![0.2, 0.3]]);
    Mixture::new(noise, vec![(0.4, vec![1.0, 0.5], full), (0.6, vec![-0.5, 0.2], ComponentCovariance::Isotropic(0.2))])
        .unwrap()
}

/// At t = 0 the exact model says the limit of what it says a little above: the score of the data, and their velocity.
#[test]
fn exact_models_without_noise() {
    let z = points([[0.3, 0.1], [2.0, -1.0]]);
    let schedules: [Arc<dyn Schedule>; 3] =
        [Arc::new(VariancePreserving::default()), Arc::new(FlowMatching {}), Arc::new(Linear::new(1000))];
    for schedule in schedules {
        for prediction in [Prediction::Score, Prediction::Velocity, Prediction::V, Prediction::X0] {
            let model = mixture(Gaussian::new(schedule.clone()).with_prediction(prediction));
            let (end, near) = (numbers(model.predict(z.clone(), &[0.0])), numbers(model.predict(z.clone(), &[1e-9])));
            for (a, b) in end.into_iter().zip(near) {
                assert!(
                    (a - b).abs() < 1e-3 * (1.0 + b.abs()),
                    "{prediction} on {schedule:?}: {a} and {b} a little above"
                );
            }
        }
        let model = mixture(Gaussian::new(schedule));
        // The slope of the log-density by differences.
        let score = numbers(model.score(z.clone(), 0.0));
        for (i, want) in score.into_iter().enumerate() {
            let density = |h: f64| {
                let mut moved = numbers(z.clone());
                moved[i] += h;
                model.log_density(points([[moved[0], moved[1]], [moved[2], moved[3]]]), 0.0)[i / 2]
            };
            assert!(((density(1e-5) - density(-1e-5)) / 2e-5 - want).abs() < 1e-6);
        }
    }
    // Points without noise: the nearest one, with all or nothing.
    let data = Mixture::empirical(Gaussian::new(FlowMatching {}), vec![vec![0.0, 0.0], vec![1.0, 1.0]], 0.0).unwrap();
    let z = points([[0.9, 0.8], [0.0, 0.0]]);
    assert_eq!(numbers(data.denoise(z.clone(), &[0.0]).mean), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(data.log_density(z.clone(), 0.0), [f64::NEG_INFINITY, f64::INFINITY]);
    assert_eq!(numbers(data.score(z, 0.0)), [f64::INFINITY, f64::INFINITY, 0.0, 0.0]);
}

/// Moments of x_t, and draws that have them.
#[test]
fn exact_moments_and_draws_at_any_time() {
    let model = mixture(Gaussian::new(Cosine::new(1000)));
    for t in [0.0, 0.3, 1.0] {
        let c = Cosine::new(1000).at(t);
        let (mean, covariance) = model.moments(t);
        assert!(near(mean[0], c.alpha * 0.1, 1e-12));
        // 0.4 · 0.5 + 0.6 · 0.2 + 0.4 · 0.6 · 1.5²
        assert!(near(covariance[0][0], c.alpha.powi(2) * (0.32 + 0.54) + c.sigma.powi(2), 1e-12));
        let draws = model.sample_at(20_000, t, &mut Rng::new(5));
        assert_eq!(draws[..7], model.sample_at(7, t, &mut Rng::new(5)), "draw i depends on row i alone");
        for i in 0..2 {
            let own = draws.iter().map(|x| x[i]).sum::<f64>() / 20_000.0;
            assert!((own - mean[i]).abs() < 4.0 * (covariance[i][i] / 20_000.0).sqrt(), "{own} for {}", mean[i]);
            for j in 0..2 {
                let own = draws.iter().map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).sum::<f64>() / 20_000.0;
                assert!((own - covariance[i][j]).abs() < 0.03, "{own} for {}", covariance[i][j]);
            }
        }
    }
}

#[test]
fn what_is_no_mixture_is_refused() {
    let of = |mean: f64, covariance| Mixture::gaussian(Gaussian::new(FlowMatching {}), vec![mean, 0.0], covariance);
    assert!(of(f64::NAN, ComponentCovariance::Isotropic(1.0)).unwrap_err().to_string().contains("NaN"));
    // Of rank one and large: rounding leaves −1e-9 of 0.
    let v = [3e4, 1e4];
    let outer = v.map(|a| v.map(|b| a * b * 0.1 + 0.0).to_vec()).to_vec();
    assert!(of(0.0, ComponentCovariance::Full(outer)).is_ok());
    assert!(of(0.0, ComponentCovariance::Full(vec![vec![1.0, 2.0], vec![2.0, 1.0]])).is_err());
    let schedule = Edm { sigma_min: 2.0, sigma_max: 1.0, rho: 7.0 };
    assert!(Mixture::gaussian(Gaussian::new(schedule), vec![0.0], ComponentCovariance::Isotropic(1.0)).is_err());
}

#[test]
fn a_likelihood_of_the_data_themselves_is_refused() {
    let model = mixture(Gaussian::new(FlowMatching {}));
    let error = model.log_likelihood(points([[0.3, 0.1]]), 0.0, 1.0, tweedie::exact::Terminal::Exact).unwrap_err();
    assert!(error.to_string().contains("the likelihood of x_s needs σ > 0 at both ends of the flow"), "{error}");
}

#[test]
fn steps_of_ddpm_are_numbered() {
    let model = tweedie::process::DenoiseDiffusion::new(|z: Tensor<2>, _| z, 10).unwrap();
    assert_eq!(model.n_steps(), 10);
    let x = points([[0.3, 0.1], [0.5, 0.2], [0.1, 0.1]]);
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.q_sample(x.clone(), &[1, 2], x)));
    let message = *wrong.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("there must be one step number, or one for each of 3 rows, got 2"), "{message}");
}

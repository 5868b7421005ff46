//! Losses in a space of choice and their weights over noise levels, against the formulas of the papers.
use burn::tensor::{DType, Device, Tensor};
use std::sync::Arc;
use tweedie::{
    Error, Rng,
    laws::{self, Check},
    loss::{
        Batch, ErrorOf, HuberConstant, Loss, Penalty, Regression, Simple, Space,
        weight::{
            Constant, Debiased, Edm, InverseVariance, MinSnr, P2, PerLogSnr, Sigmoid, Snr, SoftMinSnr, TruncatedSnr,
            Weight,
        },
    },
    noise::{Discrete, Gaussian, Noise, Prediction, Variance},
    schedule::{self, Cosine, FlowMatching, Linear, Scales, Schedule, VariancePreserving},
};

fn schedules() -> Vec<Arc<dyn Schedule>> {
    vec![
        Arc::new(Linear::new(1000)),
        Arc::new(Cosine::new(1000)),
        Arc::new(VariancePreserving::default()),
        Arc::new(FlowMatching {}),
        Arc::new(schedule::Edm::default()),
    ]
}
fn weights() -> Vec<Arc<dyn Weight>> {
    let constants = Prediction::ALL.map(|space| Arc::new(Constant { space }) as Arc<dyn Weight>);
    let mut all: Vec<Arc<dyn Weight>> = vec![
        Arc::new(Snr {}),
        Arc::new(TruncatedSnr::default()),
        Arc::new(MinSnr::default()),
        Arc::new(SoftMinSnr::default()),
        Arc::new(P2::default()),
        Arc::new(P2 { k: 1.0, gamma: 0.5 }),
        Arc::new(Sigmoid::default()),
        Arc::new(Sigmoid { bias: -3.0 }),
        Arc::new(Edm::default()),
        Arc::new(InverseVariance {}),
        Arc::new(Debiased {}),
        Arc::new(PerLogSnr(Sigmoid::default())),
    ];
    all.extend(constants);
    all
}
fn broken(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.law).collect()
}
fn normals(purpose: &str, dtype: DType) -> Tensor<2> {
    Rng::new(3).stream(purpose).normal_tensor([9, 5], &Device::flex(), dtype)
}
const TIMES: [f64; 9] = [0.01, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.99];

/// The loss of a network of this noise's prediction type at random outputs, and its mean squared error, row by row.
fn losses(noise: &Gaussian, loss: &dyn Loss<2>, dtype: DType) -> [Vec<f64>; 2] {
    let x = normals("x", dtype);
    let z = Noise::<2>::prior(noise, x.clone(), &TIMES).sample(&mut Rng::new(4)).value;
    let output = normals("output", dtype);
    let batch = Batch::new(noise, x, z, None, &TIMES, output, &(), &());
    [loss.compute(&batch), Simple {}.compute(&batch)].map(|losses| losses.try_into_vec_as::<f64>().unwrap())
}

#[test]
fn every_weight_is_one_weight_on_the_denoised_estimate() {
    for weight in weights() {
        for schedule in schedules() {
            let checks = laws::weight(weight.clone(), schedule.clone());
            assert!(broken(&checks).is_empty() && checks.len() == 5, "{weight:?} {schedule:?} {checks:#?}");
        }
    }
}

/// A weight of a function of α and σ.
#[derive(Debug)]
struct Of(fn(f64, f64) -> f64);
impl Weight for Of {
    fn weight(&self, c: Scales) -> f64 {
        self.0(c.alpha, c.sigma)
    }
}

#[test]
fn a_weight_that_is_negative_or_not_finite_breaks_a_law() {
    let broken = |f| broken(&laws::weight(Arc::new(Of(f)), Arc::new(FlowMatching {})));
    assert_eq!(broken(|a, s| a - s), ["the weight is not negative"]);
    assert!(broken(|a, s| 1.0 / (a - s).max(0.0)).contains(&"the weight is finite between the ends"));
    assert!(broken(|a, _| (a - 0.5).sqrt()).contains(&"the weight is not negative"));
    assert_eq!(broken(|a, s| a * s), [""; 0]);
}

/// A factor on the squared error of a prediction, at α and σ.
type Curve = fn(f64, f64) -> f64;

/// The factors of the papers on the squared errors of ε, x0 and v, for a variance-preserving schedule, written with ᾱ = α².
fn published() -> Vec<(Arc<dyn Weight>, [Curve; 3])> {
    fn snr(a: f64, s: f64) -> f64 {
        a * a / (s * s)
    }
    vec![
        // Hang et al. (2023), section 3.4: min{γ/SNR, 1} of ε, min{SNR, γ} of x0, min{SNR, γ}/(SNR + 1) of v.
        (
            Arc::new(MinSnr { gamma: 5.0 }),
            [
                |a, s| (5.0 / snr(a, s)).min(1.0),
                |a, s| snr(a, s).min(5.0),
                |a, s| snr(a, s).min(5.0) / (snr(a, s) + 1.0),
            ],
        ),
        // Crowson et al. (2024): 1/(σ² + 1/γ) of x0 with σ of x + σ ε.
        (
            Arc::new(SoftMinSnr { gamma: 4.0 }),
            [
                |a, s| (s / a).powi(2) / ((s / a).powi(2) + 0.25),
                |a, s| 1.0 / ((s / a).powi(2) + 0.25),
                |a, s| 1.0 / (((s / a).powi(2) + 0.25) * (snr(a, s) + 1.0)),
            ],
        ),
        // Salimans and Ho (2022): the truncated SNR of x0; SNR + 1 of x0 is the loss of v.
        (
            Arc::new(TruncatedSnr::default()),
            [
                |a, s| 1.0_f64.max((s / a).powi(2)),
                |a, s| 1.0_f64.max(snr(a, s)),
                |a, s| 1.0_f64.max(snr(a, s)) / (1.0 + snr(a, s)),
            ],
        ),
        (Arc::new(Constant { space: Prediction::V }), [|a, _| (a * a).recip(), |a, s| 1.0 + snr(a, s), |_, _| 1.0]),
        (Arc::new(InverseVariance {}), [|a, _| (a * a).recip(), |_, s| (s * s).recip(), |_, _| 1.0]),
        // Ho, Jain and Abbeel (2020): weight 1 of ε.
        (Arc::new(Snr {}), [|_, _| 1.0, snr, |a, _| a * a]),
        // Choi et al. (2022), eq. 8: 1/(k + SNR)^γ of ε.
        (
            Arc::new(P2 { k: 1.0, gamma: 0.5 }),
            [
                |a, s| (1.0 + snr(a, s)).powf(-0.5),
                |a, s| snr(a, s) / (1.0 + snr(a, s)).sqrt(),
                |a, s| a * a / (1.0 + snr(a, s)).sqrt(),
            ],
        ),
        // Kingma and Gao (2023): sigmoid(−λ + 2) of ε.
        (
            Arc::new(Sigmoid { bias: 2.0 }),
            [
                |a, s| 1.0 / (1.0 + (snr(a, s).ln() - 2.0).exp()),
                |a, s| snr(a, s) / (1.0 + (snr(a, s).ln() - 2.0).exp()),
                |a, s| a * a / (1.0 + (snr(a, s).ln() - 2.0).exp()),
            ],
        ),
        // Karras et al. (2022), table 1: (σ² + d²)/(σ d)² of x0, d = ½.
        (
            Arc::new(Edm::default()),
            [
                |a, s| ((s / a).powi(2) + 0.25) / 0.25,
                |a, s| ((s / a).powi(2) + 0.25) / (0.5 * s / a).powi(2),
                |a, s| ((s / a).powi(2) + 0.25) / (0.5 * s / a).powi(2) / (1.0 + snr(a, s)),
            ],
        ),
        // Yu et al. (2023): 1/√SNR of ε.
        (Arc::new(Debiased {}), [|a, s| s / a, |a, s| a / s, |a, s| a * s]),
    ]
}

#[test]
fn weights_are_the_curves_of_their_papers_for_epsilon_x0_and_v() {
    for (weight, curves) in published() {
        for (prediction, curve) in [Prediction::Epsilon, Prediction::X0, Prediction::V].into_iter().zip(curves) {
            for (i, space) in [Space::Prediction, Space::X0, Space::Velocity].into_iter().enumerate() {
                let schedule = VariancePreserving::default();
                let noise = Gaussian::new(schedule).with_prediction(prediction);
                let loss = Regression::squared().in_space(space).with_weight(weight.clone());
                let [found, errors] = losses(&noise, &loss, DType::F64);
                for ((found, error), t) in found.iter().zip(errors).zip(TIMES) {
                    let c = schedule.at(t);
                    let expected = curve(c.alpha, c.sigma) * error;
                    let gap = (found / expected - 1.0).abs();
                    assert!(gap < 1e-10, "{weight:?} {prediction} {i} t = {t}: {found} for {expected}");
                }
            }
        }
    }
}

#[test]
fn weights_are_those_of_flow_matching_for_the_velocity() {
    // With α = 1 − t and σ = t the velocity's error is −1/t of that of x̂.
    let cases: [(Arc<dyn Weight>, fn(f64) -> f64); 5] = [
        (Arc::new(MinSnr { gamma: 5.0 }), |t| ((1.0 - t) * (1.0 - t)).min(5.0 * t * t)),
        (Arc::new(Constant { space: Prediction::Velocity }), |_| 1.0),
        (Arc::new(InverseVariance {}), |_| 1.0),
        (Arc::new(Snr {}), |t| (1.0 - t) * (1.0 - t)),
        // The velocity's own density of λ, 2/(t (1 − t)), times e^(−λ/2) of Kingma and Gao (2023), table 1, on ε is 2 on the velocity.
        (Arc::new(PerLogSnr(Of(|a, s| (a / s).powi(2) * (s / a)))), |_| 2.0),
    ];
    for (weight, curve) in cases {
        let noise = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity);
        let [found, errors] = losses(&noise, &Regression::squared().with_weight(weight.clone()), DType::F64);
        for ((found, error), t) in found.iter().zip(errors).zip(TIMES) {
            assert!((found / (curve(t) * error) - 1.0).abs() < 1e-10, "{weight:?} t = {t}");
        }
    }
}

#[test]
fn without_a_weight_the_loss_is_the_plain_error_of_its_space() {
    let schedule = VariancePreserving::default();
    for (i, own) in Prediction::ALL.into_iter().enumerate() {
        let noise = Gaussian::new(schedule).with_prediction(own).with_data_std(0.7);
        // In its own space, the bits of `Simple`.
        for dtype in [DType::F32, DType::F64] {
            for space in [Space::Prediction, Space::from(own)] {
                let [found, simple] = losses(&noise, &Regression::squared().in_space(space), dtype);
                assert_eq!(found, simple, "{own}");
            }
        }
        // In another, that of its converted output.
        let other = Prediction::ALL[(i + 1) % 6];
        let x = normals("x", DType::F64);
        let z = Noise::<2>::prior(&noise, x.clone(), &TIMES).sample(&mut Rng::new(4)).value;
        let output = noise.convert(normals("output", DType::F64), z.clone(), &TIMES, other);
        let in_other = Gaussian::new(schedule).with_prediction(other).with_data_std(0.7);
        let batch = Batch::new(&in_other, x, z, None, &TIMES, output, &(), &());
        let expected = Simple {}.compute(&batch).try_into_vec_as::<f64>().unwrap();
        let [found, _] = losses(&noise, &Regression::squared().in_space(other.into()), DType::F64);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-9, "{own} in {other}: {found} for {expected}");
        }
    }
}

#[test]
fn robust_penalties_are_those_of_their_definitions() {
    let noise = Gaussian::new(VariancePreserving::default()).with_prediction(Prediction::V);
    let mean = |f: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
        let x = normals("x", DType::F64);
        let z = Noise::<2>::prior(&noise, x.clone(), &TIMES).sample(&mut Rng::new(4)).value;
        let error = normals("output", DType::F64) - noise.target(x, z, &TIMES);
        let errors = error.try_into_vec_as::<f64>().unwrap();
        errors.chunks(5).enumerate().map(|(i, row)| row.iter().map(|e| f(*e, i)).sum::<f64>() / 5.0).collect()
    };
    let close = |loss: Regression, expected: Vec<f64>| {
        let [found, _] = losses(&noise, &loss, DType::F64);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-12, "{loss:?}: {found} for {expected}");
        }
    };
    close(Regression::absolute(), mean(&|e, _| e.abs()));
    // Twice Huber's function, that is e² within δ.
    let huber = |e: f64| if e.abs() <= 0.7 { 0.5 * e * e } else { 0.7 * (e.abs() - 0.35) };
    close(Regression::huber(0.7), mean(&|e, _| 2.0 * huber(e)));
    close(Regression::pseudo_huber(0.1), mean(&|e, _| 0.2 * ((e * e + 0.01).sqrt() - 0.1)));
    let scheduled = Penalty::PseudoHuber { c: 0.1, of: ErrorOf::Entry, constant: HuberConstant::Snr };
    let path = VariancePreserving::default();
    let constant = |i: usize| {
        let c = path.at(TIMES[i]);
        0.1 + 0.9 / (1.0 + c.sigma / c.alpha).powi(2)
    };
    close(
        Regression::new(scheduled),
        mean(&|e, i| 2.0 * constant(i) * ((e * e + constant(i).powi(2)).sqrt() - constant(i))),
    );
    // √(‖e‖² + C²) − C of a sample, with C = c √n.
    let of_sample = Penalty::PseudoHuber { c: 0.02, of: ErrorOf::Sample, constant: HuberConstant::Fixed };
    let whole = 0.02 * 5f64.sqrt();
    let expected = mean(&|e, _| e * e)
        .into_iter()
        .map(|square| (((5.0 * square) + whole * whole).sqrt() - whole) * 2.0 * 0.02 / 5f64.sqrt());
    close(Regression::new(of_sample), expected.collect());
}

#[test]
fn robust_losses_obey_the_laws_of_losses() {
    let x = Rng::new(0).normal_tensor([8, 3], &Device::flex(), DType::F64);
    for (noise, variance) in [(Cosine::new(100), Variance::Small), (Cosine::new(100), Variance::Learned)] {
        let noise = Gaussian::new(noise).with_prediction(Prediction::V).with_variance(variance);
        let x: Tensor<2> = x.clone();
        for loss in [
            Regression::squared().in_space(Space::X0).with_weight(MinSnr::default()),
            Regression::huber(0.3).in_space(Space::Epsilon),
            Regression::pseudo_huber(0.1).with_weight(Sigmoid::default()),
        ] {
            // A learned variance is not read, and takes another output per value.
            let checks = laws::loss::<2>(&loss, &noise, &x);
            assert!(broken(&checks).is_empty(), "{loss:?} {checks:#?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |loss: Regression, noise: &dyn Noise<2>| -> String {
        Loss::check(&loss, noise).map_err(|error: Error| error.to_string()).unwrap_err()
    };
    let gaussian = Gaussian::new(VariancePreserving::default()).with_prediction(Prediction::V);
    let categories = Discrete::uniform(Linear::new(10), 3);
    assert!(refused(Regression::squared(), &categories).contains("which is not defined for categories"));
    for (loss, field) in [
        (Regression::huber(0.0), "delta"),
        (Regression::pseudo_huber(f64::NAN), "c"),
        (Regression::squared().with_weight(MinSnr { gamma: -5.0 }), "weighting.gamma"),
        (Regression::squared().with_weight(Edm { data_std: 0.0 }), "weighting.data_std"),
    ] {
        let error = Loss::<2>::check(&loss, &gaussian).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(error.to_string().contains("must be a positive number, got"), "{error}");
    }
    let negative = refused(Regression::squared().with_weight(Of(|a, s| a - s)), &gaussian);
    assert!(negative.contains("must be a finite number of 0 or more, got -"), "{negative}");
    let infinite = refused(Regression::squared().with_weight(Of(|a, _| 1.0 / (a - 0.5).max(0.0))), &gaussian);
    assert!(infinite.contains("got inf at t ="), "{infinite}");
}

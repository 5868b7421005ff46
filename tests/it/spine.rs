//! The laws of schedules, spacings, streams, distributions and noises, and other systems' numbers for them.
use crate::common::{all_hold, device};
use burn::tensor::{DType, Tensor, TensorData};
use std::sync::Arc;
use tweedie::{
    Rng,
    distribution::{Categorical, Distribution, Normal},
    laws,
    noise::{Discrete, Gaussian, Noise, Prediction, Variance},
    schedule::*,
    spacing::*,
};

pub fn schedules() -> Vec<(&'static str, Arc<dyn Schedule>)> {
    vec![
        ("linear", Arc::new(Linear::new(1000))),
        ("cosine", Arc::new(Cosine::new(1000))),
        ("cosine, short", Arc::new(Cosine::new(20).with_offset(0.02).with_exponent(1.5))),
        ("sqrt", Arc::new(Sqrt::new(2000))),
        ("constant", Arc::new(Constant::new(500, 0.02))),
        ("flow matching", Arc::new(FlowMatching {})),
        ("ornstein-uhlenbeck", Arc::new(OrnsteinUhlenbeck {})),
        ("variance exploding", Arc::new(VarianceExploding::default())),
        ("variance preserving", Arc::new(VariancePreserving::default())),
        ("edm", Arc::new(Edm::default())),
    ]
}

pub fn survivals() -> Vec<(&'static str, Arc<dyn Survival>)> {
    vec![
        ("linear", Arc::new(Linear::new(1000))),
        ("cosine", Arc::new(Cosine::new(1000))),
        ("cosine, short", Arc::new(Cosine::new(20).with_offset(0.02).with_exponent(1.5))),
        ("sqrt", Arc::new(Sqrt::new(2000))),
        ("constant", Arc::new(Constant::new(500, 0.02))),
        ("flow matching", Arc::new(FlowMatching {})),
        ("ornstein-uhlenbeck", Arc::new(OrnsteinUhlenbeck {})),
        ("variance preserving", Arc::new(VariancePreserving::default())),
    ]
}

#[test]
fn schedules_obey_their_laws() {
    for (name, schedule) in schedules() {
        schedule.check().unwrap();
        all_hold(name, laws::schedule(&schedule));
    }
}

#[test]
fn survival_probabilities_obey_their_laws() {
    for (name, schedule) in survivals() {
        schedule.check().unwrap();
        all_hold(name, laws::survival(&schedule));
    }
    /// Comes back, exceeds one, and its slope is wrong.
    #[derive(Debug)]
    struct Wrong;
    impl Survival for Wrong {
        fn survival(&self, t: tweedie::Dual) -> tweedie::Dual {
            tweedie::Dual { value: 0.5 + t.value, slope: 2.0 }
        }
    }
    let failed = laws::survival(&Wrong).iter().filter(|check| !check.holds()).count();
    assert_eq!(failed, laws::survival(&Wrong).len());
}

#[test]
fn a_broken_schedule_is_caught() {
    /// Rises, and its slope is wrong.
    #[derive(Debug)]
    struct Wrong;
    impl Schedule for Wrong {
        fn alpha(&self, t: tweedie::Dual) -> tweedie::Dual {
            tweedie::Dual { value: 0.1 + 0.5 * t.value, slope: 0.0 }
        }
    }
    let broken: Vec<&str> = laws::schedule(&Wrong).iter().filter(|c| !c.holds()).map(|c| c.law).collect();
    assert!(broken.contains(&"α does not increase") && broken.contains(&"α′ is the derivative of α"), "{broken:?}");
}

#[test]
fn spacings_obey_their_laws() {
    all_hold("uniform", laws::spacing(&Uniform::default()));
    // Discrete times repeat where n does not divide T, so the law of falling grids asks for n | T or n ≤ T.
    all_hold("steps", laws::spacing(&Steps(1000)));
}

#[test]
fn streams_obey_their_laws() {
    all_hold("rng", laws::rng(0));
    all_hold("rng", laws::rng(u64::MAX - 1));
}

#[test]
fn rows_are_the_same_on_any_number_of_threads() {
    let draw = || Rng::new(5).stream("x").normals(33, 20_001);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(draw);
    let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(draw);
    assert_eq!(one, three);
    // A long row is cut into pieces; its words are those of a row drawn by itself.
    assert_eq!(Rng::new(5).stream("x").from_row(32).normals(1, 20_001), one[32 * 20_001..]);
}

/// Tables of improved-diffusion (Nichol and Dhariwal 2021), `get_named_beta_schedule` and the posterior variance of
/// `GaussianDiffusion`, in double precision: (schedule, i from 0, β, ᾱ, posterior variance).
#[test]
fn tables_are_those_of_improved_diffusion() {
    let cases: [(&dyn Schedule, &[(usize, f64, f64, f64)]); 2] = [
        (
            &Linear::new(1000),
            &[
                (0, 0.0001, 0.9999, 0.0),
                (1, 0.00011991991991991993, 0.9997800920720721, 5.4531876613021935e-05),
                (250, 0.00507997997997998, 0.5214230306185275, 0.005051719844085794),
                (500, 0.010059959959959959, 0.07779665836502389, 0.010051335778909593),
                (750, 0.015039939939939939, 0.003300158361569426, 0.01503917953667168),
                (998, 0.01998008008008008, 4.118193638138445e-05, 0.019980063304243196),
                (999, 0.02, 4.035829765375676e-05, 0.01999998352656061),
            ],
        ),
        (
            &Cosine::new(1000),
            &[
                (0, 4.128422482196914e-05, 0.999958715775178, 0.0),
                (1, 4.614175273665033e-05, 0.9999125759273678, 2.178949614569182e-05),
                (250, 0.0013272239542118092, 0.8458879864968832, 0.0013175424781917925),
                (500, 0.003155691441585007, 0.49228517244880304, 0.0031460051254634824),
                (750, 0.0075791226547340385, 0.14317864642609812, 0.007569450350465387),
                (998, 0.7499993929011166, 2.4287669070348544e-06, 0.7499939281844208),
                (999, 0.999, 2.4287669070348567e-09, 0.9989975760881921),
            ],
        ),
    ];
    for (schedule, rows) in cases {
        let steps = schedule.steps().unwrap() as f64;
        for &(i, beta, bar, posterior) in rows {
            let (t, s) = ((i + 1) as f64 / steps, i as f64 / steps);
            let (c, b) = (schedule.at(t), schedule.at(s));
            let close = |name: &str, own: f64, other: f64| {
                assert!(
                    (own - other).abs() <= 1e-12 + 1e-10 * other.abs(),
                    "{schedule:?} {name}_{i}: {own} and not {other}"
                );
            };
            close("ᾱ", c.alpha.powi(2), bar);
            close("β", 1.0 - (c.alpha / b.alpha).powi(2), beta);
            close("1 − ᾱ", c.sigma.powi(2), 1.0 - bar);
            let r = c.alpha / b.alpha;
            close("β̃", b.sigma.powi(2) * (1.0 - (r * b.sigma / c.sigma).powi(2)), posterior);
        }
    }
}

fn normal(rows: usize, mean: f64, std: f64) -> Normal<2> {
    let full = |value| Tensor::<2>::full([rows, 3], value, (&device(), DType::F64));
    Normal::new(full(mean), full(std)).unwrap()
}
fn categorical(rows: usize, probs: [f64; 4]) -> Categorical<2> {
    let row: Tensor<2> = Tensor::from_data(TensorData::new(probs.to_vec(), [1, 4]), (&device(), DType::F64));
    Categorical::new(row.expand([rows, 4])).unwrap()
}

#[test]
fn distributions_obey_their_laws() {
    all_hold("normal", laws::distribution(&normal(20_000, 0.7, 0.3)));
    all_hold("categorical", laws::distribution(&categorical(20_000, [0.1, 0.2, 0.0, 0.7])));
    all_hold("normals", laws::divergence(&normal(20_000, 0.7, 0.3), &normal(20_000, 0.5, 0.4)));
    let (p, q) = (categorical(20_000, [0.1, 0.2, 0.0, 0.7]), categorical(20_000, [0.3, 0.3, 0.1, 0.3]));
    all_hold("categoricals", laws::divergence(&p, &q));
}

#[test]
fn bad_parameters_are_refused_with_their_place() {
    let probs = Tensor::<3>::from_data([[[0.5, 0.5], [0.2, 0.8]], [[0.1, 0.9], [1.2, -0.2]]], &device());
    let error = Categorical::new(probs).unwrap_err().to_string();
    assert_eq!(error, "a probability must be at least 0, but category 1 of row [1, 1] has -0.2000");
    let error = Categorical::new(Tensor::<2>::from_data([[0.5, 0.4]], &device())).unwrap_err().to_string();
    assert!(error.contains("row [0] sum to 0.9"), "{error}");
    let std = Tensor::<2>::from_data([[1.0, f32::NAN]], &device());
    let error = Normal::new(std.zeros_like(), std).unwrap_err().to_string();
    assert!(error.contains("entry [0, 1] is NaN"), "{error}");
}

/// improved-diffusion's `normal_kl` and `discretized_gaussian_log_likelihood`, in double precision.
#[test]
fn normals_agree_with_improved_diffusion() {
    let kls = [
        (0.0, 0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, 0.5),
        (0.3, -1.0, -0.2, 0.5, 0.4373814125382941),
        (2.0, -4.0, 1.9, -3.0, 0.2843674052016597),
    ];
    for (mean1, logvar1, mean2, logvar2, kl) in kls {
        let (p, q) = (normal(1, mean1, (0.5_f64 * logvar1).exp()), normal(1, mean2, (0.5_f64 * logvar2).exp()));
        let own = p.kl(&q).max().into_scalar::<f64>();
        assert!((own - kl).abs() < 1e-12 * (1.0 + kl), "{own} and not {kl}");
    }
    let likelihoods = [
        (-1.0, 0.0, -1.0, -5.740362855880601),
        (-1.0, -1.0, -4.0, -0.5365428529311618),
        (-1.0, -0.98, -5.0, -4.785840459265693),
        (-0.998, 0.0, -1.0, -8.453912465492781),
        (-0.998, -0.998, -4.0, -1.7747090343575551),
        (-0.998, -0.978, -5.0, -4.8030167782882796),
        (-0.996078431372549, 0.0, -1.0, -8.439383224238417),
        (-0.996078431372549, -0.996078431372549, -4.0, -1.7747090343575551),
        (-0.996078431372549, -0.976078431372549, -5.0, -4.8030167782882796),
        (-0.5, 0.0, -1.0, -5.689913715417838),
        (-0.5, -0.5, -4.0, -1.7747090343575551),
        (-0.5, -0.48, -5.0, -4.8030167782882796),
        (-0.00392156862745098, 0.0, -1.0, -4.767131026429792),
        (-0.00392156862745098, -0.00392156862745098, -4.0, -1.7747090343575551),
        (-0.00392156862745098, 0.01607843137254902, -5.0, -4.8030167782882724),
        (0.00392156862745098, 0.0, -1.0, -4.767131026429792),
        (0.00392156862745098, 0.00392156862745098, -4.0, -1.7747090343575551),
        (0.00392156862745098, 0.02392156862745098, -5.0, -4.8030167782882724),
        (0.25, 0.0, -1.0, -4.998762071046374),
        (0.25, 0.25, -4.0, -1.7747090343575551),
        (0.25, 0.27, -5.0, -4.8030167782882796),
        (0.996, 0.0, -1.0, -8.438790898289788),
        (0.996, 0.996, -4.0, -1.7747090343575551),
        (0.996, 1.016, -5.0, -4.8030167782882796),
        (1.0, 0.0, -1.0, -5.740362855880601),
        (1.0, 1.0, -4.0, -0.5365428529311618),
        (1.0, 1.02, -5.0, -0.00014215836254810032),
    ];
    for (x, mean, log_scale, likelihood) in likelihoods {
        let law = normal(1, mean, f64::exp(log_scale));
        let x = Tensor::<2>::full([1, 3], x, (&device(), DType::F64));
        let own = -law.discretized_nll(x.clone(), 1.0 / 255.0).max().into_scalar::<f64>();
        // Theirs uses the tanh approximation of the normal cdf, which is off by up to 3e-4; the floor 1e-12 is shared.
        assert!(
            (own - likelihood).abs() < 0.02 * (1.0 + likelihood.abs()),
            "x {x}, mean {mean}: {own} and not {likelihood}"
        );
    }
}

/// The bins of a discretised normal hold all its mass.
#[test]
fn bins_sum_to_one() {
    let levels = 17;
    let law = normal(1, 0.3, 0.2);
    let mass: f64 = (0..levels)
        .map(|i| {
            let x = Tensor::<2>::full([1, 3], 2.0 * i as f64 / (levels - 1) as f64 - 1.0, (&device(), DType::F64));
            (-law.discretized_nll(x, 1.0 / (levels - 1) as f64).max().into_scalar::<f64>()).exp()
        })
        .sum();
    assert!((mass - 1.0).abs() < 1e-6, "{mass}");
}

#[test]
fn gaussian_noise_obeys_its_laws() {
    let x = Rng::new(1).normal_tensor([50, 4], &device(), DType::F64);
    for (name, schedule) in schedules() {
        for prediction in Prediction::ALL {
            for variance in [Variance::Small, Variance::Learned] {
                let noise = Gaussian::new(schedule.clone())
                    .with_prediction(prediction)
                    .with_variance(variance)
                    .with_data_std(0.5);
                all_hold(&format!("{name}, {prediction}"), laws::noise::<2>(&noise, &x));
            }
        }
    }
}

#[test]
fn categorical_noise_obeys_its_laws() {
    let hot: Vec<f64> = [2, 0, 1, 1].iter().flat_map(|&i| (0..4).map(move |j| f64::from(u8::from(i == j)))).collect();
    let x: Tensor<2> = Tensor::from_data(TensorData::new(hot, [4, 4]), (&device(), DType::F64));
    for (name, schedule) in survivals() {
        let numbers = tweedie::distribution::category_indices(x.clone());
        all_hold(&format!("in numbers, {name}"), laws::noise::<2>(&Discrete::uniform(schedule.clone(), 4), &numbers));
        all_hold(&format!("uniform, {name}"), laws::noise::<2>(&Discrete::uniform(schedule.clone(), 4), &x));
        all_hold(&format!("absorbing, {name}"), laws::noise::<2>(&Discrete::absorbing(schedule.clone(), 4, 3), &x));
        let marginal = Discrete::marginal(schedule, vec![0.1, 0.2, 0.3, 0.4]).unwrap();
        all_hold(&format!("marginal, {name}"), laws::noise::<2>(&marginal, &x));
    }
    assert!(Discrete::marginal(FlowMatching {}, vec![0.5, 0.6]).is_err());
}

/// References and pointers to a noise forward every method, also those that have a default.
#[test]
fn pointers_to_a_noise_forward_every_method() {
    /// Each method with a default returns another value than the default.
    #[derive(Debug)]
    struct Odd(Discrete);
    type Dyn = tweedie::noise::DynDistribution<2>;
    type Estimate = tweedie::noise::Estimate<2>;
    impl Noise<2> for Odd {
        fn stationary(&self, shape: [usize; 2], device: &burn::tensor::Device) -> Dyn {
            self.0.stationary(shape, device)
        }
        fn prior(&self, x: Tensor<2>, t: &[f64]) -> Dyn {
            self.0.prior(x, t)
        }
        fn posterior(&self, x: Tensor<2>, z: Tensor<2>, s: &[f64], t: &[f64]) -> Dyn {
            self.0.posterior(x, z, s, t)
        }
        fn approximate(&self, _: Estimate, z: Tensor<2>, _: &[f64], t: &[f64]) -> Dyn {
            self.0.prior(z, t)
        }
        fn decoder(&self, estimate: Estimate, z: Tensor<2>, t: &[f64]) -> Dyn {
            self.0.decoder(estimate, z, t)
        }
        fn input(&self, z: Tensor<2>, _: &[f64]) -> Tensor<2> {
            z * 2.0
        }
        fn target(&self, x: Tensor<2>, _: Tensor<2>, _: &[f64]) -> Tensor<2> {
            x * 3.0
        }
        fn estimate(&self, output: Tensor<2>, _: Tensor<2>, _: &[f64]) -> Estimate {
            (output * 4.0).into()
        }
        fn split(&self, output: Tensor<2>) -> (Tensor<2>, Option<Tensor<2>>) {
            (output.clone(), Some(output))
        }
        fn outputs(&self) -> usize {
            5
        }
        fn path(&self) -> Option<&dyn Schedule> {
            Some(&FlowMatching {})
        }
        fn categories(&self) -> Option<tweedie::noise::Categories<'_>> {
            Noise::<2>::categories(&self.0)
        }
        fn chain(&self) -> Option<&dyn tweedie::noise::Chain<2>> {
            Some(&self.0)
        }
        fn categorical(&self) -> bool {
            false
        }
        fn steps(&self) -> Option<usize> {
            Some(6)
        }
        fn check(&self) -> tweedie::Result<()> {
            Err(tweedie::Error::invalid("odd"))
        }
    }
    fn holds(noise: impl Noise<2>) {
        let x: Tensor<2> = Tensor::from_data([[0.0, 1.0, 0.0]], &device());
        let number = |x: Tensor<2>| x.max().into_scalar::<f32>();
        let own = noise.approximate(x.zeros_like().into(), x.clone(), &[0.1], &[0.5]).mean();
        assert_eq!(number(own - noise.prior(x.clone(), &[0.5]).mean()), 0.0);
        assert_eq!(number(noise.input(x.clone(), &[0.5])), 2.0);
        assert_eq!(number(noise.target(x.clone(), x.clone(), &[0.5])), 3.0);
        assert_eq!(number(noise.estimate(x.clone(), x.clone(), &[0.5]).mean), 4.0);
        assert!(noise.split(x).1.is_some() && noise.path().is_some() && noise.chain().is_some());
        assert!(noise.categories().is_some() && !noise.categorical() && noise.check().is_err());
        assert_eq!((noise.outputs(), noise.steps()), (5, Some(6)));
    }
    let odd = || Odd(Discrete::uniform(FlowMatching {}, 3));
    holds(odd());
    let shared = odd();
    holds(&shared as &dyn Noise<2>);
    holds(Box::new(odd()) as Box<dyn Noise<2>>);
    holds(Arc::new(odd()) as Arc<dyn Noise<2>>);
}

/// The reverse transition of x̂ = x is the posterior.
#[test]
fn a_certain_estimate_gives_the_posterior() {
    let x: Tensor<2> = Tensor::from_data([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], &device());
    let z: Tensor<2> = Tensor::from_data([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], &device());
    let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
    let noise: &dyn Noise<2> = &noise;
    let p = noise.approximate(x.clone().into(), z.clone(), &[0.3, 0.1], &[0.6, 0.7]);
    let q = noise.posterior(x, z, &[0.3, 0.1], &[0.6, 0.7]);
    assert!(q.kl(&*p).abs().max().into_scalar::<f32>() < 1e-6);
    // A mask at t = 0.6 hides the letter still at s = 0.3 with probability 0.3/0.6.
    let mean: Vec<f32> = q.mean().try_into_vec_as().unwrap();
    assert!((mean[2] - 0.5).abs() < 1e-6 && (mean[1] - 0.5).abs() < 1e-6, "{mean:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |noise: Gaussian| Noise::<4>::check(&noise).map_err(|e| e.to_string());
    assert!(check(Gaussian::new(FlowMatching {})).unwrap_err().contains("zero terminal SNR"));
    assert!(check(Gaussian::new(OrnsteinUhlenbeck {}).with_prediction(Prediction::Score)).is_err());
    assert!(check(Gaussian::new(FlowMatching {}).with_prediction(Prediction::V)).is_ok());
    assert!(check(Gaussian::new(Constant::new(10, 1.5))).unwrap_err().contains("step 1 of the table has β = 1.5"));
    assert!(
        check(Gaussian::new(Edm { sigma_min: 2.0, sigma_max: 1.0, rho: 7.0 }))
            .unwrap_err()
            .contains("sigma_min < sigma_max")
    );
    assert!(check(Gaussian::new(Linear::new(10)).with_data_std(-1.0)).is_err());
}

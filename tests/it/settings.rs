//! Limits of settings: what is allowed up to the end of its range, and refused beyond it.
use crate::common::device;
use burn::tensor::{DType, Tensor, TensorData};
use tweedie::{
    Result,
    denoise::{Denoiser, Thresholded, Truncation},
    distribution::gaussian::UnivariateNormal,
    exact::{ComponentCovariance, Mixture},
    noise::{Discrete, Estimate, Gaussian, Noise},
    sample::{Ddim, Diagnosis, Remasking, Sampler, SolverPrediction, StepIntegral, Variable},
    schedule::{Cosine, Edm, FlowMatching, Laplace, Linear, Polynomial, Schedule, Shifted, Table, VariancePreserving},
    spacing::{Karras, Levels, LogNormal, Spacing, TimestepList},
    train::{AdamW, Train},
};

/// One setting: its name, whether it is allowed at two values, of which only the first should be.
type Case = (&'static str, Box<dyn Fn(f64) -> bool>, [f64; 2]);

#[test]
fn settings_are_allowed_up_to_their_limits() {
    fn gaussian(sampler: &dyn Sampler<2>) -> Result<()> {
        sampler.check(&Gaussian::new(Linear::new(10)))
    }
    fn masked(sampler: &dyn Sampler<3>) -> Result<()> {
        sampler.check(&Discrete::absorbing(FlowMatching {}, 3, 2))
    }
    let noise = || Gaussian::new(FlowMatching {});
    let integral =
        |prediction| move |tau| StepIntegral { tau, ..StepIntegral::new(prediction, Variable::LogSnr) }.check().is_ok();
    let cases: Vec<Case> = vec![
        ("eta of DDIM", Box::new(|eta| gaussian(&Ddim { eta }).is_ok()), [1.0, 1.05]),
        ("τ on ε̂", Box::new(integral(SolverPrediction::Epsilon)), [0.0, 0.05]),
        ("top_p", Box::new(|top_p| Truncation { top_p, ..Truncation::default() }.check().is_ok()), [0.05, 0.0]),
        ("top_p", Box::new(|top_p| Truncation { top_p, ..Truncation::default() }.check().is_ok()), [1.0, 1.05]),
        (
            "hold of remasking",
            Box::new(|hold| {
                masked(&Remasking { hold: Some(hold), from: 0.5, until: 0.1, ..Remasking::default() }).is_ok()
            }),
            [0.95, 1.05],
        ),
        (
            "weight of a component",
            Box::new(move |weight| {
                let point = |weight: f64| (weight, vec![0.0], ComponentCovariance::Isotropic(1.0));
                Mixture::new(noise(), vec![point(weight), point(1.0)]).is_ok()
            }),
            [0.01, 0.0],
        ),
        (
            "factor of a shift",
            Box::new(|factor| Schedule::check(&Shifted { schedule: Cosine::new(10), factor }).is_ok()),
            [0.05, 0.0],
        ),
        (
            "beta_max",
            Box::new(|beta_max| Schedule::check(&VariancePreserving { beta_min: 0.0, beta_max }).is_ok()),
            [0.05, 0.0],
        ),
        (
            "beta_min",
            Box::new(|beta_min| Schedule::check(&VariancePreserving { beta_min, beta_max: 1.0 }).is_ok()),
            [0.0, -0.05],
        ),
        ("β of a table", Box::new(|beta| Table::new([0.1, beta]).is_ok()), [1.0, 1.05]),
        ("scale of Laplace", Box::new(|scale| Schedule::check(&Laplace::new(10, 0.0, scale)).is_ok()), [0.05, 0.0]),
        ("power of a polynomial", Box::new(|power| Schedule::check(&Polynomial::new(10, power)).is_ok()), [0.05, 0.0]),
        ("std of levels", Box::new(|std| Levels::check(&LogNormal { mean: 0.0, std }).is_ok()), [0.05, 0.0]),
        ("a level", Box::new(|level| TimestepList::levels(&[level, 1.0], &Edm::default()).is_ok()), [0.0, -0.05]),
        (
            "cond_dropout",
            Box::new(|cond_dropout| Train { cond_dropout, ..Train::default() }.check().is_ok()),
            [1.0, 1.05],
        ),
        ("beta1", Box::new(|beta1| AdamW { beta1, ..AdamW::default() }.check().is_ok()), [0.999, 1.0]),
        ("beta1", Box::new(|beta1| AdamW { beta1, ..AdamW::default() }.check().is_ok()), [0.0, 1.05]),
    ];
    for (name, allows, [inside, outside]) in cases {
        assert!(allows(inside), "{name}: {inside} is refused");
        assert!(!allows(outside), "{name}: {outside} is allowed");
    }
    assert!(UnivariateNormal::fit(&[1.0]).is_err() && UnivariateNormal::fit(&[1.0, 3.0]).is_ok());
    let mask = Discrete::absorbing(FlowMatching {}, 3, 7);
    let error = Noise::<3>::check(&mask).unwrap_err().to_string();
    assert!(error.contains("from 0 to 2"), "{error}");
    assert!(Karras::default().on(Edm::default()).check().is_ok());
}

/// Estimates given by hand.
struct Given(Gaussian, Tensor<2>);
impl Denoiser<2> for Given {
    fn noise(&self) -> &dyn Noise<2> {
        &self.0
    }
    fn denoise(&self, _: Tensor<2>, _: &[f64]) -> Estimate<2> {
        self.1.clone().into()
    }
}

/// The threshold is a quantile, interpolated between two order statistics.
#[test]
fn thresholds_are_interpolated_quantiles() {
    let values = vec![-2.0, 8.0, 4.0, -6.0, 1.0];
    let x = Tensor::<2>::from_data(TensorData::new(values, [1, 5]), (&device(), DType::F64));
    for (quantile, threshold) in [(0.0, 1.0), (0.05, 1.2), (0.4, 3.2), (0.5, 4.0), (0.6, 4.8), (0.9, 7.2), (1.0, 8.0)] {
        let model = Given(Gaussian::new(FlowMatching {}), x.clone());
        let mean = Thresholded { model, quantile, max: f64::INFINITY }.denoise(x.clone(), &[0.5]).mean;
        let wanted = x.clone().clamp(-threshold, threshold) / threshold;
        assert!(crate::common::gap(mean.clone(), wanted) < 1e-12, "{quantile}: {mean}");
    }
}

/// Samples are outside of a range that is not around 0 where they are far from its middle.
#[test]
fn a_range_has_a_middle() {
    use tweedie::sample::{Euler, trajectory_from};
    let point = |at: f64| {
        let noise = Gaussian::new(FlowMatching {});
        let model = Mixture::gaussian(noise, vec![at, at], ComponentCovariance::Isotropic(0.0)).unwrap();
        let start = crate::common::points([[0.3, -0.2]]);
        let (euler, rng) = (Euler::default(), tweedie::Rng::new(0));
        let states = trajectory_from(&model, &euler, vec![1.0, 0.5, 0.0], start, &rng).unwrap();
        let mut states = states.within(100.0, 102.0);
        states.by_ref().for_each(drop);
        let diagnosis: Diagnosis = states.diagnosis();
        diagnosis.outside
    };
    assert_eq!((point(101.0), point(102.0), point(150.0), point(-101.0)), (0, 0, 2, 2));
}

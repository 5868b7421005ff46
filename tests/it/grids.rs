//! Levels, strata, points of schedules and what samplers declare, against their formulas.
use crate::common::{all_hold, near};
use tweedie::{
    Dual, Rng,
    distribution::gaussian::{Covariance, Density, MultivariateNormal, covariance_of},
    exact::{ComponentCovariance, Mixture},
    laws,
    noise::Gaussian,
    sample::*,
    schedule::{Between, Edm, FlowMatching, Linear, MutualInformation, Schedule, Survival, Table, VariancePreserving},
    spacing::{AlignYourSteps, Exponential, Importance, Karras, Levels, LogNormal, LossHistory, Spacing, Uniform},
};

/// σ/α at the times of a grid are the levels of its formula, from the largest to the smallest, and 0.
#[test]
fn grids_of_levels_visit_the_levels_of_their_formulas() {
    let edm = Edm::default();
    let ratio = |t: f64| edm.at(t).sigma / edm.at(t).alpha;
    let levels = |spacing: &dyn Spacing, n: usize| spacing.grid(n)[..n].iter().map(|t| ratio(*t)).collect::<Vec<f64>>();
    let relative = |own: &[f64], wanted: &[f64]| {
        let off: Vec<f64> = own.iter().zip(wanted).map(|(own, wanted)| own / wanted - 1.0).collect();
        own.len() == wanted.len() && near(&off, &vec![0.0; off.len()], 1e-8)
    };
    let (low, high, n) = (edm.sigma_min, edm.sigma_max, 7);
    // The smallest level is that of the schedule at t = 0, which a grid ends at.
    let place = |i: usize| 1.0 - i as f64 / n as f64;
    let karras: Vec<f64> = (0..n)
        .map(|i| (low.powf(1.0 / 7.0) + place(i) * (high.powf(1.0 / 7.0) - low.powf(1.0 / 7.0))).powi(7))
        .collect();
    let own = levels(&Karras::default().on(edm), n);
    assert!(relative(&own, &karras), "{own:?} for {karras:?}");
    let exponential: Vec<f64> = (0..n).map(|i| low * (high / low).powf(place(i))).collect();
    let own = levels(&Exponential { min: low, max: high }.on(edm), n);
    assert!(relative(&own, &exponential), "{own:?} for {exponential:?}");
    // Of levels narrower than the schedule's all are visited, also the ends.
    let inner = Exponential { min: 0.01, max: 50.0 };
    let grid = inner.on(edm).grid(n);
    let own: Vec<f64> = grid[..n].iter().map(|t| ratio(*t)).collect();
    let wanted: Vec<f64> = (0..n).map(|i| 0.01 * 5000f64.powf(1.0 - i as f64 / (n - 1) as f64)).collect();
    assert!(relative(&own, &wanted), "{own:?} for {wanted:?}");
    // Levels below the schedule's are left out: the smallest is the schedule's own.
    let wanted: Vec<f64> = (0..n).map(|i| low * (50.0 / low).powf(place(i))).collect();
    let own = levels(&Exponential { min: 0.5 * low, max: 50.0 }.on(edm), n);
    assert!(relative(&own, &wanted), "{own:?} for {wanted:?}");
    // Quantiles of a normal at its ends: four standard deviations.
    let log = LogNormal { mean: -1.2, std: 1.2 };
    let four = 4.012_810_811_118;
    for (u, wanted) in [(0.0, -1.2 - 1.2 * four), (0.5, -1.2), (1.0, -1.2 + 1.2 * four), (0.841_344_746_068_543, 0.0)] {
        assert!((log.level(u).ln() - wanted).abs() < 1e-6, "{u}: {} for {wanted}", log.level(u).ln());
    }
    // The tables of the supplementary page: ten steps visit ten levels, and 0 takes the place of the last.
    for (table, wanted) in [
        (
            AlignYourSteps::StableDiffusion,
            [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
        ),
        (
            AlignYourSteps::StableDiffusionXl,
            [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029],
        ),
        (AlignYourSteps::StableVideo, [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002]),
    ] {
        let own: Vec<f64> = (0..=10).map(|i| table.level(1.0 - f64::from(i) / 10.0)).collect();
        assert!(relative(&own, &wanted), "{table:?}: {own:?}");
        let halfway = table.level(0.45);
        assert!((halfway / (wanted[5] * wanted[6]).sqrt() - 1.0).abs() < 1e-9, "{table:?}: {halfway}");
    }
}

/// Strata are sampled in proportion to √E[L²], whatever the unit of the losses.
#[test]
fn strata_are_sampled_in_proportion_to_their_losses() {
    let importance = Importance { strata: 4, keep: 2, floor: 0.01, spacing: Uniform::default() };
    let sizes = [1.0, 3.0, 0.5, 0.5];
    for unit in [1e-6, 1.0, 1e6] {
        let mut history = LossHistory::new(4, 2);
        for (stratum, size) in sizes.into_iter().enumerate() {
            history.record(&[stratum, stratum], &[size * unit, size * unit]);
        }
        let p = importance.probabilities(&history);
        let wanted = sizes.map(|size| 0.99 * size / 5.0 + 0.01 / 4.0);
        assert!(near(&p, &wanted, 1e-12), "{unit}: {p:?}");
        let n = 10_000;
        let times = importance.sample_weighted(n, &mut Rng::new(1), &history);
        for (k, wanted) in wanted.into_iter().enumerate() {
            // Stratified over p, so that a count is off by one at most.
            let count = times.strata.iter().filter(|stratum| **stratum == k).count() as f64;
            assert!((count - wanted * n as f64).abs() <= 1.0 + 1e-6, "{unit}, stratum {k}: {count}");
        }
        // The weighted mean of any function of time is its mean over the spacing.
        let weights = times.weights.unwrap();
        let mean = weights.iter().zip(&times.times).map(|(w, t)| w * t).sum::<f64>() / n as f64;
        let plain = (0..n).map(|i| importance.spacing.quantile((i as f64 + 0.5) / n as f64)).sum::<f64>() / n as f64;
        assert!((mean - plain).abs() < 2e-3, "{mean} for {plain}");
    }
}

/// A schedule that gives α alone.
#[derive(Debug)]
struct Plain;
impl Schedule for Plain {
    fn alpha(&self, t: Dual) -> Dual {
        1.0 - t * t
    }
}

#[test]
fn schedules_preserve_the_variance_where_they_say_so() {
    let zero = Table::new((0..100).map(|i| if i == 99 { 1.0 } else { 0.02 + 0.003 * f64::from(i) })).unwrap();
    let both = Between { first: VariancePreserving::default(), second: FlowMatching {}, share: [0.3, 0.6] };
    let schedules: [&dyn Schedule; 4] = [&Plain, &zero, &both, &Linear::new(100)];
    for schedule in schedules {
        for t in (0..=400).map(|i| f64::from(i) / 400.0) {
            let c = schedule.at(t);
            let off = c.alpha * c.alpha + c.sigma * c.sigma - 1.0;
            assert!(off.abs() < 1e-12, "{schedule:?} at t = {t}: {off}");
        }
    }
    // The survival of a schedule between two squares of signals is the square of its own.
    let squares = Between { first: VariancePreserving::default(), second: Linear::new(100), share: [0.5, 0.5] };
    for t in [0.2, 0.7] {
        let survival = squares.survival(Dual::time(t)).value;
        assert!((survival - squares.at(t).alpha.powi(2)).abs() < 1e-12, "{survival}");
    }
    // α falls to 0 like a root if that of one of the two does: infinitely fast, whichever it is.
    let ends = |t: f64| {
        let (kept, lost) = (VariancePreserving { beta_min: 0.1, beta_max: 2.0 }, FlowMatching {});
        let one = Between { first: kept, second: lost, share: [0.5, 0.5] };
        let other = Between { first: lost, second: kept, share: [0.5, 0.5] };
        [one.at(t).alpha_dot, other.at(t).alpha_dot]
    };
    assert_eq!(ends(1.0), [f64::NEG_INFINITY; 2]);
    for (name, schedule) in [("a table without signal at its end", &zero as &dyn Schedule), ("between", &both)] {
        let checks = laws::schedule(schedule);
        // Its ends are those of data and noise as good as it is.
        let others = checks.into_iter().filter(|check| !check.law.contains("small"));
        all_hold(name, others.collect());
    }
    let information = MutualInformation::new(vec![0.5, 0.3, 0.2], vec![1.0 / 3.0; 3]).unwrap();
    all_hold("mutual information", laws::survival(&information));
    assert_eq!(information.survival(Dual::time(0.0)).value, 1.0);
}

/// A schedule has one point, found by its time, its λ or its angle.
#[test]
fn points_are_found_by_each_of_their_variables() {
    let schedules: [&dyn Schedule; 3] = [&VariancePreserving::default(), &FlowMatching {}, &Edm::default()];
    for schedule in schedules {
        for t in [0.05, 0.3, 0.5, 0.9] {
            let point = TimePoint::new(schedule, t);
            let lambda = TimePoint::at_lambda(schedule, point.lambda());
            let angle = TimePoint::at_angle(schedule, point.value(Variable::Angle));
            for other in [lambda, angle] {
                assert!((other.value(Variable::Time) - t).abs() < 1e-9, "{schedule:?} at {t}: {other:?}");
            }
        }
    }
}

/// What samplers declare of themselves with and without noise.
#[test]
fn samplers_declare_an_order_without_noise_and_none_with_it() {
    let noisy = |eta: f64| -> Vec<Box<dyn Sampler<2>>> {
        vec![
            Box::new(Ddim { eta }),
            Box::new(EulerAncestral { eta }),
            Box::new(Dpm2Ancestral { eta, ..Dpm2Ancestral::default() }),
            Box::new(DpmSolverPp2SAncestral { eta }),
            Box::new(DpmSolverPp2S { eta }),
            Box::new(DpmSolverPp { order: 2, eta, lower_final: false }),
            Box::new(Churn { s_churn: 30.0 * eta, ..Churn::default() }),
        ]
    };
    for (eta, order) in [(0.0, true), (0.05, false), (1.0, false)] {
        for sampler in noisy(eta) {
            let properties = sampler.properties();
            assert_eq!(properties.order.is_some(), order, "{sampler:?}");
            assert_eq!(properties.is_deterministic(), order, "{sampler:?}");
        }
    }
    let bias =
        |s_churn: f64, s_noise: f64| Sampler::<2>::properties(&Churn { s_churn, s_noise, ..Churn::default() }).bias;
    assert_eq!((bias(0.0, 1.1), bias(0.05, 1.0), bias(30.0, 1.0)), (0.0, 0.0, 0.0));
    assert!((bias(30.0, 1.1) - 0.21).abs() < 1e-12 && (bias(30.0, 0.9) - 0.19).abs() < 1e-12);
    // More noise than the marginal has is cut to it.
    let model = laws::problem(FlowMatching {});
    for sampler in noisy(3.0).into_iter().skip(1).take(3) {
        let z = crate::common::points([[0.3, -0.2], [1.0, 0.4]]);
        let ahead = sampler.step(&model, z, TimeStep::new(0.6, 0.4), &mut Rng::new(0));
        assert!(crate::common::numbers(ahead).into_iter().all(f64::is_finite), "{sampler:?}");
    }
    let noise = Gaussian::new(FlowMatching {});
    assert!(noisy(3.0).iter().skip(1).take(3).all(|sampler| sampler.check(&noise).is_ok()));
}

/// A step of Euler and Maruyama's method adds noise of variance g² (t − s), also where g is small.
#[test]
fn the_noise_of_a_step_of_the_sde_is_that_of_its_diffusion() {
    let noise = Gaussian::new(FlowMatching {});
    let model = Mixture::gaussian(noise, vec![0.4, -0.3], ComponentCovariance::Isotropic(0.0)).unwrap();
    let sampler: &dyn Sampler<2> = &EulerMaruyama {};
    let rows = 4000;
    for (t, s) in [(0.02, 0.01), (0.6, 0.55)] {
        let z = crate::common::points(vec![[0.7, 0.2]; rows]);
        let ahead = crate::common::numbers(sampler.step(&model, z, TimeStep::new(t, s), &mut Rng::new(6)));
        let first: Vec<f64> = ahead.chunks(2).map(|row| row[0]).collect();
        let mean = first.iter().sum::<f64>() / rows as f64;
        let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
        let wanted = FlowMatching {}.at(t).diffusion() * (t - s);
        assert!((variance / wanted - 1.0).abs() < 0.12, "from {t} to {s}: {variance} for {wanted}");
    }
}

/// One-step solvers are of their order in every variable in which they can integrate.
#[test]
fn one_step_solvers_have_their_order_in_every_variable() {
    for variable in [Variable::Ratio, Variable::Time, Variable::Angle] {
        let samplers: [Box<dyn Sampler<2>>; 3] =
            [Box::new(Euler { variable }), Box::new(Heun { variable }), Box::new(Dpm2 { variable })];
        for sampler in samplers {
            all_hold(&format!("{sampler:?}"), laws::convergence(&*sampler));
        }
    }
    let adams = |variable| AdamsBashforth { variable, ..AdamsBashforth::default() };
    for variable in [Variable::LogSnr, Variable::Ratio, Variable::Time, Variable::Angle] {
        all_hold(&format!("{variable:?}"), laws::convergence(&adams(variable)));
    }
}

/// Random numbers are the same in every version.
#[test]
fn streams_of_random_numbers_do_not_change() {
    let rng = || Rng::new(7).stream("fixed").at_step(3);
    assert_eq!(rng().permutation(9), [3, 5, 1, 6, 2, 8, 4, 7, 0]);
    let long = rng().uniforms(1, 40_000);
    let wanted = [4604737533544235008, 4597239674421903360, 4606294222699495424];
    assert_eq!([long[0], long[20_000], long[39_999]].map(f64::to_bits), wanted);
}

#[test]
fn normals_of_several_dimensions_are_those_of_their_definitions() {
    let standard = MultivariateNormal::standard(3).unwrap();
    assert_eq!(standard.covariance().matrix(), Covariance::isotropic(3, 1.0).matrix());
    // Σ (x − mean)²/(n − 1).
    let covariance = covariance_of(&[1.0, 2.0, 3.0, 6.0, 5.0, 1.0], 2).unwrap();
    assert!(near(covariance.as_slice(), &[4.0, -1.0, -1.0, 7.0], 1e-12), "{covariance}");
    // A density need not be normalized for its moments.
    let density = Density::new(1.0, 0.5, vec![0.0, 2.0, 6.0, 2.0, 0.0]).unwrap();
    assert!((density.mass() - 5.0).abs() < 1e-12 && (density.mean() - 2.0).abs() < 1e-12);
    assert!((density.variance() - 0.1).abs() < 1e-12, "{}", density.variance());
    // Directions lost in rounding where Σ is written out: apart along the one of variance 1e-6, and wider along it.
    let low_rank = |at: f64, variance: f64| {
        let covariance = Covariance::low_rank(&[[1e6], [1e6]], &[variance; 2]).unwrap();
        MultivariateNormal::new(&[at, -at], covariance).unwrap()
    };
    let q = low_rank(0.0, 1e-6);
    for (p, wanted) in [(&q, 0.0), (&low_rank(1e-3, 1e-6), 1.0), (&low_rank(0.0, 2e-6), 0.5 * (1.0 - 2f64.ln()))] {
        let kl = p.kl(&q).unwrap();
        assert!((kl - wanted).abs() < 1e-6, "{kl} for {wanted}");
    }
}

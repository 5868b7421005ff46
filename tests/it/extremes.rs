//! Gaussians at the ends of what numbers can say: mixed units, no noise, far away.
use crate::common::numbers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use tweedie::{
    Rng,
    denoise::Denoiser,
    distribution::gaussian::{
        Covariance, DMatrix, GaussianError, MultivariateNormal, UnivariateNormal, forward, mean_of,
    },
    exact::{ComponentCovariance, Mixture, Terminal},
    likelihood,
    noise::Gaussian,
    schedule::{FlowMatching, Scales, VariancePreserving},
};

const NO_NOISE: Scales = Scales { alpha: 1.0, sigma: 0.0, alpha_dot: -1.0, sigma_dot: 1.0, variance_dot: 0.0 };

fn noisy(sigma: f64) -> Scales {
    Scales { sigma, ..NO_NOISE }
}

fn row<const N: usize>(values: [f64; N], dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, N]), (&Device::flex(), dtype))
}

fn mixture(components: Vec<(f64, Vec<f64>, ComponentCovariance)>) -> Mixture {
    Mixture::new(Gaussian::new(VariancePreserving::default()), components).unwrap()
}

/// Everything that the units of the coordinates do not change, for units from 1e-150 to 1e150.
#[test]
fn units_of_the_coordinates_do_not_matter() {
    let correlation = [[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]];
    let (mean, x) = ([0.5, -1.0, 2.0], [1.5, 0.2, 1.0]);
    let normal = |units: [f64; 3], mean: [f64; 3]| {
        let rows: Vec<Vec<f64>> =
            (0..3).map(|i| (0..3).map(|j| correlation[i][j] * units[i] * units[j]).collect()).collect();
        let mean: Vec<f64> = mean.iter().zip(units).map(|(m, u)| m * u).collect();
        MultivariateNormal::new(&mean, Covariance::full(&rows).unwrap())
    };
    let one = normal([1.0; 3], mean).unwrap();
    let moved = normal([1.0; 3], [0.0; 3]).unwrap();
    for units in [[1e-150, 1.0, 1e150], [1e6, 1e-6, 1.0], [1e-9, 1e9, 1e-9], [1e-150; 3], [1e150; 3]] {
        let own = normal(units, mean).unwrap_or_else(|error| panic!("{units:?}: {error}"));
        let at: Vec<f64> = x.iter().zip(units).map(|(x, u)| x * u).collect();
        let logs: f64 = units.iter().map(|u| u.ln()).sum();
        let density = own.log_densities(&at).unwrap()[0];
        let wanted = one.log_densities(&x).unwrap()[0] - logs;
        assert!((density - wanted).abs() < 1e-9 * (1.0 + wanted.abs()), "{units:?}: {density} for {wanted}");
        assert!((own.mahalanobis(&at).unwrap() - one.mahalanobis(&x).unwrap()).abs() < 1e-12);
        let (kl, wanted) = (own.kl(&normal(units, [0.0; 3]).unwrap()).unwrap(), one.kl(&moved).unwrap());
        assert!((kl - wanted).abs() < 1e-12 * (1.0 + wanted), "{units:?}: {kl} for {wanted}");
        let (given, wanted) = (own.condition(&[1], &at[1..2]).unwrap(), one.condition(&[1], &x[1..2]).unwrap());
        for (i, k) in [0, 2].into_iter().enumerate() {
            assert!((given.mean()[i] / units[k] - wanted.mean()[i]).abs() < 1e-12);
        }
        for (a, b) in own.correlation().iter().zip(one.correlation().iter()) {
            assert!((a - b).abs() < 1e-15);
        }
        // The exact denoiser, too: x̂ scales with the units if the noise does not matter.
        let rows: Vec<Vec<f64>> =
            (0..3).map(|i| (0..3).map(|j| correlation[i][j] * units[i] * units[j]).collect()).collect();
        let exact = mixture(vec![(1.0, vec![0.0; 3], ComponentCovariance::Full(rows))]);
        for (i, covariance) in exact.covariance().iter().enumerate() {
            assert!((covariance[i] / units[i] / units[i] - 1.0).abs() < 1e-9, "{units:?}: {covariance:?}");
        }
    }
}

#[test]
fn what_is_degenerate_or_asymmetric_is_so_in_any_units() {
    let refused = |rows: [[f64; 2]; 2]| {
        MultivariateNormal::new(&[0.0, 0.0], Covariance::full(&rows).unwrap())
            .err()
            .unwrap_or_else(|| panic!("{rows:?}"))
    };
    let exact = |rows: [[f64; 2]; 2]| {
        let full = ComponentCovariance::Full(rows.map(|row| row.to_vec()).to_vec());
        Mixture::gaussian(Gaussian::new(VariancePreserving::default()), vec![0.0, 0.0], full)
    };
    for unit in [1.0, 1e6, 1e-6, 1e100] {
        for sign in [1.0, -1.0] {
            let rows = [[1.0, sign * unit], [sign * unit, unit * unit]];
            assert!(
                matches!(refused(rows), GaussianError::NotPositiveDefinite { degenerate: true, .. }),
                "{unit}: {}",
                refused(rows)
            );
            // A mixture may be singular.
            assert!(exact(rows).is_ok());
        }
        let beyond = [[1.0, 1.01 * unit], [1.01 * unit, unit * unit]];
        assert!(matches!(refused(beyond), GaussianError::NotPositiveDefinite { degenerate: false, .. }));
        assert!(exact(beyond).is_err());
        let uneven = [[1.0, 0.5 * unit], [0.4 * unit, unit * unit]];
        assert!(matches!(refused(uneven), GaussianError::NotSymmetric { .. }), "{unit}");
        assert!(exact(uneven).unwrap_err().to_string().contains("symmetric"), "{unit}");
    }
    // A negative variance is not rounding beside a large one.
    assert!(matches!(refused([[1e12, 0.0], [0.0, -1e-3]]), GaussianError::NotPositive { .. }));
    assert!(exact([[1e12, 0.0], [0.0, -1e-3]]).is_err());
    let diagonal = ComponentCovariance::Diagonal(vec![1e12, -1e-3]);
    assert!(Mixture::gaussian(Gaussian::new(FlowMatching {}), vec![0.0, 0.0], diagonal).is_err());
    // What determines another coordinate to rounding leaves it no density.
    let close =
        MultivariateNormal::new(&[0.0, 0.0], Covariance::full(&[[1.0, 1.0], [1.0, 1.0 + 1e-12]]).unwrap()).unwrap();
    assert!(close.condition(&[0], &[1.0]).unwrap().covariance().matrix()[(0, 0)] > 0.9e-12);
    assert!(close.affine(&[[1.0, -1.0]], &[0.0]).is_ok());
    // Large factors beside a small diagonal: the sum is well conditioned, the inversion lemma is not.
    let low = Covariance::low_rank(&[[1e10, 1e10], [1.0, 2.0]], &[1.0, 1.0]).unwrap();
    let low = MultivariateNormal::new(&[0.0, 0.0], low).unwrap();
    let full = MultivariateNormal::new(&[0.0, 0.0], Covariance::Full(low.covariance().matrix())).unwrap();
    let [a, b] = [low, full].map(|n| n.log_densities(&[3e9, 1.0]).unwrap()[0]);
    assert!((a - b).abs() < 1e-4, "{a} and {b}");
}

#[test]
fn wrong_lengths_and_numbers_out_of_range_are_errors() {
    let two = MultivariateNormal::standard(2).unwrap();
    assert!(MultivariateNormal::standard(0).is_err());
    assert!(two.mahalanobis(&[1.0]).is_err() && two.score(&[1.0, 2.0, 3.0]).is_err());
    assert!(two.log_densities(&[1.0]).is_err() && two.densities(&[1.0, 2.0, 3.0]).is_err());
    assert_eq!(two.log_densities(&[]).unwrap(), [0.0; 0]);
    assert!(MultivariateNormal::fit(&[1.0, 2.0, 3.0], 2).unwrap_err().to_string().contains("rows of 2"));
    assert!(MultivariateNormal::fit(&[1.0, 2.0, 3.0, 4.0], 2).unwrap_err().to_string().contains("3 points or more"));
    assert!(mean_of(&[], 2).is_err() && mean_of(&[1.0], 0).is_err());
    for square in [DMatrix::zeros(2, 3), DMatrix::zeros(3, 2)] {
        assert!(MultivariateNormal::new(&[0.0, 0.0], Covariance::Full(square)).is_err());
    }
    assert_eq!(Covariance::isotropic(0, 1.0).is_isotropic(1e-9), None);
    let one = UnivariateNormal::STANDARD;
    for p in [-0.1, 1.1, f64::NAN] {
        assert!(one.quantile(p).unwrap_err().to_string().contains("must be in [0, 1]"), "{p}");
        let mut x = [1.0];
        assert!(forward::step(&mut x, p, &mut Rng::new(0)).is_err());
        assert!(forward::jump(&mut x, p, &mut Rng::new(0)).is_err());
        assert!(forward::marginal(1.0, &[0.1, p]).is_err());
        assert_eq!(x, [1.0]);
    }
    assert!(forward::marginal(1.0, &[]).is_err() && forward::marginal(1.0, &[0.0]).is_err());
    let late = forward::marginal(2.0, &[0.0, 0.1, 0.0]).unwrap();
    assert_eq!((late.mean(), late.variance()), (0.9f64.sqrt() * 2.0, 0.1f64.sqrt() * 0.1f64.sqrt()));

    let model = mixture(vec![(1.0, vec![0.0], ComponentCovariance::Isotropic(1.0))]);
    let z = row([0.3], DType::F64);
    let of = |s, tolerances, probes| {
        likelihood::log_likelihood::<2>(&model, z.clone(), s, tolerances, probes, &mut Rng::new(0))
            .map_err(|e| e.to_string())
    };
    let fine = (1e-6, 1e-6);
    assert!(of(0.1, fine, (1, 1e-3)).is_ok());
    for (s, tolerances, probes, what) in [
        (0.1, fine, (0, 1e-3), "probes"),
        (0.1, fine, (1, 0.0), "delta"),
        (0.1, fine, (1, f64::NAN), "delta"),
        (0.1, (0.0, 1e-6), (1, 1e-3), "absolute"),
        (1.5, fine, (1, 1e-3), "[0, 1]"),
        (0.0, fine, (1, 1e-3), "σ > 0"),
    ] {
        let error = of(s, tolerances, probes).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let single = model.log_likelihood(z.clone().cast(DType::F32), 0.1, 1.0, Terminal::Exact).unwrap_err();
    assert!(single.to_string().contains("double precision"));
}

#[test]
fn univariate_normals_of_any_scale() {
    let at = |mean, std| UnivariateNormal::new(mean, std).unwrap();
    for (p, q) in [(1e200, 1e-200), (1e-200, 1e200), (1e-200, 1e-200), (5e-324, 1.0)] {
        let kl = at(0.0, p).kl(&at(0.0, q));
        assert!(!kl.is_nan() && kl >= 0.0, "{p}, {q}: {kl}");
    }
    assert!((at(0.0, 1e-200).kl(&at(0.0, 1e200)) / (400.0 * 10f64.ln() - 0.5) - 1.0).abs() < 1e-12);
    // σ² underflows, the score does not.
    assert_eq!(at(0.0, 1e-200).score(1e-250), -1e-250 / 1e-200 / 1e-200);
    assert_eq!(at(0.0, 1e-170).score(-1e-200), 1e-200 / 1e-170 / 1e-170);
    let far = MultivariateNormal::new(&[0.0, 0.0], Covariance::isotropic(2, 1.0)).unwrap();
    assert!((far.mahalanobis(&[3e200, 4e200]).unwrap() / 5e200 - 1.0).abs() < 1e-15);
    assert_eq!(far.log_densities(&[3e200, 4e200]).unwrap(), [f64::NEG_INFINITY]);
}

/// On and off the support of components without density, alone and beside one with a density.
#[test]
fn singular_mixtures_without_noise() {
    use ComponentCovariance::{Diagonal, Full, Isotropic, LowRank};
    let unit = 1e4;
    // The line through (1, 1) along (1, 2): in both forms, and in units of 1e4 along the second axis.
    let line = |mean: Vec<f64>, unit: f64| {
        let direction = [1.0, 2.0 * unit];
        let full = direction.map(|a| direction.map(|b| 0.3 * a * b).to_vec()).to_vec();
        let factor = direction.map(|a| 0.3f64.sqrt() * a).to_vec();
        [Full(full), LowRank { factors: vec![factor], rest: 0.0 }].map(|c| mixture(vec![(1.0, mean.clone(), c)]))
    };
    for unit in [1.0, unit] {
        for model in line(vec![1.0, unit], unit) {
            for s in [-1.7, 0.1, 3.3] {
                let on = model.closed_form(&[1.0 + s, unit + 2.0 * s * unit], NO_NOISE);
                assert_eq!((on.log_density, &on.eps), (f64::INFINITY, &vec![0.0, 0.0]), "{unit}, {s}");
                assert!((on.x[0] - 1.0 - s).abs() < 1e-12);
                // Along the line the score is that of N(0, 0.3) in s.
                let along = on.score[0] + 2.0 * unit * on.score[1];
                assert!((along + s / 0.3).abs() < 1e-6 * (1.0 + s.abs()), "{unit}, {s}: {along}");
            }
            let off = model.closed_form(&[1.0, unit + 0.5], NO_NOISE);
            assert_eq!(off.log_density, f64::NEG_INFINITY);
            assert_eq!(off.score[1], f64::NEG_INFINITY, "towards the line");
            let foot = (off.x[0] - 1.0, (off.x[1] - unit) / unit);
            assert!((foot.1 - 2.0 * foot.0).abs() < 1e-9, "{foot:?} is not on the line");
        }
    }
    // One axis without variance.
    let flat = mixture(vec![(1.0, vec![0.0, 3.0], Diagonal(vec![2.0, 0.0]))]);
    let on = flat.closed_form(&[1.0, 3.0], NO_NOISE);
    assert_eq!((on.log_density, on.score), (f64::INFINITY, vec![-0.5, 0.0]));
    let off = flat.closed_form(&[1.0, 3.5], NO_NOISE);
    assert_eq!((off.log_density, off.score), (f64::NEG_INFINITY, vec![-0.5, f64::NEG_INFINITY]));
    assert_eq!(off.x, [1.0, 3.0]);
    // Beside a normal: elsewhere the density is that of the normal with its weight; the point has all of it where it
    // is.
    let both = mixture(vec![(0.25, vec![0.0, 0.0], Isotropic(0.0)), (0.75, vec![0.0, 0.0], Isotropic(1.0))]);
    let beside = both.closed_form(&[0.6, 0.8], NO_NOISE);
    let wanted = 0.75f64.ln() - 0.5 - std::f64::consts::TAU.ln();
    assert!((beside.log_density - wanted).abs() < 1e-12, "{beside:?}");
    assert_eq!((beside.score, beside.x), (vec![-0.6, -0.8], vec![0.6, 0.8]));
    let there = both.closed_form(&[0.0, 0.0], NO_NOISE);
    assert_eq!((there.log_density, there.x), (f64::INFINITY, vec![0.0, 0.0]));
    // A point on a line: where it is, the point is the more singular one.
    let [first, _] = line(vec![1.0, 1.0], 1.0);
    let line = ComponentCovariance::Full(first.covariance());
    let pair = mixture(vec![(0.5, vec![1.0, 1.0], line), (0.5, vec![1.0, 1.0], Isotropic(0.0))]);
    let there = pair.closed_form(&[1.0, 1.0], NO_NOISE);
    assert_eq!((there.log_density, there.divergence), (f64::INFINITY, 0.0));
    // Nothing finite about the velocity off the support, and no NaN.
    let velocity = Gaussian::new(FlowMatching {}).with_prediction(tweedie::noise::Prediction::Velocity);
    let points = Mixture::empirical(velocity, vec![vec![0.0], vec![1.0]], 0.0).unwrap();
    let said = numbers(points.predict(row([0.9], DType::F64), &[0.0]));
    assert_eq!(said, [f64::NEG_INFINITY]);
}

/// A data set seen from 10⁶ to 10³⁰⁰ standard deviations away: x̂ is its nearest point, or the right mean of those as
/// near.
#[test]
fn data_sets_far_away() {
    let noise = || Gaussian::new(VariancePreserving::default());
    let data = vec![vec![1.0, 0.0], vec![-1.0, 0.0], vec![0.0, -3.0]];
    for std in [0.0, 1e-3, 1.0] {
        let model = Mixture::empirical(noise(), data.clone(), std).unwrap();
        for sigma in [0.0, 1e-200, 1e-160, 1e-9, 1.0] {
            let var = std * std + sigma * sigma;
            for far in [1e4, 1e6, 1e9, 1e150, 1e300] {
                let along = model.closed_form(&[far, 0.0], noisy(sigma));
                let share = if std > 0.0 { std * std / var } else { 0.0 };
                let wanted = 1.0 + share * (far - 1.0);
                assert!((along.x[0] / wanted - 1.0).abs() < 1e-9, "std {std}, σ {sigma}, {far}: {:?}", along.x);
                assert!(along.log_density < -1e5 && !along.log_density.is_nan());
                assert!(along.score.iter().all(|s| !s.is_nan()) && along.score[0] < 0.0, "{:?}", along.score);
                // Straight up, a little to the right: p(k | z) ∝ exp(±0.2/var) of the first two, whatever the distance.
                let up = model.closed_form(&[0.2, far], noisy(sigma));
                let tilt = if var == 0.0 { 1.0 } else { (0.2 / var).tanh() };
                let wanted = tilt + share * (0.2 - tilt);
                assert!((up.x[0] - wanted).abs() < 1e-9, "std {std}, σ {sigma}, {far}: {} for {wanted}", up.x[0]);
                assert!(up.eps.iter().all(|e| !e.is_nan()) && !up.divergence.is_nan());
            }
        }
    }
    // As near to one as to the other: their mean.
    let model = Mixture::empirical(noise(), data, 0.0).unwrap();
    let between = model.closed_form(&[0.0, 1e8], NO_NOISE);
    assert_eq!((between.x[0], between.score[0], between.log_density), (0.0, 0.0, f64::NEG_INFINITY));
    // Of different covariances the wider one has a point that is far from both.
    let narrow = (1.0, vec![0.0], ComponentCovariance::Isotropic(1.0));
    let wide = (1.0, vec![5.0], ComponentCovariance::Isotropic(4.0));
    let x = mixture(vec![narrow, wide]).closed_form(&[1e200], noisy(1.0)).x;
    assert!((x[0] / (5.0 + 0.8 * 1e200) - 1.0).abs() < 1e-12, "{x:?}");
    let tiny = mixture(vec![(1e308, vec![0.0], ComponentCovariance::Isotropic(1.0)); 2]);
    assert!((tiny.closed_form(&[0.0], noisy(1.0)).x[0]).abs() < 1e-12);
    assert_eq!(numbers(Denoiser::<2>::denoise(&tiny, row([f64::MAX], DType::F64), &[1e-9]).mean).len(), 1);
}

//! Mixtures whose components have directions of their own, against formulas of one component or of one dimension.
use crate::common::near;
use tweedie::{
    exact::{ComponentCovariance, Mixture},
    noise::Gaussian,
    schedule::{FlowMatching, Scales, Schedule, VariancePreserving},
};

fn mixture(components: Vec<(f64, Vec<f64>, ComponentCovariance)>) -> Mixture {
    Mixture::new(Gaussian::new(FlowMatching {}), components).unwrap()
}
fn full(a: f64, b: f64) -> ComponentCovariance {
    ComponentCovariance::Full(vec![vec![a, b], vec![b, a]])
}
fn low_rank(factor: [f64; 2], rest: f64) -> ComponentCovariance {
    ComponentCovariance::LowRank { factors: vec![factor.to_vec()], rest }
}

/// Far away the component that is nearest in its own standard deviations has all of the weight.
#[test]
fn far_away_the_component_of_that_direction_remains() {
    let c = FlowMatching {}.at(0.4);
    for (first, second) in [
        (full(4.0, 3.9), full(4.0, -3.9)),
        (low_rank([2.0, 2.0], 0.05), low_rank([2.0, -2.0], 0.05)),
        (low_rank([2.0, 1.0], 0.05), low_rank([1.0, 2.0], 0.05)),
    ] {
        let alone = |covariance: &ComponentCovariance| mixture(vec![(1.0, vec![0.3, -0.2], covariance.clone())]);
        let both = mixture(vec![(0.5, vec![0.3, -0.2], first.clone()), (0.5, vec![0.3, -0.2], second.clone())]);
        let directions = match &first {
            ComponentCovariance::LowRank { factors, .. } if factors[0][1] == 1.0 => [[2.0, 1.0], [1.0, 2.0]],
            _ => [[1.0, 1.0], [1.0, -1.0]],
        };
        for (direction, nearest) in directions.into_iter().zip([&first, &second]) {
            for size in [1e3, 1e170] {
                let z = direction.map(|d| d * size);
                let (own, wanted) = (both.closed_form(&z, c).x, alone(nearest).closed_form(&z, c).x);
                let relative = |x: Vec<f64>| x.into_iter().map(|x| x / size).collect::<Vec<f64>>();
                assert!(near(&relative(own.clone()), &relative(wanted.clone()), 1e-9), "{z:?}: {own:?} for {wanted:?}");
            }
        }
    }
}

/// The divergence of x̂ is that of finite differences, for every kind of covariance, alone and of several means.
#[test]
fn divergences_are_those_of_finite_differences() {
    let kinds = [
        ComponentCovariance::Isotropic(0.3),
        ComponentCovariance::Diagonal(vec![0.3, 1.1]),
        full(1.0, 0.6),
        low_rank([0.6, 0.8], 0.1),
    ];
    let scales: [Scales; 2] = [FlowMatching {}.at(0.4), VariancePreserving::default().at(0.3)];
    for kind in kinds {
        let one = mixture(vec![(1.0, vec![0.3, -0.2], kind.clone())]);
        let two = mixture(vec![(0.6, vec![0.3, -0.2], kind.clone()), (0.4, vec![-0.7, 0.9], kind.clone())]);
        let mixed = mixture(vec![(0.6, vec![0.3, -0.2], kind.clone()), (0.4, vec![-0.7, 0.9], full(0.5, 0.2))]);
        for (model, c) in [&one, &two, &mixed].into_iter().flat_map(|model| scales.map(|c| (model, c))) {
            for z in [[0.1, 0.2], [-0.8, 1.3]] {
                let h = 1e-5;
                let slope = |d: usize| {
                    let at = |step: f64| {
                        let mut z = z;
                        z[d] += step;
                        model.closed_form(&z, c).x[d]
                    };
                    (at(h) - at(-h)) / (2.0 * h)
                };
                let (own, wanted) = (model.closed_form(&z, c).divergence, slope(0) + slope(1));
                assert!((own - wanted).abs() < 1e-7, "{kind:?} at {z:?}: {own} for {wanted}");
            }
        }
    }
}

/// Without noise a mixture on a line is the mixture of one dimension along it, and one of densities has theirs.
#[test]
fn without_noise_a_mixture_on_a_line_is_that_of_one_dimension() {
    let c = FlowMatching {}.at(0.0);
    // Along (1, 1)/√2, of variances 0.08 and 0.3, around 0 and √2.
    let line = mixture(vec![(0.7, vec![0.0, 0.0], full(0.04, 0.04)), (0.3, vec![1.0, 1.0], full(0.15, 0.15))]);
    let one = mixture(vec![
        (0.7, vec![0.0], ComponentCovariance::Isotropic(0.08)),
        (0.3, vec![2f64.sqrt()], ComponentCovariance::Isotropic(0.3)),
    ]);
    for at in [-0.3, 0.2, 0.5, 0.9] {
        let along = |x: &[f64]| (x[0] + x[1]) / 2f64.sqrt();
        let own = line.closed_form(&[at, at], c);
        let wanted = one.closed_form(&[at * 2f64.sqrt()], c);
        assert_eq!(own.log_density, f64::INFINITY);
        assert!((along(&own.score) - wanted.score[0]).abs() < 1e-9, "{at}: {own:?} for {wanted:?}");
        assert!((along(&own.x) - wanted.x[0]).abs() < 1e-12, "{at}: {own:?}");
    }
    // A point elsewhere does not change the density of two components that overlap.
    let overlapping = mixture(vec![
        (0.4, vec![0.0, 0.0], ComponentCovariance::Isotropic(0.5)),
        (0.4, vec![0.5, 0.0], ComponentCovariance::Isotropic(0.8)),
        (0.2, vec![9.0, 9.0], ComponentCovariance::Isotropic(0.0)),
    ]);
    let density = |z: &[f64], mean: f64, v: f64| {
        (-0.5 * ((z[0] - mean).powi(2) + z[1] * z[1]) / v).exp() / (std::f64::consts::TAU * v)
    };
    for z in [[0.1, 0.2], [0.6, -0.4]] {
        let own = overlapping.closed_form(&z, c).log_density;
        let wanted = (0.4 * density(&z, 0.0, 0.5) + 0.4 * density(&z, 0.5, 0.8)).ln();
        assert!((own - wanted).abs() < 1e-12, "{own} for {wanted}");
    }
}

/// Two factors and the rest are the covariance `F Fᵀ + r I` written out.
#[test]
fn a_low_rank_of_two_factors_is_its_matrix() {
    let (factors, rest) = (vec![vec![1.0, 0.5, -0.2], vec![0.3, -0.4, 0.9]], 0.1);
    let entry = |i: usize, j: usize| -> f64 {
        let shared: f64 = factors.iter().map(|f| f[i] * f[j]).sum();
        shared + if i == j { rest } else { 0.0 }
    };
    let matrix: Vec<Vec<f64>> = (0..3).map(|i| (0..3).map(|j| entry(i, j)).collect()).collect();
    let mean = vec![0.3, -0.2, 0.6];
    let of = |covariance: ComponentCovariance| mixture(vec![(1.0, mean.clone(), covariance)]);
    let low = of(ComponentCovariance::LowRank { factors: factors.clone(), rest });
    let whole = of(ComponentCovariance::Full(matrix));
    let c = FlowMatching {}.at(0.4);
    for z in [[0.1, 0.2, -0.5], [-0.8, 1.3, 0.4]] {
        let (own, wanted) = (low.closed_form(&z, c), whole.closed_form(&z, c));
        assert!((own.log_density - wanted.log_density).abs() < 1e-9, "{own:?} for {wanted:?}");
        assert!(near(&own.x, &wanted.x, 1e-9) && near(&own.score, &wanted.score, 1e-9), "{own:?} for {wanted:?}");
        assert!((own.divergence - wanted.divergence).abs() < 1e-9, "{own:?} for {wanted:?}");
    }
}

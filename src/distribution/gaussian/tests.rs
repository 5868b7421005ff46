//! Against closed forms, statrs, quadrature and draws.
use super::*;
use crate::rng::Rng;
use proptest::prelude::*;
use statrs::distribution::{Continuous, ContinuousCDF, MultivariateNormal as Other, Normal};

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

/// A covariance that is well conditioned: A Aᵀ + I/2 for random A, from a seed.
fn random(d: usize, seed: u64) -> MultivariateNormal {
    let mut rng = Rng::new(seed);
    let (mean, a) = (rng.normals(1, d), DMatrix::from_vec(d, d, rng.normals(d, d)));
    let sigma = &a * a.transpose() + DMatrix::identity(d, d) * 0.5;
    MultivariateNormal::new(&mean, Covariance::Full(sigma)).unwrap()
}

/// The same normal with its covariance written out.
fn written_out(n: &MultivariateNormal) -> MultivariateNormal {
    MultivariateNormal::new(n.mean(), Covariance::Full(n.covariance().matrix())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn univariate_agrees_with_statrs(mean in -5.0..5.0, std in 0.01..10.0, z in -6.0..6.0, p in 1e-6..1.0 - 1e-6) {
        let (ours, theirs) = (UnivariateNormal::new(mean, std).unwrap(), Normal::new(mean, std).unwrap());
        let x = mean + std * z;
        prop_assert!(close(ours.density(x), theirs.pdf(x), 1e-12));
        prop_assert!(close(ours.log_density(x), theirs.ln_pdf(x), 1e-12));
        // statrs' own error function is good to about 1e-11.
        prop_assert!(close(ours.cdf(x), theirs.cdf(x), 1e-10));
        prop_assert!(close(ours.quantile(p).unwrap(), theirs.inverse_cdf(p), 1e-8));
        prop_assert!(close(ours.cdf(ours.quantile(p).unwrap()), p, 1e-13));
        let h = 1e-5 * std;
        let slope = (ours.log_density(x + h) - ours.log_density(x - h)) / (2.0 * h);
        prop_assert!(close(ours.score(x) * std, slope * std, 1e-5));
    }

    #[test]
    fn univariate_distances_have_their_laws(m in -3.0..3.0, s in 0.1..4.0, n in -3.0..3.0, r in 0.1..4.0) {
        let (p, q) = (UnivariateNormal::new(m, s).unwrap(), UnivariateNormal::new(n, r).unwrap());
        let textbook = (r / s).ln() + (s * s + (m - n).powi(2)) / (2.0 * r * r) - 0.5;
        prop_assert!(close(p.kl(&q), textbook, 1e-12) && p.kl(&q) >= 0.0 && p.kl(&p) == 0.0);
        prop_assert!(close(p.wasserstein2(&q).powi(2), (m - n).powi(2) + (s - r).powi(2), 1e-12));
        let (product, mass) = p.product(&q);
        let x = 0.3 * m + 0.7 * n;
        prop_assert!(close((mass * product.density(x)).ln(), p.log_density(x) + q.log_density(x), 1e-11));
        // In one dimension the vector formulas are these.
        let vector = |u: &UnivariateNormal| MultivariateNormal::product(&[*u]).unwrap();
        prop_assert!(close(vector(&p).kl(&vector(&q)).unwrap(), p.kl(&q), 1e-11));
        prop_assert!(close(vector(&p).wasserstein2(&vector(&q)).unwrap(), p.wasserstein2(&q), 1e-7));
        prop_assert!(close(vector(&p).entropy(), p.entropy(), 1e-12));
        prop_assert!(close(p.entropy(), 0.5 * (2.0 * std::f64::consts::PI * std::f64::consts::E * s * s).ln(), 1e-12));
    }

    #[test]
    fn moments_are_those_of_quadrature(mean in -2.0..2.0, std in 0.2..2.0, k in 0u32..9) {
        let normal = UnivariateNormal::new(mean, std).unwrap();
        let density = Density::of(|x| normal.density(x), mean - 14.0 * std, mean + 14.0 * std, 2001).unwrap();
        let sum = |f: &dyn Fn(f64) -> f64| {
            density.points().iter().zip(density.values()).map(|(&x, p)| f(x) * p).sum::<f64>() * density.step()
        };
        prop_assert!(close(normal.moment(k), sum(&|x| x.powi(k as i32)), 1e-10));
        prop_assert!(close(normal.central_moment(k), sum(&|x| (x - mean).powi(k as i32)), 1e-10));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn multivariate_agrees_with_statrs(d in 1usize..6, seed in 0u64..u64::MAX) {
        let ours = random(d, seed);
        let flat = ours.covariance().matrix().as_slice().to_vec();
        let theirs = Other::new(ours.mean().to_vec(), flat).unwrap();
        let points = ours.sample(4, &mut Rng::new(seed).stream("points"));
        for (x, density) in points.chunks_exact(d).zip(ours.log_densities(&points).unwrap()) {
            let other = theirs.ln_pdf(&DVector::from_column_slice(x));
            prop_assert!(close(density, other, 1e-9), "{density} {other}");
        }
        prop_assert!(close(ours.entropy(), theirs.entropy().unwrap(), 1e-9));
    }

    /// ln p(x₁, x₂) = ln p(x₂) + ln p(x₁ | x₂) at any point, for any split.
    #[test]
    fn joint_is_marginal_times_conditional(d in 2usize..7, seed in 0u64..u64::MAX, mask in 1u32..62) {
        let joint = random(d, seed);
        let given: Vec<usize> = (0..d).rev().filter(|i| mask >> i & 1 == 1).collect();
        prop_assume!(!given.is_empty() && given.len() < d);
        let x = joint.sample(1, &mut Rng::new(seed).stream("point"));
        let known: Vec<f64> = given.iter().map(|&i| x[i]).collect();
        let rest: Vec<f64> = (0..d).filter(|i| !given.contains(i)).map(|i| x[i]).collect();
        let marginal = joint.marginal(&given).unwrap().log_densities(&known).unwrap()[0];
        let conditional = joint.condition(&given, &known).unwrap().log_densities(&rest).unwrap()[0];
        prop_assert!(close(joint.log_densities(&x).unwrap()[0], marginal + conditional, 1e-8));
    }

    #[test]
    fn vector_distances_have_their_laws(d in 1usize..6, seed in 0u64..u64::MAX) {
        let (p, q) = (random(d, seed), random(d, seed ^ 1));
        prop_assert!(p.kl(&p).unwrap() < 1e-9 && p.kl(&q).unwrap() >= 0.0);
        prop_assert!(p.wasserstein2(&p).unwrap() < 1e-5);
        prop_assert!(close(p.wasserstein2(&q).unwrap(), q.wasserstein2(&p).unwrap(), 1e-9));
        // Both are unchanged, the second up to scale, when space is turned, scaled and moved.
        let turn = random_rotation(d, seed);
        let rows: Vec<Vec<f64>> = turn.row_iter().map(|r| r.iter().map(|v| 3.0 * v).collect()).collect();
        let shift = vec![1.5; d];
        let (pp, qq) = (p.affine(&rows, &shift).unwrap(), q.affine(&rows, &shift).unwrap());
        prop_assert!(close(pp.kl(&qq).unwrap(), p.kl(&q).unwrap(), 1e-8));
        prop_assert!(close(pp.wasserstein2(&qq).unwrap(), 3.0 * p.wasserstein2(&q).unwrap(), 1e-8));
        // Wasserstein between commuting covariances is the distance of their roots.
        let scaled = MultivariateNormal::new(p.mean(), Covariance::Full(p.covariance().matrix() * 4.0)).unwrap();
        let trace = p.covariance().matrix().trace();
        prop_assert!(close(p.wasserstein2(&scaled).unwrap(), trace.sqrt(), 1e-8));
    }

    #[test]
    fn structure_changes_nothing(d in 1usize..6, k in 0usize..4, seed in 0u64..u64::MAX) {
        let mut rng = Rng::new(seed);
        let mean = rng.normals(1, d);
        let variances: Vec<f64> = rng.uniforms(1, d).iter().map(|u| 0.2 + u).collect();
        let columns = rng.normals(d, k.max(1));
        let factor: Vec<&[f64]> = columns.chunks(k.max(1)).map(|row| &row[..k]).collect();
        let kinds = [
            Covariance::diagonal(&variances),
            Covariance::isotropic(d, variances[0]),
            Covariance::low_rank(&factor, &variances).unwrap(),
        ].map(|c| MultivariateNormal::new(&mean, c).unwrap());
        let other = random(d, seed ^ 2);
        let x = rng.normals(3, d);
        for one in &kinds {
            let full = written_out(one);
            prop_assert!(one.log_densities(&x).unwrap().iter().zip(full.log_densities(&x).unwrap()).all(|(a, b)| close(*a, b, 1e-9)));
            prop_assert!(one.score(&x[..d]).unwrap().iter().zip(full.score(&x[..d]).unwrap()).all(|(a, b)| close(*a, b, 1e-9)));
            prop_assert!(close(one.entropy(), full.entropy(), 1e-10));
            prop_assert!(close(one.kl(&other).unwrap(), full.kl(&other).unwrap(), 1e-9));
            prop_assert!(close(other.kl(one).unwrap(), other.kl(&full).unwrap(), 1e-9));
            let first = [0];
            let (a, b) = (one.marginal(&first).unwrap(), full.marginal(&first).unwrap());
            prop_assert!((a.covariance().matrix() - b.covariance().matrix()).amax() < 1e-12);
            if d > 1 {
                let (a, b) = (one.condition(&first, &[0.7]).unwrap(), full.condition(&first, &[0.7]).unwrap());
                prop_assert!((a.covariance().matrix() - b.covariance().matrix()).amax() < 1e-9);
                prop_assert!(a.mean().iter().zip(b.mean()).all(|(a, b)| close(*a, *b, 1e-9)));
            }
            for two in &kinds {
                let sum = one.sum(two).unwrap().covariance().matrix();
                prop_assert!((sum - one.covariance().matrix() - two.covariance().matrix()).amax() < 1e-12);
            }
        }
        prop_assert!(kinds[1].covariance().is_isotropic(1e-12).is_some());
        prop_assert_eq!(kinds[0].coordinates().unwrap().len(), d);
    }
}

fn random_rotation(d: usize, seed: u64) -> DMatrix<f64> {
    DMatrix::from_vec(d, d, Rng::new(seed).stream("rotation").normals(d, d)).qr().q()
}

#[test]
fn quantile_reaches_both_tails() {
    let n = UnivariateNormal::STANDARD;
    // mpmath, 40 digits: findroot of ln Φ(z) − ln p.
    for (p, z) in [(1e-300, -37.047_096_299_361_2), (1e-20, -9.262_340_089_798_41), (0.975, 1.959_963_984_540_054)] {
        assert!((n.quantile(p).unwrap() - z).abs() < 1e-13 * z.abs().max(1.0), "{p}: {}", n.quantile(p).unwrap());
    }
    assert_eq!(n.quantile(0.5).unwrap(), 0.0);
    assert_eq!(n.quantile(0.0).unwrap(), f64::NEG_INFINITY);
    assert_eq!(n.quantile(1.0).unwrap(), f64::INFINITY);
    for i in 1..1000 {
        let p = f64::from(i) / 1000.0;
        assert!((n.quantile(p).unwrap() + n.quantile(1.0 - p).unwrap()).abs() < 1e-12);
    }
}

#[test]
fn kl_keeps_its_digits_near_and_far() {
    let at = |std| UnivariateNormal::new(0.0, std).unwrap();
    assert!((at(1.0 + 1e-6).kl(&at(1.0)) - 1e-12).abs() < 1e-17); // ½(r² − 1) − ln r = (r − 1)² + …
    assert!((at(1e-9).kl(&at(1.0)) - (9.0 * 10f64.ln() - 0.5)).abs() < 1e-9);
}

#[test]
fn draws_have_the_mean_and_covariance_they_were_asked_for() {
    let low = Covariance::low_rank(&[[1.0], [-2.0], [0.5]], &[0.3, 0.2, 1.0]).unwrap();
    let kinds = [
        random(3, 11),
        MultivariateNormal::new(&[1.0, 2.0, 3.0], Covariance::diagonal(&[4.0, 1.0, 0.25])).unwrap(),
        MultivariateNormal::new(&[-1.0, 0.0, 1.0], Covariance::isotropic(3, 2.0)).unwrap(),
        MultivariateNormal::new(&[0.0, 5.0, 0.0], low).unwrap(),
    ];
    let n = 200_000;
    for normal in &kinds {
        let points = normal.sample(n, &mut Rng::new(5));
        let sigma = normal.covariance().matrix();
        // Five standard errors: Var(Σ̂ᵢⱼ) = (Σᵢᵢ Σⱼⱼ + Σᵢⱼ²)/n.
        for (i, (got, want)) in mean_of(&points, 3).unwrap().iter().zip(normal.mean()).enumerate() {
            assert!((got - want).abs() < 5.0 * (sigma[(i, i)] / n as f64).sqrt());
        }
        let got = covariance_of(&points, 3).unwrap();
        for i in 0..3 {
            for j in 0..3 {
                let error = ((sigma[(i, i)] * sigma[(j, j)] + sigma[(i, j)].powi(2)) / n as f64).sqrt();
                assert!((got[(i, j)] - sigma[(i, j)]).abs() < 5.0 * error, "({i}, {j})");
            }
        }
        let fitted = MultivariateNormal::fit(&points, 3).unwrap();
        assert!(fitted.kl(normal).unwrap() < 1e-3);
        assert_eq!(normal.sample(3, &mut Rng::new(5)), points[..9]);
    }
}

/// Kolmogorov and Smirnov: √n sup |F̂ − F| > 1.95 happens once in a thousand.
#[test]
fn univariate_draws_follow_the_cdf() {
    let normal = UnivariateNormal::new(-3.0, 0.4).unwrap();
    let mut x = normal.sample(20_000, &mut Rng::new(9));
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let far = x.iter().enumerate().map(|(i, &x)| (normal.cdf(x) - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
    assert!(far * n.sqrt() < 1.95, "{far}");
}

#[test]
fn what_is_no_covariance_is_refused_with_the_reason() {
    let try_full =
        |rows: &[[f64; 2]]| MultivariateNormal::new(&[0.0, 0.0], Covariance::full(rows).unwrap()).unwrap_err();
    assert_eq!(
        try_full(&[[1.0, 0.5], [0.4, 1.0]]),
        GaussianError::NotSymmetric { row: 0, column: 1, above: 0.5, below: 0.4 }
    );
    let GaussianError::NotPositiveDefinite { eigenvalue, direction, degenerate } = try_full(&[[1.0, 3.0], [3.0, 1.0]])
    else {
        panic!("not refused for its eigenvalue")
    };
    assert!((eigenvalue + 2.0).abs() < 1e-12 && !degenerate);
    assert!((direction[0] + direction[1]).abs() < 1e-12);
    assert!(matches!(try_full(&[[1.0, 1.0], [1.0, 1.0]]), GaussianError::NotPositiveDefinite { degenerate: true, .. }));
    assert!(matches!(try_full(&[[1.0, 0.0], [0.0, f64::NAN]]), GaussianError::NotFinite { .. }));
    let diagonal = MultivariateNormal::new(&[0.0, 0.0], Covariance::diagonal(&[1.0, 0.0])).unwrap_err();
    assert_eq!(diagonal.to_string(), "the variance at index 1 is 0: it must be greater than zero");
    assert!(UnivariateNormal::new(0.0, 0.0).is_err() && UnivariateNormal::new(f64::NAN, 1.0).is_err());
    let two = MultivariateNormal::standard(2).unwrap();
    assert_eq!(two.marginal(&[2]).unwrap_err(), GaussianError::Coordinate { index: 2, dim: 2, twice: false });
    assert_eq!(two.marginal(&[1, 1]).unwrap_err(), GaussianError::Coordinate { index: 1, dim: 2, twice: true });
    assert!(two.condition(&[0, 1], &[0.0, 0.0]).is_err() && two.condition(&[0], &[]).is_err());
    // A has two equal rows: the image lies on a line.
    let image = two.affine(&[[1.0, 1.0], [1.0, 1.0]], &[0.0, 0.0]).unwrap_err();
    assert!(image.to_string().contains("zero to rounding"), "{image}");
    // Ill-conditioned is not degenerate.
    assert!(MultivariateNormal::new(&[0.0, 0.0], Covariance::full(&[[1.0, 1.0], [1.0, 1.0 + 1e-12]]).unwrap()).is_ok());
}

#[test]
fn convolution_on_a_grid_is_the_density_of_the_sum() {
    let p = UnivariateNormal::new(-1.0, 0.6).unwrap();
    let q = UnivariateNormal::new(0.5, 1.1).unwrap();
    let on = |n: &UnivariateNormal, low, high, points| Density::of(|x| n.density(x), low, high, points).unwrap();
    let sum = p.sum(&q);
    let numeric = convolve(&on(&p, -8.0, 8.0, 801), &on(&q, -12.0, 12.0, 1201)).unwrap();
    let error = numeric.error(|z| sum.density(z));
    assert!(error.largest < 1e-14 && error.total < 1e-13 && error.missing_mass.abs() < 1e-13, "{error:?}");
    assert!((numeric.mean() - sum.mean()).abs() < 1e-12 && (numeric.variance() - sum.variance()).abs() < 1e-11);
    // Against the sum written out, where nothing is nearly zero at the edges.
    let (a, b) = (on(&p, -1.0, 1.0, 41), on(&q, 0.0, 2.0, 41));
    let fast = convolve(&a, &b).unwrap();
    for (k, got) in fast.values().iter().enumerate() {
        let slow: f64 = (0..41)
            .filter(|i| (0..41).contains(&(k.wrapping_sub(*i))))
            .map(|i| a.values()[i] * b.values()[k - i])
            .sum();
        assert!((got - slow * a.step()).abs() < 1e-15);
    }
    // Two boxes make a triangle; jumps cost the order of the step.
    let wide = |n: usize| {
        let unit = Density::of(|x| if x.abs() < 0.5 { 1.0 } else { 0.0 }, -1.0, 1.0, 2 * n).unwrap();
        convolve(&unit, &unit).unwrap().error(|z| (1.0 - z.abs()).max(0.0)).largest
    };
    assert!(wide(1000) < 2e-3 && wide(1000) < 0.2 * wide(100), "{} {}", wide(1000), wide(100));
    // The mass outside of the grid is reported.
    let narrow = convolve(&on(&p, -1.0, 1.0, 201), &on(&q, -12.0, 12.0, 2401)).unwrap();
    let cut = 1.0 - (p.cdf(1.0) - p.cdf(-1.0));
    assert!((narrow.error(|z| sum.density(z)).missing_mass - cut).abs() < 1e-2);
    assert!(matches!(convolve(&a, &on(&q, 0.0, 2.0, 51)), Err(GaussianError::Step { .. })));
}

#[test]
fn steps_and_jump_have_one_distribution_and_reach_the_standard_normal() {
    let betas: Vec<f64> = (0..200).map(|t| 1e-4 + 0.05 * f64::from(t) / 199.0).collect();
    let image: Vec<f64> =
        (0..60_000).map(|i| if i % 3 == 0 { 1.0 } else { -0.5 + f64::from(i % 100) / 200.0 }).collect();
    let rng = Rng::new(4);
    for t in [1, 10, 60, 200] {
        let (mut steps, mut jump) = (image.clone(), image.clone());
        for (i, &beta) in betas[..t].iter().enumerate() {
            forward::step(&mut steps, beta, &mut rng.at_step(i as u64)).unwrap();
        }
        forward::jump(&mut jump, forward::alpha_bar(&betas[..t]), &mut rng.stream("jump")).unwrap();
        // What is left after taking off √ᾱ x₀ is noise of variance 1 − ᾱ, by law(·) as by draws.
        let law = forward::marginal(0.5, &betas[..t]).unwrap();
        let alpha_bar = forward::alpha_bar(&betas[..t]);
        assert!(
            (law.mean() - alpha_bar.sqrt() * 0.5).abs() < 1e-14 && (law.variance() - (1.0 - alpha_bar)).abs() < 1e-14
        );
        for x in [&steps, &jump] {
            let noise: Vec<f64> = x.iter().zip(&image).map(|(x, x0)| (x - alpha_bar.sqrt() * x0) / law.std()).collect();
            let n = noise.len() as f64;
            let moment = |k: i32| noise.iter().map(|z| z.powi(k)).sum::<f64>() / n;
            // Five standard errors of the first four moments of N(0, 1).
            for (k, want, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
                assert!((moment(k) - want).abs() < 5.0 * (variance / n).sqrt(), "t {t} moment {k}: {}", moment(k));
            }
        }
    }
    let mut x = image.clone();
    for (i, &beta) in betas.iter().enumerate() {
        forward::step(&mut x, beta, &mut rng.at_step(i as u64)).unwrap();
    }
    assert!(UnivariateNormal::fit(&x).unwrap().kl(&UnivariateNormal::STANDARD) < 1e-3);
}

#[test]
fn zero_covariance_is_not_independence_unless_jointly_normal() {
    let x = Rng::new(3).normals(50_000, 1);
    let pairs: Vec<f64> = x.iter().flat_map(|&x| [x, x * x - 1.0]).collect();
    assert!(correlation_of(&pairs, 2).unwrap()[(0, 1)].abs() < 0.03);
    // E[x² y] = 2, where independence would give E[x²] E[y] = 0.
    let third: f64 = pairs.chunks(2).map(|p| p[0] * p[0] * p[1]).sum::<f64>() / x.len() as f64;
    assert!((third - 2.0).abs() < 0.2, "{third}");
}

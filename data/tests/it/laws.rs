//! Synthetic data have the laws that they state.
use tweedie_data::{Law, Spheres, Waves};

/// Variates that fill [0, 1) evenly in every dimension, of a linear congruential generator.
fn uniforms(n: usize) -> Vec<f64> {
    let mut state = 0x853c_49e6_748f_ea9b_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..n).map(next).collect()
}

#[test]
fn the_spectrum_of_waves_adds_up_to_their_variance() {
    for waves in [
        Waves::default(),
        Waves { length: 33, harmonics: 1, min_frequency: 1.3, max_frequency: 1.3, noise: 0.4 },
        Waves { length: 16, harmonics: 2, min_frequency: 4.0, max_frequency: 4.0, noise: 0.0 },
    ] {
        let expected = waves.law().expected.unwrap();
        // Parseval: Σ_k |X_k|²/L = Σ_n x_n², and every frequency but 0 and L/2 is there twice.
        let twice = |k: &usize| if *k == 0 || 2 * k == waves.length { 1.0 } else { 2.0 };
        let sum: f64 = (0..expected.len()).map(|k| twice(&k) * expected[k]).sum();
        assert!((sum - waves.length as f64).abs() < 1e-9 * sum, "{waves:?}: {sum}");
    }
}

#[test]
fn signals_have_the_spectrum_of_waves_and_no_other() {
    let waves = Waves { length: 32, harmonics: 2, min_frequency: 1.5, max_frequency: 6.0, noise: 0.3 };
    let signals: Vec<Vec<f32>> =
        uniforms(6000 * waves.uniforms()).chunks(waves.uniforms()).map(|u| waves.signal(u)).collect();
    let law = waves.law();
    let measured = law.mean(signals.iter().map(|signal| &signal[..]));
    assert!(law.gap(&measured.mean).unwrap() < 0.03, "{measured:?}");
    for ((mean, error), expected) in measured.mean.iter().zip(&measured.error).zip(law.expected.as_ref().unwrap()) {
        assert!((mean - expected).abs() < 4.5 * error, "{mean} ± {error}, not {expected}");
    }
    for other in [Waves { noise: 0.2, ..waves }, Waves { harmonics: 1, ..waves }, Waves { max_frequency: 5.0, ..waves }]
    {
        let law = other.law();
        let expected = law.expected.as_ref().unwrap();
        let far = measured.mean.iter().zip(&measured.error).zip(expected).any(|((m, e), x)| (m - x).abs() > 8.0 * e);
        assert!(far, "{other:?}");
    }
}

#[test]
fn a_ball_has_the_radius_that_its_content_says() {
    let spheres = Spheres { side: 10, min_radius: 1.5, max_radius: 4.0 };
    let (mut worst, mut sum) = (0.0f64, 0.0);
    for u in uniforms(4 * 500).chunks_exact(4) {
        let volume = spheres.volume([u[0], u[1], u[2], u[3]]);
        let off = Spheres::measured_radius(&volume) - spheres.radius(u);
        (worst, sum) = (worst.max(off.abs()), sum + off);
        // It is inside of the cube, with its edge.
        let faces = (0..100).map(|i| [i, 900 + i, 100 * (i / 10) + i % 10, 10 * i, 10 * i + 9]);
        assert!(faces.flatten().all(|i| volume[i] < 1.0));
        assert!(volume.contains(&1.0) && volume.iter().all(|x| (-1.0..=1.0).contains(x)));
    }
    assert!(worst < 0.05 && (sum / 500.0).abs() < 2e-3, "{worst} {sum}");
    assert_eq!(Spheres::measured_radius(&[-1.0; 8]), 0.0);
}

#[test]
fn volumes_have_the_radii_of_spheres_and_no_others() {
    let spheres = Spheres::default();
    let volumes: Vec<Vec<f32>> =
        uniforms(4 * 3000).chunks_exact(4).map(|u| spheres.volume([u[0], u[1], u[2], u[3]])).collect();
    let gap = |spheres: Spheres| {
        let law = spheres.law();
        law.gap(&law.mean(volumes.iter().map(|volume| &volume[..])).mean).unwrap()
    };
    assert!(gap(spheres) < 0.1, "{}", gap(spheres));
    assert!(gap(Spheres { max_radius: 2.7, ..spheres }) > 0.3);
    let one = Spheres { min_radius: 2.5, max_radius: 2.5, ..spheres };
    assert!((one.law().expected.unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn settings_that_describe_no_data_are_refused_with_the_field() {
    let waves = Waves::default();
    let wrong: [(&str, Waves, &str); 8] = [
        ("length", Waves { length: 3, ..waves }, "must be 4 to 65536 values, got 3"),
        ("length", Waves { length: 1 << 40, ..waves }, "got 1099511627776"),
        ("harmonics", Waves { harmonics: 0, ..waves }, "got 0"),
        ("min_frequency", Waves { min_frequency: 9.0, ..waves }, "at most `max_frequency`, which is 8, got 9"),
        ("min_frequency", Waves { min_frequency: f64::NAN, ..waves }, "got NaN"),
        ("max_frequency", Waves { max_frequency: 12.0, ..waves }, "32 cycles per signal, got 12 · 3"),
        ("noise", Waves { noise: 1.0, ..waves }, "must be in [0, 1)"),
        ("noise", Waves { noise: -0.1, ..waves }, "got -0.1"),
    ];
    for (field, waves, problem) in wrong {
        let error = waves.check().unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(error.problem().contains(problem) && error.remedy().is_some(), "{error}");
    }
    let spheres = Spheres::default();
    let wrong: [(&str, Spheres, &str); 5] = [
        ("side", Spheres { side: 3, ..spheres }, "must be 4 to 256 voxels, got 3"),
        ("side", Spheres { side: 257, ..spheres }, "got 257"),
        ("min_radius", Spheres { min_radius: 0.0, ..spheres }, "got 0"),
        ("min_radius", Spheres { min_radius: 5.0, ..spheres }, "`max_radius`, which is 3, got 5"),
        ("max_radius", Spheres { max_radius: 6.0, ..spheres }, "must be at most 3.5, so that the ball"),
    ];
    for (field, spheres, problem) in wrong {
        let error = spheres.check().unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(error.problem().contains(problem) && error.remedy().is_some(), "{error}");
    }
    assert!(waves.check().is_ok() && spheres.check().is_ok());
}

#[test]
fn statistics_without_an_expectation_compare_samples_with_samples() {
    let law = Law::spectrum(2, 4);
    assert_eq!((law.at.clone(), law.gap(&[0.0; 3])), (vec![0.0, 1.0, 2.0], None));
    // One channel constant, one alternating: the mean over channels.
    let mean = law.mean([&[1.0f32, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1.0][..]]).mean;
    assert!(mean.iter().zip([2.0, 0.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{mean:?}");
    let law = Law::means(4);
    assert_eq!(law.mean([&[-1.0f32, -1.0][..], &[1.0, 1.0], &[0.1, 0.1]]).mean, [1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
}

//! Samplers of categories against exact models.
use crate::common::numbers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::{cell::RefCell, collections::HashMap};
use tweedie::{
    Rng,
    denoise::{Denoiser, Guided, Truncated, Truncation},
    exact::Joint,
    laws::{self, sequence_counts, total_variation},
    noise::{Discrete, Estimate, Gaussian, Noise},
    sample::*,
    schedule::{CosineAngle, FlowMatching, Geometric, Survival},
};

fn pages(rows: &[&[usize]]) -> Tensor<3> {
    let values: Vec<f64> = rows.concat().iter().map(|n| *n as f64).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len(), 1]), (&Device::flex(), DType::F64))
}
fn grid(n: usize) -> Vec<f64> {
    (0..=n).rev().map(|i| i as f64 / n as f64).collect()
}

/// Sequences of four of the letters 0, 1, 2 that depend on each other over all distances.
fn sequences() -> Vec<(Vec<usize>, f64)> {
    vec![
        (vec![0, 1, 2, 0], 0.25),
        (vec![0, 1, 0, 2], 0.1),
        (vec![1, 0, 2, 2], 0.2),
        (vec![1, 1, 0, 0], 0.05),
        (vec![2, 2, 2, 1], 0.15),
        (vec![2, 0, 0, 0], 0.25),
    ]
}
const MASK: usize = 3;
fn absorbing(schedule: impl Survival + 'static) -> Joint {
    Joint::new(Discrete::absorbing(schedule, 4, MASK), sequences()).unwrap()
}
fn uniform() -> Joint {
    Joint::new(Discrete::uniform(FlowMatching {}, 3), sequences()).unwrap()
}
/// The distance of `rows` samples from the data's distribution, and the sampling error allowed.
fn far(model: &Joint, sampler: &dyn Sampler<3>, steps: usize, rows: usize) -> (f64, f64) {
    total_variation(model, &sequence_counts(model, sampler, steps, rows, &Rng::new(5)))
}
fn by(by: UnmaskingOrder) -> Ordered {
    Ordered { by, temperature: 0.0 }
}

fn all() -> Vec<Box<dyn Sampler<3>>> {
    let looped = Remasking { eta: 0.1, from: 0.55, until: 0.05, hold: Some(0.9), ..Remasking::default() };
    vec![
        Box::new(Ancestral {}),
        Box::new(Analytic {}),
        Box::new(FirstHitting {}),
        Box::new(TauLeaping {}),
        Box::new(by(UnmaskingOrder::Confidence)),
        Box::new(Ordered { by: UnmaskingOrder::Confidence, temperature: 4.5 }),
        Box::new(by(UnmaskingOrder::Entropy)),
        Box::new(by(UnmaskingOrder::Margin)),
        Box::new(by(UnmaskingOrder::Random)),
        Box::new(by(UnmaskingOrder::Position)),
        Box::new(Remasking::default()),
        Box::new(Remasking { rule: Remask::Rescale, eta: 0.3, ..Remasking::default() }),
        Box::new(looped),
        Box::new(Blocks { sampler: Analytic {}, block: 2, window: None }),
        Box::new(Blocks { sampler: by(UnmaskingOrder::Entropy), block: 1, window: None }),
        Box::new(Cached { sampler: Ancestral {} }),
        Box::new(Cached { sampler: Blocks { sampler: Analytic {}, block: 2, window: None } }),
    ]
}

#[test]
fn every_sampler_of_categories_obeys_its_laws() {
    let mut broken = vec![];
    for sampler in all() {
        let checks = laws::discrete_sampler(&*sampler);
        assert!(checks.len() >= 6, "{sampler:?}");
        broken.extend(checks.iter().filter(|check| !check.holds()).map(|check| format!("{sampler:?}: {check}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(laws::discrete_sampler(&Heun::default()).is_empty());
}

/// One entry a step, or its own times: the conditionals multiply to the joint.
#[test]
fn one_entry_per_step_samples_the_joint_distribution() {
    let model = absorbing(FlowMatching {});
    let blocks = Blocks { sampler: Analytic {}, block: 1, window: None };
    let exact: [(&dyn Sampler<3>, usize); 9] = [
        (&FirstHitting {}, 1),
        (&FirstHitting {}, 3),
        (&by(UnmaskingOrder::Random), 4),
        (&by(UnmaskingOrder::Position), 4),
        (&by(UnmaskingOrder::Entropy), 4),
        (&by(UnmaskingOrder::Margin), 4),
        (&Ordered { by: UnmaskingOrder::Entropy, temperature: 2.0 }, 4),
        (&blocks, 4),
        (&blocks, 8),
    ];
    for (sampler, steps) in exact {
        let (far, chance) = far(&model, sampler, steps, 20_000);
        assert!(far < chance, "{sampler:?}, {steps} steps: {far:.4} of {chance:.4}");
    }
    // Not in one step, nor if the order depends on the sampled categories.
    let (tied, chance) = far(&model, &by(UnmaskingOrder::Entropy), 1, 20_000);
    assert!(tied > 0.3, "{tied:.4}");
    let (biased, _) = far(&model, &by(UnmaskingOrder::Confidence), 4, 20_000);
    assert!(biased > 2.0 * chance, "{biased:.4}");
    // Any schedule will do for the sampler with times of its own.
    let (far, chance) = far(&absorbing(CosineAngle {}), &FirstHitting {}, 2, 20_000);
    assert!(far < chance, "{far:.4}");
}

/// Fine steps rarely change two entries: the distance falls with the step, down to the sampling error.
#[test]
fn fine_steps_sample_the_joint_distribution() {
    let rescaled = Remasking { rule: Remask::Rescale, eta: 0.05, ..Remasking::default() };
    let samplers: [(&dyn Sampler<3>, bool); 5] = [
        (&Ancestral {}, true),
        (&Analytic {}, true),
        (&TauLeaping {}, true),
        (&Remasking::default(), false),
        (&rescaled, false),
    ];
    for (sampler, both) in samplers {
        let models = if both { vec![absorbing(FlowMatching {}), uniform()] } else { vec![absorbing(FlowMatching {})] };
        for model in models {
            let (coarse, _) = far(&model, sampler, 4, 6000);
            let (fine, chance) = far(&model, sampler, 128, 6000);
            assert!(
                coarse > chance + 0.05 && fine < chance + 0.02,
                "{sampler:?}: {coarse:.4}, {fine:.4} of {chance:.4}"
            );
        }
    }
}

/// The probability of a sample that is not in the data, 0 in the limit, halves with the step.
#[test]
fn tau_leaping_is_of_first_order() {
    for noise in [Discrete::absorbing(FlowMatching {}, 3, 2), Discrete::uniform(FlowMatching {}, 2)] {
        let model = Joint::new(noise, vec![(vec![0, 0], 0.5), (vec![1, 1], 0.5)]).unwrap();
        let errors = [16, 32, 64].map(|steps| {
            let counts = sequence_counts(&model, &TauLeaping {}, steps, 100_000, &Rng::new(9));
            counts.iter().filter(|(x, _)| x[0] != x[1]).map(|(_, n)| *n as f64).sum::<f64>() / 1e5
        });
        for pair in errors.windows(2) {
            let order = (pair[0] / pair[1]).log2();
            assert!((order - 1.0).abs() < 0.15, "{errors:?}: order {order:.2}");
        }
    }
}

/// A model that counts its evaluations.
struct Counted<'a> {
    model: &'a Joint,
    evaluations: RefCell<usize>,
}
impl Denoiser<3> for Counted<'_> {
    fn noise(&self) -> &dyn Noise<3> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        *self.evaluations.borrow_mut() += 1;
        self.model.denoise(z, t)
    }
}

#[test]
fn caching_saves_network_evaluations_and_changes_no_sample() {
    let joint = absorbing(FlowMatching {});
    let run = |sampler: &dyn Sampler<3>| {
        let model = Counted { model: &joint, evaluations: RefCell::new(0) };
        let points = trajectory(&model, sampler, grid(200), [3, 4, 1], &Rng::new(2), &Device::flex()).unwrap();
        let points: Vec<Vec<f64>> = points.map(|(_, z)| numbers(z)).collect();
        (points, model.evaluations.into_inner())
    };
    let pairs: [(&dyn Sampler<3>, &dyn Sampler<3>); 3] = [
        (&Ancestral {}, &Cached { sampler: Ancestral {} }),
        (&Analytic {}, &Cached { sampler: Analytic {} }),
        (&Remasking::default(), &Cached { sampler: Remasking::default() }),
    ];
    for (plain, cached) in pairs {
        let ((a, all), (b, few)) = (run(plain), run(cached));
        let changes = b.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(a, b, "{cached:?}");
        // The first estimate, and one after each change that a step follows.
        assert!(
            all == 200 && (few == changes || few == changes + 1) && few < 100,
            "{cached:?}: {few} evaluations, {changes} changes"
        );
    }
    // A step that unmasks nothing evaluates nothing, without a cache.
    assert_eq!(run(&by(UnmaskingOrder::Entropy)).1, 4);
}

/// Remasking leaves q(x_s) as it is: of one entry exactly, at every time.
#[test]
fn remasking_preserves_the_marginals() {
    let letters = vec![(vec![0], 0.6), (vec![1], 0.3), (vec![2], 0.1)];
    let model = Joint::new(Discrete::absorbing(CosineAngle {}, 4, MASK), letters).unwrap();
    let rows = 20_000;
    for rule in [Remask::Cap, Remask::Rescale] {
        let sampler = Remasking { rule, eta: 0.5, from: 0.8, until: 0.1, hold: None };
        let mut seen = vec![];
        for (s, z) in trajectory(&model, &sampler, grid(8), [rows, 1, 1], &Rng::new(3), &Device::flex()).unwrap() {
            let z = numbers(z);
            let keep = CosineAngle {}.survival(tweedie::Dual::time(s)).value;
            for (n, p) in [0.6 * keep, 0.3 * keep, 0.1 * keep, 1.0 - keep].into_iter().enumerate() {
                let own = z.iter().filter(|x| **x == n as f64).count() as f64 / rows as f64;
                let chance = 5.0 * (p * (1.0 - p) / rows as f64).sqrt() + 1e-12;
                assert!((own - p).abs() <= chance, "{rule:?}, s = {s}, category {n}: {own:.4} for {p:.4}");
            }
            seen.push(z);
        }
        let back =
            seen.windows(2).flat_map(|w| w[0].iter().zip(&w[1])).filter(|(a, b)| **a != 3.0 && **b == 3.0).count();
        assert!(back > rows / 10, "{back} masked again");
    }
    // The loop holds its α between its times.
    let hold = Remasking { eta: 0.1, from: 0.6, until: 0.2, hold: Some(0.9), ..Remasking::default() };
    for (s, z) in trajectory(&model, &hold, grid(10), [rows, 1, 1], &Rng::new(4), &Device::flex()).unwrap() {
        let masked = numbers(z).into_iter().filter(|n| *n == 3.0).count() as f64 / rows as f64;
        if (0.2..=0.6).contains(&s) {
            assert!((masked - 0.1).abs() < 5.0 * (0.09 / rows as f64).sqrt(), "{s}: {masked}");
        }
    }
}

/// Samples given known entries have the exact conditional distribution, and known entries never change.
#[test]
fn known_entries_stay_and_the_rest_has_the_conditional_distribution() {
    let model = absorbing(FlowMatching {});
    let known = Tensor::<3>::from_data([[[-1.0], [1.0], [-1.0], [-1.0]]], &Device::flex());
    let given: Vec<_> = sequences().into_iter().filter(|(x, _)| x[1] == 1).collect();
    let given = Joint::new(Discrete::absorbing(FlowMatching {}, 4, MASK), given).unwrap();
    fn check<S: Sampler<3> + 'static>(model: &Joint, given: &Joint, known: &Tensor<3>, sampler: S, steps: usize) {
        let infill = Infill { sampler: Box::new(sampler), known: known.clone(), allowed: None };
        let (far, chance) = total_variation(given, &sequence_counts(model, &infill, steps, 6000, &Rng::new(8)));
        assert!(far < chance + 0.02, "{infill:?}: {far:.4} of {chance:.4}");
        let z = infill.put(pages(&[&[MASK; 4][..]; 3]));
        for (s, z) in trajectory_from(model, &infill, grid(7), z, &Rng::new(1)).unwrap() {
            assert!(numbers(z).chunks(4).all(|row| row[1] == 1.0), "{infill:?} at {s}");
        }
    }
    check(&model, &given, &known, FirstHitting {}, 2);
    check(&model, &given, &known, by(UnmaskingOrder::Entropy), 4);
    check(&model, &given, &known, Ancestral {}, 128);
    check(&model, &given, &known, Analytic {}, 128);
    check(&model, &given, &known, TauLeaping {}, 128);
    check(&model, &given, &known, Remasking::default(), 128);
    check(&model, &given, &known, Blocks { sampler: Analytic {}, block: 1, window: None }, 4);
    check(&model, &given, &known, Cached { sampler: Ancestral {} }, 128);
    // Known entries per row; without a mask they are kept as well.
    let rows = pages(&[&[0, 1, 0, 0], &[2, 0, 0, 0]]).sub_scalar(1.0);
    let infill = Infill { sampler: Box::new(Ancestral {}), known: rows, allowed: None };
    let uniform = uniform();
    let steps = trajectory(&uniform, &infill, grid(5), [2, 4, 1], &Rng::new(1), &Device::flex()).unwrap();
    for (s, z) in steps.skip(1) {
        let z = numbers(z);
        assert!(z[1] == 0.0 && z[4] == 1.0, "{s}: {z:?}");
    }
}

/// An entry that is not known has one of its allowed categories at the end, whatever the sampler, the noise and the model,
/// which here believes in the others.
#[test]
fn entries_end_with_allowed_categories() {
    let ends = |noise: Discrete| {
        let sequence = |i: usize| vec![i / 9, i / 3 % 3, i % 3, 1];
        let likely = |x: &Vec<usize>| if x[..3] == [2; 3] { 0.74 } else { 0.01 };
        Joint::new(noise, (0..27).map(sequence).map(|x| (x.clone(), likely(&x))).collect()).unwrap()
    };
    let known = Tensor::<3>::from_data([[[-1.0], [-1.0], [-1.0], [1.0]]], &Device::flex());
    let allowed = |k: usize| {
        let mut allowed = vec![1.0; 4 * k];
        // Category 2 is none for the first two entries.
        (allowed[2], allowed[k + 2]) = (0.0, 0.0);
        Tensor::<3>::from_data(TensorData::new(allowed, [1, 4, k]), &Device::flex())
    };
    let check = |model: &Joint, k: usize, sampler: Box<dyn Sampler<3>>| {
        let infill = Infill { sampler, known: known.clone(), allowed: Some(allowed(k)) };
        let steps = trajectory(model, &infill, grid(5), [200, 4, 1], &Rng::new(2), &Device::flex()).unwrap();
        let z = numbers(steps.last().unwrap().1);
        assert!(z.chunks(4).all(|row| row[0] < 2.0 && row[1] < 2.0 && row[3] == 1.0), "{infill:?}: {:?}", &z[..12]);
        // The third entry may be category 2, and the first two are both of the others.
        assert!(z.chunks(4).any(|row| row[2] == 2.0) && z.chunks(4).any(|row| row[0] == 0.0), "{infill:?}");
        // Rows do not depend on each other.
        let alone = trajectory(model, &infill, grid(5), [1, 4, 1], &Rng::new(2), &Device::flex()).unwrap();
        assert_eq!(numbers(alone.last().unwrap().1), z[..4], "{infill:?}");
    };
    let masked = ends(Discrete::absorbing(FlowMatching {}, 4, MASK));
    for sampler in all() {
        check(&masked, 4, sampler);
    }
    // At t = 0 the last schedule leaves some noise.
    let left = Geometric { sigma_min: 0.5, sigma_max: 20.0 };
    for noise in [Discrete::uniform(FlowMatching {}, 3), Discrete::uniform(left, 3)] {
        let model = ends(noise);
        check(&model, 3, Box::new(Ancestral {}));
        check(&model, 3, Box::new(Analytic {}));
        check(&model, 3, Box::new(TauLeaping {}));
        check(&model, 3, Box::new(Cached { sampler: Ancestral {} }));
    }
}

/// What is ruled out by the known entries anyway can be ruled out beforehand, and changes no distribution; also in windows
/// of longer sequences.
#[test]
fn restrictions_that_follow_from_known_entries_change_nothing() {
    let model = absorbing(FlowMatching {});
    let known = Tensor::<3>::from_data([[[-1.0], [1.0], [-1.0], [-1.0]]], &Device::flex());
    let given: Vec<_> = sequences().into_iter().filter(|(x, _)| x[1] == 1).collect();
    let given = Joint::new(Discrete::absorbing(FlowMatching {}, 4, MASK), given).unwrap();
    // No sequence with 1 in the second place has 2 in the first.
    let mut allowed = vec![1.0; 16];
    allowed[2] = 0.0;
    let allowed = Tensor::<3>::from_data(TensorData::new(allowed, [1, 4, 4]), &Device::flex());
    let infill = Infill { sampler: Box::new(FirstHitting {}), known, allowed: Some(allowed) };
    let (far, chance) = total_variation(&given, &sequence_counts(&model, &infill, 2, 6000, &Rng::new(8)));
    assert!(far < chance + 0.02, "{far:.4} of {chance:.4}");

    let model = Chained { noise: Discrete::absorbing(FlowMatching {}, 4, MASK), reads: RefCell::default() };
    let blocks = Blocks { sampler: Analytic {}, block: 1, window: Some(3) };
    let mut allowed = vec![1.0; 40];
    // Place 7 is never category 1.
    allowed[7 * 4 + 1] = 0.0;
    let allowed = Some(Tensor::<3>::from_data(TensorData::new(allowed, [1, 10, 4]), &Device::flex()));
    let known = Tensor::<3>::from_data(TensorData::new(vec![-1.0; 10], [1, 10, 1]), &Device::flex());
    let infill = Infill { sampler: Box::new(blocks), known, allowed };
    let steps = trajectory(&model, &infill, grid(10), [60, 10, 1], &Rng::new(1), &Device::flex()).unwrap();
    let z = numbers(steps.last().unwrap().1);
    assert!(z.chunks(10).all(|row| row[7] != 1.0) && z.chunks(10).any(|row| row[6] == 1.0), "{z:?}");
    assert!(model.reads.borrow().iter().all(|length| *length <= 3));
}

/// A chain of letters, each the one before or the next: exact however long, for a model that reads `WINDOW` letters.
struct Chained {
    noise: Discrete,
    reads: RefCell<Vec<usize>>,
}
impl Denoiser<3> for Chained {
    fn noise(&self) -> &dyn Noise<3> {
        &self.noise
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let ([rows, length, _], dtype) = (z.dims(), z.dtype());
        self.reads.borrow_mut().push(length);
        let mut out = vec![];
        for row in numbers(z.clone()).chunks(length) {
            for (i, n) in row.iter().enumerate() {
                // The letter to the left decides; without one, all are alike.
                let near = (i > 0 && row[i - 1] < 3.0).then(|| row[i - 1] as usize);
                let p = |a: usize| match near {
                    _ if *n < 3.0 => f64::from(u8::from(a as f64 == *n)),
                    Some(near) if a == near => 0.2,
                    Some(near) if a == (near + 1) % 3 => 0.8,
                    Some(_) => 0.0,
                    None => 1.0 / 3.0,
                };
                out.extend((0..3).map(|a| p(a).ln().max(-1e4)).chain([-1e4]));
            }
        }
        let logits = Tensor::from_data(TensorData::new(out, [rows, length, 4]), (&Device::flex(), dtype));
        self.noise.estimate(logits, z, t)
    }
}

#[test]
fn blocks_sample_sequences_longer_than_the_window() {
    let model = Chained { noise: Discrete::absorbing(FlowMatching {}, 4, MASK), reads: RefCell::default() };
    let blocks = Blocks { sampler: Analytic {}, block: 1, window: Some(3) };
    let rows = 2000;
    let steps = trajectory(&model, &blocks, grid(11), [rows, 11, 1], &Rng::new(6), &Device::flex()).unwrap();
    let points: Vec<(f64, Vec<f64>)> = steps.map(|(s, z)| (s, numbers(z))).collect();
    for (i, (s, z)) in points.iter().enumerate() {
        // Left to right, one more each step, and no sampled entry changes.
        assert!(z.chunks(11).all(|row| row.iter().enumerate().all(|(j, n)| (*n < 3.0) == (j < i))), "{s}");
    }
    assert!(model.reads.borrow().iter().all(|n| *n == 3));
    let x = &points[11].1;
    let next = x.chunks(11).flat_map(|row| row.windows(2)).filter(|w| w[1] == (w[0] + 1.0) % 3.0).count() as f64;
    let same = x.chunks(11).flat_map(|row| row.windows(2)).filter(|w| w[1] == w[0]).count() as f64;
    let all = rows as f64 * 10.0;
    assert!(next + same == all && (next / all - 0.8).abs() < 5.0 * (0.16 / all).sqrt(), "{}", next / all);
    // Steps that do not fall on the blocks' borders, a last block that is shorter, more blocks than steps.
    for (block, window, steps) in [(4, Some(5), 7), (2, None, 4), (3, Some(20), 1), (11, Some(11), 3)] {
        let blocks = Blocks { sampler: by(UnmaskingOrder::Confidence), block, window };
        let steps = trajectory(&model, &blocks, grid(steps), [4, 11, 1], &Rng::new(6), &Device::flex()).unwrap();
        assert!(numbers(steps.last().unwrap().1).iter().all(|n| *n < 3.0), "{blocks:?}");
    }
}

fn probs(rows: &[&[f64]]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), rows[0].len()]), (&Device::flex(), DType::F64))
}
fn near(a: &[f64], b: &[f64]) -> bool {
    crate::common::near(a, b, 1e-9)
}

#[test]
fn truncation_keeps_the_likeliest_categories_and_sharpens_the_rest() {
    let p = probs(&[&[0.1, 0.4, 0.2, 0.3, 0.0], &[0.0, 0.0, 1.0, 0.0, 0.0]]);
    let apply = |truncation: Truncation| numbers(truncation.apply(p.clone()));
    let all = Truncation::default();
    assert_eq!(apply(all), numbers(p.clone()));
    let two = apply(Truncation { top_k: Some(2), ..all });
    assert!(near(&two, &[0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), "{two:?}");
    // The fewest whose mass reaches p: 0.4 + 0.3 does 0.7, and 0.71 takes the third.
    for (top_p, kept) in [(0.3, 1), (0.4, 1), (0.69, 2), (0.71, 3), (0.95, 4), (1.0, 4)] {
        let some = apply(Truncation { top_p, ..all });
        assert_eq!(some[..5].iter().filter(|p| **p > 0.0).count(), kept, "{top_p}: {some:?}");
        assert!((some[..5].iter().sum::<f64>() - 1.0).abs() < 1e-9 && some[7] == 1.0);
    }
    // Of equals exactly as many as are asked for; the mass of the k kept is what top_p is of.
    let even = probs(&[&[0.2; 5]]);
    let three = numbers(Truncation { top_k: Some(3), ..all }.apply(even));
    assert_eq!(three.iter().filter(|p| **p > 0.0).count(), 3);
    let both = apply(Truncation { top_k: Some(2), top_p: 0.5, ..all });
    assert!(near(&both[..5], &[0.0, 1.0, 0.0, 0.0, 0.0]), "{both:?}");
    let half = apply(Truncation { temperature: 0.5, ..all });
    assert!(near(&half[..5], &[1.0 / 30.0, 16.0 / 30.0, 4.0 / 30.0, 9.0 / 30.0, 0.0]), "{half:?}");
    for temperature in [0.0, 1e-3] {
        let first = apply(Truncation { temperature, ..all });
        assert!(near(&first, &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), "{first:?}");
    }
    for wrong in [
        Truncation { temperature: -1.0, ..all },
        Truncation { top_k: Some(0), ..all },
        Truncation { top_p: 0.0, ..all },
        Truncation { top_p: 1.5, ..all },
    ] {
        assert!(wrong.check().is_err() && all.check().is_ok(), "{wrong:?}");
    }
}

/// At temperature 0, one entry per step gives one sequence.
#[test]
fn samplers_sample_from_truncated_distributions() {
    let model = absorbing(FlowMatching {});
    let sure = Truncated { model: &model, truncation: Truncation { temperature: 0.0, ..Truncation::default() } };
    let x = trajectory(&sure, &by(UnmaskingOrder::Position), grid(4), [50, 4, 1], &Rng::new(1), &Device::flex())
        .unwrap()
        .last()
        .unwrap()
        .1;
    // p(0 ..) = 0.35, then 1, then 2 (0.25 of 0.35), then 0; of 2 .. there is 0.4.
    let likely = [2.0, 0.0, 0.0, 0.0];
    assert!(numbers(x).chunks(4).all(|row| row == likely));
}

#[test]
fn guidance_of_categories_is_the_tempered_conditional() {
    let noise = || Discrete::absorbing(FlowMatching {}, 4, MASK);
    let strong = Joint::new(noise(), vec![(vec![0, 1], 0.6), (vec![1, 1], 0.1), (vec![2, 0], 0.3)]).unwrap();
    let weak = Joint::new(noise(), vec![(vec![0, 1], 0.2), (vec![1, 1], 0.5), (vec![2, 0], 0.3)]).unwrap();
    let z = pages(&[&[MASK, 1], &[MASK, MASK]]);
    for scale in [0.0, 0.5, 1.0, 2.5] {
        let guided = Guided { strong: &strong, weak: &weak, scale };
        let estimate = numbers(guided.denoise(z.clone(), &[0.5]).mean);
        let temper = |strong: &[f64], weak: &[f64]| {
            let p: Vec<f64> = strong.iter().zip(weak).map(|(s, w)| s.powf(scale) * w.powf(1.0 - scale)).collect();
            let total: f64 = p.iter().sum();
            p.into_iter().map(|p| p / total).collect::<Vec<_>>()
        };
        let first = temper(&[6.0 / 7.0, 1.0 / 7.0], &[2.0 / 7.0, 5.0 / 7.0]);
        let both = temper(&[0.6, 0.1, 0.3], &[0.2, 0.5, 0.3]);
        assert!(near(&estimate[..4], &[first[0], first[1], 0.0, 0.0]), "{scale}: {estimate:?} {first:?}");
        // An unmasked entry is certain, and the mask has probability 0.
        assert!(near(&estimate[4..8], &[0.0, 1.0, 0.0, 0.0]), "{scale}: {estimate:?}");
        assert!(near(&estimate[8..12], &[both[0], both[1], both[2], 0.0]), "{scale}: {estimate:?} {both:?}");
    }
    // One entry alone has the tempered distribution.
    let letters = |p: [f64; 3]| Joint::new(noise(), (0..3).map(|i| (vec![i], p[i])).collect()).unwrap();
    let guided = Guided { strong: letters([0.6, 0.1, 0.3]), weak: letters([0.2, 0.5, 0.3]), scale: 2.0 };
    let goal = letters([1.8, 0.02, 0.3]);
    let x = trajectory(&guided, &Analytic {}, grid(3), [20_000, 1, 1], &Rng::new(7), &Device::flex()).unwrap();
    let mut counts = HashMap::new();
    for n in numbers(x.last().unwrap().1) {
        *counts.entry(vec![n as usize]).or_default() += 1;
    }
    let (far, chance) = total_variation(&goal, &counts);
    assert!(far < chance, "{far:.4} of {chance:.4}");
}

#[test]
fn samplers_refuse_other_noise_and_invalid_settings() {
    let masked = Discrete::absorbing(FlowMatching {}, 4, MASK);
    let plain = Discrete::uniform(FlowMatching {}, 4);
    let gaussian = Gaussian::new(FlowMatching {});
    let message = |sampler: &dyn Sampler<3>, noise: &dyn Noise<3>| sampler.check(noise).unwrap_err().to_string();
    for sampler in all() {
        assert!(sampler.check(&masked).is_ok());
        if format!("{sampler:?}") != "Ancestral" {
            assert!(message(&*sampler, &gaussian).contains("not categorical"), "{sampler:?}");
        }
    }
    for sampler in [
        &FirstHitting {} as &dyn Sampler<3>,
        &by(UnmaskingOrder::Entropy),
        &Remasking::default(),
        &Blocks::<Analytic>::default(),
    ] {
        assert!(message(sampler, &plain).contains("`ancestral`, `analytic` or `tau-leaping`"), "{sampler:?}");
    }
    let wrong: [(&dyn Sampler<3>, &str); 7] = [
        (&Ordered { by: UnmaskingOrder::Entropy, temperature: -1.0 }, "temperature"),
        (&Ordered { by: UnmaskingOrder::Random, temperature: 1.0 }, "must be 0 if the order is random"),
        (&Remasking { eta: 1.5, ..Remasking::default() }, "`eta` must be within [0, 1], got 1.5"),
        (&Remasking { from: 0.2, until: 0.5, ..Remasking::default() }, "until < from"),
        (&Remasking { hold: Some(0.9), ..Remasking::default() }, "0.9, 0.05 and 0.55"),
        (&Blocks { sampler: Analytic {}, block: 0, window: None }, "`block` must be 1 or more, got 0"),
        (&Blocks { sampler: Analytic {}, block: 8, window: Some(4) }, "`window` must be at least block = 8, got 4"),
    ];
    for (sampler, part) in wrong {
        assert!(message(sampler, &masked).contains(part), "{sampler:?}: {}", message(sampler, &masked));
    }
    assert!(
        Sampler::<2>::check(&Blocks::<Analytic>::default(), &masked).unwrap_err().to_string().contains("second axis")
    );
    let known = |n: f64| Infill {
        sampler: Box::new(Analytic {}),
        known: Tensor::<3>::from_data([[[n]]], &Device::flex()),
        allowed: None,
    };
    assert!(
        message(&known(4.0), &masked)
            .contains("`known` must hold indices from 0 to 3 or −1 if unknown, got 4 in entry 0")
    );
    assert!(known(-1.0).check(&masked as &dyn Noise<3>).is_ok());
    let allowed = |values: Vec<f64>| {
        let shape = [1, 1, values.len()];
        Infill { allowed: Some(Tensor::from_data(TensorData::new(values, shape), &Device::flex())), ..known(-1.0) }
    };
    assert!(allowed(vec![1.0; 4]).check(&masked as &dyn Noise<3>).is_ok());
    assert!(message(&allowed(vec![1.0; 3]), &masked).contains("`allowed` must say of each of the 4 categories"));
    assert!(message(&allowed(vec![0.0; 4]), &masked).contains("`allowed` must leave every entry a category"));
    let prior = Noise::<3>::stationary(&masked, [1, 2, 1], &Device::flex());
    assert_eq!(numbers(prior.sample(&mut Rng::new(0)).value), [3.0, 3.0]);
}

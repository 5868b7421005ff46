//! What a classifier reads in samples of digits that were conditioned on their class.
use crate::common::device;
use tweedie::prelude::*;
use tweedie_data::{Digits, Images, Source, Split};

#[allow(dead_code)]
#[path = "../../examples/read_digits.rs"]
mod read_digits;
use read_digits::{Classifier, Reading};

fn digits(split: Split) -> Images {
    Digits::default().load(split).unwrap()
}

fn pixels(images: &Images) -> Vec<f32> {
    images.to_unit(&(0..images.len()).collect::<Vec<_>>(), None)
}

#[test]
fn conditional_samples_are_read_as_their_class() {
    let (learned, held_out) = (digits(Split::Train), digits(Split::Test));
    let shape = learned.shape();
    let classifier = Classifier::new(shape, 10, &Rng::new(0), &device()).train(&learned, 30, &Rng::new(0));
    let labels: Vec<i64> = held_out.labels.iter().flatten().map(|&label| i64::from(label)).collect();
    let read = classifier.read(&pixels(&held_out), shape);
    let real = Reading::new(&read, &labels);
    assert!(real.percent()[0] >= 95.0 && real.entropy > 2.25, "held-out digits: {real:?}");
    let others: Vec<i64> = labels.iter().map(|label| (label + 1) % 10).collect();
    assert!(Reading::new(&read, &others).percent()[0] < 5.0, "labels of other digits");

    let data = Samples::new(pixels(&learned), [learned.len(), 1, 8, 8]).with_labels(learned.labels.clone().unwrap());
    let net = UNetConfig::new(1, [16, 32]).with_num_classes(10).init(&Rng::new(0), &device()).unwrap();
    let model = Model::new(Gaussian::new(Cosine::new(1000)), net).unwrap().with_range(-1.0, 1.0);
    let settings = Train { steps: 300, lr: 4e-3, warmup: 20, ema_decay: 0.98, ..Train::default() };
    let mut trainer = model.train(&data, Simple {}, settings).unwrap();
    while trainer.next().transpose().unwrap().is_some() {}
    let classes: Vec<u32> = (0..200).map(|i| i % 10).collect();
    let asked: Vec<i64> = classes.iter().map(|&class| i64::from(class)).collect();
    let sampled = |y: &Conditions| {
        let x = trainer.model().sample(&Ddim::default(), 20, [200, 1, 8, 8], y, &Rng::new(7)).unwrap();
        Reading::new(&classifier.read(&x.try_into_vec_as::<f32>().unwrap(), shape), &asked)
    };
    let conditional = sampled(&Conditions::classes(classes.iter().copied()));
    assert!(conditional.percent()[0] >= 70.0 && conditional.entropy > 2.2, "{conditional:?}");
    let unconditional = sampled(&Conditions::none());
    assert!(unconditional.percent()[0] <= 30.0, "without their class: {unconditional:?}");
}

#[test]
fn a_reading_counts_the_samples_with_a_class() {
    let reading = Reading::new(&[3, 3, 5, 5], &[3, 4, 5, -1]);
    assert_eq!(reading, Reading { conditioned: 3, right: 2, entropy: 2f64.ln() });
    let [percent, error] = reading.percent();
    assert!((percent - 66.6667).abs() < 1e-3 && (error - 100.0 * (2.0f64 / 27.0).sqrt()).abs() < 1e-9);
}

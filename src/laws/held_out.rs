//! Laws of the parts of a data set.
use super::{Check, Checks};
use crate::{data::Data, distribution::host, rng::Rng};
use burn::tensor::{Device, Tensor};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// A digest of each sample, each read as the first row of a batch of its own.
fn digests<const D: usize, Y>(data: &dyn Data<Tensor<D>, Y>) -> Vec<u64> {
    let (rng, device) = (Rng::new(0), Device::flex());
    let digest = |row: usize| {
        let (x, _) = data.batch(&[row], &rng, &device);
        let mut hasher = DefaultHasher::new();
        host(x).iter().for_each(|value| value.to_bits().hash(&mut hasher));
        hasher.finish()
    };
    (0..data.len()).map(digest).collect()
}

/// Checks that a held-out part shares no sample with the part to learn from. Where samples of the latter are equal to one another, as short
/// texts are, a held-out one may be as well, by the same probability: then twice as many and five standard deviations are allowed.
///
/// Every sample of both parts is read. Samples that are augmented at random are compared as the same random numbers make them.
///
/// ```
/// use tweedie::{data::Samples, laws, net::Conditions};
/// let learned = Samples::new(vec![0.0, 1.0, 2.0], [3, 1]);
/// let check = |held_out: f32| laws::held_out::<2, Conditions>(&learned, &Samples::new(vec![held_out], [1, 1]))[0].holds();
/// assert!(check(3.0) && !check(2.0));
/// ```
pub fn held_out<const D: usize, Y>(learned: &dyn Data<Tensor<D>, Y>, held_out: &dyn Data<Tensor<D>, Y>) -> Vec<Check> {
    let mut checks = Checks::default();
    let (learned, held_out) = (digests(learned), digests(held_out));
    let mut counts: HashMap<u64, usize> = HashMap::new();
    learned.iter().for_each(|digest| *counts.entry(*digest).or_default() += 1);
    let repeated = learned.iter().filter(|digest| counts[*digest] > 1).count();
    let shared = held_out.iter().filter(|digest| counts.contains_key(*digest)).count();
    let expected = repeated as f64 / learned.len().max(1) as f64 * held_out.len() as f64;
    let place = format!(
        "{shared} of {} held out, where {repeated} of {} to learn from are repeated",
        held_out.len(),
        learned.len()
    );
    let allowed = 2.0 * expected + 5.0 * expected.sqrt();
    checks.note("no held-out sample is one to learn from", place, shared as f64, allowed);
    checks.done()
}

//! All parameters of a module in one buffer.
use super::parameters::{Label, Parameters, Values};
use burn::tensor::{Device, Tensor};
use std::ops::Range;
use tweedie_kernels::ops;

/// Every parameter begins at a multiple of so many numbers, so that it can be a view of the buffer: on CUDA a view must begin at a
/// multiple of 512 bytes, elsewhere of 256. One that does not end at a multiple is copied.
const ALIGNMENT: usize = 128;

/// Neighbors in the buffer that are treated alike.
pub(super) struct Run {
    /// The number of the first of them.
    pub(super) first: usize,
    place: Range<usize>,
}

/// Cuts the buffer where `key` changes, of parameters with any elements.
pub(super) fn runs<K: PartialEq>(labels: &[Label], key: impl Fn(usize) -> K) -> Vec<Run> {
    let mut runs: Vec<Run> = vec![];
    for (i, place) in places(labels).into_iter().enumerate() {
        let end = place.start + place.len().next_multiple_of(ALIGNMENT);
        match runs.last_mut() {
            Some(run) if key(run.first) == key(i) => run.place.end = end,
            _ => runs.push(Run { first: i, place: place.start..end }),
        }
    }
    runs
}

/// The parts of a buffer.
pub(super) fn cut(all: Tensor<1>, runs: &[Run]) -> Vec<Tensor<1>> {
    match runs {
        [_] => vec![all],
        _ => runs.iter().map(|run| all.clone().slice(run.place.clone())).collect(),
    }
}

/// Where each parameter lies in the buffer.
fn places(labels: &[Label]) -> Vec<Range<usize>> {
    let mut start = 0;
    let place = |label: &Label| {
        let place = start..start + label.len();
        start += label.len().next_multiple_of(ALIGNMENT);
        place
    };
    labels.iter().map(place).collect()
}

impl Parameters {
    /// Where each parameter lies in the buffer.
    pub(super) fn places(&self) -> Vec<Range<usize>> {
        places(&self.labels)
    }

    /// Brings values into one buffer, with zeros for what is missing and between them.
    pub(super) fn pack(labels: Vec<Label>, values: Vec<Option<Tensor<1>>>, device: &Device) -> Self {
        let places = places(&labels);
        let end = places.last().map_or(0, |place| place.start + place.len().next_multiple_of(ALIGNMENT));
        let mut all = Tensor::zeros([end], device);
        for (place, value) in places.into_iter().zip(values) {
            if let Some(value) = value.filter(|_| !place.is_empty()) {
                all = all.slice_assign(place, value);
            }
        }
        Self { labels, values: Values::Packed(all) }
    }

    /// Brings the values into one buffer, except on the processor.
    pub(crate) fn packed(self) -> Self {
        match self.values {
            Values::Each(values) if values.first().is_some_and(|value| !ops::is_host(&value.device())) => {
                let device = values[0].device();
                Self::pack(self.labels, values.into_iter().map(Some).collect(), &device)
            }
            values => Self { values, ..self },
        }
    }

    /// The values, one by one: views of the buffer if there is one.
    pub(super) fn each(&self) -> Vec<Tensor<1>> {
        match &self.values {
            Values::Each(values) => values.clone(),
            Values::Packed(all) => self.places().into_iter().map(|place| all.clone().slice(place)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rng::Rng,
        train::{AdamW, Moments},
    };

    /// Parameters of several shapes, of which one is missing in a gradient.
    fn both(rng: &Rng, missing: &[usize]) -> [Parameters; 2] {
        let shapes: [&[usize]; 5] = [&[3, 5], &[128], &[7], &[2, 100], &[1]];
        let entries = shapes.iter().enumerate().map(|(i, shape)| {
            let length = shape.iter().product();
            let values = rng.at_step(i as u64).normals(1, length).into_iter().map(|x| x as f32).collect();
            (format!("p{i}"), shape.to_vec(), values)
        });
        let mut each = Parameters::from_host(entries.collect(), &Device::flex());
        let Values::Each(values) = each.values.clone() else { unreachable!("they come one by one") };
        let values =
            values.into_iter().enumerate().map(|(i, value)| (!missing.contains(&i)).then_some(value)).collect();
        missing.iter().for_each(|i| each.labels[*i].missing = true);
        let packed = Parameters::pack(each.labels.clone(), values, &Device::flex());
        [each, packed]
    }
    fn bits(x: &Parameters) -> Vec<u32> {
        x.to_host().into_iter().flat_map(|(.., values)| values).map(f32::to_bits).collect()
    }

    #[test]
    fn one_buffer_takes_the_steps_of_many() {
        let rng = Rng::new(3);
        let [mut weights, mut packed] = both(&rng.stream("weights"), &[]);
        assert_eq!(bits(&weights), bits(&packed));
        let (mut averages, mut moments) = ([weights.clone(), packed.clone()], [&weights, &packed].map(Moments::new));
        let adam = AdamW { weight_decay: 0.1, ..AdamW::default() };
        for (step, missing) in [&[][..], &[1], &[0, 3], &[4], &[]].into_iter().enumerate() {
            let [gradient, packed_gradient] = both(&rng.stream("gradient").at_step(step as u64), missing);
            let [average, packed_average] = averages;
            let done = moments[0].step(&adam, 0.1, weights, gradient, 0.5, Some((average, 0.9)));
            let packed_done = moments[1].step(&adam, 0.1, packed, packed_gradient, 0.5, Some((packed_average, 0.9)));
            (weights, packed) = (done.0, packed_done.0);
            averages = [done.1, packed_done.1].map(|average| average.expect("an average was given"));
            assert_eq!(bits(&weights), bits(&packed), "step {step}");
            assert_eq!(bits(&averages[0]), bits(&averages[1]), "step {step}");
            assert_eq!(bits(&moments[0].second), bits(&moments[1].second), "step {step}");
            assert!((weights.norm() - packed.norm()).abs() < 1e-5);
        }
    }

    #[test]
    fn a_step_on_a_device_is_clipped_and_left_out_if_it_is_not_finite() {
        let rng = Rng::new(4);
        let ([mut weights, packed], adam) = (both(&rng.stream("weights"), &[]), AdamW::default());
        let loss = |x: f32| Tensor::<1>::from_floats([x], &Device::flex());
        for (value, changes) in [(1.0, true), (f32::NAN, false), (f32::INFINITY, false)] {
            let [gradient, packed_gradient] = both(&rng.stream("gradient"), &[]);
            let (mut one, mut other) = (Moments::new(&weights), Moments::new(&packed));
            let norm = gradient.norm();
            let (done, _) = one.step(&adam, 0.1, weights.clone(), gradient, 2.0 / norm, None);
            let (found, _, found_norm) =
                other.clipped_step(&adam, 0.1, packed.clone(), packed_gradient, 2.0, loss(value), None);
            assert!((f64::from(found_norm.into_scalar::<f32>()) / norm - 1.0).abs() < 1e-5);
            let gap = found.clone().add(if changes { pack(&done) } else { packed.clone() }.map(Tensor::neg)).norm();
            assert!(gap < 1e-5, "{value}: {gap}");
            assert_eq!(changes, bits(&found) != bits(&packed), "{value}");
            weights = both(&rng.stream("weights"), &[])[0].clone();
        }
    }
    fn pack(x: &Parameters) -> Parameters {
        let values = x.each().into_iter().map(Some).collect();
        Parameters::pack(x.labels.clone(), values, &Device::flex())
    }
}

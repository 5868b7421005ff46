//! The levels of images as categories.
use crate::data::{
    categories::{Categories, Shown},
    digest::Digest,
    facts::Facts,
    source::Set,
};
use burn::tensor::{Device, Tensor};
use tweedie::{Error, Result, Rng, condition::Conditions, data::Data};
use tweedie_data::Columns;

/// Images whose levels are categories: row after row, channel after channel.
pub(crate) struct Levels {
    images: Box<dyn Set<4>>,
    shape: [usize; 3],
    levels: usize,
}
impl Levels {
    /// The levels of images within [−1, 1].
    pub fn new(images: Box<dyn Set<4>>) -> Result<Self> {
        let facts = images.facts();
        let ([low, high], shape) = (facts.scale, facts.shape.try_into());
        match shape {
            Ok(shape) if facts.bounded && low == 0.0 && high >= 1.0 => {
                Ok(Self { images, shape, levels: high as usize + 1 })
            }
            _ => Err(Error::invalid("categorical noise is for categories, and these data have no levels to be such")),
        }
    }
    fn numbers(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<4>, Conditions) {
        let (x, classes) = self.images.batch(rows, rng, device);
        (((x + 1.0) * (0.5 * (self.levels - 1) as f64)).round(), classes)
    }
}
impl Data<Tensor<3>, Conditions> for Levels {
    fn len(&self) -> usize {
        self.images.len()
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<3>, Conditions) {
        let (numbers, classes) = self.numbers(rows, rng, device);
        (numbers.reshape([rows.len(), self.shape.iter().product(), 1]), classes)
    }
}
impl Set<3> for Levels {
    fn columns(&self) -> Option<&Columns> {
        self.images.columns()
    }
    fn facts(&self) -> Facts {
        let facts = self.images.facts();
        let (n, device) = (self.images.len(), Device::flex());
        let mut counts = vec![0u64; self.levels];
        // Of large sets, as many as are needed for the third digit of a share.
        let rows: Vec<usize> = (0..n).step_by(n.div_ceil(4096).max(1)).collect();
        for rows in rows.chunks(256) {
            let (numbers, _) = self.numbers(rows, &Rng::new(0), &device);
            let numbers: Vec<f32> = numbers.try_into_vec_as().expect("a tensor can be read back");
            numbers.into_iter().for_each(|level| counts[level as usize] += 1);
        }
        let all: u64 = counts.iter().sum();
        Facts {
            shape: vec![self.shape.iter().product(), 1],
            scale: [-1.0, 1.0],
            bounded: false,
            categories: Some(Categories {
                count: self.levels,
                frequencies: counts.into_iter().map(|count| count as f64 / all as f64).collect(),
                shown: Shown::Image(self.shape),
            }),
            ..facts
        }
    }
    fn digest(&self) -> Digest {
        self.images.digest()
    }
    fn notes(&self) -> Option<String> {
        self.images.notes()
    }
}

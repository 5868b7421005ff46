//! Images, and the sources of images.
use crate::data::{
    digest::Digest,
    facts::Facts,
    source::{Loaded, Set, Source, data_error},
};
use burn::tensor::{Device, Tensor, TensorData};
use tweedie::{Result, Rng, condition::Conditions, data::Data};
use tweedie_data::{Columns, Images, Split};

/// Images, served in [−1, 1].
#[derive(Debug)]
pub struct ImageSet(pub Images);
impl Data<Tensor<4>, Conditions> for ImageSet {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<4>, Conditions) {
        let values = if self.0.flip || self.0.offsets() != [1, 1] {
            self.0.augmented(rows, &rng.stream("augment").uniforms(rows.len(), 3))
        } else {
            self.0.to_unit(rows, None)
        };
        let [channels, height, width] = self.0.shape();
        let x = Tensor::from_data(TensorData::new(values, [rows.len(), channels, height, width]), device);
        let classes = match &self.0.labels {
            Some(labels) => Conditions::classes(rows.iter().map(|&row| labels[row])),
            None => Conditions::none(),
        };
        (x, classes)
    }
}
impl Set<4> for ImageSet {
    fn facts(&self) -> Facts {
        Facts {
            shape: self.0.shape().to_vec(),
            classes: self.0.classes.clone(),
            scale: [0.0, f64::from(self.0.levels - 1)],
            bounded: true,
            samples: self.0.len(),
            ..Facts::default()
        }
    }
    fn digest(&self) -> Digest {
        let Images { pixels, channels, height, width, window, levels, labels, classes, flip, notes: _, columns: _ } =
            &self.0;
        let sizes = [*channels, *height, *width, window[0], window[1], usize::from(*levels), usize::from(*flip)];
        let digest = Digest::default().numbers(sizes.map(|size| size as u64)).bytes(pixels);
        let digest = classes.iter().fold(digest, |digest, class| digest.text(class));
        digest.numbers(labels.iter().flatten().map(|label| u64::from(*label)))
    }
    fn columns(&self) -> Option<&Columns> {
        Some(&self.0.columns)
    }
    fn notes(&self) -> Option<String> {
        (!self.0.notes.is_empty()).then(|| self.0.notes.to_string())
    }
}

macro_rules! images {
    ($($source:ty $(: $columns:ident)?),*) => {$(
        impl Source for $source {
            $(fn with_columns(&mut self, columns: &[String]) -> Result<()> {
                self.$columns = columns.to_vec();
                Ok(())
            })?
            fn load(&self, split: Split) -> Result<Option<Loaded>> {
                match tweedie_data::Source::load(self, split) {
                    // Nothing held out on purpose is no mistake.
                    Err(error)
                        if error.kind() == tweedie_data::ErrorKind::Empty
                            && split == Split::Test
                            && self.held_out == 0 =>
                    {
                        Ok(None)
                    }
                    loaded => Ok(Some(Loaded::Four(Box::new(ImageSet(loaded.map_err(data_error)?))))),
                }
            }
            fn memory(&self, split: Split) -> Result<Option<u64>> {
                tweedie_data::Source::memory(self, split).map_err(data_error)
            }
        }
    )*};
}
images!(tweedie_data::Digits, tweedie_data::Idx: columns, tweedie_data::Folder: columns, tweedie_data::Parquet: columns);

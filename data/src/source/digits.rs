//! Built-in handwritten digits of 8 × 8 pixels.
use super::{Source, hold_out::part};
use crate::{Error, Images, Split};
use serde::{Deserialize, Serialize};

/// Built-in handwritten digits of 8 × 8 pixels and 17 gray levels: 1,797 images, about 180 per digit.
///
/// The test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning
/// Repository, <https://doi.org/10.24432/C50P49>, CC BY 4.0), as shipped by the crate `smartcore`. Level v stands for
/// `v / 8 − 1`: 0 is paper, 16 is ink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Digits {
    /// Every how-many-th image of a digit is held out from training; 0 holds out none. Default: 10.
    pub held_out: usize,
    /// Number of levels, 2 to 17, that the 17 levels of a pixel are quantized to, in equal bins. With categorical noise
    /// it is the number of categories. Default: 17.
    pub levels: Option<u16>,
}

impl Default for Digits {
    fn default() -> Self {
        Self { held_out: 10, levels: None }
    }
}

impl Source for Digits {
    fn load(&self, split: Split) -> Result<Images, Error> {
        let set = smartcore::dataset::digits::load_dataset();
        let pixels = set.data.iter().map(|&level| level as u8).collect();
        let labels = set.target.iter().map(|&digit| digit as u32).collect();
        let names = (0..10).map(|digit| digit.to_string()).collect();
        let images = Images { levels: 17, ..Images::new(pixels, [1, 8, 8])? }.with_labels(labels, names)?;
        part(images, split, self.held_out)?.with_levels(self.levels)
    }

    fn memory(&self, _: Split) -> Result<Option<u64>, Error> {
        // The table of floats, its bytes and the two parts.
        Ok(Some(1797 * 64 * 6))
    }
}

//! Handwritten digits, 8 × 8, built in.
use super::{Source, Split, part};
use crate::{Error, Images};
use serde::{Deserialize, Serialize};

/// Handwritten digits of 8 × 8 pixels and 17 levels, built in: 1,797 images, some 180 of each digit.
///
/// The test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning
/// Repository, <https://doi.org/10.24432/C50P49>, CC BY 4.0), as the crate `smartcore` ships it. Level v means
/// `v / 8 − 1`: 0 is paper, 16 is ink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Digits {
    /// Every how many-th image of a digit is held out; 0 holds out none.
    pub held_out: usize,
    /// Levels that the 17 are brought down to, in equal bins.
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
        let images = Images { levels: 17, ..Images::new(pixels, [1, 8, 8]) }.labelled(labels, names);
        part(images, split, self.held_out, || "the built-in digits".into())?.of_levels(self.levels)
    }
}

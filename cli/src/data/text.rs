//! Text as sequences of token ids.
use crate::data::{
    categories::{Categories, Shown},
    digest::Digest,
    facts::Facts,
    source::{Loaded, Set, Source, data_error},
};
use burn::tensor::{Device, Tensor, TensorData};
use tweedie::{Result, Rng, condition::Conditions, data::Data};
use tweedie_data::{Columns, Split, Text, Texts};

impl Source for Text {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let loaded = Text::load(self, split).map_err(data_error)?;
        Ok(loaded.map(|texts| Loaded::Three(Box::new(TextSet(texts)))))
    }
    fn with_columns(&mut self, columns: &[String]) -> Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        Text::memory(self).map(Some).map_err(data_error)
    }
}

/// Samples of text as token ids.
#[derive(Debug)]
pub struct TextSet(pub Texts);
impl Data<Tensor<3>, Conditions> for TextSet {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<3>, Conditions) {
        let values: Vec<f32> = self.0.batch(rows).into_iter().map(|token| token as f32).collect();
        let shape = [rows.len(), self.0.codec.length, 1];
        (Tensor::from_data(TensorData::new(values, shape), device), Conditions::none())
    }
}
impl Set<3> for TextSet {
    fn facts(&self) -> Facts {
        let codec = &self.0.codec;
        Facts {
            shape: vec![codec.length, 1],
            scale: [-1.0, 1.0],
            bounded: false,
            samples: self.0.len(),
            categories: Some(Categories {
                count: codec.categories(),
                frequencies: self.0.frequencies(),
                shown: Shown::Text(codec.clone()),
            }),
            ..Facts::default()
        }
    }
    fn columns(&self) -> Option<&Columns> {
        Some(&self.0.columns)
    }
    fn texts(&self) -> Option<&Texts> {
        Some(&self.0)
    }
    fn digest(&self) -> Digest {
        let rows = (0..self.0.len()).map(|row| self.0.get(row).len() as u64);
        let digest = Digest::default().numbers([self.0.codec.length as u64]).numbers(rows);
        self.0.tokens().iter().fold(digest, |digest, token| digest.bytes(&token.to_le_bytes()))
    }
}

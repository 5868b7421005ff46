//! Signals and volumes from NumPy arrays.
use super::rows::RowSet;
use crate::data::{
    facts::Facts,
    source::{Loaded, Source, data_error},
};
use tweedie::{Error, Result, data::Samples};
use tweedie_data::{ArraySet, Arrays, Split};

impl Source for Arrays {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let Some(ArraySet { n, shape, values, scales, columns }) = Arrays::load(self, split).map_err(data_error)?
        else {
            return Ok(None);
        };
        let facts = Facts {
            shape: shape.clone(),
            signal: shape.len() == 2,
            scale: scales[0],
            channel_scales: if scales.iter().all(|scale| *scale == scales[0]) { vec![] } else { scales },
            bounded: self.range.is_some(),
            samples: n,
            ..Facts::default()
        };
        Ok(Some(match *shape.as_slice() {
            [channels, length] => {
                let samples = Samples::new(values, [n, channels, length]);
                Loaded::Three(Box::new(RowSet { samples, facts, columns, law: None }))
            }
            [channels, depth, height, width] => {
                let samples = Samples::new(values, [n, channels, depth, height, width]);
                Loaded::Five(Box::new(RowSet { samples, facts, columns, law: None }))
            }
            _ => unreachable!("signals or volumes"),
        }))
    }
    fn with_columns(&mut self, columns: &[String]) -> Result<()> {
        if let (Some(column), None) = (columns.first(), &self.metadata) {
            let problem =
                format!("a condition names the column `{column}`, and no table is named in `metadata` of [data]");
            let remedy = "set it to a CSV or JSON Lines file with one row per sample";
            return Err(Error::invalid(problem).with_remedy(remedy));
        }
        self.columns = columns.to_vec();
        Ok(())
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        Arrays::memory(self).map(Some).map_err(data_error)
    }
}

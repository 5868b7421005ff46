//! Signals and volumes from NumPy arrays.
use super::rows::RowSet;
use crate::data::{
    facts::Facts,
    source::{Loaded, Source, data_error},
};
use tweedie::{Result, data::Samples};
use tweedie_data::{ArraySet, Arrays, Columns, Split};

impl Source for Arrays {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let Some(ArraySet { n, shape, values, scales }) = Arrays::load(self, split).map_err(data_error)? else {
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
        let (columns, law, notes) = (Columns::default(), None, None);
        Ok(Some(match *shape.as_slice() {
            [channels, length] => {
                let samples = Samples::new(values, [n, channels, length]);
                Loaded::Three(Box::new(RowSet { samples, facts, columns, law, notes }))
            }
            [channels, depth, height, width] => {
                let samples = Samples::new(values, [n, channels, depth, height, width]);
                Loaded::Five(Box::new(RowSet { samples, facts, columns, law, notes }))
            }
            _ => unreachable!("signals or volumes"),
        }))
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        Arrays::memory(self).map(Some).map_err(data_error)
    }
}

//! A set of data with its conditions.
use super::{ConditionBuilder, ConditionFacts, ConditionReader};
use crate::data::{Digest, Facts, Set};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use tweedie::{
    Error, Result, Rng,
    condition::{CLASS, Condition as _, ConditionKind, Conditions, Values},
    data::Data,
};
use tweedie_data::{Columns, Law, Texts};

/// Data of rank `D` with conditions from their columns, or computed from them.
pub(crate) struct Conditioned<const D: usize> {
    set: Box<dyn Set<D>>,
    /// Those of the columns, for all rows.
    read: Conditions,
    facts: Vec<ConditionFacts>,
    unknown: Vec<String>,
}

impl<const D: usize> Conditioned<D> {
    /// Reads the conditions of a set.
    ///
    /// # Errors
    ///
    /// If a value cannot be read.
    pub fn new(set: Box<dyn Set<D>>, facts: &[ConditionFacts]) -> Result<Self> {
        let none = Columns::default();
        let columns = set.columns().unwrap_or(&none);
        let (mut read, mut unknown) = (Conditions::none(), vec![]);
        for ConditionFacts { spec, reader, .. } in facts {
            if let Some((values, others)) =
                reader.read(spec, columns).map_err(|error| error.with_field(spec.name.clone()))?
            {
                read = read.with(&spec.name, values);
                if others > 0 {
                    unknown.push(format!(
                        "{} of `{}` that the training data do not have, taken as missing",
                        crate::messages::count(others, "value"),
                        spec.name
                    ));
                }
            }
        }
        Ok(Self { set, read, facts: facts.to_vec(), unknown })
    }
}

/// What is known of conditions from the training data, or from those of another run of the same name and kind.
///
/// # Errors
///
/// If the settings do not describe conditions of these data, with the condition's name.
pub(crate) fn learn<const D: usize>(
    builders: &[(String, Box<dyn ConditionBuilder>)],
    set: &dyn Set<D>,
    adopted: &[ConditionFacts],
) -> Result<Vec<ConditionFacts>> {
    let (facts, none) = (set.facts(), Columns::default());
    let columns = set.columns().unwrap_or(&none);
    let mut all = vec![];
    for (name, builder) in builders {
        let own = |error: Error| error.with_field(name.clone());
        let (spec, reader) = builder.learn(name, columns, &facts.shape).map_err(own)?;
        if name == CLASS && !facts.classes.is_empty() {
            return Err(own(Error::invalid("is that of the classes of the data: give this condition another name")));
        }
        spec.check_dimensions().map_err(own)?;
        let same = |known: &&ConditionFacts| {
            known.spec.name == *name
                && known.spec.kind.name() == spec.kind.name()
                && known.reader.columns() == reader.columns()
        };
        all.push(match adopted.iter().find(same) {
            Some(known) => ConditionFacts { dropout: builder.dropout(), ..known.clone() },
            None => ConditionFacts { spec, reader, dropout: builder.dropout() },
        });
    }
    Ok(all)
}

impl<const D: usize> Data<Tensor<D>, Conditions> for Conditioned<D> {
    fn len(&self) -> usize {
        self.set.len()
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<D>, Conditions) {
        let (x, y) = self.set.batch(rows, rng, device);
        let own = self.read.select(rows);
        let mut y = own.iter().fold(y, |y, (name, values)| y.with(name, values.clone()));
        let mut values = None;
        for ConditionFacts { spec, reader, .. } in &self.facts {
            let (ConditionReader::Computed { of, factor }, ConditionKind::Image { shape }) = (reader, &spec.kind)
            else {
                continue;
            };
            let host: &Vec<f32> = values.get_or_insert_with(|| {
                let x = if x.device().is_autodiff() { x.clone().inner() } else { x.clone() };
                x.try_into_vec_as().expect("a tensor can be read back")
            });
            let dims = x.dims();
            let dims = [dims[0], dims[1], dims[2], dims[3]];
            let images = of.compute(*factor, host, dims, &rng.stream(&spec.name));
            let size: usize = shape.iter().product();
            let rows = images.chunks(size).map(|image| Some(image.into())).collect();
            y = y.with(&spec.name, Values::Image { shape: shape.clone(), rows });
        }
        (x, y)
    }
    fn conditions(&self) -> Option<Conditions> {
        // Those that are computed are there batch by batch, and have the right shape.
        None
    }
}

impl<const D: usize> Set<D> for Conditioned<D> {
    fn facts(&self) -> Facts {
        let mut facts = self.set.facts();
        for own in &self.facts {
            if let (CLASS, ConditionReader::Class { names, .. }) = (&*own.spec.name, &own.reader) {
                facts.classes = names.clone();
            }
        }
        Facts { conditions: self.facts.clone(), ..facts }
    }
    fn notes(&self) -> Option<String> {
        let notes: Vec<String> = self.set.notes().into_iter().chain(self.unknown.iter().cloned()).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
    fn texts(&self) -> Option<&Texts> {
        self.set.texts()
    }
    fn law(&self) -> Option<Arc<Law>> {
        self.set.law()
    }
    fn columns(&self) -> Option<&Columns> {
        self.set.columns()
    }
    fn digest(&self) -> Digest {
        self.read.iter().fold(self.set.digest(), |digest, (name, values)| {
            (0..values.rows()).fold(digest.text(name), |digest, row| match values {
                Values::Class(rows) => digest.numbers([rows[row].map_or(u64::MAX, u64::from)]),
                Values::Vector(rows) | Values::Image { rows, .. } => {
                    let values = rows[row].iter().flat_map(|row| row.iter()).map(|x| u64::from(x.to_bits()));
                    digest.numbers([u64::from(rows[row].is_some())]).numbers(values)
                }
                Values::Tokens(rows) | Values::LabelMap { rows, .. } => {
                    let values = rows[row].iter().flat_map(|row| row.iter()).map(|x| u64::from(*x));
                    digest.numbers([rows[row].as_ref().map_or(u64::MAX, |row| row.len() as u64)]).numbers(values)
                }
            })
        })
    }
}

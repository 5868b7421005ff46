//! Embeddings of conditions.
use super::{
    cross::Sequence,
    layers::{Linear, TimeClassEmbedding, silu},
};
use crate::{
    condition::{CLASS, Classes, ConditionKind, ConditionSpec, Conditions, Values},
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Int, Tensor, TensorData},
};
use std::sync::Arc;

/// Channels in which a label of a [label map](ConditionKind::LabelMap) is embedded.
pub const LABEL_CHANNELS: usize = 8;

/// Embedders of the conditions that a network takes, except of the class, which [`TimeClassEmbedding`] embeds with the time.
///
/// | kind | embedding | null embedding |
/// |---|---|---|
/// | class | a row of a table, added to the embedding of the time | the last row |
/// | vector v | `W₂ silu(W₁ [(v − mean)/std, 0] + b₁) + b₂`, added to the embedding of the time | of `[0, 1]` |
/// | tokens | rows of a table and of positions, after a row that begins the sequence; read by cross-attention | one row of its own |
/// | image | its channels and a channel of zeros, concatenated to x_t | zeros, and a channel of ones |
/// | label map | rows of a table as channels, concatenated to x_t | the last row everywhere |
///
/// [`TimeClassEmbedding`]: super::layers::TimeClassEmbedding
#[derive(Module, Debug)]
pub struct Embedders {
    classes: Vec<ClassEmbedder>,
    vectors: Vec<VectorEmbedder>,
    tokens: Vec<TokenEmbedder>,
    label_maps: Vec<LabelEmbedder>,
    /// All conditions of the network, the class included.
    #[module(skip)]
    specs: Vec<ConditionSpec>,
}

/// The conditions of a network of `num_classes` classes and of further conditions.
pub(super) fn specs(num_classes: usize, conditions: &[ConditionSpec]) -> Vec<ConditionSpec> {
    let class = (num_classes > 0).then(|| ConditionSpec::new(CLASS, ConditionKind::Class { num_classes }));
    class.into_iter().chain(conditions.iter().cloned()).collect()
}

/// Takes the condition named `class` out of a list, as a number of classes.
pub(super) fn split_class(specs: impl IntoIterator<Item = ConditionSpec>) -> (usize, Vec<ConditionSpec>) {
    let (mut num_classes, mut conditions) = (0, vec![]);
    for spec in specs {
        match spec.kind {
            ConditionKind::Class { num_classes: count } if spec.name == CLASS => num_classes = count,
            _ => conditions.push(spec),
        }
    }
    (num_classes, conditions)
}

/// Checks the conditions of a configuration. `axes` are the spatial axes of x to which images are concatenated; a network without
/// cross-attention takes no tokens.
pub(super) fn check_conditions(
    net: &str,
    conditions: &[ConditionSpec],
    axes: Option<usize>,
    takes_tokens: bool,
) -> Result<()> {
    for (i, spec) in conditions.iter().enumerate() {
        spec.check_dimensions()?;
        let ConditionSpec { name, kind } = spec;
        if name == CLASS || conditions[..i].iter().any(|other| other.name == *name) {
            return Err(Error::invalid(format!("two conditions are named `{name}`"))
                .with_field("conditions")
                .with_remedy("give each a name of its own; `class` is that of `num_classes`"));
        }
        let refused = |remedy: &str| {
            let problem = format!("the net `{net}` takes no condition of the kind `{}`, as `{name}` is", kind.name());
            Err(Error::invalid(problem).with_field("conditions").with_remedy(remedy))
        };
        let found = match kind {
            ConditionKind::Tokens { .. } if !takes_tokens => {
                return refused("use a net with cross-attention, as `dit`, `unet` or `transformer`");
            }
            ConditionKind::Image { shape } => shape.len() - 1,
            ConditionKind::LabelMap { shape, .. } => shape.len(),
            _ => continue,
        };
        match axes {
            None => return refused("use a net of images, as `unet` or `dit`"),
            Some(axes) if axes != found => {
                let problem = format!("the condition `{name}` has {found} spatial axes, and the data have {axes}");
                return Err(Error::invalid(problem)
                    .with_field("conditions")
                    .with_remedy("give it the axes of the data"));
            }
            Some(_) => (),
        }
    }
    Ok(())
}

/// The channels that images and label maps add to x_t.
pub(super) fn extra_channels(conditions: &[ConditionSpec]) -> usize {
    let channels = |spec: &ConditionSpec| match &spec.kind {
        ConditionKind::Image { shape } => shape[0] + 1,
        ConditionKind::LabelMap { .. } => LABEL_CHANNELS,
        _ => 0,
    };
    conditions.iter().map(channels).sum()
}

/// Whether there are token sequences, which cross-attention reads.
pub(super) fn has_tokens(conditions: &[ConditionSpec]) -> bool {
    conditions.iter().any(|spec| matches!(spec.kind, ConditionKind::Tokens { .. }))
}

/// Whether a condition besides the class is embedded with the time.
pub(super) fn has_global(conditions: &[ConditionSpec]) -> bool {
    conditions.iter().any(|spec| spec.kind.is_global())
}

impl Embedders {
    /// Embeds classes and vectors in `width` values and tokens in `token_width` values.
    pub fn new(
        num_classes: usize,
        conditions: &[ConditionSpec],
        width: usize,
        token_width: usize,
        rng: &Rng,
        device: &Device,
    ) -> Self {
        let mut all = Self {
            classes: vec![],
            vectors: vec![],
            tokens: vec![],
            label_maps: vec![],
            specs: specs(num_classes, conditions),
        };
        for ConditionSpec { name, kind } in conditions {
            let rng = rng.stream(name);
            match kind {
                ConditionKind::Class { num_classes } => {
                    let table = rng.stream("table").normal_tensor([num_classes + 1, width], device, DType::F32);
                    all.classes.push(ClassEmbedder { table: Param::from_tensor(table) });
                }
                ConditionKind::Vector { mean, std } => all.vectors.push(VectorEmbedder {
                    first: Linear::new(mean.len() + 1, width, &rng.stream("first"), device),
                    second: Linear::new(width, width, &rng.stream("second"), device),
                    mean: mean.clone(),
                    std: std.clone(),
                }),
                ConditionKind::Tokens { vocabulary, length } => {
                    let rows = |name: &str, rows| {
                        let normal = rng.stream(name).normal_tensor([rows, token_width], device, DType::F32);
                        Param::from_tensor(normal / (token_width as f64).sqrt())
                    };
                    all.tokens.push(TokenEmbedder {
                        table: rows("table", vocabulary + 2),
                        positions: rows("positions", length + 1),
                    });
                }
                ConditionKind::LabelMap { num_labels, .. } => {
                    let shape = [num_labels + 1, LABEL_CHANNELS];
                    let table = rng.stream("table").normal_tensor(shape, device, DType::F32);
                    all.label_maps.push(LabelEmbedder { table: Param::from_tensor(table) });
                }
                ConditionKind::Image { .. } => (),
            }
        }
        all
    }

    /// Returns all conditions of the network, the class included.
    pub fn specs(&self) -> &[ConditionSpec] {
        &self.specs
    }

    /// Checks a batch of `rows` rows.
    ///
    /// # Errors
    ///
    /// With what does not fit: [`Conditions::check`].
    pub fn check(&self, y: &Conditions, rows: usize) -> Result<()> {
        y.check(rows, &self.specs)
    }

    /// The conditions besides the class of which `keep` is true, with the values of a batch.
    fn of<'a>(
        &'a self,
        y: &'a Conditions,
        keep: impl Fn(&ConditionKind) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a ConditionKind, Option<&'a Values>)> {
        let own = self.specs.iter().filter(move |spec| {
            keep(&spec.kind) && !(spec.name == CLASS && matches!(spec.kind, ConditionKind::Class { .. }))
        });
        own.map(|spec| (&spec.kind, y.get(&spec.name)))
    }

    /// Computes the sum of the embeddings of classes and vectors: `[batch, width]`; `None` if there are none.
    pub fn global(&self, y: &Conditions, batch: usize, device: &Device) -> Option<Tensor<2>> {
        let classes = self.of(y, |kind| matches!(kind, ConditionKind::Class { .. })).zip(&self.classes);
        let classes = classes.map(|((_, values), embedder)| embedder.forward(values, batch, device));
        let vectors = self.of(y, |kind| matches!(kind, ConditionKind::Vector { .. })).zip(&self.vectors);
        let vectors = vectors.map(|((_, values), embedder)| embedder.forward(values, batch, device));
        classes.chain(vectors).reduce(|a, b| a + b)
    }

    /// Computes the embedding of time, class, further classes and vectors: `[batch, width]`.
    pub fn with_time(&self, time: &TimeClassEmbedding, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        let ([batch], device) = (t.dims(), t.device());
        let embedding = time.forward(t, &y.to_classes());
        match self.global(y, batch, &device) {
            Some(global) => embedding + global,
            None => embedding,
        }
    }

    /// Embeds the token sequences, one after the other along the tokens; `None` if there are none.
    pub fn sequence(&self, y: &Conditions, batch: usize, device: &Device) -> Option<Sequence> {
        let all = self.of(y, |kind| matches!(kind, ConditionKind::Tokens { .. })).zip(&self.tokens);
        all.map(|((_, values), embedder)| embedder.forward(values, batch, device)).reduce(|a, b| Sequence {
            tokens: Tensor::cat(vec![a.tokens, b.tokens], 1),
            padding: Tensor::cat(vec![a.padding, b.padding], 1),
        })
    }

    /// Concatenates images and label maps to `z: [batch, channels, …]` along the channels.
    pub fn concatenate<const D: usize>(&self, z: Tensor<D>, y: &Conditions) -> Tensor<D> {
        let (shape, device): ([usize; D], _) = (z.dims(), z.device());
        let mut maps = self.label_maps.iter();
        let keep = |kind: &ConditionKind| matches!(kind, ConditionKind::Image { .. } | ConditionKind::LabelMap { .. });
        let mut parts = vec![z];
        for (kind, values) in self.of(y, keep) {
            parts.push(match kind {
                ConditionKind::Image { shape: own } => image(own, values, shape, &device),
                ConditionKind::LabelMap { shape: own, num_labels } => {
                    maps.next().expect("an embedder per label map").forward(own, *num_labels, values, shape, &device)
                }
                _ => unreachable!("images and label maps"),
            });
        }
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
    }
}

/// The entry of a row, if it is there and not dropped.
fn entry<V: ?Sized>(rows: Option<&Vec<Option<Arc<V>>>>, row: usize) -> Option<&V> {
    rows?.get(row)?.as_deref()
}

#[derive(Module, Debug)]
struct ClassEmbedder {
    /// `[num_classes + 1, width]`, the last row for "none".
    table: Param<Tensor<2>>,
}
impl ClassEmbedder {
    fn forward(&self, values: Option<&Values>, batch: usize, device: &Device) -> Tensor<2> {
        let num_classes = self.table.dims()[0] - 1;
        let classes = match values {
            Some(Values::Class(classes)) => Classes(classes.clone()),
            _ => Classes::none(),
        };
        self.table.val().select(0, classes.indices(batch, num_classes, device))
    }
}

#[derive(Module, Debug)]
struct VectorEmbedder {
    first: Linear,
    second: Linear,
    #[module(skip)]
    mean: Vec<f32>,
    #[module(skip)]
    std: Vec<f32>,
}
impl VectorEmbedder {
    fn forward(&self, values: Option<&Values>, batch: usize, device: &Device) -> Tensor<2> {
        let rows = match values {
            Some(Values::Vector(rows)) => Some(rows),
            _ => None,
        };
        let width = self.mean.len() + 1;
        let mut input = vec![0.0; batch * width];
        for (row, input) in input.chunks_mut(width).enumerate() {
            match entry(rows, row) {
                Some(vector) => {
                    for (i, (x, v)) in input.iter_mut().zip(vector).enumerate() {
                        *x = (v - self.mean[i]) / self.std[i];
                    }
                }
                None => input[width - 1] = 1.0,
            }
        }
        let input = Tensor::from_data(TensorData::new(input, [batch, width]), (device, DType::F32));
        self.second.forward(silu(self.first.forward(input)))
    }
}

#[derive(Module, Debug)]
struct TokenEmbedder {
    /// `[vocabulary + 2, width]`: a row that begins a sequence, and one in the place of a dropped sequence, are the last.
    table: Param<Tensor<2>>,
    /// `[length + 1, width]`.
    positions: Param<Tensor<2>>,
}
impl TokenEmbedder {
    fn forward(&self, values: Option<&Values>, batch: usize, device: &Device) -> Sequence {
        let rows = match values {
            Some(Values::Tokens(rows)) => Some(rows),
            _ => None,
        };
        let [[size, width], [length, _]] = [self.table.dims(), self.positions.dims()];
        let (begin, none) = (size as i64 - 2, size as i64 - 1);
        // Always of the largest length, so that a row does not depend on the rest of the batch.
        let (mut ids, mut padding) = (vec![none; batch * length], vec![true; batch * length]);
        for row in 0..batch {
            let (ids, padding) = (&mut ids[row * length..], &mut padding[row * length..]);
            padding[0] = false;
            if let Some(tokens) = entry(rows, row) {
                ids[0] = begin;
                for (i, token) in tokens.iter().enumerate() {
                    (ids[i + 1], padding[i + 1]) = (i64::from(*token), false);
                }
            }
        }
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [batch * length]), device);
        let tokens = self.table.val().select(0, ids).reshape([batch, length, width]);
        let tokens = (tokens + self.positions.val().unsqueeze()) * (width as f64).sqrt();
        Sequence { tokens, padding: Tensor::from_data(TensorData::new(padding, [batch, length]), device) }
    }
}

#[derive(Module, Debug)]
struct LabelEmbedder {
    /// `[num_labels + 1, LABEL_CHANNELS]`, the last row for a dropped map.
    table: Param<Tensor<2>>,
}
impl LabelEmbedder {
    fn forward<const D: usize>(
        &self,
        own: &[usize],
        num_labels: usize,
        values: Option<&Values>,
        to: [usize; D],
        device: &Device,
    ) -> Tensor<D> {
        let rows = match values {
            Some(Values::LabelMap { rows, .. }) => Some(rows),
            _ => None,
        };
        let places = nearest(own, &to[2..]);
        let mut ids = Vec::with_capacity(to[0] * places.len());
        for row in 0..to[0] {
            match entry(rows, row) {
                Some(labels) => ids.extend(places.iter().map(|place| i64::from(labels[*place]))),
                None => ids.extend(std::iter::repeat_n(num_labels as i64, places.len())),
            }
        }
        let count = ids.len();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [count]), device);
        let channels = self.table.val().select(0, ids).reshape([to[0], places.len(), LABEL_CHANNELS]).swap_dims(1, 2);
        let mut shape = to;
        shape[1] = LABEL_CHANNELS;
        channels.reshape(shape)
    }
}

/// An image of shape `own` and the channel that is one where it is dropped, for x of shape `to`.
fn image<const D: usize>(own: &[usize], values: Option<&Values>, to: [usize; D], device: &Device) -> Tensor<D> {
    let rows = match values {
        Some(Values::Image { rows, .. }) => Some(rows),
        _ => None,
    };
    let (channels, size) = (own[0], own[1..].iter().product::<usize>());
    let places = nearest(&own[1..], &to[2..]);
    let mut all = Vec::with_capacity(to[0] * (channels + 1) * places.len());
    for row in 0..to[0] {
        let image = entry(rows, row);
        match image {
            Some(image) => {
                (0..channels).for_each(|c| all.extend(places.iter().map(|place| image[c * size + place])));
            }
            None => all.extend(std::iter::repeat_n(0.0, channels * places.len())),
        }
        all.extend(std::iter::repeat_n(if image.is_none() { 1.0 } else { 0.0 }, places.len()));
    }
    let mut shape = to;
    shape[1] = channels + 1;
    Tensor::from_data(TensorData::new(all, shape), (device, DType::F32))
}

/// For each place of a grid of sizes `to`, the nearest place of a grid of sizes `from`, in the order in which values are stored.
fn nearest(from: &[usize], to: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (from, to) in from.iter().zip(to) {
        let axis: Vec<usize> = (0..*to).map(|i| (2 * i + 1) * from / (2 * to)).collect();
        places = places.iter().flat_map(|place| axis.iter().map(move |i| place * from + i)).collect();
    }
    places
}

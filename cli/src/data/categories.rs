//! Categorical data: text, and the levels of images; what is kept of them, and the noises made for them.
use crate::{
    data::{Facts, Loaded, Set, Source, Split, told},
    output::messages,
    registry::{AnySchedule, NoiseConfig},
};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use tweedie::{
    Error, Result, Rng,
    data::Data,
    net::Classes,
    noise::{Discrete, DiscreteMatrix, DiscretePrediction, ReverseTransition},
};
use tweedie_data::{Codec, Text, Texts, Vocabulary};

/// What the categories of categorical data are, which travel as their numbers, `[batch, length, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Categories {
    /// How many there are among the data: the mask of absorbing noise is one more.
    pub count: usize,
    /// The share of each among the data.
    pub frequencies: Vec<f64>,
    /// What a sample of them shows.
    pub shown: Shown,
}

/// What a sample of categories shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// Nothing but the numbers.
    Numbers,
    /// Text.
    Text(Codec),
    /// An image of these channels, rows and columns, of as many levels as there are categories.
    Image([usize; 3]),
}

impl Categories {
    /// How samples are text, where they are.
    pub fn codec(&self) -> Option<&Codec> {
        match &self.shown {
            Shown::Text(codec) => Some(codec),
            _ => None,
        }
    }
    /// Sizes of an image, where samples are images.
    pub fn image(&self) -> Option<[usize; 3]> {
        match self.shown {
            Shown::Image(shape) => Some(shape),
            _ => None,
        }
    }
    /// In a few words.
    pub(crate) fn describe(&self, shape: &[usize]) -> String {
        let length = messages::grouped(shape.first().copied().unwrap_or(0));
        match &self.shown {
            Shown::Numbers => format!("sequences of {length} categories, {} of them different", self.count),
            Shown::Image([channels, height, width]) => {
                let plural = if *channels == 1 { "" } else { "s" };
                format!(
                    "images of {width} × {height} pixels, {channels} channel{plural}, {} levels as categories",
                    self.count
                )
            }
            Shown::Text(codec) => {
                let kind = match &codec.vocabulary {
                    Vocabulary::Characters(_) => "characters",
                    Vocabulary::Bpe(_) => "byte pairs",
                };
                let known = codec.vocabulary.len();
                match codec.ends {
                    true => format!("lines of up to {length} tokens, {known} {kind} and an end"),
                    false => format!("windows of {length} tokens, {known} {kind}"),
                }
            }
        }
    }
}

/// Images of categories as what they show: the facts of images, and their numbers in [−1, 1], a mask in the middle.
pub(crate) fn pictured(facts: &Facts, values: &[f32]) -> Option<(Facts, Vec<f32>)> {
    let categories = facts.categories.as_ref()?;
    let top = (categories.count - 1) as f32;
    let shown = |x: &f32| if *x > top { 0.0 } else { 2.0 * x / top - 1.0 };
    let facts = Facts {
        shape: categories.image()?.to_vec(),
        scale: [0.0, f64::from(top)],
        bounded: true,
        categories: None,
        ..facts.clone()
    };
    Some((facts, values.iter().map(shown).collect()))
}

impl Source for Text {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let loaded = Text::load(self, split).map_err(told)?;
        Ok(loaded.map(|texts| Loaded::Three(Box::new(TextSet(texts)))))
    }
}

/// Samples of text as numbers of tokens.
#[derive(Debug)]
pub struct TextSet(pub Texts);
impl Data<Tensor<3>, Classes> for TextSet {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<3>, Classes) {
        let values: Vec<f32> = self.0.batch(rows).into_iter().map(|token| token as f32).collect();
        let shape = [rows.len(), self.0.codec.length, 1];
        (Tensor::from_data(TensorData::new(values, shape), device), Classes::none())
    }
}
impl Set<3> for TextSet {
    fn facts(&self) -> Facts {
        let codec = &self.0.codec;
        Facts {
            shape: vec![codec.length, 1],
            classes: vec![],
            scale: [-1.0, 1.0],
            bounded: false,
            samples: self.0.len(),
            categories: Some(Categories {
                count: codec.categories(),
                frequencies: self.0.frequencies(),
                shown: Shown::Text(codec.clone()),
            }),
        }
    }
    fn texts(&self) -> Option<&Texts> {
        Some(&self.0)
    }
}

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
    fn numbers(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<4>, Classes) {
        let (x, classes) = self.images.batch(rows, rng, device);
        (((x + 1.0) * (0.5 * (self.levels - 1) as f64)).round(), classes)
    }
}
impl Data<Tensor<3>, Classes> for Levels {
    fn len(&self) -> usize {
        self.images.len()
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<3>, Classes) {
        let (numbers, classes) = self.numbers(rows, rng, device);
        (numbers.reshape([rows.len(), self.shape.iter().product(), 1]), classes)
    }
}
impl Set<3> for Levels {
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
}

/// The categories that a noise is made for.
fn of<'a>(noise: &str, data: &'a Facts) -> Result<&'a Categories> {
    data.categories.as_ref().ok_or_else(|| {
        Error::invalid(format!(
            "the noise `{noise}` is for categories, as text and images have them, and the data are {}: take `gaussian`",
            data.describe()
        ))
    })
}

/// `[noise] name = "absorbing"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Absorbing {
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
}
impl Default for Absorbing {
    fn default() -> Self {
        Self { prediction: DiscretePrediction::Subs, reverse: ReverseTransition::default() }
    }
}
impl NoiseConfig for Absorbing {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Discrete> {
        let count = of("absorbing", data)?.count;
        Ok(Discrete::absorbing(schedule.survival()?, count + 1, count)
            .with_prediction(self.prediction)
            .with_reverse(self.reverse))
    }
}

/// `[noise] name = "uniform"`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Uniform {
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
}
impl NoiseConfig for Uniform {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Discrete> {
        let count = of("uniform", data)?.count;
        Ok(Discrete::uniform(schedule.survival()?, count).with_prediction(self.prediction).with_reverse(self.reverse))
    }
}

/// `[noise] name = "marginal"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Marginal {
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
    /// How much of the whole is shared evenly, so that no category is impossible.
    even: f64,
}
impl Default for Marginal {
    fn default() -> Self {
        Self { prediction: DiscretePrediction::Logits, reverse: ReverseTransition::default(), even: 1e-3 }
    }
}
impl NoiseConfig for Marginal {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Discrete> {
        let Categories { count, frequencies, .. } = of("marginal", data)?;
        if !(0.0..=1.0).contains(&self.even) {
            return Err(Error::invalid(format!("`even` is a share of the whole, in [0, 1], not {}", self.even)));
        }
        let shares = frequencies.iter().map(|share| (1.0 - self.even) * share + self.even / *count as f64);
        let noise = Discrete::marginal(schedule.survival()?, shares.collect())?;
        Ok(noise.with_prediction(self.prediction).with_reverse(self.reverse))
    }
}

/// `[noise] name = "discretised-gaussian"`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DiscretisedGaussian {}
impl NoiseConfig for DiscretisedGaussian {
    type Noise = DiscreteMatrix;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<DiscreteMatrix> {
        DiscreteMatrix::gaussian(schedule.survival()?, of("discretised-gaussian", data)?.count)
    }
}

/// `[noise] name = "nearest-neighbour"`: categories on a line, as levels are, in the order of their numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NearestNeighbour {
    /// How many are near.
    neighbours: usize,
    /// How many times as fast as the schedule.
    rate: f64,
}
impl Default for NearestNeighbour {
    fn default() -> Self {
        Self { neighbours: 2, rate: 1.0 }
    }
}
impl NoiseConfig for NearestNeighbour {
    type Noise = DiscreteMatrix;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<DiscreteMatrix> {
        let categories = of("nearest-neighbour", data)?;
        if categories.codec().is_some() {
            return Err(Error::invalid(
                "the noise `nearest-neighbour` walks between near levels, and tokens of text are not near each other by their \
                 numbers: take `absorbing`, `uniform` or `marginal`, or the library's `DiscreteMatrix::nearest` with points of your \
                 own",
            ));
        }
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return Err(Error::invalid(format!("`rate = {}` is a positive number", self.rate)));
        }
        let points: Vec<Vec<f64>> = (0..categories.count).map(|level| vec![level as f64]).collect();
        Ok(DiscreteMatrix::nearest(schedule.survival()?, &points, self.neighbours)?.with_rate(self.rate))
    }
}

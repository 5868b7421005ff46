//! Data as the command line knows them: sets of any rank, and the facts that outlive them.
pub(crate) mod categories;

use crate::data::categories::Categories;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use tweedie::{Error, Result, Rng, data::Data, net::Classes};
use tweedie_data::{Images, Points, Shape};

pub use tweedie_data::Split;

/// What a model must know of its data after they are gone: it is kept with the weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Sizes of one sample: channels, height and width of an image; the numbers of a point.
    pub shape: Vec<usize>,
    /// Names of the classes; none where there are none.
    pub classes: Vec<String>,
    /// What −1 and 1 mean in the data's own scale, as 0 and 255.
    pub scale: [f64; 2],
    /// Whether x lies within [−1, 1], so that guesses can be kept there.
    pub bounded: bool,
    /// How many samples there are to learn from.
    pub samples: usize,
    /// What the categories are, where x is their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Categories>,
}
impl Facts {
    /// From x to the data's own scale.
    pub fn own(&self, x: f32) -> f32 {
        let [low, high] = self.scale;
        (low + (f64::from(x) + 1.0) * 0.5 * (high - low)) as f32
    }
    /// Whether these data are those that a model was made for, of which this is known.
    ///
    /// # Errors
    ///
    /// How they differ.
    pub(crate) fn fit(&self, data: &Facts) -> Result<()> {
        if let (Some(known), Some(found)) = (&self.categories, &data.categories)
            && (known.count != found.count || known.shown != found.shown)
        {
            let what = |categories: &Categories| match categories.codec() {
                Some(codec) => format!("{}, {} tokens a sample", codec.vocabulary, codec.length),
                None => format!("{} categories", categories.count),
            };
            let (known, found) = (what(known), what(found));
            let found = if known == found { "others".into() } else { found };
            return Err(Error::invalid(format!(
                "the model was made for a vocabulary of {known}, and the data have {found}: take the data that it was trained \
                 on, or train anew"
            )));
        }
        if self.shape != data.shape || self.categories.is_some() != data.categories.is_some() {
            return Err(Error::invalid(format!(
                "the model was made for {}, and the data are {}: take the data that it was trained on, or train anew",
                self.describe(),
                data.describe()
            )));
        }
        Ok(())
    }
    /// In a few words.
    pub(crate) fn describe(&self) -> String {
        if let Some(categories) = &self.categories {
            let classes = match self.classes.len() {
                0 => String::new(),
                n => format!(", {n} classes"),
            };
            return format!(
                "{} {}{classes}",
                crate::output::messages::grouped(self.samples),
                categories.describe(&self.shape)
            );
        }
        let what = match *self.shape.as_slice() {
            [channels, height, width] => {
                let colour = match channels {
                    1 => "grey",
                    3 => "colour",
                    4 => "colour and alpha",
                    _ => "",
                };
                format!(
                    "images of {width} × {height} pixels, {channels} channel{} ({colour})",
                    if channels == 1 { "" } else { "s" }
                )
            }
            [numbers] => format!("points of {numbers} numbers"),
            _ => format!("samples of shape {:?}", self.shape),
        };
        let classes = match self.classes.len() {
            0 => "no classes".into(),
            1 => "1 class".into(),
            n => format!("{n} classes"),
        };
        format!("{} {what}, {classes}", crate::output::messages::grouped(self.samples))
    }
}

/// A set of data of rank `D`, the batch included.
pub trait Set<const D: usize>: Data<Tensor<D>, Classes> {
    /// What is to be known of it.
    fn facts(&self) -> Facts;
    /// The text, where it is such.
    fn texts(&self) -> Option<&tweedie_data::Texts> {
        None
    }
}

/// A set of one rank or another.
pub enum Loaded {
    /// Points: `[batch, numbers]`.
    Two(Box<dyn Set<2>>),
    /// Sequences: `[batch, length, channels]`.
    Three(Box<dyn Set<3>>),
    /// Images: `[batch, channels, height, width]`.
    Four(Box<dyn Set<4>>),
}
impl Loaded {
    /// The rank.
    pub fn rank(&self) -> usize {
        match self {
            Self::Two(_) => 2,
            Self::Three(_) => 3,
            Self::Four(_) => 4,
        }
    }
}

/// Where data come from: settings of `[data]` in a recipe.
pub trait Source: Debug + Send + Sync {
    /// The part to learn from, or the part held out; `None` where nothing is held out.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the files.
    fn load(&self, split: Split) -> Result<Option<Loaded>>;
}

/// Images, served in [−1, 1].
#[derive(Debug)]
pub struct ImageSet(pub Images);
impl Data<Tensor<4>, Classes> for ImageSet {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<4>, Classes) {
        let values = if self.0.flip || self.0.offsets() != [1, 1] {
            self.0.augmented(rows, &rng.stream("augment").uniforms(rows.len(), 3))
        } else {
            self.0.to_unit(rows, None)
        };
        let [channels, height, width] = self.0.shape();
        let x = Tensor::from_data(TensorData::new(values, [rows.len(), channels, height, width]), device);
        let classes = match &self.0.labels {
            Some(labels) => rows.iter().map(|&row| labels[row]).collect::<Vec<_>>().into(),
            None => Classes::none(),
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
            categories: None,
        }
    }
}

/// An error of the data as one of the library's.
pub(crate) fn told(error: tweedie_data::Error) -> Error {
    Error::invalid(error.to_string())
}

macro_rules! images {
    ($($source:ty),*) => {$(
        impl Source for $source {
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
                    loaded => Ok(Some(Loaded::Four(Box::new(ImageSet(loaded.map_err(told)?))))),
                }
            }
        }
    )*};
}
images!(tweedie_data::Digits, tweedie_data::Idx, tweedie_data::Folder, tweedie_data::Parquet);

/// Points in the plane: `n` of them drawn by `seed`, a tenth as many more held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PointSource {
    /// What the points form.
    pub shape: Shape,
    /// Standard deviation of the noise around it, in [0, 1); the shape's own if not given.
    pub noise: Option<f64>,
    /// How many points.
    pub n: usize,
    /// What they are drawn by.
    pub seed: u64,
}
impl Default for PointSource {
    fn default() -> Self {
        Self { shape: Shape::default(), noise: None, n: 10_000, seed: 0 }
    }
}
impl Source for PointSource {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        if self.n == 0 {
            return Err(Error::invalid("`n = 0` leaves no points to learn from: say 10000, or another number"));
        }
        if let Some(noise) = self.noise.filter(|noise| !(0.0..1.0).contains(noise)) {
            return Err(Error::invalid(format!(
                "`noise` is the standard deviation of the points around their shape, in [0, 1), not {noise}"
            )));
        }
        let (n, purpose) = match split {
            Split::Train => (self.n, "points"),
            Split::Test => (self.n.div_ceil(10), "held out"),
        };
        let points = Points { shape: self.shape, noise: self.noise };
        let (values, labels) = points.rows(&Rng::new(self.seed).stream(purpose).uniforms(n, Points::UNIFORMS));
        let samples = tweedie::data::Samples::new(values, [n, 2]).with_labels(labels);
        Ok(Some(Loaded::Two(Box::new(PointSet { samples, n, classes: self.shape.classes() }))))
    }
}

#[derive(Debug)]
struct PointSet {
    samples: tweedie::data::Samples<2>,
    n: usize,
    classes: usize,
}
impl Data<Tensor<2>, Classes> for PointSet {
    fn len(&self) -> usize {
        self.n
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<2>, Classes) {
        self.samples.batch(rows, rng, device)
    }
}
impl Set<2> for PointSet {
    fn facts(&self) -> Facts {
        Facts {
            shape: vec![2],
            classes: (0..self.classes).map(|class| class.to_string()).collect(),
            scale: [-1.0, 1.0],
            bounded: false,
            samples: self.n,
            categories: None,
        }
    }
}

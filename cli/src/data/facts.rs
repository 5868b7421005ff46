//! The properties of the training data that a checkpoint stores.
use crate::{
    data::{
        categories::{Categories, Shown},
        conditions::ConditionFacts,
        data_kind::DataKind,
    },
    messages,
};
use serde::{Deserialize, Serialize};
use tweedie::{
    Error, Result,
    condition::{CLASS, ConditionSpec},
};

/// The properties of the training data that a checkpoint stores beside the weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Sizes of one sample: the numbers of a point; length and channels of a sequence; channels and length of a signal; channels,
    /// height and width of an image; channels, depth, height and width of a volume.
    pub shape: Vec<usize>,
    /// Whether samples of two axes are signals `[channels, length]`, and not sequences `[length, channels]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signal: bool,
    /// Names of the classes; none where there are none.
    pub classes: Vec<String>,
    /// Conditions besides the class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionFacts>,
    /// What −1 and 1 mean in the data's own scale, as 0 and 255.
    pub scale: [f64; 2],
    /// The same for each channel of signals and volumes, if they differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channel_scales: Vec<[f64; 2]>,
    /// Whether x lies within [−1, 1], so that the denoised estimate can be clipped to that range.
    pub bounded: bool,
    /// How many samples there are to learn from.
    pub samples: usize,
    /// The categories, if x holds category indices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Categories>,
}
impl Facts {
    /// What the samples are.
    ///
    /// # Errors
    ///
    /// If a sample has no axis, or more than four.
    pub fn kind(&self) -> Result<DataKind> {
        match self.shape.len() {
            1 => Ok(DataKind::Points),
            2 if self.signal => Ok(DataKind::Signals),
            2 => Ok(DataKind::Sequences),
            3 => Ok(DataKind::Images),
            4 => Ok(DataKind::Volumes),
            n => Err(Error::invalid(format!("a sample must have 1 to 4 axes, and those of these data have {n}"))),
        }
    }
    /// The conditions besides the class.
    pub(crate) fn named(&self) -> impl Iterator<Item = &ConditionFacts> {
        self.conditions.iter().filter(|condition| condition.spec.name != CLASS)
    }
    /// The conditions besides the class, as a network takes them.
    pub(crate) fn specs(&self) -> Vec<ConditionSpec> {
        self.named().map(|condition| condition.spec.clone()).collect()
    }
    /// From x to the data's own scale.
    pub fn own(&self, x: f32) -> f32 {
        scaled(self.scale, x)
    }
    /// Samples, row after row, from x to the data's own scale, that of each channel.
    pub fn own_values(&self, values: &[f32]) -> Vec<f32> {
        let channels = self.channel_scales.len();
        if channels == 0 {
            return values.iter().map(|x| self.own(*x)).collect();
        }
        let size = self.shape.iter().product::<usize>() / channels;
        values.iter().enumerate().map(|(i, x)| scaled(self.channel_scales[i / size % channels], *x)).collect()
    }
    /// Checks that the properties fit one another, as those of a damaged file may not.
    ///
    /// # Errors
    ///
    /// The first that does not, as the end of a sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        /// Values of a sample, and categories: integers that single precision is exact for.
        const MOST: usize = 1 << 24;
        /// Values beyond it, scaled from far outside of [−1, 1], would be infinite.
        const LARGE: f64 = 1e30;
        let rule = |holds: bool, problem: String| if holds { Ok(()) } else { Err(problem) };
        let size = |shape: &[usize]| shape.iter().try_fold(1usize, |size, axis| size.checked_mul(*axis));
        let Self { shape, classes, scale, categories, .. } = self;
        let values = size(shape).filter(|values| (1..=MOST).contains(values));
        rule((1..=4).contains(&shape.len()) && values.is_some(), format!("no sample has the shape {shape:?}"))?;
        let signal = !self.signal || shape.len() == 2 && categories.is_none();
        rule(signal, format!("signals of numbers do not have the shape {shape:?}"))?;
        rule(scale.iter().all(|end| end.abs() < LARGE), format!("no scale has the ends {scale:?}"))?;
        let known = &self.channel_scales;
        let fits = known.is_empty() || known.len() == shape[0] && known.iter().flatten().all(|end| end.abs() < LARGE);
        rule(fits, format!("{} scales of channels do not fit the shape {shape:?}", known.len()))?;
        rule(classes.len() <= MOST, format!("{} classes are too many", classes.len()))?;
        let Some(Categories { count, frequencies, shown }) = categories else { return Ok(()) };
        rule((1..=MOST).contains(count), format!("{count} is not a number of categories"))?;
        rule(shape.len() == 2 && shape[1] == 1, format!("sequences of categories do not have the shape {shape:?}"))?;
        let known = frequencies.len();
        rule(known == *count, format!("{count} categories have {known} frequencies"))?;
        let shares = frequencies.iter().all(|share| (0.0..=1.0).contains(share));
        rule(shares, "a frequency is not in [0, 1]".into())?;
        match shown {
            Shown::Numbers => Ok(()),
            Shown::Text(codec) => {
                let (known, length) = (codec.categories(), codec.length);
                rule(known == *count, format!("a vocabulary of {known} tokens has {count} categories"))?;
                rule(length == shape[0], format!("texts of {length} tokens have the shape {shape:?}"))
            }
            Shown::Image(image) => {
                rule(*count > 1, "images have one level".into())?;
                rule(size(image) == Some(shape[0]), format!("images of shape {image:?} have the shape {shape:?}"))
            }
        }
    }
    /// Checks that `data` have the properties of the data that the model was trained on.
    ///
    /// # Errors
    ///
    /// If they differ.
    pub(crate) fn fit(&self, data: &Facts) -> Result<()> {
        if let (Some(known), Some(found)) = (&self.categories, &data.categories)
            && (known.count != found.count || known.shown != found.shown)
        {
            let what = |categories: &Categories| match categories.codec() {
                Some(codec) => format!("{}, {} tokens per sample", codec.vocabulary, codec.length),
                None => format!("{} categories", categories.count),
            };
            let (known, found) = (what(known), what(found));
            let found = if known == found { "others".into() } else { found };
            return Err(Error::invalid(format!(
                "the model was made for a vocabulary of {known}, and the data have {found}: use the data that it was \
                 trained on, or train a new model"
            )));
        }
        let differs = |known: &ConditionFacts| data.conditions.iter().all(|found| found.spec != known.spec);
        if let Some(known) = self.conditions.iter().find(|known| differs(known)) {
            return Err(Error::invalid(format!(
                "the model was made for the condition `{}`, {}, and the data have another or none: use the data that it was \
                 trained on, or train a new model",
                known.spec.name,
                known.spec.kind.describe()
            )));
        }
        let scales = |facts: &Facts| match facts.channel_scales.as_slice() {
            [] => vec![facts.scale],
            scales => scales.to_vec(),
        };
        let (own, other) = (scales(self).concat(), scales(data).concat());
        // Images have the scale of their levels, whatever the data.
        let scaled = self.signal || self.shape.len() == 4;
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        if self.shape == data.shape && scaled && !(own.len() == other.len() && own.iter().zip(&other).all(near)) {
            return Err(Error::invalid(
                "the model was trained on values of another mean and standard deviation than these data have: use the                  data that it was trained on, or train a new model with a `range` of values, which other data can share",
            ));
        }
        if self.shape != data.shape
            || self.signal != data.signal
            || self.categories.is_some() != data.categories.is_some()
        {
            return Err(Error::invalid(format!(
                "the model was made for {}, and the data are {}: use the data that it was trained on, or train a new model",
                self.describe(),
                data.describe()
            )));
        }
        Ok(())
    }
    /// In a few words.
    pub(crate) fn describe(&self) -> String {
        let conditions: Vec<String> =
            self.specs().iter().map(|spec| format!("`{}` ({})", spec.name, spec.kind.name())).collect();
        match conditions.as_slice() {
            [] => self.described(),
            [one] => format!("{}, condition {one}", self.described()),
            several => format!("{}, conditions {}", self.described(), several.join(", ")),
        }
    }
    fn described(&self) -> String {
        if let Some(categories) = &self.categories {
            let classes = match self.classes.len() {
                0 => String::new(),
                n => format!(", {n} classes"),
            };
            return format!("{} {}{classes}", messages::grouped(self.samples), categories.describe(&self.shape));
        }
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let what = match *self.shape.as_slice() {
            [channels, length] if self.signal => {
                format!("signals of {length} value{}, {channels} channel{}", plural(length), plural(channels))
            }
            [channels, depth, height, width] => {
                format!("volumes of {width} × {height} × {depth} voxels, {channels} channel{}", plural(channels))
            }
            [channels, height, width] => {
                let color = match channels {
                    1 => "gray",
                    3 => "color",
                    4 => "color and alpha",
                    _ => "",
                };
                format!("images of {width} × {height} pixels, {channels} channel{} ({color})", plural(channels))
            }
            [numbers] => format!("points of {numbers} numbers"),
            _ => format!("samples of shape {:?}", self.shape),
        };
        let classes = match self.classes.len() {
            0 => "no classes".into(),
            1 => "1 class".into(),
            n => format!("{n} classes"),
        };
        format!("{} {what}, {classes}", messages::grouped(self.samples))
    }
}

fn scaled([low, high]: [f64; 2], x: f32) -> f32 {
    (low + (f64::from(x) + 1.0) * 0.5 * (high - low)) as f32
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

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_data::{Codec, Vocabulary};

    #[test]
    fn properties_that_do_not_fit_one_another_are_refused() {
        let points = Facts { shape: vec![2], scale: [-1.0, 1.0], ..Facts::default() };
        let codec = Codec { vocabulary: Vocabulary::characters("ab"), ends: true, length: 4 };
        let of = |categories: Categories| Facts { shape: vec![4, 1], categories: Some(categories), ..points.clone() };
        let text = Categories { count: 3, frequencies: vec![0.5, 0.25, 0.25], shown: Shown::Text(codec) };
        let levels = Categories { shown: Shown::Image([1, 2, 2]), ..text.clone() };
        for whole in [points.clone(), of(text.clone()), of(levels.clone())] {
            assert_eq!(whole.check(), Ok(()));
        }
        let wrong = |facts: Facts| facts.check().unwrap_err();
        for shape in [vec![], vec![0], vec![1 << 40, 1 << 40], vec![1, 1, 1, 1, 1], vec![usize::MAX]] {
            assert!(wrong(Facts { shape, ..points.clone() }).starts_with("no sample has the shape ["));
        }
        let signals = Facts { shape: vec![1, 8], signal: true, ..points.clone() };
        assert_eq!((signals.check(), signals.kind().unwrap()), (Ok(()), DataKind::Signals));
        assert!(wrong(Facts { signal: true, ..points.clone() }).starts_with("signals of numbers do not have"));
        assert!(wrong(Facts { signal: true, ..of(text.clone()) }).starts_with("signals of numbers do not have"));
        assert_eq!(wrong(Facts { scale: [0.0, f64::NAN], ..points.clone() }), "no scale has the ends [0.0, NaN]");
        assert_eq!(wrong(Facts { scale: [0.0, 1e30], ..points.clone() }), "no scale has the ends [0.0, 1e30]");
        assert!(wrong(Facts { shape: vec![4], ..of(text.clone()) }).contains("do not have the shape [4]"));
        assert!(wrong(Facts { shape: vec![5, 1], ..of(text.clone()) }).contains("texts of 4 tokens"));
        assert!(wrong(Facts { shape: vec![5, 1], ..of(levels.clone()) }).contains("images of shape [1, 2, 2]"));
        for (count, shares) in
            [(usize::MAX, vec![]), (0, vec![]), (4, vec![0.25; 3]), (4, vec![0.25; 4]), (3, vec![f64::NAN; 3])]
        {
            wrong(of(Categories { count, frequencies: shares, ..text.clone() }));
        }
        assert!(wrong(of(Categories { count: 1, frequencies: vec![1.0], ..levels })).contains("one level"));
    }
}

//! The properties of the training data that a checkpoint stores.
use crate::{
    data::{categories::Categories, conditions::ConditionFacts},
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
    /// Sizes of one sample: channels, height and width of an image; the numbers of a point.
    pub shape: Vec<usize>,
    /// Names of the classes; none where there are none.
    pub classes: Vec<String>,
    /// Conditions besides the class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionFacts>,
    /// What −1 and 1 mean in the data's own scale, as 0 and 255.
    pub scale: [f64; 2],
    /// Whether x lies within [−1, 1], so that the denoised estimate can be clipped to that range.
    pub bounded: bool,
    /// How many samples there are to learn from.
    pub samples: usize,
    /// The categories, if x holds category indices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Categories>,
}
impl Facts {
    /// The conditions besides the class, as a network takes them.
    pub(crate) fn specs(&self) -> Vec<ConditionSpec> {
        self.conditions.iter().map(|condition| &condition.spec).filter(|spec| spec.name != CLASS).cloned().collect()
    }
    /// From x to the data's own scale.
    pub fn own(&self, x: f32) -> f32 {
        let [low, high] = self.scale;
        (low + (f64::from(x) + 1.0) * 0.5 * (high - low)) as f32
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
        if self.shape != data.shape || self.categories.is_some() != data.categories.is_some() {
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
        if let Some(categories) = &self.categories {
            let classes = match self.classes.len() {
                0 => String::new(),
                n => format!(", {n} classes"),
            };
            return format!("{} {}{classes}", messages::grouped(self.samples), categories.describe(&self.shape));
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
        format!("{} {what}, {classes}", messages::grouped(self.samples))
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

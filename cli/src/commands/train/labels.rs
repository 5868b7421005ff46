//! The metadata of a run's checkpoints.
use crate::{data::Fingerprint, recipe::plan::Plan};

/// What the metadata of a checkpoint say of its run, so that it can be used on its own and resumed from.
pub(super) struct Labels {
    pub recipe: String,
    /// The properties of the data, as JSON.
    data: String,
    /// Their fingerprint, as JSON.
    fingerprint: String,
    /// The weights that the run began with, if they were those of another.
    pub from: Option<String>,
}
impl Labels {
    pub fn new<const D: usize>(plan: &Plan<D>, fingerprint: &Fingerprint, from: Option<String>) -> Self {
        Self {
            recipe: plan.text(),
            data: serde_json::to_string(&plan.facts).expect("facts are JSON"),
            fingerprint: serde_json::to_string(fingerprint).expect("a fingerprint is JSON"),
            from,
        }
    }
    /// The metadata; `held_out` is the loss of the best checkpoint.
    pub fn notes(&self, held_out: Option<f64>) -> Vec<(&'static str, String)> {
        let Self { recipe, data, fingerprint, from } = self;
        let mut notes = vec![("recipe", recipe.clone()), ("data", data.clone()), ("fingerprint", fingerprint.clone())];
        notes.extend(from.clone().map(|from| ("from", from)));
        notes.extend(held_out.map(|loss| ("held_out", loss.to_string())));
        notes
    }
}

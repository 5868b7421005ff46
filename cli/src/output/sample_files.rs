//! The files of generated samples.
use crate::{
    data::{Facts, data_error, pictured},
    dyn_model::Samples,
    output::{conditioned, picture, text},
};
use std::path::Path;
use tweedie::{
    Result,
    condition::{Classes, Conditions},
    train::write_atomically,
};
use tweedie_data::npy;

/// Writes `samples.npy`, `classes.npy`, `classes.json` (the name of each class, in the order of the indices in
/// `classes.npy`), `conditions.json` if there are conditions of other names, and, depending on the data, `samples.png` or `samples.txt`; returns the name of
/// the latter.
pub(crate) fn write(
    folder: &Path,
    facts: &Facts,
    samples: &Samples,
    conditions: &Conditions,
    n: usize,
) -> Result<Option<&'static str>> {
    let last = samples.last();
    values(&folder.join("samples.npy"), facts, &[n], last)?;
    let classes = conditions.to_classes();
    if !classes.0.is_empty() {
        // −1 means unconditional.
        let indices: Vec<i64> = classes.0.iter().map(|class| class.map_or(-1, i64::from)).collect();
        npy::save(folder.join("classes.npy"), &[n], &indices).map_err(data_error)?;
        let names = serde_json::to_string_pretty(&facts.classes).expect("texts can be written as JSON");
        write_atomically(&folder.join("classes.json"), format!("{names}\n").as_bytes())?;
    }
    if let Some(described) = conditioned::json(facts, conditions, n) {
        write_atomically(&folder.join("conditions.json"), format!("{described}\n").as_bytes())?;
    }
    if let Some(text) = text::lines(facts, last) {
        write_atomically(&folder.join("samples.txt"), text.as_bytes())?;
        return Ok(Some("samples.txt"));
    }
    match conditioned::picture(facts, last, conditions)? {
        Some(picture) => {
            tweedie_data::picture::save(&picture, folder.join("samples.png")).map_err(data_error)?;
            Ok(Some("samples.png"))
        }
        None => Ok(None),
    }
}

/// Writes trajectories as a picture or, for text, an HTML page; returns the file's name.
pub(crate) fn write_trajectory(
    folder: &Path,
    facts: &Facts,
    samples: &Samples,
    classes: &Classes,
    title: &str,
) -> Result<Option<&'static str>> {
    if let Some(page) = text::page(facts, &samples.frames, &samples.times, title) {
        write_atomically(&folder.join("trajectory.html"), page.as_bytes())?;
        return Ok(Some("trajectory.html"));
    }
    match picture::trajectory(facts, &samples.frames, &samples.times, classes)? {
        Some(strip) => {
            tweedie_data::picture::save(&strip, folder.join("trajectory.png")).map_err(data_error)?;
            Ok(Some("trajectory.png"))
        }
        None => Ok(None),
    }
}

/// Writes samples in the scale of the data; token ids as integers.
pub(crate) fn values(path: &Path, facts: &Facts, rows: &[usize], values: &[f32]) -> Result<()> {
    let shape = |facts: &Facts| -> Vec<usize> { rows.iter().chain(&facts.shape).copied().collect() };
    if let Some((_, tokens)) = text::rows(facts, values) {
        let tokens: Vec<i64> = tokens.into_iter().flatten().map(i64::from).collect();
        let shape: Vec<usize> = rows.iter().copied().chain([facts.shape[0]]).collect();
        return npy::save(path, &shape, &tokens).map_err(data_error);
    }
    match pictured(facts, &[]) {
        // Category index = gray level; the largest index is the mask.
        Some((image, _)) => npy::save(path, &shape(&image), values),
        None => npy::save(path, &shape(facts), &facts.own_values(values)),
    }
    .map_err(data_error)
}

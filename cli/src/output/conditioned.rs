//! Samples beside what conditioned them.
use crate::{
    data::{ConditionFacts, Facts, data_error, pictured},
    output::picture,
};
use serde_json::{Map, Value, json};
use tweedie::{
    Result,
    condition::{CLASS, Classes, Conditions, Values},
};
use tweedie_data::{
    RgbImage,
    picture::{Layout, grid},
};

/// Most different descriptions that rows of a grid are labeled with.
const LABELS: usize = 24;

/// The conditions of each sample as JSON, images left out; `None` if there are none besides the class.
pub(crate) fn json(facts: &Facts, conditions: &Conditions, n: usize) -> Option<String> {
    let known: Vec<&ConditionFacts> =
        facts.named().filter(|known| conditions.get(&known.spec.name).is_some()).collect();
    if known.is_empty() {
        return None;
    }
    let classes = conditions.to_classes();
    let sample = |i: usize| -> Value {
        let mut sample = Map::new();
        if let Some(class) = classes.0.get(i) {
            let name = class.and_then(|class| facts.classes.get(class as usize));
            sample.insert(CLASS.into(), json!(name));
        }
        for known in &known {
            let values = conditions.get(&known.spec.name).expect("it is there");
            let value = match (values.is_dropped(i), values) {
                (true, _) => Value::Null,
                (_, Values::Vector(rows)) => {
                    // The shortest number that is read as the same.
                    let short = |x: &f32| x.to_string().parse::<f64>().unwrap_or(f64::from(*x));
                    json!(rows[i].as_ref().map(|row| row.iter().map(short).collect::<Vec<f64>>()))
                }
                (_, Values::Tokens(_) | Values::Class(_)) => json!(known.reader.whole(values, i)),
                _ => json!(known.spec.kind.describe()),
            };
            sample.insert(known.spec.name.clone(), value);
        }
        sample.into()
    };
    let all: Vec<Value> = (0..n).map(sample).collect();
    Some(serde_json::to_string_pretty(&all).expect("values can be written as JSON"))
}

/// All samples as a picture: each after the image that conditioned it, or in rows labeled by their conditions; without such as
/// [`picture::samples`] does.
pub(crate) fn picture(facts: &Facts, values: &[f32], conditions: &Conditions) -> Result<Option<RgbImage>> {
    if facts.named().next().is_none() || conditions.is_none() {
        return picture::samples(facts, values, &conditions.to_classes());
    }
    if let Some((facts, values)) = pictured(facts, values) {
        return picture(&facts, &values, conditions);
    }
    if let Some(picture) = picture::labeled(facts, values, |i| describe(facts, conditions, i))? {
        return Ok(Some(picture));
    }
    let &[channels @ (1 | 3 | 4), height, width] = &facts.shape[..] else {
        return picture::samples(facts, values, &conditions.to_classes());
    };
    let each = channels * height * width;
    let n = values.len() / each;
    let sample = |i: usize| &values[i * each..(i + 1) * each];
    let images: Vec<(&Values, u32)> = facts
        .named()
        .filter_map(|known| conditions.get(&known.spec.name))
        .filter_map(|values| Some((values, brightest(values)?)))
        .collect();
    if !images.is_empty() {
        // Each sample after its conditions; as many of these groups side by side as make the picture square.
        let group = images.len() + 1;
        let mut cells = Vec::with_capacity(n * group * each);
        for i in 0..n {
            images.iter().for_each(|(values, top)| cells.extend(shown(values, *top, i, [channels, height, width])));
            cells.extend_from_slice(sample(i));
        }
        let across = ((n as f64 / group as f64).sqrt().round() as usize).max(1);
        let layout = Layout { columns: across * group, ..Layout::default() };
        return grid(&cells, [n * group, channels, height, width], &layout).map(Some).map_err(data_error);
    }
    let described: Vec<String> = (0..n).map(|i| describe(facts, conditions, i)).collect();
    let mut different: Vec<&String> = vec![];
    described.iter().for_each(|text| {
        if !different.contains(&text) {
            different.push(text);
        }
    });
    if different.len() > LABELS {
        return picture::samples(facts, values, &Classes::none());
    }
    let rows: Vec<Vec<usize>> =
        different.iter().map(|text| (0..n).filter(|&i| described[i] == **text).collect()).collect();
    let names: Vec<String> = different.into_iter().cloned().collect();
    picture::in_rows(values, [channels, height, width], &rows, &names).map(Some)
}

/// The conditions of a sample in a few words: `red, age 30`.
pub(crate) fn describe(facts: &Facts, conditions: &Conditions, i: usize) -> String {
    let classes = conditions.to_classes();
    let class = classes.0.get(i).copied().flatten().and_then(|class| facts.classes.get(class as usize).cloned());
    let others = facts.named().filter_map(|known| {
        let values = conditions.get(&known.spec.name)?;
        let text = known.reader.describe(values, i)?;
        Some(match values {
            Values::Class(_) | Values::Tokens(_) if text != "none" => text,
            _ => format!("{} {text}", known.spec.name),
        })
    });
    class.into_iter().chain(others).collect::<Vec<_>>().join(", ")
}

/// The label that is shown as white, of a map of labels; 0 for images. `None` for what is not a picture.
fn brightest(values: &Values) -> Option<u32> {
    match values {
        Values::Image { .. } => Some(0),
        Values::LabelMap { rows, .. } => {
            Some(rows.iter().flatten().flat_map(|row| row.iter()).max().copied().unwrap_or(0))
        }
        _ => None,
    }
}

/// The image of a condition with the channels and the size of a sample.
fn shown(values: &Values, top: u32, i: usize, [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let (shape, pixels): (&[usize], Option<Vec<f32>>) = match values {
        Values::Image { shape, rows } => (&shape[..], rows[i].as_ref().map(|row| row.to_vec())),
        Values::LabelMap { shape, rows } => {
            let top = top.max(1) as f32;
            (&shape[..], rows[i].as_ref().map(|row| row.iter().map(|x| 2.0 * *x as f32 / top - 1.0).collect()))
        }
        _ => unreachable!("images and label maps"),
    };
    let [h, w] = [shape[shape.len() - 2], shape[shape.len() - 1]];
    let own = if shape.len() == 3 { shape[0] } else { 1 };
    let Some(pixels) = pixels else { return vec![0.0; channels * height * width] };
    let mut out = Vec::with_capacity(channels * height * width);
    for c in 0..channels {
        // Gray for every channel, and an opaque alpha.
        let from = if own >= channels { c } else { c.min(own - 1) };
        for y in 0..height {
            for x in 0..width {
                let at = from * h * w + (y * h / height) * w + x * w / width;
                out.push(if channels == 4 && c == 3 && own < 4 { 1.0 } else { pixels[at] });
            }
        }
    }
    out
}

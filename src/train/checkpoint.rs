//! Checkpoints: one safetensors file, written atomically.
use super::{LossScale, Moments, Parameters, names};
use crate::error::Error;
use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// The state of a run after some steps.
///
/// As a file: weights under their names, averages as `ema.NAME`, Adam's moments as `adam.first.NAME` and
/// `adam.second.NAME`, the losses of importance-sampled timesteps as `times.losses`, and the counters in the metadata. Any reader
/// of safetensors reads it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The number of steps done.
    pub step: u64,
    /// The seed of the run; with the step, the whole state of its randomness.
    pub seed: u64,
    /// The trained weights.
    pub weights: Parameters,
    /// Their exponential moving average.
    pub average: Option<Parameters>,
    /// The optimizer's state.
    pub moments: Moments,
    /// The losses that timesteps are importance-sampled by ([`LossHistory`](crate::spacing::LossHistory)); empty if they are not.
    pub losses: Vec<f64>,
    /// The factor of the loss, in f16.
    pub loss_scale: Option<LossScale>,
}

/// The name of those losses in a file.
const LOSSES: &str = "times.losses";
/// What precedes the names of averages and moments in a file.
const REPEATED: [&str; 3] = [EMA, FIRST, SECOND];
const EMA: &str = "ema.";
const FIRST: &str = "adam.first.";
const SECOND: &str = "adam.second.";
const FORMAT: &str = "tweedie-checkpoint-1";
/// More steps than any training takes.
const MOST_STEPS: u64 = 1 << 40;

/// Writes a file atomically: to a temporary file in the same folder, which is flushed to the disk and renamed. At any moment `path`
/// holds the old content or the new.
///
/// # Errors
///
/// If the folder is not writable or the disk is full; the temporary file is then removed.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        // The rename is durable once the folder is flushed; not every system can open one.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    write().map_err(|error: io::Error| {
        // The first failure is the one to report.
        let _ = fs::remove_file(&part);
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let error = Error::io(path, "write")(error);
        if full { error.with_remedy("free space on that disk") } else { error }
    })
}

impl Checkpoint {
    fn groups(&self) -> Vec<(&'static str, &Parameters)> {
        let mut groups = vec![("", &self.weights)];
        groups.extend(self.average.as_ref().map(|average| (EMA, average)));
        groups.extend([(FIRST, &self.moments.first), (SECOND, &self.moments.second)]);
        groups
    }

    /// The checkpoint with the parameter names of `module` where an earlier version wrote others.
    pub(super) fn renamed_as(self, module: &Parameters) -> Self {
        Self {
            weights: self.weights.renamed_as(module),
            average: self.average.map(|average| average.renamed_as(module)),
            moments: Moments {
                first: self.moments.first.renamed_as(module),
                second: self.moments.second.renamed_as(module),
                ..self.moments
            },
            ..self
        }
    }

    /// Writes the checkpoint atomically, with further metadata.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path, metadata: &[(&str, String)]) -> Result<(), Error> {
        let mut facts = sorted(metadata);
        facts.insert("format".into(), FORMAT.into());
        facts.insert("step".into(), self.step.to_string());
        facts.insert("seed".into(), self.seed.to_string());
        facts.insert("updates".into(), self.moments.updates.to_string());
        if self.moments.skipped.iter().any(|skipped| *skipped > 0) {
            let skipped: Vec<String> = self.moments.skipped.iter().map(u64::to_string).collect();
            facts.insert("skipped".into(), skipped.join(","));
        }
        if let Some(scale) = self.loss_scale {
            facts.insert("loss_scale".into(), scale.text());
        }
        let names = self.weights.to_host().iter().map(|(name, ..)| *name).collect::<Vec<_>>().join("\n");
        facts.insert("parameters".into(), names);
        write_atomically(path, &encode(&self.groups(), &self.losses, &facts))
    }

    /// Writes the weights to sample with (the average if there is one) alone, for use elsewhere.
    #[doc(alias("save_pretrained", "export"))]
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save_weights(&self, path: &Path, metadata: &[(&str, String)]) -> Result<(), Error> {
        let weights = self.average.as_ref().unwrap_or(&self.weights);
        write_atomically(path, &encode(&[("", weights)], &[], &sorted(metadata)))
    }

    /// Reads the weights to sample with, for a network whose parameters are `like`: from a checkpoint (the average if
    /// there is one) or from a file of [`save_weights`](Self::save_weights).
    ///
    /// # Errors
    ///
    /// If the file does not exist, is truncated, has a weight that is not finite, or is of another architecture: a parameter is
    /// missing, has another shape, or is not one of the network's.
    #[doc(alias("from_pretrained", "strict"))]
    pub fn load_weights(path: &Path, like: &Parameters, device: &Device) -> Result<Parameters, Error> {
        let bytes = fs::read(path).map_err(Error::io(path, "read the weights"))?;
        let broken = |why: String| Error::format(path, format!("not a complete file of weights ({why})"));
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
        // The names that an earlier version gave to parameters, by the present ones.
        let earlier: HashMap<String, &str> = tensors
            .names()
            .into_iter()
            .map(|name| name.strip_prefix("ema.").unwrap_or(name))
            .map(|name| (names::current(name), name))
            .collect();
        let host = like.to_host();
        let (known, stored): (HashSet<&str>, HashSet<&str>) =
            (host.iter().map(|(name, ..)| *name).collect(), tensors.names().into_iter().collect());
        // Averages and moments repeat the names of the weights.
        let of_weights = |name: &str| {
            let mut repeated = REPEATED.iter().filter_map(|prefix| name.strip_prefix(prefix));
            name != LOSSES && !repeated.any(|weight| stored.contains(weight))
        };
        // An uncertainty is for training alone.
        let of_training = |name: &str| name.starts_with("uncertainty.");
        let of_weights = |name: &str| of_weights(name) && !of_training(name);
        let mut others: Vec<&str> = stored.iter().copied().filter(|name| of_weights(name)).collect();
        others.retain(|name| !known.contains(name) && !known.contains(&*names::current(name)));
        let read = |(name, shape, own): (&str, &[usize], Vec<f32>)| {
            let earlier = earlier.get(name).map_or(name, |earlier| earlier);
            let under = |name: &str| tensors.tensor(&format!("ema.{name}")).or_else(|_| tensors.tensor(name));
            let found = under(name).or_else(|_| under(earlier));
            let fits = found.as_ref().is_ok_and(|view| view.shape() == shape && view.dtype() == Dtype::F32);
            let Some(view) = found.ok().filter(|_| fits) else {
                if of_training(name) {
                    return Ok((name.to_owned(), shape.to_vec(), own));
                }
                let problem = format!(
                    "these weights are of another architecture: the network has {name} of shape {shape:?}, and the file has not"
                );
                return Err(Error::format(path, problem).with_remedy("use the recipe they were trained with"));
            };
            let numbers = floats(view.data());
            if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
                let problem = format!("the weights are damaged: {name} has the value {number}");
                return Err(Error::format(path, problem).with_remedy("use another checkpoint of the run"));
            }
            Ok((name.to_owned(), shape.to_vec(), numbers))
        };
        let weights = host.into_iter().map(read).collect::<Result<_, _>>()?;
        if let Some(other) = others.iter().min() {
            let problem =
                format!("these weights are of another architecture: the file has {other}, and the network has not");
            return Err(Error::format(path, problem).with_remedy("use the recipe they were trained with"));
        }
        Ok(Parameters::from_host(weights, device))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file does not exist, is truncated, or is not a checkpoint; if a parameter is named twice, a number is not finite, or a
    /// counter is one that no training reaches.
    pub fn load(path: &Path, device: &Device) -> Result<(Self, HashMap<String, String>), Error> {
        let bytes = fs::read(path).map_err(Error::io(path, "read the checkpoint"))?;
        let broken = |why: String| {
            Error::format(path, format!("not a complete checkpoint ({why})"))
                .with_remedy("use an earlier one, or train anew")
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
        let facts = header.metadata().clone().unwrap_or_default();
        if facts.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(broken(format!("its metadata lack the format `{FORMAT}`")));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
        let number = |key: &str| -> Result<u64, Error> {
            facts
                .get(key)
                .and_then(|v| v.parse().ok())
                .ok_or_else(|| broken(format!("its metadata lack the number `{key}`")))
        };
        let names = facts.get("parameters").ok_or_else(|| broken("its metadata lack `parameters`".into()))?;
        // Each is copied, so one that is named again and again would take any amount of memory.
        let mut known = HashSet::new();
        if let Some(name) = names.lines().find(|name| !known.insert(*name)) {
            return Err(broken(format!("its metadata name the parameter {name} twice")));
        }
        let group = |prefix: &str| -> Result<Parameters, Error> {
            let read = |name: &str| {
                let view = tensors.tensor(&format!("{prefix}{name}")).map_err(|e| broken(e.to_string()))?;
                if view.dtype() != Dtype::F32 {
                    return Err(broken(format!("{prefix}{name} is {:?}, not F32", view.dtype())));
                }
                let numbers = floats(view.data());
                // A mean of squares has no negative value.
                let possible = |number: f32| number.is_finite() && (prefix != SECOND || number >= 0.0);
                match numbers.iter().find(|number| !possible(**number)) {
                    Some(number) => Err(broken(format!("{prefix}{name} has the value {number}"))),
                    None => Ok((name.to_owned(), view.shape().to_vec(), numbers)),
                }
            };
            Ok(Parameters::from_host(names.lines().map(read).collect::<Result<_, _>>()?, device))
        };
        let losses = match tensors.tensor(LOSSES) {
            Ok(view) if view.dtype() == Dtype::F64 => {
                view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect()
            }
            Ok(view) => return Err(broken(format!("{LOSSES} is {:?}, not F64", view.dtype()))),
            Err(_) => vec![],
        };
        if let Some(loss) = losses.iter().find(|loss: &&f64| loss.abs() > f64::from(f32::MAX)) {
            return Err(broken(format!("{LOSSES} has the value {loss}")));
        }
        let [step, updates] = [number("step")?, number("updates")?];
        let skipped: Vec<u64> = match facts.get("skipped") {
            None => vec![0; names.lines().count()],
            Some(list) => list
                .split(',')
                .map(|count| count.parse().map_err(|_| broken("its metadata hold no list `skipped`".into())))
                .collect::<Result<_, _>>()?,
        };
        if step > MOST_STEPS
            || updates > step
            || skipped.len() != known.len()
            || skipped.iter().any(|skipped| *skipped > updates)
        {
            let problem = format!("{updates} updates in {step} steps, skipped by {} parameters", skipped.len());
            return Err(broken(format!("no training has its counters: {problem}")));
        }
        let loss_scale = match facts.get("loss_scale") {
            None => None,
            Some(text) => {
                Some(LossScale::read(text).ok_or_else(|| broken(format!("no training has the loss scale {text}")))?)
            }
        };
        let average = names.lines().next().is_some_and(|name| tensors.tensor(&format!("ema.{name}")).is_ok());
        let checkpoint = Self {
            step,
            seed: number("seed")?,
            weights: group("")?,
            average: if average { Some(group(EMA)?) } else { None },
            moments: Moments { first: group(FIRST)?, second: group(SECOND)?, updates, skipped },
            losses,
            loss_scale,
        };
        Ok((checkpoint, facts))
    }
}

/// The numbers of a tensor.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn sorted(metadata: &[(&str, String)]) -> BTreeMap<String, String> {
    metadata.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()
}

fn encode(groups: &[(&str, &Parameters)], losses: &[f64], facts: &BTreeMap<String, String>) -> Vec<u8> {
    let mut entries: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = groups
        .iter()
        .flat_map(|(prefix, parameters)| {
            parameters.to_host().into_iter().map(move |(name, shape, values)| {
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (format!("{prefix}{name}"), Dtype::F32, shape.to_vec(), bytes)
            })
        })
        .collect();
    if !losses.is_empty() {
        let bytes = losses.iter().flat_map(|v| v.to_le_bytes()).collect();
        entries.push((LOSSES.into(), Dtype::F64, vec![losses.len()], bytes));
    }
    let views = entries.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("the bytes fill the shape"))
    });
    with_metadata(safetensors::serialize(views, None).expect("tensors of these types serialize"), facts)
}

/// Adds metadata, sorted by key, to safetensors without any. The crate takes them as a hash map and writes them in an order that
/// differs from process to process, and equal states are to be equal files.
fn with_metadata(mut file: Vec<u8>, facts: &BTreeMap<String, String>) -> Vec<u8> {
    const LENGTH: usize = size_of::<u64>();
    let length = u64::from_le_bytes(file[..LENGTH].try_into().expect("eight bytes"));
    let end = LENGTH + usize::try_from(length).expect("the header is in memory");
    let tensors = std::str::from_utf8(&file[LENGTH + 1..end]).expect("a header is JSON").trim_end();
    let facts = serde_json::to_string(facts).expect("texts are JSON");
    let comma = if tensors == "}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{facts}{comma}{tensors}").into_bytes();
    // The tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    let length = (header.len() as u64).to_le_bytes();
    file.splice(..end, length.into_iter().chain(header));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_sorted_and_aligned_and_equal_states_are_equal_files() {
        let weights = Parameters::from_host(vec![("a.b".into(), vec![3], vec![1.0, 2.0, 3.0])], &Device::flex());
        let facts: BTreeMap<String, String> =
            (0..20).rev().map(|i| (format!("key {i:02}"), "\"\n".repeat(i))).collect();
        let encoded = || encode(&[("", &weights), ("ema.", &weights)], &[0.5], &facts);
        let file = encoded();
        assert_eq!(file, encoded());
        let (length, header) = SafeTensors::read_metadata(&file).unwrap();
        assert_eq!(length % 8, 0);
        assert_eq!(*header.metadata().as_ref().unwrap(), facts.clone().into_iter().collect::<HashMap<_, _>>());
        let text = std::str::from_utf8(&file[8..8 + length]).unwrap();
        let places: Vec<_> = facts.keys().map(|key| text.find(&format!("\"{key}\"")).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        let read = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.tensor("ema.a.b").unwrap().data(), [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat());
        assert_eq!(read.tensor(LOSSES).unwrap().data(), 0.5f64.to_le_bytes());
        // Without tensors.
        assert!(SafeTensors::deserialize(&encode(&[], &[], &facts)).is_ok());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_temporary_file() {
        let folder = std::env::temp_dir().join(format!("tweedie-write-{}", std::process::id()));
        // A folder cannot be replaced by a file.
        fs::create_dir_all(folder.join("taken/inside")).unwrap();
        let error = write_atomically(&folder.join("taken"), b"new").unwrap_err().to_string();
        assert!(error.contains("cannot write"), "{error}");
        assert!(folder.join("taken/inside").exists() && !folder.join("taken.part").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}

//! Checkpoints: one safetensors file, written atomically.
use super::{Moments, Parameters, names};
use crate::error::Error;
use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
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
}

/// The name of those losses in a file.
const LOSSES: &str = "times.losses";
const FORMAT: &str = "tweedie-checkpoint-1";

/// Writes a file atomically: to a temporary file in the same folder, which is flushed to the disk and renamed. At any moment `path`
/// holds the old content or the new.
///
/// # Errors
///
/// If the folder is not writable.
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
    write().map_err(Error::io(path, "write"))
}

impl Checkpoint {
    fn groups(&self) -> Vec<(&'static str, &Parameters)> {
        let mut groups = vec![("", &self.weights)];
        groups.extend(self.average.as_ref().map(|average| ("ema.", average)));
        groups.extend([("adam.first.", &self.moments.first), ("adam.second.", &self.moments.second)]);
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
        let mut facts: HashMap<String, String> =
            metadata.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        facts.insert("format".into(), FORMAT.into());
        facts.insert("step".into(), self.step.to_string());
        facts.insert("seed".into(), self.seed.to_string());
        facts.insert("updates".into(), self.moments.updates.to_string());
        if self.moments.skipped.iter().any(|skipped| *skipped > 0) {
            let skipped: Vec<String> = self.moments.skipped.iter().map(u64::to_string).collect();
            facts.insert("skipped".into(), skipped.join(","));
        }
        let names = self.weights.to_host().iter().map(|(name, ..)| *name).collect::<Vec<_>>().join("\n");
        facts.insert("parameters".into(), names);
        write_atomically(path, &encode(&self.groups(), &self.losses, facts))
    }

    /// Writes the weights to sample with (the average if there is one) alone, for use elsewhere.
    #[doc(alias("save_pretrained", "export"))]
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save_weights(&self, path: &Path, metadata: &[(&str, String)]) -> Result<(), Error> {
        let facts = metadata.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        write_atomically(path, &encode(&[("", self.average.as_ref().unwrap_or(&self.weights))], &[], facts))
    }

    /// Reads the weights to sample with, for a network whose parameters are `like`: from a checkpoint (the average if
    /// there is one) or from a file of [`save_weights`](Self::save_weights).
    ///
    /// # Errors
    ///
    /// If the file does not exist, is truncated, or is of another architecture.
    #[doc(alias = "from_pretrained")]
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
        let read = |(name, shape, _): (&str, &[usize], Vec<f32>)| {
            let earlier = earlier.get(name).map_or(name, |earlier| earlier);
            let under = |name: &str| tensors.tensor(&format!("ema.{name}")).or_else(|_| tensors.tensor(name));
            let found = under(name).or_else(|_| under(earlier));
            let fits = found.as_ref().is_ok_and(|view| view.shape() == shape && view.dtype() == Dtype::F32);
            let Some(view) = found.ok().filter(|_| fits) else {
                let problem = format!(
                    "these weights are of another architecture: the network has {name} of shape {shape:?}, and the file has not"
                );
                return Err(Error::format(path, problem).with_remedy("use the recipe they were trained with"));
            };
            let numbers = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Ok((name.to_owned(), shape.to_vec(), numbers.collect()))
        };
        Ok(Parameters::from_host(like.to_host().into_iter().map(read).collect::<Result<_, _>>()?, device))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file does not exist, is truncated, or is not a checkpoint.
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
        let group = |prefix: &str| -> Result<Parameters, Error> {
            let read = |name: &str| {
                let view = tensors.tensor(&format!("{prefix}{name}")).map_err(|e| broken(e.to_string()))?;
                if view.dtype() != Dtype::F32 {
                    return Err(broken(format!("{prefix}{name} is {:?}, not F32", view.dtype())));
                }
                let numbers = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Ok((name.to_owned(), view.shape().to_vec(), numbers.collect()))
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
        let skipped = match facts.get("skipped") {
            None => vec![0; names.lines().count()],
            Some(list) => list
                .split(',')
                .map(|count| count.parse().map_err(|_| broken("its metadata hold no list `skipped`".into())))
                .collect::<Result<_, _>>()?,
        };
        let average = names.lines().next().is_some_and(|name| tensors.tensor(&format!("ema.{name}")).is_ok());
        let checkpoint = Self {
            step: number("step")?,
            seed: number("seed")?,
            weights: group("")?,
            average: if average { Some(group("ema.")?) } else { None },
            moments: Moments {
                first: group("adam.first.")?,
                second: group("adam.second.")?,
                updates: number("updates")?,
                skipped,
            },
            losses,
        };
        Ok((checkpoint, facts))
    }
}

fn encode(groups: &[(&str, &Parameters)], losses: &[f64], facts: HashMap<String, String>) -> Vec<u8> {
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
    safetensors::serialize(views, Some(facts)).expect("tensors of these types serialize")
}

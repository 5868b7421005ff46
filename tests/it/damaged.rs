//! Checkpoints that are damaged: each kind of damage is an error that names it, and never a number that goes on.
use burn::tensor::Device;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tweedie::{
    Rng,
    data::Samples,
    loss::Simple,
    model::Model,
    net::MlpConfig,
    noise::{Gaussian, Prediction},
    schedule::FlowMatching,
    train::{Checkpoint, Parameters, Train},
};

/// A checkpoint after two steps as a file, and its parts.
struct File {
    path: PathBuf,
    header: Value,
    tensors: Vec<u8>,
    like: Parameters,
}
impl File {
    fn new(name: &str) -> Self {
        let device = Device::flex();
        let net = MlpConfig::new(2).with_hidden([4]).init(&Rng::new(0), &device).unwrap();
        let data = Samples::new((0..20).map(|i| i as f32 * 0.1).collect(), [10, 2]);
        let settings = Train { steps: 2, batch: 4, ..Train::default() };
        let mut trainer = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net)
            .unwrap()
            .train(&data, Simple {}, settings)
            .unwrap();
        trainer.by_ref().for_each(|step| assert!(step.is_ok()));
        let path = std::env::temp_dir().join(format!("tweedie-damaged-{name}-{}.safetensors", std::process::id()));
        trainer.checkpoint().save(&path, &[]).unwrap();
        let bytes = fs::read(&path).unwrap();
        let (length, _) = SafeTensors::read_metadata(&bytes).unwrap();
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Self { path, header, tensors: bytes[8 + length..].to_vec(), like: trainer.checkpoint().weights }
    }
    fn write(&self, header: &Value, tensors: &[u8]) {
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&self.path, [&length, header.as_bytes(), tensors].concat()).unwrap();
    }
    fn load(&self) -> String {
        Checkpoint::load(&self.path, &Device::flex()).map_or_else(|error| error.to_string(), |_| "read".into())
    }
    fn load_weights(&self) -> String {
        let read = Checkpoint::load_weights(&self.path, &self.like, &Device::flex());
        read.map_or_else(|error| error.to_string(), |_| "read".into())
    }
    /// What loading says of a file whose metadata have another entry.
    fn with(&self, key: &str, value: &str) -> String {
        let mut header = self.header.clone();
        header["__metadata__"][key] = value.into();
        self.write(&header, &self.tensors);
        self.load()
    }
    /// Where the numbers of a tensor begin.
    fn start(&self, name: &str) -> usize {
        self.header[name]["data_offsets"][0].as_u64().unwrap() as usize
    }
}
impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn a_number_that_no_training_writes_is_refused_with_the_tensor() {
    let file = File::new("numbers");
    assert_eq!((file.with("step", "2"), file.load_weights()), ("read".into(), "read".into()));
    let name = file.like.to_host()[0].0.to_owned();
    let first_weight = |prefix: &str, number: f32| {
        let mut tensors = file.tensors.clone();
        let start = file.start(&format!("{prefix}{name}"));
        tensors[start..start + 4].copy_from_slice(&number.to_le_bytes());
        file.write(&file.header, &tensors);
    };
    for (prefix, number) in [("", f32::NAN), ("ema.", f32::INFINITY), ("adam.first.", f32::NAN), ("adam.second.", -1.0)]
    {
        first_weight(prefix, number);
        let error = file.load();
        assert!(error.contains(&format!("{prefix}{name} has the value {number}")), "{error}");
    }
    // What is sampled is the average.
    first_weight("ema.", f32::NAN);
    let error = file.load_weights();
    assert!(error.contains(&format!("the weights are damaged: {name} has the value NaN")), "{error}");
    first_weight("adam.first.", f32::NAN);
    assert_eq!(file.load_weights(), "read");
}

#[test]
fn a_parameter_that_is_named_again_and_again_takes_no_memory() {
    let file = File::new("names");
    let names = file.header["__metadata__"]["parameters"].as_str().unwrap().to_owned();
    let first = names.lines().next().unwrap();
    // Each copy would take the bytes of the tensor.
    let error = file.with("parameters", &format!("{first}\n").repeat(1_000_000));
    assert!(error.contains(&format!("its metadata name the parameter {first} twice")), "{error}");
}

#[test]
fn counters_that_no_training_reaches_are_refused() {
    let file = File::new("counters");
    for (key, value) in [
        ("step", "1"),
        ("step", "18446744073709551615"),
        ("updates", "18446744073709551615"),
        ("skipped", "0"),
        ("skipped", ""),
        ("skipped", &["3"; 6].join(",")),
    ] {
        let error = file.with(key, value);
        assert!(error.contains("not a complete checkpoint"), "{key} = {value}: {error}");
    }
    let names = file.header["__metadata__"]["parameters"].as_str().unwrap().lines().count();
    assert_eq!(file.with("skipped", &vec!["1"; names].join(",")), "read");
}

/// The header may say anything of the bytes that follow.
#[test]
fn a_header_that_does_not_describe_its_bytes_is_refused() {
    let file = File::new("header");
    let name = file.like.to_host()[0].0.to_owned();
    let huge = u64::MAX;
    for (key, value) in [
        ("shape", json!([1u64 << 40, 1u64 << 40])),
        ("shape", json!([huge])),
        ("shape", json!([])),
        ("shape", json!([-1])),
        ("data_offsets", json!([0, 0])),
        ("data_offsets", json!([huge, huge])),
        ("data_offsets", json!([8, 0])),
        ("data_offsets", json!([4, 4 + file.tensors.len()])),
        ("dtype", json!("F64")),
        ("dtype", json!("F3")),
    ] {
        let mut header = file.header.clone();
        header[&name][key] = value.clone();
        file.write(&header, &file.tensors);
        for error in [file.load(), file.load_weights()] {
            assert!(error.contains("not a complete"), "{key} = {value}: {error}");
        }
    }
    let bytes = |length: u64, rest: &[u8]| {
        fs::write(&file.path, [&length.to_le_bytes(), rest].concat()).unwrap();
        [file.load(), file.load_weights()]
    };
    for length in [0, 3, 1 << 20, 1 << 40, huge] {
        assert!(bytes(length, b"{}").iter().all(|error| error.contains("not a complete")), "{length}");
    }
}

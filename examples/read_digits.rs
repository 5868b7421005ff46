//! Trains a small classifier of handwritten digits on real ones and counts how many samples of a run it reads as the class that
//! they were conditioned on.
//!
//! ```text
//! cargo run --release --example read_digits -- mnist.safetensors FOLDER/OF/MNIST runs/mnist/samples
//! cargo run --release --example read_digits -- digits.safetensors digits runs/digits
//! ```
//!
//! The first argument is the file of the classifier's weights: if it does not exist, the classifier is trained and the file
//! written. The second is the folder with the four IDX files of MNIST, or `digits` for the built-in ones of 8 × 8 pixels. The
//! others are folders with samples.npy and classes.npy, as `tweedie sample` writes them.
use std::path::Path;
use tweedie::{
    burn::module::Module,
    net::layers::{Conv, GroupNorm, Linear},
    prelude::*,
    train::{AdamW, Checkpoint, Moments, Parameters},
};
use tweedie_data::{Digits, Idx, Images, Source, Split, npy};

/// Three convolutions, the first two of stride 2, each with group normalization and SiLU; then a linear layer.
#[derive(Module, Debug)]
pub struct Classifier {
    convs: Vec<Conv>,
    norms: Vec<GroupNorm>,
    out: Linear,
}

impl Classifier {
    /// Initializes a classifier of images of `[channels, height, width]`.
    pub fn new([channels, height, width]: [usize; 3], classes: usize, rng: &Rng, device: &Device) -> Self {
        let widths = [channels, 24, 48, 48];
        let conv = |i: usize| {
            let conv = Conv::new([widths[i], widths[i + 1]], 3, &rng.stream(&format!("conv {i}")), device);
            if i < 2 { conv.downsampling() } else { conv }
        };
        let places = height.div_ceil(4) * width.div_ceil(4);
        Self {
            convs: (0..3).map(conv).collect(),
            norms: (0..3).map(|i| GroupNorm::new(widths[i + 1], 4, device)).collect(),
            out: Linear::new(48 * places, classes, &rng.stream("out"), device),
        }
    }

    /// Computes logits: `[batch, channels, height, width]` → `[batch, classes]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.convs.iter().zip(&self.norms).fold(x, |x, (conv, norm)| norm.activated(conv.forward(x)));
        self.out.forward(x.flatten(1, 3))
    }

    /// Reads images: the most probable class of each.
    pub fn read(&self, pixels: &[f32], [channels, height, width]: [usize; 3]) -> Vec<u32> {
        let each = channels * height * width;
        let batch = |pixels: &[f32]| {
            let x = tensor(pixels.to_vec(), [pixels.len() / each, channels, height, width], &Device::flex());
            let classes: Vec<i64> = self.forward(x).argmax(1).try_into_vec_as().expect("a tensor can be read back");
            classes.into_iter().map(|class| class as u32)
        };
        pixels.chunks(500 * each).flat_map(batch).collect()
    }

    /// Trains with Adam on the cross-entropy, batches of 100, a learning rate that falls linearly to 0 and images shifted by up to
    /// two pixels of 28.
    pub fn train(self, images: &Images, epochs: usize, rng: &Rng) -> Self {
        const BATCH: usize = 100;
        let (shape, count) = (images.shape(), images.len() / BATCH * BATCH);
        let labels = images.labels.as_ref().expect("digits have labels");
        let steps = epochs * count / BATCH;
        let mut moments = Moments::new(&Parameters::of(&self));
        let mut net = self;
        for step in 0..steps {
            let (epoch, first) = (step * BATCH / count, step * BATCH % count);
            let order = rng.stream("order").at_step(epoch as u64).permutation(images.len());
            let rows = &order[first..first + BATCH];
            let reach = shape[2] / 14;
            let shifts = rng.stream("shifts").at_step(step as u64).uniforms(BATCH, 2);
            let pixels = shifted(images.to_unit(rows, None), shape, &shifts, reach);
            let x = tensor(pixels, [BATCH, shape[0], shape[1], shape[2]], &Device::flex());
            let mut target = vec![0.0; BATCH * images.classes.len()];
            rows.iter().enumerate().for_each(|(i, &row)| target[i * images.classes.len() + labels[row] as usize] = 1.0);
            let target = tensor(target, [BATCH, images.classes.len()], &Device::flex());
            let training = Module::train(net);
            let log_p = tweedie::burn::tensor::activation::log_softmax(training.forward(Tensor::from_inner(x)), 1);
            let loss = (log_p * Tensor::from_inner(target)).sum() / -(BATCH as f32);
            let gradients = Parameters::gradients(&training, &mut loss.backward());
            net = training.valid();
            let lr = 2e-3 * (1.0 - step as f64 / steps as f64);
            let weights = moments.step(&AdamW::default(), lr, Parameters::of(&net), gradients, 1.0, None).0;
            net = weights.into_module(net);
        }
        net
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(tweedie::burn::tensor::TensorData::new(values, shape), device)
}

/// Images moved by up to `reach` pixels along each axis; what comes in is background, −1.
fn shifted(pixels: Vec<f32>, [channels, height, width]: [usize; 3], uniforms: &[f64], reach: usize) -> Vec<f32> {
    let mut all = vec![-1.0; pixels.len()];
    let each = channels * height * width;
    let by = |u: f64| (u * (2 * reach + 1) as f64) as usize;
    for (i, shift) in uniforms.chunks_exact(2).enumerate() {
        let (down, across) = (by(shift[0]), by(shift[1]));
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    // Row y of the moved image is row y + down − reach of the other.
                    let (from_y, from_x) = ((y + down).wrapping_sub(reach), (x + across).wrapping_sub(reach));
                    if from_y < height && from_x < width {
                        let at = |y: usize, x: usize| i * each + (c * height + y) * width + x;
                        all[at(y, x)] = pixels[at(from_y, from_x)];
                    }
                }
            }
        }
    }
    all
}

/// How many samples were read as their class, and how evenly the classes occur among what was read.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// Number of samples with a class.
    pub conditioned: usize,
    /// Number of those that were read as their class.
    pub right: usize,
    /// Entropy of the frequencies of the classes that were read, in nats; at most the logarithm of their number.
    pub entropy: f64,
}

impl Reading {
    /// Compares what was read with the classes, of which those below 0 are none.
    pub fn new(read: &[u32], classes: &[i64]) -> Self {
        let right = read.iter().zip(classes).filter(|(read, class)| i64::from(**read) == **class).count();
        let mut counts = std::collections::BTreeMap::new();
        read.iter().for_each(|class| *counts.entry(class).or_insert(0.0) += 1.0 / read.len() as f64);
        let entropy = counts.values().map(|p: &f64| -p * p.ln()).sum();
        Self { conditioned: classes.iter().filter(|class| **class >= 0).count(), right, entropy }
    }

    /// The share of the samples with a class that were read right, and its standard error, in percent.
    pub fn percent(&self) -> [f64; 2] {
        let (n, p) = (self.conditioned as f64, self.right as f64 / self.conditioned as f64);
        [100.0 * p, 100.0 * (p * (1.0 - p) / n).sqrt()]
    }
}

#[allow(dead_code)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, data, folders @ ..] = &arguments[..] else {
        return Err(
            "give the file of the classifier's weights, the folder of MNIST (or `digits`), and folders of samples"
                .into(),
        );
    };
    let source: Box<dyn Source> = match data.as_str() {
        "digits" => Box::new(Digits::default()),
        path => Box::new(Idx { path: Some(path.into()), ..Idx::default() }),
    };
    let real = source.load(Split::Test)?;
    let (shape, rng, device) = (real.shape(), Rng::new(0), Device::flex());
    let mut net = Classifier::new(shape, real.classes.len(), &rng.stream("weights"), &device);
    let file = Path::new(weights);
    if file.exists() {
        net = Checkpoint::load_weights(file, &Parameters::of(&net), &device)?.into_module(net);
    } else {
        let images = source.load(Split::Train)?;
        // As many steps for the few small digits as make sense; a few minutes for MNIST.
        net = net.train(&images, if images.len() > 10_000 { 5 } else { 60 }, &rng);
        let weights = Parameters::of(&net);
        let moments = Moments::new(&weights);
        Checkpoint { step: 0, seed: 0, weights, average: None, moments, losses: vec![], loss_scale: None }
            .save_weights(file, &[])?;
    }
    let all: Vec<usize> = (0..real.len()).collect();
    let labels: Vec<i64> = real.labels.iter().flatten().map(|&label| i64::from(label)).collect();
    report("real, held out", &Reading::new(&net.read(&real.to_unit(&all, None), shape), &labels));
    for folder in folders {
        let samples = npy::load::<f32>(Path::new(folder).join("samples.npy"))?;
        let classes = npy::load::<i64>(Path::new(folder).join("classes.npy"))?;
        if samples.shape[1..] != shape {
            return Err(format!("{folder}: samples of shape {:?}, where digits have {shape:?}", samples.shape).into());
        }
        // The tool writes levels: of pixels 0 to 255, of the built-in digits 0 to 16.
        let values: Vec<f32> = samples.data.iter().map(|level| real.value(level.round() as u8)).collect();
        report(folder, &Reading::new(&net.read(&values, shape), &classes.data));
    }
    Ok(())
}

fn report(name: &str, reading: &Reading) {
    let Reading { conditioned, right, entropy } = reading;
    let [percent, error] = reading.percent();
    println!(
        "{name}: {right} of {conditioned} read right, {percent:.2} ± {error:.2} %; entropy of classes {entropy:.3}"
    );
}

//! The memory that a command will need, estimated before it is taken.
//!
//! ```text
//! training   base + 4 B · (parameters · copies + live rows · (activations + what losses need))
//! sampling   base + 4 B · (parameters · 2 + batch · activations + n · values · frames · 3)
//! ```
//!
//! Copies are weights, a gradient per thread, the moments, the average and a checkpoint as it is written. The estimates
//! are within a factor of two of what the system counts; that of a network comes from
//! [`NetConfig::footprint`](crate::NetConfig::footprint).
use crate::{
    messages::grouped,
    recipe::{
        Part, Recipe,
        memory::{Field, available, bytes},
        plan::Plan,
    },
};
use tweedie::{Result, net::Footprint};

/// What the tool itself takes.
const BASE: f64 = 25e6;

/// What a model needs, per row of a batch, in numbers of 4 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    net: Footprint,
    /// The numbers of one x, of one sample of data, and of one output of the network.
    x: f64,
    data: f64,
    output: f64,
    /// The bytes of a sample in the picture of all.
    picture: f64,
}
impl Default for Needs {
    /// Those of an exact denoiser of points in the plane.
    fn default() -> Self {
        Self {
            net: Footprint { inference: 100.0, ..Footprint::default() },
            x: 4.0,
            data: 4.0,
            output: 4.0,
            picture: 0.0,
        }
    }
}
impl Needs {
    pub fn of<const D: usize>(plan: &Plan<D>) -> Self {
        let size = |shape: &[usize]| shape.iter().map(|n| *n as f64).product::<f64>();
        let x = size(&plan.x.shape);
        let output = match plan.noise.categories() {
            Some(categories) => x * categories.k as f64,
            None => x * plan.noise.outputs() as f64,
        };
        let net = plan.net.footprint(&plan.x, &*plan.noise).unwrap_or_default();
        let image = plan.facts.categories.as_ref().and_then(|categories| categories.image());
        let picture = match (image, &*plan.facts.shape) {
            (Some([_, height, width]), _) | (None, &[_, height, width]) => picture(height, width),
            // The picture of signals and of volumes is of a few of them.
            (None, _) if plan.facts.signal || plan.facts.shape.len() == 4 => 0.0,
            // The marks of a scatter plot, or a line of text.
            _ => 100.0 + size(&plan.facts.shape),
        };
        Self { net, x, data: size(&plan.facts.shape), output, picture }
    }

    /// The same for samples of another shape, as long ones that are sampled block by block.
    pub fn with_shape(self, shape: &[usize]) -> Self {
        let size = shape.iter().map(|n| *n as f64).product();
        Self { x: self.x.max(size), data: size, ..self }
    }

    /// The bytes of training with a batch of `batch`.
    pub fn training<const D: usize>(&self, plan: &Plan<D>, batch: usize) -> f64 {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (accumulate, shards) = (plan.train.accumulate.max(1), plan.train.shards.max(1));
        let part = batch.div_ceil(accumulate);
        let live = (part.div_ceil(shards) * shards.min(threads)).min(part) as f64;
        let average = if plan.train.ema_decay > 0.0 { 2.5 } else { 0.0 };
        let copies = 8.0 + shards.min(threads) as f64 + average;
        // x, x_t, the noise, the target and what the loss makes of them and of the output.
        let losses = 8.0 * self.x + 3.0 * self.output * plan.objective.terms().len() as f64;
        let activations = if plan.train.checkpointing { self.net.checkpointed } else { self.net.training };
        // Row numbers, times and what else there is one of per row of the whole batch.
        let rows = 64.0 * batch as f64;
        BASE + rows + 4.0 * (self.net.parameters * copies + live * (activations + losses))
    }

    /// The bytes of a solver of several stages on `n` rows at once.
    pub fn solving(&self, n: usize) -> f64 {
        BASE + 4.0 * (self.net.parameters * 2.5 + n as f64 * (self.net.inference + 20.0 * self.x + 4.0 * self.output))
    }
    /// The bytes of `n` rows that are kept.
    pub fn keeping(&self, n: usize) -> f64 {
        4.0 * n as f64 * (self.x.max(self.data) + 8.0)
    }

    /// The bytes of sampling `n` samples, `batch` at a time, of which `frames` states are recorded.
    pub fn sampling(&self, n: usize, batch: usize, frames: usize) -> f64 {
        let rows = batch.min(n) as f64;
        let states = 8.0 * self.x + 4.0 * self.output;
        // The frames, the files made of them, and classes.
        let results = n as f64 * (3.0 * self.data * frames as f64 + 4.0);
        let pictures = n as f64 * self.picture;
        BASE + pictures + 4.0 * (self.net.parameters * 2.5 + rows * (self.net.inference + states) + results)
    }
}

/// The bytes of an image in a picture of many: enlarged to 48 pixels or more, with a margin.
fn picture(height: usize, width: usize) -> f64 {
    let zoom = 48_usize.div_ceil(height.min(width).max(1)) as f64;
    3.0 * (height as f64 * zoom + 2.0) * (width as f64 * zoom + 2.0)
}

/// The bytes of data in memory: those of a training part and, if it is evaluated, of a held-out part.
pub(crate) fn of_data<const D: usize>(plan: &Plan<D>) -> f64 {
    let size = plan.facts.shape.iter().product::<usize>() as f64;
    let held_out = if plan.run.evaluate_every > 0 { 1.2 } else { 1.1 };
    let samples = plan.facts.samples as f64 * held_out;
    match &plan.facts.categories {
        // Text as token ids, and once more as it is read; of windows only the text itself.
        Some(categories) => match categories.codec() {
            Some(codec) if !codec.ends => 20.0 * samples,
            Some(_) => 8.0 * samples * size,
            None => samples * size,
        },
        None if plan.facts.shape.len() == 3 => samples * size,
        None => 4.0 * samples * size,
    }
}

/// Checks that a run can be trained, evaluated and sampled in the memory that is free; its data are in memory already.
///
/// # Errors
///
/// If not: the field of the recipe that asks for too much, the number, and the largest value that fits.
pub(crate) fn check_training<const D: usize>(recipe: &Recipe, plan: &Plan<D>, frames: usize) -> Result<()> {
    let free = available()?;
    let needs = Needs::of(plan);
    check_net(recipe, plan, &needs, free)?;
    let train = |batch| needs.training(plan, batch);
    let remedy = match plan.facts.categories.as_ref().and_then(|categories| categories.codec()) {
        Some(codec) if codec.ends && recipe.get("data.length").is_none() => format!(
            "; the longest line has {} tokens, to which all samples are padded: `length` and `too_long` of [data] \
             shorten or skip long lines",
            grouped(codec.length.saturating_sub(1))
        ),
        Some(_) => "; `accumulate` divides the batch into parts, and `length` of [data] shortens the samples".into(),
        None => "; `accumulate` divides the batch into parts that are computed one after another".into(),
    };
    Field { path: "train.batch", value: plan.train.batch, bytes: &train, remedy: &remedy }.check(recipe, free)?;
    check_sampling(recipe, plan, &needs, plan.sample.n, frames)
}

/// The parameters alone, whatever the batch.
fn check_net<const D: usize>(recipe: &Recipe, plan: &Plan<D>, needs: &Needs, free: Option<f64>) -> Result<()> {
    let needed = needs.training(plan, 0);
    match free {
        Some(free) if needed > free => {
            let message = format!(
                "a net of {} parameters needs about {} of memory, and {} are free: make it narrower or shallower",
                grouped(needs.net.parameters.min(1e18) as usize),
                bytes(needed),
                bytes(free)
            );
            Err(recipe.fail("net.name", Part::Value, &message))
        }
        _ => Ok(()),
    }
}

/// Checks that `n` samples can be made in the memory that is free.
///
/// # Errors
///
/// If not: `n` or the batch, the number, and the largest value that fits.
pub(crate) fn check_sampling<const D: usize>(
    recipe: &Recipe,
    plan: &Plan<D>,
    needs: &Needs,
    n: usize,
    frames: usize,
) -> Result<()> {
    let free = available()?;
    let batch = plan.sample.batch.min(n);
    // With the smallest batch it is the results that are too large.
    let of_n = |n| needs.sampling(n, 1, frames);
    let remedy = "; sample in several calls with different seeds";
    Field { path: "sample.n", value: n, bytes: &of_n, remedy }.check(recipe, free)?;
    let of_batch = |batch| needs.sampling(n, batch, frames);
    let remedy = "; the batch does not change the samples";
    Field { path: "sample.batch", value: batch, bytes: &of_batch, remedy }.check(recipe, free)
}

/// A line about the memory that training will need at its peak.
pub(crate) fn peak<const D: usize>(plan: &Plan<D>, frames: usize) -> String {
    let needs = Needs::of(plan);
    let training = needs.training(plan, plan.train.batch);
    let sampling = needs.sampling(plan.sample.n, plan.sample.batch, frames);
    format!("about {}", bytes(training.max(sampling) + of_data(plan)))
}

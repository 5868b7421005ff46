//! Times training steps, forward passes and sampling of whole nets on a device: `gpu DEVICE NET PRECISION [SECONDS [SCALE]]` prints JSON lines.
//!
//! The nets are those of `bench/torch_gpu.py`: `unet-32`, `unet-64`, `dit-s2` and `dit-b4`. A training step is that of a recipe: data and
//! noise from the host, loss, gradient, clipping, AdamW and the moving average of the weights, with its numbers read back. SCALE divides
//! widths and batches, to try the program on a device without speed.
use burn::{
    module::Module,
    tensor::{DType, Device, Tensor},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tweedie::{
    Precision, Rng,
    condition::Conditions,
    data::Samples,
    device,
    loss::Simple,
    model::Model,
    net::{DitConfig, Net, UNetConfig},
    noise::{Gaussian, Noise},
    sample::Ddim,
    schedule::Cosine,
    train::Train,
};

/// A net and the size of its work.
struct Work {
    name: String,
    precision: Precision,
    /// `[channels, side, side]`.
    shape: [usize; 3],
    batch: usize,
    device: Device,
    limit: Duration,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, name, precision, ..] = &arguments[..] else {
        return Err("usage: gpu DEVICE unet-32|unet-64|dit-s2|dit-b4 f32|bf16|f16 [SECONDS [SCALE]]".into());
    };
    let number = |i: usize, otherwise: f64| arguments.get(i).map_or(Ok(otherwise), |text| text.parse::<f64>());
    let (seconds, scale) = (number(3, 5.0)?, number(4, 1.0)? as usize);
    let known = Precision::ALL.into_iter().find(|known| known.name() == precision);
    let precision = known.ok_or_else(|| format!("the precision must be f32, bf16 or f16, got `{precision}`"))?;
    let device = device::named(device)?;
    let work = |shape: [usize; 3], batch: usize| Work {
        name: name.clone(),
        precision,
        shape,
        batch: (batch / scale).max(2),
        device: device.clone(),
        limit: Duration::from_secs_f64(seconds),
    };
    let unet = |widths: [usize; 3]| {
        UNetConfig::new(3, widths.map(|width| (width / scale).max(8))).with_attention([2]).with_head_channels(64)
    };
    let dit = |channels: usize, patch: usize, width: usize, heads: usize| {
        DitConfig::new(channels).with_patch(patch).with_width(width / scale).with_depth(12).with_heads(heads)
    };
    let rng = Rng::new(0);
    match &**name {
        "unet-32" => measure(&work([3, 32, 32], 128), unet([64, 128, 128]).init(&rng, &device)?),
        "unet-64" => measure(&work([3, 64, 64], 64), unet([128, 256, 384]).init(&rng, &device)?),
        "dit-s2" => measure(&work([4, 32, 32], 128), dit(4, 2, 384, 6).init(&rng, &device)?),
        "dit-b4" => measure(&work([3, 64, 64], 128), dit(3, 4, 768, 12).init(&rng, &device)?),
        other => Err(format!("there is no net `{other}`").into()),
    }
}

fn measure<N: Net<4, Condition = Conditions> + 'static>(work: &Work, net: N) -> Result<(), Box<dyn std::error::Error>> {
    let Work { name, precision, shape: [channels, side, _], batch, device, limit } = work;
    let parameters = Module::num_params(&net);
    let length = channels * side * side;
    let rows = 2 * batch;
    let numbers = Rng::new(1).normals(rows, length).into_iter().map(|x| x as f32).collect();
    let data = Samples::new(numbers, [rows, *channels, *side, *side]);
    let noise: Arc<dyn Noise<4>> = Arc::new(Gaussian::new(Cosine::new(1000)));
    let settings = Train { steps: u64::MAX, batch: *batch, shards: 1, precision: *precision, ..Train::default() };
    let mut trainer = Model::new(noise, net)?.train(&data, Simple {}, settings)?;
    let print = |mode: &str, batch: usize, first: f64, mut times: Vec<f64>, loss: f64| {
        times.sort_by(f64::total_cmp);
        let memory = device.memory_pool_usage().map_or(0, |usage| usage.bytes_reserved >> 20);
        println!(
            r#"{{"side":"tweedie","net":"{name}","mode":"{mode}","precision":"{}","batch":{batch},"parameters":{parameters},"first_s":{first:.2},"median_ms":{:.3},"least_ms":{:.3},"runs":{},"reserved_mb":{memory},"loss":{loss:.4}}}"#,
            precision.name(),
            times[times.len() / 2] * 1e3,
            times[0] * 1e3,
            times.len(),
        );
    };
    let mut loss = f64::NAN;
    let (first, times) = repeat(*limit, || {
        loss = trainer.next().expect("steps are not limited").map_err(|error| error.to_string())?.loss;
        Ok(())
    })?;
    print("train", *batch, first, times, loss);
    let model = trainer.model().with_precision(*precision);
    drop(trainer);
    let y = Conditions::none();
    for rows in [*batch, 1] {
        let z = Rng::new(2).normal_tensor([rows, *channels, *side, *side], device, DType::F32);
        let t = Tensor::<1>::full([rows], 0.5, (device, DType::F32));
        let mut out = None;
        let (first, times) = repeat(*limit, || {
            out = Some(precision.scope(|| model.net.forward(z.clone(), t.clone(), &y)));
            device.sync().map_err(|error| error.to_string())
        })?;
        let mean = out.expect("it ran").mean().into_scalar::<f32>();
        print("forward", rows, first, times, f64::from(mean));
    }
    // Fifty steps, to be compared with fifty forward passes of one row.
    let (first, times) = repeat(*limit, || {
        let x = model.sample(&Ddim::default(), 50, [1, *channels, *side, *side], &y, &Rng::new(3));
        let x = x.map_err(|error| error.to_string())?;
        loss = f64::from(x.mean().into_scalar::<f32>());
        Ok(())
    })?;
    print("sample", 1, first, times, loss);
    Ok(())
}

/// Seconds of the first call, which tunes, and of those after the third, for some time.
fn repeat(limit: Duration, mut f: impl FnMut() -> Result<(), String>) -> Result<(f64, Vec<f64>), String> {
    let begin = Instant::now();
    f()?;
    let first = begin.elapsed().as_secs_f64();
    (0..2).try_for_each(|_| f())?;
    let (begin, mut times) = (Instant::now(), vec![]);
    while times.len() < 3 || begin.elapsed() < limit && times.len() < 1000 {
        let start = Instant::now();
        f()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok((first, times))
}

//! Times training steps of a flow-matching MLP for points in the plane; the PyTorch counterpart is `bench/mlp.py`.
//!
//! `mlp conditioned|plain [STEPS] [SHARDS]` prints one JSON line. `conditioned` is the library's `Mlp` with three
//! hidden layers of width 256, conditioned on time in every layer; `plain` is a plain MLP with the input `[x, t]`. Both
//! use the library's trainer with batch size 256.
use std::time::Instant;
use tweedie::{
    burn::{
        module::{Module, Param},
        tensor::DType,
    },
    prelude::*,
};
use tweedie_kernels::ops;

/// Plain MLP: `W₄ silu(W₃ silu(W₂ silu(W₁ [x, t])))`.
#[derive(Module, Debug)]
struct Plain {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Plain {
    fn new(device: &Device) -> Self {
        let layers = [[3, 256], [256, 256], [256, 256], [256, 2]].into_iter().enumerate().map(|(i, shape)| Layer {
            weight: Param::from_tensor(
                Rng::new(i as u64).normal_tensor(shape, device, DType::F32) / (shape[0] as f64).sqrt(),
            ),
            bias: Param::from_tensor(Tensor::zeros([shape[1]], (device, DType::F32))),
        });
        Self { layers: layers.collect() }
    }
}

impl Net<2> for Plain {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, _: &Conditions) -> Tensor<2> {
        let mut x = Tensor::cat(vec![z, t.unsqueeze_dim(1)], 1);
        for (i, layer) in self.layers.iter().enumerate() {
            x = if i > 0 { ops::silu(x) } else { x };
            x = ops::linear(x, layer.weight.val(), Some(layer.bias.val()));
        }
        x
    }
}

/// Returns the processor time of all threads so far in seconds, from `/proc`.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e9
}

fn run(name: &str, net: impl Net<2, Condition = Conditions>, steps: usize, shards: usize) {
    let parameters = Module::num_params(&net);
    let values = Rng::new(1).normal_tensor::<2>([10_000, 2], &Device::flex(), DType::F32).into_data();
    let data = Samples::new(values.try_to_vec().expect("the values are in single precision"), [10_000, 2]);
    let model = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net)
        .expect("the noise is valid");
    let settings = Train { steps: steps as u64 + 20, batch: 256, shards, ..Train::default() };
    let mut trainer = model.train(&data, Simple {}, settings).expect("the model, the data and the settings match");
    let (mut times, mut before, mut loss) = (vec![], 0.0, 0.0);
    for i in 0..steps + 20 {
        if i == 20 {
            before = processor_seconds();
        }
        let start = Instant::now();
        loss = trainer.next().expect("there are steps left").expect("the loss is finite").loss;
        times.push(start.elapsed().as_secs_f64());
    }
    let cpu = (processor_seconds() - before) / steps as f64;
    let mut times = times.split_off(20);
    times.sort_by(f64::total_cmp);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    println!(
        r#"{{"model":"mlp {name}","mode":"train","median":{:.6},"min":{:.6},"cpu":{cpu:.6},"params":{parameters},"rss_mb":{},"loss":{loss}}}"#,
        times[times.len() / 2],
        times[0],
        peak.unwrap_or(0) / 1024
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "conditioned".into());
    let mut number =
        |default| args.next().map_or(default, |n: String| n.parse().expect("STEPS and SHARDS must be numbers"));
    let (steps, shards) = (number(300), number(2));
    let device = Device::flex();
    match &*name {
        "conditioned" => run("conditioned", MlpConfig::new(2).init(&Rng::new(0), &device).unwrap(), steps, shards),
        "plain" => run("plain", Plain::new(&device), steps, shards),
        _ => panic!("the net must be conditioned or plain, got {name}"),
    }
}

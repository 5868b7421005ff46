//! Times the training step or the forward pass of a UNet; the PyTorch counterpart is `bench/unet.py`.
//!
//! `cargo run --release -p tweedie-bench --bin unet -- digits|mnist|large [train|infer] [STEPS]` prints one JSON line.
use std::time::Instant;
use tweedie::{
    burn::{module::Module, tensor::DType},
    prelude::*,
};

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "digits".into());
    let mode = args.next().unwrap_or_else(|| "train".into());
    let steps: usize = args.next().map_or(10, |n| n.parse().expect("STEPS must be a number"));
    let (size, channels, batch, attention, blocks, classes) = match &*name {
        "digits" => (8, vec![32, 64], 64, vec![], 1, 10),
        "mnist" => (28, vec![32, 64, 64], 64, vec![], 1, 10),
        "large" => (32, vec![64, 128, 128], 32, vec![2], 2, 0),
        _ => panic!("the net must be digits, mnist or large, got {name}"),
    };
    let device = Device::flex();
    let net = UNetConfig::new(1, channels)
        .with_attention(attention)
        .with_blocks(blocks)
        .with_num_classes(classes)
        .init(&Rng::new(0), &device)
        .unwrap();
    let parameters = net.num_params();
    let shape = [batch, 1, size, size];
    let x = Rng::new(1).normal_tensor::<4>(shape, &device, DType::F32);
    let model = Model::new(Gaussian::new(Cosine::new(1000)), net).expect("the parts fit");
    let mut times = Vec::new();
    if mode == "train" {
        let values = x.try_into_vec_as::<f32>().expect("a tensor can be read back");
        let data = Samples::new(values, shape);
        let settings = Train { steps: steps as u64 + 2, batch, ema_decay: 0.0, ..Train::default() };
        let mut trainer = model.train(&data, Simple {}, settings).expect("the model, the data and the settings match");
        loop {
            let start = Instant::now();
            match trainer.next() {
                Some(step) => step.expect("the loss is finite"),
                None => break,
            };
            times.push(start.elapsed());
        }
    } else {
        let given = model.conditioned(&Conditions::none());
        for _ in 0..steps + 2 {
            let start = Instant::now();
            let _ = given.denoise(x.clone(), &[0.5]).mean.mean().into_scalar::<f32>();
            times.push(start.elapsed());
        }
    }
    let mut rest = times.split_off(2);
    rest.sort();
    let ms = rest[rest.len() / 2].as_secs_f64() * 1e3;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).and_then(|line| line.split_whitespace().nth(1));
    let peak = peak.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024;
    println!(
        "{{\"work\": \"unet {name} {mode}\", \"tweedie_ms\": {ms:.2}, \"parameters\": {parameters}, \"peak_mb\": {peak}}}"
    );
}

//! Times the forward pass or the training step of a whole net: `nets unet|dit train|forward [RUNS]` prints one JSON
//! line.
//!
//! The nets have the same layers as their PyTorch counterparts in `bench/torch_nets.py`.
use burn::tensor::{
    DType, Device, Tensor, TensorData,
    module::interpolate,
    ops::{InterpolateMode, InterpolateOptions},
};
use std::time::Instant;
use tweedie_kernels::{AdamW, fill_normals, ops};

const BATCH: usize = 32;

/// Parameters in the order in which the net uses them, initialized in the first pass.
struct Parameters {
    device: Device,
    values: Vec<Tensor<1>>,
    /// The same parameters, tracked by autodiff, for one pass.
    tracked: Vec<Tensor<1>>,
    next: usize,
}

impl Parameters {
    /// Returns the next parameter. Its initial standard deviation is 1/√(3 inputs); for `inputs` = 0 it is filled with
    /// ones, for `usize::MAX` with zeros.
    fn take<const D: usize>(&mut self, shape: [usize; D], inputs: usize) -> Tensor<D> {
        if self.next == self.tracked.len() {
            let len = shape.iter().product();
            let mut values = vec![0.0f32; len];
            match inputs {
                0 => values.fill(1.0),
                usize::MAX => (),
                _ => {
                    fill_normals([1, 2], self.next as u32, 0, 1, len, &mut values);
                    values.iter_mut().for_each(|v| *v *= (3.0 * inputs as f32).sqrt().recip());
                }
            }
            let value = Tensor::from_data(TensorData::new(values, [len]), (&Device::flex(), DType::F32));
            self.tracked.push(Tensor::from_inner(value.clone()).to_device(&self.device));
            self.values.push(value);
        }
        self.next += 1;
        self.tracked[self.next - 1].clone().reshape(shape)
    }

    fn linear<const D: usize>(&mut self, x: Tensor<D>, out: usize) -> Tensor<D> {
        let inputs = x.dims()[D - 1];
        let (w, b) = (self.take([inputs, out], inputs), self.take([out], inputs));
        ops::linear(x, w, Some(b))
    }

    fn conv(&mut self, x: Tensor<4>, out: usize, side: usize, stride: usize, padding: usize) -> Tensor<4> {
        let inputs = x.dims()[1];
        let sum = inputs * side * side;
        let (w, b) = (self.take([out, inputs, side, side], sum), self.take([out], sum));
        ops::conv2d(x, w, Some(b), [stride; 2], [padding; 2])
    }

    fn norm(&mut self, x: Tensor<4>, silu: bool) -> Tensor<4> {
        let c = x.dims()[1];
        let (gain, offset) = (self.take([1, c], 0), self.take([1, c], usize::MAX));
        if silu { ops::group_norm_silu(x, gain, offset, 8, 1e-5) } else { ops::group_norm(x, gain, offset, 8, 1e-5) }
    }

    fn residual(&mut self, x: Tensor<4>, cond: &Tensor<2>, out: usize) -> Tensor<4> {
        let inputs = x.dims()[1];
        let h = self.norm(x.clone(), true);
        let (w, b) = (self.take([out, inputs, 3, 3], 9 * inputs), self.take([1, out], 9 * inputs));
        let t = self.linear(cond.clone(), out);
        let h = ops::conv2d_modulated(h, w, t + b, [1, 1], [1, 1]);
        let h = self.norm(h, true);
        let h = self.conv(h, out, 3, 1, 1);
        let x = if inputs == out { x } else { self.conv(x, out, 1, 1, 0) };
        h + x
    }

    fn attention(&mut self, x: Tensor<4>) -> Tensor<4> {
        let c = x.dims()[1];
        let y = self.norm(x.clone(), false);
        let y = self.conv(y, 3 * c, 1, 1, 0);
        x + self.conv(ops::attention_pixels(y, 1), c, 1, 1, 0)
    }

    fn unet(&mut self, x: Tensor<4>, t: Tensor<1>) -> Tensor<4> {
        self.next = 0;
        let (base, mults, blocks) = (64, [1, 2, 2], 2);
        let cond = self.linear(time_features(t, base), 4 * base);
        let cond = self.linear(ops::silu(cond), 4 * base);
        let cond = ops::silu(cond);
        let mut h = self.conv(x, base, 3, 1, 1);
        let mut skips = vec![h.clone()];
        for (level, mult) in mults.into_iter().enumerate() {
            for _ in 0..blocks {
                h = self.residual(h, &cond, base * mult);
                if level == 2 {
                    h = self.attention(h);
                }
                skips.push(h.clone());
            }
            if level < 2 {
                h = self.conv(h, base * mult, 3, 2, 1);
                skips.push(h.clone());
            }
        }
        h = self.residual(h, &cond, base * 2);
        h = self.attention(h);
        h = self.residual(h, &cond, base * 2);
        for (level, mult) in mults.into_iter().enumerate().rev() {
            for _ in 0..=blocks {
                let skip = skips.pop().expect("there is one skip connection per block");
                h = self.residual(Tensor::cat(vec![h, skip], 1), &cond, base * mult);
                if level == 2 {
                    h = self.attention(h);
                }
            }
            if level > 0 {
                let [_, c, height, width] = h.dims();
                let twice = [2 * height, 2 * width];
                let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(twice);
                h = self.conv(interpolate(h, options), c, 3, 1, 1);
            }
        }
        let h = self.norm(h, true);
        self.conv(h, 1, 3, 1, 1)
    }

    /// Layer normalization without learned parameters, then `(1 + scale) x + shift`.
    fn modulate(&mut self, x: Tensor<3>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<3> {
        ops::layer_norm(x, scale + 1.0, shift, 1e-6)
    }

    fn dit(&mut self, x: Tensor<4>, t: Tensor<1>) -> Tensor<4> {
        self.next = 0;
        let (patch, wide, depth, heads) = (4, 256, 6, 4);
        let [batch, c, size, _] = x.dims();
        let side = size / patch;
        let h = self.conv(x, wide, patch, patch, 0).reshape([batch, wide, side * side]).swap_dims(1, 2);
        let mut h = h + self.take([1, side * side, wide], 800);
        let cond = self.linear(time_features(t, 256), wide);
        let cond = self.linear(ops::silu(cond), wide);
        let cond = ops::silu(cond);
        for _ in 0..depth {
            let parts = self.linear(cond.clone(), 6 * wide).chunk(6, 1);
            let [shift, scale, gate, shift2, scale2, gate2] = parts.try_into().expect("six parts");
            let y = self.modulate(h.clone(), scale, shift);
            let qkv = self.linear(y, 3 * wide);
            let y = self.linear(ops::attention_fused(qkv, heads), wide);
            h = h + y * gate.unsqueeze_dim(1);
            let y = self.modulate(h.clone(), scale2, shift2);
            let y = ops::gelu_tanh(self.linear(y, 4 * wide));
            h = h + self.linear(y, wide) * gate2.unsqueeze_dim(1);
        }
        let [shift, scale] = self.linear(cond, 2 * wide).chunk(2, 1).try_into().expect("two parts");
        let h = self.modulate(h, scale, shift);
        let h = self.linear(h, patch * patch * c);
        h.reshape([batch, side, side, patch, patch, c]).permute([0, 5, 1, 3, 2, 4]).reshape([batch, c, size, size])
    }
}

/// Returns sinusoidal features of the time.
fn time_features(t: Tensor<1>, features: usize) -> Tensor<2> {
    let half = features / 2;
    let rates: Vec<f32> = (0..half).map(|i| 1e4f32.powf(-(i as f32) / half as f32)).collect();
    let rates = Tensor::<2>::from_data(TensorData::new(rates, [1, half]), (&t.device(), DType::F32));
    let angle = t.unsqueeze_dim(1) * rates;
    Tensor::cat(vec![angle.clone().sin(), angle.cos()], 1)
}

fn normals(shape: [usize; 4], draw: u32, device: &Device) -> Tensor<4> {
    let mut values = vec![0.0; shape.iter().product()];
    fill_normals([7, 7], draw, 0, shape[0], shape[1..].iter().product(), &mut values);
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Returns the processor time of all threads so far in seconds, from `/proc`: nearly independent of other processes.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (net, mode) = (arguments[1].as_str(), arguments[2].as_str());
    let runs: usize = arguments.get(3).map_or(7, |n| n.parse().expect("RUNS must be a number"));
    let device = if mode == "train" { Device::flex().autodiff() } else { Device::flex() };
    let mut parameters = Parameters { device: device.clone(), values: vec![], tracked: vec![], next: 0 };
    let (x, eps) = (normals([BATCH, 1, 32, 32], 0, &device), normals([BATCH, 1, 32, 32], 1, &device));
    let t: Vec<f32> = (0..BATCH).map(|i| 1000.0 * i as f32 / BATCH as f32).collect();
    let t = Tensor::<1>::from_data(TensorData::new(t, [BATCH]), (&device, DType::F32));
    let forward = |p: &mut Parameters| match net {
        "unet" => p.unet(x.clone(), t.clone()),
        "dit" => p.dit(x.clone(), t.clone()),
        _ => panic!("the net must be unet or dit, got {net}"),
    };
    let rule = AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, gradient_scale: 1.0 };
    let mut moments: Vec<[Tensor<1>; 2]> = vec![];
    let (mut times, mut before) = (vec![], 0.0);
    let mut loss = 0.0;
    forward(&mut parameters);
    for step in 1..=runs as u64 + 2 {
        if step == 3 {
            before = processor_seconds();
        }
        let start = Instant::now();
        if mode == "train" {
            parameters.tracked =
                parameters.values.iter().map(|v| Tensor::from_inner(v.clone()).require_grad()).collect();
            let error = forward(&mut parameters) - eps.clone();
            let mean = error.square().mean();
            let gradients = mean.backward();
            if moments.is_empty() {
                moments = parameters.values.iter().map(|v| [v.zeros_like(), v.zeros_like()]).collect();
            }
            let tracked = std::mem::take(&mut parameters.tracked);
            let gradients: Vec<_> = tracked.iter().map(|v| v.grad(&gradients).expect("a gradient")).collect();
            drop(tracked);
            let values = std::mem::take(&mut parameters.values).into_iter().zip(std::mem::take(&mut moments));
            for ((value, [m, v]), gradient) in values.zip(gradients) {
                let ([value, m, v], _) = ops::adamw(&rule, step, [value, m, v], gradient, None);
                parameters.values.push(value);
                moments.push([m, v]);
            }
            loss = mean.into_scalar::<f32>();
        } else {
            loss = forward(&mut parameters).mean().into_scalar::<f32>();
        }
        times.push(start.elapsed().as_secs_f64());
    }
    let cpu = (processor_seconds() - before) / runs as f64;
    let mut times = times.split_off(2);
    times.sort_by(f64::total_cmp);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    let count: usize = parameters.values.iter().map(|v| v.dims()[0]).sum();
    println!(
        r#"{{"model":"{net}","mode":"{mode}","median":{:.5},"min":{:.5},"cpu":{cpu:.5},"params":{count},"rss_mb":{},"loss":{loss}}}"#,
        times[times.len() / 2],
        times[0],
        peak.unwrap_or(0) / 1024
    );
}

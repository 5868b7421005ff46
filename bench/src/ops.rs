//! Times single operations and prints a JSON line for each: `ops [part of a name]`.
use std::time::Instant;
use tweedie_kernels::{
    Activation, Attention, Conv2d, Gradients, GroupNorm, LayerNorm, Matrix, fill_normals, matmul, softmax,
};

struct Bench {
    filter: String,
}

impl Bench {
    fn time(&self, name: &str, runs: usize, mut f: impl FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        f();
        f();
        let before = processor_ms();
        let mut times: Vec<f64> = (0..runs)
            .map(|_| {
                let start = Instant::now();
                f();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let cpu = (processor_ms() - before) / runs as f64;
        times.sort_by(f64::total_cmp);
        println!(r#"{{"op":"{name}","ms":{:.4},"min":{:.4},"cpu":{cpu:.4}}}"#, times[times.len() / 2], times[0]);
    }
}

/// Processor time of all threads so far, where `/proc` tells: hardly disturbed by other processes.
fn processor_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e6
}

/// Numbers spread over (−2, 2).
fn numbers(len: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 22) as f32 - 2.0
        })
        .collect()
}

fn main() {
    let bench = Bench { filter: std::env::args().nth(1).unwrap_or_default() };
    for (ci, co, h) in [(64, 64, 32), (128, 128, 16), (128, 64, 32), (128, 128, 8), (256, 128, 16)] {
        let conv = Conv2d::new([32, ci, h, h], [co, ci, 3, 3], [1, 1], [1, 1]);
        let (x, w, b, g) = (numbers(32 * ci * h * h), numbers(co * ci * 9), numbers(co), numbers(32 * co * h * h));
        let (mut y, mut dx, mut dw) = (g.clone(), x.clone(), w.clone());
        let name = format!("conv3x3_{ci}_{co}_{h}");
        bench.time(&format!("{name}_fwd"), 15, || conv.forward(&x, &w, Some(&b), &mut y));
        bench.time(&format!("{name}_bwd_w"), 15, || conv.weight_gradient(&x, &g, &mut dw));
        bench.time(&format!("{name}_bwd_x"), 15, || conv.input_gradient(&g, &w, &mut dx));
    }
    for (ci, co, h, k, s) in [(128, 64, 32, 1, 1), (64, 64, 32, 3, 2), (1, 64, 32, 3, 1), (64, 1, 32, 3, 1)] {
        let conv = Conv2d::new([32, ci, h, h], [co, ci, k, k], [s, s], [k / 2, k / 2]);
        let o = conv.output_size()[0];
        let (x, w, g) = (numbers(32 * ci * h * h), numbers(co * ci * k * k), numbers(32 * co * o * o));
        let (mut y, mut dx, mut dw) = (g.clone(), x.clone(), w.clone());
        let name = if s == 1 { format!("conv{k}x{k}_{ci}_{co}_{h}") } else { format!("conv{k}x{k}s{s}_{ci}_{co}_{h}") };
        bench.time(&format!("{name}_fwd"), 15, || conv.forward(&x, &w, None, &mut y));
        bench.time(&format!("{name}_bwd_w"), 15, || conv.weight_gradient(&x, &g, &mut dw));
        bench.time(&format!("{name}_bwd_x"), 15, || conv.input_gradient(&g, &w, &mut dx));
    }
    let (a, b) = (numbers(2048 * 256), numbers(256 * 1024));
    let mut c = vec![0.0; 2048 * 1024];
    bench.time("matmul_2048_256_1024", 15, || {
        matmul(Matrix::new(&a, 2048, 256), Matrix::new(&b, 256, 1024), None, &mut c)
    });
    bench.time("matmul_2048_256_1024_bT", 15, || {
        matmul(Matrix::new(&a, 2048, 256), Matrix::new(&b, 1024, 256).transposed(), None, &mut c)
    });
    bench.time("matmul_aT", 15, || {
        matmul(Matrix::new(&a, 256, 2048).transposed(), Matrix::new(&b, 256, 1024), None, &mut c)
    });
    let x = numbers(32 * 64 * 32 * 32);
    let (g, mut y) = (numbers(x.len()), x.clone());
    for (name, f) in [("silu", Activation::Silu), ("gelu_tanh", Activation::GeluTanh), ("gelu", Activation::Gelu)] {
        bench.time(&format!("{name}_2M_fwd"), 25, || f.forward(&x, &mut y));
        bench.time(&format!("{name}_2M_bwd"), 25, || f.backward(&x, &g, &mut y));
    }
    for (name, f) in [("silu", Activation::Silu), ("gelu_tanh", Activation::GeluTanh)] {
        bench.time(&format!("{name}_2M_fwdbwd"), 15, || {
            f.forward(&x, &mut y);
            f.backward(&x, &g, &mut y);
        });
    }
    let mut z = vec![0.0; 4 << 20];
    bench.time("randn_4M", 15, || fill_normals([1, 2], 0, 0, 32, 1 << 17, &mut z));
    let (s, mut p) = (numbers(128 * 256 * 256), vec![0.0; 128 * 256 * 256]);
    bench.time("softmax_128x256x256", 15, || softmax(&s, 256, &mut p));
    let norm = GroupNorm { batch: 32, channels: 64, pixels: 1024, groups: 8, epsilon: 1e-5, silu: false };
    let (gain, offset) = (vec![1.0; 64], vec![0.0; 64]);
    let (mut stats, mut dx, mut dg, mut db) = (vec![0.0; 512], x.clone(), vec![0.0; 64], vec![0.0; 64]);
    bench.time("groupnorm_32x64x32x32_fwd", 25, || norm.forward(&x, &gain, &offset, &mut y, &mut stats));
    bench.time("groupnorm_32x64x32x32_fwdbwd", 15, || {
        norm.forward(&x, &gain, &offset, &mut y, &mut stats);
        norm.backward(&x, &gain, &offset, &stats, &g, &mut dx, &mut dg, &mut db);
    });
    let norm = GroupNorm { silu: true, ..norm };
    bench.time("groupnorm_silu_32x64x32x32_fwdbwd", 15, || {
        norm.forward(&x, &gain, &offset, &mut y, &mut stats);
        norm.backward(&x, &gain, &offset, &stats, &g, &mut dx, &mut dg, &mut db);
    });
    let norm = LayerNorm { samples: 128, tokens: 64, width: 256, epsilon: 1e-5, root_mean_square: false };
    let (gain, offset) = (vec![1.0; 256], vec![0.0; 256]);
    let (mut stats, mut dg, mut db) = (vec![0.0; 8192 * 2], vec![0.0; 256], vec![0.0; 256]);
    bench.time("layernorm_8192x256_fwd", 25, || norm.forward(&x, &gain, &offset, &mut y, &mut stats));
    bench.time("layernorm_8192x256_fwdbwd", 15, || {
        norm.forward(&x, &gain, &offset, &mut y, &mut stats);
        norm.backward(&x, &gain, &stats, &g, &mut dx, &mut dg, &mut db);
    });
    let shape = Attention::contiguous([32, 4, 64, 64], 64, 64);
    let (q, mut out, mut stats) = (numbers(32 * 4 * 64 * 64), numbers(32 * 4 * 64 * 64), vec![0.0; 32 * 4 * 64 * 2]);
    bench.time("sdpa_32x4x64x64", 25, || shape.forward(&q, &q, &q, &mut out, &mut stats));
    let (mut dq, mut dk, mut dv) = (q.clone(), q.clone(), q.clone());
    bench.time("sdpa_32x4x64x64_bwd", 15, || {
        let gradients = Gradients::Apart(&mut dq, &mut dk, &mut dv);
        shape.backward(&q, &q, &q, &out, &stats, &q, gradients);
    });
}

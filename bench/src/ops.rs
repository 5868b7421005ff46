//! Times single operations: `ops [FILTER]` prints one JSON line per operation whose name contains FILTER.
//!
//! The PyTorch counterpart is `bench/torch_ops.py`. Operations that a net calls are timed on tensors, including the
//! allocation of the result and, if the name ends in `fwdbwd`, burn's autodiff: `(f(x) · g).sum().backward()`. For
//! gradients of convolutions and products with a transposed factor the kernel is called directly, including the
//! allocation of the result.
mod timing;

use burn::tensor::{DType, Device, Tensor, TensorData};
use timing::time;
use tweedie_kernels::{
    Attention, AttentionGradients, Conv2d, Matrix, fill_normals, keep_memory, matmul, ops, unwritten,
};

/// Times the forward pass, and forward and backward pass together, of a function of `x` and `others`.
fn both<const D: usize>(
    name: &str,
    x: [usize; D],
    others: [[usize; 2]; 2],
    f: impl Fn(Tensor<D>, [Tensor<2>; 2]) -> Tensor<D>,
) {
    let device = Device::flex();
    let (v, w) = (tensor(x, 1, &device), others.map(|shape| tensor(shape, 2, &device)));
    time(&format!("{name}_fwd"), 25, || f(v.clone(), w.clone()));
    let device = device.autodiff();
    let g = tensor(x, 3, &device);
    let (v, w) = (tensor(x, 1, &device).require_grad(), others.map(|shape| tensor(shape, 2, &device).require_grad()));
    time(&format!("{name}_fwdbwd"), 15, || (f(v.clone(), w.clone()) * g.clone()).sum().backward());
}

/// Returns keyed standard normals.
fn normals(len: usize, seed: u32) -> Vec<f32> {
    let mut out = vec![0.0; len];
    fill_normals([seed, 0], 0, 0, 1, len, &mut out);
    out
}

fn tensor<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let values = normals(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

fn main() {
    keep_memory();
    let device = Device::flex();
    for (ci, co, h, k, s) in [
        (64, 64, 32, 3, 1),
        (128, 128, 16, 3, 1),
        (128, 64, 32, 3, 1),
        (128, 128, 8, 3, 1),
        (256, 128, 16, 3, 1),
        (128, 64, 32, 1, 1),
        (64, 64, 32, 3, 2),
        (1, 64, 32, 3, 1),
        (64, 1, 32, 3, 1),
    ] {
        let conv = Conv2d::new([32, ci, h, h], [co, ci, k, k], [s, s], [k / 2, k / 2]);
        let o = conv.output_size()[0];
        let (x, w) = (tensor([32, ci, h, h], 1, &device), tensor([co, ci, k, k], 2, &device));
        let b = (k == 3).then(|| tensor([co], 3, &device));
        let name = if s == 1 { format!("conv{k}x{k}_{ci}_{co}_{h}") } else { format!("conv{k}x{k}s{s}_{ci}_{co}_{h}") };
        time(&format!("{name}_fwd"), 15, || ops::conv2d(x.clone(), w.clone(), b.clone(), [s, s], [k / 2, k / 2]));
        let (x, w, g) = (normals(32 * ci * h * h, 1), normals(co * ci * k * k, 2), normals(32 * co * o * o, 3));
        time(&format!("{name}_bwd_w"), 15, || {
            let mut dw = unwritten(w.len());
            conv.weight_gradient(&x, &g, &mut dw);
            dw
        });
        time(&format!("{name}_bwd_x"), 15, || {
            let mut dx = unwritten(x.len());
            conv.input_gradient(&g, &w, &mut dx);
            dx
        });
    }
    let (a, b) = (tensor([2048, 256], 1, &device), tensor([256, 1024], 2, &device));
    time("matmul_2048_256_1024", 15, || ops::linear(a.clone(), b.clone(), None));
    let (a, b) = (normals(2048 * 256, 1), normals(256 * 1024, 2));
    time("matmul_2048_256_1024_bT", 15, || {
        let mut c = unwritten(2048 * 1024);
        matmul(Matrix::new(&a, 2048, 256), Matrix::new(&b, 1024, 256).transposed(), None, &mut c);
        c
    });
    time("matmul_aT", 15, || {
        let mut c = unwritten(2048 * 1024);
        matmul(Matrix::new(&a, 256, 2048).transposed(), Matrix::new(&b, 256, 1024), None, &mut c);
        c
    });
    let (image, one) = ([32, 64, 32, 32], [[1, 1]; 2]);
    both("silu_2M", image, one, |x, _| ops::silu(x));
    both("gelu_tanh_2M", image, one, |x, _| ops::gelu_tanh(x));
    both("gelu_2M", image, one, |x, _| ops::gelu(x));
    both("groupnorm_32x64x32x32", image, [[1, 64]; 2], |x, [w, b]| ops::group_norm(x, w, b, 8, 1e-5));
    both("groupnorm_silu_32x64x32x32", image, [[1, 64]; 2], |x, [w, b]| ops::group_norm_silu(x, w, b, 8, 1e-5));
    both("layernorm_8192x256", [8192, 256], [[1, 256]; 2], |x, [w, b]| ops::layer_norm(x, w, b, 1e-5));
    let s = tensor([128, 256, 256], 1, &device);
    time("softmax_128x256x256", 15, || ops::softmax(s.clone()));
    let q = tensor([32, 4, 64, 64], 1, &device);
    time("sdpa_32x4x64x64", 25, || ops::attention(q.clone(), q.clone(), q.clone()));
    let shape = Attention::contiguous([32, 4, 64, 64], 64, 64);
    let (q, mut out, mut stats) =
        (normals(32 * 4 * 64 * 64, 1), normals(32 * 4 * 64 * 64, 2), vec![0.0; 32 * 4 * 64 * 2]);
    shape.forward(&q, &q, &q, &mut out, &mut stats);
    time("sdpa_32x4x64x64_bwd", 15, || {
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| unwritten(q.len()));
        shape.backward(&q, &q, &q, &out, &stats, &q, AttentionGradients::Separate(&mut dq, &mut dk, &mut dv));
        [dq, dk, dv]
    });
    time("randn_4M", 15, || {
        let mut z = unwritten(4 << 20);
        fill_normals([1, 2], 0, 0, 32, 1 << 17, &mut z);
        z
    });
}

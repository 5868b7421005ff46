//! Values and gradients of the operations on burn's tensors, compared with burn's own operations in double precision.
#![cfg(feature = "burn")]
#[path = "support/rank.rs"]
mod rank;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rank::{flat, four};
use tweedie_kernels::ops;

fn random_values(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
    };
    // Rounded to single precision, so that both precisions start from the same values.
    (0..len).map(|_| f64::from((2.5 * (next() + next())) as f32)).collect()
}

/// Tensor of rank 4 whose last dimensions are `shape`.
fn tensor(shape: &[usize], seed: u64, dtype: DType, device: &Device) -> Tensor<4> {
    let mut padded = [1; 4];
    padded[4 - shape.len()..].copy_from_slice(shape);
    let data = TensorData::new(random_values(padded.iter().product(), seed), padded);
    Tensor::from_data(data, (device, dtype))
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_to_vec().expect("the data are doubles")
}

fn close(name: &str, a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "{name}");
    let size = b.iter().fold(1e-6, |m: f64, x| m.max(x.abs()));
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / size;
    assert!(off < 1e-5, "{name} differs by {off}");
}

/// Result, and gradients of `Σ c y` with respect to all inputs.
fn run(f: &dyn Fn(Vec<Tensor<4>>) -> Tensor<4>, shapes: &[&[usize]], dtype: DType) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let inputs: Vec<_> =
        shapes.iter().enumerate().map(|(i, s)| tensor(s, i as u64 + 1, dtype, &device).require_grad()).collect();
    let y = f(inputs.clone());
    let c = tensor(&y.dims(), 99, dtype, &device);
    let gradients = (y.clone() * c).sum().backward();
    let mut all = vec![values(y)];
    all.extend(inputs.iter().map(|x| values(x.grad(&gradients).expect("every input has a gradient"))));
    all
}

fn check(name: &str, shapes: &[&[usize]], f: impl Fn(Vec<Tensor<4>>) -> Tensor<4>) {
    let (fast, exact) = (run(&f, shapes, DType::F32), run(&f, shapes, DType::F64));
    for (i, (fast, exact)) in fast.iter().zip(&exact).enumerate() {
        let what = if i == 0 { "result".into() } else { format!("gradient {i}") };
        close(&format!("{name} {shapes:?} {what}"), fast, exact);
    }
    // Without autodiff the result is the same.
    let device = Device::flex();
    let inputs = shapes.iter().enumerate().map(|(i, s)| tensor(s, i as u64 + 1, DType::F32, &device)).collect();
    assert_eq!(values(f(inputs)), fast[0], "{name} without autodiff");
}

#[test]
fn activations_match_burn() {
    for shape in [&[3, 5][..], &[2, 3, 4, 5], &[1]] {
        check("silu", &[shape], |x| ops::silu(x[0].clone()));
        check("gelu", &[shape], |x| ops::gelu(x[0].clone()));
        check("gelu_tanh", &[shape], |x| ops::gelu_tanh(x[0].clone()));
        check("softmax", &[shape], |x| ops::softmax(x[0].clone()));
        check("log_softmax", &[shape], |x| ops::log_softmax(x[0].clone()));
        for excluded in [None, Some(2)].into_iter().filter(|_| shape[shape.len() - 1] > 3) {
            check("cross_entropy", &[shape], |x| {
                let x = x[0].clone();
                let [a, b, c, _] = x.dims();
                let target: Vec<f64> = (0..a * b * c).map(|i| if i % 2 == 0 { 1.0 } else { 3.0 }).collect();
                let target = TensorData::new(target, [a, b, c, 1]);
                ops::cross_entropy(x.clone(), Tensor::from_data(target, (&x.device(), x.dtype())), excluded)
            });
        }
    }
}

#[test]
fn linear_layers_match_burn() {
    for (rows, inputs, outputs) in [(1, 3, 5), (7, 33, 17), (70, 40, 100)] {
        check("linear", &[&[2, rows, inputs], &[inputs, outputs], &[outputs]], |x| {
            four(ops::linear(flat::<3>(&x[0]), flat(&x[1]), Some(flat(&x[2]))))
        });
        check("linear without bias", &[&[rows, inputs], &[inputs, outputs]], |x| {
            four(ops::linear(flat::<2>(&x[0]), flat(&x[1]), None))
        });
    }
}

#[test]
fn convolutions_match_burn() {
    for (batch, ci, co, h, w, side, stride) in
        [(2, 8, 9, 7, 6, 3, 1), (1, 3, 8, 5, 5, 3, 2), (3, 10, 4, 4, 9, 1, 1), (1, 2, 3, 8, 8, 4, 4)]
    {
        let padding = if side == 4 { 0 } else { side / 2 };
        check("conv2d", &[&[batch, ci, h, w], &[co, ci, side, side], &[co]], |x| {
            ops::conv2d(x[0].clone(), x[1].clone(), Some(flat(&x[2])), [stride; 2], [padding; 2])
        });
        check("conv2d_modulated", &[&[batch, ci, h, w], &[co, ci, side, side], &[batch, co]], |x| {
            ops::conv2d_modulated(x[0].clone(), x[1].clone(), flat(&x[2]), [stride; 2], [padding; 2])
        });
        check("conv2d without bias", &[&[batch, ci, h, w], &[co, ci, side, side]], |x| {
            ops::conv2d(x[0].clone(), x[1].clone(), None, [stride; 2], [padding; 2])
        });
    }
}

#[test]
fn norms_match_burn() {
    for rows in [1, 3] {
        check("group_norm", &[&[3, 8, 5, 4], &[rows, 8], &[rows, 8]], |x| {
            ops::group_norm(x[0].clone(), flat(&x[1]), flat(&x[2]), 2, 1e-5)
        });
        check("group_norm_silu", &[&[3, 8, 5, 4], &[rows, 8], &[rows, 8]], |x| {
            ops::group_norm_silu(x[0].clone(), flat(&x[1]), flat(&x[2]), 4, 1e-5)
        });
        check("layer_norm", &[&[3, 5, 20], &[rows, 20], &[rows, 20]], |x| {
            four(ops::layer_norm(flat::<3>(&x[0]), flat(&x[1]), flat(&x[2]), 1e-6))
        });
        check("rms_norm", &[&[3, 5, 20], &[rows, 20], &[rows, 20]], |x| {
            four(ops::rms_norm(flat::<3>(&x[0]), flat(&x[1]), flat(&x[2]), 1e-6))
        });
    }
}

#[test]
fn views_and_constants_are_supported() {
    // A transposed part of a larger tensor, without a copy.
    check("silu of a view", &[&[6, 9]], |x| ops::silu(x[0].clone().swap_dims(2, 3).narrow(2, 2, 4)));
    // A constant that is not tracked by autodiff, together with a tracked tensor.
    let device = Device::flex().autodiff();
    let (x, w) =
        (tensor(&[4, 6], 1, DType::F32, &Device::flex()), tensor(&[6, 5], 2, DType::F32, &device).require_grad());
    let y = ops::linear(flat::<2>(&x), flat(&w), None);
    let gradients = y.sum().backward();
    let dw = values(w.grad(&gradients).expect("w is tracked"));
    let expected: Vec<f64> = (0..30).map(|i| values(x.clone()).iter().skip(i / 5).step_by(6).sum()).collect();
    close("gradient with a constant input", &dw, &expected);
}

#[test]
fn the_gradient_of_a_tensor_used_twice_is_the_sum_of_both() {
    check("silu + gelu", &[&[4, 7]], |x| ops::silu(x[0].clone()) + ops::gelu(x[0].clone()));
}

#[test]
fn attention_matches_burn() {
    check("attention", &[&[2, 3, 5, 8], &[2, 3, 7, 8], &[2, 3, 7, 4]], |x| {
        ops::attention(x[0].clone(), x[1].clone(), x[2].clone())
    });
    check("attention_fused", &[&[2, 9, 24]], |x| four(ops::attention_fused(flat::<3>(&x[0]), 2)));
    check("attention_pixels", &[&[2, 36, 3, 5]], |x| ops::attention_pixels(x[0].clone(), 3));
}

#[test]
fn rotary_embeddings_match_burn() {
    for (batch, tokens, heads, half) in [(1, 1, 1, 1), (3, 5, 2, 4), (2, 7, 3, 10)] {
        check("rotary", &[&[batch, tokens, 6 * heads * half]], |x| {
            let constant = |seed| tensor(&[tokens, half], seed, x[0].dtype(), &Device::flex());
            let angles = flat::<2>(&constant(7));
            let (cos, sin) = (angles.clone().cos(), angles.sin());
            let device = x[0].device();
            let lift = |x: Tensor<2>| if device.is_autodiff() { Tensor::from_inner(x) } else { x };
            four(ops::rotary(flat::<3>(&x[0]), heads, lift(cos), lift(sin)))
        });
    }
}

#[test]
fn the_angles_of_rotary_embeddings_receive_no_gradient() {
    for dtype in [DType::F32, DType::F64] {
        let device = Device::flex().autodiff();
        let qkv = flat::<3>(&tensor(&[1, 3, 12], 1, dtype, &device)).require_grad();
        let [cos, sin] = [2, 3].map(|seed| flat::<2>(&tensor(&[3, 2], seed, dtype, &device)).require_grad());
        let gradients = ops::rotary(qkv.clone(), 1, cos.clone(), sin.clone()).sum().backward();
        assert!(qkv.grad(&gradients).is_some());
        assert!(cos.grad(&gradients).is_none() && sin.grad(&gradients).is_none());
    }
}

#[test]
fn steps_of_adamw_match_the_formula_and_do_not_change_other_references() {
    let rule = tweedie_kernels::AdamW {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.1,
        gradient_scale: 0.7,
    };
    let run = |dtype| {
        let device = Device::flex();
        let make = |seed| tensor(&[5, 7], seed, dtype, &device);
        let mut state = [make(1), make(2).zeros_like(), make(3).zeros_like()];
        let (mut alone, mut average) = (state.clone(), Some(make(4)));
        let before = state[0].clone();
        for step in 1..4 {
            (state, average) = ops::adamw(&rule, step, state, make(10 + step), average.map(|x| (x, 0.9)));
            (alone, _) = ops::adamw(&rule, step, alone, make(10 + step), None);
        }
        assert_eq!(values(before), values(make(1)), "another reference to the parameters has changed");
        let [a, b, c] = state.map(values);
        assert_eq!([a.clone(), b.clone(), c.clone()], alone.map(values), "the step must not depend on the average");
        [a, b, c, values(average.expect("it was given"))]
    };
    for (fast, exact) in run(DType::F32).iter().zip(&run(DType::F64)) {
        close("AdamW", fast, exact);
    }
    let x = tensor(&[30, 50], 4, DType::F32, &Device::flex());
    let expected: f64 = values(x.clone()).iter().map(|x| x * x).sum();
    assert!((ops::global_norm([x.clone(), x.clone()]) / (2.0 * expected).sqrt() - 1.0).abs() < 1e-7);
    let tracked = tensor(&[30, 50], 4, DType::F32, &Device::flex().autodiff());
    assert!(
        (ops::global_norm([x.clone(), x.clone().cast(DType::F64), tracked.inner()]) / (3.0 * expected).sqrt() - 1.0)
            .abs()
            < 1e-7
    );
}

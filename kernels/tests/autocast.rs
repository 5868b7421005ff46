//! Matrix products in half precision, by the kernels and by burn's own operations.
#![cfg(feature = "burn")]
#[path = "support/rank.rs"]
mod rank;

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use rank::{flat, four};
use std::panic::catch_unwind;
use tweedie_kernels::ops::{self, autocast, autocast_dtype};

const HALVES: [DType; 2] = [DType::BF16, DType::F16];

/// The relative distance of neighbors.
fn step(dtype: DType) -> f64 {
    if dtype == DType::BF16 { 1.0 / 128.0 } else { 1.0 / 1024.0 }
}

fn tensor<const D: usize>(shape: [usize; D], seed: usize, dtype: DType, device: &Device) -> Tensor<D> {
    let len = shape.iter().product();
    // Rounded to single precision, so that both precisions start from the same values.
    let values: Vec<f64> = (0..len).map(|i| f64::from((((i + 1) * (2 * seed + 7919)) as f32 * 0.7531).sin())).collect();
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_to_vec().expect("the data are doubles")
}

/// The root of the mean square of the difference, relative to that of `b`.
fn error(a: &[f64], b: &[f64]) -> f64 {
    let square = |x: f64| x * x;
    let size: f64 = b.iter().map(|x| square(*x)).sum();
    (a.iter().zip(b).map(|(a, b)| square(a - b)).sum::<f64>() / size).sqrt()
}

type Product = (&'static str, Vec<Vec<usize>>, fn(Vec<Tensor<4>>) -> Tensor<4>);

/// All operations with matrix products.
fn products() -> Vec<Product> {
    vec![
        ("linear", vec![vec![3, 5, 33], vec![33, 17], vec![17]], |x| {
            four(ops::linear(flat::<3>(&x[0]), flat(&x[1]), Some(flat(&x[2]))))
        }),
        ("linear without bias", vec![vec![7, 33], vec![33, 17]], |x| {
            four(ops::linear(flat::<2>(&x[0]), flat(&x[1]), None))
        }),
        ("matmul", vec![vec![2, 3, 5, 9], vec![2, 3, 9, 4]], |x| ops::matmul(x[0].clone(), x[1].clone())),
        ("conv2d", vec![vec![2, 8, 7, 6], vec![9, 8, 3, 3], vec![9]], |x| {
            ops::conv2d(x[0].clone(), x[1].clone(), Some(flat(&x[2])), [1; 2], [1; 2])
        }),
        ("conv2d without bias", vec![vec![2, 8, 7, 6], vec![9, 8, 3, 3]], |x| {
            ops::conv2d(x[0].clone(), x[1].clone(), None, [2; 2], [1; 2])
        }),
        ("conv2d_modulated", vec![vec![2, 8, 7, 6], vec![9, 8, 1, 1], vec![2, 9]], |x| {
            ops::conv2d_modulated(x[0].clone(), x[1].clone(), flat(&x[2]), [1; 2], [0; 2])
        }),
        ("conv3d", vec![vec![8, 3, 4, 5], vec![9, 8, 9, 3], vec![9]], |x| {
            let w = x[1].clone().reshape([9, 8, 3, 3, 3]);
            ops::conv3d(x[0].clone().unsqueeze(), w, Some(flat(&x[2])), 1).squeeze_dim(0)
        }),
        ("attention", vec![vec![2, 3, 5, 8], vec![2, 3, 7, 8], vec![2, 3, 7, 4]], |x| {
            ops::attention(x[0].clone(), x[1].clone(), x[2].clone())
        }),
        ("attention_fused", vec![vec![2, 9, 24]], |x| four(ops::attention_fused(flat::<3>(&x[0]), 2))),
        ("attention_pixels", vec![vec![2, 36, 3, 5]], |x| ops::attention_pixels(x[0].clone(), 3)),
        ("cross_attention", vec![vec![2, 5, 8], vec![2, 4, 16]], |x| {
            let padding = [[false, false, true, true], [false, true, false, false]];
            let padding = Tensor::<2, Bool>::from_data(padding, &x[0].device());
            four(ops::cross_attention(flat::<3>(&x[0]), flat(&x[1]), padding, 2))
        }),
    ]
}

/// Result, and gradients of `Σ c y` with respect to all inputs; the backward pass runs outside of the scope.
fn run((_, shapes, f): &Product, dtype: DType, products: DType) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let input = |(i, shape): (usize, &Vec<usize>)| {
        let mut padded = [1; 4];
        padded[4 - shape.len()..].copy_from_slice(shape);
        tensor::<4>(padded, i, dtype, &device).require_grad()
    };
    let inputs: Vec<_> = shapes.iter().enumerate().map(input).collect();
    let y = autocast(products, || f(inputs.clone()));
    assert_eq!(y.dtype(), dtype);
    let c = tensor(y.dims(), 9, dtype, &device);
    let gradients = (y.clone() * c).sum().backward();
    let gradients = inputs.iter().map(|x| x.grad(&gradients).expect("every input has a gradient"));
    let gradients: Vec<Tensor<4>> = gradients.collect();
    assert!(gradients.iter().all(|gradient| gradient.dtype() == dtype));
    [y.inner()].into_iter().chain(gradients).map(values).collect()
}

fn check_products() {
    for product in products() {
        let exact = run(&product, DType::F64, DType::F32);
        assert_eq!(run(&product, DType::F64, DType::BF16), exact, "double precision stays");
        let single = run(&product, DType::F32, DType::F32);
        for dtype in HALVES {
            for (i, (half, exact)) in run(&product, DType::F32, dtype).iter().zip(&exact).enumerate() {
                let (off, name) = (error(half, exact), product.0);
                let what = if i == 0 { "the result".into() } else { format!("gradient {i}") };
                assert!(off < 4.0 * step(dtype), "{name} in {dtype:?}: {what} is off by {off:.1e}");
                // The gradient of a bias is a sum in single precision.
                let bias = i == 3 && !name.contains("attention");
                assert!(bias || off > step(dtype) / 64.0, "{name} in {dtype:?}: {what} is off by only {off:.1e}");
            }
        }
        for (single, exact) in single.iter().zip(&exact) {
            assert!(error(single, exact) < 1e-5, "{} in single precision", product.0);
        }
    }
}

#[test]
fn products_and_their_gradients_are_in_half_precision() {
    check_products();
}

/// On other devices burn's own operations run; here they do in a process of its own.
#[test]
fn products_of_burn_are_in_half_precision_too() {
    const NAME: &str = "products_of_burn_are_in_half_precision_too";
    if std::env::var_os("TWEEDIE_KERNELS").is_some() {
        return check_products();
    }
    let tests = std::env::current_exe().expect("the tests are a program");
    let run = std::process::Command::new(tests).args(["--exact", NAME]).env("TWEEDIE_KERNELS", "off").output();
    let run = run.expect("the program can be run");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn operands_results_and_gradients_are_rounded_and_sums_are_not() {
    let device = Device::flex();
    for dtype in HALVES {
        let round = |x: Tensor<2>| x.cast(dtype).cast(DType::F32);
        let (x, w) = (tensor([7, 300], 1, DType::F32, &device), tensor([300, 5], 2, DType::F32, &device));
        let expected = round(ops::linear(round(x.clone()), round(w.clone()), None));
        assert_eq!(values(autocast(dtype, || ops::linear(x.clone(), w.clone(), None))), values(expected));

        let lift = |x: &Tensor<2>| Tensor::from_inner(x.clone()).require_grad();
        let (x, w, c) = (lift(&x), lift(&w), tensor([7, 5], 3, DType::F32, &device));
        let y = autocast(dtype, || ops::linear(x.clone(), w.clone(), None));
        let gradients = (y * Tensor::from_inner(c.clone())).sum().backward();
        let expected = round(ops::linear(round(c), round(w.inner()).transpose(), None));
        assert_eq!(values(x.grad(&gradients).expect("x is tracked")), values(expected));
    }
}

#[test]
fn without_a_scope_and_in_single_precision_the_bits_are_the_same() {
    for product in products() {
        let device = Device::flex();
        let inputs: Vec<Tensor<4>> = (product.1.iter().enumerate())
            .map(|(i, shape)| {
                let mut padded = [1; 4];
                padded[4 - shape.len()..].copy_from_slice(shape);
                tensor(padded, i, DType::F32, &device)
            })
            .collect();
        let (plain, scoped) = ((product.2)(inputs.clone()), autocast(DType::F32, || (product.2)(inputs)));
        assert_eq!(values(plain), values(scoped), "{}", product.0);
    }
}

#[test]
fn convolutions_of_few_channels_stay_in_single_precision() {
    let device = Device::flex();
    let run = |ci: usize, co: usize| {
        let (x, w) = (tensor([2, ci, 5, 4], 1, DType::F32, &device), tensor([co, ci, 3, 3], 2, DType::F32, &device));
        let volume = |x: &Tensor<4>| x.clone().unsqueeze_dim::<5>(2);
        [
            values(ops::conv2d(x.clone(), w.clone(), Some(tensor([co], 3, DType::F32, &device)), [1; 2], [1; 2])),
            values(ops::conv2d_modulated(
                x.clone(),
                w.clone(),
                tensor([2, co], 3, DType::F32, &device),
                [1; 2],
                [1; 2],
            )),
            values(ops::conv3d(volume(&x), volume(&w), None, 1)),
        ]
    };
    for (ci, co, half) in [(3, 16, false), (16, 3, false), (8, 8, true)] {
        for (single, other) in run(ci, co).into_iter().zip(autocast(DType::BF16, || run(ci, co))) {
            assert_eq!(single != other, half, "{ci} to {co} channels");
        }
    }
}

#[test]
fn norms_softmax_and_activations_stay_in_single_precision() {
    let x = tensor([2, 8, 5, 4], 1, DType::F32, &Device::flex());
    let (gamma, beta) = (tensor([1, 8], 2, DType::F32, &x.device()), tensor([1, 8], 3, DType::F32, &x.device()));
    let all = || {
        let rows = x.clone().reshape([20, 16]);
        [
            values(ops::group_norm(x.clone(), gamma.clone(), beta.clone(), 2, 1e-5)),
            values(ops::group_norm_silu(x.clone(), gamma.clone(), beta.clone(), 2, 1e-5)),
            values(ops::softmax(rows.clone())),
            values(ops::log_softmax(rows.clone())),
            values(ops::layer_norm(x.clone().reshape([2, 20, 8]), gamma.clone(), beta.clone(), 1e-5)),
            values(ops::silu(rows.clone())),
            values(ops::gelu(rows)),
        ]
    };
    assert_eq!(autocast(DType::BF16, all), all());
}

#[test]
fn scopes_nest_end_with_a_panic_and_are_of_one_thread() {
    assert_eq!(autocast_dtype(), DType::F32);
    autocast(DType::BF16, || {
        assert_eq!(autocast_dtype(), DType::BF16);
        autocast(DType::F32, || assert_eq!(autocast_dtype(), DType::F32));
        assert_eq!(autocast_dtype(), DType::BF16);
        assert!(catch_unwind(|| autocast(DType::F16, || panic!("on purpose"))).is_err());
        assert_eq!(autocast_dtype(), DType::BF16);
        assert_eq!(std::thread::spawn(autocast_dtype).join().expect("it does not panic"), DType::F32);
    });
    assert_eq!(autocast_dtype(), DType::F32);
    assert!(catch_unwind(|| autocast(DType::F64, || ())).is_err());
}

#[derive(Module, Debug)]
struct Layers {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
}

#[test]
fn a_part_that_is_recomputed_has_the_precision_it_had_first() {
    let device = Device::flex().autodiff();
    let part = |layers: &Layers, x: Tensor<2>, _: Vec<Tensor<2>>| {
        ops::linear(ops::silu(ops::linear(x, layers.first.val(), None)), layers.second.val(), None)
    };
    let run = |dtype: DType, recomputed: bool| {
        let weight = |seed| Param::from_tensor(tensor([12, 12], seed, DType::F32, &device).require_grad());
        let layers = Layers { first: weight(1), second: weight(2) };
        let x = tensor([5, 12], 3, DType::F32, &device).require_grad();
        let y = autocast(dtype, || match recomputed {
            true => ops::recompute(&layers, x.clone(), vec![], part),
            false => part(&layers, x.clone(), vec![]),
        });
        // On another thread, and inside of another scope.
        let backward = || autocast(DType::F16, || (y.clone() * y.clone()).sum().backward());
        let gradients = std::thread::scope(|scope| scope.spawn(backward).join().expect("it does not panic"));
        let of = |x: Tensor<2>| values(x.grad(&gradients).expect("it is tracked"));
        [of(x), of(layers.first.val()), of(layers.second.val()), values(y.inner())]
    };
    let kept = run(DType::BF16, false);
    assert_eq!(run(DType::BF16, true), kept);
    assert_ne!(run(DType::F32, true), kept);
    assert_eq!(run(DType::F32, true), run(DType::F32, false));
}

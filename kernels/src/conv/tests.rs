//! Convolutions and their gradients against the defining sum in double precision.
use super::*;
use crate::testing::*;

/// Calls `f(output index, input index, kernel index)` for every term of the defining sum.
fn for_each_term(conv: &Conv2d, mut f: impl FnMut(usize, usize, usize)) {
    let ([h, w], [oh, ow], [kh, kw]) = (conv.size, conv.output_size(), conv.kernel);
    for n in 0..conv.batch {
        for o in 0..conv.co {
            for (i, j) in (0..oh * ow).map(|p| (p / ow, p % ow)) {
                for c in 0..conv.ci {
                    for (p, q) in (0..kh * kw).map(|t| (t / kw, t % kw)) {
                        let y = (i * conv.stride[0] + p).wrapping_sub(conv.padding[0]);
                        let x = (j * conv.stride[1] + q).wrapping_sub(conv.padding[1]);
                        if y < h && x < w {
                            f(
                                ((n * conv.co + o) * oh + i) * ow + j,
                                ((n * conv.ci + c) * h + y) * w + x,
                                ((o * conv.ci + c) * kh + p) * kw + q,
                            );
                        }
                    }
                }
            }
        }
    }
}

struct Case {
    conv: Conv2d,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

fn case(conv: Conv2d, seed: u64) -> Case {
    Case {
        x: random_values(conv.input_len(), seed, 1.0),
        w: random_values(conv.weight_len(), seed + 1, 1.0),
        b: random_values(conv.co, seed + 2, 1.0),
        dy: random_values(conv.output_len(), seed + 3, 1.0),
        conv,
    }
}

/// Relative errors of output, input gradient, weight gradient and bias gradient.
fn errors(case: &Case, level: Level) -> [f64; 4] {
    let Case { conv, x, w, b, dy } = case;
    let (x64, w64, dy64) = (to_f64(x), to_f64(w), to_f64(dy));
    let plane: usize = conv.output_size().iter().product();
    let mut y = (0..conv.output_len()).map(|i| f64::from(b[i / plane % conv.co])).collect::<Vec<_>>();
    let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; conv.co]);
    for_each_term(conv, |o, i, k| {
        y[o] += w64[k] * x64[i];
        dx[i] += w64[k] * dy64[o];
        dw[k] += dy64[o] * x64[i];
    });
    for (i, d) in dy64.iter().enumerate() {
        db[i / plane % conv.co] += d;
    }
    let (mut y32, mut dx32) = (vec![f32::NAN; y.len()], vec![f32::NAN; dx.len()]);
    let (mut dw32, mut db32) = (vec![f32::NAN; dw.len()], vec![f32::NAN; db.len()]);
    conv.forward_at(level, x, w, Some(b), &mut y32);
    conv.input_gradient_at(level, dy, w, &mut dx32);
    conv.weight_gradient_at(level, x, dy, &mut dw32);
    conv.bias_gradient(dy, &mut db32);
    [error(&y32, &y), error(&dx32, &dx), error(&dw32, &dw), error(&db32, &db)]
}

#[test]
fn a_3x3_convolution_is_correct_by_every_method_at_every_size() {
    let sizes = [
        (1, 8, 8, 8, 8),
        (2, 16, 32, 8, 8),
        (1, 9, 17, 7, 5),
        (3, 33, 15, 4, 4),
        (1, 40, 72, 9, 12),
        (2, 24, 8, 1, 1),
        (1, 12, 10, 2, 3),
        (1, 300, 20, 5, 6),
        (1, 16, 16, 33, 31),
        (5, 1, 3, 6, 6),
    ];
    for (seed, (n, ci, co, h, w)) in sizes.into_iter().enumerate() {
        let conv = Conv2d::new([n, ci, h, w], [co, ci, 3, 3], [1, 1], [1, 1]);
        for level in Level::available() {
            for (method, most) in [
                (ConvMethod::Patches, 1e-6),
                (ConvMethod::Winograd2, 2e-6),
                (ConvMethod::Winograd4, 5e-6),
                (ConvMethod::Auto, 5e-6),
            ] {
                let e = errors(&case(conv.with_method(method), 10 * seed as u64), level);
                assert!(e.iter().all(|e| *e < most), "{n} of {ci}→{co} at {h}×{w}, {method:?}, {level:?}: {e:?}");
            }
        }
    }
}

#[test]
fn every_kernel_size_stride_and_padding_is_correct() {
    let cases = [
        ([2, 8, 9, 8], [12, 8, 3, 3], [2, 2], [1, 1]),
        ([1, 3, 16, 16], [40, 3, 4, 4], [4, 4], [0, 0]),
        ([2, 35, 10, 6], [16, 35, 1, 1], [1, 1], [0, 0]),
        ([1, 5, 7, 11], [6, 5, 5, 3], [1, 1], [2, 1]),
        ([1, 4, 8, 8], [4, 4, 3, 3], [1, 1], [0, 0]),
        ([1, 4, 5, 5], [7, 4, 3, 3], [3, 2], [2, 0]),
        ([3, 256, 4, 4], [19, 256, 1, 1], [1, 1], [0, 0]),
        ([2, 35, 37, 29], [16, 35, 1, 1], [1, 1], [0, 0]),
        ([1, 260, 20, 33], [9, 260, 1, 1], [1, 1], [0, 0]),
        ([1, 30, 20, 17], [33, 30, 3, 3], [2, 2], [1, 1]),
        ([1, 2, 3, 3], [3, 2, 1, 1], [1, 1], [2, 2]),
        ([1, 1, 1, 1], [1, 1, 7, 7], [1, 1], [3, 3]),
    ];
    for (seed, (input, weight, stride, padding)) in cases.into_iter().enumerate() {
        let conv = Conv2d::new(input, weight, stride, padding);
        for level in Level::available() {
            let e = errors(&case(conv, 7 * seed as u64), level);
            assert!(e.iter().all(|e| *e < 1e-6), "{conv:?} at {level:?}: {e:?}");
        }
    }
}

#[test]
fn random_shapes_are_correct() {
    let mut random = TestRng::new(11);
    for seed in 0..40 {
        let (n, ci, co) = (random.below(3) + 1, random.below(40) + 1, random.below(40) + 1);
        let [k, stride, pad] =
            [[3, 1, 1], [1, 1, 0], [3, 2, 1], [random.below(5) + 1, random.below(3) + 1, random.below(3)]]
                [random.below(4)];
        let [h, w] = [0, 1].map(|_| k + random.below(if k == 1 { 30 } else { 12 }));
        let conv = Conv2d::new([n, ci, h, w], [co, ci, k, k], [stride; 2], [pad; 2]);
        for level in Level::available() {
            let e = errors(&case(conv, seed), level);
            assert!(e.iter().all(|e| *e < 5e-6), "{conv:?} at {level:?}: {e:?}");
        }
    }
}

#[test]
fn a_bias_per_sample_is_added_to_that_sample() {
    for stride in [1, 2] {
        let conv = Conv2d::new([3, 9, 6, 7], [10, 9, 3, 3], [stride; 2], [1, 1]);
        let Case { conv, x, w, dy, .. } = case(conv, 5);
        let bias = random_values(30, 6, 1.0);
        let (mut y, mut plain) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
        conv.forward(&x, &w, Some(&bias), &mut y);
        conv.forward(&x, &w, None, &mut plain);
        let plane = dy.len() / 30;
        assert!(y.iter().zip(&plain).enumerate().all(|(i, (y, p))| *y == p + bias[i / plane]));
        let mut db = vec![f32::NAN; 30];
        conv.bias_gradient(&dy, &mut db);
        for (db, dy) in db.iter().zip(dy.chunks(plane)) {
            assert!((f64::from(*db) - dy.iter().map(|&d| f64::from(d)).sum::<f64>()).abs() < 1e-5);
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch_or_on_the_number_of_threads() {
    let plain = ([32, 24, 12, 20], [40, 24, 3, 3], [1, 1], [1, 1]);
    let strided = ([32, 6, 9, 9], [10, 6, 3, 3], [2, 2], [1, 1]);
    for (input, weight, stride, padding) in [plain, strided] {
        let Case { conv, x, w, b, dy } = case(Conv2d::new(input, weight, stride, padding), 3);
        let run = |conv: &Conv2d, x: &[f32], dy: &[f32]| {
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            conv.forward(x, &w, Some(&b), &mut y);
            conv.input_gradient(dy, &w, &mut dx);
            (y, dx)
        };
        let all = same_on_any_number_of_threads(|| {
            let (mut y, dx) = run(&conv, &x, &dy);
            let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; b.len()]);
            conv.weight_gradient(&x, &dy, &mut dw);
            conv.bias_gradient(&dy, &mut db);
            y.extend(dx.into_iter().chain(dw).chain(db));
            y
        });
        let (xs, ys) = (x.len() / 32, dy.len() / 32);
        for (first, count) in [(0, 1), (31, 1), (7, 3)] {
            let part = Conv2d { batch: count, ..conv };
            let (y, dx) = run(&part, &x[first * xs..][..count * xs], &dy[first * ys..][..count * ys]);
            assert!(y[..] == all[first * ys..][..y.len()], "outputs {first}.. alone");
            assert!(dx[..] == all[dy.len() + first * xs..][..dx.len()], "gradients {first}.. alone");
        }
    }
}

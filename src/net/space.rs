//! Operations over one, two or three spatial axes by those over two.
use burn::tensor::{
    Tensor,
    module::interpolate,
    ops::{InterpolateMode, InterpolateOptions},
};
use tweedie_kernels::ops;

/// The same tensor under another name of its rank, which must be the same number.
fn same<const D: usize, const E: usize>(x: Tensor<D>) -> Tensor<E> {
    assert_eq!(D, E, "a tensor has one rank");
    Tensor::from_dispatch(x.into_dispatch())
}

/// Folds the spatial axes into two: `[batch, channels, l]` → `[batch, channels, 1, l]`, `[batch, channels, d, h, w]` →
/// `[batch, channels, d · h, w]`.
pub(super) fn fold<const D: usize>(x: Tensor<D>) -> Tensor<4> {
    match x.dims()[..] {
        [batch, channels, length] => x.reshape([batch, channels, 1, length]),
        [batch, channels, d, h, w] => x.reshape([batch, channels, d * h, w]),
        _ => same(x),
    }
}

/// Unfolds what [`fold`] has folded, to the sizes of `shape`: the channels may have changed.
pub(super) fn unfold<const D: usize>(x: Tensor<4>, mut shape: [usize; D]) -> Tensor<D> {
    if D == 4 {
        return same(x);
    }
    shape[1] = x.dims()[1];
    x.reshape(shape)
}

/// Convolves with an odd kernel, padded so that stride 1 keeps the sizes: `x: [batch, in, sizes…]`, `weight: [out, in, side, …]`,
/// `bias: [out]` → `[batch, out, ⌈sizes/stride⌉…]`.
pub(super) fn conv<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<D>,
    bias: Option<Tensor<1>>,
    stride: usize,
) -> Tensor<D> {
    let (shape, side) = (x.dims(), weight.dims()[2]);
    match weight.dims()[..] {
        [outputs, inputs, side] => {
            let weight = weight.reshape([outputs, inputs, 1, side]);
            let y = ops::conv2d(fold(x), weight, bias, [1, stride], [0, side / 2]);
            let [batch, channels, _, length] = y.dims();
            same(y.reshape([batch, channels, length]))
        }
        [outputs, inputs, 1, 1, 1] if stride == 1 => {
            let weight = weight.reshape([outputs, inputs, 1, 1]);
            unfold(ops::conv2d(fold(x), weight, bias, [1; 2], [0; 2]), shape)
        }
        [_, _, _, _, _] => same(ops::conv3d(same(x), same(weight), bias, stride)),
        _ => same(ops::conv2d(same(x), same(weight), bias, [stride; 2], [side / 2; 2])),
    }
}

/// Upsamples to `size` by nearest neighbors.
pub(super) fn upsample<const D: usize>(x: Tensor<D>, size: &[usize]) -> Tensor<D> {
    let nearest = |x: Tensor<4>, size: [usize; 2]| {
        interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
    };
    match (&x.dims()[..], size) {
        (&[batch, channels, _], &[length]) => {
            let y: Tensor<4> = nearest(fold(x), [1, length]);
            same(y.reshape([batch, channels, length]))
        }
        (&[batch, channels, d, h, w], &[depth, height, width]) => {
            let y = nearest(x.reshape([batch, channels * d, h, w]), [height, width]);
            let y = nearest(y.reshape([batch, channels, d, height * width]), [depth, height * width]);
            same(y.reshape([batch, channels, depth, height, width]))
        }
        (_, &[height, width]) => same(nearest(same(x), [height, width])),
        _ => panic!("a size for each spatial axis: {size:?} for {:?}", x.dims()),
    }
}

/// Halves each spatial size by means of two neighbors, rounded up: a last one without a neighbor stays as it is.
pub(super) fn halve<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let mut x = x;
    for axis in 2..D {
        let mut shape = x.dims();
        if shape[axis] > 1 && shape[axis] % 2 == 1 {
            let last = x.clone().narrow(axis, shape[axis] - 1, 1);
            x = Tensor::cat(vec![x, last], axis);
        }
        let half = shape[axis].div_ceil(2);
        if shape[axis] > 1 {
            let pairs =
                x.reshape([shape[..axis].iter().product(), half, 2, shape[axis + 1..].iter().product::<usize>()]);
            shape[axis] = half;
            x = pairs.mean_dim(2).reshape(shape);
        }
    }
    x
}

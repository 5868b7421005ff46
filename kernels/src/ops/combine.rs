//! Linear combinations of tensors in one pass, in single and in double precision.
use super::graph::wanted;
use crate::memory::unwritten;
use crate::parallel::{CHUNK, Shared, for_each};
use crate::simd::{Level, Simd, dispatch};
use burn::backend::tensor::FloatTensor;
use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchDevice, DispatchTensor, DispatchTensorKind, Flex};
use burn::tensor::{Bytes, DType, Device, Element, Tensor, TensorData};
use std::ops::{Add, Div, Mul};

type Plain = FloatTensor<Flex>;

/// `Σ wᵢ xᵢ`, rounded after each product and each sum as if the terms were added one by one.
///
/// A term of weight 0 is not looked at. On the `flex` back end without autodiff this is one pass over the numbers, into the
/// memory of a term that nobody else holds where there is one; everywhere else it is burn's own operations.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let y: Vec<f32> = tweedie_kernels::ops::combine([(2.0, x.clone()), (-1.0, x)]).into_data().try_to_vec().unwrap();
/// assert_eq!(y, [1.0, 2.0]);
/// ```
///
/// # Panics
/// If there is no term.
#[inline]
pub fn combine<const D: usize>(terms: impl IntoIterator<Item = (f64, Tensor<D>)>) -> Tensor<D> {
    let terms = terms.into_iter();
    let mut sum = Sum::with_capacity(terms.size_hint().0);
    for (weight, x) in terms {
        sum.add(weight, x);
    }
    sum.total()
}

/// [`ops::combine`](crate::ops::combine) of terms that are written down: no array is filled and emptied on the way, which for
/// small tensors takes as long as the sum.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let y: Vec<f32> = tweedie_kernels::combine!([(2.0, x.clone()), (-1.0, x)]).into_data().try_to_vec().unwrap();
/// assert_eq!(y, [1.0, 2.0]);
/// ```
#[macro_export]
macro_rules! combine {
    ([$(($weight:expr, $x:expr)),+ $(,)?]) => {{
        let mut sum = $crate::ops::Sum::default();
        $(sum.add($weight, $x);)+
        sum.total()
    }};
}

/// The sum of [`combine()`] in the making.
#[derive(Debug)]
pub struct Sum<const D: usize> {
    /// The terms while all of them are the back end's own and alike.
    plain: Vec<(f64, Option<Plain>)>,
    /// Otherwise the sum so far.
    other: Option<Tensor<D>>,
    /// The first term of weight 0, which stands for the sum if all are.
    nothing: Option<Tensor<D>>,
}
impl<const D: usize> Default for Sum<D> {
    fn default() -> Self {
        Self::with_capacity(4)
    }
}
impl<const D: usize> Sum<D> {
    fn with_capacity(terms: usize) -> Self {
        Self { plain: Vec::with_capacity(terms), other: None, nothing: None }
    }

    /// Adds `weight · x`.
    pub fn add(&mut self, weight: f64, x: Tensor<D>) {
        let x = x.into_dispatch();
        if weight != 0.0 && self.other.is_none() && taken(&x, self.plain.first().and_then(|(_, x)| x.as_ref())) {
            self.plain.push((weight, Some(plain(x))));
        } else {
            self.add_other(weight, Tensor::from_dispatch(x));
        }
    }

    #[cold]
    fn add_other(&mut self, weight: f64, x: Tensor<D>) {
        if weight == 0.0 {
            self.nothing.get_or_insert(x);
            return;
        }
        let before = self.plain.drain(..).map(|(weight, x)| (weight, tensor(x.expect("none is written to yet"))));
        let scaled = before.chain([(weight, x)]).map(|(weight, x)| if weight == 1.0 { x } else { x * weight });
        self.other = self.other.take().into_iter().chain(scaled).reduce(|total, x| total + x);
    }

    /// The sum.
    ///
    /// # Panics
    /// If nothing was added.
    pub fn total(self) -> Tensor<D> {
        match (self.other, self.plain.first()) {
            (Some(total), _) => total,
            (None, Some((_, Some(x)))) if x.dtype() == DType::F64 => tensor(sum::<f64>(self.plain)),
            (None, Some(_)) => tensor(sum::<f32>(self.plain)),
            (None, None) => self.nothing.expect("a combination has a term") * 0.0,
        }
    }
}

/// Tensors that are summed again and again with other weights: none is cloned or written to.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let mut terms = tweedie_kernels::ops::Terms::default();
/// for x in [[1.0, 2.0], [3.0, 5.0]] {
///     terms.push(Tensor::<1>::from_floats(x, &Device::flex()));
/// }
/// let numbers = |x: Tensor<1>| x.into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(numbers(terms.sum([2.0, -1.0])), [-1.0, -1.0]);
/// assert_eq!(numbers(terms.sum([0.0, 1.0])), [3.0, 5.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Terms<const D: usize> {
    /// The terms while all of them are the back end's own and alike.
    plain: Vec<Plain>,
    /// Otherwise all of them.
    other: Vec<Tensor<D>>,
}
impl<const D: usize> Default for Terms<D> {
    fn default() -> Self {
        Self { plain: Vec::with_capacity(8), other: vec![] }
    }
}
impl<const D: usize> Terms<D> {
    /// One more term, the last.
    pub fn push(&mut self, x: Tensor<D>) {
        let x = x.into_dispatch();
        if self.other.is_empty() && taken(&x, self.plain.first()) {
            self.plain.push(plain(x));
        } else {
            self.other.extend(self.plain.drain(..).map(tensor));
            self.other.push(Tensor::from_dispatch(x));
        }
    }
    /// Takes the last term away.
    pub fn pop(&mut self) -> Option<Tensor<D>> {
        self.plain.pop().map(tensor).or_else(|| self.other.pop())
    }
    /// [`combine()`] of the first terms, one for each weight.
    ///
    /// # Panics
    /// If there is no term, or fewer than weights that are not 0.
    pub fn sum(&self, weights: impl IntoIterator<Item = f64>) -> Tensor<D> {
        match self.plain.first() {
            Some(first) if first.dtype() == DType::F64 => self.plain_sum::<f64>(first, weights),
            Some(first) => self.plain_sum::<f32>(first, weights),
            None => combine(self.weighted(weights).map(|(weight, i)| (weight, self.other[i].clone()))),
        }
    }
    /// The weights that are not 0 and where they belong; the first weight, if all are 0.
    fn weighted(&self, weights: impl IntoIterator<Item = f64>) -> impl Iterator<Item = (f64, usize)> {
        let mut terms = weights.into_iter().zip(0..).filter(|(weight, _)| *weight != 0.0).peekable();
        let nothing = terms.peek().is_none().then_some((0.0, 0));
        terms.chain(nothing)
    }
    fn plain_sum<T: Number>(&self, first: &Plain, weights: impl IntoIterator<Item = f64>) -> Tensor<D> {
        crate::keep_memory();
        let mut slices = Vec::with_capacity(self.plain.len());
        slices.extend(self.weighted(weights).map(|(weight, i)| (T::of(weight), Some(T::all(&self.plain[i])))));
        tensor(fresh(&slices, first))
    }
}

fn tensor<const D: usize>(x: Plain) -> Tensor<D> {
    Tensor::from_dispatch(DispatchTensor {
        kind: DispatchTensorKind::Flex(BackendTensor::Float(x)),
        autodiff: DispatchAutodiffContext::Disabled,
    })
}

/// Whether a tensor is the back end's own, outside of autodiff, and like the first term.
fn taken(x: &DispatchTensor, first: Option<&Plain>) -> bool {
    match &x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(own)) if x.autodiff == DispatchAutodiffContext::Disabled => {
            match first {
                Some(first) => own.dtype() == first.dtype() && own.layout().shape() == first.layout().shape(),
                None => matches!(own.dtype(), DType::F32 | DType::F64) && wanted(),
            }
        }
        _ => false,
    }
}

/// What [`taken`] has approved of, its numbers in order.
fn plain(x: DispatchTensor) -> Plain {
    match x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(x)) if x.is_contiguous() => x,
        DispatchTensorKind::Flex(BackendTensor::Float(x)) => x.to_contiguous(),
        _ => unreachable!("approved of before"),
    }
}

/// A number of a tensor.
trait Number:
    Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Send + Sync + Element
{
    fn size(self) -> Self;
    fn of(weight: f64) -> Self;
    /// Room for numbers that are all going to be written.
    fn room(len: usize) -> Vec<Self>;
    /// Those of a tensor that lie in order.
    fn all(x: &Plain) -> &[Self];
    /// All the memory of a tensor that nobody else holds and that is no part of a larger one.
    fn own(x: &mut Plain) -> Option<&mut [Self]>;
}
macro_rules! number {
    ($number:ty, |$weight:ident| $of:expr, $room:expr) => {
        impl Number for $number {
            #[inline(always)]
            fn size(self) -> Self {
                self.abs()
            }
            fn of($weight: f64) -> Self {
                $of
            }
            fn room(len: usize) -> Vec<Self> {
                $room(len)
            }
            fn all(x: &Plain) -> &[Self] {
                x.as_slice().expect("made contiguous before")
            }
            fn own(x: &mut Plain) -> Option<&mut [Self]> {
                let n = x.layout().num_elements();
                x.try_storage_mut().filter(|numbers| numbers.len() == n)
            }
        }
    };
}
number!(f32, |weight| weight as f32, unwritten);
number!(f64, |weight| weight, |len| vec![0.0; len]);

fn sum<T: Number>(mut terms: Vec<(f64, Option<Plain>)>) -> Plain {
    crate::keep_memory();
    let mut own = terms.iter_mut().find_map(|(_, x)| x.take_if(|x| T::own(x).is_some()));
    let slices: Vec<_> = terms.iter().map(|(weight, x)| (T::of(*weight), x.as_ref().map(T::all))).collect();
    if let Some(out) = own.as_mut().and_then(T::own) {
        write(&slices, out);
        return own.expect("it was there just now");
    }
    fresh(&slices, terms[0].1.as_ref().expect("none is written to"))
}

/// The sum in memory of its own, shaped like one of the terms.
fn fresh<T: Number>(terms: &[(T, Option<&[T]>)], like: &Plain) -> Plain {
    let layout = like.layout();
    let mut out = T::room(layout.num_elements());
    write(terms, &mut out);
    if layout.start_offset() == 0 {
        return Plain::new(Bytes::from_elems(out), layout.clone(), T::dtype());
    }
    Plain::from_data(TensorData::new(out, layout.shape().clone()))
}

/// The sum into `out`, which holds the numbers of the term that has none of its own here.
fn write<T: Number>(terms: &[(T, Option<&[T]>)], out: &mut [T]) {
    let (n, level) = (out.len(), Level::get());
    if n <= CHUNK {
        return add_at(level, terms, 0, out);
    }
    let shared = Shared::new(out);
    for_each(n.div_ceil(CHUNK), |piece| {
        let range = piece * CHUNK..n.min((piece + 1) * CHUNK);
        // SAFETY: every task has its own piece.
        let out = unsafe { shared.part(range.clone()) };
        add_at(level, terms, range.start, out);
    });
}

/// Numbers whose sums stay in registers while the terms pass over them.
const WIDE: usize = 32;

/// The part of the sum that begins at `start`.
#[inline(always)]
fn add<S: Simd, T: Number>(s: S, terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) {
    match terms.len() {
        1 => add_some::<S, T, 1>(s, terms, start, out),
        2 => add_some::<S, T, 2>(s, terms, start, out),
        3 => add_some::<S, T, 3>(s, terms, start, out),
        4 => add_some::<S, T, 4>(s, terms, start, out),
        5 => add_some::<S, T, 5>(s, terms, start, out),
        6 => add_some::<S, T, 6>(s, terms, start, out),
        _ => add_any(s, terms, start, out),
    }
}

/// [`add_any`] of a number of terms that the compiler knows.
#[inline(always)]
fn add_some<S: Simd, T: Number, const N: usize>(s: S, terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) {
    let terms: &[_; N] = terms.try_into().expect("as many");
    add_any(s, terms, start, out);
}

#[inline(always)]
fn add_any<S: Simd, T: Number>(_: S, terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) {
    let ((first, head), rest) = terms.split_first().expect("a combination has a term");
    let (wide, last) = out.as_chunks_mut::<WIDE>();
    let mut start = start;
    for out in wide {
        let mut total = [T::default(); WIDE];
        let x: &[T; WIDE] = head.map_or(&*out, |x| x[start..start + WIDE].try_into().expect("as many"));
        for (total, x) in total.iter_mut().zip(x) {
            *total = *first * *x;
        }
        for (weight, x) in rest {
            let x: &[T; WIDE] = x.map_or(&*out, |x| x[start..start + WIDE].try_into().expect("as many"));
            for (total, x) in total.iter_mut().zip(x) {
                *total = *total + *weight * *x;
            }
        }
        *out = total;
        start += WIDE;
    }
    for (i, out) in last.iter_mut().enumerate() {
        let products = terms.iter().map(|(weight, x)| *weight * x.map_or(*out, |x| x[start + i]));
        *out = products.reduce(|a, b| a + b).expect("a combination has a term");
    }
}
dispatch! { fn add_at<T: Number>(terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) = add; }

/// Numbers in single precision as a tensor, as [`Tensor::from_data`] but by the shortest way where the device is `flex`.
///
/// # Panics
/// If there are more or fewer numbers than the shape has places.
pub fn of_numbers<const D: usize>(numbers: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::new(numbers, shape);
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => tensor(Plain::from_data(data)),
        #[allow(unreachable_patterns)]
        _ => Tensor::from_data(data, (device, DType::F32)),
    }
}

/// The largest `|error| / (absolute + relative·|value|)`, what an adaptive solver holds below 1; not a number where one of
/// these ratios is not finite.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let [error, value] = [[0.1, -0.3], [1.0, 2.0]].map(|x| Tensor::<1>::from_floats(x, &Device::flex()));
/// let worst = tweedie_kernels::ops::worst(error, value, 1.0, 0.5);
/// assert!((worst - 0.15).abs() < 1e-7);
/// ```
///
/// # Panics
/// If the shapes differ.
pub fn worst<const D: usize>(error: Tensor<D>, value: Tensor<D>, absolute: f64, relative: f64) -> f64 {
    assert_eq!(error.dims(), value.dims(), "an error and what it is the error of have one shape");
    let (error, value) = (error.into_dispatch(), value.into_dispatch());
    if taken(&error, None) {
        let error = plain(error);
        if !taken(&value, Some(&error)) {
            return worst_by_parts::<D>(tensor(error), Tensor::from_dispatch(value), absolute, relative);
        }
        let value = plain(value);
        return match error.dtype() {
            DType::F64 => ratio::<f64>(&error, &value, absolute, relative),
            _ => ratio::<f32>(&error, &value, absolute, relative),
        };
    }
    worst_by_parts::<D>(Tensor::from_dispatch(error), Tensor::from_dispatch(value), absolute, relative)
}

fn worst_by_parts<const D: usize>(error: Tensor<D>, value: Tensor<D>, absolute: f64, relative: f64) -> f64 {
    let ratio = error.abs() / (value.abs() * relative + absolute);
    // 0 · ∞ and 0 · NaN are no numbers.
    let worst = ratio.clone().max() + (ratio * 0.0).sum();
    worst.into_data().iter::<f64>().next().expect("one number")
}

fn ratio<T: Number>(error: &Plain, value: &Plain, absolute: f64, relative: f64) -> f64 {
    largest_at(Level::get(), T::all(error), T::all(value), T::of(absolute), T::of(relative))
}

#[inline(always)]
fn largest<S: Simd, T: Number>(_: S, error: &[T], value: &[T], absolute: T, relative: T) -> f64 {
    let (mut most, mut nothing) = ([T::default(); WIDE], [T::default(); WIDE]);
    for (error, value) in error.chunks(WIDE).zip(value.chunks(WIDE)) {
        for (((e, v), most), nothing) in error.iter().zip(value).zip(&mut most).zip(&mut nothing) {
            let ratio = e.size() / (absolute + relative * v.size());
            *most = if ratio > *most { ratio } else { *most };
            // 0 · ∞ and 0 · NaN are no numbers.
            *nothing = *nothing + ratio * T::default();
        }
    }
    most.iter().zip(&nothing).fold(0.0, |worst: f64, (most, nothing)| {
        let most = (*most + *nothing).elem::<f64>();
        if worst.is_nan() || most.is_nan() { f64::NAN } else { worst.max(most) }
    })
}
dispatch! { fn largest_at<T: Number>(error: &[T], value: &[T], absolute: T, relative: T) -> f64 = largest; }

#[cfg(test)]
mod tests {
    use super::{Terms, combine, worst};
    use burn::backend::{BackendTensor, DispatchTensorKind};
    use burn::tensor::{DType, Device, Tensor, TensorData};

    /// Numbers without a pattern that rounding would spare.
    fn tensor(n: usize, seed: f64, dtype: DType, device: &Device) -> Tensor<2> {
        let numbers: Vec<f64> = (0..n).map(|i| ((i as f64 + seed) * 1.618_033_9).sin()).collect();
        Tensor::from_data(TensorData::new(numbers, [n / 4, 4]), (device, dtype))
    }

    #[test]
    fn the_bits_are_those_of_one_operation_after_another() {
        let device = Device::flex();
        for (n, dtype) in [(8, DType::F32), (768, DType::F64), (100_000, DType::F32)] {
            let [a, b, c] = [0.1, 0.2, 0.3].map(|seed| tensor(n, seed, dtype, &device));
            let fused = combine([(0.3, a.clone()), (0.0, c.clone()), (-1.7, b.clone()), (1.0, c.clone())]);
            let parts = a * 0.3 + b * -1.7 + c;
            assert_eq!(fused.dtype(), dtype);
            let bits = |x: Tensor<2>| -> Vec<u64> { x.into_data().iter::<f64>().map(f64::to_bits).collect() };
            assert!(bits(fused) == bits(parts), "{n} numbers");
        }
    }

    #[test]
    fn terms_that_stay_are_summed_as_others_are() {
        let bits = |x: Tensor<2>| -> Vec<u64> { x.into_data().iter::<f64>().map(f64::to_bits).collect() };
        let (device, tracked) = (Device::flex(), Device::flex().autodiff());
        for (dtype, last) in [(DType::F32, &device), (DType::F64, &device), (DType::F32, &tracked)] {
            let all = [(0.1, &device), (0.2, &device), (0.3, last)].map(|(seed, on)| tensor(768, seed, dtype, on));
            let before = all.clone().map(bits);
            let mut terms = Terms::default();
            all.iter().for_each(|x| terms.push(x.clone()));
            for weights in [[0.3, 0.0, -1.7], [0.0, 0.0, 0.0], [1.0, -0.5, 0.25]] {
                let goal = combine(weights.into_iter().zip(all.clone()));
                assert!(bits(terms.sum(weights)) == bits(goal), "{weights:?} in {dtype:?}");
            }
            // Fewer weights are those of the first terms.
            assert_eq!(bits(terms.sum([2.0])), bits(all[0].clone() * 2.0));
            assert_eq!(std::array::from_fn(|_| bits(terms.pop().unwrap())), { [2, 1, 0].map(|i| before[i].clone()) });
            assert!(terms.pop().is_none());
        }
    }

    #[test]
    fn the_worst_of_errors() {
        let device = Device::flex();
        for (n, dtype) in [(8, DType::F32), (100, DType::F32), (768, DType::F64)] {
            let (error, value) = (tensor(n, 0.1, dtype, &device), tensor(n, 0.2, dtype, &device));
            let goal = (error.clone().abs() / (value.clone().abs() * 0.3 + 0.01)).max().into_data();
            let goal: f64 = goal.iter::<f64>().next().unwrap();
            let found = worst(error.clone(), value.clone(), 0.01, 0.3);
            assert!((found / goal - 1.0).abs() < 1e-6, "{found} is not {goal}");
            let tracked = worst(error.clone(), tensor(n, 0.2, dtype, &device.clone().autodiff()), 0.01, 0.3);
            assert!((tracked / goal - 1.0).abs() < 1e-6);
            let turned = |x: &Tensor<2>| x.clone().transpose();
            assert_eq!(worst(turned(&error), turned(&value), 0.01, 0.3), found);
            for nothing in [f64::NAN, f64::INFINITY] {
                let hole =
                    error.clone().mask_fill(error.clone().equal(error.clone().max().expand([n / 4, 4])), nothing);
                assert!(worst(hole, value.clone(), 0.01, 0.3).is_nan());
            }
        }
    }

    #[test]
    fn a_term_held_by_nobody_else_lends_its_memory_and_no_other_is_touched() {
        let device = Device::flex();
        let x = tensor(64, 0.1, DType::F32, &device);
        let numbers = |x: Tensor<2>| -> Vec<f32> { x.into_data().try_to_vec().unwrap() };
        let before = numbers(x.clone());
        // The second is alone, the first is not; the third is part of a larger one.
        let part = tensor(128, 0.3, DType::F32, &device).narrow(0, 8, 16);
        let place = |x: &Tensor<2>| match x.clone().into_dispatch().kind {
            DispatchTensorKind::Flex(BackendTensor::Float(x)) => x.storage::<f32>().as_ptr(),
            _ => unreachable!("the device is flex"),
        };
        let alone = tensor(64, 0.7, DType::F32, &device);
        let lent = place(&alone);
        let fused = combine([(2.0, x.clone()), (-0.5, alone), (0.25, part.clone())]);
        assert_eq!(place(&fused), lent);
        let parts = x.clone() * 2.0 + tensor(64, 0.7, DType::F32, &device) * -0.5 + part * 0.25;
        assert_eq!(numbers(fused), numbers(parts));
        assert_eq!(numbers(x.clone()), before);
        // A term twice is not alone.
        assert_eq!(numbers(combine([(1.0, x.clone()), (1.0, x)])), before.iter().map(|x| x + x).collect::<Vec<_>>());
    }

    #[test]
    fn views_and_gradients_take_the_other_way() {
        let device = Device::flex();
        let x = tensor(16, 0.1, DType::F32, &device);
        let turned = combine([(2.0, x.clone().transpose()), (1.0, x.clone().transpose())]);
        let plain = (x.clone() * 2.0 + x.clone()).transpose();
        let numbers = |x: Tensor<2>| -> Vec<f32> { x.into_data().try_to_vec().unwrap() };
        assert_eq!(numbers(turned), numbers(plain));
        let x = tensor(16, 0.1, DType::F32, &Device::flex().autodiff()).require_grad();
        let gradients = combine([(2.0, x.clone()), (3.0, x.clone())]).sum().backward();
        assert_eq!(numbers(x.grad(&gradients).unwrap()), vec![5.0; 16]);
        // One row for all is broadcast.
        let row: Tensor<2> = tensor(4, 0.7, DType::F32, &device);
        let wide = combine([(1.0, row.clone()), (1.0, tensor(16, 0.0, DType::F32, &device))]);
        assert_eq!(wide.dims(), [4, 4]);
    }
}

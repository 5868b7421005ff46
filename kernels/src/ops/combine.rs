//! Linear combinations of tensors in one pass, in single and in double precision.
use super::flex::{FlexTensor, Scalar, into_plain, is_plain, to_tensor};
use crate::parallel::{CHUNK, Shared, for_each};
use crate::simd::{Level, Simd, dispatch};
use burn::tensor::{Bytes, DType, Tensor, TensorData};

/// Computes the linear combination `Σ wᵢ xᵢ`, rounded after each product and each sum as if the terms were added one by
/// one.
///
/// A term of weight 0 is not read. On the `flex` back end without autodiff this is one pass over the elements, which
/// overwrites a term without other references, if there is one; everywhere else it runs burn's own operations.
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

/// Computes [`ops::combine`](crate::ops::combine()) of a literal list of terms, without building the array of terms,
/// which for small tensors costs as much as the sum.
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

/// Accumulator of [`combine()`]: takes one term after another.
#[derive(Debug)]
pub struct Sum<const D: usize> {
    /// The terms, while all of them are plain tensors of the same type and shape.
    plain: Vec<(f64, Option<FlexTensor>)>,
    /// Otherwise the partial sum.
    other: Option<Tensor<D>>,
    /// The first term of weight 0, for the shape of the sum if all weights are 0.
    zero: Option<Tensor<D>>,
}
impl<const D: usize> Default for Sum<D> {
    fn default() -> Self {
        Self::with_capacity(4)
    }
}
impl<const D: usize> Sum<D> {
    fn with_capacity(terms: usize) -> Self {
        Self { plain: Vec::with_capacity(terms), other: None, zero: None }
    }

    /// Adds `weight · x`.
    pub fn add(&mut self, weight: f64, x: Tensor<D>) {
        let x = x.into_dispatch();
        if weight != 0.0 && self.other.is_none() && is_plain(&x, self.plain.first().and_then(|(_, x)| x.as_ref())) {
            self.plain.push((weight, Some(into_plain(x))));
        } else {
            self.add_other(weight, Tensor::from_dispatch(x));
        }
    }

    #[cold]
    fn add_other(&mut self, weight: f64, x: Tensor<D>) {
        if weight == 0.0 {
            self.zero.get_or_insert(x);
            return;
        }
        let before = self
            .plain
            .drain(..)
            .map(|(weight, x)| (weight, to_tensor(x.expect("every term is present before the sum"))));
        let scaled = before.chain([(weight, x)]).map(|(weight, x)| if weight == 1.0 { x } else { x * weight });
        self.other = self.other.take().into_iter().chain(scaled).reduce(|total, x| total + x);
    }

    /// Returns the sum.
    ///
    /// # Panics
    /// If no term was added.
    pub fn total(self) -> Tensor<D> {
        match (self.other, self.plain.first()) {
            (Some(total), _) => total,
            (None, Some((_, Some(x)))) if x.dtype() == DType::F64 => to_tensor(sum::<f64>(self.plain)),
            (None, Some(_)) => to_tensor(sum::<f32>(self.plain)),
            (None, None) => self.zero.expect("a linear combination must have at least one term") * 0.0,
        }
    }
}

/// Tensors of which linear combinations with different weights are computed, such as the stages of a solver: none is
/// cloned or overwritten.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let mut terms = tweedie_kernels::ops::Terms::default();
/// for x in [[1.0, 2.0], [3.0, 5.0]] {
///     terms.push(Tensor::<1>::from_floats(x, &Device::flex()));
/// }
/// let values = |x: Tensor<1>| x.into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(values(terms.sum([2.0, -1.0])), [-1.0, -1.0]);
/// assert_eq!(values(terms.sum([0.0, 1.0])), [3.0, 5.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Terms<const D: usize> {
    /// The terms, while all of them are plain tensors of the same type and shape.
    plain: Vec<FlexTensor>,
    /// Otherwise all terms.
    other: Vec<Tensor<D>>,
}
impl<const D: usize> Default for Terms<D> {
    fn default() -> Self {
        Self { plain: Vec::with_capacity(8), other: vec![] }
    }
}
impl<const D: usize> Terms<D> {
    /// Appends a term.
    pub fn push(&mut self, x: Tensor<D>) {
        let x = x.into_dispatch();
        if self.other.is_empty() && is_plain(&x, self.plain.first()) {
            self.plain.push(into_plain(x));
        } else {
            self.other.extend(self.plain.drain(..).map(to_tensor));
            self.other.push(Tensor::from_dispatch(x));
        }
    }
    /// Removes and returns the last term; `None` if there is none.
    pub fn pop(&mut self) -> Option<Tensor<D>> {
        self.plain.pop().map(to_tensor).or_else(|| self.other.pop())
    }
    /// Computes `Σ wᵢ xᵢ` over the first terms, one per weight.
    ///
    /// # Panics
    /// If there is no term, or none for a weight other than 0.
    pub fn sum(&self, weights: impl IntoIterator<Item = f64>) -> Tensor<D> {
        match self.plain.first() {
            Some(first) if first.dtype() == DType::F64 => self.plain_sum::<f64>(first, weights),
            Some(first) => self.plain_sum::<f32>(first, weights),
            None => combine(self.weighted(weights).map(|(weight, i)| (weight, self.other[i].clone()))),
        }
    }
    /// Computes `Σ wᵢ xᵢ` with weights of their own for each row of the first axis: row r has the bits of
    /// [`sum`](Self::sum) by `weights[r]` of that row alone.
    ///
    /// # Panics
    /// If there is no term, none for a weight other than 0, or the number of rows is not that of `weights`.
    pub fn sum_rows<const N: usize>(&self, weights: &[[f64; N]]) -> Tensor<D> {
        if let [weights] = weights {
            return self.sum(*weights);
        }
        match self.plain.first() {
            Some(first) if first.dtype() == DType::F64 => self.plain_rows::<f64, N>(first, weights),
            Some(first) => self.plain_rows::<f32, N>(first, weights),
            None => {
                let used = |k: usize| weights.iter().any(|weights| weights[k] != 0.0);
                let product = |k: usize| {
                    let x = self.other[k].clone();
                    let column: Vec<f64> = weights.iter().map(|weights| weights[k]).collect();
                    let mut shape = [1; D];
                    shape[0] = weights.len();
                    let column = Tensor::<D>::from_data(TensorData::new(column, shape), (&x.device(), x.dtype()));
                    // A row of weight 0 is not read: it may hold NaN.
                    let unread = column.clone().equal_elem(0.0).expand(x.dims());
                    (x * column).mask_fill(unread, 0.0)
                };
                let products = (0..N).filter(|k| used(*k)).map(product);
                products.reduce(|a, b| a + b).unwrap_or_else(|| self.other[0].clone() * 0.0)
            }
        }
    }
    fn plain_rows<T: Scalar, const N: usize>(&self, first: &FlexTensor, weights: &[[f64; N]]) -> Tensor<D> {
        crate::keep_memory();
        let layout = first.layout();
        let (rows, n) = (weights.len(), layout.num_elements());
        assert_eq!(layout.shape()[0], rows, "there must be weights for each row");
        let (width, level) = (n / rows, Level::get());
        let mut out = T::allocate(n);
        let write_row = |row: usize, out: &mut [T]| {
            let mut slices = Vec::with_capacity(self.plain.len());
            slices.extend(self.weighted(weights[row]).map(|(weight, i)| {
                (T::of(weight), Some(&T::elements(&self.plain[i])[row * width..(row + 1) * width]))
            }));
            add_at(level, &slices, 0, out);
        };
        if n <= CHUNK {
            out.chunks_mut(width.max(1)).enumerate().for_each(|(row, out)| write_row(row, out));
        } else {
            let shared = Shared::new(&mut out);
            for_each(rows, |row| {
                // SAFETY: every task writes its own row.
                write_row(row, unsafe { shared.part(row * width..(row + 1) * width) });
            });
        }
        to_tensor(FlexTensor::from_data(TensorData::new(out, layout.shape().clone())))
    }
    /// The weights other than 0, with the indices of their terms; a weight 0 of the first term if all are 0.
    fn weighted(&self, weights: impl IntoIterator<Item = f64>) -> impl Iterator<Item = (f64, usize)> {
        let mut terms = weights.into_iter().zip(0..).filter(|(weight, _)| *weight != 0.0).peekable();
        let zero = terms.peek().is_none().then_some((0.0, 0));
        terms.chain(zero)
    }
    fn plain_sum<T: Scalar>(&self, first: &FlexTensor, weights: impl IntoIterator<Item = f64>) -> Tensor<D> {
        crate::keep_memory();
        let mut slices = Vec::with_capacity(self.plain.len());
        slices.extend(self.weighted(weights).map(|(weight, i)| (T::of(weight), Some(T::elements(&self.plain[i])))));
        to_tensor(fresh(&slices, first))
    }
}

/// Computes the sum, in the memory of a term without other references if there is one.
fn sum<T: Scalar>(mut terms: Vec<(f64, Option<FlexTensor>)>) -> FlexTensor {
    crate::keep_memory();
    let mut exclusive = terms.iter_mut().find_map(|(_, x)| x.take_if(|x| T::exclusive(x).is_some()));
    let slices: Vec<_> = terms.iter().map(|(weight, x)| (T::of(*weight), x.as_ref().map(T::elements))).collect();
    if let Some(out) = exclusive.as_mut().and_then(T::exclusive) {
        write(&slices, out);
        return exclusive.expect("there is such a term");
    }
    fresh(&slices, terms[0].1.as_ref().expect("no term was taken"))
}

/// Computes the sum in new memory, with the shape of `like`.
fn fresh<T: Scalar>(terms: &[(T, Option<&[T]>)], like: &FlexTensor) -> FlexTensor {
    let layout = like.layout();
    let mut out = T::allocate(layout.num_elements());
    write(terms, &mut out);
    if layout.start_offset() == 0 {
        return FlexTensor::new(Bytes::from_elems(out), layout.clone(), T::dtype());
    }
    FlexTensor::from_data(TensorData::new(out, layout.shape().clone()))
}

/// Computes the sum into `out`, which initially holds the elements of the term that is `None`, if there is one.
fn write<T: Scalar>(terms: &[(T, Option<&[T]>)], out: &mut [T]) {
    let (n, level) = (out.len(), Level::get());
    if n <= CHUNK {
        return add_at(level, terms, 0, out);
    }
    let shared = Shared::new(out);
    for_each(n.div_ceil(CHUNK), |chunk| {
        let range = chunk * CHUNK..n.min((chunk + 1) * CHUNK);
        // SAFETY: every task writes its own chunk.
        let out = unsafe { shared.part(range.clone()) };
        add_at(level, terms, range.start, out);
    });
}

/// Number of elements whose sums stay in registers while the terms are added.
const BLOCK: usize = 32;

/// Computes the part of the sum that begins at element `start`.
#[inline(always)]
fn add<S: Simd, T: Scalar>(s: S, terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) {
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

/// [`add_any`] with a number of terms known at compile time.
#[inline(always)]
fn add_some<S: Simd, T: Scalar, const N: usize>(s: S, terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) {
    let terms: &[_; N] = terms.try_into().expect("the lengths are equal");
    add_any(s, terms, start, out);
}

#[inline(always)]
fn add_any<S: Simd, T: Scalar>(_: S, terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) {
    let ((first, head), rest) = terms.split_first().expect("a linear combination has at least one term");
    let (wide, last) = out.as_chunks_mut::<BLOCK>();
    let mut start = start;
    for out in wide {
        let mut total = [T::default(); BLOCK];
        let x: &[T; BLOCK] = head.map_or(&*out, |x| x[start..start + BLOCK].try_into().expect("the lengths are equal"));
        for (total, x) in total.iter_mut().zip(x) {
            *total = *first * *x;
        }
        for (weight, x) in rest {
            let x: &[T; BLOCK] =
                x.map_or(&*out, |x| x[start..start + BLOCK].try_into().expect("the lengths are equal"));
            for (total, x) in total.iter_mut().zip(x) {
                *total = *total + *weight * *x;
            }
        }
        *out = total;
        start += BLOCK;
    }
    for (i, out) in last.iter_mut().enumerate() {
        let products = terms.iter().map(|(weight, x)| *weight * x.map_or(*out, |x| x[start + i]));
        *out = products.reduce(|a, b| a + b).expect("a linear combination has at least one term");
    }
}
dispatch! { fn add_at<T: Scalar>(terms: &[(T, Option<&[T]>)], start: usize, out: &mut [T]) = add; }

#[cfg(test)]
mod tests {
    use super::{Terms, combine};
    use burn::backend::{BackendTensor, DispatchTensorKind};
    use burn::tensor::{DType, Device, Tensor, TensorData};

    /// Elements without a pattern, so that their sums are rounded.
    fn tensor(n: usize, seed: f64, dtype: DType, device: &Device) -> Tensor<2> {
        let values: Vec<f64> = (0..n).map(|i| ((i as f64 + seed) * 1.618_033_9).sin()).collect();
        Tensor::from_data(TensorData::new(values, [n / 4, 4]), (device, dtype))
    }

    #[test]
    fn the_result_has_the_bits_of_one_operation_after_another() {
        let device = Device::flex();
        for (n, dtype) in [(8, DType::F32), (768, DType::F64), (100_000, DType::F32)] {
            let [a, b, c] = [0.1, 0.2, 0.3].map(|seed| tensor(n, seed, dtype, &device));
            let fused = combine([(0.3, a.clone()), (0.0, c.clone()), (-1.7, b.clone()), (1.0, c.clone())]);
            let parts = a * 0.3 + b * -1.7 + c;
            assert_eq!(fused.dtype(), dtype);
            let bits = |x: Tensor<2>| -> Vec<u64> { x.into_data().iter::<f64>().map(f64::to_bits).collect() };
            assert!(bits(fused) == bits(parts), "{n} values");
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
    fn rows_with_weights_of_their_own_have_the_bits_of_rows_alone() {
        let bits = |x: Tensor<2>| -> Vec<u64> { x.into_data().iter::<f64>().map(f64::to_bits).collect() };
        let (device, tracked) = (Device::flex(), Device::flex().autodiff());
        let weights = [[0.3, 0.0, -1.7], [0.0, 0.0, 0.0], [1.0, -0.5, 0.25], [0.0, 2.0, 0.0]];
        for (dtype, last) in [(DType::F32, &device), (DType::F64, &device), (DType::F32, &tracked)] {
            for width in [5, 40_000] {
                let make = |seed: f64, on: &Device| {
                    let values: Vec<f64> = (0..4 * width).map(|i| ((i as f64 + seed) * 1.618_033_9).sin()).collect();
                    Tensor::<2>::from_data(TensorData::new(values, [4, width]), (on, dtype))
                };
                let all = [make(0.1, &device), make(0.2, &device), make(0.3, last)];
                let mut terms = Terms::default();
                all.iter().for_each(|x| terms.push(x.clone()));
                let rows = bits(terms.sum_rows(&weights));
                for (row, own) in weights.into_iter().enumerate() {
                    let mut alone = Terms::default();
                    all.iter().for_each(|x| alone.push(x.clone().narrow(0, row, 1) * 1.0));
                    let part = &rows[row * width..(row + 1) * width];
                    let zero = |bits: &u64| f64::from_bits(*bits) == 0.0;
                    let alone = bits(alone.sum(own));
                    assert!(part.iter().zip(&alone).all(|(a, b)| a == b || zero(a) && zero(b)), "{dtype:?}, {row}");
                }
            }
        }
    }

    #[test]
    fn only_a_term_without_other_references_is_overwritten() {
        let device = Device::flex();
        let x = tensor(64, 0.1, DType::F32, &device);
        let values = |x: Tensor<2>| -> Vec<f32> { x.into_data().try_to_vec().unwrap() };
        let before = values(x.clone());
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
        assert_eq!(values(fused), values(parts));
        assert_eq!(values(x.clone()), before);
        // A term twice is not alone.
        assert_eq!(values(combine([(1.0, x.clone()), (1.0, x)])), before.iter().map(|x| x + x).collect::<Vec<_>>());
    }

    #[test]
    fn views_tracked_tensors_and_broadcasting_use_the_operations_of_burn() {
        let device = Device::flex();
        let x = tensor(16, 0.1, DType::F32, &device);
        let turned = combine([(2.0, x.clone().transpose()), (1.0, x.clone().transpose())]);
        let plain = (x.clone() * 2.0 + x.clone()).transpose();
        let values = |x: Tensor<2>| -> Vec<f32> { x.into_data().try_to_vec().unwrap() };
        assert_eq!(values(turned), values(plain));
        let x = tensor(16, 0.1, DType::F32, &Device::flex().autodiff()).require_grad();
        let gradients = combine([(2.0, x.clone()), (3.0, x.clone())]).sum().backward();
        assert_eq!(values(x.grad(&gradients).unwrap()), vec![5.0; 16]);
        // One row for all is broadcast.
        let row: Tensor<2> = tensor(4, 0.7, DType::F32, &device);
        let wide = combine([(1.0, row.clone()), (1.0, tensor(16, 0.0, DType::F32, &device))]);
        assert_eq!(wide.dims(), [4, 4]);
    }
}

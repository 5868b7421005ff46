//! Matrix products.
//!
//! All products use one register tile of up to [`Simd::ROWS`] rows by two vectors. Each element of the result is a sum
//! of chains of multiply-adds in the order of k, each at most [`DEPTH`] long, independent of how rows and columns are
//! blocked. So a row of the result does not depend on the other rows.
use crate::parallel::{Scratch, Shared, for_each};
use crate::simd::{Init, Level, Panel, Simd, dispatch};

/// Maximum length of an accumulation chain along k. Longer products are sums of chains of this length.
pub(crate) const DEPTH: usize = 256;

/// Strided view of a matrix in a slice: element `(i, j)` is `data[i · row_stride + j · col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    /// Number of rows, and stride from one to the next.
    rows: (usize, usize),
    /// Number of columns, and stride from one to the next.
    cols: (usize, usize),
}

impl<'a> Matrix<'a> {
    /// Creates a view of a matrix in row-major order.
    ///
    /// # Panics
    /// If the length of the slice is not `rows × cols`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix must have {} elements", rows * cols);
        Self { data, rows: (rows, cols), cols: (cols, 1) }
    }

    /// Creates a view with the given strides of rows and columns.
    ///
    /// # Panics
    /// If the slice is too short for the last element.
    pub fn strided(data: &'a [f32], rows: usize, row_stride: usize, cols: usize, col_stride: usize) -> Self {
        let need = if rows * cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 };
        assert!(data.len() >= need, "a slice of at least {need} elements is needed for the matrix, got {}", data.len());
        Self { data, rows: (rows, row_stride), cols: (cols, col_stride) }
    }

    /// Returns the transpose, a view of the same data.
    pub fn transposed(self) -> Self {
        Self { data: self.data, rows: self.cols, cols: self.rows }
    }

    /// Returns the number of rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows.0, self.cols.0]
    }
}

/// Computes the matrix product `C = A B + bias`, with the bias added to every row.
///
/// ```
/// use tweedie_kernels::{Matrix, matmul};
/// let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
/// let mut c = [0.0; 4];
/// matmul(Matrix::new(&a, 2, 2), Matrix::new(&b, 2, 2), None, &mut c);
/// assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
/// ```
///
/// # Shapes
/// `a: [m, k]`, `b: [k, n]`, `bias: [n]`, `c: [m, n]` in row-major order.
///
/// # Panics
/// If the shapes do not match.
pub fn matmul(a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>, c: &mut [f32]) {
    matmul_at(Level::get(), a, b, bias, c);
}

fn matmul_at(level: Level, a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>, c: &mut [f32]) {
    let ([m, k], [k2, n]) = (a.shape(), b.shape());
    assert_eq!(k, k2, "the inner dimensions of a product must be equal, got {m}×{k} and {k2}×{n}");
    assert_eq!(c.len(), m * n, "the product of {m}×{k} and {k2}×{n} must have {} elements", m * n);
    assert!(bias.is_none_or(|bias| bias.len() == n), "the bias must have {n} elements, one per column");
    if m * n == 0 {
        return;
    }
    if k == 0 {
        for row in c.chunks_exact_mut(n) {
            match bias {
                Some(bias) => row.copy_from_slice(bias),
                None => row.fill(0.0),
            }
        }
        return;
    }
    let width = panel_width(level);
    let panels = n.div_ceil(width);
    let mut packed = Scratch::new(panels * k * width);
    {
        let packed = Shared::new(&mut packed);
        // Several panels per task, unless they are long.
        let step = (1 << 14) / (k * width) + 1;
        for_each(panels.div_ceil(step), |task| {
            let (first, last) = (task * step, panels.min(task * step + step));
            // SAFETY: every task writes its own panels.
            let part = unsafe { packed.part(first * k * width..last * k * width) };
            for (p, part) in (first..last).zip(part.chunks_exact_mut(k * width)) {
                pack_at(level, b, p * width, part);
            }
        });
    }
    // Blocks of about 96 rows by 256 columns, smaller if there would be fewer than 8.
    let (mut rows, mut across) = (96, (256 / width).max(1));
    let tasks = |rows: usize, across: usize| m.div_ceil(rows) * panels.div_ceil(across);
    while tasks(rows, across) < 8 && (across > 1 || rows > 24) {
        if across > 1 { across = across.div_ceil(2) } else { rows /= 2 }
    }
    let blocks = panels.div_ceil(across);
    let c = Shared::new(c);
    for_each(tasks(rows, across), |task| {
        let (i, p) = (task / blocks * rows, task % blocks * across);
        let block = Block {
            a,
            packed: &packed,
            bias,
            c: c.as_ptr(),
            n,
            i,
            m: rows.min(m - i),
            first: p,
            last: panels.min(p + across),
        };
        // SAFETY: the blocks are disjoint parts of C; `packed` holds k × width floats per panel.
        unsafe { block_at(level, block) }
    });
}

/// Computes the column sums of a row-major matrix with `out.len()` columns: the gradient of a bias.
///
/// `out[j] = Σᵢ x[i, j]`. Groups of 64 rows are summed in parallel, and the sums of the groups are added in order.
///
/// ```
/// let mut sums = [0.0; 2];
/// tweedie_kernels::column_sums(&[1.0, 2.0, 3.0, 4.0], &mut sums);
/// assert_eq!(sums, [4.0, 6.0]);
/// ```
pub fn column_sums(x: &[f32], out: &mut [f32]) {
    const ROWS: usize = 64;
    let (level, n) = (Level::get(), out.len());
    out.fill(0.0);
    if n == 0 || x.is_empty() {
        return;
    }
    let groups = x.len().div_ceil(ROWS * n);
    let mut sums = Scratch::new(groups * n);
    {
        let sums = Shared::new(&mut sums);
        for_each(groups, |group| {
            // SAFETY: every task writes its own row of sums.
            let sums = unsafe { sums.part(group * n..(group + 1) * n) };
            columns_at(level, &x[group * ROWS * n..x.len().min((group + 1) * ROWS * n)], sums);
        });
    }
    columns_at(level, &sums, out);
}

/// Sums the rows of `x`.
#[inline(always)]
fn columns<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    let n = out.len();
    let mut j = 0;
    while j < n {
        let mut sum = s.zero();
        for row in x.chunks_exact(n) {
            sum = sum + s.load_at(row, j, 0.0);
        }
        s.store_at(out, j, sum);
        j += S::LANES;
    }
}
dispatch! { fn columns_at(x: &[f32], out: &mut [f32]) = columns; }

/// Number of columns of a panel of B: two vectors.
pub(crate) fn panel_width(level: Level) -> usize {
    lanes_at(level) * 2
}

#[inline(always)]
fn lanes<S: Simd>(_: S) -> usize {
    S::LANES
}
dispatch! { fn lanes_at() -> usize = lanes; }

/// Packs columns `j..j + 2 LANES` of B in row-major order, with zeros beyond its last column.
#[inline(always)]
fn pack<S: Simd>(s: S, b: Matrix<'_>, j: usize, out: &mut [f32]) {
    let width = 2 * S::LANES;
    let (k, n) = (b.rows.0, b.cols.0);
    let cols = width.min(n - j);
    if b.cols.1 == 1 {
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            let row = &b.data[i * b.rows.1 + j..][..cols];
            if cols == width {
                s.store(out, s.load(row));
                s.store(&mut out[S::LANES..], s.load(&row[S::LANES..]));
            } else {
                out[..cols].copy_from_slice(row);
                out[cols..].fill(0.0);
            }
        }
    } else if b.rows.1 == 1 {
        if cols < width {
            out.fill(0.0);
        }
        let source = &b.data[j * b.cols.1..];
        assert!(out.len() >= k * width && source.len() >= (cols - 1) * b.cols.1 + k);
        // SAFETY: `cols` rows of k floats in `source`, k rows of `width ≥ cols` in `out`, as checked above.
        unsafe { s.transpose(cols, k, source.as_ptr(), b.cols.1, out.as_mut_ptr(), width) }
    } else {
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            for (q, out) in out.iter_mut().enumerate() {
                *out = if q < cols { b.data[i * b.rows.1 + (j + q) * b.cols.1] } else { 0.0 };
            }
        }
    }
}
dispatch! { fn pack_at(b: Matrix<'_>, j: usize, out: &mut [f32]) = pack; }

/// Block of a product: rows `i..i + m` and panels `first..last`.
#[derive(Clone, Copy)]
struct Block<'a> {
    a: Matrix<'a>,
    packed: &'a [f32],
    bias: Option<&'a [f32]>,
    c: *mut f32,
    n: usize,
    i: usize,
    m: usize,
    first: usize,
    last: usize,
}

/// Computes one block of C, in chains of [`DEPTH`].
///
/// # Safety
/// The block's rows and columns of C, with row stride `n`, must be writable and written by no other task.
#[inline(always)]
unsafe fn block<S: Simd>(s: S, block: Block<'_>) {
    let Block { a, packed, bias, c, n, i, m, first, last } = block;
    let (k, width) = (a.cols.0, 2 * S::LANES);
    // Rows whose stride is a multiple of the page size would map to the same cache sets: they are copied.
    let direct = a.rows.1 == 1 || (a.cols.1 == 1 && (m <= 2 || a.rows.1 % 256 != 0));
    let ld = DEPTH + 16;
    let mut copy = Scratch::new(if direct { 0 } else { m * ld });
    let mut k0 = 0;
    while k0 < k {
        let depth = DEPTH.min(k - k0);
        let start = i * a.rows.1 + k0 * a.cols.1;
        let (ap, ars, acs) = if direct {
            (a.data[start..].as_ptr(), a.rows.1, a.cols.1)
        } else {
            for (r, copy) in copy.chunks_exact_mut(ld).enumerate() {
                let row = &a.data[start + r * a.rows.1..];
                if a.cols.1 == 1 {
                    copy[..depth].copy_from_slice(&row[..depth]);
                } else {
                    for (q, copy) in copy[..depth].iter_mut().enumerate() {
                        *copy = row[q * a.cols.1];
                    }
                }
            }
            (copy.as_ptr(), ld, 1)
        };
        for p in first..last {
            let cols = width.min(n - p * width);
            // SAFETY: A has rows i..i + m and columns k0..k0 + depth at these strides; a panel has k × width floats;
            // the block of C is covered by the contract of this function.
            unsafe {
                let b = packed[(p * k + k0) * width..].as_ptr();
                let out = c.add(i * n + p * width);
                let init = match (k0, bias) {
                    (0, Some(bias)) => Init::ColumnBias(bias[p * width..].as_ptr()),
                    (0, None) => Init::Zero,
                    _ => Init::Accumulate,
                };
                panel(s, m, depth, (ap, ars, acs), (b, width), (out, n), cols, init);
            }
        }
        k0 += depth;
    }
}
dispatch! { unsafe fn block_at(block_: Block<'_>) = block; }

/// Computes a [`Panel`] of a product with k at most [`DEPTH`].
///
/// # Safety
/// As for [`Simd::panel_product`].
#[inline(always)]
pub(crate) unsafe fn panel<S: Simd>(
    s: S,
    m: usize,
    k: usize,
    a: (*const f32, usize, usize),
    b: (*const f32, usize),
    c: (*mut f32, usize),
    cols: usize,
    init: Init,
) {
    // SAFETY: guaranteed by the caller.
    unsafe { s.panel_product(Panel { m, k, a, b, c, cols, init }) }
}

/// Computes a [`Panel`] of a product with any k, in chains of [`DEPTH`].
///
/// # Safety
/// As for [`Simd::panel_product`].
#[inline(always)]
pub(crate) unsafe fn deep_panel<S: Simd>(
    s: S,
    m: usize,
    k: usize,
    a: (*const f32, usize, usize),
    b: (*const f32, usize),
    c: (*mut f32, usize),
    cols: usize,
    mut init: Init,
) {
    let mut k0 = 0;
    while k0 < k {
        let depth = DEPTH.min(k - k0);
        // SAFETY: guaranteed by the caller; each call covers a part of k.
        unsafe { panel(s, m, depth, (a.0.add(k0 * a.2), a.1, a.2), (b.0.add(k0 * b.1), b.1), c, cols, init) };
        init = Init::Accumulate;
        k0 += depth;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn exact(a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>) -> Vec<f64> {
        let ([m, k], [_, n]) = (a.shape(), b.shape());
        let at = |x: &Matrix<'_>, i: usize, j: usize| f64::from(x.data[i * x.rows.1 + j * x.cols.1]);
        (0..m * n)
            .map(|q| {
                let (i, j) = (q / n, q % n);
                bias.map_or(0.0, |b| f64::from(b[j])) + (0..k).map(|k| at(&a, i, k) * at(&b, k, j)).sum::<f64>()
            })
            .collect()
    }

    #[test]
    fn products_of_any_size_and_layout_are_correct() {
        let mut random = TestRng::new(3);
        let random = (0..15).map(|_| (random.below(60) + 1, random.below(300) + 1, random.below(70) + 1));
        for (q, (m, k, n)) in [
            (1, 1, 1),
            (1, 300, 17),
            (5, 3, 33),
            (13, 257, 31),
            (97, 64, 65),
            (12, 512, 32),
            (30, 1024, 16),
            (200, 70, 300),
        ]
        .into_iter()
        .chain(random)
        .enumerate()
        {
            let (x, y, bias) = (
                random_values(m * k, 1 + q as u64, 1.0),
                random_values(k * n, 50 + q as u64, 1.0),
                random_values(n, 9, 1.0),
            );
            let left = [Matrix::new(&x, m, k), Matrix::new(&x, k, m).transposed()];
            let right = [Matrix::new(&y, k, n), Matrix::new(&y, n, k).transposed()];
            for level in Level::available() {
                for (a, b) in [(left[0], right[0]), (left[0], right[1]), (left[1], right[0]), (left[1], right[1])] {
                    for bias in [None, Some(&bias[..])] {
                        let mut c = vec![f32::NAN; m * n];
                        matmul_at(level, a, b, bias, &mut c);
                        let e = error(&c, &exact(a, b, bias));
                        assert!(e < 1e-6, "{m}×{k}×{n} at {level:?}: {e}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_other_rows_or_on_the_number_of_threads() {
        let (k, n) = (600, 75);
        let (x, y) = (random_values(130 * k, 3, 1.0), random_values(k * n, 4, 1.0));
        let all = same_on_any_number_of_threads(|| {
            let mut c = vec![0.0; 130 * n];
            matmul(Matrix::new(&x, 130, k), Matrix::new(&y, k, n), None, &mut c);
            c
        });
        for (first, rows) in [(0, 1), (77, 1), (5, 13), (100, 30)] {
            let mut c = vec![0.0; rows * n];
            matmul(Matrix::new(&x[first * k..][..rows * k], rows, k), Matrix::new(&y, k, n), None, &mut c);
            assert_eq!(c[..], all[first * n..][..rows * n], "rows {first}.. alone");
        }
    }
}

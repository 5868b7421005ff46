//! Matrix products.
//!
//! One register tile does all the work: up to [`Simd::ROWS`] rows by two vectors. Each number of the result is one chain
//! of multiply-adds in the order of k, begun anew every [`DEPTH`] steps; how rows and columns are cut does not enter.
//! So a row of the result is the same whatever the other rows are.
use crate::parallel::{Scratch, Shared, for_each};
use crate::simd::{Float, Level, MAX_LANES, Simd, dispatch};

/// Steps of one chain of sums. Longer products are summed from chains of this length.
pub(crate) const DEPTH: usize = 256;

/// A matrix somewhere in a slice: number `(i, j)` is `data[i · rows.1 + j · cols.1]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: (usize, usize),
    cols: (usize, usize),
}

impl<'a> Matrix<'a> {
    /// A matrix stored row after row.
    ///
    /// # Panics
    /// If the slice is not `rows × cols` long.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix needs {} numbers", rows * cols);
        Self { data, rows: (rows, cols), cols: (cols, 1) }
    }

    /// A matrix whose rows and columns begin so many numbers apart.
    ///
    /// # Panics
    /// If the slice ends before the matrix does.
    pub fn strided(data: &'a [f32], rows: usize, row_stride: usize, cols: usize, col_stride: usize) -> Self {
        let need = if rows * cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 };
        assert!(data.len() >= need, "a matrix of {need} numbers in a slice of {}", data.len());
        Self { data, rows: (rows, row_stride), cols: (cols, col_stride) }
    }

    /// Rows as columns, without moving anything.
    pub fn transposed(self) -> Self {
        Self { data: self.data, rows: self.cols, cols: self.rows }
    }

    /// Number of rows and of columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows.0, self.cols.0]
    }
}

/// `C = A B + bias`, the bias added to every row.
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
/// `a: [m, k]`, `b: [k, n]`, `bias: [n]`, `c: [m, n]` row after row.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul(a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>, c: &mut [f32]) {
    matmul_at(Level::get(), a, b, bias, c);
}

fn matmul_at(level: Level, a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>, c: &mut [f32]) {
    let ([m, k], [k2, n]) = (a.shape(), b.shape());
    assert_eq!(k, k2, "a product of {m}×{k} and {k2}×{n}");
    assert_eq!(c.len(), m * n, "a product of {m}×{k} and {k2}×{n} has {} numbers", m * n);
    assert!(bias.is_none_or(|bias| bias.len() == n), "a bias has as many numbers as the product has columns");
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
        // Several panels to a task, unless they are long.
        let step = (1 << 14) / (k * width) + 1;
        for_each(panels.div_ceil(step), |task| {
            let (first, last) = (task * step, panels.min(task * step + step));
            // SAFETY: every task has its own panels.
            let part = unsafe { packed.part(first * k * width..last * k * width) };
            for (p, part) in (first..last).zip(part.chunks_exact_mut(k * width)) {
                pack_at(level, b, p * width, part);
            }
        });
    }
    // Blocks of about 96 rows by 256 columns, smaller where that leaves few.
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
        // SAFETY: the blocks are disjoint parts of C; `packed` holds k × width numbers a panel.
        unsafe { block_at(level, block) }
    });
}

/// The sums of the columns of a matrix stored row after row, as many as `out` is long: gradients by a bias.
///
/// Sums of 64 rows at a time, added in order.
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
            // SAFETY: every task has its own row of sums.
            let sums = unsafe { sums.part(group * n..(group + 1) * n) };
            columns_at(level, &x[group * ROWS * n..x.len().min((group + 1) * ROWS * n)], sums);
        });
    }
    columns_at(level, &sums, out);
}

/// Adds the rows.
#[inline(always)]
fn columns<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    let n = out.len();
    let mut j = 0;
    while j < n {
        let mut sum = s.zero();
        for row in x.chunks_exact(n) {
            sum = sum + s.get(row, j, 0.0);
        }
        s.put(out, j, sum);
        j += S::LANES;
    }
}
dispatch! { fn columns_at(x: &[f32], out: &mut [f32]) = columns; }

/// Columns of a panel of B.
pub(crate) fn panel_width(level: Level) -> usize {
    lanes_at(level) * 2
}

#[inline(always)]
fn lanes<S: Simd>(_: S) -> usize {
    S::LANES
}
dispatch! { fn lanes_at() -> usize = lanes; }

/// Columns `j..j + 2 LANES` of B, row after row, zeros beyond its edge.
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
        // SAFETY: `cols` rows of k numbers in `source`, k rows of `width ≥ cols` in `out`, as just checked.
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

/// Rows `i..i + m` and panels `first..last` of a product.
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

/// # Safety
/// The block's rows and columns of C, `n` numbers a row, can be written and nobody else does.
#[inline(always)]
unsafe fn block<S: Simd>(s: S, block: Block<'_>) {
    let Block { a, packed, bias, c, n, i, m, first, last } = block;
    let (k, width) = (a.cols.0, 2 * S::LANES);
    // Rows a multiple of the page size apart would fall on each other in the cache: such are copied apart.
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
            // SAFETY: A has rows i..i + m and columns k0..k0 + depth at these strides; a panel has k × width numbers; the
            // part of C is the caller's.
            unsafe {
                let b = packed[(p * k + k0) * width..].as_ptr();
                let out = c.add(i * n + p * width);
                let first = match (k0, bias) {
                    (0, Some(bias)) => Start::Bias(bias[p * width..].as_ptr()),
                    (0, None) => Start::Zero,
                    _ => Start::Old,
                };
                panel(s, m, depth, (ap, ars, acs), (b, width), (out, n), cols, first);
            }
        }
        k0 += depth;
    }
}
dispatch! { unsafe fn block_at(block_: Block<'_>) = block; }

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// Nothing.
    Zero,
    /// What stands there.
    Old,
    /// A number a column.
    Bias(*const f32),
    /// A number a row.
    RowBias(*const f32),
}

/// `C = start + A B` for a panel of at most two vectors' columns, any number of rows.
///
/// `A[i, k] = a.0[i · a.1 + k · a.2]`; `B[k, ·]` begins at `b.0[k · b.1]`; `C[i, ·]` at `c.0[i · c.1]`, `cols` numbers.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    m: usize,
    k: usize,
    a: (*const f32, usize, usize),
    b: (*const f32, usize),
    c: (*mut f32, usize),
    cols: usize,
    start: Start,
}

/// The product of a [`Panel`].
///
/// # Safety
/// All its places of A and C can be read, C's also written, and of every row of B as many whole vectors as `cols`
/// reaches into.
#[inline(always)]
pub(crate) unsafe fn panel<S: Simd>(
    s: S,
    m: usize,
    k: usize,
    a: (*const f32, usize, usize),
    b: (*const f32, usize),
    c: (*mut f32, usize),
    cols: usize,
    start: Start,
) {
    // SAFETY: the caller's.
    unsafe { s.product(Panel { m, k, a, b, c, cols, start }) }
}

/// What [`Simd::product`] compiles.
///
/// # Safety
/// As for [`panel`].
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(s: S, panel: Panel) {
    let Panel { m, k, a: (a, ars, acs), b, c: (c, crs), cols, start } = panel;
    // Rows in groups as even as possible.
    let groups = m.div_ceil(S::ROWS);
    let mut i = 0;
    for g in 0..groups {
        let rows = m / groups + usize::from(g < m % groups);
        // SAFETY: rows i..i + rows of the caller's.
        unsafe {
            let a = (a.add(i * ars), ars, acs);
            let c = (c.add(i * crs), crs);
            let start = if let Start::RowBias(bias) = start { Start::RowBias(bias.add(i)) } else { start };
            macro_rules! with_rows {
                ($($n:literal)*) => {
                    match rows {
                        $($n if $n <= S::ROWS => if cols > S::LANES {
                            tile::<S, $n, 2>(s, k, a, b, c, cols, start)
                        } else {
                            tile::<S, $n, 1>(s, k, a, b, c, cols, start)
                        },)*
                        _ => unreachable!(),
                    }
                };
            }
            with_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
        i += rows;
    }
}

/// A product of any depth, in chains of [`DEPTH`].
///
/// # Safety
/// As for [`panel`].
#[inline(always)]
pub(crate) unsafe fn deep_panel<S: Simd>(
    s: S,
    m: usize,
    k: usize,
    a: (*const f32, usize, usize),
    b: (*const f32, usize),
    c: (*mut f32, usize),
    cols: usize,
    mut start: Start,
) {
    let mut k0 = 0;
    while k0 < k {
        let depth = DEPTH.min(k - k0);
        // SAFETY: the caller's, a piece at a time.
        unsafe { panel(s, m, depth, (a.0.add(k0 * a.2), a.1, a.2), (b.0.add(k0 * b.1), b.1), c, cols, start) };
        start = Start::Old;
        k0 += depth;
    }
}

/// # Safety
/// As for [`panel`], of `M` rows.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const V: usize>(
    s: S,
    k: usize,
    (mut a, ars, acs): (*const f32, usize, usize),
    (mut b, brs): (*const f32, usize),
    (c, crs): (*mut f32, usize),
    cols: usize,
    start: Start,
) {
    let mut sums = [[s.zero(); V]; M];
    // SAFETY: the caller's, row by row.
    unsafe {
        // Not unrolled any further: many more loads in flight than registers make the compiler keep them in memory.
        for _ in 0..k {
            let mut row = [s.zero(); V];
            for v in 0..V {
                row[v] = s.read(b.add(v * S::LANES));
            }
            for i in 0..M {
                let x = s.splat(*a.add(i * ars));
                for v in 0..V {
                    sums[i][v] = x.mul_add(row[v], sums[i][v]);
                }
            }
            a = a.wrapping_add(acs);
            b = b.wrapping_add(brs);
        }
        // Loops this plain are unrolled, which keeps the sums in registers.
        if cols == V * S::LANES {
            match start {
                Start::Zero => {
                    for i in 0..M {
                        for v in 0..V {
                            s.write(c.add(i * crs + v * S::LANES), sums[i][v]);
                        }
                    }
                }
                Start::Old => {
                    for i in 0..M {
                        for v in 0..V {
                            let at = c.add(i * crs + v * S::LANES);
                            s.write(at, s.read(at) + sums[i][v]);
                        }
                    }
                }
                Start::Bias(bias) => {
                    for i in 0..M {
                        for v in 0..V {
                            let sum = s.read(bias.add(v * S::LANES)) + sums[i][v];
                            s.write(c.add(i * crs + v * S::LANES), sum);
                        }
                    }
                }
                Start::RowBias(bias) => {
                    for i in 0..M {
                        for v in 0..V {
                            s.write(c.add(i * crs + v * S::LANES), s.splat(*bias.add(i)) + sums[i][v]);
                        }
                    }
                }
            }
        } else {
            let mut buffer = [[0.0; 2 * MAX_LANES]; MAX_ROWS];
            for i in 0..M {
                for v in 0..V {
                    s.write(buffer[i].as_mut_ptr().add(v * S::LANES), sums[i][v]);
                }
            }
            edge(&buffer[..M], (c, crs), cols, start);
        }
    }
}

/// The most rows of any instruction set's tile.
const MAX_ROWS: usize = 12;

/// Stores a tile that is narrower than its vectors.
///
/// # Safety
/// As for [`panel`].
#[inline(never)]
unsafe fn edge(sums: &[[f32; 2 * MAX_LANES]], (c, crs): (*mut f32, usize), cols: usize, start: Start) {
    for (i, row) in sums.iter().enumerate() {
        for (j, &sum) in row[..cols].iter().enumerate() {
            // SAFETY: row i, column j of the caller's.
            unsafe {
                let at = c.add(i * crs + j);
                *at = match start {
                    Start::Zero => sum,
                    Start::Old => *at + sum,
                    Start::Bias(bias) => *bias.add(j) + sum,
                    Start::RowBias(bias) => *bias.add(i) + sum,
                };
            }
        }
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
    fn products_of_any_size_and_layout_are_right() {
        let mut random = Numbers::new(3);
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
            let (x, y, bias) =
                (numbers(m * k, 1 + q as u64, 1.0), numbers(k * n, 50 + q as u64, 1.0), numbers(n, 9, 1.0));
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
    fn a_row_does_not_depend_on_the_others_nor_on_threads() {
        let (k, n) = (600, 75);
        let (x, y) = (numbers(130 * k, 3, 1.0), numbers(k * n, 4, 1.0));
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

//! The register tile that every matrix product goes through.
use super::panel::{Init, Panel};
use super::traits::{Float, MAX_LANES, Simd};

/// Computes a [`Panel`]: the generic body of [`Simd::panel_product`].
///
/// # Safety
/// All elements of A and C at their strides must be readable, those of C writable, and of every row of B as many whole
/// vectors as `cols` reaches into.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(s: S, panel: Panel) {
    let Panel { m, k, a: (a, ars, acs), b, c: (c, crs), cols, init } = panel;
    // Rows are split into groups of nearly equal size.
    let groups = m.div_ceil(S::ROWS);
    let mut i = 0;
    for g in 0..groups {
        let rows = m / groups + usize::from(g < m % groups);
        // SAFETY: rows i..i + rows of the caller's operands.
        unsafe {
            let a = (a.add(i * ars), ars, acs);
            let c = (c.add(i * crs), crs);
            let init = if let Init::RowBias(bias) = init { Init::RowBias(bias.add(i)) } else { init };
            macro_rules! with_rows {
                ($($n:literal)*) => {
                    match rows {
                        $($n if $n <= S::ROWS => if cols > S::LANES {
                            tile::<S, $n, 2>(s, k, a, b, c, cols, init)
                        } else {
                            tile::<S, $n, 1>(s, k, a, b, c, cols, init)
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

/// Register tile of `M` rows by `V` vectors: `M V` accumulators stay in registers while k advances.
///
/// # Safety
/// As for [`run`], with `M` rows.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const V: usize>(
    s: S,
    k: usize,
    (mut a, ars, acs): (*const f32, usize, usize),
    (mut b, brs): (*const f32, usize),
    (c, crs): (*mut f32, usize),
    cols: usize,
    init: Init,
) {
    let mut sums = [[s.zero(); V]; M];
    // SAFETY: guaranteed by the caller, row by row.
    unsafe {
        // Not unrolled further: more loads in flight than there are registers would be spilled to memory.
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
        // Loops as simple as these are unrolled, which keeps the accumulators in registers.
        if cols == V * S::LANES {
            match init {
                Init::Zero => {
                    for i in 0..M {
                        for v in 0..V {
                            s.write(c.add(i * crs + v * S::LANES), sums[i][v]);
                        }
                    }
                }
                Init::Accumulate => {
                    for i in 0..M {
                        for v in 0..V {
                            let at = c.add(i * crs + v * S::LANES);
                            s.write(at, s.read(at) + sums[i][v]);
                        }
                    }
                }
                Init::ColumnBias(bias) => {
                    for i in 0..M {
                        for v in 0..V {
                            let sum = s.read(bias.add(v * S::LANES)) + sums[i][v];
                            s.write(c.add(i * crs + v * S::LANES), sum);
                        }
                    }
                }
                Init::RowBias(bias) => {
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
            edge(&buffer[..M], (c, crs), cols, init);
        }
    }
}

/// Maximum of [`Simd::ROWS`] over the instruction sets.
const MAX_ROWS: usize = 12;

/// Stores a tile whose number of columns is not a multiple of the vector length.
///
/// # Safety
/// As for [`run`].
#[inline(never)]
unsafe fn edge(sums: &[[f32; 2 * MAX_LANES]], (c, crs): (*mut f32, usize), cols: usize, init: Init) {
    for (i, row) in sums.iter().enumerate() {
        for (j, &sum) in row[..cols].iter().enumerate() {
            // SAFETY: row i, column j of the caller's C.
            unsafe {
                let at = c.add(i * crs + j);
                *at = match init {
                    Init::Zero => sum,
                    Init::Accumulate => *at + sum,
                    Init::ColumnBias(bias) => *bias.add(j) + sum,
                    Init::RowBias(bias) => *bias.add(i) + sum,
                };
            }
        }
    }
}

//! One panel of a matrix product, as data: what the register tile of an instruction set is asked to compute.

/// Initial value of C, to which the product is added.
#[derive(Clone, Copy)]
pub(crate) enum Init {
    /// Zero.
    Zero,
    /// The previous contents of C.
    Accumulate,
    /// One number per column.
    ColumnBias(*const f32),
    /// One number per row.
    RowBias(*const f32),
}

/// `C = init + A B` for a panel of at most two vectors' columns and any number of rows.
///
/// `A[i, k] = a.0[i · a.1 + k · a.2]`; `B[k, ·]` begins at `b.0[k · b.1]`; `C[i, ·]` begins at `c.0[i · c.1]` and has
/// `cols` elements.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    /// Rows of A and C.
    pub(crate) m: usize,
    /// Columns of A, rows of B.
    pub(crate) k: usize,
    pub(crate) a: (*const f32, usize, usize),
    pub(crate) b: (*const f32, usize),
    pub(crate) c: (*mut f32, usize),
    /// Columns of B and C.
    pub(crate) cols: usize,
    pub(crate) init: Init,
}

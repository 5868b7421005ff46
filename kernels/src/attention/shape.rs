//! Shapes and memory layouts of an attention.

/// Memory layout of queries, keys, values or outputs: element d of row n of head h of sample b is at index
/// `offset + b · sample + h · head + n · row + d · column`. Either `row` or `column` must be 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strides {
    /// Index of the first element.
    pub offset: usize,
    /// Stride from a sample to the next.
    pub sample: usize,
    /// Stride from a head to the next.
    pub head: usize,
    /// Stride from a row to the next.
    pub row: usize,
    /// Stride from an element of a row to the next.
    pub column: usize,
}

impl Strides {
    /// Strides of a contiguous tensor `[batch, heads, count, width]`.
    pub fn contiguous(heads: usize, count: usize, width: usize) -> Self {
        Self { offset: 0, sample: heads * count * width, head: count * width, row: width, column: 1 }
    }

    /// Strides of part `part` of a tensor `[batch, count, parts, heads, width]`: the output of one linear layer for
    /// queries, keys and values together. With `parts` = 1, the heads of a token are contiguous.
    pub fn fused(part: usize, parts: usize, heads: usize, count: usize, width: usize) -> Self {
        let row = parts * heads * width;
        Self { offset: part * heads * width, sample: count * row, head: width, row, column: 1 }
    }

    /// Strides of part `part` of a tensor `[batch, parts, heads, width, count]`: the output of one 1×1 convolution, for
    /// images of `count` pixels.
    pub fn channels(part: usize, parts: usize, heads: usize, count: usize, width: usize) -> Self {
        let head = width * count;
        Self { offset: part * heads * head, sample: parts * heads * head, head, row: 1, column: count }
    }

    /// Index of the first element of head h of sample b.
    pub(super) fn start(&self, b: usize, h: usize) -> usize {
        self.offset + b * self.sample + h * self.head
    }

    /// One past the index of the last element.
    fn end(&self, shape: &Attention, count: usize, width: usize) -> usize {
        if shape.batch * shape.heads * count * width == 0 {
            return 0;
        }
        self.start(shape.batch - 1, shape.heads - 1) + (count - 1) * self.row + (width - 1) * self.column + 1
    }

    /// Whether no two rows share an element, so that tasks can write different heads concurrently.
    pub(super) fn disjoint(&self, shape: &Attention, count: usize, width: usize) -> bool {
        let mut steps = [(self.column, width), (self.row, count), (self.head, shape.heads), (self.sample, shape.batch)];
        steps.sort_unstable();
        let mut reach = 1;
        steps.iter().filter(|(_, n)| *n > 1).all(|&(step, n)| {
            let disjoint = step >= reach;
            reach += step * (n - 1);
            disjoint
        })
    }
}

/// Multi-head attention of given shapes and memory layouts: `softmax(scale · Q Kᵀ) V`.
///
/// Largest error demanded by the tests, relative to the largest exact value: 2e-6 forward, 5e-6 for gradients.
///
/// ```
/// use tweedie_kernels::Attention;
/// let attention = Attention::contiguous([1, 1, 2, 1], 2, 1);
/// let (mut out, mut stats) = ([0.0; 2], [0.0; 4]);
/// attention.forward(&[0.0, 0.0], &[1.0, 2.0], &[3.0, 5.0], &mut out, &mut stats);
/// assert_eq!(out, [4.0, 4.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Number of samples.
    pub batch: usize,
    /// Number of heads.
    pub heads: usize,
    /// Number of queries per head.
    pub queries: usize,
    /// Number of keys, and of values, per head.
    pub keys: usize,
    /// Width of a query or a key.
    pub key_width: usize,
    /// Width of a value.
    pub value_width: usize,
    /// Factor of the scores. Default: `1/√key_width`.
    pub scale: f64,
    /// Memory layouts of queries, keys, values and outputs.
    pub strides: [Strides; 4],
}

impl Attention {
    /// Creates an attention of contiguous operands with the default scale.
    ///
    /// # Shapes
    /// `q: [batch, heads, queries, width]`, `k: [batch, heads, keys, width]`, `v: [batch, heads, keys, value_width]` →
    /// `[batch, heads, queries, value_width]`.
    pub fn contiguous(query: [usize; 4], keys: usize, value_width: usize) -> Self {
        let [batch, heads, queries, key_width] = query;
        let strides = [
            Strides::contiguous(heads, queries, key_width),
            Strides::contiguous(heads, keys, key_width),
            Strides::contiguous(heads, keys, value_width),
            Strides::contiguous(heads, queries, value_width),
        ];
        let scale = 1.0 / (key_width.max(1) as f64).sqrt();
        Self { batch, heads, queries, keys, key_width, value_width, scale, strides }
    }

    /// Creates a self-attention whose queries, keys and values are one tensor, passed as all three operands, with the
    /// default scale.
    ///
    /// # Shapes
    /// `qkv: [batch, tokens, 3, heads, width]` → `[batch, tokens, heads, width]`.
    pub fn fused(batch: usize, tokens: usize, heads: usize, width: usize) -> Self {
        let part = |i| Strides::fused(i, 3, heads, tokens, width);
        let strides = [part(0), part(1), part(2), Strides::fused(0, 1, heads, tokens, width)];
        Self { strides, ..Self::contiguous([batch, heads, tokens, width], tokens, width) }
    }

    /// Creates a self-attention among pixels whose queries, keys and values are one tensor, passed as all three
    /// operands, with the default scale.
    ///
    /// # Shapes
    /// `qkv: [batch, 3, heads, width, pixels]` → `[batch, heads, width, pixels]`.
    pub fn channels(batch: usize, pixels: usize, heads: usize, width: usize) -> Self {
        let part = |i| Strides::channels(i, 3, heads, pixels, width);
        let strides = [part(0), part(1), part(2), Strides::channels(0, 1, heads, pixels, width)];
        Self { strides, ..Self::contiguous([batch, heads, pixels, width], pixels, width) }
    }

    /// Checks the lengths of the slices.
    pub(super) fn check(&self, q: usize, k: usize, v: usize, out: usize, stats: usize) {
        let [at_q, at_k, at_v, at_o] = self.strides;
        assert!(q >= at_q.end(self, self.queries, self.key_width), "the slice of queries is too short for {self:?}");
        assert!(k >= at_k.end(self, self.keys, self.key_width), "the slice of keys is too short for {self:?}");
        assert!(v >= at_v.end(self, self.keys, self.value_width), "the slice of values is too short for {self:?}");
        assert!(
            out >= at_o.end(self, self.queries, self.value_width),
            "the slice of outputs is too short for {self:?}"
        );
        assert_eq!(
            stats,
            self.batch * self.heads * self.queries * 2,
            "the statistics must be [batch, heads, queries, 2]"
        );
        assert!(
            self.strides.iter().all(|at| at.row == 1 || at.column == 1),
            "the row stride or the column stride must be 1"
        );
        assert!(self.keys > 0 || self.queries == 0, "queries need at least one key");
    }
}

/// Destination of the gradients of an attention.
#[derive(Debug)]
pub enum AttentionGradients<'a> {
    /// Gradients with respect to queries, keys and values.
    Separate(&'a mut [f32], &'a mut [f32], &'a mut [f32]),
    /// All three in one slice, for [`Attention::fused`] and [`Attention::channels`].
    Fused(&'a mut [f32]),
}

//! Shapes of a convolution, and how it is computed.

/// Algorithm that computes a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvMethod {
    /// The fastest method for the shape of one sample.
    Auto,
    /// Products with gathered patches (im2col): the most accurate.
    Patches,
    /// Winograd's F(2×2, 3×3): 2.25 times fewer multiplications. Only for 3×3 kernels with stride 1 and padding 1.
    Winograd2,
    /// Winograd's F(4×4, 3×3): four times fewer multiplications. Only for 3×3 kernels with stride 1 and padding 1.
    Winograd4,
}

/// Two-dimensional convolution of given shapes, with its gradients.
///
/// `y[n, o, i, j] = b[o] + Σ_{c,p,q} w[o, c, p, q] x[n, c, s i + p − pad, s j + q − pad]`
///
/// The result for a sample depends on that sample alone; weight gradients sum the samples in fixed groups.
///
/// Largest error demanded by the tests, relative to the largest exact value: patches 1e-6, F(2×2) 2e-6, F(4×4) 5e-6.
///
/// ```
/// use tweedie_kernels::Conv2d;
/// let conv = Conv2d::new([1, 1, 3, 3], [1, 1, 3, 3], [1, 1], [1, 1]);
/// let mut y = [0.0; 9];
/// conv.forward(&[1.0; 9], &[1.0; 9], Some(&[0.5]), &mut y);
/// assert_eq!(y, [4.5, 6.5, 4.5, 6.5, 9.5, 6.5, 4.5, 6.5, 4.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    pub(super) batch: usize,
    /// Input channels.
    pub(super) ci: usize,
    /// Output channels.
    pub(super) co: usize,
    /// Height and width of the input.
    pub(super) size: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) method: ConvMethod,
}

impl Conv2d {
    /// Creates a convolution of `input: [batch, in, height, width]` with
    /// `weight: [out, in, kernel height, kernel width]`.
    ///
    /// # Panics
    /// If the channels differ, a stride is zero, or the padded input is smaller than the kernel.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: [usize; 2], padding: [usize; 2]) -> Self {
        let [batch, ci, height, width] = input;
        let [co, ci2, kh, kw] = weight;
        assert_eq!(
            ci, ci2,
            "the kernel of a convolution must have as many input channels as the input, {ci}, got {ci2}"
        );
        assert!(stride[0] > 0 && stride[1] > 0, "the stride of a convolution must be at least 1, got {stride:?}");
        assert!(
            kh > 0 && kw > 0 && height + 2 * padding[0] >= kh && width + 2 * padding[1] >= kw,
            "a kernel of {kh}×{kw} must fit into the padded input, got {height}×{width} with padding {padding:?}"
        );
        Self { batch, ci, co, size: [height, width], kernel: [kh, kw], stride, padding, method: ConvMethod::Auto }
    }

    /// Sets the method. Default: [`ConvMethod::Auto`].
    ///
    /// # Panics
    /// If the method does not support the shape.
    pub fn with_method(self, method: ConvMethod) -> Self {
        let winograd = matches!(method, ConvMethod::Winograd2 | ConvMethod::Winograd4);
        assert!(!winograd || self.is_plain_3x3(), "Winograd's method needs a 3×3 kernel with stride 1 and padding 1");
        Self { method, ..self }
    }

    fn is_plain_3x3(&self) -> bool {
        self.kernel == [3, 3] && self.stride == [1, 1] && self.padding == [1, 1]
    }

    /// Returns height and width of the output: `(size + 2 padding − kernel) / stride + 1`, rounded down.
    pub fn output_size(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.size[i] + 2 * self.padding[i] - self.kernel[i]) / self.stride[i] + 1)
    }

    /// Returns the shapes of input, kernel and output.
    pub fn shapes(&self) -> [[usize; 4]; 3] {
        let ([h, w], [kh, kw], [oh, ow]) = (self.size, self.kernel, self.output_size());
        [[self.batch, self.ci, h, w], [self.co, self.ci, kh, kw], [self.batch, self.co, oh, ow]]
    }

    pub(super) fn input_len(&self) -> usize {
        self.batch * self.ci * self.size[0] * self.size[1]
    }

    pub(super) fn weight_len(&self) -> usize {
        self.co * self.ci * self.kernel[0] * self.kernel[1]
    }

    pub(super) fn output_len(&self) -> usize {
        let [h, w] = self.output_size();
        self.batch * self.co * h * w
    }

    /// The method for `ci` input and `co` output channels, chosen by the work for one sample.
    pub(super) fn select_method(&self, ci: usize, co: usize) -> ConvMethod {
        if self.method != ConvMethod::Auto {
            return self.method;
        }
        if !self.is_plain_3x3() || ci < 8 || co < 8 {
            return ConvMethod::Patches;
        }
        // Multiplications per pair of channels, partial tiles included; for few tiles the transforms cost about as much
        // again.
        let [h, w] = self.size;
        let four = h.div_ceil(4) * w.div_ceil(4) * 36;
        let two = h.div_ceil(2) * w.div_ceil(2) * 16;
        let direct = h * w * 9;
        if four <= two && four < direct {
            ConvMethod::Winograd4
        } else if two < direct {
            ConvMethod::Winograd2
        } else {
            ConvMethod::Patches
        }
    }

    /// Number of rows of a bias with `len` elements: 1 for all samples, or one per sample.
    pub(super) fn bias_rows(&self, len: usize) -> Option<usize> {
        [1, self.batch].into_iter().find(|rows| rows * self.co == len)
    }

    /// The part of a bias that applies to sample n.
    pub(super) fn bias_of<'a>(&self, bias: &'a [f32], n: usize) -> &'a [f32] {
        &bias[if bias.len() == self.co { 0 } else { n * self.co }..][..self.co]
    }
}

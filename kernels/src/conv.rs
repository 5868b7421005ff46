//! Two-dimensional convolutions and their gradients.
//!
//! `y[n, o, i, j] = b[o] + Σ_{c,p,q} w[o, c, p, q] x[n, c, s i + p − pad, s j + q − pad]`
//!
//! A 3×3 kernel with stride 1 and padding 1 uses Winograd's minimal filtering ([`winograd`]), every other convolution
//! products with patches that are gathered a block of pixels at a time ([`patches`]).
use crate::parallel::{Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

mod im2col;
mod patches;
mod shape;
#[cfg(test)]
mod tests;
mod volume;
mod winograd;

pub use shape::{Conv2d, ConvMethod};
pub use volume::Conv3d;

impl Conv2d {
    /// Computes the output `y` for the input `x`. The bias is `[out]`, or `[batch, out]` with one row per sample.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.forward_at(Level::get(), x, w, bias, y);
    }

    fn forward_at(&self, level: Level, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.check(x.len(), w.len(), y.len());
        assert!(
            bias.is_none_or(|b| self.bias_rows(b.len()).is_some()),
            "the bias of a convolution must be [out] or [batch, out]"
        );
        match self.select_method(self.ci, self.co) {
            ConvMethod::Winograd4 => winograd::correlate(level, winograd::F4, self, false, x, w, bias, y),
            ConvMethod::Winograd2 => winograd::correlate(level, winograd::F2, self, false, x, w, bias, y),
            _ => patches::forward(level, self, x, w, bias, y),
        }
    }

    /// Computes the gradient `dx` with respect to the input from the gradient `dy` with respect to the output.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn input_gradient(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        self.input_gradient_at(Level::get(), dy, w, dx);
    }

    fn input_gradient_at(&self, level: Level, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        self.check(dx.len(), w.len(), dy.len());
        match self.select_method(self.co, self.ci) {
            ConvMethod::Winograd4 => winograd::correlate(level, winograd::F4, self, true, dy, w, None, dx),
            ConvMethod::Winograd2 => winograd::correlate(level, winograd::F2, self, true, dy, w, None, dx),
            _ => patches::input_gradient(level, self, dy, w, dx),
        }
    }

    /// Computes the gradient `dw` with respect to the kernel.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        self.weight_gradient_at(Level::get(), x, dy, dw);
    }

    fn weight_gradient_at(&self, level: Level, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        self.check(x.len(), dw.len(), dy.len());
        match self.select_method(self.ci, self.co) {
            ConvMethod::Winograd4 => winograd::weight_gradient(level, winograd::F4, self, x, dy, dw),
            ConvMethod::Winograd2 => winograd::weight_gradient(level, winograd::F2, self, x, dy, dw),
            _ => patches::weight_gradient(level, self, x, dy, dw),
        }
    }

    /// Computes the gradient `db` with respect to the bias, `[out]` or `[batch, out]`: the sum of `dy` over the pixels,
    /// and over the samples if it is `[out]`.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn bias_gradient(&self, dy: &[f32], db: &mut [f32]) {
        assert_eq!(dy.len(), self.output_len(), "the gradient of the output must have the output's shape");
        let rows = self.bias_rows(db.len()).expect("the bias of a convolution must be [out] or [batch, out]");
        let [h, w] = self.output_size();
        let level = Level::get();
        let mut sums = Scratch::new(self.batch * self.co);
        if h * w == 0 || self.co == 0 {
            return db.fill(0.0);
        }
        {
            let sums = Shared::new(&mut sums);
            for_each(self.batch, |n| {
                // SAFETY: every task writes its own row.
                let sums = unsafe { sums.part(n * self.co..(n + 1) * self.co) };
                part_sums_at(level, &dy[n * self.co * h * w..][..self.co * h * w], sums);
            });
        }
        for (c, db) in db.iter_mut().enumerate() {
            *db = (0..self.batch / rows).map(|n| f64::from(sums[n * self.co + c])).sum::<f64>() as f32;
        }
    }

    fn check(&self, x: usize, w: usize, y: usize) {
        assert_eq!(x, self.input_len(), "the length of the input must match {self:?}");
        assert_eq!(w, self.weight_len(), "the length of the kernel must match {self:?}");
        assert_eq!(y, self.output_len(), "the length of the output must match {self:?}");
    }
}

/// Sums of `out.len()` equal parts of `x`.
#[inline(always)]
fn part_sums<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(x.len() / out.len()).zip(out) {
        let mut sum = [s.zero(); 2];
        let mut pairs = x.chunks_exact(2 * S::LANES);
        for x in &mut pairs {
            sum[0] = sum[0] + s.load(x);
            sum[1] = sum[1] + s.load(&x[S::LANES..]);
        }
        for x in pairs.remainder().chunks(S::LANES) {
            sum[0] = sum[0] + s.load_partial(x, 0.0);
        }
        *out = (sum[0].sum() + sum[1].sum()) as f32;
    }
}
dispatch! { fn part_sums_at(x: &[f32], out: &mut [f32]) = part_sums; }

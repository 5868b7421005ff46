//! Cross-attention to the tokens of a condition.
use super::layers::{Linear, dropout};
use crate::rng::Rng;
use burn::{
    module::Module,
    tensor::{Bool, Device, Tensor},
};
use tweedie_kernels::ops;

/// Embedded token sequences, as [`CrossAttention`] reads them.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// `[batch, tokens, width]`.
    pub tokens: Tensor<3>,
    /// True at a token that is padding, `[batch, tokens]`.
    pub padding: Tensor<2, Bool>,
}

/// Cross-attention: tokens of x attend to the tokens of a condition, `P softmax(QKᵀ/√d) V` with Q linear in `x`, K and V in the
/// condition, and P initially zero.
///
/// Vaswani et al., "Attention Is All You Need" (2017), <https://arxiv.org/abs/1706.03762>; for conditions as in Rombach et al.,
/// "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), <https://arxiv.org/abs/2112.10752>.
#[doc(alias("attn2", "BasicTransformerBlock"))]
#[derive(Module, Debug)]
pub struct CrossAttention {
    q: Linear,
    kv: Linear,
    out: Linear,
    heads: usize,
}

impl CrossAttention {
    /// From tokens of `width` values to conditions of `token_width` values; `heads` divides `width`.
    pub fn new(width: usize, token_width: usize, heads: usize, rng: &Rng, device: &Device) -> Self {
        Self {
            q: Linear::new(width, width, &rng.stream("q"), device),
            kv: Linear::new(token_width, 2 * width, &rng.stream("kv"), device),
            out: Linear::zero(width, width, device),
            heads,
        }
    }

    /// Attends: `x: [batch, places, width]` → the same. Padding of the sequence is not attended to.
    pub fn forward(&self, x: Tensor<3>, y: &Sequence, rate: f64, rng: &mut Option<Rng>) -> Tensor<3> {
        self.attend(x, self.keys_and_values(y), &y.padding, rate, rng)
    }

    /// Keys and values of a sequence: `[batch · tokens, 2 · width]`.
    pub(super) fn keys_and_values(&self, y: &Sequence) -> Vec<Tensor<2>> {
        let [batch, tokens, _] = y.tokens.dims();
        let kv = ops::linear(y.tokens.clone(), self.kv.weight.val(), Some(self.kv.bias.val()));
        let wide = kv.dims()[2];
        vec![kv.reshape([batch * tokens, wide])]
    }

    /// [`forward`](Self::forward) from keys and values, and `padding: [batch, tokens]`.
    pub(super) fn attend(
        &self,
        x: Tensor<3>,
        keys: Vec<Tensor<2>>,
        padding: &Tensor<2, Bool>,
        rate: f64,
        rng: &mut Option<Rng>,
    ) -> Tensor<3> {
        let ([batch, tokens], [_, _, width]) = (padding.dims(), x.dims());
        let linear = |x: Tensor<3>, layer: &Linear| ops::linear(x, layer.weight.val(), Some(layer.bias.val()));
        let keys = keys.into_iter().next().expect("keys and values").reshape([batch, tokens, 2 * width]);
        let y = ops::cross_attention(linear(x, &self.q), keys, padding.clone(), self.heads);
        dropout(linear(y, &self.out), rate, rng)
    }
}

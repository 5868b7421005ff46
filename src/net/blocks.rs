//! Parts of transformers: self-attention blocks with adaptive layer norms, conditioned on time and class.
use super::{
    Conditions,
    cross::{CrossAttention, Sequence},
    embed::Embedders,
    layers::{Linear, TimeClassEmbedding, class_table, dropout, embed_classes, silu},
    recompute::part,
};
use crate::rng::Rng;
use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// Encoding of a token's position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// Rotary: queries and keys are rotated by angles proportional to their position, so a score depends on distances alone.
    ///
    /// Absolute positions are then unknown: if all tokens are equal (all masked, say) the output is the same for each. That
    /// suits windows of a long text, but not lines, which have a beginning and an end: use another encoding there.
    ///
    /// Su et al., "RoFormer" (2021), <https://arxiv.org/abs/2104.09864>.
    #[default]
    Rotary,
    /// Sines and cosines of the position are added to a token.
    ///
    /// Vaswani et al., "Attention Is All You Need" (2017), section 3.5, <https://arxiv.org/abs/1706.03762>.
    Sinusoidal,
    /// A learned vector per position is added to a token.
    Learned,
}

/// Angles of tokens at `positions`, `[tokens][pairs]`: the pairs are divided among the axes of a position, and pair i of the
/// n pairs of an axis has the angle `position · 10000^(−i/n)`.
fn angles(positions: &[Vec<f64>], pairs: usize) -> impl Iterator<Item = Vec<f64>> {
    positions.iter().map(move |position| {
        let each = pairs / position.len();
        let angle = |axis: &f64, i: usize| axis * 1e4f64.powf(-(i as f64) / each as f64);
        position.iter().flat_map(|axis| (0..each).map(move |i| angle(axis, i))).collect()
    })
}

/// Sinusoidal position encoding ([`Positions::Sinusoidal`]): `[tokens, width]`, all sines before all cosines.
pub(super) fn sinusoids(positions: &[Vec<f64>], width: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = angles(positions, width / 2)
        .flat_map(|row| row.iter().map(|a| a.sin()).chain(row.iter().map(|a| a.cos())).collect::<Vec<_>>())
        .map(|x| x as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, [positions.len(), width]), (device, DType::F32))
}

/// Rotary position encoding ([`Positions::Rotary`]): in each head of width d the pair (i, i + d/2) of a query or a key is
/// rotated by the token's angle i.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    /// `[tokens, d/2]`.
    cos: Tensor<2>,
    /// `[tokens, d/2]`.
    sin: Tensor<2>,
}

impl Rotation {
    pub(super) fn new(positions: &[Vec<f64>], heads: usize, width: usize, device: &Device) -> Self {
        let pairs = width / heads / 2;
        let tensor = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles(positions, pairs).flatten().map(|a| f(a) as f32).collect();
            Tensor::from_data(TensorData::new(values, [positions.len(), pairs]), (device, DType::F32))
        };
        Self { cos: tensor(f64::cos), sin: tensor(f64::sin) }
    }

    /// Rotates queries and keys: `qkv: [batch, tokens, 3 · width]` → the same.
    fn rotate(&self, qkv: Tensor<3>, heads: usize) -> Tensor<3> {
        ops::rotary(qkv, heads, self.cos.clone(), self.sin.clone())
    }
}

/// Embedding of the condition: of time, class and vectors, of some of them, or of none.
#[derive(Module, Debug)]
pub(super) struct Conditioning {
    /// Of the time, and of the class if there are any.
    embedding: Option<TimeClassEmbedding>,
    /// Of the class alone; see [`class_table`].
    classes: Option<Param<Tensor<2>>>,
}

impl Conditioning {
    /// Embeds in `width` values; without the time if `time_features` is 0.
    pub(super) fn new(time_features: usize, num_classes: usize, width: usize, rng: &Rng, device: &Device) -> Self {
        let time = time_features > 0;
        Self {
            embedding: time.then(|| TimeClassEmbedding::new(time_features, num_classes, width, rng, device)),
            classes: (!time && num_classes > 0).then(|| class_table(num_classes, width, rng, device)),
        }
    }

    /// Whether the net reads neither time nor class.
    pub(super) fn is_empty(&self) -> bool {
        self.embedding.is_none() && self.classes.is_none()
    }

    /// Embeds `t: [batch]`, classes and vectors and applies the activation: `[batch, width]`; `None` if there are none.
    pub(super) fn forward(&self, t: Tensor<1>, y: &Conditions, rest: &Embedders) -> Option<Tensor<2>> {
        let ([batch], device) = (t.dims(), t.device());
        if let Some(embedding) = &self.embedding {
            return Some(silu(rest.with_time(embedding, t, y)));
        }
        let class = embed_classes(&self.classes, &y.to_classes(), batch, &device);
        class.into_iter().chain(rest.global(y, batch, &device)).reduce(|a, b| a + b).map(silu)
    }
}

/// Vectors that shift, scale and gate (adaLN-zero): linear in the condition's embedding, or learned parameters if there is
/// no condition. Initially zero, except for the gates of a [block](Self::of_block) without a condition.
#[derive(Module, Debug)]
pub(super) struct Modulation {
    weight: Option<Param<Tensor<2>>>,
    bias: Param<Tensor<1>>,
}

impl Modulation {
    /// Maps an embedding of `cond_width` values to `outputs` values; `cond_width` is 0 if there is no condition.
    pub(super) fn new(cond_width: usize, outputs: usize, device: &Device) -> Self {
        let Linear { weight, bias } = Linear::zero(cond_width.max(1), outputs, device);
        Self { weight: (cond_width > 0).then_some(weight), bias }
    }

    /// The six vectors of a block. Without a condition its gates start at 1, as in a transformer that has none: the
    /// optimizer moves a parameter by at most the learning rate per step, so gates that are parameters and start at 0
    /// would stay near it for thousands of steps. As a function of a condition they grow with its weights.
    pub(super) fn of_block(width: usize, cond_width: usize, device: &Device) -> Self {
        let zero = Self::new(cond_width, 6 * width, device);
        if cond_width > 0 {
            return zero;
        }
        let initial: Vec<f32> = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0].into_iter().flat_map(|x| vec![x; width]).collect();
        let bias = Tensor::from_data(TensorData::new(initial, [6 * width]), (device, DType::F32));
        Self { bias: Param::from_tensor(bias), ..zero }
    }

    /// Computes N vectors `[batch or 1, width]`.
    pub(super) fn forward<const N: usize>(&self, cond: Option<&Tensor<2>>) -> [Tensor<2>; N] {
        let all = match (&self.weight, cond) {
            (Some(weight), Some(cond)) => ops::linear(cond.clone(), weight.val(), Some(self.bias.val())),
            _ => self.bias.val().unsqueeze(),
        };
        all.chunk(N, 1).try_into().expect("as many parts")
    }
}

/// Computes `x W + b` over the last axis.
pub(super) fn linear<const D: usize>(x: Tensor<D>, layer: &Linear) -> Tensor<D> {
    ops::linear(x, layer.weight.val(), Some(layer.bias.val()))
}

/// Adaptive layer norm: each token is brought to mean 0 and variance 1, scaled by 1 + `scale` and shifted by `shift`.
pub(super) fn modulate(x: Tensor<3>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<3> {
    ops::layer_norm(x, scale + 1.0, shift, 1e-6)
}

/// Inputs that all blocks of a forward pass share.
pub(super) struct Shared {
    /// Embedding of the condition after the activation, `[batch, cond_width]`.
    pub cond: Option<Tensor<2>>,
    pub rotation: Option<Rotation>,
    /// Attention mask `[batch or 1, 1, queries, keys]`: true if the query must not attend to the key.
    pub mask: Option<Tensor<4, Bool>>,
    /// Embedded tokens of conditions.
    pub sequence: Option<Sequence>,
    pub dropout: f64,
    /// Whether blocks are computed again for the gradient.
    pub checkpointing: bool,
    pub rng: Option<Rng>,
}

/// Transformer block: self-attention, then an MLP per token, each after an adaptive layer norm and through a gate that is
/// initially zero (adaLN-zero), or one if there is no condition.
///
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), <https://arxiv.org/abs/2212.09748>.
#[derive(Module, Debug)]
pub(super) struct Block {
    modulation: Modulation,
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
    cross: Option<CrossAttention>,
    heads: usize,
}

impl Block {
    /// For tokens of `width` values; `cond_width` is 0 if there is no condition.
    pub(super) fn new(
        width: usize,
        heads: usize,
        expansion: usize,
        cond_width: usize,
        rng: &Rng,
        device: &Device,
    ) -> Self {
        let layer = |name: &str, from, to| Linear::new(from, to, &rng.stream(name), device);
        Self {
            modulation: Modulation::of_block(width, cond_width, device),
            qkv: layer("qkv", width, 3 * width),
            out: layer("out", width, width),
            up: layer("up", width, expansion * width),
            down: layer("down", expansion * width, width),
            cross: None,
            heads,
        }
    }

    /// The same block with cross-attention to the tokens of conditions, between self-attention and MLP, after a layer norm.
    pub(super) fn with_cross_attention(self, width: usize, rng: &Rng, device: &Device) -> Self {
        let cross = CrossAttention::new(width, width, self.heads, &rng.stream("cross"), device);
        Self { cross: Some(cross), ..self }
    }

    pub(super) fn forward(&self, x: Tensor<3>, shared: &mut Shared) -> Tensor<3> {
        let mut vectors = self.modulation.forward::<6>(shared.cond.as_ref()).to_vec();
        let padding = match (&self.cross, &shared.sequence) {
            (Some(cross), Some(sequence)) => {
                vectors.extend(cross.keys_and_values(sequence));
                Some(sequence.padding.clone())
            }
            _ => None,
        };
        let (rotation, mask, rate) = (shared.rotation.clone(), shared.mask.clone(), shared.dropout);
        part(shared.checkpointing, self, x, vectors, &mut shared.rng, move |block, x, mut vectors, rng| {
            let keys = vectors.split_off(6);
            let [shift, scale, gate, shift2, scale2, gate2] = vectors.try_into().expect("six vectors");
            let qkv = linear(modulate(x.clone(), scale, shift), &block.qkv);
            let y = linear(attend(qkv, block.heads, rotation.as_ref(), mask.as_ref()), &block.out);
            let x = x + dropout(y, rate, rng) * gate.unsqueeze_dim(1);
            let x = match (&block.cross, &padding) {
                (Some(cross), Some(padding)) => {
                    let none = Tensor::zeros([1, x.dims()[2]], (&x.device(), x.dtype()));
                    let normed = modulate(x.clone(), none.clone(), none);
                    x + cross.attend(normed, keys, padding, rate, rng)
                }
                _ => x,
            };
            let y = ops::gelu_tanh(linear(modulate(x.clone(), scale2, shift2), &block.up));
            x + dropout(linear(y, &block.down), rate, rng) * gate2.unsqueeze_dim(1)
        })
    }
}

/// Multi-head self-attention from concatenated queries, keys and values: `[batch, tokens, 3 · width]` →
/// `[batch, tokens, width]`. Without a mask no matrix of scores is stored.
pub(super) fn attend(
    qkv: Tensor<3>,
    heads: usize,
    rotation: Option<&Rotation>,
    mask: Option<&Tensor<4, Bool>>,
) -> Tensor<3> {
    let qkv = match rotation {
        Some(rotation) => rotation.rotate(qkv, heads),
        None => qkv,
    };
    let Some(mask) = mask else { return ops::attention_fused(qkv, heads) };
    let [batch, tokens, wide] = qkv.dims();
    let width = wide / 3;
    let part = |x: Tensor<3>| x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2);
    let [q, k, v]: [Tensor<3>; 3] = qkv.chunk(3, 2).try_into().expect("three parts");
    let scores = ops::matmul(part(q) * ((width / heads) as f64).powf(-0.5), part(k).swap_dims(2, 3));
    // The exponential of such a score is exactly zero.
    let scores = scores.mask_fill(mask.clone().expand([batch, heads, tokens, tokens]), -1e9);
    ops::matmul(ops::softmax(scores), part(v)).swap_dims(1, 2).reshape([batch, tokens, width])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("single precision")
    }

    fn line(from: f64, tokens: usize) -> Vec<Vec<f64>> {
        (0..tokens).map(|i| vec![from + i as f64]).collect()
    }

    #[test]
    fn gates_are_open_without_a_condition() {
        let (device, width) = (Device::flex(), 8);
        let x = Rng::new(1).normal_tensor([2, 5, width], &device, DType::F32);
        let change = |cond_width: usize| {
            let block = Block::new(width, 2, 4, cond_width, &Rng::new(2), &device);
            let cond = (cond_width > 0).then(|| Rng::new(3).normal_tensor([2, cond_width], &device, DType::F32));
            let mut shared = Shared {
                cond,
                rotation: None,
                mask: None,
                sequence: None,
                dropout: 0.0,
                checkpointing: false,
                rng: None,
            };
            let y = block.forward(x.clone(), &mut shared);
            floats((y - x.clone()).abs()).into_iter().fold(0.0, f32::max)
        };
        assert_eq!(change(4), 0.0, "adaLN-zero");
        assert!(change(0) > 0.1, "{}", change(0));
    }

    #[test]
    fn rotary_attention_depends_on_distances_alone() {
        let (device, heads, width) = (Device::flex(), 2, 24);
        let qkv = Rng::new(1).normal_tensor([2, 9, 3 * width], &device, DType::F32);
        let at = |from| {
            let rotation = Rotation::new(&line(from, 9), heads, width, &device);
            floats(attend(qkv.clone(), heads, Some(&rotation), None))
        };
        let (near, far) = (at(0.0), at(50.0));
        assert!(near.iter().zip(&far).all(|(a, b)| (a - b).abs() < 2e-5), "{near:?} {far:?}");
        let without = floats(attend(qkv.clone(), heads, None, None));
        assert!(near.iter().zip(&without).any(|(a, b)| (a - b).abs() > 0.1));
        // The same on two axes.
        let plane = |y: f64, x: f64| (0..9).map(|i| vec![y + (i / 3) as f64, x + (i % 3) as f64]).collect::<Vec<_>>();
        let at = |positions: &[Vec<f64>]| {
            let rotation = Rotation::new(positions, heads, width, &device);
            floats(attend(qkv.clone(), heads, Some(&rotation), None))
        };
        let (near, far) = (at(&plane(0.0, 0.0)), at(&plane(7.0, 30.0)));
        assert!(near.iter().zip(&far).all(|(a, b)| (a - b).abs() < 2e-5));
    }

    #[test]
    fn rotary_encoding_rotates_pairs_of_queries_and_keys_and_leaves_values() {
        let device = Device::flex();
        // One head of width 4, at position 3: angles 3 and 0.03.
        let qkv = Tensor::<3>::from_floats([[[1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12.]]], &device);
        let rotated = floats(Rotation::new(&line(3.0, 1), 1, 4, &device).rotate(qkv, 1));
        let rotate = |x: f64, y: f64, a: f64| [x * a.cos() - y * a.sin(), y * a.cos() + x * a.sin()];
        let ([a, c], [b, d]) = (rotate(1., 3., 3.), rotate(2., 4., 0.03));
        let ([e, g], [f, h]) = (rotate(5., 7., 3.), rotate(6., 8., 0.03));
        let expected = [a, b, c, d, e, f, g, h, 9., 10., 11., 12.];
        assert!(
            rotated.iter().zip(expected).all(|(x, y)| (f64::from(*x) - y).abs() < 1e-5),
            "{rotated:?} {expected:?}"
        );
    }

    /// softmax(q kᵀ/√d) v of each head of width d, in double precision.
    #[test]
    fn attention_is_that_of_its_formula() {
        let (device, tokens, heads, d) = (Device::flex(), 5, 2, 3);
        let width = heads * d;
        let qkv: Tensor<3> = Rng::new(1).normal_tensor([2, tokens, 3 * width], &device, DType::F32) * 2.0;
        let values = floats(qkv.clone());
        let at = |row: usize, token: usize, part: usize, i: usize| {
            f64::from(values[(row * tokens + token) * 3 * width + part * width + i])
        };
        let mut expected = vec![];
        for row in 0..2 {
            for query in 0..tokens {
                for head in 0..heads {
                    let place = |i: usize| head * d + i;
                    let score = |key: usize| {
                        let product = |i: usize| at(row, query, 0, place(i)) * at(row, key, 1, place(i));
                        ((0..d).map(product).sum::<f64>() / (d as f64).sqrt()).exp()
                    };
                    let total: f64 = (0..tokens).map(score).sum();
                    let value = |i: usize| {
                        (0..tokens).map(|key| score(key) / total * at(row, key, 2, place(i))).sum::<f64>() as f32
                    };
                    expected.extend((0..d).map(value));
                }
            }
        }
        let all = Tensor::<4>::zeros([1, 1, tokens, tokens], &device).bool();
        for found in [attend(qkv.clone(), heads, None, None), attend(qkv, heads, None, Some(&all))] {
            assert!(floats(found).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn an_empty_attention_mask_changes_nothing() {
        let device = Device::flex();
        let qkv: Tensor<3> = Rng::new(1).normal_tensor([2, 7, 36], &device, DType::F32);
        let all = Tensor::<4>::zeros([1, 1, 7, 7], &device).bool();
        let (fused, parts) = (attend(qkv.clone(), 3, None, None), attend(qkv, 3, None, Some(&all)));
        assert!(floats(fused).iter().zip(floats(parts)).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

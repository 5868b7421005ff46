//! What transformers are made of: blocks in which tokens look at one another, modulated by time and class.
use super::{
    Classes,
    layers::{Linear, Told, dropout, silu},
};
use crate::rng::Rng;
use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// How a token knows its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// Queries and keys are turned by angles in proportion to their place, so that a score depends on distances alone.
    ///
    /// Places themselves are then unknown: where all tokens are alike (masked, say) every one of them is told the same. That is
    /// right for windows of a long text, and wrong for lines, which have a beginning and an end: take another there.
    ///
    /// Su et al., "RoFormer" (2021), <https://arxiv.org/abs/2104.09864>.
    #[default]
    Rotary,
    /// Sines and cosines of the place are added to a token.
    ///
    /// Vaswani et al., "Attention Is All You Need" (2017), section 3.5, <https://arxiv.org/abs/1706.03762>.
    Sinusoidal,
    /// A vector for each place is learned.
    Learned,
}

/// Angles of tokens at `places`, `[tokens][pairs]`: the pairs are shared out among the axes of a place, and pair i of an
/// axis' n turns by `place · 10000^(−i/n)`.
fn angles(places: &[Vec<f64>], pairs: usize) -> impl Iterator<Item = Vec<f64>> {
    places.iter().map(move |place| {
        let each = pairs / place.len();
        let angle = |axis: &f64, i: usize| axis * 1e4f64.powf(-(i as f64) / each as f64);
        place.iter().flat_map(|axis| (0..each).map(move |i| angle(axis, i))).collect()
    })
}

/// What [`Positions::Sinusoidal`] adds: `[tokens, width]`, all sines before all cosines.
pub(super) fn sinusoids(places: &[Vec<f64>], width: usize, device: &Device) -> Tensor<2> {
    let numbers: Vec<f32> = angles(places, width / 2)
        .flat_map(|row| row.iter().map(|a| a.sin()).chain(row.iter().map(|a| a.cos())).collect::<Vec<_>>())
        .map(|x| x as f32)
        .collect();
    Tensor::from_data(TensorData::new(numbers, [places.len(), width]), (device, DType::F32))
}

/// What [`Positions::Rotary`] does: in each head of width d the pair (i, i + d/2) of a query or a key is turned by the
/// token's angle i.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    /// `[tokens, d/2]`.
    cos: Tensor<2>,
    /// `[tokens, d/2]`.
    sin: Tensor<2>,
}

impl Rotation {
    pub(super) fn new(places: &[Vec<f64>], heads: usize, width: usize, device: &Device) -> Self {
        let pairs = width / heads / 2;
        let tensor = |f: fn(f64) -> f64| {
            let numbers: Vec<f32> = angles(places, pairs).flatten().map(|a| f(a) as f32).collect();
            Tensor::from_data(TensorData::new(numbers, [places.len(), pairs]), (device, DType::F32))
        };
        Self { cos: tensor(f64::cos), sin: tensor(f64::sin) }
    }

    /// `qkv: [batch, tokens, 3 · width]` → the same, queries and keys turned.
    fn turn(&self, qkv: Tensor<3>, heads: usize) -> Tensor<3> {
        ops::rotary(qkv, heads, self.cos.clone(), self.sin.clone())
    }
}

/// What a net is told beside `z`: time and class, only one of them, or nothing at all.
#[derive(Module, Debug)]
pub(super) struct Context {
    /// Where the time is told.
    told: Option<Told>,
    /// Where only classes are: one row more than there are classes, for "none".
    classes: Option<Param<Tensor<2>>>,
}

impl Context {
    /// `width` numbers a row; no time where `time_features` is 0.
    pub(super) fn new(time_features: usize, classes: usize, width: usize, rng: &Rng, device: &Device) -> Self {
        let table = || rng.stream("classes").normal_tensor([classes + 1, width], device, DType::F32);
        let time = time_features > 0;
        Self {
            told: time.then(|| Told::new(time_features, classes, width, rng, device)),
            classes: (!time && classes > 0).then(|| Param::from_tensor(table())),
        }
    }

    /// Whether anything is told.
    pub(super) fn speaks(&self) -> bool {
        self.told.is_some() || self.classes.is_some()
    }

    /// `t: [batch]` → `[batch, width]`, activated; none where nothing is told.
    pub(super) fn forward(&self, t: Tensor<1>, y: &Classes) -> Option<Tensor<2>> {
        if let Some(told) = &self.told {
            return Some(silu(told.forward(t, y)));
        }
        let Some(table) = &self.classes else {
            if let Some(class) = y.0.iter().flatten().next() {
                panic!("class {class} was given to a net without classes");
            }
            return None;
        };
        let table = table.val();
        let rows = y.indices(t.dims()[0], table.dims()[0] - 1, &t.device());
        Some(silu(table.select(0, rows)))
    }
}

/// Vectors that shift, scale and gate: linear in what is told, or learned as they are where nothing is. All zero to begin
/// with.
#[derive(Module, Debug)]
pub(super) struct Modulation {
    weight: Option<Param<Tensor<2>>>,
    bias: Param<Tensor<1>>,
}

impl Modulation {
    /// `outputs` numbers from `told` ones; from nothing where `told` is 0.
    pub(super) fn new(told: usize, outputs: usize, device: &Device) -> Self {
        let Linear { weight, bias } = Linear::zero(told.max(1), outputs, device);
        Self { weight: (told > 0).then_some(weight), bias }
    }

    /// N vectors of `[batch or 1, width]`.
    pub(super) fn forward<const N: usize>(&self, told: Option<&Tensor<2>>) -> [Tensor<2>; N] {
        let all = match (&self.weight, told) {
            (Some(weight), Some(told)) => ops::linear(told.clone(), weight.val(), Some(self.bias.val())),
            _ => self.bias.val().unsqueeze(),
        };
        all.chunk(N, 1).try_into().expect("as many parts")
    }
}

/// `x W + b` over the last axis.
pub(super) fn linear<const D: usize>(x: Tensor<D>, layer: &Linear) -> Tensor<D> {
    ops::linear(x, layer.weight.val(), Some(layer.bias.val()))
}

/// Each token brought to mean 0 and variance 1, then scaled by 1 + `scale` and shifted.
pub(super) fn modulate(x: Tensor<3>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<3> {
    ops::layer_norm(x, scale + 1.0, shift, 1e-6)
}

/// What all blocks of one pass share.
pub(super) struct Pass {
    /// `[batch, width]`, activated.
    pub told: Option<Tensor<2>>,
    pub rotation: Option<Rotation>,
    /// `[batch or 1, 1, tokens, tokens]`: what a token (third axis) does not see.
    pub hidden: Option<Tensor<4, Bool>>,
    pub dropout: f64,
    pub rng: Option<Rng>,
}

/// Attention among tokens, then a perceptron of each, both on what an adaptive layer norm gives and through a gate that
/// begins at zero (adaLN-zero).
///
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (2022), <https://arxiv.org/abs/2212.09748>.
#[derive(Module, Debug)]
pub(super) struct Block {
    modulation: Modulation,
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Block {
    /// For tokens of `width` numbers; `told` is 0 where nothing is told.
    pub(super) fn new(width: usize, heads: usize, expansion: usize, told: usize, rng: &Rng, device: &Device) -> Self {
        let layer = |name: &str, from, to| Linear::new(from, to, &rng.stream(name), device);
        Self {
            modulation: Modulation::new(told, 6 * width, device),
            qkv: layer("qkv", width, 3 * width),
            out: layer("out", width, width),
            up: layer("up", width, expansion * width),
            down: layer("down", expansion * width, width),
            heads,
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let [shift, scale, gate, shift2, scale2, gate2] = self.modulation.forward(pass.told.as_ref());
        let qkv = linear(modulate(x.clone(), scale, shift), &self.qkv);
        let y = linear(attend(qkv, self.heads, pass.rotation.as_ref(), pass.hidden.as_ref()), &self.out);
        let x = x + dropout(y, pass.dropout, &mut pass.rng) * gate.unsqueeze_dim(1);
        let y = ops::gelu_tanh(linear(modulate(x.clone(), scale2, shift2), &self.up));
        x + dropout(linear(y, &self.down), pass.dropout, &mut pass.rng) * gate2.unsqueeze_dim(1)
    }
}

/// Attention among tokens from queries, keys and values side by side: `[batch, tokens, 3 · width]` →
/// `[batch, tokens, width]`. Without a mask no matrix of scores is made.
pub(super) fn attend(
    qkv: Tensor<3>,
    heads: usize,
    rotation: Option<&Rotation>,
    hidden: Option<&Tensor<4, Bool>>,
) -> Tensor<3> {
    let qkv = match rotation {
        Some(rotation) => rotation.turn(qkv, heads),
        None => qkv,
    };
    let Some(hidden) = hidden else { return ops::attention_fused(qkv, heads) };
    let [batch, tokens, wide] = qkv.dims();
    let width = wide / 3;
    let part = |x: Tensor<3>| x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2);
    let [q, k, v]: [Tensor<3>; 3] = qkv.chunk(3, 2).try_into().expect("three parts");
    let scores = (part(q) * ((width / heads) as f64).powf(-0.5)).matmul(part(k).swap_dims(2, 3));
    // So low that its exponential is an exact zero.
    let scores = scores.mask_fill(hidden.clone().expand([batch, heads, tokens, tokens]), -1e9);
    ops::softmax(scores).matmul(part(v)).swap_dims(1, 2).reshape([batch, tokens, width])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("single precision")
    }

    fn line(from: f64, tokens: usize) -> Vec<Vec<f64>> {
        (0..tokens).map(|i| vec![from + i as f64]).collect()
    }

    #[test]
    fn rotary_attention_depends_on_distances_alone() {
        let (device, heads, width) = (Device::flex(), 2, 24);
        let qkv = Rng::new(1).normal_tensor([2, 9, 3 * width], &device, DType::F32);
        let at = |from| {
            let rotation = Rotation::new(&line(from, 9), heads, width, &device);
            numbers(attend(qkv.clone(), heads, Some(&rotation), None))
        };
        let (near, far) = (at(0.0), at(50.0));
        assert!(near.iter().zip(&far).all(|(a, b)| (a - b).abs() < 2e-5), "{near:?} {far:?}");
        let without = numbers(attend(qkv.clone(), heads, None, None));
        assert!(near.iter().zip(&without).any(|(a, b)| (a - b).abs() > 0.1));
        // The same on two axes.
        let plane = |y: f64, x: f64| (0..9).map(|i| vec![y + (i / 3) as f64, x + (i % 3) as f64]).collect::<Vec<_>>();
        let at = |places: &[Vec<f64>]| {
            let rotation = Rotation::new(places, heads, width, &device);
            numbers(attend(qkv.clone(), heads, Some(&rotation), None))
        };
        let (near, far) = (at(&plane(0.0, 0.0)), at(&plane(7.0, 30.0)));
        assert!(near.iter().zip(&far).all(|(a, b)| (a - b).abs() < 2e-5));
    }

    #[test]
    fn a_rotation_turns_pairs_and_leaves_values() {
        let device = Device::flex();
        // One head of width 4, at place 3: angles 3 and 0.03.
        let qkv = Tensor::<3>::from_floats([[[1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12.]]], &device);
        let turned = numbers(Rotation::new(&line(3.0, 1), 1, 4, &device).turn(qkv, 1));
        let turn = |x: f64, y: f64, a: f64| [x * a.cos() - y * a.sin(), y * a.cos() + x * a.sin()];
        let ([a, c], [b, d]) = (turn(1., 3., 3.), turn(2., 4., 0.03));
        let ([e, g], [f, h]) = (turn(5., 7., 3.), turn(6., 8., 0.03));
        let expected = [a, b, c, d, e, f, g, h, 9., 10., 11., 12.];
        assert!(turned.iter().zip(expected).all(|(x, y)| (f64::from(*x) - y).abs() < 1e-5), "{turned:?} {expected:?}");
    }

    #[test]
    fn a_mask_that_hides_nothing_changes_nothing() {
        let device = Device::flex();
        let qkv: Tensor<3> = Rng::new(1).normal_tensor([2, 7, 36], &device, DType::F32);
        let all = Tensor::<4>::zeros([1, 1, 7, 7], &device).bool();
        let (fused, parts) = (attend(qkv.clone(), 3, None, None), attend(qkv, 3, None, Some(&all)));
        assert!(numbers(fused).iter().zip(numbers(parts)).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

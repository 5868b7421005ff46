//! Layers whose outputs have the magnitude of their inputs: the root mean square of independent values stays 1.
use crate::{
    net::{layers::dropout, space, unet::Resize},
    rng::Rng,
};
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use tweedie_kernels::ops;

/// SiLU divided by its root mean square for standard normal values: eq. 81.
pub(super) fn mp_silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ops::silu(x) * (1.0 / 0.596)
}

/// `((1 − t) a + t b) / √((1 − t)² + t²)`: eq. 88.
pub(super) fn mp_sum<const D: usize>(a: Tensor<D>, b: Tensor<D>, t: f64) -> Tensor<D> {
    let norm = ((1.0 - t).powi(2) + t * t).sqrt();
    a * ((1.0 - t) / norm) + b * (t / norm)
}

/// Concatenates channels so that both parts contribute alike whatever their numbers: eq. 103 at t = ½.
pub(super) fn mp_cat<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let [n, m] = [a.dims()[1], b.dims()[1]];
    let scale = |own: usize| ((n + m) as f64 / (2 * own) as f64).sqrt() as f32;
    let mut shape = [1; D];
    shape[1] = n + m;
    let scales = TensorData::new([vec![scale(n); n], vec![scale(m); m]].concat(), shape);
    let scales = Tensor::from_data(scales, (&a.device(), a.dtype()));
    Tensor::cat(vec![a, b], 1) * scales
}

/// Divides by the root mean square over one axis, with 1e-4 added: eq. 30 over channels (pixel norm), eq. 47 over weights.
pub(super) fn normalized<const D: usize>(x: Tensor<D>, axis: usize) -> Tensor<D> {
    // The smallest number lets a gradient pass where all values are zero.
    let size = ((x.clone() * x.clone()).mean_dim(axis) + 1e-16).sqrt() + 1e-4;
    x / size
}

/// Linear layer without a bias whose weights are normalized: `x W/‖W‖`, each output with weights of norm 1.
#[derive(Module, Debug)]
pub(super) struct MpLinear {
    /// `[in, out]`, initially standard normal.
    weight: Param<Tensor<2>>,
}

impl MpLinear {
    pub fn new(inputs: usize, outputs: usize, rng: &Rng, device: &Device) -> Self {
        let weight = rng.stream("weight").normal_tensor([inputs, outputs], device, DType::F32);
        Self { weight: Param::from_tensor(weight) }
    }

    /// The weights of root mean square 1 per output.
    pub fn normalized(&self) -> Tensor<2> {
        normalized(self.weight.val(), 0)
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let scale = 1.0 / (x.dims()[1] as f64).sqrt();
        ops::linear(x, self.normalized() * scale, None)
    }
}

/// Convolution without a bias whose weights are normalized as those of [`MpLinear`].
#[derive(Module, Debug)]
pub(super) struct MpConv {
    /// `[out, in, side, side]`, initially standard normal.
    weight: Param<Tensor<4>>,
}

impl MpConv {
    pub fn new([inputs, outputs]: [usize; 2], side: usize, rng: &Rng, device: &Device) -> Self {
        let shape = [outputs, inputs, side, side];
        Self { weight: Param::from_tensor(rng.stream("weight").normal_tensor(shape, device, DType::F32)) }
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    pub fn forward(&self, x: Tensor<4>, gain: Option<Tensor<1>>) -> Tensor<4> {
        let weight = self.weight.val();
        let (shape, fan_in) = (weight.dims(), weight.dims()[1..].iter().product::<usize>());
        let rows: Tensor<2> = normalized(weight.reshape([shape[0], fan_in]), 1) * (1.0 / (fan_in as f64).sqrt());
        let rows = match gain {
            Some(gain) => rows * gain.unsqueeze(),
            None => rows,
        };
        space::conv(x, rows.reshape(shape), None, 1)
    }
}

/// Self-attention of pixels with queries, keys and values of magnitude 1 (cosine attention).
#[derive(Module, Debug)]
struct MpAttention {
    qkv: MpConv,
    out: MpConv,
    heads: usize,
}

impl MpAttention {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let qkv = self.qkv.forward(x, None);
        let [batch, wide, h, w] = qkv.dims();
        let heads = qkv.reshape([batch * 3 * self.heads, wide / (3 * self.heads), h, w]);
        let qkv = normalized(heads, 1).reshape([batch, wide, h, w]);
        self.out.forward(ops::attention_pixels(qkv, self.heads), None)
    }
}

/// What the blocks of a net have in common.
pub(super) struct Style {
    pub cond_width: usize,
    pub head_channels: usize,
}

/// A residual block of the encoder or the decoder.
#[derive(Module, Debug)]
pub(super) struct Block {
    conv1: MpConv,
    cond: MpLinear,
    /// Gain of `cond`, initially 0.
    gain: Param<Tensor<1>>,
    conv2: MpConv,
    skip: Option<MpConv>,
    attention: Option<MpAttention>,
    encodes: bool,
}

/// The share of a block's branches in its sums, and the limit of its output.
const BALANCE: f64 = 0.3;
const LIMIT: f64 = 256.0;

impl Block {
    pub fn new(
        [from, to]: [usize; 2],
        encodes: bool,
        attends: bool,
        style: &Style,
        rng: &Rng,
        device: &Device,
    ) -> Self {
        let conv = |name: &str, channels, side| MpConv::new(channels, side, &rng.stream(name), device);
        Self {
            // The encoder's branches begin after the change of channels.
            conv1: conv("conv1", [if encodes { to } else { from }, to], 3),
            cond: MpLinear::new(style.cond_width, to, &rng.stream("cond"), device),
            gain: Param::from_tensor(Tensor::zeros([1], (device, DType::F32))),
            conv2: conv("conv2", [to, to], 3),
            skip: (from != to).then(|| conv("skip", [from, to], 1)),
            attention: attends.then(|| MpAttention {
                qkv: conv("qkv", [to, 3 * to], 1),
                out: conv("out", [to, to], 1),
                heads: crate::net::layers::divisor(to, to / style.head_channels.clamp(1, to)),
            }),
            encodes,
        }
    }

    /// The scales `1 + gain · linear(cond)` of the block's channels.
    pub fn scales(&self, cond: &Tensor<2>) -> Tensor<2> {
        self.cond.forward(cond.clone()) * self.gain.val().unsqueeze() + 1.0
    }

    pub fn forward(
        &self,
        x: Tensor<4>,
        scales: Tensor<2>,
        resize: &Resize,
        rate: f64,
        rng: &mut Option<Rng>,
    ) -> Tensor<4> {
        let through = |x: Tensor<4>| match &self.skip {
            Some(skip) => skip.forward(x, None),
            None => x,
        };
        let mut x = resize.apply(x);
        if self.encodes {
            x = normalized(through(x), 1);
        }
        let [batch, channels] = scales.dims();
        let y = self.conv1.forward(mp_silu(x.clone()), None) * scales.reshape([batch, channels, 1, 1]);
        let y = self.conv2.forward(dropout(mp_silu(y), rate, rng), None);
        let x = if self.encodes { x } else { through(x) };
        let x = mp_sum(x, y, BALANCE);
        let x = match &self.attention {
            Some(attention) => mp_sum(x.clone(), attention.forward(x), BALANCE),
            None => x,
        };
        x.clamp(-LIMIT, LIMIT)
    }
}

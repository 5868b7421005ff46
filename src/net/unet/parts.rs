//! Parts of a U-Net: residual blocks, attention, resolution levels.
use super::{Resampling, UNetConfig};
use crate::{
    net::{
        cross::{CrossAttention, Sequence},
        layers::{Attention, Conv, GroupNorm, Linear, divisor, dropout, upsample},
        recompute::part,
        space,
    },
    rng::Rng,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

/// What all parts are built from.
pub(super) struct Build<'a> {
    pub config: &'a UNetConfig,
    pub cond_width: usize,
    /// Whether there are conditions of tokens.
    pub tokens: bool,
    pub device: &'a Device,
}

impl Build<'_> {
    /// A level on one of the ways; `stride` is that of the convolution after it, if the resolution changes.
    pub fn stage<const D: usize>(
        &self,
        level: usize,
        inputs: &[usize],
        to: usize,
        stride: Option<usize>,
        rng: &Rng,
    ) -> Stage<D> {
        let attends = self.config.attention.contains(&level);
        let stream = |what: &str, index: usize| rng.stream(&format!("{what}.{index}"));
        let blocks = inputs.iter().enumerate().map(|(i, &from)| self.block(from, to, &stream("block", i))).collect();
        let attention =
            (0..inputs.len()).filter(|_| attends).map(|i| self.attend(to, &stream("attention", i))).collect();
        let crosses = self.tokens && self.config.cross_attention.contains(&level);
        let cross = (0..inputs.len()).filter(|_| crosses).map(|i| self.cross(to, &stream("cross", i))).collect();
        let (own, residual) = (rng.stream("resize"), self.config.resampling == Resampling::Residual);
        let resize = stride.filter(|_| !residual).map(|stride| {
            let conv = Conv::new([to, to], 3, &own, self.device);
            if stride == 2 { conv.downsampling() } else { conv }
        });
        let resample = stride.filter(|_| residual).map(|_| self.block(to, to, &own));
        Stage { blocks, attention, cross, resize, resample }
    }

    /// The part at the lowest resolution.
    pub fn middle<const D: usize>(&self, width: usize, rng: &Rng) -> Middle<D> {
        Middle {
            before: self.block(width, width, &rng.stream("before")),
            attention: self.attend(width, &rng.stream("attention")),
            cross: self.tokens.then(|| self.cross(width, &rng.stream("cross"))),
            after: self.block(width, width, &rng.stream("after")),
        }
    }

    fn block<const D: usize>(&self, from: usize, to: usize, rng: &Rng) -> Block<D> {
        let (groups, device) = (self.config.groups, self.device);
        let told = if self.config.scale_shift { 2 * to } else { to };
        Block {
            norm1: GroupNorm::new(from, groups, device),
            conv1: Conv::new([from, to], 3, &rng.stream("conv1"), device),
            cond: Linear::new(self.cond_width, told, &rng.stream("told"), device),
            norm2: GroupNorm::new(to, groups, device),
            conv2: Conv::zero([to, to], 3, device),
            skip: (from != to).then(|| Conv::new([from, to], 1, &rng.stream("skip"), device)),
        }
    }

    fn cross(&self, channels: usize, rng: &Rng) -> Cross {
        let heads = divisor(channels, channels / self.config.head_channels.clamp(1, channels));
        Cross {
            norm: GroupNorm::new(channels, self.config.groups, self.device),
            attention: CrossAttention::new(channels, self.cond_width, heads, rng, self.device),
        }
    }

    fn attend<const D: usize>(&self, channels: usize, rng: &Rng) -> Attention<D> {
        Attention::new(channels, self.config.head_channels, self.config.groups, rng, self.device)
    }
}

/// Inputs that all blocks of a forward pass share.
pub(super) struct Shared {
    /// Embedding of the condition after the activation, `[batch, cond_width]`.
    pub cond: Tensor<2>,
    /// Embedded tokens of conditions.
    pub sequence: Option<Sequence>,
    pub dropout: f64,
    /// Whether blocks are computed again for the gradient.
    pub checkpointing: bool,
    pub rng: Option<Rng>,
}

/// A resolution level on the way down or up.
#[derive(Module, Debug)]
pub(super) struct Stage<const D: usize> {
    pub blocks: Vec<Block<D>>,
    /// One per block, or none.
    attention: Vec<Attention<D>>,
    /// One per block, or none.
    cross: Vec<Cross>,
    /// Changes the resolution by a convolution.
    pub resize: Option<Conv<D>>,
    /// Changes the resolution by a residual block.
    pub resample: Option<Block<D>>,
}

impl<const D: usize> Stage<D> {
    pub fn apply(&self, index: usize, x: Tensor<D>, shared: &mut Shared) -> Tensor<D> {
        let x = self.blocks[index].forward(x, Resize::Keep, shared);
        let x = match self.attention.get(index) {
            Some(attention) => attend(attention, x, shared),
            None => x,
        };
        match self.cross.get(index) {
            Some(cross) => cross.forward(x, shared),
            None => x,
        }
    }
}

fn attend<const D: usize>(attention: &Attention<D>, x: Tensor<D>, shared: &mut Shared) -> Tensor<D> {
    part(shared.checkpointing, attention, x, vec![], &mut shared.rng, |attention, x, _, _| attention.forward(x))
}

/// The part at the lowest resolution.
#[derive(Module, Debug)]
pub(super) struct Middle<const D: usize> {
    before: Block<D>,
    attention: Attention<D>,
    cross: Option<Cross>,
    after: Block<D>,
}

impl<const D: usize> Middle<D> {
    pub fn forward(&self, x: Tensor<D>, shared: &mut Shared) -> Tensor<D> {
        let x = attend(&self.attention, self.before.forward(x, Resize::Keep, shared), shared);
        let x = match &self.cross {
            Some(cross) => cross.forward(x, shared),
            None => x,
        };
        self.after.forward(x, Resize::Keep, shared)
    }
}

/// Cross-attention of places to the tokens of conditions, after a group norm: `x + attention(norm(x), tokens)`.
#[derive(Module, Debug)]
struct Cross {
    norm: GroupNorm,
    attention: CrossAttention,
}

impl Cross {
    fn forward<const D: usize>(&self, x: Tensor<D>, shared: &mut Shared) -> Tensor<D> {
        let Shared { sequence: Some(sequence), dropout, rng, checkpointing, .. } = shared else { return x };
        let (rate, padding) = (*dropout, sequence.padding.clone());
        let keys = self.attention.keys_and_values(sequence);
        part(*checkpointing, self, x, keys, rng, move |cross, x, keys, rng| {
            let shape = x.dims();
            let [batch, channels] = [shape[0], shape[1]];
            let places = shape[2..].iter().product();
            let normed = cross.norm.forward(x.clone()).reshape([batch, channels, places]).swap_dims(1, 2);
            let y = cross.attention.attend(normed, keys, &padding, rate, rng);
            x + y.swap_dims(1, 2).reshape(shape)
        })
    }
}

/// What a residual block does to the resolution.
#[derive(Clone)]
pub(in crate::net) enum Resize {
    Keep,
    /// Halves it by means of neighbors, rounded up.
    Down,
    /// Upsamples to these sizes by nearest neighbors.
    Up(Vec<usize>),
}

impl Resize {
    pub fn apply<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Keep => x,
            Self::Down => space::halve(x),
            Self::Up(size) => upsample(x, size),
        }
    }
}

#[derive(Module, Debug)]
pub(super) struct Block<const D: usize> {
    norm1: GroupNorm,
    conv1: Conv<D>,
    cond: Linear,
    norm2: GroupNorm,
    conv2: Conv<D>,
    skip: Option<Conv<D>>,
}

impl<const D: usize> Block<D> {
    pub fn forward(&self, x: Tensor<D>, resize: Resize, shared: &mut Shared) -> Tensor<D> {
        let (told, channels, rate) =
            (self.cond.forward(shared.cond.clone()), self.norm2.gamma.dims()[0], shared.dropout);
        let vectors = if told.dims()[1] == channels { vec![told] } else { told.chunk(2, 1) };
        part(shared.checkpointing, self, x, vectors, &mut shared.rng, move |block, x, vectors, rng| {
            let h = block.conv1.forward(resize.apply(block.norm1.activated(x.clone())));
            let h = match <[Tensor<2>; 2]>::try_from(vectors) {
                Ok([scale, shift]) => block.norm2.modulated(h, scale, shift),
                Err(told) => {
                    let mut shape = [1; D];
                    [shape[0], shape[1]] = told[0].dims();
                    block.norm2.activated(h + told[0].clone().reshape(shape))
                }
            };
            let h = dropout(h, rate, rng);
            let x = resize.apply(x);
            let x = match &block.skip {
                Some(skip) => skip.forward(x),
                None => x,
            };
            x + block.conv2.forward(h)
        })
    }
}

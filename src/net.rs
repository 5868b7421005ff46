//! Networks: the model output from `x_t`, `t` and a condition.
//!
//! A [`Net`] is a burn `Module`. Which quantity its output stands for (ε, v, x̂, …), the prediction type, is a property of the
//! noise; a net does not know it. [`then`](Net::then) appends a [`Layer`].
//!
//! | net | for | conditions |
//! |---|---|---|
//! | [`Mlp`] | vectors `[batch, features]` | classes, vectors |
//! | [`UNet`] | images `[batch, channels, h, w]`, signals (`UNet<3>`) and volumes (`UNet<5>`) | of every kind |
//! | [`Dit`] | images `[batch, channels, h, w]` | of every kind |
//! | [`Edm2`] | images `[batch, channels, h, w]` | classes, vectors |
//! | [`Transformer`] | sequences `[batch, tokens, …]`, discrete or continuous | classes, vectors, tokens |
//! | [`Pixels`] | images whose gray levels are categories | that of the net inside |
//!
//! A configuration holds the choices (`channels`, `depth`, …), which recipes read and write, and the dimensions that data and
//! noise determine (`in_channels`, `num_classes`, `outputs`, …), which `fit` takes from a [`Task`].
use crate::{
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::{Module, ModuleDisplay},
    tensor::Tensor,
};
use std::fmt::Debug;

mod blocks;
mod config;
mod cross;
pub mod dit;
pub mod edm2;
mod embed;
mod footprint;
pub mod layers;
pub mod mlp;
pub mod pixels;
mod probe;
mod recompute;
mod seeded;
mod space;
pub mod transformer;
pub mod unet;
pub use crate::condition::{Classes, Condition, Conditions};
pub use blocks::Positions;
pub use config::Task;
pub use cross::{CrossAttention, Sequence};
pub use dit::{Dit, DitConfig};
pub use edm2::{Edm2, Edm2Config};
pub use embed::{Embedders, LABEL_CHANNELS};
pub use footprint::Footprint;
pub use mlp::{Mlp, MlpConfig};
pub use pixels::{Pixels, PixelsConfig};
pub(crate) use probe::caught;
pub(crate) use seeded::{has_training_layers, is_lazy, with_generator};
pub use seeded::{seeded, try_seeded};
pub use transformer::{Transformer, TransformerConfig};
pub use unet::{Resampling, UNet, UNetConfig};

/// A denoising network for data of rank `D`.
#[doc(alias = "ModelMixin")]
pub trait Net<const D: usize>: Module + ModuleDisplay {
    /// The condition y: classes, captions, nothing (`()`).
    type Condition: Condition;

    /// Computes the model output from `z = x_t`, `t` and the condition `y`.
    ///
    /// # Shapes
    ///
    /// `z: [batch, …]`, `t: [batch]` in [0, 1] → `[batch, …]`; the second axis is twice as long if the variance is
    /// learned.
    fn forward(&self, z: Tensor<D>, t: Tensor<1>, y: &Self::Condition) -> Tensor<D>;

    /// Computes the model output in training, with dropout from `rng`. Default: [`forward`](Net::forward).
    fn forward_train(&self, z: Tensor<D>, t: Tensor<1>, y: &Self::Condition, rng: &Rng) -> Tensor<D> {
        let _ = rng;
        self.forward(z, t, y)
    }

    /// Returns the same net with gradient checkpointing turned on or off: in training it keeps the inputs of its blocks alone and
    /// computes each block again for the gradient, which takes less memory and more time. Output and gradients have the same
    /// bits. [`ops::recompute`](tweedie_kernels::ops::recompute) does it for a block. Default: there is none.
    ///
    /// # Errors
    ///
    /// If it is turned on and the net has none.
    #[doc(alias("enable_gradient_checkpointing", "use_checkpoint"))]
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        if on {
            return Err(Error::invalid("is not supported by this network")
                .with_field("checkpointing")
                .with_remedy("leave it out, or save memory by a larger `accumulate`"));
        }
        Ok(self)
    }

    /// Checks that the net can be given the condition `y` of a batch of `rows` rows; asked before the first step of training and
    /// sampling, and of every batch in training. Default: any condition.
    ///
    /// # Errors
    ///
    /// If it cannot, with the remedy.
    fn check_condition(&self, y: &Self::Condition, rows: usize) -> Result<()> {
        let _ = (y, rows);
        Ok(())
    }

    /// Returns the shape of the output for x_t of shape `z` with the condition `y`; asked before the first step of training and
    /// sampling. Default: that of a forward pass of one row of zeros.
    ///
    /// # Errors
    ///
    /// If the net is for data of another shape.
    fn output_shape(&self, z: [usize; D], y: &Self::Condition) -> Result<[usize; D]> {
        probe::output_shape(self, z, y)
    }

    /// Whether the output is probabilities of categories, as after a [`Softmax`]. Default: no.
    fn gives_probabilities(&self) -> bool {
        false
    }

    /// Returns this net followed by a layer: function composition.
    ///
    /// After a [`Softmax`] the output is probabilities, which categorical noise must be told by the prediction type
    /// [`Probabilities`](crate::noise::DiscretePrediction::Probabilities): otherwise it would take the softmax again, and
    /// [`Model::new`](crate::model::Model::new) refuses.
    #[doc(alias = "Sequential")]
    fn then<L: Layer<D>>(self, layer: L) -> Then<Self, L> {
        Then { net: self, layer }
    }
}

/// A layer after a net: a module that maps the model output.
pub trait Layer<const D: usize>: Module + ModuleDisplay {
    /// Maps the output.
    ///
    /// # Shapes
    ///
    /// `[batch, …]` → `[batch, …]`.
    fn apply(&self, output: Tensor<D>) -> Tensor<D>;

    /// Whether the result is probabilities of categories along the last axis. Default: no.
    fn gives_probabilities(&self) -> bool {
        false
    }
}

/// A net followed by a layer; see [`Net::then`].
#[derive(Module, Debug)]
pub struct Then<N: Module + ModuleDisplay, L: Module + ModuleDisplay> {
    net: N,
    layer: L,
}
impl<const D: usize, N: Net<D>, L: Layer<D>> Net<D> for Then<N, L> {
    type Condition = N::Condition;
    fn forward(&self, z: Tensor<D>, t: Tensor<1>, y: &Self::Condition) -> Tensor<D> {
        self.layer.apply(self.net.forward(z, t, y))
    }
    fn forward_train(&self, z: Tensor<D>, t: Tensor<1>, y: &Self::Condition, rng: &Rng) -> Tensor<D> {
        self.layer.apply(self.net.forward_train(z, t, y, rng))
    }
    fn with_checkpointing(self, on: bool) -> Result<Self> {
        Ok(Self { net: self.net.with_checkpointing(on)?, ..self })
    }
    fn check_condition(&self, y: &Self::Condition, rows: usize) -> Result<()> {
        self.net.check_condition(y, rows)
    }
    fn output_shape(&self, z: [usize; D], y: &Self::Condition) -> Result<[usize; D]> {
        let mut one = self.net.output_shape(z, y)?;
        let rows = std::mem::replace(&mut one[0], 1);
        let device = self.net.devices().first().cloned().unwrap_or_default();
        let what = format!("the layer after the network cannot be applied to outputs of shape {:?}", &one[1..]);
        let mut output = caught(&what, || self.layer.apply(Tensor::zeros(one, &device)).dims())
            .map_err(|error| error.with_remedy("use a layer for outputs of this shape"))?;
        output[0] *= rows;
        Ok(output)
    }
    fn gives_probabilities(&self) -> bool {
        self.layer.gives_probabilities()
    }
}

/// Softmax over the last axis, as a [`Layer`]: logits of categories to probabilities, which categorical noise reads by the
/// prediction type [`Probabilities`](crate::noise::DiscretePrediction::Probabilities).
#[derive(Module, Debug, Default)]
pub struct Softmax {}
impl<const D: usize> Layer<D> for Softmax {
    fn apply(&self, output: Tensor<D>) -> Tensor<D> {
        burn::tensor::activation::softmax(output, D - 1)
    }
    fn gives_probabilities(&self) -> bool {
        true
    }
}

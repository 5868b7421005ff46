//! Networks: what looks at `x_t` and says something of it.
//!
//! A [`Net`] is a burn `Module` that reads the noisy batch, the times and a condition. Which language it speaks (ε, v,
//! x̂, …) is the noise's business; a net does not know it. [`then`](Net::then) appends post-processing.
use crate::rng::Rng;
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Device, Int, Tensor, TensorData},
};
use std::fmt::Debug;

mod blocks;
pub mod dit;
pub mod layers;
pub mod mlp;
pub mod pixels;
pub mod transformer;
pub mod unet;
pub use blocks::Positions;
pub use dit::{Dit, DitConfig};
pub use mlp::{Mlp, MlpConfig};
pub use pixels::{Pixels, PixelsConfig};
pub use transformer::{Transformer, TransformerConfig};
pub use unet::{UNet, UNetConfig};

/// A denoising network of rank `D`.
pub trait Net<const D: usize>: Module + ModuleDisplay {
    /// What the net is told beside `x_t` and t.
    type Condition: Condition;

    /// The net's word on `z`.
    ///
    /// # Shapes
    ///
    /// `z: [batch, …]`, `t: [batch]` in [0, 1] → `[batch, …]`; the second axis is twice as long where the variance is
    /// learned.
    fn forward(&self, z: Tensor<D>, t: Tensor<1>, y: &Self::Condition) -> Tensor<D>;

    /// [`forward`](Net::forward) while training, where a net that drops out draws from `rng`.
    fn forward_train(&self, z: Tensor<D>, t: Tensor<1>, y: &Self::Condition, rng: &Rng) -> Tensor<D> {
        let _ = rng;
        self.forward(z, t, y)
    }

    /// This net, followed by a layer: the `|` of function composition.
    fn then<L: Layer<D>>(self, layer: L) -> Then<Self, L> {
        Then { net: self, layer }
    }
}

/// What a net is told: a batch of labels, captions, nothing (`()`).
pub trait Condition: Clone + Debug + Send + Sync + 'static {
    /// The rows of `rows`, in that order.
    fn select(&self, rows: &[usize]) -> Self;

    /// The same batch with row i told nothing wherever `drop[i]`: what classifier-free guidance trains and compares
    /// against. `self` is left as it is.
    fn without(&self, drop: &[bool]) -> Self;
}

impl Condition for () {
    fn select(&self, _: &[usize]) -> Self {}
    fn without(&self, _: &[bool]) -> Self {}
}

/// A class for each row of a batch, or none; no rows at all stands for "none, for every row".
///
/// ```
/// use tweedie::net::{Classes, Condition};
/// let y = Classes::from([3, 1]);
/// assert_eq!(y.without(&[true, false]), Classes(vec![None, Some(1)]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(pub Vec<Option<u32>>);

impl Classes {
    /// Nothing is told of any row.
    pub fn none() -> Self {
        Self::default()
    }

    /// Row i as an index into a table of `classes + 1` rows, of which the last stands for "none".
    ///
    /// # Panics
    ///
    /// If a class is not below `classes`, or there is neither one class a row nor none at all.
    pub fn indices(&self, batch: usize, classes: usize, device: &Device) -> Tensor<1, Int> {
        assert!(
            self.0.is_empty() || self.0.len() == batch,
            "{} classes were given for a batch of {batch}: give one a row, or none at all",
            self.0.len()
        );
        let row = |i: usize| match self.0.get(i).copied().flatten() {
            Some(class) => {
                assert!(
                    (class as usize) < classes,
                    "class {class} was given to a net of {classes} classes (0 to {})",
                    classes.max(1) - 1
                );
                i64::from(class)
            }
            None => classes as i64,
        };
        Tensor::from_data(TensorData::new((0..batch).map(row).collect::<Vec<_>>(), [batch]), device)
    }
}
impl From<Vec<u32>> for Classes {
    fn from(classes: Vec<u32>) -> Self {
        Self(classes.into_iter().map(Some).collect())
    }
}
impl<const N: usize> From<[u32; N]> for Classes {
    fn from(classes: [u32; N]) -> Self {
        classes.to_vec().into()
    }
}
impl Condition for Classes {
    fn select(&self, rows: &[usize]) -> Self {
        if self.0.is_empty() { Self::none() } else { Self(rows.iter().map(|&row| self.0[row]).collect()) }
    }
    fn without(&self, drop: &[bool]) -> Self {
        Self(self.0.iter().zip(drop).map(|(class, drop)| class.filter(|_| !drop)).collect())
    }
}

/// What may follow a net: any module that maps its output.
pub trait Layer<const D: usize>: Module + ModuleDisplay {
    /// `[batch, …]` → `[batch, …]`.
    fn apply(&self, output: Tensor<D>) -> Tensor<D>;
}

/// A net and the layer after it; see [`Net::then`].
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
}

/// Probabilities along the last axis, as a [`Layer`].
#[derive(Module, Debug, Default)]
pub struct Softmax {}
impl<const D: usize> Layer<D> for Softmax {
    fn apply(&self, output: Tensor<D>) -> Tensor<D> {
        burn::tensor::activation::softmax(output, D - 1)
    }
}

//! Transforms: from raw data to the x that is noised, and back.
use burn::{
    module::{Module, ModuleDisplay},
    tensor::{Int, Tensor},
};
use std::any::Any;

mod embedding;
pub mod patches;
pub use embedding::{Decoding, Embedding, EmbeddingConfig, Rounded};
pub use patches::Patches;

/// A map from raw data to x and its inverse; a burn `Module`, so it may hold weights that are trained.
#[doc(alias = "VAE")]
#[doc(alias = "AutoencoderKL")]
pub trait Transform<const D: usize>: Module + ModuleDisplay + 'static {
    /// Raw data.
    type Raw: Clone + Send + 'static;
    /// Maps raw data to x.
    fn encode(&self, raw: Self::Raw) -> Tensor<D>;
    /// Maps x to raw data.
    fn decode(&self, x: Tensor<D>) -> Self::Raw;
    /// The transform as the losses that know its type see it; a wrapper returns the transform inside.
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The identity: x is the raw data.
#[derive(Module, Debug, Default)]
pub struct Identity {}
impl<const D: usize> Transform<D> for Identity {
    type Raw = Tensor<D>;
    fn encode(&self, raw: Tensor<D>) -> Tensor<D> {
        raw
    }
    fn decode(&self, x: Tensor<D>) -> Tensor<D> {
        x
    }
}

/// One-hot encoding of category indices along a new last axis.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use tweedie::transform::{OneHot, Transform};
/// let letters = Tensor::<1, Int>::from_ints([2, 0], &Device::flex());
/// let x: Tensor<2> = OneHot { k: 3 }.encode(letters);
/// assert_eq!(x.into_data().to_vec::<f32>().unwrap(), [0., 0., 1., 1., 0., 0.]);
/// ```
#[derive(Module, Debug)]
pub struct OneHot {
    /// Number of categories.
    pub k: usize,
}
macro_rules! one_hot {
    ($($raw:literal $rank:literal),*) => {$(
        impl Transform<$rank> for OneHot {
            type Raw = Tensor<$raw, Int>;
            fn encode(&self, raw: Self::Raw) -> Tensor<$rank> {
                let mut shape = [1; $rank];
                shape[$rank - 1] = self.k;
                let places = Tensor::<1, Int>::arange(0..self.k as i64, &raw.device()).reshape(shape);
                let mut full = [self.k; $rank];
                full[..$raw].copy_from_slice(&raw.dims());
                let raw: Tensor<$rank, Int> = raw.unsqueeze_dim($raw);
                raw.expand(full).equal(places.expand(full)).float()
            }
            fn decode(&self, x: Tensor<$rank>) -> Self::Raw {
                x.argmax($rank - 1).squeeze_dim($rank - 1)
            }
        }
    )*};
}
one_hot!(1 2, 2 3, 3 4, 4 5);

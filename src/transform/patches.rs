//! Images as sequences of patches.
use super::Transform;
use burn::{module::Module, tensor::Tensor};

/// Cuts images into patches, `[batch, c, h, w]` → `[batch, patches, c · side²]`: patches row by row, the values of a patch by
/// channel, row and column.
///
/// # Panics
///
/// If `side` does not divide height and width.
pub fn cut(image: Tensor<4>, side: usize) -> Tensor<3> {
    let [batch, c, h, w] = image.dims();
    assert!(
        side > 0 && h.is_multiple_of(side) && w.is_multiple_of(side),
        "an image of {h}×{w} cannot be cut into patches of {side}×{side}"
    );
    let [rows, columns] = [h / side, w / side];
    let parts = image.reshape([batch, c, rows, side, columns, side]).permute([0, 2, 4, 1, 3, 5]);
    parts.reshape([batch, rows * columns, c * side * side])
}

/// Joins patches to images, the inverse of [`cut`], for a grid of `[rows, columns]` patches of `c` channels.
///
/// # Panics
///
/// If the shape differs.
pub fn join(patches: Tensor<3>, side: usize, [rows, columns]: [usize; 2], c: usize) -> Tensor<4> {
    let dims @ [batch, ..] = patches.dims();
    assert!(
        dims == [batch, rows * columns, c * side * side],
        "{dims:?} is not a batch of {rows}×{columns} patches of {side}×{side} with {c} channels"
    );
    let parts = patches.reshape([batch, rows, columns, c, side, side]).permute([0, 3, 1, 4, 2, 5]);
    parts.reshape([batch, c, rows * side, columns * side])
}

/// Images `[batch, c, h, w]` as sequences `[batch, patches, c · side²]`, for nets of sequences.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use tweedie::transform::{Patches, Transform};
/// let image = Tensor::<1, Int>::arange(0..16, &Device::flex()).float().reshape([1, 1, 4, 4]);
/// let patches = Patches { side: 2, size: [4, 4] };
/// let tokens = patches.encode(image.clone());
/// assert_eq!(tokens.dims(), [1, 4, 4]);
/// assert_eq!(tokens.clone().narrow(1, 1, 1).into_data().to_vec::<f32>().unwrap(), [2., 3., 6., 7.]);
/// assert_eq!(patches.decode(tokens).into_data(), image.into_data());
/// ```
#[derive(Module, Debug)]
pub struct Patches {
    /// Side of a patch in pixels.
    pub side: usize,
    /// Height and width of an image.
    #[module(skip)]
    pub size: [usize; 2],
}

impl Transform<3> for Patches {
    type Raw = Tensor<4>;
    fn encode(&self, image: Tensor<4>) -> Tensor<3> {
        cut(image, self.side)
    }
    fn decode(&self, x: Tensor<3>) -> Tensor<4> {
        let c = x.dims()[2] / (self.side * self.side);
        join(x, self.side, self.size.map(|n| n / self.side), c)
    }
}

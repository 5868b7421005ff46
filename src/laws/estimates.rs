//! Laws of what a noise reads of a network's output.
use super::{Check, denoiser, guidance};
use crate::{
    denoise::{Denoiser, Guided},
    noise::{Estimate, Noise},
    rng::Rng,
};
use burn::tensor::{Int, Tensor, activation::softmax};

/// A network whose output is a fixed function of x_t, read by a noise.
struct Fixed<'a, const D: usize> {
    noise: &'a dyn Noise<D>,
    gain: f64,
}
impl<const D: usize> Denoiser<D> for Fixed<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.noise
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let Some(categories) = self.noise.categories() else {
            let output = (z.clone() * self.gain).sin() * 0.8;
            let output = match self.noise.outputs() {
                2 => Tensor::cat(vec![output.clone(), output * self.gain], 1.min(D - 1)),
                _ => output,
            };
            return self.noise.estimate(output, z, t);
        };
        let mut shape = [1; D];
        shape[D - 1] = categories.k;
        let places =
            Tensor::<1, Int>::arange(0..categories.k as i64, &z.device()).float().cast(z.dtype()).reshape(shape);
        let mut dims = z.dims();
        dims[D - 1] = categories.k;
        let all = places.expand(dims);
        let logits = ((z.clone().expand(dims) + all.clone() * 1.7) * self.gain).sin();
        // Data are never the mask.
        let logits = match categories.mask {
            Some(mask) => logits.mask_fill(all.equal_elem(mask as f64), -1e4),
            None => logits,
        };
        // The output that means these probabilities, whatever the prediction type.
        let output = self.noise.target(softmax(logits, D - 1), z.clone(), t);
        self.noise.estimate(output, z, t)
    }
}

/// Checks what a noise reads of a network's output, on data `x` of two rows or more (one-hot vectors or indices of categories): the laws
/// of [denoisers](denoiser()) for a network whose output is a fixed function of x_t, and of their [guidance](guidance()) by [`Guided`],
/// which composes outputs and so depends on what the noise says of them.
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, laws, noise::Gaussian, schedule::FlowMatching};
/// let x = Rng::new(0).normal_tensor([8, 2], &Device::flex(), DType::F64);
/// for check in laws::estimates::<2>(&Gaussian::new(FlowMatching {}), &x) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn estimates<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>) -> Vec<Check> {
    let z = noise.prior(x.clone(), &[0.5]).sample(&mut Rng::new(8)).value;
    let (strong, weak) = (Fixed { noise, gain: 1.3 }, Fixed { noise, gain: 0.6 });
    let guided = guidance(|strong, weak, scale| Box::new(Guided { strong, weak, scale }), &strong, &weak, &z);
    [denoiser(&strong, &z), guided].concat()
}

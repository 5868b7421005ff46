//! Laws of nets in half precision.
use super::{
    Check, Checks,
    net::{gradients, perturbed},
};
use crate::{Precision, distribution::host, net::Net};
use burn::tensor::{Tensor, TensorData};

/// Laws of a net whose matrix products are computed in half precision, on a batch `z` with the condition `y`: output and
/// gradients are finite and near those in single precision.
///
/// The output differs by at most `u √L` of its root mean square, where L is the number of parameters of two or more axes,
/// which is the number of products of a net that uses each once, and u the unit roundoff: 2⁻⁸ of bf16, 2⁻¹¹ of f16. The
/// cosine between the gradients of all parameters is at least 0.99.
///
/// The laws are measured on the net with random numbers added to its parameters, as those of [`net`](super::net).
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Precision, Rng, condition::Conditions, laws, net::MlpConfig};
/// let net = MlpConfig::new(2).init(&Rng::new(0), &Device::flex())?;
/// let z = Rng::new(1).normal_tensor([4, 2], &Device::flex(), DType::F32);
/// for check in laws::precision(&net, &z, &Conditions::none(), Precision::Bf16) {
///     assert!(check.holds(), "{check}");
/// }
/// # Ok::<(), tweedie::Error>(())
/// ```
pub fn precision<const D: usize, N: Net<D>>(
    net: &N,
    z: &Tensor<D>,
    y: &N::Condition,
    precision: Precision,
) -> Vec<Check> {
    let mut checks = Checks::default();
    let (net, rows, name) = (perturbed(net, 0), z.dims()[0], precision.name());
    let roundoff = match precision {
        Precision::F32 => 2.0_f64.powi(-24),
        Precision::Bf16 => 2.0_f64.powi(-8),
        Precision::F16 => 2.0_f64.powi(-11),
    };
    let shapes: Vec<usize> =
        crate::train::Parameters::of(&net).to_host().iter().map(|(_, shape, _)| shape.len()).collect();
    let products = shapes.iter().filter(|rank| **rank >= 2).count().max(1);
    let allowed = roundoff * (products as f64).sqrt();
    for t in [0.05, 0.5, 0.95] {
        let times = Tensor::<1>::from_data(TensorData::new(vec![t as f32; rows], [rows]), &z.device());
        let place = format!("t = {t} in {name}");
        let output = |precision: Precision| precision.scope(|| host(net.forward(z.clone(), times.clone(), y)));
        let (single, half) = (output(Precision::F32), output(precision));
        let odd = half.iter().filter(|x| !x.is_finite()).count();
        checks.note("output in half precision is finite", &place, odd as f64, 0.0);
        let square = |x: f64| x * x;
        let size: f64 = single.iter().map(|x| square(*x)).sum();
        let off: f64 = single.iter().zip(&half).map(|(a, b)| square(a - b)).sum();
        checks.note("output in half precision is near that in single precision", &place, (off / size).sqrt(), allowed);

        let gradient = |precision: Precision| -> Vec<f64> {
            let all = precision.scope(|| gradients(&net, z, times.clone(), y));
            all.into_iter().flat_map(|(.., values)| values).map(f64::from).collect()
        };
        let (single, half) = (gradient(Precision::F32), gradient(precision));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = dot(&single, &half) / (dot(&single, &single) * dot(&half, &half)).sqrt();
        checks.note("gradients in half precision point as in single precision", &place, 1.0 - cosine, 0.01);
    }
    checks.done()
}

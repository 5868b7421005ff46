//! Laws of nets in half precision.
use super::{
    Check, Checks,
    net::{gradients, perturbed},
    on_device::{gap, moved},
};
use crate::{
    Precision, Result,
    condition::Conditions,
    data::Samples,
    distribution::host,
    loss::Simple,
    model::Model,
    net::{Mlp, MlpConfig, Net},
    noise::{Gaussian, Prediction},
    rng::Rng,
    sample::Sampler,
    schedule::VariancePreserving,
    train::{Parameters, Train},
};
use burn::tensor::{Device, Tensor, TensorData};

/// The unit roundoff.
fn roundoff(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 2.0_f64.powi(-24),
        Precision::Bf16 => 2.0_f64.powi(-8),
        Precision::F16 => 2.0_f64.powi(-11),
    }
}

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
    let products = Parameters::of(&net).to_host().iter().filter(|(_, shape, _)| shape.len() >= 2).count().max(1);
    let allowed = roundoff(precision) * (products as f64).sqrt();
    for t in [0.05, 0.5, 0.95] {
        let times = Tensor::<1>::from_data(TensorData::new(vec![t as f32; rows], [rows]), &z.device());
        let place = format!("t = {t} in {name}");
        let output = |precision: Precision| precision.scope(|| host(net.forward(z.clone(), times.clone(), y)));
        let (single, half) = (output(Precision::F32), output(precision));
        let odd = half.iter().filter(|x| !x.is_finite()).count();
        checks.note("output in half precision is finite", &place, odd as f64, 0.0);
        let law = "output in half precision is near that in single precision";
        checks.note(law, &place, gap(&half, &single), allowed);

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

/// A model of points in the plane.
fn small(device: &Device, precision: Precision) -> Result<Model<2, Mlp>> {
    let net = perturbed(&MlpConfig::new(2).with_num_classes(3).init(&Rng::new(0), &Device::flex())?, 0);
    // Of v, so that states stay of the size of data whatever the net computes.
    let noise = Gaussian::new(VariancePreserving::default()).with_prediction(Prediction::V);
    Ok(Model::new(noise, moved(&net, device))?.with_precision(precision))
}

/// Laws of a sampler whose network computes matrix products in half precision on a device: with the same seed, samples of a small
/// net in `steps` steps differ from those in single precision by at most 16 u of their root mean square, u the unit roundoff as
/// for [`precision`](precision()).
///
/// # Errors
///
/// If the sampler fails, or the device does not have the precision.
pub fn sampler_in_precision(
    sampler: &dyn Sampler<2>,
    precision: Precision,
    device: &Device,
    steps: usize,
) -> Result<Vec<Check>> {
    let mut checks = Checks::default();
    let samples = |precision| -> Result<Vec<f64>> {
        let y = Conditions::classes((0..16).map(|i| i % 3));
        Ok(host(small(device, precision)?.sample(sampler, steps, [16, 2], &y, &Rng::new(3))?))
    };
    let (single, half) = (samples(Precision::F32)?, samples(precision)?);
    let place = format!("{steps} steps in {}", precision.name());
    let law = "samples in half precision are near those in single precision";
    checks.note(law, place, gap(&half, &single), 16.0 * roundoff(precision));
    Ok(checks.done())
}

/// Laws of training in half precision on a device: the losses of 20 steps of a small net differ from those in single precision by at
/// most 8 u in the mean, and its weights by at most 8 u of their norm, u the unit roundoff as for [`precision`](precision()).
///
/// # Errors
///
/// If training fails, or the device does not have the precision.
pub fn training_in_precision(precision: Precision, device: &Device) -> Result<Vec<Check>> {
    let mut checks = Checks::default();
    let numbers = Rng::new(7).normals(64, 2).into_iter().map(|x| x as f32).collect();
    let data = Samples::new(numbers, [64, 2]).with_labels((0..64).map(|i| i % 3).collect());
    let run = |precision| -> Result<(Vec<f64>, Vec<f64>)> {
        let settings = Train { steps: 20, batch: 16, warmup: 0, precision, ..Train::default() };
        let mut trainer = small(device, Precision::F32)?.train(&data, Simple {}, settings)?;
        let losses = trainer.by_ref().map(|step| step.map(|step| step.loss)).collect::<Result<_>>()?;
        let weights = Parameters::of(&trainer.raw_model());
        Ok((losses, weights.to_host().into_iter().flat_map(|(.., values)| values).map(f64::from).collect()))
    };
    let ((single, weights), (half, own)) = (run(Precision::F32)?, run(precision)?);
    let apart = single.iter().zip(&half).map(|(a, b)| (a - b).abs() / a.abs()).sum::<f64>() / single.len() as f64;
    let (place, allowed) = (format!("20 steps in {}", precision.name()), 8.0 * roundoff(precision));
    checks.note("losses in half precision are near those in single precision", &place, apart, allowed);
    checks.note("weights trained in half precision are near those in single", &place, gap(&own, &weights), allowed);
    Ok(checks.done())
}

//! Laws of a device: it computes what the processor does.
use super::{Check, Checks, net as nets};
use crate::{
    condition::Conditions,
    data::Samples,
    distribution::host,
    error::Result,
    loss::Simple,
    model::Model,
    net::{MlpConfig, Net},
    noise::{Gaussian, Noise},
    rng::Rng,
    sample::Sampler,
    schedule::VariancePreserving,
    train::{Parameters, Train},
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;

/// Laws of a net on another device, with the processor's as the reference: output and gradients, with random numbers added to the
/// parameters of `net`, which is on the processor as `z` is, are those of the processor; and the device computes the same twice.
///
/// A deviation is the norm of the difference, relative to that of the reference; one of `tolerance` is allowed, of gradients of
/// twice that. In single precision 1e-4 is enough; where a device multiplies matrices with 10 bits after the point (TF32), 1e-2.
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, condition::Conditions, laws, net::MlpConfig};
/// let net = MlpConfig::new(2).init(&Rng::new(0), &Device::flex())?;
/// let z = Rng::new(1).normal_tensor([4, 2], &Device::flex(), DType::F32);
/// let checks = laws::net_on_device(&net, &z, &Conditions::none(), &Device::flex(), 1e-4);
/// assert!(checks.iter().all(laws::Check::holds));
/// # Ok::<(), tweedie::Error>(())
/// ```
pub fn net_on_device<const D: usize, N: Net<D>>(
    net: &N,
    z: &Tensor<D>,
    y: &N::Condition,
    device: &Device,
    tolerance: f64,
) -> Vec<Check> {
    let mut checks = Checks::default();
    let net = nets::perturbed(net, 0);
    let moved = moved(&net, device);
    let rows = z.dims()[0];
    let times = |device: &Device| {
        let times = (0..rows).map(|i| 0.1 + 0.8 * i as f32 / rows as f32).collect::<Vec<_>>();
        Tensor::<1>::from_data(TensorData::new(times, [rows]), (device, DType::F32))
    };
    let (here, there) = (z.device(), z.clone().to_device(device));
    let expected = host(net.forward(z.clone(), times(&here), y));
    let output = |_: usize| host(moved.forward(there.clone(), times(device), y));
    let found = output(0);
    checks.note("a device computes the output of the processor", "t per row", gap(&found, &expected), tolerance);
    let again = gap(&output(1), &found);
    checks.note("a device computes the same twice, up to rounding", "t per row", again, tolerance);
    let expected = nets::gradients(&net, z, times(&here), y);
    let found = nets::gradients(&moved, &there, times(device), y);
    let whole = |all: &super::conditioning::Gradient| -> f64 {
        all.iter().flat_map(|(.., values)| values).map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    };
    // Small gradients of large sums that cancel are rounded relative to the others.
    let floor = whole(&expected) * 1e-3;
    for ((name, _, found), (_, _, expected)) in found.iter().zip(&expected) {
        let [found, expected] =
            [found, expected].map(|values| values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
        let apart = distance(&found, &expected) / norm(&expected).max(floor).max(f64::MIN_POSITIVE);
        checks.note("a device computes the gradients of the processor", name, apart, 2.0 * tolerance);
    }
    checks.done()
}

/// Laws of a sampler on another device: with the same seed, samples of a small net in `steps` steps are those of the processor, up to
/// `tolerance` of their norm; ten times that if its step size is adaptive, since a device may decide otherwise on a step.
///
/// # Errors
///
/// If the sampler fails on the processor.
pub fn sampler_on_device(
    sampler: &dyn Sampler<2>,
    device: &Device,
    steps: usize,
    tolerance: f64,
) -> Result<Vec<Check>> {
    let mut checks = Checks::default();
    let noise = || Gaussian::new(VariancePreserving::default());
    let net = nets::perturbed(&MlpConfig::new(2).init(&Rng::new(0), &Device::flex())?, 0);
    let samples = |device: &Device| -> Result<Vec<f64>> {
        let model = Model::<2, _>::new(noise(), moved(&net, device))?;
        Ok(host(model.sample(sampler, steps, [16, 2], &Conditions::none(), &Rng::new(3))?))
    };
    let (expected, found) = (samples(&Device::flex())?, samples(device)?);
    let allowed = if sampler.properties().adaptive { 10.0 * tolerance } else { tolerance };
    let apart = gap(&found, &expected);
    checks.note("a device draws the samples of the processor", format!("{steps} steps"), apart, allowed);
    Ok(checks.done())
}

/// Laws of training on another device: losses, norms of gradients and weights of five steps of a small net are those of the
/// processor.
///
/// # Errors
///
/// If training fails.
pub fn training_on_device(device: &Device, tolerance: f64) -> Result<Vec<Check>> {
    let mut checks = Checks::default();
    let numbers = Rng::new(7).normals(64, 2).into_iter().map(|x| x as f32).collect();
    let data = Samples::new(numbers, [64, 2]).with_labels((0..64).map(|i| i % 3).collect());
    let noise: Arc<dyn Noise<2>> = Arc::new(Gaussian::new(VariancePreserving::default()));
    let net = nets::perturbed(&MlpConfig::new(2).with_num_classes(3).init(&Rng::new(0), &Device::flex())?, 0);
    let run = |device: &Device| -> Result<(Vec<[f64; 2]>, Vec<f64>)> {
        let settings = Train { steps: 5, batch: 16, shards: 1, warmup: 0, clip: 0.5, ..Train::default() };
        let mut trainer = Model::new(noise.clone(), moved(&net, device))?.train(&data, Simple {}, settings)?;
        let steps = trainer.by_ref().map(|step| step.map(|step| [step.loss, step.grad_norm]));
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let weights = Parameters::of(&trainer.model());
        Ok((steps, weights.to_host().into_iter().flat_map(|(.., values)| values).map(f64::from).collect()))
    };
    let ((expected, weights), (found, own)) = (run(&Device::flex())?, run(device)?);
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (j, law) in
            ["a device computes the losses of the processor", "and the norms of its gradients"].iter().enumerate()
        {
            let apart = (found[j] - expected[j]).abs() / expected[j].abs().max(f64::MIN_POSITIVE);
            checks.note(law, format!("step {}", i + 1), apart, tolerance);
        }
    }
    checks.note("a device trains the weights of the processor", "5 steps", gap(&own, &weights), tolerance);
    Ok(checks.done())
}

/// A net on another device.
pub(super) fn moved<N: burn::module::Module>(net: &N, device: &Device) -> N {
    net.clone().to_device(device)
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}
/// The distance relative to the norm of the second.
pub(super) fn gap(a: &[f64], b: &[f64]) -> f64 {
    distance(a, b) / norm(b).max(f64::MIN_POSITIVE)
}

//! Laws of nets.
use super::{Check, Checks};
use crate::{
    distribution::host,
    net::{Condition, Net},
    rng::Rng,
    train::Parameters,
};
use burn::{
    module::Module,
    tensor::{DType, Tensor, TensorData},
};

/// Nets, on a batch `z` of two rows or more that is told `y`: the output has the shape `expected` and is finite at both ends
/// of time, the same batch gives the same bits, a row does not depend on its batch, time and condition change what is
/// said, and a gradient reaches every parameter.
///
/// Nets begin where some of their layers are 0, behind which nothing arrives: what is asked here is asked of the net with
/// random numbers added to its parameters.
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, laws, net::{Classes, MlpConfig}};
/// let net = MlpConfig { features: 2, classes: 3, ..MlpConfig::default() }.init(&Rng::new(0), &Device::flex());
/// let z = Rng::new(1).normal_tensor([4, 2], &Device::flex(), DType::F32);
/// for check in laws::net(&net, &z, &Classes::from([0, 1, 2, 0]), [4, 2]) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn net<const D: usize, N: Net<D>>(net: &N, z: &Tensor<D>, y: &N::Condition, expected: [usize; D]) -> Vec<Check> {
    let mut checks = Checks::default();
    let rows = z.dims()[0];
    let net = stirred(net);
    let times = |t: f64| Tensor::<1>::from_data(TensorData::new(vec![t as f32; rows], [rows]), &z.device());
    let said = net.forward(z.clone(), times(0.3), y);
    let wrong = said.dims().iter().zip(expected).filter(|(a, b)| **a != *b).count();
    let place = format!("{:?} for {expected:?}", said.dims());
    checks.note("the output has the shape that is asked for", place, wrong as f64, 0.0);
    if wrong > 0 {
        return checks.done();
    }
    let told = host(said.clone());
    let size = told.iter().fold(0.0_f64, |most, x| most.max(x.abs())).max(f64::MIN_POSITIVE);
    for t in [0.0, 0.3, 1.0] {
        let odd = host(net.forward(z.clone(), times(t), y)).iter().filter(|x| !x.is_finite()).count();
        checks.note("the output is finite", format!("t = {t}"), odd as f64, 0.0);
    }
    let again = host(net.forward(z.clone(), times(0.3), y));
    let differ = again.iter().zip(&told).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    checks.note("the same batch gives the same bits", "t = 0.3", differ as f64, 0.0);

    let last = rows - 1;
    let alone = host(net.forward(z.clone().narrow(0, last, 1), times(0.3).narrow(0, 0, 1), &y.select(&[last])));
    let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / size;
    let own = &told[told.len() - alone.len()..];
    checks.note("a row does not depend on its batch", format!("row {last}"), gap(&alone, own), 1e-4);

    let used = |gap: f64| if gap > 1e-5 { 0.0 } else { 1.0 };
    let later = gap(&host(net.forward(z.clone(), times(0.8), y)), &told);
    checks.note("time changes what is said", format!("t = 0.3 and 0.8: {later:.1e} apart"), used(later), 0.0);
    let nothing = y.without(&vec![true; rows]);
    if format!("{nothing:?}") != format!("{y:?}") {
        let untold = gap(&host(net.forward(z.clone(), times(0.3), &nothing)), &told);
        let place = format!("told and not told: {untold:.1e} apart");
        checks.note("the condition changes what is said", place, used(untold), 0.0);
    }
    let moved = gap(&host(net.forward(z.clone() * 0.5, times(0.3), y)), &told);
    // Numbers of categories are not to be halved: a text is another one with its rows turned round.
    let turned = gap(&host(net.forward(z.clone().flip([0]), times(0.3), y)), &told);
    checks.note("x_t changes what is said", format!("{:.1e} apart", moved.max(turned)), used(moved.max(turned)), 0.0);

    for (name, size) in gradients(&net, z, times(0.3), y) {
        let arrived = size > 0.0 && size.is_finite();
        checks.note("a gradient reaches every parameter", name, if arrived { 0.0 } else { 1.0 }, 0.0);
    }
    checks.done()
}

/// The net with random numbers added to its parameters.
fn stirred<N: Module>(net: &N) -> N {
    let parameters = Parameters::of(net);
    let rng = Rng::new(0).stream("stir");
    let stir = |(i, (name, shape, mut values)): (usize, (&str, &[usize], Vec<f32>))| {
        let ends = shape.first().max(shape.last()).copied().unwrap_or(1).max(1);
        let scale = 0.5 / ((values.len() / ends).max(1) as f64).sqrt();
        let noise = rng.at(i as u64).normals(1, values.len());
        values.iter_mut().zip(noise).for_each(|(value, noise)| *value += (scale * noise) as f32);
        (name.to_owned(), shape.to_vec(), values)
    };
    let entries = parameters.to_host().into_iter().enumerate().map(stir).collect();
    let device = net.devices().first().cloned().unwrap_or_default();
    Parameters::from_host(entries, &device.inner()).into_module(net.clone())
}

/// The size of each parameter's gradient.
fn gradients<const D: usize, N: Net<D>>(net: &N, z: &Tensor<D>, t: Tensor<1>, y: &N::Condition) -> Vec<(String, f64)> {
    let net = Module::train(net.clone());
    let z = if z.device().is_autodiff() { z.clone() } else { Tensor::from_inner(z.clone()) };
    let t = if t.device().is_autodiff() { t } else { Tensor::from_inner(t) };
    let out = net.forward_train(z, t, y, &Rng::new(0));
    let weights = Rng::new(1).normal_tensor(out.dims(), &out.device(), DType::F32);
    let mut gradients = (out * weights).sum().backward();
    let gradients = Parameters::gradients(&net, &mut gradients);
    let size = |values: Vec<f32>| values.iter().map(|x| f64::from(*x).abs()).fold(0.0, f64::max);
    gradients.to_host().into_iter().map(|(name, _, values)| (name.to_owned(), size(values))).collect()
}

//! Laws of nets.
use super::{
    Check, Checks,
    conditioning::{Gradient, conditioning},
    conditions,
};
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

/// Name of the law that the output depends on t.
pub const DEPENDS_ON_T: &str = "output depends on t";

/// Laws of a net, on a batch `z` of two rows or more with the condition `y`.
///
/// The output has the shape `expected` and is finite at both ends of time; the same batch gives the same bits; a row does not
/// depend on the rest of the batch and uses its own t, in training too; without dropout, training computes the same output; the output depends on t, on the condition and on `x_t`; different
/// conditions give different outputs; each named part of the condition changes the output, has no effect once it is dropped, and is
/// reached by a gradient; a gradient reaches every parameter, and those of each condition; layers that read one vector per
/// row, made of time and condition and not of x_t, read the same if they differ in the numbers in their names alone, as those of the
/// blocks of a net, and every one of their outputs has an effect.
///
/// Some layers of a net are initially zero, and no gradient passes them: the laws are measured on the net with random numbers
/// added to its parameters.
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, condition::Conditions, laws, net::MlpConfig};
/// let net = MlpConfig::new(2).with_num_classes(3).init(&Rng::new(0), &Device::flex())?;
/// let z = Rng::new(1).normal_tensor([4, 2], &Device::flex(), DType::F32);
/// for check in laws::net(&net, &z, &Conditions::classes([0, 1, 2, 0]), [4, 2]) {
///     assert!(check.holds(), "{check}");
/// }
/// # Ok::<(), tweedie::Error>(())
/// ```
pub fn net<const D: usize, N: Net<D>>(net: &N, z: &Tensor<D>, y: &N::Condition, expected: [usize; D]) -> Vec<Check> {
    let mut checks = Checks::default();
    let rows = z.dims()[0];
    let initial = net;
    let net = perturbed(initial, 0);
    let times = |t: f64| Tensor::<1>::from_data(TensorData::new(vec![t as f32; rows], [rows]), &z.device());
    let output = net.forward(z.clone(), times(0.3), y);
    let wrong = output.dims().iter().zip(expected).filter(|(a, b)| **a != *b).count();
    let place = format!("{:?} for {expected:?}", output.dims());
    checks.note("output has the expected shape", place, wrong as f64, 0.0);
    if wrong > 0 {
        return checks.done();
    }
    let output = host(output);
    let size = output.iter().fold(0.0_f64, |most, x| most.max(x.abs())).max(f64::MIN_POSITIVE);
    for t in [0.0, 0.3, 1.0] {
        let odd = host(net.forward(z.clone(), times(t), y)).iter().filter(|x| !x.is_finite()).count();
        checks.note("output is finite", format!("t = {t}"), odd as f64, 0.0);
    }
    let again = host(net.forward(z.clone(), times(0.3), y));
    let differ = again.iter().zip(&output).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    checks.note("the same batch gives the same bits", "t = 0.3", differ as f64, 0.0);

    let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / size;
    // One time for all rows, and a time per row.
    let each: Vec<f32> = (0..rows).map(|i| 0.1 + 0.8 * i as f32 / (rows - 1).max(1) as f32).collect();
    let each = Tensor::<1>::from_data(TensorData::new(each, [rows]), &z.device());
    let width = output.len() / rows;
    for (law, t, row) in [
        ("a row does not depend on the rest of the batch", times(0.3), rows - 1),
        ("a row uses its own t", each.clone(), 0),
        ("a row uses its own t", each, rows - 1),
    ] {
        let all = host(net.forward(z.clone(), t.clone(), y));
        let alone = host(net.forward(z.clone().narrow(0, row, 1), t.narrow(0, row, 1), &y.select(&[row])));
        checks.note(law, format!("row {row}"), gap(&alone, &all[row * width..][..width]), 1e-4);
    }

    // In training with the stream of the row, dropout and all.
    let train = |rng: &Rng| host(net.forward_train(z.clone(), times(0.3), y, rng));
    let (rng, row) = (Rng::new(4), rows - 1);
    let (dropped, last) = (train(&rng), z.clone().narrow(0, row, 1));
    let alone = net.forward_train(last, times(0.3).narrow(0, 0, 1), &y.select(&[row]), &rng.from_row(row as u64));
    let own = gap(&host(alone), &dropped[row * width..][..width]);
    checks.note("in training a row does not depend on the rest of the batch", format!("row {row}"), own, 1e-4);
    if dropped == train(&rng.stream("other")) {
        checks.note("without dropout training computes the same output", "t = 0.3", gap(&dropped, &output), 1e-4);
    }

    let used = |gap: f64| if gap > 1e-5 { 0.0 } else { 1.0 };
    let later = gap(&host(net.forward(z.clone(), times(0.8), y)), &output);
    checks.note(DEPENDS_ON_T, format!("t = 0.3 and 0.8: {later:.1e} apart"), used(later), 0.0);
    let none = y.without(&vec![true; rows]);
    if format!("{none:?}") != format!("{y:?}") {
        let unconditional = gap(&host(net.forward(z.clone(), times(0.3), &none)), &output);
        let place = format!("with and without: {unconditional:.1e} apart");
        checks.note("output depends on the condition", place, used(unconditional), 0.0);
        apart(&net, z, times(0.3), y, &output, &mut checks);
        owned(&net, z, times(0.3), y, &mut checks);
        let gradient = |z: &Tensor<D>, t: Tensor<1>, y: &N::Condition| gradients(&net, z, t, y);
        conditions::parts(&net, z, &times(0.3), y, gradient, &mut checks);
    }
    let moved = gap(&host(net.forward(z.clone() * 0.5, times(0.3), y)), &output);
    // Category indices cannot be halved: reversing the rows gives another text.
    let reversed = gap(&host(net.forward(z.clone().flip([0]), times(0.3), y)), &output);
    checks.note("output depends on x_t", format!("{:.1e} apart", moved.max(reversed)), used(moved.max(reversed)), 0.0);

    for (name, _, values) in gradients(&net, z, times(0.3), y) {
        let size = values.iter().map(|x| f64::from(*x).abs()).fold(0.0, f64::max);
        let arrived = size > 0.0 && size.is_finite();
        checks.note("a gradient reaches every parameter", name, if arrived { 0.0 } else { 1.0 }, 0.0);
    }
    let kinds = different(y, rows);
    let unconditional = y.select(&[0]).without(&[true]);
    let other = kinds.iter().map(|row| y.select(&[*row])).chain([unconditional]);
    let other = other.into_iter().find(|other| format!("{other:?}") != format!("{:?}", y.select(&[0])));
    let nets: Vec<N> = (0..5).map(|k| perturbed(initial, k)).collect();
    let gradient = |k: u64, z: &Tensor<D>, t: Tensor<1>, y: &N::Condition| {
        gradients_of(&nets[k as usize], z, t, |net, z, t| net.forward(z, t, y))
    };
    conditioning::<D, N>(gradient, z, y, other.as_ref(), &mut checks);
    checks.done()
}

/// Adds random numbers to the parameters of a net, others for each k.
pub(super) fn perturbed<N: Module>(net: &N, k: u64) -> N {
    let parameters = Parameters::of(net);
    let rng = Rng::new(k).stream("stir");
    let perturb = |(i, (name, shape, mut values)): (usize, (&str, &[usize], Vec<f32>))| {
        let ends = shape.first().max(shape.last()).copied().unwrap_or(1).max(1);
        let scale = 0.5 / ((values.len() / ends).max(1) as f64).sqrt();
        let noise = rng.at_step(i as u64).normals(1, values.len());
        values.iter_mut().zip(noise).for_each(|(value, noise)| *value += (scale * noise) as f32);
        (name.to_owned(), shape.to_vec(), values)
    };
    let entries = parameters.to_host().into_iter().enumerate().map(perturb).collect();
    let device = net.devices().first().cloned().unwrap_or_default();
    Parameters::from_host(entries, &device.inner()).into_module(net.clone())
}

/// Returns rows with conditions, all different.
fn different<C: Condition>(y: &C, rows: usize) -> Vec<usize> {
    let name = |row: usize| format!("{:?}", y.select(&[row]));
    let none = |row: usize| format!("{:?}", y.select(&[row]).without(&[true]));
    let conditional = (0..rows).filter(|row| name(*row) != none(*row));
    conditional.fold(vec![], |mut rows: Vec<usize>, row| {
        if rows.iter().all(|other| name(*other) != name(row)) {
            rows.push(row);
        }
        rows
    })
}

/// Checks that a row with the condition of another row has another output.
fn apart<const D: usize, N: Net<D>>(
    net: &N,
    z: &Tensor<D>,
    t: Tensor<1>,
    y: &N::Condition,
    output: &[f64],
    checks: &mut Checks,
) {
    let rows = z.dims()[0];
    let kinds = different(y, rows);
    let width = output.len() / rows;
    let size = output.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    for (i, &row) in kinds.iter().enumerate().filter(|_| kinds.len() > 1) {
        let other = kinds[(i + 1) % kinds.len()];
        let swapped: Vec<usize> = (0..rows).map(|k| if k == row { other } else { k }).collect();
        let now = host(net.forward(z.clone(), t.clone(), &y.select(&swapped)));
        let pairs = now[row * width..][..width].iter().zip(&output[row * width..]);
        let gap = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / size;
        let place = format!("row {row} with the condition of row {other}: {gap:.1e} apart");
        checks.note("different conditions give different outputs", place, if gap > 1e-5 { 0.0 } else { 1.0 }, 0.0);
    }
}

/// Checks that a gradient reaches the parameters that belong to one condition, such as the rows of an embedding, for every
/// condition.
fn owned<const D: usize, N: Net<D>>(net: &N, z: &Tensor<D>, t: Tensor<1>, y: &N::Condition, checks: &mut Checks) {
    let kinds = different(y, z.dims()[0]);
    let (z, t) = (z.clone().narrow(0, 0, 1), t.narrow(0, 0, 1));
    let reached = |y: N::Condition| -> Vec<bool> {
        gradients(net, &z, t.clone(), &y).into_iter().flat_map(|(.., values)| values).map(|x| x != 0.0).collect()
    };
    let output = |i: usize| host(net.forward(z.clone(), t.clone(), &y.select(&[kinds[i]])));
    let none = reached(y.select(&[0]).without(&[true]));
    // Reached with the condition and not without.
    let own: Vec<Vec<bool>> = kinds
        .iter()
        .map(|row| reached(y.select(&[*row])).iter().zip(&none).map(|(with, without)| *with && !without).collect())
        .collect();
    if own.iter().flatten().all(|own| !own) {
        return;
    }
    // Conditions that are numbers share all their parameters.
    let categorical = own.iter().any(|other| *other != own[0]) || own.len() == 1;
    for (i, own_i) in own.iter().enumerate() {
        // Parameters may be normalized together, as classes are in EDM2: then it counts that the output differs.
        let shared = own.iter().enumerate().any(|(j, other)| j != i && other == own_i && output(i) == output(j));
        let missing = categorical && shared || own_i.iter().all(|own| !own);
        let place = format!("row {}", kinds[i]);
        checks.note("a gradient reaches the parameters of each condition", place, if missing { 1.0 } else { 0.0 }, 0.0);
    }
}

/// Computes the gradient of each parameter in training.
pub(super) fn gradients<const D: usize, N: Net<D>>(net: &N, z: &Tensor<D>, t: Tensor<1>, y: &N::Condition) -> Gradient {
    gradients_of(net, z, t, |net, z, t| net.forward_train(z, t, y, &Rng::new(0)))
}

/// Computes the gradient of each parameter, of a random projection of the output.
fn gradients_of<const D: usize, N: Module>(
    net: &N,
    z: &Tensor<D>,
    t: Tensor<1>,
    forward: impl FnOnce(&N, Tensor<D>, Tensor<1>) -> Tensor<D>,
) -> Gradient {
    let net = Module::train(net.clone());
    let z = if z.device().is_autodiff() { z.clone() } else { Tensor::from_inner(z.clone()) };
    let t = if t.device().is_autodiff() { t } else { Tensor::from_inner(t) };
    let out = forward(&net, z, t);
    let weights = Rng::new(1).normal_tensor(out.dims(), &out.device(), DType::F32);
    let mut gradients = (out * weights).sum().backward();
    let gradients = Parameters::gradients(&net, &mut gradients);
    gradients.to_host().into_iter().map(|(name, shape, values)| (name.to_owned(), shape.to_vec(), values)).collect()
}

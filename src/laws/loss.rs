//! Laws of losses.
use super::{Check, Checks};
use crate::{
    distribution::host,
    loss::{Batch, Loss},
    noise::Noise,
    rng::Rng,
};
use burn::tensor::{DType, Tensor, activation::softmax};

/// The output of a network that knows x: the target, with a learned variance half-way; for categories, logits of a probability of
/// nearly one.
fn perfect<const D: usize>(noise: &dyn Noise<D>, x: &Tensor<D>, z: &Tensor<D>, t: &[f64]) -> Tensor<D> {
    let prediction = match noise.categories() {
        None => noise.target(x.clone(), z.clone(), t),
        Some(categories) => one_hot(x, categories.k) * 30.0,
    };
    match noise.outputs() {
        2 => Tensor::cat(vec![prediction.clone(), prediction.zeros_like()], 1),
        _ => prediction,
    }
}

/// One-hot vectors of category indices, or of one-hot vectors.
fn one_hot<const D: usize>(x: &Tensor<D>, k: usize) -> Tensor<D> {
    if x.dims()[D - 1] == k {
        return x.clone();
    }
    let mut shape = [1; D];
    shape[D - 1] = k;
    let all = Tensor::<1, burn::tensor::Int>::arange(0..k as i64, &x.device()).float().reshape(shape);
    let mut wide = x.dims();
    wide[D - 1] = k;
    x.clone().expand(wide).equal(all.cast(x.dtype()).expand(wide)).float().cast(x.dtype())
}

fn losses<const D: usize>(
    loss: &dyn Loss<D>,
    noise: &dyn Noise<D>,
    [x, z, output]: [&Tensor<D>; 3],
    t: &[f64],
) -> Tensor<1> {
    let eps = noise.path().map(|path| {
        // ε = (z − α x)/σ of each row.
        let [alpha, sigma] = crate::noise::lift(x, t, |_, t| [path.at(t).alpha, path.at(t).sigma]);
        (z.clone() - x.clone() * alpha) / sigma
    });
    // Of a noise that reads probabilities, models are given by their logits all the same.
    let output = match noise.takes_probabilities() {
        true => softmax(output.clone(), D - 1),
        false => output.clone(),
    };
    loss.compute(&Batch::new(noise, x.clone(), z.clone(), eps, t, output, &(), &()))
}

/// Losses, under a noise they are defined for and on data `x` of two rows or more: one number per row that does not depend
/// on the other rows, finite at both ends of time, and least, with a gradient of 0, at a perfect model.
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, laws, loss::Simple, noise::Gaussian, schedule::Linear};
/// let x = Rng::new(0).normal_tensor([8, 3], &Device::flex(), DType::F64);
/// for check in laws::loss::<2>(&Simple {}, &Gaussian::new(Linear::new(100)), &x) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn loss<const D: usize>(loss: &dyn Loss<D>, noise: &dyn Noise<D>, x: &Tensor<D>) -> Vec<Check> {
    let mut checks = Checks::default();
    let rows = x.dims()[0];
    let draw = |t: &[f64]| noise.prior(x.clone(), t).sample(&mut Rng::new(1)).value;
    let first = noise.steps().map_or(1e-3, |steps| (steps as f64).recip());
    let disturbed = |output: &Tensor<D>, size: f64| {
        let noise = Rng::new(2).normal_tensor(output.dims(), &output.device(), output.dtype());
        output.clone() + noise * size
    };
    for t in [first, 0.5, 1.0] {
        let t = vec![t; rows];
        let z = draw(&t);
        let values = losses(loss, noise, [x, &z, &disturbed(&perfect(noise, x, &z, &t), 1.0)], &t);
        checks.note("one number per row", format!("{:?}", values.dims()), values.dims()[0].abs_diff(rows) as f64, 0.0);
        if values.dims()[0] != rows {
            return checks.done();
        }
        let odd = host(values).iter().filter(|loss| !loss.is_finite()).count();
        checks.note("finite at the ends", format!("t = {}", t[0]), odd as f64, 0.0);
    }
    // Between the ends: on the grid of a table, if there is one.
    let steps = noise.steps().unwrap_or(1000) as f64;
    let t: Vec<f64> = (0..rows)
        .map(|i| ((0.1 + 0.8 * i as f64 / rows as f64) * steps).round().clamp(1.0, (steps - 1.0).max(1.0)) / steps)
        .collect();
    let z = draw(&t);
    let best = perfect(noise, x, &z, &t);
    let least = host(losses(loss, noise, [x, &z, &best], &t));
    for size in [0.1, 1.0] {
        // Logits are disturbed towards a smaller probability of x.
        let other = match noise.categorical() {
            true => best.clone() * (1.0 - 0.9 * size),
            false => disturbed(&best, size),
        };
        let worse = host(losses(loss, noise, [x, &z, &other], &t));
        for (i, (least, worse)) in least.iter().zip(&worse).enumerate() {
            let place = format!("t = {:.3}, disturbed by {size}", t[i]);
            checks.note("no model does better than a perfect one", place, least - worse, 1e-5 * (1.0 + least.abs()));
        }
    }
    let alone = host(losses(
        loss,
        noise,
        [&x.clone().narrow(0, 1, 1), &z.clone().narrow(0, 1, 1), &best.clone().narrow(0, 1, 1)],
        &t[1..2],
    ));
    let gap = (alone[0] - least[1]).abs() / (1.0 + least[1].abs());
    checks.note("a row's loss is its own", "row 1", gap, 1e-5);

    let gradient = |output: Tensor<D>| -> f64 {
        let up = |x: &Tensor<D>| Tensor::from_inner(x.clone());
        let output = Tensor::from_inner(output).require_grad();
        // A loss may not depend on the output at all.
        let sum = losses(loss, noise, [&up(x), &up(&z), &output], &t).sum() + output.clone().sum() * 0.0;
        output.grad(&sum.backward()).map_or(0.0, |gradient| {
            let (prediction, _) = noise.split(gradient);
            host(prediction.abs().max())[0]
        })
    };
    let (at_best, away) = (gradient(best.clone()), gradient(best.zeros_like()));
    let allowed = if x.dtype() == DType::F64 { 1e-6 } else { 1e-3 };
    checks.note("a perfect model has no gradient", "x known", at_best, allowed * away.max(1e-3));
    checks.done()
}

/// Losses that promise to be 0 at a perfect model: the largest absolute value over the times of a table but the first, at which
/// the decoder's own standard deviation remains.
pub fn zero_if_perfect<const D: usize>(loss: &dyn Loss<D>, noise: &dyn Noise<D>, x: &Tensor<D>) -> Vec<Check> {
    let mut checks = Checks::default();
    let rows = x.dims()[0];
    let first = 1.5 / noise.steps().unwrap_or(1000) as f64;
    for t in (1..=20).map(|i| f64::from(i) / 20.0).filter(|t| *t > first) {
        let t = vec![t; rows];
        let z = noise.prior(x.clone(), &t).sample(&mut Rng::new(1)).value;
        let values = host(losses(loss, noise, [x, &z, &perfect(noise, x, &z, &t)], &t));
        let most = values.iter().fold(0.0_f64, |most, loss| if loss.is_nan() { *loss } else { most.max(loss.abs()) });
        let allowed = if x.dtype() == DType::F64 { 1e-9 } else { 1e-4 };
        checks.note("the loss of a perfect model is 0", format!("t = {}", t[0]), most, allowed);
    }
    checks.done()
}

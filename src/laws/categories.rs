//! Laws of Markov chains of categories and of bounds on their likelihood.
use super::{Check, Checks, bound::paths};
use crate::{
    Dual, Rng,
    distribution::{host, one_hot},
    exact::Joint,
    likelihood,
    loss::{BoundTimes, Loss},
    noise::{Chain, Noise},
};
use burn::tensor::{DType, Tensor, TensorData};
use std::sync::Arc;

/// Chapman–Kolmogorov, Bayes' rule for the reverse chain in every form, rates as derivatives of transitions, and
/// estimate ∘ target = identity; on data `x` as one-hot vectors or category indices.
pub(super) fn chain<const D: usize>(noise: &dyn Noise<D>, chain: &dyn Chain<D>, x: &Tensor<D>, checks: &mut Checks) {
    let categories = noise.categories().expect("a chain has categories");
    let k = categories.k;
    let mut dims = x.dims();
    let numbers = dims[D - 1] == 1;
    dims[D - 1] = k;
    let double = x.dtype() == DType::F64;
    let allowed = if double { 1e-9 } else { 5e-5 };
    let options = (&x.device(), x.dtype());
    // Category j everywhere, in the form of x.
    let all = |j: usize| {
        let mut shape = x.dims();
        shape[D - 1] = 1;
        let value = Tensor::<D>::full(shape, j as f64, options);
        if numbers { value } else { one_hot(value, k) }
    };
    let worst = |gap: Tensor<D>| host(gap.abs().max())[0];
    let ones = |j: usize| one_hot(all(j), k);
    // Estimates that differ between positions.
    let len: usize = dims.iter().product();
    let uneven: Vec<f64> = (0..len).map(|i| 0.1 + (i as f64 * 0.618_034).fract()).collect();
    let uneven: Tensor<D> = Tensor::from_data(TensorData::new(uneven, dims), options);

    // Off the grids of tables, where rates jump.
    for (s, u, t) in [(0.2037, 0.3537, 0.5037), (0.0537, 0.5037, 0.9537)] {
        let place = |z: usize| format!("z = {z}, s = {s}, t = {t}");
        for j in 0..k {
            let z = all(j);
            let (mut through, mut onward) = (x.clone().zeros_like().expand(dims), x.clone().zeros_like().expand(dims));
            let (near, far) = (chain.onward(z.clone(), &[u], &[t]), chain.onward(z.clone(), &[s], &[t]));
            for i in 0..k {
                let by = |from: Tensor<D>| from.narrow(D - 1, i, 1);
                through = through + by(near.clone()) * chain.onward(all(i), &[s], &[u]);
                onward = onward + by(far.clone()) * chain.likelihood(all(i), &[s]);
            }
            let likelihood = chain.likelihood(z.clone(), &[t]);
            checks.note("transitions obey Chapman–Kolmogorov", place(j), worst(through - far), allowed);
            checks.note(
                "forward marginals obey Chapman–Kolmogorov",
                place(j),
                worst(onward - likelihood.clone()),
                allowed,
            );
            let mut own = x.clone().zeros_like().expand(dims);
            for i in 0..k {
                own = own + ones(i) * chain.marginal(ones(i), &[t]).narrow(D - 1, j, 1);
            }
            checks.note("rows and columns of the kernel agree", place(j), worst(own - likelihood.clone()), allowed);

            // Categories with q_t(z | x) > 0, except the mask, which is not data.
            let never = likelihood.lower_elem(1e-9);
            let mut probs = uneven.clone().mask_fill(never, 0.0);
            if let Some(mask) = categories.mask {
                probs = probs * (ones(mask) * -1.0 + 1.0);
            }
            let total = probs.clone().sum_dim(D - 1);
            if host(total.clone().min())[0] < 1e-6 {
                continue;
            }
            let probs = probs / total;
            let back = noise.estimate(noise.target(probs.clone(), z.clone(), &[t]), z.clone(), &[t]).mean;
            let law = "estimate ∘ target = identity";
            checks.note(law, place(j), worst(back - probs.clone()), if double { 1e-7 } else { 1e-3 });
            let mut mixture = probs.zeros_like();
            for i in 0..k {
                let posterior = noise.posterior(ones(i), one_hot(z.clone(), k), &[s], &[t]).mean();
                mixture = mixture + posterior * probs.clone().narrow(D - 1, i, 1);
            }
            let gap = worst(chain.backward(probs.clone(), z.clone(), &[s], &[t]) - mixture);
            checks.note("the reverse transition is the posterior averaged over x̂", place(j), gap, allowed);

            if !chain.continuous() || !double {
                continue;
            }
            let elsewhere = one_hot(z.clone(), k) * -1.0 + 1.0;
            let h = 1e-7;
            let slope = chain.onward(z.clone(), &[t - h], &[t + h]) / (2.0 * h);
            let rates = chain.rates(z.clone(), &[t]);
            let size = 1.0 + worst(rates.clone());
            let gap = worst(slope * elsewhere.clone() - rates) / size;
            checks.note("rates are the derivatives of transitions", place(j), gap, 1e-4);
            let slope = chain.backward(probs.clone(), z.clone(), &[t - h], &[t]) / h;
            let rates = chain.reverse_rates(probs, z, &[t]);
            let size = 1.0 + worst(rates.clone());
            let gap = worst(slope * elsewhere - rates) / size;
            checks.note("reverse rates are the derivatives of reverse transitions", place(j), gap, 1e-4);
        }
    }
}

/// Checks a bound on the likelihood, on three sequences of two categories with exact conditionals: it is at least −ln p, equal in
/// continuous time if ᾱ(0) = 1 and ᾱ(1) = 0, and larger for a wrong model.
///
/// 2000 rows are sampled and five standard errors allowed. If there are few enough states of two categories, the bound of a wrong model is
/// also compared with the sum of its terms over all of them, without sampling.
///
/// ```
/// use std::sync::Arc;
/// use tweedie::{laws, loss::MaskedNelbo, noise::Discrete, schedule::FlowMatching};
/// for check in laws::bound(&MaskedNelbo {}, Arc::new(Discrete::absorbing(FlowMatching {}, 4, 3))) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
///
/// # Panics
///
/// If the noise has fewer than two categories besides the mask, or the loss is not a bound for it.
pub fn bound(loss: &dyn Loss<3>, noise: Arc<dyn Noise<3>>) -> Vec<Check> {
    let mut checks = Checks::default();
    let categories = noise.categories().expect("a noise of categories");
    let data: Vec<usize> = (0..categories.k).filter(|i| Some(*i) != categories.mask).collect();
    let (a, b) = (data[0], data[data.len() - 1]);
    let model = |weights: [f64; 3]| {
        let sequences = [vec![a, a], vec![b, b], vec![a, b]].into_iter().zip(weights).collect();
        Joint::new(noise.clone(), sequences).expect("two categories")
    };
    let (right, wrong) = (model([0.5, 0.3, 0.2]), model([0.1, 0.1, 0.8]));
    let rows = right.sample(2000, &mut Rng::new(7));
    let truth = rows.iter().map(|x| -right.probability(x).ln()).sum::<f64>() / (2 * rows.len()) as f64;
    let values: Vec<f64> = rows.iter().flat_map(|x| x.iter().map(|x| *x as f64)).collect();
    let data = TensorData::new(values, [rows.len(), 2, 1]);
    let x = Tensor::<3>::from_data(data, (&burn::tensor::Device::flex(), DType::F64));
    let looks = match loss.bound_times(&*noise) {
        Some(BoundTimes::Steps(steps)) => steps.min(16),
        _ => 8,
    };
    let of = |model: &Joint| {
        let own =
            likelihood::bound(model, loss, x.clone(), looks, &Rng::new(8)).unwrap_or_else(|error| panic!("{error}"));
        (own.per_token(), own.standard_error())
    };
    let ((nats, error), (more, _)) = (of(&right), of(&wrong));
    let place = format!("{looks} looks");
    checks.note("a bound is at least −ln p", &place, truth - nats, 5.0 * error);
    checks.note("a wrong model has a larger bound", &place, nats - more, 0.0);
    paths(loss, &*noise, &wrong, &mut checks);
    let survival = |t: f64| categories.schedule.survival(Dual::time(t)).value;
    if loss.bound_times(&*noise) == Some(BoundTimes::Continuous) && survival(0.0) == 1.0 && survival(1.0) == 0.0 {
        checks.note("in continuous time the bound equals −ln p", &place, (nats - truth).abs(), 5.0 * error);
    }
    checks.done()
}

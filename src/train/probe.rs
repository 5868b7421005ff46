//! Refusal, before the first step, of parts that do not fit each other.
use crate::{
    data::Data,
    distribution::host,
    error::{Error, Result},
    loss::Objective,
    model::{Losses, Model, softmax_twice},
    net::{Condition as _, Net, caught},
    noise::Noise,
    rng::Rng,
    spacing::{Spacing, training_times},
    transform::Transform,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use std::collections::BTreeMap;

/// Outputs of more numbers per row are not computed, only their shape is checked: they would be a share of the memory of training.
const LARGE: usize = 1 << 20;

/// Passes the first rows of the data through the whole model as training does, without gradients and with a random stream of its
/// own. Returns whether two passes differ, which they do if the network draws from a generator of its own; of large outputs,
/// false.
pub(super) fn probe<const D: usize, N: Net<D>, T: Transform<D>>(
    model: &Model<D, N, T>,
    data: &dyn Data<T::Raw, N::Condition>,
    objective: &Objective<D>,
    dropouts: &BTreeMap<String, f64>,
    device: &Device,
) -> Result<bool> {
    let (model, device) = (&model.valid(), &device.clone().inner());
    if let Some(all) = data.conditions() {
        model.net.check_condition(&all, data.len())?;
    }
    let rows: Vec<usize> = (0..data.len().min(2)).collect();
    let rng = Rng::new(0).stream("probe");
    let (raw, y) = data.batch(&rows, &rng.stream("data"), device);
    if let Some(name) = dropouts.keys().find(|name| !y.names().contains(&name.as_str())) {
        let problem = format!("names the condition `{name}`, and the data have {:?}", y.names());
        return Err(Error::invalid(problem).with_field("cond_dropouts").with_remedy("name a condition of the data"));
    }
    let x = caught("the transform cannot encode the data", || model.transform.encode(raw.clone()))
        .map_err(|error| error.with_remedy("use data that the transform is for"))?;
    let noise = &**model.noise();
    model.check(x.dims(), &y)?;
    let outputs = x.dims()[1..].iter().product::<usize>()
        * noise.categories().map_or(1, |known| known.k / x.dims()[D - 1].max(1));
    known_categories(noise, x)?;
    if outputs > LARGE {
        return Ok(false);
    }

    let t = vec![training_times(noise).quantile(0.5); rows.len()];
    let what = "the model cannot compute the losses of the first rows of the data";
    let pass = || {
        caught(what, || model.losses(raw.clone(), &t, &y, objective, &rng, true))
            .map_err(|error| error.with_remedy("use a network and losses for these data"))
    };
    let first = pass()?;
    fits(&first, objective)?;
    let first = first.output;
    predicts(noise, &first)?;
    let second = pass()?.output;
    // NaN is not equal to itself, and no reason to think that the network draws numbers.
    let differ = first.clone().not_equal(second).bool_and(first.clone().equal(first));
    Ok(differ.any().into_scalar::<bool>())
}

/// Checks that the data are among the categories of the noise.
fn known_categories<const D: usize>(noise: &dyn Noise<D>, x: Tensor<D>) -> Result<()> {
    let Some(k) = noise.categories().map(|categories| categories.k).filter(|_| x.dims()[D - 1] == 1) else {
        return Ok(());
    };
    let known = |x: &f64| x.is_nan() || (x.fract() == 0.0 && (0.0..k as f64).contains(x));
    match host(x).into_iter().find(|x| !known(x)) {
        None => Ok(()),
        Some(x) => {
            let problem = format!(
                "the data hold the value {x}, which is not the index of one of {k} categories (0 to {})",
                k - 1
            );
            Err(Error::invalid(problem)
                .with_remedy("make the noise and the net of as many categories as the data have"))
        }
    }
}

/// Checks the shapes of a pass as in training: the output's, and one number per row of each loss.
fn fits<const D: usize>(losses: &Losses<D>, objective: &Objective<D>) -> Result<()> {
    let rows = losses.x.dims()[0];
    for (term, (_, loss)) in losses.terms.iter().zip(objective.terms()) {
        if term.dims() != [rows] {
            let problem = format!("the loss {loss:?} gives {:?} numbers for {rows} rows", term.dims());
            return Err(Error::invalid(problem).with_remedy("return one number per row, as `per_sample` does"));
        }
    }
    Ok(())
}

/// Checks that an output is probabilities of categories if the noise reads such, and only then.
fn predicts<const D: usize>(noise: &dyn Noise<D>, output: &Tensor<D>) -> Result<()> {
    let Some(k) = noise.categories().map(|categories| categories.k).filter(|k| *k > 1) else { return Ok(()) };
    let [low, high] = [output.clone().min(), output.clone().max()].map(|x| host(x)[0]);
    let sums = host(output.clone().sum_dim(D - 1));
    if sums.iter().any(|sum| !sum.is_finite()) {
        // A step of training names the tensor.
        return Ok(());
    }
    let found = low >= 0.0 && sums.iter().all(|sum| (sum - 1.0).abs() < 1e-3);
    match (found, noise.takes_probabilities()) {
        (true, false) => Err(softmax_twice()),
        (false, true) => {
            let problem = format!(
                "= \"probabilities\" needs a network whose output is probabilities that sum to one over {k} categories, got \
                 values from {low:.3} to {high:.3}"
            );
            Err(Error::invalid(problem)
                .with_field("prediction")
                .with_remedy("end the network in a softmax, as `net.then(Softmax {})`, or use logits"))
        }
        _ => Ok(()),
    }
}

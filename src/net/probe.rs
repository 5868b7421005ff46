//! Refusal of what a net cannot compute, before the first step.
use super::{Condition, Net};
use crate::error::{Error, Result};
use burn::tensor::{Tensor, TensorData};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`; a panic inside is returned as an error, after `what`.
pub(crate) fn caught<R>(what: &str, f: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
        // One line, whatever the layout of the message.
        Error::invalid(format!("{what}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")))
    })
}

/// The shape of a net's output for x_t of shape `z`, by a forward pass of one row of zeros.
pub(super) fn output_shape<const D: usize, N: Net<D>>(net: &N, z: [usize; D], y: &N::Condition) -> Result<[usize; D]> {
    let device = net.devices().first().cloned().unwrap_or_default();
    let mut one = z;
    one[0] = 1;
    let what = format!("the network cannot compute an output for data of shape {:?}", &z[1..]);
    let run = || {
        let t = Tensor::from_data(TensorData::new(vec![0.5_f32], [1]), &device);
        net.forward(Tensor::zeros(one, &device), t, &y.select(&[0])).dims()
    };
    let mut output = caught(&what, run).map_err(|error| error.with_remedy("use a network for data of this shape"))?;
    output[0] *= z[0];
    Ok(output)
}

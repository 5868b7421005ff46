//! The `--device` flag, and what is said of a device that fails.
use crate::messages;
use burn::tensor::Device;
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tweedie::{Error, Result, device};

/// Whether this process computes on a GPU.
static ON_GPU: AtomicBool = AtomicBool::new(false);
/// The first message of a panic on it.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

/// The device with a name: `cpu`, or for example `cuda` or `cuda:1` in a build with that feature.
pub fn named(name: &str) -> Result<Device> {
    let kind = name.split(':').next().unwrap_or(name);
    if !device::KINDS.contains(&kind) {
        return Err(Error::invalid(format!(
            "there is no device `{kind}`{} This build supports {}; cargo features add others: {}.",
            messages::meant(kind, &device::KINDS),
            messages::list(&device::kinds()),
            messages::list(&device::KINDS[1..])
        )));
    }
    let device = device::named(name)?;
    ON_GPU.store(kind != "cpu", Ordering::Relaxed);
    Ok(device)
}

/// Runs a command: a driver or a back end that fails, which burn reports by a panic, is an error with a sentence.
pub fn guarded<R>(command: impl FnOnce() -> Result<R>) -> Result<R> {
    let standard = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !ON_GPU.load(Ordering::Relaxed) {
            return standard(info);
        }
        let mut first = FAILURE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if first.is_none() {
            *first = Some(info.payload_as_str().unwrap_or("its driver failed").to_owned());
        }
    }));
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(done) => done,
        Err(panic) if !ON_GPU.load(Ordering::Relaxed) => resume_unwind(panic),
        Err(_) => {
            let message = FAILURE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            Err(failed(&message.unwrap_or_default()))
        }
    }
}

/// The error for a message of a back end.
fn failed(message: &str) -> Error {
    let lower = message.to_lowercase();
    let first = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("its driver failed");
    if ["out of memory", "outofmemory", "out_of_memory", "buffertoobig", "buffer too big"]
        .iter()
        .any(|words| lower.contains(words))
    {
        return Error::invalid("the device ran out of memory").with_remedy(
            "choose a smaller `train.batch` or `sample.batch`, a larger `train.accumulate`, or `train.checkpointing = true`; \
             checkpoints that were written are intact",
        );
    }
    Error::invalid(format!("the device failed: {first}"))
        .with_remedy("checkpoints that were written are intact: `--resume` continues from the last")
}

#[cfg(test)]
mod tests {
    use super::failed;

    #[test]
    fn a_device_that_fails_is_an_error_of_one_sentence() {
        for message in ["DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", "BufferTooBig(128)"] {
            assert!(failed(message).to_string().contains("ran out of memory"), "{message}");
        }
        let text = failed("\n  the adapter was lost\nBacktrace:").to_string();
        assert!(text.contains("the device failed: the adapter was lost") && !text.contains("Backtrace"), "{text}");
    }
}

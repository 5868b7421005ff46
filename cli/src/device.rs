//! The `--device` flag.
use crate::messages;
use burn::tensor::Device;
use tweedie::{Error, Result};

/// All kinds of devices.
const KINDS: [&str; 6] = ["cpu", "cuda", "metal", "rocm", "vulkan", "wgpu"];

/// The kinds of devices in this build.
pub fn here() -> Vec<&'static str> {
    let mut kinds = vec!["cpu"];
    for (kind, there) in [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
        ("rocm", cfg!(feature = "rocm")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("wgpu", cfg!(feature = "wgpu")),
    ] {
        if there {
            kinds.push(kind);
        }
    }
    kinds
}

/// The device with a name: `cpu`, or for example `cuda` or `cuda:1` in a build with that feature.
pub fn named(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        None => (name, 0),
        Some((kind, index)) => match index.parse::<usize>() {
            Ok(index) => (kind, index),
            Err(_) => {
                return Err(Error::invalid(format!(
                    "`--device {name}`: the part after the colon must be a device index, as in `{kind}:0`"
                )));
            }
        },
    };
    let _ = index;
    match kind {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(index)),
        #[cfg(feature = "rocm")]
        "rocm" => Ok(Device::rocm(index)),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(gpu(index))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(gpu(index))),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(gpu(index))),
        _ if KINDS.contains(&kind) => Err(Error::invalid(format!(
            "this build supports the device{} {}, not `{kind}`: build with `cargo build --release --features {kind}`",
            if here().len() == 1 { "" } else { "s" },
            messages::list(&here())
        ))),
        _ => Err(Error::invalid(format!(
            "there is no device `{kind}`{} This build supports {}; cargo features add others: {}.",
            messages::meant(kind, &KINDS),
            messages::list(&here()),
            messages::list(&KINDS[1..])
        ))),
    }
}

#[cfg(any(feature = "metal", feature = "vulkan", feature = "wgpu"))]
fn gpu(index: usize) -> burn::tensor::DeviceKind {
    match index {
        0 => burn::tensor::DeviceKind::DefaultDevice,
        _ => burn::tensor::DeviceKind::DiscreteGpu(index),
    }
}

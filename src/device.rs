//! Devices by name: the processor, and the GPUs of the back ends that a build contains.
//!
//! `cpu` is always there. A build with the cargo feature `cuda`, `rocm`, `metal`, `vulkan` or `wgpu` also knows the devices of that
//! name, `cuda` or `cuda:0` for the first, `cuda:1` for the second. [`named`] opens one and checks that it computes right before
//! anything depends on it; [`available`] lists what there is.
//!
//! ```
//! let device = tweedie::device::named("cpu")?;
//! for found in tweedie::device::available() {
//!     println!("{} {}", found.name, found.description);
//! }
//! assert!(tweedie::device::named("cpu:1").is_err());
//! # let _ = device;
//! # Ok::<(), tweedie::Error>(())
//! ```
use crate::error::{Error, Result};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// All kinds of devices, the processor first.
pub const KINDS: [&str; 6] = ["cpu", "cuda", "metal", "rocm", "vulkan", "wgpu"];

/// A device that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What [`named`] takes.
    pub name: String,
    /// The name of the part, as its driver gives it.
    pub description: String,
    /// The device.
    pub device: Device,
    /// Its memory in bytes, where the driver tells.
    pub memory: Option<u64>,
    /// Types that it computes in: `f32`, `f16`, `bf16`.
    pub types: Vec<&'static str>,
}

/// The kinds of devices in this build.
pub fn kinds() -> Vec<&'static str> {
    let built = |kind: &&str| match *kind {
        "cpu" => true,
        "cuda" => cfg!(feature = "cuda"),
        "metal" => cfg!(feature = "metal"),
        "rocm" => cfg!(feature = "rocm"),
        "vulkan" => cfg!(feature = "vulkan"),
        _ => cfg!(feature = "wgpu"),
    };
    KINDS.iter().copied().filter(|kind| built(kind)).collect()
}

/// Everything that [`named`] can open on this machine, the processor first.
pub fn available() -> Vec<Found> {
    let found = |(kind, i, device): (&str, usize, Device)| {
        let (description, memory) = match kind {
            "cpu" => ("this machine's processor".into(), None),
            _ => quietly(|| describe(&device)).ok()?,
        };
        let types = [("f32", DType::F32), ("f16", DType::F16), ("bf16", DType::BF16)];
        let types =
            types.into_iter().filter(|(_, dtype)| device.supports_dtype(*dtype)).map(|(name, _)| name).collect();
        Some(Found { name: name_of(kind, i), description, device, memory, types })
    };
    let of_kind = |kind| of_kind(kind).into_iter().enumerate().map(move |(i, device)| (kind, i, device));
    kinds().into_iter().flat_map(of_kind).filter_map(found).collect()
}

/// The device with a name: `cpu`, or for example `cuda` or `cuda:1` in a build with that feature. A GPU is opened and must pass
/// [`probe`].
///
/// # Errors
///
/// If there is none of that name, with those that there are, or with what the build or the machine lacks; if it computes wrong.
pub fn named(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        None => (name, 0),
        Some((kind, index)) => match index.parse::<usize>() {
            Ok(index) => (kind, index),
            Err(_) => {
                return Err(Error::invalid(format!(
                    "the part of the device `{name}` after the colon must be an index, as in `{kind}:0`"
                )));
            }
        },
    };
    if !KINDS.contains(&kind) {
        return Err(Error::invalid(format!(
            "there is no device `{kind}`; this build supports {}, and cargo features add others: {}",
            list(&kinds()),
            list(&KINDS[1..])
        )));
    }
    if !kinds().contains(&kind) {
        return Err(Error::invalid(format!(
            "this build supports the device{} {}, not `{kind}`: build with `cargo build --release --features {kind}`",
            if kinds().len() == 1 { "" } else { "s" },
            list(&kinds())
        )));
    }
    // Devices beside the one that was asked for are not opened.
    let devices = of_kind(kind);
    let Some(device) = devices.get(index).cloned() else {
        let names: Vec<String> = (0..devices.len()).map(|i| name_of(kind, i)).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        return Err(match &names[..] {
            [] => Error::invalid(format!("there is no `{kind}` device on this machine: {}", missing(kind))),
            names => Error::invalid(format!("there is no device `{name}` on this machine")).with_remedy(format!(
                "choose {}{}",
                if names.len() == 1 { "" } else { "one of " },
                list(names)
            )),
        });
    };
    if kind != "cpu" {
        probe(&device).map_err(|problem| Error::invalid(format!("the device `{name}` cannot be used: {problem}")))?;
    }
    Ok(device)
}

/// `` `a`, `b` and `c` ``.
fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => quoted.concat(),
    }
}

/// What a kind of device needs of the machine.
fn missing(kind: &str) -> &'static str {
    match kind {
        "cuda" => {
            "NVIDIA's driver (libcuda) finds no GPU; it needs a driver, a GPU that `nvidia-smi -L` lists, and a \
             CUDA_VISIBLE_DEVICES that does not hide it"
        }
        "rocm" => "AMD's runtime (libamdhip64) finds no GPU; it needs ROCm, and a GPU that `rocminfo` lists",
        "metal" => "it needs a Mac",
        "vulkan" => "it needs a driver for Vulkan; `vulkaninfo --summary` lists what there is",
        _ => "it needs a driver for Vulkan, Metal, DirectX 12 or OpenGL; `vulkaninfo --summary` lists those for Vulkan",
    }
}

/// What [`named`] calls device i of a kind.
fn name_of(kind: &str, i: usize) -> String {
    if kind == "cpu" { kind.into() } else { format!("{kind}:{i}") }
}

/// The devices of a kind that this build contains, by their indices.
fn of_kind(kind: &str) -> Vec<Device> {
    if kind == "cpu" {
        return vec![Device::flex()];
    }
    tweedie_kernels::ops::prepare_gpus();
    quietly(|| gpus(kind)).unwrap_or_default()
}

/// The GPUs of a back end.
#[allow(unused_variables)]
fn gpus(kind: &str) -> Vec<Device> {
    #[cfg(feature = "gpu")]
    {
        use burn::tensor::DeviceType;
        let filter = match kind {
            #[cfg(feature = "cuda")]
            "cuda" => DeviceType::Cuda,
            #[cfg(feature = "rocm")]
            "rocm" => DeviceType::Rocm,
            #[cfg(feature = "metal")]
            "metal" => DeviceType::Metal,
            #[cfg(feature = "vulkan")]
            "vulkan" => DeviceType::Vulkan,
            #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
            "wgpu" => DeviceType::Wgpu,
            _ => return vec![],
        };
        Device::enumerate(filter).iter().cloned().collect()
    }
    #[cfg(not(feature = "gpu"))]
    vec![]
}

/// The name and the memory of a GPU.
#[allow(unused_variables)]
fn describe(device: &Device) -> (String, Option<u64>) {
    #[cfg(feature = "gpu")]
    {
        let name = device.identity().map_or_else(|| format!("{device:?}"), |identity| identity.name);
        // The back ends of CUDA and ROCm let a page take a quarter of the memory; others do not tell.
        #[allow(unreachable_patterns)]
        let memory = match device.as_dispatch() {
            #[cfg(feature = "cuda")]
            burn::backend::DispatchDevice::Cube(cube @ cubecl::Device::Cuda(_)) => Some(cube),
            #[cfg(feature = "rocm")]
            burn::backend::DispatchDevice::Cube(cube @ cubecl::Device::Hip(_)) => Some(cube),
            _ => None,
        };
        let memory = memory.map(|cube: &cubecl::Device| 4 * cube.client().properties().memory.max_page_size);
        (name, memory)
    }
    #[cfg(not(feature = "gpu"))]
    ("unknown".into(), None)
}

/// Checks a device by a matrix product and sums whose results are known: some drivers give zeros without an error.
///
/// # Errors
///
/// With what went wrong.
pub fn probe(device: &Device) -> std::result::Result<(), String> {
    const N: usize = 64;
    let device = device.clone().inner();
    let computed = quietly(|| {
        // Small whole numbers: exact in any order and in any precision.
        let numbers = |seed: usize| (0..N * N).map(|i| ((i * seed + i / N) % 3) as f32 - 1.0).collect::<Vec<_>>();
        let (a, b) = (numbers(5), numbers(7));
        let tensor = |x: &[f32]| Tensor::<2>::from_data(TensorData::new(x.to_vec(), [N, N]), (&device, DType::F32));
        let product = tensor(&a).matmul(tensor(&b));
        let sums = product.clone().sum_dim(1);
        // Operations that a back end may fuse with a sum.
        let fused = (tensor(&a) + tensor(&b)).mul_scalar(64.0).mean_dim(1);
        let product: Vec<f32> = product.try_into_vec_as().map_err(|error| error.to_string())?;
        let sums: Vec<f32> = sums.try_into_vec_as().map_err(|error| error.to_string())?;
        let fused: Vec<f32> = fused.try_into_vec_as().map_err(|error| error.to_string())?;
        let entry = |i: usize, j: usize| (0..N).map(|k| a[i * N + k] * b[k * N + j]).sum::<f32>();
        let right = (0..N).all(|i| (0..N).all(|j| product[i * N + j] == entry(i, j)))
            && (0..N).all(|i| sums[i] == (0..N).map(|j| entry(i, j)).sum::<f32>())
            && (0..N).all(|i| fused[i] == (0..N).map(|j| a[i * N + j] + b[i * N + j]).sum::<f32>());
        Ok(right)
    });
    match computed {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            Err("it computes matrix products or sums wrong; update its driver, or use another back end".into())
        }
        Ok(Err(problem)) | Err(problem) => Err(problem),
    }
}

/// Runs what may panic in the driver, without its message; the error is the first line of that.
fn quietly<R>(f: impl FnOnce() -> R) -> std::result::Result<R, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let done = catch_unwind(AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    done.map_err(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let message = message.unwrap_or_else(|| "its driver failed".into());
        message.lines().next().unwrap_or_default().to_owned()
    })
}

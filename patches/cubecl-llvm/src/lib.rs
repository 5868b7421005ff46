//! The interface of `cubecl-llvm` that CubeCL's CUDA and HIP runtimes name, without LLVM.
//!
//! Both runtimes have two compilers: CUDA C++ (HIP C++) that the toolkit's own compiler library turns into machine code at run time,
//! and LLVM. The second downloads LLVM when it is built. tweedie takes the first (the features `cuda-cpp` and `hip-cpp` of CubeCL),
//! and so needs of the second only the names that the runtimes mention; compiling by it is an error.
use cubecl_core::Compiler;
#[cfg(feature = "nvptx")]
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::ir::{DeviceProperties, amd::GfxArch};
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::{backtrace::BackTrace, bytes::Bytes};
use cubecl_runtime::{compiler::CompilationError, kernel::BufferIOAttr};

/// Versions of NVIDIA's intermediate language.
#[cfg(feature = "nvptx")]
pub mod nvptx {
    /// The version that a driver loads.
    pub mod ptx_version {
        /// A version of PTX; 8.7 is `87`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// CUDA C++ is compiled by a library of the toolkit, which chooses by itself.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What LLVM would not know of a device.
pub mod shared {
    /// Only asked for where LLVM compiles.
    pub mod lowered_features {
        use super::super::DeviceProperties;

        /// The kind of device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            #[cfg(feature = "nvptx")]
            Nvptx,
            /// AMD, with the generation of its matrix instructions.
            #[cfg(feature = "amdgpu")]
            AmdGpu {
                /// The generation.
                wmma: Option<cubecl_core::ir::amd::AmdWmma>,
            },
        }

        /// Takes nothing away: nothing is compiled by LLVM.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}

/// What is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// The processor.
    #[default]
    Cpu,
    /// AMD.
    #[cfg(feature = "amdgpu")]
    AmdGpu,
    /// NVIDIA.
    #[cfg(feature = "nvptx")]
    Nvptx,
}

/// The compiler that is not here.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

/// What the runtimes would tell it.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// An AMD device.
    pub arch: Option<GfxArch>,
    /// An NVIDIA device.
    #[cfg(feature = "nvptx")]
    pub sm_arch: Option<SmArch>,
    /// The version of PTX.
    #[cfg(feature = "nvptx")]
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether scalars travel in the kernel's parameters.
    pub grid_constants: bool,
}

/// Machine code of an AMD device.
#[derive(Clone, Debug)]
pub struct AmdGpuModule {
    /// The code.
    pub code_object: Bytes,
    /// The kernel's symbol.
    pub entrypoint: String,
    /// The text it came from.
    pub ir: String,
    /// The assembly.
    pub asm: Option<String>,
    /// Bytes of shared memory.
    pub shared_memory_size: usize,
    /// How each buffer is used.
    pub io: Vec<BufferIOAttr>,
}

/// PTX of an NVIDIA device.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The text, ended by a zero.
    pub ptx: Vec<core::ffi::c_char>,
    /// The kernel's symbol.
    pub entrypoint: String,
    /// The text it came from.
    pub ir: String,
    /// Bytes of shared memory.
    pub shared_memory_size: usize,
    /// How each buffer is used.
    pub io: Vec<BufferIOAttr>,
}

/// What would come out.
#[derive(Clone)]
pub enum PlironArtifact {
    /// For AMD.
    AmdGpuCode(AmdGpuModule),
    /// For NVIDIA.
    NvptxCode(NvptxModule),
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AmdGpuCode(module) => f.write_str(&module.ir),
            Self::NvptxCode(module) => f.write_str(&module.ir),
        }
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &Self::CompilationOptions,
    ) -> Result<Self::Representation, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM: build with CubeCL's feature `cuda-cpp` or `hip-cpp`".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

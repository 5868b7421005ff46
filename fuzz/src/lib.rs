//! What the fuzz targets do with their bytes. The same functions run over the kept corpus in the ordinary tests.
pub mod data;
#[cfg(feature = "tool")]
pub mod tool;

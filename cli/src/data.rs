//! Data as the command line knows them: sets of any rank, and the facts that are kept with the weights.
pub(crate) mod categories;
pub(crate) mod conditions;
mod data_kind;
mod digest;
mod facts;
mod images;
pub(crate) mod levels;
mod points;
mod rows;
mod source;
mod spheres;
mod text;
mod waves;

pub use conditions::{Computed, ConditionFacts, ConditionReader};
pub use data_kind::DataKind;
pub use digest::Digest;
pub(crate) use digest::{Fingerprint, Part as DataPart};
pub use facts::Facts;
pub(crate) use facts::pictured;
pub use images::ImageSet;
pub use points::PointSource;
pub(crate) use source::data_error;
pub use source::{Loaded, Set, Source};
pub use spheres::SphereSource;
pub use text::TextSet;
pub use tweedie_data::Split;
pub use waves::WaveSource;

//! The commands of the tool, one file each.
pub(crate) mod compare;
pub(crate) mod evaluate;
pub(crate) mod list;
pub(crate) mod plot;
pub(crate) mod sample;
pub(crate) mod schema;
pub(crate) mod train;
pub(crate) mod verify;

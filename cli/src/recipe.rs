//! Recipes: TOML files that name the modules of a model, its data, and how it is trained and sampled.
//!
//! `file` reads one and knows where each field stands; `legacy` gives keys of older versions their name of today; `check` holds it
//! against the descriptions of the modules; `plan` builds what it describes, with `objective` and `sampling`; `schema` describes all
//! recipes to editors; `difference` compares two.
pub(crate) mod build;
mod check;
pub(crate) mod difference;
mod file;
pub(crate) mod hints;
mod legacy;
pub(crate) mod memory;
mod objective;
pub(crate) mod plan;
pub(crate) mod sampling;
pub(crate) mod schema;
pub(crate) mod sections;

pub(crate) use check::unknown_module;
pub(crate) use file::{Part, Recipe};

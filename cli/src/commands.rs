//! The commands of the tool, one file each.
pub(crate) mod compare;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod list;
pub(crate) mod plot;
pub(crate) mod sample;
pub(crate) mod schema;
pub(crate) mod train;
pub(crate) mod verify;

use crate::data::{Loaded, Set};
use std::any::Any;

/// Evaluates an expression for loaded data of any rank.
macro_rules! for_rank {
    ($loaded:expr, $set:ident => $body:expr) => {
        match $loaded {
            $crate::data::Loaded::Two($set) => $body,
            $crate::data::Loaded::Three($set) => $body,
            $crate::data::Loaded::Four($set) => $body,
            $crate::data::Loaded::Five($set) => $body,
        }
    };
}
pub(crate) use for_rank;

/// The loaded data, if their rank is `D`.
pub(crate) fn of_rank<const D: usize>(loaded: Loaded) -> Option<Box<dyn Set<D>>> {
    let set: Box<dyn Any> = for_rank!(loaded, set => Box::new(set));
    set.downcast().ok().map(|set| *set)
}

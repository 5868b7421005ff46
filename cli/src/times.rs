//! Spacings of the command line's own: names for times that the library has by other means.
use crate::named::SpacingOf;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie::{
    Result,
    schedule::Schedule,
    spacing::{Beta, Spacing, Steps, Uniform},
};

/// `{ name = "even" }`: what is taken where no times are named.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Even {}
impl SpacingOf for Even {
    fn spacing(&self, _: Vec<Arc<dyn Spacing>>, schedule: &Arc<dyn Schedule>) -> Result<Arc<dyn Spacing>> {
        Ok(match schedule.steps() {
            Some(steps) => Arc::new(Steps(steps)),
            None => Arc::new(Uniform::default()),
        })
    }
}

/// `{ name = "arcsine" }`: `t = sin²(πu/2)`, the quantiles of `Beta(½, ½)`, dense at both ends.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Arcsine {}
impl SpacingOf for Arcsine {
    fn spacing(&self, _: Vec<Arc<dyn Spacing>>, _: &Arc<dyn Schedule>) -> Result<Arc<dyn Spacing>> {
        Ok(Arc::new(Beta { a: 0.5, b: 0.5 }))
    }
}

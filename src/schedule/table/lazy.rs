//! Tables that are computed from a few parameters when they are first used.
use super::Table;
use crate::error::Result;
use std::sync::OnceLock;

/// The table of some parameters, computed once; `None` if they define none.
#[derive(Clone, Debug, Default)]
pub(super) struct Lazy(OnceLock<Option<Table>>);
impl Lazy {
    /// The table, or the error of `make`.
    pub(super) fn get(&self, make: impl Fn() -> Result<Table>) -> Result<&Table> {
        match self.0.get_or_init(|| make().ok()) {
            Some(table) => Ok(table),
            // Errors cannot be cloned: the reason is found once more.
            None => match make() {
                Err(error) => Err(error),
                // A file that could not be read has appeared since.
                Ok(_) => Err(crate::error::Error::invalid("the table could not be computed when it was first used")),
            },
        }
    }
}

/// The quotient ᾱ(t)/ᾱ(0) of a formula of ᾱ, at a time of the grid up to which no β is clipped.
pub(super) fn followed(steps: usize, clip: f64, t: f64, bar: impl Fn(f64) -> f64) -> Option<f64> {
    let last = (t * steps as f64).round() as usize;
    let at = |i: usize| bar(i as f64 / steps as f64);
    (1..=last).all(|i| at(i) > (1.0 - clip) * at(i - 1)).then(|| bar(t) / bar(0.0))
}

/// `∏ (1 − β_i)` up to a time of the grid, for a formula of β_i, i from 1.
pub(super) fn product(steps: usize, t: f64, beta: impl Fn(f64) -> f64) -> Option<f64> {
    let last = (t * steps as f64).round() as usize;
    Some((1..=last).map(|i| 1.0 - beta(i as f64)).product())
}

/// Setters, comparison and the traits of schedules for a struct of parameters with a field `lazy: Lazy` and a method
/// `make(&self) -> Result<Table>`.
macro_rules! table_schedule {
    ($name:ident { $($(#[$doc:meta])* $with:ident: $field:ident, $type:ty;)* }) => {
        impl $name {
            $($(#[$doc])*
            pub fn $with(self, $field: $type) -> Self {
                Self { $field, lazy: Lazy::default(), ..self }
            })*
            /// Returns the table of βs.
            ///
            /// # Errors
            ///
            /// If the parameters define none.
            pub fn table(&self) -> Result<&Table> {
                self.lazy.get(|| self.make())
            }
            /// Checks the parameters; the `check` of both traits.
            ///
            /// # Errors
            ///
            /// If they define no table.
            pub fn check(&self) -> Result<()> {
                self.make().map(|_| ())
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                match (self.table(), other.table()) {
                    (Ok(own), Ok(other)) => own == other,
                    _ => false,
                }
            }
        }
        impl Schedule for $name {
            fn alpha(&self, t: Dual) -> Dual {
                self.table().map_or(f64::NAN.into(), |table| table.alpha(t))
            }
            fn sigma(&self, t: Dual) -> Dual {
                self.table().map_or(f64::NAN.into(), |table| table.sigma(t))
            }
            fn steps(&self) -> Option<usize> {
                self.table().ok().map(Table::len)
            }
            fn at(&self, t: f64) -> Scales {
                self.table().map_or(UNDEFINED, |table| table.at(t))
            }
            fn time_at_log_snr(&self, log_snr: f64) -> f64 {
                self.table().map_or(f64::NAN, |table| table.time_at_log_snr(log_snr))
            }
            fn check(&self) -> Result<()> {
                $name::check(self)
            }
            fn alpha_bar_formula(&self, t: f64) -> Option<f64> {
                self.formula(t)
            }
        }
        impl Survival for $name {
            fn survival(&self, t: Dual) -> Dual {
                self.table().map_or(f64::NAN.into(), |table| table.survival(t))
            }
            fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
                self.table().ok().and_then(|table| table.signal(t))
            }
            fn steps(&self) -> Option<usize> {
                self.table().ok().map(Table::len)
            }
            fn check(&self) -> Result<()> {
                $name::check(self)
            }
        }
    };
}
pub(super) use table_schedule;

/// The scales of parameters that define no table.
pub(super) const UNDEFINED: crate::schedule::Scales = crate::schedule::Scales {
    alpha: f64::NAN,
    sigma: f64::NAN,
    alpha_dot: f64::NAN,
    sigma_dot: f64::NAN,
    variance_dot: f64::NAN,
};

//! Spacings as recipes name them: those that know the recipe's schedule, or are made of others.
use crate::registry::{
    any_schedule::AnySchedule,
    settings::{Part, SpacingOf},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie::{
    Error, Result,
    spacing::{
        self, AlignYourSteps, Antithetic, Beta, Exponential, Importance, Independent, Karras, Leading, Levels,
        Linspace, Spacing, Steps, Uniform,
    },
};

/// Uniform timesteps, on the grid of the schedule's table if it has one: the default.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Even {}
impl SpacingOf for Even {
    fn spacing(&self, _: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>> {
        Ok(match schedule.steps() {
            Some(steps) => Arc::new(Steps(steps)),
            None => Arc::new(Uniform::default()),
        })
    }
}

/// Timesteps dense at both ends, t = sin²(πu/2), the quantiles of Beta(½, ½); for multistep samplers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Arcsine {}
impl SpacingOf for Arcsine {
    fn spacing(&self, _: Vec<Arc<dyn Spacing>>, _: &AnySchedule) -> Result<Arc<dyn Spacing>> {
        Ok(Arc::new(Beta { a: 0.5, b: 0.5 }))
    }
}

/// Timesteps of a table in equal sections, each with a number of steps of its own (guided-diffusion's respacing).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sections {
    /// Number of steps T of the table. Default: that of the schedule, or 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// Number of timesteps in each section.
    counts: Vec<usize>,
}
impl Default for Sections {
    fn default() -> Self {
        Self { steps: None, counts: vec![10, 10, 5, 5] }
    }
}
/// T: the given number of steps. Default: that of the schedule, or else 1000.
fn steps_of(given: Option<usize>, schedule: &AnySchedule) -> usize {
    given.or(schedule.steps()).unwrap_or(1000)
}
impl SpacingOf for Sections {
    fn spacing(&self, _: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>> {
        Ok(Arc::new(spacing::TimestepList::sections(steps_of(self.steps, schedule), &self.counts)?))
    }
}

/// Timesteps from a list, or from a list of noise levels.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListedTimes {
    /// Times in (0, 1].
    times: Vec<f64>,
    /// Noise levels σ/α, in place of `times`.
    levels: Vec<f64>,
}
impl Default for ListedTimes {
    fn default() -> Self {
        Self { times: (1..=10).map(|i| f64::from(i) / 10.0).collect(), levels: vec![] }
    }
}
impl SpacingOf for ListedTimes {
    fn spacing(&self, _: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>> {
        Ok(Arc::new(match self.levels.as_slice() {
            [] => spacing::TimestepList::new(self.times.clone())?,
            levels if self.times == Self::default().times || self.times.is_empty() => {
                spacing::TimestepList::levels(levels, &*schedule.schedule()?)?
            }
            _ => {
                return Err(Error::invalid("are noise levels in place of `times`: give one of the two lists")
                    .with_field("levels"));
            }
        }))
    }
}

/// Align Your Steps: noise levels optimized for 10 steps of a model of Stable Diffusion's kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Aligned {
    /// The model whose levels are used.
    model: AlignYourSteps,
}
impl Levels for Aligned {
    fn level(&self, u: f64) -> f64 {
        self.model.level(u)
    }
    fn visits_least(&self) -> bool {
        self.model.visits_least()
    }
}

macro_rules! of_times {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),* } $default_times:literal $make:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $field: $type,)*
            /// The spacing that is changed.
            times: Part,
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* times: Part::named($default_times) }
            }
        }
        impl SpacingOf for $name {
            const PARTS: &'static [&'static str] = &["times"];
            fn spacing(&self, mut parts: Vec<Arc<dyn Spacing>>, _: &AnySchedule) -> Result<Arc<dyn Spacing>> {
                let make: fn(&Self, Arc<dyn Spacing>) -> Arc<dyn Spacing> = $make;
                Ok(make(self, parts.remove(0)))
            }
        }
    )*};
}
of_times! {
    /// Another spacing with `factor` times the odds t/(1 − t) of each time, towards the noise.
    ShiftedTimes {
        /// Factor on t/(1 − t).
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        factor: f64 = 3.0
    } "uniform" |own, times| {
        Arc::new(spacing::ShiftedSpacing { spacing: times, factor: own.factor })
    };
    /// Another spacing's training times in antithetic pairs u, 1 − u.
    AntitheticTimes {} "uniform" |_, times| Arc::new(Antithetic(times));
    /// Another spacing's training times, sampled independently instead of stratified over the batch.
    IndependentTimes {} "uniform" |_, times| Arc::new(Independent(times));
    /// Another spacing's training times, importance-sampled by the losses seen so far.
    ImportanceTimes {
        /// Number of strata of the times.
        #[schemars(range(min = 1, max = 1_000_000))]
        strata: usize = 100,
        /// Number of recent losses that are kept per stratum.
        #[schemars(range(min = 1, max = 10_000))]
        keep: usize = 10,
        /// Share of the samples that ignore the losses, so that no stratum is forgotten.
        #[schemars(range(min = 0.0, max = 1.0))]
        floor: f64 = 1e-3
    } "uniform" |own, times| {
        Arc::new(Importance { spacing: times, strata: own.strata, keep: own.keep, floor: own.floor })
    };
}

macro_rules! of_table {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident),* } |$own:ident, $steps:ident| $make:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            /// Number of steps T of the table. Default: that of the schedule, or 1000.
            #[schemars(range(min = 1, max = 1_000_000))]
            #[serde(skip_serializing_if = "Option::is_none")]
            steps: Option<usize>,
            $($(#[$field_doc])* $field: usize,)*
        }
        impl SpacingOf for $name {
            fn spacing(&self, _: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>> {
                let ($own, $steps) = (self, steps_of(self.steps, schedule));
                let _ = $own;
                Ok(Arc::new($make))
            }
        }
    )*};
}
of_table! {
    /// The times 1/T, 2/T, …, 1 of a table; fewer steps take the trailing ones.
    Grid {} |own, steps| Steps(steps);
    /// Leading timesteps 0, T/n, 2T/n, … of a table of T steps; sampling starts at 1 in place of the last of them.
    LeadingTimes {
        /// Number of table steps that each timestep is moved towards the noise (diffusers' `steps_offset`).
        offset
    } |own, steps| Leading { steps, offset: own.offset };
    /// Timesteps of a table, uniform from 0 to T − 1.
    LinspaceTimes {} |own, steps| Linspace { steps };
}

macro_rules! of_levels {
    ($($(#[$doc:meta])* $name:ident = $levels:ident { $($(#[$field_doc:meta])* $field:ident),* };)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            /// Least noise level σ/α. Default: that of the schedule.
            #[schemars(extend("exclusiveMinimum" = 0.0))]
            #[serde(skip_serializing_if = "Option::is_none")]
            min: Option<f64>,
            /// Largest noise level σ/α. Default: that of the schedule.
            #[schemars(extend("exclusiveMinimum" = 0.0))]
            #[serde(skip_serializing_if = "Option::is_none")]
            max: Option<f64>,
            $($(#[$field_doc])* $field: f64,)*
        }
        impl Default for $name {
            fn default() -> Self {
                Self { min: None, max: None, $($field: $levels::default().$field,)* }
            }
        }
        impl SpacingOf for $name {
            fn spacing(&self, _: Vec<Arc<dyn Spacing>>, schedule: &AnySchedule) -> Result<Arc<dyn Spacing>> {
                let schedule = schedule.schedule()?;
                let own = spacing::level_range(&schedule);
                let levels =
                    $levels { min: self.min.unwrap_or(own[0]), max: self.max.unwrap_or(own[1]), $($field: self.$field,)* };
                Ok(Arc::new(levels.on(schedule)))
            }
        }
    )*};
}
of_levels! {
    /// Karras (EDM) noise levels: uniform in σ^(1/ρ) between the ends of the schedule.
    KarrasTimes = Karras {
        /// Exponent ρ.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        rho
    };
    /// Noise levels uniform in ln(σ/α), that is in the log-SNR, between the ends of the schedule.
    ExponentialTimes = Exponential {};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Modules;
    use toml::Table;
    use tweedie::schedule::{Edm, FlowMatching, Linear, Schedule};

    fn grid(text: &str, schedule: impl Schedule + 'static, steps: usize) -> Vec<f64> {
        let mut table: Table = text.parse().unwrap();
        let name = table.remove("name").unwrap().as_str().unwrap().to_owned();
        let (make, _) = Modules::default().spacings.build(&name, table).unwrap();
        let schedule = AnySchedule::continuous("the schedule", schedule);
        make(&schedule).unwrap().grid(steps)
    }

    #[test]
    fn steps_are_those_of_the_recipes_table() {
        let numbers = |text: &str| -> Vec<i64> {
            grid(text, Linear::new(100), 4).iter().map(|t| (t * 100.0).round() as i64).collect()
        };
        assert_eq!(numbers("name = 'leading'"), [76, 51, 26, 1, 0]);
        assert_eq!(numbers("name = 'leading'\noffset = 1"), [77, 52, 27, 2, 0]);
        assert_eq!(numbers("name = 'linspace'"), [100, 67, 34, 1, 0]);
        assert_eq!(numbers("name = 'grid'"), [100, 75, 50, 25, 0]);
        assert_eq!(numbers("name = 'sections'\ncounts = [2, 2]"), [100, 51, 50, 1, 0]);
        // If requested, or if there is no table.
        assert_eq!(grid("name = 'leading'\nsteps = 10", Linear::new(100), 2), [0.6, 0.1, 0.0]);
        assert_eq!(grid("name = 'leading'", FlowMatching {}, 2), [0.501, 0.001, 0.0]);
    }

    #[test]
    fn levels_are_those_of_their_tables_and_of_the_schedule() {
        let edm = Edm { sigma_min: 0.01, sigma_max: 20.0, rho: 7.0 };
        let aligned = grid("name = 'align-your-steps'", edm, 10);
        let table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152];
        for (t, level) in aligned.iter().zip(table) {
            assert!((edm.at(*t).sigma / level - 1.0).abs() < 1e-9, "{} for {level}", edm.at(*t).sigma);
        }
        // EDM's own levels, from its own ends: even in its time.
        for (i, t) in grid("name = 'karras'", edm, 4).into_iter().enumerate() {
            assert!((t - (1.0 - i as f64 / 4.0)).abs() < 1e-6, "{t}");
        }
        let table = Linear::new(100);
        for name in ["exponential", "log-snr", "lu"] {
            let times = grid(&format!("name = '{name}'"), table.clone(), 5);
            assert!((times[4] - 0.01).abs() < 1e-9 && (times[0] - 1.0).abs() < 1e-9, "{times:?}");
        }
    }
}

//! Schedules as a recipe names them: for continuous data, for categorical data, or for both.
use std::sync::Arc;
use tweedie::{
    Dual, Error, Result,
    schedule::{Scales, Schedule, Survival},
};

/// A named schedule: α and σ, survival probabilities ᾱ, or both; a noise takes what it needs.
#[derive(Clone, Debug)]
pub struct AnySchedule {
    name: String,
    schedule: Option<Arc<dyn Schedule>>,
    survival: Option<Arc<dyn Survival>>,
}
impl AnySchedule {
    /// A schedule of α and σ, for continuous data.
    pub fn continuous(name: impl Into<String>, schedule: impl Schedule + 'static) -> Self {
        Self { name: name.into(), schedule: Some(Arc::new(schedule)), survival: None }
    }
    /// A schedule of survival probabilities ᾱ, for categorical data.
    pub fn categorical(name: impl Into<String>, survival: impl Survival + 'static) -> Self {
        Self { name: name.into(), schedule: None, survival: Some(Arc::new(survival)) }
    }
    /// A schedule of both.
    pub fn both(name: impl Into<String>, schedule: impl Schedule + Survival + 'static) -> Self {
        let both = Arc::new(schedule);
        Self { name: name.into(), schedule: Some(both.clone()), survival: Some(both) }
    }

    /// The name in the recipe.
    pub fn name(&self) -> &str {
        &self.name
    }
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }
    /// α and σ.
    ///
    /// # Errors
    ///
    /// If the schedule has none: it is for categorical data.
    pub fn schedule(&self) -> Result<Arc<dyn Schedule>> {
        self.schedule.clone().ok_or_else(|| {
            let remedy = "take one of them, such as `cosine` or `flow-matching`, or a noise for categorical data";
            self.refused("gives survival probabilities ᾱ, for categorical data; continuous data need α and σ", remedy)
        })
    }
    /// ᾱ.
    ///
    /// # Errors
    ///
    /// If the schedule has none: it is for continuous data.
    pub fn survival(&self) -> Result<Arc<dyn Survival>> {
        self.survival.clone().ok_or_else(|| {
            let remedy = "take one of them, such as `log-linear` or `cosine`, or the noise `gaussian`";
            self.refused("gives α and σ, for continuous data; categorical data need survival probabilities ᾱ", remedy)
        })
    }
    fn refused(&self, what: &str, remedy: &str) -> Error {
        Error::invalid(format!("= \"{}\" {what}", self.name)).with_field("schedule.name").with_remedy(remedy)
    }

    /// The number of steps T, if the schedule is a table.
    pub fn steps(&self) -> Option<usize> {
        let own = self.schedule.as_ref().and_then(|schedule| schedule.steps());
        own.or_else(|| self.survival.as_ref().and_then(|survival| survival.steps()))
    }
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// If they define no schedule.
    pub fn check(&self) -> Result<()> {
        self.schedule.iter().try_for_each(|schedule| schedule.check())?;
        self.survival.iter().try_for_each(|survival| survival.check())
    }

    /// A schedule made of this one, for the kinds of data that it is for.
    pub fn map<A: Schedule + 'static, B: Survival + 'static>(
        self,
        schedule: impl FnOnce(Arc<dyn Schedule>) -> A,
        survival: impl FnOnce(Arc<dyn Survival>) -> B,
    ) -> Self {
        Self {
            name: self.name,
            schedule: self.schedule.map(|own| Arc::new(schedule(own)) as Arc<dyn Schedule>),
            survival: self.survival.map(|own| Arc::new(survival(own)) as Arc<dyn Survival>),
        }
    }
    /// α, σ and ᾱ, if it has them all.
    pub(crate) fn full(&self) -> Option<Full> {
        Some(Full { schedule: self.schedule.clone()?, survival: self.survival.clone()? })
    }
}

/// α and σ, and ᾱ, of one schedule.
#[derive(Clone, Debug)]
pub(crate) struct Full {
    schedule: Arc<dyn Schedule>,
    survival: Arc<dyn Survival>,
}
impl Schedule for Full {
    fn alpha(&self, t: Dual) -> Dual {
        self.schedule.alpha(t)
    }
    fn sigma(&self, t: Dual) -> Dual {
        self.schedule.sigma(t)
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn check(&self) -> Result<()> {
        self.schedule.check()
    }
    fn at(&self, t: f64) -> Scales {
        self.schedule.at(t)
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        self.schedule.time_at_log_snr(log_snr)
    }
    fn alpha_bar_formula(&self, t: f64) -> Option<f64> {
        self.schedule.alpha_bar_formula(t)
    }
}
impl Survival for Full {
    fn survival(&self, t: Dual) -> Dual {
        self.survival.survival(t)
    }
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        self.survival.signal(t)
    }
    fn steps(&self) -> Option<usize> {
        self.survival.steps()
    }
    fn check(&self) -> Result<()> {
        self.survival.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie::schedule::{Cosine, Edm, LogLinear};

    #[test]
    fn a_noise_takes_what_it_needs_and_is_refused_what_is_not_there() {
        let both = AnySchedule::both("cosine", Cosine::new(10));
        assert!(both.schedule().is_ok() && both.survival().is_ok() && both.steps() == Some(10));
        let error = AnySchedule::categorical("log-linear", LogLinear::default()).schedule().unwrap_err();
        assert_eq!(error.field(), Some("schedule.name"));
        assert!(error.to_string().starts_with("`schedule.name` = \"log-linear\" gives survival"), "{error}");
        let error = AnySchedule::continuous("edm", Edm::default()).survival().unwrap_err();
        assert!(error.remedy().unwrap().contains("log-linear"), "{error}");
    }
}

//! Losses that are weighted over noise levels, and weights made of others, as recipes name them.
use crate::registry::settings::{LossOf, Part, WeightOf};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use tweedie::{
    Result,
    loss::{
        Batch, ErrorOf, HuberConstant, Loss, Penalty, Regression, Space, Uncertain,
        weight::{PerLogSnr, Weight},
    },
    noise::Noise,
};

/// An error of the prediction, and whether it is weighted by its learned uncertainty.
pub(crate) enum Errors {
    Plain(Regression),
    Uncertain(Uncertain<Regression>),
}
impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(loss) => loss.fmt(f),
            Self::Uncertain(loss) => loss.fmt(f),
        }
    }
}
impl Errors {
    fn loss<const D: usize>(&self) -> &dyn Loss<D> {
        match self {
            Self::Plain(loss) => loss,
            Self::Uncertain(loss) => loss,
        }
    }
}
impl<const D: usize> Loss<D> for Errors {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        self.loss().compute(batch)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        self.loss().check(noise)
    }
    fn learns_uncertainty(&self) -> bool {
        Loss::<D>::learns_uncertainty(self.loss::<D>())
    }
}

macro_rules! regressions {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)? }
        |$own:ident| $penalty:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $field: $type,)*
            /// Space in which the error is measured.
            space: Space,
            /// Weight over noise levels, on the squared error of x̂: `tweedie list weight`. Default: weight 1 in the space.
            #[schemars(extend("x-module" = "weight"))]
            #[serde(skip_serializing_if = "Option::is_none")]
            weighting: Option<Part>,
            /// Whether the loss is weighted by an uncertainty u(λ) that is learned with the net: e^(−u) loss + u.
            uncertainty: bool,
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* space: Space::default(), weighting: None, uncertainty: false }
            }
        }
        impl LossOf for $name {
            const WEIGHTS: &'static [&'static str] = &["weighting"];
            type Loss = Errors;
            fn loss(&self, mut weights: Vec<Option<Arc<dyn Weight>>>) -> Result<Errors> {
                let $own = self;
                let _ = $own;
                let loss = Regression::new($penalty).in_space(self.space);
                let loss = match weights.remove(0) {
                    Some(weight) => loss.with_weight(weight),
                    None => loss,
                };
                Ok(if self.uncertainty { Errors::Uncertain(Uncertain(loss)) } else { Errors::Plain(loss) })
            }
        }
    )*};
}
regressions! {
    /// Squared error in a space of choice, weighted over noise levels.
    SquaredConfig {} |own| Penalty::Squared;
    /// Huber's error: squared up to `delta`, linear from there on.
    HuberConfig {
        /// Error from which on the loss is linear.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        delta: f64 = 1.0,
    } |own| Penalty::Huber { delta: own.delta };
    /// Pseudo-Huber error 2 c (√(e² + c²) − c): squared below c, linear above.
    PseudoHuberConfig {
        /// Error c at which the loss turns from squared to linear.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        c: f64 = 0.1,
        /// What the error e is.
        of: ErrorOf = ErrorOf::Entry,
        /// How c depends on the noise level.
        constant: HuberConstant = HuberConstant::Fixed,
    } |own| Penalty::PseudoHuber { c: own.c, of: own.of, constant: own.constant };
    /// Absolute error in a space of choice, weighted over noise levels.
    AbsoluteConfig {} |own| Penalty::Absolute;
}

/// Another weight per unit of log-SNR: with t uniform, the objective is that weight's integral over λ.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PerLogSnrConfig {
    /// The weight that is multiplied by −dλ/dt.
    of: Part,
}
impl Default for PerLogSnrConfig {
    fn default() -> Self {
        Self { of: Part::named("sigmoid") }
    }
}
impl WeightOf for PerLogSnrConfig {
    const PARTS: &'static [&'static str] = &["of"];
    fn weight(&self, mut parts: Vec<Arc<dyn Weight>>) -> Result<Arc<dyn Weight>> {
        Ok(Arc::new(PerLogSnr(parts.remove(0))))
    }
}

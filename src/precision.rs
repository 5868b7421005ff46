//! The precision of matrix products.
use crate::error::{Error, Result};
use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};
use tweedie_kernels::ops;

/// The precision in which a network computes matrix products, convolutions and attention, in training and sampling.
///
/// Everything else is in single precision: parameters, optimizer, averages, norms, softmax, losses, samplers. Operands
/// of a product are rounded to the format where it is computed, and so are its result and its gradients
/// ([`ops::autocast`]). The layers of a network of your own are concerned if they use [`ops`]. The same seed does not
/// give the same bits in another precision.
///
/// ```
/// use tweedie::{
///     Precision, Rng, condition::Conditions, model::Model, net::MlpConfig, noise::Gaussian, sample::Ddim,
///     schedule::Cosine,
/// };
/// let net = MlpConfig::new(2).init(&Rng::new(0), &Default::default())?;
/// let model = Model::new(Gaussian::new(Cosine::new(1000)), net)?.with_precision(Precision::Bf16);
/// let x = model.sample(&Ddim { eta: 0.0 }, 10, [4, 2], &Conditions::none(), &Rng::new(1))?;
/// # Ok::<(), tweedie::Error>(())
/// ```
///
/// Micikevicius et al., "Mixed Precision Training" (2018), <https://arxiv.org/abs/1710.03740>; Kalamkar et al., "A Study
/// of BFLOAT16 for Deep Learning Training" (2019), <https://arxiv.org/abs/1905.12322>.
#[doc(alias("mixed_precision", "amp", "autocast", "half", "torch_dtype"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision, 24 significant bits.
    #[default]
    #[doc(alias = "float32")]
    F32,
    /// bfloat16: 8 significant bits, the range of single precision.
    #[doc(alias = "bfloat16")]
    Bf16,
    /// IEEE 754 binary16: 11 significant bits, from 6·10⁻⁸ to 65504.
    #[doc(alias("float16", "fp16"))]
    F16,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The type of the operands of products.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// Computes `f` with products in this precision, on this thread.
    pub fn scope<R>(self, f: impl FnOnce() -> R) -> R {
        ops::autocast(self.dtype(), f)
    }

    /// Checks that a device has it. Training and sampling ask before the first step.
    ///
    /// # Errors
    ///
    /// If it has not, with those that it has.
    pub fn check(self, device: &Device) -> Result<()> {
        self.check_among(|precision| device.supports_dtype(precision.dtype()))
    }

    fn check_among(self, has: impl Fn(Self) -> bool) -> Result<()> {
        if self == Self::F32 || has(self) {
            return Ok(());
        }
        let known: Vec<String> = Self::ALL
            .into_iter()
            .filter(|other| *other == Self::F32 || has(*other))
            .map(|other| format!("\"{}\"", other.name()))
            .collect();
        let problem = format!(
            "must be {} on this device, which does not compute in {name}, got \"{name}\"",
            known.join(" or "),
            name = self.name()
        );
        Err(Error::invalid(problem)
            .with_field("precision")
            .with_remedy("leave it out for single precision, or use another device"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_the_type_is_refused_with_what_it_has() {
        let without = |missing: Precision| move |precision| precision != missing;
        let error = Precision::Bf16.check_among(without(Precision::Bf16)).unwrap_err().to_string();
        assert_eq!(
            error,
            "`precision` must be \"f32\" or \"f16\" on this device, which does not compute in bf16, got \"bf16\"; \
             leave it out for single precision, or use another device"
        );
        let error = Precision::F16.check_among(|_| false).unwrap_err().to_string();
        assert!(error.starts_with("`precision` must be \"f32\" on this device"), "{error}");
        for precision in Precision::ALL {
            precision.check(&Device::flex()).unwrap();
            precision.check(&Device::flex().autodiff()).unwrap();
            assert_eq!(serde_json::to_string(&precision).unwrap(), format!("\"{}\"", precision.name()));
        }
        Precision::F16.check_among(without(Precision::Bf16)).unwrap();
    }
}

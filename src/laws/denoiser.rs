//! Laws of denoisers and of guidance.
use super::{Check, Checks};
use crate::{
    denoise::Denoiser,
    distribution::host,
    noise::{Estimate, Noise},
};
use burn::tensor::{DType, Tensor, activation::softmax};

const TIMES: [f64; 3] = [0.2, 0.5, 0.8];

/// Denoisers, on noisy data `z` of two rows or more: x̂ is finite and does not depend on the other rows, probabilities sum to one, and
/// the network output that an estimate carries is the one its mean follows from.
///
/// A wrapper that changes the mean and keeps the output breaks the last law: [`Estimate::with_mean`] drops it.
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, denoise::Clamped, laws};
/// let model = Clamped { model: laws::problem(tweedie::schedule::FlowMatching {}), low: -1.0, high: 1.0 };
/// let z = Rng::new(0).normal_tensor([8, 2], &Device::flex(), DType::F64);
/// for check in laws::denoiser::<2>(&model, &z) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn denoiser<const D: usize>(model: &dyn Denoiser<D>, z: &Tensor<D>) -> Vec<Check> {
    let mut checks = Checks::default();
    let noise = model.noise();
    for t in TIMES {
        let place = format!("t = {t}");
        let Estimate { mean, output, .. } = model.denoise(z.clone(), &[t]);
        let wrong = host(mean.clone()).iter().filter(|x| !x.is_finite()).count();
        checks.note("x̂ is finite", &place, wrong as f64, 0.0);
        let alone = model.denoise(z.clone().narrow(0, 1, 1), &[t]).mean;
        checks.note("a row's x̂ is its own", &place, gap(&alone, &mean.clone().narrow(0, 1, 1)), rounding(z));
        if noise.categorical() {
            let total = mean.clone().sum_dim(D - 1);
            checks.note("probabilities sum to one", &place, gap(&total, &total.ones_like()), rounding(z));
        }
        if let Some(output) = output {
            let read = noise.estimate(output, z.clone(), &[t]).mean;
            checks.note("x̂ follows from the output it carries", &place, gap(&read, &mean), rounding(z));
        }
    }
    checks.done()
}

/// Guidance, made by `guide` of a strong and a weak denoiser and a scale, on noisy data `z`: it composes the denoised estimates,
///
/// ```text
/// x̂ = x̂_weak + scale (x̂_strong − x̂_weak)                         continuous data
/// ln p(x | x_t) = ln p_weak + scale (ln p_strong − ln p_weak) + c   logits of categories
/// ```
///
/// also if wrappers have changed them, and leaves a learned variance to the strong denoiser. Of score-entropy predictions the
/// log-ratios are composed, and the denoisers must predict ratios that belong to some p(x | x_t).
///
/// ```
/// use burn::tensor::{DType, Device};
/// use tweedie::{Rng, denoise::{Denoiser, Guided}, laws, schedule::FlowMatching};
/// let (strong, weak) = (laws::problem(FlowMatching {}), laws::problem(FlowMatching {}));
/// let z = Rng::new(0).normal_tensor([8, 2], &Device::flex(), DType::F64);
/// for check in laws::guidance::<2>(|strong, weak, scale| Box::new(Guided { strong, weak, scale }), &strong, &weak, &z) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn guidance<const D: usize>(
    guide: impl for<'a> Fn(&'a dyn Denoiser<D>, &'a dyn Denoiser<D>, f64) -> Box<dyn Denoiser<D> + 'a>,
    strong: &dyn Denoiser<D>,
    weak: &dyn Denoiser<D>,
    z: &Tensor<D>,
) -> Vec<Check> {
    let mut checks = Checks::default();
    let noise = strong.noise();
    let (changed_strong, changed_weak) = (Changed(strong), Changed(weak));
    let pairs: [(&str, &dyn Denoiser<D>, &dyn Denoiser<D>); 3] = [
        ("", strong, weak),
        (", both changed", &changed_strong, &changed_weak),
        (", one changed", &changed_strong, weak),
    ];
    for t in TIMES {
        for (how, strong, weak) in pairs {
            let [high, low] = [strong, weak].map(|model| model.denoise(z.clone(), &[t]));
            for scale in [0.0, 0.5, 1.0, 3.0] {
                let guided = guide(strong, weak, scale).denoise(z.clone(), &[t]);
                let place = format!("t = {t}, scale = {scale}{how}");
                let compose = |weak: Tensor<D>, strong: Tensor<D>| weak.clone() + (strong - weak) * scale;
                let expected = if noise.takes_probabilities() {
                    let log = |of: &Estimate<D>| of.mean.clone().clamp_min(1e-30).log();
                    softmax(compose(log(&low), log(&high)), D - 1)
                } else if noise.categorical() {
                    let logits = |of: &Estimate<D>| noise.target(of.mean.clone(), z.clone(), &[t]);
                    noise.estimate(compose(logits(&low), logits(&high)), z.clone(), &[t]).mean
                } else {
                    compose(low.mean.clone(), high.mean.clone())
                };
                checks.note("guidance composes denoised estimates", &place, gap(&guided.mean, &expected), rounding(z));
                let variance = match (&guided.variance, &high.variance) {
                    (Some(own), Some(other)) => gap(own, other),
                    (None, None) => 0.0,
                    _ => f64::NAN,
                };
                checks.note("guidance leaves the variance to the strong denoiser", &place, variance, rounding(z));
            }
        }
    }
    checks.done()
}

/// A denoiser that changes the mean: a contraction of continuous data, a temperature of ½ of categories.
struct Changed<'a, const D: usize>(&'a dyn Denoiser<D>);
impl<const D: usize> Denoiser<D> for Changed<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.0.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let estimate = self.0.denoise(z, t);
        let mean = estimate.mean.clone();
        estimate.with_mean(if self.noise().categorical() {
            let square = mean.square();
            square.clone() / square.sum_dim(D - 1)
        } else {
            mean * 0.5 + 0.3
        })
    }
}

fn gap<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> f64 {
    host((a.clone() - b.clone()).abs() / (b.clone().abs() + 1.0))
        .into_iter()
        .fold(0.0, |most, gap| if gap.is_nan() { gap } else { gap.max(most) })
}

fn rounding<const D: usize>(z: &Tensor<D>) -> f64 {
    if z.dtype() == DType::F64 { 1e-9 } else { 1e-3 }
}

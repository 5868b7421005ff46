//! Laws of weights over noise levels.
use super::{Check, Checks};
use crate::{
    distribution::host,
    loss::{Batch, ErrorOf, HuberConstant, Loss, Penalty, Regression, Space, Weight},
    noise::{Gaussian, Noise, Prediction},
    rng::Rng,
    schedule::Schedule,
};
use burn::tensor::{DType, Device, Tensor};
use std::sync::Arc;

/// The times of the laws: both ends are approached, as training approaches them.
const TIMES: [f64; 11] = [1e-3, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999];
/// An error this much larger than rounding would be one of the mathematics.
const ALLOWED: f64 = 1e-10;

/// Checks a weight on a schedule: it is finite and not negative; and it is one weight on ‖x̂ − x‖², whatever the network predicts and
/// wherever the error is measured: networks of every prediction type that make the same x̂ have the same squared loss in every
/// [`Space`], `w mean (x̂ − x)²`, and the same absolute loss, `√w mean |x̂ − x|`; and penalties that are squares where errors are small
/// have it there.
///
/// ```
/// use std::sync::Arc;
/// use tweedie::{laws, loss::weight::MinSnr, schedule::Cosine};
/// for check in laws::weight(Arc::new(MinSnr::default()), Arc::new(Cosine::new(1000))) {
///     assert!(check.holds(), "{check}");
/// }
/// ```
pub fn weight(weight: Arc<dyn Weight>, schedule: Arc<dyn Schedule>) -> Vec<Check> {
    let mut checks = Checks::default();
    for i in 0..200 {
        let c = schedule.at((f64::from(i) + 0.5) / 200.0);
        let (place, w) = (format!("λ = {:.3}", c.log_snr()), weight.weight(c));
        checks.note("the weight is finite between the ends", &place, f64::from(u8::from(!w.is_finite())), 0.0);
        checks.note("the weight is not negative", &place, (-w).max(0.0) + if w.is_nan() { w } else { 0.0 }, 0.0);
    }
    let rows = TIMES.len();
    let normals = |purpose: &str| -> Tensor<2> {
        Rng::new(0).stream(purpose).normal_tensor([rows, 4], &Device::flex(), DType::F64)
    };
    let (x, error, eps) = (normals("data"), normals("error"), normals("noise"));
    for prediction in Prediction::ALL {
        let noise = Gaussian::new(schedule.clone()).with_prediction(prediction).with_data_std(0.5);
        let usable = Noise::<2>::check(&noise).is_ok();
        if !usable {
            continue;
        }
        let [alpha, sigma] = crate::noise::lift(&x, &TIMES, |_, t| [schedule.at(t).alpha, schedule.at(t).sigma]);
        let z = x.clone() * alpha + eps.clone() * sigma;
        // The mean over a row of ρ(x̂ − x), and the loss of a network that makes this x̂.
        let compare = |loss: Regression, expected: &dyn Fn(f64, f64) -> f64| {
            let output = noise.target(x.clone() + error.clone(), z.clone(), &TIMES);
            let batch = Batch::new(&noise, x.clone(), z.clone(), Some(eps.clone()), &TIMES, output, &(), &());
            let found = host(Loss::<2>::compute(&loss, &batch));
            let errors = host(error.clone());
            let gaps = found.into_iter().zip(TIMES).enumerate().map(|(i, (found, t))| {
                let w = weight.weight(schedule.at(t));
                let row = &errors[4 * i..4 * i + 4];
                let expected = row.iter().map(|error| expected(w, *error)).sum::<f64>() / 4.0;
                (t, (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE))
            });
            gaps.collect::<Vec<_>>()
        };
        for space in [Space::Prediction].into_iter().chain(Prediction::ALL.map(Space::from)) {
            let make = |penalty| Regression::new(penalty).in_space(space).with_weight(weight.clone());
            if Loss::<2>::check(&make(Penalty::Squared), &noise).is_err() {
                continue;
            }
            let place = |t: f64| format!("t = {t}, the network predicts {prediction}, space {space:?}").to_lowercase();
            for (t, gap) in compare(make(Penalty::Squared), &|w, e| w * e * e) {
                checks.note("one weight on ‖x̂ − x‖², whatever is predicted", place(t), gap, rounding(&*schedule, t));
            }
            // Of constants that no error reaches.
            let large = Penalty::PseudoHuber { c: 1e18, of: ErrorOf::Entry, constant: HuberConstant::Fixed };
            for penalty in [Penalty::Huber { delta: 1e18 }, large] {
                for (t, gap) in compare(make(penalty), &|w, e| w * e * e) {
                    checks.note(
                        "robust penalties have the weight on small errors",
                        place(t),
                        gap,
                        rounding(&*schedule, t),
                    );
                }
            }
            for (t, gap) in compare(make(Penalty::Absolute), &|w, e| w.sqrt() * e.abs()) {
                checks.note("one weight on |x̂ − x|, whatever is predicted", place(t), gap, rounding(&*schedule, t));
            }
        }
    }
    checks.done()
}

/// The relative rounding of an error of x̂ that is read off two predictions, of which α/σ or σ/α of the rest has to cancel.
fn rounding(schedule: &dyn Schedule, t: f64) -> f64 {
    let level = schedule.at(t).sigma / schedule.at(t).alpha;
    ALLOWED.max(1e-13 * (level + level.recip()))
}

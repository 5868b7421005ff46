//! Which entry is unmasked, and with which category: probabilities of single choices of the samplers of categories.
use crate::common::{device, gap, numbers};
use burn::tensor::{DType, Tensor, TensorData};
use tweedie::{
    Rng,
    denoise::{Denoiser, Restricted},
    exact::Joint,
    laws, likelihood,
    loss::MaskedNelbo,
    noise::{Discrete, DiscretePrediction, Estimate, Noise},
    sample::*,
    schedule::{FlowMatching, Survival},
};

const MASK: usize = 3;
fn absorbing() -> Discrete {
    Discrete::absorbing(FlowMatching {}, 4, MASK)
}
fn tensor(values: Vec<f64>, shape: [usize; 3]) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}
/// p(x | z) given by hand, the same whatever z.
struct Given(Discrete, Tensor<3>);
impl Denoiser<3> for Given {
    fn noise(&self) -> &dyn Noise<3> {
        &self.0
    }
    fn denoise(&self, z: Tensor<3>, _: &[f64]) -> Estimate<3> {
        let [rows, length, _] = z.dims();
        self.1.clone().expand([rows, length, 4]).into()
    }
}
/// Steps masks of `rows` rows once; the category indices.
fn stepped(
    model: &dyn Denoiser<3>,
    sampler: &dyn Sampler<3>,
    (t, s): (f64, f64),
    rows: usize,
    length: usize,
) -> Vec<usize> {
    let z = tensor(vec![MASK as f64; rows * length], [rows, length, 1]);
    let at = TimeStep::new(t, s);
    numbers(sampler.step(model, z, at, &mut Rng::new(4))).into_iter().map(|x| x as usize).collect()
}
/// The share of rows in which each position is not a mask.
fn shown(entries: &[usize], length: usize) -> Vec<f64> {
    let rows = entries.len() / length;
    (0..length)
        .map(|l| (0..rows).filter(|row| entries[row * length + l] != MASK).count() as f64 / rows as f64)
        .collect()
}

/// With Gumbel noise of temperature T the first entry is i with probability `p_i^(1/T)/Σ p^(1/T)`, uniformly if the order is random.
#[test]
fn the_first_unmasked_entry_has_the_probability_of_gumbel_noise() {
    // Margins of two categories differ between positions and not between samples.
    let margins = [0.8, 0.4, 0.0];
    let probs: Vec<f64> = margins.iter().flat_map(|m| [0.5 + 0.5 * m, 0.5 - 0.5 * m, 0.0, 0.0]).collect();
    let model = Given(absorbing(), tensor(probs, [1, 3, 4]));
    let n = 20_000;
    // Of three masks at t = 1 two are left at s = 2/3; the noise is T s.
    let s = 2.0 / 3.0;
    for temperature in [0.0, 0.6, 1.5] {
        let ordered = Ordered { by: UnmaskingOrder::Margin, temperature };
        let own = shown(&stepped(&model, &ordered, (1.0, s), n, 3), 3);
        let weights =
            margins.map(|m: f64| if temperature == 0.0 { f64::from(m == 0.8) } else { (m / (temperature * s)).exp() });
        let total: f64 = weights.iter().sum();
        for (own, weight) in own.iter().zip(weights) {
            let wanted = weight / total;
            let chance = 5.0 * (wanted * (1.0 - wanted) / n as f64).sqrt();
            assert!((own - wanted).abs() <= chance, "T = {temperature}: {own} for {wanted}");
        }
    }
    let random = Ordered { by: UnmaskingOrder::Random, temperature: 0.0 };
    let first_hitting = stepped(&model, &FirstHitting {}, (1.0, 0.9), n, 3);
    for (name, own, wanted) in [
        ("random", shown(&stepped(&model, &random, (1.0, s), n, 3), 3), 1.0 / 3.0),
        ("first hitting", shown(&first_hitting, 3), 0.1),
        ("ancestral", shown(&stepped(&model, &Ancestral {}, (1.0, 0.9), n, 3), 3), 0.1),
        ("analytic", shown(&stepped(&model, &Analytic {}, (0.8, 0.6), n, 3), 3), 0.25),
        ("tau-leaping", shown(&stepped(&model, &TauLeaping {}, (0.8, 0.6), n, 3), 3), 1.0 - (-0.25_f64).exp()),
    ] {
        for own in own {
            let chance = 5.0 * (wanted * (1.0 - wanted) / n as f64).sqrt();
            assert!((own - wanted).abs() <= chance, "{name}: {own} for {wanted}");
        }
    }
}

/// Remasking at the largest σ_t of the source, `min(1, (1 − ᾱ_s)/ᾱ_t)`, is the chain that forgets x_t: all is drawn anew.
#[test]
fn remasking_is_at_most_certain() {
    let model = Given(absorbing(), tensor(vec![0.2, 0.3, 0.5, 0.0], [1, 1, 4]));
    let sampler = Remasking { rule: Remask::Rescale, eta: 1.0, ..Remasking::default() };
    let n = 20_000;
    for (t, s) in [(0.9, 0.8), (0.5, 0.4), (0.3, 0.2)] {
        // From the marginal at t, the marginal at s.
        let values: Vec<f64> = (0..n).map(|i| if (i as f64) < t * n as f64 { MASK as f64 } else { 1.0 }).collect();
        let z = tensor(values, [n, 1, 1]);
        let own = numbers(sampler.step(&model, z, TimeStep::new(t, s), &mut Rng::new(4)));
        let masks = own.iter().filter(|x| **x == MASK as f64).count() as f64 / n as f64;
        assert!((masks - s).abs() < 5.0 * (s * (1.0 - s) / n as f64).sqrt(), "from {t} to {s}: {masks}");
        // Of what was shown, the share masked again: (1 − ᾱ_s)/ᾱ_t, at most 1.
        let again = own[(t * n as f64) as usize..].iter().filter(|x| **x == MASK as f64).count() as f64;
        let (shown, wanted) = ((1.0 - t) * n as f64, (s / (1.0 - t)).min(1.0));
        let chance = 5.0 * (wanted * (1.0 - wanted) / shown).sqrt() + 1e-3;
        assert!((again / shown - wanted).abs() < chance, "from {t} to {s}: {} for {wanted}", again / shown);
    }
}

/// A network may give the mask a probability; samples never have it.
#[test]
fn the_mask_is_never_sampled() {
    let noise = absorbing().with_prediction(DiscretePrediction::Logits);
    let model = Given(noise, tensor(vec![0.1, 0.2, 0.1, 0.6], [1, 1, 4]));
    let own = stepped(&model, &Analytic {}, (0.5, 0.0), 4000, 1);
    for (category, wanted) in [0.25, 0.5, 0.25, 0.0].into_iter().enumerate() {
        let share = own.iter().filter(|x| **x == category).count() as f64 / 4000.0;
        assert!((share - wanted).abs() <= 5.0 * (wanted * (1.0 - wanted) / 4000.0_f64).sqrt(), "{category}: {share}");
    }
    let only_mask = Given(absorbing(), tensor(vec![0.0, 0.0, 0.0, 1.0], [1, 1, 4]));
    assert!(stepped(&only_mask, &Analytic {}, (0.5, 0.0), 500, 1).into_iter().all(|x| x != MASK));
}

/// Restricted estimates are probabilities: those of the model without what is not allowed, or all that is allowed alike.
#[test]
fn restricted_estimates_are_normalized() {
    let model = Given(absorbing(), tensor(vec![0.1, 0.2, 0.7, 0.0], [1, 1, 4]));
    let z = tensor(vec![MASK as f64; 2], [2, 1, 1]);
    for (allowed, wanted) in
        [([1.0, 1.0, 0.0, 1.0], [1.0 / 3.0, 2.0 / 3.0, 0.0, 0.0]), ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0])]
    {
        let restricted = Restricted::new(&model, tensor(allowed.to_vec(), [1, 1, 4]));
        let own = restricted.denoise(z.clone(), &[0.5]).mean;
        assert!(gap(own, tensor([wanted; 2].concat(), [2, 1, 4])) < 1e-12, "{allowed:?}");
        crate::common::all_hold("restricted", laws::denoiser::<3>(&restricted, &z));
    }
    let nothing = Given(absorbing(), tensor(vec![1.0, 0.0, 0.0, 0.0], [1, 1, 4]));
    let own = Restricted::new(&nothing, tensor(vec![0.0, 1.0, 1.0, 1.0], [1, 1, 4])).denoise(z, &[0.5]).mean;
    assert!(gap(own, tensor([[0.0, 0.5, 0.5, 0.0]; 2].concat(), [2, 1, 4])) < 1e-12);
}

/// What two distributions exclude together leaves the first: a category at z that p gives no probability.
#[test]
fn a_step_back_from_what_cannot_be_stays_where_it_is() {
    let noise = absorbing();
    // z is category 1, and the estimate is certain of 0, from which 1 cannot come.
    let z = tensor(vec![1.0], [1, 1, 1]);
    let x = tensor(vec![1.0, 0.0, 0.0, 0.0], [1, 1, 4]);
    let back = noise.posterior(x, z, &[0.3], &[0.6]).mean();
    assert!(gap(back.clone(), tensor(vec![0.0, 1.0, 0.0, 0.0], [1, 1, 4])) < 1e-12, "{back}");
}

/// ᾱ from `first` to `last`.
#[derive(Debug)]
struct Line(f64, f64);
impl Survival for Line {
    fn survival(&self, t: tweedie::Dual) -> tweedie::Dual {
        t * (self.1 - self.0) + self.0
    }
}

/// Of one token the bound in continuous time is −ln p, also where ᾱ(0) < 1 or ᾱ(1) > 0: the terms at both ends.
#[test]
fn the_bound_of_one_token_is_exact_with_both_ends() {
    let weights = [0.7, 0.2, 0.1];
    for (first, last) in [(1.0, 0.0), (0.8, 0.0), (1.0, 0.3), (0.7, 0.2)] {
        let data = (0..3).map(|x| (vec![x], weights[x])).collect();
        let model = Joint::new(Discrete::absorbing(Line(first, last), 4, MASK), data).unwrap();
        for (x, p) in weights.into_iter().enumerate() {
            let rows = 4000;
            let x = tensor(vec![x as f64; rows], [rows, 1, 1]);
            let own = likelihood::bound(&model, &MaskedNelbo {}, x, 4, &Rng::new(2)).unwrap();
            let (off, error) = ((own.nats() + p.ln()).abs(), own.standard_error());
            assert!(off < 4.5 * error + 1e-9, "ᾱ from {first} to {last}: {} ± {error} for {}", own.nats(), -p.ln());
            assert!((own.bits_error() - error / std::f64::consts::LN_2).abs() < 1e-12);
        }
    }
}

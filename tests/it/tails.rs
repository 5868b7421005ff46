//! Divergences, likelihoods and losses where a probability is 0, or too small for a float.
use crate::common::numbers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use tweedie::{
    Rng,
    distribution::{Categorical, Distribution, Normal},
    loss::{Batch, Loss, MaskedNelbo, ScoreEntropy},
    noise::{Chain, Discrete, Noise},
    schedule::FlowMatching,
};

fn row<const N: usize>(values: [f64; N], dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, N]), (&Device::flex(), dtype))
}

#[test]
fn divergences_of_categories_are_not_negative_and_may_be_infinite() {
    for dtype in [DType::F32, DType::F64] {
        let law = |values: [f64; 4]| Categorical::trusted(row(values, dtype));
        let mut uneven = Rng::new(4).uniforms(1, 4000);
        for p in uneven.chunks_mut(4) {
            let total: f64 = p.iter().sum();
            p.iter_mut().for_each(|p| *p /= total);
            let p: [f64; 4] = p.try_into().unwrap();
            let shift = 1e-7 * p[0];
            let q = [p[0] - shift, p[1] + shift, p[2], p[3]];
            for (a, b) in [(p, q), (q, p), (p, p)] {
                let kl = numbers(law(a).kl(&law(b)))[0];
                assert!((0.0..1e-6).contains(&kl), "{dtype:?}: {kl:e}");
            }
        }
        let (some, all) = (law([0.5, 0.5, 0.0, 0.0]), law([0.25; 4]));
        assert!((numbers(some.kl(&all))[0] - 2f64.ln()).abs() < 1e-6);
        assert_eq!(numbers(all.kl(&some)), [f64::INFINITY]);
        assert_eq!(numbers(some.nll(row([0.0, 0.0, 1.0, 0.0], dtype))), [f64::INFINITY]);
        let one = Categorical::new(row([1.0], dtype)).unwrap();
        assert_eq!((numbers(one.kl(&one)), numbers(one.sample(&mut Rng::new(0)).value)), (vec![0.0], vec![1.0]));
    }
    // 1e-100 is a probability in double precision.
    let p = Categorical::trusted(row([0.5, 0.5], DType::F64));
    let q = Categorical::trusted(row([1e-100, 1.0], DType::F64));
    let wanted = 0.5 * (0.5f64.ln() + 100.0 * 10f64.ln()) + 0.5 * 0.5f64.ln();
    assert!((numbers(p.kl(&q))[0] - wanted).abs() < 1e-12);
    assert!(Categorical::new(Tensor::<2>::zeros([2, 0], &Device::flex())).is_err());
    assert!(Categorical::new(row([f64::NAN, 1.0], DType::F32)).is_err());
    let normal = |mean, std| Normal::new(row([mean], DType::F32), row([std], DType::F32)).unwrap();
    let kl = |p: &Normal<2>, q: &Normal<2>| numbers(p.kl(q))[0];
    let (point, other, wide) = (normal(0.3, 0.0), normal(0.4, 0.0), normal(0.3, 1.0));
    assert_eq!((kl(&point, &point), kl(&point, &other)), (0.0, f64::INFINITY));
    assert_eq!((kl(&point, &wide), kl(&wide, &point)), (f64::INFINITY, f64::INFINITY));
    assert_eq!(numbers(point.nll(row([0.3], DType::F32))), [f64::NEG_INFINITY]);
    assert_eq!(numbers(point.nll(row([0.5], DType::F32))), [f64::INFINITY]);
    for i in 0..1000 {
        let std = 0.5 + f64::from(i) * 1e-3;
        assert!(kl(&normal(0.1, std), &normal(0.1, std * (1.0 + 3e-7))) >= 0.0, "{std}");
    }
}

/// −ln of the mass of a bin, by quadrature relative to the density at its nearer bound.
#[test]
fn bins_far_in_the_tails_have_their_likelihood_and_its_slope() {
    let mass = |low: f64, high: f64| {
        let (a, b) = (low.abs().min(high.abs()), low.abs().max(high.abs()).min(low.abs().min(high.abs()) + 60.0));
        let n = 200_000;
        let at = |i: usize| a + (b - a) * (i as f64 + 0.5) / n as f64;
        let sum: f64 = (0..n).map(|i| (-0.5 * (at(i) - a) * (at(i) + a)).exp()).sum::<f64>() * (b - a) / n as f64;
        0.5 * a * a + 0.5 * std::f64::consts::TAU.ln() - sum.ln()
    };
    let half = 1.0 / 255.0;
    for (dtype, allowed) in [(DType::F32, 2e-4), (DType::F64, 1e-6)] {
        for std in [0.4, 0.1, 0.02, 0.003] {
            for (mean, x) in [(0.9, -0.7), (-0.9, 0.6), (0.2, 0.2 + 8.0 * std), (0.99, -1.0), (-0.99, 1.0), (-1.0, 1.0)]
            {
                let x = ((x + 1.0) * 127.5_f64).round().min(255.0) / 127.5 - 1.0;
                let low = if x <= -1.0 { f64::NEG_INFINITY } else { (x - half - mean) / std };
                let high = if x >= 1.0 { f64::INFINITY } else { (x + half - mean) / std };
                if low < 0.0 && high > 0.0 || low.abs().min(high.abs()) < 2.0 {
                    continue;
                }
                let law = Normal::new(row([mean], dtype), row([std], dtype)).unwrap();
                let own = numbers(law.discretized_nll(row([x], dtype), half))[0];
                let wanted = mass(low, high);
                assert!(
                    (own / wanted - 1.0).abs() < allowed,
                    "{dtype:?}, N({mean}, {std}²) at {x}: {own} for {wanted}"
                );
            }
        }
        // A narrow bin near the mean, whose mass is small because the normal is wide.
        let law = Normal::new(row([0.0], dtype), row([1e12], dtype)).unwrap();
        let wanted = 0.5 * std::f64::consts::TAU.ln() - (2.0 * half / 1e12).ln();
        assert!((numbers(law.discretized_nll(row([0.0], dtype), half))[0] / wanted - 1.0).abs() < 1e-5);
    }
    let mean = Tensor::from_inner(row([0.9], DType::F32)).require_grad();
    let std = Tensor::from_inner(row([0.02], DType::F32));
    let x = Tensor::from_inner(row([-0.7], DType::F32));
    let nll = Normal::trusted(mean.clone(), std).discretized_nll(x, half);
    let slope = numbers(mean.grad(&nll.sum().backward()).unwrap())[0];
    // d/dm ½((m − x)/σ)² = (m − x)/σ², less half a bin.
    assert!((slope / (1.6 / 0.02 / 0.02) - 1.0).abs() < 0.01, "{slope}");
}

/// A network that is wrong by 400 nats: the loss says so, and its slope corrects it.
#[test]
fn score_entropy_has_a_slope_however_wrong_a_network_is() {
    let (k, t) = (4, [0.5]);
    let noises = [
        Discrete::absorbing(FlowMatching {}, k, 3),
        Discrete::marginal(FlowMatching {}, vec![0.6, 0.4, 0.0, 0.0]).unwrap(),
    ];
    for noise in &noises {
        let noise: &dyn Noise<2> = noise;
        let (x, z) = (
            row([2.0], DType::F32),
            row([if noise.categories().unwrap().mask.is_some() { 3.0 } else { 0.0 }], DType::F32),
        );
        let loss = |logit: f64| {
            let output = Tensor::from_inner(row([400.0, 0.0, 400.0 - logit, -5.0], DType::F32)).require_grad();
            let up = |x: &Tensor<2>| Tensor::from_inner(x.clone());
            let batch = Batch::new(noise, up(&x), up(&z), None, &t, output.clone(), &(), &());
            let value = ScoreEntropy {}.compute(&batch).sum();
            let nelbo = noise.categories().unwrap().mask.map(|_| numbers(MaskedNelbo {}.compute(&batch))[0]);
            let slope = numbers(output.grad(&value.clone().backward()).unwrap())[2];
            (numbers(value)[0], slope, nelbo)
        };
        for wrong in [10.0, 60.0, 100.0, 400.0] {
            let ((own, slope, nelbo), (more, ..)) = (loss(wrong), loss(wrong + 1.0));
            assert!(slope < -0.1 && slope.is_finite(), "{noise:?}, wrong by {wrong}: slope {slope}");
            assert!((more - own + slope).abs() < 2e-2 * slope.abs(), "{noise:?}: {own}, {more}, slope {slope}");
            if let Some(nelbo) = nelbo {
                assert!((own / nelbo - 1.0).abs() < 1e-4, "{own} and {nelbo}");
            }
        }
    }
    // Where nothing underflows the logarithms are those of the ratios.
    let uniform = Discrete::uniform(FlowMatching {}, k);
    for noise in noises.iter().chain([&uniform]) {
        let output = row([0.3, -1.0, 2.0, 0.5], DType::F64);
        for z in 0..k {
            let z = row([z as f64], DType::F64);
            let probs = noise.estimate(output.clone(), z.clone(), &t).mean;
            let (logs, ratios) = (noise.log_ratios(output.clone(), z.clone(), &t), noise.ratios(probs, z.clone(), &t));
            let rates = numbers(noise.rates(z, &t));
            for ((log, ratio), _) in
                numbers(logs).into_iter().zip(numbers(ratios)).zip(rates).filter(|(_, rate)| *rate > 0.0)
            {
                assert!((log.exp() - ratio).abs() < 1e-9 * (1.0 + ratio), "{noise:?}: {log} and {ratio}");
            }
        }
    }
}

//! Noises, losses and likelihoods of categories, against enumeration.
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;
use tweedie::{
    denoise::Denoiser,
    exact::Joint,
    laws::{self, Check},
    noise::{Discrete, Noise, Reverse, Word},
    schedule::{Cosine, FlowMatching, Linear, Schedule, VariancePreserving},
};

fn device() -> Device {
    Device::flex()
}
fn all_hold(name: &str, checks: Vec<Check>) {
    assert!(checks.len() > 5, "{name}: too few laws were measured");
    for check in checks {
        assert!(check.holds(), "{name}: {check}");
    }
}
/// Category numbers `[rows, length, 1]` in double precision.
fn numbers(rows: &[Vec<usize>]) -> Tensor<3> {
    let values: Vec<f64> = rows.iter().flatten().map(|x| *x as f64).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len(), 1]), (&device(), DType::F64))
}
fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.try_into_vec_as().unwrap()
}
/// Every sequence of `length` categories below k.
fn sequences(length: usize, k: usize) -> Vec<Vec<usize>> {
    (0..k.pow(length as u32)).map(|i| (0..length).map(|l| i / k.pow(l as u32) % k).collect()).collect()
}
/// An uneven law on sequences of `length` categories below k, under a noise.
fn joint(noise: impl Noise<3> + 'static, length: usize, k: usize) -> Joint {
    let weight =
        |x: &Vec<usize>| 0.05 + x.iter().enumerate().map(|(i, x)| (i + 1) * x).sum::<usize>().pow(2) as f64 % 1.7;
    let data = sequences(length, k).into_iter().map(|x| (x.clone(), weight(&x)));
    Joint::new(noise, data.collect()).unwrap()
}

fn chains(schedule: Arc<dyn Schedule>) -> Vec<(String, Arc<dyn Noise<3>>)> {
    let marginal = || Discrete::marginal(schedule.clone(), vec![0.1, 0.2, 0.3, 0.4]).unwrap();
    let mut noises: Vec<(String, Arc<dyn Noise<3>>)> = vec![];
    for word in [Word::Logits, Word::Subs, Word::Score] {
        let made: [(&str, Discrete); 3] = [
            ("uniform", Discrete::uniform(schedule.clone(), 4)),
            ("absorbing", Discrete::absorbing(schedule.clone(), 4, 3)),
            ("marginal", marginal()),
        ];
        for (name, noise) in made {
            let noise = noise.predicting(word);
            if Noise::<3>::check(&noise).is_ok() {
                noises.push((format!("{name}, {word:?}"), Arc::new(noise)));
            }
        }
    }
    noises
}
fn schedules() -> Vec<(&'static str, Arc<dyn Schedule>)> {
    vec![
        ("linear", Arc::new(Linear::new(1000))),
        ("cosine", Arc::new(Cosine::new(50))),
        ("flow matching", Arc::new(FlowMatching {})),
        ("variance preserving", Arc::new(VariancePreserving::default())),
    ]
}

#[test]
fn chains_obey_their_laws_in_both_forms() {
    let x = numbers(&[vec![0, 1], vec![2, 2], vec![1, 0]]);
    for (name, schedule) in schedules() {
        for (noise, chain) in chains(schedule) {
            let name = format!("{noise}, {name}");
            all_hold(&name, laws::noise::<3>(&chain, &x));
            all_hold(&name, laws::noise::<3>(&chain, &tweedie::distribution::one_hot(x.clone(), 4)));
        }
    }
}

/// The conditionals of the joint are those of Bayes' rule over whole sequences, and its words are read back as them.
#[test]
fn a_joint_knows_every_conditional() {
    for (name, noise) in chains(Arc::new(VariancePreserving::default())) {
        let k = noise.categories().unwrap().mask.unwrap_or(4);
        let model = joint(noise.clone(), 2, k);
        for z in sequences(2, 4) {
            let t = 0.4;
            let mut guess = [[0.0; 4]; 2];
            for (x, p) in model.sequences() {
                let law = host(noise.prior(numbers(std::slice::from_ref(x)), &[t]).mean());
                let p = p * law[z[0]] * law[4 + z[1]];
                (0..2).for_each(|l| guess[l][x[l]] += p);
            }
            let total: f64 = guess[0].iter().sum();
            let z = numbers(&[z]);
            assert!((model.marginal(z.clone(), &[t])[0] - total).abs() < 1e-12);
            let read = noise.estimate(model.predict(z.clone(), &[t]), z, &[t]).mean;
            for (own, other) in host(read).into_iter().zip(guess.into_iter().flatten()) {
                assert!((own - other / total).abs() < 1e-9, "{name}: {own} and not {}", other / total);
            }
        }
    }
}

/// With the right guess the mixture is the step back of a single category itself, and the plug-in is not; under absorbing
/// noise both are.
#[test]
fn the_mixture_is_the_step_back_and_the_plug_in_is_not() {
    let (s, t) = (0.3, 0.6);
    let worst = |noise: Discrete| {
        let model = joint(noise.clone(), 1, 3);
        let chain = Noise::<3>::chain(&noise).unwrap();
        let mut worst = 0.0_f64;
        for z in 0..3 {
            let z = numbers(&[vec![z]]);
            let own = host(noise.approximate(model.denoise(z.clone(), &[t]), z.clone(), &[s], &[t]).mean());
            // p(x_s) q(x_t | x_s) over its sum.
            let marginal = (0..own.len()).map(|j| model.marginal(numbers(&[vec![j]]), &[s])[0]);
            let joint: Vec<f64> = marginal.zip(host(chain.onward(z, &[s], &[t]))).map(|(p, q)| p * q).collect();
            let total: f64 = joint.iter().sum();
            worst = own.iter().zip(&joint).fold(worst, |worst, (own, joint)| worst.max((own - joint / total).abs()));
        }
        worst
    };
    for (mixture, plug_in) in [
        (
            worst(Discrete::uniform(FlowMatching {}, 3)),
            worst(Discrete::uniform(FlowMatching {}, 3).reverse(Reverse::PlugIn)),
        ),
        {
            let marginal = || Discrete::marginal(FlowMatching {}, vec![0.2, 0.3, 0.5]).unwrap();
            (worst(marginal()), worst(marginal().reverse(Reverse::PlugIn)))
        },
    ] {
        assert!(mixture < 1e-12 && plug_in > 0.01, "mixture {mixture}, plug-in {plug_in}");
    }
    let absorbing = || Discrete::absorbing(FlowMatching {}, 4, 3);
    assert!(worst(absorbing()) < 1e-12 && worst(absorbing().reverse(Reverse::PlugIn)) < 1e-12);
}

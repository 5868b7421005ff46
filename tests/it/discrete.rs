//! Noises, losses and likelihoods of categories, against enumeration.
use crate::common::{device, numbers as host};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;
use tweedie::{
    Rng,
    denoise::Denoiser,
    exact::Joint,
    laws::{self, Check},
    likelihood::bound,
    loss::{Batch, CrossEntropy, Loss, MaskedNelbo, ScoreEntropy, Vlb, prior_term},
    noise::{Discrete, DiscreteMatrix, DiscretePrediction, Estimate, Noise, ReverseTransition},
    schedule::{
        Cosine, CosineMask, FlowMatching, Geometric, Linear, Listed, LogLinear, MutualInformation, Quantity, Survival,
        VariancePreserving,
    },
};

fn all_hold(name: &str, checks: Vec<Check>) {
    assert!(checks.len() > 5, "{name}: too few laws were measured");
    crate::common::all_hold(name, checks);
}
/// Category numbers `[rows, length, 1]` in double precision.
fn numbers(rows: &[Vec<usize>]) -> Tensor<3> {
    let values: Vec<f64> = rows.iter().flatten().map(|x| *x as f64).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len(), 1]), (&device(), DType::F64))
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

fn chains(schedule: Arc<dyn Survival>) -> Vec<(String, Arc<dyn Noise<3>>)> {
    let marginal = || Discrete::marginal(schedule.clone(), vec![0.1, 0.2, 0.3, 0.4]).unwrap();
    let mut noises: Vec<(String, Arc<dyn Noise<3>>)> = vec![];
    for word in [DiscretePrediction::Logits, DiscretePrediction::Subs, DiscretePrediction::Score] {
        let made: [(&str, Discrete); 3] = [
            ("uniform", Discrete::uniform(schedule.clone(), 4)),
            ("absorbing", Discrete::absorbing(schedule.clone(), 4, 3)),
            ("marginal", marginal()),
        ];
        for (name, noise) in made {
            let noise = noise.with_prediction(word);
            if Noise::<3>::check(&noise).is_ok() {
                noises.push((format!("{name}, {word:?}"), Arc::new(noise)));
            }
        }
    }
    noises
}
fn schedules() -> Vec<(&'static str, Arc<dyn Survival>)> {
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
            let read = noise.estimate(model.denoise(z.clone(), &[t]).into_output(&*noise, &z, &[t]), z, &[t]).mean;
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
            worst(Discrete::uniform(FlowMatching {}, 3).with_reverse(ReverseTransition::PlugIn)),
        ),
        {
            let marginal = || Discrete::marginal(FlowMatching {}, vec![0.2, 0.3, 0.5]).unwrap();
            (worst(marginal()), worst(marginal().with_reverse(ReverseTransition::PlugIn)))
        },
    ] {
        assert!(mixture < 1e-12 && plug_in > 0.01, "mixture {mixture}, plug-in {plug_in}");
    }
    let absorbing = || Discrete::absorbing(FlowMatching {}, 4, 3);
    assert!(worst(absorbing()) < 1e-12 && worst(absorbing().with_reverse(ReverseTransition::PlugIn)) < 1e-12);
}

/// Nodes and weights of Gauss and Legendre on (0, 1).
fn gauss(n: usize) -> Vec<(f64, f64)> {
    (0..n)
        .map(|i| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut before, mut p) = (1.0, x);
                for j in 2..=n {
                    (before, p) = (p, ((2 * j - 1) as f64 * x * p - (j - 1) as f64 * before) / j as f64);
                }
                slope = n as f64 * (x * p - before) / (x * x - 1.0);
                x -= p / slope;
            }
            (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// E over x_t of a loss, for data `x` at time t, by enumeration of x_t; in nats, of all dimensions.
fn expected(model: &dyn Denoiser<3>, loss: &dyn Loss<3>, x: &[usize], t: f64) -> f64 {
    let (noise, k) = (model.noise(), model.noise().categories().unwrap().k);
    let law = host(noise.prior(numbers(&[x.to_vec()]), &[t]).mean());
    let all: Vec<(Vec<usize>, f64)> = sequences(x.len(), k)
        .into_iter()
        .map(|z| (z.clone(), z.iter().enumerate().map(|(l, z)| law[l * k + z]).product::<f64>()))
        .filter(|(_, p)| *p > 0.0)
        .collect();
    let z = numbers(&all.iter().map(|(z, _)| z.clone()).collect::<Vec<_>>());
    let times = vec![t; all.len()];
    let output = model.denoise(z.clone(), &times).into_output(noise, &z, &times);
    let same = numbers(&vec![x.to_vec(); all.len()]);
    let losses = host(loss.compute(&Batch::new(noise, same, z, None, &times, output, &(), &())));
    x.len() as f64 * all.iter().zip(losses).map(|((_, p), loss)| p * loss).sum::<f64>()
}

#[test]
fn the_masked_bound_is_the_likelihood_of_every_x() {
    let schedules: [Arc<dyn Survival>; 3] =
        [Arc::new(FlowMatching {}), Arc::new(CosineMask {}), Arc::new(LogLinear { survival_min: 0.0 })];
    for schedule in schedules {
        let model = joint(Discrete::absorbing(schedule.clone(), 4, 3), 3, 3);
        for (x, p) in model.sequences() {
            let bound: f64 = gauss(40).into_iter().map(|(t, w)| w * expected(&model, &MaskedNelbo {}, x, t)).sum();
            assert!((bound + p.ln()).abs() < 1e-9, "{schedule:?}: {x:?} has {bound} and not {}", -p.ln());
            let score: f64 = gauss(40).into_iter().map(|(t, w)| w * expected(&model, &ScoreEntropy {}, x, t)).sum();
            assert!((score + p.ln()).abs() < 1e-9, "{schedule:?}: {x:?} has {score} and not {}", -p.ln());
        }
    }
}

/// A net that knows nothing of masks says the same bound, and one that is wrong a worse one.
#[test]
fn a_wrong_estimate_has_a_larger_bound() {
    let right = joint(Discrete::absorbing(FlowMatching {}, 4, 3).with_prediction(DiscretePrediction::Logits), 2, 3);
    let wrong = Joint::new(
        Discrete::absorbing(FlowMatching {}, 4, 3),
        right.sequences().iter().enumerate().map(|(i, (x, p))| (x.clone(), p + 0.1 * (i % 3) as f64)).collect(),
    )
    .unwrap();
    let mean = |model: &Joint| -> f64 {
        let bound =
            |x: &[usize]| gauss(20).into_iter().map(|(t, w)| w * expected(model, &MaskedNelbo {}, x, t)).sum::<f64>();
        right.sequences().iter().map(|(x, p)| p * bound(x)).sum()
    };
    let entropy: f64 = right.sequences().iter().map(|(_, p)| -p * p.ln()).sum();
    assert!((mean(&right) - entropy).abs() < 1e-9 && mean(&wrong) > entropy + 1e-3);
}

/// Score entropy at the true ratios is the likelihood of every x under uniform noise that leaves nothing at t = 1.
#[test]
fn score_entropy_is_the_likelihood_of_every_x() {
    let model = joint(Discrete::uniform(FlowMatching {}, 3), 2, 3);
    for (x, p) in model.sequences() {
        // t = u⁴ smooths the logarithm at t = 0.
        let bound: f64 = gauss(80)
            .into_iter()
            .map(|(u, w)| w * 4.0 * u.powi(3) * expected(&model, &ScoreEntropy {}, x, u.powi(4)))
            .sum();
        assert!((bound + p.ln()).abs() < 1e-7, "{x:?} has {bound} and not {}", -p.ln());
    }
}

/// A net that says the same of everything but for z: what is measured then is the loss alone.
#[derive(Debug)]
struct Fixed<N>(N);
impl<N: Noise<3>> Denoiser<3> for Fixed<N> {
    fn noise(&self) -> &dyn Noise<3> {
        &self.0
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let k = self.0.categories().unwrap().k;
        let place = tweedie::distribution::one_hot(z.clone(), k);
        let row: Vec<f64> = (0..k).map(|j| (1.3 * j as f64).sin()).collect();
        let row = Tensor::<3>::from_data(TensorData::new(row, [1, 1, k]), (&device(), DType::F64));
        let output = (place * row.clone()).sum_dim(2) * (row * 0.7 + 0.2);
        self.0.estimate(output, z, t)
    }
}

#[test]
fn score_entropy_is_its_definition() {
    let (k, t) = (3, 0.3_f64);
    let model = Fixed(
        Discrete::uniform(Geometric { sigma_min: 1e-4, sigma_max: 5.0 }, k).with_prediction(DiscretePrediction::Score),
    );
    let total = |t: f64| 1e-4 * 5e4_f64.powf(t);
    let rate = total(t) * 5e4_f64.ln() / k as f64;
    let keep = (-total(t)).exp();
    let q = |j: usize, x: usize| keep * f64::from(u8::from(j == x)) + (1.0 - keep) / k as f64;
    let said = |j: usize, z: usize| (1.3 * z as f64).sin() * (0.7 * (1.3 * j as f64).sin() + 0.2);
    for x in 0..k {
        let definition: f64 = (0..k)
            .map(|z| {
                let term = |j: usize| {
                    let (s, rho) = (said(j, z).exp(), q(j, x) / q(z, x));
                    rate * (s - rho * said(j, z) + rho * (rho.ln() - 1.0))
                };
                q(z, x) * (0..k).filter(|j| *j != z).map(term).sum::<f64>()
            })
            .sum();
        let own = expected(&model, &ScoreEntropy {}, &[x], t);
        assert!((own - definition).abs() < 1e-9, "{own} and not {definition}");
    }
}

/// Kernels of every step as matrices by their formulas, not by the code under test: from i − 1 to i.
type Matrices = Vec<Vec<Vec<f64>>>;
fn times(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    a.iter().map(|row| (0..b.len()).map(|y| row.iter().zip(b).map(|(p, b)| p * b[y]).sum()).collect()).collect()
}
fn rank_one(keep: impl Fn(f64) -> f64, pi: &[f64], steps: usize) -> Matrices {
    let at = |i: usize| keep(i as f64 / steps as f64);
    let kernel = |r: f64| {
        let entry = |x: usize, y: usize| r * f64::from(u8::from(x == y)) + (1.0 - r) * pi[y];
        (0..pi.len()).map(|x| (0..pi.len()).map(|y| entry(x, y)).collect()).collect()
    };
    (1..=steps).map(|i| kernel(at(i) / at(i - 1))).collect()
}
/// D3PM, appendix A.2.3.
fn gaussian(betas: &[f64], k: usize) -> Matrices {
    let kernel = |beta: f64| {
        let weight = |n: f64| (-4.0 * n * n / ((k - 1) as f64).powi(2) / beta).exp();
        let total: f64 = (1 - k as i64..k as i64).map(|n| weight(n as f64)).sum();
        let entry = |x: usize, y: usize| if x == y { 0.0 } else { weight(x as f64 - y as f64) / total };
        let row = |x: usize| {
            let mut row: Vec<f64> = (0..k).map(|y| entry(x, y)).collect();
            row[x] = 1.0 - row.iter().sum::<f64>();
            row
        };
        (0..k).map(row).collect()
    };
    betas.iter().map(|beta| kernel(*beta)).collect()
}

/// The bound as the mean over every path x₁ … x_T of ln q(x₁ … x_T | x)/p(x, x₁ … x_T), for one category.
fn by_paths(model: &dyn Denoiser<3>, steps: &Matrices, pi: &[f64], x: usize, mixture: bool) -> f64 {
    let (t, k) = (steps.len(), pi.len());
    let mut from_data = vec![rank_one(|_| 1.0, pi, 1)[0].clone()];
    steps.iter().for_each(|step| from_data.push(times(from_data.last().unwrap(), step)));
    let guess = |i: usize, z: usize| host(model.denoise(numbers(&[vec![z]]), &[i as f64 / t as f64]).mean);
    // p(x_{i−1} = j | x_i = z).
    let back = |i: usize, z: usize| -> Vec<f64> {
        let guess = guess(i, z);
        if i == 1 {
            return guess;
        }
        let posterior = |x: usize, j: usize| from_data[i - 1][x][j] * steps[i - 1][j][z] / from_data[i][x][z];
        let plug = |j: usize| (0..k).map(|x| from_data[i - 1][x][j] * guess[x]).sum::<f64>() * steps[i - 1][j][z];
        match mixture {
            true => (0..k).map(|j| (0..k).map(|x| guess[x] * posterior(x, j)).sum()).collect(),
            false => {
                let total: f64 = (0..k).map(plug).sum();
                (0..k).map(|j| plug(j) / total).collect()
            }
        }
    };
    let table: Vec<Vec<Vec<f64>>> = (1..=t).map(|i| (0..k).map(|z| back(i, z)).collect()).collect();
    sequences(t, k)
        .into_iter()
        .map(|path| {
            let q: f64 = (0..t).map(|i| steps[i][if i == 0 { x } else { path[i - 1] }][path[i]]).product();
            let p: f64 = (0..t).map(|i| table[i][path[i]][if i == 0 { x } else { path[i - 1] }]).product();
            if q > 0.0 { q * (q / (p * pi[path[t - 1]])).ln() } else { 0.0 }
        })
        .sum()
}
fn by_terms(model: &dyn Denoiser<3>, steps: usize, x: usize) -> f64 {
    let loss = Vlb::new(steps);
    let mean: f64 =
        (1..=steps).map(|i| expected(model, &loss, &[x], i as f64 / steps as f64)).sum::<f64>() / steps as f64;
    mean + host(prior_term(model.noise(), numbers(&[vec![x]])))[0]
}

#[test]
fn the_bound_of_steps_is_that_of_every_path() {
    let (k, t) = (3, 4);
    let even = vec![1.0 / 3.0; 3];
    let uneven = vec![0.2, 0.3, 0.5];
    let keep = |t: f64| 1.0 - 0.9 * t;
    let line = || LogLinear { survival_min: 0.1 };
    let betas = [0.3, 0.9, 0.5, 0.7];
    let listed = || Listed::new(Quantity::Betas, betas.to_vec());
    let marginal = || Discrete::marginal(line(), uneven.clone()).unwrap();
    let cases: Vec<(&str, Box<dyn Denoiser<3>>, Matrices, &[f64], bool)> = vec![
        ("uniform", Box::new(Fixed(Discrete::uniform(line(), k))), rank_one(keep, &even, t), &even, true),
        ("marginal", Box::new(Fixed(marginal())), rank_one(keep, &uneven, t), &uneven, true),
        (
            "plugged in",
            Box::new(Fixed(marginal().with_reverse(ReverseTransition::PlugIn))),
            rank_one(keep, &uneven, t),
            &uneven,
            false,
        ),
        ("gaussian", Box::new(Fixed(DiscreteMatrix::gaussian(listed(), k).unwrap())), gaussian(&betas, k), &even, true),
        (
            "a matrix of rank one",
            Box::new(Fixed(DiscreteMatrix::new(line(), vec![uneven.clone(); 3]).unwrap())),
            rank_one(keep, &uneven, t),
            &uneven,
            true,
        ),
    ];
    for (name, model, steps, pi, mixture) in cases {
        for x in 0..k {
            let (own, paths) = (by_terms(&*model, t, x), by_paths(&*model, &steps, pi, x, mixture));
            assert!((own - paths).abs() < 1e-9, "{name}, x = {x}: {own} and not {paths}");
        }
    }
    // One category whose every conditional is known, and nothing left at the end: the bound is the likelihood.
    let model = joint(Discrete::uniform(FlowMatching {}, 3), 1, 3);
    for (x, p) in model.sequences() {
        let own = by_terms(&model, 5, x[0]);
        assert!((own + p.ln()).abs() < 1e-9, "{x:?}: {own} and not {}", -p.ln());
    }
}

#[test]
fn matrices_obey_their_laws() {
    let x = numbers(&[vec![0, 1], vec![3, 2], vec![1, 3]]);
    let q =
        vec![vec![0.0, 0.9, 0.1, 0.0], vec![0.2, 0.3, 0.5, 0.0], vec![0.0, 0.1, 0.4, 0.5], vec![0.6, 0.0, 0.4, 0.0]];
    let points: Vec<Vec<f64>> = [0.0, 1.0, 2.2, 5.0].iter().map(|p| vec![*p, -p]).collect();
    let short = || Linear::between(20, 0.1, 0.9);
    let chains: [(&str, DiscreteMatrix); 4] = [
        ("gaussian", DiscreteMatrix::gaussian(short(), 4).unwrap()),
        ("of one's own", DiscreteMatrix::new(FlowMatching {}, q.clone()).unwrap()),
        ("of one's own, in steps", DiscreteMatrix::new(Linear::between(100, 0.01, 0.2), q).unwrap()),
        ("nearest", DiscreteMatrix::nearest(LogLinear::default(), &points, 1).unwrap().with_rate(3.0)),
    ];
    for (name, chain) in chains {
        if name != "nearest" {
            Noise::<3>::check(&chain).unwrap();
        }
        let checks = laws::noise::<3>(&chain, &x);
        // This chain converges slowly, and its limit is not tested.
        all_hold(
            name,
            checks.into_iter().filter(|c| name != "nearest" || !c.law.contains("near the stationary")).collect(),
        );
        let checks = laws::noise::<3>(&chain, &tweedie::distribution::one_hot(x.clone(), 4));
        all_hold(
            name,
            checks.into_iter().filter(|c| name != "nearest" || !c.law.contains("near the stationary")).collect(),
        );
    }
}

/// exp(τR) of D3PM's appendix A.2.4 by its series, R = (G + Gᵀ)/2n.
#[test]
fn nearest_neighbors_are_those_of_the_formula() {
    let points: Vec<Vec<f64>> = [0.0, 1.0, 2.2, 5.0].iter().map(|p| vec![*p]).collect();
    // The nearest of each: 1, 0, 1, 2.
    let mut r = vec![vec![0.0; 4]; 4];
    for (x, y) in [(0, 1), (1, 0), (2, 1), (3, 2)] {
        r[x][y] += 0.5;
        r[y][x] += 0.5;
    }
    (0..4).for_each(|x| r[x][x] = -r[x].iter().sum::<f64>());
    let tau = 2.0 * -(1.0_f64 - 0.6).ln();
    let mut sum = rank_one(|_| 1.0, &[0.25; 4], 1)[0].clone();
    let mut term = sum.clone();
    for n in 1..60 {
        term =
            times(&term, &r).into_iter().map(|row| row.into_iter().map(|v| v * tau / f64::from(n)).collect()).collect();
        sum.iter_mut().flatten().zip(term.iter().flatten()).for_each(|(sum, term)| *sum += term);
    }
    let chain = DiscreteMatrix::nearest(FlowMatching {}, &points, 1).unwrap().with_rate(2.0);
    let own = host(Noise::<3>::prior(&chain, numbers(&[vec![0, 1, 2, 3]]), &[0.6]).mean());
    for (own, sum) in own.iter().zip(sum.iter().flatten()) {
        assert!((own - sum).abs() < 1e-12, "{own} and not {sum}");
    }
}

/// Products that are made again from every √T-th are those that were all kept.
#[test]
fn few_kept_products_give_the_same_chain() {
    // 300 steps of 360 categories would be 311 MB of products.
    let (k, betas) = (360, Linear::between(300, 1e-4, 0.02));
    let few = DiscreteMatrix::gaussian(betas.clone(), k).unwrap();
    let at = |x: usize, i: usize| host(Noise::<3>::prior(&few, numbers(&[vec![x]]), &[i as f64 / 300.0]).mean());
    let steps = gaussian(&(31..=37).map(|i| betas.table().unwrap().beta(i)).collect::<Vec<_>>(), k);
    let mut law = at(200, 30);
    for step in steps {
        law = (0..k).map(|y| (0..k).map(|x| law[x] * step[x][y]).sum()).collect();
    }
    assert!(law.iter().zip(at(200, 37)).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn schedules_of_categories_obey_their_laws() {
    let data = vec![0.5, 0.2, 0.05, 0.25, 0.0];
    let mask = vec![0.0, 0.0, 0.0, 0.0, 1.0];
    let schedules: Vec<Arc<dyn Survival>> = vec![
        Arc::new(LogLinear::default()),
        Arc::new(CosineMask {}),
        Arc::new(Geometric::default()),
        Arc::new(MutualInformation::uniform(data.clone()).unwrap()),
        Arc::new(MutualInformation::new(data.clone(), data.clone()).unwrap()),
        Arc::new(MutualInformation::new(data.clone(), mask.clone()).unwrap()),
    ];
    for schedule in &schedules {
        schedule.check().unwrap();
        all_hold(&format!("{schedule:?}"), laws::survival(schedule));
    }
    // For absorbing noise 1 − t, and in general linear in the information itself, counted over the joint table.
    let survival = |schedule: &dyn Survival, t: f64| schedule.survival(tweedie::Dual::time(t)).value;
    let uniform = MutualInformation::uniform(data.clone()).unwrap();
    let information = |a: f64| -> f64 {
        let q = |y: usize, x: usize| a * f64::from(u8::from(x == y)) + (1.0 - a) / 5.0;
        let mixed = |y: usize| (0..5).map(|x| data[x] * q(y, x)).sum::<f64>();
        let term = |x: usize, y: usize| {
            if data[x] > 0.0 && q(y, x) > 0.0 { data[x] * q(y, x) * (q(y, x) / mixed(y)).ln() } else { 0.0 }
        };
        (0..25).map(|i| term(i / 5, i % 5)).sum()
    };
    for t in [0.1, 0.5, 0.9] {
        assert!((survival(&*schedules[5], t) - (1.0 - t)).abs() < 1e-9);
        assert!((information(survival(&uniform, t)) - (1.0 - t) * information(1.0)).abs() < 1e-12);
    }
}

#[test]
fn likelihoods_are_right_within_their_error() {
    let n = 4000;
    let absorbing = joint(Discrete::absorbing(FlowMatching {}, 4, 3), 3, 3);
    let rows: Vec<Vec<usize>> = absorbing.sample(n, &mut Rng::new(1)).into_iter().map(<[usize]>::to_vec).collect();
    let truth = rows.iter().map(|x| -absorbing.probability(x).ln()).sum::<f64>() / (3 * n) as f64;
    let left = joint(Discrete::absorbing(LogLinear { survival_min: 0.05 }, 4, 3), 3, 3);
    let steps = joint(Discrete::absorbing(FlowMatching {}, 4, 3).with_prediction(DiscretePrediction::Logits), 3, 3);
    let looks: [(&dyn Denoiser<3>, &dyn Loss<3>, usize, f64); 4] = [
        (&absorbing, &MaskedNelbo {}, 4, 0.0),
        (&absorbing, &ScoreEntropy {}, 4, 0.0),
        // What is not masked at the end is guessed at once, and five steps guess several at once: a little worse.
        (&left, &MaskedNelbo {}, 4, 0.05),
        (&steps, &Vlb::new(5), 5, 0.3),
    ];
    for (model, loss, looks, slack) in looks {
        let own = bound(model, loss, numbers(&rows), looks, &Rng::new(2)).unwrap();
        let (nats, error) = (own.per_token(), own.standard_error());
        assert!(
            nats > truth - 5.0 * error && nats < truth + slack + 5.0 * error,
            "{loss:?}: {nats} ± {error}, {truth}"
        );
        assert!(error > 1e-4 && error < 0.02, "{loss:?}: {error}");
        // A row does not know its batch.
        let some = bound(model, loss, numbers(&rows[7..9]), looks, &Rng::new(2).from_row(7)).unwrap();
        assert!(own.rows[7..9].iter().zip(&some.rows).all(|(a, b)| (a - b).abs() < 1e-12));
    }
    // Where every term is seen and nothing is left to chance but x_t, one category has its likelihood to the last digit.
    let one = joint(Discrete::uniform(FlowMatching {}, 3), 1, 3);
    let own = bound(&one, &Vlb::new(3), numbers(&[vec![2]]), 3, &Rng::new(2)).unwrap();
    assert_eq!((own.rows.len(), own.tokens[0]), (1, 1));
}

/// Numbers have a bound as well: that of N(0, 1) data whose denoiser is known is its entropy, where T is large.
#[test]
fn a_gaussian_bound_is_near_the_entropy() {
    use tweedie::{
        exact::{ComponentCovariance, Mixture},
        noise::{Gaussian, Prediction},
    };
    let noise = Gaussian::new(VariancePreserving::default())
        .with_prediction(Prediction::X0)
        .with_variance(tweedie::noise::Variance::Large);
    let model = Mixture::gaussian(noise, vec![0.0; 2], ComponentCovariance::Isotropic(1.0)).unwrap();
    let x = Rng::new(3).normal_tensor([500, 2], &device(), DType::F64);
    let entropy = host(x.clone().square().mean())[0] * 0.5 + 0.5 * std::f64::consts::TAU.ln();
    let own = bound::<2>(&model, &Vlb::new(200), x, 200, &Rng::new(4)).unwrap();
    let (nats, error) = (own.per_token(), own.standard_error());
    assert!((nats - entropy).abs() < 0.05 && error < 0.1, "{nats} ± {error} and not {entropy}");
}

#[test]
fn gradients_reach_what_is_masked_alone() {
    let noise = Discrete::absorbing(FlowMatching {}, 4, 3);
    let auto = Device::flex().autodiff();
    let logits = Tensor::<3>::from_data([[[0.3_f32, -1.0, 0.5, 2.0], [0.1, 0.2, 0.3, 0.4]]], &auto).require_grad();
    let x = Tensor::<3>::from_data([[[1.0_f32], [2.0]]], &auto);
    let z = Tensor::<3>::from_data([[[3.0_f32], [2.0]]], &auto);
    let batch = Batch::new(&noise, x, z, None, &[0.25], logits.clone(), &(), &());
    let gradients = MaskedNelbo {}.compute(&batch).sum().backward();
    let own = host(logits.grad(&gradients).unwrap());
    // w (p − [x]) / L with w = 1/t = 4 and L = 2, and the mask without a share.
    let e = [0.3_f64.exp(), (-1.0_f64).exp(), 0.5_f64.exp()];
    let total: f64 = e.iter().sum();
    let expected = [2.0 * e[0] / total, 2.0 * (e[1] / total - 1.0), 2.0 * e[2] / total, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert!(own.iter().zip(expected).all(|(own, e)| (own - e).abs() < 1e-5), "{own:?}");
}

#[test]
fn what_has_no_meaning_is_refused() {
    let refused = |loss: &dyn Loss<3>, noise: &dyn Noise<3>| loss.check(noise).unwrap_err().to_string();
    let gaussian = tweedie::noise::Gaussian::new(Cosine::new(10));
    let steps = DiscreteMatrix::gaussian(Linear::between(20, 0.1, 0.9), 4).unwrap();
    assert!(refused(&MaskedNelbo {}, &Discrete::uniform(FlowMatching {}, 3)).contains("has no mask"));
    assert!(refused(&MaskedNelbo {}, &gaussian).contains("is for continuous data"));
    assert!(refused(&ScoreEntropy {}, &steps).contains("T discrete steps"));
    let error = |made: tweedie::Result<DiscreteMatrix>| made.unwrap_err().to_string();
    assert!(error(DiscreteMatrix::gaussian(FlowMatching {}, 4)).contains("T steps"));
    let bad = |beta: f64| vec![vec![1.0, 0.0], vec![beta, 0.5]];
    assert!(
        error(DiscreteMatrix::steps(Linear::between(3, 0.5, 0.7), bad))
            .contains("step 2 of 3: the rows of a transition matrix must sum to 1, but row 1 sums to 1.1")
    );
    assert!(
        error(DiscreteMatrix::new(FlowMatching {}, vec![vec![1.5, -0.5], vec![0.0, 1.0]])).contains("row 0 has -0.5")
    );
    let slow = DiscreteMatrix::gaussian(Linear::new(10), 8).unwrap();
    assert!(
        Noise::<3>::check(&slow).unwrap_err().to_string().contains("must be near its stationary distribution at t = 1")
    );
    assert!(
        Noise::<3>::check(&Discrete::uniform(FlowMatching {}, 3).with_prediction(DiscretePrediction::Subs)).is_err()
    );
    let model = joint(Discrete::uniform(FlowMatching {}, 3), 1, 3);
    let error = bound(&model, &CrossEntropy {}, numbers(&[vec![1]]), 1, &Rng::new(0)).unwrap_err().to_string();
    assert!(error.contains("is not a bound"), "{error}");
    assert!(MutualInformation::uniform(vec![1.0, 0.0]).is_err());
    let field = |noise: &dyn Noise<3>| noise.check().unwrap_err().field().map(str::to_owned);
    assert_eq!(field(&Discrete::absorbing(FlowMatching {}, 3, 3)).as_deref(), Some("mask"));
    assert_eq!(field(&Discrete::uniform(FlowMatching {}, 0)).as_deref(), Some("k"));
    let still = DiscreteMatrix::new(FlowMatching {}, vec![vec![0.5; 2]; 2]).unwrap().with_rate(0.0);
    assert_eq!(field(&still).as_deref(), Some("rate"));
    assert_eq!(field(&Discrete::uniform(LogLinear { survival_min: 1.0 }, 3)).as_deref(), Some("survival_min"));
    assert!(Joint::new(Discrete::uniform(FlowMatching {}, 3), vec![(vec![3], 1.0)]).is_err());
}

#[test]
fn bounds_obey_their_laws() {
    let absorbing = || -> Arc<dyn Noise<3>> { Arc::new(Discrete::absorbing(FlowMatching {}, 4, 3)) };
    let uniform = || -> Arc<dyn Noise<3>> { Arc::new(Discrete::uniform(LogLinear::default(), 3)) };
    let steps: Arc<dyn Noise<3>> = Arc::new(DiscreteMatrix::gaussian(Linear::between(16, 0.1, 0.9), 4).unwrap());
    let cases: [(&dyn Loss<3>, Arc<dyn Noise<3>>); 6] = [
        (&MaskedNelbo {}, absorbing()),
        (&ScoreEntropy {}, absorbing()),
        (&ScoreEntropy {}, uniform()),
        (&Vlb::new(16), absorbing()),
        (&Vlb::new(16), uniform()),
        (&Vlb::new(0), steps),
    ];
    for (loss, noise) in cases {
        let checks = laws::bound(loss, noise.clone());
        assert!(checks.len() >= 2);
        for check in checks {
            assert!(check.holds(), "{loss:?}, {noise:?}: {check}");
        }
    }
}

//! Distributions, noises and samplers with a flaw: the law they break is named, and those that they keep are not.
use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use tweedie::{
    Rng,
    denoise::Denoiser,
    distribution::{Categorical, Distribution, Normal, Sample},
    laws::{self, Check},
    net::{Classes, Conditions, Net, layers},
    noise::{DynDistribution, Estimate, Gaussian, Noise},
    sample::{Ancestral, Heun, Multistep, Properties, Sampler, SdeHeun, StepIntegral, TimePoint, TimeStep},
    schedule::{FlowMatching, Linear, OrnsteinUhlenbeck, Schedule},
};

fn broken(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.law).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    /// −ln p is too large by a tenth.
    Constant,
    /// Draws are even, of the right mean and spread.
    Even,
    /// Draws are a tenth too wide.
    Wide,
    /// Draws of categories come in another order.
    Turned,
}
#[derive(Debug)]
struct Flawed<D>(D, Flaw);
impl<D: Distribution<2>> Distribution<2> for Flawed<D> {
    fn mean(&self) -> Tensor<2> {
        self.0.mean()
    }
    fn std(&self) -> Tensor<2> {
        self.0.std()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<2> {
        let mean = self.mean();
        let draw = match self.1 {
            Flaw::Even => {
                let even = rng.uniform_tensor(mean.dims(), &mean.device(), mean.dtype());
                (even - 0.5) * 12f64.sqrt() * self.std() + mean
            }
            Flaw::Wide => (self.0.sample(rng).value - mean.clone()) * 1.1 + mean,
            Flaw::Turned => self.0.sample(rng).value.flip([1]),
            Flaw::None | Flaw::Constant => self.0.sample(rng).value,
        };
        Sample { value: draw, eps: None }
    }
    fn nll(&self, x: Tensor<2>) -> Tensor<2> {
        self.0.nll(x) + if self.1 == Flaw::Constant { 0.1 } else { 0.0 }
    }
    fn kl(&self, other: &dyn Distribution<2>) -> Tensor<2> {
        self.0.kl(other)
    }
}

const SUM: &str = "p sums to one";
const AS_P: &str = "samples are distributed as p";
const ENTROPY: &str = "the entropy of samples is their mean −ln p";

#[test]
fn a_distribution_that_breaks_a_law_is_named() {
    for dtype in [DType::F32, DType::F64] {
        let of = |flaw| {
            // Rows that differ, and an entry that is a point where nothing is flawed.
            let rows: Vec<f64> = (0..4000).flat_map(|i| [0.1 * f64::from(i % 7), -3.0]).collect();
            let mean = Tensor::<2>::from_data(TensorData::new(rows, [4000, 2]), (&Device::flex(), dtype));
            let std = if flaw == Flaw::None { [0.7, 0.0] } else { [0.7, 2.0] };
            let std = Tensor::<2>::from_data(TensorData::new(std.to_vec(), [1, 2]), (&Device::flex(), dtype));
            laws::distribution(&Flawed(Normal::new(mean, std).unwrap(), flaw))
        };
        let sound = of(Flaw::None);
        assert!(broken(&sound).is_empty(), "{dtype:?}: {sound:#?}");
        for law in [SUM, AS_P, ENTROPY] {
            assert!(sound.iter().any(|check| check.law == law), "{law}");
        }
        assert!(broken(&of(Flaw::Constant)).contains(&SUM), "{dtype:?}");
        // Of the right mean and spread: nothing else sees it.
        assert_eq!(broken(&of(Flaw::Even)), [AS_P], "{dtype:?}");
        assert!(broken(&of(Flaw::Wide)).contains(&ENTROPY), "{dtype:?}");
    }
    for numbers in [false, true] {
        let of = |flaw| {
            let probs = Tensor::<2>::from_data([[0.1_f32, 0.2, 0.0, 0.7]], &Device::flex()).expand([4000, 4]);
            laws::distribution(&Flawed(Categorical::new(probs).unwrap().in_indices(numbers), flaw))
        };
        let sound = of(Flaw::None);
        assert!(broken(&sound).is_empty() && sound.iter().any(|check| check.law == AS_P), "{sound:?}");
        assert!(broken(&of(Flaw::Constant)).contains(&SUM), "{numbers}");
        if !numbers {
            let turned = broken(&of(Flaw::Turned));
            assert!(turned.contains(&AS_P) && turned.contains(&ENTROPY), "{turned:?}");
        }
    }
}

/// Gaussian noise with a slip.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// Sampling starts three times too wide.
    Start,
    /// The net reads zeros.
    Blind,
    /// p(x_s | x_t) is half as far from 0 and twice as wide.
    Guess,
    /// The path is another's.
    Path,
    /// The posterior is DDIM's, without noise: x_s has the right law, but not together with x_t.
    Noiseless,
    /// The prior is a hundredth too far from 0.
    Mean,
}
#[derive(Debug)]
struct Slipped(Gaussian, Slip);
impl Noise<2> for Slipped {
    fn stationary(&self, shape: [usize; 2], device: &Device) -> DynDistribution<2> {
        let law = Noise::<2>::stationary(&self.0, shape, device);
        let wide = if self.1 == Slip::Start { 3.0 } else { 1.0 };
        Box::new(Normal::trusted(law.mean(), law.std() * wide))
    }
    fn prior(&self, x: Tensor<2>, t: &[f64]) -> DynDistribution<2> {
        let x = if self.1 == Slip::Mean { x * 1.01 } else { x };
        self.0.prior(x, t)
    }
    fn posterior(&self, x: Tensor<2>, z: Tensor<2>, s: &[f64], t: &[f64]) -> DynDistribution<2> {
        if self.1 != Slip::Noiseless {
            return self.0.posterior(x, z, s, t);
        }
        let (from, to) = (self.0.schedule().at(t[0]), self.0.schedule().at(s[0]));
        let eps = (z - x.clone() * from.alpha) / from.sigma;
        let mean = x * to.alpha + eps * to.sigma;
        Box::new(Normal::trusted(mean.clone(), mean.zeros_like()))
    }
    fn approximate(&self, guess: Estimate<2>, z: Tensor<2>, s: &[f64], t: &[f64]) -> DynDistribution<2> {
        let law = match self.1 {
            Slip::Noiseless => return self.posterior(guess.mean, z, s, t),
            _ => self.0.approximate(guess, z, s, t),
        };
        match self.1 {
            Slip::Guess => Box::new(Normal::trusted(law.mean() * 0.5, law.std() * 2.0)),
            _ => law,
        }
    }
    fn decoder(&self, guess: Estimate<2>, z: Tensor<2>, t: &[f64]) -> DynDistribution<2> {
        self.0.decoder(guess, z, t)
    }
    fn input(&self, z: Tensor<2>, t: &[f64]) -> Tensor<2> {
        if self.1 == Slip::Blind { z.zeros_like() } else { self.0.input(z, t) }
    }
    fn target(&self, x: Tensor<2>, z: Tensor<2>, t: &[f64]) -> Tensor<2> {
        self.0.target(x, z, t)
    }
    fn estimate(&self, output: Tensor<2>, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        self.0.estimate(output, z, t)
    }
    fn path(&self) -> Option<&dyn Schedule> {
        if self.1 == Slip::Path { Some(&FlowMatching {}) } else { Noise::<2>::path(&self.0) }
    }
}

#[test]
fn a_noise_that_breaks_a_law_is_named() {
    const BAYES: &str = "Bayes' rule holds for one step";
    for dtype in [DType::F32, DType::F64] {
        let x = Rng::new(1).normal_tensor([64, 2], &Device::flex(), dtype);
        let of = |slip| broken(&laws::noise::<2>(&Slipped(Gaussian::new(Linear::new(100)), slip), &x));
        assert_eq!(of(Slip::None), [""; 0], "{dtype:?}");
        assert_eq!(of(Slip::Start), ["the stationary std is that of the forward marginal at t = 1"], "{dtype:?}");
        assert_eq!(of(Slip::Blind), ["the network input determines x_t"], "{dtype:?}");
        assert_eq!(
            of(Slip::Guess),
            ["x̂ = x reproduces the posterior mean", "the reverse std is between those of posterior and forward step"],
            "{dtype:?}"
        );
        // Nothing else sees it.
        assert!(of(Slip::Noiseless).contains(&BAYES) && of(Slip::Noiseless).len() == 1, "{:?}", of(Slip::Noiseless));
        let path = of(Slip::Path);
        assert!(path.contains(&"the forward marginal's mean is α x") && path.contains(&BAYES), "{path:?}");
        assert!(path.contains(&"the forward marginal's std is σ"), "{path:?}");
        assert!(of(Slip::Mean).contains(&"the forward marginal's mean is α x"), "{:?}", of(Slip::Mean));
    }
}

/// Heun's method that declares one network evaluation per step.
#[derive(Debug)]
struct Miscounted;
impl Sampler<2> for Miscounted {
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        Heun::default().step(model, z, at, rng)
    }
}

/// Ancestral sampling whose x_t is too wide on the way, and right at the end.
#[derive(Debug)]
struct Wide(f64);
impl Sampler<2> for Wide {
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        let z = if at.t < 1.0 { z / self.0 } else { z };
        let z = Ancestral {}.step(model, z, at, rng);
        if at.s > 0.0 { z * self.0 } else { z }
    }
}

/// What is wrong with a sampler.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flawy {
    /// Nothing: ancestral sampling, as η = 1 of DDIM.
    Sound,
    /// Draws from the Gaussian of the data's moments, whatever the model says.
    Fake,
    /// Returns z in the last step.
    Last,
    /// Its fresh noise is so many times too strong.
    Noise(f64),
    /// Takes √(1 − α²) for σ.
    Preserving,
    /// Mixes the batch's mean into its rows.
    Leak,
    /// Heun's method for the reverse process with the g of t for that of both ends.
    Left,
    /// Heun's method that declares order 1.
    Modest,
}
impl Sampler<2> for Flawy {
    fn step(&self, model: &dyn Denoiser<2>, z: Tensor<2>, at: TimeStep, rng: &mut Rng) -> Tensor<2> {
        let TimeStep { t, s, .. } = at;
        let path = model.noise().path().unwrap();
        let (from, to) = (path.at(t), path.at(s));
        let x = model.denoise(z.clone(), &[t]).mean;
        let xi = |rng: &mut Rng| rng.normal_tensor::<2>(z.dims(), &z.device(), z.dtype());
        let eps = (z.clone() - x.clone() * from.alpha) / from.sigma;
        let sigma = match self {
            Self::Preserving => (1.0 - to.alpha * to.alpha).max(0.0).sqrt(),
            _ => to.sigma,
        };
        let up = sigma * (1.0 - (to.sigma * from.alpha / (to.alpha * from.sigma)).powi(2)).max(0.0).sqrt();
        let down = (sigma * sigma - up * up).max(0.0).sqrt();
        let new = x * to.alpha + eps * down;
        match *self {
            Self::Sound | Self::Preserving => new + xi(rng) * up,
            Self::Noise(factor) => new + xi(rng) * (factor * up),
            Self::Leak => new + xi(rng) * up + z.clone().mean_dim(0) * 0.01,
            Self::Last if s == 0.0 => z,
            Self::Last => new + xi(rng) * up,
            Self::Fake => {
                let data = laws::problem(OrnsteinUhlenbeck {});
                let (mean, covariance) = (data.mean(), data.covariance());
                let spread = laws::plane(&[[covariance[0][0].sqrt(), covariance[1][1].sqrt()]]);
                let x = xi(rng) * spread + laws::plane(&[[mean[0], mean[1]]]);
                x * to.alpha + xi(rng) * to.sigma
            }
            Self::Left if s == 0.0 || from.alpha == 0.0 => SdeHeun {}.step(model, z, at, rng),
            Self::Left => {
                // f z + g² ε̂/σ.
                let drift = |z: Tensor<2>, t: f64| {
                    let c = path.at(t);
                    let x = model.denoise(z.clone(), &[t]).mean;
                    z.clone() * c.drift() + (z - x * c.alpha) * (c.diffusion() / c.sigma.powi(2))
                };
                let noise = xi(rng) * (from.diffusion() * (t - s)).sqrt();
                let first = drift(z.clone(), t);
                let second = drift(z.clone() + first.clone() * (s - t) + noise.clone(), s);
                z + (first + second) * (0.5 * (s - t)) + noise
            }
            Self::Modest => Heun::default().step(model, z, at, rng),
        }
    }
    fn properties(&self) -> Properties {
        let weak_order = if *self == Self::Left { 2 } else { 1 };
        Properties { order: (*self == Self::Modest).then_some(1), weak_order, ..Properties::default() }
    }
}

#[test]
fn a_flawed_sampler_fails_the_laws_of_its_moments_order_and_rows() {
    const ORDER: &str = "the order of convergence is the declared one";
    const WEAK: &str = "mean and variance converge with the declared weak order";
    const LIMIT: &str = "mean and variance converge to those of x_t";
    const SHAPE: &str = "samples have the data's distribution";
    const LEFT: &str = "no noise is left at t = 0";
    const ROW: &str = "a row does not depend on the rest of the batch";
    let of = |flaw: Flawy| broken(&laws::sampler(&flaw));
    assert_eq!(of(Flawy::Sound), [""; 0]);
    // A trajectory of right moments: it is the shape that tells.
    assert_eq!(of(Flawy::Fake), [SHAPE, LEFT]);
    assert_eq!(of(Flawy::Last), [LEFT]);
    assert_eq!(of(Flawy::Left), [WEAK, LIMIT]);
    assert_eq!(of(Flawy::Modest), [ORDER]);
    assert!(of(Flawy::Leak).contains(&ROW), "{:?}", of(Flawy::Leak));
    for flaw in [Flawy::Noise(0.9), Flawy::Noise(0.98), Flawy::Noise(1.02), Flawy::Noise(1.1), Flawy::Preserving] {
        let said = of(flaw);
        assert!(said.contains(&WEAK) && said.contains(&LIMIT), "{flaw:?}: {said:?}");
    }
}

/// A multistep method that returns so many weights.
#[derive(Debug)]
struct Weights(usize);
impl Multistep for Weights {
    fn integral(&self) -> StepIntegral {
        StepIntegral::default()
    }
    fn history_len(&self) -> usize {
        2
    }
    fn weights(&self, _: &dyn Schedule, _: &[TimePoint], _: TimePoint) -> Vec<f64> {
        vec![0.1; self.0]
    }
}

#[test]
#[should_panic(expected = "`Multistep::weights` must return one weight for each of 1 outputs, got 0")]
fn a_multistep_method_with_too_few_weights_panics() {
    laws::trajectory(&Weights(0));
}

#[test]
#[should_panic(expected = "`Multistep::weights` must return one weight for each of 1 outputs, got 2")]
fn a_multistep_method_with_too_many_weights_panics() {
    laws::trajectory(&Weights(2));
}

#[test]
fn a_flawed_sampler_fails_the_laws_of_trajectories() {
    assert_eq!(broken(&laws::trajectory(&Miscounted)), ["the measured NFE per step is the declared one"]);
    assert_eq!(broken(&laws::trajectory(&Wide(1.0))), [""; 0]);
    assert_eq!(broken(&laws::trajectory(&Wide(1.15))), ["half-way the standard deviation is that of x_t"]);
    for sampler in crate::samplers::all() {
        let checks = laws::trajectory(&*sampler);
        assert!(broken(&checks).is_empty(), "{sampler:?}: {checks:?}");
    }
}

/// What a net of blocks, each scaled and shifted by time and class, gets wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lost {
    None,
    /// The second block always sees t = 0.
    Late,
    /// Only the first block sees the class.
    FirstClass,
    /// All blocks but the first see the class.
    ButFirst,
    /// The shift is lost.
    Shift,
    /// The scale is lost.
    Scale,
    /// The time is multiplied by 1000 in training.
    Training,
    /// Units are dropped in all rows alike.
    Together,
}

#[derive(Module, Debug)]
struct Blocks {
    embedding: layers::TimeClassEmbedding,
    classless: layers::TimeClassEmbedding,
    blocks: Vec<ScaleShift>,
    last: layers::Linear,
    #[module(skip)]
    slip: Lost,
}
#[derive(Module, Debug)]
struct ScaleShift {
    own: layers::Linear,
    cond: layers::Linear,
}
impl Blocks {
    fn new(slip: Lost) -> Self {
        let (rng, device) = (Rng::new(1), Device::flex());
        let block = |i: usize| {
            let rng = rng.stream(&format!("block.{i}"));
            let inputs = if i == 0 { 3 } else { 16 };
            ScaleShift {
                own: layers::Linear::new(inputs, 16, &rng.stream("own"), &device),
                cond: layers::Linear::new(8, 32, &rng.stream("cond"), &device),
            }
        };
        Self {
            embedding: layers::TimeClassEmbedding::new(8, 3, 8, &rng, &device),
            classless: layers::TimeClassEmbedding::new(8, 0, 8, &rng, &device),
            blocks: (0..3).map(block).collect(),
            last: layers::Linear::zero(16, 3, &device),
            slip,
        }
    }
}
impl Net<2> for Blocks {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        let all = layers::silu(self.embedding.forward(t.clone(), &y.to_classes()));
        let late = layers::silu(self.embedding.forward(t.zeros_like(), &y.to_classes()));
        // Of the same width; added, so that its parameters are used in any case.
        let classless = layers::silu(self.classless.forward(t, &Classes::none()));
        let mut x = z;
        for (i, block) in self.blocks.iter().enumerate() {
            let cond = match self.slip {
                Lost::Late if i == 1 => late.clone(),
                Lost::FirstClass if i > 0 => classless.clone(),
                Lost::ButFirst if i == 0 => classless.clone(),
                _ => all.clone() + classless.clone(),
            };
            let [scale, shift]: [Tensor<2>; 2] = block.cond.forward(cond).chunk(2, 1).try_into().unwrap();
            let h = block.own.forward(x);
            x = layers::silu(match self.slip {
                Lost::Shift => h * (scale + 1.0),
                Lost::Scale => h + shift,
                _ => h * (scale + 1.0) + shift,
            });
        }
        self.last.forward(x)
    }
    fn forward_train(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<2> {
        match self.slip {
            Lost::Training => self.forward(z, t * 1000.0, y),
            Lost::Together => {
                let dims = z.dims();
                let one = layers::dropout(Tensor::<2>::ones([1, 3], &z.device()), 0.5, &mut Some(rng.clone()));
                self.forward(z, t, y) * one.expand(dims)
            }
            _ => self.forward(z, t, y),
        }
    }
}

#[test]
fn a_net_that_loses_time_class_or_shift_in_a_part_of_itself_breaks_a_law() {
    const TIME: &str = "layers of one kind all read t, or none does";
    const CONDITION: &str = "layers of one kind all read the condition, or none does";
    const EFFECT: &str = "every output of a layer that reads t or the condition has an effect";
    let z = Rng::new(2).normal_tensor([4, 3], &Device::flex(), DType::F32);
    let of = |slip| {
        let checks = laws::net(&Blocks::new(slip), &z, &Conditions::classes([0, 1, 2, 0]), [4, 3]);
        for law in [TIME, CONDITION, EFFECT] {
            assert!(checks.iter().any(|check| check.law == law), "{law} was not measured");
        }
        checks
    };
    assert_eq!(broken(&of(Lost::None)), [""; 0]);
    for (slip, law, place) in [
        (Lost::Late, TIME, "blocks.1.cond.weight does not"),
        (Lost::FirstClass, CONDITION, "cond.weight does not, blocks.0.cond.weight does"),
        (Lost::ButFirst, CONDITION, "blocks.0.cond.weight does not"),
        (Lost::Shift, EFFECT, "16 of 32 outputs have none"),
        (Lost::Scale, EFFECT, "16 of 32 outputs have none"),
        (Lost::Training, "without dropout training computes the same output", "t = 0.3"),
        (Lost::Together, "in training a row does not depend on the rest of the batch", "row 3"),
    ] {
        let checks = of(slip);
        assert_eq!(broken(&checks), [law], "{slip:?}");
        let check = checks.iter().find(|check| check.law == law).unwrap();
        assert!(check.place.contains(place), "{check}");
    }
}

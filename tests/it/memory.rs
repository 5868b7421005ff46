//! Peak memory of training and sampling, as the system counts it.
#![cfg(target_os = "linux")]
use burn::tensor::{DType, Device, Tensor};
use tweedie::{
    Rng,
    data::Samples,
    denoise::Denoiser,
    loss::MaskedNelbo,
    model::Model,
    net::TransformerConfig,
    noise::{Discrete, Estimate, Gaussian, Noise},
    sample::trajectory_from,
    schedule::{FlowMatching, OrnsteinUhlenbeck},
    train::Train,
};

const VOCABULARY: usize = 32_000;
const LENGTH: usize = 128;
const BATCH: usize = 8;

/// The peak memory of this process, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

/// Run in a process of its own by the test below: trains two steps and prints how much more was held than before.
#[test]
#[ignore = "a process of its own, for the test beside it"]
fn two_steps_of_a_large_vocabulary() {
    let values = (0..2 * BATCH * LENGTH).map(|i| (i * 7919 % (VOCABULARY - 1)) as f32).collect();
    let data = Samples::<3>::new(values, [2 * BATCH, LENGTH, 1]);
    let net = TransformerConfig::new(VOCABULARY, LENGTH).with_width(32).with_depth(1).with_heads(2).with_tied(true);
    let net = net.init(&Rng::new(1), &Device::flex()).unwrap();
    let model = Model::new(Discrete::absorbing(FlowMatching {}, VOCABULARY, VOCABULARY - 1), net).unwrap();
    let settings = Train { steps: 2, batch: BATCH, ..Train::default() };
    let before = peak();
    let trainer = model.train(&data, MaskedNelbo {}, settings).unwrap();
    for step in trainer {
        assert!(step.unwrap().loss.is_finite());
    }
    println!("bytes {}", peak() - before);
}

/// What a test of this file prints when it is run in a process of its own, for other tests hold memory too.
fn alone(test: &str) -> String {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&format!("memory::{test}"), "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{out}");
    out.into_owned()
}

/// Logits of 32,000 categories are 131 MB a batch of 8 × 128: training takes no more than four times that.
#[test]
fn a_large_vocabulary_takes_four_times_its_logits_at_most() {
    let out = alone("two_steps_of_a_large_vocabulary");
    let bytes = out.lines().find_map(|line| line.split("bytes ").nth(1)?.trim().parse::<usize>().ok());
    let logits = 4 * BATCH * LENGTH * VOCABULARY;
    let bytes = bytes.unwrap_or_else(|| panic!("{out}"));
    println!("{:.2} times the logits", bytes as f64 / logits as f64);
    assert!(bytes <= 4 * logits, "{bytes} bytes are {:.1} times the logits", bytes as f64 / logits as f64);
    assert!(bytes > logits, "{bytes} bytes cannot hold the logits: nothing was measured");
}

/// x̂ = α z: E[x | x_t] of standard normal data.
struct Plain(Gaussian);
impl Denoiser<2> for Plain {
    fn noise(&self) -> &dyn Noise<2> {
        &self.0
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        let c = Noise::<2>::path(&self.0).unwrap().at(t[0]);
        self.0.estimate(z.clone() * c.sigma, z, t)
    }
}

/// Run in a process of its own by the test below: trajectories of ten steps, then of a hundred, with every sampler.
#[test]
#[ignore = "a process of its own, for the test beside it"]
fn trajectories_of_ten_steps_and_of_a_hundred() {
    const NUMBERS: usize = 1 << 18;
    let model = Plain(Gaussian::new(OrnsteinUhlenbeck {}));
    let z = Rng::new(0).normal_tensor([NUMBERS / 2, 2], &Device::flex(), DType::F32);
    for sampler in super::samplers::all() {
        let run = |steps: usize| {
            let times = (0..=steps).map(|i| 0.9 - 0.8 * i as f64 / steps as f64).collect();
            let states = trajectory_from(&model, &*sampler, times, z.clone(), &Rng::new(0)).unwrap();
            assert_eq!(states.count(), steps + 1);
        };
        run(10);
        let before = peak();
        run(100);
        // Ninety steps more are 90 such tensors.
        let more = (peak() - before) as f64 / (4 * NUMBERS) as f64;
        println!("{more:.1} tensors: {sampler:?}");
        assert!(more < 8.0, "{sampler:?} holds {more:.0} tensors more in a hundred steps than in ten");
    }
}

/// The memory of a trajectory does not grow with its number of steps.
#[test]
fn a_hundred_steps_hold_no_more_than_ten() {
    let out = alone("trajectories_of_ten_steps_and_of_a_hundred");
    assert!(out.matches(" tensors: ").count() == super::samplers::all().len(), "{out}");
}

macro_rules! two_steps {
    ($($test:ident $net:literal $checkpointing:literal),*) => {$(
        #[test]
        #[ignore = "a process of its own, for the test beside it"]
        fn $test() {
            let before = peak();
            super::checkpointing::two_steps($net, $checkpointing);
            println!("bytes {}", peak() - before);
        }
    )*};
}
two_steps!(unet_plain "unet" false, unet_recomputed "unet" true, dit_plain "dit" false, dit_recomputed "dit" true);

/// Gradient checkpointing takes less than two thirds of the memory, and the counts of a footprint are within a factor of two.
#[test]
fn gradient_checkpointing_saves_memory() {
    for net in ["unet", "dit"] {
        let measure = |which: &str| {
            let out = alone(&format!("{net}_{which}"));
            let bytes = out.lines().find_map(|line| line.split("bytes ").nth(1)?.trim().parse::<usize>().ok());
            bytes.unwrap_or_else(|| panic!("{out}")) as f64
        };
        let (without, with) = (measure("plain"), measure("recomputed"));
        println!("{net}: {:.0} MB without, {:.0} MB with", without / 1e6, with / 1e6);
        assert!(with < 0.66 * without, "{net}: {with} bytes with, {without} without");
        let (counted, less) = super::checkpointing::counted(net);
        for (counted, found) in [(counted, without), (less, with)] {
            assert!((0.5..2.0).contains(&(found / counted)), "{net}: {found} bytes, {counted} counted");
        }
    }
}

//! What a training step on a large vocabulary takes at most, as the system counts it.
#![cfg(target_os = "linux")]
use burn::tensor::Device;
use tweedie::{
    Rng, data::Samples, loss::MaskedNelbo, model::Model, net::TransformerConfig, noise::Discrete,
    schedule::FlowMatching, train::Train,
};

const VOCABULARY: usize = 32_000;
const LENGTH: usize = 128;
const BATCH: usize = 8;

/// The most memory this process has held, in bytes.
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
    let net = TransformerConfig::new(VOCABULARY, LENGTH).width(32).depth(1).heads(2).tied(true);
    let net = net.init(&Rng::new(1), &Device::flex());
    let model = Model::new(Discrete::absorbing(FlowMatching {}, VOCABULARY, VOCABULARY - 1), net);
    let settings = Train { steps: 2, batch: BATCH, ..Train::default() };
    let before = peak();
    let trainer = model.train(&data, MaskedNelbo {}, settings).unwrap();
    for step in trainer {
        assert!(step.unwrap().loss.is_finite());
    }
    println!("bytes {}", peak() - before);
}

/// Logits of 32,000 categories are 131 MB a batch of 8 × 128: training takes no more than four times that.
#[test]
fn a_large_vocabulary_takes_four_times_its_logits_at_most() {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["memory::two_steps_of_a_large_vocabulary", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&run.stdout);
    let bytes = out.lines().find_map(|line| line.split("bytes ").nth(1)?.trim().parse::<usize>().ok());
    let logits = 4 * BATCH * LENGTH * VOCABULARY;
    let bytes = bytes.unwrap_or_else(|| panic!("{out}{}", String::from_utf8_lossy(&run.stderr)));
    println!("{:.2} times the logits", bytes as f64 / logits as f64);
    assert!(bytes <= 4 * logits, "{bytes} bytes are {:.1} times the logits", bytes as f64 / logits as f64);
    assert!(bytes > logits, "{bytes} bytes cannot hold the logits: nothing was measured");
}

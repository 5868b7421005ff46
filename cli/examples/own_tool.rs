//! A tool of one's own: a schedule, a loss and a net that recipes name like the built-in ones.
//!
//! ```text
//! cargo run --release -p tweedie-cli --example own_tool -- list schedule power
//! cargo run --release -p tweedie-cli --example own_tool -- train cli/examples/own_tool.toml
//! ```
use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Int, Tensor, activation::silu},
};
use serde::{Deserialize, Serialize};
use tweedie::{
    Dual, Error, Result, Rng,
    loss::{Batch, Loss, per_sample},
    net::{Classes, Net},
    schedule::Schedule,
};
use tweedie_cli::{Modules, NetConfig, Task};

/// Every built-in module and three more.
pub fn modules() -> Modules {
    Modules::default()
        .schedule::<Power>("power")
        .about("α = 1 − t^exponent")
        .loss::<Huber>("huber")
        .about("pseudo-Huber: squares near zero, distances beyond `width`")
        .net::<2, TinyConfig>("tiny")
        .about("one hidden layer, for points")
}

fn main() -> std::process::ExitCode {
    tweedie_cli::run(modules())
}

/// `α(t) = 1 − t^exponent`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Power {
    exponent: f64,
}
impl Default for Power {
    fn default() -> Self {
        Self { exponent: 2.0 }
    }
}
impl Schedule for Power {
    fn alpha(&self, t: Dual) -> Dual {
        1.0 - t.powf(self.exponent)
    }
    fn check(&self) -> Result<()> {
        if self.exponent > 0.0 {
            return Ok(());
        }
        Err(Error::invalid(format!("the `exponent` of power is positive, not {}", self.exponent)))
    }
}

/// √(gap² + width²) − width.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Huber {
    width: f64,
}
impl Default for Huber {
    fn default() -> Self {
        Self { width: 0.1 }
    }
}
impl<const D: usize> Loss<D> for Huber {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let gap = batch.prediction() - batch.target();
        per_sample((gap.square() + self.width.powi(2)).sqrt() - self.width)
    }
}

/// What the net is made of; data, classes and noise say the rest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TinyConfig {
    hidden: usize,
}
impl Default for TinyConfig {
    fn default() -> Self {
        Self { hidden: 64 }
    }
}
impl NetConfig<2> for TinyConfig {
    type Net = Tiny;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Tiny> {
        let layer = |from, to, purpose: &str| -> Linear {
            let mut layer = LinearConfig::new(from, to).init(device);
            // Weights are drawn by the run's own stream and not by a global one.
            let weight = rng.stream(purpose).normal_tensor([from, to], device, burn::tensor::DType::F32);
            layer.weight = burn::module::Param::from_tensor(weight * (from as f64).sqrt().recip());
            layer.bias = layer.bias.map(|bias| burn::module::Param::from_tensor(bias.val().zeros_like()));
            layer
        };
        let numbers = task.shape[0];
        // The point, the time, and a number for each class and for none.
        Ok(Tiny {
            hidden: layer(numbers + 2 + task.num_classes, self.hidden, "hidden"),
            last: layer(self.hidden, task.outputs * numbers, "last"),
            classes: task.num_classes,
        })
    }
}

/// Two layers that read the point, the time and the class.
#[derive(Module, Debug)]
struct Tiny {
    hidden: Linear,
    last: Linear,
    #[module(skip)]
    classes: usize,
}
impl Net<2> for Tiny {
    type Condition = Classes;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Classes) -> Tensor<2> {
        let (batch, all) = (z.dims()[0], self.classes + 1);
        let class = y.indices(batch, self.classes, &z.device()).reshape([batch, 1]).expand([batch, all]);
        let each = Tensor::<1, Int>::arange(0..all as i64, &z.device()).reshape([1, all]).expand([batch, all]);
        let input = Tensor::cat(vec![z, t.unsqueeze_dim(1), class.equal(each).float()], 1);
        self.last.forward(silu(self.hidden.forward(input)))
    }
}

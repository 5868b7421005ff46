//! A tool of one's own: a schedule, a transform, a loss and a net that recipes name like the built-in ones.
//!
//! ```text
//! cargo run --release -p tweedie-cli --example own_tool -- list schedule power
//! cargo run --release -p tweedie-cli --example own_tool -- train cli/examples/own_tool.toml
//! cargo run --release -p tweedie-cli --example own_tool -- schema > recipe.schema.json
//! ```
use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Int, Tensor, activation::silu},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{
    Dual, Error, Result, Rng,
    loss::{Batch, Loss, per_sample},
    net::{Conditions, Net},
    schedule::Schedule,
    transform::Transform,
};
use tweedie_cli::{Facts, Modules, NetConfig, Task, TransformConfig};

/// Every built-in module and four more, which recipes, errors, `list`, `schema`, `verify` and `compare` know like the others.
pub fn modules() -> Modules {
    Modules::default()
        .schedule::<Power>("power")
        .transform::<2, Rotation>("rotation")
        .loss::<Huber>("huber")
        .net::<2, TinyConfig>("tiny")
}

fn main() -> std::process::ExitCode {
    tweedie_cli::run(modules())
}

/// Flow matching along a power of time: α = 1 − t^exponent.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Power {
    /// The exponent of t.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
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
        Err(Error::invalid(format!("must be positive, got {}", self.exponent)).with_field("exponent"))
    }
}

/// Pseudo-Huber loss √(r² + width²) − width of the residual r: squared near zero, linear far from it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Huber {
    /// Size of the residual at which the loss turns from squared to linear.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
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

/// Points turned by an angle about the origin.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    /// The angle.
    #[schemars(extend("x-unit" = "radians"))]
    angle: f64,
}
impl TransformConfig<2> for Rotation {
    type Transform = Rotated;
    fn facts(&self, data: &Facts) -> Result<Facts> {
        Ok(data.clone())
    }
    fn init(&self, _: &Facts, _: &Rng, _: &Device) -> Result<Rotated> {
        Ok(Rotated { angle: self.angle })
    }
}

/// x = R(angle) raw.
#[derive(Module, Debug)]
struct Rotated {
    angle: f64,
}
impl Rotated {
    fn turn(points: Tensor<2>, angle: f64) -> Tensor<2> {
        let (sin, cos) = angle.sin_cos();
        let rotation = Tensor::<2>::from_floats([[cos, sin], [-sin, cos]], &points.device());
        points.matmul(rotation)
    }
}
impl Transform<2> for Rotated {
    type Raw = Tensor<2>;
    fn encode(&self, raw: Tensor<2>) -> Tensor<2> {
        Self::turn(raw, self.angle)
    }
    fn decode(&self, x: Tensor<2>) -> Tensor<2> {
        Self::turn(x, -self.angle)
    }
}

/// Network with one hidden layer, for points.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TinyConfig {
    /// Width of the hidden layer.
    #[schemars(range(min = 1))]
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
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        let (batch, all) = (z.dims()[0], self.classes + 1);
        let class = y.to_classes().indices(batch, self.classes, &z.device()).reshape([batch, 1]).expand([batch, all]);
        let each = Tensor::<1, Int>::arange(0..all as i64, &z.device()).reshape([1, all]).expand([batch, all]);
        let input = Tensor::cat(vec![z, t.unsqueeze_dim(1), class.equal(each).float()], 1);
        self.last.forward(silu(self.hidden.forward(input)))
    }
}

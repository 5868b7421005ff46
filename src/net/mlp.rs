//! A net for points.
use super::{
    Classes, Net,
    layers::{Linear, Told, dropout, silu},
    unet::check_common,
};
use crate::rng::Rng;
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

/// What an [`Mlp`] is made of.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, net::{Classes, MlpConfig, Net}};
/// let device = Device::flex();
/// let net = MlpConfig::new(2).hidden([128, 128]).init(&Rng::new(7), &device);
/// let y = net.forward(Tensor::ones([5, 2], &device), Tensor::ones([5], &device), &Classes::none());
/// assert_eq!(y.dims(), [5, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Numbers in a row of the data.
    pub features: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether a hidden layer adds to what it was given, wherever the one before is as wide.
    pub residual: bool,
    /// Classes that the net may be told, beside "none"; 0 for a net without classes.
    pub classes: usize,
    /// Probability that a hidden number is dropped in training.
    pub dropout: f64,
    /// Sines and cosines that describe the time: an even number.
    pub time_features: usize,
    /// Numbers given for each number of the data: 1, or 2 where the variance is learned.
    pub outputs: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            features: 2,
            hidden: vec![256, 256, 256],
            residual: true,
            classes: 0,
            dropout: 0.0,
            time_features: 64,
            outputs: 1,
        }
    }
}

impl MlpConfig {
    /// A net for rows of `features` numbers.
    pub fn new(features: usize) -> Self {
        Self { features, ..Self::default() }
    }
    /// Widths of the hidden layers.
    pub fn hidden(self, hidden: impl Into<Vec<usize>>) -> Self {
        Self { hidden: hidden.into(), ..self }
    }
    /// Whether hidden layers add to what they were given.
    pub fn residual(self, residual: bool) -> Self {
        Self { residual, ..self }
    }
    /// Classes that the net may be told.
    pub fn classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }
    /// Probability of dropping a number in training.
    pub fn dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }
    /// Sines and cosines that describe the time.
    pub fn time_features(self, time_features: usize) -> Self {
        Self { time_features, ..self }
    }
    /// Numbers given for each number of the data.
    pub fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    /// Whether there is such a net.
    ///
    /// # Errors
    ///
    /// What is wrong and what would be right, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.features == 0 {
            return Err("features = 0, but a row of the data has at least one number".into());
        }
        if self.hidden.is_empty() || self.hidden.contains(&0) {
            return Err(format!(
                "hidden = {:?}, but there is at least one hidden layer and none of width 0: give widths, as [256, 256]",
                self.hidden
            ));
        }
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// The net a seed begins with: its output is exactly zero until it is trained.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) refuses.
    pub fn init(&self, rng: &Rng, device: &Device) -> Mlp {
        if let Err(reason) = self.check() {
            panic!("{reason}");
        }
        let told = self.hidden[0];
        let mut from = self.features;
        let mut layers = Vec::new();
        for (index, &to) in self.hidden.iter().enumerate() {
            let rng = rng.stream(&format!("hidden.{index}"));
            layers.push(Hidden {
                own: Linear::new(from, to, &rng.stream("own"), device),
                told: Linear::new(told, to, &rng.stream("told"), device),
                residual: self.residual && index > 0 && from == to,
            });
            from = to;
        }
        Mlp {
            told: Told::new(self.time_features, self.classes, told, &rng.stream("told"), device),
            hidden: layers,
            last: Linear::zero(from, self.outputs * self.features, device),
            dropout: self.dropout,
        }
    }
}

/// Layers `h ← silu(W h + V e)`, with e telling time and class, and a last layer that begins at zero.
///
/// With `residual` a layer adds that to h wherever the widths agree.
#[derive(Module, Debug)]
pub struct Mlp {
    told: Told,
    hidden: Vec<Hidden>,
    last: Linear,
    dropout: f64,
}

#[derive(Module, Debug)]
struct Hidden {
    own: Linear,
    told: Linear,
    residual: bool,
}

impl Mlp {
    fn run(&self, z: Tensor<2>, t: Tensor<1>, y: &Classes, mut rng: Option<Rng>) -> Tensor<2> {
        let told = silu(self.told.forward(t, y));
        let mut x = z;
        for layer in &self.hidden {
            let h =
                dropout(silu(layer.own.forward(x.clone()) + layer.told.forward(told.clone())), self.dropout, &mut rng);
            x = if layer.residual { x + h } else { h };
        }
        self.last.forward(x)
    }
}

impl Net<2> for Mlp {
    type Condition = Classes;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Classes) -> Tensor<2> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<2>, t: Tensor<1>, y: &Classes, rng: &Rng) -> Tensor<2> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
}

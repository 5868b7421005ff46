//! The multilayer perceptron (MLP) for vectors.
use super::{
    Conditions, Net, Task,
    config::{check_common, check_fits, check_positive, setters, takes_conditions},
    embed::{Embedders, check_conditions},
    layers::{Linear, TimeClassEmbedding, dropout, silu},
};
use crate::{
    condition::ConditionSpec,
    error::{Error, Result},
    rng::Rng,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

/// Configuration of an [`Mlp`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, net::{Conditions, MlpConfig, Net}};
/// let device = Device::flex();
/// let net = MlpConfig::new(2).with_hidden([128, 128]).init(&Rng::new(7), &device)?;
/// let y = net.forward(Tensor::ones([5, 2], &device), Tensor::ones([5], &device), &Conditions::none());
/// assert_eq!(y.dims(), [5, 2]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Values of a data vector.
    #[serde(skip)]
    pub features: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether a hidden layer as wide as the one before adds its output to its input.
    pub residual: bool,
    /// Number of classes, not counting "none"; 0 for an unconditional net.
    #[serde(skip)]
    pub num_classes: usize,
    /// Conditions besides the class.
    #[serde(skip)]
    pub conditions: Vec<ConditionSpec>,
    /// Dropout probability of the hidden values in training.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// Sines and cosines of the time, together; an even number.
    #[schemars(range(min = 2))]
    pub time_features: usize,
    /// Outputs per value of the data: 1, or 2 if the variance is learned.
    #[serde(skip)]
    pub outputs: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            features: 2,
            hidden: vec![256, 256, 256],
            residual: true,
            num_classes: 0,
            conditions: vec![],
            dropout: 0.0,
            time_features: 64,
            outputs: 1,
        }
    }
}

setters!(MlpConfig:
    with_hidden hidden impl Into<Vec<usize>>,
    with_residual residual bool,
    with_num_classes num_classes usize,
    with_dropout dropout f64,
    with_time_features time_features usize,
    with_outputs outputs usize,
);
takes_conditions!(MlpConfig);

impl MlpConfig {
    /// A net for vectors of `features` values.
    pub fn new(features: usize) -> Self {
        Self { features, ..Self::default() }
    }

    /// Takes `features`, `num_classes`, `conditions` and `outputs` from the task.
    pub fn fit(self, task: &Task<'_>) -> Self {
        Self {
            features: task.size(0),
            num_classes: task.num_classes,
            conditions: task.conditions.to_vec(),
            outputs: task.outputs,
            ..self
        }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// With the field that is not allowed.
    pub fn check(&self) -> Result<()> {
        check_positive(&[("features", self.features)])?;
        if self.hidden.is_empty() || self.hidden.contains(&0) {
            let problem = format!("must give the width of at least one hidden layer and no 0, got {:?}", self.hidden);
            return Err(Error::invalid(problem).with_field("hidden").with_remedy("for example [256, 256]"));
        }
        check_conditions("mlp", &self.conditions, None, false)?;
        check_common(self.time_features, self.dropout, self.outputs)
    }

    /// Initializes the net from a seed; its output is exactly zero before training.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, rng: &Rng, device: &Device) -> Result<Mlp> {
        self.check()?;
        let cond_width = self.hidden[0];
        let mut from = self.features;
        let mut layers = Vec::new();
        for (index, &to) in self.hidden.iter().enumerate() {
            let rng = rng.stream(&format!("hidden.{index}"));
            layers.push(Hidden {
                linear: Linear::new(from, to, &rng.stream("own"), device),
                cond: Linear::new(cond_width, to, &rng.stream("told"), device),
                residual: self.residual && index > 0 && from == to,
            });
            from = to;
        }
        let rng = rng.stream("told");
        let conditions =
            Embedders::new(self.num_classes, &self.conditions, cond_width, 0, &rng.stream("conditions"), device);
        Ok(Mlp {
            conditions,
            cond: TimeClassEmbedding::new(self.time_features, self.num_classes, cond_width, &rng, device),
            hidden: layers,
            last: Linear::zero(from, self.outputs * self.features, device),
            dropout: self.dropout,
        })
    }
}

/// Multilayer perceptron: hidden layers `h ← silu(W h + V e)`, with e the embedding of time, class and vectors, and a linear output
/// layer that is initially zero.
///
/// With `residual`, `h ← h + silu(W h + V e)` wherever the widths agree.
///
/// # Shapes
///
/// `z: [batch, features]` → `[batch, outputs · features]`.
#[derive(Module, Debug)]
pub struct Mlp {
    conditions: Embedders,
    cond: TimeClassEmbedding,
    hidden: Vec<Hidden>,
    last: Linear,
    dropout: f64,
}

#[derive(Module, Debug)]
struct Hidden {
    linear: Linear,
    cond: Linear,
    residual: bool,
}

impl Mlp {
    fn run(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions, mut rng: Option<Rng>) -> Tensor<2> {
        let cond = silu(self.conditions.with_time(&self.cond, t, y));
        let mut x = z;
        for layer in &self.hidden {
            let h = silu(layer.linear.forward(x.clone()) + layer.cond.forward(cond.clone()));
            let h = dropout(h, self.dropout, &mut rng);
            x = if layer.residual { x + h } else { h };
        }
        self.last.forward(x)
    }
}

impl Net<2> for Mlp {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        self.run(z, t, y, None)
    }
    fn forward_train(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions, rng: &Rng) -> Tensor<2> {
        self.run(z, t, y, Some(rng.stream("dropout")))
    }
    fn check_condition(&self, y: &Conditions, rows: usize) -> Result<()> {
        self.conditions.check(y, rows)
    }
    fn output_shape(&self, [rows, features]: [usize; 2], _: &Conditions) -> Result<[usize; 2]> {
        check_fits("features", self.hidden[0].linear.weight.dims()[0], features, "values")?;
        Ok([rows, self.last.weight.dims()[1]])
    }
}

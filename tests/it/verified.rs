//! Laws of nets and of losses: what holds is said to hold, and what is broken is named.
use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use tweedie::{
    Rng,
    laws::{self, Check},
    loss::{Batch, CrossEntropy, Loss, Simple, Vlb, per_sample},
    net::{Classes, Conditions, Mlp, MlpConfig, Net, UNetConfig},
    noise::{Discrete, Gaussian, Noise, Prediction, Variance},
    schedule::{FlowMatching, Linear},
};

fn broken(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.law).collect()
}

fn normals<const D: usize>(shape: [usize; D], dtype: DType) -> Tensor<D> {
    Rng::new(1).normal_tensor(shape, &Device::flex(), dtype)
}

#[test]
fn nets_obey_their_laws() {
    let device = Device::flex();
    let unet = UNetConfig::new(1, [8, 16])
        .with_num_classes(3)
        .with_outputs(2)
        .with_dropout(0.1)
        .init(&Rng::new(0), &device)
        .unwrap();
    let checks = laws::net(&unet, &normals([3, 1, 8, 8], DType::F32), &Conditions::classes([0, 1, 2]), [3, 2, 8, 8]);
    assert!(broken(&checks).is_empty() && checks.len() > 7, "{checks:#?}");
    let told = |classes: Conditions| {
        let net = MlpConfig::new(2).with_num_classes(2).init(&Rng::new(0), &device).unwrap();
        laws::net(&net, &normals([3, 2], DType::F32), &classes, [3, 2]).len()
    };
    // A net that is told nothing is not asked to listen.
    assert_eq!(told(Conditions::classes([0, 1, 1])), told(Conditions::none()) + 8);
}

/// A net that forgets something.
#[derive(Module, Debug)]
struct Forgetful {
    net: Mlp,
    unused: Mlp,
    #[module(skip)]
    what: usize,
}
impl Net<2> for Forgetful {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        match self.what {
            0 => self.net.forward(z, t.zeros_like(), y),
            1 => self.net.forward(z, t, &Conditions::none()),
            2 => self.net.forward(z.zeros_like(), t, y),
            3 => self.net.forward(z.clone(), t, y) + z.mean_dim(0),
            4 => self.net.forward(z, t, y).repeat_dim(1, 2),
            5 => self.net.forward(z, t.log().reshape([-1]), y),
            6 => {
                let rows = t.dims()[0];
                self.net.forward(z, t.narrow(0, 0, 1).expand([rows]), y)
            }
            7 => {
                self.net.forward(z, t, &Classes(y.to_classes().0.iter().map(|class| class.map(|_| 0)).collect()).into())
            }
            8 => self.net.forward(
                z,
                t,
                &Classes(y.to_classes().0.iter().map(|class| class.filter(|class| *class != 2)).collect()).into(),
            ),
            _ => self.net.forward(z, t, y),
        }
    }
}

#[test]
fn a_net_that_breaks_a_law_is_named() {
    let cases = [
        "output depends on t",
        "output depends on the condition",
        "output depends on x_t",
        "a row does not depend on the rest of the batch",
        "output has the expected shape",
        "output is finite",
        "a row uses its own t",
        "different conditions give different outputs",
        "a gradient reaches the parameters of each condition",
    ];
    for (what, law) in cases.into_iter().enumerate() {
        let net = || MlpConfig::new(2).with_num_classes(3).init(&Rng::new(0), &Device::flex()).unwrap();
        let net = Forgetful { net: net(), unused: net(), what };
        let checks = laws::net(&net, &normals([3, 2], DType::F32), &Conditions::classes([0, 1, 2]), [3, 2]);
        assert!(broken(&checks).contains(&law), "{what}: {:?}", broken(&checks));
        if what != 2 && what != 4 {
            // The second net is never asked.
            let reached = checks.iter().find(|check| check.law == "a gradient reaches every parameter").unwrap();
            assert!(!reached.holds() && reached.place.starts_with("unused."), "{reached}");
        }
    }
}

#[test]
fn losses_obey_their_laws() {
    let x = normals([8, 3], DType::F64);
    for prediction in Prediction::ALL {
        let noise = Gaussian::new(Linear::new(100)).with_prediction(prediction);
        for loss in [&Simple {} as &dyn Loss<2>, &Vlb::new(0), &Vlb::new(0).with_train_mean()] {
            let checks = [laws::loss(loss, &noise, &x), laws::zero_if_perfect(loss, &noise, &x)].concat();
            assert!(broken(&checks).is_empty(), "{loss:?}, {prediction}: {checks:#?}");
        }
    }
    let learned = Gaussian::new(Linear::new(100)).with_variance(Variance::Learned);
    for loss in [&Simple {} as &dyn Loss<2>, &Vlb::new(0).with_train_mean()] {
        let checks = laws::loss(loss, &learned, &x);
        assert!(broken(&checks).is_empty(), "{loss:?}, learned: {checks:#?}");
    }
    let flow = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity);
    assert!(broken(&laws::loss::<2>(&Simple {}, &flow, &x)).is_empty());

    let hot = tweedie::distribution::one_hot(Tensor::<2>::from_data([[0.0], [2.0], [1.0], [0.0]], &Device::flex()), 3);
    for noise in [Discrete::uniform(Linear::new(100), 3), Discrete::absorbing(Linear::new(100), 4, 3)] {
        let k = Noise::<2>::categories(&noise).unwrap().k;
        let hot = hot.clone().pad([(0, 0), (0, k - 3)], 0.0).cast(DType::F64);
        for loss in [&CrossEntropy {} as &dyn Loss<2>, &Vlb::new(0)] {
            let checks = laws::loss(loss, &noise, &hot);
            assert!(broken(&checks).is_empty(), "{loss:?}, {noise:?}: {checks:#?}");
        }
    }
}

/// A loss with a flaw.
#[derive(Debug)]
struct Flawed(usize);
impl<const D: usize> Loss<D> for Flawed {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let gap = batch.prediction() - batch.target();
        match self.0 {
            0 => per_sample((gap + 0.1).square()),
            1 => per_sample(-gap.square()),
            2 => {
                let left = TensorData::new(batch.t.iter().map(|t| 1.0 - t).collect::<Vec<_>>(), [batch.t.len()]);
                per_sample(gap.square()) / Tensor::from_data(left, (&batch.x.device(), batch.x.dtype()))
            }
            3 => gap.square().mean(),
            _ => per_sample(gap.square()) + batch.x.clone().mean().reshape([1]),
        }
    }
}

#[test]
fn a_loss_that_breaks_a_law_is_named() {
    let x = normals([8, 3], DType::F64);
    let noise = Gaussian::new(Linear::new(100));
    let cases = [
        "a perfect model has no gradient",
        "no model does better than a perfect one",
        "finite at the ends",
        "one number per row",
        "a row's loss is its own",
    ];
    for (flaw, law) in cases.into_iter().enumerate() {
        let checks = laws::loss::<2>(&Flawed(flaw), &noise, &x);
        assert!(broken(&checks).contains(&law), "{flaw}: {checks:#?}");
    }
    assert!(!broken(&laws::zero_if_perfect::<2>(&Flawed(0), &noise, &x)).is_empty());
}

//! Helpers that several tests share.
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{DType, Device, Tensor, TensorData},
};
use tweedie::{
    Rng,
    condition::ConditionSpec,
    denoise::Denoiser,
    exact::{ComponentCovariance, Mixture},
    laws::Check,
    net::{Classes, Conditions, Net, PixelsConfig, Task, UNetConfig},
    noise::Gaussian,
    sample::{Sampler, TimeStep},
};

/// The CPU.
pub fn device() -> Device {
    Device::flex()
}

/// The values of a tensor in double precision.
pub fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.try_into_vec_as::<f64>().unwrap()
}
/// The values of a tensor in single precision.
pub fn floats<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().expect("single precision")
}
/// The bits of a tensor in single precision.
pub fn bits<const D: usize>(x: Tensor<D>) -> Vec<u32> {
    floats(x).into_iter().map(f32::to_bits).collect()
}

/// The largest absolute difference between two tensors; NaN if either holds one.
pub fn gap<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    let gaps = numbers(a).into_iter().zip(numbers(b)).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, |most, gap| if gap > most || gap.is_nan() { gap } else { most })
}
/// Whether two slices have the same length and differ by at most `allowed` at each index.
pub fn near<T: Copy + Into<f64>>(a: &[T], b: &[T], allowed: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| ((*a).into() - (*b).into()).abs() <= allowed)
}

/// Fails with every check that does not hold, and if there is no check at all.
pub fn all_hold(name: &str, checks: Vec<Check>) {
    assert!(!checks.is_empty(), "{name}: nothing was measured");
    let failed: Vec<String> = checks.iter().filter(|check| !check.holds()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{name}: {}", failed.join("\n"));
}

/// Points of the plane in double precision: `[N, 2]`.
pub fn points(rows: impl AsRef<[[f64; 2]]>) -> Tensor<2> {
    let rows = rows.as_ref();
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), (&device(), DType::F64))
}
/// Standard normal values, by a stream of this name.
pub fn normal<const D: usize>(purpose: &str, shape: [usize; D]) -> Tensor<D> {
    Rng::new(3).stream(purpose).normal_tensor(shape, &device(), DType::F32)
}
/// Category indices below 10: `[rows, length, 1]`.
pub fn tokens(rows: usize, length: usize) -> Tensor<3> {
    let uniform: Tensor<3> = Rng::new(3).stream("tokens").uniform_tensor([rows, length, 1], &device(), DType::F32);
    (uniform * 10.0).floor()
}
/// n different times in [0, 1).
pub fn times(n: usize) -> Tensor<1> {
    let times: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37 + 0.1) % 1.0).collect();
    Tensor::from_data(times.as_slice(), &device())
}
/// Classes 0 to 2; one row in four is unconditional.
pub fn labels(n: usize) -> Conditions {
    Classes((0..n as u32).map(|i| (i % 4 != 3).then_some(i % 3)).collect()).into()
}

/// Random values of conditions.
pub fn random_conditions(specs: &[ConditionSpec], rows: usize) -> Conditions {
    let random = |spec: &ConditionSpec| spec.random(rows, &Rng::new(5).stream(&spec.name));
    specs.iter().fold(Conditions::none(), |y, spec| y.with(&spec.name, random(spec)))
}
/// A net for images of 5 × 5 pixels of four categories with three classes, and three noisy ones.
pub fn pixels(rng: &Rng) -> (impl Net<3, Condition = Conditions> + use<>, Tensor<3>) {
    let pixels = PixelsConfig { unet: UNetConfig::new(1, [8, 8]).with_blocks(1), ..PixelsConfig::default() };
    let task = Task {
        shape: &[25, 1],
        num_classes: 3,
        conditions: &[],
        outputs: 1,
        categories: Some(4),
        image: Some([1, 5, 5]),
    };
    (pixels.fit(&task).unwrap().init(rng, &device()).unwrap(), tokens(3, 25).remainder_scalar(4))
}

/// The mixture of three components in the plane that the reference numbers are for.
pub fn mixture(noise: Gaussian) -> Mixture {
    let full = |[a, b, c]: [f64; 3]| ComponentCovariance::Full(vec![vec![a, b], vec![b, c]]);
    Mixture::new(
        noise,
        vec![
            (0.5, vec![-2.0, 0.0], full([0.3, 0.1, 0.2])),
            (0.3, vec![1.5, 1.0], full([0.2, 0.0, 0.5])),
            (0.2, vec![0.5, -2.0], full([0.1, -0.05, 0.15])),
        ],
    )
    .unwrap()
}
/// √2 cos(1.3 i + 0.7 j + 0.2) for row i and column j: the latents of the reference runs.
pub fn latents() -> Tensor<2> {
    let at = |i: usize, j: usize| 2f64.sqrt() * (1.3 * i as f64 + 0.7 * j as f64 + 0.2).cos();
    points(std::array::from_fn::<_, 8, _>(|i| [at(i, 0), at(i, 1)]))
}
/// The last point of a trajectory through `times`, without the denoised estimate that ends it.
pub fn final_point(sampler: &dyn Sampler<2>, model: &dyn Denoiser<2>, times: &[f64], mut z: Tensor<2>) -> Tensor<2> {
    let mut state = sampler.start(model.noise()).expect("the sampler fits the noise");
    for at in TimeStep::along(times) {
        z = state.step(model, z, at, &mut Rng::new(0));
    }
    z
}
/// n uniform steps from 1 to 0.
pub fn even(n: usize) -> Vec<f64> {
    (0..=n).rev().map(|i| i as f64 / n as f64).collect()
}

/// The module with noise of standard deviation 0.05 added to every parameter, so that none is zero.
pub fn moved<M: Module>(net: M) -> M {
    struct Move(Rng);
    impl ModuleMapper for Move {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|x| x.clone() + self.0.normal_tensor(x.dims(), &x.device(), DType::F32) * 0.05)
        }
    }
    net.map(&mut Move(Rng::new(5).stream("moved")))
}
/// The bits of the gradient of the output's mean square by each parameter, with the parameter's name.
pub fn slopes<const D: usize, N: Net<D, Condition = Conditions>>(
    net: &N,
    z: Tensor<D>,
) -> Vec<(String, Option<Vec<u32>>)> {
    struct Collect(GradientsParams, Vec<(String, Option<Vec<u32>>)>, Vec<String>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push((self.2.join("."), self.0.get::<D>(param.id).map(bits)));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.2.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.2.pop();
        }
    }
    let net = net.clone().train();
    let batch = z.dims()[0];
    let z = Tensor::from_data(z.into_data(), &device().autodiff());
    let t = Tensor::from_data(times(batch).into_data(), &device().autodiff());
    let y = net.forward_train(z, t, &labels(batch), &Rng::new(11));
    let grads = GradientsParams::from_grads((y.clone() * y).mean().backward(), &net);
    let mut collect = Collect(grads, vec![], vec![]);
    net.visit(&mut collect);
    collect.1
}
/// `work` on a pool of so many threads.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
}

/// The rows of a file of reference numbers in tests/data: columns separated by ` | `, without the comments.
pub fn reference(text: &str) -> Vec<Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(" | ").collect()).collect()
}

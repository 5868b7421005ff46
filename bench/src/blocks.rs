//! Times blocks of nets: `blocks [FILTER]` prints one JSON line per block whose name contains FILTER, forward (`fwd`) and forward and
//! backward together (`fwdbwd`). The PyTorch counterpart is `bench/torch_blocks.py`.
mod timing;

use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use timing::time;
use tweedie::{
    Rng,
    net::{Conditions, CrossAttention, Edm2Config, Net, Sequence, layers::Conv},
};

fn normal<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let values = Rng::new(seed).normals(1, shape.iter().product()).into_iter().map(|x| x as f32).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Times a block on `x`, without and with gradients of `x` and the parameters.
fn both<M: Module, const D: usize>(name: &str, block: &M, shape: [usize; D], f: impl Fn(&M, Tensor<D>) -> Tensor<D>) {
    let device = Device::flex();
    let x = normal(shape, 1, &device);
    time(&format!("{name}_fwd"), 9, || f(block, x.clone()));
    let (block, device) = (block.clone().train(), device.autodiff());
    let (x, g) = (normal(shape, 1, &device).require_grad(), normal(shape, 3, &device));
    time(&format!("{name}_fwdbwd"), 7, || (f(&block, x.clone()) * g.clone()).sum().backward());
}

fn main() {
    let (rng, device) = (Rng::new(0), Device::flex());
    let cross = CrossAttention::new(128, 128, 4, &rng, &device);
    both("cross_attention_16x256x128_24", &cross, [16, 256, 128], |cross, x| {
        let tokens = normal([16, 24, 128], 2, &x.device());
        let padding: Vec<bool> = (0..16 * 24).map(|i| i % 24 > 8 + i / 24).collect();
        let padding = Tensor::from_data(TensorData::new(padding, [16, 24]), &x.device());
        cross.forward(x, &Sequence { tokens, padding }, 0.0, &mut None)
    });
    let line = Conv::<3>::new([64, 64], 3, &rng, &device);
    both("conv1d_32x64x1024", &line, [32, 64, 1024], |conv, x| conv.forward(x));
    let volume = Conv::<5>::new([32, 32], 3, &rng, &device);
    both("conv3d_4x32x16x16x16", &volume, [4, 32, 16, 16, 16], |conv, x| conv.forward(x));
    let edm2 = Edm2Config::new(32, [64]).with_blocks(1).init(&rng, &device).expect("an allowed configuration");
    both("edm2_16x64x16x16", &edm2, [16, 32, 16, 16], |net, x| {
        let t = Tensor::ones([16], &x.device()) * 0.5;
        net.forward(x, t, &Conditions::none())
    });
}

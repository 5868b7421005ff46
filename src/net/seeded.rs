//! Initial weights of layers that draw from the device's own generator, such as those of `burn::nn`.
use crate::{error::Result, rng::Rng};
use burn::{
    module::{Flag, Module, ModuleVisitor, Param},
    tensor::{Bool, Device, Int, Tensor},
};
use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, TryLockError},
};

/// Builds a module whose initial weights depend on `rng` alone, also where its layers draw them from the device's own generator.
///
/// The layers of `burn::nn` draw their weights, and some of them only when they are first used, from a generator that the whole
/// process shares. Here that generator is seeded from `rng`, one thread at a time, and every parameter is initialized before it is
/// released. The layers of [`layers`](super::layers) take an [`Rng`] and need none of this.
///
/// A [`Trainer`](crate::train::Trainer) does it for parameters that have not been used yet, with the seed of the run, and the
/// command line for every net and transform that it builds.
///
/// ```
/// use tweedie::burn::{module::Module, nn::{Linear, LinearConfig}, tensor::Device};
/// use tweedie::{Rng, net::seeded};
/// let build = |seed| {
///     let rng = Rng::new(seed).stream("weights");
///     seeded(&rng, &Device::flex(), |device| LinearConfig::new(3, 2).init(device))
/// };
/// let weights = |net: Linear| net.weight.val().into_data();
/// assert_eq!(weights(build(1)), weights(build(1)));
/// assert_ne!(weights(build(1)), weights(build(2)));
/// ```
#[doc(alias("manual_seed", "seed_everything", "set_seed"))]
pub fn seeded<M: Module>(rng: &Rng, device: &Device, build: impl FnOnce(&Device) -> M) -> M {
    with_generator(rng, device, || initialized(build(device)))
}

/// [`seeded`] for a module whose construction can fail.
///
/// # Errors
///
/// Those of `build`.
pub fn try_seeded<M: Module>(rng: &Rng, device: &Device, build: impl FnOnce(&Device) -> Result<M>) -> Result<M> {
    with_generator(rng, device, || build(device).map(initialized))
}

static GENERATOR: Mutex<()> = Mutex::new(());
thread_local! {
    /// Whether this thread holds the generator, so that one `seeded` may contain another.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f` with the device's own generator seeded from `rng`, while no other thread does the same.
pub(crate) fn with_generator<R>(rng: &Rng, device: &Device, f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            HELD.set(self.0);
        }
    }
    let held = HELD.get();
    let _lock = (!held).then(lock);
    let _restore = Restore(HELD.replace(true));
    let words = rng.stream("generator").words(1, 2);
    device.seed(u64::from(words[0]) << 32 | u64::from(words[1]));
    f()
}

/// Waits for the generator; a thread of a pool works on other jobs of the pool meanwhile, which its holder may be waiting for.
fn lock() -> MutexGuard<'static, ()> {
    loop {
        match GENERATOR.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
            }
        }
    }
}

/// The module with all its parameters initialized, in the order in which they are visited.
fn initialized<M: Module>(module: M) -> M {
    struct Initialize;
    impl ModuleVisitor for Initialize {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            param.val();
        }
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            param.val();
        }
        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
            param.val();
        }
    }
    module.visit(&mut Initialize);
    module
}

/// Whether a parameter has not been initialized yet.
pub(crate) fn is_lazy(module: &impl Module) -> bool {
    struct Find(bool);
    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= !param.is_initialized();
        }
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            self.0 |= !param.is_initialized();
        }
        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
            self.0 |= !param.is_initialized();
        }
    }
    let mut find = Find(false);
    module.visit(&mut find);
    find.0
}

/// Whether a layer of `burn::nn` behaves otherwise in training, as dropout does, which draws from the device's own generator.
pub(crate) fn has_training_layers(module: &impl Module) -> bool {
    struct Find(bool);
    impl ModuleVisitor for Find {
        fn visit_flag(&mut self, flag: &Param<Flag>) {
            self.0 |= flag.val().is_enabled();
        }
    }
    let mut find = Find(false);
    module.visit(&mut find);
    find.0
}

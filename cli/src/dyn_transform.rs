//! Transforms behind a type that a net can be trained with without knowing them.
use crate::{data::Facts, registry::settings::TransformConfig};
use burn::{
    module::{Content, Devices, Flag, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param},
    tensor::{Bool, Device, Int, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{any::Any, fmt::Debug};
use tweedie::{
    Result, Rng,
    denoise::Denoiser,
    transform::{Identity, Transform},
};

/// Type-erased settings of a transform.
pub(crate) trait TransformBuilder<const D: usize> {
    /// What is known of x, given what is known of the data.
    fn facts(&self, data: &Facts) -> Result<Facts>;
    fn init(&self, data: &Facts, rng: &Rng, device: &Device) -> Result<DynTransform<D>>;
}
impl<const D: usize, C: TransformConfig<D>> TransformBuilder<D> for C {
    fn facts(&self, data: &Facts) -> Result<Facts> {
        TransformConfig::facts(self, data)
    }
    fn init(&self, data: &Facts, rng: &Rng, device: &Device) -> Result<DynTransform<D>> {
        let transform = TransformConfig::init(self, data, rng, device)?;
        Ok(DynTransform(Box::new(Configured { config: self.clone(), transform })))
    }
}

/// Settings of no transform: data are noised as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Untransformed {}
impl<const D: usize> TransformConfig<D> for Untransformed {
    type Transform = Identity;
    fn facts(&self, data: &Facts) -> Result<Facts> {
        Ok(data.clone())
    }
    fn init(&self, _: &Facts, _: &Rng, _: &Device) -> Result<Identity> {
        Ok(Identity {})
    }
}

/// A type-erased transform: a burn module that forwards to the inner one and keeps its parameter names.
#[derive(Debug)]
pub(crate) struct DynTransform<const D: usize>(Box<dyn AnyTransform<D>>);

impl<const D: usize> DynTransform<D> {
    /// The denoiser to sample with.
    pub fn denoiser<'a>(&'a self, model: Box<dyn Denoiser<D> + 'a>) -> Box<dyn Denoiser<D> + 'a> {
        self.0.denoiser(model)
    }
}
impl<const D: usize> Transform<D> for DynTransform<D> {
    type Raw = Tensor<D>;
    fn encode(&self, raw: Tensor<D>) -> Tensor<D> {
        self.0.encode(raw)
    }
    fn decode(&self, x: Tensor<D>) -> Tensor<D> {
        self.0.decode(x)
    }
    fn as_any(&self) -> &dyn Any {
        self.0.inside()
    }
}

/// A transform and the settings that it was made from.
#[derive(Clone, Debug)]
struct Configured<C, T> {
    config: C,
    transform: T,
}

/// The methods of [`Transform`] and of [`Module`] in a form that a trait object has.
trait AnyTransform<const D: usize>: Debug + Send {
    fn encode(&self, raw: Tensor<D>) -> Tensor<D>;
    fn decode(&self, x: Tensor<D>) -> Tensor<D>;
    fn inside(&self) -> &dyn Any;
    fn denoiser<'a>(&'a self, model: Box<dyn Denoiser<D> + 'a>) -> Box<dyn Denoiser<D> + 'a>;
    fn cloned(&self) -> Box<dyn AnyTransform<D>>;
    fn collect_devices(&self, devices: Devices) -> Devices;
    fn visit(&self, visitor: &mut dyn AnyVisitor);
    fn changed(self: Box<Self>, change: Change<'_>) -> Box<dyn AnyTransform<D>>;
}
/// The methods of [`Module`] that make another module of one.
enum Change<'a> {
    Fork(&'a Device),
    Move(&'a Device),
    Train,
    Valid,
    Materialize,
    Map(&'a mut dyn AnyMapper),
}
impl<const D: usize, C: TransformConfig<D>> AnyTransform<D> for Configured<C, C::Transform> {
    fn encode(&self, raw: Tensor<D>) -> Tensor<D> {
        self.transform.encode(raw)
    }
    fn decode(&self, x: Tensor<D>) -> Tensor<D> {
        self.transform.decode(x)
    }
    fn inside(&self) -> &dyn Any {
        self.transform.as_any()
    }
    fn denoiser<'a>(&'a self, model: Box<dyn Denoiser<D> + 'a>) -> Box<dyn Denoiser<D> + 'a> {
        self.config.denoiser(&self.transform, model)
    }
    fn cloned(&self) -> Box<dyn AnyTransform<D>> {
        Box::new(self.clone())
    }
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.transform.collect_devices(devices)
    }
    fn visit(&self, visitor: &mut dyn AnyVisitor) {
        self.transform.visit(&mut Typed(visitor));
    }
    fn changed(self: Box<Self>, change: Change<'_>) -> Box<dyn AnyTransform<D>> {
        let Self { config, transform } = *self;
        let transform = match change {
            Change::Fork(device) => transform.fork(device),
            Change::Move(device) => transform.to_device(device),
            Change::Train => transform.train(),
            Change::Valid => transform.valid(),
            Change::Materialize => transform.materialize(),
            Change::Map(mapper) => transform.map(&mut Typed(mapper)),
        };
        Box::new(Self { config, transform })
    }
}

impl<const D: usize> Clone for DynTransform<D> {
    fn clone(&self) -> Self {
        Self(self.0.cloned())
    }
}
impl<const D: usize> Module for DynTransform<D> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }
    fn fork(self, device: &Device) -> Self {
        Self(self.0.changed(Change::Fork(device)))
    }
    fn to_device(self, device: &Device) -> Self {
        Self(self.0.changed(Change::Move(device)))
    }
    fn train(self) -> Self {
        Self(self.0.changed(Change::Train))
    }
    fn valid(&self) -> Self {
        Self(self.0.cloned().changed(Change::Valid))
    }
    fn materialize(self) -> Self {
        Self(self.0.changed(Change::Materialize))
    }
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.0.visit(visitor);
    }
    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Self(self.0.changed(Change::Map(mapper)))
    }
}
impl<const D: usize> ModuleDisplayDefault for DynTransform<D> {
    fn content(&self, content: Content) -> Option<Content> {
        Some(content.set_top_level_type(&format!("{:?}", self.0)))
    }
}
impl<const D: usize> ModuleDisplay for DynTransform<D> {}

/// A [`ModuleVisitor`] as a trait object: parameters are handed to it without their type.
trait AnyVisitor {
    fn parameter(&mut self, parameter: &dyn Any);
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
}
/// A [`ModuleMapper`] as a trait object.
trait AnyMapper {
    fn parameter(&mut self, parameter: Box<dyn Any>) -> Box<dyn Any>;
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
}

/// Calls `$each` with every type of parameter that burn has and the method of visitors and mappers for it.
macro_rules! types_of_parameters {
    ($each:ident) => {
        $each!(Flag, visit_flag, map_flag);
        types_of_parameters!($each 1 2 3 4 5 6 7 8);
    };
    ($each:ident $($rank:literal)*) => {$(
        $each!(Tensor<$rank>, visit_float, map_float);
        $each!(Tensor<$rank, Int>, visit_int, map_int);
        $each!(Tensor<$rank, Bool>, visit_bool, map_bool);
    )*};
}
impl<V: ModuleVisitor> AnyVisitor for V {
    fn parameter(&mut self, parameter: &dyn Any) {
        macro_rules! visit {
            ($type:ty, $visit:ident, $map:ident) => {
                if let Some(parameter) = parameter.downcast_ref::<Param<$type>>() {
                    return self.$visit(parameter);
                }
            };
        }
        types_of_parameters!(visit);
        unreachable!("a tensor has 1 to 8 axes")
    }
    fn enter(&mut self, name: &str, container: &str) {
        self.enter_module(name, container);
    }
    fn exit(&mut self, name: &str, container: &str) {
        self.exit_module(name, container);
    }
}
impl<M: ModuleMapper> AnyMapper for M {
    fn parameter(&mut self, parameter: Box<dyn Any>) -> Box<dyn Any> {
        let mut parameter = parameter;
        macro_rules! map {
            ($type:ty, $visit:ident, $map:ident) => {
                match parameter.downcast::<Param<$type>>() {
                    Ok(parameter) => return Box::new(self.$map(*parameter)),
                    Err(other) => parameter = other,
                }
            };
        }
        types_of_parameters!(map);
        let _ = parameter;
        unreachable!("a tensor has 1 to 8 axes")
    }
    fn enter(&mut self, name: &str, container: &str) {
        self.enter_module(name, container);
    }
    fn exit(&mut self, name: &str, container: &str) {
        self.exit_module(name, container);
    }
}

/// A trait object as the visitor or mapper that a module expects.
struct Typed<'a, T: ?Sized>(&'a mut T);
impl ModuleVisitor for Typed<'_, dyn AnyVisitor + '_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.0.parameter(parameter);
    }
    fn visit_int<const D: usize>(&mut self, parameter: &Param<Tensor<D, Int>>) {
        self.0.parameter(parameter);
    }
    fn visit_bool<const D: usize>(&mut self, parameter: &Param<Tensor<D, Bool>>) {
        self.0.parameter(parameter);
    }
    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.parameter(flag);
    }
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }
    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}
impl Typed<'_, dyn AnyMapper + '_> {
    fn mapped<P: 'static>(&mut self, parameter: P) -> P {
        let mapped = self.0.parameter(Box::new(parameter)).downcast();
        *mapped.unwrap_or_else(|_| unreachable!("a mapper keeps the type of a parameter"))
    }
}
impl ModuleMapper for Typed<'_, dyn AnyMapper + '_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.mapped(parameter)
    }
    fn map_int<const D: usize>(&mut self, parameter: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.mapped(parameter)
    }
    fn map_bool<const D: usize>(&mut self, parameter: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.mapped(parameter)
    }
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.mapped(flag)
    }
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }
    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

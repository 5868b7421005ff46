//! The parameters of a module as a list of named, flat tensors.
use crate::error::{Error, Result};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use tweedie_kernels::ops;

/// Named tensors, one per parameter, in the order in which a module visits them: weights, averages, gradients, moments.
#[doc(alias = "state_dict")]
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    entries: Vec<Entry>,
}
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    value: Tensor<1>,
    /// Whether this is the place of a gradient that there is none of.
    missing: bool,
}

/// The path of names from a module to the parameter being visited.
#[derive(Default)]
struct Path(Vec<String>);
impl Path {
    fn name(&self) -> String {
        self.0.join(".")
    }
}

impl Parameters {
    /// The weights of a module, detached from the gradient.
    pub fn of(module: &impl Module) -> Self {
        struct Visitor(Path, Vec<Entry>);
        impl ModuleVisitor for Visitor {
            fn enter_module(&mut self, name: &str, _: &str) {
                self.0.0.push(name.to_owned());
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.0.0.pop();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let value = param.val().detach();
                let value = if value.device().is_autodiff() { value.inner() } else { value };
                self.1.push(Entry {
                    name: self.0.name(),
                    shape: value.dims().to_vec(),
                    value: value.flatten(0, D - 1),
                    missing: false,
                });
            }
        }
        let mut visitor = Visitor(Path::default(), vec![]);
        module.visit(&mut visitor);
        Self { entries: visitor.1 }
    }

    /// Whether a parameter of the module requires a gradient.
    pub(super) fn is_trained(module: &impl Module) -> bool {
        struct Visitor(bool);
        impl ModuleVisitor for Visitor {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 |= param.is_require_grad();
            }
        }
        let mut visitor = Visitor(false);
        module.visit(&mut visitor);
        visitor.0
    }

    /// Moves the weights out of a module, so that they can be updated in place: it holds empty tensors until
    /// [`into_module`](Self::into_module).
    pub(crate) fn take<M: Module>(module: &mut M) -> Self {
        struct Mapper;
        impl ModuleMapper for Mapper {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let (id, old, mapper) = param.consume();
                let empty = Tensor::empty([0; D], (&old.device(), old.dtype()));
                Param::from_mapped_value(id, empty.set_require_grad(old.is_require_grad()), mapper)
            }
        }
        let weights = Self::of(module);
        *module = module.clone().map(&mut Mapper);
        weights
    }

    /// The gradients of a module's parameters.
    ///
    /// The value for a parameter without a gradient, because it is frozen (`no_grad`) or the loss does not use it, is zero, and
    /// [`Moments::step`](super::Moments::step) leaves such a parameter as it is.
    pub fn gradients(module: &impl Module, gradients: &mut Gradients) -> Self {
        struct Visitor<'a>(Path, Vec<Entry>, &'a mut Gradients);
        impl ModuleVisitor for Visitor<'_> {
            fn enter_module(&mut self, name: &str, _: &str) {
                self.0.0.push(name.to_owned());
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.0.0.pop();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let value = param.val();
                let shape = value.dims().to_vec();
                let gradient = if param.is_require_grad() { value.grad_remove(self.2) } else { None };
                let missing = gradient.is_none();
                let value = gradient.unwrap_or_else(|| value.inner().zeros_like()).flatten(0, D - 1);
                self.1.push(Entry { name: self.0.name(), shape, value, missing });
            }
        }
        let mut visitor = Visitor(Path::default(), vec![], gradients);
        module.visit(&mut visitor);
        Self { entries: visitor.1 }
    }

    /// Returns the module with these weights; which of them are trained stays as it was.
    ///
    /// # Panics
    ///
    /// If names or shapes are not the module's; [`same_as`](Self::same_as) checks them.
    pub fn into_module<M: Module>(self, module: M) -> M {
        struct Mapper(std::vec::IntoIter<Entry>);
        impl ModuleMapper for Mapper {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let entry = self.0.next().expect("the module has as many parameters");
                let (id, old, mapper) = param.consume();
                let shape: [usize; D] = entry.shape.try_into().expect("a parameter has the rank of the module's");
                let mut value = entry.value.reshape(shape);
                if old.device().is_autodiff() {
                    value = Tensor::from_inner(value).set_require_grad(old.is_require_grad());
                }
                Param::from_mapped_value(id, value, mapper)
            }
        }
        module.map(&mut Mapper(self.entries.into_iter()))
    }

    /// Parameters from names, shapes and values.
    pub fn from_host(entries: Vec<(String, Vec<usize>, Vec<f32>)>, device: &Device) -> Self {
        let entries = entries.into_iter().map(|(name, shape, values)| {
            let length = values.len();
            let value = Tensor::from_data(TensorData::new(values, [length]), device);
            Entry { name, shape, value, missing: false }
        });
        Self { entries: entries.collect() }
    }
    /// Names, shapes and values.
    pub fn to_host(&self) -> Vec<(&str, &[usize], Vec<f32>)> {
        let read = |value: &Tensor<1>| value.clone().try_into_vec_as::<f32>().expect("a tensor can be read back");
        self.entries.iter().map(|entry| (&*entry.name, &*entry.shape, read(&entry.value))).collect()
    }
    /// Moves the parameters to another device.
    pub fn to_device(self, device: &Device) -> Self {
        self.map(|value| value.to_device(device))
    }
    /// The number of scalar parameters.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|entry| entry.shape.iter().product::<usize>()).sum()
    }
    /// Maps every value.
    pub(crate) fn map(mut self, f: impl Fn(Tensor<1>) -> Tensor<1>) -> Self {
        for entry in &mut self.entries {
            entry.value.inplace(&f);
        }
        self
    }
    /// The values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Tensor<1>> {
        self.entries.iter().map(|entry| &entry.value)
    }
    /// The sum; of gradients, there is one where either has one.
    pub(crate) fn add(mut self, other: Self) -> Self {
        for (a, b) in self.entries.iter_mut().zip(other.entries) {
            if a.missing && b.missing {
                continue;
            }
            a.missing = false;
            a.value.inplace(|a| a + b.value);
        }
        self
    }
    /// Whether each parameter has no gradient, of [`gradients`](Self::gradients).
    pub(super) fn missing(&self) -> impl Iterator<Item = bool> {
        self.entries.iter().map(|entry| entry.missing)
    }
    /// Maps several sets of the same names together, parameter by parameter, with its number and its gradient, if there is one.
    pub(crate) fn zip<const N: usize>(
        sets: [Self; N],
        gradient: Self,
        f: impl Fn(usize, [Tensor<1>; N], Option<Tensor<1>>) -> [Tensor<1>; N],
    ) -> [Self; N] {
        let mut sets = sets.map(|set| set.entries.into_iter());
        let mut out = [(); N].map(|()| Vec::new());
        for (i, entry) in gradient.entries.into_iter().enumerate() {
            let places = sets.each_mut().map(|set| set.next().expect("sets of the same names"));
            let labels = places.each_ref().map(|entry| (entry.name.clone(), entry.shape.clone()));
            let values = f(i, places.map(|entry| entry.value), (!entry.missing).then_some(entry.value));
            for ((out, (name, shape)), value) in out.iter_mut().zip(labels).zip(values) {
                out.push(Entry { name, shape, value, missing: false });
            }
        }
        out.map(|entries| Self { entries })
    }
    /// The Euclidean norm over all parameters.
    pub fn norm(&self) -> f64 {
        ops::global_norm(self.values().cloned())
    }
    /// The name of the first parameter with a value that is not finite.
    pub fn first_not_finite(&self) -> Option<&str> {
        self.entries.iter().find(|entry| !finite(entry.value.clone())).map(|entry| &*entry.name)
    }
    /// Takes the names of `module` for parameters at the same place whose pair of names `same` accepts.
    pub(super) fn rename(mut self, module: &Self, same: impl Fn(&str, &str) -> bool) -> Self {
        for (own, other) in self.entries.iter_mut().zip(&module.entries) {
            if same(&own.name, &other.name) {
                own.name.clone_from(&other.name);
            }
        }
        self
    }

    /// Checks that names and shapes are those of `other`.
    ///
    /// # Errors
    ///
    /// If they are not, with the first that differs.
    pub fn same_as(&self, other: &Self) -> Result<()> {
        for i in 0..self.entries.len().max(other.entries.len()) {
            let describe = |entry: Option<&Entry>| match entry {
                Some(entry) => format!("{} of shape {:?}", entry.name, entry.shape),
                None => "no further parameter".into(),
            };
            let (own, its) = (self.entries.get(i), other.entries.get(i));
            if own.map(|e| (&e.name, &e.shape)) != its.map(|e| (&e.name, &e.shape)) {
                let problem = format!(
                    "the checkpoint is of another architecture: where this network has {}, it has {}",
                    describe(own),
                    describe(its)
                );
                return Err(Error::invalid(problem).with_remedy("use the recipe it was trained with"));
            }
        }
        Ok(())
    }
}

/// Whether every entry is finite.
pub(super) fn finite<const D: usize>(x: Tensor<D>) -> bool {
    x.is_finite().all().into_scalar::<bool>()
}

//! The parameters of a module as a list of named, flat tensors.
use crate::error::{Error, Result};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use tweedie_kernels::ops;

/// Named tensors, one per parameter, in the order in which a module visits them: weights, averages, gradients, moments.
///
/// On the processor each has a buffer of its own. On other devices, where every operation on a tensor costs a launch, a
/// [`Trainer`](super::Trainer) keeps all of them in one buffer, of which the module's parameters are views.
#[doc(alias = "state_dict")]
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pub(super) labels: Vec<Label>,
    pub(super) values: Values,
}
/// What is known of a parameter beside its value.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Whether this is the place of a gradient that there is none of.
    pub(super) missing: bool,
}
impl Label {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}
/// Where the values are.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub(super) enum Values {
    /// One flat tensor for each parameter.
    Each(Vec<Tensor<1>>),
    /// One tensor for all of them, at the places of [`super::packed::places`].
    Packed(Tensor<1>),
}
impl Default for Values {
    fn default() -> Self {
        Self::Each(vec![])
    }
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
        struct Visitor(Path, Vec<Label>, Vec<Tensor<1>>);
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
                self.1.push(Label { name: self.0.name(), shape: value.dims().to_vec(), missing: false });
                self.2.push(value.flatten(0, D - 1));
            }
        }
        let mut visitor = Visitor(Path::default(), vec![], vec![]);
        module.visit(&mut visitor);
        Self { labels: visitor.1, values: Values::Each(visitor.2) }
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
        struct Visitor<'a>(Path, Vec<Label>, Vec<Option<Tensor<1>>>, &'a mut Gradients);
        impl ModuleVisitor for Visitor<'_> {
            fn enter_module(&mut self, name: &str, _: &str) {
                self.0.0.push(name.to_owned());
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.0.0.pop();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let value = param.val();
                let gradient = if param.is_require_grad() { value.grad_remove(self.3) } else { None };
                self.1.push(Label { name: self.0.name(), shape: value.dims().to_vec(), missing: gradient.is_none() });
                self.2.push(gradient.map(|gradient| gradient.flatten(0, D - 1)));
            }
        }
        let mut visitor = Visitor(Path::default(), vec![], vec![], gradients);
        module.visit(&mut visitor);
        let Visitor(_, labels, values, _) = visitor;
        match module.devices().first() {
            Some(device) if !ops::is_host(device) => Self::pack(labels, values, &device.clone().inner()),
            device => {
                let zeros = |label: &Label| Tensor::zeros([label.len()], &device.cloned().unwrap_or_default().inner());
                let value = |(value, label): (Option<_>, _)| value.unwrap_or_else(|| zeros(label));
                let values = values.into_iter().zip(&labels).map(value).collect();
                Self { labels, values: Values::Each(values) }
            }
        }
    }

    /// Returns the module with these weights; which of them are trained stays as it was.
    ///
    /// # Panics
    ///
    /// If names or shapes are not the module's; [`same_as`](Self::same_as) checks them.
    pub fn into_module<M: Module>(self, module: M) -> M {
        struct Mapper(std::vec::IntoIter<(Label, Tensor<1>)>);
        impl ModuleMapper for Mapper {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let (label, value) = self.0.next().expect("the module has as many parameters");
                let (id, old, mapper) = param.consume();
                let shape: [usize; D] = label.shape.try_into().expect("a parameter has the rank of the module's");
                let mut value = value.reshape(shape);
                if old.device().is_autodiff() {
                    value = Tensor::from_inner(value).set_require_grad(old.is_require_grad());
                }
                Param::from_mapped_value(id, value, mapper)
            }
        }
        let values = self.each();
        let entries: Vec<_> = self.labels.into_iter().zip(values).collect();
        module.map(&mut Mapper(entries.into_iter()))
    }

    /// Parameters from names, shapes and values.
    pub fn from_host(entries: Vec<(String, Vec<usize>, Vec<f32>)>, device: &Device) -> Self {
        let (labels, values) = entries
            .into_iter()
            .map(|(name, shape, values)| {
                let length = values.len();
                let value = Tensor::from_data(TensorData::new(values, [length]), device);
                (Label { name, shape, missing: false }, value)
            })
            .unzip();
        Self { labels, values: Values::Each(values) }
    }
    /// Names, shapes and values.
    pub fn to_host(&self) -> Vec<(&str, &[usize], Vec<f32>)> {
        let read = |value: &Tensor<1>| value.clone().try_into_vec_as::<f32>().expect("a tensor can be read back");
        let values: Vec<Vec<f32>> = match &self.values {
            Values::Each(values) => values.iter().map(read).collect(),
            Values::Packed(all) => {
                let all = read(all);
                self.places().into_iter().map(|place| all[place].to_vec()).collect()
            }
        };
        self.labels.iter().zip(values).map(|(label, values)| (&*label.name, &*label.shape, values)).collect()
    }
    /// Moves the parameters to another device.
    pub fn to_device(self, device: &Device) -> Self {
        self.map(|value| value.to_device(device))
    }
    /// The number of scalar parameters.
    pub fn count(&self) -> usize {
        self.labels.iter().map(Label::len).sum()
    }
    /// The number of parameters.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }
    /// Maps every value, by an operation on each element alone that keeps zero.
    pub(crate) fn map(mut self, f: impl Fn(Tensor<1>) -> Tensor<1>) -> Self {
        match &mut self.values {
            Values::Each(values) => values.iter_mut().for_each(|value| value.inplace(&f)),
            Values::Packed(all) => all.inplace(f),
        }
        self
    }
    /// The sum; of gradients, there is one where either has one.
    pub(crate) fn add(mut self, other: Self) -> Self {
        match (&mut self.values, other.values) {
            (Values::Packed(all), Values::Packed(others)) => all.inplace(|all| all + others),
            (Values::Each(values), Values::Each(others)) => {
                let missing = self.labels.iter().zip(&other.labels).map(|(a, b)| a.missing && b.missing);
                let present = values.iter_mut().zip(others).zip(missing).filter(|(_, missing)| !missing);
                present.for_each(|((value, other), _)| value.inplace(|value| value + other));
            }
            _ => unreachable!("both are kept in the same way"),
        }
        self.labels.iter_mut().zip(&other.labels).for_each(|(a, b)| a.missing &= b.missing);
        self
    }
    /// Whether each parameter has no gradient, of [`gradients`](Self::gradients).
    pub(super) fn missing(&self) -> impl Iterator<Item = bool> {
        self.labels.iter().map(|label| label.missing)
    }
    /// Maps several sets of the same names together, parameter by parameter, with its number and its gradient, if there is one.
    ///
    /// If all are in one buffer, neighbors for which `key` is the same are mapped together.
    pub(crate) fn zip<const N: usize>(
        sets: [Self; N],
        gradient: Self,
        key: impl Fn(usize) -> u64,
        f: impl Fn(usize, [Tensor<1>; N], Option<Tensor<1>>) -> [Tensor<1>; N],
    ) -> [Self; N] {
        let missing: Vec<bool> = gradient.missing().collect();
        let (gradients, ranges) = match gradient.values {
            Values::Each(values) => (values, None),
            Values::Packed(all) => {
                let runs = super::packed::runs(&gradient.labels, |i| (missing[i], key(i)));
                let values = super::packed::cut(all, &runs);
                (values, Some(runs))
            }
        };
        let labels = sets.each_ref().map(|set| set.labels.clone());
        let mut sets = sets.map(|set| match (set.values, &ranges) {
            (Values::Each(values), None) => values.into_iter(),
            (Values::Packed(all), Some(runs)) => super::packed::cut(all, runs).into_iter(),
            _ => unreachable!("all sets are kept in the same way"),
        });
        let mut out = [(); N].map(|()| Vec::new());
        for (place, gradient) in gradients.into_iter().enumerate() {
            let i = ranges.as_ref().map_or(place, |runs| runs[place].first);
            let values = sets.each_mut().map(|set| set.next().expect("sets of the same names"));
            let values = f(i, values, (!missing[i]).then_some(gradient));
            out.iter_mut().zip(values).for_each(|(out, value)| out.push(value));
        }
        let mut labels = labels.into_iter();
        out.map(|mut values| {
            let labels = labels.next().expect("one for each set");
            let values = match &ranges {
                None => Values::Each(values),
                Some(_) if values.len() == 1 => Values::Packed(values.remove(0)),
                Some(_) => Values::Packed(Tensor::cat(values, 0)),
            };
            Self { labels, values }
        })
    }
    /// The Euclidean norm over all parameters.
    pub fn norm(&self) -> f64 {
        match &self.values {
            Values::Each(values) => ops::global_norm(values.iter().cloned()),
            Values::Packed(all) => ops::global_norm([all.clone()]),
        }
    }
    /// [`norm`](Self::norm) as a tensor of one element, in single precision.
    pub(super) fn norm_on_device(&self) -> Tensor<1> {
        let square = |value: &Tensor<1>| ops::sum_of_squares(value.clone());
        match &self.values {
            Values::Each(values) => Tensor::cat(values.iter().map(square).collect(), 0).sum().sqrt(),
            Values::Packed(all) => square(all).sqrt(),
        }
    }
    /// The name of the first parameter with a value that is not finite.
    pub fn first_not_finite(&self) -> Option<&str> {
        let found = match &self.values {
            Values::Each(values) => values.iter().position(|value| !finite(value.clone())),
            Values::Packed(_) => self.to_host().iter().position(|(.., values)| !values.iter().all(|x| x.is_finite())),
        };
        found.map(|i| &*self.labels[i].name)
    }
    /// Takes the names of `module` for parameters at the same place whose pair of names `same` accepts.
    pub(super) fn rename(mut self, module: &Self, same: impl Fn(&str, &str) -> bool) -> Self {
        for (own, other) in self.labels.iter_mut().zip(&module.labels) {
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
        for i in 0..self.labels.len().max(other.labels.len()) {
            let describe = |entry: Option<&Label>| match entry {
                Some(entry) => format!("{} of shape {:?}", entry.name, entry.shape),
                None => "no further parameter".into(),
            };
            let (own, its) = (self.labels.get(i), other.labels.get(i));
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

//! The modules for data of one kind.
use crate::{
    data::DataKind,
    dyn_model::NetBuilder,
    dyn_transform::TransformBuilder,
    registry::{
        LossOn, Modules, NoiseOn,
        module::{Description, Kind, Registry},
    },
};
use tweedie::sample::Sampler;

/// The modules for data of one kind, whose batches have rank `D`.
pub(crate) struct Ranked<const D: usize> {
    pub noises: Registry<NoiseOn<D>>,
    pub losses: Registry<LossOn<D>>,
    pub samplers: Registry<Box<dyn Sampler<D>>>,
    pub nets: Registry<Box<dyn NetBuilder<D>>>,
    pub transforms: Registry<Box<dyn TransformBuilder<D>>>,
}
impl<const D: usize> Ranked<D> {
    pub fn of(kind: DataKind) -> Self {
        assert_eq!(kind.rank(), D, "the rank of {kind}");
        Self {
            noises: Registry::of(kind),
            losses: Registry::of(kind),
            samplers: Registry::of(kind),
            nets: Registry::of(kind),
            transforms: Registry::of(kind),
        }
    }
    pub fn of_kind(&self, kind: Kind) -> Vec<&Description> {
        match kind {
            Kind::Noise => self.noises.descriptions().collect(),
            Kind::Loss => self.losses.descriptions().collect(),
            Kind::Sampler => self.samplers.descriptions().collect(),
            Kind::Net => self.nets.descriptions().collect(),
            Kind::Transform => self.transforms.descriptions().collect(),
            Kind::Data | Kind::Condition | Kind::Schedule | Kind::Weight | Kind::Spacing => vec![],
        }
    }
    pub fn description_mut(&mut self, kind: Kind, name: &str) -> Option<&mut Description> {
        match kind {
            Kind::Noise => self.noises.description_mut(name),
            Kind::Loss => self.losses.description_mut(name),
            Kind::Sampler => self.samplers.description_mut(name),
            Kind::Net => self.nets.description_mut(name),
            Kind::Transform => self.transforms.description_mut(name),
            Kind::Data | Kind::Condition | Kind::Schedule | Kind::Weight | Kind::Spacing => None,
        }
    }
}

/// Access to the modules for data of one rank, the batch axis included: 2 for points, 3 for sequences and for signals, 4 for images, 5
/// for volumes.
pub trait Rank<const D: usize>: sealed::Sealed {
    /// Those of the first kind of data of the rank: sequences at rank 3.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn ranked(&self) -> &Ranked<D>;
    /// Those for data of a kind.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn for_data(&self, kind: DataKind) -> &Ranked<D>;
    /// Those of every kind of data of the rank, in the order of [`DataKind::ALL`].
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn all_ranked_mut(&mut self) -> Vec<&mut Ranked<D>>;
}
mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Modules {}
}
macro_rules! ranks {
    ($($rank:literal $first:ident $($kind:ident $other:ident)?),*) => {$(
        #[allow(private_interfaces)]
        impl Rank<$rank> for Modules {
            fn ranked(&self) -> &Ranked<$rank> {
                &self.$first
            }
            fn for_data(&self, kind: DataKind) -> &Ranked<$rank> {
                match kind {
                    $(DataKind::$kind => &self.$other,)?
                    _ => &self.$first,
                }
            }
            fn all_ranked_mut(&mut self) -> Vec<&mut Ranked<$rank>> {
                vec![&mut self.$first $(, &mut self.$other)?]
            }
        }
    )*};
}
ranks!(2 points, 3 sequences Signals signals, 4 images, 5 volumes);

#![doc = include_str!("tutorial/introduction.md")]

#[doc = include_str!("tutorial/getting_started_tool.md")]
pub mod getting_started_tool {}

#[doc = include_str!("tutorial/getting_started.md")]
pub mod getting_started {}

#[doc = include_str!("tutorial/glossary.md")]
pub mod glossary {}

#[doc = include_str!("tutorial/coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("tutorial/gaussian.md")]
pub mod gaussian {}

#[doc = include_str!("tutorial/extension_points.md")]
#[doc(alias = "custom")]
pub mod extension_points {}

#[doc = include_str!("tutorial/choosing_a_sampler.md")]
#[doc = concat!("<div>\n", include_str!("../docs/samplers.svg"), "\n</div>\n")]
pub mod choosing_a_sampler {}

#[doc = include_str!("../docs/images.md")]
#[doc = include_str!("tutorial/images.md")]
pub mod images {}

#[doc = include_str!("tutorial/conditions.md")]
pub mod conditions {}

#[doc = include_str!("tutorial/signals.md")]
#[doc = concat!("<div>\n", include_str!("../docs/waves.svg"), "\n</div>\n")]
#[doc = concat!("<div>\n", include_str!("../docs/spheres.svg"), "\n</div>\n")]
pub mod signals {}

#[doc = include_str!("tutorial/text.md")]
pub mod text {}

#[doc = include_str!("tutorial/kernels.md")]
pub mod kernels {}

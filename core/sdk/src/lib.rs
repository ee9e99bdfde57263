//! What plugin authors write against.
//!
//! A codec-only plugin needs nothing else; a plugin with networks turns on the feature `torch`, which brings `tch`.
//!
//! ```
//! use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*, export_plugin};
//!
//! /// Temperatures in degrees Celsius <-> one number around zero.
//! struct Temperature {
//!     scale: f32,
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     scale: f32,
//! }
//!
//! impl Codec for Temperature {
//!     type Element = f32;
//!     const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
//!         id: "celsius",
//!         modality: "temperature",
//!         summary: "degrees Celsius, divided by a scale",
//!         cell: CellKind::F64,
//!         feature: "Value(float64)",
//!         array: f32_port(&[fixed("value", 1)]),
//!         parameters: r#"{"scale": {"type": "number", "default": 20.0, "exclusiveMinimum": 0}}"#,
//!     };
//!
//!     fn new(parameters: &Parameters) -> Result<Self, Error> {
//!         Ok(Self { scale: parameters.read::<Config>()?.scale })
//!     }
//!
//!     fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
//!         array[0] = cell.real()? as f32 / self.scale;
//!         Ok(())
//!     }
//!
//!     fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
//!         Ok(OwnedCell::F64(f64::from(array[0] * self.scale)))
//!     }
//! }
//!
//! export_plugin! {
//!     name: "temperature",
//!     license: "MIT OR Apache-2.0",
//!     summary: "temperatures",
//!     codecs: [Temperature],
//! }
//! # fn main() {}
//! ```

#![allow(unsafe_code)] // this crate is the plugin's side of the C border

pub use anyflow_abi as abi;
pub use anyflow_abi::descriptor;
pub use anyflow_abi::descriptor::{CodecDescriptor, ModuleDescriptor, PluginDescriptor, Role, RoleDescriptor};

mod array;
mod cell;
mod codec;
mod dense;
mod error;
mod export;
mod files;
mod guard;
#[cfg(feature = "torch")]
pub mod layers;
mod list;
mod log;
#[cfg(feature = "torch")]
mod module;
mod parameters;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use array::{Array, ArrayModule, ArrayMut, Elements};
pub use cell::{Cell, OwnedCell};
pub use codec::Codec;
pub use dense::Element;
pub use error::Error;
pub use files::Files;
pub use list::{List, OwnedList};
pub use log::{Level, log};
#[cfg(feature = "torch")]
pub use module::{Aligner, Decoder, Encoder, FeatureExtractor, Module, PerceptualEncoder, PromptEncoder, Scorer};
pub use parameters::Parameters;
#[cfg(feature = "torch")]
pub use tch;

/// What `export_plugin!` expands to; not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::array::{ArrayEntry, create as array_create, destroy as array_destroy, forward as array_forward};
    pub use crate::codec::{CodecEntry, create as codec_create, decode, destroy as codec_destroy, encode};
    pub use crate::log::init;
    #[cfg(feature = "torch")]
    pub use crate::module::{
        DynModule, ModuleEntry, create as module_create, destroy as module_destroy, forward,
        parameters as module_parameters,
    };
}

/// The libtorch version that this SDK's `tch` is made for.
#[cfg(feature = "torch")]
pub const LIBTORCH: &str = "2.11.0";

/// Compiles the plugin in the README of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

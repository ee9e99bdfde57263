//! The crate that plugin authors write against. `plugins/README.md` is the guide.
//!
//! Codecs and array modules need no other dependency. Networks need the feature `torch`, which re-exports `tch`.
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

#![allow(unsafe_code)] // this crate is the plugin's side of the C ABI

pub use anyflow_abi as abi;
pub use anyflow_abi::descriptor;
pub use anyflow_abi::descriptor::{CodecDescriptor, ModuleDescriptor, PluginDescriptor, Role, RoleDescriptor};

mod array;
mod cell;
mod codec;
pub mod content;
mod dense;
mod error;
mod export;
mod files;
mod guard;
#[cfg(feature = "images")]
pub mod images;
mod instance;
#[cfg(feature = "torch")]
pub mod layers;
mod list;
mod log;
#[cfg(feature = "torch")]
mod module;
mod parameters;
mod partial;
#[cfg(feature = "torch")]
pub mod perceptron;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tokens;
#[cfg(feature = "torch")]
pub mod transformer;
#[cfg(feature = "torch")]
mod variable;

pub use array::{Array, ArrayModule, ArrayMut, Elements};
pub use cell::{Cell, OwnedCell};
pub use codec::Codec;
pub use dense::Element;
pub use error::Error;
pub use files::Files;
pub use list::{List, OwnedList};
pub use log::{CutCount, Level, log};
#[cfg(feature = "torch")]
pub use module::{
    Aligner, Decoder, Encoder, FeatureExtractor, Module, PerceptualEncoder, PooledEncoder, PromptEncoder, Scorer,
};
pub use parameters::Parameters;
pub use partial::Partial;
#[cfg(feature = "torch")]
pub use tch;
pub use tokens::TOKENS;
#[cfg(feature = "torch")]
pub use variable::variable;

/// Items that `export_plugin!` expands to; not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::instance::{Components, destroy};
    pub use crate::log::init;
    #[cfg(feature = "torch")]
    pub use crate::module::{
        ModuleEntry, ModuleInstance, WithRoles, create as create_module, create_dry, forward, parameters,
    };
    pub use crate::{
        array::{ArrayEntry, ArrayInstance, create as create_array, forward as forward_array},
        codec::{CodecEntry, CodecInstance, create as create_codec, decode, encode},
    };
}

/// The libtorch version that this SDK's `tch` needs.
#[cfg(feature = "torch")]
pub const LIBTORCH: &str = "2.11.0";

/// Compiles the Rust blocks of the plugin guide.
#[cfg(doctest)]
#[doc = include_str!("../../../plugins/README.md")]
struct PluginGuide;

/// Compiles the plugin in the README of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

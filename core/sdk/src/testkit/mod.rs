//! The conformance kit: what every plugin promises, tried through the C tables that it exports. The same checks run
//! in a plugin's own `cargo test`, where it is linked, and in `anyflow plugin check`, where its library is loaded.
//!
//! ```
//! # use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*, export_plugin};
//! # struct Whole;
//! # impl Codec for Whole {
//! #     type Element = i64;
//! #     const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
//! #         id: "whole",
//! #         modality: "number",
//! #         summary: "whole numbers",
//! #         cell: CellKind::I64,
//! #         feature: "Value(int64)",
//! #         array: Port { dtype: "i64", axes: &[fixed("value", 1)], range: None },
//! #         parameters: "{}",
//! #     };
//! #     fn new(_: &Parameters) -> Result<Self, Error> { Ok(Whole) }
//! #     fn encode(&self, cell: Cell<'_>, array: &mut [i64]) -> Result<(), Error> {
//! #         array[0] = cell.integer()?;
//! #         Ok(())
//! #     }
//! #     fn decode(&self, array: &[i64]) -> Result<OwnedCell, Error> { Ok(OwnedCell::I64(array[0])) }
//! # }
//! # export_plugin! { name: "number", license: "MIT", summary: "numbers", codecs: [Whole] }
//! use anyflow_sdk::testkit::Kit;
//!
//! fn main() {
//!     Kit::new(ENTRY).sample("whole", OwnedCell::I64(42)).check();
//! }
//! ```

mod array;
mod array_module;
mod array_module_checks;
mod chance;
mod codec;
mod codec_checks;
mod descriptor;
mod entry;
mod host;
mod hostile;
mod manners;
mod memory;
#[cfg(feature = "torch")]
mod module;
#[cfg(feature = "torch")]
mod module_checks;
#[cfg(feature = "torch")]
mod network;
mod outcome;
mod prints;
mod process;
mod role;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[cfg(feature = "torch")]
pub use network::check_network;
pub use outcome::{Check, Outcome, Step};
pub use prints::let_through;

use crate::OwnedCell;
use crate::abi::Entry;
use manners::Scope;
use outcome::Protocol;

/// By how much a row of a module's output may differ alone and in a batch, relative to the largest value of the output; f32.
const BATCH_TOLERANCE: f64 = 1e-4;

/// A plugin, and what to try it with.
pub struct Kit {
    entry: &'static Entry,
    parameters: BTreeMap<String, Map<String, Value>>,
    samples: BTreeMap<String, Vec<OwnedCell>>,
    scope: Scope,
}

impl Kit {
    /// For the plugin of this entry: the `ENTRY` of `export_plugin!`, or that of a loaded library.
    pub fn new(entry: &'static Entry) -> Self {
        Kit { entry, parameters: BTreeMap::new(), samples: BTreeMap::new(), scope: Scope::Thread }
    }

    /// Tries `component` with this value of a parameter. Others take their default, else the first of the `examples` in
    /// their schema; an integer without either is 8, or what its bounds allow.
    #[must_use]
    pub fn parameter(mut self, component: &str, parameter: &str, value: impl Into<Value>) -> Self {
        self.parameters.entry(component.into()).or_default().insert(parameter.into(), value.into());
        self
    }

    /// Tries the codec `component` with this cell, beside those that it decodes itself from random arrays.
    #[must_use]
    pub fn sample(mut self, component: &str, cell: OwnedCell) -> Self {
        self.samples.entry(component.into()).or_default().push(cell);
        self
    }

    /// The process has nothing else to do meanwhile, so that what becomes of it is the plugin's doing: its folder, umask,
    /// signals, locale, open files, threads and children are looked at too, and what is printed.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.scope = Scope::Process;
        self
    }

    /// Runs all checks, and tells of each before it begins and when it ended.
    pub fn run(&self, mut watch: impl FnMut(Step<'_>)) -> Vec<Check> {
        let mut protocol = Protocol::new(self.scope, &mut watch);
        let Some(plugin) = entry::check(self.entry, &mut protocol) else { return protocol.finish() };
        protocol.check("names", || self.known(&plugin));
        protocol.manners();
        for codec in &plugin.codecs {
            protocol.enter(&codec.id);
            let samples = self.samples.get(&codec.id).cloned().unwrap_or_default();
            match entry::codecs(self.entry) {
                Some(table) => codec_checks::run(table, codec, &self.given(&codec.id), samples, &mut protocol),
                None => drop(protocol.check("create", || Err("the plugin has no interface for codecs".into()))),
            }
            protocol.manners();
        }
        for module in &plugin.modules {
            protocol.enter(&module.id);
            self.module(module, &mut protocol);
            protocol.manners();
        }
        protocol.finish()
    }

    /// Runs all checks; for tests.
    ///
    /// # Panics
    /// With every check that failed, if one did.
    pub fn check(&self) {
        let checks = self.run(|_| {});
        let failed: Vec<_> = checks.iter().filter(|c| c.outcome == Outcome::Failed).map(Check::to_string).collect();
        assert!(failed.is_empty(), "{} of {} checks failed:\n{}", failed.len(), checks.len(), failed.join("\n"));
    }

    fn module(&self, module: &descriptor::Module, protocol: &mut Protocol<'_>) {
        let given = self.given(&module.id);
        let absent = || Err(format!("the plugin has no interface {}", module.interface).into());
        match module.interface.as_str() {
            crate::abi::array::ID => match entry::arrays(self.entry) {
                Some(table) => array_module_checks::run(table, module, &given, protocol),
                None => drop(protocol.check("create", absent)),
            },
            #[cfg(feature = "torch")]
            crate::abi::torch::ID => match entry::modules(self.entry) {
                Some(table) => module_checks::run(table, module, &given, protocol),
                None => drop(protocol.check("create", absent)),
            },
            other => {
                let text = format!("this kit was built without modules of {other}");
                protocol.check("create", || Err(outcome::Unmet::Skipped(text)));
            }
        }
    }

    fn given(&self, component: &str) -> Map<String, Value> {
        self.parameters.get(component).cloned().unwrap_or_default()
    }

    /// Parameters and samples must be of components that there are.
    fn known(&self, plugin: &descriptor::Plugin) -> outcome::Verdict {
        let codecs = plugin.codecs.iter().map(|codec| &codec.id);
        let all: Vec<&String> = codecs.chain(plugin.modules.iter().map(|module| &module.id)).collect();
        let asked = self.parameters.keys().chain(self.samples.keys());
        match asked.into_iter().find(|name| !all.contains(name)) {
            Some(name) => Err(format!("there is no component `{name}` in plugin `{}`", plugin.plugin).into()),
            None => Ok(format!("{} components", all.len())),
        }
    }
}

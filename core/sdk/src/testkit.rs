//! The test kit: checks the promises of every plugin through the C tables that it exports. The same checks run in a
//! plugin's own `cargo test`, which links it, and in `anyflow plugin check`, which loads its library.
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
mod chance;
#[cfg(feature = "torch")]
mod closed_form;
mod codec;
mod codec_checks;
mod descriptor;
mod entry;
mod host;
mod hostile;
mod manners;
mod memory;
mod module_checks;
#[cfg(feature = "torch")]
mod network;
mod outcome;
mod prints;
mod process;
mod role;
mod schema;
#[cfg(feature = "torch")]
mod torch_checks;
#[cfg(feature = "torch")]
mod torch_module;
#[cfg(feature = "torch")]
mod variable;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[cfg(feature = "torch")]
pub use closed_form::{assert_golden, closed_form, fill_variables};
#[cfg(feature = "torch")]
pub use network::check_network;
pub use outcome::{Check, CheckEvent, Outcome};
pub use prints::let_through;

use crate::OwnedCell;
use crate::abi::Entry;
use manners::Scope;
use outcome::Protocol;

/// The largest allowed difference between a row's output alone and in a batch, relative to the largest value of the
/// output; f32.
const BATCH_TOLERANCE: f64 = 1e-4;

/// The checks of one plugin, with the parameters and samples to try it with.
pub struct Kit {
    entry: &'static Entry,
    parameters: BTreeMap<String, Map<String, Value>>,
    samples: BTreeMap<String, Vec<OwnedCell>>,
    scope: Scope,
}

impl Kit {
    /// Checks the plugin of this entry: the `ENTRY` of `export_plugin!`, or that of a loaded library.
    pub fn new(entry: &'static Entry) -> Self {
        Kit { entry, parameters: BTreeMap::new(), samples: BTreeMap::new(), scope: Scope::Thread }
    }

    /// Sets a parameter of `component`. Other parameters take their default, or the first of the `examples` in their
    /// schema; an integer without either is 8, or the nearest value within its bounds.
    #[must_use]
    pub fn parameter(mut self, component: &str, parameter: &str, value: impl Into<Value>) -> Self {
        self.parameters.entry(component.into()).or_default().insert(parameter.into(), value.into());
        self
    }

    /// Tries the codec `component` with this cell, in addition to those that it decodes from random arrays.
    #[must_use]
    pub fn sample(mut self, component: &str, cell: OwnedCell) -> Self {
        self.samples.entry(component.into()).or_default().push(cell);
        self
    }

    /// Also checks what the plugin does to the process: folder, umask, signals, locale, open files, threads, children
    /// and standard output. Nothing else may run in the process meanwhile.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.scope = Scope::Process;
        self
    }

    /// Runs all checks, and reports each to `watch` before it begins and after it ended.
    pub fn run(&self, mut watch: impl FnMut(CheckEvent<'_>)) -> Vec<Check> {
        let mut protocol = Protocol::new(self.scope, &mut watch);
        let Some(plugin) = entry::check(self.entry, &mut protocol) else { return protocol.finish() };
        protocol.check("names", || self.known(&plugin));
        protocol.manners();
        for codec in &plugin.codecs {
            protocol.enter(&codec.id);
            let samples = self.samples.get(&codec.id).cloned().unwrap_or_default();
            if let Some(table) = entry::codecs(self.entry) {
                codec_checks::run(table, codec, &self.given(&codec.id), samples, &mut protocol);
            } else {
                protocol.check("create", || Err("the plugin has codecs, but no interface for them".into()));
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

    /// Runs all checks, for tests.
    ///
    /// # Panics
    /// If a check failed; the text lists all failed checks.
    pub fn check(&self) {
        let checks = self.run(|_| {});
        let failed: Vec<_> = checks.iter().filter(|c| c.outcome == Outcome::Failed).map(Check::to_string).collect();
        assert!(failed.is_empty(), "{} of {} checks failed:\n{}", failed.len(), checks.len(), failed.join("\n"));
    }

    fn module(&self, module: &descriptor::Module, protocol: &mut Protocol<'_>) {
        let given = self.given(&module.id);
        let interface = module.interface.as_str();
        if interface == crate::abi::array::ID
            && let Some(table) = entry::arrays(self.entry)
        {
            module_checks::run::<array_module::ArrayModule>(table, module, &given, protocol);
            return;
        }
        #[cfg(feature = "torch")]
        if interface == crate::abi::torch::ID
            && let Some(table) = entry::modules(self.entry)
        {
            if let Some(subject) = module_checks::run::<torch_module::Module>(table, module, &given, protocol) {
                torch_checks::run(&subject, entry::dry(self.entry), protocol);
            }
            return;
        }
        let is_known =
            interface == crate::abi::array::ID || cfg!(feature = "torch") && interface == crate::abi::torch::ID;
        protocol.check("create", || {
            if is_known {
                return Err(format!("the plugin has no interface {interface}").into());
            }
            let text = format!("this test kit was built without support for {interface}");
            Err(outcome::Unmet::Skipped(text))
        });
    }

    fn given(&self, component: &str) -> Map<String, Value> {
        self.parameters.get(component).cloned().unwrap_or_default()
    }

    /// Parameters and samples name existing components only.
    fn known(&self, plugin: &descriptor::Plugin) -> outcome::Verdict {
        let codecs = plugin.codecs.iter().map(|codec| &codec.id);
        let all: Vec<&String> = codecs.chain(plugin.modules.iter().map(|module| &module.id)).collect();
        let asked = self.parameters.keys().chain(self.samples.keys());
        match asked.into_iter().find(|name| !all.contains(name)) {
            Some(name) => Err(format!(
                "there is no component `{name}` in plugin `{}`; check the names of parameters and samples",
                plugin.plugin
            )
            .into()),
            None => Ok(format!("{} components", all.len())),
        }
    }
}

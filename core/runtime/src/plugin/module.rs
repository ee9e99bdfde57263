//! A module instance, by whichever interface it is called.

use anyflow_abi::torch::role;
use anyflow_plan::descriptor::{Interface, Role};
use anyflow_plan::plan::Component;
use tch::{Device, Tensor};

use super::array::ArrayModule;
use super::library::{Instance, Plugins};
use super::torch::TorchModule;
use crate::Result;

/// A named parameter or buffer of a module, sharing memory with the plugin's.
#[derive(Debug)]
pub struct Parameter {
    /// Stable name inside the module.
    pub name: String,
    /// The tensor itself.
    pub tensor: Tensor,
    /// Whether an optimizer may touch it.
    pub trainable: bool,
}

/// A module with its parameters. Used from one thread at a time.
pub struct Module {
    of: Instance,
    called: Called,
}

/// The interface that a module is called by.
enum Called {
    Torch(TorchModule),
    Array(ArrayModule),
}

impl Module {
    /// Makes an instance with fresh parameters, which follow from `seed`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(plugins: &mut Plugins, component: &Component, device: Device, seed: u64) -> Result<Self> {
        let of = Instance::of(plugins.load(&component.library)?, component);
        let described = of.plugin.descriptor.modules.iter().find(|module| module.id == component.id);
        let called = match described.map(|module| &module.interface) {
            Some(Interface::Torch) => Called::Torch(TorchModule::new(&of, component, device, seed)?),
            Some(Interface::Array) => Called::Array(ArrayModule::new(&of, component)?),
            Some(Interface::Other(id)) => return Err(of.error("create", &format!("speaks {id}, which is not known"))),
            None => return Err(of.error("create", "its plugin has no such module")),
        };
        Ok(Module { of, called })
    }

    /// `plugin/component`.
    pub fn component(&self) -> &str {
        &self.of.component
    }

    /// Every parameter and buffer, in the plugin's fixed order. Modules that are not called with tensors have none.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        match &self.called {
            Called::Torch(module) => module.parameters(&self.of),
            Called::Array(_) => Ok(Vec::new()),
        }
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`, f32. Gradients flow through if they are being recorded and the
    /// module is called with tensors.
    ///
    /// # Errors
    /// What the plugin said, or that its output has another shape than its descriptor promises.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        match &self.called {
            Called::Torch(module) => module.forward(&self.of, role, input, expected, train),
            Called::Array(module) => module.forward(&self.of, role, input, expected, train),
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        match &self.called {
            Called::Torch(module) => module.destroy(&self.of),
            Called::Array(module) => module.destroy(&self.of),
        }
    }
}

/// The word for a role in errors.
pub(super) fn word(role: Role) -> &'static str {
    match role {
        Role::Encode => "encode",
        Role::Decode => "decode",
        Role::Embed => "embed",
        Role::Align => "align",
        Role::Score => "score",
        Role::Features => "features",
        Role::Perceptual => "perceptual",
    }
}

/// The border's number of a role.
pub(super) fn number(role: Role) -> u32 {
    match role {
        Role::Encode => role::ENCODE,
        Role::Decode => role::DECODE,
        Role::Embed => role::EMBED,
        Role::Align => role::ALIGN,
        Role::Score => role::SCORE,
        Role::Features => role::FEATURES,
        Role::Perceptual => role::PERCEPTUAL,
    }
}

/// The shape of an output: the rows of the input, then the axes of the role's port.
pub(super) fn promised(input: &Tensor, expected: &[i64]) -> Vec<i64> {
    input.size().first().copied().into_iter().chain(expected.iter().copied()).collect()
}

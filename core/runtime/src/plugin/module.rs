//! A module instance of either interface.

use std::sync::Arc;

use anyflow_plan::descriptor::{Interface, Role};
use anyflow_plan::plan::Component;
use tch::Tensor;

use super::array::ArrayModule;
use super::instance::Instance;
use super::library::{LoadedPlugins, Plugin};
use super::module_options::ModuleOptions;
use super::parameter::Parameter;
use super::torch::TorchModule;
use crate::Result;
use crate::assign::assign;

/// A module with its parameters. It is created, called and destroyed on one thread.
pub struct Module {
    origin: Origin,
    called: Called,
}

/// Everything needed to create a module.
struct Origin {
    plugin: Arc<Plugin>,
    component: Component,
    options: ModuleOptions,
}

/// The interface of a module.
enum Called {
    Torch(TorchModule),
    Array(ArrayModule),
}

/// A module on its way to another thread, where it is created again with the same parameters.
pub struct Leaving {
    origin: Origin,
    parameters: Vec<Parameter>,
}

impl Module {
    /// Makes an instance with fresh parameters.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(plugins: &mut LoadedPlugins, component: &Component, options: ModuleOptions) -> Result<Self> {
        let plugin = plugins.load(&component.library)?;
        Module::of(Origin { plugin, component: plugins.with_files(component)?, options })
    }

    fn of(origin: Origin) -> Result<Self> {
        let Origin { plugin, component, options } = &origin;
        let of = Instance::of(plugin.clone(), component);
        let described = plugin.descriptor.modules.iter().find(|module| module.id == component.id);
        let called = match described.map(|module| &module.interface) {
            Some(Interface::Torch) => Called::Torch(TorchModule::new(of, component, *options)?),
            Some(Interface::Array) => Called::Array(ArrayModule::new(of, component)?),
            Some(Interface::Other(id)) => {
                return Err(
                    of.error("create", &format!("uses the unknown interface {id}; use a newer release of Anyflow"))
                );
            }
            None => return Err(of.error("create", "the plugin has no such module")),
        };
        Ok(Module { origin, called })
    }

    /// Destroys the instance on this thread, so that it can be created again on another one.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn leave(self) -> Result<Leaving> {
        let parameters = self.parameters()?;
        Ok(Leaving { origin: self.origin, parameters })
    }

    /// `plugin/component`.
    pub fn component(&self) -> &str {
        &self.of_instance().component
    }

    fn of_instance(&self) -> &Instance {
        match &self.called {
            Called::Torch(module) => module.of(),
            Called::Array(module) => module.of(),
        }
    }

    /// Every parameter and buffer, in the plugin's fixed order. Array modules have none.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        match &self.called {
            Called::Torch(module) => module.parameters(),
            Called::Array(_) => Ok(Vec::new()),
        }
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`, f32. Gradients flow through a torch module if they are enabled.
    ///
    /// # Errors
    /// The plugin's error; the output has another shape than the descriptor promises.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        match &self.called {
            Called::Torch(module) => module.forward(role, input, expected, train),
            Called::Array(module) => module.forward(role, input, expected, train),
        }
    }
}

impl Leaving {
    /// Creates the instance on this thread. It takes over the memory of the parameters.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn arrive(self) -> Result<Module> {
        let options = ModuleOptions { is_dry: true, ..self.origin.options };
        let module = Module::of(Origin { options, ..self.origin })?;
        let fresh = module.parameters()?;
        if fresh.len() != self.parameters.len() {
            let text = format!("returned {} parameters, but {} before", fresh.len(), self.parameters.len());
            return Err(module.of_instance().error("parameters", &text));
        }
        for (fresh, known) in fresh.into_iter().zip(self.parameters) {
            assign(&fresh.tensor, &known.tensor)?;
        }
        Ok(module)
    }
}

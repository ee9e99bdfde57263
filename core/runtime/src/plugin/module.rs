//! A module instance.

use std::ffi::c_void;
use std::sync::Arc;

use anyflow_abi::torch::{TensorHandle, TorchInterface, role};
use anyflow_abi::{StrView, status};
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Tensor};

use super::codec::error;
use super::library::{Plugin, Plugins};
use super::report::Reported;
use crate::{Result, RunError};

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
    plugin: Arc<Plugin>,
    interface: &'static TorchInterface,
    instance: *mut c_void,
    component: String,
}

// SAFETY: the ABI wants one thread at a time, which `&mut self`-free calls keep because a `Module` is not `Sync`.
unsafe impl Send for Module {}

impl Module {
    /// Makes an instance with fresh parameters, which follow from `seed`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(plugins: &mut Plugins, component: &Component, device: Device, seed: u64) -> Result<Self> {
        let plugin = plugins.load(&component.library)?;
        let name = format!("{}/{}", component.plugin, component.id);
        let interface = plugin.modules.ok_or_else(|| error(&plugin, &name, "create", "the plugin has no modules"))?;
        let create = interface.create.ok_or_else(|| error(&plugin, &name, "create", "is missing in its table"))?;
        crate::seed_libtorch(seed);
        let mut instance = std::ptr::null_mut();
        let parameters = component.parameters.to_string();
        let ordinal = match device {
            Device::Cuda(n) => n as i64,
            _ => -1,
        };
        let mut reported = Reported::default();
        let report = reported.table();
        let (id, text) = (StrView::new(component.id.as_bytes()), StrView::new(parameters.as_bytes()));
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, text, ordinal, &report, &mut instance) };
        if code != status::OK || instance.is_null() {
            return Err(error(&plugin, &name, "create", &reported.sentence(code)));
        }
        Ok(Module { plugin, interface, instance, component: name })
    }

    /// `plugin/component`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Every parameter and buffer, in the plugin's fixed order.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        let visit = self.interface.parameters.ok_or_else(|| self.error("parameters", "is missing in its table"))?;
        let mut found: Vec<Parameter> = Vec::new();
        let mut reported = Reported::default();
        let report = reported.table();
        // SAFETY: `found` and `report` live until the call returns.
        let code = unsafe { visit(self.instance, on_parameter, (&raw mut found).cast(), &report) };
        match code {
            status::OK => Ok(found),
            code => Err(self.error("parameters", &reported.sentence(code))),
        }
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`. Gradients flow through if they are being recorded.
    ///
    /// # Errors
    /// What the plugin said, or that its output has another shape than its descriptor promises.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let call = format!("{role:?}").to_lowercase();
        let forward = self.interface.forward.ok_or_else(|| self.error(&call, "is missing in its table"))?;
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        let mut reported = Reported::default();
        let report = reported.table();
        // SAFETY: the input handle is borrowed for the call; the output handle is ours once the call succeeded.
        let output = unsafe {
            let train = u32::from(train);
            let code = forward(self.instance, number(role), train, &handle, 1, &mut output, 1, &report);
            if code != status::OK || output.is_null() {
                return Err(self.error(&call, &reported.sentence(code)));
            }
            Tensor::from_ptr(output.cast())
        };
        let wanted: Vec<i64> = input.size().first().copied().into_iter().chain(expected.iter().copied()).collect();
        if output.size() != wanted || output.kind() != tch::Kind::Float {
            let (size, kind) = (output.size(), output.kind());
            let text = format!(
                "gave {size:?} {kind:?} for an input of {:?}; its descriptor promises {wanted:?} Float",
                input.size()
            );
            return Err(self.error(&call, &text));
        }
        Ok(output)
    }

    fn error(&self, call: &str, text: &str) -> RunError {
        error(&self.plugin, &self.component, call, text)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Some(destroy) = self.interface.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}

unsafe extern "C" fn on_parameter(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32) {
    // SAFETY: `context` is the list of the call under way; the name is readable, and the tensor is borrowed: the
    // clone shares its memory and keeps it alive.
    unsafe {
        let found = &mut *context.cast::<Vec<Parameter>>();
        let name = String::from_utf8_lossy(name.bytes()).into_owned();
        let borrowed = std::mem::ManuallyDrop::new(Tensor::from_ptr(tensor.cast()));
        found.push(Parameter { name, tensor: borrowed.shallow_clone(), trainable: trainable != 0 });
    }
}

fn number(role: Role) -> u32 {
    match role {
        Role::Encode => role::ENCODE,
        Role::Decode => role::DECODE,
        Role::Embed => role::EMBED,
        Role::Align => role::ALIGN,
        Role::Score => role::SCORE,
        Role::Features => role::FEATURES,
    }
}

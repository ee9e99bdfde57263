//! The host's side of `anyflow.torch/1`: tensors cross as libtorch's handles.

use std::ffi::c_void;

use anyflow_abi::torch::{TensorHandle, TorchInterface};
use anyflow_abi::{StrView, status};
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Tensor};

use super::library::Instance;
use super::module::{Parameter, number, promised, word};
use super::report::Reported;
use crate::Result;

/// An instance of a module that can be trained.
pub(super) struct TorchModule {
    interface: &'static TorchInterface,
    instance: *mut c_void,
}

// SAFETY: the ABI wants one thread at a time, which `&mut self`-free calls keep because it is not `Sync`.
unsafe impl Send for TorchModule {}

impl TorchModule {
    /// Makes an instance with fresh parameters, which follow from `seed`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(of: &Instance, component: &Component, device: Device, seed: u64) -> Result<Self> {
        let interface = of.plugin.modules.ok_or_else(|| of.error("create", "the plugin has no torch modules"))?;
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
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
        let _watched = of.watched("create");
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, text, ordinal, &report, &mut instance) };
        if code != status::OK || instance.is_null() {
            return Err(of.error("create", &reported.sentence(code)));
        }
        Ok(TorchModule { interface, instance })
    }

    /// Every parameter and buffer, in the plugin's fixed order.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn parameters(&self, of: &Instance) -> Result<Vec<Parameter>> {
        let visit = self.interface.parameters.ok_or_else(|| of.missing("parameters"))?;
        let mut found: Vec<Parameter> = Vec::new();
        let mut reported = Reported::default();
        let report = reported.table();
        let _watched = of.watched("parameters");
        // SAFETY: `found` and `report` live until the call returns.
        let code = unsafe { visit(self.instance, on_parameter, (&raw mut found).cast(), &report) };
        match code {
            status::OK => Ok(found),
            code => Err(of.error("parameters", &reported.sentence(code))),
        }
    }

    /// Gives the instance back to the plugin; nothing can be called after it.
    pub fn destroy(&self, of: &Instance) {
        if let Some(destroy) = self.interface.destroy {
            let _watched = of.watched("destroy");
            // SAFETY: the instance came from `create`, no call is under way, and its owner calls this once, on its own end.
            unsafe { destroy(self.instance) };
        }
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`. Gradients flow through if they are being recorded.
    ///
    /// # Errors
    /// What the plugin said, or that its output has another shape than its descriptor promises.
    pub fn forward(&self, of: &Instance, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let call = word(role);
        let forward = self.interface.forward.ok_or_else(|| of.missing(call))?;
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        let mut reported = Reported::default();
        let report = reported.table();
        let watched = of.watched(call);
        // SAFETY: the input handle is borrowed for the call; the output handle is ours once the call succeeded.
        let output = unsafe {
            let train = u32::from(train);
            let code = forward(self.instance, number(role), train, &handle, 1, &mut output, 1, &report);
            if code != status::OK || output.is_null() {
                return Err(of.error(call, &reported.sentence(code)));
            }
            Tensor::from_ptr(output.cast())
        };
        drop(watched);
        let wanted = promised(input, expected);
        if output.size() != wanted || output.kind() != tch::Kind::Float {
            let (size, kind) = (output.size(), output.kind());
            let text = format!(
                "gave {size:?} {kind:?} for an input of {:?}; its descriptor promises {wanted:?} Float",
                input.size()
            );
            return Err(of.error(call, &text));
        }
        Ok(output)
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

//! A module instance, behind its C table.

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use tch::Tensor;

use super::host::{Heard, Refusal};
use crate::abi::StrView;
use crate::abi::torch::{TensorHandle, TorchInterface};

/// A module that is called as a host calls it, on the CPU.
pub(super) struct Module {
    table: &'static TorchInterface,
    instance: *mut c_void,
}

/// A parameter or buffer, sharing memory with the module's.
pub(super) struct Variable {
    pub name: String,
    pub tensor: Tensor,
    pub trainable: bool,
}

impl Module {
    pub fn create(table: &'static TorchInterface, id: &str, parameters: &str) -> Result<Self, Refusal> {
        let create = table.create.ok_or_else(|| Refusal::absent("create"))?;
        let mut heard = Heard::of(0);
        let report = heard.report();
        let mut instance = std::ptr::null_mut();
        let (id, parameters) = (StrView::new(id.as_bytes()), StrView::new(parameters.as_bytes()));
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, parameters, -1, &report, &mut instance) };
        heard.of_call(code)?;
        if instance.is_null() {
            return Err(Refusal::broken("`create` succeeded and gave no instance"));
        }
        Ok(Module { table, instance })
    }

    /// Its parameters and buffers, in the order in which it tells them.
    pub fn variables(&self) -> Result<Vec<Variable>, Refusal> {
        let visit = self.table.parameters.ok_or_else(|| Refusal::absent("parameters"))?;
        let mut heard = Heard::of(0);
        let report = heard.report();
        let mut found: Vec<Result<Variable, Refusal>> = Vec::new();
        // SAFETY: `found` and `report` live until the call returns.
        let code = unsafe { visit(self.instance, on_variable, (&raw mut found).cast(), &report) };
        heard.of_call(code)?;
        found.into_iter().collect()
    }

    /// Runs one role, by its number.
    pub fn forward(&self, role: u32, input: &Tensor, train: bool) -> Result<Tensor, Refusal> {
        let forward = self.table.forward.ok_or_else(|| Refusal::absent("forward"))?;
        let mut heard = Heard::of(0);
        let report = heard.report();
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        // SAFETY: the input handle is borrowed for the call, all else lives until it returns.
        let code = unsafe { forward(self.instance, role, u32::from(train), &handle, 1, &mut output, 1, &report) };
        heard.of_call(code)?;
        if output.is_null() {
            return Err(Refusal::broken("`forward` succeeded and gave no tensor"));
        }
        // SAFETY: the call succeeded, so that the output handle is ours.
        Ok(unsafe { Tensor::from_ptr(output.cast()) })
    }
}

unsafe extern "C" fn on_variable(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32) {
    // SAFETY: `context` is the list of the call under way; the name is readable until we return.
    let (found, name) = unsafe { (&mut *context.cast::<Vec<Result<Variable, Refusal>>>(), name.bytes()) };
    let variable = match name.map(std::str::from_utf8) {
        _ if tensor.is_null() => Err(Refusal::broken("a parameter has no tensor")),
        Err(why) => Err(Refusal::broken(format!("the name of a parameter {why}"))),
        Ok(Err(_)) => Err(Refusal::broken("the name of a parameter is not UTF-8")),
        Ok(Ok(name)) => {
            // SAFETY: the tensor is borrowed; the clone shares its memory and keeps it alive.
            let borrowed = ManuallyDrop::new(unsafe { Tensor::from_ptr(tensor.cast()) });
            Ok(Variable { name: name.into(), tensor: borrowed.shallow_clone(), trainable: trainable != 0 })
        }
    };
    found.push(variable);
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}

//! A module instance, behind its C table.

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use tch::Tensor;

use super::host::{Listening, Refusal, heard};
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
        let call = Listening::begin(0);
        let mut instance = std::ptr::null_mut();
        let (id, parameters) = (StrView::new(id.as_bytes()), StrView::new(parameters.as_bytes()));
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, parameters, -1, call.report(), &mut instance) };
        call.end(code)?;
        if instance.is_null() {
            return Err(Refusal::broken("`create` succeeded and gave no instance"));
        }
        Ok(Module { table, instance })
    }

    /// Its parameters and buffers, in the order in which it tells them.
    pub fn variables(&self) -> Result<Vec<Variable>, Refusal> {
        let visit = self.table.parameters.ok_or_else(|| Refusal::absent("parameters"))?;
        let call = Listening::begin(0);
        // SAFETY: the report lives until the call returns, and the context is a number.
        let code = unsafe { visit(self.instance, on_variable, call.context(), call.report()) };
        Ok(call.end(code)?.variables)
    }

    /// Runs one role, by its number.
    pub fn forward(&self, role: u32, input: &Tensor, train: bool) -> Result<Tensor, Refusal> {
        let forward = self.table.forward.ok_or_else(|| Refusal::absent("forward"))?;
        let call = Listening::begin(0);
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        // SAFETY: the input handle is borrowed for the call, all else lives until it returns.
        let code = unsafe { forward(self.instance, role, u32::from(train), &handle, 1, &mut output, 1, call.report()) };
        call.end(code)?;
        if output.is_null() || !output.cast::<*const c_void>().is_aligned() {
            return Err(Refusal::broken("`forward` succeeded and gave no tensor"));
        }
        if output == handle {
            return Err(Refusal::broken("`forward` gave back its input's handle"));
        }
        // SAFETY: the call succeeded, so that the output handle is ours.
        let output = unsafe { Tensor::from_ptr(output.cast()) };
        if output.defined() { Ok(output) } else { Err(Refusal::broken("`forward` gave an undefined tensor")) }
    }
}

unsafe extern "C" fn on_variable(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32) {
    heard(context, |heard| {
        // SAFETY: the name is readable until we return.
        match unsafe { variable(name, tensor, trainable != 0) } {
            Ok(variable) => heard.variables.push(variable),
            Err(text) => heard.odd = Some(text),
        }
    });
}

/// # Safety
/// The name is readable, and a handle that can be one is one.
unsafe fn variable(name: StrView, tensor: TensorHandle, trainable: bool) -> Result<Variable, String> {
    // SAFETY: as the caller promises.
    let name = unsafe { name.bytes() }.map_err(|why| format!("the name of a parameter {why}"))?;
    let name = std::str::from_utf8(name).map_err(|_| "the name of a parameter is not UTF-8")?;
    if tensor.is_null() || !tensor.cast::<*const c_void>().is_aligned() {
        return Err(format!("parameter `{name}` has no tensor"));
    }
    // SAFETY: the tensor is borrowed; the clone shares its memory and keeps it alive.
    let borrowed = ManuallyDrop::new(unsafe { Tensor::from_ptr(tensor.cast()) });
    match borrowed.defined() {
        true => Ok(Variable { name: name.into(), tensor: borrowed.shallow_clone(), trainable }),
        false => Err(format!("parameter `{name}` is an undefined tensor")),
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}

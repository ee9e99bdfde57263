//! The host's side of `anyflow.torch/1`: tensors cross as libtorch's handles.

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use anyflow_abi::StrView;
use anyflow_abi::torch::{TensorHandle, TorchInterface};
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Kind, Tensor};

use super::call::Call;
use super::instance::{Instance, Made};
use super::module::{Parameter, number, promised, word};
use super::report::sentence_of;
use super::slot::heard;
use crate::Result;

/// An instance of a module that can be trained.
pub(super) struct TorchModule {
    interface: &'static TorchInterface,
    made: Made,
}

// SAFETY: the ABI wants one thread at a time, which `&mut self`-free calls keep because it is not `Sync`.
unsafe impl Send for TorchModule {}

impl TorchModule {
    /// Makes an instance with fresh parameters, which follow from `seed`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(of: Instance, component: &Component, device: Device, seed: u64) -> Result<Self> {
        let interface = of.plugin.modules.ok_or_else(|| of.error("create", "the plugin has no torch modules"))?;
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
        crate::seed_libtorch(seed);
        let ordinal = match device {
            Device::Cuda(n) => n as i64,
            _ => -1,
        };
        // SAFETY: all arguments live until the call returns.
        let create = |id, text, report, instance| unsafe { create(id, text, ordinal, report, instance) };
        Ok(TorchModule { interface, made: Made::new(of, component, &create, interface.destroy)? })
    }

    /// What it is an instance of.
    pub fn of(&self) -> &Instance {
        &self.made.of
    }

    /// Every parameter and buffer, in the plugin's fixed order.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        let of = self.of();
        let visit = self.interface.parameters.ok_or_else(|| of.missing("parameters"))?;
        self.made.ensure_home()?;
        let call = Call::begin(of, "parameters");
        // SAFETY: the report lives until the call returns, and the context is a number.
        let code = unsafe { visit(self.made.pointer, on_parameter, call.context(), call.report()) };
        Ok(call.end(code)?.parameters)
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`. Gradients flow through if they are being recorded.
    ///
    /// # Errors
    /// What the plugin said, or that its output is not what its descriptor promises.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let of = self.of();
        let forward = self.interface.forward.ok_or_else(|| of.missing(word(role)))?;
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        self.made.ensure_home()?;
        let call = Call::begin(of, word(role));
        let (pointer, number, train) = (self.made.pointer, number(role), u32::from(train));
        // SAFETY: the input handle is borrowed for the call, all else lives until it returns.
        let code = unsafe { forward(pointer, number, train, &handle, 1, &mut output, 1, call.report()) };
        call.end(code)?;
        if output == handle {
            return Err(of.error(word(role), "gave back its input's handle; its author must return a new one"));
        }
        // SAFETY: the call succeeded, so that the handle is ours unless it is none.
        let output = unsafe { owned(output) }.map_err(|text| of.error(word(role), &text))?;
        let wanted = promised(input, expected);
        match difference(&output, input, &wanted) {
            None => Ok(output),
            Some(found) => {
                let text = format!(
                    "gave {found} for an input of {:?}; its descriptor promises {wanted:?} Float",
                    input.size()
                );
                Err(of.error(word(role), &text))
            }
        }
    }
}

/// What an output is where it is not what it must be.
fn difference(output: &Tensor, input: &Tensor, wanted: &[i64]) -> Option<String> {
    let (size, kind) = (output.size(), output.f_kind());
    if size != wanted || !matches!(kind, Ok(Kind::Float)) {
        let kind = kind.map_or_else(|_| "of a type that is not known".into(), |kind| format!("{kind:?}"));
        return Some(format!("{size:?} {kind}"));
    }
    if output.device() != input.device() {
        return Some(format!("{size:?} on {:?}", output.device()));
    }
    output.is_sparse().then(|| format!("{size:?} as a sparse tensor"))
}

/// The tensor of a handle that a plugin hands over.
///
/// # Safety
/// A handle that can be one is one, and nobody else's.
unsafe fn owned(handle: TensorHandle) -> Result<Tensor, String> {
    check(handle)?;
    // SAFETY: as the caller promises.
    let tensor = unsafe { Tensor::from_ptr(handle.cast()) };
    if tensor.defined() { Ok(tensor) } else { Err("gave an undefined tensor; its author must return one".into()) }
}

/// Refuses what cannot be a handle.
fn check(handle: TensorHandle) -> Result<(), String> {
    match handle {
        handle if handle.is_null() => Err("gave no tensor; its author must return one".into()),
        handle if !handle.cast::<*const c_void>().is_aligned() => Err("gave what is no handle of a tensor".into()),
        _ => Ok(()),
    }
}

unsafe extern "C" fn on_parameter(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32) {
    heard(context, |reported| {
        // SAFETY: the name is readable until we return.
        let name = unsafe { sentence_of(name) };
        if let Err(why) = check(tensor) {
            reported.odd = Some(format!("parameter `{name}`: {why}"));
            return;
        }
        // SAFETY: the tensor is borrowed: the clone shares its memory and keeps it alive.
        let borrowed = ManuallyDrop::new(unsafe { Tensor::from_ptr(tensor.cast()) });
        match borrowed.defined() {
            true => reported.parameters.push(Parameter {
                name,
                tensor: borrowed.shallow_clone(),
                trainable: trainable != 0,
            }),
            false => reported.odd = Some(format!("parameter `{name}` is an undefined tensor")),
        }
    });
}

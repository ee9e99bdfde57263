//! The host's side of `anyflow.torch/1`: tensors cross the border as libtorch handles.

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use anyflow_abi::StrView;
use anyflow_abi::torch::{TensorHandle, TorchInterface};
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Kind, Tensor};

use super::call::Call;
use super::instance::Instance;
use super::made::Made;
use super::module_options::ModuleOptions;
use super::parameter::Parameter;
use super::report::sentence_of;
use super::role::{number, promised, word};
use super::slot::heard;
use crate::Result;

/// An instance of a trainable module.
pub(super) struct TorchModule {
    interface: &'static TorchInterface,
    made: Made,
}

// SAFETY: the ABI allows one thread at a time. Calls take `&self`, and the type is not `Sync`, so there is only one.
unsafe impl Send for TorchModule {}

impl TorchModule {
    /// Makes an instance.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(of: Instance, component: &Component, options: ModuleOptions) -> Result<Self> {
        let interface = of.plugin.modules.ok_or_else(|| of.error("create", "the plugin has no torch modules"))?;
        let dry = of.plugin.dry.filter(|_| options.is_dry).and_then(|dry| dry.create);
        let create = dry.or(interface.create).ok_or_else(|| of.missing("create"))?;
        crate::seed_libtorch(options.seed);
        let ordinal = match options.device {
            Device::Cuda(n) => n as i64,
            _ => -1,
        };
        // SAFETY: all arguments live until the call returns.
        let create = |id, text, report, instance| unsafe { create(id, text, ordinal, report, instance) };
        Ok(TorchModule { interface, made: Made::new(of, component, &create, interface.destroy)? })
    }

    /// The plugin and the component.
    pub fn of(&self) -> &Instance {
        &self.made.of
    }

    /// Every parameter and buffer, in the plugin's fixed order.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        let of = self.of();
        let visit = self.interface.parameters.ok_or_else(|| of.missing("parameters"))?;
        self.made.ensure_home()?;
        let call = Call::begin(of, "parameters");
        // SAFETY: the report lives until the call returns, and the context is a number.
        let code = unsafe { visit(self.made.pointer, on_parameter, call.context(), call.report()) };
        Ok(call.end(code)?.parameters)
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`. Gradients flow through if they are enabled.
    ///
    /// # Errors
    /// The plugin's error; the output is not as the descriptor promises.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let of = self.of();
        let forward = self.interface.forward.ok_or_else(|| of.missing(word(role)))?;
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        self.made.ensure_home()?;
        let call = Call::begin(of, word(role));
        let pointer = self.made.pointer;
        let train = u32::from(train);
        // SAFETY: the input handle is borrowed for the call; the other arguments live until it returns.
        let code = unsafe { forward(pointer, number(role), train, &handle, 1, &mut output, 1, call.report()) };
        call.end(code)?;
        if output == handle {
            return Err(of.error(word(role), "returned its input's handle; its author must return a new one"));
        }
        // SAFETY: the call succeeded, so the handle is ours if it is valid.
        let output = unsafe { owned(output) }.map_err(|text| of.error(word(role), &text))?;
        let wanted = promised(input, expected);
        match difference(&output, input, &wanted) {
            None => Ok(output),
            Some(found) => {
                let text = format!(
                    "returned {found} for an input of {:?}; its descriptor promises {wanted:?} Float",
                    input.size()
                );
                Err(of.error(word(role), &text))
            }
        }
    }
}

/// Describes an output that is not as promised.
fn difference(output: &Tensor, input: &Tensor, wanted: &[i64]) -> Option<String> {
    let size = output.size();
    let kind = output.f_kind();
    if size != wanted || !matches!(kind, Ok(Kind::Float)) {
        let kind = kind.map_or_else(|_| "of an unknown type".into(), |kind| format!("{kind:?}"));
        return Some(format!("{size:?} {kind}"));
    }
    if output.device() != input.device() {
        return Some(format!("{size:?} on {:?}", output.device()));
    }
    output.is_sparse().then(|| format!("{size:?} as a sparse tensor"))
}

/// Takes the tensor of a handle from a plugin.
///
/// # Safety
/// A handle that is not null and aligned is valid, and belongs to the caller.
unsafe fn owned(handle: TensorHandle) -> Result<Tensor, String> {
    check(handle)?;
    // SAFETY: as the caller promises.
    let tensor = unsafe { Tensor::from_ptr(handle.cast()) };
    if tensor.defined() { Ok(tensor) } else { Err("returned an undefined tensor; its author must return one".into()) }
}

/// Refuses a null or misaligned handle.
fn check(handle: TensorHandle) -> Result<(), String> {
    if handle.is_null() {
        return Err("returned no tensor; its author must return one".into());
    }
    if !handle.cast::<*const c_void>().is_aligned() {
        return Err("returned an invalid handle, not one of a tensor; its author must fix it".into());
    }
    Ok(())
}

unsafe extern "C" fn on_parameter(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32) {
    heard(context, |reported| {
        // SAFETY: the name is readable until this function returns.
        let name = unsafe { sentence_of(name) };
        if let Err(why) = check(tensor) {
            reported.invalid = Some(format!("parameter `{name}`: {why}"));
            return;
        }
        // SAFETY: the tensor is borrowed; the clone below shares its memory and keeps it alive.
        let borrowed = ManuallyDrop::new(unsafe { Tensor::from_ptr(tensor.cast()) });
        if !borrowed.defined() {
            reported.invalid = Some(format!("parameter `{name}` is an undefined tensor"));
            return;
        }
        reported.parameters.push(Parameter { name, tensor: borrowed.shallow_clone(), trainable: trainable != 0 });
    });
}

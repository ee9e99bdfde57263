//! The host's side of `anyflow.array/1`: tensors go out as views of host memory, and outputs are made here.

use std::ffi::c_void;

use anyflow_abi::array::ArrayInterface;
use anyflow_abi::{StrView, status};
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Kind, Tensor};

use super::library::Instance;
use super::module::{number, promised, word};
use super::report::Reported;
use super::view;
use crate::{Result, RunError};

/// An instance of a module for inference only.
pub(super) struct ArrayModule {
    interface: &'static ArrayInterface,
    instance: *mut c_void,
}

// SAFETY: the ABI wants one thread at a time, which `&mut self`-free calls keep because it is not `Sync`.
unsafe impl Send for ArrayModule {}

impl ArrayModule {
    /// Makes an instance.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(of: &Instance, component: &Component) -> Result<Self> {
        let interface = of.plugin.arrays.ok_or_else(|| of.error("create", "the plugin has no array modules"))?;
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
        let mut instance = std::ptr::null_mut();
        let parameters = component.parameters.to_string();
        let (id, text) = (StrView::new(component.id.as_bytes()), StrView::new(parameters.as_bytes()));
        let mut reported = Reported::default();
        let report = reported.table();
        let _watched = of.watched("create");
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, text, &report, &mut instance) };
        if code != status::OK || instance.is_null() {
            return Err(of.error("create", &reported.sentence(code)));
        }
        Ok(ArrayModule { interface, instance })
    }

    /// Gives the instance back to the plugin; nothing can be called after it.
    pub fn destroy(&self, of: &Instance) {
        if let Some(destroy) = self.interface.destroy {
            let _watched = of.watched("destroy");
            // SAFETY: the instance came from `create`, no call is under way, and its owner calls this once, on its own end.
            unsafe { destroy(self.instance) };
        }
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`, f32, on the input's device; no gradients are recorded.
    ///
    /// # Errors
    /// What the plugin said, or that it shall be trained.
    pub fn forward(&self, of: &Instance, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let call = word(role);
        if train {
            return Err(RunError::Internal(format!(
                "{} cannot be trained; planning should have said so",
                of.component
            )));
        }
        let forward = self.interface.forward.ok_or_else(|| of.missing(call))?;
        let device = input.device();
        let input = input.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let dtype = view::data_type(input.kind());
        let dtype = dtype.ok_or_else(|| RunError::Internal(format!("{} takes {:?}", of.component, input.kind())))?;
        let (input_shape, shape) = (input.size(), promised(&input, expected));
        let output = Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?;
        let from = view::dense(input.data_ptr(), &input_shape, dtype);
        let to = view::dense(output.data_ptr(), &shape, anyflow_abi::dtype::F32);
        let mut reported = Reported::default();
        let report = reported.table();
        let _watched = of.watched(call);
        // SAFETY: both arrays and the report live until the call returns, and nobody else uses the output meanwhile.
        let code = unsafe { forward(self.instance, number(role), &from, 1, &to, 1, &report) };
        if code != status::OK {
            return Err(of.error(call, &reported.sentence(code)));
        }
        Ok(output.f_to_device(device)?)
    }
}

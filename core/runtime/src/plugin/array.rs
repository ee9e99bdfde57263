//! The host's side of `anyflow.array/1`: tensors go out as views of host memory, and outputs are made here.

use anyflow_abi::array::ArrayInterface;
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Kind, Tensor};

use super::call::Call;
use super::instance::{Instance, Made};
use super::module::{number, promised, word};
use super::view;
use crate::{Result, RunError};

/// An instance of a module for inference only.
pub(super) struct ArrayModule {
    interface: &'static ArrayInterface,
    made: Made,
}

// SAFETY: the ABI wants one thread at a time, which `&mut self`-free calls keep because it is not `Sync`.
unsafe impl Send for ArrayModule {}

impl ArrayModule {
    /// Makes an instance.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(of: Instance, component: &Component) -> Result<Self> {
        let interface = of.plugin.arrays.ok_or_else(|| of.error("create", "the plugin has no array modules"))?;
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
        // SAFETY: all arguments live until the call returns.
        let create = |id, text, report, instance| unsafe { create(id, text, report, instance) };
        Ok(ArrayModule { interface, made: Made::new(of, component, &create, interface.destroy)? })
    }

    /// What it is an instance of.
    pub fn of(&self) -> &Instance {
        &self.made.of
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`, f32, on the input's device; no gradients are recorded.
    ///
    /// # Errors
    /// What the plugin said, or that it is to be trained.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let of = &self.made.of;
        if train {
            return Err(RunError::Internal(format!(
                "{} cannot be trained; planning should have said so",
                of.component
            )));
        }
        let forward = self.interface.forward.ok_or_else(|| of.missing(word(role)))?;
        let device = input.device();
        let input = input.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let dtype = view::data_type(input.kind());
        let dtype = dtype.ok_or_else(|| RunError::Internal(format!("{} takes {:?}", of.component, input.kind())))?;
        let (input_shape, shape) = (input.size(), promised(&input, expected));
        let output = Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?;
        let from = view::dense(input.data_ptr(), &input_shape, dtype);
        let to = view::dense(output.data_ptr(), &shape, anyflow_abi::dtype::F32);
        self.made.ensure_home()?;
        let call = Call::begin(of, word(role));
        // SAFETY: both arrays and the report live until the call returns, and nobody else uses the output meanwhile.
        let code = unsafe { forward(self.made.pointer, number(role), &from, 1, &to, 1, call.report()) };
        call.end(code)?;
        Ok(output.f_to_device(device)?)
    }
}

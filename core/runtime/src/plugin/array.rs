//! The host's side of `anyflow.array/1`: inputs and outputs cross the border as views of host memory. The host allocates
//! the outputs.

use anyflow_abi::array::ArrayInterface;
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Component;
use tch::{Device, Kind, Tensor};

use super::call::Call;
use super::instance::Instance;
use super::made::Made;
use super::role::{number, promised, word};
use super::view;
use crate::{Result, RunError};

/// An instance of an inference-only module.
pub(super) struct ArrayModule {
    interface: &'static ArrayInterface,
    made: Made,
}

// SAFETY: the ABI allows one thread at a time. Calls take `&self`, and the type is not `Sync`, so there is only one.
unsafe impl Send for ArrayModule {}

impl ArrayModule {
    /// Makes an instance.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(of: Instance, component: &Component) -> Result<Self> {
        let interface = of.plugin.arrays.ok_or_else(|| of.error("create", "the plugin has no array modules"))?;
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
        // SAFETY: all arguments live until the call returns.
        let create = |id, text, report, instance| unsafe { create(id, text, report, instance) };
        Ok(ArrayModule { interface, made: Made::new(of, component, &create, interface.destroy)? })
    }

    /// The plugin and the component.
    pub fn of(&self) -> &Instance {
        &self.made.of
    }

    /// Runs one role: `[row, axes]` -> `[row, expected]`, f32, on the input's device, without gradients.
    ///
    /// # Errors
    /// The plugin's error; `train` is set.
    pub fn forward(&self, role: Role, input: &Tensor, expected: &[i64], train: bool) -> Result<Tensor> {
        let of = &self.made.of;
        if train {
            return Err(RunError::Internal(format!(
                "{} cannot be trained, which planning should have refused",
                of.component
            )));
        }
        let forward = self.interface.forward.ok_or_else(|| of.missing(word(role)))?;
        let device = input.device();
        let input = input.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let dtype = view::data_type(input.kind());
        let dtype = dtype.ok_or_else(|| RunError::Internal(format!("{} takes {:?}", of.component, input.kind())))?;
        let input_shape = input.size();
        let shape = promised(&input, expected);
        let output = Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?;
        let from = view::dense(input.data_ptr(), &input_shape, dtype);
        let to = view::dense(output.data_ptr(), &shape, anyflow_abi::dtype::F32);
        self.made.ensure_home()?;
        let call = Call::begin(of, word(role));
        // SAFETY: both arrays and the report live until the call returns, and no other code uses the output meanwhile.
        let code = unsafe { forward(self.made.pointer, number(role), &from, 1, &to, 1, call.report()) };
        call.end(code)?;
        Ok(output.f_to_device(device)?)
    }
}

//! An instance of a module without libtorch, behind its C table.

use std::ffi::c_void;

use super::array::Array;
use super::host::{Listening, Refusal};
use crate::abi::StrView;
use crate::abi::array::ArrayInterface;

/// A module over arrays that is called as a host calls it.
pub(super) struct ArrayModule {
    table: &'static ArrayInterface,
    instance: *mut c_void,
}

impl ArrayModule {
    pub fn create(table: &'static ArrayInterface, id: &str, parameters: &str) -> Result<Self, Refusal> {
        let create = table.create.ok_or_else(|| Refusal::absent("create"))?;
        let call = Listening::begin(0);
        let mut instance = std::ptr::null_mut();
        let (id, parameters) = (StrView::new(id.as_bytes()), StrView::new(parameters.as_bytes()));
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, parameters, call.report(), &mut instance) };
        call.end(code)?;
        if instance.is_null() {
            return Err(Refusal::broken("`create` succeeded and gave no instance"));
        }
        Ok(ArrayModule { table, instance })
    }

    /// Runs one role, by its number. `output` is zeros before.
    pub fn forward(&self, role: u32, input: &mut Array, output: &mut Array) -> Result<(), Refusal> {
        let forward = self.table.forward.ok_or_else(|| Refusal::absent("forward"))?;
        let before = input.clone();
        let call = Listening::begin(0);
        // SAFETY: arrays and report live until the call returns.
        let code = unsafe { forward(self.instance, role, &input.view(), 1, &output.view(), 1, call.report()) };
        if !before.same_bits(input) {
            return Err(Refusal::broken("`forward` changed its input, which it may only read"));
        }
        if !output.is_guarded() {
            return Err(Refusal::broken("`forward` wrote before or behind its output"));
        }
        call.end(code).map(drop)
    }
}

impl Drop for ArrayModule {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}

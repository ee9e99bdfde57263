//! What libtorch keeps for the whole process, or the whole thread, and anybody may change.

use crate::Result;
use crate::ffi::{self, checked};

/// A state of libtorch's own settings.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Globals {
    threads: i32,
    grad: i32,
    inference: i32,
    deterministic: i32,
    dtype: i32,
}

impl Globals {
    /// The state as this thread sees it.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn now() -> Result<Globals> {
        let mut globals = Globals { threads: 0, grad: 0, inference: 0, deterministic: 0, dtype: 0 };
        // SAFETY: the struct is that of the shim, field by field, and is written before the call returns.
        checked("Globals", unsafe { ffi::anyflow_native_globals(&mut globals) })?;
        Ok(globals)
    }

    /// Makes the state this one again, but for inference mode, which ends with its guard.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn restore(&self) -> Result<()> {
        // SAFETY: as above, and only read.
        checked("Globals", unsafe { ffi::anyflow_native_set_globals(self) })
    }

    /// What another state has otherwise, in words.
    pub fn differences(&self, other: &Globals) -> Vec<&'static str> {
        let fields = [
            ("the number of threads", self.threads, other.threads),
            ("the grad mode", self.grad, other.grad),
            ("the inference mode", self.inference, other.inference),
            ("the choice of deterministic algorithms", self.deterministic, other.deterministic),
            ("the default dtype", self.dtype, other.dtype),
        ];
        fields.into_iter().filter(|(_, one, other)| one != other).map(|(name, ..)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_is_named_and_put_back() {
        let before = Globals::now().unwrap();
        let changed = Globals { threads: before.threads + 1, grad: 0, deterministic: 1, dtype: 7, ..before };
        changed.restore().unwrap();
        let seen = Globals::now().unwrap();
        before.restore().unwrap();
        let names = before.differences(&seen);
        assert_eq!(
            names,
            ["the number of threads", "the grad mode", "the choice of deterministic algorithms", "the default dtype"]
        );
        assert_eq!(Globals::now().unwrap(), before);
    }
}

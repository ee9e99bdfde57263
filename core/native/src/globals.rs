//! libtorch's settings of the process and of the thread, which any code may change.

use crate::Result;
use crate::ffi::{self, Globals, checked};

impl Globals {
    /// The current settings, as this thread sees them.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn now() -> Result<Globals> {
        let mut globals = Globals { threads: 0, grad: 0, inference: 0, deterministic: 0, dtype: 0 };
        // SAFETY: the struct matches that of the shim, field by field, and is written before the call returns.
        checked("Globals", unsafe { ffi::anyflow_native_globals(&mut globals) })?;
        Ok(globals)
    }

    /// Restores these settings, except inference mode, which ends with its guard.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn restore(&self) -> Result<()> {
        // SAFETY: as above; the struct is only read.
        checked("Globals", unsafe { ffi::anyflow_native_set_globals(self) })
    }

    /// The settings that differ from another snapshot, in words.
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
    fn changes_are_named_and_restored() {
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

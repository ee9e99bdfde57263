//! What a call returns. Zero is success; for every other value a text was reported during the call.

/// Done. Single rows may have been reported as failed.
pub const OK: u32 = 0;
/// The caller passed something that the descriptor does not allow (shape, dtype, unknown id, bad parameter).
pub const INVALID: u32 = 1;
/// The plugin could not do what was asked, for a reason it reported.
pub const FAILED: u32 = 2;
/// The plugin panicked; the instance is poisoned from now on. The plugin's author must act.
pub const PANICKED: u32 = 3;
/// The instance panicked earlier and takes no more calls.
pub const POISONED: u32 = 4;
/// The plugin has no such interface, component or role.
pub const UNSUPPORTED: u32 = 5;

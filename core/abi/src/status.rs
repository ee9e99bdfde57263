//! Return values of calls. Zero is success. With any other value, the call has reported a text.

/// Success. Single rows may have been reported as failed.
pub const OK: u32 = 0;
/// An argument does not fit the descriptor (shape, dtype, unknown id, bad parameter).
pub const INVALID: u32 = 1;
/// The plugin failed, for the reported reason.
pub const FAILED: u32 = 2;
/// The plugin panicked, and the instance is poisoned. The plugin's author must act.
pub const PANICKED: u32 = 3;
/// The instance panicked in an earlier call and takes no more calls.
pub const POISONED: u32 = 4;
/// The plugin has no such interface, component or role.
pub const UNSUPPORTED: u32 = 5;

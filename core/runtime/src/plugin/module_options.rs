//! How a module is made.

use tch::Device;

/// How a module is made.
#[derive(Clone, Copy, Debug)]
pub struct ModuleOptions {
    /// The device of its parameters.
    pub device: Device,
    /// Fresh parameters follow from it.
    pub seed: u64,
    /// True if all parameters get their values before the first call, or only names and shapes are wanted: nothing is drawn,
    /// and parameters take no memory, unless the plugin cannot do that.
    pub is_dry: bool,
}

impl ModuleOptions {
    /// Options of a module with fresh parameters.
    pub fn drawn(device: Device, seed: u64) -> Self {
        ModuleOptions { device, seed, is_dry: false }
    }
}

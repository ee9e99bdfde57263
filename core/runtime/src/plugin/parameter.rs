//! The state of a module, as its plugin reports it.

use tch::Tensor;

/// A named parameter or buffer of a module, sharing memory with the plugin's.
#[derive(Debug)]
pub struct Parameter {
    /// Stable name inside the module.
    pub name: String,
    /// The tensor itself.
    pub tensor: Tensor,
    /// True if an optimizer may change it.
    pub trainable: bool,
}

//! What a module over tensors reports of its state.

use tch::Tensor;

/// A parameter or buffer, sharing memory with the module's.
pub(super) struct Variable {
    pub name: String,
    pub tensor: Tensor,
    pub trainable: bool,
}

//! Tokens that a network attends to: a prompt or a context.

use tch::{Kind, Tensor};

use crate::{EngineError, Result, TensorExt};

/// Tokens of every row. They must not be written to after a network has seen them: a frozen network caches what it
/// derives from them and recognizes them by their memory, so passing the same tensor at every step saves work.
#[derive(Debug)]
pub struct Tokens {
    /// `[row, token, feature]`, f32. Masked values are ignored but must be finite.
    pub values: Tensor,
    /// `[row, token]`, bool: true for existing tokens. A row may have none. Without a mask all tokens exist.
    pub mask: Option<Tensor>,
}

impl Tokens {
    /// Rejects tokens that are not `[rows, token, width]`, and masks that are not `[rows, token]`, bool.
    pub(crate) fn check(&self, what: &str, rows: i64, width: i64) -> Result<()> {
        let found = self.values.size();
        if found.len() != 3 || found[0] != rows || found[2] != width {
            let count = found.get(1).copied().unwrap_or(1);
            return Err(EngineError::Shape { what: what.to_string(), expected: vec![rows, count, width], found });
        }
        match &self.mask {
            Some(mask) if mask.size() != found[..2] || mask.kind() != Kind::Bool => {
                let what = format!("the mask of {what} (dtype {:?}, must be bool)", mask.kind());
                Err(EngineError::Shape { what, expected: found[..2].to_vec(), found: mask.size() })
            }
            _ => Ok(()),
        }
    }

    /// The rows `first .. first + rows`.
    pub(crate) fn narrow(&self, first: i64, rows: i64) -> Result<Self> {
        let narrow = |tensor: &Tensor| tensor.try_narrow(0, first, rows);
        Ok(Tokens { values: narrow(&self.values)?, mask: self.mask.as_ref().map(narrow).transpose()? })
    }

    /// The rows selected by `index`, `[row]`, i64.
    pub(crate) fn pick(&self, index: &Tensor) -> Result<Self> {
        let pick = |tensor: &Tensor| tensor.try_index_select(0, index);
        Ok(Tokens { values: pick(&self.values)?, mask: self.mask.as_ref().map(pick).transpose()? })
    }

    /// The same tokens, sharing memory.
    pub(crate) fn shared(&self) -> Self {
        let mask = self.mask.as_ref().map(Tensor::shallow_clone);
        Tokens { values: self.values.shallow_clone(), mask }
    }

    /// True if the values share memory.
    pub(crate) fn is(&self, other: &Tokens) -> bool {
        same_memory(&self.values, &other.values)
    }
}

/// True if two tensors share memory, size and strides. If both are alive, they are equal.
pub(crate) fn same_memory(left: &Tensor, right: &Tensor) -> bool {
    left.data_ptr() == right.data_ptr() && left.size() == right.size() && left.stride() == right.stride()
}

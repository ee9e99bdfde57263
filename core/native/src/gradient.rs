//! The gradients of many tensors in one call.

use std::borrow::Borrow;

use tch::Tensor;

use crate::Result;
use crate::ffi::{self, Handles, checked};

/// The gradient of each tensor, sharing memory; undefined where it has none.
///
/// # Errors
/// libtorch refused.
pub fn gradients<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Vec<Tensor>> {
    let handles = Handles::new(tensors);
    let mut out = vec![std::ptr::null_mut(); tensors.len()];
    // SAFETY: the list has `len` handles of tensors that live until the call returns, and `out` has room for as many.
    let code = unsafe { ffi::anyflow_native_gradients(handles.as_ptr(), handles.len(), out.as_mut_ptr()) };
    checked("grad", code)?;
    // SAFETY: on success every entry is a new handle, and nobody else has it.
    Ok(out.into_iter().map(|handle| unsafe { Tensor::from_ptr(handle.cast()) }).collect())
}

/// Makes the gradient of each tensor undefined. The next backward pass then hands its gradients over instead of adding
/// them to zeros.
///
/// # Errors
/// A tensor can have no gradient, such as an undefined one.
pub fn clear_gradients<T: Borrow<Tensor>>(tensors: &[T]) -> Result<()> {
    let handles = Handles::new(tensors);
    // SAFETY: the list has `len` handles of tensors that live until the call returns.
    let code = unsafe { ffi::anyflow_native_clear_gradients(handles.as_ptr(), handles.len()) };
    checked("mutable_grad", code)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn gradients_are_collected_accumulate_and_are_cleared() {
        let leaf = |value: f32| Tensor::from_slice(&[value, 2.0 * value]).set_requires_grad(true);
        let weights = [leaf(1.0), leaf(2.0), leaf(3.0)];
        let backward = || (weights[0].square() + &weights[2] * 5.0).sum(Kind::Float).backward();
        let read = || {
            let found = gradients(&weights).unwrap();
            assert!(!found[1].defined());
            [0, 2].map(|i| Vec::<f32>::try_from(&found[i]).unwrap())
        };
        backward();
        assert_eq!(read(), [[2.0, 4.0], [5.0, 5.0]]);
        backward();
        assert_eq!(read(), [[4.0, 8.0], [10.0, 10.0]]);
        clear_gradients(&weights).unwrap();
        assert!(gradients(&weights).unwrap().iter().all(|gradient| !gradient.defined()));
        backward();
        assert_eq!(read(), [[2.0, 4.0], [5.0, 5.0]]);
    }
}

//! One call over a list of tensors.

use std::borrow::Borrow;

use tch::Tensor;

use crate::ffi::{self, Handles, checked, same_length};
use crate::{NativeError, Result};

/// Moves each tensor towards its end: `tensor += weight (end - tensor)`, in place, without recording gradients.
///
/// # Errors
/// The lists differ in length, or a pair differs in shape, dtype or device.
pub fn foreach_lerp_<T: Borrow<Tensor>, E: Borrow<Tensor>>(tensors: &[T], ends: &[E], weight: f64) -> Result<()> {
    same_length("_foreach_lerp_", &[tensors.len(), ends.len()])?;
    if tensors.is_empty() {
        return Ok(());
    }
    let (tensors, ends) = (Handles::new(tensors), Handles::new(ends));
    // SAFETY: both lists have `len` handles of tensors that live until the call returns.
    let code = unsafe { ffi::anyflow_native_foreach_lerp_(tensors.as_ptr(), ends.as_ptr(), tensors.len(), weight) };
    checked("_foreach_lerp_", code)
}

/// The Euclidean norm over all elements of all tensors: 0-dimensional, on their device, nothing read back.
///
/// # Errors
/// There is no tensor, or they are not on one device.
pub fn norm<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
    if tensors.is_empty() {
        return Err(NativeError { op: "_foreach_norm", message: "there is no tensor".into() });
    }
    let handles = Handles::new(tensors);
    let mut out = std::ptr::null_mut();
    // SAFETY: the list has `len` handles of tensors that live until the call returns; `out` is written on success.
    let code = unsafe { ffi::anyflow_native_norm(handles.as_ptr(), handles.len(), &mut out) };
    checked("_foreach_norm", code)?;
    // SAFETY: on success `out` is a new handle, and nobody else has it.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn some() -> Vec<Tensor> {
        let kind = (Kind::Float, Device::Cpu);
        let shapes: [&[i64]; 4] = [&[3, 5], &[7], &[2, 3, 4], &[]];
        let ramp = |(i, shape): (usize, &&[i64])| {
            let numbers = Tensor::arange(shape.iter().product::<i64>(), kind);
            ((numbers * 0.7 + i as f64).sin() * 3.0).reshape(*shape)
        };
        shapes.iter().enumerate().map(ramp).collect()
    }

    #[test]
    fn norm_is_that_of_all_elements_side_by_side() {
        let flat: Vec<Tensor> = some().iter().map(|tensor| tensor.to_kind(Kind::Double).flatten(0, -1)).collect();
        let reference = Tensor::cat(&flat, 0).square().sum(Kind::Double).sqrt().double_value(&[]);
        let found = norm(&some()).unwrap();
        assert!(found.size().is_empty());
        assert!((found.double_value(&[]) / reference - 1.0).abs() < 1e-6, "f32");
        assert!(norm::<Tensor>(&[]).is_err());
    }

    #[test]
    fn lerp_moves_by_the_weight() {
        let (tensors, ends) = (some(), some().iter().map(|tensor| tensor * -2.0 + 1.0).collect::<Vec<_>>());
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let wanted: Vec<Tensor> =
            tensors.iter().zip(&ends).map(|(a, b)| double(a) + (double(b) - double(a)) * 0.125).collect();
        foreach_lerp_(&tensors, &ends, 0.125).unwrap();
        for (found, wanted) in tensors.iter().zip(&wanted) {
            let off = (double(found) - wanted).abs().max().double_value(&[]);
            assert!(off < 1e-6, "{off} in f32");
        }
    }

    #[test]
    fn what_libtorch_throws_becomes_an_error() {
        let (tensors, ends) = (some(), some());
        let error = foreach_lerp_(&tensors[..1], &ends[1..2], 0.5).unwrap_err();
        assert!(error.message.contains("size"), "{error}");
        assert!(!error.message.contains('\n') && !error.message.contains("frame #"), "{error}");
        let error = foreach_lerp_(&tensors[..1], &ends[1..], 0.5).unwrap_err();
        assert!(error.message.contains("[1, 3]"), "{error}");
    }
}

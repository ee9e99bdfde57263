//! Fallible tensor operations whose errors name the operation and the shapes.

use std::borrow::Borrow;

use tch::kind::Element;
use tch::{Device, Kind, Reduction, Scalar, TchError, Tensor};

use crate::error::{EngineError, Result, failed};

/// Declares the methods of [`TensorExt`]: signature, tch call, and the tensors whose shapes an error lists. The name of
/// the operation is the method's name without `try_`.
macro_rules! operations {
    ($(fn $name:ident($($parameters:tt)*) -> $output:ty = $call:expr, $inputs:expr;)*) => {
        /// The operations of libtorch that the engine uses, as methods that return [`EngineError`].
        pub(crate) trait TensorExt: Sized {
            $(fn $name($($parameters)*) -> Result<$output>;)*
        }

        impl TensorExt for Tensor {
            $(fn $name($($parameters)*) -> Result<$output> {
                $call.map_err(|error| describe(&stringify!($name)["try_".len()..], $inputs, &error))
            })*
        }
    };
}

operations! {
    // New tensors.
    fn try_from_slice(values: &[impl Element]) -> Tensor = Tensor::f_from_slice(values), &[];
    fn try_zeros(size: impl AsRef<[i64]>, options: (Kind, Device)) -> Tensor = Tensor::f_zeros(size.as_ref(), options), &[];
    fn try_ones(size: impl AsRef<[i64]>, options: (Kind, Device)) -> Tensor = Tensor::f_ones(size.as_ref(), options), &[];
    fn try_full(size: impl AsRef<[i64]>, value: impl Into<Scalar>, options: (Kind, Device)) -> Tensor =
        Tensor::f_full(size.as_ref(), value, options), &[];
    fn try_eye(size: i64, options: (Kind, Device)) -> Tensor = Tensor::f_eye(size, options), &[];
    fn try_arange(end: i64, options: (Kind, Device)) -> Tensor = Tensor::f_arange(end, options), &[];
    fn try_zeros_like(&self) -> Tensor = self.f_zeros_like(), &[self];

    // Lists of tensors.
    fn try_cat(tensors: &[impl Borrow<Tensor>], dim: i64) -> Tensor = Tensor::f_cat(tensors, dim), &borrowed(tensors);
    fn try_stack(tensors: &[impl Borrow<Tensor>], dim: i64) -> Tensor = Tensor::f_stack(tensors, dim), &borrowed(tensors);
    fn try_chunk(&self, chunks: i64, dim: i64) -> Vec<Tensor> = self.f_chunk(chunks, dim), &[self];
    fn try_split(&self, size: i64, dim: i64) -> Vec<Tensor> = self.f_split(size, dim), &[self];
    fn try_unbind(&self, dim: i64) -> Vec<Tensor> = self.f_unbind(dim), &[self];

    // Shapes.
    fn try_view(&self, size: impl AsRef<[i64]>) -> Tensor = self.f_view(size.as_ref()), &[self];
    fn try_reshape(&self, size: impl AsRef<[i64]>) -> Tensor = self.f_reshape(size.as_ref()), &[self];
    fn try_expand(&self, size: impl AsRef<[i64]>) -> Tensor = self.f_expand(size.as_ref(), false), &[self];
    fn try_flatten(&self, start: i64, end: i64) -> Tensor = self.f_flatten(start, end), &[self];
    fn try_unflatten(&self, dim: i64, sizes: impl AsRef<[i64]>) -> Tensor = self.f_unflatten(dim, sizes.as_ref()), &[self];
    fn try_unsqueeze(&self, dim: i64) -> Tensor = self.f_unsqueeze(dim), &[self];
    fn try_squeeze(&self, dim: i64) -> Tensor = self.f_squeeze_dim(dim), &[self];
    fn try_permute(&self, dims: impl AsRef<[i64]>) -> Tensor = self.f_permute(dims.as_ref()), &[self];
    fn try_transpose(&self, one: i64, other: i64) -> Tensor = self.f_transpose(one, other), &[self];
    fn try_t(&self) -> Tensor = self.f_tr(), &[self];
    fn try_movedim(&self, from: i64, to: i64) -> Tensor = self.f_movedim_int(from, to), &[self];
    fn try_contiguous(&self) -> Tensor = self.f_contiguous(), &[self];

    // Selections.
    fn try_narrow(&self, dim: i64, start: i64, length: i64) -> Tensor = self.f_narrow(dim, start, length), &[self];
    fn try_narrow_copy(&self, dim: i64, start: i64, length: i64) -> Tensor = self.f_narrow_copy(dim, start, length), &[self];
    fn try_select(&self, dim: i64, index: i64) -> Tensor = self.f_select(dim, index), &[self];
    fn try_index_select(&self, dim: i64, index: &Tensor) -> Tensor = self.f_index_select(dim, index), &[self, index];
    fn try_index_copy(&self, dim: i64, index: &Tensor, source: &Tensor) -> Tensor =
        self.f_index_copy(dim, index, source), &[self, index, source];
    fn try_index_add_(&mut self, dim: i64, index: &Tensor, source: &Tensor) -> Tensor =
        self.f_index_add_(dim, index, source), &[self, index, source];
    fn try_gather(&self, dim: i64, index: &Tensor) -> Tensor = self.f_gather(dim, index, false), &[self, index];
    fn try_masked_fill(&self, mask: &Tensor, value: f64) -> Tensor = self.f_masked_fill(mask, value), &[self, mask];
    fn try_where(&self, condition: &Tensor, other: &Tensor) -> Tensor =
        self.f_where_self(condition, other), &[self, condition, other];
    fn try_repeat_interleave(&self, times: i64, dim: i64) -> Tensor =
        self.f_repeat_interleave_self_int(times, dim, None), &[self];

    // Devices, dtypes, gradients, values on the host.
    fn try_to_device(&self, device: Device) -> Tensor = self.f_to_device(device), &[self];
    fn try_to_kind(&self, kind: Kind) -> Tensor = self.f_to_kind(kind), &[self];
    fn try_detach(&self) -> Tensor = self.f_detach(), &[self];
    fn try_detach_copy(&self) -> Tensor = self.f_detach_copy(), &[self];
    fn try_require_grad(&self) -> Tensor = self.f_set_requires_grad(true), &[self];
    fn try_copy_(&mut self, source: &Tensor) -> () = self.f_copy_(source), &[self, source];
    fn try_zero_(&mut self) -> Tensor = self.f_zero_(), &[self];
    fn try_item(&self) -> f64 = self.f_double_value(&[]), &[self];
    fn try_to_floats(&self) -> Vec<f32> = Vec::try_from(self), &[self];
    fn try_to_bools(&self) -> Vec<bool> = Vec::try_from(self), &[self];

    // Elementwise operations.
    fn try_add(&self, other: &Tensor) -> Tensor = self.f_add(other), &[self, other];
    fn try_add_(&mut self, other: &Tensor) -> Tensor = self.f_add_(other), &[self, other];
    fn try_add_scalar(&self, other: f64) -> Tensor = self.f_add_scalar(other), &[self];
    fn try_sub(&self, other: &Tensor) -> Tensor = self.f_sub(other), &[self, other];
    fn try_sub_scalar(&self, other: f64) -> Tensor = self.f_sub_scalar(other), &[self];
    fn try_mul(&self, other: &Tensor) -> Tensor = self.f_mul(other), &[self, other];
    fn try_mul_scalar(&self, other: f64) -> Tensor = self.f_mul_scalar(other), &[self];
    fn try_div(&self, other: &Tensor) -> Tensor = self.f_div(other), &[self, other];
    fn try_div_scalar(&self, other: f64) -> Tensor = self.f_div_scalar(other), &[self];
    fn try_addcmul(&self, left: &Tensor, right: &Tensor) -> Tensor = self.f_addcmul(left, right), &[self, left, right];
    fn try_neg(&self) -> Tensor = self.f_neg(), &[self];
    fn try_square(&self) -> Tensor = self.f_square(), &[self];
    fn try_log(&self) -> Tensor = self.f_log(), &[self];
    fn try_sin(&self) -> Tensor = self.f_sin(), &[self];
    fn try_cos(&self) -> Tensor = self.f_cos(), &[self];
    fn try_clamp_min(&self, least: f64) -> Tensor = self.f_clamp_min(least), &[self];
    fn try_silu(&self) -> Tensor = self.f_silu(), &[self];
    fn try_silu_(&mut self) -> Tensor = self.f_silu_(), &[self];
    fn try_gelu(&self) -> Tensor = self.f_gelu("none"), &[self];
    fn try_gt(&self, other: f64) -> Tensor = self.f_gt(other), &[self];
    fn try_eq(&self, other: f64) -> Tensor = self.f_eq(other), &[self];
    fn try_eq_tensor(&self, other: &Tensor) -> Tensor = self.f_eq_tensor(other), &[self, other];
    fn try_isfinite(&self) -> Tensor = self.f_isfinite(), &[self];
    fn try_logical_not(&self) -> Tensor = self.f_logical_not(), &[self];
    fn try_logical_xor(&self, other: &Tensor) -> Tensor = self.f_logical_xor(other), &[self, other];

    // Reductions.
    fn try_sum(&self, dims: impl AsRef<[i64]>, keepdim: bool, kind: impl Into<Option<Kind>>) -> Tensor =
        self.f_sum_dim_intlist(dims.as_ref(), keepdim, kind), &[self];
    fn try_sum_all(&self, kind: Kind) -> Tensor = self.f_sum(kind), &[self];
    fn try_mean(&self, dims: impl AsRef<[i64]>, keepdim: bool, kind: Kind) -> Tensor =
        self.f_mean_dim(dims.as_ref(), keepdim, kind), &[self];
    fn try_mean_all(&self, kind: Kind) -> Tensor = self.f_mean(kind), &[self];
    fn try_norm(&self, dim: i64) -> Tensor = self.f_norm_scalaropt_dim(2.0, [dim], true), &[self];
    fn try_argmax(&self, dim: i64, keepdim: bool) -> Tensor = self.f_argmax(dim, keepdim), &[self];
    fn try_all(&self, dim: i64) -> Tensor = self.f_all_dim(dim, false), &[self];
    fn try_softmax(&self, dim: i64, kind: impl Into<Option<Kind>>) -> Tensor = self.f_softmax(dim, kind), &[self];
    fn try_cross_entropy(&self, target: &Tensor) -> Tensor =
        self.f_cross_entropy_loss(target, None::<&Tensor>, Reduction::Mean, -100, 0.0), &[self, target];

    // Products and layers.
    fn try_dot(&self, other: &Tensor) -> Tensor = self.f_dot(other), &[self, other];
    fn try_matmul(&self, other: &Tensor) -> Tensor = self.f_matmul(other), &[self, other];
    fn try_addmm(&self, left: &Tensor, right: &Tensor) -> Tensor = self.f_addmm(left, right), &[self, left, right];
    fn try_addmm_(&mut self, left: &Tensor, right: &Tensor) -> Tensor = self.f_addmm_(left, right), &[self, left, right];
    fn try_baddbmm(&self, left: &Tensor, right: &Tensor) -> Tensor =
        self.f_baddbmm(left, right, 1.0, 1.0), &[self, left, right];
    fn try_linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor = self.f_linear(weight, bias), &[self, weight];
    fn try_layer_norm(&self, size: impl AsRef<[i64]>, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor =
        self.f_layer_norm(size.as_ref(), weight, bias, eps, true), &[self];
    fn try_group_norm(&self, groups: i64, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor =
        self.f_group_norm(groups, weight, bias, eps, true), &[self];
    fn try_conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, stride: i64, padding: i64) -> Tensor =
        self.f_conv2d(weight, bias, [stride; 2], [padding; 2], [1, 1], 1), &[self, weight];
    fn try_conv3d(&self, weight: &Tensor, bias: Option<&Tensor>, padding: [i64; 3]) -> Tensor =
        self.f_conv3d(weight, bias, [1, 1, 1], padding, [1, 1, 1], 1), &[self, weight];
    fn try_upsample_nearest2d(&self, size: [i64; 2]) -> Tensor = self.f_upsample_nearest2d(size, None, None), &[self];
    fn try_attention(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Tensor =
        Tensor::f_scaled_dot_product_attention(query, key, value, mask, 0.0, false, None, false), &[query, key, value];
}

fn borrowed(tensors: &[impl Borrow<Tensor>]) -> Vec<&Tensor> {
    tensors.iter().map(Borrow::borrow).collect()
}

#[cold]
fn describe(op: &'static str, inputs: &[&Tensor], error: &TchError) -> EngineError {
    let shapes = inputs.iter().map(|tensor| format!("{:?}", tensor.size())).collect::<Vec<_>>().join(" ");
    failed(op, shapes, &error.to_string())
}

/// `values`, row after row, as `[rows, shape]`, f32, on `device`.
pub(crate) fn tensor_from_rows(values: &[f32], rows: usize, shape: &[i64], device: Device) -> Result<Tensor> {
    let size: Vec<i64> = std::iter::once(rows as i64).chain(shape.iter().copied()).collect();
    Tensor::try_from_slice(values)?.try_view(size)?.try_to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_operation_names_itself_and_its_shapes() {
        let left = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let right = Tensor::zeros([4, 5], (Kind::Float, Device::Cpu));
        let error = left.try_matmul(&right).unwrap_err();
        match &error {
            EngineError::Tensor { op, shapes, message } => {
                assert_eq!((*op, shapes.as_str()), ("matmul", "[2, 3] [4, 5]"));
                assert!(!message.contains('\n'), "{message}");
            }
            other => panic!("{other:?}"),
        }
        assert!(!error.is_out_of_memory());
    }

    #[test]
    fn running_out_of_memory_has_its_own_error() {
        let huge = Tensor::try_zeros([1 << 50], (Kind::Float, Device::Cpu));
        assert!(huge.unwrap_err().is_out_of_memory());
    }
}

//! Values of parameters.

use tch::{TchError, Tensor};

/// Gives a parameter these values, in its own dtype and on its own device. A parameter without memory of its own takes over
/// that of the values if dtype and device fit; `values` must not change afterwards.
///
/// # Errors
/// The shapes differ.
pub fn assign(parameter: &Tensor, values: &Tensor) -> Result<(), TchError> {
    let _no_grad = tch::no_grad_guard();
    let mut parameter = parameter.shallow_clone();
    if !shares_one_element(&parameter) {
        parameter.f_copy_(values)?;
        return Ok(());
    }
    if parameter.size() != values.size() {
        return Err(TchError::Shape(format!("{:?} for a parameter of {:?}", values.size(), parameter.size())));
    }
    let values = values.f_detach()?.f_to_device(parameter.device())?.f_to_kind(parameter.f_kind()?)?;
    parameter.f_set_data(&values.f_contiguous()?)
}

/// True if all elements are one: nothing but name and shape of the parameter is known.
fn shares_one_element(parameter: &Tensor) -> bool {
    let axes = parameter.size().into_iter().zip(parameter.stride());
    parameter.numel() > 1 && axes.into_iter().all(|(size, stride)| size == 1 || stride == 0)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn shared(sizes: &[i64]) -> Tensor {
        Tensor::zeros([1], F32).expand(sizes, false).set_requires_grad(true)
    }

    #[test]
    fn a_parameter_without_memory_takes_that_of_its_values() {
        let [parameter, values] = [shared(&[2, 3]), Tensor::rand([2, 3], F32)];
        let held = parameter.shallow_clone();
        assign(&parameter, &values).unwrap();
        assert!(held.data_ptr() == values.data_ptr() && held.requires_grad(), "nothing is copied");
        assign(&parameter, &Tensor::ones([2, 3], F32)).unwrap();
        assert_eq!(values, Tensor::ones([2, 3], F32), "it has memory now");
    }

    #[test]
    fn values_of_another_dtype_or_order_are_converted() {
        let parameter = shared(&[3, 2]);
        let values = Tensor::arange(6, F32).reshape([2, 3]);
        assign(&parameter, &values.to_kind(Kind::Half).tr()).unwrap();
        assert!(parameter.is_contiguous() && parameter.kind() == Kind::Float);
        assert_eq!(parameter.detach(), values.tr());
        assert!(assign(&shared(&[3, 2]), &values).is_err(), "another shape");
    }

    #[test]
    fn one_element_has_memory_in_any_case() {
        let parameter = Tensor::zeros([1, 1], F32);
        let values = Tensor::ones([1, 1], F32);
        assign(&parameter, &values).unwrap();
        assert!(parameter == values && parameter.data_ptr() != values.data_ptr());
    }
}

//! Variables, with or without memory of their own.

use std::cell::Cell;

use tch::{Kind, Tensor, nn};

use crate::Error;

thread_local! {
    /// True while an instance without memory is made on this thread.
    static IS_DRY: Cell<bool> = const { Cell::new(false) };
}

/// Makes the variable `name: sizes` under `path`, f32, with these values. Where the host gives all values from a file, or
/// wants only names and shapes, no value is drawn: all elements share the memory of one until the host sets them. Use
/// this in place of the functions of [`nn::Path`], and compute nothing from a variable before the first call of a role.
///
/// # Errors
/// [`Error::Torch`] if memory runs out.
pub fn variable(path: &nn::Path<'_>, name: &str, sizes: &[i64], start: nn::Init) -> Result<Tensor, Error> {
    if !IS_DRY.get() {
        return Ok(path.f_var(name, sizes, start)?);
    }
    let strides = vec![0i64; sizes.len()];
    let shared = Tensor::f_empty_strided(sizes, strides, (Kind::Float, path.device()))?;
    if shared.numel() > 0 {
        let _ = shared.f_as_strided([1], [1], None)?.f_zero_()?;
    }
    Ok(path.add(name, shared, true))
}

/// Runs `make`, in which [`variable`] takes no memory.
pub(crate) fn without_memory<T>(make: impl FnOnce() -> T) -> T {
    let _dry = Dry::begin();
    make()
}

/// Ends with the value, also by a panic.
struct Dry;

impl Dry {
    fn begin() -> Dry {
        IS_DRY.set(true);
        Dry
    }
}

impl Drop for Dry {
    fn drop(&mut self) {
        IS_DRY.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use tch::{Device, IndexOp};

    use super::*;

    /// 4 TiB of f32.
    const HUGE: [i64; 2] = [1 << 20, 1 << 20];

    fn made(sizes: &[i64]) -> Result<Tensor, Error> {
        let variables = nn::VarStore::new(Device::Cpu);
        variable(&variables.root(), "weight", sizes, nn::Init::Const(2.0))
    }

    #[test]
    fn a_variable_without_memory_has_name_shape_and_gradient() {
        let variables = nn::VarStore::new(Device::Cpu);
        let kept = without_memory(|| variable(&variables.root(), "weight", &HUGE, nn::Init::Const(2.0))).unwrap();
        let named = &variables.variables()["weight"];
        assert_eq!((named.size(), named.requires_grad(), named.kind()), (HUGE.to_vec(), true, Kind::Float));
        assert_eq!(kept.i((7, 9)).double_value(&[]), 0.0);

        let values = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
        named.shallow_clone().set_data(&values);
        assert_eq!(
            (kept.size(), kept.sum(Kind::Float).double_value(&[])),
            (vec![3, 2], 6.0),
            "the plugin's own tensor"
        );
        assert!(kept.is_leaf() && kept.requires_grad());
    }

    #[test]
    fn variables_have_memory_again_after_an_instance_without() {
        assert!(catch_unwind(|| without_memory(|| panic!("in the middle"))).is_err());
        assert_eq!(made(&[2, 3]).unwrap().sum(Kind::Float).double_value(&[]), 12.0);
        assert!(without_memory(|| made(&[0, 4])).unwrap().size() == [0, 4]);
        assert!(without_memory(|| made(&[])).unwrap().size().is_empty());
    }
}

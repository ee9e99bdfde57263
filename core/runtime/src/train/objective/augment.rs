//! Data augmentation of training batches.

use tch::{Device, Kind, Tensor};

use crate::Result;

/// Shifts a batch `[row, ..., height, width]` by one random offset of at most `most` elements along each of the last two
/// axes, with wrap-around. Batches with fewer than three axes stay as they are.
///
/// # Errors
/// A libtorch call failed.
pub fn shifted(array: Tensor, most: i64) -> Result<Tensor> {
    let axes = array.dim() as i64;
    if most == 0 || axes < 3 {
        return Ok(array);
    }
    let offset = Tensor::f_randint_low(-most, most + 1, [2], (Kind::Int64, Device::Cpu))?;
    let offset = Vec::<i64>::try_from(offset)?;
    Ok(array.f_roll(offset, [axes - 2, axes - 1])?)
}

/// Adds normal noise of this standard deviation to a batch of any shape.
///
/// # Errors
/// A libtorch call failed.
pub fn noised(array: Tensor, std: f64) -> Result<Tensor> {
    if std == 0.0 {
        return Ok(array);
    }
    Ok(array.f_add(&array.f_randn_like()?.f_mul_scalar(std)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_moves_all_rows_by_the_same_offset() {
        let array = Tensor::arange(2 * 5 * 5, (Kind::Float, Device::Cpu)).view([2, 1, 5, 5]);
        let mut offsets = std::collections::BTreeSet::new();
        for _ in 0..400 {
            let moved = shifted(array.shallow_clone(), 1).unwrap();
            let fits = |down: &i64, across: &i64| array.roll([*down, *across], [2, 3]) == moved;
            let offset = (-1..=1).flat_map(|down| (-1..=1).map(move |across| (down, across)));
            offsets.extend(offset.filter(|(down, across)| fits(down, across)));
        }
        assert_eq!(offsets.len(), 9, "each offset occurs, and no other");
        assert_eq!(shifted(array.shallow_clone(), 0).unwrap(), array);
        let vectors = array.view([2, 25]);
        assert_eq!(shifted(vectors.shallow_clone(), 3).unwrap(), vectors, "vectors stay as they are");
    }
}

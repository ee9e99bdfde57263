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

/// Mirrors each row of a batch `[row, ..., height, width]` along the last axis with probability 1/2, if `mirror` asks for
/// it. Batches with fewer than three axes stay as they are.
///
/// # Errors
/// A libtorch call failed.
pub fn mirrored(array: Tensor, mirror: bool) -> Result<Tensor> {
    let axes = array.dim();
    if !mirror || axes < 3 {
        return Ok(array);
    }
    let mut shape = vec![1; axes];
    shape[0] = array.size()[0];
    let mask = Tensor::f_rand(shape, (Kind::Float, Device::Cpu))?.f_lt(0.5)?.f_to_device(array.device())?;
    Ok(array.f_flip([axes as i64 - 1])?.f_where_self(&mask, &array)?)
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
    fn about_half_of_the_rows_are_mirrored() {
        let row = Tensor::arange(2 * 3 * 4, (Kind::Float, Device::Cpu)).view([1, 2, 3, 4]);
        let rows = row.repeat([2000, 1, 1, 1]);
        let moved = mirrored(rows.shallow_clone(), true).unwrap();
        let is = |index: i64, wanted: &Tensor| moved.get(index) == *wanted;
        let mirror = row.flip([3]).get(0);
        let count = (0..2000).filter(|index| is(*index, &mirror)).count();
        assert!((0..2000).all(|index| is(index, &mirror) || is(index, &row.get(0))), "a row is mirrored as a whole");
        // Five standard deviations of a binomial distribution.
        assert!((count as f64 - 1000.0).abs() < 5.0 * 22.4, "{count}");
        assert_eq!(mirrored(rows.shallow_clone(), false).unwrap(), rows);
        let vectors = rows.view([2000, 24]);
        assert_eq!(mirrored(vectors.shallow_clone(), true).unwrap(), vectors, "vectors stay as they are");
    }

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

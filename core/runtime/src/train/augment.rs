//! Rows moved at random, so that few pictures teach more than where things happen to lie.

use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// `augment` of an objective: streams of one row are moved alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Whose arrays are moved; they have two axes at least.
    pub streams: Vec<String>,
    /// Largest shift along the last two axes, in elements; what leaves on one side comes back on the other.
    shift: i64,
    /// Whether every second row is mirrored along the last axis.
    mirror: bool,
}

/// Where the rows of a step go.
pub struct Moves {
    /// Along the last but one axis and the last, `[row]` each.
    by: [Tensor; 2],
    /// Whether it is mirrored first, `[row]`.
    mirrored: Tensor,
}

impl Augment {
    /// From libtorch's generator of the CPU, which the stage seeds at each step.
    ///
    /// # Errors
    /// Out of memory.
    pub fn draw(&self, rows: usize) -> Result<Moves> {
        let of_rows = |low, high| Tensor::f_randint_low(low, high, [rows as i64], (Kind::Int64, Device::Cpu));
        let by = [of_rows(-self.shift, self.shift + 1)?, of_rows(-self.shift, self.shift + 1)?];
        let mirrored = of_rows(0, 1 + i64::from(self.mirror))?.f_to_kind(Kind::Bool)?;
        Ok(Moves { by, mirrored })
    }
}

impl Moves {
    /// `[row, ..., height, width]` in host memory, moved.
    ///
    /// # Errors
    /// Another number of rows, or fewer axes, which planning excludes.
    pub fn apply(&self, array: &Tensor) -> Result<Tensor> {
        let axes = array.dim() as i64;
        let mut one_each = vec![-1];
        one_each.resize(axes as usize, 1);
        let mirrored = self.mirrored.f_view(one_each.as_slice())?;
        let mut moved = array.f_flip([-1i64])?.f_where_self(&mirrored, array)?;
        for (by, axis) in self.by.iter().zip([axes - 2, axes - 1]) {
            let length = array.size()[axis as usize];
            let mut along = vec![1; axes as usize];
            along[axis as usize] = length;
            // Element i comes from i - by.
            let from = Tensor::f_arange(length, (Kind::Int64, Device::Cpu))?.f_view(along.as_slice())?;
            let from = from.f_sub(&by.f_view(one_each.as_slice())?)?.f_remainder(length)?;
            moved = moved.f_gather(axis, &from.f_expand(array.size(), false)?, false)?;
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(rows: i64) -> Tensor {
        Tensor::arange(rows * 2 * 3 * 4, (Kind::Float, Device::Cpu)).view([rows, 2, 3, 4])
    }

    #[test]
    fn each_row_goes_its_own_way_and_all_its_planes_go_alike() {
        let numbers = |values: &[i64]| Tensor::from_slice(values);
        let moves = Moves {
            by: [numbers(&[0, 1, -1]), numbers(&[0, 0, 2])],
            mirrored: Tensor::from_slice(&[false, true, false]),
        };
        let all = pictures(3);
        let moved = moves.apply(&all).unwrap();
        assert_eq!(moved.get(0), all.get(0));
        assert_eq!(moved.get(1), all.get(1).flip([-1i64]).roll([1], [1]));
        assert_eq!(moved.get(2), all.get(2).roll([-1, 2], [1, 2]));
    }

    #[test]
    fn moves_stay_within_what_is_asked_and_reach_all_of_it() {
        crate::seed_libtorch(1);
        let augment = Augment { streams: Vec::new(), shift: 2, mirror: true };
        let Moves { by, mirrored } = augment.draw(200).unwrap();
        for by in by {
            assert_eq!((by.min().int64_value(&[]), by.max().int64_value(&[])), (-2, 2));
        }
        let share = mirrored.to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((0.35..0.65).contains(&share), "{share}");
        let still = Augment { streams: Vec::new(), shift: 0, mirror: false };
        let all = pictures(5);
        assert_eq!(still.draw(5).unwrap().apply(&all).unwrap(), all);
    }
}

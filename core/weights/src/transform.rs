//! What happens to a published tensor on its way into the model.

/// A change of a tensor's shape. No number changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// None.
    Whole,
    /// Both axes of a matrix are swapped.
    Transposed,
    /// Trailing axes of size 1 behind the second axis are removed.
    Squeezed,
    /// One of equal parts along the first axis.
    Slice {
        /// From 0.
        part: usize,
        /// Number of parts.
        of: usize,
    },
    /// Put together with others along the first axis.
    Joined {
        /// Its place, from 0.
        part: usize,
        /// Number of parts.
        of: usize,
    },
}

impl Transform {
    /// The shape after the change; `None` if a tensor of this shape cannot change so. A joined tensor keeps its own shape.
    pub fn shape(self, shape: &[usize]) -> Option<Vec<usize>> {
        match (self, shape) {
            (Transform::Whole | Transform::Joined { .. }, _) => Some(shape.to_vec()),
            (Transform::Transposed, [rows, columns]) => Some(vec![*columns, *rows]),
            (Transform::Transposed, _) => None,
            (Transform::Squeezed, [kept @ .., 1]) if kept.len() >= 2 => {
                Transform::Squeezed.shape(kept).or(Some(kept.to_vec()))
            }
            (Transform::Squeezed, _) => (shape.len() <= 2).then(|| shape.to_vec()),
            (Transform::Slice { of, .. }, [first, rest @ ..]) if first % of == 0 => {
                Some([&[first / of][..], rest].concat())
            }
            (Transform::Slice { .. }, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_change_as_the_numbers_do() {
        assert_eq!(Transform::Transposed.shape(&[2, 3]), Some(vec![3, 2]));
        assert_eq!(Transform::Transposed.shape(&[2]), None);
        assert_eq!(Transform::Squeezed.shape(&[4, 3, 1, 1]), Some(vec![4, 3]));
        assert_eq!(Transform::Squeezed.shape(&[4, 1]), Some(vec![4, 1]));
        assert_eq!(Transform::Squeezed.shape(&[4, 3, 3, 1]), Some(vec![4, 3, 3]));
        assert_eq!(Transform::Slice { part: 1, of: 3 }.shape(&[12, 4]), Some(vec![4, 4]));
        assert_eq!(Transform::Slice { part: 1, of: 3 }.shape(&[10, 4]), None);
    }
}

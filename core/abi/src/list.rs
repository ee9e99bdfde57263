//! Numbers in nested lists.

use crate::items;

/// The most levels of a list cell.
pub const MAX_DEPTH: u32 = 8;

/// Numbers in nested lists, borrowed: the payload of a cell of kind [`LIST`](crate::cell_kind::LIST). Since ABI 1.2.
///
/// `values` holds all numbers in order. `lengths` holds the number of items of the list, then for each item that is
/// a list its own lengths in the same way: `[n]` for a list of numbers, `[n, l1 .. ln]` for a list of lists, and
/// `[2, 1, 3, 2, 4, 5]` for a list of two lists, the first of one list of 3 numbers, the second of lists of 4 and 5.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ListView {
    /// Size of this struct as its creator knows it.
    pub struct_size: u32,
    /// Levels of nesting, from 1 to [`MAX_DEPTH`]; the same for every cell of a column.
    pub depth: u32,
    /// First number; may be null if `values_len` is 0.
    pub values: *const f64,
    /// Number of numbers.
    pub values_len: usize,
    /// First length.
    pub lengths: *const u64,
    /// Number of lengths, at least 1.
    pub lengths_len: usize,
}

impl ListView {
    /// A view of a list that must not outlive it.
    pub const fn new(depth: u32, values: &[f64], lengths: &[u64]) -> Self {
        ListView {
            struct_size: size_of::<ListView>() as u32,
            depth,
            values: values.as_ptr(),
            values_len: values.len(),
            lengths: lengths.as_ptr(),
            lengths_len: lengths.len(),
        }
    }

    /// Numbers and lengths; `None` if they do not fit each other, or cannot be valid memory.
    ///
    /// # Safety
    /// `values` and `lengths` point at `values_len` and `lengths_len` readable items, unchanged for `'a`, unless null.
    #[allow(unsafe_code)]
    pub unsafe fn parts<'a>(&self) -> Option<(&'a [f64], &'a [u64])> {
        // SAFETY: the caller promises this range for 'a.
        let values = unsafe { items(self.values, self.values_len) }.ok()?;
        // SAFETY: the caller promises this range for 'a.
        let lengths = unsafe { items(self.lengths, self.lengths_len) }.ok()?;
        (values_of(self.depth, lengths) == Some(values.len())).then_some((values, lengths))
    }
}

/// The number of numbers in a list of `depth` levels with these `lengths`; `None` if the lengths do not describe such a
/// list.
pub fn values_of(depth: u32, lengths: &[u64]) -> Option<usize> {
    let mut rest = lengths;
    let count = if (1..=MAX_DEPTH).contains(&depth) { take(depth, &mut rest) } else { None };
    if rest.is_empty() { count } else { None }
}

/// Takes one list's lengths from the front of `rest`, and returns the number of its numbers.
fn take(depth: u32, rest: &mut &[u64]) -> Option<usize> {
    let (items, behind) = rest.split_first()?;
    *rest = behind;
    if depth == 1 {
        return usize::try_from(*items).ok();
    }
    let mut values = 0usize;
    for _ in 0..*items {
        values = values.checked_add(take(depth - 1, rest)?)?;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_give_the_count_of_numbers() {
        assert_eq!(values_of(1, &[7]), Some(7));
        assert_eq!(values_of(2, &[2, 3, 4]), Some(7));
        assert_eq!(values_of(2, &[0]), Some(0));
        assert_eq!(values_of(3, &[2, 1, 3, 2, 4, 5]), Some(12));
    }

    #[test]
    fn lengths_of_another_shape_are_refused() {
        let cases: [(u32, &[u64]); 7] =
            [(0, &[1]), (9, &[1]), (1, &[]), (1, &[1, 1]), (2, &[2, 3]), (2, &[u64::MAX, 1]), (2, &[2, u64::MAX, 1])];
        for (depth, lengths) in cases {
            assert_eq!(values_of(depth, lengths), None, "{depth} {lengths:?}");
        }
    }
}

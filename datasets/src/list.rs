//! Numbers in nested lists, as one value.

use std::fmt;

/// The most levels of a value.
pub const MAX_DEPTH: u32 = 8;

/// Numbers in nested lists, borrowed from their column.
///
/// `values` holds all numbers in order. `lengths` holds the number of items of the list, then for each item that is
/// a list its own lengths in the same way: `[n]` for a list of numbers, `[n, l1 .. ln]` for a list of lists.
#[derive(Clone, Copy, PartialEq)]
pub struct List<'a> {
    pub(crate) depth: u32,
    pub(crate) values: &'a [f64],
    pub(crate) lengths: &'a [u64],
}

/// Numbers in nested lists, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedList {
    depth: u32,
    values: Vec<f64>,
    lengths: Vec<u64>,
}

impl<'a> List<'a> {
    /// Levels of nesting, at least 1.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// All numbers, in order.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// The lengths, in the layout of [`List`].
    pub fn lengths(&self) -> &'a [u64] {
        self.lengths
    }

    /// A copy that outlives the column.
    pub fn into_owned(self) -> OwnedList {
        OwnedList { depth: self.depth, values: self.values.to_vec(), lengths: self.lengths.to_vec() }
    }
}

impl OwnedList {
    /// A list of `depth` levels; `None` if the lengths do not fit the number of values.
    pub fn new(depth: u32, values: Vec<f64>, lengths: Vec<u64>) -> Option<OwnedList> {
        let mut rest = lengths.as_slice();
        let count = if (1..=MAX_DEPTH).contains(&depth) { take(depth, &mut rest, &mut |_, _| {}) } else { None };
        (count == Some(values.len()) && rest.is_empty()).then_some(OwnedList { depth, values, lengths })
    }

    /// The same list, borrowed.
    pub fn as_list(&self) -> List<'_> {
        List { depth: self.depth, values: &self.values, lengths: &self.lengths }
    }
}

/// Takes one list's lengths from the front of `rest`, passes each with its depth to `tell`, and counts the numbers.
pub(crate) fn take(depth: u32, rest: &mut &[u64], tell: &mut impl FnMut(u32, u64)) -> Option<usize> {
    let (items, behind) = rest.split_first()?;
    *rest = behind;
    tell(depth, *items);
    if depth == 1 {
        return usize::try_from(*items).ok();
    }
    let mut values = 0usize;
    for _ in 0..*items {
        values = values.checked_add(take(depth - 1, rest, tell)?)?;
    }
    Some(values)
}

/// Formats the list as JSON.
impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.values.iter();
        let mut lengths = self.lengths.iter();
        write_list(self.depth, &mut values, &mut lengths, f)
    }
}

fn write_list<'a>(
    depth: u32,
    values: &mut impl Iterator<Item = &'a f64>,
    lengths: &mut impl Iterator<Item = &'a u64>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str("[")?;
    for item in 0..lengths.next().copied().unwrap_or(0) {
        if item > 0 {
            f.write_str(", ")?;
        }
        if depth > 1 {
            write_list(depth - 1, values, lengths, f)?;
        } else if let Some(value) = values.next() {
            write!(f, "{value}")?;
        }
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_knows_its_shape() {
        let list = OwnedList::new(3, vec![1.0, 2.5, 3.0], vec![2, 2, 1, 0, 1, 2]).unwrap();
        assert_eq!(format!("{:?}", list.as_list()), "[[[1], []], [[2.5, 3]]]");
        assert_eq!(OwnedList::new(1, vec![1.0], vec![2]), None);
        assert_eq!(OwnedList::new(2, vec![1.0], vec![1]), None);
        assert_eq!(OwnedList::new(9, vec![], vec![0]), None);
    }
}

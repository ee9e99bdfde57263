//! Numbers in nested lists, such as points, samples or measurements.

use crate::Error;
use crate::abi::{ListView, MAX_DEPTH, values_of};

/// Numbers in nested lists, borrowed from the host for one call.
///
/// Depth 1 is a list of numbers, depth 2 a list of such lists, and so on. All cells of a column have the depth in the
/// codec's descriptor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct List<'a> {
    depth: u32,
    values: &'a [f64],
    lengths: &'a [u64],
}

impl<'a> List<'a> {
    /// A copy that outlives the call.
    #[cfg(feature = "testkit")]
    pub(crate) fn into_owned(self) -> OwnedList {
        OwnedList { depth: self.depth, values: self.values.to_vec(), lengths: self.lengths.to_vec() }
    }

    /// Levels of nesting, at least 1.
    pub fn depth(self) -> u32 {
        self.depth
    }

    /// Number of items: numbers at depth 1, lists above.
    pub fn len(self) -> usize {
        self.lengths.first().map_or(0, |len| *len as usize)
    }

    /// True if there are no items.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// All numbers of all nested lists, in order.
    pub fn values(self) -> &'a [f64] {
        self.values
    }

    /// The numbers of a list of numbers.
    ///
    /// # Errors
    /// [`Error::Data`] if the items are lists.
    pub fn numbers(self) -> Result<&'a [f64], Error> {
        match self.depth {
            1 => Ok(self.values),
            depth => Err(Error::Data(format!("the cell is a list of {depth} levels instead of a list of numbers"))),
        }
    }

    /// The items of a list of lists, in order.
    ///
    /// # Errors
    /// [`Error::Data`] if the items are numbers.
    pub fn lists(self) -> Result<impl Iterator<Item = List<'a>>, Error> {
        if self.depth < 2 {
            return Err(Error::data("the cell is a list of numbers instead of a list of lists"));
        }
        let List { depth, mut values, lengths } = self;
        let mut lengths = lengths.get(1..).unwrap_or_default();
        Ok(std::iter::from_fn(move || {
            let mut list = List { depth: depth - 1, values, lengths: lengths.get(..extent(depth - 1, lengths)?)? };
            (list.values, values) = values.split_at_checked(values_of(list.depth, list.lengths)?)?;
            lengths = &lengths[list.lengths.len()..];
            Some(list)
        }))
    }

    /// # Safety
    /// `view` is as the ABI says: its numbers and lengths are readable for `'a`.
    pub(crate) unsafe fn from_view(view: Option<&ListView>) -> Result<List<'a>, Error> {
        let list = view.and_then(|view| {
            // SAFETY: the host keeps numbers and lengths readable until the call returns.
            let (values, lengths) = unsafe { view.parts()? };
            Some(List { depth: view.depth, values, lengths })
        });
        list.ok_or_else(|| Error::Failed("the host passed an inconsistent list".into()))
    }
}

/// The number of lengths of the first list of `depth` levels.
fn extent(depth: u32, lengths: &[u64]) -> Option<usize> {
    let items = *lengths.first()?;
    let mut taken = 1;
    if depth > 1 {
        for _ in 0..items {
            taken += extent(depth - 1, lengths.get(taken..)?)?;
        }
    }
    Some(taken)
}

/// Numbers in nested lists, made by a codec.
///
/// ```
/// use anyflow_sdk::OwnedList;
///
/// let point = |x, y| OwnedList::numbers(vec![x, y]);
/// let line = OwnedList::lists(2, &[point(0.0, 0.0), point(1.0, 2.0)])?;
/// let drawing = OwnedList::lists(3, &[line])?;
/// assert_eq!(drawing.as_list().values(), [0.0, 0.0, 1.0, 2.0]);
/// # Ok::<(), anyflow_sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedList {
    depth: u32,
    values: Vec<f64>,
    lengths: Vec<u64>,
}

impl OwnedList {
    /// A list of numbers.
    pub fn numbers(values: Vec<f64>) -> OwnedList {
        OwnedList { depth: 1, lengths: vec![values.len() as u64], values }
    }

    /// A list of `depth` levels from its items, which have one level less.
    ///
    /// # Errors
    /// [`Error::Failed`] if an item has another depth, or `depth` is not between 2 and [`MAX_DEPTH`].
    pub fn lists(depth: u32, items: &[OwnedList]) -> Result<OwnedList, Error> {
        if !(2..=MAX_DEPTH).contains(&depth) {
            return Err(Error::Failed(format!("a list of lists must have 2 to {MAX_DEPTH} levels, not {depth}")));
        }
        let mut list = OwnedList { depth, values: Vec::new(), lengths: vec![items.len() as u64] };
        for item in items {
            if item.depth + 1 != depth {
                return Err(Error::Failed(format!(
                    "a list of {depth} levels cannot hold a list of {} levels",
                    item.depth
                )));
            }
            list.values.extend(&item.values);
            list.lengths.extend(&item.lengths);
        }
        Ok(list)
    }

    /// A list of `depth` levels from its numbers and lengths in the format of the ABI.
    ///
    /// # Errors
    /// [`Error::Failed`] if the lengths do not fit the number of values.
    pub fn from_parts(depth: u32, values: Vec<f64>, lengths: Vec<u64>) -> Result<OwnedList, Error> {
        if values_of(depth, &lengths) != Some(values.len()) {
            return Err(Error::Failed(format!("the lengths do not fit {} numbers", values.len())));
        }
        Ok(OwnedList { depth, values, lengths })
    }

    /// The same list, borrowed.
    pub fn as_list(&self) -> List<'_> {
        List { depth: self.depth, values: &self.values, lengths: &self.lengths }
    }

    pub(crate) fn view(&self) -> ListView {
        ListView::new(self.depth, &self.values, &self.lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing() -> OwnedList {
        let line = |points: &[[f64; 2]]| {
            let points: Vec<_> = points.iter().map(|point| OwnedList::numbers(point.to_vec())).collect();
            OwnedList::lists(2, &points).unwrap()
        };
        let lines = [line(&[[1.0, 2.0], [3.0, 4.0]]), line(&[]), line(&[[5.0, 6.0]])];
        OwnedList::lists(3, &lines).unwrap()
    }

    #[test]
    fn nested_lists_are_iterated() {
        let drawing = drawing();
        let lines: Vec<_> = drawing.as_list().lists().unwrap().collect();
        assert_eq!(lines.iter().map(|line| line.len()).collect::<Vec<_>>(), [2, 0, 1]);
        let points: Vec<_> = lines[0].lists().unwrap().map(|point| point.numbers().unwrap()).collect();
        assert_eq!(points, [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(lines[2].values(), [5.0, 6.0]);
    }

    #[test]
    fn a_list_crosses_as_a_view() {
        let drawing = drawing();
        // SAFETY: the list outlives the view.
        let list = unsafe { List::from_view(Some(&drawing.view())) }.unwrap();
        assert_eq!(list, drawing.as_list());
        let torn = OwnedList { lengths: vec![3, 1], ..drawing };
        // SAFETY: as above.
        assert!(unsafe { List::from_view(Some(&torn.view())) }.is_err());
    }

    #[test]
    fn another_depth_is_an_error() {
        let numbers = OwnedList::numbers(vec![1.0]);
        assert!(numbers.as_list().lists().is_err());
        assert!(drawing().as_list().numbers().is_err());
        assert!(OwnedList::lists(3, &[numbers]).is_err());
        assert!(OwnedList::lists(1, &[]).is_err());
    }
}

//! Sets of rows of a dataset.

use std::ops::Range;

/// Rows of a dataset, in ascending order, as runs of consecutive rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSet {
    runs: Vec<Run>,
}

/// Consecutive rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    rows: Range<u64>,
    /// Number of rows of the set before it.
    before: u64,
}

impl RowSet {
    /// Adds a row. Rows come in ascending order; a row before the last one is not added.
    pub fn push(&mut self, row: u64) {
        let length = self.len();
        match self.runs.last_mut() {
            Some(last) if row == last.rows.end => last.rows.end += 1,
            Some(last) if row < last.rows.end => {}
            _ => self.runs.push(Run { rows: row..row + 1, before: length }),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> u64 {
        self.runs.last().map_or(0, |last| last.before + (last.rows.end - last.rows.start))
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The rows as a range, if they are consecutive.
    pub fn as_range(&self) -> Option<Range<u64>> {
        match self.runs.as_slice() {
            [] => Some(0..0),
            [only] => Some(only.rows.clone()),
            _ => None,
        }
    }

    /// The rows at these places of the set, from 0, clipped to the set.
    #[must_use]
    pub fn slice(&self, places: Range<u64>) -> RowSet {
        let first = self.runs.partition_point(|run| run.before + (run.rows.end - run.rows.start) <= places.start);
        let mut cut = RowSet::default();
        for Run { rows, before } in &self.runs[first..] {
            if *before >= places.end {
                break;
            }
            let start = rows.start + places.start.saturating_sub(*before);
            let end = rows.end.min(rows.start.saturating_add(places.end - before));
            let before = cut.len();
            cut.runs.extend((start < end).then_some(Run { rows: start..end, before }));
        }
        cut
    }

    /// The runs of consecutive rows.
    pub fn runs(&self) -> impl Iterator<Item = Range<u64>> {
        self.runs.iter().map(|run| run.rows.clone())
    }
}

impl From<Range<u64>> for RowSet {
    fn from(rows: Range<u64>) -> RowSet {
        RowSet { runs: if rows.is_empty() { Vec::new() } else { vec![Run { rows, before: 0 }] } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(set: &RowSet) -> Vec<u64> {
        set.runs().flatten().collect()
    }

    proptest! {
        #[test]
        fn a_slice_is_that_of_the_list(members in prop::collection::btree_set(0..40u64, 0..30), start in 0..40u64, length in 0..40u64) {
            let mut set = RowSet::default();
            members.iter().for_each(|row| set.push(*row));
            let all: Vec<u64> = members.into_iter().collect();
            prop_assert_eq!(rows(&set), all.clone());
            prop_assert_eq!(set.len(), all.len() as u64);
            let part: Vec<u64> = all.into_iter().skip(start as usize).take(length as usize).collect();
            let cut = set.slice(start..start + length);
            prop_assert_eq!(cut.len(), part.len() as u64);
            prop_assert_eq!(rows(&cut), part);
        }
    }

    #[test]
    fn a_range_is_a_set_of_one_run() {
        let set = RowSet::from(3..9);
        assert_eq!((set.len(), set.as_range(), set.slice(1..99).as_range()), (6, Some(3..9), Some(4..9)));
        assert!(set.slice(6..u64::MAX).is_empty() && RowSet::from(5..5).is_empty());
    }
}

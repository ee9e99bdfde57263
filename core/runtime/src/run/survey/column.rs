//! What the cells of a column are.

use std::collections::BTreeMap;

use anyflow_datasets::{Cell, Media};
use anyflow_plan::survey::{ColumnSurvey, ValueRange};
use indexmap::IndexMap;

/// The cells of a column, seen one by one.
#[derive(Default)]
pub struct ColumnCells {
    nulls: u64,
    unreadable: u64,
    kinds: BTreeMap<&'static str, BTreeMap<String, u64>>,
    values: IndexMap<&'static str, Vec<f64>>,
}

impl ColumnCells {
    /// Counts nulls of a column without cells.
    pub fn add_nulls(&mut self, nulls: usize) {
        self.nulls += nulls as u64;
    }

    /// Counts a cell; `None` for an unreadable one.
    pub fn add(&mut self, cell: Option<Option<Cell<'_>>>) {
        match cell {
            None => self.unreadable += 1,
            Some(None) => self.nulls += 1,
            Some(Some(Cell::Bytes(bytes))) => self.add_file(bytes),
            Some(Some(Cell::Files(files))) => {
                self.value("files", files.len() as f64);
                files.iter().for_each(|file| self.add_file(file));
            }
            Some(Some(Cell::Utf8(text))) => self.value("characters", text.chars().count() as f64),
            Some(Some(Cell::List(list))) => self.value("numbers", list.values().len() as f64),
            Some(Some(Cell::I64(value))) => self.value("value", value as f64),
            Some(Some(Cell::F64(value))) => self.value("value", value),
        }
    }

    fn add_file(&mut self, bytes: &[u8]) {
        self.value("bytes", bytes.len() as f64);
        let media = Media::from_bytes(bytes);
        let format = match &media {
            Some(media) => media.media_type,
            None if bytes.is_empty() => "empty",
            None => "unknown",
        };
        self.kind("format", format.into());
        let Some(media) = media else { return };
        media.width_px.into_iter().for_each(|width| self.value("width px", width.into()));
        media.height_px.into_iter().for_each(|height| self.value("height px", height.into()));
        media.duration_secs.into_iter().for_each(|seconds| self.value("seconds", seconds));
        media.sampling_rate.into_iter().for_each(|rate| self.kind("sampling rate", format!("{rate} Hz")));
    }

    fn kind(&mut self, property: &'static str, kind: String) {
        *self.kinds.entry(property).or_default().entry(kind).or_default() += 1;
    }

    fn value(&mut self, property: &'static str, value: f64) {
        self.values.entry(property).or_default().push(value);
    }

    /// The summary; the most frequent kinds come first.
    pub fn summary(self) -> ColumnSurvey {
        let sorted = |counts: BTreeMap<String, u64>| {
            let mut counts: IndexMap<String, u64> = counts.into_iter().collect();
            counts.sort_by(|_, a, _, b| b.cmp(a));
            counts
        };
        ColumnSurvey {
            nulls: self.nulls,
            unreadable: self.unreadable,
            kinds: self.kinds.into_iter().map(|(property, counts)| (property.into(), sorted(counts))).collect(),
            ranges: self.values.into_iter().filter_map(|(name, all)| Some((name.into(), range(all)?))).collect(),
        }
    }
}

/// The range of finite values; `None` if there is none.
fn range(mut values: Vec<f64>) -> Option<ValueRange> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    Some(ValueRange { min: *values.first()?, median: *values.get(values.len() / 2)?, max: *values.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_column_are_counted_by_what_they_are() {
        let mut cells = ColumnCells::default();
        let gif = b"GIF89a\x1c\0\x20\0";
        for bytes in [&gif[..], b"", b"hello", gif] {
            cells.add(Some(Some(Cell::Bytes(bytes))));
        }
        cells.add(Some(None));
        cells.add(None);
        let ColumnSurvey { nulls, unreadable, kinds, ranges } = cells.summary();
        assert_eq!((nulls, unreadable), (1, 1));
        let formats: Vec<(&str, u64)> = kinds["format"].iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(formats, [("image/gif", 2), ("empty", 1), ("unknown", 1)]);
        assert_eq!(ranges["bytes"], ValueRange { min: 0.0, median: 10.0, max: 10.0 });
        assert_eq!(ranges["height px"], ValueRange { min: 32.0, median: 32.0, max: 32.0 });
    }

    #[test]
    fn values_that_are_not_finite_have_no_place_in_a_range() {
        let mut cells = ColumnCells::default();
        for value in [f64::NAN, 2.0, f64::INFINITY, -1.0, 7.0] {
            cells.add(Some(Some(Cell::F64(value))));
        }
        assert_eq!(cells.summary().ranges["value"], ValueRange { min: -1.0, median: 2.0, max: 7.0 });
        let mut cells = ColumnCells::default();
        cells.add(Some(Some(Cell::F64(f64::NAN))));
        assert!(cells.summary().ranges.is_empty());
    }
}

//! A section gives the same batches whatever was read before it, so that a resumed run sees what an undisturbed one saw.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyflow_datasets::{Bound, Dataset, RowBatch};
use parquet::file::metadata::ParquetMetaDataReader;
use proptest::prelude::*;

use crate::support::{numbered, open};

/// Overwrites some bytes in the pages of a column.
#[derive(Clone, Debug)]
struct Damage {
    group: usize,
    column: usize,
    /// Share of the column's bytes that stay, in percent.
    at: u64,
}

fn damage(path: &Path, damage: &Damage) {
    let file = fs::File::open(path).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
    let group = metadata.row_group(damage.group % metadata.num_row_groups());
    let (start, length) = group.column(damage.column % group.num_columns()).byte_range();
    let at = (start + length * damage.at / 100) as usize;
    let mut bytes = fs::read(path).unwrap();
    let end = (start + length) as usize;
    bytes[at..end.min(at + 24)].fill(0xa5);
    fs::write(path, bytes).unwrap();
}

/// What a caller sees of batches: where each begins, its rows and what cannot be read of it.
fn seen(batches: impl Iterator<Item = RowBatch>) -> Vec<String> {
    batches.map(|batch| format!("{} {:?} {:?}", batch.first_row, batch.rows, batch.unreadable)).collect()
}

fn in_sections(dataset: &Dataset, rows: Range<u64>, section_rows: u64, bound: Bound) -> Vec<String> {
    seen(dataset.read_sections(None, rows, section_rows, bound).unwrap().map(Result::unwrap))
}

/// Each section read alone.
fn one_by_one(dataset: &Dataset, rows: Range<u64>, section_rows: u64, bound: Bound) -> Vec<String> {
    let starts = rows.clone().step_by(section_rows as usize);
    let sections = starts.map(|start| start..rows.end.min(start + section_rows));
    sections.flat_map(|section| seen(dataset.read(None, section, bound).unwrap().map(Result::unwrap))).collect()
}

fn files(folder: &Path, files: &[(i64, usize)]) -> Vec<PathBuf> {
    let mut first = 0;
    let write = |(index, (rows, group_rows)): (usize, &(i64, usize))| {
        let path = folder.join(format!("{index}.parquet"));
        numbered(&path, first, *rows, *group_rows);
        first += rows;
        path
    };
    files.iter().enumerate().map(write).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn sections_do_not_depend_on_what_precedes_them(
        sizes in proptest::collection::vec((1i64..60, 1usize..40), 1..4),
        flaws in proptest::collection::vec((0usize..4, 0usize..4, 0usize..2, 0u64..100), 0..3),
        section_rows in 1u64..24,
        batch_rows in 1usize..16,
        bytes in prop_oneof![Just(Bound::BYTES), 40u64..400],
        skipped in 0u64..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), &sizes);
        for (file, group, column, at) in flaws {
            damage(&files[file % files.len()], &Damage { group, column, at });
        }
        let dataset = open(folder.path());
        let start = (skipped * section_rows).min(dataset.rows());
        let bound = Bound { rows: batch_rows, bytes };
        let together = in_sections(&dataset, start..dataset.rows(), section_rows, bound);
        prop_assert_eq!(together, one_by_one(&dataset, start..dataset.rows(), section_rows, bound));
    }
}

#[test]
fn rows_too_large_in_one_section_change_nothing_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    // Every third row is larger than what decoding may hold.
    let size = |row: i64| if row % 3 == 1 { 9 << 20 } else { 10 };
    let (rows, features) = crate::support::table(vec![
        ("id", crate::support::value("int64"), crate::support::ints(0..48)),
        ("image", anyflow_datasets::Feature::Image, crate::support::blobs((0..48).map(|row| vec![b'x'; size(row)]))),
    ]);
    crate::support::write(&path, &rows, &features);
    let dataset = open(&path).with_memory(1);
    let bound = Bound { rows: 8, bytes: 1 << 30 };
    let together = in_sections(&dataset, 0..48, 16, bound);
    assert_eq!(together, one_by_one(&dataset, 0..48, 16, bound));
}

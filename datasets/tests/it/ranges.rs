//! Ranges and batch sizes do not change rows, for any division into files and row groups.

use crate::support::{ids, numbered, open};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_range_and_batch_size_gives_the_same_rows(
        files in proptest::collection::vec((0i64..40, 1usize..12), 1..4),
        start in 0u64..120,
        length in 0u64..120,
        batch_rows in 1usize..50,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = 0;
        for (index, (count, group_rows)) in files.iter().enumerate() {
            numbered(&folder.path().join(format!("{index}.parquet")), rows, *count, *group_rows);
            rows += count;
        }
        let dataset = open(folder.path());
        prop_assert_eq!(dataset.rows(), rows as u64);
        let batches: Vec<_> =
            dataset.read(None, start..start + length, batch_rows).unwrap().map(|batch| batch.unwrap()).collect();
        let found: Vec<i64> = batches.iter().flat_map(|batch| ids(batch)).collect();
        let expected: Vec<i64> = (start as i64..(start + length) as i64).filter(|row| *row < rows).collect();
        prop_assert_eq!(&found, &expected);
        let full = batches.iter().rev().skip(1).all(|batch| batch.num_rows() == batch_rows);
        prop_assert!(full, "only the last batch may be short");
        for batch in &batches {
            let images = dataset.cells(batch, "image").unwrap();
            for (row, id) in ids(batch).into_iter().enumerate() {
                let text = format!("picture {id}");
                prop_assert_eq!(images.get(row).unwrap(), Some(anyflow_datasets::Cell::Bytes(text.as_bytes())));
            }
        }
    }

    #[test]
    fn taking_rows_equals_reading_them(
        count in 1i64..80,
        group_rows in 1usize..20,
        wanted in proptest::collection::vec(0u64..80, 0..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = numbered(&folder.path().join("a.parquet"), 0, count, group_rows);
        let wanted: Vec<u64> = wanted.into_iter().filter(|row| *row < count as u64).collect();
        let taken = open(&path).take(Some(&["id"]), &wanted, 7).unwrap();
        let found: Vec<i64> = taken.flat_map(|batch| ids(&batch.unwrap())).collect();
        prop_assert_eq!(found, wanted.iter().map(|row| *row as i64).collect::<Vec<_>>());
    }
}

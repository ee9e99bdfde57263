//! Conditions on the columns of rows, on columns of every type.

use std::sync::Arc;

use anyflow_datasets::{Bound, Dataset, RowFilter, RowSet};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int8Array,
    NullArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;

/// Four rows with a column of each type; the last row is null.
fn dataset(folder: &std::path::Path) -> Dataset {
    let words: DictionaryArray<Int32Type> = [Some("a"), Some("b"), Some("a"), None].into_iter().collect();
    let day = |days: i64| Some(days * 86_400_000_000);
    let times = TimestampMicrosecondArray::from(vec![day(0), day(365), day(730), None]).with_timezone("UTC");
    let money =
        Decimal128Array::from(vec![Some(150), Some(250), Some(-50), None]).with_precision_and_scale(9, 2).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("small", Arc::new(Int8Array::from(vec![Some(1), Some(-2), Some(3), None]))),
        ("huge", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), Some(u64::MAX - 1), None]))),
        ("real", Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), Some(-1.0), None]))),
        ("short", Arc::new(Float32Array::from(vec![Some(0.1), Some(0.2), Some(0.3), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]))),
        ("text", Arc::new(StringArray::from(vec![Some("x"), Some("it's"), Some(""), None]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("x"), Some("y"), Some("z"), None]))),
        ("word", Arc::new(words)),
        ("when", Arc::new(times)),
        ("day", Arc::new(Date32Array::from(vec![Some(0), Some(365), Some(730), None]))),
        ("money", Arc::new(money)),
        ("nothing", Arc::new(NullArray::new(4))),
        ("größe in px", Arc::new(Int8Array::from(vec![1, 2, 3, 4]))),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap();
    let path = folder.join("rows.parquet");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Dataset::open(&[path]).unwrap()
}

fn rows(set: &RowSet) -> Vec<u64> {
    set.runs().flatten().collect()
}

#[test]
fn values_of_every_type_compare() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    for (condition, expected) in [
        ("small > 0", &[0, 2][..]),
        ("small >= -2 and small != 3", &[0, 1]),
        ("small = 1.0 or small > 2.5", &[0, 2]),
        ("huge = 18446744073709551615", &[0]),
        ("huge > 18446744073709551613", &[0, 2]),
        ("huge > -1", &[0, 1, 2]),
        ("real < 0.5", &[2]),
        ("short = 0.1 or short > 0.25", &[0, 2]),
        ("flag = true", &[0, 2]),
        ("not flag = true", &[1]),
        ("text = 'it''s' or text = ''", &[1, 2]),
        ("text < 'x'", &[1, 2]),
        ("view in ('x', 'z')", &[0, 2]),
        ("word = 'a'", &[0, 2]),
        ("word != 'a'", &[1]),
        ("when >= '1971-01-01'", &[1, 2]),
        ("when < '1970-06-01T00:00:00Z'", &[0]),
        ("day = '1972-01-01' or day < '1970-02-01'", &[0, 2]),
        ("money > 1.5", &[1]),
        ("small is null", &[3]),
        ("small is not null and not word = 'b'", &[0, 2]),
        ("nothing = 3 or nothing = 'x'", &[]),
        ("nothing is null", &[0, 1, 2, 3]),
        ("\"größe in px\" not in (2, 3)", &[0, 3]),
        ("small = 1 or small is null", &[0, 3]),
        ("small = 1 and nothing is null", &[0]),
    ] {
        let filter = RowFilter::parse(condition).unwrap();
        filter.check(&dataset).unwrap_or_else(|error| panic!("{condition}: {error}"));
        assert_eq!(rows(&filter.select(&dataset).unwrap()), expected, "{condition}");
    }
    for (condition, words) in [
        ("small = 'x'", "column `small`"),
        ("text = 3", "compared with a number"),
        ("flag = 1", "compared with a number"),
        ("when > 'soon'", "a time such as"),
        ("gone = 1", "no column `gone`"),
        ("größe = 1", "no column `größe`"),
    ] {
        let refused = RowFilter::parse(condition).unwrap().check(&dataset).unwrap_err();
        assert!(refused.to_string().contains(words), "{condition}: {refused}");
    }
}

#[test]
fn a_set_of_rows_is_read_within_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.parquet");
    crate::support::numbered(&path, 0, 10_000, 700);
    let dataset = Dataset::open(&[path]).unwrap();
    for step in [1, 2, 7, 900, 4000] {
        let mut set = RowSet::default();
        (0..10_000).step_by(step).for_each(|row| set.push(row));
        let mut read = Vec::new();
        for batch in dataset.read_set(None, &set, Bound::rows(256)).unwrap() {
            let batch = batch.unwrap();
            assert!(!batch.numbers.is_empty() && batch.numbers.len() <= 256);
            let cells = dataset.cells(&batch.batch.rows, "id").unwrap();
            for (row, number) in batch.numbers.iter().enumerate() {
                assert_eq!(cells.get(row).unwrap(), Some(anyflow_datasets::Cell::I64(*number as i64)));
            }
            read.extend(batch.numbers);
        }
        assert_eq!(read, (0..10_000).step_by(step).collect::<Vec<u64>>(), "every {step}th row");
    }
}

//! Tables as other programs write them, and limits on the files that a run writes.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_datasets::{Dataset, OwnedCell};
use anyflow_tests::{Numbers, Output, anyflow, cells, files_below};
use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

fn table(path: &Path) -> RecordBatch {
    let dataset = Dataset::open(&[path.to_path_buf()]).unwrap();
    let batches: Vec<_> = dataset.read(None, 0..dataset.rows(), 64).unwrap().map(|batch| batch.unwrap().rows).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The table that a run writes from a file of the corpus.
fn passed(numbers: &Numbers, name: &str) -> (RecordBatch, PathBuf) {
    let input = Path::new(CORPUS).join(format!("parquet/{name}.parquet"));
    let output = numbers.path(name);
    numbers.call(&[], &Numbers::run_of(input.to_str().unwrap(), output.to_str().unwrap())).ok();
    (table(&files_below(&output.join("data"), "parquet")[0]), input)
}

fn texts(table: &RecordBatch, column: &str) -> Vec<String> {
    let column = table.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    (0..table.num_rows()).map(|row| array_value_to_string(column, row).unwrap()).collect()
}

#[test]
fn tables_of_pandas_polars_duckdb_and_spark_run_and_pass_through() {
    let numbers = Numbers::new();
    for name in ["good-pandas", "good-polars", "good-duckdb-like", "good-spark-like"] {
        let (written, input) = passed(&numbers, name);
        let values: Vec<f64> = texts(&written, "value").iter().map(|text| text.parse().unwrap()).collect();
        assert!([0.5, -1.25, 3.0].iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-5), "{name}: {values:?}");
        let read = table(&input);
        for column in ["id", "kind", "count"] {
            assert_eq!(texts(&written, column), texts(&read, column), "{name}: {column}");
        }
    }
}

#[test]
fn times_decimals_maps_and_durations_pass_through() {
    let (written, input) = passed(&Numbers::new(), "good-types");
    let read = table(&input);
    for column in ["times", "pairs", "prices", "spans"] {
        assert_eq!(texts(&written, column), texts(&read, column), "{column}");
        let data_type = |table: &RecordBatch| table.column_by_name(column).unwrap().data_type().to_string();
        assert_eq!(data_type(&written), data_type(&read), "{column}");
    }
    // Of days, the file holds days, which its writer had as milliseconds in memory.
    assert_eq!(texts(&written, "days"), ["2024-02-29", "", "1969-12-31"]);
    assert_eq!(texts(&written, "prices")[0], "12345678901234567890.12");
}

#[test]
fn a_tar_file_of_img2dataset_is_a_table_of_images_and_captions() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.parquet");
    let tar = Path::new(CORPUS).join("tar/img2dataset.tar");
    let arguments = ["data".as_ref(), "import".as_ref(), tar.as_os_str(), "--output".as_ref(), rows.as_os_str()];
    anyflow(arguments).ok();
    let text = |text: &str| OwnedCell::Utf8(text.into());
    assert_eq!(cells(&rows, "text"), ["a red square", "ein grünes Dreieck"].map(text));
    assert_eq!(cells(&rows, "id"), ["000000000", "000000001"].map(text));
    let jpeg = |cell: &OwnedCell| matches!(cell, OwnedCell::Bytes(bytes) if bytes.starts_with(b"\xff\xd8\xff"));
    assert!(cells(&rows, "image").iter().all(jpeg));
}

#[test]
fn a_limit_on_the_size_of_files_is_told_and_the_run_goes_on_without_it() {
    let numbers = Numbers::new();
    numbers.write_rows(&(0..400_000).map(|n| f64::from(n).sqrt()).collect::<Vec<_>>(), |row| row as i64);
    let arguments = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", "out", "--shard-rows", "400000"];
    let made = numbers.command(&[], &arguments);
    let mut limited = Command::new("bash");
    limited.args(["-c", "ulimit -f 512; exec \"$0\" \"$@\""]).arg(made.get_program()).args(made.get_args());
    limited.envs(made.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.current_dir(made.get_current_dir().unwrap());
    let stopped = Output::of(limited);
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert!(stopped.err.contains("File too large") && !stopped.err.contains("plugin"), "{}", stopped.err);
    assert_eq!(numbers.call(&[], &[&arguments[..], &["--json"]].concat()).ok().json()["rows"], 400_000);
}

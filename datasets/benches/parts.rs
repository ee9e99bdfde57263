//! Reading and writing Parquet: `cargo bench -p anyflow-datasets`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyflow_datasets::{Cell, Dataset, Feature, Features, OwnedCell, TableWriter, column_from_cells};
use arrow::array::RecordBatch;
use criterion::{Criterion, Throughput};

const ROWS: u64 = 10_000;
/// Bytes of the file in a cell: a small image.
const BYTES: usize = 1024;

fn main() {
    let timing = Criterion::default().sample_size(10);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let mut criterion = timing.configure_from_args();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.parquet");
    let (batch, features) = table();
    let mut group = criterion.benchmark_group("parquet, rows of 1 KiB");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("write", |bencher| bencher.iter(|| write(&path, &batch, &features)));
    group.bench_function("open", |bencher| bencher.iter(|| open(&path)));
    group.bench_function("read", |bencher| bencher.iter(|| read(&open(&path), None)));
    group.bench_function("read the small column", |bencher| bencher.iter(|| read(&open(&path), Some(&["id"]))));
    let dataset = open(&path);
    let scattered: Vec<_> = (0..256).map(|k| k * 7919 % ROWS).collect();
    group.throughput(Throughput::Elements(256));
    group.bench_function("take 256 scattered rows", |bencher| {
        bencher.iter(|| dataset.take(None, &scattered, 4096).unwrap().for_each(drop));
    });
    group.finish();
    criterion.final_summary();
}

/// An `id` and an incompressible file per row.
fn table() -> (RecordBatch, Features) {
    let mut state = 1u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let ids: Vec<_> = (0..ROWS).map(|id| Some(OwnedCell::I64(id as i64))).collect();
    let files: Vec<_> = (0..ROWS).map(|_| Some(OwnedCell::Bytes((0..BYTES).map(|_| byte()).collect()))).collect();
    let columns = [("id", Feature::Value("int64".into()), ids), ("image", Feature::Image, files)];
    let features: Features = columns.iter().map(|(name, feature, _)| ((*name).to_string(), feature.clone())).collect();
    let arrays = columns.iter().map(|(name, feature, cells)| (*name, column_from_cells(cells, feature).unwrap()));
    (RecordBatch::try_from_iter(arrays).unwrap(), features)
}

fn write(path: &Path, batch: &RecordBatch, features: &Features) {
    let mut writer = TableWriter::create(path, &batch.schema(), features).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

fn open(path: &Path) -> Dataset {
    Dataset::open(&[PathBuf::from(path)]).unwrap()
}

/// Reads every cell of the columns. The sum keeps the compiler from removing the work.
fn read(dataset: &Dataset, columns: Option<&[&str]>) -> usize {
    let mut sum = 0;
    for batch in dataset.read(columns, 0..ROWS, 1024).unwrap() {
        let batch = batch.unwrap();
        for field in batch.schema().fields() {
            let cells = dataset.cells(&batch, field.name()).unwrap();
            for row in 0..cells.len() {
                sum += match cells.get(row).unwrap() {
                    Some(Cell::Bytes(bytes)) => bytes.len(),
                    _ => 1,
                };
            }
        }
    }
    sum
}

//! Small data for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyflow_datasets::{Dataset, Feature, Features, OwnedCell, OwnedList, TableWriter, column_from_cells};
use arrow::array::{ArrayRef, AsArray, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::Int64Type;

/// Skips a test that lacks the requirement `name`. CI fails unless `ANYFLOW_WITHOUT` lists it.
pub fn leave_out(name: &str, why: &str) {
    let agreed = std::env::var("ANYFLOW_WITHOUT").unwrap_or_default();
    let agreed = agreed.split(',').any(|entry| entry.trim() == name);
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(agreed || !in_ci, "{why}: provide {name}, or name it in ANYFLOW_WITHOUT");
    eprintln!("left out ({name}): {why}");
}

pub fn value(dtype: &str) -> Feature {
    Feature::Value(dtype.into())
}

pub fn labels(names: &[&str]) -> Feature {
    Feature::ClassLabel { names: names.iter().map(|name| (*name).to_string()).collect() }
}

pub fn ints(values: impl IntoIterator<Item = i64>) -> Vec<Option<OwnedCell>> {
    values.into_iter().map(|value| Some(OwnedCell::I64(value))).collect()
}

pub fn blobs(values: impl IntoIterator<Item = Vec<u8>>) -> Vec<Option<OwnedCell>> {
    values.into_iter().map(|value| Some(OwnedCell::Bytes(value))).collect()
}

/// A batch of single-valued columns.
pub fn table(columns: Vec<(&str, Feature, Vec<Option<OwnedCell>>)>) -> (RecordBatch, Features) {
    let features: Features = columns.iter().map(|(name, feature, _)| ((*name).to_string(), feature.clone())).collect();
    let arrays = columns.iter().map(|(name, feature, cells)| (*name, column_from_cells(cells, feature).unwrap()));
    (RecordBatch::try_from_iter(arrays).unwrap(), features)
}

/// One row of every feature this crate writes, and a row of nulls.
pub fn every_feature() -> (RecordBatch, Features) {
    let null = |cell| vec![Some(cell), None];
    let (batch, mut features) = table(vec![
        ("id", value("int64"), ints([0, 1])),
        ("image", Feature::Image, null(OwnedCell::Bytes(GIF.to_vec()))),
        ("audio", Feature::Audio { sampling_rate: Some(8000) }, null(OwnedCell::Bytes(wav(80)))),
        ("video", Feature::Video, null(OwnedCell::Bytes(GIF.to_vec()))),
        ("label", labels(&["cat", "dog"]), null(OwnedCell::I64(1))),
        ("text", value("string"), null(OwnedCell::Utf8("zwölf".into()))),
        ("blob", value("binary"), null(OwnedCell::Bytes(vec![0, 255]))),
        ("small", value("uint8"), null(OwnedCell::I64(200))),
        ("flag", value("bool"), null(OwnedCell::I64(1))),
        ("score", value("float32"), null(OwnedCell::F64(0.25))),
        ("exact", value("float64"), null(OwnedCell::F64(0.1))),
        ("counts", Feature::List(Box::new(value("int16"))), null(numbers(1, &[3.0, -4.0], &[2]))),
        ("points", Feature::List(Box::new(Feature::List(Box::new(value("float32"))))), null(points())),
        // pyarrow reads no null lists of fixed size from Parquet.
        ("triple", Feature::Other(triple()), vec![Some(numbers(1, &[0.5, 1.0, 1.5], &[3])); 2]),
    ]);
    let mut words = ListBuilder::new(StringBuilder::new());
    words.append_value([Some("a"), Some("b")]);
    words.append_null();
    let words: ArrayRef = Arc::new(words.finish());
    let frames = frames(&batch);
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    columns.extend(features.keys().cloned().zip(batch.columns().iter().cloned()));
    columns.push(("words".into(), words));
    columns.push(("frames".into(), frames));
    features.0.insert("words".into(), Feature::List(Box::new(value("string"))));
    features.0.insert("frames".into(), Feature::List(Box::new(Feature::Image)));
    (RecordBatch::try_from_iter(columns).unwrap(), features)
}

fn numbers(depth: u32, values: &[f64], lengths: &[u64]) -> OwnedCell {
    OwnedCell::List(OwnedList::new(depth, values.to_vec(), lengths.to_vec()).unwrap())
}

/// `[[1, 2], [], [0.25]]`.
pub fn points() -> OwnedCell {
    numbers(2, &[1.0, 2.0, 0.25], &[3, 2, 0, 1])
}

/// Three numbers in each list.
fn triple() -> serde_json::Value {
    serde_json::json!({"feature": {"dtype": "float32", "_type": "Value"}, "length": 3, "_type": "Sequence"})
}

/// The image column as a list of one image per row.
fn frames(batch: &RecordBatch) -> ArrayRef {
    use arrow::array::ListArray;
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;
    let images = batch.column_by_name("image").unwrap().clone();
    let item = Arc::new(Field::new("element", images.data_type().clone(), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1, 1]), images, None))
}

pub fn write(path: &Path, batch: &RecordBatch, features: &Features) {
    let mut writer = TableWriter::create(path, &batch.schema(), features).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

pub fn open(path: &Path) -> Dataset {
    Dataset::open(&[path.to_path_buf()]).unwrap()
}

/// A file with `id` from `first` on and a blob per row, in row groups of `group_rows`.
pub fn numbered(path: &Path, first: i64, rows: i64, group_rows: usize) -> PathBuf {
    let (batch, features) = numbered_batch(first, rows);
    let schema = Arc::new(features.stamp(&batch.schema()));
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(group_rows));
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema.clone(), Some(properties.build())).unwrap();
    writer.write(&RecordBatch::try_new(schema, batch.columns().to_vec()).unwrap()).unwrap();
    writer.close().unwrap();
    path.to_path_buf()
}

pub fn numbered_batch(first: i64, rows: i64) -> (RecordBatch, Features) {
    let range = first..first + rows;
    table(vec![
        ("id", value("int64"), ints(range.clone())),
        ("image", Feature::Image, blobs(range.map(|id| format!("picture {id}").into_bytes()))),
    ])
}

pub fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

pub fn all_ids(dataset: &Dataset) -> Vec<i64> {
    let batches = dataset.read(Some(&["id"]), 0..dataset.rows(), 1000).unwrap();
    batches.flat_map(|batch| ids(&batch.unwrap())).collect()
}

/// A one-pixel image.
pub const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// A mono 16-bit WAV at 8 kHz.
pub fn wav(samples: u32) -> Vec<u8> {
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + samples * 2).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000u32.to_le_bytes());
    wav.extend(16000u32.to_le_bytes());
    wav.extend([2, 0, 16, 0]);
    wav.extend(b"data");
    wav.extend((samples * 2).to_le_bytes());
    wav.extend(vec![0; samples as usize * 2]);
    wav
}

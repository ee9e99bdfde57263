//! Arrow IPC files: folders of `save_to_disk`, and Feather files.

use std::path::Path;
use std::sync::Arc;

use anyflow_datasets::{ColumnTypes, DatasetError, Feature, ImportSource};
use arrow::array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::{FileWriter, StreamWriter};

use crate::importing::{column, imported, put, refused};
use crate::support::{GIF, blobs, ints};

/// Rows with an image and a number, as `datasets` stores them.
fn rows(numbers: &[i64]) -> RecordBatch {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(numbers.iter().map(|_| GIF)));
    let path: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; numbers.len()]));
    let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
    let image =
        StructArray::from(vec![(field("bytes", DataType::Binary), bytes), (field("path", DataType::Utf8), path)]);
    let features =
        r#"{"info": {"features": {"image": {"_type": "Image"}, "count": {"dtype": "int64", "_type": "Value"}}}}"#;
    let fields = vec![Field::new("image", image.data_type().clone(), true), Field::new("count", DataType::Int64, true)];
    let metadata = [("huggingface".to_string(), features.to_string())].into_iter().collect();
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    RecordBatch::try_new(schema, vec![Arc::new(image), Arc::new(Int64Array::from(numbers.to_vec()))]).unwrap()
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn save_to_disk(folder: &Path) {
    put(&folder.join("dataset_info.json"), "{}");
    put(&folder.join("state.json"), "{}");
    put(&folder.join("data-00002-of-00010.arrow"), stream(&[rows(&[3])]));
    put(&folder.join("data-00000-of-00010.arrow"), stream(&[rows(&[1]), rows(&[2])]));
    put(&folder.join("data-00010-of-00010.arrow"), stream(&[rows(&[4])]));
}

#[test]
fn a_folder_of_save_to_disk_keeps_rows_order_and_features() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved");
    save_to_disk(&saved);
    let (report, dataset) = imported(&[saved], &folder.path().join("out.parquet"));
    assert_eq!((report.rows, report.left_out.len()), (4, 0));
    assert_eq!(dataset.features()["image"], Feature::Image);
    assert_eq!(column(&dataset, "count"), ints([1, 2, 3, 4]));
    assert_eq!(column(&dataset, "image"), blobs(std::iter::repeat_n(GIF.to_vec(), 4)));
}

#[test]
fn a_feather_file_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, &rows(&[]).schema()).unwrap();
    writer.write(&rows(&[5, 6])).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let file = folder.path().join("table.feather");
    put(&file, bytes);
    let (_, dataset) = imported(&[file], &folder.path().join("out.parquet"));
    assert_eq!(column(&dataset, "count"), ints([5, 6]));
}

#[test]
fn a_dataset_dict_is_refused_with_its_splits() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("dataset_dict.json"), r#"{"splits": ["train", "test"]}"#);
    save_to_disk(&folder.path().join("train"));
    let error = ImportSource::detect(&[folder.path().to_path_buf()]).unwrap_err();
    let DatasetError::Splits { choices, .. } = &error else { panic!("{error}") };
    assert_eq!(choices.len(), 2);
    assert!(choices[0].ends_with("train"), "{error}");
    assert!(ImportSource::detect(&[folder.path().join("train")]).is_ok());
}

#[test]
fn other_columns_and_cut_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let [one, two] = ["a.arrow", "b.arrow"].map(|name| folder.path().join(name));
    put(&one, stream(&[rows(&[1])]));
    put(&two, stream(&[rows(&[2]).project(&[1]).unwrap()]));
    assert!(refused(&[one.clone(), two.clone()], &out).contains("other columns"));
    let whole = stream(&[rows(&[1, 2, 3])]);
    put(&two, &whole[..whole.len() / 2]);
    assert!(refused(std::slice::from_ref(&two), &out).contains("ends earlier"));
    put(&two, b"\x10\0\0\0");
    assert!(refused(&[two], &out).contains("ends earlier"));
}

#[test]
fn no_changed_byte_is_more_than_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let whole = stream(&[rows(&[1, 2, 3])]);
    let file = folder.path().join("a.arrow");
    let out = folder.path().join("out.parquet");
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0xa5;
        put(&file, changed);
        let source = ImportSource::detect(std::slice::from_ref(&file)).unwrap();
        if let Err(error) = anyflow_datasets::import(&source, &ColumnTypes::default(), &out) {
            let expected = matches!(error, DatasetError::Import { .. } | DatasetError::Internal { .. });
            assert!(expected, "byte {place}: {error}");
        }
    }
}

//! Files in, rows out, and every way a file can be wrong.

use std::path::PathBuf;

use crate::support::{all_ids, every_feature, ids, numbered, numbered_batch, open, value, write};
use anyflow_datasets::{Cell, Dataset, DatasetError, Fault, Feature};

#[test]
fn every_feature_survives_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let (batch, features) = every_feature();
    write(&path, &batch, &features);
    let dataset = open(&path);
    assert_eq!(dataset.features(), &features);
    assert_eq!(dataset.rows(), 2);
    let read = dataset.read(None, 0..9, 10).unwrap().next().unwrap().unwrap();
    assert_eq!(read.columns(), batch.columns());
    let label = dataset.cells(&read, "label").unwrap();
    assert_eq!(label.get(0).unwrap(), Some(Cell::I64(1)));
    assert_eq!(label.get(1).unwrap(), None);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (batch, features) = every_feature();
    let [a, b] = ["a.parquet", "b.parquet"].map(|name| folder.path().join(name));
    write(&a, &batch, &features);
    write(&b, &batch, &features);
    assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
}

#[test]
fn a_file_cut_anywhere_is_called_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let path = numbered(&folder.path().join("whole.parquet"), 0, 500, 100);
    let bytes = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.parquet");
    for length in
        [4, 7, 11, 12, 100, bytes.len() / 2, bytes.len() - 300, bytes.len() - 8, bytes.len() - 4, bytes.len() - 1]
    {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let error = Dataset::open(std::slice::from_ref(&cut)).unwrap_err();
        let DatasetError::Truncated { size_bytes, .. } = &error else { panic!("{length}: {error}") };
        assert_eq!(*size_bytes, length as u64);
        let text = error.to_string();
        assert!(text.contains("cut.parquet") && text.ends_with("copy or write it again"), "{text}");
        assert_eq!(error.fault(), Fault::User);
    }
}

#[test]
fn a_damaged_page_is_an_error_of_the_stream_and_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let (batch, features) = numbered_batch(0, 2000);
    write(&path, &batch, &features);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4..600].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let mut batches = open(&path).read(None, 0..2000, 100).unwrap();
    assert!(matches!(batches.next(), Some(Err(DatasetError::Corrupt { .. }))));
    assert!(batches.next().is_none());
}

#[test]
fn other_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| Dataset::open(&[path]).unwrap_err();
    assert!(matches!(open(folder.path().join("no")), DatasetError::Missing { .. }));
    assert!(matches!(open(folder.path().to_path_buf()), DatasetError::Empty { .. }));
    let path = folder.path().join("x.parquet");
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(open(path.clone()), DatasetError::Empty { .. }));
    std::fs::write(&path, b"a,b\n1,2\n").unwrap();
    assert!(matches!(open(path.clone()), DatasetError::NotParquet { .. }));
    let error = Dataset::open(&[]).unwrap_err();
    assert!(matches!(error, DatasetError::Empty { .. }));
}

#[test]
fn an_input_that_changes_during_the_run_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = numbered(&folder.path().join("a.parquet"), 0, 10, 5);
    let dataset = open(&path);
    numbered(&path, 0, 11, 5);
    let first = dataset.read(None, 0..10, 5).unwrap().next();
    assert!(matches!(first, Some(Err(DatasetError::Changed { .. }))));
}

#[test]
fn files_of_a_folder_are_one_dataset_in_order_of_name() {
    let folder = tempfile::tempdir().unwrap();
    numbered(&folder.path().join("b.parquet"), 7, 5, 2);
    numbered(&folder.path().join("a.parquet"), 0, 7, 3);
    std::fs::write(folder.path().join(".hidden.parquet"), b"x").unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"x").unwrap();
    let dataset = open(folder.path());
    assert_eq!(all_ids(&dataset), (0..12).collect::<Vec<_>>());
    assert_eq!(dataset.folder(), Some(folder.path()));
    // Batches are full also where the files meet.
    let sizes: Vec<usize> = dataset.read(None, 0..12, 5).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(sizes, [5, 5, 2]);
    let counted: Vec<usize> = dataset.read(Some(&[]), 0..12, 5).unwrap().map(|b| b.unwrap().num_rows()).collect();
    assert_eq!(counted, sizes);
    assert_eq!(dataset.take(Some(&[]), &[3, 3]).unwrap().num_rows(), 2);
}

#[test]
fn files_of_different_columns_are_refused_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let a = numbered(&folder.path().join("a.parquet"), 0, 3, 3);
    let b = folder.path().join("b.parquet");
    let (batch, mut features) = numbered_batch(0, 3);
    features.0.insert("image".into(), Feature::Video);
    write(&b, &batch, &features);
    let error = Dataset::open(&[a, b]).unwrap_err();
    assert!(error.to_string().contains("column `image` is image against video"), "{error}");
}

#[test]
fn the_fingerprint_follows_the_data_and_not_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    std::fs::create_dir(&one).unwrap();
    std::fs::create_dir(&two).unwrap();
    let a = numbered(&one.join("a.parquet"), 0, 10, 5);
    let b = numbered(&two.join("a.parquet"), 0, 10, 5);
    let first = open(&a).fingerprint().to_string();
    assert_eq!(first, open(&b).fingerprint());
    numbered(&b, 1, 10, 5);
    assert_ne!(first, open(&b).fingerprint());
}

#[test]
fn columns_come_in_the_order_asked_and_unknown_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let (batch, features) = every_feature();
    write(&path, &batch, &features);
    let dataset = open(&path);
    let read = dataset.read(Some(&["text", "id"]), 0..2, 2).unwrap().next().unwrap().unwrap();
    let schema = read.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["text", "id"]);
    let none = dataset.read(Some(&[]), 0..2, 2).unwrap().next().unwrap().unwrap();
    assert_eq!((none.num_columns(), none.num_rows()), (0, 2));
    assert_eq!(dataset.column("score").unwrap(), &value("float32"));
    let error = dataset.read(Some(&["lable"]), 0..1, 1).err().unwrap();
    assert!(error.to_string().contains("did you mean `label`?"), "{error}");
}

#[test]
fn rows_are_taken_in_any_order_and_repeated() {
    let folder = tempfile::tempdir().unwrap();
    numbered(&folder.path().join("a.parquet"), 0, 7, 3);
    numbered(&folder.path().join("b.parquet"), 7, 5, 2);
    let dataset = open(folder.path());
    let wanted = [11, 0, 6, 7, 7, 2];
    let taken = dataset.take(Some(&["image", "id"]), &wanted).unwrap();
    assert_eq!(ids(&taken), wanted.map(|row| row as i64));
    let images = dataset.cells(&taken, "image").unwrap();
    assert_eq!(images.get(0).unwrap(), Some(Cell::Bytes(b"picture 11")));
    assert_eq!(dataset.take(None, &[]).unwrap().num_rows(), 0);
    assert!(dataset.take(None, &[12]).is_err());
}

#[test]
fn a_dataset_moves_to_a_reader_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = numbered(&folder.path().join("a.parquet"), 0, 10, 3);
    let batches = open(&path).read(None, 0..10, 4).unwrap();
    let rows = std::thread::spawn(move || batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>());
    assert_eq!(rows.join().unwrap(), 10);
}

//! Reading files, and refusing invalid ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{all_ids, blobs, every_feature, ids, ints, numbered, numbered_batch, open, table, value, write};
use anyflow_datasets::{Bound, Cell, Dataset, DatasetError, Fault, Feature, Features, RowBatch, UnreadableRow};
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};

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

/// A file of three row groups of 100 rows, the second of which has a damaged page of ids.
fn damaged_group(path: &Path) {
    numbered(path, 0, 300, 100);
    let groups = parquet::file::metadata::ParquetMetaDataReader::new();
    let metadata = groups.parse_and_finish(&std::fs::File::open(path).unwrap()).unwrap();
    let (start, length) = metadata.row_group(1).column(0).byte_range();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[start as usize..(start + length) as usize].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_rows_of_a_damaged_row_group_are_unreadable_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    damaged_group(&path);
    for bound in [7, 100, 1000] {
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for batch in open(&path).read(None, 0..300, bound).unwrap() {
            let batch = batch.unwrap();
            assert!(batch.num_rows() <= bound);
            for row in 0..batch.num_rows() {
                match batch.unreadable.iter().find(|bad| bad.row == row) {
                    None => good.push(batch.first_row + row as u64),
                    Some(reason) => {
                        assert_eq!(reason.code, "data.corrupt");
                        assert!(reason.reason.contains("damaged at about row 100 of the file"), "{}", reason.reason);
                        bad.push(batch.first_row + row as u64);
                    }
                }
            }
        }
        assert_eq!((good, bad), ((0..100).chain(200..300).collect(), (100..200).collect()));
    }
    // Other columns, and taken rows elsewhere, are readable.
    let dataset = open(&path);
    assert!(dataset.read(Some(&["image"]), 0..300, 50).unwrap().all(|batch| batch.unwrap().unreadable.is_empty()));
    assert_eq!(ids(&taken(&dataset, None, &[250, 3])), [250, 3]);
    assert!(matches!(dataset.take(None, &[150], 9), Err(DatasetError::Corrupt { .. })));
    let shown = anyflow_datasets::head(&dataset, 300).unwrap();
    assert!(shown[150]["id"]["error"].as_str().unwrap().contains("damaged"), "{:?}", shown[150]);
    assert_eq!(shown[299]["id"], 299);
}

#[test]
fn batches_are_cut_by_bytes_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let sizes: Vec<usize> = (0..60).map(|row| if row % 20 == 7 { 50_000 } else { 1000 }).collect();
    let (batch, features) = table(vec![
        ("id", value("int64"), ints(0..60)),
        ("image", Feature::Image, blobs(sizes.iter().map(|size| vec![b'x'; *size]))),
    ]);
    write(&path, &batch, &features);
    let dataset = open(&path);
    let bound = Bound { rows: 16, bytes: 12_000 };
    let batches: Vec<RowBatch> = dataset.read(None, 0..60, bound).unwrap().map(Result::unwrap).collect();
    let found: Vec<i64> = batches.iter().flat_map(|batch| ids(batch)).collect();
    assert_eq!(found, (0..60).collect::<Vec<_>>());
    for batch in &batches {
        let bytes: usize = ids(batch).into_iter().map(|id| sizes[id as usize]).sum();
        assert!(bytes <= 12_000 || batch.num_rows() == 1, "{bytes} bytes in {} rows", batch.num_rows());
    }
    // Batch boundaries do not depend on memory or column order.
    let cuts = |batches: &[RowBatch]| batches.iter().map(|batch| batch.num_rows()).collect::<Vec<_>>();
    let again = dataset.clone().with_memory(1).read(None, 0..60, bound).unwrap();
    assert_eq!(cuts(&batches), cuts(&again.map(Result::unwrap).collect::<Vec<_>>()));
    assert!(cuts(&batches).len() < 30, "{:?}", cuts(&batches));
    let all: Vec<u64> = (0..60).rev().collect();
    let taken: Vec<RecordBatch> = dataset.take(None, &all, bound).unwrap().map(Result::unwrap).collect();
    assert!(taken.len() > 3);
    assert_eq!(taken.iter().flat_map(ids).collect::<Vec<_>>(), (0..60).rev().collect::<Vec<_>>());
}

#[test]
fn a_dangling_link_is_an_unreadable_row() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), vec![1; 600]).unwrap();
    std::fs::write(folder.path().join("b.png"), vec![2; 600]).unwrap();
    let names = vec!["a.png", "https://example.org/a.png", "../secret", "/etc/hostname", "b.png"];
    let names: ArrayRef = Arc::new(StringArray::from(names));
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5));
    let batch = RecordBatch::try_from_iter([("id", id), ("image", names)]).unwrap();
    let features = Features::from_iter([("id".into(), value("int64")), ("image".into(), Feature::Image)]);
    let path = folder.path().join("data.parquet");
    write(&path, &batch, &features);
    let dataset = open(&path);
    let rows = dataset.read(None, 0..5, Bound { rows: 9, bytes: 1000 }).unwrap().embedded(&dataset);
    let rows: Vec<RowBatch> = rows.map(Result::unwrap).collect();
    // The two files are too large for one batch.
    assert_eq!(rows.iter().map(|batch| (batch.first_row, batch.num_rows())).collect::<Vec<_>>(), [(0, 4), (4, 1)]);
    let bad: Vec<&UnreadableRow> = rows[0].unreadable.iter().collect();
    assert_eq!(bad.iter().map(|bad| (bad.row, bad.code)).collect::<Vec<_>>(), [1, 2, 3].map(|row| (row, "data.cell")));
    for (bad, words) in bad.iter().zip(["an address; download the file", "outside", "outside"]) {
        assert!(bad.reason.contains(words), "{}", bad.reason);
    }
    assert!(rows[1].unreadable.is_empty());
    let images = dataset.cells(&rows[1], "image").unwrap();
    assert_eq!(images.get(0).unwrap(), Some(Cell::Bytes(&[2; 600])));
}

#[test]
fn a_number_that_is_too_large_is_an_unreadable_cell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let label: ArrayRef = Arc::new(UInt64Array::from(vec![Some(1), Some(u64::MAX), None]));
    let batch = RecordBatch::try_from_iter([("label", label)]).unwrap();
    write(&path, &batch, &Features::from_iter([("label".into(), value("uint64"))]));
    let dataset = open(&path);
    let read = dataset.read(None, 0..3, 3).unwrap().next().unwrap().unwrap();
    let cells = dataset.cells(&read, "label").unwrap();
    assert_eq!((cells.get(0).unwrap(), cells.get(2).unwrap()), (Some(Cell::I64(1)), None));
    let error = cells.get(1).unwrap_err().to_string();
    assert!(error.contains("18446744073709551615") && error.contains("column `label`"), "{error}");
    assert_eq!(anyflow_datasets::head(&dataset, 3).unwrap()[1]["label"], u64::MAX);
}

#[test]
fn times_of_any_zone_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let zone =
        |zone: &str| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![1_000_000]).with_timezone(zone)) };
    let pair = StructArray::try_from(vec![("at", zone("Asia/Tokyo"))]).unwrap();
    let columns: [(&str, ArrayRef); 3] = [("a", zone("UTC")), ("b", zone("Europe/Berlin")), ("c", Arc::new(pair))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write(&path, &batch, &Features::from_schema(&batch.schema()));
    let shown = anyflow_datasets::head(&open(&path), 1).unwrap();
    for (column, text) in
        [("a", "1970-01-01T00:00:01Z"), ("b", "1970-01-01T00:00:01Z"), ("c", "{at: 1970-01-01T00:00:01Z}")]
    {
        assert_eq!(shown[0][column], text);
    }
}

#[test]
fn two_columns_of_one_name_are_refused_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let schema =
        Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("a", DataType::Int64, true)]));
    let file = std::fs::File::create(&path).unwrap();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema.clone(), None).unwrap();
    writer.write(&RecordBatch::try_new(schema, vec![column.clone(), column]).unwrap()).unwrap();
    writer.close().unwrap();
    let error = Dataset::open(&[path]).unwrap_err();
    assert!(matches!(&error, DatasetError::RepeatedColumn { column, .. } if column == "a"), "{error}");
    assert_eq!(error.fault().exit_code(), 2);
}

#[test]
fn other_file_formats_are_recognized() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| Dataset::open(&[path]).unwrap_err();
    assert!(matches!(open(folder.path().join("no")), DatasetError::Missing { .. }));
    assert!(matches!(open(folder.path().to_path_buf()), DatasetError::Empty { .. }));
    let path = folder.path().join("x.parquet");
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(open(path.clone()), DatasetError::Empty { .. }));
    std::fs::write(&path, b"a,b\n1,2\n").unwrap();
    assert!(matches!(open(path.clone()), DatasetError::NotParquet { .. }));
    for (head, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "a Git LFS pointer; `git lfs pull`"),
        (b"ARROW1\0\0", "an Arrow IPC (Feather) file"),
        (b"\xff\xff\xff\xff\xd0\x02", "`save_to_disk` of datasets"),
        (b"\x80\x05\x95\xc5", "a pickle file"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"a,b", "it starts with the text \"a,b\"; convert it with `anyflow data import`"),
    ] {
        std::fs::write(&path, head).unwrap();
        let text = open(path.clone()).to_string();
        assert!(text.contains("not a Parquet file: ") && text.contains(words), "{words}: {text}");
    }
    let error = Dataset::open(&[]).unwrap_err();
    assert!(matches!(error, DatasetError::Empty { .. }));
}

#[test]
fn a_table_whose_log_says_which_files_count_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = numbered(&folder.path().join("part-0.parquet"), 0, 10, 5);
    assert_eq!(Dataset::open(&[folder.path().to_path_buf()]).unwrap().rows(), 10);
    std::fs::create_dir(folder.path().join("_delta_log")).unwrap();
    let text = Dataset::open(&[folder.path().to_path_buf()]).unwrap_err().to_string();
    assert!(text.contains("a table of Delta Lake, whose log says which of its files count"), "{text}");
    assert_eq!(Dataset::open(&[file]).unwrap().rows(), 10);
}

#[test]
fn an_input_that_changes_during_the_run_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = numbered(&folder.path().join("a.parquet"), 0, 10, 5);
    let is_refused = |change: &dyn Fn()| {
        let dataset = open(&path);
        change();
        let first = dataset.read(None, 0..10, 5).unwrap().next();
        matches!(first, Some(Err(DatasetError::Changed { .. })))
    };
    let touch = |seconds| {
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    };
    assert!(is_refused(&|| drop(numbered(&path, 0, 11, 5))), "another length");
    touch(1);
    assert!(is_refused(&|| drop(numbered(&path, 1, 11, 5))), "another file of the same length");
    touch(2);
    assert!(is_refused(&|| touch(3)), "written to, with the same length");
    let permissions = || {
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
    };
    assert!(!is_refused(&permissions), "the content is the same");
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
    // Batches are also full across files.
    let sizes: Vec<usize> = dataset.read(None, 0..12, 5).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(sizes, [5, 5, 2]);
    let counted: Vec<usize> = dataset.read(Some(&[]), 0..12, 5).unwrap().map(|b| b.unwrap().num_rows()).collect();
    assert_eq!(counted, sizes);
    assert_eq!(taken(&dataset, Some(&[]), &[3, 3]).num_rows(), 2);
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
fn the_fingerprint_depends_on_the_data_and_not_on_the_path() {
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
    let found = taken(&dataset, Some(&["image", "id"]), &wanted);
    assert_eq!(ids(&found), wanted.map(|row| row as i64));
    let images = dataset.cells(&found, "image").unwrap();
    assert_eq!(images.get(0).unwrap(), Some(Cell::Bytes(b"picture 11")));
    assert!(dataset.take(None, &[], 9).unwrap().next().is_none());
    assert!(dataset.take(None, &[12], 9).is_err());
}

/// The one batch of a few rows.
fn taken(dataset: &Dataset, columns: Option<&[&str]>, rows: &[u64]) -> RecordBatch {
    let mut batches = dataset.take(columns, rows, 100).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

#[test]
fn a_dataset_moves_to_a_reader_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = numbered(&folder.path().join("a.parquet"), 0, 10, 3);
    let batches = open(&path).read(None, 0..10, 4).unwrap();
    let rows = std::thread::spawn(move || batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>());
    assert_eq!(rows.join().unwrap(), 10);
}

/// A record of bytes and path, as writers without metadata store files.
fn record(bytes: ArrayRef, paths: &[Option<&str>]) -> ArrayRef {
    let paths: ArrayRef = Arc::new(StringArray::from(paths.to_vec()));
    Arc::new(StructArray::from(vec![
        (Arc::new(Field::new("bytes", bytes.data_type().clone(), true)), bytes),
        (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
    ]))
}

#[test]
fn files_that_are_only_named_are_embedded_without_metadata_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), b"an image").unwrap();
    let own: [Option<&[u8]>; 4] = [None, Some(b"own"), None, None];
    let paths = [Some("a.png"), Some("kept"), Some("gone.png"), None];
    let bytes: ArrayRef = Arc::new(arrow::array::BinaryArray::from(own.to_vec()));
    let large: ArrayRef = Arc::new(arrow::array::LargeBinaryArray::from(own.to_vec()));
    let nulls: ArrayRef = Arc::new(arrow::array::NullArray::new(4));
    for (column, bytes, held) in [("binary", bytes, true), ("large", large, true), ("null", nulls, false)] {
        let image = record(bytes, &paths);
        let batch = RecordBatch::try_from_iter([("image", image)]).unwrap();
        let path = folder.path().join("data.parquet");
        write(&path, &batch, &Features::default());
        let dataset = open(&path);
        let rows = dataset.read(None, 0..4, 4).unwrap().embedded(&dataset).next().unwrap().unwrap();
        let places: Vec<usize> = rows.unreadable.iter().map(|bad| bad.row).collect();
        assert_eq!(places, if held { vec![2] } else { vec![1, 2] }, "{column}: {:?}", rows.unreadable);
        assert!(rows.unreadable.last().unwrap().reason.contains("`gone.png` cannot be read: there is no such file"));
        let cells = dataset.cells(&rows, "image").unwrap();
        let kept = rows.rows.column(0).as_struct().column_by_name("bytes").unwrap().clone();
        assert_eq!(cells.get(0).unwrap(), Some(Cell::Bytes(b"an image")), "{column}");
        assert!(kept.is_valid(0) && kept.is_null(2) && kept.data_type() != &DataType::Null, "{column}");
        // What is written elsewhere holds the bytes.
        let elsewhere = tempfile::tempdir().unwrap();
        let out = elsewhere.path().join("out.parquet");
        write(&out, &rows.rows.slice(0, 1), dataset.features());
        let copy = open(&out);
        let read = copy.read(None, 0..1, 1).unwrap().next().unwrap().unwrap();
        assert_eq!(copy.cells(&read, "image").unwrap().get(0).unwrap(), Some(Cell::Bytes(b"an image")), "{column}");
    }
}

#[test]
fn lists_of_files_that_are_only_named_are_embedded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), b"an image").unwrap();
    let bytes: ArrayRef = Arc::new(arrow::array::BinaryArray::from(vec![None, Some(b"own".as_slice()), None]));
    let items = record(bytes, &[Some("a.png"), None, Some("gone.png")]);
    let item = Arc::new(Field::new("element", items.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 1]);
    let lists: ArrayRef = Arc::new(arrow::array::ListArray::new(item, offsets, items, None));
    let path = folder.path().join("data.parquet");
    write(&path, &RecordBatch::try_from_iter([("frames", lists)]).unwrap(), &Features::default());
    let dataset = open(&path);
    let rows = dataset.read(None, 0..3, 3).unwrap().embedded(&dataset).next().unwrap().unwrap();
    assert_eq!(rows.unreadable.iter().map(|bad| bad.row).collect::<Vec<_>>(), [2]);
    assert!(rows.unreadable[0].reason.starts_with("column `frames`: "), "{}", rows.unreadable[0].reason);
    std::fs::remove_file(folder.path().join("a.png")).unwrap();
    let cells = dataset.cells(&rows, "frames").unwrap();
    assert_eq!(cells.get(0).unwrap(), Some(Cell::Files(&[b"an image".to_vec(), b"own".to_vec()])));
}

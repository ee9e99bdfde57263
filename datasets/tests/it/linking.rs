//! Linked files are a part of the content of a dataset.

use std::path::Path;
use std::sync::Arc;

use anyflow_datasets::{Cell, Dataset, DatasetError, Feature, Features, TableWriter};
use arrow::array::{
    Array, ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};

use crate::support::value;

/// Writes a dataset with one column to `rows.parquet` of a folder with the files `a` and `b`.
fn linking(folder: &Path, feature: Feature, cells: ArrayRef) -> Dataset {
    std::fs::write(folder.join("a"), "first").unwrap();
    std::fs::write(folder.join("b"), "second").unwrap();
    let rows = RecordBatch::try_from_iter([("image", cells)]).unwrap();
    let path = folder.join("rows.parquet");
    let features = Features::from_iter([("image".to_owned(), feature)]);
    let mut writer = TableWriter::create(&path, &rows.schema(), &features).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    Dataset::open(&[path]).unwrap()
}

fn media(bytes: &[Option<&[u8]>], paths: &[Option<&str>]) -> ArrayRef {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(bytes));
    let paths: ArrayRef = Arc::new(StringArray::from_iter(paths));
    let fields = [("bytes", DataType::Binary), ("path", DataType::Utf8)];
    let fields: Vec<Field> = fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    Arc::new(StructArray::new(fields.into(), vec![bytes, paths], None))
}

fn linked(dataset: &Dataset) -> Option<String> {
    dataset.content().unwrap().linked()
}

#[test]
fn the_content_of_a_linked_file_counts_and_its_place_does_not() {
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("gone")]));
    let lists = {
        let item = media(&[None, Some(b"own"), None], &[Some("a"), Some("kept"), Some("b")]);
        let field = Arc::new(Field::new("item", item.data_type().clone(), true));
        Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([2, 1]), item, None))
    };
    let cases: [(Feature, ArrayRef); 3] = [
        (Feature::Image, names),
        (Feature::Image, media(&[None, Some(b"own"), None], &[Some("a"), Some("kept"), Some("b")])),
        (Feature::List(Box::new(Feature::Image)), lists),
    ];
    for (feature, cells) in cases {
        let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let dataset = linking(here.path(), feature.clone(), cells.clone());
        let content = dataset.content().unwrap();
        assert!(content.linked().is_some());
        assert_eq!(content.linked(), linked(&linking(there.path(), feature.clone(), cells.clone())), "another folder");

        dataset.check_linked(&content).unwrap();
        std::fs::write(here.path().join("b"), "other!").unwrap();
        assert_ne!(linked(&dataset), content.linked(), "{feature:?}");
        assert!(matches!(dataset.check_linked(&content), Err(DatasetError::LinkedChanged { .. })));
        std::fs::remove_file(here.path().join("b")).unwrap();
        assert_ne!(linked(&dataset), content.linked());
        assert_eq!(dataset.content().unwrap().files, content.files);
    }
}

#[test]
fn cells_with_bytes_link_to_nothing() {
    let cases: [(Feature, ArrayRef); 4] = [
        (Feature::Image, media(&[Some(b"own"), Some(b"")], &[Some("a"), Some("b")])),
        (Feature::Image, Arc::new(BinaryArray::from_iter_values([b"own"]))),
        (Feature::Image, new_null_array(&DataType::Utf8, 3)),
        (value("string"), Arc::new(StringArray::from(vec!["a", "b"]))),
    ];
    for (feature, cells) in cases {
        let folder = tempfile::tempdir().unwrap();
        let dataset = linking(folder.path(), feature, cells);
        let content = dataset.content().unwrap();
        assert_eq!(content.linked(), None);
        std::fs::write(folder.path().join("b"), "other!").unwrap();
        dataset.check_linked(&content).unwrap();
    }
}

#[test]
fn texts_name_files_for_a_codec_of_files_alone() {
    let texts = || StringArray::from(vec![Some("a"), None, Some("gone"), Some("b")]);
    let lists = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        OffsetBuffer::from_lengths([1, 0, 1, 2]),
        Arc::new(StringArray::from(vec!["a", "gone", "a", "b"])),
        None,
    );
    let dictionary = cast(&texts(), &DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into())).unwrap();
    let list = |item| Feature::List(Box::new(item));
    let cases: [(ArrayRef, &str, Feature); 3] = [
        (Arc::new(texts()), "Image", Feature::Image),
        (dictionary, "Image", Feature::Image),
        (Arc::new(lists), "List(Image)", list(Feature::Image)),
    ];
    for (cells, declared, feature) in cases {
        let folder = tempfile::tempdir().unwrap();
        let plain = Feature::from_arrow(cells.data_type());
        let dataset = linking(folder.path(), plain, cells);
        let plain = dataset.column("image").unwrap().clone();
        let other = dataset.clone().with_files([("image", "Value(string)"), ("none", "Image")]);
        assert_eq!((other.column("image").unwrap(), linked(&other)), (&plain, None));

        let dataset = dataset.with_files([("image", declared)]);
        assert_eq!(dataset.column("image").unwrap(), &feature);
        assert!(linked(&dataset).is_some());
        let batch = dataset.read(None, 0..4, 4).unwrap().next().unwrap().unwrap();
        let batch = dataset.embed(batch).unwrap();
        assert_eq!(batch.unreadable.iter().map(|bad| bad.row).collect::<Vec<_>>(), [2]);
        let cells = dataset.cells(&batch.rows, "image").unwrap();
        let second = match cells.get(3).unwrap() {
            Some(Cell::Bytes(bytes)) => bytes.to_vec(),
            Some(Cell::Files([first, second])) => [first.as_slice(), second].concat(),
            other => panic!("{other:?}"),
        };
        assert!(second == b"second" || second == b"firstsecond");
    }
    let folder = tempfile::tempdir().unwrap();
    let numbers = linking(folder.path(), value("int64"), Arc::new(Int64Array::from(vec![1])));
    assert_eq!(numbers.with_files([("image", "Image")]).column("image").unwrap(), &value("int64"));
}

use arrow::array::{DictionaryArray, Int16Array, StructArray, UInt64Array};
use arrow::datatypes::Int32Type;

use super::*;
use crate::feature::{media_fields, media_type};

fn back(cells: Vec<Option<OwnedCell>>, feature: Feature) {
    let array = column_from_cells(&cells, &feature).expect("builds");
    assert_eq!(Some(array.data_type().clone()), feature.arrow_type());
    let column = CellColumn::new(&array, &feature).expect("views");
    assert_eq!(column.len(), cells.len());
    for (row, cell) in cells.iter().enumerate() {
        let found = column.get(row).expect("reads").map(Cell::into_owned);
        assert_eq!(&found, cell, "{feature:?} row {row}");
    }
}

#[test]
fn cells_survive_every_single_valued_feature() {
    let bytes = || vec![Some(OwnedCell::Bytes(vec![1, 2])), None, Some(OwnedCell::Bytes(vec![]))];
    for feature in [Feature::Image, Feature::Audio { sampling_rate: None }, Feature::Video] {
        back(bytes(), feature);
    }
    for dtype in ["binary", "large_binary", "binary_view"] {
        back(bytes(), Feature::Value(dtype.into()));
    }
    for dtype in ["string", "large_string", "string_view"] {
        back(vec![Some(OwnedCell::Utf8("é".into())), None], Feature::Value(dtype.into()));
    }
    for dtype in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"] {
        back(vec![Some(OwnedCell::I64(1)), None, Some(OwnedCell::I64(0))], Feature::Value(dtype.into()));
    }
    for dtype in ["float16", "float32", "float64"] {
        back(vec![Some(OwnedCell::F64(0.5)), None], Feature::Value(dtype.into()));
    }
    let names = vec!["a".into(), "b".into()];
    back(vec![Some(OwnedCell::I64(1)), Some(OwnedCell::I64(-1)), None], Feature::ClassLabel { names });
}

#[test]
fn a_wrong_value_is_the_plugins_fault_and_names_its_row() {
    let cells = [Some(OwnedCell::I64(1)), Some(OwnedCell::I64(300))];
    let error = column_from_cells(&cells, &Feature::Value("uint8".into())).expect_err("does not fit");
    assert!(matches!(error, DatasetError::WrongCell { row: 1, .. }), "{error}");
    let names = vec!["a".into()];
    let error = column_from_cells(&cells, &Feature::ClassLabel { names }).expect_err("no such class");
    assert!(matches!(error, DatasetError::WrongCell { row: 0, .. }), "{error}");
    let error = column_from_cells(&cells, &Feature::Image).expect_err("wrong kind");
    assert_eq!(error.fault(), crate::Fault::Plugin);
}

#[test]
fn types_of_other_writers_are_read() {
    let words: DictionaryArray<Int32Type> = ["x", "y", "x"].into_iter().collect();
    let array: ArrayRef = Arc::new(words);
    let column = CellColumn::new(&array, &Feature::from_arrow(array.data_type())).expect("views");
    assert_eq!(column.get(2).expect("reads"), Some(Cell::Utf8("x")));
    let array: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 7]));
    let column = CellColumn::new(&array, &Feature::Value("uint64".into())).expect("one row cannot be read");
    assert!(matches!(column.get(0), Err(DatasetError::Cell { row: 0, .. })));
    assert_eq!(column.get(1).expect("reads"), Some(Cell::I64(7)));
    let array: ArrayRef = Arc::new(Int16Array::from(vec![7]));
    let error = CellColumn::new(&array, &Feature::Value("string".into())).expect_err("no text");
    assert!(matches!(error, DatasetError::ColumnType { .. }));
}

fn media_with_paths(paths: Vec<Option<&str>>) -> ArrayRef {
    let bytes = arrow::array::new_null_array(&DataType::Binary, paths.len());
    Arc::new(StructArray::new(media_fields(), vec![bytes, Arc::new(StringArray::from(paths))], None))
}

#[test]
fn a_path_is_followed_inside_the_folder_only() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.png"), b"png").unwrap();
    std::fs::write(root.path().join("secret"), b"no").unwrap();
    let array = media_with_paths(vec![Some("a.png"), Some("../secret"), Some("gone.png"), None]);
    let column = CellColumn::new(&array, &Feature::Image).unwrap().with_origin("image", Some(&folder));
    assert_eq!(column.get(0).unwrap(), Some(Cell::Bytes(b"png")));
    let error = column.get(1).unwrap_err().to_string();
    assert!(error.contains("outside of the dataset's folder"), "{error}");
    assert!(matches!(column.get(2), Err(DatasetError::Cell { row: 2, .. })));
    assert_eq!(column.get(3).unwrap(), None);
    assert!(column.get(4).is_err());
}

fn list(depth: u32, values: &[f64], lengths: &[u64]) -> Option<OwnedCell> {
    OwnedList::new(depth, values.to_vec(), lengths.to_vec()).map(OwnedCell::List)
}

fn list_of(item: Feature) -> Feature {
    Feature::List(Box::new(item))
}

fn fixed(item: DataType, size: i32) -> DataType {
    DataType::FixedSizeList(Arc::new(arrow::datatypes::Field::new("element", item, true)), size)
}

#[test]
fn lists_of_numbers_survive_every_width_and_depth() {
    for dtype in ["int8", "int64", "uint16", "float32", "float64"] {
        let feature = list_of(Feature::Value(dtype.into()));
        back(vec![list(1, &[1.0, 2.0], &[2]), None, list(1, &[], &[0])], feature.clone());
        let nested = vec![None, list(2, &[1.0, 2.0, 3.0], &[3, 2, 0, 1]), list(2, &[], &[0]), list(2, &[], &[1, 0])];
        back(nested, list_of(feature.clone()));
        back(vec![list(3, &[4.0, 5.0], &[2, 1, 2, 0]), None], list_of(list_of(feature)));
    }
    for data_type in [fixed(DataType::Float32, 3), DataType::LargeList(Arc::new(element_of(DataType::Int16)))] {
        let feature = Feature::from_arrow(&data_type);
        let cells = [list(1, &[1.0, 2.0, 3.0], &[3]), None, list(1, &[4.0, 5.0, 6.0], &[3])];
        let array = column_from_cells(&cells, &feature).expect("builds");
        let column = CellColumn::new(&array.slice(1, 2), &feature).expect("views");
        assert_eq!(column.get(0).expect("reads"), None);
        assert_eq!(column.get(1).expect("reads").map(Cell::into_owned), cells[2]);
    }
}

fn element_of(data_type: DataType) -> arrow::datatypes::Field {
    arrow::datatypes::Field::new("element", data_type, true)
}

#[test]
fn a_slice_of_a_column_of_points_is_read() {
    let points = fixed(fixed(DataType::Float64, 2), 2);
    let numbers = |n: i32| (0..4).map(|i| f64::from(4 * n + i)).collect::<Vec<_>>();
    let feature = Feature::from_arrow(&points);
    let cells: Vec<_> = (0..5).map(|n| list(2, &numbers(n), &[2, 2, 2])).collect();
    let array = column_from_cells(&cells, &feature).expect("builds");
    let column = CellColumn::new(&array.slice(3, 2), &feature).expect("views");
    for row in 0..2 {
        assert_eq!(column.get(row).expect("reads").map(Cell::into_owned), cells[3 + row]);
    }
}

#[test]
fn a_list_that_holds_a_null_fails_its_row() {
    let rows = [Some(vec![Some(1.0), None]), Some(vec![Some(2.0)]), None];
    let array: ArrayRef = Arc::new(arrow::array::ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
    let column = CellColumn::new(&array, &Feature::from_arrow(array.data_type())).expect("views");
    assert!(matches!(column.get(0), Err(DatasetError::Cell { row: 0, .. })));
    assert_eq!(column.get(1).expect("reads").map(Cell::into_owned), list(1, &[2.0], &[1]));
    assert_eq!(column.get(2).expect("reads"), None);
}

#[test]
fn a_list_that_does_not_fit_its_column_is_the_plugins_fault() {
    let pairs = Feature::from_arrow(&fixed(DataType::Float32, 2));
    let bytes = list_of(Feature::Value("uint8".into()));
    let cases = [
        (pairs, list(1, &[1.0], &[1])),
        (bytes.clone(), list(1, &[0.5], &[1])),
        (bytes.clone(), list(1, &[7.0, 300.0], &[2])),
        (bytes, list(2, &[], &[0])),
    ];
    for (feature, cell) in cases {
        let first = if matches!(feature, Feature::List(_)) { list(1, &[1.0], &[1]) } else { None };
        let error = column_from_cells(&[first, cell], &feature).expect_err("does not fit");
        assert!(matches!(error, DatasetError::WrongCell { row: 1, .. }), "{error}");
    }
}

fn files(files: &[&[u8]]) -> Option<OwnedCell> {
    Some(OwnedCell::Files(files.iter().map(|file| file.to_vec()).collect()))
}

#[test]
fn lists_of_files_survive() {
    for item in [Feature::Image, Feature::Video, Feature::Value("binary".into())] {
        back(vec![files(&[b"one", b"", b"three"]), None, files(&[])], list_of(item));
    }
    let large = DataType::LargeList(Arc::new(element_of(media_type())));
    back(vec![files(&[b"one"]), files(&[b"two", b"three"])], Feature::from_arrow(&large));
}

#[test]
fn a_slice_of_a_column_of_files_is_read_and_paths_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("b.png"), b"second").unwrap();
    let bytes: ArrayRef = Arc::new(arrow::array::BinaryArray::from(vec![Some(&b"first"[..]), None, None]));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![Some("a.png"), Some("b.png"), None]));
    let items = Arc::new(StructArray::new(media_fields(), vec![bytes, paths], None));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([0, 2, 1]);
    let lists: ArrayRef =
        Arc::new(arrow::array::ListArray::new(Arc::new(element_of(media_type())), offsets, items, None));
    let column = CellColumn::new(&lists.slice(1, 2), &list_of(Feature::Image)).expect("views");
    let column = column.with_origin("frames", Some(folder.path()));
    assert_eq!(column.get(0).expect("reads").map(Cell::into_owned), files(&[b"first", b"second"]));
    let error = column.get(1).expect_err("has neither bytes nor path").to_string();
    assert!(error.contains("file 0 of its list is null"), "{error}");
}

use arrow::array::{DictionaryArray, Int16Array, StructArray, UInt64Array};
use arrow::datatypes::Int32Type;

use super::*;
use crate::feature::media_fields;

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
fn a_wrong_value_names_its_row_and_blames_the_plugin() {
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
fn other_writers_types_are_read() {
    let words: DictionaryArray<Int32Type> = ["x", "y", "x"].into_iter().collect();
    let array: ArrayRef = Arc::new(words);
    let column = CellColumn::new(&array, &Feature::from_arrow(array.data_type())).expect("views");
    assert_eq!(column.get(2).expect("reads"), Some(Cell::Utf8("x")));
    let array: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert!(CellColumn::new(&array, &Feature::Value("uint64".into())).is_err());
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
    assert!(error.contains("outside the dataset's folder"), "{error}");
    assert!(matches!(column.get(2), Err(DatasetError::Cell { row: 2, .. })));
    assert_eq!(column.get(3).unwrap(), None);
    assert!(column.get(4).is_err());
}

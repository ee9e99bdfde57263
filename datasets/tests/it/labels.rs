//! Labels as people write them: whole floats, words, categories; keys that are none.

use std::path::Path;
use std::sync::Arc;

use crate::support::{labels, value};
use anyflow_datasets::{CellColumn, CellKind, Dataset, DatasetError, Feature, Features, TableWriter, check_key};
use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int64Array, LargeStringArray, ListArray, NullArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::Int32Type;

fn column(array: ArrayRef, feature: &Feature) -> CellColumn {
    CellColumn::new(&array, feature).unwrap().with_origin("label", None)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

/// The integers of a column; an error as its text.
fn integers(column: &CellColumn) -> Vec<Result<Option<i64>, String>> {
    assert_eq!(column.kind(), CellKind::I64);
    let number = |row: usize| match column.get(row).map_err(|error| error.to_string())? {
        Some(anyflow_datasets::Cell::I64(number)) => Ok(Some(number)),
        None => Ok(None),
        other => panic!("{other:?}"),
    };
    (0..column.len()).map(number).collect()
}

#[test]
fn whole_floats_are_integers() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(3.0), None, Some(-1.0), Some(2.5), Some(1e300)]));
    let found = integers(&column(floats, &value("float64")).as_integers(&[]).unwrap());
    assert_eq!(found[..3], [Ok(Some(3)), Ok(None), Ok(Some(-1))]);
    let error = found[3].clone().unwrap_err();
    assert!(error.contains("column `label`, row 3") && error.contains("2.5 is not a whole number"), "{error}");
    assert!(found[4].is_err());
}

#[test]
fn words_and_categories_are_the_classes_of_their_names() {
    let classes = names(&["zero", "on\u{e9}", "two"]);
    let words = ["two", "one\u{301}", "ten"];
    let texts: [(ArrayRef, &str); 3] = [
        (Arc::new(StringArray::from(words.to_vec())), "string"),
        (Arc::new(LargeStringArray::from(words.to_vec())), "large_string"),
        (Arc::new(DictionaryArray::<Int32Type>::from_iter(words)), "string"),
    ];
    for (array, dtype) in texts {
        let cells = column(array, &value(dtype));
        let found = integers(&cells.clone().as_integers(&classes).unwrap());
        assert_eq!(found[..2], [Ok(Some(2)), Ok(Some(1))]);
        let error = found[2].clone().unwrap_err();
        assert!(error.contains("`ten` names no class; the classes are zero, oné, two"), "{error}");
    }
}

#[test]
fn without_names_of_classes_text_spells_numbers() {
    let texts = ["7", "3.0", " -12\n", "007", "seven", "2.5", "", "NaN", "99999999999999999999"];
    let cells = column(Arc::new(StringArray::from(texts.to_vec())), &value("string"));
    let found = integers(&cells.as_integers(&[]).unwrap());
    assert_eq!(found[..4], [7, 3, -12, 7].map(|number| Ok(Some(number))));
    for (text, number) in texts.iter().zip(&found).skip(4) {
        let error = number.clone().unwrap_err();
        assert!(error.contains(&format!("the text `{text}` is not a whole number")), "{error}");
        assert!(error.contains("classes have no names"), "{error}");
    }
}

#[test]
fn bytes_are_no_labels() {
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"7".as_slice()]));
    let error = column(bytes, &value("binary")).as_integers(&[]).unwrap_err();
    assert!(matches!(error, DatasetError::ColumnType { .. }), "{error}");
}

#[test]
fn a_label_is_matched_by_the_names_of_its_classes() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(2), None]));
    let seven = column(numbers.clone(), &labels(&["seven", "three", "cat"]));
    let digits = names(&["zero", "one", "two", "three", "four", "five", "six", "seven"]);
    let found = integers(&seven.clone().as_integers(&digits).unwrap());
    assert_eq!((&found[0], &found[1], &found[3]), (&Ok(Some(7)), &Ok(Some(3)), &Ok(None)));
    assert!(found[2].clone().unwrap_err().contains("`cat` names no class"));
    // Numbers without names, and a model without names, keep the numbers.
    let plain = column(numbers, &value("int64"));
    for cells in [seven.as_integers(&[]).unwrap(), plain.as_integers(&digits).unwrap()] {
        assert_eq!(integers(&cells)[..3], [Ok(Some(0)), Ok(Some(1)), Ok(Some(2))]);
    }
}

fn dataset(folder: &Path, id: ArrayRef) -> Dataset {
    let rows = RecordBatch::try_from_iter([("id", id)]).unwrap();
    let path = folder.join("rows.parquet");
    let mut writer = TableWriter::create(&path, &rows.schema(), &Features::from_schema(&rows.schema())).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    Dataset::open(&[path]).unwrap()
}

#[test]
fn an_id_that_is_no_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let good: [ArrayRef; 3] =
        [Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec!["a"])), Arc::new(NullArray::new(1))];
    for id in good {
        check_key(&dataset(folder.path(), id), None).unwrap();
    }
    let bad: [ArrayRef; 2] = [Arc::new(Float64Array::from(vec![1.0])), Arc::new(lists)];
    for id in bad {
        let error = check_key(&dataset(folder.path(), id), None).unwrap_err();
        assert!(error.to_string().contains("column `id` is") && error.to_string().contains("--key"), "{error}");
    }
    let keyed = dataset(folder.path(), Arc::new(Int64Array::from(vec![1])));
    assert!(check_key(&keyed, Some("idd")).unwrap_err().to_string().contains("did you mean `id`"));
}

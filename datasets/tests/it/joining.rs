//! Files whose columns differ without changing a value, and files that differ more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{GIF, all_ids, open};
use anyflow_datasets::{Cell, Dataset, DatasetError, Feature, METADATA_KEY};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int8Type, Int32Type, Int64Type, Schema};

/// A column with its name.
type Column = (&'static str, ArrayRef);

/// Writes a file with these columns, and the features of a Hugging Face writer if there are some.
fn file(path: &Path, columns: Vec<Column>, features: Option<&str>) -> PathBuf {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let mut schema = Schema::new(fields);
    if let Some(features) = features {
        let text = format!("{{\"info\": {{\"features\": {features}}}}}");
        schema.metadata.insert(METADATA_KEY.into(), text);
    }
    let schema = Arc::new(schema);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(std::fs::File::create(path).unwrap(), schema.clone(), None).unwrap();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
    writer.close().unwrap();
    path.to_path_buf()
}

fn id(values: [i64; 2]) -> Column {
    ("id", Arc::new(Int64Array::from(values.to_vec())))
}

fn note(array: impl Array + 'static) -> Column {
    ("note", Arc::new(array))
}

/// A second file: its name, columns and features, and the notes that it must give.
type Other = (&'static str, Vec<Column>, Option<&'static str>, Vec<Option<String>>);

const IMAGE: &str = r#"{"image": {"_type": "Image"}}"#;

/// Two images; `order` are the places of bytes and path.
fn images(order: [usize; 2]) -> Column {
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![GIF, GIF]));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a.gif")]));
    let both = [("bytes", bytes), ("path", paths)];
    let fields: Fields =
        order.iter().map(|place| Field::new(both[*place].0, both[*place].1.data_type().clone(), true)).collect();
    let arrays = order.iter().map(|place| both[*place].1.clone()).collect();
    ("image", Arc::new(StructArray::new(fields, arrays, None)))
}

fn whole(dataset: &Dataset) -> RecordBatch {
    let mut batches = dataset.read(None, 0..dataset.rows(), 1000).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batch.unreadable.is_empty(), "{:?}", batch.unreadable);
    assert_eq!(batch.num_rows() as u64, dataset.rows());
    batch.rows
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let text = arrow::compute::cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
    text.as_string::<i32>().iter().map(|text| text.map(str::to_string)).collect()
}

#[test]
fn harmless_differences_are_joined_in_the_types_of_the_first_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let words = || note(StringArray::from(vec!["x", "y"]));
    let first = file(&at("0.parquet"), vec![id([1, 2]), images([0, 1]), words()], Some(IMAGE));
    let x = |word: &str| Some(word.to_string());
    let xy = [x("x"), x("y")];
    let keys = DictionaryArray::<Int32Type>::from_iter(["x", "y"]);
    let narrow: ArrayRef = Arc::new(Int8Array::from(vec![3, 4]));
    let nulls: [ArrayRef; 3] = [0, 0, 0].map(|rows| -> ArrayRef { Arc::new(NullArray::new(rows)) });
    let [a, b, c] = nulls;
    let others: Vec<Other> = vec![
        ("null", vec![id([3, 4]), images([0, 1]), note(NullArray::new(2))], Some(IMAGE), vec![None, None]),
        (
            "large",
            vec![id([3, 4]), images([0, 1]), note(LargeStringArray::from(vec!["x", "y"]))],
            Some(IMAGE),
            xy.to_vec(),
        ),
        (
            "view",
            vec![id([3, 4]), images([0, 1]), note(StringViewArray::from(vec!["x", "y"]))],
            Some(IMAGE),
            xy.to_vec(),
        ),
        ("order", vec![words(), images([0, 1]), id([3, 4])], Some(IMAGE), xy.to_vec()),
        ("narrow", vec![("id", narrow), images([0, 1]), words()], Some(IMAGE), xy.to_vec()),
        ("dictionary", vec![id([3, 4]), images([0, 1]), note(keys)], Some(IMAGE), xy.to_vec()),
        ("metadata", vec![id([3, 4]), images([0, 1]), words()], None, xy.to_vec()),
        ("path first", vec![id([3, 4]), images([1, 0]), words()], Some(IMAGE), xy.to_vec()),
        ("no rows", vec![("id", a), ("image", b), ("note", c)], None, vec![]),
    ];
    for (name, columns, features, expected) in others {
        let other = file(&at("1.parquet"), columns, features);
        let dataset = Dataset::open(&[first.clone(), other.clone()]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let batch = whole(&dataset);
        assert_eq!(batch.schema().fields()[0].data_type(), &DataType::Int64, "{name}");
        assert_eq!(batch.schema().fields()[2].data_type(), &DataType::Utf8, "{name}");
        assert_eq!(dataset.features()["image"], Feature::Image, "{name}");
        assert_eq!(texts(&batch, "note"), [xy.to_vec(), expected.clone()].concat(), "{name}");
        let cells = dataset.cells(&batch, "image").unwrap();
        assert!((0..batch.num_rows()).all(|row| cells.get(row).unwrap() == Some(Cell::Bytes(GIF))), "{name}");
        // In the other order, the same rows are there too; a file without rows sets no type.
        let turned = Dataset::open(&[other, first.clone()]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let batch = whole(&turned);
        assert_eq!(texts(&batch, "note"), [expected, xy.to_vec()].concat(), "{name}");
        let rows = if name == "no rows" { vec![1, 2] } else { vec![3, 4, 1, 2] };
        assert_eq!(all_ids(&turned), rows, "{name}");
        assert_eq!(turned.features()["image"], Feature::Image, "{name}");
        let taken = turned.take(Some(&["note", "id"]), &[turned.rows() - 1, 0], 9).unwrap().next().unwrap().unwrap();
        assert_eq!(taken.column(1).as_primitive::<Int64Type>().values().to_vec(), [2, rows[0]], "{name}");
    }
}

#[test]
fn integers_widen_and_the_feature_follows() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let stated = r#"{"n": {"dtype": "int32", "_type": "Value"}}"#;
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40, 4]));
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2]));
    let codes = DictionaryArray::<Int8Type>::new(Int8Array::from(vec![1, 0]), Arc::new(Int64Array::from(vec![7, 8])));
    let a = file(&at("a.parquet"), vec![("n", narrow)], Some(stated));
    let b = file(&at("b.parquet"), vec![("n", wide)], None);
    let c = file(&at("c.parquet"), vec![("n", Arc::new(codes))], None);
    let dataset = Dataset::open(&[a.clone(), b, c]).unwrap();
    assert_eq!(dataset.features()["n"], Feature::Value("int64".into()));
    let numbers = whole(&dataset).column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(numbers, [1, 2, 1 << 40, 4, 8, 7]);
    let inspection = anyflow_datasets::inspect(&dataset);
    assert_eq!(inspection.columns[0].max, Some((1i64 << 40).into()));
    // No integer holds all values of both.
    let d = file(&at("d.parquet"), vec![("n", unsigned)], None);
    let error = Dataset::open(&[a, d]).unwrap_err();
    assert!(error.to_string().contains("column `n` is Int32 against UInt64"), "{error}");
}

#[test]
fn columns_that_mean_something_else_are_refused_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let n: fn() -> ArrayRef = || Arc::new(Int64Array::from(vec![1, 2]));
    let label = |names: &str| format!(r#"{{"n": {{"names": [{names}], "_type": "ClassLabel"}}}}"#);
    let (cats, dogs) = (label("\"cat\", \"dog\""), label("\"dog\", \"cat\""));
    let first = file(&at("0.parquet"), vec![("n", n())], Some(&cats));
    let reals: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    for (columns, features, words) in [
        (vec![("n", n()), ("m", n())], None, "columns n against n, m"),
        (vec![("m", n())], None, "columns n against m"),
        (vec![("N", n())], None, "columns n against N"),
        (vec![("n", reals)], None, "column `n` is Int64 against Float64"),
        (vec![("n", note(StringArray::from(vec!["1", "2"])).1)], None, "column `n` is Int64 against Utf8"),
        (vec![("n", n())], Some(dogs.as_str()), "column `n` is class label (2) against class label (2)"),
    ] {
        let other = file(&at("1.parquet"), columns, features);
        let error = Dataset::open(&[first.clone(), other]).unwrap_err();
        assert!(matches!(error, DatasetError::SchemaMismatch { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn lists_are_joined_by_their_items() {
    let folder = tempfile::tempdir().unwrap();
    let list = |name: &str, values: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new(name, values.data_type().clone(), true));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1, values.len() - 1]), values, None))
    };
    let a = file(
        &folder.path().join("a.parquet"),
        vec![("l", list("item", Arc::new(Int32Array::from(vec![1, 2, 3]))))],
        None,
    );
    let b = file(
        &folder.path().join("b.parquet"),
        vec![("l", list("element", Arc::new(Int64Array::from(vec![4, 5]))))],
        None,
    );
    let c = file(&folder.path().join("c.parquet"), vec![("l", list("element", Arc::new(NullArray::new(1))))], None);
    let dataset = Dataset::open(&[a, b, c]).unwrap();
    assert_eq!(dataset.features()["l"], Feature::List(Box::new(Feature::Value("int64".into()))));
    let batch = whole(&dataset);
    let lists = batch.column(0).as_list::<i32>();
    let row = |row: usize| lists.value(row).as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!((row(0), row(1), row(3)), (vec![Some(1)], vec![Some(2), Some(3)], vec![Some(5)]));
    assert_eq!((row(4), row(5)), (vec![None], vec![]));
}

#[test]
fn a_composed_and_a_decomposed_name_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let n: fn() -> ArrayRef = || Arc::new(Int64Array::from(vec![1, 2]));
    let a = file(&at("a.parquet"), vec![("caf\u{e9}", n()), ("CAF\u{e9}", n())], None);
    let b = file(&at("b.parquet"), vec![("CAFe\u{301}", n()), ("cafe\u{301}", n())], None);
    let dataset = Dataset::open(&[a, b.clone()]).unwrap();
    assert_eq!(whole(&dataset).num_rows(), 4);
    assert_eq!(open(&b).column("cafe\u{301}").unwrap(), open(&b).column("caf\u{e9}").unwrap());
    let twice = file(&at("c.parquet"), vec![("caf\u{e9}", n()), ("cafe\u{301}", n())], None);
    assert!(matches!(Dataset::open(&[twice]), Err(DatasetError::RepeatedColumn { .. })));
}

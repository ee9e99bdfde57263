use super::*;

fn round_trip(feature: &Feature) -> Feature {
    let features = Features::from_iter([("c".to_string(), feature.clone())]);
    let schema = features.to_schema().expect("has a type");
    Features::from_schema(&schema).0.swap_remove("c").expect("c is there")
}

#[test]
fn every_feature_survives_the_metadata() {
    let fixed =
        serde_json::json!({"feature": {"dtype": "float32", "_type": "Value"}, "length": 96, "_type": "Sequence"});
    let features = [
        Feature::Value("string".into()),
        Feature::Value("timestamp[us, tz=UTC]".into()),
        Feature::Value("decimal128(10, 2)".into()),
        Feature::ClassLabel { names: vec!["cat".into(), "dog".into()] },
        Feature::Image,
        Feature::Audio { sampling_rate: Some(8000) },
        Feature::Audio { sampling_rate: None },
        Feature::Video,
        Feature::List(Box::new(Feature::Image)),
        Feature::Other(fixed),
    ];
    for feature in features {
        assert_eq!(round_trip(&feature), feature);
    }
}

#[test]
fn a_type_without_metadata_is_inferred() {
    let media = Feature::from_arrow(&media_type());
    assert_eq!(media.cell(), Some(CellKind::Bytes));
    assert_eq!(media.describe(), "record of bytes, path");
    assert_eq!(media.arrow_type(), Some(media_type()));
    let fixed = DataType::FixedSizeList(element(DataType::Float32), 3);
    assert_eq!(Feature::from_arrow(&fixed).arrow_type(), Some(fixed));
    assert_eq!(Feature::from_arrow(&DataType::UInt16), Feature::Value("uint16".into()));
}

#[test]
fn metadata_that_contradicts_the_type_is_ignored() {
    let stated = Features::from_iter([("c".to_string(), Feature::ClassLabel { names: vec![] })]);
    let schema = stated.stamp(&Schema::new(vec![Field::new("c", DataType::Utf8, true)]));
    assert_eq!(Features::from_schema(&schema)["c"], Feature::Value("string".into()));
}

#[test]
fn old_spellings_are_read() {
    let text = r#"{"info": {"features": {
        "a": [{"dtype": "int64", "id": null, "_type": "Value"}],
        "b": {"num_classes": 2, "_type": "ClassLabel"},
        "c": {"feature": {"dtype": "int8", "_type": "Value"}, "_type": "List"}}}}"#;
    let metadata = HashMap::from([(METADATA_KEY.to_string(), text.to_string())]);
    let features = json::features_from_metadata(&metadata);
    assert_eq!(features["a"], Feature::List(Box::new(Feature::Value("int64".into()))));
    assert_eq!(features["b"], Feature::ClassLabel { names: vec!["0".into(), "1".into()] });
    assert_eq!(features["c"], Feature::List(Box::new(Feature::Value("int8".into()))));
}

#[test]
fn codecs_declare_lists_of_any_length_and_of_one() {
    let vector = Feature::declared("List(Value(float32), 384)").unwrap();
    assert_eq!(vector.cell(), Some(CellKind::List(1)));
    assert_eq!(vector.arrow_type(), Some(DataType::FixedSizeList(element(DataType::Float32), 384)));
    let nested = Feature::declared("List(List(Value(float32), 2))").unwrap();
    assert_eq!(nested.cell(), Some(CellKind::List(2)));
    assert_eq!(Feature::declared("List(Value(float32), many)"), None);
}

#[test]
fn a_cell_kind_per_feature() {
    assert_eq!(Feature::Value("uint8".into()).cell(), Some(CellKind::I64));
    assert_eq!(Feature::Value("bool".into()).cell(), Some(CellKind::I64));
    assert_eq!(Feature::Value("float16".into()).cell(), Some(CellKind::F64));
    assert_eq!(Feature::Value("date32".into()).cell(), None);
    let files = Feature::List(Box::new(Feature::Image));
    assert_eq!(files.cell(), Some(CellKind::Files));
    assert_eq!(Feature::List(Box::new(files)).cell(), None);
    assert_eq!(Feature::from_arrow(&DataType::List(element(media_type()))).cell(), Some(CellKind::Files));
    let numbers = Feature::List(Box::new(Feature::Value("int16".into())));
    assert_eq!(numbers.cell(), Some(CellKind::List(1)));
    assert_eq!(Feature::List(Box::new(numbers)).cell(), Some(CellKind::List(2)));
    let points = DataType::LargeList(element(DataType::FixedSizeList(element(DataType::Float32), 2)));
    assert_eq!(Feature::from_arrow(&points).cell(), Some(CellKind::List(2)));
    let deep = (0..9).fold(Feature::Value("int8".into()), |item, _| Feature::List(Box::new(item)));
    assert_eq!(deep.cell(), None);
}

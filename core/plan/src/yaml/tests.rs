//! Two parsers, one tree: serde-saphyr through [`parse`], and serde_yaml.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::error::Report;
use crate::source::{Source, SourceId};
use crate::yaml::{Content, Node, parse};

fn read(text: &str) -> Node {
    let mut report = Report::default();
    let node = parse(text, SourceId(0), &mut report);
    assert!(!report.failed(), "{report:?} in {text}");
    node.unwrap()
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn both_parsers_agree_on_all_pipelines() {
    let mut texts = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines"), &mut texts);
    assert!(texts.len() > 10);
    for text in texts {
        assert_eq!(read(&text).json(), serde_yaml::from_str::<Json>(&text).unwrap());
    }
}

fn trees() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        (-1.0e9f64..1.0e9).prop_map(Json::from),
        "[ -~\u{e4}\n]{0,12}".prop_map(Json::from),
        prop::sample::select(vec![
            "yes",
            "no",
            "on",
            "~",
            "null",
            "0x1f",
            "1_000",
            "007",
            "1e3",
            ".5",
            "2026-01-01",
            "<<"
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec(("[a-z][a-z0-9-]{0,6}", inner), 0..5)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn both_parsers_agree_on_any_tree(tree in trees()) {
        let text = serde_yaml::to_string(&tree).unwrap();
        prop_assert_eq!(read(&text).json(), tree);
    }

    #[test]
    fn written_trees_are_read_back(tree in trees()) {
        let text = serde_saphyr::to_string(&tree).unwrap();
        prop_assert_eq!(read(&text).json(), tree);
    }

    #[test]
    fn json_is_yaml(tree in trees()) {
        prop_assert_eq!(read(&tree.to_string()).json(), tree);
    }
}

/// Every value is in the text at the position that it claims.
#[test]
fn positions_are_those_of_the_values() {
    let text = "a: {b: [1, \"two\", tr\u{fc}e], c: 3.5}\nd:\n  - e\n";
    let mut seen = Vec::new();
    collect(&read(text), text, &mut seen);
    assert_eq!(seen, ["a", "b", "1", "\"two\"", "tr\u{fc}e", "c", "3.5", "d", "e"]);
}

fn collect(node: &Node, text: &str, seen: &mut Vec<String>) {
    match &node.content {
        Content::List(items) => items.iter().for_each(|item| collect(item, text, seen)),
        Content::Mapping(entries) => entries.iter().for_each(|entry| {
            seen.push(text[entry.key.span.start..entry.key.span.end].to_string());
            collect(&entry.node, text, seen);
        }),
        _ => seen.push(text[node.span.start..node.span.end].to_string()),
    }
}

#[test]
fn aliases_have_the_position_of_their_use() {
    let node = read("a: &x 5\nb: *x\n");
    assert_eq!(node.json(), json!({"a": 5, "b": 5}));
    let Content::Mapping(entries) = &node.content else { panic!("no mapping") };
    assert_eq!(entries[1].node.span.start, 11);
}

#[test]
fn numbers_are_those_of_yaml_1_2() {
    let node = read("[0x1f, 0o17, 1_000, 007, 0b11, &b 0b101, *b, 1:30, .5, 5., +1]");
    assert_eq!(node.json(), json!([31, 15, "1_000", "007", "0b11", "0b101", "0b101", "1:30", 0.5, 5.0, 1]));
}

#[test]
fn a_decimal_comma_within_braces_says_what_to_write() {
    let refused = |text: &str| {
        let mut report = Report::default();
        parse(text, SourceId(0), &mut report);
        let source = Source::new("f.yaml", text);
        let errors = report.failed().then(|| report.into_errors(&[&source], 1));
        errors.iter().flatten().map(|error| error.message.clone()).collect::<Vec<_>>()
    };
    for (text, written) in [
        ("{lr: 1,5}", "1.5"),
        ("a: {b: -1,25, c: 2}", "-1.25"),
        ("a: [{b: 0,001}]", "0.001"),
        ("{b: 3,5e-4 }", "3.5e-4"),
    ] {
        let problems = refused(text);
        assert!(problems.len() == 1 && problems[0].ends_with(&format!("as a number write {written}")), "{problems:?}");
    }
    for good in ["{a: 1, 5: 2}", "a: 1\n5:\n", "[1,5]", "{a: x,5: }", "{a: 1, 5}"] {
        assert_eq!(refused(good), [""; 0], "{good}");
    }
}

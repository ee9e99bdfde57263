//! `anyflow data join` and `anyflow data split`.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{Output, anyflow, cells, digit_png, write_columns};

/// Words and paths of a command line.
macro_rules! line {
    ($($part:expr),* $(,)?) => { vec![$(OsString::from($part)),*] };
}

fn data(line: Vec<OsString>) -> Output {
    anyflow(line!["data"].into_iter().chain(line))
}

fn texts(values: &[&str]) -> Vec<Option<OwnedCell>> {
    values.iter().map(|value| Some(OwnedCell::Utf8((*value).into()))).collect()
}

fn put(folder: &Path, columns: &[(&str, &[&str])]) -> PathBuf {
    let text = || Feature::Value("string".into());
    let columns = columns.iter().map(|(name, values)| (*name, text(), texts(values))).collect();
    write_columns(folder, columns);
    folder.to_path_buf()
}

fn column(path: &Path, name: &str) -> Vec<String> {
    let text = |cell| if let OwnedCell::Utf8(text) = cell { text } else { panic!("{cell:?}") };
    cells(path, name).into_iter().map(text).collect()
}

#[test]
fn a_join_gives_each_row_of_the_second_its_row_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = put(
        &at("a"),
        &[("key", &["x", "y", "z", "w"]), ("photo", &["X", "Y", "Z", "W"]), ("note", &["1", "2", "3", "4"])],
    );
    let b = put(
        &at("b"),
        &[
            ("key", &["z", "x", "q", "z", "y"]),
            ("made", &["z1", "x1", "q1", "z2", "y1"]),
            ("note", &["a", "b", "c", "d", "e"]),
        ],
    );
    let out = at("joined.parquet");
    let line = line!["join", &a, &b, "--on", "key", "--output", &out];
    let text = data(line.clone()).ok().out;
    assert!(text.contains("4 rows; without a partner: 1 row of the first dataset, 1 of the second"), "{text}");
    let json = data([line, line!["--json"]].concat()).ok().json();
    assert_eq!(
        (json["rows"].as_u64(), json["unmatched_a"].as_u64(), json["unmatched_b"].as_u64()),
        (Some(4), Some(1), Some(1))
    );
    let dataset = Dataset::open(std::slice::from_ref(&out)).unwrap();
    assert_eq!(dataset.features().keys().collect::<Vec<_>>(), ["key", "photo", "note_a", "made", "note_b"]);
    for (name, values) in [
        ("key", ["z", "x", "z", "y"]),
        ("photo", ["Z", "X", "Z", "Y"]),
        ("made", ["z1", "x1", "z2", "y1"]),
        ("note_a", ["3", "1", "3", "2"]),
        ("note_b", ["a", "b", "d", "e"]),
    ] {
        assert_eq!(column(&out, name), values, "{name}");
    }
    let twice = data(line!["join", &b, &a, "--on", "key", "--output", &out]);
    assert!(twice.code == 2 && twice.err.contains("rows 0 and 3 of the first dataset both have `z`"), "{}", twice.err);
    let nothing = data(line!["join", &a, &b, "--on", "note", "--output", &out]);
    assert!(nothing.code == 2 && nothing.err.contains("no value that both datasets share"), "{}", nothing.err);
    assert_eq!(column(&out, "key").len(), 4, "a refused join keeps the old file");
}

/// The part of each key.
fn parts(folder: &Path, names: &[&str]) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    for name in names {
        let file = folder.join(format!("{name}.parquet"));
        for key in column(&file, "id") {
            let before = parts.insert(key.clone(), name.to_string());
            assert!(before.is_none_or(|before| before == *name), "{key} is in two parts");
        }
    }
    parts
}

#[test]
fn a_row_stays_in_its_part_when_others_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let ids: Vec<String> = (0..1000).map(|n| format!("row-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut fewer: Vec<&str> = ids[300..].to_vec();
    fewer.reverse();
    // Every key twice.
    fewer.extend(fewer.clone());
    let split = |name: &str, ids: &[&str], more: Vec<OsString>| {
        let source = put(&at(name), &[("id", ids)]);
        let out = at(&format!("{name}-parts"));
        let line = line!["split", &source, "--fractions", "0.8,0.1,0.1", "--output", &out, "--json"];
        let json = data([line, more].concat()).ok().json();
        let rows: u64 = json["files"].as_array().unwrap().iter().map(|file| file["rows"].as_u64().unwrap()).sum();
        assert_eq!(
            (rows, json["unreadable"].as_u64(), json["left_over"].as_u64()),
            (ids.len() as u64, Some(0), Some(0))
        );
        parts(&out, &["train", "validation", "test"])
    };
    let all = split("all", &ids, vec![]);
    assert_eq!(all.len(), 1000);
    let train = all.values().filter(|part| *part == "train").count();
    assert!((770..=830).contains(&train), "{train}");
    for (key, part) in split("fewer", &fewer, vec![]) {
        assert_eq!(all[&key], part, "{key}");
    }
    assert_ne!(split("other", &ids, line!["--seed", "1"]), all);
    let test = PathBuf::from(format!("{}#test", at("all-parts").display()));
    assert_eq!(Dataset::open(&[test]).unwrap().rows(), all.values().filter(|part| *part == "test").count() as u64);
}

#[test]
fn splits_embed_files_and_count_what_is_in_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.png"), digit_png(1, 0)).unwrap();
    let lines =
        (0..40).map(|n| format!("{{\"id\": \"{n}\", \"image\": \"{}\"}}\n", if n == 7 { "gone.png" } else { "a.png" }));
    std::fs::write(at("rows.jsonl"), lines.collect::<String>()).unwrap();
    let python = anyflow_tests::python();
    let Some(python) = python else { return };
    // A record of bytes and path, as many programs write it.
    let script = "import sys, json, pyarrow as pa, pyarrow.parquet as pq\n\
                  rows = [json.loads(line) for line in open(sys.argv[1])]\n\
                  image = pa.array([{'bytes': None, 'path': row['image']} for row in rows], pa.struct([('bytes', pa.binary()), ('path', pa.string())]))\n\
                  pq.write_table(pa.table({'id': [row['id'] for row in rows], 'image': image}), sys.argv[2])\n";
    let mut command = std::process::Command::new(python);
    command.args(["-c", script]).args([at("rows.jsonl"), at("rows.parquet")]);
    Output::of(command).ok();
    let out = at("parts");
    let line = line![
        "split",
        at("rows.parquet"),
        "--fractions",
        "0.5",
        "0.2",
        "--names",
        "a",
        "b",
        "--output",
        &out,
        "--json"
    ];
    let json = data(line).ok().json();
    let rows: u64 = json["files"].as_array().unwrap().iter().map(|file| file["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows + json["left_over"].as_u64().unwrap() + 1, 40, "{json}");
    assert!(json["unreadable"] == 1 && json["reason"].as_str().unwrap().contains("gone.png"), "{json}");
    let kept = cells(&out.join("a.parquet"), "image");
    assert!(!kept.is_empty() && kept.iter().all(|cell| *cell == OwnedCell::Bytes(digit_png(1, 0))));
    for (more, words) in [
        (line!["--fractions", "0.9,0.2"], "at most 1"),
        (line!["--fractions", "0.5,0"], "above 0"),
        (line!["--fractions", "0.2,0.2,0.2,0.2"], "--names"),
        (line!["--fractions", "0.5,0.5", "--names", "a,../b"], "cannot be the name of a file"),
        (line!["--fractions", "0.5,0.5", "--names", "a,a"], "given twice"),
        (line!["--fractions", "0.5", "--names", "rows", "--output", folder.path()], "is also a source"),
    ] {
        let place = if more.contains(&"--output".into()) { vec![] } else { line!["--output", &out] };
        let refused = data([line!["split", at("rows.parquet")], more.clone(), place].concat());
        assert!(refused.code == 2 && refused.err.contains(words), "{more:?}: {}", refused.err);
    }
}

//! `anyflow data join` and `anyflow data split`.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{Output, anyflow, anyflow_with, cells, digit_png, write_columns};

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
    assert!(text.contains("renamed, since both datasets have them: `note` is note_a and note_b"), "{text}");
    let json = data([line, line!["--json"]].concat()).ok().json();
    assert_eq!(json["renamed"], serde_json::json!({"note": ["note_a", "note_b"]}));
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

/// Names and contents of the files in a folder, without locks.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    files
        .filter(|(name, _)| !name.ends_with(".lock"))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_killed_split_is_read_by_nobody_and_completed_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let ids: Vec<String> = (0..200).map(|n| format!("row-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let source = put(&at("rows"), &[("id", &ids)]);
    let line = |out: &Path, seed: &str| {
        line!["data", "split", &source, "--fractions", "0.5,0.5", "--seed", seed, "--output", out]
    };
    anyflow(line(&at("whole"), "0")).ok();
    let whole = files(&at("whole"));
    for point in ["file-renamed", "file-renamed:1", "file-renamed:2", "file-renamed:3"] {
        let out = at(point);
        let killed = anyflow_with(&[("ANYFLOW_FAILPOINT", point.as_ref())], line(&out, "0"));
        assert_eq!(killed.code, -1, "{}", killed.err);
        let is_whole = point == "file-renamed:3";
        let pattern = out.join("*.parquet");
        for named in [out.clone(), PathBuf::from(format!("{}#train", out.display())), pattern] {
            let read = data(line!["inspect", &named]);
            // Before the first part there is nothing to match a pattern.
            assert!(is_whole || read.code == 2, "{}: {}{}", named.display(), read.out, read.err);
        }
        let other = anyflow(line(&out, "1"));
        assert!(other.code == 2 && other.err.contains("seed is 0 there and 1 here"), "{}", other.err);
        anyflow(line(&out, "0")).ok();
        assert_eq!(files(&out), whole, "{point}");
    }
}

#[test]
fn a_folder_holds_one_split_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = put(&at("rows"), &[("id", &["a", "b", "c", "d", "e", "f", "g", "h"])]);
    let out = at("parts");
    let split = |fractions: &str, more: Vec<OsString>| {
        data([line!["split", &source, "--fractions", fractions, "--output", &out], more].concat())
    };
    let first = split("0.5,0.25,0.25", line!["--json"]).ok().json();
    let before = files(&out);
    assert_eq!(split("0.5,0.25,0.25", line!["--json"]).ok().json(), first, "the same split again does nothing");
    let other = split("0.5,0.5", vec![]);
    assert!(other.code == 2 && other.err.contains("parts is train 0.5, validation"), "{}", other.err);
    assert_eq!(files(&out), before);
    // What a reader would take for a part is refused, by the reader and by the next split.
    std::fs::copy(out.join("train.parquet"), out.join("more.parquet")).unwrap();
    for refused in [data(line!["inspect", &out]), split("0.5,0.25,0.25", vec![])] {
        assert!(refused.code == 2 && refused.err.contains("more.parquet"), "{}", refused.err);
    }
    std::fs::remove_file(out.join("more.parquet")).unwrap();
    // A part that is lost or changed is noticed, and made again.
    std::fs::remove_file(out.join("test.parquet")).unwrap();
    let lost = data(line!["inspect", &out]);
    assert!(lost.code == 2 && lost.err.contains("test.parquet: is missing"), "{}", lost.err);
    split("0.5,0.25,0.25", vec![]).ok();
    assert_eq!(files(&out), before);
    // Files of others are not mixed with parts.
    let foreign = at("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::copy(out.join("test.parquet"), foreign.join("validation.parquet")).unwrap();
    let refused = data(line!["split", &source, "--fractions", "0.9,0.1", "--output", &foreign]);
    assert!(refused.code == 2 && refused.err.contains("holds validation.parquet"), "{}", refused.err);
    assert_eq!(files(&foreign).len(), 1);
}

//! Every source becomes the same kind of file.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::{GIF, labels, open, value, wav};
use anyflow_datasets::{
    Cell, ColumnTypes, Dataset, DatasetError, Feature, ImportSource, Imported, OwnedCell, OwnedList, Result,
};

/// Imports without types that a user sets.
fn import(source: &ImportSource, out: &Path) -> Result<Imported> {
    anyflow_datasets::import(source, &ColumnTypes::default(), out)
}

/// Detects, imports and opens.
pub fn imported(paths: &[PathBuf], out: &Path) -> (Imported, Dataset) {
    let source = ImportSource::detect(paths).unwrap();
    let imported = import(&source, out).unwrap();
    let dataset = open(out);
    assert_eq!(dataset.features(), &imported.features);
    assert_eq!(dataset.rows(), imported.rows);
    (imported, dataset)
}

pub fn column(dataset: &Dataset, name: &str) -> Vec<Option<OwnedCell>> {
    let batches = dataset.read(Some(&[name]), 0..dataset.rows(), 100).unwrap();
    let cells = batches.flat_map(|batch| {
        let cells = dataset.cells(&batch.unwrap(), name).unwrap();
        (0..cells.len()).map(|row| cells.get(row).unwrap().map(Cell::into_owned)).collect::<Vec<_>>()
    });
    cells.collect()
}

pub fn text(words: &[&str]) -> Vec<Option<OwnedCell>> {
    words.iter().map(|word| Some(OwnedCell::Utf8((*word).into()))).collect()
}

pub fn refused(paths: &[PathBuf], out: &Path) -> String {
    let error = import(&ImportSource::detect(paths).unwrap(), out).unwrap_err();
    assert!(matches!(error, DatasetError::Import { .. }), "{error}");
    assert!(!out.exists());
    let temporary = out.with_file_name(format!(".{}.tmp", out.file_name().unwrap().to_string_lossy()));
    assert!(!temporary.exists());
    error.to_string()
}

pub fn put(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn sub_folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pets");
    put(&root.join("dog/b.gif"), GIF);
    put(&root.join("cat/a.gif"), GIF);
    put(&root.join("cat/README.txt"), "not a picture");
    put(&root.join(".hidden/x.gif"), GIF);
    std::os::unix::fs::symlink(root.join("dog"), root.join("more")).unwrap();
    let (report, dataset) = imported(&[root], &folder.path().join("out.parquet"));
    let mut left: Vec<_> = report.left_out.iter().map(|left| (left.reason.as_str(), left.files)).collect();
    left.sort_unstable();
    assert_eq!(left, [("hidden", 1), ("linked to a folder", 1), ("not an image, sound or video", 1)]);
    assert_eq!(column(&dataset, "id"), text(&["cat/a.gif", "dog/b.gif"]));
    assert_eq!(dataset.features()["image"], Feature::Image);
    assert_eq!(dataset.features()["label"], labels(&["cat", "dog"]));
    assert_eq!(column(&dataset, "label"), crate::support::ints([0, 1]));
    assert_eq!(column(&dataset, "image"), crate::support::blobs([GIF.to_vec(), GIF.to_vec()]));
}

#[test]
fn a_folder_of_splits_is_refused_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let root = folder.path().join("pets");
    for file in ["Train/cat/a.gif", "Train/dog/a.gif", "val/cat/a.gif"] {
        put(&root.join(file), GIF);
    }
    let error = import(&ImportSource::Folder(root.clone()), &out).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, DatasetError::Splits { .. }) && !out.exists(), "{text}");
    assert!(text.contains("the splits train, validation"), "{text}");
    assert!(text.contains("pets/Train") && text.contains("pets/val"), "{text}");
    let (_, dataset) = imported(&[root.join("Train")], &out);
    assert_eq!(dataset.features()["label"], labels(&["cat", "dog"]));
    // One such name may be a class; metadata says what belongs together.
    std::fs::rename(root.join("val"), root.join("bus")).unwrap();
    assert_eq!(imported(std::slice::from_ref(&root), &out).0.rows, 3);
    std::fs::rename(root.join("bus"), root.join("test")).unwrap();
    put(&root.join("metadata.csv"), "file_name,split\nTrain/cat/a.gif,train\ntest/cat/a.gif,test\n");
    assert_eq!(imported(&[root], &out).0.rows, 2);
}

#[test]
fn texts_of_other_formats_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    for (name, content, words) in [
        ("a.json", "[{\"id\": 1}, {\"id\": 2}]\n", ":1: starts a JSON array; write one object per line"),
        ("b.json", "[\n{\"id\": 1}\n]\n", ":1: starts a JSON array; write one object per line"),
        ("a.jsonl", "{\"id\": 1}\n{\"id\": NaN}\n", "(JSON has no NaN and no Infinity; write null)"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
        ("b.csv", "<!DOCTYPE html><html>,</html>\n", "an HTML page"),
        ("a.tar", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
    ] {
        let path = folder.path().join(name);
        put(&path, content);
        let text = refused(std::slice::from_ref(&path), &out);
        assert!(text.contains(words), "{name}: {text}");
    }
    for (name, content, words) in [("a.orc", &b"ORC"[..], "an ORC file"), ("a.xyz", b"x", "is not a folder, .jsonl")] {
        put(&folder.path().join(name), content);
        let text = ImportSource::detect(&[folder.path().join(name)]).unwrap_err().to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[test]
fn metadata_adds_columns_and_sets_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("sounds");
    for name in ["a.wav", "b.wav", "c.wav"] {
        put(&root.join(name), wav(10));
    }
    let lines =
        "{\"file_name\": \"b.wav\", \"text\": \"bee\", \"n\": 2}\n{\"file_name\": \"a.wav\", \"text\": \"ay\"}\n";
    put(&root.join("metadata.jsonl"), lines);
    let out = folder.path().join("out.parquet");
    let (report, dataset) = imported(std::slice::from_ref(&root), &out);
    let [left] = report.left_out.as_slice() else { panic!("{:?}", report.left_out) };
    assert_eq!((left.files, left.reason.as_str(), left.example.as_str()), (1, "not named by the metadata", "c.wav"));
    assert_eq!(column(&dataset, "id"), text(&["b.wav", "a.wav"]));
    assert_eq!(column(&dataset, "text"), text(&["bee", "ay"]));
    assert_eq!(column(&dataset, "n"), [Some(OwnedCell::I64(2)), None]);
    assert_eq!(dataset.features()["audio"], Feature::Audio { sampling_rate: None });
    std::fs::remove_file(root.join("metadata.jsonl")).unwrap();
    put(&root.join("metadata.csv"), "id,file_name,score\n7,c.wav,0.5\n");
    let (_, dataset) = imported(&[root], &out);
    assert_eq!(column(&dataset, "id"), crate::support::ints([7]));
    assert_eq!(column(&dataset, "score"), [Some(OwnedCell::F64(0.5))]);
}

#[test]
fn ambiguous_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let root = folder.path().join("mixed");
    put(&root.join("a.gif"), GIF);
    put(&root.join("b.wav"), wav(1));
    let text = refused(std::slice::from_ref(&root), &out);
    assert!(text.contains("mixes"), "{text}");
    std::fs::remove_file(root.join("b.wav")).unwrap();
    put(&root.join("metadata.csv"), "name\na.gif\n");
    assert!(refused(std::slice::from_ref(&root), &out).contains("file_name"));
    put(&root.join("metadata.csv"), "file_name\ngone.gif\n");
    let error = import(&ImportSource::Folder(root), &out).unwrap_err();
    assert!(matches!(&error, DatasetError::Missing { path } if path.ends_with("gone.gif")), "{error}");
}

#[test]
fn a_folder_gives_only_its_own_regular_files() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    put(&folder.path().join("secret.txt"), "secret");
    let root = folder.path().join("data");
    put(&root.join("a.gif"), GIF);
    put(&root.join("sub/b.gif"), GIF);
    std::os::unix::fs::symlink("sub/b.gif", root.join("c.gif")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let outside = folder.path().join("secret.txt").display().to_string();
    for name in ["../secret.txt", "/etc/hostname", outside.as_str(), "sub/../../secret.txt", "pipe", "/dev/zero", "sub"]
    {
        put(&root.join("metadata.jsonl"), format!("{}\n", serde_json::json!({"file_name": name})));
        let error = import(&ImportSource::Folder(root.clone()), &out).unwrap_err();
        assert!(matches!(error, DatasetError::Import { .. }), "{name}: {error}");
        assert!(!out.exists());
    }
    put(&root.join("metadata.jsonl"), "{\"file_name\": \"c.gif\"}\n{\"file_name\": \"./sub/b.gif\"}\n");
    let (_, dataset) = imported(std::slice::from_ref(&root), &out);
    assert_eq!(column(&dataset, "image"), crate::support::blobs([GIF.to_vec(), GIF.to_vec()]));
    std::fs::remove_file(root.join("metadata.jsonl")).unwrap();
    std::fs::remove_file(root.join("pipe")).unwrap();
    assert_eq!(imported(std::slice::from_ref(&root), &out).0.rows, 3);
    for target in ["../secret.txt", "/etc/hostname", "/dev/zero"] {
        std::os::unix::fs::symlink(target, root.join("dog.gif")).unwrap();
        let (report, dataset) = imported(std::slice::from_ref(&root), &out);
        assert_eq!((dataset.rows(), left_out(&report)), (3, vec![("outside of the folder", 1)]), "{target}");
        std::fs::remove_file(root.join("dog.gif")).unwrap();
    }
}

pub fn left_out(report: &Imported) -> Vec<(&str, u64)> {
    report.left_out.iter().map(|left| (left.reason.as_str(), left.files)).collect()
}

#[test]
fn every_file_of_a_folder_is_in_a_row_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("many");
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    for name in ["a.jfif", "b.JPE", "c.jpg", "no-ending"] {
        put(&root.join(name), jpeg);
    }
    put(&root.join("d.avif"), b"\0\0\0\x1cftypavif\0\0\0\0");
    put(&root.join("hides-as.bin"), wav(3));
    put(&root.join("notes"), "BM is how a bitmap begins, and this is text");
    put(&root.join("x.svg"), "<svg/>");
    put(&root.join(".DS_Store"), "x");
    std::os::unix::fs::symlink("gone.png", root.join("broken.png")).unwrap();
    let latin: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9.gif");
    std::fs::write(root.join(latin), GIF).unwrap();
    let files = std::fs::read_dir(&root).unwrap().count() as u64;
    let (report, dataset) = imported(std::slice::from_ref(&root), &folder.path().join("out.parquet"));
    let names = ["a.jfif", "b.JPE", "c.jpg", r"caf\xe9.gif", "d.avif", "no-ending"];
    assert_eq!(column(&dataset, "id"), text(&names));
    let expected = [("hidden", 1), ("not an image, sound or video", 3), ("not there", 1)];
    let mut left = left_out(&report);
    left.sort_unstable_by_key(|(_, files)| *files);
    assert_eq!(left.len(), expected.len(), "{left:?}");
    assert_eq!(report.rows + left.iter().map(|(_, files)| files).sum::<u64>(), files);
}

#[test]
fn names_in_metadata_may_be_spelled_in_another_form() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("n");
    put(&root.join("cafe\u{301}.gif"), GIF);
    put(&root.join("b.gif"), GIF);
    let lines = "{\"file_name\": \"caf\u{e9}.gif\"}\n{\"file_name\": \"gone.gif\"}\n{\"file_name\": \"./b.gif\"}\n";
    put(&root.join("metadata.jsonl"), lines);
    let (report, dataset) = imported(&[root], &folder.path().join("out.parquet"));
    assert_eq!(column(&dataset, "image"), crate::support::blobs([GIF.to_vec(), GIF.to_vec()]));
    assert_eq!(left_out(&report), [("not there", 1)]);
}

#[test]
fn marks_that_enclose_no_field_are_text_in_tables_with_tabs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let table = |name: &str, content: &str| {
        put(&folder.path().join(name), content);
        imported(&[folder.path().join(name)], &out)
    };
    for (stray, line) in [("\"Hello\" he said", 2), ("\"Hello", 2)] {
        let (report, dataset) = table("a.tsv", &format!("text\tid\n{stray}\t1\nbye\t2\n"));
        assert_eq!(column(&dataset, "text"), text(&[stray, "bye"]));
        assert!(report.notes[0].contains(&format!("of line {line} enclose no field")), "{:?}", report.notes);
    }
    let (report, dataset) = table("a.tsv", "text\tid\n\"a\tb\"\t1\n5\" nail\t2\n");
    assert_eq!(column(&dataset, "text"), text(&["a\tb", "5\" nail"]));
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let (report, dataset) = table("a.csv", "text,id\n\"Hello\" he said,1\n");
    assert_eq!(column(&dataset, "text"), text(&["Hello he said"]));
    assert!(report.notes[0].contains("line 2: text follows"), "{:?}", report.notes);
    put(&folder.path().join("b.csv"), "text,id\nbye,2\n\"Hello,1\nbye,2\n");
    let error = refused(&[folder.path().join("b.csv")], &folder.path().join("x.parquet"));
    assert!(error.contains("b.csv:3:") && error.contains("none closes it"), "{error}");
}

#[test]
fn a_table_is_read_with_the_separator_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    for (name, content, words) in [
        ("a.csv", "id;label\n1;2\n", "separated by semicolons"),
        ("a.csv", "id\tlabel\n1\t2\n", "separated by tabs"),
        ("a.tsv", "id,label\n1,2\n", "separated by commas"),
        ("a.csv", "\u{feff}id,label\r\n1,2\r\n", ""),
    ] {
        let path = folder.path().join(name);
        put(&path, content);
        let (report, dataset) = imported(&[path], &out);
        assert_eq!(column(&dataset, "id"), crate::support::ints([1]), "{content:?}");
        assert_eq!(column(&dataset, "label"), crate::support::ints([2]), "{content:?}");
        assert!(report.notes.join(" ").contains(words), "{:?}", report.notes);
        assert_eq!(report.notes.is_empty(), words.is_empty(), "{:?}", report.notes);
    }
    let path = folder.path().join("a.csv");
    let wide: Vec<u8> = "id,label\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put(&path, [b"\xff\xfe".as_slice(), &wide].concat());
    assert!(refused(&[path], &folder.path().join("x.parquet")).contains("UTF-16; save it as UTF-8"));
}

#[test]
fn versions_stay_text_and_prices_become_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    put(&path, "version,price\n1.9,0.50\n1.10,1.25\n1.1,3.00\n");
    let (report, dataset) = imported(&[path], &folder.path().join("out.parquet"));
    let words = ["1.9", "1.10", "1.1"].map(|word| Some(OwnedCell::Utf8(word.into())));
    assert_eq!(column(&dataset, "version"), words);
    assert_eq!(column(&dataset, "price"), [0.5, 1.25, 3.0].map(|price| Some(OwnedCell::F64(price))));
    assert!(
        report.notes.len() == 1 && report.notes[0].contains("would change the value \"1.10\""),
        "{:?}",
        report.notes
    );
}

#[test]
fn a_mark_before_json_lines_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bom.jsonl");
    put(&path, "\u{feff}{\"id\":\"a\",\"label\":1}\r\n{\"id\":\"b\",\"label\":2}\n");
    let (_, dataset) = imported(&[path], &folder.path().join("out.parquet"));
    assert_eq!(column(&dataset, "label"), crate::support::ints([1, 2]));
}

#[test]
fn types_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("t.csv");
    let set = |types: &[(&str, &str)]| -> ColumnTypes {
        types.iter().map(|(column, word)| (column.to_string(), word.parse().unwrap())).collect()
    };
    let import = |types: &[(&str, &str)]| {
        anyflow_datasets::import(&ImportSource::detect(std::slice::from_ref(&path)).unwrap(), &set(types), &out)
    };
    put(&path, "zip,n,yes\n01234,1,true\n7,2,false\n");
    let report = import(&[]).unwrap();
    assert_eq!(report.features["zip"], value("string"));
    assert!(report.notes[0].contains("zip stays text") && report.notes[0].contains("\"01234\""), "{:?}", report.notes);
    let report = import(&[("zip", "int"), ("n", "text"), ("yes", "string")]).unwrap();
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let dataset = open(&out);
    assert_eq!(column(&dataset, "zip"), crate::support::ints([1234, 7]));
    assert_eq!(column(&dataset, "n"), text(&["1", "2"]));
    assert_eq!(column(&dataset, "yes"), text(&["true", "false"]));
    assert_eq!(import(&[("n", "float")]).unwrap().features["n"], value("float64"));
    let error = import(&[("zipp", "text")]).unwrap_err().to_string();
    assert!(error.contains("t.csv: no column `zipp`") && error.contains("did you mean `zip`"), "{error}");
    let error = import(&[("yes", "int")]).unwrap_err().to_string();
    assert!(error.contains("'true'") && error.contains("line"), "{error}");
    assert!("date".parse::<anyflow_datasets::ColumnType>().is_err());
    put(&folder.path().join("d/a.gif"), GIF);
    let source = ImportSource::Folder(folder.path().join("d"));
    let error = anyflow_datasets::import(&source, &set(&[("id", "text")]), &out).unwrap_err().to_string();
    assert!(error.contains("has no text table"), "{error}");
    // In JSON lines, texts become numbers and numbers texts.
    let path = folder.path().join("t.jsonl");
    put(&path, "{\"a\": \"12\", \"b\": 3}\n");
    let source = ImportSource::JsonLines(path);
    anyflow_datasets::import(&source, &set(&[("a", "int"), ("b", "text")]), &out).unwrap();
    let dataset = open(&out);
    assert_eq!((column(&dataset, "a"), column(&dataset, "b")), (crate::support::ints([12]), text(&["3"])));
}

#[test]
fn tables_keep_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("rows.jsonl");
    put(&path, "{\"a\": 1, \"b\": \"x\", \"c\": [[1.5, 2], []]}\n\n{\"b\": \"ü\", \"a\": null}\n");
    let (_, dataset) = imported(&[path], &out);
    assert_eq!(dataset.features()["c"], Feature::List(Box::new(Feature::List(Box::new(value("float64"))))));
    let lists = OwnedList::new(2, vec![1.5, 2.0], vec![2, 2, 0]).map(OwnedCell::List);
    assert_eq!(column(&dataset, "c"), [lists, None]);
    assert_eq!(column(&dataset, "a"), [Some(OwnedCell::I64(1)), None]);
    assert_eq!(column(&dataset, "b"), text(&["x", "ü"]));
    for (name, content) in [("t.csv", "a,b\n1,\"x, y\"\n2,\n"), ("t.tsv", "a\tb\n1\tx, y\n2\t\n")] {
        let path = folder.path().join(name);
        put(&path, content);
        let (_, dataset) = imported(&[path], &out);
        assert_eq!(column(&dataset, "a"), crate::support::ints([1, 2]));
        assert_eq!(column(&dataset, "b")[0], Some(OwnedCell::Utf8("x, y".into())));
    }
}

#[test]
fn no_digit_of_a_table_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let csv = folder.path().join("t.csv");
    put(
        &csv,
        "zip,phone,hash,big,when,date,n,x\n01234,+49,12e5,12345678901234567890123,2020-01-01T00:00:00+02:00,2020-13-02,7,0.5\n\
               7,1,2,3,2020-01-01T00:00:00Z,2020-01-02,-8,1e-5\n",
    );
    let (_, dataset) = imported(std::slice::from_ref(&csv), &out);
    for (name, words) in [
        ("zip", ["01234", "7"]),
        ("phone", ["+49", "1"]),
        ("hash", ["12e5", "2"]),
        ("big", ["12345678901234567890123", "3"]),
        ("when", ["2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00Z"]),
        ("date", ["2020-13-02", "2020-01-02"]),
    ] {
        assert_eq!(column(&dataset, name), text(&words), "{name}");
    }
    assert_eq!(column(&dataset, "n"), crate::support::ints([7, -8]));
    assert_eq!(column(&dataset, "x"), [Some(OwnedCell::F64(0.5)), Some(OwnedCell::F64(1e-5))]);

    let json = folder.path().join("t.jsonl");
    put(
        &json,
        "{\"a\": 12345678901234567890123, \"b\": 18446744073709551615, \"c\": 9007199254740993, \"d\": 0.5}\n\
                {\"a\": 1, \"b\": 2, \"c\": 0.5, \"d\": 9007199254740993, \"e\": \"007, \\\" 99999999999999999999\"}\n\
                {\"n\": 9223372036854775807}\n",
    );
    let (_, dataset) = imported(std::slice::from_ref(&json), &out);
    assert_eq!(column(&dataset, "a")[..2], text(&["12345678901234567890123", "1"]));
    assert_eq!(column(&dataset, "b")[..2], text(&["18446744073709551615", "2"]));
    assert_eq!(column(&dataset, "c")[..2], text(&["9007199254740993", "0.5"]));
    assert_eq!(column(&dataset, "d")[1], text(&["9007199254740993"])[0]);
    assert_eq!(column(&dataset, "n")[2], Some(OwnedCell::I64(i64::MAX)));
    put(&json, "{\"a\": [1]}\n{\"a\": [2, {\"b\": 99999999999999999999}]}\n");
    assert!(import(&ImportSource::JsonLines(json.clone()), &out).is_err());
    put(&json, "{\"a\": [1]}\n{\"a\": [2, 99999999999999999999]}\n");
    assert!(refused(&[json], &folder.path().join("x.parquet")).contains("t.jsonl:2: the number 99999999999999999999"));
}

#[test]
fn a_repeated_column_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    for (file, content, words) in [
        ("t.csv", "a,a,b\n1,2,3\n", "t.csv:1: two columns are called `a`"),
        ("t.jsonl", "{\"b\": 1}\n{\"a\": 1, \"\\u0061\": 2}\n", "t.jsonl:2: two columns are called `a`"),
    ] {
        let path = folder.path().join(file);
        put(&path, content);
        let error = import(&ImportSource::detect(&[path]).unwrap(), &out).unwrap_err();
        assert!(matches!(error, DatasetError::RepeatedColumn { .. }) && error.to_string().contains(words), "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn a_bad_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("rows.jsonl");
    put(&path, "{\"a\": 1}\n{\"a\": \n");
    let text = refused(&[path], &out);
    assert!(text.contains("rows.jsonl:2:"), "{text}");
    let path = folder.path().join("rows.csv");
    put(&path, "a,b\n1,2\n3\n");
    let text = refused(&[path], &out);
    assert!(text.contains("line 3") || text.contains("line: 3"), "{text}");
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn unpacked_sizes_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("a.tar.gz");
    let mut header = tar::Header::new_gnu();
    header.set_path("a.bin").unwrap();
    header.set_size(3 << 30);
    header.set_cksum();
    put(&path, gzip(&[header.as_bytes().as_slice(), &[0; 4096]].concat()));
    assert!(refused(std::slice::from_ref(&path), &out).contains("3221225472 bytes, more than"));
    // A long name with a length from the file.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 20);
    header.set_cksum();
    put(&path, gzip(&[header.as_bytes().as_slice(), &vec![b'x'; 1 << 20]].concat()));
    assert!(refused(&[path], &out).contains("more than 65536 bytes"));
}

#[test]
fn unknown_names_are_refused_before_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xyz");
    assert!(matches!(ImportSource::detect(std::slice::from_ref(&path)), Err(DatasetError::Missing { .. })));
    put(&path, "x");
    assert!(matches!(ImportSource::detect(&[path]), Err(DatasetError::Import { .. })));
    assert!(matches!(ImportSource::detect(&[]), Err(DatasetError::Import { .. })));
}

#[test]
fn a_text_table_with_too_many_columns_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = |columns: usize| {
        let path = folder.path().join("wide.csv");
        let line = |cell: &dyn Fn(usize) -> String| (0..columns).map(cell).collect::<Vec<_>>().join(",");
        std::fs::write(&path, format!("{}\n{}\n", line(&|index| format!("c{index}")), line(&|_| "1".into()))).unwrap();
        path
    };
    let out = folder.path().join("wide.parquet");
    let error = import(&ImportSource::detect(&[table(500_001)]).unwrap(), &out).unwrap_err();
    assert!(matches!(error, DatasetError::TooWide { columns: 500_001, .. }) && !out.exists(), "{error}");
    let (imported, dataset) = imported(&[table(2_000)], &out);
    assert_eq!((imported.rows, dataset.features().len()), (1, 2_000));
}

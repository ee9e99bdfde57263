//! `anyflow data`: imports, inspects and pairs datasets.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{Output, anyflow, command_in, digit_png, tone_wav, write_columns};
use serde_json::{Value, json};

/// Words and paths of a command line.
macro_rules! line {
    ($($part:expr),* $(,)?) => { vec![$(OsString::from($part)),*] };
}

fn data(line: Vec<OsString>) -> Output {
    anyflow([OsString::from("data")].into_iter().chain(line))
}

/// Runs a command twice: returns its text and its JSON.
fn both(line: Vec<OsString>) -> (String, Value) {
    let text = data(line.clone()).ok().out;
    (text, data([line, line!["--json"]].concat()).ok().json())
}

/// A message as a terminal shows it, without control characters.
fn shown(message: &Value) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    message.as_str().unwrap().chars().map(escaped).collect()
}

/// The command prints only its reason and exits with 2; `--json` has the same reason.
#[track_caller]
fn refused(line: Vec<OsString>, parts: &[&str]) {
    let output = data(line.clone());
    assert_eq!((output.code, output.out.as_str()), (2, ""), "{}", output.err);
    for part in parts {
        assert!(output.err.contains(part), "{part:?} is missing in:\n{}", output.err);
    }
    let json = data([line, line!["--json"]].concat()).json();
    assert!(output.err.contains(&shown(&json["error"]["message"])) && json["error"]["exit_code"] == 2, "{json}");
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn cells(path: &Path, column: &str) -> Vec<Option<OwnedCell>> {
    let dataset = Dataset::open(&[path.to_path_buf()]).unwrap();
    let batches = dataset.read(Some(&[column]), 0..dataset.rows(), 64).unwrap();
    let cells = batches.flat_map(|batch| {
        let cells = dataset.cells(&batch.unwrap(), column).unwrap();
        (0..cells.len()).map(|row| cells.get(row).unwrap().map(|cell| cell.into_owned())).collect::<Vec<_>>()
    });
    cells.collect()
}

fn numbers(path: &Path, column: &str) -> Vec<i64> {
    let number = |cell| if let Some(OwnedCell::I64(n)) = cell { n } else { panic!("{cell:?}") };
    cells(path, column).into_iter().map(number).collect()
}

fn feature(path: &Path, column: &str) -> Feature {
    Dataset::open(&[path.to_path_buf()]).unwrap().column(column).unwrap().clone()
}

fn texts(words: &[&str]) -> Vec<Option<OwnedCell>> {
    words.iter().map(|word| Some(OwnedCell::Utf8((*word).into()))).collect()
}

fn pngs(digits: &[usize]) -> Vec<Option<OwnedCell>> {
    digits.iter().map(|digit| Some(OwnedCell::Bytes(digit_png(*digit, 0)))).collect()
}

#[test]
fn an_imported_image_folder_has_its_sub_folders_as_classes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("digits");
    let out = folder.path().join("digits.parquet");
    for (name, digit) in [("9/a.png", 9), ("10/b.png", 0), ("2/c.png", 2)] {
        put(&root.join(name), digit_png(digit, 0));
    }
    put(&root.join("2/notes.txt"), "no picture");
    let (text, json) = both(line!["import", &root, "--output", &out]);
    assert!(text.contains("digits.parquet: 3 rows") && text.contains("class label (3)"), "{text}");
    let columns = json!({"id": "string", "image": "image", "label": "class label (3)"});
    assert_eq!((&json["rows"], &json["columns"], &json["left_out"]), (&json!(3), &columns, &json!(1)));
    assert!(text.contains("1 file is not an image, sound or video and was skipped, e.g. 2/notes.txt"), "{text}");
    assert_eq!(cells(&out, "id"), texts(&["2/c.png", "9/a.png", "10/b.png"]));
    assert_eq!(cells(&out, "image"), pngs(&[2, 9, 0]));
    assert_eq!(numbers(&out, "label"), [0, 1, 2]);
    assert_eq!(feature(&out, "label"), Feature::ClassLabel { names: ["2", "9", "10"].map(String::from).to_vec() });
    put(&root.join("metadata.jsonl"), "{\"file_name\": \"9/a.png\", \"text\": \"nine\"}\n");
    let (text, json) = both(line!["import", &root, "--output", &out]);
    assert!(text.contains("1 row\n") && text.contains("2 files are not named"), "{text}");
    assert_eq!((&json["rows"], &json["left_out"]), (&json!(1), &json!(3)));
    assert_eq!((cells(&out, "image"), cells(&out, "text")), (pngs(&[9]), texts(&["nine"])));
}

#[test]
fn tables_keep_their_columns_and_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("rows.jsonl");
    let out = folder.path().join("rows.parquet");
    put(&lines, "{\"image\": \"a.png\", \"label\": 3}\n{\"image\": \"b/c.png\", \"label\": null}\n");
    let (_, json) = both(line!["import", &lines, "--output", &out]);
    assert_eq!(json["columns"], json!({"image": "string", "label": "int64"}));
    assert_eq!(cells(&out, "image"), texts(&["a.png", "b/c.png"]));
    assert_eq!(cells(&out, "label"), [Some(OwnedCell::I64(3)), None]);
    put(&lines, "{\"name\": 1}\n{\"name\": \"two\"}\n");
    both(line!["import", &lines, "--output", &out]);
    assert_eq!(cells(&out, "name"), texts(&["1", "two"]), "numbers among texts are texts");
    let csv = folder.path().join("rows.csv");
    put(&csv, "text,score\n\"one, two\",0.5\nthree,2\n");
    let (_, json) = both(line!["import", &csv, "--output", &out]);
    assert_eq!(json["columns"], json!({"text": "string", "score": "float64"}));
    assert_eq!(cells(&out, "text"), texts(&["one, two", "three"]));
    let (text, json) = both(line!["head", &out, "-n", "1"]);
    assert_eq!(
        (text.as_str(), json),
        ("row 0\n  text   one, two\n  score  0.5\n", json!([{"text": "one, two", "score": 0.5}]))
    );
}

#[test]
fn an_import_says_what_it_decided_and_takes_types() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("rows.csv");
    let out = folder.path().join("rows.parquet");
    put(&csv, "zip;n\n01234;1\n7;2\n");
    let (text, json) = both(line!["import", &csv, "--output", &out]);
    assert_eq!(json["columns"], json!({"zip": "string", "n": "int64"}));
    assert!(text.contains("note: the columns are separated by semicolons"), "{text}");
    assert!(text.contains("note: column zip stays text") && text.contains("\"01234\""), "{text}");
    assert_eq!(json["notes"].as_array().unwrap().len(), 2);
    let (_, json) = both(line!["import", &csv, "--types", "zip=int", "n=text", "--output", &out]);
    assert_eq!(json["columns"], json!({"zip": "int64", "n": "string"}));
    refused(
        line!["import", &csv, "--types", "zipp=int", "--output", &out],
        &["no column `zipp`", "did you mean `zip`?"],
    );
    let unknown = data(line!["import", &csv, "--types", "zip=number", "--output", &out]);
    assert!(unknown.code == 2 && unknown.err.contains("use text, int, float or bool"), "{}", unknown.err);
}

/// The byte layout of MNIST.
fn idx(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_be_bytes()));
    bytes.extend(values);
    bytes
}

#[test]
fn mnist_files_become_images_with_classes() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("train-images-idx3-ubyte");
    let labels = folder.path().join("train-labels-idx1-ubyte");
    let out = folder.path().join("mnist.parquet");
    let pixels: Vec<u8> = (0..18).map(|n| n * 14).collect();
    put(&images, idx(&[3, 2, 3], &pixels));
    put(&labels, idx(&[3], &[4, 0, 1]));
    let (_, named) = both(line!["import", &labels, &images, "--output", &out]);
    let (_, found) = both(line!["import", &images, "--output", &out]);
    assert_eq!(named, found, "labels next to the images are found");
    assert_eq!(numbers(&out, "label"), [4, 0, 1]);
    let decoded = cells(&out, "image").into_iter().flat_map(|cell| {
        let Some(OwnedCell::Bytes(png)) = cell else { panic!("{cell:?}") };
        let picture = image::load_from_memory(&png).unwrap().to_luma8();
        assert_eq!(picture.dimensions(), (3, 2));
        picture.into_raw()
    });
    assert_eq!(decoded.collect::<Vec<u8>>(), pixels);
    let (text, json) = both(line!["head", &out, "--rows", "2"]);
    assert!(text.contains("row 1\n") && !text.contains("row 2\n"), "{text}");
    assert!(text.contains("image/png 3x2 (") && text.contains("label  4\n"), "{text}");
    assert_eq!((&json[0]["image"]["media_type"], &json[0]["image"]["width_px"]), (&json!("image/png"), &json!(3)));
    assert_eq!(json[1]["label"], json!({"class": 0, "name": "0"}));
}

fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Two shards of images, sounds, texts and classes.
fn shards(folder: &Path) -> [PathBuf; 2] {
    [0, 1].map(|shard| {
        let path = folder.join(format!("{shard}.tar"));
        let members = (0..2).flat_map(|row| {
            let digit = 2 * shard + row;
            let name = |extension: &str| format!("{digit:03}.{extension}");
            [
                (name("png"), digit_png(digit, 0)),
                (name("wav"), tone_wav(digit, 0)),
                (name("txt"), format!("digit {digit}").into()),
                (name("cls"), digit.to_string().into()),
            ]
        });
        let members: Vec<(String, Vec<u8>)> = members.collect();
        put(&path, tar(&members.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect::<Vec<_>>()));
        path
    })
}

#[test]
fn webdataset_members_of_one_name_are_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = shards(folder.path());
    let out = folder.path().join("web.parquet");
    let (_, json) = both(line!["import", &a, &b, "--output", &out]);
    let columns = json!({"id": "string", "image": "image", "audio": "audio", "text": "string", "label": "int64"});
    assert_eq!((&json["rows"], &json["columns"]), (&json!(4), &columns));
    assert_eq!(cells(&out, "image"), pngs(&[0, 1, 2, 3]));
    assert_eq!(cells(&out, "id"), texts(&["000", "001", "002", "003"]));
    assert_eq!(numbers(&out, "label"), [0, 1, 2, 3]);
    let (text, _) = both(line!["head", &out, "-n", "1"]);
    assert!(text.contains("image/png 28x28 (") && text.contains("audio/wav 8000 Hz 0.40 s (6.4 kB)"), "{text}");
    let (text, json) = both(line!["inspect", &out]);
    assert!(text.starts_with("4 rows in 1 file, ") && text.contains("web.parquet"), "{text}");
    assert_eq!((&json["rows"], &json["files"][0]["rows"]), (&json!(4), &json!(4)));
    let label = json["columns"].as_array().unwrap().iter().find(|column| column["name"] == "label").unwrap();
    assert_eq!((&label["nulls"], &label["min"], &label["max"]), (&json!(0), &json!(0), &json!(3)));
}

/// `rows` images or sounds of the classes 0, 1, 2 in turn; ids start at `first`.
fn side(folder: &Path, name: &str, media: Feature, rows: usize, first: usize) -> PathBuf {
    let file = |n: usize| if media == Feature::Image { digit_png(n % 3, n as u32) } else { tone_wav(n % 3, n as u32) };
    let files = (0..rows).map(|n| Some(OwnedCell::Bytes(file(n)))).collect();
    let whole = |number: fn(usize) -> usize, from: usize| {
        (from..from + rows).map(|n| Some(OwnedCell::I64(number(n) as i64))).collect::<Vec<_>>()
    };
    let number = Feature::Value("int64".into());
    let columns =
        vec![("id", number.clone(), whole(|n| n, first)), (name, media, files), ("label", number, whole(|n| n % 3, 0))];
    write_columns(&folder.join(name), columns);
    folder.join(name)
}

#[test]
fn pairs_have_equal_classes_and_depend_only_on_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let a = side(folder.path(), "image", Feature::Image, 12, 0);
    let b = side(folder.path(), "audio", Feature::Audio { sampling_rate: Some(8000) }, 6, 300);
    let pair = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let more = line!["--multiplicity", "3", "--seed", seed, "--output", &out];
        let (text, json) = both([line!["pair", &a, &b, "--on", "label"], more].concat());
        assert!(text.contains("36 pairs over 3 values of `label`"), "{text}");
        assert_eq!((&json["rows"], &json["classes"], &json["unpaired_a"]), (&json!(36), &json!(3), &json!(0)));
        let bytes = std::fs::read(&out).unwrap();
        (out, bytes)
    };
    let ((one, bytes), (_, again), (other, _)) =
        (pair("1.parquet", "1"), pair("1b.parquet", "1"), pair("2.parquet", "2"));
    assert_eq!(bytes, again, "the same seed gives the same file");
    let pairs = |path: &Path| numbers(path, "id_a").into_iter().zip(numbers(path, "id_b")).collect::<Vec<_>>();
    assert_ne!(pairs(&one), pairs(&other));
    let sorted = |path: &Path| {
        let mut pairs = pairs(path);
        pairs.sort_unstable();
        pairs
    };
    assert_ne!(sorted(&one), sorted(&other), "another seed gives other pairs, not only another order");
    for path in [&one, &other] {
        let labels = numbers(path, "label");
        for ((a, b), label) in pairs(path).into_iter().zip(labels) {
            assert_eq!((a % 3, (b - 300) % 3), (label, label));
        }
        let mut seen: Vec<i64> = numbers(path, "id_a");
        seen.sort_unstable();
        assert_eq!(seen, (0..36).map(|n| n / 3).collect::<Vec<i64>>(), "every image in each of the 3 matchings");
    }
    let pictures = cells(&one, "image");
    for (picture, id) in pictures.iter().zip(numbers(&one, "id_a")) {
        assert_eq!(*picture, Some(OwnedCell::Bytes(digit_png(id as usize % 3, id as u32))));
    }
}

#[test]
fn bad_arguments_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = side(folder.path(), "image", Feature::Image, 3, 0);
    let b = side(folder.path(), "audio", Feature::Audio { sampling_rate: None }, 3, 300);
    let out = at("out.parquet");
    let pair = |on: &str| line!["pair", &a, &b, "--on", on, "--output", &out];
    refused(pair("lable"), &["image", "no column `lable`", "id, image, label", "did you mean `label`?"]);
    refused(pair("image"), &["audio", "no column `image`"]);
    refused(pair("id"), &["no value that both datasets share", "0, 1, 2", "300, 301, 302"]);
    let never = data([pair("label"), line!["--multiplicity", "0"]].concat());
    assert_eq!(never.code, 2, "{}", never.err);
    std::fs::create_dir(at("empty")).unwrap();
    refused(line!["import", at("empty"), "--output", &out], &["empty", "holds no image, sound or video"]);
    refused(line!["inspect", at("empty")], &["no *.parquet file", "anyflow data import"]);
    refused(line!["head", at("nothing")], &["nothing", "no such file or folder"]);
    put(&at("rows.csv"), "a,b\n1,2\n");
    refused(line!["inspect", at("rows.csv")], &["not a Parquet file", "anyflow data import"]);
    refused(line!["import", at("rows.csv"), at("rows.csv"), "--output", &out], &["one at a time"]);
    refused(line!["import", at("rows.csv"), "--output", at("empty")], &["is a folder"]);
    refused(
        line!["import", at("rows.csv"), "--output", at("no/x.parquet")],
        &["the folder", "does not exist; create it first"],
    );
    refused(line!["import", at("rows.csv"), "--output", at("rows.csv")], &["would be replaced"]);
    assert_eq!(std::fs::read_to_string(at("rows.csv")).unwrap(), "a,b\n1,2\n");
    put(&at("tables/rows.csv"), "a,b\n1,2\n");
    refused(line!["import", at("tables"), "--output", &out], &["rows.csv", "name the file"]);
    assert!(!out.exists());
}

#[test]
fn damaged_files_are_refused_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (out, [whole, _]) = (at("out.parquet"), shards(folder.path()));
    let import = |name: &str| line!["import", at(name), "--output", &out];
    let bytes = std::fs::read(whole).unwrap();
    put(&at("cut.tar"), &bytes[..bytes.len() / 2]);
    let cut = data(import("cut.tar"));
    assert_eq!(cut.code, 1, "{}", cut.err);
    assert!(cut.out.contains("1 row\n") && cut.out.contains("cut.tar is not a complete tar file"), "{}", cut.out);
    std::fs::remove_file(&out).unwrap();
    put(&at("cut.tar"), &bytes[..700]);
    refused(import("cut.tar"), &["cut.tar", "fetch it again"]);
    put(&at("noise.tar"), vec![7; 2000]);
    refused(import("noise.tar"), &["noise.tar", "not a complete tar file"]);
    put(&at("class.tar"), tar(&[("0.png", digit_png(0, 0)), ("0.cls", "nought".into())]));
    refused(import("class.tar"), &["0.cls", "`nought` is not an integer"]);
    put(&at("a-idx3-ubyte"), idx(&[3, 2, 2], &[0; 11]));
    refused(import("a-idx3-ubyte"), &["a-idx3-ubyte", "ends earlier than its header says"]);
    put(&at("b-idx3-ubyte"), b"\x1f\x00\x08\x03....");
    refused(import("b-idx3-ubyte"), &["is not an idx file of bytes with 3 dimensions"]);
    put(&at("c-images-idx3-ubyte"), idx(&[2, 1, 1], &[0; 2]));
    put(&at("c-labels-idx1-ubyte"), idx(&[3], &[0; 3]));
    refused(import("c-images-idx3-ubyte"), &["3 labels for 2 images"]);
    put(&at("bad.jsonl"), "{\"a\": 1}\n{\"a\":\n");
    refused(import("bad.jsonl"), &["bad.jsonl:2:"]);
    put(&at("bad.csv"), "a,b\n1,2\n3\n");
    refused(import("bad.csv"), &["bad.csv", "line"]);
    put(&at("good.csv"), "a,b\n1,2\n");
    data(import("good.csv")).ok();
    let good = std::fs::read(&out).unwrap();
    put(&at("cut.parquet"), &good[..good.len() - 10]);
    refused(line!["head", at("cut.parquet")], &["truncated or unfinished Parquet file"]);
    refused(import("good.csv.gz"), &["no such file"]);
    refused(import("cut.tar"), &["fetch it again"]);
    assert_eq!(std::fs::read(&out).unwrap(), good, "a refused import keeps the old file");
    let hidden = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().filter(|entry| hidden(entry.as_ref().unwrap())).count(), 0);
}

#[test]
fn a_type_that_no_reader_knows_is_refused_in_one_line() {
    // The decoder panics at it, and the hook of panics would print a page.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/parquet/bad-int128.parquet");
    let output = data(line!["head", file]);
    assert_eq!((output.code, output.err.lines().count()), (2, 1), "{}", output.err);
    assert!(output.err.contains("bit width of 128") && output.err.contains("at most 64 bits"), "{}", output.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    for arguments in [&["plugin", "list"][..], &["--json", "plugin", "list"]] {
        let mut command = command_in(Path::new("."), &[], arguments);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let output = Output::of(command);
        assert!(output.code == 1 && output.err.contains("the result cannot be written"), "{output:?}");
    }
}

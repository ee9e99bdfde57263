//! Corrupt Parquet files in little memory: each command reports what is wrong and exits; none of them dies.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

#[path = "../../datasets/tests/it/raw_parquet.rs"]
#[allow(dead_code, unreachable_pub)]
mod raw_parquet;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{Output, anyflow, digit_png, target, write_columns};
use raw_parquet::{Column, DICTIONARY, Kind, PLAIN, Page, Raw, STRUCT, Thrift, group, leaf, place, plain, run};

/// Memory limit of the front, in KiB.
const FRONT_KB: u64 = 1 << 20;

/// Runs a command with a memory limit for each of its processes.
fn limited<S: AsRef<std::ffi::OsStr>>(kilobytes: u64, arguments: impl IntoIterator<Item = S>) -> Output {
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"")])
        .arg(target().join("anyflow"))
        .args(arguments)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn pipeline() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/image-to-audio.yaml")).to_path_buf()
}

/// Arguments of a short run.
fn run_of<'a>(data: &'a Path, output: &'a Path, pipeline: &'a Path) -> Vec<&'a std::ffi::OsStr> {
    let mut arguments: Vec<&std::ffi::OsStr> = vec!["run".as_ref(), pipeline.as_os_str(), "--input".as_ref()];
    arguments.extend([data.as_os_str(), "--output".as_ref(), output.as_os_str()]);
    arguments
        .extend(["--threads", "1", "--batch-rows", "64", "--set", "joint.sampler.steps=2"].map(std::ffi::OsStr::new));
    arguments
}

fn images(rows: i64, pages: Vec<Page>) -> Column {
    Column::new("image", Kind::Bytes, rows, pages).gzip()
}

fn zeros(bytes: usize) -> Vec<u8> {
    plain(&[vec![0; bytes]])
}

/// Files that cannot be opened as a dataset, with a part of the error.
fn refused() -> Vec<(&'static str, Raw, &'static str)> {
    let ids = |rows: i64| {
        let values = (0..rows).flat_map(i64::to_le_bytes).collect();
        Column::new("image", Kind::I64, rows, vec![Page::data(rows, PLAIN, values)])
    };
    let deep = {
        let mut elements = vec![group("schema", 0, 1)];
        elements.extend((0..5000).map(|level| group(&format!("g{level}"), 0, 1)));
        elements.push(leaf("leaf", Kind::I64, 0));
        Raw::new(4, &[ids(4)]).with(&[2], Thrift::List(STRUCT, elements))
    };
    let shared = {
        let raw = Raw::new(1, &[images(1, vec![Page::data(1, PLAIN, zeros(9 << 20)).gzipped()]), ids(1)]);
        let chunk = raw.footer.clone().path(&[4, 0, 1, 0]).clone();
        raw.with(&[4, 0, 1, 1], chunk)
    };
    vec![
        ("rows", Raw::new(1 << 60, &[ids(4)]).with(place::VALUES, Thrift::I64(1 << 60)), "values"),
        ("deep", deep, "64 levels"),
        ("shared", shared, "share bytes"),
        ("groups", Raw::new(4, &[ids(4)]).with(&[4], Thrift::Raw(9, vec![0xfc, 255, 255, 255, 255, 7])), "footer"),
        ("twice", Raw::new(4, &[ids(4), ids(4)]), "called `image`"),
    ]
}

#[test]
fn every_command_refuses_a_self_contradictory_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, raw, words) in refused() {
        let path = folder.path().join(format!("{name}.parquet"));
        std::fs::write(&path, raw.bytes()).unwrap();
        let data: &std::ffi::OsStr = "data".as_ref();
        for arguments in [[data, "inspect".as_ref(), path.as_os_str()], [data, "head".as_ref(), path.as_os_str()]] {
            let output = limited(FRONT_KB, arguments);
            assert_eq!(output.code, 2, "{name}: {}", output.err);
            assert!(output.err.contains(words) && !output.err.contains("internal"), "{name}: {}", output.err);
        }
        let pipeline = pipeline();
        let out = folder.path().join("out");
        let output = limited(FRONT_KB, run_of(&path, &out, &pipeline));
        assert_eq!(output.code, 2, "{name}: {}", output.err);
        assert!(output.err.contains(words), "{name}: {}", output.err);
    }
    // They do not prevent the page of their folder.
    let digits = vec![("image", Feature::Image, vec![Some(OwnedCell::Bytes(digit_png(3, 0)))])];
    write_columns(&folder.path().join("whole"), digits);
    let output = limited(FRONT_KB, ["report".as_ref(), folder.path().as_os_str()]).ok();
    assert_eq!(output.code, 0);
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    for (name, _, _) in refused() {
        assert!(page.contains(&format!("{name}.parquet")), "{name}");
    }
    assert!(page.contains("data:image/png"));
}

/// Pages that do not fit into memory: the front shows why, and a run records their rows as failures.
#[test]
fn rows_too_large_for_memory_are_failures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let png = |variant: u32| Page::data(1, PLAIN, plain(&[digit_png(3, variant)])).gzipped();
    let bomb = Page::data(1, PLAIN, zeros(300 << 20)).gzipped();
    std::fs::write(&path, Raw::new(3, &[images(3, vec![png(0), bomb, png(1)])]).bytes()).unwrap();
    let arguments = ["--json".as_ref(), "data".as_ref(), "head".as_ref(), path.as_os_str()];
    let head = limited(FRONT_KB, arguments).ok().json();
    let error = head[1]["image"]["error"].as_str().unwrap();
    assert!(error.contains("row 1 of the file cannot be read: it needs"), "{error}");
    assert!(error.contains("more than the") && error.ends_with("give it more with --memory"), "{error}");
    let pipeline = pipeline();
    let out = folder.path().join("out");
    let mut arguments = run_of(&path, &out, &pipeline);
    arguments.extend(["--memory", "500M"].map(std::ffi::OsStr::new));
    anyflow(arguments).ok();
    assert_eq!(Dataset::open(std::slice::from_ref(&out)).unwrap().rows(), 2);
    let failures = Dataset::open(&[out.join("failures.parquet")]).unwrap();
    let rows = failures.read(None, 0..9, 9).unwrap().next().unwrap().unwrap();
    let code = failures.cells(&rows, "code").unwrap();
    assert_eq!(rows.num_rows(), 1);
    assert_eq!(code.get(0).unwrap(), Some(anyflow_datasets::Cell::Utf8("data.too-large")));
}

#[test]
fn a_highly_compressed_value_does_not_fill_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let index = [vec![1], run(1000, 0, 1)].concat();
    let pages = vec![Page::dictionary(1, zeros(8 << 20)).gzipped(), Page::data(1000, DICTIONARY, index).gzipped()];
    std::fs::write(&path, Raw::new(1000, &[images(1000, pages)]).bytes()).unwrap();
    let arguments = ["data".as_ref(), "head".as_ref(), path.as_os_str(), "-n".as_ref(), "1000".as_ref()];
    assert!(limited(FRONT_KB, arguments).ok().out.contains("8.4 MB"));
}

#[test]
fn unreadable_rows_are_failures_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("a.png"), digit_png(1, 0)).unwrap();
    let columns: [(&str, arrow::array::ArrayRef); 2] = [
        (
            "image",
            std::sync::Arc::new(arrow::array::StringArray::from(vec!["a.png", "gone.png", "/etc/hostname", "a.png"])),
        ),
        (
            "when",
            std::sync::Arc::new(
                arrow::array::TimestampMicrosecondArray::from(vec![1, 2, 2, 1]).with_timezone("Europe/Berlin"),
            ),
        ),
    ];
    let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    let features = anyflow_datasets::Features::from_iter([("image".to_string(), Feature::Image)]);
    let mut writer =
        anyflow_datasets::TableWriter::create(&data.join("x.parquet"), &batch.schema(), &features).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let pipeline = pipeline();
    let out = folder.path().join("out");
    let mut arguments = run_of(&data, &out, &pipeline);
    arguments.extend(["--key", "when"].map(std::ffi::OsStr::new));
    let output = anyflow(arguments).ok();
    assert!(output.err.contains("2 rows have the key of another row"), "{}", output.err);
    assert_eq!(Dataset::open(std::slice::from_ref(&out)).unwrap().rows(), 2);
    let failures = Dataset::open(&[out.join("failures.parquet")]).unwrap();
    let rows = anyflow_datasets::head(&failures, 9).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["code"], "data.cell");
    assert!(rows[0]["text"].as_str().unwrap().contains("gone.png"), "{:?}", rows[0]);
    assert_eq!(rows[0]["row_key"], "1970-01-01T00:00:00.000002Z");
    anyflow(["data".as_ref(), "head".as_ref(), data.join("x.parquet").as_os_str()]).ok();
}

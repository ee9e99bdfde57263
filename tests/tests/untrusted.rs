//! Files and folders of strangers: commands neither hang, nor die, nor read what lies elsewhere, nor print what it says as theirs.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_tests::{Output, anyflow, target};

/// Seconds after which a command counts as hanging.
const SECONDS: &str = "60";
/// Limit of the memory that a command may take, in KiB.
const LIMIT_KB: u64 = 1 << 20;

/// Runs `anyflow` in a gigabyte. The exit code is 124 if it hangs.
fn limited<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {LIMIT_KB}; exec timeout {SECONDS} \"$0\" \"$@\"")]);
    command.arg(target().join("anyflow")).args(arguments);
    Output::of({
        command.env("OMP_NUM_THREADS", "1").env("RUST_BACKTRACE", "1");
        command
    })
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn import(source: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("rows.parquet");
    limited([OsStr::new("data"), "import".as_ref(), source.as_os_str(), "--output".as_ref(), out.as_os_str()])
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    assert!(output.code == 2 && output.err.contains(words), "{}: {}{}", output.code, output.out, output.err);
}

/// A table with a column of labels and `columns` others, all numbers.
fn wide(folder: &Path, columns: usize) -> PathBuf {
    let line = |cell: &dyn Fn(usize) -> String| (0..columns).map(cell).collect::<String>();
    let header = line(&|index| format!(",k{index}"));
    let row = line(&|_| ",1".into());
    let table = folder.join("wide.csv");
    std::fs::write(&table, format!("label{header}\n1{row}\n2{row}\n")).unwrap();
    let path = folder.join("wide.parquet");
    let call = [OsStr::new("data"), "import".as_ref(), table.as_os_str(), "--output".as_ref(), path.as_os_str()];
    anyflow(call).ok();
    path
}

#[test]
fn tables_with_more_columns_than_fit_into_memory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let lines: String = (0..5000).map(|n| format!("{{\"a\":{{\"k{n}\":1}}}}\n")).collect();
    let keys: Vec<String> = (0..20_000).map(|n| format!("\"k{n}\":1")).collect();
    for (name, text) in [("lines.jsonl", lines), ("line.jsonl", format!("{{\"a\":{{{}}}}}\n", keys.join(",")))] {
        std::fs::write(at(name), text).unwrap();
        refused(&import(&at(name)), "columns, those inside");
    }
    let wide = wide(folder.path(), 6000);
    std::fs::write(at("model.yaml"), MODEL).unwrap();
    std::fs::write(at("pipeline.yaml"), PIPELINE).unwrap();
    let [split, run] = ["split", "run"].map(at);
    let (data, pipeline) = (wide.display().to_string(), at("pipeline.yaml").display().to_string());
    let split = split.display().to_string();
    let call = ["data", "split", data.as_str(), "--fractions", "0.5,0.5", "--key", "label", "--output", split.as_str()];
    refused(&limited(call), "has 6001 columns");
    let run = run.display().to_string();
    let call = ["run", pipeline.as_str(), "--input", data.as_str(), "--output", run.as_str(), "--memory", "1G"];
    refused(&limited(call.into_iter().chain(["--threads", "1"])), "has 6002 columns");
    assert!(!Path::new(&split).exists());
    let few = run + "-few";
    let call = ["run", pipeline.as_str(), "--input", data.as_str(), "--output", few.as_str(), "--keep", "label"];
    limited(call.into_iter().chain(["--memory", "1G", "--threads", "1"])).ok();
}

const MODEL: &str =
    "anyflow: 1\nname: m\nstreams:\n  label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}\n";
const PIPELINE: &str = "anyflow: 1\nname: p\nmodel: model.yaml\ninputs:\n  label: {modality: label, column: label}\nnodes:\n  \
                        seen: {encode: label/one-hot, from: label}\n  back: {decode: label/one-hot, from: seen}\noutputs: {out: back}\n";

#[test]
fn pipes_and_devices_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.csv", "x.jsonl", "x.tar", "x.arrow", "x-idx3-ubyte"] {
        let path = folder.path().join(name);
        pipe(&path);
        refused(&import(&path), "not a regular file");
        std::fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        refused(&import(&path), "not a regular file");
    }
    for name in ["x.tar", "metadata.jsonl", "metadata.csv"] {
        let folder = tempfile::tempdir().unwrap();
        pipe(&folder.path().join(name));
        refused(&import(folder.path()), "it is a pipe; only regular files are read");
    }
}

#[test]
fn an_import_reads_nothing_outside_of_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    std::fs::write(at("rows.jsonl"), "{\"file_name\": \"a.png\", \"secret\": 1}\n").unwrap();
    std::fs::write(at("rows.csv"), "file_name,secret\na.png,1\n").unwrap();
    for (name, elsewhere) in
        [("metadata.jsonl", "rows.jsonl"), ("metadata.csv", "rows.csv"), ("x.tar", "rows.csv"), ("x.arrow", "rows.csv")]
    {
        let folder = at(&format!("folder-{name}"));
        std::fs::create_dir(&folder).unwrap();
        if name.starts_with("metadata") {
            std::fs::write(folder.join("a.png"), anyflow_tests::digit_png(1, 0)).unwrap();
        }
        symlink(at(elsewhere), folder.join(name)).unwrap();
        refused(&import(&folder), "outside of the dataset's folder");
        // A link inside of the folder is as good as its file.
        std::fs::remove_file(folder.join(name)).unwrap();
        if name.starts_with("metadata") {
            std::fs::copy(at(elsewhere), folder.join("rows")).unwrap();
            symlink("rows", folder.join(name)).unwrap();
            import(&folder).ok();
        }
    }
}

#[test]
fn reports_and_jobs_of_hostile_folders_end() {
    let folder = tempfile::tempdir().unwrap();
    let records =
        ["order.json", "job.json", "eval.json", "combination.json", "train.json", "run.json", "metrics.jsonl"];
    for (index, name) in records.into_iter().enumerate() {
        for kind in ["pipe", "device"] {
            let inner = folder.path().join(format!("{kind}-{index}"));
            std::fs::create_dir(&inner).unwrap();
            // Others make the folder one that is reported.
            for other in ["job.json", "train.json"].into_iter().filter(|other| *other != name) {
                std::fs::write(inner.join(other), "{}").unwrap();
            }
            match kind {
                "pipe" => pipe(&inner.join(name)),
                _ => symlink("/dev/zero", inner.join(name)).unwrap(),
            }
        }
    }
    limited([OsStr::new("report"), folder.path().as_os_str()]).ok();
    let job = folder.path().join("pipe-0");
    pipe(&job.join(".lock"));
    assert_ne!(limited([OsStr::new("jobs"), job.as_os_str()]).code, 124);
}

/// No line of a command begins with what a name says.
#[track_caller]
fn forges_nothing(output: &Output) {
    for text in [&output.out, &output.err] {
        assert!(!text.lines().any(|line| line.trim_start().starts_with("warning: forged")), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    }
    let all = format!("{}{}", output.out, output.err);
    assert!(all.contains("\\nwarning: forged"), "the name is shown: {all}");
}

#[test]
fn names_forge_no_lines() {
    const FORGED: &str = "a\u{1b}[31m\nwarning: forged\u{7}";
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join(FORGED);
    std::fs::create_dir(&folder).unwrap();
    let table = folder.join("table.csv");
    std::fs::write(&table, format!("\"{FORGED}\"\n007\n008\n")).unwrap();
    let data = outer.path().join("rows.parquet");
    let path = |path: &Path| path.display().to_string();
    let run = |words: &[&str]| {
        let output = limited(words);
        forges_nothing(&output);
        output
    };
    run(&["data", "import", &path(&table), "--output", &path(&data)]).ok();
    run(&["data", "inspect", &path(&data)]).ok();
    run(&["data", "head", &path(&data)]).ok();
    let joined = path(&outer.path().join("joined.parquet"));
    run(&["data", "join", &path(&data), &path(&data), "--on", "x", "--output", &joined]);
    run(&["report", &path(&folder)]);
    run(&["gc", &path(&folder)]);
    run(&["data", "inspect", &path(&folder)]);
    run(&["data", "verify", &path(&folder)]);
    run(&["jobs", &path(&folder)]);
    let made = path(&outer.path().join("made"));
    let pipeline = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/label-to-image-audio.yaml");
    run(&["run", pipeline, "--input", &path(&data), "--output", &made]);
}

//! Published files: concurrent writers, writers killed at every point, and verification.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyflow_datasets::{Dataset, FAILPOINT_VARIABLE, FAILPOINTS};
use anyflow_tests::{anyflow, target, write_digits};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn rows(file: &Path) -> u64 {
    Dataset::open(&[file.to_path_buf()]).unwrap().rows()
}

fn table(path: &Path, rows: u64) -> PathBuf {
    let lines: String = (0..rows).map(|row| format!("{row},{}\n", row * 7)).collect();
    std::fs::write(path, format!("a,b\n{lines}")).unwrap();
    path.to_path_buf()
}

#[test]
fn concurrent_imports_publish_the_successful_one() {
    let folder = tempfile::tempdir().unwrap();
    let counts = [60_000, 90_000];
    let sources = counts.map(|count| table(&folder.path().join(format!("{count}.csv")), count));
    let mut refused = 0;
    for attempt in 0..6 {
        let output = folder.path().join(format!("out-{attempt}.parquet"));
        let import = |source: &PathBuf| {
            let mut command = Command::new(target().join("anyflow"));
            command.args(["data", "import"]).arg(source).arg("--output").arg(&output);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = sources.each_ref().map(import);
        let ends = children.map(|child| child.wait_with_output().unwrap());
        let good: Vec<u64> =
            ends.iter().zip(counts).filter(|(end, _)| end.status.success()).map(|(_, count)| count).collect();
        assert!(!good.is_empty());
        assert!(good.contains(&rows(&output)), "{good:?}");
        for end in ends.iter().filter(|end| !end.status.success()) {
            let text = String::from_utf8_lossy(&end.stderr);
            assert!(end.status.code() == Some(1) && text.contains("is writing here"), "{text}");
            refused += 1;
        }
    }
    assert!(refused > 0, "the two never met");
    assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "{:?}", names(folder.path()));
}

#[test]
fn a_killed_writer_publishes_a_whole_file_or_none() {
    let points = FAILPOINTS.iter().filter(|name| name.starts_with("file-"));
    for point in points {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("glyphs.parquet");
        let generate = |point: &str| {
            Command::new(target().join("anyflow"))
                .args(["data", "generate", "glyphs", "--rows", "20", "--output"])
                .arg(&output)
                .env(FAILPOINT_VARIABLE, point)
                .output()
                .unwrap()
        };
        assert!(!generate(point).status.success(), "{point} was not reached");
        let published = ["file-renamed", "file-published"].contains(point);
        assert_eq!(output.exists(), published, "{point}");
        assert!(!published || rows(&output) == 20);
        assert!(generate("").status.success());
        assert_eq!((rows(&output), names(folder.path())), (20, vec!["glyphs.parquet".to_string()]), "{point}");
    }
}

#[test]
fn verify_distinguishes_good_damaged_and_unfinished_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    write_digits(&out, 30);
    let verify =
        |more: &[&str]| anyflow(["data", "verify", out.to_str().unwrap()].into_iter().chain(more.iter().copied()));
    let good = verify(&[]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.contains("good (30 rows, 0 failed; 2 files"), "{}", good.out);
    let shard = out.join("data/shard-00000.parquet");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let damaged = verify(&[]);
    assert_eq!(damaged.code, 1);
    assert!(damaged.out.contains("data/shard-00000.parquet: has other content than was written"), "{}", damaged.out);
    let json = verify(&["--json"]).json();
    assert_eq!((&json["good"], &json["damaged"][0]["file"]), (&false.into(), &"data/shard-00000.parquet".into()));
    std::fs::remove_file(out.join("manifest.json")).unwrap();
    let unfinished = verify(&[]);
    assert_eq!(unfinished.code, 2);
    assert!(unfinished.err.contains("has not finished"), "{}", unfinished.err);
    std::fs::remove_file(out.join("job.json")).unwrap();
    assert!(verify(&[]).err.contains("has no manifest.json"));
}

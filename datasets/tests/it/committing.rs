//! A job that is killed at any point resumes, and writes each row exactly once.

use std::path::Path;
use std::process::Command;

use crate::support::{all_ids, numbered_batch, open};
use anyflow_datasets::{
    Dataset, DatasetError, Expected, FAILPOINT_VARIABLE, FAILPOINTS, FAILURES_FILE, Failure, Folder, JobId, Manifest,
    OutputDir,
};

const SHARDS: u64 = 4;
const SHARD_ROWS: i64 = 10;
const OUTPUT_VARIABLE: &str = "ANYFLOW_TEST_OUTPUT";
const EXPECTED: Expected = Expected { shards: SHARDS, rows: SHARDS * SHARD_ROWS as u64 };

fn job(seed: u32) -> JobId {
    JobId::default().with("plan", "copy").with("seed", seed)
}

fn open_output(folder: &Path) -> Result<OutputDir, DatasetError> {
    OutputDir::open(Folder::open(folder)?, &job(1), EXPECTED)
}

/// Row 3 of every shard fails.
fn write_shard(output: &OutputDir, shard: u64) -> Result<(), DatasetError> {
    let first = shard as i64 * SHARD_ROWS;
    let (before, features) = numbered_batch(first, 3);
    let (after, _) = numbered_batch(first + 4, SHARD_ROWS - 4);
    let failure = Failure {
        row_key: (first + 3).to_string(),
        row: (first + 3) as u64,
        node: "picture".into(),
        code: "test".into(),
        text: "meant to fail".into(),
    };
    let mut writer = output.shard(shard, &features)?;
    writer.write(&before)?;
    writer.write(&after)?;
    writer.commit(&[failure])
}

/// Runs the job; returns the shards that it wrote.
fn run(folder: &Path) -> Result<Vec<u64>, DatasetError> {
    let output = open_output(folder)?;
    let todo: Vec<u64> = (0..SHARDS).filter(|shard| !output.committed(*shard)).collect();
    todo.iter().try_for_each(|shard| write_shard(&output, *shard))?;
    output.finish()?;
    Ok(todo)
}

fn assert_exactly_once(folder: &Path) {
    let dataset = open(folder);
    let expected: Vec<i64> = (0..SHARDS as i64 * SHARD_ROWS).filter(|id| id % SHARD_ROWS != 3).collect();
    assert_eq!(all_ids(&dataset), expected);
    let failures = open(&folder.join(FAILURES_FILE));
    assert_eq!(failures.rows(), SHARDS);
    let manifest = Manifest::read(folder).unwrap();
    assert_eq!((manifest.rows, manifest.failures), (expected.len() as u64, SHARDS));
    let mut names: Vec<String> = Vec::new();
    for place in ["", "data", "commits"] {
        names.extend(
            std::fs::read_dir(folder.join(place)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()),
        );
    }
    let leftover = |name: &String| name.ends_with(".tmp") || name.ends_with(".part") || name == ".lock";
    assert!(!names.iter().any(leftover), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("shard-")).count() as u64, SHARDS);
}

#[test]
fn a_finished_job_writes_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path()).unwrap(), [0, 1, 2, 3]);
    assert_exactly_once(folder.path());
    assert_eq!(run(folder.path()).unwrap(), [0; 0]);
    assert_exactly_once(folder.path());
}

/// Not a test: the process that `a_process_killed_at_any_step_resumes` kills.
#[test]
fn child_that_is_killed() {
    if let Some(folder) = std::env::var_os(OUTPUT_VARIABLE) {
        run(Path::new(&folder)).unwrap();
    }
}

fn run_child(folder: &Path, failpoint: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["committing::child_that_is_killed", "--exact", "--quiet"])
        .env(OUTPUT_VARIABLE, folder)
        .env(FAILPOINT_VARIABLE, failpoint)
        .output()
        .unwrap()
        .status;
    status.success()
}

/// Kills at every pass of every point; a job of four shards passes about sixty.
#[test]
fn a_process_killed_at_any_step_resumes() {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path()).unwrap();
    for name in FAILPOINTS {
        let mut kills = 0;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let failpoint = format!("{name}:{kills}");
            if run_child(folder.path(), &failpoint) {
                break;
            }
            if folder.path().join("job.json").exists() && !folder.path().join("manifest.json").exists() {
                let error = Dataset::open(&[folder.path().to_path_buf()]).unwrap_err();
                assert!(matches!(error, DatasetError::Unfinished { .. }), "{failpoint}: {error}");
            }
            run(folder.path()).unwrap();
            assert_exactly_once(folder.path());
            assert_same_bytes(whole.path(), folder.path(), &failpoint);
            kills += 1;
        }
        let least = if name.starts_with("file-") { 12 } else { 1 };
        assert!(kills >= least, "{name} was passed {kills} times");
    }
}

fn assert_same_bytes(whole: &Path, cut: &Path, what: &str) {
    let shards = (0..SHARDS).map(|shard| format!("data/shard-{shard:05}.parquet"));
    for name in shards.chain([FAILURES_FILE.to_string(), "manifest.json".into(), "job.json".into()]) {
        let bytes = [whole, cut].map(|folder| std::fs::read(folder.join(&name)).unwrap());
        assert!(bytes[0] == bytes[1], "{what}: {name}");
    }
}

#[test]
fn a_job_killed_repeatedly_still_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    // Each attempt ends at its second commit.
    while !run_child(folder.path(), "committed:1") {
        kills += 1;
        assert!(kills < 5);
    }
    assert_eq!(kills, 2);
    assert_exactly_once(folder.path());
}

#[test]
fn leftovers_of_every_kind_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).unwrap();
    let at = |name: &str| folder.path().join(name);
    // A shard without commit, temporary files in all folders, a commit file that was not renamed.
    std::fs::remove_file(at("manifest.json")).unwrap();
    std::fs::rename(at("commits/00002.json"), at("commits/.00002.json.a1-0.tmp")).unwrap();
    std::fs::write(at("data/.shard-00009.parquet.a1-1.tmp"), b"half").unwrap();
    std::fs::write(at(".manifest.json.a1-2.tmp"), b"{").unwrap();
    std::fs::write(at(".lock"), b"").unwrap();
    std::fs::copy(at("data/shard-00000.parquet"), at("data/shard-00007.parquet")).unwrap();
    assert_eq!(run(folder.path()).unwrap(), [2]);
    assert_exactly_once(folder.path());
}

#[test]
fn a_deleted_shard_or_commit_is_written_again_even_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("data/shard-00001.parquet")).unwrap();
    assert_eq!(run(folder.path()).unwrap(), [1]);
    std::fs::remove_file(folder.path().join("commits/00003.json")).unwrap();
    let output = open_output(folder.path()).unwrap();
    assert!(Manifest::read(folder.path()).is_err(), "the manifest must not name a removed shard");
    drop(output);
    assert_eq!(run(folder.path()).unwrap(), [3]);
    assert_exactly_once(folder.path());
}

#[test]
fn another_jobs_folder_is_refused_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).unwrap();
    let error = OutputDir::open(Folder::open(folder.path()).unwrap(), &job(2), EXPECTED).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("another job: seed is 1 there and 2 here; choose another --output"), "{text}");
    assert_eq!(error.fault().exit_code(), 2);
    assert_exactly_once(folder.path());
}

#[test]
fn a_folder_with_other_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.parquet"), b"x").unwrap();
    let error = open_output(folder.path()).unwrap_err();
    assert!(matches!(&error, DatasetError::NotOurs { found, .. } if found == "mine.parquet"), "{error}");
    assert!(folder.path().join("mine.parquet").exists());
    assert!(!folder.path().join("job.json").exists());
}

#[test]
fn threads_share_the_folder_and_shards_come_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let output = open_output(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for shard in (0..SHARDS).rev() {
            let output = &output;
            scope.spawn(move || write_shard(output, shard).unwrap());
        }
    });
    assert_eq!(output.progress(), (36, 4));
    output.finish().unwrap();
    drop(output);
    assert_exactly_once(folder.path());
}

#[test]
fn missing_shards_prevent_the_manifest() {
    // The last, the first, a middle one, all.
    for written in [vec![0, 1, 2], vec![1, 2, 3], vec![0, 3], vec![]] {
        let folder = tempfile::tempdir().unwrap();
        let output = open_output(folder.path()).unwrap();
        written.iter().for_each(|shard| write_shard(&output, *shard).unwrap());
        let error = output.finish().unwrap_err();
        assert!(matches!(&error, DatasetError::Incomplete { .. }), "{error}");
        let first_missing = (0..SHARDS).find(|shard| !written.contains(shard)).unwrap();
        let told = format!("of 4 shards these are missing: {first_missing}");
        assert!(error.to_string().contains(&told), "{error}");
        assert!(!folder.path().join("manifest.json").exists());
    }
}

#[test]
fn row_counts_that_do_not_add_up_prevent_the_manifest() {
    for rows in [39, 41, 0, u64::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let expected = Expected { shards: SHARDS, rows };
        let output = OutputDir::open(Folder::open(folder.path()).unwrap(), &job(1), expected).unwrap();
        (0..SHARDS).for_each(|shard| write_shard(&output, shard).unwrap());
        let error = output.finish().unwrap_err().to_string();
        assert!(error.contains(&format!("36 rows are written and 4 failed, but the input has {rows} rows")), "{error}");
        assert!(!folder.path().join("manifest.json").exists());
    }
}

#[test]
fn a_doubled_shard_or_one_beyond_the_end_is_our_bug() {
    let folder = tempfile::tempdir().unwrap();
    let output = open_output(folder.path()).unwrap();
    write_shard(&output, 1).unwrap();
    assert!(matches!(write_shard(&output, 1), Err(DatasetError::Internal { .. })));
    assert!(matches!(write_shard(&output, SHARDS), Err(DatasetError::Internal { .. })));
}

#[test]
fn failures_are_on_disk_before_a_refusal_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let output = open_output(folder.path()).unwrap();
    write_shard(&output, 2).unwrap();
    output.write_failures().unwrap();
    assert_eq!(open(&folder.path().join(FAILURES_FILE)).rows(), 1);
    assert!(!folder.path().join("manifest.json").exists());
    drop(output);
    assert_eq!(run(folder.path()).unwrap(), [0, 1, 3]);
    assert_exactly_once(folder.path());
}

#[test]
fn a_shard_whose_rows_all_failed_has_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let expected = Expected { shards: 1, rows: 0 };
    let output = OutputDir::open(Folder::open(folder.path()).unwrap(), &job(1), expected).unwrap();
    let (_, features) = numbered_batch(0, 1);
    output.shard(0, &features).unwrap().commit(&[]).unwrap();
    let manifest = output.finish().unwrap();
    assert_eq!(manifest.verify(folder.path()).unwrap().damaged, []);
    let error = Dataset::open(&[folder.path().to_path_buf()]).unwrap_err();
    assert!(error.to_string().contains("failures.parquet"), "{error}");
}

#[test]
fn a_shard_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = open_output(folder.path()).unwrap();
    let (batch, features) = numbered_batch(0, 3);
    let mut shard = output.shard(0, &features).unwrap();
    shard.write(&batch).unwrap();
    drop(shard);
    assert!(!output.committed(0));
    assert_eq!(std::fs::read_dir(folder.path().join("data")).unwrap().count(), 0);
}

#[test]
fn an_interrupted_run_writes_the_same_bytes() {
    let [whole, cut] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    run(whole.path()).unwrap();
    run_child(cut.path(), "shard-renamed:1");
    run(cut.path()).unwrap();
    assert_same_bytes(whole.path(), cut.path(), "killed after the second shard");
}

//! A job in parts: several processes write the shards, and `gather` makes one output of them.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::jobs::{EXPECTED, Place, SHARDS, assert_good, begin, edit, open_job, run, write_shard};
use crate::support::numbered_batch;
use anyflow_datasets::{
    DatasetError, Expected, Failure, Folder, Manifest, PARTS_FOLDER, PartProgress, gather, job_progress,
};

const LICENSE: &str = "Apache-2.0";

fn part(out: &Path, name: &str) -> PathBuf {
    out.join(PARTS_FOLDER).join(name)
}

fn share(shards: u64) -> Expected {
    Expected { shards, rows: shards * EXPECTED.rows / SHARDS }
}

/// Writes a complete part.
fn write_part(out: &Path, name: &str, shards: &[u64]) {
    let output = open_job(&part(out, name), 1).unwrap();
    shards.iter().for_each(|shard| write_shard(&output, *shard, 1).unwrap());
    output.finish_part(share(shards.len() as u64), Some(LICENSE)).unwrap();
}

fn shard_file(shard: u64) -> String {
    format!("data/shard-{shard:05}.parquet")
}

fn commit_file(shard: u64) -> String {
    format!("commits/{shard:05}.json")
}

/// The reason why the output is not complete.
fn incomplete<T>(result: Result<T, DatasetError>) -> String {
    match result.err() {
        Some(DatasetError::Incomplete { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_become_the_output_of_one_run() {
    let place = Place::new();
    let out = place.at("out");
    run(&place.at("whole"), 1);
    write_part(&out, "1-of-2", &[0, 1]);
    write_part(&out, "2-of-2", &[2, 3]);
    // A killed process leaves temporary files.
    let died = part(&out, "2-of-2").join("attempts");
    std::fs::create_dir(&died).unwrap();
    std::fs::write(died.join(".00002.json.1f-2.tmp"), b"{").unwrap();
    let gathering = gather(&out).unwrap();
    assert_eq!((gathering.output().path(), gathering.output().progress()), (out.as_path(), (0, 0)));
    gathering.take().unwrap();
    assert_eq!(gathering.output().progress(), (16, 4));
    for (shard, name) in [(0, "1-of-2"), (1, "1-of-2"), (2, "2-of-2"), (3, "2-of-2")] {
        let commits = [&out, &part(&out, name)].map(|folder| std::fs::read(folder.join(commit_file(shard))).unwrap());
        assert_eq!(commits[0], commits[1]);
        // A second name of the same bytes.
        let inodes =
            [&out, &part(&out, name)].map(|folder| std::fs::metadata(folder.join(shard_file(shard))).unwrap().ino());
        assert_eq!(inodes[0], inodes[1]);
    }
    let manifest = gathering.finish().unwrap();
    assert_eq!((manifest.license.as_deref(), manifest.rows, manifest.failures), (Some(LICENSE), 16, 4));
    assert_eq!(Manifest::read(&out).unwrap(), manifest);
    assert_good(&out, 1);
    for name in (0..SHARDS).map(shard_file).chain(["failures.parquet".into(), "job.json".into()]) {
        let [gathered, whole] = [&out, &place.at("whole")].map(|folder| std::fs::read(folder.join(&name)).unwrap());
        assert!(gathered == whole, "{name}");
    }
    assert!(!out.join(PARTS_FOLDER).exists());
    // A finished job may be gathered again.
    let again = gather(&out).unwrap();
    assert!(again.read("run.json").unwrap().is_none());
    again.take().unwrap();
    assert_eq!(again.finish().unwrap(), manifest);
    assert_good(&out, 1);
}

#[test]
fn a_shard_of_failed_rows_is_taken_without_a_file() {
    let place = Place::new();
    let out = place.at("out");
    let output = open_job(&part(&out, "1-of-1"), 1).unwrap();
    (1..SHARDS).for_each(|shard| write_shard(&output, shard, 1).unwrap());
    let text = |text: &str| text.to_string();
    let failure = |row| Failure { row_key: text("a"), row, node: text("picture"), code: text("test"), text: text("") };
    let failures: Vec<Failure> = (0..share(1).rows).map(failure).collect();
    output.shard(0, &numbered_batch(0, 1).1).unwrap().commit(&failures).unwrap();
    output.finish_part(EXPECTED, None).unwrap();
    drop(output);
    let gathering = gather(&out).unwrap();
    gathering.take().unwrap();
    let manifest = gathering.finish().unwrap();
    assert_eq!((&manifest.shards[0].file, manifest.rows, manifest.failures), (&None, 12, 8));
}

#[test]
fn a_shard_that_is_there_already_stays() {
    let place = Place::new();
    let out = place.at("out");
    write_part(&out, "1-of-2", &[0, 1]);
    incomplete(gather(&out).unwrap().take());
    let inode = || std::fs::metadata(out.join(commit_file(0))).unwrap().ino();
    let before = inode();
    write_part(&out, "2-of-2", &[2, 3]);
    gather(&out).unwrap().take().unwrap();
    assert_eq!(inode(), before);
}

#[test]
fn records_are_read_from_the_first_complete_part() {
    let place = Place::new();
    let out = place.at("out");
    begin(&part(&out, "1-of-3"), 1, &[0]);
    write_part(&out, "2-of-3", &[1]);
    write_part(&out, "3-of-3", &[2, 3]);
    for name in ["1-of-3", "2-of-3", "3-of-3"] {
        std::fs::write(part(&out, name).join("run.json"), name).unwrap();
    }
    let gathering = gather(&out).unwrap();
    assert_eq!(gathering.read("run.json").unwrap().unwrap(), b"2-of-3");
    assert!(gathering.read("batch.json").unwrap().is_none());
}

#[test]
fn what_is_missing_is_named() {
    let place = Place::new();
    let out = place.at("out");
    assert!(matches!(gather(&out).err(), Some(DatasetError::Missing { path }) if path == out));
    std::fs::create_dir(&out).unwrap();
    assert!(incomplete(gather(&out)).contains("it has no parts"));
    begin(&part(&out, "1-of-2"), 1, &[0]);
    assert!(incomplete(gather(&out)).contains("none of its parts is complete"));
    write_part(&out, "2-of-2", &[2, 3]);
    let told = incomplete(gather(&out).unwrap().take());
    assert_eq!(told, "of 4 shards these are missing: 1; parts that are not complete: 1-of-2");
    assert_eq!(incomplete(gather(&out).unwrap().finish()), "of 4 shards these are missing: 1");
    std::fs::remove_dir_all(part(&out, "1-of-2")).unwrap();
    std::fs::remove_file(out.join(commit_file(0))).unwrap();
    assert_eq!(incomplete(gather(&out).unwrap().take()), "of 4 shards these are missing: 0, 1");
    assert!(!out.join("manifest.json").exists() && part(&out, "2-of-2").join("part.json").exists());
}

#[test]
fn parts_and_output_are_of_one_job() {
    let place = Place::new();
    let out = place.at("out");
    write_part(&out, "1-of-2", &[0, 1, 2, 3]);
    // A part that was killed before it named its job.
    std::fs::create_dir(part(&out, "0-of-2")).unwrap();
    drop(gather(&out).unwrap());
    let other = part(&out, "2-of-2");
    begin(&other, 2, &[2]);
    match gather(&out).err() {
        Some(DatasetError::OtherJob { path, differences }) => {
            assert_eq!((path, differences.len(), differences[0].name.as_str()), (other.clone(), 1, "seed"));
        }
        other => panic!("{other:?}"),
    }
    assert!(other.join(commit_file(2)).exists(), "nothing is removed");
    std::fs::remove_dir_all(&other).unwrap();
    std::fs::remove_dir_all(out.join("data")).unwrap();
    std::fs::remove_dir_all(out.join("commits")).unwrap();
    std::fs::remove_file(out.join("job.json")).unwrap();
    begin(&out, 2, &[]);
    assert!(matches!(gather(&out).err(), Some(DatasetError::OtherJob { path, .. }) if path == part(&out, "1-of-2")));
}

#[test]
fn only_our_files_of_a_part_are_removed() {
    let place = Place::new();
    let out = place.at("out");
    let [kept, gone] = ["1-of-2", "2-of-2"].map(|name| part(&out, name));
    write_part(&out, "1-of-2", &[0, 1]);
    write_part(&out, "2-of-2", &[2, 3]);
    for name in ["order.json", "run.json", "batch.json"] {
        std::fs::write(kept.join(name), b"{}").unwrap();
        std::fs::write(gone.join(name), b"{}").unwrap();
    }
    std::fs::write(kept.join("notes.txt"), b"mine").unwrap();
    std::fs::write(kept.join("data/more.txt"), b"mine").unwrap();
    let gathering = gather(&out).unwrap();
    gathering.take().unwrap();
    gathering.finish().unwrap();
    assert!(!gone.exists());
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&kept), ["data", "notes.txt"].map(String::from).into());
    assert_eq!(names(&kept.join("data")), ["more.txt".to_string()].into());
}

#[test]
fn a_part_that_is_being_written_cannot_be_gathered() {
    let place = Place::new();
    let out = place.at("out");
    write_part(&out, "1-of-2", &[0, 1]);
    let _writer = open_job(&part(&out, "2-of-2"), 1).unwrap();
    assert!(matches!(gather(&out).err(), Some(DatasetError::Busy { path, .. }) if path == part(&out, "2-of-2")));
}

#[test]
fn a_part_ends_with_exactly_its_share() {
    let place = Place::new();
    let folder = place.at("out/parts/1-of-2");
    let output = open_job(&folder, 1).unwrap();
    write_shard(&output, 0, 1).unwrap();
    write_shard(&output, 1, 1).unwrap();
    let wrong = [share(1), share(3), Expected { shards: 2, rows: 9 }, Expected { shards: 2, rows: 8 }];
    for share in wrong {
        let told = incomplete(output.finish_part(share, None));
        assert!(told.starts_with("2 shards are committed with 8 rows and 2 failed ones"), "{told}");
        assert!(told.ends_with(&format!("{} shards of {} rows", share.shards, share.rows)), "{told}");
        assert!(!folder.join("part.json").exists());
    }
    output.finish_part(share(2), None).unwrap();
    assert!(folder.join("part.json").exists() && folder.join("failures.parquet").exists());
    assert!(!folder.join("manifest.json").exists());
    std::fs::remove_file(folder.join(commit_file(1))).unwrap();
    assert!(matches!(output.finish_part(share(2), None), Err(DatasetError::Lost { .. })));
    drop(output);
    // Whoever writes to it again makes it incomplete.
    drop(open_job(&folder, 1).unwrap());
    assert!(!folder.join("part.json").exists());
}

#[test]
fn the_record_of_a_part_must_be_whole_and_of_this_format() {
    let place = Place::new();
    let out = place.at("out");
    write_part(&out, "1-of-1", &[0, 1, 2, 3]);
    let record = part(&out, "1-of-1").join("part.json");
    edit(&record, |part| part["format"] = 2.into());
    match gather(&out).err() {
        Some(DatasetError::OtherFormat { path, found, known }) => {
            assert_eq!((path, found, known), (record.clone(), 2, 1))
        }
        other => panic!("{other:?}"),
    }
    std::fs::write(&record, b"{").unwrap();
    assert!(matches!(gather(&out).err(), Some(DatasetError::Record { path, .. }) if path == record));
}

#[test]
fn the_progress_of_each_part_is_counted() {
    let place = Place::new();
    let out = place.at("out");
    assert!(matches!(job_progress(&out), Err(DatasetError::Missing { path }) if path == out.join("job.json")));
    let failed = |count: u64| BTreeMap::from([("test".to_string(), count)]);
    let at = |name: &str, shards: u64, attempts: u64| PartProgress {
        name: name.into(),
        holder: None,
        is_complete: false,
        shards,
        rows: 4 * shards,
        failed: if shards == 0 { BTreeMap::new() } else { failed(shards) },
        attempts,
        tries: Vec::new(),
    };
    begin(&part(&out, "2-of-10"), 1, &[0]);
    begin(&part(&out, "2-of-10"), 1, &[1, 2]);
    std::fs::write(part(&out, "2-of-10").join("commits/notes.txt"), b"{}").unwrap();
    write_part(&out, "10-of-10", &[3]);
    std::fs::create_dir(part(&out, "11-of-10")).unwrap();
    // Files and links are no parts.
    std::fs::write(part(&out, "9-of-10"), b"").unwrap();
    symlink(part(&out, "2-of-10"), part(&out, "3-of-10")).unwrap();
    let complete = PartProgress { is_complete: true, ..at("10-of-10", 1, 1) };
    let parts = [at("2-of-10", 3, 2), complete, at("11-of-10", 0, 0)];
    assert_eq!(job_progress(&out).unwrap(), parts);
    run(&out, 1);
    let whole = PartProgress { is_complete: true, ..at("", 4, 1) };
    assert_eq!(job_progress(&out).unwrap()[..2], [whole, parts[0].clone()]);
    let _held = Folder::open(&part(&out, "10-of-10")).unwrap();
    let holders: Vec<_> = job_progress(&out).unwrap().into_iter().map(|part| part.holder).collect();
    let holder = holders[2].as_ref().unwrap();
    assert!(holder.starts_with(&format!("process {} on host", std::process::id())), "{holder}");
    assert_eq!(holders.iter().flatten().count(), 1);
    std::fs::write(part(&out, "2-of-10").join(commit_file(0)), b"{").unwrap();
    assert!(matches!(job_progress(&out), Err(DatasetError::Record { .. })));
}

#[test]
fn a_file_in_place_of_the_parts_is_an_error() {
    let place = Place::new();
    let out = place.at("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join(PARTS_FOLDER), b"").unwrap();
    assert!(matches!(gather(&out).err(), Some(DatasetError::Io { .. })));
    assert!(matches!(job_progress(&out), Err(DatasetError::Io { .. })));
}

#[test]
fn a_file_is_taken_from_another_folder_under_its_name() {
    let place = Place::new();
    let [from, to] = ["from", "to"].map(|name| Folder::open(&place.at(name)).unwrap());
    from.make_folder("data").unwrap();
    from.write("data/a", b"new").unwrap();
    let missing = |name: &str, path: &str| {
        let result = to.take(&from, name);
        assert!(
            matches!(&result, Err(DatasetError::Missing { path: found }) if *found == place.at(path)),
            "{result:?}"
        );
    };
    missing("none/a", "from/none/a");
    missing("data/a", "to/data/a");
    to.make_folder("data").unwrap();
    assert!(to.take(&from, "data/b").is_err());
    to.write("data/a", b"old").unwrap();
    to.take(&from, "data/a").unwrap();
    assert_eq!(to.read("data/a").unwrap().unwrap(), b"new");
    assert_eq!(from.read("data/a").unwrap().unwrap(), b"new");
    assert_eq!(to.files("data").unwrap(), ["a"]);
}

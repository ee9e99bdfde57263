//! What an output folder says of itself while a job writes to it, and afterwards.

use std::path::Path;
use std::process::Command;

use crate::jobs::{EXPECTED, Place, SHARDS, assert_good, begin, edit, open_job, put, run, write_shard};
use crate::support::{numbered_batch, open};
use anyflow_datasets::{DatasetError, Expected, Folder, JobId, Manifest, OutputDir};
use serde_json::{Value, json};

/// What is done to an output of one shard without a file, and whether the next run does it again.
type Change = (fn(&Path), bool);

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn job() -> JobId {
    JobId::default().with("seed", 1)
}

fn open_expecting(folder: &Path, expected: Expected) -> Result<OutputDir, DatasetError> {
    OutputDir::open(Folder::open(folder)?, &job(), expected)
}

#[test]
fn rows_and_failures_of_committed_shards_are_counted() {
    let place = Place::new();
    let output = open_job(&place.at("out"), 1).unwrap();
    assert_eq!((output.progress(), output.path()), ((0, 0), place.at("out").as_path()));
    write_shard(&output, 2, 1).unwrap();
    write_shard(&output, 0, 1).unwrap();
    assert_eq!((output.progress(), output.committed(2), output.committed(1)), ((8, 2), true, false));
    let features = numbered_batch(0, 1).1;
    assert_eq!(output.shard(3, &features).unwrap().index(), 3);
    drop(output);
    assert_eq!(open_job(&place.at("out"), 1).unwrap().progress(), (8, 2));
}

#[test]
fn each_attempt_has_the_next_number() {
    let place = Place::new();
    let attempts = [&[0][..], &[3], &[1, 2]];
    attempts.iter().for_each(|shards| begin(&place.at("out"), 1, shards));
    for (shard, attempt) in [(0, 1), (3, 2), (1, 3), (2, 3)] {
        assert_eq!(read(&place.at(&format!("out/commits/{shard:05}.json")))["attempt"], attempt, "shard {shard}");
    }
}

#[test]
fn a_shard_beyond_the_end_or_done_twice_is_refused() {
    let place = Place::new();
    let output = open_job(&place.at("out"), 1).unwrap();
    let features = numbered_batch(0, 1).1;
    let [first, second] = [(); 2].map(|()| output.shard(SHARDS - 1, &features).unwrap());
    first.commit(&[]).unwrap();
    let internal = |result: Result<(), DatasetError>| assert!(matches!(result, Err(DatasetError::Internal { .. })));
    internal(second.commit(&[]));
    for shard in [SHARDS - 1, SHARDS, SHARDS + 5] {
        internal(output.shard(shard, &features).map(drop));
    }
}

#[test]
fn at_most_eight_missing_shards_are_named() {
    for (shards, end) in [(8, "6, 7"), (9, "6, 7, ..."), (12, "6, 7, ...")] {
        let place = Place::new();
        let output = open_expecting(&place.at("out"), Expected { shards, rows: 1 }).unwrap();
        match output.finish() {
            Err(DatasetError::Incomplete { reason, path }) => {
                assert!(reason.ends_with(end), "{reason}");
                assert_eq!(path, place.at("out"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_folder_that_another_program_filled_is_refused() {
    for found in ["data", "commits", "manifest.json", "failures.parquet", "mine.parquet"] {
        let place = Place::new();
        std::fs::create_dir(place.at("out")).unwrap();
        std::fs::write(place.at("out").join(found), b"precious").unwrap();
        match open_job(&place.at("out"), 1) {
            Err(DatasetError::NotOurs { path, found: told }) => {
                assert_eq!((path, told.as_str()), (place.at("out"), found))
            }
            other => panic!("{found}: {other:?}"),
        }
        assert_eq!(std::fs::read_dir(place.at("out")).unwrap().count(), 1, "{found}");
    }
}

#[test]
fn files_that_are_no_data_may_be_there_before() {
    let place = Place::new();
    std::fs::create_dir(place.at("out")).unwrap();
    for name in ["notes.txt", ".hidden.parquet", "README.md"] {
        std::fs::write(place.at("out").join(name), b"precious").unwrap();
    }
    run(&place.at("out"), 1);
    assert_good(&place.at("out"), 1);
    for name in ["notes.txt", ".hidden.parquet", "README.md"] {
        assert_eq!(std::fs::read(place.at("out").join(name)).unwrap(), b"precious", "{name}");
    }
}

#[test]
fn a_card_names_the_data_for_other_programs() {
    let place = Place::new();
    run(&place.at("out"), 1);
    let card = std::fs::read_to_string(place.at("out/README.md")).unwrap();
    assert!(card.starts_with("---\nconfigs:\n") && card.contains("data_files: data/*.parquet\n---\n"), "{card}");
}

#[test]
fn a_commit_just_beyond_the_end_is_taken_back() {
    let place = Place::new();
    run(&place.at("out"), 1);
    let manifest = Manifest::read(&place.at("out")).unwrap();
    let fewer = Expected { shards: SHARDS - 1, rows: 15 };
    let output = open_expecting(&place.at("out"), fewer).unwrap();
    assert_eq!(output.progress(), (12, 3));
    assert!(!place.at("out/commits/00003.json").exists() && !place.at("out/data/shard-00003.parquet").exists());
    assert!(!place.at("out/manifest.json").exists());
    assert_eq!(output.finish().unwrap().shards, manifest.shards[..3]);
}

#[test]
fn a_manifest_that_does_not_agree_with_the_commits_is_removed() {
    let edits: [fn(&mut Value); 4] = [
        |manifest| manifest["fingerprint"] = "another".into(),
        |manifest| manifest["failures"] = 5.into(),
        |manifest| manifest["shards"][2]["blake3"] = "another".into(),
        |manifest| manifest["failures"] = u64::MAX.into(),
    ];
    for (index, change) in edits.into_iter().enumerate() {
        let place = Place::new();
        run(&place.at("out"), 1);
        edit(&place.at("out/manifest.json"), change);
        drop(open_job(&place.at("out"), 1).unwrap());
        assert!(!place.at("out/manifest.json").exists(), "case {index}");
        assert_eq!(run(&place.at("out"), 1), [0; 0], "case {index}");
        assert_good(&place.at("out"), 1);
    }
    let place = Place::new();
    run(&place.at("out"), 1);
    drop(open_job(&place.at("out"), 1).unwrap());
    assert!(place.at("out/manifest.json").exists(), "one that agrees stays");
}

#[test]
fn a_shard_without_a_file_is_done_again_only_if_its_commit_says_otherwise() {
    let commit = |out: &Path| out.join("commits/00000.json");
    let changes: [Change; 4] = [
        (|_| {}, false),
        (|out| std::fs::write(out.join("data/shard-00000.parquet"), b"left over").unwrap(), false),
        (|out| edit(&out.join("commits/00000.json"), |commit| commit["rows"] = 1.into()), true),
        (|out| edit(&out.join("commits/00000.json"), |commit| commit["size_bytes"] = 1.into()), true),
    ];
    for (index, (change, again)) in changes.into_iter().enumerate() {
        let place = Place::new();
        let out = place.at("out");
        let expected = Expected { shards: 1, rows: 0 };
        let features = numbered_batch(0, 1).1;
        open_expecting(&out, expected).unwrap().shard(0, &features).unwrap().commit(&[]).unwrap();
        assert_eq!(read(&commit(&out))["file"], Value::Null);
        change(&out);
        let output = open_expecting(&out, expected).unwrap();
        assert_eq!(output.committed(0), !again, "case {index}");
        assert!(!out.join("data/shard-00000.parquet").exists(), "case {index}");
    }
}

#[test]
fn a_file_that_says_that_it_is_another_shard_is_done_again() {
    let place = Place::new();
    run(&place.at("other"), 2);
    run(&place.at("out"), 1);
    // A file of another job under this shard's name, and a commit that lists its length.
    let file = "data/shard-00001.parquet";
    put(place.at("other").join(file), place.at("out").join(file));
    let size = std::fs::metadata(place.at("out").join(file)).unwrap().len();
    edit(&place.at("out/commits/00001.json"), |commit| commit["size_bytes"] = size.into());
    assert_eq!(run(&place.at("out"), 1), [1]);
    assert_good(&place.at("out"), 1);
}

#[test]
fn the_job_file_must_be_whole_and_of_this_format() {
    let edits: [fn(&mut Value); 3] =
        [|job| job["fingerprint"] = "another".into(), |job| job["parts"]["seed"] = "2".into(), |job| *job = json!([])];
    for change in edits {
        let place = Place::new();
        begin(&place.at("out"), 1, &[0]);
        edit(&place.at("out/job.json"), change);
        assert!(matches!(open_job(&place.at("out"), 1), Err(DatasetError::Record { .. })));
        assert!(place.at("out/commits/00000.json").exists());
    }
    let place = Place::new();
    begin(&place.at("out"), 1, &[0]);
    for format in [1, 3] {
        edit(&place.at("out/job.json"), |job| job["format"] = format.into());
        match open_job(&place.at("out"), 1) {
            Err(DatasetError::OtherFormat { found, known, .. }) => assert_eq!((found, known), (format, 2)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_job_finds_out_what_it_differs_in() {
    let place = Place::new();
    let folder = Folder::open(&place.at("out")).unwrap();
    assert!(!job().is_of(&folder, "job.json").unwrap());
    job().write(&folder, "job.json").unwrap();
    assert!(job().is_of(&folder, "job.json").unwrap());
    match job().with("key", "id").is_of(&folder, "job.json") {
        Err(DatasetError::OtherJob { path, differences }) => {
            assert_eq!((path, differences.len(), differences[0].name.as_str()), (place.at("out"), 1, "key"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(job().with("key", "id").with("seed", 2).parts().collect::<Vec<_>>(), [("seed", "2"), ("key", "id")]);
}

#[test]
fn a_manifest_in_place_of_which_something_else_is_cannot_be_read() {
    let place = Place::new();
    assert!(matches!(Manifest::read(&place.at("none")), Err(DatasetError::Missing { .. })));
    std::fs::create_dir_all(place.at("out/manifest.json")).unwrap();
    assert!(matches!(Manifest::read(&place.at("out")), Err(DatasetError::Record { .. })));
    std::fs::write(place.at("file"), b"").unwrap();
    assert!(matches!(Manifest::read(&place.at("file")), Err(DatasetError::Io { .. })));
    // Nobody ever writes to this pipe.
    std::fs::create_dir(place.at("pipe")).unwrap();
    assert!(Command::new("mkfifo").arg(place.at("pipe/manifest.json")).status().unwrap().success());
    assert!(matches!(Manifest::read(&place.at("pipe")), Err(DatasetError::Record { .. })));
}

#[test]
fn verification_reads_all_files_and_names_each_difference() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    let manifest = Manifest::read(&out).unwrap();
    let files = (0..SHARDS).map(|shard| format!("data/shard-{shard:05}.parquet")).chain(["failures.parquet".into()]);
    let bytes: u64 = files.map(|file| std::fs::metadata(out.join(file)).unwrap().len()).sum();
    let good = manifest.verify(&out).unwrap();
    assert_eq!((good.files, good.bytes, good.damaged.len()), (SHARDS + 1, bytes, 0));
    // A commit may be gone. What is hidden or not Parquet is not taken for data.
    std::fs::remove_file(out.join("commits/00002.json")).unwrap();
    for name in ["data/.a.parquet", "data/notes.txt"] {
        std::fs::write(out.join(name), b"x").unwrap();
    }
    assert_eq!(manifest.verify(&out).unwrap(), good);
    for name in ["data/b.parquet", "data/a.parquet"] {
        std::fs::write(out.join(name), b"x").unwrap();
    }
    std::fs::write(out.join("commits/00001.json"), b"{").unwrap();
    std::fs::write(out.join("run.json"), b"{").unwrap();
    edit(&out.join("job.json"), |job| job["fingerprint"] = "another".into());
    edit(&out.join("commits/00003.json"), |commit| commit["job"] = "another".into());
    let damaged: Vec<String> = manifest.verify(&out).unwrap().damaged.into_iter().map(|damage| damage.file).collect();
    let expected =
        ["job.json", "commits/00001.json", "commits/00003.json", "data/a.parquet", "data/b.parquet", "run.json"];
    assert_eq!(damaged, expected);
}

#[test]
fn verification_tells_another_length_from_another_content() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    let reasons = |change: fn(&mut Value)| {
        let mut value = read(&out.join("manifest.json"));
        change(&mut value);
        let manifest: Manifest = serde_json::from_value(value).unwrap();
        manifest.verify(&out).unwrap().damaged.into_iter().map(|damage| damage.file).collect::<Vec<_>>()
    };
    let both = ["commits/00001.json", "data/shard-00001.parquet"];
    assert_eq!(reasons(|manifest| manifest["shards"][1]["size_bytes"] = 1.into()), both);
    assert_eq!(reasons(|manifest| manifest["shards"][1]["rows"] = 1.into()), both);
    assert_eq!(reasons(|manifest| manifest["shards"][1]["blake3"] = "0".into()), both);
    assert_eq!(reasons(|manifest| manifest["failures"] = 1.into()), ["failures.parquet"]);
    assert_eq!(reasons(|manifest| manifest["failures_file"]["size_bytes"] = 1.into()), ["failures.parquet"]);
    assert_eq!(reasons(|manifest| drop(manifest.as_object_mut().unwrap().remove("failures_file"))), [""; 0]);
    // Another job's fingerprint: the job's record, each commit and each shard disagree.
    assert_eq!(reasons(|manifest| manifest["fingerprint"] = "another".into()).len() as u64, 1 + 2 * SHARDS);
    // Commits of format 1 name no job.
    let commit = out.join("commits/00001.json");
    edit(&commit, |commit| drop(commit.as_object_mut().unwrap().remove("job")));
    assert_eq!(reasons(|manifest| manifest["format"] = 1.into()), [""; 0]);
    assert_eq!(reasons(|manifest| manifest["format"] = 2.into()), ["commits/00001.json"]);
}

#[test]
fn verification_of_an_output_without_rows_needs_no_data_folder() {
    let place = Place::new();
    let out = place.at("out");
    let expected = Expected { shards: 0, rows: 0 };
    let manifest = open_expecting(&out, expected).unwrap().finish().unwrap();
    std::fs::remove_dir(out.join("data")).unwrap();
    let found = manifest.verify(&out).unwrap();
    assert_eq!((found.files, found.damaged.len()), (1, 0));
}

#[test]
fn failures_are_merged_in_order_of_shard() {
    let place = Place::new();
    let output = open_job(&place.at("out"), 1).unwrap();
    for shard in [3, 0, 2, 1] {
        write_shard(&output, shard, 1).unwrap();
    }
    let manifest = output.finish().unwrap();
    assert_eq!(manifest.rows + manifest.failures, EXPECTED.rows);
    let failures = open(&place.at("out/failures.parquet"));
    let batches = failures.read(None, 0..failures.rows(), 100).unwrap();
    let rows: Vec<String> = batches.map(|batch| format!("{:?}", batch.unwrap().column(0))).collect();
    let found: Vec<usize> = ["1004", "1009", "1014", "1019"].map(|key| rows.concat().find(key).unwrap()).to_vec();
    assert!(found.is_sorted(), "{rows:?}");
}

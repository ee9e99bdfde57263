//! What lies in an output folder is compared with what was written down: by the next run, by readers, by `verify`.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::{all_ids, numbered_batch, open};
use anyflow_datasets::{Dataset, DatasetError, Expected, Failure, Folder, JobId, Manifest, OutputDir};
use serde_json::Value;

const SHARDS: u64 = 4;
const SHARD_ROWS: u64 = 5;
const EXPECTED: Expected = Expected { shards: SHARDS, rows: SHARDS * SHARD_ROWS };

fn open_job(folder: &Path, seed: u64) -> Result<OutputDir, DatasetError> {
    OutputDir::open(Folder::open(folder)?, &JobId::default().with("seed", seed), EXPECTED)
}

/// The ids of a job begin at a thousand times its seed; row 1 of each shard fails.
fn write_shard(output: &OutputDir, shard: u64, seed: u64) -> Result<(), DatasetError> {
    let first = seed * 1000 + shard * SHARD_ROWS;
    let (good, features) = numbered_batch(first as i64, SHARD_ROWS as i64 - 1);
    let text = |text: &str| text.to_string();
    let row = first + SHARD_ROWS - 1;
    let failure =
        Failure { row_key: row.to_string(), row, node: text("picture"), code: text("test"), text: text("meant") };
    let mut writer = output.shard(shard, &features)?;
    writer.write(&good)?;
    writer.commit(&[failure])
}

/// Shards that had to be done.
fn run(folder: &Path, seed: u64) -> Vec<u64> {
    let output = open_job(folder, seed).unwrap();
    let todo: Vec<u64> = (0..SHARDS).filter(|shard| !output.committed(*shard)).collect();
    todo.iter().for_each(|shard| write_shard(&output, *shard, seed).unwrap());
    output.finish().unwrap();
    todo
}

fn begin(folder: &Path, seed: u64, shards: &[u64]) {
    let output = open_job(folder, seed).unwrap();
    shards.iter().for_each(|shard| write_shard(&output, *shard, seed).unwrap());
}

fn assert_good(folder: &Path, seed: u64) {
    let expected: Vec<i64> = (0..SHARDS * SHARD_ROWS)
        .filter(|row| row % SHARD_ROWS != SHARD_ROWS - 1)
        .map(|row| (seed * 1000 + row) as i64)
        .collect();
    assert_eq!(all_ids(&open(folder)), expected);
    let found = Manifest::read(folder).unwrap().verify(folder).unwrap();
    assert_eq!((found.files, found.damaged), (SHARDS + 1, vec![]));
}

fn refusal(path: PathBuf) -> DatasetError {
    Dataset::open(&[path]).unwrap_err()
}

fn edit(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

fn put(from: PathBuf, to: PathBuf) {
    std::fs::copy(from, to).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { put(path, target) }
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn an_orphan_commits_nothing_into_its_successors_folder() {
    let place = Place::new();
    let out = place.at("out");
    let orphan = open_job(&out, 1).unwrap();
    write_shard(&orphan, 0, 1).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    run(&out, 2);
    for shard in 1..SHARDS {
        assert!(matches!(write_shard(&orphan, shard, 1), Err(DatasetError::Lost { .. })));
    }
    assert!(matches!(orphan.finish(), Err(DatasetError::Lost { .. })));
    assert!(matches!(orphan.write_failures(), Err(DatasetError::Lost { .. })));
    drop(orphan);
    assert_good(&out, 2);
}

#[test]
fn a_folder_that_someone_else_changed_is_not_finished() {
    let changes: [(fn(&Path), &[u64]); 4] = [
        (|out| std::fs::remove_file(out.join("commits/00001.json")).unwrap(), &[1]),
        // It is a good commit of this job, but this process did not write it.
        (|out| edit(&out.join("commits/00001.json"), |commit| commit["attempt"] = 9.into()), &[]),
        (|out| std::fs::remove_file(out.join("data/shard-00001.parquet")).unwrap(), &[1]),
        (|out| std::fs::write(out.join("data/shard-00001.parquet"), b"PAR1").unwrap(), &[1]),
    ];
    for (change, again) in changes {
        let place = Place::new();
        let output = open_job(&place.at("out"), 1).unwrap();
        (0..SHARDS).for_each(|shard| write_shard(&output, shard, 1).unwrap());
        change(&place.at("out"));
        assert!(matches!(output.finish(), Err(DatasetError::Lost { .. })));
        assert!(!place.at("out/manifest.json").exists());
        drop(output);
        assert_eq!(run(&place.at("out"), 1), again);
        assert_good(&place.at("out"), 1);
    }
}

#[test]
fn commits_of_another_job_are_taken_back() {
    let place = Place::new();
    run(&place.at("a"), 1);
    begin(&place.at("b"), 2, &[0]);
    for shard in [1, 3] {
        for file in [format!("commits/{shard:05}.json"), format!("data/shard-{shard:05}.parquet")] {
            put(place.at("a").join(&file), place.at("b").join(&file));
        }
    }
    put(place.at("a/manifest.json"), place.at("b/manifest.json"));
    let error = refusal(place.at("b"));
    assert!(error.to_string().contains("but job.json is of the job"), "{error}");
    assert_eq!(run(&place.at("b"), 2), [1, 2, 3]);
    assert_good(&place.at("b"), 2);
}

#[test]
fn commits_that_do_not_fit_their_name_or_file_are_taken_back() {
    let commit = |out: &Path, shard: u64| out.join(format!("commits/{shard:05}.json"));
    let spoil: [(&dyn Fn(&Path), &[u64]); 8] = [
        // A commit under another number, with its own or a changed number in it, also beyond the end.
        (&|out| put(commit(out, 1), commit(out, 9)), &[]),
        (&|out| put(commit(out, 1), commit(out, 2)), &[2]),
        (
            &|out| {
                put(commit(out, 1), commit(out, 9));
                edit(&commit(out, 9), |commit| commit["shard"] = 9.into());
            },
            &[],
        ),
        (
            &|out| {
                let data = out.join("data");
                put(data.join("shard-00001.parquet"), data.join("shard-00009.parquet"));
                put(commit(out, 1), commit(out, 9));
                edit(&commit(out, 9), |commit| {
                    commit["shard"] = 9.into();
                    commit["file"] = "data/shard-00009.parquet".into();
                });
            },
            &[],
        ),
        // Another shard's file in its place, and a commit that says so.
        (&|out| put(out.join("data/shard-00001.parquet"), out.join("data/shard-00003.parquet")), &[3]),
        (
            &|out| {
                put(out.join("data/shard-00001.parquet"), out.join("data/shard-00003.parquet"));
                let one: Value = serde_json::from_slice(&std::fs::read(commit(out, 1)).unwrap()).unwrap();
                edit(&commit(out, 3), |commit| {
                    commit["size_bytes"] = one["size_bytes"].clone();
                    commit["rows"] = one["rows"].clone();
                });
            },
            &[3],
        ),
        (&|out| edit(&commit(out, 0), |commit| commit["file"] = "data/shard-00001.parquet".into()), &[0]),
        (&|out| std::fs::write(commit(out, 2), b"{\"shard\": 2").unwrap(), &[2]),
    ];
    for (index, (spoil, again)) in spoil.into_iter().enumerate() {
        let place = Place::new();
        run(&place.at("out"), 1);
        spoil(&place.at("out"));
        assert_eq!(run(&place.at("out"), 1), again, "case {index}");
        assert_good(&place.at("out"), 1);
        assert_eq!(std::fs::read_dir(place.at("out/commits")).unwrap().count() as u64, SHARDS, "case {index}");
    }
}

#[test]
fn only_our_own_files_are_removed() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    let theirs = [
        "data/thesis.tex",
        "data/mine.parquet",
        "data/shard-1.parquet",
        "data/shard-00001.parquet.bak",
        "data/.shard-00001.parquet.tmp",
        "data/shard-000010.parquet",
        "commits/notes.txt",
        "commits/1.json",
        ".hidden.tmp",
        "notes.txt",
    ];
    theirs.iter().for_each(|name| std::fs::write(out.join(name), b"precious").unwrap());
    std::fs::create_dir(out.join("data/shard-00008.parquet")).unwrap();
    std::fs::write(place.at("elsewhere"), b"precious").unwrap();
    symlink(place.at("elsewhere"), out.join("data/shard-00009.parquet")).unwrap();
    std::fs::write(out.join("data/shard-00007.parquet"), b"ours, without a commit").unwrap();
    std::fs::write(out.join("data/.shard-00007.parquet.1f-2.tmp"), b"ours, half written").unwrap();
    assert_eq!(run(&out, 1), [0; 0]);
    for name in theirs {
        assert_eq!(std::fs::read(out.join(name)).unwrap(), b"precious", "{name}");
    }
    assert!(out.join("data/shard-00008.parquet").is_dir());
    assert_eq!(std::fs::read(out.join("data/shard-00009.parquet")).unwrap(), b"precious");
    assert!(!out.join("data/shard-00007.parquet").exists());
    assert!(!out.join("data/.shard-00007.parquet.1f-2.tmp").exists());
}

#[test]
fn nothing_is_removed_through_a_link() {
    for linked in ["data", "commits"] {
        for finished in [true, false] {
            let place = Place::new();
            let (out, disk) = (place.at("out"), place.at("disk"));
            if finished {
                drop(run(&out, 1))
            } else {
                begin(&out, 1, &[0, 1])
            }
            std::fs::rename(out.join(linked), &disk).unwrap();
            std::fs::write(disk.join("thesis.tex"), b"precious").unwrap();
            std::fs::write(disk.join("shard-00007.parquet"), b"precious").unwrap();
            symlink(&disk, out.join(linked)).unwrap();
            let error = open_job(&out, 1).unwrap_err();
            assert!(matches!(error, DatasetError::Linked { .. }), "{error}");
            assert_eq!(error.fault().exit_code(), 2);
            assert!(["thesis.tex", "shard-00007.parquet"].iter().all(|name| disk.join(name).exists()));
        }
    }
}

#[test]
fn an_older_jobs_folder_is_refused_and_its_finished_data_still_read() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    std::fs::write(out.join("job.json"), br#"{"format": 1, "fingerprint": "f"}"#).unwrap();
    let error = open_job(&out, 1).unwrap_err().to_string();
    assert!(error.contains("has format 1") && error.contains("finish it with the version that began it"), "{error}");
    edit(&out.join("manifest.json"), |manifest| {
        manifest["format"] = 1.into();
        manifest["fingerprint"] = "f".into();
        manifest.as_object_mut().unwrap().remove("failures_file");
    });
    // The files were written without marks then; these have some of another job.
    let error = refusal(out.clone());
    assert!(matches!(error, DatasetError::NotAsListed { .. }), "{error}");
    let job = Folder::open(&place.at("other")).unwrap();
    JobId::default().with("seed", 1).write(&job, "job.json").unwrap();
    let fingerprint = JobId::default().with("seed", 1).fingerprint();
    edit(&out.join("job.json"), |job| job["fingerprint"] = fingerprint.clone().into());
    edit(&out.join("manifest.json"), |manifest| manifest["fingerprint"] = fingerprint.into());
    assert_eq!(open(&out).rows(), 16);
}

#[test]
fn readers_refuse_a_shard_that_is_not_the_listed_one() {
    let file = |out: &Path, shard: u64| out.join(format!("data/shard-{shard:05}.parquet"));
    let spoil: [(fn(&Path, PathBuf, PathBuf), &str); 4] = [
        (|_, one, two| put(one, two), "shard"),
        (
            |out, one, two| {
                std::fs::rename(&one, out.join("x")).unwrap();
                std::fs::rename(&two, one).unwrap();
                std::fs::rename(out.join("x"), two).unwrap();
            },
            "shard",
        ),
        (|_, one, _| std::fs::remove_file(one).unwrap(), "no such file"),
        (
            |out, one, _| {
                let (batch, features) = numbered_batch(0, 4);
                std::fs::remove_file(&one).unwrap();
                crate::support::write(&one, &batch, &features);
                assert!(out.join("manifest.json").exists());
            },
            "are listed",
        ),
    ];
    for (spoil, told) in spoil {
        let place = Place::new();
        let out = place.at("out");
        run(&out, 1);
        spoil(&out, file(&out, 1), file(&out, 2));
        for path in [out.clone(), out.join("data")] {
            let error = refusal(path).to_string();
            assert!(error.contains(told) && error.contains("shard-0000"), "{error}");
        }
    }
}

#[test]
fn the_data_of_an_unfinished_job_is_no_dataset() {
    let place = Place::new();
    let out = place.at("out");
    begin(&out, 1, &[0, 1]);
    symlink(out.join("data"), place.at("link")).unwrap();
    for path in [out.clone(), out.join("data"), out.join("data/."), out.join("commits/../data"), place.at("link")] {
        let error = refusal(path);
        assert!(matches!(error, DatasetError::Unfinished { .. }), "{error}");
    }
    // Its files can be named one by one.
    assert_eq!(open(&out.join("data/shard-00001.parquet")).rows(), 4);
    // Of a finished one it is the dataset, unless something else lies there.
    run(&out, 1);
    for path in [out.join("data"), place.at("link")] {
        assert_eq!(open(&path).rows(), 16);
    }
    put(out.join("data/shard-00000.parquet"), out.join("data/a.parquet"));
    let error = refusal(out.join("data"));
    assert!(matches!(&error, DatasetError::Mixed { reason, .. } if reason.contains("a.parquet")), "{error}");
    assert_eq!(open(&out).rows(), 16, "the manifest does not list it");
}

#[test]
fn other_programs_may_have_a_job_and_a_data_folder() {
    let place = Place::new();
    std::fs::create_dir(place.at("data")).unwrap();
    std::fs::write(place.at("job.json"), b"{\"cron\": \"daily\"}").unwrap();
    std::fs::write(place.at("manifest.json"), b"[]").unwrap();
    crate::support::numbered(&place.at("data/a.parquet"), 0, 7, 10);
    assert_eq!(open(&place.at("data")).rows(), 7);
}

#[test]
fn a_copied_folder_of_shards_must_be_one_whole_job() {
    let place = Place::new();
    begin(&place.at("part"), 1, &[0, 1, 2]);
    run(&place.at("whole"), 1);
    run(&place.at("other"), 2);
    let mixed = |name: &str, told: &str| {
        let error = refusal(place.at(name));
        assert!(matches!(&error, DatasetError::Mixed { reason, .. } if reason.contains(told)), "{error}");
    };
    copy(&place.at("part/data"), &place.at("copy"));
    mixed("copy", "it holds 3 of the 4 shards of a job; shard 3 is missing");
    copy(&place.at("whole/data"), &place.at("good"));
    assert_eq!(open(&place.at("good")).rows(), 16);
    copy(&place.at("whole/data"), &place.at("both"));
    put(place.at("other/data/shard-00002.parquet"), place.at("both/shard-00002.parquet"));
    mixed("both", "shard-00002.parquet by the job");
    copy(&place.at("whole/data"), &place.at("twice"));
    put(place.at("twice/shard-00002.parquet"), place.at("twice/z.parquet"));
    mixed("twice", "shard-00002.parquet and z.parquet are both shard 2");
    copy(&place.at("whole/data"), &place.at("strange"));
    crate::support::numbered(&place.at("strange/mine.parquet"), 0, 7, 10);
    mixed("strange", "was not written by the job");
    // Files that a user names are read as they are.
    let named = [place.at("whole/data/shard-00002.parquet"), place.at("other/data/shard-00002.parquet")];
    assert_eq!(Dataset::open(&named).unwrap().rows(), 8);
}

#[test]
fn rows_read_from_a_shard_and_written_elsewhere_are_no_shard() {
    let place = Place::new();
    run(&place.at("out"), 1);
    let dataset = open(&place.at("out"));
    let batches: Vec<_> = dataset.read(None, 0..3, 10).unwrap().map(|batch| batch.unwrap()).collect();
    std::fs::create_dir(place.at("new")).unwrap();
    crate::support::write(&place.at("new/a.parquet"), &batches[0], dataset.features());
    assert_eq!(open(&place.at("new")).rows(), 3);
}

#[test]
fn a_manifest_names_its_own_shards_and_adds_up() {
    let edits: [(fn(&mut Value), &str); 5] = [
        (|manifest| manifest["shards"][1]["file"] = "../../secret.parquet".into(), "another file for shard 1"),
        (|manifest| manifest["shards"][1]["file"] = "data/shard-00002.parquet".into(), "another file for shard 1"),
        (|manifest| drop(manifest["shards"].as_array_mut().unwrap().remove(1)), "shard 2 where shard 1 belongs"),
        (|manifest| manifest["rows"] = 15.into(), "says 15 rows"),
        (|manifest| manifest["format"] = 3.into(), "has format 3"),
    ];
    for (change, told) in edits {
        let place = Place::new();
        run(&place.at("out"), 1);
        edit(&place.at("out/manifest.json"), change);
        let error = refusal(place.at("out")).to_string();
        assert!(error.contains(told), "{error}");
        run(&place.at("out"), 1);
        assert_good(&place.at("out"), 1);
    }
}

#[test]
fn verification_finds_one_bit_and_all_that_is_missing() {
    let flip = |path: PathBuf| {
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.len() / 3;
        bytes[place] ^= 4;
        std::fs::write(path, bytes).unwrap();
    };
    let spoil: [(&dyn Fn(&Place), &str); 7] = [
        (&|place| flip(place.at("out/data/shard-00002.parquet")), "data/shard-00002.parquet"),
        (&|place| flip(place.at("out/failures.parquet")), "failures.parquet"),
        (&|place| std::fs::remove_file(place.at("out/failures.parquet")).unwrap(), "failures.parquet"),
        (&|place| std::fs::remove_file(place.at("out/data/shard-00000.parquet")).unwrap(), "data/shard-00000.parquet"),
        (&|place| std::fs::write(place.at("out/data/x.parquet"), b"x").unwrap(), "data/x.parquet"),
        (
            &|place| edit(&place.at("out/commits/00003.json"), |commit| commit["blake3"] = "0".into()),
            "commits/00003.json",
        ),
        (&|place| std::fs::write(place.at("out/order.json"), b"{").unwrap(), "order.json"),
    ];
    for (spoil, file) in spoil {
        let place = Place::new();
        run(&place.at("out"), 1);
        let manifest = Manifest::read(&place.at("out")).unwrap();
        spoil(&place);
        let found = manifest.verify(&place.at("out")).unwrap();
        assert_eq!(found.damaged.iter().map(|damage| damage.file.as_str()).collect::<Vec<_>>(), [file]);
    }
}

#[test]
fn content_is_that_of_the_files_in_order_and_nothing_else() {
    let place = Place::new();
    let [a, b] = ["a.parquet", "b.parquet"].map(|name| place.at(name));
    crate::support::numbered(&a, 0, 7, 10);
    crate::support::numbered(&b, 7, 7, 10);
    let content = |paths: &[&PathBuf]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
        Dataset::open(&paths).unwrap().content().unwrap()
    };
    let both = content(&[&a, &b]);
    assert_ne!(both, content(&[&b, &a]));
    assert_ne!(both, content(&[&a]));
    let moved = place.at("elsewhere.parquet");
    std::fs::rename(&a, &moved).unwrap();
    assert_eq!(both, content(&[&moved, &b]));
    // One byte of one value, in a column that is not compressed: length and footer stay.
    let mut bytes = std::fs::read(&moved).unwrap();
    let at = bytes.windows(9).position(|window| window == b"picture 3").unwrap();
    bytes[at + 8] = b'8';
    std::fs::write(&moved, bytes).unwrap();
    assert_ne!(both, content(&[&moved, &b]));
}

//! Readers and `verify` compare an output folder with its records.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::jobs::{Place, assert_good, begin, copy, edit, put, refusal, run};
use crate::support::{numbered_batch, open};
use anyflow_datasets::{Dataset, DatasetError, Manifest};
use serde_json::Value;

/// A change of an output folder and the files of two of its shards, and the reader's error.
type Exchange = (fn(&Path, PathBuf, PathBuf), &'static str);
/// A change of a manifest, and the reader's error.
type Edit = (fn(&mut Value), &'static str);
/// A change of an output, and the file that is then damaged.
type Spoiled<'s> = (&'s dyn Fn(&Place), &'s str);

#[test]
fn readers_refuse_a_shard_that_is_not_the_listed_one() {
    let file = |out: &Path, shard: u64| out.join(format!("data/shard-{shard:05}.parquet"));
    let spoil: [Exchange; 4] = [
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
fn the_data_of_an_unfinished_job_is_refused() {
    let place = Place::new();
    let out = place.at("out");
    begin(&out, 1, &[0, 1]);
    symlink(out.join("data"), place.at("link")).unwrap();
    for path in [
        out.clone(),
        out.join("data"),
        out.join("data/."),
        out.join("commits/../data"),
        place.at("link"),
        out.join("data/*.parquet"),
        place.at("*/data/shard-*"),
    ] {
        let error = refusal(path);
        assert!(matches!(error, DatasetError::Unfinished { .. }), "{error}");
    }
    // Its files can be read one by one.
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
fn a_copied_folder_of_shards_must_hold_one_whole_job() {
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
    // Files that the user names directly are read unchecked.
    let named = [place.at("whole/data/shard-00002.parquet"), place.at("other/data/shard-00002.parquet")];
    assert_eq!(Dataset::open(&named).unwrap().rows(), 8);
}

#[test]
fn rows_copied_from_a_shard_are_not_marked_as_one() {
    let place = Place::new();
    run(&place.at("out"), 1);
    let dataset = open(&place.at("out"));
    let batches: Vec<_> = dataset.read(None, 0..3, 10).unwrap().map(|batch| batch.unwrap()).collect();
    std::fs::create_dir(place.at("new")).unwrap();
    crate::support::write(&place.at("new/a.parquet"), &batches[0], dataset.features());
    assert_eq!(open(&place.at("new")).rows(), 3);
}

#[test]
fn a_manifest_with_contradictions_is_refused() {
    let edits: [Edit; 5] = [
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
fn verification_finds_a_flipped_bit_and_missing_files() {
    let flip = |path: PathBuf| {
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.len() / 3;
        bytes[place] ^= 4;
        std::fs::write(path, bytes).unwrap();
    };
    let spoil: [Spoiled; 7] = [
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
fn the_content_hash_depends_only_on_the_files_in_order() {
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

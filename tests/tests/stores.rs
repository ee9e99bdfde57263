//! Jobs that read from and write to an object store: a real S3-compatible server, and bad lines to it.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyflow_datasets::{Dataset, Feature, Manifest, OwnedCell, TableWriter};
use anyflow_tests::{BUCKET, Fault, Line, Numbers, Output, Passing, Store, files_below, wait_for, write_columns};
use serde_json::Value;

/// The rows of a file, without the mark of the job that wrote them: copies of a shard are refused as a dataset.
fn unmarked(file: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let dataset = Dataset::open(&[file.to_path_buf()]).unwrap();
    let mut writer = TableWriter::create(&path, dataset.schema(), dataset.features()).unwrap();
    for batch in dataset.read(None, 0..dataset.rows(), 1024).unwrap() {
        writer.write(&batch.unwrap().rows).unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(path).unwrap()
}

type Variables = Vec<(&'static str, OsString)>;

/// 24 rows in 8 shards, of which rows 4 and 20 fail.
fn project() -> Numbers {
    let numbers = Numbers::new();
    let value = |row: i32| if [4, 20].contains(&row) { f64::NAN } else { f64::from(row) };
    numbers.write_rows(&(0..24).map(value).collect::<Vec<_>>(), |row| row as i64 % 2);
    numbers
}

fn address(name: &str) -> String {
    format!("s3://{BUCKET}/{name}")
}

fn arguments<'a>(input: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let base = ["run", "pipeline.yaml", "--input", input, "--output", output, "--shard-rows", "3", "--batch-rows", "8"];
    [&base, more].concat()
}

fn run(numbers: &Numbers, variables: &Variables, input: &str, output: &str, more: &[&str]) -> Output {
    numbers.call(variables, &arguments(input, output, more))
}

/// What a finished output in the store is: its manifest without the names of files, which are checked by their hashes.
fn finished(store: &Store, folder: &str) -> Value {
    let manifest: Manifest = serde_json::from_slice(&store.get(&format!("{folder}/manifest.json"))).unwrap();
    let mut listed: Vec<String> = manifest.shards.iter().filter_map(|shard| shard.file.clone()).collect();
    listed.sort();
    let data = store.keys(&format!("{folder}/data"));
    let there: Vec<&str> = data.iter().filter_map(|key| key.strip_prefix(&format!("{folder}/"))).collect();
    assert_eq!(there, listed, "no file without a commit");
    for shard in &manifest.shards {
        let Some(file) = &shard.file else { continue };
        let content = store.get(&format!("{folder}/{file}"));
        assert_eq!(blake3::hash(&content).to_hex().to_string(), shard.blake3, "{file}");
    }
    let failures = store.get(&format!("{folder}/failures.parquet"));
    let listed = manifest.failures_file.as_ref().unwrap();
    assert_eq!(blake3::hash(&failures).to_hex().to_string(), listed.blake3);
    without_names(&manifest)
}

fn without_names(manifest: &Manifest) -> Value {
    let mut value = serde_json::to_value(manifest).unwrap();
    value["shards"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(|shard| drop(shard.as_object_mut().unwrap().remove("file")));
    value
}

fn on_disk(numbers: &Numbers, output: &str) -> Value {
    without_names(&Manifest::read(&numbers.path(output)).unwrap())
}

#[test]
fn a_job_gives_the_same_files_on_a_disk_and_in_a_store_and_in_parts() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let variables = store.variables();
    run(&numbers, &variables, "rows.parquet", "whole", &[]).ok();
    let whole = on_disk(&numbers, "whole");
    let output = run(&numbers, &variables, "rows.parquet", &address("whole"), &[]).ok();
    assert!(output.out.contains("s3://bucket/whole/data (8 files)"), "{output:?}");
    assert_eq!(finished(&store, "whole"), whole);
    for parts in [1, 3, 11] {
        let (disk, folder) = (format!("parts-{parts}"), format!("parts-{parts}"));
        for part in 1..=parts {
            let share = format!("{part}/{parts}");
            run(&numbers, &variables, "rows.parquet", &disk, &["--shards", &share]).ok();
            run(&numbers, &variables, "rows.parquet", &address(&folder), &["--shards", &share]).ok();
        }
        for output in [disk.as_str(), &address(&folder)] {
            let finished = numbers.call(&variables, &["finish", output]).ok();
            assert!(finished.out.contains("rows    22") && finished.out.contains("failed  2"), "{finished:?}");
            numbers.call(&variables, &["data", "verify", output]).ok();
        }
        assert_eq!(on_disk(&numbers, &disk), whole);
        assert_eq!(finished(&store, &folder), whole);
        let again = run(&numbers, &variables, "rows.parquet", &address(&folder), &["--shards", "1/3"]);
        assert!(again.code == 2 && again.err.contains("holds a finished job"), "{again:?}");
    }
    // A finished output is an input like one on the disk, with the same identity: the hashes of its manifest.
    for (input, output) in [("whole", "next"), (&address("whole"), "next-stored")] {
        run(&numbers, &variables, input, output, &[]).ok();
    }
    run(&numbers, &variables, &address("whole"), &address("next"), &[]).ok();
    assert_eq!(on_disk(&numbers, "next-stored"), on_disk(&numbers, "next"));
    assert_eq!(finished(&store, "next"), on_disk(&numbers, "next"));
    let head = |input: &str| numbers.call(&variables, &["--json", "data", "head", input, "-n", "30"]).ok().json();
    assert_eq!(head(&address("whole")), head("whole"));
}

#[test]
fn what_is_missing_in_a_store_is_named_and_can_be_done_later() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let variables = store.variables();
    let out = address("out");
    let none = numbers.call(&variables, &["finish", &out]);
    assert!(none.code == 2 && none.err.contains("no such file or folder"), "{none:?}");
    run(&numbers, &variables, "rows.parquet", &out, &["--shards", "1/2"]).ok();
    let died = [variables.clone(), vec![("ANYFLOW_FAILPOINT", "committed:1".into())]].concat();
    assert_ne!(run(&numbers, &died, "rows.parquet", &out, &["--shards", "2/2"]).code, 0);
    let half = numbers.call(&variables, &["finish", &out]);
    let missing = "of 8 shards these are missing: 6, 7; parts that are not complete: 2-of-2";
    assert!(half.code == 1 && half.err.contains(missing), "{half:?}");
    let jobs = numbers.call(&variables, &["jobs", &out]).ok();
    assert!(jobs.out.contains("1-of-2   complete") && jobs.out.contains("2-of-2   begun by process"), "{jobs:?}");
    let unfinished = numbers.call(&variables, &["data", "inspect", &out]);
    assert!(unfinished.code == 2 && unfinished.err.contains("has not finished"), "{unfinished:?}");
    let other = run(&numbers, &variables, "rows.parquet", &out, &["--shards", "2/2", "--seed", "9"]);
    assert!(other.code == 2 && other.err.contains("another job") && other.err.contains("seed"), "{other:?}");
    run(&numbers, &variables, "rows.parquet", &out, &["--shards", "2/2"]).ok();
    numbers.call(&variables, &["finish", &out]).ok();
    numbers.call(&variables, &["finish", &out]).ok();
    run(&numbers, &variables, "rows.parquet", "whole", &[]).ok();
    assert_eq!(finished(&store, "out"), on_disk(&numbers, "whole"));
    let jobs = numbers.call(&variables, &["--json", "jobs", &out]).ok().json();
    assert_eq!((&jobs["parts"][0]["complete"], &jobs["parts"][0]["rows"]), (&true.into(), &22.into()));
}

#[test]
fn a_kill_anywhere_loses_and_doubles_nothing() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let variables = store.variables();
    run(&numbers, &variables, "rows.parquet", "whole", &[]).ok();
    let whole = on_disk(&numbers, "whole");
    let points =
        ["job-named", "file-written:2", "shard-renamed:0", "shard-uploaded:0", "shard-uploaded:5", "committed:0"];
    let points = points.into_iter().chain(["committed:7", "failures-written", "card-written", "finished"]);
    for (number, point) in points.enumerate() {
        let folder = format!("out-{number}");
        let died = [variables.clone(), vec![("ANYFLOW_FAILPOINT", point.into())]].concat();
        assert_ne!(run(&numbers, &died, "rows.parquet", &address(&folder), &[]).code, 0, "{point} is not reached");
        let before = store.keys(&format!("{folder}/commits"));
        run(&numbers, &variables, "rows.parquet", &address(&folder), &[]).ok();
        assert_eq!(finished(&store, &folder), whole, "{point}");
        let again = before.iter().filter(|key| {
            let commit: Value = serde_json::from_slice(&store.get(key)).unwrap();
            commit["attempt"] != 1
        });
        assert_eq!(again.count(), 0, "{point}: a committed shard is not done again");
    }
}

/// A front whose engine writes to a store by a slow line, so that it can be killed in between.
fn started(numbers: &Numbers, variables: &Variables, output: &str, more: &[&str]) -> Child {
    let mut command = numbers.command(variables, &arguments("rows.parquet", output, more));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_killed_front_leaves_a_job_that_goes_on() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let slow = |passing: &Passing<'_>| match passing.method {
        "PUT" => Fault::Delay(Duration::from_millis(60)),
        _ => Fault::None,
    };
    run(&numbers, &store.variables(), "rows.parquet", "whole", &[]).ok();
    for (number, commits) in [1, 3, 6].into_iter().enumerate() {
        let line = Line::to(&store, slow);
        let folder = format!("out-{number}");
        let mut front = started(&numbers, &line.variables(), &address(&folder), &[]);
        wait_for("commits", || store.keys(&format!("{folder}/commits")).len() >= commits);
        front.kill().unwrap();
        front.wait().unwrap();
        run(&numbers, &store.variables(), "rows.parquet", &address(&folder), &[]).ok();
        assert_eq!(finished(&store, &folder), on_disk(&numbers, "whole"), "killed after {commits} commits");
    }
}

#[test]
fn two_commands_at_once_commit_each_shard_once() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let line = Line::to(&store, |_| Fault::Delay(Duration::from_millis(5)));
    run(&numbers, &store.variables(), "rows.parquet", "whole", &[]).ok();
    let mut both = [(), ()].map(|()| started(&numbers, &line.variables(), &address("out"), &[]));
    for front in &mut both {
        assert!(front.wait().unwrap().success());
    }
    assert_eq!(finished(&store, "out"), on_disk(&numbers, "whole"));
    assert_eq!(store.keys("out/commits").len(), 8);
}

#[test]
fn a_bad_line_costs_time_only() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    run(&numbers, &store.variables(), "rows.parquet", "whole", &[]).ok();
    type Rule = fn(&Passing<'_>) -> Fault;
    let rules: [(&str, Rule); 4] = [
        ("busy", |passing| if passing.number % 4 == 1 { Fault::Busy } else { Fault::None }),
        ("broken", |passing| if passing.number % 5 == 2 { Fault::Reset } else { Fault::None }),
        // The answer to every first put of an object is lost: also of records that are put only if there are none.
        ("lost", |passing| match (passing.method, passing.number % 3) {
            ("PUT", 0 | 1) => Fault::LoseAnswer,
            _ => Fault::None,
        }),
        (
            "slow",
            |passing| if passing.number % 6 == 0 { Fault::Delay(Duration::from_millis(300)) } else { Fault::None },
        ),
    ];
    for (name, rule) in rules {
        let line = Line::to(&store, rule);
        run(&numbers, &line.variables(), "rows.parquet", &address(name), &[]).ok();
        assert!(line.faults() > 3, "{name}: {} faults", line.faults());
        assert_eq!(finished(&store, name), on_disk(&numbers, "whole"), "{name}");
        let commits = store.keys(&format!("{name}/commits"));
        assert_eq!(commits.len(), 8, "{name}");
    }
    // A store that is gone ends the command, and the same command goes on later.
    let line =
        Line::to(
            &store,
            |passing| {
                if passing.number > 12 && passing.method == "PUT" { Fault::Reset } else { Fault::None }
            },
        );
    let cut = run(&numbers, &line.variables(), "rows.parquet", &address("cut"), &[]);
    assert!(cut.code == 1 && cut.err.contains("s3://bucket/cut") && cut.err.contains("same command"), "{cut:?}");
    run(&numbers, &store.variables(), "rows.parquet", &address("cut"), &[]).ok();
    assert_eq!(finished(&store, "cut"), on_disk(&numbers, "whole"));
}

fn run_to(output: &str) -> Vec<&str> {
    arguments("rows.parquet", output, &[])
}

#[test]
fn stores_that_cannot_hold_a_job_are_refused() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let forgetful = Line::to(&store, |_| Fault::DropConditions);
    let refused = |variables: &Variables, arguments: &[&str], reason: &str| {
        let output = numbers.call(variables, arguments);
        assert!(output.code == 2 && output.err.contains(reason), "{output:?}");
    };
    refused(&forgetful.variables(), &run_to("s3://bucket/forgetful"), "cannot put an object on the condition");
    assert_eq!(store.keys("forgetful"), ["forgetful/job.json"]);
    let variables = store.variables();
    refused(&variables, &run_to(&format!("http://{}/out", store.address)), "a web server takes no output");
    refused(&variables, &run_to("ftp://host/out"), "its scheme is none of");
    refused(&variables, &arguments("s3://bucket/none", "out", &[]), "no such file or folder");
    let sweep = ["--sweep", "joint.sampler.steps=1,2"];
    refused(&variables, &arguments("rows.parquet", "s3://bucket/sweep", &sweep), "writes its sub-folders");
    refused(&variables, &["train", "train.yaml", "--output", "s3://bucket/trained"], "only `anyflow run` writes");
    let split = ["data", "split", "rows.parquet", "--fractions", "0.5,0.5", "--output", "s3://bucket/split"];
    refused(&variables, &split, "only `anyflow run` writes");
    store.put("foreign/data/a.parquet", b"rows of others");
    refused(&variables, &run_to("s3://bucket/foreign"), "which no job of Anyflow left there");
    assert_eq!(store.keys("foreign"), ["foreign/data/a.parquet"]);
    assert!(!numbers.path("s3:").exists() && !numbers.path("ftp:").exists());
}

#[test]
fn a_dataset_in_a_store_reads_like_one_on_a_disk() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let variables = store.variables();
    let rows = unmarked(&numbers.path("rows.parquet"));
    let visible = ["set/a.parquet", "set/test/part-2.parquet", "set/test/part-10.parquet"];
    let hidden = ["set/.hidden/a.parquet", "set/_private.parquet"];
    for name in visible.into_iter().chain(hidden).chain([
        "hive/lang=de/0.parquet",
        "hive/lang=en/0.parquet",
        "both/train.parquet",
        "both/test.parquet",
    ]) {
        store.put(name, &rows);
        std::fs::create_dir_all(numbers.path(name).parent().unwrap()).unwrap();
        std::fs::write(numbers.path(name), &rows).unwrap();
    }
    let card = "---\nconfigs:\n- config_name: default\n  data_files: 'h/*/*.parquet'\n---\n";
    store.put("carded/README.md", card.as_bytes());
    for name in ["h/lang=de/0.parquet", "b.parquet"] {
        store.put(&format!("carded/{name}"), &rows);
        std::fs::create_dir_all(numbers.path("carded").join(name).parent().unwrap()).unwrap();
        std::fs::write(numbers.path("carded").join(name), &rows).unwrap();
    }
    numbers.write("carded/README.md", card);
    let named = [
        "set/a.parquet",
        "set/test",
        "set#all",
        "both#test",
        "hive",
        "set/*/part-{2,10}.parquet",
        "set/*.parquet",
        "carded",
    ];
    let same = |command: &[&str], name: &str| {
        let of = |input: &str| numbers.call(&variables, &[&["--json", "data"], command, &[input]].concat());
        let (disk, stored) = (of(name), of(&address(name)));
        assert_eq!((stored.code, disk.code), (0, 0), "{name}: {stored:?} {disk:?}");
        let [disk, stored] =
            [disk.out, stored.out.replace("s3://bucket/", "")].map(|out| out.replace("fingerprint", ""));
        assert_eq!(stored, disk, "{command:?} {name}");
    };
    for name in named {
        same(&["inspect"], name);
        same(&["head", "-n", "100"], name);
    }
    // What is refused on a disk is refused in a store, for the same reason.
    for name in ["set", "set#train", "set#test", "both", "set/none*", "set/.hidden/none"] {
        let of = |input: &str| numbers.call(&variables, &["data", "inspect", input]);
        let (disk, stored) = (of(name), of(&address(name)));
        assert_eq!((stored.code, disk.code), (2, 2), "{name}: {stored:?}");
        assert_eq!(stored.err.replace("s3://bucket/", ""), disk.err, "{name}");
    }
    let survey =
        numbers.call(&variables, &["--json", "data", "survey", &address("set/test"), "--pipeline", "pipeline.yaml"]);
    assert_eq!(survey.ok().json()["rows"], 48);
    let web = format!("http://{}/{BUCKET}/set/a.parquet", store.address);
    let web = numbers.call(&variables, &["--json", "data", "head", &web, "-n", "100"]).ok();
    let disk = numbers.call(&variables, &["--json", "data", "head", "set/a.parquet", "-n", "100"]).ok();
    assert_eq!(web.out, disk.out);
}

#[test]
fn rows_from_a_store_are_those_of_the_disk_and_a_changed_object_is_noticed() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let variables = store.variables();
    store.put("rows/a.parquet", &std::fs::read(numbers.path("rows.parquet")).unwrap());
    run(&numbers, &variables, "rows.parquet", "from-disk", &[]).ok();
    run(&numbers, &variables, &address("rows"), "from-store", &[]).ok();
    run(&numbers, &variables, &address("rows"), &address("out"), &[]).ok();
    assert_eq!(finished(&store, "out"), on_disk(&numbers, "from-store"));
    let rows = |output: &str| numbers.call(&variables, &["--json", "data", "head", output, "-n", "100"]).ok().out;
    assert_eq!(rows("from-store"), rows("from-disk"), "the files differ only in the job that they name");
    numbers.write_rows(&(0..24).map(|row| f64::from(row) + 0.5).collect::<Vec<_>>(), |row| row as i64 % 2);
    store.put("rows/a.parquet", &std::fs::read(numbers.path("rows.parquet")).unwrap());
    let changed = run(&numbers, &variables, &address("rows"), &address("out"), &[]);
    assert!(changed.code == 2 && changed.err.contains("input:"), "{changed:?}");
}

#[test]
fn only_the_needed_bytes_travel() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let rows = 48;
    let blobs = (0..rows).map(|_| Some(OwnedCell::Bytes((0..100_000).map(|_| noise()).collect()))).collect();
    let values = (0..rows).map(|row| Some(OwnedCell::F64(f64::from(row)))).collect();
    let columns =
        vec![("blob", Feature::Value("binary".into()), blobs), ("value", Feature::Value("float64".into()), values)];
    let folder = numbers.path("wide");
    write_columns(&folder, columns);
    let file = unmarked(&files_below(&folder.join("data"), "parquet").remove(0));
    assert!(file.len() > 4_800_000);
    // Several files, so that footers are read side by side.
    (0..3).for_each(|number| store.put(&format!("wide/{number}.parquet"), &file));
    let line = Line::to(&store, |_| Fault::None);
    let out = address("narrow");
    run(&numbers, &line.variables(), &address("wide"), &out, &["--keep", "value"]).ok();
    let narrow = line.answered();
    assert!(narrow < 2_000_000, "{narrow} bytes for one narrow column of {} bytes", 3 * file.len());
    assert_eq!(finished(&store, "narrow")["rows"], 3 * rows);
    let whole = Line::to(&store, |_| Fault::None);
    run(&numbers, &whole.variables(), &address("wide"), "wide-out", &["--keep", "*"]).ok();
    let gets = whole.requests().iter().filter(|request| request.starts_with("GET")).count();
    assert!(whole.answered() as usize > 3 * file.len() && gets < 120, "{gets} requests");
    let read = Dataset::open(&[numbers.path("wide-out")]).unwrap();
    assert_eq!(read.rows(), 3 * rows as u64);
}

#[test]
fn folders_of_thousands_of_objects_are_listed() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let rows = unmarked(&numbers.path("rows.parquet"));
    // A page of a listing has 1,000 names.
    let count = 1_100;
    (0..count).for_each(|number| store.put(&format!("many/part-{number}.parquet"), &rows));
    let line = Line::to(&store, |_| Fault::None);
    let inspected = numbers.call(&line.variables(), &["--json", "data", "inspect", &address("many")]).ok().json();
    assert_eq!(inspected["rows"], 24 * count);
    let files = inspected["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!((names[2], names[10]), ("s3://bucket/many/part-2.parquet", "s3://bucket/many/part-10.parquet"));
    let mut kinds: BTreeMap<bool, usize> = BTreeMap::new();
    line.requests().iter().for_each(|request| *kinds.entry(request.contains("list-type")).or_default() += 1);
    assert!(kinds[&true] <= 3 && kinds[&false] <= count + 20, "one request for each footer: {kinds:?}");
}

#[test]
fn nothing_stays_behind_in_the_folder_of_temporary_files() {
    let Some(store) = Store::start() else { return };
    let numbers = project();
    let folder = numbers.path("temporary");
    std::fs::create_dir(&folder).unwrap();
    let variables = [store.variables(), vec![("TMPDIR", folder.clone().into())]].concat();
    run(&numbers, &variables, "rows.parquet", &address("out"), &[]).ok();
    let left = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left(&folder), 0);
    let died = [variables.clone(), vec![("ANYFLOW_FAILPOINT", "shard-renamed:2".into())]].concat();
    assert_ne!(run(&numbers, &died, "rows.parquet", &address("died"), &[]).code, 0);
    assert_eq!(left(&folder), 1, "a killed process cannot clean up");
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    let staged = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::File::open(staged).unwrap().set_modified(old).unwrap();
    run(&numbers, &variables, "rows.parquet", &address("died"), &[]).ok();
    assert_eq!(left(&folder), 0, "the next one does");
}

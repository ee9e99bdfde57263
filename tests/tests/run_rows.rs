//! `run --where`, `--skip` and `--draws`: the same rows with the same noise as in a run over all of them.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{Numbers, Output, anyflow, cells, digit_png, write_columns};

fn call(numbers: &Numbers, output: &str, variables: &[(&str, OsString)], more: &[&str]) -> Output {
    numbers.call(variables, &[&Numbers::run_of("rows.parquet", output), more].concat())
}

fn run(numbers: &Numbers, output: &str, more: &[&str]) -> Vec<(f64, f64)> {
    call(numbers, output, &[], more).ok();
    values(numbers, output)
}

/// The columns `value` and `made` of an output.
fn values(numbers: &Numbers, output: &str) -> Vec<(f64, f64)> {
    let column = |name: &str| {
        let real = |cell| if let OwnedCell::F64(real) = cell { real } else { panic!("{cell:?}") };
        cells(&numbers.path(output), name).into_iter().map(real).collect::<Vec<f64>>()
    };
    column("value").into_iter().zip(column("made")).collect()
}

#[test]
fn selected_rows_are_those_of_the_whole_run() {
    let numbers = Numbers::new();
    let all = run(&numbers, "all", &[]);
    assert_eq!(all.len(), 24);
    let odd: Vec<_> = all.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(run(&numbers, "odd", &["--where", "label = 1"]), odd);
    assert_eq!(run(&numbers, "last", &["--skip", "5"]), all[5..]);
    assert_eq!(run(&numbers, "some", &["--skip", "5", "--rows", "7"]), all[5..12]);
    assert_eq!(run(&numbers, "few", &["--where", "label=1", "--skip", "2", "--rows", "3"]), odd[2..5]);
    let apart: Vec<_> = all.iter().copied().filter(|(value, _)| *value < 3.0 || *value >= 20.0).collect();
    assert_eq!(run(&numbers, "apart", &["--where", "value < 3 or not value < 20"]), apart);
}

#[test]
fn draws_repeat_rows_and_count() {
    let numbers = Numbers::new();
    let drawn = run(&numbers, "drawn", &["--draws", "3", "--where", "value >= 2"]);
    let again = run(&numbers, "again", &["--draws", "3", "--skip", "2"]);
    assert_eq!(drawn, again, "however the rows are selected");
    assert_eq!(drawn.len(), 66);
    for (row, draws) in drawn.chunks(3).enumerate() {
        assert!(draws.iter().all(|(value, _)| *value == (row + 2) as f64), "{draws:?}");
    }
    let draw: Vec<OwnedCell> = cells(&numbers.path("drawn"), "draw");
    assert_eq!(draw, [0, 1, 2].repeat(22).into_iter().map(OwnedCell::I64).collect::<Vec<_>>());
    let kept = call(&numbers, "kept", &[], &["--draws", "2", "--keep"]).ok();
    let dataset = Dataset::open(&[numbers.path("kept")]).unwrap();
    assert_eq!(dataset.features().keys().collect::<Vec<_>>(), ["draw", "value", "made"], "{}", kept.out);
}

/// Sounds that MLD makes of four images without keys, in equal batches.
fn sounds(folder: &Path, output: &str, more: &[&str]) -> Vec<OwnedCell> {
    let pipeline = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/image-to-audio.yaml");
    let [data, output] = ["data", output].map(|name| folder.join(name));
    let line: [&OsStr; 10] = [
        "run".as_ref(),
        pipeline.as_ref(),
        "--input".as_ref(),
        data.as_ref(),
        "--output".as_ref(),
        output.as_ref(),
        "--set".as_ref(),
        "joint.sampler.steps=2".as_ref(),
        "--batch-rows=1".as_ref(),
        "--shard-rows=1".as_ref(),
    ];
    anyflow(line.into_iter().chain(more.iter().map(OsStr::new)).chain(["--threads=1".as_ref()])).ok();
    cells(&output, "audio")
}

#[test]
fn noise_belongs_to_the_row_and_the_draw() {
    let folder = tempfile::tempdir().unwrap();
    let images = [3, 3, 3, 5].map(|digit| Some(OwnedCell::Bytes(digit_png(digit, 0)))).to_vec();
    write_columns(&folder.path().join("data"), vec![("image", Feature::Image, images)]);
    let all = sounds(folder.path(), "all", &[]);
    let distinct = |sounds: &[OwnedCell]| (1..sounds.len()).all(|at| !sounds[..at].contains(&sounds[at]));
    assert!(all.len() == 4 && distinct(&all));
    assert_eq!(sounds(folder.path(), "skip", &["--skip", "2"]), all[2..], "rows keep their numbers, hence their noise");
    let drawn = sounds(folder.path(), "drawn", &["--draws", "3"]);
    assert!(drawn.len() == 12 && distinct(&drawn));
    assert_eq!(sounds(folder.path(), "again", &["--draws", "3", "--skip", "1", "--rows", "2"]), drawn[3..9]);
}

#[test]
fn a_killed_run_of_selected_rows_resumes_with_the_same_bytes() {
    let numbers = Numbers::new();
    let selection = ["--where", "label = 1 or value < 4", "--draws", "2"];
    call(&numbers, "whole", &[], &selection).ok();
    let whole = numbers.files("whole");
    let shards = whole.keys().filter(|path| path.starts_with("data")).count();
    assert_eq!(shards, 4, "14 rows in shards of 4 rows, each twice");
    for published in [5, 8] {
        let point = [("ANYFLOW_FAILPOINT", format!("file-published:{published}").into())];
        assert_ne!(call(&numbers, "cut", &point, &selection).code, 0);
        call(&numbers, "cut", &[], &selection).ok();
        let cut = numbers.files("cut");
        for (path, bytes) in whole.iter().filter(|(path, _)| path.starts_with("data")) {
            assert_eq!(cut.get(path), Some(bytes), "{} after {published} files", path.display());
        }
        std::fs::remove_dir_all(numbers.path("cut")).unwrap();
    }
    for (other, remedy) in [
        (["--where", "label = 1", "--draws", "2"], "use --where label = 1 or value < 4"),
        (["--where", "label = 1 or value < 4", "--draws", "3"], "use --draws 2"),
    ] {
        let refused = call(&numbers, "whole", &[], &other);
        assert!(refused.code == 2 && refused.err.contains(remedy), "{}", refused.err);
    }
}

#[test]
fn conditions_that_cannot_hold_are_refused_before_anything_starts() {
    let numbers = Numbers::new();
    for (more, words) in [
        (["--where", "labl = 1"], "did you mean `label`"),
        (["--where", "label = "], "expected a number, a text in '...', `true` or `false`, at character 9"),
        (["--where", "label = 'cat'"], "column `label`"),
        (["--where", "value > 99"], "no rows that --where and --skip select"),
        (["--skip", "24"], "no rows that --where and --skip select"),
        (["--draws", "0"], "--draws"),
    ] {
        let refused = call(&numbers, "never", &[], &more);
        assert!(refused.code == 2 && refused.err.contains(words), "{more:?}: {}", refused.err);
        assert!(!numbers.path("never").exists(), "{more:?}");
    }
    numbers.edit("pipeline.yaml", "made: fresh", "draw: fresh");
    let refused = call(&numbers, "never", &[], &["--draws", "2"]);
    assert!(refused.code == 2 && refused.err.contains("adds a column `draw`"), "{}", refused.err);
}

//! Runs and trainings read train, validation and test rows together only if the user says so.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_tests::Numbers;

/// 24 rows of each of two splits in `set`.
fn project() -> Numbers {
    let numbers = Numbers::new();
    std::fs::create_dir(numbers.path("set")).unwrap();
    let rows: String = (0..24).map(|row| format!("{row}.5\n")).collect();
    numbers.write("rows.csv", &format!("value\n{rows}"));
    for split in ["test", "train"] {
        let file = format!("set/{split}-00000-of-00001.parquet");
        numbers.call(&[], &["data", "import", "rows.csv", "--output", &file]).ok();
    }
    numbers
}

#[test]
fn runs_and_trainings_refuse_several_splits_of_a_folder_or_pattern() {
    let numbers = project();
    let training = std::fs::read_to_string(numbers.path("train.yaml")).unwrap();
    for (at, input) in ["set", "set/*.parquet", "**/*-of-*.parquet"].into_iter().enumerate() {
        let source = |part: &str| {
            numbers.write(
                "train.yaml",
                &training.replace("{rows: rows.parquet}", &format!("{{rows: \"{input}{part}\"}}")),
            );
            numbers.train(&format!("trained-{at}{part}"), &[])
        };
        let run = |part: &str| {
            let output = format!("out-{at}{part}");
            numbers.call(
                &[],
                &["--json", "run", "pipeline.yaml", "--input", &format!("{input}{part}"), "--output", &output],
            )
        };
        for refused in [source(""), run("")] {
            assert_eq!(refused.code, 2, "{input}: {refused:?}");
            let words =
                "it holds the splits test, train, which are not read together unless you say so; name one of these: ";
            let text = refused.err + &refused.out;
            assert!(text.contains(words) && text.contains("#all"), "{input}: {text}");
        }
        for (part, rows) in [("#train", 24), ("#all", 48)] {
            assert_eq!(run(part).ok().json()["rows"], rows, "{input}{part}");
            source(part).ok();
        }
    }
    assert_eq!(numbers.run("one", &[]).code, 0);
}

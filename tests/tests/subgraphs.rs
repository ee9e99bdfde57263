//! Pipelines as parts of another pipeline (`use`), and cells that one node makes and another reads.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::process::Command;

use anyflow_datasets::OwnedCell;
use anyflow_tests::{Numbers, anyflow, cells, python, write_digits};

const WHOLE: &str = "anyflow: 1
name: whole
model: model.yaml
inputs: {seen: {modality: number, column: value}}
nodes:
  part: {use: parts/../pipeline.yaml, inputs: {seen: seen}, with: {joint: {seed: 8}}}
  again: {use: pipeline.yaml, inputs: {seen: part.made}}
outputs: {value: part.value, made: part.made, copied: again.value}
";

fn reals(numbers: &Numbers, output: &str, column: &str) -> Vec<f64> {
    let real = |cell| if let OwnedCell::F64(real) = cell { real } else { panic!("{cell:?}") };
    cells(&numbers.path(output), column).into_iter().map(real).collect()
}

#[test]
fn a_part_makes_what_its_own_file_makes() {
    let numbers = Numbers::new();
    // Fresh weights draw the same number from any noise.
    numbers.train("trained", &[]).ok();
    numbers.edit("model.yaml", "weights/model.safetensors", "trained/model.safetensors");
    numbers.write("whole.yaml", WHOLE);
    let run = |file: &str, output: &str, more: &[&str]| {
        let arguments = ["run", file, "--input", "rows.parquet", "--output", output, "--batch-rows", "8"];
        numbers.call(&[], &[&arguments[..], more].concat()).ok();
    };
    run("whole.yaml", "whole", &[]);
    run("pipeline.yaml", "alone", &["--set", "joint.seed=8"]);
    for column in ["value", "made"] {
        assert_eq!(reals(&numbers, "whole", column), reals(&numbers, "alone", column), "{column}");
    }
    // The second part reads the numbers that the first one drew, and gives them back.
    assert_eq!(reals(&numbers, "whole", "copied"), reals(&numbers, "whole", "made"));
    run("whole.yaml", "seeded", &["--seed", "3"]);
    run("pipeline.yaml", "alone-3", &["--seed", "3"]);
    assert_eq!(reals(&numbers, "seeded", "made"), reals(&numbers, "alone-3", "made"));
    assert_ne!(reals(&numbers, "seeded", "made"), reals(&numbers, "whole", "made"));
}

#[test]
fn failures_name_the_node_of_the_part() {
    let numbers = Numbers::new();
    numbers.write("whole.yaml", &WHOLE.replace("parts/../", ""));
    numbers.edit("whole.yaml", "column: value", "column: holed");
    let values: Vec<_> = (0..6).map(|row| Some(OwnedCell::F64(if row == 2 { f64::NAN } else { row as f64 }))).collect();
    let feature = anyflow_datasets::Feature::Value("float64".into());
    anyflow_tests::write_columns(&numbers.path("data"), vec![("holed", feature, values)]);
    let output = numbers.call(&[], &["run", "whole.yaml", "--input", "data", "--output", "out", "--json"]).ok().json();
    assert_eq!((output["rows"].as_u64(), output["failed"].as_u64()), (Some(5), Some(1)));
    let nodes = cells(&numbers.path("out/failures.parquet"), "node");
    assert_eq!(nodes, [OwnedCell::Utf8("part/within".into())]);
}

#[test]
fn missing_and_circular_parts_are_refused() {
    let numbers = Numbers::new();
    numbers.write("whole.yaml", &WHOLE.replace("use: pipeline.yaml", "use: absent.yaml"));
    let check = || numbers.call(&[], &["check", "whole.yaml"]);
    let absent = check();
    assert!(absent.code == 2 && absent.err.contains("absent.yaml") && absent.err.contains("whole.yaml"), "{absent:?}");
    numbers.write("whole.yaml", &WHOLE.replace("use: pipeline.yaml", "use: other.yaml"));
    numbers.write("other.yaml", &WHOLE.replace("use: pipeline.yaml", "use: whole.yaml"));
    let circle = check();
    assert!(circle.code == 2 && circle.err.contains("other.yaml:7:16"), "{circle:?}");
    assert!(circle.err.contains("whole.yaml -> other.yaml -> whole.yaml"), "{circle:?}");
}

#[test]
fn the_shipped_pipeline_draws_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_digits(&data, 6);
    let run = |file: &str, set: &[&str], input: &std::path::Path, output: &str| {
        let file = format!("pipelines/mld/{file}.yaml");
        let output = folder.path().join(output);
        let arguments =
            ["run", &file, "--threads", "1", "--batch-rows", "8", "--seed", "5", "--input"].map(String::from);
        let rest = [input.display().to_string(), "--output".into(), output.display().to_string()];
        anyflow(arguments.into_iter().chain(rest).chain(set.iter().map(ToString::to_string))).ok();
        output
    };
    let same_seed = ["--set", "drawn.with.joint.seed=5"];
    let whole = run("image-to-audio-to-image", &same_seed, &data, "whole");
    let spoken = run("image-to-audio", &[], &data, "spoken");
    let drawn = run("audio-to-image", &[], &spoken, "drawn");
    assert_eq!(cells(&whole, "audio"), cells(&spoken, "audio"), "the same speech as from the part alone");
    assert_eq!(cells(&whole, "drawing"), cells(&drawn, "image"), "the same drawing as from the written speech");

    let Some(python) = python() else { return };
    let script = "import sys, glob, pyarrow.parquet as pq\n\
                  table = pq.read_table(glob.glob(sys.argv[1] + '/data/*.parquet')[0])\n\
                  rows = table.to_pylist()\n\
                  assert len(rows) == 6 and all(row['drawing']['bytes'][:4] == b'\\x89PNG' for row in rows), table.schema\n\
                  assert all(row['audio']['bytes'][:4] == b'RIFF' for row in rows)\n";
    let output = Command::new(python).args(["-c", script]).arg(&whole).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

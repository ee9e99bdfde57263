//! The quick training and its evaluation on generated data, with fewer steps.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;
use std::process::Command;

use anyflow_datasets::Dataset;
use anyflow_plan::findings::Findings;
use anyflow_tests::{Workspace, anyflow, python};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const FILES: [&str; 4] = ["quick/model.yaml", "quick/train.yaml", "quick/eval.yaml", "words.txt"];
const STAGES: [&str; 7] = [
    "image-judge",
    "audio-judge",
    "text-judge",
    "image-autoencoder",
    "audio-autoencoder",
    "text-autoencoder",
    "diffusion",
];

/// A folder with copies of the files, since their outputs are relative to them.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    std::fs::create_dir_all(workspace.path("pipelines/mld/quick")).unwrap();
    for name in FILES {
        let place = format!("pipelines/mld/{name}");
        std::fs::copy(Path::new(ROOT).join(&place), workspace.path(&place)).unwrap();
    }
    workspace
}

fn command(workspace: &Workspace, command: &str, file: &str, output: &str, set: &[String]) -> Value {
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    workspace.call(command, &format!("pipelines/mld/quick/{file}"), output, &set).ok().json()
}

fn train(workspace: &Workspace) -> Value {
    let mut set: Vec<String> = STAGES.map(|stage| format!("{stage}.steps=15")).to_vec();
    set.push("digits.rows=120".into());
    command(workspace, "train", "train.yaml", "pipelines/mld/quick/trained", &set)
}

fn eval(workspace: &Workspace) -> Value {
    let set = ["digits.rows=60", "seen.rows=60", "rows=20", "seeds=[1, 2]", "joint.min_coherence=0"];
    let samplers = ["ddim.sampler.steps=3", "heun.sampler.steps=2"];
    let set: Vec<String> = set.into_iter().chain(samplers).map(String::from).collect();
    command(workspace, "eval", "eval.yaml", "out/quick-eval", &set)
}

#[test]
fn generated_data_trains_a_model_and_its_evaluation_has_every_figure() {
    let workspace = workspace();
    let trained = train(&workspace);
    assert_eq!(trained["stages"].as_array().unwrap().len(), 8);
    let training = workspace.path("pipelines/mld/quick/trained");
    assert!(training.join("model.safetensors").exists() && training.join("scorers.safetensors").exists());
    let data = training.join("data/digits.parquet");
    assert_eq!(Dataset::open(std::slice::from_ref(&data)).unwrap().rows(), 120);
    let made = std::fs::metadata(&data).unwrap().modified().unwrap();
    train(&workspace);
    assert_eq!(std::fs::metadata(&data).unwrap().modified().unwrap(), made, "the same rows are not generated again");

    let findings: Findings = serde_json::from_value(eval(&workspace)).unwrap();
    let written = std::fs::read(workspace.path("out/quick-eval/eval.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Findings>(&written).unwrap(), findings);
    complete(&findings);

    let page = workspace.path("report.html").display().to_string();
    let output = workspace.path("out/quick-eval").display().to_string();
    anyflow(["report", &output, "--output", &page]).ok();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("image+audio-to-text+label") && page.contains("heun"));
}

fn complete(findings: &Findings) {
    assert_eq!(findings.judges.keys().collect::<Vec<_>>(), ["image", "audio", "text", "label"]);
    for (stream, real) in &findings.judges {
        let features = stream != "label";
        assert_eq!(
            real.floor.as_ref().is_some_and(|floor| floor.rows == 40 && floor.against == 60),
            features,
            "{stream}"
        );
        assert_eq!(real.diversity.is_some(), features, "{stream}");
    }
    assert_eq!(findings.judges["label"].accuracy, 1.0);
    assert_eq!(findings.variants.keys().collect::<Vec<_>>(), ["ddim", "heun"]);
    for variant in findings.variants.values() {
        assert_eq!(variant.reconstructed.len(), 4);
        assert_eq!(variant.reconstructed["label"].accuracy, 1.0);
        assert!(variant.reconstructed["image"].frechet.as_ref().unwrap().value > 0.0);
    }
    assert_eq!(findings.tasks.len(), 15, "the joint and 14 subsets of four streams");
    for (name, task) in &findings.tasks {
        assert!(task.passed, "{name}");
        for (variant, answer) in &task.variants {
            // Heun calls the network twice a step, but for the last.
            assert_eq!(answer.network_calls_per_row, 3.0, "{name} {variant}");
            assert_eq!(answer.coherence.per_seed.len(), 2);
            assert!(answer.seconds_per_row > 0.0 && answer.rows_per_second > 0.0);
            assert_eq!(answer.streams.keys().collect::<Vec<_>>(), task.generate.iter().collect::<Vec<_>>());
            for (stream, figures) in &answer.streams {
                assert_eq!(figures.accuracy.is_some(), !task.observe.is_empty());
                let rows = figures.frechet.as_ref().map(|frechet| (frechet.rows, frechet.against));
                assert_eq!(rows, (stream != "label").then_some((40, 60)), "{name} {stream}");
            }
        }
    }
}

#[test]
fn pyarrow_reads_generated_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("glyphs.parquet").display().to_string();
    let made = anyflow(["data", "generate", "glyphs", "--rows", "25", "--seed", "4", "--output", &file, "--json"]);
    assert_eq!(made.ok().json()["rows"], 25);
    let Some(python) = python() else { return };
    let script = r#"
import json, struct, sys
import pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
assert table.schema.metadata[b"anyflow.generated"] == b"glyphs 1 rows=25 seed=4", table.schema.metadata
assert features["image"]["_type"] == "Image" and features["audio"]["sampling_rate"] == 8000, features
assert len(features["label"]["names"]) == 10 and features["text"]["dtype"] == "string", features
assert str(table.schema.field("label").type) == "int64", table.schema
rows = table.to_pylist()
assert [row["label"] for row in rows] == [n % 10 for n in range(25)]
for row in rows:
    png, wav = row["image"]["bytes"], row["audio"]["bytes"]
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (28, 28)
    assert wav[:4] == b"RIFF" and struct.unpack("<I", wav[24:28]) == (8000,) and 4000 < len(wav) < 9000
assert rows[3]["text"] == "three" and rows[3]["image"] != rows[13]["image"]
"#;
    let output = Command::new(python).args(["-c", script, &file]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

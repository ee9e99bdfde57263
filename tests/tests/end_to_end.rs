//! The shipped pipelines with the shipped weights.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_datasets::{CellColumn, Dataset, Feature, OwnedCell};
use anyflow_tests::{anyflow, python, write_columns, write_digits};
use serde_json::Value;

fn pipeline(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld")).join(name)
}

fn run(name: &str, output: &Path, more: &[&str]) -> Value {
    let pipeline = pipeline(name);
    let arguments = ["run".as_ref(), pipeline.as_os_str(), "--output".as_ref(), output.as_os_str(), "--json".as_ref()];
    let more = more.iter().map(OsStr::new);
    anyflow(arguments.into_iter().chain(more).chain(["--threads", "1"].map(AsRef::as_ref))).ok().json()
}

/// The cells of a column of a dataset.
fn column(folder: &Path, name: &str) -> Vec<OwnedCell> {
    let dataset = Dataset::open(&[folder.to_path_buf()]).unwrap();
    let mut cells = Vec::new();
    for batch in dataset.read(None, 0..dataset.rows(), 64).unwrap() {
        let column: CellColumn = dataset.cells(&batch.unwrap(), name).unwrap();
        cells.extend((0..column.len()).map(|row| column.get(row).unwrap().unwrap().into_owned()));
    }
    cells
}

fn labels(folder: &Path) -> Vec<i64> {
    let number = |cell: OwnedCell| if let OwnedCell::I64(n) = cell { n } else { panic!("{cell:?}") };
    column(folder, "label").into_iter().map(number).collect()
}

fn pixels(cell: &OwnedCell) -> Vec<u8> {
    let OwnedCell::Bytes(bytes) = cell else { panic!("{cell:?}") };
    image::load_from_memory(bytes).unwrap().to_luma8().into_raw()
}

#[test]
fn every_shipped_pipeline_runs_on_the_output_of_the_joint_one() {
    let folder = tempfile::tempdir().unwrap();
    let joint = folder.path().join("joint");
    let result = run("joint.yaml", &joint, &["--rows", "24", "--set", "joint.sampler.steps=10"]);
    assert_eq!((result["rows"].as_u64(), result["failed"].as_u64()), (Some(24), Some(0)));
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("image-to-audio.yaml", &["image"], &["audio"]),
        ("audio-to-image.yaml", &["audio"], &["image"]),
        ("text-to-image-audio.yaml", &["text"], &["image", "audio"]),
        ("label-to-image-audio.yaml", &["label"], &["image", "audio"]),
        ("image-audio-to-label.yaml", &["image", "audio"], &["label"]),
        ("image-to-audio-text.yaml", &["image"], &["audio", "text"]),
        ("audio-to-image-text.yaml", &["audio"], &["image", "text"]),
    ];
    for (name, given, made) in cases {
        let output = folder.path().join(name);
        let input = joint.display().to_string();
        let result = run(name, &output, &["--input", &input, "--set", "joint.sampler.steps=10"]);
        assert_eq!(result["rows"].as_u64(), Some(24), "{name}");
        let dataset = Dataset::open(std::slice::from_ref(&output)).unwrap();
        // Inputs are copied unless an output has the same name.
        for column_name in ["image", "audio", "text", "label"] {
            let before = column(&joint, column_name);
            let after = column(&output, column_name);
            if made.contains(&column_name) {
                // A generated class may equal the input; a generated image or sound never does.
                let media = ["image", "audio"].contains(&column_name);
                assert!(!media || before != after, "{name}: {column_name} was not made");
            } else {
                assert_eq!(before, after, "{name}: {column_name} did not pass through");
            }
        }
        assert!(given.iter().all(|g| dataset.column(g).is_ok()));
        assert_eq!(*dataset.column("image").unwrap(), Feature::Image);
    }
}

#[test]
fn pyarrow_reads_the_output_as_the_features_say() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    run("joint.yaml", &folder.path().join("joint"), &["--rows", "6", "--set", "joint.sampler.steps=4"]);
    let script = r#"
import sys, json, glob, struct
import pyarrow.parquet as pq
files = [f for f in glob.glob(sys.argv[1] + "/**/*.parquet", recursive=True) if "failures" not in f]
table = pq.read_table(files[0])
features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
assert features["image"]["_type"] == "Image", features
assert features["audio"]["_type"] == "Audio", features
rows = table.to_pylist()
assert len(rows) == 6
for row in rows:
    png, wav = row["image"]["bytes"], row["audio"]["bytes"]
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (28, 28)
    assert wav[:4] == b"RIFF" and wav[8:12] == b"WAVE" and len(wav) > 4000
    assert row["label"] in range(10) and isinstance(row["text"], str)
failures = pq.read_table(sys.argv[1] + "/failures.parquet")
assert failures.num_rows == 0 and failures.column_names[0] == "row_key", failures.column_names
print("read")
"#;
    let output = Command::new(python).args(["-c", script]).arg(folder.path().join("joint")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn output_bytes_depend_on_the_seed_only() {
    let folder = tempfile::tempdir().unwrap();
    let output = |name: &str| folder.path().join(name);
    run("joint.yaml", &output("a"), &["--rows", "8", "--batch-rows", "64", "--set", "joint.sampler.steps=5"]);
    run("joint.yaml", &output("b"), &["--rows", "8", "--batch-rows", "64", "--set", "joint.sampler.steps=5"]);
    run(
        "joint.yaml",
        &output("c"),
        &["--rows", "8", "--batch-rows", "64", "--set", "joint.sampler.steps=5", "--set", "joint.seed=8"],
    );
    for name in ["image", "audio", "text", "label"] {
        assert_eq!(column(&output("a"), name), column(&output("b"), name), "{name}");
    }
    assert_ne!(column(&output("a"), "image"), column(&output("c"), "image"));
}

#[test]
fn a_row_does_not_depend_on_batch_size_or_position() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let reversed = folder.path().join("reversed");
    write_digits(&data, 14);
    let mut columns = Vec::new();
    for (name, feature) in [("id", Feature::Value("string".into())), ("image", Feature::Image)] {
        columns.push((name, feature, column(&data, name).into_iter().rev().map(Some).collect()));
    }
    write_columns(&reversed, columns);
    let run = |name: &str, input: &Path, shard: &str| {
        let output = folder.path().join(name);
        let input = input.display().to_string();
        let steps = "joint.sampler.steps=10";
        self::run("image-to-audio-text.yaml", &output, &["--input", &input, "--shard-rows", shard, "--set", steps]);
        output
    };
    let whole = run("whole", &data, "1024");
    let ones = run("ones", &data, "1");
    let sevens = run("sevens", &data, "7");
    let back = run("back", &reversed, "1024");
    let texts = |folder: &Path| column(folder, "text");
    assert_eq!(texts(&whole), texts(&ones));
    assert_eq!(texts(&whole), texts(&sevens));
    assert_eq!(texts(&whole), texts(&back).into_iter().rev().collect::<Vec<_>>());
    // Another batch size uses another kernel of libtorch: f32 latents agree to 1e-5, and so do the sounds, except for
    // single samples that Griffin-Lim rounds differently.
    for (a, b) in column(&whole, "audio").iter().zip(column(&sevens, "audio").iter()) {
        let (OwnedCell::Bytes(a), OwnedCell::Bytes(b)) = (a, b) else { panic!("sounds are bytes") };
        assert_eq!(a.len(), b.len());
        assert!(loudness_difference(a, b) < 0.02, "{}", loudness_difference(a, b));
    }
}

/// Difference of the energies in 16 segments of two WAVs, relative to the larger energy.
fn loudness_difference(a: &[u8], b: &[u8]) -> f64 {
    let energies = |bytes: &[u8]| -> Vec<f64> {
        let samples: Vec<f64> =
            hound::WavReader::new(bytes).unwrap().into_samples::<i16>().map(|s| f64::from(s.unwrap())).collect();
        samples.chunks(samples.len().div_ceil(16)).map(|c| c.iter().map(|s| s * s).sum::<f64>().sqrt()).collect()
    };
    let a = energies(a);
    let b = energies(b);
    let largest = a.iter().copied().fold(1.0, f64::max);
    a.iter().zip(&b).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max)
}

#[test]
fn a_killed_run_resumes_and_has_each_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = folder.path().join("out");
    write_digits(&data, 300);
    let pipeline = pipeline("image-audio-to-label.yaml");
    let arguments = |output: &Path| {
        let text = |path: &Path| path.display().to_string();
        let input = ["run".into(), text(&pipeline), "--input".into(), text(&data), "--output".into(), text(output)];
        let more = ["--shard-rows", "20", "--threads", "1", "--set", "joint.sampler.steps=40"].map(String::from);
        input.into_iter().chain(more).collect::<Vec<String>>()
    };
    let mut front = Command::new(anyflow_tests::target().join("anyflow"))
        .args(arguments(&output))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let committed = || std::fs::read_dir(output.join("commits")).map(|entries| entries.count()).unwrap_or(0);
    while committed() < 3 {
        assert!(front.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", front.id())).unwrap();
    for pid in children.split_whitespace().map(str::to_string).chain([front.id().to_string()]) {
        Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
    front.wait().unwrap();
    assert!(Dataset::open(std::slice::from_ref(&output)).is_err(), "a run without manifest is not a dataset");
    anyflow(arguments(&output)).ok();
    let ids = column(&output, "id");
    assert_eq!(ids, column(&data, "id"));
    let whole = folder.path().join("whole");
    anyflow(arguments(&whole)).ok();
    assert_eq!(labels(&output), labels(&whole));
}

#[test]
fn generated_images_look_like_digits() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("joint");
    run("joint.yaml", &output, &["--rows", "40"]);
    let pictures = column(&output, "image");
    for picture in &pictures {
        let pixels = pixels(picture);
        let ink = pixels.iter().filter(|p| **p > 128).count();
        assert!((8..400).contains(&ink), "{ink} bright pixels");
        let border = (0..28).flat_map(|i| [i, 27 * 28 + i, i * 28, i * 28 + 27]).map(|at| pixels[at]).max();
        assert!(border < Some(100), "ink at the border: {border:?}");
    }
    let numbers = labels(&output);
    let mut classes = numbers.clone();
    classes.sort_unstable();
    classes.dedup();
    assert!(classes.len() >= 6, "only {classes:?} in 40 rows");
    let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let texts = column(&output, "text");
    let word = |label: i64| OwnedCell::Utf8(words[label as usize].into());
    let same = texts.iter().zip(&numbers).filter(|(text, label)| **text == word(**label)).count();
    assert!(same >= 32, "words and labels agree in {same} of 40 rows");
}

#[test]
fn a_timeline_is_json_with_the_work_of_every_thread() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.json");
    let steps = ["--set", "joint.sampler.steps=2", "--trace", &trace.display().to_string()];
    run("joint.yaml", &folder.path().join("joint"), &[&["--rows", "3"], &steps[..]].concat());
    let text = std::fs::read_to_string(&trace).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    for name in ["read", "compute", "write"] {
        let spans = events.iter().filter(|event| event["name"] == name && event["ph"] == "X");
        assert!(spans.clone().count() >= 1 && spans.clone().all(|event| event["tid"].is_u64()), "{name}");
    }
    assert!(events.iter().any(|event| event["args"]["name"] == "write"));
    run("joint.yaml", &folder.path().join("again"), &[&["--rows", "3"], &steps[..]].concat());
    assert!(std::fs::read_to_string(&trace).unwrap().len() < 2 * text.len(), "an earlier timeline is replaced");
}

#[test]
fn a_timeline_and_a_report_replace_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("joint");
    run("joint.yaml", &output, &["--rows", "3"]);
    let shard = output.join("data/shard-00000.parquet");
    let bytes = std::fs::read(&shard).unwrap();
    let pipeline = pipeline("joint.yaml");
    let run: [&OsStr; 8] = [
        "run".as_ref(),
        pipeline.as_os_str(),
        "--rows".as_ref(),
        "3".as_ref(),
        "--output".as_ref(),
        folder.path().as_os_str(),
        "--trace".as_ref(),
        shard.as_os_str(),
    ];
    let report: [&OsStr; 4] = ["report".as_ref(), output.as_os_str(), "--output".as_ref(), shard.as_os_str()];
    for arguments in [&run[..], &report[..]] {
        let refused = anyflow(arguments.iter().copied());
        assert!(refused.code == 1 && refused.err.contains("name"), "{refused:?}");
        assert!(std::fs::read(&shard).unwrap() == bytes, "the shard stays");
    }
}

#[test]
fn embeddings_are_columns_of_lists() {
    let folder = tempfile::tempdir().unwrap();
    let digits = folder.path().join("digits");
    write_digits(&digits, 6);
    let model = pipeline("model.yaml");
    let text = format!(
        "anyflow: 1\nname: embeddings\nmodel: {}\ninputs: {{image: {{modality: image}}}}\n\
         nodes:\n  latent: {{encode: image/autoencoder, from: image}}\n  back: {{decode: image/autoencoder, from: latent}}\n\
         outputs: {{embedding: latent, same: latent, image: back, copy: back}}\n",
        model.display()
    );
    let file = folder.path().join("embeddings.yaml");
    std::fs::write(&file, text).unwrap();
    let output = folder.path().join("out");
    anyflow([
        "run".as_ref(),
        file.as_os_str(),
        "--input".as_ref(),
        digits.as_os_str(),
        "--output".as_ref(),
        output.as_os_str(),
    ])
    .ok();
    let embeddings = column(&output, "embedding");
    assert_eq!(embeddings, column(&output, "same"));
    assert_eq!(column(&output, "image"), column(&output, "copy"));
    let mut seen = Vec::new();
    for cell in &embeddings {
        let OwnedCell::List(list) = cell else { panic!("{cell:?}") };
        let list = list.as_list();
        assert_eq!((list.depth(), list.lengths(), list.values().len()), (1, &[24][..], 24));
        assert!(list.values().iter().all(|value| f64::from(*value as f32) == *value && value.is_finite()));
        seen.push(list.values().to_vec());
    }
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "every digit has its own");
    assert_eq!(seen.len(), 6);

    let Some(python) = python() else { return };
    let script = "import sys, pyarrow as pa, pyarrow.parquet as pq\n\
                  table = pq.read_table(sys.argv[1] + '/data')\n\
                  assert table.schema.field('embedding').type.value_type == pa.float32(), table.schema\n\
                  assert [len(row) for row in table['embedding'].to_pylist()] == [24] * 6\n";
    assert!(Command::new(python).args(["-c", script]).arg(&output).status().unwrap().success());
}

//! Bad inputs: the error names place and remedy, the exit code is right, and good rows are kept.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{Output, anyflow, digit_png, tone_wav, write_columns, write_digits};

fn pipelines() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld")).to_path_buf()
}

/// A shipped pipeline with one change, next to a copy of the model.
fn changed(file: &str, from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("weights")).unwrap();
    for name in ["model.yaml", "words.txt", "weights/digits.safetensors", file] {
        std::fs::copy(pipelines().join(name), folder.path().join(name)).unwrap();
    }
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} does not contain {from}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    (folder, path)
}

fn run(pipeline: &Path, inputs: &[&Path], output: &Path) -> Output {
    let mut arguments: Vec<&std::ffi::OsStr> = vec!["run".as_ref(), pipeline.as_os_str()];
    if !inputs.is_empty() {
        arguments.push("--input".as_ref());
        arguments.extend(inputs.iter().map(|input| input.as_os_str()));
    }
    arguments.extend(["--output".as_ref(), output.as_os_str(), "--threads".as_ref(), "1".as_ref()]);
    arguments.extend(["--set", "joint.sampler.steps=2"].map(std::ffi::OsStr::new));
    anyflow(arguments)
}

#[track_caller]
fn says(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.code, code, "{}\n{}", output.out, output.err);
    for part in parts {
        assert!(output.err.contains(part), "{part:?} is missing in:\n{}", output.err);
    }
}

#[test]
fn yaml_errors_have_position_and_suggestion() {
    let cases = [
        ("image-to-audio.yaml", "image/autoencoder", "imag/autoencoder", "image"),
        ("image-to-audio.yaml", "image/autoencoder", "image/autoencodr", "image/autoencoder"),
        ("image-to-audio.yaml", "modality: image", "modality: imag", "image"),
        ("image-to-audio.yaml", "joint.audio", "joint.audi", "audio"),
        ("image-to-audio.yaml", "observe:", "observes:", "observe"),
        ("image-to-audio.yaml", "model.yaml", "modell.yaml", "modell.yaml"),
        ("image-to-audio.yaml", "kind: ddim", "kind: ddimm", "ddim"),
    ];
    for (file, from, to, wanted) in cases {
        let (_folder, path) = changed(file, from, to);
        let output = anyflow(["check".as_ref(), path.as_os_str()]);
        says(&output, 2, &[wanted, to.rsplit([' ', ':']).find(|part| !part.is_empty()).unwrap()]);
        if to != "modell.yaml" {
            assert!(output.err.contains(&format!("{file}:")), "no place in:\n{}", output.err);
        }
    }
}

#[test]
fn all_yaml_errors_are_reported_at_once() {
    let (_folder, path) = changed("image-to-audio.yaml", "modality: image", "modality: imag");
    let text = std::fs::read_to_string(&path).unwrap().replacen("joint.audio", "joint.audi", 1);
    std::fs::write(&path, text).unwrap();
    says(&anyflow(["check".as_ref(), path.as_os_str()]), 2, &["imag", "joint.audi"]);
}

#[test]
fn a_latent_of_another_shape_and_an_edge_of_another_modality_are_refused() {
    let (_folder, path) = changed("model.yaml", "latent: [10]", "latent: [11]");
    says(&anyflow(["check".as_ref(), path.as_os_str()]), 2, &["11", "10", "label"]);
    let (_folder, path) = changed("image-to-audio.yaml", "joint.audio", "seen");
    says(&anyflow(["check".as_ref(), path.as_os_str()]), 2, &["image", "audio"]);
}

#[test]
fn a_missing_column_or_an_empty_dataset_is_refused_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ids = vec![Some(OwnedCell::I64(1))];
    write_columns(
        &data,
        vec![("id", Feature::Value("int64".into()), ids.clone()), ("imagee", Feature::Value("int64".into()), ids)],
    );
    let pipeline = pipelines().join("image-to-audio.yaml");
    says(&run(&pipeline, &[&data], &folder.path().join("out")), 2, &["image", "imagee"]);
    let empty = folder.path().join("empty");
    write_columns(&empty, vec![("image", Feature::Image, Vec::new())]);
    says(&run(&pipeline, &[&empty], &folder.path().join("out")), 2, &["no rows"]);
    says(&run(&pipeline, &[&folder.path().join("nothing")], &folder.path().join("out")), 2, &["nothing"]);
    says(&run(&pipeline, &[], &folder.path().join("out")), 2, &["--input"]);
}

#[test]
fn missing_foreign_and_truncated_checkpoints_have_different_errors() {
    let out = tempfile::tempdir().unwrap();
    let output = out.path().join("out");
    let start = |pipeline: &Path| {
        let arguments = ["run".as_ref(), pipeline.as_os_str(), "--rows".as_ref(), "2".as_ref(), "--output".as_ref()];
        anyflow(arguments.into_iter().chain([output.as_os_str()]))
    };
    let (folder, path) = changed("joint.yaml", "joint", "joint");
    let weights = folder.path().join("weights/digits.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    says(&start(&path), 2, &["digits.safetensors", "not a complete safetensors file"]);
    std::fs::copy(pipelines().join("weights/judges.safetensors"), &weights).unwrap();
    says(&start(&path), 2, &["digits.safetensors", "does not belong to this model", "missing"]);
    std::fs::remove_file(&weights).unwrap();
    says(&start(&path), 2, &["digits.safetensors", "anyflow train"]);
}

#[test]
fn a_truncated_parquet_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("data"), 20);
    let data = Dataset::open(&[folder.path().join("data")]).unwrap();
    let bytes = std::fs::read(data.files().next().unwrap()).unwrap();
    let file = folder.path().join("cut.parquet");
    std::fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    let output = run(&pipelines().join("image-to-audio.yaml"), &[&file], &folder.path().join("out"));
    says(&output, 2, &["cut.parquet"]);
}

#[test]
fn a_bad_row_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut pictures: Vec<_> = (0..12).map(|n| Some(OwnedCell::Bytes(digit_png(n % 10, 0)))).collect();
    pictures[3] = Some(OwnedCell::Bytes(b"not a picture".to_vec()));
    pictures[7] = None;
    let cut = digit_png(5, 0);
    pictures[9] = Some(OwnedCell::Bytes(cut[..cut.len() / 2].to_vec()));
    let ids = (0..12).map(|n| Some(OwnedCell::Utf8(format!("row-{n}")))).collect();
    write_columns(&data, vec![("id", Feature::Value("string".into()), ids), ("image", Feature::Image, pictures)]);
    let out = folder.path().join("out");
    let output = run(&pipelines().join("image-to-audio.yaml"), &[&data], &out).ok();
    assert!(output.out.contains('3') || output.err.contains('3'), "{output:?}");
    assert_eq!(Dataset::open(std::slice::from_ref(&out)).unwrap().rows(), 9);
    let failures = Dataset::open(&[out.join("failures.parquet")]).unwrap();
    let rows: Vec<_> = failures.read(None, 0..3, 16).unwrap().collect::<Result<_, _>>().unwrap();
    let cells = |column: &str| -> Vec<String> {
        let cells = failures.cells(&rows[0], column).unwrap();
        (0..cells.len()).map(|row| format!("{:?}", cells.get(row).unwrap())).collect()
    };
    let keys = cells("row_key").join(" ");
    assert!(["row-3", "row-7", "row-9"].iter().all(|key| keys.contains(key)), "{keys}");
    assert!(cells("node").iter().all(|node| node.contains("seen")), "{:?}", cells("node"));
    assert!(cells("text").iter().all(|text| text.contains("column image")), "{:?}", cells("text"));
}

#[test]
fn labels_are_read_as_people_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pipeline = pipelines().join("label-to-image-audio.yaml");
    let column = |name: &str, feature: Feature, cells: Vec<Option<OwnedCell>>| {
        write_columns(&at(name), vec![("label", feature, cells)]);
        at(name)
    };
    let value = |dtype: &str| Feature::Value(dtype.into());
    // What pandas makes of integers with a gap.
    let floats = vec![Some(OwnedCell::F64(3.0)), None, Some(OwnedCell::F64(2.5))];
    let floats = column("floats", value("float64"), floats);
    run(&pipeline, &[&floats], &at("out")).ok();
    assert_eq!(Dataset::open(&[at("out")]).unwrap().rows(), 1);
    let failures = Dataset::open(&[at("out/failures.parquet")]).unwrap();
    let shown = format!("{:?}", anyflow_datasets::head(&failures, 9).unwrap());
    assert!(shown.contains("the cell is null") && shown.contains("2.5 is not a whole number"), "{shown}");
    let words = ["three", "one", "eleven"].map(|word| Some(OwnedCell::Utf8(word.into()))).to_vec();
    let words = column("words", value("string"), words);
    says(&run(&pipeline, &[&words], &at("no")), 2, &["column `label` holds words", "`names: [...]`"]);
    let names = "[zero, one, two, three, four, five, six, seven, eight, nine]";
    let from = "codec: {use: label/one-hot, classes: 10}";
    let model = std::fs::read_to_string(pipelines().join("model.yaml")).unwrap();
    assert!(model.contains(from));
    let (named, path) = changed("label-to-image-audio.yaml", "label", "label");
    let to = format!("codec: {{use: label/one-hot, classes: 10, names: {names}}}");
    std::fs::write(named.path().join("model.yaml"), model.replace(from, &to)).unwrap();
    run(&path, &[&words], &at("named")).ok();
    let shown =
        format!("{:?}", anyflow_datasets::head(&Dataset::open(&[at("named/failures.parquet")]).unwrap(), 9).unwrap());
    assert!(shown.contains("`eleven` names no class"), "{shown}");
    assert_eq!(Dataset::open(&[at("named")]).unwrap().rows(), 2);
    // An id that would not be used as the key.
    let ids = vec![Some(OwnedCell::F64(1.0))];
    write_columns(
        &at("ids"),
        vec![("id", value("float64"), ids), ("label", value("int64"), vec![Some(OwnedCell::I64(1))])],
    );
    says(&run(&pipeline, &[&at("ids")], &at("never")), 2, &["column `id` is float64", "--key"]);
}

#[test]
fn splits_are_named_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, label) in [("test", 1), ("train", 2)] {
        write_columns(&at(name), vec![("label", Feature::Value("int64".into()), vec![Some(OwnedCell::I64(label))])]);
        std::fs::create_dir_all(at("all")).unwrap();
        std::fs::copy(at(name).join("data/shard-00000.parquet"), at(&format!("all/{name}-00000-of-00001.parquet")))
            .unwrap();
    }
    let pipeline = pipelines().join("label-to-image-audio.yaml");
    says(&run(&pipeline, &[&at("all")], &at("out")), 2, &["the splits test, train", "all#train"]);
    let part = at("all#train");
    run(&pipeline, &[&part], &at("out")).ok();
    let rows = anyflow_datasets::head(&Dataset::open(&[at("out")]).unwrap(), 9).unwrap();
    assert_eq!((rows.len(), rows[0]["label"].clone()), (1, 2.into()));
}

#[test]
fn a_wav_that_does_not_decode_is_a_failed_row_and_too_many_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut sounds: Vec<_> = (0..6).map(|n| Some(OwnedCell::Bytes(tone_wav(n % 10, 0)))).collect();
    for row in [1, 2, 4] {
        sounds[row] = Some(OwnedCell::Bytes(b"RIFF but no more".to_vec()));
    }
    write_columns(&data, vec![("audio", Feature::Audio { sampling_rate: None }, sounds)]);
    let pipeline = pipelines().join("audio-to-image.yaml");
    run(&pipeline, &[&data], &folder.path().join("out")).ok();
    assert_eq!(Dataset::open(&[folder.path().join("out")]).unwrap().rows(), 3);
    let limited = folder.path().join("limited");
    let arguments = ["run".as_ref(), pipeline.as_os_str(), "--input".as_ref(), data.as_os_str(), "--output".as_ref()];
    let arguments = arguments.into_iter().chain([limited.as_os_str()]);
    let output = anyflow(arguments.chain(["--max-failures", "2"].map(AsRef::as_ref)));
    says(&output, 1, &["3 rows failed", "2 allowed"]);
}

#[test]
fn an_output_folder_of_another_job_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let out = folder.path().join("out");
    write_digits(&data, 10);
    run(&pipelines().join("image-to-audio.yaml"), &[&data], &out).ok();
    run(&pipelines().join("image-to-audio.yaml"), &[&data], &out).ok();
    says(&run(&pipelines().join("audio-to-image.yaml"), &[&data], &out), 2, &["out"]);
}

/// A pipeline whose module misbehaves: one number through the faulty plugin.
fn faulty(folder: &Path, fault: &str) -> PathBuf {
    let model = format!(
        "anyflow: 1\nname: numbers\ncheckpoint: out/model.safetensors\nstreams:\n  \
         numbers: {{codec: faulty/panics, module: {{use: faulty/network, fault: {fault}, seconds: 0.01}}, latent: [2]}}\n\
         denoisers:\n  only: {{over: [numbers], network: {{kind: residual-mlp, width: 8, blocks: 1}}, predict: x0}}\n"
    );
    std::fs::write(folder.join("model.yaml"), model).unwrap();
    let pipeline = folder.join("pipeline.yaml");
    let yaml = "anyflow: 1\nname: numbers\nmodel: model.yaml\nnodes:\n  \
                made: {diffuse: [numbers], sampler: {kind: ddim, steps: 2}}\n  \
                back: {decode: faulty/network, from: made.numbers}\noutputs: {text: back}\n";
    std::fs::write(&pipeline, yaml).unwrap();
    pipeline
}

#[test]
fn a_plugin_that_panics_or_kills_the_engine_is_named_and_the_front_survives() {
    let folder = tempfile::tempdir().unwrap();
    faulty(folder.path(), "none");
    let data = folder.path().join("data");
    let words = (0..8).map(|n| Some(OwnedCell::Utf8("x".repeat(n + 1)))).collect();
    write_columns(&data, vec![("text", Feature::Value("string".into()), words)]);
    let training = "anyflow: 1\nname: numbers\nmodel: model.yaml\nsources: {words: data}\n\
                    data: {all: {columns: {numbers: words.text}}}\nstages:\n  \
                    - {name: statistics, objective: {kind: statistics}, data: all}\n";
    std::fs::write(folder.path().join("train.yaml"), training).unwrap();
    let yaml = folder.path().join("train.yaml");
    let out = folder.path().join("out");
    anyflow(["train".as_ref(), yaml.as_os_str(), "--output".as_ref(), out.as_os_str()]).ok();
    let start = |fault: &str| {
        let pipeline = faulty(folder.path(), fault);
        let rows = folder.path().join(format!("rows-{fault}"));
        let arguments = ["run".as_ref(), pipeline.as_os_str(), "--rows".as_ref(), "3".as_ref(), "--output".as_ref()];
        anyflow(arguments.into_iter().chain([rows.as_os_str()]))
    };
    says(&start("panic"), 3, &["faulty/network", "panicked"]);
    says(&start("wrong-shape"), 3, &["faulty/network", "promises"]);
    says(&start("abort"), 3, &["faulty", "back"]);
}

//! Images, recordings and labels as they are found: the loaded plugins read every common format, and a row that cannot be read says
//! what its cell holds and how much of it is there.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;

use anyflow_datasets::{Cell, Dataset, Feature, OwnedCell};
use anyflow_tests::{Workspace, anyflow, write_columns};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn corpus(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(ROOT).join("tests/corpus").join(file)).unwrap()
}

fn cut(file: &str, percent: usize) -> Vec<u8> {
    let mut bytes = corpus(file);
    bytes.truncate(bytes.len() * percent / 100);
    bytes
}

/// Runs a pipeline of MLD over the cells; the number of good rows, and key and text of each failed one.
fn run(pipeline: &str, column: &str, feature: Feature, cells: &[(&str, Vec<u8>)], more: &[&str]) -> (u64, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let out = folder.path().join("out");
    let ids = cells.iter().map(|(id, _)| Some(OwnedCell::Utf8((*id).into()))).collect();
    let files = cells.iter().map(|(_, bytes)| Some(OwnedCell::Bytes(bytes.clone()))).collect();
    write_columns(&data, vec![("id", Feature::Value("string".into()), ids), (column, feature, files)]);
    let pipeline = Path::new(ROOT).join("pipelines/mld").join(pipeline).display().to_string();
    let (data, output) = (data.display().to_string(), out.display().to_string());
    let command = ["run", &pipeline, "--input", &data, "--output", &output, "--threads", "1"];
    anyflow(command.iter().chain(&["--set", "joint.sampler.steps=2"]).chain(more)).ok();
    let good = Dataset::open(std::slice::from_ref(&out)).unwrap().rows();
    let failures = out.join("failures.parquet");
    let mut failed = Vec::new();
    if failures.exists() {
        let failures = Dataset::open(&[failures]).unwrap();
        for batch in failures.read(None, 0..failures.rows(), 64).unwrap() {
            let batch = batch.unwrap();
            let column = |name: &str| {
                let cells = failures.cells(&batch, name).unwrap();
                let text = |row: usize| match cells.get(row).unwrap() {
                    Some(Cell::Utf8(text)) => text.to_string(),
                    other => panic!("{other:?}"),
                };
                (0..cells.len()).map(text).collect::<Vec<_>>()
            };
            failed
                .extend(column("row_key").into_iter().zip(column("text")).map(|(key, text)| format!("{key}: {text}")));
        }
    }
    (good, failed)
}

#[track_caller]
fn says(failed: &[String], wanted: &[(&str, &str)]) {
    assert_eq!(failed.len(), wanted.len(), "{failed:#?}");
    for (key, words) in wanted {
        assert!(failed.iter().any(|row| row.contains(key) && row.contains(words)), "{key}, {words}: {failed:#?}");
    }
}

#[test]
fn images_of_every_format_are_rows_and_other_cells_are_named() {
    let noise = corpus("image/good-noise.jpeg");
    let without_end = noise[..noise.len() - 2].to_vec();
    let mut zeros = noise.clone();
    zeros[noise.len() / 2..].fill(0);
    let good =
        ["webp", "tiff", "ppm", "ico", "jpeg", "gif", "bmp", "png"].map(|end| corpus(&format!("image/good.{end}")));
    let forms = ["palette", "16-colors", "bits", "gray-alpha", "ycbcr", "float"];
    let forms = forms.map(|form| ("good", corpus(&format!("image/good-{form}.tiff"))));
    let without_last = noise[..noise.len() - 1].to_vec();
    let ends = [("end", without_end), ("end", without_last)];
    let good = good.into_iter().map(|bytes| ("good", bytes)).chain(forms).chain(ends);
    let bad = [
        ("cut", cut("image/good-noise.jpeg", 60)),
        ("zeros", zeros),
        ("progressive", cut("image/good-progressive.jpeg", 60)),
        ("head", cut("image/good-noise.jpeg", 15)),
        ("png", cut("image/good.png", 60)),
        ("webp", corpus("image/cut.webp")),
        ("bmp", cut("image/good.bmp", 90)),
        ("zstd", corpus("image/zstd.tiff")),
        ("empty", Vec::new()),
        ("html", b"<!DOCTYPE html><html>403</html>".to_vec()),
        ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n".to_vec()),
        ("avif", corpus("image/image.avif")),
        ("wav", corpus("audio/good.wav")),
    ];
    let cells: Vec<_> = good.chain(bad).collect();
    let (rows, failed) = run("image-to-audio.yaml", "image", Feature::Image, &cells, &[]);
    assert_eq!(rows, 16, "{failed:#?}");
    says(
        &failed,
        &[
            ("webp", "of 48 lines are there; `partial: accept`"),
            ("bmp", " lines are there; `partial: accept`"),
            ("zstd", "is compressed with Zstandard, which is not read"),
            ("cut", "of 48 lines are there"),
            ("zeros", "the image ends early"),
            ("progressive", "coefficients"),
            ("head", "ends early, before its pixels"),
            ("png", "the image ends early"),
            ("empty", "the cell is empty, 0 bytes"),
            ("html", "an HTML page, not an image"),
            ("lfs", "a Git LFS pointer"),
            ("avif", "an AVIF image, which is not supported"),
            ("wav", "a WAV recording, not an image"),
        ],
    );
    let accept = "model.streams.image.codec={use: image/gray, partial: accept, fit: pad, invert: true, background: 1}";
    let cells = [
        ("cut", cut("image/good-noise.jpeg", 60)),
        ("png", cut("image/good.png", 60)),
        ("webp", corpus("image/cut.webp")),
        ("nothing", cut("image/good-interlaced.png", 5)),
    ];
    let (rows, failed) = run("image-to-audio.yaml", "image", Feature::Image, &cells, &["--set", accept]);
    assert_eq!((rows, failed.len()), (3, 1), "{failed:?}");
    says(&failed, &[("nothing", "0 of 48 lines are there, so that nothing of it can be taken")]);
}

#[test]
fn recordings_of_every_format_are_rows_and_other_cells_are_named() {
    let good = ["wav", "flac", "ogg", "mp3", "m4a", "aac", "aiff", "caf", "w64", "au"]
        .map(|end| corpus(&format!("audio/good.{end}")));
    let opus = [("good", corpus("audio/good-opus.ogg"))];
    let kinds = ["good-ima", "good-ms", "good-rf64", "good-stereo"].map(|name| corpus(&format!("audio/{name}.wav")));
    let good = good.into_iter().chain(kinds).map(|bytes| ("good", bytes));
    let bad = [
        ("aiff", cut("audio/good.aiff", 50)),
        ("flac", cut("audio/good-long.flac", 50)),
        ("amr", b"#!AMR\n".to_vec()),
        ("m4a", cut("audio/good.m4a", 50)),
        ("aac", cut("audio/good.aac", 50)),
        ("rifx", [b"RIFX", &corpus("audio/good.wav")[4..]].concat()),
        ("png", corpus("image/good.png")),
        ("rate", corpus("audio/lowest-rate.wav")),
    ];
    let cells: Vec<_> = good.chain(opus).chain(bad).collect();
    let feature = Feature::Audio { sampling_rate: None };
    let (rows, failed) = run("audio-to-image.yaml", "audio", feature, &cells, &[]);
    assert_eq!(rows, 15, "{failed:#?}");
    says(
        &failed,
        &[
            ("aiff", "586 of 1200 samples are there"),
            ("flac", "of 9000 samples are there"),
            ("amr", "an AMR recording, which is not supported"),
            ("m4a", "the recording ends early: its part `moov`"),
            ("aac", "the recording ends early: "),
            ("rifx", "with the highest bytes first (RIFX), which is not supported"),
            ("png", "a PNG image, not a recording"),
            ("rate", "1 channels at 1 Hz"),
        ],
    );
}

/// Text in a column that a codec of files reads is the paths of files.
#[test]
fn a_text_column_of_paths_is_a_column_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows");
    let texts = |texts: [&str; 4]| texts.into_iter().map(|text| Some(OwnedCell::Utf8(text.into()))).collect();
    let text = || Feature::Value("string".into());
    write_columns(
        &data,
        vec![
            ("id", text(), texts(["good", "cut", "gone", "outside"])),
            ("image", text(), texts(["photos/a.jpeg", "photos/cut.jpeg", "photos/b.jpeg", "/etc/hostname"])),
        ],
    );
    // Paths are relative to the folder of the Parquet file.
    let photos = data.join("data/photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("a.jpeg"), corpus("image/good.jpeg")).unwrap();
    std::fs::write(photos.join("cut.jpeg"), cut("image/good-noise.jpeg", 60)).unwrap();
    let pipeline = Path::new(ROOT).join("pipelines/mld/image-to-audio.yaml").display().to_string();
    let output = folder.path().join("out");
    let (data, out) = (data.display().to_string(), output.display().to_string());
    let command = ["run", &pipeline, "--input", &data, "--output", &out, "--threads", "1"];
    anyflow(command.iter().chain(&["--set", "joint.sampler.steps=2"])).ok();
    let written = Dataset::open(std::slice::from_ref(&output)).unwrap();
    assert_eq!((written.rows(), written.column("image").unwrap()), (1, &Feature::Image));
    let batch = written.read(None, 0..1, 1).unwrap().next().unwrap().unwrap();
    let cells = written.cells(&batch, "image").unwrap();
    assert_eq!(cells.get(0).unwrap(), Some(Cell::Bytes(&corpus("image/good.jpeg"))));
    let failures = std::fs::read(output.join("failures.parquet")).unwrap();
    assert!(!failures.is_empty());
    // The files are a part of the input.
    std::fs::write(photos.join("a.jpeg"), corpus("image/good-flat.jpeg")).unwrap();
    let again = anyflow(command.iter().chain(&["--set", "joint.sampler.steps=2"]));
    assert!(again.code == 2 && again.err.contains("linked files"), "{}", again.err);
}

/// A project of one codec, `column` -> `vector`.
fn encoder(modality: &str, codec: &str, latent: &str) -> (Workspace, String) {
    let component = codec.split(',').next().unwrap();
    let model = format!("anyflow: 1\nname: m\nstreams: {{s: {{codec: {{use: {codec}}}, latent: {latent}}}}}\n");
    let lines = format!(
        "inputs: {{seen: {{modality: {modality}}}}}\nnodes: {{read: {{encode: {component}, from: seen}}}}\n\
         outputs: {{vector: read}}\n"
    );
    (Workspace::new().model(&model), lines)
}

#[test]
fn a_run_counts_the_recordings_that_it_cuts_once() {
    let (workspace, lines) = encoder("audio", "audio/waveform, samples: 1000", "[1, 1000]");
    let cells =
        ["good-long.flac", "good.flac", "good.au"].map(|name| Some(OwnedCell::Bytes(corpus(&format!("audio/{name}")))));
    let data = workspace.column("data", "seen", Feature::Audio { sampling_rate: None }, cells.into());
    workspace.write("p.yaml", &format!("anyflow: 1\nname: p\nmodel: model.yaml\n{lines}"));
    let [pipeline, out] = ["p.yaml", "out"].map(|name| workspace.path(name).display().to_string());
    let data = data.display().to_string();
    let said = anyflow(["run", &pipeline, "--input", &data, "--output", &out, "--threads", "1"]).ok().err;
    let words = "audio/waveform: 2 of 3 recordings were cut to 1000 samples, 0.12 s";
    assert_eq!(said.matches(words).count(), 1, "{said}");
}

#[test]
fn digits_in_text_are_no_names_of_classes() {
    let (workspace, lines) = encoder("label", "label/one-hot, classes: 2, names: [cat, dog]", "[2]");
    let texts = ["dog", "1", "0"].map(|text| Some(OwnedCell::Utf8(text.into())));
    let data = workspace.column("data", "seen", Feature::Value("string".into()), texts.into()).display().to_string();
    let found = workspace.run("p", &lines, &["--input", &data]);
    assert_eq!((&found["rows"], &found["failed"]), (&1.into(), &2.into()), "{found}");
    let words =
        "the text `1` names no class; the classes are cat, dog; numbers of classes are read from a column of integers";
    let OwnedCell::Utf8(text) = &workspace.cells("p/failures.parquet", "text")[0] else { panic!("no text") };
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_model_of_codecs_alone_needs_no_weights() {
    let workspace = Workspace::new()
        .model("anyflow: 1\nname: classes\nstreams: {class: {codec: {use: label/one-hot, classes: 3}, latent: [3]}}\n");
    let texts = ["2", "0.0", "two"].map(|text| Some(OwnedCell::Utf8(text.into())));
    let data = workspace.column("data", "class", Feature::Value("string".into()), texts.into()).display().to_string();
    let lines = "inputs: {class: {modality: label}}\nnodes: {seen: {encode: label/one-hot, from: class}}\noutputs: {vector: seen}\n";
    let found = workspace.run("classes", lines, &["--input", &data]);
    assert_eq!((&found["rows"], &found["failed"]), (&2.into(), &1.into()), "{found}");
    // Of three equally frequent classes, each coordinate has mean 1/3 and variance 2/9.
    let coordinate = |is_class: bool| (f64::from(u8::from(is_class)) - 1.0 / 3.0) / (2.0f64 / 9.0).sqrt();
    for (class, cell) in [2, 0].into_iter().zip(workspace.cells("classes", "vector")) {
        let OwnedCell::List(list) = cell else { panic!("{cell:?}") };
        let list = list.as_list();
        assert_eq!(list.values().len(), 3);
        for (place, value) in list.values().iter().enumerate() {
            assert!((value - coordinate(place == class)).abs() < 1e-6, "f32: {value} at {place}, class {class}");
        }
    }
}

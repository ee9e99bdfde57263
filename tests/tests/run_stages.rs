//! The stages of a run overlap, use bounded memory, and publish nothing if the run fails.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyflow_datasets::{Dataset, Expected, Feature, Features, Folder, JobId, OutputDir, OwnedCell, column_from_cells};
use anyflow_tests::{Output, anyflow_with, compile, digit_png, files_below, target, write_columns};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};

/// A project of one stream, trained enough for a run that encodes and decodes cells with a codec and a module.
struct Project {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, OsString)>,
}

/// The parts of a project.
struct Parts<'a> {
    codec: &'a str,
    module: &'a str,
    latent: u32,
    modality: &'a str,
    feature: Feature,
    /// Number of input rows, and their cells.
    cells: Vec<OwnedCell>,
    /// A cell to train on.
    example: OwnedCell,
}

impl Project {
    fn new(parts: Parts<'_>) -> Project {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        compile("tests/native/stages.c", &[], &plugins);
        let project = Project { folder, variables: vec![("ANYFLOW_PLUGINS", plugins.into())] };
        let Parts { codec, module, latent, modality, feature, cells, example } = parts;
        let model = format!(
            "anyflow: 1\nname: m\ncheckpoint: trained/model.safetensors\nstreams:\n  \
             only: {{codec: {codec}, module: {module}, latent: [{latent}]}}\ndenoisers:\n  \
             none: {{over: [only], network: {{kind: residual-mlp, width: 8, blocks: 1}}, predict: x0}}\n"
        );
        let name = module.trim_start_matches("{use: ").split([',', '}']).next().unwrap();
        let pipeline = format!(
            "anyflow: 1\nname: p\nmodel: model.yaml\ninputs: {{seen: {{modality: {modality}, column: value}}}}\n\
             nodes:\n  within: {{encode: {name}, from: seen}}\n  back: {{decode: {name}, from: within}}\n\
             outputs: {{made: back}}\n"
        );
        let training = "anyflow: 1\nname: t\nmodel: model.yaml\nsources: {rows: examples}\n\
                        data: {all: {columns: {only: rows.value}}}\nstages:\n  \
                        - {name: statistics, objective: {kind: statistics}, data: all}\n";
        for (name, text) in [("model.yaml", model.as_str()), ("pipeline.yaml", &pipeline), ("train.yaml", training)] {
            std::fs::write(project.path(name), text).unwrap();
        }
        write_columns(&project.path("examples"), vec![("value", feature.clone(), vec![Some(example)])]);
        let ids = (0..cells.len() as i64).map(|row| Some(OwnedCell::I64(row))).collect();
        let cells = cells.into_iter().map(Some).collect();
        let columns = vec![("id", Feature::Value("int64".into()), ids), ("value", feature, cells)];
        write_columns(&project.path("data"), columns);
        let yaml = project.text("train.yaml");
        let output = project.text("trained");
        project.call(&["train", &yaml, "--output", &output, "--threads", "1"]).ok();
        project
    }

    /// Rows for micro-batches of at most 64.
    fn wide(rows: usize) -> Project {
        Project::new(Parts {
            codec: "stages/wide",
            module: "stages/copy",
            latent: 65_536,
            modality: "text",
            feature: Feature::Value("float64".into()),
            cells: (0..rows).map(|row| OwnedCell::F64(row as f64)).collect(),
            example: OwnedCell::F64(1.0),
        })
    }

    /// Texts; the codec refuses `bad`.
    fn texts(texts: &[&str]) -> Project {
        Project::new(Parts {
            codec: "faulty/panics",
            module: "faulty/plain",
            latent: 1,
            modality: "text",
            feature: Feature::Value("string".into()),
            cells: texts.iter().map(|text| OwnedCell::Utf8((*text).into())).collect(),
            example: OwnedCell::Utf8("x".into()),
        })
    }

    /// Images of 256 x 256 for micro-batches of at most 16.
    fn pictures(rows: usize) -> Project {
        let cells: Vec<_> = (0..rows).map(|row| OwnedCell::Bytes(digit_png(row % 10, row as u32))).collect();
        Project::new(Parts {
            codec: "{use: image/rgb, height: 256, width: 256}",
            module: "{use: image/autoencoder, hidden: 8}",
            latent: 8,
            modality: "image",
            feature: Feature::Image,
            example: cells[0].clone(),
            cells,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        anyflow_with(&variables, arguments)
    }

    fn run(&self, output: &str, more: &[&str]) -> Output {
        let [yaml, data, output] = ["pipeline.yaml", "data", output].map(|name| self.text(name));
        let arguments = ["run", &yaml, "--input", &data, "--output", &output, "--threads", "1"];
        self.call(&[&arguments, more].concat())
    }

    /// As [`Project::run`], with an environment variable.
    fn run_with(&mut self, name: &'static str, value: &str, output: &str, more: &[&str]) -> Output {
        self.variables.push((name, value.into()));
        let output = self.run(output, more);
        self.variables.pop();
        output
    }

    /// The bytes of the shards of an output.
    fn shards(&self, output: &str) -> Vec<Vec<u8>> {
        let files = files_below(&self.path(output).join("data"), "parquet");
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    fn finished(&self, output: &str) -> bool {
        self.path(output).join("manifest.json").exists()
    }

    fn cells(&self, output: &str, column: &str) -> Vec<OwnedCell> {
        let dataset = Dataset::open(&[self.path(output)]).unwrap();
        let mut cells = Vec::new();
        for batch in dataset.read(None, 0..dataset.rows(), 64).unwrap() {
            let column = dataset.cells(&batch.unwrap(), column).unwrap();
            cells.extend((0..column.len()).map(|row| column.get(row).unwrap().unwrap().into_owned()));
        }
        cells
    }
}

#[track_caller]
fn says(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.code, code, "{}\n{}", output.out, output.err);
    for part in parts {
        assert!(output.err.contains(part), "{part:?} is missing in:\n{}", output.err);
    }
}

/// Encoding waits for the module and both for decoding, each on another part of one shard.
#[test]
fn stages_run_concurrently() {
    let mut project = Project::wide(200);
    project.run_with("STAGES_MEET", "yes", "out", &[]).ok();
    assert_eq!(project.cells("out", "made"), project.cells("data", "value"));
    assert_eq!(files_below(&project.path("out/data"), "parquet").len(), 1);
}

#[test]
fn the_trace_has_a_thread_per_stage() {
    let project = Project::wide(200);
    let trace = project.text("trace.json");
    let result = project.run("out", &["--trace", &trace, "--json"]).ok().json();
    let events = std::fs::read_to_string(&trace).unwrap();
    for stage in ["read", "encode", "compute", "decode", "write"] {
        assert!(result["stage_seconds"][stage].as_f64().unwrap() > 0.0, "{stage}: {result}");
        assert!(events.contains(&format!("\"args\":{{\"name\":\"{stage}\"}}")), "no thread {stage}");
        let spans = events.matches(&format!("{{\"name\":\"{stage}\",\"ph\":\"X\"")).count();
        assert!(spans >= 3, "{spans} spans of {stage}: the shard is four micro-batches");
    }
}

#[test]
fn a_failing_stage_ends_the_run_and_a_rerun_resumes() {
    let mut project = Project::wide(200);
    let shards = ["--shard-rows", "100"];
    project.run("whole", &shards).ok();
    for stage in ["encode", "module", "decode"] {
        // With 1M, only one micro-batch is in memory.
        for memory in ["4G", "1M"] {
            let arguments = [&shards[..], &["--memory", memory]].concat();
            let failed = project.run_with("STAGES_FAIL", stage, &format!("{stage}-{memory}"), &arguments);
            says(&failed, 3, &["stages/", "asked to fail"]);
            assert!(!project.finished(&format!("{stage}-{memory}")), "{stage}, {memory}");
        }
        let stage = &format!("{stage}-4G");
        project.run(stage, &shards).ok();
        assert!(project.shards(stage) == project.shards("whole"), "{stage}");
    }
}

#[test]
fn a_codec_that_panics_ends_the_run_and_nothing_is_published() {
    let project = Project::texts(&["a", "b", "c", "d", "panic", "f"]);
    for _ in 0..2 {
        says(&project.run("out", &["--shard-rows", "2"]), 3, &["faulty/panics", "panicked"]);
        assert!(!project.finished("out"));
    }
}

#[test]
fn shards_of_several_micro_batches_are_the_same_to_the_bit_after_a_kill() {
    let mut project = Project::pictures(80);
    let shards = ["--shard-rows", "40"];
    project.run("whole", &shards).ok();
    let killed = project.run_with("ANYFLOW_FAILPOINT", "committed", "killed", &shards);
    assert_ne!(killed.code, 0);
    assert!(!project.finished("killed"));
    project.run("killed", &shards).ok();
    assert!(project.shards("killed") == project.shards("whole"));
    assert_eq!(project.shards("whole").len(), 2);
    // The memory limit sets the number of micro-batches in memory, not their size.
    project.run("frugal", &[&shards[..], &["--memory", "1M"]].concat()).ok();
    assert!(project.shards("frugal") == project.shards("whole"));
    // Other micro-batch sizes mean other network calls, with other rounding.
    project.run("small", &["--shard-rows", "7"]).ok();
    let pixels = |cell: &OwnedCell| match cell {
        OwnedCell::Bytes(bytes) => image::load_from_memory(bytes).unwrap().to_rgb8().into_raw(),
        other => panic!("{other:?}"),
    };
    for (whole, small) in project.cells("whole", "made").iter().zip(project.cells("small", "made")) {
        let most = pixels(whole).iter().zip(pixels(&small)).map(|(a, b)| a.abs_diff(b)).max();
        assert!(most <= Some(1), "a pixel differs by {most:?} of 255");
    }
}

/// The system refuses one of the threads. Whichever it is, nothing incomplete is published.
#[test]
fn a_thread_that_cannot_start_publishes_nothing() {
    let mut project = Project::texts(&["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]);
    let shim = compile("tests/native/threads.c", &[], project.folder.path());
    project.run("whole", &["--shard-rows", "2"]).ok();
    let mut finished = false;
    for thread in 1..40 {
        let output = format!("out-{thread}");
        let killed = project.run_with("ANYFLOW_FAILPOINT", "committed", &output, &["--shard-rows", "2"]);
        assert_ne!(killed.code, 0);
        let engine = Command::new(target().join("anyflow-engine"))
            .arg(project.path(&output).join("order.json"))
            .env("LD_PRELOAD", &shim)
            .env("FAIL_THREAD", thread.to_string())
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap();
        finished = engine.status.success();
        assert_eq!(project.finished(&output), finished, "thread {thread}: {engine:?}");
        if finished {
            assert!(project.shards(&output) == project.shards("whole"));
            break;
        }
    }
    assert!(finished, "a run needs fewer than 40 threads");
}

#[test]
fn too_many_failures_are_refused_each_time_with_the_reasons_on_disk() {
    let project = Project::texts(&["a", "bad", "ccc", "dddd", "eeeee", "ffffff"]);
    for call in 0..6 {
        let refused = project.run("out", &["--shard-rows", "2", "--max-failures", "0"]);
        let reasons = project.text("out/failures.parquet");
        says(&refused, 1, &["1 rows failed", "0 allowed", &reasons]);
        assert_eq!(Dataset::open(&[reasons.into()]).unwrap().rows(), 1, "call {call}");
        assert!(!project.finished("out"), "call {call}");
    }
    project.run("out", &["--shard-rows", "2", "--max-failures", "1"]).ok();
    assert_eq!(Dataset::open(&[project.path("out")]).unwrap().rows(), 5);
}

#[test]
fn a_run_without_successful_rows_fails_each_time() {
    let project = Project::texts(&["bad", "bad", "bad"]);
    for _ in 0..2 {
        says(&project.run("out", &[]), 1, &["none of the 3 rows succeeded", &project.text("out/failures.parquet")]);
        assert_eq!(Dataset::open(&[project.path("out/failures.parquet")]).unwrap().rows(), 3);
        assert!(project.finished("out"), "every row is accounted for");
    }
}

/// An image with many trailing bytes, which decoders ignore and Parquet compresses well.
fn large_picture(row: usize) -> Vec<u8> {
    let mut picture = digit_png(row % 10, row as u32);
    picture.resize(4 << 20, 0);
    picture
}

/// Writes a column `image` row by row.
fn write_images(folder: &Path, rows: usize, cell: impl Fn(usize) -> ArrayRef) {
    let features = Features([("image".to_string(), Feature::Image)].into_iter().collect());
    let expected = Expected { shards: 1, rows: rows as u64 };
    let output = OutputDir::open(Folder::open(folder).unwrap(), &JobId::default().with("test", "large"), expected);
    let output = output.unwrap();
    let mut shard = output.shard(0, &features).unwrap();
    for row in 0..rows {
        let column = cell(row);
        let schema = Schema::new(vec![Field::new("image", column.data_type().clone(), true)]);
        shard.write(&RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()).unwrap();
    }
    shard.commit(&[]).unwrap();
    output.finish().unwrap();
}

/// Runs a shard of these images through a shipped pipeline, with less memory than all of them need together.
fn run_in_little_memory(data: &Path, out: &Path) {
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/mld/image-to-audio.yaml");
    let ended = Command::new("sh")
        .args(["-c", "ulimit -d 900000 && exec \"$@\"", "sh"])
        .arg(target().join("anyflow"))
        .arg("run")
        .arg(pipeline)
        .args(["--threads", "1", "--set", "joint.sampler.steps=2", "--input"])
        .args([data.as_os_str(), "--output".as_ref(), out.as_os_str()])
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Together they exceed the size limit of a column in a batch.
#[test]
fn a_shard_of_large_cells_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let out = folder.path().join("out");
    let cell = |row| column_from_cells(&[Some(OwnedCell::Bytes(large_picture(row)))], &Feature::Image).unwrap();
    write_images(&data, 600, cell);
    run_in_little_memory(&data, &out);
    assert_eq!(Dataset::open(&[out]).unwrap().rows(), 600);
}

#[test]
fn a_shard_of_large_linked_files_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let out = folder.path().join("out");
    let linked = |row: usize| -> ArrayRef {
        let nothing = column_from_cells(&[None], &Feature::Image).unwrap();
        let fields =
            Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
        assert_eq!(nothing.data_type(), &DataType::Struct(fields.clone()));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![None]));
        let path: ArrayRef = Arc::new(StringArray::from(vec![format!("{row}.png")]));
        Arc::new(StructArray::new(fields, vec![bytes, path], None))
    };
    write_images(&data, 300, linked);
    let table = files_below(&data, "parquet").remove(0);
    let beside = table.parent().unwrap();
    for row in 0..300 {
        std::fs::write(beside.join(format!("{row}.png")), large_picture(row)).unwrap();
    }
    run_in_little_memory(&table, &out);
    assert_eq!(Dataset::open(&[out]).unwrap().rows(), 300);
}

//! A tiny project of numbers: a plugin in C, a model of one stream, a training and a pipeline. A command takes a
//! fraction of a second.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_datasets::{Feature, OwnedCell};

use crate::{Output, command_in, compile, shared, write_columns};

const MODEL: &str = "anyflow: 1
name: numbers
checkpoint: weights/model.safetensors
streams:
  numbers: {codec: scaled/number, module: scaled/copy, latent: [1]}
denoisers:
  only: {over: [numbers], network: {kind: residual-mlp, width: 8, blocks: 1}, predict: x0}
";

const STATISTICS: &str = "anyflow: 1
name: numbers
model: model.yaml
seed: 5
sources: {rows: rows.parquet}
data: {all: {columns: {numbers: rows.value}}}
stages:
  - {name: statistics, objective: {kind: statistics}, data: all}
";

const DIFFUSION: &str =
    "  - {name: diffusion, train: only, objective: {kind: denoise}, data: all, steps: 100, batch: 8}
";

const PIPELINE: &str = "anyflow: 1
name: numbers
model: model.yaml
inputs: {seen: {modality: number, column: value}}
nodes:
  within: {encode: scaled/copy, from: seen}
  back: {decode: scaled/copy, from: within}
  joint: {diffuse: [numbers], sampler: {kind: ddim, steps: 2}, seed: 7}
  fresh: {decode: scaled/copy, from: joint.numbers}
outputs: {value: back, made: fresh}
";

/// The source of the plugin.
pub const SCALED: &str = "tests/native/scaled.c";

/// A project in its own folder: `plugins`, `rows.parquet`, `weights`, `model.yaml`, `pipeline.yaml`, `train.yaml`.
pub struct Numbers {
    folder: tempfile::TempDir,
}

impl Numbers {
    /// With 24 rows and a trained model. Tests share the work of creating it.
    ///
    /// # Panics
    /// If the plugin does not compile, or the training fails.
    pub fn new() -> Numbers {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let sources = [SCALED, "core/abi/include/anyflow.h"];
        let sources = sources.map(|name| std::fs::read_to_string(root.join(name)).expect("a source")).concat();
        let key = [MODEL, STATISTICS, DIFFUSION, PIPELINE, &sources].concat();
        let project = shared(&key, |folder| crate::copy(Self::create().folder.path(), folder));
        Self::copy_of(&project)
    }

    fn create() -> Numbers {
        let numbers = Numbers { folder: tempfile::tempdir().expect("a temporary folder") };
        std::fs::create_dir(numbers.path("plugins")).expect("a folder");
        numbers.build(&[]);
        numbers.write_rows(&(0..24).map(f64::from).collect::<Vec<_>>(), |row| row as i64 % 2);
        numbers.write("model.yaml", MODEL);
        numbers.write("pipeline.yaml", PIPELINE);
        numbers.write("train.yaml", STATISTICS);
        numbers.train("weights", &[]).ok();
        numbers.write("train.yaml", &format!("{STATISTICS}{DIFFUSION}start: weights/model.safetensors\n"));
        numbers
    }

    /// A copy of the project with its outputs, in another folder.
    ///
    /// # Panics
    /// If there is no room.
    #[must_use]
    pub fn copied(&self) -> Numbers {
        Self::copy_of(self.folder.path())
    }

    fn copy_of(project: &Path) -> Numbers {
        let folder = tempfile::tempdir().expect("a temporary folder");
        crate::copy(project, folder.path());
        Numbers { folder }
    }

    /// A path in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a text.
    ///
    /// # Panics
    /// If there is no room.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("room on disk");
    }

    /// Replaces the first occurrence of a text in a file.
    ///
    /// # Panics
    /// If it does not occur.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).expect("a text");
        assert!(text.contains(from), "{name} does not contain {from}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// Compiles the plugin again, with these macros.
    ///
    /// # Panics
    /// If it does not compile.
    pub fn build(&self, macros: &[&str]) {
        compile(SCALED, macros, &self.path("plugins"));
    }

    /// Writes `rows.parquet` with a number and a label per row.
    ///
    /// # Panics
    /// If there is no room.
    pub fn write_rows(&self, values: &[f64], label: impl Fn(usize) -> i64) {
        let made = tempfile::tempdir().expect("a temporary folder");
        let numbers = values.iter().map(|value| Some(OwnedCell::F64(*value))).collect();
        let labels = (0..values.len()).map(|row| Some(OwnedCell::I64(label(row)))).collect();
        let columns = vec![
            ("value", Feature::Value("float64".into()), numbers),
            ("label", Feature::Value("int64".into()), labels),
        ];
        let data = made.path().join("made");
        write_columns(&data, columns);
        let file = crate::files_below(&data.join("data"), "parquet").remove(0);
        std::fs::copy(file, self.path("rows.parquet")).expect("room on disk");
    }

    /// Runs `anyflow train` with one thread.
    pub fn train(&self, output: &str, variables: &[(&str, OsString)]) -> Output {
        self.call(variables, &["train", "train.yaml", "--output", output, "--threads", "1"])
    }

    /// Runs `anyflow run` over `rows.parquet` in shards of 8 rows with one thread.
    pub fn run(&self, output: &str, variables: &[(&str, OsString)]) -> Output {
        self.call(variables, &Self::run_of("rows.parquet", output))
    }

    /// The arguments of [`Numbers::run`] for another input.
    pub fn run_of<'a>(input: &'a str, output: &'a str) -> [&'a str; 10] {
        ["run", "pipeline.yaml", "--input", input, "--output", output, "--shard-rows", "8", "--batch-rows", "4"]
    }

    /// Runs `anyflow` in the project's folder, with one thread unless the arguments say otherwise.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn call(&self, variables: &[(&str, OsString)], arguments: &[&str]) -> Output {
        Output::of(self.command(variables, arguments))
    }

    /// The command of [`Numbers::call`].
    pub fn command(&self, variables: &[(&str, OsString)], arguments: &[&str]) -> Command {
        let plugins = self.path("plugins");
        let mut variables: Vec<(&str, &std::ffi::OsStr)> =
            variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        variables.push(("ANYFLOW_PLUGINS", plugins.as_os_str()));
        let is_job = ["run", "train", "eval"].contains(&arguments[0]);
        let one = if is_job && !arguments.contains(&"--threads") { &["--threads", "1"][..] } else { &[][..] };
        command_in(self.folder.path(), &variables, arguments.iter().chain(one))
    }

    /// The files of a folder by name, without the lock.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn files(&self, output: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        gather(&self.path(output), Path::new(""), &mut files);
        files.remove(Path::new(".lock"));
        files
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}

fn gather(folder: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder.join(below)).expect("a folder to read") {
        let entry = entry.expect("a folder to read");
        let name = below.join(entry.file_name());
        if entry.path().is_dir() {
            gather(folder, &name, files);
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("a file to read"));
        }
    }
}

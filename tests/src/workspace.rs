//! A temporary folder in which a test writes YAML files and data, runs the programs, and reads their outputs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_plan::findings::Findings;
use anyflow_runtime::checkpoint::{self, Tensors};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Output, anyflow, shared, write_columns, write_digits};

/// The file of weights in the output of a training.
const WEIGHTS: &str = "model.safetensors";

/// A temporary folder with files of one test.
pub struct Workspace {
    folder: TempDir,
    /// Number of digits in `train`.
    rows: usize,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// An empty folder.
    ///
    /// # Panics
    /// If there is no room.
    pub fn new() -> Self {
        Workspace { folder: tempfile::tempdir().expect("a temporary folder"), rows: 0 }
    }

    /// Adds `train`, a dataset of `rows` digits.
    #[must_use]
    pub fn digits(mut self, rows: usize) -> Self {
        write_digits(&self.path("train"), rows);
        self.rows = rows;
        self
    }

    /// Adds `model.yaml`, with the weights of the training output `out` in place of `CHECKPOINT`.
    #[must_use]
    pub fn model(self, yaml: &str) -> Self {
        let weights = self.path("out").join(WEIGHTS);
        self.write("model.yaml", &yaml.replace("CHECKPOINT", &weights.display().to_string()));
        self
    }

    /// Adds `train.yaml`.
    #[must_use]
    pub fn training(self, yaml: &str) -> Self {
        self.write("train.yaml", yaml);
        self
    }

    /// Trains into `out`, or copies the output of the same training from an earlier test.
    ///
    /// # Panics
    /// If a file cannot be read or copied, or the training fails.
    #[must_use]
    pub fn trained(self) -> Self {
        let texts = ["model.yaml", "train.yaml"].map(|name| std::fs::read_to_string(self.path(name)).expect("a text"));
        // The path of the model's weights is not part of the job, but it is different in every folder.
        let texts = texts.concat().replace(&self.path("").display().to_string(), "");
        let output = shared(&format!("{} digits\n{texts}", self.rows), |folder| {
            self.train("out").ok();
            crate::copy(&self.path("out"), folder);
        });
        if !self.path("out").exists() {
            crate::copy(&output, &self.path("out"));
        }
        self
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a text and returns its path.
    ///
    /// # Panics
    /// If there is no room.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("room on disk");
        path
    }

    /// Changes a text.
    ///
    /// # Panics
    /// If it cannot be read or written.
    pub fn rewrite(&self, name: &str, change: impl Fn(String) -> String) {
        let text = std::fs::read_to_string(self.path(name)).expect("a text");
        self.write(name, &change(text));
    }

    /// Writes a dataset folder of one column and returns its path.
    pub fn column(&self, name: &str, column: &str, feature: Feature, cells: Vec<Option<OwnedCell>>) -> PathBuf {
        let path = self.path(name);
        write_columns(&path, vec![(column, feature, cells)]);
        path
    }

    /// Runs `anyflow COMMAND FILE --output OUTPUT` with one thread, and JSON on standard output.
    pub fn call(&self, command: &str, file: &str, output: &str, more: &[&str]) -> Output {
        let file = self.path(file);
        let output = self.path(output);
        let arguments = [OsStr::new(command), file.as_os_str(), "--output".as_ref(), output.as_os_str()];
        anyflow(arguments.into_iter().chain(["--threads", "1", "--json"].iter().chain(more).map(OsStr::new)))
    }

    /// Runs `train.yaml`.
    pub fn train(&self, output: &str) -> Output {
        self.call("train", "train.yaml", output, &[])
    }

    /// Evaluates a file into the folder `OUTPUT`.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn evaluate(&self, file: &str, output: &str) -> Findings {
        let result = self.call("eval", file, output, &[]).ok().json();
        serde_json::from_value(result).expect("findings")
    }

    /// Runs the pipeline `NAME.yaml`, made of these lines on `model.yaml`, into the folder `NAME`.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn run(&self, name: &str, lines: &str, more: &[&str]) -> Value {
        let file = format!("{name}.yaml");
        self.write(&file, &format!("anyflow: 1\nname: {name}\nmodel: model.yaml\n{lines}"));
        self.call("run", &file, name, more).ok().json()
    }

    /// The weights in the output of a training.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn weights(&self, output: &str) -> Tensors {
        self.tensors(&format!("{output}/{WEIGHTS}"))
    }

    /// The tensors of a file.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn tensors(&self, name: &str) -> Tensors {
        checkpoint::read(&self.path(name)).expect("weights").tensors
    }

    /// The cells of a column in an output or dataset.
    ///
    /// # Panics
    /// If the dataset cannot be read, or a cell is null.
    pub fn cells(&self, output: &str, column: &str) -> Vec<OwnedCell> {
        cells(&self.path(output), column)
    }
}

/// The cells of a column of a dataset.
///
/// # Panics
/// If the dataset cannot be read, or a cell is null.
pub fn cells(dataset: &Path, column: &str) -> Vec<OwnedCell> {
    let dataset = Dataset::open(&[dataset.to_path_buf()]).expect("a dataset");
    let mut cells = Vec::new();
    for batch in dataset.read(Some(&[column]), 0..dataset.rows(), 64).expect("a column") {
        let read = dataset.cells(&batch.expect("rows"), column).expect("cells");
        cells.extend((0..read.len()).map(|row| read.get(row).expect("a cell").expect("no null").into_owned()));
    }
    cells
}

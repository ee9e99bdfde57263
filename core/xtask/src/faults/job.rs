//! The disturbed commands and their outputs.

use std::path::{Path, PathBuf};

/// A command that writes an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// `anyflow run` in 25 shards.
    Run,
    /// The same in three shards.
    RunFew,
    /// `anyflow run` on rows with different values.
    RunOther,
    /// `anyflow train` on a file.
    Train,
    /// `anyflow data import` of a table.
    Import,
    /// The same for another table.
    ImportOther,
    /// `anyflow train` on rows that are generated first.
    Generate,
    /// `anyflow eval` on rows that are generated first.
    Eval,
}

impl Job {
    /// All of them.
    pub const ALL: [Job; 8] =
        [Job::Run, Job::RunFew, Job::RunOther, Job::Train, Job::Import, Job::ImportOther, Job::Generate, Job::Eval];

    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Job::Run => "run",
            Job::RunFew => "run-few",
            Job::RunOther => "run-other",
            Job::Train => "train",
            Job::Import => "import",
            Job::ImportOther => "import-other",
            Job::Generate => "generate",
            Job::Eval => "eval",
        }
    }

    /// The arguments of `anyflow`, in the project's folder.
    pub fn arguments(self, output: &Path) -> Vec<String> {
        let words = match self {
            Job::Run => "run pipeline.yaml --input data.parquet --threads 1 --shard-rows 16 --batch-rows 8",
            Job::RunFew => "run pipeline.yaml --input data.parquet --threads 1 --shard-rows 134 --batch-rows 8",
            Job::RunOther => "run pipeline.yaml --input other.parquet --threads 1 --shard-rows 16 --batch-rows 8",
            Job::Train => "train train.yaml --threads 1",
            Job::Import => "data import rows.csv",
            Job::ImportOther => "data import other.csv",
            Job::Generate => "train generate.yaml --threads 1",
            Job::Eval => "eval eval.yaml --threads 1",
        };
        let path = match self {
            Job::Import | Job::ImportOther => output.join("rows.parquet"),
            _ => output.to_owned(),
        };
        let words = words.split(' ').map(String::from);
        words.chain(["--output".into(), path.display().to_string()]).collect()
    }

    /// The file that marks the output as complete.
    pub fn proof(self) -> &'static str {
        match self {
            Job::Run | Job::RunFew | Job::RunOther => "manifest.json",
            Job::Train | Job::Generate => "train.json",
            Job::Import | Job::ImportOther => "rows.parquet",
            Job::Eval => "eval.json",
        }
    }

    /// Files that readers may use as soon as they exist, so they must be correct from the start.
    pub fn published(self, file: &Path) -> bool {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self {
            Job::Run | Job::RunFew | Job::RunOther => name == "failures.parquet",
            Job::Train | Job::Generate => name.ends_with(".safetensors"),
            Job::Import | Job::ImportOther => name == "rows.parquet",
            Job::Eval => name == "eval.json",
        }
    }

    /// True if the output has this provenance record.
    pub fn keeps(self, record: &str) -> bool {
        match record {
            "run.json" => matches!(self, Job::Run | Job::RunFew | Job::RunOther),
            _ => self.makes_folder(),
        }
    }

    /// True if the command creates its output folder; an import writes into an existing one.
    pub fn makes_folder(self) -> bool {
        !matches!(self, Job::Import | Job::ImportOther)
    }
}

/// Rows of each table.
pub const ROWS: u32 = 400;

/// The files of the project by name.
pub const FILES: [(&str, &str); 8] = [
    ("model.yaml", MODEL),
    ("pipeline.yaml", PIPELINE),
    ("drawn.yaml", DRAWN),
    ("train.yaml", TRAIN),
    ("first.yaml", FIRST),
    ("labels.yaml", LABELS),
    ("generate.yaml", GENERATE),
    ("eval.yaml", EVAL),
];

/// Commands that prepare the project, in order.
pub const PREPARATION: [&str; 4] = [
    "data import rows.csv --output data.parquet",
    "data import other.csv --output other.parquet",
    "train first.yaml --threads 1 --output trained",
    "train generate.yaml --threads 1 --output labelled",
];

/// Two tables of numbers and values; the values of the second are ten times those of the first.
pub fn tables() -> [(PathBuf, String); 2] {
    let table = |factor: u32| {
        let rows = (0..ROWS).map(|row| format!("{row},{}.5\n", row * factor));
        std::iter::once("id,value\n".to_string()).chain(rows).collect::<String>()
    };
    [("rows.csv".into(), table(1)), ("other.csv".into(), table(10))]
}

const MODEL: &str = "\
anyflow: 1
name: m
checkpoint: trained/model.safetensors
streams:
  numbers: {codec: faults/number, module: faults/copy, latent: [1]}
denoisers:
  only: {over: [numbers], network: {kind: residual-mlp, width: 8, blocks: 1}, predict: x0}
";

const PIPELINE: &str = "\
anyflow: 1
name: p
model: model.yaml
inputs: {seen: {modality: text, column: value}}
nodes:
  within: {encode: faults/copy, from: seen}
  back: {decode: faults/copy, from: within}
outputs: {value: back}
";

const DRAWN: &str = "\
anyflow: 1
name: drawn
model: model.yaml
nodes:
  made: {diffuse: [numbers], sampler: {kind: ddim, steps: 20}}
  back: {decode: faults/copy, from: made.numbers}
outputs: {value: back}
";

const TRAIN: &str = "\
anyflow: 1
name: t
model: model.yaml
sources: {rows: data.parquet}
data: {all: {columns: {numbers: rows.value}}}
stages:
  - {name: statistics, objective: {kind: statistics}, data: all}
  - {name: diffusion, train: only, objective: {kind: denoise}, data: all, steps: 1100, batch: 4}
";

const FIRST: &str = "\
anyflow: 1
name: f
model: model.yaml
sources: {rows: data.parquet}
data: {all: {columns: {numbers: rows.value}}}
stages:
  - {name: statistics, objective: {kind: statistics}, data: all}
";

const LABELS: &str = "\
anyflow: 1
name: l
checkpoint: labelled/model.safetensors
streams:
  label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}
denoisers:
  only: {over: [label], network: {kind: residual-mlp, width: 8, blocks: 1}, predict: x0}
";

const GENERATE: &str = "\
anyflow: 1
name: g
model: labels.yaml
sources: {digits: {generate: glyphs, rows: 40, seed: 1}}
data: {all: {columns: {label: digits.label}}}
stages:
  - {name: statistics, objective: {kind: statistics}, data: all}
  - {name: diffusion, train: only, objective: {kind: denoise}, data: all, steps: 300, batch: 4}
";

const EVAL: &str = "\
anyflow: 1
name: e
model: labels.yaml
sources: {digits: {generate: glyphs, rows: 20, seed: 2}}
data: {class: digits.label, columns: {label: digits.label}}
judges: {label: {score: label/one-hot}}
rows: 20
seeds: [1]
tasks: {joint: {generate: [label]}}
sampler: {kind: ddim, steps: 4}
";

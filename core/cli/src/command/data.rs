//! `anyflow data`.

use std::path::PathBuf;

use anyflow_datasets::{ImportSource, Inspection, head, import, inspect, pair};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{bytes, open, shown, table};
use crate::console::Outcome;
use crate::error::{CliError, Result};

/// The commands of `anyflow data`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show columns, sizes and files of a dataset
    Inspect {
        /// Parquet files, or folders that hold some
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show the first rows of a dataset
    Head {
        /// Parquet files, or folders that hold some
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How many rows
        #[arg(long, short = 'n', default_value_t = 5)]
        rows: u64,
    },
    /// Make a Parquet file of a folder of media, .jsonl, .csv, .tsv, MNIST idx files, or WebDataset .tar files
    Import {
        /// What to import; for MNIST, the images and optionally the labels
        #[arg(required = true)]
        source: Vec<PathBuf>,
        /// Parquet file to write
        #[arg(long)]
        output: PathBuf,
    },
    /// Pair the rows of two datasets that share a value, e.g. a class
    Pair {
        /// First dataset
        a: PathBuf,
        /// Second dataset
        b: PathBuf,
        /// Column whose values must agree
        #[arg(long, value_name = "COLUMN")]
        on: String,
        /// How often the rows are shuffled and paired anew
        #[arg(long, default_value_t = 1)]
        multiplicity: u32,
        /// Seed of the shuffling
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Parquet file to write
        #[arg(long)]
        output: PathBuf,
    },
}

/// Does one of them.
///
/// # Errors
/// What is wrong with the data, or the disk.
pub fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Inspect { files } => {
            let inspection = inspect(&open(files)?);
            let json = serde_json::to_value(&inspection).map_err(CliError::internal)?;
            Ok(Outcome::done(inspected(&inspection), json))
        }
        Command::Head { files, rows } => {
            let rows = head(&open(files)?, *rows)?;
            Ok(Outcome::done(headed(&rows), rows.into_iter().map(Value::Object).collect()))
        }
        Command::Import { source, output } => imported(source, output),
        Command::Pair { a, b, on, multiplicity, seed, output } => {
            let (a, b) = (open(std::slice::from_ref(a))?, open(std::slice::from_ref(b))?);
            let paired = pair(&a, &b, on, *multiplicity, *seed, output)?;
            let json = serde_json::to_value(&paired).map_err(CliError::internal)?;
            let left = match (paired.unpaired_a, paired.unpaired_b) {
                (0, 0) => String::new(),
                (a, b) => format!("; {a} rows of the first and {b} of the second have no partner"),
            };
            let text =
                format!("{}: {} pairs over {} values of `{on}`{left}", shown(output), paired.rows, paired.classes);
            Ok(Outcome::done(text, json))
        }
    }
}

fn imported(source: &[PathBuf], output: &std::path::Path) -> Result<Outcome> {
    let imported = import(&ImportSource::detect(source)?, output)?;
    let columns: Vec<(&String, String)> = imported.features.iter().map(|(name, f)| (name, f.describe())).collect();
    let words: Vec<String> = columns.iter().map(|(name, feature)| format!("{name} ({feature})")).collect();
    let left_out = match imported.left_out {
        0 => String::new(),
        count => format!("\n{count} files are not named by the metadata and were left out"),
    };
    let text = format!("{}: {} rows of {}{left_out}", shown(output), imported.rows, words.join(", "));
    let columns: Map<String, Value> = columns.into_iter().map(|(name, f)| (name.clone(), f.into())).collect();
    let json = json!({"output": output, "rows": imported.rows, "columns": columns, "left_out": imported.left_out});
    Ok(Outcome::done(text, json))
}

fn inspected(inspection: &Inspection) -> String {
    let size: u64 = inspection.files.iter().map(|file| file.size_bytes).sum();
    let mut text = format!("{} rows in {} files, {}\n\n", inspection.rows, inspection.files.len(), bytes(size));
    let mut rows = vec![["column", "feature", "on disk", "nulls", "from", "to"].map(String::from).to_vec()];
    rows.extend(inspection.columns.iter().map(|column| {
        let bound = |bound: &Option<Value>| bound.as_ref().map(one_line).unwrap_or_default();
        let nulls = column.nulls.map(|nulls| nulls.to_string()).unwrap_or_default();
        let (name, feature) = (column.name.clone(), column.feature.clone());
        vec![name, feature, bytes(column.compressed_bytes), nulls, bound(&column.min), bound(&column.max)]
    }));
    text += &table(&rows);
    let mut files = vec![["file", "rows", "row groups", "size"].map(String::from).to_vec()];
    files.extend(inspection.files.iter().map(|file| {
        vec![file.path.clone(), file.rows.to_string(), file.row_group_rows.len().to_string(), bytes(file.size_bytes)]
    }));
    text + "\n" + &table(&files)
}

/// A block per row: long values stay readable, which they would not in columns.
fn headed(rows: &[Map<String, Value>]) -> String {
    if rows.is_empty() {
        return "no rows".into();
    }
    let block = |(index, row): (usize, &Map<String, Value>)| {
        let cells: Vec<_> = row.iter().map(|(name, value)| vec![format!("  {name}"), one_line(value)]).collect();
        format!("row {index}\n{}", table(&cells))
    };
    rows.iter().enumerate().map(block).collect::<Vec<_>>().join("\n")
}

/// A value on one line: texts bare, records as `key value`.
fn one_line(value: &Value) -> String {
    const LONGEST: usize = 100;
    let text = match value {
        Value::String(text) => text.replace('\n', "⏎"),
        Value::Object(object) => {
            let part = |(key, value): (&String, &Value)| match key.as_str() {
                "media_type" | "name" => one_line(value),
                _ => format!("{} {}", crate::progress::words(key), one_line(value)),
            };
            object.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(" ...".chars()).collect()
}

//! `anyflow data`.

mod cell;
mod join;
mod split;
mod survey;
mod training;
mod verify;

use std::path::{Path, PathBuf};

use anyflow_datasets::{
    ColumnType, ColumnTypes, Combinations, Generation, Generator, ImportSource, Inspection, LeftOut, Lost, Renamed,
    generate, head, import, inspect, is_address, pair, use_memory,
};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{bytes, open, quoted, shown, table};
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::escape;
use crate::order;

/// The commands of `anyflow data`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show columns, sizes and files of a dataset
    Inspect {
        /// Parquet files or folders of them
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show the first rows of a dataset
    Head {
        /// Parquet files or folders of them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Number of rows
        #[arg(long, short = 'n', default_value_t = 5)]
        rows: u64,
        /// Memory limit, e.g. 4G or 800M [default: a quarter of the machine's]
        #[arg(long, value_name = "SIZE", value_parser = order::size)]
        memory: Option<u64>,
    },
    /// Predict which rows a pipeline cannot read, why, and what would help; loads no weights
    Survey(survey::Args),
    /// Verify an output: read every file in full and compare it with its recorded hash
    Verify {
        /// Output folder of a finished run or of a training
        folder: PathBuf,
    },
    /// Import media files, .jsonl, .csv, .tsv, Arrow, MNIST idx or WebDataset .tar files into a Parquet file
    Import {
        /// Files or folders to import; for MNIST, the images and optionally the labels
        #[arg(required = true)]
        source: Vec<PathBuf>,
        /// Type of a column of a text table, e.g. zip=text: text, int, float or bool (repeatable)
        #[arg(long, num_args = 1.., value_name = "COLUMN=TYPE", value_parser = column_type)]
        types: Vec<(String, ColumnType)>,
        /// Parquet file to write
        #[arg(long)]
        output: PathBuf,
    },
    /// Generate a Parquet file of synthetic rows
    Generate {
        /// Kind of rows
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(Generator::ALL.map(Generator::name)))]
        kind: String,
        /// Number of rows
        #[arg(long)]
        rows: u64,
        /// Random seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// For captions: the pairs of digit and colour that occur
        #[arg(long, default_value = Combinations::All.name(),
            value_parser = clap::builder::PossibleValuesParser::new(Combinations::ALL.map(Combinations::name)))]
        combinations: String,
        /// For captions: Parquet files with gray 28 x 28 images of digits (`image`) and their `label`s, used as shapes
        /// [default: drawn digits]
        #[arg(long)]
        shapes: Vec<PathBuf>,
        /// Parquet file to write
        #[arg(long)]
        output: PathBuf,
    },
    /// Join two datasets by a key: each row of the second with the row of the first that has the same key
    Join {
        /// First dataset, where each key is there once
        a: PathBuf,
        /// Second dataset, e.g. the output of a run
        b: PathBuf,
        /// Column of keys
        #[arg(long, value_name = "COLUMN")]
        on: String,
        /// Memory limit, e.g. 4G or 800M [default: a quarter of the machine's]
        #[arg(long, value_name = "SIZE", value_parser = order::size)]
        memory: Option<u64>,
        /// Parquet file to write
        #[arg(long)]
        output: PathBuf,
    },
    /// Split a dataset into parts by the hash of its keys: rows stay in their part when others come or go
    Split(split::Args),
    /// Pair the rows of two datasets that have equal values in a column, e.g. the same class
    Pair {
        /// First dataset
        a: PathBuf,
        /// Second dataset
        b: PathBuf,
        /// Column whose values must be equal
        #[arg(long, value_name = "COLUMN")]
        on: String,
        /// Number of times that the rows are shuffled and paired again
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        multiplicity: u32,
        /// Random seed of the shuffling
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Memory limit, e.g. 4G or 800M [default: a quarter of the machine's]
        #[arg(long, value_name = "SIZE", value_parser = order::size)]
        memory: Option<u64>,
        /// Parquet file to write
        #[arg(long)]
        output: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// Errors in the data, or of the disk.
pub fn run(command: &Command, console: &Console) -> Result<CommandResult> {
    match command {
        Command::Inspect { files } => {
            let inspection = inspect(&open(files)?);
            let json = serde_json::to_value(&inspection).map_err(CliError::internal)?;
            Ok(CommandResult::done(inspected(&inspection), json))
        }
        Command::Head { files, rows, memory } => {
            if let Some(bytes) = memory {
                use_memory(*bytes);
            }
            let rows = head(&open(files)?, *rows)?;
            Ok(CommandResult::done(headed(&rows), rows.into_iter().map(Value::Object).collect()))
        }
        Command::Survey(args) => survey::run(args, console),
        Command::Verify { folder } => verify::run(folder),
        Command::Import { source, types, output } => imported(source, types.iter().cloned().collect(), output),
        Command::Generate { kind, rows, seed, combinations, shapes, output } => {
            let unknown = |word: &str| CliError::internal(format!("unknown generator `{word}`"));
            let generator = Generator::named(kind).ok_or_else(|| unknown(kind))?;
            let combinations = Combinations::named(combinations).ok_or_else(|| unknown(combinations))?;
            let shapes = shapes.clone();
            made(&Generation { combinations, shapes, ..Generation::new(generator, *rows, *seed) }, output)
        }
        Command::Join { a, b, on, memory, output } => {
            if let Some(bytes) = memory {
                use_memory(*bytes);
            }
            join::run([a, b], on, output)
        }
        Command::Split(args) => split::run(args),
        Command::Pair { a, b, on, multiplicity, seed, memory, output } => {
            if let Some(bytes) = memory {
                use_memory(*bytes);
            }
            paired([a, b], on, *multiplicity, *seed, output)
        }
    }
}

/// Parses `COLUMN=TYPE`.
fn column_type(text: &str) -> Result<(String, ColumnType), String> {
    let (column, word) = text.rsplit_once('=').ok_or("expected COLUMN=TYPE, such as zip=text")?;
    Ok((column.to_string(), word.parse()?))
}

fn imported(source: &[PathBuf], types: ColumnTypes, output: &Path) -> Result<CommandResult> {
    writable(output, source)?;
    let imported = import(&ImportSource::detect(source)?, &types, output)?;
    let columns = || imported.features.iter().map(|(name, feature)| (name.clone(), feature.describe()));
    let rows: Vec<_> = columns().map(|(name, feature)| vec![format!("  {name}"), feature]).collect();
    let reason = |left: &LeftOut| {
        let (be, were) = if left.files == 1 { ("is", "was") } else { ("are", "were") };
        let files = counted(left.files, "file");
        format!("\n{files} {be} {} and {were} skipped, e.g. {}", left.reason, escape::line(&left.example))
    };
    let left_out: String = imported.left_out.iter().map(reason).collect();
    let notes: String = imported.notes.iter().map(|note| format!("\nnote: {}", escape::line(note))).collect();
    let text = format!("{}: {}\n{}{left_out}{notes}", quoted(output), counted(imported.rows, "row"), table(&rows));
    let columns: Map<String, Value> = columns().map(|(name, feature)| (name, feature.into())).collect();
    let files: u64 = imported.left_out.iter().map(|left| left.files).sum();
    let json = json!({
        "output": shown(output), "rows": imported.rows, "columns": columns, "left_out": files,
        "left_out_by_reason": imported.left_out, "notes": imported.notes, "damaged": imported.is_damaged,
    });
    // Rows are missing, which a script must notice.
    Ok(CommandResult { code: u8::from(imported.is_damaged), ..CommandResult::done(text, json) })
}

fn made(generation: &Generation, output: &Path) -> Result<CommandResult> {
    writable(output, &generation.shapes)?;
    let features = generate(generation, output)?;
    let rows = generation.rows;
    let seed = generation.seed;
    let columns = || features.iter().map(|(name, feature)| (name.clone(), feature.describe()));
    let lines: Vec<_> = columns().map(|(name, feature)| vec![format!("  {name}"), feature]).collect();
    let text = format!("{}: {}\n{}", quoted(output), counted(rows, "row"), table(&lines));
    let columns: Map<String, Value> = columns().map(|(name, feature)| (name, feature.into())).collect();
    Ok(CommandResult::done(text, json!({"output": shown(output), "rows": rows, "seed": seed, "columns": columns})))
}

fn paired([a, b]: [&PathBuf; 2], on: &str, multiplicity: u32, seed: u64, output: &Path) -> Result<CommandResult> {
    writable(output, [a, b])?;
    let a = open(std::slice::from_ref(a))?;
    let b = open(std::slice::from_ref(b))?;
    let paired = pair(&a, &b, on, multiplicity, seed, output)?;
    let mut json = json!({"output": shown(output)});
    if let (Value::Object(json), Value::Object(figures)) =
        (&mut json, serde_json::to_value(&paired).map_err(CliError::internal)?)
    {
        json.extend(figures);
    }
    let left = match (paired.unpaired_a, paired.unpaired_b) {
        (0, 0) => String::new(),
        (a, b) => format!("; without a partner: {} of the first dataset, {b} of the second", counted(a, "row")),
    };
    let pairs = counted(paired.rows, "pair");
    let values = counted(paired.classes, "value");
    let (renamed, lost) = (renamed(&paired.renamed), lost(&paired.lost));
    let text = format!("{}: {pairs} over {values} of `{}`{left}{renamed}{lost}", quoted(output), escape::line(on));
    Ok(CommandResult::done(text, json))
}

/// What is said of columns that have other names in the output.
fn renamed(renamed: &Renamed) -> String {
    let list =
        |(column, names): (&String, &Vec<String>)| format!("`{column}` is {}", escape::line(&names.join(" and ")));
    let parts: Vec<String> = renamed.iter().map(list).collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!("\nrenamed, since both datasets have them: {}", parts.join("; "))
    }
}

/// What is said of pairs that cannot be read.
fn lost(lost: &Lost) -> String {
    let reason = lost.reason.as_ref();
    reason.map_or_else(String::new, |reason| {
        format!(
            "\n{} cannot be read and are left out, e.g.: {}",
            counted(lost.unreadable, "pair"),
            escape::line(reason)
        )
    })
}

/// Refuses, before anything is read, an output that cannot be written or that would replace a source.
fn writable<'p>(output: &Path, sources: impl IntoIterator<Item = &'p PathBuf>) -> Result<()> {
    let refuse = |text: String| Err(CliError::Usage(format!("{}: {text}", shown(output))));
    if is_address(output) {
        return refuse("only `anyflow run` writes to a store; write to the disk, then copy it".into());
    }
    if output.is_dir() {
        return refuse("is a folder; name a Parquet file".into());
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return refuse(format!("the folder {} does not exist; create it first", shown(folder)));
    }
    let same = |source: &PathBuf| matches!((source.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if sources.into_iter().any(same) {
        return refuse("is also a source, and would be replaced; choose another --output".into());
    }
    Ok(())
}

/// `1 row`, `2 rows`.
fn counted(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn inspected(inspection: &Inspection) -> String {
    let size: u64 = inspection.files.iter().map(|file| file.size_bytes).sum();
    let count = counted(inspection.rows, "row");
    let files = counted(inspection.files.len() as u64, "file");
    let mut text = format!("{count} in {files}, {}\n\n", bytes(size));
    let mut rows = vec![["column", "feature", "on disk", "nulls", "from", "to"].map(String::from).to_vec()];
    rows.extend(inspection.columns.iter().map(|column| {
        let bound = |bound: &Option<Value>| bound.as_ref().map(cell::line).unwrap_or_default();
        let nulls = column.nulls.map(|nulls| nulls.to_string()).unwrap_or_default();
        let name = column.name.clone();
        let feature = column.feature.clone();
        vec![name, feature, bytes(column.compressed_bytes), nulls, bound(&column.min), bound(&column.max)]
    }));
    text += &table(&rows);
    let mut files = vec![["file", "rows", "row groups", "size"].map(String::from).to_vec()];
    files.extend(inspection.files.iter().map(|file| {
        vec![file.path.clone(), file.rows.to_string(), file.row_group_rows.len().to_string(), bytes(file.size_bytes)]
    }));
    text + "\n" + &table(&files)
}

/// A block per row, since long values do not fit into columns.
fn headed(rows: &[Map<String, Value>]) -> String {
    if rows.is_empty() {
        return "no rows".into();
    }
    let block = |(index, row): (usize, &Map<String, Value>)| {
        let cells: Vec<_> = row.iter().map(|(name, value)| vec![format!("  {name}"), cell::line(value)]).collect();
        format!("row {index}\n{}", table(&cells))
    };
    rows.iter().enumerate().map(block).collect::<Vec<_>>().join("\n")
}

//! `anyflow data split`.

use std::path::PathBuf;

use anyflow_datasets::{SplitPart, Splitting, split, use_memory};

use super::{counted, open, shown};
use crate::command::table;
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::escape;
use crate::order;

/// Names of parts, by their number.
const NAMES: [&[&str]; 3] = [&["train"], &["train", "test"], &["train", "validation", "test"]];

/// Arguments of `anyflow data split`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Parquet files or folders of them, of one dataset
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Shares of the rows, e.g. 0.8,0.1,0.1
    #[arg(long, required = true, num_args = 1.., value_delimiter = ',', value_name = "SHARE")]
    fractions: Vec<f64>,
    /// Names of the parts [default: train and test, or train, validation and test]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
    names: Option<Vec<String>>,
    /// Column of row keys [default: `id` if there is one, else the row number]
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Random seed; another seed gives other parts
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Memory limit, e.g. 4G or 800M [default: a quarter of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = order::size)]
    memory: Option<u64>,
    /// Folder to write NAME.parquet of each part to
    #[arg(long)]
    output: PathBuf,
}

/// Splits a dataset by the hash of its keys.
///
/// # Errors
/// Shares or names that make no parts; errors of the data and the disk.
pub fn run(args: &Args) -> Result<CommandResult> {
    if let Some(bytes) = args.memory {
        use_memory(bytes);
    }
    let splitting = Splitting { parts: parts(args)?, key: args.key.clone(), seed: args.seed };
    let dataset = open(&args.data)?;
    let targets = splitting.parts.iter().map(|part| args.output.join(format!("{}.parquet", part.name)));
    for target in targets.filter_map(|target| target.canonicalize().ok()) {
        if dataset.files().any(|file| file.canonicalize().is_ok_and(|file| file == target)) {
            let text = "is also a source, and would be replaced; choose another --output";
            return Err(CliError::Usage(format!("{}: {text}", shown(&target))));
        }
    }
    let result = split(&dataset, &splitting, &args.output)?;
    let rows: Vec<Vec<String>> =
        result.files.iter().map(|file| vec![shown(&file.path), counted(file.rows, "row")]).collect();
    let mut text = table(&rows);
    if result.left_over > 0 {
        text +=
            &format!("{} in no part, since the shares are less than 1 together\n", counted(result.left_over, "row"));
    }
    if let Some(reason) = &result.reason {
        text += &format!("{} cannot be read, e.g.: {}\n", counted(result.unreadable, "row"), escape::line(reason));
    }
    Ok(CommandResult::done(text, serde_json::to_value(&result).map_err(CliError::internal)?))
}

fn parts(args: &Args) -> Result<Vec<SplitPart>> {
    let refuse = |text: String| Err(CliError::Usage(text));
    let fractions = &args.fractions;
    let sum: f64 = fractions.iter().sum();
    if !fractions.iter().all(|fraction| *fraction > 0.0) || sum > 1.0 + 1e-9 {
        return refuse(format!(
            "--fractions: each share must be above 0, and all together at most 1; they are {sum} together"
        ));
    }
    let names: Vec<String> = match (&args.names, NAMES.get(fractions.len() - 1)) {
        (Some(names), _) => names.clone(),
        (None, Some(names)) => names.iter().map(ToString::to_string).collect(),
        (None, None) => return refuse(format!("name the {} parts with --names", fractions.len())),
    };
    if names.len() != fractions.len() {
        return refuse(format!("--names has {} names for {} shares", names.len(), fractions.len()));
    }
    let is_name = |name: &String| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return refuse(format!("--names: `{name}` cannot be the name of a file"));
    }
    if let Some((_, name)) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return refuse(format!("--names: `{name}` is given twice"));
    }
    Ok(names.into_iter().zip(fractions).map(|(name, fraction)| SplitPart { name, fraction: *fraction }).collect())
}

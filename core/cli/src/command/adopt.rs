//! `anyflow adopt`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{quoted, shown};
use crate::adopt::{ModelFolder, adopt};
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::order::write_whole;
use crate::{paths, regular};

/// Arguments of `anyflow adopt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a published model, as diffusers or transformers write it
    folder: PathBuf,
    /// Model file to write (YAML)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Variant of the weights, such as fp16
    #[arg(long)]
    variant: Option<String>,
    /// Family of a folder without a configuration: taesd, taesdxl, taesd3, taef1 or taef2
    #[arg(long, value_name = "FAMILY")]
    like: Option<String>,
}

/// Writes the model file of a published model. The weights stay where they are.
///
/// # Errors
/// The folder holds no model that we know, or the file exists with another text.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let folder = ModelFolder {
        path: args.folder.clone(),
        named: named(&args.folder, &args.output)?,
        variant: args.variant.clone(),
    };
    let text = adopt(&folder, args.like.as_deref())?;
    match regular::read(&args.output) {
        Ok(found) if found == text.as_bytes() => {}
        Err(error) if error.kind() == ErrorKind::NotFound => write_whole(&args.output, text.as_bytes())?,
        _ => {
            let text =
                format!("{} exists with another text; remove it, or choose another --output", shown(&args.output));
            return Err(CliError::Usage(text));
        }
    }
    if !text.lines().any(|line| line.starts_with("license:")) {
        console.warn(
            "the folder names no license (`license` in README.md); look for the terms of this model before you use it",
        );
    }
    let json = json!({"output": shown(&args.output), "model": text});
    Ok(CommandResult::done(format!("{text}wrote {}", quoted(&args.output)), json))
}

/// The folder as a file at `output` names it: relative if it is below the file's folder, else absolute.
fn named(folder: &Path, output: &Path) -> Result<String> {
    let whole = |path: &Path| std::path::absolute(path).map_err(CliError::read(path));
    let (folder, output) = (whole(folder)?, whole(output)?);
    let below = output.parent().and_then(|parent| folder.strip_prefix(parent).ok());
    match below {
        Some(below) if below.as_os_str().is_empty() => Ok(".".into()),
        Some(below) => paths::text(below),
        None => paths::text(&folder),
    }
}

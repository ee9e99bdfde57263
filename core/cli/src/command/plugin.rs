//! `anyflow plugin`.

mod check;
mod new;
pub mod show;

use clap::Subcommand;

use super::plugins;
use crate::console::{CommandResult, Console};
use crate::error::Result;

/// The commands of `anyflow plugin`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the plugins that were found
    List,
    /// Show the descriptor of a plugin
    Info {
        /// Name of the plugin
        name: String,
    },
    /// Create a crate for a plugin that builds, passes the checks and runs in a pipeline
    New(new::Args),
    /// Test a plugin against the plugin contract
    Check(check::Args),
}

/// Runs the command.
///
/// # Errors
/// Two plugins of one name, no plugin of the given name, files that cannot be read or written.
pub fn run(command: &Command, console: &Console) -> Result<CommandResult> {
    match command {
        Command::List => Ok(show::list(&plugins(console)?)),
        Command::Info { name } => show::info(&plugins(console)?, name),
        Command::New(args) => new::run(args),
        Command::Check(args) => check::run(args),
    }
}

//! `cargo xtask`: set-up and developer commands.
//!
//! Runs before anything else can be built, so it depends on none of our crates and not on libtorch. One file per
//! command, and one per noun: [`cache`], [`fetch`], [`libtorch`], [`link`], [`process`], [`python`], [`torch_wheel`],
//! [`workspace`].
#![allow(clippy::print_stdout, reason = "a command-line program prints to standard output")]

mod absent;
mod bench;
mod cache;
mod ci;
mod cluster;
mod demo;
mod deny;
mod dist;
#[cfg(target_os = "linux")]
mod faults;
mod fetch;
mod fuzz;
mod header;
mod libtorch;
mod link;
#[cfg(target_os = "linux")]
mod load;
mod miri;
mod process;
mod python;
#[cfg(target_os = "linux")]
mod random;
mod sanitize;
#[cfg(target_os = "linux")]
mod service;
mod setup;
mod test;
mod torch_wheel;
mod wheel;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Set-up and developer commands of Anyflow.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find libtorch, or fetch it once, for plain `cargo build` and `cargo test`
    Setup,
    /// Set up, build, and run all tests
    Test {
        /// Build and test core/cluster in place of everything else; the arguments are those of its tests
        #[arg(long)]
        cluster: bool,
        /// Arguments for `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO TEST ARGUMENTS")]
        _arguments: Vec<OsString>,
    },
    /// Run all checks of a change: format, lints, docs, C header, dependencies, plugin border under Miri, tests
    Ci {
        /// Skip the tests
        #[arg(long)]
        no_test: bool,
    },
    /// Run the Rust side of the plugin border under Miri, if installed
    Miri,
    /// Check licences, sources and advisories of dependencies
    Deny,
    /// Load, test and unload every plugin under Valgrind or AddressSanitizer
    Sanitize {
        /// Tool [default: the first that is installed]
        #[arg(long, value_enum)]
        tool: Option<sanitize::Tool>,
        /// Plugins by name [default: all]
        plugins: Vec<String>,
    },
    /// Measure our workloads, and compare them with other programs if these are installed
    Bench(bench::Options),
    /// Measure the server under load: mixed requests in three ways, and many in a row
    #[cfg(target_os = "linux")]
    Load(load::Options),
    /// Set up, build, generate samples with the shipped checkpoints, and write a report
    Demo,
    /// Inject faults (kills, failing system calls, power cuts, corrupt inputs) and check that no row is lost or
    /// duplicated
    #[cfg(target_os = "linux")]
    Faults(faults::Options),
    /// Fuzz codecs, files, texts and records with libFuzzer, starting from the test corpus
    Fuzz(fuzz::Options),
    /// Generate the C header of the plugin border from its Rust sources
    Header {
        /// Only check that it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Build one folder that runs with any libtorch of the right version
    Dist {
        /// Output folder [default: dist/anyflow in the target directory]
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Build the Python wheel: the same files and the package `anyflow`, for any torch of the right version
    Wheel(wheel::Options),
}

fn main() -> ExitCode {
    match perform(Arguments::parse().verb) {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn perform(verb: Verb) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match verb {
        Verb::Setup => setup::run(&workspace)?,
        Verb::Test { cluster: true, .. } => {
            return cluster::run(&workspace, &env::args_os().skip(3).collect::<Vec<_>>());
        }
        // Not clap's arguments: clap drops a leading `--`, which cargo needs.
        Verb::Test { .. } => return test::run(&workspace, &env::args_os().skip(2).collect::<Vec<_>>()),
        Verb::Ci { no_test } => return ci::run(&workspace, no_test),
        Verb::Miri => miri::run(&workspace, miri::Scope::Whole)?,
        Verb::Deny => deny::run(&workspace)?,
        Verb::Sanitize { tool, plugins } => sanitize::run(&workspace, tool, &plugins)?,
        Verb::Bench(options) => bench::run(&workspace, &options)?,
        #[cfg(target_os = "linux")]
        Verb::Load(options) => load::run(&workspace, &options)?,
        Verb::Demo => demo::run(&workspace)?,
        #[cfg(target_os = "linux")]
        Verb::Faults(options) => return faults::run(&workspace, &options),
        Verb::Fuzz(options) => fuzz::run(&workspace, &options)?,
        Verb::Header { check } => header::run(&workspace, check)?,
        Verb::Dist { output } => dist::run(&workspace, output)?,
        Verb::Wheel(options) => wheel::run(&workspace, &options)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the error. A failed command has printed its own, and sets the exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    error.downcast_ref::<process::Failed>().map_or(ExitCode::FAILURE, process::Failed::exit_code)
}
